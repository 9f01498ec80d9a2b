//! What the robot's owner allows.
//!
//! A policy is configuration: read from a file, checked once, frozen in the [`crate::Supervisor`], and named by
//! its digest in every episode. Quantities are written in SI units for people; inside the core they become
//! integers of milli-units ([`crate::limits::Limits`]), so that a replay on another machine gives the same bytes.

use crate::fence::{FenceError, Geofence};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The owner's policy. Unknown fields are refused; a missing field has the default stated here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Highest speed forward, m/s. Default 1.5, at most 3.
    pub speed_mps_max: f64,
    /// Highest speed backward, m/s. Default 0.8, at most 3.
    pub reverse_mps_max: f64,
    /// Highest turn rate, rad/s. Default 1.5, at most 6.
    pub turn_radps_max: f64,
    /// Highest acceleration, m/s². Default 1.0, at most 5.
    pub accel_mps2_max: f64,
    /// Deceleration while driving, m/s². Default 3.0, at most 10. A stop does not wait for it: it asks for zero
    /// at once and leaves the braking to the base.
    pub brake_mps2_max: f64,
    /// Highest change of the turn rate, rad/s². Default 6, at most 30.
    pub turn_radps2_max: f64,
    /// A command older than this since it arrived stops the robot, ms. Default 280, at most 300: with the tick
    /// and the way to the wheels, a stop is commanded within 300 ms of the last good command.
    pub command_age_ms_max: u32,
    /// A command whose newest robot stamp is older than this is refused, ms. Default 700, at most 2000.
    pub command_stamp_age_ms_max: u32,
    /// A command whose robot stamp is this much older than the freshest of the last ten seconds was held up on
    /// the way and is refused, ms. Default 250, at most 1000.
    pub command_stamp_slack_ms: u32,
    /// The picture that the driver acts on may be this old, ms. Default 500, at most 1000.
    pub seen_video_ms_max: u32,
    /// How far the robot may travel within the age of what the driver sees, m. Default 0.35, at most 2.
    pub blind_budget_m: f64,
    /// Odometry may be this old, ms. Default 300, at most 1000.
    pub odometry_age_ms_max: u32,
    /// The laser scan may be this old, ms. Default 500, at most 1000.
    pub scan_age_ms_max: u32,
    /// Below this charge (0 to 1) the robot goes only at `battery_low_mps_max`. Default 0.1.
    pub battery_low_ratio: f64,
    /// Highest speed on a nearly empty battery, m/s. Default 0.5.
    pub battery_low_mps_max: f64,
    /// Below this charge (0 to 1) the robot stops and stays, so that it can still call for help. Default 0.03.
    pub battery_critical_ratio: f64,
    /// Whether an unknown charge counts as a nearly empty battery. Default false.
    pub battery_required: bool,
    /// Beyond this lean the robot goes only at `tilt_mps_max`, rad. Default 0.35, at most 1.5.
    pub tilt_rad_max: f64,
    /// Highest speed when the robot leans too far, so that it can back away, m/s. Default 0.2.
    pub tilt_mps_max: f64,
    /// Beyond this lean the robot stops: it tips or was picked up, rad. Default 0.8, at least `tilt_rad_max`.
    pub tilt_stop_rad: f64,
    /// Whether an unknown lean stops the robot. Default false: not every robot has an inertial sensor.
    pub tilt_required: bool,
    /// A task of the agent whose heartbeat is older than this is dead, and stops the robot, ms. Default 3000, at
    /// most 10000.
    pub heartbeat_ms_max: u32,
    /// A longer time between two steps of the core means that the agent was frozen or its clock jumped, ms.
    /// Default 500, at most 2000.
    pub step_gap_ms_max: u32,
    /// Whether programs may drive without pictures.
    pub blind_driving: BlindDriving,
    /// The obstacle guard.
    pub obstacle_guard: ObstacleGuard,
    /// Range sensors, bumpers and drop sensors.
    pub close_sensors: CloseSensors,
    /// Where the robot may be.
    pub geofence: Geofence,
}

/// Driving without pictures, for programs only. A person whose picture is late is stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BlindDriving {
    /// Whether it is allowed at all. Default false. It needs an active obstacle guard.
    pub permitted: bool,
    /// Highest speed, m/s. Default 0.5, at most 1.
    pub speed_mps_max: f64,
}

/// Slows down and stops before obstacles that the laser scanner sees, in the direction of travel only, so that
/// the robot can always be backed out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ObstacleGuard {
    /// Whether it works. Default true. A robot without a scanner says false, and drives on pictures alone.
    pub active: bool,
    /// Half of the robot's width, m. Default 0.3.
    pub half_width_m: f64,
    /// Free room wanted on each side, m. Default 0.08.
    pub side_margin_m: f64,
    /// From the middle of the robot to its front, m. Default 0.35.
    pub front_m: f64,
    /// From the middle of the robot to its back, m. Default 0.35.
    pub rear_m: f64,
    /// Where the scanner sits, forward of the middle, m. Default 0.
    pub scanner_x_m: f64,
    /// Free room left before an obstacle, m. Default 0.3.
    pub stop_m: f64,
    /// Deceleration that stopping distances count on, m/s². Default 1.5: half of what the brakes give. Where the
    /// robot is measured to brake worse, the measured value counts; never a better one.
    pub brake_mps2: f64,
    /// Time from an obstacle's appearance in a scan to the brakes, ms, on top of the scan's age. Default 200.
    pub reaction_ms: u32,
    /// Highest speed backward where the scanner sees nothing, m/s. Default 0.3.
    pub reverse_unseen_mps_max: f64,
    /// What comes towards the robot may not be nearer than this time at the speed of both, ms. Default 1000, at
    /// most 5000; 0 switches it off.
    pub collision_ms_min: u32,
    /// Nothing comes towards the robot faster than this, m/s: a quicker change is another thing that came into
    /// view. Default 2.5.
    pub approach_mps_max: f64,
}

/// Sensors that look a few steps far: ultrasound and infrared cones, bumpers, drop sensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CloseSensors {
    /// Whether the robot must have them: their silence then stops it. What they say counts either way. Default
    /// false.
    pub active: bool,
    /// Their word counts this long, ms. Default 500, at most 1000.
    pub age_ms_max: u32,
    /// How far before the wheels the drop sensors look, m; the robot then goes no faster than it can stop in.
    /// Default 0: no drop sensors.
    pub drop_look_m: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            speed_mps_max: 1.5,
            reverse_mps_max: 0.8,
            turn_radps_max: 1.5,
            accel_mps2_max: 1.0,
            brake_mps2_max: 3.0,
            turn_radps2_max: 6.0,
            command_age_ms_max: 280,
            command_stamp_age_ms_max: 700,
            command_stamp_slack_ms: 250,
            seen_video_ms_max: 500,
            blind_budget_m: 0.35,
            odometry_age_ms_max: 300,
            scan_age_ms_max: 500,
            battery_low_ratio: 0.1,
            battery_low_mps_max: 0.5,
            battery_critical_ratio: 0.03,
            battery_required: false,
            tilt_rad_max: 0.35,
            tilt_mps_max: 0.2,
            tilt_stop_rad: 0.8,
            tilt_required: false,
            heartbeat_ms_max: 3_000,
            step_gap_ms_max: 500,
            blind_driving: BlindDriving::default(),
            obstacle_guard: ObstacleGuard::default(),
            close_sensors: CloseSensors::default(),
            geofence: Geofence::default(),
        }
    }
}

impl Default for BlindDriving {
    fn default() -> Self {
        Self { permitted: false, speed_mps_max: 0.5 }
    }
}

impl Default for ObstacleGuard {
    fn default() -> Self {
        Self {
            active: true,
            half_width_m: 0.3,
            side_margin_m: 0.08,
            front_m: 0.35,
            rear_m: 0.35,
            scanner_x_m: 0.0,
            stop_m: 0.3,
            brake_mps2: 1.5,
            reaction_ms: 200,
            reverse_unseen_mps_max: 0.3,
            collision_ms_min: 1_000,
            approach_mps_max: 2.5,
        }
    }
}

impl Default for CloseSensors {
    fn default() -> Self {
        Self { active: false, age_ms_max: 500, drop_look_m: 0.0 }
    }
}

/// Why a policy was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A value is out of its bounds.
    #[error("policy: {field} = {value} is not between {min} and {max}")]
    Bounds {
        /// The field.
        field: &'static str,
        /// What it says.
        value: f64,
        /// The least that is allowed.
        min: f64,
        /// The most that is allowed.
        max: f64,
    },
    /// Blind driving without the guard that makes it bearable.
    #[error("policy: blind_driving.permitted needs obstacle_guard.active")]
    BlindWithoutGuard,
    /// An area that is none.
    #[error("policy: geofence: {0}")]
    Geofence(#[from] FenceError),
}

impl Policy {
    /// Checks every value against the hard bounds that no owner can lift.
    pub fn check(&self) -> Result<(), PolicyError> {
        let guard = &self.obstacle_guard;
        let close = &self.close_sensors;
        let fence = &self.geofence;
        let bounds: &[(&'static str, f64, f64, f64)] = &[
            ("speed_mps_max", self.speed_mps_max, 0.0, 3.0),
            ("reverse_mps_max", self.reverse_mps_max, 0.0, 3.0),
            ("turn_radps_max", self.turn_radps_max, 0.0, 6.0),
            ("accel_mps2_max", self.accel_mps2_max, 0.01, 5.0),
            ("brake_mps2_max", self.brake_mps2_max, 0.1, 10.0),
            ("turn_radps2_max", self.turn_radps2_max, 0.01, 30.0),
            ("command_age_ms_max", f64::from(self.command_age_ms_max), 40.0, 300.0),
            ("command_stamp_age_ms_max", f64::from(self.command_stamp_age_ms_max), 40.0, 2000.0),
            ("command_stamp_slack_ms", f64::from(self.command_stamp_slack_ms), 20.0, 1000.0),
            ("seen_video_ms_max", f64::from(self.seen_video_ms_max), 40.0, 1000.0),
            ("blind_budget_m", self.blind_budget_m, 0.0, 2.0),
            ("odometry_age_ms_max", f64::from(self.odometry_age_ms_max), 20.0, 1000.0),
            ("scan_age_ms_max", f64::from(self.scan_age_ms_max), 20.0, 1000.0),
            ("battery_low_ratio", self.battery_low_ratio, 0.0, 1.0),
            ("battery_low_mps_max", self.battery_low_mps_max, 0.0, 3.0),
            ("battery_critical_ratio", self.battery_critical_ratio, 0.0, self.battery_low_ratio),
            ("tilt_rad_max", self.tilt_rad_max, 0.01, 1.5),
            ("tilt_stop_rad", self.tilt_stop_rad, self.tilt_rad_max, 3.2),
            ("heartbeat_ms_max", f64::from(self.heartbeat_ms_max), 500.0, 10_000.0),
            ("step_gap_ms_max", f64::from(self.step_gap_ms_max), 100.0, 2_000.0),
            ("tilt_mps_max", self.tilt_mps_max, 0.0, 3.0),
            ("blind_driving.speed_mps_max", self.blind_driving.speed_mps_max, 0.0, 1.0),
            ("obstacle_guard.half_width_m", guard.half_width_m, 0.01, 2.0),
            ("obstacle_guard.side_margin_m", guard.side_margin_m, 0.0, 2.0),
            ("obstacle_guard.front_m", guard.front_m, 0.0, 3.0),
            ("obstacle_guard.rear_m", guard.rear_m, 0.0, 3.0),
            ("obstacle_guard.scanner_x_m", guard.scanner_x_m, -3.0, 3.0),
            ("obstacle_guard.stop_m", guard.stop_m, 0.0, 3.0),
            ("obstacle_guard.brake_mps2", guard.brake_mps2, 0.1, 10.0),
            ("obstacle_guard.reaction_ms", f64::from(guard.reaction_ms), 0.0, 2000.0),
            ("obstacle_guard.reverse_unseen_mps_max", guard.reverse_unseen_mps_max, 0.0, 1.0),
            ("obstacle_guard.collision_ms_min", f64::from(guard.collision_ms_min), 0.0, 5_000.0),
            ("obstacle_guard.approach_mps_max", guard.approach_mps_max, 0.0, 10.0),
            ("close_sensors.age_ms_max", f64::from(close.age_ms_max), 20.0, 1_000.0),
            ("close_sensors.drop_look_m", close.drop_look_m, 0.0, 3.0),
            ("geofence.margin_m", fence.margin_m, 0.0, 100.0),
            ("geofence.slow_mps_max", fence.slow_mps_max, 0.05, 1.0),
            ("geofence.accuracy_m_max", fence.accuracy_m_max, 0.1, 50.0),
            ("geofence.position_age_ms_max", f64::from(fence.position_age_ms_max), 100.0, 5_000.0),
            ("geofence.unknown_ms_max", f64::from(fence.unknown_ms_max), 0.0, 600_000.0),
            (
                "obstacle_guard.brake_mps2 (of brake_mps2_max)",
                guard.brake_mps2,
                0.1,
                self.brake_mps2_max,
            ),
        ];
        for &(field, value, min, max) in bounds {
            // Written so that NaN is out of bounds.
            if !(value >= min && value <= max) {
                return Err(PolicyError::Bounds { field, value, min, max });
            }
        }
        if self.blind_driving.permitted && !guard.active {
            return Err(PolicyError::BlindWithoutGuard);
        }
        fence.check()?;
        Ok(())
    }

    /// The policy as canonical JSON: no spaces, keys of every object in byte order.
    pub fn canonical_json(&self) -> String {
        let mut text = String::new();
        // A struct of numbers and flags always has a JSON form; `null` would be refused by every reader.
        write_canonical(&serde_json::to_value(self).unwrap_or_default(), &mut text);
        text
    }

    /// SHA-256 of [`Policy::canonical_json`]: what an episode names the policy by.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.canonical_json().as_bytes()).into()
    }
}

fn write_canonical(value: &serde_json::Value, text: &mut String) {
    let Some(object) = value.as_object() else {
        text.push_str(&value.to_string());
        return;
    };
    let mut keys: Vec<_> = object.iter().collect();
    keys.sort_by(|a, b| a.0.cmp(b.0));
    text.push('{');
    for (n, (key, value)) in keys.into_iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        text.push_str(&serde_json::Value::from(key.as_str()).to_string());
        text.push(':');
        write_canonical(value, text);
    }
    text.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_policy_is_in_bounds() {
        let limits = Policy::default().limits().unwrap();
        assert_eq!((limits.speed_mmps_max, limits.blind_budget_mm), (1500, 350));
        assert!(!limits.blind_permitted);
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        let bad = [
            Policy { speed_mps_max: 3.1, ..Policy::default() },
            Policy { speed_mps_max: f64::NAN, ..Policy::default() },
            Policy { command_age_ms_max: 301, ..Policy::default() },
            Policy { tilt_rad_max: -1.0, ..Policy::default() },
        ];
        for policy in bad {
            let error = policy.limits().unwrap_err().to_string();
            assert!(error.contains("is not between"), "{error}");
        }
    }

    #[test]
    fn blind_driving_needs_the_guard() {
        let policy = Policy {
            blind_driving: BlindDriving { permitted: true, ..BlindDriving::default() },
            obstacle_guard: ObstacleGuard { active: false, ..ObstacleGuard::default() },
            ..Policy::default()
        };
        assert_eq!(policy.check(), Err(PolicyError::BlindWithoutGuard));
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(serde_json::from_str::<Policy>(r#"{"speed_max":9}"#).is_err());
        assert_eq!(serde_json::from_str::<Policy>("{}").unwrap(), Policy::default());
    }

    #[test]
    fn the_digest_names_the_policy_whatever_the_order_of_its_fields() {
        let policy = Policy::default();
        let json = policy.canonical_json();
        assert!(
            json.starts_with(r#"{"accel_mps2_max":1.0,"battery_critical_ratio":0.03,"#),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
        let other = Policy { speed_mps_max: 1.4, ..Policy::default() };
        assert_ne!(other.digest(), policy.digest());
    }
}
