//! HTTPS: the same pages over TLS, for browsers on other machines. Without it they give a page neither a key store, nor
//! gamepads, nor a microphone, so a phone could not drive.
//!
//! The certificate is the gateway's own, made at the first start ([`local`]), or the owner's ([`given`]). [`listen`]
//! bounds who connects, and [`phone`] tells a phone the way.

pub mod given;
pub mod listen;
pub mod local;
pub mod phone;

use crate::clock;
use crate::watch::settings::outward;
use anyhow::{Context, Result, bail};
use protocol::units::WallMs;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::TcpListener;
use x509_parser::extensions::GeneralName;

/// How often it is looked whether another certificate is needed.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Flags.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Serve the pages over HTTPS too, on this address, such as 0.0.0.0:7443: what phones and other machines need
    #[arg(long, value_name = "ADDRESS", env = "LONGREIN_GATEWAY_HTTPS")]
    pub https: Option<SocketAddr>,
    /// Your own certificate with its chain (PEM), instead of one that the gateway makes; needs --https-key
    #[arg(long, value_name = "FILE", env = "LONGREIN_GATEWAY_HTTPS_CERT")]
    pub https_cert: Option<PathBuf>,
    /// The private key of --https-cert (PEM)
    #[arg(long, value_name = "FILE", env = "LONGREIN_GATEWAY_HTTPS_KEY")]
    pub https_key: Option<PathBuf>,
}

/// `[https]` of the configuration file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    listen: Option<SocketAddr>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// How HTTPS is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The owner's certificate and key; the gateway makes its own without.
    pub given: Option<(PathBuf, PathBuf)>,
}

impl Settings {
    /// Puts file and flags together; `None` if there is to be no HTTPS.
    pub fn merge(args: Args, file: File) -> Result<Option<Self>> {
        let cert = args.https_cert.or(file.cert);
        let key = args.https_key.or(file.key);
        let given = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => {
                bail!("a certificate needs its private key: name it with --https-key")
            }
            (None, Some(_)) => {
                bail!("a private key needs its certificate: name it with --https-cert")
            }
        };
        match args.https.or(file.listen) {
            Some(listen) => Ok(Some(Self { listen, given })),
            None if given.is_some() => {
                bail!(
                    "there is a certificate, but no address: say where to listen with --https, such as 0.0.0.0:443"
                )
            }
            None => Ok(None),
        }
    }
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) not_before: WallMs,
    pub(crate) not_after: WallMs,
    /// Who signed it, in words.
    pub(crate) issuer: String,
    pub(crate) names: Vec<String>,
    pub(crate) addresses: Vec<IpAddr>,
}

impl Facts {
    pub(crate) fn of(der: &[u8]) -> Result<Self> {
        let (_rest, read) =
            x509_parser::parse_x509_certificate(der).context("it cannot be read")?;
        let ms = |s: i64| WallMs(u64::try_from(s).unwrap_or(0).saturating_mul(1_000));
        let validity = read.validity();
        let (mut names, mut addresses) = (Vec::new(), Vec::new());
        let said = read.subject_alternative_name().context("its names cannot be read")?;
        for name in said.iter().flat_map(|said| &said.value.general_names) {
            match name {
                GeneralName::DNSName(name) => names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => addresses.extend(address_of(bytes)),
                _ => {}
            }
        }
        Ok(Self {
            not_before: ms(validity.not_before.timestamp()),
            not_after: ms(validity.not_after.timestamp()),
            issuer: read.issuer().to_string(),
            names,
            addresses,
        })
    }
}

fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(four.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

/// As browsers show it: SHA-256 in pairs of digits.
pub(crate) fn fingerprint(der: &[u8]) -> String {
    let digest = ::ring::digest::digest(&::ring::digest::SHA256, der);
    let pairs: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

/// Chain and key as TLS needs them; an error if they do not belong together.
pub(crate) fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: rustls::pki_types::PrivateKeyDer<'static>,
) -> Result<CertifiedKey, rustls::Error> {
    CertifiedKey::from_der(chain, key, &ring::default_provider())
}

/// The certificate of the moment, as the TLS library asks for it.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl Current {
    fn get(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, new: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
    }

    fn leaf(&self) -> Vec<u8> {
        self.get().cert.first().map(|leaf| leaf.to_vec()).unwrap_or_default()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

#[derive(Debug)]
enum Source {
    Local(Box<local::Local>),
    Given(given::Given),
}

/// HTTPS as it runs.
#[derive(Debug)]
pub struct Https {
    address: SocketAddr,
    source: Source,
    current: Arc<Current>,
}

impl Https {
    /// Gets a certificate and begins to listen. `key` is the gateway's key file: what is made lies beside it.
    pub async fn start(settings: &Settings, key: &Path) -> Result<(Self, listen::TlsListener)> {
        let listener = TcpListener::bind(settings.listen).await.with_context(|| {
            format!("cannot listen on {}: choose another address with --https", settings.listen)
        })?;
        let address = listener.local_addr()?;
        let now = clock::wall();
        let (source, first) = match &settings.given {
            Some((cert, key)) => {
                let (given, first) = given::Given::open(cert.clone(), key.clone(), now)?;
                (Source::Given(given), first)
            }
            None => {
                let local = local::Local::open(key, now).context("the certificate for HTTPS")?;
                let seen = match address.ip() {
                    ip if ip.is_unspecified() => outward(ip),
                    ip => ip,
                };
                if !local::speaks_for(seen) {
                    tracing::warn!(
                        "{seen} is a public address, which a certificate of the gateway's own does not name: bring one \
                         with --https-cert and --https-key"
                    );
                }
                let first = local.certificate(&local::Names::of_this_machine(), now)?;
                (Source::Local(Box::new(local)), first)
            }
        };
        let current = Arc::new(Current(RwLock::new(Arc::new(first))));
        let listener = listen::TlsListener::new(listener, Arc::clone(&current) as _)?;
        Ok((Self { address, source, current }, listener))
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The root that a phone may install, in DER, if the gateway made its own certificate.
    pub fn root(&self) -> Option<&[u8]> {
        match &self.source {
            Source::Local(local) => Some(local.root()),
            Source::Given(_) => None,
        }
    }

    /// Fingerprint of the certificate of the moment.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.current.leaf())
    }

    /// Where other machines find the pages, the likeliest first.
    pub fn urls(&self) -> Vec<String> {
        let facts = Facts::of(&self.current.leaf()).ok();
        let listen = self.address.ip();
        let url = |host: &str| match self.address.port() {
            443 => format!("https://{host}"),
            port => format!("https://{host}:{port}"),
        };
        if let (Source::Given(_), Some(facts)) = (&self.source, &facts) {
            let named = facts.names.iter().filter(|name| !name.contains('*'));
            let urls: Vec<String> = named.map(|name| url(name)).collect();
            if !urls.is_empty() {
                return urls;
            }
        }
        if !listen.is_unspecified() {
            return vec![url(&host(listen))];
        }
        let first = outward(listen);
        let covered = facts.map(|facts| facts.addresses).unwrap_or_default();
        let mut found = vec![first];
        found.extend(covered.into_iter().filter(|ip| *ip != first && !ip.is_loopback()));
        // A machine without a way to others by this kind of address may have the other kind.
        if found.len() > 1 && first.is_loopback() {
            found.remove(0);
        }
        found.into_iter().map(|ip| url(&host(ip))).collect()
    }

    /// Renews the certificate whenever there is need, for ever.
    pub(crate) async fn keep(&self) {
        let mut told = None;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = clock::wall();
            let new = match &self.source {
                Source::Local(local) => {
                    let names = local::Names::of_this_machine();
                    let due = local.due(&self.current.leaf(), &names, now);
                    due.map(|why| {
                        tracing::info!("the certificate for HTTPS is made anew: {why}");
                        local.certificate(&names, now)
                    })
                }
                Source::Given(given) => given.changed(now),
            };
            match new {
                None => {}
                Some(Ok(new)) => {
                    self.current.set(new);
                    told = None;
                    tracing::info!(sha256 = self.fingerprint(), "another certificate for HTTPS");
                }
                Some(Err(error)) => {
                    let words = format!("{error:#}");
                    if told.as_ref() != Some(&words) {
                        tracing::warn!("HTTPS keeps its certificate: {words}");
                        told = Some(words);
                    }
                }
            }
        }
    }
}

/// An address as it stands in a URL.
fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_none_unless_it_is_asked_for() {
        assert_eq!(Settings::merge(Args::default(), File::default()).unwrap(), None);
        let file: File = toml::from_str("listen = '0.0.0.0:7443'").unwrap();
        let settings = Settings::merge(Args::default(), file).unwrap().unwrap();
        assert_eq!((settings.listen.port(), settings.given), (7443, None));
        assert!(toml::from_str::<File>("lisen = '0.0.0.0:1'").is_err());
    }

    #[test]
    fn half_a_certificate_is_told() {
        let refusal = |file: &str| {
            let file = toml::from_str(file).unwrap();
            Settings::merge(Args::default(), file).unwrap_err().to_string()
        };
        assert!(refusal("listen = '0.0.0.0:1'\ncert = 'a.pem'").contains("--https-key"));
        assert!(refusal("listen = '0.0.0.0:1'\nkey = 'a.pem'").contains("--https-cert"));
        assert!(refusal("cert = 'a.pem'\nkey = 'b.pem'").contains("--https,"));
    }
}
