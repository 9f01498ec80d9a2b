//! The newest packets of one robot's video, cut once for all viewers and kept for whoever lost some or comes late.

use bytes::Bytes;
use rtc::rtp::codec::h264::H264Payloader;
use rtc::rtp::packetizer::Payloader;
use std::collections::VecDeque;

/// Payload of one packet: fits a path MTU of 1280 with IPv6, UDP, SRTP and the RTP header.
const PAYLOAD_LEN_MAX: usize = 1_180;
/// What is kept, bytes: eight seconds at 3 Mbit/s, and several of the largest keyframes.
const KEPT_LEN_MAX: usize = 3 << 20;
/// And packets.
const KEPT_PACKETS_MAX: usize = 4_096;
/// The longest frame that is taken.
pub const FRAME_LEN_MAX: usize = 2 << 20;
/// A late viewer gets the pictures since the last keyframe when they are no more than this, bytes: beyond it, what
/// was before is sooner sent anew than caught up with.
const CATCH_UP_LEN_MAX: usize = 256 * 1024;

/// A frame as a robot sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Number at its camera: without gaps while nothing is left out.
    pub seq: u64,
    /// When it was captured, on the robot's monotonic clock, milliseconds.
    pub capture_ms: u64,
    /// Whether decoding can start here.
    pub keyframe: bool,
    /// A whole access unit in Annex B form.
    pub data: Bytes,
}

/// A frame, cut.
#[derive(Debug)]
pub(crate) struct Cut {
    /// Number of its first packet in the stream.
    pub(crate) first: u64,
    /// RTP timestamp, without a viewer's offset.
    pub(crate) timestamp: u32,
    pub(crate) keyframe: bool,
    pub(crate) packets: Vec<Bytes>,
    len: usize,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is the newest in the cache.
    New,
    /// It cannot be decoded after what came before, or at all: a keyframe is needed.
    Broken,
    /// It was there before, or is older.
    Old,
}

/// One stream's packets.
pub(crate) struct Cache {
    payloader: H264Payloader,
    frames: VecDeque<Cut>,
    packets: usize,
    len: usize,
    next: u64,
    seq: Option<u64>,
    /// Set until the next keyframe: what lies between cannot be decoded.
    broken: bool,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            payloader: H264Payloader::default(),
            frames: VecDeque::new(),
            packets: 0,
            len: 0,
            next: 0,
            seq: None,
            broken: true,
        }
    }

    /// Takes the next frame.
    pub(crate) fn take(&mut self, frame: &Frame) -> Taken {
        let restarted = |seq: u64| frame.seq + 1_000 < seq;
        match self.seq {
            Some(seq) if frame.seq <= seq && !restarted(seq) => return Taken::Old,
            Some(seq) if frame.seq != seq.wrapping_add(1) => self.broken = true,
            Some(_) | None => {}
        }
        self.seq = Some(frame.seq);
        let annex_b = frame.data.starts_with(&[0, 0, 0, 1]) || frame.data.starts_with(&[0, 0, 1]);
        let usable = annex_b && frame.data.len() <= FRAME_LEN_MAX;
        if (self.broken && !frame.keyframe) || !usable {
            self.broken = true;
            return Taken::Broken;
        }
        let cut = self.payloader.payload(PAYLOAD_LEN_MAX, &frame.data);
        let packets = cut.unwrap_or_default();
        if packets.is_empty() {
            // Parameter sets alone go out before the next picture; else it was no H.264.
            return if frame.keyframe { Taken::Broken } else { Taken::Old };
        }
        self.broken = false;
        let len = packets.iter().map(Bytes::len).sum();
        // 90 kHz; what does not fit wraps, as it does on the wire.
        let timestamp = (frame.capture_ms.wrapping_mul(90) & u64::from(u32::MAX)) as u32;
        self.packets += packets.len();
        self.len += len;
        let cut = Cut { first: self.next, timestamp, keyframe: frame.keyframe, packets, len };
        self.next += u64::try_from(cut.packets.len()).unwrap_or(0);
        self.frames.push_back(cut);
        self.shorten();
        Taken::New
    }

    fn shorten(&mut self) {
        while self.frames.len() > 1 && (self.len > KEPT_LEN_MAX || self.packets > KEPT_PACKETS_MAX)
        {
            let Some(oldest) = self.frames.pop_front() else { return };
            self.packets -= oldest.packets.len();
            self.len -= oldest.len;
        }
    }

    /// Whether nothing can be shown until a keyframe comes.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// The newest frame.
    pub(crate) fn newest(&self) -> Option<&Cut> {
        self.frames.back()
    }

    /// The frames since the last keyframe, from which a late viewer goes on; none when they are too many, or when the
    /// next one would not follow.
    pub(crate) fn since_keyframe(&self) -> Option<impl ExactSizeIterator<Item = &Cut>> {
        if self.broken {
            return None;
        }
        let start = self.frames.iter().rposition(|cut| cut.keyframe)?;
        let len: usize = self.frames.iter().skip(start).map(|cut| cut.len).sum();
        (len <= CATCH_UP_LEN_MAX).then(|| self.frames.range(start..))
    }

    /// The payload of a packet and whether it ends a frame, while it is kept.
    pub(crate) fn packet(&self, number: u64) -> Option<(&Bytes, bool)> {
        let after = self.frames.partition_point(|cut| cut.first <= number);
        let cut = self.frames.get(after.checked_sub(1)?)?;
        let at = usize::try_from(number.checked_sub(cut.first)?).ok()?;
        let payload = cut.packets.get(at)?;
        Some((payload, at + 1 == cut.packets.len()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An access unit that no decoder shows and every packetiser takes.
    pub(crate) fn frame(seq: u64, keyframe: bool, len: usize) -> Frame {
        let mut data = Vec::new();
        if keyframe {
            data.extend_from_slice(&[0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3]);
        }
        data.extend_from_slice(&[0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }]);
        let to = data.len() + len;
        data.resize(to, 0xaa);
        Frame { seq, capture_ms: 1_000 + seq * 33, keyframe, data: data.into() }
    }

    #[test]
    fn packets_are_found_by_their_number_until_they_are_forgotten() {
        let mut cache = Cache::new();
        assert_eq!(cache.take(&frame(1, true, 3_000)), Taken::New);
        assert_eq!(cache.take(&frame(2, false, 100)), Taken::New);
        let last_of_first = cache.frames[0].packets.len() as u64 - 1;
        let (payload, marker) = cache.packet(last_of_first).unwrap();
        assert!(marker && payload.len() <= PAYLOAD_LEN_MAX);
        assert!(!cache.packet(0).unwrap().1);
        assert!(cache.packet(last_of_first + 1).unwrap().1, "a frame of one packet");
        assert!(cache.packet(last_of_first + 2).is_none());
        for seq in 3..100 {
            cache.take(&frame(seq, seq % 30 == 0, 100_000));
        }
        assert!(cache.packet(0).is_none());
        assert!(cache.len <= KEPT_LEN_MAX && cache.packets <= KEPT_PACKETS_MAX);
        assert_eq!(cache.len, cache.frames.iter().map(|cut| cut.len).sum::<usize>());
        assert_eq!(cache.packets, cache.frames.iter().map(|cut| cut.packets.len()).sum::<usize>());
    }

    #[test]
    fn after_a_gap_nothing_counts_until_a_keyframe() {
        let mut cache = Cache::new();
        assert_eq!(cache.take(&frame(1, false, 9)), Taken::Broken, "it begins with a keyframe");
        assert_eq!(cache.take(&frame(2, true, 9)), Taken::New);
        assert_eq!(cache.take(&frame(2, true, 9)), Taken::Old, "twice");
        assert_eq!(cache.take(&frame(4, false, 9)), Taken::Broken);
        assert!(cache.since_keyframe().is_none());
        assert_eq!(cache.take(&frame(5, false, 9)), Taken::Broken);
        assert_eq!(cache.take(&frame(7, true, 9)), Taken::New);
        assert_eq!(cache.take(&frame(8, false, FRAME_LEN_MAX + 1)), Taken::Broken);
        let noise = Frame { data: Bytes::from_static(b"noise"), ..frame(9, true, 0) };
        assert_eq!(cache.take(&noise), Taken::Broken);
    }

    #[test]
    fn a_robot_that_starts_anew_counts_anew() {
        let mut cache = Cache::new();
        assert_eq!(cache.take(&frame(50_000, true, 9)), Taken::New);
        assert_eq!(cache.take(&frame(49_990, true, 9)), Taken::Old);
        assert_eq!(cache.take(&frame(3, true, 9)), Taken::New);
    }

    #[test]
    fn who_comes_late_catches_up_while_that_is_short() {
        let mut cache = Cache::new();
        for seq in 1..=20 {
            cache.take(&frame(seq, seq == 1 || seq == 11, 1_000));
        }
        assert_eq!(cache.since_keyframe().unwrap().len(), 10);
        assert!(cache.since_keyframe().unwrap().next().unwrap().keyframe);
        cache.take(&frame(21, false, CATCH_UP_LEN_MAX));
        assert!(cache.since_keyframe().is_none());
    }
}
