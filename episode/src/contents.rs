//! One pass over the recordings of an episode: counts, receipts, and what a summary shows. Sealing states what
//! this finds; verifying finds it again and compares.

use crate::commands;
use crate::error::EpisodeError;
use crate::layout::topic;
use crate::manifest::ChannelEntry;
use crate::meta::Document;
use crate::read::{Message, Reader};
use crate::receipts::{Checked, ReceiptLog};
use protocol::ids::InterventionId;
use protocol::intervention::{Act, EVENT_CODE, Note, PER_LEASE_MAX};
use protocol::keys::Did;
use protocol::lease::Lease;
use protocol::units::WallMs;
use ros_msgs::{longrein_msgs, nav_msgs};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

const NS_PER_MS: u64 = 1_000_000;
/// A step of the odometry longer than this is a reset, not a way that was driven.
const ODOMETRY_STEP_M_MAX: f64 = 2.0;

/// What an episode amounts to, recomputed from its recordings.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Summary {
    /// From the first to the last message.
    pub duration_s: f64,
    /// Way driven, by odometry.
    pub distance_m: f64,
    /// Median age of the picture that the driver acted on, while driving.
    pub loop_latency_ms_p50: Option<f64>,
    /// 99th percentile of the same.
    pub loop_latency_ms_p99: Option<f64>,
    /// Time of the first message: robot's UTC, nanoseconds.
    pub first_ns: Option<u64>,
    /// Time of the last message: robot's UTC, nanoseconds.
    pub last_ns: Option<u64>,
    /// Messages in all recordings.
    pub messages: u64,
    /// Messages that could not be recorded.
    pub dropped: u64,
    /// Whiles in which a person took over, oldest first, at most [`PER_LEASE_MAX`].
    pub interventions: Vec<Intervention>,
}

/// A while of the drive in which a person took over, as the robot recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Intervention {
    /// The fleet's name for it.
    pub id: InterventionId,
    /// By whom.
    pub by: Did,
    /// Why.
    pub cause: String,
    /// When it began, by the robot's clock.
    pub started_at: WallMs,
    /// When it was over; none when the recording ends before.
    pub ended_at: Option<WallMs>,
    /// What its end was: the driver's word, or why the lease ended.
    pub ended_why: Option<String>,
}

#[derive(Default)]
struct ChannelCount {
    topic: String,
    schema: String,
    messages: u64,
    sequence_max: Option<u32>,
    first_ns: u64,
    last_ns: u64,
}

/// Gathers what [`Summary`] and the receipts need.
pub(crate) struct Contents {
    receipts: ReceiptLog,
    odometry: Option<(f64, f64)>,
    distance_m: f64,
    latencies_ms: Vec<f64>,
    first_ns: Option<u64>,
    last_ns: Option<u64>,
    messages: u64,
    interventions: Vec<Intervention>,
}

impl Contents {
    pub(crate) fn new(lease: Lease, policy: &Document) -> Self {
        Self {
            receipts: ReceiptLog::new(lease, commands::scale_of(policy)),
            odometry: None,
            distance_m: 0.0,
            latencies_ms: Vec::new(),
            first_ns: None,
            last_ns: None,
            messages: 0,
            interventions: Vec::new(),
        }
    }

    /// Reads one recording and tells what its channels hold.
    pub(crate) fn read(&mut self, path: &Path) -> Result<Vec<ChannelEntry>, EpisodeError> {
        let mut reader = Reader::open(path)?;
        let mut counts: BTreeMap<u16, ChannelCount> = BTreeMap::new();
        while let Some(message) = reader.next()? {
            let count = counts.entry(message.channel.id).or_insert_with(|| ChannelCount {
                topic: message.channel.topic.clone(),
                schema: message.channel.schema_name.clone(),
                first_ns: message.log_time_ns,
                ..ChannelCount::default()
            });
            count.messages += 1;
            count.sequence_max = count.sequence_max.max(Some(message.sequence));
            count.first_ns = count.first_ns.min(message.log_time_ns);
            count.last_ns = count.last_ns.max(message.log_time_ns);
            self.message(&message)?;
        }
        let entries = reader.channels().map(|channel| {
            let count = counts.remove(&channel.id).unwrap_or_else(|| ChannelCount {
                topic: channel.topic.clone(),
                schema: channel.schema_name.clone(),
                ..ChannelCount::default()
            });
            count.into_entry()
        });
        let mut entries: Vec<_> = entries.collect();
        entries.sort_by(|a, b| a.topic.cmp(&b.topic));
        Ok(entries)
    }

    fn message(&mut self, message: &Message<'_>) -> Result<(), EpisodeError> {
        self.messages += 1;
        let at = message.log_time_ns;
        self.first_ns = Some(self.first_ns.map_or(at, |first| first.min(at)));
        self.last_ns = self.last_ns.max(Some(at));
        match message.channel.topic.as_str() {
            topic::COMMAND => {
                let command: longrein_msgs::DriveCommand = message.decode()?;
                self.receipts.packet(&command.packet, at / NS_PER_MS);
            }
            topic::RECEIPT => {
                let event: longrein_msgs::Event = message.decode()?;
                self.receipts.receipt(&event.json);
            }
            topic::EVENT => {
                let event: longrein_msgs::Event = message.decode()?;
                if event.code == EVENT_CODE {
                    self.intervention(&event.json, WallMs(at / NS_PER_MS));
                }
            }
            topic::ODOM => {
                let odometry: nav_msgs::Odometry = message.decode()?;
                self.moved_to(odometry.pose.pose.position.x, odometry.pose.pose.position.y);
            }
            topic::SAFETY => {
                let safety: longrein_msgs::SafetyState = message.decode()?;
                if safety.state == "driving" && safety.loop_latency_ms.is_finite() {
                    self.latencies_ms.push(safety.loop_latency_ms);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What is no note of an intervention is none: the recording is as it is.
    fn intervention(&mut self, json: &str, at: WallMs) {
        let Ok(note) = serde_json::from_str::<Note>(json) else { return };
        match note.act {
            Act::Start
                if self.interventions.len() < usize::try_from(PER_LEASE_MAX).unwrap_or(0) =>
            {
                self.interventions.push(Intervention {
                    id: note.id,
                    by: note.by,
                    cause: note.cause,
                    started_at: at,
                    ended_at: None,
                    ended_why: None,
                });
            }
            Act::Start => {}
            Act::End => {
                let last = self.interventions.last_mut();
                if let Some(open) = last.filter(|o| o.id == note.id && o.ended_at.is_none()) {
                    (open.ended_at, open.ended_why) = (Some(at), Some(note.cause));
                }
            }
        }
    }

    fn moved_to(&mut self, x_m: f64, y_m: f64) {
        if let Some((from_x, from_y)) = self.odometry.replace((x_m, y_m)) {
            let step_m = (x_m - from_x).hypot(y_m - from_y);
            if step_m <= ODOMETRY_STEP_M_MAX {
                self.distance_m += step_m;
            }
        }
    }

    /// What came of it. `channels` are those of all recordings.
    pub(crate) fn finish<'a>(
        mut self,
        channels: impl Iterator<Item = &'a ChannelEntry>,
    ) -> (Summary, Checked) {
        self.latencies_ms.sort_by(f64::total_cmp);
        let span_ns = self.last_ns.unwrap_or(0).saturating_sub(self.first_ns.unwrap_or(0));
        let summary = Summary {
            duration_s: std::time::Duration::from_nanos(span_ns).as_secs_f64(),
            distance_m: self.distance_m,
            loop_latency_ms_p50: percentile(&self.latencies_ms, 50),
            loop_latency_ms_p99: percentile(&self.latencies_ms, 99),
            first_ns: self.first_ns,
            last_ns: self.last_ns,
            messages: self.messages,
            dropped: channels.map(|channel| channel.dropped).sum(),
            interventions: self.interventions,
        };
        (summary, self.receipts.check())
    }
}

impl ChannelCount {
    fn into_entry(self) -> ChannelEntry {
        // Sequence numbers count from 0 and skip what was dropped.
        let attempted = self.sequence_max.map_or(0, |last| u64::from(last) + 1);
        let at = |ns: u64| (self.messages > 0).then_some(WallMs(ns / NS_PER_MS));
        ChannelEntry {
            dropped: attempted.saturating_sub(self.messages),
            first_at: at(self.first_ns),
            last_at: at(self.last_ns),
            topic: self.topic,
            schema: self.schema,
            messages: self.messages,
        }
    }
}

fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get(last * percent / 100).copied()
}
