//! `/v2/front`, `/v2/rear`, `/v2/screenshot`, `/screenshot` and `/feed`: all from one cache of what the robot sends
//! while anybody asks.

use super::client::{Client, FIRST_MS};
use super::openapi::ErrorDocument;
use super::refused::Refused;
use super::source::{Frame, View, seconds};
use super::{draw, map};
use axum::body::Body;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::stream;
use protocol::rover::Terms;
use serde::Deserialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long a poller waits for a picture that it has not had yet, at least: three at 30 a second. A slower camera is
/// given the time of two of its pictures and a little, up to the second bound.
const NEXT_MS: u64 = 100;
const NEXT_MS_MAX: u64 = 250;
const NEXT_SLACK_MS: u64 = 20;
/// A picture that arrived longer ago than this is not given as the present.
const AGE_MS_MAX: u64 = 500;
/// Viewers of all feeds at the same time.
const VIEWERS_MAX: usize = 512;
/// A feed ends when the camera was silent for this long.
const SILENT_MS_MAX: u64 = 10_000;
static VIEWERS: AtomicUsize = AtomicUsize::new(0);
/// Screenshots that are made at the same time: each takes a core for a moment.
static PAINTERS: Semaphore = Semaphore::const_new(1);
const NO_REAR: &str = "Rear camera is not available";

/// The robot's terms, once they are known, and whether it has a camera of this name.
async fn terms(client: &Client, view: View) -> Result<Arc<super::source::Sensed>, Refused> {
    let sensed = client.sensed().await?;
    if sensed.report.terms.cameras.iter().any(|name| name == view.name()) {
        return Ok(sensed);
    }
    Err(Refused::new(
        404,
        match view {
            View::Front => "Front frame not available",
            View::Rear => NO_REAR,
        },
    ))
}

/// The next picture, or why there is none.
async fn next(client: &Client, view: View, terms: &Terms) -> Result<Arc<Frame>, Refused> {
    let newest = client.rover.source.camera(view).get();
    let newest = newest.filter(|newest| client.now().since(newest.arrived) <= FIRST_MS);
    let begun = newest.is_some();
    let wait_ms = newest.map_or(FIRST_MS, |newest| {
        let two = newest.every_ms.saturating_mul(2).saturating_add(NEXT_SLACK_MS);
        two.clamp(NEXT_MS, NEXT_MS_MAX)
    });
    let Some(frame) = client.next_frame(view, wait_ms, AGE_MS_MAX).await else {
        let name = view.name();
        return Err(if begun {
            Refused::new(503, format!("the {name} camera gave no new picture within {wait_ms} ms"))
        } else if view == View::Front {
            Refused::new(404, "Front frame not available")
        } else {
            Refused::new(404, NO_REAR)
        });
    };
    client.looked(view, &frame, Some(terms));
    Ok(frame)
}

/// The newest picture's capture time on the robot's clock, as `/v1/robots/{id}/look` says it: what a driver signs that
/// it saw.
const CAPTURE: &str = "x-capture-robot-ms";

fn picture_text(text: String, capture_ms: u64) -> Response {
    let mut response = json_text(text);
    response.headers_mut().insert(CAPTURE, capture_ms.into());
    response
}

fn json_text(text: String) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, text).into_response()
}

async fn one(client: Client, view: View) -> Result<Response, Refused> {
    client.gate()?;
    let sensed = terms(&client, view).await?;
    let frame = next(&client, view, &sensed.report.terms).await?;
    // By hand: base64 needs no escaping, and a picture is long.
    let (name, text, at) = (view.name(), frame.base64(), frame.captured_s());
    let json = format!(r#"{{"{name}_frame":"{text}","timestamp":{at}}}"#);
    Ok(picture_text(json, frame.info.capture_ms))
}

/// `GET /v2/front`: a picture that this client was not given yet, with its capture time.
#[utoipa::path(get, path = "/v2/front", tag = "earth-rover",
    responses((status = 200, description = "`{front_frame, timestamp}`: base64 of a JPEG", body = Object),
    (status = 404, description = "Front frame not available", body = ErrorDocument),
    (status = 503, description = "No new picture came in time", body = ErrorDocument)))]
pub async fn front(client: Client) -> Result<Response, Refused> {
    one(client, View::Front).await
}

/// `GET /v2/rear`.
#[utoipa::path(get, path = "/v2/rear", tag = "earth-rover",
    responses((status = 200, description = "`{rear_frame, timestamp}`: base64 of a JPEG", body = Object),
    (status = 404, description = "Rear camera is not available", body = ErrorDocument),
    (status = 503, description = "No new picture came in time", body = ErrorDocument)))]
pub async fn rear(client: Client) -> Result<Response, Refused> {
    one(client, View::Rear).await
}

/// `GET /v2/screenshot`: both cameras, as far as the robot has them.
#[utoipa::path(get, path = "/v2/screenshot", tag = "earth-rover",
    responses((status = 200, description = "`{front_frame, front_timestamp, rear_frame, rear_timestamp, timestamp}`", body = Object),
    (status = 404, description = "Frames not available", body = ErrorDocument)))]
pub async fn both(client: Client) -> Result<Response, Refused> {
    client.gate()?;
    let sensed = client.sensed().await?;
    let terms = &sensed.report.terms;
    let has = |view: View| terms.cameras.iter().any(|name| name == view.name());
    let get = |view: View| {
        let client = &client;
        async move { if has(view) { next(client, view, terms).await.ok() } else { None } }
    };
    let (rear, front) = futures::join!(get(View::Rear), get(View::Front));
    let mut members = Vec::new();
    let (mut newest_ms, mut capture_ms) = (0, 0);
    for (view, frame) in [(View::Front, front), (View::Rear, rear)] {
        let Some(frame) = frame else { continue };
        let (name, text, at) = (view.name(), frame.base64(), frame.captured_s());
        members.push(format!(r#""{name}_frame":"{text}","{name}_timestamp":{at}"#));
        newest_ms = newest_ms.max(frame.info.wall_ms);
        capture_ms = capture_ms.max(frame.info.capture_ms);
    }
    if members.is_empty() {
        return Err(Refused::new(404, "Frames not available"));
    }
    let at = seconds(newest_ms);
    Ok(picture_text(format!(r#"{{{},"timestamp":{at}}}"#, members.join(",")), capture_ms))
}

/// Which views a screenshot has.
#[derive(Debug, Deserialize)]
pub struct ScreenshotQuery {
    view_types: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shot {
    Camera(View),
    Map,
}

fn shots(text: Option<&str>) -> Result<Vec<Shot>, Refused> {
    let mut wanted = Vec::new();
    for name in text.unwrap_or("rear,map,front").split(',').map(str::trim) {
        let shot = match name {
            "map" => Shot::Map,
            name => Shot::Camera(View::parse(name).ok_or_else(|| {
                let name: String = name.chars().take(40).collect();
                Refused::bad(format!("Invalid view type: {name}"))
            })?),
        };
        if !wanted.contains(&shot) {
            wanted.push(shot);
        }
    }
    Ok(wanted)
}

/// `GET /screenshot?view_types=rear,map,front`: PNG pictures; the map is drawn here. Nothing is written to a disk.
#[utoipa::path(get, path = "/screenshot", tag = "earth-rover",
    params(("view_types" = Option<String>, Query, description = "`rear`, `map`, `front`, with commas between")),
    responses((status = 200, description = "`{rear_frame, map_frame, front_frame, timestamp}`: base64 of PNG", body = Object),
    (status = 400, description = "Invalid view type", body = ErrorDocument),
    (status = 404, description = "Views not available", body = ErrorDocument)))]
pub async fn screenshot(
    client: Client,
    query: Result<Query<ScreenshotQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(query) = query.map_err(|error| Refused::bad(error.body_text()))?;
    let wanted = shots(query.view_types.as_deref())?;
    client.gate()?;
    client.rover.admit_shot(client.now())?;
    let sensed = client.sensed().await?;
    let terms = &sensed.report.terms;
    let mut parts: Vec<(&'static str, Part)> = Vec::new();
    let mut missing = Vec::new();
    let mut newest_ms = sensed.report.at.0;
    for shot in wanted {
        match shot {
            Shot::Map => parts.push(("map", Part::Map(Box::new(map::Scene::of(&client, &sensed))))),
            Shot::Camera(view) => {
                let has = terms.cameras.iter().any(|name| name == view.name());
                match if has { next(&client, view, terms).await.ok() } else { None } {
                    Some(frame) => {
                        newest_ms = newest_ms.max(frame.info.wall_ms);
                        parts.push((view.name(), Part::Jpeg(frame.jpeg.clone())));
                    }
                    None => missing.push(view.name()),
                }
            }
        }
    }
    if !missing.is_empty() {
        return Err(Refused::new(404, format!("Views not available: {}", missing.join(", "))));
    }
    let broke = || Refused::new(500, "the screenshot could not be made; try again");
    let permit = PAINTERS.acquire().await.map_err(|_closed| broke())?;
    let painted = tokio::task::spawn_blocking(move || paint(parts)).await;
    drop(permit);
    let members = painted.map_err(|error| {
        tracing::error!(%error, "a screenshot broke off");
        broke()
    })??;
    Ok(json_text(format!(r#"{{{members},"timestamp":{}}}"#, seconds(newest_ms))))
}

enum Part {
    Jpeg(Bytes),
    Map(Box<map::Scene>),
}

fn paint(parts: Vec<(&'static str, Part)>) -> Result<String, Refused> {
    let mut members = Vec::new();
    for (name, part) in parts {
        let canvas = match part {
            Part::Jpeg(jpeg) => draw::from_jpeg(&jpeg),
            Part::Map(scene) => Ok(map::draw(&scene)),
        };
        let png = canvas.and_then(|canvas| canvas.png()).map_err(|error| {
            tracing::warn!(name, %error, "a picture could not become PNG");
            Refused::new(500, format!("the {name} picture could not be made: {error}"))
        })?;
        members.push(format!(r#""{name}_frame":"{}""#, STANDARD.encode(png)));
    }
    Ok(members.join(","))
}

/// Which feed.
#[derive(Debug, Deserialize)]
pub struct FeedQuery {
    view: Option<String>,
    fps: Option<String>,
}

/// A place among the viewers, given back when it is dropped.
struct Viewer {
    client: Client,
    view: View,
    terms: Terms,
    every: Duration,
    last: Option<protocol::rover::FrameInfo>,
    due: tokio::time::Instant,
}

impl Viewer {
    fn take_place() -> bool {
        let more = |n| (n < VIEWERS_MAX).then_some(n + 1);
        VIEWERS.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    /// The next part. A viewer whose connection takes nothing is not asked, and so misses pictures instead of
    /// having them queued.
    async fn part(&mut self) -> Option<Bytes> {
        tokio::time::sleep_until(self.due).await;
        let source = Arc::clone(&self.client.rover.source);
        let mut frames = source.camera(self.view).subscribe();
        let silent_at = self.client.now().plus(SILENT_MS_MAX);
        loop {
            source.want_frames(&self.client.app, self.view);
            let now = self.client.now();
            let newest = frames.borrow_and_update().clone().filter(|frame| {
                now.since(frame.arrived) <= AGE_MS_MAX
                    && self.last.is_none_or(|last| !frame.is(&last))
            });
            if let Some(frame) = newest {
                self.last = Some(frame.info);
                self.due = (self.due + self.every).max(tokio::time::Instant::now());
                self.client.looked(self.view, &frame, Some(&self.terms));
                return Some(part(&frame.jpeg));
            }
            if now >= silent_at {
                return None;
            }
            let pause = Duration::from_millis(500);
            tokio::time::timeout(pause, frames.changed()).await.ok();
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        VIEWERS.fetch_sub(1, Ordering::AcqRel);
    }
}

fn part(jpeg: &Bytes) -> Bytes {
    let head =
        format!("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len());
    Bytes::from([head.as_bytes(), jpeg, b"\r\n"].concat())
}

/// Pictures a second that a viewer asks for, held within 1 to 30; 15 when it asks for none.
fn fps(text: Option<&str>) -> Result<f64, Refused> {
    let Some(text) = text else { return Ok(15.0) };
    match text.parse::<f64>() {
        Ok(fps) if !fps.is_nan() => Ok(fps.clamp(1.0, 30.0)),
        Ok(_) | Err(_) => {
            let shown: String = text.chars().take(40).collect();
            Err(Refused::bad(format!("fps is {shown:?}; it must be a number from 1 to 30")))
        }
    }
}

/// `GET /feed?view=front&fps=15`: MJPEG from the same cache as all else, for any number of viewers.
#[utoipa::path(get, path = "/feed", tag = "earth-rover",
    params(("view" = Option<String>, Query, description = "`front` or `rear`"),
    ("fps" = Option<f64>, Query, description = "1 to 30")),
    responses((status = 200, description = "MJPEG", content_type = "multipart/x-mixed-replace", body = String),
    (status = 400, description = "Invalid view or fps", body = ErrorDocument),
    (status = 404, description = "No such camera", body = ErrorDocument),
    (status = 503, description = "Too many viewers", body = ErrorDocument)))]
pub async fn feed(
    client: Client,
    query: Result<Query<FeedQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(query) = query.map_err(|error| Refused::bad(error.body_text()))?;
    let name = query.view.unwrap_or_else(|| "front".to_owned());
    let view = View::parse(&name).ok_or_else(|| {
        let name: String = name.chars().take(40).collect();
        Refused::bad(format!("Invalid view: {name}; it must be front or rear"))
    })?;
    let fps = fps(query.fps.as_deref())?;
    client.gate()?;
    let sensed = terms(&client, view).await?;
    if !Viewer::take_place() {
        return Err(Refused::new(503, "too many viewers; try again later"));
    }
    let mut viewer = Viewer {
        client,
        view,
        terms: sensed.report.terms.clone(),
        every: Duration::from_secs_f64(1.0 / fps),
        last: None,
        due: tokio::time::Instant::now(),
    };
    let first_in = tokio::time::timeout(Duration::from_millis(FIRST_MS), viewer.part()).await;
    let Ok(Some(first)) = first_in else {
        return Err(Refused::new(503, format!("the {name} camera gives no picture now")));
    };
    let rest = stream::unfold(viewer, |mut viewer| async move {
        let part = viewer.part().await?;
        Some((Ok::<_, std::io::Error>(part), viewer))
    });
    let parts = futures::StreamExt::chain(stream::once(async move { Ok(first) }), rest);
    let headers = [
        (header::CONTENT_TYPE, "multipart/x-mixed-replace; boundary=frame"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(parts)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_named_or_refused() {
        let all = [Shot::Camera(View::Rear), Shot::Map, Shot::Camera(View::Front)];
        assert_eq!(shots(None), Ok(all.to_vec()));
        assert_eq!(shots(Some("map, map")), Ok(vec![Shot::Map]));
        let refused = shots(Some("front,sky")).unwrap_err();
        assert_eq!(refused, Refused::bad("Invalid view type: sky"));
        assert!(shots(Some("")).is_err());
    }

    #[test]
    fn the_rate_of_a_feed_is_clamped() {
        assert_eq!(fps(None), Ok(15.0));
        for (text, expected) in [("0", 1.0), ("-3", 1.0), ("99", 30.0), ("7.5", 7.5)] {
            assert_eq!(fps(Some(text)), Ok(expected));
        }
        for text in ["NaN", "fast", ""] {
            assert!(fps(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_part_is_framed_as_the_api_frames_it() {
        let part = part(&Bytes::from_static(b"\xff\xd8x"));
        let head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 3\r\n\r\n\xff\xd8x\r\n";
        assert_eq!(&part[..], head);
    }
}
