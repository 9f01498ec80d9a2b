//! Configuration: a TOML file, then the environment, then flags; the later wins.

use crate::{https, turn, watch};
use anyhow::{Context, bail};
use clap::Parser;
use protocol::ids::RobotId;
use protocol::keys::PrivateKey;
use protocol::signal::IceServer;
use serde::Deserialize;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Serves the cockpit, the API for programs, and everything of the fleet under one address.
///
/// Example: pilot-gateway --http 127.0.0.1:7070 --fleet http://127.0.0.1:7080 --zenoh tls/127.0.0.1:7447
/// --web pilot-gateway/web/dist --key gateway.key
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "pilot-gateway", version, about, long_about)]
pub struct Args {
    /// Configuration file (TOML); the environment and flags win over it
    #[arg(long, env = "LONGREIN_GATEWAY_CONFIG")]
    pub config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:7070]
    #[arg(long, env = "LONGREIN_GATEWAY_HTTP")]
    pub http: Option<SocketAddr>,
    /// HTTPS: for browsers on other machines
    #[command(flatten)]
    pub https: https::Args,
    /// URL of the fleet server [default: http://127.0.0.1:7080]
    #[arg(long, env = "LONGREIN_GATEWAY_FLEET")]
    pub fleet: Option<String>,
    /// Zenoh endpoint of the fleet server or a router [default: tls/127.0.0.1:7447]
    #[arg(long, env = "LONGREIN_GATEWAY_ZENOH")]
    pub zenoh: Option<String>,
    /// Folder with the built web pages [default: pilot-gateway/web/dist]
    #[arg(long, env = "LONGREIN_GATEWAY_WEB")]
    pub web: Option<PathBuf>,
    /// The gateway's private key (PKCS#8 PEM); made when missing [default: gateway.key]
    #[arg(long, env = "LONGREIN_GATEWAY_KEY")]
    pub key: Option<PathBuf>,
    /// Code of an invitation for a gateway, needed once: with it the fleet learns this gateway's key
    #[arg(long, env = "LONGREIN_GATEWAY_CODE")]
    pub code: Option<String>,
    /// TURN: a path for pilots whose network lets nothing else through
    #[command(flatten)]
    pub turn: turn::Args,
    /// Spectators: from where their video is sent
    #[command(flatten)]
    pub watch: watch::settings::Args,
}

/// The configuration file. Unknown keys are refused, so that a typing error does not go unseen.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    http: Option<SocketAddr>,
    https: https::File,
    fleet: Option<String>,
    zenoh: Option<String>,
    web: Option<PathBuf>,
    key: Option<PathBuf>,
    drivers_max: Option<usize>,
    proxy_body_bytes_max: Option<usize>,
    ice_servers: Vec<IceServer>,
    turn: turn::File,
    watch: watch::settings::File,
    earth_rover: Vec<EarthRover>,
}

/// A port of its own on which one robot speaks the Earth Rovers API, with plain paths and without a token: whoever
/// can reach the port drives as the owner of `key`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarthRover {
    /// The robot.
    pub robot: RobotId,
    /// The port. 0 takes a free one and logs it.
    pub port: u16,
    /// The address to listen on; this machine only when left out.
    #[serde(default = "loopback")]
    pub bind: IpAddr,
    /// Key file of the program in whose name it drives (PKCS#8 PEM): a principal of the fleet.
    pub key: PathBuf,
    /// Id or slug of the mission that clients must start before they ride, as `MISSION_SLUG` of the original.
    /// Left out, they drive freely, and may start any open mission of the robot.
    #[serde(default)]
    pub mission: Option<String>,
}

const fn loopback() -> IpAddr {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}

/// What the gateway runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub http: SocketAddr,
    /// The same over TLS.
    pub https: Option<https::Settings>,
    /// URL of the fleet server, without a slash at its end.
    pub fleet: String,
    /// Zenoh endpoint.
    pub zenoh: String,
    /// Folder with the built web pages.
    pub web: PathBuf,
    /// The gateway's key file. Its certificate lies beside it.
    pub key: PathBuf,
    /// With which the gateway registers, if the fleet does not know it.
    pub code: Option<String>,
    /// Most programs that drive through this gateway at the same time.
    pub drivers_max: usize,
    /// Longest request body that is passed to the fleet, bytes.
    pub proxy_body_bytes_max: usize,
    /// STUN and TURN servers for browsers and robots.
    pub ice_servers: Vec<IceServer>,
    /// Relays with credentials that end.
    pub turn: Option<turn::Settings>,
    /// How spectators are served.
    pub watch: watch_relay::Options,
    /// Robots with a port of their own for the Earth Rovers API.
    pub earth_rover: Vec<EarthRover>,
}

impl Config {
    /// Puts file, environment and flags together.
    pub fn load(args: Args) -> anyhow::Result<Self> {
        let file = match &args.config {
            None => File::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read the configuration {}", path.display()))?;
                toml::from_str(&text)
                    .with_context(|| format!("in the configuration {}", path.display()))?
            }
        };
        Self::merge(args, file)
    }

    fn merge(args: Args, file: File) -> anyhow::Result<Self> {
        let fleet = args.fleet.or(file.fleet).unwrap_or_else(|| "http://127.0.0.1:7080".to_owned());
        if !(fleet.starts_with("http://") || fleet.starts_with("https://")) {
            bail!("fleet is {fleet:?}; it must be a URL such as http://127.0.0.1:7080");
        }
        let zenoh = args.zenoh.or(file.zenoh).unwrap_or_else(|| "tls/127.0.0.1:7447".to_owned());
        // Waiting for a router that no endpoint names would never end.
        let tls = fabric_tunnel::address(&zenoh).is_some();
        if !tls && !zenoh.strip_prefix("tcp/").is_some_and(|address| address.contains(':')) {
            bail!("zenoh is {zenoh:?}; it must be an endpoint such as tls/127.0.0.1:7447");
        }
        let web = args.web.or(file.web);
        let http = args.http.or(file.http).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 7070)));
        let https = https::Settings::merge(args.https, file.https)?;
        // Spectators come from where the pages are to be had.
        let pages = match &https {
            Some(https) if http.ip().is_loopback() => https.listen,
            _ => http,
        };
        Ok(Self {
            http,
            https,
            fleet: fleet.trim_end_matches('/').to_owned(),
            zenoh,
            web: web.unwrap_or_else(|| PathBuf::from("pilot-gateway/web/dist")),
            key: args.key.or(file.key).unwrap_or_else(|| PathBuf::from("gateway.key")),
            code: args.code,
            drivers_max: file.drivers_max.unwrap_or(64),
            // The fleet's largest upload chunk is half of this.
            proxy_body_bytes_max: file.proxy_body_bytes_max.unwrap_or(8 * 1024 * 1024),
            ice_servers: file.ice_servers,
            turn: turn::Settings::merge(args.turn, file.turn)?,
            watch: watch::settings::merge(args.watch, file.watch, pages)?,
            earth_rover: file.earth_rover,
        })
    }
}

impl Config {
    /// Whether the message fabric has certificates and seals. Plain TCP, for tests on one machine, has neither.
    pub fn is_sealed(&self) -> bool {
        fabric_tunnel::is_tls(&self.zenoh)
    }
}

/// Reads a key file that must be there.
pub fn load_key(path: &Path) -> anyhow::Result<PrivateKey> {
    let pem = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the key file {}", path.display()))?;
    PrivateKey::from_pem(&pem).with_context(|| format!("{} holds no private key", path.display()))
}

/// Reads the key file, or makes a new key there that only its owner can read.
pub fn load_or_make_key(path: &Path) -> anyhow::Result<PrivateKey> {
    match std::fs::read_to_string(path) {
        Ok(pem) => PrivateKey::from_pem(&pem).with_context(|| {
            format!("{}: restore it from a backup, or name another file with --key", path.display())
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = PrivateKey::generate()
                .map_err(|error| anyhow::anyhow!("the system has no random bytes: {error}"))?;
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .with_context(|| format!("cannot make the key file {}", path.display()))?;
            file.write_all(key.to_pem().as_bytes())
                .and_then(|()| file.sync_all())
                .with_context(|| format!("cannot write the key file {}", path.display()))?;
            Ok(key)
        }
        Err(error) => {
            Err(error).with_context(|| format!("cannot read the key file {}", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
        let args =
            ["pilot-gateway", "--turn", "127.0.0.1:1", "--turn-allow", "10.0.0.0/8,fd00::/8"];
        assert_eq!(Args::try_parse_from(args).unwrap().turn.allow.len(), 2);
    }

    #[test]
    fn a_flag_wins_over_the_file_and_an_unknown_key_is_refused() {
        let file: File = toml::from_str("fleet = 'http://a:1/'\nzenoh = 'tcp/b:2'").unwrap();
        let args = Args { zenoh: Some("tcp/c:3".to_owned()), ..Args::default() };
        let config = Config::merge(args, file).unwrap();
        assert_eq!((config.fleet.as_str(), config.zenoh.as_str()), ("http://a:1", "tcp/c:3"));
        let error = toml::from_str::<File>("fleat = 'x'").unwrap_err().to_string();
        assert!(error.contains("fleat"), "{error}");
        let args = Args { fleet: Some("127.0.0.1:7080".to_owned()), ..Args::default() };
        assert!(Config::merge(args, File::default()).is_err());
        let args = Args { zenoh: Some("127.0.0.1:7447".to_owned()), ..Args::default() };
        let error = Config::merge(args, File::default()).unwrap_err().to_string();
        assert!(error.contains("such as tls/"), "{error}");
    }

    #[test]
    fn a_rover_of_its_own_port() {
        let text = "[[earth_rover]]\nrobot = 'demo-rover-1'\nport = 8000\nkey = 'agent.key'";
        let file: File = toml::from_str(text).unwrap();
        let rover = &Config::merge(Args::default(), file).unwrap().earth_rover[0];
        assert_eq!((rover.robot.as_str(), rover.port), ("demo-rover-1", 8000));
        assert!(rover.bind.is_loopback(), "nobody else's machine unless it is said");
        assert!(toml::from_str::<File>("[[earth_rover]]\nrobot = 'Bad Name'").is_err());
    }

    #[test]
    fn the_key_is_made_once_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.key");
        let first = load_or_make_key(&path).unwrap().did();
        assert_eq!(load_or_make_key(&path).unwrap().did(), first);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "junk").unwrap();
        assert!(load_or_make_key(&path).is_err(), "a broken key file is never overwritten");
    }
}
