//! Counters of a session.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A snapshot of a session's counters, since its start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LinkStats {
    /// Whether the driver's end is connected now.
    pub connected: bool,
    /// Why the session ended, once it has.
    pub closed_why: Option<String>,
    /// Frames handed to the network, all cameras.
    pub frames_sent: u64,
    /// Frames dropped because the link did not take them, or while waiting for a keyframe.
    pub frames_dropped: u64,
    /// RTP packets handed to the network, first transmissions.
    pub packets_sent: u64,
    /// Their payload, bytes.
    pub bytes_sent: u64,
    /// Packets that the driver's end asked to have again.
    pub packets_nacked: u64,
    /// Keyframes that it asked for.
    pub keyframes_asked: u64,
    /// Share of video packets lost on the way in its newest report, 0 to 1.
    pub loss: f64,
    /// Round trip by RTCP in its newest report, milliseconds; `None` before the first.
    pub rtt_ms: Option<f64>,
    /// For how long the driver's end is asked to keep pictures back, milliseconds.
    pub playout_ms: u32,
    /// Drive packets that arrived.
    pub drive_received: u64,
    /// Messages dropped unread: too long, of the wrong kind, or faster than any driver sends.
    pub inbound_refused: u64,
    /// Packets that were not even read: of strangers, or too many of them.
    pub packets_refused: u64,
    /// Telemetry packets overtaken by a newer one, or not taken by the link.
    pub telemetry_dropped: u64,
}

/// The live counters, written by many tasks.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) frames_sent: AtomicU64,
    pub(super) frames_dropped: AtomicU64,
    pub(super) packets_sent: AtomicU64,
    pub(super) bytes_sent: AtomicU64,
    pub(super) packets_nacked: AtomicU64,
    pub(super) keyframes_asked: AtomicU64,
    /// In 1/256, as RTCP has it.
    pub(super) loss_256: AtomicU32,
    /// Microseconds; 0 for unknown.
    pub(super) rtt_us: AtomicU64,
    /// Bytes of repair for each thousand of video.
    pub(super) repair_permille: AtomicU32,
    pub(super) playout_ms: AtomicU32,
    pub(super) drive_received: AtomicU64,
    pub(super) inbound_refused: AtomicU64,
    pub(super) telemetry_dropped: AtomicU64,
    pub(super) closed_why: OnceLock<String>,
}

/// Adds `n` to a counter.
pub(super) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn snapshot(&self, connected: bool) -> LinkStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let rtt_us = get(&self.rtt_us);
        LinkStats {
            connected,
            closed_why: self.closed_why.get().cloned(),
            frames_sent: get(&self.frames_sent),
            frames_dropped: get(&self.frames_dropped),
            packets_sent: get(&self.packets_sent),
            bytes_sent: get(&self.bytes_sent),
            packets_nacked: get(&self.packets_nacked),
            keyframes_asked: get(&self.keyframes_asked),
            loss: f64::from(self.loss_256.load(Ordering::Relaxed)) / 256.0,
            rtt_ms: (rtt_us > 0).then(|| milliseconds(rtt_us)),
            playout_ms: self.playout_ms.load(Ordering::Relaxed),
            drive_received: get(&self.drive_received),
            inbound_refused: get(&self.inbound_refused),
            packets_refused: 0,
            telemetry_dropped: get(&self.telemetry_dropped),
        }
    }
}

fn milliseconds(micros: u64) -> f64 {
    std::time::Duration::from_micros(micros).as_secs_f64() * 1_000.0
}
