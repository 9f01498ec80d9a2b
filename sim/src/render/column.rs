//! Walls, floor and sky of one column.

use super::facade::{STOREY_M, TEXELS_PER_M};
use super::ground::{self, Ground};
use super::noise::hash;
use super::pixel::{Air, darken};
use super::shapes::Column;
use super::sky::Sky;
use super::texture::level_for;
use super::{Assets, Scene, View};
use crate::city::{KERB_HEIGHT_M, Rect};

/// What a column is painted from.
pub(crate) struct Paint<'a> {
    pub(crate) assets: &'a Assets,
    pub(crate) view: &'a View,
    pub(crate) floor: &'a [FloorNow],
    pub(crate) air: &'a [Air],
    pub(crate) shadows: &'a [Shadow],
}

/// What a row of floor has in common over all columns, for one camera.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FloorRow {
    /// Distance ahead for each metre of the camera's height; large above the horizon.
    per_height: f32,
    copy: ground::Copy,
    /// 0 near, 1 and 2 far.
    coarse: u32,
}

/// The same for one picture, with the camera's height over the ground known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FloorNow {
    z: f32,
    /// Distance in parts of 65,536 of a metre: to the sidewalk's plane and to the road's.
    z_q16: [i64; 2],
    copy: ground::Copy,
    coarse: u32,
    air: Air,
}

pub(crate) fn floor_rows(slopes: &[f32], height_m: f32, focal: f32) -> Vec<FloorRow> {
    let row = |slope: &f32| {
        if *slope > -1e-3 {
            return FloorRow { per_height: 1e3, copy: ground::Copy::level(9), coarse: 2 };
        }
        let per_height = -1.0 / slope;
        let z = per_height * height_m;
        // A pixel covers much more along than across; the middle of both keeps it neither blurred nor restless.
        let (across, along) = (z / focal, z * z / (height_m * focal));
        let texels = (across.powf(0.45) * along.powf(0.55)) * ground::TEXELS_PER_M;
        let coarse = if z < 16.0 {
            0
        } else if z < 42.0 {
            1
        } else {
            2
        };
        FloorRow { per_height, copy: ground::Copy::level(level_for(texels * 0.8)), coarse }
    };
    slopes.iter().map(row).collect()
}

pub(crate) fn floor_now(rows: &[FloorRow], eye: f32, air: &[Air], out: &mut Vec<FloorNow>) {
    out.clear();
    out.extend(rows.iter().map(|row| {
        let z = row.per_height * eye;
        let q16 = |z: f32| (z.min(1000.0) * 65_536.0) as i64;
        FloorNow {
            z,
            z_q16: [q16(z), q16(row.per_height * (eye + KERB_HEIGHT_M as f32))],
            copy: row.copy,
            coarse: row.coarse,
            air: air[((z * 2.0) as usize).min(air.len() - 1)],
        }
    }));
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
    floor(c, p, base, dx, dy);
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
            let zk = z * k;
            for (pixel, slope) in
                c.pixels[from..upper_row].iter_mut().zip(&c.slopes[from..upper_row])
            {
                let v = (low + slope * zk) as i32;
                *pixel = light.on(column[v.clamp(0, side as i32 - 1) as usize]);
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

fn floor(c: &mut Column<'_>, p: &Paint<'_>, base: usize, dx: f32, dy: f32) {
    let g: &Ground = &p.assets.ground;
    let [x, y, _] = p.view.at;
    let (x_q16, y_q16) = ground::place_q16(x, y);
    let q14 = |d: f32| (d * 16_384.0) as i64;
    let (dx_q14, dy_q14) = (q14(dx), q14(dy));
    let at = |z_q16: i64| {
        let x = x_q16.wrapping_add(((z_q16 * dx_q14) >> 14) as i32);
        (x, y_q16.wrapping_add(((z_q16 * dy_q14) >> 14) as i32))
    };
    let end = c.pixels.len();
    let shade_at = |f: &FloorNow| {
        let (x, y) = at(f.z_q16[0]);
        g.shade(x, y) as i32
    };
    let (Some(last), true) = (p.floor.last(), base < end) else { return };
    let mut shade = shade_at(&p.floor[base]);
    let rows = p.floor[base..end].chunks(4);
    let pixels = c.pixels[base..end].chunks_mut(4);
    let depths = c.depths[base..end].chunks_mut(4);
    let mut row = base;
    for ((rows, pixels), depths) in rows.zip(pixels).zip(depths) {
        // The light changes slowly along a column: it is looked up for every fourth row and made for every other.
        row += 4;
        let next = shade_at(p.floor.get(row).unwrap_or(last));
        let mut light = rows[0].air.light((shade + (next - shade) / 4) as u32);
        for (n, ((f, pixel), depth)) in rows.iter().zip(pixels).zip(depths).enumerate() {
            *depth = f.z + 0.02;
            if n == 2 {
                light = f.air.light((shade + (next - shade) * 3 / 4) as u32);
            }
            let texel = if f.coarse > 0 {
                g.coarse(f.coarse as usize - 1, x + f.z * dx, y + f.z * dy)
            } else {
                let (gx, gy) = at(f.z_q16[0]);
                let material = g.material(gx, gy);
                if material >= ground::RAISED {
                    g.texel(material, f.copy, gx, gy)
                } else {
                    // Road lies lower: the ray meets it further on, or meets the far kerb first.
                    let (gx, gy) = at(f.z_q16[1]);
                    let material = g.material(gx, gy);
                    if material >= ground::RAISED {
                        g.kerb_face
                    } else {
                        g.texel(material, f.copy, gx, gy)
                    }
                }
            };
            *pixel = light.on(texel);
        }
        shade = next;
    }
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
        let (x_q16, y_q16) = ground::place_q16(x, y);
        if ground.shade(x_q16, y_q16) > 190 {
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
