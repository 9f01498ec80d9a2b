//! What a robot gives: its sensors and its pictures, each subscribed to only while somebody here asks, and shared
//! by everybody who does.

use crate::app::{App, Shared};
use crate::fabric::{self, REPLY_LEN_MAX};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use protocol::ids::RobotId;
use protocol::keys::Did;
use protocol::rover::{FrameInfo, SensorReport, open_frame};
use protocol::sealed::Opened;
use protocol::units::{GeoPoint, MonoMs};
use protocol::{keyexpr, message};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::watch;
use zenoh::handlers::RingChannel;
use zenoh::sample::Sample;

/// A subscription that nobody reads for this long is dropped.
const IDLE_MS: u64 = 3_000;
/// How often a reader task looks whether anybody still reads.
const TICK: Duration = Duration::from_millis(500);
/// Longest sensor report that is read, bytes.
const REPORT_LEN_MAX: usize = 64 * 1024;
/// Messages of one subscription that wait at most; then the oldest is dropped.
const WAITING_MAX: usize = 2;
/// Points of the way that are kept for the map, and how far apart, metres.
const TRAIL_MAX: usize = 500;
const TRAIL_STEP_M: f64 = 0.5;
/// The cameras that the API knows, in its words.
pub const VIEWS: [&str; 2] = ["front", "rear"];

/// One of the API's two cameras.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The camera named `front`.
    Front,
    /// The camera named `rear`.
    Rear,
}

impl View {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Front => "front",
            Self::Rear => "rear",
        }
    }

    /// Both tables of views have this order.
    pub const fn index(self) -> usize {
        match self {
            Self::Front => 0,
            Self::Rear => 1,
        }
    }

    /// The view of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Front, Self::Rear].into_iter().find(|view| view.name() == name)
    }
}

/// A picture, verified.
#[derive(Debug)]
pub struct Frame {
    /// What the robot says about it.
    pub info: FrameInfo,
    /// The picture.
    pub jpeg: Bytes,
    /// When it arrived here.
    pub arrived: MonoMs,
    /// Time between two captures of this camera, milliseconds; 0 before the second.
    pub every_ms: u64,
    text: OnceLock<String>,
}

impl Frame {
    /// A picture that arrived at `arrived`.
    pub const fn new(info: FrameInfo, jpeg: Bytes, arrived: MonoMs) -> Self {
        Self { info, jpeg, arrived, every_ms: 0, text: OnceLock::new() }
    }

    /// The same, as the next picture after `before`.
    fn after(self, before: &Self) -> Self {
        let (now, then) = (&self.info, &before.info);
        let ms = now.capture_ms.saturating_sub(then.capture_ms);
        let every_ms = ms.checked_div(now.seq.saturating_sub(then.seq)).unwrap_or(before.every_ms);
        Self { every_ms, ..self }
    }

    /// The picture in base64, made once for all who want it.
    pub fn base64(&self) -> &str {
        self.text.get_or_init(|| STANDARD.encode(&self.jpeg))
    }

    /// Capture time, seconds since 1970, on the robot's wall clock.
    pub fn captured_s(&self) -> f64 {
        seconds(self.info.wall_ms)
    }

    /// Whether both are the same picture.
    pub const fn is(&self, other: &FrameInfo) -> bool {
        self.info.seq == other.seq && self.info.capture_ms == other.capture_ms
    }
}

/// Milliseconds since 1970 as the seconds that the API speaks.
pub fn seconds(wall_ms: u64) -> f64 {
    // Exact: wall clocks stay below 2⁵³ ms for 285,000 years.
    #[expect(clippy::as_conversions, reason = "exact below 2^53")]
    let ms = wall_ms as f64;
    ms / 1000.0
}

/// The newest sensor report and when it arrived.
#[derive(Debug)]
pub struct Sensed {
    /// What the robot senses.
    pub report: SensorReport,
    /// When it arrived here.
    pub arrived: MonoMs,
}

/// The newest of something, while somebody asks for it.
#[derive(Debug)]
pub struct Newest<T> {
    value: watch::Sender<Option<Arc<T>>>,
    asked_at: AtomicU64,
    running: AtomicBool,
    /// How many were taken, and how many were refused as forged or broken.
    pub taken: AtomicU64,
    /// Refused ones.
    pub refused: AtomicU64,
}

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self {
            value: watch::Sender::new(None),
            asked_at: AtomicU64::new(0),
            running: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }
}

impl<T> Newest<T> {
    /// The newest one, however old.
    pub fn get(&self) -> Option<Arc<T>> {
        self.value.borrow().clone()
    }

    /// Follows what comes.
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<T>>> {
        self.value.subscribe()
    }

    /// A new one, for everybody who follows.
    pub(super) fn put(&self, value: T) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.value.send_replace(Some(Arc::new(value)));
    }

    /// Whether a subscription runs.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    fn asked(&self, now: MonoMs) {
        self.asked_at.store(now.0, Ordering::Release);
    }

    fn idle(&self, now: MonoMs) -> bool {
        now.since(MonoMs(self.asked_at.load(Ordering::Acquire))) >= IDLE_MS
    }
}

/// One robot as all its clients share it.
#[derive(Debug)]
pub struct Source {
    /// The robot.
    pub robot: RobotId,
    /// Newest sensor report.
    pub sensors: Newest<Sensed>,
    cameras: [Newest<Frame>; 2],
    did: Mutex<Option<Did>>,
    trail: Mutex<VecDeque<GeoPoint>>,
}

impl Source {
    /// A robot that nobody has asked yet.
    pub fn new(robot: RobotId) -> Self {
        Self {
            robot,
            sensors: Newest::default(),
            cameras: [Newest::default(), Newest::default()],
            did: Mutex::new(None),
            trail: Mutex::new(VecDeque::new()),
        }
    }

    /// The newest pictures of a camera.
    pub fn camera(&self, view: View) -> &Newest<Frame> {
        let [front, rear] = &self.cameras;
        match view {
            View::Front => front,
            View::Rear => rear,
        }
    }

    /// The robot's key, once it was learned.
    pub fn did(&self) -> Option<Did> {
        *self.did.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns the robot's key. What was signed by another is forgotten.
    pub fn learn(&self, did: Did) {
        let before = self.did.lock().unwrap_or_else(PoisonError::into_inner).replace(did);
        if before.is_some_and(|before| before != did) {
            self.sensors.value.send_replace(None);
            for camera in &self.cameras {
                camera.value.send_replace(None);
            }
        }
    }

    /// The way that the robot has come, oldest first.
    pub fn trail(&self) -> Vec<GeoPoint> {
        self.trail.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// Somebody asks for sensors: they are subscribed to.
    pub fn want_sensors(self: &Arc<Self>, app: &Shared) {
        self.sensors.asked(app.clock.now());
        if self.sensors.running.swap(true, Ordering::AcqRel) {
            return;
        }
        let (app, source) = (Arc::downgrade(app), Arc::clone(self));
        tokio::spawn(async move {
            let key_expr = keyexpr::sensors(&source.robot);
            follow(&app, &key_expr, &source.sensors, |app, sample| {
                source.take_report(app, sample, &key_expr)
            })
            .await;
            source.sensors.running.store(false, Ordering::Release);
        });
    }

    /// Somebody asks for pictures of a camera: it is subscribed to.
    pub fn want_frames(self: &Arc<Self>, app: &Shared, view: View) {
        let camera = self.camera(view);
        camera.asked(app.clock.now());
        if camera.running.swap(true, Ordering::AcqRel) {
            return;
        }
        let (app, source) = (Arc::downgrade(app), Arc::clone(self));
        tokio::spawn(async move {
            let key_expr = keyexpr::camera_live(&source.robot, view.name());
            let camera = source.camera(view);
            follow(&app, &key_expr, camera, |app, sample| {
                source.take_frame(app, camera, sample, &key_expr)
            })
            .await;
            camera.running.store(false, Ordering::Release);
        });
    }

    fn take_report(&self, app: &App, sample: &Sample, key_expr: &str) -> Option<Sensed> {
        let Opened { payload, attachment } =
            fabric::opened(&app.keys, sample, REPORT_LEN_MAX).ok()?;
        message::verify(key_expr, &payload, &attachment, &self.did()?).ok()?;
        let report: SensorReport = serde_json::from_slice(&payload).ok()?;
        if report.robot != self.robot {
            return None;
        }
        let newer = self.sensors.get().is_none_or(|known| {
            // A restarted robot counts its monotonic clock anew, but its wall clock goes on.
            report.robot_ms > known.report.robot_ms || report.at > known.report.at
        });
        if !newer {
            return None;
        }
        if let Some(position) = report.position.filter(|p| p.fix > 0 && p.point.is_valid()) {
            self.walked(position.point);
        }
        Some(Sensed { report, arrived: app.clock.now() })
    }

    fn walked(&self, point: GeoPoint) {
        let mut trail = self.trail.lock().unwrap_or_else(PoisonError::into_inner);
        if trail.back().is_none_or(|last| last.distance_m(&point) >= TRAIL_STEP_M) {
            if trail.len() >= TRAIL_MAX {
                trail.pop_front();
            }
            trail.push_back(point);
        }
    }

    fn take_frame(
        &self,
        app: &App,
        camera: &Newest<Frame>,
        sample: &Sample,
        key_expr: &str,
    ) -> Option<Frame> {
        let Opened { payload: jpeg, attachment } =
            fabric::opened(&app.keys, sample, REPLY_LEN_MAX).ok()?;
        let info = open_frame(key_expr, &jpeg, &attachment, &self.did()?).ok()?;
        let newer = camera.get().is_none_or(|known| {
            info.capture_ms > known.info.capture_ms || info.wall_ms > known.info.wall_ms
        });
        if !newer {
            return None;
        }
        let frame = Frame::new(info, Bytes::from(jpeg), app.clock.now());
        Some(match camera.get() {
            Some(before) => frame.after(&before),
            None => frame,
        })
    }
}

/// Subscribes to `key_expr` and keeps what `take` makes of each message, until nobody asks any more.
async fn follow<T>(
    app: &Weak<App>,
    key_expr: &str,
    newest: &Newest<T>,
    take: impl Fn(&App, &Sample) -> Option<T>,
) {
    loop {
        let Some(strong) = app.upgrade() else { return };
        if newest.idle(strong.clock.now()) {
            return;
        }
        let session = strong.session();
        if strong.keys.sealed()
            && let Some(robot) = keyexpr::robot_of(key_expr)
            && let Err(error) = strong.keys.of(&robot).await
        {
            tracing::debug!(
                key_expr,
                code = error.code(),
                "the robot's key is not known; trying on"
            );
            tokio::time::sleep(TICK).await;
            continue;
        }
        drop(strong);
        let Ok(session) = session else {
            tokio::time::sleep(TICK).await;
            continue;
        };
        let declared =
            session.declare_subscriber(key_expr).with(RingChannel::new(WAITING_MAX)).await;
        let subscriber = match declared {
            Ok(subscriber) => subscriber,
            Err(error) => {
                tracing::warn!(key_expr, %error, "a subscription was not made; trying on");
                tokio::time::sleep(TICK).await;
                continue;
            }
        };
        tracing::debug!(key_expr, "subscribed");
        loop {
            let received = tokio::time::timeout(TICK, subscriber.recv_async()).await;
            let Some(strong) = app.upgrade() else { return };
            match received {
                Ok(Ok(sample)) => match take(&strong, &sample) {
                    Some(value) => newest.put(value),
                    None => {
                        newest.refused.fetch_add(1, Ordering::Relaxed);
                    }
                },
                // The session has closed: the outer loop takes the next.
                Ok(Err(_closed)) => break,
                Err(_nothing_came) => {}
            }
            if newest.idle(strong.clock.now()) {
                tracing::debug!(key_expr, "nobody asks any more");
                return;
            }
        }
        tokio::time::sleep(TICK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_between_captures_counts_frames_that_were_not_sent() {
        let frame = |seq, capture_ms| {
            let info = FrameInfo { seq, capture_ms, wall_ms: capture_ms, width: 1, height: 1 };
            Frame::new(info, Bytes::new(), MonoMs(1))
        };
        let third = frame(3, 300).after(&frame(1, 168));
        assert_eq!(third.every_ms, 66);
        let restarted = frame(1, 10).after(&third);
        assert_eq!(restarted.every_ms, 66, "an agent that started anew tells nothing yet");
    }
}
