//! An independent implementation serves `NavigateToPose`: CycloneDDS, from PyPI, in a Python process.
//!
//! Set `LONGREIN_PYTHON` to a Python that has `cyclonedds`. Without it the test says so and passes, except in CI.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ros_bridge::navigation::{Heard, Middleware, NavigationConfig, Navigator};
use ros_msgs::geometry_msgs::{PoseStamped, Twist};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel, sync_channel};
use std::time::Duration;
use support::{fresh_domain, until};

fn goal(x: f64) -> PoseStamped {
    let mut pose = PoseStamped::default();
    pose.header.frame_id = "base_link".to_owned();
    (pose.pose.position.x, pose.pose.position.y) = (x, -1.5);
    pose
}

fn wait_for<T>(heard: &Receiver<T>, what: &str, is: impl Fn(&T) -> bool) {
    until(what, || heard.recv_timeout(Duration::from_millis(50)).is_ok_and(|heard| is(&heard)));
}

#[test]
fn a_goal_is_pursued_by_cyclone_dds() {
    let Ok(python) = std::env::var("LONGREIN_PYTHON") else {
        let skipped = "SKIPPED: set LONGREIN_PYTHON to a Python with cyclonedds";
        assert!(std::env::var_os("CI").is_none(), "{skipped}");
        std::io::stderr().write_all(format!("{skipped}\n").as_bytes()).unwrap();
        return;
    };
    let domain_id = fresh_domain();
    let mut peer = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cyclonedds_nav2.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["--domain", &domain_id.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(peer.stdout.take().unwrap());
    let (to_test, lines) = channel::<Value>();
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if to_test.send(serde_json::from_str(&line).unwrap()).is_err() {
                break;
            }
        }
    });
    wait_for(&lines, "the peer", |line| line["event"] == "ready");
    let (tell, heard) = sync_channel(1_024);
    let config = NavigationConfig {
        middleware: Middleware::CycloneDds,
        ..NavigationConfig::new(domain_id, "test_navigator")
    };
    let navigator = Navigator::connect(&config, move |heard, _arrived| {
        tell.try_send(heard).ok(); // The test may have ended.
    })
    .unwrap();
    wait_for(&heard, "the server", |h| *h == Heard::There(true));

    navigator.pursue(Some((1, goal(3.25))));
    wait_for(&lines, "the goal as it was sent", |line| {
        (line["x"] == 3.25 && line["y"] == -1.5)
            && (line["frame"] == "base_link" && line["tree"] == "")
    });
    wait_for(&heard, "its yes", |h| *h == Heard::Accepted(1));
    wait_for(&heard, "the distance", |h| *h == Heard::Distance(1, 3.25));
    wait_for(&heard, "the end", |h| *h == Heard::Arrived(1));
    navigator.pursue(Some((2, goal(-1.0))));
    wait_for(&heard, "its no", |h| matches!(h, Heard::Failed(2, _)));
    navigator.pursue(Some((3, goal(95.0))));
    wait_for(&heard, "why", |h| matches!(h, Heard::Failed(3, why) if why.contains("no way found")));
    navigator.pursue(Some((4, goal(50.0))));
    wait_for(&heard, "the fourth", |h| *h == Heard::Accepted(4));
    wait_for(&heard, "a velocity", |h| *h == Heard::Velocity(Twist::planar(0.25, 0.5)));
    navigator.pursue(None);
    wait_for(&lines, "the cancel", |line| line["event"] == "cancelled");
    drop(peer.stdin.take());
    assert!(peer.wait().unwrap().success());
}
