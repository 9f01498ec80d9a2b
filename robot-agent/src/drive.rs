//! The drive loop: one thread between commands, the safety core and the wheels.
//!
//! It wakes on each command and by the core's deadline, and nothing on it waits for a disk, a network or another
//! thread's work: records and telemetry are handed over and, when nobody takes them, dropped and counted.

use crate::autonomy::Stick;
use crate::blind;
use crate::clock;
use crate::record::{self, Record, event};
use crate::sensors::Sensors;
use crate::shared::{DriveLease, Echo, Shared, Status, lock};
use crate::telemetry;
use agent_core::policy::{BlindDriving, CloseSensors};
use agent_core::{Command, EstopAnswer, Inputs, Outputs, Policy, Supervisor, Twist, Verdict};
use protocol::drive::{DriveCommand, Seen};
use protocol::units::{MonoMs, MonoNs};
use ros_bridge::agent::Base;
use ros_bridge::priority::Priority;
use ros_msgs::builtin_interfaces::Time;
use ros_msgs::geometry_msgs::{self, TwistStamped};
use ros_msgs::longrein_msgs::{DriveCommand as CommandRecord, SafetyState, SafetyStep};
use ros_msgs::std_msgs::Header;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Commands that may wait for the loop; more are dropped, for the newest is not among the first.
pub(crate) const QUEUE: usize = 64;
const TELEMETRY_EVERY_MS: u64 = 50;
const SAFETY_EVERY_MS: u64 = 200;
const TWISTS_EVERY_MS: u64 = 20;
const SNAPSHOT_EVERY_MS: u64 = 1_000;
/// While the wheels turn, the base hears this often.
const PUBLISH_MOVING_MS: u64 = 20;
/// At rest under a lease, the base hears zero this often.
const PUBLISH_RESTING_MS: u64 = 100;
/// After a lease, zero is said for this long; then the base is left to others.
const PUBLISH_AFTER_MS: u64 = 2_000;

/// In the minimal-risk state the lamp is lit again this often.
const LAMP_EVERY_MS: u64 = 1_000;
/// The highest of the lamp's levels.
const LAMP_FULL: u8 = 3;

/// What the loop is told.
pub(crate) enum Message {
    /// A drive packet that could be read.
    Command {
        packet: [u8; protocol::drive::LEN],
        command: DriveCommand,
        arrived: MonoMs,
        /// The opening that it came through.
        generation: u64,
    },
    /// The driver of the lease with this epoch asks to clear the emergency stop.
    Clear { epoch: u64, answer: Box<dyn FnOnce(EstopAnswer) + Send> },
    /// Look again.
    Wake,
}

/// Starts the loop. It ends, with the wheels at zero, when [`Shared::stopping`] is set.
pub(crate) fn start(
    core: Supervisor,
    policy: &Policy,
    shared: Arc<Shared>,
    base: Arc<Base>,
    recorder: record::Handle,
    messages: Receiver<Message>,
) -> std::io::Result<JoinHandle<()>> {
    let mut drive = Loop {
        core,
        shared,
        base,
        recorder,
        tick: 0,
        refused: 0,
        echo: None,
        episode: 0,
        sequence: 0,
        published: Twist::ZERO,
        published_at: MonoMs(0),
        leased_at: None,
        publish_failed: false,
        due: Due::default(),
        told: None,
        blind: blind::Watch::new(policy),
        blind_driving: policy.blind_driving.clone(),
        close_sensors: policy.close_sensors.clone(),
        minimal_risk: None,
        step_due: None,
    };
    std::thread::Builder::new().name("drive".to_owned()).spawn(move || {
        let priority = ros_bridge::priority::realtime();
        if priority != Priority::Realtime {
            tracing::info!(?priority, "the drive loop is not real-time; LimitRTPRIO=1 makes it so");
        }
        drive.shared.ticks.scheduled(priority);
        drive.run(&messages);
    })
}

#[derive(Default)]
struct Due {
    telemetry: MonoMs,
    safety: MonoMs,
    twists: MonoMs,
    snapshot: MonoMs,
    lamp: MonoMs,
}

/// Whether something that happens every `every_ms` is due, and then notes that it was.
fn due(at: &mut MonoMs, now: MonoMs, every_ms: u64) -> bool {
    let due = now.since(*at) >= every_ms;
    if due {
        *at = now;
    }
    due
}

struct Loop {
    core: Supervisor,
    shared: Arc<Shared>,
    base: Arc<Base>,
    recorder: record::Handle,
    /// Number of the step, without gaps.
    tick: u64,
    refused: u64,
    echo: Option<Echo>,
    /// The episode that has its first snapshot.
    episode: u64,
    /// Number of the telemetry packet.
    sequence: u32,
    published: Twist,
    published_at: MonoMs,
    /// When there was a lease last.
    leased_at: Option<MonoMs>,
    publish_failed: bool,
    due: Due,
    /// State and reason that were recorded last.
    told: Option<(protocol::safety::SafetyState, protocol::safety::Reason)>,
    blind: blind::Watch,
    blind_driving: BlindDriving,
    close_sensors: CloseSensors,
    /// As the step before said.
    minimal_risk: Option<protocol::safety::Reason>,
    /// By when the core wants the next step; nothing before the first.
    step_due: Option<MonoNs>,
}

impl Loop {
    fn run(&mut self, messages: &Receiver<Message>) {
        while !self.shared.stopping.load(Ordering::Acquire) {
            // To the nanosecond: in whole milliseconds every tick would come up to one too late.
            let wait = self.deadline().since(clock::mono_ns());
            match messages.recv_timeout(Duration::from_nanos(wait)) {
                Ok(Message::Command { packet, command, arrived, generation }) => {
                    self.command(packet, &command, arrived, generation);
                }
                Ok(Message::Clear { epoch, answer }) => {
                    let outputs = self.step(None, epoch);
                    answer(outputs.estop_answer);
                }
                Ok(Message::Wake) | Err(RecvTimeoutError::Timeout) => {
                    self.step(None, 0);
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // Said several times: the base may miss one, and after this nobody repeats it.
        for _ in 0..5 {
            self.publish(Twist::ZERO, clock::mono_ms());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// By when the core wants to step again.
    fn deadline(&self) -> MonoNs {
        MonoNs(self.core.deadline().0.saturating_mul(1_000_000))
    }

    fn command(
        &mut self,
        packet: [u8; 32],
        command: &DriveCommand,
        arrived: MonoMs,
        generation: u64,
    ) {
        let lease = self.shared.lease();
        let Some(lease) = lease.filter(|lease| lease.generation == generation) else {
            self.refused += 1;
            return;
        };
        let seen = match command.seen {
            Seen::Nothing => None,
            Seen::Rtp(stamp) => {
                lease.link.as_ref().and_then(|link| link.capture_of(command.camera, stamp))
            }
            Seen::CaptureMs(low) => arrived.restore(low),
        };
        let stamp = Some(command.robot_stamp_ms).filter(|low| *low != 0);
        // The autonomy's velocity in place of a stick that leaves the driving to it; the core judges it as the driver's.
        let own =
            Stick { linear_mmps: command.linear_mmps, angular_mradps: command.angular_mradps };
        let stick = lock(&self.shared.autonomy).stick(generation, command, arrived).unwrap_or(own);
        let input = Command {
            arrived,
            epoch: command.epoch,
            seq: command.seq,
            deadman: command.deadman,
            stamp: stamp.and_then(|low| arrived.restore(low)),
            seen,
            linear_mmps: stick.linear_mmps,
            angular_mradps: stick.angular_mradps,
        };
        let outputs = self.step(Some(input), 0);
        match outputs.verdict {
            Verdict::Counts | Verdict::HeldUp => {
                self.shared.heard_ms.store(arrived.0, Ordering::Release);
                let (seq, client_ms) = (command.seq, command.client_ms);
                self.echo = Some(Echo { seq, client_ms, arrived });
            }
            Verdict::Nothing | Verdict::Old | Verdict::WrongEpoch | Verdict::Impossible => {}
        }
        self.refused += u64::from(outputs.verdict != Verdict::Counts);
        // A copy, or one that came late, neither lets the autonomy drive nor takes over from it.
        if outputs.verdict == Verdict::Counts
            && lock(&self.shared.autonomy).counted(generation, command, arrived)
        {
            self.shared.navigated.notify_one();
        }
        let at_ns = clock::wall_ns_at(MonoNs(arrived.0.saturating_mul(1_000_000)));
        let record = CommandRecord {
            stamp: Time::from_ns(at_ns),
            arrived_ms: arrived.0,
            epoch: command.epoch,
            seq: command.seq,
            deadman: command.deadman,
            linear_mps: f64::from(command.linear_mmps) / 1_000.0,
            angular_radps: f64::from(command.angular_mradps) / 1_000.0,
            packet: packet.to_vec(),
        };
        self.recorder.put(at_ns, Record::Command(Box::new(record)));
    }

    /// One step of the core, and what it says to the wheels.
    fn step(&mut self, command: Option<Command>, estop_clear_epoch: u64) -> Outputs {
        let estop_stop = self.shared.estop_stop.swap(false, Ordering::AcqRel);
        let sensors = self.shared.sensors();
        let lease = self.shared.lease();
        // Read after everything that carries an arrival: nothing may seem to come from the future.
        let now = clock::mono_ms();
        let inputs = Inputs {
            lease: lease.as_ref().map(|lease| lease.core),
            epoch_highest: self.shared.epoch_highest.load(Ordering::Acquire),
            command,
            estop_stop,
            estop_clear_epoch,
            odometry: sensors.core_odometry(),
            scan: sensors.scan,
            close: sensors.close.core(now, &self.close_sensors),
            fix: sensors.core_fix(),
            heading: sensors.core_heading(now),
            battery_permille: sensors.battery_permille(now),
            tilt_mrad: sensors.tilt_mrad(now),
            recorder_able: self.recorder.progress.able.load(Ordering::Acquire),
            heartbeats: self.shared.beats.heartbeats(&self.recorder.progress.alive_ms),
        };
        self.shared.stepped_ms.store(now.0, Ordering::Release);
        self.fence_if_new();
        self.snapshot_if_due(now);
        let outputs = self.core.step(now, &inputs);
        self.publish_if_due(outputs.executed, now, lease.is_some());
        if let Some(due) = self.step_due.replace(self.deadline()) {
            self.shared.ticks.note(due, clock::mono_ns());
        }
        if lease.is_none() {
            self.echo = None;
        }
        let status = Status {
            outputs,
            epoch: lease.as_ref().map_or(0, |lease| lease.core.epoch),
            echo: self.echo,
            estop_latched: self.core.estop_latched(),
            refused: self.refused,
        };
        self.shared.set_status(status);
        self.minimal_risk(&outputs, &sensors, now);
        if let Some(lease) = &lease {
            self.telemetry_if_due(&status, lease, now);
        }
        self.record(now, &inputs, &outputs);
        self.tick += 1;
        outputs
    }

    /// In its minimal-risk state the robot stands, its lamp is lit, and the episode says where and why. The driver and
    /// the fleet read the same in telemetry and state.
    fn minimal_risk(&mut self, outputs: &Outputs, sensors: &Sensors, now: MonoMs) {
        match (outputs.minimal_risk, self.minimal_risk) {
            (Some(reason), None) => {
                tracing::warn!(reason = reason.code(), "minimal-risk state: the robot stands");
                let json = serde_json::json!({
                    "reason": reason.code(),
                    "position": sensors.position(now),
                });
                let record = event("minimal-risk", reason.words(), json.to_string());
                self.recorder.put(clock::wall_ns(), Record::Event(record));
                self.due.lamp = MonoMs(0);
            }
            (None, Some(reason)) => {
                tracing::info!(reason = reason.code(), "the drive was resumed");
                let record = event("minimal-risk-ended", "the drive was resumed", String::new());
                self.recorder.put(clock::wall_ns(), Record::Event(record));
                self.lamp(self.shared.lamp.load(Ordering::Relaxed));
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        self.minimal_risk = outputs.minimal_risk;
        // Again and again: a lamp that joins later was not told.
        if self.minimal_risk.is_some() && due(&mut self.due.lamp, now, LAMP_EVERY_MS) {
            self.lamp(LAMP_FULL);
        }
    }

    fn lamp(&self, level: u8) {
        if let Err(error) = self.base.lamp(level) {
            tracing::debug!(%error, "the lamp can't be told");
        }
    }

    /// Says zero without end only where it is this agent's place: under a lease, and a little after.
    fn publish_if_due(&mut self, executed: Twist, now: MonoMs, leased: bool) {
        if leased {
            self.leased_at = Some(now);
        }
        let ours = leased || self.leased_at.is_some_and(|at| now.since(at) < PUBLISH_AFTER_MS);
        let every_ms = if executed == Twist::ZERO { PUBLISH_RESTING_MS } else { PUBLISH_MOVING_MS };
        let repeat = ours && now.since(self.published_at) >= every_ms;
        if executed != self.published || repeat {
            self.publish(executed, now);
        }
    }

    fn publish(&mut self, twist: Twist, now: MonoMs) {
        let linear_mps = f64::from(twist.linear_mmps) / 1_000.0;
        let angular_radps = f64::from(twist.angular_mradps) / 1_000.0;
        match self.base.command(linear_mps, angular_radps) {
            Ok(()) => self.publish_failed = false,
            Err(error) if !self.publish_failed => {
                self.publish_failed = true;
                tracing::error!(%error, "the base can't be told; it stops by itself");
            }
            Err(_told_already) => {}
        }
        (self.published, self.published_at) = (twist, now);
    }

    /// What the base can do of a velocity, which is what it is told.
    #[expect(clippy::cast_possible_truncation, reason = "no more than the 32 bits that it was")]
    fn told_to_base(&self, twist: Twist) -> Twist {
        let mradps = f64::from(twist.angular_mradps);
        let (_same, limited) =
            self.base.kinematics().limit(f64::from(twist.linear_mmps) / 1e3, mradps / 1e3);
        Twist { angular_mradps: (limited * 1e3).round() as i32, ..twist }
    }

    fn telemetry_if_due(&mut self, status: &Status, lease: &DriveLease, now: MonoMs) {
        if !due(&mut self.due.telemetry, now, TELEMETRY_EVERY_MS) {
            return;
        }
        let Some(link) = &lease.link else { return };
        self.sequence = self.sequence.wrapping_add(1);
        let sensors = self.shared.sensors();
        let progress = &self.recorder.progress;
        let packet = {
            let autonomy = lock(&self.shared.autonomy);
            telemetry::packet(self.sequence, now, status, lease, &sensors, progress, &autonomy)
        };
        link.send_telemetry(&packet.encode());
    }

    /// Takes the geofence that was set for the drive that begins. It is set while no episode is open, so that the first
    /// snapshot of an episode, and every step in it, are under the policy that stands in its manifest.
    fn fence_if_new(&mut self) {
        let Some(fence) = lock(&self.shared.fence).take() else { return };
        self.core.set_fence(fence);
    }

    fn snapshot_if_due(&mut self, now: MonoMs) {
        let progress = &self.recorder.progress;
        if !progress.recording.load(Ordering::Acquire) {
            return;
        }
        let begun = progress.begun.load(Ordering::Acquire);
        let first = begun != self.episode;
        if due(&mut self.due.snapshot, now, SNAPSHOT_EVERY_MS) || first {
            self.episode = begun;
            if first {
                self.told = None;
                self.blind.forget();
            }
            let snapshot = hex::encode(self.core.snapshot());
            let json = format!(r#"{{"tick":{},"snapshot":"{snapshot}"}}"#, self.tick);
            let event =
                event(crate::replay::SNAPSHOT, "memory of the safety core before this step", json);
            self.recorder.put(clock::wall_ns(), Record::Event(event));
        }
    }

    fn record(&mut self, now: MonoMs, inputs: &Inputs, outputs: &Outputs) {
        if !self.recorder.progress.recording.load(Ordering::Acquire) {
            return;
        }
        let at_ns = clock::wall_ns();
        let stamp = Time::from_ns(at_ns);
        let step = SafetyStep {
            stamp,
            tick: self.tick,
            inputs: inputs.encode(now).to_vec(),
            outputs: outputs.encode().to_vec(),
        };
        self.recorder.put(at_ns, Record::Step(Box::new(step)));
        if due(&mut self.due.twists, now, TWISTS_EVERY_MS) {
            self.recorder.put(at_ns, Record::Limited(stamped(stamp, outputs.limited)));
            let told = self.told_to_base(outputs.executed);
            self.recorder.put(at_ns, Record::Executed(stamped(stamp, told)));
        }
        let telling = Some((outputs.state, outputs.reason));
        let changed = self.told != telling;
        if due(&mut self.due.safety, now, SAFETY_EVERY_MS) || changed {
            self.recorder.put(at_ns, Record::Safety(Box::new(safety_state(stamp, outputs))));
        }
        if changed {
            self.told = telling;
            let detail =
                format!("{}: {}", telemetry::state_code(outputs.state), outputs.reason.words());
            let json = format!(
                r#"{{"state":"{}","reason":"{}","hazards":{}}}"#,
                telemetry::state_code(outputs.state),
                outputs.reason.code(),
                outputs.hazards
            );
            self.recorder.put(at_ns, Record::Event(event("safety", detail, json)));
        }
        self.record_blind(now, inputs, outputs);
    }

    fn record_blind(&mut self, now: MonoMs, inputs: &Inputs, outputs: &Outputs) {
        let program = inputs.lease.is_some_and(|lease| lease.program);
        let newest = inputs.command.filter(|_| outputs.verdict == Verdict::Counts);
        let arrived = newest.map(|command| command.arrived).or(self.echo.map(|echo| echo.arrived));
        let Some(change) = self.blind.step(now, program, outputs, arrived) else { return };
        let record = match change {
            blind::Change::Began => {
                let mps = self.blind_driving.speed_mps_max;
                let detail = format!(
                    "a program drives without a fresh picture: at most {mps} m/s, the obstacle guard active"
                );
                event("blind-driving", detail, format!(r#"{{"speed_mps_max":{mps}}}"#))
            }
            blind::Change::Ended => {
                let detail = "the program no longer drives without a fresh picture";
                event("blind-driving-ended", detail, String::new())
            }
        };
        self.recorder.put(clock::wall_ns(), Record::Event(record));
    }
}

fn stamped(stamp: Time, twist: Twist) -> Box<TwistStamped> {
    Box::new(TwistStamped {
        header: Header { stamp, frame_id: "base_link".to_owned() },
        twist: geometry_msgs::Twist::planar(
            f64::from(twist.linear_mmps) / 1_000.0,
            f64::from(twist.angular_mradps) / 1_000.0,
        ),
    })
}

fn safety_state(stamp: Time, outputs: &Outputs) -> SafetyState {
    let mps = |mmps: i32| f64::from(mmps) / 1_000.0;
    SafetyState {
        stamp,
        state: telemetry::state_code(outputs.state).to_owned(),
        reason: outputs.reason.code().to_owned(),
        hazards: outputs.hazards,
        limit_mps: f64::from(outputs.limit_mmps) / 1_000.0,
        loop_latency_ms: outputs.loop_latency_ms.map_or(f64::NAN, f64::from),
        limited_linear_mps: mps(outputs.limited.linear_mmps),
        limited_angular_radps: mps(outputs.limited.angular_mradps),
        executed_linear_mps: mps(outputs.executed.linear_mmps),
        executed_angular_radps: mps(outputs.executed.angular_mradps),
    }
}
