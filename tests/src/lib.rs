//! What only the system tests need beside a running stack ([`xtask::rig`]): drivers that are no browser, guests of the
//! message fabric, and a drive to be compared with itself.

mod driver;
pub mod guest;
mod turn;

pub use driver::Driver;
pub use guest::Guest;
pub use turn::Turn;
pub use xtask::rig::{Pilot, Rig, Stop, accepted_episode, fresh, mono_ms};

use anyhow::Result;
use std::io::Write as _;

/// Writes a measured stop where `cargo xtask test` finds it for its table.
pub fn note_stop(fault: &str, stop: Stop) -> Result<()> {
    let path = xtask::test::stops_file();
    let mut file = std::fs::File::options().create(true).append(true).open(path)?;
    let line = serde_json::json!({
        "fault": fault, "commanded_ms": stop.commanded_ms, "at_rest_ms": stop.at_rest_ms,
        "speed_mps": stop.speed_mps,
    });
    writeln!(file, "{line}")?;
    Ok(())
}
