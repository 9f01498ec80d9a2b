//! How fast verifying is, beside bare SHA-256 of the same bytes in the same run:
//! `cargo run -p episode --example verify_speed [MEGABYTES]`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::Write;
use std::time::Instant;

fn main() {
    let megabytes = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1000);
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let dir = folder.path().join("episode");
    let seconds = 20;
    let frames = common::noise_frames(seconds, 30, megabytes * 1_000_000 / 600);
    let sealed = common::World::new(1).episode(&dir, seconds, &[("front", frames)]);
    let size: usize = sealed.manifest.size().try_into().expect("fits into memory");
    let rate = |started: Instant| size as f64 / 1e6 / started.elapsed().as_secs_f64();
    let mut out = std::io::stdout().lock();
    for _ in 0..3 {
        let started = Instant::now();
        let report = episode::verify(&dir, &episode::Options::default());
        assert!(report.verified, "{report}");
        let verify = rate(started);
        let started = Instant::now();
        for file in &sealed.manifest.files {
            let (_size, sha256) =
                episode::digest::whole_file(&dir.join(&file.name)).expect("a recording");
            assert_eq!(sha256, file.sha256);
        }
        let bare = rate(started);
        writeln!(out, "verify {verify:.0} MB/s, bare SHA-256 {bare:.0} MB/s, {size} bytes")
            .expect("standard output");
    }
}
