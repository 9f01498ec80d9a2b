//! `longrein`: the command line of Longrein. See `longrein --help`.

mod api;
mod driver;
mod guard;
mod keys;
mod ledger;
mod proxy;
mod rover;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  Make a key and register it with an invitation that an operator gave you (once):
    longrein join 'http://127.0.0.1:7070/join#CODE' --name \"Ada's agent\"

  Give your programs a rover at http://localhost:8000, as the Earth Rovers SDK does:
    longrein earth-rover --robot demo-rover-1

  Then, in another terminal:
    curl http://localhost:8000/data
    curl -X POST http://localhost:8000/control -H 'Content-Type: application/json' \\
         -d '{\"command\": {\"linear\": 0.5, \"angular\": 0.0}}'";

/// Drive Longrein robots with programs of your own.
#[derive(Debug, Parser)]
#[command(name = "longrein", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key, or say whose it is
    #[command(subcommand)]
    Key(Key),
    /// Register your key with an invitation, once
    Join(Join),
    /// Give programs on this machine a robot as the Earth Rovers SDK gives its own: at http://localhost:8000
    EarthRover(rover::Args),
}

#[derive(Debug, Subcommand)]
enum Key {
    /// Make a new key. An existing file is never overwritten
    New {
        /// Where to write it; readable by its owner only [default: ~/.config/longrein/agent.key]
        #[arg(env = "LONGREIN_KEY")]
        file: Option<PathBuf>,
    },
    /// Print the name of a key: its did:key
    Show {
        /// The key file [default: ~/.config/longrein/agent.key]
        #[arg(env = "LONGREIN_KEY")]
        file: Option<PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
struct Join {
    /// The invitation: its link, or its code together with --url
    invitation: String,
    /// Key file; made when it is missing [default: ~/.config/longrein/agent.key]
    #[arg(long, env = "LONGREIN_KEY")]
    key: Option<PathBuf>,
    /// Your name, or your program's, for people: 1 to 60 characters
    #[arg(long)]
    name: String,
    /// Address of the gateway, if the invitation is no link
    #[arg(long, env = "LONGREIN_URL")]
    url: Option<String>,
}

/// One line of a result.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // Whoever read us has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write the result"),
    }
}

/// One line for the person who started us.
#[expect(clippy::print_stderr, reason = "the one place where progress is written")]
fn note(text: &str) {
    eprintln!("{text}");
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Key(Key::New { file }) => {
            let path = keys::path(file)?;
            let key = keys::make(&path)?;
            note(&format!("made {}", path.display()));
            print(&key.did().to_string())
        }
        Command::Key(Key::Show { file }) => {
            print(&keys::load(&keys::path(file)?)?.did().to_string())
        }
        Command::Join(join) => {
            let (link, code) = api::invitation(&join.invitation)?;
            let url = join.url.or(link).context(
                "the invitation is a code: name the gateway as well, such as --url http://127.0.0.1:7070",
            )?;
            let path = keys::path(join.key)?;
            let key = if path.exists() { keys::load(&path)? } else { keys::make(&path)? };
            let session = api::Gateway::new(&url)?.join(&code, &join.name, &key).await?;
            note(&format!(
                "registered as {:?}; the key is {}",
                session.claims.name,
                path.display()
            ));
            print(&session.claims.did.to_string())
        }
        Command::EarthRover(args) => rover::run(args).await,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }
}
