//! What a verifier must accept and refuse.
#![allow(clippy::unwrap_used, reason = "helpers of tests may, as tests do")]

mod common;

use common::{World, copy_dir, noise_frames};
use episode::report::Outcome;
use episode::{Options, Report, layout, verify};
use protocol::keys::PrivateKey;
use ros_msgs::builtin_interfaces::Time;
use ros_msgs::longrein_msgs::Event;
use std::fs;
use std::path::{Path, PathBuf};

struct Sample {
    world: World,
    folder: tempfile::TempDir,
}

fn sample() -> Sample {
    let world = World::new(1);
    let folder = tempfile::tempdir().unwrap();
    let cameras = [("front", noise_frames(5, 30, 9_000)), ("rear", noise_frames(5, 15, 3_000))];
    world.episode(&folder.path().join("episode"), 5, &cameras);
    Sample { world, folder }
}

impl Sample {
    fn dir(&self) -> PathBuf {
        self.folder.path().join("episode")
    }

    fn strict(&self) -> Options {
        Options { robot_did: Some(self.world.robot.did()), fleet_did: Some(self.world.fleet.did()) }
    }

    /// A copy that may be damaged.
    fn copy(&self) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("episode");
        copy_dir(&self.dir(), &dir);
        (folder, dir)
    }
}

fn refused(report: &Report, check: &str, file: Option<&str>) {
    let failure = report.failure.as_ref().expect("it must be refused");
    assert!(!report.verified);
    assert_eq!((failure.check, failure.file.as_deref()), (check, file), "{failure}");
}

fn flip(path: &Path, at: usize, mask: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= mask;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_whole_episode_verifies_and_is_summarised() {
    let sample = sample();
    let report = verify(&sample.dir(), &sample.strict());
    assert!(report.verified, "{report}");
    assert!(report.checks.iter().all(|check| check.outcome == Outcome::Passed), "{report}");
    let summary = report.summary.clone().unwrap();
    assert!((summary.duration_s - 4.98).abs() < 0.03, "{summary:?}");
    assert!((summary.distance_m - 249.0 * 0.02).abs() < 0.01, "{summary:?}");
    assert_eq!(summary.loop_latency_ms_p50.map(f64::round), Some(23.0));
    let receipts = report.receipts.clone().unwrap();
    assert_eq!(receipts.summary.receipts, 2);
    assert_eq!(receipts.summary.packets_recorded, 250);
    assert_eq!((receipts.summary.packets_covered, receipts.uncovered_tail), (200, 50));
    let facts = report.episode.unwrap();
    assert!(facts.driver_signed);
    assert_eq!(facts.robot_did_from, "given");
    let without = verify(&sample.dir(), &Options::default());
    assert!(without.verified);
    assert_eq!(without.episode.unwrap().robot_did_from, "manifest");
}

#[test]
fn interventions_are_found_as_the_robot_recorded_them() {
    let world = World::new(1);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("episode");
    let mut recorder = world.record(&dir, 2, &[]);
    let events = recorder.telemetry::<Event>(layout::topic::EVENT).unwrap();
    let id = |n: u32| format!("itv_{n:032x}");
    let mut tell = |n: u64, code: &str, json: String| {
        let at_ns = common::START_NS + 2_000_000_000 + n * 1_000_000;
        let stamp = Time::from_ns(at_ns);
        let (code, detail) = (code.to_owned(), String::new());
        recorder.write(events, at_ns, &Event { stamp, code, detail, json }).unwrap();
    };
    let note = |n, act: &str, cause: &str, by: &PrivateKey| {
        format!(r#"{{"id":"{}","act":"{act}","cause":"{cause}","by":"{}"}}"#, id(n), by.did())
    };
    tell(0, "speech", note(9, "start", "not one", &world.driver));
    tell(1, "intervention", note(1, "start", "lost", &world.driver));
    tell(2, "intervention", note(7, "end", "of another", &world.driver));
    tell(3, "intervention", "{".to_owned());
    tell(4, "intervention", note(1, "end", "found", &world.driver));
    tell(5, "intervention", note(2, "start", "again", &world.driver));
    tell(6, "intervention", note(2, "end", "driver-gone", &world.robot));
    tell(7, "intervention", note(3, "start", "cut", &world.driver));
    let ending = world.ending(recorder.finish().unwrap());
    episode::seal(&dir, ending, &world.robot).unwrap();
    let report = verify(&dir, &Options::default());
    assert!(report.verified, "{report}");
    let found = report.summary.unwrap().interventions;
    let seen: Vec<_> = found
        .iter()
        .map(|one| (one.id.to_string(), one.cause.as_str(), one.ended_why.as_deref()))
        .collect();
    assert_eq!(
        seen,
        [
            (id(1), "lost", Some("found")),
            (id(2), "again", Some("driver-gone")),
            (id(3), "cut", None),
        ]
    );
    assert_eq!(found[0].by, world.driver.did());
    assert_eq!(found[0].ended_at.unwrap().0 - found[0].started_at.0, 3);
}

#[test]
fn another_robot_or_fleet_is_refused() {
    let sample = sample();
    let other = Some(PrivateKey::from_seed(&[9; 32]).did());
    let report = verify(&sample.dir(), &Options { robot_did: other, ..sample.strict() });
    refused(&report, "robot-signature", Some(layout::MANIFEST));
    let report = verify(&sample.dir(), &Options { fleet_did: other, ..sample.strict() });
    refused(&report, "lease", Some(layout::MANIFEST));
}

#[test]
fn any_flipped_byte_is_refused_and_located() {
    let sample = sample();
    let (_folder, dir) = sample.copy();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random).unwrap() % below
    };
    for name in ["telemetry.mcap", "camera_front.mcap", "camera_rear.mcap", layout::MANIFEST] {
        let path = dir.join(name);
        let size = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
        let edges = [0, 1, size - 1, size / 2];
        let places: Vec<usize> = edges.into_iter().chain((0..40).map(|_| next(size))).collect();
        for at in places {
            let mask = 1 << next(8);
            flip(&path, at, mask);
            for options in [sample.strict(), Options::default()] {
                let report = verify(&dir, &options);
                let failure = report.failure.expect("a flipped byte must be refused");
                assert_eq!(failure.file.as_deref(), Some(name), "{at} {mask:#x}: {failure}");
                let bytes = failure.bytes.expect("it must be located");
                let at = u64::try_from(at).unwrap();
                assert!(bytes.start <= at && at < bytes.end, "{at} {failure}");
                assert!(name == layout::MANIFEST || bytes.end - bytes.start <= 1024 * 1024);
            }
            flip(&path, at, mask);
        }
    }
    assert!(verify(&dir, &sample.strict()).verified);
}

#[test]
fn a_file_too_many_too_few_cut_or_linked_is_refused() {
    let sample = sample();
    let check = |change: &dyn Fn(&Path), check: &str, file: &str| {
        let (_folder, dir) = sample.copy();
        change(&dir);
        refused(&verify(&dir, &sample.strict()), check, Some(file));
    };
    check(&|dir| fs::write(dir.join("notes.txt"), "x").unwrap(), "folder", "notes.txt");
    check(&|dir| fs::create_dir(dir.join("more")).unwrap(), "folder", "more");
    check(&|dir| fs::write(dir.join(layout::OPEN), "{}").unwrap(), "folder", layout::OPEN);
    check(
        &|dir| fs::remove_file(dir.join("camera_rear.mcap")).unwrap(),
        "folder",
        "camera_rear.mcap",
    );
    let link = |dir: &Path| {
        let path = dir.join("camera_rear.mcap");
        fs::rename(&path, dir.join("../elsewhere.mcap")).unwrap();
        std::os::unix::fs::symlink("../elsewhere.mcap", path).unwrap();
    };
    check(&link, "folder", "camera_rear.mcap");
    let cut = |dir: &Path| {
        let file = fs::OpenOptions::new().write(true).open(dir.join("camera_front.mcap")).unwrap();
        file.set_len(1_100_000).unwrap();
    };
    check(&cut, "files", "camera_front.mcap");
    check(
        &|dir| fs::remove_file(dir.join(layout::MANIFEST)).unwrap(),
        "manifest",
        layout::MANIFEST,
    );
}

#[test]
fn a_manifest_in_another_form_is_refused() {
    let sample = sample();
    let (_folder, dir) = sample.copy();
    let path = dir.join(layout::MANIFEST);
    let mut text = fs::read_to_string(&path).unwrap();
    text.push('\n');
    fs::write(&path, text).unwrap();
    refused(&verify(&dir, &sample.strict()), "manifest", Some(layout::MANIFEST));
}

#[test]
fn a_folder_that_is_none_is_refused_not_a_panic() {
    let report = verify(Path::new("/nonexistent/episode"), &Options::default());
    refused(&report, "manifest", Some(layout::MANIFEST));
}

/// What a robot does that lies about what its driver sent: everything is hashed and signed rightly.
fn sealed_with_another_packet(change: impl Fn(&mut protocol::drive::DriveCommand)) -> Report {
    let world = World::new(8);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("episode");
    let mut recorder = world.record(&dir, 3, &[]);
    let commands = recorder
        .telemetry::<ros_msgs::longrein_msgs::DriveCommand>(layout::topic::COMMAND)
        .unwrap();
    let mut forged = protocol::drive::DriveCommand {
        deadman: true,
        seq: 42,
        epoch: world.lease.epoch,
        linear_mmps: 1500,
        ..protocol::drive::DriveCommand::default()
    };
    change(&mut forged);
    let message = ros_msgs::longrein_msgs::DriveCommand {
        packet: forged.encode().to_vec(),
        ..ros_msgs::longrein_msgs::DriveCommand::default()
    };
    recorder.write(commands, common::START_NS + 3_000_000_000, &message).unwrap();
    let recorded = recorder.finish().unwrap();
    episode::seal(&dir, world.ending(recorded), &world.robot).unwrap();
    let options =
        Options { robot_did: Some(world.robot.did()), fleet_did: Some(world.fleet.did()) };
    verify(&dir, &options)
}

#[test]
fn a_packet_that_the_driver_did_not_sign_is_refused() {
    let report = sealed_with_another_packet(|_| ());
    refused(&report, "receipts", Some(layout::TELEMETRY));
    assert!(report.failure.unwrap().detail.contains("seq 42"));
}

#[test]
fn packets_of_another_epoch_and_after_the_last_receipt_are_not_the_drivers_word() {
    assert!(sealed_with_another_packet(|packet| packet.epoch = 6).verified);
    let report = sealed_with_another_packet(|packet| packet.seq = 1_000_000);
    assert!(report.verified, "{report}");
    assert_eq!(report.receipts.unwrap().uncovered_tail, 51);
}

#[test]
fn a_drop_is_declared() {
    let world = World::new(9);
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("episode");
    let mut recorder = world.record(&dir, 2, &[]);
    let events = recorder.telemetry::<ros_msgs::longrein_msgs::Event>("/longrein/test").unwrap();
    recorder.write(events, common::START_NS, &Default::default()).unwrap();
    recorder.note_dropped(events, 3);
    recorder.write(events, common::START_NS, &Default::default()).unwrap();
    recorder.note_dropped(events, 2);
    let recorded = recorder.finish().unwrap();
    assert_eq!(recorded.dropped["/longrein/test"], 5);
    let sealed = episode::seal(&dir, world.ending(recorded), &world.robot).unwrap();
    let channels = &sealed.manifest.files[0].channels;
    let channel = channels.iter().find(|channel| channel.topic == "/longrein/test").unwrap();
    assert_eq!((channel.messages, channel.dropped), (2, 5));
    assert!(verify(&dir, &Options::default()).verified);
}
