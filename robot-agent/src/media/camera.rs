//! A camera that is kept running.

use super::encoder::Chosen;
use super::live::LiveVideo;
use super::pipeline::{self, Pipeline};
use super::recording::{Decision, Machine, Recorded, Recording};
use super::ros::Topic;
use super::still::{RawFrame, StillEncoder};
use super::taps::{Keyframe, Pace};
use super::vp8::Vp8;
use super::{CameraConfig, Codec, EncodedFrame, MediaError, Source, Still, keeper};
use crate::clock;
use protocol::units::MonoNs;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A camera is healthy while its newest frame is younger than this.
const HEALTHY_WITHIN_MS: u64 = 1_000;
/// With less of its configured bitrate than this, percent, live video counts as reduced. An estimator wavers below the top.
const REDUCED_PERCENT: u64 = 85;
pub(super) type Sink = Arc<Mutex<dyn FnMut(EncodedFrame) + Send>>;

/// A running camera. Dropping it stops it.
pub struct Camera {
    state: Arc<State>,
    sink: Sink,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl std::fmt::Debug for Camera {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Camera").field("state", &self.state).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) config: CameraConfig,
    /// Its pictures, when they come over ROS.
    pub(super) topic: Option<Topic>,
    /// Its way into episodes, when there are any.
    pub(super) recorded: Option<Recorded>,
    pub(super) stop: Mutex<bool>,
    pub(super) stopped: Condvar,
    /// Number of the pipeline whose frames count. What an older one that was left behind still gives is dropped.
    pub(super) generation: AtomicU64,
    /// Pipelines that were left behind and have not ended yet.
    pub(super) left_behind: AtomicU32,
    pub(super) running: Mutex<Option<Pipeline>>,
    /// The encoder, once one was tried; and those that failed in this camera's pipeline.
    pub(super) encoder: Mutex<Option<Chosen>>,
    pub(super) encoders_failed: Mutex<Vec<String>>,
    pub(super) raw: Mutex<Option<RawFrame>>,
    /// Told of each new raw frame.
    pub(super) raw_came: Condvar,
    pub(super) raw_frames: AtomicU64,
    stills: Mutex<Stills>,
    /// Milliseconds on the monotonic clock; 0 for never.
    pub(super) newest_frame_ms: AtomicU64,
    /// When the camera's thread was known to run last; the same clock.
    pub(super) alive_ms: AtomicU64,
    pub(super) frames: AtomicU64,
    pub(super) pace: Mutex<Pace>,
    pub(super) starts: AtomicU32,
    /// Of the pipeline's encode.
    pub(super) keyframe: Keyframe,
    /// Whether the pipeline's encode is sent to somebody; else it is the recording's alone, or rests.
    sends_h264: AtomicBool,
    /// Of the pipeline's encode, and of VP8 when that is what is sent.
    pub(super) bitrate_kbps: AtomicU32,
    pub(super) vp8_kbps: AtomicU32,
    pub(super) vp8: Vp8,
    pub(super) live: Mutex<LiveVideo>,
    pub(super) trouble: Mutex<Option<String>>,
}

/// How a camera does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraStats {
    /// Its name.
    pub name: String,
    /// Whether frames are coming.
    pub healthy: bool,
    /// Frames a second, of the newest ones.
    pub fps: f64,
    /// Mean time from the encoder's input to its output, of the newest frames, ms.
    pub encode_ms: f64,
    /// The encoder.
    pub encoder: Option<String>,
    /// How often it was started.
    pub starts: u32,
    /// Pipelines that hang and were left behind.
    pub left_behind: u32,
    /// What is wrong with it.
    pub trouble: Option<String>,
    /// Whether episodes get an encode of their own.
    #[serde(default)]
    pub recording: Option<Decision>,
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
        Self::start_with(config, sink, None)
    }

    /// The same for a camera whose pictures go into episodes, too, beside others on the same machine.
    pub fn start_recorded(
        config: CameraConfig,
        sink: impl FnMut(EncodedFrame) + Send + 'static,
        recording: Arc<dyn Recording>,
        machine: Arc<Machine>,
    ) -> Result<Self, MediaError> {
        let recorded = Recorded::new(&config, recording, machine);
        Self::start_with(config, sink, Some(recorded))
    }

    fn start_with(
        config: CameraConfig,
        sink: impl FnMut(EncodedFrame) + Send + 'static,
        recorded: Option<Recorded>,
    ) -> Result<Self, MediaError> {
        pipeline::check(&config)?;
        let topic = match &config.source {
            Source::Gstreamer(_) => None,
            Source::Ros(from) => Some(Topic::subscribe(&config.name, from)?),
        };
        let state = Arc::new(State {
            stop: Mutex::new(false),
            stopped: Condvar::new(),
            generation: AtomicU64::new(0),
            left_behind: AtomicU32::new(0),
            running: Mutex::new(None),
            encoder: Mutex::new(None),
            encoders_failed: Mutex::default(),
            raw: Mutex::new(None),
            raw_came: Condvar::new(),
            raw_frames: AtomicU64::new(0),
            stills: Mutex::default(),
            newest_frame_ms: AtomicU64::new(0),
            alive_ms: AtomicU64::new(clock::mono_ms().0),
            frames: AtomicU64::new(0),
            pace: Mutex::default(),
            starts: AtomicU32::new(0),
            keyframe: Keyframe::default(),
            sends_h264: AtomicBool::new(true),
            bitrate_kbps: AtomicU32::new(config.bitrate_kbps),
            vp8_kbps: AtomicU32::new(config.bitrate_kbps),
            vp8: Vp8::default(),
            live: Mutex::default(),
            trouble: Mutex::new(None),
            topic,
            recorded,
            config,
        });
        let sink: Sink = Arc::new(Mutex::new(sink));
        let thread = {
            let (state, sink) = (Arc::clone(&state), Arc::clone(&sink));
            std::thread::Builder::new()
                .name(format!("camera-{}", state.config.camera))
                .spawn(move || keeper::keep_running(&state, &sink))
                .map_err(|error| MediaError::Init { why: error.to_string() })?
        };
        Ok(Self { state, sink, thread: Some(thread) })
    }

    /// The configuration that it was started with.
    pub fn config(&self) -> &CameraConfig {
        &self.state.config
    }

    /// Makes the next frame a keyframe, or one of the next few when keyframes are asked for in a rush.
    pub fn force_keyframe(&self) {
        self.state.keyframe.want();
        self.state.vp8.keyframe.want();
    }

    /// Changes the bitrate of the live video from the next frame on. An encoder of the configuration keeps its own.
    pub fn set_bitrate_kbps(&self, kbps: u32) {
        self.set_bitrates(kbps, kbps);
    }

    /// One for the pipeline's encode, one for VP8; only what is sent follows the link.
    fn set_bitrates(&self, of_pipeline: u32, of_vp8: u32) {
        self.state.vp8_kbps.store(of_vp8.clamp(50, 100_000), Ordering::Relaxed);
        if self.state.sends_h264() {
            self.set_pipeline_kbps(of_pipeline);
        }
    }

    fn set_pipeline_kbps(&self, kbps: u32) {
        let kbps = kbps.clamp(50, 100_000);
        self.state.bitrate_kbps.store(kbps, Ordering::Relaxed);
        if let Some(running) = lock(&self.state.running).as_ref() {
            running.set_bitrate_kbps(kbps);
        }
    }

    /// Chooses how live video is encoded: in each of `codecs`. VP8 needs [`super::vp8::is_installed`].
    pub fn encode_as(&self, codecs: &[Codec]) {
        let state = &self.state;
        let changed = if codecs.contains(&Codec::Vp8) {
            state.vp8.begin(state, &self.sink)
        } else {
            state.vp8.end()
        };
        // With nobody to send to, the pipeline is ready for whoever comes.
        let h264 = codecs.is_empty() || codecs.contains(&Codec::H264);
        if state.sends_h264.swap(h264, Ordering::AcqRel) != h264 {
            self.pipeline_is_sent(h264);
        } else if !changed {
            return;
        }
        self.force_keyframe();
    }

    /// The pipeline's encode follows the link from now on; or it is the recording's alone, as it is configured.
    fn pipeline_is_sent(&self, sent: bool) {
        let state = &self.state;
        if let Some(recorded) = &state.recorded {
            recorded.sent_as(if sent { Codec::H264 } else { Codec::Vp8 });
        }
        self.set_pipeline_kbps(state.config.bitrate_kbps);
        let size = lock(&state.live).size.filter(|_| sent);
        self.set_pipeline_size(size);
    }

    fn set_pipeline_size(&self, size: Option<(u32, u32)>) {
        let CameraConfig { width, height, .. } = self.state.config;
        let (width, height) = size.unwrap_or((width, height));
        if let Some(running) = lock(&self.state.running).as_ref() {
            running.set_live_size(width, height);
        }
    }

    /// Changes bitrate, rate and size of the live video. Each is at most as configured.
    pub fn set_live(&self, kbps: u32, fps: u32, width: u32, height: u32) {
        let config = &self.state.config;
        let size = (width.min(config.width).max(16) & !1, height.min(config.height).max(16) & !1);
        let size = Some(size).filter(|size| *size != (config.width, config.height));
        // An encoder of H.264 spreads its bitrate over the frames of the configured rate: with fewer of them, each may have
        // more. That of VP8 looks at the frames' own times.
        let fps = fps.clamp(1, config.fps);
        self.set_bitrates(kbps.saturating_mul(config.fps) / fps, kbps);
        let changed = {
            let mut live = lock(&self.state.live);
            live.set_fps(fps, config.fps);
            std::mem::replace(&mut live.size, size) != size
        };
        if changed && self.state.sends_h264() {
            self.set_pipeline_size(size);
        }
    }

    /// Whether the live video is clearly less than configured: its link does not carry all of it.
    pub fn is_reduced(&self) -> bool {
        let (config, live) = (&self.state.config, lock(&self.state.live));
        let kbps = self.state.bitrate_kbps.load(Ordering::Relaxed);
        let much_less = u64::from(kbps) * 100 < u64::from(config.bitrate_kbps) * REDUCED_PERCENT;
        much_less || live.size.is_some() || live.is_slowed()
    }

    /// Leaves out frames of the live video until then, but for one in each `apart_max`.
    pub fn hold_live(&self, until: MonoNs, apart_max: Duration) {
        lock(&self.state.live).hold(until, apart_max);
    }

    /// Leaves out all frames of the live video until then; the first one after it is taken at once.
    pub fn pause_live(&self, until: MonoNs) {
        lock(&self.state.live).pause(until);
    }

    /// Whether the size of the live video may change: not while it is what is recorded.
    pub fn scalable(&self) -> bool {
        let state = &self.state;
        let takes_live = state.recorded.as_ref().is_some_and(Recorded::takes_live);
        !(takes_live && state.sends_h264())
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

    /// How it does.
    pub fn stats(&self) -> CameraStats {
        let state = &self.state;
        let (fps, encode_ms) = lock(&state.pace).measures(clock::mono_ns());
        CameraStats {
            name: state.config.name.clone(),
            healthy: self.healthy(),
            fps,
            encode_ms,
            encoder: lock(&state.encoder).as_ref().map(|chosen| chosen.name.clone()),
            starts: state.starts.load(Ordering::Relaxed),
            left_behind: state.left_behind.load(Ordering::Relaxed),
            trouble: self.trouble(),
            recording: state.recorded.as_ref().and_then(|r| r.decision(state.config.camera)),
        }
    }

    /// Stops the camera and waits until it is closed, or left behind when it hangs.
    pub fn stop(mut self) {
        self.signal_stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(camera = self.state.config.name, "the camera's thread panicked");
        }
    }

    fn signal_stop(&self) {
        self.state.vp8.end();
        *lock(&self.state.stop) = true;
        self.state.stopped.notify_all();
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.signal_stop();
    }
}

impl State {
    pub(super) fn sends_h264(&self) -> bool {
        self.sends_h264.load(Ordering::Acquire)
    }
}

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
