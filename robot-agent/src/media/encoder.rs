//! The ladder of H.264 encoders: what is there is tried, best first, on real frames, and the first that works is taken.
//!
//! Hardware first, for it leaves the processor to the rest. That an element is installed says little: its driver may
//! be missing, its device busy, its output wrong. So a rung counts when it has encoded a dozen frames into
//! decodable pictures.

use super::{CameraConfig, MediaError};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Seconds between keyframes when nobody asks for one: a recording can be cut and repaired there.
const KEYFRAME_EVERY_S: u32 = 2;
/// Frames that an encoder is tried on.
const PROBE_FRAMES: u32 = 12;
/// An encoder that takes longer for them hangs.
const PROBE_WITHIN: Duration = Duration::from_secs(4);

/// How the bitrate of a running encoder is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bitrate {
    /// By its property `bitrate`, with so many bits per second in one unit.
    Property(u32),
    /// By a control of the V4L2 device.
    Controls,
    /// Not at all: an encoder of the configuration.
    Fixed,
}

/// One rung.
struct Rung {
    element: &'static str,
    /// What it runs on, for people.
    kind: &'static str,
    /// What stands before it, to bring frames where it takes them.
    before: &'static str,
    /// Properties as pairs. A hardware encoder's that its version does not know are left out.
    properties: &'static [(&'static str, &'static str)],
    /// What stands after it.
    after: &'static str,
    bitrate: Bitrate,
}

/// Baseline is what some hardware calls its constrained baseline; parameter sets before each keyframe, whatever the
/// encoder does by itself.
const HARDWARE_AFTER: &str =
    "video/x-h264,profile=(string){constrained-baseline,baseline} ! h264parse config-interval=-1";

const LADDER: &[Rung] = &[
    Rung {
        element: "nvv4l2h264enc",
        kind: "Jetson",
        before: "nvvidconv ! video/x-raw(memory:NVMM),format=NV12",
        properties: &[
            ("bitrate", "{bps}"),
            ("iframeinterval", "{interval}"),
            ("idrinterval", "{interval}"),
            ("insert-sps-pps", "true"),
            ("maxperf-enable", "true"),
            ("preset-level", "1"),
            ("num-B-Frames", "0"),
            ("poc-type", "2"),
        ],
        after: HARDWARE_AFTER,
        bitrate: Bitrate::Property(1),
    },
    Rung {
        element: "nvh264enc",
        kind: "NVENC",
        before: "",
        properties: &[
            ("bitrate", "{kbps}"),
            ("gop-size", "{interval}"),
            ("zerolatency", "true"),
            ("bframes", "0"),
            ("rc-mode", "cbr"),
        ],
        after: HARDWARE_AFTER,
        bitrate: Bitrate::Property(1_000),
    },
    Rung {
        element: "vah264enc",
        kind: "VA-API",
        before: "videoconvert ! video/x-raw,format=NV12",
        properties: &[
            ("bitrate", "{kbps}"),
            ("key-int-max", "{interval}"),
            ("b-frames", "0"),
            ("ref-frames", "1"),
            ("rate-control", "cbr"),
        ],
        after: HARDWARE_AFTER,
        bitrate: Bitrate::Property(1_000),
    },
    Rung {
        element: "vaapih264enc",
        kind: "VA-API",
        before: "videoconvert ! video/x-raw,format=NV12",
        properties: &[
            ("bitrate", "{kbps}"),
            ("keyframe-period", "{interval}"),
            ("max-bframes", "0"),
            ("rate-control", "cbr"),
        ],
        after: HARDWARE_AFTER,
        bitrate: Bitrate::Property(1_000),
    },
    Rung {
        element: "v4l2h264enc",
        kind: "V4L2",
        before: "",
        properties: &[(
            "extra-controls",
            "\"controls,video_bitrate={bps},h264_i_frame_period={interval},repeat_sequence_header=1\"",
        )],
        // A Raspberry Pi's driver gives nothing without a level.
        after: "video/x-h264,level=(string)4,profile=(string){constrained-baseline,baseline} \
                ! h264parse config-interval=-1",
        bitrate: Bitrate::Controls,
    },
    Rung {
        element: "x264enc",
        kind: "processor",
        before: "",
        properties: &[
            ("tune", "zerolatency"),
            ("speed-preset", "ultrafast"),
            ("bframes", "0"),
            ("threads", "1"),
            ("vbv-buf-capacity", "{buffer_ms}"),
            ("bitrate", "{kbps}"),
            ("key-int-max", "{interval}"),
        ],
        after: "",
        bitrate: Bitrate::Property(1_000),
    },
    Rung {
        element: "openh264enc",
        kind: "processor",
        before: "",
        properties: &[
            ("usage-type", "camera"),
            ("complexity", "low"),
            ("rate-control", "bitrate"),
            ("multi-thread", "1"),
            ("bitrate", "{bps}"),
            ("gop-size", "{interval}"),
        ],
        after: "",
        bitrate: Bitrate::Property(1),
    },
];

/// The encoder that a camera uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Its element, or the text of the configuration.
    pub(super) name: String,
    rung: Option<usize>,
    /// Mean time for one frame when it was tried, microseconds.
    pub(super) frame_us: Option<u64>,
}

/// What one encode is set to.
#[derive(Debug, Clone, Copy)]
struct Settings {
    bitrate_kbps: u32,
    /// Most frames from one keyframe to the next.
    interval: u32,
    /// How long the bitrate may be exceeded, where an encoder can be told.
    buffer_ms: u32,
}

impl Settings {
    /// Keyframes are small and even: nothing on the way may have to queue.
    const fn live(config: &CameraConfig, bitrate_kbps: u32) -> Self {
        let interval = config.fps.saturating_mul(KEYFRAME_EVERY_S);
        Self { bitrate_kbps, interval, buffer_ms: 200 }
    }

    /// A disk takes bursts. Keyframes are forced by time; the interval is for an encoder that can't be.
    fn recording(config: &CameraConfig) -> Self {
        let recording = &config.recording;
        Self {
            bitrate_kbps: recording.bitrate_kbps.unwrap_or(config.bitrate_kbps),
            interval: config.fps.saturating_mul(recording.keyframe_every_s).saturating_mul(2),
            buffer_ms: 1_000,
        }
    }
}

/// What became of one rung.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The element is not installed.
    NotInstalled,
    /// It is installed and does not work here: why.
    Fails(String),
    /// It works.
    Works {
        /// Mean time for one frame, microseconds.
        frame_us: u64,
    },
}

/// One rung of the ladder, tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The element.
    pub element: &'static str,
    /// What it runs on: `Jetson`, `NVENC`, `VA-API`, `V4L2` or `processor`.
    pub kind: &'static str,
    /// What became of it.
    pub outcome: Outcome,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled => f.write_str("not installed"),
            Self::Fails(why) => write!(f, "fails: {why}"),
            Self::Works { frame_us } => {
                write!(f, "works, {}.{} ms a frame", frame_us / 1_000, frame_us % 1_000 / 100)
            }
        }
    }
}

/// The names of all rungs, best first.
pub fn names() -> Vec<&'static str> {
    LADDER.iter().map(|rung| rung.element).collect()
}

/// Tries every rung with frames of a camera's size; for `doctor`, which tells of all.
pub fn try_all(config: &CameraConfig) -> Vec<Tried> {
    let tried = LADDER.iter().map(|rung| {
        let outcome = if is_installed(rung) { probe(rung, config) } else { Outcome::NotInstalled };
        Tried { element: rung.element, kind: rung.kind, outcome }
    });
    tried.collect()
}

/// The first rung that works for a camera, but for those in `failed`; a pinned one as it is.
pub(super) fn choose(config: &CameraConfig, failed: &[String]) -> Result<Chosen, MediaError> {
    if let Some(own) = &config.encoder {
        let rung = LADDER.iter().position(|rung| rung.element == own);
        return Ok(Chosen { name: own.clone(), rung, frame_us: None });
    }
    let installed = || LADDER.iter().enumerate().filter(|(_, rung)| is_installed(rung));
    for (number, rung) in installed() {
        if failed.iter().any(|name| name == rung.element) {
            continue;
        }
        let name = rung.element.to_owned();
        match probe(rung, config) {
            Outcome::Works { frame_us } => {
                let (camera, encoder) = (&config.name, &name);
                tracing::info!(camera, encoder, frame_us, "encoder chosen");
                return Ok(Chosen { name, rung: Some(number), frame_us: Some(frame_us) });
            }
            outcome => {
                tracing::warn!(camera = config.name, encoder = name, %outcome, "the next encoder is tried");
            }
        }
    }
    if installed().next().is_none() {
        return Err(MediaError::NoEncoder { camera: config.name.clone() });
    }
    Err(MediaError::Stopped {
        camera: config.name.clone(),
        why: "no installed encoder works here; `robot-agent doctor` tells of each".to_owned(),
    })
}

/// The first rung that is installed, untried: enough to see whether a camera's source can be read.
pub(super) fn first_installed(config: &CameraConfig) -> Result<Chosen, MediaError> {
    if let Some(own) = &config.encoder {
        let rung = LADDER.iter().position(|rung| rung.element == own);
        return Ok(Chosen { name: own.clone(), rung, frame_us: None });
    }
    let first = LADDER.iter().enumerate().find(|(_, rung)| is_installed(rung));
    let (number, rung) =
        first.ok_or_else(|| MediaError::NoEncoder { camera: config.name.clone() })?;
    Ok(Chosen { name: rung.element.to_owned(), rung: Some(number), frame_us: None })
}

fn is_installed(rung: &Rung) -> bool {
    gst::ElementFactory::find(rung.element).is_some()
}

impl Chosen {
    fn known(&self) -> Option<&'static Rung> {
        LADDER.get(self.rung?)
    }

    /// The part of a pipeline that encodes; its element is named `enc`.
    pub(super) fn text(&self, config: &CameraConfig, bitrate_kbps: u32) -> String {
        match self.known() {
            Some(rung) => text(rung, Settings::live(config, bitrate_kbps)),
            None => self.own_text(),
        }
    }

    /// The same for the encode of the recording.
    pub(super) fn recording_text(&self, config: &CameraConfig) -> String {
        match self.known() {
            Some(rung) => text(rung, Settings::recording(config)),
            None => self.own_text(),
        }
    }

    fn own_text(&self) -> String {
        format!("{} ! h264parse config-interval=-1", self.name)
    }

    /// Whether it leaves the processor to the rest.
    pub(super) fn is_hardware(&self) -> bool {
        self.known().is_some_and(|rung| rung.kind != "processor")
    }

    /// Whether its bitrate is what its own text says.
    pub(super) fn is_fixed(&self) -> bool {
        self.known().is_none()
    }

    /// The profile that its stream is asked for.
    pub(super) fn profile(&self) -> &'static str {
        match self.known() {
            Some(rung) if !rung.after.is_empty() => "(string){constrained-baseline,baseline}",
            _ => "constrained-baseline",
        }
    }

    pub(super) fn bitrate(&self) -> Bitrate {
        self.known().map_or(Bitrate::Fixed, |rung| rung.bitrate)
    }
}

fn text(rung: &Rung, settings: Settings) -> String {
    let Settings { bitrate_kbps, interval, buffer_ms } = settings;
    let mut text = String::new();
    if !rung.before.is_empty() {
        text += &format!("{} ! ", rung.before);
    }
    text += &format!("{} name=enc", rung.element);
    let element = gst::ElementFactory::make(rung.element).build().ok();
    for (name, value) in rung.properties {
        let known = element.as_ref().is_none_or(|element| element.find_property(name).is_some());
        if known {
            text += &format!(" {name}={value}");
        }
    }
    if !rung.after.is_empty() {
        text += &format!(" ! {}", rung.after);
    }
    text.replace("{kbps}", &bitrate_kbps.to_string())
        .replace("{bps}", &bitrate_kbps.saturating_mul(1_000).to_string())
        .replace("{interval}", &interval.to_string())
        .replace("{buffer_ms}", &buffer_ms.to_string())
}

/// Changes the bitrate of a running encoder. `false` if nobody knows how.
pub(super) fn set_bitrate(encoder: &gst::Element, bitrate: Bitrate, kbps: u32) -> bool {
    let bps = kbps.saturating_mul(1_000);
    match bitrate {
        Bitrate::Fixed => false,
        Bitrate::Property(bits_per_unit) => {
            if encoder.find_property("bitrate").is_none() {
                return false;
            }
            encoder.set_property_from_str("bitrate", &(bps / bits_per_unit).to_string());
            true
        }
        Bitrate::Controls => {
            let Ok(bps) = i32::try_from(bps) else { return false };
            let controls = gst::Structure::builder("controls").field("video_bitrate", bps).build();
            encoder.set_property("extra-controls", controls);
            true
        }
    }
}

/// Encodes real frames of the camera's size. The work is done on a thread of its own: one that a driver holds is left
/// behind.
fn probe(rung: &'static Rung, config: &CameraConfig) -> Outcome {
    let config = config.clone();
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let probing = std::thread::Builder::new().name("encoder-probe".to_owned()).spawn(move || {
        // Nobody listens any more when it took too long.
        tell.send(encode_some(rung, &config)).unwrap_or_default();
    });
    if let Err(error) = probing {
        return Outcome::Fails(format!("no thread to try it on: {error}"));
    }
    let within = PROBE_WITHIN + Duration::from_secs(1);
    match told.recv_timeout(within) {
        Ok(Ok(frame_us)) => Outcome::Works { frame_us },
        Ok(Err(why)) => Outcome::Fails(why),
        Err(_nothing) => Outcome::Fails(format!("hangs: nothing within {} s", within.as_secs())),
    }
}

/// Mean time for one frame, microseconds.
fn encode_some(rung: &Rung, config: &CameraConfig) -> Result<u64, String> {
    let CameraConfig { width, height, fps, bitrate_kbps, .. } = config;
    let text = format!(
        "videotestsrc num-buffers={PROBE_FRAMES} pattern=ball ! video/x-raw,format=I420,width={width},\
         height={height},framerate={fps}/1 ! {} ! video/x-h264,stream-format=byte-stream,alignment=au \
         ! appsink name=sink sync=false",
        text(rung, Settings::live(config, *bitrate_kbps))
    );
    let pipeline = gst::parse::launch(&text)
        .map_err(|error| error.to_string())?
        .downcast::<gst::Pipeline>()
        .map_err(|_other| "it is no pipeline".to_owned())?;
    let outcome = time_frames(&pipeline);
    if pipeline.set_state(gst::State::Null).is_err() {
        tracing::debug!(encoder = rung.element, "closing the trial");
    }
    outcome
}

fn time_frames(pipeline: &gst::Pipeline) -> Result<u64, String> {
    let sink = pipeline.by_name("sink").and_then(|sink| sink.downcast::<AppSink>().ok());
    let entry = pipeline.by_name("enc").and_then(|encoder| encoder.static_pad("sink"));
    let (Some(sink), Some(entry)) = (sink, entry) else { return Err("it has no pads".to_owned()) };
    let entered: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let inputs = Arc::clone(&entered);
    entry.add_probe(gst::PadProbeType::BUFFER, move |_pad, _info| {
        inputs.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        gst::PadProbeReturn::Ok
    });
    let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
    let complaint = || {
        let message = bus.timed_pop_filtered(gst::ClockTime::ZERO, &[gst::MessageType::Error]);
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => error.error().to_string(),
            _ => format!("fewer than {PROBE_FRAMES} frames came"),
        }
    };
    if pipeline.set_state(gst::State::Playing).is_err() {
        return Err(complaint());
    }
    let (begun, mut spent) = (Instant::now(), Duration::ZERO);
    for number in 0..PROBE_FRAMES {
        let left = PROBE_WITHIN.saturating_sub(begun.elapsed());
        let left = gst::ClockTime::try_from(left).unwrap_or(gst::ClockTime::ZERO);
        let sample = sink.try_pull_sample(left).ok_or_else(&complaint)?;
        let buffer = sample.buffer().ok_or("an empty sample came")?;
        if number == 0 && buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
            return Err("its first picture is no keyframe".to_owned());
        }
        let entered = entered.lock().unwrap_or_else(PoisonError::into_inner);
        let index = usize::try_from(number).unwrap_or(0);
        spent += entered.get(index).map_or(Duration::ZERO, Instant::elapsed);
    }
    Ok(u64::try_from(spent.as_micros()).unwrap_or(u64::MAX) / u64::from(PROBE_FRAMES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(encoder: Option<&str>) -> CameraConfig {
        CameraConfig {
            camera: 0,
            name: "front".to_owned(),
            source: "videotestsrc".into(),
            width: 320,
            height: 240,
            fps: 30,
            bitrate_kbps: 500,
            encoder: encoder.map(ToOwned::to_owned),
            recording: Default::default(),
        }
    }

    #[test]
    fn the_first_that_really_encodes_is_taken_and_the_next_when_it_fails_later() {
        gst::init().unwrap();
        let tried = try_all(&config(None));
        let works = |tried: &Tried| matches!(tried.outcome, Outcome::Works { .. });
        let first = tried.iter().find(|tried| works(tried)).unwrap().element;
        let chosen = choose(&config(None), &[]).unwrap();
        assert_eq!(chosen.name, first);
        let next = choose(&config(None), &[first.to_owned()]).unwrap();
        assert_ne!(next.name, first);
        let all: Vec<String> = names().into_iter().map(ToOwned::to_owned).collect();
        assert!(choose(&config(None), &all).unwrap_err().to_string().contains("doctor"));
    }

    #[test]
    fn what_is_pinned_is_taken_untried() {
        gst::init().unwrap();
        let chosen = choose(&config(Some("openh264enc")), &[]).unwrap();
        assert_eq!(chosen.bitrate(), Bitrate::Property(1));
        assert!(chosen.text(&config(None), 800).contains("bitrate=800000"));
        let own = choose(&config(Some("x265enc name=enc")), &[]).unwrap();
        assert_eq!(own.bitrate(), Bitrate::Fixed);
        assert!(own.text(&config(None), 800).starts_with("x265enc name=enc ! h264parse"));
    }

    #[test]
    fn an_encoder_that_gives_no_decodable_start_does_not_work() {
        gst::init().unwrap();
        let broken = Rung {
            element: "identity",
            kind: "test",
            before: "",
            properties: &[],
            after: "",
            bitrate: Bitrate::Fixed,
        };
        let why = encode_some(&broken, &config(None)).unwrap_err();
        assert!(!why.is_empty());
        let unknown = Rung { element: "nosuchenc", ..broken };
        assert!(encode_some(&unknown, &config(None)).unwrap_err().contains("nosuchenc"));
    }
}
