//! Programs that were written for the Earth Rovers API drive our robot unmodified, through `longrein earth-rover`.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command, Output};
use system_tests::{Rig, Turn, mono_ms, note_stop};
use xtask::process::{Process, wait_for};
use xtask::robots::{self, Cameras, Robot, Rover};
use xtask::stack::ROBOT;
use xtask::{demo, root, setup};

/// The owner's default hold time, the robot's own watchdog under it, and what can be on its way.
const HELD_MS_MAX: u64 = 1_000 + 300 + 100;

fn words(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

/// Runs a Python program of ours.
fn python(script: &str, args: &[&str]) -> Output {
    Command::new(setup::python().unwrap())
        .arg(root().join(script))
        .args(args)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap()
}

/// Runs the client that knows the API from its description alone.
fn walk(args: &[&str]) {
    let out = python("tests/peers/earth_rover_client.py", args);
    assert!(out.status.success(), "{args:?}:\n{}", words(&out));
}

/// The last line of a program's standard output, as JSON.
fn last_json(out: &Output) -> Value {
    let text = String::from_utf8_lossy(&out.stdout);
    serde_json::from_str(text.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {}", words(out)))
}

#[test]
fn every_endpoint_answers_as_the_api_is_described() {
    let mut rig = Rig::start_with("earth-rover", &["--no-people", "--stamp"]).unwrap();
    let rover = Rover::start(&rig.stack, "client").unwrap();
    walk(&["--url", &rover.url]);

    // A second client on the same rover, and nobody without a session.
    let second = Rover::start(&rig.stack, "second").unwrap();
    walk(&["--url", &rover.url, "--second", &second.url]);
    let base = format!("{}/v1/robots/{ROBOT}/earth-rover", rig.stack.url);
    let stranger = xtask::fleet::Client::new(&base);
    for path in ["/data", "/v2/front", "/status"] {
        let refused = stranger.get(path).unwrap_err().to_string();
        assert!(refused.contains("401") && refused.contains("detail"), "{refused}");
    }

    // Ctrl-C gives the robot back: the next client has it at once.
    drop(rover);
    let out =
        python("tests/peers/earth_rover_client.py", &["--url", &second.url, "--only", "speak"]);
    assert!(out.status.success(), "{}", words(&out));
    let kept = rig.data().join("robot");
    assert!(has_wav(&kept), "what was said is not kept under {}", kept.display());
    let episode = rig.accepted_episode().unwrap();
    assert_eq!(episode["state"], "accepted", "{episode}");

    // The robot is gone: clear errors, no empty answers.
    rig.stack.agent.kill();
    walk(&["--url", &second.url, "--gone"]);
    rig.stack.gateway.kill();
    let client = xtask::fleet::Client::new(&second.url);
    let error = client.get("/data").unwrap_err().to_string();
    assert!(error.contains("503") && error.contains("does not answer"), "{error}");
}

/// Whether there is an audio file somewhere under `folder`.
fn has_wav(folder: &Path) -> bool {
    std::fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        let path = entry.path();
        path.extension().is_some_and(|end| end == "wav") || (path.is_dir() && has_wav(&path))
    })
}

#[test]
fn a_rover_with_a_mission_of_its_own_asks_for_its_start() {
    let rig = Rig::start_with("earth-rover-port", &["--no-people"]).unwrap();
    let key = rig.data().join("port.key");
    robots::join(&rig.stack, "port", &key).unwrap();
    // A gateway that serves this one robot on a port of its own.
    let [http, port] = [(); 2].map(|()| xtask::stack::free_port().unwrap());
    let config = rig.data().join("gateway.toml");
    let text = format!(
        "http = \"127.0.0.1:{http}\"\nfleet = {:?}\nzenoh = {:?}\nweb = {:?}\nkey = {:?}\n\n\
         [[earth_rover]]\nrobot = \"{ROBOT}\"\nport = {port}\nkey = {key:?}\nmission = {:?}\n",
        rig.stack.fleet_url,
        rig.stack.zenoh,
        rig.stack.options.web,
        rig.data().join("gateway-2.key"),
        rig.mission,
    );
    std::fs::write(&config, text).unwrap();
    let code = xtask::stack::invite(&rig.stack.operator, "gateway").unwrap();
    let args = ["--config".to_owned(), config.display().to_string(), "--code".to_owned(), code];
    let log = rig.data().join("logs/pilot-gateway-2.log");
    let mut gateway =
        Process::start("pilot-gateway", &rig.program("pilot-gateway"), &args, log).unwrap();
    let client = xtask::fleet::Client::new(&format!("http://127.0.0.1:{port}"));
    wait_for("the rover's own port", 30, || {
        gateway.check()?;
        Ok(client.succeeds("/missions").then_some(()))
    })
    .unwrap();
    walk(&["--url", &format!("http://127.0.0.1:{port}"), "--needs-mission"]);

    // Whoever calls this port has no key: the episode says that its driver is the gateway's word.
    let episode = rig.accepted_episode().unwrap();
    let path = rig.data().join("fleet/episodes").join(episode["id"].as_str().unwrap());
    let info = info(&rig, &path);
    assert_eq!(info["episode"]["driver_signed"], false, "{info}");
    assert_eq!((&info["proof"]["level"], &info["proof"]["did"]), (&json!("relay"), &Value::Null));
}

/// What `episode info` says of an episode that verifies.
fn info(rig: &Rig, path: &Path) -> Value {
    let out = Command::new(rig.program("episode")).args(["info", "--json"]).arg(path).output();
    let out = out.unwrap();
    assert!(out.status.success(), "{}", words(&out));
    serde_json::from_slice(&out.stdout).unwrap()
}

#[test]
fn lerobots_requests_never_miss_a_tick() {
    let rig = Rig::start_with("lerobot", &["--no-people"]).unwrap();
    let rover = Rover::start(&rig.stack, "lerobot").unwrap();
    let out = python("tests/peers/lerobot_replica.py", &["--url", &rover.url, "--seconds", "60"]);
    let seen = last_json(&out);
    xtask::result(&format!("LeRobot's requests: {seen}"));
    assert!(out.status.success(), "{}", words(&out));
    assert_eq!((&seen["ticks"], &seen["missed"]), (&json!(600), &json!(0)), "{seen}");
}

#[test]
fn a_program_that_vanishes_without_a_goodbye_leaves_a_robot_at_rest() {
    let rig = Rig::start_with("program-vanished", &["--no-people"]).unwrap();
    let rover = Rover::start(&rig.stack, "lerobot").unwrap();
    let script = root().join("tests/peers/lerobot_replica.py").display().to_string();
    let args = [script, "--endless".into(), "--linear=0.4".into(), "--angular=0".into()];
    let args: Vec<String> = args.into_iter().chain([format!("--url={}", rover.url)]).collect();
    let log = rig.data().join("logs/lerobot.log");
    let mut replica =
        Process::start("lerobot-replica", &setup::python().unwrap(), &args, log).unwrap();
    rig.wait_for_speed(0.3).unwrap();
    let fault = mono_ms();
    replica.kill();
    let stop = rig.stop_after(fault).unwrap();
    note_stop("program vanished", stop).unwrap();
    assert!(stop.speed_mps > 0.2, "{stop:?}");
    assert!(stop.commanded_ms <= HELD_MS_MAX, "{stop:?}");
}

#[test]
fn a_mission_is_driven_to_its_end_verifies_and_pays() {
    let rig = Rig::start("earth-rover-mission").unwrap();
    let rover = Rover::start(&rig.stack, "waypoints").unwrap();
    let out =
        python("examples/earth_rover_waypoints.py", &["--url", &rover.url, "--timeout", "300"]);
    assert!(out.status.success(), "{}", words(&out));
    let summary = demo::summary(&rig.stack, &rig.mission, &json!({})).unwrap();
    assert_eq!(summary["mission"]["state"], "settled", "{summary}");
    assert_eq!(summary["episode"]["verified"], true, "{summary}");
    assert_eq!(summary["ledger"]["balanced"], true, "{summary}");
    for to in ["pilot", "owners", "operator"] {
        assert!(summary["ledger"][to].as_u64().unwrap() > 0, "{summary}");
    }
    assert_eq!(summary["robot"]["collisions"], 0, "{summary}");
    let path = summary["episode"]["path"].as_str().unwrap();
    let info = info(&rig, Path::new(path));
    assert_eq!(info["episode"]["driver"]["kind"], "agent", "{info}");
    // Who drove is proven by the program's own signatures, not by the gateway's word.
    let shown = Command::new(rig.program("longrein"))
        .args(["key", "show", rover.key.to_str().unwrap()])
        .output()
        .unwrap();
    let did = words(&shown).trim().to_owned();
    assert!(did.starts_with("did:key:z6Mk"), "{did}");
    assert_eq!(info["episode"]["driver"]["did"], json!(did), "{info}");
    assert_eq!(info["episode"]["driver_signed"], true, "{info}");
    assert_eq!((&info["proof"]["level"], &info["proof"]["did"]), (&json!("commands"), &json!(did)));
    let receipts = &info["receipts"];
    let count = |name: &str| receipts[name].as_u64().unwrap();
    assert!(count("receipts") > 3 && count("commands_signed") > 50, "{receipts}");
    // The end of a mission stops first and signs then: nothing that moved is left out.
    assert_eq!(count("moving_covered"), count("moving_recorded"), "{receipts}");
    assert_eq!(count("pictures_signed"), count("moving_covered"), "{receipts}");
    xtask::result(&format!("who drove the mission: {}, {receipts}", info["proof"]["words"]));
    let out = Command::new(rig.program("episode")).args(["verify", path]).output().unwrap();
    assert!(
        words(&out).contains(&format!("driver: {did} opened the drive and signed")),
        "{}",
        words(&out)
    );
}

/// Thirty viewers of a robot's front camera.
struct Viewers(Vec<Child>);

impl Viewers {
    fn start(rover: &Rover) -> Self {
        let viewer = |_| {
            Command::new("curl")
                .args(["-s", "-N", "--max-time", "120", "-o", "/dev/null"])
                .arg(format!("{}/feed?view=front&fps=10", rover.url))
                .spawn()
                .unwrap()
        };
        Self((0..30).map(viewer).collect())
    }

    /// How many still watch.
    fn watching(&mut self) -> usize {
        self.0
            .iter_mut()
            .filter_map(|viewer| viewer.try_wait().unwrap().is_none().then_some(()))
            .count()
    }
}

impl Drop for Viewers {
    fn drop(&mut self) {
        for viewer in &mut self.0 {
            // It may have ended already.
            drop(viewer.kill());
            drop(viewer.wait());
        }
    }
}

const WATCHED: Cameras = Cameras { size: (320, 180), fps: 10, rear: true };

#[test]
fn thirty_viewers_of_one_robot_do_not_disturb_the_program_on_another() {
    let rig = Rig::start_with("viewers", &["--no-people"]).unwrap();
    let other = Robot::start(&rig.stack, 1, WATCHED).unwrap();
    let (mine, theirs) = (
        Rover::start(&rig.stack, "driver").unwrap(),
        Rover::start_for(&rig.stack, "watched", &other.name, &[]).unwrap(),
    );
    let mut viewers = Viewers::start(&theirs);
    let out = python("tests/peers/lerobot_replica.py", &["--url", &mine.url, "--seconds", "20"]);
    assert_eq!(viewers.watching(), 30, "viewers were sent away");
    let seen = last_json(&out);
    assert_eq!(seen["failures"], 0, "{}", words(&out));
    assert_eq!(seen["missed"], 0, "{seen}");
}

#[test]
fn thirty_viewers_of_one_robot_do_not_disturb_a_pilot_in_the_cockpit_of_another() {
    const SECONDS: u32 = 15;
    let rig = Rig::start_with("viewers-cockpit", &["--no-people"]).unwrap();
    let other = Robot::start(&rig.stack, 1, WATCHED).unwrap();
    let theirs = Rover::start_for(&rig.stack, "watched", &other.name, &[]).unwrap();
    let alone = Turn::drive(&rig, SECONDS).unwrap();
    let mut viewers = Viewers::start(&theirs);
    let watched = Turn::drive(&rig, SECONDS).unwrap();
    assert_eq!(viewers.watching(), 30, "viewers were sent away");
    xtask::result(&format!(
        "a pilot without viewers: {alone:?}\na pilot beside 30 viewers: {watched:?}"
    ));
    // Compared with itself: how fast the machine is does not matter, what the viewers take from the pilot does.
    assert!(watched.loop_ms_p50 <= 1.5 * alone.loop_ms_p50 + 20.0, "{alone:?} {watched:?}");
    assert!(watched.loop_ms_p99 <= 2.0 * alone.loop_ms_p99 + 50.0, "{alone:?} {watched:?}");
    assert!(watched.stop_count() <= alone.stop_count(), "{alone:?} {watched:?}");
    assert!(
        watched.driven.as_secs_f64() >= 0.9 * alone.driven.as_secs_f64(),
        "{alone:?} {watched:?}"
    );
    assert!(
        alone.driven.as_secs() >= u64::from(SECONDS) / 2,
        "the robot was hardly driven: {alone:?}"
    );
}

#[test]
fn what_cannot_work_is_said_at_the_start() {
    let rig = Rig::start("longrein").unwrap();
    let key = rig.data().join("known.key");
    robots::join(&rig.stack, "known", &key).unwrap();
    let stranger = rig.data().join("stranger.key");
    let longrein =
        |args: &[&str]| Command::new(rig.program("longrein")).args(args).output().unwrap();
    let made = longrein(&["key", "new", stranger.to_str().unwrap()]);
    assert!(made.status.success() && words(&made).contains("did:key:z6Mk"), "{}", words(&made));
    let again = longrein(&["key", "new", stranger.to_str().unwrap()]);
    assert!(words(&again).contains("never overwritten"), "{}", words(&again));

    let url = rig.stack.url.clone();
    let serve = |robot: &str, key: &Path, url: &str, port: &str| {
        let key = key.to_str().unwrap();
        longrein(&["earth-rover", "--robot", robot, "--key", key, "--url", url, "--port", port])
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (out, expected) in [
        (serve(ROBOT, &stranger, &url, "0"), "cannot sign in"),
        (serve("no-such-rover", &key, &url, "0"), ROBOT),
        (serve(ROBOT, &key, &url, &port), "choose another with --port"),
        (serve(ROBOT, &key, "http://127.0.0.1:9", "0"), "does not answer"),
        (serve(ROBOT, &rig.data().join("none.key"), &url, "0"), "longrein join"),
    ] {
        assert!(!out.status.success() && words(&out).contains(expected), "{}", words(&out));
    }
}
