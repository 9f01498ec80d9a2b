//! What the robot's drivers say about themselves (`/diagnostics`): for people, who are told when a part falls ill and when it
//! is well again. Nothing that drives depends on it.

use protocol::units::MonoMs;
use ros_msgs::diagnostic_msgs::{DiagnosticArray, DiagnosticStatus};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Parts that are remembered; more are left out.
const PARTS_MAX: usize = 64;
/// Characters of a name or a message that are kept.
const CHARS_MAX: usize = 160;
/// A part that has not been heard of for so long is forgotten.
const FORGOTTEN_MS: u64 = 30_000;

/// How a part does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Well.
    Ok,
    /// Not quite well.
    Warning,
    /// Its driver does not hear of it.
    Stale,
    /// Does not work.
    Error,
}

/// One part of the robot, as its driver sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// How it does.
    pub level: Level,
    /// What its driver says.
    pub message: String,
}

/// The newest word about each part.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    parts: BTreeMap<String, (MonoMs, Level, String)>,
}

fn level(level: u8) -> Level {
    match level {
        DiagnosticStatus::OK => Level::Ok,
        DiagnosticStatus::WARN => Level::Warning,
        DiagnosticStatus::STALE => Level::Stale,
        // Also what no driver should say.
        _ => Level::Error,
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(CHARS_MAX).collect()
}

impl Diagnostics {
    /// Takes note of a message; gives the parts whose level is another than before. A part that is well when it is first
    /// heard of is no news.
    pub(crate) fn take(&mut self, message: &DiagnosticArray, arrived: MonoMs) -> Vec<Part> {
        self.parts.retain(|_, (at, ..)| arrived.since(*at) <= FORGOTTEN_MS);
        let mut news = Vec::new();
        for status in &message.status {
            let name = short(&status.name);
            if self.parts.len() >= PARTS_MAX && !self.parts.contains_key(&name) {
                continue;
            }
            let (level, message) = (level(status.level), short(&status.message));
            let word = (arrived, level, message.clone());
            let before = self.parts.insert(name.clone(), word).map_or(Level::Ok, |word| word.1);
            if before != level {
                news.push(Part { name, level, message });
            }
        }
        news
    }

    /// Every part that is not well, the worst first.
    pub(crate) fn troubles(&self, now: MonoMs) -> Vec<Part> {
        let fresh = self
            .parts
            .iter()
            .filter(|(_, (at, level, _))| now.since(*at) <= FORGOTTEN_MS && *level != Level::Ok);
        let part = |(name, (_, level, message)): (&String, &(MonoMs, Level, String))| Part {
            name: name.clone(),
            level: *level,
            message: message.clone(),
        };
        let mut troubles: Vec<Part> = fresh.map(part).collect();
        troubles.sort_by_key(|part| std::cmp::Reverse(part.level));
        troubles
    }

    /// How many parts are known.
    pub(crate) fn known(&self) -> usize {
        self.parts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(diagnostics: &mut Diagnostics, ms: u64, parts: &[(&str, u8)]) -> Vec<(String, Level)> {
        let status = parts.iter().map(|(name, level)| DiagnosticStatus {
            name: (*name).to_owned(),
            level: *level,
            message: "words\nof its driver".to_owned(),
            ..DiagnosticStatus::default()
        });
        let message = DiagnosticArray { status: status.collect(), ..DiagnosticArray::default() };
        let news = diagnostics.take(&message, MonoMs(ms));
        news.into_iter().map(|part| (part.name, part.level)).collect()
    }

    fn names(diagnostics: &Diagnostics, ms: u64) -> Vec<String> {
        diagnostics.troubles(MonoMs(ms)).into_iter().map(|part| part.name).collect()
    }

    #[test]
    fn a_change_is_news_once() {
        let mut all = Diagnostics::default();
        assert_eq!(
            say(&mut all, 100, &[("motors", 0), ("lidar", 1)]),
            [("lidar".to_owned(), Level::Warning)]
        );
        assert!(say(&mut all, 200, &[("motors", 0), ("lidar", 1)]).is_empty());
        assert_eq!(say(&mut all, 300, &[("motors", 2)]), [("motors".to_owned(), Level::Error)]);
        assert_eq!(names(&all, 300), ["motors", "lidar"], "the worst first");
        assert_eq!(say(&mut all, 400, &[("motors", 0)]), [("motors".to_owned(), Level::Ok)]);
        assert_eq!(all.troubles(MonoMs(400))[0].message, "wordsof its driver");
        assert!(names(&all, 60_000).is_empty(), "forgotten");
        assert_eq!(say(&mut all, 60_000, &[("x", 77)]), [("x".to_owned(), Level::Error)]);
        assert_eq!(all.known(), 1);
    }

    #[test]
    fn a_flood_of_parts_fills_nothing() {
        let mut all = Diagnostics::default();
        for n in 0..1_000 {
            say(&mut all, 100, &[(&format!("part {n} {}", "x".repeat(5_000)), 2)]);
        }
        assert_eq!(all.known(), PARTS_MAX);
        assert!(names(&all, 100).iter().all(|name| name.chars().count() <= CHARS_MAX));
    }
}
