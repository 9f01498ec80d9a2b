//! Whether the machine had time for what was measured: where it had none, figures tell of it and not of the link.

use anyhow::{Context, Result};

/// What all cores did since the machine was started, in ticks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cores {
    all: f64,
    idle: f64,
}

impl Cores {
    /// Until now.
    pub(super) fn now() -> Result<Self> {
        Self::of(&std::fs::read_to_string("/proc/stat")?).context("/proc/stat")
    }

    /// As `/proc/stat` has it: user, nice, system, idle, waiting for a disk, interrupts, soft ones, stolen.
    fn of(stat: &str) -> Option<Self> {
        let words = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<f64> =
            words.split_whitespace().take(8).filter_map(|word| word.parse().ok()).collect();
        Some(Self { all: ticks.iter().sum(), idle: ticks.get(3)? + ticks.get(4)? })
    }

    /// How much of the time since then nothing was to do, in percent.
    pub(super) fn idle_percent_since(self, then: Self) -> f64 {
        (self.idle - then.idle) / (self.all - then.all).max(1.0) * 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_is_what_no_core_used() {
        let of = |words: &str| Cores::of(&format!("cpu  {words}\ncpu0 9 9 9 9 9\n")).unwrap();
        let then = of("100 0 50 800 50 0 0 0 0 0");
        // Of 200 ticks 40 were idle and 10 waited for a disk; a guest's are among the user's already.
        let now = of("200 10 70 840 60 5 5 10 70 0");
        assert!((now.idle_percent_since(then) - 25.0).abs() < 1e-9);
        assert!(Cores::of("intr 5").is_none() && Cores::of("cpu 1 2").is_none());
    }
}
