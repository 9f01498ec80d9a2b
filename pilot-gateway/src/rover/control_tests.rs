use super::*;
use crate::verdict::tests::state;
use protocol::ids::LeaseId;
use protocol::safety::{Reason, SafetyState};

fn terms() -> Terms {
    Terms {
        speed_mps_max: 1.5,
        reverse_mps_max: 0.5,
        turn_radps_max: 1.2,
        hold_ms: 1_000,
        blind_permitted: false,
        blind_mps_max: 0.3,
        cameras: vec!["front".to_owned(), "rear".to_owned()],
        speaks: true,
        has_lamp: true,
    }
}

fn opened() -> Opened {
    let lease = LeaseId::new(uuid::Uuid::from_u128(1));
    Opened { lease_id: lease, episode: lease.into(), epoch: 3, ttl_ms: 30_000, mission: None }
}

#[test]
fn the_clients_range_is_the_robots_own_limits() {
    let wish = |linear, angular| wish(&Command { linear, angular, lamp: None }, &terms());
    assert_eq!(wish(1.0, -1.0), Ok(Wish::held(1.5, -1.2, 1_000).unwrap()));
    assert_eq!(wish(-1.0, 0.5), Ok(Wish::held(-0.5, 0.6, 1_000).unwrap()));
    let wild = Terms { speed_mps_max: f64::INFINITY, turn_radps_max: 99.0, ..terms() };
    let fast = super::wish(&Command { linear: 1.0, angular: 1.0, lamp: None }, &wild);
    assert_eq!(fast, Ok(Wish::held(3.0, 4.0, 1_000).unwrap()), "clamped, whatever a robot says");
    let broken = Terms { speed_mps_max: f64::NAN, ..terms() };
    assert!(super::wish(&Command { linear: 1.0, angular: 0.0, lamp: None }, &broken).is_err());
}

#[test]
fn only_the_robots_fresh_word_about_this_press_counts() {
    let lease = opened().lease_id;
    let driving = state(SafetyState::Driving, Reason::None, lease, 3, 7);
    let stopped = state(SafetyState::Stopped, Reason::VideoStale, lease, 3, 7);
    let ready = state(SafetyState::Ready, Reason::DeadmanReleased, lease, 3, 4);
    let fenced = state(SafetyState::Idle, Reason::NoLease, lease, 4, 7);
    let status = |state, age_ms, press, trusted| {
        judge(Some((state, age_ms)), &opened(), press, trusted)
            .map(|outcome| outcome.map_err(|refused| refused.status()))
    };
    assert_eq!(status(&driving, 100, 5, false), Some(Ok(())));
    assert_eq!(status(&driving, 401, 5, true), None, "too old to say anything");
    assert_eq!(status(&stopped, 100, 5, true), Some(Err(409)));
    assert_eq!(status(&stopped, 100, 8, true), None, "that was about an earlier press");
    assert_eq!(status(&ready, 100, 5, false), None);
    assert_eq!(status(&ready, 100, 5, true), Some(Ok(())), "obeyed a moment ago");
    assert_eq!(status(&fenced, 0, 5, true), Some(Err(409)));
    assert_eq!(judge(None, &opened(), 5, true), None);
}
