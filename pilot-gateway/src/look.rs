//! `GET /v1/robots/{id}/look`: one picture. However many programs look, the robot gives each frame once.

use crate::app::{Caller, Kind, Shared, robot_id};
use crate::clock::rfc3339;
use crate::fabric;
use crate::problem::ApiError;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use protocol::ids::RobotId;
use protocol::keyexpr;
use protocol::problem::code;
use protocol::rover::{FrameInfo, open_frame};
use protocol::units::{MonoMs, WallMs};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use utoipa::IntoParams;

/// A picture younger than this is given to the next caller as well: less than one frame at 30 a second.
const SHARED_MS: u64 = 30;
/// How long a robot may take for a picture.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Robots and cameras whose newest picture is kept.
const SLOTS_MAX: usize = 256;
/// When the picture was taken, on the robot's wall clock.
pub const CAPTURE_TIME: HeaderName = HeaderName::from_static("x-capture-time");
/// When it was taken, on the robot's monotonic clock, milliseconds.
pub const CAPTURE_ROBOT_MS: HeaderName = HeaderName::from_static("x-capture-robot-ms");

/// One picture.
#[derive(Debug, Clone)]
pub struct Frame {
    jpeg: Bytes,
    about: FrameInfo,
}

type Slot = Arc<tokio::sync::Mutex<Option<(Frame, MonoMs)>>>;

/// The newest picture of each camera that someone looks through.
#[derive(Debug, Default)]
pub struct Frames(Mutex<BTreeMap<(RobotId, &'static str), Slot>>);

impl Frames {
    fn slot(&self, robot: &RobotId, camera: &'static str) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= SLOTS_MAX {
            // Slots that nobody waits on are only a cache of 30 ms.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry((robot.clone(), camera)).or_default())
    }
}

/// Query of a look.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct LookQuery {
    /// `front` (default) or `rear`.
    #[param(inline, example = "front")]
    camera: Option<String>,
    /// The session token, for an `<img>` that can't send headers.
    token: Option<String>,
}

/// The camera's name and its number in drive packets.
fn camera(name: Option<&str>) -> Result<(&'static str, u8), ApiError> {
    match name {
        None | Some("front") => Ok(("front", 0)),
        Some("rear") => Ok(("rear", 1)),
        Some(_) => Err(ApiError::bad_request("camera must be 'front' or 'rear'")),
    }
}

async fn frame(app: &Shared, robot: &RobotId, camera: &'static str) -> Result<Frame, ApiError> {
    let slot = app.frames.slot(robot, camera);
    // Callers who come while the robot is being asked wait here and get the same picture.
    let mut newest = slot.lock().await;
    if let Some((frame, asked_at)) = &*newest
        && app.clock.now().since(*asked_at) < SHARED_MS
    {
        return Ok(frame.clone());
    }
    let asked_at = app.clock.now();
    let session = app.session().map_err(|error| error.into_problem(robot))?;
    let key_expr = keyexpr::camera(robot, camera);
    let did = app.states().key_of(asked_at, robot);
    let read = |jpeg: &[u8], attachment: &[u8]| {
        let about = open_frame(&key_expr, jpeg, attachment, &did?).ok()?;
        Some(Frame { jpeg: Bytes::copy_from_slice(jpeg), about })
    };
    let asked = fabric::ask(&session, &key_expr, Vec::new(), None, TIMEOUT, read).await;
    match asked {
        Ok(frame) => {
            *newest = Some((frame.clone(), asked_at));
            Ok(frame)
        }
        Err(fabric::AskError::Words(words)) => Err(ApiError::new(404, code::NO_PICTURE, words)),
        Err(error) => Err(error.into_problem(robot)),
    }
}

/// The newest picture of a robot's camera.
///
/// What a driver sends next counts as its answer to the picture that it was given last: the robot moves only
/// while that picture is fresh, so look before each drive.
#[utoipa::path(
    get, path = "/v1/robots/{id}/look", tag = "programs", operation_id = "look",
    params(("id" = String, Path, description = "Robot", example = "demo-rover-1"), LookQuery),
    responses(
        (status = 200, description = "JPEG", body = Vec<u8>, content_type = "image/jpeg", headers(
            ("x-capture-time" = String, description = "When it was taken, RFC 3339, on the robot's wall clock"),
            ("x-capture-robot-ms" = u64, description = "When it was taken, on the robot's monotonic clock")
        )),
        (status = 401, description = "sign-in"), (status = 404, description = "robot-offline, no-picture"),
        (status = 429, description = "too-many"), (status = 503, description = "unavailable"),
    ),
    security(("session" = []))
)]
pub async fn look(
    State(app): State<Shared>,
    Path(id): Path<String>,
    query: Result<Query<LookQuery>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let caller: Caller = match &query.token {
        Some(token) => app.caller_of_token(token)?,
        None => app.caller(&headers)?,
    };
    app.admit(Kind::Look, &caller)?;
    let robot = robot_id(&id)?;
    let (name, number) = camera(query.camera.as_deref())?;
    // Only the robot's key tells its picture from a forged one.
    app.watch_robot(&robot, &caller.token).await?;
    let frame = frame(&app, &robot, name).await?;
    let capture = MonoMs(frame.about.capture_ms);
    app.drivers().looked(app.clock.now(), &robot, &caller.claims.did, number, capture);
    app.metrics.looks.add();
    let headers = [
        (header::CONTENT_TYPE, "image/jpeg".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (CAPTURE_TIME, rfc3339(WallMs(frame.about.wall_ms))),
        (CAPTURE_ROBOT_MS, frame.about.capture_ms.to_string()),
    ];
    Ok((headers, frame.jpeg).into_response())
}
