//! A crash at any point: the episode is recovered, says what was lost, and verifies.
#![allow(clippy::unwrap_used, reason = "helpers of tests may, as tests do")]

mod common;

use common::{World, copy_dir, noise_frames};
use episode::{Options, layout, recover, seal, verify};
use proptest::prelude::*;
use protocol::units::WallMs;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::OnceLock;

struct Open {
    world: World,
    folder: tempfile::TempDir,
}

/// A folder as it is just before sealing: recordings finished, `episode.open.json` there.
fn open_episode() -> &'static Open {
    static OPEN: OnceLock<Open> = OnceLock::new();
    OPEN.get_or_init(|| {
        let world = World::new(5);
        let folder = tempfile::tempdir().unwrap();
        let frames = noise_frames(3, 30, 2_000);
        world.record(&folder.path().join("episode"), 3, &[("front", frames)]).finish().unwrap();
        Open { world, folder }
    })
}

fn recover_and_verify(dir: &Path) -> episode::Report {
    let open = open_episode();
    let loss = recover(dir).unwrap().expect("it is open");
    let mut ending = open.world.ending(episode::Recorded::default());
    ending.why = "crashed".into();
    ending.at = WallMs(ending.at.0 + 1);
    let sealed = seal(dir, ending, &open.world.robot).unwrap();
    assert_eq!(sealed.manifest.loss.as_ref(), Some(&loss));
    let options = Options {
        robot_did: Some(open.world.robot.did()),
        fleet_did: Some(open.world.fleet.did()),
    };
    let report = verify(dir, &options);
    assert!(report.verified, "{report}");
    report
}

fn cut_and_recover(name: &str, keep: u64) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("episode");
    copy_dir(&open_episode().folder.path().join("episode"), &dir);
    let path = dir.join(name);
    let size = fs::metadata(&path).unwrap().len();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(keep).unwrap();
    let report = recover_and_verify(&dir);
    let loss = report.episode.unwrap().loss.unwrap();
    if keep < size {
        assert_eq!(loss.files.len(), 1, "{loss:?}");
        assert_eq!(loss.files[0].name, name);
        assert!(loss.files[0].bytes_lost <= keep);
    } else {
        assert_eq!(loss.files, []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_cut_at_any_byte_is_recovered(part in 0.0..1.0_f64, camera in any::<bool>()) {
        let name = if camera { "camera_front.mcap" } else { layout::TELEMETRY };
        let size = fs::metadata(open_episode().folder.path().join("episode").join(name)).unwrap().len();
        cut_and_recover(name, (part * size as f64) as u64);
    }
}

#[test]
fn cuts_at_the_edges_are_recovered() {
    for name in ["camera_front.mcap", layout::TELEMETRY] {
        let path = open_episode().folder.path().join("episode").join(name);
        let size = fs::metadata(path).unwrap().len();
        for keep in [0, 1, 7, 8, 9, 20, size - 40, size - 9, size - 8, size - 1, size] {
            cut_and_recover(name, keep);
        }
    }
}

#[test]
fn what_was_synced_before_the_crash_is_kept() {
    let world = World::new(6);
    let folder = tempfile::tempdir().unwrap();
    let (live, dir) = (folder.path().join("live"), folder.path().join("crashed"));
    let recorder = world.record(&live, 4, &[("front", noise_frames(4, 30, 2_000))]);
    // The files as a killed process leaves them.
    copy_dir(&live, &dir);
    drop(recorder);
    let report = recover_and_verify(&dir);
    let summary = report.summary.unwrap();
    assert!(summary.duration_s > 3.9, "{summary:?}");
    let loss = report.episode.unwrap().loss.unwrap();
    assert_eq!(loss.files.len(), 2);
    assert!(loss.files.iter().all(|file| file.messages_lost.is_none()), "{loss:?}");
}

#[test]
fn a_hole_of_zeros_ends_the_readable_part() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("episode");
    copy_dir(&open_episode().folder.path().join("episode"), &dir);
    let path = dir.join("camera_front.mcap");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0);
    fs::write(&path, bytes).unwrap();
    let report = recover_and_verify(&dir);
    assert_eq!(report.episode.unwrap().loss.unwrap().files.len(), 1);
}

#[test]
fn recovery_and_sealing_can_be_repeated_after_a_crash_in_between() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("episode");
    copy_dir(&open_episode().folder.path().join("episode"), &dir);
    let path = dir.join(layout::TELEMETRY);
    OpenOptions::new().write(true).open(&path).unwrap().set_len(3_000).unwrap();
    let first = recover(&dir).unwrap().unwrap();
    assert_eq!(first.files.len(), 1);
    // The file is whole now, its declaration stays.
    fs::write(dir.join("telemetry.mcap.part"), "left over").unwrap();
    assert_eq!(recover(&dir).unwrap().unwrap(), first);
    let open_json = fs::read(dir.join(layout::OPEN)).unwrap();
    recover_and_verify(&dir);
    assert_eq!(recover(&dir).unwrap(), None);
    // A crash between writing the manifest and removing the open file.
    fs::write(dir.join(layout::OPEN), open_json).unwrap();
    assert_eq!(recover(&dir).unwrap(), None);
    assert!(verify(&dir, &Options::default()).verified);
}
