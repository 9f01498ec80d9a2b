//! Which frames of a camera become live video.

use protocol::units::MonoNs;
use std::time::Duration;

/// What the link has asked for.
#[derive(Debug, Default)]
pub(super) struct LiveVideo {
    /// Width and height, where they are not the configured ones.
    pub(super) size: Option<(u32, u32)>,
    /// Time between frames, ns; 0: all of them.
    every_ns: u64,
    /// When the next is due.
    due: MonoNs,
    hold: MonoNs,
    /// Frames are never further apart than this while they are held.
    apart_max_ns: u64,
    /// When one was let through last.
    newest: MonoNs,
    /// Until when none is let through; the first one then is, whatever else holds it back.
    pause: Option<MonoNs>,
}

impl LiveVideo {
    pub(super) fn set_fps(&mut self, fps: u32, of: u32) {
        self.every_ns = if fps >= of { 0 } else { 1_000_000_000 / u64::from(fps.max(1)) };
    }

    /// Whether some frames are left out.
    pub(super) const fn is_slowed(&self) -> bool {
        self.every_ns > 0
    }

    pub(super) fn hold(&mut self, until: MonoNs, apart_max: Duration) {
        self.hold = self.hold.max(until);
        self.apart_max_ns = u64::try_from(apart_max.as_nanos()).unwrap_or(u64::MAX);
    }

    pub(super) fn pause(&mut self, until: MonoNs) {
        self.pause = Some(until);
    }

    /// Whether the frame captured then is encoded.
    pub(super) fn lets(&mut self, capture: MonoNs, now: MonoNs) -> bool {
        let held = now < self.hold && now.since(self.newest) < self.apart_max_ns;
        // A quarter of slack: a camera's frames do not come to the nanosecond.
        let early = self.every_ns > 0 && capture.0 + self.every_ns / 4 < self.due.0;
        let lets = match self.pause {
            Some(until) if now < until => false,
            Some(_) => true,
            None => !(held || early),
        };
        if !lets {
            return false;
        }
        self.pause = None;
        self.newest = now;
        if self.every_ns > 0 {
            let next = self.due.0 + self.every_ns;
            let behind = next + self.every_ns < capture.0;
            self.due = MonoNs(if behind { capture.0 + self.every_ns } else { next });
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(live: &mut LiveVideo, from_ms: u64, to_ms: u64) -> u32 {
        let frames = (0..).map(|n| from_ms + n * 1_000 / 30).take_while(|ms| *ms < to_ms);
        let at = |ms: u64| MonoNs(ms * 1_000_000);
        frames.map(|ms| u32::from(live.lets(at(ms), at(ms + 5)))).sum()
    }

    #[test]
    fn a_rate_lets_so_many_through_evenly() {
        let mut live = LiveVideo::default();
        assert_eq!(passed(&mut live, 1_000, 2_000), 30);
        for fps in [5, 7, 10, 15] {
            live.set_fps(fps, 30);
            let begin = u64::from(fps) * 10_000;
            let n = passed(&mut live, begin, begin + 4_000);
            assert!(n.abs_diff(4 * fps) <= 1, "{n} at {fps}");
        }
        live.set_fps(30, 30);
        assert_eq!(passed(&mut live, 500_000, 501_000), 30);
    }

    #[test]
    fn a_pause_ends_with_a_frame_at_once_whatever_holds_them() {
        let mut live = LiveVideo::default();
        live.set_fps(5, 30);
        let at = |ms: u64| MonoNs(ms * 1_000_000);
        assert!(live.lets(at(1_000), at(1_005)));
        live.hold(at(2_000), Duration::from_millis(200));
        live.pause(at(1_105));
        let passed: Vec<u64> =
            (1_033..1_500).step_by(33).filter(|ms| live.lets(at(*ms), at(ms + 5))).collect();
        assert_eq!(passed[0], 1_132, "the first one after it");
        assert!(passed[1] >= 1_132 + 199, "{passed:?}: then they are held again");
    }

    #[test]
    fn what_is_held_still_gives_five_a_second() {
        let mut live = LiveVideo::default();
        live.hold(MonoNs(13_000_000_000), Duration::from_millis(200));
        live.hold(MonoNs(11_000_000_000), Duration::from_millis(200));
        let n = passed(&mut live, 10_000, 12_000);
        assert!((8..=11).contains(&n), "{n}");
        assert_eq!(passed(&mut live, 20_000, 21_000), 30);
    }
}
