//! `cargo xtask bench link`: a drive over networks as bad as robots have them, beside peers on the same networks.

mod compare;
mod figures;
mod film;
mod machine;
mod measure;
mod own;
mod page;
mod peer;
mod plot;
mod profiles;
mod svg;

use crate::netem::Netem;
use crate::{progress, result, root, setup};
use anyhow::{Context, Result, ensure};
use compare::Failed;
use film::Filmed;
use measure::{Quality, Series};
use peer::Peer;
use profiles::Profile;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Measure a drive over bad networks: the whole system, a headless Chromium, and `netem` between them, beside peers.
///
/// For each profile: how old pictures are on the screen, for how long they freeze, what arrives of them and what it looks like, how
/// old commands are when they count at the robot, how long packets queue, how the robot stops when the network is cut and how the
/// drive goes on. Then our own stack with Google's congestion control and with none, GStreamer's webrtcbin and aiortc film the
/// same drive over the same network. What was measured is kept in target/bench-link, with the series behind the figures and plots
/// of them.
///
/// All of it takes about an hour; `--resume` goes on where a run was broken off. What the peers need (Debian's python3-gi and
/// gir1.2-gst-plugins-*, PyPI's aiortc, crates.io's gst-plugin-rtp) is installed first.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this profile; `netem --list` names them. May be given several times
    #[arg(long)]
    profile: Vec<String>,
    /// Only this stack. May be given several times. The others film what longrein filmed on its last drive over the profile
    #[arg(long)]
    stack: Vec<Stack>,
    /// Only our own stack as it is
    #[arg(long, conflicts_with = "stack")]
    no_peers: bool,
    /// How long to measure; a profile's own time without
    #[arg(long)]
    seconds: Option<u64>,
    /// Seed of the network's chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep what an earlier run has measured with the same seed and for the same time, and measure the rest
    #[arg(long)]
    resume: bool,
    /// Put the plots into docs/link as well, where docs/link.md shows them
    #[arg(long)]
    docs: bool,
}

/// What carries the pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Stack {
    /// The whole system as it is.
    Longrein,
    /// The same with `[link] congestion = "gcc"`.
    LongreinGcc,
    /// The same with `[link] congestion = "off"`.
    LongreinOff,
    /// GStreamer's webrtcbin with RTX and rtpgccbwe.
    Webrtcbin,
    /// The same with RTX and ULPFEC at a constant bitrate.
    WebrtcbinFec,
    /// aiortc with RTX and REMB.
    Aiortc,
}

impl Stack {
    const ALL: [Self; 6] = [
        Self::Longrein,
        Self::LongreinGcc,
        Self::LongreinOff,
        Self::Webrtcbin,
        Self::WebrtcbinFec,
        Self::Aiortc,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Longrein => "longrein",
            Self::LongreinGcc => "longrein-gcc",
            Self::LongreinOff => "longrein-off",
            Self::Webrtcbin => "webrtcbin",
            Self::WebrtcbinFec => "webrtcbin-fec",
            Self::Aiortc => "aiortc",
        }
    }

    const fn peer(self) -> Option<Peer> {
        match self {
            Self::Webrtcbin => Some(Peer::Webrtcbin),
            Self::WebrtcbinFec => Some(Peer::WebrtcbinFec),
            Self::Aiortc => Some(Peer::Aiortc),
            Self::Longrein | Self::LongreinGcc | Self::LongreinOff => None,
        }
    }

    /// `[link] congestion` of our own stack.
    const fn congestion(self) -> &'static str {
        match self {
            Self::LongreinGcc => "gcc",
            Self::LongreinOff => "off",
            _ => "delay",
        }
    }
}

/// One measurement: a profile, a stack, and where its files lie.
struct Place<'a> {
    profile: &'a Profile,
    seed: u64,
    seconds: u64,
    /// Folder of this measurement.
    data: PathBuf,
    /// Folder of all measurements.
    kept: &'a Path,
    bin: &'a Path,
}

impl Place<'_> {
    /// From where each picture was filmed.
    fn drawn(&self) -> PathBuf {
        self.data.join("drawn.jsonl")
    }

    /// What the camera is to see again.
    fn replay(&self) -> PathBuf {
        self.data.join("replay.jsonl")
    }

    /// Some of the pictures that were on the screen.
    fn shown(&self) -> PathBuf {
        self.data.join("shown.luma")
    }

    /// The camera's socket, where its path is short.
    fn socket(&self) -> PathBuf {
        std::env::temp_dir().join(format!("longrein-link-{}", std::process::id())).join("front")
    }

    /// What pictures on the screen looked like, beside what the camera had filmed.
    fn quality(&self) -> Result<Vec<Quality>> {
        let out = Command::new(self.bin.join("sim-robot"))
            .args(["quality", "--seed", "1", "--drawn"])
            .arg(self.drawn())
            .arg("--shown")
            .arg(self.shown())
            .output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        // Large, and of no further use.
        std::fs::remove_file(self.shown())?;
        let text = String::from_utf8(out.stdout)?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

/// Runs the benchmark and shows what it gave.
pub(super) fn run(args: &Args, as_json: bool) -> Result<()> {
    setup::test_packages()?;
    setup::npm_install(&root().join("tests/browser"))?;
    let bin = setup::binaries()?;
    let profiles = profiles::all(&bin)?;
    for asked in &args.profile {
        let names: Vec<&str> = profiles.iter().map(|profile| profile.name.as_str()).collect();
        ensure!(
            names.contains(&asked.as_str()),
            "no profile {asked}; there are {}",
            names.join(", ")
        );
    }
    let stacks = match (args.no_peers, args.stack.is_empty()) {
        (true, _) => vec![Stack::Longrein],
        (false, true) => Stack::ALL.to_vec(),
        // In our order: the peers film what our own stack filmed before them.
        (false, false) => Stack::ALL.into_iter().filter(|one| args.stack.contains(one)).collect(),
    };
    peer::prepare(&stacks.iter().filter_map(|stack| stack.peer()).collect::<Vec<_>>())?;
    let kept = setup::target_dir().join("bench-link");
    std::fs::create_dir_all(&kept)?;
    let wanted =
        |profile: &&Profile| args.profile.is_empty() || args.profile.contains(&profile.name);
    let mut rows = Vec::new();
    let mut failed = 0;
    for profile in profiles.iter().filter(wanted) {
        let (measured, not_measured) = of_profile(profile, args, &stacks, &kept, &bin)?;
        failed += not_measured.len();
        plot::draw(profile, &measured, &kept)?;
        if args.docs {
            plot::draw(profile, &measured, &root().join("docs/link"))?;
        }
        let of_profile = compare::rows(&profile.name, &measured, &not_measured);
        if !as_json {
            result(&compare::table(&profile.name, &profile.words, &measured, &of_profile));
        }
        rows.extend(of_profile);
    }
    if let Some(verdict) = compare::verdict(&rows) {
        if !as_json {
            result(&compare::verdict_words(&verdict));
        }
        rows.push(verdict);
    }
    if as_json {
        result(&serde_json::to_string_pretty(&rows)?);
    }
    ensure!(
        failed == 0,
        "{failed} could not be measured (see above); with --resume the rest is kept"
    );
    Ok(())
}

/// What each stack gave over a profile: kept from before, or measured now. Then those peers that could not be measured, and why.
fn of_profile(
    profile: &Profile,
    args: &Args,
    stacks: &[Stack],
    kept: &Path,
    bin: &Path,
) -> Result<(Vec<Value>, Vec<Failed>)> {
    let (mut measured, mut failed) = (Vec::new(), Vec::new());
    for stack in stacks {
        let name = format!("{}.{}", profile.name, stack.name());
        let file = kept.join(format!("{name}.json"));
        let place = Place {
            profile,
            seed: args.seed,
            seconds: args.seconds.unwrap_or(profile.seconds),
            data: kept.join(format!("{name}.d")),
            kept,
            bin,
        };
        if let (true, Some(figures)) = (args.resume, measured_before(&place, *stack, &file)) {
            measured.push(figures);
            continue;
        }
        progress(&format!("{name}: {}, {} s", profile.words, place.seconds));
        if file.exists() {
            std::fs::remove_file(&file)?;
        }
        match measure_one(&place, *stack) {
            Ok(figures) => {
                std::fs::write(&file, serde_json::to_vec(&figures)?)?;
                measured.push(figures);
            }
            Err(error) if stack.peer().is_some() => {
                progress(&format!("{name} could not be measured: {error:#}"));
                failed.push(Failed { stack: stack.name(), why: format!("{error:#}") });
            }
            Err(error) => return Err(error.context(name)),
        }
    }
    Ok((measured, failed))
}

/// What an earlier run measured in the same way; nothing where it was another way, or was broken off.
fn measured_before(place: &Place<'_>, stack: Stack, file: &Path) -> Option<Value> {
    let before: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    let filmed_wall_ms = match stack {
        Stack::Longrein => None,
        _ => Some(Filmed::of(place).ok()?.begun_wall_ms),
    };
    let same = before["seed"] == place.seed
        && before["seconds"] == place.seconds
        && before["filmed_wall_ms"] == json!(filmed_wall_ms);
    same.then_some(before)
}

/// Measures one stack over one profile.
fn measure_one(place: &Place<'_>, stack: Stack) -> Result<Value> {
    let filmed = match stack {
        Stack::Longrein => None,
        _ => Some(Filmed::of(place)?),
    };
    if place.data.exists() {
        std::fs::remove_dir_all(&place.data)?;
    }
    std::fs::create_dir_all(&place.data)?;
    let run = match (stack.peer(), &filmed) {
        (Some(peer), Some(filmed)) => peer::stream(place, peer, filmed)?,
        (_, filmed) => own::drive(place, stack.congestion(), filmed.as_ref())?,
    };
    Ok(json!({
        "profile": place.profile.name, "words": place.profile.words, "seed": place.seed,
        "seconds": place.seconds, "stack": stack.name(), "begun_wall_ms": run.begun_wall_ms(),
        "filmed_wall_ms": filmed.map(|filmed| filmed.begun_wall_ms),
        "rows": figures::rows(place.profile, &run, stack.peer().is_none()), "relay": run.relay, "lost": run.seen.lost,
        "series": run.series(),
    }))
}

/// Ends the relay, and makes sure that everything went through it. Gives its account at the end of the measured time, and all that
/// it said.
fn finish(netem: Netem, seen: &Series, until_then: Option<Value>) -> Result<(Value, Vec<Value>)> {
    let said = netem.said();
    let end = netem.stop()?;
    let carried = end["to_driver"]["bytes_out"].as_f64().context("the relay's bytes")?;
    let received = seen.received();
    ensure!(received > 100_000.0, "the browser received next to nothing: {received} bytes");
    ensure!(
        received <= carried,
        "the browser received {received} bytes, and the relay carried {carried}: there is another way"
    );
    Ok((until_then.unwrap_or(end), said))
}

/// What to add to a monotonic time for the time of day, ms.
fn wall_less_mono_ms() -> f64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mono = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
    let mono_ms = mono.tv_sec as f64 * 1e3 + mono.tv_nsec as f64 / 1e6;
    wall.as_secs_f64() * 1e3 - mono_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_before_is_kept_if_it_was_measured_in_the_same_way() {
        let kept = std::env::temp_dir().join(format!("longrein-bench-kept-{}", std::process::id()));
        std::fs::create_dir_all(kept.join("clean-lan.longrein.d")).unwrap();
        std::fs::write(kept.join("clean-lan.longrein.d/drawn.jsonl"), "{\"us\":1}\n").unwrap();
        let profile = profiles::tests::clean_lan();
        let (own, file) =
            (kept.join("clean-lan.longrein.json"), kept.join("clean-lan.aiortc.json"));
        let before = |stack: Stack, seconds: u64, file: &Path| {
            let (data, bin) = (kept.join("unused"), Path::new(""));
            let place = Place { profile: &profile, seed: 1, seconds, data, kept: &kept, bin };
            measured_before(&place, stack, file).is_some()
        };
        let write = |file: &Path, words: &str| std::fs::write(file, words).unwrap();
        write(&own, r#"{"seed": 1, "seconds": 30, "begun_wall_ms": 5000.0}"#);
        write(&file, r#"{"seed": 1, "seconds": 30, "filmed_wall_ms": 5000.0}"#);
        assert!(before(Stack::Longrein, 30, &own) && before(Stack::Aiortc, 30, &file));
        assert!(!before(Stack::Aiortc, 20, &file), "for another time");
        write(&own, r#"{"seed": 1, "seconds": 30, "begun_wall_ms": 6000.0}"#);
        assert!(!before(Stack::Aiortc, 30, &file), "it filmed a drive that is no more");
        write(&own, r#"{"seed": 1, "sec"#);
        assert!(!before(Stack::Longrein, 30, &own), "broken off");
        std::fs::remove_dir_all(&kept).unwrap();
    }
}
