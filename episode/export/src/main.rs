//! `episode`: look at, verify and export recorded drives.

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use episode::Options;
use episode_export::progress::Progress;
use episode_export::{info, lerobot, merged};
use protocol::keys::Did;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Looks at, verifies and exports recorded drives.
///
/// An episode is a folder: recordings (MCAP) and a manifest that the robot signed. Everything here works offline.
#[derive(Parser)]
#[command(
    name = "episode",
    version,
    after_help = "\
Examples:
  episode info episodes/eps_0192…                     what is in it
  episode verify episodes/eps_0192… --fleet did:key:… whether it is whole, and whose
  episode export --format lerobot dataset episodes/*  a LeRobotDataset v3.0 of many episodes
  episode export --format mcap drive.mcap episodes/eps_0192…"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows what an episode holds: duration, distance, channels, drops, driver, latency, signatures.
    Info {
        /// The episode's folder.
        dir: PathBuf,
        #[command(flatten)]
        keys: Keys,
        /// Print one JSON object instead.
        #[arg(long)]
        json: bool,
    },
    /// Verifies an episode: signatures, digests, counts and receipts. Exit status 1 when anything is wrong; says
    /// then which file and which bytes.
    #[command(after_help = "\
Without --robot the key in the manifest itself is used: that shows that the episode is whole, not whose it is.
Without --fleet the signature of the lease is not checked.

Examples:
  episode verify eps_0192…
  episode verify eps_0192… --robot did:key:z6Mk… --fleet did:key:z6Mk… --json")]
    Verify {
        /// The episode's folder.
        dir: PathBuf,
        #[command(flatten)]
        keys: Keys,
        /// Print one JSON object instead.
        #[arg(long)]
        json: bool,
    },
    /// Exports episodes. Each is verified first; nothing is written when one does not verify.
    #[command(after_help = "\
Examples:
  episode export --format lerobot dataset eps_0192… eps_0193…
  episode export --format lerobot --fps 30 dataset eps_0192…
  episode export --format mcap drive.mcap eps_0192…   then: open it in Foxglove, or `ros2 bag info drive.mcap`

A row of a dataset shows the newest picture that had been captured and the newest values that had been recorded at
its instant; it never looks into the future.")]
    Export {
        /// What to write.
        #[arg(long)]
        format: Format,
        /// The new folder (lerobot) or file (mcap).
        out: PathBuf,
        /// Folders of the episodes; mcap takes one.
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
        /// Rows a second (lerobot).
        #[arg(long, default_value_t = 10)]
        fps: u32,
        /// Kind of robot, for the dataset's description (lerobot).
        #[arg(long, default_value = "longrein_rover")]
        robot_type: String,
        #[command(flatten)]
        keys: Keys,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// LeRobotDataset v3.0, a folder.
    Lerobot,
    /// One MCAP file with cameras and telemetry, for Foxglove, Rerun, PlotJuggler, `ros2 bag`.
    Mcap,
}

#[derive(Args)]
struct Keys {
    /// The fleet's did:key: checks that it signed the lease.
    #[arg(long, value_name = "DID")]
    fleet: Option<Did>,
    /// The robot's did:key, as the fleet knows it.
    #[arg(long, value_name = "DID")]
    robot: Option<Did>,
}

impl Keys {
    const fn options(&self) -> Options {
        Options { robot_did: self.robot, fleet_did: self.fleet }
    }
}

/// The one place that writes to standard output.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        // `episode info … | head` is no failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done.context("standard output"),
    }
}

fn print_json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Info { dir, keys, json } => {
            let report = episode::verify(&dir, &keys.options());
            if json {
                print_json(&report)?
            } else {
                print(&info::text(&report))?
            }
            Ok(status(report.verified))
        }
        Command::Verify { dir, keys, json } => {
            let report = episode::verify(&dir, &keys.options());
            if json {
                print_json(&report)?
            } else {
                print(&report.to_string())?
            }
            Ok(status(report.verified))
        }
        Command::Export { format, out, dirs, fps, robot_type, keys, json } => {
            let options = keys.options();
            let sources = dirs
                .iter()
                .map(|dir| episode_export::open(dir, &options))
                .collect::<anyhow::Result<Vec<_>>>()?;
            match format {
                Format::Lerobot => {
                    let progress = Progress::new("pictures", 0);
                    let options = lerobot::Options { fps, robot_type };
                    let done = lerobot::export(&out, &sources, &options, &progress)?;
                    progress.finish();
                    let text = format!(
                        "{}: {} episodes, {} frames at {} a second, {:.0} pictures a second",
                        done.path.display(),
                        done.episodes,
                        done.frames,
                        done.fps,
                        done.pictures_per_s
                    );
                    if json { print_json(&done)? } else { print(&text)? }
                }
                Format::Mcap => {
                    let [source] = &sources[..] else {
                        anyhow::bail!("--format mcap takes one episode");
                    };
                    let messages = source.report.summary.as_ref().map_or(0, |s| s.messages);
                    let progress = Progress::new("messages", messages);
                    let done = merged::export(&out, &source.dir, &progress)?;
                    progress.finish();
                    let text = format!("{}: {} messages", done.path.display(), done.messages);
                    if json { print_json(&done)? } else { print(&text)? }
                }
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn status(verified: bool) -> ExitCode {
    if verified { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    run(Cli::parse()).unwrap_or_else(|error| {
        // Standard error may be closed; there is nowhere else to say so.
        writeln!(std::io::stderr(), "episode: {error:#}").ok();
        ExitCode::FAILURE
    })
}
