//! Real peers watch: those of the `webrtc` crate, over loopback.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use bytes::Bytes;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use watch_relay::{Frame, Join, Limits, Offer, Options, Server, StreamId, ViewerId};
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCIceGatheringState, RTCPeerConnectionState, RTCSessionDescription, Registry,
    SettingEngineBuilder, register_default_interceptors,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn options() -> Options {
    Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        public: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        limits: Limits { account_viewers_max: 50, ..Limits::default() },
    }
}

/// An access unit that no decoder shows and every packetiser takes.
fn frame(seq: u64, len: usize) -> Frame {
    let keyframe = seq % 60 == 1;
    let mut data = Vec::new();
    if keyframe {
        data.extend_from_slice(&[0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3]);
    }
    data.extend_from_slice(&[0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }]);
    let to = data.len() + len;
    data.resize(to, 0xaa);
    Frame { seq, capture_ms: 1_000 + seq * 33, keyframe, data: Bytes::from(data) }
}

#[derive(Default)]
struct Seen {
    connected: AtomicBool,
    packets: AtomicU64,
    frames: AtomicU64,
    gaps: AtomicU64,
    last: Mutex<Option<u16>>,
    gathered: Notify,
}

struct Handler(Arc<Seen>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.0.gathered.notify_one();
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.0.connected.store(state == RTCPeerConnectionState::Connected, Ordering::Release);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let seen = Arc::clone(&self.0);
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    let header = &packet.header;
                    seen.packets.fetch_add(1, Ordering::Relaxed);
                    seen.frames.fetch_add(u64::from(header.marker), Ordering::Relaxed);
                    let mut last = seen.last.lock().unwrap();
                    let next = last.map(|last| last.wrapping_add(1));
                    if next.is_some_and(|next| next != header.sequence_number) {
                        seen.gaps.fetch_add(1, Ordering::Relaxed);
                    }
                    *last = Some(header.sequence_number);
                }
            }
        });
    }
}

struct Peer {
    connection: Arc<dyn PeerConnection>,
    seen: Arc<Seen>,
    viewer: ViewerId,
}

/// A player as a program writes it.
async fn join(server: &Server, stream: &StreamId, account: &str, ends: Instant) -> Peer {
    let seen = Arc::new(Seen::default());
    let mut media = MediaEngine::default();
    media.register_default_codecs().unwrap();
    let registry = register_default_interceptors(Registry::new(), &mut media).unwrap();
    let connection: Arc<dyn PeerConnection> = Arc::new(
        PeerConnectionBuilder::new()
            .with_setting_engine(
                SettingEngineBuilder::new().with_include_loopback_candidate(true).build(),
            )
            .with_media_engine(media)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(Handler(Arc::clone(&seen))))
            .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
            .build()
            .await
            .unwrap(),
    );
    let init = rtc::rtp_transceiver::RTCRtpTransceiverInit {
        direction: rtc::rtp_transceiver::RTCRtpTransceiverDirection::Recvonly,
        ..Default::default()
    };
    let video = rtc::rtp_transceiver::rtp_sender::RtpCodecKind::Video;
    connection.add_transceiver_from_kind(video, Some(init)).await.unwrap();
    let offer = connection.create_offer(None).await.unwrap();
    connection.set_local_description(offer).await.unwrap();
    seen.gathered.notified().await;
    let offer = connection.local_description().await.unwrap().sdp;
    let offer = Offer::parse(&offer).unwrap();
    let (stream, account) = (Arc::clone(stream), account.to_owned());
    let joined = server.join(Join { stream, account, offer, ends }).await.unwrap();
    let answer = RTCSessionDescription::answer(joined.answer).unwrap();
    connection.set_remote_description(answer).await.unwrap();
    Peer { connection, seen, viewer: joined.viewer }
}

async fn wait(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sends 30 frames a second until it is dropped.
struct Camera(tokio::task::JoinHandle<()>);

impl Camera {
    fn start(server: &Arc<Server>, stream: &StreamId) -> Self {
        let (server, stream) = (Arc::clone(server), Arc::clone(stream));
        Self(tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_millis(33));
            for seq in 1.. {
                every.tick().await;
                server.frame(&stream, frame(seq, 9_000));
            }
        }))
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn frames(peer: &Peer) -> u64 {
    peer.seen.frames.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread")]
async fn several_peers_see_one_stream_and_one_that_vanishes_holds_up_nobody() {
    let server = Arc::new(Server::start(&options()).unwrap());
    let stream: StreamId = "a/front".into();
    let far = Instant::now() + Duration::from_secs(600);
    let camera = Camera::start(&server, &stream);
    let mut peers = Vec::new();
    for n in 0..4 {
        peers.push(join(&server, &stream, &format!("account-{n}"), far).await);
    }
    for peer in &peers {
        wait("a peer connects", || peer.seen.connected.load(Ordering::Acquire)).await;
        wait("a peer sees frames", || frames(peer) > 15).await;
    }
    // One is gone without a word, one says goodbye; the others go on without a gap.
    let silent = peers.remove(0);
    silent.connection.close().await.unwrap();
    assert!(server.leave(peers[0].viewer, "account-1").await);
    assert!(!server.leave(peers[1].viewer, "account-1").await, "it is somebody else's");
    let before: Vec<u64> = peers.iter().map(frames).collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after: Vec<u64> = peers.iter().map(frames).collect();
    assert!(after[0] - before[0] < 10, "it left");
    for n in 1..3 {
        assert!(after[n] - before[n] > 40, "{before:?} {after:?}");
        assert_eq!(peers[n].seen.gaps.load(Ordering::Relaxed), 0);
    }
    drop(camera);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_ends_with_its_right() {
    let server = Arc::new(Server::start(&options()).unwrap());
    let stream: StreamId = "a/front".into();
    let _camera = Camera::start(&server, &stream);
    let soon = Instant::now() + Duration::from_secs(3);
    let peer = join(&server, &stream, "ada", soon).await;
    wait("frames", || frames(&peer) > 5).await;
    wait("the end", || server.stats().viewers.load(Ordering::Relaxed) == 0).await;
    let seen = frames(&peer);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(frames(&peer) <= seen + 1, "nothing more is sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_datagrams_costs_viewers_nothing() {
    let server = Arc::new(Server::start(&options()).unwrap());
    let stream: StreamId = "a/front".into();
    let _camera = Camera::start(&server, &stream);
    let far = Instant::now() + Duration::from_secs(600);
    let peer = join(&server, &stream, "ada", far).await;
    wait("frames", || frames(&peer) > 10).await;
    let stop = Arc::new(AtomicBool::new(false));
    let flood = {
        let (stop, to) = (Arc::clone(&stop), server.address());
        std::thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let kinds = [&[0, 1, 0, 8][..], &[22; 90], &[0x80, 205, 0, 3], &[0xff; 1_200]];
            // A few thousand a second: enough to see that it is not heard, not a test of this machine's network.
            for n in 0..15_000_usize {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                socket.send_to(kinds[n % kinds.len()], to).ok();
                if n % 10 == 0 {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        })
    };
    let before = frames(&peer);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let seen = frames(&peer) - before;
    stop.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    assert!(seen > 45, "{seen} frames in two seconds");
    assert!(server.stats().dropped.load(Ordering::Relaxed) > 1_000);
    assert_eq!(server.stats().viewers.load(Ordering::Relaxed), 1);
}
