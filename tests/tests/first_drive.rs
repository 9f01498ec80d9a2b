//! A pilot drives a mission from the browser, and the drive becomes a signed, paid, exportable episode.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use system_tests::Rig;
use xtask::browser::Browser;
use xtask::{demo, root, setup};

fn run(program: &Path, args: &[&str]) -> Output {
    Command::new(program).args(args).output().unwrap()
}

fn words(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

#[test]
fn a_mission_driven_in_the_browser_is_recorded_verified_paid_and_exported() {
    let mut rig = Rig::start("first-drive").unwrap();
    let mission = rig.mission.clone();
    let join = rig.stack.invite_pilot().unwrap();
    let summary = demo::headless(&mut rig.stack, &mission, &join, None, Browser::Chromium).unwrap();
    demo::failures(&summary).unwrap();
    assert_eq!(summary["pilot"]["console_errors"], serde_json::json!([]), "the page wrote errors");

    // The pilot lit the lamp, sounded the horn and said a word before it set off.
    let stats = std::fs::read(rig.stack.options.sim_stats()).unwrap();
    let stats: Value = serde_json::from_slice(&stats).unwrap();
    assert_eq!((&stats["lamp"], &stats["horn"]), (&Value::from(3), &Value::from(false)), "{stats}");
    assert_eq!(stats["horn_count"], 1, "{stats}");

    // Nothing is lost between the three accounts.
    let paid: u64 = ["pilot", "owners", "operator"]
        .iter()
        .map(|to| summary["ledger"][to].as_u64().unwrap())
        .sum();
    assert_eq!(paid, xtask::stack::REWARD);

    let episode = Path::new(summary["episode"]["path"].as_str().unwrap()).to_owned();
    let episode_text = episode.to_str().unwrap();

    // The safety core decides the same again, byte for byte.
    let replay = run(&rig.program("robot-agent"), &["replay", episode_text]);
    assert!(replay.status.success(), "{}", words(&replay));

    // One flipped byte is found and named.
    flipped_byte_is_named(&rig, &episode);

    // The tools that researchers use read what we wrote.
    let python = setup::python().unwrap();
    let checks = root().join("episode/export/tests");
    let dataset = summary["export"]["path"].as_str().unwrap();
    let telemetry = episode.join("telemetry.mcap");
    let camera = episode.join("camera_front.mcap");
    for (script, targets) in [
        ("check_lerobot.py", vec![dataset]),
        ("check_mcap.py", vec![telemetry.to_str().unwrap(), camera.to_str().unwrap()]),
    ] {
        let script = checks.join(script);
        let out = run(&python, &[vec![script.to_str().unwrap()], targets].concat());
        assert!(out.status.success(), "{}: {}", script.display(), words(&out));
    }

    // The books balance for somebody who opens them without the server.
    let fleet = rig.data().join("fleet");
    let program = rig.program("fleet-server");
    drop(rig);
    let audit = run(&program, &["audit", "--data", fleet.to_str().unwrap()]);
    assert!(audit.status.success(), "{}", words(&audit));
}

fn flipped_byte_is_named(rig: &Rig, episode: &Path) {
    let copy = rig.data().join("flipped");
    std::fs::create_dir_all(&copy).unwrap();
    for entry in std::fs::read_dir(episode).unwrap().flatten() {
        std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let camera = copy.join("camera_front.mcap");
    let mut bytes = std::fs::read(&camera).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&camera, bytes).unwrap();
    let out = run(&rig.program("episode"), &["verify", copy.to_str().unwrap()]);
    assert!(!out.status.success());
    assert!(words(&out).contains("camera_front.mcap"), "{}", words(&out));
}

#[test]
fn a_program_drives_to_the_first_checkpoint_through_the_api() {
    let rig = Rig::start("program").unwrap();
    let invitation =
        rig.stack.operator.post("/v1/invitations", &serde_json::json!({"role": "agent"})).unwrap();
    let key = rig.data().join("agent.key");
    let out = run(
        &setup::python().unwrap(),
        &[
            root().join("examples/drive_to_first_checkpoint.py").to_str().unwrap(),
            "--url",
            &rig.stack.url,
            "--key",
            key.to_str().unwrap(),
            "--invitation",
            invitation["code"].as_str().unwrap(),
        ],
    );
    assert!(out.status.success(), "{}", words(&out));
    let episode = rig.accepted_episode().unwrap();
    assert_eq!(episode["mission"], Value::from(rig.mission.clone()));
    let stats: Value =
        serde_json::from_slice(&std::fs::read(rig.stack.options.sim_stats()).unwrap()).unwrap();
    assert!(stats["distance_m"].as_f64().unwrap() > 5.0, "{stats}");
}
