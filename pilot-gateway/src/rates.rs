//! How often each caller may call: one token bucket each. Pure; time is an argument. Stopping is never limited.

use protocol::keys::Did;
use protocol::units::MonoMs;
use std::collections::BTreeMap;

/// How much a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Calls that may come at once.
    pub burst: u64,
    /// Calls each second in the long run.
    pub per_s: u64,
}

/// Callers that are remembered at most; beyond it, those with full buckets are forgotten.
const CALLERS_MAX: usize = 10_000;

/// The buckets of all callers of one kind of call.
#[derive(Debug)]
pub struct Rates {
    rate: Rate,
    /// Thousandths of a call that are left, and since when.
    buckets: BTreeMap<Did, (u64, MonoMs)>,
}

impl Rates {
    /// Full buckets for everybody.
    pub const fn new(rate: Rate) -> Self {
        Self { rate, buckets: BTreeMap::new() }
    }

    /// Takes one call of `caller`, or says in how many milliseconds there will be one.
    pub fn take(&mut self, now: MonoMs, caller: Did) -> Result<(), u64> {
        let full = self.rate.burst.saturating_mul(1000);
        let per_s = self.rate.per_s.max(1);
        let filled = |(left, since): (u64, MonoMs)| {
            // `per_s` calls a second are `per_s` thousandths a millisecond.
            left.saturating_add(now.since(since).saturating_mul(per_s)).min(full)
        };
        if self.buckets.len() >= CALLERS_MAX && !self.buckets.contains_key(&caller) {
            self.buckets.retain(|_, bucket| filled(*bucket) < full);
        }
        let left = self.buckets.get(&caller).map_or(full, |bucket| filled(*bucket));
        let (left, outcome) = match left.checked_sub(1000) {
            Some(rest) => (rest, Ok(())),
            None => (left, Err(1000_u64.saturating_sub(left).div_ceil(per_s))),
        };
        self.buckets.insert(caller, (left, now));
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::keys::PrivateKey;

    #[test]
    fn a_burst_then_the_rate_and_each_caller_for_itself() {
        let (a, b) = (PrivateKey::from_seed(&[1; 32]).did(), PrivateKey::from_seed(&[2; 32]).did());
        let mut rates = Rates::new(Rate { burst: 3, per_s: 10 });
        let now = MonoMs(5_000);
        for _ in 0..3 {
            assert_eq!(rates.take(now, a), Ok(()));
        }
        assert_eq!(rates.take(now, a), Err(100));
        assert_eq!(rates.take(now, b), Ok(()));
        assert_eq!(rates.take(now.plus(99), a), Err(1));
        assert_eq!(rates.take(now.plus(100), a), Ok(()));
        // Never more than the burst, however long the caller was away; a clock that stands is no refill.
        let later = now.plus(1_000_000);
        let taken = (0..10).filter(|_| rates.take(later, a).is_ok()).count();
        assert_eq!(taken, 3);
    }
}
