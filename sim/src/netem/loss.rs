//! Which packets a path loses: each by itself, and many in a row (Gilbert–Elliott).

use super::pipe::Cause;
use crate::rng::Rng;
use serde::{Deserialize, Serialize};

/// The bad state of a Gilbert–Elliott channel. Shares are of 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// With which probability a packet in the good state brings the bad one.
    pub enter: f64,
    /// With which probability a packet in the bad state ends it.
    pub leave: f64,
    /// Share of the packets in the bad state that are lost.
    pub lost: f64,
}

impl Burst {
    /// A channel that loses `share` of all packets, `length` in a row on average.
    pub fn of(share: f64, length: f64) -> Self {
        let leave = 1.0 / length.max(1.0);
        let share = share.clamp(0.0, 0.99);
        Self { enter: (leave * share / (1.0 - share)).min(1.0), leave, lost: 1.0 }
    }

    /// Share of all packets that it loses in the long run.
    pub fn share(&self) -> f64 {
        let turns = self.enter + self.leave;
        if turns > 0.0 { self.lost * self.enter / turns } else { 0.0 }
    }
}

/// The channel as it stands.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    random: f64,
    burst: Option<Burst>,
    bad: bool,
    rng: Rng,
}

impl Channel {
    pub(super) const fn new(random: f64, burst: Option<Burst>, rng: Rng) -> Self {
        Self { random, burst, bad: false, rng }
    }

    /// Whether the next packet is lost, and to what.
    pub(super) fn next(&mut self) -> Option<Cause> {
        // All draws are made for every packet, so that one setting does not shift the chance of another.
        let [turn, in_burst, alone] = [(); 3].map(|()| self.rng.unit());
        if let Some(burst) = self.burst {
            self.bad = if self.bad { turn >= burst.leave } else { turn < burst.enter };
            if self.bad && in_burst < burst.lost {
                return Some(Cause::Burst);
            }
        }
        (alone < self.random).then_some(Cause::Loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKETS: usize = 200_000;

    fn fates(random: f64, burst: Option<Burst>) -> Vec<bool> {
        let mut channel = Channel::new(random, burst, Rng::new(7, 1));
        (0..PACKETS).map(|_| channel.next().is_some()).collect()
    }

    fn share(lost: &[bool]) -> f64 {
        lost.iter().filter(|lost| **lost).count() as f64 / lost.len() as f64
    }

    fn mean_run(lost: &[bool]) -> f64 {
        let runs = lost.split(|lost| !lost).map(<[bool]>::len).filter(|len| *len > 0);
        let (count, sum) = runs.fold((0_usize, 0), |(count, sum), len| (count + 1, sum + len));
        sum as f64 / count as f64
    }

    #[test]
    fn packets_lost_by_themselves_are_so_many_and_stand_alone() {
        let lost = fates(0.05, None);
        assert!((share(&lost) - 0.05).abs() < 0.003, "{}", share(&lost));
        // A run of independent losses is 1 / (1 - p) long.
        assert!((mean_run(&lost) - 1.0 / 0.95).abs() < 0.02, "{}", mean_run(&lost));
    }

    #[test]
    fn bursts_have_the_share_and_the_length_that_was_asked_for() {
        for (asked, length) in [(0.01, 5.0), (0.05, 3.0), (0.2, 12.0)] {
            let burst = Burst::of(asked, length);
            assert!((burst.share() - asked).abs() < 1e-9);
            let lost = fates(0.0, Some(burst));
            assert!((share(&lost) / asked - 1.0).abs() < 0.12, "{} for {asked}", share(&lost));
            assert!((mean_run(&lost) / length - 1.0).abs() < 0.08, "{}", mean_run(&lost));
        }
    }

    #[test]
    fn nothing_is_lost_where_nothing_is_asked_for() {
        assert_eq!(share(&fates(0.0, None)), 0.0);
        assert_eq!(share(&fates(0.0, Some(Burst { enter: 0.3, leave: 0.3, lost: 0.0 }))), 0.0);
    }
}
