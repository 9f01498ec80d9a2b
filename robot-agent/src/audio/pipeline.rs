//! The two pipelines, and whether they can be built.

use crate::config;
use crate::link::AUDIO_PAYLOAD_TYPE;
use crate::media::parse;
use gstreamer as gst;
use gstreamer::prelude::*;
use std::fmt;
use std::time::Duration;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    Microphone,
    Loudspeaker,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Microphone => "the microphone",
            Self::Loudspeaker => "the loudspeaker",
        })
    }
}

/// From the microphone to packets of Opus; mono, as a voice is.
pub(super) fn microphone_text(source: &str, bitrate_kbps: u32) -> String {
    format!(
        "{source} ! audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate=48000,channels=1 \
         ! queue leaky=downstream max-size-time=100000000 max-size-buffers=0 max-size-bytes=0 \
         ! opusenc bitrate={} frame-size=20 audio-type=voice inband-fec=true packet-loss-percentage=10 complexity=5 \
         ! appsink name=sink sync=false max-buffers=10 drop=true",
        bitrate_kbps.saturating_mul(1_000)
    )
}

/// From packets of Opus to the loudspeaker.
pub(super) fn loudspeaker_text(sink: &str, jitter_ms: u32) -> String {
    format!(
        "appsrc name=source is-live=true do-timestamp=true format=time block=false max-bytes=65536 leaky-type=downstream \
         caps=application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,payload={AUDIO_PAYLOAD_TYPE} \
         ! rtpjitterbuffer latency={jitter_ms} do-lost=true drop-on-latency=true ! rtpopusdepay \
         ! opusdec use-inband-fec=true plc=true ! audioconvert ! audioresample ! {sink}"
    )
}

/// Builds a pipeline, or says which element is missing or what else is wrong.
pub(super) fn build(text: &str) -> Result<gst::Pipeline, String> {
    gst::init().map_err(|error| error.to_string())?;
    let (parsed, missing) = parse(text);
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(format!(
            "GStreamer has no {missing}: apt-get install gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
             gstreamer1.0-alsa gstreamer1.0-pulseaudio, or name another element"
        ));
    }
    let parsed = parsed.map_err(|error| error.to_string())?;
    parsed.downcast::<gst::Pipeline>().map_err(|_other| "it is not a pipeline".to_owned())
}

fn text(device: Device, config: &config::Audio) -> Option<String> {
    match device {
        Device::Microphone => {
            Some(microphone_text(config.microphone.as_ref()?, config.bitrate_kbps))
        }
        Device::Loudspeaker => {
            Some(loudspeaker_text(config.loudspeaker.as_ref()?, config.jitter_ms))
        }
    }
}

/// Whether a device's pipeline can be built; none when the configuration has none. Opens nothing.
pub(crate) fn check(device: Device, config: &config::Audio) -> Option<Result<(), String>> {
    text(device, config).map(|text| build(&text).map(|_pipeline| ()))
}

/// What a pipeline complains about, when it does.
pub(super) fn complaint(bus: &gst::Bus, within: Duration) -> Option<String> {
    let within = gst::ClockTime::try_from(within).unwrap_or(gst::ClockTime::ZERO);
    let of = [gst::MessageType::Error, gst::MessageType::Eos];
    match bus.timed_pop_filtered(within, &of)?.view() {
        gst::MessageView::Error(error) => Some(error.error().to_string()),
        _ => Some("it has ended".to_owned()),
    }
}

/// Opens a device without a sound, and closes it again.
pub(crate) fn opens(device: Device, config: &config::Audio) -> Result<(), String> {
    let pipeline = build(&text(device, config).ok_or("it is not configured")?)?;
    let opened = pipeline.set_state(gst::State::Ready);
    let why = pipeline.bus().and_then(|bus| complaint(&bus, Duration::ZERO));
    // Nothing else can be done about one that does not close.
    pipeline.set_state(gst::State::Null).map(|_closed| ()).unwrap_or_default();
    opened.map(|_opened| ()).map_err(|error| why.unwrap_or_else(|| error.to_string()))
}

/// Listens to the microphone for a moment: how loud the loudest tenth of a second was, dB below full scale.
pub(crate) fn level_dbfs(config: &config::Audio, within: Duration) -> Result<f64, String> {
    let source = config.microphone.as_ref().ok_or("it is not configured")?;
    let text =
        format!("{source} ! audioconvert ! level interval=100000000 post-messages=true ! fakesink");
    let pipeline = build(&text)?;
    let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
    let begun = std::time::Instant::now();
    let started = pipeline.set_state(gst::State::Playing);
    let mut loudest: Option<f64> = None;
    let outcome = loop {
        let left = within.saturating_sub(begun.elapsed());
        if left.is_zero() {
            break loudest.ok_or_else(|| "no sound comes, not even silence".to_owned());
        }
        let left = gst::ClockTime::try_from(left).unwrap_or(gst::ClockTime::ZERO);
        let of = [gst::MessageType::Error, gst::MessageType::Eos, gst::MessageType::Element];
        let Some(message) = bus.timed_pop_filtered(left, &of) else { continue };
        match message.view() {
            gst::MessageView::Error(error) => break Err(error.error().to_string()),
            gst::MessageView::Element(element) => {
                let level = element.structure().and_then(peak);
                loudest = level.into_iter().chain(loudest).reduce(f64::max);
            }
            _ => break loudest.ok_or_else(|| "it has ended".to_owned()),
        }
        if let Err(error) = started {
            break Err(error.to_string());
        }
    };
    pipeline.set_state(gst::State::Null).map(|_closed| ()).unwrap_or_default();
    outcome
}

/// The loudest channel of a message of `level`.
fn peak(level: &gst::StructureRef) -> Option<f64> {
    let channels = level.get::<gst::glib::ValueArray>("peak").ok()?;
    channels.iter().filter_map(|value| value.get::<f64>().ok()).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(microphone: &str, loudspeaker: &str) -> config::Audio {
        config::Audio {
            microphone: Some(microphone.to_owned()),
            loudspeaker: Some(loudspeaker.to_owned()),
            ..config::Audio::default()
        }
    }

    #[test]
    fn what_is_missing_is_named_and_what_is_not_configured_is_not_there() {
        let wrong = config("nosuchsrc", "nosuchsink");
        for (device, element) in
            [(Device::Microphone, "nosuchsrc"), (Device::Loudspeaker, "nosuchsink")]
        {
            let why = check(device, &wrong).unwrap().unwrap_err();
            assert!(why.contains(element) && why.contains("apt-get"), "{why}");
            assert_eq!(check(device, &config::Audio::default()), None);
        }
        let right = config("audiotestsrc is-live=true", "fakesink");
        assert_eq!(check(Device::Microphone, &right), Some(Ok(())));
        assert_eq!(opens(Device::Loudspeaker, &right), Ok(()));
        let gone = config("filesrc location=/no/such", "filesink location=/no/such/folder/file");
        assert!(opens(Device::Loudspeaker, &gone).is_err());
    }

    #[test]
    fn the_microphone_is_heard() {
        let of = |source: &str| level_dbfs(&config(source, "fakesink"), Duration::from_millis(700));
        let loud = of("audiotestsrc is-live=true volume=0.5").unwrap();
        assert!((-7.0..-5.0).contains(&loud), "{loud}");
        assert!(of("audiotestsrc is-live=true wave=silence").unwrap() < -60.0);
        assert!(of("audiotestsrc is-live=true ! identity drop-probability=1.0").is_err());
    }
}
