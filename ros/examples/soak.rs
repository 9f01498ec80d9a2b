//! Runs both sides at the rates of a real robot and prints what was lost and what it costs.
//!
//! ```text
//! cargo run -p ros-bridge --example soak -- [SECONDS]      default 30
//! ```
#![expect(clippy::print_stdout, reason = "the result of this program")]

use ros_bridge::{Config, agent::Base, base::RobotSide};
use ros_msgs::nav_msgs::Odometry;
use ros_msgs::sensor_msgs::{BatteryState, Imu, JointState, LaserScan, MagneticField, NavSatFix};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Steps of 10 ms between two messages of a topic.
const ODOMETRY_STEPS: u64 = 2;
const FIX_STEPS: u64 = 20;
const BATTERY_STEPS: u64 = 100;
const SCAN_STEPS: u64 = 10;

fn kib(field: &str) -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(field)).ok_or("no such field")?;
    Ok(line.split_whitespace().nth(1).ok_or("no value")?.parse()?)
}

fn publish(robot: &RobotSide, step: u64) -> Result<(), Box<dyn Error>> {
    robot.publish_imu(Imu::default())?;
    if step.is_multiple_of(ODOMETRY_STEPS) {
        robot.publish_odometry(Odometry::default())?;
        robot.publish_wheels(JointState::default())?;
        robot.publish_field(MagneticField::default())?;
    }
    if step.is_multiple_of(FIX_STEPS) {
        robot.publish_fix(NavSatFix::default())?;
    }
    if step.is_multiple_of(BATTERY_STEPS) {
        robot.publish_battery(BatteryState::default())?;
    }
    if step.is_multiple_of(SCAN_STEPS) {
        robot.publish_scan(LaserScan { ranges: vec![1.0; 360], ..LaserScan::default() })?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let seconds: u64 = std::env::args().nth(1).map_or(Ok(30), |seconds| seconds.parse())?;
    let domain_id = 1 + u16::try_from(std::process::id() % 100)?;
    let commands = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&commands);
    let robot = RobotSide::connect(&Config::new(domain_id, "soak_robot"), move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
    })?;
    let base = Base::connect(&Config::new(domain_id, "soak_agent"), |_, _| {})?;
    while base.command_subscribers() == 0 || base.health().iter().any(|t| t.publishers == 0) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let start = Instant::now();
    for step in 0..seconds * 100 {
        publish(&robot, step)?;
        if step.is_multiple_of(ODOMETRY_STEPS) {
            base.command(0.5, 0.0)?;
        }
        if step.is_multiple_of(1000) {
            println!("{:>4} s  RSS {} KiB", start.elapsed().as_secs(), kib("VmRSS")?);
        }
        let next = start + Duration::from_millis(10 * (step + 1));
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    for topic in base.health() {
        println!(
            "{:<16} received {:>6} malformed {}",
            topic.topic, topic.received, topic.malformed
        );
    }
    println!("commands received {} {:?}", commands.load(Ordering::Relaxed), base.commands_sent());
    println!("RSS {} KiB, highest {} KiB", kib("VmRSS")?, kib("VmHWM")?);
    Ok(())
}
