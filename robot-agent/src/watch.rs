//! Live video for spectators: each encoded frame once, however many watch, and only while somebody does.
//!
//! The encode is the driver's. Frames go over the message fabric, below everything else there, and [`gate`] decides which.
//! Each camera has a thread that sleeps while nobody watches; the camera's own thread never waits for it.

mod gate;

use crate::clock;
use crate::fabric::{Fabric, wrong};
use crate::live::{Wanted, publisher};
use crate::media::{Camera, Codec, EncodedFrame};
use crate::shared::lock;
use anyhow::{Context, Result};
use gate::{Driver, Gate, Offered};
use protocol::keyexpr;
use protocol::sealed::Kind;
use protocol::watch::{HEARD_LEN_MAX, VideoHeard, VideoInfo, seal_video};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use zenoh::Session;
use zenoh::Wait;
use zenoh::pubsub::Publisher;
use zenoh::qos::Priority;

/// Frames that may wait for a camera's thread.
const QUEUE: usize = 8;
/// How long a thread waits for somebody, or for a frame, before it looks around.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often Zenoh is asked whether somebody subscribes, beside what it tells by itself.
const ASK_EVERY_MS: u64 = 1_000;
/// As many cameras as a configuration may have.
const CAMERAS_MAX: usize = 8;

/// Where the cameras' threads hand their frames in.
#[derive(Debug, Default)]
pub(crate) struct Inlets([Inlet; CAMERAS_MAX]);

#[derive(Debug, Default)]
struct Inlet {
    /// Frames so far.
    seq: AtomicU64,
    watched: AtomicBool,
    queue: OnceLock<SyncSender<(u64, EncodedFrame)>>,
}

impl Inlets {
    /// A frame of a camera; never waits. What finds no room leaves a gap in the numbers. VP8 is the driver's alone.
    pub(crate) fn offer(&self, frame: &EncodedFrame) {
        if frame.codec != Codec::H264 {
            return;
        }
        let Some(inlet) = self.0.get(usize::from(frame.camera)) else { return };
        let seq = inlet.seq.fetch_add(1, Ordering::Relaxed) + 1;
        if inlet.watched.load(Ordering::Acquire)
            && let Some(queue) = inlet.queue.get()
        {
            // The gap is all that need be known.
            queue.try_send((seq, frame.clone())).ok();
        }
    }
}

/// Starts the threads. They end when the agent stops.
pub(crate) async fn start(fabric: &Arc<Fabric>, session: &Session, kbps_max: u32) -> Result<()> {
    if kbps_max == 0 {
        return Ok(());
    }
    let cameras = fabric.leases.cameras();
    for (index, (camera, inlet)) in cameras.iter().zip(&fabric.shared.spectators.0).enumerate() {
        let name = camera.config().name.clone();
        let key = keyexpr::camera_video(&fabric.robot, &name);
        let (publisher, wanted) = publisher(session, key.clone(), Priority::Background).await?;
        let (queue, frames) = sync_channel(QUEUE);
        if inlet.queue.set(queue).is_err() {
            continue;
        }
        let gate = Arc::new(Mutex::new(Gate::new(kbps_max)));
        hear(fabric, session, &name, Arc::clone(&gate)).await?;
        let fabric = Arc::clone(fabric);
        let watch = Watch { fabric, index, key, publisher, wanted, frames, gate, last: None };
        std::thread::Builder::new()
            .name(format!("watch-{index}"))
            .spawn(move || watch.run())
            .with_context(|| format!("starting the spectators' video of camera {name:?}"))?;
    }
    Ok(())
}

/// Listens to what gateways say about the frames of a camera.
async fn hear(
    fabric: &Arc<Fabric>,
    session: &Session,
    camera: &str,
    gate: Arc<Mutex<Gate>>,
) -> Result<()> {
    let key = keyexpr::camera_heard(&fabric.robot, camera);
    let (seal, on) = (fabric.seal.clone(), key.clone());
    let told = move |payload: &[u8]| {
        if let Ok(heard) = serde_json::from_slice::<VideoHeard>(payload) {
            lock(&gate).heard(clock::mono_ms(), &heard);
        }
    };
    session
        .declare_subscriber(key)
        .callback(move |sample| {
            let payload = sample.payload().to_bytes();
            match &seal {
                _ if payload.len() > HEARD_LEN_MAX => {}
                None => told(&payload),
                Some(seal) => {
                    if let Ok((opened, _)) = seal.open(Kind::Put, &on, &payload) {
                        told(&opened.payload);
                    }
                }
            }
        })
        .background()
        .await
        .map_err(wrong)
}

struct Watch {
    fabric: Arc<Fabric>,
    index: usize,
    key: String,
    publisher: Publisher<'static>,
    wanted: Arc<Wanted>,
    frames: Receiver<(u64, EncodedFrame)>,
    gate: Arc<Mutex<Gate>>,
    /// The frame that was seen last.
    last: Option<u64>,
}

impl Watch {
    fn run(mut self) {
        let fabric = Arc::clone(&self.fabric);
        let Some(inlet) = fabric.shared.spectators.0.get(self.index) else { return };
        let (mut asked, mut watched) = (clock::mono_ms(), false);
        while !fabric.shared.stopping.load(Ordering::Acquire) {
            let wanted = self.wanted.wait(LOOK_EVERY);
            inlet.watched.store(wanted, Ordering::Release);
            if std::mem::replace(&mut watched, wanted) != wanted {
                tracing::info!(key = self.key, wanted, "spectators");
            }
            if clock::mono_ms().since(asked) >= ASK_EVERY_MS {
                asked = clock::mono_ms();
                self.wanted.ask(&self.publisher);
            }
            if wanted && let Ok((seq, frame)) = self.frames.recv_timeout(LOOK_EVERY) {
                self.next(seq, &frame);
            }
        }
    }

    fn next(&mut self, seq: u64, frame: &EncodedFrame) {
        let fabric = Arc::clone(&self.fabric);
        let Some(camera) = fabric.leases.cameras().get(self.index) else { return };
        let (now, driver) = (clock::mono_ms(), driver(&fabric));
        let gap = self.last.is_some_and(|last| seq != last + 1);
        self.last = Some(seq);
        let capture_ms = frame.capture.ms().0;
        let (keyframe, len) = (frame.keyframe, frame.data.len());
        let (lets, wants_keyframe) = {
            let mut gate = lock(&self.gate);
            if gap {
                gate.missed();
            }
            let lets = gate.lets(now, &Offered { seq, keyframe, len }, driver);
            (lets, gate.wants_keyframe(now, driver))
        };
        tracing::trace!(seq, keyframe, lets, ?driver, wants_keyframe, "a frame for spectators");
        if wants_keyframe {
            camera.force_keyframe();
        }
        if lets {
            let info = VideoInfo {
                seq,
                capture_ms,
                wall_ms: clock::wall_ns_at(frame.capture) / 1_000_000,
                width: frame.width,
                height: frame.height,
                keyframe,
            };
            self.put(frame, &info);
        }
    }

    fn put(&self, frame: &EncodedFrame, info: &VideoInfo) {
        let sealed = seal_video(&self.key, &frame.data, info, &self.fabric.key);
        let wrapped = self.fabric.wrap(&self.key, frame.data.clone(), &sealed);
        let Some((payload, attachment)) = wrapped else { return };
        if let Err(error) = self.publisher.put(payload).attachment(attachment).wait() {
            tracing::debug!(%error, "a spectators' frame was not sent");
        }
    }
}

/// How the driver's link does, as far as spectators must give way to it.
fn driver(fabric: &Fabric) -> Driver {
    if !fabric.leases.has_link() {
        Driver::None
    } else if fabric.leases.cameras().iter().any(Camera::is_reduced) {
        Driver::Short
    } else {
        Driver::Full
    }
}
