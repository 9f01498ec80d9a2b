//! A base that a test plays, over real ROS.

use ros_bridge::base::{Order, RobotSide};
use ros_bridge::kinematics::Commands;
use ros_bridge::{BumperTopic, Config};
use ros_msgs::geometry_msgs::{Quaternion, Twist, Vector3};
use ros_msgs::nav_msgs::Odometry;
use ros_msgs::sensor_msgs::{Imu, JointState, LaserScan, MagneticField, Range};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the close sensors of the base say.
pub(crate) const FREE: u8 = 0;
pub(crate) const BUMPED: u8 = 1;
pub(crate) const EDGE: u8 = 2;
pub(crate) const NEAR: u8 = 3;
pub(crate) const SILENT: u8 = 4;

fn publish_close(base: &RobotSide, says: u8) {
    if says == SILENT {
        return;
    }
    let range = |range| Range {
        field_of_view: 0.26,
        min_range: 0.02,
        max_range: 4.0,
        range,
        ..Range::default()
    };
    base.publish_range(0, range(if says == NEAR { 0.2 } else { f32::INFINITY })).ok();
    base.publish_range(1, range(if says == EDGE { 0.6 } else { 0.1 })).ok();
    base.publish_bumper(0, says == BUMPED).ok();
}

/// A base that stands before a wide free place and says so.
pub(crate) struct World {
    /// What its close sensors say.
    pub(crate) close: Arc<AtomicU8>,
    orders: Arc<Mutex<Vec<Order>>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl World {
    pub(crate) fn start(domain_id: u16, commands: Commands) -> Self {
        let close = Arc::new(AtomicU8::new(FREE));
        let says = Arc::clone(&close);
        let bumper = BumperTopic { topic: "/bumper".to_owned(), inverted: false, on_change: false };
        let config = Config {
            commands,
            ranges: vec!["/range".to_owned(), "/cliff".to_owned()],
            bumpers: vec![bumper],
            ..Config::new(domain_id, "test_robot")
        };
        let (orders, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (taken, stopped) = (Arc::clone(&orders), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let base = RobotSide::connect_equipped(&config, move |order, _| {
                taken.lock().unwrap().push(order)
            })
            .unwrap();
            for n in 0_u64.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let mut odometry = Odometry::default();
                odometry.twist.twist = Twist::planar(0.25, 0.0);
                let shake = if n % 2 == 0 { 0.3 } else { -0.3 };
                let imu = Imu {
                    orientation: Quaternion::from_yaw(0.0),
                    linear_acceleration: Vector3 { x: 0.0, y: 0.0, z: 9.81 + shake },
                    ..Imu::default()
                };
                let scan = LaserScan {
                    angle_min: -3.2,
                    angle_increment: 0.1,
                    range_min: 0.1,
                    range_max: 30.0,
                    ranges: vec![20.0; 64],
                    ..LaserScan::default()
                };
                let wheels = JointState {
                    name: vec!["wheel_left".to_owned(), "wheel_right".to_owned()],
                    velocity: vec![2.5, 2.5],
                    ..JointState::default()
                };
                base.publish_odometry(odometry).ok();
                let magnetic_field = Vector3 { x: 2e-5, y: 0.0, z: -4.5e-5 };
                let field = MagneticField { magnetic_field, ..MagneticField::default() };
                base.publish_field(field).ok();
                base.publish_imu(imu).ok();
                base.publish_wheels(wheels).ok();
                if n % 5 == 0 {
                    base.publish_scan(scan).ok();
                    publish_close(&base, says.load(Ordering::Relaxed));
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self { close, orders, stop, thread: Some(thread) }
    }

    pub(crate) fn orders(&self) -> Vec<Order> {
        self.orders.lock().unwrap().clone()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
