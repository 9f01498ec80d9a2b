//! Pictures and sensors for programs, made only while somebody subscribes.
//!
//! Each camera has a thread that sleeps until Zenoh tells of a subscriber, then takes the newest frame, encodes,
//! signs and puts it, and only then looks for the next: a slow encoder or a slow network skips frames and never
//! queues them.

use crate::clock;
use crate::fabric::{Fabric, wrong};
use crate::media::{Camera, Still};
use crate::senses::Batch;
use crate::shared::lock;
use anyhow::{Context, Result};
use protocol::keys::PrivateKey;
use protocol::rover::{FrameInfo, SensorReport, seal_frame};
use protocol::units::{MonoMs, MonoNs};
use protocol::{keyexpr, message};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use zenoh::Session;
use zenoh::Wait;
use zenoh::pubsub::Publisher;
use zenoh::qos::{CongestionControl, Priority};

/// At most this many pictures a second and camera.
const PICTURES_PER_S: u64 = 30;
const PICTURE_EVERY_NS: u64 = 1_000_000_000 / PICTURES_PER_S;
const REPORT_EVERY: Duration = Duration::from_millis(50);
/// Of a robot at rest there is half as much to tell: every second report is left out.
const REPORT_EVERY_AT_REST_MS: u64 = 100;
/// How often it is looked whether somebody wants reports.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// How often Zenoh is asked whether somebody subscribes, beside what it tells by itself.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long a thread waits for a frame before it looks whether it is still wanted.
const FRAME_WITHIN: Duration = Duration::from_millis(200);
/// Odometry older than this says nothing about the speed now.
const SPEED_AGE_MS_MAX: u64 = 3_000;

/// What the robot says about a picture.
pub(crate) fn info_of(still: &Still) -> FrameInfo {
    FrameInfo {
        seq: still.seq,
        capture_ms: still.capture.ms().0,
        wall_ms: clock::wall_ns_at(still.capture) / 1_000_000,
        width: still.width,
        height: still.height,
    }
}

/// Whether somebody subscribes.
#[derive(Default)]
pub(crate) struct Wanted {
    wanted: Mutex<bool>,
    changed: Condvar,
}

impl Wanted {
    fn set(&self, wanted: bool) {
        *lock(&self.wanted) = wanted;
        self.changed.notify_all();
    }

    fn is(&self) -> bool {
        *lock(&self.wanted)
    }

    /// Asks Zenoh: it tells of changes, and one that was lost with a connection must not last.
    pub(crate) fn ask(&self, publisher: &Publisher<'_>) {
        match publisher.matching_status().wait() {
            Ok(status) => self.set(status.matching()),
            Err(error) => tracing::debug!(%error, "nobody knows who subscribes"),
        }
    }

    /// Waits until somebody subscribes, for `within` at most.
    pub(crate) fn wait(&self, within: Duration) -> bool {
        let wanted = lock(&self.wanted);
        let waited = self.changed.wait_timeout_while(wanted, within, |wanted| !*wanted);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Lets [`PICTURES_PER_S`] frames through, of whatever a camera gives, evenly and by their times of capture.
#[derive(Debug, Default)]
struct Pace {
    next: u64,
}

impl Pace {
    fn lets(&mut self, capture: MonoNs) -> bool {
        // Half a period of slack: a camera of exactly this rate is not exact.
        let slack = PICTURE_EVERY_NS / 2;
        if capture.0.saturating_add(slack) < self.next {
            return false;
        }
        self.next = self.next.max(capture.0.saturating_sub(slack)) + PICTURE_EVERY_NS;
        true
    }
}

/// A publisher that knows whether somebody subscribes.
pub(crate) async fn publisher(
    session: &Session,
    key: String,
    priority: Priority,
) -> Result<(Publisher<'static>, Arc<Wanted>)> {
    let publisher = session
        .declare_publisher(key)
        .congestion_control(CongestionControl::Drop)
        .priority(priority)
        .express(true)
        .await
        .map_err(wrong)?;
    let wanted = Arc::new(Wanted::default());
    let told = Arc::clone(&wanted);
    publisher
        .matching_listener()
        .callback(move |status| told.set(status.matching()))
        .background()
        .await
        .map_err(wrong)?;
    Ok((publisher, wanted))
}

/// Starts the threads of the cameras. They end when the agent stops.
pub(crate) async fn start_cameras(fabric: &Arc<Fabric>, session: &Session) -> Result<()> {
    for (index, camera) in fabric.leases.cameras().iter().enumerate() {
        let name = camera.config().name.clone();
        let key = keyexpr::camera_live(&fabric.robot, &name);
        // Below everything else on the way: a picture is large, and the next one comes soon.
        let (publisher, wanted) = publisher(session, key.clone(), Priority::DataLow).await?;
        let live = Live {
            fabric: Arc::clone(fabric),
            index,
            key,
            publisher,
            wanted,
            seq: 0,
            pace: Pace::default(),
        };
        std::thread::Builder::new()
            .name(format!("live-{index}"))
            .spawn(move || live.run())
            .with_context(|| format!("starting the live pictures of camera {name:?}"))?;
    }
    Ok(())
}

struct Live {
    fabric: Arc<Fabric>,
    index: usize,
    key: String,
    publisher: Publisher<'static>,
    wanted: Arc<Wanted>,
    /// The frame that was put last.
    seq: u64,
    pace: Pace,
}

impl Live {
    fn run(mut self) {
        let mut asked = clock::mono_ms();
        while !self.fabric.shared.stopping.load(Ordering::Acquire) {
            let wanted = self.wanted.wait(ASK_EVERY);
            if clock::mono_ms().since(asked) >= 1_000 {
                asked = clock::mono_ms();
                self.wanted.ask(&self.publisher);
            }
            if wanted {
                self.next();
            }
        }
    }

    fn next(&mut self) {
        let fabric = Arc::clone(&self.fabric);
        let Some(camera) = fabric.leases.cameras().get(self.index) else { return };
        let Some((seq, capture)) = camera.wait_newer(self.seq, FRAME_WITHIN) else { return };
        // Seen, whatever becomes of it.
        self.seq = seq;
        if !self.pace.lets(capture) {
            return;
        }
        if let Some(still) = camera.jpeg() {
            self.seq = still.seq;
            self.put(&still, &fabric.key);
        } else {
            // A frame is there and no picture of it: of a camera that fails now. Not in a hurry.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn put(&self, still: &Still, key: &PrivateKey) {
        let sealed = seal_frame(&self.key, &still.jpeg, &info_of(still), key);
        let wrapped = self.fabric.wrap(&self.key, still.jpeg.clone(), &sealed);
        let Some((payload, attachment)) = wrapped else { return };
        if let Err(error) = self.publisher.put(payload).attachment(attachment).wait() {
            tracing::debug!(%error, "a picture was not sent");
        }
    }
}

/// One frame of a camera on demand, with its attachment for `key_expr`. Encodes on the caller's thread.
pub(crate) fn sealed_still(
    camera: &Camera,
    key_expr: &str,
    key: &PrivateKey,
) -> Option<(Still, Vec<u8>)> {
    let still = camera.jpeg()?;
    let sealed = seal_frame(key_expr, &still.jpeg, &info_of(&still), key);
    Some((still, sealed))
}

/// Publishes what the sensors say, for ever.
pub(crate) async fn publish_sensors(fabric: Arc<Fabric>, session: Session) -> Result<()> {
    let key = keyexpr::sensors(&fabric.robot);
    let (publisher, wanted) = publisher(&session, key.clone(), Priority::Data).await?;
    let mut every = tokio::time::interval(REPORT_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut asked, mut told) = (clock::mono_ms(), MonoMs(0));
    loop {
        every.tick().await;
        if clock::mono_ms().since(asked) >= 1_000 {
            asked = clock::mono_ms();
            if let Ok(status) = publisher.matching_status().await {
                wanted.set(status.matching());
            }
        }
        if !wanted.is() {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        }
        let now = clock::mono_ms();
        // Half a period of slack: the timer is not exact.
        let early = now.since(told) + 25 < REPORT_EVERY_AT_REST_MS;
        if early && !fabric.shared.sensors().odometry.is_some_and(|o| o.moves()) {
            continue;
        }
        told = now;
        let Some(report) = report(&fabric) else { continue };
        let payload = serde_json::to_vec(&report)?;
        let signature = message::sign(&key, &payload, &fabric.key);
        let Some((payload, attachment)) = fabric.wrap(&key, payload, &signature) else { continue };
        if let Err(error) = publisher.put(payload).attachment(attachment).await {
            tracing::debug!(%error, "the sensors were not sent");
        }
    }
}

/// None while nobody knows how fast the robot is.
fn report(fabric: &Fabric) -> Option<SensorReport> {
    let shared = &fabric.shared;
    let sensors = shared.sensors();
    let now = clock::mono_ns();
    let odometry = sensors.odometry.filter(|o| now.ms().since(o.arrived) <= SPEED_AGE_MS_MAX)?;
    let Batch { accels, gyros, mags, wheels, vibration_mps2 } =
        lock(&shared.senses).drain(now, |at| clock::wall_ns_at(at) / 1_000_000);
    let mut terms = fabric.terms.clone();
    terms.speaks = fabric.requests.speaks();
    terms.has_lamp = shared.has_lamp.load(Ordering::Relaxed);
    fabric.leases.book().narrow_terms(&mut terms);
    Some(SensorReport {
        robot: fabric.robot.clone(),
        robot_ms: now.ms().0,
        at: clock::wall_ms(),
        speed_mps: odometry.speed_mps,
        heading_deg: sensors.heading_deg(now.ms()),
        position: sensors.position(now.ms()),
        battery: sensors.battery(now.ms()),
        battery_awaited: sensors.battery(now.ms()).is_none()
            && !shared.battery_settled.load(Ordering::Relaxed),
        vibration_mps2,
        accels,
        gyros,
        mags,
        wheels,
        lamp: shared.lamp.load(Ordering::Relaxed),
        terms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the frames of two seconds go out.
    fn let_through(fps: u64, jitter_ns: u64) -> usize {
        let mut pace = Pace::default();
        let captures = (0..fps * 2).map(|n| {
            let jitter = if n % 2 == 0 { jitter_ns } else { 0 };
            MonoNs(50_000_000_000 + n * 1_000_000_000 / fps + jitter)
        });
        captures.filter(|capture| pace.lets(*capture)).count()
    }

    #[test]
    fn thirty_pictures_a_second_whatever_the_camera() {
        assert_eq!(let_through(30, 0), 60);
        assert_eq!(let_through(30, 8_000_000), 60, "unsteady");
        assert_eq!(let_through(15, 0), 30, "no more than there are");
        for fps in [50, 60, 120, 240] {
            let count = let_through(fps, 0);
            assert!((59..=62).contains(&count), "{fps}: {count}");
        }
    }

    #[test]
    fn a_thread_sleeps_until_somebody_subscribes() {
        let wanted = Arc::new(Wanted::default());
        assert!(!wanted.wait(Duration::from_millis(1)));
        let later = Arc::clone(&wanted);
        let thread = std::thread::spawn(move || later.wait(Duration::from_secs(20)));
        wanted.set(true);
        assert!(thread.join().unwrap());
    }
}
