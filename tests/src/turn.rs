//! One and the same drive through the cockpit, to be compared with itself under other circumstances.

use crate::Rig;
use anyhow::{Context, Result, ensure};
use episode::layout::{TELEMETRY, topic};
use episode::read::Reader;
use episode::{Options, verify};
use ros_msgs::longrein_msgs::SafetyState;
use std::collections::BTreeMap;
use std::time::Duration;
use xtask::browser::{self, Drive};

/// A turn on the spot by a pilot in a headless Chromium, as the robot recorded it.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    /// Median age of the picture that the pilot acted on.
    pub loop_ms_p50: f64,
    /// 99th percentile of the same.
    pub loop_ms_p99: f64,
    /// How long the robot was driven.
    pub driven: Duration,
    /// How often the safety core stopped it, by reason.
    pub stops: BTreeMap<String, u32>,
}

impl Turn {
    /// Has a new pilot turn the stack's robot for `seconds`; the mission is free again afterwards.
    pub fn drive(rig: &Rig, seconds: u32) -> Result<Self> {
        let join = rig.stack.invite_pilot()?;
        let (mission, seconds) = (&rig.mission, seconds.to_string());
        let more = ["--turn", &seconds];
        let drive = Drive { join_url: &join, mission, more: &more, ..Drive::default() };
        let drove = browser::finish(browser::start(&drive)?)?;
        let episode = drove["episode"].as_str().context("the drive left no episode")?;
        let dir = rig.data().join("fleet/episodes").join(episode);
        let report = verify(&dir, &Options::default());
        ensure!(report.verified, "{report}");
        let summary = report.summary.context("a verified episode has a summary")?;
        let mut turn = Self {
            loop_ms_p50: summary.loop_latency_ms_p50.context("no loop latency was recorded")?,
            loop_ms_p99: summary.loop_latency_ms_p99.context("no loop latency was recorded")?,
            ..Self::default()
        };
        turn.read(Reader::open(&dir.join(TELEMETRY))?)?;
        Ok(turn)
    }

    /// Every change of the safety core's state is recorded, so no stop is too short to be seen.
    fn read(&mut self, mut telemetry: Reader<std::fs::File>) -> Result<()> {
        let mut before: Option<(u64, SafetyState)> = None;
        while let Some(message) = telemetry.next()? {
            if message.channel.topic != topic::SAFETY {
                continue;
            }
            let (at_ns, now) = (message.log_time_ns, message.decode::<SafetyState>()?);
            if let Some((since_ns, before)) = &before
                && before.state == "driving"
            {
                self.driven += Duration::from_nanos(at_ns.saturating_sub(*since_ns));
                if now.state == "stopped" {
                    *self.stops.entry(now.reason.clone()).or_default() += 1;
                }
            }
            before = Some((at_ns, now));
        }
        Ok(())
    }

    /// Stops of all reasons.
    pub fn stop_count(&self) -> u32 {
        self.stops.values().sum()
    }
}
