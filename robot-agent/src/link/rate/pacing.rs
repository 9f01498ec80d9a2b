//! An estimator in the stack's chain: told of every report, asked for the pace at which packets may leave.

use super::{Congestion, Covered, Estimator, PathState, Shown};
use rtc::interceptor::{BandwidthEstimator, Gcc, PacketReport};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Packets leave this much faster than the bitrate: a frame that is larger than the average must not wait for the next.
const PACE: f64 = 2.0;
/// And never slower than this, bits a second.
const PACE_MIN_BPS: f64 = 600_000.0;
/// On a short way without a queue there is nothing to be gentle to, and each millisecond counts.
const UNPACED_BPS: f64 = 400_000_000.0;
const SHORT_WAY: Duration = Duration::from_millis(130);
const SHORT_QUEUE_MS: f64 = 5.0;

enum Kind {
    Delay(Box<Estimator>),
    Gcc(Box<Gcc>),
}

/// The estimator as the chain's congestion control drives it.
pub(crate) struct Paced {
    kind: Kind,
    shown: Arc<Shown>,
    covered: Arc<Covered>,
    pace_bps: f64,
    reported: Option<Instant>,
}

impl Paced {
    /// None where nothing is to decide.
    pub(crate) fn new(
        congestion: Congestion,
        bounds: super::Bounds,
        shown: Arc<Shown>,
        covered: Arc<Covered>,
    ) -> Option<Self> {
        let kind = match congestion {
            Congestion::Delay => Kind::Delay(Box::new(Estimator::new(bounds))),
            Congestion::Gcc => {
                Kind::Gcc(Box::new(Gcc::new(bounds.start_bps, bounds.min_bps, bounds.max_bps)))
            }
            Congestion::Off => return None,
        };
        Some(Self { kind, shown, covered, pace_bps: UNPACED_BPS, reported: None })
    }

    fn pace_of(state: &PathState) -> f64 {
        let short = state.round_trip.is_none_or(|round_trip| round_trip < SHORT_WAY);
        if short && state.queue_ms < SHORT_QUEUE_MS && state.loss == 0.0 {
            return UNPACED_BPS;
        }
        state.target_bps.map_or(UNPACED_BPS, |target| (PACE * target).max(PACE_MIN_BPS))
    }
}

impl BandwidthEstimator for Paced {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        if reports.is_empty() {
            return;
        }
        self.reported = reports.iter().map(|report| report.departure).max().max(self.reported);
        let state = match &mut self.kind {
            Kind::Delay(estimator) => {
                let known = |report: &&PacketReport| {
                    report.arrived || self.covered.has(report.twcc_sequence_number)
                };
                let known: Vec<PacketReport> = reports.iter().filter(known).cloned().collect();
                estimator.on_reports(now, &known);
                PathState {
                    target_bps: Some(estimator.target_bps()),
                    queue_ms: estimator.queue_ms(),
                    jitter_ms: estimator.jitter_ms(),
                    loss: estimator.loss(),
                    round_trip: estimator.round_trip(),
                    reported: self.reported,
                }
            }
            Kind::Gcc(gcc) => {
                gcc.on_reports(now, reports);
                PathState {
                    target_bps: Some(gcc.target_bitrate()),
                    loss: gcc.stats().packet_loss.unwrap_or(0.0),
                    reported: self.reported,
                    ..PathState::default()
                }
            }
        };
        self.pace_bps = Self::pace_of(&state);
        self.shown.set(state);
    }

    fn target_bitrate(&self) -> f64 {
        self.pace_bps
    }
}
