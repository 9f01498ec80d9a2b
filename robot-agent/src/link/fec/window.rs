//! What protects what: repair packets over a sliding window of frames, in the format of FlexFEC-03.
//!
//! A frame that is protected by itself is lost as soon as two of its lost packets stand in the same sums; at 5 % loss that
//! happens every second, and each time the picture stands for a round trip. Here a repair packet is the sum (exclusive or)
//! of its own frame's packets, or of a random half of all packets of the last five frames. What one frame's repair cannot
//! mend the next one's can, a frame later instead of a round trip. Receivers solve the sums one unknown at a time
//! (peeling, as for LT codes: M. Luby, *LT Codes*, FOCS 2002), so a sum over many packets is worth little: it takes in so
//! many that about one of them is lost.

use bytes::{BufMut, BytesMut};
use rtc::rtp;
use rtc::shared::marshal::Marshal;
use std::collections::VecDeque;

/// Frames, or parts of long ones, that are protected together.
const PARTS_MAX: usize = 5;
/// Packets of a part at most: a keyframe's are not all left waiting for its end.
pub(super) const PART_LEN_MAX: usize = 48;
/// Packets in the window at most; the format's masks can name 109.
const SPAN_MAX: usize = 96;
/// Packets that one repair packet sums up, about.
const COVER: f64 = 28.0;
/// Bytes of an RTP header without extensions; what follows is summed up as it is.
const RTP_HEADER_LEN: usize = 12;
/// Positions that one, two and three masks name.
const MASK_1: usize = 15;
const MASK_2: usize = 46;

/// A packet as the far end gets it.
struct Kept {
    number: u16,
    timestamp: u32,
    bytes: BytesMut,
}

/// The packets of one stream that are still protected.
pub(super) struct Window {
    payload_type: u8,
    ssrc: u32,
    media_ssrc: u32,
    sequence_number: u16,
    /// Consecutive numbers, oldest first.
    kept: VecDeque<Kept>,
    /// Lengths of the parts that are over, oldest first.
    parts: VecDeque<usize>,
    random: u64,
}

impl Window {
    /// Protects the stream `media_ssrc` by packets of a stream of their own.
    pub(super) fn new(payload_type: u8, ssrc: u32, media_ssrc: u32) -> Self {
        Self {
            payload_type,
            ssrc,
            media_ssrc,
            sequence_number: 0,
            kept: VecDeque::new(),
            parts: VecDeque::new(),
            random: u64::from(ssrc) | 1 << 32,
        }
    }

    /// Forgets all packets.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
        self.parts.clear();
    }

    /// Takes in the next packet of the stream.
    pub(super) fn push(&mut self, packet: &rtp::Packet) {
        let number = packet.header.sequence_number;
        if self.kept.back().is_some_and(|last| last.number.wrapping_add(1) != number) {
            self.clear();
        }
        let Ok(bytes) = packet.marshal() else { return self.clear() };
        self.kept.push_back(Kept { number, timestamp: packet.header.timestamp, bytes });
    }

    /// Packets since the last repair.
    pub(super) fn part_len(&self) -> usize {
        self.kept.len() - self.parts.iter().sum::<usize>()
    }

    /// Ends a part: `count` packets that protect it and those before it.
    pub(super) fn repair(&mut self, count: usize) -> Vec<rtp::Packet> {
        let part = self.part_len();
        while self.kept.len() > SPAN_MAX || self.parts.len() >= PARTS_MAX {
            let Some(oldest) = self.parts.pop_front() else { break };
            self.kept.drain(..oldest);
        }
        let before = self.kept.len() - part;
        let repair = (0..count).filter_map(|n| {
            let chances = if n == 0 { first(before, part) } else { further(before, part) };
            let mut covered = self.choose(before, chances);
            if covered.is_empty() {
                covered.push(self.kept.len().checked_sub(1)?);
            }
            self.sum(&covered)
        });
        let repair = repair.collect();
        self.parts.push_back(part);
        repair
    }

    /// Packets by their place in the window: each of the part and each before it by its chance.
    fn choose(&mut self, before: usize, (chance_before, chance_in): (f64, f64)) -> Vec<usize> {
        let mut covered = Vec::with_capacity(self.kept.len());
        for index in 0..self.kept.len() {
            let chance = if index < before { chance_before } else { chance_in };
            if self.unit() < chance {
                covered.push(index);
            }
        }
        covered
    }

    /// 0 to 1. Xorshift (G. Marsaglia, 2003): fast, and good enough to mix.
    fn unit(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 40) as f64 / f64::from(1_u32 << 24)
    }

    /// The packet that repairs any one of those covered.
    fn sum(&mut self, covered: &[usize]) -> Option<rtp::Packet> {
        let packets = || covered.iter().filter_map(|index| self.kept.get(*index));
        let (base, last) = (packets().next()?, packets().next_back()?);
        let reach = usize::from(last.number.wrapping_sub(base.number));
        let body = packets().map(|kept| kept.bytes.len().saturating_sub(RTP_HEADER_LEN)).max()?;
        let mut recovery = [0_u8; 8];
        let (mut masks, mut summed) = ([0_u8; 14], vec![0_u8; body]);
        for kept in packets() {
            let (header, rest) = kept.bytes.split_at_checked(RTP_HEADER_LEN)?;
            let [b0, b1, _, _, t0, t1, t2, t3, ..] = *header else { return None };
            let [l0, l1] = u16::try_from(rest.len()).ok()?.to_be_bytes();
            // Without the version, and with the length in the place of the number.
            let told = [b0 & 0x3f, b1, l0, l1, t0, t1, t2, t3];
            recovery.iter_mut().zip(told).for_each(|(sum, byte)| *sum ^= byte);
            summed.iter_mut().zip(rest).for_each(|(sum, byte)| *sum ^= byte);
            set(&mut masks, usize::from(kept.number.wrapping_sub(base.number)));
        }
        // The last mask that is there says so in its first bit.
        let (last_mask, masks_len) = match reach {
            ..MASK_1 => (0, 2),
            MASK_1..MASK_2 => (2, 6),
            _ => (6, 14),
        };
        *masks.get_mut(last_mask)? |= 0x80;
        let mut payload = BytesMut::with_capacity(18 + masks_len + body);
        payload.put_slice(&recovery);
        // One source, and three bytes reserved.
        payload.put_u32(1 << 24);
        payload.put_u32(self.media_ssrc);
        payload.put_u16(base.number);
        payload.put_slice(masks.get(..masks_len)?);
        payload.put_slice(&summed);
        let timestamp = last.timestamp;
        let sequence_number = self.sequence_number;
        self.sequence_number = sequence_number.wrapping_add(1);
        let header = rtp::Header {
            version: 2,
            payload_type: self.payload_type,
            sequence_number,
            timestamp,
            ssrc: self.ssrc,
            ..Default::default()
        };
        Some(rtp::Packet { header, payload: payload.freeze() })
    }
}

/// Chances of packets before the part and in it to stand in its first repair packet: all of the part, unless it is long.
fn first(before: usize, part: usize) -> (f64, f64) {
    let (before, part) = (before.max(1) as f64, part.max(1) as f64);
    (((COVER - part) / before).clamp(0.0, 0.5), (COVER / part).min(1.0))
}

/// The same in further ones: all alike, so that frames before are mended as well.
fn further(before: usize, part: usize) -> (f64, f64) {
    let chance = (COVER / (before + part).max(1) as f64).min(0.5);
    (chance, chance)
}

/// Sets a position in the masks of 15, 31 and 63 bits, each behind a bit that says whether it is the last.
fn set(masks: &mut [u8; 14], position: usize) {
    let bit = match position {
        ..MASK_1 => position + 1,
        MASK_1..MASK_2 => position + 2,
        _ => position + 3,
    };
    if let Some(byte) = masks.get_mut(bit / 8) {
        *byte |= 0x80 >> (bit % 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use rtc::interceptor::FlexFec03Decoder;

    const MEDIA: u32 = 0x0102_0304;
    const REPAIR: u32 = 0x0102_0306;

    fn packet(number: u16, frame: u32, marker: bool) -> rtp::Packet {
        let mut header = rtp::Header {
            version: 2,
            marker,
            payload_type: 102,
            sequence_number: number,
            timestamp: frame * 3_000,
            ssrc: MEDIA,
            ..Default::default()
        };
        header.set_extension(4, Bytes::from_static(&[0, 0])).unwrap();
        let len = 100 + usize::from(number) * 37 % 1_000;
        let payload = (0..len).map(|n| (n as u16 ^ number.wrapping_mul(7)) as u8).collect();
        rtp::Packet { header, payload }
    }

    /// What became of so many frames of so many packets each.
    #[derive(Debug, Default)]
    struct Fate {
        whole: u32,
        mended_at_once: u32,
        mended_later: u32,
        /// Not whole after five further frames.
        gone: u32,
        repair_packets: usize,
    }

    /// Sends frames over a path that loses packets, to a decoder that is not ours.
    fn send(frames: u32, packets: u16, repairs: usize, loses: impl Fn(u64) -> bool) -> Fate {
        let mut window = Window::new(49, REPAIR, MEDIA);
        let mut decoder = FlexFec03Decoder::new(REPAIR, MEDIA);
        let (mut fate, mut number, mut sent) = (Fate::default(), 65_000_u16, 0_u64);
        let mut missing: VecDeque<(u32, Vec<rtp::Packet>)> = VecDeque::new();
        for frame in 0..frames {
            let mut lost = Vec::new();
            let mut arrived = Vec::new();
            for index in 0..packets {
                let packet = packet(number, frame, index + 1 == packets);
                number = number.wrapping_add(1);
                window.push(&packet);
                sent += 1;
                if loses(sent) { lost.push(packet) } else { arrived.push(packet) }
            }
            let repair = window.repair(repairs);
            fate.repair_packets += repair.len();
            arrived.extend(repair.into_iter().filter(|_| {
                sent += 1;
                !loses(sent)
            }));
            if lost.is_empty() {
                fate.whole += 1;
            } else {
                missing.push_back((frame, lost));
            }
            for recovered in arrived.into_iter().flat_map(|packet| decoder.decode(packet)) {
                for (_, lost) in &mut missing {
                    let same = |lost: &rtp::Packet| {
                        lost.header.sequence_number == recovered.header.sequence_number
                    };
                    if let Some(at) = lost.iter().position(same) {
                        assert_eq!(lost.swap_remove(at), recovered, "mended, not invented");
                    }
                }
            }
            missing.retain(|(of, lost)| {
                let (mended, old) = (lost.is_empty(), of + 5 < frame);
                match (mended, *of == frame) {
                    (true, true) => fate.mended_at_once += 1,
                    (true, false) => fate.mended_later += 1,
                    (false, _) => fate.gone += u32::from(old),
                }
                !mended && !old
            });
        }
        fate
    }

    /// Five in a hundred, by themselves.
    fn five_percent(n: u64) -> bool {
        let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 32)) % 100 < 5
    }

    #[test]
    fn nearly_all_frames_are_mended_within_a_frame_or_two_at_five_percent_loss() {
        for (packets, repairs) in [(2, 2), (7, 3), (12, 5), (20, 8), (40, 15)] {
            let fate = send(6_000, packets, repairs, five_percent);
            assert!(fate.mended_at_once > 300, "{packets}: {fate:?}");
            assert!(fate.mended_later > 0, "{packets}: {fate:?}");
            // A minute has 1,800 frames, and may have three freezes.
            assert!(fate.gone <= 10, "{packets} packets: {fate:?}");
            assert_eq!(fate.repair_packets, 6_000 * repairs);
        }
    }

    #[test]
    fn any_one_packet_of_a_frame_is_mended_at_once() {
        for packets in [1, 2, 15, 16, 30] {
            for lost in 1..=u64::from(packets) {
                let fate = send(1, packets, 1, |n| n == lost);
                let all = packets <= COVER as u16;
                assert!(fate.mended_at_once == 1 || !all, "{lost} of {packets}: {fate:?}");
            }
        }
    }

    #[test]
    fn masks_have_their_bits_where_the_format_wants_them() {
        let masks = |positions: &[usize]| {
            let mut masks = [0; 14];
            positions.iter().for_each(|position| set(&mut masks, *position));
            masks
        };
        assert_eq!(masks(&[0, 14])[..2], [0x40, 0x01]);
        assert_eq!(masks(&[15, 45])[2..6], [0x40, 0, 0, 0x01]);
        assert_eq!(masks(&[46, 108])[6..], [0x40, 0, 0, 0, 0, 0, 0, 0x01]);
    }

    #[test]
    fn the_window_is_bounded_and_a_gap_begins_it_anew() {
        let mut window = Window::new(49, REPAIR, MEDIA);
        let mut number = 0;
        for frame in 0..50 {
            for _ in 0..40 {
                window.push(&packet(number, frame, false));
                number += 1;
            }
            assert_eq!(window.repair(2).len(), 2);
            assert!(window.kept.len() <= SPAN_MAX && window.parts.len() <= PARTS_MAX);
        }
        window.push(&packet(number + 1, 60, true));
        assert_eq!((window.kept.len(), window.part_len()), (1, 1));
        assert_eq!(Window::new(49, REPAIR, MEDIA).repair(3).len(), 0, "nothing to protect");
    }
}
