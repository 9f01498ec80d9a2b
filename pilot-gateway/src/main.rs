//! `pilot-gateway`: reads its configuration, runs until it is told to stop.

use anyhow::Context;
use clap::Parser;
use pilot_gateway::Gateway;
use pilot_gateway::config::{Args, Config, load_or_make_key};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let config = Config::load(args)?;
    let key = load_or_make_key(&config.key)?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tracing::info!(relay = %key.did(), fleet = config.fleet, web = %config.web.display(), "starting");
    let gateway = Gateway::start(config, key).await.context("the gateway cannot start")?;
    let ready = async {
        gateway.ready().await;
        tracing::info!(address = %gateway.address(), "ready");
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = ready => {}
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    tracing::info!("stopping");
    gateway.shut_down().await;
    Ok(())
}
