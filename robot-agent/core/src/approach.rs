//! How fast things come towards the robot, ahead and behind, from one laser scan to the next.
//!
//! The free way shrinks by the robot's own speed and by that of what stands in it. Only the second is told here. One
//! reading is not enough: what walks in from the side makes the way jump once, so two in a row must agree and the
//! slower one counts. While the robot turns, the corridor sweeps over the world and nothing is told.

use crate::codec::{Reader, Writer};
use crate::inputs::{Odometry, Scan};
use protocol::units::MonoMs;

/// Readings closer together tell more noise than speed, ms.
const STEP_MS_MIN: u64 = 40;
/// Readings further apart have nothing to do with each other, ms.
const STEP_MS_MAX: u64 = 500;
/// Slower than this is noise, mm/s.
const APPROACH_MMPS_MIN: i64 = 400;
/// Turning faster than this says nothing, mrad/s.
const YAW_MRADPS_MAX: u32 = 300;

/// What the last two pairs of scans said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Approach {
    newest: Option<Scan>,
    /// Of the newest pair: ahead, behind.
    raw_mmps: [u32; 2],
    /// The slower of the newest two.
    mmps: [u32; 2],
}

impl Approach {
    /// How fast something comes towards the robot's front and back, mm/s; 0 for nothing.
    pub(crate) const fn mmps(&self) -> [u32; 2] {
        self.mmps
    }

    /// Takes note of the newest scan.
    pub(crate) fn step(&mut self, scan: Option<Scan>, odometry: Option<Odometry>, mmps_max: u32) {
        let Some(scan) = scan else {
            *self = Self::default();
            return;
        };
        let Some(before) = self.newest else {
            self.newest = Some(scan);
            return;
        };
        let dt_ms = scan.arrived.since(before.arrived);
        if dt_ms < STEP_MS_MIN {
            return;
        }
        let odometry = odometry.unwrap_or_default();
        let straight = odometry.yaw_mradps.unsigned_abs() <= YAW_MRADPS_MAX;
        let own = i64::from(odometry.speed_mmps);
        let told = |from: Option<u32>, to: Option<u32>, own: i64| {
            let gone = i64::from(from?).saturating_sub(i64::from(to?)).saturating_mul(1_000);
            let closing = gone.checked_div(i64::try_from(dt_ms).ok()?)?;
            let mmps = closing.saturating_sub(own);
            let plausible = mmps >= APPROACH_MMPS_MIN && mmps <= i64::from(mmps_max);
            u32::try_from(mmps).ok().filter(|_| plausible)
        };
        let raw = if straight && dt_ms <= STEP_MS_MAX {
            [
                told(before.ahead_mm, scan.ahead_mm, own).unwrap_or(0),
                told(before.behind_mm, scan.behind_mm, own.saturating_neg()).unwrap_or(0),
            ]
        } else {
            [0; 2]
        };
        let [ahead, behind] = raw;
        let [ahead_before, behind_before] = self.raw_mmps;
        self.mmps = [ahead.min(ahead_before), behind.min(behind_before)];
        self.raw_mmps = raw;
        self.newest = Some(scan);
    }

    /// `u64 arrived, u32 ahead, u32 behind (u32::MAX none), u8 known, 7 bytes 0, 4 times u32`.
    pub(crate) fn write<const N: usize>(&self, w: &mut Writer<N>) {
        let scan = self.newest.unwrap_or_default();
        w.put(scan.arrived.0.to_le_bytes());
        w.put(scan.ahead_mm.unwrap_or(u32::MAX).to_le_bytes());
        w.put(scan.behind_mm.unwrap_or(u32::MAX).to_le_bytes());
        w.put([u8::from(self.newest.is_some()), 0, 0, 0, 0, 0, 0, 0]);
        for mmps in self.raw_mmps.into_iter().chain(self.mmps) {
            w.put(mmps.to_le_bytes());
        }
    }

    pub(crate) fn read(r: &mut Reader<'_>) -> Self {
        let way = |mm| Some(mm).filter(|mm| *mm != u32::MAX);
        let scan =
            Scan { arrived: MonoMs(r.u64()), ahead_mm: way(r.u32()), behind_mm: way(r.u32()) };
        let [known, ..] = r.take::<8>();
        Self {
            newest: Some(scan).filter(|_| known == 1),
            raw_mmps: [r.u32(), r.u32()],
            mmps: [r.u32(), r.u32()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(approach: &mut Approach, ms: u64, ahead_mm: u32, own: Odometry) -> [u32; 2] {
        let scan = Scan {
            arrived: MonoMs(ms),
            ahead_mm: Some(ahead_mm),
            behind_mm: Some(12_000 - ahead_mm),
        };
        approach.step(Some(scan), Some(own), 2_500);
        approach.mmps()
    }

    fn going(speed_mmps: i32) -> Odometry {
        Odometry { arrived: MonoMs(0), speed_mmps, yaw_mradps: 0 }
    }

    #[test]
    fn a_walker_is_told_from_the_robots_own_speed_after_two_pairs() {
        let mut approach = Approach::default();
        assert_eq!(see(&mut approach, 1_000, 6_000, going(1_000)), [0, 0]);
        assert_eq!(see(&mut approach, 1_100, 5_760, going(1_000)), [0, 0]);
        assert_eq!(see(&mut approach, 1_200, 5_530, going(1_000)), [1_300, 0], "the slower pair");
        assert_eq!(
            see(&mut approach, 1_300, 5_430, going(1_000)),
            [0, 0],
            "a wall: none of its own"
        );
        // One that overtakes from behind.
        assert_eq!(see(&mut approach, 1_400, 5_530, going(500)), [0, 0]);
        assert_eq!(see(&mut approach, 1_500, 5_630, going(500)), [0, 1_500]);
    }

    #[test]
    fn jumps_noise_turns_and_holes_tell_nothing() {
        let mut approach = Approach::default();
        see(&mut approach, 1_000, 6_000, going(0));
        assert_eq!(see(&mut approach, 1_100, 2_000, going(0)), [0, 0], "somebody stepped in");
        assert_eq!(see(&mut approach, 1_200, 1_900, going(0)), [0, 0]);
        assert_eq!(see(&mut approach, 1_300, 1_800, going(0)), [1_000, 0], "and comes on");
        assert_eq!(see(&mut approach, 1_339, 1_790, going(0)), [1_000, 0], "too soon to tell");
        assert_eq!(see(&mut approach, 1_340, 1_760, going(0)), [1_000, 0], "just late enough");
        assert_eq!(see(&mut approach, 1_400, 1_700, going(0)), [1_000, 0]);
        let turning = Odometry { yaw_mradps: -301, ..going(0) };
        assert_eq!(see(&mut approach, 1_500, 1_600, turning), [0, 0]);
        let slowly = Odometry { yaw_mradps: 300, ..going(0) };
        see(&mut approach, 1_600, 1_500, slowly);
        assert_eq!(see(&mut approach, 1_700, 1_460, slowly), [400, 0], "just above noise");
        assert_eq!(see(&mut approach, 1_800, 1_421, slowly), [0, 0], "noise");
        see(&mut approach, 1_900, 1_300, going(0));
        assert_eq!(see(&mut approach, 2_401, 600, going(0)), [0, 0], "a hole");
        see(&mut approach, 2_501, 500, going(0));
        approach.step(None, None, 2_500);
        assert_eq!(approach, Approach::default());
    }

    #[test]
    fn nothing_is_faster_than_the_policy_says() {
        let mut approach = Approach::default();
        for (n, ahead_mm) in (0..).zip([6_000, 5_750, 5_500]) {
            see(&mut approach, 1_000 + 100 * n, ahead_mm, going(0));
        }
        assert_eq!(approach.mmps(), [2_500, 0]);
        assert_eq!(see(&mut approach, 1_300, 5_249, going(0)), [0, 0]);
    }

    #[test]
    fn an_unseen_way_tells_nothing_and_a_snapshot_gives_all_back() {
        let mut approach = Approach::default();
        for (n, ahead_mm) in (0..).zip([6_000, 5_900, 5_800]) {
            let scan = Scan {
                arrived: MonoMs(1_000 + 100 * n),
                ahead_mm: Some(ahead_mm),
                behind_mm: None,
            };
            approach.step(Some(scan), None, 2_500);
            let mut w = Writer::<40>::new();
            approach.write(&mut w);
            assert_eq!(Approach::read(&mut Reader::new(&w.finish())), approach);
        }
        assert_eq!(approach.mmps(), [1_000, 0], "without odometry its own speed counts as theirs");
    }
}
