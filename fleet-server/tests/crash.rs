//! kill -9 at random points: no acknowledged transfer is lost, none is torn, the ledger adds up.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const KILLS: u64 = 6;

fn server() -> Command {
    Command::new(env!("CARGO_BIN_EXE_fleet-server"))
}

/// Runs the writer until it has acknowledged `kill_after` transfers, kills it, and gives all that it acknowledged.
fn write_and_kill(data: &Path, first: u64, kill_after: usize) -> BTreeSet<u64> {
    let mut writer = server()
        .args(["crash-transfers", "--first", &first.to_string(), "--data"])
        .arg(data)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(writer.stdout.take().unwrap());
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut line = String::new();
        // A line without its end was cut by the kill: it acknowledges nothing.
        while lines.read_line(&mut line).is_ok() && line.ends_with('\n') {
            sender.send(line.trim().parse::<u64>().unwrap()).unwrap();
            line.clear();
        }
    });
    let mut acknowledged = BTreeSet::new();
    while acknowledged.len() < kill_after {
        acknowledged.insert(receiver.recv_timeout(Duration::from_secs(60)).unwrap());
    }
    // SIGKILL: no destructor runs, nothing is flushed. What it wrote to the pipe before counts as acknowledged.
    writer.kill().unwrap();
    writer.wait().unwrap();
    acknowledged.extend(receiver.iter());
    reader.join().unwrap();
    acknowledged
}

#[test]
fn no_acknowledged_transfer_is_lost_and_none_is_torn() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    for round in 0..KILLS {
        // Spread over the writer's life: some right after its first flush, some in the middle of thousands.
        let kill_after = usize::try_from(1 + round * round * 150).unwrap();
        acknowledged.extend(write_and_kill(dir.path(), (round + 1) * 1_000_000_000, kill_after));
    }
    let audit = server().args(["audit", "--json", "--data"]).arg(dir.path()).output().unwrap();
    let text = String::from_utf8(audit.stdout).unwrap();
    assert!(audit.status.success(), "{text}");
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    let entries = found["entries"].as_u64().unwrap();
    let count = u64::try_from(acknowledged.len()).unwrap();
    assert!(entries >= count, "{entries} entries, {count} acknowledged");
    // Each transfer moved one credit: a torn one would show between entries and balances.
    assert_eq!(found["balances"]["operator"].as_u64(), Some(entries));
    assert_eq!(found["balances"]["external"].as_i64(), i64::try_from(entries).ok().map(|n| -n));
    // Each acknowledged one is there by its id: making it again changes nothing.
    let again = write_again(dir.path(), &acknowledged);
    assert_eq!(again, entries, "an acknowledged transfer was lost and made anew");
}

/// Makes every acknowledged transfer again and gives the number of entries afterwards.
fn write_again(data: &Path, acknowledged: &BTreeSet<u64>) -> u64 {
    let list = data.join("acknowledged");
    let lines: Vec<String> = acknowledged.iter().map(u64::to_string).collect();
    std::fs::write(&list, lines.join("\n")).unwrap();
    let status = server()
        .args(["crash-transfers", "--first", "0", "--again"])
        .arg(&list)
        .arg("--data")
        .arg(data)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let audit = server().args(["audit", "--json", "--data"]).arg(data).output().unwrap();
    assert!(audit.status.success());
    let found: serde_json::Value = serde_json::from_slice(&audit.stdout).unwrap();
    found["entries"].as_u64().unwrap()
}
