//! Where the heading comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is asked where the front points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeadingSource {
    /// The orientation where there is one, else the field.
    #[default]
    Auto,
    /// The orientation.
    Imu,
    /// The field.
    Compass,
}

/// Where the heading comes from, and the compass's calibration.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Heading {
    /// What is asked: imu, the orientation of `ros.topics.imu`; compass, the magnetic field of `ros.topics.field`, with up
    /// from the inertial sensor, both in the robot's axes; or auto, the orientation where the sensor has one. It has none
    /// when its first covariance is -1, or while it is the identity and has never been anything else.
    pub source: HeadingSource,
    /// How far magnetic north lies east of true north where the robot drives, west negative. The compass alone needs it.
    #[schemars(range(min = -180.0, max = 180.0))]
    pub declination_deg: f64,
    /// What the robot's own iron adds to the field along x, y and z, in µT: the middle of the readings while it turns on
    /// the spot, and for z while it is tilted. It is taken away.
    pub hard_iron_ut: [f64; 3],
}
