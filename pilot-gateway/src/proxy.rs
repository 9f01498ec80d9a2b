//! Everything of `/v1` that is not the gateway's own goes to the fleet server, streamed both ways.

use crate::app::Shared;
use crate::problem::ApiError;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use futures::StreamExt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long the fleet may take until its answer begins: checking a long episode takes a while.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a body that is no event stream may stand still.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Headers that are about one connection, not about the message (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The headers that are passed on: all but those about one connection and those that `Connection` names.
fn forwardable(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let passed = |name: &HeaderName| {
        !HOP_BY_HOP.contains(&name.as_str()) && !named.iter().any(|n| n == name.as_str())
    };
    let mut out = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        if passed(name) {
            out.append(name.clone(), value.clone());
        }
    }
    out
}

/// Whether a path means what it says: no segment that a URL parser would resolve away.
fn is_plain(path: &str) -> bool {
    let dots = |segment: &str| {
        let decoded = segment.to_ascii_lowercase().replace("%2e", ".");
        decoded == "." || decoded == ".."
    };
    !path.contains('\\') && !path.split('/').any(dots)
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

fn request_headers(request: &Request) -> HeaderMap {
    let mut headers = forwardable(request.headers());
    let host = headers.remove(header::HOST);
    let mut set = |name: &'static str, value: Option<HeaderValue>| {
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    // Overwritten, never appended: what a caller claims about itself is not passed on.
    let peer =
        peer.and_then(|ConnectInfo(peer)| HeaderValue::from_str(&peer.ip().to_string()).ok());
    set("x-forwarded-for", peer);
    set("x-forwarded-host", host);
    set("x-forwarded-proto", Some(HeaderValue::from_static("http")));
    headers
}

/// The request's body for the fleet, cut off beyond `limit` bytes; then `exceeded` is set.
fn limited(body: Body, limit: usize, exceeded: Arc<AtomicBool>) -> reqwest::Body {
    let mut left = limit;
    let stream = body.into_data_stream().map(move |chunk| {
        let chunk = chunk.map_err(|error| std::io::Error::other(error.to_string()))?;
        match left.checked_sub(chunk.len()) {
            Some(rest) => {
                left = rest;
                Ok(chunk)
            }
            None => {
                exceeded.store(true, Ordering::Relaxed);
                Err(std::io::Error::other("the body is too long"))
            }
        }
    });
    reqwest::Body::wrap_stream(stream)
}

fn response_body(response: reqwest::Response, endless: bool) -> Body {
    let chunks = response.bytes_stream();
    if endless {
        // An event stream is silent as long as nothing happens.
        return Body::from_stream(chunks);
    }
    let stream = futures::stream::unfold(Some(Box::pin(chunks)), |chunks| async move {
        let mut chunks = chunks?;
        match tokio::time::timeout(STALL_TIMEOUT, chunks.next()).await {
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(chunks))),
            Ok(Some(Err(error))) => Some((Err(std::io::Error::other(error)), None)),
            Ok(None) => None,
            Err(elapsed) => Some((Err(std::io::Error::other(elapsed)), None)),
        }
    });
    Body::from_stream(stream)
}

/// Passes a request to the fleet and its answer back.
pub async fn proxy(State(app): State<Shared>, request: Request) -> Result<Response, ApiError> {
    let path = request.uri().path();
    if !is_plain(path) {
        return Err(ApiError::bad_request("the path must not contain '.' or '..' segments"));
    }
    let limit = app.config.proxy_body_bytes_max;
    let stated = request.body().size_hint();
    if stated.lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(ApiError::too_large(limit));
    }
    let (client, base) = app.fleet.parts();
    let target = request.uri().path_and_query().map_or(path, |p| p.as_str());
    let mut upstream = client
        .request(request.method().clone(), format!("{base}{target}"))
        .headers(request_headers(&request));
    let exceeded = Arc::new(AtomicBool::new(false));
    if !request.body().is_end_stream() {
        upstream = upstream.body(limited(request.into_body(), limit, Arc::clone(&exceeded)));
    }
    app.metrics.proxied.add();
    let response = match tokio::time::timeout(HEAD_TIMEOUT, upstream.send()).await {
        Ok(Ok(response)) => response,
        _ if exceeded.load(Ordering::Relaxed) => return Err(ApiError::too_large(limit)),
        Ok(Err(error)) => {
            app.metrics.proxy_errors.add();
            tracing::warn!(error = ?error.without_url(), "the fleet server did not answer");
            return Err(ApiError::unavailable(
                "the fleet server does not answer; try again in a moment",
            ));
        }
        Err(_elapsed) => {
            app.metrics.proxy_errors.add();
            return Err(ApiError::new(
                504,
                protocol::problem::code::UNAVAILABLE,
                "the fleet server took too long to answer; try again",
            ));
        }
    };
    let status = response.status();
    let headers = forwardable(response.headers());
    let mut out = Response::new(response_body(response, is_event_stream(&headers)));
    *out.status_mut() = status;
    *out.headers_mut() = headers;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_one_connection_stay_on_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("authorization", "Bearer x"),
            ("content-length", "3"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let passed = forwardable(&headers);
        let mut names: Vec<_> = passed.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "content-length"]);
    }

    #[test]
    fn paths_that_a_url_parser_would_resolve_away_are_refused() {
        for good in ["/v1/robots", "/v1/a..b/c", "/v1/episodes/x/files/camera_front.mcap"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in ["/v1/../healthz", "/v1/%2e%2E/x", "/v1/./x", "/v1/.%2e", "/v1/..\\x"] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
