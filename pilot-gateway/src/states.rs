//! The newest state of each robot that someone here asks about, verified with the robot's key.
//!
//! A robot's key comes from the fleet: in a signed lease, or from the robot's page. States of robots that nobody
//! asks about are dropped unread, so the fleet's size costs this gateway nothing.

use protocol::ids::RobotId;
use protocol::keys::Did;
use protocol::state::RobotState;
use protocol::units::MonoMs;
use protocol::{keyexpr, message};
use std::collections::BTreeMap;

/// Longest state message that is read, bytes.
pub const STATE_LEN_MAX: usize = 16 * 1024;
/// A key learned from the robot's page is asked for again after this time; a lease brings it anew anyway.
pub const KEY_KEPT_MS: u64 = 60_000;

#[derive(Debug)]
struct Robot {
    did: Did,
    learned_at: MonoMs,
    newest: Option<(RobotState, MonoMs)>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The newest state of this robot.
    New,
    /// Nobody asked about this robot.
    Unwatched,
    /// Older than what is known: repeated or reordered.
    Old,
    /// Not signed by the robot, or no state of it.
    Refused,
}

/// Newest states by robot.
#[derive(Debug, Default)]
pub struct States {
    robots: BTreeMap<RobotId, Robot>,
}

impl States {
    /// From now on, states of `robot` signed by `did` are kept.
    pub fn watch(&mut self, now: MonoMs, robot: &RobotId, did: Did) {
        match self.robots.get_mut(robot) {
            Some(known) if known.did == did => known.learned_at = now,
            _ => {
                let new = Robot { did, learned_at: now, newest: None };
                self.robots.insert(robot.clone(), new);
            }
        }
    }

    /// The robot's key, if it was learned not long ago.
    pub fn key_of(&self, now: MonoMs, robot: &RobotId) -> Option<Did> {
        let known = self.robots.get(robot)?;
        (now.since(known.learned_at) < KEY_KEPT_MS).then_some(known.did)
    }

    /// A message arrived on `key_expr`.
    pub fn heard(
        &mut self,
        now: MonoMs,
        key_expr: &str,
        payload: &[u8],
        attachment: &[u8],
    ) -> Heard {
        let Some(robot) = keyexpr::robot_of(key_expr) else { return Heard::Refused };
        let Some(known) = self.robots.get_mut(&robot) else { return Heard::Unwatched };
        let signed = payload.len() <= STATE_LEN_MAX
            && message::verify(key_expr, payload, attachment, &known.did).is_ok();
        let state = match serde_json::from_slice::<RobotState>(payload) {
            Ok(state) if signed && state.robot == robot => state,
            Ok(_) | Err(_) => return Heard::Refused,
        };
        // A restarted robot counts its monotonic clock anew, but its wall clock goes on.
        let newer = known
            .newest
            .as_ref()
            .is_none_or(|(newest, _)| state.robot_ms > newest.robot_ms || state.at > newest.at);
        if !newer {
            return Heard::Old;
        }
        known.newest = Some((state, now));
        Heard::New
    }

    /// The newest state of `robot` and its age in milliseconds.
    pub fn newest(&self, now: MonoMs, robot: &RobotId) -> Option<(&RobotState, u64)> {
        let (state, arrived) = self.robots.get(robot)?.newest.as_ref()?;
        Some((state, now.since(*arrived)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::keys::PrivateKey;
    use protocol::safety::{Reason, SafetyState};
    use protocol::units::WallMs;

    fn state(seq: u64) -> RobotState {
        RobotState {
            robot: "rover-1".parse().unwrap(),
            seq,
            at: WallMs(1_000 + seq),
            robot_ms: 50 + seq,
            safety: SafetyState::Idle,
            reason: Reason::NoLease,
            lease: None,
            epoch: 0,
            last_ended: None,
            position: None,
            heading_deg: None,
            speed_mps: 0.0,
            yaw_radps: 0.0,
            limit_mps: 0.0,
            battery: None,
            loop_latency_ms: None,
            command_seq: 0,
            minimal_risk: None,
            episodes_waiting: 0,
            version: "test".to_owned(),
            settings_version: 0,
            troubles: Vec::new(),
        }
    }

    #[test]
    fn only_what_the_robot_signed_for_its_own_key_counts() {
        let (key, other) = (PrivateKey::from_seed(&[1; 32]), PrivateKey::from_seed(&[2; 32]));
        let robot: RobotId = "rover-1".parse().unwrap();
        let at = keyexpr::state(&robot);
        let body = |state: &RobotState| serde_json::to_vec(state).unwrap();
        let first = body(&state(1));
        let mut states = States::default();
        let now = MonoMs(10);
        let sig = |bytes: &[u8], key| message::sign(&at, bytes, key);
        assert_eq!(states.heard(now, &at, &first, &sig(&first, &key)), Heard::Unwatched);
        states.watch(now, &robot, key.did());
        assert_eq!(states.heard(now, &at, &first, &sig(&first, &other)), Heard::Refused);
        assert_eq!(states.heard(now, &at, &first, &[]), Heard::Refused);
        assert_eq!(states.heard(now, &at, &first, &sig(&first, &key)), Heard::New);
        assert_eq!(states.heard(now, &at, &first, &sig(&first, &key)), Heard::Old, "replayed");
        let junk = b"{}".to_vec();
        assert_eq!(states.heard(now, &at, &junk, &sig(&junk, &key)), Heard::Refused);
        let mut foreign = state(2);
        foreign.robot = "rover-2".parse().unwrap();
        let foreign = body(&foreign);
        assert_eq!(states.heard(now, &at, &foreign, &sig(&foreign, &key)), Heard::Refused);
        assert_eq!(states.heard(now, "longrein/v1/robots/*/state", &first, &[]), Heard::Refused);
        let (newest, age) = states.newest(now.plus(70), &robot).unwrap();
        assert_eq!((newest.seq, age), (1, 70));
        // Another key for the same robot: what the old key said no longer counts.
        states.watch(now, &robot, other.did());
        assert!(states.newest(now, &robot).is_none());
    }

    #[test]
    fn a_key_is_forgotten_after_a_while() {
        let robot: RobotId = "rover-1".parse().unwrap();
        let did = PrivateKey::from_seed(&[1; 32]).did();
        let mut states = States::default();
        states.watch(MonoMs(0), &robot, did);
        assert_eq!(states.key_of(MonoMs(59_999), &robot), Some(did));
        assert_eq!(states.key_of(MonoMs(60_000), &robot), None);
    }
}
