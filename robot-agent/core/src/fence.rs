//! Where the robot may be: areas to stay in and areas to stay out of, as polygons on the ground.
//!
//! [`Geofence`] is what the owner writes. [`Fence`] is the same, frozen: millimetres in the plane that touches the
//! Earth at its first corner, checked and bounded, so that a look costs a bounded number of integer operations.

use crate::inputs::Fix;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Areas of the robot's own in a policy, at most, and as many of a mission.
pub const AREAS_MAX: usize = 8;
/// Corners of an area, at most.
pub const CORNERS_MAX: usize = 32;
/// Corners may be this far from the first one in each direction, mm: beyond it the plane is no good map.
const EXTENT_MM_MAX: i64 = 50_000_000;
/// A robot that is further away is taken to be there, mm: far outside either way, and no product overflows.
const FAR_MM: i64 = 200_000_000;
/// Twice the content of the smallest area, a square metre.
const CONTENT_MM2_MIN: i64 = 2_000_000;
/// A ten-millionth of a degree of latitude, µm (mean Earth radius, as `protocol::units`).
const LATITUDE_UM: f64 = 11_119.508;

/// An area: its corners in order, each `[latitude, longitude]` in degrees.
pub type Area = Vec<[f64; 2]>;

/// The geofence. Without any area there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Geofence {
    /// The robot stays in one of these areas, where there are any. At most 8 areas of both kinds together, of 3 to
    /// 32 corners.
    pub keep_in: Vec<Area>,
    /// The robot stays out of all of these.
    pub keep_out: Vec<Area>,
    /// The robot stays in one of these as well, where there are any: the area of the mission that it is driven for. The
    /// agent fills it in from the lease. At most 8.
    pub mission: Vec<Area>,
    /// Room that is left before an edge, m, beside the accuracy of the position and the way since it was measured.
    /// Default 0.5.
    pub margin_m: f64,
    /// Highest speed at and beyond an edge, in directions that lead back, and while the position is poor, m/s.
    /// Default 0.3, from 0.05 to 1.
    pub slow_mps_max: f64,
    /// A position that may be further off than this is poor, m. Default 5, at most 50.
    pub accuracy_m_max: f64,
    /// An older position is poor, ms. Default 2000, at most 5000.
    pub position_age_ms_max: u32,
    /// For so long the robot may go on slowly while its position is poor, ms; then it stops. Default 20000, at most
    /// 600000.
    pub unknown_ms_max: u32,
}

impl Default for Geofence {
    fn default() -> Self {
        Self {
            keep_in: Vec::new(),
            keep_out: Vec::new(),
            mission: Vec::new(),
            margin_m: 0.5,
            slow_mps_max: 0.3,
            accuracy_m_max: 5.0,
            position_age_ms_max: 2_000,
            unknown_ms_max: 20_000,
        }
    }
}

/// Why an area was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FenceError {
    /// Too many areas.
    #[error("{0} areas: at most 8 of keep_in and keep_out together")]
    Areas(usize),
    /// Too many areas of a mission.
    #[error("{0} areas of a mission: at most 8")]
    MissionAreas(usize),
    /// Too few or too many corners.
    #[error("area {area} has {corners} corners: 3 to 32")]
    Corners {
        /// Which area, from 1: those of `keep_in`, then of `keep_out`, then of `mission`.
        area: usize,
        /// How many corners it has.
        corners: usize,
    },
    /// A corner that is nowhere, or too far away.
    #[error(
        "area {area}, corner {corner}: not a latitude up to 85° and a longitude within 50 km of the first corner"
    )]
    Corner {
        /// Which area, from 1.
        area: usize,
        /// Which corner, from 1.
        corner: usize,
    },
    /// No area at all.
    #[error(
        "area {area} has no inside: its edges cross, its corners lie on a line, or one stands twice (the first is not \
         repeated at the end)"
    )]
    Flat {
        /// Which area, from 1.
        area: usize,
    },
}

/// One side of an area, from a corner to the next, mm from the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Edge {
    x: i64,
    y: i64,
    /// To the next corner.
    dx: i64,
    dy: i64,
    length: i64,
}

/// A frozen geofence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fence {
    lat_1e7: i64,
    lon_1e7: i64,
    /// A ten-millionth of a degree, µm.
    north_um: i64,
    east_um: i64,
    keep_in: Vec<Vec<Edge>>,
    keep_out: Vec<Vec<Edge>>,
    mission: Vec<Vec<Edge>>,
}

/// Where a position lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// How far inside of the allowed area, mm; negative outside of it. The true distance is at least this inside.
    pub inside_mm: i64,
    /// A direction towards the nearest edge, east and north, of any length; zero on an edge.
    pub edge_east: i64,
    /// See `edge_east`.
    pub edge_north: i64,
}

#[expect(clippy::as_conversions, reason = "clamped first; NaN gives 0")]
fn whole(quantity: f64) -> i64 {
    quantity.round().clamp(-1e15, 1e15) as i64
}

impl Geofence {
    /// Whether there is any area.
    pub fn is_active(&self) -> bool {
        !self.keep_in.is_empty() || !self.keep_out.is_empty() || !self.mission.is_empty()
    }

    /// Whether every area is one.
    pub fn check(&self) -> Result<(), FenceError> {
        self.freeze().map(drop)
    }

    /// The areas in millimetres.
    pub fn freeze(&self) -> Result<Fence, FenceError> {
        let count = self.keep_in.len().saturating_add(self.keep_out.len());
        if count > AREAS_MAX {
            return Err(FenceError::Areas(count));
        }
        if self.mission.len() > AREAS_MAX {
            return Err(FenceError::MissionAreas(self.mission.len()));
        }
        let areas = || self.keep_in.iter().chain(&self.keep_out).chain(&self.mission);
        let Some([lat_deg, lon_deg]) = areas().flatten().next().copied() else {
            return Ok(Fence::default());
        };
        let mut fence = Fence {
            lat_1e7: whole(lat_deg * 1e7),
            lon_1e7: whole(lon_deg * 1e7),
            north_um: whole(LATITUDE_UM),
            east_um: whole(LATITUDE_UM * lat_deg.to_radians().cos()),
            ..Fence::default()
        };
        for (number, area) in (1..).zip(areas()) {
            let edges = fence.edges(area, number)?;
            if number <= self.keep_in.len() {
                fence.keep_in.push(edges);
            } else if number <= count {
                fence.keep_out.push(edges);
            } else {
                fence.mission.push(edges);
            }
        }
        Ok(fence)
    }
}

impl Fence {
    fn edges(&self, corners: &Area, area: usize) -> Result<Vec<Edge>, FenceError> {
        if corners.len() < 3 || corners.len() > CORNERS_MAX {
            return Err(FenceError::Corners { area, corners: corners.len() });
        }
        let mut points = Vec::with_capacity(corners.len());
        for (corner, [lat_deg, lon_deg]) in (1..).zip(corners) {
            let (x, y) = self.plane(whole(lat_deg * 1e7), whole(lon_deg * 1e7));
            let there = lat_deg.abs() <= 85.0 && lon_deg.abs() <= 180.0;
            let near = x.abs() <= EXTENT_MM_MAX && y.abs() <= EXTENT_MM_MAX;
            if !(there && near) {
                return Err(FenceError::Corner { area, corner });
            }
            points.push((x, y));
        }
        let next = points.iter().cycle().skip(1);
        let edges: Vec<Edge> = points
            .iter()
            .zip(next)
            .map(|(&(x, y), &(next_x, next_y))| {
                let (dx, dy) = (next_x.saturating_sub(x), next_y.saturating_sub(y));
                Edge { x, y, dx, dy, length: square(dx, dy).isqrt() }
            })
            .collect();
        let twice = edges.iter().any(|edge| edge.length == 0);
        if twice || crosses_itself(&edges) || content(&edges) < CONTENT_MM2_MIN {
            return Err(FenceError::Flat { area });
        }
        Ok(edges)
    }

    /// Millimetres east and north of the first corner.
    fn plane(&self, lat_1e7: i64, lon_1e7: i64) -> (i64, i64) {
        let mm = |degrees: i64, origin: i64, um: i64| {
            let um = degrees.saturating_sub(origin).saturating_mul(um);
            um.checked_div(1_000).unwrap_or(0).clamp(FAR_MM.saturating_neg(), FAR_MM)
        };
        (mm(lon_1e7, self.lon_1e7, self.east_um), mm(lat_1e7, self.lat_1e7, self.north_um))
    }

    /// Whether there is any area.
    pub const fn is_active(&self) -> bool {
        !(self.keep_in.is_empty() && self.keep_out.is_empty() && self.mission.is_empty())
    }

    /// Where a position lies; nothing without areas. At most 512 sides are looked at.
    pub fn place(&self, fix: &Fix) -> Option<Place> {
        let (x, y) = self.plane(i64::from(fix.lat_1e7), i64::from(fix.lon_1e7));
        let at = |area: &Vec<Edge>| look(area, x, y);
        // In one of several areas is in: the one with the most room counts.
        let roomiest =
            |areas: &[Vec<Edge>]| areas.iter().map(at).max_by_key(|place| place.inside_mm);
        let allowed = roomiest(&self.keep_in).into_iter().chain(roomiest(&self.mission));
        let outside_of = |area: &Vec<Edge>| {
            let place = look(area, x, y);
            Place { inside_mm: place.inside_mm.saturating_neg(), ..place }
        };
        let forbidden = self.keep_out.iter().map(outside_of);
        allowed.chain(forbidden).min_by_key(|place| place.inside_mm)
    }
}

/// Products of two differences of clamped coordinates stay far below 2^63.
const fn product(a: i64, b: i64) -> i64 {
    a.saturating_mul(b)
}

const fn square(x: i64, y: i64) -> i64 {
    product(x, x).saturating_add(product(y, y))
}

const fn cross(edge: &Edge, x: i64, y: i64) -> i64 {
    let (rx, ry) = (x.saturating_sub(edge.x), y.saturating_sub(edge.y));
    product(edge.dx, ry).saturating_sub(product(edge.dy, rx))
}

/// How far inside of one area.
fn look(area: &[Edge], x: i64, y: i64) -> Place {
    let crossed = area.iter().filter(|edge| {
        let ends_above = edge.y.saturating_add(edge.dy) > y;
        // A ray to the east crosses the edge: its ends lie on both sides of the ray, and it lies east.
        (edge.y > y) != ends_above && cross(edge, x, y).signum() == edge.dy.signum()
    });
    let inside = !crossed.count().is_multiple_of(2);
    let nearest = area.iter().map(|edge| to_edge(edge, x, y)).min_by_key(|place| place.inside_mm);
    let nearest = nearest.unwrap_or_default();
    let inside_mm = if inside { nearest.inside_mm } else { nearest.inside_mm.saturating_neg() };
    Place { inside_mm, ..nearest }
}

/// Distance to one side, and the way there.
fn to_edge(edge: &Edge, x: i64, y: i64) -> Place {
    let (rx, ry) = (x.saturating_sub(edge.x), y.saturating_sub(edge.y));
    let along = product(edge.dx, rx).saturating_add(product(edge.dy, ry));
    if (0..square(edge.dx, edge.dy)).contains(&along) {
        // The normal: to the left of the edge for a point on its right, and the other way round.
        let side = cross(edge, x, y);
        let turn = side.signum().saturating_neg();
        return Place {
            inside_mm: side.abs().checked_div(edge.length).unwrap_or(0),
            edge_east: product(edge.dy.saturating_neg(), turn),
            edge_north: product(edge.dx, turn),
        };
    }
    // A corner. Its other edge begins or ends there too, so the first one is enough.
    Place {
        inside_mm: square(rx, ry).isqrt(),
        edge_east: rx.saturating_neg(),
        edge_north: ry.saturating_neg(),
    }
}

/// Twice the content, mm².
fn content(edges: &[Edge]) -> i64 {
    let sum = |sum: i64, edge: &Edge| {
        let part = product(edge.x, edge.dy).saturating_sub(product(edge.y, edge.dx));
        sum.saturating_add(part)
    };
    edges.iter().fold(0, sum).saturating_abs()
}

fn crosses_itself(edges: &[Edge]) -> bool {
    let end = |edge: &Edge| (edge.x.saturating_add(edge.dx), edge.y.saturating_add(edge.dy));
    edges.iter().enumerate().any(|(n, a)| {
        edges.iter().skip(n.saturating_add(1)).any(|b| {
            let ((ax, ay), (bx, by)) = (end(a), end(b));
            let splits = |p: i64, q: i64| p.signum().saturating_mul(q.signum()) < 0;
            splits(cross(a, b.x, b.y), cross(a, bx, by))
                && splits(cross(b, a.x, a.y), cross(b, ax, ay))
        })
    })
}

#[cfg(test)]
#[path = "fence_tests.rs"]
mod tests;
