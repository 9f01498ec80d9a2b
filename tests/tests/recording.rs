//! A camera that is recorded by an encode of its own: the episode says so, verifies, replays and exports as any other.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use episode::layout::{TELEMETRY, camera_file, topic};
use episode::read::Reader;
use ros_msgs::foxglove_msgs::CompressedVideo;
use ros_msgs::longrein_msgs::Event;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use system_tests::{Driver, Rig};
use xtask::rig::fresh;
use xtask::stack::Options;

/// What the episode says about the pictures of each camera.
fn encodes(dir: &Path) -> Vec<Value> {
    let mut telemetry = Reader::open(&dir.join(TELEMETRY)).unwrap();
    let mut told = Vec::new();
    while let Some(message) = telemetry.next().unwrap() {
        if message.channel.topic == topic::EVENT {
            let event: Event = message.decode().unwrap();
            if event.code == "recording-encode" {
                told.push(serde_json::from_str(&event.json).unwrap());
            }
        }
    }
    told
}

/// Times of capture of a camera's pictures, ms, and of its keyframes.
fn pictures(dir: &Path, camera: &str) -> (Vec<u64>, Vec<u64>) {
    let mut reader = Reader::open(&dir.join(camera_file(camera))).unwrap();
    let (mut all, mut keyframes) = (Vec::new(), Vec::new());
    while let Some(message) = reader.next().unwrap() {
        let picture: CompressedVideo = message.decode().unwrap();
        let at = u64::try_from(picture.timestamp.sec).unwrap() * 1_000
            + u64::from(picture.timestamp.nanosec / 1_000_000);
        all.push(at);
        let parameter_sets = |four: &[u8]| four[..3] == [0, 0, 1] && four[3] & 0x1f == 7;
        if picture.data.windows(4).take(64).any(parameter_sets) {
            keyframes.push(at);
        }
    }
    (all, keyframes)
}

fn run(rig: &Rig, program: &str, args: &[&str]) {
    let out = Command::new(rig.program(program)).args(args).output().unwrap();
    let words = [out.stdout, out.stderr].concat();
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&words));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encode_of_its_own_makes_an_episode_like_any_other() {
    let env = |key: &'static str, value: &str| (key, value.to_owned());
    let options = Options {
        agent_env: vec![
            env("LONGREIN_ROBOT__CAMERA__0__RECORDING__SEPARATE", "always"),
            env("LONGREIN_ROBOT__CAMERA__0__RECORDING__BITRATE_KBPS", "4000"),
            env("LONGREIN_ROBOT__CAMERA__1__RECORDING__SEPARATE", "never"),
        ],
        ..fresh("recording").unwrap()
    };
    let rig = Rig::start_on(options).unwrap();
    let mut driver = Driver::open(&rig.stack).await.unwrap();
    driver.rest().await.unwrap();
    for _ in 0..4 {
        driver.drive(|good| good.encode().to_vec()).await.unwrap();
    }
    driver.release().await.unwrap();
    let episode = rig.accepted_episode().unwrap();
    let dir = rig.data().join("fleet/episodes").join(episode["id"].as_str().unwrap());

    let told = encodes(&dir);
    let of = |camera: &str| told.iter().find(|told| told["camera"] == camera).unwrap();
    assert_eq!(of("front")["separate"], true, "{told:?}");
    assert_eq!(of("front")["bitrate_kbps"], 4_000, "{told:?}");
    assert_eq!(of("rear")["separate"], false, "{told:?}");
    assert!(!told.iter().any(|told| told["camera"] == "front" && told["separate"] == json!(false)));

    let (front, keyframes) = pictures(&dir, "front");
    let span_ms = front.last().unwrap() - front.first().unwrap();
    assert!(front.len() as u64 * 1_000 > span_ms * 20, "{} in {span_ms} ms", front.len());
    assert!(front.windows(2).all(|two| two[0] < two[1]), "times of capture grow");
    assert!(keyframes.len() >= 4, "{keyframes:?}");
    // Nobody but the clock asks this encode for one.
    let apart = keyframes.windows(2).map(|two| two[1] - two[0]);
    assert!(apart.clone().all(|ms| (850..1_400).contains(&ms)), "{:?}", apart.collect::<Vec<_>>());
    let (rear, _) = pictures(&dir, "rear");
    let (first, last) = (front.first().unwrap(), front.last().unwrap());
    assert!(rear.iter().filter(|at| (first..=last).contains(at)).count() > 20, "in the same time");

    let path = dir.to_str().unwrap();
    run(&rig, "robot-agent", &["replay", path]);
    let out = |name: &str| rig.data().join(name).to_str().unwrap().to_owned();
    let dataset = out("dataset");
    run(&rig, "episode", &["export", "--format", "lerobot", "--copy-video", &dataset, path]);
    run(&rig, "episode", &["export", "--format", "mcap", &out("merged.mcap"), path]);
}
