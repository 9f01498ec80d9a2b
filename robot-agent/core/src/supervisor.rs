//! The state machine around the hazard table.

use crate::approach::Approach;
use crate::braking::Braking;
use crate::codec::{Reader, Writer, bit, bits};
use crate::fence::Fence;
use crate::governor::{Bounds, Governor, Order};
use crate::hazards::{Action, Facts, Judgement, judge};
use crate::inputs::{Command, Heartbeats, Inputs};
use crate::limits::Limits;
use crate::outputs::{EstopAnswer, Outputs, Twist, Verdict};
use crate::policy::{Policy, PolicyError};
use crate::stamps::Stamps;
use crate::whereabouts::Whereabouts;
use protocol::WireError;
use protocol::safety::{Reason, SafetyState};
use protocol::units::MonoMs;
use std::sync::Arc;

/// Longest time between two steps, ms.
pub const TICK_MS: u64 = 10;

/// What the core remembers from step to step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Memory {
    last_now: MonoMs,
    clock_regressed: bool,
    estop_latched: bool,
    rearm_needed: bool,
    /// Whether the last step let the driver drive.
    driving: bool,
    /// The highest epoch ever seen.
    epoch_highest: u64,
    /// The epoch that `command` and `stamps` are of.
    epoch: u64,
    command: Option<Command>,
    /// Whether `command` was held up on the way.
    held_up: bool,
    stamps: Stamps,
    /// What ended the drive, until somebody resumes it.
    minimal_risk: Option<Reason>,
    braking: Braking,
    approach: Approach,
    whereabouts: Whereabouts,
}

/// Decides how fast the wheels may turn.
///
/// **Call [`Supervisor::step`] for every command that arrives, and at least every [`TICK_MS`], and write what it
/// says to the wheels each time.**
///
/// A supervisor starts idle, with its policy frozen. Another policy needs another supervisor, except for the areas of a
/// mission ([`Supervisor::set_fence`]).
#[derive(Debug, Clone)]
pub struct Supervisor {
    limits: Limits,
    fence: Arc<Fence>,
    memory: Memory,
    governor: Governor,
    /// The last step let the wheels turn, but no time had passed in which they could gain speed. Only hastens the next
    /// step, so it is no part of a snapshot.
    starting: bool,
}

const fn bounds(limits: &Limits) -> Bounds {
    Bounds {
        forward_mmps_max: limits.speed_mmps_max,
        backward_mmps_max: limits.reverse_mmps_max,
        turn_mradps_max: limits.turn_mradps_max,
        accel_mmps2_max: limits.accel_mmps2_max,
        brake_mmps2_max: limits.brake_mmps2_max,
        turn_mradps2_max: limits.turn_mradps2_max,
        order_age_ms_max: limits.command_age_ms_max,
    }
}

/// Age at `now`; none for what was never there or lies in the future, which is as bad.
fn age(now: MonoMs, arrived: Option<MonoMs>) -> Option<u64> {
    now.0.checked_sub(arrived?.0)
}

impl Supervisor {
    /// Length of [`Supervisor::snapshot`].
    pub const SNAPSHOT_LEN: usize = 320;
    /// Version of a snapshot. Version 1 had 160 bytes.
    pub const SNAPSHOT_VERSION: u8 = 2;
    const SNAPSHOT_LEN_OF_V1: usize = 160;

    /// An idle robot under `policy`.
    pub fn new(policy: &Policy) -> Result<Self, PolicyError> {
        let limits = policy.limits()?;
        let memory = Memory {
            last_now: MonoMs(0),
            clock_regressed: false,
            estop_latched: false,
            rearm_needed: false,
            driving: false,
            epoch_highest: 0,
            epoch: 0,
            command: None,
            held_up: false,
            stamps: Stamps::new(),
            minimal_risk: None,
            braking: Braking::new(limits.guard_brake_mmps2),
            approach: Approach::default(),
            whereabouts: Whereabouts::default(),
        };
        let fence = Arc::new(policy.geofence.freeze()?);
        Ok(Self {
            limits,
            fence,
            memory,
            governor: Governor::new(bounds(&limits)),
            starting: false,
        })
    }

    /// Takes another geofence, that of the policy with the areas of the mission that begins. Not while somebody drives: the
    /// record of a drive is run again under one policy.
    pub fn set_fence(&mut self, fence: Arc<Fence>) {
        self.limits.fence_active = fence.is_active();
        self.memory.whereabouts.look_again(&fence);
        self.fence = fence;
    }

    /// One step. Total: no panic, no allocation, no I/O, bounded work.
    pub fn step(&mut self, now: MonoMs, inputs: &Inputs) -> Outputs {
        if now < self.memory.last_now {
            self.memory.clock_regressed = true;
        }
        // Before the first step there is no gap.
        let first = self.memory.last_now == MonoMs(0);
        let gap_ms = if first { 0 } else { now.since(self.memory.last_now) };
        self.memory.last_now = self.memory.last_now.max(now);
        self.take_sensors(now, gap_ms, inputs);
        let lease_live = self.take_lease(now, inputs);
        let verdict = self.take_command(now, inputs, lease_live);
        let estop_answer = self.take_estop(inputs, lease_live);
        let facts = Facts { step_gap_ms: gap_ms, ..self.facts(now, inputs, lease_live) };
        let judgement = judge(&facts, &self.limits);
        let drives = judgement.action < Some(Action::Hold);
        if judgement.action < Some(Action::Stop) {
            self.memory.minimal_risk = None;
        } else if self.memory.driving {
            self.memory.rearm_needed = true;
            self.memory.minimal_risk = Some(judgement.reason);
        }
        self.memory.driving = drives;
        let limited = if drives { limit(&facts, &judgement, &self.limits) } else { Twist::ZERO };
        let command = self.memory.command.filter(|_| lease_live);
        let order = command.filter(|_| drives).map(|command| Order {
            arrived_ms: command.arrived.0,
            linear_mmps: limited.linear_mmps,
            angular_mradps: limited.angular_mradps,
        });
        let (linear_mmps, angular_mradps) = self.governor.pass(now.0, order);
        let executed = Twist { linear_mmps, angular_mradps };
        self.starting = limited != Twist::ZERO && executed == Twist::ZERO;
        Outputs {
            state: state(&judgement, lease_live),
            reason: judgement.reason,
            hazards: judgement.hazards,
            limit_mmps: judgement.limit_mmps,
            limit_reason: judgement.limit_reason,
            loop_latency_ms: facts.loop_latency_ms,
            command_seq: command.map_or(0, |command| command.seq),
            verdict,
            estop_answer,
            minimal_risk: self.memory.minimal_risk,
            brake_mmps2: self.memory.braking.mmps2(),
            limited,
            executed,
        }
    }

    /// The time by which `step` must run again: the next tick, or sooner if the command goes stale before, or if the
    /// wheels are about to turn: a command that comes in the millisecond of the last tick would else wait a whole one.
    pub fn deadline(&self) -> MonoMs {
        let tick = self.memory.last_now.plus(if self.starting { 1 } else { TICK_MS });
        let age_ms_max = u64::from(self.limits.command_age_ms_max);
        // The first millisecond at which the command is too old.
        let stale = self.memory.command.map(|command| command.arrived.plus(age_ms_max).plus(1));
        stale.filter(|stale| *stale > self.memory.last_now).map_or(tick, |stale| stale.min(tick))
    }

    /// Whether the emergency stop is latched, so that it can outlive the process.
    pub const fn estop_latched(&self) -> bool {
        self.memory.estop_latched
    }

    /// What is learned from sensors, whether anybody drives or not.
    fn take_sensors(&mut self, now: MonoMs, gap_ms: u64, inputs: &Inputs) {
        let (_, linear_umps, angular_uradps) = self.governor.memory();
        let told_to_move = linear_umps != 0 || angular_uradps != 0;
        let odometry = inputs.odometry;
        let memory = &mut self.memory;
        let (nominal, reaction_ms) = (self.limits.guard_brake_mmps2, self.limits.guard_reaction_ms);
        memory.braking.step(now, told_to_move, odometry, nominal, reaction_ms);
        memory.approach.step(inputs.scan, odometry, self.limits.approach_mmps_max);
        memory.whereabouts.step(now, gap_ms, inputs.fix, odometry, &self.fence, &self.limits);
    }

    fn take_lease(&mut self, now: MonoMs, inputs: &Inputs) -> bool {
        let memory = &mut self.memory;
        let lease_epoch = inputs.lease.map_or(0, |lease| lease.epoch);
        memory.epoch_highest = memory.epoch_highest.max(inputs.epoch_highest).max(lease_epoch);
        let Some(lease) = inputs.lease else { return false };
        if lease.epoch == 0 || lease.epoch < memory.epoch_highest {
            return false;
        }
        if lease.epoch != memory.epoch {
            // Another lease: nothing of the old one's driver counts, nor what its driver had to make good.
            memory.epoch = lease.epoch;
            memory.command = None;
            memory.held_up = false;
            memory.stamps = Stamps::new();
            memory.rearm_needed = false;
            memory.driving = false;
        }
        now < lease.expires
    }

    fn take_command(&mut self, now: MonoMs, inputs: &Inputs, lease_live: bool) -> Verdict {
        let Some(command) = inputs.command else { return Verdict::Nothing };
        let memory = &mut self.memory;
        if !lease_live || command.epoch != memory.epoch {
            return Verdict::WrongEpoch;
        }
        if command.seq <= memory.command.map_or(0, |newest| newest.seq) {
            return Verdict::Old;
        }
        if command.arrived > now {
            return Verdict::Impossible;
        }
        memory.command = Some(command);
        memory.held_up = is_held_up(&command, &mut memory.stamps, &self.limits);
        if memory.held_up {
            return Verdict::HeldUp;
        }
        if !command.deadman {
            memory.rearm_needed = false;
        }
        Verdict::Counts
    }

    fn take_estop(&mut self, inputs: &Inputs, lease_live: bool) -> EstopAnswer {
        let memory = &mut self.memory;
        let at_rest = memory.command.is_none_or(|command| !command.deadman);
        let mut answer = EstopAnswer::Nothing;
        if inputs.estop_clear_epoch != 0 {
            let current = lease_live && inputs.estop_clear_epoch == memory.epoch;
            // Who stops and clears in the same step wants the stop.
            if current && at_rest && !inputs.estop_stop {
                memory.estop_latched = false;
                answer = EstopAnswer::Cleared;
            } else {
                answer = EstopAnswer::Refused;
            }
        }
        if inputs.estop_stop {
            memory.estop_latched = true;
        }
        answer
    }

    fn facts(&self, now: MonoMs, inputs: &Inputs, lease_live: bool) -> Facts {
        let memory = &self.memory;
        // The last word of a lease that has ended is nobody's word.
        let command = memory.command.filter(|_| lease_live);
        let seen = command.and_then(|command| command.seen);
        let latency_ms = command.and_then(|command| age(command.arrived, command.seen));
        let close = inputs.close.unwrap_or_default();
        let fix = memory.whereabouts.fix();
        let [approach_ahead_mmps, approach_behind_mmps] = memory.approach.mmps();
        Facts {
            clock_regressed: memory.clock_regressed,
            estop_latched: memory.estop_latched,
            lease_live,
            lease_mmps_max: inputs.lease.map_or(0, |lease| lease.speed_mmps_max),
            program: inputs.lease.is_some_and(|lease| lease.program),
            command_age_ms: age(now, command.map(|command| command.arrived)),
            command_held_up: memory.held_up,
            stamp_age_ms: age(now, command.and_then(|command| command.stamp)),
            deadman: command.is_some_and(|command| command.deadman),
            rearm_needed: memory.rearm_needed,
            seen_age_ms: age(now, seen),
            loop_latency_ms: latency_ms.map(|ms| u32::try_from(ms).unwrap_or(u32::MAX)),
            odometry_age_ms: age(now, inputs.odometry.map(|odometry| odometry.arrived)),
            scan_age_ms: age(now, inputs.scan.map(|scan| scan.arrived)),
            ahead_mm: inputs.scan.and_then(|scan| scan.ahead_mm),
            behind_mm: inputs.scan.and_then(|scan| scan.behind_mm),
            brake_mmps2: memory.braking.mmps2(),
            approach_ahead_mmps,
            approach_behind_mmps,
            close_age_ms: age(now, inputs.close.map(|close| close.arrived)),
            close_ahead_mm: close.ahead_mm,
            close_behind_mm: close.behind_mm,
            bumper_front: close.bumper_front,
            bumper_rear: close.bumper_rear,
            drop_ahead: close.drop_ahead,
            drop_behind: close.drop_behind,
            place: memory.whereabouts.place(),
            fix_age_ms: age(now, fix.map(|fix| fix.arrived)),
            accuracy_mm: fix.map_or(0, |fix| fix.accuracy_mm),
            path_mm: memory.whereabouts.path_mm(),
            good_fix_age_ms: age(now, memory.whereabouts.good()),
            heading: inputs.heading,
            outward: memory.whereabouts.outward(),
            heartbeat_age_ms: oldest_ms(now, &inputs.heartbeats),
            step_gap_ms: 0,
            battery_permille: inputs.battery_permille,
            tilt_mrad: inputs.tilt_mrad,
            recorder_able: inputs.recorder_able,
            wanted: command.map_or(Twist::ZERO, |command| Twist {
                linear_mmps: i32::from(command.linear_mmps),
                angular_mradps: i32::from(command.angular_mradps),
            }),
        }
    }

    /// The memory, so that a replay can begin in the middle of a run:
    ///
    /// ```text
    ///  0 u8 flags (clock, estop, rearm, driving, command, held_up, stamp, seen)   1 u8 deadman
    ///  2 u8 version 2   3 u8 minimal_risk (a reason; 0 none)   4 4 bytes 0
    ///  8 u64 last_now   16 u64 epoch_highest   24 u64 epoch
    /// 32 command: u64 arrived, u64 epoch, u64 stamp, u64 seen, u32 seq, i16 linear, i16 angular
    /// 72 stamps: u64 second, 10 times u32    120 governor: u64 last, i64 µm/s, i64 µrad/s
    /// 144 braking (40)   184 approach (40)   224 whereabouts (56)    280 40 bytes 0
    /// ```
    pub fn snapshot(&self) -> [u8; Self::SNAPSHOT_LEN] {
        let memory = &self.memory;
        let command = memory.command.unwrap_or_default();
        let mut w = Writer::<{ Self::SNAPSHOT_LEN }>::new();
        w.put([bits([
            memory.clock_regressed,
            memory.estop_latched,
            memory.rearm_needed,
            memory.driving,
            memory.command.is_some(),
            memory.held_up,
            command.stamp.is_some(),
            command.seen.is_some(),
        ])]);
        let minimal_risk = memory.minimal_risk.unwrap_or(Reason::None).as_u8();
        w.put([u8::from(command.deadman), Self::SNAPSHOT_VERSION, minimal_risk, 0, 0, 0, 0]);
        w.put(memory.last_now.0.to_le_bytes());
        w.put(memory.epoch_highest.to_le_bytes());
        w.put(memory.epoch.to_le_bytes());
        w.put(command.arrived.0.to_le_bytes());
        w.put(command.epoch.to_le_bytes());
        w.put(command.stamp.unwrap_or_default().0.to_le_bytes());
        w.put(command.seen.unwrap_or_default().0.to_le_bytes());
        w.put(command.seq.to_le_bytes());
        w.put(command.linear_mmps.to_le_bytes());
        w.put(command.angular_mradps.to_le_bytes());
        memory.stamps.write(&mut w);
        let (last_ms, linear_umps, angular_uradps) = self.governor.memory();
        w.put(last_ms.to_le_bytes());
        w.put(linear_umps.to_le_bytes());
        w.put(angular_uradps.to_le_bytes());
        memory.braking.write(&mut w);
        memory.approach.write(&mut w);
        memory.whereabouts.write(&mut w);
        w.finish()
    }

    /// Takes the memory of a snapshot. The policy is not part of it.
    pub fn resume(&mut self, snapshot: &[u8]) -> Result<(), WireError> {
        let expected = Self::SNAPSHOT_VERSION;
        if snapshot.len() == Self::SNAPSHOT_LEN_OF_V1 {
            return Err(WireError::Version { expected, got: 1 });
        }
        if snapshot.len() != Self::SNAPSHOT_LEN {
            return Err(WireError::Length { expected: Self::SNAPSHOT_LEN, got: snapshot.len() });
        }
        let mut r = Reader::new(snapshot);
        let [flags, deadman, got, minimal_risk, ..] = r.take::<8>();
        if got != expected {
            return Err(WireError::Version { expected, got });
        }
        let (last_now, epoch_highest, epoch) = (MonoMs(r.u64()), r.u64(), r.u64());
        let command = Command {
            arrived: MonoMs(r.u64()),
            epoch: r.u64(),
            stamp: Some(MonoMs(r.u64())).filter(|_| bit(flags, 6)),
            seen: Some(MonoMs(r.u64())).filter(|_| bit(flags, 7)),
            seq: r.u32(),
            deadman: deadman == 1,
            linear_mmps: r.i16(),
            angular_mradps: r.i16(),
        };
        let stamps = Stamps::read(&mut r);
        let governor = (r.u64(), r.i64(), r.i64());
        self.memory = Memory {
            last_now,
            clock_regressed: bit(flags, 0),
            estop_latched: bit(flags, 1),
            rearm_needed: bit(flags, 2),
            driving: bit(flags, 3),
            epoch_highest,
            epoch,
            command: Some(command).filter(|_| bit(flags, 4)),
            held_up: bit(flags, 5),
            stamps,
            minimal_risk: Reason::from_u8(minimal_risk).filter(|reason| *reason != Reason::None),
            braking: Braking::read(&mut r),
            approach: Approach::read(&mut r),
            whereabouts: Whereabouts::read(&mut r, &self.fence),
        };
        self.governor = Governor::resume(bounds(&self.limits), governor);
        Ok(())
    }
}

/// Age of the oldest heartbeat of those that there are. One from the future is as bad as can be.
fn oldest_ms(now: MonoMs, heartbeats: &Heartbeats) -> u64 {
    let ages = heartbeats.iter().flatten().map(|beat| age(now, Some(*beat)).unwrap_or(u64::MAX));
    ages.max().unwrap_or(0)
}

/// Whether a queue on the way held the command up: its age is bounded by the newest robot stamp that it echoes,
/// never by its arrival alone.
fn is_held_up(command: &Command, stamps: &mut Stamps, limits: &Limits) -> bool {
    let Some(age_ms) = age(command.arrived, command.stamp) else { return true };
    let age_ms = u32::try_from(age_ms).unwrap_or(u32::MAX);
    if age_ms > limits.command_stamp_age_ms_max {
        return true;
    }
    let least_ms = stamps.least_ms(command.arrived);
    stamps.push(command.arrived, age_ms);
    age_ms > least_ms.saturating_add(limits.command_stamp_slack_ms)
}

fn limit(facts: &Facts, judgement: &Judgement, limits: &Limits) -> Twist {
    let speed = i32::try_from(judgement.limit_mmps).unwrap_or(i32::MAX);
    let turn = i32::try_from(limits.turn_mradps_max).unwrap_or(i32::MAX);
    Twist {
        linear_mmps: facts.wanted.linear_mmps.clamp(speed.saturating_neg(), speed),
        angular_mradps: facts.wanted.angular_mradps.clamp(turn.saturating_neg(), turn),
    }
}

fn state(judgement: &Judgement, lease_live: bool) -> SafetyState {
    match judgement.action {
        Some(Action::Latch) if judgement.reason == Reason::Estop => SafetyState::EmergencyStopped,
        Some(Action::Latch) => SafetyState::Stopped,
        _ if !lease_live => SafetyState::Idle,
        Some(Action::Stop) => SafetyState::Stopped,
        Some(Action::Hold) => SafetyState::Ready,
        None | Some(Action::Cap | Action::Block) => SafetyState::Driving,
    }
}
