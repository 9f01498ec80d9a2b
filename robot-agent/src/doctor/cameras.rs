//! Encoders and cameras: tried here, or told by the agent that holds them.

use super::identity::Agent;
use super::report::Check;
use crate::media::encoder::{self, Outcome};
use crate::media::recording::{Decision, Machine, Recording, Told};
use crate::media::{Camera, CameraConfig, CameraStats, EncodedFrame, Source, vp8};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A camera may take so long for its first frame: some need seconds to find their exposure.
const FIRST_WITHIN: Duration = Duration::from_secs(12);
/// How long rate and encode time are measured after that.
const MEASURE: Duration = Duration::from_millis(2_500);

/// Which encoders are there, and which is taken.
pub(super) fn encoders(cameras: &[CameraConfig], agent: &Agent) -> Vec<Check> {
    const AREA: &str = "encoder";
    if agent.driven() {
        return vec![Check::not_checked(AREA, "ladder", "not tried while somebody drives")];
    }
    let Some(camera) = cameras.first().cloned().or_else(usual) else {
        return vec![Check::not_checked(AREA, "ladder", "no camera, no encoder")];
    };
    if let Err(error) = gstreamer::init() {
        let advice = "apt-get install gstreamer1.0-plugins-base";
        return vec![Check::failed(AREA, "GStreamer", error.to_string(), advice)];
    }
    let tried = encoder::try_all(&camera);
    let works = |outcome: &Outcome| matches!(outcome, Outcome::Works { .. });
    let chosen = tried.iter().find(|tried| works(&tried.outcome)).map(|tried| tried.element);
    let mut checks = Vec::new();
    let mut absent = Vec::new();
    for tried in &tried {
        let found = format!("{}, {}", tried.kind, tried.outcome);
        match &tried.outcome {
            Outcome::NotInstalled => absent.push(tried.element),
            Outcome::Fails(_) => checks.push(Check::not_checked(AREA, tried.element, found)),
            Outcome::Works { frame_us } => {
                checks.push(Check::ok(AREA, tried.element, found).with("frame_us", *frame_us))
            }
        }
    }
    if !absent.is_empty() {
        checks.push(Check::not_checked(AREA, "not installed", absent.join(", ")));
    }
    checks.push(match chosen {
        Some(name) => Check::ok(AREA, "chosen", format!("{name}, the best that works")).with("encoder", name),
        None => {
            let advice = "apt-get install gstreamer1.0-plugins-ugly (x264enc), or a hardware encoder's driver";
            Check::failed(AREA, "chosen", "none works", advice)
        }
    });
    checks.push(of_vp8(&camera));
    for camera in cameras {
        if let Some(own) = &camera.encoder {
            checks.push(Check::ok(AREA, format!("{} (pinned)", camera.name), own.clone()));
        }
    }
    checks
}

/// What a driver whose browser has no H.264 can be sent.
fn of_vp8(camera: &CameraConfig) -> Check {
    let outcome = vp8::try_it(camera);
    let found = format!("for browsers without H.264: processor, {outcome}");
    match outcome {
        Outcome::Works { frame_us } => {
            Check::ok("encoder", vp8::ENCODER, found).with("frame_us", frame_us)
        }
        Outcome::Fails(_) => Check::not_checked("encoder", vp8::ENCODER, found),
        Outcome::NotInstalled => {
            let found = format!("{found}; apt-get install gstreamer1.0-plugins-good");
            Check::not_checked("encoder", vp8::ENCODER, found)
        }
    }
}

/// What encoders are tried on when there is no camera.
fn usual() -> Option<CameraConfig> {
    Some(CameraConfig {
        camera: 0,
        name: "trial".to_owned(),
        source: "".into(),
        width: 1_280,
        height: 720,
        fps: 30,
        bitrate_kbps: 2_500,
        encoder: None,
        recording: Default::default(),
    })
}

/// Every camera, all at once, as the agent runs them.
pub(super) fn cameras(cameras: &[CameraConfig], agent: &Agent) -> Vec<Check> {
    const AREA: &str = "camera";
    match agent {
        Agent::Silent => {
            let held = |camera: &CameraConfig| {
                let why = "the running agent has it, and does not say how it does";
                Check::not_checked(AREA, camera.name.clone(), why)
            };
            cameras.iter().map(held).collect()
        }
        Agent::Runs(status) => {
            let stats_of = |camera: &CameraConfig| {
                status.cameras.iter().find(|stats| stats.name == camera.name)
            };
            let told = |camera: &CameraConfig| match stats_of(camera) {
                Some(stats) => judge(camera, stats, "told by the running agent"),
                None => {
                    let why = "the running agent has another configuration: start it anew";
                    Check::not_checked(AREA, camera.name.clone(), why)
                }
            };
            let recordings = cameras.iter().filter_map(|camera| {
                let decision = stats_of(camera)?.recording.as_ref()?;
                Some(recording(&camera.name, decision))
            });
            cameras.iter().map(told).chain(recordings).collect()
        }
        Agent::Absent => {
            let machine = Arc::new(Machine::default());
            let trials: Vec<_> = cameras
                .iter()
                .map(|camera| {
                    let (camera, machine) = (camera.clone(), Arc::clone(&machine));
                    std::thread::spawn(move || try_one(&camera, machine))
                })
                .collect();
            let joined = trials.into_iter().zip(cameras).map(|(trial, camera)| {
                trial.join().unwrap_or_else(|_panicked| {
                    Check::not_checked(AREA, camera.name.clone(), "the trial itself failed")
                })
            });
            let mut checks: Vec<Check> = joined.collect();
            let decisions = machine.decisions();
            checks.extend(decisions.iter().map(|(name, decision)| recording(name, decision)));
            checks
        }
    }
}

/// How episodes get a camera's pictures.
fn recording(camera: &str, decision: &Decision) -> Check {
    let Decision { separate, why } = decision;
    let how = if *separate { "an encode of its own" } else { "what is sent" };
    Check::ok("recording", camera, format!("{how}: {why}")).with("separate", *separate)
}

/// Nothing is recorded while somebody only looks.
struct NoEpisode;

impl Recording for NoEpisode {
    fn episode(&self) -> Option<u64> {
        None
    }

    fn frame(&self, _frame: EncodedFrame) {}

    fn tell(&self, _told: Told) {}
}

fn try_one(config: &CameraConfig, machine: Arc<Machine>) -> Check {
    const AREA: &str = "camera";
    let started = Camera::start_recorded(config.clone(), |_frame| {}, Arc::new(NoEpisode), machine);
    let camera = match started {
        Ok(camera) => camera,
        Err(error) => {
            let advice = match &config.source {
                Source::Gstreamer(_) => "correct its `source` or `encoder` in the configuration",
                Source::Ros(_) => "correct its `ros_topic` or `encoder` in the configuration",
            };
            return Check::failed(
                AREA,
                config.name.clone(),
                crate::episodes::words(&error),
                advice,
            );
        }
    };
    let begun = Instant::now();
    while camera.frames() == 0 && begun.elapsed() < FIRST_WITHIN {
        std::thread::sleep(Duration::from_millis(50));
    }
    let first = begun.elapsed();
    if camera.frames() > 0 {
        std::thread::sleep(MEASURE);
    }
    let stats = camera.stats();
    camera.stop();
    let first_ms = u64::try_from(first.as_millis()).unwrap_or(u64::MAX);
    judge(config, &stats, &format!("first frame after {first_ms} ms"))
        .with("first_frame_ms", first_ms)
}

fn judge(config: &CameraConfig, stats: &CameraStats, how: &str) -> Check {
    const AREA: &str = "camera";
    let name = config.name.clone();
    let encoder = stats.encoder.clone().unwrap_or_default();
    let measured = |check: Check| {
        check
            .with("fps", stats.fps)
            .with("encode_ms", stats.encode_ms)
            .with("encoder", encoder.clone())
    };
    if !stats.healthy {
        let why = stats.trouble.clone().unwrap_or_else(|| "no frames come".to_owned());
        let prefix = format!("camera {name}: ");
        let why = why.strip_prefix(&prefix).unwrap_or(&why).to_owned();
        let advice = match &config.source {
            Source::Gstreamer(source) => {
                format!("try it alone: gst-launch-1.0 {source} ! fakesink")
            }
            Source::Ros(from) => {
                format!("try it alone, where ROS is installed: ros2 topic hz {}", from.topic)
            }
        };
        return measured(Check::failed(AREA, name, why, advice));
    }
    let found = format!(
        "{:.1} of {} frames/s, encoded in {:.1} ms by {encoder}; {how}",
        stats.fps, config.fps, stats.encode_ms
    );
    let (wanted, period_ms) = (f64::from(config.fps), 1_000.0 / f64::from(config.fps));
    if stats.encode_ms > period_ms {
        let advice = "the encoder does not keep up: use a smaller picture, a lower rate or a hardware encoder";
        return measured(Check::warning(AREA, name, found, advice));
    }
    if stats.fps < wanted * 0.8 {
        let advice = match &config.source {
            Source::Gstreamer(_) => {
                "the camera gives fewer frames than configured: in dim light its exposure may be long; check `source` and \
                 `fps`"
            }
            Source::Ros(_) => {
                "fewer pictures come than configured: set `fps` to what its driver publishes, and let it publish \
                 compressed ones; big pictures lose pieces on the way"
            }
        };
        return measured(Check::warning(AREA, name, found, advice));
    }
    measured(Check::ok(AREA, name, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;

    fn config(name: &str, source: &str) -> CameraConfig {
        CameraConfig {
            name: name.to_owned(),
            source: source.into(),
            width: 320,
            height: 240,
            ..usual().unwrap()
        }
    }

    #[test]
    fn cameras_are_opened_measured_and_judged_each_by_itself() {
        let caps = "video/x-raw,format=I420,width=320,height=240,framerate=30/1";
        let all = [
            config("well", &format!("videotestsrc is-live=true ! {caps}")),
            config("slow", &format!("videotestsrc is-live=true ! {}", caps.replace("30/1", "5/1"))),
            config("gone", "v4l2src device=/dev/no-such-camera"),
            config("wrong", "nosuchsrc"),
        ];
        let all: Vec<CameraConfig> =
            (0..).zip(all).map(|(camera, config)| CameraConfig { camera, ..config }).collect();
        let begun = Instant::now();
        let checks = cameras(&all, &Agent::Absent);
        assert!(begun.elapsed() < Duration::from_secs(30), "bounded in time");
        let (recordings, checks): (Vec<Check>, Vec<Check>) =
            checks.into_iter().partition(|check| check.area == "recording");
        let known: Vec<bool> =
            recordings.iter().map(|check| check.found.contains("all encodes take")).collect();
        assert_eq!(known[..2], [true, true], "{recordings:#?}");
        let verdicts: Vec<Verdict> = checks.iter().map(|check| check.verdict).collect();
        let wanted = [Verdict::Ok, Verdict::Warning, Verdict::Failed, Verdict::Failed];
        assert_eq!(verdicts, wanted, "{checks:#?}");
        assert!(checks[0].data["encode_ms"].as_f64().unwrap() > 0.0);
        assert!(checks[2].advice.as_ref().unwrap().contains("gst-launch-1.0 v4l2src"));
        let held = cameras(&all, &Agent::Silent);
        assert!(held.iter().all(|check| check.found.contains("running agent has it")));
    }

    #[test]
    fn the_ladder_is_told_rung_by_rung() {
        let checks = encoders(&[], &Agent::Absent);
        let chosen = checks.iter().find(|check| check.what == "chosen").unwrap();
        assert_eq!(chosen.verdict, Verdict::Ok, "{checks:#?}");
        assert_eq!(encoders(&[], &Agent::Silent)[0].verdict, Verdict::NotChecked);
    }
}
