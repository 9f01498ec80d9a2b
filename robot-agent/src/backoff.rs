//! Pauses between attempts: longer with each failure, and never the same for two robots, so that a fleet that lost its
//! server does not come back to it in one moment.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// Pauses that double from `min` to `max`, each shortened at random by up to a half.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min }
    }

    /// It worked: the next failure is a first one.
    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }

    /// How long to wait after one more failure.
    pub(crate) fn pause(&mut self) -> Duration {
        // Seeded by the system, anew each time.
        self.pause_with(RandomState::new().build_hasher().finish())
    }

    fn pause_with(&mut self, random: u64) -> Duration {
        let whole = self.next;
        self.next = (self.next * 2).min(self.max);
        let permille = u32::try_from(random % 501).unwrap_or(0);
        whole * (1_000 - permille) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_differ() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, second * 8);
        let whole: Vec<u64> = (0..6).map(|_| backoff.pause_with(0).as_secs()).collect();
        assert_eq!(whole, [1, 2, 4, 8, 8, 8]);
        assert_eq!(backoff.pause_with(500), second * 4, "half at least");
        backoff.reset();
        assert_eq!(backoff.pause_with(0), second);
        let mut pauses: Vec<Duration> =
            (0..20).map(|_| Backoff::new(second * 100, second * 100).pause()).collect();
        pauses.sort();
        pauses.dedup();
        assert!(pauses.len() > 5, "twenty robots do not come in one moment: {pauses:?}");
    }
}
