//! Walls, floor and sky of one column.

use super::facade::{STOREY_M, TEXELS_PER_M};
use super::floor::{self, Floor};
use super::ground::{Ground, Place};
use super::noise::hash;
use super::pixel::{Air, darken};
use super::shapes::Column;
use super::sky::Sky;
use super::texture::level_for;
use super::{Assets, Scene, View};
use crate::city::Rect;

/// What a column is painted from.
pub(crate) struct Paint<'a> {
    pub(crate) assets: &'a Assets,
    pub(crate) view: &'a View,
    pub(crate) floor: &'a Floor,
    pub(crate) air: &'a [Air],
    pub(crate) shadows: &'a [Shadow],
}

/// A building that may be in view, relative to the camera.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wall {
    rect: [f32; 4],
    height_m: f32,
    style: usize,
    salt: u32,
}

pub(crate) fn visible(assets: &Assets, view: &View) -> Vec<Wall> {
    let relative = |r: &Rect| {
        [
            r.x0 as f32 - view.at[0],
            r.y0 as f32 - view.at[1],
            r.x1 as f32 - view.at[0],
            r.y1 as f32 - view.at[1],
        ]
    };
    let in_view = |w: &Wall| {
        let [x0, y0, x1, y1] = w.rect;
        let corners = [[x0, y0], [x1, y0], [x0, y1], [x1, y1]];
        let z = |c: &[f32; 2]| c[0] * view.ahead[0] + c[1] * view.ahead[1];
        let x = |c: &[f32; 2]| c[0] * view.right[0] + c[1] * view.right[1];
        corners.iter().any(|c| z(c) > 0.0)
            && !corners.iter().all(|c| x(c) > 1.1 * z(c).max(0.0) + 0.1)
            && !corners.iter().all(|c| x(c) < -1.1 * z(c).max(0.0) - 0.1)
    };
    assets
        .city
        .buildings
        .iter()
        .map(|b| Wall {
            rect: relative(&b.rect),
            height_m: b.height_m as f32,
            style: b.style,
            salt: b.salt,
        })
        .filter(in_view)
        .collect()
}

/// Where a column meets a wall.
#[derive(Clone, Copy)]
struct Hit {
    z: f32,
    wall: usize,
    /// The way along the face, its length, and which face: west, east, south, north.
    along: f32,
    length: f32,
    face: u32,
}

fn hit(w: &Wall, n: usize, dx: f32, dy: f32) -> Option<Hit> {
    let [x0, y0, x1, y1] = w.rect;
    let (ix, iy) = (1.0 / dx, 1.0 / dy);
    let (ax, bx) = if dx > 0.0 { (x0 * ix, x1 * ix) } else { (x1 * ix, x0 * ix) };
    let (ay, by) = if dy > 0.0 { (y0 * iy, y1 * iy) } else { (y1 * iy, y0 * iy) };
    let z = ax.max(ay);
    if z <= 0.02 || z > bx.min(by) {
        return None;
    }
    let (along, length, face) = if ax > ay {
        let along = dy * z - y0;
        if dx > 0.0 { (y1 - y0 - along, y1 - y0, 0) } else { (along, y1 - y0, 1) }
    } else {
        let along = dx * z - x0;
        if dy > 0.0 { (along, x1 - x0, 2) } else { (x1 - x0 - along, x1 - x0, 3) }
    };
    Some(Hit { z, wall: n, along, length, face })
}

/// Light on the four faces, of 256: the sun stands in the south-south-east.
const FACE_SHADE: [u32; 4] = [124, 196, 256, 130];

/// Draws everything that stands still and is larger than furniture.
pub(crate) fn background(c: &mut Column<'_>, p: &Paint<'_>, walls: &[Wall]) {
    let v = p.view;
    let (dx, dy) = (v.ahead[0] + c.across * v.right[0], v.ahead[1] + c.across * v.right[1]);
    let mut hits = [Hit { z: 0.0, wall: 0, along: 0.0, length: 1.0, face: 0 }; 24];
    let mut count = 0;
    for (n, w) in walls.iter().enumerate() {
        let Some(hit) = hit(w, n, dx, dy) else { continue };
        let mut at = count.min(hits.len() - 1);
        while at > 0 && hits[at - 1].z > hit.z {
            hits[at] = hits[at - 1];
            at -= 1;
        }
        hits[at] = hit;
        count = (count + 1).min(hits.len());
    }
    let horizon = c.rows.at(-v.at[2] / 150.0);
    let base = if count > 0 { c.rows.at(-v.at[2] / hits[0].z) } else { horizon };
    let mut top = base;
    for hit in &hits[..count] {
        let w = &walls[hit.wall];
        let roof = c.rows.at((w.height_m - v.at[2]) / hit.z);
        if roof < top {
            facade(c, p, w, hit, roof, top);
            top = roof;
        }
        if top == 0 {
            break;
        }
    }
    sky(c, p, top);
    floor::draw(c, p, base, dx, dy);
    for shadow in p.shadows {
        shadow.draw(c, v, base, dx, dy);
    }
}

fn sky(c: &mut Column<'_>, p: &Paint<'_>, to: usize) {
    let column = p.assets.sky.column(p.view.heading_rad - c.across.atan());
    let k = Sky::UP_PER_SLOPE / (1.0 + c.across * c.across).sqrt();
    for (pixel, slope) in c.pixels[..to].iter_mut().zip(c.slopes) {
        let v = (slope * k) as i32;
        *pixel = column[v.clamp(0, Sky::UP as i32 - 1) as usize];
    }
}

fn facade(c: &mut Column<'_>, p: &Paint<'_>, w: &Wall, hit: &Hit, roof: usize, to: usize) {
    let f = &p.assets.facades[w.style];
    let z = hit.z;
    c.depths[roof..to].fill(z);
    let air = &p.air[((z * 2.0) as usize).min(p.air.len() - 1)];
    let light = air.light(FACE_SHADE[hit.face as usize]);
    let bays = (hit.length / STOREY_M).round().max(1.0);
    let bay_at = hit.along / hit.length * bays;
    let bay = bay_at.floor();
    let level = level_for(TEXELS_PER_M * z / c.rows.focal * 0.8);
    let eye = p.view.at[2];
    let storeys = ((w.height_m - 0.6) / STOREY_M).floor();
    let mut upper_row = to;
    for n in 0..storeys as usize {
        let ceiling = (n as f32 + 1.0) * STOREY_M;
        let from = c.rows.at((ceiling - eye) / z).max(roof);
        if from < upper_row {
            let chance = hash(bay as i32 + 16 * hit.face as i32, n as i32, w.salt);
            let texture = if n > 0 {
                &f.upper[usize::from(chance > 0.72)]
            } else if chance < 0.5 {
                &f.ground[0]
            } else if chance < 0.72 {
                &f.ground[1]
            } else {
                &f.ground[2]
            };
            let (texels, log2) = texture.level(level);
            let side = 1_usize << log2;
            let u = (((bay_at - bay) * side as f32) as usize).min(side - 1);
            let column = &texels[u << log2..(u + 1) << log2];
            let k = side as f32 / STOREY_M;
            let low = (eye - n as f32 * STOREY_M) * k;
            let (low_q16, zk_q8) = ((low * 65_536.0) as i64, (z * k * 256.0) as i64);
            for (pixel, slope) in
                c.pixels[from..upper_row].iter_mut().zip(&c.slopes_q24[from..upper_row])
            {
                let v = (low_q16 + ((i64::from(*slope) * zk_q8) >> 16)) >> 16;
                *pixel = light.on(column[v.clamp(0, side as i64 - 1) as usize]);
            }
            upper_row = from;
        }
    }
    let foot = storeys * STOREY_M;
    let bands = [foot + 0.14, w.height_m - 0.12, w.height_m + 1.0];
    for (height, colour) in bands.into_iter().zip(f.cornice) {
        let from = c.rows.at((height - eye) / z).max(roof).min(upper_row);
        c.pixels[from..upper_row].fill(light.on(colour));
        upper_row = from;
    }
    c.pixels[roof..upper_row].fill(light.on(f.cornice[2]));
}

/// A shadow that walks with someone: an ellipse on the ground, from the feet away from the sun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shadow {
    x: f32,
    y: f32,
    /// Half axes along and across the sun's direction, as inverses.
    long: f32,
    short: f32,
    keep: u32,
}

pub(crate) fn shadows(scene: &Scene, view: &View, ground: &Ground) -> Vec<Shadow> {
    let mut out = Vec::new();
    let flat = super::SUN[0].hypot(super::SUN[1]);
    let (sx, sy) = (super::SUN[0] / flat, super::SUN[1] / flat);
    for p in &scene.people {
        let (x, y) = (p.x as f32, p.y as f32);
        let [_, _, z] = view.level([x, y, 0.0]);
        if !(-2.0..40.0).contains(&z) {
            continue;
        }
        if ground.shade(Place::new(x, y)) > 190 {
            let length = 0.88;
            let (x, y) = (x - sx * length, y - sy * length);
            out.push(Shadow { x, y, long: 1.0 / 0.98, short: 1.0 / 0.24, keep: 150 });
        }
        out.push(Shadow { x, y, long: 1.0 / 0.3, short: 1.0 / 0.3, keep: 190 });
    }
    out
}

impl Shadow {
    fn draw(&self, c: &mut Column<'_>, view: &View, base: usize, dx: f32, dy: f32) {
        let flat = super::SUN[0].hypot(super::SUN[1]);
        let (sx, sy) = (super::SUN[0] / flat, super::SUN[1] / flat);
        // The ray and the camera in the ellipse's own axes, where it is a unit circle.
        let turn = |x: f32, y: f32| ((x * sx + y * sy) * self.long, (y * sx - x * sy) * self.short);
        let (ox, oy) = turn(view.at[0] - self.x, view.at[1] - self.y);
        let (rx, ry) = turn(dx, dy);
        let (a, b) = (rx * rx + ry * ry, ox * rx + oy * ry);
        let root = b * b - a * (ox * ox + oy * oy - 1.0);
        if root <= 0.0 {
            return;
        }
        let (near, far) = ((-b - root.sqrt()) / a, (-b + root.sqrt()) / a);
        if far < 0.1 {
            return;
        }
        let from = c.rows.at(-view.at[2] / far).max(base);
        let to = if near > 0.05 { c.rows.at(-view.at[2] / near) } else { c.pixels.len() };
        if from < to {
            for pixel in &mut c.pixels[from..to] {
                *pixel = darken(*pixel, self.keep);
            }
        }
    }
}
