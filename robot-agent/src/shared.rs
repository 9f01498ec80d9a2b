//! What the agent's threads share. Locks are held for the copy of a few fields, never across a wait.

use crate::autonomy::{Autonomy, Place};
use crate::clock;
use crate::diagnostics::Diagnostics;
use crate::link;
use crate::senses::Senses;
use crate::sensors::Sensors;
use crate::ticks::Ticks;
use crate::watch;
use agent_core::{Outputs, Twist};
use protocol::safety::{Reason, SafetyState};
use protocol::state::Trouble;
use protocol::units::MonoMs;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The lease as the drive loop obeys it.
#[derive(Clone)]
pub(crate) struct DriveLease {
    pub(crate) core: agent_core::Lease,
    /// Which opening it is: packets of another one are not for this lease.
    pub(crate) generation: u64,
    /// The link, for a driver without a relay.
    pub(crate) link: Option<Arc<link::Session>>,
    /// [`Sensors::distance_m`] when it was opened.
    pub(crate) distance_start_m: f64,
}

/// The newest drive command.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Echo {
    pub(crate) seq: u32,
    pub(crate) client_ms: u32,
    pub(crate) arrived: MonoMs,
}

/// What the drive loop did last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Status {
    pub(crate) outputs: Outputs,
    /// Epoch of the lease that was obeyed; 0 for none.
    pub(crate) epoch: u64,
    pub(crate) echo: Option<Echo>,
    pub(crate) estop_latched: bool,
    /// Packets refused since the start: old, of another lease, held up.
    pub(crate) refused: u64,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            outputs: Outputs {
                state: SafetyState::Idle,
                reason: Reason::NoLease,
                hazards: 0,
                limit_mmps: 0,
                limit_reason: Reason::NoLease,
                loop_latency_ms: None,
                command_seq: 0,
                verdict: agent_core::Verdict::Nothing,
                estop_answer: agent_core::EstopAnswer::Nothing,
                minimal_risk: None,
                brake_mmps2: 0,
                limited: Twist::ZERO,
                executed: Twist::ZERO,
            },
            epoch: 0,
            echo: None,
            estop_latched: false,
            refused: 0,
        }
    }
}

impl Status {
    /// What is decided about a lease and its commands.
    pub(crate) const fn decision(&self) -> (SafetyState, Reason, u64) {
        (self.outputs.state, self.outputs.reason, self.epoch)
    }
}

/// When the agent's tasks reported last, monotonic ms; 0 for a task that has not begun or is not there.
#[derive(Default)]
pub(crate) struct Beats {
    pub(crate) camera: AtomicU64,
    pub(crate) link: AtomicU64,
    pub(crate) intake: AtomicU64,
}

impl Beats {
    /// As the safety core takes them, with that of the recorder.
    pub(crate) fn heartbeats(&self, recorder: &AtomicU64) -> agent_core::Heartbeats {
        [&self.camera, recorder, &self.link, &self.intake].map(|beat| {
            Some(MonoMs(beat.load(Ordering::Acquire))).filter(|beat| *beat != MonoMs(0))
        })
    }
}

/// Shared state.
#[derive(Default)]
pub(crate) struct Shared {
    /// Where frames for spectators are handed in.
    pub(crate) spectators: watch::Inlets,
    pub(crate) sensors: Mutex<Sensors>,
    /// The robot's own autonomy, as its driver uses it.
    pub(crate) autonomy: Mutex<Autonomy>,
    /// Something changed about it.
    pub(crate) navigated: Notify,
    /// What drivers say about themselves.
    pub(crate) diagnostics: Mutex<Diagnostics>,
    /// What does not work, as it was looked last.
    pub(crate) troubles: Mutex<Vec<Trouble>>,
    /// Samples for programs.
    pub(crate) senses: Mutex<Senses>,
    pub(crate) lease: Mutex<Option<DriveLease>>,
    /// A lease was opened.
    pub(crate) leased: Notify,
    /// The geofence of the drive that begins, for the drive loop to take.
    pub(crate) fence: Mutex<Option<Arc<agent_core::fence::Fence>>>,
    pub(crate) status: Mutex<Status>,
    /// The highest epoch ever seen.
    pub(crate) epoch_highest: AtomicU64,
    /// Somebody asks for an emergency stop. It can't be lost in a full queue.
    pub(crate) estop_stop: AtomicBool,
    /// When the last packet of the open lease counted, monotonic ms.
    pub(crate) heard_ms: AtomicU64,
    /// The drive loop decided otherwise than the step before: another state, reason or epoch.
    pub(crate) decided: Notify,
    /// When the drive loop stepped last, monotonic ms; 0 for never.
    pub(crate) stepped_ms: AtomicU64,
    /// How late the drive loop's ticks were.
    pub(crate) ticks: Ticks,
    /// Level of the lamp as it was last set; 0 is off.
    pub(crate) lamp: AtomicU8,
    /// Something listens on the lamp's topic.
    pub(crate) has_lamp: AtomicBool,
    /// Something listens on the horn's topic.
    pub(crate) has_horn: AtomicBool,
    /// Nothing more is to be expected of a battery: it spoke, or there is none.
    pub(crate) battery_settled: AtomicBool,
    /// The agent's tasks are alive.
    pub(crate) beats: Beats,
    /// The program ends: wheels to zero, then out.
    pub(crate) stopping: AtomicBool,
}

/// Locks. A thread that panicked while it held one left plain values behind, which are still whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn sensors(&self) -> Sensors {
        *lock(&self.sensors)
    }
    /// Where the robot is and looks now.
    pub(crate) fn place(&self) -> Place {
        let (sensors, now) = (self.sensors(), clock::mono_ms());
        let at = sensors.position(now).map(|position| position.point);
        Place { at, heading_deg: sensors.heading_deg(now) }
    }
    pub(crate) fn status(&self) -> Status {
        *lock(&self.status)
    }
    /// Writes what the drive loop did, and wakes who waits for its decisions.
    pub(crate) fn set_status(&self, status: Status) {
        let before = std::mem::replace(&mut *lock(&self.status), status);
        if before.decision() != status.decision() {
            self.decided.notify_one();
        }
    }
    pub(crate) fn lease(&self) -> Option<DriveLease> {
        lock(&self.lease).clone()
    }
}
