//! A port for each configured robot, with plain paths and without a token, as programs for the Earth Rovers API
//! expect it. The gateway signs in at the fleet with the port's key and speaks for it.
//!
//! Whoever can reach the port drives. It therefore listens on this machine only unless it is told otherwise, and
//! never obeys the page of another site that a browser on this machine happens to show.

use super::refused::Refused;
use crate::app::{Caller, Shared};
use crate::clock;
use crate::config::{EarthRover, load_key};
use crate::web;
use anyhow::Context;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use axum::{Extension, Router};
use protocol::ids::RobotId;
use protocol::keys::PrivateKey;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;

/// Pause after a sign-in that failed.
const RETRY: Duration = Duration::from_secs(1);
/// A key that the fleet refuses is tried again after this time.
const RETRY_REFUSED: Duration = Duration::from_secs(15);
/// Shortest pause between two sign-ins.
const RENEW_MIN: Duration = Duration::from_secs(10);

/// A port of one robot.
#[derive(Debug)]
pub struct Port {
    /// The robot.
    pub robot: RobotId,
    /// The mission that its clients must start first.
    pub mission: Option<String>,
    loopback: bool,
    key: PrivateKey,
    signed_in: Mutex<Result<Caller, Refused>>,
}

impl Port {
    /// The principal in whose name clients of this port drive.
    pub fn caller(&self, app: &Shared) -> Result<Caller, Refused> {
        app.fleet_info()?;
        self.signed_in.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, outcome: Result<Caller, Refused>) {
        *self.signed_in.lock().unwrap_or_else(PoisonError::into_inner) = outcome;
    }
}

/// Listens on the port of `config`. Gives the address, and the tasks that serve it and keep it signed in.
pub async fn open(
    app: &Shared,
    config: &EarthRover,
) -> anyhow::Result<(SocketAddr, Vec<tokio::task::JoinHandle<()>>)> {
    let key = load_key(&config.key)
        .with_context(|| format!("earth_rover of {}: a key is needed", config.robot))?;
    let asked = SocketAddr::new(config.bind, config.port);
    let listener = TcpListener::bind(asked).await.with_context(|| {
        format!("cannot listen on {asked} for {}: choose another port in earth_rover", config.robot)
    })?;
    let address = listener.local_addr()?;
    let waiting = Refused::new(503, "the fleet server has not answered yet; try again in a moment");
    let port = Arc::new(Port {
        robot: config.robot.clone(),
        mission: config.mission.clone(),
        loopback: config.bind.is_loopback(),
        key,
        signed_in: Mutex::new(Err(waiting)),
    });
    tracing::info!(robot = %port.robot, %address, principal = %port.key.did(), "serving the Earth Rovers API");
    let routes = router(app, &port);
    let listener = listener.tap_io(|stream| {
        // Small answers must not wait for more; failing to say so costs only time.
        stream.set_nodelay(true).ok();
    });
    let server = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "a port of the Earth Rovers API closed");
        }
    });
    let keeper = tokio::spawn(stay_signed_in(Arc::clone(app), port));
    Ok((address, vec![server, keeper]))
}

fn router(app: &Shared, port: &Arc<Port>) -> Router {
    super::router()
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(Extension(Arc::clone(port)))
        .layer(middleware::from_fn_with_state(Arc::clone(port), guard))
        .layer(middleware::from_fn(body_drain::finish))
        .layer(middleware::from_fn_with_state(Arc::clone(app), web::finish))
        .with_state(Arc::clone(app))
}

async fn stay_signed_in(app: Shared, port: Arc<Port>) {
    let mut told = false;
    loop {
        let pause = match app.fleet.sign_in(&port.key).await {
            Ok(session) => {
                let left_ms = session.claims.expires_at.0.saturating_sub(clock::wall().0);
                port.set(Ok(Caller { claims: session.claims, token: session.token }));
                told = false;
                // Long before the end, so that a fleet that is away for a while does not stop a drive.
                Duration::from_millis(left_ms / 2).max(RENEW_MIN)
            }
            Err(error) if (400..500).contains(&error.status()) && error.status() != 429 => {
                if !told {
                    told = true;
                    tracing::warn!(robot = %port.robot, principal = %port.key.did(),
                        detail = error.detail(), "the fleet does not take the key of this port");
                }
                let words = format!(
                    "User not found: the fleet does not take this port's key: {}",
                    error.detail()
                );
                port.set(Err(Refused::new(401, words)));
                RETRY_REFUSED
            }
            Err(error) => {
                tracing::debug!(robot = %port.robot, code = error.code(), "not signed in yet");
                let expired = match &*port.signed_in.lock().unwrap_or_else(PoisonError::into_inner)
                {
                    Ok(caller) => clock::wall() >= caller.claims.expires_at,
                    Err(_never_was) => true,
                };
                if expired {
                    port.set(Err(error.into()));
                }
                RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Whether `host` (of the `Host` header) names this machine by itself: a name that somebody's DNS answers for may
/// be a stranger's page that was pointed here.
fn names_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

/// Whether a request comes from a program, or from a page of this port, and not from a stranger's page.
fn is_own(headers: &HeaderMap, loopback: bool) -> bool {
    let text = |name| {
        headers.get(name).map(|value: &axum::http::HeaderValue| value.to_str().unwrap_or("?"))
    };
    let host = text(header::HOST).unwrap_or_default();
    if loopback && !host.is_empty() && !names_this_machine(host) {
        return false;
    }
    if let Some(origin) = text(header::ORIGIN) {
        return origin.split_once("://").is_some_and(|(_, of)| of.eq_ignore_ascii_case(host));
    }
    let site = headers.get("sec-fetch-site").map(|value| value.to_str().unwrap_or("?"));
    let navigates = headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
    // A link to the page may stand anywhere; its pictures and calls may not.
    site.is_none_or(|site| matches!(site, "same-origin" | "none")) || navigates
}

async fn guard(State(port): State<Arc<Port>>, request: Request, next: Next) -> Response {
    if is_own(request.headers(), port.loopback) {
        return next.run(request).await;
    }
    Refused::new(403, "this port takes no calls from pages of other sites").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn programs_and_own_pages_pass_and_strange_pages_do_not() {
        let own: [&[(&str, &str)]; 6] = [
            &[],
            &[("host", "localhost:8000")],
            &[("host", "127.0.0.1:8000"), ("origin", "http://127.0.0.1:8000")],
            &[("host", "[::1]:8000"), ("sec-fetch-site", "same-origin")],
            &[("host", "localhost:8000"), ("sec-fetch-site", "none")],
            &[
                ("host", "localhost:8000"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
            ],
        ];
        for pairs in own {
            assert!(is_own(&headers(pairs), true), "{pairs:?}");
        }
        let strange: [&[(&str, &str)]; 5] = [
            &[("host", "evil.example:8000")],
            &[("host", "localhost:8000"), ("origin", "http://evil.example")],
            &[("host", "localhost:8000"), ("origin", "null")],
            &[("host", "localhost:8000"), ("origin", "http://localhost:9000")],
            &[("host", "localhost:8000"), ("sec-fetch-site", "cross-site")],
        ];
        for pairs in strange {
            assert!(!is_own(&headers(pairs), true), "{pairs:?}");
        }
        let named = headers(&[("host", "rover.example:8000")]);
        assert!(is_own(&named, false), "a port for other machines may have a name");
    }
}
