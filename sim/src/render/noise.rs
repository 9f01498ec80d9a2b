//! Value noise for textures.

/// A hash of a lattice point, in `[0, 1)`.
#[inline]
pub(crate) fn hash(x: i32, y: i32, salt: u32) -> f32 {
    (bits(x, y, salt) >> 8) as f32 / 16_777_216.0
}

/// The same in whole numbers, below 256.
#[inline]
pub(crate) fn hash_256(x: i32, y: i32, salt: u32) -> u32 {
    bits(x, y, salt) >> 24
}

#[inline]
fn bits(x: i32, y: i32, salt: u32) -> u32 {
    let mut h = (x as u32)
        .wrapping_mul(0x9E37_79B1)
        .wrapping_add((y as u32).wrapping_mul(0x85EB_CA77))
        .wrapping_add(salt.wrapping_mul(0xC2B2_AE3D));
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    h ^ (h >> 15)
}

/// Smooth noise in `[0, 1)` that repeats every `period` lattice points in both directions.
pub(crate) fn noise(x: f32, y: f32, period: i32, salt: u32) -> f32 {
    let (fx, fy) = (x.floor(), y.floor());
    let (tx, ty) = (x - fx, y - fy);
    let (sx, sy) = (tx * tx * (3.0 - 2.0 * tx), ty * ty * (3.0 - 2.0 * ty));
    let (x0, y0) = ((fx as i32).rem_euclid(period), (fy as i32).rem_euclid(period));
    let next = |n: i32| if n + 1 == period { 0 } else { n + 1 };
    let (x1, y1) = (next(x0), next(y0));
    let at = |x: i32, y: i32| hash(x, y, salt);
    let low = at(x0, y0) + (at(x1, y0) - at(x0, y0)) * sx;
    let high = at(x0, y1) + (at(x1, y1) - at(x0, y1)) * sx;
    low + (high - low) * sy
}

/// A few octaves of [`noise`], in `[0, 1)`; `period` is that of the first octave.
pub(crate) fn clouds(x: f32, y: f32, period: i32, octaves: i32, salt: u32) -> f32 {
    let (mut sum, mut weight, mut total) = (0.0, 0.5, 0.0);
    for octave in 0..octaves {
        let k = (1 << octave) as f32;
        sum += weight * noise(x * k, y * k, period << octave, salt.wrapping_add(octave as u32));
        total += weight;
        weight *= 0.5;
    }
    sum / total
}
