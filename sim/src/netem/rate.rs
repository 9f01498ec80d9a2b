//! How much a bottleneck lets through, and how that changes.

use super::Micros;
use crate::rng::Rng;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Fading steps that are remembered: at half a second each, more than any queue is long.
const RECENT_MAX: usize = 128;

/// The rate of a bottleneck over the time of a profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rate {
    /// Constant between steps.
    Steps(Vec<Step>),
    /// Wanders as that of a radio link in motion.
    Fading(Fading),
}

/// A rate from some moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Since the profile's beginning.
    pub at_ms: u64,
    /// The rate from then on. 0 holds everything up until the next step.
    pub kbps: u32,
}

/// A rate whose logarithm is a first-order process: drawn anew every `step_ms`, and close to what it was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fading {
    /// The median rate.
    pub median_kbps: f64,
    /// Standard deviation of the rate's natural logarithm.
    pub log_deviation: f64,
    /// Correlation of the logarithm between one step and the next, 0 to 1.
    pub memory: f64,
    /// How long each rate lasts.
    pub step_ms: u64,
    /// The rate is never under this.
    pub kbps_min: u32,
    /// The rate is never over this.
    pub kbps_max: u32,
}

/// A rate that is being used up. Times must not go back.
#[derive(Debug, Clone)]
pub(super) struct Bottleneck {
    rate: Rate,
    rng: Rng,
    begun_us: Option<Micros>,
    /// The fading step that was drawn last: its number, its deviation, its rate.
    drawn: Option<(u64, f64, u32)>,
    /// Steps that were drawn lately, which a queue may be ahead of: their numbers and rates.
    recent: VecDeque<(u64, u32)>,
}

impl Bottleneck {
    pub(super) const fn new(rate: Rate, rng: Rng) -> Self {
        Self { rate, rng, begun_us: None, drawn: None, recent: VecDeque::new() }
    }

    /// The profile begins. Until then the rate is the first one, or the median.
    pub(super) fn begin(&mut self, now_us: Micros) {
        self.begun_us.get_or_insert(now_us);
    }

    /// The rate at `at_us`, and until when it lasts.
    pub(super) fn at(&mut self, at_us: Micros) -> (u32, Micros) {
        let Some(begun_us) = self.begun_us else { return (self.rate.at_first(), Micros::MAX) };
        let since_us = at_us.saturating_sub(begun_us);
        match &self.rate {
            Rate::Steps(steps) => {
                let next = steps.iter().find(|step| step.at_ms.saturating_mul(1_000) > since_us);
                let now = steps.iter().rev().find(|step| step.at_ms * 1_000 <= since_us);
                let until_us = next.map_or(Micros::MAX, |step| begun_us + step.at_ms * 1_000);
                (now.or(steps.first()).map_or(0, |step| step.kbps), until_us)
            }
            Rate::Fading(fading) => {
                let fading = *fading;
                let step_us = fading.step_ms.max(1) * 1_000;
                let number = since_us / step_us;
                (self.draw(&fading, number), begun_us + (number + 1) * step_us)
            }
        }
    }

    fn draw(&mut self, fading: &Fading, number: u64) -> u32 {
        let (mut drawn, mut deviation, mut kbps) =
            self.drawn.unwrap_or_else(|| (0, self.rng.normal(), 0));
        if self.drawn.is_none() {
            kbps = fading.rate(deviation);
            self.recent.push_back((0, kbps));
        }
        while drawn < number {
            let fresh = (1.0 - fading.memory * fading.memory).max(0.0).sqrt();
            deviation = fading.memory * deviation + fresh * self.rng.normal();
            kbps = fading.rate(deviation);
            drawn += 1;
            self.recent.push_back((drawn, kbps));
            if self.recent.len() > RECENT_MAX {
                self.recent.pop_front();
            }
        }
        self.drawn = Some((drawn, deviation, kbps));
        kbps
    }

    /// The rate at `now_us`, which may lie before a time that was asked for already: packets are placed at the end of a queue.
    pub(super) fn now(&mut self, now_us: Micros) -> u32 {
        let fading = if let Rate::Fading(fading) = &self.rate { Some(*fading) } else { None };
        let number = self.begun_us.zip(fading).map(|(begun_us, fading)| {
            now_us.saturating_sub(begun_us) / (fading.step_ms.max(1) * 1_000)
        });
        let before = self.recent.iter().find(|(drawn, _)| Some(*drawn) == number);
        before.map(|(_, kbps)| *kbps).unwrap_or_else(|| self.at(now_us).0)
    }

    /// When `bits` are through that begin at `start_us`; never, if the rate stays at nothing.
    pub(super) fn finish(&mut self, start_us: Micros, bits: u64) -> Option<Micros> {
        let (mut at_us, mut left) = (start_us, bits);
        loop {
            let (kbps, until_us) = self.at(at_us);
            let kbps = u64::from(kbps);
            // A kilobit a second is a thousandth of a bit in a microsecond.
            let carried = (until_us - at_us).saturating_mul(kbps) / 1_000;
            if left <= carried {
                return Some(at_us + (left * 1_000).div_ceil(kbps.max(1)));
            }
            if until_us == Micros::MAX {
                return None;
            }
            left -= carried;
            at_us = until_us;
        }
    }
}

impl Rate {
    /// A rate that never changes.
    pub fn constant(kbps: u32) -> Self {
        Self::Steps(vec![Step { at_ms: 0, kbps }])
    }

    fn at_first(&self) -> u32 {
        match self {
            Self::Steps(steps) => steps.first().map_or(0, |step| step.kbps),
            Self::Fading(fading) => fading.rate(0.0),
        }
    }
}

impl Fading {
    fn rate(&self, deviation: f64) -> u32 {
        let kbps = self.median_kbps * (self.log_deviation * deviation).exp();
        (kbps as u32).clamp(self.kbps_min.max(1), self.kbps_max.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(rate: Rate) -> Bottleneck {
        let mut bottleneck = Bottleneck::new(rate, Rng::new(3, 1));
        bottleneck.begin(0);
        bottleneck
    }

    fn steps(steps: &[(u64, u32)]) -> Rate {
        Rate::Steps(steps.iter().map(|&(at_ms, kbps)| Step { at_ms, kbps }).collect())
    }

    #[test]
    fn a_packet_takes_its_length_over_the_rate() {
        let mut bottleneck = begun(Rate::constant(1_000));
        assert_eq!(bottleneck.finish(5_000, 12_000), Some(17_000));
    }

    #[test]
    fn a_packet_across_a_step_goes_on_at_the_new_rate() {
        // 10 ms at 1,000 kbit/s carry 10,000 bits; the other 2,000 take 20 ms at 100.
        let mut bottleneck = begun(steps(&[(0, 1_000), (10, 100)]));
        assert_eq!(bottleneck.finish(0, 12_000), Some(30_000));
    }

    #[test]
    fn a_rate_of_nothing_holds_up_until_the_next_step() {
        let mut bottleneck = begun(steps(&[(0, 0), (500, 1_000)]));
        assert_eq!(bottleneck.finish(0, 12_000), Some(512_000));
        assert_eq!(begun(Rate::constant(0)).finish(0, 1), None);
    }

    #[test]
    fn before_the_beginning_the_first_rate_lasts() {
        let mut bottleneck = Bottleneck::new(steps(&[(0, 1_000), (10, 1)]), Rng::new(3, 1));
        assert_eq!(bottleneck.at(60_000_000), (1_000, Micros::MAX));
        bottleneck.begin(60_000_000);
        assert_eq!(bottleneck.at(60_010_000).0, 1);
    }

    #[test]
    fn what_a_fading_bottleneck_carries_now_is_told_from_behind_its_queue() {
        let fading = Fading {
            median_kbps: 1_000.0,
            log_deviation: 0.8,
            memory: 0.5,
            step_ms: 500,
            kbps_min: 1,
            kbps_max: u32::MAX,
        };
        let mut bottleneck = begun(Rate::Fading(fading));
        let rates: Vec<u32> = (0..10_u64).map(|n| bottleneck.at(n * 500_000).0).collect();
        for (n, rate) in (0_u64..).zip(&rates) {
            assert_eq!(bottleneck.now(n * 500_000 + 1), *rate, "step {n}");
        }
        assert_eq!(bottleneck.at(4_900_000).0, rates[9], "nothing was drawn anew");
    }

    #[test]
    fn fading_has_the_median_the_spread_and_the_memory_that_were_asked_for() {
        let fading = Fading {
            median_kbps: 4_726.0,
            log_deviation: 0.84,
            memory: 0.82,
            step_ms: 500,
            kbps_min: 1,
            kbps_max: u32::MAX,
        };
        let mut bottleneck = begun(Rate::Fading(fading));
        let logs: Vec<f64> =
            (0..40_000_u64).map(|n| f64::from(bottleneck.at(n * 500_000).0).ln()).collect();
        let count = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / count;
        let variance = logs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let next = logs.windows(2).map(|w| (w[0] - mean) * (w[1] - mean)).sum::<f64>() / count;
        assert!((mean.exp() / 4_726.0 - 1.0).abs() < 0.05, "median {}", mean.exp());
        assert!((variance.sqrt() - 0.84).abs() < 0.03, "deviation {}", variance.sqrt());
        assert!((next / variance - 0.82).abs() < 0.02, "memory {}", next / variance);
    }
}
