//! A program for the Earth Rovers API drives a fake robot through a port of its own, and another one may not.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of their functions")]

mod support;

use pilot_gateway::config::EarthRover;
use protocol::drive::Seen as SeenPicture;
use protocol::dsse::{Envelope, payload_type};
use protocol::ids::LeaseId;
use protocol::lease::VerifiedLease;
use protocol::program::{Chain, NO_RECEIPT, ProgramCommand, ProgramReceipt, Scale};
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

/// A client of the base path that signs for itself.
async fn signing(
    world: &World,
    lease: &str,
    command_n: Option<&str>,
    linear: f64,
) -> (u16, Option<String>, Value) {
    let url = world.url(&path("earth-rover/control"));
    let body = command(linear).unwrap().to_string();
    let mut request = world.http.post(url).bearer_auth(token(20)).header("longrein-lease", lease);
    if let Some(n) = command_n {
        request = request.header("longrein-command", n);
    }
    let response = request.body(body).send().await.unwrap();
    let status = response.status().as_u16();
    let wanted = response.headers().get("longrein-lease-for");
    let wanted = wanted.map(|wanted| wanted.to_str().unwrap().to_owned());
    (status, wanted, response.json().await.unwrap())
}

/// Opens a lease with the driver's signature, as `longrein` does.
async fn open_signed(world: &World, seed: u8) -> (LeaseId, u64, u16) {
    let envelope = world.grant(20, Some(gateway_key().did()));
    let lease = VerifiedLease::verify(envelope.clone(), &fleet_key().did()).unwrap();
    let bytes = protocol::signal::open_bytes(lease.digest(), "");
    let signature = hex::encode(driver_key(seed).sign(&bytes));
    let wish = json!({ "lease": envelope, "driver_signature": signature });
    let (status, _) = world.post(&path("lease"), 20, &wish).await;
    (lease.lease().lease_id, lease.lease().epoch, status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_signs_opens_its_lease_itself_and_its_receipts_reach_the_robot() {
    let world = World::ready().await;
    let (status, wanted, refused) = signing(&world, "none", None, 0.5).await;
    assert_eq!((status, wanted.as_deref()), (428, Some("free")), "{refused}");
    assert!(world.seen().signals.is_empty(), "the gateway opens nothing in its name");

    let (lease_id, epoch, status) = open_signed(&world, 20).await;
    assert_eq!(status, 201);
    let own = lease_id.to_string();
    assert!(!world.seen().signals[0].driver_signature.is_empty());
    let (status, _, refused) = signing(&world, &own, None, 0.5).await;
    assert!(status == 400 && refused["detail"].as_str().unwrap().contains("longrein-command"));
    for bad in ["0", "-1", "x", "99999999999"] {
        assert_eq!(signing(&world, &own, Some(bad), 0.5).await.0, 400, "{bad}");
    }
    assert_eq!(signing(&world, "nonsense", Some("1"), 0.5).await.0, 400);
    assert_eq!(signing(&world, &own, Some("1"), 0.5).await.0, 200);
    assert_eq!(signing(&world, &own, Some("3"), -1.0).await.0, 200);
    let (status, _, refused) = signing(&world, &own, Some("2"), 1.0).await;
    assert!(
        status == 409 && refused["detail"].as_str().unwrap().contains("overtaken"),
        "{refused}"
    );
    // Another program of the same key does not drive on under this lease.
    let (status, _, refused) = signing(&world, "none", None, 0.5).await;
    assert!(status == 409 && refused["detail"].as_str().unwrap().contains("another program"));

    let seen = world
        .wait("both commands were sent", |seen| {
            seen.commands.iter().any(|c| c.deadman && c.linear_mmps < 0)
        })
        .await;
    assert!(
        seen.commands.iter().all(|c| c.linear_mmps != 1_500),
        "what was overtaken moves nothing"
    );
    let command = |n, linear_ppm| ProgramCommand {
        n,
        at: protocol::units::WallMs(1),
        linear_ppm,
        angular_ppm: -500_000,
        seen_ms: None,
    };
    let receipt = ProgramReceipt {
        lease_id,
        epoch,
        index: 0,
        previous: NO_RECEIPT.to_owned(),
        commands: vec![command(1, 500_000), command(2, 1_000_000), command(3, -1_000_000)],
    };
    let send = |seed: u8| {
        let envelope = Envelope::sign(payload_type::COMMANDS, &receipt, &driver_key(seed)).unwrap();
        json!({ "receipt": envelope })
    };
    let leaf = path("lease/receipt");
    let (status, refused) = world.post(&leaf, 20, &send(21)).await;
    assert_eq!((status, &refused["code"]), (403, &json!("bad-signature")), "{refused}");
    let (status, refused) = world.post(&leaf, 21, &send(21)).await;
    assert_eq!((status, &refused["code"]), (409, &json!("lease-ended")), "{refused}");
    let (status, refused) = world.post(&leaf, 20, &json!({ "receipt": 1 })).await;
    assert_eq!((status, &refused["code"]), (400, &json!("bad-request")), "{refused}");
    assert_eq!(world.post(&leaf, 20, &send(20)).await.0, 204);

    // The robot takes it, and every packet that moves is what its command says.
    let seen = world.wait("the receipt arrived", |seen| !seen.receipts.is_empty()).await;
    let relayed = &seen.receipts[0];
    let lease = VerifiedLease::verify(seen.signals[0].lease.clone(), &fleet_key().did()).unwrap();
    Chain::default().take(relayed, lease.lease()).unwrap().unwrap();
    assert_eq!(relayed.first_seqs[1], 0, "it was overtaken");
    let scale = Scale { forward_mmps: 1_500, reverse_mmps: 500, turn_mradps: 1_200 };
    let ties: Vec<_> = relayed.first_seqs.iter().zip(&receipt.commands).collect();
    let moving = seen.commands.iter().filter(|c| c.deadman && c.seq <= relayed.through_seq);
    let mut count = 0;
    for packet in moving {
        let tied = ties.iter().rfind(|(first, _)| (1..=packet.seq).contains(*first)).unwrap();
        let sent = (i32::from(packet.linear_mmps), i32::from(packet.angular_mradps));
        assert_eq!(sent, scale.of(tied.1), "{packet:?}");
        count += 1;
    }
    assert!(count >= 2, "{:?}", seen.commands);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_without_a_signature_of_its_own_stays_the_relays_word() {
    let world = ports(&[20]).await;
    assert_eq!(call(&world, 0, "/v2/front", None).await.0, 200);
    assert_eq!(call(&world, 0, "/control", command(0.5)).await.0, 200);
    assert_eq!(world.seen().signals[0].driver_signature, "");
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
