//! The link between two peers of one process: what a driver's end sees, and what it can do to the robot's.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bytes::{Bytes, BytesMut};
use protocol::signal::channel;
use protocol::units::{MonoMs, MonoNs};
use robot_agent::clock;
use robot_agent::link::{LinkError, LinkEvent, LinkStats, Reach, SendError, Sending, Session};
use robot_agent::media::{Codec, EncodedFrame};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::MIME_TYPE_OPUS;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RTCRtpHeaderExtensionCapability,
    RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCIceGatheringState, RTCSessionDescription, Registry, register_default_interceptors,
};

const WITHIN: Duration = Duration::from_secs(20);
const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

/// What a driver's end gets.
enum Got {
    Gathered,
    Track(Arc<dyn TrackRemote>),
    Open,
    Message(u16, Bytes),
    Rtp { mid: String, packet: rtc::rtp::Packet },
}

struct Handler(UnboundedSender<Got>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            _ = self.0.send(Got::Gathered);
        }
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let tell = self.0.clone();
        _ = tell.send(Got::Track(Arc::clone(&track)));
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    let mid = track.stream_id().await.to_string();
                    _ = tell.send(Got::Rtp { mid, packet });
                }
            }
        });
    }
}

/// A driver's end, as a browser would be.
struct Driver {
    connection: Arc<dyn PeerConnection>,
    channels: Vec<(u16, Arc<dyn DataChannel>)>,
    got: UnboundedReceiver<Got>,
    offer: String,
    /// Its voice, when it offers sound.
    voice: Option<Arc<TrackLocalStaticRTP>>,
}

/// A track of a voice.
fn voice(ssrc: u32) -> Arc<TrackLocalStaticRTP> {
    let codec = RTCRtpCodec {
        mime_type: MIME_TYPE_OPUS.to_owned(),
        clock_rate: 48_000,
        channels: 2,
        ..Default::default()
    };
    let coding = RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() };
    let encoding =
        RTCRtpEncodingParameters { rtp_coding_parameters: coding, codec, ..Default::default() };
    let name = "voice".to_owned();
    let (kind, encodings) = (RtpCodecKind::Audio, vec![encoding]);
    let track = MediaStreamTrack::new(name.clone(), name.clone(), name, kind, encodings);
    Arc::new(TrackLocalStaticRTP::new(track))
}

impl Driver {
    async fn new(videos: usize) -> Self {
        Self::with(videos, None).await
    }

    /// With sound, its voice by this source.
    async fn with(videos: usize, sound: Option<u32>) -> Self {
        _ = rustls::crypto::ring::default_provider().install_default();
        let (tell, got) = unbounded_channel();
        let mut media = MediaEngine::default();
        media.register_default_codecs().unwrap();
        let extension = RTCRtpHeaderExtensionCapability { uri: PLAYOUT_DELAY.to_owned() };
        media.register_header_extension(extension, RtpCodecKind::Video, None).unwrap();
        let registry = register_default_interceptors(Registry::new(), &mut media).unwrap();
        let connection: Arc<dyn PeerConnection> = Arc::new(
            PeerConnectionBuilder::new()
                .with_media_engine(media)
                .with_interceptor_registry(registry)
                .with_handler(Arc::new(Handler(tell.clone())))
                .with_udp_addrs(vec!["127.0.0.1:0"])
                .build()
                .await
                .unwrap(),
        );
        for _video in 0..videos {
            let direction = RTCRtpTransceiverDirection::Recvonly;
            let init = RTCRtpTransceiverInit { direction, ..Default::default() };
            connection.add_transceiver_from_kind(RtpCodecKind::Video, Some(init)).await.unwrap();
        }
        let voice = sound.map(voice);
        if let Some(voice) = &voice {
            let init = |direction| RTCRtpTransceiverInit { direction, ..Default::default() };
            let ear = Some(init(RTCRtpTransceiverDirection::Recvonly));
            connection.add_transceiver_from_kind(RtpCodecKind::Audio, ear).await.unwrap();
            let (track, mouth) = (Arc::clone(voice), init(RTCRtpTransceiverDirection::Sendonly));
            connection.add_transceiver_from_track(track, Some(mouth)).await.unwrap();
        }
        let mut channels = Vec::new();
        for id in [channel::DRIVE, channel::TELEMETRY, channel::SESSION, channel::ESTOP] {
            let latest_wins = id == channel::DRIVE || id == channel::TELEMETRY;
            let init = RTCDataChannelInit {
                ordered: !latest_wins,
                max_retransmits: latest_wins.then_some(0),
                negotiated: Some(id),
                ..Default::default()
            };
            let lane = connection.create_data_channel("lane", Some(init)).await.unwrap();
            channels.push((id, Arc::clone(&lane)));
            tokio::spawn(read(id, lane, tell.clone()));
        }
        let mut driver = Self { connection, channels, got, offer: String::new(), voice };
        let offer = driver.connection.create_offer(None).await.unwrap();
        driver.connection.set_local_description(offer).await.unwrap();
        driver.until(|got| matches!(got, Got::Gathered).then_some(())).await;
        driver.offer = driver.connection.local_description().await.unwrap().sdp;
        driver
    }

    async fn connect(&mut self, answer: String) {
        let answer = RTCSessionDescription::answer(answer).unwrap();
        self.connection.set_remote_description(answer).await.unwrap();
        let mut open = 0;
        while open < self.channels.len() {
            self.until(|got| matches!(got, Got::Open).then_some(())).await;
            open += 1;
        }
    }

    async fn until<T>(&mut self, mut wanted: impl FnMut(Got) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Some(found) = wanted(self.got.recv().await.unwrap()) {
                    return found;
                }
            }
        };
        tokio::time::timeout(WITHIN, search).await.expect("the driver's end waited in vain")
    }

    async fn send(&self, lane: u16, data: &[u8]) {
        self.channel(lane).send(BytesMut::from(data)).await.unwrap();
    }

    async fn send_text(&self, lane: u16, text: &str) {
        self.channel(lane).send_text(text).await.unwrap();
    }

    fn channel(&self, lane: u16) -> &Arc<dyn DataChannel> {
        &self.channels.iter().find(|(id, _channel)| *id == lane).unwrap().1
    }

    async fn message(&mut self, lane: u16) -> Bytes {
        self.until(|got| match got {
            Got::Message(from, data) if from == lane => Some(data),
            _other => None,
        })
        .await
    }

    /// The next whole frame of a camera: its packets up to the one with the marker.
    async fn frame(&mut self, camera: u8) -> Vec<rtc::rtp::Packet> {
        let mut packets = Vec::new();
        let wanted = format!("camera-{camera}");
        self.until(|got| match got {
            Got::Rtp { mid, packet } if mid == wanted => {
                let last = packet.header.marker;
                packets.push(packet);
                last.then_some(())
            }
            _other => None,
        })
        .await;
        packets
    }
}

async fn read(id: u16, lane: Arc<dyn DataChannel>, tell: UnboundedSender<Got>) {
    while let Some(event) = lane.poll().await {
        match event {
            DataChannelEvent::OnOpen => _ = tell.send(Got::Open),
            DataChannelEvent::OnMessage(message) => {
                _ = tell.send(Got::Message(id, message.data.freeze()));
            }
            _other => {}
        }
    }
}

/// The robot's end with its events.
struct Robot {
    session: Session,
    events: UnboundedReceiver<LinkEvent>,
}

impl Robot {
    async fn accept(driver: &mut Driver, cameras: u8) -> Self {
        Self::accept_at(&Reach::default(), driver, cameras).await
    }

    async fn accept_at(reach: &Reach, driver: &mut Driver, cameras: u8) -> Self {
        Self::accept_with(reach, driver, cameras, false).await
    }

    async fn accept_with(reach: &Reach, driver: &mut Driver, cameras: u8, audio: bool) -> Self {
        let (tell, events) = unbounded_channel();
        let tell = move |event| _ = tell.send(event);
        let sending = Sending { audio, ..Sending::UNLIMITED };
        let (session, answer) =
            Session::accept_with(reach, sending, &driver.offer, &[], cameras, tell).await.unwrap();
        assert_eq!(answer.contains("opus"), audio, "{answer}");
        driver.connect(answer).await;
        let mut robot = Self { session, events };
        robot.until(|event| (event == LinkEvent::Connected).then_some(())).await;
        robot
    }

    async fn until<T>(&mut self, mut wanted: impl FnMut(LinkEvent) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Some(found) = wanted(self.events.recv().await.unwrap()) {
                    return found;
                }
            }
        };
        tokio::time::timeout(WITHIN, search).await.expect("the robot's end waited in vain")
    }
}

impl Robot {
    /// Waits until the counters are as wanted.
    async fn stats(&self, mut wanted: impl FnMut(&LinkStats) -> bool) {
        let watch = async {
            while !wanted(&self.session.stats()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(WITHIN, watch).await.expect("the counters stay as they are");
    }
}

/// An access unit whose slice is `len` bytes long: what the link does not look at is zero-free filler.
fn frame(camera: u8, capture: MonoNs, keyframe: bool, len: usize) -> EncodedFrame {
    let mut data = Vec::new();
    if keyframe {
        data.extend([0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0, 0, 0, 1, 0x68, 0xce, 0x38, 0x80]);
    }
    data.extend([0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }]);
    data.resize(data.len() + len, 0x55);
    let codec = Codec::H264;
    EncodedFrame { camera, codec, capture, keyframe, data: data.into(), width: 16, height: 16 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_both_cameras_arrive_and_their_timestamps_lead_back_to_the_capture() {
    let mut driver = Driver::new(2).await;
    let mut robot = Robot::accept(&mut driver, 2).await;
    for camera in [0, 1] {
        robot.until(|event| (event == LinkEvent::KeyframeWanted { camera }).then_some(())).await;
    }
    let capture = clock::mono_ns();
    robot.session.send_frame(&frame(0, capture, false, 10));
    assert_eq!(robot.session.stats().frames_dropped, 1, "nothing before a keyframe");
    robot.session.send_frame(&frame(0, capture, true, 5_000));

    let front = driver.frame(0).await;
    assert!(front.len() >= 5, "fragmented: {} packets", front.len());
    let rtp = front[0].header.timestamp;
    assert!(front.iter().all(|packet| packet.header.timestamp == rtp));
    assert!(front.iter().all(|packet| packet.payload.len() <= 1_150));
    let delays: Vec<_> = front[0].header.extensions.iter().map(|e| e.payload.to_vec()).collect();
    assert_eq!(delays, [[0, 0, 0]], "the playout delay, and no other extension");
    assert_eq!(robot.session.capture_of(0, rtp), Some(capture.ms()));
    assert_eq!(robot.session.capture_of(0, rtp.wrapping_add(1)), None);
    assert_eq!(robot.session.capture_of(1, rtp), None, "timestamps of another camera");
    assert_eq!(robot.session.capture_of(9, rtp), None);
    robot.session.send_frame(&frame(1, MonoNs(capture.0 + 5_000_000), true, 100));
    let rear = driver.frame(1).await;
    let seen = robot.session.capture_of(1, rear[0].header.timestamp);
    assert_eq!(seen, Some(MonoMs((capture.0 + 5_000_000) / 1_000_000)));

    // 90 kHz, from the time of capture and not from that of sending.
    robot.session.send_frame(&frame(0, MonoNs(capture.0 + 100_000_000), false, 10));
    let later = driver.frame(0).await;
    assert!(later[0].header.timestamp.wrapping_sub(rtp).abs_diff(9_000) <= 1);
    assert_eq!(robot.session.stats().frames_sent, 3);
}

/// The offer as a browser without H.264 makes it.
async fn driver_without_h264() -> Driver {
    let mut driver = Driver::new(1).await;
    driver.offer = driver.offer.replace("H264", "H263");
    driver
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_far_end_without_h264_is_sent_vp8_whose_timestamps_lead_back_to_the_capture() {
    let mut driver = driver_without_h264().await;
    let mut robot = Robot::accept(&mut driver, 1).await;
    assert_eq!(robot.session.codec(), Codec::Vp8);
    robot.until(|event| (event == LinkEvent::KeyframeWanted { camera: 0 }).then_some(())).await;
    let capture = clock::mono_ns();
    robot.session.send_frame(&frame(0, capture, true, 5_000));
    assert_eq!(robot.session.stats().frames_dropped, 0, "what is in H.264 is not its business");
    let vp8 = EncodedFrame {
        codec: Codec::Vp8,
        data: vec![0x55; 4_000].into(),
        ..frame(0, MonoNs(capture.0 + 33_000_000), true, 0)
    };
    robot.session.send_frame(&vp8);
    let packets = driver.frame(0).await;
    let payload: Vec<u8> = packets.iter().flat_map(|packet| packet.payload[3..].to_vec()).collect();
    assert_eq!(payload, vp8.data, "after three bytes that describe each packet");
    let rtp = packets[0].header.timestamp;
    assert_eq!(robot.session.capture_of(0, rtp), Some(vp8.capture.ms()));
    assert_eq!(robot.session.capture_of(0, rtp.wrapping_add(1)), None);
    assert_eq!(robot.session.stats().frames_sent, 1);

    // A robot that cannot make it says what to do.
    let cannot = Sending { vp8: false, ..Sending::UNLIMITED };
    let offer = driver_without_h264().await.offer;
    let refused = Session::accept_with(&Reach::default(), cannot, &offer, &[], 1, |_event| {})
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("gstreamer1.0-plugins-good"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keyframe_requests_and_nacks_reach_the_robot() {
    let mut driver = Driver::new(1).await;
    let robot = Robot::accept(&mut driver, 2).await;
    assert_eq!(robot.session.cameras(), 1, "as many as the driver asked for");
    robot.session.send_frame(&frame(0, clock::mono_ns(), true, 10));
    let track = driver
        .until(|got| match got {
            Got::Track(track) => Some(track),
            _other => None,
        })
        .await;
    let packet = driver.frame(0).await.remove(0);
    let media_ssrc = packet.header.ssrc;
    let pli = PictureLossIndication { sender_ssrc: 1, media_ssrc };
    let nack = TransportLayerNack {
        sender_ssrc: 1,
        media_ssrc,
        nacks: nack_pairs_from_sequence_numbers(&[packet.header.sequence_number]),
    };
    track.write_rtcp(vec![Box::new(nack), Box::new(pli)]).await.unwrap();
    robot.stats(|stats| stats.keyframes_asked == 1 && stats.packets_nacked == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_carry_both_ways_and_from_the_first_message_on() {
    let mut driver = Driver::new(0).await;
    let mut robot = Robot::accept(&mut driver, 1).await;
    driver.send_text(channel::SESSION, "first").await;
    driver.send(channel::ESTOP, &[3; 16]).await;
    let before = clock::mono_ms();
    driver.send(channel::DRIVE, &[1; 32]).await;
    let (mut text, mut estop, mut drive) = (None, None, None);
    while text.is_none() || estop.is_none() || drive.is_none() {
        match robot.until(Some).await {
            LinkEvent::SessionText(got) => text = Some(got),
            LinkEvent::Estop(got) => estop = Some(got),
            LinkEvent::Drive(got, arrived) => drive = Some((got, arrived)),
            _other => {}
        }
    }
    assert_eq!(text.as_deref(), Some("first"));
    assert_eq!(estop.as_deref(), Some([3; 16].as_slice()));
    let (packet, arrived) = drive.unwrap();
    assert_eq!(packet.as_ref(), [1; 32]);
    assert!(before <= arrived && arrived <= clock::mono_ms());

    robot.session.send_telemetry(&[2; 80]);
    robot.session.send_session("opened").unwrap();
    robot.session.send_estop(&[4; 16]).unwrap();
    assert_eq!(driver.message(channel::TELEMETRY).await.as_ref(), [2; 80]);
    let too_long = "x".repeat(70_000);
    assert_eq!(robot.session.send_session(&too_long), Err(SendError::TooLong));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_driver_sends_is_dropped_and_counted() {
    let mut driver = Driver::new(0).await;
    let mut robot = Robot::accept(&mut driver, 1).await;
    driver.send(channel::DRIVE, &[1; 65]).await;
    driver.send_text(channel::DRIVE, "text").await;
    driver.send(channel::TELEMETRY, &[1; 80]).await;
    driver.send(channel::SESSION, b"bytes").await;
    driver.send(channel::ESTOP, &[1; 4_000]).await;
    for _message in 0..200 {
        driver.send_text(channel::SESSION, "flood").await;
    }
    driver.send(channel::ESTOP, &[9; 16]).await;
    // The last of the e-stop lane is through, so what was sent there before it was dealt with.
    let estop = robot
        .until(|event| match event {
            LinkEvent::Estop(packet) => Some(packet),
            LinkEvent::Drive(..) => panic!("a wrong drive packet passed"),
            _other => None,
        })
        .await;
    assert_eq!(estop.as_ref(), [9; 16]);
    robot.stats(|stats| stats.inbound_refused >= 5 + 100).await;
    assert_eq!(robot.session.stats().closed_why, None, "and the session lives on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_closed_once_whoever_closes_it() {
    let mut driver = Driver::new(1).await;
    let mut robot = Robot::accept(&mut driver, 1).await;
    driver.connection.close().await.unwrap();
    robot.until(|event| (event == LinkEvent::Closed).then_some(())).await;
    robot.session.close();
    assert_eq!(robot.session.send_session("late"), Err(SendError::Closed));
    assert_eq!(robot.session.send_estop(&[1; 16]), Err(SendError::Closed));
    robot.session.send_frame(&frame(0, clock::mono_ns(), true, 10));
    robot.session.send_telemetry(&[1; 80]);
    let stats = robot.session.stats();
    assert!(!stats.connected && stats.closed_why.is_some(), "{stats:?}");
    drop(robot.session);
    let after = tokio::time::timeout(WITHIN, robot.events.recv()).await.expect("the session ends");
    assert_eq!(after, None, "nothing after Closed, and nothing keeps the session alive");
}

async fn refusal(offer: &str) -> LinkError {
    let no_event = |event: LinkEvent| -> () { panic!("{event:?} of a session that never was") };
    Session::accept(offer, &[], 2, no_event).await.expect_err("a malformed offer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_offers_are_refused_in_words_and_never_panic() {
    assert!(refusal("hello").await.to_string().contains("not SDP"));
    let offer = Driver::new(2).await.offer;
    let no_ice = offer.replace("a=ice-ufrag", "a=x-ufrag");
    assert!(refusal(&no_ice).await.to_string().contains("refused"));
    let neither = offer.replace("H264", "H263").replace("VP8", "VP7");
    let error = refusal(&neither).await;
    assert!(matches!(error, LinkError::NoCodec), "{error}");
    let lines: Vec<&str> = offer.lines().collect();
    for cut in (0..lines.len()).step_by(7) {
        let without = lines.iter().enumerate().filter(|(line, _text)| *line != cut);
        let text: String = without.flat_map(|(_line, text)| [*text, "\r\n"]).collect();
        // Answered or refused, either is fine; both return.
        drop(Session::accept(&text, &[], 2, |_event| {}).await);
        let half = lines[..cut].join("\r\n");
        drop(Session::accept(&half, &[], 2, |_event| {}).await);
    }
}

/// A router that forwards a port: what arrives at the first socket goes to `robot` from the second, and back.
async fn forward(outside: UdpSocket, robot: SocketAddr, carried: Arc<[AtomicU64; 2]>) {
    let inside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (mut driver, mut inward, mut outward) = (None, vec![0; 2_000], vec![0; 2_000]);
    loop {
        tokio::select! {
            Ok((len, from)) = outside.recv_from(&mut inward) => {
                driver = Some(from);
                carried[0].fetch_add(len as u64, Ordering::Relaxed);
                inside.send_to(&inward[..len], robot).await.unwrap();
            }
            Ok((len, from)) = inside.recv_from(&mut outward) => {
                assert_eq!(from, robot);
                carried[1].fetch_add(len as u64, Ordering::Relaxed);
                outside.send_to(&outward[..len], driver.unwrap()).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_behind_a_forwarded_port_is_driven_through_it_and_no_other_way() {
    let free = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let reach = Reach {
        bind: vec![free.ip()],
        port: Some(free.port()),
        advertise: vec![outside.local_addr().unwrap().to_string().parse().unwrap()],
        only_advertised: true,
    };
    let carried = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    tokio::spawn(forward(outside, free, Arc::clone(&carried)));
    let mut driver = Driver::new(1).await;
    let mut robot = Robot::accept_at(&reach, &mut driver, 1).await;

    robot.until(|event| (event == LinkEvent::KeyframeWanted { camera: 0 }).then_some(())).await;

    // Far more than it takes to connect, and less than a socket holds.
    let picture = 60_000;
    robot.session.send_frame(&frame(0, clock::mono_ns(), true, picture));
    let packets = driver.frame(0).await;
    let got: usize = packets.iter().map(|packet| packet.payload.len()).sum();
    assert!(got > picture && carried[1].load(Ordering::Relaxed) > got as u64, "{got}, {carried:?}");
    let before = carried[0].load(Ordering::Relaxed);
    let text = "x".repeat(50_000);
    driver.send_text(channel::SESSION, &text).await;
    robot.until(|event| matches!(event, LinkEvent::SessionText(_)).then_some(())).await;
    assert!(carried[0].load(Ordering::Relaxed) > before + 50_000, "{carried:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_goes_both_ways_beside_the_pictures() {
    let mut driver = Driver::with(1, Some(77)).await;
    let mut robot = Robot::accept_with(&Reach::default(), &mut driver, 1, true).await;
    robot.session.send_frame(&frame(0, clock::mono_ns(), true, 500));
    assert!(!driver.frame(0).await.is_empty(), "pictures as ever");

    // From the robot: in order, 20 ms apart.
    let said: Vec<Bytes> = (0..3_u8).map(|n| Bytes::from(vec![0x78, n, n])).collect();
    for (n, packet) in (0..).zip(&said) {
        robot.session.send_audio(n * 960, packet.clone());
    }
    let mut heard = Vec::new();
    while heard.len() < said.len() {
        let packet = driver.until(|got| match got {
            Got::Rtp { mid, packet } if mid == "microphone" => Some(packet),
            _other => None,
        });
        heard.push(packet.await);
    }
    let payloads: Vec<&Bytes> = heard.iter().map(|packet| &packet.payload).collect();
    assert_eq!(payloads, said.iter().collect::<Vec<_>>());
    for two in heard.windows(2) {
        let (one, next) = (&two[0].header, &two[1].header);
        assert_eq!(next.sequence_number, one.sequence_number.wrapping_add(1));
        assert_eq!(next.timestamp, one.timestamp.wrapping_add(960));
    }

    // From the driver.
    let track = driver.voice.clone().unwrap();
    let header = rtc::rtp::Header {
        version: 2,
        payload_type: 111,
        sequence_number: 9,
        timestamp: 4_800,
        ssrc: 77,
        ..Default::default()
    };
    let payload = Bytes::from_static(&[0x78, 1, 2, 3]);
    track.write_rtp(rtc::rtp::Packet { header, payload }).await.unwrap();
    let packet = robot.until(|event| match event {
        LinkEvent::Audio(packet) => Some(packet),
        _other => None,
    });
    let packet = packet.await;
    assert_eq!(packet[..8], [0x80, 111, 0, 9, 0, 0, 0x12, 0xc0]);
    assert_eq!(packet[12..], [0x78, 1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_robot_without_sound_declines_it_and_nothing_else() {
    let mut driver = Driver::with(1, Some(77)).await;
    let robot = Robot::accept(&mut driver, 1).await;
    robot.session.send_audio(0, Bytes::from_static(&[1]));
    robot.session.send_frame(&frame(0, clock::mono_ns(), true, 500));
    assert!(!driver.frame(0).await.is_empty());
}
