//! `cargo xtask test`: every test, from pure cores to a real browser.

use crate::process::{Process, wait_for};
use crate::stack::free_port;
use crate::{deb, progress, result, root, setup};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
    setup::run(Command::new("npm").args(["run", "--silent", "test"]).current_dir(&web))?;

    let programs = setup::binaries()?;
    progress("building the tests");
    let tests = build()?;
    let (system, others): (Vec<TestProgram>, Vec<TestProgram>) =
        tests.into_iter().partition(|test| test.package == "system-tests");
    progress("Rust: units, properties, golden vectors, components");
    for test in &others {
        test.run(&python, args.filter.as_deref(), &[])?;
    }
    setup::run(&mut cargo(&["test", "--workspace", "--doc", "--quiet"]))?;
    if args.quick {
        return Ok(());
    }
    if args.filter.is_none() {
        deb::test(&programs.join("robot-agent"))?;
    }
    if args.filter.as_deref().is_none_or(|filter| ACCESSIBLE.contains(filter)) {
        accessible(&web)?;
    }
    progress("the whole system: real processes, real browser, faults");
    drop(std::fs::remove_file(stops_file()));
    for test in &system {
        // One stack at a time: they share two cores.
        test.run(&python, args.filter.as_deref(), &["--test-threads", "1"])?;
    }
    stops()?;
    if !args.no_coverage {
        coverage()?;
    }
    progress("all tests passed");
    Ok(())
}

/// What a filter calls the look at the cockpit's pages.
const ACCESSIBLE: &str = "accessible";
const VITE_WITHIN_S: u64 = 30;

/// Looks at every page of the cockpit's fake world in a real browser: can everybody use it, and does it fit the screen?
fn accessible(web: &Path) -> Result<()> {
    progress("cockpit: every page for everybody, at the size of a desk and of a phone");
    let out = setup::target_dir().join("accessible");
    std::fs::create_dir_all(&out)?;
    let port = free_port()?;
    let vite = web.join("node_modules/.bin/vite");
    let args = [
        web.to_str().context("the cockpit's folder")?,
        "--mode",
        "mock",
        "--port",
        &port.to_string(),
        "--strictPort",
    ];
    let args = args.map(str::to_owned);
    let mut served = Process::start("vite", &vite, &args, out.join("vite.log"))?;
    let up = || TcpStream::connect(("127.0.0.1", port)).is_ok().then_some(());
    wait_for("serving the cockpit's fake world", VITE_WITHIN_S, || {
        served.check()?;
        Ok(up())
    })?;
    setup::run(
        Command::new("node")
            .args(["accessible.mjs", "--url", &format!("http://127.0.0.1:{port}/"), "--chromium"])
            .arg(setup::chromium()?)
            .arg("--screenshots")
            .arg(&out)
            .current_dir(root().join("tests/browser")),
    )
}

/// Where the fault tests note how the robot came to rest, one JSON object a line.
pub fn stops_file() -> PathBuf {
    setup::target_dir().join("system-tests/stops.jsonl")
}

/// Prints how the robot came to rest in each fault.
fn stops() -> Result<()> {
    let Ok(text) = std::fs::read_to_string(stops_file()) else { return Ok(()) };
    result("fault                stop commanded     at rest    speed at the fault");
    for line in text.lines() {
        let stop: Value = serde_json::from_str(line)?;
        result(&format!(
            "{:<20}{:>12} ms{:>9} ms{:>15.2} m/s",
            stop["fault"].as_str().unwrap_or_default(),
            stop["commanded_ms"],
            stop["at_rest_ms"],
            stop["speed_mps"].as_f64().unwrap_or_default(),
        ));
    }
    Ok(())
}

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// A built test program.
struct TestProgram {
    package: String,
    folder: PathBuf,
    program: PathBuf,
}

impl TestProgram {
    fn run(&self, python: &Path, filter: Option<&str>, more: &[&str]) -> Result<()> {
        let name = self.program.file_stem().unwrap_or_default().to_string_lossy();
        progress(&format!("{}: {name}", self.package));
        setup::run(
            Command::new(&self.program)
                .args(filter)
                .args(more)
                .current_dir(&self.folder)
                .env("LONGREIN_PYTHON", python),
        )
    }
}

/// Builds all tests at once, so that every program is built with the same features as for the demo.
fn build() -> Result<Vec<TestProgram>> {
    let out =
        cargo(&["test", "--workspace", "--no-run", "--message-format", "json-render-diagnostics"])
            .stderr(Stdio::inherit())
            .output()?;
    ensure!(out.status.success(), "the tests do not build");
    let mut tests = Vec::new();
    for line in out.stdout.split(|&b| b == b'\n').filter(|line| line.starts_with(b"{")) {
        let message: Value = serde_json::from_slice(line)?;
        let (Some(program), true) =
            (message["executable"].as_str(), message["profile"]["test"] == true)
        else {
            continue;
        };
        let manifest =
            Path::new(message["manifest_path"].as_str().context("a test without a manifest")?);
        let folder = manifest.parent().context("a manifest without a folder")?.to_owned();
        let text = std::fs::read_to_string(manifest)?;
        let manifest: toml::Table = toml::from_str(&text)?;
        let package = manifest["package"]["name"].as_str().unwrap_or_default().to_owned();
        tests.push(TestProgram { package, folder, program: program.into() });
    }
    ensure!(!tests.is_empty(), "cargo built no test");
    Ok(tests)
}

/// Version of the tool that measures coverage.
const TARPAULIN: &str = "0.37.5";

/// Measures line coverage of the safety core and fails below 100 %.
fn coverage() -> Result<()> {
    let tarpaulin = setup::cargo_tool("cargo-tarpaulin", TARPAULIN)?;
    progress("line coverage of the safety core");
    let report = setup::target_dir().join("coverage");
    std::fs::create_dir_all(&report)?;
    let mut command = Command::new(&tarpaulin);
    command
        .args(["tarpaulin", "--engine", "ptrace", "--packages", "agent-core", "--skip-clean"])
        .args(["--include-files", "robot-agent/core/src/*", "--out", "Json", "--output-dir"])
        .arg(&report)
        .arg("--target-dir")
        .arg(setup::target_dir().join("tarpaulin"))
        .current_dir(root());
    // Inlined code has no line of its own to stop at: without this, covered lines count as missed.
    for profile in ["DEV", "TEST"] {
        command.env(format!("CARGO_PROFILE_{profile}_OPT_LEVEL"), "0");
        command.env(format!("CARGO_PROFILE_{profile}_DEBUG"), "2");
    }
    setup::run(&mut command)?;
    let text = std::fs::read_to_string(report.join("tarpaulin-report.json"))?;
    let report: Value = serde_json::from_str(&text)?;
    let (covered, coverable) = (&report["covered"], &report["coverable"]);
    result(&format!("safety core: {covered} of {coverable} lines covered"));
    ensure!(
        covered == coverable && coverable.as_u64().is_some_and(|n| n > 100),
        "the safety core must be covered whole: {covered} of {coverable} lines are; see {}",
        setup::target_dir().join("coverage").display()
    );
    Ok(())
}
