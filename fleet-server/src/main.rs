//! The fleet server: registry, missions, leases, episodes, ledger, and an embedded Zenoh router.
//!
//! Decisions are in `fleet_core`; this program reads, writes, verifies and answers.

mod api;
mod audit;
mod auth;
mod ca;
mod config;
mod crash;
mod door;
mod events;
mod fabric;
mod fleet;
mod ingest;
mod keys;
mod live;
mod locks;
mod model;
mod ops;
mod problems;
mod serve;
mod store;
#[cfg(test)]
mod tests;
mod tracker;
mod txn;
mod views;

use clap::{Parser, Subcommand};
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Longrein's fleet server: who may drive which robot, what was driven, and what it earned.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Start with:  fleet-server serve --data DIR\n\
    The first start makes DIR/fleet.key (signs leases and receipts) and DIR/operator.key (sign in with it as \
    the operator). Back up both, and DIR/store and DIR/episodes. Logs: RUST_LOG=info (default), debug, …"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(config::ServeArgs),
    /// Check the ledger's invariants on a store that no server uses. Exit status 1 when one is broken.
    Audit(audit::AuditArgs),
    /// For the crash test: makes transfers and prints each once it is acknowledged.
    #[command(hide = true)]
    CrashTransfers(crash::CrashArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(log_filter())
        .init();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::warn!("a TLS provider was installed before");
    }
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(args).await.map(|()| ExitCode::SUCCESS),
        Command::Audit(args) => audit::run(args).await,
        Command::CrashTransfers(args) => crash::run(args).await.map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    })
}

/// `RUST_LOG`, and Zenoh quiet unless it is named there: it logs an error for each message when a busy client
/// vanishes.
fn log_filter() -> EnvFilter {
    let asked = std::env::var("RUST_LOG").unwrap_or_else(|_unset| "info".into());
    if asked.contains("zenoh") {
        return EnvFilter::new(asked);
    }
    EnvFilter::new(format!("{asked},zenoh=warn,zenoh::net::routing::dispatcher::pubsub=off"))
}
