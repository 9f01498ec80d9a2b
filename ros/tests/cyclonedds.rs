//! An independent DDS implementation plays the base: CycloneDDS, from PyPI, in a Python process.
//!
//! Set `LONGREIN_PYTHON` to a Python that has `cyclonedds`. Without it the tests say so and pass, except in CI.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ros_bridge::agent::{Base, Inbound};
use ros_bridge::base::RobotSide;
use ros_bridge::kinematics::{Commands, Kinematics};
use ros_bridge::qos::{Durability, Qos, QosOfTopics, Reliability};
use ros_bridge::{BumperTopic, Config, Sent};
use ros_msgs::geometry_msgs::{Point, Quaternion, Twist, Vector3};
use ros_msgs::sensor_msgs::NavSatStatus;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel, sync_channel};
use std::time::{Duration, Instant};
use support::{fresh_domain, until};

const TICK: Duration = Duration::from_millis(10);
/// Half of the calls must be faster. DDS by default waits 100 ms for a subscriber.
const CALL_MEDIAN_MAX: Duration = Duration::from_millis(10);

struct Peer {
    process: Child,
    lines: Receiver<Value>,
}

impl Peer {
    /// `None` when there is no Python to run it.
    fn start(domain_id: u16, arguments: &[&str]) -> Option<Self> {
        let Ok(python) = std::env::var("LONGREIN_PYTHON") else {
            let skipped = "SKIPPED: set LONGREIN_PYTHON to a Python with cyclonedds";
            assert!(std::env::var_os("CI").is_none(), "{skipped}");
            // Not eprintln: the test runner would hide it.
            std::io::stderr().write_all(format!("{skipped}\n").as_bytes()).unwrap();
            return None;
        };
        let mut process = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cyclonedds_peer.py"))
            // No cache of the imported module among the sources.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .args(["--domain", &domain_id.to_string()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (to_test, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if to_test.send(serde_json::from_str(&line).unwrap()).is_err() {
                    break;
                }
            }
        });
        let peer = Self { process, lines };
        let ready = peer.lines.recv_timeout(Duration::from_secs(30)).unwrap();
        assert_eq!(ready["event"], "ready");
        Some(peer)
    }

    fn command(&self) -> Option<(f64, f64)> {
        let line = self.lines.recv_timeout(TICK).ok()?;
        Some((line["linear"].as_f64().unwrap(), line["angular"].as_f64().unwrap()))
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Returns when every thread has stopped, which a signal alone does not promise.
    fn freeze(&self) {
        self.signal("-STOP");
        until("all threads of the peer to stop", || {
            let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
            tasks.map(|task| task.unwrap().path().join("stat")).all(|stat| {
                let stat = std::fs::read_to_string(stat).unwrap();
                stat.rsplit_once(") ").unwrap().1.starts_with('T')
            })
        });
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn check_sensor(message: &Inbound) -> usize {
    match message {
        Inbound::Odometry(odometry) => {
            let pose = &odometry.pose.pose;
            assert_eq!(
                (odometry.header.frame_id.as_str(), odometry.child_frame_id.as_str()),
                ("odom", "base_link")
            );
            assert_eq!(pose.position, Point { x: pose.position.x, y: 2.0, z: 3.0 });
            assert_eq!(pose.orientation, Quaternion { x: 0.0, y: 0.0, z: 0.6, w: 0.8 });
            assert_eq!((odometry.pose.covariance[35], odometry.twist.covariance[35]), (8.75, 8.75));
            assert_eq!(odometry.twist.twist, Twist::planar(1.25, -0.5));
            0
        }
        Inbound::Imu(imu) => {
            assert_eq!((imu.angular_velocity.z, imu.linear_acceleration.z), (0.125, 9.75));
            assert_eq!(imu.linear_acceleration_covariance[8], 2.0);
            1
        }
        Inbound::Fix(fix) => {
            assert_eq!((fix.latitude, fix.longitude, fix.altitude), (52.5, 13.25, 34.5));
            let service = NavSatStatus::SERVICE_GPS | NavSatStatus::SERVICE_GALILEO;
            assert_eq!(fix.status, NavSatStatus { status: NavSatStatus::STATUS_GBAS_FIX, service });
            assert_eq!((fix.position_covariance[8], fix.position_covariance_type), (2.0, 2));
            2
        }
        Inbound::Field(field) => {
            assert_eq!(field.magnetic_field, Vector3 { x: 1.5e-5, y: -2.5e-5, z: -4.5e-5 });
            assert_eq!(field.header.frame_id, "imu_link");
            assert_eq!(field.magnetic_field_covariance[8], 2.0);
            3
        }
        other => panic!("the peer does not send {other:?}"),
    }
}

fn crosses_both_ways(arguments: &[&str]) {
    let domain_id = fresh_domain();
    let Some(peer) = Peer::start(domain_id, arguments) else { return };
    let (to_test, sensors) = sync_channel(256);
    let base = Base::connect(&Config::new(domain_id, "test_agent"), move |message, _| {
        to_test.try_send(message).ok(); // The test may have ended.
    })
    .unwrap();
    let mut counts = [0; 4];
    until("odometry, imu, fix and magnetic field from CycloneDDS", || {
        let Ok(message) = sensors.recv_timeout(TICK) else { return false };
        counts[check_sensor(&message)] += 1;
        counts.iter().all(|count| *count >= 3)
    });
    until("a command at CycloneDDS", || {
        base.command(0.75, -0.25).unwrap();
        peer.command() == Some((0.75, -0.25))
    });
    // Twenty seconds' worth at the rate of the drive loop, less the waiting: none may be lost or held back.
    let mut got = Vec::new();
    for number in 1..=200 {
        base.command(f64::from(number), 0.0).unwrap();
        until("the same command at CycloneDDS", || {
            got.extend(peer.command());
            got.last() == Some(&(f64::from(number), 0.0))
        });
    }
    let linear: Vec<f64> = got.iter().map(|(linear, _)| *linear).filter(|v| *v >= 1.0).collect();
    assert_eq!(linear, (1..=200).map(f64::from).collect::<Vec<_>>());
    assert_eq!(Sent { reliable: 0, ..base.commands_sent() }, Sent::default());
}

#[test]
fn a_base_that_subscribes_reliably_gets_each_command_once() {
    crosses_both_ways(&[]);
}

#[test]
fn a_base_that_subscribes_best_effort_gets_each_command_once() {
    crosses_both_ways(&["--best-effort"]);
}

#[test]
fn a_frozen_reliable_subscriber_holds_up_nobody_and_gets_no_backlog() {
    let domain_id = fresh_domain();
    let Some(peer) = Peer::start(domain_id, &[]) else { return };
    let (to_test, at_robot) = sync_channel(1024);
    let _robot = RobotSide::connect(&Config::new(domain_id, "test_robot"), move |twist, _| {
        to_test.try_send(twist.linear.x).ok(); // The test may have ended.
    })
    .unwrap();
    let base = Base::connect(&Config::new(domain_id, "test_agent"), |_, _| {}).unwrap();
    let mut at_peer = false;
    let mut at_ours = false;
    until("both subscribers to match", || {
        base.command(0.0, 0.0).unwrap();
        at_peer |= peer.command().is_some();
        at_ours |= at_robot.recv_timeout(TICK).is_ok();
        at_peer && at_ours
    });

    peer.freeze();
    let mut calls = Vec::new();
    for number in 1..=100 {
        let start = Instant::now();
        base.command(f64::from(number), 0.0).unwrap();
        calls.push(start.elapsed());
        until("the same command at the other subscriber", || {
            at_robot.recv_timeout(TICK) == Ok(f64::from(number))
        });
    }
    calls.sort();
    assert!(calls[calls.len() / 2] < CALL_MEDIAN_MAX, "{calls:?}");
    assert!(base.commands_sent().best_effort >= 85, "{:?}", base.commands_sent());

    peer.signal("-CONT");
    let mut stale = 0;
    until("the newest command at the subscriber that was frozen", || {
        base.command(-1.0, 0.0).unwrap();
        let command = peer.command();
        stale += usize::from(command.is_some_and(|(linear, _)| linear > 0.0));
        command == Some((-1.0, 0.0))
    });
    assert!(stale <= 8, "{stale} commands from before the outage");
}

#[test]
fn commands_of_every_type_reach_an_independent_base() {
    let car = Kinematics::Ackermann { wheelbase_m: 0.5, steering_rad_max: 0.25 };
    for (commands, angular) in [
        // tan(0.25) / 0.5 m at 0.5 m/s, and as far as the wheels go.
        (Commands::TwistStamped, 0.25_f64.tan()),
        (Commands::AckermannDriveStamped, 0.25),
    ] {
        let domain_id = fresh_domain();
        let Some(peer) = Peer::start(domain_id, &["--commands", commands.key()]) else { return };
        let config = Config { commands, kinematics: car, ..Config::new(domain_id, "test_agent") };
        let base = Base::connect(&config, |_, _| {}).unwrap();
        until("a command of this type at CycloneDDS", || {
            base.command(0.5, 3.0).unwrap();
            let Ok(line) = peer.lines.recv_timeout(TICK) else { return false };
            assert_eq!(line["linear"].as_f64().unwrap(), 0.5, "{line}");
            assert!((line["angular"].as_f64().unwrap() - angular).abs() < 1e-6, "{line}");
            let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            assert!(wall.as_secs().abs_diff(line["stamp"].as_u64().unwrap()) < 5, "{line}");
            true
        });
    }
}

#[test]
fn close_sensors_of_an_independent_robot_are_read_of_either_distribution() {
    let domain_id = fresh_domain();
    let Some(_peer) = Peer::start(domain_id, &["--close"]) else { return };
    let (to_test, sensors) = sync_channel(256);
    let bumper = BumperTopic { topic: "/bumper".to_owned(), inverted: false, on_change: true };
    let config = Config {
        ranges: vec!["/range/new".to_owned(), "/range/old".to_owned()],
        bumpers: vec![bumper],
        ..Config::new(domain_id, "test_agent")
    };
    let _base = Base::connect(&config, move |message, _| {
        to_test.try_send(message).ok(); // The test may have ended.
    })
    .unwrap();
    let mut counts = [0; 3];
    until("ranges of both distributions and a bumper", || {
        match sensors.recv_timeout(TICK) {
            Ok(Inbound::Range(0, range)) => {
                assert_eq!((range.range, range.variance, range.max_range), (1.5, 0.25, 4.0));
                counts[0] += 1;
            }
            Ok(Inbound::Range(1, range)) => {
                assert_eq!((range.range, range.variance), (f32::INFINITY, 0.0));
                assert_eq!(range.header.frame_id, "cone_old");
                counts[1] += 1;
            }
            Ok(Inbound::Bumper(0, pressed)) => {
                assert!(pressed);
                counts[2] += 1;
            }
            _ => {}
        }
        counts.iter().all(|count| *count >= 3)
    });
}

/// An agent whose topic has this QoS.
fn with_qos(domain_id: u16, topic: &str, qos: Qos) -> Config {
    let qos = QosOfTopics::from([(topic.to_owned(), qos)]);
    Config { qos, ..Config::new(domain_id, "test_agent") }
}

/// Whether a command comes within two seconds after the base was discovered.
fn is_heard(peer: &Peer, config: &Config) -> bool {
    let base = Base::connect(config, |_, _| {}).unwrap();
    until("the base to be discovered", || {
        std::thread::sleep(TICK);
        base.command_subscribers() > 0
    });
    let deadline = Instant::now() + Duration::from_secs(2);
    while Instant::now() < deadline {
        base.command(0.5, 0.25).unwrap();
        if peer.command() == Some((0.5, 0.25)) {
            return true;
        }
    }
    false
}

#[test]
fn a_base_that_wants_lasting_commands_is_cured_by_configuration_only() {
    let domain_id = fresh_domain();
    let Some(peer) = Peer::start(domain_id, &["--lasting"]) else { return };
    assert!(!is_heard(&peer, &Config::new(domain_id, "test_agent")), "a volatile writer");
    let durability = Some(Durability::TransientLocal);
    let lasting = Qos { durability, ..Qos::default() };
    assert!(is_heard(&peer, &with_qos(domain_id, "/cmd_vel", lasting)));
    let depth = Some(1);
    assert!(is_heard(&peer, &with_qos(domain_id, "/cmd_vel", Qos { depth, ..lasting })));
}

#[test]
fn best_effort_commands_reach_only_a_base_that_asks_for_no_more() {
    let best_effort = Qos { reliability: Some(Reliability::BestEffort), ..Qos::default() };
    for (arguments, heard) in [(&[][..], false), (&["--best-effort"][..], true)] {
        let domain_id = fresh_domain();
        let Some(peer) = Peer::start(domain_id, arguments) else { return };
        assert_eq!(is_heard(&peer, &with_qos(domain_id, "/cmd_vel", best_effort)), heard);
    }
}

#[test]
fn a_topic_that_is_read_reliably_hears_reliable_publishers_only() {
    let domain_id = fresh_domain();
    let Some(_peer) = Peer::start(domain_id, &[]) else { return };
    let reliable =
        Qos { reliability: Some(Reliability::Reliable), depth: Some(10), durability: None };
    let both = ["/odom", "/imu"].map(|topic| (topic.to_owned(), reliable));
    let config = Config { qos: QosOfTopics::from(both), ..Config::new(domain_id, "test_agent") };
    let (to_test, sensors) = sync_channel(256);
    let _base = Base::connect(&config, move |message, _| {
        to_test.try_send(message).ok(); // The test may have ended.
    })
    .unwrap();
    let mut counts = [0; 4];
    until("odometry, fix and field from CycloneDDS", || {
        let Ok(message) = sensors.recv_timeout(TICK) else { return false };
        counts[check_sensor(&message)] += 1;
        [counts[0], counts[2], counts[3]].iter().all(|count| *count >= 20)
    });
    assert_eq!(counts[1], 0, "the peer publishes /imu best effort");
}
