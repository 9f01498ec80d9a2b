//! Sealing: the manifest of a finished or recovered episode.

use crate::contents::{Contents, Summary};
use crate::digest;
use crate::error::EpisodeError;
use crate::layout;
use crate::manifest::{self, Driver, FileEntry, Manifest, MissionRef};
use crate::meta::{OpenEpisode, sync_dir, write_atomic};
use crate::recorder::Recorded;
use protocol::dsse::Envelope;
use protocol::keys::PrivateKey;
use protocol::units::WallMs;
use std::fs;
use std::path::Path;

/// How an episode ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// When. After a crash: when the recovery ran; the last message tells when recording stopped.
    pub at: WallMs,
    /// Stable code: `released`, `driver-gone`, `expired`, `fenced`, `stopping`, `crashed`.
    pub why: String,
    /// What [`crate::Recorder::finish`] returned; the default after a crash.
    pub recorded: Recorded,
    /// [`manifest::sha256`] of the manifest that this robot sealed before.
    pub previous_manifest_sha256: Option<String>,
}

/// A sealed episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed {
    /// What was stated.
    pub manifest: Manifest,
    /// The same, signed: the content of `manifest.dsse.json`.
    pub envelope: Envelope,
    /// [`manifest::sha256`] of it.
    pub manifest_sha256: String,
    /// What the episode amounts to.
    pub summary: Summary,
}

/// Seals the episode in `dir`: hashes its files, counts what they hold, signs the manifest, writes it durably and
/// removes `episode.open.json`. All recordings must be finished ([`crate::Recorder::finish`] or
/// [`crate::recover`]). Sealing again after a crash in between is safe.
pub fn seal(dir: &Path, ending: Ending, key: &PrivateKey) -> Result<Sealed, EpisodeError> {
    let Some(open) = OpenEpisode::read(dir)? else {
        let what = format!("nothing to seal: there is no {}", layout::OPEN);
        return Err(EpisodeError::folder(dir, what));
    };
    let meta = open.meta;
    if key.did() != meta.robot_did {
        let what = format!("the episode is {}'s, the key is {}'s", meta.robot_did, key.did());
        return Err(EpisodeError::folder(dir, what));
    }
    let lease = meta.lease()?;
    let mut contents = Contents::new(lease.clone(), &meta.policy);
    let mut files = Vec::new();
    for name in open.files {
        let path = dir.join(&name);
        let mut channels = contents.read(&path)?;
        for channel in &mut channels {
            // Drops after the last message leave no gap in the numbers; only the recorder knows of them.
            let counted = ending.recorded.dropped.get(&channel.topic).copied().unwrap_or(0);
            channel.dropped = channel.dropped.max(counted);
        }
        let digest = digest::of_file(&path)?;
        files.push(FileEntry {
            name,
            size: digest.size,
            sha256: digest.sha256,
            block_size: u64::try_from(digest::BLOCK_LEN).unwrap_or(u64::MAX),
            blocks: digest.blocks,
            channels,
        });
    }
    let (summary, receipts) = contents.finish(files.iter().flat_map(|file| &file.channels));
    let manifest = Manifest {
        v: 1,
        episode: lease.lease_id.into(),
        robot: meta.robot,
        robot_did: meta.robot_did,
        lease: meta.lease,
        opening: meta.opening,
        driver: Driver { did: lease.holder, kind: lease.driver_kind, relay: lease.relay },
        epoch: lease.epoch,
        mission: lease.mission.map(|mission| MissionRef { id: mission.id, name: mission.name }),
        started_at: meta.started_at,
        ended_at: ending.at,
        ended_why: ending.why,
        files,
        receipts: receipts.summary,
        software: meta.software,
        policy: meta.policy,
        calibration: meta.calibration,
        owner_settings: meta.owner_settings,
        previous_manifest_sha256: ending.previous_manifest_sha256,
        loss: open.loss,
    };
    let envelope = manifest.clone().sign(key).map_err(EpisodeError::Document)?;
    // What is signed must be what a verifier accepts: a manifest that `open` refuses is never written.
    manifest::open(&envelope, &meta.robot_did)?;
    let manifest_sha256 = manifest::sha256(&envelope)?;
    write_manifest(dir, &envelope)?;
    // A crash here leaves both files: sealing again writes the same manifest but for `ending`.
    let open_path = dir.join(layout::OPEN);
    fs::remove_file(&open_path).map_err(EpisodeError::io(&open_path))?;
    sync_dir(dir)?;
    Ok(Sealed { manifest, envelope, manifest_sha256, summary })
}

/// Writes `manifest.dsse.json` in its one form, whole or not at all.
pub fn write_manifest(dir: &Path, envelope: &Envelope) -> Result<(), EpisodeError> {
    let bytes = serde_json::to_vec(envelope).map_err(EpisodeError::Document)?;
    write_atomic(dir, layout::MANIFEST, &bytes)
}

/// The manifest's envelope in `dir`, **not verified**; `None` when the episode is not sealed.
pub fn read_manifest(dir: &Path) -> Result<Option<Envelope>, EpisodeError> {
    let path = dir.join(layout::MANIFEST);
    match fs::metadata(&path) {
        Ok(metadata) if metadata.len() > layout::MANIFEST_LEN_MAX => {
            Err(EpisodeError::folder(path, "the manifest is too long"))
        }
        Ok(_metadata) => {
            let bytes = fs::read(&path).map_err(EpisodeError::io(&path))?;
            serde_json::from_slice(&bytes).map(Some).map_err(EpisodeError::json(&path))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EpisodeError::io(path)(error)),
    }
}
