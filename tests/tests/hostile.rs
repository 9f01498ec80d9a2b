//! A driver with a valid lease and bad manners: replayed, reordered, stale, wrong-epoch, malformed and held-up commands.
//! It speaks the relay's lane, which a program's commands take; the safety core behind it is the same for all lanes.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use protocol::drive::DriveCommand;
use protocol::keys::PrivateKey;
use std::time::Duration;
use system_tests::{Driver, Rig, mono_ms};

struct Hostile {
    rig: Rig,
    driver: Driver,
}

impl Hostile {
    async fn start(name: &str) -> Self {
        let rig = Rig::start(name).unwrap();
        let driver = Driver::open(&rig.stack).await.unwrap();
        Self { rig, driver }
    }

    /// Sends what `make` makes for a second and returns the highest speed meanwhile.
    async fn fastest_while(&mut self, make: impl FnMut(DriveCommand) -> Vec<u8>) -> f64 {
        let from = mono_ms();
        self.driver.drive(make).await.unwrap();
        self.fastest_since(from)
    }

    fn fastest_since(&self, from: u64) -> f64 {
        let trace = self.rig.trace_since(from).unwrap();
        assert!(!trace.is_empty(), "the simulator's trace stands still");
        trace.iter().map(|line| line.speed_mps.abs()).fold(0.0, f64::max)
    }

    /// Releases the stick, so that the next good command may move the robot.
    async fn rest(&mut self) {
        self.driver.rest().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_commands_never_move_the_robot_and_good_ones_do() {
    let mut hostile = Hostile::start("hostile").await;
    let epoch = hostile.driver.lease().epoch;
    hostile.rest().await;

    // The stick at rest between the cases: five seconds without any good packet would end the lease.
    let malformed = hostile.fastest_while(|good| good.encode()[..31].to_vec()).await;
    assert!(malformed < 0.02, "malformed packets moved the robot: {malformed} m/s");
    hostile.rest().await;
    let wrong_kind = hostile.fastest_while(|good| [&[9], &good.encode()[1..]].concat()).await;
    assert!(wrong_kind < 0.02, "packets of another kind moved the robot: {wrong_kind} m/s");
    for other in [0, epoch - 1, epoch + 1] {
        hostile.rest().await;
        let speed = hostile
            .fastest_while(|good| DriveCommand { epoch: other, ..good }.encode().to_vec())
            .await;
        assert!(speed < 0.02, "epoch {other} instead of {epoch} moved the robot: {speed} m/s");
    }
    hostile.rest().await;
    let no_stamp = hostile
        .fastest_while(|good| DriveCommand { robot_stamp_ms: 0, ..good }.encode().to_vec())
        .await;
    assert!(no_stamp < 0.02, "commands without a stamp moved the robot: {no_stamp} m/s");
    hostile.rest().await;
    let no_deadman = hostile
        .fastest_while(|good| DriveCommand { deadman: false, ..good }.encode().to_vec())
        .await;
    assert!(no_deadman < 0.02, "without the deadman: {no_deadman} m/s");

    // The same lane does move the robot when the commands are good; else all of the above says nothing.
    hostile.rest().await;
    let mut sent = Vec::new();
    let good = hostile
        .fastest_while(|good| {
            sent.push(good.encode().to_vec());
            sent[sent.len() - 1].clone()
        })
        .await;
    assert!(good > 0.2, "good commands must move the robot: {good} m/s");

    // The same packets again, and in the opposite order.
    hostile.rest().await;
    let from = mono_ms() + 1_200;
    for packet in sent.iter().chain(sent.iter().rev()) {
        hostile.driver.put(packet).await.unwrap();
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let replayed = hostile.fastest_since(from);
    assert!(replayed < 0.02, "replayed packets moved the robot: {replayed} m/s");

    // An outage: a second's worth of fresh commands is held up for three seconds, then arrives at once.
    hostile.rest().await;
    let mut held_up = Vec::new();
    let mut command = hostile.driver.good().await.unwrap();
    for _ in 0..50 {
        command.seq = hostile.driver.next_seq();
        held_up.push(command.encode());
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let from = mono_ms();
    for packet in &held_up {
        hostile.driver.put(packet).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(800)).await;
    let burst = hostile.fastest_since(from);
    assert!(burst < 0.02, "a burst of held-up commands moved the robot: {burst} m/s");

    // A stranger with the right packet and the wrong key, while the lease still lives.
    hostile.rest().await;
    let state = hostile.driver.state().await.unwrap();
    let lease = hostile.driver.lease().lease_id;
    assert_eq!(state.lease, Some(lease), "the lease ended before the test did");
    hostile.driver.sign_with(PrivateKey::generate().unwrap());
    let stranger = hostile.fastest_while(|good| good.encode().to_vec()).await;
    assert!(stranger < 0.02, "a stranger moved the robot: {stranger} m/s");
}
