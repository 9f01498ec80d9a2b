//! VP8 for a driver whose browser has no H.264: an encode beside the pipeline's own, there only while such a one is sent
//! pictures.
//!
//! ```text
//!  capture ── queue (newest frame) ──┬── pipeline's H.264: the recording's, or at rest ── recorder
//!                                    └── one place (newest frame) ── VP8 ── link
//! ```
//!
//! It is always made by the processor. Its bitrate, size and rate of frames follow the link as those of H.264 do. Where H.264
//! is sent to nobody, the pipeline's keeps what is configured, since only the recording has it.

use super::camera::{Sink, State, lock};
use super::encoder::Outcome;
use super::feed::{Encoded, Feed, Raw};
use super::taps::Keyframe;
use super::{CameraConfig, Codec, EncodedFrame};
use crate::clock;
use gstreamer as gst;
use gstreamer::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The element that encodes.
pub const ENCODER: &str = "vp8enc";
/// Most frames from one keyframe to the next, when nobody asks for one.
const INTERVAL: u32 = 300;
/// Frames that it is tried on.
const TRIAL_FRAMES: u32 = 12;
/// After a failure it is started anew, not in a rush.
const PAUSE: Duration = Duration::from_millis(500);

/// Whether VP8 can be made on this machine.
pub fn is_installed() -> bool {
    gst::init().is_ok() && gst::ElementFactory::find(ENCODER).is_some()
}

/// What makes VP8 of I420 of any size.
fn text(config: &CameraConfig, kbps: u32) -> String {
    let CameraConfig { width, height, .. } = config;
    let bps = bps(kbps);
    // Realtime, nothing held back; each tick of the time base is one of RTP, so that no two frames share one. A keyframe may
    // have what four frames have: more would have to queue on the way.
    format!(
        "videoscale ! capsfilter name=size caps=video/x-raw,width={width},height={height} \
         ! {ENCODER} name=enc deadline=1 cpu-used=12 lag-in-frames=0 threads=1 end-usage=cbr \
         target-bitrate={bps} keyframe-max-dist={INTERVAL} error-resilient=default timebase=1/90000 \
         buffer-size=200 buffer-initial-size=100 buffer-optimal-size=150 min-quantizer=2 max-quantizer=56 \
         max-intra-bitrate=400"
    )
}

fn bps(kbps: u32) -> i32 {
    i32::try_from(kbps.saturating_mul(1_000)).unwrap_or(i32::MAX)
}

/// Tries it on frames of a camera's size; for `doctor`.
pub fn try_it(config: &CameraConfig) -> Outcome {
    if !is_installed() {
        return Outcome::NotInstalled;
    }
    match trial(config) {
        Ok(frame_us) => Outcome::Works { frame_us },
        Err(why) => Outcome::Fails(why),
    }
}

/// Mean time for one frame, microseconds.
fn trial(config: &CameraConfig) -> Result<u64, String> {
    let came = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&came);
    let feed = Feed::start(&text(config, config.bitrate_kbps), config.fps, move |_encoded| {
        counted.fetch_add(1, Ordering::Relaxed);
    })?;
    let CameraConfig { width, height, fps, .. } = config;
    let side = |side: &u32| i32::try_from(*side).unwrap_or(i32::MAX);
    let rate = gst::Fraction::new(side(fps), 1);
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", side(width))
        .field("height", side(height))
        .field("framerate", rate)
        .build();
    let info = gstreamer_video::VideoInfo::from_caps(&caps).map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let outcome = feed.begin_with(&caps).and_then(|()| {
        (1..=u64::from(TRIAL_FRAMES)).try_for_each(|number| {
            // Another grey each time, in bars that the encoder has to look at.
            let byte = |at: usize| u8::try_from((at / 16 * 37 + number as usize * 9) % 256);
            let bytes: Vec<u8> = (0..info.size()).map(|at| byte(at).unwrap_or(0)).collect();
            let capture =
                protocol::units::MonoNs(number * 1_000_000_000 / u64::from((*fps).max(1)));
            let buffer = gst::Buffer::from_mut_slice(bytes);
            feed.push(Raw { buffer, caps: caps.clone(), capture })
        })
    });
    let spent = begun.elapsed();
    feed.stop(false);
    outcome?;
    let came = came.load(Ordering::Relaxed);
    if came < u64::from(TRIAL_FRAMES) {
        return Err(format!("{came} frames came of {TRIAL_FRAMES}"));
    }
    Ok(u64::try_from(spent.as_micros()).unwrap_or(u64::MAX) / u64::from(TRIAL_FRAMES))
}

/// One camera's VP8.
#[derive(Debug, Default)]
pub(super) struct Vp8 {
    running: Mutex<Option<Arc<Place>>>,
    pub(super) keyframe: Keyframe,
}

impl Vp8 {
    /// Whether it is what is sent.
    pub(super) fn is_on(&self) -> bool {
        lock(&self.running).is_some()
    }

    /// Begins; what is given then goes to `sink`. `false` if it is on already.
    pub(super) fn begin(&self, state: &Arc<State>, sink: &Sink) -> bool {
        let mut running = lock(&self.running);
        if running.is_some() {
            return false;
        }
        let place = Arc::<Place>::default();
        let (state, sink) = (Arc::clone(state), Arc::clone(sink));
        let of_thread = Arc::clone(&place);
        let name = format!("vp8-{}", state.config.camera);
        let camera = state.config.name.clone();
        let started = std::thread::Builder::new()
            .name(name)
            .spawn(move || keep_encoding(&state, &of_thread, &sink));
        match started {
            Ok(_detached) => tracing::info!(camera, "VP8 is sent"),
            Err(error) => tracing::error!(camera, %error, "no thread for VP8"),
        }
        *running = Some(place);
        true
    }

    /// Ends. `false` if it was not on.
    pub(super) fn end(&self) -> bool {
        let Some(place) = lock(&self.running).take() else { return false };
        place.close();
        true
    }

    /// A captured frame to encode; one that waits still is overtaken.
    pub(super) fn offer(&self, raw: Raw) {
        if let Some(place) = lock(&self.running).as_ref() {
            place.put(raw);
        }
    }
}

/// A place for one frame.
#[derive(Debug, Default)]
struct Place {
    frame: Mutex<Option<Raw>>,
    changed: Condvar,
    closed: AtomicBool,
}

impl Place {
    fn put(&self, raw: Raw) {
        *lock(&self.frame) = Some(raw);
        self.changed.notify_one();
    }

    fn close(&self) {
        let _held = lock(&self.frame);
        self.closed.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Waits for a frame; `None` at the end.
    fn take(&self) -> Option<Raw> {
        let mut frame = lock(&self.frame);
        loop {
            if self.is_closed() {
                return None;
            }
            if let Some(raw) = frame.take() {
                return Some(raw);
            }
            frame = self.changed.wait(frame).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Encodes until the place is closed.
fn keep_encoding(state: &Arc<State>, place: &Arc<Place>, sink: &Sink) {
    while !place.is_closed() {
        if let Err(why) = encode(state, place, sink) {
            tracing::warn!(camera = state.config.name, why, "VP8 failed; it is started anew");
            std::thread::sleep(PAUSE);
        }
    }
}

fn encode(state: &Arc<State>, place: &Arc<Place>, sink: &Sink) -> Result<(), String> {
    let config = &state.config;
    let mut kbps = state.vp8_kbps.load(Ordering::Relaxed);
    let (of_frames, sink, still) = (Arc::clone(state), Arc::clone(sink), Arc::clone(place));
    let feed = Feed::start(&text(config, kbps), config.fps, move |encoded| {
        if !still.is_closed() {
            deliver(&of_frames, &sink, encoded);
        }
    })?;
    let (mut caps, mut size, mut newest) = (None, None, None);
    let mut each = |raw: Raw| {
        if caps.as_ref() != Some(&raw.caps) {
            feed.begin_with(&raw.caps)?;
            caps = Some(raw.caps.clone());
        }
        let wanted = lock(&state.live).size;
        if wanted != size {
            size = wanted;
            set_size(&feed, wanted.unwrap_or((config.width, config.height)));
        }
        let wanted = state.vp8_kbps.load(Ordering::Relaxed);
        if wanted != kbps {
            kbps = wanted;
            feed.encoder().set_property("target-bitrate", bps(kbps));
        }
        // Time only grows in there, also where a source's does not.
        if newest.replace(raw.capture).is_some_and(|newest| raw.capture <= newest) {
            return Ok(());
        }
        if state.vp8.keyframe.due() {
            feed.force_keyframe();
        }
        feed.push(raw)
    };
    let mut outcome = Ok(());
    while let Some(raw) = place.take() {
        outcome = each(raw);
        if outcome.is_err() {
            break;
        }
    }
    feed.stop(false);
    outcome
}

/// The encoder begins anew with a keyframe.
fn set_size(feed: &Feed, (width, height): (u32, u32)) {
    let (Some(size), Ok(width), Ok(height)) =
        (feed.named("size"), i32::try_from(width), i32::try_from(height))
    else {
        return;
    };
    let caps = gst::Caps::builder("video/x-raw").field("width", width).field("height", height);
    size.set_property("caps", caps.build());
}

fn deliver(state: &State, sink: &Sink, encoded: Encoded) {
    let Encoded { capture, keyframe, data, size } = encoded;
    let (width, height) = size.unwrap_or((state.config.width, state.config.height));
    // While H.264 is sent as well, the time that it takes is what is told.
    state.encoded(capture, !state.sends_h264());
    let camera = state.config.camera;
    let codec = Codec::Vp8;
    let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
    sink(EncodedFrame { camera, codec, capture, keyframe, data, width, height });
}

impl State {
    /// A frame has come out of an encoder; `live` if it is what is sent, so that its time counts.
    pub(super) fn encoded(&self, capture: protocol::units::MonoNs, live: bool) {
        if live {
            lock(&self.pace).left(capture, clock::mono_ns());
        }
        self.newest_frame_ms.store(clock::mono_ms().0, Ordering::Release);
        self.frames.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::units::MonoNs;

    fn config() -> CameraConfig {
        CameraConfig {
            camera: 0,
            name: "front".to_owned(),
            source: "videotestsrc".into(),
            width: 320,
            height: 240,
            fps: 30,
            bitrate_kbps: 500,
            encoder: None,
            recording: Default::default(),
        }
    }

    /// Noise, so that a bitrate is a bound.
    fn noise(number: u64, caps: &gst::Caps, fps: u64) -> Raw {
        let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let bytes: Vec<u8> = (0..320 * 240 * 3 / 2)
            .map(|_at| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                // Not all that a byte can be: the coarsest quantizer must have something to save.
                96 + (state >> 58) as u8
            })
            .collect();
        let capture = MonoNs(1_000_000_000 + number * 1_000_000_000 / fps);
        Raw { buffer: gst::Buffer::from_mut_slice(bytes), caps: caps.clone(), capture }
    }

    /// Bits a second of so many frames, of a camera of 30 a second.
    fn kbps_at(fps: u64, kbps: u32) -> u64 {
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&bytes);
        let feed = Feed::start(&text(&config(), kbps), 30, move |encoded| {
            counted.fetch_add(encoded.data.len() as u64, Ordering::Relaxed);
        })
        .unwrap();
        let caps = "video/x-raw,format=I420,width=320,height=240,framerate=30/1";
        let caps: gst::Caps = caps.parse().unwrap();
        feed.begin_with(&caps).unwrap();
        let seconds = 8;
        for number in 0..fps * seconds {
            feed.push(noise(number, &caps, fps)).unwrap();
        }
        feed.stop(true);
        bytes.load(Ordering::Relaxed) * 8 / 1_000 / seconds
    }

    #[test]
    fn the_bitrate_is_kept_whatever_the_rate_of_frames() {
        gst::init().unwrap();
        // More than what the coarsest quantizer makes of noise, or there would be nothing to regulate.
        for fps in [30, 15, 10] {
            let kbps = kbps_at(fps, 4_000);
            assert!((3_400..4_600).contains(&kbps), "{kbps} kbit/s at {fps} frames a second");
        }
    }

    #[test]
    fn a_trial_tells_how_long_a_frame_takes() {
        gst::init().unwrap();
        let Outcome::Works { frame_us } = try_it(&config()) else {
            panic!("{:?}", try_it(&config()))
        };
        assert!((50..200_000).contains(&frame_us), "{frame_us}");
    }

    #[test]
    fn a_place_keeps_the_newest_frame_and_ends() {
        gst::init().unwrap();
        let (place, caps) = (Place::default(), gst::Caps::new_empty());
        place.put(noise(1, &caps, 30));
        place.put(noise(2, &caps, 30));
        assert_eq!(place.take().map(|raw| raw.capture), Some(noise(2, &caps, 30).capture));
        place.put(noise(3, &caps, 30));
        place.close();
        assert!(place.take().is_none());
    }
}
