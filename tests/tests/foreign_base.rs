//! The agent on a base that is not ours: CycloneDDS, an independent DDS implementation, drives as /cmd_vel says and
//! feeds /odom, /imu, /fix and /scan. Everything else is the real stack, without the simulator.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use protocol::units::GeoPoint;
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use system_tests::{Driver, accepted_episode, fresh, mono_ms};
use xtask::process::{Process, wait_for};
use xtask::stack::{Base, Options, ROBOT, Stack};
use xtask::{root, setup};

/// Where the base starts.
const START: GeoPoint = GeoPoint { lat_deg: 52.5, lon_deg: 13.25 };
/// 300 ms, what can be on its way when the commands end, and the base's step.
const STOPPED_MS_MAX: u64 = 360;

/// A velocity command as the base got it.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Velocity {
    at_ms: u64,
    linear: f64,
    angular: f64,
}

impl Velocity {
    fn is_zero(&self) -> bool {
        self.linear == 0.0 && self.angular == 0.0
    }
}

/// The base; stopped when dropped.
struct ForeignBase {
    process: Process,
    log: PathBuf,
}

impl ForeignBase {
    fn start(options: &Options) -> Self {
        let logs = options.data.join("logs");
        std::fs::create_dir_all(&logs).unwrap();
        let log = logs.join("cyclonedds-base.log");
        let script = root().join("tests/peers/cyclonedds_base.py").display().to_string();
        let args = [script, "--domain".to_owned(), options.ros_domain.to_string()];
        let messages = root().join("ros/tests").display().to_string();
        let env = [("PYTHONPATH", messages), ("PYTHONDONTWRITEBYTECODE", "1".to_owned())];
        let python = setup::python().unwrap();
        let process =
            Process::start_with("cyclonedds-base", &python, &args, log.clone(), &env).unwrap();
        let mut base = Self { process, log };
        wait_for("the base's start", 30, || {
            base.process.check()?;
            Ok(base.lines().iter().any(|line| line["event"] == "ready").then_some(()))
        })
        .unwrap();
        base
    }

    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap();
        // The last line may be half written.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn commands(&self) -> Vec<Velocity> {
        let lines = self.lines().into_iter().filter(|line| line["event"] == "cmd_vel");
        lines.map(|line| serde_json::from_value(line).unwrap()).collect()
    }

    fn commands_since(&self, from_ms: u64) -> Vec<Velocity> {
        let mut commands = self.commands();
        commands.retain(|command| command.at_ms >= from_ms);
        commands
    }
}

/// Messages of a topic in the episode that `episode info --json` shows.
fn messages(info: &Value, topic: &str) -> u64 {
    let files = info["files"].as_array().unwrap();
    let channels = files.iter().filter_map(|file| file["channels"].as_array()).flatten();
    channels.filter(|c| c["topic"] == topic).map(|c| c["messages"].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_on_another_dds_is_driven_stopped_and_recorded() {
    let options = Options { base: Base::Foreign, ..fresh("foreign-base").unwrap() };
    let mut base = ForeignBase::start(&options);
    let stack = Stack::start(options).unwrap();

    // The fleet sees the robot where its base says that it is.
    let robot = stack.operator.get(&format!("/v1/robots/{ROBOT}")).unwrap();
    let at: GeoPoint = serde_json::from_value(robot["state"]["position"]["point"].clone()).unwrap();
    assert_eq!(robot["online"], true, "{robot}");
    assert!(at.distance_m(&START) < 0.01, "{at:?}");

    // Nobody drives, nothing moves: then good commands do.
    let mut driver = Driver::open(&stack).await.unwrap();
    driver.rest().await.unwrap();
    assert!(base.commands().iter().all(Velocity::is_zero), "{:?}", base.commands());
    let (from_ms, mut last_ms) = (mono_ms(), 0);
    driver
        .drive(|good| {
            last_ms = mono_ms();
            good.encode().to_vec()
        })
        .await
        .unwrap();
    let mut driven = base.commands_since(from_ms);
    driven.retain(|command| command.at_ms <= last_ms);
    let fastest = driven.iter().map(|command| command.linear).fold(0.0, f64::max);
    assert!(fastest > 0.3, "{driven:?}");
    assert!(driven.last().unwrap().linear > 0.3, "the base must be going at the end: {driven:?}");

    // The commands have ended. In order of arrival: two may have come in one millisecond.
    let after = wait_for("a command to stop at the base", 5, || {
        let after = base.commands_since(last_ms);
        Ok(after.iter().any(Velocity::is_zero).then_some(after))
    })
    .unwrap();
    let going = after.iter().take_while(|command| !command.is_zero()).count();
    let stopped_ms = after[going].at_ms - last_ms;
    assert!(stopped_ms <= STOPPED_MS_MAX, "stopped {stopped_ms} ms after the last good command");

    // The drive becomes an episode with what the base sent.
    let epoch = driver.lease().epoch;
    driver.release().await.unwrap();
    let episode = accepted_episode(&stack).unwrap();
    let after = base.commands_since(last_ms);
    assert!(after[going..].iter().all(Velocity::is_zero), "it moved again: {after:?}");
    let path = stack.options.data.join("fleet/episodes").join(episode["id"].as_str().unwrap());
    let program = stack.options.bin.join("episode");
    let out = Command::new(program).args(["info", "--json"]).arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{text}");
    let info: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(info["episode"]["epoch"], epoch, "the episode of another lease: {text}");
    assert_eq!(info["episode"]["ended_why"], "released", "{text}");
    for (topic, least) in [("/odom", 40), ("/imu", 40), ("/fix", 4), ("/scan", 8)] {
        let count = messages(&info, topic);
        assert!(count >= least, "{count} messages of {topic}: {text}");
    }
    assert!(info["summary"]["distance_m"].as_f64().unwrap() > 0.1, "{text}");
    base.process.check().unwrap();
}
