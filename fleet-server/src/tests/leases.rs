//! Leases, arrival, presence, events.

use super::world::World;
use crate::live::Dropped;
use crate::tracker;
use futures::StreamExt;
use protocol::units::WallMs;
use serde_json::{Value, json};
use tower::ServiceExt;

#[tokio::test]
async fn one_driver_and_growing_epochs() {
    let world = World::new().await;
    let (ada, bob) = (world.person("pilot", 1, "Ada").await, world.person("agent", 2, "Bob").await);
    let mut rover = world.rover("rover-1", 3).await;
    let order = json!({"robot": "rover-1"});
    let (_, first) = world.take_lease(&ada, order.clone()).await;
    assert_eq!((first.epoch, first.renewal), (1, 0));
    world.refused(("POST", "/v1/leases", &bob.token), order.clone(), 409, "robot-taken").await;
    let path = format!("/v1/leases/{}", first.lease_id);
    let renew = format!("{path}/renew");
    world.refused(("POST", &renew, &bob.token), Value::Null, 403, "forbidden").await;
    world.refused(("DELETE", &path, &bob.token), Value::Null, 403, "forbidden").await;
    world.ok("POST", &renew, &ada.token, Value::Null).await;
    let (_, second) = world.take_lease(&ada, order.clone()).await;
    assert_eq!(second.epoch, 2, "a page that was reloaded");
    assert_eq!(world.get(&path).await["why"], "fenced");
    world.refused(("POST", &renew, &ada.token), Value::Null, 409, "lease-ended").await;
    // The robot says that the driver left.
    rover.lease = Some(second.lease_id);
    rover.report(&world).await;
    rover.end(&world, "driver-gone").await;
    let path = format!("/v1/leases/{}", second.lease_id);
    assert_eq!(world.get(&path).await["why"], "driver-gone");
    assert_eq!(world.get("/v1/robots/rover-1").await["lease"], Value::Null);
    let (_, third) = world.take_lease(&bob, order).await;
    assert_eq!(
        (third.epoch, serde_json::to_value(third.driver_kind).unwrap()),
        (3, json!("agent"))
    );
    world.ok("DELETE", &format!("/v1/leases/{}", third.lease_id), &bob.token, Value::Null).await;
    let ended = world
        .ok("DELETE", &format!("/v1/leases/{}", third.lease_id), &bob.token, Value::Null)
        .await;
    assert_eq!(ended["why"], "released");
}

#[tokio::test]
async fn an_operator_or_an_owner_takes_over_and_nobody_else() {
    let world = World::new().await;
    let (ada, bob) = (world.person("pilot", 1, "Ada").await, world.person("pilot", 2, "Bob").await);
    let oda = world.person("operator", 7, "Oda").await;
    let mut rover = world.rover("rover-1", 3).await;
    let mission = world.open_mission("rover-1", 100).await;
    let (_, first) = world.take_lease(&ada, json!({"mission": mission})).await;
    rover.lease = Some(first.lease_id);
    rover.report(&world).await;
    let over = json!({"mission": mission, "takeover": true});
    world.refused(("POST", "/v1/leases", &bob.token), over.clone(), 403, "forbidden").await;
    let renew = format!("/v1/leases/{}/renew", first.lease_id);
    world.ok("POST", &renew, &ada.token, Value::Null).await;
    // Without the word, an operator is no driver, and a driver finds the robot taken.
    let plain = json!({"robot": "rover-1"});
    world.refused(("POST", "/v1/leases", &oda.token), plain.clone(), 403, "forbidden").await;
    world.refused(("POST", "/v1/leases", &bob.token), plain, 409, "robot-taken").await;
    let (_, second) = world.take_lease(&oda, over).await;
    assert_eq!(second.epoch, first.epoch + 1);
    let ended = world.get(&format!("/v1/leases/{}", first.lease_id)).await;
    assert_eq!((&ended["why"], &ended["ended_by"]), (&json!("taken-over"), &json!("Oda")));
    world.refused(("POST", &renew, &ada.token), Value::Null, 409, "lease-ended").await;
    let view = world.get(&format!("/v1/missions/{mission}")).await;
    assert_eq!(view["driver"]["name"], "Oda", "the mission went along");
    let renew = format!("/v1/leases/{}/renew", second.lease_id);
    world.ok("POST", &renew, &oda.token, Value::Null).await;
    // Whoever drives may take over from itself: it is no takeover.
    let again = json!({"robot": "rover-1", "takeover": true});
    let (_, third) = world.take_lease(&oda, again).await;
    let fenced = world.get(&format!("/v1/leases/{}", second.lease_id)).await;
    assert_eq!((third.epoch, &fenced["why"]), (second.epoch + 1, &json!("fenced")));
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_drive_keeps_lease_and_progress() {
    let world = World::new().await;
    let ada = world.person("pilot", 1, "Ada").await;
    let mut rover = world.rover("rover-1", 3).await;
    let mission = world.open_mission("rover-1", 100).await;
    let (_, lease) = world.take_lease(&ada, json!({"mission": mission})).await;
    rover.lease = Some(lease.lease_id);
    rover.go(&world, 10.0).await;
    let world = world.restarted().await;
    rover.report(&world).await;
    let path = format!("/v1/leases/{}/renew", lease.lease_id);
    world.ok("POST", &path, &ada.token, Value::Null).await;
    let view = world.get(&format!("/v1/missions/{mission}")).await;
    assert_eq!(
        (view["state"].as_str(), view["next_checkpoint"].as_u64()),
        (Some("active"), Some(1))
    );
    rover.go(&world, 20.0).await;
    assert_eq!(world.get(&format!("/v1/missions/{mission}")).await["state"], "verifying");
}

#[tokio::test]
async fn a_lease_that_nobody_renews_expires_and_frees_robot_and_mission() {
    let world = World::new().await;
    let ada = world.person("pilot", 1, "Ada").await;
    let mut rover = world.rover("rover-1", 3).await;
    let mission = world.open_mission("rover-1", 100).await;
    let (_, lease) = world.take_lease(&ada, json!({"mission": mission})).await;
    assert_eq!(world.get(&format!("/v1/missions/{mission}")).await["state"], "assigned");
    rover.lease = Some(lease.lease_id);
    rover.go(&world, 10.0).await;
    world.fleet.live.with(&rover.id, |live| live.lease.as_mut().unwrap().until = WallMs(0));
    tracker::tick(&world.fleet).await.unwrap();
    let view = world.get(&format!("/v1/missions/{mission}")).await;
    assert_eq!(
        (view["state"].as_str(), view["reached"].as_array().unwrap().len()),
        (Some("open"), 0)
    );
    assert_eq!(view["driver"], Value::Null);
    let path = format!("/v1/leases/{}", lease.lease_id);
    assert_eq!(world.get(&path).await["why"], "expired");
    world
        .refused(("POST", &format!("{path}/renew"), &ada.token), Value::Null, 409, "lease-ended")
        .await;
}

#[tokio::test]
async fn a_robot_that_was_restarted_has_ended_its_lease() {
    let world = World::new().await;
    let ada = world.person("pilot", 1, "Ada").await;
    let mut rover = world.rover("rover-1", 3).await;
    let (_, lease) = world.take_lease(&ada, json!({"robot": "rover-1"})).await;
    rover.report(&world).await;
    let path = format!("/v1/leases/{}", lease.lease_id);
    assert_eq!(world.get(&path).await["state"], "live", "the driver may still be on the way");
    rover.lease = Some(lease.lease_id);
    rover.report(&world).await;
    rover.lease = None;
    rover.report(&world).await;
    assert_eq!(world.get(&path).await["why"], "stopping");
}

#[tokio::test]
async fn only_the_robot_s_own_fresh_states_count() {
    let world = World::new().await;
    let mut rover = world.rover("rover-1", 3).await;
    let other = world.rover("rover-2", 4).await;
    let state = rover.state();
    let good = rover.message(&state);
    let take = |key: &str, payload: &[u8], attachment: &[u8]| {
        world.fleet.live.take(key, payload, attachment, crate::fleet::now()).map(|_| ())
    };
    let forged = other.message(&state);
    assert_eq!(take(&good.key, &forged.payload, &forged.attachment), Err(Dropped::Signature));
    let moved = "longrein/v1/robots/rover-2/state";
    assert_eq!(take(moved, &good.payload, &good.attachment), Err(Dropped::Signature));
    assert_eq!(
        take("longrein/v1/robots/ghost/state", &good.payload, &good.attachment),
        Err(Dropped::Unknown)
    );
    assert_eq!(take(&good.key, &good.payload, &good.attachment), Ok(()));
    assert_eq!(take(&good.key, &good.payload, &good.attachment), Err(Dropped::Replayed));
    let mut late = rover.state();
    late.at = WallMs(late.at.0 - 60_000);
    let late = rover.message(&late);
    assert!(matches!(take(&late.key, &late.payload, &late.attachment), Err(Dropped::Clock(_))));
    let mut lying = rover.state();
    lying.robot = other.id.clone();
    let lying = rover.message(&lying);
    assert!(matches!(
        take(&lying.key, &lying.payload, &lying.attachment),
        Err(Dropped::Malformed(_))
    ));
}

#[tokio::test]
async fn a_robot_that_is_gone_can_t_be_taken() {
    let world = World::new().await;
    let ada = world.person("pilot", 1, "Ada").await;
    let mut rover = world.rover("rover-1", 3).await;
    assert_eq!(world.get("/v1/robots/rover-1").await["online"], true);
    tracker::presence(&world.fleet, &rover.id, false).await;
    let order = json!({"robot": "rover-1"});
    world.refused(("POST", "/v1/leases", &ada.token), order.clone(), 409, "robot-offline").await;
    rover.report(&world).await;
    world.take_lease(&ada, order).await;
    let world = world.restarted().await;
    let view = world.get("/v1/robots/rover-1").await;
    assert_eq!((&view["online"], &view["state"]), (&json!(false), &Value::Null));
    let estop = ("POST", "/v1/robots/rover-1/estop", world.operator.as_str());
    world.refused(estop, json!({"reason": "test"}), 503, "unavailable").await;
}

#[tokio::test]
async fn events_tell_what_changed() {
    let world = World::new().await;
    world.rover("rover-1", 3).await;
    world.refused(("GET", "/v1/events?token=x", ""), Value::Null, 401, "sign-in").await;
    let uri = format!("/v1/events?token={}", world.operator);
    let request = axum::http::Request::get(uri).body(axum::body::Body::empty()).unwrap();
    let response = world.app.clone().oneshot(request).await.unwrap();
    let mut stream = response.into_body().into_data_stream();
    let mut text = String::new();
    let mission = world.open_mission("rover-1", 100).await;
    while !text.contains("\"state\":\"open\"") {
        text.push_str(std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap());
    }
    assert!(text.starts_with("event: hello"), "{text}");
    assert!(text.contains("event: mission\n") && text.contains(&mission), "{text}");
}

#[tokio::test]
async fn interventions_are_kept_and_end_with_the_drive_at_the_latest() {
    let world = World::new().await;
    let (ada, bob) = (world.person("agent", 1, "Ada").await, world.person("agent", 2, "Bob").await);
    let mut rover = world.rover("rover-1", 3).await;
    let mission = world.open_mission("rover-1", 100).await;
    let (_, lease) = world.take_lease(&ada, json!({"mission": mission})).await;
    let path = format!("/v1/leases/{}/interventions", lease.lease_id);
    let cause = json!({"cause": "a person takes over"});
    world.refused(("POST", &path, &bob.token), cause.clone(), 403, "forbidden").await;
    for wrong in [json!({}), json!({"cause": " "}), json!({"cause": "x".repeat(201)})] {
        world.refused(("POST", &path, &ada.token), wrong, 400, "bad-request").await;
    }
    let first = world.ok("POST", &path, &ada.token, cause.clone()).await;
    let again = world.ok("POST", &path, &ada.token, json!({"cause": "another"})).await;
    assert_eq!(first, again, "one at a time");
    assert_eq!(first["mission_name"], "Two corners");
    assert_eq!(
        (first["driver"]["name"].as_str(), first["cause"].as_str(), &first["ended_at"]),
        (Some("Ada"), Some("a person takes over"), &Value::Null)
    );
    let end = format!("/v1/interventions/{}/end", first["id"].as_str().unwrap());
    world.refused(("POST", &end, &bob.token), Value::Null, 403, "forbidden").await;
    let ended = world.ok("POST", &end, &ada.token, Value::Null).await;
    assert_eq!(ended["ended_why"], "driver");
    assert_eq!(world.ok("POST", &end, &ada.token, Value::Null).await, ended, "twice is no mistake");

    // The second is under way when the driver vanishes, and a restart forgets nothing.
    let second = world.ok("POST", &path, &ada.token, cause.clone()).await;
    let world = world.restarted().await;
    let lease_path = format!("/v1/leases/{}", lease.lease_id);
    assert_eq!(world.get(&lease_path).await["intervention"], second["id"]);
    rover.lease = Some(lease.lease_id);
    rover.report(&world).await;
    rover.end(&world, "driver-gone").await;
    let episode = first["episode"].as_str().unwrap();
    let kept = world.get(&format!("/v1/interventions?robot=rover-1&episode={episode}")).await;
    let kept = kept["items"].as_array().unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!((&kept[0]["id"], &kept[0]["ended_why"]), (&second["id"], &json!("driver-gone")));
    assert_eq!(kept[1], ended);
    assert_eq!(world.get(&lease_path).await["intervention"], Value::Null);
    world.refused(("POST", &path, &ada.token), cause, 409, "lease-ended").await;
    let did = bob.key.did();
    let none = world.get(&format!("/v1/interventions?driver={did}")).await;
    assert_eq!((&none["items"], &none["next"]), (&json!([]), &Value::Null));
}
