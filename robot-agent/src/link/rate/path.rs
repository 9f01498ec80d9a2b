//! A path in the mind: a bottleneck with a queue, a delay, loss, and a far end that reports. For the estimators' tests.

use rtc::interceptor::PacketReport;
use rtc::rtcp::transport_feedbacks::cc_feedback_report::Ecn;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const PACKET: usize = 1_200;
const STEP_MS: u64 = 1;

/// What a path is like at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    pub(super) rate_bps: f64,
    /// One way, each way.
    pub(super) delay_ms: f64,
    /// The most that a packet's delay varies, without overtaking.
    pub(super) jitter_ms: f64,
    pub(super) loss: f64,
    pub(super) up: bool,
}

pub(super) const FAIR: Weather =
    Weather { rate_bps: 20e6, delay_ms: 30.0, jitter_ms: 0.0, loss: 0.0, up: true };

/// A moment of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) ms: u64,
    pub(super) target_bps: f64,
    /// How long a packet that is sent now would wait at the bottleneck.
    pub(super) queue_ms: f64,
}

/// How long the bottleneck's queue may get, in time at the present rate.
const QUEUE_MAX_MS: f64 = 1_000.0;
const REPORT_EVERY_MS: u64 = 80;

/// Sends video at what `estimate` says last for `ms` milliseconds.
pub(super) fn run(
    ms: u64,
    start_bps: f64,
    max_bps: f64,
    weather: impl Fn(u64) -> Weather,
    mut estimate: impl FnMut(Instant, &[PacketReport]) -> f64,
) -> Vec<Moment> {
    let epoch = Instant::now();
    let at = |ms: f64| epoch + Duration::from_secs_f64(ms / 1e3);
    let (mut target, mut random) = (start_bps, 1_u64);
    let mut unit = move || {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let (mut free_at, mut last_arrival) = (0.0_f64, 0.0_f64);
    let (mut flying, mut due) = (Vec::<(f64, PacketReport)>::new(), VecDeque::new());
    let (mut moments, mut id, mut credit) = (Vec::new(), 0_u64, 0.0_f64);
    for now in (0..ms).step_by(STEP_MS as usize) {
        let path = weather(now);
        let now_ms = now as f64;
        // Thirty frames a second, each in one go.
        if now % 33 == 0 {
            credit += target.min(max_bps) * 0.033 / 8.0;
            while credit >= PACKET as f64 {
                credit -= PACKET as f64;
                id += 1;
                let waits = (free_at - now_ms).max(0.0);
                let lost = !path.up || unit() < path.loss || waits > QUEUE_MAX_MS;
                if !lost {
                    free_at = free_at.max(now_ms) + PACKET as f64 * 8.0 / path.rate_bps * 1e3;
                }
                let arrival = (free_at + path.delay_ms + path.jitter_ms * unit()).max(last_arrival);
                if !lost {
                    last_arrival = arrival;
                }
                let report = PacketReport {
                    ssrc: 1,
                    id,
                    rtp_sequence_number: id as u16,
                    is_twcc: true,
                    twcc_sequence_number: id as u16,
                    size: PACKET,
                    arrived: !lost,
                    departure: at(now_ms),
                    arrival: (!lost).then(|| Duration::from_secs_f64(arrival / 1e3 + 1_000.0)),
                    ecn: Ecn::default(),
                };
                flying.push((if lost { f64::NAN } else { arrival }, report));
            }
        }
        if now % REPORT_EVERY_MS == 0 && path.up {
            let newest = flying.iter().rposition(|(arrival, _)| *arrival <= now_ms);
            if let Some(newest) = newest {
                let told: Vec<_> = flying.drain(..=newest).map(|(_, report)| report).collect();
                due.push_back((now_ms + path.delay_ms, told));
            }
        }
        while due.front().is_some_and(|(when, _)| *when <= now_ms) {
            if let Some((_, told)) = due.pop_front() {
                target = estimate(at(now_ms), &told);
            }
        }
        let queue_ms = (free_at - now_ms).max(0.0);
        moments.push(Moment { ms: now, target_bps: target, queue_ms });
    }
    moments
}

/// The value below which this share of the moments' queues lies.
pub(super) fn queue_percentile(moments: &[Moment], share: f64) -> f64 {
    let mut queues: Vec<f64> = moments.iter().map(|moment| moment.queue_ms).collect();
    queues.sort_by(f64::total_cmp);
    let index = (queues.len() as f64 * share) as usize;
    queues[index.min(queues.len() - 1)]
}
