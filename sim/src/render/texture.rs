//! Square textures with their smaller copies.

use super::pixel::{Colour, Rgb, colour};

/// A square texture whose side is a power of two, stored column by column, each with its halved copies.
#[derive(Debug, Clone)]
pub(crate) struct Texture {
    /// `levels[n]` has side `side >> n`.
    levels: Vec<Vec<Colour>>,
    side_log2: u32,
}

impl Texture {
    /// Paints each texel by its centre, both coordinates in `[0, 1)`; v counts from the bottom.
    pub(crate) fn paint(side_log2: u32, shader: impl Fn(f32, f32) -> Rgb) -> Self {
        let side = 1_usize << side_log2;
        let mut texels = Vec::with_capacity(side * side);
        for u in 0..side {
            for v in 0..side {
                let at = |n: usize| (n as f32 + 0.5) / side as f32;
                texels.push(shader(at(u), at(v)));
            }
        }
        let mut levels = vec![texels.iter().map(|c| colour(*c)).collect::<Vec<_>>()];
        let mut n = side;
        while n > 1 {
            texels = halve(&texels, n);
            n /= 2;
            levels.push(texels.iter().map(|c| colour(*c)).collect());
        }
        Self { levels, side_log2 }
    }

    /// The smaller copy for a pixel that covers this many texels, and the logarithm of its side.
    #[inline]
    pub(crate) fn level(&self, level: u32) -> (&[Colour], u32) {
        let level = level.min(self.side_log2);
        (&self.levels[level as usize], self.side_log2 - level)
    }

    /// Its one colour from far away.
    pub(crate) fn average(&self) -> Colour {
        self.levels[self.side_log2 as usize][0]
    }
}

fn halve(texels: &[Rgb], side: usize) -> Vec<Rgb> {
    let half = side / 2;
    let mut out = Vec::with_capacity(half * half);
    for u in 0..half {
        for v in 0..half {
            let at = |du: usize, dv: usize| texels[(2 * u + du) * side + 2 * v + dv];
            let four = [at(0, 0), at(1, 0), at(0, 1), at(1, 1)];
            out.push([0, 1, 2].map(|c| four.iter().map(|t| t[c]).sum::<f32>() / 4.0));
        }
    }
    out
}

/// Which smaller copy suits pixels that cover `texels` texels.
pub(crate) fn level_for(texels: f32) -> u32 {
    texels.max(1.0).log2().round() as u32
}
