//! The robot drives itself to a place that the pilot clicked, the pilot takes over, and the episode tells of it.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use serde_json::Value;
use std::process::{Command, Output};
use system_tests::{Rig, fresh};
use xtask::stack::{NAVIGATION, Options};

fn run(rig: &Rig, program: &str, args: &[&str]) -> Output {
    let out = Command::new(rig.program(program)).args(args).output().unwrap();
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{program} {args:?}: {words}");
    out
}

#[test]
fn the_robot_drives_itself_to_a_click_until_the_pilot_takes_over() {
    let sim_args = ["--autonomy", "--no-people"].map(str::to_owned).to_vec();
    let options = fresh("navigation").unwrap();
    let rig =
        Rig::start_on(Options { sim_args, robot_toml: NAVIGATION.to_owned(), ..options }).unwrap();
    let doctor = Command::new(rig.program("robot-agent"))
        .args(["doctor", "--json", "--config"])
        .arg(rig.data().join("robot/robot.toml"))
        .output()
        .unwrap();
    let doctor: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let checks = doctor["checks"].as_array().unwrap();
    let served = checks.iter().find(|check| check["what"] == "/navigate_to_pose").unwrap();
    assert_eq!(served["verdict"], "ok", "{served}");

    let report = rig.drive(&["--goal"]).unwrap();
    assert_eq!(report["console_errors"], serde_json::json!([]), "the page wrote errors");
    let goals = &report["goals"];
    let metres = |key: &str| goals[key].as_f64().unwrap();
    assert!(metres("standing_mps").abs() < 0.05, "a goal alone moves nothing: {goals}");
    assert!((8.0..16.0).contains(&metres("set_m")), "the checkpoint is 12 m ahead: {goals}");
    assert!(metres("by_hand_mps") < 0.0, "{goals}");
    assert!(goals["taken_over_words"].as_str().unwrap().contains("You took over"), "{goals}");

    // By the simulator's own account: forward by itself, then backward as the pilot says.
    let trace = rig.trace_since(0).unwrap();
    let forward = trace.iter().position(|line| line.cmd_linear > 0.3).unwrap();
    assert!(trace[forward..].iter().any(|line| line.cmd_linear < -0.1), "no way back");

    let episode = rig.accepted_episode().unwrap();
    let path = rig.data().join("fleet/episodes").join(episode["id"].as_str().unwrap());
    let path = path.to_str().unwrap();
    run(&rig, "episode", &["verify", path]);
    let info = run(&rig, "episode", &["info", "--json", path]);
    let info: Value = serde_json::from_slice(&info.stdout).unwrap();
    let interventions = info["summary"]["interventions"].as_array().unwrap();
    assert_eq!(interventions.len(), 1, "{info}");
    assert_eq!(interventions[0]["cause"], "takeover", "{info}");
    assert_eq!(interventions[0]["by"], info["episode"]["driver"]["did"], "{info}");
    assert_eq!(interventions[0]["ended_why"], "the autonomy drives again", "{info}");
    // The safety core decided about the autonomy's velocities as about the pilot's.
    run(&rig, "robot-agent", &["replay", path]);
}
