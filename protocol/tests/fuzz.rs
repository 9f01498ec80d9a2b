//! Whatever bytes come from outside, no reader of this crate panics or hangs; and what it takes, it writes again as it
//! came. The short run is a test; `cargo xtask fuzz` is the long one.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "../../fuzz/mutate.rs"]
#[allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a harness, not a program"
)]
mod mutate;

use mutate::fuzz;
use protocol::drive::{DriveCommand, Seen};
use protocol::dsse::{Envelope, payload_type};
use protocol::estop::{EstopAction, EstopPacket};
use protocol::keys::{Did, PrivateKey};
use protocol::lease::VerifiedLease;
use protocol::message::{self, EstopRequest, LeaseRequest, Reply};
use protocol::rover::{FrameInfo, LampRequest, SensorReport, SpeakRequest, open_frame, seal_frame};
use protocol::session::{FromRobot, Receipt, ToRobot};
use protocol::signal::{SignalReply, SignalRequest};
use protocol::state::RobotState;
use protocol::telemetry::Telemetry;
use protocol::{api, ids, keyexpr, mission};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[7; 32])
}

#[test]
fn drive() {
    let command =
        DriveCommand { seq: 9, deadman: true, seen: Seen::Rtp(5), ..DriveCommand::default() };
    let seen = DriveCommand { seen: Seen::CaptureMs(u32::MAX), ..command };
    fuzz("drive", vec![command.encode().to_vec(), seen.encode().to_vec()], |bytes| {
        if let Ok(command) = DriveCommand::decode(bytes) {
            assert_eq!(command.encode(), bytes);
        }
    });
}

#[test]
fn telemetry() {
    let text = include_str!("../vectors/telemetry.json");
    fuzz("telemetry", packets(text), |bytes| {
        if let Ok(telemetry) = Telemetry::decode(bytes) {
            assert_eq!(telemetry.encode(), bytes);
        }
    });
}

/// The packets of a file of vectors.
fn packets(text: &str) -> Vec<Vec<u8>> {
    let file: Value = serde_json::from_str(text).unwrap();
    let cases = file["cases"].as_array().unwrap();
    cases.iter().map(|case| hex::decode(case["hex"].as_str().unwrap()).unwrap()).collect()
}

#[test]
fn estop() {
    let packet = EstopPacket { action: EstopAction::Clear, seq: 1, epoch: 7 };
    fuzz("estop", vec![packet.encode().to_vec()], |bytes| {
        if let Ok(packet) = EstopPacket::decode(bytes) {
            assert_eq!(packet.encode(), bytes);
        }
    });
}

/// What was taken must be what is written again and taken again.
fn document<T: DeserializeOwned + Serialize>(bytes: &[u8]) {
    if let Ok(taken) = serde_json::from_slice::<T>(bytes) {
        let written = serde_json::to_value(&taken).unwrap();
        let again: T = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&again).unwrap(), written);
    }
}

fn lease() -> Value {
    json!({
        "v": 1, "lease_id": "lse_01890a5d-ac96-774b-bcce-b302099a8057", "robot": "demo-rover-1",
        "robot_did": key().did(), "holder": key().did(), "relay": null, "driver_kind": "pilot", "epoch": 7,
        "renewal": 0, "issued_at": 1_790_000_000_000_u64, "ttl_ms": 30_000, "limits": {"speed_mps_max": 1.5},
        "mission": null,
    })
}

fn envelope() -> Envelope {
    Envelope::sign_bytes(payload_type::LEASE, lease().to_string().as_bytes(), &key())
}

#[test]
fn documents() {
    let envelope = serde_json::to_value(envelope()).unwrap();
    let seeds = [
        json!({"lease": envelope, "offer_sdp": "v=0\r\n", "driver_signature": "00", "ice_servers": []}),
        json!({"type": "renew", "lease": envelope}),
        json!({"type": "receipt", "receipt": envelope}),
        json!({"type": "release"}),
        json!({"type": "ended", "why": "released"}),
        json!({"op": "release", "lease_id": "lse_01890a5d-ac96-774b-bcce-b302099a8057"}),
        json!({"text": "hello", "at": 1_790_000_000_000_u64, "lease_id": "x"}),
        json!({"level": 255, "at": 1}),
        json!({"result": "done"}),
        json!({"did": key().did(), "nonce": "n", "signature": "00"}),
        json!({"lat_deg": 52.5, "lon_deg": 13.4}),
        lease(),
    ];
    let seeds = seeds.iter().map(|seed| seed.to_string().into_bytes()).collect();
    fuzz("documents", seeds, |bytes| {
        document::<SignalRequest>(bytes);
        document::<SignalReply>(bytes);
        document::<ToRobot>(bytes);
        document::<FromRobot>(bytes);
        document::<Receipt>(bytes);
        document::<LeaseRequest>(bytes);
        document::<EstopRequest>(bytes);
        document::<Reply>(bytes);
        document::<RobotState>(bytes);
        document::<SensorReport>(bytes);
        document::<SpeakRequest>(bytes);
        document::<LampRequest>(bytes);
        document::<FrameInfo>(bytes);
        document::<api::SessionClaims>(bytes);
        document::<api::LeaseOrder>(bytes);
        document::<api::BeginUpload>(bytes);
        document::<mission::Checkpoint>(bytes);
    });
}

#[test]
fn envelopes() {
    let did = key().did();
    let other = Envelope::sign_bytes(payload_type::RECEIPT, b"{}", &key());
    let seeds = [envelope(), other].map(|envelope| serde_json::to_vec(&envelope).unwrap());
    fuzz("envelopes", seeds.to_vec(), |bytes| {
        let Ok(envelope) = serde_json::from_slice::<Envelope>(bytes) else { return };
        let body = envelope.body_unverified();
        // Nothing but what was signed is ever taken for signed.
        if let Ok(lease) = VerifiedLease::verify(envelope, &did) {
            assert_eq!(body.unwrap(), lease_bytes());
            assert_eq!(lease.lease().epoch, 7);
        }
    });
}

fn lease_bytes() -> Vec<u8> {
    lease().to_string().into_bytes()
}

#[test]
fn frames() {
    let on = "longrein/v1/robots/demo-rover-1/camera/front/live";
    let info = FrameInfo { seq: 9, capture_ms: 5, wall_ms: 6, width: 640, height: 360 };
    let seeds = vec![seal_frame(on, b"jpeg", &info, &key())];
    let sealed = seeds[0].clone();
    fuzz("frames", seeds, |bytes| {
        if open_frame(on, b"jpeg", bytes, &key().did()).is_ok() {
            assert_eq!(bytes, sealed, "another attachment is taken for signed");
        }
    });
}

#[test]
fn signatures() {
    let (on, payload) = ("longrein/v1/robots/demo-rover-1/command", b"payload");
    let good = message::sign(on, payload, &key());
    fuzz("signatures", vec![good.to_vec()], |bytes| {
        if message::verify(on, payload, bytes, &key().did()).is_ok() {
            assert_eq!(bytes, good, "another signature is taken for good");
        }
    });
}

#[test]
fn names() {
    let seeds = [
        key().did().to_string(),
        "demo-rover-1".to_owned(),
        "lse_01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
        keyexpr::state(&"demo-rover-1".parse().unwrap()),
        key().to_pem(),
    ];
    let seeds = seeds.iter().map(|seed| seed.clone().into_bytes()).collect();
    fuzz("names", seeds, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Ok(did) = text.parse::<Did>() {
            assert_eq!(did.to_string(), text, "one key, one name");
        }
        if let Ok(robot) = text.parse::<ids::RobotId>() {
            assert_eq!(robot.as_str(), text);
        }
        if let Ok(lease) = text.parse::<ids::LeaseId>() {
            assert_eq!(lease.to_string().parse::<ids::LeaseId>().unwrap(), lease);
        }
        keyexpr::robot_of(text);
        PrivateKey::from_pem(text).ok();
    });
}
