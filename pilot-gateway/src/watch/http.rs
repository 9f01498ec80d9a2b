//! `POST /v1/robots/{id}/watch`: WHEP (draft-ietf-wish-whep), so that standard players show a robot's video.

use super::stream_of;
use crate::app::{Caller, Kind, Shared, robot_id};
use crate::clock;
use crate::problem::ApiError;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::problem::code;
use serde::Deserialize;
use std::time::{Duration, Instant};
use utoipa::IntoParams;
use watch_relay::{Join, Joined, Offer, Refused, Restarted, ViewerId, sdp};

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// Query of a player.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct WatchQuery {
    /// `front` (default), `rear`, or another camera's name.
    #[param(inline, example = "front")]
    camera: Option<String>,
}

fn camera(query: WatchQuery) -> Result<String, ApiError> {
    let name = query.camera.unwrap_or_else(|| "front".to_owned());
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if (1..=32).contains(&name.len()) && name.chars().all(fits) {
        return Ok(name);
    }
    Err(ApiError::bad_request("camera must be the name of one, such as 'front' or 'rear'"))
}

/// Whether a body says that it is of this kind.
fn require(headers: &HeaderMap, kind: &str) -> Result<(), ApiError> {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let named = named.and_then(|value| value.split(';').next()).map(str::trim);
    if named.is_some_and(|named| named.eq_ignore_ascii_case(kind)) {
        return Ok(());
    }
    let detail = format!("the body must be {kind}, and say so as its Content-Type");
    Err(ApiError::new(415, code::BAD_REQUEST, detail))
}

async fn text(body: Body) -> Result<String, ApiError> {
    let bytes = to_bytes(body, sdp::LEN_MAX).await;
    let bytes = bytes.map_err(|_too_long_or_broken| ApiError::too_large(sdp::LEN_MAX))?;
    String::from_utf8(bytes.into())
        .map_err(|_no_text| ApiError::new(400, code::BAD_SDP, "the session description is no text"))
}

fn refused(refused: Refused) -> ApiError {
    let detail = refused.to_string();
    match refused {
        Refused::Account(_) => ApiError::new(429, code::TOO_MANY, detail),
        _full => ApiError::unavailable(detail),
    }
}

/// Until when a session may watch.
fn ends(caller: &Caller) -> Instant {
    let left_ms = caller.claims.expires_at.0.saturating_sub(clock::wall().0);
    // A session of years is as good as one that never ends, and an instant has its bounds.
    Instant::now() + Duration::from_millis(left_ms.min(30 * 86_400_000))
}

/// Servers for the player as WHEP has them.
fn links(app: &Shared, subject: &str) -> Vec<HeaderValue> {
    let mut links = Vec::new();
    for server in app.ice_servers(subject) {
        for url in &server.urls {
            let link = if server.username.is_empty() {
                format!("<{url}>; rel=\"ice-server\"")
            } else {
                format!(
                    "<{url}>; rel=\"ice-server\"; username=\"{}\"; credential=\"{}\"; credential-type=\"password\"",
                    server.username, server.credential
                )
            };
            // One that is no header value is left out: the others may do.
            links.extend(HeaderValue::from_str(&link));
        }
    }
    links
}

/// What a player needs to know before it offers: which servers help it to find a path.
#[utoipa::path(
    options, path = "/v1/robots/{id}/watch", tag = "watch", operation_id = "watch_options",
    params(("id" = String, Path, description = "Robot", example = "demo-rover-1")),
    responses((status = 204, description = "`Accept-Post`, and a `Link` for each STUN or TURN server when a session is sent")),
)]
pub async fn options(
    State(app): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    robot_id(&id)?;
    let mut response = (
        StatusCode::NO_CONTENT,
        [(ACCEPT_POST, SDP), (header::ALLOW, "OPTIONS, POST"), (header::CACHE_CONTROL, "no-store")],
    )
        .into_response();
    // Without a session there are no credentials.
    if headers.contains_key(header::AUTHORIZATION) {
        let caller = app.caller(&headers)?;
        app.admit(Kind::Call, &caller)?;
        for link in links(&app, &caller.claims.did.to_string()) {
            response.headers_mut().append(header::LINK, link);
        }
    }
    Ok(response)
}

/// Watches a robot's live video with a WHEP player.
///
/// The robot sends once, however many watch. Nobody who watches can move the robot, and the driver's picture comes first:
/// while the driver's link is short, spectators get a still picture every two seconds. The view ends with the session.
#[utoipa::path(
    post, path = "/v1/robots/{id}/watch", tag = "watch", operation_id = "watch",
    params(("id" = String, Path, description = "Robot", example = "demo-rover-1"), WatchQuery),
    request_body(content = String, content_type = "application/sdp", description = "Offer of a player: video, recvonly, H.264"),
    responses(
        (status = 201, description = "Answer; `Location` ends the view by DELETE", body = String, content_type = "application/sdp"),
        (status = 400, description = "bad-sdp, bad-request"), (status = 401, description = "sign-in"),
        (status = 403, description = "forbidden"), (status = 404, description = "not-found"),
        (status = 413, description = "too-large"), (status = 415, description = "bad-request"),
        (status = 429, description = "too-many"), (status = 503, description = "unavailable"),
    ),
    security(("session" = []))
)]
pub async fn watch(
    State(app): State<Shared>,
    Path(id): Path<String>,
    query: Result<Query<WatchQuery>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let caller = app.caller(&headers)?;
    app.admit(Kind::Open, &caller)?;
    let robot = robot_id(&id)?;
    let camera = camera(query)?;
    require(&headers, SDP)?;
    let offer = Offer::parse(&text(body).await?)
        .map_err(|error| ApiError::new(400, code::BAD_SDP, error.to_string()))?;
    // Asked each time, in the viewer's name: who may see the robot's page may watch the robot.
    let did = app.fleet.robot_did(&robot, &caller.token).await?;
    let stream = stream_of(&robot, &camera);
    app.watch.learn(&stream, did);
    let account = caller.claims.did.to_string();
    let join = Join { stream, account, offer, ends: ends(&caller) };
    let Joined { viewer, answer, etag } = app.watch.server.join(join).await.map_err(refused)?;
    let location = format!("/v1/robots/{robot}/watch/{viewer}");
    let mut response = (
        StatusCode::CREATED,
        [
            (header::CONTENT_TYPE, SDP.to_owned()),
            (header::LOCATION, location),
            (header::ETAG, format!("\"{etag}\"")),
            (header::CACHE_CONTROL, "no-store".to_owned()),
            (ACCEPT_PATCH, FRAGMENT.to_owned()),
        ],
        answer,
    )
        .into_response();
    for link in links(&app, &caller.claims.did.to_string()) {
        response.headers_mut().append(header::LINK, link);
    }
    Ok(response)
}

fn no_viewer() -> ApiError {
    ApiError::new(404, code::NOT_FOUND, "there is no such view any more; open another")
}

fn viewer_id(text: &str) -> Result<ViewerId, ApiError> {
    text.parse().map_err(|_no_number| no_viewer())
}

/// Candidates of a player, which this end does not need; or an ICE restart, when a player's address has changed.
#[utoipa::path(
    patch, path = "/v1/robots/{id}/watch/{viewer}", tag = "watch", operation_id = "watch_patch",
    params(("id" = String, Path, description = "Robot"), ("viewer" = String, Path, description = "From `Location`")),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag"),
    responses(
        (status = 200, description = "ICE restarted: the new user name and password, with a new `ETag`", body = String,
            content_type = "application/trickle-ice-sdpfrag"),
        (status = 204, description = "Taken"), (status = 400, description = "bad-sdp"),
        (status = 401, description = "sign-in"), (status = 404, description = "not-found"),
        (status = 415, description = "bad-request"), (status = 429, description = "too-many"),
    ),
    security(("session" = []))
)]
pub async fn patch(
    State(app): State<Shared>,
    Path((id, viewer)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let caller = app.caller(&headers)?;
    app.admit(Kind::Call, &caller)?;
    robot_id(&id)?;
    let viewer = viewer_id(&viewer)?;
    require(&headers, FRAGMENT)?;
    let theirs = sdp::fragment_ice(&text(body).await?)
        .map_err(|error| ApiError::new(400, code::BAD_SDP, error.to_string()))?;
    let account = caller.claims.did.to_string();
    match app.watch.server.restart(viewer, &account, theirs).await {
        Restarted::Unknown => Err(no_viewer()),
        Restarted::Same => Ok(StatusCode::NO_CONTENT.into_response()),
        Restarted::Anew { fragment, etag } => {
            let headers = [
                (header::CONTENT_TYPE, FRAGMENT.to_owned()),
                (header::ETAG, format!("\"{etag}\"")),
            ];
            Ok((headers, fragment).into_response())
        }
        Restarted::Failed(why) => Err(refused(why)),
    }
}

/// Ends a view.
#[utoipa::path(
    delete, path = "/v1/robots/{id}/watch/{viewer}", tag = "watch", operation_id = "watch_end",
    params(("id" = String, Path, description = "Robot"), ("viewer" = String, Path, description = "From `Location`")),
    responses(
        (status = 200, description = "Ended"), (status = 401, description = "sign-in"),
        (status = 404, description = "not-found"),
    ),
    security(("session" = []))
)]
pub async fn end(
    State(app): State<Shared>,
    Path((id, viewer)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let caller = app.caller(&headers)?;
    robot_id(&id)?;
    let account = caller.claims.did.to_string();
    if app.watch.server.leave(viewer_id(&viewer)?, &account).await {
        return Ok(StatusCode::OK);
    }
    Err(no_viewer())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_are_names_and_bodies_say_what_they_are() {
        let named = |name: &str| camera(WatchQuery { camera: Some(name.to_owned()) });
        assert_eq!(camera(WatchQuery { camera: None }).unwrap(), "front");
        assert!(named("rear").is_ok());
        for bad in ["", "*", "a/b", "front/live", &"x".repeat(33), "Ä"] {
            assert!(named(bad).is_err(), "{bad}");
        }
        let mut headers = HeaderMap::new();
        assert_eq!(require(&headers, SDP).unwrap_err().status(), 415);
        headers
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("Application/SDP; charset=x"));
        assert!(require(&headers, SDP).is_ok());
    }
}
