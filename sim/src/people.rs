//! Pedestrians: they walk along sidewalks, give way to the robot loosely and never walk into it at speed.

use crate::city::{BLOCK, INNER, OUTER_WALK_M};
use crate::rng::Rng;
use std::f64::consts::{FRAC_PI_2, PI, TAU};

/// How wide a pedestrian is, as the radius of a disc, in metres.
pub const PERSON_RADIUS_M: f64 = 0.25;
/// How many walk in the world.
pub const PEOPLE: usize = 22;

/// A closed rectangle, walked counter-clockwise, at a distance inside the kerb.
#[derive(Debug, Clone, Copy)]
enum Path {
    /// Around the inner block.
    Ring,
    /// To and fro along an outer sidewalk: start, direction, length.
    Strip { x: f64, y: f64, along_rad: f64, length_m: f64 },
}

/// One pedestrian.
#[derive(Debug, Clone)]
pub struct Person {
    /// Metres east.
    pub x: f64,
    /// Metres north.
    pub y: f64,
    /// Walking direction in radians counter-clockwise from east.
    pub heading_rad: f64,
    /// Walking speed now, in m/s.
    pub speed_mps: f64,
    /// Gait phase in radians, grows with the way walked.
    pub gait_rad: f64,
    /// Chooses clothes and size.
    pub variant: u32,
    path: Path,
    /// Way along the path, and which way along it.
    along_m: f64,
    forward: bool,
    /// Distance from the middle of the sidewalk, to the left of the path's direction: now, and where they like it.
    lateral_m: f64,
    lane_m: f64,
    pace_mps: f64,
}

/// How far to the right and to the left of the middle people go: not into the furniture, not into the wall.
fn usable_m(path: &Path) -> (f64, f64) {
    match path {
        Path::Ring => (-1.35, 2.4),
        Path::Strip { .. } => (-0.75, 0.75),
    }
}

fn strips() -> [Path; 4] {
    // Near the facade, where the outer sidewalk has no furniture.
    let off = OUTER_WALK_M * 0.62;
    let strip = |x, y, along_rad, length_m| Path::Strip { x, y, along_rad, length_m };
    [
        strip(20.0, 6.0 - off, 0.0, 80.0),
        strip(114.0 + off, 20.0, FRAC_PI_2, 40.0),
        strip(100.0, 74.0 + off, PI, 80.0),
        strip(6.0 - off, 60.0, -FRAC_PI_2, 40.0),
    ]
}

/// The middle line of the inner ring's sidewalk, as half-extents and centre.
fn ring() -> (f64, f64, f64, f64) {
    let (x0, y0) = ((BLOCK.x0 + INNER.x0) / 2.0, (BLOCK.y0 + INNER.y0) / 2.0);
    let (x1, y1) = ((BLOCK.x1 + INNER.x1) / 2.0, (BLOCK.y1 + INNER.y1) / 2.0);
    (x0, y0, x1, y1)
}

fn path_length_m(path: &Path) -> f64 {
    match path {
        Path::Ring => {
            let (x0, y0, x1, y1) = ring();
            2.0 * (x1 - x0 + y1 - y0)
        }
        Path::Strip { length_m, .. } => *length_m,
    }
}

/// Position and direction at a way along a path with a lateral offset to the left.
fn place(path: &Path, along_m: f64, lateral_m: f64) -> (f64, f64, f64) {
    match path {
        Path::Strip { x, y, along_rad, .. } => {
            let (s, c) = along_rad.sin_cos();
            (x + c * along_m - s * lateral_m, y + s * along_m + c * lateral_m, *along_rad)
        }
        Path::Ring => {
            // The offset shrinks the rectangle, so that a lane keeps its distance from the wall round the corners.
            let (x0, y0, x1, y1) = ring();
            let (w, h) = (x1 - x0, y1 - y0);
            let l = lateral_m;
            let t = |part: f64, whole: f64| l + (whole - 2.0 * l) * (part / whole);
            let mut s = along_m.rem_euclid(2.0 * (w + h));
            if s < w {
                return (x0 + t(s, w), y0 + l, 0.0);
            }
            s -= w;
            if s < h {
                return (x1 - l, y0 + t(s, h), FRAC_PI_2);
            }
            s -= h;
            if s < w {
                return (x1 - t(s, w), y1 - l, PI);
            }
            s -= w;
            (x0 + l, y1 - t(s, h), -FRAC_PI_2)
        }
    }
}

pub(crate) fn wrap_rad(angle: f64) -> f64 {
    (angle + PI).rem_euclid(TAU) - PI
}

/// The robot as people see it.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Metres east.
    pub x: f64,
    /// Metres north.
    pub y: f64,
    /// Radius of its outline in metres.
    pub radius_m: f64,
}

/// The people of this seed, spread over the block, none near the start.
pub(crate) fn crowd(seed: u64, keep_clear: Seen) -> Vec<Person> {
    let mut rng = Rng::new(seed, 2);
    let mut people = Vec::with_capacity(PEOPLE);
    while people.len() < PEOPLE {
        let n = people.len();
        let path = if n < 14 { Path::Ring } else { strips()[n % 4] };
        let lane_m = match path {
            // Beside the wall or beside the furniture: the middle stays free for whoever is on wheels.
            Path::Ring if rng.below(3) > 0 => rng.range(1.45, 1.9),
            Path::Ring => rng.range(-1.25, -1.1),
            Path::Strip { .. } => rng.range(-0.6, 0.6),
        };
        let along_m = rng.range(0.0, path_length_m(&path));
        let forward = rng.below(2) == 0;
        let pace_mps = rng.range(0.85, 1.45);
        let (x, y, heading_rad) = place(&path, along_m, lane_m);
        let gait_rad = rng.range(0.0, TAU);
        let variant = rng.next_u64() as u32;
        if (x - keep_clear.x).hypot(y - keep_clear.y) < 3.0 {
            continue;
        }
        people.push(Person {
            x,
            y,
            heading_rad,
            speed_mps: 0.0,
            gait_rad,
            variant,
            path,
            along_m,
            forward,
            lateral_m: lane_m,
            lane_m,
            pace_mps,
        });
    }
    people
}

impl Person {
    /// One step of `dt_s`: keep to the lane, step aside for the robot and for whoever walks ahead.
    pub(crate) fn step(&mut self, dt_s: f64, robot: Seen, others: &[(f64, f64)], me: usize) {
        let sign = if self.forward { 1.0 } else { -1.0 };
        let (_, _, path_rad) = place(&self.path, self.along_m, self.lateral_m);
        let walk_rad = if self.forward { path_rad } else { path_rad + PI };
        let (sin, cos) = walk_rad.sin_cos();
        let mut pace = self.pace_mps;
        let mut want_lateral = self.lane_m;
        let (right, left_most) = usable_m(&self.path);
        let mut give_way = |x: f64, y: f64, radius_m: f64, look_m: f64, shy: f64, slowest: f64| {
            let (dx, dy) = (x - self.x, y - self.y);
            let ahead = dx * cos + dy * sin;
            let left = -dx * sin + dy * cos;
            let touch = radius_m + PERSON_RADIUS_M;
            if ahead < -touch || ahead > look_m || left.abs() > touch + shy {
                return;
            }
            // Past them on the nearer side that has room; who meets head-on keeps right.
            let theirs = self.lateral_m + sign * left;
            let clear = touch + shy + 0.1;
            let best = [theirs - sign * clear, theirs + sign * clear]
                .into_iter()
                .filter(|lateral| (right..=left_most).contains(lateral))
                .min_by(|a, b| (a - self.lateral_m).abs().total_cmp(&(b - self.lateral_m).abs()));
            want_lateral = best.unwrap_or(want_lateral);
            if ahead > 0.0 && left.abs() < touch + 0.12 {
                pace = pace.min(((ahead - touch - 0.35) * 0.9).max(slowest));
            }
        };
        for (n, (x, y)) in others.iter().enumerate() {
            if n != me {
                // People squeeze past each other; nobody waits for ever.
                give_way(*x, *y, PERSON_RADIUS_M, 1.8, 0.05, 0.35);
            }
        }
        give_way(robot.x, robot.y, robot.radius_m, 4.0, 0.3, 0.0);
        self.walk(dt_s, pace, want_lateral, robot);
    }

    fn walk(&mut self, dt_s: f64, pace: f64, want_lateral: f64, robot: Seen) {
        let change = (pace - self.speed_mps).clamp(-4.0 * dt_s, 1.2 * dt_s);
        self.speed_mps = (self.speed_mps + change).max(0.0);
        let sign = if self.forward { 1.0 } else { -1.0 };
        let side = (want_lateral - self.lateral_m).clamp(-0.5 * dt_s, 0.5 * dt_s);
        let (mut along, mut forward) = (self.along_m + sign * self.speed_mps * dt_s, self.forward);
        if matches!(self.path, Path::Strip { .. }) {
            let length = path_length_m(&self.path);
            if along < 0.0 || along > length {
                forward = !forward;
                along = along.clamp(0.0, length);
            }
        } else {
            along = along.rem_euclid(path_length_m(&self.path));
        }
        let (x, y, path_rad) = place(&self.path, along, self.lateral_m + side);
        let now = (x - robot.x).hypot(y - robot.y);
        let before = (self.x - robot.x).hypot(self.y - robot.y);
        if now < robot.radius_m + PERSON_RADIUS_M + 0.08 && now < before {
            // They stop rather than bump into the robot, whatever the plan was.
            self.speed_mps = 0.0;
            return;
        }
        (self.x, self.y, self.along_m, self.forward) = (x, y, along, forward);
        self.lateral_m += side;
        self.gait_rad += (self.speed_mps + side.abs() / dt_s * 0.5) * dt_s * 4.4;
        let target = if forward { path_rad } else { path_rad + PI };
        let turn = wrap_rad(target - self.heading_rad).clamp(-3.0 * dt_s, 3.0 * dt_s);
        self.heading_rad = wrap_rad(self.heading_rad + turn);
    }
}
