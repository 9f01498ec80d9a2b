//! Episodes on the robot's disk, within a quota: what the fleet has confirmed goes first, oldest first. What it has not
//! confirmed is never removed: when only that is left and it fills the quota, no new drive begins, and this is said.

use crate::clock;
use crate::home::Home;
use crate::record::{self, Record};
use anyhow::{Context, Result};
use episode::layout;
use protocol::ids::EpisodeId;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_secs(5);
/// With less free space than this many times the reserve, confirmed episodes go even within the quota.
const RESERVES: u64 = 3;
/// A removed episode is called so until it has gone: a crash in between leaves no half of one.
const GOING: &str = ".going-";

/// Where an episode stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// Recorded, or not sealed yet.
    Open,
    /// Sealed, and not confirmed by the fleet.
    Waiting,
    /// Confirmed by the fleet.
    Confirmed,
}

#[derive(Debug, Clone)]
struct Entry {
    id: EpisodeId,
    dir: PathBuf,
    stand: Stand,
    bytes: u64,
}

/// How full the spool is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolState {
    /// Space that episodes may take; none is no bound but that of the disk.
    pub quota_mb: Option<u64>,
    /// Space that all episodes take.
    pub used_mb: u64,
    /// Space of those that the fleet has not confirmed.
    pub unconfirmed_mb: u64,
    /// Episodes that wait for the fleet.
    pub waiting: u32,
    /// Confirmed episodes that are kept.
    pub kept: u32,
    /// Confirmed episodes that made room since the agent's start.
    pub removed: u32,
    /// The quota is full of episodes that the fleet has not confirmed: no new drive begins.
    pub full: bool,
}

/// What is to be removed, and whether the quota is full of what may not be.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    remove: Vec<EpisodeId>,
    full: bool,
}

/// `entries` are oldest first; `wanted_bytes` is what the disk lacks to be comfortable.
fn plan(entries: &[Entry], quota_bytes: Option<u64>, wanted_bytes: u64) -> Plan {
    let used: u64 = entries.iter().map(|entry| entry.bytes).sum();
    let over = quota_bytes.map_or(0, |quota| used.saturating_sub(quota)).max(wanted_bytes);
    let (mut remove, mut freed) = (Vec::new(), 0);
    for entry in entries.iter().filter(|entry| entry.stand == Stand::Confirmed) {
        if freed >= over {
            break;
        }
        freed += entry.bytes;
        remove.push(entry.id);
    }
    let full = quota_bytes.is_some_and(|quota| used.saturating_sub(freed) >= quota);
    Plan { remove, full }
}

/// The spool of a running agent.
#[derive(Debug)]
pub(crate) struct Keeper {
    home: Home,
    quota_mb: Option<u64>,
    disk_free_mb_min: u64,
    removed: u32,
}

impl Keeper {
    pub(crate) fn new(home: Home, quota_mb: Option<u64>, disk_free_mb_min: u64) -> Self {
        Self { home, quota_mb, disk_free_mb_min, removed: 0 }
    }

    /// Makes room where it may.
    fn look(&mut self) -> Result<SpoolState> {
        let stat = rustix::fs::statvfs(self.home.dir()).context("asking how full the disk is")?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let comfortable = self.disk_free_mb_min.saturating_mul(RESERVES * 1_000_000);
        self.make_room(comfortable.saturating_sub(free))
    }

    fn make_room(&mut self, wanted_bytes: u64) -> Result<SpoolState> {
        let mut entries = entries(&self.home)?;
        let quota_bytes = self.quota_mb.map(|quota| quota.saturating_mul(1_000_000));
        let plan = plan(&entries, quota_bytes, wanted_bytes);
        for entry in entries.iter().filter(|entry| plan.remove.contains(&entry.id)) {
            remove(&entry.dir).with_context(|| format!("removing episode {}", entry.id))?;
            self.removed = self.removed.saturating_add(1);
            tracing::info!(episode = %entry.id, "made room: the fleet has confirmed that it has this episode");
        }
        entries.retain(|entry| !plan.remove.contains(&entry.id));
        Ok(SpoolState { removed: self.removed, ..state(&entries, self.quota_mb, plan.full) })
    }
}

/// How full the spool of a folder is; changes nothing.
pub(crate) fn look(home: &Home, quota_mb: Option<u64>) -> Result<SpoolState> {
    let entries = entries(home)?;
    let full = plan(&entries, quota_mb.map(|quota| quota.saturating_mul(1_000_000)), 0).full;
    Ok(state(&entries, quota_mb, full))
}

fn state(entries: &[Entry], quota_mb: Option<u64>, full: bool) -> SpoolState {
    let of = |stand| entries.iter().filter(move |entry| entry.stand == stand);
    let count = |stand| u32::try_from(of(stand).count()).unwrap_or(u32::MAX);
    let used: u64 = entries.iter().map(|entry| entry.bytes).sum();
    let confirmed: u64 = of(Stand::Confirmed).map(|entry| entry.bytes).sum();
    SpoolState {
        quota_mb,
        used_mb: used / 1_000_000,
        unconfirmed_mb: (used - confirmed) / 1_000_000,
        waiting: count(Stand::Waiting),
        kept: count(Stand::Confirmed),
        removed: 0,
        full,
    }
}

/// Starts the thread that keeps the quota. `state` is what it found last.
pub(crate) fn start(
    mut keeper: Keeper,
    recorder: record::Handle,
    state: Arc<Mutex<SpoolState>>,
) -> std::io::Result<()> {
    std::thread::Builder::new().name("spool".to_owned()).spawn(move || {
        clean(&keeper.home);
        loop {
            match keeper.look() {
                Ok(found) => {
                    tell(&found, &recorder);
                    *crate::shared::lock(&state) = found;
                }
                Err(error) => {
                    tracing::error!(
                        error = format!("{error:#}"),
                        "the spool can't be looked through"
                    );
                }
            }
            std::thread::sleep(LOOK_EVERY);
        }
    })?;
    Ok(())
}

/// Says when the spool becomes full, and when there is room again: in the log and in the episode that is recorded.
fn tell(found: &SpoolState, recorder: &record::Handle) {
    if recorder.progress.set_spool_full(found.full) == found.full {
        return;
    }
    let SpoolState { waiting, unconfirmed_mb, .. } = found;
    let quota_mb = found.quota_mb.unwrap_or_default();
    let (code, detail) = if found.full {
        let detail = format!(
            "the spool is full: {waiting} episodes ({unconfirmed_mb} MB of {quota_mb} MB) wait for the fleet; none is \
             removed, and no new drive begins until it has confirmed some"
        );
        tracing::error!(waiting, unconfirmed_mb, quota_mb, "{detail}");
        ("spool-full", detail)
    } else {
        tracing::info!(waiting, unconfirmed_mb, quota_mb, "the spool has room again");
        ("spool-room", "the spool has room again".to_owned())
    };
    let json = serde_json::to_string(found).unwrap_or_default();
    recorder.put(clock::wall_ns(), Record::Event(record::event(code, detail, json)));
}

fn entries(home: &Home) -> Result<Vec<Entry>> {
    let entry = |(id, dir): (EpisodeId, PathBuf)| {
        let there = |name: &str| dir.join(name).exists();
        let stand = if there(layout::OPEN) || !there(layout::MANIFEST) {
            Stand::Open
        } else if there(layout::INGEST_RECEIPT) {
            Stand::Confirmed
        } else {
            Stand::Waiting
        };
        let bytes = bytes(&dir);
        Entry { id, dir, stand, bytes }
    };
    Ok(home.list_episodes()?.into_iter().map(entry).collect())
}

/// What a folder of files takes. A file that goes meanwhile takes nothing.
fn bytes(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).sum()
}

fn remove(dir: &Path) -> Result<()> {
    let name = dir.file_name().context("a folder without a name")?.to_string_lossy();
    let going = dir.with_file_name(format!("{GOING}{name}"));
    fs::rename(dir, &going)?;
    fs::remove_dir_all(&going)?;
    Ok(())
}

/// Removes what a crash left half removed.
fn clean(home: &Home) {
    let left = fs::read_dir(home.episodes()).into_iter().flatten().flatten();
    for entry in left.filter(|entry| entry.file_name().to_string_lossy().starts_with(GOING)) {
        if let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(%error, "what is left of a removed episode stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1_000_000;

    fn add(home: &Home, number: u32, stand: Stand) -> EpisodeId {
        let id = format!("eps_{number:032x}").parse().unwrap();
        let dir = home.episode(id);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(layout::TELEMETRY), vec![7; MB]).unwrap();
        let marks: &[&str] = match stand {
            Stand::Open => &[layout::OPEN],
            Stand::Waiting => &[layout::MANIFEST],
            Stand::Confirmed => &[layout::MANIFEST, layout::INGEST_RECEIPT],
        };
        for mark in marks {
            fs::write(dir.join(mark), "").unwrap();
        }
        id
    }

    fn there(home: &Home) -> Vec<EpisodeId> {
        home.list_episodes().unwrap().into_iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn the_oldest_confirmed_goes_first_and_no_other_ever() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let waiting = add(&home, 1, Stand::Waiting);
        let oldest = add(&home, 2, Stand::Confirmed);
        let newest = add(&home, 3, Stand::Confirmed);
        let open = add(&home, 4, Stand::Open);

        let mut keeper = Keeper::new(home.clone(), Some(10), 0);
        let state = keeper.make_room(0).unwrap();
        assert_eq!((state.used_mb, state.unconfirmed_mb, state.removed), (4, 2, 0));
        assert_eq!((state.waiting, state.kept, state.full), (1, 2, false));

        keeper.quota_mb = Some(3);
        let state = keeper.make_room(0).unwrap();
        assert_eq!(there(&home), [waiting, newest, open], "not {oldest}");
        assert_eq!((state.removed, state.full), (1, true), "exactly full is full");

        keeper.quota_mb = Some(1);
        let state = keeper.make_room(0).unwrap();
        assert_eq!(
            there(&home),
            [waiting, open],
            "what is not confirmed stays, whatever the quota"
        );
        assert!(state.full && state.unconfirmed_mb == 2);

        keeper.quota_mb = None;
        assert!(!keeper.make_room(u64::MAX).unwrap().full, "without a quota the disk alone counts");
        assert_eq!(there(&home), [waiting, open]);
    }

    #[test]
    fn a_disk_that_runs_short_takes_confirmed_ones_within_the_quota() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let (_first, second) = (add(&home, 1, Stand::Confirmed), add(&home, 2, Stand::Confirmed));
        let mut keeper = Keeper::new(home.clone(), None, 0);
        keeper.make_room(500_000).unwrap();
        assert_eq!(there(&home), [second]);
    }

    #[test]
    fn what_a_crash_left_half_removed_goes_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let kept = add(&home, 5, Stand::Waiting);
        let half = home.episodes().join(format!("{GOING}eps_half"));
        fs::create_dir_all(&half).unwrap();
        fs::write(half.join("x"), "x").unwrap();
        clean(&home);
        assert!(!half.exists());
        assert_eq!(there(&home), [kept]);
    }

    #[test]
    fn a_full_spool_begins_nothing_new_until_it_has_room() {
        let dir = tempfile::tempdir().unwrap();
        let setup = record::Setup {
            home: Home::open(dir.path()).unwrap(),
            key: Arc::new(protocol::keys::PrivateKey::from_seed(&[1; 32])),
            cameras: Vec::new(),
            disk_free_mb_min: 0,
            sealed: Box::new(|| {}),
        };
        let (recorder, thread) = record::start(setup).unwrap();
        recorder.ready().unwrap();
        tell(&SpoolState { full: true, ..SpoolState::default() }, &recorder);
        assert!(recorder.ready().unwrap_err().contains("spool"));
        tell(&SpoolState::default(), &recorder);
        recorder.ready().unwrap();
        recorder.stop();
        thread.join().unwrap();
    }
}
