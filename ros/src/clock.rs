//! The monotonic clock of the machine, which all its processes share.

use protocol::units::MonoNs;
use rustix::time::{ClockId, clock_gettime};

pub(crate) fn mono_ns() -> MonoNs {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    MonoNs(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}
