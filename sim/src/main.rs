//! `sim-robot`: the simulated robot as a process: a ROS 2 base with sensors, and two cameras in shared memory.

mod robot;

use robot::options::{Cli, Task};
use std::io::IsTerminal;
use std::process::ExitCode;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(
            |_unset| {
                tracing_subscriber::EnvFilter::new(format!("info,{}", ros_bridge::LOG_DIRECTIVES))
            },
        ))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let cli = <Cli as clap::Parser>::parse();
    let result = match cli.task {
        Some(Task::Route { seed }) => robot::tasks::route(seed),
        Some(Task::Snapshot(options)) => robot::tasks::snapshot(&options),
        Some(Task::Quality(options)) => robot::tasks::quality(&options),
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
