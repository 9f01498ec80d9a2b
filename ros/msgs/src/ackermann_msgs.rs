//! Package `ackermann_msgs`: commands for bases that steer as cars do.

use crate::schema::ros_message;
use crate::std_msgs::Header;
use serde::{Deserialize, Serialize};

/// How to drive: the angle of one wheel in the middle of the front axle, and the speed of the rear axle's middle.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct AckermannDrive {
    /// rad, to the left.
    pub steering_angle: f32,
    /// rad/s at most; 0 is as quickly as possible.
    pub steering_angle_velocity: f32,
    /// m/s forward.
    pub speed: f32,
    /// m/s² at most; 0 is as quickly as possible.
    pub acceleration: f32,
    /// m/s³ at most; 0 is as quickly as possible.
    pub jerk: f32,
}

/// How to drive, with its time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AckermannDriveStamped {
    /// Time and frame.
    pub header: Header,
    /// How to drive.
    pub drive: AckermannDrive,
}

ros_message!(
    AckermannDriveStamped = "ackermann_msgs" / "AckermannDriveStamped",
    "std_msgs/Header",
    "builtin_interfaces/Time",
    "ackermann_msgs/AckermannDrive",
);
