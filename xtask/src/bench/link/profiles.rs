//! The profiles as the relay itself describes them.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

/// A profile, and what the benchmark needs to know of it.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) name: String,
    pub(super) words: String,
    pub(super) seconds: u64,
    /// When what the profile is about happens, and when it is over, ms since the profile's beginning.
    pub(super) trouble_ms: Option<(u64, u64)>,
    /// Whether the way was cut: the robot must stop.
    pub(super) cuts: bool,
}

/// All of them.
pub(super) fn all(bin: &Path) -> Result<Vec<Profile>> {
    let netem = bin.join("netem");
    let say = |args: &[&str]| -> Result<String> {
        let out = Command::new(&netem).args(args).output().context("netem")?;
        ensure!(out.status.success(), "netem: {}", String::from_utf8_lossy(&out.stderr));
        Ok(String::from_utf8(out.stdout)?)
    };
    let list = say(&["--list"])?;
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    names.map(|name| profile(&say(&["--profile", name, "--show"])?)).collect()
}

fn profile(text: &str) -> Result<Profile> {
    let table: toml::Table = toml::from_str(text).context("a profile of netem")?;
    let whole = |value: Option<&toml::Value>| {
        value.and_then(toml::Value::as_integer).and_then(|n| u64::try_from(n).ok())
    };
    let word =
        |key: &str| table.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    let list = |value: Option<&toml::Value>| {
        value.and_then(toml::Value::as_array).cloned().unwrap_or_default()
    };
    let outage = list(table.get("outages")).first().and_then(|outage| {
        let at_ms = whole(outage.get("at_ms"))?;
        Some((at_ms, at_ms + whole(outage.get("for_ms"))?))
    });
    let change = list(table.get("address_changes")).first().and_then(|change| {
        let at_ms = whole(change.get("at_ms"))?;
        Some((at_ms, at_ms))
    });
    let rate = table.get("to_driver").and_then(|path| path.get("rate"));
    let steps = list(rate.and_then(|rate| rate.get("steps")));
    let step_ms = |n: usize| steps.get(n).and_then(|step| whole(step.get("at_ms")));
    Ok(Profile {
        name: word("name"),
        words: word("words"),
        seconds: whole(table.get("seconds")).unwrap_or(30),
        trouble_ms: outage.or(change).or_else(|| step_ms(1).zip(step_ms(2))),
        cuts: outage.is_some(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn clean_lan() -> Profile {
        profile("name = \"clean-lan\"\nseconds = 30").unwrap()
    }

    #[test]
    fn what_happens_in_a_profile_is_found_wherever_it_stands() {
        let steps = "[to_driver.rate]\nsteps = [{at_ms = 0, kbps = 4000}, {at_ms = 15000, kbps = 600}, {at_ms = 40000, kbps = 4000}]";
        let cut = "[[outages]]\nat_ms = 12000\nfor_ms = 3000";
        let moved = "[[address_changes]]\nat_ms = 12000\nof = \"driver\"";
        let of = |text: &str| {
            let profile = profile(&format!("name = \"x\"\nseconds = 35\n{text}")).unwrap();
            (profile.trouble_ms, profile.cuts)
        };
        assert_eq!(of(steps), (Some((15_000, 40_000)), false));
        assert_eq!(of(cut), (Some((12_000, 15_000)), true));
        assert_eq!(of(moved), (Some((12_000, 12_000)), false));
        assert_eq!(of(""), (None, false));
    }
}
