//! Interventions: a driver says that a person takes over, and when that is over. The fleet keeps them, and the robot
//! records them in the episode. Nothing here moves the robot.

use crate::ids::{InterventionId, LeaseId};
use crate::keys::Did;
use crate::units::WallMs;
use serde::{Deserialize, Serialize};

/// Characters of a cause, at most.
pub const CAUSE_CHARS_MAX: usize = 200;
/// Interventions of one lease, at most.
pub const PER_LEASE_MAX: u32 = 1_000;
/// The code of the events in an episode whose JSON is a [`Note`].
pub const EVENT_CODE: &str = "intervention";

/// Whether an intervention begins or is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// It begins.
    Start,
    /// It is over.
    End,
}

/// Has the robot record an intervention. Query on [`crate::keyexpr::intervention`], signed by the relay that the
/// lease names; answered by [`crate::message::Reply`]. The same again is no mistake and recorded once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterventionRequest {
    /// The current lease.
    pub lease_id: LeaseId,
    /// The intervention, as the fleet named it.
    pub id: InterventionId,
    /// What it does.
    pub act: Act,
    /// Why, in words: 1 to [`CAUSE_CHARS_MAX`] characters.
    pub cause: String,
    /// When it was asked for, as in [`crate::rover::SpeakRequest`].
    pub at: WallMs,
}

/// The JSON of an event with [`EVENT_CODE`] in an episode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The intervention.
    pub id: InterventionId,
    /// What happened to it.
    pub act: Act,
    /// Why. Of an end by the robot itself: why the lease ended.
    pub cause: String,
    /// By whom: the lease's holder, or the robot when the drive ended first.
    pub by: Did,
}

/// Whether a cause is there and short enough.
pub fn is_cause(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().nth(CAUSE_CHARS_MAX).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_has_1_to_200_characters() {
        assert!(is_cause("x") && is_cause(&"ä".repeat(CAUSE_CHARS_MAX)));
        assert!(!is_cause("") && !is_cause(" \n") && !is_cause(&"ä".repeat(CAUSE_CHARS_MAX + 1)));
    }
}
