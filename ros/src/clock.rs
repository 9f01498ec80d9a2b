//! The monotonic clock of the machine, which all its processes share, and its wall clock for stamps of messages.

use protocol::units::MonoNs;
use rustix::time::{ClockId, clock_gettime};

pub(crate) fn mono_ns() -> MonoNs {
    MonoNs(read_ns(ClockId::Monotonic))
}

/// Nanoseconds since 1970.
pub(crate) fn wall_ns() -> u64 {
    read_ns(ClockId::Realtime)
}

fn read_ns(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
