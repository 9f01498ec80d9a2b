//! From where each front picture was drawn: written down, to draw it once more, and shown again, to film the same twice.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sim::{Pose, Scene};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// One line of the file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Line {
    /// The time in the picture, microseconds since the Unix epoch.
    us: u64,
    x: f64,
    y: f64,
    heading_rad: f64,
    ground_m: f64,
}

/// All that decides what an empty street looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Seen {
    pub(crate) pose: Pose,
    pub(crate) ground_m: f64,
}

impl From<Line> for Seen {
    fn from(Line { x, y, heading_rad, ground_m, .. }: Line) -> Self {
        Self { pose: Pose { x, y, heading_rad }, ground_m }
    }
}

/// The file while it is written.
#[derive(Debug)]
pub(crate) struct DrawnLog<W = File> {
    file: W,
    failed: bool,
}

impl DrawnLog {
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let file =
            File::create(path).with_context(|| format!("could not write {}", path.display()))?;
        Ok(Self { file, failed: false })
    }
}

impl<W: Write> DrawnLog<W> {
    /// Adds a picture. A line that cannot be written is missing, which is said once: the camera goes on.
    pub(crate) fn add(&mut self, us: u64, scene: &Scene) {
        let Pose { x, y, heading_rad } = scene.pose;
        let line = Line { us, x, y, heading_rad, ground_m: scene.ground_m };
        let written =
            serde_json::to_vec(&line).map_err(std::io::Error::from).and_then(|mut line| {
                line.push(b'\n');
                self.file.write_all(&line)
            });
        if let (Err(error), false) = (&written, self.failed) {
            tracing::warn!("what was drawn is not written down: {error}");
        }
        self.failed = written.is_err();
    }
}

fn lines(text: &str) -> impl Iterator<Item = Line> {
    // The last line of a simulator that was killed may be half written.
    text.lines().filter_map(|line| serde_json::from_str(line).ok())
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))
}

/// The file as it was written: what was seen, by the time in the picture.
pub(crate) fn read_log(path: &Path) -> anyhow::Result<BTreeMap<u64, Seen>> {
    Ok(lines(&read(path)?).map(|line| (line.us, line.into())).collect())
}

/// How often a file that is not there yet is looked for, microseconds.
const LOOK_EVERY_US: u64 = 100_000;

/// What was seen at another time, to be seen again from when its file is there.
#[derive(Debug)]
pub(crate) struct Replay {
    path: PathBuf,
    seen: BTreeMap<u64, Seen>,
    look_at_us: u64,
}

impl Replay {
    pub(crate) const fn of(path: PathBuf) -> Self {
        Self { path, seen: BTreeMap::new(), look_at_us: 0 }
    }

    /// Puts the robot where it was then.
    pub(crate) fn show(&mut self, wall_us: u64, scene: &mut Scene) {
        if self.seen.is_empty() && wall_us >= self.look_at_us {
            self.look_at_us = wall_us + LOOK_EVERY_US;
            self.look();
        }
        let then = self.seen.range(..=wall_us).next_back().or_else(|| self.seen.first_key_value());
        if let Some((_, seen)) = then {
            (scene.pose, scene.ground_m) = (seen.pose, seen.ground_m);
        }
    }

    /// A file that is not there, or tells of nothing, may do so later.
    fn look(&mut self) {
        self.seen = read_log(&self.path).unwrap_or_default();
        if !self.seen.is_empty() {
            tracing::info!("the cameras see what {} tells of", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(x: f64) -> Scene {
        Scene { pose: Pose { x, y: 17.0, heading_rad: 0.1 }, ground_m: -0.12, people: Vec::new() }
    }

    #[test]
    fn what_was_drawn_is_seen_again_at_its_time() {
        let mut log = DrawnLog { file: Vec::new(), failed: false };
        log.add(1_000, &scene(72.0));
        log.add(34_000, &scene(72.05));
        let text = String::from_utf8(log.file).unwrap();
        assert_eq!(text.lines().count(), 2);
        let path = std::env::temp_dir().join(format!("longrein-drawn-{}", std::process::id()));
        let mut replay = Replay::of(path.clone());
        let mut early = scene(5.0);
        replay.show(0, &mut early);
        assert_eq!(early.pose.x, 5.0, "no file yet: the world as it is");
        std::fs::write(&path, text).unwrap();
        replay.show(LOOK_EVERY_US - 1, &mut early);
        assert_eq!(early.pose.x, 5.0, "it is not looked for all the time");
        let mut first = scene(5.0);
        replay.show(LOOK_EVERY_US, &mut first);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(first.pose.x, 72.05);
        for (us, x) in [(0, 72.0), (1_000, 72.0), (33_999, 72.0), (34_000, 72.05), (99_000, 72.05)]
        {
            let mut shown = Scene { ground_m: 0.0, ..scene(0.0) };
            replay.show(us, &mut shown);
            assert_eq!((shown.pose.x, shown.ground_m), (x, -0.12), "at {us}");
        }
    }

    #[test]
    fn half_a_line_is_none() {
        let text =
            "{\"us\":1,\"x\":1.0,\"y\":2.0,\"heading_rad\":0.0,\"ground_m\":0.0}\n{\"us\":2,\"x";
        assert_eq!(lines(text).count(), 1);
    }
}
