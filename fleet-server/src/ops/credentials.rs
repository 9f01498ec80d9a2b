//! Certificates, fabric keys, and taking a robot out of the fleet.

use crate::events::Changed;
use crate::fleet::Fleet;
use crate::model::{Certificate, Certified, LeasePage, Principal, Revoked, Robot};
use crate::ops::leases;
use crate::problems::{Refused, Result};
use crate::txn::Txn;
use axum::http::StatusCode;
use fleet_core::registry;
use protocol::api::{OwnerShare, Role};
use protocol::credentials::{CertificateRequest, Credentials, FabricKeyGrant};
use protocol::dsse::{Envelope, payload_type};
use protocol::ids::RobotId;
use protocol::keys::Did;
use protocol::problem::code;
use protocol::sealed::{Boxed, FabricKey};
use protocol::units::WallMs;

/// Certificates of one holder that are valid at the same time; an older one gives way.
const CERTIFICATES_MAX: usize = 8;

/// The secret of a robot's messages: another one with each enrolment.
pub(crate) fn fabric_key(secret: &[u8; 32], robot: &Robot) -> FabricKey {
    let (did, at) = (robot.did.to_string(), robot.enrolled_at.0);
    FabricKey::derive(secret, robot.id.as_str(), &did, at)
}

/// What a robot that was taken out hears, wherever it asks.
pub(crate) fn revoked(robot: &Robot) -> Refused {
    let why = robot.revoked.as_ref().map(|revoked| revoked.why.as_str()).unwrap_or_default();
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    let detail = format!(
        "{} was taken out of the fleet{why}. Its owner can take it back: make an enrolment code on the owner's page, then \
         run 'robot-agent enroll --again --server URL --code CODE --data DIR' on the robot",
        robot.name
    );
    Refused::new(StatusCode::FORBIDDEN, code::REVOKED, detail)
}

/// Refuses a robot that is no longer one of the fleet's.
pub(crate) async fn require_standing(fleet: &Fleet, principal: &Principal) -> Result<()> {
    let Some(id) = &principal.robot else { return Ok(()) };
    match fleet.read::<Robot>(id.as_str()).await? {
        Some(robot) if robot.did == principal.did && robot.revoked.is_none() => Ok(()),
        Some(robot) if robot.did == principal.did => Err(revoked(&robot)),
        _ => Err(unknown()),
    }
}

fn unknown() -> Refused {
    Refused::sign_in(
        "nobody is registered with this key: enrol the robot with a code, or accept an invitation as a gateway",
    )
}

/// Until when the newest certificate of `did` is valid; 0 without one.
pub(crate) async fn valid_until(fleet: &Fleet, did: &Did) -> Result<WallMs> {
    let certified = fleet.read::<Certified>(&did.to_string()).await?;
    let newest = certified.and_then(|c| c.certificates.iter().map(|(_, until)| *until).max());
    Ok(newest.unwrap_or(WallMs(0)))
}

/// Makes a certificate for a robot or a gateway.
pub(crate) async fn issue(tx: &mut Txn<'_>, request: &CertificateRequest) -> Result<Envelope> {
    if !request.is_valid(tx.now) {
        return Err(Refused::bad_signature(format!(
            "the request is not signed by both keys, or not made now: it says {} ms, the fleet's clock {} ms. Set the clock \
             by NTP",
            request.at.0, tx.now.0
        )));
    }
    let principal = tx.get::<Principal>(request.did).await?.ok_or_else(unknown)?;
    let robot = match (principal.role, &principal.robot) {
        (Role::Gateway, _) => None,
        (Role::Robot, Some(id)) => {
            let robot = tx.get::<Robot>(id).await?.filter(|robot| robot.did == request.did);
            let robot = robot.ok_or_else(unknown)?;
            if robot.revoked.is_some() {
                return Err(revoked(&robot));
            }
            Some(robot)
        }
        _ => {
            return Err(Refused::forbidden(
                "only robots and gateways connect to the message router",
            ));
        }
    };
    let lifetime_ms = tx.fleet.config.certificate_s.saturating_mul(1_000);
    let expires_at = WallMs(tx.now.0.saturating_add(lifetime_ms));
    let common_name = robot.as_ref().map_or("gateway", |robot| robot.id.as_str()).to_owned();
    let made = tx
        .fleet
        .ca
        .client(&common_name, request.tls_key, tx.now, expires_at)
        .map_err(|error| Refused::internal(format_args!("{error:#}")))?;
    record(tx, request.did, made.sha256, expires_at).await?;
    let fabric_key = match &robot {
        Some(robot) => {
            let key = fabric_key(&tx.fleet.fabric_secret, robot).to_hex();
            Some(boxed(&request.box_key, &key)?)
        }
        None => None,
    };
    let credentials = Credentials {
        v: 1,
        did: request.did,
        role: principal.role,
        robot: robot.map(|robot| robot.id),
        tls_key: request.tls_key,
        certificate: made.pem,
        root: tx.fleet.ca.root_pem().to_owned(),
        issued_at: tx.now,
        renew_at: WallMs(tx.now.0.saturating_add(lifetime_ms / 2)),
        expires_at,
        zenoh_endpoint: tx.fleet.config.zenoh_public.clone(),
        fabric_key,
    };
    Ok(Envelope::sign(payload_type::CREDENTIALS, &credentials, &tx.fleet.key)?)
}

async fn record(tx: &mut Txn<'_>, did: Did, sha256: String, expires_at: WallMs) -> Result<()> {
    let certified = tx.get::<Certified>(did).await?;
    let mut certified = certified.unwrap_or(Certified { did, certificates: Vec::new() });
    tx.put(&Certificate { sha256: sha256.clone(), did, expires_at })?;
    certified.certificates.push((sha256, expires_at));
    let surplus = certified.certificates.len().saturating_sub(CERTIFICATES_MAX);
    let now = tx.now;
    let mut place = 0;
    let (kept, gone): (Vec<_>, Vec<_>) =
        certified.certificates.into_iter().partition(|(_, until)| {
            place += 1;
            place > surplus && *until > now
        });
    for (sha256, expires_at) in gone {
        tx.remove(&Certificate { sha256, did, expires_at });
    }
    certified.certificates = kept;
    tx.put(&certified)
}

fn boxed(box_key: &str, secret_hex: &str) -> Result<Boxed> {
    Boxed::seal(box_key, secret_hex.as_bytes()).map_err(|_bad_key| {
        Refused::bad_request("box_key is no X25519 key of 32 bytes in hexadecimal")
    })
}

/// The key of a robot's messages, for a gateway.
pub(crate) async fn grant_fabric_key(
    fleet: &Fleet,
    id: &RobotId,
    box_key: &str,
) -> Result<FabricKeyGrant> {
    let robot = fleet.read::<Robot>(id.as_str()).await?;
    let robot = robot.ok_or_else(|| Refused::not_found("robot"))?;
    if robot.revoked.is_some() {
        return Err(revoked(&robot));
    }
    let key = fabric_key(&fleet.fabric_secret, &robot).to_hex();
    Ok(FabricKeyGrant { fabric_key: boxed(box_key, &key)? })
}

/// Takes a robot out of the fleet: its link is closed, its signatures count for nothing, nobody drives it.
pub(crate) async fn revoke(
    tx: &mut Txn<'_>,
    by: &Principal,
    id: &RobotId,
    why: String,
) -> Result<()> {
    let mut robot = tx.need::<Robot>(id, "robot").await?;
    require_owner(by, &robot)?;
    let page = tx.get::<LeasePage>(id).await?;
    if let Some(live) = page.and_then(|page| page.page.live) {
        leases::end(tx, live.id, "revoked").await?;
    }
    if robot.revoked.is_none() {
        robot.revoked = Some(Revoked { at: tx.now, why, by: by.name.clone() });
        tx.put(&robot)?;
    }
    tx.changed(Changed::Robot(id.clone()));
    tx.then(move |fleet| {
        fleet.live.revoked(&robot.id);
        fleet.links.close(&robot.did);
    });
    Ok(())
}

/// Gives shares of a robot to others. What was earned stays where it is; what is settled from now on follows the new
/// shares. An owner gives away only what is theirs: no other owner's share may shrink.
pub(crate) async fn transfer(
    tx: &mut Txn<'_>,
    by: &Principal,
    id: &RobotId,
    owners: Vec<OwnerShare>,
) -> Result<Robot> {
    registry::check_shares(&owners)?;
    for share in &owners {
        tx.need::<crate::model::Owner>(share.owner, "owner").await?;
    }
    let mut robot = tx.need::<Robot>(id, "robot").await?;
    require_owner(by, &robot)?;
    if by.role == Role::Owner {
        let new = |owner| owners.iter().find(|s| s.owner == owner).map_or(0, |s| s.share_ppm);
        let mut others = robot.owners.iter().filter(|share| Some(share.owner) != by.owner);
        if others.any(|old| new(old.owner) < old.share_ppm) {
            return Err(Refused::forbidden(
                "you can give away your own share only; no other owner's may shrink",
            ));
        }
    }
    robot.owners = owners;
    tx.put(&robot)?;
    tx.changed(Changed::Robot(id.clone()));
    Ok(robot)
}

/// An operator, or one of the robot's owners.
pub(crate) fn require_owner(by: &Principal, robot: &Robot) -> Result<()> {
    let owns = |owner| robot.owners.iter().any(|share| share.owner == owner && share.share_ppm > 0);
    if by.role == Role::Operator || by.owner.is_some_and(owns) {
        return Ok(());
    }
    Err(Refused::forbidden(format!("{} is not yours", robot.name)))
}
