//! Microphone and loudspeaker, as the configuration names them.

use anyhow::{Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Microphone and loudspeaker, for talking with the people around the robot. Nothing of it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Audio {
    /// Microphone: a GStreamer source, as for `gst-launch-1.0`, for example `alsasrc device=hw:1`, `pulsesrc` or
    /// `audiotestsrc is-live=true`. It is open only while the driver listens. Without it the driver hears nothing.
    pub microphone: Option<String>,
    /// Loudspeaker: a GStreamer sink, for example `alsasink`, `pulsesink` or `wavenc ! filesink location=FILE`. It is
    /// open only while the driver talks. Without it the driver can't talk.
    pub loudspeaker: Option<String>,
    /// Bitrate of the microphone's sound.
    #[schemars(range(min = 6, max = 128))]
    pub bitrate_kbps: u32,
    /// How long the driver's voice is held back, so that what the network brings unevenly is played evenly.
    #[schemars(range(max = 500))]
    pub jitter_ms: u32,
}

impl Default for Audio {
    fn default() -> Self {
        Self { microphone: None, loudspeaker: None, bitrate_kbps: 24, jitter_ms: 80 }
    }
}

impl Audio {
    /// What the types do not say.
    pub(super) fn check(&self) -> Result<()> {
        for (key, text) in [("microphone", &self.microphone), ("loudspeaker", &self.loudspeaker)] {
            let empty = text.as_ref().is_some_and(|text| text.trim().is_empty());
            ensure!(!empty, "audio.{key} is empty: leave it out, or name a GStreamer element");
        }
        Ok(())
    }
}
