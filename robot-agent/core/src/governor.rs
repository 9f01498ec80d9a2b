//! The last clamp before the wheels.
//!
//! It knows nothing of leases, hazards or videos, and uses nothing of the other modules, so that a mistake there
//! is not repeated here: whatever it is asked for, speed, turn rate and their changes stay within its bounds,
//! and an order that is old, from the future, or absent means zero at once.

/// Bounds of a [`Governor`], in mm, mrad and ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Highest speed forward, mm/s.
    pub forward_mmps_max: u32,
    /// Highest speed backward, mm/s.
    pub backward_mmps_max: u32,
    /// Highest turn rate, mrad/s.
    pub turn_mradps_max: u32,
    /// Highest gain of speed, mm/s².
    pub accel_mmps2_max: u32,
    /// Highest loss of speed while an order is obeyed, mm/s².
    pub brake_mmps2_max: u32,
    /// Highest change of the turn rate, mrad/s².
    pub turn_mradps2_max: u32,
    /// Oldest order that is obeyed, ms.
    pub order_age_ms_max: u32,
}

/// A wish to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// When the driver's command behind it arrived, ms.
    pub arrived_ms: u64,
    /// Wanted speed forward, mm/s.
    pub linear_mmps: i32,
    /// Wanted turn rate to the left, mrad/s.
    pub angular_mradps: i32,
}

/// Longest time that one change of speed may count for. After a pause the ramp does not jump.
const STEP_MS_MAX: u64 = 50;

/// The clamp and what it let through last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Governor {
    bounds: Bounds,
    last_ms: u64,
    /// µm/s: a change of a mm/s² over a ms is a µm/s, so that nothing is lost to rounding.
    linear_umps: i64,
    /// µrad/s.
    angular_uradps: i64,
}

impl Governor {
    /// At rest.
    pub const fn new(bounds: Bounds) -> Self {
        Self { bounds, last_ms: 0, linear_umps: 0, angular_uradps: 0 }
    }

    /// Its memory, for a record: time, speed and turn rate.
    pub const fn memory(&self) -> (u64, i64, i64) {
        (self.last_ms, self.linear_umps, self.angular_uradps)
    }

    /// With the memory of a record.
    pub const fn resume(
        bounds: Bounds,
        (last_ms, linear_umps, angular_uradps): (u64, i64, i64),
    ) -> Self {
        Self { bounds, last_ms, linear_umps, angular_uradps }
    }

    /// What goes to the wheels at `now_ms`: speed in mm/s and turn rate in mrad/s.
    pub fn pass(&mut self, now_ms: u64, order: Option<Order>) -> (i32, i32) {
        let went_back = now_ms < self.last_ms;
        let dt_ms = now_ms.saturating_sub(self.last_ms).min(STEP_MS_MAX);
        self.last_ms = self.last_ms.max(now_ms);
        let good = order.filter(|order| {
            let age_ms = now_ms.checked_sub(order.arrived_ms);
            !went_back && age_ms.is_some_and(|age| age <= u64::from(self.bounds.order_age_ms_max))
        });
        let Some(order) = good else {
            self.linear_umps = 0;
            self.angular_uradps = 0;
            return (0, 0);
        };
        let change = |rate: u32| i64::from(rate).saturating_mul(i64::try_from(dt_ms).unwrap_or(0));
        let bounds = self.bounds;
        let target = micro(order.linear_mmps).clamp(
            micro_max(bounds.backward_mmps_max).saturating_neg(),
            micro_max(bounds.forward_mmps_max),
        );
        self.linear_umps = toward(
            self.linear_umps,
            target,
            change(bounds.accel_mmps2_max),
            change(bounds.brake_mmps2_max),
        );
        let turn_max = micro_max(bounds.turn_mradps_max);
        let turn = change(bounds.turn_mradps2_max);
        let target = micro(order.angular_mradps).clamp(turn_max.saturating_neg(), turn_max);
        self.angular_uradps = toward(self.angular_uradps, target, turn, turn);
        (milli(self.linear_umps), milli(self.angular_uradps))
    }
}

fn micro(milli: i32) -> i64 {
    i64::from(milli).saturating_mul(1_000)
}

fn micro_max(milli: u32) -> i64 {
    i64::from(milli).saturating_mul(1_000)
}

fn milli(micro: i64) -> i32 {
    i32::try_from(micro.checked_div(1_000).unwrap_or(0)).unwrap_or(0)
}

/// One step from `from` towards `to`: `gain` away from zero, `loss` towards it, and never through zero in one.
fn toward(from: i64, to: i64, gain: i64, loss: i64) -> i64 {
    if from < 0 {
        return toward(from.saturating_neg(), to.saturating_neg(), gain, loss).saturating_neg();
    }
    if to >= from {
        to.min(from.saturating_add(gain))
    } else if from == 0 {
        to.max(gain.saturating_neg())
    } else {
        to.max(0).max(from.saturating_sub(loss))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        forward_mmps_max: 1_500,
        backward_mmps_max: 800,
        turn_mradps_max: 1_500,
        accel_mmps2_max: 1_000,
        brake_mmps2_max: 3_000,
        turn_mradps2_max: 6_000,
        order_age_ms_max: 300,
    };

    fn order(now_ms: u64, linear_mmps: i32, angular_mradps: i32) -> Option<Order> {
        Some(Order { arrived_ms: now_ms, linear_mmps, angular_mradps })
    }

    /// Runs 100 steps of 10 ms each with the same wish, from `start_ms`.
    fn one_second(governor: &mut Governor, start_ms: u64, linear: i32, angular: i32) -> (i32, i32) {
        let steps = (1..=100).map(|n| start_ms + 10 * n);
        steps.map(|now| governor.pass(now, order(now, linear, angular))).last().unwrap()
    }

    #[test]
    fn speed_is_gained_slowly_and_never_beyond_the_bounds() {
        let mut governor = Governor::new(BOUNDS);
        governor.pass(1_000, order(1_000, 0, 0));
        assert_eq!(one_second(&mut governor, 1_000, i32::MAX, i32::MIN), (1_000, -1_500));
        assert_eq!(one_second(&mut governor, 2_000, i32::MAX, 0), (1_500, 0));
        assert_eq!(
            one_second(&mut governor, 3_000, i32::MIN, 0),
            (-500, 0),
            "0.5 s of braking first"
        );
        assert_eq!(one_second(&mut governor, 4_000, i32::MIN, 0), (-800, 0));
        assert_eq!(governor.pass(5_010, order(5_010, 700, 0)), (-770, 0));
        assert_eq!(one_second(&mut governor, 5_010, 200, 0), (200, 0));
        assert_eq!(governor.pass(6_020, order(6_020, 100, 0)), (170, 0));
    }

    #[test]
    fn no_order_an_old_one_or_one_from_the_future_is_zero_at_once() {
        for bad in [None, order(1_900, 500, 0), order(2_301, 500, 0)] {
            let mut governor = Governor::new(BOUNDS);
            one_second(&mut governor, 1_000, 500, 500);
            assert_eq!(governor.pass(2_300 - u64::from(bad.is_none()), bad), (0, 0), "{bad:?}");
        }
        let mut governor = Governor::new(BOUNDS);
        one_second(&mut governor, 1_000, 500, 0);
        assert_eq!(governor.pass(2_300, order(2_000, 500, 0)), (500, 0), "just young enough");
    }

    #[test]
    fn a_clock_that_goes_back_is_zero_until_it_has_caught_up() {
        let mut governor = Governor::new(BOUNDS);
        one_second(&mut governor, 1_000, 500, 0);
        assert_eq!(governor.pass(1_999, order(1_999, 500, 0)), (0, 0));
        assert_eq!(governor.pass(1_999, order(1_999, 500, 0)), (0, 0));
        assert_eq!(governor.pass(2_010, order(2_010, 500, 0)), (10, 0));
    }

    #[test]
    fn after_a_pause_the_ramp_does_not_jump() {
        let mut governor = Governor::new(BOUNDS);
        governor.pass(1_000, order(1_000, 0, 0));
        assert_eq!(governor.pass(9_000, order(9_000, 1_500, 0)), (50, 0));
    }
}
