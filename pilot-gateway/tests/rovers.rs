//! A program for the Earth Rovers API drives a fake robot through a port of its own, and another one may not.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of their functions")]

mod support;

use pilot_gateway::config::EarthRover;
use protocol::drive::Seen as SeenPicture;
use protocol::safety::{Reason, SafetyState};
use serde_json::{Value, json};
use support::*;

/// A world with a port for each of `seeds`.
async fn ports(seeds: &[u8]) -> World {
    let keys = tempfile::tempdir().unwrap();
    let rover = |seed: &u8| {
        let key = keys.path().join(format!("{seed}.key"));
        std::fs::write(&key, driver_key(*seed).to_pem().as_bytes()).unwrap();
        let bind = "127.0.0.1".parse().unwrap();
        EarthRover { robot: ROBOT.parse().unwrap(), port: 0, bind, key, mission: None }
    };
    let rovers: Vec<_> = seeds.iter().map(rover).collect();
    let world = World::with(|config| config.earth_rover = rovers, true).await;
    tokio::time::timeout(PATIENCE, world.gateway.ready()).await.unwrap();
    world
}

async fn call(world: &World, port: usize, what: &str, body: Option<Value>) -> (u16, Value) {
    let url = format!("http://{}{what}", world.gateway.rovers()[port]);
    // The port signs in by itself; until then it says 503.
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let request = match &body {
            Some(body) => world.http.post(&url).body(body.to_string()),
            None => world.http.get(&url),
        };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        if status != 503 || tokio::time::Instant::now() > until {
            return (status, body);
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn command(linear: f64) -> Option<Value> {
    Some(json!({ "command": { "linear": linear, "angular": -0.5, "lamp": 0 } }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_held_for_the_owners_time_and_answers_the_picture_given() {
    let world = ports(&[20, 21]).await;
    let (status, data) = call(&world, 0, "/data", None).await;
    assert_eq!((status, &data["battery"], &data["orientation"]), (200, &json!(50.0), &json!(90.0)));
    let (status, picture) = call(&world, 0, "/v2/front", None).await;
    assert_eq!((status, &picture["front_frame"]), (200, &json!("/9j/4A==")), "{picture}");
    let (status, sent) = call(&world, 0, "/control", command(-1.0)).await;
    assert_eq!((status, &sent["message"]), (200, &json!("Command sent successfully")), "{sent}");
    let seen = world
        .wait("released after the hold", |seen| {
            let held = seen.commands.iter().rposition(|c| c.deadman);
            held.is_some_and(|held| seen.commands.len() >= held + 3)
        })
        .await;
    let held: Vec<_> = seen.commands.iter().filter(|c| c.deadman).collect();
    assert!((3..=9).contains(&held.len()), "20 Hz for 400 ms: {}", held.len());
    for command in held {
        assert_eq!((command.linear_mmps, command.angular_mradps), (-500, -600));
        assert!(matches!(command.seen, SeenPicture::CaptureMs(at) if at > 0 && at < 1_000_000));
    }
    // Somebody else's program on the same robot.
    let (status, refused) = call(&world, 1, "/control", command(0.5)).await;
    assert_eq!(status, 409);
    assert!(refused["detail"].as_str().unwrap().contains("driven by somebody else"), "{refused}");
    assert_eq!(call(&world, 1, "/data", None).await.0, 200, "it may look on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_safety_core_refuses_is_409_with_its_reason() {
    let world = ports(&[20]).await;
    world.mood(|mood| (mood.safety, mood.reason) = (SafetyState::Stopped, Reason::VideoStale));
    let (status, refused) = call(&world, 0, "/control", command(0.5)).await;
    assert_eq!((status, &refused["reason"]), (409, &json!("video-stale")), "{refused}");
    assert!(refused["detail"].as_str().unwrap().starts_with("The picture is too old"));
    world.mood(|mood| (mood.safety, mood.reason) = (SafetyState::Driving, Reason::None));
    assert_eq!(call(&world, 0, "/control", command(0.5)).await.0, 200);
    let (status, refused) = call(&world, 0, "/control", Some(json!({ "command": "go" }))).await;
    assert_eq!(status, 400, "{refused}");
    world
        .wait("nonsense ends the motion", |seen| seen.commands.last().is_some_and(|c| !c.deadman))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_the_fleet_does_not_know_is_401() {
    let world = ports(&[66]).await;
    let (status, refused) = call(&world, 0, "/data", None).await;
    assert_eq!(status, 401);
    assert!(refused["detail"].as_str().unwrap().starts_with("User not found"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_intervention_is_told_to_fleet_and_robot_or_to_neither() {
    use protocol::intervention::Act;
    let world = ports(&[20]).await;
    let start = "/interventions/start";
    let (status, started) = call(&world, 0, start, Some(json!({"cause": "lost"}))).await;
    assert_eq!(status, 200, "{started}");
    assert_eq!(started["intervention_id"], "itv_00000000000000000000000000000001");
    let (status, _) = call(&world, 0, "/interventions/end", Some(json!({}))).await;
    assert_eq!(status, 200);
    let seen = world.wait("both were told", |seen| seen.interventions.len() == 2).await;
    assert_eq!(seen.interventions, ["start: lost", "end"]);
    let recorded: Vec<_> = seen.recorded.iter().map(|one| (one.act, one.cause.as_str())).collect();
    assert_eq!(recorded, [(Act::Start, "lost"), (Act::End, "the person is done")]);
    let (status, refused) = call(&world, 0, "/interventions/end", Some(json!({}))).await;
    assert_eq!((status, &refused["detail"]), (400, &json!("No active intervention found")));

    // The robot does not take it: then the fleet is told to end it, and the client hears why.
    world.mood(|mood| mood.refuse_record = Some("too-many"));
    let (status, refused) = call(&world, 0, start, Some(json!({}))).await;
    assert_eq!((status, &refused["detail"]), (429, &json!("not now")));
    let seen = world.wait("it was taken back", |seen| seen.interventions.len() == 4).await;
    assert_eq!(seen.interventions[2..], ["start: a person takes over", "end"]);
    // The robot's lease has just ended, and with it every intervention.
    world.mood(|mood| mood.refuse_record = None);
    call(&world, 0, start, Some(json!({}))).await;
    world.mood(|mood| mood.refuse_record = Some("lease-ended"));
    let (status, refused) = call(&world, 0, "/interventions/end", Some(json!({}))).await;
    assert_eq!((status, &refused["detail"]), (400, &json!("No active intervention found")));
}
