//! The recorder's thread. Whoever has something to record hands it over without waiting; when the disk does not
//! keep up, records are dropped and counted by topic, and the episode says so.

mod pictures;
mod write;

pub(crate) use pictures::Pictures;

use crate::clock;
use crate::config::BUMPERS_MAX;
use crate::episodes::{self, words};
use crate::home::Home;
use crate::media::EncodedFrame;
use episode::layout::topic;
use episode::{Ending, EpisodeMeta, Recorder};
use protocol::keys::PrivateKey;
use protocol::units::MonoMs;
use ros_bridge::agent::Inbound;
use ros_msgs::builtin_interfaces::Time;
use ros_msgs::geometry_msgs::TwistStamped;
use ros_msgs::longrein_msgs::{DriveCommand, Event, LinkStats, SafetyState, SafetyStep};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use write::{Open, channels, note_dropped, write};

/// Records that may wait: several seconds of a drive.
const QUEUE: usize = 4_096;
/// How long an episode goes on after its lease, so that it shows the robot at rest.
const AFTERMATH_MS: u64 = 400;
/// How long records gather before they are written. A killed agent loses so much more at most.
const GATHER: Duration = Duration::from_millis(50);
/// How often an episode that the disk cut short is looked at again.
const RECOVER_EVERY: Duration = Duration::from_secs(5);

/// An episode's folder with its ending; without one it must be recovered first.
type ToSeal = (PathBuf, Option<Ending>);

/// One thing to record.
#[derive(Debug)]
pub(crate) enum Record {
    Sensor(Inbound),
    Command(Box<DriveCommand>),
    Limited(Box<TwistStamped>),
    Executed(Box<TwistStamped>),
    Step(Box<SafetyStep>),
    Safety(Box<SafetyState>),
    Link(Box<LinkStats>),
    Receipt(Box<Event>),
    Event(Box<Event>),
    Frame(EncodedFrame),
}

/// Slots of the drop counters: the topics, then the cameras.
const TOPICS: [&str; 16] = [
    topic::ODOM,
    topic::IMU,
    topic::FIX,
    topic::BATTERY,
    topic::SCAN,
    topic::JOINT_STATES,
    topic::COMMAND,
    topic::LIMITED,
    topic::EXECUTED,
    topic::SAFETY_STEP,
    topic::SAFETY,
    topic::LINK,
    topic::RECEIPT,
    topic::EVENT,
    topic::FIELD,
    topic::RANGE,
];
const CAMERAS_MAX: usize = 8;
const SLOTS: usize = TOPICS.len() + CAMERAS_MAX;

impl Record {
    fn slot(&self) -> usize {
        match self {
            Self::Sensor(Inbound::Odometry(_)) => 0,
            Self::Sensor(Inbound::Imu(_)) => 1,
            Self::Sensor(Inbound::Fix(_)) => 2,
            Self::Sensor(Inbound::Battery(_)) => 3,
            Self::Sensor(Inbound::Scan(_)) => 4,
            Self::Sensor(Inbound::WheelSpeeds(_)) => 5,
            Self::Command(_) => 6,
            Self::Limited(_) => 7,
            Self::Executed(_) => 8,
            Self::Step(_) => 9,
            Self::Safety(_) => 10,
            Self::Link(_) => 11,
            Self::Receipt(_) => 12,
            // Bumpers and diagnostics are events.
            Self::Event(_) | Self::Sensor(Inbound::Bumper(..) | Inbound::Diagnostics(_)) => 13,
            Self::Sensor(Inbound::Field(_)) => 14,
            Self::Sensor(Inbound::Range(..)) => 15,
            Self::Frame(frame) => TOPICS.len() + usize::from(frame.camera).min(CAMERAS_MAX - 1),
        }
    }
}

/// An event, now.
pub(crate) fn event(code: &str, detail: impl Into<String>, json: String) -> Box<Event> {
    let stamp = Time::from_ns(clock::wall_ns());
    Box::new(Event { stamp, code: code.to_owned(), detail: detail.into(), json })
}

/// What begins an episode.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) dir: PathBuf,
    pub(crate) meta: EpisodeMeta,
}

enum Message {
    Begin(Box<Begin>, SyncSender<Result<(), String>>),
    End(String),
    Record(u64, Record),
    Stop,
}

/// What the recorder tells everybody.
#[derive(Debug)]
pub(crate) struct Progress {
    /// It can write.
    pub(crate) able: AtomicBool,
    /// The quota of the spool is full of what may not be removed: what is recorded goes on, nothing new begins.
    spool_full: AtomicBool,
    /// An episode is open.
    pub(crate) recording: AtomicBool,
    /// Counts the episodes begun, so that the drive loop knows when a new one wants its first snapshot.
    pub(crate) begun: AtomicU64,
    /// Bytes of the open episode, about.
    pub(crate) bytes: AtomicU64,
    /// When the recorder's thread was known to run last, monotonic ms.
    pub(crate) alive_ms: AtomicU64,
    /// Something of the open episode was dropped.
    pub(crate) lost: AtomicBool,
    dropped: [AtomicU32; SLOTS],
}

impl Progress {
    fn ready(&self) -> Result<(), String> {
        if !self.able.load(Ordering::Acquire) {
            let words =
                "the robot's disk is full: ask its owner to free space, or take another robot";
            return Err(words.to_owned());
        }
        if self.spool_full.load(Ordering::Acquire) {
            let words = "the robot's spool is full of drives that the fleet does not have yet: wait until they are \
                         uploaded, or take another robot";
            return Err(words.to_owned());
        }
        Ok(())
    }

    /// Whether it was full before.
    pub(crate) fn set_spool_full(&self, full: bool) -> bool {
        self.spool_full.swap(full, Ordering::AcqRel)
    }
}

/// The way to the recorder's thread.
#[derive(Clone)]
pub(crate) struct Handle {
    sender: SyncSender<Message>,
    pub(crate) progress: Arc<Progress>,
}

impl Handle {
    /// Hands a record over; never waits. Outside of an episode it is nothing.
    pub(crate) fn put(&self, at_ns: u64, record: Record) {
        if !self.progress.recording.load(Ordering::Relaxed) {
            return;
        }
        let slot = record.slot();
        if self.sender.try_send(Message::Record(at_ns, record)).is_err() {
            self.drop_one(slot);
        }
    }

    fn drop_one(&self, slot: usize) {
        self.progress.lost.store(true, Ordering::Relaxed);
        if let Some(counter) = self.progress.dropped.get(slot) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether an episode can begin, or why not.
    pub(crate) fn ready(&self) -> Result<(), String> {
        self.progress.ready()
    }

    /// Begins an episode; the one before ends. Waits for the disk: not for the drive loop or an async task.
    pub(crate) fn begin(&self, begin: Begin) -> Result<(), String> {
        let (reply, answer) = sync_channel(1);
        let gone = |_gone| "the recorder has ended".to_owned();
        self.sender
            .send(Message::Begin(Box::new(begin), reply))
            .map_err(|e| gone(e.to_string()))?;
        answer.recv().map_err(|e| gone(e.to_string()))?
    }

    /// Ends the episode, a little later, so that it shows the robot at rest. May wait for the disk.
    pub(crate) fn end(&self, why: &str) {
        if self.sender.send(Message::End(why.to_owned())).is_err() {
            tracing::error!("the recorder has ended before the episode");
        }
    }

    /// Ends the episode and the thread.
    pub(crate) fn stop(&self) {
        // Fails only when the thread has ended, which is what is asked for.
        self.sender.send(Message::Stop).unwrap_or_default();
    }
}

/// Everything that the thread needs.
pub(crate) struct Setup {
    pub(crate) home: Home,
    pub(crate) key: Arc<PrivateKey>,
    pub(crate) cameras: Vec<String>,
    pub(crate) disk_free_mb_min: u64,
    /// Called after each sealed episode.
    pub(crate) sealed: Box<dyn Fn() + Send>,
}

/// Starts the recorder's thread and that of the sealer.
pub(crate) fn start(setup: Setup) -> std::io::Result<(Handle, JoinHandle<()>)> {
    let (sender, receiver) = sync_channel(QUEUE);
    let progress = Arc::new(Progress {
        able: AtomicBool::new(true),
        spool_full: AtomicBool::new(false),
        recording: AtomicBool::new(false),
        begun: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        alive_ms: AtomicU64::new(clock::mono_ms().0),
        lost: AtomicBool::new(false),
        dropped: std::array::from_fn(|_| AtomicU32::new(0)),
    });
    let (seal, to_seal) = sync_channel::<ToSeal>(64);
    let sealing = Arc::clone(&progress);
    let (home, key, sealed) = (setup.home.clone(), Arc::clone(&setup.key), setup.sealed);
    let sealer = std::thread::Builder::new().name("sealer".to_owned()).spawn(move || {
        seal_all(&to_seal, &home, &key, &sealing, &*sealed);
    })?;
    let mut worker = Worker {
        home: setup.home,
        cameras: setup.cameras,
        disk_free_mb_min: setup.disk_free_mb_min,
        progress: Arc::clone(&progress),
        open: None,
        seal,
    };
    let thread = std::thread::Builder::new().name("recorder".to_owned()).spawn(move || {
        worker.run(&receiver);
        drop(worker);
        if sealer.join().is_err() {
            tracing::error!("the sealer had panicked");
        }
    })?;
    Ok((Handle { sender, progress }, thread))
}

/// Seals what is finished, and recovers what the disk cut short once there is room again and nobody drives.
fn seal_all(
    to_seal: &Receiver<ToSeal>,
    home: &Home,
    key: &PrivateKey,
    progress: &Progress,
    sealed: &dyn Fn(),
) {
    let mut cut_short: Vec<PathBuf> = Vec::new();
    loop {
        match to_seal.recv_timeout(RECOVER_EVERY) {
            Ok((dir, Some(ending))) => {
                if episodes::seal(home, &dir, ending, key) {
                    sealed();
                }
            }
            Ok((dir, None)) => cut_short.push(dir),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let busy = progress.recording.load(Ordering::Acquire);
        if !busy && progress.able.load(Ordering::Acquire) && !cut_short.is_empty() {
            cut_short.retain(|dir| !episodes::recover(home, dir, "the disk was full", key));
            sealed();
        }
    }
}

/// The next message. Several hundred records come each second: those of a moment are written in one go, instead of
/// waking this thread for each.
fn next(receiver: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
    match receiver.try_recv() {
        Ok(message) => Ok(message),
        Err(TryRecvError::Empty) => {
            std::thread::sleep(GATHER);
            receiver.recv_timeout(Duration::from_millis(50))
        }
        Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
    }
}

struct Worker {
    home: Home,
    cameras: Vec<String>,
    disk_free_mb_min: u64,
    progress: Arc<Progress>,
    open: Option<Open>,
    seal: SyncSender<ToSeal>,
}

impl Worker {
    fn run(&mut self, receiver: &Receiver<Message>) {
        let mut looked_at_disk = MonoMs(0);
        loop {
            self.progress.alive_ms.store(clock::mono_ms().0, Ordering::Release);
            match next(receiver) {
                Ok(Message::Record(at_ns, record)) => self.record(at_ns, record),
                Ok(Message::Begin(begin, reply)) => {
                    self.finish_now();
                    let outcome = self.begin(*begin);
                    reply.send(outcome).unwrap_or_default();
                }
                Ok(Message::End(why)) => {
                    if let Some(open) = self.open.as_mut().filter(|open| open.ending.is_none()) {
                        open.ending = Some((clock::mono_ms().plus(AFTERMATH_MS), why));
                    }
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    self.finish_now();
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = clock::mono_ms();
            self.sync_if_due(now);
            if now.since(looked_at_disk) >= 1_000 {
                looked_at_disk = now;
                self.look_at_disk();
            }
            if self.open.as_ref().is_some_and(|o| o.ending.as_ref().is_some_and(|e| now >= e.0)) {
                self.finish_now();
            }
        }
    }

    fn begin(&mut self, begin: Begin) -> Result<(), String> {
        self.progress.ready()?;
        let names: Vec<&str> = self.cameras.iter().map(String::as_str).collect();
        let opened = Recorder::create(&begin.dir, &begin.meta, &names).and_then(|mut recorder| {
            let channels = channels(&mut recorder, &names)?;
            Ok((recorder, channels))
        });
        let (recorder, channels) = opened.map_err(|error| {
            let error = words(&error);
            tracing::error!(error, dir = %begin.dir.display(), "an episode could not be begun");
            error
        })?;
        for counter in &self.progress.dropped {
            counter.store(0, Ordering::Relaxed);
        }
        self.progress.lost.store(false, Ordering::Relaxed);
        self.progress.bytes.store(0, Ordering::Relaxed);
        self.progress.begun.fetch_add(1, Ordering::Release);
        self.progress.recording.store(true, Ordering::Release);
        self.open = Some(Open {
            dir: begin.dir,
            recorder,
            channels,
            decodable: [false; CAMERAS_MAX],
            bumpers: [false; BUMPERS_MAX],
            broken: false,
            ending: None,
        });
        Ok(())
    }

    fn record(&mut self, at_ns: u64, record: Record) {
        let Some(open) = self.open.as_mut() else { return };
        let slot = record.slot();
        let dropped = self.progress.dropped.get(slot).map_or(0, |c| c.swap(0, Ordering::Relaxed));
        note_dropped(open, slot, dropped);
        if open.broken {
            note_dropped(open, slot, 1);
            self.progress.lost.store(true, Ordering::Relaxed);
            return;
        }
        match write(open, at_ns, record) {
            Ok(bytes) => {
                self.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &episode::EpisodeError) {
        if let Some(open) = self.open.as_mut().filter(|open| !open.broken) {
            open.broken = true;
            self.progress.able.store(false, Ordering::Release);
            self.progress.lost.store(true, Ordering::Relaxed);
            let error = words(error);
            tracing::error!(error, dir = %open.dir.display(), "the recorder can't write: the robot stops");
        }
    }

    fn sync_if_due(&mut self, now: MonoMs) {
        let due = self.open.as_mut().filter(|open| !open.broken && open.recorder.sync_due(now));
        if let Some(Err(error)) = due.map(|open| open.recorder.sync(now)) {
            self.fail(&error);
        }
    }

    fn look_at_disk(&self) {
        let free_mb = match rustix::fs::statvfs(self.home.dir()) {
            Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize) / 1_000_000,
            Err(error) => {
                tracing::error!(%error, "how full the disk is can't be told");
                0
            }
        };
        let broken = self.open.as_ref().is_some_and(|open| open.broken);
        let able = free_mb >= self.disk_free_mb_min && !broken;
        let was = self.progress.able.swap(able, Ordering::AcqRel);
        if was && !able {
            let (dir, least) = (self.home.dir().display().to_string(), self.disk_free_mb_min);
            tracing::error!(
                free_mb,
                least,
                dir,
                "the disk is full: free space, or the robot stays"
            );
        }
    }

    fn finish_now(&mut self) {
        self.progress.recording.store(false, Ordering::Release);
        let Some(mut open) = self.open.take() else { return };
        for slot in 0..SLOTS {
            let dropped =
                self.progress.dropped.get(slot).map_or(0, |c| c.swap(0, Ordering::Relaxed));
            note_dropped(&mut open, slot, dropped);
        }
        let why = open.ending.map_or_else(|| "stopping".to_owned(), |(_, why)| why);
        let previous_manifest_sha256 = None;
        let ending = match open.recorder.finish() {
            Ok(recorded) if !open.broken => {
                Some(Ending { at: clock::wall_ms(), why, recorded, previous_manifest_sha256 })
            }
            Ok(_) => None,
            Err(error) => {
                tracing::error!(error = words(&error), "an episode could not be finished");
                None
            }
        };
        if ending.is_none() {
            tracing::warn!(dir = %open.dir.display(), "the episode is recovered once the disk has room");
        }
        if self.seal.send((open.dir, ending)).is_err() {
            tracing::error!("the sealer has ended; the episode is sealed at the next start");
        }
    }
}
