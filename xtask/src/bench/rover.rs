//! `cargo xtask bench earth-rover`: what a program at `http://localhost:8000` gets of a robot.

use super::{figures, row, single, ticks, to_wheels};
use crate::process::Process;
use crate::robots::{Cameras, Robot, Rover};
use crate::stack::{Options, Stack};
use crate::{progress, setup};
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Measure what a program gets through the Earth Rovers API and `longrein earth-rover`.
///
/// One client polls /v2/front, /data and /control 30 times a second, each over a connection that stays open; then many
/// robots with a client each.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How long the one client polls; the bar on stalls is for ten minutes
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    /// How many robots have a client each in the second part; 0 leaves it out
    #[arg(long, default_value_t = 20)]
    robots: u16,
    /// How long the second part takes
    #[arg(long, default_value_t = 30)]
    fleet_seconds: u32,
}

/// Ticks of the one client.
const HZ: f64 = 30.0;
/// Ticks of each of many clients: LeRobot's rate.
const FLEET_HZ: f64 = 10.0;
/// A frame this long after the one before is a stall, ms.
const STALL_MS: f64 = 100.0;
/// The first ticks open leases and subscriptions, and are not counted.
const WARM_UP: Duration = Duration::from_secs(3);
/// The same where many begin at once: sessions, leases and episodes of all of them are opened in these seconds.
const FLEET_WARM_UP: Duration = Duration::from_secs(10);

/// What a client saw.
#[derive(Debug, Default)]
struct Seen {
    front_ms: Vec<f64>,
    data_ms: Vec<f64>,
    control_ms: Vec<f64>,
    /// From capture to receipt.
    ages_ms: Vec<f64>,
    /// Between receipts of one frame and the next.
    gaps_ms: Vec<f64>,
    duplicates: u32,
    ticks: u32,
    /// Ticks that took longer than their period: when, in seconds, and how long, in ms.
    late: Vec<(f64, f64)>,
    failures: Vec<String>,
    /// Wall-clock times of the first moving command after a rest.
    presses: Vec<Value>,
}

fn wall_us() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e6
}

fn ms_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1_000.0
}

/// One client's connection.
pub(super) struct Client {
    agent: ureq::Agent,
    url: String,
}

impl Client {
    pub(super) fn new(url: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(15)))
            .build();
        Self { agent: config.into(), url: url.to_owned() }
    }

    fn get(&self, path: &str) -> Result<String> {
        Self::body(path, self.agent.get(format!("{}{path}", self.url)).call())
    }

    pub(super) fn control(&self, angular: f64) -> Result<String> {
        let body = json!({"command": {"linear": 0.0, "angular": angular, "lamp": 0}});
        let path = "/control";
        Self::body(path, self.agent.post(format!("{}{path}", self.url)).send_json(body))
    }

    fn body(
        path: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<String> {
        let mut answer = answer.with_context(|| path.to_owned())?;
        let text = answer.body_mut().read_to_string().with_context(|| path.to_owned())?;
        let shown: String = text.chars().take(120).collect();
        ensure!(answer.status() == 200, "{path}: {} {shown}", answer.status());
        Ok(text)
    }
}

/// Polls as scripts do: works, then sleeps for the rest of the tick.
fn poll(url: &str, hz: f64, warm_up: Duration, seconds: u32) -> Seen {
    let (client, period) = (Client::new(url), Duration::from_secs_f64(1.0 / hz));
    let begun = Instant::now();
    while begun.elapsed() < warm_up {
        // Failures that last show below.
        drop((client.get("/v2/front"), client.get("/data"), client.control(0.0)));
        std::thread::sleep(period);
    }
    let (mut seen, mut last) = (Seen::default(), None::<(Instant, f64)>);
    let begun = Instant::now();
    let turn_ticks = (hz / 3.0).ceil();
    while begun.elapsed() < Duration::from_secs(u64::from(seconds)) {
        let tick = Instant::now();
        // A second of three parts: a turn, and two parts of rest.
        let phase = f64::from(seen.ticks) % (turn_ticks * 3.0);
        let angular = if phase < turn_ticks { 0.3 } else { 0.0 };
        if let Err(error) = front(&client, &mut seen, &mut last)
            .and_then(|()| timed(&mut seen.data_ms, || client.get("/data")).map(drop))
            .and_then(|()| {
                if phase == 0.0 {
                    seen.presses.push(json!({"sent_us": wall_us()}));
                }
                timed(&mut seen.control_ms, || client.control(angular)).map(drop)
            })
        {
            seen.failures.push(format!("{:.1} s: {error:#}", begun.elapsed().as_secs_f64()));
        }
        seen.ticks += 1;
        if tick.elapsed() > period {
            seen.late.push((begun.elapsed().as_secs_f64(), ms_since(tick)));
        }
        std::thread::sleep(period.saturating_sub(tick.elapsed()));
    }
    seen
}

fn timed(times: &mut Vec<f64>, call: impl FnOnce() -> Result<String>) -> Result<String> {
    let start = Instant::now();
    let text = call()?;
    times.push(ms_since(start));
    Ok(text)
}

fn front(client: &Client, seen: &mut Seen, last: &mut Option<(Instant, f64)>) -> Result<()> {
    let text = timed(&mut seen.front_ms, || client.get("/v2/front"))?;
    let (received, received_us) = (Instant::now(), wall_us());
    let answer: Value = serde_json::from_str(&text)?;
    let captured = answer["timestamp"].as_f64().context("/v2/front: no timestamp")?;
    seen.ages_ms.push(received_us / 1_000.0 - captured * 1_000.0);
    if let Some((before, captured_before)) = *last {
        seen.gaps_ms.push(received.duration_since(before).as_secs_f64() * 1_000.0);
        seen.duplicates += u32::from(captured <= captured_before);
    }
    *last = Some((received, captured));
    Ok(())
}

/// Runs the benchmark and gives its rows.
pub(super) fn run(args: &Args) -> Result<Vec<Value>> {
    setup::system_packages()?;
    let data = setup::target_dir().join("bench-earth-rover");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    std::fs::create_dir_all(data.join("logs"))?;
    let data = data.canonicalize()?;
    let mut rows = one(&data.join("one"), args.seconds)?;
    // Ten minutes' worth, whatever becomes of the rest.
    for row in &rows {
        progress(&row.to_string());
    }
    if args.robots > 0 {
        rows.extend(many(&data.join("many"), args.robots, args.fleet_seconds)?);
    }
    Ok(rows)
}

fn one(data: &Path, seconds: u32) -> Result<Vec<Value>> {
    std::fs::create_dir_all(data)?;
    let commands = data.join("commands.jsonl");
    let mut sim_args = vec!["--no-people".to_owned(), "--command-log".to_owned()];
    sim_args.push(commands.display().to_string());
    let stack = Stack::start(Options { sim_args, ros_domain: 79, ..Options::new(data)? })?;
    let rover = Rover::start(&stack, "bench")?;
    progress(&format!("one client at {HZ} Hz for {seconds} s"));
    let seen = poll(&rover.url, HZ, WARM_UP, seconds);
    // The log is written within 100 ms.
    std::thread::sleep(Duration::from_millis(300));
    let wheels = to_wheels(&json!(seen.presses), &std::fs::read_to_string(&commands)?);
    tell(&seen);
    ensure!(
        wheels.len() * 10 >= seen.presses.len() * 8,
        "only {} of {} presses reached the wheels",
        wheels.len(),
        seen.presses.len()
    );
    let stalls = seen.gaps_ms.iter().filter(|gap| **gap > STALL_MS).count();
    let longest = seen.gaps_ms.iter().copied().fold(0.0, f64::max);
    Ok(vec![
        bounded("rover_front", &seen.front_ms, 20.0),
        bounded("rover_data", &seen.data_ms, 20.0),
        bounded("rover_control", &seen.control_ms, 20.0),
        row("rover_picture_age", "ms", &figures(&seen.ages_ms), "none", true),
        bounded("rover_command_to_wheel", &wheels, 20.0),
        count("rover_duplicate_frames", f64::from(seen.duplicates)),
        count("rover_stalls_over_100_ms", as_f64(stalls)),
        single("rover_longest_gap", "ms", Some(longest), "<= 100", longest <= STALL_MS),
        count("rover_failed_ticks", as_f64(seen.failures.len())),
    ])
}

fn many(data: &Path, robots: u16, seconds: u32) -> Result<Vec<Value>> {
    std::fs::create_dir_all(data)?;
    let mut stack = Stack::start(Options { ros_domain: 80, ..Options::new(data)? })?;
    // Its large pictures are not what is measured here.
    stack.agent.stop();
    if let Some(sim) = &mut stack.sim {
        sim.stop();
    }
    progress(&format!("{robots} further robots, one by one"));
    let cameras = Cameras { size: (160, 120), fps: 12, rear: false };
    let mut fleet = Vec::new();
    for number in 1..=robots {
        fleet.push(Robot::start(&stack, number, cameras)?);
    }
    let rovers = fleet
        .iter()
        .map(|robot| Rover::start_for(&stack, &format!("at-{}", robot.name), &robot.name, &[]))
        .collect::<Result<Vec<_>>>()?;
    progress(&format!("a client each at {FLEET_HZ} Hz for {seconds} s"));
    // Clients that know nothing of each other do not tick in step.
    let apart = Duration::from_secs_f64(1.0 / FLEET_HZ) / u32::from(robots);
    let threads: Vec<_> = rovers
        .iter()
        .map(|rover| {
            let url = rover.url.clone();
            std::thread::sleep(apart);
            std::thread::spawn(move || poll(&url, FLEET_HZ, FLEET_WARM_UP, seconds))
        })
        .collect();
    let programs = [
        ("simulators", fleet.iter().map(|robot| robot.sim.pid()).collect::<Vec<_>>()),
        ("agents", fleet.iter().map(|robot| robot.agent.pid()).collect()),
        ("proxies", rovers.iter().map(|rover| rover.process.pid()).collect()),
        ("gateway", vec![stack.gateway.pid()]),
        ("fleet_server", vec![stack.fleet.pid()]),
        ("clients", vec![std::process::id()]),
    ];
    std::thread::sleep(FLEET_WARM_UP);
    let (before, begun) = (used(&programs)?, Instant::now());
    // A little less than the clients take: what a thread used is gone with it.
    std::thread::sleep(Duration::from_secs(u64::from(seconds)).mul_f64(0.9));
    let (after, passed) = (used(&programs)?, begun.elapsed().as_secs_f64());
    let mut all = Seen::default();
    for thread in threads {
        let seen = thread.join().map_err(|_panic| anyhow!("a client panicked"))?;
        tell(&seen);
        all.front_ms.extend(seen.front_ms);
        all.data_ms.extend(seen.data_ms);
        all.control_ms.extend(seen.control_ms);
        all.ages_ms.extend(seen.ages_ms);
        all.failures.extend(seen.failures);
        all.duplicates += seen.duplicates;
        all.ticks += seen.ticks;
        all.late.extend(seen.late);
    }
    for robot in &mut fleet {
        [&mut robot.agent, &mut robot.sim].into_iter().try_for_each(Process::check)?;
    }
    let cpu = programs.iter().zip(after.iter().zip(&before)).map(|((name, _), (after, before))| {
        let percent = (after - before) / passed;
        single(&format!("fleet_cpu_{name}"), "% of a core", Some(percent), "none", true)
    });
    let mut rows = vec![
        row("fleet_front", "ms", &figures(&all.front_ms), "none", true),
        row("fleet_data", "ms", &figures(&all.data_ms), "none", true),
        row("fleet_control", "ms", &figures(&all.control_ms), "none", true),
        row("fleet_picture_age", "ms", &figures(&all.ages_ms), "none", true),
        single("fleet_ticks", "ticks", Some(f64::from(all.ticks)), "none", true),
        late_ticks(&all),
        count("fleet_duplicate_frames", f64::from(all.duplicates)),
        count("fleet_failed_ticks", as_f64(all.failures.len())),
    ];
    rows.extend(cpu);
    Ok(rows)
}

/// CPU ticks of each kind of program.
fn used(programs: &[(&str, Vec<u32>)]) -> Result<Vec<f64>> {
    let of = |pids: &Vec<u32>| pids.iter().try_fold(0.0, |sum, pid| Ok(sum + ticks(*pid)?.0));
    programs.iter().map(|(_, pids)| of(pids)).collect()
}

/// Failures and late ticks are told, not hidden in a count.
fn tell(seen: &Seen) {
    for failure in seen.failures.iter().take(5) {
        progress(failure);
    }
    for (at_s, took_ms) in seen.late.iter().take(5) {
        progress(&format!("{at_s:.1} s: a tick took {took_ms:.0} ms"));
    }
}

fn bounded(id: &str, values: &[f64], p99_max: f64) -> Value {
    let figures = figures(values);
    let holds = figures.p99.is_some_and(|p99| p99 <= p99_max);
    row(id, "ms", &figures, &format!("p99 <= {p99_max}"), holds)
}

/// How many of all ticks took longer than their period. At 10 Hz such a tick is one that comes a few milliseconds late.
fn late_ticks(seen: &Seen) -> Value {
    let percent = as_f64(seen.late.len()) * 100.0 / f64::from(seen.ticks.max(1));
    single("fleet_late_ticks", "% of ticks", Some(percent), "<= 1", percent <= 1.0)
}

fn count(id: &str, value: f64) -> Value {
    single(id, "", Some(value), "0", value == 0.0)
}

fn as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
