//! TLS in front of the HTTP server, and bounds for who connects: a handshake has its time, and nobody takes all places.

use anyhow::Result;
use axum::serve::Listener;
use rustls::crypto::ring;
use rustls::server::ResolvesServerCert;
use rustls::{ServerConfig, version::TLS12, version::TLS13};
use std::collections::HashMap;
use std::io::{self, Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Connections at the same time, handshakes included.
const CONNECTIONS_MAX: usize = 2_048;
/// Connections of one address: a browser opens six and a stream of events.
const CONNECTIONS_PER_ADDRESS: usize = 128;
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// After the handshake, the first byte of a request must come within this time.
const FIRST_BYTE_WITHIN: Duration = Duration::from_secs(30);
/// What a client is told that speaks plain HTTP here.
const WRONG_SCHEME: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\n\
    content-length: 56\r\n\r\nThis port speaks HTTPS: begin the address with https://\n";

/// How many connections each address has.
#[derive(Debug, Default)]
struct Places(Mutex<(usize, HashMap<IpAddr, usize>)>);

/// One connection's place, given back when it is dropped.
#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    ip: IpAddr,
}

impl Places {
    fn lock(&self) -> MutexGuard<'_, (usize, HashMap<IpAddr, usize>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        let mut open = self.lock();
        let of_ip = open.1.get(&ip).copied().unwrap_or(0);
        if open.0 >= CONNECTIONS_MAX || of_ip >= CONNECTIONS_PER_ADDRESS {
            return None;
        }
        open.0 += 1;
        open.1.insert(ip, of_ip + 1);
        drop(open);
        Some(Place { places: Arc::clone(self), ip })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.lock();
        open.0 = open.0.saturating_sub(1);
        if let Some(n) = open.1.get_mut(&self.ip) {
            *n = n.saturating_sub(1);
            if *n == 0 {
                open.1.remove(&self.ip);
            }
        }
    }
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    /// Until when the first byte must have come; `None` once it has.
    deadline: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Pending => {
                if let Some(deadline) = &mut self.deadline {
                    ready!(deadline.as_mut().poll(cx));
                    return Poll::Ready(Err(Error::from(ErrorKind::TimedOut)));
                }
                Poll::Pending
            }
            ready => {
                self.deadline = None;
                ready
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Gives connections whose handshake is done.
#[derive(Debug)]
pub struct TlsListener {
    done: mpsc::Receiver<(Connection, SocketAddr)>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TlsListener {
    /// Begins to take connections of `listener`.
    pub fn new(listener: TcpListener, certificate: Arc<dyn ResolvesServerCert>) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(certificate);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let (send, done) = mpsc::channel(64);
        let address = listener.local_addr()?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let task = tokio::spawn(accept_all(listener, acceptor, send));
        Ok(Self { done, address, task })
    }
}

impl Listener for TlsListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.done.recv().await {
            Some(connection) => connection,
            // The accepting task is gone only when the program ends.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

async fn accept_all(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    done: mpsc::Sender<(Connection, SocketAddr)>,
) {
    let places = Arc::new(Places::default());
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of files, say: others may close some.
                tracing::debug!(%error, "a connection was not accepted");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(place) = places.enter(peer.ip()) else {
            tracing::debug!(%peer, "too many connections");
            continue;
        };
        let (acceptor, done) = (acceptor.clone(), done.clone());
        tokio::spawn(async move {
            match timeout(HANDSHAKE_WITHIN, handshake(stream, acceptor)).await {
                Ok(Ok(Some(stream))) => {
                    let deadline = Some(Box::pin(sleep(FIRST_BYTE_WITHIN)));
                    let connection = Connection { stream, deadline, _place: place };
                    // An error means that the gateway stops.
                    done.send((connection, peer)).await.ok();
                }
                Ok(Ok(None)) => tracing::debug!(%peer, "plain HTTP on the port of HTTPS"),
                Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
                Err(_elapsed) => tracing::debug!(%peer, "no TLS in time"),
            }
        });
    }
}

async fn handshake(
    mut stream: TcpStream,
    acceptor: TlsAcceptor,
) -> io::Result<Option<TlsStream<TcpStream>>> {
    // Small answers must not wait for more; failing to say so costs only time.
    stream.set_nodelay(true).ok();
    let mut first = [0];
    // A TLS record of a handshake begins with 22; a method of HTTP with a letter.
    if stream.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase() {
        stream.write_all(WRONG_SCHEME).await?;
        stream.shutdown().await?;
        return Ok(None);
    }
    acceptor.accept(stream).await.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_places_and_places_are_given_back() {
        let places = Arc::new(Places::default());
        let ip = |n: u8| IpAddr::from([10, 0, 0, n]);
        let mut one: Vec<_> =
            (0..CONNECTIONS_PER_ADDRESS).filter_map(|_| places.enter(ip(1))).collect();
        assert_eq!(one.len(), CONNECTIONS_PER_ADDRESS);
        assert!(places.enter(ip(1)).is_none());
        assert!(places.enter(ip(2)).is_some(), "another has places all the same");
        one.pop();
        assert!(places.enter(ip(1)).is_some());
        let all: Vec<_> = (2..=255)
            .flat_map(|n| (0..CONNECTIONS_PER_ADDRESS).map(move |_| n))
            .filter_map(|n| places.enter(ip(n)))
            .collect();
        assert_eq!(all.len() + one.len(), CONNECTIONS_MAX);
        drop((one, all));
        assert!(places.lock().1.is_empty() && places.lock().0 == 0);
    }

    #[test]
    fn the_length_of_the_plain_answer_is_true() {
        let text = std::str::from_utf8(WRONG_SCHEME).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
    }
}
