use super::*;

/// Plays phases, each over the one before: a robot that drives with 1.5 m/s.
fn played(phases: Value) -> Value {
    let mut all =
        vec![json!({"for_ms": 300, "deadman": false}), json!({"for_ms": 3_000, "linear_mps": 1.5})];
    all.extend(phases.as_array().unwrap().iter().cloned());
    let scenario = serde_json::from_value(json!({ "phases": all })).unwrap();
    play(&scenario).unwrap()
}

#[track_caller]
fn check(phases: Value, state: &str, reason: &str, wheels_mmps: i32) -> Value {
    let played = played(phases);
    let end = &played["end"];
    assert_eq!(
        (end["state"].as_str().unwrap(), end["reason"].as_str().unwrap(), &end["wheels_mmps"]),
        (state, reason, &json!(wheels_mmps)),
        "{end}"
    );
    played
}

#[test]
fn a_robot_that_is_well_drives() {
    let played = check(json!([]), "driving", "none", 1_500);
    assert_eq!(played["samples"].as_array().unwrap().len(), 165);
    assert_eq!(played["hazards"], json!([]));
}

#[test]
fn what_a_phase_says_reaches_the_core() {
    let full = |more: Value| {
        let mut phase = json!({"for_ms": 3_000, "linear_mps": 1.5});
        phase.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([phase])
    };
    let stops = [
        (json!({"command_every_ms": null}), "command-stale"),
        (json!({"stamp_age_ms": null}), "command-held-up"),
        (json!({"seen_age_ms": 501}), "video-stale"),
        (json!({"odometry_age_ms": null}), "sensor-stale"),
        (json!({"scan_age_ms": 501}), "scan-stale"),
        (json!({"recorder_able": false}), "recorder-full"),
        (json!({"tilt_deg": 60}), "tipped"),
        (json!({"battery": 0.02}), "battery-critical"),
        (json!({"heartbeat_age_ms": 3_001}), "task-dead"),
        (json!({"edge_m": 9, "accuracy_m": 6}), "position-unknown"),
    ];
    for (more, reason) in stops {
        check(full(more), "stopped", reason, 0);
    }
    check(full(json!({"estop": true})), "emergency_stopped", "estop", 0);
    check(full(json!({"lease": false})), "idle", "no-lease", 0);
    check(full(json!({"clock_jump_ms": -50})), "stopped", "clock-regression", 0);
    check(full(json!({"clock_jump_ms": 700})), "stopped", "rearm-needed", 0);
    let drives = [
        (json!({"ahead_m": 0.3}), "obstacle-ahead", 0),
        (json!({"ahead_m": 1.0}), "obstacle-near", 1_144),
        (json!({"cone_ahead_m": 0.2}), "obstacle-ahead", 0),
        (json!({"bumper_front": true}), "bumper", 0),
        (json!({"bumper_rear": true}), "none", 1_500),
        (json!({"drop_ahead": true}), "drop", 0),
        (json!({"battery": 0.09}), "battery-low", 500),
        (json!({"tilt_deg": 30}), "tilt", 200),
        (json!({"seen_age_ms": 480}), "latency", 729),
        (json!({"lease_mps_max": 0.6}), "policy-cap", 600),
        (json!({"edge_m": 1, "position_age_ms": 0}), "geofence", 0),
        (json!({"edge_m": -3, "edge_bearing_deg": 180, "position_age_ms": 0}), "geofence", 0),
        (json!({"edge_m": -3, "edge_bearing_deg": 0, "position_age_ms": 0}), "geofence-near", 300),
        (json!({"edge_m": 50, "position_age_ms": 2_001}), "geofence-near", 300),
    ];
    for (more, reason, wheels_mmps) in drives {
        if more.get("edge_m").is_some() {
            // The area is there from the beginning: a robot that never knew where it is does not drive.
            let phases = json!([{"for_ms": 300, "deadman": false, "edge_m": 50}, {"for_ms": 100, "edge_m": 50}]);
            let mut all = phases.as_array().unwrap().clone();
            all.extend(full(more).as_array().unwrap().clone());
            check(json!(all), "driving", reason, wheels_mmps);
        } else {
            check(full(more), "driving", reason, wheels_mmps);
        }
    }
}

#[test]
fn somebody_who_walks_towards_the_robot_stops_it() {
    let phase = json!([{"for_ms": 2_500, "linear_mps": 1.5, "ahead_m": 5, "approach_mps": 1.4}]);
    let played = played(phase);
    let reasons: Vec<&str> = played["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["reason"].as_str().unwrap())
        .collect();
    assert!(reasons.contains(&"collision-near"), "{reasons:?}");
    assert_eq!(played["end"]["wheels_mmps"], 0);
}

#[test]
fn bad_brakes_are_learned_and_a_stop_is_timed() {
    let played = played(json!([{"for_ms": 4_000, "deadman": false, "brakes_mps2": 0.6}]));
    let brake = played["end"]["brake_mmps2"].as_u64().unwrap();
    assert!(brake < 1_000, "{brake}");
    let speed = played["samples"][200]["speed_mmps"].as_u64().unwrap();
    assert!(speed > 800, "it rolls on: {speed}");
}

#[test]
fn an_emergency_stop_is_cleared_with_the_stick_at_rest() {
    let stop = json!({"for_ms": 500, "linear_mps": 1.5, "estop": true});
    let clear = json!({"for_ms": 500, "deadman": false, "estop_clear": true});
    let played = check(json!([stop, clear]), "ready", "deadman-released", 0);
    assert_eq!(played["end"]["minimal_risk"], Value::Null);
    let held = json!({"for_ms": 500, "linear_mps": 1.5, "estop_clear": true});
    let played = check(json!([stop, held]), "emergency_stopped", "estop", 0);
    assert_eq!(played["end"]["minimal_risk"], "estop");
    assert_eq!(played["hazards"][0]["action"], "latch");
}

#[test]
fn what_is_out_of_bounds_is_refused_in_words() {
    let refused = |scenario: Value| match serde_json::from_value(scenario) {
        Ok(scenario) => play(&scenario).unwrap_err(),
        Err(error) => error.to_string(),
    };
    assert!(refused(json!({"phases": []})).contains("1 to 16 phases"));
    assert!(refused(json!({"phases": vec![json!({}); 17]})).contains("1 to 16 phases"));
    assert!(refused(json!({"phases": [{"for_ms": 60_001}]})).contains("at most 60000 ms"));
    assert!(
        refused(json!({"phases": [{"for_ms": u32::MAX}, {"for_ms": u32::MAX}]}))
            .contains("at most")
    );
    assert!(refused(json!({"phases": [{"for_ms": 9}]})).contains("at least 10 ms"));
    assert!(refused(json!({"phases": [{}, {"ahead_m": -1}]})).contains("phase 2: ahead_m"));
    assert!(refused(json!({"phases": [{"seen_age_ms": 60_001}]})).contains("seen_age_ms"));
    assert!(refused(json!({"phases": [{"colour": 1}]})).contains("colour"));
    assert!(
        refused(json!({"phases": [{}], "policy": {"speed_mps_max": 9}})).contains("speed_mps_max")
    );
}
