//! What was found: for people as a table, for machines as JSON.

use serde::Serialize;
use std::fmt::Write;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Ok,
    /// It works, but not as well as it should.
    Warning,
    /// It does not work.
    Failed,
    /// It was not or could not be checked: what was found says why.
    NotChecked,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Check {
    pub(crate) area: &'static str,
    pub(crate) what: String,
    pub(crate) verdict: Verdict,
    pub(crate) found: String,
    /// What to do.
    pub(crate) advice: Option<String>,
    /// What was measured, by names that carry units.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub(crate) data: serde_json::Map<String, serde_json::Value>,
}

impl Check {
    fn new(
        verdict: Verdict,
        area: &'static str,
        what: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        let (what, found) = (what.into(), found.into());
        Self { area, what, verdict, found, advice: None, data: serde_json::Map::new() }
    }

    pub(crate) fn ok(
        area: &'static str,
        what: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::new(Verdict::Ok, area, what, found)
    }

    pub(crate) fn failed(
        area: &'static str,
        what: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { advice: Some(advice.into()), ..Self::new(Verdict::Failed, area, what, found) }
    }

    pub(crate) fn warning(
        area: &'static str,
        what: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { advice: Some(advice.into()), ..Self::new(Verdict::Warning, area, what, found) }
    }

    /// Not or could not be checked, and why.
    pub(crate) fn not_checked(
        area: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self::new(Verdict::NotChecked, area, what, why)
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.data.insert(name.to_owned(), value.into());
        self
    }
}

/// Everything that was found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) checks: Vec<Check>,
}

impl Report {
    pub(crate) fn count(&self, verdict: Verdict) -> usize {
        self.checks.iter().filter(|check| check.verdict == verdict).count()
    }

    /// Whether the robot can work: nothing failed.
    pub(crate) fn well(&self) -> bool {
        self.count(Verdict::Failed) == 0
    }

    pub(crate) fn json(&self) -> String {
        let all = serde_json::json!({
            "version": 1,
            "agent": env!("CARGO_PKG_VERSION"),
            "ok": self.well(),
            "failed": self.count(Verdict::Failed),
            "warnings": self.count(Verdict::Warning),
            "not_checked": self.count(Verdict::NotChecked),
            "checks": self.checks,
        });
        serde_json::to_string_pretty(&all).unwrap_or_default()
    }

    /// A table; with `colour` for a terminal.
    pub(crate) fn table(&self, colour: bool) -> String {
        let width = |text: fn(&Check) -> &str| {
            self.checks.iter().map(|check| text(check).chars().count()).max().unwrap_or(0)
        };
        let (areas, whats) = (width(|check| check.area), width(|check| &check.what));
        let mut text = String::new();
        let mut area = "";
        for check in &self.checks {
            let shown = if check.area == area { "" } else { check.area };
            area = check.area;
            let mark = mark(check.verdict, colour);
            // Writing to a string does not fail.
            _ = writeln!(text, "{mark}  {shown:areas$}  {:whats$}  {}", check.what, check.found);
            if let Some(advice) = &check.advice {
                _ = writeln!(text, "{:6}{:areas$}  {:whats$}  → {advice}", "", "", "");
            }
        }
        _ = write!(
            text,
            "\nok: {}, warnings: {}, failed: {}, not checked: {}. {}",
            self.count(Verdict::Ok),
            self.count(Verdict::Warning),
            self.count(Verdict::Failed),
            self.count(Verdict::NotChecked),
            if self.well() { "This robot can work" } else { "Mend what failed" },
        );
        text
    }
}

/// Four columns, told apart without colour, too.
fn mark(verdict: Verdict, colour: bool) -> String {
    let (word, code) = match verdict {
        Verdict::Ok => ("ok  ", 32),
        Verdict::Warning => ("warn", 33),
        Verdict::Failed => ("FAIL", 31),
        Verdict::NotChecked => ("–   ", 2),
    };
    if colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failure_is_a_failure_and_colour_is_only_for_a_terminal() {
        let mut report = Report::default();
        report.checks.push(Check::ok("key", "file", "mode 0600"));
        report.checks.push(Check::warning("key", "age", "old", "make a new one"));
        report.checks.push(Check::not_checked("server", "QUIC", "not configured"));
        assert!(report.well());
        report.checks.push(Check::failed("server", "TCP", "refused", "check it").with("rtt_ms", 3));
        assert!(!report.well());
        let table = report.table(false);
        for line in ["→ make a new one", "FAIL          TCP   refused", "→ check it"] {
            assert!(table.contains(line), "{table}");
        }
        assert!(!table.contains('\x1b') && report.table(true).contains('\x1b'));
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!((&json["ok"], &json["failed"]), (&false.into(), &1.into()));
        assert_eq!(json["checks"][3]["data"]["rtt_ms"], 3);
        assert_eq!(json["checks"][2]["verdict"], "not_checked");
    }
}
