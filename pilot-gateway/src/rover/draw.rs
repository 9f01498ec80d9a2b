//! A small canvas: discs, lines, digits, and PNG. No fonts, no files, no unbounded input.

use std::io::Cursor;

/// Longest side of a picture that is decoded, pixels.
const SIDE_MAX: u16 = 4_096;
/// Most memory that decoding may take, bytes.
const DECODE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a picture could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DrawError {
    /// It is no JPEG that can be decoded.
    #[error("the JPEG cannot be decoded")]
    Jpeg(#[source] jpeg_decoder::Error),
    /// It is larger than what is decoded here.
    #[error("the picture is {width} × {height}; at most {SIDE_MAX} × {SIDE_MAX} is decoded")]
    Size {
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
    },
    /// Its colours are none of grey and RGB.
    #[error("the JPEG's colours are neither grey nor RGB")]
    Colours,
    /// It could not be encoded.
    #[error("the PNG cannot be encoded")]
    Png(#[source] png::EncodingError),
}

/// A colour: red, green, blue.
pub type Rgb = [u8; 3];

/// A picture in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canvas {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Canvas {
    /// A canvas of one colour.
    pub fn new(width: u32, height: u32, colour: Rgb) -> Self {
        let count = usize::try_from(u64::from(width) * u64::from(height)).unwrap_or(0);
        Self { width, height, pixels: colour.repeat(count) }
    }

    /// Width and height, pixels.
    pub const fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    fn index(&self, x: i64, y: i64) -> Option<usize> {
        let (x, y) = (u32::try_from(x).ok()?, u32::try_from(y).ok()?);
        if x >= self.width || y >= self.height {
            return None;
        }
        usize::try_from((u64::from(y) * u64::from(self.width) + u64::from(x)) * 3).ok()
    }

    /// The colour at a place; none outside.
    pub fn get(&self, x: i64, y: i64) -> Option<Rgb> {
        let at = self.index(x, y)?;
        self.pixels.get(at..at + 3)?.try_into().ok()
    }

    /// Sets one pixel; outside is nothing.
    pub fn set(&mut self, x: i64, y: i64, colour: Rgb) {
        if let Some(at) = self.index(x, y)
            && let Some(pixel) = self.pixels.get_mut(at..at + 3)
        {
            pixel.copy_from_slice(&colour);
        }
    }

    /// A filled disc.
    pub fn disc(&mut self, (cx, cy): (f64, f64), radius: f64, colour: Rgb) {
        self.ring((cx, cy), radius, f64::INFINITY, colour);
    }

    /// A ring of `width` pixels inwards from `radius`.
    pub fn ring(&mut self, (cx, cy): (f64, f64), radius: f64, width: f64, colour: Rgb) {
        let (w, h) = (f64::from(self.width), f64::from(self.height));
        let inner = (radius - width).max(0.0);
        // Only what lies on the canvas is looked at, however large the ring is.
        let (x0, x1) = (pixel((cx - radius).max(0.0)), pixel((cx + radius).min(w)));
        let (y0, y1) = (pixel((cy - radius).max(0.0)), pixel((cy + radius).min(h)));
        for y in y0..=y1 {
            for x in x0..=x1 {
                let d = (real(x) - cx).hypot(real(y) - cy);
                if d <= radius && d >= inner {
                    self.set(x, y, colour);
                }
            }
        }
    }

    /// A line of `width` pixels. Ends far outside are cut.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), width: f64, colour: Rgb) {
        let far = 4.0 * f64::from(self.width.max(self.height));
        let length = (to.0 - from.0).hypot(to.1 - from.1).min(far);
        let steps = pixel(length.ceil()).max(1);
        for step in 0..=steps {
            let t = real(step) / real(steps);
            let at = (from.0 + (to.0 - from.0) * t, from.1 + (to.1 - from.1) * t);
            self.disc(at, width / 2.0, colour);
        }
    }

    /// Digits and a few letters, `scale` pixels a dot, from the top left corner. What has no shape is a gap.
    pub fn text(&mut self, (x, y): (i64, i64), text: &str, scale: i64, colour: Rgb) {
        for (n, letter) in (0_i64..).zip(text.chars()) {
            for (row, bits) in (0_i64..).zip(glyph(letter)) {
                for column in 0..3_i64 {
                    if bits & (4 >> column) != 0 {
                        let (left, top) = (x + (n * 4 + column) * scale, y + row * scale);
                        for dy in 0..scale {
                            for dx in 0..scale {
                                self.set(left + dx, top + dy, colour);
                            }
                        }
                    }
                }
            }
        }
    }

    /// As PNG.
    pub fn png(&self) -> Result<Vec<u8>, DrawError> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(Cursor::new(&mut out), self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        let mut writer = encoder.write_header().map_err(DrawError::Png)?;
        writer.write_image_data(&self.pixels).map_err(DrawError::Png)?;
        writer.finish().map_err(DrawError::Png)?;
        Ok(out)
    }
}

/// The picture of a JPEG.
pub fn from_jpeg(jpeg: &[u8]) -> Result<Canvas, DrawError> {
    let mut decoder = jpeg_decoder::Decoder::new(Cursor::new(jpeg));
    decoder.set_max_decoding_buffer_size(DECODE_BYTES_MAX);
    decoder.read_info().map_err(DrawError::Jpeg)?;
    let info = decoder.info().ok_or(DrawError::Colours)?;
    if info.width > SIDE_MAX || info.height > SIDE_MAX {
        return Err(DrawError::Size { width: info.width, height: info.height });
    }
    let pixels = decoder.decode().map_err(DrawError::Jpeg)?;
    let pixels = match info.pixel_format {
        jpeg_decoder::PixelFormat::RGB24 => pixels,
        jpeg_decoder::PixelFormat::L8 => pixels.into_iter().flat_map(|grey| [grey; 3]).collect(),
        jpeg_decoder::PixelFormat::L16 | jpeg_decoder::PixelFormat::CMYK32 => {
            return Err(DrawError::Colours);
        }
    };
    Ok(Canvas { width: info.width.into(), height: info.height.into(), pixels })
}

#[expect(clippy::as_conversions, reason = "saturating, and clipped by the canvas")]
const fn pixel(value: f64) -> i64 {
    value as i64
}

#[expect(clippy::as_conversions, reason = "pixels are far below 2^53")]
const fn real(value: i64) -> f64 {
    value as f64
}

/// Five rows of three dots.
const fn glyph(letter: char) -> [u8; 5] {
    match letter {
        '0' => [7, 5, 5, 5, 7],
        '1' => [2, 6, 2, 2, 7],
        '2' => [7, 1, 7, 4, 7],
        '3' => [7, 1, 3, 1, 7],
        '4' => [5, 5, 7, 1, 1],
        '5' => [7, 4, 7, 1, 7],
        '6' => [7, 4, 7, 5, 7],
        '7' => [7, 1, 2, 2, 2],
        '8' => [7, 5, 7, 5, 7],
        '9' => [7, 5, 7, 1, 7],
        'N' => [5, 7, 7, 7, 5],
        'm' => [0, 0, 7, 7, 5],
        'k' => [4, 5, 6, 5, 5],
        '.' => [0, 0, 0, 0, 2],
        _ => [0; 5],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_stay_on_the_canvas_and_become_png() {
        let mut canvas = Canvas::new(40, 30, [1, 2, 3]);
        canvas.disc((-1e9, 5.0), 3.0, [255, 0, 0]);
        canvas.line((-1e6, -1e6), (1e6, 1e6), 2.0, [0, 255, 0]);
        canvas.ring((20.0, 15.0), 1e12, 1.0, [0, 0, 255]);
        canvas.text((35, 28), "0 9kmN?", 3, [9, 9, 9]);
        canvas.disc((f64::NAN, f64::INFINITY), f64::NAN, [7, 7, 7]);
        canvas.disc((20.0, 15.0), 2.0, [255, 0, 0]);
        assert_eq!(canvas.get(20, 15), Some([255, 0, 0]));
        assert_eq!(canvas.get(0, 29), Some([1, 2, 3]));
        assert_eq!((canvas.get(40, 0), canvas.get(-1, 0)), (None, None));
        let bytes = canvas.png().unwrap();
        let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (40, 30));
        assert_eq!(pixels, canvas.pixels);
    }

    #[test]
    fn what_is_no_jpeg_is_an_error() {
        for bytes in [&b""[..], b"\xff\xd8", b"\xff\xd8\xff\xe0junk", b"GIF89a"] {
            assert!(from_jpeg(bytes).is_err());
        }
    }
}
