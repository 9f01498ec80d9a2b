//! What a robot sends to those who subscribe.

use super::{driver_key, robot_key, wall};
use protocol::ids::RobotId;
use protocol::rover::{FrameInfo, SensorReport, Terms, seal_frame};
use protocol::units::WallMs;
use protocol::{keyexpr, message};
use zenoh::Session;

/// A sensor report, a picture, and a forged one.
pub(super) async fn put(session: &Session, robot: &RobotId, seq: u64, robot_ms: u64) {
    let report = SensorReport {
        robot: robot.clone(),
        robot_ms,
        at: WallMs(wall()),
        speed_mps: 0.25,
        heading_deg: Some(90.0),
        position: None,
        battery: Some(0.5),
        vibration_mps2: 0.1,
        accels: vec![],
        gyros: vec![],
        battery_awaited: false,
        mags: vec![],
        wheels: vec![],
        lamp: 0,
        terms: Terms {
            speed_mps_max: 1.5,
            reverse_mps_max: 0.5,
            turn_radps_max: 1.2,
            hold_ms: 400,
            blind_permitted: false,
            blind_mps_max: 0.3,
            cameras: vec!["front".to_owned()],
            speaks: false,
            has_lamp: false,
        },
    };
    let (key_expr, payload) = (keyexpr::sensors(robot), serde_json::to_vec(&report).unwrap());
    let signature = message::sign(&key_expr, &payload, &robot_key());
    session.put(&key_expr, payload).attachment(signature).await.ok();
    let key_expr = keyexpr::camera_live(robot, "front");
    let info = FrameInfo { seq, capture_ms: robot_ms, wall_ms: wall(), width: 8, height: 8 };
    let jpeg = vec![0xff, 0xd8, 0xff, 0xe0];
    let sealed = seal_frame(&key_expr, &jpeg, &info, &robot_key());
    session.put(&key_expr, jpeg.clone()).attachment(sealed).await.ok();
    // What somebody else puts there is no picture of this robot.
    let forged = FrameInfo { seq: seq + 1_000, capture_ms: robot_ms + 1_000_000, ..info };
    let sealed = seal_frame(&key_expr, &jpeg, &forged, &driver_key(66));
    session.put(&key_expr, jpeg).attachment(sealed).await.ok();
}
