//! One camera's way out: a short queue, and the memory of what was sent when. A frame enters the stack whole;
//! [`super::packetise`] cuts it into packets.

use super::capture::CaptureTable;
use super::session::Shared;
use super::stats::add;
use crate::media::EncodedFrame;
use protocol::units::MonoMs;
use rtc::rtp;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;

/// Frames waiting to be packetised. One is being sent, one may wait; a third would only be late.
const QUEUE_MAX: usize = 2;
/// Keyframes are not asked for more often than this: each costs several ordinary frames.
const ASK_EVERY_MS: u64 = 50;
/// And for what was lost and is not sent again: such a path carries few of them.
const ASK_AFRESH_EVERY_MS: u64 = 600;
/// Browsers ask for a packet no longer than this.
const GIVEN_UP_FOR: Duration = Duration::from_secs(3);

/// What senders and the RTP chain need to know of one camera's stream.
#[derive(Debug)]
pub(super) struct VideoLane {
    pub(super) camera: u8,
    pub(super) ssrc: u32,
    pub(super) rtx_ssrc: u32,
    pub(super) fec_ssrc: u32,
    queue: mpsc::Sender<EncodedFrame>,
    /// Set until the next keyframe, because what lies between cannot be decoded.
    awaiting_keyframe: AtomicBool,
    /// 0 until negotiated.
    payload_type: AtomicU8,
    asked_ms: AtomicU64,
    /// Number of the newest packet that was sent.
    newest: AtomicU16,
    /// Up to which number nothing is sent again, and since when.
    given_up: Mutex<Option<(u16, Instant)>>,
    table: Mutex<CaptureTable>,
}

impl VideoLane {
    pub(super) fn new(camera: u8) -> (Self, mpsc::Receiver<EncodedFrame>) {
        let (queue, frames) = mpsc::channel(QUEUE_MAX);
        let ssrc = random_u32();
        let lane = Self {
            camera,
            ssrc,
            rtx_ssrc: ssrc.wrapping_add(1),
            fec_ssrc: ssrc.wrapping_add(2),
            queue,
            awaiting_keyframe: AtomicBool::new(true),
            payload_type: AtomicU8::new(0),
            asked_ms: AtomicU64::new(0),
            newest: AtomicU16::new(0),
            given_up: Mutex::new(None),
            table: Mutex::new(CaptureTable::new(random_u32())),
        };
        (lane, frames)
    }

    /// Queues a frame. `false`: dropped, and nothing is taken until a keyframe comes.
    pub(super) fn offer_frame(&self, frame: &EncodedFrame) -> bool {
        if self.awaiting_keyframe.load(Ordering::Acquire) && !frame.keyframe {
            return false;
        }
        let taken = self.queue.try_send(frame.clone()).is_ok();
        self.awaiting_keyframe.store(!taken, Ordering::Release);
        taken
    }

    pub(super) fn capture_of(&self, rtp: u32) -> Option<MonoMs> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).capture_of(rtp)
    }

    pub(super) fn bind(&self, payload_type: u8) {
        self.payload_type.store(payload_type, Ordering::Release);
    }

    /// Whether a keyframe may be asked for now; if so, it counts as asked.
    pub(super) fn may_ask(&self, now: MonoMs) -> bool {
        self.may_ask_every(ASK_EVERY_MS, now)
    }

    /// The same for one in place of repair.
    pub(super) fn may_ask_afresh(&self, now: MonoMs) -> bool {
        self.may_ask_every(ASK_AFRESH_EVERY_MS, now)
    }

    /// A packet was sent.
    pub(super) fn sent(&self, number: u16) {
        self.newest.store(number, Ordering::Relaxed);
    }

    /// Nothing that was sent until now is sent again.
    pub(super) fn give_up(&self, now: Instant) {
        let newest = self.newest.load(Ordering::Relaxed);
        *self.given_up.lock().unwrap_or_else(PoisonError::into_inner) = Some((newest, now));
    }

    /// Whether a packet is not to be sent again.
    pub(super) fn is_given_up(&self, number: u16, now: Instant) -> bool {
        let given_up = *self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        // Numbers begin again some time.
        given_up.is_some_and(|(newest, since)| {
            now.saturating_duration_since(since) < GIVEN_UP_FOR
                && !(1..0x8000).contains(&number.wrapping_sub(newest))
        })
    }

    fn may_ask_every(&self, every_ms: u64, now: MonoMs) -> bool {
        let asked = self.asked_ms.load(Ordering::Acquire);
        let due = asked == 0 || now.since(MonoMs(asked)) >= every_ms;
        due && self
            .asked_ms
            .compare_exchange(asked, now.0, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// Sends one camera's frames until the session is over.
pub(super) async fn run(
    camera: u8,
    mut frames: mpsc::Receiver<EncodedFrame>,
    track: Arc<TrackLocalStaticRTP>,
    shared: Arc<Shared>,
) {
    let Some(lane) = shared.video(camera) else { return };
    loop {
        let frame = tokio::select! {
            () = shared.until_closed() => return,
            frame = frames.recv() => frame,
        };
        let Some(frame) = frame else { return };
        let payload_type = lane.payload_type.load(Ordering::Acquire);
        if payload_type == 0 {
            continue;
        }
        let timestamp =
            lane.table.lock().unwrap_or_else(PoisonError::into_inner).remember(frame.capture);
        let header = rtp::Header {
            version: 2,
            payload_type,
            timestamp,
            ssrc: lane.ssrc,
            ..Default::default()
        };
        tracing::trace!(camera, bytes = frame.data.len(), keyframe = frame.keyframe, "frame");
        // The whole frame at once: each write wakes the stack's loop, which costs more than a packet.
        let whole = rtp::Packet { header, payload: frame.data };
        if let Err(error) = track.write_rtp(whole).await {
            shared.close(&format!("the connection takes no more video: {error}"));
            return;
        }
        add(&shared.counters.frames_sent, 1);
    }
}

/// Unpredictable enough for stream ids and first numbers; no secret depends on it.
pub(super) fn random_u32() -> u32 {
    let hash = RandomState::new().build_hasher().finish().to_le_bytes();
    let [a, b, c, d, ..] = hash;
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use protocol::units::MonoNs;

    fn frame(keyframe: bool) -> EncodedFrame {
        EncodedFrame {
            camera: 0,
            codec: Default::default(),
            capture: MonoNs(1),
            keyframe,
            data: Bytes::from_static(&[0, 0, 0, 1, 0x65, 1]),
            width: 16,
            height: 16,
        }
    }

    #[test]
    fn a_stream_starts_with_a_keyframe_and_after_a_drop_waits_for_the_next() {
        let (lane, mut frames) = VideoLane::new(0);
        assert!(!lane.offer_frame(&frame(false)), "no keyframe yet");
        assert!(lane.offer_frame(&frame(true)));
        assert!(lane.offer_frame(&frame(false)));
        assert!(!lane.offer_frame(&frame(false)), "queue full");
        frames.try_recv().unwrap();
        assert!(!lane.offer_frame(&frame(false)), "its reference was dropped");
        assert!(lane.offer_frame(&frame(true)));
    }

    #[test]
    fn what_is_given_up_ends_at_the_newest_packet_of_then_also_around_the_corner() {
        let (lane, _frames) = VideoLane::new(0);
        let now = Instant::now();
        assert!(!lane.is_given_up(5, now));
        for (newest, older, newer) in [(10, 10, 11), (65_530, 65_000, 3)] {
            lane.sent(newest);
            lane.give_up(now);
            assert!(lane.is_given_up(older, now) && !lane.is_given_up(newer, now));
        }
        assert!(!lane.is_given_up(65_000, now + GIVEN_UP_FOR));
    }

    #[test]
    fn keyframes_are_asked_for_at_a_bounded_rate() {
        let (lane, _frames) = VideoLane::new(0);
        assert!(lane.may_ask(MonoMs(1_000)));
        assert!(!lane.may_ask(MonoMs(1_049)));
        assert!(lane.may_ask(MonoMs(1_050)));
    }
}
