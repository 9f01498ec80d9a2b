//! The safety core of a robot: decides, many times a second, how fast the wheels may turn.
//!
//! **Every output is zero unless every positive fact of the policy holds at that moment.** [`Supervisor::step`]
//! is a pure, total function of its state, the time that it is given and a fixed-size snapshot of the world: it
//! opens nothing, waits for nothing, allocates nothing and cannot panic. What went in and what came out is
//! recorded ([`Inputs::encode`], [`Outputs::encode`]), so that the same core, run again over a recording, must
//! give the same bytes.
//!
//! - [`policy`]: what the robot's owner allows, checked and hashed.
//! - [`inputs`], [`outputs`]: the two ends of a step, and their bytes.
//! - [`hazards`]: the table of everything that takes speed away.
//! - [`supervisor`]: the state machine around the table.
//! - [`governor`]: the last clamp before the wheels; it shares no code with the rest.
//! - [`scan`]: free distance ahead and behind, from a laser scan.
//! - [`fence`]: areas to stay in and out of.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::wildcard_enum_match_arm
    )
)]

mod approach;
mod braking;
mod codec;
pub mod fence;
pub mod governor;
pub mod hazards;
pub mod inputs;
pub mod limits;
pub mod outputs;
pub mod policy;
pub mod scan;
mod stamps;
pub mod supervisor;
mod whereabouts;

pub use hazards::hazard_table_markdown;
pub use inputs::{Close, Command, Fix, Heading, Heartbeats, Inputs, Lease, Odometry, Scan, Task};
pub use outputs::{EstopAnswer, Outputs, Twist, Verdict};
pub use policy::{Policy, PolicyError};
pub use supervisor::Supervisor;
