//! `robot.toml`: one typed configuration. File, then environment (`LONGREIN_ROBOT__…`), then flags; the later wins.
//!
//! What a key may hold is read off the types below (their JSON schema): the check of a file, the environment's names
//! and `robot-agent config docs` all come from there, so that no second list can drift away from them.

mod audio;
mod base;
mod camera;
mod docs;
mod heading;
mod layers;
mod link;
mod navigation;
mod qos;
mod schema;

pub use audio::Audio;
pub(crate) use base::{BUMPERS_MAX, RANGES_MAX};
pub use base::{Base, BaseKind, Bumper, RangeKind, RangeSensor, Ros, Side};
pub use camera::{Camera, CameraRecording, Separate};
pub use docs::docs;
pub use heading::{Heading, HeadingSource};
pub use layers::{ConfigError, ENVIRONMENT_PREFIX, Layers};
pub use link::Link;
pub use navigation::Navigation;
pub use qos::{ReaderQos, TopicsQos, WriterQos};

use agent_core::Policy;
use anyhow::{Context, Result, ensure};
use protocol::rover::{HOLD_MS_MAX, Terms};
use ros_bridge::DOMAIN_ID_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The agent's configuration. Unknown fields are refused.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The data folder, made by `robot-agent enroll`: key, enrolment, episodes.
    pub data: PathBuf,
    /// DDS domain of the base. Without it `ROS_DOMAIN_ID` counts, and then 0.
    #[schemars(range(max = DOMAIN_ID_MAX))]
    pub ros_domain_id: Option<u16>,
    /// ROS node and topics, where they are not the usual ones, and sensors that few robots have.
    #[serde(default)]
    pub ros: Ros,
    /// How the base moves.
    #[serde(default)]
    pub base: Base,
    /// Where the heading comes from.
    #[serde(default)]
    pub heading: Heading,
    /// The robot's own autonomy, so that a driver can set a goal and watch over the way there.
    #[serde(default)]
    pub navigation: Navigation,
    /// URL of the fleet-server, if it is no longer the one of the enrolment.
    pub server: Option<String>,
    /// The message router, if it is no longer the one of the enrolment.
    #[serde(default)]
    pub zenoh: Zenoh,
    /// Where drivers find this robot.
    #[serde(default)]
    pub link: Link,
    /// Who watches without driving.
    #[serde(default)]
    pub spectators: Spectators,
    /// What the safety core allows. See `docs/safety.md`.
    #[serde(default)]
    pub policy: Policy,
    /// Cameras, the front one first. Without any, only programs may drive, if the policy permits it.
    #[serde(default, rename = "camera")]
    #[schemars(length(max = 8))]
    pub cameras: Vec<Camera>,
    /// What programs get beside driving.
    #[serde(default)]
    pub program: Program,
    /// The voice.
    #[serde(default)]
    pub speech: Speech,
    /// Microphone and loudspeaker.
    #[serde(default)]
    pub audio: Audio,
    /// Calibration of cameras and sensors, kept in each episode as it stands here. Any keys.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub calibration: toml::Table,
    /// Episodes on this robot, and their way to the fleet.
    #[serde(default)]
    pub spool: Spool,
    /// Whether episodes stay here after the fleet has confirmed that it has them, while there is room.
    #[serde(default = "yes")]
    pub keep_uploaded: bool,
    /// With less free space than this the recorder counts as full.
    #[serde(default = "disk_free_mb_min")]
    pub disk_free_mb_min: u64,
}

/// Who watches without driving. Spectators see the driver's video, which is sent for them once more, over the message router,
/// however many they are. When the driver's link is short they get still pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spectators {
    /// How much they may cost, kbit/s and camera; above it pictures are left out. 0: nobody watches.
    #[schemars(range(max = 100_000))]
    pub kbps_max: u32,
}

impl Default for Spectators {
    fn default() -> Self {
        Self { kbps_max: 6_000 }
    }
}

/// The message router.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Zenoh {
    /// Its endpoint, for example `tcp/192.0.2.1:7447`.
    pub endpoint: Option<String>,
}

/// What programs get beside driving.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Program {
    /// For how long a relay may repeat a program's last command for it. 0 repeats nothing: the program must send
    /// often enough by itself. The robot's own watchdog stays underneath.
    #[schemars(range(max = HOLD_MS_MAX))]
    pub hold_ms: u32,
}

impl Default for Program {
    fn default() -> Self {
        Self { hold_ms: 1_000 }
    }
}

/// The voice.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Speech {
    /// Whether the robot may speak.
    pub active: bool,
    /// The program that speaks, a name or a path, called as espeak-ng is: `[-v VOICE] [-w FILE] --stdin`, the text
    /// on its standard input.
    #[schemars(length(min = 1))]
    pub command: String,
    /// The voice, as the program names it. Without it: the program's own.
    pub voice: Option<String>,
    /// A folder in which each text is kept as an audio file instead of being played: for simulators and tests.
    pub keep: Option<PathBuf>,
}

impl Default for Speech {
    fn default() -> Self {
        Self { active: true, command: "espeak-ng".to_owned(), voice: None, keep: None }
    }
}

/// Episodes on this robot, and their way to the fleet.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Spool {
    /// Space that episodes may take. Beyond it the oldest that the fleet has confirmed are removed; what it has not
    /// confirmed is never removed, and when that alone fills the quota no new drive begins. Without it: the whole disk
    /// but `disk_free_mb_min`.
    #[schemars(range(min = 100))]
    pub quota_mb: Option<u64>,
    /// What uploads may take of the network while nobody drives. Without it: all that there is.
    #[schemars(range(min = 16))]
    pub upload_kbps_max: Option<u32>,
    /// What uploads may take of the network while somebody drives. 0: they wait for the end of the drive.
    pub upload_driving_kbps_max: u32,
}

const fn yes() -> bool {
    true
}

const fn disk_free_mb_min() -> u64 {
    200
}

impl Config {
    /// Reads a file, what the environment says and flags, and checks all of it.
    ///
    /// `environment` is every variable that there is; only those of [`ENVIRONMENT_PREFIX`] count. `flags` are pairs
    /// of a key such as `policy.speed_mps_max` and what it shall hold, written as in the environment.
    pub fn load(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[(String, String)],
    ) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("reading the configuration {} (`robot-agent init` writes one)", path.display())
        })?;
        let layers = Layers::new(&text, environment, flags);
        layers.and_then(Layers::config).with_context(|| format!("in {}", path.display()))
    }

    /// Reads and checks a text.
    pub fn parse(text: &str) -> Result<Self> {
        Layers::new(text, [], &[])?.config()
    }

    /// What the types themselves do not say.
    fn check(&self) -> Result<()> {
        self.policy.check()?;
        self.ros.check(self.policy.close_sensors.active)?;
        self.base.check(self.ros.commands)?;
        self.navigation.check(&self.ros.topics.cmd_vel)?;
        self.link.check()?;
        self.audio.check()?;
        for (n, camera) in self.cameras.iter().enumerate() {
            camera.check()?;
            let twice = self.cameras.iter().take(n).any(|other| other.name == camera.name);
            ensure!(!twice, "two cameras are named {:?}", camera.name);
        }
        if let Some(voice) = &self.speech.voice {
            ensure!(!voice.is_empty() && !voice.starts_with('-'), "speech.voice = {voice:?}");
        }
        Ok(())
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

    /// What the connection to ROS needs.
    pub(crate) fn ros_config(&self, domain_id: u16) -> ros_bridge::Config {
        let bumpers = self.ros.bumper_topics();
        let qos = self.ros.qos_of_topics();
        let Ros { node_name, commands, topics, range, .. } = self.ros.clone();
        let ranges = range.into_iter().map(|range| range.topic).collect();
        let kinematics = self.base.kinematics();
        ros_bridge::Config {
            domain_id,
            node_name,
            topics,
            commands,
            kinematics,
            ranges,
            bumpers,
            qos,
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
mod tests;
