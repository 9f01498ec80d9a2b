//! Exports of episodes, and the `episode` command.
//!
//! **Contract: nothing is exported that does not verify, and no row of a dataset knows more than the robot knew at
//! its instant.**

pub mod info;
pub mod lerobot;
pub mod merged;
pub mod output;
pub mod progress;
pub mod video;

use anyhow::{Context, bail};
use episode::{Options, layout};
use lerobot::Source;
use std::path::Path;

/// Why `dir` can't be an episode at all, and what to give instead.
pub fn no_episode(dir: &Path) -> Option<String> {
    let name = dir.display();
    if dir.join(layout::MANIFEST).exists() {
        None
    } else if !dir.is_dir() {
        Some(format!("{name} is no folder: give the folder of an episode (eps_…)"))
    } else if dir.join(layout::OPEN).exists() {
        Some(format!(
            "{name} is not sealed yet: its robot does that at the end of the drive, or when it starts again"
        ))
    } else {
        Some(format!(
            "{name} is no episode (it has no {}): give the folder of an episode (eps_…)",
            layout::MANIFEST
        ))
    }
}

/// Verifies the episode in `dir` and opens it for exporting.
pub fn open(dir: &Path, options: &Options) -> anyhow::Result<Source> {
    if let Some(why) = no_episode(dir) {
        bail!(why);
    }
    let report = episode::verify(dir, options);
    let (None, Some(facts)) = (&report.failure, &report.episode) else {
        let why = report.failure.map(|failure| failure.to_string()).unwrap_or_default();
        bail!("{} does not verify: {why}", dir.display());
    };
    let envelope = episode::read_manifest(dir)?.context("there is no manifest")?;
    let manifest = episode::manifest::open(&envelope, &facts.robot_did)?;
    Ok(Source { dir: dir.to_owned(), envelope, manifest, report })
}
