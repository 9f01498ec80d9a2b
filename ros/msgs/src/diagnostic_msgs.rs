//! Package `diagnostic_msgs`: what drivers say about themselves and their hardware.

use crate::schema::ros_message;
use crate::std_msgs::Header;
use serde::{Deserialize, Serialize};

/// One detail.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeyValue {
    /// What it is.
    pub key: String,
    /// What it holds.
    pub value: String,
}

/// How one part does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DiagnosticStatus {
    /// One of the constants.
    pub level: u8,
    /// The part.
    pub name: String,
    /// What is to be said about it.
    pub message: String,
    /// Which device it is.
    pub hardware_id: String,
    /// Details.
    pub values: Vec<KeyValue>,
}

impl DiagnosticStatus {
    /// Well.
    pub const OK: u8 = 0;
    /// Not quite well.
    pub const WARN: u8 = 1;
    /// Does not work.
    pub const ERROR: u8 = 2;
    /// Has not been heard of.
    pub const STALE: u8 = 3;
}

/// How several parts do. Each publisher tells of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DiagnosticArray {
    /// Time.
    pub header: Header,
    /// The parts.
    pub status: Vec<DiagnosticStatus>,
}

ros_message!(
    DiagnosticArray = "diagnostic_msgs" / "DiagnosticArray",
    "std_msgs/Header",
    "builtin_interfaces/Time",
    "diagnostic_msgs/DiagnosticStatus",
    "diagnostic_msgs/KeyValue",
);
