//! The machine's clocks.

use rustix::time::{ClockId, clock_gettime};

fn ns(id: ClockId) -> u64 {
    let now = clock_gettime(id);
    let (s, ns) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    s * 1_000_000_000 + ns
}

/// `CLOCK_MONOTONIC`, which all processes of the machine share, in nanoseconds.
pub(crate) fn mono_ns() -> u64 {
    ns(ClockId::Monotonic)
}

/// `CLOCK_REALTIME` in nanoseconds since the Unix epoch.
pub(crate) fn wall_ns() -> u64 {
    ns(ClockId::Realtime)
}

/// Sleeps until the monotonic clock shows `at_ns`.
pub(crate) fn sleep_until(at_ns: u64) {
    let now = mono_ns();
    if at_ns > now {
        std::thread::sleep(std::time::Duration::from_nanos(at_ns - now));
    }
}
