//! The bare minimum that our own link is measured against: the `webrtc` crate as its examples use it, one
//! 720p30 test picture, and a data channel (negotiated, id 1, unordered, no retransmits) that sends back what
//! it gets. One line of JSON with an offer in on standard input, one with the answer out on standard output.
//! `--source SOURCE` takes its pictures from another GStreamer source of I420 at 1280×720 and 30 fps.

use anyhow::Context as _;
use robot_agent::media::{Camera, CameraConfig};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::MIME_TYPE_H264;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use serde_json::json;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_sample::TrackLocalStaticSample;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCIceGatheringState, RTCPeerConnectionState, RTCSessionDescription, Registry,
    register_default_interceptors,
};

const SSRC: u32 = 7;
const TEST_PICTURE: &str = "videotestsrc is-live=true pattern=ball ! \
    video/x-raw,format=I420,width=1280,height=720,framerate=30/1";

struct Handler {
    states: mpsc::UnboundedSender<Step>,
}

#[derive(PartialEq)]
enum Step {
    Gathered,
    Connected,
    Over,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            _ = self.states.send(Step::Gathered);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        match state {
            RTCPeerConnectionState::Connected => _ = self.states.send(Step::Connected),
            RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed => {
                _ = self.states.send(Step::Over);
            }
            _other => {}
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_installed| anyhow::anyhow!("a crypto provider is installed already"))?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let offer: serde_json::Value = serde_json::from_str(&line).context("an offer in JSON")?;
    let sdp = offer["sdp"].as_str().context("the offer's sdp")?.to_owned();

    let (states, mut stepped) = mpsc::unbounded_channel();
    let mut media = MediaEngine::default();
    media.register_default_codecs()?;
    let registry = register_default_interceptors(Registry::new(), &mut media)?;
    let connection = PeerConnectionBuilder::new()
        .with_media_engine(media)
        .with_interceptor_registry(registry)
        .with_handler(Arc::new(Handler { states: states.clone() }))
        .with_udp_addrs(vec!["0.0.0.0:0", "127.0.0.1:0"])
        .build()
        .await?;
    let track = Arc::new(TrackLocalStaticSample::new(Instant::now(), track())?);
    let sender = connection.add_track(Arc::clone(&track) as Arc<dyn TrackLocal>).await?;
    let init = RTCDataChannelInit {
        ordered: false,
        max_retransmits: Some(0),
        negotiated: Some(1),
        ..Default::default()
    };
    let channel = connection.create_data_channel("drive", Some(init)).await?;
    tokio::spawn(echo(channel, states.clone()));

    connection.set_remote_description(RTCSessionDescription::offer(sdp)?).await?;
    let answer = connection.create_answer(None).await?;
    connection.set_local_description(answer).await?;
    while stepped.recv().await.is_some_and(|step| step != Step::Gathered) {}
    let answer = connection.local_description().await.context("a local description")?;
    writeln!(std::io::stdout(), "{}", json!({"type": "answer", "sdp": answer.sdp}))?;
    while stepped.recv().await.is_some_and(|step| step != Step::Connected) {}

    let parameters = sender.get_parameters().await?.rtp_parameters;
    let payload_type = parameters
        .codecs
        .iter()
        .find(|codec| codec.rtp_codec.mime_type == MIME_TYPE_H264)
        .map(|codec| codec.payload_type)
        .context("H.264 in the offer")?;
    let (frames_in, mut frames) = mpsc::channel(4);
    let _camera = Camera::start(camera(), move |frame| _ = frames_in.try_send(frame))?;
    loop {
        tokio::select! {
            step = stepped.recv() => if matches!(step, None | Some(Step::Over)) {
                return Ok(connection.close().await?);
            },
            Some(frame) = frames.recv() => {
                let sample = rtc::media::Sample {
                    data: frame.data,
                    duration: Duration::from_micros(33_333),
                    ..rtc::media::Sample::new(Instant::now())
                };
                track.write_sample(SSRC, payload_type, &sample, &[]).await?;
            }
        }
    }
}

async fn echo(channel: Arc<dyn DataChannel>, states: mpsc::UnboundedSender<Step>) {
    while let Some(event) = channel.poll().await {
        let over = match event {
            DataChannelEvent::OnMessage(message) => channel.send(message.data).await.is_err(),
            DataChannelEvent::OnClose => true,
            _other => false,
        };
        if over {
            break;
        }
    }
    _ = states.send(Step::Over);
}

fn track() -> MediaStreamTrack {
    let codec = RTCRtpCodec {
        mime_type: MIME_TYPE_H264.to_owned(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
            .to_owned(),
        rtcp_feedback: Vec::new(),
    };
    let coding = RTCRtpCodingParameters { ssrc: Some(SSRC), ..Default::default() };
    let encoding =
        RTCRtpEncodingParameters { rtp_coding_parameters: coding, codec, ..Default::default() };
    let name = || "echo".to_owned();
    MediaStreamTrack::new(name(), name(), name(), RtpCodecKind::Video, vec![encoding])
}

fn camera() -> CameraConfig {
    let given = std::env::args().skip_while(|arg| arg != "--source").nth(1);
    CameraConfig {
        camera: 0,
        name: "test".to_owned(),
        source: given.as_deref().unwrap_or(TEST_PICTURE).into(),
        width: 1_280,
        height: 720,
        fps: 30,
        bitrate_kbps: 2_500,
        encoder: None,
        recording: Default::default(),
    }
}
