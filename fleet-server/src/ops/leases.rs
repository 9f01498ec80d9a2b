//! Leases: granting, renewing, ending, and what each means for mission and episode.

use crate::events::Changed;
use crate::fleet::{Fleet, read_all};
use crate::live::{LiveLease, LiveMission, Step};
use crate::model::{
    DriverRef, Ended, Episode, EpisodeState, LeaseDoc, LeasePage, Mission, Principal, Reached,
    Robot,
};
use crate::ops::credentials::require_owner;
use crate::ops::interventions;
use crate::ops::missions::{advance, save};
use crate::ops::settings;
use crate::problems::{Refused, Result};
use crate::txn::Txn;
use axum::http::StatusCode;
use fleet_core::arrival::Arrival;
use fleet_core::mission::{Event, is_driven};
use fleet_core::registry;
use protocol::api::{LeaseGrant, LeaseOrder, Role};
use protocol::dsse::{Envelope, payload_type};
use protocol::ids::{LeaseId, MissionId, RobotId};
use protocol::keys::Did;
use protocol::lease::{DriverKind, Lease, LeaseLimits, LeaseMission, TTL_MS};
use protocol::problem::code;
use protocol::units::WallMs;
use uuid::Uuid;

/// Grants a lease: one driver per robot, the next epoch, stored before it is handed out.
pub(crate) async fn grant(
    tx: &mut Txn<'_>,
    caller: &Principal,
    order: LeaseOrder,
) -> Result<LeaseGrant> {
    let mission = match order.mission {
        Some(id) => Some(tx.need::<Mission>(id, "mission").await?),
        None => None,
    };
    let robot = robot_of(&order, mission.as_ref())?;
    let robot = tx.need::<Robot>(&robot, "robot").await?;
    if robot.revoked.is_some() {
        return Err(crate::ops::credentials::revoked(&robot));
    }
    require_online(tx, &robot)?;
    let kind = if caller.role == Role::Agent { DriverKind::Agent } else { DriverKind::Pilot };
    let owner_mmps = settings::require_allowed(tx, &robot, &caller.did, kind).await?;
    let speed_mps_max = tx.fleet.config.speed_mps_max;
    let speed_mps_max = owner_mmps.map_or(speed_mps_max, |m| speed_mps_max.min(f64::from(m) / 1e3));
    let id = LeaseId::new(Uuid::now_v7());
    let mut page = page_of(tx, &robot.id).await?;
    if let Some(expired) = page.page.expired(tx.now).map(|live| live.id) {
        page.page.end(expired);
        end_doc(tx, expired, "expired").await?;
    }
    if order.takeover {
        require_supervisor(caller, &robot)?;
    }
    let live = page.page.live(tx.now).copied();
    let from_another = live.is_some_and(|live| live.holder != caller.did) && order.takeover;
    let granted = if from_another {
        page.page.take_over(id, caller.did, tx.now, TTL_MS)
    } else {
        page.page.grant(id, caller.did, tx.now, TTL_MS)?
    };
    // The lease before ends first, so that the mission that it held is free again.
    if let Some(fenced) = granted.fenced {
        let by = from_another.then(|| DriverRef { did: caller.did, name: caller.name.clone() });
        if let Some(by) = &by {
            tracing::warn!(robot = %robot.id, by = by.name, lease = %fenced, "a drive is taken over");
        }
        let why = if from_another { "taken-over" } else { "fenced" };
        end_doc_by(tx, fenced, why, by).await?;
    }
    let mut mission = match mission {
        Some(mission) => Some(tx.need::<Mission>(mission.id, "mission").await?),
        None => None,
    };
    if let Some(mission) = &mut mission {
        advance(tx, mission, Event::Assign)?;
        mission.lease = Some(id);
        mission.driver = Some(DriverRef { did: caller.did, name: caller.name.clone() });
        mission.episode = Some(id.into());
        mission.reached.clear();
        save(tx, mission)?;
    }
    let lease = Lease {
        v: 1,
        lease_id: id,
        robot: robot.id.clone(),
        robot_did: robot.did,
        holder: caller.did,
        relay: order.relay,
        driver_kind: kind,
        epoch: granted.epoch,
        renewal: 0,
        issued_at: tx.now,
        ttl_ms: TTL_MS,
        limits: LeaseLimits { speed_mps_max },
        mission: mission.map(|mission| LeaseMission {
            id: mission.id,
            name: mission.name,
            checkpoints: mission.checkpoints,
            area: mission.area.as_deref().and_then(registry::corners),
        }),
    };
    let until = page.page.live.map_or(tx.now, |live| live.until);
    let holder_name = caller.name.clone();
    let doc = LeaseDoc {
        id,
        lease,
        holder_name,
        until,
        on_robot: false,
        ended: None,
        intervention: None,
        interventions: 0,
    };
    tx.put(&page)?;
    store(tx, &doc)?;
    tx.changed(Changed::Robot(robot.id));
    sign(tx.fleet, &doc.lease)
}

/// Signs the next copy.
pub(crate) async fn renew(tx: &mut Txn<'_>, id: LeaseId, holder: &Did) -> Result<LeaseGrant> {
    let mut doc = tx.need::<LeaseDoc>(id, "lease").await?;
    let mut page = page_of(tx, &doc.lease.robot).await?;
    doc.lease.renewal = page.page.renew(id, holder, tx.now, TTL_MS)?;
    doc.lease.issued_at = tx.now;
    doc.until = page.page.live.map_or(tx.now, |live| live.until);
    tx.put(&page)?;
    tx.put(&doc)?;
    let (robot, until) = (doc.lease.robot.clone(), doc.until);
    tx.then(move |fleet| {
        fleet.live.with(&robot, |live| {
            if let Some(lease) = live.lease.as_mut().filter(|lease| lease.id == id) {
                lease.until = until;
            }
        });
    });
    sign(tx.fleet, &doc.lease)
}

/// Ends a lease. Ending twice is no mistake.
pub(crate) async fn end(tx: &mut Txn<'_>, id: LeaseId, why: &str) -> Result<()> {
    let doc = tx.need::<LeaseDoc>(id, "lease").await?;
    let mut page = page_of(tx, &doc.lease.robot).await?;
    if page.page.end(id) {
        tx.put(&page)?;
    }
    end_doc(tx, id, why).await
}

/// What a robot's state means for lease, mission and episode.
pub(crate) async fn step(tx: &mut Txn<'_>, step: &Step) -> Result<()> {
    match step {
        Step::Started(lease) => started(tx, *lease).await,
        Step::Reached { lease, mission, index } => reached(tx, *lease, *mission, *index).await,
        Step::Ended { lease, why } => end(tx, *lease, why).await,
    }
}

/// The robot reports the lease: the drive is under way and its episode is being recorded.
async fn started(tx: &mut Txn<'_>, id: LeaseId) -> Result<()> {
    let mut doc = tx.need::<LeaseDoc>(id, "lease").await?;
    if doc.on_robot || doc.ended.is_some() {
        return Ok(());
    }
    doc.on_robot = true;
    tx.put(&doc)?;
    tx.changed(Changed::Lease(id));
    if let Some(mission) = &doc.lease.mission
        && let Some(mut mission) = tx.get::<Mission>(mission.id).await?
        && mission.lease == Some(id)
    {
        advance(tx, &mut mission, Event::Start)?;
        save(tx, &mission)?;
    }
    let episode = recording(&doc, tx.now);
    if tx.get::<Episode>(episode.id).await?.is_none() {
        tx.put(&episode)?;
        tx.changed(Changed::Episode(episode.id));
    }
    Ok(())
}

async fn reached(tx: &mut Txn<'_>, lease: LeaseId, id: MissionId, index: usize) -> Result<()> {
    let mut mission = tx.need::<Mission>(id, "mission").await?;
    if mission.lease != Some(lease) || mission.reached.len() != index {
        return Ok(());
    }
    mission.reached.push(Reached { index, at: tx.now });
    mission.updated_at = tx.now;
    if mission.reached.len() == mission.checkpoints.len() {
        advance(tx, &mut mission, Event::AllReached)?;
    }
    save(tx, &mission)
}

/// An episode as it begins.
pub(crate) fn recording(doc: &LeaseDoc, now: WallMs) -> Episode {
    let mission = doc.lease.mission.as_ref();
    Episode {
        id: doc.id.into(),
        robot: doc.lease.robot.clone(),
        lease: doc.id,
        epoch: doc.lease.epoch,
        mission: mission.map(|mission| mission.id),
        mission_name: mission.map(|mission| mission.name.clone()),
        driver: DriverRef { did: doc.lease.holder, name: doc.holder_name.clone() },
        state: EpisodeState::Recording,
        reason: None,
        verification: None,
        started_at: now,
        ended_at: None,
        duration_s: None,
        distance_m: None,
        files: Vec::new(),
        manifest_sha256: None,
        accepted_at: None,
        receipt: None,
    }
}

/// Writes down that a lease has ended, gives its mission back, and frees the robot.
async fn end_doc(tx: &mut Txn<'_>, id: LeaseId, why: &str) -> Result<()> {
    end_doc_by(tx, id, why, None).await
}

/// The same, by whoever took over.
async fn end_doc_by(tx: &mut Txn<'_>, id: LeaseId, why: &str, by: Option<DriverRef>) -> Result<()> {
    let mut doc = tx.need::<LeaseDoc>(id, "lease").await?;
    if doc.ended.is_some() {
        return Ok(());
    }
    doc.ended = Some(Ended { why: why.to_owned(), at: tx.now, by });
    interventions::end_with_lease(tx, &mut doc, why).await?;
    let robot = doc.lease.robot.clone();
    if let Some(mission) = &doc.lease.mission
        && let Some(mut mission) = tx.get::<Mission>(mission.id).await?
        && mission.lease == Some(id)
        && is_driven(mission.state)
    {
        advance(tx, &mut mission, Event::LeaseEnded)?;
        (mission.lease, mission.driver, mission.episode) = (None, None, None);
        mission.reached.clear();
        save(tx, &mission)?;
    }
    if let Some(mut episode) = tx.get::<Episode>(protocol::ids::EpisodeId::from(id)).await?
        && episode.state == EpisodeState::Recording
    {
        episode.state = EpisodeState::Uploading;
        episode.ended_at = Some(tx.now);
        tx.put(&episode)?;
        tx.changed(Changed::Episode(episode.id));
    }
    tx.put(&doc)?;
    tx.changed(Changed::Lease(id));
    tx.changed(Changed::Robot(robot.clone()));
    tx.then(move |fleet| {
        fleet.live.with(&robot, |live| live.lease.take_if(|lease| lease.id == id));
    });
    Ok(())
}

/// Puts a new lease into the store and before the eyes of the state tracker.
fn store(tx: &mut Txn<'_>, doc: &LeaseDoc) -> Result<()> {
    tx.put(doc)?;
    tx.changed(Changed::Lease(doc.id));
    let (robot, live_lease) = (doc.lease.robot.clone(), live_lease(doc, 0));
    tx.then(move |fleet| {
        fleet.live.with(&robot, |live| live.lease = Some(live_lease));
    });
    Ok(())
}

fn live_lease(doc: &LeaseDoc, reached: usize) -> LiveLease {
    LiveLease {
        id: doc.id,
        until: doc.until,
        on_robot: doc.on_robot,
        mission: doc.lease.mission.as_ref().map(|mission| LiveMission {
            id: mission.id,
            checkpoints: mission.checkpoints.clone(),
            arrival: Arrival::resumed(reached),
        }),
    }
}

/// After a start: the leases that are live go on where they were.
pub(crate) async fn restore(fleet: &Fleet) -> Result<()> {
    let pages = read_all::<LeasePage>(&*fleet.store).await.map_err(Refused::internal)?;
    for page in pages {
        restore_robot(fleet, &page.robot).await?;
    }
    Ok(())
}

/// Reads again what a robot's live lease is.
pub(crate) async fn restore_robot(fleet: &Fleet, robot: &RobotId) -> Result<()> {
    let page = fleet.read::<LeasePage>(robot.as_str()).await?;
    let mut lease = None;
    if let Some(live) = page.and_then(|page| page.page.live)
        && let Some(doc) = fleet.read::<LeaseDoc>(&live.id.to_string()).await?
    {
        let mut restored = live_lease(&doc, 0);
        if let Some(live_mission) = &mut restored.mission {
            let mission = fleet.read::<Mission>(&live_mission.id.to_string()).await?;
            match mission.filter(|m| m.lease == Some(live.id) && is_driven(m.state)) {
                Some(mission) => live_mission.arrival = Arrival::resumed(mission.reached.len()),
                None => restored.mission = None,
            }
        }
        lease = Some(restored);
    }
    fleet.live.with(robot, |live| live.lease = lease);
    Ok(())
}

fn robot_of(order: &LeaseOrder, mission: Option<&Mission>) -> Result<RobotId> {
    match (&order.robot, mission) {
        (Some(robot), Some(mission)) if *robot != mission.robot => {
            Err(Refused::bad_request(format!("the mission is for the robot {}", mission.robot)))
        }
        (Some(robot), _) => Ok(robot.clone()),
        (None, Some(mission)) => Ok(mission.robot.clone()),
        (None, None) => Err(Refused::bad_request("name a robot, a mission, or both")),
    }
}

/// Who may take a robot from its driver.
fn require_supervisor(caller: &Principal, robot: &Robot) -> Result<()> {
    require_owner(caller, robot).map_err(|_not_theirs| {
        Refused::forbidden(format!(
            "only an operator or an owner of {} may take it over from its driver",
            robot.name
        ))
    })
}

fn require_online(tx: &Txn<'_>, robot: &Robot) -> Result<()> {
    if tx.fleet.live.with(&robot.id, |live| live.is_online()).unwrap_or(false) {
        return Ok(());
    }
    let detail =
        format!("{} does not report; is its robot-agent running and connected?", robot.name);
    Err(Refused::new(StatusCode::CONFLICT, code::ROBOT_OFFLINE, detail))
}

async fn page_of(tx: &mut Txn<'_>, robot: &RobotId) -> Result<LeasePage> {
    let page = tx.get::<LeasePage>(robot).await?;
    Ok(page.unwrap_or_else(|| LeasePage { robot: robot.clone(), page: Default::default() }))
}

fn sign(fleet: &Fleet, lease: &Lease) -> Result<LeaseGrant> {
    Ok(LeaseGrant { lease: Envelope::sign(payload_type::LEASE, lease, &fleet.key)? })
}
