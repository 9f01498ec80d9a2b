//! What owners allow: kept, carried to the robot, and looked at before a lease is granted. The robot decides.

use crate::events::Changed;
use crate::fleet::{Fleet, now};
use crate::model::{Owner, Principal, Robot, Settings};
use crate::ops::credentials::require_owner;
use crate::problems::{Refused, Result};
use crate::txn::Txn;
use protocol::dsse::{Envelope, payload_type};
use protocol::ids::RobotId;
use protocol::keys::Did;
use protocol::lease::DriverKind;
use protocol::settings::{OwnerSettings, Owners, SettingsError, SettingsRequest, VerifiedSettings};

/// The keys of a robot's owners, as far as they have any.
pub(crate) async fn owners_of(fleet: &Fleet, robot: &Robot) -> Result<Vec<Did>> {
    let mut owners = Vec::new();
    for share in robot.owners.iter().filter(|share| share.share_ppm > 0) {
        let owner = fleet.read::<Owner>(&share.owner.to_string()).await?;
        owners.extend(owner.and_then(|owner| owner.did));
    }
    Ok(owners)
}

/// Keeps settings that the caller has signed as an owner of the robot.
pub(crate) async fn set(
    tx: &mut Txn<'_>,
    by: &Principal,
    id: &RobotId,
    envelope: Envelope,
) -> Result<()> {
    let robot = tx.need::<Robot>(id, "robot").await?;
    require_owner(by, &robot)?;
    let refused = |error: SettingsError| match error {
        SettingsError::NotTheOwners(_) => {
            Refused::bad_signature("sign the settings with the key that you are signed in with")
        }
        SettingsError::Rollback { .. } => Refused::conflict(error.to_string()),
        _ => Refused::bad_request(error.to_string()),
    };
    let verified = VerifiedSettings::verify(envelope, id, &[by.did]).map_err(refused)?;
    let version = verified.settings().version;
    if let Some(known) = tx.get::<Settings>(id).await?
        && known.version >= version
    {
        return Err(refused(SettingsError::Rollback { got: version, known: known.version }));
    }
    let envelope = verified.envelope().clone();
    tx.put(&Settings { robot: id.clone(), version, signer: by.did, envelope })?;
    tx.changed(Changed::Robot(id.clone()));
    let id = id.clone();
    tx.then(move |fleet| {
        fleet.live.with(&id, |live| live.settings_version = version);
    });
    Ok(())
}

/// What the robot is asked to take.
pub(crate) async fn request(fleet: &Fleet, id: &RobotId) -> Result<Option<SettingsRequest>> {
    let (Some(robot), Some(kept)) =
        (fleet.read::<Robot>(id.as_str()).await?, fleet.read::<Settings>(id.as_str()).await?)
    else {
        return Ok(None);
    };
    let owners = Owners { robot_did: robot.did, owners: owners_of(fleet, &robot).await? };
    let owners = Envelope::sign(payload_type::OWNERS, &owners, &fleet.key)?;
    Ok(Some(SettingsRequest { settings: kept.envelope, owners }))
}

/// The settings of a robot, read.
pub(crate) fn read(kept: &Settings) -> Result<OwnerSettings> {
    // They were verified when they were kept.
    let read: std::result::Result<OwnerSettings, _> = kept.envelope.document_unverified();
    read.map_err(|error| Refused::internal(error.to_string()))
}

/// Refuses a lease that the robot would refuse, in clear words, and one before the robot has the newest settings. Gives the
/// highest speed that the owner allows, mm/s.
pub(crate) async fn require_allowed(
    tx: &mut Txn<'_>,
    robot: &Robot,
    driver: &Did,
    kind: DriverKind,
) -> Result<Option<u32>> {
    let Some(kept) = tx.get::<Settings>(&robot.id).await? else { return Ok(None) };
    let settings = read(&kept)?;
    settings.allow(driver, kind, now()).map_err(|why| Refused::forbidden(why.to_string()))?;
    let known = tx
        .fleet
        .live
        .with(&robot.id, |live| live.state().map_or(0, |(state, _)| state.settings_version));
    if known.unwrap_or(0) < kept.version {
        return Err(Refused::wrong_state(format!(
            "{} has not yet taken its owner's newest settings; try again in a moment",
            robot.name
        )));
    }
    Ok(settings.speed_mmps_max)
}
