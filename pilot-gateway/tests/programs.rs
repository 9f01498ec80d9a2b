//! A program drives a fake robot through the real gateway, over real HTTP and real Zenoh.

mod support;

use protocol::drive::Seen as SeenPicture;
use protocol::lease::VerifiedLease;
use protocol::safety::{Reason, SafetyState};
use protocol::signal::open_bytes;
use serde_json::{Value, json};
use support::*;

fn wish(linear: f64, ttl: u64) -> Value {
    json!({ "linear_mps": linear, "angular_radps": 0.1, "ttl_ms": ttl })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn look_lease_drive_release() {
    let world = World::ready().await;
    let (status, lease) = world.post(&path("lease"), 10, &json!({})).await;
    assert_eq!(status, 201, "{lease}");
    let signal = world.seen().signals[0].clone();
    assert_eq!((signal.offer_sdp.as_str(), signal.driver_signature.as_str()), ("", ""));

    let before = world.wait("released at first", |seen| seen.commands.len() > 2).await;
    assert!(before.commands.iter().all(|c| !c.deadman));
    world
        .wait("echoes the stamp of the newest state", |seen| {
            seen.commands.last().is_some_and(|c| c.robot_stamp_ms > 1_000)
        })
        .await;

    let (status, headers, jpeg) = world.get(&path("look?camera=front"), 10).await;
    assert_eq!((status, &jpeg[..2]), (200, &[0xff, 0xd8][..]));
    assert_eq!(headers["x-capture-time"], "2026-12-31T23:59:59.001Z");
    assert_eq!(headers["x-capture-robot-ms"], "4294967300");
    assert_eq!(headers["content-type"], "image/jpeg");

    let (status, driven) = world.post(&path("drive"), 10, &wish(0.5, 400)).await;
    assert_eq!(status, 200, "{driven}");
    assert_eq!((&driven["state"], &driven["confirmed"]), (&json!("driving"), &json!(true)));
    assert_eq!((&driven["words"], &driven["limit_mps"]), (&json!("All well"), &json!(1.2)));
    let seq = driven["seq"].as_u64().unwrap();

    let seen = world
        .wait("released after the time to live", |seen| {
            let held = seen.commands.iter().rposition(|c| c.deadman);
            held.is_some_and(|held| seen.commands.len() >= held + 4)
        })
        .await;
    let held: Vec<_> = seen.commands.iter().filter(|c| c.deadman).collect();
    assert_eq!(u64::from(held[0].seq), seq);
    // 20 Hz for 400 ms; a loaded machine may send fewer, never more.
    assert!((3..=9).contains(&held.len()), "{}", held.len());
    for command in &held {
        assert_eq!((command.linear_mmps, command.angular_mradps), (500, 100));
        assert_eq!(command.seen, SeenPicture::CaptureMs(4), "the low 32 bits");
        assert_eq!(command.epoch, lease["epoch"].as_u64().unwrap());
        assert_eq!(command.robot_stamp_ms, 4, "the picture's time is newer than any state's");
    }
    assert!(seen.commands.windows(2).all(|w| w[1].seq > w[0].seq), "seq grows");

    let (status, again) = world.post(&path("lease"), 10, &json!({})).await;
    assert_eq!((status, &again["lease_id"]), (200, &lease["lease_id"]), "asking twice");
    let (_, _, text) = world.get("/metrics", 10).await;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("longrein_gateway_drivers_active 1\n"), "{text}");

    assert_eq!(world.delete(&path("lease"), 10).await, 204);
    let seen = world.seen();
    assert!(seen.robot_released, "the robot was told before the answer");
    assert_eq!(seen.fleet_released.len(), 1);
    let (status, problem) = world.post(&path("drive"), 10, &wish(0.5, 400)).await;
    assert_eq!((status, &problem["code"]), (409, &json!("lease-ended")), "{problem}");
    world.gateway.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_driver_is_refused_and_may_look_on() {
    let world = World::ready().await;
    assert_eq!(world.post(&path("lease"), 10, &json!({})).await.0, 201);
    for (leaf, body) in [("lease", json!({})), ("drive", wish(0.1, 100)), ("stop", json!({}))] {
        let (status, problem) = world.post(&path(leaf), 11, &body).await;
        assert_eq!((status, &problem["code"]), (409, &json!("robot-taken")), "{leaf}: {problem}");
    }
    assert_eq!(world.get(&path("look"), 11).await.0, 200);
    // A state that the robot sent before the lease may still come after it: wait for one that knows of it.
    let state = tokio::time::timeout(PATIENCE, async {
        loop {
            let (status, _, state) = world.get(&path("state"), 11).await;
            assert_eq!(status, 200);
            let state: Value = serde_json::from_slice(&state).unwrap();
            if state["words"] == "All well" {
                return state;
            }
        }
    });
    let state = state.await.expect("the robot's word of the lease reaches a looker-on");
    assert!(state["age_ms"].is_u64() && state["heading_deg"] == json!(90.0));
    // Anyone may stop it in an emergency, by the fleet's path.
    let (status, _) = world.post(&path("stop"), 11, &json!({ "estop": true })).await;
    assert_eq!(status, 200);
    assert_eq!((world.seen().fleet_estops, world.seen().estops.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_safety_cores_refusal_is_told_in_its_words() {
    let world = World::ready().await;
    assert_eq!(world.post(&path("lease"), 10, &json!({})).await.0, 201);
    world.mood(|mood| {
        mood.safety = SafetyState::Stopped;
        mood.reason = Reason::VideoStale;
    });
    let (status, problem) = world.post(&path("drive"), 10, &wish(0.5, 1000)).await;
    assert_eq!((status, &problem["code"]), (409, &json!("not-safe")), "{problem}");
    assert_eq!(problem["reason"], "video-stale");
    assert_eq!(problem["words"], "The picture is too old");
    assert!(problem["what_next"].as_str().unwrap().contains("fresh"), "{problem}");
    assert_eq!(problem["state"], "stopped");
    // The refused wish ends long before its time to live.
    let after = world.seen().commands.len();
    let seen = world.wait("released", |seen| seen.commands.len() > after + 2).await;
    assert!(!seen.commands.last().unwrap().deadman, "{:?}", seen.commands.last());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn emergency_stop_and_clear_go_to_the_robot_signed_by_the_relay() {
    let world = World::ready().await;
    assert_eq!(world.post(&path("lease"), 10, &json!({})).await.0, 201);
    let (status, stopped) = world.post(&path("stop"), 10, &json!({ "estop": true })).await;
    assert_eq!((status, &stopped["estop"]), (200, &json!(true)), "{stopped}");
    let (status, cleared) = world.post(&path("stop/clear"), 10, &json!({})).await;
    assert_eq!((status, &cleared["estop"]), (200, &json!(false)), "{cleared}");
    assert_eq!(world.seen().estops, [true, false]);
    assert_eq!(world.seen().fleet_estops, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_may_sign_its_own_lease() {
    let world = World::ready().await;
    let (_, _, config) = world.get("/v1/config", 10).await;
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["relay_did"], json!(gateway_key().did()));
    let envelope = world.grant(10, Some(gateway_key().did()));
    let lease = VerifiedLease::verify(envelope.clone(), &fleet_key().did()).unwrap();
    let signature = hex::encode(driver_key(10).sign(&open_bytes(lease.digest(), "")));
    let body = json!({ "lease": envelope, "driver_signature": signature });
    let (status, opened) = world.post(&path("lease"), 10, &body).await;
    assert_eq!(status, 201, "{opened}");
    assert_eq!(opened["lease_id"], json!(lease.lease().lease_id));
    assert_eq!(world.seen().signals[0].driver_signature, signature);

    // A newer lease of the same driver takes the place of the open one.
    let newer = world.grant(10, Some(gateway_key().did()));
    let (status, opened) = world.post(&path("lease"), 10, &json!({ "lease": newer })).await;
    assert_eq!((status, &opened["epoch"]), (201, &json!(2)), "{opened}");

    let foreign = world.grant(11, Some(gateway_key().did()));
    let unrelayed = world.grant(10, None);
    let mut forged = world.grant(10, Some(gateway_key().did()));
    forged.signatures[0].sig = "AAAA".to_owned();
    for (lease, expected, code) in [
        (foreign, 403, "forbidden"),
        (unrelayed, 400, "bad-request"),
        (forged, 403, "bad-signature"),
    ] {
        let (status, problem) = world.post(&path("lease"), 10, &json!({ "lease": lease })).await;
        assert_eq!((status, &problem["code"]), (expected, &json!(code)), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_robot_and_fleet_leave_nothing_behind() {
    let world = World::ready().await;
    world.mood(|mood| mood.refuse_signal = Some(("wrong-state", "the disk is full")));
    let (status, problem) = world.post(&path("lease"), 10, &json!({})).await;
    assert_eq!((status, &problem["detail"]), (409, &json!("the disk is full")), "{problem}");
    assert_eq!(world.seen().fleet_released.len(), 1, "the lease was given back");

    world.mood(|mood| (mood.refuse_signal, mood.forge_answer) = (None, true));
    let (status, problem) = world.post(&path("lease"), 10, &json!({})).await;
    assert_eq!((status, &problem["code"]), (502, &json!("bad-signature")), "{problem}");

    world.mood(|mood| mood.forge_answer = false);
    let mission = json!({ "mission": "msn_0192f3c1d8e97a3cb0f5d1a2b3c4d5e6" });
    let (status, problem) = world.post(&path("lease"), 10, &mission).await;
    assert_eq!((status, &problem["detail"]), (409, &json!("the mission is not open")), "{problem}");

    assert_eq!(world.post(&path("lease"), 11, &json!({})).await.0, 201, "the robot is free");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_the_robot_ended_is_told_to_the_driver() {
    let world = World::ready().await;
    assert_eq!(world.post(&path("lease"), 10, &json!({})).await.0, 201);
    world.mood(|mood| mood.fenced = true);
    let (status, problem) = world.post(&path("drive"), 10, &wish(0.5, 200)).await;
    assert_eq!((status, &problem["code"]), (409, &json!("lease-ended")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("fenced"), "{problem}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_who_goes_quiet_is_released() {
    let world = World::ready().await;
    assert_eq!(world.post(&path("lease"), 10, &json!({})).await.0, 201);
    let seen = world.wait("released", |seen| !seen.fleet_released.is_empty()).await;
    assert!(seen.robot_released);
    assert!(seen.commands.iter().all(|c| !c.deadman));
    assert!(seen.commands.len() >= 8, "the robot heard from its driver meanwhile");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lease_of_an_active_driver_is_renewed() {
    let world = World::ready().await;
    assert_eq!(world.post(&path("lease"), 10, &json!({})).await.0, 201);
    let alive = async {
        loop {
            assert_eq!(world.get(&path("state"), 10).await.0, 200);
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
    };
    tokio::select! {
        () = alive => {}
        seen = world.wait("renewed", |seen| seen.renewals > 0) => assert!(!seen.robot_released),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_stops_releases_its_drivers() {
    let world = World::ready().await;
    assert_eq!(world.post(&path("lease"), 10, &json!({})).await.0, 201);
    world.post(&path("drive"), 10, &wish(0.5, 1000)).await;
    let seen = world.watch();
    world.gateway.shut_down().await;
    let seen = seen.borrow().clone();
    assert!(seen.robot_released && seen.fleet_released.len() == 1, "{seen:?}");
    assert!(!seen.commands.last().unwrap().deadman);
}
