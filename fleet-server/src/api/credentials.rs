//! Certificates, fabric keys, revocation, and whose a robot is.

use super::extract::{Body, Segment};
use super::schemas;
use crate::auth::{Act, Caller};
use crate::fleet::Fleet;
use crate::ops::credentials;
use crate::problems::Result;
use crate::views::{RobotView, robot as robot_view};
use axum::Json;
use axum::extract::State;
use protocol::api::OwnerShare;
use protocol::credentials::{CertificateRequest, FabricKeyGrant, FabricKeyRequest};
use protocol::dsse::Envelope;
use protocol::ids::RobotId;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

type Shared = State<Arc<Fleet>>;

/// A short-lived certificate for the message router, now and at each renewal. The request is signed by the key that was
/// enrolled or invited, so it needs no session.
#[utoipa::path(post, path = "/v1/certificates", tag = "public",
    request_body = schemas::CertificateRequest, responses(
    (status = 200, body = schemas::Envelope), (status = 401, body = schemas::Problem),
    (status = 403, body = schemas::Problem, description = "revoked, forbidden")))]
pub(crate) async fn certificate(
    State(fleet): Shared,
    Body(request): Body<CertificateRequest>,
) -> Result<Json<Envelope>> {
    let mut tx = fleet.begin().await;
    let envelope = credentials::issue(&mut tx, &request).await?;
    tx.commit().await?;
    Ok(Json(envelope))
}

/// The key of a robot's messages, for a gateway.
#[utoipa::path(post, path = "/v1/robots/{id}/fabric-key", tag = "gateways", security(("session" = [])),
    params(("id" = String, Path)), request_body = schemas::FabricKeyRequest, responses(
    (status = 200, body = Object, description = "`{fabric_key: {sender, sealed}}`"),
    (status = 403, body = schemas::Problem, description = "revoked, forbidden")))]
pub(crate) async fn fabric_key(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<RobotId>,
    Body(request): Body<FabricKeyRequest>,
) -> Result<Json<FabricKeyGrant>> {
    caller.may(Act::ReadRobots)?;
    Ok(Json(credentials::grant_fabric_key(&fleet, &id, &request.box_key).await?))
}

/// Why a robot is taken out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeOrder {
    /// In words; the robot's owner reads them in its log.
    reason: Option<String>,
}

/// Takes a robot out of the fleet at once. It comes back by enrolling again, with a new code.
#[utoipa::path(post, path = "/v1/robots/{id}/revoke", tag = "owners", security(("session" = [])),
    params(("id" = String, Path)), request_body = RevokeOrder, responses(
    (status = 200, body = RobotView), (status = 403, body = schemas::Problem)))]
pub(crate) async fn revoke(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<RobotId>,
    Body(order): Body<RevokeOrder>,
) -> Result<Json<RobotView>> {
    caller.may(Act::ManageRobots)?;
    let words = order.reason.unwrap_or_default();
    let why = words.chars().filter(|c| !c.is_control()).take(200).collect();
    let mut tx = fleet.begin().await;
    credentials::revoke(&mut tx, &caller.0, &id, why).await?;
    tx.commit().await?;
    tracing::warn!(robot = %id, by = caller.0.name, "a robot was taken out of the fleet");
    Ok(Json(robot_view(&fleet, &id).await?))
}

/// Whose a robot is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnersOrder {
    /// `{owner, share_ppm}`, shares add up to 1,000,000.
    #[schema(value_type = Vec<Object>)]
    owners: Vec<OwnerShare>,
}

/// Moves a robot, or shares of it, to others. What is settled from now on is theirs; history stays.
#[utoipa::path(put, path = "/v1/robots/{id}/owners", tag = "owners", security(("session" = [])),
    params(("id" = String, Path)), request_body = OwnersOrder, responses(
    (status = 200, body = RobotView), (status = 403, body = schemas::Problem)))]
pub(crate) async fn set_owners(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<RobotId>,
    Body(order): Body<OwnersOrder>,
) -> Result<Json<RobotView>> {
    caller.may(Act::ManageRobots)?;
    let mut tx = fleet.begin().await;
    credentials::transfer(&mut tx, &caller.0, &id, order.owners).await?;
    tx.commit().await?;
    Ok(Json(robot_view(&fleet, &id).await?))
}
