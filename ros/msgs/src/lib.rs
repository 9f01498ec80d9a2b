//! The ROS 2 messages that Longrein reads, writes and records, as plain structures, with their CDR bytes and the
//! schema texts that an MCAP file of profile `ros2` embeds. No ROS, no DDS, no I/O.
//!
//! **A message is bytes and schema together**: a type's fields in Rust, in order, are the fields of its `.msg`
//! file under `msg/`, and the tests hold both against an independent implementation.

pub mod ackermann_msgs;
mod big_array;
pub mod builtin_interfaces;
mod cdr;
pub mod diagnostic_msgs;
pub mod foxglove_msgs;
pub mod geometry_msgs;
pub mod longrein_msgs;
pub mod nav2_msgs;
pub mod nav_msgs;
mod octets;
mod schema;
pub mod sensor_msgs;
pub mod std_msgs;

pub use cdr::{CdrError, from_cdr, to_cdr};

use serde::{Serialize, de::DeserializeOwned};

/// A message type. Implemented by this crate only, which is why [`to_cdr`] cannot fail.
pub trait RosMessage: Serialize + DeserializeOwned + sealed::Sealed {
    /// Full name of the type, for example `nav_msgs/msg/Odometry`: the name of the schema in an MCAP file.
    const NAME: &'static str;
    /// The definition with those of all types that it uses, in the form that `ros2 bag` embeds (`ros2msg`).
    const SCHEMA: &'static str;
}

mod sealed {
    pub trait Sealed {}
}

/// The example in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests;
