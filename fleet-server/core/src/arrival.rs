//! When a robot has reached a checkpoint, decided from the positions that it signed.

use protocol::mission::Checkpoint;
use protocol::state::RobotPosition;

/// Least accurate position that counts, metres (1 sigma).
pub const H_ACC_M_MAX: f64 = 5.0;
/// Oldest fix that counts when it was sent, milliseconds.
pub const FIX_AGE_MS_MAX: u32 = 2_000;
/// Longest gap between two positions of one stay, milliseconds: a robot that was silent for longer may have
/// been elsewhere.
pub const GAP_MS_MAX: u64 = 2_000;

/// How far a robot has come along the checkpoints of its mission, and since when it stays at the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arrival {
    reached: usize,
    stay: Option<Stay>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stay {
    since_ms: u64,
    last_ms: u64,
}

impl Arrival {
    /// A robot that has reached the first `reached` checkpoints.
    pub const fn resumed(reached: usize) -> Self {
        Self { reached, stay: None }
    }

    /// How many checkpoints are reached: the index of the next one.
    pub const fn reached(&self) -> usize {
        self.reached
    }

    /// Takes one signed position with the robot's monotonic time. Gives the index of the checkpoint when this
    /// position completes the stay there. At most one checkpoint is reached by one position.
    pub fn observe(
        &mut self,
        checkpoints: &[Checkpoint],
        position: Option<&RobotPosition>,
        robot_ms: u64,
    ) -> Option<usize> {
        let checkpoint = checkpoints.get(self.reached)?;
        if !position.is_some_and(|position| is_there(checkpoint, position)) {
            self.stay = None;
            return None;
        }
        let stay = match self.stay {
            Some(stay)
                if robot_ms >= stay.last_ms
                    && robot_ms.saturating_sub(stay.last_ms) <= GAP_MS_MAX =>
            {
                Stay { since_ms: stay.since_ms, last_ms: robot_ms }
            }
            _ => Stay { since_ms: robot_ms, last_ms: robot_ms },
        };
        self.stay = Some(stay);
        if stay.last_ms.saturating_sub(stay.since_ms) < u64::from(checkpoint.dwell_ms) {
            return None;
        }
        let index = self.reached;
        *self = Self::resumed(index.saturating_add(1));
        Some(index)
    }
}

fn is_there(checkpoint: &Checkpoint, position: &RobotPosition) -> bool {
    // A NaN makes every comparison false, so it never counts.
    position.fix >= 1
        && position.age_ms <= FIX_AGE_MS_MAX
        && position.h_acc_m >= 0.0
        && position.h_acc_m <= H_ACC_M_MAX
        && position.point.is_valid()
        && position.point.distance_m(&checkpoint.position) <= checkpoint.radius_m
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::units::GeoPoint;

    const HOME: GeoPoint = GeoPoint { lat_deg: 52.52, lon_deg: 13.405 };

    fn checkpoint(east_m: f64, dwell_ms: u32) -> Checkpoint {
        Checkpoint { position: HOME.offset_m(east_m, 0.0), radius_m: 3.0, dwell_ms }
    }
    fn at(east_m: f64) -> RobotPosition {
        RobotPosition {
            point: HOME.offset_m(east_m, 0.0),
            h_acc_m: 1.0,
            fix: 1,
            satellites: None,
            age_ms: 100,
        }
    }

    #[test]
    fn in_order_and_only_after_the_stay() {
        let plan = [checkpoint(10.0, 1_000), checkpoint(20.0, 0)];
        let mut arrival = Arrival::default();
        assert_eq!(arrival.observe(&plan, Some(&at(20.0)), 0), None, "the second is not next");
        assert_eq!(arrival.observe(&plan, Some(&at(8.0)), 200), None);
        assert_eq!(arrival.observe(&plan, Some(&at(10.0)), 1_100), None);
        assert_eq!(arrival.observe(&plan, Some(&at(11.0)), 1_200), Some(0));
        assert_eq!(arrival.observe(&plan, Some(&at(17.5)), 3_000), Some(1));
        assert_eq!(arrival.reached(), 2);
        assert_eq!(arrival.observe(&plan, Some(&at(17.5)), 3_200), None, "nothing left to reach");
    }

    #[test]
    fn leaving_starts_the_stay_anew() {
        let plan = [checkpoint(0.0, 1_000)];
        let mut arrival = Arrival::default();
        arrival.observe(&plan, Some(&at(0.0)), 0);
        arrival.observe(&plan, Some(&at(3.5)), 500);
        assert_eq!(arrival.observe(&plan, Some(&at(0.0)), 1_000), None);
        assert_eq!(arrival.observe(&plan, Some(&at(0.0)), 2_000), Some(0));
    }

    #[test]
    fn a_silence_or_a_clock_that_went_back_starts_the_stay_anew() {
        let plan = [checkpoint(0.0, 1_000)];
        for (second, third) in [(GAP_MS_MAX + 1_001, None), (400, None)] {
            let mut arrival = Arrival::default();
            arrival.observe(&plan, Some(&at(0.0)), 500);
            assert_eq!(arrival.observe(&plan, Some(&at(0.0)), second), third);
        }
    }

    #[test]
    fn a_position_that_is_not_good_enough_does_not_count() {
        let plan = [checkpoint(0.0, 0)];
        let nan = GeoPoint { lat_deg: f64::NAN, lon_deg: 0.0 };
        let bad = [
            None,
            Some(RobotPosition { h_acc_m: 5.1, ..at(0.0) }),
            Some(RobotPosition { h_acc_m: f64::NAN, ..at(0.0) }),
            Some(RobotPosition { h_acc_m: -1.0, ..at(0.0) }),
            Some(RobotPosition { fix: 0, ..at(0.0) }),
            Some(RobotPosition { age_ms: 2_001, ..at(0.0) }),
            Some(RobotPosition { point: nan, ..at(0.0) }),
            Some(at(3.1)),
        ];
        for position in bad {
            assert_eq!(
                Arrival::default().observe(&plan, position.as_ref(), 0),
                None,
                "{position:?}"
            );
        }
        assert_eq!(Arrival::default().observe(&plan, Some(&at(2.9)), 0), Some(0));
    }
}
