//! Cameras: GStreamer capture, H.264 for the link and the recorder, VP8 for a browser without H.264, JPEG while somebody
//! asks.
//!
//! ```text
//! source ! videoconvert ! I420 ! queue (newest frame) ! encoder ! constrained baseline ! appsink → sink closure
//!          ^ capture time                               ^ latest raw frame kept for JPEG, keyframes forced here
//! ```
//!
//! What is recorded is the live encode, or one of its own that hangs on the same capture: [`recording`]. VP8 is one more
//! encode behind the queue, there only while it is what is sent: [`vp8`].
//!
//! The source is GStreamer's, or a ROS topic: then `appsrc`, and a decoder where pictures are files.
//!
//! Each [`Camera`] has a pipeline and threads of its own. A camera that fails is built anew with growing pauses; one
//! whose driver hangs is left behind. Neither holds up another camera or a caller. Frames carry the time of capture on `CLOCK_MONOTONIC`, from
//! the source's own timestamp, never one in the future.

mod camera;
pub mod encoder;
mod error;
mod feed;
mod keeper;
mod live;
pub(crate) mod picture;
mod pipeline;
pub mod recording;
pub(crate) mod ros;
mod still;
mod taps;
pub mod vp8;

pub use camera::{Camera, CameraStats};
pub use error::MediaError;
pub(crate) use pipeline::parse;

use crate::config::{CameraRecording, Config};
use bytes::Bytes;
use protocol::units::MonoNs;
use ros_bridge::pictures::PictureTopic;

/// One camera, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraConfig {
    /// Its number: 0 is the front one. Frames carry it.
    pub camera: u8,
    /// Its name, for messages and files.
    pub name: String,
    /// Where its pictures come from.
    pub source: Source,
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
    /// Frames per second: sets the distance of keyframes.
    pub fps: u32,
    /// Bitrate at the start, kbit/s.
    pub bitrate_kbps: u32,
    /// The encoder: one of [`encoder::names`], which is then not tried first; or, for one that this module does not
    /// know, a text as for `gst-launch-1.0` that takes I420, gives H.264 without B-frames, its element named `enc`.
    /// `None` takes the first of the ladder that works.
    pub encoder: Option<String>,
    /// How it is recorded.
    pub recording: CameraRecording,
}

/// Where pictures come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A GStreamer source, as for `gst-launch-1.0`, ending in raw video of the camera's size: for example
    /// `v4l2src device=/dev/video0 ! video/x-raw,width=1280,height=720,framerate=30/1`.
    Gstreamer(String),
    /// A ROS topic.
    Ros(PictureTopic),
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        Self::Gstreamer(text.to_owned())
    }
}

impl CameraConfig {
    /// The cameras of a configuration, whose topics are those of a DDS domain.
    pub fn all_of(config: &Config, domain_id: u16) -> Vec<Self> {
        let camera = |(number, camera): (u8, &crate::config::Camera)| Self {
            camera: number,
            name: camera.name.clone(),
            source: camera.source(&config.ros, domain_id),
            width: camera.width,
            height: camera.height,
            fps: camera.fps,
            bitrate_kbps: camera.bitrate_kbps,
            encoder: camera.encoder.clone(),
            recording: camera.recording.clone(),
        };
        (0..).zip(&config.cameras).map(camera).collect()
    }
}

/// One frame as JPEG. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Still {
    /// The picture.
    pub jpeg: Bytes,
    /// Number of the frame at its camera since the start, without gaps.
    pub seq: u64,
    /// When it was captured, on the robot's monotonic clock.
    pub capture: MonoNs,
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
}

/// How live pictures are encoded. What is recorded is H.264, whatever is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// Constrained baseline: what nearly every browser has.
    #[default]
    H264,
    /// For browsers without it.
    Vp8,
}

/// One encoded frame: a whole access unit in Annex B form, or a frame of VP8. Nothing is reordered, so that order of arrival
/// is order of display. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedFrame {
    /// The camera.
    pub camera: u8,
    /// How it is encoded.
    pub codec: Codec,
    /// When it was captured, on the robot's monotonic clock.
    pub capture: MonoNs,
    /// Whether decoding can start here: for H.264 SPS, PPS and an IDR picture.
    pub keyframe: bool,
    /// Its bytes.
    pub data: Bytes,
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
}
