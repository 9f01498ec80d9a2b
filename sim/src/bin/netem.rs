//! `netem`: a bad network between a robot and its drivers, without root.

use anyhow::{Context, bail};
use clap::Parser;
use sim::netem::relay::{Addresses, Order, Relay};
use sim::netem::tunnel::Tunnel;
use sim::netem::{NAMES, Profile, named};
use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// A bad network between a robot and its drivers: a UDP relay that delays, loses, holds up and drops packets.
///
/// Drivers send to the relay, which sends on to the robot; the robot's agent must be told so (section `link` of robot.toml:
/// `port`, `bind`, `advertise`, `only_advertised`). The network is a named profile or a TOML file. The same seed gives the
/// same chance.
///
/// Lines on standard input are orders: `begin` (the profile's own time begins: steps, outages, changes of address), `cut MS`,
/// `move robot`, `move driver`, `stop`. Lines on standard output are JSON: what happened, and once a second the account of
/// both directions: what came and went, how long a packet would wait now, what the bottleneck carries.
#[derive(Debug, Parser)]
#[command(name = "netem", version)]
struct Args {
    /// Where drivers send.
    #[arg(long, value_name = "ADDRESS:PORT", required_unless_present_any = ["list", "show", "netns"])]
    listen: Option<SocketAddr>,
    /// Where the robot receives.
    #[arg(long, value_name = "ADDRESS:PORT", required_unless_present_any = ["list", "show", "netns"])]
    robot: Option<SocketAddr>,
    /// Make two network namespaces of these names, the robot's and the driver's, with the network between them, instead of
    /// relaying UDP: whatever their programs say to each other goes through it. They are 10.77.1.1 and 10.77.2.1, have no other way
    /// out, and are removed at the end. Needs root. Run a program in one with `ip netns exec NAME PROGRAM`.
    #[arg(long, value_names = ["ROBOT", "DRIVER"], num_args = 2, conflicts_with_all = ["listen", "robot"])]
    netns: Option<Vec<String>>,
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
    /// How often the account is told, in milliseconds.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(20..=60_000))]
    report_ms: u64,
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
    let every = Duration::from_millis(args.report_ms);
    if let Some([robot, driver]) = args.netns.as_deref() {
        let (tunnel, handle) = Tunnel::open(&profile, args.seed, robot, driver).with_context(|| {
            format!("cannot make the namespaces {robot} and {driver} (this needs root, and names that are free)")
        })?;
        take_orders(args, move |order| handle.order(order))?;
        return tunnel.run(every, |line| say(&line.to_string())).context("the tunnel ended");
    }
    let (Some(listen), Some(robot)) = (args.listen, args.robot) else {
        bail!("--listen and --robot are needed");
    };
    let addresses = Addresses { listen, robot, ports: args.ports };
    let (relay, handle) = Relay::open(&profile, args.seed, addresses)
        .with_context(|| format!("cannot listen at {listen}"))?;
    take_orders(args, move |order| handle.order(order))?;
    relay.run(every, |line| say(&line.to_string())).context("the relay ended")
}

/// Passes on orders: of the command line, of signals, and of standard input.
fn take_orders(
    args: &Args,
    give: impl Fn(Order) -> bool + Clone + Send + 'static,
) -> anyhow::Result<()> {
    if args.begin {
        give(Order::Begin);
    }
    let on_signal = give.clone();
    ctrlc::set_handler(move || {
        on_signal(Order::Stop);
    })
    .context("could not watch for SIGINT and SIGTERM")?;
    std::thread::Builder::new().name("netem-orders".to_owned()).spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match line.parse::<Order>() {
                Ok(order) if !give(order) => return,
                Ok(_) => {}
                Err(why) => complain(&why),
            }
        }
    })?;
    Ok(())
}

/// Prints a line of the result. Nobody may be reading any more: then there is nobody to tell.
fn say(line: &str) {
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}

fn complain(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "netem: {line}"));
}
