//! The files that tests and curious people read: the truth, which no robot could know.

use anyhow::Context;
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

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
    pub(crate) cmd_linear: f64,
    pub(crate) cmd_age_ms: Option<u64>,
}

/// Writes both files, where they were asked for.
#[derive(Debug)]
pub(crate) struct Records {
    stats: Option<PathBuf>,
    trace: Option<BufWriter<File>>,
}

impl Records {
    pub(crate) fn open(stats: Option<&Path>, trace: Option<&Path>) -> anyhow::Result<Self> {
        let trace = trace
            .map(|path| {
                File::create(path)
                    .map(BufWriter::new)
                    .with_context(|| format!("could not write {}", path.display()))
            })
            .transpose()?;
        Ok(Self { stats: stats.map(Path::to_owned), trace })
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
