//! Interventions: begun and ended by the driver, ended with the drive otherwise.

use crate::model::{DriverRef, Ended, Intervention, LeaseDoc};
use crate::problems::{Refused, Result};
use crate::txn::Txn;
use axum::http::StatusCode;
use protocol::ids::{InterventionId, LeaseId};
use protocol::intervention::{CAUSE_CHARS_MAX, PER_LEASE_MAX, is_cause};
use protocol::keys::Did;
use protocol::problem::code;
use uuid::Uuid;

/// Why an intervention ended when its driver said so. Otherwise it is the reason that the lease ended for.
const BY_DRIVER: &str = "driver";

fn held(doc: &LeaseDoc, caller: &Did) -> Result<()> {
    if doc.lease.holder == *caller {
        return Ok(());
    }
    Err(Refused::forbidden("this lease is held by somebody else"))
}

/// Begins one under a live lease. One that is under way goes on. True when it is new.
pub(crate) async fn start(
    tx: &mut Txn<'_>,
    lease: LeaseId,
    caller: &Did,
    cause: String,
) -> Result<(Intervention, bool)> {
    let mut doc = tx.need::<LeaseDoc>(lease, "lease").await?;
    held(&doc, caller)?;
    if !is_cause(&cause) {
        let detail = format!("a cause has 1 to {CAUSE_CHARS_MAX} characters");
        return Err(Refused::bad_request(detail));
    }
    if doc.ended.is_some() {
        let detail = "the lease has ended: there is no drive to intervene in";
        return Err(Refused::new(StatusCode::CONFLICT, code::LEASE_ENDED, detail));
    }
    if let Some(open) = doc.intervention {
        return Ok((tx.need::<Intervention>(open, "intervention").await?, false));
    }
    if doc.interventions >= PER_LEASE_MAX {
        let detail =
            format!("this drive had {PER_LEASE_MAX} interventions; end it and begin another");
        return Err(Refused::new(StatusCode::TOO_MANY_REQUESTS, code::TOO_MANY, detail));
    }
    let mission = doc.lease.mission.as_ref();
    let new = Intervention {
        id: InterventionId::new(Uuid::now_v7()),
        lease,
        robot: doc.lease.robot.clone(),
        mission: mission.map(|mission| mission.id),
        mission_name: mission.map(|mission| mission.name.clone()),
        driver: DriverRef { did: doc.lease.holder, name: doc.holder_name.clone() },
        cause,
        started_at: tx.now,
        ended: None,
    };
    doc.intervention = Some(new.id);
    doc.interventions += 1;
    tx.put(&new)?;
    tx.put(&doc)?;
    Ok((new, true))
}

/// The driver says that one is over. Saying so twice is no mistake.
pub(crate) async fn end(
    tx: &mut Txn<'_>,
    id: InterventionId,
    caller: &Did,
) -> Result<Intervention> {
    let intervention = tx.need::<Intervention>(id, "intervention").await?;
    let mut doc = tx.need::<LeaseDoc>(intervention.lease, "lease").await?;
    held(&doc, caller)?;
    end_open(tx, &mut doc, id, BY_DRIVER).await?;
    tx.put(&doc)?;
    tx.need::<Intervention>(id, "intervention").await
}

/// The lease ends, and with it what is under way. The caller writes `doc`.
pub(crate) async fn end_with_lease(tx: &mut Txn<'_>, doc: &mut LeaseDoc, why: &str) -> Result<()> {
    match doc.intervention {
        Some(open) => end_open(tx, doc, open, why).await,
        None => Ok(()),
    }
}

async fn end_open(
    tx: &mut Txn<'_>,
    doc: &mut LeaseDoc,
    id: InterventionId,
    why: &str,
) -> Result<()> {
    doc.intervention.take_if(|open| *open == id);
    let mut intervention = tx.need::<Intervention>(id, "intervention").await?;
    if intervention.ended.is_none() {
        intervention.ended = Some(Ended { why: why.to_owned(), at: tx.now, by: None });
        tx.put(&intervention)?;
    }
    Ok(())
}
