//! What the fleet decides, without doing anything: money, missions, arrival, leases, shares.
//!
//! **Everything here is a pure function of its arguments.** Time comes in as a number, ids come in from the
//! caller, nothing is read or written. `fleet-server` is the thin program around it.
//!
//! - [`ledger`]: double entry in integers, with an append-only journal that is its own proof.
//! - [`split`]: dividing an amount so that no unit is lost.
//! - [`mission`]: what may happen to a mission, as one table.
//! - [`arrival`]: when a robot has reached a checkpoint.
//! - [`lease`]: who may drive, under which epoch, until when.
//! - [`registry`]: what makes a name, a share list, a mission acceptable.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm
)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may"))]
#![cfg_attr(test, allow(clippy::panic, clippy::indexing_slicing, reason = "tests may"))]
#![cfg_attr(test, allow(clippy::as_conversions, reason = "tests may"))]

pub mod account;
pub mod arrival;
pub mod lease;
pub mod ledger;
pub mod mission;
pub mod registry;
pub mod split;
