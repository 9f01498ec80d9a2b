//! Episodes: uploads by robots, reading by everybody.

use super::extract::{Body, Octets, Params, Segment, cursor, limit};
use super::schemas;
use crate::auth::{Act, Caller};
use crate::fleet::Fleet;
use crate::ingest;
use crate::model::Episode;
use crate::problems::{Refused, Result};
use crate::views::{EpisodeView, Page, episode_by_id, episode_of};
use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use protocol::api::{BeginUpload, UploadStatus};
use protocol::ids::{EpisodeId, MissionId, RobotId};
use serde::Deserialize;
use std::sync::Arc;
use tower_http::services::ServeFile;
use utoipa::IntoParams;

type Shared = State<Arc<Fleet>>;

/// Begins an upload, or goes on with one.
#[utoipa::path(post, path = "/v1/episodes", tag = "robots", security(("session" = [])),
    request_body = schemas::BeginUpload, responses((status = 200, body = schemas::UploadStatus),
    (status = 422, body = schemas::Problem)))]
pub(crate) async fn begin(
    State(fleet): Shared,
    caller: Caller,
    Body(order): Body<BeginUpload>,
) -> Result<Json<UploadStatus>> {
    caller.may(Act::Upload)?;
    Ok(Json(ingest::begin(&fleet, &caller.0, order).await?))
}

/// How far an upload is.
#[utoipa::path(get, path = "/v1/episodes/{id}/upload", tag = "robots", security(("session" = [])),
    params(("id" = String, Path)), responses((status = 200, body = schemas::UploadStatus)))]
pub(crate) async fn upload(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<EpisodeId>,
) -> Result<Json<UploadStatus>> {
    caller.may(Act::Upload)?;
    Ok(Json(ingest::upload_status(&fleet, &caller.0, id).await?))
}

/// Where to append.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Offset {
    /// Bytes that the server has.
    offset: u64,
}

/// Appends to a file: at most 4 MiB.
#[utoipa::path(patch, path = "/v1/episodes/{id}/files/{name}", tag = "robots",
    security(("session" = [])), params(("id" = String, Path), ("name" = String, Path), Offset),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = schemas::UploadStatus),
    (status = 409, body = schemas::Problem, description = "`received` is the right offset"),
    (status = 413, body = schemas::Problem), (status = 507, body = schemas::Problem)))]
pub(crate) async fn append(
    State(fleet): Shared,
    caller: Caller,
    Segment((id, name)): Segment<(EpisodeId, String)>,
    Params(Offset { offset }): Params<Offset>,
    Octets(bytes): Octets,
) -> Result<Json<UploadStatus>> {
    caller.may(Act::Upload)?;
    Ok(Json(ingest::append(&fleet, &caller.0, id, &name, offset, bytes).await?))
}

/// Verifies a whole upload, keeps it, settles its mission, and signs the receipt.
#[utoipa::path(post, path = "/v1/episodes/{id}/complete", tag = "robots", security(("session" = [])),
    params(("id" = String, Path)), responses((status = 200, body = schemas::UploadStatus),
    (status = 422, body = schemas::Problem, description = "members `file`, `from`, `to` say where")))]
pub(crate) async fn complete(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<EpisodeId>,
) -> Result<Json<UploadStatus>> {
    caller.may(Act::Upload)?;
    Ok(Json(ingest::complete(&fleet, &caller.0, id).await?))
}

/// Which episodes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EpisodeFilter {
    /// Of this robot.
    #[param(value_type = Option<String>)]
    robot: Option<RobotId>,
    /// Of this mission.
    #[param(value_type = Option<String>)]
    mission: Option<MissionId>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 when left out.
    limit: Option<usize>,
}

impl EpisodeFilter {
    fn passes(&self, episode: &Episode) -> bool {
        self.robot.as_ref().is_none_or(|robot| *robot == episode.robot)
            && (self.mission.is_none() || self.mission == episode.mission)
    }
}

/// Episodes, newest first.
#[utoipa::path(get, path = "/v1/episodes", tag = "everybody", security(("session" = [])),
    params(EpisodeFilter), responses((status = 200, body = Page<EpisodeView>)))]
pub(crate) async fn list(
    State(fleet): Shared,
    caller: Caller,
    Params(filter): Params<EpisodeFilter>,
) -> Result<Json<Page<EpisodeView>>> {
    caller.may(Act::Look)?;
    let limit = limit(filter.limit)?;
    let after = cursor::<EpisodeId>(filter.cursor.as_deref())?;
    let passes = |episode: &Episode| filter.passes(episode);
    let (found, next) = fleet.page_of::<Episode>(after, limit, passes).await?;
    let mut items = Vec::with_capacity(found.len());
    for one in found {
        items.push(episode_of(&fleet, one).await?);
    }
    Ok(Json(Page { items, next }))
}

/// One episode.
#[utoipa::path(get, path = "/v1/episodes/{id}", tag = "everybody", security(("session" = [])),
    params(("id" = String, Path)), responses((status = 200, body = EpisodeView),
    (status = 404, body = schemas::Problem)))]
pub(crate) async fn one(
    State(fleet): Shared,
    caller: Caller,
    Segment(id): Segment<EpisodeId>,
) -> Result<Json<EpisodeView>> {
    caller.may(Act::Look)?;
    Ok(Json(episode_by_id(&fleet, &id).await?))
}

/// A file of an accepted episode; ranges work.
#[utoipa::path(get, path = "/v1/episodes/{id}/files/{name}", tag = "everybody",
    security(("session" = [])), params(("id" = String, Path), ("name" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream"),
    (status = 404, body = schemas::Problem)))]
pub(crate) async fn file(
    State(fleet): Shared,
    caller: Caller,
    Segment((id, name)): Segment<(EpisodeId, String)>,
    request: Request,
) -> Result<Response> {
    caller.may(Act::Look)?;
    let path = ingest::file_path(&fleet, id, &name).await?;
    let served = ServeFile::new(path).try_call(request).await.map_err(Refused::internal)?;
    Ok(served.into_response())
}
