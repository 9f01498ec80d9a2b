//! A program says that a person takes over: the fleet keeps it, and the episode holds it.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use serde_json::{Value, json};
use std::process::Command;
use system_tests::Rig;
use xtask::fleet::Client;
use xtask::robots::Rover;
use xtask::stack::ROBOT;

/// Kills fleet server and gateway, and starts both again where they were.
fn restart_the_servers(rig: &mut Rig) {
    rig.stack.gateway.kill();
    rig.stack.restart_fleet().unwrap();
    rig.stack.restart_gateway().unwrap();
}

fn history(rover: &Rover) -> Vec<Value> {
    let all = Client::new(&rover.url).get("/interventions/history").unwrap();
    all["interventions"].as_array().unwrap().clone()
}

#[test]
fn interventions_stand_in_the_episode_and_outlive_the_servers() {
    let mut rig = Rig::start_with("interventions", &["--no-people"]).unwrap();
    let mut rover = Rover::start(&rig.stack, "client").unwrap();
    let client = Client::new(&rover.url);
    client.post("/start-mission", &json!({})).unwrap();
    let first = client.post("/interventions/start", &json!({"cause": "lost its way"})).unwrap();
    client.post("/interventions/end", &json!({})).unwrap();
    let second = client.post("/interventions/start", &json!({})).unwrap();
    let ids = [&first, &second].map(|one| one["intervention_id"].as_str().unwrap().to_owned());
    assert_eq!(history(&rover)[0]["end_time"], Value::Null, "the second is under way");

    // The client vanishes without a goodbye: with the drive ends what it began.
    rover.process.kill();
    let episode = rig.accepted_episode().unwrap();
    let path = rig.data().join("fleet/episodes").join(episode["id"].as_str().unwrap());
    let out = Command::new(rig.program("episode")).args(["info", "--json"]).arg(&path).output();
    let info: Value = serde_json::from_slice(&out.unwrap().stdout).unwrap();
    let recorded = info["summary"]["interventions"].as_array().unwrap();
    assert_eq!(recorded.len(), 2, "{info}");
    for (one, id) in recorded.iter().zip(&ids) {
        assert_eq!(one["id"], **id, "{info}");
        assert_eq!(one["by"], info["episode"]["driver"]["did"], "{info}");
        assert!(one["ended_at"].as_u64() >= one["started_at"].as_u64(), "{info}");
    }
    assert_eq!(recorded[0]["cause"], "lost its way", "{info}");
    assert_eq!(recorded[1]["ended_why"], info["episode"]["ended_why"], "{info}");
    let text = Command::new(rig.program("episode")).arg("info").arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("lost its way, by did:key:"), "{text}");

    // The fleet tells the same, before and after a restart.
    let filter = format!("/v1/interventions?episode={}", episode["id"].as_str().unwrap());
    let kept = rig.stack.operator.get(&filter).unwrap();
    assert_eq!(kept["items"][0]["id"], *ids[1], "{kept}");
    assert_eq!(kept["items"][0]["ended_why"], info["episode"]["ended_why"], "{kept}");
    assert_eq!((&kept["items"][1]["ended_why"], &kept["next"]), (&json!("driver"), &Value::Null));
    restart_the_servers(&mut rig);
    assert_eq!(rig.stack.operator.get(&filter).unwrap(), kept);
    let rover = Rover::start(&rig.stack, "client").unwrap();
    let past = history(&rover);
    assert_eq!(past.len(), 2, "{past:?}");
    for (shown, kept) in past.iter().zip(kept["items"].as_array().unwrap()) {
        assert_eq!(shown["ride_id"], episode["id"], "{past:?}");
        assert_eq!((&shown["bot_slug"], &shown["bot_name"]), (&json!(ROBOT), &kept["robot_name"]));
        assert_eq!(shown["mission_name"], episode["mission_name"], "{past:?}");
        assert!(shown["mission_slug"].is_string(), "{past:?}");
        assert!(shown["start_time"].as_str() <= shown["end_time"].as_str(), "{past:?}");
    }
    assert!(Client::new(&rover.url).post("/interventions/end", &json!({})).is_err());
}
