//! One request at a time for each episode: an upload that a client gave up may still be running.

use protocol::ids::EpisodeId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OwnedMutexGuard;

/// The episodes that somebody works on.
#[derive(Default)]
pub(crate) struct Locks(Mutex<BTreeMap<EpisodeId, Arc<tokio::sync::Mutex<()>>>>);

impl Locks {
    /// Waits for whoever works on this episode.
    pub(crate) async fn lock(&self, id: EpisodeId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever holds or awaits a lock has a copy of it: those without one are free.
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(id).or_default())
        };
        lock.lock_owned().await
    }
}
