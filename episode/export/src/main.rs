//! `episode`: look at, verify and export recorded drives.

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use episode::Options;
use episode_export::progress::Progress;
use episode_export::{info, lerobot, merged};
use protocol::keys::Did;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What a dataset says of its robot when nobody does.
const ROBOT_TYPE: &str = "longrein_rover";

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
  episode export --format mcap drive.mcap eps_0192…   one file for Foxglove and `ros2 bag`"
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
  episode export --format lerobot --copy-video --cameras front dataset eps_0192…
  episode export --format mcap drive.mcap eps_0192…

A row of a dataset shows the newest picture that had been captured and the newest values
that had been recorded at its instant; it never looks into the future.

With --copy-video there is one row for each picture of the front camera, from a keyframe on.
That is fast and loses nothing of the picture, but random frames are slower to read, and
`timestamp` counts pictures at the camera's nominal rate: what the camera was late or left
out is not in it (`capture_time_ns` is exact).")]
    Export(Export),
}

#[derive(Args)]
struct Export {
    /// What to write.
    #[arg(long)]
    format: Format,
    /// The new folder (lerobot) or file (mcap).
    out: PathBuf,
    /// Folders of the episodes; mcap takes one.
    #[arg(required = true)]
    dirs: Vec<PathBuf>,
    /// Rows a second (lerobot). [default: 10; with --copy-video what the camera's stream says]
    #[arg(long)]
    fps: Option<u32>,
    /// Only these cameras, for example `front` or `front,rear` (lerobot). [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    cameras: Vec<String>,
    /// Take the video of the main camera (front, if it is among --cameras) as it was recorded, one row a picture; other
    /// cameras are encoded again (lerobot).
    #[arg(long)]
    copy_video: bool,
    /// Kind of robot, for the dataset's description (lerobot). [default: longrein_rover]
    #[arg(long)]
    robot_type: Option<String>,
    #[command(flatten)]
    keys: Keys,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
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
            be_episode(&dir)?;
            let report = episode::verify(&dir, &keys.options());
            if json {
                print_json(&report)?
            } else {
                print(&info::text(&report))?
            }
            Ok(status(report.verified))
        }
        Command::Verify { dir, keys, json } => {
            be_episode(&dir)?;
            let report = episode::verify(&dir, &keys.options());
            if json {
                print_json(&report)?
            } else {
                print(&report.to_string())?
            }
            Ok(status(report.verified))
        }
        Command::Export(export) => {
            export.run()?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl Export {
    fn run(&self) -> anyhow::Result<()> {
        let for_lerobot = [
            ("--fps", self.fps.is_some()),
            ("--cameras", !self.cameras.is_empty()),
            ("--copy-video", self.copy_video),
            ("--robot-type", self.robot_type.is_some()),
        ];
        let verify = self.keys.options();
        let open = |dir: &PathBuf| episode_export::open(dir, &verify);
        match self.format {
            Format::Lerobot => {
                let sources = self.dirs.iter().map(open).collect::<anyhow::Result<Vec<_>>>()?;
                self.lerobot(&sources)
            }
            Format::Mcap => {
                if let Some((flag, _)) = for_lerobot.iter().find(|(_, given)| *given) {
                    anyhow::bail!("{flag} is for --format lerobot: leave it out");
                }
                let [dir] = &self.dirs[..] else {
                    anyhow::bail!("--format mcap takes one episode: export them one by one");
                };
                self.mcap(&open(dir)?)
            }
        }
    }

    fn lerobot(&self, sources: &[lerobot::Source]) -> anyhow::Result<()> {
        let progress = Progress::new("pictures", 0);
        let options = lerobot::Options {
            fps: self.fps,
            cameras: self.cameras.clone(),
            copy_video: self.copy_video,
            robot_type: self.robot_type.as_deref().unwrap_or(ROBOT_TYPE).to_owned(),
        };
        let done = lerobot::export(&self.out, sources, &options, &progress)?;
        progress.finish();
        for warning in &done.warnings {
            // The export is done; that nobody reads standard error changes nothing.
            writeln!(std::io::stderr(), "episode: note: {warning}").ok();
        }
        if self.json {
            return print_json(&done);
        }
        print(&format!(
            "{path}: {}, {} frames at {} a second of {} ({:.1} s, {:.0} pictures a second)\n\
             read it with: LeRobotDataset(\"local/longrein\", root=\"{path}\")",
            counted(done.episodes, "episode"),
            done.frames,
            done.fps,
            done.cameras.join(", "),
            done.seconds,
            done.pictures_per_s,
            path = done.path.display(),
        ))
    }

    fn mcap(&self, source: &lerobot::Source) -> anyhow::Result<()> {
        let messages = source.report.summary.as_ref().map_or(0, |s| s.messages);
        let progress = Progress::new("messages", messages);
        let done = merged::export(&self.out, &source.dir, &progress)?;
        progress.finish();
        if self.json {
            return print_json(&done);
        }
        let path = done.path.display();
        print(&format!(
            "{path}: {}\nlook at it with Foxglove, or: ros2 bag info {path}",
            counted(done.messages, "message")
        ))
    }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn be_episode(dir: &Path) -> anyhow::Result<()> {
    episode_export::no_episode(dir).map_or(Ok(()), |why| Err(anyhow::anyhow!(why)))
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
