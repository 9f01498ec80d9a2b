//! The city block that stands still: streets, buildings, street furniture, parked cars.
//!
//! Coordinates are metres east (x) and north (y) of the block's south-west corner. Four streets form a `#`; the inner
//! block between them is ringed by a 6 m sidewalk, the outer blocks by 4.5 m ones:
//!
//! ```text
//!            x = 6  14  20                100 106 114
//!   y = 74 ─────┘    └──────────────────────────┘    └────
//!        66 ─────┐    ┌──── sidewalk ────────────┐    ┌────
//!        60      │    │  ┌────────────────────┐  │    │
//!                │road│  │     buildings      │  │road│
//!        20      │    │  └────────────────────┘  │    │
//!        14 ─────┘    └──────────────────────────┘    └────
//!         6 ─────┐    ┌──────────────────────────┐    ┌────
//! ```

mod furnish;

use crate::rng::Rng;

/// How far a kerb stands above the road, in metres.
pub const KERB_HEIGHT_M: f64 = 0.12;
/// The road strips that run north–south: `[west edge, east edge]`.
pub const ROADS_X: [[f64; 2]; 2] = [[6.0, 14.0], [106.0, 114.0]];
/// The road strips that run east–west: `[south edge, north edge]`.
pub const ROADS_Y: [[f64; 2]; 2] = [[6.0, 14.0], [66.0, 74.0]];
/// Everything solid and visible lies within this.
pub const EXTENT: Rect = Rect { x0: -40.0, y0: -40.0, x1: 160.0, y1: 120.0 };
/// The outline of the inner block's buildings.
pub const INNER: Rect = Rect { x0: 20.0, y0: 20.0, x1: 100.0, y1: 60.0 };
/// The outline of the inner block, sidewalk included: where its kerb runs.
pub const BLOCK: Rect = Rect { x0: 14.0, y0: 14.0, x1: 106.0, y1: 66.0 };
/// Width of an outer sidewalk, in metres.
pub const OUTER_WALK_M: f64 = 4.5;
/// Zebra crossings lie this far outside the square of a junction, and are [`CROSSING_WIDTH_M`] wide.
pub const CROSSING_GAP_M: f64 = 1.0;
/// Width of a zebra crossing, in metres.
pub const CROSSING_WIDTH_M: f64 = 3.0;

/// An axis-aligned rectangle, in metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rect {
    /// West edge.
    pub x0: f64,
    /// South edge.
    pub y0: f64,
    /// East edge.
    pub x1: f64,
    /// North edge.
    pub y1: f64,
}

impl Rect {
    /// Whether the point lies inside or on the edge.
    pub fn contains(&self, x: f64, y: f64) -> bool {
        x >= self.x0 && x <= self.x1 && y >= self.y0 && y <= self.y1
    }

    /// The distance along the ray at which it enters, if it does ahead of its start; the ray need not be unit length.
    pub fn ray(&self, x: f64, y: f64, dx: f64, dy: f64) -> Option<f64> {
        let (inv_x, inv_y) = (1.0 / dx, 1.0 / dy);
        let (ax, bx) = ((self.x0 - x) * inv_x, (self.x1 - x) * inv_x);
        let (ay, by) = ((self.y0 - y) * inv_y, (self.y1 - y) * inv_y);
        let enter = ax.min(bx).max(ay.min(by));
        let leave = ax.max(bx).min(ay.max(by));
        (leave >= enter && enter > 0.0).then_some(enter)
    }

    /// The vector from the nearest point of the rectangle to the point (zero inside).
    pub fn gap(&self, x: f64, y: f64) -> (f64, f64) {
        (x - x.clamp(self.x0, self.x1), y - y.clamp(self.y0, self.y1))
    }
}

/// What the ground is at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// Asphalt.
    Road,
    /// The white and black of a zebra crossing.
    Crossing,
    /// Paving, [`KERB_HEIGHT_M`] above the road.
    Sidewalk,
}

/// One building: a box with a facade on each side.
#[derive(Debug, Clone, Copy)]
pub struct Building {
    /// Its outline.
    pub rect: Rect,
    /// Its height in metres.
    pub height_m: f64,
    /// Which facade it wears.
    pub style: usize,
    /// Makes its windows and doors differ from its neighbours'.
    pub salt: u32,
}

/// What stands on the street.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A lamp post.
    Lamp,
    /// A tree.
    Tree,
    /// A litter bin.
    Bin,
    /// A bench.
    Bench,
    /// A bollard beside a crossing.
    Bollard,
    /// A fire hydrant.
    Hydrant,
    /// A parked car.
    Car,
    /// A road sign on its post.
    Sign,
}

/// The outline on the ground of something solid.
#[derive(Debug, Clone, Copy)]
pub enum Footprint {
    /// A disc of this radius in metres.
    Disc(f64),
    /// A box: half its extent east–west and north–south, in metres.
    Box(f64, f64),
}

/// Something solid that stands still.
#[derive(Debug, Clone, Copy)]
pub struct Fixture {
    /// What it is.
    pub kind: Kind,
    /// Metres east.
    pub x: f64,
    /// Metres north.
    pub y: f64,
    /// Where it faces, in radians counter-clockwise from east.
    pub facing_rad: f64,
    /// Its outline.
    pub footprint: Footprint,
    /// Chooses colour and shape.
    pub variant: u32,
}

impl Fixture {
    /// The vector from its nearest point to the given one (zero inside).
    pub fn gap(&self, x: f64, y: f64) -> (f64, f64) {
        match self.footprint {
            Footprint::Disc(r) => disc_gap(self.x, self.y, r, x, y),
            Footprint::Box(..) => self.rect().gap(x, y),
        }
    }

    /// The box around its outline.
    pub fn rect(&self) -> Rect {
        let (hx, hy) = match self.footprint {
            Footprint::Disc(r) => (r, r),
            Footprint::Box(hx, hy) => (hx, hy),
        };
        Rect { x0: self.x - hx, y0: self.y - hy, x1: self.x + hx, y1: self.y + hy }
    }

    /// The distance along a ray at which it meets the outline.
    pub fn ray(&self, x: f64, y: f64, dx: f64, dy: f64) -> Option<f64> {
        match self.footprint {
            Footprint::Disc(r) => disc_ray(self.x, self.y, r, x, y, dx, dy),
            Footprint::Box(..) => self.rect().ray(x, y, dx, dy),
        }
    }
}

/// The vector from the nearest point of a disc to a point (zero inside).
pub(crate) fn disc_gap(cx: f64, cy: f64, radius: f64, x: f64, y: f64) -> (f64, f64) {
    let (dx, dy) = (x - cx, y - cy);
    let distance = dx.hypot(dy);
    if distance <= radius {
        return (0.0, 0.0);
    }
    let k = (distance - radius) / distance;
    (dx * k, dy * k)
}

/// The distance along a unit ray at which it meets a disc.
pub(crate) fn disc_ray(
    cx: f64,
    cy: f64,
    radius: f64,
    x: f64,
    y: f64,
    dx: f64,
    dy: f64,
) -> Option<f64> {
    let (ox, oy) = (cx - x, cy - y);
    let along = ox * dx + oy * dy;
    let off = ox * dy - oy * dx;
    let half_square = radius * radius - off * off;
    if half_square < 0.0 {
        return None;
    }
    let distance = along - half_square.sqrt();
    (distance > 0.0).then_some(distance)
}

/// All that stands still.
#[derive(Debug, Clone)]
pub struct City {
    /// Buildings.
    pub buildings: Vec<Building>,
    /// Street furniture and parked cars.
    pub fixtures: Vec<Fixture>,
}

impl City {
    /// The block of this seed. Streets are the same for all seeds; facades, heights, furniture and cars differ.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 1);
        let buildings = furnish::buildings(&mut rng);
        let fixtures = furnish::fixtures(&mut rng);
        Self { buildings, fixtures }
    }
}

fn in_strips(strips: &[[f64; 2]; 2], at: f64) -> bool {
    strips.iter().any(|[low, high]| at > *low && at < *high)
}

/// Whether the place belongs to a roadway (crossings included).
pub fn is_road(x: f64, y: f64) -> bool {
    in_strips(&ROADS_X, x) || in_strips(&ROADS_Y, y)
}

fn beside_junction(strips: &[[f64; 2]; 2], at: f64) -> bool {
    strips.iter().any(|[low, high]| {
        let before = low - CROSSING_GAP_M - CROSSING_WIDTH_M;
        let after = high + CROSSING_GAP_M;
        (at > before && at < before + CROSSING_WIDTH_M)
            || (at > after && at < after + CROSSING_WIDTH_M)
    })
}

/// Whether the place lies in line with a zebra crossing, where kerbs are lowered.
pub fn in_crossing_line(x: f64, y: f64) -> bool {
    let near = |strips: &[[f64; 2]; 2], at: f64| {
        strips.iter().any(|[low, high]| at > low - 1.0 && at < high + 1.0)
    };
    (near(&ROADS_X, x) && beside_junction(&ROADS_Y, y))
        || (near(&ROADS_Y, y) && beside_junction(&ROADS_X, x))
}

/// What the ground is at a place.
pub fn surface(x: f64, y: f64) -> Surface {
    if !is_road(x, y) {
        Surface::Sidewalk
    } else if in_strips(&ROADS_X, x) != in_strips(&ROADS_Y, y) && in_crossing_line(x, y) {
        Surface::Crossing
    } else {
        Surface::Road
    }
}
