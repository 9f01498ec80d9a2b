//! What is known about an episode when it begins, kept on disk until it is sealed.

use crate::error::EpisodeError;
use crate::layout;
use protocol::dsse::Envelope;
use protocol::ids::{EpisodeId, RobotId};
use protocol::keys::Did;
use protocol::lease::Lease;
use protocol::units::WallMs;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// What is known when an episode begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpisodeMeta {
    /// The robot that records.
    pub robot: RobotId,
    /// Its key.
    pub robot_did: Did,
    /// The lease as it was opened (later renewals go to `/longrein/event`).
    pub lease: Envelope,
    /// What the driver signed to open it.
    pub opening: Opening,
    /// When the episode began.
    pub started_at: WallMs,
    /// Versions of the software that drove and recorded, by name.
    pub software: BTreeMap<String, String>,
    /// The safety core's policy: replay needs it as it was.
    pub policy: Document,
    /// Calibration of cameras and sensors.
    pub calibration: Document,
    /// The owner's settings that the robot kept to when the episode began, as the owner signed them. Later ones go to
    /// `/longrein/event`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_settings: Option<Envelope>,
}

impl EpisodeMeta {
    /// The lease that the episode is about. Its signature is **not verified** here.
    pub fn lease(&self) -> Result<Lease, EpisodeError> {
        self.lease.document_unverified().map_err(EpisodeError::Lease)
    }

    /// The episode's id: that of its lease.
    pub fn episode(&self) -> Result<EpisodeId, EpisodeError> {
        self.lease().map(|lease| lease.lease_id.into())
    }
}

/// How the driver opened the session: [`protocol::signal::open_bytes`] is rebuilt from it. The offer itself
/// names the driver's network addresses and is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// SHA-256 of the offer, in hexadecimal.
    pub offer_sha256: String,
    /// The holder's signature over lease and offer, in hexadecimal. Empty when the driver can't sign: it is then
    /// attested by the relay that the lease names, and nobody else.
    pub driver_signature: String,
}

impl Opening {
    /// From the request that opened the session.
    pub fn new(offer_sdp: &str, driver_signature: &str) -> Self {
        Self {
            offer_sha256: hex::encode(Sha256::digest(offer_sdp.as_bytes())),
            driver_signature: driver_signature.to_owned(),
        }
    }

    /// What the driver signed.
    pub fn signed_bytes(&self, lease_digest: &[u8; 32]) -> Vec<u8> {
        format!("longrein-open-v1\n{}\n{}", hex::encode(lease_digest), self.offer_sha256)
            .into_bytes()
    }
}

/// A JSON document kept as text, so that its digest is that of bytes and numbers keep their last digit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// SHA-256 of `json`, in hexadecimal.
    pub sha256: String,
    /// The document.
    pub json: String,
}

impl Document {
    /// Writes `document` as compact JSON.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub fn new<T: Serialize>(document: &T) -> Result<Self, EpisodeError> {
        serde_json::to_string(document).map(Self::from_json).map_err(EpisodeError::Document)
    }

    /// Keeps `json` as it is.
    pub fn from_json(json: String) -> Self {
        Self { sha256: hex::encode(Sha256::digest(json.as_bytes())), json }
    }

    /// Whether the digest is that of the text, and the text is JSON.
    pub fn is_consistent(&self) -> bool {
        self.sha256 == hex::encode(Sha256::digest(self.json.as_bytes()))
            && serde_json::from_str::<serde::de::IgnoredAny>(&self.json).is_ok()
    }
}

/// What a crash took, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// In words: what happened.
    pub why: String,
    /// Each recording that was cut.
    pub files: Vec<FileLoss>,
}

/// What a crash took from one recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileLoss {
    /// The recording.
    pub name: String,
    /// Bytes at its end that were no whole record.
    pub bytes_lost: u64,
    /// Messages lost. `None`: unknown, for what was still in memory left no trace.
    pub messages_lost: Option<u64>,
    /// Messages that were kept.
    pub messages_kept: u64,
    /// Where and why reading stopped.
    pub detail: String,
}

/// `episode.open.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenEpisode {
    /// What is known since the beginning.
    pub meta: EpisodeMeta,
    /// The recordings that were begun.
    pub files: Vec<String>,
    /// What a recovery found to be lost.
    pub loss: Option<Loss>,
}

impl OpenEpisode {
    /// Reads the folder's `episode.open.json`; `None` when there is none, that is: nothing to seal.
    pub fn read(dir: &Path) -> Result<Option<Self>, EpisodeError> {
        let path = dir.join(layout::OPEN);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(EpisodeError::io(path)(error)),
        };
        let open: Self = serde_json::from_slice(&bytes).map_err(EpisodeError::json(&path))?;
        match open.files.iter().find(|name| !layout::is_recording(name)) {
            Some(name) => Err(EpisodeError::folder(path, format!("{name:?} is no recording"))),
            None => Ok(Some(open)),
        }
    }

    pub(crate) fn write(&self, dir: &Path) -> Result<(), EpisodeError> {
        let bytes = serde_json::to_vec(self).map_err(EpisodeError::Document)?;
        write_atomic(dir, layout::OPEN, &bytes)
    }
}

/// Writes a file so that after a crash there is either the old one or the new one, whole.
pub(crate) fn write_atomic(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), EpisodeError> {
    let (temporary, path) = (dir.join(format!("{name}.part")), dir.join(name));
    let mut file = File::create(&temporary).map_err(EpisodeError::io(&temporary))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(EpisodeError::io(&temporary))?;
    // A crash here leaves a `.part` that the next writer overwrites.
    fs::rename(&temporary, &path).map_err(EpisodeError::io(&path))?;
    sync_dir(dir)
}

/// Makes names in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), EpisodeError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(EpisodeError::io(dir))
}
