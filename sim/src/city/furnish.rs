//! Puts buildings along the streets and furniture along the kerbs.

use super::{
    BLOCK, Building, Fixture, Footprint, INNER, Kind, OUTER_WALK_M, Rect, in_crossing_line, is_road,
};
use crate::rng::Rng;
use std::f64::consts::{FRAC_PI_2, PI};

/// How many facade styles there are.
pub(crate) const STYLES: u64 = 10;

/// Cuts `from..to` into plots of 8 to 16 m and builds on each; `rect` makes a plot's outline.
fn row(
    out: &mut Vec<Building>,
    rng: &mut Rng,
    from: f64,
    to: f64,
    heights: [f64; 2],
    rect: impl Fn(f64, f64) -> Rect,
) {
    let mut at = from;
    let mut last_style = STYLES;
    while to - at > 0.1 {
        // Plots are whole bays of 3.2 m, except the last of a row.
        let bays = 3.0 + rng.below(3) as f64;
        let mut end = at + bays * 3.2;
        if to - end < 7.0 {
            end = to;
        }
        let storeys = (rng.range(heights[0], heights[1]) / 3.2).round().max(2.0);
        let mut style = rng.below(STYLES);
        if style == last_style {
            style = (style + 1) % STYLES;
        }
        last_style = style;
        out.push(Building {
            rect: rect(at, end),
            height_m: storeys * 3.2 + 0.7,
            style: style as usize,
            salt: rng.next_u64() as u32,
        });
        at = end;
    }
}

/// The edges of the outer blocks along one axis: below, between and above the two streets.
const SPANS_X: [[f64; 2]; 3] = [
    [-36.0, 6.0 - OUTER_WALK_M],
    [14.0 + OUTER_WALK_M, 106.0 - OUTER_WALK_M],
    [114.0 + OUTER_WALK_M, 156.0],
];
const SPANS_Y: [[f64; 2]; 3] = [
    [-36.0, 6.0 - OUTER_WALK_M],
    [14.0 + OUTER_WALK_M, 66.0 - OUTER_WALK_M],
    [74.0 + OUTER_WALK_M, 116.0],
];
const DEPTH_M: f64 = 11.0;

pub(super) fn buildings(rng: &mut Rng) -> Vec<Building> {
    let mut out = Vec::new();
    let tall = [8.5, 17.0];
    let low = [6.5, 11.5];
    let i = INNER;
    row(&mut out, rng, i.x0, i.x1, tall, |a, b| Rect { x0: a, x1: b, y0: i.y0, y1: i.y0 + 10.0 });
    row(&mut out, rng, i.x0, i.x1, tall, |a, b| Rect { x0: a, x1: b, y0: i.y1 - 10.0, y1: i.y1 });
    let (south, north) = (i.y0 + 10.0, i.y1 - 10.0);
    row(&mut out, rng, south, north, tall, |a, b| Rect { x0: i.x0, x1: i.x0 + 10.0, y0: a, y1: b });
    row(&mut out, rng, south, north, tall, |a, b| Rect { x0: i.x1 - 10.0, x1: i.x1, y0: a, y1: b });
    for (nx, [x0, x1]) in SPANS_X.into_iter().enumerate() {
        for (ny, [y0, y1]) in SPANS_Y.into_iter().enumerate() {
            if nx == 1 && ny == 1 {
                continue;
            }
            outer_block(&mut out, rng, Rect { x0, y0, x1, y1 }, nx, ny, low);
        }
    }
    // Each street ends at a building across it, so that the block is closed.
    for [y0, y1] in [[1.5, 18.5], [61.5, 78.5]] {
        row(&mut out, rng, y0, y1, tall, |a, b| Rect { x0: 152.0, x1: 158.0, y0: a, y1: b });
        row(&mut out, rng, y0, y1, tall, |a, b| Rect { x0: -38.0, x1: -32.0, y0: a, y1: b });
    }
    for [x0, x1] in [[1.5, 18.5], [101.5, 118.5]] {
        row(&mut out, rng, x0, x1, tall, |a, b| Rect { x0: a, x1: b, y0: 112.0, y1: 118.0 });
        row(&mut out, rng, x0, x1, tall, |a, b| Rect { x0: a, x1: b, y0: -38.0, y1: -32.0 });
    }
    out
}

/// Builds along those edges of an outer block that face a street.
fn outer_block(
    out: &mut Vec<Building>,
    rng: &mut Rng,
    r: Rect,
    nx: usize,
    ny: usize,
    heights: [f64; 2],
) {
    let (mut south, mut north) = (r.y0, r.y1);
    if ny > 0 {
        row(out, rng, r.x0, r.x1, heights, |a, b| Rect {
            x0: a,
            x1: b,
            y0: r.y0,
            y1: r.y0 + DEPTH_M,
        });
        south += DEPTH_M;
    }
    if ny < 2 {
        row(out, rng, r.x0, r.x1, heights, |a, b| Rect {
            x0: a,
            x1: b,
            y0: r.y1 - DEPTH_M,
            y1: r.y1,
        });
        north -= DEPTH_M;
    }
    if nx > 0 {
        row(out, rng, south, north, heights, |a, b| Rect {
            x0: r.x0,
            x1: r.x0 + DEPTH_M,
            y0: a,
            y1: b,
        });
    }
    if nx < 2 {
        row(out, rng, south, north, heights, |a, b| Rect {
            x0: r.x1 - DEPTH_M,
            x1: r.x1,
            y0: a,
            y1: b,
        });
    }
}

/// A run of kerb: where it starts, its direction, its length and which way the sidewalk lies.
struct Kerb {
    x: f64,
    y: f64,
    along_rad: f64,
    length_m: f64,
    /// Unit vector from the kerb onto the sidewalk.
    inward: (f64, f64),
}

fn kerbs() -> Vec<Kerb> {
    let b = BLOCK;
    let (w, h) = (b.x1 - b.x0, b.y1 - b.y0);
    let run = |x, y, along_rad, length_m, inward| Kerb { x, y, along_rad, length_m, inward };
    vec![
        run(b.x0, b.y0, 0.0, w, (0.0, 1.0)),
        run(b.x1, b.y0, FRAC_PI_2, h, (-1.0, 0.0)),
        run(b.x1, b.y1, PI, w, (0.0, -1.0)),
        run(b.x0, b.y1, -FRAC_PI_2, h, (1.0, 0.0)),
        // The far sides of the four streets.
        run(b.x0, 6.0, 0.0, w, (0.0, -1.0)),
        run(114.0, b.y0, FRAC_PI_2, h, (1.0, 0.0)),
        run(b.x1, 74.0, PI, w, (0.0, 1.0)),
        run(6.0, b.y1, -FRAC_PI_2, h, (-1.0, 0.0)),
        // The streets go on beyond the junctions.
        run(114.0, 6.0, 0.0, 36.0, (0.0, -1.0)),
        run(114.0, 14.0, 0.0, 36.0, (0.0, 1.0)),
        run(106.0, 74.0, FRAC_PI_2, 36.0, (-1.0, 0.0)),
        run(114.0, 74.0, FRAC_PI_2, 36.0, (1.0, 0.0)),
        run(6.0, 6.0, PI, 36.0, (0.0, -1.0)),
        run(6.0, 74.0, PI, 36.0, (0.0, 1.0)),
    ]
}

pub(super) fn fixtures(rng: &mut Rng) -> Vec<Fixture> {
    let mut out = Vec::new();
    for kerb in kerbs() {
        line_kerb(&mut out, rng, &kerb);
        park_cars(&mut out, rng, &kerb);
    }
    bollards(&mut out);
    out
}

fn line_kerb(out: &mut Vec<Fixture>, rng: &mut Rng, kerb: &Kerb) {
    let (cos, sin) = (kerb.along_rad.cos(), kerb.along_rad.sin());
    let facing_rad = kerb.inward.1.atan2(kerb.inward.0);
    let mut at = 6.5 + rng.range(0.0, 1.0);
    let mut n = rng.below(2);
    while at < kerb.length_m - 6.0 {
        let (kind, footprint, off, next) = match n % 8 {
            0 | 4 => (Kind::Tree, Footprint::Disc(0.16), 0.75, 4.2),
            2 => (Kind::Lamp, Footprint::Disc(0.09), 0.6, 3.6),
            1 => (Kind::Bench, bench_footprint(kerb.along_rad), 0.65, 3.4),
            3 => (Kind::Bin, Footprint::Disc(0.24), 0.6, 3.0),
            5 => (Kind::Hydrant, Footprint::Disc(0.15), 0.6, 3.2),
            6 => (Kind::Lamp, Footprint::Disc(0.09), 0.6, 3.6),
            _ => (Kind::Sign, Footprint::Disc(0.05), 0.5, 3.4),
        };
        n += 1;
        let x = kerb.x + cos * at + kerb.inward.0 * off;
        let y = kerb.y + sin * at + kerb.inward.1 * off;
        at += next + rng.range(0.0, 1.8);
        let variant = rng.next_u64() as u32;
        if !in_crossing_line(x, y) && !is_road(x, y) {
            out.push(Fixture { kind, x, y, facing_rad, footprint, variant });
        }
    }
}

fn bench_footprint(along_rad: f64) -> Footprint {
    if along_rad.sin().abs() > 0.5 { Footprint::Box(0.25, 0.8) } else { Footprint::Box(0.8, 0.25) }
}

fn park_cars(out: &mut Vec<Fixture>, rng: &mut Rng, kerb: &Kerb) {
    let (cos, sin) = (kerb.along_rad.cos(), kerb.along_rad.sin());
    let mut at = 8.0 + rng.range(0.0, 4.0);
    while at < kerb.length_m - 9.0 {
        let variant = rng.next_u64() as u32;
        let flip = if rng.below(5) == 0 { PI } else { 0.0 };
        // The near wheels stand 0.25 m off the kerb.
        let (x, y) =
            (kerb.x + cos * at - kerb.inward.0 * 1.15, kerb.y + sin * at - kerb.inward.1 * 1.15);
        at += if rng.unit() < 0.6 { rng.range(5.3, 6.6) } else { rng.range(9.0, 16.0) };
        let reach = 2.6;
        let clear = [-reach, reach].into_iter().all(|d| {
            let (ex, ey) = (x + cos * d, y + sin * d);
            !in_crossing_line(ex, ey) && is_road(ex, ey)
        });
        if clear {
            let footprint =
                if sin.abs() > 0.5 { Footprint::Box(0.9, 2.15) } else { Footprint::Box(2.15, 0.9) };
            let facing_rad = kerb.along_rad + flip;
            out.push(Fixture { kind: Kind::Car, x, y, facing_rad, footprint, variant });
        }
    }
}

/// Two bollards at each side of each crossing onto the inner block.
fn bollards(out: &mut Vec<Fixture>) {
    let b = BLOCK;
    let mut push = |x: f64, y: f64| {
        out.push(Fixture {
            kind: Kind::Bollard,
            x,
            y,
            facing_rad: 0.0,
            footprint: Footprint::Disc(0.08),
            variant: 0,
        });
    };
    for off in [0.7, 4.3] {
        for (x, inward) in [(b.x0, 0.45), (b.x1, -0.45)] {
            push(x + inward, b.y0 + off);
            push(x + inward, b.y1 - off);
        }
        for (y, inward) in [(b.y0, 0.45), (b.y1, -0.45)] {
            push(b.x0 + off, y + inward);
            push(b.x1 - off, y + inward);
        }
    }
}
