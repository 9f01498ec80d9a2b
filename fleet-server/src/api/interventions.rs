//! Interventions.

use super::extract::{Body, Params, Segment, cursor, limit};
use super::schemas;
use crate::auth::{Act, Caller};
use crate::fleet::Fleet;
use crate::model::Intervention;
use crate::ops::interventions;
use crate::problems::Result;
use crate::views::{InterventionView, Page, intervention_of};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::ids::{EpisodeId, InterventionId, LeaseId, RobotId};
use protocol::keys::Did;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

type Shared = State<Arc<Fleet>>;

/// Why a person takes over.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InterventionOrder {
    /// In words, 1 to 200 characters.
    cause: String,
}

/// A person takes over: begins an intervention in the drive under this lease. While one is under way, it is given.
///
/// The caller has the robot record it as well, over its relay; the fleet ends it with the lease at the latest.
#[utoipa::path(post, path = "/v1/leases/{id}/interventions", tag = "drivers", security(("session" = [])),
    params(("id" = String, Path)), request_body = InterventionOrder,
    responses((status = 201, body = InterventionView),
    (status = 200, body = InterventionView, description = "The one that is under way"),
    (status = 403, body = schemas::Problem),
    (status = 409, body = schemas::Problem, description = "lease-ended"),
    (status = 429, body = schemas::Problem, description = "too-many: 1000 in one drive")))]
pub(crate) async fn start(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<LeaseId>,
    Body(order): Body<InterventionOrder>,
) -> Result<(StatusCode, Json<InterventionView>)> {
    caller.may(Act::Drive)?;
    let mut tx = fleet.begin().await;
    let (begun, new) = interventions::start(&mut tx, id, &caller.0.did, order.cause).await?;
    tx.commit().await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(intervention_of(&fleet, begun).await?)))
}

/// An intervention is over.
#[utoipa::path(post, path = "/v1/interventions/{id}/end", tag = "drivers", security(("session" = [])),
    params(("id" = String, Path)), responses((status = 200, body = InterventionView),
    (status = 403, body = schemas::Problem), (status = 404, body = schemas::Problem)))]
pub(crate) async fn end(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<InterventionId>,
) -> Result<Json<InterventionView>> {
    caller.may(Act::Drive)?;
    let mut tx = fleet.begin().await;
    let ended = interventions::end(&mut tx, id, &caller.0.did).await?;
    tx.commit().await?;
    Ok(Json(intervention_of(&fleet, ended).await?))
}

/// Which interventions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct InterventionFilter {
    /// On this robot.
    #[param(value_type = Option<String>)]
    robot: Option<RobotId>,
    /// In this episode.
    #[param(value_type = Option<String>)]
    episode: Option<EpisodeId>,
    /// By this driver.
    #[param(value_type = Option<String>)]
    driver: Option<Did>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 when left out.
    limit: Option<usize>,
}

impl InterventionFilter {
    fn passes(&self, one: &Intervention) -> bool {
        self.robot.as_ref().is_none_or(|robot| *robot == one.robot)
            && self.episode.is_none_or(|episode| episode == one.lease.into())
            && self.driver.is_none_or(|driver| driver == one.driver.did)
    }
}

/// Interventions, newest first.
#[utoipa::path(get, path = "/v1/interventions", tag = "everybody", security(("session" = [])),
    params(InterventionFilter), responses((status = 200, body = Page<InterventionView>)))]
pub(crate) async fn list(
    State(fleet): Shared,
    caller: Caller,
    Params(filter): Params<InterventionFilter>,
) -> Result<Json<Page<InterventionView>>> {
    caller.may(Act::Look)?;
    let limit = limit(filter.limit)?;
    let after = cursor::<InterventionId>(filter.cursor.as_deref())?;
    let passes = |one: &Intervention| filter.passes(one);
    let (found, next) = fleet.page_of::<Intervention>(after, limit, passes).await?;
    let mut items = Vec::with_capacity(found.len());
    for one in found {
        items.push(intervention_of(&fleet, one).await?);
    }
    Ok(Json(Page { items, next }))
}
