//! `cargo xtask fuzz`: everything that parses bytes from outside, for as long as one likes. The short run is part of
//! `cargo xtask test`.

use crate::{progress, result, root, setup};
use anyhow::Result;
use std::process::Command;

/// Crates with a test file `fuzz`: what reads packets, documents, DDS messages, recordings, and the core's own records.
const CRATES: &[&str] = &["protocol", "ros-msgs", "episode", "agent-core"];

/// Feed every parser of bytes from outside with mutated input.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long each target runs; as many at a time as there are cores
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// Only targets whose name contains this
    filter: Option<String>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    for name in CRATES {
        progress(&format!("{name}: {} min each", args.minutes));
        setup::run(
            Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
                .args(["test", "--quiet", "--package", name, "--test", "fuzz", "--"])
                .args(&args.filter)
                .arg("--nocapture")
                .env("LONGREIN_FUZZ_SECONDS", (args.minutes * 60).to_string())
                .current_dir(root()),
        )?;
    }
    result("nothing found");
    Ok(())
}
