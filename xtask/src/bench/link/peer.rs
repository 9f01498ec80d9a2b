//! A peer over one network: it films what our robot's camera saw on its drive there.

use super::film::Filmed;
use super::machine::Cores;
use super::measure::{Run, Told};
use super::page::Page;
use super::{Place, finish, wall_less_mono_ms};
use crate::netem::Between;
use crate::process::{Process, wait_for};
use crate::rig::mono_ms;
use crate::{progress, root, setup};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// From the start of the simulator until the drive is to be seen again: a peer must be connected by then.
const CONNECT_MS: u64 = 25_000;

/// Which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Webrtcbin,
    WebrtcbinFec,
    Aiortc,
}

/// Installs what they need beside the programs of everybody.
pub(super) fn prepare(peers: &[Peer]) -> Result<()> {
    let without = "leave it out with --no-peers, or choose with --stack";
    if peers.iter().any(|peer| *peer != Peer::Aiortc) {
        setup::install(setup::BENCH_PACKAGES).with_context(|| {
            format!("the peer webrtcbin needs {}; {without}", setup::BENCH_PACKAGES.join(", "))
        })?;
        gcc_folder().with_context(|| {
            format!("the peer webrtcbin needs rtpgccbwe, built in tests/bench/gcc; {without}")
        })?;
    }
    if peers.contains(&Peer::Aiortc) {
        setup::python_with(&["aiortc==1.16.0"])
            .with_context(|| format!("the peer aiortc needs that package of PyPI; {without}"))?;
    }
    Ok(())
}

/// The folder of GStreamer's plugin with its congestion control, built when it is not there.
fn gcc_folder() -> Result<PathBuf> {
    let folder = setup::target_dir().join("bench-gcc");
    let plugin = folder.join("libgstrsrtp.so");
    if !plugin.exists() {
        progress("building GStreamer's congestion control for the peer webrtcbin (once)");
        setup::run(
            Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
                .args(["build", "--locked", "--manifest-path"])
                .arg(root().join("tests/bench/gcc/Cargo.toml"))
                .arg("--target-dir")
                .arg(setup::target_dir()),
        )?;
        std::fs::create_dir_all(&folder)?;
        let built = setup::target_dir().join("debug/libbench_gcc.so");
        // GStreamer finds a plugin by the name of its file.
        std::fs::copy(&built, &plugin).with_context(|| format!("no {}", built.display()))?;
    }
    Ok(folder)
}

impl Peer {
    /// The program with its arguments.
    fn command(self, source: String, port: u16, log: &Path) -> Result<Vec<String>> {
        let bench = root().join("tests/bench");
        let text = |path: PathBuf| path.display().to_string();
        let (mut words, script) = match self {
            Self::Webrtcbin | Self::WebrtcbinFec => {
                let path = format!("GST_PLUGIN_PATH={}", gcc_folder()?.display());
                // A registry of its own: the plugin is nobody else's business.
                let registry = format!("GST_REGISTRY={}", log.with_extension("registry").display());
                let program = ["env", &path, &registry, "/usr/bin/python3"];
                (program.map(str::to_owned).to_vec(), "peer_webrtcbin.py")
            }
            Self::Aiortc => (vec![text(setup::python()?)], "peer_aiortc.py"),
        };
        words.extend([text(bench.join(script)), "--source".to_owned(), source]);
        words.extend(
            ["--port", &port.to_string(), "--log", &log.display().to_string()].map(str::to_owned),
        );
        if self == Self::WebrtcbinFec {
            words.push("--fec".to_owned());
        }
        Ok(words)
    }
}

/// Streams what our own drive there had filmed, at the same times of the profile.
pub(super) fn stream(place: &Place<'_>, peer: Peer, filmed: &Filmed) -> Result<Run> {
    let begins_ms = mono_ms() + CONNECT_MS;
    filmed.show(begins_ms, &place.replay())?;
    let mut sim = camera(place)?;
    let between = Between::free()?;
    let mut netem = between.start_in(place.bin, &place.profile.name, place.seed)?;
    let source = format!(
        "shmsrc socket-path={} is-live=true do-timestamp=true ! video/x-raw,format=I420,width=1280,height=720,framerate=30/1",
        place.socket().display()
    );
    let log = place.data.canonicalize()?.join("targets.jsonl");
    std::fs::write(&log, "")?;
    let mut args = vec!["--relay".to_owned(), between.listen().to_string(), "--".to_owned()];
    args.extend(peer.command(source, between.robot(), &log)?);
    let page = Page::start("bench-link-peer.mjs", &place.shown(), &args)?;
    page.wait_until_it_streams()?;
    let left_ms = begins_ms.saturating_sub(mono_ms());
    ensure!(left_ms > 0, "the peer took longer than {CONNECT_MS} ms to connect");
    std::thread::sleep(Duration::from_millis(left_ms));
    let begun_ms = netem.order("begin")?;
    let until_ms = begun_ms + place.seconds * 1_000;
    let cores = Cores::now()?;
    while mono_ms() < until_ms {
        std::thread::sleep(Duration::from_millis(200));
        sim.check()?;
    }
    let machine_idle_percent = Cores::now()?.idle_percent_since(cores);
    let account = netem.account();
    let seen = page.end()?;
    let (relay, relay_said) = finish(netem, &seen, account)?;
    sim.stop();
    let targets = Told::by_peer(&std::fs::read_to_string(log)?);
    let (quality, wall_less_mono_ms) = (place.quality()?, wall_less_mono_ms());
    let trace = Vec::new();
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

/// Starts a simulator for the sake of its camera.
fn camera(place: &Place<'_>) -> Result<Process> {
    let socket = place.socket();
    if let Some(folder) = socket.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let path = |path: &Path| path.display().to_string();
    let mut args: Vec<String> =
        ["--seed", "1", "--ros-domain", "85", "--stamp", "--no-people"].map(str::to_owned).to_vec();
    args.extend(["--camera-front".to_owned(), path(&socket)]);
    args.extend(["--drawn".to_owned(), path(&place.drawn())]);
    args.extend(["--replay".to_owned(), path(&place.replay())]);
    let log = place.data.join("sim-robot.log");
    let mut sim = Process::start("sim-robot", &place.bin.join("sim-robot"), &args, log)?;
    wait_for("the simulator's camera", 20, || {
        sim.check()?;
        Ok(socket.exists().then_some(()))
    })?;
    Ok(sim)
}
