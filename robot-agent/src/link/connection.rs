//! Builds the peer connection and answers the offer.

use super::LinkError;
use super::audio::{self, Spoken};
use super::fec::Fec;
use super::guard::Guarded;
use super::inbound::{self, Lane};
use super::offer::Offer;
use super::outbound::{self, Outgoing, SEND_BUFFER_LEN};
use super::rate::Paced;
use super::reach::{Place, Reach};
use super::repair::Repair;
use super::reports::Reports;
use super::session::{Sending, Shared};
use super::step::Step;
use super::tap::{PLAYOUT_DELAY_URI, TRANSPORT_CC_URI, Tap};
use super::video::{self, VideoLane};
use crate::media::{Codec, EncodedFrame};
use protocol::signal::{IceServer, channel};
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::{
    BandwidthEstimator, CongestionControlBuilder, NackResponderBuilder, PacerBuilder,
    SenderReportBuilder, Slot, TwccSenderBuilder,
};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_FLEX_FEC03, MIME_TYPE_H264, MIME_TYPE_RTX, MIME_TYPE_VP8,
};
use rtc::peer_connection::configuration::setting_engine::SctpMaxMessageSize;
use rtc::peer_connection::transport::RTCDtlsRole;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters,
    RTCRtpEncodingParameters, RTCRtpFecParameters, RTCRtpHeaderExtensionCapability,
    RTCRtpRtxParameters, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use webrtc::data_channel::{DataChannel, RTCDataChannelInit};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCConfigurationBuilder, RTCIceCandidateType, RTCIceGatheringState, RTCIceServer,
    RTCPeerConnectionIceEvent, RTCPeerConnectionState, RTCSessionDescription, Registry,
    SettingEngine, SettingEngineBuilder,
};

/// Constrained baseline, level 3.1, as every browser has it; the true level may be higher.
const H264_FMTP: &str = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f";
const VIDEO_PAYLOAD_TYPE: u8 = 102;
const RTX_PAYLOAD_TYPE: u8 = 103;
const FEC_PAYLOAD_TYPE: u8 = 49;
/// A STUN or TURN server that does not answer must not hold up a drive.
const GATHER_WITHIN: Duration = Duration::from_secs(2);
/// With one relayed address in hand, others are hardly worth a wait: some server may not answer at all.
const GATHER_AFTER_RELAY: Duration = Duration::from_millis(150);
/// Silence until the path counts as disturbed, and from there until it has failed. The safety core stops the
/// robot long before.
const ICE_DISTURBED_AFTER: Duration = Duration::from_secs(3);
const ICE_FAILED_AFTER: Duration = Duration::from_secs(5);
const ICE_KEEPALIVE_EVERY: Duration = Duration::from_secs(1);
/// Inbound memory that a peer can occupy.
const SCTP_RECEIVE_BUFFER_LEN: u32 = 256 * 1024;

/// Answers an offer and starts the session's tasks.
pub(super) async fn answer(
    offer: &Offer,
    reach: &Reach,
    ice_servers: &[IceServer],
    shared: &Arc<Shared>,
    (frames, spoken): (Vec<mpsc::Receiver<EncodedFrame>>, Option<mpsc::Receiver<Spoken>>),
    outgoing: Outgoing,
) -> Result<String, LinkError> {
    let gathered = Arc::new(Notify::new());
    let place = reach.place().await?;
    // Without looking for other ways there is nothing to ask a server for.
    let ice_servers = if reach.only_advertised { &[] } else { ice_servers };
    let connection = build(&place, ice_servers, shared, &gathered).await?;
    shared.keep(Arc::clone(&connection));
    let mut tracks = Vec::new();
    for lane in shared.videos() {
        let track = TrackLocalStaticRTP::new(track(lane, shared.codec));
        tracks.push(sends(connection.as_ref(), track).await?);
    }
    let microphone = match shared.audio() {
        Some(lane) => Some(sends(connection.as_ref(), lane.track()).await?),
        None => None,
    };
    let channels = channels(connection.as_ref()).await?;
    let offered = RTCSessionDescription::offer(place.heard(&offer.sdp)).map_err(refused)?;
    connection.set_remote_description(offered).await.map_err(refused)?;
    let answer = connection.create_answer(None).await.map_err(|error| match error {
        webrtc::error::Error::ErrSenderWithNoCodecs => LinkError::NoCodec,
        other => negotiation(other),
    })?;
    // From here on the far end can know the session's secrets, and not before.
    shared.guard.answer(&answer.sdp);
    connection.set_local_description(answer).await.map_err(negotiation)?;
    if tokio::time::timeout(GATHER_WITHIN, gathered.notified()).await.is_err() {
        tracing::warn!("some STUN or TURN server does not answer; going on without its candidates");
    }
    let answer = connection.local_description().await.ok_or_else(|| LinkError::Negotiation {
        why: "there is no local description".to_owned(),
    })?;
    if !shared.videos().is_empty() && !answer.sdp.contains(rtp_name(shared.codec)) {
        return Err(LinkError::NoCodec);
    }
    start(shared, frames, tracks, channels, outgoing);
    if let (Some(spoken), Some(track)) = (spoken, microphone) {
        shared.runtime.spawn(audio::run(spoken, track, Arc::clone(shared)));
    }
    Ok(place.told(&answer.sdp))
}

/// Adds a track that only goes out.
async fn sends(
    connection: &dyn PeerConnection,
    track: TrackLocalStaticRTP,
) -> Result<Arc<TrackLocalStaticRTP>, LinkError> {
    let track = Arc::new(track);
    let direction = RTCRtpTransceiverDirection::Sendonly;
    let init = RTCRtpTransceiverInit { direction, ..Default::default() };
    connection
        .add_transceiver_from_track(Arc::clone(&track) as Arc<dyn TrackLocal>, Some(init))
        .await
        .map_err(negotiation)?;
    Ok(track)
}

fn start(
    shared: &Arc<Shared>,
    frames: Vec<mpsc::Receiver<EncodedFrame>>,
    tracks: Vec<Arc<TrackLocalStaticRTP>>,
    channels: Channels,
    outgoing: Outgoing,
) {
    let run = &shared.runtime;
    for ((camera, frames), track) in (0_u8..).zip(frames).zip(tracks) {
        run.spawn(video::run(camera, frames, track, Arc::clone(shared)));
    }
    let Channels { drive, telemetry, session, estop } = channels;
    run.spawn(outbound::telemetry(Arc::clone(&telemetry), Arc::clone(shared)));
    run.spawn(outbound::session(Arc::clone(&session), outgoing.session, Arc::clone(shared)));
    run.spawn(outbound::estop(Arc::clone(&estop), outgoing.estop, Arc::clone(shared)));
    run.spawn(inbound::read(Lane::Drive, drive, Arc::clone(shared)));
    run.spawn(inbound::read(Lane::Telemetry, telemetry, Arc::clone(shared)));
    run.spawn(inbound::read(Lane::Session, session, Arc::clone(shared)));
    run.spawn(inbound::read(Lane::Estop, estop, Arc::clone(shared)));
}

async fn build(
    place: &Place,
    ice_servers: &[IceServer],
    shared: &Arc<Shared>,
    gathered: &Arc<Notify>,
) -> Result<Arc<dyn PeerConnection>, LinkError> {
    let mut media = media_engine(shared.codec).map_err(negotiation)?;
    if shared.audio().is_some() {
        audio::register(&mut media).map_err(negotiation)?;
    }
    let extension = RTCRtpHeaderExtensionCapability { uri: PLAYOUT_DELAY_URI.to_owned() };
    media.register_header_extension(extension, RtpCodecKind::Video, None).map_err(negotiation)?;
    // The parts of the default set that a sender of video needs, and our tap nearest to the application.
    let registry = congestion_control(Registry::new(), &mut media, shared).map_err(negotiation)?;
    let registry = registry
        .with(Slot::from(3_500), Step::of(Repair::new(shared)))
        .with(Slot::FecEncoder, Step::of(Fec::new(shared)))
        .with(Slot::NackResponder, NackResponderBuilder::new().build())
        .with(Slot::SenderReport, SenderReportBuilder::new().build())
        .with(Slot::from(14_000), Step::of(Tap::new(shared)));
    let handler = Handler { session: Arc::downgrade(shared), gathered: Arc::clone(gathered) };
    let configuration =
        RTCConfigurationBuilder::new().with_ice_servers(usable(ice_servers)).build();
    let connection = PeerConnectionBuilder::new()
        .with_configuration(configuration)
        .with_setting_engine(setting_engine())
        .with_media_engine(media)
        .with_interceptor_registry(registry)
        .with_runtime(Arc::new(Guarded(Arc::clone(&shared.guard))))
        .with_handler(Arc::new(handler))
        .with_udp_addrs(place.bind.clone())
        .with_data_channel_send_buffer_limit(SEND_BUFFER_LEN)
        .build()
        .await
        .map_err(negotiation)?;
    Ok(Arc::new(connection))
}

/// The far end reports on every packet; the estimator hears of it, and paces.
fn congestion_control(
    registry: Registry,
    media: &mut MediaEngine,
    shared: &Arc<Shared>,
) -> webrtc::error::Result<Registry> {
    let Sending { congestion, bounds, .. } = shared.sending;
    let Some(estimator) =
        Paced::new(congestion, bounds, Arc::clone(&shared.path), Arc::clone(&shared.covered))
    else {
        return Ok(registry);
    };
    let feedback = RTCPFeedback { typ: "transport-cc".to_owned(), parameter: String::new() };
    media.register_feedback(feedback, RtpCodecKind::Video);
    let extension = RTCRtpHeaderExtensionCapability { uri: TRANSPORT_CC_URI.to_owned() };
    media.register_header_extension(extension, RtpCodecKind::Video, None)?;
    // The chain tells the pacer only of changes: it must begin with the estimator's own pace.
    let pacer = PacerBuilder::new().with_target_bitrate(estimator.target_bitrate());
    Ok(registry
        .with(Slot::from(500), Step::of(Reports::new(shared)))
        .with(Slot::CongestionControl, CongestionControlBuilder::new(estimator).build())
        .with(Slot::TwccSender, TwccSenderBuilder::new().build())
        .with(Slot::Pacer, pacer.build()))
}

fn setting_engine() -> SettingEngine {
    SettingEngineBuilder::new()
        // As DTLS server this side is also the one that the SCTP handshake completes on first. As client, what
        // the far end sends the moment its channels open can arrive before ours exist, and is lost even on a
        // reliable lane.
        .with_answering_dtls_role(RTCDtlsRole::Server)
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_include_loopback_candidate(true)
        .with_ice_timeouts(
            Some(ICE_DISTURBED_AFTER),
            Some(ICE_FAILED_AFTER),
            Some(ICE_KEEPALIVE_EVERY),
        )
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(
            SctpMaxMessageSize::DEFAULT_MESSAGE_SIZE,
        ))
        .with_sctp_max_receive_buffer_size(SCTP_RECEIVE_BUFFER_LEN)
        .build()
}

/// Knows the one codec that is sent, so that the answer names no other.
fn media_engine(codec: Codec) -> webrtc::error::Result<MediaEngine> {
    let mut media = MediaEngine::default();
    media.register_codec(
        RTCRtpCodecParameters { rtp_codec: rtp_codec(codec), payload_type: VIDEO_PAYLOAD_TYPE },
        RtpCodecKind::Video,
    )?;
    let rtx = RTCRtpCodec {
        mime_type: MIME_TYPE_RTX.to_owned(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: format!("apt={VIDEO_PAYLOAD_TYPE}"),
        rtcp_feedback: Vec::new(),
    };
    media.register_codec(
        RTCRtpCodecParameters { rtp_codec: rtx, payload_type: RTX_PAYLOAD_TYPE },
        RtpCodecKind::Video,
    )?;
    let fec = RTCRtpCodec {
        mime_type: MIME_TYPE_FLEX_FEC03.to_owned(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: "repair-window=10000000".to_owned(),
        rtcp_feedback: Vec::new(),
    };
    media.register_codec(
        RTCRtpCodecParameters { rtp_codec: fec, payload_type: FEC_PAYLOAD_TYPE },
        RtpCodecKind::Video,
    )?;
    Ok(media)
}

const fn rtp_name(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "H264/90000",
        Codec::Vp8 => "VP8/90000",
    }
}

fn rtp_codec(codec: Codec) -> RTCRtpCodec {
    let (mime_type, fmtp) = match codec {
        Codec::H264 => (MIME_TYPE_H264, H264_FMTP),
        Codec::Vp8 => (MIME_TYPE_VP8, ""),
    };
    let feedback = |typ: &str, parameter: &str| RTCPFeedback {
        typ: typ.to_owned(),
        parameter: parameter.to_owned(),
    };
    RTCRtpCodec {
        mime_type: mime_type.to_owned(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: fmtp.to_owned(),
        rtcp_feedback: vec![feedback("ccm", "fir"), feedback("nack", ""), feedback("nack", "pli")],
    }
}

fn track(lane: &VideoLane, codec: Codec) -> MediaStreamTrack {
    let coding = RTCRtpCodingParameters {
        ssrc: Some(lane.ssrc),
        rtx: Some(RTCRtpRtxParameters { ssrc: lane.rtx_ssrc }),
        fec: Some(RTCRtpFecParameters { ssrc: lane.fec_ssrc }),
        ..Default::default()
    };
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: coding,
        codec: rtp_codec(codec),
        ..Default::default()
    };
    // A stream of its own for each camera: a browser holds back tracks of one stream to play them in step.
    let name = format!("camera-{}", lane.camera);
    MediaStreamTrack::new(name.clone(), name.clone(), name, RtpCodecKind::Video, vec![encoding])
}

struct Channels {
    drive: Arc<dyn DataChannel>,
    telemetry: Arc<dyn DataChannel>,
    session: Arc<dyn DataChannel>,
    estop: Arc<dyn DataChannel>,
}

async fn channels(connection: &dyn PeerConnection) -> Result<Channels, LinkError> {
    let latest_wins = |id| RTCDataChannelInit {
        ordered: false,
        max_retransmits: Some(0),
        negotiated: Some(id),
        ..Default::default()
    };
    let reliable = |id| RTCDataChannelInit { negotiated: Some(id), ..Default::default() };
    let create = async |label: &str, init| {
        connection.create_data_channel(label, Some(init)).await.map_err(negotiation)
    };
    Ok(Channels {
        drive: create("drive", latest_wins(channel::DRIVE)).await?,
        telemetry: create("telemetry", latest_wins(channel::TELEMETRY)).await?,
        session: create("session", reliable(channel::SESSION)).await?,
        estop: create("estop", reliable(channel::ESTOP)).await?,
    })
}

/// The servers that the stack can speak to: STUN, and TURN over UDP.
fn usable(servers: &[IceServer]) -> Vec<RTCIceServer> {
    let speaks = |url: &&String| {
        let known = url.starts_with("stun:") || url.starts_with("turn:");
        known && !url.contains("transport=tcp")
    };
    servers
        .iter()
        .map(|server| RTCIceServer {
            urls: server.urls.iter().filter(speaks).cloned().collect(),
            username: server.username.clone(),
            credential: server.credential.clone(),
        })
        .filter(|server| !server.urls.is_empty())
        .collect()
}

fn negotiation(error: webrtc::error::Error) -> LinkError {
    LinkError::Negotiation { why: error.to_string() }
}

fn refused(error: webrtc::error::Error) -> LinkError {
    LinkError::Offer { why: error.to_string() }
}

/// Weak, because the stack that owns it is owned by the session.
struct Handler {
    session: Weak<Shared>,
    gathered: Arc<Notify>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.gathered.notify_one();
        }
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        if let Some(session) = self.session.upgrade() {
            session.runtime.spawn(audio::receive(track, Arc::clone(&session)));
        }
    }

    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if event.candidate.typ == RTCIceCandidateType::Relay {
            let gathered = Arc::clone(&self.gathered);
            tokio::spawn(async move {
                tokio::time::sleep(GATHER_AFTER_RELAY).await;
                gathered.notify_one();
            });
        }
    }

    /// Told of channels only that are not the four that both ends know beforehand.
    async fn on_data_channel(&self, _channel: Arc<dyn DataChannel>) {
        let Some(session) = self.session.upgrade() else { return };
        session.close("the driver's end opened a channel of its own");
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let Some(session) = self.session.upgrade() else { return };
        tracing::debug!(%state, "connection");
        match state {
            RTCPeerConnectionState::Connected => session.on_connected(),
            RTCPeerConnectionState::Failed => session.close("the path to the driver's end failed"),
            RTCPeerConnectionState::Closed => session.close("the connection was closed"),
            _other => {}
        }
    }
}
