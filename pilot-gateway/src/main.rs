//! `pilot-gateway`: reads its configuration, runs until it is told to stop.

use anyhow::{Context, Result};
use clap::Parser;
use pilot_gateway::Gateway;
use pilot_gateway::config::{Args, Config, load_or_make_key};
use pilot_gateway::https::phone;
use std::io::IsTerminal;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| {
        EnvFilter::new(format!("info,zenoh=error,rtc_dtls=error,{}", turn_relay::LOG_FILTER))
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "for the person before the terminal")]
fn show(text: &str) {
    println!("{text}");
}

/// Serves until SIGINT or SIGTERM.
async fn run(args: Args) -> Result<()> {
    let config = Config::load(args)?;
    let key = load_or_make_key(&config.key)?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tracing::info!(relay = %key.did(), fleet = config.fleet, web = %config.web.display(), "starting");
    if !config.web.join("index.html").is_file() {
        tracing::warn!(
            web = %config.web.display(),
            "no built cockpit there: run `npm ci && npm run build` in pilot-gateway/web, or name its folder with --web"
        );
    }
    let gateway = Gateway::start(config, key).await.context("the gateway cannot start")?;
    let ready = async {
        gateway.ready().await;
        tracing::info!(address = %gateway.address(), "ready");
        if let Some(https) = gateway.https() {
            tracing::info!(urls = https.urls().join(" "), sha256 = https.fingerprint(), "HTTPS");
            if std::io::stdout().is_terminal() {
                show(&phone::announcement(https));
            }
        }
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
