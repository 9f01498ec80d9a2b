//! The door to the message router: TLS with mutual certificates ends here, and only then does a byte reach Zenoh.
//!
//! ```text
//! robot   ── tls/ ──► door ── TCP on loopback ─────────────► embedded router
//! gateway ── tls/ ──► door ── a socket in a closed folder ─► embedded router
//! ```
//!
//! Zenoh reads who may do what once, at its start, and knows no revocation. So the door decides who comes in, from the
//! store as it is now: a certificate must be ours, in time, on record, and its holder in good standing. It asks again
//! every few seconds and closes the link of whoever no longer is. Behind it, the kind of link says whether somebody is a
//! robot or a gateway, for which the router's rules are fixed ([`crate::fabric`]). Only clients come in: another router or
//! peer could graft itself onto the routing and learn who listens to what.
//!
//! Zenoh's own TLS links are not used: see the crate `fabric-tunnel`.

use crate::fleet::{Fleet, now};
use crate::model::{Certificate, Principal, Robot};
use anyhow::{Context, Result, anyhow, bail, ensure};
use protocol::api::Role;
use protocol::keys::{Did, PrivateKey};
use protocol::units::WallMs;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{Notify, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, version::TLS13};

/// Links at the same time, handshakes included.
const LINKS_MAX: usize = 20_000;
/// Links of one holder: an agent that connects again before its old link was noticed to be dead, and a spare.
const LINKS_PER_HOLDER: usize = 4;
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether a holder is still welcome. A revocation in this process is noticed at once.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The door's own certificate is renewed long before it ends.
const SERVER_CERTIFICATE_MS: u64 = 7 * 86_400_000;
const SERVER_RENEW_MS: u64 = 86_400_000;
/// What a robot may send at most, bytes per second: six cameras' pictures. A burst of one second.
const ROBOT_BYTES_PER_S: usize = 16 * 1024 * 1024;
const GATEWAY_BYTES_PER_S: usize = 256 * 1024 * 1024;

/// A robot speaks five times a second. A link on which it has said nothing for so long is dead when the robot comes in
/// anew: its address has changed. Until the router knows, it takes no other link of that robot.
const SILENT_MAX: Duration = Duration::from_secs(1);
/// How long the router may take to notice that a link was closed in front of it.
const CLOSING: Duration = Duration::from_millis(100);

/// The links that are open.
#[derive(Default)]
pub(crate) struct Links {
    next: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<Link>>>,
}

/// A link that is open.
struct Link {
    holder: Did,
    end: Notify,
    /// When the holder said something last.
    heard: Mutex<Instant>,
}

impl Link {
    fn hear(&self, now: Instant) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn silent(&self, now: Instant) -> Duration {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        now.saturating_duration_since(heard)
    }
}

impl Links {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Link>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what `did` has open.
    pub(crate) fn close(&self, did: &Did) {
        for link in self.open().values().filter(|link| link.holder == *did) {
            link.end.notify_one();
        }
    }

    fn enter(&self, did: Did, now: Instant) -> Result<(u64, Arc<Link>)> {
        let mut open = self.open();
        let has = open.values().filter(|link| link.holder == did).count();
        ensure!(has < LINKS_PER_HOLDER, "{did} has {has} links open already");
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let link = Arc::new(Link { holder: did, end: Notify::new(), heard: Mutex::new(now) });
        open.insert(id, Arc::clone(&link));
        Ok((id, link))
    }

    /// Closes the links of `did` on which nothing was heard for long. Whether there were any.
    fn close_silent(&self, did: &Did, now: Instant) -> bool {
        let open = self.open();
        let of_holder = open.values().filter(|link| link.holder == *did);
        let silent = of_holder.filter(|link| link.silent(now) > SILENT_MAX);
        silent.inspect(|link| link.end.notify_one()).count() > 0
    }

    fn leave(&self, id: u64) {
        self.open().remove(&id);
    }
}

/// As what somebody comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guest {
    Robot,
    Gateway,
}

impl Guest {
    /// The kind of link behind the door, by which the router's rules know the guest.
    pub(crate) const fn protocol(self) -> &'static str {
        match self {
            Self::Robot => "tcp",
            Self::Gateway => "unixsock-stream",
        }
    }

    const fn bytes_per_s(self) -> usize {
        match self {
            Self::Robot => ROBOT_BYTES_PER_S,
            Self::Gateway => GATEWAY_BYTES_PER_S,
        }
    }
}

/// Where the router is, behind the door. Other users of this machine can't enter as a gateway, for the folder of that
/// socket is closed to them; as a robot they can, and are then what a hostile robot is.
pub(crate) struct Inside {
    robots: SocketAddr,
    gateways: PathBuf,
    // The socket's folder goes with it.
    _folder: TempDir,
}

impl Inside {
    /// For a router with `port` of this machine.
    pub(crate) fn new(port: u16) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("longrein-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .context("a folder for the router's socket")?;
        let robots = SocketAddr::from(([127, 0, 0, 1], port));
        Ok(Self { robots, gateways: folder.path().join("gateways"), _folder: folder })
    }

    /// Where the router listens.
    pub(crate) fn endpoints(&self) -> [String; 2] {
        [
            format!("{}/{}", Guest::Robot.protocol(), self.robots),
            format!("{}/{}", Guest::Gateway.protocol(), self.gateways.display()),
        ]
    }
}

fn new_key() -> Result<PrivateKey> {
    PrivateKey::generate().map_err(|error| anyhow!("no random bytes for a key: {error}"))
}

fn roots(pem: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for root in certificates(pem)? {
        roots.add(root)?;
    }
    Ok(roots)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    read.context("a certificate in PEM form")
}

fn private(key: &PrivateKey) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(key.to_pem().as_bytes()).context("a private key in PEM form")
}

/// Opens the door on `listener`; the router is `inside`.
pub(crate) fn open(fleet: &Arc<Fleet>, listener: TcpListener, inside: Inside) -> Result<()> {
    let door = Door {
        fleet: Arc::clone(fleet),
        inside,
        acceptor: Mutex::new(acceptor(fleet, now())?),
        places: Arc::new(Semaphore::new(LINKS_MAX)),
    };
    tokio::spawn(Arc::new(door).run(listener));
    Ok(())
}

/// A TLS acceptor with a fresh certificate.
fn acceptor(fleet: &Fleet, now: WallMs) -> Result<(TlsAcceptor, WallMs)> {
    let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    for endpoint in [&fleet.config.zenoh, &fleet.config.zenoh_public] {
        let host = fabric_tunnel::address(endpoint).map(|(_, host)| host.to_owned());
        hosts
            .extend(host.filter(|host| host != "0.0.0.0" && host != "::" && !hosts.contains(host)));
    }
    let key = new_key()?;
    let until = WallMs(now.0.saturating_add(SERVER_CERTIFICATE_MS));
    let made = fleet.ca.server(&hosts, key.did(), now, until)?;
    let clients = WebPkiClientVerifier::builder(roots(fleet.ca.root_pem())?.into()).build()?;
    let config = ServerConfig::builder_with_protocol_versions(&[&TLS13])
        .with_client_cert_verifier(clients)
        .with_single_cert(certificates(&made.pem)?, private(&key)?)?;
    Ok((TlsAcceptor::from(Arc::new(config)), now))
}

struct Door {
    fleet: Arc<Fleet>,
    inside: Inside,
    acceptor: Mutex<(TlsAcceptor, WallMs)>,
    places: Arc<Semaphore>,
}

impl Door {
    async fn run(self: Arc<Self>, listener: TcpListener) {
        loop {
            // One that waits for a place waits outside.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            let (stream, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a link to the router was not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let door = Arc::clone(&self);
            tokio::spawn(async move {
                if let Err(error) = door.serve(stream).await {
                    tracing::debug!(%from, "a link to the router has ended: {error:#}");
                }
                drop(place);
            });
        }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let mut kept = self.acceptor.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        if now.0.saturating_sub(kept.1.0) > SERVER_RENEW_MS {
            match acceptor(&self.fleet, now) {
                Ok(new) => *kept = new,
                Err(error) => tracing::error!("the router's certificate is not renewed: {error:#}"),
            }
        }
        kept.0.clone()
    }

    async fn serve(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let handshake = async {
            let mut outer = self.acceptor().accept(stream).await.context("TLS")?;
            let leaf = outer.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let sha256 = hex::encode(Sha256::digest(leaf.context("no certificate")?));
            let (did, guest) = self.welcome(&sha256).await?;
            let mut first = [0; 5];
            outer.read_exact(&mut first).await.context("the first message")?;
            ensure!(is_client(&first), "{did} does not come as a client");
            anyhow::Ok((outer, did, guest, first))
        };
        let (outer, did, guest, first) = tokio::time::timeout(HANDSHAKE_WITHIN, handshake)
            .await
            .context("the handshake took too long")??;
        if guest == Guest::Robot && self.fleet.links.close_silent(&did, Instant::now()) {
            tracing::debug!(%did, "a robot comes in anew; its silent link is closed");
            tokio::time::sleep(CLOSING).await;
        }
        let (id, link) = self.fleet.links.enter(did, Instant::now())?;
        let through = tokio::select! {
            done = self.carry(outer, guest, &first, &link) => done,
            () = link.end.notified() => Err(anyhow!("{did} was revoked, or came in anew")),
            why = self.until_unwelcome(did) => Err(why),
        };
        self.fleet.links.leave(id);
        through
    }

    /// Who holds the certificate with this digest, if they may come in.
    async fn welcome(&self, sha256: &str) -> Result<(Did, Guest)> {
        let issued =
            self.fleet.read::<Certificate>(sha256).await.map_err(|r| anyhow!(r.problem.detail))?;
        let issued = issued.context("the certificate is not on record")?;
        Ok((issued.did, self.standing(issued.did).await?))
    }

    async fn standing(&self, did: Did) -> Result<Guest> {
        let read = async {
            let principal = self.fleet.read::<Principal>(&did.to_string()).await?;
            let robot = principal.as_ref().and_then(|principal| principal.robot.clone());
            let robot = match robot {
                Some(robot) => self.fleet.read::<Robot>(robot.as_str()).await?,
                None => None,
            };
            Ok::<_, crate::problems::Refused>((principal, robot))
        };
        let (principal, robot) = read.await.map_err(|refused| anyhow!(refused.problem.detail))?;
        match principal.map(|principal| principal.role) {
            Some(Role::Gateway) => Ok(Guest::Gateway),
            Some(Role::Robot) if robot.is_some_and(|r| r.did == did && r.revoked.is_none()) => {
                Ok(Guest::Robot)
            }
            _ => bail!("{did} is not, or no longer, a robot or gateway of this fleet"),
        }
    }

    /// Returns when the holder is no longer welcome, or has no certificate that is valid. A robot renews its certificate
    /// over HTTP while the link stays.
    async fn until_unwelcome(&self, did: Did) -> anyhow::Error {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Err(why) = self.standing(did).await {
                return why;
            }
            match crate::ops::credentials::valid_until(&self.fleet, &did).await {
                Ok(until) if until > now() => {}
                Ok(_) => return anyhow!("the certificate of {did} has ended and was not renewed"),
                // The store may be away for a moment; who came in stays.
                Err(refused) => tracing::warn!("{}", refused.problem.detail),
            }
        }
    }

    async fn carry<S>(&self, outer: S, guest: Guest, first: &[u8], link: &Link) -> Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match guest {
            Guest::Robot => {
                let inner = TcpStream::connect(self.inside.robots).await.context("the router")?;
                inner.set_nodelay(true)?;
                between(outer, inner, guest, first, link).await
            }
            Guest::Gateway => {
                let inner = UnixStream::connect(&self.inside.gateways).await;
                between(outer, inner.context("the router")?, guest, first, link).await
            }
        }
    }
}

/// Carries what `outer` and `inner` say to each other, beginning with what `outer` has said already.
async fn between(
    outer: impl AsyncRead + AsyncWrite,
    inner: impl AsyncRead + AsyncWrite,
    guest: Guest,
    first: &[u8],
    link: &Link,
) -> Result<()> {
    let (mut from_outer, mut to_outer) = tokio::io::split(outer);
    let (mut from_inner, mut to_inner) = tokio::io::split(inner);
    to_inner.write_all(first).await?;
    tokio::select! {
        done = paced(&mut from_outer, &mut to_inner, guest.bytes_per_s(), |at| link.hear(at)) => done,
        done = tokio::io::copy(&mut from_inner, &mut to_outer) => done.map(drop).map_err(anyhow::Error::from),
    }
}

/// Whether a link's first bytes are those of a Zenoh client that opens it: length (2), header `Init` without `Ack`,
/// version, and in the lowest two bits of the next byte `client`.
const fn is_client(first: &[u8; 5]) -> bool {
    const INIT: u8 = 0x01;
    const ID_AND_ACK: u8 = 0x3f;
    const CLIENT: u8 = 0b10;
    first[2] & ID_AND_ACK == INIT && first[4] & 0b11 == CLIENT
}

/// Copies at most `bytes_per_s`, with a burst of one second; then the sender waits.
async fn paced(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    bytes_per_s: usize,
    heard: impl Fn(Instant),
) -> Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    let (mut left, mut since) = (bytes_per_s, tokio::time::Instant::now());
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        heard(Instant::now());
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
        if since.elapsed() >= Duration::from_secs(1) {
            (left, since) = (bytes_per_s, tokio::time::Instant::now());
        }
        left = left.saturating_sub(read);
        if left == 0 {
            tokio::time::sleep_until(since + Duration::from_secs(1)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_opens_a_link() {
        // As zenoh 1.10 begins: InitSyn with extensions (0xc1), version 9, a 16-byte id.
        assert!(is_client(&[0x30, 0, 0xc1, 9, 0xf2]));
        assert!(!is_client(&[0x30, 0, 0xc1, 9, 0xf0]), "a router");
        assert!(!is_client(&[0x30, 0, 0xc1, 9, 0xf1]), "a peer");
        assert!(!is_client(&[0x30, 0, 0xe1, 9, 0xf2]), "an answer");
        assert!(!is_client(b"GET /"));
    }

    #[test]
    fn a_holder_has_few_links_and_loses_them_together() {
        let links = Links::default();
        let (one, two) =
            (PrivateKey::from_seed(&[1; 32]).did(), PrivateKey::from_seed(&[2; 32]).did());
        let now = Instant::now();
        let first = links.enter(one, now).unwrap();
        for _ in 1..LINKS_PER_HOLDER {
            links.enter(one, now).unwrap();
        }
        assert!(links.enter(one, now).is_err());
        assert!(links.enter(two, now).is_ok());
        links.leave(first.0);
        assert!(links.enter(one, now).is_ok());
    }

    #[tokio::test]
    async fn who_comes_in_anew_loses_the_link_that_is_silent_and_no_other() {
        let links = Links::default();
        let (one, two) =
            (PrivateKey::from_seed(&[1; 32]).did(), PrivateKey::from_seed(&[2; 32]).did());
        let now = Instant::now();
        let (_, silent) = links.enter(one, now).unwrap();
        let (_, heard) = links.enter(one, now).unwrap();
        let (_, other) = links.enter(two, now).unwrap();
        assert!(!links.close_silent(&one, now + SILENT_MAX), "it may still speak");
        let later = now + SILENT_MAX + Duration::from_millis(1);
        heard.hear(later);
        assert!(links.close_silent(&one, later));
        let ended = async |link: &Link| {
            tokio::time::timeout(Duration::from_millis(10), link.end.notified()).await.is_ok()
        };
        assert!(ended(&silent).await && !ended(&heard).await && !ended(&other).await);
    }

    #[tokio::test]
    async fn a_flood_is_slowed_down() {
        let flood = vec![0; 100_000];
        let begun = std::time::Instant::now();
        paced(&mut &flood[..], &mut tokio::io::sink(), 1_000_000, |_at| {}).await.unwrap();
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
        paced(&mut &flood[..], &mut tokio::io::sink(), 90_000, |_at| {}).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    }
}
