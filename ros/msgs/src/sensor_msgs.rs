//! Package `sensor_msgs`.

use crate::geometry_msgs::{Quaternion, Vector3};
use crate::octets;
use crate::schema::ros_message;
use crate::std_msgs::Header;
use serde::{Deserialize, Deserializer, Serialize};

/// Inertial measurement.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Imu {
    /// Time and frame.
    pub header: Header,
    /// Orientation estimate; not there when `orientation_covariance[0]` is −1.
    pub orientation: Quaternion,
    /// Row-major 3 × 3, rad².
    pub orientation_covariance: [f64; 9],
    /// Turn rate, rad/s.
    pub angular_velocity: Vector3,
    /// Row-major 3 × 3.
    pub angular_velocity_covariance: [f64; 9],
    /// Acceleration with gravity, m/s².
    pub linear_acceleration: Vector3,
    /// Row-major 3 × 3.
    pub linear_acceleration_covariance: [f64; 9],
}

/// Magnetic field where the sensor is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct MagneticField {
    /// Time and frame.
    pub header: Header,
    /// T; an axis that is not measured is NaN.
    pub magnetic_field: Vector3,
    /// Row-major 3 × 3, T²; all zero when unknown.
    pub magnetic_field_covariance: [f64; 9],
}

/// What kind of fix a satellite receiver has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NavSatStatus {
    /// One of the `STATUS_*` constants.
    pub status: i8,
    /// Bits of the `SERVICE_*` constants.
    pub service: u16,
}

impl NavSatStatus {
    /// The status is not known.
    pub const STATUS_UNKNOWN: i8 = -2;
    /// No position.
    pub const STATUS_NO_FIX: i8 = -1;
    /// A position without augmentation.
    pub const STATUS_FIX: i8 = 0;
    /// With satellite-based augmentation.
    pub const STATUS_SBAS_FIX: i8 = 1;
    /// With ground-based augmentation (RTK among them).
    pub const STATUS_GBAS_FIX: i8 = 2;
    /// GPS satellites are used.
    pub const SERVICE_GPS: u16 = 1;
    /// GLONASS satellites are used.
    pub const SERVICE_GLONASS: u16 = 2;
    /// BeiDou satellites are used.
    pub const SERVICE_COMPASS: u16 = 4;
    /// Galileo satellites are used.
    pub const SERVICE_GALILEO: u16 = 8;
}

/// A position by satellites, WGS 84.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NavSatFix {
    /// Time, and the frame of the antenna.
    pub header: Header,
    /// Kind of fix.
    pub status: NavSatStatus,
    /// Degrees, positive to the north.
    pub latitude: f64,
    /// Degrees, positive to the east.
    pub longitude: f64,
    /// Metres above the ellipsoid; NaN when unknown.
    pub altitude: f64,
    /// Row-major 3 × 3 over east, north, up, m².
    pub position_covariance: [f64; 9],
    /// One of the `COVARIANCE_TYPE_*` constants.
    pub position_covariance_type: u8,
}

impl NavSatFix {
    /// The covariance is not known.
    pub const COVARIANCE_TYPE_UNKNOWN: u8 = 0;
    /// The covariance is a guess from the dilution of precision.
    pub const COVARIANCE_TYPE_APPROXIMATED: u8 = 1;
    /// The diagonal is known.
    pub const COVARIANCE_TYPE_DIAGONAL_KNOWN: u8 = 2;
    /// All of it is known.
    pub const COVARIANCE_TYPE_KNOWN: u8 = 3;

    /// Horizontal accuracy, 1 sigma: the root of the mean of the east and north variances. `None` when unknown.
    pub fn horizontal_accuracy_m(&self) -> Option<f64> {
        if self.position_covariance_type == Self::COVARIANCE_TYPE_UNKNOWN {
            return None;
        }
        let variance = (self.position_covariance[0] + self.position_covariance[4]) / 2.0;
        (variance.is_finite() && variance >= 0.0).then(|| variance.sqrt())
    }
}

/// State of a battery. Unknown numbers are NaN.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BatteryState {
    /// Time and frame.
    pub header: Header,
    /// V.
    pub voltage: f32,
    /// °C.
    pub temperature: f32,
    /// A, negative while discharging.
    pub current: f32,
    /// Ah.
    pub charge: f32,
    /// Ah, last full charge.
    pub capacity: f32,
    /// Ah, as built.
    pub design_capacity: f32,
    /// Charge, **0 to 1**.
    pub percentage: f32,
    /// One of the `POWER_SUPPLY_STATUS_*` constants.
    pub power_supply_status: u8,
    /// One of the `POWER_SUPPLY_HEALTH_*` constants.
    pub power_supply_health: u8,
    /// One of the `POWER_SUPPLY_TECHNOLOGY_*` constants.
    pub power_supply_technology: u8,
    /// Whether there is a battery.
    pub present: bool,
    /// V of each cell.
    pub cell_voltage: Vec<f32>,
    /// °C of each cell.
    pub cell_temperature: Vec<f32>,
    /// Slot of the battery.
    pub location: String,
    /// Serial number.
    pub serial_number: String,
}

impl BatteryState {
    /// Not known.
    pub const POWER_SUPPLY_STATUS_UNKNOWN: u8 = 0;
    /// Being charged.
    pub const POWER_SUPPLY_STATUS_CHARGING: u8 = 1;
    /// In use.
    pub const POWER_SUPPLY_STATUS_DISCHARGING: u8 = 2;
    /// Connected, yet not charged.
    pub const POWER_SUPPLY_STATUS_NOT_CHARGING: u8 = 3;
    /// Full.
    pub const POWER_SUPPLY_STATUS_FULL: u8 = 4;
    /// Well.
    pub const POWER_SUPPLY_HEALTH_GOOD: u8 = 1;
    /// Lithium ion.
    pub const POWER_SUPPLY_TECHNOLOGY_LION: u8 = 2;
    /// Lithium polymer.
    pub const POWER_SUPPLY_TECHNOLOGY_LIPO: u8 = 3;
}

/// One sweep of a planar laser.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LaserScan {
    /// Time of the first ray, and the frame.
    pub header: Header,
    /// Angle of the first ray, radians to the left.
    pub angle_min: f32,
    /// Angle of the last ray.
    pub angle_max: f32,
    /// Angle between rays.
    pub angle_increment: f32,
    /// Seconds between rays.
    pub time_increment: f32,
    /// Seconds between sweeps.
    pub scan_time: f32,
    /// Shorter ranges are to be dropped, m.
    pub range_min: f32,
    /// Longer ranges are to be dropped, m.
    pub range_max: f32,
    /// m; infinite when nothing was hit.
    pub ranges: Vec<f32>,
    /// Of the device; may be empty.
    pub intensities: Vec<f32>,
}

/// What one cone of ultrasound or infrared light met.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Range {
    /// Time, and the frame of the sensor.
    pub header: Header,
    /// One of the constants.
    pub radiation_type: u8,
    /// Opening of the cone, rad.
    pub field_of_view: f32,
    /// Nearest that is measured, m.
    pub min_range: f32,
    /// Farthest that is measured, m.
    pub max_range: f32,
    /// m. Infinite: nothing was met; minus infinite: something nearer than the sensor measures.
    pub range: f32,
    /// m²; 0 when unknown. ROS 2 Humble and older do not send it: then it is 0.
    #[serde(deserialize_with = "zero_when_absent")]
    pub variance: f32,
}

impl Range {
    /// Sound.
    pub const ULTRASOUND: u8 = 0;
    /// Light.
    pub const INFRARED: u8 = 1;
}

/// The last field of a message that older distributions end before.
fn zero_when_absent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    // The decoder's only error for a number is the end of the bytes.
    Ok(f32::deserialize(deserializer).unwrap_or_default())
}

/// State of joints: here of the wheels. All lists are as long as `name`, or empty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct JointState {
    /// Time.
    pub header: Header,
    /// Names.
    pub name: Vec<String>,
    /// rad.
    pub position: Vec<f64>,
    /// rad/s.
    pub velocity: Vec<f64>,
    /// N·m.
    pub effort: Vec<f64>,
}

/// A picture as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Image {
    /// Time of capture, and the optical frame of the camera.
    pub header: Header,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// What a pixel is: `rgb8`, `bgr8`, `mono8`, `yuv422` and others.
    pub encoding: String,
    /// Whether numbers of more than a byte begin with the high one.
    pub is_bigendian: u8,
    /// Bytes from one row to the next.
    pub step: u32,
    /// The rows, `step` × `height` bytes.
    #[serde(with = "octets")]
    pub data: Vec<u8>,
}

/// A picture as a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CompressedImage {
    /// Time of capture, and the optical frame of the camera.
    pub header: Header,
    /// What made it: `jpeg`, `png`, or longer, as `rgb8; jpeg compressed bgr8`. Some write nothing.
    pub format: String,
    /// The file.
    #[serde(with = "octets")]
    pub data: Vec<u8>,
}

ros_message!(
    Imu = "sensor_msgs" / "Imu",
    "std_msgs/Header",
    "builtin_interfaces/Time",
    "geometry_msgs/Quaternion",
    "geometry_msgs/Vector3",
);
ros_message!(
    MagneticField = "sensor_msgs" / "MagneticField",
    "std_msgs/Header",
    "builtin_interfaces/Time",
    "geometry_msgs/Vector3",
);
ros_message!(
    NavSatFix = "sensor_msgs" / "NavSatFix",
    "std_msgs/Header",
    "builtin_interfaces/Time",
    "sensor_msgs/NavSatStatus",
);
ros_message!(
    BatteryState = "sensor_msgs" / "BatteryState",
    "std_msgs/Header",
    "builtin_interfaces/Time",
);
ros_message!(Range = "sensor_msgs" / "Range", "std_msgs/Header", "builtin_interfaces/Time",);
ros_message!(LaserScan = "sensor_msgs" / "LaserScan", "std_msgs/Header", "builtin_interfaces/Time",);
ros_message!(
    JointState = "sensor_msgs" / "JointState",
    "std_msgs/Header",
    "builtin_interfaces/Time",
);
ros_message!(Image = "sensor_msgs" / "Image", "std_msgs/Header", "builtin_interfaces/Time",);
ros_message!(
    CompressedImage = "sensor_msgs" / "CompressedImage",
    "std_msgs/Header",
    "builtin_interfaces/Time",
);
