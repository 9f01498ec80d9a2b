use super::*;
use crate::link::rate::path::{FAIR, Moment, Weather, queue_percentile, run};
use rtc::interceptor::{BandwidthEstimator, Gcc};

const BOUNDS: Bounds = Bounds { min_bps: 150e3, start_bps: 1e6, max_bps: 4e6 };

fn drive(ms: u64, weather: impl Fn(u64) -> Weather) -> Vec<Moment> {
    let mut estimator = Estimator::new(BOUNDS);
    run(ms, BOUNDS.start_bps, BOUNDS.max_bps, weather, move |now, reports| {
        estimator.on_reports(now, reports);
        estimator.target_bps()
    })
}

fn drive_gcc(ms: u64, weather: impl Fn(u64) -> Weather) -> Vec<Moment> {
    let mut gcc = Gcc::new(BOUNDS.start_bps, BOUNDS.min_bps, BOUNDS.max_bps);
    run(ms, BOUNDS.start_bps, BOUNDS.max_bps, weather, move |now, reports| {
        gcc.on_reports(now, reports);
        gcc.target_bitrate()
    })
}

fn mean_bps(moments: &[Moment]) -> f64 {
    moments.iter().map(|moment| moment.target_bps).sum::<f64>() / moments.len() as f64
}

/// 4, then 0.6, then 4 Mbit/s.
fn collapse(ms: u64) -> Weather {
    let rate_bps = if (15_000..30_000).contains(&ms) { 0.6e6 } else { 4e6 };
    Weather { rate_bps, ..FAIR }
}

#[test]
fn a_wide_path_is_used_to_the_full_within_two_seconds() {
    let moments = drive(10_000, |_| FAIR);
    assert!(mean_bps(&moments[2_000..]) > 0.99 * BOUNDS.max_bps);
}

#[test]
fn a_narrow_path_is_nearly_filled_and_its_queue_stays_short() {
    for rate_bps in [0.4e6, 0.8e6, 2e6, 3.5e6] {
        let moments = drive(60_000, |_| Weather { rate_bps, ..FAIR });
        let late = &moments[20_000..];
        let used = mean_bps(late) / rate_bps;
        assert!((0.75..1.05).contains(&used), "{rate_bps}: {used}");
        let p95 = queue_percentile(late, 0.95);
        assert!(p95 < 120.0, "{rate_bps}: {p95} ms");
    }
}

#[test]
fn a_collapse_is_answered_at_once_and_forgotten_quickly() {
    let moments = drive(60_000, collapse);
    // What stands in the queue before any report can tell of it takes a while to drain, and nothing comes on top.
    let long = moments[15_000..30_000].iter().filter(|moment| moment.queue_ms > 150.0).count();
    assert!(long < 2_200, "{long} ms");
    assert!(queue_percentile(&moments, 0.95) < 150.0, "{}", queue_percentile(&moments, 0.95));
    let settled = &moments[18_000..30_000];
    assert!(queue_percentile(settled, 0.95) < 150.0, "{}", queue_percentile(settled, 0.95));
    assert!(mean_bps(settled) > 0.75 * 0.6e6, "{}", mean_bps(settled));
    let back = moments[30_000..].iter().find(|moment| moment.target_bps > 0.8 * 4e6);
    let back_ms = back.map(|moment| moment.ms - 30_000);
    assert!(back_ms.is_some_and(|ms| ms < 9_000), "{back_ms:?}");
}

#[test]
fn loss_without_a_queue_costs_nothing() {
    let moments = drive(30_000, |_| Weather { loss: 0.05, delay_ms: 120.0, ..FAIR });
    assert!(mean_bps(&moments[5_000..]) > 0.95 * BOUNDS.max_bps);
}

#[test]
fn a_path_that_loses_a_third_is_taken_for_full() {
    let moments = drive(30_000, |_| Weather { loss: 0.33, ..FAIR });
    assert!(mean_bps(&moments[10_000..]) < 0.6 * BOUNDS.max_bps);
}

#[test]
fn jitter_of_a_radio_is_not_a_queue() {
    let moments = drive(40_000, |_| Weather { jitter_ms: 40.0, delay_ms: 60.0, ..FAIR });
    let used = mean_bps(&moments[10_000..]) / BOUNDS.max_bps;
    assert!(used > 0.85, "{used}");
}

#[test]
fn a_longer_way_is_not_a_queue_for_long() {
    let moments =
        drive(40_000, |ms| Weather { delay_ms: if ms < 15_000 { 30.0 } else { 110.0 }, ..FAIR });
    let used = mean_bps(&moments[25_000..]) / BOUNDS.max_bps;
    assert!(used > 0.85, "{used}");
}

#[test]
fn after_an_outage_it_begins_lower_and_is_back_soon() {
    let moments = drive(30_000, |ms| Weather { up: !(10_000..13_000).contains(&ms), ..FAIR });
    let after = &moments[13_000..];
    assert!(after.iter().take(400).any(|moment| moment.target_bps < 0.7 * BOUNDS.max_bps));
    let back = after.iter().skip(300).find(|moment| moment.target_bps > 0.9 * BOUNDS.max_bps);
    let back_ms = back.map(|moment| moment.ms - 13_000);
    assert!(back_ms.is_some_and(|ms| ms < 4_000), "{back_ms:?}");
}

#[test]
fn beside_the_stacks_own_estimator_it_is_sooner_back_with_no_longer_queue() {
    let (ours, gcc) = (drive(60_000, collapse), drive_gcc(60_000, collapse));
    let back = |moments: &[Moment]| {
        let back = moments[30_000..].iter().find(|moment| moment.target_bps > 0.8 * 4e6);
        back.map_or(30_000, |moment| moment.ms - 30_000)
    };
    let queue = |moments: &[Moment]| queue_percentile(&moments[15_000..30_000], 0.95);
    assert!(back(&ours) <= back(&gcc));
    assert!(queue(&ours) <= queue(&gcc));
}

#[test]
fn reports_that_make_no_sense_move_nothing_out_of_its_bounds() {
    let mut estimator = Estimator::new(BOUNDS);
    let now = Instant::now();
    estimator.on_reports(now, &[]);
    let weird = |id: u64, arrival: Option<Duration>, size| PacketReport {
        ssrc: 1,
        id,
        rtp_sequence_number: 0,
        is_twcc: true,
        twcc_sequence_number: 0,
        size,
        arrived: arrival.is_some(),
        departure: now + Duration::from_millis(id % 7),
        arrival,
        ecn: rtc::rtcp::transport_feedbacks::cc_feedback_report::Ecn::default(),
    };
    for id in 0..5_000_u64 {
        let arrival = match id % 5 {
            0 => None,
            1 => Some(Duration::ZERO),
            2 => Some(Duration::from_secs(u64::from(u32::MAX))),
            3 => Some(Duration::from_millis(id)),
            _ => Some(Duration::from_nanos(id)),
        };
        let size = if id % 3 == 0 { 0 } else { usize::from(u16::MAX) };
        estimator.on_reports(now + Duration::from_millis(id), &[weird(id, arrival, size)]);
        let target = estimator.target_bps();
        assert!((BOUNDS.min_bps..=BOUNDS.max_bps).contains(&target), "{target}");
        assert!(estimator.queue_ms().is_finite());
    }
}

#[test]
fn a_far_end_that_says_all_came_at_one_moment_fills_no_memory() {
    let mut arrivals = Arrivals::default();
    for _packet in 0..10 * ARRIVALS_MAX {
        arrivals.add(Duration::from_secs(1), 1_200);
    }
    assert!(arrivals.0.len() <= ARRIVALS_MAX);
    assert_eq!(arrivals.rate_bps(RATE_OVER), None);
}
