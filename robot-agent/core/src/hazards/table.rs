//! The table itself.

use super::bounds::{
    bounds_when, close_block, collision_mmps, fence_mmps, guard_mmps, holds, latency_mmps,
    may_drive_blind, policy_mmps, position_unknown, stale, video_stale,
};
use super::{Action, Clear, Finding, Hazard};
use protocol::safety::Reason;

/// Every hazard, the strongest first.
pub const HAZARDS: &[Hazard] = &[
    Hazard {
        reason: Reason::ClockRegression,
        action: Action::Latch,
        clear: Clear::Restart,
        when: "the monotonic clock went backwards",
        find: |facts, _| holds(facts.clock_regressed),
    },
    Hazard {
        reason: Reason::Estop,
        action: Action::Latch,
        clear: Clear::Driver,
        when: "anyone pressed the emergency stop",
        find: |facts, _| holds(facts.estop_latched),
    },
    Hazard {
        reason: Reason::NoLease,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "no lease, it has ended, or a higher epoch was seen",
        find: |facts, _| holds(!facts.lease_live),
    },
    Hazard {
        reason: Reason::ClockJump,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "the step before was longer than `step_gap_ms_max` ago: the agent was frozen, or its clock \
               jumped",
        find: |facts, limits| holds(facts.step_gap_ms > u64::from(limits.step_gap_ms_max)),
    },
    Hazard {
        reason: Reason::CommandStale,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "no command of the lease arrived within `command_age_ms_max`",
        find: |facts, limits| holds(stale(facts.command_age_ms, limits.command_age_ms_max)),
    },
    Hazard {
        reason: Reason::CommandHeldUp,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "the command carries no robot stamp, one older than `command_stamp_age_ms_max`, or one that was \
               `command_stamp_slack_ms` older on arrival than the freshest of the last 10 s",
        find: |facts, limits| {
            let old = stale(facts.stamp_age_ms, limits.command_stamp_age_ms_max);
            holds(facts.command_held_up || old)
        },
    },
    Hazard {
        reason: Reason::VideoStale,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "the picture that the driver saw is older than `seen_video_ms_max`, or was never sent, and the \
               driver is not a program with `blind_driving.permitted`",
        find: |facts, limits| holds(video_stale(facts, limits) && !may_drive_blind(facts, limits)),
    },
    Hazard {
        reason: Reason::SensorStale,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "odometry is older than `odometry_age_ms_max`",
        find: |facts, limits| holds(stale(facts.odometry_age_ms, limits.odometry_age_ms_max)),
    },
    Hazard {
        reason: Reason::ScanStale,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "with the obstacle guard: the scan is older than `scan_age_ms_max`",
        find: |facts, limits| {
            holds(limits.guard_active && stale(facts.scan_age_ms, limits.scan_age_ms_max))
        },
    },
    Hazard {
        reason: Reason::CloseStale,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "with `close_sensors.active`: one of them is older than `close_sensors.age_ms_max`",
        find: |facts, limits| {
            holds(limits.close_active && stale(facts.close_age_ms, limits.close_age_ms_max))
        },
    },
    Hazard {
        reason: Reason::TiltStale,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "with `tilt_required`: the lean is not known",
        find: |facts, limits| holds(limits.tilt_required && facts.tilt_mrad.is_none()),
    },
    Hazard {
        reason: Reason::PositionUnknown,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "with a geofence: no position within `geofence.accuracy_m_max` for \
               `geofence.position_age_ms_max` and then `geofence.unknown_ms_max`",
        find: |facts, limits| holds(position_unknown(facts, limits)),
    },
    Hazard {
        reason: Reason::TaskDead,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "a task of the agent (camera, recorder, link, ROS intake) has not reported for \
               `heartbeat_ms_max`",
        find: |facts, limits| holds(facts.heartbeat_age_ms > u64::from(limits.heartbeat_ms_max)),
    },
    Hazard {
        reason: Reason::Tipped,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "the robot leans more than `tilt_stop_rad`",
        find: |facts, limits| {
            holds(facts.tilt_mrad.is_some_and(|mrad| u32::from(mrad) > limits.tilt_stop_mrad))
        },
    },
    Hazard {
        reason: Reason::BatteryCritical,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "the battery is below `battery_critical_ratio`",
        find: |facts, limits| {
            let charge = facts.battery_permille.map(u32::from);
            holds(charge.is_some_and(|charge| charge < limits.battery_critical_permille))
        },
    },
    Hazard {
        reason: Reason::RecorderFull,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "the recorder cannot write",
        find: |facts, _| holds(!facts.recorder_able),
    },
    Hazard {
        reason: Reason::RearmNeeded,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "a stop ended a drive, and no command with the deadman released has arrived in time since",
        find: |facts, _| holds(facts.rearm_needed),
    },
    Hazard {
        reason: Reason::DeadmanReleased,
        action: Action::Hold,
        clear: Clear::Cause,
        when: "the deadman is not held",
        find: |facts, _| holds(!facts.deadman),
    },
    Hazard {
        reason: Reason::ObstacleAhead,
        action: Action::Block,
        clear: Clear::Cause,
        when: "the free way in the direction of the stick, by scan or range cones, is at most `obstacle_guard.stop_m`, or \
               unseen ahead",
        find: |facts, limits| bounds_when(guard_mmps(facts, limits) == Some(0), 0),
    },
    Hazard {
        reason: Reason::Bumper,
        action: Action::Block,
        clear: Clear::Cause,
        when: "the bumper on the side of the stick is pressed",
        find: |facts, limits| close_block(facts, limits, facts.bumper_front, facts.bumper_rear),
    },
    Hazard {
        reason: Reason::Drop,
        action: Action::Block,
        clear: Clear::Cause,
        when: "a drop sensor on the side of the stick sees no ground",
        find: |facts, limits| close_block(facts, limits, facts.drop_ahead, facts.drop_behind),
    },
    Hazard {
        reason: Reason::Geofence,
        action: Action::Block,
        clear: Clear::Cause,
        when: "with a geofence: the direction of the stick leads to an edge that is nearer than the margin, or \
               further out",
        find: |facts, limits| bounds_when(fence_mmps(facts, limits) == Some(0), 0),
    },
    Hazard {
        reason: Reason::CollisionNear,
        action: Action::Cap,
        clear: Clear::Cause,
        when: "with the obstacle guard, when something comes towards the robot in the direction of the stick: \
               at most the speed at which it is `obstacle_guard.collision_ms_min` away",
        find: collision_mmps,
    },
    Hazard {
        reason: Reason::Tilt,
        action: Action::Cap,
        clear: Clear::Cause,
        when: "the robot leans more than `tilt_rad_max`: at most `tilt_mps_max`",
        find: |facts, limits| {
            let leans = facts.tilt_mrad.is_some_and(|mrad| u32::from(mrad) > limits.tilt_mrad_max);
            bounds_when(leans, limits.tilt_mmps_max)
        },
    },
    Hazard {
        reason: Reason::BatteryLow,
        action: Action::Cap,
        clear: Clear::Cause,
        when: "the battery is below `battery_low_ratio`, or unknown with `battery_required`: at most \
               `battery_low_mps_max`",
        find: |facts, limits| {
            let charge = facts.battery_permille.map(u32::from);
            let low = charge
                .map_or(limits.battery_required, |charge| charge < limits.battery_low_permille);
            bounds_when(low, limits.battery_low_mmps_max)
        },
    },
    Hazard {
        reason: Reason::BlindCap,
        action: Action::Cap,
        clear: Clear::Cause,
        when: "a program drives without a fresh picture: at most `blind_driving.speed_mps_max`",
        find: |facts, limits| {
            let blind = video_stale(facts, limits);
            bounds_when(blind && may_drive_blind(facts, limits), limits.blind_mmps_max)
        },
    },
    Hazard {
        reason: Reason::GeofenceNear,
        action: Action::Cap,
        clear: Clear::Cause,
        when: "with a geofence: at most the speed from which the robot stops before the edge, less margin, \
               accuracy and the way since the position; at most `geofence.slow_mps_max` while the position is \
               poor, and at least that in a direction that leads back",
        find: |facts, limits| fence_mmps(facts, limits).map_or(Finding::Absent, Finding::Bounds),
    },
    Hazard {
        reason: Reason::Latency,
        action: Action::Cap,
        clear: Clear::Cause,
        when: "always: at most `blind_budget_m` divided by the loop latency",
        find: latency_mmps,
    },
    Hazard {
        reason: Reason::ObstacleNear,
        action: Action::Cap,
        clear: Clear::Cause,
        when: "always with the obstacle guard or range cones: at most the speed from which the robot stops in the free \
               way, v²/2a + v·reaction, with the measured deceleration where it is worse than the policy's; at most `obstacle_guard.reverse_unseen_mps_max` backward where the scanner \
               does not look",
        find: |facts, limits| guard_mmps(facts, limits).map_or(Finding::Absent, Finding::Bounds),
    },
    Hazard {
        reason: Reason::PolicyCap,
        action: Action::Cap,
        clear: Clear::Cause,
        when: "always: at most `speed_mps_max` (`reverse_mps_max` backward), the lease's own limit, and with drop \
               sensors the speed from which the robot stops within `close_sensors.drop_look_m`",
        find: policy_mmps,
    },
];
