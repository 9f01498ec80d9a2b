//! The running fleet: what every handler shares.

use crate::auth::Challenges;
use crate::ca::Ca;
use crate::config::Config;
use crate::door::Links;
use crate::events::Events;
use crate::live::Live;
use crate::locks::Locks;
use crate::model::{Balance, Doc, JOURNAL, JOURNAL_HEAD, Robot};
use crate::problems::Result;
use crate::store::{Scan, Store};
use crate::txn::Txn;
use anyhow::{Context, ensure};
use fleet_core::ledger::{Entry, Ledger};
use protocol::keys::{Did, PrivateKey};
use protocol::units::WallMs;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// Documents read from the store at once when all of a kind are wanted.
const PAGE: usize = 1_000;

/// Documents looked at for one page when a filter lets few pass.
const LOOK_MAX: usize = 2_000;

/// What every handler shares.
pub(crate) struct Fleet {
    pub(crate) config: Config,
    pub(crate) key: PrivateKey,
    pub(crate) did: Did,
    pub(crate) store: Arc<dyn Store>,
    /// Held while a transaction reads and writes, so that within one process none conflicts. The balances inside
    /// are the journal's replay.
    pub(crate) ledger: tokio::sync::Mutex<Ledger>,
    pub(crate) challenges: Challenges,
    pub(crate) live: Live,
    /// Who gets in to the message router.
    pub(crate) ca: Ca,
    /// From which the keys of robots' messages are derived.
    pub(crate) fabric_secret: [u8; 32],
    /// Who came in.
    pub(crate) links: Links,
    pub(crate) events: Events,
    pub(crate) live_uploads: Locks,
    /// The message fabric; empty until it is open, and in tests.
    pub(crate) fabric: OnceLock<zenoh::Session>,
}

impl Fleet {
    /// Reads what is stored, checks the ledger, and refuses to start when an invariant is broken.
    pub(crate) async fn open(
        config: Config,
        key: PrivateKey,
        store: Arc<dyn Store>,
    ) -> anyhow::Result<Arc<Self>> {
        let ledger = checked_ledger(&*store).await?;
        let live = Live::default();
        let fabric_secret = crate::keys::load_or_make_secret(&config.data.join("fabric.secret"))?;
        let ca = Ca::open(&config.data, now())?;
        for robot in read_all::<Robot>(&*store).await? {
            match &robot.revoked {
                Some(_) => live.revoked(&robot.id),
                None => {
                    let key = crate::ops::credentials::fabric_key(&fabric_secret, &robot);
                    live.enrolled(robot.id.clone(), robot.did, key);
                }
            }
        }
        for settings in read_all::<crate::model::Settings>(&*store).await? {
            live.with(&settings.robot, |live| live.settings_version = settings.version);
        }
        let fleet = Arc::new(Self {
            config,
            did: key.did(),
            key,
            store,
            ledger: tokio::sync::Mutex::new(ledger),
            challenges: Challenges::default(),
            live,
            ca,
            fabric_secret,
            links: Links::default(),
            events: Events::default(),
            live_uploads: Locks::default(),
            fabric: OnceLock::new(),
        });
        crate::ops::leases::restore(&fleet)
            .await
            .map_err(|refused| anyhow::anyhow!("reading the leases: {}", refused.problem.detail))?;
        Ok(fleet)
    }

    /// Whether the message fabric has certificates and seals. Without them it is for tests on one machine.
    pub(crate) fn is_sealed(&self) -> bool {
        fabric_tunnel::is_tls(&self.config.zenoh)
    }

    /// A transaction. Nobody else writes until it is committed or dropped.
    pub(crate) async fn begin(&self) -> Txn<'_> {
        Txn::new(self, self.ledger.lock().await)
    }

    /// One document.
    pub(crate) async fn read<T: Doc>(&self, id: &str) -> Result<Option<T>> {
        let bytes = self.store.get(&key_of::<T>(id)).await?;
        Ok(bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose()?)
    }

    /// Some documents of a kind, newest first, after the one with the id `after`.
    pub(crate) async fn page<T: Doc>(&self, after: Option<&str>, limit: usize) -> Result<Vec<T>> {
        let prefix = format!("{}/", T::TABLE);
        let after = after.map(key_of::<T>);
        let scan = Scan { prefix: &prefix, after: after.as_deref(), descending: true, limit };
        let found = self.store.scan(scan).await?;
        let read = |(_, bytes): &(String, Vec<u8>)| serde_json::from_slice(bytes);
        Ok(found.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// As [`Fleet::page`], of those that `passes` lets through; with the id from which the next page goes on, unless
    /// this is the last. When few pass, a page is cut short rather than the whole table read for it.
    pub(crate) async fn page_of<T: Doc>(
        &self,
        after: Option<&str>,
        limit: usize,
        passes: impl Fn(&T) -> bool,
    ) -> Result<(Vec<T>, Option<String>)> {
        let mut after = after.map(str::to_owned);
        let (mut items, mut looked) = (Vec::new(), 0);
        loop {
            let found = self.page::<T>(after.as_deref(), limit).await?;
            let last = found.len() < limit;
            for one in found {
                looked += 1;
                after = Some(one.id());
                if passes(&one) {
                    items.push(one);
                }
                if items.len() == limit {
                    return Ok((items, after));
                }
            }
            if last {
                return Ok((items, None));
            }
            if looked >= LOOK_MAX {
                return Ok((items, after));
            }
        }
    }
}

/// The time for records and signatures.
pub(crate) fn now() -> WallMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A document's key.
pub(crate) fn key_of<T: Doc>(id: &str) -> String {
    format!("{}/{id}", T::TABLE)
}

/// Every value under a prefix, in order.
pub(crate) async fn scan_all(store: &dyn Store, prefix: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut values = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let scan = Scan { prefix, after: after.as_deref(), descending: false, limit: PAGE };
        let found = store.scan(scan).await?;
        let last = found.len() < PAGE;
        after = found.last().map(|(key, _)| key.clone());
        values.extend(found.into_iter().map(|(_, value)| value));
        if last {
            return Ok(values);
        }
    }
}

/// Every document of a kind, in order of id.
pub(crate) async fn read_all<T: Doc>(store: &dyn Store) -> anyhow::Result<Vec<T>> {
    let values = scan_all(store, &format!("{}/", T::TABLE)).await?;
    let read = |value: &Vec<u8>| serde_json::from_slice(value).context(T::TABLE);
    values.iter().map(read).collect()
}

/// The stored journal.
pub(crate) async fn read_journal(store: &dyn Store) -> anyhow::Result<Vec<Entry>> {
    let values = scan_all(store, JOURNAL).await?;
    values.iter().map(|value| serde_json::from_slice(value).context("journal")).collect()
}

async fn checked_ledger(store: &dyn Store) -> anyhow::Result<Ledger> {
    let journal = read_journal(store).await?;
    let balances = read_all::<Balance>(store).await?;
    let missions = read_all::<crate::model::Mission>(store).await?;
    let balances = balances.into_iter().map(|b| (b.account, b.balance)).collect();
    let missions = missions.into_iter().map(|m| (m.id, m.state)).collect();
    let (ledger, invariants) = fleet_core::ledger::audit(&journal, &balances, &missions);
    for broken in invariants.iter().filter(|invariant| !invariant.holds) {
        tracing::error!(invariant = broken.id, "{}", broken.detail);
    }
    ensure!(
        invariants.iter().all(|invariant| invariant.holds),
        "the ledger does not add up; nothing was started. See: fleet-server audit --data DIR"
    );
    let head = store.get(JOURNAL_HEAD).await?;
    let expected = (ledger.entries() > 0).then(|| hex::encode(ledger.head()).into_bytes());
    ensure!(head == expected, "the journal's head is not the hash of its last entry");
    Ok(ledger)
}
