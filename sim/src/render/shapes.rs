//! What furniture, cars and people are made of, in the camera's level frame: X right, Y up, Z ahead, metres.
//!
//! Each shape knows the span of columns that it touches and draws itself into one column at a time, against that
//! column's depths.

use super::noise::hash_256;
use super::pixel::{Air, Colour, lerp};

pub(crate) type Vec3 = [f32; 3];

pub(crate) fn sub(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(crate) fn dot(a: Vec3, b: Vec3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: Vec3, b: Vec3) -> Vec3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// One column of the picture being drawn.
pub(crate) struct Column<'a> {
    /// The column's offset to the right at Z = 1.
    pub(crate) across: f32,
    /// Rise over run of each row, falling.
    pub(crate) slopes: &'a [f32],
    /// The same in parts of 2^24.
    pub(crate) slopes_q24: &'a [i32],
    pub(crate) pixels: &'a mut [Colour],
    pub(crate) depths: &'a mut [f32],
    /// Finds the first row whose slope is not above the given one.
    pub(crate) rows: &'a Rows,
}

/// Rows by slope, for one pitch.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub(crate) focal: f32,
    pub(crate) middle: f32,
    pub(crate) tan_pitch: f32,
    pub(crate) count: usize,
}

impl Rows {
    /// The first row whose centre lies at or below this slope.
    #[inline]
    pub(crate) fn at(&self, slope: f32) -> usize {
        let below = 1.0 + slope * self.tan_pitch;
        let row = self.middle + self.focal * (self.tan_pitch - slope) / below - 0.5;
        // Rounded up; the processors that we build for may have no instruction for it.
        let whole = row.clamp(-1.0, 1e6) as i32;
        let up = whole + i32::from(row > whole as f32);
        (up.max(0) as usize).min(self.count)
    }
}

/// How the sun and the air light one shape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lit {
    /// Towards the sun.
    pub(crate) sun: Vec3,
    pub(crate) air: Air,
    /// How much of the sun reaches it, 0 to 1.
    pub(crate) sunny: f32,
}

impl Lit {
    /// The shade of a surface with this normal, of 256.
    #[inline]
    pub(crate) fn shade(&self, normal: Vec3) -> u32 {
        let facing = dot(normal, self.sun).max(0.0) * self.sunny;
        let from_sky = 0.44 + 0.1 * normal[1];
        ((from_sky + 0.56 * facing) * 256.0).clamp(0.0, 256.0) as u32
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Post(Post),
    Limb(Limb),
    Flat(Flat),
}

/// An upright cylinder.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) x: f32,
    pub(crate) z: f32,
    pub(crate) radius: f32,
    pub(crate) bottom: f32,
    pub(crate) top: f32,
    pub(crate) colour: Colour,
    pub(crate) lit: Lit,
}

/// A line with a thickness at each end: a limb, a head, a ball of leaves. Both ends as slopes and radii at Z = 1.
#[derive(Debug, Clone)]
pub(crate) struct Limb {
    from: [f32; 2],
    to: [f32; 2],
    radius: [f32; 2],
    z: [f32; 2],
    pub(crate) colour: Colour,
    leaves: Option<u32>,
    lit: Lit,
}

/// A flat convex polygon.
#[derive(Debug, Clone)]
pub(crate) struct Flat {
    points: [[f32; 2]; 8],
    count: usize,
    /// 1/Z as a function of column, slope and one.
    inverse_z: Vec3,
    tops: [Colour; 2],
    span: [f32; 2],
}

/// Nearer than this nothing is drawn.
pub(crate) const NEAR_M: f32 = 0.12;

impl Limb {
    pub(crate) fn shape(
        a: Vec3,
        b: Vec3,
        radius_m: [f32; 2],
        colour: Colour,
        lit: Lit,
        leaves: Option<u32>,
    ) -> Option<Shape> {
        if a[2] < NEAR_M + radius_m[0] || b[2] < NEAR_M + radius_m[1] {
            return None;
        }
        Some(Shape::Limb(Self {
            from: [a[0] / a[2], a[1] / a[2]],
            to: [b[0] / b[2], b[1] / b[2]],
            radius: [radius_m[0] / a[2], radius_m[1] / b[2]],
            z: [a[2], b[2]],
            colour,
            leaves,
            lit,
        }))
    }

    fn draw(&self, c: &mut Column<'_>) {
        if let Some(salt) = self.leaves {
            return self.draw_leaves(c, salt);
        }
        let [ax, ay] = self.from;
        let (bx, by) = (self.to[0] - ax, self.to[1] - ay);
        let inv = 1.0 / (bx * bx + by * by).max(1e-9);
        let dr = self.radius[1] - self.radius[0];
        let high = (ay + self.radius[0]).max(self.to[1] + self.radius[1]);
        let low = (ay - self.radius[0]).min(self.to[1] - self.radius[1]);
        let px = c.across - ax;
        for r in c.rows.at(high)..c.rows.at(low) {
            let py = c.slopes[r] - ay;
            let h = ((px * bx + py * by) * inv).clamp(0.0, 1.0);
            let radius = self.radius[0] + dr * h;
            let (ox, oy) = (px - bx * h, py - by * h);
            let off = ox * ox + oy * oy;
            if off >= radius * radius {
                continue;
            }
            let z = self.z[0] + (self.z[1] - self.z[0]) * h;
            if z - radius * z >= c.depths[r] {
                continue;
            }
            let inverse = 1.0 / radius;
            let (nx, ny) = (ox * inverse, oy * inverse);
            let nz = (1.0 - off * inverse * inverse).sqrt();
            let depth = z - radius * z * nz;
            if depth >= c.depths[r] {
                continue;
            }
            let shade = self.lit.shade([nx, ny, -nz]);
            c.depths[r] = depth;
            c.pixels[r] = self.lit.air.light(shade).on(self.colour);
        }
    }
}

impl Limb {
    /// A ball of leaves: clumps of two sizes, ragged at the edge, with holes towards the outside.
    fn draw_leaves(&self, c: &mut Column<'_>, salt: u32) {
        let ([ax, ay], radius, z) = (self.from, self.radius[0], self.z[0]);
        let inverse = 1.0 / radius;
        let nx = (c.across - ax) * inverse;
        let across = 1.0 - nx * nx;
        if across <= 0.0 {
            return;
        }
        let half = across.sqrt() * radius;
        let (from, to) = (c.rows.at(ay + half), c.rows.at(ay - half));
        // Leaves and clumps are squares on a grid that stands still in the crown.
        let (k_leaf, k_clump) = (z * 34.0, z * 10.2);
        let (leaf_x, clump_x) = ((c.across * k_leaf) as i32, ((c.across + 9.0) * k_clump) as i32);
        let (deep, front) = (radius * z, z - radius * z);
        let rows = c.slopes[from..to].iter().zip(&mut c.depths[from..to]);
        for ((slope, depth), pixel) in rows.zip(&mut c.pixels[from..to]) {
            if front >= *depth {
                continue;
            }
            let ny = (slope - ay) * inverse;
            let nz = (across - ny * ny).max(0.0).sqrt();
            let here = z - deep * nz;
            if here >= *depth {
                continue;
            }
            let leaf = hash_256(leaf_x, (slope * k_leaf) as i32, salt);
            let clump = hash_256(clump_x, ((slope + 9.0) * k_clump) as i32, salt);
            if nz * 256.0 < 0.62 * clump as f32 + 0.25 * leaf as f32 {
                continue;
            }
            let shade = self.lit.shade([nx, ny, -nz]);
            let shade = ((shade * (120 + ((clump * 90 + leaf * 76) >> 8))) >> 8).min(256);
            *depth = here;
            *pixel = self.lit.air.light(shade).on(self.colour);
        }
    }
}

impl Post {
    fn draw(&self, c: &mut Column<'_>) {
        // Where the column's vertical plane meets the cylinder: (across·z − x)² + (z − zc)² = r².
        let a = c.across * c.across + 1.0;
        let b = c.across * self.x + self.z;
        let root = b * b - a * (self.x * self.x + self.z * self.z - self.radius * self.radius);
        if root < 0.0 {
            return;
        }
        let (near, far) = ((b - root.sqrt()) / a, (b + root.sqrt()) / a);
        if near < NEAR_M {
            return;
        }
        let normal = [(c.across * near - self.x) / self.radius, 0.0, (near - self.z) / self.radius];
        let light = self.lit.air.light(self.lit.shade(normal)).on(self.colour);
        let top = c.rows.at(self.top / near);
        fill(c, top, c.rows.at(self.bottom / near), near, light);
        if self.top < 0.0 {
            let lid = self.lit.air.light(self.lit.shade([0.0, 1.0, 0.0])).on(self.colour);
            fill(c, c.rows.at(self.top / far), top, near, lid);
        }
    }
}

fn fill(c: &mut Column<'_>, from: usize, to: usize, depth: f32, colour: Colour) {
    if from >= to {
        return;
    }
    for (pixel, z) in c.pixels[from..to].iter_mut().zip(&mut c.depths[from..to]) {
        if depth < *z {
            *z = depth;
            *pixel = colour;
        }
    }
}

impl Flat {
    /// A polygon seen from its front (points counter-clockwise to the viewer); `fade` darkens its lower edge.
    pub(crate) fn shape(
        points: &[Vec3],
        colour: Colour,
        lit: Lit,
        fade: [u32; 2],
    ) -> Option<Shape> {
        // The level frame is left-handed, so that the second edge comes first.
        let normal = cross(sub(points[2], points[0]), sub(points[1], points[0]));
        let length = dot(normal, normal).sqrt().max(1e-9);
        let normal = normal.map(|n| n / length);
        let distance = dot(normal, points[0]);
        if distance > -1e-4 {
            return None;
        }
        let mut clipped = [[0.0; 3]; 8];
        let mut count = 0;
        for (n, a) in points.iter().enumerate() {
            let b = points[(n + 1) % points.len()];
            if a[2] >= NEAR_M && count < 8 {
                clipped[count] = *a;
                count += 1;
            }
            if (a[2] < NEAR_M) != (b[2] < NEAR_M) && count < 8 {
                let t = (NEAR_M - a[2]) / (b[2] - a[2]);
                clipped[count] = [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, NEAR_M];
                count += 1;
            }
        }
        if count < 3 {
            return None;
        }
        let mut flat = [[0.0; 2]; 8];
        let mut span = [f32::INFINITY, f32::NEG_INFINITY];
        for n in 0..count {
            let p = clipped[n];
            flat[n] = [p[0] / p[2], p[1] / p[2]];
            span = [span[0].min(flat[n][1]), span[1].max(flat[n][1])];
        }
        let shade = lit.shade(normal);
        let tops = fade.map(|k| lit.air.light((shade * k) >> 8).on(colour));
        let inverse_z = normal.map(|n| n / distance);
        Some(Shape::Flat(Self { points: flat, count, inverse_z, tops, span }))
    }

    fn draw(&self, c: &mut Column<'_>) {
        let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
        for n in 0..self.count {
            let (a, b) = (self.points[n], self.points[(n + 1) % self.count]);
            if (a[0] <= c.across) != (b[0] <= c.across) {
                let t = a[1] + (b[1] - a[1]) * (c.across - a[0]) / (b[0] - a[0]);
                low = low.min(t);
                high = high.max(t);
            }
        }
        if low >= high {
            return;
        }
        let base = self.inverse_z[0] * c.across + self.inverse_z[2];
        let height = 256.0 / (self.span[1] - self.span[0]).max(1e-6);
        let same = self.tops[0] == self.tops[1];
        for r in c.rows.at(high)..c.rows.at(low) {
            let depth = 1.0 / (base + self.inverse_z[1] * c.slopes[r]);
            if depth < c.depths[r] {
                c.depths[r] = depth;
                let k = ((self.span[1] - c.slopes[r]) * height).clamp(0.0, 256.0) as u32;
                c.pixels[r] = if same { self.tops[0] } else { lerp(self.tops[0], self.tops[1], k) };
            }
        }
    }
}

impl Shape {
    /// Leftmost and rightmost `across`.
    pub(crate) fn span(&self) -> (f32, f32) {
        match self {
            Self::Post(p) => {
                let z = (p.z - p.radius).max(NEAR_M);
                let (a, b) = ((p.x - p.radius) / z, (p.x + p.radius) / z);
                let z = p.z + p.radius;
                (a.min((p.x - p.radius) / z), b.max((p.x + p.radius) / z))
            }
            Self::Limb(l) => (
                (l.from[0] - l.radius[0]).min(l.to[0] - l.radius[1]),
                (l.from[0] + l.radius[0]).max(l.to[0] + l.radius[1]),
            ),
            Self::Flat(f) => f.points[..f.count]
                .iter()
                .fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), p| (a.min(p[0]), b.max(p[0]))),
        }
    }

    /// How near it is, for drawing the nearest first.
    pub(crate) fn nearest(&self) -> f32 {
        match self {
            Self::Post(p) => p.z - p.radius,
            Self::Limb(l) => l.z[0].min(l.z[1]),
            Self::Flat(f) => {
                let inverse = |p: &[f32; 2]| dot(f.inverse_z, [p[0], p[1], 1.0]);
                1.0 / f.points[..f.count].iter().map(inverse).fold(1e-6, f32::max)
            }
        }
    }

    pub(crate) fn draw(&self, c: &mut Column<'_>) {
        match self {
            Self::Post(p) => p.draw(c),
            Self::Limb(l) => l.draw(c),
            Self::Flat(f) => f.draw(c),
        }
    }
}
