//! Free distance ahead and behind, from one laser scan.

use crate::policy::ObstacleGuard;

/// Where the rays of a scan point, as `sensor_msgs/LaserScan` tells it: angle 0 is forward, left is positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rays {
    /// Angle of the first ray, rad.
    pub angle_min_rad: f64,
    /// From one ray to the next, rad.
    pub angle_step_rad: f64,
    /// Readings below this are no readings, m.
    pub range_m_min: f64,
    /// Readings above this mean that nothing was hit, m.
    pub range_m_max: f64,
}

/// The free way in the corridor that the robot's footprint sweeps when it goes straight, in mm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FreeWay {
    /// From the robot's front; none when the scanner does not look there.
    pub ahead_mm: Option<u32>,
    /// From the robot's back; none when the scanner does not look there.
    pub behind_mm: Option<u32>,
}

/// Half of the sector about straight ahead (or behind) in which a scanner must see for its word to count, rad.
const SECTOR_RAD: f64 = 0.35;
/// The least number of readings in that sector.
const READINGS_MIN: u32 = 3;

#[derive(Default)]
struct Sector {
    rays: u32,
    readings: u32,
    nearest_m: Option<f64>,
}

impl Sector {
    fn see(&mut self, distance_m: f64) {
        let distance_m = distance_m.max(0.0);
        self.nearest_m = Some(self.nearest_m.map_or(distance_m, |nearest| nearest.min(distance_m)));
    }

    fn free_mm(&self, range_m_max: f64) -> Option<u32> {
        let looks = self.readings >= READINGS_MIN && self.readings.saturating_mul(2) >= self.rays;
        looks.then(|| millimetres(self.nearest_m.unwrap_or(range_m_max)))
    }
}

/// Summarises a scan. A ray that brought no reading (NaN, below the minimum) says nothing; when most of those
/// about straight ahead say nothing, the way ahead is unknown.
pub fn summarise(ranges_m: &[f32], rays: &Rays, guard: &ObstacleGuard) -> FreeWay {
    let corridor_m = guard.half_width_m + guard.side_margin_m;
    let (mut ahead, mut behind) = (Sector::default(), Sector::default());
    let mut angle_rad = rays.angle_min_rad;
    for range_m in ranges_m.iter().map(|range| f64::from(*range)) {
        let (sin, cos) = angle_rad.sin_cos();
        angle_rad += rays.angle_step_rad;
        let too_near = range_m == f64::NEG_INFINITY;
        let reading = too_near || range_m >= rays.range_m_min;
        let sector = if cos >= 0.0 { &mut ahead } else { &mut behind };
        if cos.abs() >= SECTOR_RAD.cos() {
            sector.rays = sector.rays.saturating_add(1);
            sector.readings = sector.readings.saturating_add(u32::from(reading));
        }
        if !reading || range_m > rays.range_m_max {
            continue;
        }
        let range_m = if too_near { 0.0 } else { range_m };
        let (x_m, y_m) = (guard.scanner_x_m + range_m * cos, range_m * sin);
        if y_m.abs() > corridor_m {
            continue;
        }
        // By where the point lies, not by where the ray points: a scanner on the bumper looks over the robot.
        if x_m > 0.0 || (x_m == 0.0 && cos >= 0.0) {
            ahead.see(x_m - guard.front_m);
        } else {
            behind.see(-x_m - guard.rear_m);
        }
    }
    FreeWay {
        ahead_mm: ahead.free_mm(rays.range_m_max),
        behind_mm: behind.free_mm(rays.range_m_max),
    }
}

#[expect(
    clippy::as_conversions,
    reason = "clamped to the range of u32 first; NaN gives 0, which is no way"
)]
fn millimetres(distance_m: f64) -> u32 {
    (distance_m * 1000.0).clamp(0.0, 1_000_000.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    const GUARD: ObstacleGuard = ObstacleGuard {
        active: true,
        half_width_m: 0.3,
        side_margin_m: 0.1,
        front_m: 0.35,
        rear_m: 0.25,
        scanner_x_m: 0.1,
        stop_m: 0.3,
        brake_mps2: 1.5,
        reaction_ms: 200,
        reverse_unseen_mps_max: 0.3,
        collision_ms_min: 1_000,
        approach_mps_max: 2.5,
    };

    /// A scan of 360 rays from −180 degrees, in which `range` gives the range at an angle in degrees.
    fn around(range: impl Fn(i32) -> f32) -> FreeWay {
        let rays = Rays {
            angle_min_rad: -PI,
            angle_step_rad: PI / 180.0,
            range_m_min: 0.05,
            range_m_max: 12.0,
        };
        summarise(&(-180..180).map(range).collect::<Vec<_>>(), &rays, &GUARD)
    }

    #[test]
    fn nothing_there() {
        let free = FreeWay { ahead_mm: Some(12_000), behind_mm: Some(12_000) };
        assert_eq!(around(|_| f32::INFINITY), free);
        assert_eq!(around(|_| 12.5), free);
    }

    #[test]
    fn a_wall_ahead_and_one_behind() {
        let way = around(|angle| match angle {
            0 => 2.0,
            -180 => 1.0,
            _ => f32::INFINITY,
        });
        // 2.0 m from a scanner 0.1 m ahead of the middle, whose front is at 0.35 m.
        assert_eq!(way, FreeWay { ahead_mm: Some(1_750), behind_mm: Some(650) });
    }

    #[test]
    fn what_stands_beside_the_corridor_is_no_obstacle() {
        assert_eq!(
            around(|angle| if angle == 45 { 1.0 } else { f32::INFINITY }).ahead_mm,
            Some(12_000)
        );
        assert_eq!(
            around(|angle| if angle == 45 { 0.5 } else { f32::INFINITY }).ahead_mm,
            Some(103)
        );
        assert_eq!(around(|angle| if angle == 90 { 0.2 } else { f32::INFINITY }).ahead_mm, Some(0));
    }

    #[test]
    fn too_near_to_measure_is_no_way_at_all() {
        assert_eq!(
            around(|angle| if angle == 3 { f32::NEG_INFINITY } else { 9.0 }).ahead_mm,
            Some(0)
        );
    }

    #[test]
    fn a_scanner_that_does_not_look_there_knows_nothing() {
        assert_eq!(around(|_| f32::NAN), FreeWay::default());
        assert_eq!(around(|_| 0.0), FreeWay::default());
        // The nearest point of the corridor is where the 5 m circle leaves it.
        let front_only = around(|angle| if angle.abs() < 135 { 5.0 } else { f32::NAN });
        assert_eq!(front_only, FreeWay { ahead_mm: Some(4_737), behind_mm: None });
        let rays =
            Rays { angle_min_rad: 0.0, angle_step_rad: 0.01, range_m_min: 0.1, range_m_max: 9.0 };
        assert_eq!(summarise(&[], &rays, &GUARD), FreeWay::default());
        assert_eq!(summarise(&[5.0; 2], &rays, &GUARD), FreeWay::default(), "two rays are too few");
    }
}
