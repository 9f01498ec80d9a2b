//! What all clients of a server share: how it is run, who has which allocation, and what was counted.

use crate::{Options, credentials};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A number that is counted.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// How much it is.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, more: u64) -> u64 {
        self.0.fetch_add(more, Ordering::Relaxed).saturating_add(more)
    }
}

/// What a server did since its start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Allocations that were made.
    pub allocations: Count,
    /// Bytes that were relayed, both ways.
    pub bytes: Count,
    /// Requests with credentials that are unknown, expired or wrong.
    pub refused_credentials: Count,
    /// Peers that may not be reached.
    pub refused_peers: Count,
    /// Allocations for which there was no room.
    pub refused_full: Count,
    /// Packets that were dropped: malformed, too many, or too much.
    pub dropped: Count,
}

#[derive(Debug, Default)]
struct Table {
    by_subject: BTreeMap<String, usize>,
    total: usize,
    ports: BTreeSet<u16>,
}

/// What all clients of a server share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) options: Options,
    /// Where it listens, with the port that it got.
    pub(crate) listen: SocketAddr,
    pub(crate) stats: Stats,
    table: Mutex<Table>,
    began: Instant,
}

/// There is no room for another allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error("the server has as many allocations as it may have")]
    Server,
    #[error("the subject has as many allocations as it may have")]
    Subject,
}

impl Context {
    pub(crate) fn new(options: Options, listen: SocketAddr) -> Self {
        Self {
            options,
            listen,
            stats: Stats::default(),
            table: Mutex::default(),
            began: Instant::now(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Allocations that stand.
    pub(crate) fn active(&self) -> usize {
        self.table().total
    }

    /// Room for one allocation of the one whom `username` names.
    pub(crate) fn take(self: &Arc<Self>, username: &str) -> Result<Slot, Full> {
        let limits = &self.options.limits;
        let subject = credentials::subject(username);
        let mut table = self.table();
        if table.total >= limits.allocations_max {
            return Err(Full::Server);
        }
        let of_subject = table.by_subject.entry(subject.to_owned()).or_default();
        if *of_subject >= limits.allocations_per_subject_max {
            return Err(Full::Subject);
        }
        *of_subject += 1;
        table.total += 1;
        Ok(Slot { context: Arc::clone(self), subject: subject.to_owned(), port: None })
    }

    /// The addresses of the server itself: from outside, and where its sockets are.
    pub(crate) fn own(&self) -> [IpAddr; 2] {
        [self.options.public, self.listen.ip()]
    }

    /// Whether a datagram may pass to or from `peer`.
    pub(crate) fn reaches(&self, peer: SocketAddr) -> bool {
        let relayed = self.is_relayed(peer);
        self.options.peers.reaches(peer, self.own(), relayed)
    }

    /// Whether a peer is a relayed address of this server.
    pub(crate) fn is_relayed(&self, peer: SocketAddr) -> bool {
        self.own().contains(&peer.ip()) && self.table().ports.contains(&peer.port())
    }

    /// Monotonic time as the protocol engine takes it.
    pub(crate) fn engine_time(&self, now: Instant) -> turn_server_proto::types::Instant {
        let nanos = now.saturating_duration_since(self.began).as_nanos();
        turn_server_proto::types::Instant::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }

    /// The moment that the engine means.
    pub(crate) fn std_time(&self, engine: turn_server_proto::types::Instant) -> Instant {
        let nanos = u64::try_from(engine.as_nanos()).unwrap_or(0);
        self.began + std::time::Duration::from_nanos(nanos)
    }
}

/// Unix time in seconds, which credentials name.
pub(crate) fn wall_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Tells of what may come in floods: the first, the second, the fourth, the eighth …
pub(crate) fn is_told(count: u64) -> bool {
    count.is_power_of_two()
}

/// Room for one allocation; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    context: Arc<Context>,
    subject: String,
    port: Option<u16>,
}

impl Slot {
    /// The port of the allocation, so that others may reach it.
    pub(crate) fn keep_port(&mut self, port: u16) {
        self.context.table().ports.insert(port);
        self.port = Some(port);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.context.table();
        table.total = table.total.saturating_sub(1);
        if let Some(port) = self.port {
            table.ports.remove(&port);
        }
        if let Some(left) = table.by_subject.get_mut(&self.subject) {
            *left = left.saturating_sub(1);
            if *left == 0 {
                table.by_subject.remove(&self.subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Peers, Secret};

    #[test]
    fn room_is_bounded_for_all_and_for_each_and_comes_back() {
        let limits =
            Limits { allocations_max: 3, allocations_per_subject_max: 2, ..Limits::default() };
        let options = Options {
            listen: ([127, 0, 0, 1], 0).into(),
            public: IpAddr::from([203, 0, 114, 7]),
            ports: None,
            realm: "test".to_owned(),
            secret: Secret::new(b"north"),
            peers: Peers::default(),
            limits,
        };
        let context = Arc::new(Context::new(options, ([127, 0, 0, 1], 3478).into()));
        let _first = context.take("9:a").unwrap();
        let mut second = context.take("10:a").unwrap();
        second.keep_port(50_000);
        assert_eq!(context.take("11:a").unwrap_err(), Full::Subject);
        let _third = context.take("9:b").unwrap();
        assert_eq!(context.take("9:c").unwrap_err(), Full::Server);
        let relayed = SocketAddr::from(([203, 0, 114, 7], 50_000));
        assert!(context.reaches(relayed) && context.active() == 3);
        drop(second);
        assert!(!context.reaches(relayed) && context.active() == 2);
        assert!(context.take("9:c").is_ok());
    }
}
