//! How well this robot brakes: learned from what its wheels were told and what odometry said then.
//!
//! A measurement begins when the wheels are told zero after they were told to move, and ends at rest. The way that the
//! robot needed gives the deceleration that, with the policy's reaction time, would have needed the same way:
//! v²/2a + v·r = s. A worse value counts at once, even before the robot is at rest; a better one only by an eighth per
//! stop, and never beyond what the policy counts on.

use crate::codec::{Reader, Writer};
use crate::inputs::Odometry;
use protocol::units::MonoMs;

/// A robot that is slower than this when told to stop teaches nothing, mm/s.
const START_MMPS_MIN: u32 = 300;
/// Slower than this is at rest, mm/s.
const REST_MMPS: u32 = 50;
/// A measurement with a longer hole in odometry is dropped, ms.
const HOLE_MS_MAX: u64 = 500;
/// Somebody who pushes a robot must not teach it: a measurement ends after this, ms.
const RUN_MS_MAX: u64 = 5_000;
/// The estimate never falls below this, mm/s².
const FLOOR_MMPS2: u32 = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Run {
    begun: MonoMs,
    /// Arrival of the newest odometry.
    newest: MonoMs,
    start_mmps: u32,
    newest_mmps: u32,
    way_um: u64,
}

/// The estimate and the measurement under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Braking {
    /// Deceleration that counts, mm/s².
    estimate_mmps2: u32,
    /// The wheels were told to move in the step before.
    moving: bool,
    run: Option<Run>,
}

impl Braking {
    pub(crate) const fn new(nominal_mmps2: u32) -> Self {
        Self { estimate_mmps2: nominal_mmps2, moving: false, run: None }
    }

    /// Deceleration that stopping distances count on, mm/s².
    pub(crate) const fn mmps2(&self) -> u32 {
        self.estimate_mmps2
    }

    /// Takes note of a step: whether the wheels are told to move, and what odometry says.
    pub(crate) fn step(
        &mut self,
        now: MonoMs,
        told_to_move: bool,
        odometry: Option<Odometry>,
        nominal_mmps2: u32,
        reaction_ms: u32,
    ) {
        let was_moving = std::mem::replace(&mut self.moving, told_to_move);
        let Some(odometry) = odometry.filter(|_| !told_to_move) else {
            self.run = None;
            return;
        };
        let mmps = odometry.speed_mmps.unsigned_abs();
        let Some(run) = self.run else {
            if was_moving && mmps >= START_MMPS_MIN {
                self.run = Some(Run {
                    begun: now,
                    newest: odometry.arrived,
                    start_mmps: mmps,
                    newest_mmps: mmps,
                    way_um: 0,
                });
            }
            return;
        };
        let hole_ms = odometry.arrived.since(run.newest);
        if hole_ms > HOLE_MS_MAX || now.since(run.begun) > RUN_MS_MAX {
            self.run = None;
            return;
        }
        let mean_mmps = u64::from(run.newest_mmps).saturating_add(u64::from(mmps)).div_ceil(2);
        let run = Run {
            newest: run.newest.max(odometry.arrived),
            newest_mmps: mmps,
            way_um: run.way_um.saturating_add(mean_mmps.saturating_mul(hole_ms)),
            ..run
        };
        let measured = decelerated(&run, reaction_ms).min(nominal_mmps2);
        let at_rest = mmps <= REST_MMPS;
        let floor = FLOOR_MMPS2.min(nominal_mmps2);
        self.estimate_mmps2 = self.estimate_mmps2.min(measured.max(floor));
        if at_rest {
            let better = measured.saturating_sub(self.estimate_mmps2).div_ceil(8);
            self.estimate_mmps2 = self.estimate_mmps2.saturating_add(better);
        }
        self.run = Some(run).filter(|_| !at_rest);
    }

    /// `u32 estimate, u8 flags (moving, run), 3 bytes 0, u64 begun, u64 newest, u32 start, u32 newest, u64 way`.
    pub(crate) fn write<const N: usize>(&self, w: &mut Writer<N>) {
        let run = self.run.unwrap_or_default();
        w.put(self.estimate_mmps2.to_le_bytes());
        w.put([u8::from(self.moving), u8::from(self.run.is_some()), 0, 0]);
        w.put(run.begun.0.to_le_bytes());
        w.put(run.newest.0.to_le_bytes());
        w.put(run.start_mmps.to_le_bytes());
        w.put(run.newest_mmps.to_le_bytes());
        w.put(run.way_um.to_le_bytes());
    }

    pub(crate) fn read(r: &mut Reader<'_>) -> Self {
        let estimate_mmps2 = r.u32();
        let [moving, runs, _, _] = r.take();
        let run = Run {
            begun: MonoMs(r.u64()),
            newest: MonoMs(r.u64()),
            start_mmps: r.u32(),
            newest_mmps: r.u32(),
            way_um: r.u64(),
        };
        Self { estimate_mmps2, moving: moving == 1, run: Some(run).filter(|_| runs == 1) }
    }
}

/// The deceleration that explains the way so far, mm/s²: an upper bound until the robot is at rest.
fn decelerated(run: &Run, reaction_ms: u32) -> u32 {
    let start = u64::from(run.start_mmps);
    let reaction_um = start.saturating_mul(u64::from(reaction_ms));
    let braked_um = run.way_um.saturating_sub(reaction_um);
    let twice = start.saturating_mul(start).saturating_mul(500);
    twice.checked_div(braked_um).map_or(u32::MAX, |a| u32::try_from(a).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A robot that goes at `mmps`, is told to stop, and brakes with `mmps2` after `lag_ms`.
    fn stop(braking: &mut Braking, at_ms: u64, mmps: i32, mmps2: i32, lag_ms: u64) -> u64 {
        let odometry =
            |ms, speed_mmps| Some(Odometry { arrived: MonoMs(ms), speed_mmps, yaw_mradps: 0 });
        braking.step(MonoMs(at_ms), true, odometry(at_ms, mmps), 1_500, 200);
        let mut ms = at_ms;
        loop {
            ms += 10;
            let braked_ms = i32::try_from((ms - at_ms).saturating_sub(lag_ms)).unwrap();
            let left = mmps - mmps.signum() * (mmps2 * braked_ms / 1_000).min(mmps.abs());
            braking.step(MonoMs(ms), false, odometry(ms, left), 1_500, 200);
            if left == 0 || ms - at_ms > 20_000 {
                return ms;
            }
        }
    }

    #[test]
    fn good_brakes_are_worth_what_the_policy_says() {
        let mut braking = Braking::new(1_500);
        stop(&mut braking, 1_000, 1_500, 6_000, 100);
        assert_eq!(braking.mmps2(), 1_500);
        assert_eq!(braking.run, None);
    }

    #[test]
    fn bad_brakes_count_at_once_and_better_ones_slowly() {
        for mmps in [1_500, -1_500] {
            let mut braking = Braking::new(1_500);
            // Braked with 0.8 m/s² after 200 ms: what the formula says, but for the last 50 mm/s.
            let mut ms = stop(&mut braking, 1_000, mmps, 800, 200);
            let bad = braking.mmps2();
            assert!((780..=815).contains(&bad), "{bad}");
            ms = stop(&mut braking, ms + 1_000, mmps, 6_000, 100);
            assert_eq!(braking.mmps2(), bad + (1_500 - bad).div_ceil(8));
            for _ in 0..60 {
                ms = stop(&mut braking, ms + 1_000, mmps, 6_000, 100);
            }
            assert_eq!(braking.mmps2(), 1_500);
        }
    }

    #[test]
    fn brakes_that_do_nothing_are_known_before_the_robot_is_at_rest() {
        let mut braking = Braking::new(1_500);
        let odometry =
            |ms| Some(Odometry { arrived: MonoMs(ms), speed_mmps: 1_000, yaw_mradps: 0 });
        braking.step(MonoMs(1_000), true, odometry(1_000), 1_500, 200);
        for ms in (1_010..2_200).step_by(10) {
            braking.step(MonoMs(ms), false, odometry(ms), 1_500, 200);
        }
        // A second of rolling beyond the reaction: 1 m/s over 1 m is 0.5 m/s² at best.
        assert!((500..=530).contains(&braking.mmps2()), "{}", braking.mmps2());
        for ms in (2_200..9_000).step_by(10) {
            braking.step(MonoMs(ms), false, odometry(ms), 1_500, 200);
            assert_eq!(braking.run.is_some(), ms <= 1_010 + RUN_MS_MAX, "{ms}");
        }
        assert_eq!(braking.mmps2(), 200, "the floor");
        assert_eq!(braking.run, None, "a robot that is pushed teaches nothing more");
    }

    #[test]
    fn a_slow_robot_a_pushed_one_and_one_without_odometry_teach_nothing() {
        let mut braking = Braking::new(1_500);
        stop(&mut braking, 1_000, 299, 20, 200);
        assert_eq!(braking.mmps2(), 1_500);
        let mut just = Braking::new(1_500);
        stop(&mut just, 1_000, 300, 20, 200);
        assert!(just.mmps2() < 1_500);
        let odometry =
            |ms, speed_mmps| Some(Odometry { arrived: MonoMs(ms), speed_mmps, yaw_mradps: 0 });
        // At rest for long, then pushed.
        for ms in (20_000..24_000).step_by(10) {
            braking.step(MonoMs(ms), false, odometry(ms, 1_000), 1_500, 200);
        }
        // A hole in odometry, and an order to go on.
        braking.step(MonoMs(30_000), true, odometry(30_000, 1_000), 1_500, 200);
        braking.step(MonoMs(30_010), false, odometry(30_010, 1_000), 1_500, 200);
        braking.step(MonoMs(30_510), false, odometry(30_510, 1_000), 1_500, 200);
        assert!(braking.run.is_some(), "half a second is no hole");
        assert_eq!(braking.run.unwrap().way_um, 500_000);
        braking.run = braking.run.map(|run| Run { newest: MonoMs(30_010), way_um: 0, ..run });
        braking.step(MonoMs(30_511), false, odometry(30_511, 900), 1_500, 200);
        assert_eq!(braking.run, None);
        braking.step(MonoMs(31_000), true, odometry(31_000, 1_000), 1_500, 200);
        braking.step(MonoMs(31_010), false, odometry(31_010, 1_000), 1_500, 200);
        braking.step(MonoMs(31_020), true, odometry(31_020, 1_000), 1_500, 200);
        assert_eq!(braking.run, None);
        braking.step(MonoMs(31_030), false, None, 1_500, 200);
        assert_eq!((braking.run, braking.mmps2()), (None, 1_500));
    }

    #[test]
    fn a_snapshot_gives_it_back() {
        let mut braking = Braking::new(1_500);
        let odometry = |ms| Some(Odometry { arrived: MonoMs(ms), speed_mmps: 900, yaw_mradps: 0 });
        for told in [true, false, false] {
            braking.step(MonoMs(1_000), told, odometry(1_000), 1_500, 200);
            let mut w = Writer::<40>::new();
            braking.write(&mut w);
            assert_eq!(Braking::read(&mut Reader::new(&w.finish())), braking);
        }
        assert!(braking.run.is_some());
    }
}
