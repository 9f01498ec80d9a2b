//! Plays a scenario: a step of the core every 10 ms and for every command, as a robot does.

use super::scenario::{Phase, Scenario};
use agent_core::fence::Geofence;
use agent_core::{
    Close, Command, Fix, Heading, Inputs, Lease, Odometry, Outputs, Policy, Scan, Supervisor,
};
use protocol::safety::Reason;
use protocol::units::{GeoPoint, MonoMs};
use serde_json::{Value, json};

const TICK_MS: u64 = 10;
const SAMPLE_EVERY_MS: u64 = 20;
/// Changes that are told, at most; a scenario of flapping inputs has more.
const CHANGES_MAX: usize = 200;
/// Where the clock begins: far enough from zero for every age.
const BEGIN_MS: u64 = 1_000_000;
/// The robot's area reaches this far in each direction, m; its east side is the edge that scenarios talk of.
const AREA_M: f64 = 1_000.0;
const MIDDLE: GeoPoint = GeoPoint { lat_deg: 52.0, lon_deg: 13.0 };

/// Saturating; NaN gives 0.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
fn whole(quantity: f64) -> i32 {
    quantity.round() as i32
}

fn millis(quantity: f64) -> u32 {
    whole(quantity * 1e3).unsigned_abs()
}

fn low(quantity: f64) -> i16 {
    i16::try_from(whole(quantity * 1e3).clamp(-32_768, 32_767)).unwrap_or(0)
}

/// The robot that the core drives: it does what it is told, but for its brakes.
struct Robot {
    core: Supervisor,
    begin_ms: u64,
    now_ms: u64,
    seq: u32,
    speed_mmps: f64,
    yaw_mradps: i32,
    /// What comes towards the robot is this far away now, m.
    ahead_m: Option<f64>,
}

impl Robot {
    fn at(&self, age_ms: u32) -> MonoMs {
        MonoMs(self.now_ms.saturating_sub(u64::from(age_ms)))
    }

    fn command(&mut self, phase: &Phase) -> Command {
        self.seq += 1;
        Command {
            arrived: MonoMs(self.now_ms),
            epoch: 1,
            seq: self.seq,
            deadman: phase.deadman,
            stamp: phase.stamp_age_ms.map(|age| self.at(age)),
            seen: phase.seen_age_ms.map(|age| self.at(age)),
            linear_mmps: low(phase.linear_mps),
            angular_mradps: low(phase.angular_radps),
        }
    }

    fn inputs(&self, phase: &Phase) -> Inputs {
        let lease = phase.lease.then(|| Lease {
            epoch: 1,
            expires: MonoMs(u64::MAX),
            speed_mmps_max: millis(phase.lease_mps_max),
            program: phase.program,
        });
        let any_close = phase.cone_ahead_m.is_some()
            || phase.bumper_front
            || phase.bumper_rear
            || phase.drop_ahead
            || phase.drop_behind;
        let close = any_close.then(|| Close {
            arrived: self.at(10),
            ahead_mm: phase.cone_ahead_m.map(millis),
            behind_mm: None,
            bumper_front: phase.bumper_front,
            bumper_rear: phase.bumper_rear,
            drop_ahead: phase.drop_ahead,
            drop_behind: phase.drop_behind,
        });
        Inputs {
            lease,
            epoch_highest: 1,
            odometry: phase.odometry_age_ms.map(|age| Odometry {
                arrived: self.at(age),
                speed_mmps: whole(self.speed_mmps),
                yaw_mradps: self.yaw_mradps,
            }),
            scan: phase.scan_age_ms.map(|age| Scan {
                arrived: self.at(age),
                ahead_mm: self.ahead_m.map(millis),
                behind_mm: phase.behind_m.map(millis),
            }),
            close,
            fix: phase.edge_m.map(|edge_m| self.fix(phase, edge_m)),
            heading: phase.edge_m.and_then(|edge_m| heading(phase.edge_bearing_deg?, edge_m < 0.0)),
            tilt_mrad: phase.tilt_deg.map(|deg| low(deg.to_radians()).unsigned_abs()),
            battery_permille: phase.battery.map(|charge| low(charge).unsigned_abs()),
            recorder_able: phase.recorder_able,
            heartbeats: [Some(self.at(phase.heartbeat_age_ms)); 4],
            ..Inputs::default()
        }
    }

    fn fix(&self, phase: &Phase, edge_m: f64) -> Fix {
        let point = MIDDLE.offset_m(AREA_M - edge_m, 0.0);
        Fix {
            arrived: self.at(phase.position_age_ms),
            lat_1e7: whole(point.lat_deg * 1e7),
            lon_1e7: whole(point.lon_deg * 1e7),
            accuracy_mm: millis(phase.accuracy_m),
        }
    }

    /// The base after a step: it follows at once, but brakes no better than the phase says.
    fn obey(&mut self, outputs: &Outputs, phase: &Phase, dt_ms: u64) {
        let dt_s = std::time::Duration::from_millis(dt_ms).as_secs_f64();
        let told = f64::from(outputs.executed.linear_mmps);
        let most = phase.brakes_mps2 * 1e3 * dt_s;
        let brakes = told.abs() < self.speed_mmps.abs() || told * self.speed_mmps < 0.0;
        self.speed_mmps =
            if brakes { told.clamp(self.speed_mmps - most, self.speed_mmps + most) } else { told };
        self.yaw_mradps = outputs.executed.angular_mradps;
        if phase.approach_mps > 0.0 {
            let closer_m = (phase.approach_mps + self.speed_mmps / 1e3) * dt_s;
            self.ahead_m = self.ahead_m.map(|way_m| (way_m - closer_m).max(0.0));
        }
    }
}

/// The edge is in the east of a robot inside, and in the west of one outside.
fn heading(bearing_deg: f64, outside: bool) -> Option<Heading> {
    let (sin, cos) = bearing_deg.to_radians().sin_cos();
    let east = if outside { -cos } else { cos };
    Some(Heading { east_permille: low(east), north_permille: low(sin) })
}

fn fenced(policy: &Policy) -> Policy {
    let corner = |east: f64, north: f64| {
        let point = MIDDLE.offset_m(east * AREA_M, north * AREA_M);
        [point.lat_deg, point.lon_deg]
    };
    let area = vec![corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0)];
    let geofence = Geofence { keep_in: vec![area], ..policy.geofence.clone() };
    Policy { geofence, ..policy.clone() }
}

fn sample(robot: &Robot, outputs: &Outputs) -> Value {
    json!({
        "t_ms": robot.now_ms - robot.begin_ms,
        "state": outputs.state,
        "reason": outputs.reason.code(),
        "limit_mmps": outputs.limit_mmps,
        "wheels_mmps": outputs.executed.linear_mmps,
        "turn_mradps": outputs.executed.angular_mradps,
        "speed_mmps": whole(robot.speed_mmps),
    })
}

/// What holds now, in the words that the driver reads.
fn hazards(mask: u32) -> Vec<Value> {
    agent_core::hazards::HAZARDS
        .iter()
        .filter(|hazard| mask & hazard.reason.bit() != 0)
        .map(|hazard| {
            json!({
                "code": hazard.reason.code(),
                "words": hazard.reason.words(),
                "what_next": hazard.reason.what_next(),
                "when": hazard.when,
                "action": hazard.action.word(),
                "clears": hazard.clear.words(),
            })
        })
        .collect()
}

fn code(reason: Option<Reason>) -> Option<&'static str> {
    reason.map(Reason::code)
}

/// Plays `scenario`; words say what is wrong with it.
pub(super) fn play(scenario: &Scenario) -> Result<Value, String> {
    scenario.check()?;
    let policy =
        if scenario.is_fenced() { fenced(&scenario.policy) } else { scenario.policy.clone() };
    let mut robot = Robot {
        core: Supervisor::new(&policy).map_err(|error| error.to_string())?,
        begin_ms: BEGIN_MS,
        now_ms: BEGIN_MS,
        seq: 0,
        speed_mmps: 0.0,
        yaw_mradps: 0,
        ahead_m: None,
    };
    let (mut samples, mut changes, mut last) = (Vec::new(), Vec::new(), None::<Outputs>);
    for phase in &scenario.phases {
        robot.ahead_m = phase.ahead_m;
        let jump_ms = i64::from(phase.clock_jump_ms);
        robot.now_ms = robot.now_ms.saturating_add_signed(jump_ms);
        // The jump is the robot's; the scenario's own time goes on evenly.
        robot.begin_ms = robot.begin_ms.saturating_add_signed(jump_ms);
        let mut since_command_ms = u64::MAX;
        for tick in 0..u64::from(phase.for_ms) / TICK_MS {
            robot.now_ms += TICK_MS;
            let mut inputs = robot.inputs(phase);
            since_command_ms = since_command_ms.saturating_add(TICK_MS);
            if phase.command_every_ms.is_some_and(|every| since_command_ms >= u64::from(every)) {
                since_command_ms = 0;
                inputs.command = phase.lease.then(|| robot.command(phase));
            }
            inputs.estop_stop = phase.estop && tick == 0;
            // After the first command, so that a stick that rests in this phase is known to rest.
            inputs.estop_clear_epoch = u64::from(phase.estop_clear && tick == 1);
            let outputs = robot.core.step(MonoMs(robot.now_ms), &inputs);
            robot.obey(&outputs, phase, TICK_MS);
            let key = |outputs: &Outputs| (outputs.state, outputs.reason);
            let changed = last.as_ref().map(key) != Some(key(&outputs));
            if changed && changes.len() < CHANGES_MAX {
                changes.push(sample(&robot, &outputs));
            }
            if (robot.now_ms - robot.begin_ms).is_multiple_of(SAMPLE_EVERY_MS) {
                samples.push(sample(&robot, &outputs));
            }
            last = Some(outputs);
        }
    }
    let outputs = last.ok_or("a scenario lasts at least 10 ms")?;
    Ok(json!({
        "samples": samples,
        "changes": changes,
        "hazards": hazards(outputs.hazards),
        "end": {
            "state": outputs.state,
            "reason": outputs.reason.code(),
            "words": outputs.reason.words(),
            "what_next": outputs.reason.what_next(),
            "limit_mmps": outputs.limit_mmps,
            "limit_reason": outputs.limit_reason.code(),
            "limit_words": outputs.limit_reason.words(),
            "loop_latency_ms": outputs.loop_latency_ms,
            "wheels_mmps": outputs.executed.linear_mmps,
            "turn_mradps": outputs.executed.angular_mradps,
            "minimal_risk": code(outputs.minimal_risk),
            "brake_mmps2": outputs.brake_mmps2,
        },
        "policy": policy,
    }))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
