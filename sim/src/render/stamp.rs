//! A time stamp in the pixels, for measuring from glass to glass.
//!
//! 72 blocks of 16×16 pixels in the top left corner, two rows of 36, black (luma 16) or white (luma 235), chroma
//! neutral. The first eight are the pattern 1 0 1 0 1 1 0 0, by which a reader knows that there is a stamp and where
//! white begins; the other 64 are CLOCK_REALTIME in microseconds, most significant bit first:
//!
//! ```text
//! row 0   s7 s6 s5 s4 s3 s2 s1 s0  b63 b62 …           b36
//! row 1   b35 b34 …                                     b0
//! ```

use super::Picture;

/// Side of a block in pixels.
pub const STAMP_BLOCK_PX: usize = 16;
/// Blocks in a row.
pub const STAMP_BLOCKS_PER_ROW: usize = 36;
/// The first eight blocks, most significant bit first.
pub const STAMP_SYNC: u8 = 0b1010_1100;
const BLOCKS: usize = 72;

fn bit(n: usize, stamp: u64) -> bool {
    if n < 8 { STAMP_SYNC >> (7 - n) & 1 == 1 } else { stamp >> (63 - (n - 8)) & 1 == 1 }
}

fn corner(n: usize) -> (usize, usize) {
    (n % STAMP_BLOCKS_PER_ROW * STAMP_BLOCK_PX, n / STAMP_BLOCKS_PER_ROW * STAMP_BLOCK_PX)
}

fn fits(picture: Picture) -> bool {
    picture.width >= STAMP_BLOCKS_PER_ROW * STAMP_BLOCK_PX && picture.height >= 2 * STAMP_BLOCK_PX
}

/// Writes the stamp into an I420 picture; a picture too small for it (under 576×32) is left alone.
pub fn write_stamp(picture: Picture, i420: &mut [u8], stamp: u64) {
    if !fits(picture) {
        return;
    }
    let (w, h) = (picture.width, picture.height);
    for n in 0..BLOCKS {
        let (x, y) = corner(n);
        let luma = if bit(n, stamp) { 235 } else { 16 };
        for row in y..y + STAMP_BLOCK_PX {
            i420[row * w + x..row * w + x + STAMP_BLOCK_PX].fill(luma);
        }
        for plane in [w * h, w * h * 5 / 4] {
            for row in y / 2..(y + STAMP_BLOCK_PX) / 2 {
                let at = plane + row * (w / 2) + x / 2;
                i420[at..at + STAMP_BLOCK_PX / 2].fill(128);
            }
        }
    }
}

/// Reads the stamp of a picture that may have been through an encoder; nothing when the pattern is not there.
pub fn read_stamp(picture: Picture, i420: &[u8]) -> Option<u64> {
    if !fits(picture) {
        return None;
    }
    let white = |n: usize| {
        let (x, y) = corner(n);
        let half = STAMP_BLOCK_PX / 2;
        i420.get((y + half) * picture.width + x + half).is_some_and(|luma| *luma > 125)
    };
    if (0..8).any(|n| white(n) != bit(n, 0)) {
        return None;
    }
    Some((8..BLOCKS).fold(0, |stamp, n| stamp << 1 | u64::from(white(n))))
}
