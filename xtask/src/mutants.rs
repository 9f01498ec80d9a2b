//! `cargo xtask mutants`: changes the safety core in hundreds of small ways, one at a time, and looks whether its tests
//! notice. A change that they do not notice is a rule that nothing holds.

use crate::{progress, result, root, setup};
use anyhow::{Result, bail, ensure};
use std::process::Command;

/// Version of the tool.
const CARGO_MUTANTS: &str = "27.0.0";
/// Exit status of the tool when a mutant survived, and when one made the tests hang.
const SURVIVED: i32 = 2;
const HUNG: i32 = 3;

/// Look whether the safety core's tests notice when it is changed (an hour or more on two cores).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only the n-th of so many parts, for example 1/8 (from 0): for several machines, or several evenings
    #[arg(long)]
    shard: Option<String>,
    /// Only this file of the core, for example src/governor.rs; may stand several times
    #[arg(long)]
    file: Vec<String>,
    /// Mutants that are tested at the same time
    #[arg(long, default_value_t = 1)]
    jobs: u32,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let tool = setup::cargo_tool("cargo-mutants", CARGO_MUTANTS)?;
    let output = setup::target_dir().join("mutants");
    std::fs::create_dir_all(&output)?;
    progress("mutants of the safety core");
    let mut command = Command::new(tool);
    command
        .args(["mutants", "--package", "agent-core", "--no-shuffle", "--colors", "never"])
        // The tests of one step of one mutant take a few seconds; a loop without an end takes for ever.
        .args(["--timeout", "60", "--profile", "mutants", "--jobs", &args.jobs.to_string()])
        .arg("--config")
        .arg(root().join("robot-agent/core/mutants.toml"))
        .arg("--output")
        .arg(&output)
        .env("LONGREIN_MUTANTS", "1")
        .current_dir(root());
    if let Some(shard) = &args.shard {
        command.args(["--shard", shard]);
    }
    for file in &args.file {
        command.args(["--file", &format!("robot-agent/core/{file}")]);
    }
    let status = command.status()?;
    let report = output.join("mutants.out");
    match status.code() {
        Some(0) => {}
        Some(SURVIVED | HUNG) => bail!(
            "some mutants survived: see missed.txt and timeout.txt in {}; write the test that notices each, or, where it \
             changes nothing, say why in robot-agent/core/mutants.toml",
            report.display()
        ),
        _ => ensure!(status.success(), "cargo-mutants: {status}"),
    }
    result("no mutant of the safety core survived that is not explained");
    Ok(())
}
