//! The recorder, as cameras see it.

use super::{Handle, Record, event};
use crate::clock;
use crate::media::EncodedFrame;
use crate::media::recording::{Recording, Told, What};
use serde_json::json;
use std::sync::atomic::Ordering;

/// What cameras hand to the episode.
pub(crate) struct Pictures(pub(crate) Handle);

impl Recording for Pictures {
    fn episode(&self) -> Option<u64> {
        let progress = &self.0.progress;
        progress.recording.load(Ordering::Acquire).then(|| progress.begun.load(Ordering::Acquire))
    }

    fn frame(&self, frame: EncodedFrame) {
        self.0.put(clock::wall_ns(), Record::Frame(frame));
    }

    fn tell(&self, told: Told) {
        let Told { camera, what } = told;
        let (detail, json) = match what {
            What::Separate { bitrate_kbps, why } => (
                format!("camera {camera}: recorded by an encode of its own; {why}"),
                json!({"camera": camera, "separate": true, "bitrate_kbps": bitrate_kbps, "why": why}),
            ),
            What::Shared { why } => (
                format!("camera {camera}: recorded as it is sent, at the link's bitrate; {why}"),
                json!({"camera": camera, "separate": false, "why": why}),
            ),
            What::Dropped { count } => (
                format!(
                    "camera {camera}: the recording's encode was too slow for {count} pictures"
                ),
                json!({"camera": camera, "separate": true, "dropped": count}),
            ),
        };
        self.0.put(
            clock::wall_ns(),
            Record::Event(event("recording-encode", detail, json.to_string())),
        );
    }
}
