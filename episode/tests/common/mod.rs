//! A synthetic episode: what a robot would record of a short drive along an arc.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "examples use it too, and clippy knows them not as tests")]

use episode::{Document, Ending, EpisodeMeta, Opening, Recorded, Recorder, Sealed, layout::topic};
use protocol::drive::DriveCommand;
use protocol::dsse::{Envelope, payload_type};
use protocol::ids::LeaseId;
use protocol::keys::PrivateKey;
use protocol::lease::{DriverKind, Lease, LeaseLimits, LeaseMission};
use protocol::session::{Receipt, packet_digest};
use protocol::signal::open_bytes;
use protocol::units::{MonoMs, WallMs};
use ros_msgs::builtin_interfaces::Time;
use ros_msgs::foxglove_msgs::CompressedVideo;
use ros_msgs::geometry_msgs::{Quaternion, Twist, TwistStamped};
use ros_msgs::longrein_msgs::{self, Event, SafetyState};
use ros_msgs::nav_msgs::Odometry;
use ros_msgs::sensor_msgs::{NavSatFix, NavSatStatus};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

pub const START_NS: u64 = 1_790_000_000_000_000_000;
const OFFER: &str = "v=0 an offer";

/// An access unit, and how long after the start of the episode it was captured.
#[derive(Clone)]
pub struct Frame {
    pub captured_ns: u64,
    pub data: Vec<u8>,
}

pub struct World {
    pub fleet: PrivateKey,
    pub robot: PrivateKey,
    pub driver: PrivateKey,
    pub lease: Lease,
}

impl World {
    pub fn new(number: u128) -> Self {
        let key = |seed| PrivateKey::from_seed(&[seed; 32]);
        let (fleet, robot, driver) = (key(1), key(2), key(3));
        let lease = Lease {
            v: 1,
            lease_id: LeaseId::new(uuid::Uuid::from_u128(number)),
            robot: "demo-rover-1".parse().unwrap(),
            robot_did: robot.did(),
            holder: driver.did(),
            relay: None,
            driver_kind: DriverKind::Pilot,
            epoch: 7,
            renewal: 0,
            issued_at: WallMs(START_NS / 1_000_000),
            ttl_ms: 30_000,
            limits: LeaseLimits { speed_mps_max: 1.5 },
            mission: Some(LeaseMission {
                id: protocol::ids::MissionId::new(uuid::Uuid::from_u128(9)),
                name: "Around the block".into(),
                checkpoints: Vec::new(),
                area: None,
            }),
        };
        Self { fleet, robot, driver, lease }
    }

    pub fn meta(&self) -> EpisodeMeta {
        let lease = Envelope::sign(payload_type::LEASE, &self.lease, &self.fleet).unwrap();
        let digest: [u8; 32] = Sha256::digest(lease.body_unverified().unwrap()).into();
        let signature = hex::encode(self.driver.sign(&open_bytes(&digest, OFFER)));
        EpisodeMeta {
            robot: self.lease.robot.clone(),
            robot_did: self.robot.did(),
            lease,
            opening: Opening::new(OFFER, &signature),
            started_at: WallMs(START_NS / 1_000_000),
            software: BTreeMap::from([("robot-agent".into(), "0.1.0".into())]),
            policy: Document::from_json(r#"{"speed_mps_max":1.5}"#.into()),
            calibration: Document::from_json("{}".into()),
            owner_settings: None,
        }
    }

    pub fn ending(&self, recorded: Recorded) -> Ending {
        Ending {
            at: WallMs(START_NS / 1_000_000 + 60_000),
            why: "released".into(),
            recorded,
            previous_manifest_sha256: None,
        }
    }

    /// Records `seconds` of driving with these camera frames and seals it.
    pub fn episode(&self, dir: &Path, seconds: u64, cameras: &[(&str, Vec<Frame>)]) -> Sealed {
        let recorder = self.record(dir, seconds, cameras);
        let recorded = recorder.finish().unwrap();
        episode::seal(dir, self.ending(recorded), &self.robot).unwrap()
    }

    /// Records without finishing, as before a crash.
    pub fn record(&self, dir: &Path, seconds: u64, cameras: &[(&str, Vec<Frame>)]) -> Recorder {
        let names: Vec<_> = cameras.iter().map(|(name, _)| *name).collect();
        let mut recorder = Recorder::create(dir, &self.meta(), &names).unwrap();
        let mut telemetry = Telemetry::new(self, &mut recorder);
        let videos: Vec<_> =
            cameras.iter().map(|(name, _)| recorder.camera(name).unwrap()).collect();
        let mut written = vec![0; cameras.len()];
        for tick in 0..seconds * 50 {
            let at_ns = tick * 20_000_000;
            for ((channel, written), (name, frames)) in videos.iter().zip(&mut written).zip(cameras)
            {
                // A frame is recorded 8 ms after its capture.
                while let Some(frame) =
                    frames.get(*written).filter(|frame| frame.captured_ns + 8_000_000 <= at_ns)
                {
                    let message = CompressedVideo {
                        timestamp: Time::from_ns(START_NS + frame.captured_ns),
                        frame_id: (*name).to_owned(),
                        data: frame.data.clone(),
                        format: "h264".into(),
                    };
                    recorder.write(*channel, START_NS + at_ns, &message).unwrap();
                    *written += 1;
                }
            }
            telemetry.tick(&mut recorder, tick);
            if tick % 50 == 49 {
                recorder.sync(MonoMs(tick * 20)).unwrap();
            }
        }
        recorder
    }
}

struct Telemetry<'a> {
    world: &'a World,
    odom: episode::Channel<Odometry>,
    fix: episode::Channel<NavSatFix>,
    command: episode::Channel<longrein_msgs::DriveCommand>,
    executed: episode::Channel<TwistStamped>,
    safety: episode::Channel<SafetyState>,
    receipt: episode::Channel<Event>,
    event: episode::Channel<Event>,
    unsigned: Vec<u8>,
    unsigned_from: u32,
    receipts: u32,
    head: String,
}

impl<'a> Telemetry<'a> {
    fn new(world: &'a World, recorder: &mut Recorder) -> Self {
        Self {
            world,
            odom: recorder.telemetry(topic::ODOM).unwrap(),
            fix: recorder.telemetry(topic::FIX).unwrap(),
            command: recorder.telemetry(topic::COMMAND).unwrap(),
            executed: recorder.telemetry(topic::EXECUTED).unwrap(),
            safety: recorder.telemetry(topic::SAFETY).unwrap(),
            receipt: recorder.telemetry(topic::RECEIPT).unwrap(),
            event: recorder.telemetry(topic::EVENT).unwrap(),
            unsigned: Vec::new(),
            unsigned_from: 1,
            receipts: 0,
            head: "0".repeat(64),
        }
    }

    fn tick(&mut self, recorder: &mut Recorder, tick: u64) {
        let at_ns = START_NS + tick * 20_000_000;
        let stamp = Time::from_ns(at_ns);
        let seq = u32::try_from(tick + 1).unwrap();
        let heading = f64::from(seq) * 0.002;
        let mut odometry = Odometry::default();
        odometry.header.stamp = stamp;
        odometry.pose.pose.position.x = 10.0 * heading.sin();
        odometry.pose.pose.position.y = 10.0 - 10.0 * heading.cos();
        odometry.pose.pose.orientation = Quaternion::from_yaw(heading);
        odometry.twist.twist = Twist::planar(1.0, 0.1);
        recorder.write(self.odom, at_ns, &odometry).unwrap();
        if tick.is_multiple_of(10) {
            let fix = NavSatFix {
                status: NavSatStatus { status: NavSatStatus::STATUS_FIX, service: 1 },
                latitude: 46.05 + heading * 1e-4,
                longitude: 14.5 + heading * 1e-4,
                altitude: 300.0,
                position_covariance: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 4.0],
                position_covariance_type: 2,
                ..NavSatFix::default()
            };
            recorder.write(self.fix, at_ns, &fix).unwrap();
        }
        self.command(recorder, at_ns, seq);
        let executed = TwistStamped { twist: Twist::planar(0.9, 0.1), ..TwistStamped::default() };
        recorder.write(self.executed, at_ns, &executed).unwrap();
        if tick.is_multiple_of(10) {
            let safety = SafetyState {
                stamp,
                state: "driving".into(),
                reason: if tick < 100 { "none" } else { "latency" }.into(),
                limit_mps: 1.5,
                loop_latency_ms: 20.0 + f64::from(seq % 7),
                limited_linear_mps: 0.9,
                executed_linear_mps: 0.9,
                ..SafetyState::default()
            };
            recorder.write(self.safety, at_ns, &safety).unwrap();
        }
        if tick == 0 {
            let event = Event { stamp, code: "opened".into(), ..Event::default() };
            recorder.write(self.event, at_ns, &event).unwrap();
        }
    }

    fn command(&mut self, recorder: &mut Recorder, at_ns: u64, seq: u32) {
        let packet = DriveCommand {
            deadman: true,
            seq,
            epoch: self.world.lease.epoch,
            linear_mmps: 1000,
            angular_mradps: 100,
            client_ms: seq * 20,
            ..DriveCommand::default()
        }
        .encode();
        let message = longrein_msgs::DriveCommand {
            stamp: Time::from_ns(at_ns),
            arrived_ms: u64::from(seq) * 20,
            epoch: self.world.lease.epoch,
            seq,
            deadman: true,
            linear_mps: 1.0,
            angular_radps: 0.1,
            packet: packet.to_vec(),
        };
        recorder.write(self.command, at_ns, &message).unwrap();
        self.unsigned.extend(packet_digest(&packet));
        if seq.is_multiple_of(100) {
            let receipt = Receipt {
                lease_id: self.world.lease.lease_id,
                epoch: self.world.lease.epoch,
                index: self.receipts,
                previous: self.head.clone(),
                first_seq: self.unsigned_from,
                digests: hex::encode(&self.unsigned),
            };
            let envelope =
                Envelope::sign(payload_type::RECEIPT, &receipt, &self.world.driver).unwrap();
            self.head = hex::encode(Sha256::digest(envelope.body_unverified().unwrap()));
            self.receipts += 1;
            self.unsigned.clear();
            self.unsigned_from = seq + 1;
            let event = Event {
                stamp: Time::from_ns(at_ns),
                code: "receipt".into(),
                detail: String::new(),
                json: serde_json::to_string(&envelope).unwrap(),
            };
            recorder.write(self.receipt, at_ns, &event).unwrap();
        }
    }
}

/// Frames of noise for tests that don't decode them.
pub fn noise_frames(seconds: u64, fps: u64, len: usize) -> Vec<Frame> {
    (0..seconds * fps)
        .map(|index| Frame {
            captured_ns: index * 1_000_000_000 / fps,
            data: (0..len)
                .map(|i| {
                    u8::try_from((i * 31 + usize::try_from(index).unwrap() * 7) % 251).unwrap()
                })
                .collect(),
        })
        .collect()
}

/// Copies the files of a folder.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
