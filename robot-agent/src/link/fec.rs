//! Forward error correction, where sending again would come too late.
//!
//! Beyond a round trip of about 150 ms a packet that is sent again arrives after the pictures that wait for it have grown old.
//! So each frame is followed by packets that make up for lost ones (FlexFEC, draft-ietf-payload-flexible-fec-scheme-03,
//! which browsers have). How many depends on what the path loses; which protects what, [`window`] decides.

mod window;

use super::rate::protection;
use super::session::Shared;
use super::step::Work;
use rtc::interceptor::{AttributedPacket, Packet, StreamInfo, TaggedPacket};
use rtc::rtp;
use rtc::shared::error::Error;
use rtc::shared::marshal::MarshalSize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use window::{PART_LEN_MAX, Window};

/// From this share on even the smallest frame is followed by two.
const STRONG: f64 = 0.25;
/// How much a frame counts in the mean of what repair costs.
const WEIGHT: f64 = 0.1;

/// The work of protecting. Weak, because the stack that owns it is owned by the session.
pub(super) struct Fec {
    session: Weak<Shared>,
    /// By source of the video.
    streams: BTreeMap<u32, Window>,
    /// Bytes of video and of repair in a frame of late.
    video_len: f64,
    repair_len: f64,
}

impl Fec {
    pub(super) fn new(session: &Arc<Shared>) -> Self {
        let session = Arc::downgrade(session);
        Self { session, streams: BTreeMap::new(), video_len: 0.0, repair_len: 0.0 }
    }

    /// What follows a packet.
    fn after(&mut self, packet: &rtp::Packet) -> Vec<rtp::Packet> {
        let Some(window) = self.streams.get_mut(&packet.header.ssrc) else { return Vec::new() };
        let Some(session) = self.session.upgrade() else { return Vec::new() };
        let share = protection(&session.path.get());
        if share == 0.0 {
            window.clear();
            session.counters.repair_permille.store(0, Ordering::Relaxed);
            (self.video_len, self.repair_len) = (0.0, 0.0);
            return Vec::new();
        }
        window.push(packet);
        self.video_len += WEIGHT * packet.marshal_size() as f64;
        let part = window.part_len();
        if !packet.header.marker && part < PART_LEN_MAX {
            return Vec::new();
        }
        let repair = window.repair(repairs(part, share));
        let repair_len: usize = repair.iter().map(MarshalSize::marshal_size).sum();
        self.repair_len += WEIGHT * repair_len as f64;
        let permille = permille(self.repair_len, self.video_len);
        session.counters.repair_permille.store(permille, Ordering::Relaxed);
        self.video_len *= 1.0 - WEIGHT;
        self.repair_len *= 1.0 - WEIGHT;
        repair
    }
}

/// How many packets protect so many.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
fn repairs(packets: usize, share: f64) -> usize {
    let least = if share >= STRONG { 2 } else { 1 };
    ((packets.min(PART_LEN_MAX) as f64 * share).ceil() as usize).max(least)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 3,000")]
fn permille(repair_len: f64, video_len: f64) -> u32 {
    (repair_len / video_len.max(1.0) * 1e3).clamp(0.0, 3e3) as u32
}

impl Work for Fec {
    fn outbound(
        &mut self,
        message: TaggedPacket,
        out: &mut VecDeque<TaggedPacket>,
    ) -> Result<(), Error> {
        let (now, transport) = (message.now, message.transport);
        let repair = match &message.message.packet {
            Packet::Rtp(packet) => self.after(packet),
            _other => Vec::new(),
        };
        out.push_back(message);
        let tagged = |packet| TaggedPacket {
            now,
            transport,
            message: AttributedPacket::new(Packet::Rtp(packet)),
        };
        out.extend(repair.into_iter().map(tagged));
        Ok(())
    }

    fn bound(&mut self, stream: &StreamInfo) {
        // A far end that has no FlexFEC has neither.
        if let (Some(ssrc), Some(payload_type)) = (stream.ssrc_fec, stream.payload_type_fec) {
            self.streams.insert(stream.ssrc, Window::new(payload_type, ssrc, stream.ssrc));
        }
    }

    fn unbound(&mut self, stream: &StreamInfo) {
        self.streams.remove(&stream.ssrc);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_followed_by_repair_and_small_ones_by_more_where_much_is_lost() {
        assert_eq!(repairs(1, 0.15), 1);
        assert_eq!(repairs(1, 0.32), 2);
        assert_eq!(repairs(10, 0.25), 3);
        assert_eq!(repairs(10_000, 0.5), 24);
    }

    #[test]
    fn what_repair_costs_is_a_share_of_the_video() {
        assert_eq!(permille(300.0, 1_000.0), 300);
        assert_eq!((permille(5.0, 0.0), permille(0.0, 0.0)), (3_000, 0));
    }
}
