//! A robot with a valid certificate and bad intentions: it tries to read, forge, answer, order and replay what is
//! another robot's, with a real Zenoh client and its own key. `docs/security.md` says what holds each attempt off.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use protocol::dsse::{Envelope, payload_type};
use protocol::ids::RobotId;
use protocol::message::EstopRequest;
use protocol::sealed::Kind;
use protocol::state::RobotState;
use protocol::{keyexpr, message};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use system_tests::{Driver, Guest, Rig, guest, mono_ms};
use xtask::process::wait_for;
use xtask::stack::ROBOT;

/// Where a subscriber of everything would listen.
const EVERYTHING: [&str; 6] = [
    "**",
    "longrein/v1/**",
    "longrein/v1/robots/*/state",
    "longrein/v1/robots/*/camera/*/live",
    "longrein/v1/robots/*/camera/*/video",
    "longrein/v1/robots/*/telemetry",
];
/// What is asked of robots.
const ASKED: [&str; 6] = ["signal", "lease", "estop", "speak", "lamp", "camera/front"];

type Heard = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Keeps all that arrives on `key`.
async fn listen(session: &zenoh::Session, key: String, heard: &Heard) {
    let heard = Arc::clone(heard);
    let keep = move |sample: zenoh::sample::Sample| {
        let message = (sample.key_expr().to_string(), sample.payload().to_bytes().into_owned());
        heard.lock().unwrap().push(message);
    };
    session.declare_subscriber(key).callback(keep).background().await.unwrap();
}

/// What was heard, but for orders: the router passes those on, and every subscriber of the session gets them then.
fn overheard(heard: &Heard) -> Vec<(String, Vec<u8>)> {
    let heard = heard.lock().unwrap();
    heard.iter().filter(|(key, _)| !key.ends_with("/command")).cloned().collect()
}

fn robot(rig: &Rig) -> Value {
    rig.stack.operator.get(&format!("/v1/robots/{ROBOT}")).unwrap()
}

/// The victim's states as a gateway sees them: whatever was put, and those that are the robot's.
async fn true_states(gateway: &Guest, victim: &RobotId) -> (Vec<Vec<u8>>, Vec<RobotState>) {
    let seal = gateway.fabric_key(victim).unwrap();
    let key = keyexpr::state(victim);
    let states = gateway.zenoh.declare_subscriber(&key).await.unwrap();
    let (mut raw, mut opened) = (Vec::new(), Vec::new());
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        let next = tokio::time::timeout(Duration::from_millis(500), states.recv_async()).await;
        let Ok(Ok(sample)) = next else { continue };
        let payload = sample.payload().to_bytes().into_owned();
        if let Ok((message, _)) = seal.open(Kind::Put, &key, &payload) {
            opened.push(serde_json::from_slice(&message.payload).unwrap());
        }
        raw.push(payload);
    }
    (raw, opened)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_robot_with_a_certificate_gets_nothing_of_another() {
    let mut rig = Rig::start_with("hostile-robot", &["--no-people"]).unwrap();
    let victim: RobotId = ROBOT.parse().unwrap();
    let mallory = Guest::robot(&rig.stack, "mallory").await.unwrap();
    let gateway = Guest::gateway(&rig.stack).await.unwrap();
    let own = mallory.own_key.clone().unwrap();

    // Ears everywhere, and an answer to everything that is asked of the victim; on a link of their own, for a session
    // hears itself.
    let ears = guest::open(&mallory.config).await.unwrap();
    let heard = Heard::default();
    for key in EVERYTHING {
        listen(&ears, key.to_owned(), &heard).await;
    }
    listen(&ears, keyexpr::state(&victim), &heard).await;
    listen(&ears, keyexpr::camera_live(&victim, "front"), &heard).await;
    let ordered = Heard::default();
    listen(&ears, keyexpr::command(&victim), &ordered).await;
    let asked = Heard::default();
    for leaf in ASKED {
        let key = format!("longrein/v1/robots/{victim}/{leaf}");
        let (on, asked, own) = (key.clone(), Arc::clone(&asked), own.clone());
        let answer = move |query: zenoh::query::Query| {
            let payload = query.payload().map(|p| p.to_bytes().into_owned()).unwrap_or_default();
            // The salt is there to be read; the key is not.
            let salt = payload.get(1..17).and_then(|salt| salt.try_into().ok()).unwrap_or([0; 16]);
            let forged = own.seal(Kind::Reply(salt), &on, br#"{"result":"done"}"#, &[]).unwrap().0;
            asked.lock().unwrap().push((on.clone(), payload));
            for reply in [forged, br#"{"result":"done"}"#.to_vec(), Vec::new()] {
                zenoh::Wait::wait(query.reply(on.clone(), reply)).ok();
            }
        };
        ears.declare_queryable(key).callback(answer).background().await.unwrap();
    }

    // The victim is looked at, driven, and says where it is.
    let public = rig.stack.operator.at(&rig.stack.url);
    assert!(public.succeeds(&format!("/v1/robots/{ROBOT}/look")));
    let mut driver = Driver::open(&rig.stack).await.unwrap();
    driver.rest().await.unwrap();
    let from = mono_ms();
    driver.drive(|good| good.encode().to_vec()).await.unwrap();
    let fastest = |from| {
        let trace = rig.trace_since(from).unwrap();
        trace.iter().map(|line| line.speed_mps.abs()).fold(0.0, f64::max)
    };
    assert!(fastest(from) > 0.2, "the victim does not obey its own driver: {}", fastest(from));
    // It has heard no state, no picture, no sensor; what reached it is sealed with a key that it does not have.
    assert_eq!(overheard(&heard), []);
    let (orders, questions) = (ordered.lock().unwrap().clone(), asked.lock().unwrap().clone());
    for (key, payload) in &orders {
        assert!(own.open(Kind::Put, key, payload).is_err());
        assert!(payload.len() != protocol::drive::LEN, "an open drive packet");
    }
    for (key, payload) in &questions {
        assert!(own.open(Kind::Query, key, payload).is_err());
        let text = String::from_utf8_lossy(payload).into_owned();
        assert!(!text.contains("lease") && !text.contains("sdp"), "{key}: {text}");
    }
    let (saw, of) = (orders.len(), questions.len());
    xtask::result(&format!("a hostile robot saw {saw} sealed orders and {of} sealed questions"));

    // Orders: recorded ones again and forged ones, while the driver rests.
    driver.rest().await.unwrap();
    wait_for("the victim at rest", 10, || Ok((fastest(mono_ms() - 300) < 0.01).then_some(())))
        .unwrap();
    let from = mono_ms();
    let key = keyexpr::command(&victim);
    for _ in 0..20 {
        let good = driver.good().await.unwrap();
        let signature = message::sign(&key, &good.encode(), &mallory.key);
        let forged = own.seal(Kind::Put, &key, &good.encode(), &signature).unwrap().0;
        let plain = mallory.zenoh.put(&key, good.encode().to_vec()).attachment(&signature[..]);
        plain.await.unwrap();
        mallory.zenoh.put(&key, forged).await.unwrap();
        for (key, payload) in orders.iter().rev().take(10) {
            mallory.zenoh.put(key, payload.clone()).await.unwrap();
            // Even somebody whom the router lets put there moves nothing with what was recorded.
            gateway.zenoh.put(key, payload.clone()).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(fastest(from) < 0.02, "forged orders moved the victim: {} m/s", fastest(from));
    driver.release().await.unwrap();

    let (recorded, before) = true_states(&gateway, &victim).await;
    assert!(before.len() >= 5, "{} states", before.len());
    forged_states_count_for_nothing(&rig, &mallory, &gateway, &recorded).await;

    // An emergency stop is not mallory's to make, and its answers are not believed.
    let request =
        EstopRequest { stop: true, lease_id: None, at: guest::wall(), reason: "mallory".into() };
    let (key, payload) = (keyexpr::estop(&victim), serde_json::to_vec(&request).unwrap());
    let signature = message::sign(&key, &payload, &mallory.key);
    let attachment = [mallory.key.did().as_bytes().as_slice(), &signature].concat();
    assert!(mallory.ask(&own, &key, &payload, &attachment).await.is_err());
    assert_ne!(robot(&rig)["state"]["safety"], "emergency_stopped");
    nothing_over_http(&rig, &mallory);

    // Neither a router nor a peer comes in by the door.
    for mode in ["router", "peer"] {
        let mut config = mallory.config.clone();
        config["mode"] = json!(mode);
        config["listen"] = json!({"endpoints": []});
        config["connect"]["timeout_ms"] = json!(2_000);
        config["connect"]["exit_on_failure"] = json!(true);
        // One that is never let in may try for ever.
        let opened = tokio::time::timeout(Duration::from_secs(10), guest::open(&config)).await;
        let inside = match &opened {
            Ok(Ok(session)) => session.info().routers_zid().await.next().is_some(),
            Ok(Err(_)) | Err(_) => false,
        };
        assert!(!inside, "a {mode} came in");
    }

    // The operator's stop works, whoever else answers; so do pictures.
    let stopped =
        rig.stack.operator.post(&format!("/v1/robots/{ROBOT}/estop"), &json!({})).unwrap();
    assert_eq!(stopped, json!({"result": "done"}));
    wait_for("the emergency stop in the victim's state", 5, || {
        Ok((robot(&rig)["state"]["safety"] == "emergency_stopped").then_some(()))
    })
    .unwrap();
    assert!(public.succeeds(&format!("/v1/robots/{ROBOT}/look")));
    assert_eq!(overheard(&heard), [], "in the end it has heard something");

    // Taken out of the fleet, it is out at once and does not come back.
    let begun = Instant::now();
    rig.stack.operator.post("/v1/robots/mallory/revoke", &json!({"reason": "hostile"})).unwrap();
    loop {
        if mallory.zenoh.info().routers_zid().await.next().is_none()
            && ears.info().routers_zid().await.next().is_none()
        {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "its link stays open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    xtask::result(&format!("out {} ms after it was revoked", begun.elapsed().as_millis()));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(mallory.zenoh.info().routers_zid().await.next().is_none(), "it came back");
    let refused = mallory.client.get("/v1/me").unwrap_err().to_string();
    assert!(refused.contains("revoked"), "{refused}");
    let fleet =
        xtask::fleet::text(&rig.stack.operator.get("/v1/fleet").unwrap(), "fleet_did").unwrap();
    let refused = guest::certificate(&mallory.client, &mallory.key, &fleet.parse().unwrap());
    assert!(refused.unwrap_err().to_string().contains("revoked"));
    rig.stack.check().unwrap();
}

/// Puts forged, own and recorded messages on the victim's state key, and takes its presence away, for two seconds.
async fn forged_states_count_for_nothing(
    rig: &Rig,
    mallory: &Guest,
    gateway: &Guest,
    recorded: &[Vec<u8>],
) {
    let victim: RobotId = ROBOT.parse().unwrap();
    let (key, presence) = (keyexpr::state(&victim), keyexpr::presence(&victim));
    let own = mallory.own_key.clone().unwrap();
    let truth: RobotState = serde_json::from_value(robot(rig)["state"].clone()).unwrap();
    let mut last = truth.seq;
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        let at = protocol::units::WallMs(guest::wall().0 + 5_000);
        let forged = RobotState { seq: u64::MAX, at, speed_mps: 99.0, ..truth.clone() };
        let payload = serde_json::to_vec(&forged).unwrap();
        let signature = message::sign(&key, &payload, &mallory.key);
        let sealed = own.seal(Kind::Put, &key, &payload, &signature).unwrap().0;
        mallory.zenoh.put(&key, sealed).await.unwrap();
        mallory.zenoh.put(&key, payload).attachment(&signature[..]).await.unwrap();
        for message in recorded.iter().take(5) {
            mallory.zenoh.put(&key, message.clone()).await.unwrap();
        }
        let token = mallory.zenoh.liveliness().declare_token(&presence).await.unwrap();
        token.undeclare().await.unwrap();
        let seen = robot(rig);
        assert_eq!(seen["online"], true, "its presence was taken away");
        assert!(seen["state"]["speed_mps"].as_f64().unwrap() < 5.0, "{seen}");
        let seq = seen["state"]["seq"].as_u64().unwrap();
        assert!(seq >= last && seq < u64::MAX, "{seq} after {last}");
        last = seq;
    }
    assert!(last > truth.seq, "the victim's own states no longer get through");
    let (_, states) = true_states(gateway, &victim).await;
    assert!(states.windows(2).any(|pair| pair[1].seq > pair[0].seq));
    assert!(states.iter().all(|state| state.speed_mps < 5.0));
}

/// What it might try with its own session at fleet server and gateway.
fn nothing_over_http(rig: &Rig, mallory: &Guest) {
    let refused = |outcome: anyhow::Result<Value>, status: &str, what: &str| {
        let error = outcome.map(|answer| panic!("{what}: {answer}")).unwrap_err().to_string();
        assert!(error.contains(status), "{what}: {error}");
    };
    let at_gateway = mallory.client.at(&rig.stack.url);
    for path in ["/v1/robots", "/v1/missions", "/v1/episodes", "/v1/events"] {
        refused(mallory.client.get(path), "403", path);
    }
    let its = |leaf: &str| format!("/v1/robots/{ROBOT}/{leaf}");
    for leaf in ["look", "state", "earth-rover/data"] {
        refused(at_gateway.get(&its(leaf)), "403", leaf);
    }
    for leaf in ["fabric-key", "estop", "revoke"] {
        let body = match leaf {
            "fabric-key" => json!({"box_key": "00"}),
            _ => json!({}),
        };
        refused(mallory.client.post(&its(leaf), &body), "403", leaf);
    }
    refused(mallory.client.post("/v1/leases", &json!({"robot": ROBOT})), "403", "a lease");

    // An episode of another robot: neither read nor written.
    let episodes = rig.stack.operator.get("/v1/episodes").unwrap();
    let episode = xtask::fleet::items(&episodes).first().cloned().unwrap();
    let id = episode["id"].as_str().unwrap();
    for path in [format!("/v1/episodes/{id}"), format!("/v1/episodes/{id}/files/telemetry.mcap")] {
        refused(mallory.client.get(&path), "403", &path);
    }
    let upload = mallory.client.get(&format!("/v1/episodes/{id}/upload"));
    assert!(upload.is_err(), "{upload:?}");
    let manifest = Envelope::sign(payload_type::IN_TOTO, &json!({}), &mallory.key).unwrap();
    let begin = json!({"episode": id, "manifest": manifest});
    let upload = mallory.client.post("/v1/episodes", &begin);
    assert!(upload.is_err(), "{upload:?}");
    let done = mallory.client.post(&format!("/v1/episodes/{id}/complete"), &json!({}));
    assert!(done.is_err(), "{done:?}");
}

#[test]
fn a_revoked_robot_is_out_within_a_minute_says_so_and_comes_back_enrolled_anew() {
    let mut rig = Rig::start_with("revoked", &["--no-people"]).unwrap();
    let log = rig.data().join("logs/robot-agent.log");
    let begun = Instant::now();
    let reason = json!({"reason": "sold on a flea market"});
    rig.stack.operator.post(&format!("/v1/robots/{ROBOT}/revoke"), &reason).unwrap();
    let gone = robot(&rig);
    assert_eq!(gone["online"], false, "{gone}");
    assert_eq!(gone["revoked"]["why"], "sold on a flea market");
    wait_for("the robot's own words", 60, || {
        let said = std::fs::read_to_string(&log)?;
        Ok((said.contains("REVOKED") && said.contains("enroll --again")).then_some(()))
    })
    .unwrap();
    xtask::result(&format!("a revoked robot says so after {:.1} s", begun.elapsed().as_secs_f64()));
    assert_eq!(robot(&rig)["online"], false);
    let public = rig.stack.operator.at(&rig.stack.url);
    assert!(!public.succeeds(&format!("/v1/robots/{ROBOT}/look")), "the gateway still shows it");

    // A new code, a new key: it is back, and what it did before is still there.
    rig.stack.agent.stop();
    let owners = &gone["owners"];
    let shares: Vec<Value> = owners
        .as_array()
        .unwrap()
        .iter()
        .map(|share| json!({"owner": share["owner"], "share_ppm": share["share_ppm"]}))
        .collect();
    let order = json!({"robot": ROBOT, "name": "Demo Rover", "owners": shares});
    let code = rig.stack.operator.post("/v1/enrolments", &order).unwrap();
    let enroll = |more: &[&str]| {
        Command::new(rig.program("robot-agent"))
            .args(["enroll", "--server", &rig.stack.fleet_url, "--code"])
            .arg(code["code"].as_str().unwrap())
            .arg("--data")
            .arg(rig.data().join("robot"))
            .args(more)
            .output()
            .unwrap()
    };
    let out = enroll(&[]);
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && words.contains("--again"), "{words}");
    let out = enroll(&["--again", "--new-key"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    rig.stack.agent = rig.stack.options.start_agent().unwrap();
    wait_for("the robot online again", 40, || Ok((robot(&rig)["online"] == true).then_some(())))
        .unwrap();
    assert_ne!(robot(&rig)["did"], gone["did"], "another key");
    assert!(robot(&rig)["revoked"].is_null());
}
