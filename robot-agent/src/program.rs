//! The command line.

use crate::config::{self, Config};
use crate::link::LOG_FILTER;
use crate::{enroll, replay, run};
use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
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
Then:    robot-agent run
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
    Run(Settings),
    /// The configuration: check it, or read what it may hold.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Run the safety core again over a recorded episode and compare its decisions byte for byte.
    Replay {
        /// Folder of the episode.
        episode: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Every key with its type, unit, default, bounds, meaning and name in the environment.
    Docs,
    /// Check a file together with what the environment overrules, without starting anything.
    Check {
        /// The file.
        #[arg(default_value = CONFIG)]
        file: PathBuf,
    },
}

/// Where the package keeps the configuration.
const CONFIG: &str = "/etc/longrein/robot.toml";

/// The configuration, and what overrules it.
#[derive(Debug, Args)]
struct Settings {
    /// The configuration.
    #[arg(long, env = "LONGREIN_ROBOT_CONFIG", default_value = CONFIG)]
    config: PathBuf,
    /// Data folder, instead of the configuration's.
    #[arg(long)]
    data: Option<String>,
    /// DDS domain of the base, instead of the configuration's.
    #[arg(long)]
    ros_domain: Option<u16>,
    /// The fleet-server's URL, instead of the enrolment's.
    #[arg(long)]
    server: Option<String>,
    /// Endpoint of the message router, instead of the enrolment's.
    #[arg(long)]
    zenoh: Option<String>,
    /// Any key, instead of the configuration's, for example `policy.speed_mps_max=1.0`. Can be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    pair.ok_or_else(|| format!("{text:?} is not KEY=VALUE, for example policy.speed_mps_max=1.0"))
}

impl Settings {
    fn load(&self) -> Result<Config> {
        let named = [
            ("data", self.data.clone()),
            ("ros_domain_id", self.ros_domain.map(|domain| domain.to_string())),
            ("server", self.server.clone()),
            ("zenoh.endpoint", self.zenoh.clone()),
        ];
        let named = named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        let flags: Vec<_> = self.set.iter().cloned().chain(named).collect();
        Config::load(&self.config, std::env::vars(), &flags)
    }
}

/// The ROS domain of a configuration and this process's environment.
fn domain_id(config: &Config) -> Result<u16> {
    config.domain_id(std::env::var("ROS_DOMAIN_ID").ok().as_deref())
}

/// The program.
pub fn main() -> ExitCode {
    let command = Arguments::parse().command;
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
    let outcome = match command {
        Command::Enroll { server, code, data } => in_runtime(async move {
            let robot = enroll::enroll(&server, &code, &data).await?;
            let key = crate::home::Home::open(&data)?.key()?;
            say(&format!("{robot} is enrolled. Its key is {}", run::did(&key)));
            Ok(ExitCode::SUCCESS)
        }),
        Command::Run(settings) => settings.load().and_then(|config| {
            let domain_id = domain_id(&config)?;
            in_runtime(async move { run::run(config, domain_id).await.map(|()| ExitCode::SUCCESS) })
        }),
        Command::Config(ConfigCommand::Docs) => {
            say(config::docs().trim_end());
            Ok(ExitCode::SUCCESS)
        }
        Command::Config(ConfigCommand::Check { file }) => {
            Config::load(&file, std::env::vars(), &[]).map(|_config| {
                say(&format!("{} is well", file.display()));
                ExitCode::SUCCESS
            })
        }
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
