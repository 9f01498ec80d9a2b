//! A small pipeline that encodes what the thread that owns it pushes in, on that thread. Time stamps are the capture's, so
//! that no clock is needed.

use crate::clock;
use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};
use gstreamer_video::UpstreamForceKeyUnitEvent;
use protocol::units::MonoNs;

/// A frame as it was captured.
#[derive(Debug, Clone)]
pub(super) struct Raw {
    pub(super) buffer: gst::Buffer,
    pub(super) caps: gst::Caps,
    pub(super) capture: MonoNs,
}

/// A frame as it comes out.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) capture: MonoNs,
    pub(super) keyframe: bool,
    pub(super) data: Bytes,
    /// Its size, where the stream tells it.
    pub(super) size: Option<(u32, u32)>,
}

/// The pipeline. It must be stopped.
pub(super) struct Feed {
    pipeline: gst::Pipeline,
    encoder: gst::Element,
    /// Ours, outside of the pipeline; what is pushed into it is encoded on the caller's thread.
    entry: gst::Pad,
    /// Time from one frame to the next, when none is left out.
    every: gst::ClockTime,
}

impl Feed {
    /// Starts `text`, whose encoder is named `enc`; `deliver` gets what comes out, on the thread that pushes.
    pub(super) fn start(
        text: &str,
        fps: u32,
        deliver: impl Fn(Encoded) + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let text =
            format!("{text} ! appsink name=sink sync=false async=false max-buffers=4 drop=false");
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let bin = gst::parse::bin_from_description(&text, true).map_err(|e| words(&e))?;
        let encoder = bin.by_name("enc").ok_or("no element is named enc")?;
        let sink = bin.by_name("sink").and_then(|sink| sink.downcast::<AppSink>().ok());
        let (Some(sink), Some(way_in)) = (sink, bin.static_pad("sink")) else {
            return Err("it has no way in or out".to_owned());
        };
        receive(&sink, deliver);
        let pipeline = gst::Pipeline::new();
        pipeline.add(&bin).map_err(|e| words(&e))?;
        let entry = gst::Pad::builder(gst::PadDirection::Src).name("feed").build();
        entry.set_active(true).map_err(|e| words(&e))?;
        entry.link(&way_in).map_err(|e| words(&e))?;
        let every = gst::ClockTime::from_nseconds(1_000_000_000 / u64::from(fps.max(1)));
        let feed = Self { pipeline, encoder, entry, every };
        if feed.pipeline.set_state(gst::State::Playing).is_err() {
            let why = feed.complaint("it does not start");
            feed.stop(false);
            return Err(why);
        }
        Ok(feed)
    }

    /// The encoder.
    pub(super) const fn encoder(&self) -> &gst::Element {
        &self.encoder
    }

    /// An element of the text.
    pub(super) fn named(&self, name: &str) -> Option<gst::Element> {
        self.pipeline.by_name(name)
    }

    /// What must come before the first frame, and before one of another form.
    pub(super) fn begin_with(&self, caps: &gst::Caps) -> Result<(), String> {
        if self.entry.sticky_event::<gst::event::StreamStart>(0).is_none() {
            self.entry.push_event(gst::event::StreamStart::new("frames"));
        }
        let taken = self.entry.push_event(gst::event::Caps::new(caps));
        if self.entry.sticky_event::<gst::event::Segment>(0).is_none() {
            let segment = gst::FormattedSegment::<gst::ClockTime>::new();
            self.entry.push_event(gst::event::Segment::new(&segment));
        }
        if taken { Ok(()) } else { Err(self.complaint("it does not take the camera's pictures")) }
    }

    /// Makes the next frame a keyframe.
    pub(super) fn force_keyframe(&self) {
        let event = UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
        let sent = self.encoder.static_pad("src").is_some_and(|pad| pad.send_event(event));
        if !sent {
            tracing::debug!("an encoder takes no keyframe request");
        }
    }

    /// Encodes a frame.
    pub(super) fn push(&self, raw: Raw) -> Result<(), String> {
        let Raw { mut buffer, capture, .. } = raw;
        {
            let buffer = buffer.make_mut();
            buffer.set_pts(gst::ClockTime::from_nseconds(capture.0));
            buffer.set_dts(None);
            buffer.set_duration(self.every);
        }
        self.entry.push(buffer).map(|_done| ()).map_err(|error| self.complaint(&error.to_string()))
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
    pub(super) fn stop(&self, whole: bool) {
        if whole {
            self.entry.push_event(gst::event::Eos::new());
        }
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::debug!("closing an encode");
        }
    }
}

fn receive(sink: &AppSink, deliver: impl Fn(Encoded) + Send + Sync + 'static) {
    let callbacks = AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_end| gst::FlowError::Eos)?;
            if let Some(encoded) = content(&sample) {
                deliver(encoded);
            }
            Ok(gst::FlowSuccess::Ok)
        })
        .build();
    sink.set_callbacks(callbacks);
}

/// Running time is the time of capture: frames enter with it, in a segment that begins at zero.
fn content(sample: &gst::Sample) -> Option<Encoded> {
    let buffer = sample.buffer()?;
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let capture = MonoNs(segment.to_running_time(buffer.pts()?)?.nseconds());
    let keyframe = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
    let map = buffer.map_readable().ok()?;
    let side = |name| sample.caps()?.structure(0)?.get::<i32>(name).ok()?.try_into().ok();
    Some(Encoded {
        capture: capture.min(clock::mono_ns()),
        keyframe,
        data: Bytes::copy_from_slice(map.as_slice()),
        size: side("width").zip(side("height")),
    })
}
