//! Drives in a real Firefox as Debian has it: without H.264, so the robot sends VP8 and records H.264 all the same.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use serde_json::{Value, json};
use system_tests::Rig;
use xtask::browser::{self, Browser, Drive};
use xtask::{demo, setup};

/// Whether there is a Firefox; says so loudly when there is none, and fails where there must be one.
fn has_firefox() -> bool {
    let Err(why) = setup::firefox() else { return true };
    let skipped = format!("SKIPPED, NOTHING WAS TESTED: {why}");
    assert!(std::env::var_os("CI").is_none(), "{skipped}");
    xtask::progress(&skipped);
    false
}

#[test]
fn a_mission_is_driven_in_firefox_which_is_sent_vp8() {
    if !has_firefox() {
        return;
    }
    let mut rig = Rig::start("firefox").unwrap();
    let (mission, join) = (rig.mission.clone(), rig.stack.invite_pilot().unwrap());
    let screenshots = rig.data().join("screenshots");
    let summary =
        demo::headless(&mut rig.stack, &mission, &join, Some(&screenshots), Browser::Firefox)
            .unwrap();
    // Verified, paid, and exported as the pictures of H.264 that a data set is made of.
    demo::failures(&summary).unwrap();
    let pilot = &summary["pilot"];
    assert_eq!(pilot["codec"], "VP8", "{pilot}");
    assert_eq!(pilot["console_errors"], json!([]), "the page wrote errors");
    assert!(pilot["loop_samples"].as_u64().unwrap() > 200, "{pilot}");
    xtask::progress(&format!(
        "Firefox: first picture after {} ms, picture's age {} ms in the middle, {} ms at worst of a hundred",
        pilot["first_frame_ms"], pilot["loop_ms_p50"], pilot["loop_ms_p99"]
    ));
}

/// Turns on the spot, in a Chromium that does not say which picture it shows; gives the report.
fn turn_without_frame_callback(rig: &Rig) -> Value {
    let join = rig.stack.invite_pilot().unwrap();
    let more = ["--turn", "6", "--plain-frames"];
    let drive = Drive { join_url: &join, mission: &rig.mission, more: &more, ..Drive::default() };
    browser::finish(browser::start(&drive).unwrap()).unwrap()
}

#[test]
fn a_browser_that_does_not_tell_its_pictures_drives_and_never_claims_one_that_is_not_on_the_screen()
{
    let rig = Rig::start_with("plain-frames", &["--no-people"]).unwrap();
    let report = turn_without_frame_callback(&rig);
    judge(&report, "H264");
}

fn judge(report: &Value, codec: &str) {
    assert_eq!((&report["codec"], &report["console_errors"]), (&json!(codec), &json!([])));
    let frames = &report["frames"];
    xtask::progress(&format!("what the page says of its pictures, {codec}: {frames}"));
    let number = |key: &str| frames[key].as_f64().unwrap();
    assert!(number("said") > 200.0 && number("stamps") > 100.0, "{frames}");
    assert!(
        number("early").abs() < 0.5,
        "it claimed pictures that were not on the screen: {frames}"
    );
    assert!(number("late_ms_p50") < 60.0, "{frames}");
    // The robot moved by it: what it thinks of the pictures' age lets it.
    assert!(report["loop_samples"].as_u64().unwrap() > 60, "{report}");
}
