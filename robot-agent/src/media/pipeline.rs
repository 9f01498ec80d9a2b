//! Builds one camera's pipeline.

use super::encoder::{self, Bitrate, Chosen};
use super::picture::Form;
use super::{CameraConfig, MediaError, Source, ros, still};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;

/// Largest side of a picture: what H.264 level 5.2 and JPEG can hold.
const SIDE_MAX: u32 = 4_096;
/// A pipeline, ready to be played.
#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    pub(super) pipeline: gst::Pipeline,
    /// The end of the capture branch: the queue's input.
    pub(super) entry: gst::Element,
    /// Behind the queue, where the live branch begins: frames of the configured size.
    pub(super) live: gst::Element,
    /// What the live branch makes their size.
    live_size: gst::Element,
    pub(super) encoder: gst::Element,
    pub(super) sink: AppSink,
    bitrate: Bitrate,
}

impl Pipeline {
    /// Changes the size of the live pictures while running; the encoder begins anew with a keyframe.
    pub(super) fn set_live_size(&self, width: u32, height: u32) {
        let (Ok(width), Ok(height)) = (i32::try_from(width), i32::try_from(height)) else { return };
        let caps = gst::Caps::builder("video/x-raw").field("width", width).field("height", height);
        self.live_size.set_property("caps", caps.build());
    }

    /// Changes the bitrate while running. `false` if nobody knows how with this encoder.
    pub(super) fn set_bitrate_kbps(&self, kbps: u32) -> bool {
        encoder::set_bitrate(&self.encoder, self.bitrate, kbps)
    }
}

/// Checks what can be checked without opening the camera.
pub(super) fn check(config: &CameraConfig) -> Result<(), MediaError> {
    gst::init().map_err(|error| MediaError::Init { why: error.to_string() })?;
    // What elements mutter goes to the log, not past it; what ends a camera comes over its bus.
    gst::glib::log_set_default_handler(|domain, _level, text| {
        tracing::debug!(domain, "{text}");
    });
    let range = |field, value, from: u32, to: u32, must| {
        let camera = config.name.clone();
        if (from..=to).contains(&value) {
            Ok(())
        } else {
            Err(MediaError::Config { camera, field, value, must })
        }
    };
    range("width", config.width, 16, SIDE_MAX, "16 to 4096")?;
    range("height", config.height, 16, SIDE_MAX, "16 to 4096")?;
    range("fps", config.fps, 1, 240, "1 to 240")?;
    range("bitrate_kbps", config.bitrate_kbps, 50, 100_000, "50 to 100000")?;
    if gst::ElementFactory::find(still::ENCODER).is_none() {
        let elements = vec![still::ENCODER.to_owned()];
        return Err(MediaError::MissingElement { camera: config.name.clone(), elements });
    }
    let encoder = encoder::first_installed(config)?;
    let form = match &config.source {
        Source::Gstreamer(_) => None,
        Source::Ros(from) => Some(ros::expected_form(from.message)),
    };
    build(config, &encoder, config.bitrate_kbps, form).map(|_pipeline| ())
}

/// Builds the pipeline; the camera is opened when it is played. `form` is what pictures from ROS are made of.
pub(super) fn build(
    config: &CameraConfig,
    chosen: &Chosen,
    bitrate_kbps: u32,
    form: Option<Form>,
) -> Result<Pipeline, MediaError> {
    let (encoder, profile) = (chosen.text(config, bitrate_kbps), chosen.profile());
    let CameraConfig { width, height, .. } = config;
    let source = source_text(config, form);
    let text = format!(
        "{source} ! videoconvert ! video/x-raw,format=I420,width={width},height={height} \
         ! queue name=entry leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0 \
         ! videoscale name=live ! capsfilter name=live_size caps=video/x-raw,width={width},height={height} \
         ! {encoder} ! video/x-h264,profile={profile},stream-format=byte-stream,alignment=au \
         ! appsink name=sink sync=false max-buffers=4 drop=false"
    );
    let pipeline = of_camera(config, &text)?;
    // The one clock whose time is CLOCK_MONOTONIC, whatever clock a source would bring.
    pipeline.use_clock(Some(&gst::SystemClock::obtain()));
    if form.is_some() {
        ros::set_time(&pipeline);
    }
    let named = |name: &str| {
        pipeline.by_name(name).ok_or_else(|| failed(config, &format!("no element is named {name}")))
    };
    let encoder = pipeline.by_name("enc").ok_or_else(|| MediaError::EncoderName {
        camera: config.name.clone(),
        encoder: config.encoder.clone().unwrap_or_default(),
    })?;
    let (entry, live, live_size) = (named("entry")?, named("live")?, named("live_size")?);
    let sink = named("sink")?
        .downcast::<AppSink>()
        .map_err(|_other| failed(config, "the element named sink is not ours"))?;
    Ok(Pipeline { pipeline, entry, live, live_size, encoder, sink, bitrate: chosen.bitrate() })
}

fn source_text(config: &CameraConfig, form: Option<Form>) -> String {
    match (&config.source, form) {
        (_, Some(form)) => ros::source_text(config, form),
        (Source::Gstreamer(text), None) => text.clone(),
        (Source::Ros(from), None) => ros::source_text(config, ros::expected_form(from.message)),
    }
}

/// Parses a pipeline's text, and names the elements that this machine has not.
pub(crate) fn parse(text: &str) -> (Result<gst::Element, gst::glib::Error>, Vec<String>) {
    let mut context = gst::ParseContext::new();
    let parsed = gst::parse::launch_full(text, Some(&mut context), gst::ParseFlags::FATAL_ERRORS);
    // The list also has elements that are there, but have no such property value.
    let mut missing: Vec<String> = context
        .missing_elements()
        .into_iter()
        .map(|name| name.to_string())
        .filter(|name| gst::ElementFactory::find(name).is_none())
        .collect();
    missing.sort();
    missing.dedup();
    (parsed, missing)
}

fn of_camera(config: &CameraConfig, text: &str) -> Result<gst::Pipeline, MediaError> {
    let (parsed, missing) = parse(text);
    if !missing.is_empty() {
        return Err(MediaError::MissingElement { camera: config.name.clone(), elements: missing });
    }
    parsed
        .map_err(|error| failed(config, &error.to_string()))?
        .downcast::<gst::Pipeline>()
        .map_err(|_other| failed(config, "it is not a pipeline"))
}

fn failed(config: &CameraConfig, why: &str) -> MediaError {
    MediaError::Pipeline {
        camera: config.name.clone(),
        why: why.to_owned(),
        source_text: source_text(config, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(source: &str) -> CameraConfig {
        CameraConfig {
            camera: 0,
            name: "front".to_owned(),
            source: source.into(),
            width: 320,
            height: 240,
            fps: 30,
            bitrate_kbps: 500,
            encoder: None,
            recording: Default::default(),
        }
    }

    #[test]
    fn an_element_that_is_not_installed_is_named() {
        let error = check(&config("nosuchsrc ! video/x-raw")).unwrap_err();
        assert!(
            matches!(&error, MediaError::MissingElement { elements, .. } if elements == &["nosuchsrc"])
        );
        assert!(error.to_string().contains("front"), "{error}");
    }

    #[test]
    fn a_source_that_cannot_be_read_is_quoted() {
        let error = check(&config("videotestsrc pattern=nosuch")).unwrap_err();
        assert!(
            error.to_string().contains("gst-launch-1.0 videotestsrc pattern=nosuch"),
            "{error}"
        );
    }

    #[test]
    fn an_encoder_without_its_name_is_told_what_to_write() {
        let encoder = Some("x264enc tune=zerolatency".to_owned());
        let error = check(&CameraConfig { encoder, ..config("videotestsrc") }).unwrap_err();
        assert!(error.to_string().contains("x264enc name=enc tune=zerolatency"), "{error}");
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let error = check(&CameraConfig { fps: 0, ..config("videotestsrc") }).unwrap_err();
        assert_eq!(error.to_string(), "camera front: fps is 0, but must be 1 to 240");
        check(&config("videotestsrc")).unwrap();
    }

    #[test]
    fn the_bitrate_reaches_the_encoder_in_its_own_unit() {
        for (name, units) in [("x264enc", 1_200), ("openh264enc", 1_200_000)] {
            gst::init().unwrap();
            let config = CameraConfig { encoder: Some(name.to_owned()), ..config("videotestsrc") };
            let chosen = encoder::first_installed(&config).unwrap();
            let pipeline = build(&config, &chosen, 800, None).unwrap();
            assert!(pipeline.set_bitrate_kbps(1_200));
            assert_eq!(pipeline.encoder.property::<u32>("bitrate"), units);
        }
    }
}
