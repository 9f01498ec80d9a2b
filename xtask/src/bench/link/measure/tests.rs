use super::*;

/// A run of two seconds from monotonic 1,000 ms on, on a wall clock that is 500 ms ahead.
fn run(frames: &[(f64, Option<f64>)]) -> Run {
    let seen = Series {
        frames: frames.to_vec(),
        link: Vec::new(),
        telemetry: Vec::new(),
        commands: Vec::new(),
        lost: Vec::new(),
    };
    Run {
        seen,
        trace: Vec::new(),
        relay: Value::Null,
        relay_said: Vec::new(),
        targets: Told::default(),
        quality: Vec::new(),
        begun_ms: 1_000,
        until_ms: 3_000,
        wall_less_mono_ms: 500.0,
        machine_idle_percent: 50.0,
    }
}

/// Pictures every 100 ms, 40 ms old, but for a gap.
fn with_a_gap(from: f64, to: f64) -> Vec<(f64, Option<f64>)> {
    let times = (0..=25).map(|n| 1_300.0 + f64::from(n) * 100.0);
    let shown = times.filter(|at| !(*at > from && *at < to));
    shown.map(|at| (at, Some(at - 40.0))).collect()
}

#[test]
fn a_picture_that_stands_is_frozen_and_grows_old() {
    let steady = run(&with_a_gap(0.0, 0.0));
    assert_eq!((steady.frozen_s_per_min(), steady.freeze_longest_ms()), (0.0, Some(100.0)));
    assert_eq!(percentile(&steady.glass_ms(), 0.95), Some(40.0));
    // Half a second of two without a picture: a quarter of each minute.
    let gap = run(&with_a_gap(2_000.0, 2_500.0));
    assert_eq!((gap.frozen_s_per_min(), gap.freeze_longest_ms()), (15.0, Some(500.0)));
    assert_eq!(percentile(&gap.glass_ms(), 0.99), Some(40.0), "each picture came in time");
    assert!(gap.picture_age_ms().into_iter().fold(0.0, f64::max) > 500.0);
}

#[test]
fn pictures_are_back_when_they_come_steadily() {
    let gap = run(&with_a_gap(1_600.0, 2_300.0));
    // 1,100 ms monotonic are 1,600 on the wall; the next picture came at 2,300.
    assert_eq!(gap.pictures_again_s(1_100), Some(0.7));
    let never = run(&with_a_gap(1_600.0, 9_000.0));
    assert_eq!(never.pictures_again_s(1_100), None);
}

#[test]
fn what_arrives_is_told_by_the_relay() {
    let mut run = run(&[]);
    let line = |mono_ms: u64, bytes: u64, kbps: u64| json!({"mono_ms": mono_ms, "to_driver": {"bytes_out": bytes, "kbps": kbps, "queue_ms": 12.4}});
    run.relay_said = vec![line(900, 0, 1), line(1_000, 1_000, 600), line(1_200, 26_000, 700)];
    let series = run.series();
    assert_eq!(series["arriving_kbps"], json!([[0.2, 1000.0]]));
    assert_eq!(series["capacity_kbps"], json!([[0.0, 600.0], [0.2, 700.0]]));
    assert_eq!(series["queue_ms"], json!([[0.0, 12.0], [0.2, 12.0]]));
}

#[test]
fn a_target_stands_from_when_it_was_told_until_the_next() {
    // From 1,500 to 3,500 on the wall.
    let mut run = run(&[]);
    run.targets =
        Told(vec![(900.0, 1_500.0), (1_400.0, 2_500.0), (2_500.0, 800.0), (9_000.0, 1.0)]);
    assert_eq!(run.series()["target_kbps"], json!([[0.0, 2500.0], [1.0, 800.0], [2.0, 800.0]]));
    run.targets = Told::default();
    assert_eq!(run.series()["target_kbps"], json!([]));
}

#[test]
fn targets_are_found_in_logs() {
    let log = "2026-11-27T07:20:00.250000Z DEBUG robot_agent::adapt: path path=PathState { target_bps: Some(1500000.0), queue_ms: 0.0 }\n\
               2026-11-27T07:20:00.300000Z  INFO robot_agent: driven\n";
    assert_eq!(Told::by_agent(log).0, [(1_795_764_000_250.0, 1_500.0)]);
    assert_eq!(Told::by_peer("{\"at\": 5.0, \"target_bps\": 900000}\n{").0, [(5.0, 900.0)]);
}

#[test]
fn times_of_the_day_are_those_of_the_calendar() {
    assert_eq!(wall_ms("1970-01-01T00:00:00Z"), Some(0.0));
    assert_eq!(wall_ms("2000-02-29T12:00:00.5Z"), Some(951_825_600_500.0));
    assert_eq!(wall_ms("2000-03-01T00:00:00Z"), Some(951_868_800_000.0));
    assert_eq!(wall_ms("yesterday"), None);
}

#[test]
fn a_stamp_that_cannot_be_is_none() {
    let frames = [(2_000.0, Some(1_960.0)), (2_100.0, Some(-60_000.0)), (2_200.0, Some(2_300.0))];
    let seen = run(&frames).seen.believed();
    let made: Vec<Option<f64>> = seen.frames.iter().map(|(_, made)| *made).collect();
    assert_eq!(made, [Some(1_960.0), None, None]);
}

#[test]
fn a_command_is_as_old_as_it_is_when_the_robot_tells_of_it() {
    let mut run = run(&[]);
    run.seen.commands = vec![(1_900.0, 6, true), (1_920.0, 7, true)];
    // At monotonic 1,450, which is 1,950 on the wall; at 1,500 it had none newer. The third came after the time was over.
    let told = |at: f64, robot_ms: f64| (at, robot_ms, 7, 0.0, f64::from(u16::MAX), 0);
    run.seen.telemetry =
        vec![told(1_960.0, 1_450.0), told(2_010.0, 1_500.0), told(4_000.0, 3_400.0)];
    assert_eq!(run.command_age_ms(), [30.0, 80.0]);
    assert!(run.loop_latency_ms().is_empty(), "unknown is not zero");
}

#[test]
fn what_was_lost_before_the_time_began_does_not_count() {
    let mut run = run(&[]);
    let line =
        |mono_ms: u64, lost: u64| json!({"mono_ms": mono_ms, "to_driver": {"lost_in_queue": lost}});
    run.relay_said = vec![line(600, 2), line(800, 5), line(1_200, 9)];
    run.relay = line(2_900, 12);
    assert_eq!(run.lost_in_queue(), Some(7.0));
}
