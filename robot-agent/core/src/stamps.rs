//! How old the robot's own stamps were when commands echoed them: the shortest way round of the last seconds.
//! A command that took much longer than that was held up by a queue on the way.

use crate::codec::{Reader, Writer};
use protocol::units::MonoMs;

const BUCKETS: usize = 10;
const BUCKET_MS: u64 = 1_000;

/// Minimum over a sliding window of [`BUCKETS`] seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamps {
    /// Number of the newest bucket: the second in which it lies.
    newest: u64,
    /// Least age of each second, the newest first; `u32::MAX` for none.
    least_ms: [u32; BUCKETS],
}

impl Stamps {
    pub(crate) const fn new() -> Self {
        Self { newest: 0, least_ms: [u32::MAX; BUCKETS] }
    }

    fn advance(&mut self, now: MonoMs) {
        let second = now.0.checked_div(BUCKET_MS).unwrap_or(0);
        let passed = second.saturating_sub(self.newest);
        let kept = BUCKETS.saturating_sub(usize::try_from(passed).unwrap_or(BUCKETS));
        let moved = BUCKETS.saturating_sub(kept);
        self.least_ms.rotate_right(moved.min(BUCKETS));
        for bucket in self.least_ms.iter_mut().take(moved) {
            *bucket = u32::MAX;
        }
        self.newest = self.newest.max(second);
    }

    /// The least age in the window; `u32::MAX` when there is none.
    pub(crate) fn least_ms(&mut self, now: MonoMs) -> u32 {
        self.advance(now);
        self.least_ms.iter().copied().min().unwrap_or(u32::MAX)
    }

    /// Takes note of a stamp's age.
    pub(crate) fn push(&mut self, now: MonoMs, age_ms: u32) {
        self.advance(now);
        if let Some(bucket) = self.least_ms.first_mut() {
            *bucket = age_ms.min(*bucket);
        }
    }

    pub(crate) fn write<const N: usize>(&self, w: &mut Writer<N>) {
        w.put(self.newest.to_le_bytes());
        for least in self.least_ms {
            w.put(least.to_le_bytes());
        }
    }

    pub(crate) fn read(r: &mut Reader<'_>) -> Self {
        Self { newest: r.u64(), least_ms: std::array::from_fn(|_| r.u32()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_age_of_ten_seconds() {
        let mut stamps = Stamps::new();
        assert_eq!(stamps.least_ms(MonoMs(50_000)), u32::MAX);
        stamps.push(MonoMs(50_000), 80);
        stamps.push(MonoMs(50_500), 120);
        stamps.push(MonoMs(53_000), 150);
        assert_eq!(stamps.least_ms(MonoMs(59_999)), 80);
        assert_eq!(
            stamps.least_ms(MonoMs(60_000)),
            150,
            "the second of the 80 has left the window"
        );
        assert_eq!(stamps.least_ms(MonoMs(63_000)), u32::MAX);
        stamps.push(MonoMs(63_000), 90);
        assert_eq!(stamps.least_ms(MonoMs(u64::MAX)), u32::MAX);
    }
}
