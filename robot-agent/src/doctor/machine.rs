//! Disk, processor, memory.

use super::identity::Agent;
use super::report::Check;
use crate::home::Home;
use episode::layout;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// What is written to measure the disk.
const TRIAL_LEN: usize = 16 * 1024 * 1024;
/// Below this, records and pictures of several cameras pile up.
const WRITE_MBPS_MIN: f64 = 5.0;
const MEMORY_FREE_MB_MIN: u64 = 200;
const TEMPERATURE_C_MAX: f64 = 80.0;

pub(super) fn disk(home: &Home, disk_free_mb_min: u64, agent: &Agent) -> Vec<Check> {
    const AREA: &str = "disk";
    let mut checks = Vec::new();
    checks.push(match rustix::fs::statvfs(home.dir()) {
        Ok(stat) => {
            let free_mb = stat.f_bavail.saturating_mul(stat.f_frsize) / 1_000_000;
            let found = format!("{free_mb} MB free, {disk_free_mb_min} MB are kept free");
            let check = if free_mb < disk_free_mb_min {
                let advice =
                    "free space: without it the recorder counts as full, and the robot stays";
                Check::failed(AREA, "space", found, advice)
            } else if free_mb < disk_free_mb_min.saturating_mul(5) {
                let advice = "a drive records about 20 MB a minute and camera; free space soon";
                Check::warning(AREA, "space", found, advice)
            } else {
                Check::ok(AREA, "space", found)
            };
            check.with("free_mb", free_mb)
        }
        Err(error) => Check::not_checked(AREA, "space", error.to_string()),
    });
    checks.push(if agent.driven() {
        Check::not_checked(AREA, "write", "not measured while somebody drives")
    } else {
        write_speed(home.dir())
    });
    checks.push(spool(home));
    checks
}

fn write_speed(dir: &Path) -> Check {
    const AREA: &str = "disk";
    let path = dir.join(".doctor-trial");
    let written = || -> std::io::Result<f64> {
        let mut file = fs::File::create(&path)?;
        // Not zeros: some disks are fast with those.
        let bytes: Vec<u8> = (0_u32..)
            .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2])
            .take(TRIAL_LEN)
            .collect();
        let begun = Instant::now();
        file.write_all(&bytes)?;
        file.sync_all()?;
        #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
        let megabytes = TRIAL_LEN as f64 / 1e6;
        Ok(megabytes / begun.elapsed().as_secs_f64())
    };
    let outcome = written();
    if let Err(error) = fs::remove_file(&path) {
        tracing::debug!(%error, "removing the trial file");
    }
    match outcome {
        Ok(mbps) => {
            let found = format!("{mbps:.0} MB/s");
            let check = if mbps < WRITE_MBPS_MIN {
                let advice = "the recorder may not keep up: use a faster card or disk";
                Check::warning(AREA, "write", found, advice)
            } else {
                Check::ok(AREA, "write", found)
            };
            check.with("write_mbps", mbps)
        }
        Err(error) => Check::not_checked(
            AREA,
            "write",
            format!("can't write into {}: {error}", dir.display()),
        ),
    }
}

/// What waits for the fleet, and what it has.
fn spool(home: &Home) -> Check {
    const AREA: &str = "disk";
    let episodes = match home.list_episodes() {
        Ok(episodes) => episodes,
        Err(error) => return Check::not_checked(AREA, "episodes", format!("{error:#}")),
    };
    let (mut waiting, mut kept, mut open) = (0_u64, 0_u64, 0_u64);
    for (_, dir) in &episodes {
        if dir.join(layout::INGEST_RECEIPT).exists() {
            kept += 1;
        } else if dir.join(layout::OPEN).exists() {
            open += 1;
        } else {
            waiting += 1;
        }
    }
    let found = format!(
        "{waiting} wait for the fleet, {kept} are there and kept here, {open} being recorded"
    );
    Check::ok(AREA, "episodes", found)
        .with("waiting", waiting)
        .with("kept", kept)
        .with("open", open)
}

pub(super) fn processor() -> Vec<Check> {
    const AREA: &str = "machine";
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut checks = Vec::new();
    let load = fs::read_to_string("/proc/loadavg").ok();
    let load = load.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    checks.push(match load {
        Some(load) => {
            #[expect(clippy::cast_precision_loss, reason = "a count of cores")]
            let each = load / cores as f64;
            let found = format!("{cores} cores ({}), load {load:.1}", std::env::consts::ARCH);
            let check = if each > 0.9 {
                Check::warning(AREA, "processor", found, "other programs leave little: see `top`")
            } else {
                Check::ok(AREA, "processor", found)
            };
            check.with("cores", cores).with("load", load)
        }
        None => Check::not_checked(AREA, "processor", "the load is not told here"),
    });
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    checks.push(match available_mb(&memory) {
        Some(free_mb) if free_mb < MEMORY_FREE_MB_MIN => {
            let advice = "the agent needs about 100 MB and 30 MB a camera: end other programs";
            Check::warning(AREA, "memory", format!("{free_mb} MB available"), advice)
                .with("available_mb", free_mb)
        }
        Some(free_mb) => Check::ok(AREA, "memory", format!("{free_mb} MB available"))
            .with("available_mb", free_mb),
        None => Check::not_checked(AREA, "memory", "not told here"),
    });
    checks.push(temperature());
    checks
}

fn available_mb(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib.saturating_mul(1_024) / 1_000_000)
}

fn temperature() -> Check {
    let zones = fs::read_dir("/sys/class/thermal").into_iter().flatten().flatten();
    let read = |path: std::path::PathBuf| fs::read_to_string(path).ok()?.trim().parse::<f64>().ok();
    let hottest = zones.filter_map(|zone| read(zone.path().join("temp"))).reduce(f64::max);
    match hottest.map(|millis| millis / 1_000.0) {
        Some(celsius) if celsius > TEMPERATURE_C_MAX => {
            let found = format!("{celsius:.0} °C");
            Check::warning("machine", "temperature", found, "it slows itself down: cool it")
                .with("celsius", celsius)
        }
        Some(celsius) => {
            Check::ok("machine", "temperature", format!("{celsius:.0} °C")).with("celsius", celsius)
        }
        None => Check::not_checked("machine", "temperature", "no sensor"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;

    #[test]
    fn a_disk_below_its_reserve_fails_and_a_trial_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let checks = disk(&home, u64::MAX, &Agent::Absent);
        assert_eq!(checks[0].verdict, Verdict::Failed);
        assert_ne!(checks[1].verdict, Verdict::NotChecked, "{checks:?}");
        assert!(!dir.path().join(".doctor-trial").exists());
        assert_eq!(disk(&home, 0, &Agent::Silent)[1].verdict, Verdict::NotChecked);
    }

    #[test]
    fn memory_is_read_in_megabytes() {
        assert_eq!(available_mb("MemTotal: 1 kB\nMemAvailable:    1000000 kB\n"), Some(1_024));
        assert_eq!(available_mb(""), None);
    }
}
