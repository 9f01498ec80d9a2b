//! Missions and their money. Every change of state goes through the table in `fleet_core::mission`.

use crate::events::Changed;
use crate::model::{Deadline, DriverRef, Mission, Robot, Settlement};
use crate::problems::{Refused, Result};
use crate::txn::Txn;
use crate::views::owner_parts;
use fleet_core::account::Account;
use fleet_core::ledger::{Kind, Leg, Transfer};
use fleet_core::mission::{self, Event};
use fleet_core::{registry, split};
use protocol::ids::{MissionId, RobotId};
use protocol::mission::{Checkpoint, MissionState};
use protocol::units::{GeoPoint, WallMs};

/// What a mission is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewMission {
    pub(crate) id: MissionId,
    pub(crate) name: String,
    pub(crate) robot: RobotId,
    pub(crate) checkpoints: Vec<Checkpoint>,
    pub(crate) area: Option<Vec<Vec<GeoPoint>>>,
    pub(crate) reward: u64,
    pub(crate) deadline_at: Option<WallMs>,
}

/// Writes a mission down. The same mission again is the same answer.
pub(crate) async fn create(tx: &mut Txn<'_>, new: NewMission) -> Result<Mission> {
    registry::check_mission(&new.name, &new.checkpoints, new.area.as_deref(), new.reward)?;
    tx.need::<Robot>(&new.robot, "robot").await?;
    if let Some(made) = tx.get::<Mission>(new.id).await? {
        let same = made.name == new.name
            && made.robot == new.robot
            && made.checkpoints == new.checkpoints
            && made.area == new.area
            && made.reward == new.reward
            && made.deadline_at == new.deadline_at;
        let detail = "this mission id was used for another mission; choose a new one";
        return if same { Ok(made) } else { Err(Refused::conflict(detail)) };
    }
    if new.deadline_at.is_some_and(|deadline| deadline <= tx.now) {
        return Err(Refused::bad_request("deadline_at is in the past (it is ms since 1970, UTC)"));
    }
    let mission = Mission {
        id: new.id,
        name: new.name,
        robot: new.robot,
        checkpoints: new.checkpoints,
        area: new.area,
        reward: new.reward,
        deadline_at: new.deadline_at,
        state: MissionState::Draft,
        reached: Vec::new(),
        lease: None,
        driver: None,
        episode: None,
        settlement: None,
        reason: None,
        created_at: tx.now,
        updated_at: tx.now,
    };
    if let Some(deadline) = mission.deadline_at {
        tx.put(&Deadline::new(deadline, mission.id))?;
    }
    save(tx, &mission)?;
    Ok(mission)
}

/// Puts the reward into escrow.
pub(crate) async fn fund(tx: &mut Txn<'_>, id: MissionId) -> Result<Mission> {
    let mut mission = tx.need::<Mission>(id, "mission").await?;
    if mission.state == MissionState::Funded {
        return Ok(mission);
    }
    advance(tx, &mut mission, Event::Fund)?;
    let escrow = Account::Escrow(id);
    let legs = vec![Leg { from: Account::Operator, to: escrow, amount: mission.reward }];
    transfer(tx, &mission, Kind::Fund, legs)?;
    save(tx, &mission)?;
    Ok(mission)
}

/// Puts it on the board.
pub(crate) async fn open(tx: &mut Txn<'_>, id: MissionId) -> Result<Mission> {
    let mut mission = tx.need::<Mission>(id, "mission").await?;
    if mission.state == MissionState::Open {
        return Ok(mission);
    }
    advance(tx, &mut mission, Event::Open)?;
    save(tx, &mission)?;
    Ok(mission)
}

/// Takes it back. A mission that waits for its episode, or is disputed, fails instead: it was driven.
pub(crate) async fn cancel(tx: &mut Txn<'_>, id: MissionId) -> Result<Mission> {
    let mission = tx.need::<Mission>(id, "mission").await?;
    match mission.state {
        MissionState::Cancelled => Ok(mission),
        MissionState::Verifying | MissionState::Disputed => {
            end_unpaid(tx, mission, Event::Fail, Some("ended by the operator")).await
        }
        _ => end_unpaid(tx, mission, Event::Cancel, None).await,
    }
}

/// Its deadline passed.
pub(crate) async fn expire(tx: &mut Txn<'_>, id: MissionId) -> Result<()> {
    let Some(mission) = tx.get::<Mission>(id).await? else { return Ok(()) };
    if mission::next(mission.state, Event::Expire).is_some() {
        end_unpaid(tx, mission, Event::Expire, None).await?;
    } else if let Some(deadline) = mission.deadline_at {
        tx.remove(&Deadline::new(deadline, id));
    }
    Ok(())
}

/// Ends a mission and gives the reward back.
async fn end_unpaid(
    tx: &mut Txn<'_>,
    mut mission: Mission,
    event: Event,
    reason: Option<&str>,
) -> Result<Mission> {
    let funded = mission::has_escrow(mission.state);
    let driven = mission::is_driven(mission.state);
    advance(tx, &mut mission, event)?;
    if funded {
        let escrow = Account::Escrow(mission.id);
        let legs = vec![Leg { from: escrow, to: Account::Operator, amount: mission.reward }];
        transfer(tx, &mission, Kind::Void, legs)?;
    }
    if let Some(deadline) = mission.deadline_at {
        tx.remove(&Deadline::new(deadline, mission.id));
    }
    if driven {
        let robot = mission.robot.clone();
        tx.then(move |fleet| {
            fleet.live.with(&robot, |live| {
                if let Some(lease) = &mut live.lease {
                    lease.mission = None;
                }
            });
        });
    }
    mission.reason = reason.map(str::to_owned);
    save(tx, &mission)?;
    Ok(mission)
}

/// Pays the reward to driver, owners and operator.
pub(crate) async fn settle(tx: &mut Txn<'_>, mut mission: Mission) -> Result<Mission> {
    let driver: DriverRef = mission
        .driver
        .clone()
        .ok_or_else(|| Refused::internal("a driven mission without driver"))?;
    let robot = tx.need::<Robot>(&mission.robot, "robot").await?;
    let parts = split::reward(mission.reward, &tx.fleet.config.reward_split, &robot.owners);
    let escrow = Account::Escrow(mission.id);
    let mut legs = vec![
        Leg { from: escrow, to: Account::Pilot(driver.did), amount: parts.pilot },
        Leg { from: escrow, to: Account::Operator, amount: parts.operator },
    ];
    let owners = parts.owners.iter();
    legs.extend(owners.map(|(owner, amount)| Leg {
        from: escrow,
        to: Account::Owner(*owner),
        amount: *amount,
    }));
    legs.retain(|leg| leg.amount > 0);
    advance(tx, &mut mission, Event::Settle)?;
    let id = transfer(tx, &mission, Kind::Settle, legs)?;
    if let Some(deadline) = mission.deadline_at {
        tx.remove(&Deadline::new(deadline, mission.id));
    }
    mission.settlement = Some(Settlement {
        pilot: parts.pilot,
        owners: owner_parts(tx.fleet, &parts.owners).await?,
        operator: parts.operator,
        transfer: id,
        at: tx.now,
    });
    mission.reason = None;
    save(tx, &mission)?;
    Ok(mission)
}

/// Follows the table, or says that it does not allow it.
pub(crate) fn advance(tx: &Txn<'_>, mission: &mut Mission, event: Event) -> Result<()> {
    let to = mission::next(mission.state, event).ok_or_else(|| {
        let words = |text: String| text.to_lowercase();
        Refused::wrong_state(format!(
            "the mission is {}: '{}' is not possible",
            words(format!("{:?}", mission.state)),
            words(format!("{event:?}")),
        ))
        .with("state", words(format!("{:?}", mission.state)))
    })?;
    mission.state = to;
    mission.updated_at = tx.now;
    Ok(())
}

/// Writes a mission and tells everybody.
pub(crate) fn save(tx: &mut Txn<'_>, mission: &Mission) -> Result<()> {
    tx.put(mission)?;
    tx.changed(Changed::Mission(mission.id));
    Ok(())
}

fn transfer(
    tx: &mut Txn<'_>,
    mission: &Mission,
    kind: Kind,
    legs: Vec<Leg>,
) -> Result<protocol::ids::TransferId> {
    let id = registry::transfer_id(mission.id, kind);
    let memo = mission.name.clone();
    tx.transfer(&Transfer { id, kind, mission: Some(mission.id), legs, memo })?;
    Ok(id)
}
