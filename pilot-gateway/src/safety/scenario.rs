//! What a scenario says. Every field that is left out is as it should be on a robot that is well.

use agent_core::Policy;
use serde::Deserialize;

/// Phases of a scenario, at most.
pub(super) const PHASES_MAX: usize = 16;
/// Length of a scenario, at most.
pub(super) const LENGTH_MS_MAX: u32 = 60_000;

/// A scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// The owner's policy.
    #[serde(default)]
    pub(super) policy: Policy,
    /// One after the other.
    pub(super) phases: Vec<Phase>,
}

/// What is so for a while. `null` where the core is told nothing.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Phase {
    /// How long, ms.
    pub(super) for_ms: u32,
    /// Whether a driver has the robot.
    pub(super) lease: bool,
    /// Whether that driver is a program.
    pub(super) program: bool,
    /// The lease's own limit, m/s.
    pub(super) lease_mps_max: f64,
    /// Wanted speed forward, m/s.
    pub(super) linear_mps: f64,
    /// Wanted turn rate to the left, rad/s.
    pub(super) angular_radps: f64,
    /// Whether the driver holds the deadman.
    pub(super) deadman: bool,
    /// A command arrives this often, ms; `null`: none arrives.
    pub(super) command_every_ms: Option<u32>,
    /// Age of the newest robot stamp that a command echoes when it arrives, ms.
    pub(super) stamp_age_ms: Option<u32>,
    /// Age of the picture that the driver saw, when the command arrives, ms.
    pub(super) seen_age_ms: Option<u32>,
    /// Somebody presses the emergency stop at the phase's beginning.
    pub(super) estop: bool,
    /// The driver asks to clear it at the phase's beginning.
    pub(super) estop_clear: bool,
    /// Age of odometry, ms.
    pub(super) odometry_age_ms: Option<u32>,
    /// Age of the laser scan, ms.
    pub(super) scan_age_ms: Option<u32>,
    /// Free way ahead, m.
    pub(super) ahead_m: Option<f64>,
    /// Free way behind, m.
    pub(super) behind_m: Option<f64>,
    /// What is ahead comes towards the robot with this speed, m/s, and the way then shrinks with the robot's own
    /// speed too. At 0 the way stays as it is.
    pub(super) approach_mps: f64,
    /// Free way ahead by range cones, m.
    pub(super) cone_ahead_m: Option<f64>,
    /// The bumper ahead is pressed.
    pub(super) bumper_front: bool,
    /// The bumper behind is pressed.
    pub(super) bumper_rear: bool,
    /// A drop sensor sees no ground ahead.
    pub(super) drop_ahead: bool,
    /// A drop sensor sees no ground behind.
    pub(super) drop_behind: bool,
    /// Lean, degrees.
    pub(super) tilt_deg: Option<f64>,
    /// Charge, 0 to 1.
    pub(super) battery: Option<f64>,
    /// Whether the recorder can write.
    pub(super) recorder_able: bool,
    /// Age of the heartbeat of the agent's tasks, ms.
    pub(super) heartbeat_age_ms: u32,
    /// The robot is so far inside of its area, m; negative outside. Without it in any phase there is no area.
    pub(super) edge_m: Option<f64>,
    /// Between the robot's front and the way to the edge, degrees; `null`: the robot has no compass.
    pub(super) edge_bearing_deg: Option<f64>,
    /// How far off the position may be, m.
    pub(super) accuracy_m: f64,
    /// Age of the position, ms.
    pub(super) position_age_ms: u32,
    /// The clock jumps at the phase's beginning, ms.
    pub(super) clock_jump_ms: i32,
    /// How the brakes are, m/s²: what odometry says after the wheels were told to stop.
    pub(super) brakes_mps2: f64,
}

impl Default for Phase {
    fn default() -> Self {
        Self {
            for_ms: 1_000,
            lease: true,
            program: false,
            lease_mps_max: 3.0,
            linear_mps: 0.0,
            angular_radps: 0.0,
            deadman: true,
            command_every_ms: Some(20),
            stamp_age_ms: Some(60),
            seen_age_ms: Some(90),
            estop: false,
            estop_clear: false,
            odometry_age_ms: Some(10),
            scan_age_ms: Some(30),
            ahead_m: Some(12.0),
            behind_m: Some(12.0),
            approach_mps: 0.0,
            cone_ahead_m: None,
            bumper_front: false,
            bumper_rear: false,
            drop_ahead: false,
            drop_behind: false,
            tilt_deg: Some(0.0),
            battery: Some(0.9),
            recorder_able: true,
            heartbeat_age_ms: 50,
            edge_m: None,
            edge_bearing_deg: Some(0.0),
            accuracy_m: 1.0,
            position_age_ms: 100,
            clock_jump_ms: 0,
            brakes_mps2: 3.0,
        }
    }
}

impl Scenario {
    /// Whether it is within bounds, or what is not.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.phases.is_empty() || self.phases.len() > PHASES_MAX {
            return Err(format!("a scenario has 1 to {PHASES_MAX} phases"));
        }
        let length_ms: u64 = self.phases.iter().map(|phase| u64::from(phase.for_ms)).sum();
        if length_ms > u64::from(LENGTH_MS_MAX) {
            return Err(format!("a scenario lasts at most {LENGTH_MS_MAX} ms, not {length_ms}"));
        }
        for (number, phase) in (1..).zip(&self.phases) {
            phase.check().map_err(|what| format!("phase {number}: {what}"))?;
        }
        self.policy.check().map_err(|error| error.to_string())
    }

    /// Whether the robot has an area to stay in.
    pub(super) fn is_fenced(&self) -> bool {
        self.phases.iter().any(|phase| phase.edge_m.is_some())
    }
}

impl Phase {
    fn check(&self) -> Result<(), String> {
        let distance = (0.0, 100.0);
        let fields = [
            ("lease_mps_max", Some(self.lease_mps_max), (0.0, 3.0)),
            ("linear_mps", Some(self.linear_mps), (-5.0, 5.0)),
            ("angular_radps", Some(self.angular_radps), (-10.0, 10.0)),
            ("ahead_m", self.ahead_m, distance),
            ("behind_m", self.behind_m, distance),
            ("approach_mps", Some(self.approach_mps), (0.0, 10.0)),
            ("cone_ahead_m", self.cone_ahead_m, distance),
            ("tilt_deg", self.tilt_deg, (0.0, 180.0)),
            ("battery", self.battery, (0.0, 1.0)),
            ("edge_m", self.edge_m, (-500.0, 500.0)),
            ("edge_bearing_deg", self.edge_bearing_deg, (-360.0, 360.0)),
            ("accuracy_m", Some(self.accuracy_m), (0.0, 1_000.0)),
            ("clock_jump_ms", Some(f64::from(self.clock_jump_ms)), (-60_000.0, 60_000.0)),
            ("brakes_mps2", Some(self.brakes_mps2), (0.1, 20.0)),
        ];
        for (field, value, (min, max)) in fields {
            // Written so that NaN is out of bounds.
            if value.is_some_and(|value| !(value >= min && value <= max)) {
                return Err(format!("{field} is from {min} to {max}"));
            }
        }
        let ages = [
            ("command_every_ms", self.command_every_ms),
            ("stamp_age_ms", self.stamp_age_ms),
            ("seen_age_ms", self.seen_age_ms),
            ("odometry_age_ms", self.odometry_age_ms),
            ("scan_age_ms", self.scan_age_ms),
            ("heartbeat_age_ms", Some(self.heartbeat_age_ms)),
            ("position_age_ms", Some(self.position_age_ms)),
        ];
        for (field, value) in ages {
            if value.is_some_and(|value| value > 60_000) {
                return Err(format!("{field} is at most 60000"));
            }
        }
        Ok(())
    }
}
