//! Video for spectators: a robot's live pictures as they are encoded, put once on the fabric however many watch.
//!
//! A gateway subscribes while somebody watches there, and says a few times a second what has reached it. That bounds what
//! may lie in queues on the robot's way to the router, and is how a keyframe is wished for.

use crate::keys::{Did, PrivateKey};
use crate::message;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Longest access unit that is read, bytes.
pub const UNIT_LEN_MAX: usize = 2 * 1024 * 1024;
/// Longest [`VideoHeard`] that is read, bytes.
pub const HEARD_LEN_MAX: usize = 256;
/// Longest attachment that is read, bytes.
const ATTACHMENT_LEN_MAX: usize = 1024;
const SIGNATURE_LEN: usize = 64;

/// What the robot says about an access unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoInfo {
    /// Number of the encoded frame at its camera: one more with each, put or left out. Starts anew with the agent.
    pub seq: u64,
    /// When it was captured, on the robot's monotonic clock, milliseconds.
    pub capture_ms: u64,
    /// The same on the robot's wall clock.
    pub wall_ms: u64,
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
    /// Whether decoding can start here.
    pub keyframe: bool,
}

/// What a gateway says while somebody watches there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoHeard {
    /// The newest frame's number that has arrived; 0 before the first.
    pub seq: u64,
    /// When it had been captured, by the robot's monotonic clock, milliseconds; 0 before the first.
    pub capture_ms: u64,
    /// Whether a viewer cannot go on without a keyframe.
    pub keyframe: bool,
}

/// Why an access unit was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VideoError {
    /// It does not begin as H.264 in Annex B form does.
    #[error("the access unit is not H.264 in Annex B form")]
    NotAnnexB,
    /// No signature and JSON of a sensible length.
    #[error("the access unit's attachment has {length} bytes, not a signature and a short JSON")]
    Attachment {
        /// Its length.
        length: usize,
    },
    /// Not signed by this robot, for this key expression, over these bytes.
    #[error("the access unit's signature does not match its robot, its key and its bytes")]
    Signature,
    /// The JSON is not a [`VideoInfo`].
    #[error("the access unit's description can't be read")]
    Info,
}

fn sealed_bytes(unit: &[u8], info: &[u8]) -> Vec<u8> {
    [&Sha256::digest(unit)[..], info].concat()
}

/// The attachment of an access unit that the robot puts on `key_expr`: its signature, then the JSON of the description.
/// The signature is that of [`message::sign`] over the key expression and, as payload, the SHA-256 of the access unit
/// followed by the JSON.
pub fn seal_video(key_expr: &str, unit: &[u8], info: &VideoInfo, key: &PrivateKey) -> Vec<u8> {
    let VideoInfo { seq, capture_ms, wall_ms, width, height, keyframe } = info;
    // By hand: this has no way to fail, and the bytes are the same in every version of serde.
    let json = format!(
        r#"{{"seq":{seq},"capture_ms":{capture_ms},"wall_ms":{wall_ms},"width":{width},"height":{height},"keyframe":{keyframe}}}"#
    );
    let signature = message::sign(key_expr, &sealed_bytes(unit, json.as_bytes()), key);
    [&signature[..], json.as_bytes()].concat()
}

/// Checks an access unit that came on `key_expr` with its attachment, and reads what the robot says about it.
///
/// # Errors
/// [`VideoError`]
pub fn open_video(
    key_expr: &str,
    unit: &[u8],
    attachment: &[u8],
    robot: &Did,
) -> Result<VideoInfo, VideoError> {
    if !unit.starts_with(&[0, 0, 0, 1]) && !unit.starts_with(&[0, 0, 1]) {
        return Err(VideoError::NotAnnexB);
    }
    let (signature, info) = attachment
        .split_at_checked(SIGNATURE_LEN)
        .filter(|_| attachment.len() <= ATTACHMENT_LEN_MAX)
        .ok_or(VideoError::Attachment { length: attachment.len() })?;
    message::verify(key_expr, &sealed_bytes(unit, info), signature, robot)
        .map_err(|_mismatch| VideoError::Signature)?;
    serde_json::from_slice(info).map_err(|_not_info| VideoError::Info)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: &str = "longrein/v1/robots/a/camera/front/video";
    const UNIT: &[u8] = &[0, 0, 0, 1, 0x65, 1, 2, 3];
    const INFO: VideoInfo = VideoInfo {
        seq: 7,
        capture_ms: 12_345,
        wall_ms: 1_700_000_000_000,
        width: 1280,
        height: 720,
        keyframe: true,
    };

    #[test]
    fn a_sealed_access_unit_opens_and_a_forged_one_does_not() {
        let (key, other) = (PrivateKey::from_seed(&[3; 32]), PrivateKey::from_seed(&[4; 32]));
        let good = seal_video(ON, UNIT, &INFO, &key);
        assert_eq!(&good[64..], serde_json::to_string(&INFO).unwrap().as_bytes());
        let open =
            |on: &str, unit: &[u8], attachment: &[u8]| open_video(on, unit, attachment, &key.did());
        assert_eq!(open(ON, UNIT, &good), Ok(INFO));
        let elsewhere = "longrein/v1/robots/b/camera/front/video";
        assert_eq!(open(elsewhere, UNIT, &good), Err(VideoError::Signature));
        assert_eq!(open(ON, &[0, 0, 1, 9], &good), Err(VideoError::Signature));
        let forged = seal_video(ON, UNIT, &INFO, &other);
        assert_eq!(open(ON, UNIT, &forged), Err(VideoError::Signature));
        let mut changed = good.clone();
        changed[64 + 8] = b'9';
        assert_eq!(open(ON, UNIT, &changed), Err(VideoError::Signature));
        assert_eq!(open(ON, b"GIF89a", &good), Err(VideoError::NotAnnexB));
        for length in [0, 63, 2_000] {
            assert_eq!(open(ON, UNIT, &vec![0; length]), Err(VideoError::Attachment { length }));
        }
        let signature = message::sign(ON, &sealed_bytes(UNIT, b"{}"), &key);
        assert_eq!(open(ON, UNIT, &[&signature[..], b"{}"].concat()), Err(VideoError::Info));
    }
}
