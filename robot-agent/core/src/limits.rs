//! The policy as the core uses it: integers of milli-units.

use crate::policy::{Policy, PolicyError};

/// A policy in integers of milli-units. There is no other way to make one than from a checked policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the policy, in milli-units")]
pub struct Limits {
    pub speed_mmps_max: u32,
    pub reverse_mmps_max: u32,
    pub turn_mradps_max: u32,
    pub accel_mmps2_max: u32,
    pub brake_mmps2_max: u32,
    pub turn_mradps2_max: u32,
    pub command_age_ms_max: u32,
    pub command_stamp_age_ms_max: u32,
    pub command_stamp_slack_ms: u32,
    pub seen_video_ms_max: u32,
    pub blind_budget_mm: u32,
    pub odometry_age_ms_max: u32,
    pub scan_age_ms_max: u32,
    pub battery_low_permille: u32,
    pub battery_low_mmps_max: u32,
    pub battery_critical_permille: u32,
    pub battery_required: bool,
    pub tilt_mrad_max: u32,
    pub tilt_mmps_max: u32,
    pub tilt_stop_mrad: u32,
    pub tilt_required: bool,
    pub heartbeat_ms_max: u32,
    pub step_gap_ms_max: u32,
    pub blind_permitted: bool,
    pub blind_mmps_max: u32,
    pub guard_active: bool,
    pub guard_stop_mm: u32,
    pub guard_brake_mmps2: u32,
    pub guard_reaction_ms: u32,
    pub guard_reverse_unseen_mmps_max: u32,
    pub collision_ms_min: u32,
    pub approach_mmps_max: u32,
    pub close_active: bool,
    pub close_age_ms_max: u32,
    pub drop_look_mm: u32,
    pub fence_active: bool,
    pub fence_margin_mm: u32,
    pub fence_slow_mmps_max: u32,
    pub fence_accuracy_mm_max: u32,
    pub position_age_ms_max: u32,
    pub position_unknown_ms_max: u32,
}

/// Thousandths of a checked, non-negative quantity, rounded.
#[expect(
    clippy::as_conversions,
    reason = "the bounds were checked; `as` saturates and NaN gives 0"
)]
fn milli(quantity: f64) -> u32 {
    (quantity * 1000.0).round() as u32
}

impl Policy {
    /// The checked policy in integers.
    pub fn limits(&self) -> Result<Limits, PolicyError> {
        self.check()?;
        let (guard, close, fence) = (&self.obstacle_guard, &self.close_sensors, &self.geofence);
        Ok(Limits {
            speed_mmps_max: milli(self.speed_mps_max),
            reverse_mmps_max: milli(self.reverse_mps_max),
            turn_mradps_max: milli(self.turn_radps_max),
            accel_mmps2_max: milli(self.accel_mps2_max),
            brake_mmps2_max: milli(self.brake_mps2_max),
            turn_mradps2_max: milli(self.turn_radps2_max),
            command_age_ms_max: self.command_age_ms_max,
            command_stamp_age_ms_max: self.command_stamp_age_ms_max,
            command_stamp_slack_ms: self.command_stamp_slack_ms,
            seen_video_ms_max: self.seen_video_ms_max,
            blind_budget_mm: milli(self.blind_budget_m),
            odometry_age_ms_max: self.odometry_age_ms_max,
            scan_age_ms_max: self.scan_age_ms_max,
            battery_low_permille: milli(self.battery_low_ratio),
            battery_low_mmps_max: milli(self.battery_low_mps_max),
            battery_critical_permille: milli(self.battery_critical_ratio),
            battery_required: self.battery_required,
            tilt_mrad_max: milli(self.tilt_rad_max),
            tilt_mmps_max: milli(self.tilt_mps_max),
            tilt_stop_mrad: milli(self.tilt_stop_rad),
            tilt_required: self.tilt_required,
            heartbeat_ms_max: self.heartbeat_ms_max,
            step_gap_ms_max: self.step_gap_ms_max,
            blind_permitted: self.blind_driving.permitted,
            blind_mmps_max: milli(self.blind_driving.speed_mps_max),
            guard_active: guard.active,
            guard_stop_mm: milli(guard.stop_m),
            guard_brake_mmps2: milli(guard.brake_mps2),
            guard_reaction_ms: guard.reaction_ms,
            guard_reverse_unseen_mmps_max: milli(guard.reverse_unseen_mps_max),
            collision_ms_min: guard.collision_ms_min,
            approach_mmps_max: milli(guard.approach_mps_max),
            close_active: close.active,
            close_age_ms_max: close.age_ms_max,
            drop_look_mm: milli(close.drop_look_m),
            fence_active: fence.is_active(),
            fence_margin_mm: milli(fence.margin_m),
            fence_slow_mmps_max: milli(fence.slow_mps_max),
            fence_accuracy_mm_max: milli(fence.accuracy_m_max),
            position_age_ms_max: fence.position_age_ms_max,
            position_unknown_ms_max: fence.unknown_ms_max,
        })
    }
}
