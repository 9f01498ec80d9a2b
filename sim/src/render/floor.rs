//! The floor of one column, four rows at a time.

use super::column::Paint;
use super::ground::{self, Ground, Place};
use super::pixel::{Air, Colour};
use super::shapes::Column;
use super::texture::level_for;
use super::tileset::Copy;
use crate::city::KERB_HEIGHT_M;

/// Rows drawn together: what changes slowly down a column is looked up once for all of them.
const QUAD: usize = 4;
/// Rows nearer together on the ground than this are of one material when both ends are, in metres: a cell's width.
const NEAR_STEP_M: f32 = 0.11;
/// Beyond this a row is as good as the horizon: metres for each metre of the camera's height.
const PER_HEIGHT_MAX: f32 = 400.0;
/// The upright face of a kerb, among the materials.
const KERB_FACE: u8 = u8::MAX;

/// What four rows of floor have in common over all columns, for one camera.
#[derive(Debug, Clone, Copy, Default)]
struct Shared {
    copy: Copy,
    /// 0 near, 1 and 2 far.
    coarse: u8,
    /// Whether the four rows lie within a cell.
    near: bool,
}

/// The same for one picture, with the camera's height over the ground known.
#[derive(Debug, Clone, Copy, Default)]
struct Quad {
    shared: Shared,
    /// Distance of the first row in parts of 65,536 of a metre.
    z_q16: i64,
    /// For the upper and the lower two rows.
    air: [Air; 2],
}

/// The floor's rows.
#[derive(Debug, Default)]
pub(crate) struct Floor {
    /// Distance ahead for each metre of the camera's height; large above the horizon. A few rows more than drawn.
    per_height: Vec<f32>,
    shared: Vec<Shared>,
    /// One more than is drawn: each ends where the next begins.
    quads: Vec<Quad>,
    /// How far each row is, and a little more, so that what stands on the ground lies before it.
    depths: Vec<f32>,
    /// How much further away the road is met than the sidewalk's height, in parts of 4,096.
    road_q12: i64,
}

impl Floor {
    /// Knows the rows of a camera by their slopes.
    pub(crate) fn new(
        slope: impl Fn(usize) -> f32,
        rows: usize,
        height_m: f32,
        focal: f32,
    ) -> Self {
        let quads = rows.div_ceil(QUAD) + 1;
        let per_height: Vec<f32> =
            (0..quads * QUAD).map(|row| 1.0 / (-slope(row)).max(1.0 / PER_HEIGHT_MAX)).collect();
        let shared = (0..quads).map(|n| {
            let z = per_height[n * QUAD] * height_m;
            // A pixel covers much more along than across; the middle of both keeps it neither blurred nor restless.
            let (across, along) = (z / focal, z * z / (height_m * focal));
            let texels = (across.powf(0.45) * along.powf(0.55)) * ground::TEXELS_PER_M;
            let coarse = match z {
                ..16.0 => 0,
                16.0..42.0 => 1,
                _ => 2,
            };
            let near = along * (QUAD as f32) < NEAR_STEP_M;
            Shared { copy: Copy::level(level_for(texels * 0.8)), coarse, near }
        });
        Self { shared: shared.collect(), per_height, ..Self::default() }
    }

    /// Makes ready for a picture from this height over the sidewalk.
    pub(crate) fn prepare(&mut self, eye: f32, air: &[Air]) {
        self.road_q12 = (4096.0 * (eye + KERB_HEIGHT_M as f32) / eye) as i64;
        self.depths.clear();
        self.depths.extend(self.per_height.iter().map(|k| k * eye + 0.02));
        self.quads.clear();
        let air_at = |z: f32| air[((z * 2.0) as usize).min(air.len() - 1)];
        self.quads.extend(self.shared.iter().zip(self.per_height.chunks_exact(QUAD)).map(
            |(shared, rows)| Quad {
                shared: *shared,
                z_q16: (rows[0] * eye * 65_536.0) as i64,
                air: [air_at(rows[0] * eye), air_at(rows[QUAD / 2] * eye)],
            },
        ));
    }
}

/// Where a column's ray meets the ground.
struct Ray<'a> {
    ground: &'a Ground,
    eye: Place,
    dx_q14: i64,
    dy_q14: i64,
    road_q12: i64,
}

impl Ray<'_> {
    /// The place at the sidewalk's height at this distance.
    #[inline]
    fn at(&self, z_q16: i64) -> Place {
        let x = self.eye.x.wrapping_add(((z_q16 * self.dx_q14) >> 14) as i32);
        Place { x, y: self.eye.y.wrapping_add(((z_q16 * self.dy_q14) >> 14) as i32) }
    }

    /// What is seen there, and where: the road lies lower and is met further on, if not hidden by the far kerb.
    #[inline]
    fn seen(&self, at: Place) -> (u8, Place) {
        let material = self.ground.material(at);
        if material >= ground::RAISED {
            return (material, at);
        }
        let further = |eye: i32, at: i32| {
            let way = i64::from(at.wrapping_sub(eye)) * self.road_q12;
            eye.wrapping_add((way >> 12) as i32)
        };
        let road = Place { x: further(self.eye.x, at.x), y: further(self.eye.y, at.y) };
        let material = self.ground.material(road);
        (if material >= ground::RAISED { KERB_FACE } else { material }, road)
    }

    #[inline]
    fn texels(&self, shared: &Shared, from: Place, to: Place) -> [Colour; QUAD] {
        let g = self.ground;
        if shared.near {
            let ((first, a), (last, b)) = (self.seen(from), self.seen(to));
            if first == last {
                return if first == KERB_FACE {
                    [g.kerb_face; QUAD]
                } else {
                    g.tiles.texels(first, shared.copy, a, a.quarter_to(b))
                };
            }
        }
        let step = from.quarter_to(to);
        let mut at = from;
        [(); QUAD].map(|()| {
            let (material, place) = self.seen(at);
            at = at.plus(step);
            if material == KERB_FACE {
                g.kerb_face
            } else {
                g.tiles.texels::<1>(material, shared.copy, place, step)[0]
            }
        })
    }
}

/// Draws the floor from row `base` down.
pub(crate) fn draw(c: &mut Column<'_>, p: &Paint<'_>, base: usize, dx: f32, dy: f32) {
    let (g, f) = (&p.assets.ground, p.floor);
    let end = c.pixels.len();
    if base >= end {
        return;
    }
    c.depths[base..end].copy_from_slice(&f.depths[base..end]);
    let [x, y, _] = p.view.at;
    let q14 = |d: f32| (d * 16_384.0) as i64;
    let ray = Ray {
        ground: g,
        eye: Place::new(x, y),
        dx_q14: q14(dx),
        dy_q14: q14(dy),
        road_q12: f.road_q12,
    };
    let mut row = base / QUAD * QUAD;
    let mut from = ray.at(f.quads[base / QUAD].z_q16);
    let mut shade = g.shade(from) as i32;
    for pair in f.quads[base / QUAD..].windows(2) {
        let (quad, to) = (&pair[0], ray.at(pair[1].z_q16));
        let next = g.shade(to) as i32;
        let texels = if quad.shared.coarse > 0 {
            let mut n = row;
            [(); QUAD].map(|()| {
                let z = f.depths[n];
                n += 1;
                g.coarse(usize::from(quad.shared.coarse) - 1, x + z * dx, y + z * dy)
            })
        } else {
            ray.texels(&quad.shared, from, to)
        };
        // The light changes slowly along a column: it is looked up for every fourth row and made for every other.
        let upper = quad.air[0].light((shade + (next - shade) / 4) as u32);
        let lower = quad.air[1].light((shade + (next - shade) * 3 / 4) as u32);
        let [a, b, c2, d] = texels;
        let lit = [upper.on(a), upper.on(b), lower.on(c2), lower.on(d)];
        if row >= base && row + QUAD <= end {
            c.pixels[row..row + QUAD].copy_from_slice(&lit);
        } else {
            for (n, pixel) in lit.into_iter().enumerate() {
                if (base..end).contains(&(row + n)) {
                    c.pixels[row + n] = pixel;
                }
            }
        }
        (from, shade, row) = (to, next, row + QUAD);
    }
}
