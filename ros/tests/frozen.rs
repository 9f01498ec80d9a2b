//! The whole process is stopped and continued, alone in its test binary because that stops every test in it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ros_bridge::Config;
use ros_bridge::agent::{Base, Inbound};
use ros_bridge::base::RobotSide;
use ros_msgs::geometry_msgs::Twist;
use ros_msgs::sensor_msgs::NavSatFix;
use std::process::Command;
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use support::{fresh_domain, until};

const TICK: Duration = Duration::from_millis(10);

#[test]
fn both_sides_are_back_after_a_freeze() {
    let domain_id = fresh_domain();
    let (to_robot, at_robot) = sync_channel(64);
    let (to_agent, at_agent) = sync_channel(64);
    let robot = RobotSide::connect(&Config::new(domain_id, "test_robot"), move |twist, _| {
        to_robot.try_send(twist).ok(); // The test may have ended.
    })
    .unwrap();
    let base = Base::connect(&Config::new(domain_id, "test_agent"), move |message, _| {
        to_agent.try_send(message).ok();
    })
    .unwrap();
    for number in [1.0, 2.0, 3.0] {
        let (mut fix_arrived, mut command_arrived) = (false, false);
        until("both ways", || {
            // Refused while the connection is made anew.
            robot.publish_fix(NavSatFix { latitude: number, ..NavSatFix::default() }).ok();
            base.command(number, 0.0).ok();
            let fix = at_agent.recv_timeout(TICK);
            fix_arrived |= matches!(fix, Ok(Inbound::Fix(fix)) if fix.latitude == number);
            command_arrived |= at_robot.try_recv() == Ok(Twist::planar(number, 0.0));
            fix_arrived && command_arrived
        });
        let health = base.health();
        let fix = health.iter().find(|health| health.topic == "/fix").unwrap();
        assert!(fix.received > 0, "counts outlast the connection");
        // The shell waits in our stead: this process can't.
        let freeze =
            format!("kill -STOP {pid}; sleep 0.3; kill -CONT {pid}", pid = std::process::id());
        assert!(Command::new("sh").args(["-c", &freeze]).status().unwrap().success());
    }
}
