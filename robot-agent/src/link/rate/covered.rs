//! Which packets the driver's end has reported on at all.
//!
//! Reports get lost like anything else. The stack takes the packets of a report that never came for lost, and on a path
//! that loses as much in either direction that doubles the loss. What no report covers is not known, and counts as
//! nothing.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Reports that are remembered: some seconds of them.
const REMEMBERED: usize = 64;

/// The transport-wide numbers that the newest reports cover.
#[derive(Debug, Default)]
pub(in crate::link) struct Covered(Mutex<VecDeque<(u16, u16)>>);

impl Covered {
    /// A report covers `count` numbers from `first` on.
    pub(in crate::link) fn add(&self, first: u16, count: u16) {
        let mut ranges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ranges.len() >= REMEMBERED {
            ranges.pop_front();
        }
        ranges.push_back((first, count));
    }

    /// Whether one of them covers `number`.
    pub(super) fn has(&self, number: u16) -> bool {
        let ranges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ranges.iter().rev().any(|(first, count)| number.wrapping_sub(*first) < *count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_lost_report_would_have_told_is_not_known() {
        let covered = Covered::default();
        covered.add(65_530, 10);
        // The report on 4 to 13 is lost.
        covered.add(14, 3);
        let known: Vec<u16> = (0..20).filter(|number| covered.has(*number)).collect();
        assert_eq!(known, [0, 1, 2, 3, 14, 15, 16]);
        assert!(covered.has(65_530) && !covered.has(65_529));
        (0..1_000).for_each(|n| covered.add(n, 0));
        assert!(!covered.has(14), "old ones are forgotten, and empty ones cover nothing");
        assert_eq!(covered.0.lock().unwrap().len(), REMEMBERED);
    }
}
