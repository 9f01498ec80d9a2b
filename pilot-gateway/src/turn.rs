//! TURN: a path between pilot and robot where there is no direct one. The server is inside ([`turn_relay`]), or a coturn
//! that shares a secret with this gateway. Credentials end by themselves, and only who holds a lease gets some.

use crate::app::{Kind, Shared, json, robot_id};
use crate::clock;
use crate::problem::ApiError;
use crate::relay;
use anyhow::{Context, Result, bail, ensure};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use protocol::dsse::Envelope;
use protocol::lease::Lease;
use protocol::problem::code;
use protocol::signal::IceServer;
use protocol::units::WallMs;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use turn_relay::{Credentials, Limits, Network, Options, Peers, Secret, Server, Stats};
use utoipa::ToSchema;

/// What clients are told as the realm.
const REALM: &str = "longrein";
/// A path is opened within moments of the lease; one that was opened lasts as long as it is used.
const CREDENTIALS_S: u64 = 3_600;
const CREDENTIALS_S_MIN: u64 = 60;
const SECRET_LEN_MIN: usize = 16;
/// How far the clocks of fleet and gateway may be apart, ms.
const CLOCK_TOLERANCE_MS: u64 = 60_000;

/// Flags.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Run a TURN server on this address, UDP and TCP, such as 203.0.113.7:3478
    #[arg(long = "turn", value_name = "ADDRESS", env = "LONGREIN_GATEWAY_TURN")]
    pub listen: Option<SocketAddr>,
    /// The address under which the TURN server is reached from outside [default: that of --turn]
    #[arg(long = "turn-public", value_name = "IP", env = "LONGREIN_GATEWAY_TURN_PUBLIC")]
    pub public: Option<IpAddr>,
    /// Let the TURN server reach these private addresses too, such as 10.0.0.0/8: where robots and gateway share a network
    #[arg(
        long = "turn-allow",
        value_name = "NETWORK",
        value_delimiter = ',',
        env = "LONGREIN_GATEWAY_TURN_ALLOW"
    )]
    pub allow: Vec<Network>,
    /// URLs of a coturn of your own, such as turn:turn.example:3478?transport=udp; needs --turn-secret-file
    #[arg(
        long = "turn-external",
        value_name = "URL",
        value_delimiter = ',',
        env = "LONGREIN_GATEWAY_TURN_EXTERNAL"
    )]
    pub external: Vec<String>,
    /// File with the secret that a coturn knows as static-auth-secret; made up at each start without one
    #[arg(
        long = "turn-secret-file",
        value_name = "FILE",
        env = "LONGREIN_GATEWAY_TURN_SECRET_FILE"
    )]
    pub secret_file: Option<PathBuf>,
}

/// `[turn]` of the configuration file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    listen: Option<SocketAddr>,
    public: Option<IpAddr>,
    allow: Vec<String>,
    external: Vec<String>,
    secret_file: Option<PathBuf>,
    /// First and last port of relayed addresses, for a firewall.
    ports: Option<(u16, u16)>,
    credentials_s: Option<u64>,
    allocations_max: Option<usize>,
    allocations_per_lease_max: Option<usize>,
    kbit_per_s_max: Option<u64>,
}

/// How TURN is run.
#[derive(Debug, Clone)]
pub struct Settings {
    server: Option<Options>,
    external: Vec<String>,
    secret: Secret,
    credentials_s: u64,
}

impl Settings {
    /// Puts file and flags together; `None` if there is to be no TURN.
    pub fn merge(args: Args, file: File) -> Result<Option<Self>> {
        let external = if args.external.is_empty() { file.external } else { args.external };
        let listen = args.listen.or(file.listen);
        if listen.is_none() && external.is_empty() {
            return Ok(None);
        }
        for url in &external {
            ensure!(
                url.starts_with("turn:") || url.starts_with("turns:"),
                "{url:?} of [turn] external must be a URL such as turn:turn.example:3478?transport=udp"
            );
        }
        let secret = match args.secret_file.or(file.secret_file) {
            Some(path) => read_secret(&path)?,
            None if external.is_empty() => random_secret()?,
            None => bail!(
                "an external TURN server needs a secret: put coturn's static-auth-secret into a file and name it with \
                 --turn-secret-file"
            ),
        };
        let credentials_s = file.credentials_s.unwrap_or(CREDENTIALS_S);
        ensure!(
            credentials_s >= CREDENTIALS_S_MIN,
            "credentials_s of [turn] is {credentials_s}; at least {CREDENTIALS_S_MIN} are needed"
        );
        let mut allow = args.allow;
        for text in &file.allow {
            allow.push(text.parse().context("allow of [turn]")?);
        }
        let usual = Limits::default();
        let limits = Limits {
            allocations_max: file.allocations_max.unwrap_or(usual.allocations_max),
            allocations_per_subject_max: file
                .allocations_per_lease_max
                .unwrap_or(usual.allocations_per_subject_max),
            bytes_per_s_max: file
                .kbit_per_s_max
                .map_or(usual.bytes_per_s_max, |k| k.saturating_mul(125)),
            ..usual
        };
        let server = listen.map(|listen| -> Result<Options> {
            let public = args.public.or(file.public).unwrap_or(listen.ip());
            ensure!(
                !public.is_unspecified(),
                "TURN listens on {listen}, which nobody outside can reach: name its address with --turn-public"
            );
            ensure!(
                public.is_ipv4() == listen.is_ipv4(),
                "TURN listens on {listen} and is to be reached at {public}: both must be IPv4, or both IPv6"
            );
            let ports = file.ports.map(|(first, last)| first..=last);
            ensure!(
                ports.as_ref().is_none_or(|ports| !ports.is_empty() && *ports.start() > 0),
                "ports of [turn] must be a first and a last port, such as [50000, 50999]"
            );
            let (realm, secret) = (REALM.to_owned(), secret.clone());
            let peers = Peers::new(allow);
            Ok(Options { listen, public, ports, realm, secret, peers, limits })
        });
        Ok(Some(Self { server: server.transpose()?, external, secret, credentials_s }))
    }
}

impl Settings {
    /// The same, where clients may reach these sockets of this program as well.
    #[must_use]
    pub fn reaching(mut self, services: &[SocketAddr]) -> Self {
        if let Some(server) = &mut self.server {
            server.peers = std::mem::take(&mut server.peers).with_services(services);
        }
        self
    }
}

fn read_secret(path: &std::path::Path) -> Result<Secret> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the TURN secret {}", path.display()))?;
    let text = text.trim();
    ensure!(
        text.len() >= SECRET_LEN_MIN,
        "the TURN secret in {} is shorter than {SECRET_LEN_MIN} characters: make one with `openssl rand -hex 32`",
        path.display()
    );
    Ok(Secret::new(text.as_bytes()))
}

fn random_secret() -> Result<Secret> {
    let mut secret = [0; 32];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut secret)
        .map_err(|_unspecified| anyhow::anyhow!("the system has no random bytes"))?;
    Ok(Secret::new(&secret))
}

/// TURN as it runs.
#[derive(Debug)]
pub struct Turn {
    server: Option<Server>,
    urls: Vec<String>,
    secret: Secret,
    credentials_s: u64,
}

impl Turn {
    /// Starts the server, if one is to run inside.
    pub async fn start(settings: &Settings) -> Result<Self> {
        let Settings { server, external, secret, credentials_s } = settings.clone();
        let mut urls = Vec::new();
        let server = match server {
            None => None,
            Some(options) => {
                let public = options.public;
                let server = Server::start(options).await.context(
                    "the TURN server cannot start: choose another address with --turn, or leave it out",
                )?;
                let address = SocketAddr::new(public, server.address().port());
                tracing::info!(listen = %server.address(), %address, "TURN server, UDP and TCP");
                urls.push(format!("stun:{address}"));
                urls.extend(["udp", "tcp"].map(|way| format!("turn:{address}?transport={way}")));
                Some(server)
            }
        };
        urls.extend(external);
        Ok(Self { server, urls, secret, credentials_s })
    }

    /// The servers, with credentials of `subject`.
    pub fn ice_server(&self, subject: &str, now: WallMs) -> IceServer {
        let until_s = (now.0 / 1_000).saturating_add(self.credentials_s);
        let Credentials { username, password } = self.secret.credentials(subject, until_s);
        IceServer { urls: self.urls.clone(), username, credential: password }
    }

    /// What the server inside did so far.
    pub fn stats(&self) -> Option<&Stats> {
        self.server.as_ref().map(Server::stats)
    }
}

/// Who asks for a path.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IceOrder {
    /// Signed lease, as the fleet gave it.
    #[schema(value_type = Object)]
    lease: Envelope,
}

/// Servers for a path to the robot.
#[derive(Debug, Serialize, ToSchema)]
pub struct IceServers {
    /// STUN and TURN servers as WebRTC takes them: `{urls, username, credential}`.
    #[schema(value_type = Vec<Object>)]
    ice_servers: Vec<IceServer>,
    /// For so long a new path may be opened with them, seconds.
    valid_s: u64,
}

/// Servers and credentials with which the holder of a lease finds a path to the robot.
#[utoipa::path(
    post, path = "/v1/robots/{id}/ice-servers", tag = "drive", operation_id = "ice_servers",
    params(("id" = String, Path, description = "Robot", example = "demo-rover-1")),
    request_body = IceOrder,
    responses(
        (status = 200, description = "Servers with credentials that end", body = IceServers),
        (status = 400, description = "bad-request"), (status = 401, description = "sign-in"),
        (status = 403, description = "forbidden, bad-signature"), (status = 409, description = "lease-ended"),
    ),
    security(("session" = []))
)]
pub async fn ice_servers(
    State(app): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<IceServers>, ApiError> {
    let caller = app.caller(&headers)?;
    app.admit(Kind::Open, &caller)?;
    let robot = robot_id(&id)?;
    let order: IceOrder = json(body, crate::session::BODY_LEN_MAX).await?;
    let lease = relay::check_lease(&app, &robot, &caller.claims.did, order.lease)?;
    let lease = lease.lease();
    if is_over(lease, clock::wall()) {
        return Err(ApiError::new(409, code::LEASE_ENDED, "the lease has ended: take a new one"));
    }
    let valid_s = app.turn.as_ref().map_or(CREDENTIALS_S, |turn| turn.credentials_s);
    Ok(Json(IceServers { ice_servers: app.ice_servers(&lease.lease_id.to_string()), valid_s }))
}

/// Whether a lease was not renewed in time: nobody uses it any more, and old ones must open nothing.
fn is_over(lease: &Lease, now: WallMs) -> bool {
    let until = lease.issued_at.0.saturating_add(u64::from(lease.ttl_ms));
    now.0 > until.saturating_add(CLOCK_TOLERANCE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(args: Args, file: &str) -> Result<Option<Settings>> {
        Settings::merge(args, toml::from_str(file).unwrap())
    }

    fn refusal(file: &str) -> String {
        merge(Args::default(), file).unwrap_err().to_string()
    }

    #[test]
    fn there_is_none_unless_it_is_asked_for() {
        assert!(merge(Args::default(), "").unwrap().is_none());
        let settings = merge(Args::default(), "listen = '203.0.113.7:3478'").unwrap().unwrap();
        let server = settings.server.unwrap();
        assert_eq!(server.public, IpAddr::from([203, 0, 113, 7]));
        assert_eq!(server.peers, Peers::default(), "nothing private may be reached");
    }

    #[test]
    fn mistakes_are_told_with_what_to_do() {
        assert!(refusal("listen = '0.0.0.0:3478'").contains("--turn-public"));
        assert!(refusal("listen = '0.0.0.0:3478'\npublic = '::1'").contains("IPv4"));
        assert!(refusal("external = ['turn:a:1']").contains("--turn-secret-file"));
        assert!(refusal("external = ['http://a']").contains("such as turn:"));
        assert!(refusal("listen = '127.0.0.1:1'\nports = [5, 4]").contains("ports"));
        assert!(refusal("listen = '127.0.0.1:1'\nallow = ['ten']").contains("allow"));
        assert!(refusal("listen = '127.0.0.1:1'\ncredentials_s = 5").contains("credentials_s"));
        assert!(toml::from_str::<File>("listn = 1").is_err());
    }

    #[test]
    fn a_secret_comes_from_a_file_and_is_none_that_is_guessed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let args = || Args { secret_file: Some(path.clone()), ..Args::default() };
        let file = "external = ['turn:turn.example:3478']";
        std::fs::write(&path, "short\n").unwrap();
        assert!(merge(args(), file).unwrap_err().to_string().contains("openssl"));
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        let settings = merge(args(), file).unwrap().unwrap();
        let same = Secret::new(b"0123456789abcdef").credentials("lease", 9);
        assert_eq!(settings.secret.credentials("lease", 9), same);
    }

    #[tokio::test]
    async fn both_ways_are_named_with_the_port_that_there_is() {
        let settings = merge(Args::default(), "listen = '127.0.0.1:0'").unwrap().unwrap();
        let turn = Turn::start(&settings).await.unwrap();
        let port = turn.server.as_ref().unwrap().address().port();
        let server = turn.ice_server("lease", WallMs(5_000));
        assert_eq!(
            server.urls,
            [
                format!("stun:127.0.0.1:{port}"),
                format!("turn:127.0.0.1:{port}?transport=udp"),
                format!("turn:127.0.0.1:{port}?transport=tcp"),
            ]
        );
        assert_eq!(server.username, format!("{}:lease", 5 + CREDENTIALS_S));
    }
}
