//! Forward error correction, where sending again would come too late.
//!
//! Beyond a round trip of about 150 ms a packet that is sent again arrives after the pictures that wait for it have grown old.
//! So each frame is followed by packets that make up for some of its own (FlexFEC, draft-ietf-payload-flexible-fec-scheme-03,
//! which browsers have; its numbers are the stack's). How many depends on what the path loses; they are interleaved, since radio
//! loses packets in runs.

use super::rate::protection;
use super::session::Shared;
use rtc::interceptor::{
    AttributedPacket, FlexFec03Encoder, Interceptor, Packet, StreamInfo, TaggedPacket,
};
use rtc::rtp;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Packets that are protected together at most: what the format's masks can name, and a little less.
const BLOCK_MAX: usize = 100;

struct Protected {
    encoder: FlexFec03Encoder,
    /// The packets of the frame that is passing by.
    block: Vec<rtp::Packet>,
}

/// The interceptor. Weak, because the stack that owns it is owned by the session.
pub(super) struct Fec {
    session: Weak<Shared>,
    /// By source of the video.
    streams: BTreeMap<u32, Protected>,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl Fec {
    pub(super) fn new(session: &Arc<Shared>) -> Self {
        Self {
            session: Arc::downgrade(session),
            streams: BTreeMap::new(),
            reads: VecDeque::new(),
            writes: VecDeque::new(),
        }
    }

    /// What follows a packet.
    fn after(&mut self, packet: &rtp::Packet) -> Vec<rtp::Packet> {
        let Some(stream) = self.streams.get_mut(&packet.header.ssrc) else { return Vec::new() };
        let share = self.session.upgrade().map_or(0.0, |session| protection(&session.path.get()));
        if share == 0.0 {
            stream.block.clear();
            return Vec::new();
        }
        stream.block.push(packet.clone());
        if !packet.header.marker && stream.block.len() < BLOCK_MAX {
            return Vec::new();
        }
        let block = std::mem::take(&mut stream.block);
        stream.encoder.encode(&block, repairs(block.len(), share))
    }
}

/// How many packets protect so many.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
fn repairs(packets: usize, share: f64) -> u32 {
    (packets.min(BLOCK_MAX) as f64 * share).ceil() as u32
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Fec {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, msg: TaggedPacket) -> Result<(), Error> {
        self.reads.push_back(msg);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, msg: TaggedPacket) -> Result<(), Error> {
        let (now, transport) = (msg.now, msg.transport);
        let repair = match &msg.message.packet {
            Packet::Rtp(packet) => self.after(packet),
            _other => Vec::new(),
        };
        self.writes.push_back(msg);
        let tagged = |packet| TaggedPacket {
            now,
            transport,
            message: AttributedPacket::new(Packet::Rtp(packet)),
        };
        self.writes.extend(repair.into_iter().map(tagged));
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }
}

impl Interceptor for Fec {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        // A far end that has no FlexFEC has neither.
        if let (Some(ssrc), Some(payload_type)) = (info.ssrc_fec, info.payload_type_fec) {
            let encoder = FlexFec03Encoder::new(payload_type, ssrc);
            self.streams.insert(info.ssrc, Protected { encoder, block: Vec::new() });
        }
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.streams.remove(&info.ssrc);
    }

    fn bind_remote_stream(&mut self, _info: &StreamInfo) {}

    fn unbind_remote_stream(&mut self, _info: &StreamInfo) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_at_least_one_packet_that_protects_it() {
        assert_eq!(repairs(1, 0.15), 1);
        assert_eq!(repairs(10, 0.25), 3);
        assert_eq!(repairs(10_000, 0.5), 50);
    }
}
