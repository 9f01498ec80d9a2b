//! A session as its user sees it, and what its tasks share.

use super::audio::AudioLane;
use super::connection;
use super::guard::Guard;
use super::offer;
use super::outbound::{Lanes, SESSION_LEN_MAX};
use super::rate::{Bounds, Congestion, Covered, Flight, PathState, Shown};
use super::stats::{Counters, LinkStats, add};
use super::video::VideoLane;
use super::{LinkError, LinkEvent, Reach, SendError};
use crate::media::{Codec, EncodedFrame};
use bytes::BytesMut;
use protocol::signal::IceServer;
use protocol::units::MonoMs;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use webrtc::peer_connection::PeerConnection;

/// How long the driver's end has to connect after it got its answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);

/// The caller has, or is about to get, its session.
const ACCEPTED: u8 = 1;
/// The session is over.
const OVER: u8 = 2;

/// What a link sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sending {
    /// Sound both ways, if the offer has it: see [`Session::send_audio`] and [`LinkEvent::Audio`].
    pub audio: bool,
    /// What decides how much video.
    pub congestion: Congestion,
    /// Limits, video with its packets' headers.
    pub bounds: Bounds,
    /// Whether a far end without H.264 can be sent VP8.
    pub vp8: bool,
}

impl Sending {
    /// All that the cameras give, whatever the path carries, and no sound.
    pub const UNLIMITED: Self = Self {
        audio: false,
        congestion: Congestion::Off,
        bounds: Bounds { min_bps: 0.0, start_bps: 0.0, max_bps: 0.0 },
        vp8: true,
    };
}

/// A link to one driver. Dropping it closes it.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
}

impl Session {
    /// Answers an offer. `cameras` is how many cameras this robot has: the first video section of the offer
    /// gets camera 0, the next camera 1, as far as both go.
    ///
    /// `events` is called from the link's tasks, must not block, and gets drive packets the moment they are
    /// read. An event that another task was already telling may still arrive right after
    /// [`LinkEvent::Closed`].
    ///
    /// Must be called within a tokio runtime. Returns when the answer has all its candidates. No event is told
    /// of a session whose offer was refused.
    pub async fn accept(
        offer_sdp: &str,
        ice_servers: &[IceServer],
        cameras: u8,
        events: impl Fn(LinkEvent) + Send + Sync + 'static,
    ) -> Result<(Self, String), LinkError> {
        let (reach, sending) = (Reach::default(), Sending::UNLIMITED);
        Self::accept_with(&reach, sending, offer_sdp, ice_servers, cameras, events).await
    }

    /// As [`Session::accept`], where the robot is reached as `reach` says, with a limit to what is sent, and with sound.
    pub async fn accept_with(
        reach: &Reach,
        sending: Sending,
        offer_sdp: &str,
        ice_servers: &[IceServer],
        cameras: u8,
        events: impl Fn(LinkEvent) + Send + Sync + 'static,
    ) -> Result<(Self, String), LinkError> {
        let offer = offer::check(offer_sdp)?;
        let (audio, spoken) = (sending.audio && offer.audio).then(AudioLane::new).unzip();
        let videos = cameras.min(offer.videos);
        let codec = match offer.codec {
            _ if videos == 0 => Codec::default(),
            None => return Err(LinkError::NoCodec),
            Some(Codec::Vp8) if !sending.vp8 => return Err(LinkError::NoVp8),
            Some(codec) => codec,
        };
        let (lanes, outgoing) = Lanes::new();
        let (videos, frames) = (0..videos).map(VideoLane::new).unzip();
        let shared = Arc::new(Shared {
            events: Box::new(events),
            closed: watch::Sender::new(false),
            ends: AtomicU8::new(0),
            connected: AtomicBool::new(false),
            counters: Counters::default(),
            codec,
            guard: Arc::default(),
            sending,
            path: Arc::default(),
            covered: Arc::default(),
            flight: Mutex::default(),
            videos,
            audio,
            lanes,
            connection: Mutex::new(None),
            runtime: tokio::runtime::Handle::current(),
        });
        let session = Self { shared: Arc::clone(&shared) };
        let (reach, servers) = (reach.clone(), ice_servers.to_vec());
        let setup = {
            let shared = Arc::clone(&shared);
            async move {
                let inside = (frames, spoken);
                connection::answer(&offer, &reach, &servers, &shared, inside, outgoing).await
            }
        };
        // In a task of its own, so that an offer on which the stack's parser trips ends as an error here.
        let answer = tokio::spawn(setup)
            .await
            .map_err(|panic| LinkError::Negotiation { why: panic.to_string() })??;
        shared.runtime.spawn(connect_or_close(Arc::clone(&shared)));
        shared.half_closed(ACCEPTED);
        Ok((session, answer))
    }

    /// Hands a frame over for sending; never waits. Frames of cameras that the driver did not ask for, and those in
    /// another codec than [`Session::codec`], are ignored.
    pub fn send_frame(&self, frame: &EncodedFrame) {
        let shared = &self.shared;
        let Some(lane) = shared.videos.get(usize::from(frame.camera)) else { return };
        if !shared.connected.load(Ordering::Acquire) || frame.codec != shared.codec {
            return;
        }
        if lane.offer_frame(frame) {
            lock(&shared.flight).sent(Instant::now());
        } else {
            add(&shared.counters.frames_dropped, 1);
            shared.want_keyframe(lane);
        }
    }

    /// What is known of the path, and how old the oldest frame is of which nothing was heard yet.
    pub fn path(&self) -> (PathState, Duration) {
        let path = self.shared.path.get();
        let overdue = path.reported.map_or(Duration::ZERO, |reported| {
            lock(&self.shared.flight).overdue(Instant::now(), reported)
        });
        (path, overdue)
    }

    /// Gives up what is on its way of a camera: its pictures begin anew behind it.
    pub fn begin_anew(&self, camera: u8) {
        if let Some(lane) = self.shared.video(camera) {
            self.shared.begin_anew(lane, Instant::now());
        }
    }

    /// What repair costs beside the video, as a share of it.
    pub fn repair_share(&self) -> f64 {
        f64::from(self.shared.counters.repair_permille.load(Ordering::Relaxed)) / 1e3
    }

    /// Whether nothing decides how much is sent.
    pub fn is_unlimited(&self) -> bool {
        self.shared.sending.congestion == Congestion::Off
    }

    /// Whether the session is over.
    pub fn is_over(&self) -> bool {
        *self.shared.closed.borrow()
    }

    /// Hands over 20 ms of sound as Opus with its RTP timestamp (48 kHz); never waits.
    pub fn send_audio(&self, timestamp: u32, packet: bytes::Bytes) {
        if let Some(lane) = &self.shared.audio
            && self.shared.connected.load(Ordering::Acquire)
        {
            lane.offer(timestamp, packet);
        }
    }

    /// When the frame with this RTP timestamp was captured; `None` if none of the last seconds had it.
    pub fn capture_of(&self, camera: u8, rtp: u32) -> Option<MonoMs> {
        self.shared.videos.get(usize::from(camera))?.capture_of(rtp)
    }

    /// Replaces what the telemetry lane sends next: the newest packet wins.
    pub fn send_telemetry(&self, packet: &[u8]) {
        if self.shared.lanes.telemetry.put(BytesMut::from(packet)) {
            add(&self.shared.counters.telemetry_dropped, 1);
        }
    }

    /// Queues a message of the session lane.
    pub fn send_session(&self, text: &str) -> Result<(), SendError> {
        if text.len() > SESSION_LEN_MAX {
            return Err(SendError::TooLong);
        }
        self.shared.ensure_open()?;
        self.shared.lanes.session.try_send(text.to_owned()).map_err(|_full| SendError::Full)
    }

    /// Queues a packet of the e-stop lane.
    pub fn send_estop(&self, packet: &[u8]) -> Result<(), SendError> {
        self.shared.ensure_open()?;
        self.shared.lanes.estop.try_send(BytesMut::from(packet)).map_err(|_full| SendError::Full)
    }

    /// The codec that the driver's end decodes.
    pub fn codec(&self) -> Codec {
        self.shared.codec
    }

    /// How many cameras this session carries.
    pub fn cameras(&self) -> usize {
        self.shared.videos.len()
    }

    /// The counters since the start.
    pub fn stats(&self) -> LinkStats {
        let connected = self.shared.connected.load(Ordering::Relaxed);
        let (packets_refused, _messages) = self.shared.refused();
        LinkStats { packets_refused, ..self.shared.counters.snapshot(connected) }
    }

    /// Ends the session; does not wait. Tells [`LinkEvent::Closed`] if nothing has yet.
    pub fn close(&self) {
        self.shared.close("closed by the robot");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.close("dropped by the robot");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connect_or_close(shared: Arc<Shared>) {
    tokio::select! {
        () = shared.until_closed() => {}
        () = tokio::time::sleep(CONNECT_WITHIN) => {
            if !shared.connected.load(Ordering::Acquire) {
                shared.close("the driver's end did not connect in time");
            }
        }
    }
}

/// What the tasks of a session share.
pub(super) struct Shared {
    events: Box<dyn Fn(LinkEvent) + Send + Sync>,
    closed: watch::Sender<bool>,
    /// [`ACCEPTED`] and [`OVER`]; [`LinkEvent::Closed`] is told by whoever sets the second of them.
    ends: AtomicU8,
    connected: AtomicBool,
    pub(super) counters: Counters,
    pub(super) codec: Codec,
    pub(super) guard: Arc<Guard>,
    pub(super) sending: Sending,
    pub(super) path: Arc<Shown>,
    pub(super) covered: Arc<Covered>,
    flight: Mutex<Flight>,
    videos: Vec<VideoLane>,
    audio: Option<AudioLane>,
    pub(super) lanes: Lanes,
    /// Taken out on close: the stack refers back to this through its handler.
    connection: Mutex<Option<Arc<dyn PeerConnection>>>,
    pub(super) runtime: tokio::runtime::Handle,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("counters", &self.counters).finish_non_exhaustive()
    }
}

impl Shared {
    /// Tells an event, unless the session is over.
    pub(super) fn tell(&self, event: LinkEvent) {
        if !*self.closed.borrow() {
            (self.events)(event);
        }
    }

    /// Keeps the connection until the end of the session; closes it at once if that was already.
    pub(super) fn keep(&self, connection: Arc<dyn PeerConnection>) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        if *self.closed.borrow() {
            self.close_connection();
        }
    }

    pub(super) fn on_connected(&self) {
        if self.connected.swap(true, Ordering::AcqRel) {
            return;
        }
        self.tell(LinkEvent::Connected);
        self.videos.iter().for_each(|lane| self.want_keyframe(lane));
    }

    /// Ends the session once.
    pub(super) fn close(&self, why: &str) {
        if self.closed.send_replace(true) {
            return;
        }
        self.connected.store(false, Ordering::Release);
        self.counters.closed_why.get_or_init(|| why.to_owned());
        let (packets, messages) = self.refused();
        tracing::info!(
            why,
            packets_refused = packets,
            messages_refused = messages,
            "session closed"
        );
        self.half_closed(OVER);
        self.close_connection();
    }

    /// Packets and messages that were dropped unread.
    fn refused(&self) -> (u64, u64) {
        (self.guard.refused(), self.counters.inbound_refused.load(Ordering::Relaxed))
    }

    fn half_closed(&self, half: u8) {
        let before = self.ends.fetch_or(half, Ordering::AcqRel);
        if before | half == ACCEPTED | OVER && before != ACCEPTED | OVER {
            (self.events)(LinkEvent::Closed);
        }
    }

    /// Resolves when the session is over.
    pub(super) async fn until_closed(&self) {
        // Fails only when the sender is gone, and it lives in `self`.
        self.closed.subscribe().wait_for(|closed| *closed).await.map(|_closed| ()).unwrap_or(());
    }

    pub(super) fn videos(&self) -> &[VideoLane] {
        &self.videos
    }

    pub(super) fn video(&self, camera: u8) -> Option<&VideoLane> {
        self.videos.get(usize::from(camera))
    }

    pub(super) fn audio(&self) -> Option<&AudioLane> {
        self.audio.as_ref()
    }

    /// The camera whose packets have this source.
    pub(super) fn camera_of(&self, ssrc: u32) -> Option<&VideoLane> {
        self.videos.iter().find(|lane| lane.ssrc == ssrc)
    }

    /// The far end asks for a keyframe.
    pub(super) fn keyframe_asked(&self, ssrc: u32) {
        add(&self.counters.keyframes_asked, 1);
        if let Some(lane) = self.camera_of(ssrc) {
            self.want_keyframe(lane);
        }
    }

    /// What was lost of a camera is not sent again: its next picture must need nothing of it. Not more often than such
    /// a path can bear.
    pub(super) fn begin_anew(&self, lane: &VideoLane, now: Instant) {
        if lane.may_ask_afresh(crate::clock::mono_ms()) {
            lane.give_up(now);
            self.tell(LinkEvent::KeyframeWanted { camera: lane.camera });
        }
    }

    /// The stack has negotiated a payload type for this source.
    pub(super) fn stream_bound(&self, ssrc: u32, payload_type: u8) {
        if let Some(lane) = self.camera_of(ssrc) {
            lane.bind(payload_type);
        } else if let Some(lane) = self.audio().filter(|lane| lane.ssrc == ssrc) {
            lane.bind(payload_type);
        }
    }

    fn want_keyframe(&self, lane: &VideoLane) {
        if lane.may_ask(crate::clock::mono_ms()) {
            self.tell(LinkEvent::KeyframeWanted { camera: lane.camera });
        }
    }

    fn ensure_open(&self) -> Result<(), SendError> {
        if *self.closed.borrow() { Err(SendError::Closed) } else { Ok(()) }
    }

    fn close_connection(&self) {
        let taken = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(connection) = taken {
            self.runtime.spawn(async move {
                if let Err(error) = connection.close().await {
                    tracing::debug!(%error, "closing the connection");
                }
            });
        }
    }
}
