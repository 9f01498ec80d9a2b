//! What a network is like, and what happens to it over time. All of it can stand in a TOML file.

use super::loss::Burst;
use super::rate::Rate;
use serde::{Deserialize, Serialize};

/// A network between a robot and its driver.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// What it stands for, in a sentence.
    pub words: String,
    /// How long it takes to have shown what it is about.
    pub seconds: u32,
    /// From robot to driver: the video's way, the robot's uplink.
    pub to_driver: Path,
    /// From driver to robot: the commands' way.
    pub to_robot: Path,
    /// When nothing gets through either way.
    pub outages: Vec<Outage>,
    /// When an end is reached under another address than before.
    pub address_changes: Vec<AddressChange>,
}

/// One direction. Shares are of 1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Path {
    /// Delay of every packet.
    pub delay_ms: f64,
    /// What comes on top: the size of a normal variable with this deviation, so 0.8 of it on average.
    pub jitter_ms: f64,
    /// How fast that is forgotten: 0 draws it anew for each packet.
    pub jitter_memory_ms: f64,
    /// Whether packets may overtake each other for their jitter. Few networks do that within a flow.
    pub reorder: bool,
    /// Share of the packets that are lost each by itself.
    pub loss: f64,
    /// Packets that are lost in a row.
    pub burst: Option<Burst>,
    /// The bottleneck; none lets everything through at once.
    pub rate: Option<Rate>,
    /// The queue before it. What does not fit is dropped.
    pub queue: Queue,
}

/// The bound of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Queue {
    /// A packet that would wait longer is dropped.
    Ms(u64),
    /// A packet that would make more bytes wait, headers included, is dropped.
    Bytes(usize),
}

impl Default for Queue {
    fn default() -> Self {
        Self::Ms(300)
    }
}

/// A time in which nothing gets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// Since the profile's beginning.
    pub at_ms: u64,
    /// How long.
    pub for_ms: u64,
}

/// One end of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The robot.
    Robot,
    /// The driver.
    Driver,
}

/// An end changes its address: packets to the old one are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressChange {
    /// Since the profile's beginning.
    pub at_ms: u64,
    /// Which end.
    pub of: End,
}

/// What a profile may not say.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// A share outside 0 to 1.
    #[error("{what} is {value}, and must be a share from 0 to 1")]
    Share {
        /// Which.
        what: &'static str,
        /// What it says.
        value: f64,
    },
    /// A time that is negative or none.
    #[error("{what} is {value}, and must be a number of milliseconds from 0 to 60,000")]
    Time {
        /// Which.
        what: &'static str,
        /// What it says.
        value: f64,
    },
    /// Steps that are none, not in order, or end in nothing.
    #[error(
        "the steps of a rate must begin at 0 ms, stand in order of time, and end with a rate over 0"
    )]
    Steps,
    /// A fading rate without a rate.
    #[error(
        "a fading rate needs a median over 0, a step of at least 1 ms, and a least rate that is not over the greatest"
    )]
    Fading,
}

impl Profile {
    /// Whether the profile can be had.
    pub fn check(&self) -> Result<(), ProfileError> {
        self.to_driver.check()?;
        self.to_robot.check()
    }
}

impl Path {
    fn check(&self) -> Result<(), ProfileError> {
        let share = |what, value: f64| match (0.0..=1.0).contains(&value) {
            true => Ok(()),
            false => Err(ProfileError::Share { what, value }),
        };
        let time = |what, value: f64| match (0.0..=60_000.0).contains(&value) {
            true => Ok(()),
            false => Err(ProfileError::Time { what, value }),
        };
        time("delay_ms", self.delay_ms)?;
        time("jitter_ms", self.jitter_ms)?;
        time("jitter_memory_ms", self.jitter_memory_ms)?;
        share("loss", self.loss)?;
        if let Some(burst) = self.burst {
            share("burst.enter", burst.enter)?;
            share("burst.leave", burst.leave)?;
            share("burst.lost", burst.lost)?;
        }
        match &self.rate {
            None => Ok(()),
            Some(Rate::Steps(steps)) => {
                let ordered = steps.windows(2).all(|pair| pair[0].at_ms < pair[1].at_ms);
                let first = steps.first().is_some_and(|step| step.at_ms == 0);
                let last = steps.last().is_some_and(|step| step.kbps > 0);
                (ordered && first && last).then_some(()).ok_or(ProfileError::Steps)
            }
            Some(Rate::Fading(fading)) => {
                share("rate.fading.memory", fading.memory)?;
                let there = fading.median_kbps >= 1.0 && fading.log_deviation >= 0.0;
                let bounds = fading.step_ms > 0 && fading.kbps_min <= fading.kbps_max;
                (there && bounds).then_some(()).ok_or(ProfileError::Fading)
            }
        }
    }
}
