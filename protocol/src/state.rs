//! What a robot publishes to the fleet on [`crate::keyexpr::state`], 5 times a second, signed by the robot
//! ([`crate::message`]).

use crate::ids::{EpisodeId, LeaseId, RobotId};
use crate::safety::{Reason, SafetyState};
use crate::units::{GeoPoint, WallMs};
use serde::{Deserialize, Serialize};

/// A robot's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RobotState {
    /// The robot.
    pub robot: RobotId,
    /// Grows by one with each message of a run of the agent.
    pub seq: u64,
    /// The robot's wall clock.
    pub at: WallMs,
    /// The robot's monotonic clock, milliseconds.
    pub robot_ms: u64,
    /// What the safety core decided.
    pub safety: SafetyState,
    /// The strongest reason for it.
    pub reason: Reason,
    /// Why the robot is in its minimal-risk state: a hazard ended a drive, the robot stands where `position` says, and
    /// nobody has resumed it since. None otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimal_risk: Option<Reason>,
    /// The lease that the robot obeys.
    pub lease: Option<LeaseId>,
    /// Highest epoch that the robot has seen.
    pub epoch: u64,
    /// The lease that ended last on this robot, and why, so that the fleet learns of it.
    pub last_ended: Option<EndedLease>,
    /// Position, with its horizontal accuracy, when known and fresh.
    pub position: Option<RobotPosition>,
    /// Heading clockwise from true north, degrees.
    pub heading_deg: Option<f64>,
    /// Speed forward, m/s.
    pub speed_mps: f64,
    /// Turn rate to the left, rad/s.
    pub yaw_radps: f64,
    /// Highest speed that would be obeyed now, m/s.
    pub limit_mps: f64,
    /// Battery, 0 to 1.
    pub battery: Option<f64>,
    /// Age of what the driver saw, milliseconds.
    pub loop_latency_ms: Option<u32>,
    /// The newest drive packet that counted: `seq`, 0 for none.
    pub command_seq: u32,
    /// Episodes on the robot that the fleet has not yet accepted.
    pub episodes_waiting: u32,
    /// Software of the agent.
    pub version: String,
    /// Version of the owner's settings ([`crate::settings`]) that the robot keeps to; 0 without any.
    #[serde(default)]
    pub settings_version: u64,
    /// What does not work, in words for the robot's owner; at most [`TROUBLES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<Trouble>,
}

/// Troubles in a state, at most: with the lengths below a state stays far below what the fleet reads.
pub const TROUBLES_MAX: usize = 12;
/// Longest name of a part, in characters.
pub const PART_CHARS_MAX: usize = 60;
/// Longest words of a trouble, in characters.
pub const TROUBLE_CHARS_MAX: usize = 180;

/// Something of a robot that does not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What it is: a topic, a camera, a part of which its driver says so.
    pub part: String,
    /// What is wrong, and what to do.
    pub words: String,
}

impl Trouble {
    /// A trouble of bounded length.
    pub fn new(part: &str, words: &str) -> Self {
        let short = |text: &str, most| text.chars().take(most).collect();
        Self { part: short(part, PART_CHARS_MAX), words: short(words, TROUBLE_CHARS_MAX) }
    }
}

/// A position with its accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RobotPosition {
    /// Where.
    pub point: GeoPoint,
    /// Horizontal accuracy (1 sigma), metres.
    pub h_acc_m: f64,
    /// GNSS fix: 0 none, 1 fix, 2 satellite-based, 3 ground-based augmentation.
    pub fix: u8,
    /// Satellites in use, when the receiver says so.
    pub satellites: Option<u8>,
    /// Age of the fix when this was sent, milliseconds.
    pub age_ms: u32,
}

/// A lease that has ended on the robot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedLease {
    /// The lease.
    pub lease: LeaseId,
    /// Its episode.
    pub episode: EpisodeId,
    /// Stable code: `released`, `driver-gone`, `expired`, `fenced`, `stopping`.
    pub why: String,
}
