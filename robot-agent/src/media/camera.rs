//! A camera that is kept running.

use super::pipeline::{self, Pipeline};
use super::still::{RawFrame, StillEncoder};
use super::{CameraConfig, EncodedFrame, MediaError, Still};
use crate::clock;
use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};
use gstreamer_video::{UpstreamForceKeyUnitEvent, VideoInfo};
use protocol::units::MonoNs;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A camera is healthy while its newest frame is younger than this.
const HEALTHY_WITHIN_MS: u64 = 1_000;
/// Silence after which a camera that reports no error is started anew all the same.
const SILENT_MAX: Duration = Duration::from_secs(4);
/// Pause before the first restart; doubles with each failure in a row.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// How often the bus is looked at when it is silent.
const BUS_EVERY: gst::ClockTime = gst::ClockTime::from_mseconds(200);
/// A source timestamp older than this is not a capture time.
const STAMP_AGE_MAX: gst::ClockTime = gst::ClockTime::from_seconds(2);
/// Forced keyframes are at least this far apart; one asked for in between comes then.
const KEYFRAME_GAP_MS: u64 = 200;

type Sink = Arc<Mutex<dyn FnMut(EncodedFrame) + Send>>;

/// A running camera. Dropping it stops it.
#[derive(Debug)]
pub struct Camera {
    state: Arc<State>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    config: CameraConfig,
    stop: Mutex<bool>,
    stopped: Condvar,
    running: Mutex<Option<Pipeline>>,
    raw: Mutex<Option<RawFrame>>,
    /// Told of each new raw frame.
    raw_came: Condvar,
    raw_frames: AtomicU64,
    stills: Mutex<Stills>,
    /// Milliseconds on the monotonic clock; 0 for never.
    newest_frame_ms: AtomicU64,
    /// When the camera's thread was known to run last; the same clock.
    alive_ms: AtomicU64,
    frames: AtomicU64,
    keyframe_wanted: AtomicBool,
    keyframe_forced_ms: AtomicU64,
    bitrate_kbps: AtomicU32,
    trouble: Mutex<Option<String>>,
}

/// The JPEG made last and what makes them. Locked while one is made, so that all who ask get the same.
#[derive(Debug, Default)]
struct Stills {
    newest: Option<Still>,
    encoder: Option<StillEncoder>,
}

impl Stills {
    fn of(&mut self, raw: &RawFrame) -> Option<Still> {
        if let Some(still) = self.newest.as_ref().filter(|still| still.seq == raw.seq) {
            return Some(still.clone());
        }
        let fits = self.encoder.take().filter(|encoder| encoder.fits(&raw.info));
        let encoder = fits.or_else(|| StillEncoder::new(&raw.info))?;
        let jpeg = encoder.jpeg(raw)?;
        // One that failed does not come back here.
        self.encoder = Some(encoder);
        self.newest = Some(Still {
            jpeg,
            seq: raw.seq,
            capture: raw.capture,
            width: raw.info.width(),
            height: raw.info.height(),
        });
        self.newest.clone()
    }
}

impl Camera {
    /// Starts a camera. `sink` gets every encoded frame on the camera's own thread; it must not block.
    ///
    /// Fails at once on what only a person can mend: a wrong configuration, a missing plugin. A camera that
    /// is merely not there is waited for: see [`Camera::healthy`] and [`Camera::trouble`].
    pub fn start(
        config: CameraConfig,
        sink: impl FnMut(EncodedFrame) + Send + 'static,
    ) -> Result<Self, MediaError> {
        pipeline::check(&config)?;
        let state = Arc::new(State {
            stop: Mutex::new(false),
            stopped: Condvar::new(),
            running: Mutex::new(None),
            raw: Mutex::new(None),
            raw_came: Condvar::new(),
            raw_frames: AtomicU64::new(0),
            stills: Mutex::default(),
            newest_frame_ms: AtomicU64::new(0),
            alive_ms: AtomicU64::new(clock::mono_ms().0),
            frames: AtomicU64::new(0),
            keyframe_wanted: AtomicBool::new(false),
            keyframe_forced_ms: AtomicU64::new(0),
            bitrate_kbps: AtomicU32::new(config.bitrate_kbps),
            trouble: Mutex::new(None),
            config,
        });
        let sink: Sink = Arc::new(Mutex::new(sink));
        let thread = {
            let state = Arc::clone(&state);
            std::thread::Builder::new()
                .name(format!("camera-{}", state.config.camera))
                .spawn(move || keep_running(&state, &sink))
                .map_err(|error| MediaError::Init { why: error.to_string() })?
        };
        Ok(Self { state, thread: Some(thread) })
    }

    /// The configuration that it was started with.
    pub fn config(&self) -> &CameraConfig {
        &self.state.config
    }

    /// Makes the next frame a keyframe, or one of the next few when keyframes are asked for in a rush.
    pub fn force_keyframe(&self) {
        self.state.keyframe_wanted.store(true, Ordering::Release);
    }

    /// Changes the bitrate from the next frame on. An encoder of the configuration keeps its own.
    pub fn set_bitrate_kbps(&self, kbps: u32) {
        let kbps = kbps.clamp(50, 100_000);
        self.state.bitrate_kbps.store(kbps, Ordering::Relaxed);
        if let Some(running) = lock(&self.state.running).as_ref() {
            running.set_bitrate_kbps(kbps);
        }
    }

    /// The newest frame as JPEG; `None` while there is no fresh one. Encodes on the caller's thread, for some
    /// milliseconds, or waits for another caller who does: each frame is encoded once.
    pub fn jpeg(&self) -> Option<Still> {
        if !self.healthy() {
            return None;
        }
        let mut stills = lock(&self.state.stills);
        let raw = lock(&self.state.raw).clone()?;
        stills.of(&raw)
    }

    /// Waits for a frame above number `seq` and tells its number and time of capture; `None` when none came
    /// within `within`.
    pub fn wait_newer(&self, seq: u64, within: Duration) -> Option<(u64, MonoNs)> {
        let newer = |raw: &Option<RawFrame>| raw.as_ref().is_some_and(|raw| raw.seq > seq);
        let (raw, _timeout) = self
            .state
            .raw_came
            .wait_timeout_while(lock(&self.state.raw), within, |raw| !newer(raw))
            .unwrap_or_else(PoisonError::into_inner);
        raw.as_ref().filter(|raw| raw.seq > seq).map(|raw| (raw.seq, raw.capture))
    }

    /// Whether frames are coming.
    pub fn healthy(&self) -> bool {
        let newest = self.state.newest_frame_ms.load(Ordering::Acquire);
        newest != 0 && clock::mono_ms().0.saturating_sub(newest) < HEALTHY_WITHIN_MS
    }

    /// When the camera's thread was known to run last, monotonic ms. It runs while it waits for a camera that is not
    /// there; it does not while a driver holds it.
    pub fn alive_ms(&self) -> u64 {
        self.state.alive_ms.load(Ordering::Acquire)
    }

    /// Encoded frames since the start.
    pub fn frames(&self) -> u64 {
        self.state.frames.load(Ordering::Relaxed)
    }

    /// What went wrong last, until frames come again.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.state.trouble).clone()
    }

    /// Stops the camera and waits until it is closed.
    pub fn stop(mut self) {
        self.signal_stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(camera = self.state.config.name, "the camera's thread panicked");
        }
    }

    fn signal_stop(&self) {
        *lock(&self.state.stop) = true;
        self.state.stopped.notify_all();
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.signal_stop();
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep_running(state: &Arc<State>, sink: &Sink) {
    let mut pause = PAUSE_FIRST;
    let name = state.config.name.as_str();
    while !*lock(&state.stop) {
        let frames_before = state.frames.load(Ordering::Relaxed);
        let Err(error) = run(state, sink) else { return };
        let frames = state.frames.load(Ordering::Relaxed).saturating_sub(frames_before);
        pause = if frames > 0 { PAUSE_FIRST } else { (pause * 2).min(PAUSE_MAX) };
        let why = error.to_string();
        // The same complaint every few seconds helps nobody.
        if lock(&state.trouble).replace(why.clone()).as_ref() == Some(&why) {
            tracing::debug!(camera = name, why, "camera still not running");
        } else {
            tracing::warn!(camera = name, why, "camera stopped; it is started anew until it runs");
        }
        wait(state, pause);
    }
}

/// Waits `pause` before the next start, or until the camera is stopped, and says all the while that it is alive.
fn wait(state: &State, pause: Duration) {
    let until = Instant::now() + pause;
    loop {
        state.alive_ms.store(clock::mono_ms().0, Ordering::Release);
        let left = until.saturating_duration_since(Instant::now()).min(PAUSE_FIRST);
        let guard = lock(&state.stop);
        let waited = state.stopped.wait_timeout_while(guard, left, |stop| !*stop);
        let stopped = *waited.unwrap_or_else(PoisonError::into_inner).0;
        if stopped || Instant::now() >= until {
            return;
        }
    }
}

/// Plays one pipeline until it fails (`Err`) or the camera is stopped (`Ok`).
fn run(state: &Arc<State>, sink: &Sink) -> Result<(), MediaError> {
    let built = pipeline::build(&state.config, state.bitrate_kbps.load(Ordering::Relaxed))?;
    watch_entry(state, &built);
    watch_encoder(state, &built);
    deliver(state, &built.sink, Arc::clone(sink));
    *lock(&state.running) = Some(built.clone());
    let result = play(state, &built.pipeline);
    *lock(&state.running) = None;
    // The buffer belongs to a source that is about to go.
    *lock(&state.raw) = None;
    if let Err(error) = built.pipeline.set_state(gst::State::Null) {
        tracing::debug!(camera = state.config.name, %error, "closing the pipeline");
    }
    result
}

fn play(state: &State, pipeline: &gst::Pipeline) -> Result<(), MediaError> {
    let failed = |why: String| MediaError::Stopped { camera: state.config.name.clone(), why };
    let bus = pipeline.bus().ok_or_else(|| failed("the pipeline has no bus".to_owned()))?;
    // Why it does not start comes over the bus, in better words than this error has.
    let started = pipeline.set_state(gst::State::Playing);
    let (mut frames, mut since) = (state.frames.load(Ordering::Relaxed), Instant::now());
    loop {
        state.alive_ms.store(clock::mono_ms().0, Ordering::Release);
        let wait = if started.is_err() { gst::ClockTime::ZERO } else { BUS_EVERY };
        if let Some(message) = bus.timed_pop(wait) {
            match message.view() {
                gst::MessageView::Error(error) => return Err(failed(describe(state, error))),
                gst::MessageView::Eos(_) => return Err(failed("the source has ended".to_owned())),
                _other => {}
            }
        } else if let Err(error) = started {
            return Err(failed(format!("the pipeline does not start: {error}")));
        }
        if *lock(&state.stop) {
            return Ok(());
        }
        let now = state.frames.load(Ordering::Relaxed);
        if now != frames {
            (frames, since) = (now, Instant::now());
            *lock(&state.trouble) = None;
        } else if since.elapsed() > SILENT_MAX {
            return Err(failed(format!("no frame for {} s", SILENT_MAX.as_secs())));
        }
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
    format!(
        "{} ({element}){hint}; is it there, and its `source` in the configuration right?",
        error.error()
    )
}

/// Makes sure that each frame carries its time of capture.
fn watch_entry(state: &Arc<State>, built: &Pipeline) {
    let Some(pad) = built.entry.static_pad("sink") else { return };
    let pipeline = built.pipeline.downgrade();
    let name = state.config.name.clone();
    let warned = AtomicBool::new(false);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(pipeline) = pipeline.upgrade() else { return gst::PadProbeReturn::Remove };
        let Some(buffer) = info.buffer_mut() else { return gst::PadProbeReturn::Ok };
        let (Some(segment), Some(now)) = (segment_of(pad), pipeline.current_running_time()) else {
            return gst::PadProbeReturn::Ok;
        };
        let stamp = buffer.pts().and_then(|pts| segment.to_running_time(pts));
        let plausible =
            stamp.is_some_and(|stamp| stamp <= now && now.saturating_sub(stamp) <= STAMP_AGE_MAX);
        if !plausible {
            if !warned.swap(true, Ordering::Relaxed) {
                tracing::info!(
                    camera = name,
                    "the source has no usable timestamps; time of arrival is taken"
                );
            }
            let pts = segment.position_from_running_time(now);
            buffer.make_mut().set_pts(pts);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Keeps the newest raw frame, and forces a keyframe on it when one is wanted.
fn watch_encoder(state: &Arc<State>, built: &Pipeline) {
    let (Some(input), Some(output)) =
        (built.encoder.static_pad("sink"), built.encoder.static_pad("src"))
    else {
        return;
    };
    let state = Arc::clone(state);
    let pipeline = built.pipeline.downgrade();
    input.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if keyframe_due(&state) {
            let event = UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
            if !output.send_event(event) {
                tracing::debug!(
                    camera = state.config.name,
                    "the encoder takes no keyframe request"
                );
            }
        }
        if let (Some(buffer), Some(pipeline)) = (info.buffer(), pipeline.upgrade())
            && let Some(raw) = raw_frame(&state, pad, buffer, &pipeline)
        {
            *lock(&state.raw) = Some(raw);
            state.raw_came.notify_all();
        }
        gst::PadProbeReturn::Ok
    });
}

fn keyframe_due(state: &State) -> bool {
    if !state.keyframe_wanted.load(Ordering::Acquire) {
        return false;
    }
    let now = clock::mono_ms().0;
    if now.saturating_sub(state.keyframe_forced_ms.load(Ordering::Relaxed)) < KEYFRAME_GAP_MS {
        return false;
    }
    state.keyframe_forced_ms.store(now, Ordering::Relaxed);
    state.keyframe_wanted.store(false, Ordering::Release);
    true
}

fn raw_frame(
    state: &State,
    pad: &gst::Pad,
    buffer: &gst::BufferRef,
    pipeline: &gst::Pipeline,
) -> Option<RawFrame> {
    let caps = pad.current_caps()?;
    let info = VideoInfo::from_caps(&caps).ok()?;
    let capture = capture_time(&segment_of(pad)?, buffer.pts()?, pipeline)?;
    // A new buffer around the same memory: a second reference to the very same one would make the encoder's
    // copy-on-write copy the picture.
    let seq = state.raw_frames.fetch_add(1, Ordering::Relaxed) + 1;
    Some(RawFrame { buffer: buffer.copy(), info, capture, seq })
}

fn segment_of(pad: &gst::Pad) -> Option<gst::FormattedSegment<gst::ClockTime>> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    event.segment().downcast_ref::<gst::ClockTime>().cloned()
}

/// Running time plus base time is the pipeline's clock, which is `CLOCK_MONOTONIC`. Timestamps as such are not:
/// x264enc shifts them by 1000 hours and says so in the segment.
fn capture_time(
    segment: &gst::FormattedSegment<gst::ClockTime>,
    pts: gst::ClockTime,
    pipeline: &gst::Pipeline,
) -> Option<MonoNs> {
    let running = segment.to_running_time(pts)?;
    let capture = MonoNs(pipeline.base_time()?.checked_add(running)?.nseconds());
    Some(capture.min(clock::mono_ns()))
}

fn deliver(state: &Arc<State>, appsink: &AppSink, sink: Sink) {
    let state = Arc::clone(state);
    let callbacks = AppSinkCallbacks::builder()
        .new_sample(move |appsink| {
            let sample = appsink.pull_sample().map_err(|_end| gst::FlowError::Eos)?;
            if let Some(frame) = encoded_frame(&state, appsink, &sample) {
                state.newest_frame_ms.store(clock::mono_ms().0, Ordering::Release);
                state.frames.fetch_add(1, Ordering::Relaxed);
                (lock(&sink))(frame);
            }
            Ok(gst::FlowSuccess::Ok)
        })
        .build();
    appsink.set_callbacks(callbacks);
}

fn encoded_frame(state: &State, appsink: &AppSink, sample: &gst::Sample) -> Option<EncodedFrame> {
    let buffer = sample.buffer()?;
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let running = segment.to_running_time(buffer.pts()?)?;
    let capture = MonoNs(appsink.base_time()?.checked_add(running)?.nseconds());
    let map = buffer.map_readable().ok()?;
    Some(EncodedFrame {
        camera: state.config.camera,
        capture: capture.min(clock::mono_ns()),
        keyframe: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
        data: Bytes::copy_from_slice(map.as_slice()),
        width: state.config.width,
        height: state.config.height,
    })
}
