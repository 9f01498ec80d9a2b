//! `cargo xtask bench link`: a drive over networks as bad as robots have them.

mod measure;

use super::{Figures, figures};
use crate::netem::{Between, Netem};
use crate::rig::{Rig, TraceLine, mono_ms};
use crate::stack::Options;
use crate::{progress, root, setup};
use anyhow::{Context, Result, ensure};
use measure::{Cut, Run, Series};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Measure a drive over bad networks: the whole system, a headless Chromium, and `netem` between them.
///
/// For each profile: how old pictures are on the screen, for how long they freeze, what arrives of them, how old commands are
/// when they count at the robot, how long packets queue, how the robot stops when the network is cut and how the drive goes on.
/// What was measured is kept in target/bench-link, with the series behind the figures.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this profile; `netem --list` names them. May be given several times
    #[arg(long)]
    profile: Vec<String>,
    /// How long to measure; a profile's own time without
    #[arg(long)]
    seconds: Option<u64>,
    /// Seed of the network's chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep what an earlier run has measured, and measure the rest
    #[arg(long)]
    resume: bool,
}

/// A profile, and what the benchmark needs to know of it.
struct Profile {
    name: String,
    words: String,
    seconds: u64,
    /// When what the profile is about happens, and when it is over, ms since the profile's beginning.
    trouble_ms: Option<(u64, u64)>,
    /// Whether the way was cut: the robot must stop.
    cuts: bool,
}

/// The profiles as the relay itself describes them.
fn profiles(bin: &Path) -> Result<Vec<Profile>> {
    let netem = bin.join("netem");
    let say = |args: &[&str]| -> Result<String> {
        let out = Command::new(&netem).args(args).output().context("netem")?;
        ensure!(out.status.success(), "netem: {}", String::from_utf8_lossy(&out.stderr));
        Ok(String::from_utf8(out.stdout)?)
    };
    let list = say(&["--list"])?;
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    names.map(|name| profile(&say(&["--profile", name, "--show"])?)).collect()
}

fn profile(text: &str) -> Result<Profile> {
    let table: toml::Table = toml::from_str(text).context("a profile of netem")?;
    let whole = |value: Option<&toml::Value>| {
        value.and_then(toml::Value::as_integer).and_then(|n| u64::try_from(n).ok())
    };
    let word =
        |key: &str| table.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    let list = |value: Option<&toml::Value>| {
        value.and_then(toml::Value::as_array).cloned().unwrap_or_default()
    };
    let outage = list(table.get("outages")).first().and_then(|outage| {
        let at_ms = whole(outage.get("at_ms"))?;
        Some((at_ms, at_ms + whole(outage.get("for_ms"))?))
    });
    let change = list(table.get("address_changes")).first().and_then(|change| {
        let at_ms = whole(change.get("at_ms"))?;
        Some((at_ms, at_ms))
    });
    let rate = table.get("to_driver").and_then(|path| path.get("rate"));
    let steps = list(rate.and_then(|rate| rate.get("steps")));
    let step_ms = |n: usize| steps.get(n).and_then(|step| whole(step.get("at_ms")));
    Ok(Profile {
        name: word("name"),
        words: word("words"),
        seconds: whole(table.get("seconds")).unwrap_or(30),
        trouble_ms: outage.or(change).or_else(|| step_ms(1).zip(step_ms(2))),
        cuts: outage.is_some(),
    })
}

/// Runs the benchmark and gives its rows.
pub(super) fn run(args: &Args) -> Result<Vec<Value>> {
    setup::test_packages()?;
    setup::npm_install(&root().join("tests/browser"))?;
    let profiles = profiles(&setup::binaries()?)?;
    for asked in &args.profile {
        let names: Vec<&str> = profiles.iter().map(|profile| profile.name.as_str()).collect();
        ensure!(
            names.contains(&asked.as_str()),
            "no profile {asked}; there are {}",
            names.join(", ")
        );
    }
    let kept = setup::target_dir().join("bench-link");
    std::fs::create_dir_all(&kept)?;
    let wanted =
        |profile: &&Profile| args.profile.is_empty() || args.profile.contains(&profile.name);
    let mut rows = Vec::new();
    for profile in profiles.iter().filter(wanted) {
        let file = kept.join(format!("{}.json", profile.name));
        let figures = match std::fs::read(&file) {
            Ok(bytes) if args.resume => serde_json::from_slice(&bytes)?,
            _ => measure_one(profile, args, &kept, &file)?,
        };
        rows.extend(figures["rows"].as_array().cloned().unwrap_or_default());
    }
    Ok(rows)
}

/// Measures one profile and keeps what it gave.
fn measure_one(profile: &Profile, args: &Args, kept: &Path, file: &PathBuf) -> Result<Value> {
    let seconds = args.seconds.unwrap_or(profile.seconds);
    progress(&format!("{}: {}, {seconds} s", profile.name, profile.words));
    let run = drive(profile, args.seed, seconds, &kept.join(format!("{}.d", profile.name)))?;
    let rows = rows(profile, &run);
    let figures = json!({
        "profile": profile.name, "words": profile.words, "seed": args.seed, "seconds": seconds, "stack": "longrein",
        "rows": rows, "relay": run.relay, "lost": run.seen.lost, "series": run.series(),
    });
    std::fs::write(file, serde_json::to_vec(&figures)?)?;
    Ok(figures)
}

/// A pilot in a headless Chromium who drives until told to end.
struct Pilot(Option<Child>);

impl Pilot {
    fn start(rig: &Rig) -> Result<Self> {
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "node", "bench-link.mjs", "--chromium"])
            .arg(setup::chromium()?)
            .args(["--join", &rig.stack.invite_pilot()?, "--mission", &rig.mission])
            .current_dir(root().join("tests/browser"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the pilot (node)")?;
        Ok(Self(Some(child)))
    }

    /// Lets the pilot end, and gives what it saw.
    fn end(mut self) -> Result<Series> {
        let mut child = self.0.take().context("the pilot")?;
        writeln!(child.stdin.take().context("the pilot's input")?, "end")?;
        let out = child.wait_with_output()?;
        ensure!(out.status.success(), "the benchmark's pilot failed");
        serde_json::from_slice(&out.stdout).context("what the pilot saw")
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // Node must clean up its browser: ask first.
            drop(Command::new("kill").arg(child.id().to_string()).status());
            drop(child.wait());
        }
    }
}

/// One drive over one network.
fn drive(profile: &Profile, seed: u64, seconds: u64, data: &Path) -> Result<Run> {
    if data.exists() {
        std::fs::remove_dir_all(data)?;
    }
    std::fs::create_dir_all(data)?;
    let mut options = Options {
        sim_args: vec!["--stamp".to_owned(), "--no-people".to_owned()],
        ros_domain: 84,
        ..Options::new(&data.canonicalize()?)?
    };
    let between = Between::of(&mut options)?;
    let mut netem = between.start(&options, &profile.name, seed)?;
    let mut rig = Rig::start_on(options)?;
    let pilot = Pilot::start(&rig)?;
    if let Err(error) = rig.wait_for_speed(0.5) {
        progress(&format!("{error:#}; measured all the same"));
    }
    let begun_ms = netem.order("begin")?;
    let until_ms = begun_ms + seconds * 1_000;
    while mono_ms() < until_ms {
        std::thread::sleep(Duration::from_millis(200));
        rig.stack.check()?;
    }
    let account = netem.account();
    let seen = pilot.end()?;
    let trace = rig.trace_since(begun_ms.saturating_sub(2_000))?;
    let relay = finish(netem, &seen, account)?;
    rig.stack.stop();
    Ok(Run { seen, trace, relay, begun_ms, until_ms, wall_less_mono_ms: wall_less_mono_ms() })
}

/// Ends the relay, and makes sure that everything went through it.
fn finish(netem: Netem, seen: &Series, until_then: Option<Value>) -> Result<Value> {
    let end = netem.stop()?;
    let carried = end["to_driver"]["bytes_out"].as_f64().context("the relay's bytes")?;
    let received = seen.received();
    ensure!(received > 100_000.0, "the browser received next to nothing: {received} bytes");
    ensure!(
        received <= carried,
        "the browser received {received} bytes, and the relay carried {carried}: there is another way"
    );
    Ok(until_then.unwrap_or(end))
}

/// What to add to a monotonic time for the time of day, ms.
fn wall_less_mono_ms() -> f64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mono = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
    let mono_ms = mono.tv_sec as f64 * 1e3 + mono.tv_nsec as f64 / 1e6;
    wall.as_secs_f64() * 1e3 - mono_ms
}

/// The figures of a run as rows of the benchmark's table.
fn rows(profile: &Profile, run: &Run) -> Vec<Value> {
    let name = &profile.name;
    let id = |what: &str| format!("{name}/{what}");
    let spread = |what: &str, values: &[f64]| {
        let Figures { p50, p99 } = figures(values);
        let p95 = measure::percentile(values, 0.95);
        json!({"id": id(what), "unit": "ms", "p50": p50, "p95": p95, "p99": p99, "peers": {}, "bar": "none", "holds": true})
    };
    let single = |what: &str, unit: &str, value: Option<f64>, bar_max: Option<f64>| {
        let holds = bar_max.is_none_or(|max| value.is_some_and(|value| value <= max));
        let bar = bar_max.map_or("none".to_owned(), |max| format!("<= {max}"));
        json!({"id": id(what), "unit": unit, "value": value, "peers": {}, "bar": bar, "holds": holds})
    };
    let queue = &run.relay["to_driver"]["queue"];
    let (lossy, narrow) = (name == "loss5-240ms", name == "bottleneck");
    let mut rows = vec![
        spread("glass_to_glass", &run.glass_ms()),
        spread("picture_age", &run.picture_age_ms()),
        single("frozen", "s/min", Some(run.frozen_s_per_min()), lossy.then_some(1.0)),
        single("freeze_longest", "ms", run.freeze_longest_ms(), narrow.then_some(500.0)),
        single("bitrate", "kbit/s", run.bitrate_kbps(), None),
        single("picture_height", "px", run.height_px(), None),
        single("frames_shown", "1/s", Some(run.fps()), None),
        spread("command_age", &run.command_age_ms()),
        spread("loop_latency", &run.loop_latency_ms()),
        json!({
            "id": id("queue_delay"), "unit": "ms", "p50": queue["p50_ms"], "p95": queue["p95_ms"], "p99": queue["p99_ms"],
            "peers": {}, "bar": if narrow { "p95 < 150" } else { "none" },
            "holds": !narrow || queue["p95_ms"].as_f64().is_some_and(|ms| ms < 150.0),
        }),
        single("lost_in_queue", "packets", run.relay["to_driver"]["lost_in_queue"].as_f64(), None),
        single("robot_speed", "m/s", Some(run.speed_mps()), None),
    ];
    if let Some((from_ms, to_ms)) = profile.trouble_ms {
        let cut = Cut { at_ms: run.begun_ms + from_ms, over_ms: run.begun_ms + to_ms };
        rows.push(single("pictures_again", "s", run.pictures_again_s(cut.over_ms), None));
        if narrow {
            let back = run.rate_again_s(cut, 0.8);
            rows.push(single("rate_again", "s", back, Some(10.0)));
        } else {
            rows.push(single("drive_again", "s", run.drive_again_s(cut), None));
        }
        if profile.cuts {
            let stop = run.stop(cut.at_ms);
            rows.push(single("stop_commanded", "ms", stop.map(|stop| stop.0), Some(300.0)));
            rows.push(single("at_rest", "ms", stop.map(|stop| stop.1), Some(1_000.0)));
        }
        if !narrow {
            rows.push(single("driven_past_cut", "m", run.driven_past_m(cut.at_ms), None));
        }
    }
    rows
}
