//! What the robot's sensors said last.

use crate::close::{CloseWords, Layout};
use crate::compass::Compass;
use agent_core::policy::ObstacleGuard;
use agent_core::scan::{Rays, summarise};
use protocol::state::RobotPosition;
use protocol::units::{GeoPoint, MonoMs, MonoNs};
use ros_bridge::agent::Inbound;
use ros_msgs::sensor_msgs::{Imu, LaserScan, NavSatFix};

/// A battery says little and rarely: its word counts this long.
const BATTERY_AGE_MS_MAX: u64 = 30_000;
/// A position or an attitude older than this is unknown.
const STATE_AGE_MS_MAX: u64 = 3_000;
/// Longest time between two odometry readings that counts as driven way.
const ODOMETRY_STEP_MS_MAX: u64 = 500;

/// The newest readings, each with its arrival.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sensors {
    pub(crate) odometry: Option<Odometry>,
    /// Way driven since the agent's start, metres.
    pub(crate) distance_m: f64,
    pub(crate) scan: Option<agent_core::Scan>,
    /// Range cones, bumpers, drop sensors.
    pub(crate) close: CloseWords,
    /// Where the front points by the Earth's field, and whether the orientation knows it.
    pub(crate) compass: Compass,
    battery: Option<(MonoMs, f64)>,
    attitude: Option<Attitude>,
    fix: Option<Fix>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Odometry {
    pub(crate) arrived: MonoMs,
    pub(crate) speed_mps: f64,
    pub(crate) yaw_radps: f64,
}

impl Odometry {
    /// Whether wheels turn, noise aside.
    pub(crate) fn moves(&self) -> bool {
        self.speed_mps.abs() > 0.01 || self.yaw_radps.abs() > 0.02
    }
}

#[derive(Debug, Clone, Copy)]
struct Attitude {
    arrived: MonoMs,
    tilt_rad: f64,
    /// None: the orientation does not know it.
    heading_deg: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Fix {
    arrived: MonoMs,
    point: GeoPoint,
    h_acc_m: f64,
    fix: u8,
}

impl Sensors {
    /// Takes note of a message.
    pub(crate) fn take(&mut self, message: &Inbound, arrived: MonoNs, layout: &Layout) {
        let arrived = arrived.ms();
        match message {
            Inbound::Odometry(message) => {
                let twist = message.twist.twist;
                self.take_odometry(arrived, twist.linear.x, twist.angular.z);
            }
            Inbound::Imu(message) => self.take_imu(arrived, message),
            Inbound::Fix(message) => self.take_fix(arrived, message),
            Inbound::Battery(message) => {
                let charge = f64::from(message.percentage);
                let known = (0.0..=1.0).contains(&charge);
                self.battery = known.then_some((arrived, charge)).or(self.battery);
            }
            Inbound::Scan(message) => self.take_scan(arrived, message, &layout.guard),
            Inbound::Range(n, message) => self.close.take_range(*n, arrived, message, layout),
            Inbound::Bumper(n, pressed) => self.close.take_bumper(*n, arrived, *pressed, layout),
            Inbound::Field(message) => self.compass.take_field(arrived, message),
            Inbound::WheelSpeeds(_) | Inbound::Diagnostics(_) => {}
        }
    }

    fn take_odometry(&mut self, arrived: MonoMs, speed_mps: f64, yaw_radps: f64) {
        // A reading that is no number is no reading: it must go stale.
        if !speed_mps.is_finite() || !yaw_radps.is_finite() {
            return;
        }
        if let Some(before) = self.odometry {
            let dt_ms = arrived.since(before.arrived).min(ODOMETRY_STEP_MS_MAX);
            self.distance_m += speed_mps.abs() * seconds(dt_ms);
        }
        self.odometry = Some(Odometry { arrived, speed_mps, yaw_radps });
    }

    fn take_imu(&mut self, arrived: MonoMs, message: &Imu) {
        let oriented = self.compass.take_imu(arrived, message);
        let q = message.orientation;
        let norm = q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w;
        let estimated = message.orientation_covariance[0] != -1.0;
        if estimated && (0.9..1.1).contains(&norm) {
            // Between the robot's upright axis and the world's.
            let tilt_rad = (1.0 - 2.0 * (q.x * q.x + q.y * q.y)).clamp(-1.0, 1.0).acos();
            // ROS counts from east to the left (REP 103), people from north to the right.
            let heading_deg = (90.0 - q.yaw_rad().to_degrees()).rem_euclid(360.0);
            let heading_deg = oriented.then_some(heading_deg);
            self.attitude = Some(Attitude { arrived, tilt_rad, heading_deg });
        }
    }

    fn take_fix(&mut self, arrived: MonoMs, message: &NavSatFix) {
        let point = GeoPoint { lat_deg: message.latitude, lon_deg: message.longitude };
        let fix = u8::try_from(message.status.status.saturating_add(1)).unwrap_or(0);
        let h_acc_m = message.horizontal_accuracy_m();
        self.fix = match h_acc_m {
            Some(h_acc_m) if fix > 0 && point.is_valid() => {
                Some(Fix { arrived, point, h_acc_m, fix })
            }
            _ => None,
        };
    }

    fn take_scan(&mut self, arrived: MonoMs, message: &LaserScan, guard: &ObstacleGuard) {
        let rays = Rays {
            angle_min_rad: f64::from(message.angle_min),
            angle_step_rad: f64::from(message.angle_increment),
            range_m_min: f64::from(message.range_min),
            range_m_max: f64::from(message.range_max),
        };
        let way = summarise(&message.ranges, &rays, guard);
        self.scan =
            Some(agent_core::Scan { arrived, ahead_mm: way.ahead_mm, behind_mm: way.behind_mm });
    }

    /// Charge of the battery, 0 to 1.
    pub(crate) fn battery(&self, now: MonoMs) -> Option<f64> {
        let (arrived, charge) = self.battery?;
        (now.since(arrived) <= BATTERY_AGE_MS_MAX).then_some(charge)
    }

    fn attitude(&self, now: MonoMs) -> Option<Attitude> {
        self.attitude.filter(|attitude| now.since(attitude.arrived) <= STATE_AGE_MS_MAX)
    }

    /// Lean, mrad.
    pub(crate) fn tilt_mrad(&self, now: MonoMs) -> Option<u16> {
        self.attitude(now).map(|attitude| thousandths(attitude.tilt_rad))
    }

    /// Charge of the battery in thousandths.
    pub(crate) fn battery_permille(&self, now: MonoMs) -> Option<u16> {
        self.battery(now).map(thousandths)
    }

    /// Clockwise from true north, degrees: by the orientation, or by the Earth's field, as configured.
    pub(crate) fn heading_deg(&self, now: MonoMs) -> Option<f64> {
        let of_orientation = self.attitude(now).and_then(|attitude| attitude.heading_deg);
        of_orientation.or_else(|| self.compass.heading_deg(now, STATE_AGE_MS_MAX))
    }

    /// The newest odometry, for the safety core.
    pub(crate) fn core_odometry(&self) -> Option<agent_core::Odometry> {
        self.odometry.map(|odometry| agent_core::Odometry {
            arrived: odometry.arrived,
            speed_mmps: whole(odometry.speed_mps * 1e3),
            yaw_mradps: whole(odometry.yaw_radps * 1e3),
        })
    }

    /// The newest position, for the safety core, whatever its age. What people are told as accuracy is one standard
    /// deviation; the geofence counts on two.
    pub(crate) fn core_fix(&self) -> Option<agent_core::Fix> {
        self.fix.map(|fix| agent_core::Fix {
            arrived: fix.arrived,
            lat_1e7: whole(fix.point.lat_deg * 1e7),
            lon_1e7: whole(fix.point.lon_deg * 1e7),
            accuracy_mm: whole(fix.h_acc_m * 2e3).unsigned_abs(),
        })
    }

    /// Where the front points, for the safety core.
    pub(crate) fn core_heading(&self, now: MonoMs) -> Option<agent_core::Heading> {
        let (sin, cos) = self.heading_deg(now)?.to_radians().sin_cos();
        let permille = |part: f64| i16::try_from(whole(part * 1e3)).unwrap_or(0);
        Some(agent_core::Heading { east_permille: permille(sin), north_permille: permille(cos) })
    }

    /// Position, when known and fresh.
    pub(crate) fn position(&self, now: MonoMs) -> Option<RobotPosition> {
        let fix = self.fix.filter(|fix| now.since(fix.arrived) <= STATE_AGE_MS_MAX)?;
        Some(RobotPosition {
            point: fix.point,
            h_acc_m: fix.h_acc_m,
            fix: fix.fix,
            satellites: None,
            age_ms: u32::try_from(now.since(fix.arrived)).unwrap_or(u32::MAX),
        })
    }
}

fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

/// Saturating; NaN gives 0.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
fn whole(quantity: f64) -> i32 {
    quantity.round() as i32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped first; NaN gives 0"
)]
fn thousandths(quantity: f64) -> u16 {
    (quantity * 1000.0).round().clamp(0.0, 65_000.0) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use ros_msgs::geometry_msgs::{Quaternion, Vector3};
    use ros_msgs::sensor_msgs::{BatteryState, MagneticField};

    fn take(sensors: &mut Sensors, ms: u64, message: Inbound) {
        let layout = Layout::new(&crate::config::Ros::default(), &ObstacleGuard::default());
        sensors.take(&message, MonoNs(ms * 1_000_000), &layout);
    }

    #[test]
    fn heading_and_lean_come_from_the_orientation() {
        let mut sensors = Sensors::default();
        let imu = |orientation| Inbound::Imu(Box::new(Imu { orientation, ..Imu::default() }));
        take(&mut sensors, 1_000, imu(Quaternion::from_yaw(std::f64::consts::FRAC_PI_2)));
        assert!(sensors.heading_deg(MonoMs(1_000)).unwrap().abs() < 1e-9, "to the north");
        take(&mut sensors, 1_000, imu(Quaternion::from_yaw(0.0)));
        assert!((sensors.heading_deg(MonoMs(1_000)).unwrap() - 90.0).abs() < 1e-9, "to the east");
        assert_eq!(sensors.tilt_mrad(MonoMs(1_000)), Some(0));
        let (sin, cos) = 0.2_f64.sin_cos();
        take(&mut sensors, 2_000, imu(Quaternion { x: sin, y: 0.0, z: 0.0, w: cos }));
        assert_eq!(sensors.tilt_mrad(MonoMs(2_000)), Some(400));
        assert_eq!(sensors.tilt_mrad(MonoMs(6_000)), None, "too old");
    }

    #[test]
    fn without_an_orientation_the_heading_comes_from_the_field() {
        let mut sensors = Sensors::default();
        let up = Vector3 { x: 0.0, y: 0.0, z: 9.81 };
        let imu = |covariance: f64, orientation| {
            let mut imu = Imu { orientation, linear_acceleration: up, ..Imu::default() };
            imu.orientation_covariance[0] = covariance;
            Inbound::Imu(Box::new(imu))
        };
        // Berlin's, with the front to the east.
        let magnetic_field = Vector3 { x: 0.0, y: 18.7e-6, z: -46.2e-6 };
        let field = || {
            let field = MagneticField { magnetic_field, ..MagneticField::default() };
            Inbound::Field(Box::new(field))
        };
        take(&mut sensors, 1_000, imu(-1.0, Quaternion::default()));
        take(&mut sensors, 1_000, field());
        assert!((sensors.heading_deg(MonoMs(1_000)).unwrap() - 90.0).abs() < 1e-9);
        let heading = sensors.core_heading(MonoMs(1_000)).unwrap();
        assert_eq!((heading.east_permille, heading.north_permille), (1_000, 0));
        assert_eq!(sensors.tilt_mrad(MonoMs(1_000)), None, "no orientation, no lean");
        // An orientation comes, and is asked first.
        take(&mut sensors, 1_100, imu(0.0, Quaternion::from_yaw(std::f64::consts::PI)));
        take(&mut sensors, 1_100, field());
        assert!((sensors.heading_deg(MonoMs(1_100)).unwrap() - 270.0).abs() < 1e-9);
        assert_eq!(sensors.heading_deg(MonoMs(9_000)), None, "both too old");
    }

    #[test]
    fn the_core_gets_whole_numbers() {
        let mut sensors = Sensors::default();
        assert_eq!((sensors.core_odometry(), sensors.core_fix()), (None, None));
        let mut odometry = ros_msgs::nav_msgs::Odometry::default();
        (odometry.twist.twist.linear.x, odometry.twist.twist.angular.z) = (-0.75, 1e300);
        take(&mut sensors, 1_000, Inbound::Odometry(Box::new(odometry)));
        let seen = sensors.core_odometry().unwrap();
        assert_eq!((seen.speed_mmps, seen.yaw_mradps), (-750, i32::MAX));
        let imu = Imu { orientation: Quaternion::from_yaw(1e-6), ..Imu::default() };
        take(&mut sensors, 1_000, Inbound::Imu(Box::new(imu)));
        let heading = sensors.core_heading(MonoMs(1_000)).unwrap();
        assert_eq!((heading.east_permille, heading.north_permille), (1_000, 0));
        let mut fix = NavSatFix { latitude: 52.5163, longitude: -0.1, ..NavSatFix::default() };
        fix.position_covariance = [4.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 9.0];
        fix.position_covariance_type = 2;
        take(&mut sensors, 1_500, Inbound::Fix(Box::new(fix)));
        let fix = sensors.core_fix().unwrap();
        assert_eq!(
            (fix.arrived, fix.lat_1e7, fix.lon_1e7),
            (MonoMs(1_500), 525_163_000, -1_000_000)
        );
        assert!(fix.accuracy_mm >= 4_000, "two sigma: {}", fix.accuracy_mm);
    }

    #[test]
    fn what_is_unknown_stays_unknown() {
        let mut sensors = Sensors::default();
        let percentage = f32::NAN;
        take(
            &mut sensors,
            1,
            Inbound::Battery(Box::new(BatteryState { percentage, ..BatteryState::default() })),
        );
        assert_eq!(sensors.battery(MonoMs(1)), None);
        take(&mut sensors, 1, Inbound::Fix(Box::default()));
        assert!(sensors.position(MonoMs(1)).is_none(), "a covariance that is not known");
        let mut odometry = ros_msgs::nav_msgs::Odometry::default();
        odometry.twist.twist.linear.x = f64::NAN;
        take(&mut sensors, 1, Inbound::Odometry(Box::new(odometry)));
        assert!(sensors.odometry.is_none());
    }

    #[test]
    fn the_way_is_added_up() {
        let mut sensors = Sensors::default();
        for ms in [1_000, 1_100, 1_200, 9_000] {
            let mut odometry = ros_msgs::nav_msgs::Odometry::default();
            odometry.twist.twist.linear.x = -1.0;
            take(&mut sensors, ms, Inbound::Odometry(Box::new(odometry)));
        }
        assert!((sensors.distance_m - 0.7).abs() < 1e-9, "a gap counts for half a second at most");
    }
}
