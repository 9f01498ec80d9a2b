//! Rules of the repository that no compiler knows. Each message says what to do instead.

use crate::root;
use anyhow::{Result, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Which of our crates may depend on which: the table in ARCHITECTURE.md. A new edge needs a line in both.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("fabric-tunnel", &[]),
    ("body-drain", &[]),
    ("ros-msgs", &[]),
    ("episode", &["protocol", "ros-msgs"]),
    ("episode-export", &["protocol", "ros-msgs", "episode"]),
    ("agent-core", &["protocol"]),
    ("ros-bridge", &["protocol", "ros-msgs"]),
    ("sim", &["protocol", "ros-msgs", "ros-bridge"]),
    ("fleet-core", &["protocol"]),
    ("fleet-server", &["protocol", "body-drain", "fabric-tunnel", "episode", "fleet-core"]),
    ("turn-relay", &[]),
    ("watch-relay", &[]),
    (
        "pilot-gateway",
        &["protocol", "body-drain", "fabric-tunnel", "agent-core", "turn-relay", "watch-relay"],
    ),
    (
        "robot-agent",
        &["protocol", "fabric-tunnel", "ros-msgs", "episode", "agent-core", "ros-bridge"],
    ),
    ("longrein-cli", &["protocol"]),
    ("xtask", &["protocol"]),
    (
        "system-tests",
        &[
            "protocol",
            "fabric-tunnel",
            "ros-msgs",
            "episode",
            "agent-core",
            "ros-bridge",
            "sim",
            "fleet-core",
            "turn-relay",
            "xtask",
        ],
    ),
];

/// Libraries that only one crate may name, with the reason.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    ("ros2-client", &["ros-bridge"], "talk to ROS through ros-bridge"),
    ("rustdds", &["ros-bridge"], "talk to ROS through ros-bridge"),
    ("sled", &["fleet-server"], "store through fleet-server's Store trait"),
    ("turn-server-proto", &["turn-relay"], "turn-relay bounds it and gives it sockets"),
    (
        "webrtc",
        &["robot-agent", "watch-relay"],
        "robot-agent wraps it; watch-relay tests against it",
    ),
    ("rtc", &["robot-agent", "watch-relay"], "one module of robot-agent and watch-relay wrap it"),
    ("quinn-udp", &["watch-relay"], "one socket of many datagrams"),
    ("parquet", &["episode-export"], "keep heavy export crates out of the rest"),
    (
        "tokio",
        &[
            "body-drain",
            "fabric-tunnel",
            "fleet-server",
            "pilot-gateway",
            "turn-relay",
            "watch-relay",
            "robot-agent",
            "ros-bridge",
            "longrein-cli",
            "system-tests",
        ],
        "cores are synchronous and pure",
    ),
];

/// Longest Rust or TypeScript file, in lines.
const LINES_MAX: usize = 600;

/// Runs every rule and reports all findings at once.
pub fn run() -> Result<()> {
    let mut findings = Vec::new();
    dependencies(&mut findings)?;
    files(&mut findings)?;
    ensure!(findings.is_empty(), "repository rules:\n  {}", findings.join("\n  "));
    Ok(())
}

fn dependencies(findings: &mut Vec<String>) -> Result<()> {
    let out = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root())
        .output()?;
    ensure!(out.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout)?;
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        MAY_DEPEND_ON.iter().map(|(name, deps)| (*name, deps.iter().copied().collect())).collect();
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let ours: BTreeSet<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(allowed) = allowed.get(name) else {
            findings.push(format!(
                "{name}: not in the table of xtask/src/tidy.rs and ARCHITECTURE.md; add it to both"
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().map_or(&[][..], Vec::as_slice) {
            let on = dependency["name"].as_str().unwrap_or_default();
            // What a test uses does not shape the program.
            if dependency["kind"] == "dev" {
                continue;
            }
            if ours.contains(on) && !allowed.contains(on) {
                findings.push(format!(
                    "{name} must not depend on {on} (the table in ARCHITECTURE.md says who may)"
                ));
            }
            for (library, owners, instead) in ONLY_IN {
                if on == *library && !owners.contains(&name) {
                    findings.push(format!("{name} must not depend on {library}: {instead}"));
                }
            }
        }
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let text = std::fs::read_to_string(manifest)?;
        if !text.contains("[lints]\nworkspace = true") {
            findings.push(format!("{name}: Cargo.toml lacks '[lints] workspace = true'; lints are not inherited by themselves"));
        }
        let readme = Path::new(manifest).with_file_name("README.md");
        if name != "xtask" && !readme.exists() {
            findings.push(format!("{name}: no README.md (purpose, the one contract, an example, what it must never do)"));
        }
    }
    Ok(())
}

fn files(findings: &mut Vec<String>) -> Result<()> {
    let out = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output()?;
    ensure!(out.status.success(), "git ls-files: {}", String::from_utf8_lossy(&out.stderr));
    for name in String::from_utf8_lossy(&out.stdout).split('\0').filter(|n| !n.is_empty()) {
        let path = root().join(name);
        let is_code = [".rs", ".ts", ".tsx", ".mjs"].iter().any(|end| name.ends_with(end));
        if !is_code || !path.exists() {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let lines = text.lines().count();
        if lines > LINES_MAX {
            findings.push(format!(
                "{name}: {lines} lines; split it by what it is about (at most {LINES_MAX})"
            ));
        }
        for (number, line) in text.lines().enumerate() {
            // Split so that this file does not find itself.
            for banned in
                [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[", "ignore")]
            {
                if line.contains(banned) {
                    findings.push(format!(
                        "{name}:{}: {banned}…: finish it or file an issue",
                        number + 1
                    ));
                }
            }
        }
    }
    Ok(())
}
