//! A camera whose pictures come over ROS, from an independent DDS implementation: CycloneDDS, in a Python process.
//!
//! Set `LONGREIN_PYTHON` to a Python that has `cyclonedds`. Without it the tests say so and pass, except in CI.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use gstreamer as gst;
use gstreamer::prelude::*;
use robot_agent::clock;
use robot_agent::media::{Camera, CameraConfig, EncodedFrame, Source};
use ros_bridge::pictures::{PictureTopic, PictureType};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(30);
const TOPIC: &str = "/camera/image";
const SIZE: (u32, u32) = (64, 48);

/// A domain that no other test of this machine is likely to use now. The ports of domains above 100 are also handed to
/// clients.
fn fresh_domain() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() * 17) % 100;
    1 + (u16::try_from(start).unwrap() + NEXT.fetch_add(1, Ordering::Relaxed)) % 100
}

/// A driver of a camera.
struct Peer {
    process: Child,
    input: ChildStdin,
}

impl Peer {
    /// `None` when there is no Python to run it.
    fn start(domain_id: u16) -> Option<Self> {
        let Ok(python) = std::env::var("LONGREIN_PYTHON") else {
            let skipped = "SKIPPED: set LONGREIN_PYTHON to a Python with cyclonedds";
            assert!(std::env::var_os("CI").is_none(), "{skipped}");
            std::io::stderr().write_all(format!("{skipped}\n").as_bytes()).unwrap();
            return None;
        };
        let mut process = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cyclonedds_camera.py"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .args(["--domain", &domain_id.to_string(), "--topic", TOPIC])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.contains("ready"), "{ready}");
        Some(Self { process, input })
    }

    fn publish(&mut self, what: &Value) {
        writeln!(self.input, "{what}").unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn raw(encoding: &str, pixel: &[u8]) -> Value {
    json!({"raw": encoding, "width": SIZE.0, "height": SIZE.1, "pixel": pixel, "room": 3})
}

fn start(domain_id: u16, message: PictureType) -> (Camera, Receiver<EncodedFrame>) {
    let from = PictureTopic {
        domain_id,
        node_name: "test_camera".to_owned(),
        topic: TOPIC.to_owned(),
        message,
        reliability: None,
    };
    let config = CameraConfig {
        camera: 0,
        name: "test".to_owned(),
        source: Source::Ros(from),
        width: SIZE.0,
        height: SIZE.1,
        fps: 10,
        bitrate_kbps: 500,
        encoder: None,
        recording: Default::default(),
    };
    let (frames_in, frames) = channel();
    (Camera::start(config, move |frame| _ = frames_in.send(frame)).unwrap(), frames)
}

/// The middle of a JPEG.
fn colour(jpeg: &[u8]) -> [u8; 3] {
    let text = "appsrc name=in format=time ! jpegdec ! videoconvert ! video/x-raw,format=RGB ! appsink name=out";
    let pipeline = gst::parse::launch(text).unwrap().downcast::<gst::Pipeline>().unwrap();
    let source = pipeline.by_name("in").unwrap().downcast::<gstreamer_app::AppSrc>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gstreamer_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    source.push_buffer(gst::Buffer::from_slice(jpeg.to_vec())).unwrap();
    source.end_of_stream().unwrap();
    let sample = sink.pull_sample().unwrap();
    let map = sample.buffer().unwrap().map_readable().unwrap();
    // 64 × 3 bytes are a multiple of four: rows follow each other.
    let at = usize::try_from(SIZE.0 * (SIZE.1 / 2) + SIZE.0 / 2).unwrap() * 3;
    let middle = [map[at], map[at + 1], map[at + 2]];
    drop(map);
    pipeline.set_state(gst::State::Null).unwrap();
    middle
}

fn near(found: [u8; 3], wanted: [u8; 3]) -> bool {
    found.iter().zip(wanted).all(|(found, wanted)| found.abs_diff(wanted) < 32)
}

fn until(what: &str, mut step: impl FnMut() -> bool) {
    let deadline = Instant::now() + WITHIN;
    while !step() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn shows(camera: &Camera, wanted: [u8; 3]) {
    let mut seen = None;
    let deadline = Instant::now() + WITHIN;
    while !seen.is_some_and(|seen| near(seen, wanted)) {
        assert!(
            Instant::now() < deadline,
            "{seen:?} instead of {wanted:?}: {:?}",
            camera.trouble()
        );
        std::thread::sleep(Duration::from_millis(20));
        seen = camera.jpeg().map(|still| colour(&still.jpeg));
    }
}

/// A file of one colour, as an encoder of GStreamer writes it.
fn file(folder: &std::path::Path, encoder: &str, colour: &str) -> String {
    let path = folder.join(format!("{colour}.{encoder}")).display().to_string();
    let (width, height) = SIZE;
    let text = format!(
        "videotestsrc num-buffers=1 pattern={colour} ! video/x-raw,width={width},height={height} ! videoconvert \
         ! {encoder} ! filesink location={path}"
    );
    let pipeline = gst::parse::launch(&text).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let ended = [gst::MessageType::Eos, gst::MessageType::Error];
    let bus = pipeline.bus().unwrap();
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(20), &ended).unwrap();
    assert_eq!(message.type_(), gst::MessageType::Eos);
    pipeline.set_state(gst::State::Null).unwrap();
    path
}

#[test]
fn pictures_go_silent_and_come_back_and_their_time_is_that_of_their_stamp() {
    let domain_id = fresh_domain();
    let Some(mut peer) = Peer::start(domain_id) else { return };
    let (camera, frames) = start(domain_id, PictureType::Image);
    until("words about nobody", || {
        camera.trouble().is_some_and(|why| why.contains("nobody publishes /camera/image"))
    });
    assert!(!camera.healthy());

    peer.publish(&raw("rgb8", &[255, 0, 0]));
    let first = frames.recv_timeout(WITHIN).unwrap();
    assert!(first.keyframe);
    shows(&camera, [255, 0, 0]);
    let mut last = first;
    for _frame in 0..10 {
        let frame = frames.recv_timeout(WITHIN).unwrap();
        assert!(frame.capture > last.capture && frame.capture <= clock::mono_ns());
        assert!(clock::mono_ns().since(frame.capture) < 2_000_000_000);
        last = frame;
    }
    assert!(camera.healthy() && camera.trouble().is_none());
    peer.publish(&raw("rgb8", &[0, 0, 255]));
    shows(&camera, [0, 0, 255]);

    peer.publish(&json!({"silent": true}));
    until("the camera to be ill", || !camera.healthy());
    assert!(camera.jpeg().is_none(), "an old picture is never shown as a new one");
    until("words about silence", || {
        camera.trouble().is_some_and(|why| why.contains("no picture came"))
    });
    peer.publish(&raw("rgb8", &[0, 255, 0]));
    shows(&camera, [0, 255, 0]);
    until("no trouble", || camera.trouble().is_none());
    assert!(camera.stats().starts >= 2 && camera.stats().left_behind == 0);

    // Without a stamp the time of arrival is taken.
    let mut unstamped = raw("rgb8", &[255, 255, 0]);
    unstamped["stamp"] = json!("never");
    peer.publish(&unstamped);
    shows(&camera, [255, 255, 0]);
    let still = camera.jpeg().unwrap();
    assert!(clock::mono_ns().since(still.capture) < 1_000_000_000);
    camera.stop();
}

#[test]
fn every_encoding_shows_its_colour_and_a_change_of_it_or_of_the_size_is_told() {
    let domain_id = fresh_domain();
    let Some(mut peer) = Peer::start(domain_id) else { return };
    let (camera, _frames) = start(domain_id, PictureType::Image);
    for (encoding, pixel, wanted) in [
        ("bgr8", &[0, 0, 255][..], [255, 0, 0]),
        ("rgba8", &[0, 255, 0, 255], [0, 255, 0]),
        ("bgra8", &[255, 0, 0, 255], [0, 0, 255]),
        ("mono8", &[128], [128, 128, 128]),
        // Red in the levels of video: Y 81, U 90, V 240.
        ("yuv422", &[90, 81, 240, 81], [255, 0, 0]),
        ("yuv422_yuy2", &[81, 90, 81, 240], [255, 0, 0]),
    ] {
        peer.publish(&raw(encoding, pixel));
        shows(&camera, wanted);
    }
    let starts = camera.stats().starts;
    assert!(starts >= 6, "each change of encoding is a new start: {starts}");
    peer.publish(&json!({"raw": "rgb8", "width": 32, "height": 48, "pixel": [0, 0, 0]}));
    until("words about the size", || {
        camera.trouble().is_some_and(|why| why.contains("32x48") && why.contains("64x48"))
    });
    peer.publish(&raw("16UC1", &[0, 0]));
    until("words about the encoding", || {
        camera.trouble().is_some_and(|why| why.contains("\"16UC1\" is not understood"))
    });
    peer.publish(&raw("rgb8", &[255, 0, 0]));
    shows(&camera, [255, 0, 0]);
    camera.stop();
}

#[test]
fn files_are_decoded_and_broken_ones_only_lose_themselves() {
    gst::init().unwrap();
    let domain_id = fresh_domain();
    let Some(mut peer) = Peer::start(domain_id) else { return };
    let folder = tempfile::tempdir().unwrap();
    let jpeg = file(folder.path(), "jpegenc", "red");
    let png = file(folder.path(), "pngenc", "blue");
    let (camera, frames) = start(domain_id, PictureType::CompressedImage);
    peer.publish(&json!({"file": jpeg, "format": "rgb8; jpeg compressed bgr8"}));
    shows(&camera, [255, 0, 0]);
    peer.publish(&json!({"file": png, "format": "png"}));
    shows(&camera, [0, 0, 255]);

    let whole = std::fs::read(&jpeg).unwrap();
    let broken = folder.path().join("broken").display().to_string();
    std::fs::write(&broken, &whole[..whole.len() - whole.len() / 4]).unwrap();
    peer.publish(&json!({"file": broken, "format": "jpeg"}));
    std::thread::sleep(Duration::from_secs(1));
    peer.publish(&json!({"file": jpeg, "format": ""}));
    while frames.try_recv().is_ok() {}
    frames.recv_timeout(WITHIN).unwrap();
    shows(&camera, [255, 0, 0]);

    // The driver is started with another type.
    peer.publish(&raw("rgb8", &[255, 0, 0]));
    until("words about the type", || {
        camera.trouble().is_some_and(|why| why.contains("set ros_type = \"image\""))
    });
    camera.stop();
}
