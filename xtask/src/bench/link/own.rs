//! Our own stack over one network: the whole system, and a pilot in a headless Chromium who drives until told to end.

use super::film::Filmed;
use super::machine::Cores;
use super::measure::{Run, Told};
use super::page::Page;
use super::{Place, finish, wall_less_mono_ms};
use crate::netem::Between;
use crate::progress;
use crate::rig::{Rig, mono_ms};
use crate::stack::Options;
use anyhow::Result;
use std::time::Duration;

/// The agent tells how much it means to send.
const LOG: &str = "info,robot_agent::adapt=debug,robot_agent::program=error,zenoh=error,webrtc=error,rtc=error,rtc_ice=error,\
    rtc_dtls=error,rtc_sctp=error,rustdds=error,ros2_client=error";

/// How long the camera has seen another drive before the profile begins: the encoder and the estimator are used to it by then.
const FILMED_BEFORE_MS: u64 = 3_000;

/// One drive with this congestion control; the camera sees where the robot is, or what another drive saw.
pub(super) fn drive(place: &Place<'_>, congestion: &str, filmed: Option<&Filmed>) -> Result<Run> {
    let mut options = Options {
        sim_args: vec!["--stamp".to_owned(), "--no-people".to_owned(), "--drawn".to_owned()],
        ros_domain: 84,
        // As the peers have it.
        rear_camera: false,
        agent_env: vec![("RUST_LOG", LOG.to_owned())],
        ..Options::new(&place.data.canonicalize()?)?
    };
    options.sim_args.push(place.drawn().display().to_string());
    let replay = place.replay();
    if filmed.is_some() {
        options.sim_args.extend(["--replay".to_owned(), replay.display().to_string()]);
    }
    let between = Between::of(&mut options)?;
    options.robot_toml.push_str(&format!("congestion = \"{congestion}\"\n"));
    let log = options.data.join("logs/robot-agent.log");
    let mut netem = between.start(&options, &place.profile.name, place.seed)?;
    let mut rig = Rig::start_on(options)?;
    let args = ["--join", &rig.stack.invite_pilot()?, "--mission", &rig.mission];
    let page = Page::start("bench-link.mjs", &place.shown(), &args.map(str::to_owned))?;
    if let Err(error) = rig.wait_for_speed(0.5) {
        progress(&format!("{error:#}; measured all the same"));
    }
    if let Some(filmed) = filmed {
        filmed.show(mono_ms() + FILMED_BEFORE_MS, &replay)?;
        std::thread::sleep(Duration::from_millis(FILMED_BEFORE_MS));
    }
    let begun_ms = netem.order("begin")?;
    let until_ms = begun_ms + place.seconds * 1_000;
    let cores = Cores::now()?;
    while mono_ms() < until_ms {
        std::thread::sleep(Duration::from_millis(200));
        rig.stack.check()?;
    }
    let machine_idle_percent = Cores::now()?.idle_percent_since(cores);
    let account = netem.account();
    let seen = page.end()?;
    let trace = rig.trace_since(begun_ms.saturating_sub(2_000))?;
    let (relay, relay_said) = finish(netem, &seen, account)?;
    rig.stack.stop();
    let targets = Told::by_agent(&std::fs::read_to_string(log)?);
    let (quality, wall_less_mono_ms) = (place.quality()?, wall_less_mono_ms());
    Ok(Run {
        seen,
        trace,
        relay,
        relay_said,
        targets,
        quality,
        begun_ms,
        until_ms,
        wall_less_mono_ms,
        machine_idle_percent,
    })
}
