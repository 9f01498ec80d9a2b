//! Carries out what [`crate::session::Book`] decides: opens and closes links, begins and ends episodes, and
//! hands leases to the drive loop.

mod goals;
mod intervene;
mod link_stats;

use crate::adapt;
use crate::audio::Audio;
use crate::clock;
use crate::drive;
use crate::home::Home;
use crate::link::{self, LinkEvent};
use crate::media::{Camera, EncodedFrame};
use crate::record::{self, Begin, Record, event};
use crate::requests::{Requests, Wish};
use crate::session::{self, Book, Checked, Refusal};
use crate::shared::{DriveLease, Shared, lock};
use agent_core::Policy;
use episode::{Document, EpisodeMeta, Opening};
use protocol::drive::DriveCommand;
use protocol::dsse::Envelope;
use protocol::estop::{EstopAction, EstopPacket};
use protocol::ids::EpisodeId;
use protocol::keys::PrivateKey;
use protocol::message::Reply;
use protocol::problem::code;
use protocol::session::{FromRobot, ToRobot};
use protocol::settings::NotAllowed;
use protocol::signal::{SignalReply, SignalRequest, sign_answer};
use protocol::units::MonoMs;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::mpsc;

mod estop;
mod owner;
mod receipts;
mod relay;
mod spare;
mod wishes;

/// How often leases are looked after.
const WATCH_EVERY: Duration = Duration::from_millis(100);
/// How long a closing link has to deliver its last word.
const LAST_WORD: Duration = Duration::from_millis(300);
const LINK_STATS_EVERY_MS: u64 = 1_000;

/// What does not change while the agent runs.
pub(crate) struct Fixed {
    pub(crate) home: Home,
    pub(crate) key: Arc<PrivateKey>,
    pub(crate) robot: protocol::ids::RobotId,
    pub(crate) policy: Policy,
    pub(crate) calibration: Document,
    pub(crate) reach: link::Reach,
    pub(crate) congestion: link::rate::Congestion,
}

/// An event of the link of one opening.
pub(crate) type LinkMessage = (u64, LinkEvent);

/// The leases of this robot.
pub(crate) struct Leases {
    fixed: Fixed,
    shared: Arc<Shared>,
    recorder: record::Handle,
    drive: SyncSender<drive::Message>,
    cameras: OnceLock<Vec<Camera>>,
    requests: OnceLock<Weak<Requests>>,
    audio: OnceLock<Arc<Audio>>,
    book: Mutex<Book>,
    /// Held while a lease is opened or ended: one at a time.
    changing: tokio::sync::Mutex<()>,
    /// The link that is opened beside that of the lease.
    spare: Mutex<Option<spare::Spare>>,
    /// Counts openings.
    generation: AtomicU64,
    link_events: mpsc::Sender<LinkMessage>,
    malformed: AtomicU64,
}

impl Leases {
    pub(crate) fn new(
        fixed: Fixed,
        book: Book,
        shared: Arc<Shared>,
        recorder: record::Handle,
        drive: SyncSender<drive::Message>,
        link_events: mpsc::Sender<LinkMessage>,
    ) -> Self {
        Self {
            fixed,
            shared,
            recorder,
            drive,
            cameras: OnceLock::new(),
            requests: OnceLock::new(),
            audio: OnceLock::new(),
            book: Mutex::new(book),
            changing: tokio::sync::Mutex::new(()),
            spare: Mutex::new(None),
            generation: AtomicU64::new(0),
            link_events,
            malformed: AtomicU64::new(0),
        }
    }

    /// Hands the cameras over, once they run.
    pub(crate) fn set_cameras(&self, cameras: Vec<Camera>) {
        if self.cameras.set(cameras).is_err() {
            tracing::error!("the cameras were handed over twice");
        }
    }

    pub(crate) fn cameras(&self) -> &[Camera] {
        self.cameras.get().map_or(&[], Vec::as_slice)
    }

    /// Whether a driver's link is open.
    pub(crate) fn has_link(&self) -> bool {
        self.shared.lease().is_some_and(|lease| lease.link.is_some_and(|link| !link.is_over()))
    }

    /// Whether this is the link that carries the drive.
    pub(crate) fn is_driven_over(&self, link: &Arc<link::Session>) -> bool {
        let carries = lock(&self.shared.lease).as_ref().and_then(|lease| lease.link.clone());
        carries.is_some_and(|carries| Arc::ptr_eq(&carries, link))
    }

    /// Whether the wheels go, or are told to go, backwards.
    pub(crate) fn goes_backwards(&self) -> bool {
        self.shared.status().outputs.executed.linear_mmps < 0
    }

    /// A copy of what is known about leases, for the state that is published.
    pub(crate) fn book(&self) -> Book {
        lock(&self.book).clone()
    }

    /// A frame of a camera, to the link. Called on the camera's thread.
    pub(crate) fn frame(shared: &Shared, frame: &EncodedFrame) {
        let link = lock(&shared.lease).as_ref().and_then(|lease| lease.link.clone());
        if let Some(link) = link {
            link.send_frame(frame);
        }
    }

    /// Opens a session, or says why not.
    pub(crate) async fn open(self: &Arc<Self>, payload: &[u8]) -> SignalReply {
        let refused = |code: &str, detail: String| {
            tracing::warn!(code, detail, "a session was refused");
            SignalReply::Refused { code: code.to_owned(), detail }
        };
        let request: SignalRequest = match serde_json::from_slice(payload) {
            Ok(request) => request,
            Err(error) => return refused(code::BAD_REQUEST, format!("not a request: {error}")),
        };
        let _changing = self.changing.lock().await;
        let checked = match lock(&self.book).check_open(&request, clock::wall_ms()) {
            Ok(checked) => checked,
            Err(refusal) => return refused(refusal.code(), refusal.to_string()),
        };
        if let Err(not_allowed) = self.allowed_here() {
            let refusal = Refusal::Owner(not_allowed);
            return refused(refusal.code(), refusal.to_string());
        }
        let mission = checked.lease().lease().mission.as_ref();
        let policy = match session::with_mission(&self.fixed.policy, mission) {
            Ok(policy) => policy,
            Err(refusal) => return refused(refusal.code(), refusal.to_string()),
        };
        let generation = self.generation.fetch_add(1, Ordering::AcqRel) + 1;
        // First what can fail without harm: an offer that can't be answered must not end another's drive.
        let (link, answer_sdp) = if checked.relayed {
            (None, String::new())
        } else {
            match self.answer(&request, generation).await {
                Ok((link, answer)) => (Some(Arc::new(link)), answer),
                Err(error) => return refused(code::BAD_SDP, error.to_string()),
            }
        };
        let followed = link.as_ref().map(Arc::downgrade);
        let lease_id = checked.lease().lease().lease_id;
        if let Err(detail) = self.take(&request, checked, &policy, generation, link).await {
            return refused(code::UNAVAILABLE, detail);
        }
        if let Some(link) = followed {
            tokio::spawn(adapt::follow(link, Arc::clone(self)));
        }
        SignalReply::Opened {
            episode: lease_id.into(),
            robot_signature: sign_answer(lease_id, &answer_sdp, &self.fixed.key),
            answer_sdp,
        }
    }

    /// Has the cameras encode what the far end of this link decodes.
    fn encode_for(&self, link: Option<&link::Session>) {
        let codecs: Vec<_> = link.map(link::Session::codec).into_iter().collect();
        self.cameras().iter().for_each(|camera| camera.encode_as(&codecs));
    }

    async fn answer(
        self: &Arc<Self>,
        request: &SignalRequest,
        generation: u64,
    ) -> Result<(link::Session, String), link::LinkError> {
        let this = Arc::clone(self);
        let cameras = u8::try_from(self.cameras().len()).unwrap_or(u8::MAX);
        let events = move |event| this.link_event(generation, event);
        let (reach, offer) = (&self.fixed.reach, &request.offer_sdp);
        let mut sending = adapt::sending(self.fixed.congestion, self.cameras());
        sending.audio = self.has_audio();
        let servers = &request.ice_servers;
        link::Session::accept_with(reach, sending, offer, servers, cameras, events).await
    }

    /// Called from the link's tasks: hands over and returns.
    fn link_event(&self, generation: u64, event: LinkEvent) {
        match event {
            LinkEvent::Drive(packet, arrived) => self.packet(&packet, arrived, generation),
            LinkEvent::KeyframeWanted { camera } => {
                if let Some(camera) = self.cameras().get(usize::from(camera)) {
                    camera.force_keyframe();
                }
            }
            LinkEvent::Audio(packet) => {
                if let Some(audio) = self.audio() {
                    audio.hear(generation, packet);
                }
            }
            LinkEvent::Estop(packet) => {
                // Here and not in the task below: a stop waits for nothing.
                if let Ok(EstopPacket { action: EstopAction::Stop, .. }) =
                    EstopPacket::decode(&packet)
                {
                    self.stop_now("the driver's button");
                }
                self.hand_over(generation, LinkEvent::Estop(packet));
            }
            other => self.hand_over(generation, other),
        }
    }

    fn hand_over(&self, generation: u64, event: LinkEvent) {
        if self.link_events.try_send((generation, event)).is_err() {
            tracing::warn!("too many messages of a driver: one is dropped");
        }
    }

    /// A drive packet, from wherever: it counts if the core says so.
    fn packet(&self, packet: &[u8], arrived: MonoMs, generation: u64) {
        let Ok(command) = DriveCommand::decode(packet) else {
            let malformed = self.malformed.fetch_add(1, Ordering::Relaxed) + 1;
            if malformed.is_power_of_two() {
                tracing::warn!(malformed, "drive packets that can't be read");
            }
            return;
        };
        let Ok(packet) = packet.try_into() else { return };
        let message = drive::Message::Command { packet, command, arrived, generation };
        // A full queue drops the newest: the core then stops by age, as it should when it can't keep up.
        if self.drive.try_send(message).is_err() {
            tracing::debug!("the drive loop does not keep up: a packet is dropped");
        }
    }

    fn stop_now(&self, who: &str) {
        self.shared.estop_stop.store(true, Ordering::Release);
        // A full queue wakes the loop as well.
        self.drive.try_send(drive::Message::Wake).unwrap_or_default();
        tracing::warn!(who, "emergency stop");
        let event = event("estop", format!("emergency stop: {who}"), String::new());
        self.recorder.put(clock::wall_ns(), Record::Event(event));
    }

    /// Takes a checked opening: durable epoch, the old lease out, episode, the new lease in.
    async fn take(
        self: &Arc<Self>,
        request: &SignalRequest,
        checked: Checked,
        policy: &Policy,
        generation: u64,
        link: Option<Arc<link::Session>>,
    ) -> Result<(), String> {
        let envelope = checked.lease().envelope().clone();
        let lease = checked.lease().lease().clone();
        if !checked.again {
            self.recorder.ready()?;
            let (home, epoch) = (self.fixed.home.clone(), lease.epoch);
            blocking(move || home.write_epoch(epoch).map_err(|error| format!("{error:#}"))).await?;
            // From here on nothing signed for a lower epoch opens, nor moves, this robot again.
            self.shared.epoch_highest.fetch_max(lease.epoch, Ordering::AcqRel);
            self.end("fenced");
            // Before the episode begins, which says how its pictures are made.
            self.encode_for(link.as_deref());
            let fence = policy.geofence.freeze().map_err(|error| error.to_string())?;
            *lock(&self.shared.fence) = Some(Arc::new(fence));
            let begin = Begin {
                dir: self.fixed.home.episode(lease.lease_id.into()),
                meta: self.meta(request, envelope, policy),
            };
            let recorder = self.recorder.clone();
            blocking(move || recorder.begin(begin)).await?;
        }
        let now = clock::mono_ms();
        if checked.again
            && let Some(link) = &link
            && self.keep_spare(generation, link)
        {
            self.open_again(checked, now);
            return Ok(());
        }
        let drive_lease = {
            let mut book = lock(&self.book);
            book.open(checked, now);
            let core = book.core().ok_or("the lease did not open")?;
            DriveLease {
                core,
                generation,
                link,
                distance_start_m: self.shared.sensors().distance_m,
            }
        };
        self.forget_goal();
        self.encode_for(drive_lease.link.as_deref());
        let before = lock(&self.shared.lease).replace(drive_lease);
        self.shared.leased.notify_one();
        if let Some(link) = before.and_then(|lease| lease.link) {
            link.close();
        }
        for camera in self.cameras() {
            camera.force_keyframe();
        }
        let (kind, epoch) = (lease.driver_kind, lease.epoch);
        tracing::info!(lease = %lease.lease_id, holder = %lease.holder, ?kind, epoch, "a driver has the robot");
        let offsets = format!(r#"{{"robot_ms":{},"wall_ns":{}}}"#, now.0, clock::wall_ns());
        self.tell_episode("clock-offset", "the robot's two clocks at the same moment", offsets);
        Ok(())
    }

    fn meta(&self, request: &SignalRequest, lease: Envelope, policy: &Policy) -> EpisodeMeta {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        EpisodeMeta {
            robot: self.fixed.robot.clone(),
            robot_did: self.fixed.key.did(),
            lease,
            opening: Opening::new(&request.offer_sdp, &request.driver_signature),
            started_at: clock::wall_ms(),
            software: BTreeMap::from([("robot-agent".to_owned(), version)]),
            policy: Document::from_json(policy.canonical_json()),
            calibration: self.fixed.calibration.clone(),
            owner_settings: lock(&self.book).settings().map(|s| s.envelope().clone()),
        }
    }

    pub(crate) fn tell_episode(&self, code: &str, detail: &str, json: String) {
        self.recorder.put(clock::wall_ns(), Record::Event(event(code, detail, json)));
    }

    /// Ends the open lease: wheels to zero, a last word, the episode.
    fn end(self: &Arc<Self>, why: &str) -> Option<EpisodeId> {
        self.forget_goal();
        let (cut_short, ended) = {
            let mut book = lock(&self.book);
            (book.cut_short(why), book.end(why)?)
        };
        let before = lock(&self.shared.lease).take();
        self.encode_for(None);
        self.drop_spare();
        self.drive.try_send(drive::Message::Wake).unwrap_or_default();
        tracing::info!(lease = %ended.lease, why, "the lease has ended");
        cut_short.iter().for_each(|note| self.tell_intervention(note));
        self.tell_episode("lease-ended", why, String::new());
        if let Some(link) = before.and_then(|lease| lease.link) {
            send(&link, &FromRobot::Ended { why: why.to_owned() });
            tokio::spawn(async move {
                tokio::time::sleep(LAST_WORD).await;
                link.close();
            });
        }
        // In order with what follows: the next episode must not begin before this one was told to end.
        tokio::task::block_in_place(|| self.recorder.end(why));
        Some(ended.episode)
    }

    /// Ends the open lease, if there is one, because the agent ends.
    pub(crate) async fn end_for_shutdown(self: &Arc<Self>) {
        let _changing = self.changing.lock().await;
        if self.end("stopping").is_some() {
            tokio::time::sleep(LAST_WORD).await;
        }
    }

    fn renew(&self, envelope: Envelope) -> Result<u32, Refusal> {
        let json = serde_json::to_string(&envelope).unwrap_or_default();
        let mut book = lock(&self.book);
        let renewal = book.renew(envelope, clock::mono_ms(), clock::wall_ms())?;
        let core = book.core();
        drop(book);
        if let (Some(core), Some(lease)) = (core, lock(&self.shared.lease).as_mut()) {
            lease.core = core;
        }
        self.tell_episode("lease-renewed", "the lease, renewed by the fleet", json);
        Ok(renewal)
    }

    /// Looks after links and leases, for ever.
    pub(crate) async fn watch(self: Arc<Self>, mut events: mpsc::Receiver<LinkMessage>) {
        let mut every = tokio::time::interval(WATCH_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut latched = self.fixed.home.estop_latched();
        let (mut stats_at, mut equipment) = (MonoMs(0), None);
        loop {
            tokio::select! {
                _tick = every.tick() => {
                    self.beat();
                    self.look().await;
                    self.keep_estop(&mut latched).await;
                    let now = clock::mono_ms();
                    if now.since(stats_at) >= LINK_STATS_EVERY_MS {
                        stats_at = now;
                        self.record_link();
                        self.tell_equipment(&mut equipment);
                    }
                }
                Some((generation, event)) = events.recv() => self.handle(generation, event).await,
            }
        }
    }

    /// Tells the safety core that this task is alive, and when the liveliest camera was: one that hangs is not the
    /// robot's end while another works, and the driver's own picture has a rule of its own.
    fn beat(&self) {
        let beats = &self.shared.beats;
        beats.link.store(clock::mono_ms().0, Ordering::Release);
        if let Some(newest_ms) = self.cameras().iter().map(Camera::alive_ms).max() {
            beats.camera.store(newest_ms, Ordering::Release);
        }
    }

    async fn look(self: &Arc<Self>) {
        let due = {
            let mut book = lock(&self.book);
            let opened = book.current().map(crate::session::Current::opened);
            let heard = MonoMs(self.shared.heard_ms.load(Ordering::Acquire));
            if opened.is_some_and(|opened| heard >= opened) {
                book.heard(heard);
            }
            book.due(clock::mono_ms()).is_some()
        };
        // The last line behind the geofence, which slows down before an edge: whoever is out is out.
        let outside = self.allowed_here() == Err(NotAllowed::Area);
        if due || outside {
            let _changing = self.changing.lock().await;
            let why = lock(&self.book).due(clock::mono_ms());
            if let Some(why) = why.or(outside.then_some("outside-area")) {
                self.end(why);
            }
        }
    }

    /// The latch outlives the process.
    async fn keep_estop(&self, kept: &mut bool) {
        let latched = self.shared.status().estop_latched;
        if latched == *kept {
            return;
        }
        let home = self.fixed.home.clone();
        match blocking(move || home.write_estop(latched).map_err(|error| format!("{error:#}")))
            .await
        {
            Ok(()) => *kept = latched,
            Err(error) => tracing::error!(error, "the latched emergency stop can't be kept"),
        }
    }

    async fn handle(self: &Arc<Self>, generation: u64, event: LinkEvent) {
        match event {
            LinkEvent::Connected => self.spare_connected(generation),
            LinkEvent::Closed => self.spare_closed(generation),
            _ => {}
        }
        let lease = self.shared.lease().filter(|lease| lease.generation == generation);
        let Some(link) = lease.as_ref().and_then(|lease| lease.link.clone()) else { return };
        match event {
            LinkEvent::Connected => {
                tracing::info!("the driver's end is connected");
                let episode = lock(&self.book).episode();
                if let Some(episode) = episode {
                    send(&link, &FromRobot::Opened { episode });
                }
                if let Some(requests) = self.requests() {
                    send(&link, &requests.equipment());
                }
            }
            LinkEvent::SessionText(text) => self.session_text(generation, &link, &text).await,
            LinkEvent::Estop(packet) => self.estop_packet(&link, &packet).await,
            LinkEvent::Closed => {
                let why = link.stats().closed_why.unwrap_or_default();
                self.tell_episode("link-closed", &why, String::new());
            }
            LinkEvent::Drive(..) | LinkEvent::Audio(_) | LinkEvent::KeyframeWanted { .. } => {}
        }
    }

    async fn session_text(self: &Arc<Self>, generation: u64, link: &link::Session, text: &str) {
        let message: ToRobot = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(error) => {
                let (code, detail) =
                    (code::BAD_REQUEST.to_owned(), format!("not a message: {error}"));
                return send(link, &FromRobot::Refused { code, detail });
            }
        };
        let outcome = match message {
            ToRobot::Renew { lease } => match self.renew(lease) {
                Ok(renewal) => return send(link, &FromRobot::Renewed { renewal }),
                Err(refusal) => Err(refusal),
            },
            ToRobot::Receipt { receipt } => self.receipt(&receipt),
            ToRobot::Goal { id, position } => return self.goal(generation, id, position),
            ToRobot::CancelGoal {} => return self.cancel_goal(),
            ToRobot::Release {} => {
                let _changing = self.changing.lock().await;
                self.end("released");
                Ok(())
            }
            ToRobot::Lamp { level } => return self.wish(link, Wish::Lamp(level)).await,
            ToRobot::Horn {} => return self.wish(link, Wish::Horn).await,
            ToRobot::Say { text } => return self.wish(link, Wish::Say(text)).await,
            ToRobot::Listen { active } => return self.listen(generation, active),
            ToRobot::Talk { active } => return self.talk(generation, active),
            ToRobot::LinkStats { .. } => {
                self.tell_episode("driver-link", "what the driver's end sees", text.to_owned());
                Ok(())
            }
        };
        if let Err(refusal) = outcome {
            tracing::warn!(%refusal, "a driver's message is refused");
            let (code, detail) = (refusal.code().to_owned(), refusal.to_string());
            send(link, &FromRobot::Refused { code, detail });
        }
    }
}

pub(crate) fn reply(outcome: Result<(), Refusal>) -> Reply {
    match outcome {
        Ok(()) => Reply::Done,
        Err(refusal) => {
            tracing::warn!(%refusal, "a request is refused");
            Reply::Refused { code: refusal.code().to_owned(), detail: refusal.to_string() }
        }
    }
}

fn send(link: &link::Session, message: &FromRobot) {
    let sent = serde_json::to_string(message).map(|text| link.send_session(&text));
    if !matches!(sent, Ok(Ok(()))) {
        tracing::debug!(?message, "a message to the driver was not sent");
    }
}

/// Work that waits for the disk, away from the async tasks.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(format!("a task of the agent failed: {error}")),
    }
}
