//! One client: its engine, its relayed address, and what it may use of both.

use crate::context::{Context, Full, Slot, is_told, wall_s};
use crate::frame;
use crate::gate::{Gate, Verdict};
use crate::limits::Bucket;
use bytes::Bytes;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use turn_server_proto::api::{
    DelayedMessageOrChannelSend, SocketAllocateError, Transmit, TurnServerApi, TurnServerPollRet,
};
use turn_server_proto::server::TurnServer;
use turn_server_proto::types::transmit::TransmitBuild;
use turn_server_proto::types::{AddressFamily, TransportType};

/// How long somebody may take to get an allocation, and how many messages.
pub(crate) const PENDING_MAX: Duration = Duration::from_secs(10);
const PENDING_MESSAGES_MAX: u32 = 24;
/// Datagrams that wait for a client's engine.
pub(crate) const INLET_LEN: usize = 64;
/// Ports that are tried until one is free.
const PORT_TRIES: u16 = 64;
/// Turns of the engine's crank after one event. It is done in two or three.
const TURNS_MAX: u32 = 64;

/// The way back to a client.
#[derive(Debug)]
pub(crate) enum Way {
    /// Over the server's socket.
    Udp(Arc<UdpSocket>),
    /// Through the task that writes its connection.
    Tcp(mpsc::Sender<Vec<u8>>),
}

/// A relayed address.
#[derive(Debug)]
struct Relayed {
    socket: UdpSocket,
    /// As the world sees it.
    address: SocketAddr,
    made: Instant,
    _slot: Slot,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    context: Arc<Context>,
    address: SocketAddr,
    way: Way,
    gate: Gate,
    engine: TurnServer,
    relayed: Option<Relayed>,
    /// Whether it has an allocation, for those who count the ones that have none.
    allocated: Arc<AtomicBool>,
    over: bool,
    began: Instant,
    messages: u32,
    wake: Instant,
    inward: Bucket,
    outward: Bucket,
}

impl Client {
    pub(crate) fn new(
        context: Arc<Context>,
        address: SocketAddr,
        way: Way,
        allocated: Arc<AtomicBool>,
    ) -> Self {
        let now = Instant::now();
        let options = &context.options;
        let (secret, realm) = (options.secret.clone(), options.realm.clone());
        let gate = Gate::new(secret, realm.clone(), options.peers.clone(), options.public);
        let per_s = options.limits.bytes_per_s_max;
        // Streams are taken apart before, so the engine sees datagrams whatever way they came.
        let engine = TurnServer::new(TransportType::Udp, context.listen, realm);
        Self {
            address,
            way,
            gate,
            engine,
            relayed: None,
            allocated,
            over: false,
            began: now,
            messages: 0,
            wake: now + PENDING_MAX,
            inward: Bucket::new(per_s, now),
            outward: Bucket::new(per_s, now),
            context,
        }
    }

    /// Serves until the client is gone, its allocation has ended, or it never got one.
    pub(crate) async fn run(mut self, mut inlet: mpsc::Receiver<Bytes>) {
        let mut buffer = vec![0; frame::LEN_MAX];
        while !self.over {
            let event = tokio::select! {
                message = inlet.recv() => Event::Message(message),
                got = receive(self.relayed.as_ref(), &mut buffer) => Event::Datagram(got),
                () = tokio::time::sleep_until(self.wake.into()) => Event::Time,
            };
            let now = Instant::now();
            match event {
                Event::Message(Some(message)) => self.hear_client(message, now),
                Event::Message(None) => break,
                Event::Datagram(Ok((len, from))) => {
                    let data = buffer.get(..len).unwrap_or_default().to_vec();
                    self.hear_peer(data, from, now);
                }
                // An ICMP error of an earlier datagram; the next one may pass.
                Event::Datagram(Err(error)) => tracing::trace!(%error, "relayed socket"),
                Event::Time => {}
            }
            self.crank(now).await;
        }
        if let Some(relayed) = &self.relayed {
            tracing::debug!(client = %self.address, relayed = %relayed.address, "the relay's client has gone");
        }
    }

    fn hear_client(&mut self, message: Bytes, now: Instant) {
        let stats = &self.context.stats;
        if !self.inward.take(message.len(), now) {
            stats.dropped.add(1);
            return;
        }
        if self.relayed.is_none() {
            self.messages += 1;
            self.over |= self.messages > PENDING_MESSAGES_MAX;
        }
        match self.gate.look(&message, wall_s()) {
            Verdict::Pass => {}
            Verdict::Learn(known) => self.engine.add_user(known.username, known.password),
            Verdict::Unknown(refused) => {
                if is_told(stats.refused_credentials.add(1)) {
                    tracing::warn!(client = %self.address, "relay: {refused}");
                }
            }
            Verdict::Forbidden(peer, answer) => {
                if is_told(stats.refused_peers.add(1)) {
                    let user = self.gate.username().unwrap_or_default();
                    tracing::warn!(client = %self.address, user, %peer, "relay: this peer may not be reached");
                }
                self.to_client(answer);
                return;
            }
            Verdict::Drop => {
                stats.dropped.add(1);
                return;
            }
        }
        let (from, to) = (self.address, self.context.listen);
        let arrived = Transmit::new(message, TransportType::Udp, from, to);
        let time = self.context.engine_time(now);
        if let Some(out) = self.engine.recv(arrived, time) {
            self.send(out);
        }
    }

    fn hear_peer(&mut self, data: Vec<u8>, mut from: SocketAddr, now: Instant) {
        let Some(relayed) = &self.relayed else { return };
        // Relayed addresses of this server see each other where their sockets are.
        if from.ip() == self.context.listen.ip() && self.context.is_relayed(from) {
            from.set_ip(self.context.options.public);
        }
        if !self.context.reaches(from) || !self.outward.take(data.len(), now) {
            self.context.stats.dropped.add(1);
            return;
        }
        self.context.stats.bytes.add(u64::try_from(data.len()).unwrap_or(0));
        let arrived = Transmit::new(data, TransportType::Udp, from, relayed.address);
        let time = self.context.engine_time(now);
        if let Some(out) = self.engine.recv(arrived, time) {
            self.send(out);
        }
    }

    fn send<T: AsRef<[u8]> + std::fmt::Debug>(
        &mut self,
        out: TransmitBuild<DelayedMessageOrChannelSend<T>>,
    ) {
        let Transmit { data, to, .. } = out.build();
        if to == self.address {
            self.to_client(data);
        } else {
            self.to_peer(&data, to);
        }
    }

    fn to_client(&self, data: Vec<u8>) {
        // What can't go at once is dropped: it is worth less with every millisecond.
        let sent = match &self.way {
            Way::Udp(socket) => socket.try_send_to(&data, self.address).is_ok(),
            Way::Tcp(writer) => writer.try_send(frame::padded(data)).is_ok(),
        };
        if !sent {
            self.context.stats.dropped.add(1);
        }
    }

    fn to_peer(&self, data: &[u8], mut to: SocketAddr) {
        let Some(relayed) = &self.relayed else { return };
        let context = &self.context;
        if !context.reaches(to) {
            if is_told(context.stats.refused_peers.add(1)) {
                tracing::warn!(client = %self.address, peer = %to, "relay: this peer may not be reached");
            }
            return;
        }
        if to.ip() == context.options.public && context.is_relayed(to) {
            to.set_ip(context.listen.ip());
        }
        if relayed.socket.try_send_to(data, to).is_ok() {
            context.stats.bytes.add(u64::try_from(data.len()).unwrap_or(0));
        } else {
            context.stats.dropped.add(1);
        }
    }

    /// Does what the engine wants done, and notes when it wants to be asked again.
    async fn crank(&mut self, now: Instant) {
        for _turn in 0..TURNS_MAX {
            let time = self.context.engine_time(now);
            match self.engine.poll(time) {
                TurnServerPollRet::AllocateSocket {
                    transport,
                    listen_addr,
                    client_addr,
                    allocation_transport,
                    family,
                } => {
                    let made = self.allocate(allocation_transport, family, now).await;
                    self.engine.allocated_socket(
                        transport,
                        listen_addr,
                        client_addr,
                        allocation_transport,
                        family,
                        made,
                        time,
                    );
                }
                TurnServerPollRet::SocketClose { .. } => {
                    self.relayed = None;
                    self.over = true;
                }
                // Connections to peers are not offered.
                TurnServerPollRet::TcpConnect { .. } | TurnServerPollRet::TcpClose { .. } => {
                    self.over = true;
                    break;
                }
                TurnServerPollRet::WaitUntil(until) => {
                    self.wake = self.context.std_time(until);
                    break;
                }
            }
        }
        while let Some(Transmit { data, .. }) =
            self.engine.poll_transmit(self.context.engine_time(now))
        {
            self.to_client(data);
        }
        let end = match &self.relayed {
            None => self.began + PENDING_MAX,
            Some(relayed) => relayed.made + self.context.options.limits.lifetime_max,
        };
        self.over |= now >= end;
        // Never at once again: a slip of the engine's must not spin a core.
        self.wake = self.wake.min(end).max(now + Duration::from_millis(1));
    }

    async fn allocate(
        &mut self,
        transport: TransportType,
        family: AddressFamily,
        now: Instant,
    ) -> Result<SocketAddr, SocketAllocateError> {
        let context = Arc::clone(&self.context);
        if (family == AddressFamily::IPV4) != context.options.public.is_ipv4() {
            return Err(SocketAllocateError::AddressFamilyNotSupported);
        }
        if transport != TransportType::Udp || self.relayed.is_some() {
            return Err(SocketAllocateError::InsufficientCapacity);
        }
        let user = self.gate.username().unwrap_or_default().to_owned();
        let refuse = |why: &dyn std::fmt::Display| {
            if is_told(context.stats.refused_full.add(1)) {
                tracing::warn!(client = %self.address, user, "relay: {why}");
            }
            SocketAllocateError::InsufficientCapacity
        };
        let mut slot = context.take(&user).map_err(|full: Full| refuse(&full))?;
        let socket = bind(&context).await.map_err(|error| refuse(&error))?;
        let port = socket.local_addr().map_err(|error| refuse(&error))?.port();
        slot.keep_port(port);
        let address = SocketAddr::new(context.options.public, port);
        let active = context.active();
        tracing::info!(client = %self.address, user, relayed = %address, active, "relay: a path was opened");
        context.stats.allocations.add(1);
        self.allocated.store(true, Ordering::Release);
        self.relayed = Some(Relayed { socket, address, made: now, _slot: slot });
        Ok(address)
    }
}

enum Event {
    Message(Option<Bytes>),
    Datagram(io::Result<(usize, SocketAddr)>),
    Time,
}

async fn receive(relayed: Option<&Relayed>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match relayed {
        Some(relayed) => relayed.socket.recv_from(buffer).await,
        None => std::future::pending().await,
    }
}

/// A socket on a free port of those that were named.
async fn bind(context: &Context) -> io::Result<UdpSocket> {
    let ip = context.listen.ip();
    let Some(ports) = &context.options.ports else { return UdpSocket::bind((ip, 0)).await };
    let (first, last) = (*ports.start(), *ports.end());
    let many = u32::from(last.saturating_sub(first)) + 1;
    let mut random = [0; 4];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random)
        .map_err(|_unspecified| io::Error::other("the system has no random bytes"))?;
    let start = u32::from_le_bytes(random) % many;
    let mut failed = io::Error::other("no port is named");
    for step in 0..u32::from(PORT_TRIES).min(many) {
        let port = first.saturating_add(u16::try_from((start + step) % many).unwrap_or(0));
        match UdpSocket::bind((ip, port)).await {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
