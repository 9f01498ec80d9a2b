//! What is looked at and changed as frames pass through a pipeline.

use super::camera::{Sink, State, lock};
use super::feed::Raw;
use super::pipeline::Pipeline;
use super::recording::Recorded;
use super::still::RawFrame;
use super::{Codec, EncodedFrame};
use crate::clock;
use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};
use gstreamer_video::{UpstreamForceKeyUnitEvent, VideoInfo};
use protocol::units::MonoNs;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A source timestamp older than this is not a capture time.
const STAMP_AGE_MAX: gst::ClockTime = gst::ClockTime::from_seconds(2);
/// Forced keyframes are at least this far apart; one asked for in between comes then.
const KEYFRAME_GAP_MS: u64 = 200;
/// Frames that may be inside an encoder; more are forgotten.
const INSIDE_MAX: usize = 16;
/// Frames over which rate and time are told.
const MEASURED: usize = 60;
/// A rate of frames older than this says nothing about now.
const MEASURED_NS: u64 = 3_000_000_000;

/// How fast frames come, and how long the encoder takes for them.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Capture and entry of frames that are inside the encoder.
    inside: VecDeque<(MonoNs, MonoNs)>,
    /// When the newest frames came out, and how long each took, ns.
    left: VecDeque<(MonoNs, u64)>,
}

impl Pace {
    fn entered(&mut self, capture: MonoNs, now: MonoNs) {
        if self.inside.len() >= INSIDE_MAX {
            self.inside.pop_front();
        }
        self.inside.push_back((capture, now));
    }

    pub(super) fn left(&mut self, capture: MonoNs, now: MonoNs) {
        while let Some((inside, entered)) = self.inside.pop_front() {
            if inside >= capture {
                if self.left.len() >= MEASURED {
                    self.left.pop_front();
                }
                self.left.push_back((now, now.since(entered)));
                return;
            }
        }
    }

    /// Frames a second, and the mean time in the encoder, ms.
    #[expect(clippy::cast_precision_loss, reason = "counts and times far below 2^53")]
    pub(super) fn measures(&mut self, now: MonoNs) -> (f64, f64) {
        self.left.retain(|(at, _)| now.since(*at) < MEASURED_NS);
        let (Some(first), Some(last)) = (self.left.front(), self.left.back()) else {
            return (0.0, 0.0);
        };
        let span_s = last.0.since(first.0) as f64 / 1e9;
        let fps = if span_s > 0.0 { (self.left.len() - 1) as f64 / span_s } else { 0.0 };
        let sum_ns: u64 = self.left.iter().map(|(_, took)| took).sum();
        (fps, sum_ns as f64 / 1e6 / self.left.len() as f64)
    }
}

impl State {
    pub(super) fn is_current(&self, generation: u64) -> bool {
        self.generation.load(Ordering::Acquire) == generation
    }
}

/// Makes sure that each frame carries its time of capture.
pub(super) fn watch_entry(state: &Arc<State>, built: &Pipeline) {
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

/// Keeps the newest raw frame, leaves out what the link does not carry, and forces a keyframe when one is wanted.
pub(super) fn watch_encoder(state: &Arc<State>, built: &Pipeline, generation: u64) {
    let (Some(input), Some(output)) =
        (built.live.static_pad("sink"), built.encoder.static_pad("src"))
    else {
        return;
    };
    let state = Arc::clone(state);
    let pipeline = built.pipeline.downgrade();
    input.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if !state.is_current(generation) {
            return gst::PadProbeReturn::Remove;
        }
        let mut lets = true;
        if let (Some(buffer), Some(pipeline)) = (info.buffer(), pipeline.upgrade())
            && let Some(raw) = raw_frame(&state, pad, buffer, &pipeline)
        {
            let now = clock::mono_ns();
            lets = lock(&state.live).lets(raw.capture, now);
            if lets {
                lock(&state.pace).entered(raw.capture, now);
            }
            if lets && state.vp8.is_on() {
                copy(pad, buffer, raw.capture).into_iter().for_each(|raw| state.vp8.offer(raw));
            }
            if !state.sends_h264() {
                // Here it is the recording's, which needs all of them, or nobody's.
                lets = state.recorded.as_ref().is_some_and(Recorded::takes_live);
            }
            *lock(&state.raw) = Some(raw);
            state.raw_came.notify_all();
        }
        if !lets {
            // Before it is encoded nothing depends on it.
            return gst::PadProbeReturn::Drop;
        }
        if state.keyframe.due() {
            let event = UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
            if !output.send_event(event) {
                tracing::debug!(
                    camera = state.config.name,
                    "the encoder takes no keyframe request"
                );
            }
        }
        gst::PadProbeReturn::Ok
    });
}

/// A keyframe that somebody waits for.
#[derive(Debug, Default)]
pub(super) struct Keyframe {
    wanted: AtomicBool,
    forced_ms: AtomicU64,
}

impl Keyframe {
    pub(super) fn want(&self) {
        self.wanted.store(true, Ordering::Release);
    }

    /// Whether it is to be made now; if so, it counts as made.
    pub(super) fn due(&self) -> bool {
        if !self.wanted.load(Ordering::Acquire) {
            return false;
        }
        let now = clock::mono_ms().0;
        if now.saturating_sub(self.forced_ms.load(Ordering::Relaxed)) < KEYFRAME_GAP_MS {
            return false;
        }
        self.forced_ms.store(now, Ordering::Relaxed);
        self.wanted.store(false, Ordering::Release);
        true
    }
}

/// A copy for another encode: some sources have few buffers, and stop when they are held.
fn copy(pad: &gst::Pad, buffer: &gst::BufferRef, capture: MonoNs) -> Option<Raw> {
    Some(Raw { buffer: buffer.copy_deep().ok()?, caps: pad.current_caps()?, capture })
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

pub(super) fn segment_of(pad: &gst::Pad) -> Option<gst::FormattedSegment<gst::ClockTime>> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    event.segment().downcast_ref::<gst::ClockTime>().cloned()
}

/// Running time plus base time is the pipeline's clock, which is `CLOCK_MONOTONIC`. Timestamps as such are not:
/// x264enc shifts them by 1000 hours and says so in the segment.
pub(super) fn capture_time(
    segment: &gst::FormattedSegment<gst::ClockTime>,
    pts: gst::ClockTime,
    pipeline: &gst::Pipeline,
) -> Option<MonoNs> {
    let running = segment.to_running_time(pts)?;
    let capture = MonoNs(pipeline.base_time()?.checked_add(running)?.nseconds());
    Some(capture.min(clock::mono_ns()))
}

pub(super) fn deliver(state: &Arc<State>, appsink: &AppSink, sink: Sink, generation: u64) {
    let state = Arc::clone(state);
    let callbacks = AppSinkCallbacks::builder()
        .new_sample(move |appsink| {
            let sample = appsink.pull_sample().map_err(|_end| gst::FlowError::Eos)?;
            if !state.is_current(generation) {
                return Err(gst::FlowError::Eos);
            }
            if let Some(frame) = encoded_frame(&state, appsink, &sample) {
                state.encoded(frame.capture, state.sends_h264());
                match &state.recorded {
                    None => (lock(&sink))(frame),
                    Some(recorded) => {
                        // Who drives comes first.
                        (lock(&sink))(frame.clone());
                        recorded.live(frame);
                    }
                }
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
    let side = |name| sample.caps()?.structure(0)?.get::<i32>(name).ok()?.try_into().ok();
    Some(EncodedFrame {
        camera: state.config.camera,
        codec: Codec::H264,
        capture: capture.min(clock::mono_ns()),
        keyframe: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
        data: Bytes::copy_from_slice(map.as_slice()),
        width: side("width").unwrap_or(state.config.width),
        height: side("height").unwrap_or(state.config.height),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_time_are_those_of_the_newest_frames() {
        let mut pace = Pace::default();
        assert_eq!(pace.measures(MonoNs(0)), (0.0, 0.0));
        for n in 0..100 {
            let capture = MonoNs(1_000_000_000 + n * 50_000_000);
            pace.entered(capture, MonoNs(capture.0 + 1_000_000));
            // Every tenth is lost inside.
            if n % 10 != 0 {
                pace.left(capture, MonoNs(capture.0 + 9_000_000));
            }
        }
        let (fps, encode_ms) = pace.measures(MonoNs(6_000_000_000));
        assert!((17.0..20.0).contains(&fps), "{fps}");
        assert!((encode_ms - 8.0).abs() < 0.01, "{encode_ms}");
        assert_eq!(pace.measures(MonoNs(60_000_000_000)), (0.0, 0.0));
    }
}
