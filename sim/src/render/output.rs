//! From columns to an I420 picture.

use super::STRIP;
use super::pixel::Colour;
use crate::camera::CameraModel;

/// The sizes of an I420 picture.
#[derive(Debug, Clone, Copy)]
pub struct Picture {
    /// Width in pixels, even.
    pub width: usize,
    /// Height in pixels, even.
    pub height: usize,
}

impl Picture {
    /// Octets of the whole picture.
    pub fn bytes(&self) -> usize {
        self.width * self.height * 3 / 2
    }
}

/// The drawn columns as rows, before each row is stretched about its middle.
#[derive(Debug)]
pub(crate) struct Fan {
    width: usize,
    height: usize,
    columns: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
    /// Where each row starts in the fan and how far a pixel steps, in parts of 65,536.
    rows: Vec<(u32, u32)>,
    chroma_rows: Vec<(u32, u32)>,
}

impl Fan {
    pub(crate) fn new(model: &CameraModel, columns: usize, stretch: &[f64]) -> Self {
        let one = 65_536.0;
        let place = |k: f64, columns: f64, width: f64| {
            let first = (0.5 - width / 2.0) * k + columns / 2.0 - 0.5;
            ((first.max(0.0) * one) as u32, (k * one) as u32)
        };
        let (wide, across) = (columns as f64, model.width as f64);
        let half = stretch.chunks(2).map(|k| k.iter().sum::<f64>() / k.len() as f64);
        Self {
            width: model.width,
            height: model.height,
            columns,
            y: vec![0; columns * model.height],
            u: vec![0; columns / 2 * (model.height / 2)],
            v: vec![0; columns / 2 * (model.height / 2)],
            rows: stretch.iter().map(|k| place(*k, wide, across)).collect(),
            chroma_rows: half.map(|k| place(k, wide / 2.0, across / 2.0)).collect(),
        }
    }

    /// Takes [`STRIP`] columns, each with all its rows.
    pub(crate) fn take_strip(&mut self, first: usize, strip: &[Colour]) {
        let height = self.height;
        let mut row = [0_u32; STRIP];
        for r in 0..height {
            for (n, value) in row.iter_mut().enumerate() {
                *value = strip[n * height + r];
            }
            let at = r * self.columns + first;
            for (to, from) in self.y[at..at + STRIP].iter_mut().zip(&row) {
                *to = (*from & 0xff) as u8;
            }
            if r % 2 == 0 {
                let at = r / 2 * (self.columns / 2) + first / 2;
                for n in 0..STRIP / 2 {
                    let (a, b) = (row[2 * n], row[2 * n + 1]);
                    self.u[at + n] = ((a >> 8 & 0xff) + (b >> 8 & 0xff)).div_ceil(2) as u8;
                    self.v[at + n] = ((a >> 16 & 0xff) + (b >> 16 & 0xff)).div_ceil(2) as u8;
                }
            }
        }
    }

    pub(crate) fn write(&self, out: &mut [u8]) {
        let luma = self.width * self.height;
        let (y, chroma) = out.split_at_mut(luma);
        let (u, v) = chroma.split_at_mut(luma / 4);
        stretch_rows(y, self.width, &self.y, self.columns, &self.rows);
        stretch_rows(u, self.width / 2, &self.u, self.columns / 2, &self.chroma_rows);
        stretch_rows(v, self.width / 2, &self.v, self.columns / 2, &self.chroma_rows);
    }
}

fn stretch_rows(out: &mut [u8], width: usize, from: &[u8], columns: usize, rows: &[(u32, u32)]) {
    for ((to, from), (start, step)) in
        out.chunks_exact_mut(width).zip(from.chunks_exact(columns)).zip(rows)
    {
        stretch_row(to, from, *start, *step);
    }
}

/// Pixels stretched together.
const BLOCK: usize = 16;

/// Each pixel lies between two of `from`. Within a block these are at most one further apart than the pixels are, so
/// that three candidates with weights, most of them nothing, spare looking up each: processors do many at once.
fn stretch_row(out: &mut [u8], from: &[u8], start: u32, step: u32) {
    let drift = step as i32 - 65_536;
    let back = usize::from(drift < 0);
    let ramp: [i16; BLOCK] =
        std::array::from_fn(|n| ((n as i32 * drift) >> 8) as i16 + 256 * back as i16);
    let mut at = start;
    for block in out.chunks_mut(BLOCK) {
        let first = ((at >> 16) as usize).wrapping_sub(back);
        let near = |n: usize| from.get(first.wrapping_add(n)..)?.first_chunk::<BLOCK>();
        let block_now = block.first_chunk_mut::<BLOCK>();
        if let (Some(a), Some(b), Some(c), Some(block)) = (near(0), near(1), near(2), block_now) {
            let part = (at >> 8 & 0xff) as i16;
            for n in 0..BLOCK {
                let place = part + ramp[n];
                let weight = |of: i16| (256 - (place - 256 * of).abs()).max(0) as u16;
                let sum = u16::from(a[n]) * weight(0)
                    + u16::from(b[n]) * weight(1)
                    + u16::from(c[n]) * weight(2);
                block[n] = (sum >> 8) as u8;
            }
        } else {
            for (n, pixel) in block.iter_mut().enumerate() {
                let at = at + n as u32 * step;
                let (a, k) = (((at >> 16) as usize).min(from.len() - 2), at >> 8 & 0xff);
                let (a, b) = (u32::from(from[a]), u32::from(from[a + 1]));
                *pixel = ((a * (256 - k) + b * k) >> 8) as u8;
            }
        }
        at += BLOCK as u32 * step;
    }
}

/// An I420 picture as RGB octets (BT.709, limited range), for files that people open.
pub fn to_rgb(picture: Picture, i420: &[u8]) -> Vec<u8> {
    let (w, h) = (picture.width, picture.height);
    let mut out = Vec::with_capacity(w * h * 3);
    for row in 0..h {
        for column in 0..w {
            let chroma = w * h + (row / 2) * (w / 2) + column / 2;
            let y = (f32::from(i420[row * w + column]) - 16.0) / 219.0;
            let u = (f32::from(i420[chroma]) - 128.0) / 224.0;
            let v = (f32::from(i420[chroma + w * h / 4]) - 128.0) / 224.0;
            let r = y + 1.5748 * v;
            let b = y + 1.8556 * u;
            let g = (y - 0.2126 * r - 0.0722 * b) / 0.7152;
            for value in [r, g, b] {
                out.push((value * 255.0).round().clamp(0.0, 255.0) as u8);
            }
        }
    }
    out
}
