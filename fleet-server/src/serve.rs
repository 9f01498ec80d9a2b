//! Running the server.

use crate::config::{Config, ServeArgs};
use crate::fleet::Fleet;
use crate::model::Principal;
use crate::store::SledStore;
use crate::{api, fabric, keys, tracker};
use anyhow::{Context, Result, anyhow};
use protocol::api::Role;
use protocol::keys::Did;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// How long open requests have to end when the server stops; event streams never end by themselves.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Serves until SIGINT or SIGTERM.
pub(crate) async fn run(args: ServeArgs) -> Result<()> {
    let config = Config::load(args)?;
    let data = config.data.clone();
    for folder in ["store", "episodes", "uploads"] {
        let path = data.join(folder);
        std::fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
    }
    let key = keys::load_or_make(&data.join("fleet.key"))?;
    let operator = keys::load_or_make(&data.join("operator.key"))?.did();
    let store = Arc::new(SledStore::open(&data.join("store"))?);
    let (http, zenoh) = (config.http, config.zenoh.clone());
    let fleet = Fleet::open(config, key, store).await?;
    register_operator(&fleet, operator).await?;
    let listener = TcpListener::bind(http)
        .await
        .with_context(|| format!("cannot listen on {http}: choose another address with --http"))?;
    let http = listener.local_addr().context("the HTTP address")?;
    fabric::open(&fleet).await?;
    let clock = tokio::spawn(tracker::run_clock(Arc::clone(&fleet)));
    let (stop, stopping) = tokio::sync::watch::channel(());
    let app = api::router(Arc::clone(&fleet));
    let mut asked = stopping.clone();
    let server = tokio::spawn(async move {
        axum::serve(listener, app)
            .with_graceful_shutdown(async move {
                // Either way it is time to stop.
                drop(asked.changed().await);
            })
            .await
    });
    tracing::info!(%http, zenoh, fleet = %fleet.did, data = %data.display(), "ready");
    wait_for_signal().await?;
    tracing::info!("stopping");
    drop(stop);
    clock.abort();
    match tokio::time::timeout(STOP_WITHIN, server).await {
        Ok(ended) => ended.context("the HTTP server")?.context("the HTTP server")?,
        Err(_still_open) => tracing::debug!("closing open requests"),
    }
    if let Some(session) = fleet.fabric.get() {
        session.close().await.map_err(|error| anyhow!("closing the Zenoh router: {error}"))?;
    }
    Ok(())
}

/// The key in `operator.key` is an operator, whatever else was registered.
async fn register_operator(fleet: &Fleet, did: Did) -> Result<()> {
    let register: crate::problems::Result<()> = async {
        let mut tx = fleet.begin().await;
        if tx.get::<Principal>(did).await?.is_none() {
            let (role, name) = (Role::Operator, "Operator".to_owned());
            let created_at = tx.now;
            tx.put(&Principal { did, role, name, robot: None, owner: None, created_at })?;
            tx.commit().await?;
        }
        Ok(())
    }
    .await;
    register.map_err(|refused| anyhow!("registering the operator: {}", refused.problem.detail))
}

async fn wait_for_signal() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
