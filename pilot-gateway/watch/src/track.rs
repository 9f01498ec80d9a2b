//! What one viewer is sent: its own source and numbers, what it gets again, and how much of the stream its path carries.
//! Pure.

use crate::bucket::Bucket;
use crate::cache::{Cache, Cut};
use crate::rtcp::Sent;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// Packets of which it is known what they were; a viewer that asks for older ones is too late.
const REMEMBERED: usize = 1_024;
/// A packet is not sent again more often, nor sooner: the last time may still be under way.
const AGAIN_MAX: u8 = 4;
const AGAIN_AFTER: Duration = Duration::from_millis(12);
/// What one viewer may have sent again: so many bytes at once, and each second.
const AGAIN_BURST_LEN: u32 = 192 * 1024;
const AGAIN_LEN_PER_S: f64 = 160_000.0;
/// Keyframes that one viewer may ask for. A robot makes one every two seconds anyway.
const KEYFRAMES_BURST: u32 = 3;
const KEYFRAMES_PER_S: f64 = 0.3;
/// A path that loses this much of all packets, twice in a row, does not carry the stream.
const THIN_ABOVE_256: u8 = 64;
/// How long a viewer then gets keyframes only: at first, and after the stream proved too much again and again.
const THIN_FOR: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(64));
/// After this long without trouble the path counts as good.
const GOOD_AFTER: Duration = Duration::from_secs(20);
/// Frames that catch up are this far apart for the player, in ticks of 90 kHz: it shows them at once.
const CATCH_UP_TICKS: u32 = 90;

/// The header and payload of a packet that goes out, not encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Out<'a> {
    pub(crate) payload_type: u8,
    pub(crate) marker: bool,
    pub(crate) seq: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    /// Before the payload: the number of the packet that is sent again.
    pub(crate) original: Option<u16>,
    pub(crate) payload: &'a Bytes,
}

#[derive(Debug, Clone, Copy)]
struct Past {
    seq: u16,
    number: u64,
    timestamp: u32,
    again: u8,
    at: Instant,
}

/// Names and numbers of a track, unpredictable ones (RFC 3550, 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begin {
    pub(crate) ssrc: u32,
    pub(crate) rtx_ssrc: u32,
    pub(crate) seq: u16,
    pub(crate) rtx_seq: u16,
    pub(crate) timestamp: u32,
}

/// One viewer's track.
#[derive(Debug)]
pub(crate) struct Track {
    payload_type: u8,
    rtx: Option<u8>,
    begin: Begin,
    seq: u16,
    rtx_seq: u16,
    /// Whether the next frame has to be a keyframe.
    awaits_keyframe: bool,
    newest_timestamp: u32,
    past: Vec<Option<Past>>,
    again: Bucket,
    keyframes: Bucket,
    health: Health,
    packets: u32,
    octets: u32,
}

impl Track {
    pub(crate) fn new(payload_type: u8, rtx: Option<u8>, begin: Begin, now: Instant) -> Self {
        Self {
            payload_type,
            rtx,
            begin,
            seq: begin.seq,
            rtx_seq: begin.rtx_seq,
            awaits_keyframe: true,
            newest_timestamp: begin.timestamp,
            past: vec![None; REMEMBERED],
            again: Bucket::new(AGAIN_BURST_LEN, AGAIN_LEN_PER_S, now),
            keyframes: Bucket::new(KEYFRAMES_BURST, KEYFRAMES_PER_S, now),
            health: Health::new(now),
            packets: 0,
            octets: 0,
        }
    }

    /// Whether nothing can go out until a keyframe comes.
    pub(crate) const fn awaits_keyframe(&self) -> bool {
        self.awaits_keyframe
    }

    /// Sends the stream's newest frame, if this viewer is to get it.
    pub(crate) fn send<'c>(&mut self, cut: &'c Cut, now: Instant, out: impl FnMut(Out<'c>)) {
        if !cut.keyframe && (self.awaits_keyframe || self.health.is_thin(now)) {
            // What follows a frame that was left out cannot be decoded.
            self.awaits_keyframe = true;
            return;
        }
        self.awaits_keyframe = false;
        let timestamp = cut.timestamp.wrapping_add(self.begin.timestamp);
        self.send_as(cut, timestamp, now, out);
    }

    /// Sends what came since the last keyframe at once, to a viewer that has nothing yet.
    pub(crate) fn catch_up<'c>(
        &mut self,
        cache: &'c Cache,
        now: Instant,
        mut out: impl FnMut(Out<'c>),
    ) {
        let Some(frames) = cache.since_keyframe().filter(|_| self.awaits_keyframe) else { return };
        let Some(newest) = cache.newest().map(|cut| cut.timestamp) else { return };
        self.awaits_keyframe = false;
        let (newest, count) = (newest.wrapping_add(self.begin.timestamp), frames.len());
        for (nth, cut) in (1..).zip(frames) {
            let behind = u32::try_from(count.saturating_sub(nth)).unwrap_or(0);
            let timestamp = newest.wrapping_sub(behind.wrapping_mul(CATCH_UP_TICKS));
            self.send_as(cut, timestamp, now, &mut out);
        }
    }

    fn send_as<'c>(
        &mut self,
        cut: &'c Cut,
        timestamp: u32,
        now: Instant,
        mut out: impl FnMut(Out<'c>),
    ) {
        self.newest_timestamp = timestamp;
        let last = cut.packets.len().saturating_sub(1);
        for ((at, payload), number) in cut.packets.iter().enumerate().zip(cut.first..) {
            let seq = self.seq;
            self.seq = seq.wrapping_add(1);
            if let Some(slot) = self.past.get_mut(usize::from(seq) % REMEMBERED) {
                *slot = Some(Past { seq, number, timestamp, again: 0, at: now });
            }
            self.packets = self.packets.wrapping_add(1);
            self.octets = self.octets.wrapping_add(u32::try_from(payload.len()).unwrap_or(0));
            out(Out {
                payload_type: self.payload_type,
                marker: at == last,
                seq,
                timestamp,
                ssrc: self.begin.ssrc,
                original: None,
                payload,
            });
        }
    }

    /// The packet that this viewer misses, to be sent again: while it is kept, not too often and within its budget.
    pub(crate) fn missing<'c>(
        &mut self,
        seq: u16,
        cache: &'c Cache,
        now: Instant,
    ) -> Option<Out<'c>> {
        let slot = self.past.get_mut(usize::from(seq) % REMEMBERED)?;
        let past = slot.as_mut().filter(|past| past.seq == seq && past.again < AGAIN_MAX)?;
        if now.saturating_duration_since(past.at) < AGAIN_AFTER {
            return None;
        }
        let (payload, marker) = cache.packet(past.number)?;
        if !self.again.take(payload.len(), now) {
            return None;
        }
        past.again += 1;
        past.at = now;
        let timestamp = past.timestamp;
        let Some(payload_type) = self.rtx else {
            let (payload_type, ssrc) = (self.payload_type, self.begin.ssrc);
            return Some(Out {
                payload_type,
                marker,
                seq,
                timestamp,
                ssrc,
                original: None,
                payload,
            });
        };
        let rtx_seq = self.rtx_seq;
        self.rtx_seq = rtx_seq.wrapping_add(1);
        let (ssrc, original) = (self.begin.rtx_ssrc, Some(seq));
        Some(Out { payload_type, marker, seq: rtx_seq, timestamp, ssrc, original, payload })
    }

    /// The viewer asks for a keyframe. True when the wish counts.
    pub(crate) fn wants_keyframe(&mut self, now: Instant) -> bool {
        self.keyframes.take(1, now)
    }

    /// The viewer reports how much it lost of this source.
    pub(crate) fn lost(&mut self, ssrc: u32, share_256: u8, now: Instant) {
        if ssrc == self.begin.ssrc {
            self.health.reported(share_256, now);
        }
    }

    /// What was sent so far, for a report.
    pub(crate) const fn sent(&self) -> Sent {
        Sent {
            ssrc: self.begin.ssrc,
            timestamp: self.newest_timestamp,
            packets: self.packets,
            octets: self.octets,
        }
    }
}

/// Whether a path carries the stream.
#[derive(Debug)]
struct Health {
    /// Reports in a row of a path that does not.
    bad: u8,
    thin_until: Option<Instant>,
    thin_for: Duration,
    trouble: Instant,
}

impl Health {
    const fn new(now: Instant) -> Self {
        Self { bad: 0, thin_until: None, thin_for: THIN_FOR.0, trouble: now }
    }

    fn reported(&mut self, share_256: u8, now: Instant) {
        if share_256 < THIN_ABOVE_256 {
            self.bad = 0;
            if now.saturating_duration_since(self.trouble) > GOOD_AFTER + self.thin_for {
                self.thin_for = THIN_FOR.0;
            }
            return;
        }
        self.bad = self.bad.saturating_add(1);
        if self.bad >= 2 && !self.is_thin(now) {
            self.bad = 0;
            self.trouble = now;
            self.thin_until = Some(now + self.thin_for);
            self.thin_for = (self.thin_for * 2).min(THIN_FOR.1);
        }
    }

    fn is_thin(&self, now: Instant) -> bool {
        self.thin_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::tests::frame;

    const BEGIN: Begin = Begin { ssrc: 1, rtx_ssrc: 2, seq: 65_530, rtx_seq: 9, timestamp: 77 };

    struct Scene {
        cache: Cache,
        track: Track,
        now: Instant,
        seq: u64,
    }

    impl Scene {
        fn new(rtx: Option<u8>) -> Self {
            let now = Instant::now();
            let track = Track::new(96, rtx, BEGIN, now);
            Self { cache: Cache::new(), track, now, seq: 0 }
        }

        /// One frame at 30 a second; what goes out of it.
        fn frame(&mut self, keyframe: bool, len: usize) -> Vec<u16> {
            self.seq += 1;
            self.now += Duration::from_millis(33);
            self.cache.take(&frame(self.seq, keyframe, len));
            let mut seqs = Vec::new();
            let cut = self.cache.newest().unwrap();
            self.track.send(cut, self.now, |out| seqs.push(out.seq));
            seqs
        }

        fn missing(&mut self, seq: u16) -> Option<(u32, Option<u16>)> {
            let out = self.track.missing(seq, &self.cache, self.now);
            out.map(|out| (out.ssrc, out.original))
        }
    }

    #[test]
    fn a_viewer_begins_with_a_keyframe_and_counts_its_own_packets() {
        let mut scene = Scene::new(None);
        scene.cache.take(&frame(1, true, 9));
        scene.seq = 1;
        assert!(scene.frame(false, 9).is_empty(), "no keyframe yet");
        assert_eq!(scene.frame(true, 9), [65_530, 65_531], "parameter sets, picture");
        assert_eq!(scene.frame(false, 5_000), [65_532, 65_533, 65_534, 65_535, 0]);
        let sent = scene.track.sent();
        assert_eq!((sent.ssrc, sent.packets), (1, 7));
    }

    #[test]
    fn what_is_missing_is_sent_again_by_its_own_source_and_not_endlessly() {
        let mut scene = Scene::new(Some(97));
        scene.frame(true, 3_000);
        assert_eq!(scene.missing(65_530), None, "it was only just sent");
        let mut times = 0;
        for _ in 0..20 {
            scene.now += Duration::from_millis(13);
            let again = scene.missing(65_531);
            assert!(again.is_none() || again == Some((2, Some(65_531))));
            times += usize::from(again.is_some());
        }
        assert_eq!(times, usize::from(AGAIN_MAX));
        assert_eq!(scene.missing(4), None, "it was never sent");
        for _ in 0..400 {
            scene.frame(false, 5_000);
        }
        assert_eq!(scene.missing(65_530), None, "it is forgotten");
    }

    #[test]
    fn without_rtx_the_same_packet_goes_out() {
        let mut scene = Scene::new(None);
        scene.frame(true, 9);
        scene.now += AGAIN_AFTER;
        let again = scene.track.missing(65_531, &scene.cache, scene.now).unwrap();
        assert_eq!((again.ssrc, again.seq, again.payload_type), (1, 65_531, 96));
        assert!(again.marker);
    }

    #[test]
    fn a_viewer_that_asks_for_everything_again_gets_its_budget() {
        let mut scene = Scene::new(Some(97));
        let mut sent: Vec<u16> = Vec::new();
        let (mut again, mut first) = (0, 0);
        for n in 0..300 {
            sent.extend(scene.frame(n == 0, 10_000));
            first += 10_000;
            scene.now += AGAIN_AFTER;
            for seq in sent.iter().rev().take(1_000) {
                let out = scene.track.missing(*seq, &scene.cache, scene.now);
                again += out.map_or(0, |out| out.payload.len());
            }
        }
        // 13.5 s at 160 kB/s and the burst.
        assert!(first == 3_000_000 && again < 2_400_000, "{again}");
        assert!(again > 1_000_000, "{again}");
    }

    #[test]
    fn keyframes_that_one_viewer_asks_for_are_bounded() {
        let mut scene = Scene::new(None);
        let asked = (0..1_000)
            .filter(|n| scene.track.wants_keyframe(scene.now + Duration::from_millis(n * 10)));
        assert_eq!(asked.count(), 3 + 2, "ten seconds of flood");
    }

    #[test]
    fn a_path_that_loses_much_gets_keyframes_only_and_then_another_chance() {
        let mut scene = Scene::new(None);
        scene.frame(true, 9);
        let report = |scene: &mut Scene, share| scene.track.lost(1, share, scene.now);
        report(&mut scene, 200);
        assert!(!scene.frame(false, 9).is_empty(), "once is nothing");
        report(&mut scene, 200);
        assert!(scene.frame(false, 9).is_empty());
        assert!(!scene.frame(true, 9).is_empty(), "but keyframes go on");
        scene.now += THIN_FOR.0;
        assert!(!scene.frame(false, 9).is_empty(), "and then all");
        for _ in 0..2 {
            report(&mut scene, 200);
        }
        scene.now += THIN_FOR.0;
        assert!(scene.frame(false, 9).is_empty(), "the second time longer");
        scene.now += THIN_FOR.0 * 2;
        scene.frame(true, 9);
        assert!(!scene.frame(false, 9).is_empty());
        scene.track.lost(99, 255, scene.now);
        scene.track.lost(99, 255, scene.now);
        assert!(!scene.frame(false, 9).is_empty(), "of another source");
    }

    #[test]
    fn who_comes_late_gets_the_pictures_since_the_keyframe_squeezed_before_the_newest() {
        let mut scene = Scene::new(None);
        for n in 0..10 {
            scene.frame(n == 0 || n == 4, 100);
        }
        let mut late = Track::new(96, None, BEGIN, scene.now);
        let mut stamps = Vec::new();
        late.catch_up(&scene.cache, scene.now, |out| stamps.push((out.timestamp, out.marker)));
        let newest = scene.cache.newest().unwrap().timestamp.wrapping_add(77);
        let frames: Vec<u32> = stamps.iter().filter(|(_, m)| *m).map(|(t, _)| *t).collect();
        let expected: Vec<u32> = (0..6).rev().map(|n| newest - n * CATCH_UP_TICKS).collect();
        assert_eq!(frames, expected);
        let mut more = 0;
        late.catch_up(&scene.cache, scene.now, |_| more += 1);
        assert_eq!(more, 0, "once");
        assert!(!late.awaits_keyframe());
    }
}
