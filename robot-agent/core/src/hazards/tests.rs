use super::bounds::*;
use super::*;
use crate::Policy;

#[test]
fn every_hazard_has_one_row_and_rows_are_ordered() {
    let bits = HAZARDS.iter().fold(0, |bits, hazard| {
        assert_eq!(bits & hazard.reason.bit(), 0, "{:?} stands twice", hazard.reason);
        bits | hazard.reason.bit()
    });
    let all: u32 = Reason::ALL.iter().map(|reason| reason.bit()).sum();
    assert_eq!(bits, all - Reason::None.bit(), "every reason but `None` has a row");
    assert!(HAZARDS.is_sorted_by(|a, b| a.action >= b.action));
}

fn limits() -> Limits {
    Policy::default().limits().unwrap()
}

#[test]
fn the_speed_from_which_the_robot_stops_in_time() {
    assert_eq!(stopping_mmps(0, 1_500, 200), 0);
    for way_mm in [1, 10, 100, 500, 1_000, 5_000, u32::MAX] {
        let v = f64::from(stopping_mmps(way_mm, 1_500, 300)) / 1_000.0;
        let needed_m = v * v / 3.0 + v * 0.3;
        assert!(needed_m <= f64::from(way_mm) / 1_000.0, "{way_mm}: {v} m/s needs {needed_m} m");
    }
    assert_eq!(stopping_mmps(1_000, 1_500, 300), 1_339);
}

#[test]
fn a_slow_loop_leaves_the_budget_per_latency() {
    let at = |latency_ms| {
        let facts = Facts {
            loop_latency_ms: Some(latency_ms),
            seen_age_ms: Some(u64::from(latency_ms)),
            ..Facts::default()
        };
        latency_mmps(&facts, &limits())
    };
    assert_eq!(at(0), Finding::Absent);
    assert_eq!(at(233), Finding::Bounds(1_502));
    assert_eq!(at(500), Finding::Bounds(700));
    assert_eq!(at(501), Finding::Absent, "the video row stops it");
}
