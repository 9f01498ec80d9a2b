//! Missions.

use super::extract::{Body, Params, Segment, cursor, limit};
use super::schemas;
use crate::auth::{Act, Caller};
use crate::fleet::Fleet;
use crate::model::Mission;
use crate::ops::missions::{self, NewMission};
use crate::problems::{Refused, Result};
use crate::views::{MissionView, Page, mission_by_id, mission_of};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::ids::{MissionId, RobotId};
use protocol::mission::{Checkpoint, MissionState};
use protocol::units::{GeoPoint, WallMs};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

type Shared = State<Arc<Fleet>>;

/// Missions looked at for one page when a filter lets few pass; `next` goes on from there.
const LOOK_MAX: usize = 2_000;

/// A mission to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MissionOrder {
    /// `msn_…`, made by whoever asks: asking twice makes one mission. Made by the server when left out.
    #[schema(value_type = Option<String>)]
    id: Option<MissionId>,
    /// Name.
    name: String,
    /// The robot that does it.
    #[schema(value_type = String)]
    robot: RobotId,
    /// Where to go, in order: `{position: {lat_deg, lon_deg}, radius_m, dwell_ms}`.
    #[schema(value_type = Vec<Object>)]
    checkpoints: Vec<Checkpoint>,
    /// Where the robot stays, beside what its owner says: 1 to 8 polygons of 3 to 32 corners `{lat_deg, lon_deg}`; being in
    /// one is enough. Everywhere when left out.
    #[schema(value_type = Option<Vec<Vec<Object>>>)]
    area: Option<Vec<Vec<GeoPoint>>>,
    /// Credits, 1 or more.
    reward: u64,
    /// When it ends by itself, ms since 1970.
    #[schema(value_type = Option<u64>)]
    deadline_at: Option<WallMs>,
}

/// Writes a mission down, as a draft.
#[utoipa::path(post, path = "/v1/missions", tag = "operator", security(("session" = [])),
    request_body = MissionOrder, responses((status = 201, body = MissionView),
    (status = 400, body = schemas::Problem), (status = 409, body = schemas::Problem)))]
pub(crate) async fn create(
    State(fleet): Shared,
    caller: Caller,
    Body(order): Body<MissionOrder>,
) -> Result<(StatusCode, Json<MissionView>)> {
    caller.may(Act::ManageMissions)?;
    let MissionOrder { id, name, robot, checkpoints, area, reward, deadline_at } = order;
    let id = id.unwrap_or_else(|| MissionId::new(Uuid::now_v7()));
    let new = NewMission { id, name, robot, checkpoints, area, reward, deadline_at };
    let mut tx = fleet.begin().await;
    let mission = missions::create(&mut tx, new).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(mission_of(&fleet, mission).await?)))
}

/// Which missions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MissionFilter {
    /// One state, or several with ',' between them.
    state: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 when left out.
    limit: Option<usize>,
}

/// Missions, newest first.
#[utoipa::path(get, path = "/v1/missions", tag = "everybody", security(("session" = [])),
    params(MissionFilter), responses((status = 200, body = Page<MissionView>)))]
pub(crate) async fn list(
    State(fleet): Shared,
    caller: Caller,
    Params(filter): Params<MissionFilter>,
) -> Result<Json<Page<MissionView>>> {
    caller.may(Act::Look)?;
    let limit = limit(filter.limit)?;
    let states = filter.state.as_deref().map(states).transpose()?;
    let mut after = cursor::<MissionId>(filter.cursor.as_deref())?.map(str::to_owned);
    let (mut items, mut looked) = (Vec::new(), 0);
    loop {
        let found = fleet.page::<Mission>(after.as_deref(), limit).await?;
        let last = found.len() < limit;
        for mission in found {
            looked += 1;
            after = Some(mission.id.to_string());
            if states.as_ref().is_none_or(|states| states.contains(&mission.state)) {
                items.push(mission_of(&fleet, mission).await?);
            }
            if items.len() == limit {
                return Ok(Json(Page { items, next: after }));
            }
        }
        if last {
            return Ok(Json(Page { items, next: None }));
        }
        if looked >= LOOK_MAX {
            return Ok(Json(Page { items, next: after }));
        }
    }
}

fn states(text: &str) -> Result<Vec<MissionState>> {
    let parse = |word: &str| {
        serde_json::from_value(serde_json::Value::from(word)).map_err(|_unknown| {
            Refused::bad_request(format!("state: {word:?} is no state of a mission"))
        })
    };
    text.split(',').map(parse).collect()
}

/// One mission.
#[utoipa::path(get, path = "/v1/missions/{id}", tag = "everybody", security(("session" = [])),
    params(("id" = String, Path)), responses((status = 200, body = MissionView),
    (status = 404, body = schemas::Problem)))]
pub(crate) async fn one(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<MissionId>,
) -> Result<Json<MissionView>> {
    caller.may(Act::Look)?;
    Ok(Json(mission_by_id(&fleet, &id).await?))
}

/// Puts the reward into escrow.
#[utoipa::path(post, path = "/v1/missions/{id}/fund", tag = "operator", security(("session" = [])),
    params(("id" = String, Path)), responses((status = 200, body = MissionView),
    (status = 409, body = schemas::Problem)))]
pub(crate) async fn fund(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<MissionId>,
) -> Result<Json<MissionView>> {
    caller.may(Act::ManageMissions)?;
    let mut tx = fleet.begin().await;
    let mission = missions::fund(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Json(mission_of(&fleet, mission).await?))
}

/// Puts it on the board.
#[utoipa::path(post, path = "/v1/missions/{id}/open", tag = "operator", security(("session" = [])),
    params(("id" = String, Path)), responses((status = 200, body = MissionView),
    (status = 409, body = schemas::Problem)))]
pub(crate) async fn open(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<MissionId>,
) -> Result<Json<MissionView>> {
    caller.may(Act::ManageMissions)?;
    let mut tx = fleet.begin().await;
    let mission = missions::open(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Json(mission_of(&fleet, mission).await?))
}

/// Takes it back; the reward goes back to the operator.
#[utoipa::path(post, path = "/v1/missions/{id}/cancel", tag = "operator", security(("session" = [])),
    params(("id" = String, Path)), responses((status = 200, body = MissionView),
    (status = 409, body = schemas::Problem)))]
pub(crate) async fn cancel(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<MissionId>,
) -> Result<Json<MissionView>> {
    caller.may(Act::ManageMissions)?;
    let mut tx = fleet.begin().await;
    let mission = missions::cancel(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Json(mission_of(&fleet, mission).await?))
}
