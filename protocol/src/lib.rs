//! The words that the parts of Longrein say to each other.
//!
//! Every type that crosses a process boundary is here, with its bytes. Nothing in this crate opens a socket,
//! reads a clock or touches a disk. [`SPEC.md`](https://github.com/longrein/longrein/blob/main/protocol/SPEC.md)
//! is normative; `vectors/` holds examples, malformed ones included, that the Rust and the TypeScript codec
//! both pass.
//!
//! - [`drive`], [`telemetry`], [`estop`]: fixed-size binary packets of the data channels.
//! - [`session`]: JSON messages of the reliable session channel, and the driver's receipts.
//! - [`program`]: what a program signs that drives through a relay.
//! - [`signal`]: how a driver opens a session with a robot.
//! - [`lease`]: who may drive, signed by the fleet, verified offline by the robot.
//! - [`state`]: what a robot publishes to the fleet.
//! - [`rover`]: what a program sees and asks of a robot beside driving: sensors, pictures, voice, lamp.
//! - [`watch`]: video for spectators.
//! - [`settings`]: what a robot's owner allows, signed by the owner, enforced by the robot.
//! - [`safety`]: hazards, states and reasons, with the words a pilot reads.
//! - [`dsse`], [`keys`], [`message`]: signatures. [`sealed`], [`credentials`]: who can read a message, who gets in.
//! - [`api`], [`problem`]: shapes of the HTTP API that more than one program needs.

pub mod api;
pub mod credentials;
pub mod drive;
pub mod dsse;
pub mod estop;
pub mod ids;
pub mod intervention;
pub mod keyexpr;
pub mod keys;
pub mod lease;
pub mod message;
pub mod mission;
pub mod problem;
pub mod program;
pub mod rover;
pub mod safety;
pub mod sealed;
pub mod session;
pub mod settings;
pub mod signal;
pub mod state;
pub mod telemetry;
pub mod units;
pub mod watch;
mod wire;

pub use wire::WireError;
