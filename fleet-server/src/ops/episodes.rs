//! What the store learns of an episode while it is uploaded, refused or accepted.

use crate::events::Changed;
use crate::model::{
    ChainLink, Episode, EpisodeFile, EpisodeState, LeaseDoc, Mission, RefusedReason, Robot,
};
use crate::ops::{leases, missions};
use crate::problems::{Refused, Result};
use crate::txn::Txn;
use axum::http::StatusCode;
use episode::Manifest;
use fleet_core::mission::{Event, next};
use protocol::dsse::Envelope;
use protocol::ids::EpisodeId;
use protocol::lease::VerifiedLease;
use protocol::problem::code;
use serde_json::{Value, json};

/// The robot has sealed an episode and begins to upload it. A sealed episode's lease has ended.
pub(crate) async fn begin(tx: &mut Txn<'_>, manifest: &Manifest, sha256: &str) -> Result<Episode> {
    let lease = check_lease(tx, manifest).await?;
    if lease.ended.is_none() {
        leases::end(tx, lease.id, &manifest.ended_why).await?;
    }
    let known = tx.get::<Episode>(manifest.episode).await?;
    let mut episode = known.unwrap_or_else(|| leases::recording(&lease, manifest.started_at));
    if episode.state == EpisodeState::Accepted {
        let detail = "the fleet has this episode already, with another manifest";
        let same = episode.manifest_sha256.as_deref() == Some(sha256);
        return if same { Ok(episode) } else { Err(Refused::conflict(detail)) };
    }
    episode.state = EpisodeState::Uploading;
    (episode.reason, episode.verification) = (None, None);
    (episode.started_at, episode.ended_at) = (manifest.started_at, Some(manifest.ended_at));
    let ms = manifest.ended_at.0.saturating_sub(manifest.started_at.0);
    episode.duration_s = Some(std::time::Duration::from_millis(ms).as_secs_f64());
    episode.manifest_sha256 = Some(sha256.to_owned());
    let file = |file: &episode::manifest::FileEntry| EpisodeFile {
        name: file.name.clone(),
        size: file.size,
        sha256: file.sha256.clone(),
    };
    episode.files = manifest.files.iter().map(file).collect();
    put(tx, &episode)?;
    Ok(episode)
}

/// The lease in a manifest must be one that this fleet gave out, for this robot, epoch and driver.
async fn check_lease(tx: &mut Txn<'_>, manifest: &Manifest) -> Result<LeaseDoc> {
    let refuse = |detail: &str| not_verified(detail, None);
    let verified = VerifiedLease::verify(manifest.lease.clone(), &tx.fleet.did)
        .map_err(|error| refuse(&format!("the lease in the manifest: {error}")))?;
    let signed = verified.lease();
    let known = tx.get::<LeaseDoc>(signed.lease_id).await?;
    let known = known.ok_or_else(|| refuse("this fleet knows no such lease"))?;
    let lease = &known.lease;
    let same = lease.robot == signed.robot
        && lease.robot_did == signed.robot_did
        && lease.epoch == signed.epoch
        && lease.holder == signed.holder;
    if same { Ok(known) } else { Err(refuse("the lease is not the one that this fleet gave out")) }
}

/// The episode does not verify. Its mission waits for somebody to decide.
pub(crate) async fn refuse(tx: &mut Txn<'_>, id: EpisodeId, reason: &RefusedReason) -> Result<()> {
    let mut episode = tx.need::<Episode>(id, "episode").await?;
    episode.state = EpisodeState::Refused;
    episode.reason = Some(reason.clone());
    if let Some(mut mission) = mission_of(tx, &episode).await?
        && next(mission.state, Event::Dispute).is_some()
    {
        missions::advance(tx, &mut mission, Event::Dispute)?;
        mission.reason = Some(format!("its episode was refused: {}", reason.detail));
        missions::save(tx, &mission)?;
    }
    put(tx, &episode)
}

/// The episode is verified and kept: link it to the robot's chain, settle its mission.
pub(crate) async fn accept(
    tx: &mut Txn<'_>,
    manifest: &Manifest,
    mut report: Value,
    receipt: Envelope,
) -> Result<Episode> {
    let mut episode = tx.need::<Episode>(manifest.episode, "episode").await?;
    let sha256 = episode.manifest_sha256.clone().unwrap_or_default();
    let chain = link(tx, manifest, &sha256).await?;
    if let Some(members) = report.as_object_mut() {
        members.insert("chain".into(), chain);
    }
    episode.state = EpisodeState::Accepted;
    episode.reason = None;
    episode.accepted_at = Some(tx.now);
    episode.receipt = Some(receipt);
    episode.distance_m = report.pointer("/summary/distance_m").and_then(Value::as_f64);
    let duration_s = report.pointer("/summary/duration_s").and_then(Value::as_f64);
    episode.duration_s = duration_s.or(episode.duration_s);
    episode.verification = Some(report);
    if let Some(mission) = mission_of(tx, &episode).await?
        && next(mission.state, Event::Settle).is_some()
    {
        missions::settle(tx, mission).await?;
    }
    put(tx, &episode)?;
    Ok(episode)
}

/// Judges where a manifest stands in its robot's chain, and notes it. A gap is told; a fork is refused.
async fn link(tx: &mut Txn<'_>, manifest: &Manifest, sha256: &str) -> Result<Value> {
    let robot_did = &manifest.robot_did;
    let previous = manifest.previous_manifest_sha256.as_deref();
    let after = ChainLink::after(robot_did, previous);
    let mut robot = tx.need::<Robot>(&manifest.robot, "robot").await?;
    if let Some(other) =
        tx.get::<ChainLink>(&after).await?.filter(|l| l.episode != manifest.episode)
    {
        let detail = format!(
            "its manifest follows {}, but so does the accepted episode {}; the newest accepted manifest is {}",
            previous.unwrap_or("none"),
            other.episode,
            robot.manifest_head.as_deref().unwrap_or("none"),
        );
        return Err(not_verified(&detail, None));
    }
    let chain = match previous {
        _ if robot.manifest_head.as_deref() == previous => {
            json!({"status": "linked", "detail": "follows the robot's newest accepted episode"})
        }
        Some(previous)
            if tx.get::<ChainLink>(ChainLink::manifest(robot_did, previous)).await?.is_some() =>
        {
            json!({"status": "linked", "detail": "follows an accepted episode; later ones came first"})
        }
        _ => json!({
            "status": "gap",
            "detail": "follows an episode that the fleet has not accepted",
            "previous": previous,
            "newest_accepted": robot.manifest_head,
        }),
    };
    robot.manifest_head = Some(sha256.to_owned());
    tx.put(&robot)?;
    tx.put(&ChainLink { key: after, episode: manifest.episode })?;
    let key = ChainLink::manifest(robot_did, sha256);
    tx.put(&ChainLink { key, episode: manifest.episode })?;
    Ok(chain)
}

/// The mission that the episode was driven for, if it still is that drive's.
async fn mission_of(tx: &mut Txn<'_>, episode: &Episode) -> Result<Option<Mission>> {
    let Some(id) = episode.mission else { return Ok(None) };
    let mission = tx.get::<Mission>(id).await?;
    Ok(mission.filter(|mission| mission.lease == Some(episode.lease)))
}

fn put(tx: &mut Txn<'_>, episode: &Episode) -> Result<()> {
    tx.put(episode)?;
    tx.changed(Changed::Episode(episode.id));
    Ok(())
}

/// 422: the episode does not verify, and where.
pub(crate) fn not_verified(detail: &str, reason: Option<&RefusedReason>) -> Refused {
    let refused = Refused::new(StatusCode::UNPROCESSABLE_ENTITY, code::NOT_VERIFIED, detail);
    match reason {
        None => refused,
        Some(reason) => refused
            .with("file", json!(reason.file))
            .with("from", json!(reason.from))
            .with("to", json!(reason.to)),
    }
}
