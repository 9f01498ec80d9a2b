//! What the driver and the fleet are told about the robot.

use crate::autonomy::Autonomy;
use crate::record::Progress;
use crate::sensors::Sensors;
use crate::shared::{DriveLease, Status};
use protocol::ids::{LeaseId, RobotId};
use protocol::safety::SafetyState;
use protocol::state::{EndedLease, RobotState, Trouble};
use protocol::telemetry::{Telemetry, flag};
use protocol::units::{MonoMs, WallMs};
use std::sync::atomic::Ordering;

/// Odometry older than this is called silent.
const BASE_SILENT_MS: u64 = 500;

/// A state's stable code.
pub(crate) const fn state_code(state: SafetyState) -> &'static str {
    match state {
        SafetyState::Idle => "idle",
        SafetyState::Ready => "ready",
        SafetyState::Driving => "driving",
        SafetyState::Stopped => "stopped",
        SafetyState::EmergencyStopped => "emergency_stopped",
    }
}

macro_rules! scaled {
    ($($(#[$doc:meta])* $name:ident -> $int:ty, $min:expr, $max:expr;)*) => {$(
        $(#[$doc])*
        #[expect(clippy::cast_possible_truncation, reason = "clamped first; NaN gives 0")]
        #[allow(clippy::cast_sign_loss, reason = "clamped first, where the integer has no sign")]
        fn $name(quantity: f64, per_unit: f64) -> $int {
            (quantity * per_unit).round().clamp($min, $max) as $int
        }
    )*};
}

scaled! {
    /// Saturating.
    i16_of -> i16, -32_768.0, 32_767.0;
    /// Saturating below the value that means "unknown".
    u16_of -> u16, 0.0, 65_534.0;
    /// Saturating below the value that means "unknown".
    u8_of -> u8, 0.0, 254.0;
    /// Saturating above the value that means "unknown".
    i32_of -> i32, -2_147_483_647.0, 2_147_483_647.0;
    /// Saturating.
    u32_of -> u32, 0.0, 4_294_967_295.0;
}

/// A packet of the telemetry lane.
pub(crate) fn packet(
    seq: u32,
    now: MonoMs,
    status: &Status,
    lease: &DriveLease,
    sensors: &Sensors,
    progress: &Progress,
    autonomy: &Autonomy,
) -> Telemetry {
    let outputs = &status.outputs;
    let echo = status.echo.unwrap_or_default();
    let (speed_mps, yaw_radps) =
        sensors.odometry.map_or((0.0, 0.0), |o| (o.speed_mps, o.yaw_radps));
    let silent = sensors.odometry.is_none_or(|o| now.since(o.arrived) > BASE_SILENT_MS);
    let position = sensors.position(now);
    let mut flags = 0;
    for (bit, set) in [
        (flag::RECORDING, progress.recording.load(Ordering::Relaxed)),
        (flag::RECORDER_LOST, progress.lost.load(Ordering::Relaxed)),
        (flag::BASE_SILENT, silent),
        (flag::MINIMAL_RISK, outputs.minimal_risk.is_some()),
        (flag::AUTONOMY, autonomy.is_there()),
        (flag::AUTONOMOUS, autonomy.drives()),
    ] {
        flags |= if set { bit } else { 0 };
    }
    Telemetry {
        state: outputs.state,
        reason: outputs.reason,
        seq,
        epoch: status.epoch,
        robot_ms: now.0,
        hazards: outputs.hazards,
        echo_client_ms: echo.client_ms,
        echo_seq: echo.seq,
        echo_hold_ms: u16::try_from(now.since(echo.arrived)).unwrap_or(u16::MAX),
        loop_latency_ms: outputs
            .loop_latency_ms
            .map_or(u16::MAX, |ms| u16::try_from(ms).unwrap_or(u16::MAX - 1)),
        speed_mmps: i16_of(speed_mps, 1e3),
        yaw_mradps: i16_of(yaw_radps, 1e3),
        limit_mmps: u16::try_from(outputs.limit_mmps).unwrap_or(u16::MAX),
        limit_reason: outputs.limit_reason,
        battery_pct: sensors.battery(now).map_or(u8::MAX, |charge| u8_of(charge, 1e2)),
        lat_1e7: position.map_or(i32::MIN, |p| i32_of(p.point.lat_deg, 1e7)),
        lon_1e7: position.map_or(i32::MIN, |p| i32_of(p.point.lon_deg, 1e7)),
        heading_cdeg: sensors.heading_deg(now).map_or(u16::MAX, |deg| u16_of(deg, 1e2)),
        h_acc_cm: position.map_or(u16::MAX, |p| u16_of(p.h_acc_m, 1e2)),
        fix: position.map_or(u8::MAX, |p| p.fix),
        satellites: u8::MAX,
        obstacle_cm: sensors
            .scan
            .and_then(|scan| scan.ahead_mm)
            .map_or(u16::MAX, |mm| u16::try_from(mm / 10).unwrap_or(u16::MAX)),
        odometer_dm: u32_of(sensors.distance_m - lease.distance_start_m, 10.0),
        lease_left_ms: u32::try_from(lease.core.expires.since(now)).unwrap_or(u32::MAX),
        flags,
        recorded_kib: u32::try_from(progress.bytes.load(Ordering::Relaxed) / 1024)
            .unwrap_or(u32::MAX),
    }
}

/// Who publishes a state, and what of it the drive loop does not know.
pub(crate) struct Publisher<'a> {
    pub(crate) robot: &'a RobotId,
    pub(crate) seq: u64,
    pub(crate) lease: Option<LeaseId>,
    pub(crate) epoch_highest: u64,
    pub(crate) last_ended: Option<EndedLease>,
    pub(crate) episodes_waiting: u32,
    pub(crate) settings_version: u64,
    pub(crate) troubles: Vec<Trouble>,
}

/// A state as the fleet gets it.
pub(crate) fn state(
    publisher: Publisher<'_>,
    now: MonoMs,
    at: WallMs,
    status: &Status,
    sensors: &Sensors,
) -> RobotState {
    let outputs = &status.outputs;
    RobotState {
        robot: publisher.robot.clone(),
        seq: publisher.seq,
        at,
        robot_ms: now.0,
        safety: outputs.state,
        reason: outputs.reason,
        minimal_risk: outputs.minimal_risk,
        lease: publisher.lease,
        epoch: publisher.epoch_highest,
        last_ended: publisher.last_ended,
        position: sensors.position(now),
        heading_deg: sensors.heading_deg(now),
        speed_mps: sensors.odometry.map_or(0.0, |o| o.speed_mps),
        yaw_radps: sensors.odometry.map_or(0.0, |o| o.yaw_radps),
        limit_mps: f64::from(outputs.limit_mmps) / 1_000.0,
        battery: sensors.battery(now),
        loop_latency_ms: outputs.loop_latency_ms,
        command_seq: outputs.command_seq,
        episodes_waiting: publisher.episodes_waiting,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        settings_version: publisher.settings_version,
        troubles: publisher.troubles,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_saturate_and_never_become_unknown() {
        assert_eq!(i16_of(1.2345, 1e3), 1_235);
        assert_eq!(i16_of(-99.0, 1e3), i16::MIN);
        assert_eq!(u16_of(1e9, 1e2), u16::MAX - 1);
        assert_eq!(u8_of(f64::NAN, 1e2), 0);
        assert_eq!(i32_of(f64::NEG_INFINITY, 1e7), i32::MIN + 1);
        assert_eq!(u32_of(-0.4, 10.0), 0);
    }
}
