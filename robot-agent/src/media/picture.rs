//! Whether a picture from a ROS topic is what it says: its size and its bytes are compared before anything is allocated
//! for it or decoded.

use gstreamer_video::VideoFormat;
use ros_bridge::pictures::Picture;
use ros_msgs::sensor_msgs::{CompressedImage, Image};

/// The biggest picture that a camera may have, as RGBA, with some room between its rows.
const BYTES_MAX: usize = 96 * 1024 * 1024;
/// Letters of what somebody else wrote that are repeated in a message.
const QUOTED_MAX: usize = 40;

/// Encodings of `sensor_msgs/msg/Image` that are understood: the name, GStreamer's, bytes of a pixel.
const ENCODINGS: &[(&str, VideoFormat, u32)] = &[
    ("rgb8", VideoFormat::Rgb, 3),
    ("bgr8", VideoFormat::Bgr, 3),
    ("rgba8", VideoFormat::Rgba, 4),
    ("bgra8", VideoFormat::Bgra, 4),
    ("mono8", VideoFormat::Gray8, 1),
    ("yuv422", VideoFormat::Uyvy, 2),
    ("uyvy", VideoFormat::Uyvy, 2),
    ("yuv422_yuy2", VideoFormat::Yuy2, 2),
    ("yuyv", VideoFormat::Yuy2, 2),
];

/// What a picture is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Jpeg,
    Png,
    Raw(VideoFormat),
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Raw(format) => {
                let known = ENCODINGS.iter().find(|(_, known, _)| *known == format);
                known.map_or("raw", |(name, _, _)| name)
            }
        }
    }
}

/// A picture that is what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) form: Form,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Bytes of a row, and from one row to the next; 0 for a file.
    pub(crate) row: usize,
    pub(crate) step: usize,
}

/// Why a picture cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error(
        "pictures of {width}x{height} come, but its configuration says {wanted_width}x{wanted_height}: set its width and \
         height to what comes"
    )]
    Size { width: u32, height: u32, wanted_width: u32, wanted_height: u32 },
    #[error("pictures changed from {from} to {to}")]
    Changed { from: &'static str, to: &'static str },
    #[error("the encoding {encoding:?} is not understood; {} are", understood())]
    Encoding { encoding: String },
    #[error("rows of {row} bytes stand {step} bytes apart")]
    Step { row: u64, step: u32 },
    #[error("{found} bytes came, where its step and height make {wanted}")]
    Length { found: usize, wanted: u64 },
    #[error("a picture of {bytes} bytes came; {BYTES_MAX} are the most")]
    Large { bytes: usize },
    #[error("the width {width} is odd, which {encoding} cannot have")]
    Odd { width: u32, encoding: &'static str },
    #[error("a file came that is neither JPEG nor PNG (its format: {format:?})")]
    File { format: String },
    #[error("a {form} file came that does not tell its size")]
    Sizeless { form: &'static str },
}

fn understood() -> String {
    ENCODINGS.iter().map(|(name, _, _)| *name).collect::<Vec<_>>().join(", ")
}

fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_MAX).collect()
}

/// What a picture is.
pub(crate) fn facts(picture: &Picture) -> Result<Facts, Unusable> {
    match picture {
        Picture::Compressed(picture) => file(picture),
        Picture::Raw(picture) => raw(picture),
    }
}

/// As [`facts`], when it must have this size.
pub(crate) fn facts_of_size(picture: &Picture, wanted: (u32, u32)) -> Result<Facts, Unusable> {
    let facts = facts(picture)?;
    let (wanted_width, wanted_height) = wanted;
    if (facts.width, facts.height) != wanted {
        let Facts { width, height, .. } = facts;
        return Err(Unusable::Size { width, height, wanted_width, wanted_height });
    }
    Ok(facts)
}

impl Facts {
    /// A pipeline takes one form only.
    pub(crate) fn must_be(&self, form: Form) -> Result<(), Unusable> {
        if self.form == form {
            Ok(())
        } else {
            Err(Unusable::Changed { from: form.name(), to: self.form.name() })
        }
    }
}

fn raw(picture: &Image) -> Result<Facts, Unusable> {
    let Image { width, height, step, .. } = *picture;
    let known = ENCODINGS.iter().find(|(name, _, _)| *name == picture.encoding);
    let Some((encoding, format, pixel)) = known.copied() else {
        return Err(Unusable::Encoding { encoding: quoted(&picture.encoding) });
    };
    let found = picture.data.len();
    if found > BYTES_MAX {
        return Err(Unusable::Large { bytes: found });
    }
    let paired = matches!(format, VideoFormat::Uyvy | VideoFormat::Yuy2);
    if paired && !width.is_multiple_of(2) {
        return Err(Unusable::Odd { width, encoding });
    }
    // Two numbers of 32 bits make one of 64.
    let row = u64::from(width) * u64::from(pixel);
    let (Ok(row_bytes), Ok(step_bytes), true) =
        (usize::try_from(row), usize::try_from(step), u64::from(step) >= row && row > 0)
    else {
        return Err(Unusable::Step { row, step });
    };
    let wanted = u64::from(step) * u64::from(height);
    if u64::try_from(found) != Ok(wanted) {
        return Err(Unusable::Length { found, wanted });
    }
    Ok(Facts { form: Form::Raw(format), width, height, row: row_bytes, step: step_bytes })
}

fn file(picture: &CompressedImage) -> Result<Facts, Unusable> {
    let data = picture.data.as_slice();
    if data.len() > BYTES_MAX {
        return Err(Unusable::Large { bytes: data.len() });
    }
    // By its first bytes: what drivers write into `format` differs, and some write nothing.
    let (form, size) = if data.starts_with(&[0xff, 0xd8, 0xff]) {
        (Form::Jpeg, jpeg_size(data))
    } else if data.starts_with(PNG) {
        (Form::Png, png_size(data))
    } else {
        return Err(Unusable::File { format: quoted(&picture.format) });
    };
    let (width, height) = size.ok_or(Unusable::Sizeless { form: form.name() })?;
    Ok(Facts { form, width, height, row: 0, step: 0 })
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Width and height from the first chunk (PNG, second edition, 11.2.2).
fn png_size(data: &[u8]) -> Option<(u32, u32)> {
    let header = data.strip_prefix(PNG)?.strip_prefix(b"\0\0\0\x0dIHDR")?;
    let (width, header) = header.split_first_chunk::<4>()?;
    let (height, _) = header.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(*height)))
}

/// Width and height from the frame header (ITU-T T.81, B.2.2) of the kinds that decoders know: baseline, extended,
/// progressive.
fn jpeg_size(data: &[u8]) -> Option<(u32, u32)> {
    let mut rest = data.get(2..)?;
    loop {
        let [0xff, after @ ..] = rest else { return None };
        let (marker, after) = after.split_first()?;
        match *marker {
            // A fill byte before a marker.
            0xff => rest = rest.get(1..)?,
            0x01 | 0xd0..=0xd7 => rest = after,
            0xc0..=0xc2 => {
                let [_, _, _precision, h1, h0, w1, w0, ..] = after else { return None };
                let of = |high: u8, low: u8| u32::from(u16::from_be_bytes([high, low]));
                return Some((of(*w1, *w0), of(*h1, *h0)));
            }
            // Pictures begin, or the file ends, and no size was there; or a kind that nobody decodes.
            0xd8..=0xda | 0xc3 | 0xc5..=0xcb | 0xcd..=0xcf | 0 => return None,
            _ => {
                let (length, _) = after.split_first_chunk::<2>()?;
                rest = after.get(usize::from(u16::from_be_bytes(*length)).max(2)..)?;
            }
        }
    }
}

#[cfg(test)]
mod tests;
