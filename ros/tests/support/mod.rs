//! What the tests of this crate share.

use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// A domain that no other test of this machine is likely to use now: tests of one process get consecutive ones,
/// processes start far apart. From 1 to 100, because the ports of higher domains are also handed to clients.
pub(crate) fn fresh_domain() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() * 17) % 100;
    1 + (u16::try_from(start).unwrap() + NEXT.fetch_add(1, Ordering::Relaxed)) % 100
}

/// Calls `step` until it says that it is done; fails after 30 s. `step` itself waits for something.
pub(crate) fn until(what: &str, mut step: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !step() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
    }
}
