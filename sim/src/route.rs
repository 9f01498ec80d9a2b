//! The route of the demo's mission.

use crate::world::{Pose, geo};
use protocol::mission::Checkpoint;

/// Where the robot starts: on the south sidewalk of the inner block, facing the first checkpoint, due east.
pub const START: Pose = Pose { x: 72.0, y: 17.0, heading_rad: 0.0 };
/// How near to a checkpoint counts as there, in metres.
pub const RADIUS_M: f64 = 2.5;
/// How long to stay there, in milliseconds.
pub const DWELL_MS: u32 = 300;

/// The places of the demo's mission: 12 m straight ahead, on to the corner, round it, and up the east sidewalk.
/// Together 60 m along the middle of a 6 m sidewalk, at least 1.7 m from everything that stands still.
pub const STOPS_M: [(f64, f64); 4] = [(84.0, 17.0), (103.0, 17.0), (103.0, 31.0), (103.0, 46.0)];

/// The checkpoints of the demo's mission. They are the same for every seed, since streets are; the seed is taken so
/// that a later block may differ.
pub fn demo_route(_seed: u64) -> Vec<Checkpoint> {
    STOPS_M
        .iter()
        .map(|(x, y)| Checkpoint { position: geo(*x, *y), radius_m: RADIUS_M, dwell_ms: DWELL_MS })
        .collect()
}
