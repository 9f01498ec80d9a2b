//! One transaction: read, decide, write, all or nothing.
//!
//! Whatever was read is checked again when the batch is written, so a second server on the same store can't make
//! us decide on something that has changed. Events go out only after the batch is durable.

use crate::events::Changed;
use crate::fleet::{Fleet, key_of, now};
use crate::model::{Balance, Doc, JOURNAL_HEAD, journal_key};
use crate::problems::{Refused, Result};
use crate::store::Batch;
use fleet_core::ledger::{Entry, Ledger, Plan, Transfer};
use protocol::units::WallMs;
use std::collections::BTreeMap;
use tokio::sync::MutexGuard;

/// What happens to the live state once a batch is written.
type After = Box<dyn FnOnce(&Fleet) + Send>;

/// A transaction. Dropping it forgets it.
pub(crate) struct Txn<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) now: WallMs,
    ledger: MutexGuard<'a, Ledger>,
    batch: Batch,
    posted: Option<Entry>,
    changed: Vec<Changed>,
    after: Vec<After>,
}

impl<'a> Txn<'a> {
    pub(crate) fn new(fleet: &'a Fleet, ledger: MutexGuard<'a, Ledger>) -> Self {
        Self {
            fleet,
            now: now(),
            ledger,
            batch: Batch::default(),
            posted: None,
            changed: Vec::new(),
            after: Vec::new(),
        }
    }

    /// A document as this transaction sees it.
    pub(crate) async fn get<T: Doc>(&mut self, id: impl ToString) -> Result<Option<T>> {
        let key = key_of::<T>(&id.to_string());
        let bytes = if let Some(own) = self.batch.writes.get(&key) {
            own.clone()
        } else if let Some(seen) = self.batch.checks.get(&key) {
            seen.clone()
        } else {
            let found = self.fleet.store.get(&key).await?;
            self.batch.checks.insert(key, found.clone());
            found
        };
        Ok(bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose()?)
    }

    /// A document that must be there; `what` names it for the client.
    pub(crate) async fn need<T: Doc>(&mut self, id: impl ToString, what: &str) -> Result<T> {
        self.get(id).await?.ok_or_else(|| Refused::not_found(what))
    }

    /// Writes a document.
    pub(crate) fn put<T: Doc>(&mut self, doc: &T) -> Result<()> {
        self.batch.writes.insert(key_of::<T>(&doc.id()), Some(serde_json::to_vec(doc)?));
        Ok(())
    }

    /// Removes a document.
    pub(crate) fn remove<T: Doc>(&mut self, doc: &T) {
        self.batch.writes.insert(key_of::<T>(&doc.id()), None);
    }

    /// Tells everybody that something changed, once it is durable.
    pub(crate) fn changed(&mut self, changed: Changed) {
        if !self.changed.contains(&changed) {
            self.changed.push(changed);
        }
    }

    /// Does something to the live state as soon as the batch is written.
    pub(crate) fn then(&mut self, act: impl FnOnce(&Fleet) + Send + 'static) {
        self.after.push(Box::new(act));
    }

    /// Makes a transfer part of this transaction; at most one. The same transfer again changes nothing.
    pub(crate) fn transfer(&mut self, transfer: &Transfer) -> Result<Plan> {
        if self.posted.is_some() {
            return Err(Refused::internal("two transfers in one transaction"));
        }
        let plan = self.ledger.plan(transfer, self.now)?;
        let Plan::New(entry) = &plan else { return Ok(plan) };
        let empty = entry.seq == 0;
        let previous = (!empty).then(|| hex::encode(entry.previous.0).into_bytes());
        self.batch.checks.insert(JOURNAL_HEAD.into(), previous);
        let head = hex::encode(entry.hash.0).into_bytes();
        self.batch.writes.insert(JOURNAL_HEAD.into(), Some(head));
        self.batch.writes.insert(journal_key(entry.seq), Some(serde_json::to_vec(entry)?));
        let mut balances = BTreeMap::new();
        for leg in &transfer.legs {
            // `plan` has checked every sum.
            let amount = i64::try_from(leg.amount).unwrap_or(i64::MAX);
            *balances.entry(leg.from).or_insert(self.ledger.balance(&leg.from)) -= amount;
            *balances.entry(leg.to).or_insert(self.ledger.balance(&leg.to)) += amount;
        }
        for (account, balance) in balances {
            self.put(&Balance { account, balance })?;
        }
        self.posted = Some(entry.clone());
        Ok(plan)
    }

    /// What the accounts hold before this transaction.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Writes everything and returns once it is durable.
    pub(crate) async fn commit(self) -> Result<()> {
        let Self { fleet, mut ledger, batch, posted, changed, after, .. } = self;
        if batch.writes.is_empty() {
            return Ok(());
        }
        let durable = fleet.store.commit(batch).await?;
        // Written and visible, not yet durable: a crash here loses it, and nobody was told.
        if let Some(entry) = posted {
            ledger.post(&entry).map_err(Refused::internal)?;
        }
        for act in after {
            act(fleet);
        }
        // The next transaction may begin while this one waits for its flush.
        drop(ledger);
        durable.wait().await?;
        for changed in changed {
            crate::events::publish(fleet, &changed).await;
        }
        Ok(())
    }
}
