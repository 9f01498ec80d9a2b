//! `robot.toml`. Precedence: file, then environment (`LONGREIN_…`), then flags.

use agent_core::Policy;
use anyhow::{Context, Result, ensure};
use protocol::rover::{HOLD_MS_MAX, Terms};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The agent's configuration. Unknown fields are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The data folder, made by `robot-agent enroll`.
    pub data: PathBuf,
    /// DDS domain of the base. Without it `ROS_DOMAIN_ID` counts, and then 0.
    pub ros_domain_id: Option<u16>,
    /// ROS node and topics, where they are not the usual ones.
    #[serde(default)]
    pub ros: Ros,
    /// URL of the fleet-server, if it is no longer the one of the enrolment.
    pub server: Option<String>,
    /// The message router, if it is no longer the one of the enrolment.
    #[serde(default)]
    pub zenoh: Zenoh,
    /// What the safety core allows. See `docs/safety.md`.
    #[serde(default)]
    pub policy: Policy,
    /// Cameras, the front one first. Without any, only programs may drive, if the policy permits it.
    #[serde(default, rename = "camera")]
    pub cameras: Vec<Camera>,
    /// What programs get beside driving.
    #[serde(default)]
    pub program: Program,
    /// The voice.
    #[serde(default)]
    pub speech: Speech,
    /// Calibration of cameras and sensors, kept in each episode as it stands here.
    #[serde(default)]
    pub calibration: toml::Table,
    /// Whether episodes stay here after the fleet has confirmed that it has them. Default true.
    #[serde(default = "yes")]
    pub keep_uploaded: bool,
    /// With less free space than this the recorder counts as full, MB. Default 200.
    #[serde(default = "disk_free_mb_min")]
    pub disk_free_mb_min: u64,
}

/// ROS node and topics.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ros {
    /// Name of the node. Default `longrein_agent`.
    pub node_name: String,
    /// Names of the topics.
    pub topics: ros_bridge::Topics,
}

impl Default for Ros {
    fn default() -> Self {
        Self { node_name: "longrein_agent".to_owned(), topics: ros_bridge::Topics::default() }
    }
}

/// The message router.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Zenoh {
    /// Its endpoint, for example `tcp/192.0.2.1:7447`.
    pub endpoint: Option<String>,
}

/// What programs get beside driving.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Program {
    /// For how long a relay may repeat a program's last command for it, ms. Default 1000, at most 3000. 0 repeats
    /// nothing: the program must send often enough by itself. The robot's own watchdog stays underneath.
    pub hold_ms: u32,
}

impl Default for Program {
    fn default() -> Self {
        Self { hold_ms: 1_000 }
    }
}

/// The voice.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Speech {
    /// Whether the robot may speak. Default true.
    pub active: bool,
    /// The program that speaks, a name or a path, called as espeak-ng is: `[-v VOICE] [-w FILE] --stdin`, the text
    /// on its standard input. Default `espeak-ng`.
    pub command: String,
    /// The voice, as the program names it. Default: the program's own.
    pub voice: Option<String>,
    /// A folder in which each text is kept as an audio file instead of being played: for simulators and tests.
    pub keep: Option<PathBuf>,
}

impl Default for Speech {
    fn default() -> Self {
        Self { active: true, command: "espeak-ng".to_owned(), voice: None, keep: None }
    }
}

/// One camera.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// Its name: 1 to 32 of `a-z`, `0-9` and `_`.
    pub name: String,
    /// GStreamer source, as for `gst-launch-1.0`, ending in raw video of the size below.
    pub source: String,
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// Bitrate, kbit/s.
    pub bitrate_kbps: u32,
    /// Encoder, as for `gst-launch-1.0`, its element named `enc`. Default: the best that is installed.
    pub encoder: Option<String>,
}

const fn yes() -> bool {
    true
}

const fn disk_free_mb_min() -> u64 {
    200
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading the configuration {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text)?;
        config.policy.check()?;
        ensure!(
            !config.policy.close_sensors.active,
            "policy.close_sensors.active: this version of the agent reads no range cones, bumpers or drop sensors; with \
             it the robot would never drive"
        );
        for (n, camera) in config.cameras.iter().enumerate() {
            ensure!(
                episode::layout::is_camera_name(&camera.name),
                "camera {:?}: a name is 1 to 32 of a-z, 0-9 and '_'",
                camera.name
            );
            let twice = config.cameras.iter().take(n).any(|other| other.name == camera.name);
            ensure!(!twice, "two cameras are named {:?}", camera.name);
        }
        ensure!(config.cameras.len() <= 8, "at most 8 cameras");
        let hold_ms = config.program.hold_ms;
        ensure!(hold_ms <= HOLD_MS_MAX, "program.hold_ms = {hold_ms}: at most {HOLD_MS_MAX}");
        ensure!(!config.speech.command.is_empty(), "speech.command is empty: name a program");
        if let Some(voice) = &config.speech.voice {
            ensure!(!voice.is_empty() && !voice.starts_with('-'), "speech.voice = {voice:?}");
        }
        Ok(config)
    }

    /// What the owner lets programs do. Whether there are a voice and a lamp is found out elsewhere.
    pub(crate) fn terms(&self) -> Terms {
        let policy = &self.policy;
        Terms {
            speed_mps_max: policy.speed_mps_max,
            reverse_mps_max: policy.reverse_mps_max,
            turn_radps_max: policy.turn_radps_max,
            hold_ms: self.program.hold_ms,
            blind_permitted: policy.blind_driving.permitted,
            blind_mps_max: policy.blind_driving.speed_mps_max,
            cameras: self.cameras.iter().map(|camera| camera.name.clone()).collect(),
            speaks: false,
            has_lamp: false,
        }
    }

    /// The DDS domain: the configuration's, or that of the environment, or 0.
    pub fn domain_id(&self, environment: Option<&str>) -> Result<u16> {
        match (self.ros_domain_id, environment) {
            (Some(domain_id), _) => Ok(domain_id),
            (None, Some(text)) => {
                text.trim().parse().with_context(|| format!("ROS_DOMAIN_ID={text:?} is no domain"))
            }
            (None, None) => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "data = \"/var/lib/longrein\"\n[[camera]]\nname = \"front\"\nsource = \"videotestsrc\"\n\
                        width = 640\nheight = 360\nfps = 15\nbitrate_kbps = 500\n";

    #[test]
    fn a_short_file_is_enough() {
        let config = Config::parse(GOOD).unwrap();
        assert!(config.keep_uploaded);
        assert_eq!(config.policy, Policy::default());
        assert_eq!(config.domain_id(None).unwrap(), 0);
        assert_eq!(config.domain_id(Some("42")).unwrap(), 42);
        assert!(config.domain_id(Some("x")).is_err());
        let own = Config::parse(&format!("ros_domain_id = 7\n{GOOD}")).unwrap();
        assert_eq!(own.domain_id(Some("42")).unwrap(), 7);
        let terms = config.terms();
        assert_eq!((terms.hold_ms, terms.blind_permitted), (1_000, false));
        assert_eq!(terms.cameras, ["front"]);
    }

    #[test]
    fn mistakes_are_named() {
        let refused = |text: &str| format!("{:#}", Config::parse(text).unwrap_err());
        assert!(refused(&format!("speed = 1\n{GOOD}")).contains("unknown field `speed`"));
        assert!(
            refused(&format!("{GOOD}[policy]\nspeed_mps_max = 9.0\n"))
                .contains("speed_mps_max = 9")
        );
        assert!(
            refused(&format!("{GOOD}[policy]\nspeed_max = 1.0\n"))
                .contains("unknown field `speed_max`")
        );
        let close = format!("{GOOD}[policy.close_sensors]\nactive = true\n");
        assert!(refused(&close).contains("would never drive"));
        assert!(refused(&GOOD.replace("front", "Front")).contains("a name is"));
        assert!(
            refused(&format!("{GOOD}{}", GOOD.split_once('\n').unwrap().1)).contains("two cameras")
        );
        assert!(refused("").contains("missing field `data`"));
        assert!(refused(&format!("{GOOD}[program]\nhold_ms = 3001\n")).contains("at most 3000"));
        assert!(refused(&format!("{GOOD}[speech]\nvoice = \"-w\"\n")).contains("speech.voice"));
    }
}
