//! What the system tests share: a running stack, and the simulator's account of what the robot did.

mod driver;
pub mod guest;
mod turn;

pub use driver::Driver;
pub use guest::Guest;
pub use turn::Turn;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use xtask::browser::{self, Drive};
use xtask::fleet::text;
use xtask::process::wait_for;
use xtask::setup;
use xtask::stack::{Options, Stack};

/// This machine's monotonic clock in milliseconds, as the simulator's trace uses it.
pub fn mono_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000
        + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

/// One line of the simulator's trace, every 10 ms.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct TraceLine {
    /// When.
    pub mono_ms: u64,
    /// True speed of the robot, m/s.
    pub speed_mps: f64,
    /// Speed that the newest command asked for, m/s.
    pub cmd_linear: f64,
    /// Age of that command, ms; none before the first.
    pub cmd_age_ms: Option<f64>,
}

/// The base stops by itself when no command came for so long, ms.
const BASE_TIMEOUT_MS: f64 = 300.0;

impl TraceLine {
    /// Whether the wheels were told to stop, or the base has timed out.
    fn told_to_stop(&self) -> bool {
        self.cmd_linear.abs() < 1e-6 || self.cmd_age_ms.is_none_or(|age| age >= BASE_TIMEOUT_MS)
    }
}

/// How a robot came to rest after a fault.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    /// From the fault until the wheels were told to stop (or the base timed out by itself).
    pub commanded_ms: u64,
    /// From the fault until the robot stood.
    pub at_rest_ms: u64,
    /// Speed when the fault happened, m/s.
    pub speed_mps: f64,
}

/// Writes a measured stop where `cargo xtask test` finds it for its table.
pub fn note_stop(fault: &str, stop: Stop) -> Result<()> {
    let path = xtask::test::stops_file();
    let mut file = std::fs::File::options().create(true).append(true).open(path)?;
    let line = serde_json::json!({
        "fault": fault, "commanded_ms": stop.commanded_ms, "at_rest_ms": stop.at_rest_ms,
        "speed_mps": stop.speed_mps,
    });
    writeln!(file, "{line}")?;
    Ok(())
}

/// A running stack in a folder of its own.
#[derive(Debug)]
pub struct Rig {
    /// The processes.
    pub stack: Stack,
    /// The mission that was opened.
    pub mission: String,
}

/// A headless pilot; killed when dropped.
#[derive(Debug)]
pub struct Pilot(Option<Child>);

impl Pilot {
    /// Waits for its end and returns what it reports.
    pub fn finish(mut self) -> Result<serde_json::Value> {
        browser::finish(self.0.take().context("the pilot has gone")?)
    }

    /// Process ids of its Chromium, all of them.
    pub fn chromium_pids(&self) -> Result<Vec<u32>> {
        let root = self.0.as_ref().context("the pilot has gone")?.id();
        let mut family = vec![root];
        let mut at = 0;
        while let Some(&pid) = family.get(at) {
            family.extend(children(pid));
            at += 1;
        }
        family.remove(0);
        ensure!(!family.is_empty(), "the pilot has no browser");
        Ok(family)
    }

    /// Sends a signal to every process of its Chromium.
    pub fn signal_chromium(&self, signal: &str) -> Result<()> {
        for pid in self.chromium_pids()? {
            // A process that has just gone needs no signal.
            drop(
                std::process::Command::new("kill")
                    .args([format!("-{signal}"), pid.to_string()])
                    .status(),
            );
        }
        Ok(())
    }
}

/// Children of every thread of a process: browsers start theirs from threads.
fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    let lists = tasks.into_iter().flatten().flatten();
    let lists = lists.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace().filter_map(|c| c.parse().ok()).collect::<Vec<u32>>()
        })
        .collect()
}

impl Drop for Pilot {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // Node must clean up its browser: ask first.
            drop(std::process::Command::new("kill").arg(child.id().to_string()).status());
            drop(child.wait());
        }
    }
}

/// Options of a stack with nothing kept from before and a ROS domain of its own.
pub fn fresh(name: &str) -> Result<Options> {
    let data = setup::target_dir().join("system-tests").join(name);
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    std::fs::create_dir_all(&data)?;
    Ok(Options {
        ros_domain: u16::try_from(std::process::id() % 90).unwrap_or(0) + 10,
        ..Options::new(&data.canonicalize()?)?
    })
}

/// Waits until the newest episode is accepted, and returns it.
pub fn accepted_episode(stack: &Stack) -> Result<serde_json::Value> {
    wait_for("an accepted episode", 60, || {
        let episodes = stack.operator.get("/v1/episodes")?;
        let newest = xtask::fleet::items(&episodes).first().cloned();
        Ok(newest.filter(|e| e["state"] == "accepted"))
    })
}

impl Rig {
    /// Starts a fresh stack named `name` with an open mission.
    pub fn start(name: &str) -> Result<Self> {
        Self::start_with(name, &[])
    }

    /// As [`Rig::start`], with further arguments for the simulator.
    pub fn start_with(name: &str, sim_args: &[&str]) -> Result<Self> {
        let sim_args = sim_args.iter().map(|&arg| arg.to_owned()).collect();
        Self::start_on(Options { sim_args, ..fresh(name)? })
    }

    /// Starts a stack with an open mission.
    pub fn start_on(options: Options) -> Result<Self> {
        let stack = Stack::start(options)?;
        let mission = text(&stack.open_mission()?, "id")?;
        Ok(Self { stack, mission })
    }

    /// Folder of the test's data.
    pub fn data(&self) -> &Path {
        &self.stack.options.data
    }

    /// One of our programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.stack.options.bin.join(name)
    }

    /// A headless Chromium that takes the mission and holds W until it is told otherwise.
    pub fn holding_pilot(&self) -> Result<Pilot> {
        let join = self.stack.invite_pilot()?;
        let drive =
            Drive { join_url: &join, mission: &self.mission, screenshots: None, more: &["--hold"] };
        Ok(Pilot(Some(browser::start(&drive)?)))
    }

    /// The simulator's trace since `from_ms`.
    pub fn trace_since(&self, from_ms: u64) -> Result<Vec<TraceLine>> {
        let text = std::fs::read_to_string(self.stack.options.sim_trace())?;
        // The last line may be half written.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<TraceLine>(line).ok());
        Ok(lines.filter(|line| line.mono_ms >= from_ms).collect())
    }

    /// Waits until the robot goes at least `mps`.
    pub fn wait_for_speed(&self, mps: f64) -> Result<()> {
        wait_for(&format!("a speed of {mps} m/s"), 60, || {
            let recent = self.trace_since(mono_ms().saturating_sub(200))?;
            Ok(recent.last().is_some_and(|line| line.speed_mps >= mps).then_some(()))
        })
    }

    /// Waits until the robot stands after a fault at `fault_ms`, and says how it came to that.
    pub fn stop_after(&self, fault_ms: u64) -> Result<Stop> {
        let at_rest = |line: &TraceLine| line.speed_mps.abs() < 0.01;
        wait_for("the robot at rest", 15, || {
            let trace = self.trace_since(fault_ms)?;
            let Some(rest) = trace.iter().find(|line| at_rest(line)) else { return Ok(None) };
            let told = trace.iter().find(|line| line.told_to_stop()).unwrap_or(rest);
            Ok(Some(Stop {
                commanded_ms: told.mono_ms - fault_ms,
                at_rest_ms: rest.mono_ms - fault_ms,
                speed_mps: trace[0].speed_mps,
            }))
        })
    }

    /// Waits until the mission's newest episode is accepted, and returns it.
    pub fn accepted_episode(&self) -> Result<serde_json::Value> {
        accepted_episode(&self.stack)
    }
}
