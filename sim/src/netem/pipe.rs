//! One direction: a packet goes in, and comes out later or not at all.

use super::loss::Channel;
use super::profile::{Outage, Path, Queue};
use super::rate::Bottleneck;
use super::stats::{Counts, Histogram};
use super::{Micros, micros};
use crate::rng::Rng;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Bytes under way at most, whatever the profile says: what a relay may take of a machine's memory.
const UNDER_WAY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What UDP and IPv4 add to a packet on the wire, and so at the bottleneck.
const HEADERS_LEN: usize = 28;

/// Why a packet does not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Lost by itself.
    Loss,
    /// Lost in a burst.
    Burst,
    /// The queue before the bottleneck was full.
    Queue,
    /// Nothing got through at that time.
    Outage,
}

/// What will become of a packet, unless an outage that nobody foresaw takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Delivered {
        /// When.
        at_us: Micros,
        /// How long it is in the bottleneck and its queue.
        queued_us: Micros,
    },
    /// It is lost.
    Dropped(Cause),
}

/// A packet under way; ordered by arrival, then by number.
#[derive(Debug)]
struct UnderWay<P> {
    at_us: Micros,
    number: u64,
    len: usize,
    packet: P,
}

impl<P> PartialEq for UnderWay<P> {
    fn eq(&self, other: &Self) -> bool {
        (self.at_us, self.number) == (other.at_us, other.number)
    }
}

impl<P> Eq for UnderWay<P> {}

impl<P> PartialOrd for UnderWay<P> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> Ord for UnderWay<P> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_us, self.number).cmp(&(other.at_us, other.number))
    }
}

/// One direction of a network, carrying packets of type `P`. Times given to it must not go back.
#[derive(Debug)]
pub struct Pipe<P> {
    path: Path,
    bottleneck: Option<Bottleneck>,
    channel: Channel,
    jitter: Jitter,
    outages: Outages,
    /// When the bottleneck is free.
    free_us: Micros,
    /// Packets that have not left the bottleneck: when they do, and their length on the wire.
    queue: VecDeque<(Micros, usize)>,
    queue_len: usize,
    under_way: BinaryHeap<Reverse<UnderWay<P>>>,
    under_way_len: usize,
    last_us: Micros,
    number: u64,
    counts: Counts,
}

impl<P> Pipe<P> {
    /// A pipe as `path` describes it. Equal seeds and streams give equal chance.
    pub fn new(path: &Path, outages: &[Outage], seed: u64, stream: u64) -> Self {
        let rng = |part| Rng::new(seed, stream * 16 + part);
        let bottleneck = path.rate.as_ref().map(|rate| Bottleneck::new(rate.clone(), rng(1)));
        Self {
            bottleneck,
            channel: Channel::new(path.loss, path.burst, rng(2)),
            jitter: Jitter::new(path, rng(3)),
            outages: Outages { foreseen: outages.to_vec(), begun_us: None, now: None },
            path: path.clone(),
            free_us: 0,
            queue: VecDeque::new(),
            queue_len: 0,
            under_way: BinaryHeap::new(),
            under_way_len: 0,
            last_us: 0,
            number: 0,
            counts: Counts::default(),
        }
    }

    /// The profile's own time begins: until now no rate changed and no outage came. Delays before it are forgotten.
    pub fn begin(&mut self, now_us: Micros) {
        if self.outages.begun_us.is_none() {
            self.outages.begun_us = Some(now_us);
            self.counts.queue = Histogram::default();
        }
        if let Some(bottleneck) = &mut self.bottleneck {
            bottleneck.begin(now_us);
        }
    }

    /// Nothing gets through for so long from now on.
    pub fn cut(&mut self, now_us: Micros, for_us: Micros) {
        self.outages.now = Some((now_us, now_us.saturating_add(for_us)));
    }

    /// A packet of `len` bytes goes in.
    pub fn push(&mut self, now_us: Micros, len: usize, packet: P) -> Fate {
        self.counts.packets_in += 1;
        self.counts.bytes_in += len as u64;
        let fate = self.decide(now_us, len);
        match fate {
            Fate::Delivered { at_us, queued_us } => {
                self.counts.queue.add(queued_us);
                self.number += 1;
                self.under_way_len += len;
                let under_way = UnderWay { at_us, number: self.number, len, packet };
                self.under_way.push(Reverse(under_way));
            }
            Fate::Dropped(cause) => self.count(cause),
        }
        fate
    }

    fn decide(&mut self, now_us: Micros, len: usize) -> Fate {
        if self.outages.cover(now_us) {
            return Fate::Dropped(Cause::Outage);
        }
        let on_wire = len + HEADERS_LEN;
        if self.under_way_len + len > UNDER_WAY_BYTES_MAX {
            return Fate::Dropped(Cause::Queue);
        }
        let Some(through_us) = self.through(now_us, on_wire) else {
            return Fate::Dropped(Cause::Queue);
        };
        if let Some(cause) = self.channel.next() {
            return Fate::Dropped(cause);
        }
        let delay_us = micros(self.path.delay_ms + self.jitter.next_ms(through_us));
        let mut at_us = through_us.saturating_add(delay_us);
        if !self.path.reorder {
            at_us = at_us.max(self.last_us);
            self.last_us = at_us;
        }
        Fate::Delivered { at_us, queued_us: through_us - now_us }
    }

    /// When the packet has left the bottleneck; nothing if the queue does not take it.
    fn through(&mut self, now_us: Micros, on_wire: usize) -> Option<Micros> {
        let Some(bottleneck) = &mut self.bottleneck else { return Some(now_us) };
        while self.queue.front().is_some_and(|(left_us, _)| *left_us <= now_us) {
            if let Some((_, len)) = self.queue.pop_front() {
                self.queue_len -= len;
            }
        }
        let start_us = self.free_us.max(now_us);
        let full = match self.path.queue {
            Queue::Ms(ms) => start_us - now_us > ms.saturating_mul(1_000),
            Queue::Bytes(bytes) => self.queue_len + on_wire > bytes,
        };
        if full {
            return None;
        }
        self.free_us = bottleneck.finish(start_us, on_wire as u64 * 8)?;
        self.queue.push_back((self.free_us, on_wire));
        self.queue_len += on_wire;
        Some(self.free_us)
    }

    fn count(&mut self, cause: Cause) {
        let counter = match cause {
            Cause::Loss => &mut self.counts.lost,
            Cause::Burst => &mut self.counts.lost_in_burst,
            Cause::Queue => &mut self.counts.lost_in_queue,
            Cause::Outage => &mut self.counts.lost_in_outage,
        };
        *counter += 1;
    }

    /// When the next packet is due.
    pub fn next_us(&self) -> Option<Micros> {
        self.under_way.peek().map(|Reverse(next)| next.at_us)
    }

    /// The next packet that is due; nothing when none is.
    pub fn pop(&mut self, now_us: Micros) -> Option<P> {
        while self.next_us()? <= now_us {
            let Reverse(due) = self.under_way.pop()?;
            self.under_way_len -= due.len;
            // It was on its way when the way was cut.
            if self.outages.cover(due.at_us) {
                self.count(Cause::Outage);
                continue;
            }
            self.counts.packets_out += 1;
            self.counts.bytes_out += due.len as u64;
            return Some(due.packet);
        }
        None
    }

    /// How long a packet that came now would wait for the bottleneck, in milliseconds.
    pub fn queue_ms(&self, now_us: Micros) -> f64 {
        self.free_us.saturating_sub(now_us) as f64 / 1_000.0
    }

    /// What the bottleneck carries now, in kbit/s; nothing where there is none.
    pub fn rate_kbps(&mut self, now_us: Micros) -> Option<u32> {
        self.bottleneck.as_mut().map(|bottleneck| bottleneck.now(now_us))
    }

    /// The account so far.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Packets that are neither delivered nor lost yet.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }
}

/// When nothing gets through.
#[derive(Debug)]
struct Outages {
    foreseen: Vec<Outage>,
    begun_us: Option<Micros>,
    now: Option<(Micros, Micros)>,
}

impl Outages {
    fn cover(&self, at_us: Micros) -> bool {
        let inside = |(from_us, to_us): (Micros, Micros)| (from_us..to_us).contains(&at_us);
        let foreseen = |begun_us: Micros| {
            let window = |outage: &Outage| {
                let from_us = begun_us + outage.at_ms * 1_000;
                (from_us, from_us + outage.for_ms * 1_000)
            };
            self.foreseen.iter().map(window).any(inside)
        };
        self.now.is_some_and(inside) || self.begun_us.is_some_and(foreseen)
    }
}

/// What comes on top of the delay: the size of a normal process that forgets over time, so that neighbours in time are
/// delayed alike, as a radio link's scheduler and its retransmissions do.
#[derive(Debug)]
struct Jitter {
    deviation_ms: f64,
    memory_ms: f64,
    at_us: Micros,
    deviation: f64,
    rng: Rng,
}

impl Jitter {
    fn new(path: &Path, mut rng: Rng) -> Self {
        let deviation = rng.normal();
        let (deviation_ms, memory_ms) = (path.jitter_ms, path.jitter_memory_ms);
        Self { deviation_ms, memory_ms, at_us: 0, deviation, rng }
    }

    fn next_ms(&mut self, at_us: Micros) -> f64 {
        let passed_ms = at_us.saturating_sub(self.at_us) as f64 / 1_000.0;
        self.at_us = at_us;
        let kept = if self.memory_ms > 0.0 { (-passed_ms / self.memory_ms).exp() } else { 0.0 };
        let fresh = (1.0 - kept * kept).max(0.0).sqrt();
        self.deviation = kept * self.deviation + fresh * self.rng.normal();
        self.deviation_ms * self.deviation.abs()
    }
}
