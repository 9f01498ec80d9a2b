//! A real headless browser that drives as a pilot would, through the page.

use crate::{root, setup};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Which browser the pilot has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Browser {
    /// Chromium, with H.264.
    #[default]
    Chromium,
    /// Firefox as Debian has it, without H.264.
    Firefox,
}

/// What the headless pilot is to do.
#[derive(Debug, Clone, Default)]
pub struct Drive<'a> {
    /// Invitation link.
    pub join_url: &'a str,
    /// The mission to take.
    pub mission: &'a str,
    /// Folder for screenshots; none are made without.
    pub screenshots: Option<&'a Path>,
    /// Further arguments of the script.
    pub more: &'a [&'a str],
    /// With what.
    pub browser: Browser,
}

/// Starts the headless pilot. Its last line on standard output is one JSON object.
pub fn start(drive: &Drive<'_>) -> Result<Child> {
    let folder = root().join("tests/browser");
    let browser = match drive.browser {
        Browser::Chromium => setup::chromium()?,
        Browser::Firefox => setup::firefox()?,
    };
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "node", "headless-pilot.mjs", "--browser"])
        .arg(browser)
        .args(["--join", drive.join_url, "--mission", drive.mission])
        .args(drive.more)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    if let Some(screenshots) = drive.screenshots {
        command.arg("--screenshots").arg(screenshots);
    }
    command.spawn().context("cannot start the headless pilot (node)")
}

/// Waits for the headless pilot and returns what it reports.
pub fn finish(child: Child) -> Result<Value> {
    let out = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    ensure!(out.status.success(), "the headless pilot failed ({}): {text}", out.status);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("the headless pilot said {text:?}"))
}
