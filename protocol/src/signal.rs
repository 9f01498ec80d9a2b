//! Opening a session with a robot: one query on [`crate::keyexpr::signal`].
//!
//! The driver signs the lease and its offer together, the robot signs its answer. Both SDPs carry the
//! fingerprint of the DTLS certificate, so neither gateway nor fleet can sit in between: a lease without its
//! holder's key opens nothing.

use crate::dsse::Envelope;
use crate::ids::{EpisodeId, LeaseId};
use crate::keys::{Did, PrivateKey, SignatureError};
use crate::lease::VerifiedLease;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Longest SDP that is read, in bytes.
pub const SDP_LEN_MAX: usize = 64 * 1024;

/// Data channels, negotiated: both sides create them with these ids and never by announcement.
pub mod channel {
    /// [`crate::drive`]: unordered, no retransmits, towards the robot.
    pub const DRIVE: u16 = 1;
    /// [`crate::telemetry`]: unordered, no retransmits, towards the driver.
    pub const TELEMETRY: u16 = 2;
    /// [`crate::session`]: reliable, ordered, both ways.
    pub const SESSION: u16 = 3;
    /// [`crate::estop`]: reliable, ordered, both ways.
    pub const ESTOP: u16 = 4;
}

/// A driver's request to open a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalRequest {
    /// Signed [`crate::lease::Lease`].
    pub lease: Envelope,
    /// WebRTC offer with all candidates; empty for a driver behind a relay.
    pub offer_sdp: String,
    /// Holder's signature over [`open_bytes`], in hexadecimal. A relay may leave it empty when the holder is
    /// a program that can't sign; the episode then says that the driver is attested by the relay alone.
    pub driver_signature: String,
    /// TURN and STUN servers for the robot's side.
    pub ice_servers: Vec<IceServer>,
}

/// A STUN or TURN server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IceServer {
    /// `stun:` or `turn:` URLs.
    pub urls: Vec<String>,
    /// User name, for TURN.
    #[serde(default)]
    pub username: String,
    /// Password, for TURN.
    #[serde(default)]
    pub credential: String,
}

/// The robot's reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum SignalReply {
    /// The session is open.
    Opened {
        /// The episode that is being recorded.
        episode: EpisodeId,
        /// WebRTC answer with all candidates; empty for a relay.
        answer_sdp: String,
        /// Robot's signature over [`answer_bytes`], in hexadecimal.
        robot_signature: String,
    },
    /// Refused, with the reason.
    Refused {
        /// Stable code: one of [`crate::problem::code`].
        code: String,
        /// What is wrong and what to do, in words.
        detail: String,
    },
}

/// What the driver signs: `longrein-open-v1`, the lease's digest and the offer's, one a line, in hexadecimal.
pub fn open_bytes(lease_digest: &[u8; 32], offer_sdp: &str) -> Vec<u8> {
    let offer = hex::encode(Sha256::digest(offer_sdp.as_bytes()));
    format!("longrein-open-v1\n{}\n{offer}", hex::encode(lease_digest)).into_bytes()
}

/// What the robot signs: `longrein-answer-v1`, the lease's id and the answer's digest, one a line.
pub fn answer_bytes(lease: LeaseId, answer_sdp: &str) -> Vec<u8> {
    let answer = hex::encode(Sha256::digest(answer_sdp.as_bytes()));
    format!("longrein-answer-v1\n{lease}\n{answer}").into_bytes()
}

impl SignalRequest {
    /// Checks the holder's signature over `lease` and the offer.
    pub fn verify_driver(&self, lease: &VerifiedLease) -> Result<(), SignatureError> {
        let signature = hex::decode(&self.driver_signature).map_err(|_not_hex| SignatureError)?;
        lease.lease().holder.verify(&open_bytes(lease.digest(), &self.offer_sdp), &signature)
    }
}

/// Signs an answer as the robot.
pub fn sign_answer(lease: LeaseId, answer_sdp: &str, key: &PrivateKey) -> String {
    hex::encode(key.sign(&answer_bytes(lease, answer_sdp)))
}

/// Checks a robot's signature over its answer.
pub fn verify_answer(
    lease: LeaseId,
    answer_sdp: &str,
    signature_hex: &str,
    robot: &Did,
) -> Result<(), SignatureError> {
    let signature = hex::decode(signature_hex).map_err(|_not_hex| SignatureError)?;
    robot.verify(&answer_bytes(lease, answer_sdp), &signature)
}
