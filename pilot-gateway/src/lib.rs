//! The pilot gateway: the one public address of a fleet.
//!
//! It serves the cockpit's files, carries a browser's offer to a robot and the answer back, lets programs drive
//! through it ([`programs`]), and passes everything else of `/v1` to the fleet server ([`proxy`]).
//!
//! What decides is pure ([`drivers`], [`verdict`], [`states`], [`rates`], [`auth`]); the rest are shells. The
//! gateway holds no power of its own: every lease is its caller's, signed by the fleet; every answer is signed by
//! the robot; and nothing here can make a robot move that would otherwise stand.

mod access;
pub mod app;
pub mod auth;
pub mod clock;
pub mod config;
pub mod drivers;
pub mod fabric;
pub mod fleet;
pub mod https;
pub mod keys;
pub mod look;
pub mod metrics;
pub mod openapi;
pub mod problem;
pub mod programs;
pub mod proxy;
pub mod rates;
pub mod relay;
pub mod rover;
pub mod safety;
pub mod session;
pub mod states;
pub mod turn;
pub mod verdict;
pub mod views;
pub mod watch;
pub mod web;

use crate::app::{App, Shared};
use crate::problem::ApiError;
use anyhow::Context;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, patch, post};
use axum::serve::{Listener, ListenerExt, TapIo};
use axum::{Json, Router, middleware};
use protocol::keys::PrivateKey;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch as channel;
use tokio::task::{AbortHandle, JoinHandle};

/// How often the gateway asks again who the fleet is.
const FLEET_REFRESH: Duration = Duration::from_secs(60);
/// How often it asks while the fleet has not answered yet.
const FLEET_RETRY: Duration = Duration::from_millis(300);
/// How long open connections may finish after the gateway was told to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    app: Shared,
    address: SocketAddr,
    stop: channel::Sender<bool>,
    servers: Vec<JoinHandle<std::io::Result<()>>>,
    background: Vec<JoinHandle<()>>,
    rovers: Vec<SocketAddr>,
}

impl Gateway {
    /// Starts to serve. Fleet and router are waited for in the background: what needs them answers 503 until then.
    pub async fn start(config: config::Config, key: PrivateKey) -> anyhow::Result<Self> {
        // Already installed when several gateways run in one process, as in tests.
        rustls::crypto::ring::default_provider().install_default().ok();
        let listener = TcpListener::bind(config.http).await.with_context(|| {
            format!("cannot listen on {}: choose another address with --http", config.http)
        })?;
        let address = listener.local_addr()?;
        let (fabric_ready, fabric) = channel::channel(None);
        let endpoint = config.zenoh.clone();
        let spectators = watch::Watch::start(&config.watch)?;
        let turn = match config.turn.clone() {
            Some(settings) => {
                // Spectators whose network lets nothing else through come over it, too.
                let settings = settings.reaching(&spectators.addresses());
                Some(turn::Turn::start(&settings).await?)
            }
            None => None,
        };
        let (https, tls_listener) = match &config.https {
            Some(settings) => {
                let (https, listener) = https::Https::start(settings, &config.key).await?;
                (Some(https), Some(listener))
            }
            None => (None, None),
        };
        let app = Arc::new(App::new(config, key, fabric, turn, spectators, https)?);
        let on_state = {
            let app = Arc::downgrade(&app);
            move |sample: &zenoh::sample::Sample| {
                if let Some(app) = app.upgrade() {
                    app.on_state(sample);
                }
            }
        };
        let mut background = vec![
            tokio::spawn(enter_fabric(Arc::clone(&app), endpoint, fabric_ready, on_state)),
            tokio::spawn(follow_fleet(Arc::clone(&app))),
            tokio::spawn(relay::run(Arc::clone(&app))),
            tokio::spawn(watch::run(Arc::clone(&app))),
            tokio::spawn(keep_certificate(Arc::clone(&app))),
        ];
        let mut rovers = Vec::new();
        for rover in &app.config.earth_rover {
            let (address, tasks) = rover::ports::open(&app, rover).await?;
            rovers.push(address);
            background.extend(tasks);
        }
        let (stop, stopped) = channel::channel(false);
        let listener = listener.tap_io(|stream| {
            // Small answers must not wait for more; failing to say so costs only time.
            stream.set_nodelay(true).ok();
        });
        let mut servers = vec![serve(&app, listener, stopped.clone())];
        if let Some(listener) = tls_listener {
            // With a tap, axum knows the address of who connects.
            servers.push(serve(&app, listener.tap_io(|_connection| {}), stopped));
        }
        Ok(Self { app, address, stop, servers, background, rovers })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The way here over TLS, if there is one.
    pub fn https(&self) -> Option<&https::Https> {
        self.app.https.as_ref()
    }

    /// Where the robots with a port of their own are served, in the order of the configuration.
    pub fn rovers(&self) -> &[SocketAddr] {
        &self.rovers
    }

    /// Resolves when fleet and router have both been reached.
    pub async fn ready(&self) {
        let mut fabric = self.app.fabric.clone();
        // An error means that the connecting task is gone: the gateway stops.
        fabric.wait_for(Option::is_some).await.ok();
        while self.app.fleet_info().is_err() {
            tokio::time::sleep(FLEET_RETRY).await;
        }
    }

    /// Releases every robot, answers what was asked, and stops.
    pub async fn shut_down(self) {
        relay::release_all(&self.app).await;
        self.app.watch.stop();
        self.stop.send_replace(true);
        let aborts: Vec<_> = self.servers.iter().map(JoinHandle::abort_handle).collect();
        if tokio::time::timeout(DRAIN, futures::future::join_all(self.servers)).await.is_err() {
            // Event streams have no end of their own.
            aborts.iter().for_each(AbortHandle::abort);
        }
        for task in self.background {
            task.abort();
        }
        let session = self.app.fabric.borrow().clone();
        if let Some(session) = session
            && let Err(error) = session.close().await
        {
            tracing::debug!(%error, "the message session did not close");
        }
    }
}

/// Serves all routes on one listener until it is told to stop.
fn serve<L, F>(
    app: &Shared,
    listener: TapIo<L, F>,
    mut stopped: channel::Receiver<bool>,
) -> JoinHandle<std::io::Result<()>>
where
    L: Listener<Addr = SocketAddr>,
    F: FnMut(&mut L::Io) + Send + 'static,
{
    let service = router(Arc::clone(app)).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move {
        let told = async move { drop(stopped.wait_for(|stop| *stop).await) };
        axum::serve(listener, service).with_graceful_shutdown(told).await
    })
}

async fn keep_certificate(app: Shared) {
    if let Some(https) = &app.https {
        https.keep().await;
    }
}

/// Gets a certificate if one is needed, connects, and looks after certificate and keys.
async fn enter_fabric(
    app: Shared,
    endpoint: String,
    ready: channel::Sender<Option<zenoh::Session>>,
    on_state: impl Fn(&zenoh::sample::Sample) + Send + Sync + 'static,
) {
    if !app.config.is_sealed() {
        // Without a tunnel, nothing is to be kept.
        drop(fabric::connect(endpoint, None, ready, on_state).await);
        return;
    }
    let (access, renew_at) = access::first(&app).await;
    let _tunnel = fabric::connect(endpoint, Some(access), ready, on_state).await;
    tokio::join!(access::keep(&app, renew_at), Arc::clone(&app.keys).keep());
}

async fn follow_fleet(app: Shared) {
    let mut told = false;
    loop {
        let pause = match app.fleet.info().await {
            Ok(info) => {
                if app.fleet_info().is_err() {
                    tracing::info!(fleet = %info.fleet_did, name = info.name, "fleet server found");
                }
                app.learn_fleet(info);
                FLEET_REFRESH
            }
            Err(error) => {
                if !told && app.fleet_info().is_err() {
                    told = true;
                    tracing::warn!(
                        detail = error.detail(),
                        "fleet server not reachable yet; trying on"
                    );
                }
                FLEET_RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// All routes.
pub fn router(app: Shared) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi::openapi))
        .route("/docs", get(openapi::docs))
        .route("/v1/config", get(config_page))
        .route("/v1/phone", get(https::phone::phone))
        .route(https::phone::ROOT_PATH, get(https::phone::root))
        .route("/v1/safety/try", post(safety::try_core))
        .route("/v1/robots/{id}/session", post(session::open_session))
        .route("/v1/robots/{id}/ice-servers", post(turn::ice_servers))
        .route("/v1/robots/{id}/look", get(look::look))
        .route("/v1/robots/{id}/watch", post(watch::http::watch).options(watch::http::options))
        .route("/v1/robots/{id}/watch/{viewer}", patch(watch::http::patch).delete(watch::http::end))
        .route("/v1/robots/{id}/state", get(programs::state))
        .route(
            "/v1/robots/{id}/lease",
            post(programs::take_lease).merge(delete(programs::release_lease)),
        )
        .route("/v1/robots/{id}/lease/receipt", post(programs::receipt))
        .route("/v1/robots/{id}/drive", post(programs::drive))
        .route("/v1/robots/{id}/stop", post(programs::stop))
        .route("/v1/robots/{id}/stop/clear", post(programs::clear_stop))
        .method_not_allowed_fallback(method_not_allowed)
        .nest(rover::BASE, rover::router())
        .route("/v1/robots/{id}/earth-rover/", get(rover::pages::dashboard))
        .route("/v1/{*rest}", any(proxy::proxy))
        .fallback(web::serve)
        // Each handler bounds its own body.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn(body_drain::finish))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), web::finish))
        .with_state(app)
}

async fn method_not_allowed() -> ApiError {
    let words = "this path does not take this method; see /docs";
    ApiError::new(405, protocol::problem::code::BAD_REQUEST, words)
}

/// Whether the process runs.
#[utoipa::path(get, path = "/healthz", tag = "service", responses((status = 200, description = "It runs")))]
async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// Whether fleet server and message router can be reached.
#[utoipa::path(
    get, path = "/readyz", tag = "service",
    responses((status = 200, description = "Both can be reached"), (status = 503, description = "unavailable"))
)]
async fn readyz(State(app): State<Shared>) -> Response {
    let fleet = app.fleet_info().is_ok() && app.fleet.reachable().await;
    let router = match app.session() {
        Ok(session) => fabric::connected(&session).await,
        Err(_not_yet) => false,
    };
    if fleet && router {
        return Json(json!({ "status": "ready", "fleet": true, "router": true })).into_response();
    }
    ApiError::unavailable("not ready: the fleet server or its message router does not answer")
        .with("fleet", fleet)
        .with("router", router)
        .into_response()
}

/// Counters in the Prometheus text format.
#[utoipa::path(
    get, path = "/metrics", tag = "service",
    responses((status = 200, description = "Counters", content_type = "text/plain", body = String))
)]
async fn metrics(State(app): State<Shared>) -> Response {
    let mut text = app.metrics.render(app.drivers().active());
    if let Some(stats) = app.turn.as_ref().and_then(turn::Turn::stats) {
        metrics::render_turn(&mut text, stats);
    }
    metrics::render_watch(&mut text, app.watch.stats());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// What a driver needs to know before it signs in: no token needed.
#[utoipa::path(
    get, path = "/v1/config", tag = "service", operation_id = "config",
    responses(
        (status = 200, description = "`{name, fleet_did, relay_did, ice_servers, turn}`", body = Object),
        (status = 503, description = "unavailable: the fleet server has not answered yet"),
    )
)]
async fn config_page(State(app): State<Shared>) -> Result<(StatusCode, Json<Value>), ApiError> {
    let info = app.fleet_info()?;
    let page = json!({
        "name": info.name,
        "fleet_did": info.fleet_did,
        "relay_did": app.did,
        "ice_servers": app.config.ice_servers,
        "turn": app.turn.is_some(),
    });
    Ok((StatusCode::OK, Json(page)))
}
