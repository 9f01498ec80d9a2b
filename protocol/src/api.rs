//! Shapes of the HTTP API that more than one program needs: signing in, enrolling a robot, leases, and the
//! upload of episodes. The rest belongs to the server that serves it.

use crate::dsse::Envelope;
use crate::ids::{EpisodeId, MissionId, OwnerId, RobotId};
use crate::keys::Did;
use crate::units::WallMs;
use serde::{Deserialize, Serialize};

/// What a principal may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs the fleet.
    Operator,
    /// Drives in the cockpit.
    Pilot,
    /// A program that drives.
    Agent,
    /// Owns robots.
    Owner,
    /// A robot.
    Robot,
    /// A pilot gateway.
    Gateway,
}

/// `POST /v1/auth/challenge`: asks for a nonce to sign.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// Who wants to sign in.
    pub did: Did,
}

/// The nonce. It can be used once, within a minute.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Challenge {
    /// What to sign, by [`auth_bytes`].
    pub nonce: String,
}

/// `POST /v1/auth/session`: the signed nonce for a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// Who signs in.
    pub did: Did,
    /// The nonce.
    pub nonce: String,
    /// Signature over [`auth_bytes`], in hexadecimal.
    pub signature: String,
}

/// A session. Send its token as `Authorization: Bearer`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    /// The token: base64url without padding of the JSON of a DSSE envelope with [`SessionClaims`], signed by
    /// the fleet, so that a gateway can check it without asking.
    pub token: String,
    /// Who is signed in, as what, until when.
    pub claims: SessionClaims,
}

/// What a session token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionClaims {
    /// Who.
    pub did: Did,
    /// As what.
    pub role: Role,
    /// Their name, for people.
    pub name: String,
    /// Until when.
    pub expires_at: WallMs,
}

/// What is signed to sign in.
pub fn auth_bytes(nonce: &str) -> Vec<u8> {
    format!("longrein-auth-v1\n{nonce}").into_bytes()
}

/// `POST /v1/invitations/{code}/accept`: registers the key that the browser made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptInvitation {
    /// The new principal.
    pub did: Did,
    /// Its name, for people: 1 to 60 characters.
    pub name: String,
    /// Signature over [`invitation_bytes`], in hexadecimal: proves possession of the key.
    pub signature: String,
}

/// What is signed to accept an invitation.
pub fn invitation_bytes(code: &str) -> Vec<u8> {
    format!("longrein-invitation-v1\n{code}").into_bytes()
}

/// `POST /v1/enrolments/{code}/accept`: a robot proves possession of its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptEnrolment {
    /// The robot's key.
    pub did: Did,
    /// Signature over [`enrolment_bytes`], in hexadecimal.
    pub signature: String,
}

/// What is signed to enrol.
pub fn enrolment_bytes(code: &str) -> Vec<u8> {
    format!("longrein-enrolment-v1\n{code}").into_bytes()
}

/// What an enrolled robot keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enrolled {
    /// The name that its owner chose.
    pub robot: RobotId,
    /// The fleet's key: leases are verified with it.
    pub fleet_did: Did,
    /// Where to connect: a Zenoh endpoint such as `tls/fleet.example:7447`.
    pub zenoh_endpoint: String,
    /// The keys of its owners, as far as they have any: whose settings the robot takes.
    #[serde(default)]
    pub owners: Vec<Did>,
}

/// `POST /v1/leases`: asks for the right to drive.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseOrder {
    /// Which robot. May be left out when the mission names one.
    pub robot: Option<RobotId>,
    /// For which mission, if for one.
    pub mission: Option<MissionId>,
    /// The gateway that will carry packets, for a driver without a data channel.
    pub relay: Option<Did>,
    /// Whether the lease of somebody else ends: only for an operator or an owner of the robot.
    #[serde(default)]
    pub takeover: bool,
}

/// A signed lease, as the fleet answers to an order and to a renewal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LeaseGrant {
    /// Signed [`crate::lease::Lease`].
    pub lease: Envelope,
}

/// A robot's owner and its share of what the robot earns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnerShare {
    /// The owner.
    pub owner: OwnerId,
    /// Share in millionths; the shares of one robot add up to 1,000,000.
    pub share_ppm: u32,
}

/// `POST /v1/episodes`: begins an upload, or goes on with one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginUpload {
    /// The episode.
    pub episode: EpisodeId,
    /// Its manifest: a signed in-toto statement.
    pub manifest: Envelope,
}

/// How far an upload is. `PATCH /v1/episodes/{id}/files/{name}?offset=N` appends at `offset`, which must be
/// the size that the server has; `POST /v1/episodes/{id}/complete` ends it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UploadStatus {
    /// The files that the manifest names.
    pub files: Vec<UploadFile>,
    /// The signed [`IngestReceipt`], once the episode was accepted.
    pub receipt: Option<Envelope>,
}

/// One file of an upload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UploadFile {
    /// Name within the episode's folder.
    pub name: String,
    /// Size that the manifest states, bytes.
    pub size: u64,
    /// Bytes that the server has.
    pub received: u64,
}

/// Largest body of one `PATCH`, bytes.
pub const UPLOAD_CHUNK_MAX: usize = 4 * 1024 * 1024;

/// The fleet's word that it has an episode whole and verified. Only after this may the robot delete its copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestReceipt {
    /// The episode.
    pub episode: EpisodeId,
    /// The robot that recorded it.
    pub robot: RobotId,
    /// SHA-256 of the manifest's signed bytes, in hexadecimal.
    pub manifest_sha256: String,
    /// When it was accepted.
    pub accepted_at: WallMs,
}
