//! The embedded store: sled 0.34, one tree.
//!
//! A batch is checked and written under one lock, so readers see it at once; a thread flushes, and one flush
//! acknowledges every batch that was written before it began (group commit). A later batch never becomes durable
//! before an earlier one, so whatever a reader saw is durable when something built on it is.

use super::{Answer, Batch, CommitError, Durable, Scan, Store, StoreError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Memory for pages.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Room that is left to writes under way: several of sled's segments.
const FREE_MB_MIN: u64 = 16;
/// Most batches that wait for a flush; the next writer waits for room.
const WAITING_MAX: usize = 4_096;

type Waiter = oneshot::Sender<Result<(), StoreError>>;

/// The store.
pub(crate) struct SledStore {
    db: sled::Db,
    dir: PathBuf,
    full: AtomicBool,
    // Taken while a batch is checked and written; never across a flush.
    writer: Mutex<()>,
    // Set when a flush failed: what is on the disk is unknown from then on.
    stopped: Arc<AtomicBool>,
    // None once the store is being dropped.
    flushes: Option<SyncSender<Waiter>>,
    flusher: Option<JoinHandle<()>>,
}

impl SledStore {
    /// Opens the store in `dir`, or makes it.
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        let config = sled::Config::new()
            .path(dir)
            .mode(sled::Mode::HighThroughput)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None);
        let db = config.open().map_err(|error| match &error {
            sled::Error::Io(io) if io.to_string().contains("lock") => {
                StoreError::InUse(dir.display().to_string())
            }
            _ => failed(&error),
        })?;
        let stopped = Arc::new(AtomicBool::new(false));
        let (flushes, waiters) = sync_channel(WAITING_MAX);
        let (flusher_db, flusher_stopped) = (db.clone(), Arc::clone(&stopped));
        let flusher = std::thread::Builder::new()
            .name("store-flush".into())
            .spawn(move || flush_loop(&flusher_db, &flusher_stopped, &waiters))
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(Self {
            db,
            dir: dir.to_owned(),
            full: AtomicBool::new(false),
            writer: Mutex::new(()),
            stopped,
            flushes: Some(flushes),
            flusher: Some(flusher),
        })
    }

    fn commit_now(&self, batch: Batch) -> Result<Durable, CommitError> {
        self.writable()?;
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, expected) in batch.checks {
            let found = self.db.get(&key).map_err(|error| failed(&error))?;
            if found.as_deref() != expected.as_deref() {
                return Err(CommitError::Conflict { key });
            }
        }
        let mut writes = sled::Batch::default();
        for (key, value) in batch.writes {
            match value {
                Some(value) => writes.insert(key.as_str(), value),
                None => writes.remove(key.as_str()),
            }
        }
        // A crash here: nothing of the batch was acknowledged, and sled recovers all of it or none.
        if let Err(error) = self.db.apply_batch(writes) {
            self.stopped.store(true, Ordering::Release);
            return Err(failed(&error).into());
        }
        let (waiter, answer) = oneshot::channel();
        let sent = self.flushes.as_ref().map(|flushes| flushes.send(waiter));
        if matches!(sent, Some(Ok(()))) {
            Ok(Durable::Soon(answer))
        } else {
            Err(StoreError::Stopped.into())
        }
    }

    fn scan_now(&self, scan: Scan<'_>) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let prefix = scan.prefix.as_bytes();
        let after = scan.after.map(str::as_bytes);
        let range = if scan.descending {
            let end = match after {
                Some(after) => Excluded(after.to_vec()),
                None => past(prefix).map_or(Unbounded, Excluded),
            };
            if matches!(&end, Excluded(end) if end.as_slice() <= prefix) {
                return Ok(Vec::new());
            }
            (Included(prefix.to_vec()), end)
        } else {
            match after {
                Some(after) if after >= prefix => (Excluded(after.to_vec()), Unbounded),
                _ => (Included(prefix.to_vec()), Unbounded),
            }
        };
        let mut found = Vec::new();
        let mut range = self.db.range::<Vec<u8>, _>(range);
        while found.len() < scan.limit {
            let next = if scan.descending { range.next_back() } else { range.next() };
            let Some(pair) = next else { break };
            let (key, value) = pair.map_err(|error| failed(&error))?;
            if !key.starts_with(prefix) {
                if scan.descending {
                    continue;
                }
                break;
            }
            let key = String::from_utf8(key.to_vec())
                .map_err(|_not_ours| StoreError::Failed("a key is not UTF-8".into()))?;
            found.push((key, value.to_vec()));
        }
        Ok(found)
    }
}

/// Free space of the file system that holds `dir`, MB.
pub(crate) fn free_mb(dir: &Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize) / 1_000_000)
}

/// The smallest key that is greater than every key with this prefix.
fn past(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

fn failed(error: &sled::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}

fn flush_loop(db: &sled::Db, stopped: &AtomicBool, waiters: &Receiver<Waiter>) {
    while let Ok(first) = waiters.recv() {
        // Whoever is in the queue now has written before this flush begins.
        let mut group = vec![first];
        group.extend(waiters.try_iter().take(WAITING_MAX));
        let answer = if stopped.load(Ordering::Acquire) {
            Err(StoreError::Stopped)
        } else {
            db.flush().map(|_bytes| ()).map_err(|error| {
                stopped.store(true, Ordering::Release);
                failed(&error)
            })
        };
        for waiter in group {
            // A writer that went away needs no answer.
            drop(waiter.send(answer.clone()));
        }
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.flushes = None;
        if let Some(flusher) = self.flusher.take() {
            // It ends when its queue is closed; a panic in it has answered nobody, so nothing is lost.
            drop(flusher.join());
        }
    }
}

impl Store for SledStore {
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let value = self.db.get(key).map_err(|error| failed(&error))?;
            Ok(value.map(|value| value.to_vec()))
        })
    }

    fn scan<'a>(&'a self, scan: Scan<'a>) -> Answer<'a, Vec<(String, Vec<u8>)>> {
        Box::pin(async move { self.scan_now(scan) })
    }

    fn commit<'a>(&'a self, batch: Batch) -> Answer<'a, Durable, CommitError> {
        Box::pin(async move { self.commit_now(batch) })
    }

    fn writable(&self) -> Result<(), StoreError> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(StoreError::Stopped);
        }
        // sled does not survive a write that finds no room; so it is not asked for one.
        let free = free_mb(&self.dir).map_err(|error| StoreError::Failed(error.to_string()))?;
        let full = free < FREE_MB_MIN;
        let was_full = self.full.swap(full, Ordering::AcqRel);
        if full {
            let error = StoreError::DiskFull(self.dir.display().to_string(), FREE_MB_MIN);
            if !was_full {
                tracing::error!("{error}");
            }
            return Err(error);
        }
        if was_full {
            tracing::info!("the disk has room again");
        }
        Ok(())
    }
}
