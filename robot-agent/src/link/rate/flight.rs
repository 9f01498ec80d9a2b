//! How long nothing was heard of what was sent, and whether that is unusual.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Moments of sending that are remembered. At sixty frames a second this is more than a path can be silent before its
/// session ends.
const REMEMBERED: usize = 512;

/// Moments at which something was sent, until a report says that they are past.
#[derive(Debug, Default)]
pub(crate) struct Flight(VecDeque<Instant>);

impl Flight {
    /// Something is sent.
    pub(crate) fn sent(&mut self, at: Instant) {
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(at);
    }

    /// How old the oldest is of what no report has reached yet; zero when there is nothing. `reported` is the newest
    /// departure that was reported on.
    pub(crate) fn overdue(&mut self, now: Instant, reported: Instant) -> Duration {
        while self.0.front().is_some_and(|sent| *sent <= reported) {
            self.0.pop_front();
        }
        self.0.front().map_or(Duration::ZERO, |sent| now.saturating_duration_since(*sent))
    }
}

/// What is usual is forgotten by half in this time.
const USUAL_HALF: Duration = Duration::from_secs(4);
/// A report is missed when it is this much later than usual, ms.
const SLACK_MS: f64 = 35.0;
/// But not before so long, ms: a machine that was busy for a moment looks much the same.
const LEAST_MS: f64 = 180.0;
/// Reports come this much after the round trip, ms: at least, when nothing is known yet; and at most, when they are due.
const AFTER_ROUND_TRIP_MS: f64 = 110.0;
const DUE_AFTER_ROUND_TRIP_MS: f64 = 230.0;
/// The longest round trip that is waited for, ms.
const ROUND_TRIP_MAX_MS: f64 = 500.0;

/// How late reports usually are, and whether one is missed now.
#[derive(Debug, Default)]
pub(crate) struct Punctuality {
    usual_ms: f64,
    /// The longest wait since a report came last.
    peak_ms: f64,
    looked: Option<Instant>,
}

impl Punctuality {
    /// Whether what is sent now would wait behind what was sent before, by how long nothing was heard of that.
    pub(crate) fn misses(&mut self, now: Instant, overdue: Duration, round_trip: Duration) -> bool {
        let overdue_ms = overdue.as_secs_f64() * 1e3;
        let round_trip_ms = (round_trip.as_secs_f64() * 1e3).min(ROUND_TRIP_MAX_MS);
        let due_ms = (round_trip_ms + DUE_AFTER_ROUND_TRIP_MS).max(LEAST_MS + 120.0);
        if let Some(looked) = self.looked.replace(now) {
            let passed = now.saturating_duration_since(looked).as_secs_f64();
            self.usual_ms *= 0.5_f64.powf(passed / USUAL_HALF.as_secs_f64());
        }
        if overdue_ms < self.peak_ms {
            // A report came. What a full path held up is not what is usual.
            self.usual_ms = self.usual_ms.max(self.peak_ms.min(due_ms));
            self.peak_ms = 0.0;
        }
        self.peak_ms = self.peak_ms.max(overdue_ms);
        let missed_ms = (round_trip_ms + AFTER_ROUND_TRIP_MS).max(self.usual_ms + SLACK_MS);
        overdue_ms > missed_ms.clamp(LEAST_MS, due_ms)
    }
}

/// A missed report and a queue of this many ms are a jam: what was sent into it did not all fit.
const JAM_QUEUE_MS: f64 = 60.0;
/// The two need not come together; and a jam is over when neither was there for a while.
const JAM_WITHIN: Duration = Duration::from_millis(300);
const JAM_OVER: Duration = Duration::from_secs(1);
/// So long after its beginning pictures are small: the first one must get through. Then what the path carries is known.
pub(crate) const SMALL_FOR: Duration = Duration::from_millis(400);

/// Whether the path is jammed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Jam {
    /// No, or no longer unknown how much.
    No,
    /// Since now: pictures must begin anew behind it.
    Begins,
    /// It began a moment ago.
    Begun,
}

/// Tells jams from queues that come and go.
#[derive(Debug, Default)]
pub(crate) struct Jammed {
    missed: Option<Instant>,
    began: Option<Instant>,
    jammed: Option<Instant>,
}

impl Jammed {
    pub(crate) fn follow(&mut self, now: Instant, missed: bool, queue_ms: f64) -> Jam {
        let within = |at: Option<Instant>, time| {
            at.is_some_and(|at| now.saturating_duration_since(at) < time)
        };
        if missed {
            self.missed = Some(now);
        }
        let jammed = queue_ms >= JAM_QUEUE_MS && within(self.missed, JAM_WITHIN);
        let begins = jammed && !within(self.jammed, JAM_OVER);
        if jammed {
            self.jammed = Some(now);
        }
        if begins {
            self.began = Some(now);
            Jam::Begins
        } else if within(self.began, SMALL_FOR) {
            Jam::Begun
        } else {
            Jam::No
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every 25 ms while a report comes every `every` ms about what was sent `round_trip` ms before.
    fn missed(punctuality: &mut Punctuality, from: Instant, every: u64, round_trip: u64) -> usize {
        (0..400)
            .filter(|n| {
                let ms = n * 25;
                let overdue = Duration::from_millis(round_trip + ms % every);
                let now = from + Duration::from_millis(ms);
                punctuality.misses(now, overdue, Duration::from_millis(round_trip))
            })
            .count()
    }

    #[test]
    fn a_report_is_missed_by_what_is_usual_on_this_path() {
        let mut punctuality = Punctuality::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(missed(&mut punctuality, start, 75, 104), 0, "always in time");
        let round_trip = Duration::from_millis(104);
        let mut late = |ms| punctuality.misses(at(10_000), Duration::from_millis(ms), round_trip);
        assert!(!late(205) && late(216));
        // Reports that come less often, or unevenly: after a few the waits are usual.
        let mut uneven = Punctuality::default();
        assert!(missed(&mut uneven, start, 150, 104) <= 4);
        assert_eq!(missed(&mut uneven, at(10_000), 150, 104), 0);
    }

    #[test]
    fn a_jam_is_a_queue_with_a_missed_report_and_begins_once() {
        let (mut jammed, start) = (Jammed::default(), Instant::now());
        let mut follow = |ms, missed, queue_ms| {
            jammed.follow(start + Duration::from_millis(ms), missed, queue_ms)
        };
        assert_eq!(follow(0, false, 200.0), Jam::No, "reports come");
        assert_eq!(follow(25, true, 10.0), Jam::No, "a report may be lost");
        assert_eq!(follow(100, false, 100.0), Jam::Begins);
        assert_eq!(follow(125, true, 250.0), Jam::Begun);
        assert_eq!(follow(480, false, 10.0), Jam::Begun, "small for a moment, whatever comes");
        assert_eq!(follow(520, true, 250.0), Jam::No, "what the path carries is known by now");
        assert_eq!(follow(900, true, 90.0), Jam::No, "the same jam");
        assert_eq!(follow(2_000, true, 90.0), Jam::Begins);
    }

    #[test]
    fn a_busy_moment_on_a_short_path_and_a_silence_on_any_are_told_apart() {
        let (mut punctuality, start) = (Punctuality::default(), Instant::now());
        let ms = Duration::from_millis;
        assert!(!punctuality.misses(start, ms(179), ms(1)));
        assert!(punctuality.misses(start, ms(301), ms(1)));
        // Whatever came before: a long silence does not make the next one usual.
        for n in 0..100 {
            punctuality.misses(start + ms(n * 25), ms(n * 25), ms(104));
        }
        punctuality.misses(start + ms(2_500), ms(0), ms(104));
        assert!(punctuality.misses(start + ms(2_600), ms(340), ms(104)));
    }

    #[test]
    fn what_was_reported_on_is_not_waited_for() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut flight = Flight::default();
        assert_eq!(flight.overdue(at(0), at(0)), Duration::ZERO);
        for n in 0..10 {
            flight.sent(at(n * 33));
        }
        assert_eq!(flight.overdue(at(300), at(70)), Duration::from_millis(300 - 99));
        assert_eq!(flight.overdue(at(300), at(298)), Duration::ZERO);
        for n in 0..10_000 {
            flight.sent(at(n));
        }
        assert_eq!(flight.0.len(), REMEMBERED);
    }
}
