//! How long the driver's end keeps a picture back before it shows it.
//!
//! Not at all while pictures come evenly: each millisecond is one that the robot drives unseen. Where they come unevenly, or
//! have to be repaired, pictures that were shown at once would stand and jump; a little delay makes them even. It is raised
//! at once and lowered late, because each change is a jump as well.

use super::{PathState, protection};
use std::time::{Duration, Instant};

/// Loss that is worth waiting for its repair.
const LOSS_WORTH: f64 = 0.01;
/// A repeat comes this much after the round trip, ms.
const REPEAT_MS: f64 = 20.0;
/// What the next frame's error correction mends comes a frame later, ms.
const NEXT_FRAME_MS: f64 = 40.0;
/// Jitter that does not show, ms, and how much of what shows is waited for.
const JITTER_HIDDEN_MS: f64 = 12.0;
const JITTER_TIMES: f64 = 1.5;
/// More is not waited for, ms: rather an uneven picture than an old one.
const MOST_MS: f64 = 90.0;
/// Lowered after less was needed for so long.
const LOWERED_AFTER: Duration = Duration::from_secs(5);

/// The delay of a link's pictures.
#[derive(Debug, Default)]
pub(in crate::link) struct Playout {
    /// In units of 10 ms, as the header extension has it.
    units: u16,
    /// When so much was needed last.
    needed: Option<Instant>,
}

impl Playout {
    /// Follows the path; the delay from now on, in units of 10 ms.
    pub(in crate::link) fn follow(&mut self, now: Instant, path: &PathState) -> u16 {
        let units = units(path);
        let lower = units < self.units;
        let waited = |at: Instant| now.saturating_duration_since(at) >= LOWERED_AFTER;
        if !lower || self.needed.is_none_or(waited) {
            self.units = units;
            self.needed = Some(now);
        }
        self.units
    }

    /// The header extension's three bytes for a delay: twelve bits the least, twelve bits the most, in units of 10 ms.
    pub(in crate::link) fn bytes(units: u16) -> [u8; 3] {
        let [high, low] = units.min(0xfff).to_be_bytes();
        [high << 4 | low >> 4, low << 4 | high, low]
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 9")]
fn units(path: &PathState) -> u16 {
    let round_trip_ms = path.round_trip.unwrap_or_default().as_secs_f64() * 1e3;
    let repair_ms = if path.loss < LOSS_WORTH {
        0.0
    } else if protection(path) > 0.0 {
        NEXT_FRAME_MS
    } else {
        // What comes too late all the same is not waited for.
        Some(round_trip_ms + REPEAT_MS).filter(|ms| *ms <= MOST_MS).unwrap_or_default()
    };
    let jitter_ms =
        if path.jitter_ms < JITTER_HIDDEN_MS { 0.0 } else { JITTER_TIMES * path.jitter_ms };
    (repair_ms.max(jitter_ms).min(MOST_MS) / 10.0).round() as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(loss: f64, round_trip_ms: u64, jitter_ms: f64) -> PathState {
        let round_trip = Some(Duration::from_millis(round_trip_ms));
        PathState { loss, round_trip, jitter_ms, ..PathState::default() }
    }

    #[test]
    fn nothing_is_kept_back_on_a_clean_path_and_never_much() {
        assert_eq!(units(&PathState::default()), 0);
        assert_eq!(units(&path(0.004, 240, 5.0)), 0);
        assert_eq!(units(&path(0.02, 50, 0.0)), 7, "a repeat comes in time");
        assert_eq!(units(&path(0.02, 120, 0.0)), 0, "a repeat comes too late");
        assert_eq!(units(&path(0.05, 240, 0.0)), 4, "the next frame mends");
        assert_eq!(units(&path(0.0, 60, 20.0)), 3, "uneven");
        assert_eq!(units(&path(0.1, 140, 70.0)), 9);
    }

    #[test]
    fn it_is_raised_at_once_and_lowered_late() {
        let (mut playout, start) = (Playout::default(), Instant::now());
        let (clean, lossy) = (path(0.0, 240, 0.0), path(0.05, 240, 0.0));
        let mut follow = |ms, path| playout.follow(start + Duration::from_millis(ms), path);
        assert_eq!(follow(0, &clean), 0);
        assert_eq!(follow(40, &lossy), 4);
        assert_eq!(follow(4_000, &lossy), 4);
        assert_eq!(follow(8_900, &clean), 4);
        assert_eq!(follow(9_000, &clean), 0);
        assert_eq!(follow(9_040, &lossy), 4);
    }

    #[test]
    fn both_bounds_have_twelve_bits() {
        assert_eq!(Playout::bytes(0), [0, 0, 0]);
        assert_eq!(Playout::bytes(4), [0x00, 0x40, 0x04]);
        assert_eq!(Playout::bytes(0x123), [0x12, 0x31, 0x23]);
        assert_eq!(Playout::bytes(u16::MAX), [0xff, 0xff, 0xff]);
    }
}
