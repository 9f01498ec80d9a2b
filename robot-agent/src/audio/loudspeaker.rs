//! The loudspeaker's thread: the device is open only while somebody talks.

use super::{Audio, pipeline};
use crate::config;
use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often it is looked whether somebody still talks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The last words have this long to be played.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// After a failure the device is left alone for so long.
const PAUSE: Duration = Duration::from_secs(2);

/// Plays what comes as long as anybody can talk.
pub(super) fn run(config: &config::Audio, packets: &Receiver<Bytes>, audio: &Weak<Audio>) {
    let mut failed: Option<Instant> = None;
    loop {
        let Ok(first) = packets.recv() else { return };
        // What waited for a device that hung is not said later, to somebody else.
        let talked = audio.upgrade().is_some_and(|audio| audio.is_talked());
        if !talked || failed.is_some_and(|at| at.elapsed() < PAUSE) {
            continue;
        }
        failed = None;
        if let Err(why) = play(config, first, packets, audio) {
            tracing::warn!(why, "the loudspeaker failed; what was said was not heard");
            failed = Some(Instant::now());
        }
    }
}

/// Plays from the first packet until nobody talks.
fn play(
    config: &config::Audio,
    first: Bytes,
    packets: &Receiver<Bytes>,
    audio: &Weak<Audio>,
) -> Result<(), String> {
    let sink = config.loudspeaker.as_ref().ok_or("it is not configured")?;
    let built = pipeline::build(&pipeline::loudspeaker_text(sink, config.jitter_ms))?;
    let source = built.by_name("source").and_then(|source| source.downcast::<AppSrc>().ok());
    let source = source.ok_or("the pipeline has no beginning")?;
    let bus = built.bus().ok_or("the pipeline has no bus")?;
    tracing::info!("somebody talks: the loudspeaker is open");
    let outcome = match built.set_state(gst::State::Playing) {
        Err(error) => Err(pipeline::complaint(&bus, Duration::ZERO).unwrap_or(error.to_string())),
        Ok(_started) => feed(&source, first, packets, audio, &bus),
    };
    if outcome.is_ok() && source.end_of_stream().is_ok() {
        // The end comes over the bus when everything was played, or not at all from a device that hangs.
        pipeline::complaint(&bus, LAST_WORDS);
    }
    if built.set_state(gst::State::Null).is_err() {
        tracing::debug!("closing the loudspeaker");
    }
    tracing::info!("the loudspeaker is closed");
    outcome
}

fn feed(
    source: &AppSrc,
    first: Bytes,
    packets: &Receiver<Bytes>,
    audio: &Weak<Audio>,
    bus: &gst::Bus,
) -> Result<(), String> {
    let mut next = Some(first);
    loop {
        if let Some(packet) = next.take() {
            let buffer = gst::Buffer::from_slice(packet);
            source.push_buffer(buffer).map_err(|error| error.to_string())?;
        }
        if let Some(why) = pipeline::complaint(bus, Duration::ZERO) {
            return Err(why);
        }
        if !audio.upgrade().is_some_and(|audio| audio.is_talked() && !audio.stops()) {
            return Ok(());
        }
        match packets.recv_timeout(LOOK_EVERY) {
            Ok(packet) => next = Some(packet),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}
