//! Principals, invitations, owners, enrolments, deposits.

use crate::auth::{check_signature, code_key, random_hex};
use crate::events::Changed;
use crate::model::{Enrolment, Invitation, LeasePage, Owner, Principal, Robot};
use crate::ops::credentials::require_owner;
use crate::problems::{Refused, Result};
use crate::txn::Txn;
use axum::http::StatusCode;
use fleet_core::account::Account;
use fleet_core::ledger::{Kind, Leg, Plan, Transfer};
use fleet_core::registry;
use protocol::api::{
    AcceptEnrolment, AcceptInvitation, Enrolled, OwnerShare, Role, enrolment_bytes,
    invitation_bytes,
};
use protocol::ids::{OwnerId, RobotId, TransferId};
use protocol::keys::Did;
use protocol::problem::code;
use protocol::units::WallMs;
use uuid::Uuid;

/// How long an invitation or an enrolment code can be used.
const CODE_MS: u64 = 7 * 86_400_000;
/// An invitation for whoever stands beside may be short, but somebody has to type a name.
const CODE_MS_MIN: u64 = 60_000;

/// Makes a single-use invitation; gives its code, which is not stored.
pub(crate) async fn invite(
    tx: &mut Txn<'_>,
    by: &Principal,
    role: Role,
    name: Option<String>,
    owner: Option<OwnerId>,
    valid_s: Option<u64>,
) -> Result<(String, Invitation)> {
    if role == Role::Robot {
        return Err(Refused::bad_request("a robot is enrolled, not invited: POST /v1/enrolments"));
    }
    if let Some(name) = &name {
        registry::check_name(name)?;
    }
    if let Some(owner) = owner {
        tx.need::<Owner>(owner, "owner").await?;
    }
    let valid_ms = valid_s.map_or(CODE_MS, |s| s.saturating_mul(1_000));
    if !(CODE_MS_MIN..=CODE_MS).contains(&valid_ms) {
        return Err(Refused::bad_request(format!(
            "valid_s must be {} to {}",
            CODE_MS_MIN / 1_000,
            CODE_MS / 1_000
        )));
    }
    let code = random_hex::<16>()?;
    let invitation = Invitation {
        code_sha256: code_key(&code),
        role,
        name,
        owner,
        invited_by: by.name.clone(),
        expires_at: WallMs(tx.now.0.saturating_add(valid_ms)),
        used_by: None,
    };
    tx.put(&invitation)?;
    Ok((code, invitation))
}

/// Registers the key that accepts an invitation.
pub(crate) async fn accept_invitation(
    tx: &mut Txn<'_>,
    code: &str,
    accept: AcceptInvitation,
) -> Result<Principal> {
    registry::check_name(&accept.name)?;
    check_signature(&accept.did, &invitation_bytes(code), &accept.signature)?;
    let mut invitation = tx.get::<Invitation>(code_key(code)).await?.ok_or_else(unknown_code)?;
    usable(invitation.expires_at, invitation.used_by.as_ref(), tx.now)?;
    if tx.get::<Principal>(accept.did).await?.is_some() {
        return Err(Refused::conflict("this key is registered already; sign in with it"));
    }
    invitation.used_by = Some(accept.did);
    tx.put(&invitation)?;
    let owner = match (invitation.role, invitation.owner) {
        (Role::Owner, Some(id)) => {
            let mut owner = tx.need::<Owner>(id, "owner").await?;
            owner.did = Some(accept.did);
            tx.put(&owner)?;
            Some(id)
        }
        (Role::Owner, None) => Some(add_owner(tx, accept.name.clone(), Some(accept.did)).await?.id),
        _ => None,
    };
    let principal = Principal {
        did: accept.did,
        role: invitation.role,
        name: accept.name,
        robot: None,
        owner,
        created_at: tx.now,
    };
    tx.put(&principal)?;
    Ok(principal)
}

/// Writes an owner down.
pub(crate) async fn add_owner(tx: &mut Txn<'_>, name: String, did: Option<Did>) -> Result<Owner> {
    registry::check_name(&name)?;
    let owner = Owner { id: OwnerId::new(Uuid::now_v7()), name, did };
    tx.put(&owner)?;
    Ok(owner)
}

/// Makes a single-use code with which a robot enrols.
pub(crate) async fn order_enrolment(
    tx: &mut Txn<'_>,
    by: &Principal,
    robot: RobotId,
    name: String,
    owners: Vec<OwnerShare>,
) -> Result<(String, Enrolment)> {
    registry::check_name(&name)?;
    registry::check_shares(&owners)?;
    for share in &owners {
        tx.need::<Owner>(share.owner, "owner").await?;
    }
    require_right_to_enrol(tx, by, &robot, &owners).await?;
    let code = random_hex::<16>()?;
    let enrolment = Enrolment {
        code_sha256: code_key(&code),
        robot,
        name,
        owners,
        expires_at: WallMs(tx.now.0.saturating_add(CODE_MS)),
        used_by: None,
    };
    tx.put(&enrolment)?;
    Ok((code, enrolment))
}

/// An owner enrols robots of their own: a new one, or one that is theirs already, with the shares as they are.
async fn require_right_to_enrol(
    tx: &mut Txn<'_>,
    by: &Principal,
    robot: &RobotId,
    owners: &[OwnerShare],
) -> Result<()> {
    if by.role == Role::Operator {
        return Ok(());
    }
    match tx.get::<Robot>(robot).await? {
        Some(known) => {
            require_owner(by, &known)?;
            let same = known.owners.len() == owners.len()
                && known.owners.iter().all(|share| owners.contains(share));
            let detail = "this robot's shares are others; change them first, then enrol it again";
            if same { Ok(()) } else { Err(Refused::wrong_state(detail)) }
        }
        None if owners.iter().any(|s| Some(s.owner) == by.owner && s.share_ppm > 0) => Ok(()),
        None => Err(Refused::forbidden("keep a share of the robot that you enrol")),
    }
}

/// The keys of owners, as far as they have any.
async fn owner_keys(tx: &mut Txn<'_>, owners: &[OwnerShare]) -> Result<Vec<Did>> {
    let mut keys = Vec::new();
    for share in owners.iter().filter(|share| share.share_ppm > 0) {
        keys.extend(tx.get::<Owner>(share.owner).await?.and_then(|owner| owner.did));
    }
    Ok(keys)
}

/// Enrols a robot. The same robot with the same code gets the same answer: the first may have been lost.
pub(crate) async fn accept_enrolment(
    tx: &mut Txn<'_>,
    code: &str,
    accept: AcceptEnrolment,
) -> Result<Enrolled> {
    check_signature(&accept.did, &enrolment_bytes(code), &accept.signature)?;
    let mut enrolment = tx.get::<Enrolment>(code_key(code)).await?.ok_or_else(unknown_code)?;
    let enrolled = Enrolled {
        robot: enrolment.robot.clone(),
        fleet_did: tx.fleet.did,
        zenoh_endpoint: tx.fleet.config.zenoh_public.clone(),
        owners: owner_keys(tx, &enrolment.owners).await?,
    };
    if enrolment.used_by == Some(accept.did) {
        return Ok(enrolled);
    }
    usable(enrolment.expires_at, enrolment.used_by.as_ref(), tx.now)?;
    let known = tx.get::<Principal>(accept.did).await?;
    if known.is_some_and(|known| known.robot.as_ref() != Some(&enrolment.robot)) {
        return Err(Refused::conflict(
            "this key is registered already; make a new one for this robot",
        ));
    }
    let before = tx.get::<Robot>(&enrolment.robot).await?;
    if let Some(old) = before.as_ref().filter(|old| old.did != accept.did) {
        // The old key no longer speaks for the robot.
        if let Some(principal) = tx.get::<Principal>(old.did).await? {
            tx.remove(&principal);
        }
        require_undriven(tx, &enrolment.robot).await?;
        let old = old.did;
        tx.then(move |fleet| fleet.links.close(&old));
    }
    enrolment.used_by = Some(accept.did);
    tx.put(&enrolment)?;
    let robot = Robot {
        id: enrolment.robot.clone(),
        name: enrolment.name.clone(),
        did: accept.did,
        owners: enrolment.owners.clone(),
        enrolled_at: tx.now,
        manifest_head: before.filter(|old| old.did == accept.did).and_then(|old| old.manifest_head),
        revoked: None,
    };
    tx.put(&robot)?;
    tx.put(&Principal {
        did: accept.did,
        role: Role::Robot,
        name: robot.name.clone(),
        robot: Some(robot.id.clone()),
        owner: None,
        created_at: tx.now,
    })?;
    tx.changed(Changed::Robot(robot.id.clone()));
    tx.then(move |fleet| {
        let key = crate::ops::credentials::fabric_key(&fleet.fabric_secret, &robot);
        fleet.live.enrolled(robot.id, robot.did, key);
    });
    Ok(enrolled)
}

/// Puts money in.
pub(crate) fn deposit(
    tx: &mut Txn<'_>,
    id: TransferId,
    amount: u64,
    memo: String,
) -> Result<(bool, i64)> {
    let legs = vec![Leg { from: Account::External, to: Account::Operator, amount }];
    let plan = tx.transfer(&Transfer { id, kind: Kind::Deposit, mission: None, legs, memo })?;
    let before = tx.ledger().balance(&Account::Operator);
    Ok(match plan {
        Plan::New(_) => (true, before.saturating_add(i64::try_from(amount).unwrap_or(i64::MAX))),
        Plan::Already(_) => (false, before),
    })
}

async fn require_undriven(tx: &mut Txn<'_>, robot: &RobotId) -> Result<()> {
    let page = tx.get::<LeasePage>(robot).await?;
    if page.is_some_and(|page| page.page.live(tx.now).is_some()) {
        return Err(Refused::wrong_state("the robot is being driven; enrol it again afterwards"));
    }
    Ok(())
}

fn unknown_code() -> Refused {
    let detail = "this code was never given out; check it, or ask for a new one";
    Refused::new(StatusCode::NOT_FOUND, code::BAD_CODE, detail)
}

fn usable(expires_at: WallMs, used_by: Option<&Did>, now: WallMs) -> Result<()> {
    let detail = match used_by {
        Some(_) => "this code was used already; ask for a new one",
        None if now >= expires_at => "this code has expired; ask for a new one",
        None => return Ok(()),
    };
    Err(Refused::new(StatusCode::GONE, code::BAD_CODE, detail))
}
