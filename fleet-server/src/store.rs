//! Where the fleet's documents are kept, behind one trait with three operations.
//!
//! **`commit` is all or nothing and checks before it writes; what it wrote is durable once [`Durable::wait`] has
//! returned, and only then may anything be acknowledged.** Keys and order are bytes of UTF-8 text; values are
//! bytes. `conformance` is the test suite of the trait: whatever passes it can stand behind a fleet server.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod memory;
mod sled_store;

#[cfg(test)]
pub(crate) use memory::MemoryStore;
pub(crate) use sled_store::{SledStore, free_mb};

use futures::future::BoxFuture;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// A future with the answer of a store.
pub(crate) type Answer<'a, T, E = StoreError> = BoxFuture<'a, Result<T, E>>;

/// A store of documents. One process or many may use it: `commit` checks what the caller has read.
pub(crate) trait Store: Send + Sync {
    /// The value of `key`.
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Vec<u8>>>;
    /// Keys and values in order.
    fn scan<'a>(&'a self, scan: Scan<'a>) -> Answer<'a, Vec<(String, Vec<u8>)>>;
    /// Writes a batch if all of its checks hold. Readers see it at once.
    fn commit<'a>(&'a self, batch: Batch) -> Answer<'a, Durable, CommitError>;
    /// Whether a batch could be written now.
    fn writable(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Which keys to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scan<'a> {
    /// All keys start with it.
    pub(crate) prefix: &'a str,
    /// The last key of the page before; its successor in the direction of the scan comes first.
    pub(crate) after: Option<&'a str>,
    /// Towards smaller keys.
    pub(crate) descending: bool,
    /// Most keys that are given.
    pub(crate) limit: usize,
}

/// Checks and writes that happen together or not at all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    /// What each key must hold for the batch to be written; none: it must be absent.
    pub(crate) checks: BTreeMap<String, Option<Vec<u8>>>,
    /// New values; none removes.
    pub(crate) writes: BTreeMap<String, Option<Vec<u8>>>,
}

/// A batch that was written, and will be durable.
#[derive(Debug)]
#[must_use = "nothing may be acknowledged before it is durable"]
pub(crate) enum Durable {
    /// It is: a store in memory, or one that acknowledges nothing before.
    #[cfg_attr(not(test), expect(dead_code, reason = "the embedded store always flushes later"))]
    Now,
    /// The answer comes with the next flush.
    Soon(oneshot::Receiver<Result<(), StoreError>>),
}

impl Durable {
    /// Returns once the batch survives a crash.
    pub(crate) async fn wait(self) -> Result<(), StoreError> {
        match self {
            Self::Now => Ok(()),
            Self::Soon(answer) => answer.await.unwrap_or(Err(StoreError::Stopped)),
        }
    }
}

/// The store can't be trusted any more: the caller stops writing, and a restart reads what is really there.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StoreError {
    /// Reading or writing failed.
    #[error("the store failed: {0}")]
    Failed(String),
    /// A write failed before, so what is on the disk is unknown until a restart.
    #[error("the store has failed before; restart the server, it reads what is really there")]
    Stopped,
    /// Nothing was written, and nothing is broken.
    #[error("the fleet's disk is full: {0} has less than {1} MB; free space there and try again")]
    DiskFull(String, u64),
    /// The files are in use.
    #[error("the store in {0} is used by another process; stop it first")]
    InUse(String),
}

/// Why a batch was not written.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum CommitError {
    /// Somebody else wrote `key` in between: read again.
    #[error("{key} has changed in between")]
    Conflict {
        /// The first key whose check failed.
        key: String,
    },
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}
