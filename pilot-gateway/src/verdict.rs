//! What a robot's state says about a wish: obeyed, refused and why, or not yet known. Pure.

use crate::drivers::Opened;
use protocol::safety::{Reason, SafetyState};
use protocol::state::RobotState;

/// What became of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The robot obeys it, or obeyed it until its time to live was over.
    Obeyed,
    /// The safety core does not obey it.
    Refused,
    /// The lease is over, with the stable code.
    Ended(String),
    /// This state was made before the packet counted.
    Unknown,
}

/// Whether `state` says that the lease of `opened` is over, and why.
pub fn end_of(state: &RobotState, opened: &Opened) -> Option<String> {
    if let Some(ended) = &state.last_ended
        && ended.lease == opened.lease_id
    {
        return Some(ended.why.clone());
    }
    (state.epoch > opened.epoch).then(|| "fenced".to_owned())
}

/// Whether the safety core holds the robot back although its driver wants to go.
pub const fn holds_back(state: &RobotState) -> bool {
    match state.safety {
        SafetyState::Driving => false,
        SafetyState::Ready => !matches!(state.reason, Reason::None | Reason::DeadmanReleased),
        SafetyState::Idle | SafetyState::Stopped | SafetyState::EmergencyStopped => true,
    }
}

/// What `state` says about the packet `seq` of the lease of `opened`.
pub fn of(state: &RobotState, opened: &Opened, seq: u32) -> Verdict {
    if let Some(why) = end_of(state, opened) {
        return Verdict::Ended(why);
    }
    if state.lease != Some(opened.lease_id) || state.command_seq < seq {
        return Verdict::Unknown;
    }
    if holds_back(state) { Verdict::Refused } else { Verdict::Obeyed }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use protocol::ids::LeaseId;
    use protocol::units::WallMs;

    pub(crate) fn state(
        safety: SafetyState,
        reason: Reason,
        lease: LeaseId,
        epoch: u64,
        command_seq: u32,
    ) -> RobotState {
        RobotState {
            robot: "rover-1".parse().unwrap(),
            seq: 1,
            at: WallMs(1),
            robot_ms: 1,
            safety,
            reason,
            lease: Some(lease),
            epoch,
            last_ended: None,
            position: None,
            heading_deg: None,
            speed_mps: 0.0,
            yaw_radps: 0.0,
            limit_mps: 0.0,
            battery: None,
            loop_latency_ms: None,
            command_seq,
            minimal_risk: None,
            episodes_waiting: 0,
            version: "test".to_owned(),
            settings_version: 0,
            troubles: Vec::new(),
        }
    }

    #[test]
    fn only_a_state_that_counted_the_packet_judges_it() {
        let lease = LeaseId::new(uuid::Uuid::from_u128(1));
        let opened = Opened {
            lease_id: lease,
            episode: lease.into(),
            epoch: 3,
            ttl_ms: 30_000,
            mission: None,
        };
        let cases = [
            (SafetyState::Driving, Reason::None, 5, Verdict::Obeyed),
            (SafetyState::Driving, Reason::ObstacleNear, 6, Verdict::Obeyed),
            (SafetyState::Driving, Reason::None, 4, Verdict::Unknown),
            (SafetyState::Ready, Reason::DeadmanReleased, 9, Verdict::Obeyed),
            (SafetyState::Ready, Reason::RearmNeeded, 9, Verdict::Refused),
            (SafetyState::Stopped, Reason::VideoStale, 5, Verdict::Refused),
            (SafetyState::EmergencyStopped, Reason::Estop, 5, Verdict::Refused),
            (SafetyState::Idle, Reason::NoLease, 5, Verdict::Refused),
        ];
        for (safety, reason, command_seq, expected) in cases {
            let state = state(safety, reason, lease, 3, command_seq);
            assert_eq!(of(&state, &opened, 5), expected, "{safety:?} {reason:?}");
        }
        let other = state(SafetyState::Driving, Reason::None, lease, 4, 9);
        assert_eq!(of(&other, &opened, 5), Verdict::Ended("fenced".to_owned()));
    }
}
