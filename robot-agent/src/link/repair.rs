//! Lost packets are sent again within a budget, and not again and again.
//!
//! A browser asks for a packet every 100 ms or so until it comes, whatever the round trip. Answered each time, a path that
//! is full gets many times what it could not carry in the first place, and nothing comes through any more. So a packet goes
//! out again at most once in a round trip, all of them together get a share of the bitrate, and what the budget does not
//! cover is not repaired: the next picture then begins anew. So it does when many packets at once did not fit into a queue:
//! by the time they had come through, newer pictures would wait behind them.

use super::session::Shared;
use super::stats::add;
use super::step::Work;
use rtc::interceptor::{Packet, TaggedPacket};
use rtc::rtcp;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Share of the bitrate for repair.
const SHARE: f64 = 0.3;
/// Bytes that may be repaired at once, where little or nothing is known of the path, and the time for which unspent budget is
/// kept.
const BURST_LEN_MIN: f64 = 16_000.0;
const BURST: Duration = Duration::from_millis(400);
/// Bitrate that is assumed while nothing is known, bits a second.
const UNKNOWN_BPS: f64 = 3e6;
/// What a packet counts.
const PACKET_LEN: f64 = 1_200.0;
/// The same packet again not before so long.
const AGAIN_MIN: Duration = Duration::from_millis(25);
/// Packets that are remembered for each stream.
const REMEMBERED: usize = 2_048;
/// So many packets that are asked for at once, behind so long a queue (ms), are not worth sending again.
const HOPELESS_PACKETS: usize = 8;
const HOPELESS_QUEUE_MS: f64 = 80.0;

/// The budget, and what was sent again when.
#[derive(Debug, Default)]
struct Ledger {
    bytes: f64,
    refilled: Option<Instant>,
    again: HashMap<(u32, u16), Instant>,
}

impl Ledger {
    fn refill(&mut self, now: Instant, target_bps: f64) {
        let per_s = SHARE * target_bps / 8.0;
        let most = (per_s * BURST.as_secs_f64()).max(BURST_LEN_MIN);
        self.bytes = match self.refilled.replace(now) {
            None => most,
            Some(at) => {
                let passed = now.saturating_duration_since(at).as_secs_f64();
                (self.bytes + per_s * passed).min(most)
            }
        };
    }

    /// Whether the packet goes out again; `None` when the budget does not cover it.
    fn grant(&mut self, packet: (u32, u16), now: Instant, not_before: Duration) -> Option<bool> {
        let recent = |at: &Instant| now.saturating_duration_since(*at) < not_before;
        if self.again.get(&packet).is_some_and(recent) {
            return Some(false);
        }
        if self.bytes < PACKET_LEN {
            return None;
        }
        self.bytes -= PACKET_LEN;
        if self.again.len() >= REMEMBERED {
            self.again.retain(|_, at| recent(at));
            if self.again.len() >= REMEMBERED {
                self.again.clear();
            }
        }
        self.again.insert(packet, now);
        Some(true)
    }
}

/// The work between the wire and what answers requests. Weak, because the stack that owns it is owned by the
/// session.
pub(super) struct Repair {
    session: Weak<Shared>,
    ledger: Ledger,
}

impl Repair {
    pub(super) fn new(session: &Arc<Shared>) -> Self {
        Self { session: Arc::downgrade(session), ledger: Ledger::default() }
    }

    /// What is left of a request.
    fn granted(&mut self, nack: &TransportLayerNack, now: Instant) -> Option<TransportLayerNack> {
        let session = self.session.upgrade()?;
        let path = session.path.get();
        self.ledger.refill(now, path.target_bps.unwrap_or(UNKNOWN_BPS));
        let not_before = path.round_trip.unwrap_or_default().max(AGAIN_MIN);
        let source = nack.media_ssrc;
        let asked = || nack.nacks.iter().flat_map(|pair| pair.packet_list());
        add(&session.counters.packets_nacked, u64::try_from(asked().count()).unwrap_or(0));
        let lane = session.camera_of(source);
        let wanted: Vec<u16> = asked()
            .filter(|number| lane.is_none_or(|lane| !lane.is_given_up(*number, now)))
            .take(REMEMBERED)
            .collect();
        let mut granted = Vec::new();
        let mut hopeless = wanted.len() >= HOPELESS_PACKETS && path.queue_ms > HOPELESS_QUEUE_MS;
        if !hopeless {
            for number in wanted {
                match self.ledger.grant((source, number), now, not_before) {
                    Some(true) => granted.push(number),
                    Some(false) => {}
                    None => hopeless = true,
                }
            }
        }
        if hopeless && let Some(lane) = lane {
            session.begin_anew(lane, now);
        }
        let nacks = nack_pairs_from_sequence_numbers(&granted);
        (!granted.is_empty()).then(|| TransportLayerNack { nacks, ..nack.clone() })
    }
}

impl Work for Repair {
    fn inbound(&mut self, message: &mut TaggedPacket) {
        let Packet::Rtcp(packets) = &mut message.message.packet else { return };
        let now = message.now;
        let mut left: Vec<Box<dyn rtcp::Packet>> = Vec::with_capacity(packets.len());
        for packet in packets.drain(..) {
            match packet.as_any().downcast_ref::<TransportLayerNack>() {
                None => left.push(packet),
                Some(nack) => {
                    left.extend(self.granted(nack, now).map(|nack| Box::new(nack) as Box<_>));
                }
            }
        }
        *packets = left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_goes_out_again_once_in_a_round_trip() {
        let (mut ledger, start) = (Ledger::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let round_trip = Duration::from_millis(300);
        ledger.refill(at(0), 1e6);
        assert_eq!(ledger.grant((1, 7), at(0), round_trip), Some(true));
        for ms in [100, 200, 299] {
            assert_eq!(ledger.grant((1, 7), at(ms), round_trip), Some(false));
        }
        assert_eq!(ledger.grant((2, 7), at(300), round_trip), Some(true));
        assert_eq!(ledger.grant((1, 7), at(300), round_trip), Some(true));
    }

    #[test]
    fn repair_stays_a_share_of_the_bitrate_and_its_memory_bounded() {
        let (mut ledger, start) = (Ledger::default(), Instant::now());
        let target_bps = 1e6;
        let mut granted = 0;
        for n in 0..100_000_u32 {
            let now = start + Duration::from_micros(u64::from(n) * 100);
            ledger.refill(now, target_bps);
            let packet = (n >> 16, (n & 0xffff) as u16);
            granted += u32::from(ledger.grant(packet, now, AGAIN_MIN) == Some(true));
        }
        // Ten seconds, and what may be spent at once.
        let most = (10.0 * SHARE * target_bps / 8.0 + BURST_LEN_MIN) / PACKET_LEN;
        assert!(f64::from(granted) <= most + 1.0, "{granted} > {most}");
        assert!(f64::from(granted) > 0.9 * (most - BURST_LEN_MIN / PACKET_LEN), "{granted}");
        assert!(ledger.again.len() <= REMEMBERED);
    }
}
