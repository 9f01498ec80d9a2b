//! Keeps a camera running: one attempt after the other, each on a thread of its own, so that one whose driver hangs can
//! be left behind.

use super::camera::{Sink, State, lock};
use super::picture::Form;
use super::ros::{Arrived, Topic, UNUSABLE};
use super::{CameraConfig, MediaError, Source, encoder, pipeline, recording, taps};
use crate::clock;
use gstreamer as gst;
use gstreamer::prelude::*;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Silence after which a camera that reports no error is started anew all the same.
pub(super) const SILENT_MAX: Duration = Duration::from_secs(4);
/// A pipeline that has not ended so long after it should have hangs.
const END_WITHIN: Duration = Duration::from_secs(3);
/// At the end, a pipeline gets so long to close.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// The first attempt tries encoders, too.
const CHOOSE_WITHIN: Duration = Duration::from_secs(40);
/// With more hanging pipelines than this no new one is started until one ends: each holds threads and memory.
const LEFT_BEHIND_MAX: u32 = 3;
/// Pause before the first restart; doubles with each failure in a row.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// How often the bus is looked at when it is silent.
const BUS_EVERY: gst::ClockTime = gst::ClockTime::from_mseconds(200);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How an attempt ended.
enum End {
    /// The camera is to be stopped.
    Stopped,
    Failed(MediaError),
    Hangs,
}

/// What became of an attempt's thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Running,
    LeftBehind,
    Ended,
}

/// Runs attempts until the camera is stopped.
pub(super) fn keep_running(state: &Arc<State>, sink: &Sink) {
    let mut pause = PAUSE_FIRST;
    while !*lock(&state.stop) {
        let frames_before = state.frames.load(Ordering::Relaxed);
        let error = match attempt(state, sink) {
            End::Stopped => return,
            End::Failed(error) => error,
            End::Hangs => stopped(
                state,
                "it hangs: its driver does not answer; it is left behind and started anew",
            ),
        };
        let frames = state.frames.load(Ordering::Relaxed).saturating_sub(frames_before);
        pause = if frames > 0 { PAUSE_FIRST } else { (pause * 2).min(PAUSE_MAX) };
        tell(state, &error);
        wait(state, pause);
        while state.left_behind.load(Ordering::Acquire) > LEFT_BEHIND_MAX && !*lock(&state.stop) {
            tell(
                state,
                &stopped(
                    state,
                    "its driver hangs again and again; plug it anew, or start the robot anew",
                ),
            );
            wait(state, PAUSE_MAX);
        }
    }
}

fn stopped(state: &State, why: &str) -> MediaError {
    MediaError::Stopped { camera: state.config.name.clone(), why: why.to_owned() }
}

fn tell(state: &State, error: &MediaError) {
    let (camera, why) = (&state.config.name, error.to_string());
    // The same complaint every few seconds helps nobody.
    if lock(&state.trouble).replace(why.clone()).as_ref() == Some(&why) {
        tracing::debug!(camera, why, "camera still not running");
    } else {
        tracing::warn!(camera, why, "camera stopped; it is started anew until it runs");
    }
}

/// Waits `pause` before the next start, or until the camera is stopped, and says all the while that it is alive.
fn wait(state: &State, pause: Duration) {
    let until = Instant::now() + pause;
    loop {
        beat(state);
        let left = until.saturating_duration_since(Instant::now()).min(PAUSE_FIRST);
        let guard = lock(&state.stop);
        let waited = state.stopped.wait_timeout_while(guard, left, |stop| !*stop);
        let stopped = *waited.unwrap_or_else(PoisonError::into_inner).0;
        if stopped || Instant::now() >= until {
            return;
        }
    }
}

fn beat(state: &State) {
    state.alive_ms.store(clock::mono_ms().0, Ordering::Release);
}

/// One attempt, watched from here.
fn attempt(state: &Arc<State>, sink: &Sink) -> End {
    let generation = state.generation.fetch_add(1, Ordering::AcqRel) + 1;
    state.starts.fetch_add(1, Ordering::Relaxed);
    let (tell, ended) = sync_channel(1);
    let (of_thread, sink) = (Arc::clone(state), Arc::clone(sink));
    let fate = Arc::new(Mutex::new(Fate::Running));
    let of_fate = Arc::clone(&fate);
    let thread = std::thread::Builder::new().name(format!("camera-{}-run", state.config.camera));
    let thread = thread.spawn(move || {
        let outcome = run(&of_thread, &sink, generation);
        // Nobody listens any more when it was left behind.
        tell.send(outcome).unwrap_or_default();
        let mut fate = lock(&of_fate);
        if *fate == Fate::LeftBehind {
            of_thread.left_behind.fetch_sub(1, Ordering::AcqRel);
        }
        *fate = Fate::Ended;
    });
    if let Err(error) = thread {
        return End::Failed(stopped(state, &format!("no thread for it: {error}")));
    }
    watch(state, &ended, &fate, generation)
}

fn watch(
    state: &State,
    ended: &Receiver<Result<(), MediaError>>,
    fate: &Mutex<Fate>,
    generation: u64,
) -> End {
    let (mut frames, mut since) = (state.frames.load(Ordering::Relaxed), Instant::now());
    let mut asked_to_stop = None;
    let chosen = lock(&state.encoder).is_some();
    let begun = Instant::now();
    let end = loop {
        beat(state);
        match ended.recv_timeout(LOOK_EVERY) {
            Ok(Ok(())) => return End::Stopped,
            Ok(Err(error)) => return End::Failed(error),
            Err(RecvTimeoutError::Disconnected) => {
                return End::Failed(stopped(state, "its thread panicked"));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = state.frames.load(Ordering::Relaxed);
        if now != frames {
            (frames, since) = (now, Instant::now());
        }
        if *lock(&state.stop) {
            let asked = *asked_to_stop.get_or_insert_with(Instant::now);
            if asked.elapsed() > STOP_WITHIN {
                break End::Stopped;
            }
        }
        // Time that goes into the choice of an encoder is not silence.
        if !chosen && lock(&state.encoder).is_none() && begun.elapsed() < CHOOSE_WITHIN {
            since = Instant::now();
        }
        if since.elapsed() > SILENT_MAX + END_WITHIN {
            break End::Hangs;
        }
    };
    leave_behind(state, fate, generation);
    end
}

/// From here on its frames do not count. Its thread ends when its driver lets it.
fn leave_behind(state: &State, fate: &Mutex<Fate>, generation: u64) {
    state.generation.store(generation + 1, Ordering::Release);
    if let Some(topic) = &state.topic {
        topic.detach(generation);
    }
    *lock(&state.running) = None;
    *lock(&state.raw) = None;
    let mut fate = lock(fate);
    if *fate == Fate::Running {
        *fate = Fate::LeftBehind;
        state.left_behind.fetch_add(1, Ordering::AcqRel);
    }
}

/// Plays one pipeline until it fails (`Err`) or the camera is stopped (`Ok`).
fn run(state: &Arc<State>, sink: &Sink, generation: u64) -> Result<(), MediaError> {
    let known = lock(&state.encoder).clone();
    let chosen = match known {
        Some(chosen) => chosen,
        None => {
            let failed = lock(&state.encoders_failed).clone();
            let chosen = encoder::choose(&state.config, &failed).inspect_err(|_none_left| {
                // Next time from the top again: a busy device may be free by then.
                lock(&state.encoders_failed).clear();
            })?;
            lock(&state.encoder).insert(chosen).clone()
        }
    };
    let bitrate_kbps = state.bitrate_kbps.load(Ordering::Relaxed);
    let feed = match &state.topic {
        None => None,
        Some(topic) => match topic.first(state).map_err(|why| stopped(state, &why))? {
            Some(first) => Some((topic, first)),
            None => return Ok(()),
        },
    };
    let form = feed.as_ref().map(|(_, (form, _))| *form);
    let built = pipeline::build(&state.config, &chosen, bitrate_kbps, form)?;
    let size = lock(&state.live).size.filter(|_| state.sends_h264());
    if let Some((width, height)) = size {
        built.set_live_size(width, height);
    }
    taps::watch_entry(state, &built);
    recording::watch(state, &built, generation);
    taps::watch_encoder(state, &built, generation);
    taps::deliver(state, &built.sink, Arc::clone(sink), generation);
    *lock(&state.running) = Some(built.clone());
    let result = play(state, &built, generation, feed);
    if let Some(topic) = &state.topic {
        topic.detach(generation);
    }
    if state.generation.load(Ordering::Acquire) == generation {
        *lock(&state.running) = None;
        // The buffer belongs to a source that is about to go.
        *lock(&state.raw) = None;
    }
    if let Err(error) = built.pipeline.set_state(gst::State::Null) {
        tracing::debug!(camera = state.config.name, %error, "closing the pipeline");
    }
    result
}

/// `feed` is a topic and its first picture.
fn play(
    state: &State,
    built: &pipeline::Pipeline,
    generation: u64,
    feed: Option<(&Topic, (Form, Arrived))>,
) -> Result<(), MediaError> {
    let bus = built.pipeline.bus().ok_or_else(|| stopped(state, "the pipeline has no bus"))?;
    // Why it does not start comes over the bus, in better words than this error has.
    let started = built.pipeline.set_state(gst::State::Playing);
    if let Some((topic, first)) = feed {
        topic.attach(&state.config, &built.pipeline, generation, first);
    }
    let (mut frames, mut since) = (state.frames.load(Ordering::Relaxed), Instant::now());
    loop {
        let wait = if started.is_err() { gst::ClockTime::ZERO } else { BUS_EVERY };
        if let Some(message) = bus.timed_pop(wait) {
            match message.view() {
                gst::MessageView::Error(error) => {
                    note_encoder(state, built, error);
                    return Err(stopped(state, &describe(state, error)));
                }
                gst::MessageView::Application(words) => {
                    if let Some(why) = unusable(words) {
                        return Err(stopped(state, &why));
                    }
                }
                gst::MessageView::Eos(_) => return Err(stopped(state, "the source has ended")),
                _other => {}
            }
        } else if let Err(error) = started {
            return Err(stopped(state, &format!("the pipeline does not start: {error}")));
        }
        if *lock(&state.stop) {
            return Ok(());
        }
        let now = state.frames.load(Ordering::Relaxed);
        if now != frames {
            (frames, since) = (now, Instant::now());
            *lock(&state.trouble) = None;
        } else if since.elapsed() > SILENT_MAX {
            return Err(stopped(state, &silence(state)));
        }
    }
}

/// Why a picture from ROS cannot be shown.
fn unusable(words: &gst::message::Application) -> Option<String> {
    words.structure().filter(|words| words.name() == UNUSABLE)?.get::<String>("why").ok()
}

fn silence(state: &State) -> String {
    match &state.topic {
        Some(topic) => topic.silence(),
        None => format!("no frame for {} s", SILENT_MAX.as_secs()),
    }
}

/// An encoder that fails by itself after it had worked gives its place to the next, unless the owner pinned it.
fn note_encoder(state: &State, built: &pipeline::Pipeline, error: &gst::message::Error) {
    let its_own =
        error.src().is_some_and(|source| source == built.encoder.upcast_ref::<gst::Object>());
    if !its_own || state.config.encoder.is_some() {
        return;
    }
    if let Some(chosen) = lock(&state.encoder).take() {
        tracing::warn!(
            camera = state.config.name,
            encoder = chosen.name,
            "the encoder failed; the next is tried"
        );
        lock(&state.encoders_failed).push(chosen.name);
    }
}

fn describe(state: &State, error: &gst::message::Error) -> String {
    // The kind of element: its name is another one at each start, and the same complaint is told once.
    let element = error
        .src()
        .and_then(|source| source.downcast_ref::<gst::Element>()?.factory())
        .map(|factory| factory.name().to_string())
        .unwrap_or_default();
    let CameraConfig { width, height, .. } = state.config;
    let hint = if error.debug().is_some_and(|debug| debug.contains("not-negotiated")) {
        format!(" (does the source give {width}x{height} raw video?)")
    } else {
        String::new()
    };
    let question = match &state.config.source {
        Source::Gstreamer(_) => {
            "is it there, and its `source` in the configuration right?".to_owned()
        }
        Source::Ros(from) => format!("are the pictures on {} whole?", from.topic),
    };
    format!("{} ({element}){hint}; {question}", error.error())
}
