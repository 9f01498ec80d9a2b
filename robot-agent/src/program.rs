//! The command line.

use crate::config::Config;
use crate::link::LOG_FILTER;
use crate::{enroll, replay, run};
use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

/// Longrein's agent on a robot: takes a driver's commands through its safety core to the base, sends video,
/// records every drive as a signed episode.
#[derive(Debug, Parser)]
#[command(
    name = "robot-agent",
    version,
    after_help = "\
First:   robot-agent enroll --server https://fleet.example --code CODE --data /var/lib/longrein
Then:    robot-agent run --config /etc/longrein/robot.toml
A short robot.toml:
  data = \"/var/lib/longrein\"
  ros_domain_id = 0
  [[camera]]
  name = \"front\"
  source = \"v4l2src device=/dev/video0 ! video/x-raw,width=1280,height=720,framerate=30/1\"
  width = 1280
  height = 720
  fps = 30
  bitrate_kbps = 2500
RUST_LOG=robot_agent=debug shows more. What stops the robot, and why: docs/safety.md"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Enrol this robot with a single-use code that the fleet's operator gives out.
    Enroll {
        /// The fleet-server's URL.
        #[arg(long)]
        server: String,
        /// The code.
        #[arg(long)]
        code: String,
        /// Folder for the robot's key, its enrolment and its episodes; made when missing.
        #[arg(long)]
        data: PathBuf,
    },
    /// Run until SIGINT or SIGTERM.
    Run {
        /// The configuration.
        #[arg(long, env = "LONGREIN_ROBOT_CONFIG")]
        config: PathBuf,
        /// Data folder, instead of the configuration's.
        #[arg(long, env = "LONGREIN_ROBOT_DATA")]
        data: Option<PathBuf>,
        /// DDS domain of the base, instead of the configuration's.
        #[arg(long, env = "LONGREIN_ROS_DOMAIN")]
        ros_domain: Option<u16>,
        /// The fleet-server's URL, instead of the enrolment's.
        #[arg(long, env = "LONGREIN_SERVER")]
        server: Option<String>,
        /// Endpoint of the message router, instead of the enrolment's.
        #[arg(long, env = "LONGREIN_ZENOH")]
        zenoh: Option<String>,
    },
    /// Run the safety core again over a recorded episode and compare its decisions byte for byte.
    Replay {
        /// Folder of the episode.
        episode: PathBuf,
    },
}

/// The program.
pub fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_unset| {
        tracing_subscriber::EnvFilter::new(format!(
            "info,zenoh=error,{LOG_FILTER},{}",
            ros_bridge::LOG_DIRECTIVES
        ))
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let outcome = match Arguments::parse().command {
        Command::Enroll { server, code, data } => in_runtime(async move {
            let robot = enroll::enroll(&server, &code, &data).await?;
            let key = crate::home::Home::open(&data)?.key()?;
            say(&format!("{robot} is enrolled. Its key is {}", run::did(&key)));
            Ok(ExitCode::SUCCESS)
        }),
        Command::Run { config, data, ros_domain, server, zenoh } => (|| {
            let mut config = Config::load(&config)?;
            config.data = data.unwrap_or(config.data);
            config.ros_domain_id = ros_domain.or(config.ros_domain_id);
            config.server = server.or(config.server);
            config.zenoh.endpoint = zenoh.or(config.zenoh.endpoint);
            let domain_id = config.domain_id(std::env::var("ROS_DOMAIN_ID").ok().as_deref())?;
            in_runtime(async move { run::run(config, domain_id).await.map(|()| ExitCode::SUCCESS) })
        })(),
        Command::Replay { episode } => replay::replay(&episode).map(|report| tell_replay(&report)),
    };
    outcome.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    })
}

fn in_runtime(work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed before");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // One: packets, not computation. Passing each packet between two threads costs more than it gains.
        .worker_threads(1)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    // On the worker itself, and not on the threads of blocking work: a driver's packets come in there.
    runtime.spawn(async { ros_bridge::priority::raise() });
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    outcome
}

fn tell_replay(report: &replay::Report) -> ExitCode {
    let replay::Report { steps, skipped, gaps, snapshots, difference } = report;
    say(&format!(
        "{steps} steps run again, {snapshots} snapshots compared, {skipped} steps skipped, {gaps} gaps"
    ));
    match difference {
        None => {
            say("every byte agrees");
            ExitCode::SUCCESS
        }
        Some(difference) => {
            say(&format!("DIFFERENT at {difference}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the result of a command belongs on standard output")]
fn say(text: &str) {
    println!("{text}");
}
