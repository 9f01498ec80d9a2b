//! Both sides of a robot in one process, over real DDS.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ros_bridge::agent::{Base, Inbound};
use ros_bridge::base::{Order, RobotSide};
use ros_bridge::kinematics::{Commands, Kinematics};
use ros_bridge::{BumperTopic, Config, ConnectError};
use ros_msgs::diagnostic_msgs::{DiagnosticArray, DiagnosticStatus};
use ros_msgs::geometry_msgs::{Twist, Vector3};
use ros_msgs::nav_msgs::Odometry;
use ros_msgs::sensor_msgs::{
    BatteryState, Imu, JointState, LaserScan, MagneticField, NavSatFix, Range,
};
use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use support::{fresh_domain, until};

const TICK: Duration = Duration::from_millis(10);

fn sensors() -> Vec<Inbound> {
    let mut odometry = Odometry { child_frame_id: "base_link".to_owned(), ..Odometry::default() };
    odometry.pose.covariance[35] = 0.5;
    odometry.twist.twist = Twist::planar(1.25, -0.5);
    let imu = Imu { angular_velocity_covariance: [0.25; 9], ..Imu::default() };
    let magnetic_field = Vector3 { x: 1.5e-5, y: -2.5e-5, z: -4.5e-5 };
    let field = MagneticField { magnetic_field, ..MagneticField::default() };
    let fix = NavSatFix { latitude: 52.5, longitude: 13.25, ..NavSatFix::default() };
    let battery = BatteryState { percentage: 0.75, present: true, ..BatteryState::default() };
    // Longer than one Ethernet frame: DDS sends it in fragments.
    let scan = LaserScan { ranges: vec![1.5; 1000], ..LaserScan::default() };
    let wheels = JointState {
        name: vec!["left".to_owned(), "right".to_owned()],
        velocity: vec![1.0, 2.0],
        ..JointState::default()
    };
    let part = DiagnosticStatus { name: "motors".to_owned(), level: 2, ..Default::default() };
    let diagnostics = DiagnosticArray { status: vec![part], ..DiagnosticArray::default() };
    vec![
        Inbound::Odometry(Box::new(odometry)),
        Inbound::Imu(Box::new(imu)),
        Inbound::Field(Box::new(field)),
        Inbound::Fix(Box::new(fix)),
        Inbound::Battery(Box::new(battery)),
        Inbound::Scan(Box::new(scan)),
        Inbound::WheelSpeeds(Box::new(wheels)),
        Inbound::Diagnostics(Box::new(diagnostics)),
        Inbound::Range(0, Box::new(Range { range: 1.5, ..Range::default() })),
        Inbound::Range(1, Box::new(Range { range: f32::INFINITY, ..Range::default() })),
        Inbound::Bumper(0, true),
        Inbound::Bumper(1, true),
    ]
}

/// A robot with two range sensors, and two bumpers of which the second says false when it is pressed, and only once.
fn with_close_sensors(domain_id: u16, node_name: &str) -> Config {
    let bumper = |topic: &str, special| BumperTopic {
        topic: topic.to_owned(),
        inverted: special,
        on_change: special,
    };
    Config {
        ranges: vec!["/range/front".to_owned(), "/range/rear".to_owned()],
        bumpers: vec![bumper("/bumper/front", false), bumper("/bumper/rear", true)],
        ..Config::new(domain_id, node_name)
    }
}

fn publish(robot: &RobotSide, message: &Inbound) {
    match message.clone() {
        Inbound::Odometry(message) => robot.publish_odometry(*message),
        Inbound::Imu(message) => robot.publish_imu(*message),
        Inbound::Field(message) => robot.publish_field(*message),
        Inbound::Fix(message) => robot.publish_fix(*message),
        Inbound::Battery(message) => robot.publish_battery(*message),
        Inbound::Scan(message) => robot.publish_scan(*message),
        Inbound::WheelSpeeds(message) => robot.publish_wheels(*message),
        Inbound::Diagnostics(message) => robot.publish_diagnostics(*message),
        Inbound::Range(n, message) => robot.publish_range(n, *message),
        Inbound::Bumper(n, pressed) => robot.publish_bumper(n, pressed != (n == 1)),
    }
    // A reliable topic takes nothing while its window is full of what was not yet acknowledged.
    .unwrap_or_else(|error| assert!(error.to_string().contains("window is full"), "{error}"));
}

#[test]
fn every_topic_crosses_both_ways() {
    let domain_id = fresh_domain();
    let (to_robot, at_robot) = sync_channel(64);
    let (to_agent, at_agent) = sync_channel(64);
    let robot =
        RobotSide::connect(&with_close_sensors(domain_id, "test_robot"), move |twist, arrived| {
            to_robot.try_send((twist, arrived)).ok(); // The test may have ended.
        })
        .unwrap();
    let base =
        Base::connect(&with_close_sensors(domain_id, "test_agent"), move |message, arrived| {
            to_agent.try_send((message, arrived)).ok();
        })
        .unwrap();
    assert!(base.health().iter().all(|topic| topic.received == 0 && topic.newest.is_none()));

    let sent = sensors();
    let mut got = BTreeMap::new();
    until("all sensors at the agent", || {
        sent.iter().for_each(|message| publish(&robot, message));
        while let Ok((message, arrived)) = at_agent.recv_timeout(TICK) {
            let index = sent.iter().position(|sent| *sent == message);
            got.insert(index.expect("a message as it was sent"), arrived);
        }
        got.len() == sent.len()
    });
    until("a command at the robot", || {
        base.command(0.75, -0.25).unwrap();
        let Ok((twist, arrived)) = at_robot.recv_timeout(TICK) else { return false };
        assert_eq!(twist, Twist::planar(0.75, -0.25));
        assert!(got.values().all(|sensor| *sensor <= arrived), "one clock for both sides");
        true
    });

    for topic in base.health() {
        assert!(topic.received > 0, "{topic:?}");
        assert!(topic.newest.is_some(), "{topic:?}");
        assert_eq!((topic.malformed, topic.publishers), (0, 1), "{topic:?}");
    }
    let quiet: Vec<String> =
        base.health().into_iter().filter(|t| t.on_change).map(|t| t.topic).collect();
    assert_eq!(quiet, ["/bumper/rear"]);
    assert_eq!(base.command_subscribers(), 1);
    assert_eq!(base.commands_sent().failed, 0);
    assert!(robot.health()[0].received > 0);
}

/// What a base of this kind gets of what the agent says.
fn obeyed(commands: Commands, kinematics: Kinematics, said: (f64, f64)) -> (f64, f64) {
    let domain_id = fresh_domain();
    let config = |name| Config { commands, kinematics, ..Config::new(domain_id, name) };
    let (to_robot, at_robot) = sync_channel(64);
    let _robot = RobotSide::connect(&config("test_robot"), move |twist, _| {
        to_robot.try_send((twist.linear.x, twist.angular.z)).ok();
    })
    .unwrap();
    let base = Base::connect(&config("test_agent"), |_, _| {}).unwrap();
    let mut got = None;
    until("a command at the robot", || {
        base.command(said.0, said.1).unwrap();
        got = at_robot.recv_timeout(TICK).ok();
        got.is_some()
    });
    got.unwrap()
}

#[test]
fn a_base_is_told_in_the_form_that_it_takes_and_no_more_than_it_can() {
    let car = Kinematics::Ackermann { wheelbase_m: 0.5, steering_rad_max: 0.5 };
    let stamped = obeyed(Commands::TwistStamped, Kinematics::Differential, (0.5, -1.5));
    assert_eq!(stamped, (0.5, -1.5));
    // tan(0.5) / 0.5 m is 1.0926 rad for each metre.
    let (linear, angular) = obeyed(Commands::TwistStamped, car, (0.5, -1.5));
    assert!(linear == 0.5 && (angular + 0.5463).abs() < 1e-4, "{angular}");
    assert_eq!(obeyed(Commands::Twist, car, (0.0, 1.0)), (0.0, 0.0), "not on the spot");
    for (linear, angular) in [(0.5, 0.25), (-0.5, 0.25)] {
        let (speed, turn) = obeyed(Commands::AckermannDriveStamped, car, (linear, angular));
        assert_eq!(speed, linear);
        assert!(turn.abs() <= 0.25 && (turn - angular).abs() < 1e-6, "steers to {turn} rad/s");
    }
}

#[test]
fn the_lamp_is_set_once_and_not_again() {
    let domain_id = fresh_domain();
    let (to_robot, at_robot) = sync_channel(64);
    let robot =
        RobotSide::connect_equipped(&Config::new(domain_id, "test_robot"), move |order, _| {
            to_robot.try_send(order).ok();
        })
        .unwrap();
    let base = Base::connect(&Config::new(domain_id, "test_agent"), |_, _| {}).unwrap();
    until("the lamp at the agent, and the agent at the lamp", || {
        std::thread::sleep(TICK);
        base.lamp_subscribers() == 1
            && robot.health().iter().any(|t| t.topic == "/lamp" && t.publishers > 0)
    });
    until("a level at the robot", || {
        base.lamp(2).unwrap();
        at_robot.recv_timeout(TICK) == Ok(Order::Lamp(2))
    });
    while at_robot.recv_timeout(TICK).is_ok() {}
    base.lamp(3).unwrap();
    assert_eq!(at_robot.recv_timeout(Duration::from_secs(5)), Ok(Order::Lamp(3)));
}

#[test]
fn a_robot_that_restarts_is_found_again() {
    let domain_id = fresh_domain();
    let (to_agent, at_agent) = sync_channel(64);
    let base = Base::connect(&Config::new(domain_id, "test_agent"), move |message, _| {
        to_agent.try_send(message).ok();
    })
    .unwrap();
    for latitude in [1.0, 2.0, 3.0] {
        let (to_robot, at_robot) = sync_channel(64);
        let robot = RobotSide::connect(&Config::new(domain_id, "test_robot"), move |twist, _| {
            to_robot.try_send(twist).ok();
        })
        .unwrap();
        let (mut fix_arrived, mut command_arrived) = (false, false);
        until("the restarted robot, both ways", || {
            robot.publish_fix(NavSatFix { latitude, ..NavSatFix::default() }).unwrap();
            base.command(latitude, 0.0).unwrap();
            fix_arrived |= matches!(
                at_agent.recv_timeout(TICK),
                Ok(Inbound::Fix(fix)) if fix.latitude == latitude
            );
            command_arrived |= at_robot.try_recv() == Ok(Twist::planar(latitude, 0.0));
            fix_arrived && command_arrived
        });
    }
}

#[test]
fn commands_to_nobody_are_taken_without_waiting() {
    let base = Base::connect(&Config::new(fresh_domain(), "test_lonely"), |_, _| {}).unwrap();
    for _ in 0..10_000 {
        base.command(0.0, 0.0).unwrap();
    }
    assert_eq!(base.command_subscribers(), 0);
    assert!(base.health().iter().all(|topic| topic.publishers == 0));
}

#[test]
fn a_publisher_of_another_type_is_counted_and_never_delivered() {
    let domain_id = fresh_domain();
    let (to_agent, at_agent) = sync_channel(64);
    let mut crossed = Config::new(domain_id, "test_crossed");
    std::mem::swap(&mut crossed.topics.odometry, &mut crossed.topics.battery);
    let robot = RobotSide::connect(&crossed, |_, _| {}).unwrap();
    let base = Base::connect(&Config::new(domain_id, "test_agent"), move |message, _| {
        to_agent.try_send(message).ok();
    })
    .unwrap();
    let malformed = |base: &Base, topic: &str| {
        let health = base.health().into_iter().find(|health| health.topic == topic).unwrap();
        assert_eq!((health.received, health.newest, health.publishers), (0, None, 0), "{health:?}");
        health.malformed > 0
    };
    // Odometry is longer than the battery's state and decodes as one; the other way round it does not.
    until("both wrong types to be noticed, and the imu", || {
        sensors().iter().for_each(|message| publish(&robot, message));
        let arrived = at_agent.recv_timeout(TICK);
        assert!(!matches!(arrived, Ok(Inbound::Odometry(_) | Inbound::Battery(_))));
        let imu = matches!(arrived, Ok(Inbound::Imu(_)));
        imu && malformed(&base, "/odom") && malformed(&base, "/battery_state")
    });
}

#[test]
fn impossible_settings_say_what_to_do() {
    let connect = |config: &Config| Base::connect(config, |_, _| {}).map(drop).unwrap_err();
    let error = connect(&Config::new(233, "agent"));
    assert_eq!(error.to_string(), "ROS domain 233 does not exist: choose 0 to 232 (ROS_DOMAIN_ID)");
    let error = connect(&Config::new(fresh_domain(), "bad name"));
    assert!(matches!(error, ConnectError::Name { .. }), "{error}");
    let mut config = Config::new(fresh_domain(), "agent");
    config.topics.odometry = "odom".to_owned();
    let error = connect(&config);
    assert!(error.to_string().contains("begin it with a slash"), "{error}");
}
