//! What a robot gives a program beside driving: its sensors, its pictures as JPEG, a voice and a lamp.
//!
//! All of it crosses the message fabric and is therefore signed: sensors as every message ([`crate::message`]),
//! pictures by [`seal_frame`], requests by the relay that the lease names. Nothing here moves the robot.

use crate::ids::{LeaseId, RobotId};
use crate::keys::{Did, PrivateKey};
use crate::message;
use crate::state::RobotPosition;
use crate::units::{MonoMs, WallMs};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Samples of one kind in a [`SensorReport`], at most.
pub const SAMPLES_MAX: usize = 10;
/// Characters of a [`SpeakRequest`], at most.
pub const SPEAK_CHARS_MAX: usize = 500;
/// The brightest level of a lamp.
pub const LAMP_LEVEL_MAX: u8 = 3;
/// The longest time, in milliseconds, for which a program's last command may be repeated for it.
pub const HOLD_MS_MAX: u32 = 3000;
/// Length of a signature in front of a frame's JSON.
const SIGNATURE_LEN: usize = 64;
/// Longest attachment of a frame that is read.
const ATTACHMENT_LEN_MAX: usize = 1024;

/// What the robot senses, put on [`crate::keyexpr::sensors`] 20 times a second while somebody subscribes and the robot
/// knows its speed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SensorReport {
    /// The robot.
    pub robot: RobotId,
    /// The robot's monotonic clock, milliseconds.
    pub robot_ms: u64,
    /// The robot's wall clock.
    pub at: WallMs,
    /// Speed forward, m/s.
    pub speed_mps: f64,
    /// Heading clockwise from true north, degrees.
    pub heading_deg: Option<f64>,
    /// Position, when known and fresh.
    pub position: Option<RobotPosition>,
    /// Battery, 0 to 1.
    pub battery: Option<f64>,
    /// There is a battery that has not said its charge yet: `battery` will come.
    #[serde(default)]
    pub battery_awaited: bool,
    /// Root mean square of the acceleration about its mean of the last second (gravity and steady motion), m/s².
    pub vibration_mps2: f64,
    /// Acceleration with gravity in the robot's frame, m/s², since the last report: newest last, at most
    /// [`SAMPLES_MAX`], as all lists here.
    pub accels: Vec<Sample3>,
    /// Turn rates in the robot's frame, rad/s.
    pub gyros: Vec<Sample3>,
    /// Magnetic field in the robot's frame, µT. Empty on a robot without a magnetometer.
    pub mags: Vec<Sample3>,
    /// Speeds of the wheels. Empty on a robot that does not tell them.
    pub wheels: Vec<WheelSample>,
    /// The lamp's level as it was last set; 0 is off.
    pub lamp: u8,
    /// What programs may do here.
    pub terms: Terms,
}

/// One reading of a sensor with three axes (forward, left, up).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample3 {
    /// The reading; its unit stands at the list.
    pub v: [f64; 3],
    /// When it was taken, on the robot's wall clock.
    pub at_ms: u64,
}

/// Speeds of four wheels. A robot with two repeats each side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WheelSample {
    /// Turns per minute, forward positive: front left, front right, rear left, rear right.
    pub rpm: [f64; 4],
    /// When it was taken, on the robot's wall clock.
    pub at_ms: u64,
}

/// What the robot's owner lets programs do. For display and for scaling of commands: the robot enforces its
/// limits by itself, whatever anybody made of these numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// Highest speed forward, m/s.
    pub speed_mps_max: f64,
    /// Highest speed backward, m/s, positive.
    pub reverse_mps_max: f64,
    /// Highest turn rate, rad/s.
    pub turn_radps_max: f64,
    /// For how long a relay may repeat a program's last command, milliseconds, at most [`HOLD_MS_MAX`].
    pub hold_ms: u32,
    /// Whether a program may drive without pictures.
    pub blind_permitted: bool,
    /// Highest speed of driving without pictures, m/s.
    pub blind_mps_max: f64,
    /// Names of the cameras; those in drive packets are numbers into this list.
    pub cameras: Vec<String>,
    /// Whether the robot can speak.
    pub speaks: bool,
    /// Whether the robot has a lamp.
    pub has_lamp: bool,
}

/// Says a text aloud. Query on [`crate::keyexpr::speak`], signed by the relay that the lease names; answered by
/// [`message::Reply`] once the text is queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeakRequest {
    /// The current lease.
    pub lease_id: LeaseId,
    /// 1 to [`SPEAK_CHARS_MAX`] characters.
    pub text: String,
    /// When it was asked for, so that a recorded request can't be replayed: the robot takes 10 s either way, and
    /// only what is newer than the request before.
    pub at: WallMs,
}

impl SpeakRequest {
    /// Whether the text is there and short enough.
    pub fn is_valid(&self) -> bool {
        is_sayable(&self.text)
    }
}

/// Whether a text is there and short enough to be said aloud.
pub fn is_sayable(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().nth(SPEAK_CHARS_MAX).is_none()
}

/// Sets the lamp. Query on [`crate::keyexpr::lamp`], signed by the relay that the lease names; answered by
/// [`message::Reply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LampRequest {
    /// The current lease.
    pub lease_id: LeaseId,
    /// 0 (off) to [`LAMP_LEVEL_MAX`].
    pub level: u8,
    /// When it was asked for, as in [`SpeakRequest`].
    pub at: WallMs,
}

/// What the robot says about a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameInfo {
    /// Number of the frame at its camera: grows with each frame captured, so a gap tells of frames not sent.
    /// Starts anew with the agent.
    pub seq: u64,
    /// When it was captured, on the robot's monotonic clock, milliseconds: what a driver echoes as seen.
    pub capture_ms: u64,
    /// The same on the robot's wall clock.
    pub wall_ms: u64,
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
}

impl FrameInfo {
    /// Capture time for [`crate::drive::Seen::CaptureMs`].
    pub const fn capture(&self) -> MonoMs {
        MonoMs(self.capture_ms)
    }
}

/// Why a picture from the fabric was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The payload does not start as a JPEG does.
    #[error("the picture is not a JPEG")]
    NotJpeg,
    /// No signature and JSON of a sensible length.
    #[error("the picture's attachment has {length} bytes, not a signature and a short JSON")]
    Attachment {
        /// Its length.
        length: usize,
    },
    /// Not signed by this robot, for this key expression, over these bytes.
    #[error("the picture's signature does not match its robot, its key and its bytes")]
    Signature,
    /// The JSON is not a [`FrameInfo`].
    #[error("the picture's description can't be read")]
    Info,
}

/// What a frame's signature covers, beside the key expression: 32 bytes of the picture's SHA-256, then the JSON.
fn sealed_bytes(jpeg: &[u8], info: &[u8]) -> Vec<u8> {
    [&Sha256::digest(jpeg)[..], info].concat()
}

/// The attachment of a JPEG that the robot puts on `key_expr`:
///
/// ```text
/// 0            64
/// | signature  | JSON of FrameInfo … |
/// ```
///
/// The signature is that of [`message::sign`] over the key expression and, as payload, the SHA-256 of the JPEG
/// followed by the JSON.
pub fn seal_frame(key_expr: &str, jpeg: &[u8], info: &FrameInfo, key: &PrivateKey) -> Vec<u8> {
    // By hand: five integers have no way to fail, and the bytes are the same in every version of serde.
    let json = format!(
        r#"{{"seq":{},"capture_ms":{},"wall_ms":{},"width":{},"height":{}}}"#,
        info.seq, info.capture_ms, info.wall_ms, info.width, info.height
    );
    let signature = message::sign(key_expr, &sealed_bytes(jpeg, json.as_bytes()), key);
    [&signature[..], json.as_bytes()].concat()
}

/// Checks a JPEG that came on `key_expr` with its attachment, and reads what the robot says about it.
pub fn open_frame(
    key_expr: &str,
    jpeg: &[u8],
    attachment: &[u8],
    robot: &Did,
) -> Result<FrameInfo, FrameError> {
    if !jpeg.starts_with(&[0xff, 0xd8]) {
        return Err(FrameError::NotJpeg);
    }
    let (signature, info) = attachment
        .split_at_checked(SIGNATURE_LEN)
        .filter(|_| attachment.len() <= ATTACHMENT_LEN_MAX)
        .ok_or(FrameError::Attachment { length: attachment.len() })?;
    message::verify(key_expr, &sealed_bytes(jpeg, info), signature, robot)
        .map_err(|_mismatch| FrameError::Signature)?;
    serde_json::from_slice(info).map_err(|_not_info| FrameError::Info)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const ON: &str = "longrein/v1/robots/a/camera/front/live";
    const JPEG: &[u8] = &[0xff, 0xd8, 1, 2, 3];
    const INFO: FrameInfo = FrameInfo {
        seq: 7,
        capture_ms: 12_345,
        wall_ms: 1_700_000_000_000,
        width: 640,
        height: 360,
    };

    #[test]
    fn a_sealed_frame_opens() {
        let key = PrivateKey::from_seed(&[3; 32]);
        let attachment = seal_frame(ON, JPEG, &INFO, &key);
        assert_eq!(&attachment[64..], serde_json::to_string(&INFO).unwrap().as_bytes());
        assert_eq!(open_frame(ON, JPEG, &attachment, &key.did()), Ok(INFO));
    }

    #[test]
    fn a_forged_frame_does_not() {
        let (key, other) = (PrivateKey::from_seed(&[3; 32]), PrivateKey::from_seed(&[4; 32]));
        let good = seal_frame(ON, JPEG, &INFO, &key);
        let open = |on: &str, jpeg: &[u8], attachment: &[u8]| {
            open_frame(on, jpeg, attachment, &key.did()).unwrap_err()
        };
        assert_eq!(
            open("longrein/v1/robots/b/camera/front/live", JPEG, &good),
            FrameError::Signature
        );
        assert_eq!(open(ON, &[0xff, 0xd8, 9], &good), FrameError::Signature);
        assert_eq!(open(ON, JPEG, &seal_frame(ON, JPEG, &INFO, &other)), FrameError::Signature);
        let mut changed = good.clone();
        changed[64 + 8] = b'9';
        assert_eq!(open(ON, JPEG, &changed), FrameError::Signature);
        assert_eq!(open(ON, b"GIF89a", &good), FrameError::NotJpeg);
        for length in [0, 63, 2000] {
            assert_eq!(open(ON, JPEG, &vec![0; length]), FrameError::Attachment { length });
        }
        let signature = message::sign(ON, &sealed_bytes(JPEG, b"{}"), &key);
        assert_eq!(open(ON, JPEG, &[&signature[..], b"{}"].concat()), FrameError::Info);
    }

    #[test]
    fn a_text_has_1_to_500_characters() {
        let valid = |text: &str| {
            let lease_id = LeaseId::new(Uuid::from_u128(7));
            SpeakRequest { lease_id, text: text.to_owned(), at: WallMs(1) }.is_valid()
        };
        assert!(valid("x") && valid(&"ä".repeat(SPEAK_CHARS_MAX)));
        assert!(!valid("") && !valid(" \n") && !valid(&"ä".repeat(SPEAK_CHARS_MAX + 1)));
    }

    #[test]
    fn a_report_of_a_later_version_is_read() {
        let report = SensorReport {
            robot: "a".parse().unwrap(),
            robot_ms: 1,
            at: WallMs(2),
            speed_mps: 0.5,
            heading_deg: None,
            position: None,
            battery: Some(0.8),
            battery_awaited: false,
            vibration_mps2: 0.1,
            accels: vec![Sample3 { v: [0.0, 0.1, 9.8], at_ms: 2 }],
            gyros: Vec::new(),
            mags: Vec::new(),
            wheels: vec![WheelSample { rpm: [10.0; 4], at_ms: 2 }],
            lamp: 0,
            terms: Terms {
                speed_mps_max: 1.5,
                reverse_mps_max: 0.5,
                turn_radps_max: 1.2,
                hold_ms: 1000,
                blind_permitted: false,
                blind_mps_max: 0.3,
                cameras: vec!["front".to_owned()],
                speaks: true,
                has_lamp: true,
            },
        };
        let mut value = serde_json::to_value(&report).unwrap();
        value["new"] = serde_json::json!(1);
        value["terms"]["new"] = serde_json::json!(1);
        assert_eq!(serde_json::from_value::<SensorReport>(value).unwrap(), report);
    }
}
