//! Which pictures go out to spectators. The driver's come first: what spectators get is bounded, and given up at once when the
//! way out is short. Pure.

use protocol::units::MonoMs;
use protocol::watch::VideoHeard;
use std::collections::VecDeque;

/// A gateway says several times a second that somebody watches; when it has been silent for this long, nobody does.
const HEARD_WITHIN_MS: u64 = 2_000;
/// A frame that has not arrived after this long lies in a queue, and more would lie there for longer.
const WAITING_MS_MAX: u64 = 1_200;
/// Frames that are under way at most; more are forgotten, and count as waiting.
const UNDER_WAY_MAX: usize = 256;
/// A queue that nobody reports on any more is taken to be gone.
const GIVEN_UP_MS: u64 = 5_000;
/// The bitrate may be exceeded for so long: a keyframe, and what was saved before.
const BURST_MS: u64 = 1_500;
/// A keyframe is not forced for spectators sooner after the one before: the driver's picture pays for each.
const KEYFRAME_APART_MS: u64 = 1_000;
/// How long spectators get keyframes only once the driver's link was short: at first, and when it was so again and
/// again as soon as they got all of it.
const REST_MS: (u64, u64) = (5_000, 160_000);
/// If the link carries both for so long, the next trouble counts as the first.
const PROVEN_MS: u64 = 60_000;

/// What the driver's link says about the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    /// Nobody drives over a link of this robot.
    None,
    /// The driver gets the video as it is configured.
    Full,
    /// The driver gets less: the way out is short.
    Short,
}

/// A frame that could go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offered {
    pub(crate) seq: u64,
    pub(crate) keyframe: bool,
    pub(crate) len: usize,
}

/// The decision, one camera's.
#[derive(Debug)]
pub(crate) struct Gate {
    bytes_per_s: u64,
    /// Bytes that may go out, and since when they are counted.
    left: u64,
    since: MonoMs,
    heard: Option<MonoMs>,
    /// Number and time of frames that went out and were not reported.
    under_way: VecDeque<(u64, MonoMs)>,
    /// Set while frames lie in a queue on the way.
    blocked: bool,
    /// Whether the next frame has to be a keyframe.
    awaits_keyframe: bool,
    keyframe_wanted: bool,
    newest_keyframe: Option<MonoMs>,
    /// Keyframes only until then, for the driver's sake.
    rest_until: Option<MonoMs>,
    rest_ms: u64,
    rested: Option<MonoMs>,
}

impl Gate {
    /// A gate that lets so much through.
    pub(crate) fn new(kbps_max: u32) -> Self {
        let bytes_per_s = u64::from(kbps_max) * 125;
        Self {
            bytes_per_s,
            left: bytes_per_s * BURST_MS / 1_000,
            since: MonoMs(0),
            heard: None,
            under_way: VecDeque::new(),
            blocked: false,
            awaits_keyframe: true,
            keyframe_wanted: false,
            newest_keyframe: None,
            rest_until: None,
            rest_ms: REST_MS.0,
            rested: None,
        }
    }

    /// A gateway says what has arrived there.
    pub(crate) fn heard(&mut self, now: MonoMs, heard: &VideoHeard) {
        self.heard = Some(now);
        self.keyframe_wanted |= heard.keyframe;
        // Of several gateways the one that hears most: what it got has left the robot.
        while self.under_way.front().is_some_and(|(seq, _)| *seq <= heard.seq) {
            self.under_way.pop_front();
        }
        if self.blocked && self.under_way.is_empty() {
            self.blocked = false;
        }
    }

    /// Whether anybody watches.
    pub(crate) fn is_watched(&self, now: MonoMs) -> bool {
        self.heard.is_some_and(|heard| now.since(heard) < HEARD_WITHIN_MS)
    }

    /// Whether this frame goes out.
    pub(crate) fn lets(&mut self, now: MonoMs, offered: &Offered, driver: Driver) -> bool {
        if offered.keyframe {
            self.newest_keyframe = Some(now);
        }
        if !self.is_watched(now) {
            self.under_way.clear();
            (self.blocked, self.awaits_keyframe) = (false, true);
            return false;
        }
        self.look_at_queue(now);
        let rests = self.rests(now, driver);
        let possible = !self.blocked && (offered.keyframe || !(rests || self.awaits_keyframe));
        if !possible || !self.affords(now, offered.len) {
            // What follows a frame that was left out cannot be decoded.
            self.awaits_keyframe = true;
            return false;
        }
        (self.awaits_keyframe, self.keyframe_wanted) =
            (false, self.keyframe_wanted && !offered.keyframe);
        if self.under_way.len() >= UNDER_WAY_MAX {
            self.blocked = true;
        }
        self.under_way.push_back((offered.seq, now));
        true
    }

    /// A frame was lost before it could be offered.
    pub(crate) const fn missed(&mut self) {
        self.awaits_keyframe = true;
    }

    /// Whether a keyframe is to be made for spectators now.
    pub(crate) fn wants_keyframe(&self, now: MonoMs, driver: Driver) -> bool {
        let recent = |at: MonoMs| now.since(at) < KEYFRAME_APART_MS;
        let rests = self.rest_until.is_some_and(|until| now < until) || driver == Driver::Short;
        (self.keyframe_wanted || self.awaits_keyframe)
            && self.is_watched(now)
            && !self.blocked
            && !rests
            && !self.newest_keyframe.is_some_and(recent)
    }

    fn look_at_queue(&mut self, now: MonoMs) {
        let Some(waits_ms) = self.under_way.front().map(|(_, at)| now.since(*at)) else { return };
        if waits_ms > GIVEN_UP_MS {
            self.under_way.clear();
            self.blocked = false;
            self.awaits_keyframe = true;
        } else if waits_ms > WAITING_MS_MAX {
            self.blocked = true;
        }
    }

    /// Whether the driver's link needs the way out for itself.
    fn rests(&mut self, now: MonoMs, driver: Driver) -> bool {
        let resting = self.rest_until.is_some_and(|until| now < until);
        if driver != Driver::Short {
            if !resting && self.rest_until.take().is_some() {
                self.rested = Some(now);
            }
            if self.rested.is_some_and(|at| now.since(at) > PROVEN_MS) {
                (self.rested, self.rest_ms) = (None, REST_MS.0);
            }
            return resting && driver == Driver::Full;
        }
        if !resting && self.rested.take().is_some() {
            self.rest_ms = (self.rest_ms * 2).min(REST_MS.1);
        }
        self.rest_until = Some(now.plus(self.rest_ms));
        true
    }

    fn affords(&mut self, now: MonoMs, len: usize) -> bool {
        let passed = now.since(self.since).min(60_000);
        self.since = now;
        let full = self.bytes_per_s * BURST_MS / 1_000;
        self.left = (self.left + passed * self.bytes_per_s / 1_000).min(full);
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        let rest = self.left.checked_sub(len);
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        gate: Gate,
        now: MonoMs,
        seq: u64,
        /// What has arrived; `None`: the gateway is silent.
        arrives: bool,
        driver: Driver,
        len: usize,
    }

    impl Scene {
        fn new(kbps_max: u32) -> Self {
            let (gate, now) = (Gate::new(kbps_max), MonoMs(100_000));
            Self { gate, now, seq: 0, arrives: true, driver: Driver::None, len: 8_000 }
        }

        fn heard(&mut self, seq: u64, keyframe: bool) {
            self.gate.heard(self.now, &VideoHeard { seq, capture_ms: 0, keyframe });
        }

        /// So many milliseconds at 30 frames a second with a keyframe every two: numbers of those that went out, and how
        /// often a keyframe was to be forced.
        fn run(&mut self, ms: u64) -> (Vec<u64>, usize) {
            let (mut out, mut forced) = (Vec::new(), 0);
            for _ in 0..ms / 33 {
                self.now = self.now.plus(33);
                self.seq += 1;
                forced += usize::from(self.gate.wants_keyframe(self.now, self.driver));
                let keyframe = self.seq.is_multiple_of(60);
                let offered = Offered { seq: self.seq, keyframe, len: self.len };
                if self.gate.lets(self.now, &offered, self.driver) {
                    out.push(self.seq);
                }
                if self.arrives && self.seq.is_multiple_of(6) {
                    let seq = self.seq;
                    self.heard(seq, false);
                }
            }
            (out, forced)
        }
    }

    #[test]
    fn nothing_goes_out_while_nobody_watches() {
        let mut scene = Scene::new(6_000);
        scene.arrives = false;
        assert!(scene.run(4_000).0.is_empty());
        scene.arrives = true;
        let (out, _) = scene.run(6_000);
        assert!(out[0].is_multiple_of(60), "it begins with a keyframe");
        assert!(out.windows(2).all(|pair| pair[1] == pair[0] + 1), "and all that follow");
        scene.arrives = false;
        scene.run(HEARD_WITHIN_MS + 100);
        assert!(scene.run(2_000).0.is_empty());
    }

    #[test]
    fn a_keyframe_is_forced_for_whoever_comes_and_then_no_more_than_one_a_second() {
        let mut scene = Scene::new(6_000);
        scene.seq = 5;
        scene.heard(0, false);
        assert!(scene.gate.wants_keyframe(scene.now, Driver::Full), "it has nothing to begin with");
        assert!(!scene.gate.wants_keyframe(scene.now, Driver::Short), "not at the driver's cost");
        let keyframe = Offered { seq: 6, keyframe: true, len: 9 };
        assert!(scene.gate.lets(scene.now, &keyframe, Driver::Full));
        for _ in 0..50 {
            scene.heard(6, true);
            assert!(!scene.gate.wants_keyframe(scene.now, Driver::Full), "a flood of wishes");
        }
        scene.now = scene.now.plus(KEYFRAME_APART_MS);
        assert!(scene.gate.wants_keyframe(scene.now, Driver::Full));
    }

    #[test]
    fn above_the_bitrate_pictures_are_left_out_up_to_the_next_keyframe() {
        // 8000 bytes at 30 a second are 1.9 Mbit/s.
        let mut scene = Scene::new(1_000);
        scene.heard(0, false);
        let (out, _) = scene.run(60_000);
        let bytes = out.len() * 8_000;
        assert!((5_000_000..=7_700_000).contains(&bytes), "{bytes}: 125 kB/s and the burst");
        for pair in out.windows(2) {
            assert!(pair[1] == pair[0] + 1 || pair[1].is_multiple_of(60), "{pair:?}");
        }
    }

    #[test]
    fn what_waits_on_the_way_is_not_added_to() {
        let mut scene = Scene::new(6_000);
        scene.heard(0, false);
        let last = *scene.run(4_000).0.last().unwrap();
        // The gateway lives, but nothing new arrives there.
        scene.arrives = false;
        let mut more = 0;
        for _ in 0..30 {
            more += scene.run(100).0.len();
            scene.heard(last, false);
        }
        assert!((30..45).contains(&more), "{more} in three seconds: those of the first 1.2");
        scene.arrives = true;
        let newest = scene.seq;
        scene.heard(newest, false);
        let (out, forced) = scene.run(3_000);
        assert!(!out.is_empty() && forced > 0, "then it goes on with a keyframe");
    }

    #[test]
    fn the_drivers_short_link_costs_spectators_everything_but_keyframes_and_longer_each_time() {
        let mut scene = Scene::new(6_000);
        scene.heard(0, false);
        scene.driver = Driver::Full;
        assert!(scene.run(4_000).0.len() > 60);
        let mut rests = Vec::new();
        for _ in 0..4 {
            scene.driver = Driver::Short;
            let (out, forced) = scene.run(3_000);
            assert!(out.iter().all(|seq| seq.is_multiple_of(60)) && forced == 0, "{out:?}");
            scene.driver = Driver::Full;
            let begun = scene.now;
            while scene.run(100).0.iter().all(|seq| seq.is_multiple_of(60)) {}
            rests.push(scene.now.since(begun));
        }
        assert!(rests.windows(2).all(|pair| pair[1] > pair[0] + 2_000), "{rests:?}");
        scene.run(PROVEN_MS + 1_000);
        assert_eq!(scene.gate.rest_ms, REST_MS.0, "proven, it begins anew");
        scene.driver = Driver::Short;
        scene.run(100);
        scene.driver = Driver::None;
        scene.run(3_000);
        assert!(
            scene.run(1_000).0.len() > 25,
            "with the driver gone there is nothing to give way to"
        );
    }
}
