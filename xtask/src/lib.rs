//! The front door of the repository: `cargo xtask demo|check|test|bench|deb`.
//!
//! A library as well, because the system tests start the same stack of real processes as the demo does.

pub mod bench;
pub mod browser;
pub mod check;
pub mod deb;
pub mod demo;
pub mod faults;
pub mod fleet;
pub mod fuzz;
pub mod lan;
pub mod mutants;
pub mod netem;
pub mod process;
pub mod rig;
pub mod robots;
pub mod setup;
pub mod stack;
pub mod test;
pub mod tidy;

use std::path::{Path, PathBuf};

/// The repository's root folder.
pub fn root() -> PathBuf {
    // Cargo says at run time which checkout it runs for. What was compiled in may be another one that shares its target
    // folder; it serves programs that Cargo did not start.
    let compiled = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let running = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let mut above = running.iter().chain([&compiled]).flat_map(|package| package.ancestors());
    let root = above.find(|folder| folder.join("xtask/Cargo.toml").exists());
    root.map_or_else(PathBuf::new, Path::to_path_buf)
}

/// One line of progress on standard error; standard output is for results.
#[expect(clippy::print_stderr, reason = "the one place where progress is written")]
pub fn progress(text: &str) {
    eprintln!("\x1b[36m==>\x1b[0m {text}");
}

/// Why a command failed, with its chain of causes, on standard error.
#[expect(clippy::print_stderr, reason = "the one place where failures are written")]
pub fn failure(error: &anyhow::Error) {
    eprintln!("\x1b[31merror:\x1b[0m {error:#}");
}

/// One line of a result on standard output.
#[expect(clippy::print_stdout, reason = "the one place where results are written")]
pub fn result(text: &str) {
    println!("{text}");
}
