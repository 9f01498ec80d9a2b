//! Which RTP timestamp belongs to which moment of capture: how a driver's echo becomes the age of what was seen.

use protocol::units::{MonoMs, MonoNs};
use std::collections::VecDeque;

/// Frames remembered: more than five seconds at 60 frames a second.
const FRAMES_MAX: usize = 320;

/// The frames that were sent lately by one camera.
#[derive(Debug)]
pub(super) struct CaptureTable {
    base: u32,
    sent: VecDeque<(u32, MonoNs)>,
}

impl CaptureTable {
    /// A table whose timestamps start at `base`, which should be random, as RFC 3550 asks.
    pub(super) fn new(base: u32) -> Self {
        Self { base, sent: VecDeque::with_capacity(FRAMES_MAX) }
    }

    /// Remembers a frame about to be sent and gives its timestamp on the 90 kHz clock.
    pub(super) fn remember(&mut self, capture: MonoNs) -> u32 {
        let rtp = self.timestamp(capture);
        if self.sent.len() >= FRAMES_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((rtp, capture));
        rtp
    }

    /// When the frame with this timestamp was captured; `None` if no such frame was sent lately.
    pub(super) fn capture_of(&self, rtp: u32) -> Option<MonoMs> {
        self.sent.iter().rev().find(|(sent, _)| *sent == rtp).map(|(_, capture)| capture.ms())
    }

    fn timestamp(&self, capture: MonoNs) -> u32 {
        let ticks = u128::from(capture.0) * 9 / 100_000;
        let low = u32::try_from(ticks & u128::from(u32::MAX)).unwrap_or(0);
        self.base.wrapping_add(low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_timestamps_that_were_sent_are_known() {
        let mut table = CaptureTable::new(u32::MAX - 5);
        let first = table.remember(MonoNs(1_000_000_000));
        let second = table.remember(MonoNs(1_033_333_333));
        assert_eq!(second.wrapping_sub(first), 2_999);
        assert_eq!(table.capture_of(first), Some(MonoMs(1_000)));
        assert_eq!(table.capture_of(second), Some(MonoMs(1_033)));
        assert_eq!(table.capture_of(second.wrapping_add(1)), None);
    }

    #[test]
    fn old_frames_are_forgotten() {
        let mut table = CaptureTable::new(7);
        let first = table.remember(MonoNs(0));
        for frame in 1..=320 {
            table.remember(MonoNs(frame * 33_333_333));
        }
        assert_eq!(table.capture_of(first), None);
        assert_eq!(table.sent.len(), FRAMES_MAX);
    }
}
