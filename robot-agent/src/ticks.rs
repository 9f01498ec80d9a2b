//! How late the drive loop's ticks come, counted by the loop itself.
//!
//! The core says by when it must step again. Each step that ends at or after that time counts, with what it came too
//! late: the wake-up of the thread, locks that others held, the step, and the handing over of the wheel command. Steps that
//! a command brought on before their time are no ticks. Nothing is left out, and nothing is averaged away.

use protocol::units::MonoNs;
use ros_bridge::priority::Priority;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Below this every microsecond has a bucket of its own; above, each doubling has [`SUB`].
const FINE_US: u64 = 16;
const FINE_LOG2: u32 = 4;
/// Buckets to a doubling: a figure is exact to an eighth.
const SUB: u64 = 8;
const SUB_LOG2: u32 = 3;
/// Up to 2²⁴ µs, 17 s; what is longer counts as that.
const BUCKETS: usize = 16 + 20 * 8;

/// A histogram that one thread fills and others read.
pub(crate) struct Ticks {
    counts: [AtomicU64; BUCKETS],
    max_us: AtomicU64,
    priority: AtomicU8,
}

impl Default for Ticks {
    fn default() -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            max_us: AtomicU64::new(0),
            priority: AtomicU8::new(0),
        }
    }
}

/// How late ticks were since the agent's start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickReport {
    /// Scheduling of the drive loop's thread: `realtime`, `raised` or `ordinary`.
    pub priority: String,
    /// Ticks.
    pub count: u64,
    /// Median of what they came too late, µs.
    pub late_us_p50: u64,
    /// 99th percentile.
    pub late_us_p99: u64,
    /// 99.9th percentile.
    pub late_us_p999: u64,
    /// The latest one.
    pub late_us_max: u64,
    /// Upper bound in µs and count of each bucket that is not empty: two reports, subtracted, tell of the time between.
    pub late_us: Vec<(u64, u64)>,
}

fn bucket(us: u64) -> usize {
    if us < FINE_US {
        return usize::try_from(us).unwrap_or(0);
    }
    let octave = us.ilog2();
    let sub = (us >> (octave - SUB_LOG2)) & (SUB - 1);
    let index = FINE_US + u64::from(octave - FINE_LOG2) * SUB + sub;
    usize::try_from(index).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

/// The least that is above everything in a bucket.
fn upper_us(index: usize) -> u64 {
    let index = u64::try_from(index).unwrap_or(0);
    let Some(above) = index.checked_sub(FINE_US) else { return index + 1 };
    (SUB + above % SUB + 1) << (u64::from(FINE_LOG2 - SUB_LOG2) + above / SUB)
}

impl Ticks {
    /// The loop's thread runs like this from now on.
    pub(crate) fn scheduled(&self, priority: Priority) {
        let code = match priority {
            Priority::Ordinary => 0,
            Priority::Raised => 1,
            Priority::Realtime => 2,
        };
        self.priority.store(code, Ordering::Relaxed);
    }

    /// A step that had to be made by `due` was done at `done`.
    pub(crate) fn note(&self, due: MonoNs, done: MonoNs) {
        if done < due {
            return;
        }
        let late_us = done.since(due) / 1_000;
        if let Some(count) = self.counts.get(bucket(late_us)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.max_us.fetch_max(late_us, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub(crate) fn report(&self) -> TickReport {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).enumerate();
        let late_us: Vec<_> =
            counts.filter(|(_, n)| *n > 0).map(|(index, n)| (upper_us(index), n)).collect();
        let count = late_us.iter().map(|(_, n)| n).sum();
        let priority = match self.priority.load(Ordering::Relaxed) {
            0 => "ordinary",
            1 => "raised",
            _ => "realtime",
        };
        TickReport {
            priority: priority.to_owned(),
            count,
            late_us_p50: percentile(&late_us, count, 500),
            late_us_p99: percentile(&late_us, count, 990),
            late_us_p999: percentile(&late_us, count, 999),
            late_us_max: self.max_us.load(Ordering::Relaxed),
            late_us,
        }
    }
}

fn percentile(late_us: &[(u64, u64)], count: u64, permille: u64) -> u64 {
    let rank = count.saturating_mul(permille) / 1_000;
    let mut seen = 0;
    let reached = late_us.iter().find(|(_, n)| {
        seen += n;
        seen > rank
    });
    reached.or(late_us.last()).map_or(0, |(upper, _)| *upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lateness_lies_in_a_bucket_that_bounds_it_to_an_eighth() {
        let mut us = 0;
        while us < 16_000_000 {
            let upper = upper_us(bucket(us));
            assert!(upper > us && upper <= us + us / 8 + 1, "{us} in the bucket up to {upper}");
            us += 1 + us / 97;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_tick_counts_when_it_is_due_and_a_step_before_it_does_not() {
        let ticks = Ticks::default();
        assert_eq!(
            ticks.report(),
            TickReport { priority: "ordinary".to_owned(), ..TickReport::default() }
        );
        ticks.scheduled(Priority::Realtime);
        let due = MonoNs(50_000_000);
        ticks.note(due, MonoNs(49_999_999));
        for _ in 0..1_000 {
            ticks.note(due, MonoNs(50_003_500));
        }
        ticks.note(due, MonoNs(57_000_000));
        let report = ticks.report();
        assert_eq!((report.count, report.late_us_p50, report.late_us_p99), (1_001, 4, 4));
        assert_eq!((report.late_us_p999, report.late_us_max), (4, 7_000));
        assert_eq!(report.late_us, [(4, 1_000), (7_168, 1)]);
        assert_eq!(report.priority, "realtime");
    }
}
