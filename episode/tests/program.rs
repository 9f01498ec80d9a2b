//! Who drove, when a relay made the packets: what the driver's own receipts of its commands show, and what they refuse.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of their functions")]

mod common;

use common::{START_NS, World};
use episode::report::ProofLevel;
use episode::{Document, EpisodeMeta, Opening, Options, Recorder, Report, layout::topic, verify};
use protocol::drive::{DriveCommand, Seen};
use protocol::dsse::{Envelope, payload_type};
use protocol::keys::PrivateKey;
use protocol::lease::DriverKind;
use protocol::program::{NO_RECEIPT, ProgramCommand, ProgramReceipt, RelayedReceipt, head_of};
use protocol::signal::open_bytes;
use protocol::units::WallMs;
use ros_msgs::longrein_msgs::{self, Event};
use sha2::{Digest, Sha256};

const POLICY: &str = r#"{"speed_mps_max":1.5,"reverse_mps_max":0.8,"turn_radps_max":1.5,"more":1}"#;
const EVERY_MS: u64 = 50;

/// A drive of a program: three commands, repeated by the relay, and two receipts.
struct Drive {
    world: World,
    signed_opening: bool,
    receipts: Vec<RelayedReceipt>,
    packets: Vec<DriveCommand>,
    policy: String,
}

fn command(n: u32, linear_ppm: i32, seen_ms: u32) -> ProgramCommand {
    let at = WallMs(START_NS / 1_000_000 + u64::from(n) * 500);
    ProgramCommand { n, at, linear_ppm, angular_ppm: 100_000, seen_ms: Some(seen_ms) }
}

fn packet(seq: u32, linear_mmps: i16, seen_ms: u32) -> DriveCommand {
    DriveCommand {
        deadman: linear_mmps != 0,
        seq,
        epoch: 7,
        seen: Seen::CaptureMs(seen_ms),
        linear_mmps,
        angular_mradps: if linear_mmps == 0 { 0 } else { 150 },
        client_ms: (u32::MAX - 200).wrapping_add(seq * 50),
        ..DriveCommand::default()
    }
}

impl Drive {
    fn new() -> Self {
        let mut world = World::new(30);
        world.lease.driver_kind = DriverKind::Agent;
        world.lease.relay = Some(PrivateKey::from_seed(&[9; 32]).did());
        let mut packets: Vec<_> = (1..=10).map(|seq| packet(seq, 750, 1_000)).collect();
        packets.extend((11..=20).map(|seq| packet(seq, -400, 1_500)));
        packets.extend((21..=23).map(|seq| packet(seq, 0, 1_500)));
        let mut drive = Self {
            world,
            signed_opening: true,
            receipts: Vec::new(),
            packets,
            policy: POLICY.to_owned(),
        };
        drive.sign(&[command(1, 500_000, 1_000), command(2, -500_000, 1_500)], &[1, 11], 15);
        drive.sign(&[], &[], 23);
        drive
    }

    /// The driver signs the next receipt.
    fn sign(&mut self, commands: &[ProgramCommand], first_seqs: &[u32], through_seq: u32) {
        let before = self.receipts.last();
        let before = before.map(|before| head_of(&before.receipt.body_unverified().unwrap()));
        let receipt = ProgramReceipt {
            lease_id: self.world.lease.lease_id,
            epoch: 7,
            index: u32::try_from(self.receipts.len()).unwrap(),
            previous: before.unwrap_or_else(|| NO_RECEIPT.to_owned()),
            commands: commands.to_vec(),
        };
        let envelope =
            Envelope::sign(payload_type::COMMANDS, &receipt, &self.world.driver).unwrap();
        let first_seqs = first_seqs.to_vec();
        self.receipts.push(RelayedReceipt { receipt: envelope, first_seqs, through_seq });
    }

    fn meta(&self) -> EpisodeMeta {
        let meta = self.world.meta();
        let digest: [u8; 32] = Sha256::digest(meta.lease.body_unverified().unwrap()).into();
        let signature = hex::encode(self.world.driver.sign(&open_bytes(&digest, "")));
        let signature = if self.signed_opening { signature.as_str() } else { "" };
        EpisodeMeta {
            opening: Opening::new("", signature),
            policy: Document::from_json(self.policy.clone()),
            ..meta
        }
    }

    /// Records, seals and verifies it.
    fn report(&self) -> Report {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("episode");
        let mut recorder = Recorder::create(&dir, &self.meta(), &[]).unwrap();
        let commands = recorder.telemetry::<longrein_msgs::DriveCommand>(topic::COMMAND).unwrap();
        let receipts = recorder.telemetry::<Event>(topic::RECEIPT).unwrap();
        for (packet, n) in self.packets.iter().zip(0..) {
            let message = longrein_msgs::DriveCommand {
                packet: packet.encode().to_vec(),
                ..longrein_msgs::DriveCommand::default()
            };
            let at_ns = START_NS + (600 + n * EVERY_MS) * 1_000_000;
            recorder.write(commands, at_ns, &message).unwrap();
        }
        for receipt in &self.receipts {
            let json = serde_json::to_string(receipt).unwrap();
            let event = Event { code: "receipt".into(), json, ..Event::default() };
            recorder.write(receipts, START_NS + 2_000_000_000, &event).unwrap();
        }
        let recorded = recorder.finish().unwrap();
        episode::seal(&dir, self.world.ending(recorded), &self.world.robot).unwrap();
        let (robot, fleet) = (self.world.robot.did(), self.world.fleet.did());
        verify(&dir, &Options { robot_did: Some(robot), fleet_did: Some(fleet) })
    }

    fn refused(&self, words: &str) {
        let report = self.report();
        assert!(!report.verified && report.proof.is_none(), "{report}");
        let failure = report.failure.unwrap();
        assert!(failure.check == "receipts" && failure.detail.contains(words), "{failure}");
    }
}

#[test]
fn commands_that_the_driver_signed_prove_who_drove() {
    let drive = Drive::new();
    let report = drive.report();
    assert!(report.verified, "{report}");
    let proof = report.proof.clone().unwrap();
    assert_eq!((proof.level, proof.did), (ProofLevel::Commands, Some(drive.world.driver.did())));
    assert!(proof.words.contains("opened the drive and signed what moved"), "{}", proof.words);
    let receipts = report.receipts.clone().unwrap();
    assert_eq!((receipts.moving_recorded, receipts.moving_covered), (20, 20));
    assert_eq!((receipts.summary.commands_signed, receipts.summary.packets_covered), (2, 23));
    assert_eq!((receipts.pictures_signed, receipts.uncovered_tail), (20, 0));
    // Command 1 took 100 ms, command 2 took 100 ms as well.
    assert_eq!(receipts.delay_spread_ms, Some(0));
    let text = report.to_string();
    assert!(
        text.contains("2 receipts of 2 commands cover 20 of 20 drive packets that move"),
        "{text}"
    );
}

#[test]
fn what_is_not_signed_is_not_proven() {
    let mut drive = Drive::new();
    drive.receipts.pop();
    let receipts = drive.report().receipts.unwrap();
    assert_eq!((receipts.moving_covered, receipts.uncovered_tail), (15, 8));

    drive.receipts.clear();
    let proof = drive.report().proof.unwrap();
    assert_eq!((proof.level, proof.did), (ProofLevel::Opening, Some(drive.world.driver.did())));

    drive.signed_opening = false;
    let report = drive.report();
    assert!(report.verified, "{report}");
    let proof = report.proof.unwrap();
    assert_eq!((proof.level, proof.did), (ProofLevel::Relay, None));
    assert!(proof.words.contains("nothing but the word of the relay did:key:"), "{}", proof.words);

    // A picture that the driver never said it had is the relay's word.
    let mut drive = Drive::new();
    drive.packets[19].seen = Seen::CaptureMs(1_501);
    assert_eq!(drive.report().receipts.unwrap().pictures_signed, 19);
}

#[test]
fn a_relay_that_makes_packets_up_is_refused() {
    let change = |change: &dyn Fn(&mut Drive), words: &str| {
        let mut drive = Drive::new();
        change(&mut drive);
        drive.refused(words);
    };
    change(&|drive| drive.packets[4].linear_mmps = 760, "seq 5 asks for 760 mm/s");
    change(&|drive| drive.packets[4].angular_mradps = -150, "seq 5 asks for");
    // The first command goes on after the second.
    change(&|drive| drive.packets[12] = packet(13, 750, 1_000), "command 2 for -400");
    change(&|drive| drive.receipts[0].first_seqs = vec![2, 11], "seq 1 carries out no command");
    change(&|drive| drive.receipts[0].first_seqs = vec![11, 1], "out of their order");
    change(
        &|drive| {
            for packet in &mut drive.packets[..10] {
                packet.client_ms = packet.client_ms.wrapping_add((packet.seq - 1) * 400);
            }
        },
        "was repeated for",
    );
    change(&|drive| drive.receipts.swap(0, 1), "receipt 0: it does not follow");
    change(&|drive| drive.policy = "{}".into(), "policy does not say");
    change(
        &|drive| {
            let receipt: ProgramReceipt = drive.receipts[0].receipt.document_unverified().unwrap();
            let relay = PrivateKey::from_seed(&[9; 32]);
            drive.receipts[0].receipt =
                Envelope::sign(payload_type::COMMANDS, &receipt, &relay).unwrap();
        },
        "not signed by the lease's holder",
    );
}
