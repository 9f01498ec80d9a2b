//! Samples of the sensors for programs: the newest few of each kind, and how much the robot shakes.

use protocol::rover::{SAMPLES_MAX, Sample3, WheelSample};
use protocol::units::MonoNs;
use ros_bridge::agent::Inbound;
use ros_msgs::geometry_msgs::Vector3;
use ros_msgs::sensor_msgs::JointState;
use std::collections::VecDeque;

/// Vibration is that of this long.
const WINDOW_NS: u64 = 1_000_000_000;
/// Readings in the window at most: a second of the fastest inertial sensor that we know.
const WINDOW_MAX: usize = 500;
/// Tesla, as ROS has it, to microtesla.
const UT_PER_T: f64 = 1e6;
const RPM_PER_RADPS: f64 = 60.0 / std::f64::consts::TAU;

type Reading<T> = (MonoNs, T);

/// What came since it was asked for last.
#[derive(Debug, Default)]
pub(crate) struct Senses {
    accels: VecDeque<Reading<[f64; 3]>>,
    gyros: VecDeque<Reading<[f64; 3]>>,
    fields_ut: VecDeque<Reading<[f64; 3]>>,
    wheels: VecDeque<Reading<[f64; 4]>>,
    window: VecDeque<Reading<[f64; 3]>>,
}

/// Samples, newest last, and the vibration.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Batch {
    pub(crate) accels: Vec<Sample3>,
    pub(crate) gyros: Vec<Sample3>,
    /// µT.
    pub(crate) mags: Vec<Sample3>,
    pub(crate) wheels: Vec<WheelSample>,
    pub(crate) vibration_mps2: f64,
}

fn keep<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    if queue.len() >= most {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// A reading that is no number is no reading.
fn finite(v: &Vector3) -> Option<[f64; 3]> {
    let v = [v.x, v.y, v.z];
    v.iter().all(|axis| axis.is_finite()).then_some(v)
}

impl Senses {
    /// Takes note of a message.
    pub(crate) fn take(&mut self, message: &Inbound, arrived: MonoNs) {
        match message {
            Inbound::Imu(imu) => {
                if let Some(accel) = finite(&imu.linear_acceleration) {
                    keep(&mut self.accels, (arrived, accel), SAMPLES_MAX);
                    keep(&mut self.window, (arrived, accel), WINDOW_MAX);
                }
                if let Some(gyro) = finite(&imu.angular_velocity) {
                    keep(&mut self.gyros, (arrived, gyro), SAMPLES_MAX);
                }
            }
            Inbound::Field(field) => {
                // A device that lacks an axis says NaN there: without all three there is no direction.
                if let Some(tesla) = finite(&field.magnetic_field) {
                    let ut = tesla.map(|axis| axis * UT_PER_T);
                    keep(&mut self.fields_ut, (arrived, ut), SAMPLES_MAX);
                }
            }
            Inbound::WheelSpeeds(joints) => {
                if let Some(rpm) = four_wheels(joints) {
                    keep(&mut self.wheels, (arrived, rpm), SAMPLES_MAX);
                }
            }
            Inbound::Odometry(_)
            | Inbound::Fix(_)
            | Inbound::Battery(_)
            | Inbound::Scan(_)
            | Inbound::Diagnostics(_)
            | Inbound::Range(..)
            | Inbound::Bumper(..) => {}
        }
    }

    /// Hands over what came since the last call. `wall_ms` tells the wall clock's time of a monotonic one.
    pub(crate) fn drain(&mut self, now: MonoNs, wall_ms: impl Fn(MonoNs) -> u64) -> Batch {
        while self.window.front().is_some_and(|(at, _)| now.since(*at) > WINDOW_NS) {
            self.window.pop_front();
        }
        let sample = |(at, v): Reading<[f64; 3]>| Sample3 { v, at_ms: wall_ms(at) };
        Batch {
            accels: self.accels.drain(..).map(sample).collect(),
            gyros: self.gyros.drain(..).map(sample).collect(),
            mags: self.fields_ut.drain(..).map(sample).collect(),
            wheels: self
                .wheels
                .drain(..)
                .map(|(at, rpm)| WheelSample { rpm, at_ms: wall_ms(at) })
                .collect(),
            vibration_mps2: deviation(&self.window),
        }
    }
}

/// Root mean square of the readings about their mean.
fn deviation(readings: &VecDeque<Reading<[f64; 3]>>) -> f64 {
    let count = f64::from(u32::try_from(readings.len()).unwrap_or(u32::MAX));
    if readings.is_empty() {
        return 0.0;
    }
    let mut variance = 0.0;
    for axis in 0..3 {
        let values = || readings.iter().filter_map(|(_, v)| v.get(axis));
        let mean = values().sum::<f64>() / count;
        variance += values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    }
    // Numbers near the end of the range add up to no number.
    if variance.is_finite() { variance.sqrt() } else { 0.0 }
}

/// Front left, front right, rear left, rear right, by the joints' names; without such names by their order. Two
/// wheels stand for their sides.
fn four_wheels(joints: &JointState) -> Option<[f64; 4]> {
    let speeds = &joints.velocity;
    if speeds.iter().any(|speed| !speed.is_finite()) {
        return None;
    }
    let rpm = |index: usize| speeds.get(index).map(|speed| speed * RPM_PER_RADPS);
    let named = |side: &str, end: &[&str]| {
        joints.name.iter().position(|name| {
            let name = name.to_lowercase();
            name.contains(side) && (end.is_empty() || end.iter().any(|word| name.contains(word)))
        })
    };
    let front = ["front"];
    let rear = ["rear", "back"];
    match speeds.len() {
        2 => {
            let (left, right) = match (named("left", &[]), named("right", &[])) {
                (Some(left), Some(right)) => (left, right),
                _ => (0, 1),
            };
            Some([rpm(left)?, rpm(right)?, rpm(left)?, rpm(right)?])
        }
        4.. => {
            let by_name =
                [("left", &front[..]), ("right", &front), ("left", &rear), ("right", &rear)]
                    .map(|(side, end)| named(side, end));
            let [fl, fr, rl, rr] = match by_name {
                [Some(fl), Some(fr), Some(rl), Some(rr)] => [fl, fr, rl, rr],
                _ => [0, 1, 2, 3],
            };
            Some([rpm(fl)?, rpm(fr)?, rpm(rl)?, rpm(rr)?])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ros_msgs::sensor_msgs::Imu;

    fn imu(z: f64) -> Inbound {
        let linear_acceleration = Vector3 { x: 0.0, y: 0.0, z };
        Inbound::Imu(Box::new(Imu { linear_acceleration, ..Imu::default() }))
    }

    fn wheels(names: &[&str], velocity: &[f64]) -> JointState {
        let name = names.iter().map(|&name| name.to_owned()).collect();
        JointState { name, velocity: velocity.to_vec(), ..JointState::default() }
    }

    #[test]
    fn the_newest_ten_are_kept_and_given_once() {
        let mut senses = Senses::default();
        for ms in 0..25_u32 {
            senses.take(&imu(f64::from(ms)), MonoNs(u64::from(ms) * 1_000_000));
        }
        let batch = senses.drain(MonoNs(25_000_000), |at| 1_000 + at.ms().0);
        assert_eq!((batch.accels.len(), batch.gyros.len()), (10, 10));
        assert_eq!(batch.accels[9], Sample3 { v: [0.0, 0.0, 24.0], at_ms: 1_024 });
        assert_eq!(batch.accels[0].at_ms, 1_015);
        assert!(senses.drain(MonoNs(26_000_000), |at| at.0).accels.is_empty());
    }

    #[test]
    fn the_magnetic_field_is_told_in_microtesla_and_only_when_whole() {
        use ros_msgs::sensor_msgs::MagneticField;
        let field = |y| {
            let magnetic_field = Vector3 { x: 2e-5, y, z: -4.5e-5 };
            Inbound::Field(Box::new(MagneticField { magnetic_field, ..MagneticField::default() }))
        };
        let mut senses = Senses::default();
        assert!(senses.drain(MonoNs(1), |at| at.0).mags.is_empty(), "no magnetometer");
        senses.take(&field(f64::NAN), MonoNs(1));
        senses.take(&field(-1e-6), MonoNs(2_000_000));
        let mags = senses.drain(MonoNs(3_000_000), |at| 1_000 + at.ms().0).mags;
        assert_eq!(mags.len(), 1);
        assert_eq!((mags[0].at_ms, mags[0].v.map(f64::round)), (1_002, [20.0, -1.0, -45.0]));
    }

    #[test]
    fn gravity_is_no_vibration() {
        let mut senses = Senses::default();
        for n in 0..100_u64 {
            senses.take(&imu(9.81), MonoNs(n * 10_000_000));
        }
        assert!(senses.drain(MonoNs(1_000_000_000), |at| at.0).vibration_mps2 < 1e-6);
        for n in 0..100_u64 {
            let shake = if n % 2 == 0 { 0.5 } else { -0.5 };
            senses.take(&imu(9.81 + shake), MonoNs(2_000_000_000 + n * 10_000_000));
        }
        let shaking = senses.drain(MonoNs(3_000_000_000), |at| at.0).vibration_mps2;
        assert!((shaking - 0.5).abs() < 1e-6, "{shaking}");
        senses.take(&imu(f64::NAN), MonoNs(3_000_000_000));
        assert!(senses.drain(MonoNs(9_000_000_000), |at| at.0).accels.is_empty(), "no number");
    }

    #[test]
    fn wheels_are_found_by_name() {
        let turn = std::f64::consts::TAU / 60.0;
        let rpm = |joints: &JointState| four_wheels(joints).map(|rpm| rpm.map(f64::round));
        let two = wheels(&["wheel_right", "wheel_left"], &[2.0 * turn, turn]);
        assert_eq!(rpm(&two), Some([1.0, 2.0, 1.0, 2.0]));
        let four = wheels(
            &["rear_left", "rear_right", "front_left", "front_right"],
            &[3.0 * turn, 4.0 * turn, turn, 2.0 * turn],
        );
        assert_eq!(rpm(&four), Some([1.0, 2.0, 3.0, 4.0]));
        assert_eq!(rpm(&wheels(&[], &[turn, 2.0 * turn])), Some([1.0, 2.0, 1.0, 2.0]));
        assert_eq!(rpm(&wheels(&["a"], &[turn])), None);
        assert_eq!(rpm(&wheels(&["left", "right"], &[turn, f64::NAN])), None);
    }
}
