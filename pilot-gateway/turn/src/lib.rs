//! A TURN server (RFC 8656) inside another program: the path of a pilot whose network lets nothing else through.
//!
//! The protocol is `turn-server-proto`'s, which does no I/O. Here are the sockets, and what keeps a server on the open
//! internet from being abused: credentials that end ([`credentials`]), peers that may be reached ([`peers`]), and bounds
//! on all that anybody can occupy ([`Limits`]). Each client has a protocol engine of its own, in a task of its own, which
//! ends with the client: nothing is shared that could grow, and what trips one client's engine trips no other's.
//!
//! Clients come over UDP or TCP; what they reach is reached over UDP.

mod client;
mod context;
pub mod credentials;
mod frame;
mod gate;
mod limits;
pub mod peers;
mod tcp;
mod udp;

pub use context::{Count, Stats};
pub use credentials::{Credentials, Secret};
pub use limits::Limits;
pub use peers::{Network, Peers};

use context::Context;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::task::JoinHandle;

/// What to append to a log filter: the engine tells each refusal as an error, and each packet at length.
pub const LOG_FILTER: &str = "turn_server_proto=off,stun_proto=off,stun_types=off,turn_types=off";

/// What a client's socket may hold that was not sent yet, bytes: what waits longer is a picture nobody needs any more.
const TCP_SEND_BUFFER_LEN: u32 = 64 * 1024;
const TCP_BACKLOG: u32 = 256;

/// How a server is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address to listen on, UDP and TCP. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The address under which it is reached from outside.
    pub public: IpAddr,
    /// Ports of relayed addresses; `None` takes what the system gives.
    pub ports: Option<RangeInclusive<u16>>,
    /// The realm that clients are told.
    pub realm: String,
    /// What makes and checks credentials.
    pub secret: Secret,
    /// Whom clients may reach.
    pub peers: Peers,
    /// How much clients may occupy.
    pub limits: Limits,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({transport}): {source}")]
pub struct StartError {
    /// Where.
    pub address: SocketAddr,
    /// `udp` or `tcp`.
    pub transport: &'static str,
    source: io::Error,
}

/// A running server. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    context: Arc<Context>,
    tasks: [JoinHandle<()>; 2],
}

impl Server {
    /// Starts to serve. Within a Tokio runtime.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let (udp, tcp) = bind(options.listen).await?;
        let failed = |transport, source| StartError { address: options.listen, transport, source };
        let address = udp.local_addr().map_err(|source| failed("udp", source))?;
        let context = Arc::new(Context::new(options, address));
        let tasks = [
            tokio::spawn(udp::serve(Arc::clone(&context), Arc::new(udp))),
            tokio::spawn(tcp::serve(Arc::clone(&context), tcp)),
        ];
        Ok(Self { address, context, tasks })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it did so far.
    pub fn stats(&self) -> &Stats {
        &self.context.stats
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Both sockets on one port.
async fn bind(listen: SocketAddr) -> Result<(UdpSocket, TcpListener), StartError> {
    let failed = |transport, source| StartError { address: listen, transport, source };
    let udp = UdpSocket::bind(listen).await.map_err(|source| failed("udp", source))?;
    let address = udp.local_addr().map_err(|source| failed("udp", source))?;
    let tcp = || -> io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        // Inherited by what is accepted.
        socket.set_send_buffer_size(TCP_SEND_BUFFER_LEN)?;
        socket.bind(address)?;
        socket.listen(TCP_BACKLOG)
    };
    let tcp = tcp().map_err(|source| failed("tcp", source))?;
    Ok((udp, tcp))
}
