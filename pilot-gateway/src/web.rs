//! The cockpit's files, and the headers that keep a page to itself.

use crate::app::Shared;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use std::io::ErrorKind;
use std::path::Path;
use tower_http::services::ServeDir;

/// What a page may load. Styles may be inline, because components set sizes and positions in their markup;
/// scripts may not. `blob:` is for pictures, video and workers that the page itself makes.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; media-src 'self' blob:; \
    font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(self), geolocation=(), payment=(), usb=()",
    ),
];

/// Sets the security headers on every answer and counts it.
pub async fn finish(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let status = response.status();
    match status.as_u16() {
        ..400 => app.metrics.good.add(),
        400..500 => app.metrics.refused.add(),
        500.. => app.metrics.failed.add(),
    }
    // The path only: a query may hold a token.
    tracing::debug!(%method, path, status = status.as_u16(), "answered");
    response
}

const MISSING: &str = r#"<!doctype html><html lang="en"><meta charset="utf-8"><title>Longrein</title>
<body style="font:16px/1.5 system-ui;max-width:40em;margin:4em auto;padding:0 1em">
<h1>The cockpit is not built yet</h1>
<p>The gateway runs, but its folder with web pages has no <code>index.html</code>. Build them:</p>
<pre>cd pilot-gateway/web
npm ci
npm run build</pre>
<p>Then load this page again. Another folder can be named with <code>--web</code>.
The <a href="/docs">API</a> works without the pages.</p>"#;

/// Files whose names carry a hash of their content never change; everything else is asked for again each time.
fn cache_control(path: &str, status: StatusCode) -> HeaderValue {
    let forever = path.starts_with("/assets/") && status.is_success();
    HeaderValue::from_static(if forever {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    })
}

/// A route of the page's own router: its last segment is no file name.
fn is_page_route(path: &str) -> bool {
    !path.rsplit('/').next().unwrap_or_default().contains('.')
}

async fn file(dir: &Path, method: &Method, uri: Uri, headers: HeaderMap) -> Response {
    let mut request = axum::http::Request::new(Body::empty());
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) =
        (method.clone(), uri, headers);
    match ServeDir::new(dir).try_call(request).await {
        Ok(response) => response.map(Body::new),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            StatusCode::NOT_FOUND.into_response()
        }
        Err(error) => {
            tracing::warn!(%error, "a web file cannot be read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A file of the web folder, or `index.html` for the page's own routes.
pub async fn serve(State(app): State<Shared>, request: Request) -> Response {
    let (parts, _body) = request.into_parts();
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    let dir = &app.config.web;
    if !tokio::fs::try_exists(dir.join("index.html")).await.unwrap_or(false) {
        let retry = [(header::CACHE_CONTROL, "no-store")];
        return (StatusCode::SERVICE_UNAVAILABLE, retry, Html(MISSING)).into_response();
    }
    let path = parts.uri.path().to_owned();
    let mut response = file(dir, &parts.method, parts.uri, parts.headers.clone()).await;
    let mut served = path.as_str();
    if !response.status().is_success()
        && response.status() != StatusCode::NOT_MODIFIED
        && is_page_route(&path)
    {
        served = "/index.html";
        response = file(dir, &parts.method, Uri::from_static("/index.html"), parts.headers).await;
    }
    let cache = cache_control(served, response.status());
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hashed_files_that_exist_are_kept_for_ever() {
        let cache = |path, status| cache_control(path, status).to_str().unwrap().to_owned();
        assert!(cache("/assets/index-4f2a.js", StatusCode::OK).contains("immutable"));
        assert_eq!(cache("/assets/gone.js", StatusCode::NOT_FOUND), "no-cache");
        assert_eq!(cache("/index.html", StatusCode::OK), "no-cache");
        assert_eq!(cache("/favicon.svg", StatusCode::OK), "no-cache");
        assert!(is_page_route("/drive/msn_1") && is_page_route("/") && is_page_route("/join"));
        assert!(!is_page_route("/assets/gone.js") && !is_page_route("/favicon.ico"));
    }
}
