//! The robot's sensors: messages made from the world and seeded noise.

use crate::base::{ROBOT_RADIUS_M, TRACK_M};
use crate::city::{KERB_HEIGHT_M, in_crossing_line, is_road};
use crate::people::wrap_rad;
use crate::rng::Rng;
use crate::world::{BATTERY_J, World, geo};
use ros_msgs::builtin_interfaces::Time;
use ros_msgs::diagnostic_msgs::{DiagnosticArray, DiagnosticStatus};
use ros_msgs::geometry_msgs::{Point, Pose, PoseWithCovariance, Quaternion, Twist};
use ros_msgs::geometry_msgs::{TwistWithCovariance, Vector3};
use ros_msgs::nav_msgs::Odometry;
use ros_msgs::sensor_msgs::{
    BatteryState, Imu, JointState, LaserScan, MagneticField, NavSatFix, NavSatStatus, Range,
};
use ros_msgs::std_msgs::Header;
use std::f64::consts::{PI, TAU};

/// Deviation of the position error, east and north each, in metres: together 1.2 m.
pub const FIX_SIGMA_M: f64 = 0.85;
/// Deviation of the altitude error, in metres.
pub const FIX_SIGMA_UP_M: f64 = 1.8;
/// The position error wanders: it is forgotten over about this time, in seconds.
pub const FIX_MEMORY_S: f64 = 60.0;
/// Height of the sidewalk above the ellipsoid, in metres.
pub const ALTITUDE_M: f64 = 74.0;
/// Rays of a laser sweep: one for each degree.
pub const SCAN_RAYS: usize = 360;
/// Farthest that the laser sees, in metres.
pub const SCAN_RANGE_M: f64 = 12.0;
/// Nearest that the laser measures, in metres.
pub const SCAN_NEAREST_M: f64 = 0.05;
/// Deviation of a range, in metres.
pub const SCAN_SIGMA_M: f64 = 0.01;
/// The Earth's field in Berlin: its strength, in tesla.
pub const FIELD_T: f64 = 49.8e-6;
/// How far it points below the horizon, in degrees.
pub const FIELD_INCLINATION_DEG: f64 = 68.0;
/// How far east of true north it points, in degrees.
pub const FIELD_DECLINATION_DEG: f64 = 4.5;
/// Deviation of each axis from one reading to the next, in tesla.
pub const FIELD_SIGMA_T: f64 = 0.4e-6;
/// Deviation of what stays of the robot's own iron after calibration, in tesla and for each axis.
pub const FIELD_BIAS_SIGMA_T: f64 = 0.6e-6;
/// Opening of a range cone, in radians.
pub const CONE_OPENING_RAD: f64 = 0.26;
/// Farthest that a range cone sees, in metres.
pub const CONE_RANGE_M: f64 = 4.0;
/// Nearest that a range cone measures, in metres.
pub const CONE_NEAREST_M: f64 = 0.02;
/// Where the range cones sit, forward and backward of the robot's middle, in metres.
pub const CONE_MOUNT_M: f64 = ROBOT_RADIUS_M;
/// Where the drop sensor looks at the ground, forward of the robot's middle, in metres.
pub const DROP_AHEAD_M: f64 = 0.42;
/// Height of the drop sensor above the ground that the robot stands on, in metres.
pub const DROP_HEIGHT_M: f64 = 0.1;
/// Close sensors have noise of their own, as the magnetometer has.
const CLOSE_STREAM: u64 = 26;
const CONE_RAYS: u32 = 7;
const CONE_SIGMA_M: f64 = 0.01;
const DROP_SIGMA_M: f64 = 0.003;
/// The magnetometer has noise of its own, so that the other sensors' readings of a seed stay what they were.
const FIELD_STREAM: u64 = 25;
/// Chosen so that the first seed, which newcomers see, has an error of ordinary size.
const FIX_STREAM: u64 = 24;
const GRAVITY_MPS2: f64 = 9.81;
const GYRO_SIGMA_RADPS: f64 = 0.003;
const ACCELERATION_SIGMA_MPS2: f64 = 0.04;
const YAW_SIGMA_RAD: f64 = 0.012;
const WHEEL_SIGMA_MPS: f64 = 0.004;

/// What the sensors remember between readings.
#[derive(Debug, Clone)]
pub struct Sensors {
    rng: Rng,
    /// Satellites err by themselves, whatever else is read.
    fix_rng: Rng,
    field_rng: Rng,
    close_rng: Rng,
    /// Pose by the wheels, from where the robot started, x ahead.
    odometry: [f64; 3],
    fix_error_m: [f64; 3],
    field_bias_t: [f64; 3],
    gyro_bias_radps: f64,
    acceleration_bias_mps2: [f64; 2],
    yaw_bias_rad: f64,
}

fn header(stamp_ns: u64, frame: &str) -> Header {
    Header { stamp: Time::from_ns(stamp_ns), frame_id: frame.to_owned() }
}

fn diagonal<const N: usize>(values: &[f64]) -> [f64; N] {
    let mut out = [0.0; N];
    for (n, value) in values.iter().enumerate() {
        out[n * (values.len() + 1)] = *value;
    }
    out
}

impl Sensors {
    /// The sensors of this seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 4);
        let mut fix_rng = Rng::new(seed, FIX_STREAM);
        let fix_error_m = [FIX_SIGMA_M, FIX_SIGMA_M, FIX_SIGMA_UP_M].map(|s| s * fix_rng.normal());
        let mut field_rng = Rng::new(seed, FIELD_STREAM);
        Self {
            field_bias_t: [(); 3].map(|()| FIELD_BIAS_SIGMA_T * field_rng.normal()),
            field_rng,
            close_rng: Rng::new(seed, CLOSE_STREAM),
            fix_rng,
            odometry: [0.0; 3],
            fix_error_m,
            gyro_bias_radps: 0.002 * rng.normal(),
            acceleration_bias_mps2: [0.03 * rng.normal(), 0.03 * rng.normal()],
            yaw_bias_rad: 0.01 * rng.normal(),
            rng,
        }
    }

    /// Counts the wheels over a step of the world: call it after each.
    pub fn step(&mut self, dt_s: f64, world: &World) {
        let [x, y, yaw] = &mut self.odometry;
        *yaw = wrap_rad(*yaw + world.base.turn_radps * dt_s);
        *x += world.base.speed_mps * yaw.cos() * dt_s;
        *y += world.base.speed_mps * yaw.sin() * dt_s;
    }

    /// Where the wheels say that the robot is. Its drift is the slip, which they cannot feel.
    pub fn odometry(&mut self, world: &World, stamp_ns: u64) -> Odometry {
        let [x, y, yaw] = self.odometry;
        let speed = world.base.speed_mps + WHEEL_SIGMA_MPS * self.rng.normal();
        let turn = world.base.turn_radps + WHEEL_SIGMA_MPS / TRACK_M * self.rng.normal();
        let way = world.distance_m;
        let pose =
            Pose { position: Point { x, y, z: 0.0 }, orientation: Quaternion::from_yaw(yaw) };
        let drift = 1e-4 + (0.02 * way).powi(2);
        let spread = [drift, drift, 1e6, 1e6, 1e6, 1e-4 + (0.004 * way).powi(2)];
        Odometry {
            header: header(stamp_ns, "odom"),
            child_frame_id: "base_link".to_owned(),
            pose: PoseWithCovariance { pose, covariance: diagonal(&spread) },
            twist: TwistWithCovariance {
                twist: Twist::planar(speed, turn),
                covariance: diagonal(&[4e-4, 1e-4, 1e6, 1e6, 1e6, 9e-4]),
            },
        }
    }

    /// Turn rate, acceleration with gravity, and heading (0 is east, counter-clockwise).
    pub fn imu(&mut self, world: &World, stamp_ns: u64) -> Imu {
        let yaw = world.pose.heading_rad + self.yaw_bias_rad + YAW_SIGMA_RAD * self.rng.normal();
        // Rolling over paving shakes with the speed.
        let shake = ACCELERATION_SIGMA_MPS2 + 0.35 * world.speed_mps.abs();
        let [bias_x, bias_y] = self.acceleration_bias_mps2;
        let ahead = world.acceleration_mps2.clamp(-30.0, 30.0);
        let mut noise = |sigma: f64| sigma * self.rng.normal();
        let acceleration = Vector3 {
            x: ahead + bias_x + noise(shake * 0.4),
            y: world.speed_mps * world.turn_radps + bias_y + noise(shake * 0.4),
            z: GRAVITY_MPS2 + world.shock_mps2 + noise(shake),
        };
        let bias = self.gyro_bias_radps;
        Imu {
            header: header(stamp_ns, "imu_link"),
            orientation: Quaternion::from_yaw(yaw),
            orientation_covariance: diagonal(&[1e-4, 1e-4, 2.5e-4]),
            angular_velocity: Vector3 {
                x: noise(GYRO_SIGMA_RADPS),
                y: noise(GYRO_SIGMA_RADPS),
                z: world.turn_radps + bias + noise(GYRO_SIGMA_RADPS),
            },
            angular_velocity_covariance: diagonal(&[1.3e-5; 3]),
            linear_acceleration: acceleration,
            linear_acceleration_covariance: diagonal(&[0.1, 0.1, 0.4]),
        }
    }

    /// The Earth's magnetic field in the robot's frame, which stands level.
    pub fn field(&mut self, world: &World, stamp_ns: u64) -> MagneticField {
        let (down, level) = FIELD_INCLINATION_DEG.to_radians().sin_cos();
        // Declination counts clockwise from north, headings counter-clockwise from east.
        let towards = PI / 2.0 - FIELD_DECLINATION_DEG.to_radians() - world.pose.heading_rad;
        let (left, ahead) = towards.sin_cos();
        let [bias_x, bias_y, bias_z] = self.field_bias_t;
        let mut axis = |field: f64, bias: f64| {
            FIELD_T * field + bias + FIELD_SIGMA_T * self.field_rng.normal()
        };
        let magnetic_field = Vector3 {
            x: axis(level * ahead, bias_x),
            y: axis(level * left, bias_y),
            z: axis(-down, bias_z),
        };
        let variance = FIELD_SIGMA_T.powi(2) + FIELD_BIAS_SIGMA_T.powi(2);
        MagneticField {
            header: header(stamp_ns, "imu_link"),
            magnetic_field,
            magnetic_field_covariance: diagonal(&[variance; 3]),
        }
    }

    /// The position by satellites; `since_s` is the time since the last one. Its covariance is that of its error.
    pub fn fix(&mut self, world: &World, since_s: f64, stamp_ns: u64) -> NavSatFix {
        let keep = (-since_s / FIX_MEMORY_S).exp();
        let push = (1.0 - keep * keep).sqrt();
        let sigmas = [FIX_SIGMA_M, FIX_SIGMA_M, FIX_SIGMA_UP_M];
        for (error, sigma) in self.fix_error_m.iter_mut().zip(sigmas) {
            *error = *error * keep + sigma * push * self.fix_rng.normal();
        }
        let [east, north, up] = self.fix_error_m;
        let at = geo(world.pose.x + east, world.pose.y + north);
        NavSatFix {
            header: header(stamp_ns, "gnss_link"),
            status: NavSatStatus {
                status: NavSatStatus::STATUS_SBAS_FIX,
                service: NavSatStatus::SERVICE_GPS | NavSatStatus::SERVICE_GALILEO,
            },
            latitude: at.lat_deg,
            longitude: at.lon_deg,
            altitude: ALTITUDE_M + world.ground_m + up,
            position_covariance: diagonal(&sigmas.map(|s| s * s)),
            position_covariance_type: NavSatFix::COVARIANCE_TYPE_DIAGONAL_KNOWN,
        }
    }

    /// The battery, a 10 Ah pack of seven lithium-ion cells.
    pub fn battery(&mut self, world: &World, stamp_ns: u64) -> BatteryState {
        let charge = world.charge();
        let watts = 18.0 + 45.0 * world.speed_mps.abs();
        let volts = 7.0 * (3.3 + 0.85 * charge) - watts * 0.004;
        let capacity_ah = BATTERY_J / 3600.0 / 28.8;
        BatteryState {
            header: header(stamp_ns, "base_link"),
            voltage: volts as f32,
            temperature: (24.0 + 0.2 * self.rng.normal()) as f32,
            current: (-watts / volts) as f32,
            charge: (charge * capacity_ah) as f32,
            capacity: capacity_ah as f32,
            design_capacity: capacity_ah as f32,
            percentage: charge as f32,
            power_supply_status: BatteryState::POWER_SUPPLY_STATUS_DISCHARGING,
            power_supply_health: BatteryState::POWER_SUPPLY_HEALTH_GOOD,
            power_supply_technology: BatteryState::POWER_SUPPLY_TECHNOLOGY_LION,
            present: true,
            ..BatteryState::default()
        }
    }

    /// A laser sweep in a plane above the kerbs: walls, furniture, cars and people.
    pub fn scan(&mut self, world: &World, stamp_ns: u64) -> LaserScan {
        let step = TAU / SCAN_RAYS as f64;
        let near = world.near(SCAN_RANGE_M);
        let (x, y) = (world.pose.x, world.pose.y);
        let mut ray = |n: usize| {
            let angle = world.pose.heading_rad - PI + n as f64 * step;
            let range = near.ray_m(x, y, angle, SCAN_RANGE_M);
            let measured = range + SCAN_SIGMA_M * self.rng.normal();
            if range >= SCAN_RANGE_M || measured > SCAN_RANGE_M {
                f32::INFINITY
            } else {
                measured.max(SCAN_NEAREST_M.max(ROBOT_RADIUS_M * 0.5)) as f32
            }
        };
        let ranges = (0..SCAN_RAYS).map(&mut ray).collect();
        LaserScan {
            header: header(stamp_ns, "laser"),
            angle_min: -PI as f32,
            angle_max: (PI - step) as f32,
            angle_increment: step as f32,
            time_increment: 0.0,
            scan_time: 0.1,
            range_min: SCAN_NEAREST_M as f32,
            range_max: SCAN_RANGE_M as f32,
            ranges,
            intensities: Vec::new(),
        }
    }

    /// What the front or the rear cone of ultrasound meets first.
    pub fn cone(&mut self, world: &World, rear: bool, stamp_ns: u64) -> Range {
        let axis = world.pose.heading_rad + if rear { PI } else { 0.0 };
        let (sin, cos) = axis.sin_cos();
        let (x, y) = (world.pose.x + CONE_MOUNT_M * cos, world.pose.y + CONE_MOUNT_M * sin);
        let near = world.near(CONE_RANGE_M + CONE_MOUNT_M);
        let rays = (0..CONE_RAYS).map(|n| {
            let part = f64::from(n) / f64::from(CONE_RAYS - 1) - 0.5;
            near.ray_m(x, y, axis + part * CONE_OPENING_RAD, CONE_RANGE_M)
        });
        let range = rays.fold(CONE_RANGE_M, f64::min);
        let measured = range + CONE_SIGMA_M * self.close_rng.normal();
        let met = range < CONE_RANGE_M && measured <= CONE_RANGE_M;
        Range {
            header: header(stamp_ns, if rear { "cone_rear" } else { "cone_front" }),
            radiation_type: Range::ULTRASOUND,
            field_of_view: CONE_OPENING_RAD as f32,
            min_range: CONE_NEAREST_M as f32,
            max_range: CONE_RANGE_M as f32,
            range: if met { measured.max(0.0) as f32 } else { f32::INFINITY },
            variance: (CONE_SIGMA_M * CONE_SIGMA_M) as f32,
        }
    }

    /// How far below the drop sensor the ground is, a little before the robot. A kerb is a drop, except where it is
    /// lowered.
    pub fn drop(&mut self, world: &World, stamp_ns: u64) -> Range {
        let (sin, cos) = world.pose.heading_rad.sin_cos();
        let (x, y) = (world.pose.x + DROP_AHEAD_M * cos, world.pose.y + DROP_AHEAD_M * sin);
        let down = is_road(x, y) && !is_road(world.pose.x, world.pose.y);
        let step = if down && !in_crossing_line(x, y) { KERB_HEIGHT_M } else { 0.0 };
        Range {
            header: header(stamp_ns, "drop_front"),
            radiation_type: Range::INFRARED,
            field_of_view: 0.05,
            min_range: 0.01,
            max_range: 0.8,
            range: (DROP_HEIGHT_M + step + DROP_SIGMA_M * self.close_rng.normal()) as f32,
            variance: (DROP_SIGMA_M * DROP_SIGMA_M) as f32,
        }
    }

    /// How the robot's parts do, as its driver sees them.
    pub fn diagnostics(world: &World, stamp_ns: u64) -> DiagnosticArray {
        let part = |name: &str, ill: bool, well: &str, bad: &str| DiagnosticStatus {
            level: if ill { DiagnosticStatus::WARN } else { DiagnosticStatus::OK },
            name: format!("sim_robot: {name}"),
            message: if ill { bad } else { well }.to_owned(),
            hardware_id: format!("seed {}", world.seed),
            values: Vec::new(),
        };
        let touches = world.bumpers().contains(&true);
        DiagnosticArray {
            header: header(stamp_ns, ""),
            status: vec![
                part("drive", touches, "Free", "Something is in the way of the wheels"),
                part("battery", world.charge() < 0.1, "Charged", "Nearly empty"),
            ],
        }
    }

    /// Angle and speed of the left and right wheel.
    pub fn wheels(&mut self, world: &World, stamp_ns: u64) -> JointState {
        let half = world.base.turn_radps * TRACK_M / 2.0;
        let speeds = [world.base.speed_mps - half, world.base.speed_mps + half];
        let turn =
            speeds.map(|v| (v + WHEEL_SIGMA_MPS * self.rng.normal()) / crate::base::WHEEL_RADIUS_M);
        JointState {
            header: header(stamp_ns, "base_link"),
            name: vec!["wheel_left".to_owned(), "wheel_right".to_owned()],
            position: world.base.wheels_rad.to_vec(),
            velocity: turn.to_vec(),
            effort: Vec::new(),
        }
    }
}
