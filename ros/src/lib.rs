//! Longrein's connection to ROS 2 robots, without a ROS installation: a DDS participant in the process.
//!
//! Two faces of the same topics: [`agent::Base`] is what the robot-agent holds, [`base::RobotSide`] is what a
//! simulated robot holds; [`pictures::Pictures`] reads a camera's; [`survey::Observer`] only looks. **A reader stamps each message with the monotonic clock as
//! it takes it, and whether that is fresh enough is for the safety core to decide**: nothing here drops, delays or
//! repeats a command.
//!
//! Sensor topics are read best-effort, so writers of either kind match. Commands are written reliably, because a
//! base that subscribes reliably (most do) never matches a best-effort writer, and nothing would say so. Both may be
//! configured otherwise, topic by topic ([`qos`]).

pub mod agent;
pub mod base;
mod clock;
mod config;
mod exact;
mod intake;
mod keeper;
pub mod kinematics;
pub mod navigation;
mod node;
mod outlet;
pub mod pictures;
pub mod priority;
pub mod qos;
pub mod survey;

/// Directives for a `tracing` filter that keep the libraries below this crate from filling the log: at `info` they
/// tell of every discovery packet. To be appended to a program's own, as in `info,rustdds=error,…`.
pub const LOG_DIRECTIVES: &str = "rustdds=error,ros2_client=error";

pub use config::{BumperTopic, Config, ConnectError, DOMAIN_ID_MAX, Topics};
pub use intake::TopicHealth;
pub use outlet::{PublishError, Sent};

/// The example in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
