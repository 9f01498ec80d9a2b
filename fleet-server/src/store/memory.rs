//! A store in memory, for tests: durable at once, gone at the end.

use super::{Answer, Batch, CommitError, Durable, Scan, Store};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

/// The store.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    values: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl MemoryStore {
    fn values(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn scan_now(&self, scan: Scan<'_>) -> Vec<(String, Vec<u8>)> {
        let values = self.values();
        let fits = |(key, _): &(&String, &Vec<u8>)| key.starts_with(scan.prefix);
        let own = |(key, value): (&String, &Vec<u8>)| (key.clone(), value.clone());
        if scan.descending {
            let end = scan.after.map_or(Bound::Unbounded, Bound::Excluded);
            if scan.after.is_some_and(|after| after <= scan.prefix) {
                return Vec::new();
            }
            let range = values.range::<str, _>((Bound::Included(scan.prefix), end));
            return range.rev().filter(fits).take(scan.limit).map(own).collect();
        }
        let start = match scan.after {
            Some(after) if after >= scan.prefix => Bound::Excluded(after),
            _ => Bound::Included(scan.prefix),
        };
        let range = values.range::<str, _>((start, Bound::Unbounded));
        range.take_while(fits).take(scan.limit).map(own).collect()
    }

    fn commit_now(&self, batch: Batch) -> Result<Durable, CommitError> {
        let mut values = self.values();
        for (key, expected) in &batch.checks {
            if values.get(key) != expected.as_ref() {
                return Err(CommitError::Conflict { key: key.clone() });
            }
        }
        for (key, value) in batch.writes {
            match value {
                Some(value) => values.insert(key, value),
                None => values.remove(&key),
            };
        }
        Ok(Durable::Now)
    }
}

impl Store for MemoryStore {
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Vec<u8>>> {
        Box::pin(async move { Ok(self.values().get(key).cloned()) })
    }

    fn scan<'a>(&'a self, scan: Scan<'a>) -> Answer<'a, Vec<(String, Vec<u8>)>> {
        Box::pin(async move { Ok(self.scan_now(scan)) })
    }

    fn commit<'a>(&'a self, batch: Batch) -> Answer<'a, Durable, CommitError> {
        Box::pin(async move { self.commit_now(batch) })
    }
}
