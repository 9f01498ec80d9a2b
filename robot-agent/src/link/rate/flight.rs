//! How long nothing was heard of what was sent.

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

#[cfg(test)]
mod tests {
    use super::*;

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
