//! What clients read: one shape for each thing, the same in lists, single reads and events.

use crate::fleet::Fleet;
use crate::model::{
    DriverRef, Episode, EpisodeState, Intervention, LeaseDoc, Mission, Owner, OwnerPart, Reached,
    RefusedReason, Robot, Settlement,
};
use crate::problems::{Refused, Result};
use protocol::dsse::Envelope;
use protocol::ids::{EpisodeId, InterventionId, LeaseId, MissionId, OwnerId, RobotId};
use protocol::keys::Did;
use protocol::lease::DriverKind;
use protocol::mission::{Checkpoint, MissionState};
use protocol::state::RobotState;
use protocol::units::{GeoPoint, WallMs};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// Newest first.
    pub(crate) items: Vec<T>,
    /// Give it as `cursor` for the next page; null on the last.
    pub(crate) next: Option<String>,
}

/// Somebody who owns robots.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OwnerView {
    /// `own_…`
    #[schema(value_type = String)]
    pub(crate) id: OwnerId,
    /// Name.
    pub(crate) name: String,
    /// Key, when the owner signs in.
    #[schema(value_type = Option<String>)]
    pub(crate) did: Option<Did>,
}

/// An owner's share of what a robot earns.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShareView {
    /// The owner.
    #[schema(value_type = String)]
    pub(crate) owner: OwnerId,
    /// Its name.
    pub(crate) name: String,
    /// Millionths.
    pub(crate) share_ppm: u32,
}

/// A robot and how it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RobotView {
    /// The word that its owner chose.
    #[schema(value_type = String)]
    pub(crate) id: RobotId,
    /// Name.
    pub(crate) name: String,
    /// Key.
    #[schema(value_type = String)]
    pub(crate) did: Did,
    /// Whether it reports, and can be driven.
    pub(crate) online: bool,
    /// Newest signed state; null when none has come since the server started.
    #[schema(value_type = Option<Object>)]
    pub(crate) state: Option<RobotState>,
    /// Age of `state`, milliseconds.
    pub(crate) age_ms: Option<u64>,
    /// Who drives it.
    pub(crate) lease: Option<LeaseView>,
    /// Who owns it.
    pub(crate) owners: Vec<ShareView>,
    /// When it was enrolled.
    #[schema(value_type = u64)]
    pub(crate) enrolled_at: WallMs,
    /// When, why and by whom it was taken out of the fleet.
    pub(crate) revoked: Option<crate::model::Revoked>,
}

/// A lease.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LeaseView {
    /// `lse_…`
    #[schema(value_type = String)]
    pub(crate) id: LeaseId,
    /// The robot.
    #[schema(value_type = String)]
    pub(crate) robot: RobotId,
    /// Who may drive.
    #[schema(value_type = String)]
    pub(crate) holder: Did,
    /// Their name.
    pub(crate) holder_name: String,
    /// `pilot` or `agent`.
    #[schema(value_type = String)]
    pub(crate) driver_kind: DriverKind,
    /// Grows by one with each lease of the robot.
    pub(crate) epoch: u64,
    /// Number of the newest copy.
    pub(crate) renewal: u32,
    /// What it is for.
    #[schema(value_type = Option<String>)]
    pub(crate) mission: Option<MissionId>,
    /// The episode that it becomes.
    #[schema(value_type = String)]
    pub(crate) episode: EpisodeId,
    /// `live` or `ended`.
    pub(crate) state: &'static str,
    /// Why it ended: `released`, `driver-gone`, `expired`, `fenced`, `taken-over`, `stopping`.
    pub(crate) why: Option<String>,
    /// Name of who took over.
    pub(crate) ended_by: Option<String>,
    /// Whether the robot has reported it.
    pub(crate) on_robot: bool,
    /// The intervention that is under way.
    #[schema(value_type = Option<String>)]
    pub(crate) intervention: Option<InterventionId>,
    /// When the newest copy was signed.
    #[schema(value_type = u64)]
    pub(crate) issued_at: WallMs,
    /// When it stops blocking the robot unless it is renewed.
    #[schema(value_type = u64)]
    pub(crate) expires_at: WallMs,
}

/// A while of a drive in which a person took over.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InterventionView {
    /// `itv_…`
    #[schema(value_type = String)]
    pub(crate) id: InterventionId,
    /// In which episode.
    #[schema(value_type = String)]
    pub(crate) episode: EpisodeId,
    /// Under which lease.
    #[schema(value_type = String)]
    pub(crate) lease: LeaseId,
    /// The robot.
    #[schema(value_type = String)]
    pub(crate) robot: RobotId,
    /// Its name.
    pub(crate) robot_name: String,
    /// The mission that was driven.
    #[schema(value_type = Option<String>)]
    pub(crate) mission: Option<MissionId>,
    /// Its name.
    pub(crate) mission_name: Option<String>,
    /// By whom.
    pub(crate) driver: DriverRef,
    /// Why, in words.
    pub(crate) cause: String,
    /// When it began.
    #[schema(value_type = u64)]
    pub(crate) started_at: WallMs,
    /// When it was over; null while it is under way.
    #[schema(value_type = Option<u64>)]
    pub(crate) ended_at: Option<WallMs>,
    /// What ended it: `driver`, or the reason that the lease ended for.
    pub(crate) ended_why: Option<String>,
}

/// A mission.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MissionView {
    /// `msn_…`
    #[schema(value_type = String)]
    pub(crate) id: MissionId,
    /// Name.
    pub(crate) name: String,
    /// The robot that does it.
    #[schema(value_type = String)]
    pub(crate) robot: RobotId,
    /// Its name.
    pub(crate) robot_name: String,
    /// Whether it can be driven now.
    pub(crate) robot_online: bool,
    /// Where to go, in order.
    #[schema(value_type = Vec<Object>)]
    pub(crate) checkpoints: Vec<Checkpoint>,
    /// Where the robot stays: polygons of `{lat_deg, lon_deg}`. Null: everywhere.
    #[schema(value_type = Option<Vec<Vec<Object>>>)]
    pub(crate) area: Option<Vec<Vec<GeoPoint>>>,
    /// Metres from the first checkpoint to the last.
    pub(crate) distance_m: f64,
    /// `draft`, `funded`, `open`, `offered`, `assigned`, `active`, `verifying`, `settled`, `cancelled`,
    /// `expired`, `failed`, `disputed`.
    #[schema(value_type = String)]
    pub(crate) state: MissionState,
    /// Credits.
    pub(crate) reward: u64,
    /// Checkpoints that were reached.
    pub(crate) reached: Vec<Reached>,
    /// The next one; null when all are reached.
    pub(crate) next_checkpoint: Option<usize>,
    /// Who drives or drove it.
    pub(crate) driver: Option<DriverRef>,
    /// Under which lease.
    #[schema(value_type = Option<String>)]
    pub(crate) lease: Option<LeaseId>,
    /// Its episode.
    #[schema(value_type = Option<String>)]
    pub(crate) episode: Option<EpisodeId>,
    /// How the reward was paid.
    pub(crate) settlement: Option<Settlement>,
    /// Why it failed or is disputed.
    pub(crate) reason: Option<String>,
    /// When it ends by itself.
    #[schema(value_type = Option<u64>)]
    pub(crate) deadline_at: Option<WallMs>,
    /// When it was made.
    #[schema(value_type = u64)]
    pub(crate) created_at: WallMs,
    /// When it changed last.
    #[schema(value_type = u64)]
    pub(crate) updated_at: WallMs,
}

/// A file of an episode.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileView {
    /// Name.
    pub(crate) name: String,
    /// Bytes that the manifest states.
    pub(crate) size: u64,
    /// Bytes that the fleet has.
    pub(crate) received: u64,
    /// SHA-256 that the manifest states.
    pub(crate) sha256: String,
}

/// An episode.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EpisodeView {
    /// `eps_…`
    #[schema(value_type = String)]
    pub(crate) id: EpisodeId,
    /// The robot.
    #[schema(value_type = String)]
    pub(crate) robot: RobotId,
    /// The mission.
    #[schema(value_type = Option<String>)]
    pub(crate) mission: Option<MissionId>,
    /// Its name.
    pub(crate) mission_name: Option<String>,
    /// Who drove.
    pub(crate) driver: DriverRef,
    /// Under which lease.
    #[schema(value_type = String)]
    pub(crate) lease: LeaseId,
    /// Its epoch.
    pub(crate) epoch: u64,
    /// How far it is.
    pub(crate) state: EpisodeState,
    /// Why it was refused.
    pub(crate) reason: Option<RefusedReason>,
    /// What the fleet's verification found, check by check.
    #[schema(value_type = Option<Object>)]
    pub(crate) verification: Option<serde_json::Value>,
    /// When recording began.
    #[schema(value_type = u64)]
    pub(crate) started_at: WallMs,
    /// When it ended.
    #[schema(value_type = Option<u64>)]
    pub(crate) ended_at: Option<WallMs>,
    /// Length.
    pub(crate) duration_s: Option<f64>,
    /// Way driven, by odometry.
    pub(crate) distance_m: Option<f64>,
    /// Bytes of all files.
    pub(crate) size_bytes: u64,
    /// Its files.
    pub(crate) files: Vec<FileView>,
    /// What the driver earned with it.
    pub(crate) earned: Option<u64>,
    /// How the mission's reward was paid.
    pub(crate) settlement: Option<Settlement>,
    /// When the fleet accepted it.
    #[schema(value_type = Option<u64>)]
    pub(crate) accepted_at: Option<WallMs>,
    /// The fleet's signed word that it has the episode whole.
    #[schema(value_type = Option<Object>)]
    pub(crate) receipt: Option<Envelope>,
}

/// A lease as clients see it.
pub(crate) fn lease(doc: &LeaseDoc) -> LeaseView {
    let lease = &doc.lease;
    LeaseView {
        id: doc.id,
        robot: lease.robot.clone(),
        holder: lease.holder,
        holder_name: doc.holder_name.clone(),
        driver_kind: lease.driver_kind,
        epoch: lease.epoch,
        renewal: lease.renewal,
        mission: lease.mission.as_ref().map(|mission| mission.id),
        episode: doc.id.into(),
        state: if doc.ended.is_some() { "ended" } else { "live" },
        why: doc.ended.as_ref().map(|ended| ended.why.clone()),
        ended_by: doc.ended.as_ref().and_then(|ended| ended.by.as_ref()).map(|by| by.name.clone()),
        on_robot: doc.on_robot,
        intervention: doc.intervention,
        issued_at: lease.issued_at,
        expires_at: doc.until,
    }
}

/// The lease with this id.
pub(crate) async fn lease_by_id(fleet: &Fleet, id: &LeaseId) -> Result<LeaseView> {
    let doc = fleet.read::<LeaseDoc>(&id.to_string()).await?;
    doc.as_ref().map(lease).ok_or_else(|| Refused::not_found("lease"))
}

/// The robot with this id.
pub(crate) async fn robot(fleet: &Fleet, id: &RobotId) -> Result<RobotView> {
    let robot = fleet.read::<Robot>(id.as_str()).await?;
    robot_of(fleet, robot.ok_or_else(|| Refused::not_found("robot"))?).await
}

/// A robot as clients see it.
pub(crate) async fn robot_of(fleet: &Fleet, robot: Robot) -> Result<RobotView> {
    let live = fleet.live.with(&robot.id, |live| {
        let state = live.state().map(|(state, age_ms)| (state.clone(), age_ms));
        (live.is_online(), state, live.lease.as_ref().map(|lease| lease.id))
    });
    let (online, state, lease_id) = live.unwrap_or_default();
    let (state, age_ms) = state.unzip();
    let lease = match lease_id {
        Some(id) => fleet.read::<LeaseDoc>(&id.to_string()).await?.as_ref().map(lease),
        None => None,
    };
    let mut owners = Vec::new();
    for share in &robot.owners {
        let owner = fleet.read::<Owner>(&share.owner.to_string()).await?;
        owners.push(ShareView {
            owner: share.owner,
            name: owner.map(|owner| owner.name).unwrap_or_default(),
            share_ppm: share.share_ppm,
        });
    }
    let Robot { id, name, did, enrolled_at, revoked, .. } = robot;
    Ok(RobotView { id, name, did, online, state, age_ms, lease, owners, enrolled_at, revoked })
}

/// An intervention as clients see it.
pub(crate) async fn intervention_of(fleet: &Fleet, one: Intervention) -> Result<InterventionView> {
    let robot = fleet.read::<Robot>(one.robot.as_str()).await?;
    Ok(InterventionView {
        id: one.id,
        episode: one.lease.into(),
        lease: one.lease,
        robot_name: robot.map_or_else(|| one.robot.to_string(), |robot| robot.name),
        robot: one.robot,
        mission: one.mission,
        mission_name: one.mission_name,
        driver: one.driver,
        cause: one.cause,
        started_at: one.started_at,
        ended_at: one.ended.as_ref().map(|ended| ended.at),
        ended_why: one.ended.map(|ended| ended.why),
    })
}

/// The mission with this id.
pub(crate) async fn mission_by_id(fleet: &Fleet, id: &MissionId) -> Result<MissionView> {
    let mission = fleet.read::<Mission>(&id.to_string()).await?;
    mission_of(fleet, mission.ok_or_else(|| Refused::not_found("mission"))?).await
}

/// A mission as clients see it.
pub(crate) async fn mission_of(fleet: &Fleet, mission: Mission) -> Result<MissionView> {
    let robot = fleet.read::<Robot>(mission.robot.as_str()).await?;
    let next = mission.reached.len();
    Ok(MissionView {
        robot_name: robot.map_or_else(|| mission.robot.to_string(), |robot| robot.name),
        robot_online: fleet.live.with(&mission.robot, |live| live.is_online()).unwrap_or(false),
        distance_m: fleet_core::registry::path_m(&mission.checkpoints),
        next_checkpoint: (next < mission.checkpoints.len()).then_some(next),
        id: mission.id,
        name: mission.name,
        robot: mission.robot,
        checkpoints: mission.checkpoints,
        area: mission.area,
        state: mission.state,
        reward: mission.reward,
        reached: mission.reached,
        driver: mission.driver,
        lease: mission.lease,
        episode: mission.episode,
        settlement: mission.settlement,
        reason: mission.reason,
        deadline_at: mission.deadline_at,
        created_at: mission.created_at,
        updated_at: mission.updated_at,
    })
}

/// The episode with this id.
pub(crate) async fn episode_by_id(fleet: &Fleet, id: &EpisodeId) -> Result<EpisodeView> {
    let episode = fleet.read::<Episode>(&id.to_string()).await?;
    episode_of(fleet, episode.ok_or_else(|| Refused::not_found("episode"))?).await
}

/// An episode as clients see it.
pub(crate) async fn episode_of(fleet: &Fleet, episode: Episode) -> Result<EpisodeView> {
    let mission = match &episode.mission {
        Some(id) => fleet.read::<Mission>(&id.to_string()).await?,
        None => None,
    };
    let paid_for_this = mission.filter(|mission| mission.episode == Some(episode.id));
    let settlement = paid_for_this.and_then(|mission| mission.settlement);
    let received = crate::ingest::received(fleet, &episode).await;
    let file = |file: &crate::model::EpisodeFile| FileView {
        name: file.name.clone(),
        size: file.size,
        received: received.get(&file.name).copied().unwrap_or(0),
        sha256: file.sha256.clone(),
    };
    Ok(EpisodeView {
        size_bytes: episode.files.iter().fold(0, |sum, file| sum.saturating_add(file.size)),
        files: episode.files.iter().map(file).collect(),
        earned: settlement.as_ref().map(|settlement| settlement.pilot),
        settlement,
        id: episode.id,
        robot: episode.robot,
        mission: episode.mission,
        mission_name: episode.mission_name,
        driver: episode.driver,
        lease: episode.lease,
        epoch: episode.epoch,
        state: episode.state,
        reason: episode.reason,
        verification: episode.verification,
        started_at: episode.started_at,
        ended_at: episode.ended_at,
        duration_s: episode.duration_s,
        distance_m: episode.distance_m,
        accepted_at: episode.accepted_at,
        receipt: episode.receipt,
    })
}

/// Bytes that the fleet has of each file.
pub(crate) type Received = BTreeMap<String, u64>;

/// The owners' parts of a reward, with their names.
pub(crate) async fn owner_parts(fleet: &Fleet, parts: &[(OwnerId, u64)]) -> Result<Vec<OwnerPart>> {
    let mut named = Vec::new();
    for (owner, amount) in parts {
        let doc = fleet.read::<Owner>(&owner.to_string()).await?;
        let name = doc.map(|owner| owner.name).unwrap_or_default();
        named.push(OwnerPart { owner: *owner, name, amount: *amount });
    }
    Ok(named)
}
