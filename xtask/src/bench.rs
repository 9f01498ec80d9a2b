//! `cargo xtask bench`: our own figures beside those of peers, in one run, on one machine.
//!
//! A machine is noisy, so the bars compare with the bare limit of the same run where they can.

mod agent;
mod link;
mod rover;
mod watch;

use crate::fleet::text;
use crate::process::{Process, wait_for};
use crate::stack::{Options, Stack};
use crate::{progress, result, root, setup};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Measure beside peers.
///
/// Glass to glass (a stamp in the pixels, read back in Chromium), the drive command from browser to wheel command, click
/// to first frame, CPU and memory of the agent; beside the bare `webrtc` crate, aiortc and GStreamer's webrtcbin.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print a list of {id, unit, p50, p99 or value, peers, bar, holds} instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// How long each figure is measured
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Leave the peers out
    #[arg(long)]
    alone: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Agent(agent::Args),
    Link(link::Args),
    EarthRover(rover::Args),
    Watch(watch::Args),
}

struct Figures {
    p50: Option<f64>,
    p99: Option<f64>,
}

fn figures(values: &[f64]) -> Figures {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let at = |permille: usize| {
        sorted.get((sorted.len() * permille / 1000).min(sorted.len().saturating_sub(1))).copied()
    };
    Figures { p50: at(500), p99: at(990) }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().map_or_else(Vec::new, |a| a.iter().filter_map(Value::as_f64).collect())
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    match &args.what {
        Some(What::Agent(agent)) => return show(&agent::run(agent)?, args.json),
        Some(What::Link(link)) => return link::run(link, args.json),
        Some(What::EarthRover(rover)) => return show(&rover::run(rover)?, args.json),
        Some(What::Watch(watch)) => return show(&watch::run(watch)?, args.json),
        None => {}
    }
    setup::test_packages()?;
    setup::install(setup::BENCH_PACKAGES)?;
    setup::npm_install(&root().join("tests/browser"))?;
    let python = setup::python_with(&["aiortc==1.16.0"])?;
    let data = setup::target_dir().join("bench");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    std::fs::create_dir_all(data.join("logs"))?;
    let data = data.canonicalize()?;
    let mut rows = own(&data, args.seconds)?;
    let peers = if args.alone { Vec::new() } else { peers(&data, &python, args.seconds)? };
    merge(&mut rows, &peers);
    show(&rows, args.json)
}

fn show(rows: &[Value], json: bool) -> Result<()> {
    if json {
        result(&serde_json::to_string_pretty(&rows)?);
    } else {
        table(rows);
    }
    Ok(())
}

/// The whole system, driven through the real cockpit: with both cameras, then with one.
fn own(data: &Path, seconds: u32) -> Result<Vec<Value>> {
    let commands = data.join("commands.jsonl");
    let options = Options {
        sim_args: vec!["--stamp".into(), "--command-log".into(), commands.display().to_string()],
        ros_domain: 77,
        ..Options::new(&data.join("own"))?
    };
    progress("our own stack through the cockpit");
    let both = drive(options, seconds, 150)?;
    let wheels = to_wheels(&both.seen["presses"], &std::fs::read_to_string(&commands)?);
    ensure!(wheels.len() > 20, "only {} presses reached the wheels", wheels.len());
    progress("the same with one camera");
    let options =
        Options { rear_camera: false, ros_domain: 77, ..Options::new(&data.join("one-camera"))? };
    let one = drive(options, 16, 0)?;

    let glass = figures(&numbers(&both.seen["glass_ms"]));
    let wheels = figures(&wheels);
    let first = both.seen["first_frame_ms"].as_f64();
    let cpu = |id: &str, cpu: f64| single(id, "% of a core", Some(cpu), "none", true);
    Ok(vec![
        row("glass_to_glass", "ms", &glass, "p50 <= 20, p99 <= 40", within(&glass, 20.0, 40.0)),
        row("drive_to_wheel", "ms", &wheels, "p50 <= 2, p99 <= 10", within(&wheels, 2.0, 10.0)),
        single("click_to_first_frame", "ms", first, "<= 1000", first.is_some_and(|v| v <= 1000.0)),
        single(
            "agent_cpu_without_encoding",
            "% of a core",
            Some(one.driven.cpu_without_media),
            "<= 5",
            one.driven.cpu_without_media <= 5.0,
        ),
        cpu("agent_cpu", one.driven.cpu),
        cpu("agent_cpu_without_encoding_2_cams", both.driven.cpu_without_media),
        cpu("agent_cpu_2_cams", both.driven.cpu),
        cpu("agent_cpu_idle_2_cams", both.idle.cpu),
        single("agent_rss", "MB", Some(one.driven.rss_mb), "<= 80", one.driven.rss_mb <= 80.0),
        single("agent_rss_2_cams", "MB", Some(both.driven.rss_mb), "none", true),
    ])
}

/// What one drive through the cockpit gave.
struct Driven {
    /// The agent before anybody drove.
    idle: Usage,
    /// While somebody looked and sent commands.
    driven: Usage,
    /// What the page measured.
    seen: Value,
}

fn drive(options: Options, seconds: u32, presses: u32) -> Result<Driven> {
    let mut stack = Stack::start(options)?;
    let idle = usage(stack.agent.pid(), 5)?;
    let mission = text(&stack.open_mission()?, "id")?;
    let join = stack.invite_pilot()?;
    let pilot = Command::new("node")
        .current_dir(root().join("tests/browser"))
        .args(["bench-cockpit.mjs", "--chromium"])
        .arg(setup::chromium()?)
        .args(["--join", &join, "--mission", &mission, "--seconds", &seconds.to_string()])
        .args(["--presses", &presses.to_string()])
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    std::thread::sleep(Duration::from_secs(8));
    let driven = usage(stack.agent.pid(), 8)?;
    let out = pilot.wait_with_output()?;
    ensure!(out.status.success(), "the benchmark's pilot failed");
    let seen = serde_json::from_slice(&out.stdout)?;
    stack.stop();
    Ok(Driven { idle, driven, seen })
}

/// From the page's first moving command after a rest to the base's receipt of the first moving wheel command after it.
fn to_wheels(presses: &Value, log: &str) -> Vec<f64> {
    let received: Vec<(f64, bool)> = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| {
            let moving =
                line["linear"].as_f64()?.abs() > 1e-9 || line["angular"].as_f64()?.abs() > 1e-9;
            Some((line["wall_us"].as_f64()?, moving))
        })
        .collect();
    presses
        .as_array()
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .filter_map(|press| {
            let sent = press["sent_us"].as_f64()?;
            let at = received.iter().position(|(us, _)| *us >= sent)?;
            // The command before must have been at rest, else this press is no first one.
            if at > 0 && received[at - 1].1 {
                return None;
            }
            let (us, _) = received[at..].iter().find(|(_, moving)| *moving)?;
            Some((us - sent) / 1000.0).filter(|ms| *ms < 150.0)
        })
        .collect()
}

/// What a process used.
struct Usage {
    /// CPU in percent of a core, all threads.
    cpu: f64,
    /// The part of it that is not GStreamer's: capture and encoding run on threads named after their pads (`enc:src`).
    cpu_without_media: f64,
    /// Resident memory in MB.
    rss_mb: f64,
    /// Written to the disk, kB/s.
    written_kbps: f64,
}

/// Bytes that a process has had written to the disk.
fn written(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io"))?;
    let bytes = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    bytes.and_then(|bytes| bytes.parse().ok()).context("write_bytes of a process")
}

/// CPU ticks (1/100 s, USER_HZ) of a process: of all threads, and of those that do no media.
fn ticks(pid: u32) -> Result<(f64, f64)> {
    let (mut all, mut others) = (0.0, 0.0);
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        // A thread may end between the listing and the reading.
        let Ok(text) = std::fs::read_to_string(task.path().join("stat")) else { continue };
        let (head, fields) = text.rsplit_once(')').context("a thread's stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let field = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
        let used = field(11) + field(12);
        all += used;
        if !head.contains(':') {
            others += used;
        }
    }
    Ok((all, others))
}

fn usage(pid: u32, seconds: u64) -> Result<Usage> {
    let (before, written_before, start) = (ticks(pid)?, written(pid)?, Instant::now());
    std::thread::sleep(Duration::from_secs(seconds));
    let (after, elapsed) = (ticks(pid)?, start.elapsed().as_secs_f64());
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = rss.and_then(|r| r.split_whitespace().next()).and_then(|k| k.parse::<f64>().ok());
    Ok(Usage {
        cpu: (after.0 - before.0) / elapsed,
        cpu_without_media: (after.1 - before.1) / elapsed,
        rss_mb: kib.unwrap_or(0.0) / 1024.0,
        written_kbps: (written(pid)? - written_before) / 1e3 / elapsed,
    })
}

/// The peers, in the same Chromium, on the same stamped pictures where they can take them.
fn peers(data: &Path, python: &Path, seconds: u32) -> Result<Vec<(&'static str, Value)>> {
    let bin = setup::binaries()?;
    setup::examples()?;
    let socket = std::env::temp_dir().join(format!("longrein-bench-{}", std::process::id()));
    let source = format!(
        "shmsrc socket-path={} is-live=true do-timestamp=true ! video/x-raw,format=I420,width=1280,height=720,framerate=30/1",
        socket.display()
    );
    let mut sim = Process::start(
        "sim-robot",
        &bin.join("sim-robot"),
        &["--seed", "1", "--ros-domain", "78", "--stamp", "--camera-front"]
            .map(ToOwned::to_owned)
            .into_iter()
            .chain([socket.display().to_string()])
            .collect::<Vec<_>>(),
        data.join("logs/sim-robot.log"),
    )?;
    wait_for("the simulator's camera", 20, || {
        sim.check()?;
        Ok(socket.exists().then_some(()))
    })?;
    let bench = root().join("tests/bench");
    let of = |program: PathBuf, args: Vec<String>| (program, args);
    let list = [
        (
            "bare webrtc",
            of(bin.join("examples/echo_peer"), vec!["--source".into(), source.clone()]),
        ),
        (
            "webrtcbin",
            of(
                "/usr/bin/python3".into(),
                vec![text_of(&bench.join("peer_webrtcbin.py")), "--source".into(), source],
            ),
        ),
        ("aiortc", of(python.to_owned(), vec![text_of(&bench.join("peer_aiortc.py"))])),
    ];
    let mut measured = Vec::new();
    for (name, (program, args)) in list {
        progress(&format!("peer: {name}"));
        // A peer that hangs ends itself, and is missing from the table.
        let out = Command::new("timeout")
            .args([&(seconds + 60).to_string(), "node"])
            .current_dir(root().join("tests/browser"))
            .args(["bench-peer.mjs", "--chromium"])
            .arg(setup::chromium()?)
            .args(["--seconds", &seconds.to_string(), "--"])
            .arg(program)
            .args(args)
            .output()?;
        let words = String::from_utf8_lossy(&out.stderr).into_owned();
        if !out.status.success() {
            progress(&format!("peer {name} could not be measured: {words}"));
            continue;
        }
        measured.push((
            name,
            serde_json::from_slice(&out.stdout).with_context(|| format!("peer {name}: {words}"))?,
        ));
    }
    Ok(measured)
}

fn text_of(path: &Path) -> String {
    path.display().to_string()
}

fn within(figures: &Figures, p50_max: f64, p99_max: f64) -> bool {
    figures.p50.is_some_and(|v| v <= p50_max) && figures.p99.is_some_and(|v| v <= p99_max)
}

fn row(id: &str, unit: &str, figures: &Figures, bar: &str, holds: bool) -> Value {
    json!({"id": id, "unit": unit, "p50": figures.p50, "p99": figures.p99, "peers": {}, "bar": bar, "holds": holds})
}

fn single(id: &str, unit: &str, value: Option<f64>, bar: &str, holds: bool) -> Value {
    json!({"id": id, "unit": unit, "value": value, "peers": {}, "bar": bar, "holds": holds})
}

fn merge(rows: &mut [Value], peers: &[(&'static str, Value)]) {
    for (name, measured) in peers {
        let glass = figures(&numbers(&measured["glass_ms"]));
        let echo = figures(&numbers(&measured["echo_ms"]));
        for row in &mut *rows {
            let peer = match row["id"].as_str() {
                Some("glass_to_glass") => json!({"p50": glass.p50, "p99": glass.p99}),
                Some("drive_to_wheel") => {
                    json!({"echo_round_trip": {"p50": echo.p50, "p99": echo.p99}})
                }
                Some("click_to_first_frame") => json!({"value": measured["first_frame_ms"]}),
                _ => continue,
            };
            row["peers"][*name] = peer;
        }
    }
}

fn table(rows: &[Value]) {
    let number = |v: &Value| match v.as_f64() {
        Some(v) if v.abs() < 10.0 => format!("{v:.2}"),
        Some(v) => format!("{v:.1}"),
        None => "-".to_owned(),
    };
    result(&format!(
        "{:<36}{:>9}{:>9}{:>9}{:>9}  {:<12}{:<24}{}",
        "figure", "p50", "p95", "p99", "p99.9", "unit", "bar", "holds"
    ));
    for row in rows {
        let p50 = if row["value"].is_null() { &row["p50"] } else { &row["value"] };
        let holds = if row["bar"] == "none" {
            ""
        } else if row["holds"] == true {
            "yes"
        } else {
            "NO"
        };
        result(&format!(
            "{:<36}{:>9}{:>9}{:>9}{:>9}  {:<12}{:<24}{holds}",
            row["id"].as_str().unwrap_or_default(),
            number(p50),
            number(&row["p95"]),
            number(&row["p99"]),
            number(&row["p999"]),
            row["unit"].as_str().unwrap_or_default(),
            row["bar"].as_str().unwrap_or_default(),
        ));
        for (name, peer) in row["peers"].as_object().into_iter().flatten() {
            let (peer, what) = match peer.get("echo_round_trip") {
                Some(echo) => (echo, "  echo round trip"),
                None => (peer, ""),
            };
            let p50 = if peer["value"].is_null() { &peer["p50"] } else { &peer["value"] };
            result(&format!(
                "  {:<34}{:>9}{:>9}{:>9}",
                format!("{name}{what}"),
                number(p50),
                number(&peer["p95"]),
                number(&peer["p99"])
            ));
        }
    }
}
