//! What the core decided in one step.

use crate::codec::Writer;
use protocol::safety::{Reason, SafetyState};

/// A motion of the base: speed forward and turn rate to the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Twist {
    /// Speed forward, mm/s.
    pub linear_mmps: i32,
    /// Turn rate to the left, mrad/s.
    pub angular_mradps: i32,
}

impl Twist {
    /// At rest.
    pub const ZERO: Self = Self { linear_mmps: 0, angular_mradps: 0 };
}

/// What became of the command that a step was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verdict {
    /// There was none, or it is the one of the step before.
    #[default]
    Nothing,
    /// It is the newest of its lease, and counts.
    Counts,
    /// It counts as the newest, but was held up on the way, or carries no robot stamp: it moves nothing.
    HeldUp,
    /// Its number is not above those seen before: a copy, or one that was overtaken. It has no effect.
    Old,
    /// It is for another lease than the one that the robot obeys. It has no effect.
    WrongEpoch,
    /// It arrived in the future. It has no effect.
    Impossible,
}

impl Verdict {
    /// Its number in a record.
    pub const fn as_u8(self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Counts => 1,
            Self::HeldUp => 2,
            Self::Old => 3,
            Self::WrongEpoch => 4,
            Self::Impossible => 5,
        }
    }
}

/// The answer to a request to clear the emergency stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EstopAnswer {
    /// Nobody asked.
    #[default]
    Nothing,
    /// The latch is clear.
    Cleared,
    /// The latch stays: the stick is not at rest, or the lease is not the current one.
    Refused,
}

impl EstopAnswer {
    /// Its number in a record.
    pub const fn as_u8(self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Cleared => 1,
            Self::Refused => 2,
        }
    }
}

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outputs {
    /// What the robot is doing.
    pub state: SafetyState,
    /// The strongest reason for it.
    pub reason: Reason,
    /// [`Reason::bit`] of every hazard that holds.
    pub hazards: u32,
    /// Highest speed that would be obeyed now in the direction of the stick, mm/s.
    pub limit_mmps: u32,
    /// What sets that limit.
    pub limit_reason: Reason,
    /// Age of what the driver saw when the newest command arrived; none when it is unknown.
    pub loop_latency_ms: Option<u32>,
    /// Number of the newest command that counted; 0 for none.
    pub command_seq: u32,
    /// What became of the command that this step was shown.
    pub verdict: Verdict,
    /// The answer to a request to clear the emergency stop.
    pub estop_answer: EstopAnswer,
    /// The reason for which the robot is in its minimal-risk state: a hazard ended a drive, and nobody has resumed it
    /// since.
    pub minimal_risk: Option<Reason>,
    /// Deceleration that stopping distances count on now, mm/s².
    pub brake_mmps2: u32,
    /// What the hazards leave of the driver's wish.
    pub limited: Twist,
    /// What goes to the wheels: `limited` after the governor.
    pub executed: Twist,
}

impl Outputs {
    /// Length of the encoded form.
    pub const LEN: usize = 44;

    /// The record of a step's outputs, little-endian:
    ///
    /// ```text
    ///  0 u8  state           1 u8  reason       2 u8  limit_reason   3 u8 verdict
    ///  4 u32 hazards         8 u32 limit_mmps  12 u32 command_seq
    /// 16 u32 loop_latency_ms (u32::MAX unknown)
    /// 20 u8  estop_answer   21 u8 minimal_risk (a reason; 0 none)   22 u16 0   24 u32 brake_mmps2
    /// 28 i32 limited linear_mmps    32 i32 limited angular_mradps
    /// 36 i32 executed linear_mmps   40 i32 executed angular_mradps
    /// ```
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut w = Writer::<{ Self::LEN }>::new();
        w.put([
            self.state.as_u8(),
            self.reason.as_u8(),
            self.limit_reason.as_u8(),
            self.verdict.as_u8(),
        ]);
        w.put(self.hazards.to_le_bytes());
        w.put(self.limit_mmps.to_le_bytes());
        w.put(self.command_seq.to_le_bytes());
        w.put(self.loop_latency_ms.unwrap_or(u32::MAX).to_le_bytes());
        let minimal_risk = self.minimal_risk.unwrap_or(Reason::None);
        w.put([self.estop_answer.as_u8(), minimal_risk.as_u8(), 0, 0]);
        w.put(self.brake_mmps2.to_le_bytes());
        w.put(self.limited.linear_mmps.to_le_bytes());
        w.put(self.limited.angular_mradps.to_le_bytes());
        w.put(self.executed.linear_mmps.to_le_bytes());
        w.put(self.executed.angular_mradps.to_le_bytes());
        w.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_has_its_place() {
        let outputs = Outputs {
            state: SafetyState::Driving,
            reason: Reason::Latency,
            hazards: 0x20,
            limit_mmps: 900,
            limit_reason: Reason::Latency,
            loop_latency_ms: None,
            command_seq: 7,
            verdict: Verdict::Old,
            estop_answer: EstopAnswer::Refused,
            minimal_risk: Some(Reason::VideoStale),
            brake_mmps2: 1_500,
            limited: Twist { linear_mmps: 1, angular_mradps: 2 },
            executed: Twist { linear_mmps: -1, angular_mradps: 4 },
        };
        let bytes = outputs.encode();
        assert_eq!(bytes[..8], [2, 5, 5, 3, 0x20, 0, 0, 0]);
        assert_eq!(bytes[16..28], [255, 255, 255, 255, 2, 4, 0, 0, 0xdc, 5, 0, 0]);
        assert_eq!(bytes[36..], [255, 255, 255, 255, 4, 0, 0, 0]);
    }

    #[test]
    fn verdicts_and_answers_have_distinct_numbers() {
        use Verdict::*;
        let all = [Nothing, Counts, HeldUp, Old, WrongEpoch, Impossible];
        assert_eq!(all.map(Verdict::as_u8), [0, 1, 2, 3, 4, 5]);
        let all = [EstopAnswer::Nothing, EstopAnswer::Cleared, EstopAnswer::Refused];
        assert_eq!(all.map(EstopAnswer::as_u8), [0, 1, 2]);
    }
}
