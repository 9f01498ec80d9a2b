//! How much clients may occupy. Pure; time is an argument.

use std::time::{Duration, Instant};

/// How much clients may occupy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Allocations of everybody together.
    pub allocations_max: usize,
    /// Allocations of one subject: a browser has one for each network it is in, and a second set while it changes over.
    pub allocations_per_subject_max: usize,
    /// What passes each way for one allocation, bytes a second.
    pub bytes_per_s_max: u64,
    /// How long one allocation may last, however often it is refreshed.
    pub lifetime_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            allocations_max: 256,
            allocations_per_subject_max: 12,
            bytes_per_s_max: 2_000_000,
            lifetime_max: Duration::from_secs(12 * 3600),
        }
    }
}

/// A bucket of bytes that refills; it holds half a second's worth, so that a keyframe passes whole.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_s: u64,
    left: u64,
    since: Instant,
}

impl Bucket {
    pub(crate) const fn new(per_s: u64, now: Instant) -> Self {
        Self { per_s, left: per_s / 2, since: now }
    }

    /// Takes `bytes`, or leaves all as it is when there is too little.
    pub(crate) fn take(&mut self, bytes: usize, now: Instant) -> bool {
        let passed_us = now.saturating_duration_since(self.since).as_micros();
        let passed_us = u64::try_from(passed_us).unwrap_or(u64::MAX).min(1_000_000);
        let more = self.per_s.saturating_mul(passed_us) / 1_000_000;
        // Time that brought no whole byte yet still counts.
        if more > 0 {
            self.left = self.left.saturating_add(more).min(self.per_s / 2);
            self.since = now;
        }
        match self.left.checked_sub(u64::try_from(bytes).unwrap_or(u64::MAX)) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_second_at_once_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1_000, start);
        assert!(bucket.take(500, start) && !bucket.take(1, start));
        let later = start + Duration::from_millis(100);
        assert!(!bucket.take(101, later) && bucket.take(100, later));
        let much_later = start + Duration::from_secs(3_600);
        assert!(bucket.take(500, much_later) && !bucket.take(1, much_later), "never more at once");
        let (mut taken, mut at) = (0, much_later);
        for _step in 0..10_000 {
            at += Duration::from_micros(100);
            taken += usize::from(bucket.take(1, at));
        }
        assert!((990..=1_010).contains(&taken), "{taken} in a second, a byte at a time");
    }
}
