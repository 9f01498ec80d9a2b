//! How much of something may happen: so much at once, so much each second.

use std::time::Instant;

/// A token bucket. Full at first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    burst: f64,
    per_s: f64,
    left: f64,
    since: Instant,
}

impl Bucket {
    pub(crate) const fn new(burst: u32, per_s: f64, now: Instant) -> Self {
        let burst = burst as f64;
        Self { burst, per_s, left: burst, since: now }
    }

    /// Takes `amount` if there is so much.
    pub(crate) fn take(&mut self, amount: usize, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.since = self.since.max(now);
        self.left = (self.left + passed * self.per_s).min(self.burst);
        #[expect(clippy::cast_precision_loss, reason = "amounts are packets or bytes of a packet")]
        let amount = amount as f64;
        let enough = self.left >= amount;
        if enough {
            self.left -= amount;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_then_the_rate_and_never_more_than_the_burst() {
        let t0 = Instant::now();
        let mut bucket = Bucket::new(3, 10.0, t0);
        assert_eq!((0..5).filter(|_| bucket.take(1, t0)).count(), 3);
        assert!(!bucket.take(1, t0 + Duration::from_millis(99)));
        assert!(bucket.take(1, t0 + Duration::from_millis(101)));
        let later = t0 + Duration::from_secs(60);
        assert_eq!((0..5).filter(|_| bucket.take(1, later)).count(), 3);
        assert!(!bucket.take(1, t0), "time that goes back fills nothing");
    }
}
