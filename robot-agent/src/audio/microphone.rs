//! The microphone's thread: the device is open only while somebody listens.

use super::{Audio, pipeline};
use crate::config;
use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How often it is looked whether somebody still listens.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// While nobody does, a look costs nothing; one who begins wakes the thread.
const IDLE: Duration = Duration::from_secs(2);
/// A device that gives nothing for this long is opened anew.
const SILENT_MAX: Duration = Duration::from_secs(4);
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// Runs as long as there is somebody to run for.
pub(super) fn run(config: &config::Audio, audio: &Weak<Audio>, begun: &Receiver<()>) {
    // Nobody is there to ask before.
    begun.recv().unwrap_or_default();
    let mut pause = PAUSE_FIRST;
    while let Some(audio) = audio.upgrade().filter(|audio| !audio.stops()) {
        if !audio.is_listened() {
            pause = PAUSE_FIRST;
            drop(audio);
            std::thread::park_timeout(IDLE);
            continue;
        }
        if let Err(why) = play(config, &audio) {
            tracing::warn!(why, "the microphone failed; it is opened anew");
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Sends what the microphone hears until nobody listens.
fn play(config: &config::Audio, audio: &Arc<Audio>) -> Result<(), String> {
    let source = config.microphone.as_ref().ok_or("it is not configured")?;
    let built = pipeline::build(&pipeline::microphone_text(source, config.bitrate_kbps))?;
    let sink = built.by_name("sink").and_then(|sink| sink.downcast::<AppSink>().ok());
    let sink = sink.ok_or("the pipeline has no end")?;
    let packets = Arc::new(AtomicU64::new(0));
    let (of_sink, counted) = (Arc::downgrade(audio), Arc::clone(&packets));
    let callbacks = AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_end| gst::FlowError::Eos)?;
            counted.fetch_add(1, Ordering::Relaxed);
            if let (Some(audio), Some((timestamp, packet))) = (of_sink.upgrade(), content(&sample))
            {
                audio.send(timestamp, packet);
            }
            Ok(gst::FlowSuccess::Ok)
        })
        .build();
    sink.set_callbacks(callbacks);
    let bus = built.bus().ok_or("the pipeline has no bus")?;
    tracing::info!("somebody listens: the microphone is open");
    let started = built.set_state(gst::State::Playing).map(|_started| ());
    let outcome = watch(audio, &bus, &packets, started.is_err());
    if built.set_state(gst::State::Null).is_err() {
        tracing::debug!("closing the microphone");
    }
    tracing::info!("the microphone is closed");
    outcome
}

fn watch(audio: &Audio, bus: &gst::Bus, packets: &AtomicU64, failed: bool) -> Result<(), String> {
    let (mut count, mut since) = (0, Instant::now());
    while audio.is_listened() && !audio.stops() {
        if let Some(why) = pipeline::complaint(bus, LOOK_EVERY) {
            return Err(why);
        }
        if failed {
            return Err("it does not start".to_owned());
        }
        let now = packets.load(Ordering::Relaxed);
        if now != count {
            (count, since) = (now, Instant::now());
        } else if since.elapsed() > SILENT_MAX {
            return Err(format!("nothing comes for {} s", SILENT_MAX.as_secs()));
        }
    }
    Ok(())
}

/// The RTP timestamp, 48 kHz, and the packet.
fn content(sample: &gst::Sample) -> Option<(u32, Bytes)> {
    let buffer = sample.buffer()?;
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let running = segment.to_running_time(buffer.pts()?)?;
    let ticks = u128::from(running.nseconds()) * 48_000 / 1_000_000_000;
    #[expect(clippy::cast_possible_truncation, reason = "RTP's timestamps wrap around")]
    let timestamp = ticks as u32;
    let map = buffer.map_readable().ok()?;
    Some((timestamp, Bytes::copy_from_slice(map.as_slice())))
}
