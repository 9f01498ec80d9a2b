//! Configuration: defaults < file < environment < command line.

use anyhow::{Context, Result, ensure};
use clap::Args;
use fleet_core::split::RewardSplit;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What `fleet-server serve` takes.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// TOML file with any of: data, http, zenoh, zenoh_public, name, certificate_s, speed_mps_max,
    /// disk_free_mb_min, `[reward_split]`.
    #[arg(long, env = "LONGREIN_FLEET_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Folder for keys, store and episodes; made when missing.
    #[arg(long, env = "LONGREIN_FLEET_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// Address of the HTTP API [default: 127.0.0.1:7080].
    #[arg(long, env = "LONGREIN_FLEET_HTTP")]
    pub(crate) http: Option<SocketAddr>,
    /// Endpoint on which the embedded Zenoh router listens [default: tls/127.0.0.1:7447]. `tls/HOST:PORT` takes
    /// mutual certificates; `tcp/` is for tests on one machine and has neither certificates nor seals.
    #[arg(long, env = "LONGREIN_FLEET_ZENOH")]
    pub(crate) zenoh: Option<String>,
    /// The same endpoint as robots reach it, given to them when they enrol [default: --zenoh].
    #[arg(long, env = "LONGREIN_FLEET_ZENOH_PUBLIC")]
    pub(crate) zenoh_public: Option<String>,
}

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    data: Option<PathBuf>,
    http: Option<SocketAddr>,
    zenoh: Option<String>,
    zenoh_public: Option<String>,
    certificate_s: Option<u64>,
    name: Option<String>,
    speed_mps_max: Option<f64>,
    disk_free_mb_min: Option<u64>,
    reward_split: Option<RewardSplit>,
}

/// The configuration in force.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Folder for keys, store and episodes.
    pub(crate) data: PathBuf,
    /// Address of the HTTP API.
    pub(crate) http: SocketAddr,
    /// Where the embedded router listens.
    pub(crate) zenoh: String,
    /// The same as robots reach it.
    pub(crate) zenoh_public: String,
    /// How long certificates of robots and gateways last, s. They renew themselves at half of it.
    pub(crate) certificate_s: u64,
    /// The fleet's name, for people.
    pub(crate) name: String,
    /// Highest speed that a lease allows, m/s. The robot's own policy applies as well.
    pub(crate) speed_mps_max: f64,
    /// With less free space than this no uploads are taken, so that leases and money have room, MB.
    pub(crate) disk_free_mb_min: u64,
    /// How rewards are divided.
    pub(crate) reward_split: RewardSplit,
}

impl Config {
    /// Puts defaults, file, environment and command line together.
    pub(crate) fn load(args: ServeArgs) -> Result<Self> {
        let file = args.config.as_deref().map(read).transpose()?.unwrap_or_default();
        let data = args.data.or(file.data);
        let zenoh = args.zenoh.or(file.zenoh).unwrap_or_else(|| "tls/127.0.0.1:7447".into());
        let config = Self {
            data: data.context("say where data goes: --data DIR, or data = \"DIR\" in the file")?,
            http: args
                .http
                .or(file.http)
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7080))),
            zenoh_public: args.zenoh_public.or(file.zenoh_public).unwrap_or_else(|| zenoh.clone()),
            zenoh,
            certificate_s: file.certificate_s.unwrap_or(86_400),
            name: file.name.unwrap_or_else(|| "Longrein".into()),
            speed_mps_max: file.speed_mps_max.unwrap_or(1.5),
            disk_free_mb_min: file.disk_free_mb_min.unwrap_or(200),
            reward_split: file.reward_split.unwrap_or_default(),
        };
        ensure!(
            (10..=90 * 86_400).contains(&config.certificate_s),
            "certificate_s: 10 s to 90 days"
        );
        ensure!(
            config.zenoh.starts_with("tls/") || is_local(&config.zenoh),
            "zenoh = {:?}: over a network it must be tls/HOST:PORT, which takes mutual certificates",
            config.zenoh
        );
        ensure!(
            config.reward_split.is_whole(),
            "reward_split: the three shares must add up to 1000000"
        );
        ensure!(
            config.speed_mps_max > 0.0 && config.speed_mps_max <= 10.0,
            "speed_mps_max: above 0 and up to 10 m/s"
        );
        Ok(config)
    }
}

/// Plain TCP has no certificates, and then messages are not sealed either: this machine only.
fn is_local(endpoint: &str) -> bool {
    ["tcp/127.0.0.1:", "tcp/[::1]:", "tcp/localhost:"]
        .iter()
        .any(|local| endpoint.starts_with(local))
}

fn read(path: &Path) -> Result<File> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("in {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(config: &Path, http: Option<&str>) -> ServeArgs {
        ServeArgs {
            config: Some(config.into()),
            data: None,
            http: http.map(|http| http.parse().unwrap()),
            zenoh: None,
            zenoh_public: None,
        }
    }

    #[test]
    fn a_flag_beats_the_file_and_unknown_fields_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet.toml");
        std::fs::write(&path, "data = \"/d\"\nhttp = \"127.0.0.1:1\"\n").unwrap();
        assert_eq!(Config::load(args(&path, None)).unwrap().http.port(), 1);
        assert_eq!(Config::load(args(&path, Some("127.0.0.1:2"))).unwrap().http.port(), 2);
        std::fs::write(&path, "data = \"/d\"\nhtpp = \"127.0.0.1:1\"\n").unwrap();
        let error = format!("{:#}", Config::load(args(&path, None)).unwrap_err());
        assert!(error.contains("htpp"), "{error}");
    }
}
