//! What is recorded of a camera: the live encode, or one of its own.
//!
//! ```text
//!  capture ──┬── queue (newest frame) ── live encode ── link ──┐ shared: the recorder takes the live frames
//!            └── queue of its own ── recording's encode ───────┴── recorder
//!                (a full one drops)   (a thread of its own, behind ordinary work, only during an episode)
//! ```
//!
//! When VP8 is what is sent, the encode that would be shared is the recording's alone.
//!
//! The capture's thread hands a reference to its frame over and goes on, whatever becomes of it: the live video does not
//! know whether anybody records. An encode that does not keep up, fails or hangs is given up for the rest of the
//! episode; from the next keyframe on the live frames are recorded, and the episode says so.

mod carry;
mod encode;
mod switch;

pub use carry::{Decision, Machine};

use super::camera::{State, lock};
use super::feed::Raw;
use super::pipeline::Pipeline;
use super::taps::{capture_time, segment_of};
use super::{Codec, EncodedFrame};
use carry::Demand;
use gstreamer as gst;
use gstreamer::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use switch::Switch;

/// Frames between two looks at what the encodes take.
const LOOK_EVERY: u64 = 64;

/// The recorder, as a camera sees it. Nothing of it may wait: it is called from threads of capture and encoders.
pub trait Recording: Send + Sync {
    /// The number of the episode that is being recorded; another one for each.
    fn episode(&self) -> Option<u64>;
    /// A frame of it.
    fn frame(&self, frame: EncodedFrame);
    /// Something that the episode shall say.
    fn tell(&self, told: Told);
}

/// What an episode says about the pictures of a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The camera's name.
    pub camera: String,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// They have an encode of their own.
    Separate {
        /// Its bitrate.
        bitrate_kbps: u32,
        /// Why.
        why: String,
    },
    /// They are those of the live video, whose bitrate follows the link.
    Shared {
        /// Why.
        why: String,
    },
    /// The encode of their own was not fast enough for some.
    Dropped {
        /// How many.
        count: u32,
    },
}

/// A camera's way into episodes.
pub(super) struct Recorded {
    recording: Arc<dyn Recording>,
    machine: Arc<Machine>,
    switch: Arc<Switch>,
}

impl std::fmt::Debug for Recorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorded").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl Recorded {
    pub(super) fn new(
        config: &super::CameraConfig,
        recording: Arc<dyn Recording>,
        machine: Arc<Machine>,
    ) -> Self {
        machine.join(
            config.camera,
            Demand {
                name: config.name.clone(),
                separate: config.recording.separate,
                fps: config.fps,
                frame_us: None,
                hardware: false,
                fixed: false,
                failed: false,
            },
        );
        let switch = Arc::new(Switch::new(config.clone(), Arc::clone(&recording)));
        Self { recording, machine, switch }
    }

    /// What would be done now, and why.
    pub(super) fn decision(&self, camera: u8) -> Option<Decision> {
        self.machine.decision(camera)
    }

    /// Whether the pipeline's own encode is what is recorded now.
    pub(super) fn takes_live(&self) -> bool {
        self.switch.takes_live()
    }

    /// What is sent is encoded so from now on.
    pub(super) fn sent_as(&self, codec: Codec) {
        self.switch.sent_as(codec);
    }

    /// A frame of the live encode.
    pub(super) fn live(&self, frame: EncodedFrame) {
        self.switch.live(frame);
    }

    /// What encodes take, by the trial at the start and by what is measured since; the slower counts.
    fn look(&self, state: &State) {
        // Measured is what is sent, and this is about H.264.
        if !state.sends_h264() {
            return;
        }
        let chosen = lock(&state.encoder).clone();
        let (_fps, encode_ms) = lock(&state.pace).measures(crate::clock::mono_ns());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few ms")]
        let measured_us = (encode_ms > 0.0).then_some((encode_ms * 1_000.0) as u64);
        let Some(chosen) = chosen else { return };
        self.machine.note(state.config.camera, |demand| {
            demand.frame_us = measured_us.max(chosen.frame_us);
            demand.hardware = chosen.is_hardware();
            demand.fixed = chosen.is_fixed();
        });
    }

    /// A frame as it was captured; `number` counts them, `raw` copies it.
    fn captured(&self, state: &State, number: u64, raw: impl FnOnce() -> Option<Raw>) {
        if number.is_multiple_of(LOOK_EVERY) {
            self.look(state);
        }
        let episode = self.recording.episode();
        if self.switch.is_new(episode) {
            self.look(state);
            let decision = self.machine.decision(state.config.camera);
            let encoder = lock(&state.encoder).clone();
            self.switch.begin(episode, decision, encoder);
            if self.takes_live() && !state.sends_h264() {
                // An encode that rested until now.
                state.keyframe.want();
            }
        }
        if self.switch.wants()
            && let Some(raw) = raw()
        {
            self.switch.offer(raw);
        }
        if self.switch.gave_up() {
            // The live frames are recorded from the next keyframe on.
            self.machine.note(state.config.camera, |demand| demand.failed = true);
            state.keyframe.want();
        }
    }
}

/// Watches what is captured, before the live encode's queue.
pub(super) fn watch(state: &Arc<State>, built: &Pipeline, generation: u64) {
    if state.recorded.is_none() {
        return;
    }
    let Some(pad) = built.entry.static_pad("sink") else { return };
    let state = Arc::clone(state);
    let pipeline = built.pipeline.downgrade();
    let number = AtomicU64::new(0);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if !state.is_current(generation) {
            return gst::PadProbeReturn::Remove;
        }
        let (Some(buffer), Some(pipeline), Some(recorded)) =
            (info.buffer(), pipeline.upgrade(), &state.recorded)
        else {
            return gst::PadProbeReturn::Ok;
        };
        // A copy, for a fraction of a millisecond: some sources have few buffers, and stop when they are held.
        let raw = || {
            let capture = capture_time(&segment_of(pad)?, buffer.pts()?, &pipeline)?;
            Some(Raw { buffer: buffer.copy_deep().ok()?, caps: pad.current_caps()?, capture })
        };
        recorded.captured(&state, number.fetch_add(1, Ordering::Relaxed), raw);
        gst::PadProbeReturn::Ok
    });
}
