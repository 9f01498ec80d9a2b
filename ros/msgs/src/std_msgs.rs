//! Package `std_msgs`.

use crate::builtin_interfaces::Time;
use crate::schema::ros_message;
use serde::{Deserialize, Serialize};

/// When and in which frame something was measured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Header {
    /// Time of the measurement.
    pub stamp: Time,
    /// Coordinate frame.
    pub frame_id: String,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bool {
    /// Which.
    pub data: bool,
}

/// A small number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UInt8 {
    /// The number.
    pub data: u8,
}

ros_message!(Bool = "std_msgs" / "Bool");
ros_message!(UInt8 = "std_msgs" / "UInt8");
ros_message!(Header = "std_msgs" / "Header", "builtin_interfaces/Time");
