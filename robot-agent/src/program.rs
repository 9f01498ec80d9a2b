//! The command line.

use crate::config::{self, Config};
use crate::link::LOG_FILTER;
use crate::{doctor, enroll, init, replay, run};
use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Longrein's agent on a robot: takes a driver's commands through its safety core to the base, sends video,
/// records every drive as a signed episode.
#[derive(Debug, Parser)]
#[command(
    name = "robot-agent",
    version,
    after_help = "\
First:   robot-agent init                       looks at ROS and the cameras, writes a configuration
         robot-agent enroll --server https://fleet.example --code CODE --data /var/lib/longrein
         robot-agent doctor                     says what works, and what to do about the rest
Then:    robot-agent run
RUST_LOG=robot_agent=debug shows more. What stops the robot, and why: docs/safety.md"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Enrol this robot with a single-use code from the owner's page or the fleet's operator.
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
        /// Enrol anew: after the robot was taken out, or to move it to another fleet or owner. Its key stays.
        #[arg(long)]
        again: bool,
        /// With --again: a new key as well, because the old one may be known to others. Episodes that wait must be
        /// uploaded before.
        #[arg(long, requires = "again")]
        new_key: bool,
    },
    /// Remove what makes this machine the robot: key, enrolment, certificate, episodes.
    Wipe {
        /// Folder for the robot's key, its enrolment and its episodes.
        #[arg(long)]
        data: PathBuf,
        /// Yes, remove it. Without it, only what would be removed is told.
        #[arg(long)]
        yes: bool,
        /// Also episodes that no fleet has confirmed to have. They exist nowhere else.
        #[arg(long)]
        with_episodes: bool,
    },
    /// Write a configuration with comments, after a look at the ROS graph and the cameras.
    Init {
        /// The file to write.
        #[arg(long, env = "LONGREIN_ROBOT_CONFIG", default_value = CONFIG)]
        config: PathBuf,
        /// The data folder that the file shall name.
        #[arg(long, default_value = "/var/lib/longrein")]
        data: PathBuf,
        /// DDS domain of the base. Without it ROS_DOMAIN_ID counts, and then 0.
        #[arg(long)]
        ros_domain: Option<u16>,
        /// Overwrite a file that is there.
        #[arg(long)]
        force: bool,
    },
    /// Run until SIGINT or SIGTERM.
    Run(Settings),
    /// Look at everything that a drive needs: key, server, clock, ROS graph, cameras, encoders, disk. Ends with 1 when
    /// something does not work. May run beside the agent.
    Doctor {
        #[command(flatten)]
        settings: Settings,
        /// One JSON object instead of a table.
        #[arg(long)]
        json: bool,
    },
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
    // What a look finds is in its report, and not in the log besides.
    let looks = matches!(command, Command::Doctor { .. } | Command::Init { .. });
    let level = if looks { "off" } else { "info" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_unset| {
        tracing_subscriber::EnvFilter::new(format!(
            "{level},robot_agent::program=error,zenoh=error,{LOG_FILTER},{}",
            ros_bridge::LOG_DIRECTIVES
        ))
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let outcome = match command {
        Command::Enroll { server, code, data, again, new_key } => in_runtime(async move {
            let order = enroll::Order { server, code, again, new_key };
            let robot = enroll::enroll(&order, &data).await?;
            let key = crate::home::Home::open(&data)?.key()?;
            say(&format!("{robot} is enrolled. Its key is {}", run::did(&key)));
            Ok(ExitCode::SUCCESS)
        }),
        Command::Init { config, data, ros_domain, force } => {
            write_config(&config, data, ros_domain, force)
        }
        Command::Run(settings) => settings.load().and_then(|config| {
            let domain_id = domain_id(&config)?;
            in_runtime(async move { run::run(config, domain_id).await.map(|()| ExitCode::SUCCESS) })
        }),
        Command::Wipe { data, yes, with_episodes } => {
            enroll::wipe(&data, yes, with_episodes).map(|told| {
                say(&told);
                ExitCode::SUCCESS
            })
        }
        Command::Doctor { settings, json } => examine(&settings, json),
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

fn write_config(
    path: &Path,
    data: PathBuf,
    ros_domain: Option<u16>,
    force: bool,
) -> Result<ExitCode> {
    // Before seconds are spent on looking.
    anyhow::ensure!(
        force || !path.exists(),
        "{} is there already: it is overwritten only with --force; or choose another with --config",
        path.display()
    );
    let environment = std::env::var("ROS_DOMAIN_ID").ok();
    let of_environment = environment.map(|text| text.trim().parse()).transpose();
    let domain_id = ros_domain.map_or(of_environment, |domain| Ok(Some(domain)));
    let domain_id = domain_id.context("ROS_DOMAIN_ID is no domain")?;
    progress(&format!("listening to ROS domain {}", domain_id.unwrap_or(0)));
    let ros = ros_bridge::Config::new(domain_id.unwrap_or(0), "longrein_init");
    let survey = doctor::listen(&ros)?.survey;
    progress("looking for cameras");
    let pictures = init::look_at_pictures(domain_id.unwrap_or(0), &survey)?;
    let mut topics: Vec<&str> =
        survey.writers.iter().chain(&survey.readers).map(|e| e.topic.as_str()).collect();
    topics.sort_unstable();
    topics.dedup();
    let topics = topics.len();
    let seen = init::Seen { data, domain_id, survey, cameras: init::look()?, pictures };
    init::write(path, &init::text(&seen)?, force)?;
    say(&format!(
        "{} is written: {topics} topics, {} cameras and {} topics of pictures were found. Read it, then: robot-agent doctor --config {}",
        path.display(),
        seen.cameras.len(),
        seen.pictures.len(),
        path.display(),
    ));
    Ok(ExitCode::SUCCESS)
}

fn examine(settings: &Settings, json: bool) -> Result<ExitCode> {
    let config = settings.load()?;
    let domain_id = domain_id(&config)?;
    in_runtime(async move {
        let report = doctor::examine(&config, domain_id, progress).await;
        if json {
            say(&report.json());
        } else {
            say(&report.table(std::io::stdout().is_terminal()));
        }
        Ok(if report.well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// What is done now, for people who wait.
#[expect(clippy::print_stderr, reason = "progress belongs on standard error")]
fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("\x1b[2m… {text}\x1b[0m");
    } else {
        eprintln!("… {text}");
    }
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
