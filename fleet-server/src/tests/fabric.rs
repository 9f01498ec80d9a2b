//! A robot over real Zenoh: presence, signed states, emergency stop.

use super::world::World;
use crate::fabric;
use protocol::keys::Did;
use protocol::message::{EstopRequest, Reply};
use protocol::{keyexpr, message};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;

/// Waits for an event about the robot that says whether it is online.
async fn online(news: &mut Receiver<crate::events::Event>, wanted: bool) {
    loop {
        let event =
            tokio::time::timeout(Duration::from_secs(20), news.recv()).await.unwrap().unwrap();
        let view: Value = serde_json::from_str(&event.json).unwrap();
        if event.name == "robot" && view["online"] == wanted {
            return;
        }
    }
}

fn client(endpoint: &str) -> zenoh::Config {
    let config = json!({
        "mode": "client",
        "connect": {"endpoints": [endpoint]},
        "scouting": {"multicast": {"enabled": false}},
    });
    zenoh::Config::from_json5(&config.to_string()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_robot_comes_reports_is_stopped_and_goes() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = format!("tcp/127.0.0.1:{port}");
    let world = World::with_zenoh(&endpoint).await;
    let mut rover = world.rover("rover-1", 3).await;
    crate::tracker::presence(&world.fleet, &rover.id, false).await;
    fabric::open(&world.fleet).await.unwrap();
    world.ok("GET", "/readyz", "", Value::Null).await;
    let mut news = world.fleet.events.listen();
    let session = zenoh::open(client(&endpoint)).await.unwrap();
    // As a robot does: who is seen can be stopped.
    let estop = keyexpr::estop(&rover.id);
    let stops = session.declare_queryable(&estop).await.unwrap();
    let token = session.liveliness().declare_token(keyexpr::presence(&rover.id)).await.unwrap();
    let state = rover.state();
    let report = rover.message(&state);
    let put = session.put(&report.key, report.payload).attachment(report.attachment);
    put.await.unwrap();
    online(&mut news, true).await;

    let fleet = world.fleet.did;
    let robot = tokio::spawn(async move {
        let query = stops.recv_async().await.unwrap();
        let payload = query.payload().unwrap().to_bytes().into_owned();
        let attachment = query.attachment().unwrap().to_bytes().into_owned();
        let signer = Did::from_bytes(attachment[..32].try_into().unwrap()).unwrap();
        assert_eq!(signer, fleet);
        message::verify(&estop, &payload, &attachment[32..], &signer).unwrap();
        let request: EstopRequest = serde_json::from_slice(&payload).unwrap();
        assert!(request.stop && request.reason.contains("smoke"));
        let reply = serde_json::to_vec(&Reply::Done).unwrap();
        query.reply(&estop, reply).await.unwrap();
    });
    let stop = "/v1/robots/rover-1/estop";
    let reply = world.ok("POST", stop, &world.operator, json!({"reason": "smoke"})).await;
    assert_eq!(reply, json!({"result": "done"}));
    robot.await.unwrap();

    token.undeclare().await.unwrap();
    online(&mut news, false).await;
    session.close().await.unwrap();
}
