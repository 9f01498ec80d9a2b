//! Package `foxglove_msgs`.

use crate::builtin_interfaces::Time;
use crate::octets;
use crate::schema::ros_message;
use serde::{Deserialize, Serialize};

/// One encoded video frame.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CompressedVideo {
    /// Time of capture.
    pub timestamp: Time,
    /// Coordinate frame of the camera.
    pub frame_id: String,
    /// For `h264`: one access unit in Annex B, with SPS and PPS before each IDR picture and no B frames.
    #[serde(with = "octets")]
    pub data: Vec<u8>,
    /// `h264`.
    pub format: String,
}

ros_message!(CompressedVideo = "foxglove_msgs" / "CompressedVideo", "builtin_interfaces/Time",);
