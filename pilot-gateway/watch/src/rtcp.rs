//! What viewers report and ask for (RFC 3550, 4585, 5104), and the report that goes to them. Whatever cannot be read is
//! passed over.

use std::time::{SystemTime, UNIX_EPOCH};

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const GOODBYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
const GENERIC_NACK: u8 = 1;
const PICTURE_LOSS: u8 = 1;
const FULL_INTRA: u8 = 4;
/// Numbers that one packet may name: a receiver asks for what it misses now, not for a whole stream.
const NACKED_MAX: usize = 512;
/// Seconds from the NTP epoch (1900) to the Unix epoch.
const NTP_OFFSET_S: u64 = 2_208_988_800;

/// Something a viewer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// This packet of this source is missing.
    Missing { ssrc: u32, seq: u16 },
    /// Decoding cannot go on without a keyframe.
    KeyframeWanted,
    /// So much of this source was lost since the report before, in 256ths.
    Lost { ssrc: u32, share_256: u8 },
    /// It leaves.
    Goodbye,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// Tells `heard` what a compound packet says.
pub(crate) fn read(mut compound: &[u8], mut heard: impl FnMut(Said)) {
    let mut nacked = 0;
    while let Some(header) = compound.get(..4) {
        let len = (usize::from(u16::from_be_bytes([header[2], header[3]])) + 1) * 4;
        let (first, kind) = (header[0], header[1]);
        let Some((packet, rest)) = compound.split_at_checked(len).filter(|_| first >> 6 == 2)
        else {
            return;
        };
        read_one(packet, first & 0x1f, kind, &mut nacked, &mut heard);
        compound = rest;
    }
}

fn read_one(packet: &[u8], count: u8, kind: u8, nacked: &mut usize, heard: &mut impl FnMut(Said)) {
    match (kind, count) {
        (SENDER_REPORT, _) => reports(packet.get(28..), heard),
        (RECEIVER_REPORT, _) => reports(packet.get(8..), heard),
        (GOODBYE, _) => heard(Said::Goodbye),
        (PAYLOAD_FEEDBACK, PICTURE_LOSS | FULL_INTRA) => heard(Said::KeyframeWanted),
        (TRANSPORT_FEEDBACK, GENERIC_NACK) => {
            let Some(ssrc) = u32_at(packet, 8) else { return };
            for entry in packet.get(12..).unwrap_or_default().chunks_exact(4) {
                let first = u16::from_be_bytes([entry[0], entry[1]]);
                let more = u16::from_be_bytes([entry[2], entry[3]]);
                let others = (0..16).filter(|bit| more >> bit & 1 == 1).map(|bit| bit + 1);
                for ahead in std::iter::once(0).chain(others) {
                    *nacked += 1;
                    if *nacked > NACKED_MAX {
                        return;
                    }
                    heard(Said::Missing { ssrc, seq: first.wrapping_add(ahead) });
                }
            }
        }
        _other => {}
    }
}

fn reports(blocks: Option<&[u8]>, heard: &mut impl FnMut(Said)) {
    for block in blocks.unwrap_or_default().chunks_exact(24) {
        if let Some(ssrc) = u32_at(block, 0) {
            heard(Said::Lost { ssrc, share_256: block[4] });
        }
    }
}

/// What was sent to a viewer so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) ssrc: u32,
    /// RTP timestamp of now.
    pub(crate) timestamp: u32,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

/// A sender report with the source's name.
pub(crate) fn sender_report(sent: &Sent, cname: &str, wall: SystemTime) -> Vec<u8> {
    let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    let ntp_s = u32::try_from((since.as_secs() + NTP_OFFSET_S) & 0xffff_ffff).unwrap_or(0);
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    let fraction = u32::try_from(fraction).unwrap_or(0);
    let mut report = vec![0x80, SENDER_REPORT, 0, 6];
    let Sent { ssrc, timestamp, packets, octets } = *sent;
    for word in [ssrc, ntp_s, fraction, timestamp, packets, octets] {
        report.extend_from_slice(&word.to_be_bytes());
    }
    // Source description: one chunk with a CNAME (1), ended by at least one zero.
    let name = cname.as_bytes().get(..cname.len().min(32)).unwrap_or_default();
    let mut chunk = ssrc.to_be_bytes().to_vec();
    chunk.extend_from_slice(&[1, u8::try_from(name.len()).unwrap_or(0)]);
    chunk.extend_from_slice(name);
    chunk.resize((chunk.len() + 1).next_multiple_of(4), 0);
    let words = u16::try_from(chunk.len() / 4).unwrap_or(0).to_be_bytes();
    report.extend_from_slice(&[0x81, 202, words[0], words[1]]);
    report.extend_from_slice(&chunk);
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
    use rtc::rtcp::receiver_report::ReceiverReport;
    use rtc::rtcp::reception_report::ReceptionReport;
    use rtc::rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
    use rtc::shared::marshal::{Marshal, Unmarshal};

    fn all(compound: &[u8]) -> Vec<Said> {
        let mut heard = Vec::new();
        read(compound, |said| heard.push(said));
        heard
    }

    #[test]
    fn what_another_implementation_writes_is_read() {
        let report = ReceptionReport { ssrc: 9, fraction_lost: 64, ..Default::default() };
        let report = ReceiverReport { ssrc: 1, reports: vec![report], ..Default::default() };
        let nack = TransportLayerNack {
            sender_ssrc: 1,
            media_ssrc: 9,
            nacks: vec![NackPair { packet_id: 0xffff, lost_packets: 0b101 }],
        };
        let pli = PictureLossIndication { sender_ssrc: 1, media_ssrc: 9 };
        let compound = [
            report.marshal().unwrap().to_vec(),
            nack.marshal().unwrap().to_vec(),
            pli.marshal().unwrap().to_vec(),
        ];
        let missing = |seq| Said::Missing { ssrc: 9, seq };
        assert_eq!(
            all(&compound.concat()),
            [
                Said::Lost { ssrc: 9, share_256: 64 },
                missing(0xffff),
                missing(0),
                missing(2),
                Said::KeyframeWanted
            ]
        );
    }

    #[test]
    fn another_implementation_reads_the_report() {
        let sent = Sent { ssrc: 7, timestamp: 90, packets: 3, octets: 400 };
        let bytes = sender_report(&sent, "longrein", SystemTime::now());
        let mut rest = bytes::Bytes::from(bytes);
        let report = rtc::rtcp::sender_report::SenderReport::unmarshal(&mut rest.split_to(28));
        let report = report.unwrap();
        assert_eq!((report.ssrc, report.packet_count, report.octet_count), (7, 3, 400));
        let described =
            rtc::rtcp::source_description::SourceDescription::unmarshal(&mut rest).unwrap();
        assert_eq!(&described.chunks[0].items[0].text[..], b"longrein");
    }

    #[test]
    fn one_packet_names_a_bounded_number() {
        let mut flood = vec![0x81, TRANSPORT_FEEDBACK];
        flood.extend_from_slice(&(2_u16 + 300).to_be_bytes());
        flood.extend_from_slice(&[0; 8]);
        flood.extend(std::iter::repeat_n(0xff, 300 * 4));
        assert_eq!(all(&flood).len(), NACKED_MAX);
    }

    proptest! {
        #[test]
        fn noise_says_little_and_breaks_nothing(noise in proptest::collection::vec(any::<u8>(), 0..1_500)) {
            let said = all(&noise);
            let named = said.iter().filter(|said| matches!(said, Said::Missing { .. })).count();
            prop_assert!(named <= NACKED_MAX);
            prop_assert!(said.len() <= NACKED_MAX + noise.len() / 4);
        }
    }
}
