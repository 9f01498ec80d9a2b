//! Microphone and loudspeaker: tried, and the devices that there are.

use super::identity::Agent;
use super::report::Check;
use crate::audio::{Device, check, level_dbfs, opens};
use crate::config;
use gstreamer as gst;
use gstreamer::prelude::*;
use std::time::Duration;

const AREA: &str = "audio";
/// How long the microphone is listened to.
const LISTEN: Duration = Duration::from_secs(2);
/// Below this a microphone is as good as switched off, dB below full scale.
const SILENCE_DBFS: f64 = -70.0;
/// So many devices are named.
const NAMED_MAX: usize = 8;

/// Checks what is configured; nothing where nothing is.
pub(super) fn audio(config: &config::Audio, agent: &Agent) -> Vec<Check> {
    let mut checks = Vec::new();
    for (device, name, class) in [
        (Device::Microphone, "microphone", "Audio/Source"),
        (Device::Loudspeaker, "loudspeaker", "Audio/Sink"),
    ] {
        let Some(built) = check(device, config) else { continue };
        let tried = match built {
            Err(why) => Check::failed(AREA, name, why, advice(name, config)),
            Ok(()) if agent.driven() => {
                Check::not_checked(AREA, name, "not opened while somebody drives")
            }
            Ok(()) => opened(device, name, config),
        };
        let devices = devices(class);
        let found = match devices.as_slice() {
            [] => format!("{}; GStreamer finds no device of its own", tried.found),
            names => format!("{}; there are {}", tried.found, names.join(", ")),
        };
        checks.push(Check { found, ..tried }.with("devices", devices));
    }
    checks
}

fn opened(device: Device, name: &str, config: &config::Audio) -> Check {
    match device {
        Device::Loudspeaker => match opens(device, config) {
            Ok(()) => Check::ok(AREA, name, "it opens"),
            Err(why) => Check::failed(AREA, name, why, advice(name, config)),
        },
        Device::Microphone => match level_dbfs(config, LISTEN) {
            Ok(level) if level < SILENCE_DBFS => {
                let found = format!("it is silent ({level:.0} dB)");
                let advice = "is it muted, or its level at zero? (alsamixer, wpctl status)";
                Check::warning(AREA, name, found, advice).with("level_dbfs", level)
            }
            Ok(level) => Check::ok(AREA, name, format!("it hears up to {level:.0} dB"))
                .with("level_dbfs", level),
            Err(why) => Check::failed(AREA, name, why, advice(name, config)),
        },
    }
}

fn advice(name: &str, config: &config::Audio) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    match name {
        "microphone" => {
            format!("try it alone: gst-launch-1.0 {} ! fakesink", text(&config.microphone))
        }
        _ => format!("try it alone: gst-launch-1.0 audiotestsrc ! {}", text(&config.loudspeaker)),
    }
}

/// The names of the devices that GStreamer's plug-ins find.
fn devices(class: &str) -> Vec<String> {
    if gst::init().is_err() {
        return Vec::new();
    }
    let monitor = gst::DeviceMonitor::new();
    monitor.add_filter(Some(class), None);
    monitor
        .devices()
        .iter()
        .map(|device| device.display_name().to_string())
        .take(NAMED_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;

    #[test]
    fn what_is_configured_is_tried_and_nothing_else() {
        let config = |microphone: Option<&str>, loudspeaker: Option<&str>| config::Audio {
            microphone: microphone.map(ToOwned::to_owned),
            loudspeaker: loudspeaker.map(ToOwned::to_owned),
            ..config::Audio::default()
        };
        let of = |config: &config::Audio| audio(config, &Agent::Absent);
        assert!(of(&config(None, None)).is_empty());
        let good = of(&config(Some("audiotestsrc is-live=true"), Some("fakesink")));
        assert!(good.iter().all(|check| check.verdict == Verdict::Ok), "{good:#?}");
        assert!(good[0].found.contains("dB"), "{good:#?}");
        let quiet = of(&config(Some("audiotestsrc is-live=true wave=silence"), None));
        assert_eq!(quiet[0].verdict, Verdict::Warning, "{quiet:#?}");
        let wrong = of(&config(Some("alsasrc device=hw:99"), Some("nosuchsink")));
        assert!(wrong.iter().all(|check| check.verdict == Verdict::Failed), "{wrong:#?}");
        assert!(wrong[0].advice.as_ref().unwrap().contains("gst-launch-1.0 alsasrc"));
    }
}
