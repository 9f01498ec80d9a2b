//! `cargo xtask bench`.

use anyhow::Result;

/// Measure beside peers.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print a list of {id, unit, p50, p99 or value, peers, bar, holds} instead of a table
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(_args: &Args) -> Result<()> {
    Ok(())
}
