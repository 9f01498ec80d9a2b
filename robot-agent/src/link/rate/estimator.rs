//! Congestion control by the delay of queues.
//!
//! The driver's end reports when each packet arrived (transport-wide feedback,
//! draft-holmer-rmcat-transport-wide-cc-extensions-01). Arrival less departure, less the least of the last seconds, is how
//! long a packet stood in queues, whatever the clocks; of each report the least counts, which sees the standing queue
//! and neither the jitter of a radio nor the bursts of our own frames. The idea of steering by that queue towards a small
//! target is LEDBAT's and SCReAM's (RFC 6817, RFC 8298); measuring the bottleneck's rate while it is known to be busy
//! is BBR's.
//!
//! - A queue above its threshold: the rate at which packets arrive *is* the capacity. The bitrate falls below it, the
//!   lower the longer the queue, so that the queue is gone in about half a second.
//! - No queue: the bitrate grows; quickly where it is far from the capacity that was seen last, carefully near it. Beyond
//!   it the path must have changed, and growth is quick again.
//! - Loss alone changes nothing below a sixth: radio links lose packets without being full, and repair is not this
//!   part's work. Above, for seconds, a shallow queue is likely.
//! - Silence: the path was gone. What it carried before is not known of it any more, so the bitrate is halved.

use rtc::interceptor::PacketReport;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The shortest delay of late is looked for over so long.
const BASE_OVER: Duration = Duration::from_secs(12);
/// Standing queue that is allowed, ms; more where delays jitter by themselves, up to the other.
const THRESHOLD_MS: f64 = 22.0;
const THRESHOLD_MAX_MS: f64 = 70.0;
/// A queue is to be gone within this.
const DRAIN_MS: f64 = 500.0;
/// Growth in a second: before any queue was seen, far from the known capacity, near it, and near it when no queue was there
/// for a while: a radio's capacity is soon another one.
const GROWTH_START: f64 = 3.0;
const GROWTH_FAR: f64 = 1.6;
const GROWTH_NEAR: f64 = 1.08;
const GROWTH_NEAR_LONG: f64 = 1.3;
const NEAR_LONG: Duration = Duration::from_secs(2);
/// Near the capacity means within these shares of it.
const NEAR: std::ops::RangeInclusive<f64> = 0.85..=1.15;
/// The bitrate does not grow beyond this multiple of what really arrives: an encoder with little to show proves nothing.
const BEYOND_ARRIVED: f64 = 2.0;
/// Below this it grows all the same: five small pictures a second are too few packets to measure by, bits a second.
const PROVES_ITSELF_BPS: f64 = 800e3;
/// The first cut takes no more than this share, unless the queue is this long, ms: a machine that was busy for a moment looks
/// much the same.
const FIRST_CUT: f64 = 0.7;
const FIRST_CUT_MS: f64 = 100.0;
/// Arrivals over which the rate is measured; while a queue grows only the newest tell of the bottleneck.
const RATE_OVER: Duration = Duration::from_millis(500);
const RATE_OVER_BUSY: Duration = Duration::from_millis(150);
const RATE_PACKETS_MIN: usize = 6;
/// Arrivals that are kept at most: a far end may say that all came at the same moment.
const ARRIVALS_MAX: usize = 1_024;
/// A queue that the newest frame saw counts at once if it is this long, ms; a shorter one must outlast a report.
const SUDDEN_MS: f64 = 60.0;
/// Packets that departed together are a frame.
const FRAME: Duration = Duration::from_millis(6);
/// Packets over which loss is measured.
const LOSS_OVER: Duration = Duration::from_secs(5);
const LOSS_PACKETS_MIN: usize = 60;
/// A share of loss above which the path is thought to be full.
const LOSS_HIGH: f64 = 0.16;
/// No report for so long: the path was gone.
const SILENCE: Duration = Duration::from_millis(700);
/// A queue that neither grows nor drains by this much in this time, although the bitrate was cut, is a longer way and not a
/// queue.
const LONGER_WAY_AFTER: Duration = Duration::from_millis(1_800);
const LONGER_WAY_MS: f64 = 40.0;
const LONGER_WAY_LOSS: f64 = 0.05;
/// A capacity that was measured so recently is still good when its queue is gone.
const CAPACITY_GOOD: Duration = Duration::from_secs(4);

/// Limits of the bitrate, bits a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Least.
    pub min_bps: f64,
    /// At the start.
    pub start_bps: f64,
    /// Most.
    pub max_bps: f64,
}

/// The least of the last seconds.
#[derive(Debug, Clone, Default)]
struct LeastOfLate(VecDeque<(Instant, f64)>);

impl LeastOfLate {
    fn add(&mut self, at: Instant, value: f64) {
        while self.0.back().is_some_and(|(_, before)| *before >= value) {
            self.0.pop_back();
        }
        self.0.push_back((at, value));
        while self.0.front().is_some_and(|(old, _)| at.saturating_duration_since(*old) > BASE_OVER)
        {
            self.0.pop_front();
        }
    }

    fn get(&self) -> Option<f64> {
        self.0.front().map(|(_, value)| *value)
    }

    fn forget(&mut self) {
        self.0.clear();
    }
}

/// Bytes by the receiver's time of their arrival.
#[derive(Debug, Clone, Default)]
struct Arrivals(VecDeque<(Duration, usize)>);

impl Arrivals {
    fn add(&mut self, at: Duration, bytes: usize) {
        if self.0.len() >= ARRIVALS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((at, bytes));
        let newest = self.0.iter().map(|(at, _)| *at).max().unwrap_or(at);
        self.0.retain(|(at, _)| newest.saturating_sub(*at) <= RATE_OVER);
    }

    /// Bits a second over the arrivals of the last `over`, or over some more if those are few; `None` for too few in all.
    fn rate_bps(&self, over: Duration) -> Option<f64> {
        let mut newest_first: Vec<(Duration, usize)> = self.0.iter().copied().collect();
        newest_first.sort_unstable_by_key(|(at, _)| std::cmp::Reverse(*at));
        let last = newest_first.first()?.0;
        let counted = newest_first
            .iter()
            .enumerate()
            .take_while(|(n, (at, _))| *n < RATE_PACKETS_MIN || last - *at <= over)
            .count();
        let first = newest_first.get(counted.checked_sub(1)?)?.0;
        let span_s = (last - first).as_secs_f64();
        if counted < RATE_PACKETS_MIN || span_s < 0.03 {
            return None;
        }
        // What came first came at the beginning of the time, not during it.
        let during = newest_first.iter().take(counted - 1).map(|(_, bytes)| bytes);
        Some(during.sum::<usize>() as f64 * 8.0 / span_s)
    }
}

/// Fates of packets by departure.
#[derive(Debug, Clone, Default)]
struct Fates(VecDeque<(Instant, bool)>);

impl Fates {
    fn add(&mut self, departure: Instant, arrived: bool) {
        self.0.push_back((departure, arrived));
        while self
            .0
            .front()
            .is_some_and(|(old, _)| departure.saturating_duration_since(*old) > LOSS_OVER)
        {
            self.0.pop_front();
        }
    }

    /// Share of packets lost; zero for too few.
    fn loss(&self) -> f64 {
        if self.0.len() < LOSS_PACKETS_MIN {
            return 0.0;
        }
        let lost = self.0.iter().filter(|(_, arrived)| !arrived).count();
        lost as f64 / self.0.len() as f64
    }
}

/// A time with a queue above its threshold.
#[derive(Debug, Clone, Copy)]
struct Over {
    /// Since when it is watched whether it drains, and how long it was then.
    watched: Instant,
    watched_ms: f64,
    /// Bitrate when it began.
    before_bps: f64,
}

/// The estimator. Pure: every time is an argument.
#[derive(Debug, Clone)]
pub struct Estimator {
    bounds: Bounds,
    target_bps: f64,
    /// Departures are told from here, so that delays are numbers.
    epoch: Option<Instant>,
    delay_ms: LeastOfLate,
    round_trip_ms: LeastOfLate,
    queue_ms: f64,
    jitter_ms: f64,
    arrivals: Arrivals,
    fates: Fates,
    /// What the bottleneck carried when it was last known to be busy, bits a second.
    capacity_bps: Option<f64>,
    stepped: Option<Instant>,
    decreased: Option<Instant>,
    over: Option<Over>,
    reported: Option<Instant>,
}

impl Estimator {
    /// An estimator that knows nothing yet.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            target_bps: bounds.start_bps.clamp(bounds.min_bps, bounds.max_bps),
            bounds,
            epoch: None,
            delay_ms: LeastOfLate::default(),
            round_trip_ms: LeastOfLate::default(),
            queue_ms: 0.0,
            jitter_ms: 0.0,
            arrivals: Arrivals::default(),
            fates: Fates::default(),
            capacity_bps: None,
            stepped: None,
            decreased: None,
            over: None,
            reported: None,
        }
    }

    /// Bits a second that the path is thought to carry.
    pub fn target_bps(&self) -> f64 {
        self.target_bps
    }

    /// Delay by queues, ms.
    pub fn queue_ms(&self) -> f64 {
        self.queue_ms
    }

    /// By how much delays vary from one report to the next without a queue, ms.
    pub fn jitter_ms(&self) -> f64 {
        self.jitter_ms
    }

    /// Share of packets lost of late, 0 to 1.
    pub fn loss(&self) -> f64 {
        self.fates.loss()
    }

    /// Shortest time of late from a departure to the report on it.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip_ms.get().map(|ms| Duration::from_secs_f64(ms.max(0.0) / 1e3))
    }

    /// Takes in what became of packets, as it is told at `now`.
    pub fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        let Some(first) = reports.first() else { return };
        let epoch = *self.epoch.get_or_insert(first.departure);
        let (mut least_ms, mut newest_ms) = (f64::INFINITY, f64::INFINITY);
        let newest = reports.iter().map(|report| report.departure).max().unwrap_or(epoch);
        for report in reports {
            // What a full queue drops says nothing about what the path loses.
            if self.over.is_none() {
                self.fates.add(report.departure, report.arrived);
            }
            self.reported = self.reported.max(Some(report.departure));
            let Some(arrival) = report.arrival.filter(|_| report.arrived) else { continue };
            self.arrivals.add(arrival, report.size);
            let departed = report.departure.saturating_duration_since(epoch);
            let delay_ms = (arrival.as_secs_f64() - departed.as_secs_f64()) * 1e3;
            least_ms = least_ms.min(delay_ms);
            if newest.saturating_duration_since(report.departure) <= FRAME {
                newest_ms = newest_ms.min(delay_ms);
            }
        }
        let silent = self.stepped.map(|at| now.saturating_duration_since(at));
        if silent.is_some_and(|silent| silent > SILENCE.max(self.spacing() * 2)) {
            self.after_silence();
        }
        if least_ms.is_finite() {
            if let Some(reported) = self.reported {
                let round_trip = now.saturating_duration_since(reported);
                self.round_trip_ms.add(now, round_trip.as_secs_f64() * 1e3);
            }
            self.note_delay(now, least_ms, newest_ms);
        }
        self.step(now);
        self.stepped = Some(now);
    }

    /// Between one cut and the next, the first must have had time to show.
    fn spacing(&self) -> Duration {
        self.round_trip().unwrap_or_default() + Duration::from_millis(60)
    }

    fn after_silence(&mut self) {
        self.target_bps = (self.target_bps / 2.0).max(self.bounds.min_bps);
        self.arrivals = Arrivals::default();
        self.fates = Fates::default();
        self.over = None;
        // Another way may be longer or shorter.
        self.delay_ms.forget();
        self.round_trip_ms.forget();
    }

    fn note_delay(&mut self, now: Instant, least_ms: f64, newest_ms: f64) {
        self.delay_ms.add(now, least_ms);
        let base_ms = self.delay_ms.get().unwrap_or(least_ms);
        let sudden_ms = newest_ms - base_ms;
        let sudden = sudden_ms.is_finite() && sudden_ms > SUDDEN_MS;
        let queue_ms = if sudden { sudden_ms } else { least_ms - base_ms };
        if self.over.is_none() {
            let change_ms = (queue_ms - self.queue_ms).abs().min(25.0);
            self.jitter_ms += 0.1 * (change_ms - self.jitter_ms);
        }
        self.queue_ms = queue_ms;
    }

    fn threshold_ms(&self) -> f64 {
        (THRESHOLD_MS + 2.5 * self.jitter_ms).min(THRESHOLD_MAX_MS)
    }

    fn step(&mut self, now: Instant) {
        let threshold_ms = self.threshold_ms();
        if self.queue_ms > threshold_ms {
            let first = self.over.is_none();
            let (queue_ms, before_bps) = (self.queue_ms, self.target_bps);
            let watch = |before_bps| Over { watched: now, watched_ms: queue_ms, before_bps };
            let over = *self.over.get_or_insert(watch(before_bps));
            if now.saturating_duration_since(over.watched) > LONGER_WAY_AFTER {
                let stays = (queue_ms - over.watched_ms).abs() < LONGER_WAY_MS;
                if stays && self.fates.loss() < LONGER_WAY_LOSS {
                    self.delay_ms.forget();
                    self.over = None;
                    self.target_bps = over.before_bps;
                    return;
                }
                self.over = Some(watch(over.before_bps));
            }
            // One report of a short queue may be one moment's hiccup.
            if !first || queue_ms > 1.5 * threshold_ms {
                self.decrease(now, threshold_ms);
            }
        } else {
            self.over = None;
            self.increase(now, threshold_ms);
            self.by_loss(now);
        }
        self.target_bps = self.target_bps.clamp(self.bounds.min_bps, self.bounds.max_bps);
    }

    fn may_cut(&self, now: Instant) -> bool {
        self.decreased.is_none_or(|at| now.saturating_duration_since(at) >= self.spacing())
    }

    fn decrease(&mut self, now: Instant, threshold_ms: f64) {
        let Some(arriving) = self.arrivals.rate_bps(RATE_OVER_BUSY) else { return };
        // While there is a queue the bottleneck is busy, and what arrives is what it carries.
        let known = self.capacity_bps.filter(|_| {
            self.decreased.is_some_and(|at| now.saturating_duration_since(at) < 2 * RATE_OVER)
        });
        let capacity = known.map_or(arriving, |before| 0.5 * before + 0.5 * arriving);
        self.capacity_bps = Some(capacity);
        if !self.may_cut(now) {
            return;
        }
        let calm =
            self.decreased.is_none_or(|at| now.saturating_duration_since(at) > CAPACITY_GOOD);
        let least =
            if calm && self.queue_ms < FIRST_CUT_MS { FIRST_CUT * self.target_bps } else { 0.0 };
        let drain = ((self.queue_ms - threshold_ms / 2.0) / DRAIN_MS).clamp(0.08, 0.6);
        self.target_bps = self.target_bps.min((capacity * (1.0 - drain)).max(least));
        self.decreased = Some(now);
    }

    fn increase(&mut self, now: Instant, threshold_ms: f64) {
        let Some(stepped) = self.stepped else { return };
        let held = self.spacing() + Duration::from_millis(100);
        if self.decreased.is_some_and(|at| now.saturating_duration_since(at) < held) {
            return;
        }
        let proven = BEYOND_ARRIVED * self.arrivals.rate_bps(RATE_OVER).unwrap_or(0.0);
        if self.target_bps > proven.max(PROVES_ITSELF_BPS) {
            return;
        }
        // The queue is gone, and what the bottleneck carries was seen a moment ago.
        let recent =
            self.decreased.is_some_and(|at| now.saturating_duration_since(at) < CAPACITY_GOOD);
        if let Some(capacity) =
            self.capacity_bps.filter(|_| recent && self.queue_ms < threshold_ms / 2.0)
        {
            self.target_bps = self.target_bps.max(NEAR.start() * capacity);
        }
        let seconds = now.saturating_duration_since(stepped).as_secs_f64().min(0.3);
        let long = self.decreased.is_none_or(|at| now.saturating_duration_since(at) >= NEAR_LONG);
        let growth = match self.capacity_bps {
            None => GROWTH_START,
            Some(capacity) if long && NEAR.contains(&(self.target_bps / capacity)) => {
                GROWTH_NEAR_LONG
            }
            Some(capacity) if NEAR.contains(&(self.target_bps / capacity)) => GROWTH_NEAR,
            Some(_) => GROWTH_FAR,
        };
        // A queue that begins is a reason to wait and see.
        let calm = (1.0 - self.queue_ms / threshold_ms).clamp(0.0, 1.0);
        self.target_bps *= growth.powf(seconds * calm);
    }

    fn by_loss(&mut self, now: Instant) {
        let loss = self.fates.loss();
        if loss <= LOSS_HIGH || !self.may_cut(now) {
            return;
        }
        if let Some(arriving) = self.arrivals.rate_bps(RATE_OVER) {
            let next = (arriving * (1.0 - 0.3 * loss)).min(self.target_bps);
            self.capacity_bps = Some(arriving);
            self.target_bps = next;
            self.decreased = Some(now);
        }
    }
}

#[cfg(test)]
mod tests;
