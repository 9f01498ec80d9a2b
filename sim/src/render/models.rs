//! Turns fixtures and people into shapes.

use super::View;
use super::pixel::{Air, Colour, colour, rgb};
use super::shapes::{Flat, Limb, Lit, Post, Shape, Vec3};
use crate::city::{Fixture, Kind};
use crate::people::Person;

/// Collects the shapes of one object, given in its own frame: x ahead, y to its left, z up from the ground.
pub(crate) struct Maker<'a> {
    pub(crate) out: &'a mut Vec<Shape>,
    view: &'a View,
    x: f32,
    y: f32,
    ground: f32,
    cos: f32,
    sin: f32,
    lit: Lit,
}

fn c(r: u8, g: u8, b: u8) -> Colour {
    colour(rgb(r, g, b))
}

const FLAT: [u32; 2] = [256, 256];

impl<'a> Maker<'a> {
    pub(crate) fn new(
        out: &'a mut Vec<Shape>,
        view: &'a View,
        place: (f32, f32, f32),
        facing_rad: f32,
        sunny: f32,
    ) -> Self {
        let (x, y, ground) = place;
        let [_, _, z] = view.level([x, y, ground]);
        let lit = Lit { sun: view.sun, air: Air::new(z.max(0.0), view.haze), sunny };
        let (sin, cos) = facing_rad.sin_cos();
        Self { out, view, x, y, ground, cos, sin, lit }
    }

    fn at(&self, p: Vec3) -> Vec3 {
        self.view.level([
            self.x + p[0] * self.cos - p[1] * self.sin,
            self.y + p[0] * self.sin + p[1] * self.cos,
            self.ground + p[2],
        ])
    }

    fn post(&mut self, at: [f32; 2], radius: f32, heights: [f32; 2], colour: Colour) {
        let [x, bottom, z] = self.at([at[0], at[1], heights[0]]);
        if z > radius + 0.12 {
            let top = bottom + heights[1] - heights[0];
            let lit = self.lit;
            self.out.push(Shape::Post(Post { x, z, radius, bottom, top, colour, lit }));
        }
    }

    fn limb(&mut self, a: Vec3, b: Vec3, radius: [f32; 2], colour: Colour) {
        let (a, b) = (self.at(a), self.at(b));
        self.out.extend(Limb::shape(a, b, radius, colour, self.lit, None));
    }

    fn leaves(&mut self, at: Vec3, radius: f32, colour: Colour, salt: u32) {
        let p = self.at(at);
        self.out.extend(Limb::shape(p, p, [radius; 2], colour, self.lit, Some(salt)));
    }

    fn flat(&mut self, points: &[Vec3], colour: Colour, fade: [u32; 2]) {
        let mut level = [[0.0; 3]; 8];
        for (to, from) in level.iter_mut().zip(points) {
            *to = self.at(*from);
        }
        let count = points.len().min(8);
        self.out.extend(Flat::shape(&level[..count], colour, self.lit, fade));
    }

    /// A polygon in an upright plane along the object's x axis, on its left (y > 0) or right side.
    fn side(&mut self, profile: &[[f32; 2]], y: f32, colour: Colour, fade: [u32; 2]) {
        let mut points = [[0.0; 3]; 8];
        let count = profile.len().min(8);
        for (n, p) in profile.iter().take(8).enumerate() {
            let to = if y > 0.0 { count - 1 - n } else { n };
            points[to] = [p[0], y, p[1]];
        }
        self.flat(&points[..count], colour, fade);
    }

    /// A quad across the object's width, from `a` to `b` (x, half width, z).
    fn band(&mut self, a: Vec3, b: Vec3, colour: Colour, fade: [u32; 2]) {
        let points =
            [[a[0], -a[1], a[2]], [a[0], a[1], a[2]], [b[0], b[1], b[2]], [b[0], -b[1], b[2]]];
        self.flat(&points, colour, fade);
    }

    fn cuboid(&mut self, low: Vec3, high: Vec3, colour: Colour) {
        let ([x0, y0, z0], [x1, y1, z1]) = (low, high);
        let faces = [
            [[x1, y0, z0], [x1, y1, z0], [x1, y1, z1], [x1, y0, z1]],
            [[x0, y1, z0], [x0, y0, z0], [x0, y0, z1], [x0, y1, z1]],
            [[x1, y1, z0], [x0, y1, z0], [x0, y1, z1], [x1, y1, z1]],
            [[x0, y0, z0], [x1, y0, z0], [x1, y0, z1], [x0, y0, z1]],
            [[x0, y0, z1], [x1, y0, z1], [x1, y1, z1], [x0, y1, z1]],
        ];
        for face in faces {
            self.flat(&face, colour, [256, 215]);
        }
    }
}

pub(crate) fn fixture(m: &mut Maker<'_>, f: &Fixture) {
    match f.kind {
        Kind::Lamp => lamp(m),
        Kind::Tree => tree(m, f.variant),
        Kind::Bin => {
            m.post([0.0, 0.0], 0.24, [0.06, 0.80], c(58, 84, 66));
            m.post([0.0, 0.0], 0.20, [0.0, 0.06], c(40, 42, 44));
            m.post([0.0, 0.0], 0.26, [0.80, 0.90], c(44, 62, 52));
            m.post([0.0, 0.0], 0.245, [0.55, 0.60], c(196, 190, 120));
        }
        Kind::Bench => bench(m),
        Kind::Bollard => {
            m.post([0.0, 0.0], 0.08, [0.0, 0.78], c(46, 48, 52));
            m.post([0.0, 0.0], 0.084, [0.60, 0.70], c(232, 230, 226));
            m.limb([0.0, 0.0, 0.79], [0.0, 0.0, 0.80], [0.08, 0.08], c(52, 54, 58));
        }
        Kind::Hydrant => {
            let red = c(196, 46, 36);
            m.post([0.0, 0.0], 0.16, [0.0, 0.07], c(120, 40, 34));
            m.post([0.0, 0.0], 0.11, [0.07, 0.56], red);
            m.post([0.0, 0.0], 0.135, [0.50, 0.56], red);
            m.limb([0.0, 0.0, 0.57], [0.0, 0.0, 0.62], [0.11, 0.08], red);
            m.limb([0.0, 0.0, 0.66], [0.0, 0.0, 0.70], [0.035, 0.03], c(210, 180, 60));
            m.limb([0.0, -0.17, 0.40], [0.0, 0.17, 0.40], [0.055, 0.055], c(210, 180, 60));
            m.limb([0.17, 0.0, 0.36], [0.0, 0.0, 0.36], [0.065, 0.065], c(210, 180, 60));
        }
        Kind::Car => super::car::car(m, f.variant),
        Kind::Sign => sign(m, f.variant),
    }
}

fn lamp(m: &mut Maker<'_>) {
    let iron = c(52, 62, 60);
    m.post([0.0, 0.0], 0.11, [0.0, 0.55], iron);
    m.post([0.0, 0.0], 0.085, [0.55, 0.7], c(70, 82, 80));
    m.post([0.0, 0.0], 0.055, [0.7, 4.9], iron);
    // The arm reaches over the road, behind the post as the furniture faces.
    m.limb([0.0, 0.0, 4.85], [-1.0, 0.0, 5.25], [0.045, 0.04], iron);
    m.limb([-0.85, 0.0, 5.22], [-1.5, 0.0, 5.26], [0.09, 0.06], c(80, 90, 90));
    m.limb([-0.95, 0.0, 5.16], [-1.4, 0.0, 5.18], [0.06, 0.04], c(240, 236, 214));
}

fn tree(m: &mut Maker<'_>, variant: u32) {
    let bark = c(96, 80, 64);
    let lean = (variant % 7) as f32 * 0.02 - 0.06;
    m.post([0.0, 0.0], 0.15, [0.0, 0.35], bark);
    m.limb([0.0, 0.0, 0.2], [lean, 0.05, 2.9], [0.13, 0.09], bark);
    m.limb([lean, 0.0, 2.3], [lean + 0.8, 0.3, 3.6], [0.07, 0.04], bark);
    m.limb([lean, 0.0, 2.5], [lean - 0.7, -0.3, 3.7], [0.07, 0.04], bark);
    let greens = match variant % 3 {
        0 => [c(96, 134, 58), c(78, 116, 50), c(118, 152, 66)],
        1 => [c(112, 140, 54), c(92, 122, 46), c(134, 158, 70)],
        _ => [c(82, 124, 66), c(66, 106, 58), c(102, 142, 74)],
    };
    let mut rng = crate::rng::Rng::new(u64::from(variant), 9);
    for n in 0..15_u32 {
        let turn = n as f32 * 2.4;
        let ring = if n < 6 {
            1.15
        } else if n < 12 {
            0.8
        } else {
            0.25
        };
        let z = if n < 6 {
            3.5
        } else if n < 12 {
            4.4
        } else {
            5.1
        };
        let jitter = |rng: &mut crate::rng::Rng| rng.range(-0.25, 0.25) as f32;
        let at = [
            lean + ring * turn.cos() + jitter(&mut rng),
            ring * turn.sin() + jitter(&mut rng),
            z + jitter(&mut rng),
        ];
        let radius = rng.range(0.75, 1.05) as f32;
        m.leaves(at, radius, greens[(n % 3) as usize], variant.wrapping_add(n));
    }
}

fn bench(m: &mut Maker<'_>) {
    let (wood, iron) = (c(156, 108, 66), c(50, 52, 54));
    // It faces the sidewalk; its length runs along y.
    for y in [-0.6, 0.6] {
        m.cuboid([-0.2, y - 0.03, 0.0], [0.2, y + 0.03, 0.42], iron);
        m.cuboid([-0.24, y - 0.03, 0.42], [-0.19, y + 0.03, 0.85], iron);
    }
    for x in [-0.17, -0.02, 0.13] {
        m.cuboid([x - 0.06, -0.8, 0.42], [x + 0.06, 0.8, 0.46], wood);
    }
    for z in [0.55, 0.72] {
        m.cuboid([-0.2, -0.8, z], [-0.17, 0.8, z + 0.12], wood);
    }
}

fn sign(m: &mut Maker<'_>, variant: u32) {
    m.post([0.0, 0.0], 0.03, [0.0, 2.35], c(140, 144, 148));
    let disc = |m: &mut Maker<'_>, radius: f32, y: f32, colour: Colour| {
        let mut points = [[0.0; 3]; 8];
        for side in [1.0_f32, -1.0] {
            for (n, p) in points.iter_mut().enumerate() {
                let turn = (n as f32 + 0.5) * std::f32::consts::FRAC_PI_4;
                // It faces along the street, both ways.
                *p = [radius * turn.cos(), y * side, 2.1 + radius * turn.sin()];
            }
            let back = side > 0.0;
            if back {
                points.reverse();
            }
            m.flat(&points, colour, FLAT);
        }
    };
    if variant.is_multiple_of(2) {
        disc(m, 0.30, 0.035, c(200, 40, 36));
        disc(m, 0.22, 0.04, c(238, 238, 236));
    } else {
        disc(m, 0.30, 0.035, c(240, 240, 238));
        disc(m, 0.27, 0.04, c(34, 84, 168));
    }
}

/// A walking person: legs and arms swing with the gait.
pub(crate) fn person(m: &mut Maker<'_>, p: &Person) {
    let v = p.variant;
    let skins = [c(232, 190, 160), c(206, 158, 122), c(150, 104, 74), c(104, 70, 50)];
    let tops = [
        c(46, 76, 128),
        c(172, 56, 50),
        c(70, 112, 82),
        c(222, 176, 70),
        c(62, 62, 70),
        c(196, 192, 184),
        c(126, 82, 138),
        c(60, 134, 150),
    ];
    let legs = [c(48, 56, 84), c(56, 54, 52), c(118, 104, 84), c(84, 92, 104)];
    let hairs = [c(46, 34, 28), c(104, 72, 44), c(178, 142, 84), c(120, 116, 112)];
    let pick = |list: &[Colour], shift: u32| list[(v >> shift) as usize % list.len()];
    let (skin, top, leg, hair) =
        (pick(&skins, 0), pick(&tops, 3), pick(&legs, 8), pick(&hairs, 12));
    let k = 0.93 + (v >> 16 & 15) as f32 * 0.009;
    let swing = (p.speed_mps as f32 / 1.2).min(1.1);
    let phase = p.gait_rad as f32 * 0.75;
    let bob = 0.02 * (2.0 * phase).cos() * swing;
    let hip = 0.90 * k + bob;
    for (side, turn) in [(1.0_f32, 0.0_f32), (-1.0, std::f32::consts::PI)] {
        let stride = (phase + turn).sin() * 0.42 * swing;
        let lift = ((phase + turn).cos()).max(0.0) * 0.35 * swing;
        let y = 0.09 * side;
        let knee = [stride * 0.55 + lift * 0.25, y, 0.48 * k + lift * 0.1];
        let foot = [stride * 0.95 - lift * 0.3, y, 0.09 * k + lift * 0.32];
        m.limb([0.0, y, hip], knee, [0.092 * k, 0.068 * k], leg);
        m.limb(knee, foot, [0.066 * k, 0.05 * k], leg);
        m.limb(
            [foot[0] - 0.03, y, foot[2] - 0.04],
            [foot[0] + 0.14, y, foot[2] - 0.045],
            [0.05, 0.042],
            c(38, 36, 36),
        );
        let arm = -(phase + turn).sin() * 0.34 * swing;
        let (shoulder, elbow) =
            ([0.0, 0.19 * side, 1.38 * k + bob], [arm * 0.45 - 0.03, 0.235 * side, 1.12 * k + bob]);
        let hand = [arm + 0.06, 0.22 * side, 0.88 * k + bob + arm.abs() * 0.1];
        m.limb(shoulder, elbow, [0.062, 0.052], top);
        m.limb(elbow, hand, [0.05, 0.04], top);
        m.limb(hand, [hand[0] + 0.02, hand[1], hand[2] - 0.06], [0.042, 0.036], skin);
    }
    for side in [-1.0, 1.0] {
        m.limb([0.0, 0.06 * side, hip], [0.0, 0.10 * side, 1.36 * k + bob], [0.125, 0.115], top);
    }
    m.limb([0.0, 0.0, hip - 0.03], [0.0, 0.0, hip], [0.13, 0.13], leg);
    m.limb([0.0, 0.0, 1.44 * k + bob], [0.02, 0.0, 1.54 * k + bob], [0.055, 0.055], skin);
    m.limb([0.02, 0.0, 1.60 * k + bob], [0.025, 0.0, 1.67 * k + bob], [0.088, 0.098], skin);
    m.limb([-0.025, 0.0, 1.655 * k + bob], [0.0, 0.0, 1.71 * k + bob], [0.098, 0.092], hair);
    if v >> 20 & 3 == 0 {
        let bag = c(96, 66, 44);
        m.limb([-0.17, 0.0, 1.05 * k + bob], [-0.17, 0.0, 1.30 * k + bob], [0.13, 0.11], bag);
    }
}

impl Maker<'_> {
    pub(crate) fn car_side(
        &mut self,
        profile: &[[f32; 2]],
        y: f32,
        colour: Colour,
        fade: [u32; 2],
    ) {
        self.side(profile, y, colour, fade);
    }

    pub(crate) fn car_band(&mut self, a: Vec3, b: Vec3, colour: Colour, fade: [u32; 2]) {
        self.band(a, b, colour, fade);
    }

    pub(crate) fn car_quad(&mut self, points: &[Vec3], colour: Colour, fade: [u32; 2]) {
        self.flat(points, colour, fade);
    }
}
