//! Where the robot is in its geofence, from one position to the next.
//!
//! A position is old when it comes. What the wheels drove since widens it, and where no compass says which way the
//! robot looks, it is learned from two positions whether the way between them led out or back in.

use crate::codec::{Reader, Writer};
use crate::fence::{Fence, Place};
use crate::inputs::{Fix, Odometry};
use crate::limits::Limits;
use protocol::units::MonoMs;

/// Between two positions the robot must have driven this far for them to tell a direction, µm. Less is the noise of
/// positions.
const TRAVEL_UM_MIN: u64 = 1_000_000;
/// And the distance to the edge must have changed this much, mm.
const CHANGE_MM_MIN: u64 = 500;
/// Longest time between two steps whose way counts, ms: after a longer one the position is old anyway.
const STEP_MS_MAX: u64 = 500;

/// Which way of the stick leads out, as far as positions have told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outward {
    /// Nothing is known.
    #[default]
    Unknown,
    /// Forward.
    Forward,
    /// Backward.
    Backward,
}

/// The newest position in the fence and what happened since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Whereabouts {
    fix: Option<Fix>,
    place: Option<Place>,
    /// Arrival of the newest position that was good enough.
    good: Option<MonoMs>,
    /// How far inside the robot was where its travel began, mm.
    begun_mm: Option<i64>,
    /// Way driven since then, forward less backward, µm.
    travel_um: i64,
    /// Way driven since the newest position, µm.
    path_um: u64,
    outward: Outward,
}

impl Whereabouts {
    /// Where the newest position lies.
    pub(crate) const fn place(&self) -> Option<Place> {
        self.place
    }
    /// The newest position.
    pub(crate) const fn fix(&self) -> Option<Fix> {
        self.fix
    }
    /// Arrival of the newest position that was good enough.
    pub(crate) const fn good(&self) -> Option<MonoMs> {
        self.good
    }
    /// Way driven since the newest position, mm, rounded up.
    pub(crate) const fn path_mm(&self) -> u64 {
        self.path_um.div_ceil(1_000)
    }
    /// Which way leads out.
    pub(crate) const fn outward(&self) -> Outward {
        self.outward
    }

    /// Takes note of a step that came `dt_ms` after the last one.
    pub(crate) fn step(
        &mut self,
        now: MonoMs,
        dt_ms: u64,
        fix: Option<Fix>,
        odometry: Option<Odometry>,
        fence: &Fence,
        limits: &Limits,
    ) {
        let mmps = odometry.map_or(0, |odometry| i64::from(odometry.speed_mmps));
        let dt = i64::try_from(dt_ms.min(STEP_MS_MAX)).unwrap_or(0);
        let way_um = mmps.saturating_mul(dt);
        self.travel_um = self.travel_um.saturating_add(way_um);
        self.path_um = self.path_um.saturating_add(way_um.unsigned_abs());
        let Some(fix) = fix.filter(|fix| self.fix != Some(*fix) && fix.arrived <= now) else {
            return;
        };
        let place = fence.place(&fix);
        if let Some(place) = place {
            self.learn(place.inside_mm);
        }
        if fix.accuracy_mm <= limits.fence_accuracy_mm_max {
            self.good = Some(fix.arrived);
        }
        (self.fix, self.place, self.path_um) = (Some(fix), place, 0);
    }

    /// The fence is another one from now on: where the newest position lies in it, and nothing learned about its edges.
    pub(crate) fn look_again(&mut self, fence: &Fence) {
        self.place = self.fix.and_then(|fix| fence.place(&fix));
        (self.begun_mm, self.travel_um, self.outward) = (None, 0, Outward::Unknown);
    }

    fn learn(&mut self, inside_mm: i64) {
        let Some(begun_mm) = self.begun_mm else {
            (self.begun_mm, self.travel_um) = (Some(inside_mm), 0);
            return;
        };
        if self.travel_um.unsigned_abs() < TRAVEL_UM_MIN {
            return;
        }
        if begun_mm.abs_diff(inside_mm) >= CHANGE_MM_MIN {
            let out = inside_mm < begun_mm;
            let forward = self.travel_um > 0;
            self.outward = if out == forward { Outward::Forward } else { Outward::Backward };
        }
        (self.begun_mm, self.travel_um) = (Some(inside_mm), 0);
    }

    /// `u64 fix arrived, i32 lat, i32 lon, u32 accuracy, u8 fix, u8 good, u8 outward, u8 begun, u64 good, i64 begun,
    /// i64 travel, u64 path`.
    pub(crate) fn write<const N: usize>(&self, w: &mut Writer<N>) {
        let fix = self.fix.unwrap_or_default();
        w.put(fix.arrived.0.to_le_bytes());
        w.put(fix.lat_1e7.to_le_bytes());
        w.put(fix.lon_1e7.to_le_bytes());
        w.put(fix.accuracy_mm.to_le_bytes());
        let outward = match self.outward {
            Outward::Unknown => 0,
            Outward::Forward => 1,
            Outward::Backward => 2,
        };
        let (good, begun) = (self.good.is_some(), self.begun_mm.is_some());
        w.put([u8::from(self.fix.is_some()), u8::from(good), outward, u8::from(begun)]);
        w.put(self.good.unwrap_or_default().0.to_le_bytes());
        w.put(self.begun_mm.unwrap_or_default().to_le_bytes());
        w.put(self.travel_um.to_le_bytes());
        w.put(self.path_um.to_le_bytes());
    }

    pub(crate) fn read(r: &mut Reader<'_>, fence: &Fence) -> Self {
        let fix = Fix {
            arrived: MonoMs(r.u64()),
            lat_1e7: r.i32(),
            lon_1e7: r.i32(),
            accuracy_mm: r.u32(),
        };
        let [fixed, good_known, outward, begun_known] = r.take();
        let fix = Some(fix).filter(|_| fixed == 1);
        Self {
            fix,
            place: fix.and_then(|fix| fence.place(&fix)),
            good: Some(MonoMs(r.u64())).filter(|_| good_known == 1),
            begun_mm: Some(r.i64()).filter(|_| begun_known == 1),
            travel_um: r.i64(),
            path_um: r.u64(),
            outward: match outward {
                1 => Outward::Forward,
                2 => Outward::Backward,
                _ => Outward::Unknown,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;
    use crate::fence::Geofence;

    const NORTH_1E7_PER_M: i32 = 90;

    /// A square of about 200 m whose north edge runs through latitude 52.
    fn fence() -> (Fence, Limits) {
        let area = vec![[52.0, 13.0], [52.0, 13.003], [51.998, 13.003], [51.998, 13.0]];
        let geofence = Geofence { keep_in: vec![area], ..Geofence::default() };
        let policy = Policy { geofence, ..Policy::default() };
        (policy.geofence.freeze().unwrap(), policy.limits().unwrap())
    }

    fn fix(ms: u64, north_m: i32) -> Option<Fix> {
        let lat_1e7 = 520_000_000 + north_m * NORTH_1E7_PER_M;
        Some(Fix { arrived: MonoMs(ms), lat_1e7, lon_1e7: 130_015_000, accuracy_mm: 1_000 })
    }

    fn going(speed_mmps: i32) -> Option<Odometry> {
        Some(Odometry { arrived: MonoMs(0), speed_mmps, yaw_mradps: 0 })
    }

    #[test]
    fn the_way_since_a_position_is_added_up_and_begins_anew_with_the_next() {
        let (fence, limits) = fence();
        let mut here = Whereabouts::default();
        here.step(MonoMs(1_000), 10, fix(1_000, -5), going(500), &fence, &limits);
        assert_eq!((here.path_mm(), here.good()), (0, Some(MonoMs(1_000))));
        assert!((4_900..5_100).contains(&here.place().unwrap().inside_mm));
        for speed in [500, -300] {
            here.step(MonoMs(1_100), 100, fix(1_000, -5), going(speed), &fence, &limits);
        }
        assert_eq!((here.path_mm(), here.travel_um), (80, 20_000));
        assert_eq!(here.begun_mm, here.place().map(|place| place.inside_mm));
        here.step(MonoMs(1_101), 1, fix(1_000, -5), going(1), &fence, &limits);
        assert_eq!(here.path_mm(), 81, "rounded up");
        here.step(MonoMs(9_000), 7_899, fix(1_000, -5), going(1_000), &fence, &limits);
        assert_eq!(here.path_mm(), 581, "a long gap counts for half a second");
        here.step(MonoMs(9_010), 10, fix(9_011, -4), going(1_000), &fence, &limits);
        assert_eq!(here.fix(), fix(1_000, -5), "one from the future is none");
        here.step(MonoMs(9_020), 10, None, None, &fence, &limits);
        let poor = fix(9_015, -4).map(|fix| Fix { accuracy_mm: 5_001, ..fix });
        here.step(MonoMs(9_030), 10, poor, None, &fence, &limits);
        assert_eq!((here.path_mm(), here.good(), here.fix()), (0, Some(MonoMs(1_000)), poor));
        let just = fix(9_016, -4).map(|fix| Fix { accuracy_mm: 5_000, ..fix });
        here.step(MonoMs(9_040), 10, just, None, &fence, &limits);
        assert_eq!(here.good(), Some(MonoMs(9_016)));
    }

    #[test]
    fn positions_a_metre_apart_tell_which_way_of_the_stick_leads_out() {
        let (fence, limits) = fence();
        let mut here = Whereabouts::default();
        // Half a second at this speed, and the position then, in half metres.
        let mut go = |ms: u64, north_halves: i32, mmps: i32| {
            let fix = fix(ms, 0).map(|fix| Fix {
                lat_1e7: fix.lat_1e7 + north_halves * NORTH_1E7_PER_M / 2,
                ..fix
            });
            here.step(MonoMs(ms), 500, fix, going(mmps), &fence, &limits);
            here.outward()
        };
        assert_eq!(go(1_000, -6, 1_000), Outward::Unknown, "nothing to compare with");
        assert_eq!(go(1_500, -5, 0), Outward::Unknown);
        assert_eq!(go(2_000, -4, 999), Outward::Unknown, "not far enough");
        assert_eq!(go(2_500, -4, 1_001), Outward::Forward);
        assert_eq!(go(3_000, -3, 1_000), Outward::Forward);
        assert_eq!(go(3_500, -3, -1_000), Outward::Forward, "there and back tells nothing");
        assert_eq!(go(4_000, -2, -2_000), Outward::Backward, "turned round, and backed out");
        assert_eq!(go(4_500, -3, 2_000), Outward::Backward, "and back in");
        assert_eq!(go(5_000, -3, -2_000), Outward::Backward, "along the edge: no change");
        assert_eq!(go(5_500, -5, -2_000), Outward::Forward);
    }

    #[test]
    fn a_snapshot_gives_all_back() {
        let (fence, limits) = fence();
        let mut here = Whereabouts::default();
        for (ms, north_m, mmps) in
            [(0, 0, 0), (1_000, -3, 3_000), (2_000, -2, 3_000), (3_000, -3, 3_000)]
        {
            if ms > 0 {
                here.step(MonoMs(ms), 400, fix(ms, north_m), going(mmps), &fence, &limits);
                here.step(MonoMs(ms), 40, None, going(-mmps), &fence, &limits);
            }
            let mut w = Writer::<56>::new();
            here.write(&mut w);
            assert_eq!(Whereabouts::read(&mut Reader::new(&w.finish()), &fence), here);
        }
        assert_eq!(here.outward(), Outward::Backward);
    }
}
