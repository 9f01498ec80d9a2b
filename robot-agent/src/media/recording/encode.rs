//! The recording's encode: a small pipeline that is fed and emptied by the thread that owns it.

use super::switch::Raw;
use crate::clock;
use crate::media::encoder::Chosen;
use crate::media::{CameraConfig, EncodedFrame};
use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};
use gstreamer_video::UpstreamForceKeyUnitEvent;
use protocol::units::MonoNs;
use std::sync::mpsc::Receiver;

/// Encodes what comes until nobody sends any more. Time stamps are the capture's, so that no clock is needed.
pub(super) fn run(
    config: &CameraConfig,
    chosen: &Chosen,
    frames: &Receiver<Raw>,
    deliver: impl Fn(EncodedFrame) + Send + Sync + 'static,
) -> Result<(), String> {
    let encode = Encode::start(config, chosen, deliver)?;
    let every_ns = u64::from(config.recording.keyframe_every_s) * 1_000_000_000;
    // Half a frame of slack: a camera's rate is not exact.
    let slack_ns = 500_000_000 / u64::from(config.fps.max(1));
    let (mut caps, mut keyframe) = (None, None::<MonoNs>);
    let outcome = frames.iter().try_for_each(|raw| {
        if caps.as_ref() != Some(&raw.caps) {
            encode.begin_with(&raw.caps)?;
            caps = Some(raw.caps.clone());
        }
        if keyframe.is_none_or(|last| raw.capture.since(last) + slack_ns >= every_ns) {
            if keyframe.is_some() {
                encode.force_keyframe();
            }
            keyframe = Some(raw.capture);
        }
        encode.push(raw)
    });
    encode.stop(outcome.is_ok());
    outcome
}

struct Encode {
    pipeline: gst::Pipeline,
    encoder: gst::Element,
    /// Ours, outside of the pipeline; what is pushed into it is encoded on this thread.
    feed: gst::Pad,
}

impl Encode {
    fn start(
        config: &CameraConfig,
        chosen: &Chosen,
        deliver: impl Fn(EncodedFrame) + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let text = format!(
            "{} ! video/x-h264,profile={},stream-format=byte-stream,alignment=au \
             ! appsink name=sink sync=false async=false max-buffers=4 drop=false",
            chosen.recording_text(config),
            chosen.profile()
        );
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let bin = gst::parse::bin_from_description(&text, true).map_err(|e| words(&e))?;
        let encoder = bin.by_name("enc").ok_or("no element is named enc")?;
        let sink = bin.by_name("sink").and_then(|sink| sink.downcast::<AppSink>().ok());
        let (Some(sink), Some(entry)) = (sink, bin.static_pad("sink")) else {
            return Err("it has no way in or out".to_owned());
        };
        receive(config, &sink, deliver);
        let pipeline = gst::Pipeline::new();
        pipeline.add(&bin).map_err(|e| words(&e))?;
        let feed = gst::Pad::builder(gst::PadDirection::Src).name("feed").build();
        feed.set_active(true).map_err(|e| words(&e))?;
        feed.link(&entry).map_err(|e| words(&e))?;
        let encode = Self { pipeline, encoder, feed };
        let started = encode.pipeline.set_state(gst::State::Playing);
        if started.is_err() {
            let why = encode.complaint("it does not start");
            encode.stop(false);
            return Err(why);
        }
        Ok(encode)
    }

    /// What must come before the first frame, and before one of another form.
    fn begin_with(&self, caps: &gst::Caps) -> Result<(), String> {
        if self.feed.sticky_event::<gst::event::StreamStart>(0).is_none() {
            self.feed.push_event(gst::event::StreamStart::new("recording"));
        }
        let taken = self.feed.push_event(gst::event::Caps::new(caps));
        if self.feed.sticky_event::<gst::event::Segment>(0).is_none() {
            let segment = gst::FormattedSegment::<gst::ClockTime>::new();
            self.feed.push_event(gst::event::Segment::new(&segment));
        }
        if taken { Ok(()) } else { Err(self.complaint("it does not take the camera's pictures")) }
    }

    fn force_keyframe(&self) {
        let event = UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
        let sent = self.encoder.static_pad("src").is_some_and(|pad| pad.send_event(event));
        if !sent {
            tracing::debug!("the recording's encoder takes no keyframe request");
        }
    }

    fn push(&self, raw: Raw) -> Result<(), String> {
        let Raw { mut buffer, capture, .. } = raw;
        {
            let buffer = buffer.make_mut();
            buffer.set_pts(gst::ClockTime::from_nseconds(capture.0));
            buffer.set_dts(None);
        }
        self.feed.push(buffer).map(|_done| ()).map_err(|error| self.complaint(&error.to_string()))
    }

    /// The pipeline's own words, or `otherwise`.
    fn complaint(&self, otherwise: &str) -> String {
        let bus = self.pipeline.bus();
        let message = bus.and_then(|bus| {
            bus.timed_pop_filtered(gst::ClockTime::ZERO, &[gst::MessageType::Error])
        });
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => error.error().to_string(),
            _ => otherwise.to_owned(),
        }
    }

    /// With what is still inside, or without.
    fn stop(&self, whole: bool) {
        if whole {
            self.feed.push_event(gst::event::Eos::new());
        }
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::debug!("closing the recording's encode");
        }
    }
}

fn receive(
    config: &CameraConfig,
    sink: &AppSink,
    deliver: impl Fn(EncodedFrame) + Send + Sync + 'static,
) {
    let (camera, width, height) = (config.camera, config.width, config.height);
    let callbacks = AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_end| gst::FlowError::Eos)?;
            if let Some((capture, keyframe, data)) = content(&sample) {
                deliver(EncodedFrame { camera, capture, keyframe, data, width, height });
            }
            Ok(gst::FlowSuccess::Ok)
        })
        .build();
    sink.set_callbacks(callbacks);
}

/// Running time is the time of capture: frames enter with it, in a segment that begins at zero.
fn content(sample: &gst::Sample) -> Option<(MonoNs, bool, Bytes)> {
    let buffer = sample.buffer()?;
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let capture = MonoNs(segment.to_running_time(buffer.pts()?)?.nseconds());
    let keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
    let map = buffer.map_readable().ok()?;
    Some((capture.min(clock::mono_ns()), keyframe, Bytes::copy_from_slice(map.as_slice())))
}
