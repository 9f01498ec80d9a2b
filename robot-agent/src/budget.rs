//! How much of the network uploads may take: a token bucket, with another rate while somebody drives, and chunks so
//! small that live video waits for none of them.

use crate::config::Spool;
use protocol::units::MonoMs;

const CHUNK_MIN: usize = 16 * 1024;
const CHUNK_MAX: usize = 1024 * 1024;
/// Without a bound, a chunk should take about this long: what the kernel has taken can't be called back when a drive
/// begins.
const CHUNK_MS: u64 = 500;
/// With a bound, a chunk is so much of it.
const BURST_MS: u64 = 250;

/// What an upload may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Send so many bytes at most.
    Send(usize),
    /// Ask again after so many milliseconds.
    Wait(u64),
}

/// The budget.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Bits per ms, which are kbit/s, while nobody drives; none is no bound.
    free_kbps: Option<u32>,
    /// While somebody drives; 0 is a pause.
    driving_kbps: u32,
    tokens_bytes: u64,
    at: MonoMs,
    /// What the network carried in about [`CHUNK_MS`] lately.
    chunk: usize,
}

impl Budget {
    pub(crate) fn new(spool: &Spool, now: MonoMs) -> Self {
        Self {
            free_kbps: spool.upload_kbps_max,
            driving_kbps: spool.upload_driving_kbps_max,
            tokens_bytes: 0,
            at: now,
            chunk: CHUNK_MIN * 4,
        }
    }

    /// Whether a chunk may go now.
    pub(crate) fn ask(&mut self, now: MonoMs, driving: bool) -> Leave {
        let rate = if driving { Some(self.driving_kbps) } else { self.free_kbps };
        let passed_ms = now.since(self.at);
        self.at = now;
        let Some(kbps) = rate else { return Leave::Send(self.chunk) };
        if kbps == 0 {
            self.tokens_bytes = 0;
            return Leave::Wait(CHUNK_MS);
        }
        let bytes = |ms: u64| u64::from(kbps).saturating_mul(ms) / 8;
        let burst = usize::try_from(bytes(BURST_MS)).unwrap_or(CHUNK_MAX);
        let chunk = burst.clamp(CHUNK_MIN, self.chunk.max(CHUNK_MIN));
        let wanted = u64::try_from(chunk).unwrap_or(u64::MAX);
        // No more than one chunk is saved up: a pause does not end in a flood.
        self.tokens_bytes = self.tokens_bytes.saturating_add(bytes(passed_ms)).min(wanted);
        if self.tokens_bytes >= wanted {
            return Leave::Send(chunk);
        }
        Leave::Wait(((wanted - self.tokens_bytes) * 8).div_ceil(u64::from(kbps)).max(1))
    }

    /// A chunk of `len` bytes went, within `took_ms`.
    pub(crate) fn sent(&mut self, len: usize, took_ms: u64) {
        self.tokens_bytes =
            self.tokens_bytes.saturating_sub(u64::try_from(len).unwrap_or(u64::MAX));
        let filled = len >= self.chunk;
        if took_ms > CHUNK_MS * 2 {
            self.chunk = (self.chunk / 2).max(CHUNK_MIN);
        } else if took_ms < CHUNK_MS / 2 && filled {
            self.chunk = (self.chunk * 2).min(CHUNK_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that go within ten seconds over a network of so many kbit/s.
    fn in_ten_seconds(spool: &Spool, driving: bool, network_kbps: u64) -> (u64, u64) {
        let mut now = MonoMs(1_000_000);
        let mut budget = Budget::new(spool, now);
        let (end, mut sum, mut longest_ms) = (now.plus(10_000), 0_u64, 0);
        while now < end {
            match budget.ask(now, driving) {
                Leave::Wait(ms) => now = now.plus(ms),
                Leave::Send(len) => {
                    let took_ms = u64::try_from(len).unwrap() * 8 / network_kbps;
                    sum += u64::try_from(len).unwrap();
                    longest_ms = longest_ms.max(took_ms);
                    now = now.plus(took_ms.max(1));
                    budget.sent(len, took_ms);
                }
            }
        }
        (sum, longest_ms)
    }

    #[test]
    fn a_bound_is_kept_and_used() {
        let spool = Spool { upload_kbps_max: Some(800), ..Spool::default() };
        let (sum, _) = in_ten_seconds(&spool, false, 100_000);
        assert!((900_000..=1_030_000).contains(&sum), "{sum} bytes of 1,000,000");
        let slow = Spool { upload_kbps_max: Some(64), ..Spool::default() };
        let (sum, _) = in_ten_seconds(&slow, false, 100_000);
        assert!((60_000..=97_000).contains(&sum), "{sum} bytes of 80,000");
    }

    #[test]
    fn a_drive_comes_first() {
        let (sum, _) = in_ten_seconds(&Spool::default(), true, 100_000);
        assert_eq!(sum, 0, "by default uploads wait for the end of a drive");
        let spool = Spool { upload_driving_kbps_max: 200, ..Spool::default() };
        let (sum, _) = in_ten_seconds(&spool, true, 100_000);
        assert!((220_000..=270_000).contains(&sum), "{sum} bytes of 250,000");
        let (sum, _) = in_ten_seconds(&spool, false, 8_000);
        assert!(sum > 9_000_000, "and otherwise takes what there is: {sum}");
    }

    #[test]
    fn a_chunk_holds_a_slow_network_for_a_moment_only() {
        let (sum, longest_ms) = in_ten_seconds(&Spool::default(), false, 1_000);
        assert!(sum > 1_000_000 && longest_ms <= 1_100, "{sum} bytes, {longest_ms} ms");
    }

    #[test]
    fn a_pause_does_not_end_in_a_flood() {
        let spool = Spool { upload_kbps_max: Some(800), ..Spool::default() };
        let mut budget = Budget::new(&spool, MonoMs(0));
        let Leave::Send(len) = budget.ask(MonoMs(3_600_000), false) else {
            panic!("not after an hour")
        };
        budget.sent(len, 1);
        assert!(matches!(budget.ask(MonoMs(3_600_001), false), Leave::Wait(_)));
    }
}
