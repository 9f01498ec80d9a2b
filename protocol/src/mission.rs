//! Missions as drivers and robots see them.

use crate::units::GeoPoint;
use serde::{Deserialize, Serialize};

/// One place to reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Where it is.
    pub position: GeoPoint,
    /// How near counts as there, in metres.
    pub radius_m: f64,
    /// How long to stay within the radius, in milliseconds.
    pub dwell_ms: u32,
}

/// Where a mission stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissionState {
    /// Written down, no money behind it.
    Draft,
    /// The reward lies in escrow.
    Funded,
    /// On the board, anyone may take it.
    Open,
    /// Shown to one driver first.
    Offered,
    /// Taken by a driver who holds a lease, not yet under way.
    Assigned,
    /// Being driven.
    Active,
    /// All checkpoints reached; waits for its episode.
    Verifying,
    /// Paid.
    Settled,
    /// Taken back by the operator; the reward went back.
    Cancelled,
    /// The deadline passed; the reward went back.
    Expired,
    /// It can't be done; the reward went back.
    Failed,
    /// Someone objects; the reward waits.
    Disputed,
}
