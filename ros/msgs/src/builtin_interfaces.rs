//! Package `builtin_interfaces`.

use crate::schema::ros_message;
use serde::{Deserialize, Serialize};

const NS_PER_S: u64 = 1_000_000_000;

/// A point in time: since the Unix epoch, unless the robot runs on simulated time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Time {
    /// Whole seconds.
    pub sec: i32,
    /// Nanoseconds within the second.
    pub nanosec: u32,
}

impl Time {
    /// From nanoseconds since the Unix epoch; stays at the last second that fits (in 2038).
    pub fn from_ns(ns: u64) -> Self {
        match (i32::try_from(ns / NS_PER_S), u32::try_from(ns % NS_PER_S)) {
            (Ok(sec), Ok(nanosec)) => Self { sec, nanosec },
            _ => Self { sec: i32::MAX, nanosec: 999_999_999 },
        }
    }

    /// Nanoseconds since the Unix epoch; `None` before it.
    pub fn as_ns(self) -> Option<u64> {
        let sec = u64::try_from(self.sec).ok()?;
        Some(sec * NS_PER_S + u64::from(self.nanosec))
    }
}

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Duration {
    /// Whole seconds.
    pub sec: i32,
    /// Nanoseconds beyond them.
    pub nanosec: u32,
}

ros_message!(Time = "builtin_interfaces" / "Time");
