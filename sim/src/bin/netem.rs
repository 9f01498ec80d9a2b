//! `netem`: a bad network between a robot and its drivers, without root.

use anyhow::{Context, bail};
use clap::Parser;
use sim::netem::relay::{Addresses, Order, Relay};
use sim::netem::{NAMES, Profile, named};
use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// A bad network between a robot and its drivers: a UDP relay that delays, loses, holds up and drops packets.
///
/// Drivers send to the relay, which sends on to the robot; the robot's agent must be told so (section `link` of robot.toml:
/// `port`, `bind`, `advertise`, `only_advertised`). The network is a named profile or a TOML file. The same seed gives the
/// same chance.
///
/// Lines on standard input are orders: `begin` (the profile's own time begins: steps, outages, changes of address), `cut MS`,
/// `move robot`, `move driver`, `stop`. Lines on standard output are JSON: what happened, and once a second the account of
/// both directions.
#[derive(Debug, Parser)]
#[command(name = "netem", version)]
struct Args {
    /// Where drivers send.
    #[arg(long, value_name = "ADDRESS:PORT", required_unless_present_any = ["list", "show"])]
    listen: Option<SocketAddr>,
    /// Where the robot receives.
    #[arg(long, value_name = "ADDRESS:PORT", required_unless_present_any = ["list", "show"])]
    robot: Option<SocketAddr>,
    /// How many ports from these on are relayed, each to its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    ports: u16,
    /// A named profile; --list names them.
    #[arg(long, default_value = "clean-lan")]
    profile: String,
    /// A profile in a TOML file, instead of a named one.
    #[arg(long, value_name = "FILE")]
    profile_file: Option<PathBuf>,
    /// Seed of all that is left to chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Begin the profile's own time at once instead of waiting for the order.
    #[arg(long)]
    begin: bool,
    /// Print the named profile as TOML, to begin a file of your own with, and end.
    #[arg(long, conflicts_with_all = ["listen", "robot"])]
    show: bool,
    /// Print the names of the profiles with what they stand for, and end.
    #[arg(long)]
    list: bool,
}

impl Args {
    fn profile(&self) -> anyhow::Result<Profile> {
        let Some(path) = &self.profile_file else {
            let names = NAMES.join(", ");
            return named(&self.profile).with_context(|| {
                format!("there is no profile \"{}\"; there are {names}", self.profile)
            });
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("could not read {}", path.display()))?;
        let profile: Profile =
            toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
        profile.check().with_context(|| format!("in {}", path.display()))?;
        Ok(profile)
    }
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    if args.list {
        for profile in NAMES.iter().filter_map(|name| named(name)) {
            say(&format!("{:<22}{}", profile.name, profile.words));
        }
        return Ok(());
    }
    let profile = args.profile()?;
    if args.show {
        say(toml::to_string(&profile)?.trim_end());
        return Ok(());
    }
    let (Some(listen), Some(robot)) = (args.listen, args.robot) else {
        bail!("--listen and --robot are needed");
    };
    let addresses = Addresses { listen, robot, ports: args.ports };
    let (relay, handle) = Relay::open(&profile, args.seed, addresses)
        .with_context(|| format!("cannot listen at {listen}"))?;
    if args.begin {
        handle.order(Order::Begin);
    }
    let on_signal = handle.clone();
    ctrlc::set_handler(move || {
        on_signal.order(Order::Stop);
    })
    .context("could not watch for SIGINT and SIGTERM")?;
    std::thread::Builder::new().name("netem-orders".to_owned()).spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match line.parse::<Order>() {
                Ok(order) if !handle.order(order) => return,
                Ok(_) => {}
                Err(why) => complain(&why),
            }
        }
    })?;
    relay.run(|line| say(&line.to_string())).context("the relay ended")
}

/// Prints a line of the result. Nobody may be reading any more: then there is nobody to tell.
fn say(line: &str) {
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

fn complain(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "netem: {line}"));
}
