//! The robot's clocks. Only this module reads them.

use protocol::units::{MonoMs, MonoNs, WallMs};
use rustix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};

/// `CLOCK_MONOTONIC`: the same origin in every process of the machine, and the clock of GStreamer's buffers.
pub fn mono_ns() -> MonoNs {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    MonoNs(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// [`mono_ns`] in milliseconds.
pub fn mono_ms() -> MonoMs {
    mono_ns().ms()
}

/// The wall clock, for records and signatures only.
pub fn wall_ms() -> WallMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMs(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// The wall clock in nanoseconds since the Unix epoch, for records only.
pub fn wall_ns() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

/// What the wall clock showed at `then`, by what both clocks show now.
pub fn wall_ns_at(then: MonoNs) -> u64 {
    wall_ns().saturating_sub(mono_ns().since(then))
}
