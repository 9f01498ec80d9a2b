//! `cargo xtask bench agent`: what the robot's agent takes of its machine, and how punctual its drive loop is on a machine
//! that has no time.

use super::{Figures, figures, single, usage};
use crate::browser::{self, Drive};
use crate::process::{Process, wait_for};
use crate::rig::{Rig, mono_ms};
use crate::robots::Rover;
use crate::stack::{Options, Stack};
use crate::{progress, root, setup};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Measure the robot's agent: CPU, memory and disk, idle and driving; the drive loop's ticks on a machine with a busy
/// loop on every core; from the start of the process to the first turn of a wheel; a step of the safety core.
///
/// How late a tick is, the drive loop itself counts: from the time by which the safety core wants its next step until the
/// step is made and its wheel command handed to DDS. How even the wheel commands come is looked at from outside, at the
/// base, and holds the base's own lateness as well.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How long ticks are counted, for each of three ways to schedule the drive loop
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// While the wheels turn, the agent tells the base this often, ms.
const WHEELS_EVERY_MS: f64 = 20.0;
/// Longer gaps are stops, ms.
const GAP_MS_MAX: f64 = 250.0;
/// The program that drives sends this often.
const CONTROL_EVERY: Duration = Duration::from_millis(50);
/// Bar on the 99.9th percentile of a tick's lateness, ms.
const TICK_MS_MAX: f64 = 5.0;

/// Rights to be scheduled first that the agent starts with.
struct Rights {
    /// As the agent names what comes of them.
    priority: &'static str,
    /// `RLIMIT_NICE`: 20 less the lowest nice value.
    nice: u32,
    /// `RLIMIT_RTPRIO`.
    rtprio: u32,
}

/// The limits of the systemd unit are the last; a system without them grants fewer.
const RIGHTS: [Rights; 3] = [
    Rights { priority: "ordinary", nice: 0, rtprio: 0 },
    Rights { priority: "raised", nice: 30, rtprio: 0 },
    Rights { priority: "realtime", nice: 30, rtprio: 1 },
];

impl Rights {
    fn limits(&self) -> [String; 2] {
        let Self { nice, rtprio, .. } = self;
        [format!("--nice={nice}:{nice}"), format!("--rtprio={rtprio}:{rtprio}")]
    }

    /// What starts the agent with these limits and without root's right to be above them. Where not even root may raise
    /// limits (a container), root's own rights stand for those of the unit, and there is nothing between them and none.
    fn under(&self) -> Option<Vec<String>> {
        let mut words = vec!["prlimit".to_owned()];
        words.extend(self.limits());
        let may = Command::new("prlimit").args(self.limits()).arg("true").output();
        if may.is_ok_and(|out| out.status.success()) {
            let without = ["setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice"];
            words.extend(without.map(ToOwned::to_owned));
            return Some(words);
        }
        (self.rtprio > 0).then(Vec::new)
    }
}

/// Runs the benchmark and gives its rows.
pub(super) fn run(args: &Args) -> Result<Vec<Value>> {
    setup::test_packages()?;
    setup::npm_install(&root().join("tests/browser"))?;
    let data = setup::target_dir().join("bench-agent");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    std::fs::create_dir_all(&data)?;
    let data = data.canonicalize()?;
    let mut rows = vec![step()?];
    rows.extend(used(&data.join("used"))?);
    if setup::is_root() {
        for rights in &RIGHTS {
            rows.extend(punctual(&data.join(rights.priority), rights, args.seconds)?);
        }
    } else {
        progress("NOT MEASURED: ticks with and without priority; taking rights away needs root");
    }
    rows.push(from_start(&data.join("start"))?);
    Ok(rows)
}

/// What a step of the safety core costs.
fn step() -> Result<Value> {
    setup::examples()?;
    let program = setup::binaries()?.join("examples/step_cost");
    progress("steps of the safety core");
    let out = Command::new(program).arg("--json").output().context("step_cost")?;
    ensure!(out.status.success(), "step_cost: {}", String::from_utf8_lossy(&out.stderr));
    let cost: Value = serde_json::from_slice(&out.stdout)?;
    let us = |key: &str| cost[key].as_f64().map(|ns| ns / 1e3);
    Ok(json!({
        "id": "safety_step", "unit": "µs", "p50": us("p50"), "p99": us("p99"), "p999": us("p999"),
        "peers": {}, "bar": "p99 <= 10", "holds": cost["holds"],
    }))
}

fn options(data: &Path, domain: u16) -> Result<Options> {
    std::fs::create_dir_all(data)?;
    let log = data.join("commands.jsonl").display().to_string();
    let sim_args = vec!["--no-people".to_owned(), "--command-log".to_owned(), log];
    Ok(Options { sim_args, rear_camera: false, ros_domain: domain, ..Options::new(data)? })
}

/// What the agent takes, idle and driven through the cockpit, with one camera.
fn used(data: &Path) -> Result<Vec<Value>> {
    let rig = Rig::start_on(options(data, 81)?)?;
    let pid = rig.stack.agent.pid();
    progress("the agent, idle");
    let idle = usage(pid, 10)?;
    progress("the agent, driven through the cockpit");
    let join = rig.stack.invite_pilot()?;
    let more = ["--turn", "24"];
    let drive = Drive { join_url: &join, mission: &rig.mission, more: &more, ..Drive::default() };
    let pilot = browser::start(&drive)?;
    wait_for("a robot that turns", 60, || {
        let recent = rig.trace_since(mono_ms().saturating_sub(200))?;
        Ok(recent.last().is_some_and(|line| line.turn_radps.abs() > 0.4).then_some(()))
    })?;
    std::thread::sleep(Duration::from_secs(3));
    let driven = usage(pid, 15)?;
    browser::finish(pilot)?;
    let cpu = "% of a core";
    let bare = driven.cpu_without_media;
    Ok(vec![
        single("agent_cpu_idle", cpu, Some(idle.cpu), "none", true),
        single("agent_rss_idle", "MB", Some(idle.rss_mb), "none", true),
        single("agent_disk_idle", "kB/s", Some(idle.written_kbps), "none", true),
        single("agent_cpu", cpu, Some(driven.cpu), "none", true),
        single("agent_cpu_without_encoding", cpu, Some(bare), "<= 5", bare <= 5.0),
        single("agent_rss", "MB", Some(driven.rss_mb), "<= 80", driven.rss_mb <= 80.0),
        single("agent_disk", "kB/s", Some(driven.written_kbps), "none", true),
    ])
}

/// A program that turns the robot on the spot until it is dropped.
struct Turning {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    _rover: Rover,
}

impl Turning {
    fn start(stack: &Stack) -> Result<Self> {
        let rover = Rover::start(stack, "bench")?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopping, client) = (Arc::clone(&stop), super::rover::Client::new(&rover.url));
        let thread = std::thread::spawn(move || {
            while !stopping.load(Ordering::Relaxed) {
                // Refused while the robot stands for a reason of its own: then it is asked again.
                drop(client.control(0.4));
                std::thread::sleep(CONTROL_EVERY);
            }
        });
        Ok(Self { stop, thread: Some(thread), _rover: rover })
    }
}

impl Drop for Turning {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Nothing is left to do for one that panicked.
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

/// The drive loop's ticks, and the wheel commands, with a busy loop on every core.
fn punctual(data: &Path, rights: &Rights, seconds: u64) -> Result<Vec<Value>> {
    let Some(agent_under) = rights.under() else {
        progress(&format!(
            "NOT MEASURED: a drive loop that is {}: prlimit may not",
            rights.priority
        ));
        return Ok(Vec::new());
    };
    let stack = Stack::start(Options { agent_under, ..options(data, 82)? })?;
    let turning = Turning::start(&stack)?;
    let log = data.join("commands.jsonl");
    wait_for("a robot that turns", 60, || Ok((wheels_since(&log, 0.0)?.len() > 20).then_some(())))?;
    let priority = rights.priority;
    let found = status(data)?["drive_loop"]["priority"].clone();
    ensure!(found == priority, "the drive loop is {found}, and should be {priority}");
    progress(&format!("ticks of a drive loop that is {priority}, a busy loop on every core"));
    let hogs = busy_loops(data)?;
    std::thread::sleep(Duration::from_secs(2));
    let (before, begun) = (late_us(data)?, mono_ms());
    std::thread::sleep(Duration::from_secs(seconds));
    let after = late_us(data)?;
    drop(hogs);
    drop(turning);
    // The log is written within 100 ms.
    std::thread::sleep(Duration::from_millis(300));
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since the machine's start")]
    let wheels = wheels_since(&log, begun as f64)?;
    let gaps: Vec<f64> = wheels
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .filter(|gap| *gap < GAP_MS_MAX)
        .map(|gap| (gap - WHEELS_EVERY_MS).abs())
        .collect();
    let late = between(&before, &after);
    let bound = priority == "realtime";
    Ok(vec![
        ticks(&format!("tick_late_{priority}"), &late, bound),
        spread(&format!("wheel_jitter_{priority}"), &gaps),
    ])
}

/// One busy loop for each core, at ordinary priority.
fn busy_loops(data: &Path) -> Result<Vec<Process>> {
    let args = ["-c", "while :; do :; done"].map(ToOwned::to_owned);
    let log = data.join("logs/busy.log");
    (0..std::thread::available_parallelism()?.get())
        .map(|_| Process::start("busy loop", Path::new("sh"), &args, log.clone()))
        .collect()
}

/// Asks the running agent how it does.
fn status(data: &Path) -> Result<Value> {
    // By way of the open folder: the path of a socket must be short.
    let robot = File::open(data.join("robot"))?;
    let socket = format!("/proc/self/fd/{}/agent.sock", robot.as_raw_fd());
    let mut text = String::new();
    UnixStream::connect(socket).context("agent.sock")?.read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

type Histogram = BTreeMap<u64, u64>;

fn late_us(data: &Path) -> Result<Histogram> {
    let late = status(data)?["drive_loop"]["late_us"].take();
    let late: Vec<(u64, u64)> = serde_json::from_value(late).context("the drive loop's ticks")?;
    Ok(late.into_iter().collect())
}

/// What was counted between two reports.
fn between(before: &Histogram, after: &Histogram) -> Histogram {
    let new = after.iter().map(|(upper, n)| (*upper, n - before.get(upper).unwrap_or(&0)));
    new.filter(|(_, n)| *n > 0).collect()
}

/// The bound below which so many of a thousand lie, ms.
fn percentile_ms(late: &Histogram, permille: u64) -> Option<f64> {
    let rank = late.values().sum::<u64>() * permille / 1_000;
    let mut seen = 0;
    let reached = late.iter().find(|(_, n)| {
        seen += *n;
        seen > rank
    });
    let (upper_us, _) = reached.or(late.last_key_value())?;
    u32::try_from(*upper_us).ok().map(|us| f64::from(us) / 1e3)
}

fn ticks(id: &str, late: &Histogram, bound: bool) -> Value {
    let p999 = percentile_ms(late, 999);
    let bar = if bound { format!("p99.9 <= {TICK_MS_MAX}") } else { "none".to_owned() };
    json!({
        "id": id, "unit": "ms", "count": late.values().sum::<u64>(),
        "p50": percentile_ms(late, 500), "p99": percentile_ms(late, 990), "p999": p999,
        "max": percentile_ms(late, 1_000), "peers": {}, "bar": bar,
        "holds": !bound || p999.is_some_and(|p999| p999 <= TICK_MS_MAX),
    })
}

fn spread(id: &str, values: &[f64]) -> Value {
    let Figures { p50, p99 } = figures(values);
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() * 999 / 1_000).min(sorted.len().saturating_sub(1));
    json!({
        "id": id, "unit": "ms", "count": values.len(), "p50": p50, "p99": p99,
        "p999": sorted.get(at), "max": sorted.last(), "peers": {}, "bar": "none", "holds": true,
    })
}

/// When wheel commands that move the robot arrived at the base after `from_ms`, monotonic ms.
fn wheels_since(log: &Path, from_ms: f64) -> Result<Vec<f64>> {
    let text = std::fs::read_to_string(log)?;
    let line = |line: &str| {
        // The last one may be half written.
        let line: Value = serde_json::from_str(line).ok()?;
        let moving = line["angular"].as_f64().is_some_and(|radps| radps.abs() > 1e-3);
        line["mono_ms"].as_f64().filter(|at| moving && *at >= from_ms)
    };
    Ok(text.lines().filter_map(line).collect())
}

/// From the start of the agent's process until the wheels first turn by its order: a robot is switched on.
fn from_start(data: &Path) -> Result<Value> {
    let mut stack = Stack::start(options(data, 83)?)?;
    let turning = Turning::start(&stack)?;
    let log = data.join("commands.jsonl");
    wait_for("a robot that turns", 60, || Ok((wheels_since(&log, 0.0)?.len() > 20).then_some(())))?;
    progress("the agent is started anew while a program wants to drive, three times");
    let mut seconds = Vec::new();
    for _ in 0..3 {
        stack.agent.stop();
        // What it said last has arrived.
        std::thread::sleep(Duration::from_millis(500));
        let (begun, start) = (mono_ms(), Instant::now());
        stack.agent = stack.options.start_agent()?;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since the machine's start")]
        let begun = begun as f64;
        let first = wait_for("a wheel that turns again", 60, || {
            Ok(wheels_since(&log, begun)?.first().copied())
        })?;
        seconds.push((first - begun) / 1e3);
        progress(&format!("{:.1} s", start.elapsed().as_secs_f64()));
        std::thread::sleep(Duration::from_secs(2));
    }
    drop(turning);
    seconds.sort_by(f64::total_cmp);
    let worst = seconds.last().copied();
    Ok(single("start_to_drivable", "s", worst, "none", true))
}
