//! Kill, freeze and cut things in the middle of a drive. Times are read from the simulator's own trace.
//!
//! Design: a stop is commanded (or the base times out) at most 300 ms after the last good command, and the robot is at
//! rest within 1 s from 1.5 m/s, wherever driver or agent is gone. A server that is gone does not end a drive.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::path::PathBuf;
use std::process::Command;
use system_tests::{Pilot, Rig, Stop, Turn, mono_ms};
use xtask::process::wait_for;
use xtask::stack::Options;

/// 300 ms, one period of what can be on its way when the fault strikes, and the trace's resolution.
const COMMANDED_MS_MAX: u64 = 360;
const AT_REST_MS_MAX: u64 = 1_000;

fn at_top_speed(name: &str) -> (Rig, Pilot) {
    // Nobody walks in front of the robot: it stops for the fault or not at all.
    let rig = Rig::start_with(name, &["--no-people"]).unwrap();
    let pilot = rig.holding_pilot().unwrap();
    rig.wait_for_speed(1.4).unwrap();
    (rig, pilot)
}

fn assert_stopped(fault: &str, stop: Stop) {
    system_tests::note_stop(fault, stop).unwrap();
    assert!(stop.speed_mps >= 1.3, "the fault must strike at speed: {stop:?}");
    assert!(stop.commanded_ms <= COMMANDED_MS_MAX, "{stop:?}");
    assert!(stop.at_rest_ms <= AT_REST_MS_MAX, "{stop:?}");
}

#[test]
fn killed_agent_stops_and_its_episode_is_recovered() {
    let (mut rig, pilot) = at_top_speed("agent-kill");
    let fault = mono_ms();
    rig.stack.agent.kill();
    assert_stopped("agent killed", rig.stop_after(fault).unwrap());
    drop(pilot);
    rig.stack.agent = rig.stack.options.start_agent().unwrap();
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
    let (rig, _pilot) = at_top_speed("agent-freeze");
    let fault = mono_ms();
    rig.stack.agent.signal("STOP").unwrap();
    let stop = rig.stop_after(fault);
    rig.stack.agent.signal("CONT").unwrap();
    assert_stopped("agent frozen", stop.unwrap());
}

#[test]
fn killed_and_frozen_browser_stops() {
    let (rig, pilot) = at_top_speed("browser-freeze");
    let fault = mono_ms();
    pilot.signal_chromium("STOP").unwrap();
    let stop = rig.stop_after(fault);
    pilot.signal_chromium("KILL").unwrap();
    assert_stopped("browser frozen", stop.unwrap());
    // The driver is gone: the robot frees itself, seals the episode and sends it.
    rig.accepted_episode().unwrap();
}

#[test]
fn cut_network_stops_and_held_up_commands_move_nothing() {
    if let Err(why) = nft(&["list", "tables"]) {
        let skipped = format!("SKIPPED: cutting the network needs root and nft ({why})");
        assert!(std::env::var_os("CI").is_none(), "{skipped}");
        xtask::progress(&skipped);
        return;
    }
    let (rig, pilot) = at_top_speed("network-cut");
    let ports = udp_ports(&pilot);
    let table = format!("longrein_test_{}", std::process::id());
    let rules = format!(
        "table inet {table} {{\nchain cut {{\ntype filter hook input priority 0;\n\
         udp sport {{ {ports} }} drop\nudp dport {{ {ports} }} drop\n}}\n}}\n"
    );
    let fault = mono_ms();
    nft(&[&rules]).unwrap();
    let stop = rig.stop_after(fault);
    let rested = mono_ms();
    nft(&["delete", "table", "inet", &table]).unwrap();
    assert_stopped("network cut", stop.unwrap());
    // W is still held in the browser. Whatever was held up must not move the robot: the stick was not at rest.
    wait_for("two seconds of the simulator's trace after the cut", 10, || {
        Ok(rig
            .trace_since(rested)?
            .last()
            .is_some_and(|l| l.mono_ms > rested + 2_000)
            .then_some(()))
    })
    .unwrap();
    let fastest =
        rig.trace_since(rested).unwrap().iter().map(|l| l.speed_mps.abs()).fold(0.0, f64::max);
    assert!(fastest < 0.02, "the robot moved again at {fastest} m/s");
}

#[test]
fn a_drive_outlives_gateway_and_fleet_server() {
    let (mut rig, _pilot) = at_top_speed("servers-kill");
    rig.stack.gateway.signal("STOP").unwrap();
    rig.stack.fleet.signal("STOP").unwrap();
    assert_drives_on(&rig, "frozen servers");
    rig.stack.gateway.kill();
    rig.stack.fleet.kill();
    assert_drives_on(&rig, "killed servers");
}

fn assert_drives_on(rig: &Rig, without: &str) {
    let from = mono_ms();
    wait_for("1.5 s of driving without any server", 10, || {
        Ok(rig.trace_since(from)?.last().is_some_and(|l| l.mono_ms > from + 1_500).then_some(()))
    })
    .unwrap();
    let slowest = rig.trace_since(from).unwrap().iter().map(|l| l.speed_mps).fold(9.0, f64::min);
    assert!(slowest > 1.0, "{without} slowed the robot down to {slowest} m/s");
}

#[test]
fn a_clock_that_is_set_ahead_stops_no_robot() {
    let Some((options, clock)) = with_clock("clock-ahead") else { return };
    let rig = Rig::start_on(options).unwrap();
    let pilot = rig.holding_pilot().unwrap();
    rig.wait_for_speed(1.4).unwrap();
    clock.set("+3600");
    assert_drives_on(&rig, "a clock set an hour ahead");
    drop(pilot);
}

#[test]
fn a_clock_that_is_set_back_interrupts_a_drive_and_does_not_end_it() {
    let Some((mut options, clock)) = with_clock("clock-back") else { return };
    let log = options.data.join("commands.jsonl");
    options.sim_args.extend(["--command-log".to_owned(), log.display().to_string()]);
    let rig = Rig::start_on(options).unwrap();
    let turn = std::thread::scope(|scope| {
        scope.spawn(|| {
            let turning = |line: &str| {
                let line = serde_json::from_str::<serde_json::Value>(line).unwrap_or_default();
                line["angular"].as_f64().is_some_and(|angular| angular.abs() > 0.1)
            };
            wait_for("a robot that turns", 60, || {
                let text = std::fs::read_to_string(&log)?;
                Ok(text.lines().any(turning).then_some(()))
            })
            .unwrap();
            clock.set("-3600");
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

/// The agent's wall clock.
struct Clock(PathBuf);

impl Clock {
    /// Seconds from the true time, with their sign.
    fn set(&self, offset: &str) {
        std::fs::write(&self.0, offset).unwrap();
    }
}

/// A stack whose agent's wall clock can be set; none where that is not possible.
fn with_clock(name: &str) -> Option<(Options, Clock)> {
    let Some(library) = faketime() else {
        let skipped = "SKIPPED: setting the agent's clock needs libfaketime (Debian: faketime)";
        assert!(std::env::var_os("CI").is_none(), "{skipped}");
        xtask::progress(skipped);
        return None;
    };
    let mut options = system_tests::fresh(name).unwrap();
    let clock = Clock(options.data.join("clock"));
    clock.set("+0");
    // The wall clock alone: the monotonic one can't be set, on a robot neither.
    options.agent_env = vec![
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", clock.0.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    options.sim_args = vec!["--no-people".to_owned()];
    Some((options, clock))
}

fn faketime() -> Option<String> {
    let libraries = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let mut found = libraries.map(|arch| arch.path().join("faketime/libfaketimeMT.so.1"));
    found.find(|path| path.exists()).map(|path| path.display().to_string())
}

/// Ports of the browser's UDP sockets, as nft takes them.
fn udp_ports(pilot: &Pilot) -> String {
    let pids = pilot.chromium_pids().unwrap();
    let out = Command::new("ss").args(["-uanpH"]).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let ports: Vec<&str> = text
        .lines()
        .filter(|line| pids.iter().any(|pid| line.contains(&format!("pid={pid},"))))
        .filter_map(|line| line.split_whitespace().nth(3)?.rsplit(':').next())
        .filter(|port| *port != "5353")
        .collect();
    assert!(!ports.is_empty(), "the browser has no UDP socket: {text}");
    ports.join(", ")
}

fn nft(args: &[&str]) -> Result<(), String> {
    match Command::new("nft").args(args).output() {
        Ok(out) if out.status.success() => Ok(()),
        Ok(out) => Err(String::from_utf8_lossy(&out.stderr).trim().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
