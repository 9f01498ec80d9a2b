//! Our own place in the RTP chain: cuts the frames that leave into packets, reads keyframe requests and reports from
//! what arrives.
//!
//! The stack keeps inbound RTCP to itself; an interceptor is the way to see it. It is also where the negotiated
//! ids of header extensions are told, when a stream is bound.

use super::packetise::Packetiser;
use super::rate::Playout;
use super::session::Shared;
use super::stats::add;
use super::step::Work;
use rtc::interceptor::{Packet, StreamInfo, TaggedPacket};
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtp;
use rtc::shared::error::Error;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

/// Asks the receiver for a playout delay within bounds.
pub(super) const PLAYOUT_DELAY_URI: &str =
    "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
/// Numbers every packet of the connection, for the receiver to report on.
pub(super) const TRANSPORT_CC_URI: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
/// Seconds from the NTP epoch (1900) to the Unix epoch.
const NTP_OFFSET_S: u64 = 2_208_988_800;

/// The work. Weak, because the stack that owns it is owned by the session.
pub(super) struct Tap {
    session: Weak<Shared>,
    /// By source.
    streams: BTreeMap<u32, Packetiser>,
    playout: Playout,
}

impl Tap {
    pub(super) fn new(session: &Arc<Shared>) -> Self {
        Self {
            session: Arc::downgrade(session),
            streams: BTreeMap::new(),
            playout: Playout::default(),
        }
    }

    fn read_rtcp(&self, packet: &dyn rtc::rtcp::Packet) {
        let Some(session) = self.session.upgrade() else { return };
        let any = packet.as_any();
        if let Some(pli) = any.downcast_ref::<PictureLossIndication>() {
            session.keyframe_asked(pli.media_ssrc);
        } else if let Some(fir) = any.downcast_ref::<FullIntraRequest>() {
            for entry in &fir.fir {
                session.keyframe_asked(entry.ssrc);
            }
        } else if let Some(report) = any.downcast_ref::<ReceiverReport>() {
            report.reports.iter().for_each(|report| read_report(&session, report));
        }
    }
}

fn read_report(session: &Shared, report: &ReceptionReport) {
    if session.camera_of(report.ssrc).is_none() {
        return;
    }
    let counters = &session.counters;
    counters.loss_256.store(u32::from(report.fraction_lost), Ordering::Relaxed);
    if let Some(rtt_us) = round_trip_us(report, SystemTime::now()) {
        counters.rtt_us.store(rtt_us.max(1), Ordering::Relaxed);
    }
}

/// RFC 3550, 6.4.1: now, less when our report left, less how long it lay there, all in 1/65536 s.
fn round_trip_us(report: &ReceptionReport, now: SystemTime) -> Option<u64> {
    if report.last_sender_report == 0 {
        return None;
    }
    let since_epoch = now.duration_since(UNIX_EPOCH).ok()?;
    let seconds = since_epoch.as_secs().wrapping_add(NTP_OFFSET_S) & 0xffff;
    let fraction = (u64::from(since_epoch.subsec_nanos()) << 16) / 1_000_000_000;
    let now = u32::try_from(seconds << 16 | fraction).ok()?;
    let ticks = now.wrapping_sub(report.last_sender_report).wrapping_sub(report.delay);
    // More than a minute is a clock that was set, or a report that was made up.
    (ticks < 60 << 16).then(|| u64::from(ticks) * 1_000_000 / 65_536)
}

impl Work for Tap {
    fn inbound(&mut self, message: &mut TaggedPacket) {
        if let Packet::Rtcp(packets) = &message.message.packet {
            packets.iter().for_each(|packet| self.read_rtcp(packet.as_ref()));
        }
    }

    fn outbound(
        &mut self,
        message: TaggedPacket,
        out: &mut VecDeque<TaggedPacket>,
    ) -> Result<(), Error> {
        let Packet::Rtp(frame) = &message.message.packet else {
            out.push_back(message);
            return Ok(());
        };
        let ssrc = frame.header.ssrc;
        let Some(stream) = self.streams.get_mut(&ssrc) else {
            out.push_back(message);
            return Ok(());
        };
        let session = self.session.upgrade();
        let path = session.as_ref().map(|session| session.path.get()).unwrap_or_default();
        let playout_units = self.playout.follow(message.now, &path);
        let packets = stream.packets(frame, playout_units)?;
        if let Some(session) = session {
            let payload_len: usize = packets.iter().map(|packet| packet.payload.len()).sum();
            let count = |n: usize| u64::try_from(n).unwrap_or(0);
            add(&session.counters.packets_sent, count(packets.len()));
            add(&session.counters.bytes_sent, count(payload_len));
            let newest = packets.last().map(|packet| packet.header.sequence_number);
            if let (Some(lane), Some(newest)) = (session.camera_of(ssrc), newest) {
                lane.sent(newest);
            }
            session.counters.playout_ms.store(u32::from(playout_units) * 10, Ordering::Relaxed);
        }
        let tagged = |packet: rtp::Packet| TaggedPacket {
            now: message.now,
            transport: message.transport,
            message: Packet::Rtp(packet).into(),
        };
        out.extend(packets.into_iter().map(tagged));
        Ok(())
    }

    fn bound(&mut self, stream: &StreamInfo) {
        let id = |uri| {
            let extension = stream.rtp_header_extensions.iter().find(|e| e.uri == uri);
            extension.and_then(|e| u8::try_from(e.id).ok())
        };
        if let Some(session) = self.session.upgrade() {
            // Sound comes in packets already.
            if session.camera_of(stream.ssrc).is_some() {
                let (playout, number) = (id(PLAYOUT_DELAY_URI), id(TRANSPORT_CC_URI));
                self.streams.insert(stream.ssrc, Packetiser::new(session.codec, playout, number));
            }
            session.stream_bound(stream.ssrc, stream.payload_type);
        }
    }

    fn unbound(&mut self, stream: &StreamInfo) {
        self.streams.remove(&stream.ssrc);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn round_trip_is_now_less_sent_less_held() {
        let now = UNIX_EPOCH + Duration::from_millis(1_800_000_000_500);
        let sent_ms = 1_800_000_000_400_u64;
        let seconds = (sent_ms / 1_000 + NTP_OFFSET_S) & 0xffff;
        let sent = u32::try_from(seconds << 16 | (sent_ms % 1_000 * 65_536 / 1_000)).unwrap();
        let report =
            ReceptionReport { last_sender_report: sent, delay: 65_536 / 20, ..Default::default() };
        let rtt_us = round_trip_us(&report, now).unwrap();
        assert!((49_900..50_100).contains(&rtt_us), "{rtt_us}");
        assert_eq!(round_trip_us(&ReceptionReport::default(), now), None);
        let made_up = ReceptionReport { delay: u32::MAX / 2, ..report };
        assert_eq!(round_trip_us(&made_up, now), None);
    }
}
