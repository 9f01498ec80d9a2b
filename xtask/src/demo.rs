//! `cargo xtask demo`.

use crate::browser::{self, Browser, Drive};
use crate::fleet::text;
use crate::process::wait_for;
use crate::stack::{CLOSE_SENSORS, NAVIGATION, Options, ROBOT, Stack};
use crate::{lan, progress, result, root, setup};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Start everything on this machine with a simulated robot.
///
/// Installs what is missing, builds, starts fleet-server, pilot-gateway, a simulated robot and its agent, and prints
/// the URL to open. Ctrl-C stops everything. What was driven and earned is kept in the data folder; the next run
/// goes on from there.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for everything that is kept
    #[arg(long, default_value_os_t = root().join("target/demo"))]
    data: PathBuf,
    /// Begin anew: forget what an earlier demo kept
    #[arg(long)]
    fresh: bool,
    /// Port of the page
    #[arg(long, default_value_t = 7070)]
    port: u16,
    /// Let phones and other machines of this network in too, over HTTPS, and print a QR code for them
    #[arg(long)]
    lan: bool,
    /// With --lan: port of the page over HTTPS
    #[arg(long, default_value_t = 7443)]
    https_port: u16,
    /// Seed of the simulated city block
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Let a headless Chromium do the drive through the page; print one JSON object and end
    #[arg(long)]
    headless_pilot: bool,
    /// With --headless-pilot: folder for screenshots of every page
    #[arg(long)]
    screenshots: Option<PathBuf>,
}

/// Runs the demo.
pub fn run(args: &Args) -> Result<()> {
    // Ask for termination first: from here on, Ctrl-C ends the demo in order.
    let stop = Arc::new(AtomicBool::new(false));
    let handler = Arc::clone(&stop);
    ctrlc::set_handler(move || handler.store(true, Ordering::SeqCst))?;

    if args.headless_pilot {
        setup::test_packages()?;
        setup::npm_install(&root().join("tests/browser"))?;
    } else {
        setup::system_packages()?;
    }
    if args.fresh && args.data.exists() {
        ensure!(
            args.data.join("fleet").exists() || args.data.read_dir()?.next().is_none(),
            "{} is not a folder of this demo: it is not removed",
            args.data.display()
        );
        std::fs::remove_dir_all(&args.data)?;
    }
    std::fs::create_dir_all(&args.data)
        .with_context(|| format!("cannot make {}", args.data.display()))?;
    let data = args.data.canonicalize()?;
    let options = Options::new(&data)?;
    let options = Options {
        http_port: args.port,
        seed: args.seed,
        ros_domain: domain_of(args.port),
        robot_toml: format!("{CLOSE_SENSORS}{NAVIGATION}{}", options.audio_toml()),
        sim_args: vec!["--autonomy".to_owned()],
        gateway_args: if args.lan { lan::gateway_args(args.https_port)? } else { Vec::new() },
        ..options
    };
    if stop.load(Ordering::SeqCst) {
        bail!("stopped");
    }
    let mut stack = Stack::start(options)?;
    let mission = stack.open_mission()?;
    let join = stack.invite_pilot()?;
    if args.headless_pilot {
        let (mission, to) = (text(&mission, "id")?, args.screenshots.as_deref());
        let summary = headless(&mut stack, &mission, &join, to, Browser::Chromium)?;
        progress("stopping");
        stack.stop();
        result(&serde_json::to_string_pretty(&summary)?);
        return failures(&summary);
    }
    announce(&stack, &join, &stack.invite_owner()?, &stack.invite_agent()?, &data);
    if args.lan {
        result(&lan::announcement(&stack)?);
    }
    let mut ticks = 0_u32;
    while !stop.load(Ordering::SeqCst) {
        stack.check()?;
        if ticks.is_multiple_of(25) {
            stack.keep_a_mission_open()?;
        }
        ticks = ticks.wrapping_add(1);
        std::thread::sleep(Duration::from_millis(200));
    }
    progress("stopping");
    stack.stop();
    progress(&format!("stopped; everything is kept in {}", data.display()));
    Ok(())
}

/// A ROS domain (0 to 101 are safe on Linux) of its own for each port, so that two demos do not meet.
fn domain_of(port: u16) -> u16 {
    port % 100
}

fn announce(stack: &Stack, join: &str, own: &str, agent_code: &str, data: &Path) {
    let url = &stack.url;
    result(&format!(
        "\n  Longrein is running.\n\n\
         \x20 Drive:     {join}\n\
         \x20            The link makes you a pilot, once; afterwards open {url}\n\
         \x20            Hold W, A, S, D or the arrows to drive, let go to stop, Space is the emergency stop.\n\
         \x20            Or click on the map and hold G: the robot drives there by itself, and steering takes over.\n\
         \x20 Own:       {own}\n\
         \x20            In another browser or profile: the robot's owner, who sets limits and sees what it earns.\n\
         \x20 Program:   python3 examples/drive_to_first_checkpoint.py --url {url} --invitation {agent_code}\n\
         \x20 Earth Rovers programs (LeRobot among them) find the robot at http://localhost:8000 after\n\
         \x20            longrein join {agent_code} --url {url} --name Me && longrein earth-rover --url {url} --robot {ROBOT}\n\
         \x20 API:       {url}/docs and {url}/openapi.json\n\
         \x20 Episodes:  {}\n\
         \x20 Logs:      {}\n\n\
         \x20 Ctrl-C stops everything and keeps what was driven; --fresh begins anew.\n",
        data.join("fleet/episodes").display(),
        data.join("logs").display(),
    ));
}

/// What one headless drive came to.
pub fn headless(
    stack: &mut Stack,
    mission: &str,
    join: &str,
    screenshots: Option<&Path>,
    browser: Browser,
) -> Result<Value> {
    progress(&format!("a headless {browser:?} drives the mission"));
    let drive = Drive { join_url: join, mission, screenshots, more: &[], browser };
    let drove = browser::finish(browser::start(&drive)?)?;
    stack.check()?;
    summary(stack, mission, &drove)
}

/// Collects the facts about a finished drive from the programs that know them.
pub fn summary(stack: &Stack, mission: &str, drove: &Value) -> Result<Value> {
    let operator = &stack.operator;
    progress("waiting for the payment");
    let paid = wait_for("settlement of the mission", 60, || {
        let mission = operator.get(&format!("/v1/missions/{mission}"))?;
        Ok((mission["state"] == "settled").then_some(mission))
    });
    let mission = match paid {
        Ok(mission) => mission,
        Err(_not_settled) => operator.get(&format!("/v1/missions/{mission}"))?,
    };
    let episode_id = mission["episode"].as_str().map(ToOwned::to_owned);
    let episode_id = episode_id.or_else(|| drove["episode"].as_str().map(ToOwned::to_owned));
    let episode_id = episode_id.context("the drive left no episode")?;
    let episode_path = stack.options.data.join("fleet/episodes").join(&episode_id);
    let program = stack.options.bin.join("episode");
    progress("verifying the episode offline");
    let verified = Command::new(&program).arg("verify").arg(&episode_path).output()?;
    progress("exporting the dataset");
    let dataset = stack.options.data.join("datasets").join(&episode_id);
    if dataset.exists() {
        std::fs::remove_dir_all(&dataset)?;
    }
    std::fs::create_dir_all(stack.options.data.join("datasets"))?;
    let exported = Command::new(&program)
        .args(["export", "--json", "--format", "lerobot"])
        .arg(&dataset)
        .arg(&episode_path)
        .output()?;
    ensure!(
        exported.status.success(),
        "export failed: {}",
        String::from_utf8_lossy(&exported.stderr)
    );
    let info: Value = serde_json::from_slice(&std::fs::read(dataset.join("meta/info.json"))?)?;
    let ledger = operator.get("/v1/ledger")?;
    let stats: Value = serde_json::from_slice(&std::fs::read(stack.options.sim_stats())?)?;
    let settlement = &mission["settlement"];
    let owners: u64 = settlement["owners"]
        .as_array()
        .map_or(0, |owners| owners.iter().filter_map(|o| o["amount"].as_u64()).sum());
    Ok(json!({
        "mission": {"id": mission["id"], "state": mission["state"]},
        "episode": {
            "id": episode_id, "path": episode_path,
            "verified": verified.status.success(),
        },
        "ledger": {
            "balanced": ledger["balanced"], "pilot": settlement["pilot"],
            "owners": owners, "operator": settlement["operator"],
        },
        "latency": {"loop_ms_p50": drove["loop_ms_p50"], "loop_ms_p99": drove["loop_ms_p99"]},
        "export": {"path": dataset, "episodes": info["total_episodes"], "frames": info["total_frames"]},
        "robot": {
            "id": ROBOT, "distance_m": stats["distance_m"], "collisions": stats["collisions"],
        },
        "urls": {
            "cockpit": stack.url, "api": format!("{}/v1", stack.url),
            "openapi": format!("{}/openapi.json", stack.url),
        },
        "pilot": drove,
    }))
}

/// Fails when any part of the summary is not as it should be.
pub fn failures(summary: &Value) -> Result<()> {
    let positive = |value: &Value| value.as_f64().is_some_and(|v| v > 0.0);
    let checks = [
        ("the mission is settled", summary["mission"]["state"] == "settled"),
        ("the episode verifies", summary["episode"]["verified"] == true),
        ("the ledger balances", summary["ledger"]["balanced"] == true),
        ("the pilot was paid", positive(&summary["ledger"]["pilot"])),
        ("the owners were paid", positive(&summary["ledger"]["owners"])),
        ("the operator was paid", positive(&summary["ledger"]["operator"])),
        ("loop latency was measured", positive(&summary["latency"]["loop_ms_p50"])),
        ("the dataset has an episode", summary["export"]["episodes"] == 1),
        ("the dataset has frames", positive(&summary["export"]["frames"])),
        ("the robot moved", positive(&summary["robot"]["distance_m"])),
    ];
    let failed: Vec<&str> = checks.iter().filter(|(_, ok)| !ok).map(|(what, _)| *what).collect();
    ensure!(failed.is_empty(), "not so: {}", failed.join("; "));
    Ok(())
}
