//! The ground: what it is made of, how it is lit, and its tiles.

use super::SUN;
use super::noise::clouds;
use super::pixel::{Colour, lerp, rgb};
use super::texture::Texture;
use super::tiles;
use super::tileset::{TILE_LOG2, Tileset};
use crate::city::{self, City, EXTENT, Kind, ROADS_X, ROADS_Y, Rect, Surface};

/// Side of a cell of the material and shade maps, in metres.
pub(crate) const CELL_M: f32 = 0.125;
const WIDE: usize = 1600;
const TALL: usize = 1280;
const CELL_Q16_LOG2: u32 = 13;
pub(crate) const TEXELS_PER_M: f32 = 256.0;
/// Light in the shade, of 256.
pub(crate) const SHADE: u32 = 136;

pub(crate) const ASPHALT: u8 = 0;
const PAINT: u8 = 1;
/// Materials from here on lie at the height of the sidewalk.
pub(crate) const RAISED: u8 = 2;
const SLABS: u8 = 2;
const KERB: u8 = 3;
const SETTS: u8 = 4;
const TACTILE: u8 = 5;
const SOIL: u8 = 6;
const FLOOR: u8 = 7;

/// Everything the floor is drawn from.
#[derive(Debug)]
pub(crate) struct Ground {
    material: Vec<u8>,
    shade: Vec<u8>,
    pub(crate) tiles: Tileset,
    /// Colours at 4 and at 16 cells to a side: for what is far away.
    coarse: [Vec<Colour>; 2],
    /// The upright face of a kerb.
    pub(crate) kerb_face: Colour,
}

#[inline]
fn cell(x: f32, y: f32) -> (usize, usize) {
    let cx = ((x - EXTENT.x0 as f32) * (1.0 / CELL_M)) as i32;
    let cy = ((y - EXTENT.y0 as f32) * (1.0 / CELL_M)) as i32;
    (cx.clamp(0, WIDE as i32 - 1) as usize, cy.clamp(0, TALL as i32 - 1) as usize)
}

impl Ground {
    pub(crate) fn new(city: &City) -> Self {
        let tiles = [
            Texture::paint(TILE_LOG2, tiles::asphalt),
            Texture::paint(TILE_LOG2, tiles::paint),
            Texture::paint(TILE_LOG2, tiles::slabs),
            Texture::paint(TILE_LOG2, tiles::kerb),
            Texture::paint(TILE_LOG2, tiles::setts),
            Texture::paint(TILE_LOG2, tiles::tactile),
            Texture::paint(TILE_LOG2, tiles::soil),
            Texture::paint(TILE_LOG2, |_, _| rgb(60, 60, 62)),
        ];
        let material = materials(city);
        let shade = shades(city);
        let averages: Vec<Colour> = tiles.iter().map(Texture::average).collect();
        let coarse = [4, 16].map(|n| coarse(&material, &averages, n));
        let kerb_face = super::pixel::colour(rgb(146, 142, 134));
        let tiles = Tileset::new(&tiles);
        Self { material, shade, tiles, coarse, kerb_face }
    }

    /// What the ground is at a place.
    #[inline]
    pub(crate) fn material(&self, at: Place) -> u8 {
        let (cx, cy) = (at.x >> CELL_Q16_LOG2, at.y >> CELL_Q16_LOG2);
        let n = cy.wrapping_mul(WIDE as i32).wrapping_add(cx) as u32 as usize;
        self.material.get(n).copied().unwrap_or(FLOOR)
    }

    /// The light at a place, of 256, smooth between cells.
    #[inline]
    pub(crate) fn shade(&self, at: Place) -> u32 {
        let half = 1 << (CELL_Q16_LOG2 - 1);
        let (gx, gy) = (at.x.wrapping_sub(half), at.y.wrapping_sub(half));
        let (cx, cy) = (gx >> CELL_Q16_LOG2, gy >> CELL_Q16_LOG2);
        let part = |g: i32| (g as u32 >> (CELL_Q16_LOG2 - 4)) & 15;
        let (tx, ty) = (part(gx), part(gy));
        let n = cy.wrapping_mul(WIDE as i32).wrapping_add(cx) as u32 as usize;
        let (Some(low), Some(high)) =
            (self.shade.get(n..n + 2), self.shade.get(n + WIDE..n + WIDE + 2))
        else {
            return SHADE;
        };
        let along = |pair: &[u8]| u32::from(pair[0]) * (16 - tx) + u32::from(pair[1]) * tx;
        (along(low) * (16 - ty) + along(high) * ty) >> 8
    }

    /// The average colour around a place; `which` 0 for half a metre, 1 for two.
    #[inline]
    pub(crate) fn coarse(&self, which: usize, x: f32, y: f32) -> Colour {
        let log2 = if which == 0 { 2 } else { 4 };
        let (cx, cy) = cell(x, y);
        self.coarse[which][(cy >> log2) * (WIDE >> log2) + (cx >> log2)]
    }
}

/// A place from the map's corner, or a way, in parts of 65,536 of a metre.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    pub(crate) x: i32,
    pub(crate) y: i32,
}

impl Place {
    pub(crate) fn new(x: f32, y: f32) -> Self {
        let q = |at: f32, low: f64| ((f64::from(at) - low) * 65_536.0) as i32;
        Self { x: q(x, EXTENT.x0), y: q(y, EXTENT.y0) }
    }

    #[inline]
    pub(crate) fn plus(self, step: Self) -> Self {
        Self { x: self.x.wrapping_add(step.x), y: self.y.wrapping_add(step.y) }
    }

    /// A quarter of the way to another place.
    #[inline]
    pub(crate) fn quarter_to(self, to: Self) -> Self {
        Self { x: to.x.wrapping_sub(self.x) >> 2, y: to.y.wrapping_sub(self.y) >> 2 }
    }
}

fn each_cell(mut f: impl FnMut(f64, f64, usize)) {
    for cy in 0..TALL {
        for cx in 0..WIDE {
            let at = |n: usize, low: f64| low + (n as f64 + 0.5) * f64::from(CELL_M);
            f(at(cx, EXTENT.x0), at(cy, EXTENT.y0), cy * WIDE + cx);
        }
    }
}

/// How far a road's edge is on the sidewalk's side, in metres, for kerb stones and the furniture's strip.
fn from_kerb(x: f64, y: f64) -> f64 {
    let beside = |strips: &[[f64; 2]; 2], at: f64| {
        strips.iter().map(|[a, b]| (a - at).max(at - b).max(0.0)).fold(f64::INFINITY, f64::min)
    };
    beside(&ROADS_X, x).min(beside(&ROADS_Y, y))
}

fn materials(city: &City) -> Vec<u8> {
    let mut out = vec![SLABS; WIDE * TALL];
    each_cell(|x, y, n| {
        out[n] = match city::surface(x, y) {
            Surface::Road => road(x, y),
            Surface::Crossing => {
                let across = city::ROADS_X.iter().any(|[a, b]| x > *a && x < *b);
                let at = if across { x } else { y };
                if at.rem_euclid(1.0) < 0.5 { PAINT } else { ASPHALT }
            }
            Surface::Sidewalk => {
                let d = from_kerb(x, y);
                if d < 0.25 {
                    KERB
                } else if city::in_crossing_line(x, y) && d < 1.0 {
                    TACTILE
                } else if d < 1.25 {
                    SETTS
                } else {
                    SLABS
                }
            }
        };
    });
    for b in &city.buildings {
        fill(&b.rect, |n, _, _| out[n] = FLOOR);
    }
    for f in city.fixtures.iter().filter(|f| f.kind == Kind::Tree) {
        let pit = Rect { x0: f.x - 0.45, y0: f.y - 0.45, x1: f.x + 0.45, y1: f.y + 0.45 };
        fill(&pit, |n, _, _| out[n] = SOIL);
    }
    out
}

/// Dashes in the middle of a road, away from junctions.
fn road(x: f64, y: f64) -> u8 {
    let inside = |strips: &[[f64; 2]; 2], at: f64, margin: f64| {
        strips.iter().any(|[a, b]| at > a - margin && at < b + margin)
    };
    let dash = |strips: &[[f64; 2]; 2], at: f64, along: f64| {
        strips.iter().any(|[a, b]| (at - (a + b) / 2.0).abs() < 0.07) && along.rem_euclid(6.0) < 3.0
    };
    let clear = 6.0;
    let paint = (!inside(&ROADS_X, x, clear) && dash(&ROADS_Y, y, x))
        || (!inside(&ROADS_Y, y, clear) && dash(&ROADS_X, x, y));
    if paint { PAINT } else { ASPHALT }
}

/// Calls `f` with index and place of each cell whose centre lies in the rectangle.
fn fill(r: &Rect, mut f: impl FnMut(usize, f64, f64)) {
    let cell = f64::from(CELL_M);
    let span = |low: f64, high: f64, origin: f64, most: usize| {
        let a = ((low - origin) / cell - 0.5).ceil().max(0.0) as usize;
        let b = (((high - origin) / cell - 0.5).floor() + 1.0).clamp(0.0, most as f64) as usize;
        a..b
    };
    for cy in span(r.y0, r.y1, EXTENT.y0, TALL) {
        for cx in span(r.x0, r.x1, EXTENT.x0, WIDE) {
            let at = |n: usize, low: f64| low + (n as f64 + 0.5) * cell;
            f(cy * WIDE + cx, at(cx, EXTENT.x0), at(cy, EXTENT.y0));
        }
    }
}

/// Sun and shade baked: shadows of buildings, trees, posts and cars, and the dimness along walls.
fn shades(city: &City) -> Vec<u8> {
    let mut sun = vec![255_u8; WIDE * TALL];
    let tan = f64::from(SUN[2]) / f64::from(SUN[0]).hypot(f64::from(SUN[1]));
    let flat = f64::from(SUN[0]).hypot(f64::from(SUN[1]));
    let (sx, sy) = (f64::from(SUN[0]) / flat, f64::from(SUN[1]) / flat);
    let mut cast = |r: &Rect, from_m: f64, to_m: f64, dark: u8| {
        let (near, far) = (from_m / tan, to_m / tan);
        let hull = Rect {
            x0: r.x0 - (sx * far).max(sx * near).max(0.0),
            x1: r.x1 - (sx * far).min(sx * near).min(0.0),
            y0: r.y0 - (sy * far).max(sy * near).max(0.0),
            y1: r.y1 - (sy * far).min(sy * near).min(0.0),
        };
        fill(&hull, |n, x, y| {
            let hit = r.contains(x + sx * near, y + sy * near)
                || r.ray(x + sx * near, y + sy * near, sx, sy).is_some_and(|d| d < far - near);
            if hit {
                sun[n] = sun[n].min(dark);
            }
        });
    };
    for b in &city.buildings {
        cast(&b.rect, 0.0, b.height_m, SHADE as u8);
    }
    for f in &city.fixtures {
        let r = f.rect();
        match f.kind {
            Kind::Car => {
                cast(&r, 0.0, 0.8, SHADE as u8);
                let cabin = Rect { x0: r.x0 + 0.3, x1: r.x1 - 0.3, y0: r.y0 + 0.1, y1: r.y1 - 0.1 };
                cast(&cabin, 0.8, 1.4, SHADE as u8);
            }
            Kind::Lamp => cast(&r, 0.0, 5.2, 160),
            Kind::Tree => cast(&r, 0.0, 3.2, 130),
            Kind::Bench => cast(&r, 0.0, 0.5, 140),
            Kind::Bin | Kind::Hydrant | Kind::Bollard => cast(&r, 0.0, 0.8, 130),
            Kind::Sign => cast(&r, 0.0, 2.2, 175),
        }
    }
    for f in city.fixtures.iter().filter(|f| f.kind == Kind::Tree) {
        dapple(&mut sun, f.x - sx * 4.2 / tan, f.y - sy * 4.2 / tan, f.variant);
    }
    let mut out = soften(&sun);
    for b in &city.buildings {
        let r = &b.rect;
        let rim = Rect { x0: r.x0 - 1.0, y0: r.y0 - 1.0, x1: r.x1 + 1.0, y1: r.y1 + 1.0 };
        fill(&rim, |n, x, y| dim(&mut out[n], r.gap(x, y), 1.0, 0.32));
    }
    for f in &city.fixtures {
        let r = f.rect();
        let (reach, depth) = match f.kind {
            Kind::Car => (0.45, 0.72),
            Kind::Bench => (0.3, 0.4),
            _ => (0.22, 0.4),
        };
        let rim = Rect { x0: r.x0 - reach, y0: r.y0 - reach, x1: r.x1 + reach, y1: r.y1 + reach };
        fill(&rim, |n, x, y| dim(&mut out[n], f.gap(x, y), reach, depth));
    }
    out
}

fn dim(value: &mut u8, gap: (f64, f64), reach_m: f64, depth: f64) {
    let near = 1.0 - gap.0.hypot(gap.1) / reach_m;
    if near > 0.0 {
        *value = (f64::from(*value) * (1.0 - depth * near * near)) as u8;
    }
}

/// The dappled shadow of a crown.
fn dapple(sun: &mut [u8], cx: f64, cy: f64, salt: u32) {
    let reach = 2.6;
    let r = Rect { x0: cx - reach, y0: cy - reach, x1: cx + reach, y1: cy + reach };
    fill(&r, |n, x, y| {
        let d = (x - cx).hypot((y - cy) * 0.8) / 2.3;
        let leaves = clouds((x * 2.2 + 400.0) as f32, (y * 2.2 + 400.0) as f32, 4096, 3, salt);
        let cover = (1.15 - d as f32 + (leaves - 0.5) * 1.1).clamp(0.0, 1.0);
        let cover = (cover * 2.2).min(1.0) * if leaves > 0.60 { 0.45 } else { 0.95 };
        let dark = 255.0 - cover * (255.0 - SHADE as f32 - 6.0);
        sun[n] = sun[n].min(dark as u8);
    });
}

/// Softens the edges of shadows: a 3×3 mean.
fn soften(sun: &[u8]) -> Vec<u8> {
    let mut out = sun.to_vec();
    for cy in 1..TALL - 1 {
        for cx in 1..WIDE - 1 {
            let n = cy * WIDE + cx;
            let mut sum = 0_u32;
            for row in [n - WIDE, n, n + WIDE] {
                sum += sun[row - 1..=row + 1].iter().map(|v| u32::from(*v)).sum::<u32>();
            }
            out[n] = (sum / 9) as u8;
        }
    }
    out
}

fn coarse(material: &[u8], averages: &[Colour], side: usize) -> Vec<Colour> {
    let (wide, tall) = (WIDE / side, TALL / side);
    let mut out = Vec::with_capacity(wide * tall);
    for by in 0..tall {
        for bx in 0..wide {
            let mut mean = averages[usize::from(FLOOR)];
            let mut seen = 0_u32;
            for dy in 0..side {
                let row = (by * side + dy) * WIDE + bx * side;
                // What is under buildings is never seen, nor are its edges.
                for m in material[row..row + side].iter().filter(|m| **m != FLOOR) {
                    seen += 1;
                    mean = lerp(mean, averages[*m as usize], 256 / seen);
                }
            }
            out.push(mean);
        }
    }
    out
}
