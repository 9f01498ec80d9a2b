//! Sound: Opus to the driver's end in a track of its own, and the driver's voice back.

use super::LinkEvent;
use super::session::Shared;
use super::video::random_u32;
use bytes::{BufMut, Bytes, BytesMut};
use protocol::units::MonoMs;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::MIME_TYPE_OPUS;
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RtpCodecKind,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use tokio::sync::mpsc;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::MediaEngine;

/// RTP payload type of sound in packets that [`LinkEvent::Audio`] tells.
pub const AUDIO_PAYLOAD_TYPE: u8 = 111;
/// Mono or stereo is the sender's choice; errors of the way are mended from the packet that follows.
const OPUS_FMTP: &str = "minptime=10;useinbandfec=1";
/// Packets of 20 ms waiting to be sent; what is later is dropped.
const QUEUE_MAX: usize = 5;
/// Packets of sound that are taken in a second: Opus has 400 at most, browsers send 50.
const PER_SECOND_MAX: u32 = 120;

/// One packet from the microphone, with its RTP timestamp.
pub(super) type Spoken = (u32, Bytes);

/// What the RTP chain needs to know of the sound.
#[derive(Debug)]
pub(super) struct AudioLane {
    pub(super) ssrc: u32,
    queue: mpsc::Sender<Spoken>,
    /// 0 until negotiated.
    payload_type: AtomicU8,
    /// The driver's first track of sound is listened to, and no other.
    heard: AtomicBool,
}

impl AudioLane {
    pub(super) fn new() -> (Self, mpsc::Receiver<Spoken>) {
        let (queue, spoken) = mpsc::channel(QUEUE_MAX);
        let lane = Self {
            ssrc: random_u32(),
            queue,
            payload_type: AtomicU8::new(0),
            heard: AtomicBool::new(false),
        };
        (lane, spoken)
    }

    /// Queues a packet, or drops it: late sound is worth nothing.
    pub(super) fn offer(&self, timestamp: u32, packet: Bytes) {
        if self.payload_type.load(Ordering::Acquire) != 0 {
            self.queue.try_send((timestamp, packet)).unwrap_or_default();
        }
    }

    pub(super) fn bind(&self, payload_type: u8) {
        self.payload_type.store(payload_type, Ordering::Release);
    }

    /// The track that the microphone is heard on.
    pub(super) fn track(&self) -> TrackLocalStaticRTP {
        let coding = RTCRtpCodingParameters { ssrc: Some(self.ssrc), ..Default::default() };
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: coding,
            codec: opus(),
            ..Default::default()
        };
        // A stream of its own: pictures do not wait for sound.
        let name = "microphone".to_owned();
        let (kind, encodings) = (RtpCodecKind::Audio, vec![encoding]);
        let track = MediaStreamTrack::new(name.clone(), name.clone(), name, kind, encodings);
        TrackLocalStaticRTP::new(track)
    }
}

fn opus() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: MIME_TYPE_OPUS.to_owned(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: OPUS_FMTP.to_owned(),
        rtcp_feedback: Vec::new(),
    }
}

/// Lets the stack negotiate sound.
pub(super) fn register(media: &mut MediaEngine) -> webrtc::error::Result<()> {
    let codec = RTCRtpCodecParameters { rtp_codec: opus(), payload_type: AUDIO_PAYLOAD_TYPE };
    media.register_codec(codec, RtpCodecKind::Audio)
}

/// Sends what the microphone hears until the session is over.
pub(super) async fn run(
    mut spoken: mpsc::Receiver<Spoken>,
    track: Arc<TrackLocalStaticRTP>,
    shared: Arc<Shared>,
) {
    let Some(lane) = shared.audio() else { return };
    let [low, high, ..] = random_u32().to_le_bytes();
    let (mut sequence_number, offset) = (u16::from_le_bytes([low, high]), random_u32());
    loop {
        let packet = tokio::select! {
            () = shared.until_closed() => return,
            packet = spoken.recv() => packet,
        };
        let Some((timestamp, payload)) = packet else { return };
        sequence_number = sequence_number.wrapping_add(1);
        let header = rtp::Header {
            version: 2,
            payload_type: lane.payload_type.load(Ordering::Acquire),
            sequence_number,
            timestamp: timestamp.wrapping_add(offset),
            ssrc: lane.ssrc,
            ..Default::default()
        };
        if let Err(error) = track.write_rtp(rtp::Packet { header, payload }).await {
            // The pictures find out by themselves; sound alone ends no drive.
            tracing::debug!(%error, "the connection takes no more sound");
            return;
        }
    }
}

/// Reads a track of the driver's end: sound is told, everything else is thrown away.
pub(super) async fn receive(track: Arc<dyn TrackRemote>, shared: Arc<Shared>) {
    let sound = track.kind().await == RtpCodecKind::Audio;
    let first = |lane: &AudioLane| !lane.heard.swap(true, Ordering::AcqRel);
    let told = sound && shared.audio().is_some_and(first);
    let mut pace = Pace::default();
    loop {
        let event = tokio::select! {
            () = shared.until_closed() => return,
            event = track.poll() => event,
        };
        match event {
            Some(TrackRemoteEvent::OnRtpPacket(packet)) if told => {
                if pace.lets(crate::clock::mono_ms()) {
                    shared.tell(LinkEvent::Audio(plain(&packet)));
                }
            }
            Some(TrackRemoteEvent::OnEnded) | None => return,
            Some(_other) => {}
        }
    }
}

/// Lets [`PER_SECOND_MAX`] packets through.
#[derive(Debug, Default)]
struct Pace {
    since: MonoMs,
    count: u32,
}

impl Pace {
    fn lets(&mut self, now: MonoMs) -> bool {
        if now.since(self.since) >= 1_000 {
            *self = Self { since: now, count: 0 };
        }
        self.count += 1;
        self.count <= PER_SECOND_MAX
    }
}

/// The packet with nothing but what playing needs.
fn plain(packet: &rtp::Packet) -> Bytes {
    let rtp::Header { sequence_number, timestamp, ssrc, .. } = packet.header;
    let mut bytes = BytesMut::with_capacity(12 + packet.payload.len());
    bytes.put_u8(0x80);
    bytes.put_u8(AUDIO_PAYLOAD_TYPE);
    bytes.put_u16(sequence_number);
    bytes.put_u32(timestamp);
    bytes.put_u32(ssrc);
    bytes.put_slice(&packet.payload);
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_sound_is_thinned() {
        let mut pace = Pace::default();
        let let_through = (0..3_000).filter(|n| pace.lets(MonoMs(10_000 + n / 2))).count();
        assert_eq!(let_through, 2 * usize::try_from(PER_SECOND_MAX).unwrap());
    }

    #[test]
    fn a_packet_keeps_its_place_in_the_stream_and_its_sound() {
        let header = rtp::Header {
            version: 2,
            payload_type: 63,
            sequence_number: 0x0102,
            timestamp: 0x0304_0506,
            ssrc: 0x0708_090a,
            ..Default::default()
        };
        let packet = rtp::Packet { header, payload: Bytes::from_static(&[9, 8]) };
        assert_eq!(plain(&packet)[..], [0x80, 111, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 9, 8]);
    }

    #[test]
    fn nothing_is_queued_before_sound_is_negotiated_nor_beyond_a_tenth_of_a_second() {
        let (lane, mut spoken) = AudioLane::new();
        lane.offer(0, Bytes::new());
        lane.bind(111);
        (1..=20).for_each(|n| lane.offer(n, Bytes::new()));
        let queued: Vec<u32> = std::iter::from_fn(|| spoken.try_recv().ok()).map(|s| s.0).collect();
        assert_eq!(queued, [1, 2, 3, 4, 5]);
    }
}
