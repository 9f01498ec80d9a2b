//! Whatever a robot uploads as a recording or a manifest, reading it neither panics nor hangs.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod common;
#[path = "../../fuzz/mutate.rs"]
#[allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a harness, not a program"
)]
mod mutate;

use common::{Frame, World};
use episode::layout;
use mutate::fuzz;
use protocol::dsse::Envelope;
use ros_msgs::longrein_msgs::{Event, SafetyState};
use ros_msgs::nav_msgs::Odometry;
use std::path::Path;

/// A short sealed episode's telemetry, camera and manifest.
fn files() -> [Vec<u8>; 3] {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("eps_1");
    let frame = |n: u64| Frame { captured_ns: n * 100_000_000, data: vec![0, 0, 0, 1, 0x65, 7] };
    World::new(1).episode(&dir, 1, &[("front", (0..5).map(frame).collect())]);
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
    [read(layout::TELEMETRY), read(&layout::camera_file("front")), read(layout::MANIFEST)]
}

#[test]
fn recordings() {
    let [telemetry, camera, _] = files();
    fuzz("recordings", vec![telemetry, camera], |bytes| {
        let mut reader = episode::read::Reader::new(Path::new("fuzz.mcap"), bytes);
        // As many messages as there are bytes at most: else it does not end.
        for _ in 0..=bytes.len() {
            let Ok(Some(message)) = reader.next() else { return };
            message.decode::<Odometry>().ok();
            message.decode::<SafetyState>().ok();
            message.decode::<Event>().ok();
        }
        panic!("more messages than bytes");
    });
}

#[test]
fn manifests() {
    let [_, _, manifest] = files();
    let robot = World::new(1).robot.did();
    let signed = serde_json::from_slice::<Envelope>(&manifest).unwrap().body_unverified().unwrap();
    fuzz("manifests", vec![manifest], |bytes| {
        let Ok(envelope) = serde_json::from_slice::<Envelope>(bytes) else { return };
        episode::manifest::signer_unverified(&envelope).ok();
        episode::manifest::sha256(&envelope).ok();
        if episode::manifest::open(&envelope, &robot).is_ok() {
            assert_eq!(
                envelope.body_unverified().unwrap(),
                signed,
                "another one is taken for signed"
            );
        }
    });
}
