//! Disk, processor, memory.

use super::identity::Agent;
use super::report::Check;
use crate::config::Config;
use crate::home::Home;
use crate::spool;
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

pub(super) fn disk(home: &Home, config: &Config, agent: &Agent) -> Vec<Check> {
    const AREA: &str = "disk";
    let disk_free_mb_min = config.disk_free_mb_min;
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
    checks.push(spool(home, config.spool.quota_mb));
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
fn spool(home: &Home, quota_mb: Option<u64>) -> Check {
    const AREA: &str = "disk";
    let state = match spool::look(home, quota_mb) {
        Ok(state) => state,
        Err(error) => return Check::not_checked(AREA, "episodes", format!("{error:#}")),
    };
    let quota = match state.quota_mb {
        Some(quota_mb) => format!(" of {quota_mb} MB"),
        None => String::new(),
    };
    let found = format!(
        "{} wait for the fleet ({} MB), {} are confirmed and kept; {} MB{quota} in all",
        state.waiting, state.unconfirmed_mb, state.kept, state.used_mb
    );
    let check = if state.full {
        let advice = "none of them is removed, and no new drive begins: let the robot reach its fleet, or raise \
                      spool.quota_mb";
        Check::failed(AREA, "episodes", format!("full: {found}"), advice)
    } else {
        Check::ok(AREA, "episodes", found)
    };
    check
        .with("waiting", state.waiting)
        .with("kept", state.kept)
        .with("used_mb", state.used_mb)
        .with("unconfirmed_mb", state.unconfirmed_mb)
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
        let mut config = Config::parse("data = \"/x\"").unwrap();
        config.disk_free_mb_min = u64::MAX;
        let checks = disk(&home, &config, &Agent::Absent);
        assert_eq!(checks[0].verdict, Verdict::Failed);
        assert_ne!(checks[1].verdict, Verdict::NotChecked, "{checks:?}");
        assert!(!dir.path().join(".doctor-trial").exists());
        assert_eq!(disk(&home, &config, &Agent::Silent)[1].verdict, Verdict::NotChecked);
        // What waits for the fleet fills the quota.
        let id = format!("eps_{:032x}", 1).parse().unwrap();
        std::fs::create_dir_all(home.episode(id)).unwrap();
        std::fs::write(home.episode(id).join(episode::layout::MANIFEST), vec![1; 100_000_000])
            .unwrap();
        config.spool.quota_mb = Some(100);
        let checks = disk(&home, &config, &Agent::Silent);
        assert_eq!(checks[2].verdict, Verdict::Failed, "{checks:?}");
        assert!(checks[2].found.starts_with("full: 1 wait"), "{}", checks[2].found);
    }

    #[test]
    fn memory_is_read_in_megabytes() {
        assert_eq!(available_mb("MemTotal: 1 kB\nMemAvailable:    1000000 kB\n"), Some(1_024));
        assert_eq!(available_mb(""), None);
    }
}
