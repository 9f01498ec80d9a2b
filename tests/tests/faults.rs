//! Kill, freeze, cut, unplug and fill things in the middle of a drive. The faults themselves are those of
//! `cargo xtask faults`, with the design's bounds; here stands what must be true beside.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::process::Command;
use system_tests::{Rig, Turn, mono_ms};
use xtask::faults::{Clock, Fault, Outcome, Scene, can, inflict};
use xtask::process::wait_for;

/// Whether a fault can be made here; under CI it must.
fn possible(fault: Fault) -> bool {
    let Err(why) = can(fault) else { return true };
    let skipped = format!("SKIPPED: {}: {why:#}", fault.name());
    assert!(std::env::var_os("CI").is_none(), "{skipped}");
    xtask::progress(&skipped);
    false
}

fn assert_holds(outcome: &Outcome) {
    if let Some(stop) = outcome.stop {
        system_tests::note_stop(&outcome.fault.name(), stop).unwrap();
    }
    assert!(outcome.misses().is_empty(), "{:?}\n{outcome:?}", outcome.misses());
}

/// Makes a fault, and expects what the design says and the reason on the driver's page.
fn assert_stops_for(fault: Fault, reason: &str) {
    if !possible(fault) {
        return;
    }
    let outcome = inflict(fault).unwrap();
    assert_holds(&outcome);
    let reasons: Vec<_> = outcome.saw.iter().filter_map(|told| told.reason.as_deref()).collect();
    assert!(reasons.contains(&reason), "{reasons:?}");
}

#[test]
fn killed_agent_stops_and_its_episode_is_recovered() {
    let mut scene = Scene::at_speed(Fault::AgentKilled).unwrap();
    scene.strike().unwrap();
    let stop = scene.watch().unwrap().unwrap();
    assert!(stop.commanded_ms <= 360 && stop.at_rest_ms <= 1_000, "{stop:?}");
    drop(scene.pilot.take());
    scene.mend().unwrap();
    let rig = &scene.rig;
    let episode = rig.accepted_episode().unwrap();
    let path = rig.data().join("fleet/episodes").join(episode["id"].as_str().unwrap());
    let out =
        Command::new(rig.program("episode")).args(["info", "--json"]).arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{text}");
    let info: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(
        info["episode"]["loss"].is_object(),
        "an episode of a killed agent declares its loss: {text}"
    );
    assert!(info["summary"]["messages"].as_u64().unwrap() > 50, "and keeps the rest: {text}");
}

#[test]
fn frozen_agent_stops() {
    assert_stops_for(Fault::AgentFrozen, "rearm-needed");
}

#[test]
fn starved_agent_stops() {
    assert_stops_for(Fault::AgentStarved, "rearm-needed");
}

#[test]
fn full_disk_stops_and_what_was_recorded_is_kept() {
    assert_stops_for(Fault::DiskFull, "recorder-full");
}

#[test]
fn unplugged_camera_stops() {
    assert_stops_for(Fault::CameraUnplugged, "video-stale");
}

#[test]
fn lost_base_stops() {
    assert_stops_for(Fault::BaseLost, "sensor-stale");
}

#[test]
fn frozen_browser_stops_and_the_robot_frees_itself() {
    assert_holds(&inflict(Fault::BrowserFrozen).unwrap());
}

#[test]
fn cut_network_stops_and_held_up_commands_move_nothing() {
    // W is still held in the browser. Whatever was held up must not move the robot: the stick was not at rest.
    if possible(Fault::NetworkCut) {
        assert_holds(&inflict(Fault::NetworkCut).unwrap());
    }
}

#[test]
fn a_drive_outlives_gateway_and_fleet_server() {
    let mut scene = Scene::at_speed(Fault::GatewayKilled).unwrap();
    let stack = &mut scene.rig.stack;
    stack.gateway.signal("STOP").unwrap();
    stack.fleet.signal("STOP").unwrap();
    assert_drives_on(&scene.rig, "frozen servers");
    scene.rig.stack.gateway.kill();
    scene.rig.stack.fleet.kill();
    assert_drives_on(&scene.rig, "killed servers");
}

fn assert_drives_on(rig: &Rig, without: &str) {
    let trace = rig.trace_of(mono_ms(), 1_500).unwrap();
    let slowest = trace.iter().map(|line| line.speed_mps).fold(9.0, f64::min);
    assert!(slowest > 1.0, "{without} slowed the robot down to {slowest} m/s");
}

#[test]
fn a_clock_that_is_set_ahead_stops_no_robot() {
    if possible(Fault::ClockAhead) {
        let mut scene = Scene::at_speed(Fault::ClockAhead).unwrap();
        scene.strike().unwrap();
        assert!(scene.watch().unwrap().is_none(), "a clock set an hour ahead stopped the robot");
    }
}

#[test]
fn a_clock_that_is_set_back_interrupts_a_drive_and_does_not_end_it() {
    if !possible(Fault::ClockBack) {
        return;
    }
    let mut options = system_tests::fresh("clock-back").unwrap();
    let clock = Clock::of(&mut options).unwrap();
    options.sim_args = vec!["--no-people".to_owned()];
    let rig = Rig::start_on(options).unwrap();
    let turn = std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_for("a robot that turns", 60, || {
                let recent = rig.trace_since(mono_ms().saturating_sub(200))?;
                Ok(recent.last().is_some_and(|line| line.cmd_angular.abs() > 0.1).then_some(()))
            })
            .unwrap();
            clock.set("-3600").unwrap();
        });
        Turn::drive(&rig, 20).unwrap()
    });
    // Deaf for ever, the robot would have stood from the first second on.
    assert!(turn.driven.as_secs() >= 10, "{turn:?}");
    let log = rig.data().join("logs/robot-agent.log");
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("the wall clock was set back"), "the clock was not set at all");
    let lines = log.lines().count();
    assert!(lines < 1_000, "{lines} lines of log about it");
}
