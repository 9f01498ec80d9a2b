//! One drive for every stack: what the camera of our own saw over a profile, the cameras of the others see again, so that all have the
//! same pictures to send.

use super::{Place, Stack, wall_less_mono_ms};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Our own drive over a profile, and from where each of its pictures was filmed.
#[derive(Debug)]
pub(super) struct Filmed {
    /// When its profile began, ms since the Unix epoch.
    pub(super) begun_wall_ms: f64,
    drawn: PathBuf,
}

impl Filmed {
    /// That of an earlier measurement, which must have had the same time and the same chance.
    pub(super) fn of(place: &Place<'_>) -> Result<Self> {
        let name = format!("{}.{}", place.profile.name, Stack::Longrein.name());
        let drawn = place.kept.join(format!("{name}.d/drawn.jsonl"));
        let own: Option<Value> = std::fs::read(place.kept.join(format!("{name}.json")))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let same = |own: &Value| {
            own["seed"] == place.seed && own["seconds"].as_u64() >= Some(place.seconds)
        };
        let own = own.filter(|own| same(own) && drawn.exists()).with_context(|| {
            format!(
                "it films what our own stack filmed, and there is no such drive of {} s with seed {}: measure \
                 `--stack longrein` in the same run, or before it",
                place.seconds, place.seed
            )
        })?;
        let begun_wall_ms = own["begun_wall_ms"].as_f64().context("when our own drive began")?;
        Ok(Self { begun_wall_ms, drawn })
    }

    /// Lets a simulator with `--replay FILE` see at `begins_ms`, a monotonic time, what was seen when that drive's profile began.
    pub(super) fn show(&self, begins_ms: u64, file: &Path) -> Result<()> {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
        let later_us = (begins_ms as f64 + wall_less_mono_ms() - self.begun_wall_ms) * 1e3;
        let drawn = std::fs::read_to_string(&self.drawn).context("what our own drive filmed")?;
        let moved = moved(&drawn, later_us);
        ensure!(!moved.is_empty(), "our own drive filmed nothing: {}", self.drawn.display());
        // The simulator may look at any moment, and must find it whole.
        let unfinished = file.with_extension("part");
        std::fs::write(&unfinished, moved)?;
        std::fs::rename(&unfinished, file).context("what is to be filmed")
    }
}

/// The same lines at other times.
fn moved(drawn: &str, later_us: f64) -> String {
    let mut moved = String::new();
    // A drive that was cut off may end within a line.
    for mut line in drawn.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let Some(us) = line["us"].as_f64() else { continue };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a time of today"
        )]
        let us = (us + later_us) as u64;
        line["us"] = us.into();
        moved.push_str(&format!("{line}\n"));
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_is_filmed_again_at_its_new_times() {
        let drawn = "{\"us\":1000,\"x\":1.5}\n{\"us\":34000,\"x\":1.6}\n{\"us\":67";
        assert_eq!(moved(drawn, 500.0), "{\"us\":1500,\"x\":1.5}\n{\"us\":34500,\"x\":1.6}\n");
        assert_eq!(moved("", 500.0), "");
    }
}
