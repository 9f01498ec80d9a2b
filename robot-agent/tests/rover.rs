//! The whole agent with a base, a camera and a program behind a relay, over a real router: pictures and sensors
//! only while somebody subscribes, a voice, a lamp, and an episode that names blind driving.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod played;

use played::{BUMPED, EDGE, FREE, NEAR, SILENT, World};
use protocol::drive::{DriveCommand, Seen};
use protocol::dsse::{Envelope, payload_type};
use protocol::ids::RobotId;
use protocol::intervention::{Act, InterventionRequest};
use protocol::keys::PrivateKey;
use protocol::lease::{DriverKind, Lease, LeaseLimits, VerifiedLease};
use protocol::message::{self, LeaseRequest, Reply};
use protocol::program::{NO_RECEIPT, ProgramCommand, ProgramReceipt, RelayedReceipt};
use protocol::rover::{FrameInfo, LampRequest, SensorReport, SpeakRequest, open_frame};
use protocol::signal::{SignalReply, SignalRequest, open_bytes};
use protocol::units::WallMs;
use protocol::{api::Enrolled, keyexpr};
use robot_agent::clock;
use robot_agent::home::{Enrolment, Home};
use ros_bridge::base::Order;
use ros_bridge::kinematics::Commands;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use zenoh::Session;

const WITHIN: Duration = Duration::from_secs(30);

/// Ends the agent whatever becomes of the test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

async fn session(mode: &str, endpoint: &str) -> Session {
    let ends = if mode == "router" { "listen" } else { "connect" };
    let config = serde_json::json!({
        "mode": mode,
        ends: {"endpoints": [endpoint]},
        "scouting": {"multicast": {"enabled": false}, "gossip": {"enabled": false}},
    });
    zenoh::open(zenoh::Config::from_json5(&config.to_string()).unwrap()).await.unwrap()
}

/// The fleet, the relay and the program in one.
struct Cast {
    robot: RobotId,
    robot_key: PrivateKey,
    fleet: PrivateKey,
    relay: PrivateKey,
    lease: Lease,
    session: Session,
}

impl Cast {
    async fn ask(&self, key: &str, payload: Vec<u8>, signer: &PrivateKey) -> Vec<u8> {
        let signature = message::sign(key, &payload, signer);
        let replies =
            self.session.get(key).payload(payload).attachment(&signature[..]).await.unwrap();
        let reply = tokio::time::timeout(WITHIN, replies.recv_async()).await.unwrap().unwrap();
        reply.result().unwrap().payload().to_bytes().to_vec()
    }

    /// Opens the lease with a signature of `signer`, behind the relay.
    async fn open(&self, signer: &PrivateKey) -> SignalReply {
        let lease = Envelope::sign(payload_type::LEASE, &self.lease, &self.fleet).unwrap();
        let verified = VerifiedLease::verify(lease.clone(), &self.fleet.did()).unwrap();
        let signature = signer.sign(&open_bytes(verified.digest(), ""));
        let request = SignalRequest {
            lease,
            offer_sdp: String::new(),
            driver_signature: hex::encode(signature),
            ice_servers: Vec::new(),
        };
        let key = keyexpr::signal(&self.robot);
        let reply = self.ask(&key, serde_json::to_vec(&request).unwrap(), &self.relay).await;
        serde_json::from_slice(&reply).unwrap()
    }

    /// A receipt of the one command that all packets from `seq` 3 on carry out, signed by `signer`.
    async fn receipt(&self, through_seq: u32, signer: &PrivateKey) -> Reply {
        let command = ProgramCommand {
            n: 1,
            at: clock::wall_ms(),
            // 0.4 m/s of 1.5.
            linear_ppm: 266_667,
            angular_ppm: 0,
            seen_ms: None,
        };
        let receipt = ProgramReceipt {
            lease_id: self.lease.lease_id,
            epoch: self.lease.epoch,
            index: 0,
            previous: NO_RECEIPT.to_owned(),
            commands: vec![command],
        };
        let receipt = Envelope::sign(payload_type::COMMANDS, &receipt, signer).unwrap();
        let receipt = RelayedReceipt { receipt, first_seqs: vec![3], through_seq };
        let ask = serde_json::to_vec(&LeaseRequest::Receipt { receipt }).unwrap();
        let reply = self.ask(&keyexpr::lease(&self.robot), ask, &self.relay).await;
        serde_json::from_slice(&reply).unwrap()
    }

    async fn speak(&self, text: &str, at: WallMs, signer: &PrivateKey) -> Reply {
        let request = SpeakRequest { lease_id: self.lease.lease_id, text: text.to_owned(), at };
        let key = keyexpr::speak(&self.robot);
        let reply = self.ask(&key, serde_json::to_vec(&request).unwrap(), signer).await;
        serde_json::from_slice(&reply).unwrap()
    }

    async fn lamp(&self, level: u8) -> Reply {
        let lease_id = self.lease.lease_id;
        let request = LampRequest { lease_id, level, at: clock::wall_ms() };
        let key = keyexpr::lamp(&self.robot);
        let reply = self.ask(&key, serde_json::to_vec(&request).unwrap(), &self.relay).await;
        serde_json::from_slice(&reply).unwrap()
    }

    async fn intervene(&self, act: Act, signer: &PrivateKey) -> Reply {
        let request = InterventionRequest {
            lease_id: self.lease.lease_id,
            id: "itv_00000000000000000000000000000001".parse().unwrap(),
            act,
            cause: "lost".to_owned(),
            at: clock::wall_ms(),
        };
        let key = keyexpr::intervention(&self.robot);
        let reply = self.ask(&key, serde_json::to_vec(&request).unwrap(), signer).await;
        serde_json::from_slice(&reply).unwrap()
    }

    async fn drive(&self, seq: u32, seen: Seen, robot_stamp_ms: u32) {
        self.drive_turning(seq, seen, robot_stamp_ms, 0).await;
    }

    async fn drive_turning(&self, seq: u32, seen: Seen, robot_stamp_ms: u32, turn_mradps: i16) {
        let command = DriveCommand {
            deadman: true,
            autonomy: false,
            camera: 0,
            seq,
            epoch: self.lease.epoch,
            seen,
            robot_stamp_ms,
            linear_mmps: if seq < 3 { 0 } else { 400 },
            angular_mradps: if seq < 3 { 0 } else { turn_mradps },
            client_ms: 1,
        };
        // The first two with the stick at rest: nothing else arms the robot.
        let packet = DriveCommand { deadman: seq >= 3, ..command }.encode();
        let key = keyexpr::command(&self.robot);
        let signature = message::sign(&key, &packet, &self.relay);
        self.session.put(&key, packet.as_slice()).attachment(&signature[..]).await.unwrap();
    }

    /// Frames of half a second, checked.
    async fn watch_live(&self) -> Vec<(FrameInfo, Vec<u8>)> {
        let key = keyexpr::camera_live(&self.robot, "front");
        let frames = self.session.declare_subscriber(&key).await.unwrap();
        let mut got = Vec::new();
        let until = Instant::now() + WITHIN;
        while got.len() < 30 && Instant::now() < until {
            let Ok(sample) = frames.recv_async().await else { break };
            let jpeg = sample.payload().to_bytes();
            let attachment = sample.attachment().unwrap().to_bytes();
            let info = open_frame(&key, &jpeg, &attachment, &self.robot_key.did()).unwrap();
            assert!(
                open_frame(&key, &jpeg, &attachment, &self.relay.did()).is_err(),
                "nobody else's"
            );
            got.push((info, jpeg.to_vec()));
        }
        got
    }
}

fn prepare(data: &Path, domain_id: u16, endpoint: &str, more: &str) -> (Unconnected, Agent) {
    let robot: RobotId = "rover-1".parse().unwrap();
    let home = Home::open(&data.join("robot")).unwrap();
    let robot_key = home.key_or_new().unwrap();
    let (fleet, relay) = (PrivateKey::from_seed(&[1; 32]), PrivateKey::from_seed(&[3; 32]));
    home.write_enrolment(&Enrolment {
        server: "http://127.0.0.1:9".to_owned(),
        did: Some(robot_key.did()),
        enrolled: Enrolled {
            robot: robot.clone(),
            fleet_did: fleet.did(),
            zenoh_endpoint: endpoint.to_owned(),
            owners: vec![],
        },
    })
    .unwrap();
    let speaker = data.join("speaker");
    std::fs::write(&speaker, "#!/bin/sh\n[ \"$3\" = --stdin ] && cat > \"$2\"\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&speaker, mode).unwrap();
    let config = data.join("robot.toml");
    let text = format!(
        "data = {home:?}\nros_domain_id = {domain_id}\n[program]\nhold_ms = 1500\n\
         [policy.blind_driving]\npermitted = true\nspeed_mps_max = 0.3\n\
         [speech]\ncommand = {speaker:?}\nkeep = {keep:?}\n\
         [[camera]]\nname = \"front\"\nsource = \"videotestsrc is-live=true pattern=ball ! \
         video/x-raw,format=I420,width=640,height=360,framerate=30/1\"\n\
         width = 640\nheight = 360\nfps = 30\nbitrate_kbps = 500\n{more}",
        home = home.dir(),
        keep = data.join("kept"),
    );
    std::fs::write(&config, text).unwrap();
    let agent = Command::new(env!("CARGO_BIN_EXE_robot-agent"))
        .args(["run", "--config"])
        .arg(&config)
        .stderr(std::fs::File::create(data.join("agent.log")).unwrap())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let lease = Lease {
        v: 1,
        lease_id: "lse_0190b5c6f1e27d3a8b4c5d6e7f809112".parse().unwrap(),
        robot: robot.clone(),
        robot_did: robot_key.did(),
        holder: PrivateKey::from_seed(&[2; 32]).did(),
        relay: Some(relay.did()),
        driver_kind: DriverKind::Agent,
        epoch: 1,
        renewal: 0,
        issued_at: clock::wall_ms(),
        ttl_ms: 60_000,
        limits: LeaseLimits { speed_mps_max: 1.0 },
        mission: None,
    };
    (Unconnected { robot, robot_key, fleet, relay, lease }, Agent(agent))
}

/// The cast before it is connected.
struct Unconnected {
    robot: RobotId,
    robot_key: PrivateKey,
    fleet: PrivateKey,
    relay: PrivateKey,
    lease: Lease,
}

/// A base, a router, the agent between them, and who speaks to it.
struct Stage {
    data: tempfile::TempDir,
    _router: zenoh::Session,
    world: World,
    agent: Agent,
    cast: Cast,
}

impl Stage {
    async fn set(domain_id: u16, commands: Commands, more_toml: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("tcp/{}", free.local_addr().unwrap());
        drop(free);
        let router = session("router", &endpoint).await;
        let world = World::start(domain_id, commands);
        let (Unconnected { robot, robot_key, fleet, relay, lease }, agent) =
            prepare(data.path(), domain_id, &endpoint, more_toml);
        let session = session("client", &endpoint).await;
        let cast = Cast { robot, robot_key, fleet, relay, lease, session };
        Self { data, _router: router, world, agent, cast }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_sees_speaks_lights_and_drives_blind() {
    let domain_id = u16::try_from(101 + std::process::id() % 100).unwrap();
    let Stage { data, _router, world, agent, cast } =
        Stage::set(domain_id, Commands::Twist, "").await;
    let data = data.path();

    // Sensors, while somebody subscribes.
    let sensors = keyexpr::sensors(&cast.robot);
    let reports = cast.session.declare_subscriber(&sensors).await.unwrap();
    let began = Instant::now();
    let mut newest: Option<SensorReport> = None;
    let mut count = 0;
    while began.elapsed() < WITHIN && count < 40 {
        let Ok(sample) = tokio::time::timeout(WITHIN, reports.recv_async()).await.unwrap() else {
            break;
        };
        let (payload, signature) =
            (sample.payload().to_bytes(), sample.attachment().unwrap().to_bytes());
        message::verify(&sensors, &payload, &signature, &cast.robot_key.did()).unwrap();
        newest = Some(serde_json::from_slice(&payload).unwrap());
        let lamp_known = newest.as_ref().is_some_and(|report| report.terms.has_lamp);
        count += usize::from(lamp_known);
    }
    let report = newest.unwrap();
    assert!((report.speed_mps - 0.25).abs() < 1e-9);
    assert!(report.accels.len() >= 3 && !report.wheels.is_empty(), "{report:?}");
    assert!((report.wheels[0].rpm[3] - 23.873).abs() < 0.01, "{report:?}");
    assert!(!report.mags.is_empty() && (report.mags[0].v[2] + 45.0).abs() < 1e-6, "{report:?}");
    assert!((report.vibration_mps2 - 0.3).abs() < 0.05, "{}", report.vibration_mps2);
    let terms = &report.terms;
    assert_eq!((terms.hold_ms, terms.blind_permitted, terms.speaks), (1_500, true, true));
    assert_eq!(terms.cameras, ["front"]);

    // Pictures: each once, in order, fresh, signed.
    let frames = cast.watch_live().await;
    assert_eq!(frames.len(), 30);
    assert!(frames.windows(2).all(|pair| pair[0].0.seq < pair[1].0.seq), "each once");
    assert!(frames.windows(2).all(|pair| pair[0].0.capture_ms < pair[1].0.capture_ms));
    let last = frames[29].0;
    assert_eq!((last.width, last.height), (640, 360));
    let span_ms = last.capture_ms - frames[0].0.capture_ms;
    assert!((900..1_500).contains(&span_ms), "29 periods of 33 ms took {span_ms} ms");
    let again = cast.watch_live().await;
    assert!(again[0].0.seq > last.seq, "after a pause it goes on with a new frame");

    // Nobody subscribes, nothing is encoded.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let busy = cpu_ns(agent.0.id(), JPEG_THREAD);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(busy > 0, "it worked while somebody watched");
    assert_eq!(cpu_ns(agent.0.id(), JPEG_THREAD), busy, "and rests now");

    // Without a lease nothing is said.
    let now = clock::wall_ms;
    let early = cast.speak("hello", now(), &cast.relay).await;
    assert!(matches!(&early, Reply::Refused { code, .. } if code == "lease-ended"), "{early:?}");
    let holder = PrivateKey::from_seed(&[2; 32]);
    let stolen = cast.open(&cast.relay).await;
    let bad = |reply: &SignalReply| matches!(reply, SignalReply::Refused { code, .. } if code == "bad-signature");
    assert!(bad(&stolen), "the relay can't open what the holder did not sign: {stolen:?}");
    let opened = cast.open(&holder).await;
    assert!(matches!(opened, SignalReply::Opened { .. }), "{opened:?}");
    assert!(matches!(cast.speak("hello", now(), &cast.fleet).await, Reply::Refused { .. }));
    let at = now();
    assert_eq!(cast.speak("hello there", at, &cast.relay).await, Reply::Done);
    let copy = cast.speak("hello there", at, &cast.relay).await;
    assert!(matches!(&copy, Reply::Refused { code, .. } if code == "conflict"), "{copy:?}");
    assert_eq!(cast.lamp(2).await, Reply::Done);
    assert!(matches!(cast.lamp(9).await, Reply::Refused { .. }));
    assert!(matches!(cast.intervene(Act::Start, &cast.fleet).await, Reply::Refused { .. }));
    assert!(matches!(cast.intervene(Act::End, &cast.relay).await, Reply::Refused { .. }));
    assert_eq!(cast.intervene(Act::Start, &cast.relay).await, Reply::Done);

    // Blind, and then with sight.
    let mut seq = 0;
    let mut stamp = 0;
    for seeing in [false, true] {
        let live = keyexpr::camera_live(&cast.robot, "front");
        let pictures = cast.session.declare_subscriber(&live).await.unwrap();
        let mut seen = Seen::Nothing;
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(2_000) {
            while let Ok(Some(sample)) = reports.try_recv() {
                let report: SensorReport =
                    serde_json::from_slice(&sample.payload().to_bytes()).unwrap();
                stamp = protocol::units::MonoMs(report.robot_ms).low32();
            }
            while let Ok(Some(sample)) = pictures.try_recv() {
                let attachment = sample.attachment().unwrap().to_bytes();
                let (jpeg, did) = (sample.payload().to_bytes(), cast.robot_key.did());
                let info = open_frame(&live, &jpeg, &attachment, &did).unwrap();
                seen = if seeing { Seen::CaptureMs(info.capture().low32()) } else { Seen::Nothing };
            }
            seq += 1;
            cast.drive(seq, seen, stamp).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let orders = world.orders();
    let fastest = orders.iter().fold(0.0, |fastest: f64, order| match order {
        Order::Velocity(twist) => fastest.max(twist.linear.x),
        Order::Lamp(_) | Order::Horn(_) => fastest,
    });
    assert!((fastest - 0.4).abs() < 0.01, "with sight it went {fastest} m/s");
    let capped =
        |order: &&Order| matches!(order, Order::Velocity(t) if (t.linear.x - 0.3).abs() < 1e-6);
    assert!(orders.iter().filter(capped).count() > 20, "blind it was held to 0.3 m/s");
    assert!(orders.contains(&Order::Lamp(2)), "the lamp was told");
    assert!(!orders.contains(&Order::Lamp(9)));

    let forged = cast.receipt(seq, &cast.relay).await;
    assert!(matches!(&forged, Reply::Refused { code, .. } if code == "bad-request"), "{forged:?}");
    assert_eq!(cast.receipt(seq, &holder).await, Reply::Done);

    let release = LeaseRequest::Release { lease_id: cast.lease.lease_id };
    let key = keyexpr::lease(&cast.robot);
    let reply = cast.ask(&key, serde_json::to_vec(&release).unwrap(), &cast.relay).await;
    assert_eq!(serde_json::from_slice::<Reply>(&reply).unwrap(), Reply::Done);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    drop(agent);

    let kept: Vec<_> = std::fs::read_dir(data.join("kept")).unwrap().collect();
    assert_eq!(kept.len(), 1, "one text was said, once");
    let episode = data
        .join("robot/episodes")
        .join(protocol::ids::EpisodeId::from(cast.lease.lease_id).to_string());
    let codes = event_codes(&episode);
    for code in ["speech", "lamp", "blind-driving", "blind-driving-ended"] {
        assert_eq!(codes.iter().filter(|c| *c == code).count(), 1, "{code} in {codes:?}");
    }
    let report = episode::verify(&episode, &episode::Options::default());
    assert!(report.verified, "{report}");
    let proof = report.proof.unwrap();
    assert_eq!(proof.did, Some(holder.did()), "{}", proof.words);
    assert_eq!(proof.level, episode::report::ProofLevel::Commands, "{}", proof.words);
    // Begun by the driver, ended with the lease.
    assert_eq!(codes.iter().filter(|c| *c == "intervention").count(), 2, "{codes:?}");
    let replayed = robot_agent::replay::replay(&episode).unwrap();
    assert_eq!(replayed.difference, None);
}

/// A car with a cone, a drop sensor and a bumper, all before it.
const CAR: &str = r#"
[policy.close_sensors]
active = true
[base]
kind = "ackermann"
wheelbase_m = 0.5
steering_angle_rad_max = 0.4
[ros]
commands = "twist_stamped"
[[ros.range]]
topic = "/range"
x_m = 0.35
[[ros.range]]
topic = "/cliff"
kind = "drop"
x_m = 0.4
[[ros.bumper]]
topic = "/bumper"
side = "front"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_sensors_stop_a_drive_and_a_car_is_told_what_it_can_do() {
    // Not the domain of the other test, which may run beside this one.
    let domain_id = u16::try_from(1 + std::process::id() % 100).unwrap();
    let Stage { data, _router, world, agent, cast } =
        Stage::set(domain_id, Commands::TwistStamped, CAR).await;
    let data = data.path();
    let sensors = keyexpr::sensors(&cast.robot);
    let reports = cast.session.declare_subscriber(&sensors).await.unwrap();
    let report = tokio::time::timeout(WITHIN, reports.recv_async()).await.unwrap().unwrap();
    drop(report);
    let opened = cast.open(&PrivateKey::from_seed(&[2; 32])).await;
    assert!(matches!(opened, SignalReply::Opened { .. }), "{opened:?}");

    let (mut seq, mut stamp) = (0, 0);
    let mut fastest = Vec::new();
    for says in [FREE, BUMPED, FREE, EDGE, FREE, NEAR, FREE, SILENT] {
        world.close.store(says, Ordering::Relaxed);
        let began = Instant::now();
        let mut settled = 0;
        while began.elapsed() < Duration::from_millis(1_500) {
            while let Ok(Some(sample)) = reports.try_recv() {
                let report: SensorReport =
                    serde_json::from_slice(&sample.payload().to_bytes()).unwrap();
                stamp = protocol::units::MonoMs(report.robot_ms).low32();
            }
            if settled == 0 && began.elapsed() > Duration::from_millis(1_000) {
                settled = world.orders().len();
            }
            seq += 1;
            cast.drive_turning(seq, Seen::Nothing, stamp, 1_000).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let orders = world.orders();
        fastest.push(orders[settled..].iter().fold((0.0, 0.0), |most: (f64, f64), order| {
            let Order::Velocity(twist) = order else { return most };
            (most.0.max(twist.linear.x.abs()), most.1.max(twist.angular.z.abs()))
        }));
    }
    for (n, (linear, angular)) in fastest.iter().enumerate() {
        if n % 2 == 0 {
            assert!((linear - 0.3).abs() < 1e-3, "{n}: drives on at once, {fastest:?}");
            // 0.3 m/s · tan 0.4 / 0.5 m, of the 1 rad/s that the driver wants.
            assert!((angular - 0.2537).abs() < 2e-3, "{n}: as a car can, {fastest:?}");
        } else {
            assert_eq!((*linear, *angular), (0.0, 0.0), "{n}: not even on the spot, {fastest:?}");
        }
    }
    let release = LeaseRequest::Release { lease_id: cast.lease.lease_id };
    let key = keyexpr::lease(&cast.robot);
    let reply = cast.ask(&key, serde_json::to_vec(&release).unwrap(), &cast.relay).await;
    assert_eq!(serde_json::from_slice::<Reply>(&reply).unwrap(), Reply::Done);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    drop(agent);
    let episode = data
        .join("robot/episodes")
        .join(protocol::ids::EpisodeId::from(cast.lease.lease_id).to_string());
    let (codes, reasons) = (event_codes(&episode), safety_reasons(&episode));
    assert_eq!(codes.iter().filter(|code| *code == "bumper").count(), 2, "{codes:?}");
    for reason in ["bumper", "drop", "obstacle-ahead", "close-stale"] {
        assert!(reasons.iter().any(|r| r == reason), "{reason} in {reasons:?}");
    }
}

/// The thread of GStreamer that makes pictures: named after the pad that feeds the encoder.
const JPEG_THREAD: &str = "source:src";

/// Processor time that a process's threads of this name used, ns.
fn cpu_ns(process: u32, thread: &str) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let used = tasks.filter_map(|task| {
        let task = task.ok()?.path();
        let name = std::fs::read_to_string(task.join("comm")).ok()?;
        let used = std::fs::read_to_string(task.join("schedstat")).ok()?;
        let ran_ns: u64 = used.split_whitespace().next()?.parse().ok()?;
        (name.trim_end() == thread).then_some(ran_ns)
    });
    used.sum()
}

fn event_codes(episode: &Path) -> Vec<String> {
    use episode::layout::{self, topic};
    let mut reader = episode::read::Reader::open(&episode.join(layout::TELEMETRY)).unwrap();
    let mut codes = Vec::new();
    while let Some(message) = reader.next().unwrap() {
        if message.channel.topic == topic::EVENT {
            let event: ros_msgs::longrein_msgs::Event = message.decode().unwrap();
            codes.push(event.code);
        }
    }
    codes
}

/// Why the safety core held the robot down, as the episode tells.
fn safety_reasons(episode: &Path) -> Vec<String> {
    use episode::layout::{self, topic};
    let mut reader = episode::read::Reader::open(&episode.join(layout::TELEMETRY)).unwrap();
    let mut reasons = Vec::new();
    let mut ranges = 0;
    while let Some(message) = reader.next().unwrap() {
        if message.channel.topic == topic::SAFETY {
            let state: ros_msgs::longrein_msgs::SafetyState = message.decode().unwrap();
            reasons.push(state.reason);
        }
        ranges += u32::from(message.channel.topic == topic::RANGE);
    }
    assert!(ranges > 20, "{ranges} readings of the range sensors are in the episode");
    reasons
}
