//! The right to drive one robot for a while.
//!
//! The fleet signs it ([`crate::dsse::payload_type::LEASE`]); the robot verifies it offline with the fleet's
//! key that it learned when it was enrolled. A lease lasts [`Lease::ttl_ms`] on the **robot's** monotonic clock
//! from the moment it arrives, and is renewed by a copy with the next `renewal`. The highest `epoch` wins: once
//! a robot has seen epoch 8, nothing signed for epoch 7 moves it again.

use crate::dsse::{Envelope, EnvelopeError, payload_type};
use crate::ids::{LeaseId, MissionId, RobotId};
use crate::keys::Did;
use crate::mission::Checkpoint;
use crate::settings::Corner;
use crate::units::WallMs;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How long a lease lasts when nobody renews it.
pub const TTL_MS: u32 = 30_000;
/// How often a driver renews: a server that restarts has 20 s before the drive ends.
pub const RENEW_EVERY_MS: u32 = 10_000;
/// A driver who sends nothing for this long has left: the robot ends the lease by itself.
pub const DRIVER_GONE_MS: u32 = 5_000;

/// What kind of driver holds a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriverKind {
    /// A person in the cockpit.
    Pilot,
    /// A program.
    Agent,
}

/// What the holder may do at most. The robot's own policy always applies as well.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseLimits {
    /// Highest speed in m/s.
    pub speed_mps_max: f64,
}

/// The mission that a lease is for, so that the robot records what was to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseMission {
    /// The mission.
    pub id: MissionId,
    /// Its name, for people.
    pub name: String,
    /// Its checkpoints in order.
    pub checkpoints: Vec<Checkpoint>,
    /// Where it is driven: the robot's safety core keeps it inside one of these polygons, beside what the owner says.
    /// None: wherever the owner lets it be driven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<Vec<Vec<Corner>>>,
}

/// A lease as the fleet signs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// Version of this document: 1.
    pub v: u32,
    /// The lease. Its episode carries the same UUID.
    pub lease_id: LeaseId,
    /// The robot that may be driven.
    pub robot: RobotId,
    /// The robot's key, so that the driver can check the robot's answer.
    pub robot_did: Did,
    /// Who may drive.
    pub holder: Did,
    /// The gateway that carries packets for a holder without a data channel.
    pub relay: Option<Did>,
    /// Person or program.
    pub driver_kind: DriverKind,
    /// Fencing epoch: grows by one with each lease of this robot.
    pub epoch: u64,
    /// 0 at first, one more with each renewal.
    pub renewal: u32,
    /// When the fleet signed this copy. The robot refuses copies older than their `ttl_ms` on its wall clock.
    pub issued_at: WallMs,
    /// How long this copy lasts after its arrival at the robot.
    pub ttl_ms: u32,
    /// What the holder may do at most.
    pub limits: LeaseLimits,
    /// What the drive is for, if it is for a mission.
    pub mission: Option<LeaseMission>,
}

/// A lease whose signature was verified. There is no other way to make one.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedLease {
    lease: Lease,
    envelope: Envelope,
    digest: [u8; 32],
}

impl VerifiedLease {
    /// Verifies that `fleet` signed `envelope` as a lease of version 1.
    pub fn verify(envelope: Envelope, fleet: &Did) -> Result<Self, EnvelopeError> {
        let body = envelope.verify_bytes(payload_type::LEASE, fleet)?;
        let lease: Lease = serde_json::from_slice(&body).map_err(EnvelopeError::Document)?;
        if lease.v != 1 {
            let unknown = serde::de::Error::custom(format!("lease version {}", lease.v));
            return Err(EnvelopeError::Document(unknown));
        }
        Ok(Self { lease, envelope, digest: Sha256::digest(&body).into() })
    }

    /// The lease.
    pub const fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The lease as it was signed, for the episode.
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// SHA-256 of the signed bytes: what the driver's opening signature covers.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}
