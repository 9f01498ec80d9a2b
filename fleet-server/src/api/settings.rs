//! What a robot's owner allows.

use super::extract::{Body, Segment};
use super::schemas;
use crate::auth::{Act, Caller};
use crate::fleet::Fleet;
use crate::model::{Robot, Settings};
use crate::ops::settings;
use crate::problems::{Refused, Result};
use axum::Json;
use axum::extract::State;
use protocol::dsse::Envelope;
use protocol::ids::RobotId;
use protocol::keys::Did;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

type Shared = State<Arc<Fleet>>;

/// Settings, and whether the robot keeps to them.
#[derive(Serialize, ToSchema)]
pub(crate) struct SettingsView {
    /// Counts up.
    version: u64,
    /// The owner who signed.
    #[schema(value_type = String)]
    signer: Did,
    /// `OwnerSettings`, see the protocol.
    #[schema(value_type = Object)]
    settings: protocol::settings::OwnerSettings,
    /// The same as it was signed.
    #[schema(value_type = Object)]
    envelope: Envelope,
    /// Whether the robot has taken it.
    on_robot: bool,
}

async fn view(fleet: &Fleet, id: &RobotId) -> Result<Option<SettingsView>> {
    let Some(kept) = fleet.read::<Settings>(id.as_str()).await? else { return Ok(None) };
    let known =
        fleet.live.with(id, |live| live.state().map_or(0, |(state, _)| state.settings_version));
    Ok(Some(SettingsView {
        version: kept.version,
        signer: kept.signer,
        settings: settings::read(&kept)?,
        on_robot: known.unwrap_or(0) >= kept.version,
        envelope: kept.envelope,
    }))
}

/// What a robot's owner allows; null when they never said.
#[utoipa::path(get, path = "/v1/robots/{id}/settings", tag = "owners", security(("session" = [])),
    params(("id" = String, Path)), responses((status = 200, body = Option<SettingsView>)))]
pub(crate) async fn one(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<RobotId>,
) -> Result<Json<Option<SettingsView>>> {
    caller.may(Act::Look)?;
    if fleet.read::<Robot>(id.as_str()).await?.is_none() {
        return Err(Refused::not_found("robot"));
    }
    Ok(Json(view(&fleet, &id).await?))
}

/// Sets what a robot's owner allows: a DSSE envelope of type `application/vnd.longrein.owner-settings+json`, signed by the
/// owner who is signed in, with a version above the last one. The robot verifies it by itself.
#[utoipa::path(put, path = "/v1/robots/{id}/settings", tag = "owners", security(("session" = [])),
    params(("id" = String, Path)), request_body = schemas::Envelope, responses(
    (status = 200, body = Option<SettingsView>), (status = 401, body = schemas::Problem),
    (status = 409, body = schemas::Problem)))]
pub(crate) async fn set(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<RobotId>,
    Body(envelope): Body<Envelope>,
) -> Result<Json<Option<SettingsView>>> {
    caller.may(Act::ManageRobots)?;
    let mut tx = fleet.begin().await;
    settings::set(&mut tx, &caller.0, &id, envelope).await?;
    tx.commit().await?;
    // A robot that is away takes it when it comes back.
    crate::fabric::push_settings(&fleet, &id).await;
    Ok(Json(view(&fleet, &id).await?))
}
