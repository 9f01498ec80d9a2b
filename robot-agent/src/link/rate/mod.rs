//! How much video the path to the driver carries, and what the cameras make of it.
//!
//! Pure parts, and a handle between the threads that run them. The [`Estimator`] turns the driver's end's reports
//! on packets into a bitrate; [`ladder`] turns a bitrate into a bitrate, size and rate of frames for each camera;
//! `Flight` knows for how long nothing was heard of what was sent, and `Punctuality` whether that is unusual, so that
//! frames are left out before they are encoded, not queued where they grow old. And `Playout` says for how long the
//! driver's end should keep pictures back, so that they come evenly.

mod covered;
mod estimator;
mod flight;
pub mod ladder;
mod pacing;
#[cfg(test)]
mod path;
mod playout;

pub(super) use covered::Covered;
pub use estimator::{Bounds, Estimator};
pub(super) use flight::Flight;
pub(crate) use flight::{Jam, Jammed, Punctuality, SMALL_FOR};
pub(super) use pacing::Paced;
pub(super) use playout::Playout;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Which estimator a link uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Congestion {
    /// Our own, by the delay of queues: [`Estimator`].
    #[default]
    Delay,
    /// Google Congestion Control, as the WebRTC stack brings it.
    Gcc,
    /// None: the configured bitrate, whatever the path carries. For measurements.
    Off,
}

/// What is known of the path, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PathState {
    /// Bits a second that the path is thought to carry, video with its packets' headers; `None` before the first
    /// report.
    pub target_bps: Option<f64>,
    /// Delay by queues on the way, milliseconds.
    pub queue_ms: f64,
    /// By how much the delay varies from one report to the next without a queue, milliseconds.
    pub jitter_ms: f64,
    /// Share of packets lost in the last seconds while there was no queue, 0 to 1.
    pub loss: f64,
    /// Shortest time of late from a packet's departure to the report on it; `None` before the first.
    pub round_trip: Option<Duration>,
    /// Departure of the newest packet that was reported on.
    pub reported: Option<Instant>,
}

/// From this round trip on a packet that is sent again comes too late.
const REPAIR_TOO_LATE: Duration = Duration::from_millis(150);
/// Less loss than this is not worth protecting from.
const LOSS_WORTH: f64 = 0.003;

/// Packets of repair for each packet of video, 0 to 0.5.
pub(super) fn protection(path: &PathState) -> f64 {
    let late = path.round_trip.is_some_and(|round_trip| round_trip >= REPAIR_TOO_LATE);
    if !late || path.loss < LOSS_WORTH {
        return 0.0;
    }
    // Losses come in runs: several times their mean is needed to mend most frames.
    (0.12 + 5.0 * path.loss).min(0.5)
}

/// [`PathState`] between the stack's thread and those that ask. The lock is held for a copy.
#[derive(Debug, Default)]
pub(super) struct Shown(Mutex<PathState>);

impl Shown {
    pub(super) fn get(&self) -> PathState {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: PathState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}
