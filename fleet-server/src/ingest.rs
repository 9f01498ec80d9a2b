//! Taking in episodes: resumable upload, verification, and the move into the fleet's folder.
//!
//! An upload lives in `DIR/uploads/<id>`; how far it is, is the length of its files and nothing else. A verified
//! episode is moved to `DIR/episodes/<id>` by one rename and then accepted by one transaction. A crash in between
//! leaves a folder that the next `complete` finds, verifies again and accepts.

use crate::fleet::Fleet;
use crate::model::{Episode, EpisodeState, Principal, RefusedReason};
use crate::ops::episodes::{self, not_verified};
use crate::problems::{Refused, Result};
use crate::store::free_mb;
use crate::views::Received;
use axum::http::StatusCode;
use episode::{Manifest, Options, layout};
use protocol::api::{BeginUpload, IngestReceipt, UploadFile, UploadStatus};
use protocol::dsse::{Envelope, payload_type};
use protocol::ids::EpisodeId;
use protocol::problem::code;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Most files of one episode.
const FILES_MAX: usize = 32;
/// Largest episode: 64 GiB.
const BYTES_MAX: u64 = 64 << 30;
/// Name of the receipt while it is written.
const RECEIPT_PART: &str = "ingest.part";

/// Begins an upload, or goes on with one.
pub(crate) async fn begin(
    fleet: &Fleet,
    robot: &Principal,
    order: BeginUpload,
) -> Result<UploadStatus> {
    let manifest = open_manifest(&order.manifest, robot)?;
    if manifest.episode != order.episode {
        return Err(Refused::bad_request("the manifest is of another episode"));
    }
    let size = manifest.size();
    if manifest.files.len() > FILES_MAX || size > BYTES_MAX {
        let detail = format!("an episode has at most {FILES_MAX} files and {BYTES_MAX} bytes");
        return Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, detail));
    }
    require_room(fleet, size)?;
    let sha256 = episode::manifest::sha256(&order.manifest)
        .map_err(|error| not_verified(&error.to_string(), None))?;
    let _lock = fleet.live_uploads.lock(order.episode).await;
    let mut tx = fleet.begin().await;
    let episode = episodes::begin(&mut tx, &manifest, &sha256).await?;
    if episode.state != EpisodeState::Accepted {
        let dir = folder(fleet, &episode.id);
        let fresh = fresh_folder(fleet, &episode.id);
        blocking(move || prepare(&dir, &fresh, &order.manifest, &sha256)).await??;
    }
    tx.commit().await?;
    status(fleet, &episode)
}

/// How far an upload is.
pub(crate) async fn upload_status(
    fleet: &Fleet,
    robot: &Principal,
    id: EpisodeId,
) -> Result<UploadStatus> {
    status(fleet, &own_episode(fleet, robot, id).await?)
}

/// Appends to a file.
pub(crate) async fn append(
    fleet: &Fleet,
    robot: &Principal,
    id: EpisodeId,
    name: &str,
    offset: u64,
    bytes: axum::body::Bytes,
) -> Result<UploadStatus> {
    let _lock = fleet.live_uploads.lock(id).await;
    let episode = own_episode(fleet, robot, id).await?;
    if episode.state != EpisodeState::Uploading {
        return Err(Refused::wrong_state(
            "this episode is not being uploaded; POST /v1/episodes first",
        ));
    }
    let file = episode.files.iter().find(|file| file.name == name);
    let file = file.ok_or_else(|| Refused::not_found("file in the manifest"))?;
    let path = fresh_folder(fleet, &id).join(name);
    let received = length(&path);
    if offset != received {
        let detail = format!("the server has {received} bytes of {name}; go on there");
        return Err(Refused::conflict(detail).with("received", received));
    }
    let end = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    if end > file.size {
        let detail = format!("{name} has {} bytes, these would be {end}", file.size);
        return Err(Refused::bad_request(detail));
    }
    require_room(fleet, 0)?;
    blocking(move || append_to(&path, offset, &bytes)).await?.map_err(disk)?;
    status(fleet, &episode)
}

/// Verifies a whole upload, keeps it, and signs the receipt.
pub(crate) async fn complete(
    fleet: &Fleet,
    robot: &Principal,
    id: EpisodeId,
) -> Result<UploadStatus> {
    let _lock = fleet.live_uploads.lock(id).await;
    let episode = own_episode(fleet, robot, id).await?;
    match episode.state {
        EpisodeState::Accepted => return status(fleet, &episode),
        EpisodeState::Uploading => {}
        EpisodeState::Recording | EpisodeState::Refused => {
            return Err(Refused::wrong_state("upload it first: POST /v1/episodes"));
        }
    }
    require_whole(fleet, &episode).await?;
    let dir = folder(fleet, &id);
    let options = Options { robot_did: Some(robot.did), fleet_did: Some(fleet.did) };
    let verify_dir = dir.clone();
    let (report, envelope) = blocking(move || {
        remove_if_there(&verify_dir.join(RECEIPT_PART));
        (episode::verify(&verify_dir, &options), episode::read_manifest(&verify_dir))
    })
    .await?;
    if let Some(failure) = &report.failure {
        let reason = RefusedReason {
            code: failure.check.to_owned(),
            detail: failure.to_string(),
            file: failure.file.clone(),
            from: failure.bytes.map(|bytes| bytes.start),
            to: failure.bytes.map(|bytes| bytes.end),
        };
        return refuse(fleet, id, &dir, reason).await;
    }
    let envelope = envelope.map_err(Refused::internal)?;
    let envelope =
        envelope.ok_or_else(|| Refused::internal("a verified episode without manifest"))?;
    let manifest = open_manifest(&envelope, robot)?;
    let report = serde_json::to_value(&report)?;
    match accept(fleet, &manifest, report, &dir).await {
        Err(refused) if refused.problem.code == code::NOT_VERIFIED => {
            let detail = refused.problem.detail;
            let reason =
                RefusedReason { code: "chain".into(), detail, file: None, from: None, to: None };
            refuse(fleet, id, &dir, reason).await
        }
        Err(refused) => Err(refused),
        Ok(episode) => {
            tracing::info!(episode = %id, robot = %manifest.robot, "episode accepted");
            status(fleet, &episode)
        }
    }
}

async fn accept(
    fleet: &Fleet,
    manifest: &Manifest,
    report: serde_json::Value,
    dir: &Path,
) -> Result<Episode> {
    let mut tx = fleet.begin().await;
    let receipt = IngestReceipt {
        episode: manifest.episode,
        robot: manifest.robot.clone(),
        manifest_sha256: report["manifest_sha256"].as_str().unwrap_or_default().to_owned(),
        accepted_at: tx.now,
    };
    let receipt = Envelope::sign(payload_type::INGEST, &receipt, &fleet.key)?;
    let episode = episodes::accept(&mut tx, manifest, report, receipt.clone()).await?;
    let (from, to) = (dir.to_owned(), kept_folder(fleet, &manifest.episode));
    // Once this returns the folder is whole and in its place; a crash before the commit is found by the next try.
    blocking(move || keep(&from, &to, &receipt)).await?.map_err(disk)?;
    tx.commit().await?;
    Ok(episode)
}

async fn refuse(
    fleet: &Fleet,
    id: EpisodeId,
    dir: &Path,
    reason: RefusedReason,
) -> Result<UploadStatus> {
    tracing::warn!(episode = %id, "episode refused: {}", reason.detail);
    let mut tx = fleet.begin().await;
    episodes::refuse(&mut tx, id, &reason).await?;
    tx.commit().await?;
    let dir = dir.to_owned();
    blocking(move || fs::remove_dir_all(dir)).await?.map_err(disk)?;
    Err(not_verified(&reason.detail, Some(&reason)))
}

/// A file of an accepted episode.
pub(crate) async fn file_path(fleet: &Fleet, id: EpisodeId, name: &str) -> Result<PathBuf> {
    let episode = fleet.read::<Episode>(&id.to_string()).await?;
    let episode = episode.ok_or_else(|| Refused::not_found("episode"))?;
    if episode.state != EpisodeState::Accepted {
        return Err(Refused::wrong_state("the fleet has not accepted this episode yet"));
    }
    let known = name == layout::MANIFEST
        || name == layout::INGEST_RECEIPT
        || episode.files.iter().any(|file| file.name == name);
    if known { Ok(kept_folder(fleet, &id).join(name)) } else { Err(Refused::not_found("file")) }
}

/// Bytes that the fleet has of each file.
pub(crate) async fn received(fleet: &Fleet, episode: &Episode) -> Received {
    let dir = folder(fleet, &episode.id);
    let have = |file: &crate::model::EpisodeFile| match episode.state {
        EpisodeState::Accepted => file.size,
        EpisodeState::Uploading => length(&dir.join(&file.name)),
        EpisodeState::Recording | EpisodeState::Refused => 0,
    };
    episode.files.iter().map(|file| (file.name.clone(), have(file))).collect()
}

/// Uploads stop before the disk is full: leases and money need room more.
fn require_room(fleet: &Fleet, bytes: u64) -> Result<()> {
    let free_mb = free_mb(&fleet.config.data).map_err(disk)?;
    let needed_mb = fleet.config.disk_free_mb_min.saturating_add(bytes / 1_000_000);
    if free_mb >= needed_mb {
        return Ok(());
    }
    let data = fleet.config.data.display();
    tracing::error!(free_mb, needed_mb, %data, "the disk is full: an upload waits for room");
    Err(disk_full())
}

fn open_manifest(envelope: &Envelope, robot: &Principal) -> Result<Manifest> {
    let manifest = episode::manifest::open(envelope, &robot.did).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        not_verified(&format!("the manifest: {error}{}", cause.unwrap_or_default()), None)
    })?;
    if robot.robot.as_ref() != Some(&manifest.robot) {
        return Err(not_verified("the manifest is another robot's", None));
    }
    Ok(manifest)
}

async fn own_episode(fleet: &Fleet, robot: &Principal, id: EpisodeId) -> Result<Episode> {
    let episode = fleet.read::<Episode>(&id.to_string()).await?;
    let own = episode.filter(|episode| robot.robot.as_ref() == Some(&episode.robot));
    own.ok_or_else(|| Refused::not_found("episode of this robot"))
}

async fn require_whole(fleet: &Fleet, episode: &Episode) -> Result<()> {
    let received = received(fleet, episode).await;
    let short = episode.files.iter().find(|file| received.get(&file.name) != Some(&file.size));
    match short {
        None => Ok(()),
        Some(file) => Err(Refused::wrong_state(format!("{} is not whole yet", file.name))),
    }
}

fn status(fleet: &Fleet, episode: &Episode) -> Result<UploadStatus> {
    let dir = folder(fleet, &episode.id);
    let accepted = episode.state == EpisodeState::Accepted;
    let file = |file: &crate::model::EpisodeFile| UploadFile {
        name: file.name.clone(),
        size: file.size,
        received: if accepted { file.size } else { length(&dir.join(&file.name)) },
    };
    Ok(UploadStatus {
        files: episode.files.iter().map(file).collect(),
        receipt: episode.receipt.clone(),
    })
}

fn fresh_folder(fleet: &Fleet, id: &EpisodeId) -> PathBuf {
    fleet.config.data.join("uploads").join(id.to_string())
}

fn kept_folder(fleet: &Fleet, id: &EpisodeId) -> PathBuf {
    fleet.config.data.join("episodes").join(id.to_string())
}

/// Where the episode is now: a crash may have come after the move and before the acceptance.
fn folder(fleet: &Fleet, id: &EpisodeId) -> PathBuf {
    let kept = kept_folder(fleet, id);
    if kept.is_dir() { kept } else { fresh_folder(fleet, id) }
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Makes the folder of an upload. What is there of the same manifest stays, of another one goes.
fn prepare(dir: &Path, fresh: &Path, manifest: &Envelope, sha256: &str) -> Result<()> {
    let known = episode::read_manifest(dir).ok().flatten();
    let same = known.and_then(|known| episode::manifest::sha256(&known).ok());
    if same.as_deref() == Some(sha256) {
        return Ok(());
    }
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(disk)?;
    }
    fs::create_dir_all(fresh).map_err(disk)?;
    episode::write_manifest(fresh, manifest)
        .map_err(|error| if error.is_disk_full() { disk_full() } else { Refused::internal(error) })
}

fn append_to(path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_data());
    if written.is_err() {
        // Back to what was acknowledged, so that the robot goes on there once there is room.
        file.set_len(offset)?;
    }
    written
}

/// Writes the receipt beside the files and moves the folder to its place, durably.
fn keep(from: &Path, to: &Path, receipt: &Envelope) -> io::Result<()> {
    let part = from.join(RECEIPT_PART);
    let mut file = File::create(&part)?;
    file.write_all(&serde_json::to_vec(receipt)?)?;
    file.sync_all()?;
    fs::rename(&part, from.join(layout::INGEST_RECEIPT))?;
    File::open(from)?.sync_all()?;
    if from == to {
        return Ok(());
    }
    let parent = to.parent().unwrap_or(to);
    fs::create_dir_all(parent)?;
    fs::rename(from, to)?;
    File::open(parent)?.sync_all()
}

fn remove_if_there(path: &Path) {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // The verification that follows will name the file.
        Err(error) => tracing::warn!("{}: {error}", path.display()),
    }
}

fn disk_full() -> Refused {
    let detail = "the fleet's disk is full; make room and the robot goes on by itself";
    Refused::new(StatusCode::INSUFFICIENT_STORAGE, code::UNAVAILABLE, detail)
}

fn disk(error: io::Error) -> Refused {
    if error.kind() == io::ErrorKind::StorageFull { disk_full() } else { Refused::internal(error) }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Refused::internal)
}
