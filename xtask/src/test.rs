//! `cargo xtask test`: every test, from pure cores to a real browser.

use crate::{progress, result, root, setup};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

/// Run every test.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only what needs no running system: units, properties, golden vectors, the cockpit's core
    #[arg(long)]
    quick: bool,
    /// Skip the measurement of the safety core's line coverage
    #[arg(long)]
    no_coverage: bool,
    /// Run only tests whose name contains this
    filter: Option<String>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    setup::test_packages()?;
    let web = setup::web()?;
    setup::npm_install(&root().join("tests/browser"))?;
    let python = setup::python()?;

    progress("cockpit: core and golden vectors");
    let web = web.parent().context("the cockpit's folder")?.to_owned();
    setup::run(Command::new("npm").args(["run", "--silent", "test"]).current_dir(web))?;

    setup::binaries()?;
    progress("Rust: units, properties, golden vectors, components");
    let mut command = cargo(&python);
    command.args(["test", "--workspace", "--exclude", "system-tests"]);
    command.args(args.filter.iter());
    setup::run(&mut command)?;
    if args.quick {
        return Ok(());
    }

    progress("the whole system: real processes, real browser, faults");
    let mut command = cargo(&python);
    // One stack at a time: they share two cores.
    command.args(["test", "--package", "system-tests"]).args(args.filter.iter());
    command.args(["--", "--test-threads", "1"]);
    setup::run(&mut command)?;

    if !args.no_coverage {
        coverage()?;
    }
    progress("all tests passed");
    Ok(())
}

fn cargo(python: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).env("LONGREIN_PYTHON", python);
    command
}

/// Version of the tool that measures coverage.
const TARPAULIN: &str = "0.37.5";

/// Measures line coverage of the safety core and fails below 100 %.
fn coverage() -> Result<()> {
    let tools = setup::target_dir().join("tools");
    let tarpaulin = tools.join("bin/cargo-tarpaulin");
    if !tarpaulin.exists() {
        progress("installing cargo-tarpaulin (once)");
        setup::run(
            Command::new("cargo")
                .args([
                    "install",
                    "--locked",
                    "--debug",
                    "cargo-tarpaulin",
                    "--version",
                    TARPAULIN,
                    "--root",
                ])
                .arg(&tools)
                .current_dir(root()),
        )?;
    }
    progress("line coverage of the safety core");
    let report = setup::target_dir().join("coverage");
    std::fs::create_dir_all(&report)?;
    setup::run(
        Command::new(&tarpaulin)
            .args(["tarpaulin", "--engine", "ptrace", "--packages", "agent-core"])
            .args(["--include-files", "robot-agent/core/src/*", "--exclude-files", "*/tests.rs"])
            .args([
                "--exclude-files",
                "robot-agent/core/src/**/tests/*",
                "--out",
                "Json",
                "--skip-clean",
            ])
            .arg("--output-dir")
            .arg(&report)
            .arg("--target-dir")
            .arg(setup::target_dir().join("tarpaulin"))
            .current_dir(root()),
    )?;
    let text = std::fs::read_to_string(report.join("tarpaulin-report.json"))?;
    let report: serde_json::Value = serde_json::from_str(&text)?;
    let (covered, coverable) = (&report["covered"], &report["coverable"]);
    result(&format!("safety core: {covered} of {coverable} lines covered"));
    ensure!(
        covered == coverable && coverable.as_u64().is_some_and(|n| n > 100),
        "the safety core must be covered whole: {covered} of {coverable} lines are; see {}",
        setup::target_dir().join("coverage").display()
    );
    Ok(())
}
