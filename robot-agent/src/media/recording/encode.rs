//! The recording's encode.

use crate::media::encoder::Chosen;
use crate::media::feed::{Feed, Raw};
use crate::media::{CameraConfig, Codec, EncodedFrame};
use protocol::units::MonoNs;
use std::sync::mpsc::Receiver;

/// Encodes what comes until nobody sends any more.
pub(super) fn run(
    config: &CameraConfig,
    chosen: &Chosen,
    frames: &Receiver<Raw>,
    deliver: impl Fn(EncodedFrame) + Send + Sync + 'static,
) -> Result<(), String> {
    let text = format!(
        "{} ! video/x-h264,profile={},stream-format=byte-stream,alignment=au",
        chosen.recording_text(config),
        chosen.profile()
    );
    let (camera, width, height) = (config.camera, config.width, config.height);
    let feed = Feed::start(&text, config.fps, move |encoded| {
        deliver(EncodedFrame {
            camera,
            codec: Codec::H264,
            capture: encoded.capture,
            keyframe: encoded.keyframe,
            data: encoded.data,
            width,
            height,
        });
    })?;
    let every_ns = u64::from(config.recording.keyframe_every_s) * 1_000_000_000;
    // Half a frame of slack: a camera's rate is not exact.
    let slack_ns = 500_000_000 / u64::from(config.fps.max(1));
    let (mut caps, mut keyframe) = (None, None::<MonoNs>);
    let outcome = frames.iter().try_for_each(|raw| {
        if caps.as_ref() != Some(&raw.caps) {
            feed.begin_with(&raw.caps)?;
            caps = Some(raw.caps.clone());
        }
        if keyframe.is_none_or(|last| raw.capture.since(last) + slack_ns >= every_ns) {
            if keyframe.is_some() {
                feed.force_keyframe();
            }
            keyframe = Some(raw.capture);
        }
        feed.push(raw)
    });
    feed.stop(outcome.is_ok());
    outcome
}
