//! Package `geometry_msgs`: metres, radians, x forward, y left, z up.

use crate::big_array;
use crate::schema::ros_message;
use crate::std_msgs::Header;
use serde::{Deserialize, Serialize};

/// Three components.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Vector3 {
    /// Forward.
    pub x: f64,
    /// To the left.
    pub y: f64,
    /// Up.
    pub z: f64,
}

/// A position.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Point {
    /// Forward or east.
    pub x: f64,
    /// Left or north.
    pub y: f64,
    /// Up.
    pub z: f64,
}

/// An orientation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quaternion {
    /// First imaginary part.
    pub x: f64,
    /// Second imaginary part.
    pub y: f64,
    /// Third imaginary part.
    pub z: f64,
    /// Real part.
    pub w: f64,
}

impl Default for Quaternion {
    fn default() -> Self {
        Self { x: 0.0, y: 0.0, z: 0.0, w: 1.0 }
    }
}

impl Quaternion {
    /// A turn about the vertical axis, to the left.
    pub fn from_yaw(yaw_rad: f64) -> Self {
        let (sin, cos) = (yaw_rad / 2.0).sin_cos();
        Self { x: 0.0, y: 0.0, z: sin, w: cos }
    }

    /// The turn about the vertical axis, −π to π.
    pub fn yaw_rad(&self) -> f64 {
        let Self { x, y, z, w } = self;
        (2.0 * (w * z + x * y)).atan2(1.0 - 2.0 * (y * y + z * z))
    }
}

/// Position and orientation.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Pose {
    /// Position.
    pub position: Point,
    /// Orientation.
    pub orientation: Quaternion,
}

/// A pose with its time and frame.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PoseStamped {
    /// Time and frame.
    pub header: Header,
    /// The pose in that frame.
    pub pose: Pose,
}

/// A pose and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PoseWithCovariance {
    /// Best estimate.
    pub pose: Pose,
    /// Row-major 6 × 6 over x, y, z and the rotations about them.
    #[serde(with = "big_array")]
    pub covariance: [f64; 36],
}

impl Default for PoseWithCovariance {
    fn default() -> Self {
        Self { pose: Pose::default(), covariance: [0.0; 36] }
    }
}

/// Velocity: metres and radians a second.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Twist {
    /// Along the axes.
    pub linear: Vector3,
    /// About the axes.
    pub angular: Vector3,
}

impl Twist {
    /// What a base with two driven sides obeys: speed forward, turn rate to the left.
    pub fn planar(linear_mps: f64, angular_radps: f64) -> Self {
        Self {
            linear: Vector3 { x: linear_mps, ..Vector3::default() },
            angular: Vector3 { z: angular_radps, ..Vector3::default() },
        }
    }
}

/// A velocity with its time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TwistStamped {
    /// Time and frame.
    pub header: Header,
    /// Velocity.
    pub twist: Twist,
}

/// A velocity and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TwistWithCovariance {
    /// Best estimate.
    pub twist: Twist,
    /// Row-major 6 × 6 over x, y, z and the rotations about them.
    #[serde(with = "big_array")]
    pub covariance: [f64; 36],
}

impl Default for TwistWithCovariance {
    fn default() -> Self {
        Self { twist: Twist::default(), covariance: [0.0; 36] }
    }
}

ros_message!(Twist = "geometry_msgs" / "Twist", "geometry_msgs/Vector3");
ros_message!(
    TwistStamped = "geometry_msgs" / "TwistStamped",
    "std_msgs/Header",
    "builtin_interfaces/Time",
    "geometry_msgs/Twist",
    "geometry_msgs/Vector3",
);
