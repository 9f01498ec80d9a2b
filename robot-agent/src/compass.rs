//! Where the front points by the Earth's magnetic field, for robots whose inertial sensor does not know it.
//!
//! Up comes from the inertial sensor: from its orientation where it has one (many know roll and pitch but not north), else
//! from its accelerometer, smoothed. East is at right angles to the field and to up, north at right angles to both; the
//! heading is where the robot's front lies between them. So no angle is taken apart, and no lean is singular.
//!
//! Formulas: M. Pedley, *Implementing a Tilt-Compensated eCompass using Accelerometer and Magnetometer Sensors*, NXP
//! (Freescale) AN4248, for hard iron (its section 3) and for the compensation, which it writes in angles; the same in
//! vectors is Android's `SensorManager.getRotationMatrix`. Axes are those of REP 103 (x forward, y left, z up); an
//! accelerometer at rest measures upward, and the field comes in tesla (REP 145).

use crate::config::{Heading, HeadingSource};
use protocol::units::MonoMs;
use ros_msgs::geometry_msgs::{Quaternion, Vector3};
use ros_msgs::sensor_msgs::{Imu, MagneticField};

/// Tesla, as ROS has it, to microtesla.
const UT_PER_T: f64 = 1e6;
/// What the Earth's field is anywhere (22 to 67 µT), with room for what a robot adds to it. Another one is not the Earth's.
const FIELD_UT: std::ops::RangeInclusive<f64> = 15.0..=90.0;
/// Less than this of it along the ground does not tell north: near the magnetic poles, or beside iron.
const LEVEL_UT_MIN: f64 = 4.0;
/// An accelerometer that reads another amount is being shaken: that is not up.
const GRAVITY_MPS2: std::ops::RangeInclusive<f64> = 7.0..=12.5;
/// Over so long accelerations of driving are smoothed away.
const SMOOTH_MS: f64 = 1_000.0;
/// Up that is older than this may no longer be up.
const UP_AGE_MS_MAX: u64 = 500;

/// The heading, degrees clockwise from true north, of a robot that measures this field (µT) where `up` points upward, both
/// in its own axes. `None` where the field does not tell.
pub(crate) fn heading_deg(field_ut: [f64; 3], up: [f64; 3], declination_deg: f64) -> Option<f64> {
    if !FIELD_UT.contains(&length(field_ut)) {
        return None;
    }
    let up = scaled(up, 1.0 / length(up));
    let east = cross(field_ut, up);
    let level_ut = length(east);
    // Also refuses what is no number.
    if level_ut.is_nan() || level_ut < LEVEL_UT_MIN {
        return None;
    }
    let north = cross(up, east);
    // Both are as long as the field along the ground; their first parts are how far the front lies towards them.
    let magnetic_deg = east[0].atan2(north[0]).to_degrees();
    Some((magnetic_deg + declination_deg).rem_euclid(360.0))
}

/// Up in the axes of a robot that stands so in the world: the third row of its rotation.
fn up_of(q: &Quaternion) -> [f64; 3] {
    [
        2.0 * (q.x * q.z - q.w * q.y),
        2.0 * (q.y * q.z + q.w * q.x),
        1.0 - 2.0 * (q.x * q.x + q.y * q.y),
    ]
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn length(v: [f64; 3]) -> f64 {
    v.iter().map(|part| part * part).sum::<f64>().sqrt()
}

fn scaled(v: [f64; 3], by: f64) -> [f64; 3] {
    v.map(|part| part * by)
}

fn parts(v: &Vector3) -> [f64; 3] {
    [v.x, v.y, v.z]
}

/// What is known of up and of north.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Compass {
    config: Heading,
    /// Whether the orientation was ever another than that of a sensor that has none.
    orientation_moved: bool,
    up: Option<(MonoMs, [f64; 3])>,
    heading: Option<(MonoMs, f64)>,
}

impl Compass {
    pub(crate) fn new(config: &Heading) -> Self {
        Self { config: *config, ..Self::default() }
    }

    /// Takes note of an inertial measurement, and tells whether its orientation knows where the front points.
    pub(crate) fn take_imu(&mut self, arrived: MonoMs, imu: &Imu) -> bool {
        let q = &imu.orientation;
        let norm = q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w;
        let estimated = imu.orientation_covariance[0] != -1.0 && (0.9..1.1).contains(&norm);
        self.orientation_moved |= estimated && *q != Quaternion { x: 0.0, y: 0.0, z: 0.0, w: 1.0 };
        let oriented = estimated && self.orientation_moved;
        if oriented {
            self.up = Some((arrived, up_of(q)));
        } else {
            self.smooth(arrived, parts(&imu.linear_acceleration));
        }
        match self.config.source {
            HeadingSource::Auto => oriented,
            HeadingSource::Imu => estimated,
            HeadingSource::Compass => false,
        }
    }

    fn smooth(&mut self, arrived: MonoMs, acceleration: [f64; 3]) {
        let strength = length(acceleration);
        if !GRAVITY_MPS2.contains(&strength) {
            return;
        }
        let measured = scaled(acceleration, 1.0 / strength);
        let fresh = self.up.filter(|(at, _)| arrived.since(*at) <= UP_AGE_MS_MAX);
        let up = fresh.map_or(measured, |(at, before)| {
            let dt_ms = std::time::Duration::from_millis(arrived.since(at)).as_secs_f64() * 1e3;
            let share = dt_ms / (SMOOTH_MS + dt_ms);
            [0, 1, 2].map(|axis: usize| {
                let old = before.get(axis).copied().unwrap_or(0.0);
                let new = measured.get(axis).copied().unwrap_or(0.0);
                old + share * (new - old)
            })
        });
        self.up = Some((arrived, up));
    }

    /// Takes note of a magnetic field.
    pub(crate) fn take_field(&mut self, arrived: MonoMs, message: &MagneticField) {
        let Some((_, up)) = self.up.filter(|(at, _)| arrived.since(*at) <= UP_AGE_MS_MAX) else {
            return;
        };
        let field = parts(&message.magnetic_field);
        let [x, y, z] = self.config.hard_iron_ut;
        let field_ut = [field[0] * UT_PER_T - x, field[1] * UT_PER_T - y, field[2] * UT_PER_T - z];
        // One that does not tell leaves what is known to grow old.
        if let Some(heading) = heading_deg(field_ut, up, self.config.declination_deg) {
            self.heading = Some((arrived, heading));
        }
    }

    /// Where the front points by the field, when it may be asked and said so within `age_ms_max`.
    pub(crate) fn heading_deg(&self, now: MonoMs, age_ms_max: u64) -> Option<f64> {
        if self.config.source == HeadingSource::Imu {
            return None;
        }
        let (_, heading) = self.heading.filter(|(at, _)| now.since(*at) <= age_ms_max)?;
        Some(heading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Berlin, as in sim/README.md: strength, inclination below the horizon, declination east of north.
    const BERLIN: (f64, f64, f64) = (49.8, 68.0, 4.5);

    /// What a robot measures there: the field along its axes, µT, and up. Angles in degrees: heading clockwise from true
    /// north; pitch nose down; roll to the right, as REP 103 turns them.
    fn measured(heading: f64, pitch: f64, roll: f64) -> ([f64; 3], [f64; 3]) {
        let (strength, inclination, declination) = BERLIN;
        let (sin_i, cos_i) = inclination.to_radians().sin_cos();
        let (sin_d, cos_d) = declination.to_radians().sin_cos();
        // East, north, up.
        let field = [strength * cos_i * sin_d, strength * cos_i * cos_d, -strength * sin_i];
        let (sin_y, cos_y) = (90.0 - heading).to_radians().sin_cos();
        let (sin_p, cos_p) = pitch.to_radians().sin_cos();
        let (sin_r, cos_r) = roll.to_radians().sin_cos();
        let robot = |v: [f64; 3]| {
            // Back through yaw about z, pitch about y, roll about x.
            let [x, y, z] = [cos_y * v[0] + sin_y * v[1], cos_y * v[1] - sin_y * v[0], v[2]];
            let [x, y, z] = [cos_p * x - sin_p * z, y, sin_p * x + cos_p * z];
            [x, cos_r * y + sin_r * z, cos_r * z - sin_r * y]
        };
        (robot(field), robot([0.0, 0.0, 1.0]))
    }

    fn apart(a: f64, b: f64) -> f64 {
        let apart = (a - b).rem_euclid(360.0);
        apart.min(360.0 - apart)
    }

    #[test]
    fn a_level_robot_in_berlin_points_where_it_points() {
        for heading in [0.0, 45.0, 90.0, 180.0, 270.0, 359.0] {
            let (field, up) = measured(heading, 0.0, 0.0);
            let found = heading_deg(field, up, BERLIN.2).unwrap();
            assert!(apart(found, heading) < 1e-9, "{heading}: {found}");
            let magnetic = heading_deg(field, up, 0.0).unwrap();
            assert!(apart(magnetic, heading - 4.5) < 1e-9, "without the declination");
        }
        // By hand, no function of ours: the front to magnetic north, then to its east.
        let north = heading_deg([18.7, 0.0, -46.2], [0.0, 0.0, 1.0], 0.0).unwrap();
        let east = heading_deg([0.0, 18.7, -46.2], [0.0, 0.0, 1.0], 0.0).unwrap();
        assert!(apart(north, 0.0) < 1e-9 && apart(east, 90.0) < 1e-9, "{north} {east}");
    }

    #[test]
    fn a_lean_changes_nothing_unless_it_is_left_out() {
        let (field, up) = measured(30.0, 12.0, 9.0);
        assert!(apart(heading_deg(field, up, BERLIN.2).unwrap(), 30.0) < 1e-9);
        let level = heading_deg(field, [0.0, 0.0, 1.0], BERLIN.2).unwrap();
        assert!(apart(level, 30.0) > 10.0, "the lean matters: {level}");
    }

    #[test]
    fn what_is_not_the_earths_field_tells_nothing() {
        let up = [0.0, 0.0, 1.0];
        assert_eq!(heading_deg([5.0, 0.0, -5.0], up, 0.0), None, "shielded");
        assert_eq!(heading_deg([300.0, 0.0, -40.0], up, 0.0), None, "a magnet");
        assert_eq!(heading_deg([1.0, 0.0, -55.0], up, 0.0), None, "a magnetic pole");
        assert_eq!(heading_deg([f64::NAN, 0.0, -45.0], up, 0.0), None, "an axis is not measured");
        assert_eq!(heading_deg([20.0, 0.0, -45.0], [0.0; 3], 0.0), None, "no up");
        assert_eq!(heading_deg([20.0, 0.0, -45.0], [f64::NAN, 0.0, 1.0], 0.0), None);
    }

    proptest! {
        #[test]
        fn every_heading_at_every_lean_is_found(
            heading in 0.0..360.0, pitch in -60.0..60.0, roll in -60.0..60.0,
        ) {
            let (field, up) = measured(heading, pitch, roll);
            let found = heading_deg(field, up, BERLIN.2).unwrap();
            prop_assert!(apart(found, heading) < 1e-6, "{heading}: {found}");
        }
    }

    fn imu(orientation: Quaternion, acceleration: [f64; 3]) -> Imu {
        let [x, y, z] = acceleration;
        Imu { orientation, linear_acceleration: Vector3 { x, y, z }, ..Imu::default() }
    }

    fn field(field_ut: [f64; 3]) -> MagneticField {
        let [x, y, z] = field_ut.map(|axis| axis / UT_PER_T);
        MagneticField { magnetic_field: Vector3 { x, y, z }, ..MagneticField::default() }
    }

    const NONE: Quaternion = Quaternion { x: 0.0, y: 0.0, z: 0.0, w: 1.0 };

    #[test]
    fn hard_iron_is_taken_away_and_up_comes_from_the_accelerometer() {
        let hard_iron_ut = [12.0, -30.0, 7.5];
        let config = Heading { hard_iron_ut, declination_deg: BERLIN.2, ..Heading::default() };
        let mut compass = Compass::new(&config);
        let (earths, up) = measured(250.0, 8.0, 5.0);
        let mut disturbed = earths;
        disturbed.iter_mut().zip(hard_iron_ut).for_each(|(axis, iron)| *axis += iron);
        compass.take_field(MonoMs(1_000), &field(disturbed));
        assert_eq!(compass.heading_deg(MonoMs(1_000), 3_000), None, "nobody said where up is");
        let still = imu(NONE, scaled(up, 9.81));
        assert!(!compass.take_imu(MonoMs(1_000), &still), "it has no orientation");
        compass.take_field(MonoMs(1_010), &field(disturbed));
        let heading = compass.heading_deg(MonoMs(1_010), 3_000).unwrap();
        assert!(apart(heading, 250.0) < 1e-6, "{heading}");
        assert_eq!(compass.heading_deg(MonoMs(5_000), 3_000), None, "too old");
        // A jolt, and then a second of hard braking, which the smoothing does not believe at once.
        compass.take_imu(MonoMs(1_020), &imu(NONE, [40.0, 0.0, 9.8]));
        let braking = [up[0] * 9.81 - 2.0, up[1] * 9.81, up[2] * 9.81];
        compass.take_imu(MonoMs(1_030), &imu(NONE, braking));
        compass.take_field(MonoMs(1_040), &field(disturbed));
        let heading = compass.heading_deg(MonoMs(1_040), 3_000).unwrap();
        assert!(apart(heading, 250.0) < 1.0, "{heading}");
        compass.take_field(MonoMs(9_000), &field(disturbed));
        assert_eq!(compass.heading_deg(MonoMs(9_000), 3_000), None, "up has grown old");
    }

    #[test]
    fn an_orientation_counts_where_there_is_one() {
        let turned = Quaternion::from_yaw(1.0);
        let missing = |q| Imu { orientation_covariance: [-1.0; 9], ..imu(q, [0.0, 0.0, 9.81]) };
        let asked = |source, q: Quaternion, known: bool| {
            let mut compass = Compass::new(&Heading { source, ..Heading::default() });
            let message = if known { imu(q, [0.0, 0.0, 9.81]) } else { missing(q) };
            let oriented = compass.take_imu(MonoMs(1_000), &message);
            compass.take_field(MonoMs(1_000), &field(measured(4.5, 0.0, 0.0).0));
            (oriented, compass.heading_deg(MonoMs(1_000), 3_000).map(f64::round))
        };
        let (auto, only_imu) = (HeadingSource::Auto, HeadingSource::Imu);
        assert!(asked(auto, turned, true).0);
        assert_eq!(asked(auto, turned, false), (false, Some(0.0)), "its covariance says none");
        assert_eq!(asked(auto, NONE, true), (false, Some(0.0)), "it never moved");
        assert_eq!(asked(HeadingSource::Compass, turned, true), (false, Some(0.0)));
        assert_eq!(asked(only_imu, NONE, true), (true, None));
        assert_eq!(asked(only_imu, turned, false), (false, None));
        // Once it moved it is one, also when it points to where a sensor without one points.
        let mut compass = Compass::default();
        assert!(!compass.take_imu(MonoMs(1), &imu(NONE, [0.0, 0.0, 9.81])));
        assert!(compass.take_imu(MonoMs(2), &imu(turned, [0.0, 0.0, 9.81])));
        assert!(compass.take_imu(MonoMs(3), &imu(NONE, [0.0, 0.0, 9.81])));
    }

    #[test]
    fn roll_and_pitch_of_an_orientation_without_north_are_up() {
        // Nose down by 0.2 rad, turned as a gyroscope believes.
        let (sin, cos) = 0.1_f64.sin_cos();
        let pitched = Quaternion { x: 0.0, y: sin, z: 0.0, w: cos };
        let source = HeadingSource::Compass;
        let config = Heading { source, declination_deg: BERLIN.2, ..Heading::default() };
        let mut compass = Compass::new(&config);
        // While it brakes its accelerometer would say something else.
        compass.take_imu(MonoMs(1_000), &imu(pitched, [-3.0, 0.0, 9.0]));
        let (seen, _) = measured(123.0, 0.2_f64.to_degrees(), 0.0);
        compass.take_field(MonoMs(1_000), &field(seen));
        let heading = compass.heading_deg(MonoMs(1_000), 3_000).unwrap();
        assert!(apart(heading, 123.0) < 1e-6, "{heading}");
    }
}
