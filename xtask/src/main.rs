//! `cargo xtask`: see `cargo xtask --help`.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Longrein's front door: run the demo, check and test the code, measure it.
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything on this machine with a simulated robot, ready to drive at a printed URL
    Demo(xtask::demo::Args),
    /// Format, lints, dependency direction, types, docs: what CI checks before it tests
    Check(xtask::check::Args),
    /// Run every test: units, properties, golden vectors, coverage of the safety core, real processes, browser
    Test(xtask::test::Args),
    /// Measure, beside peers, and print a table
    Bench(xtask::bench::Args),
    /// Break things in the middle of a drive, one after the other, and print how the robot came to rest
    Faults(xtask::faults::Args),
    /// Build the Debian package of the robot's agent
    Deb(xtask::deb::Args),
    /// Look whether the safety core's tests notice when it is changed (long)
    Mutants(xtask::mutants::Args),
    /// Feed every parser of bytes from outside with mutated input (as long as you say)
    Fuzz(xtask::fuzz::Args),
    /// Install what the commands above need (they do it by themselves): system, npm and Python packages
    Setup,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo(args) => xtask::demo::run(&args),
        Command::Check(args) => xtask::check::run(&args),
        Command::Test(args) => xtask::test::run(&args),
        Command::Bench(args) => xtask::bench::run(&args),
        Command::Faults(args) => xtask::faults::run(&args),
        Command::Deb(args) => xtask::deb::run(&args),
        Command::Mutants(args) => xtask::mutants::run(&args),
        Command::Fuzz(args) => xtask::fuzz::run(&args),
        Command::Setup => xtask::setup::everything(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            xtask::failure(&error);
            ExitCode::FAILURE
        }
    }
}
