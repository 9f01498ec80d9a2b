//! A driver over WebRTC that is no browser: it can say whatever it likes on every lane, and see what the robot makes of it.

use crate::guest::new_key;
use anyhow::{Context, Result, anyhow, ensure};
use bytes::BytesMut;
use protocol::api::{LeaseGrant, LeaseOrder};
use protocol::drive::{DriveCommand, Seen};
use protocol::dsse::Envelope;
use protocol::ids::RobotId;
use protocol::keys::PrivateKey;
use protocol::lease::Lease;
use protocol::signal::{channel, open_bytes};
use protocol::telemetry::Telemetry;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use serde_json::{Value, json, to_value};
use sha2::Digest;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCIceGatheringState, RTCSessionDescription, Registry, register_default_interceptors,
};
use xtask::fleet::{Client, hex, text};
use xtask::stack::{ROBOT, Stack};

/// A connection gets so long to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// How often the lease is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(8);
/// Time between two commands.
const COMMAND_EVERY: Duration = Duration::from_millis(20);

/// What has arrived at a driver's end.
#[derive(Debug, Default, Clone)]
pub struct Arrived {
    /// The newest telemetry.
    pub telemetry: Option<Telemetry>,
    /// When the packets of telemetry came.
    pub telemetry_at: Vec<Instant>,
    /// Stamp of the newest whole picture of each camera.
    pub seen: [Option<u32>; 2],
    /// What it counts as, and the stream's source, for reports on it.
    pub ssrc: [Option<u32>; 2],
    /// Texts of the session lane.
    pub session: Vec<String>,
    gathered: bool,
    open: usize,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    arrived: Mutex<Arrived>,
    changed: Notify,
    tracks: Mutex<Vec<Arc<dyn TrackRemote>>>,
}

impl Shared {
    fn note(&self, change: impl FnOnce(&mut Arrived)) {
        change(&mut self.arrived.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
    }

    fn get(&self) -> Arrived {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn until(&self, what: &str, wanted: impl Fn(&Arrived) -> bool) -> Result<()> {
        let waiting = async {
            while !wanted(&self.get()) {
                let looked_again = tokio::time::sleep(Duration::from_millis(20));
                tokio::select! { () = self.changed.notified() => {}, () = looked_again => {} }
            }
        };
        let waited = tokio::time::timeout(CONNECT_WITHIN, waiting).await;
        waited.with_context(|| format!("{what} did not come within {CONNECT_WITHIN:?}"))
    }
}

struct Handler(Arc<Shared>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.0.note(|arrived| arrived.gathered = true);
        }
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let shared = Arc::clone(&self.0);
        shared.tracks.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&track));
        tokio::spawn(async move {
            let name = track.stream_id().await.to_string();
            let camera = usize::from(name == "camera-1");
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    shared.note(|arrived| {
                        arrived.ssrc[camera] = Some(packet.header.ssrc);
                        if packet.header.marker {
                            arrived.seen[camera] = Some(packet.header.timestamp);
                        }
                    });
                }
            }
        });
    }
}

/// One connection to the robot.
pub struct Link {
    /// The connection.
    pub connection: Arc<dyn PeerConnection>,
    channels: Vec<(u16, Arc<dyn DataChannel>)>,
    shared: Arc<Shared>,
    /// What the robot is asked with.
    pub offer: String,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Link {
    async fn new() -> Result<Self> {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let shared = Arc::<Shared>::default();
        let mut media = MediaEngine::default();
        media.register_default_codecs()?;
        let registry = register_default_interceptors(Registry::new(), &mut media)?;
        let connection: Arc<dyn PeerConnection> = Arc::new(
            PeerConnectionBuilder::new()
                .with_media_engine(media)
                .with_interceptor_registry(registry)
                .with_handler(Arc::new(Handler(Arc::clone(&shared))))
                .with_udp_addrs(vec!["127.0.0.1:0"])
                .build()
                .await?,
        );
        for _camera in 0..2 {
            let direction = RTCRtpTransceiverDirection::Recvonly;
            let init = RTCRtpTransceiverInit { direction, ..Default::default() };
            connection.add_transceiver_from_kind(RtpCodecKind::Video, Some(init)).await?;
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
            let lane = connection.create_data_channel("lane", Some(init)).await?;
            channels.push((id, Arc::clone(&lane)));
            tokio::spawn(read(id, lane, Arc::clone(&shared)));
        }
        let offer = connection.create_offer(None).await?;
        connection.set_local_description(offer).await?;
        shared.until("the own candidates", |arrived| arrived.gathered).await?;
        let offer = connection.local_description().await.context("no local description")?.sdp;
        Ok(Self { connection, channels, shared, offer })
    }

    async fn connect(&self, answer: String) -> Result<()> {
        let answer = RTCSessionDescription::answer(answer)?;
        self.connection.set_remote_description(answer).await?;
        self.shared.until("the four lanes", |arrived| arrived.open == 4).await?;
        let whole = |arrived: &Arrived| arrived.telemetry.is_some() && arrived.seen[0].is_some();
        self.shared.until("telemetry and a picture", whole).await
    }

    /// Sends bytes on a lane.
    pub async fn send(&self, lane: u16, data: &[u8]) -> Result<()> {
        Ok(self.lane(lane)?.send(BytesMut::from(data)).await?)
    }

    /// Sends a text on a lane.
    pub async fn send_text(&self, lane: u16, text: &str) -> Result<()> {
        Ok(self.lane(lane)?.send_text(text).await?)
    }

    fn lane(&self, lane: u16) -> Result<&Arc<dyn DataChannel>> {
        let found = self.channels.iter().find(|(id, _channel)| *id == lane);
        found.map(|(_id, channel)| channel).context("no such lane")
    }

    /// Sends RTCP over the front camera's stream.
    pub async fn rtcp(&self, packets: Vec<Box<dyn rtc::rtcp::Packet>>) -> Result<()> {
        let track = {
            let tracks = self.shared.tracks.lock().unwrap_or_else(PoisonError::into_inner);
            tracks.first().cloned().context("no track yet")?
        };
        Ok(track.write_rtcp(packets).await?)
    }

    /// What has arrived.
    pub fn arrived(&self) -> Arrived {
        self.shared.get()
    }

    /// Forgets when telemetry came.
    pub fn forget_times(&self) {
        self.shared.note(|arrived| arrived.telemetry_at.clear());
    }

    /// Waits until the robot has closed it.
    pub async fn closed(&self) -> Result<()> {
        self.shared.until("the robot's end of the link", |arrived| arrived.closed).await
    }
}

async fn read(id: u16, lane: Arc<dyn DataChannel>, shared: Arc<Shared>) {
    while let Some(event) = lane.poll().await {
        match event {
            DataChannelEvent::OnOpen => shared.note(|arrived| arrived.open += 1),
            DataChannelEvent::OnMessage(message) if id == channel::TELEMETRY => {
                let telemetry = Telemetry::decode(&message.data).ok();
                shared.note(|arrived| {
                    arrived.telemetry = telemetry.or(arrived.telemetry);
                    arrived.telemetry_at.push(Instant::now());
                });
            }
            DataChannelEvent::OnMessage(message) if id == channel::SESSION => {
                let text = String::from_utf8_lossy(&message.data).into_owned();
                shared.note(|arrived| arrived.session.push(text));
            }
            DataChannelEvent::OnClose => break,
            _other => {}
        }
    }
    shared.note(|arrived| arrived.closed = true);
}

/// What opens a drive: a lease and its holder's key.
#[derive(Debug, Clone)]
pub struct Kept {
    client: Client,
    key: Arc<PrivateKey>,
    envelope: Envelope,
    lease: Lease,
}

impl Kept {
    /// Asks the robot with an offer, whatever it is, properly signed; gives its answer.
    pub fn call(&self, offer: &str) -> Result<String> {
        let digest = sha2::Sha256::digest(self.envelope.body_unverified()?).into();
        let signature = hex(&self.key.sign(&open_bytes(&digest, offer)));
        let body =
            json!({"lease": self.envelope, "offer_sdp": offer, "driver_signature": signature});
        let path = format!("/v1/robots/{ROBOT}/session");
        let opened = self.client.post(&path, &body)?;
        let answer = opened.get("answer_sdp").and_then(Value::as_str);
        answer.map(ToOwned::to_owned).ok_or_else(|| anyhow!("no answer: {opened}"))
    }
}

fn join(stack: &Stack) -> Result<(Client, PrivateKey)> {
    let key = new_key()?;
    let invitation = stack.operator.post("/v1/invitations", &json!({"role": "pilot"}))?;
    let client = Client::new(&stack.url).join(&text(&invitation, "code")?, "Test pilot", &key)?;
    Ok((client, key))
}

/// A driver with a lease, and the link over which it drives.
#[derive(Debug)]
pub struct Linked {
    kept: Kept,
    /// The link.
    pub link: Link,
    seq: u32,
    renewed: Instant,
}

impl Linked {
    /// Joins the fleet as a pilot, takes a lease without a mission, and opens it at the robot.
    pub async fn open(stack: &Stack) -> Result<Self> {
        let (client, key) = join(stack)?;
        let robot: RobotId = ROBOT.parse()?;
        let order = LeaseOrder { robot: Some(robot), mission: None, relay: None, takeover: false };
        let grant = client.post("/v1/leases", &to_value(order)?)?;
        let grant: LeaseGrant = serde_json::from_value(grant)?;
        let lease: Lease = grant.lease.document_unverified()?;
        let link = Link::new().await?;
        let kept = Kept { client, key: Arc::new(key), envelope: grant.lease, lease };
        let linked = Self { kept, link, seq: 0, renewed: Instant::now() };
        let answer = linked.call(&linked.link.offer)?;
        linked.link.connect(answer).await?;
        Ok(linked)
    }

    /// Says something on the session lane.
    pub async fn say(&self, text: &str) -> Result<()> {
        self.link.send_text(channel::SESSION, text).await
    }

    /// Opens another link in the same lease, beside the one that is there.
    pub async fn another_link(&self) -> Result<Link> {
        let link = Link::new().await?;
        let answer = self.call(&link.offer)?;
        link.connect(answer).await?;
        Ok(link)
    }

    /// As [`Kept::call`].
    pub fn call(&self, offer: &str) -> Result<String> {
        self.kept.call(offer)
    }

    /// What opened this drive, to be kept beyond its end.
    pub fn kept(&self) -> Kept {
        self.kept.clone()
    }

    /// A command that would be obeyed: forward, with what is newest on this side.
    pub fn good(&mut self) -> Result<DriveCommand> {
        let arrived = self.link.arrived();
        let telemetry = arrived.telemetry.context("no telemetry")?;
        self.seq += 1;
        Ok(DriveCommand {
            deadman: true,
            seq: self.seq,
            epoch: self.kept.lease.epoch,
            seen: arrived.seen[0].map_or(Seen::Nothing, Seen::Rtp),
            robot_stamp_ms: protocol::units::MonoMs(telemetry.robot_ms).low32(),
            linear_mmps: 400,
            ..DriveCommand::default()
        })
    }

    /// Sends what `make` makes of good commands for a while, fifty times a second.
    pub async fn drive(
        &mut self,
        spell: Duration,
        mut make: impl FnMut(DriveCommand) -> Vec<u8>,
    ) -> Result<()> {
        let mut every = tokio::time::interval(COMMAND_EVERY);
        let until = Instant::now() + spell;
        while Instant::now() < until {
            every.tick().await;
            if self.renewed.elapsed() > RENEW_EVERY {
                self.renew().await?;
            }
            let packet = make(self.good()?);
            self.link.send(channel::DRIVE, &packet).await?;
        }
        Ok(())
    }

    async fn renew(&mut self) -> Result<()> {
        let path = format!("/v1/leases/{}/renew", self.kept.lease.lease_id);
        let grant: LeaseGrant =
            serde_json::from_value(self.kept.client.post(&path, &Value::Null)?)?;
        let renew = protocol::session::ToRobot::Renew { lease: grant.lease.clone() };
        self.link.send_text(channel::SESSION, &serde_json::to_string(&renew)?).await?;
        self.kept.envelope = grant.lease;
        self.renewed = Instant::now();
        Ok(())
    }

    /// Tells the robot that its driver is there, with the stick at rest.
    pub async fn idle(&mut self) -> Result<()> {
        let good = self.good()?;
        let idle = DriveCommand { deadman: false, linear_mmps: 0, ..good };
        self.link.send(channel::DRIVE, &idle.encode()).await
    }

    /// Lets go of the stick for a moment, so that the next good command may move the robot.
    pub async fn rest(&mut self) -> Result<()> {
        let let_go = |good: DriveCommand| DriveCommand { deadman: false, linear_mmps: 0, ..good };
        self.drive(Duration::from_millis(300), |good| let_go(good).encode().to_vec()).await
    }

    /// Gives the lease back: to the robot, which ends the episode, and to the fleet.
    pub async fn release(self) -> Result<()> {
        self.link.send_text(channel::SESSION, r#"{"type":"release"}"#).await?;
        self.link.closed().await?;
        let path = format!("/v1/leases/{}", self.kept.lease.lease_id);
        ensure!(self.kept.client.delete(&path).is_ok(), "the fleet does not take the lease back");
        Ok(())
    }
}
