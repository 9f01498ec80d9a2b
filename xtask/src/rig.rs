//! A running stack under test, a pilot in it, and the simulator's account of what the robot did.

use crate::browser::{self, Browser, Drive};
use crate::fleet::{items, text};
use crate::process::wait_for;
use crate::setup;
use crate::stack::{Options, Stack};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command};
use std::sync::{Arc, Mutex, PoisonError};

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
    /// How fast its wheels turn it, rad/s.
    pub turn_radps: f64,
    /// Speed that the newest command asked for, m/s.
    pub cmd_linear: f64,
    /// Turn rate that it asked for, rad/s.
    pub cmd_angular: f64,
    /// Age of that command, ms; none before the first.
    pub cmd_age_ms: Option<f64>,
}

/// The base stops by itself when no command came for so long, ms.
const BASE_TIMEOUT_MS: f64 = 300.0;

impl TraceLine {
    /// Whether the wheels were told to stop, or the base has timed out.
    fn told_to_stop(&self) -> bool {
        let zero = self.cmd_linear.abs() < 1e-6 && self.cmd_angular.abs() < 1e-6;
        zero || self.cmd_age_ms.is_none_or(|age| age >= BASE_TIMEOUT_MS)
    }

    /// Whether the robot stands.
    pub fn rests(&self) -> bool {
        self.speed_mps.abs() < 0.01 && self.turn_radps.abs() < 0.01
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

/// A running stack in a folder of its own.
#[derive(Debug)]
pub struct Rig {
    /// The processes.
    pub stack: Stack,
    /// The mission that was opened.
    pub mission: String,
}

/// What the cockpit showed from some moment on.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Told {
    /// Wall clock, ms since the epoch.
    pub at_ms: f64,
    /// What the safety core did, as the page knows it.
    pub state: Option<String>,
    /// Code of the reason.
    pub reason: Option<String>,
    /// How grave the page takes it: `calm`, `drive`, `hold`, `stop`.
    pub gravity: String,
    /// The sentence in large letters.
    pub title: String,
    /// The rest of it: why, and what to do.
    pub detail: String,
}

/// A headless pilot; killed when dropped.
#[derive(Debug)]
pub struct Pilot {
    child: Child,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Pilot {
    fn new(mut child: Child) -> Result<Self> {
        let told = Arc::new(Mutex::new(Vec::new()));
        let out = child.stdout.take().context("the pilot's output")?;
        let heard = Arc::clone(&told);
        std::thread::Builder::new().name("pilot".to_owned()).spawn(move || hear(out, &heard))?;
        Ok(Self { child, told })
    }

    /// What the page showed so far, whenever it changed.
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Holds these keys from now on, such as `KeyW KeyA`.
    pub fn hold(&mut self, keys: &str) -> Result<()> {
        let stdin = self.child.stdin.as_mut().context("the pilot's input")?;
        writeln!(stdin, "{keys}").context("the pilot has gone")
    }

    /// Process ids of its Chromium, all of them.
    pub fn chromium_pids(&self) -> Result<Vec<u32>> {
        let mut family = vec![self.child.id()];
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
        let pids = self.chromium_pids()?.into_iter().map(|pid| pid.to_string());
        // A process that has just gone needs no signal: the status tells nothing.
        let _status = Command::new("kill").arg(format!("-{signal}")).args(pids).status()?;
        Ok(())
    }
}

fn hear(out: ChildStdout, told: &Mutex<Vec<Told>>) {
    for line in BufReader::new(out).lines() {
        let Ok(line) = line else { return };
        // Other lines are the report of a drive.
        if let Ok(Some(one)) = serde_json::from_str::<Value>(&line)
            .map(|line| serde_json::from_value::<Told>(line["told"].clone()).ok())
        {
            told.lock().unwrap_or_else(PoisonError::into_inner).push(one);
        }
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
        // Node must clean up its browser: ask first.
        drop(Command::new("kill").arg(self.child.id().to_string()).status());
        drop(self.child.wait());
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
pub fn accepted_episode(stack: &Stack) -> Result<Value> {
    wait_for("an accepted episode", 60, || {
        let episodes = stack.operator.get("/v1/episodes")?;
        let newest = items(&episodes).first().cloned();
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

    /// A newly invited pilot drives the whole mission in a browser, with screenshots: what the page reported.
    pub fn drive(&self, more: &[&str]) -> Result<Value> {
        let join = self.stack.invite_pilot()?;
        let screenshots = self.data().join("screenshots");
        let screenshots = Some(screenshots.as_path());
        let browser = Browser::default();
        let drive = Drive { join_url: &join, mission: &self.mission, screenshots, more, browser };
        browser::finish(browser::start(&drive)?)
    }

    /// A headless Chromium that takes the mission and holds W until it is told otherwise.
    pub fn holding_pilot(&self) -> Result<Pilot> {
        self.holding_pilot_with(&[])
    }

    /// As [`Rig::holding_pilot`], with further arguments for the script.
    pub fn holding_pilot_with(&self, more: &[&str]) -> Result<Pilot> {
        let join = self.stack.invite_pilot()?;
        let more = [&["--hold"], more].concat();
        let drive =
            Drive { join_url: &join, mission: &self.mission, more: &more, ..Drive::default() };
        Pilot::new(browser::start(&drive)?)
    }

    /// The simulator's trace since `from_ms`.
    pub fn trace_since(&self, from_ms: u64) -> Result<Vec<TraceLine>> {
        let text = std::fs::read_to_string(self.stack.options.sim_trace())?;
        // The last line may be half written.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<TraceLine>(line).ok());
        Ok(lines.filter(|line| line.mono_ms >= from_ms).collect())
    }

    /// The simulator's trace of `ms` from `from_ms` on; waits until it is there.
    pub fn trace_of(&self, from_ms: u64, ms: u64) -> Result<Vec<TraceLine>> {
        wait_for("the simulator's trace", ms / 1_000 + 10, || {
            let trace = self.trace_since(from_ms)?;
            Ok(trace.last().is_some_and(|line| line.mono_ms >= from_ms + ms).then_some(trace))
        })
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
        wait_for("the robot at rest", 15, || Ok(stop_in(&self.trace_since(fault_ms)?, fault_ms)))
    }

    /// Waits until the mission's newest episode is accepted, and returns it.
    pub fn accepted_episode(&self) -> Result<Value> {
        accepted_episode(&self.stack)
    }
}

/// How the robot came to rest in a trace that begins with a fault; nothing while it goes.
pub fn stop_in(trace: &[TraceLine], fault_ms: u64) -> Option<Stop> {
    let rest = trace.iter().find(|line| line.rests())?;
    let told = trace.iter().find(|line| line.told_to_stop()).unwrap_or(rest);
    Some(Stop {
        commanded_ms: told.mono_ms - fault_ms,
        at_rest_ms: rest.mono_ms - fault_ms,
        speed_mps: trace.first()?.speed_mps,
    })
}
