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
use episode::Options;
use lerobot::Source;
use std::path::Path;

/// Verifies the episode in `dir` and opens it for exporting.
pub fn open(dir: &Path, options: &Options) -> anyhow::Result<Source> {
    let report = episode::verify(dir, options);
    let (None, Some(facts)) = (&report.failure, &report.episode) else {
        let why = report.failure.map(|failure| failure.to_string()).unwrap_or_default();
        bail!("{} does not verify: {why}", dir.display());
    };
    let envelope = episode::read_manifest(dir)?.context("there is no manifest")?;
    let manifest = episode::manifest::open(&envelope, &facts.robot_did)?;
    Ok(Source { dir: dir.to_owned(), envelope, manifest, report })
}
