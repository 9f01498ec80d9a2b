//! A way to the fleet's message router for a Zenoh client: sockets of this machine in, TLS links to the door out.
//!
//! `zenoh-link-tls` 1.10 lets one thread read a TLS connection while another writes it, without a lock. Its buffers
//! and state are shared between both, so memory is corrupted when they meet. Here one task owns each connection.

use std::fs::Permissions;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, version::TLS13};

/// How long the router may take to answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// What was sent and not acknowledged for so long will never be: the address is not ours any more, or the path has gone.
/// A robot says something five times a second, so it notices, and its driver waits no more than five seconds for it.
const UNACKNOWLEDGED_MS_MAX: u32 = 3_000;
/// How often it is looked whether this machine still has the address that a link goes out from.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Read at once, bytes.
const BUFFER_LEN: usize = 256 * 1024;
/// A client opens one link; while it opens the next, the last may not have noticed its end.
const LINKS_MAX: usize = 8;

/// The files that let somebody in. They are read anew for each link, so a renewed certificate needs no new session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Certificate and private key.
    pub tls_pem: PathBuf,
    /// The fleet's root, the only one that is trusted.
    pub root_pem: PathBuf,
}

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TunnelError {
    /// The endpoint is not one of TLS.
    #[error("{0:?} is no endpoint such as tls/fleet.example:7447")]
    Endpoint(String),
    /// The socket can't be made.
    #[error("no socket for the message router can be made in {}: {source}", folder.display())]
    Socket {
        /// Where it should be.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Why a link was not made, or ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: pem::Error },
    #[error("the certificates in {}: {error}", path.display())]
    Certificates { path: PathBuf, error: rustls::Error },
    #[error("no connection to {address}: {error}")]
    Connect { address: String, error: io::Error },
    #[error("{address} does not answer")]
    Late { address: String },
    #[error("{address} and this machine do not accept each other's certificate: {error}")]
    Handshake { address: String, error: io::Error },
    #[error("this machine has lost its address {lost}; the link to {address} is made anew")]
    AddressLost { address: String, lost: IpAddr },
    #[error("the link to {address} broke: {error}")]
    Broken { address: String, error: io::Error },
    #[error(
        "{address} closed the link: the certificate may not be on record, or its holder was taken out"
    )]
    Closed { address: String },
}

/// Whether an endpoint is one of TLS, well written or not: with a certificate, and messages that are sealed.
pub fn is_tls(endpoint: &str) -> bool {
    endpoint.starts_with("tls/")
}

/// The address and host of an endpoint `tls/HOST:PORT`.
pub fn address(endpoint: &str) -> Option<(&str, &str)> {
    let address = endpoint.strip_prefix("tls/")?;
    let (host, port) = address.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    Some((address, host.trim_start_matches('[').trim_end_matches(']')))
}

/// A tunnel. It ends, with its links, when it is dropped.
#[derive(Debug)]
pub struct Tunnel {
    endpoint: String,
    trouble: Arc<Mutex<Option<String>>>,
    serving: JoinHandle<()>,
    // Its folder goes with it.
    _folder: TempDir,
}

impl Tunnel {
    /// Opens a tunnel to the router at `endpoint` (`tls/HOST:PORT`). The router need not be there yet. Within a Tokio
    /// runtime.
    pub fn open(endpoint: &str, files: Files) -> Result<Self, TunnelError> {
        let wrong = || TunnelError::Endpoint(endpoint.to_owned());
        let (address, host) = address(endpoint).ok_or_else(wrong)?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_not_a_name| wrong())?;
        // Paths of sockets are short (108 bytes), so not beside the files. Nobody else may enter.
        let folder = std::env::temp_dir();
        let socket = |source| TunnelError::Socket { folder: folder.clone(), source };
        let folder = tempfile::Builder::new()
            .prefix("longrein-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&folder)
            .map_err(socket)?;
        let path = folder.path().join("router");
        let listener = UnixListener::bind(&path).map_err(socket)?;
        let endpoint = format!("unixsock-stream/{}", path.display());
        let trouble = Arc::default();
        let router = Router { address: address.to_owned(), name, files };
        let serving = tokio::spawn(serve(listener, Arc::new(router), Arc::clone(&trouble)));
        Ok(Self { endpoint, trouble, serving, _folder: folder })
    }

    /// Where a Zenoh client connects to.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Why the last link was not made or ended, in words.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries links until it is aborted; they end with it.
async fn serve(listener: UnixListener, router: Arc<Router>, trouble: Arc<Mutex<Option<String>>>) {
    let mut links = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if links.len() < LINKS_MAX => match accepted {
                Ok((local, _)) => {
                    let (router, trouble) = (Arc::clone(&router), Arc::clone(&trouble));
                    links.spawn(async move { tell(&trouble, router.link(local).await) });
                }
                Err(error) => {
                    tracing::warn!(%error, "a link to the message router was not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_ended) = links.join_next() => {}
        }
    }
}

/// The same trouble again and again is told once.
fn tell(trouble: &Mutex<Option<String>>, ended: Result<(), LinkError>) {
    let now = ended.err().map(|error| error.to_string());
    let before = std::mem::replace(&mut *lock(trouble), now.clone());
    match now {
        Some(words) if before.as_ref() != Some(&words) => {
            tracing::warn!("message router: {words}");
        }
        Some(words) => tracing::debug!("message router: {words}"),
        None => {}
    }
}

/// Where the tunnel leads.
struct Router {
    address: String,
    name: ServerName<'static>,
    files: Files,
}

impl Router {
    fn connector(&self) -> Result<TlsConnector, LinkError> {
        let Files { tls_pem, root_pem } = &self.files;
        let file = |path: &Path, error| LinkError::File { path: path.to_owned(), error };
        let read = |path: &Path| -> Result<Vec<CertificateDer<'static>>, LinkError> {
            let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
            certificates.map_err(|error| file(path, error))
        };
        let wrong = |path: &Path, error| LinkError::Certificates { path: path.to_owned(), error };
        let mut roots = RootCertStore::empty();
        for root in read(root_pem)? {
            roots.add(root).map_err(|error| wrong(root_pem, error))?;
        }
        let key = PrivateKeyDer::from_pem_file(tls_pem).map_err(|error| file(tls_pem, error))?;
        let config = ClientConfig::builder_with_protocol_versions(&[&TLS13])
            .with_root_certificates(roots)
            .with_client_auth_cert(read(tls_pem)?, key)
            .map_err(|error| wrong(tls_pem, error))?;
        Ok(TlsConnector::from(Arc::new(config)))
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, LinkError> {
        let connector = self.connector()?;
        let address = || self.address.clone();
        let connect = |error| LinkError::Connect { address: address(), error };
        let connecting = async {
            let stream = TcpStream::connect(&self.address).await.map_err(connect)?;
            stream.set_nodelay(true).map_err(connect)?;
            rustix::net::sockopt::set_tcp_user_timeout(&stream, UNACKNOWLEDGED_MS_MAX)
                .map_err(|error| connect(error.into()))?;
            let handshake = connector.connect(self.name.clone(), stream).await;
            handshake.map_err(|error| LinkError::Handshake { address: address(), error })
        };
        let connected = tokio::time::timeout(CONNECT_WITHIN, connecting).await;
        connected.map_err(|_elapsed| LinkError::Late { address: address() })?
    }

    /// Carries one link until either end closes it. An end at the client's is no trouble.
    async fn link(&self, local: UnixStream) -> Result<(), LinkError> {
        let stream = self.connect().await?;
        let own = stream.get_ref().0.local_addr().ok();
        let (from_router, to_router) = tokio::io::split(stream);
        let (from_client, to_client) = local.into_split();
        let broken = |error| LinkError::Broken { address: self.address.clone(), error };
        tokio::select! {
            done = carry(from_client, to_router) => done.map_err(broken),
            done = carry(from_router, to_client) => {
                done.map_err(broken)?;
                Err(LinkError::Closed { address: self.address.clone() })
            }
            lost = until_lost(own) => {
                Err(LinkError::AddressLost { address: self.address.clone(), lost })
            }
        }
    }
}

/// Returns when this machine has lost the address `own`: nothing will ever come to it again.
async fn until_lost(own: Option<SocketAddr>) -> IpAddr {
    let Some(mut own) = own else { return std::future::pending().await };
    own.set_port(0);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let bound = std::net::UdpSocket::bind(own);
        if bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable) {
            return own.ip();
        }
    }
}

/// Carries until `from` ends. Whole pictures at once: a client's socket holds little, and while it is full, who sends
/// through it waits and in the end drops. What was read is out before more is.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        let read = from.read(&mut buffer).await?;
        let Some(some) = buffer.get(..read).filter(|some| !some.is_empty()) else { return Ok(()) };
        to.write_all(some).await?;
        to.flush().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_goes_in_comes_out() {
        let sent: Vec<u8> = (0..3 * BUFFER_LEN + 7).map(|n| (n % 251) as u8).collect();
        // A small pipe between, so that every part of it has to wait.
        let (inlet, mut outlet) = tokio::io::duplex(1_000);
        let (got, carried) = tokio::join!(
            async {
                let mut got = Vec::new();
                outlet.read_to_end(&mut got).await.map(|_len| got)
            },
            carry(&sent[..], inlet)
        );
        carried.unwrap();
        assert!(got.unwrap() == sent);
    }

    #[tokio::test]
    async fn an_address_that_is_lost_is_noticed_and_one_that_stays_is_not() {
        let within = |address: &str| {
            let address: SocketAddr = address.parse().unwrap();
            tokio::time::timeout(3 * LOOK_EVERY, until_lost(Some(address)))
        };
        // Documentation's own: no machine has it.
        assert_eq!(within("192.0.2.77:5").await.unwrap(), IpAddr::from([192, 0, 2, 77]));
        assert!(within("127.0.0.1:5").await.is_err());
    }

    fn files() -> Files {
        Files { tls_pem: "/nowhere/tls.pem".into(), root_pem: "/nowhere/root.pem".into() }
    }

    #[test]
    fn endpoints_name_a_host() {
        assert_eq!(
            address("tls/fleet.example:7447"),
            Some(("fleet.example:7447", "fleet.example"))
        );
        assert_eq!(address("tls/[::1]:7447"), Some(("[::1]:7447", "::1")));
        for wrong in ["tcp/127.0.0.1:7447", "tls/fleet.example", "tls/fleet.example:port"] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn only_endpoints_of_tls_have_a_tunnel() {
        for wrong in ["tcp/127.0.0.1:7447", "tls/7447", "tls/a b:1"] {
            let error = Tunnel::open(wrong, files()).unwrap_err();
            assert!(matches!(error, TunnelError::Endpoint(_)), "{wrong}: {error}");
        }
    }

    #[tokio::test]
    async fn a_link_without_certificates_is_closed_and_says_why() {
        let tunnel = Tunnel::open("tls/127.0.0.1:1", files()).unwrap();
        let path = PathBuf::from(tunnel.endpoint().strip_prefix("unixsock-stream/").unwrap());
        let mode = std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "nobody else may connect");
        let mut client = UnixStream::connect(&path).await.unwrap();
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(tunnel.trouble().unwrap().contains("/nowhere/root.pem"), "{:?}", tunnel.trouble());
        drop(tunnel);
        assert!(!path.exists(), "nothing is left behind");
    }
}
