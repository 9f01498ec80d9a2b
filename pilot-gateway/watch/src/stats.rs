//! What the server counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start.
#[derive(Debug, Default)]
pub struct Stats {
    /// Viewers that were let in.
    pub joined: AtomicU64,
    /// Viewers for whom there was no room.
    pub refused: AtomicU64,
    /// Viewers with whom no keys were agreed upon.
    pub failed: AtomicU64,
    /// Frames that robots sent.
    pub frames: AtomicU64,
    /// Packets to viewers, without those that were sent again.
    pub packets: AtomicU64,
    /// Packets that were sent again.
    pub again: AtomicU64,
    /// Packets that were asked for again and not sent: forgotten, or over the viewer's budget.
    pub not_again: AtomicU64,
    /// Datagrams that were not listened to: of strangers, malformed, or too many.
    pub dropped: AtomicU64,
    /// Datagrams that the system did not take.
    pub blocked: AtomicU64,
    /// Viewers there are now.
    pub viewers: AtomicU64,
}

impl Stats {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// Name, value and meaning of each counter.
    pub fn all(&self) -> [(&'static str, u64, &'static str); 9] {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("joined", get(&self.joined), "Viewers that were let in."),
            ("refused", get(&self.refused), "Viewers for whom there was no room."),
            ("failed", get(&self.failed), "Viewers with whom no keys were agreed upon."),
            ("frames", get(&self.frames), "Frames that robots sent for viewers."),
            ("packets", get(&self.packets), "Packets to viewers."),
            ("packets_again", get(&self.again), "Packets that were sent again."),
            ("packets_not_again", get(&self.not_again), "Packets that were asked for in vain."),
            ("dropped", get(&self.dropped), "Datagrams that were not listened to."),
            ("blocked", get(&self.blocked), "Datagrams that the system did not take."),
        ]
    }
}
