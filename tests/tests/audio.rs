//! A pilot listens to the people around the robot and talks to them, in a real browser.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use episode::layout::{TELEMETRY, topic};
use episode::read::Reader;
use episode::{Options as VerifyOptions, verify};
use ros_msgs::longrein_msgs::Event;
use std::path::Path;
use system_tests::Rig;
use xtask::rig::fresh;
use xtask::stack::Options;

/// Samples of a WAV file of 16 bits, of one channel, with their rate.
fn samples(path: &Path) -> (Vec<f64>, usize) {
    let bytes = std::fs::read(path).unwrap();
    let number = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let (channels, rate, bits) = (number(22), number(24) | number(26) << 16, number(34));
    assert_eq!((&bytes[..4], bits), (b"RIFF".as_slice(), 16));
    let data = bytes.windows(4).position(|four| four == b"data").unwrap() + 8;
    let frames = bytes[data..].chunks_exact(2 * channels);
    (frames.map(|f| f64::from(i16::from_le_bytes([f[0], f[1]])) / 32_768.0).collect(), rate)
}

/// What the episode says about who listened and talked, in order.
fn told(dir: &Path) -> Vec<(String, String)> {
    let mut telemetry = Reader::open(&dir.join(TELEMETRY)).unwrap();
    let mut told = Vec::new();
    while let Some(message) = telemetry.next().unwrap() {
        if message.channel.topic == topic::EVENT {
            let event: Event = message.decode().unwrap();
            if ["listen", "talk"].contains(&event.code.as_str()) {
                told.push((event.code, event.json));
            }
        }
    }
    told
}

#[test]
fn a_pilot_hears_the_street_and_is_heard_only_while_it_holds_its_button() {
    let mut options = fresh("audio").unwrap();
    let wav = options.loudspeaker_wav();
    options.robot_toml = options.audio_toml();
    let rig =
        Rig::start_on(Options { sim_args: vec!["--no-people".to_owned()], ..options }).unwrap();
    let drove = rig.drive(&["--talk"]).unwrap();
    let sound = &drove["sound"];
    let number = |pointer: &str| sound.pointer(pointer).unwrap().as_f64().unwrap();
    assert!(number("/before/db") < -90.0, "silence until the pilot wants to hear: {sound}");
    assert!(number("/heard/db") > -60.0, "{sound}");
    assert!((number("/heard/hz") - 440.0).abs() < 15.0, "the very tone: {sound}");
    // What a browser puts in the place of sound that no longer comes is not quite silence.
    let fell = number("/heard/db") - number("/after/db");
    assert!(fell > 25.0, "silence when it wants no more: {sound}");
    assert_eq!(sound["state"], "driving", "it drove while it talked: {sound}");
    assert_eq!(drove["console_errors"], serde_json::json!([]), "the page wrote errors");

    // What came out of the loudspeaker is what was said while the button was held, and nothing more.
    let (samples, rate) = samples(&wav);
    let seconds = samples.len() as f64 / rate as f64;
    let held = number("/talked_ms") / 1_000.0;
    assert!((held - 1.2..held + 0.8).contains(&seconds), "{seconds} s of {held} s");
    let loudest = samples.iter().copied().fold(0.0, f64::max);
    assert!(loudest > 0.01, "the browser's microphone beeps: {loudest}");

    let dir = rig.data().join("fleet/episodes").join(drove["episode"].as_str().unwrap());
    let report = verify(&dir, &VerifyOptions::default());
    assert!(report.verified, "{report}");
    let told = told(&dir);
    let said = |code: &str, active| (code.to_owned(), format!("{{\"active\":{active}}}"));
    let wanted =
        [said("listen", true), said("listen", false), said("talk", true), said("talk", false)];
    assert_eq!(told, wanted);
}
