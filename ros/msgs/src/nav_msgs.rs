//! Package `nav_msgs`.

use crate::geometry_msgs::{PoseWithCovariance, TwistWithCovariance};
use crate::schema::ros_message;
use crate::std_msgs::Header;
use serde::{Deserialize, Serialize};

/// Where the robot believes to be by its wheels, and how fast it goes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Odometry {
    /// Time, and the frame of `pose`.
    pub header: Header,
    /// The frame of `twist`.
    pub child_frame_id: String,
    /// Pose in the fixed frame.
    pub pose: PoseWithCovariance,
    /// Velocity in the robot's own frame.
    pub twist: TwistWithCovariance,
}

ros_message!(
    Odometry = "nav_msgs" / "Odometry",
    "std_msgs/Header",
    "builtin_interfaces/Time",
    "geometry_msgs/PoseWithCovariance",
    "geometry_msgs/Pose",
    "geometry_msgs/Point",
    "geometry_msgs/Quaternion",
    "geometry_msgs/TwistWithCovariance",
    "geometry_msgs/Twist",
    "geometry_msgs/Vector3",
);
