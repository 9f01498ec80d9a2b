//! Notices when a program drives without a fresh picture, so that the episode says so. Decides nothing: that is the
//! safety core's.

use agent_core::{Outputs, Policy, Twist};
use protocol::safety::SafetyState;
use protocol::units::MonoMs;

/// It is over when it did not happen for so long.
const OVER_AFTER_MS: u64 = 1_000;

/// What the episode must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Began,
    Ended,
}

/// The watch.
#[derive(Debug)]
pub(crate) struct Watch {
    seen_video_ms_max: u64,
    newest: Option<MonoMs>,
}

impl Watch {
    pub(crate) fn new(policy: &Policy) -> Self {
        Self { seen_video_ms_max: u64::from(policy.seen_video_ms_max), newest: None }
    }

    /// A new episode was told nothing yet.
    pub(crate) fn forget(&mut self) {
        self.newest = None;
    }

    /// After a step of the core under a lease; `program` says whether it is a program's, `arrived` when the newest
    /// command that counts did.
    pub(crate) fn step(
        &mut self,
        now: MonoMs,
        program: bool,
        outputs: &Outputs,
        arrived: Option<MonoMs>,
    ) -> Option<Change> {
        let moves = outputs.state == SafetyState::Driving && outputs.executed != Twist::ZERO;
        let seen_age_ms = outputs.loop_latency_ms.map(|ms| {
            u64::from(ms).saturating_add(arrived.map_or(0, |arrived| now.since(arrived)))
        });
        let stale = seen_age_ms.is_none_or(|age_ms| age_ms > self.seen_video_ms_max);
        if program && moves && stale {
            return self.newest.replace(now).is_none().then_some(Change::Began);
        }
        let over = self.newest.is_some_and(|newest| now.since(newest) >= OVER_AFTER_MS);
        over.then(|| {
            self.newest = None;
            Change::Ended
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::Status;

    fn outputs(loop_latency_ms: Option<u32>, linear_mmps: i32) -> Outputs {
        let executed = Twist { linear_mmps, angular_mradps: 0 };
        let state = SafetyState::Driving;
        Outputs { loop_latency_ms, executed, state, ..Status::default().outputs }
    }

    #[test]
    fn an_episode_is_told_once_when_blind_driving_begins_and_ends() {
        let mut watch = Watch::new(&Policy::default());
        let at = |ms: u64| MonoMs(10_000 + ms);
        let sees = outputs(Some(100), 500);
        let blind = outputs(None, 500);
        assert_eq!(watch.step(at(0), true, &sees, Some(at(0))), None);
        assert_eq!(
            watch.step(at(10), false, &blind, Some(at(0))),
            None,
            "a person's is another rule"
        );
        assert_eq!(watch.step(at(10), true, &outputs(None, 0), Some(at(0))), None, "at rest");
        assert_eq!(watch.step(at(20), true, &blind, Some(at(0))), Some(Change::Began));
        assert_eq!(watch.step(at(30), true, &blind, Some(at(0))), None, "once");
        assert_eq!(watch.step(at(500), true, &sees, Some(at(450))), None, "a moment of sight");
        assert_eq!(watch.step(at(600), true, &blind, Some(at(0))), None);
        assert_eq!(watch.step(at(1_600), true, &sees, Some(at(1_600))), Some(Change::Ended));
        assert_eq!(watch.step(at(1_700), true, &sees, Some(at(1_700))), None);
        let old = outputs(Some(450), 500);
        assert_eq!(watch.step(at(2_000), true, &old, Some(at(1_900))), Some(Change::Began), "old");
        watch.forget();
        assert_eq!(watch.step(at(2_010), true, &blind, None), Some(Change::Began));
    }
}
