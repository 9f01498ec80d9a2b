//! From a recorded drive to datasets, read back by the tools that researchers use.
#![allow(clippy::unwrap_used, reason = "helpers of tests may, as tests do")]

#[path = "../../tests/common/mod.rs"]
mod common;

use common::{Frame, World};
use gstreamer::prelude::*;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Python with pyarrow, av, numpy, mcap-ros2-support and rosbags; `None` when the tests can't use one.
fn python() -> Option<PathBuf> {
    if let Some(python) = std::env::var_os("LONGREIN_PYTHON") {
        return Some(python.into());
    }
    assert!(std::env::var_os("CI").is_none(), "CI needs LONGREIN_PYTHON");
    // Straight to standard error: the test harness keeps what `eprintln!` says of a test that passes.
    let said = b"SKIPPED: LONGREIN_PYTHON is not set: nothing was read back by Python\n";
    std::io::stderr().write_all(said).unwrap();
    None
}

fn run(program: &Path, arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn check_with(script: &str, arguments: &[&str]) -> Option<Value> {
    let python = python()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script);
    let arguments: Vec<&str> =
        std::iter::once(script.to_str().unwrap()).chain(arguments.iter().copied()).collect();
    let (ok, out, err) = run(&python, &arguments);
    assert!(ok, "{out}{err}");
    Some(serde_json::from_str(&out).unwrap())
}

fn episode(arguments: &[&str]) -> (bool, String, String) {
    run(Path::new(env!("CARGO_BIN_EXE_episode")), arguments)
}

/// Luma of frame `index`: it tells which frame a picture is.
fn luma(index: usize) -> u8 {
    u8::try_from(30 + index).unwrap()
}

/// Plain frames, each brighter than the one before, encoded as the robot does.
fn h264(seconds: u64, fps: u64, width: usize, height: usize) -> Vec<Frame> {
    gstreamer::init().unwrap();
    let count = usize::try_from(seconds * fps).unwrap();
    let pipeline = gstreamer::parse::launch(&format!(
        "appsrc name=src format=time \
           caps=video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 \
         ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=1500 key-int-max=30 bframes=0 \
         ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au \
         ! appsink name=sink sync=false"
    ))
    .unwrap()
    .downcast::<gstreamer::Pipeline>()
    .unwrap();
    let source = pipeline.by_name("src").unwrap().downcast::<gstreamer_app::AppSrc>().unwrap();
    let sink = pipeline.by_name("sink").unwrap().downcast::<gstreamer_app::AppSink>().unwrap();
    source.set_max_bytes(0);
    pipeline.set_state(gstreamer::State::Playing).unwrap();
    for index in 0..count {
        let mut pixels = vec![luma(index); width * height * 3 / 2];
        pixels[width * height..].fill(128);
        let mut buffer = gstreamer::Buffer::from_mut_slice(pixels);
        let ns = u64::try_from(index).unwrap() * 1_000_000_000 / fps;
        buffer.get_mut().unwrap().set_pts(gstreamer::ClockTime::from_nseconds(ns));
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    let mut frames = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let index = u64::try_from(frames.len()).unwrap();
        // Real cameras are never quite on time.
        let jitter_ns = index * 7_919_000 % 3_000_000;
        frames.push(Frame {
            captured_ns: index * 1_000_000_000 / fps + jitter_ns,
            data: sample.buffer().unwrap().map_readable().unwrap().to_vec(),
        });
    }
    pipeline.set_state(gstreamer::State::Null).unwrap();
    assert_eq!(frames.len(), count);
    frames
}

/// The first and the last row of each episode show the newest picture that had been captured then.
fn check_pictures(out: &str, checked: &Value, fps: u64, cameras: &[(&str, Vec<Frame>)]) {
    let read = |path: String| std::fs::read_to_string(path).unwrap();
    let provenance: Value =
        serde_json::from_str(&read(format!("{out}/meta/provenance.json"))).unwrap();
    for (index, episode) in provenance["episodes"].as_array().unwrap().iter().enumerate() {
        let start_ns = episode["first_row_utc_ns"].as_u64().unwrap() - common::START_NS;
        let rows = checked["lengths"][index].as_u64().unwrap();
        for (name, frames) in cameras {
            let shown = &checked["brightness"][format!("observation.images.{name}")][index];
            for (row, shown) in [(0, &shown[0]), (rows - 1, &shown[1])] {
                let at_ns = start_ns + row * 1_000_000_000 / fps;
                let newest = frames.iter().rposition(|f| f.captured_ns <= at_ns).unwrap();
                let difference = shown.as_f64().unwrap() - f64::from(luma(newest));
                assert!(difference.abs() < 0.6, "{name} episode {index} row {row}: {difference}");
            }
        }
    }
}

#[test]
fn two_episodes_become_a_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let cameras = [("front", h264(6, 30, 320, 180)), ("rear", h264(6, 15, 160, 120))];
    let world = World::new(1);
    world.episode(Path::new(&at("a")), 6, &cameras);
    World::new(2).episode(Path::new(&at("b")), 4, &cameras);
    for fps in ["10", "30"] {
        let out = at(&format!("dataset-{fps}"));
        let (ok, json, err) = episode(&[
            "export",
            "--format",
            "lerobot",
            "--fps",
            fps,
            "--json",
            &out,
            &at("a"),
            &at("b"),
        ]);
        assert!(ok, "{err}");
        let exported: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(exported["episodes"], 2);
        let Some(checked) = check_with("check_lerobot.py", &[&out]) else { return };
        assert_eq!(checked["ok"], true);
        assert_eq!(checked["frames"], exported["frames"]);
        check_pictures(&out, &checked, fps.parse().unwrap(), &cameras);
        let wanted = 9.8 * fps.parse::<f64>().unwrap();
        assert!((checked["frames"].as_f64().unwrap() - wanted).abs() < wanted / 20.0, "{checked}");
    }
    let (ok, _, err) = episode(&["export", "--format", "lerobot", &at("dataset-10"), &at("a")]);
    assert!(!ok && err.contains("is there already"), "{err}");
}

#[test]
fn video_is_copied_as_it_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let front = h264(6, 30, 320, 180);
    let captured: Vec<u64> = front.iter().map(|frame| frame.captured_ns).collect();
    let recorded: usize = front.iter().map(|frame| frame.data.len()).sum();
    let cameras = [("front", front), ("rear", h264(6, 15, 160, 120))];
    World::new(6).episode(Path::new(&at("a")), 6, &cameras);
    World::new(7).episode(Path::new(&at("b")), 6, &cameras);
    for (name, wanted) in [("both", None), ("front", Some("front"))] {
        let out = at(name);
        let mut arguments = vec!["export", "--format", "lerobot", "--copy-video", "--json"];
        arguments.extend(wanted.map(|_| "--cameras"));
        arguments.extend(wanted);
        let dirs = [at("a"), at("b")];
        arguments.extend([out.as_str(), &dirs[0], &dirs[1]]);
        let (ok, json, err) = episode(&arguments);
        assert!(ok, "{err}");
        let exported: Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&exported["fps"], err.as_str()), (&Value::from(30), ""));
        let Some(checked) = check_with("check_lerobot.py", &[&out]) else { return };
        let text = std::fs::read_to_string(format!("{out}/meta/provenance.json")).unwrap();
        let provenance: Value = serde_json::from_str(&text).unwrap();
        for (episode, entry) in provenance["episodes"].as_array().unwrap().iter().enumerate() {
            let start_ns = entry["first_row_utc_ns"].as_u64().unwrap() - common::START_NS;
            let first = captured.iter().position(|time| *time == start_ns).unwrap();
            assert_eq!(first % 30, 0, "the first row is no keyframe");
            assert_eq!(checked["lengths"][episode], captured.len() - first);
            // The pictures' times wander by 3 ms.
            let deviation_ms = entry["copied_video"]["deviation_ms_max"].as_f64().unwrap();
            assert!((0.1..4.0).contains(&deviation_ms), "{entry}");
            let shown = &checked["brightness"]["observation.images.front"][episode];
            for (shown, index) in [(&shown[0], first), (&shown[1], captured.len() - 1)] {
                let difference = shown.as_f64().unwrap() - f64::from(luma(index));
                assert!(difference.abs() < 0.6, "{name} picture {index}: {difference}");
            }
        }
        let video = format!("{out}/videos/observation.images.front/chunk-000/file-000.mp4");
        let len = std::fs::metadata(video).unwrap().len();
        assert!(len < u64::try_from(recorded).unwrap() + 16_000, "{len} of {recorded}");
    }
}

#[test]
fn an_episode_with_a_lost_picture_and_a_late_keyframe_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    // The recording begins in the middle of a group of pictures.
    let frames = h264(5, 30, 320, 180).split_off(10);
    World::new(3).episode(Path::new(&at("a")), 5, &[("front", frames)]);
    let (ok, _, err) = episode(&["export", "--format", "lerobot", &at("out"), &at("a")]);
    assert!(ok, "{err}");
    check_with("check_lerobot.py", &[&at("out")]);
}

#[test]
fn recordings_and_the_merged_file_are_read_by_ros_tools() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let sealed = World::new(4).episode(Path::new(&at("a")), 3, &[("front", h264(3, 30, 320, 180))]);
    let (ok, _, err) = episode(&["export", "--format", "mcap", &at("all.mcap"), &at("a")]);
    assert!(ok, "{err}");
    let files = [at("all.mcap"), at("a/telemetry.mcap"), at("a/camera_front.mcap")];
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let Some(counts) = check_with("check_mcap.py", &files) else { return };
    for file in &sealed.manifest.files {
        for channel in &file.channels {
            assert_eq!(counts[&file.name][&channel.topic], channel.messages, "{counts}");
            assert_eq!(counts["all.mcap"][&channel.topic], channel.messages, "{counts}");
        }
    }
}

#[test]
fn the_command_tells_and_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let world = World::new(5);
    world.episode(Path::new(&at("a")), 3, &[("front", common::noise_frames(3, 30, 1000))]);
    let (ok, text, _) = episode(&["info", &at("a")]);
    assert!(ok, "{text}");
    for wanted in ["demo-rover-1", "Around the block", "distance", "/longrein/command", "verified"]
    {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    let fleet = world.fleet.did().to_string();
    let (ok, json, _) = episode(&["verify", &at("a"), "--fleet", &fleet, "--json"]);
    assert!(ok && serde_json::from_str::<Value>(&json).unwrap()["verified"] == true, "{json}");
    let export = ["export", "--format", "lerobot"];
    let refused = |more: &[&str]| {
        let (ok, _, err) = episode(&[&export, more].concat());
        assert!(!ok && !Path::new(&at("out")).exists(), "{err}");
        err
    };
    let err = refused(&[&at("out"), &at("a"), &at("a")]);
    assert!(err.contains("given twice"), "{err}");
    let err = refused(&["--cameras", "top", &at("out"), &at("a")]);
    assert!(err.contains("its cameras are: front"), "{err}");
    let err = refused(&[&at("out"), &at("nothing")]);
    assert!(err.contains("give the folder of an episode"), "{err}");
    let (ok, _, err) = episode(&["export", "--format", "mcap", "--fps", "5", &at("out"), &at("a")]);
    assert!(!ok && err.contains("--fps is for --format lerobot"), "{err}");
    let path = at("a/camera_front.mcap");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[5_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (ok, text, _) = episode(&["verify", &at("a")]);
    assert!(!ok && text.contains("NOT VERIFIED: camera_front.mcap bytes 0.."), "{text}");
    let (ok, _, err) = episode(&["export", "--format", "lerobot", &at("out"), &at("a")]);
    assert!(!ok && err.contains("does not verify"), "{err}");
    assert!(!Path::new(&at("out")).exists());
}
