//! `cargo xtask check`: what must hold before anything is tested.

use crate::setup;
use crate::{progress, root, tidy};
use anyhow::Result;
use std::process::Command;

/// Format, lints, dependency direction, types, documentation.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Mend what can be mended by itself (format) instead of reporting it
    #[arg(long)]
    fix: bool,
}

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// Runs every check; the first that fails ends it.
pub fn run_all(fix: bool) -> Result<()> {
    setup::system_packages()?;
    progress("repository rules");
    tidy::run()?;
    progress("format");
    setup::run(&mut cargo(if fix { &["fmt", "--all"] } else { &["fmt", "--all", "--check"] }))?;
    progress("lints");
    setup::run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))?;
    progress("documentation");
    setup::run(
        cargo(&["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "--deny warnings"),
    )?;
    progress("cockpit: types, lints, format");
    let web = root().join("pilot-gateway/web");
    setup::npm_install(&web)?;
    setup::run(
        Command::new("npm")
            .args(["run", "--silent", if fix { "fix" } else { "check" }])
            .current_dir(&web),
    )?;
    progress("all checks passed");
    Ok(())
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    run_all(args.fix)
}
