//! Facades: per style five modules of one bay and one storey each, painted once.

use super::noise::{clouds, hash, noise};
use super::pixel::{Colour, Rgb, colour, mix, rgb, scale};
use super::texture::Texture;

/// Width of a bay and height of a storey, in metres.
pub(crate) const STOREY_M: f32 = 3.2;
const SIDE_LOG2: u32 = 8;
/// Texels to the metre.
pub(crate) const TEXELS_PER_M: f32 = 256.0 / STOREY_M;

/// The modules of one style.
#[derive(Debug, Clone)]
pub(crate) struct Facade {
    /// Shop window, door, plain window.
    pub(crate) ground: [Texture; 3],
    /// Plain window, another with its curtains drawn or a lamp on.
    pub(crate) upper: [Texture; 2],
    /// The parapet, from below: shadow line, face, coping.
    pub(crate) cornice: [Colour; 3],
}

#[derive(Clone, Copy, PartialEq)]
enum Skin {
    Brick,
    Plaster,
    Stone,
    Panel,
}

#[derive(Clone, Copy)]
struct Style {
    skin: Skin,
    wall: Rgb,
    trim: Rgb,
    shop: Rgb,
    /// Two narrow windows instead of a wide one.
    twin: bool,
}

fn styles() -> [Style; 10] {
    use Skin::{Brick, Panel, Plaster, Stone};
    let style = |skin, wall: [u8; 3], trim: [u8; 3], shop: [u8; 3], twin| Style {
        skin,
        wall: rgb(wall[0], wall[1], wall[2]),
        trim: rgb(trim[0], trim[1], trim[2]),
        shop: rgb(shop[0], shop[1], shop[2]),
        twin,
    };
    [
        style(Brick, [158, 84, 62], [224, 214, 196], [38, 74, 62], false),
        style(Plaster, [226, 205, 160], [244, 238, 224], [120, 36, 40], true),
        style(Stone, [196, 188, 172], [222, 216, 204], [32, 48, 78], false),
        style(Plaster, [206, 150, 118], [240, 228, 210], [60, 58, 56], false),
        style(Brick, [116, 62, 52], [206, 196, 182], [24, 60, 84], true),
        style(Plaster, [176, 192, 182], [238, 238, 230], [150, 92, 36], true),
        style(Panel, [178, 178, 176], [150, 152, 154], [180, 50, 38], false),
        style(Plaster, [232, 226, 212], [206, 196, 180], [48, 84, 60], false),
        style(Brick, [190, 152, 108], [232, 222, 202], [84, 42, 74], false),
        style(Plaster, [164, 178, 200], [240, 240, 238], [40, 42, 46], true),
    ]
}

/// The facades of all styles.
pub(crate) fn all() -> Vec<Facade> {
    let make = |(n, s): (usize, Style)| {
        let salt = n as u32 * 101;
        let paint = |f: &dyn Fn(&Style, f32, f32, u32) -> Rgb, extra: u32| {
            Texture::paint(SIDE_LOG2, |u, v| f(&s, u * STOREY_M, v * STOREY_M, salt + extra))
        };
        Facade {
            ground: [paint(&shop, 1), paint(&door, 2), paint(&basement, 3)],
            upper: [
                paint(&|s, x, y, n| storey(s, x, y, n, false), 4),
                paint(&|s, x, y, n| storey(s, x, y, n, true), 5),
            ],
            cornice: [
                colour(scale(s.trim, 0.45)),
                colour(scale(s.trim, 0.88)),
                colour(scale(s.trim, 1.05)),
            ],
        }
    };
    styles().into_iter().enumerate().map(make).collect()
}

fn inside(x: f32, y: f32, [x0, y0, x1, y1]: [f32; 4]) -> bool {
    x >= x0 && x < x1 && y >= y0 && y < y1
}

fn wall(s: &Style, x: f32, y: f32, salt: u32) -> Rgb {
    let stain = 0.93 + 0.14 * clouds(x / STOREY_M * 4.0, y / STOREY_M * 4.0, 4, 4, 77);
    let fine = 0.96 + 0.08 * hash((x * 80.0) as i32, (y * 80.0) as i32, salt);
    let base = scale(s.wall, stain * fine);
    match s.skin {
        Skin::Plaster => base,
        Skin::Brick => {
            let course = (y / 0.1).floor();
            let shift = if course as i32 % 2 == 0 { 0.0 } else { 0.16 };
            let bx = (x + shift) / 0.32;
            let mortar = (y / 0.1).fract() < 0.14 || bx.fract() < 0.045;
            let tint = 0.84 + 0.3 * hash((bx.floor() as i32).rem_euclid(10), course as i32, salt);
            if mortar { mix(base, rgb(196, 186, 172), 0.55) } else { scale(base, tint) }
        }
        Skin::Stone => {
            let course = (y / 0.4).floor();
            let shift = if course as i32 % 2 == 0 { 0.0 } else { 0.4 };
            let bx = (x + shift) / 0.8;
            let joint = (y / 0.4).fract() < 0.04 || bx.fract() < 0.02;
            let tint = 0.92 + 0.14 * hash((bx.floor() as i32).rem_euclid(4), course as i32, salt);
            scale(base, if joint { 0.68 } else { tint })
        }
        Skin::Panel => {
            let joint = y < 0.04 || (x / 1.6).fract() < 0.012;
            scale(base, if joint { 0.55 } else { 1.0 })
        }
    }
}

/// Glass: the sky's reflection above, the room below.
fn glass(x: f32, y: f32, height: f32, salt: u32) -> Rgb {
    let k = (y / height).clamp(0.0, 1.0);
    let sky = mix(rgb(38, 48, 58), rgb(122, 148, 172), k * k);
    let streak = ((x * 0.9 + y * 0.6) * 1.7 + hash(1, 2, salt) * 3.0).sin();
    mix(sky, rgb(186, 204, 220), if streak > 0.72 { 0.28 } else { 0.0 })
}

/// A window in the wall: frame, mullions, reveal shadow, sill and lintel; nothing when outside all of them.
fn window(s: &Style, x: f32, y: f32, r: [f32; 4], drawn: bool, salt: u32) -> Option<Rgb> {
    let [x0, y0, x1, y1] = r;
    if inside(x, y, [x0 - 0.12, y0 - 0.12, x1 + 0.12, y0]) {
        return Some(scale(s.trim, if y > y0 - 0.03 { 1.06 } else { 0.9 }));
    }
    if inside(x, y, [x0 - 0.06, y0 - 0.24, x1 + 0.1, y0 - 0.12]) {
        return Some(scale(wall(s, x, y, salt), 0.66));
    }
    if inside(x, y, [x0 - 0.1, y1, x1 + 0.1, y1 + 0.2]) {
        return Some(scale(s.trim, if y < y1 + 0.02 { 0.6 } else { 0.97 }));
    }
    if !inside(x, y, r) {
        let surround = s.skin == Skin::Plaster && inside(x, y, [x0 - 0.1, y0, x1 + 0.1, y1]);
        return surround.then(|| scale(s.trim, 0.98));
    }
    let (w, h) = (x1 - x0, y1 - y0);
    let (dx, dy) = (x - x0, y - y0);
    let shadow = if dy > h - 0.14 || dx < 0.09 { 0.5 } else { 1.0 };
    let edge = dx.min(w - dx).min(dy).min(h - dy);
    let middle = (dx - w / 2.0).abs() < 0.03 || (dy - h * 0.68).abs() < 0.025;
    if edge < 0.065 || middle {
        return Some(scale(rgb(232, 230, 222), 0.55 + 0.4 * shadow));
    }
    let mut pane = glass(dx, dy, h, salt);
    if drawn {
        let fold = 0.85 + 0.15 * (dx * 42.0).sin();
        let side = dx.min(w - dx);
        if side < w * 0.3 {
            pane = mix(scale(rgb(214, 206, 190), fold), pane, 0.25);
        } else {
            pane = mix(pane, rgb(240, 200, 130), 0.35);
        }
    }
    Some(scale(pane, 0.4 + 0.6 * shadow))
}

fn storey(s: &Style, x: f32, y: f32, salt: u32, drawn: bool) -> Rgb {
    let panes: &[[f32; 4]] = if s.twin {
        &[[0.5, 0.9, 1.3, 2.6], [1.9, 0.9, 2.7, 2.6]]
    } else if s.skin == Skin::Panel {
        &[[0.4, 0.95, 2.8, 2.5]]
    } else {
        &[[0.95, 0.85, 2.25, 2.6]]
    };
    for (n, r) in panes.iter().enumerate() {
        if let Some(c) = window(s, x, y, *r, drawn, salt + n as u32) {
            return c;
        }
    }
    let course = y < 0.12 && s.skin != Skin::Panel;
    if course { scale(s.trim, if y < 0.03 { 0.6 } else { 0.92 }) } else { wall(s, x, y, salt) }
}

/// What every ground floor has at its foot: a plinth with splashes, darkest where it meets the paving.
fn plinth(s: &Style, c: Rgb, x: f32, y: f32) -> Rgb {
    let stone = y < 0.42;
    let c = if stone { mix(c, scale(rgb(150, 146, 140), 0.85), 0.8) } else { c };
    let line = if (0.40..0.43).contains(&y) { 0.7 } else { 1.0 };
    let dirt = 0.62 + 0.38 * (y / 0.5).min(1.0) + 0.08 * noise(x * 5.0, y * 5.0, 16, 9) - 0.04;
    let panel = if s.skin == Skin::Panel { 0.95 } else { 1.0 };
    scale(c, dirt * line * panel)
}

fn fascia(s: &Style, x: f32, y: f32, salt: u32) -> Option<Rgb> {
    if !inside(x, y, [0.1, 2.5, 3.1, 3.02]) {
        return None;
    }
    if !inside(x, y, [0.14, 2.54, 3.06, 2.98]) {
        return Some(scale(s.shop, 0.6));
    }
    // Letters that nobody can read from here: strokes of uneven width.
    let letter = ((x - 0.7) / 0.2).floor() as i32;
    let within = ((x - 0.7) / 0.2).fract();
    let (tall, thick) = (hash(letter, 1, salt), hash(letter, 2, salt));
    let stroke = within < 0.3 + 0.2 * thick || (tall > 0.5 && (y - 2.76).abs() < 0.025);
    let body = inside(x, y, [0.7, 2.65, 2.5, 2.78 + 0.09 * tall.round()]);
    if body && stroke && within < 0.8 && tall > 0.12 {
        return Some(rgb(242, 234, 214));
    }
    Some(scale(s.shop, 0.95 + 0.1 * (y - 2.5)))
}

fn shop(s: &Style, x: f32, y: f32, salt: u32) -> Rgb {
    if let Some(c) = fascia(s, x, y, salt) {
        return c;
    }
    let r = [0.22, 0.5, 2.98, 2.42];
    if inside(x, y, r) {
        let (dx, dy) = (x - r[0], y - r[1]);
        let (w, h) = (r[2] - r[0], r[3] - r[1]);
        let edge = dx.min(w - dx).min(dy).min(h - dy);
        if edge < 0.06 || (dx - w / 2.0).abs() < 0.03 {
            return scale(s.shop, 1.15);
        }
        // Goods on two shelves, lit from within, behind the reflection.
        let shelf = if dy > 0.95 { 1 } else { 0 };
        let item = (dx / 0.23).floor() as i32;
        let tall = 0.2 + 0.45 * hash(item, shelf, salt);
        let base = if shelf == 1 { dy - 0.95 } else { dy };
        let tint = [hash(item, 7, salt), hash(item, 8, salt), hash(item, 9, salt)];
        let warm = mix(rgb(60, 50, 42), rgb(216, 178, 118), (dy / h).powi(2) * 0.8);
        let goods = mix(warm, tint, 0.4);
        let lit = if base < tall && (dx / 0.23).fract() > 0.12 { goods } else { warm };
        return mix(lit, glass(dx, dy, h, salt), 0.38);
    }
    let c =
        if inside(x, y, [0.1, 0.0, 3.1, 2.5]) { scale(s.shop, 0.9) } else { wall(s, x, y, salt) };
    plinth(s, c, x, y)
}

fn door(s: &Style, x: f32, y: f32, salt: u32) -> Rgb {
    let frame = [0.95, 0.12, 2.25, 2.75];
    if inside(x, y, frame) {
        let (dx, dy) = (x - frame[0], y - frame[1]);
        let w = frame[2] - frame[0];
        if dx < 0.12 || dx > w - 0.12 || dy > 2.5 {
            return scale(s.trim, 0.95);
        }
        if dy > 2.05 {
            return if dy < 2.12 { scale(s.trim, 0.8) } else { glass(dx, dy - 2.05, 0.5, salt) };
        }
        let leaf = (dx - w / 2.0).abs();
        if leaf < 0.012 {
            return scale(s.shop, 0.35);
        }
        if (dx - w / 2.0 - 0.08).abs() < 0.03 && (dy - 1.0).abs() < 0.09 {
            return rgb(214, 182, 96);
        }
        let sunk =
            inside(leaf, dy, [0.12, 0.25, 0.4, 0.85]) || inside(leaf, dy, [0.12, 1.1, 0.4, 1.85]);
        let reveal = if dy > 1.95 || dx < 0.2 { 0.6 } else { 1.0 };
        return scale(s.shop, reveal * if sunk { 0.72 } else { 1.05 });
    }
    if y < 0.12 && inside(x, y, [0.8, 0.0, 2.4, 0.12]) {
        return scale(rgb(170, 166, 158), 0.7 + 2.0 * y);
    }
    if inside(x, y, [0.75, 2.75, 2.45, 2.92]) {
        return scale(s.trim, if y < 2.79 { 0.55 } else { 1.0 });
    }
    plinth(s, wall(s, x, y, salt), x, y)
}

fn basement(s: &Style, x: f32, y: f32, salt: u32) -> Rgb {
    if let Some(c) = window(s, x, y, [0.85, 1.05, 2.35, 2.65], salt.is_multiple_of(2), salt) {
        return c;
    }
    plinth(s, wall(s, x, y, salt), x, y)
}
