//! Passes every request on to the gateway, in the name of the key, and its answer back: streams and websockets too.

use crate::driver;
use crate::guard;
use crate::ledger::{self, Full};
use crate::rover::Rover;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Longest body that is passed on, bytes. The API's own are shorter.
const BODY_LEN_MAX: usize = 64 * 1024;
/// How much of a longer body is read and thrown away, so that its sender gets to read why.
const DRAINED_LEN_MAX: usize = 16 * 1024 * 1024;
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Header with the mission that the client drives when it drives one.
const MISSION: HeaderName = HeaderName::from_static("longrein-mission");
/// Headers that are about one connection (RFC 9110, section 7.6.1), or about the client and this program only.
const NOT_PASSED: [&str; 16] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "authorization",
    "cookie",
    "expect",
    "host",
    "origin",
    "longrein-lease",
    "longrein-command",
];

/// Everything is passed on.
pub(crate) fn router(rover: &Arc<Rover>) -> axum::Router {
    axum::Router::new().fallback(pass).with_state(Arc::clone(rover))
}

/// An answer of our own, in the shape of the API's.
fn detail(status: StatusCode, words: &str) -> Response {
    (status, axum::Json(serde_json::json!({ "detail": words }))).into_response()
}

fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut out = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        if !NOT_PASSED.contains(&name.as_str()) && !named.iter().any(|n| n == name.as_str()) {
            out.append(name.clone(), value.clone());
        }
    }
    out
}

/// Whether a path means what it says: no segment that a URL parser would resolve away, out of the rover's own paths.
fn is_plain(path: &str) -> bool {
    let dots = |segment: &str| {
        let decoded = segment.to_ascii_lowercase().replace("%2e", ".");
        decoded == "." || decoded == ".."
    };
    !path.contains('\\') && !path.split('/').any(dots)
}

fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
}

/// The whole body, or the answer to one that is too long or does not arrive.
async fn read(body: Body) -> Result<Bytes, Response> {
    let stated = body.size_hint().lower();
    let (mut body, mut kept, mut length) = (body.into_data_stream(), Vec::new(), 0_usize);
    let whole = async {
        while let Some(chunk) = body.next().await {
            let Ok(chunk) = chunk else { return false };
            length = length.saturating_add(chunk.len());
            if length <= BODY_LEN_MAX {
                kept.extend_from_slice(&chunk);
            } else if length > DRAINED_LEN_MAX || stated > DRAINED_LEN_MAX as u64 {
                return true;
            }
        }
        true
    };
    let whole = tokio::time::timeout(BODY_TIMEOUT, whole).await.unwrap_or(false);
    if length > BODY_LEN_MAX {
        let words = format!("the body is too long: at most {BODY_LEN_MAX} bytes are taken");
        return Err(detail(StatusCode::PAYLOAD_TOO_LARGE, &words));
    }
    if !whole {
        return Err(detail(StatusCode::BAD_REQUEST, "the body did not arrive whole"));
    }
    Ok(kept.into())
}

/// How often a request is sent again after a lease was opened for it.
const LEASES_MAX: u32 = 3;

/// A request as it is sent, once or once more.
struct Outgoing {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
    /// Both parts of a command, in millionths.
    command: Option<(i32, i32)>,
}

impl Outgoing {
    async fn send(&self, rover: &Rover, token: &str) -> reqwest::Result<reqwest::Response> {
        let (client, _) = rover.gateway.parts();
        let mut request = client
            .request(self.method.clone(), &self.url)
            .headers(self.headers.clone())
            .bearer_auth(token);
        if !self.body.is_empty() {
            request = request.body(self.body.clone());
        }
        request.send().await
    }

    /// Sends it in the driver's name, with a session that is renewed and a lease that is opened when need be. Neither
    /// has moved anything by the time that the gateway asks for it: it is safe to send the request again.
    async fn send_as_driver(
        &mut self,
        rover: &Rover,
    ) -> Result<reqwest::Result<reqwest::Response>, Response> {
        let mut leases = 0;
        loop {
            let used = rover.driver.stamp(&mut self.headers, self.command).map_err(|Full| {
                let words = "the gateway takes no receipts of what you drive; wait, or start again";
                detail(StatusCode::SERVICE_UNAVAILABLE, words)
            })?;
            let on_its_way = rover.driver.on_its_way(used, &self.headers);
            let token = rover.token();
            let mut answer = self.send(rover, &token).await;
            let refused = answer.as_ref().is_ok_and(|a| a.status() == StatusCode::UNAUTHORIZED);
            if refused && let Some(token) = rover.renewed(&token).await {
                answer = self.send(rover, &token).await;
            }
            drop(on_its_way);
            let Ok(known) = &answer else { return Ok(answer) };
            rover.driver.saw(known.headers());
            if self.command.is_some() && known.status().is_success() {
                rover.driver.obeyed(used);
            }
            match driver::lease_wanted(known.status(), known.headers()) {
                Some(mission) if leases < LEASES_MAX => {
                    leases += 1;
                    let taken = rover.take_lease(used, mission).await;
                    taken.map_err(|(status, words)| detail(status, &words))?;
                }
                Some(_) | None => return Ok(answer),
            }
        }
    }
}

/// Handles every request.
async fn pass(State(rover): State<Arc<Rover>>, mut request: Request) -> Response {
    if let Some(words) = guard::objection(request.method(), request.headers(), rover.local_only) {
        return detail(StatusCode::FORBIDDEN, words);
    }
    if rover.stopping.load(Ordering::Relaxed) {
        let words = "longrein is stopping; start `longrein earth-rover` again";
        return detail(StatusCode::SERVICE_UNAVAILABLE, words);
    }
    let Ok(place) = Arc::clone(&rover.places).try_acquire_owned() else {
        let words = "too many requests at once; close some /feed viewers or wait for answers";
        return detail(StatusCode::SERVICE_UNAVAILABLE, words);
    };
    if !is_plain(request.uri().path()) {
        return detail(StatusCode::NOT_FOUND, "Not Found");
    }
    let upgrade = asks_for_websocket(request.headers())
        .then(|| request.extensions_mut().remove::<OnUpgrade>())
        .flatten();
    let (head, body) = request.into_parts();
    let body = match read(body).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let posted = (head.method == Method::POST).then(|| head.uri.path());
    let command = match posted {
        Some("/control" | "/control-legacy") => ledger::parts(&body),
        Some("/end-mission") => {
            rover.settle(true).await;
            None
        }
        Some("/start-mission") => {
            rover.settle(false).await;
            None
        }
        Some(_) | None => None,
    };
    let mut headers = passed_on(&head.headers);
    headers.remove(header::CONTENT_LENGTH);
    if let Some(mission) = &rover.mission {
        headers.insert(MISSION, mission.clone());
    }
    if upgrade.is_some() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let url = format!("{}{target}", rover.base());
    let mut outgoing = Outgoing { method: head.method, url, headers, body, command };
    let answer = match outgoing.send_as_driver(&rover).await {
        Ok(answer) => answer,
        Err(refusal) => return refusal,
    };
    match (answer, upgrade) {
        (Ok(answer), Some(upgrade)) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
            switch(answer, upgrade, place)
        }
        (Ok(answer), _) => {
            let (status, headers) = (answer.status(), passed_on(answer.headers()));
            let chunks = answer.bytes_stream().map(move |chunk| {
                // The place is taken until the last byte went out.
                let _taken = &place;
                chunk
            });
            let mut out = Response::new(Body::from_stream(chunks));
            *out.status_mut() = status;
            *out.headers_mut() = headers;
            out
        }
        (Err(error), _) => unanswered(&rover, &error),
    }
}

fn unanswered(rover: &Rover, error: &reqwest::Error) -> Response {
    let (_, gateway) = rover.gateway.parts();
    if error.is_connect() || error.is_timeout() {
        let words = format!(
            "the gateway {gateway} does not answer: check that it runs and that this machine reaches it (--url); \
             the robot stops by itself"
        );
        return detail(StatusCode::SERVICE_UNAVAILABLE, &words);
    }
    let words = format!(
        "the connection to the gateway {gateway} broke; whether the request was obeyed is unknown: look at /data \
         and send it again"
    );
    detail(StatusCode::BAD_GATEWAY, &words)
}

/// Joins the two connections of a websocket until one of them ends.
fn switch(
    answer: reqwest::Response,
    upgrade: OnUpgrade,
    place: tokio::sync::OwnedSemaphorePermit,
) -> Response {
    let mut headers = passed_on(answer.headers());
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    tokio::spawn(async move {
        let _taken = place;
        let (Ok(mut server), Ok(client)) = (answer.upgrade().await, upgrade.await) else { return };
        let mut client = TokioIo::new(client);
        // Either side may go at any time; the other is closed with it.
        tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
    });
    let mut out = Response::new(Body::empty());
    *out.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *out.headers_mut() = headers;
    out
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
