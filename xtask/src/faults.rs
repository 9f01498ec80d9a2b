//! `cargo xtask faults`: break things in the middle of a drive, and measure how the robot comes to rest.
//!
//! Real processes, a real Chromium that holds the keys, the robot at top speed. Times are from the fault, in the simulator's
//! own trace; what the pilot saw is what the cockpit's page showed.

mod kind;
mod scene;
mod tools;

pub use kind::{Design, Fault};
pub use scene::{Outcome, Scene, inflict};
pub use tools::{Clock, Network, can};

use crate::{progress, result, root, setup};
use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde_json::{Value, json};

/// Break things in the middle of a drive.
///
/// For each fault: how long until the wheels were told to stop (or the base timed out by itself), how long until the robot
/// stood, what the cockpit told its driver, and whether the fleet accepted the episode. Fails when a bound of the design is
/// missed, when the robot moves again by itself, or when an episode is lost.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print a list of {fault, commanded_stop_ms, at_rest_ms, pilot_saw, episode_ok, …} instead of a table
    #[arg(long)]
    json: bool,
    /// Make only this fault; may be given several times
    #[arg(long, value_name = "FAULT")]
    only: Vec<Fault>,
    /// List the faults
    #[arg(long)]
    list: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    if args.list {
        for fault in Fault::value_variants() {
            result(&format!("{:<27}{}", fault.name(), fault.words()));
        }
        return Ok(());
    }
    setup::test_packages()?;
    setup::npm_install(&root().join("tests/browser"))?;
    tools::undo_on_interrupt()?;
    let faults = if args.only.is_empty() { Fault::value_variants() } else { &args.only };
    let mut rows = Vec::new();
    for (number, fault) in faults.iter().enumerate() {
        progress(&format!(
            "{} of {}: {}: {}",
            number + 1,
            faults.len(),
            fault.name(),
            fault.words()
        ));
        let row = one(*fault);
        progress(&line(&row));
        rows.push(row);
    }
    if args.json {
        result(&serde_json::to_string_pretty(&rows)?);
    } else {
        table(&rows);
    }
    let missed: Vec<_> =
        rows.iter().filter(|row| row["holds"] == false).map(|row| text(&row["fault"])).collect();
    ensure!(missed.is_empty(), "not as the design says: {}", missed.join(", "));
    Ok(())
}

fn one(fault: Fault) -> Value {
    if let Err(why) = tools::can(fault) {
        let why = format!("{why:#}");
        // Where everything is meant to be there, what can't be made is a failure.
        let holds = if std::env::var_os("CI").is_some() { json!(false) } else { Value::Null };
        return json!({"fault": fault.name(), "skipped": why, "holds": holds});
    }
    match inflict(fault) {
        Ok(outcome) => outcome.json(),
        Err(error) => {
            json!({"fault": fault.name(), "error": format!("{error:#}"), "holds": false})
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn line(row: &Value) -> String {
    let head = format!("{:<27}", text(&row["fault"]));
    if let Some(why) = row["error"].as_str().or(row["skipped"].as_str()) {
        let what = if row["skipped"].is_null() { "FAILED" } else { "SKIPPED" };
        return format!("{head}{what}: {why}");
    }
    let ms = |value: &Value| value.as_u64().map_or_else(|| "–".to_owned(), |ms| format!("{ms} ms"));
    let misses: Vec<_> = row["misses"].as_array().into_iter().flatten().map(text).collect();
    let saw = row["pilot_saw"].as_str().unwrap_or("nothing: the page is gone");
    format!(
        "{head}{:>14}{:>11}  {:<9}{saw}{}",
        if row["drives_on"] == true {
            "drives on".to_owned()
        } else {
            ms(&row["commanded_stop_ms"])
        },
        ms(&row["at_rest_ms"]),
        if row["episode_ok"] == true { "accepted" } else { "LOST" },
        if misses.is_empty() { String::new() } else { format!("  MISSED: {}", misses.join("; ")) },
    )
}

fn table(rows: &[Value]) {
    result(&format!(
        "{:<27}{:>14}{:>11}  {:<9}{}",
        "fault", "commanded", "at rest", "episode", "the pilot saw"
    ));
    for row in rows {
        result(&line(row));
    }
}
