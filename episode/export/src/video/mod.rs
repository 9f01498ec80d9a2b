//! Video of a dataset: one MP4 per camera and episode with exact timing.

pub mod copy;
pub mod h264;
pub mod mp4;
pub mod transcode;

/// Initialises GStreamer; a second call costs nothing.
pub fn init() -> anyhow::Result<()> {
    gstreamer::init().map_err(|error| anyhow::anyhow!("GStreamer can't start: {error}"))?;
    let missing: Vec<_> = ["h264parse", "avdec_h264", "videoconvert", "x264enc"]
        .into_iter()
        .filter(|element| gstreamer::ElementFactory::find(element).is_none())
        .collect();
    anyhow::ensure!(
        missing.is_empty(),
        "GStreamer has no {}: install gstreamer1.0-libav and gstreamer1.0-plugins-{{base,bad,ugly}}",
        missing.join(", ")
    );
    Ok(())
}
