//! One camera, as the configuration names it.

use super::Ros;
use crate::media::Source;
use anyhow::{Result, ensure};
use ros_bridge::pictures::{PictureTopic, PictureType};
use ros_bridge::qos::Reliability;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One camera.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// Its name: 1 to 32 of `a-z`, `0-9` and `_`.
    pub name: String,
    /// GStreamer source, as for `gst-launch-1.0`, ending in raw video of the size below. Either this or `ros_topic`.
    pub source: Option<String>,
    /// A ROS topic of pictures of the size below, such as `/camera/image_raw/compressed`, instead of a source.
    pub ros_topic: Option<String>,
    /// What the topic carries: compressed_image, `sensor_msgs/msg/CompressedImage` as JPEG or PNG; or image,
    /// `sensor_msgs/msg/Image` as rgb8, bgr8, rgba8, bgra8, mono8, yuv422 (uyvy) or yuv422_yuy2 (yuyv). Without it:
    /// compressed_image.
    pub ros_type: Option<PictureType>,
    /// How the topic is read: best_effort, without it; or reliable, which mends big pictures on a wire, and reads nothing of
    /// a best-effort publisher.
    pub ros_reliability: Option<Reliability>,
    /// Width of the picture.
    #[schemars(range(min = 16, max = 4_096))]
    pub width: u32,
    /// Height of the picture.
    #[schemars(range(min = 16, max = 4_096))]
    pub height: u32,
    /// Frames per second. With `ros_topic`: what comes about, which sets the distance of keyframes.
    #[schemars(range(min = 1, max = 240))]
    pub fps: u32,
    /// Bitrate of the live video.
    #[schemars(range(min = 50, max = 100_000))]
    pub bitrate_kbps: u32,
    /// Encoder: one that `robot-agent doctor` shows, by its name, which is then not tried first; or any other, as for
    /// `gst-launch-1.0`, its element named `enc`. Without it: the best that works.
    pub encoder: Option<String>,
    /// How it is recorded.
    #[serde(default)]
    pub recording: CameraRecording,
}

/// How a camera is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CameraRecording {
    /// Whether episodes get an encode of their own, whose quality the link does not touch: auto, where the machine can
    /// carry it beside the live one; always, for as long as it keeps up; never, what is sent is what is recorded.
    pub separate: Separate,
    /// Bitrate of that encode. Without it: `bitrate_kbps` of the camera.
    #[schemars(range(min = 50, max = 100_000))]
    pub bitrate_kbps: Option<u32>,
    /// Time between its keyframes, where an export can cut.
    #[schemars(range(min = 1, max = 10))]
    pub keyframe_every_s: u32,
}

impl Default for CameraRecording {
    fn default() -> Self {
        Self { separate: Separate::Auto, bitrate_kbps: None, keyframe_every_s: 1 }
    }
}

/// Whether episodes get an encode of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Separate {
    /// Where the machine can carry it beside the live one.
    Auto,
    /// For as long as it keeps up.
    Always,
    /// What is sent is what is recorded.
    Never,
}

impl Camera {
    /// What the types do not say.
    pub(super) fn check(&self) -> Result<()> {
        let name = &self.name;
        ensure!(
            episode::layout::is_camera_name(name),
            "camera {name:?}: a name is 1 to 32 of a-z, 0-9 and '_'"
        );
        ensure!(
            self.source.is_some() != self.ros_topic.is_some(),
            "camera {name:?} needs either `source` or `ros_topic`, and not both"
        );
        ensure!(
            self.ros_topic.is_some() || (self.ros_type.is_none() && self.ros_reliability.is_none()),
            "camera {name:?}: `ros_type` and `ros_reliability` tell of `ros_topic`, which is missing"
        );
        Ok(())
    }

    /// Where its pictures come from.
    pub(crate) fn source(&self, ros: &Ros, domain_id: u16) -> Source {
        match &self.ros_topic {
            None => Source::Gstreamer(self.source.clone().unwrap_or_default()),
            Some(topic) => Source::Ros(PictureTopic {
                domain_id,
                node_name: format!("{}_camera_{}", ros.node_name, self.name),
                topic: topic.clone(),
                message: self.ros_type.unwrap_or_default(),
                reliability: self.ros_reliability,
            }),
        }
    }
}
