//! What became of the packets.

use super::Micros;
use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

/// Buckets of a millisecond; what is longer lies in the last.
const BUCKETS: usize = 10_000;

/// How long packets waited, to the millisecond, up to ten seconds.
#[derive(Debug, Clone)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max_us: Micros,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0, max_us: 0 }
    }
}

impl Histogram {
    /// Counts one.
    pub fn add(&mut self, us: Micros) {
        let at = usize::try_from(us / 1_000).unwrap_or(BUCKETS).min(BUCKETS - 1);
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket += 1;
        }
        self.count += 1;
        self.max_us = self.max_us.max(us);
    }

    /// The upper bound in milliseconds under which `share` (0 to 1) of them lie; nothing when there are none.
    pub fn percentile_ms(&self, share: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let rank = (share.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let at = self.buckets.iter().position(|n| {
            seen += n;
            seen >= rank
        })?;
        Some((at as f64 + 1.0).min(self.max_ms()))
    }

    /// The longest.
    pub fn max_ms(&self) -> f64 {
        self.max_us as f64 / 1_000.0
    }

    /// How many.
    pub const fn count(&self) -> u64 {
        self.count
    }
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Histogram", 5)?;
        fields.serialize_field("count", &self.count)?;
        for (name, share) in [("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)] {
            fields.serialize_field(name, &self.percentile_ms(share))?;
        }
        fields.serialize_field("max_ms", &self.max_ms())?;
        fields.end()
    }
}

/// The account of one direction. `packets_in` is the sum of what came out, what was lost, and what is still under way.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// Packets that came.
    pub packets_in: u64,
    /// Their bytes, without the headers of UDP and IP.
    pub bytes_in: u64,
    /// Packets that were delivered.
    pub packets_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Lost each by itself.
    pub lost: u64,
    /// Lost in a burst.
    pub lost_in_burst: u64,
    /// Dropped because the queue was full.
    pub lost_in_queue: u64,
    /// Dropped in an outage.
    pub lost_in_outage: u64,
    /// How long packets were in the bottleneck and its queue, since the profile began.
    pub queue: Histogram,
}

impl Counts {
    /// All that were not delivered and never will be.
    pub const fn lost_in_all(&self) -> u64 {
        self.lost + self.lost_in_burst + self.lost_in_queue + self.lost_in_outage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_upper_bounds_to_the_millisecond() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile_ms(0.5), None);
        for ms in 0..100 {
            histogram.add(ms * 1_000 + 500);
        }
        assert_eq!(histogram.percentile_ms(0.5), Some(50.0));
        assert_eq!(histogram.percentile_ms(0.95), Some(95.0));
        assert_eq!(histogram.percentile_ms(1.0), Some(99.5));
        histogram.add(Micros::MAX);
        assert_eq!(histogram.count(), 101);
    }
}
