//! The files that tests and curious people read: the truth, which no robot could know.

use anyhow::Context;
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The truth about the robot now.
#[derive(Debug, Serialize)]
pub(crate) struct Stats {
    /// `CLOCK_MONOTONIC` in milliseconds when this was written.
    pub(crate) mono_ms: u64,
    pub(crate) distance_m: f64,
    pub(crate) collisions: u64,
    pub(crate) kerb_bumps: u64,
    pub(crate) speed_mps: f64,
    /// Highest speed so far.
    pub(crate) max_speed: f64,
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// Radians counter-clockwise from east.
    pub(crate) heading: f64,
    pub(crate) lat_deg: f64,
    pub(crate) lon_deg: f64,
    /// Since when it stands still (`CLOCK_MONOTONIC` in milliseconds); nothing while it moves.
    pub(crate) at_rest_since_ms: Option<u64>,
    /// When the last command came (`CLOCK_MONOTONIC` in milliseconds); nothing before the first.
    pub(crate) last_cmd_vel_ms: Option<u64>,
    pub(crate) commands: u64,
    /// Level of the lamp as it was last set.
    pub(crate) lamp: u8,
    /// Whether the horn sounds, and how often it began to.
    pub(crate) horn: bool,
    pub(crate) horn_count: u64,
    /// How often the base stopped by itself because commands stayed away.
    pub(crate) cmd_timeouts: u64,
    pub(crate) battery: f64,
    /// Frames handed over, and the median time to draw one, by camera.
    pub(crate) front_frames: u64,
    pub(crate) rear_frames: u64,
    pub(crate) render_ms_p50: f64,
    pub(crate) rear_render_ms_p50: f64,
    /// Time that the physics could not catch up with, in milliseconds.
    pub(crate) lost_ms: u64,
}

/// One line of the trace.
#[derive(Debug, Serialize)]
pub(crate) struct TraceLine {
    pub(crate) mono_ms: u64,
    pub(crate) speed_mps: f64,
    pub(crate) turn_radps: f64,
    pub(crate) cmd_linear: f64,
    pub(crate) cmd_angular: f64,
    pub(crate) cmd_age_ms: Option<u64>,
}

/// One line of the command log.
#[derive(Debug, Serialize)]
pub(crate) struct CommandLine {
    /// `CLOCK_REALTIME` in microseconds when the command arrived.
    pub(crate) wall_us: u64,
    /// `CLOCK_MONOTONIC` in milliseconds at the same moment.
    pub(crate) mono_ms: f64,
    /// As received, before the base limits it; null when not a number.
    pub(crate) linear: f64,
    pub(crate) angular: f64,
}

/// The command log: the thread that receives commands adds lines, the loop of the physics flushes them.
#[derive(Debug)]
pub(crate) struct CommandLog<W: Write = BufWriter<File>>(Mutex<W>);

impl CommandLog {
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        Ok(Self(Mutex::new(create(path)?)))
    }
}

impl<W: Write> CommandLog<W> {
    pub(crate) fn add(&self, line: &CommandLine) -> anyhow::Result<()> {
        let mut octets = serde_json::to_vec(line)?;
        octets.push(b'\n');
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&octets)?)
    }

    pub(crate) fn flush(&self) -> anyhow::Result<()> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.flush().context("could not write the command log")
    }
}

fn create(path: &Path) -> anyhow::Result<BufWriter<File>> {
    File::create(path)
        .map(BufWriter::new)
        .with_context(|| format!("could not write {}", path.display()))
}

/// Writes stats and trace, where they were asked for.
#[derive(Debug)]
pub(crate) struct Records {
    stats: Option<PathBuf>,
    trace: Option<BufWriter<File>>,
}

impl Records {
    pub(crate) fn open(stats: Option<&Path>, trace: Option<&Path>) -> anyhow::Result<Self> {
        Ok(Self { stats: stats.map(Path::to_owned), trace: trace.map(create).transpose()? })
    }

    /// Replaces the stats file in one step, so that a reader never sees half of it.
    pub(crate) fn stats(&self, stats: &Stats) -> anyhow::Result<()> {
        let Some(path) = &self.stats else { return Ok(()) };
        let mut beside = path.clone().into_os_string();
        beside.push(".new");
        std::fs::write(&beside, serde_json::to_vec(stats)?)
            .and_then(|()| std::fs::rename(&beside, path))
            .with_context(|| format!("could not write {}", path.display()))
    }

    pub(crate) fn trace(&mut self, line: &TraceLine) -> anyhow::Result<()> {
        let Some(file) = &mut self.trace else { return Ok(()) };
        serde_json::to_writer(&mut *file, line)?;
        file.write_all(b"\n")?;
        Ok(file.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_a_line_of_the_log() {
        let log = CommandLog(Mutex::new(Vec::new()));
        for n in 0..2_u64 {
            let line = CommandLine {
                wall_us: 1_790_000_000_000_000 + n,
                mono_ms: 1234.5,
                linear: 0.5,
                angular: f64::NAN,
            };
            log.add(&line).unwrap();
        }
        log.flush().unwrap();
        let text = String::from_utf8(log.0.into_inner().unwrap()).unwrap();
        let second = r#"{"wall_us":1790000000000001,"mono_ms":1234.5,"linear":0.5,"angular":null}"#;
        assert_eq!(text.lines().nth(1), Some(second));
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with('\n'));
    }
}
