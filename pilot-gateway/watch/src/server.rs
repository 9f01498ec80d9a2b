//! The shell around the hub: one socket, one task.

use crate::batch::Outlet;
use crate::cache::Frame;
use crate::hub::Hub;
use crate::join::{Join, Joined, Limits, Refused, StreamId, ViewerId};
use crate::sdp::Ice;
use crate::secure::Identity;
use crate::stats::Stats;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

const TICK: Duration = Duration::from_millis(50);
/// Frames of all streams that may wait: one beat of a few dozen robots.
const FRAMES: usize = 128;
const ORDERS: usize = 256;
/// Buffers for one call; each may hold several datagrams that the system put together.
const BUFFERS: usize = 8;
const BUFFER_LEN: usize = 64 * 1024;
/// Wanted for bursts: keyframes to many viewers.
const SOCKET_BUFFER_LEN: usize = 4 << 20;

/// How a server is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// UDP address to listen on. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Addresses under which viewers reach it, the best first.
    pub public: Vec<IpAddr>,
    /// How many viewers there may be.
    pub limits: Limits,
}

impl Default for Options {
    /// On this machine only, at a free port.
    fn default() -> Self {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self { listen: SocketAddr::new(ip, 0), public: vec![ip], limits: Limits::default() }
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be used.
    #[error("cannot listen on {address} (udp): {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// No certificate can be made.
    #[error("no certificate for viewers can be made: {0}")]
    Certificate(String),
}

enum Order {
    Join(Box<Join>, oneshot::Sender<Result<Joined, Refused>>),
    Restart(ViewerId, String, Option<Ice>, oneshot::Sender<Restarted>),
    Leave(ViewerId, String, oneshot::Sender<bool>),
}

/// What became of a viewer's fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restarted {
    /// There is no such viewer of this account.
    Unknown,
    /// It goes on as it was.
    Same,
    /// Its ICE begins anew, with this fragment and entity tag.
    Anew {
        /// What the viewer needs to know.
        fragment: String,
        /// Names the new session.
        etag: String,
    },
    /// No new names can be made.
    Failed(Refused),
}

/// Streams that somebody sees; the number grows when a keyframe is wished for.
pub type Wants = BTreeMap<StreamId, u64>;

/// A running server. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    orders: mpsc::Sender<Order>,
    frames: mpsc::Sender<(StreamId, Frame)>,
    wants: watch::Receiver<Wants>,
    stats: Arc<Stats>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts to serve. Within a Tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn start(options: &Options) -> Result<Self, StartError> {
        let address = options.listen;
        let failed = |source| StartError::Listen { address, source };
        let socket = std::net::UdpSocket::bind(address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let socket = UdpSocket::from_std(socket).map_err(failed)?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket)).map_err(failed)?;
        for set in [UdpSocketState::set_send_buffer_size, UdpSocketState::set_recv_buffer_size] {
            if let Err(error) = set(&state, UdpSockRef::from(&socket), SOCKET_BUFFER_LEN) {
                tracing::debug!(%error, "the system keeps its buffers");
            }
        }
        let address = socket.local_addr().map_err(failed)?;
        let reached = options.public.iter().map(|ip| SocketAddr::new(*ip, address.port()));
        let identity = Identity::generate();
        let identity = identity.map_err(|error| StartError::Certificate(error.to_string()))?;
        let stats = Arc::new(Stats::default());
        let hub = Hub::new(identity, reached.collect(), options.limits, Arc::clone(&stats));
        let (orders, orders_in) = mpsc::channel(ORDERS);
        let (frames, frames_in) = mpsc::channel(FRAMES);
        let (wants_out, wants) = watch::channel(Wants::new());
        let (stop, stopped) = watch::channel(false);
        let io = Io { socket, state, stats: Arc::clone(&stats) };
        let inlets = Inlets { orders: orders_in, frames: frames_in, stopped };
        let task = tokio::spawn(run(hub, io, inlets, wants_out));
        Ok(Self { address, orders, frames, wants, stats, stop, task })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it did so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The streams that somebody sees, as they change.
    pub fn wants(&self) -> watch::Receiver<Wants> {
        self.wants.clone()
    }

    /// Lets a viewer in.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn join(&self, join: Join) -> Result<Joined, Refused> {
        let (answer, answered) = oneshot::channel();
        let sent = self.orders.send(Order::Join(Box::new(join), answer)).await;
        sent.map_err(|_gone| Refused::Stopped)?;
        answered.await.map_err(|_gone| Refused::Stopped)?
    }

    /// Takes a viewer's fragment: candidates, which this end does not need, or an ICE restart.
    pub async fn restart(&self, viewer: ViewerId, account: &str, theirs: Option<Ice>) -> Restarted {
        let (answer, answered) = oneshot::channel();
        let order = Order::Restart(viewer, account.to_owned(), theirs, answer);
        if self.orders.send(order).await.is_err() {
            return Restarted::Unknown;
        }
        answered.await.unwrap_or(Restarted::Unknown)
    }

    /// Ends a viewer. False: there is none of this name and account.
    pub async fn leave(&self, viewer: ViewerId, account: &str) -> bool {
        let (answer, answered) = oneshot::channel();
        let sent = self.orders.send(Order::Leave(viewer, account.to_owned(), answer)).await;
        sent.is_ok() && answered.await.unwrap_or(false)
    }

    /// Hands over the next frame of a stream; never waits. False: it was dropped, and a keyframe will be wished for.
    pub fn frame(&self, stream: &StreamId, frame: Frame) -> bool {
        self.frames.try_send((Arc::clone(stream), frame)).is_ok()
    }

    /// Says goodbye to every viewer and ends; does not wait.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Inlets {
    orders: mpsc::Receiver<Order>,
    frames: mpsc::Receiver<(StreamId, Frame)>,
    stopped: watch::Receiver<bool>,
}

struct Io {
    socket: UdpSocket,
    state: UdpSocketState,
    stats: Arc<Stats>,
}

impl Outlet for Io {
    fn send(&mut self, to: SocketAddr, contents: &[u8], segment: Option<usize>) {
        // Where one call takes one datagram, as many calls as there are.
        let whole = segment.is_none() || self.state.max_gso_segments() > 1;
        let at_once = if whole { contents.len() } else { segment.unwrap_or(contents.len()) };
        for contents in contents.chunks(at_once.max(1)) {
            let segment_size = segment.filter(|_| whole);
            let transmit =
                Transmit { destination: to, ecn: None, contents, segment_size, src_ip: None };
            let (socket, state) = (&self.socket, &self.state);
            let sent = socket
                .try_io(Interest::WRITABLE, || state.try_send(UdpSockRef::from(socket), &transmit));
            if let Err(error) = sent {
                tracing::trace!(%to, %error, "not sent");
                Stats::add(&self.stats.blocked, 1);
            }
        }
    }
}

async fn run(mut hub: Hub, mut io: Io, mut inlets: Inlets, wants: watch::Sender<Wants>) {
    let mut buffers = vec![vec![0_u8; BUFFER_LEN]; BUFFERS.min(BATCH_SIZE)];
    let mut metas = vec![RecvMeta::default(); buffers.len()];
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // Frames first: whatever else comes, and however much of it, the picture goes on.
        tokio::select! {
            biased;
            () = async { drop(inlets.stopped.wait_for(|stop| *stop).await) } => {
                hub.stop(Instant::now(), &mut io);
                return;
            }
            Some((stream, frame)) = inlets.frames.recv() => {
                hub.frame(&stream, &frame, Instant::now(), &mut io);
            }
            _tick = tick.tick() => hub.tick(Instant::now(), SystemTime::now(), &mut io),
            Some(order) = inlets.orders.recv() => obey(&mut hub, &mut io, order),
            readable = io.socket.readable() => {
                if readable.is_ok() {
                    receive(&mut hub, &mut io, &mut buffers, &mut metas);
                }
            }
        }
        io.stats.viewers.store(u64::try_from(hub.viewers()).unwrap_or(0), Ordering::Relaxed);
        if let Some(now) = hub.poll_wants() {
            wants.send_replace(now);
        }
    }
}

fn obey(hub: &mut Hub, io: &mut Io, order: Order) {
    let now = Instant::now();
    // Whoever asked may be gone; that changes nothing.
    match order {
        Order::Join(join, answer) => drop(answer.send(hub.join(*join, now))),
        Order::Leave(viewer, account, answer) => {
            let left = hub.is_of(viewer, &account) && hub.leave(viewer, now, io);
            answer.send(left).ok();
        }
        Order::Restart(viewer, account, theirs, answer) => {
            let restarted = if hub.is_of(viewer, &account) {
                match hub.restart(viewer, theirs) {
                    Ok(None) => Restarted::Same,
                    Ok(Some((fragment, etag))) => Restarted::Anew { fragment, etag },
                    Err(refused) => Restarted::Failed(refused),
                }
            } else {
                Restarted::Unknown
            };
            drop(answer.send(restarted));
        }
    }
}

/// One call's worth of datagrams.
fn receive(hub: &mut Hub, io: &mut Io, buffers: &mut [Vec<u8>], metas: &mut [RecvMeta]) {
    let (socket, state) = (&io.socket, &io.state);
    let mut slices: Vec<IoSliceMut<'_>> = buffers.iter_mut().map(|b| IoSliceMut::new(b)).collect();
    let received = socket
        .try_io(Interest::READABLE, || state.recv(UdpSockRef::from(socket), &mut slices, metas));
    let Ok(count) = received else { return };
    let now = Instant::now();
    for (buffer, meta) in buffers.iter().zip(metas.iter()).take(count) {
        let datagrams = buffer.get(..meta.len).unwrap_or_default();
        for datagram in datagrams.chunks(meta.stride.max(1)) {
            hub.datagram(meta.addr, datagram, now, io);
        }
    }
}
