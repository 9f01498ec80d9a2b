//! How fast a dataset is made of a drive with two cameras (1280x720 at 30, 640x360 at 15 frames a second):
//! `cargo run -p episode-export --example export_speed [SECONDS]`.
#![allow(clippy::unwrap_used, reason = "a measurement may stop at the first thing that fails")]

#[path = "../../tests/common/mod.rs"]
mod common;

use episode_export::lerobot::{Options, export};
use episode_export::progress::Progress;
use gstreamer::prelude::*;
use std::io::Write;

fn h264(seconds: u64, fps: u64, size: &str) -> Vec<common::Frame> {
    let count = seconds * fps;
    let pipeline = gstreamer::parse::launch(&format!(
        "videotestsrc pattern=ball num-buffers={count} ! video/x-raw,format=I420,{size},framerate={fps}/1 \
         ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=2500 key-int-max=300 \
         ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au \
         ! appsink name=sink sync=false"
    ))
    .unwrap();
    let pipeline = pipeline.downcast::<gstreamer::Pipeline>().unwrap();
    let sink = pipeline.by_name("sink").unwrap().downcast::<gstreamer_app::AppSink>().unwrap();
    pipeline.set_state(gstreamer::State::Playing).unwrap();
    let mut frames = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        frames.push(common::Frame {
            captured_ns: u64::try_from(frames.len()).unwrap() * 1_000_000_000 / fps,
            data: sample.buffer().unwrap().map_readable().unwrap().to_vec(),
        });
    }
    pipeline.set_state(gstreamer::State::Null).unwrap();
    frames
}

fn main() {
    let seconds = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(20);
    gstreamer::init().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("episode");
    let cameras = [
        ("front", h264(seconds, 30, "width=1280,height=720")),
        ("rear", h264(seconds, 15, "width=640,height=360")),
    ];
    common::World::new(1).episode(&dir, seconds, &cameras);
    let source = episode_export::open(&dir, &episode::Options::default()).unwrap();
    let sources = [source];
    let mut out = std::io::stdout().lock();
    let front = || vec!["front".to_owned()];
    for (name, fps, cameras, copy_video) in [
        ("encoded, 10 rows a second", Some(10), Vec::new(), false),
        ("encoded, 30 rows a second", Some(30), Vec::new(), false),
        ("front copied, rear encoded", None, Vec::new(), true),
        ("front copied alone", None, front(), true),
    ] {
        let options = Options { fps, cameras, copy_video, robot_type: "test".into() };
        let path = folder.path().join(name);
        let done = export(&path, &sources, &options, &Progress::hidden()).unwrap();
        writeln!(
            out,
            "{name}: {} rows of {seconds} s in {:.2} s, {:.0} pictures a second",
            done.frames, done.seconds, done.pictures_per_s
        )
        .unwrap();
    }
}
