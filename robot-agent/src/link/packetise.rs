//! Cuts a frame into RTP packets: H.264 by RFC 6184, packetization mode 1, and VP8 by RFC 7741.

use super::rate::Playout;
use super::video::random_u32;
use crate::media::Codec;
use bytes::Bytes;
use rtc::rtp;
use rtc::rtp::codec::h264::H264Payloader;
use rtc::rtp::codec::vp8::Vp8Payloader;
use rtc::rtp::packetizer::Payloader;
use rtc::shared::error::Error;

/// Payload of one packet: fits a path MTU of 1280 with IPv6, UDP, SRTP, RTP header and extensions.
const PAYLOAD_LEN_MAX: usize = 1_150;
/// In place of the transport-wide sequence number.
const NUMBER_NONE: &[u8] = &[0, 0];

/// One stream's packets.
pub(super) struct Packetiser {
    payloader: Box<dyn Payloader>,
    sequence_number: u16,
    /// Id of the playout-delay extension, if it was negotiated.
    playout_id: Option<u8>,
    /// Id of the number that each packet gets when it leaves, if it was negotiated.
    number_id: Option<u8>,
}

impl Packetiser {
    /// A stream that begins at an unpredictable sequence number (RFC 3550, 5.1).
    pub(super) fn new(codec: Codec, playout_id: Option<u8>, number_id: Option<u8>) -> Self {
        let [low, high, ..] = random_u32().to_le_bytes();
        let sequence_number = u16::from_le_bytes([low, high]);
        let payloader: Box<dyn Payloader> = match codec {
            Codec::H264 => Box::new(H264Payloader::default()),
            Codec::Vp8 => {
                let mut vp8 = Vp8Payloader::default();
                // By its number a receiver knows at once that a picture is missing.
                vp8.enable_picture_id = true;
                Box::new(vp8)
            }
        };
        Self { payloader, sequence_number, playout_id, number_id }
    }

    /// The packets of `frame`, which is shown after `playout_units` of 10 ms, and whose payload is a frame of VP8 or an access unit
    /// in Annex B form. None for one without a picture: parameter sets are kept and go out before the next picture.
    pub(super) fn packets(
        &mut self,
        frame: &rtp::Packet,
        playout_units: u16,
    ) -> Result<Vec<rtp::Packet>, Error> {
        let payloads = self.payloader.payload(PAYLOAD_LEN_MAX, &frame.payload)?;
        let last = payloads.len().saturating_sub(1);
        let playout = Bytes::copy_from_slice(&Playout::bytes(playout_units));
        payloads
            .into_iter()
            .enumerate()
            .map(|(index, payload)| self.packet(&frame.header, index == last, &playout, payload))
            .collect()
    }

    fn packet(
        &mut self,
        header: &rtp::Header,
        marker: bool,
        playout: &Bytes,
        payload: Bytes,
    ) -> Result<rtp::Packet, Error> {
        let sequence_number = self.sequence_number;
        self.sequence_number = sequence_number.wrapping_add(1);
        let mut header = rtp::Header { sequence_number, marker, ..header.clone() };
        if let Some(id) = self.playout_id {
            header.set_extension(id, playout.clone())?;
        }
        if let Some(id) = self.number_id {
            // The number is written on the way out. Its place must be there before: error correction is computed
            // over the packet as the far end gets it, with this number as zero.
            header.set_extension(id, Bytes::from_static(NUMBER_NONE))?;
        }
        Ok(rtp::Packet { header, payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access_unit(len: usize) -> rtp::Packet {
        let mut unit = vec![0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3, 0, 0, 0, 1, 0x65];
        unit.resize(len, 0xaa);
        let header = rtp::Header { version: 2, timestamp: 9, ssrc: 7, ..Default::default() };
        rtp::Packet { header, payload: unit.into() }
    }

    #[test]
    fn packets_count_on_across_frames_and_the_last_of_each_is_marked() {
        count_on(Codec::H264);
        count_on(Codec::Vp8);
    }

    fn count_on(codec: Codec) {
        let mut stream = Packetiser::new(codec, Some(3), Some(4));
        let mut numbers = Vec::new();
        for _frame in 0..2 {
            let packets = stream.packets(&access_unit(4_000), 4).unwrap();
            assert!(packets.len() >= 4, "{}", packets.len());
            for (index, packet) in packets.iter().enumerate() {
                assert!(packet.payload.len() <= PAYLOAD_LEN_MAX);
                assert_eq!(packet.header.marker, index + 1 == packets.len());
                assert_eq!((packet.header.timestamp, packet.header.ssrc), (9, 7));
                assert_eq!(packet.header.get_extension(3).as_deref(), Some(&[0, 0x40, 4][..]));
                assert_eq!(packet.header.get_extension(4).as_deref(), Some(NUMBER_NONE));
                numbers.push(packet.header.sequence_number);
            }
        }
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{numbers:?}");
    }

    #[test]
    fn a_frame_of_vp8_comes_whole_and_tells_where_it_begins_and_its_number() {
        let mut stream = Packetiser::new(Codec::Vp8, None, None);
        for number in 0..300_u16 {
            let frame = access_unit(2_500);
            let packets = stream.packets(&frame, 0).unwrap();
            let mut whole = Vec::new();
            for (index, packet) in packets.iter().enumerate() {
                // RFC 7741, 4.2: X, then S at the frame's first packet, I and the number in one byte or two.
                let begins = if index == 0 { 0x10 } else { 0 };
                assert_eq!(packet.payload[..2], [0x80 | begins, 0x80]);
                let (told, len) = match packet.payload[2] {
                    short @ 0..0x80 => (u16::from(short), 3),
                    long => (u16::from(long & 0x7f) << 8 | u16::from(packet.payload[3]), 4),
                };
                assert_eq!(told, number);
                whole.extend_from_slice(&packet.payload[len..]);
            }
            assert_eq!(whole, frame.payload);
        }
    }

    #[test]
    fn what_has_no_picture_gives_no_packet() {
        let mut stream = Packetiser::new(Codec::H264, None, None);
        let empty = rtp::Packet { header: rtp::Header::default(), payload: Bytes::new() };
        assert_eq!(stream.packets(&empty, 0).unwrap().len(), 0);
    }
}
