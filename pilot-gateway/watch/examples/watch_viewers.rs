//! The other end of the benchmark of spectators: peers of the `webrtc` crate, as many as are asked for, of whatever server.
//! One JSON object a line in, one out:
//!
//! - `{"do": "offer"}` gives `{"n", "sdp"}`; `{"do": "accept", "n", "sdp"}` takes the answer to it.
//! - `{"do": "answer", "sdp"}` gives `{"n", "sdp"}`, for a server that offers.
//! - `{"do": "stats"}` gives `{"connected", "packets", "frames", "bytes", "gaps", "least_frames"}`.

#![expect(clippy::print_stdout, reason = "its results are lines on standard output")]

use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use serde_json::{Value, json};
use std::error::Error;
use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use tokio::sync::Notify;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCIceGatheringState, RTCPeerConnectionState, RTCSessionDescription, Registry,
    SettingEngineBuilder, register_default_interceptors,
};

#[derive(Default)]
struct Seen {
    connected: AtomicBool,
    packets: AtomicU64,
    frames: AtomicU64,
    bytes: AtomicU64,
    gaps: AtomicU64,
    /// The number of the newest packet, or one that none has.
    last: AtomicU32,
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
                    seen.packet(&packet);
                }
            }
        });
    }
}

impl Seen {
    fn packet(&self, packet: &rtc::rtp::Packet) {
        let add = |to: &AtomicU64, n: usize| {
            to.fetch_add(u64::try_from(n).unwrap_or(0), Ordering::Relaxed);
        };
        add(&self.packets, 1);
        add(&self.frames, usize::from(packet.header.marker));
        add(&self.bytes, packet.payload.len());
        let seq = packet.header.sequence_number;
        let last = self.last.swap(u32::from(seq) + 1, Ordering::Relaxed);
        // One more is kept than the number was, so that 0 is none.
        add(&self.gaps, usize::from(last != 0 && last & 0xffff != u32::from(seq)));
    }
}

type Peer = (Arc<dyn PeerConnection>, Arc<Seen>);

async fn peer() -> Result<Peer, Box<dyn Error>> {
    let seen = Arc::new(Seen::default());
    let mut media = MediaEngine::default();
    media.register_default_codecs()?;
    let registry = register_default_interceptors(Registry::new(), &mut media)?;
    let settings = SettingEngineBuilder::new().with_include_loopback_candidate(true).build();
    let connection = PeerConnectionBuilder::new()
        .with_setting_engine(settings)
        .with_media_engine(media)
        .with_interceptor_registry(registry)
        .with_handler(Arc::new(Handler(Arc::clone(&seen))))
        .with_udp_addrs(vec!["0.0.0.0:0".to_owned()])
        .build()
        .await?;
    Ok((Arc::new(connection), seen))
}

async fn obey(peers: &mut Vec<Peer>, order: &Value) -> Result<Value, Box<dyn Error>> {
    let sdp = || order["sdp"].as_str().ok_or("no sdp").map(str::to_owned);
    match order["do"].as_str() {
        Some("offer") => {
            let (connection, seen) = peer().await?;
            let direction = RTCRtpTransceiverDirection::Recvonly;
            let init = RTCRtpTransceiverInit { direction, ..Default::default() };
            connection.add_transceiver_from_kind(RtpCodecKind::Video, Some(init)).await?;
            let offer = connection.create_offer(None).await?;
            connection.set_local_description(offer).await?;
            tell(peers, connection, seen).await
        }
        Some("accept") => {
            let n = order["n"].as_u64().and_then(|n| usize::try_from(n).ok()).ok_or("no n")?;
            let (connection, _) = peers.get(n).ok_or("no such peer")?;
            connection.set_remote_description(RTCSessionDescription::answer(sdp()?)?).await?;
            Ok(json!({ "n": n }))
        }
        Some("answer") => {
            let (connection, seen) = peer().await?;
            connection.set_remote_description(RTCSessionDescription::offer(sdp()?)?).await?;
            let answer = connection.create_answer(None).await?;
            connection.set_local_description(answer).await?;
            tell(peers, connection, seen).await
        }
        Some("stats") => Ok(stats(peers)),
        _ => Err("do: offer, accept, answer or stats".into()),
    }
}

async fn tell(
    peers: &mut Vec<Peer>,
    connection: Arc<dyn PeerConnection>,
    seen: Arc<Seen>,
) -> Result<Value, Box<dyn Error>> {
    seen.gathered.notified().await;
    let sdp = connection.local_description().await.ok_or("no description")?.sdp;
    let n = peers.len();
    peers.push((connection, seen));
    Ok(json!({ "n": n, "sdp": sdp }))
}

fn stats(peers: &[Peer]) -> Value {
    let all = || peers.iter().map(|(_, seen)| seen);
    let sum = |of: fn(&Seen) -> &AtomicU64| -> u64 {
        all().map(|seen| of(seen).load(Ordering::Relaxed)).sum()
    };
    json!({
        "connected": all().filter(|seen| seen.connected.load(Ordering::Acquire)).count(),
        "packets": sum(|seen| &seen.packets),
        "frames": sum(|seen| &seen.frames),
        "bytes": sum(|seen| &seen.bytes),
        "gaps": sum(|seen| &seen.gaps),
        "least_frames": all().map(|seen| seen.frames.load(Ordering::Relaxed)).min(),
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut peers = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let answer = obey(&mut peers, &serde_json::from_str(&line?)?).await;
        println!("{}", answer.unwrap_or_else(|error| json!({ "error": error.to_string() })));
    }
    Ok(())
}
