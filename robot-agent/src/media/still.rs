//! A JPEG of a raw frame, encoded where it is asked for, never on a camera's thread.

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use gstreamer_video::{VideoColorRange, VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo};
use protocol::units::MonoNs;

/// The element that encodes.
pub(super) const ENCODER: &str = "jpegenc";
const QUALITY: u8 = 80;
/// An encoder that takes longer is broken.
const WITHIN: gst::ClockTime = gst::ClockTime::from_seconds(2);

/// The newest raw frame of a camera. Holds a reference to its buffer, not a copy.
#[derive(Debug, Clone)]
pub(super) struct RawFrame {
    pub(super) buffer: gst::Buffer,
    pub(super) info: VideoInfo,
    pub(super) capture: MonoNs,
    /// Its number since the camera's start.
    pub(super) seq: u64,
}

/// Makes JPEGs of frames of one size. After a failure it is to be thrown away: what it was asked last could come
/// as the answer to the next.
#[derive(Debug)]
pub(super) struct StillEncoder {
    pipeline: gst::Pipeline,
    source: AppSrc,
    sink: AppSink,
    /// The full-range I420 that it takes.
    info: VideoInfo,
    luma: Levels,
    chroma: Levels,
}

impl StillEncoder {
    /// For frames like `raw`.
    pub(super) fn new(raw: &VideoInfo) -> Option<Self> {
        let info = VideoInfo::builder(VideoFormat::I420, raw.width(), raw.height()).build().ok()?;
        let text = format!(
            "appsrc name=source format=time ! {ENCODER} quality={QUALITY} ! appsink name=sink sync=false"
        );
        let pipeline = gst::parse::launch(&text).ok()?.downcast::<gst::Pipeline>().ok()?;
        let source = pipeline.by_name("source")?.downcast::<AppSrc>().ok()?;
        let sink = pipeline.by_name("sink")?.downcast::<AppSink>().ok()?;
        source.set_caps(Some(&info.to_caps().ok()?));
        let full = raw.colorimetry().range() == VideoColorRange::Range0_255;
        let encoder = Self {
            pipeline,
            source,
            sink,
            info,
            luma: Levels::new(if full { None } else { Some((16.0, 219.0, 0.0)) }),
            chroma: Levels::new(if full { None } else { Some((128.0, 224.0, 128.0)) }),
        };
        encoder.pipeline.set_state(gst::State::Playing).ok()?;
        Some(encoder)
    }

    /// Whether it was made for such frames.
    pub(super) fn fits(&self, raw: &VideoInfo) -> bool {
        (self.info.width(), self.info.height()) == (raw.width(), raw.height())
    }

    /// The frame as JPEG; `None` if it cannot be read as I420, or the encoder fails.
    pub(super) fn jpeg(&self, raw: &RawFrame) -> Option<Bytes> {
        let mut buffer = self.full_range(raw)?;
        buffer.get_mut()?.set_pts(gst::ClockTime::from_nseconds(raw.capture.0));
        self.source.push_buffer(buffer).ok()?;
        let sample = self.sink.try_pull_sample(WITHIN)?;
        let map = sample.buffer()?.map_readable().ok()?;
        Some(Bytes::copy_from_slice(map.as_slice()))
    }

    /// A copy with the levels of JPEG.
    fn full_range(&self, raw: &RawFrame) -> Option<gst::Buffer> {
        let from = VideoFrameRef::from_buffer_ref_readable(&raw.buffer, &raw.info).ok()?;
        let mut buffer = gst::Buffer::with_size(self.info.size()).ok()?;
        let mut to = VideoFrameRef::from_buffer_ref_writable(buffer.get_mut()?, &self.info).ok()?;
        for index in 0..3_u32 {
            let levels = if index == 0 { &self.luma } else { &self.chroma };
            let at = usize::try_from(index).ok()?;
            let from_stride = usize::try_from(*from.plane_stride().get(at)?).ok()?;
            let to_stride = usize::try_from(*to.plane_stride().get(at)?).ok()?;
            let width = usize::try_from(to.comp_width(index)).ok()?;
            let height = usize::try_from(to.comp_height(index)).ok()?;
            let source = from.plane_data(index).ok()?.chunks(from_stride);
            let target = to.plane_data_mut(index).ok()?.chunks_mut(to_stride);
            for (target, source) in target.zip(source).take(height) {
                levels.map(source.get(..width)?, target);
            }
        }
        drop(to);
        Some(buffer)
    }
}

impl Drop for StillEncoder {
    fn drop(&mut self) {
        if let Err(error) = self.pipeline.set_state(gst::State::Null) {
            tracing::debug!(%error, "closing the encoder of pictures");
        }
    }
}

/// Video keeps 16–235 (240 for colour); JPEG uses the whole byte.
#[derive(Debug)]
struct Levels([u8; 256]);

impl Levels {
    /// `(zero, span, new zero)`, or `None` to keep levels as they are.
    fn new(stretch: Option<(f32, f32, f32)>) -> Self {
        let mut levels = [0; 256];
        for (byte, level) in (0_u8..=255).zip(levels.iter_mut()) {
            *level = match stretch {
                None => byte,
                Some((zero, span, new_zero)) => {
                    let stretched = (f32::from(byte) - zero) * 255.0 / span + new_zero;
                    saturate(stretched)
                }
            };
        }
        Self(levels)
    }

    fn of(&self, byte: u8) -> u8 {
        self.0.get(usize::from(byte)).copied().unwrap_or(byte)
    }

    fn map(&self, from: &[u8], to: &mut [u8]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = self.of(*from);
        }
    }
}

fn saturate(level: f32) -> u8 {
    level.round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn video_levels_fill_the_byte() {
        let luma = Levels::new(Some((16.0, 219.0, 0.0)));
        assert_eq!([0, 16, 235, 255].map(|level| luma.of(level)), [0, 0, 255, 255]);
        let chroma = Levels::new(Some((128.0, 224.0, 128.0)));
        assert_eq!([16, 128, 240].map(|level| chroma.of(level)), [1, 128, 255]);
    }
}
