//! The manifest: an in-toto Statement v1 in a DSSE envelope, signed by the robot.
//!
//! It names every file by size and SHA-256, so its signature covers the whole episode. The statement's `subject`
//! is what any in-toto verifier checks; the `predicate` is [`Manifest`].

use crate::digest::BLOCK_LEN;
use crate::layout;
use crate::meta::{Document, Loss, Opening};
use protocol::dsse::{Envelope, EnvelopeError, payload_type};
use protocol::ids::{EpisodeId, MissionId, RobotId};
use protocol::keys::{Did, PrivateKey};
use protocol::lease::{DriverKind, Lease};
use protocol::units::WallMs;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// `_type` of the statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// `predicateType` of the statement.
pub const PREDICATE_TYPE: &str = "https://longrein.org/episode/v1";

/// An in-toto Statement v1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// The files that the statement is about.
    pub subject: Vec<Subject>,
    /// [`PREDICATE_TYPE`].
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What is stated about them.
    pub predicate: Manifest,
}

/// A file that a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Its name in the episode's folder.
    pub name: String,
    /// Its digest.
    pub digest: SubjectDigest,
}

/// The digest of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectDigest {
    /// SHA-256, in hexadecimal.
    pub sha256: String,
}

/// What a robot states about an episode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this document: 1.
    pub v: u32,
    /// The episode.
    pub episode: EpisodeId,
    /// The robot.
    pub robot: RobotId,
    /// The robot's key.
    pub robot_did: Did,
    /// The lease as the fleet signed it.
    pub lease: Envelope,
    /// What the driver signed to open the session.
    pub opening: Opening,
    /// Who drove, as the lease says.
    pub driver: Driver,
    /// The lease's epoch.
    pub epoch: u64,
    /// What the drive was for.
    pub mission: Option<MissionRef>,
    /// When recording began.
    pub started_at: WallMs,
    /// When it ended.
    pub ended_at: WallMs,
    /// Stable code: `released`, `driver-gone`, `expired`, `fenced`, `stopping`, `crashed`.
    pub ended_why: String,
    /// The files.
    pub files: Vec<FileEntry>,
    /// What the driver's receipts cover.
    pub receipts: ReceiptSummary,
    /// Versions of the software, by name.
    pub software: BTreeMap<String, String>,
    /// The safety core's policy.
    pub policy: Document,
    /// Calibration of cameras and sensors.
    pub calibration: Document,
    /// The owner's settings when the episode began, as the owner signed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_settings: Option<Envelope>,
    /// [`sha256`] of the manifest that this robot sealed before this one: a chain per robot.
    pub previous_manifest_sha256: Option<String>,
    /// What a crash took; `None` when the recording ended by itself.
    pub loss: Option<Loss>,
}

/// Who drove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Driver {
    /// The lease's holder.
    pub did: Did,
    /// Person or program.
    pub kind: DriverKind,
    /// The gateway that carried packets, if one did.
    pub relay: Option<Did>,
}

/// The mission that a drive was for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MissionRef {
    /// The mission.
    pub id: MissionId,
    /// Its name.
    pub name: String,
}

/// One file of an episode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Name in the folder.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Bytes of each block but the last: 1 MiB.
    pub block_size: u64,
    /// SHA-256 of each block, in hexadecimal, to find where a file is damaged.
    pub blocks: Vec<String>,
    /// What is in it.
    pub channels: Vec<ChannelEntry>,
}

/// One channel of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelEntry {
    /// Topic.
    pub topic: String,
    /// Message type.
    pub schema: String,
    /// Messages.
    pub messages: u64,
    /// Messages that could not be recorded.
    pub dropped: u64,
    /// Time of the first message, robot's UTC.
    pub first_at: Option<WallMs>,
    /// Time of the last message, robot's UTC.
    pub last_at: Option<WallMs>,
}

/// What the driver's receipts in an episode say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptSummary {
    /// Receipts recorded.
    pub receipts: u64,
    /// Packets whose digest the driver signed.
    pub packets_signed: u64,
    /// Commands that a driver behind a relay signed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub commands_signed: u64,
    /// Drive packets recorded under the lease's epoch.
    pub packets_recorded: u64,
    /// Recorded packets that a receipt covers.
    pub packets_covered: u64,
    /// SHA-256 of the last receipt's signed bytes.
    pub head_sha256: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Why a manifest was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The envelope was refused.
    #[error("the envelope was refused")]
    Envelope(#[from] EnvelopeError),
    /// It is signed, but it is not the statement that it should be.
    #[error("{0}")]
    Statement(String),
}

/// The manifest's name: SHA-256 of its signed bytes, in hexadecimal.
pub fn sha256(envelope: &Envelope) -> Result<String, ManifestError> {
    Ok(hex::encode(Sha256::digest(envelope.body_unverified()?)))
}

/// The robot that a manifest says is its signer. **Not verified.**
pub fn signer_unverified(envelope: &Envelope) -> Result<Did, ManifestError> {
    let statement: Statement = envelope.document_unverified()?;
    Ok(statement.predicate.robot_did)
}

/// The manifest in `envelope`, if `robot` signed it and it is consistent in itself. Its file names are safe to
/// use. What it says of files, lease and receipts is not checked here: [`crate::verify`] does.
pub fn open(envelope: &Envelope, robot: &Did) -> Result<Manifest, ManifestError> {
    let statement: Statement = envelope.verify(payload_type::IN_TOTO, robot)?;
    check_statement(&statement).map_err(ManifestError::Statement)?;
    if statement.predicate.robot_did != *robot {
        return Err(ManifestError::Statement("the manifest names another robot's key".into()));
    }
    Ok(statement.predicate)
}

impl Manifest {
    /// The signed manifest.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub fn sign(self, key: &PrivateKey) -> Result<Envelope, serde_json::Error> {
        let subject = self
            .files
            .iter()
            .map(|file| Subject {
                name: file.name.clone(),
                digest: SubjectDigest { sha256: file.sha256.clone() },
            })
            .collect();
        let statement = Statement {
            statement_type: STATEMENT_TYPE.to_owned(),
            subject,
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: self,
        };
        Envelope::sign(payload_type::IN_TOTO, &statement, key)
    }

    /// The lease, **not verified**.
    pub fn lease_unverified(&self) -> Result<Lease, ManifestError> {
        Ok(self.lease.document_unverified()?)
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn check_statement(statement: &Statement) -> Result<(), String> {
    let manifest = &statement.predicate;
    if statement.statement_type != STATEMENT_TYPE || statement.predicate_type != PREDICATE_TYPE {
        return Err("not an episode's manifest".into());
    }
    if manifest.v != 1 {
        return Err(format!("manifest version {} is not known", manifest.v));
    }
    let named = statement.subject.iter().map(|s| (s.name.as_str(), s.digest.sha256.as_str()));
    let files = manifest.files.iter().map(|f| (f.name.as_str(), f.sha256.as_str()));
    if !named.eq(files) {
        return Err("subject and files of the manifest differ".into());
    }
    let mut names = BTreeSet::new();
    for file in &manifest.files {
        check_file(file)?;
        if !names.insert(file.name.as_str()) {
            return Err(format!("{} is named twice", file.name));
        }
    }
    if !names.contains(layout::TELEMETRY) {
        return Err(format!("{} is not named", layout::TELEMETRY));
    }
    if !manifest.policy.is_consistent() || !manifest.calibration.is_consistent() {
        return Err("policy or calibration does not have the digest that is stated".into());
    }
    check_lease(manifest)
}

fn check_file(file: &FileEntry) -> Result<(), String> {
    let name = &file.name;
    if !layout::is_recording(name) {
        return Err(format!("{name:?} can't be a file of an episode"));
    }
    let block_len = u64::try_from(BLOCK_LEN).unwrap_or(u64::MAX);
    let blocks = u64::try_from(file.blocks.len()).unwrap_or(u64::MAX);
    if file.block_size != block_len || file.size.div_ceil(block_len) != blocks {
        return Err(format!("the blocks of {name} do not add up to its size"));
    }
    if !is_sha256(&file.sha256) || !file.blocks.iter().all(|block| is_sha256(block)) {
        return Err(format!("a digest of {name} is not SHA-256"));
    }
    Ok(())
}

fn check_lease(manifest: &Manifest) -> Result<(), String> {
    let lease: Lease =
        manifest.lease_unverified().map_err(|error| format!("the lease can't be read: {error}"))?;
    let mission = lease.mission.as_ref().map(|m| (m.id, m.name.as_str()));
    let same = EpisodeId::from(lease.lease_id) == manifest.episode
        && lease.robot == manifest.robot
        && lease.robot_did == manifest.robot_did
        && lease.epoch == manifest.epoch
        && lease.holder == manifest.driver.did
        && lease.driver_kind == manifest.driver.kind
        && lease.relay == manifest.driver.relay
        && mission == manifest.mission.as_ref().map(|m| (m.id, m.name.as_str()));
    if same { Ok(()) } else { Err("the manifest and its lease say different things".into()) }
}
