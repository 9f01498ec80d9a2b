//! A driver with a valid lease and bad manners: replayed, reordered, stale, wrong-epoch, malformed and held-up commands.
//! It speaks the relay's lane, which a program's commands take; the safety core behind it is the same for all lanes.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use protocol::api::{LeaseGrant, LeaseOrder};
use protocol::drive::{DriveCommand, Seen};
use protocol::ids::RobotId;
use protocol::keys::PrivateKey;
use protocol::lease::Lease;
use protocol::signal::{SignalReply, SignalRequest, open_bytes};
use protocol::state::RobotState;
use protocol::units::MonoMs;
use protocol::{keyexpr, message};
use std::time::Duration;
use system_tests::{Rig, mono_ms};
use xtask::fleet::{Client, hex};
use xtask::stack::ROBOT;

struct Driver {
    rig: Rig,
    zenoh: zenoh::Session,
    states: zenoh::pubsub::Subscriber<zenoh::handlers::RingChannelHandler<zenoh::sample::Sample>>,
    robot: RobotId,
    relay: PrivateKey,
    lease: Lease,
    seq: u32,
}

impl Driver {
    async fn open(name: &str) -> Self {
        let rig = Rig::start(name).unwrap();
        let (holder, relay) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
        let invitation = rig
            .stack
            .operator
            .post("/v1/invitations", &serde_json::json!({"role": "agent"}))
            .unwrap();
        let client = Client::new(&rig.stack.url)
            .join(invitation["code"].as_str().unwrap(), "Bad manners", &holder)
            .unwrap();
        let robot: RobotId = ROBOT.parse().unwrap();
        let order =
            LeaseOrder { robot: Some(robot.clone()), mission: None, relay: Some(relay.did()) };
        let grant = client.post("/v1/leases", &serde_json::to_value(order).unwrap()).unwrap();
        let grant: LeaseGrant = serde_json::from_value(grant).unwrap();
        let digest = {
            use sha2::Digest;
            sha2::Sha256::digest(grant.lease.body_unverified().unwrap()).into()
        };
        let lease: Lease = grant.lease.document_unverified().unwrap();

        let config = format!(
            "{{mode: 'client', connect: {{endpoints: ['{}']}}, scouting: {{multicast: {{enabled: false}}}}}}",
            rig.stack.zenoh
        );
        let zenoh = zenoh::open(zenoh::Config::from_json5(&config).unwrap()).await.unwrap();
        let states = zenoh
            .declare_subscriber(keyexpr::state(&robot))
            .with(zenoh::handlers::RingChannel::new(1))
            .await
            .unwrap();
        let request = SignalRequest {
            lease: grant.lease,
            offer_sdp: String::new(),
            driver_signature: hex(&holder.sign(&open_bytes(&digest, ""))),
            ice_servers: Vec::new(),
        };
        let replies = zenoh
            .get(keyexpr::signal(&robot))
            .payload(serde_json::to_vec(&request).unwrap())
            .await
            .unwrap();
        let reply = replies.recv_async().await.unwrap();
        let reply = reply.result().unwrap().payload().to_bytes().to_vec();
        let reply: SignalReply = serde_json::from_slice(&reply).unwrap();
        assert!(matches!(reply, SignalReply::Opened { .. }), "{reply:?}");
        Self { rig, zenoh, states, robot, relay, lease, seq: 0 }
    }

    /// A command that would be obeyed now: full speed ahead, blind, with a fresh stamp.
    async fn good(&mut self) -> DriveCommand {
        let state = self.states.recv_async().await.unwrap();
        let state: RobotState = serde_json::from_slice(&state.payload().to_bytes()).unwrap();
        self.seq += 1;
        DriveCommand {
            deadman: true,
            seq: self.seq,
            epoch: self.lease.epoch,
            seen: Seen::Nothing,
            robot_stamp_ms: MonoMs(state.robot_ms).low32(),
            linear_mmps: 400,
            ..DriveCommand::default()
        }
    }

    async fn put(&self, packet: &[u8]) {
        let key = keyexpr::command(&self.robot);
        let signature = message::sign(&key, packet, &self.relay);
        self.zenoh.put(&key, packet.to_vec()).attachment(signature.to_vec()).await.unwrap();
    }

    /// Sends what `make` makes, 40 times at 25 ms, and returns the highest speed meanwhile.
    async fn fastest_while(&mut self, mut make: impl FnMut(DriveCommand) -> Vec<u8>) -> f64 {
        let from = mono_ms();
        let mut good = self.good().await;
        for i in 0..40 {
            // States come ten times a second; a stamp older than a quarter of a second holds the command up.
            if i % 3 == 0 {
                good = self.good().await;
            } else {
                self.seq += 1;
                good.seq = self.seq;
            }
            let packet = make(good);
            self.put(&packet).await;
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        self.fastest_since(from)
    }

    fn fastest_since(&self, from: u64) -> f64 {
        let trace = self.rig.trace_since(from).unwrap();
        assert!(!trace.is_empty(), "the simulator's trace stands still");
        trace.iter().map(|line| line.speed_mps.abs()).fold(0.0, f64::max)
    }

    /// Releases the stick, so that the next good command may move the robot.
    async fn rest(&mut self) {
        for _ in 0..3 {
            let rest = DriveCommand { deadman: false, linear_mmps: 0, ..self.good().await };
            self.put(&rest.encode()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_commands_never_move_the_robot_and_good_ones_do() {
    let mut driver = Driver::open("hostile").await;
    let epoch = driver.lease.epoch;
    driver.rest().await;

    // The stick at rest between the cases: five seconds without any good packet would end the lease.
    let malformed = driver.fastest_while(|good| good.encode()[..31].to_vec()).await;
    assert!(malformed < 0.02, "malformed packets moved the robot: {malformed} m/s");
    driver.rest().await;
    let wrong_kind = driver.fastest_while(|good| [&[9], &good.encode()[1..]].concat()).await;
    assert!(wrong_kind < 0.02, "packets of another kind moved the robot: {wrong_kind} m/s");
    for other in [0, epoch - 1, epoch + 1] {
        driver.rest().await;
        let speed = driver
            .fastest_while(|good| DriveCommand { epoch: other, ..good }.encode().to_vec())
            .await;
        assert!(speed < 0.02, "epoch {other} instead of {epoch} moved the robot: {speed} m/s");
    }
    driver.rest().await;
    let no_stamp = driver
        .fastest_while(|good| DriveCommand { robot_stamp_ms: 0, ..good }.encode().to_vec())
        .await;
    assert!(no_stamp < 0.02, "commands without a stamp moved the robot: {no_stamp} m/s");
    driver.rest().await;
    let no_deadman = driver
        .fastest_while(|good| DriveCommand { deadman: false, ..good }.encode().to_vec())
        .await;
    assert!(no_deadman < 0.02, "without the deadman: {no_deadman} m/s");

    // The same lane does move the robot when the commands are good; else all of the above says nothing.
    driver.rest().await;
    let mut sent = Vec::new();
    let good = driver
        .fastest_while(|good| {
            sent.push(good.encode().to_vec());
            sent[sent.len() - 1].clone()
        })
        .await;
    assert!(good > 0.2, "good commands must move the robot: {good} m/s");

    // The same packets again, and in the opposite order.
    driver.rest().await;
    let from = mono_ms() + 1_200;
    for packet in sent.iter().chain(sent.iter().rev()) {
        driver.put(packet).await;
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let replayed = driver.fastest_since(from);
    assert!(replayed < 0.02, "replayed packets moved the robot: {replayed} m/s");

    // An outage: a second's worth of fresh commands is held up for three seconds, then arrives at once.
    driver.rest().await;
    let mut held_up = Vec::new();
    let mut command = driver.good().await;
    for _ in 0..50 {
        driver.seq += 1;
        command.seq = driver.seq;
        held_up.push(command.encode());
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let from = mono_ms();
    for packet in &held_up {
        driver.put(packet).await;
    }
    tokio::time::sleep(Duration::from_millis(800)).await;
    let burst = driver.fastest_since(from);
    assert!(burst < 0.02, "a burst of held-up commands moved the robot: {burst} m/s");

    // A stranger with the right packet and the wrong key, while the lease still lives.
    driver.rest().await;
    let state = driver.states.recv_async().await.unwrap();
    let state: RobotState = serde_json::from_slice(&state.payload().to_bytes()).unwrap();
    assert_eq!(state.lease, Some(driver.lease.lease_id), "the lease ended before the test did");
    driver.relay = PrivateKey::generate().unwrap();
    let stranger = driver.fastest_while(|good| good.encode().to_vec()).await;
    assert!(stranger < 0.02, "a stranger moved the robot: {stranger} m/s");
}
