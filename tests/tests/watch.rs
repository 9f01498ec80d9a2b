//! Spectators see what the driver sees, cost the robot one stream, disturb nobody; and a supervisor takes over.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use serde_json::{Value, json};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use system_tests::{Rig, fresh, mono_ms};
use xtask::browser::{self, Drive};
use xtask::fleet::{Client, text};
use xtask::process::wait_for;
use xtask::setup;
use xtask::stack::{Options, ROBOT, Stack, free_port};

/// A headless Chromium on the page for spectators.
fn viewer(stack: &Stack, role: &str, more: &[&str]) -> Child {
    let invitation = stack.operator.post("/v1/invitations", &json!({"role": role})).unwrap();
    let join = format!("{}{}", stack.url, text(&invitation, "path").unwrap());
    Command::new("setpriv")
        .args([
            "--pdeathsig",
            "KILL",
            "node",
            "headless-viewer.mjs",
            "--robot",
            ROBOT,
            "--chromium",
        ])
        .arg(setup::chromium().unwrap())
        .args(["--join", &join, "--screenshots"])
        .arg(stack.options.data.join("screenshots"))
        .args(more)
        .current_dir(xtask::root().join("tests/browser"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn report(viewer: Child) -> Value {
    let out = viewer.wait_with_output().unwrap();
    assert!(out.status.success(), "the viewer failed");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap()
}

fn count(stack: &Stack, name: &str) -> u64 {
    let text = Client::new(&stack.url).read("/metrics").unwrap();
    let name = format!("longrein_gateway_watch_{name} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("{name} is not counted: {text}")).trim().parse().unwrap()
}

/// A thousand datagrams a second that nobody asked for, until it is dropped.
struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Flood {
    fn of(to: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let kinds = [&[0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42][..], &[22; 90], &[0x80, 205, 0, 3]];
            for n in 0..60_000_usize {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                // What the system does not take is no loss.
                socket.send_to(kinds[n % kinds.len()], to).ok();
                if n % 10 == 0 {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Nonsense of somebody who is signed in: each is refused with words, none is a fault of the server.
fn nonsense(stack: &Stack) -> usize {
    let operator = stack.operator.at(&stack.url);
    let path = format!("/v1/robots/{ROBOT}/watch");
    let refused = |body: &Value| format!("{:#}", operator.post(&path, body).unwrap_err());
    let bodies = [json!({}), json!("v=0"), json!({"sdp": "x".repeat(100_000)})];
    let words: Vec<String> = (0..30).map(|n| refused(&bodies[n % bodies.len()])).collect();
    assert!(words.iter().all(|words| !words.contains("500")), "{words:?}");
    words.iter().filter(|words| words.contains("too-many")).count()
}

#[test]
fn spectators_cost_the_robot_one_stream_and_a_flood_of_theirs_does_not_touch_the_driver() {
    let port = free_port().unwrap();
    let watch = SocketAddr::from(([127, 0, 0, 1], port));
    let gateway_args = ["--watch", &watch.to_string()].map(str::to_owned).to_vec();
    let sim_args = vec!["--no-people".to_owned()];
    let rig = Rig::start_on(Options { gateway_args, sim_args, ..fresh("watch").unwrap() }).unwrap();
    let join = rig.stack.invite_pilot().unwrap();
    // Turns on the spot, and presses anew after every stop.
    let more = ["--turn", "30"];
    let drive = Drive { join_url: &join, mission: &rig.mission, more: &more, ..Drive::default() };
    let pilot = browser::start(&drive).unwrap();
    wait_for("a robot that turns", 60, || {
        let recent = rig.trace_since(mono_ms().saturating_sub(200))?;
        Ok(recent.last().is_some_and(|line| line.turn_radps.abs() > 0.1).then_some(()))
    })
    .unwrap();

    let viewer = viewer(&rig.stack, "pilot", &["--seconds", "12", "--beside"]);
    wait_for("both see something", 40, || Ok((count(&rig.stack, "viewers") == 2).then_some(())))
        .unwrap();
    let (frames, begun) = (count(&rig.stack, "frames_total"), Instant::now());
    let flood = Flood::of(watch);
    assert!(nonsense(&rig.stack) > 0, "a caller's rate is bounded");
    std::thread::sleep(Duration::from_secs(5));
    let (frames, elapsed) =
        (count(&rig.stack, "frames_total") - frames, begun.elapsed().as_secs_f64());
    drop(flood);
    assert!(count(&rig.stack, "dropped_total") > 1_000);
    // Thirty a second for both together, whoever asks for more.
    let rate = frames as f64 / elapsed;
    xtask::progress(&format!("{rate:.1} frames a second from the robot for two viewers"));
    assert!(rate > 10.0 && rate < 33.0, "{rate} frames a second for two viewers");

    let seen = report(viewer);
    xtask::progress(&format!("a spectator: {seen}"));
    assert_eq!(seen["console_errors"], json!([]), "the page wrote errors");
    assert_eq!(seen["driver"], "Headless Pilot");
    assert_eq!(seen["frames"]["width"], 1280, "{seen}");
    assert!(seen["frames"]["count"].as_u64().unwrap() > 60, "{seen}");
    assert_eq!(seen["may_take_over"], false, "{seen}");

    // The driver's page lost neither link nor drive, and saw in time what it did.
    let driven = browser::finish(pilot).unwrap();
    xtask::progress(&format!("its driver: {driven}"));
    assert_eq!(driven["console_errors"], json!([]), "the page wrote errors");
    assert!(driven["loop_ms_p50"].as_f64().unwrap() < 200.0, "{driven}");
    wait_for("nobody watches", 30, || Ok((count(&rig.stack, "viewers") == 0).then_some(())))
        .unwrap();
}

#[test]
fn a_supervisor_stops_the_robot_or_takes_it_over_and_its_driver_is_told_by_whom() {
    let rig = Rig::start_with("take-over", &["--no-people"]).unwrap();
    let pilot = rig.holding_pilot().unwrap();
    rig.wait_for_speed(0.3).unwrap();
    let supervisor =
        viewer(&rig.stack, "operator", &["--seconds", "2", "--take-over", "--name", "Oda"]);
    let told = wait_for("the driver is told", 60, || {
        let told = pilot.told();
        Ok(told.into_iter().find(|told| told.title.contains("Oda")))
    })
    .unwrap();
    assert!(told.title.contains("took over"), "{told:?}");
    let seen = report(supervisor);
    assert_eq!(seen["driver"], "Headless Pilot");
    assert!(seen["taken_over"]["state"].is_string(), "{seen}");
    // The mission went along, and the robot stood in between: its new driver touched nothing.
    let mission = rig.stack.operator.get(&format!("/v1/missions/{}", rig.mission)).unwrap();
    assert_eq!(mission["driver"]["name"], "Oda", "{mission}");
    let still = wait_for("the robot at rest", 20, || {
        let recent = rig.trace_since(mono_ms().saturating_sub(200))?;
        Ok(recent.last().is_some_and(xtask::rig::TraceLine::rests).then_some(()))
    });
    still.unwrap();
}
