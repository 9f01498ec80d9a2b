//! The sky: a panorama painted once, brighter towards the sun, with a few clouds.

use super::SUN;
use super::noise::clouds;
use super::pixel::{Colour, HAZE_RGB, colour, mix, rgb};

const ACROSS: usize = 4096;
const UP: usize = 160;
/// The panorama ends at this slope (rise over run); above it its last row goes on.
const SLOPE_MAX: f32 = 1.0;

/// The panorama, column by column.
#[derive(Debug)]
pub(crate) struct Sky {
    texels: Vec<Colour>,
}

impl Sky {
    pub(crate) fn new(seed: u64) -> Self {
        let salt = seed as u32 ^ 0x51;
        let mut texels = Vec::with_capacity(ACROSS * UP);
        let sun_azimuth = SUN[1].atan2(SUN[0]);
        for a in 0..ACROSS {
            let azimuth = a as f32 / ACROSS as f32 * std::f32::consts::TAU;
            let towards = (azimuth - sun_azimuth).cos();
            for v in 0..UP {
                let slope = v as f32 / UP as f32 * SLOPE_MAX;
                let k = (slope * 2.1).min(1.0).powf(0.62);
                let zenith = mix(rgb(92, 140, 200), rgb(150, 186, 222), 0.25 + 0.2 * towards);
                let mut c = mix(HAZE_RGB, zenith, k);
                c = mix(c, rgb(255, 246, 226), (0.16 * (towards + 0.4) * (1.0 - k)).max(0.0));
                // Clouds lie flat: they shrink and crowd towards the horizon.
                let flat = slope / (slope + 0.35);
                let around = a as f32 / ACROSS as f32 * 16.0;
                let n = clouds(around, flat * 9.0 + 3.0, 16, 5, salt);
                let cover = ((n - 0.50) * 4.6).clamp(0.0, 1.0) * (slope * 7.0).min(1.0);
                let lit = clouds(around + 0.06, flat * 9.0 + 3.25, 16, 4, salt);
                let body = mix(
                    rgb(198, 206, 216),
                    rgb(252, 252, 250),
                    ((n - lit) * 5.0 + 0.6).clamp(0.0, 1.0),
                );
                texels.push(colour(mix(c, body, cover * 0.85)));
            }
        }
        Self { texels }
    }

    /// The column at an azimuth (radians counter-clockwise from east).
    pub(crate) fn column(&self, azimuth_rad: f32) -> &[Colour] {
        let turn = azimuth_rad / std::f32::consts::TAU;
        let a = ((turn - turn.floor()) * ACROSS as f32) as usize % ACROSS;
        &self.texels[a * UP..(a + 1) * UP]
    }

    /// Texels of a column to one unit of slope.
    pub(crate) const UP_PER_SLOPE: f32 = UP as f32 / SLOPE_MAX;
    /// Texels of a column.
    pub(crate) const UP: usize = UP;
}
