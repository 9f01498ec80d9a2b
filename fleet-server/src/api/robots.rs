//! Robots and leases.

use super::extract::{Body, Paging, Params, Segment, cursor, limit};
use super::schemas;
use crate::auth::{Act, Caller};
use crate::fleet::Fleet;
use crate::model::{LeaseDoc, Robot};
use crate::ops::leases;
use crate::problems::{Refused, Result};
use crate::views::{LeaseView, Page, RobotView, lease_by_id, robot, robot_of};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::api::{LeaseGrant, LeaseOrder};
use protocol::ids::{LeaseId, RobotId};
use protocol::message::Reply;
use protocol::units::GeoPoint;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

type Shared = State<Arc<Fleet>>;

/// Robots.
#[utoipa::path(get, path = "/v1/robots", tag = "everybody", security(("session" = [])),
    params(Paging), responses((status = 200, body = Page<RobotView>)))]
pub(crate) async fn list(
    State(fleet): Shared,
    caller: Caller,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<RobotView>>> {
    caller.may(Act::Look)?;
    let limit = limit(paging.limit)?;
    let after = cursor::<RobotId>(paging.cursor.as_deref())?;
    let robots = fleet.page::<Robot>(after, limit).await?;
    let next = (robots.len() == limit).then(|| robots.last().map(|robot| robot.id.to_string()));
    let mut items = Vec::new();
    for robot in robots {
        items.push(robot_of(&fleet, robot).await?);
    }
    Ok(Json(Page { items, next: next.flatten() }))
}

/// One robot.
#[utoipa::path(get, path = "/v1/robots/{id}", tag = "everybody", security(("session" = [])),
    params(("id" = String, Path)), responses((status = 200, body = RobotView),
    (status = 404, body = schemas::Problem)))]
pub(crate) async fn one(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<RobotId>,
) -> Result<Json<RobotView>> {
    caller.may(Act::Look)?;
    Ok(Json(robot(&fleet, &id).await?))
}

/// Where a robot has been.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrackView {
    /// `{lat_deg, lon_deg}`, oldest first.
    #[schema(value_type = Vec<Object>)]
    points: Vec<GeoPoint>,
}

/// Where a robot has been since this server started: its newest 2000 places, a few metres apart.
#[utoipa::path(get, path = "/v1/robots/{id}/track", tag = "everybody", security(("session" = [])),
    params(("id" = String, Path)), responses((status = 200, body = TrackView),
    (status = 404, body = schemas::Problem)))]
pub(crate) async fn track(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<RobotId>,
) -> Result<Json<TrackView>> {
    caller.may(Act::Look)?;
    let points = fleet.live.with(&id, |live| live.track());
    Ok(Json(TrackView { points: points.ok_or_else(|| Refused::not_found("robot"))? }))
}

/// Why to stop.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EstopOrder {
    /// In words, for log and episode.
    reason: Option<String>,
}

/// Emergency stop, signed by the fleet and latched on the robot.
#[utoipa::path(post, path = "/v1/robots/{id}/estop", tag = "everybody", security(("session" = [])),
    params(("id" = String, Path)), request_body = EstopOrder,
    responses((status = 200, body = Object, description = "`{\"result\": \"done\"}`"),
    (status = 503, body = schemas::Problem)))]
pub(crate) async fn estop(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<RobotId>,
    Body(order): Body<EstopOrder>,
) -> Result<Json<Reply>> {
    caller.may(Act::Stop)?;
    if fleet.read::<Robot>(id.as_str()).await?.is_none() {
        return Err(Refused::not_found("robot"));
    }
    let words: String = order.reason.unwrap_or_default().chars().take(200).collect();
    let by = format!("{} over the fleet server", caller.0.name);
    let reason = if words.is_empty() { by } else { format!("{words} ({by})") };
    tracing::warn!(robot = %id, reason, "emergency stop");
    Ok(Json(crate::fabric::estop(&fleet, &id, reason).await?))
}

/// Takes the right to drive.
#[utoipa::path(post, path = "/v1/leases", tag = "drivers", security(("session" = [])),
    request_body = schemas::LeaseOrder, responses((status = 201, body = schemas::LeaseGrant),
    (status = 409, body = schemas::Problem, description = "robot-taken, robot-offline, wrong-state")))]
pub(crate) async fn take_lease(
    State(fleet): Shared,
    caller: Caller,
    Body(order): Body<LeaseOrder>,
) -> Result<(StatusCode, Json<LeaseGrant>)> {
    caller.may(if order.takeover { Act::TakeOver } else { Act::Drive })?;
    let mut tx = fleet.begin().await;
    let grant = leases::grant(&mut tx, &caller.0, order).await?;
    // The epoch is durable before anybody can show the lease to a robot.
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(grant)))
}

/// The next copy of a lease.
#[utoipa::path(post, path = "/v1/leases/{id}/renew", tag = "drivers", security(("session" = [])),
    params(("id" = String, Path)), responses((status = 200, body = schemas::LeaseGrant),
    (status = 409, body = schemas::Problem, description = "lease-ended")))]
pub(crate) async fn renew_lease(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<LeaseId>,
) -> Result<Json<LeaseGrant>> {
    caller.may(Act::KeepLease)?;
    let mut tx = fleet.begin().await;
    let grant = leases::renew(&mut tx, id, &caller.0.did).await?;
    tx.commit().await?;
    Ok(Json(grant))
}

/// One lease.
#[utoipa::path(get, path = "/v1/leases/{id}", tag = "everybody", security(("session" = [])),
    params(("id" = String, Path)), responses((status = 200, body = LeaseView)))]
pub(crate) async fn lease(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<LeaseId>,
) -> Result<Json<LeaseView>> {
    caller.may(Act::Look)?;
    Ok(Json(lease_by_id(&fleet, &id).await?))
}

/// The driver is done.
#[utoipa::path(delete, path = "/v1/leases/{id}", tag = "drivers", security(("session" = [])),
    params(("id" = String, Path)), responses((status = 200, body = LeaseView),
    (status = 403, body = schemas::Problem)))]
pub(crate) async fn end_lease(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<LeaseId>,
) -> Result<Json<LeaseView>> {
    caller.may(Act::KeepLease)?;
    let mut tx = fleet.begin().await;
    let lease = tx.need::<LeaseDoc>(id, "lease").await?;
    if lease.lease.holder != caller.0.did {
        return Err(Refused::forbidden("this lease is held by somebody else"));
    }
    leases::end(&mut tx, id, "released").await?;
    tx.commit().await?;
    Ok(Json(lease_by_id(&fleet, &id).await?))
}
