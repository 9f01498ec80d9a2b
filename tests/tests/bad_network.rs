//! A real drive with a bad network between robot and browser: `netem`, without root.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use system_tests::{Rig, fresh, mono_ms, note_stop};
use xtask::netem::Between;
use xtask::process::wait_for;

/// How long nothing gets through.
const OUTAGE_MS: u64 = 3_000;

#[test]
fn through_an_outage_of_three_seconds_the_robot_stands_in_time_and_the_drive_goes_on() {
    let mut options = fresh("bad-network").unwrap();
    options.sim_args = vec!["--no-people".to_owned()];
    let between = Between::of(&mut options).unwrap();
    // The outage comes when the robot is at speed, not when the profile has it.
    let mut netem = between.start(&options, "outage-3s", 1).unwrap();
    let rig = Rig::start_on(options).unwrap();
    let mut pilot = rig.holding_pilot().unwrap();
    rig.wait_for_speed(1.0).unwrap();

    // Everything between the two goes through the relay: pictures one way, commands the other.
    let bytes =
        |account: &serde_json::Value, way: &str| account[way]["bytes_out"].as_u64().unwrap_or(0);
    wait_for("pictures and commands through the relay", 5, || {
        let account = netem.account().unwrap_or_default();
        Ok((bytes(&account, "to_driver") > 300_000 && bytes(&account, "to_robot") > 10_000)
            .then_some(()))
    })
    .unwrap();

    let cut_ms = netem.order(&format!("cut {OUTAGE_MS}")).unwrap();
    let stop = rig.stop_after(cut_ms).unwrap();
    note_stop("an outage of 3 s", stop).unwrap();
    assert!(stop.speed_mps > 0.9, "{stop:?}");
    // Nothing else reaches the robot: else it would not have stopped.
    assert!(stop.commanded_ms <= 300 && stop.at_rest_ms <= 1_000, "{stop:?}");

    // What was held up does not move it while the outage lasts, nor after it while W is still held.
    let after = rig.trace_of(cut_ms + stop.at_rest_ms, OUTAGE_MS + 2_000).unwrap();
    let fastest = after.iter().map(|line| line.speed_mps.abs()).fold(0.0, f64::max);
    assert!(fastest < 0.05, "it moved again at {fastest} m/s");

    // The same drive goes on once the pilot has let go of the keys, on the same lease and page.
    wait_for("the page's connection after the outage", 20, || {
        let last = pilot.told().last().cloned();
        Ok(last.filter(|told| told.reason.as_deref() == Some("rearm-needed")))
    })
    .unwrap();
    pilot.hold("").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    pilot.hold("KeyW").unwrap();
    let again_ms = mono_ms();
    rig.wait_for_speed(1.0).unwrap();
    xtask::progress(&format!("at speed again {} ms after the keys", mono_ms() - again_ms));
    drop(pilot);
    netem.stop().unwrap();
}
