//! The ground's tiles, stored for drawing.
//!
//! A tile has few hues: its texels are stored as luma alone, and the colour that goes with each luma beside them. That
//! quarters what passes through the caches, which is most of what the floor costs.

use super::ground::Place;
use super::pixel::{Colour, pack};
use super::texture::Texture;

/// A tile is 2 m wide and has 512 texels to a side, whatever it shows: so that texels are found by shifts.
pub(crate) const TILE_LOG2: u32 = 9;
const TILE_Q16_LOG2: u32 = 17;
/// Columns of texels are stored so much apart: neighbours at a power of two would fight for the same cache lines.
const PAD: u32 = 64;
/// Texels of a tile with its smaller copies.
const TILE_STRIDE: usize = Copy::level(TILE_LOG2 + 1).start as usize;
/// Most tiles there can be.
const TILES: usize = 8;

/// All tiles, each with its smaller copies.
#[derive(Debug)]
pub(crate) struct Tileset {
    lumas: Vec<u8>,
    colours: [[Colour; 256]; TILES],
}

impl Tileset {
    pub(crate) fn new(tiles: &[Texture; TILES]) -> Self {
        Self {
            lumas: tiles.iter().flat_map(padded).collect(),
            colours: std::array::from_fn(|n| colours(&tiles[n])),
        }
    }

    /// Texels of a tile, of one of its smaller copies: at a place and so many steps further.
    #[inline]
    pub(crate) fn texels<const N: usize>(
        &self,
        tile: u8,
        copy: Copy,
        mut at: Place,
        step: Place,
    ) -> [Colour; N] {
        let shift = TILE_Q16_LOG2 - copy.log2;
        let side = 1_u32 << copy.log2;
        let tile = usize::from(tile) % TILES;
        let start = tile * TILE_STRIDE + copy.start as usize;
        let lumas = self.lumas.get(start..start + copy.texels()).unwrap_or_default();
        let colours = &self.colours[tile];
        [(); N].map(|()| {
            let (u, v) = ((at.x as u32 >> shift) & (side - 1), (at.y as u32 >> shift) & (side - 1));
            at = at.plus(step);
            let luma = lumas.get((u * (side + PAD) + v) as usize).copied().unwrap_or_default();
            colours[usize::from(luma)]
        })
    }
}

/// One of the smaller copies of a tile: where it starts, and the logarithm of its side.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Copy {
    start: u32,
    log2: u32,
}

impl Copy {
    pub(crate) const fn level(level: u32) -> Self {
        let mut copy = Self { start: 0, log2: TILE_LOG2 };
        let mut n = 0;
        while n < level {
            copy.start += copy.texels() as u32;
            if copy.log2 == 0 {
                break;
            }
            copy.log2 -= 1;
            n += 1;
        }
        copy
    }

    /// Places for texels, those between the columns included.
    const fn texels(self) -> usize {
        ((1 << self.log2) * ((1 << self.log2) + PAD)) as usize
    }
}

/// The luma of all copies of a tile, as [`Copy`] finds them.
fn padded(tile: &Texture) -> Vec<u8> {
    let mut out = Vec::with_capacity(TILE_STRIDE);
    for level in 0..=TILE_LOG2 {
        let (texels, log2) = tile.level(level);
        for column in texels.chunks_exact(1 << log2) {
            out.extend(column.iter().map(|c| (c & 0xff) as u8));
            out.extend([0; PAD as usize]);
        }
    }
    out
}

/// For each luma the mean colour of the tile's texels that have it.
fn colours(tile: &Texture) -> [Colour; 256] {
    let mut sums = [[0_u32; 3]; 256];
    for level in 0..=TILE_LOG2 {
        for c in tile.level(level).0 {
            let sum = &mut sums[(c & 0xff) as usize];
            *sum = [sum[0] + 1, sum[1] + (c >> 8 & 0xff), sum[2] + (c >> 16 & 0xff)];
        }
    }
    std::array::from_fn(|luma| {
        let [count, u, v] = sums[luma];
        let mean = |sum: u32| (sum + count / 2) / count.max(1);
        pack(luma as u32, mean(u), mean(v))
    })
}
