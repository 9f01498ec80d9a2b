//! A JPEG of a raw frame, encoded where it is asked for, never on a camera's thread.

use gstreamer as gst;
use gstreamer_video::{VideoColorRange, VideoFrameExt, VideoFrameRef, VideoInfo};
use jpeg_encoder::{Encoder, ImageBuffer, JpegColorType, SamplingFactor};
use protocol::units::MonoNs;

const QUALITY: u8 = 80;

/// The newest raw frame of a camera. Holds a reference to its buffer, not a copy.
#[derive(Debug, Clone)]
pub(super) struct RawFrame {
    pub(super) buffer: gst::Buffer,
    pub(super) info: VideoInfo,
    pub(super) capture: MonoNs,
    /// Its number since the camera's start.
    pub(super) seq: u64,
}

impl RawFrame {
    /// The frame as JPEG; `None` if it cannot be read as I420.
    pub(super) fn jpeg(&self) -> Option<Vec<u8>> {
        let frame = VideoFrameRef::from_buffer_ref_readable(&self.buffer, &self.info).ok()?;
        let plane = |index: u32| {
            let stride =
                usize::try_from(*frame.plane_stride().get(usize::try_from(index).ok()?)?).ok()?;
            Some(Plane { data: frame.plane_data(index).ok()?, stride })
        };
        let full = self.info.colorimetry().range() == VideoColorRange::Range0_255;
        let image = I420 {
            width: u16::try_from(self.info.width()).ok()?,
            height: u16::try_from(self.info.height()).ok()?,
            planes: [plane(0)?, plane(1)?, plane(2)?],
            luma: Levels::new(if full { None } else { Some((16.0, 219.0, 0.0)) }),
            chroma: Levels::new(if full { None } else { Some((128.0, 224.0, 128.0)) }),
        };
        let mut jpeg = Vec::with_capacity(128 * 1024);
        let mut encoder = Encoder::new(&mut jpeg, QUALITY);
        encoder.set_sampling_factor(SamplingFactor::F_2_2);
        encoder.encode_image(image).ok()?;
        Some(jpeg)
    }
}

struct Plane<'a> {
    data: &'a [u8],
    stride: usize,
}

impl Plane<'_> {
    fn row(&self, y: usize) -> &[u8] {
        let start = y.saturating_mul(self.stride);
        self.data.get(start..).unwrap_or_default()
    }
}

/// Video keeps 16–235 (240 for colour); JPEG uses the whole byte.
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

    fn map(&self, byte: u8) -> u8 {
        self.0.get(usize::from(byte)).copied().unwrap_or(byte)
    }
}

fn saturate(level: f32) -> u8 {
    level.round() as u8
}

struct I420<'a> {
    width: u16,
    height: u16,
    planes: [Plane<'a>; 3],
    luma: Levels,
    chroma: Levels,
}

impl ImageBuffer for I420<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        self.width
    }

    fn height(&self) -> u16 {
        self.height
    }

    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let (width, y) = (usize::from(self.width), usize::from(y));
        let [luma, blue, red, _black] = buffers;
        let [luma_plane, blue_plane, red_plane] = &self.planes;
        luma.extend(luma_plane.row(y).iter().take(width).map(|byte| self.luma.map(*byte)));
        for (buffer, plane) in [(blue, blue_plane), (red, red_plane)] {
            let doubled = plane.row(y / 2).iter().flat_map(|byte| [*byte, *byte]);
            buffer.extend(doubled.take(width).map(|byte| self.chroma.map(byte)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn video_levels_fill_the_byte() {
        let luma = Levels::new(Some((16.0, 219.0, 0.0)));
        assert_eq!([luma.map(0), luma.map(16), luma.map(235), luma.map(255)], [0, 0, 255, 255]);
        let chroma = Levels::new(Some((128.0, 224.0, 128.0)));
        assert_eq!([chroma.map(16), chroma.map(128), chroma.map(240)], [1, 128, 255]);
    }
}
