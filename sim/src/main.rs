//! `sim-robot`: the simulated robot as a process: a ROS 2 base with sensors, and two cameras in shared memory.

mod robot;

use robot::options::{Cli, Task};
use std::process::ExitCode;

/// Our own words, and only the worries of DDS.
const QUIET: &str = "info,rustdds=warn,ros2_client=warn";

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(QUIET)),
        )
        .with_writer(std::io::stderr)
        .init();
    let cli = <Cli as clap::Parser>::parse();
    let result = match cli.task {
        Some(Task::Route { seed }) => robot::tasks::route(seed),
        Some(Task::Snapshot(options)) => robot::tasks::snapshot(&options),
        None => cli.run.resolve().and_then(|settings| robot::run(&settings)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
