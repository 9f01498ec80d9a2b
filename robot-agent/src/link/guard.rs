//! Stands between the sockets and the WebRTC stack: who may be heard at all, and how much of it.
//!
//! The stack reads whatever reaches its ports, looks for the sender in lists, and makes a candidate of each address that knows
//! the session's secret, with pairs that it checks for as long as the session lasts. So a stranger's flood would cost as much as
//! a driver's packets, and a driver with thousands of ports would cost without end. Here a packet passes only from an address
//! that this end has sent something to, or that has named this session's user fragment in a STUN request, as an address does
//! that a driver's end has changed to. Both are bounded, and so are all packets of a second. Nothing here replaces a check
//! of the stack: what passes is still to be authenticated.

use crate::clock;
use protocol::units::MonoMs;
use std::collections::BTreeSet;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime,
    TokioRuntime, Transmit,
};

/// Addresses from which a driver's end may come during one session: its interfaces, and those that it changes to.
const HEARD_MAX: usize = 64;
/// Addresses that this end may have sent to: the far end's candidates, and servers.
const ASKED_MAX: usize = 256;
/// Packets in a second, and at once. A driver's end sends a few hundred, and the longest message of the session lane takes sixty.
const PER_SECOND_MAX: u64 = 4_000;
/// Reads in a row that gave nothing to pass on; then others get their turn.
const READS_MAX: u32 = 16;
/// Every so many refused packets the log says so.
const TOLD_EVERY: u64 = 4_096;

/// Decides which packets pass.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// This end's user fragment, once it is in an answer.
    ufrag: OnceLock<String>,
    known: Mutex<Known>,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Known {
    heard: BTreeSet<SocketAddr>,
    asked: BTreeSet<SocketAddr>,
    /// The second that is counted, and its packets.
    second: u64,
    count: u64,
}

impl Guard {
    /// Tells how STUN requests to this session are known: by the fragment in this answer.
    pub(super) fn answer(&self, sdp: &str) {
        let mut lines = sdp.lines();
        let found = lines.find_map(|line| line.trim_end().strip_prefix("a=ice-ufrag:"));
        if let Some(ufrag) = found.filter(|ufrag| !ufrag.is_empty()) {
            self.ufrag.get_or_init(|| ufrag.to_owned());
        }
    }

    /// Packets that did not pass.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Something is sent there.
    fn asks(&self, to: SocketAddr) {
        let mut known = self.known();
        if known.asked.len() < ASKED_MAX {
            known.asked.insert(to);
        }
    }

    /// Whether a packet passes.
    fn passes(&self, from: SocketAddr, packet: &[u8], now: MonoMs) -> bool {
        let passes = {
            let mut known = self.known();
            known.is_known(from, || self.is_for_us(packet)) && known.has_room(now)
        };
        if !passes {
            let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
            if refused.is_multiple_of(TOLD_EVERY) {
                tracing::warn!(refused, %from, "packets of strangers, or too many of them, are dropped");
            }
        }
        passes
    }

    fn is_for_us(&self, packet: &[u8]) -> bool {
        let Some(ufrag) = self.ufrag.get() else { return false };
        let named = stun_username(packet).and_then(|name| name.strip_prefix(ufrag.as_bytes()));
        named.is_some_and(|rest| rest.starts_with(b":"))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_known(&mut self, from: SocketAddr, is_for_us: impl FnOnce() -> bool) -> bool {
        if self.heard.contains(&from) || self.asked.contains(&from) {
            return true;
        }
        let may = self.heard.len() < HEARD_MAX && is_for_us();
        may && self.heard.insert(from)
    }

    fn has_room(&mut self, now: MonoMs) -> bool {
        let second = now.0 / 1_000;
        if second != self.second {
            (self.second, self.count) = (second, 0);
        }
        self.count += 1;
        self.count <= PER_SECOND_MAX
    }
}

/// The user name of a STUN binding request (RFC 8489, 5 and 14.3); none of anything else.
fn stun_username(packet: &[u8]) -> Option<&[u8]> {
    const REQUEST: [u8; 2] = [0, 1];
    const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
    const USERNAME: u16 = 6;
    let (header, mut rest) = packet.split_first_chunk::<20>()?;
    let [kind @ .., _, _] = *header.first_chunk::<4>()?;
    if kind != REQUEST || header.get(4..8)? != COOKIE {
        return None;
    }
    loop {
        let (head, after) = rest.split_first_chunk::<4>()?;
        let [k1, k0, l1, l0] = *head;
        let len = usize::from(u16::from_be_bytes([l1, l0]));
        if u16::from_be_bytes([k1, k0]) == USERNAME {
            return after.get(..len);
        }
        rest = after.get(len.next_multiple_of(4)..)?;
    }
}

/// Tokio, with guarded sockets.
#[derive(Debug)]
pub(super) struct Guarded(pub(super) Arc<Guard>);

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Runtime for Guarded {
    fn spawn(&self, future: Boxed<'static, ()>) -> Box<dyn JoinHandle> {
        TokioRuntime.spawn(future)
    }

    fn spawn_reactor(&self, size: usize, future: Boxed<'static, ()>) -> Box<dyn JoinHandle> {
        TokioRuntime.spawn_reactor(size, future)
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let socket = TokioRuntime.wrap_udp_socket(socket)?;
        Ok(Arc::new(GuardedSocket { socket, guard: Arc::clone(&self.0) }))
    }

    fn wrap_tcp_listener(
        &self,
        listener: std::net::TcpListener,
    ) -> io::Result<Arc<dyn AsyncTcpListener>> {
        TokioRuntime.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(
        &'a self,
        remote: SocketAddr,
    ) -> Boxed<'a, io::Result<Arc<dyn AsyncTcpStream>>> {
        TokioRuntime.connect_tcp(remote)
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> Boxed<'a, io::Result<Vec<SocketAddr>>> {
        TokioRuntime.resolve_host(host)
    }

    fn sleep(&self, duration: Duration) -> Boxed<'static, ()> {
        TokioRuntime.sleep(duration)
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        TokioRuntime.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        TokioRuntime.block_on(future);
    }

    fn yield_now(&self) -> Boxed<'static, ()> {
        TokioRuntime.yield_now()
    }
}

/// A socket that passes on what the guard lets through.
#[derive(Debug)]
struct GuardedSocket {
    socket: Arc<dyn AsyncUdpSocket>,
    guard: Arc<Guard>,
}

impl AsyncUdpSocket for GuardedSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        self.guard.asks(transmit.destination);
        self.socket.poll_send(cx, transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        for _read in 0..READS_MAX {
            let count = match self.socket.poll_recv(cx, bufs, meta) {
                Poll::Ready(Ok(count)) => count,
                other => return other,
            };
            let passed = self.sift(count, bufs, meta);
            if passed > 0 || count == 0 {
                return Poll::Ready(Ok(passed));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn max_gso_segments(&self) -> usize {
        self.socket.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.socket.max_gro_segments()
    }
}

impl GuardedSocket {
    /// Brings those of `count` messages that pass to the front, and tells how many they are.
    fn sift(&self, count: usize, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> usize {
        let now = clock::mono_ms();
        let mut passed = 0;
        for index in 0..count.min(bufs.len()).min(meta.len()) {
            let (front, back) = bufs.split_at_mut(index);
            let (Some(message), Some(told)) = (back.first(), meta.get(index).copied()) else {
                continue;
            };
            // Several packets of one sender, one after the other, are judged by the first.
            let bytes = message.get(..told.len).unwrap_or_default();
            let first = bytes.get(..told.stride.clamp(1, bytes.len().max(1))).unwrap_or(bytes);
            if !self.guard.passes(told.addr, first, now) {
                continue;
            }
            // What the caller reads is its own memory: bytes move, not places.
            if let Some(place) = front.get_mut(passed).and_then(|place| place.get_mut(..told.len)) {
                place.copy_from_slice(bytes);
            }
            if let Some(place) = meta.get_mut(passed) {
                *place = told;
            }
            passed += 1;
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:secret\r\n";

    /// A STUN message with a user name after another attribute.
    fn stun(kind: u8, name: &str) -> Vec<u8> {
        let mut packet = vec![0, kind, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        packet.extend([7; 12]);
        packet.extend([0x80, 0x22, 0, 3, 1, 2, 3, 0]);
        packet.extend([0, 6, 0, u8::try_from(name.len()).unwrap()]);
        packet.extend(name.bytes());
        packet.resize(packet.len().next_multiple_of(4), 0);
        packet
    }

    fn from(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn strangers_are_not_heard_before_they_name_the_session_or_are_asked() {
        let (guard, now) = (Guard::default(), MonoMs(5_000));
        let right = stun(1, "abcd:efgh");
        assert!(!guard.passes(from(1), &right, now), "there is no answer yet");
        guard.answer(OURS);
        for wrong in [
            stun(1, "abc:efgh"),
            stun(1, "abcde:efgh"),
            stun(1, "efgh:abcd"),
            stun(1, "abcd"),
            stun(0x11, "abcd:efgh"),
            vec![0x16; 100],
            vec![0x80; 100],
            Vec::new(),
            right[..30].to_vec(),
        ] {
            assert!(!guard.passes(from(1), &wrong, now), "{wrong:?}");
        }
        assert!(guard.passes(from(1), &right, now));
        assert!(guard.passes(from(1), &[0x80; 100], now), "from there on all of it");
        assert!(!guard.passes(from(2), &[0x80; 100], now));
        guard.asks(from(2));
        assert!(guard.passes(from(2), &[0x80; 100], now));
        assert_eq!(guard.refused(), 11);
    }

    #[test]
    fn neither_addresses_nor_packets_are_without_bound() {
        let guard = Guard::default();
        guard.answer(OURS);
        let right = stun(1, "abcd:efgh");
        let heard = (1..=1_000).filter(|port| guard.passes(from(*port), &right, MonoMs(1_000)));
        assert_eq!(heard.count(), HEARD_MAX);
        (2_000..4_000).for_each(|port| guard.asks(from(port)));
        let known = guard.known();
        assert!(known.heard.len() <= HEARD_MAX && known.asked.len() <= ASKED_MAX);
        drop(known);
        let flood = |at: u64| {
            (0..20_000).filter(|_n| guard.passes(from(1), &[0x80; 50], MonoMs(at))).count() as u64
        };
        assert_eq!(flood(2_500), PER_SECOND_MAX);
        assert_eq!(flood(2_999), 0);
        assert_eq!(flood(3_000), PER_SECOND_MAX);
    }

    /// Gives each time the same messages: a port and a byte.
    #[derive(Debug)]
    struct Fixed(Vec<(u16, u8)>);

    impl AsyncUdpSocket for Fixed {
        fn local_addr(&self) -> io::Result<SocketAddr> {
            Ok(from(9))
        }

        fn poll_send(&self, _cx: &mut Context<'_>, _t: &Transmit<'_>) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(0))
        }

        fn poll_recv(
            &self,
            _cx: &mut Context<'_>,
            bufs: &mut [IoSliceMut<'_>],
            meta: &mut [RecvMeta],
        ) -> Poll<io::Result<usize>> {
            for ((buf, meta), (port, byte)) in bufs.iter_mut().zip(meta.iter_mut()).zip(&self.0) {
                let len = usize::from(*byte);
                buf[..len].fill(*byte);
                *meta = RecvMeta::default();
                (meta.addr, meta.len, meta.stride) = (from(*port), len, len);
            }
            Poll::Ready(Ok(self.0.len()))
        }
    }

    #[test]
    fn what_passes_moves_to_the_front_and_where_nothing_does_others_get_their_turn() {
        let guard = Arc::<Guard>::default();
        [2, 4].iter().for_each(|port| guard.asks(from(*port)));
        let socket = |messages: &[(u16, u8)]| GuardedSocket {
            socket: Arc::new(Fixed(messages.to_vec())),
            guard: Arc::clone(&guard),
        };
        let receive = |socket: &GuardedSocket| {
            let mut memory = vec![vec![0_u8; 100]; 4];
            let mut bufs: Vec<_> = memory.iter_mut().map(|buf| IoSliceMut::new(buf)).collect();
            let mut meta = vec![RecvMeta::default(); 4];
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let polled = socket.poll_recv(&mut cx, &mut bufs, &mut meta);
            let Poll::Ready(Ok(count)) = polled else { return Vec::new() };
            let told = meta[..count].iter().zip(&memory);
            told.map(|(meta, buf)| (meta.addr.port(), buf[..meta.len].to_vec())).collect()
        };
        let got = receive(&socket(&[(1, 50), (2, 20), (3, 60), (4, 40)]));
        assert_eq!(got, [(2, vec![20; 20]), (4, vec![40; 40])]);
        assert_eq!(receive(&socket(&[(2, 20), (4, 40)])).len(), 2);
        assert_eq!(receive(&socket(&[(1, 50), (3, 60)])), []);
    }
}
