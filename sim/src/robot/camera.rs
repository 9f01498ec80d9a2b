//! A camera: draws the newest scene at its rate and offers it in shared memory.

use super::Shared;
use super::clock;
use super::drawn::DrawnLog;
use super::faults::Part;
use super::options::CameraSettings;
use anyhow::{Context, anyhow};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use sim::render::write_stamp;
use sim::{Assets, Picture, Renderer, Scene};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Room for so many frames in shared memory: readers hold a few at most.
const FRAMES_SHARED: usize = 16;
const RESTART_NS: u64 = 500_000_000;

/// How one camera does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frame {
    /// Frames handed over.
    pub(crate) count: u64,
    /// The last draw times, in milliseconds.
    draws_ms: Vec<f64>,
}

impl Frame {
    fn add(&mut self, draw_ms: f64) {
        if self.draws_ms.len() < 128 {
            self.draws_ms.push(draw_ms);
        } else {
            self.draws_ms[self.count as usize % 128] = draw_ms;
        }
        self.count += 1;
    }

    /// Median over the last 128 frames.
    pub(crate) fn draw_ms_p50(&self) -> f64 {
        let mut sorted = self.draws_ms.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    }
}

/// Both cameras.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frames {
    pub(crate) front: Frame,
    pub(crate) rear: Frame,
}

/// A frame whose memory comes back when GStreamer is done with it: fresh memory would cost a page fault every 4 KiB.
struct Lent {
    octets: Vec<u8>,
    back: SyncSender<Vec<u8>>,
}

impl AsMut<[u8]> for Lent {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.octets
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Full or closed: enough frames lie ready, or nobody draws any more.
        drop(self.back.try_send(std::mem::take(&mut self.octets)));
    }
}

/// The way of frames into shared memory.
struct Outlet {
    pipeline: gst::Pipeline,
    source: AppSrc,
}

impl Outlet {
    fn open(camera: &CameraSettings) -> anyhow::Result<Self> {
        clear_socket(&camera.socket)?;
        let model = &camera.model;
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", i32::try_from(model.width)?)
            .field("height", i32::try_from(model.height)?)
            .field("framerate", gst::Fraction::new(i32::try_from(model.fps)?, 1))
            .build();
        // Never more than the newest frame waits; a stopped reader costs frames, not memory.
        let source = AppSrc::builder()
            .caps(&caps)
            .is_live(true)
            .do_timestamp(true)
            .format(gst::Format::Time)
            .build();
        source.set_property("max-buffers", 1_u64);
        source.set_property_from_str("leaky-type", "downstream");
        let path = camera.socket.to_str().context("the socket's path is not UTF-8")?;
        let shared_bytes = model.width * model.height * 3 / 2 * FRAMES_SHARED;
        let sink = gst::ElementFactory::make("shmsink")
            .property("socket-path", path)
            .property("sync", false)
            .property("async", false)
            .property("wait-for-connection", false)
            .property("shm-size", u32::try_from(shared_bytes)?)
            .build()
            .context("GStreamer has no shmsink: install gstreamer1.0-plugins-bad")?;
        let pipeline = gst::Pipeline::new();
        pipeline.add(&source)?;
        pipeline.add(&sink)?;
        source.link(&sink)?;
        if pipeline.set_state(gst::State::Playing).is_err() {
            let why = why_failed(&pipeline).unwrap_or_else(|| "no reason given".to_owned());
            pipeline.set_state(gst::State::Null)?;
            return Err(anyhow!(
                "could not open the socket {path}: {why} Its folder must exist and be writable, and no other simulator use it"
            ));
        }
        Ok(Self { pipeline, source })
    }

    /// Hands over one frame, or says why the pipeline is dead.
    fn push(&self, frame: Lent) -> Result<(), String> {
        if let Some(why) = why_failed(&self.pipeline) {
            return Err(why);
        }
        let buffer = gst::Buffer::from_mut_slice(frame);
        self.source.push_buffer(buffer).map(|_| ()).map_err(|flow| flow.to_string())
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if let Err(error) = self.pipeline.set_state(gst::State::Null) {
            tracing::warn!("a camera pipeline did not stop: {error}");
        }
    }
}

fn why_failed(pipeline: &gst::Pipeline) -> Option<String> {
    let bus = pipeline.bus()?;
    let message = bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Eos])?;
    match message.view() {
        gst::MessageView::Error(error) => Some(error.error().to_string()),
        _ => Some("the pipeline ended".to_owned()),
    }
}

/// Removes a socket that a dead process left behind; anything else at that path is not ours to remove.
fn clear_socket(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)
            .with_context(|| format!("could not remove the old socket {}", path.display())),
        Ok(_) => Err(anyhow!("{} exists and is not a socket: choose another path", path.display())),
        Err(_) => Ok(()),
    }
}

/// A drawn frame, of what, and how long that took.
struct Drawn {
    frame: Lent,
    scene: Scene,
    draw_ms: f64,
}

/// Opens the camera; draws on one thread and hands over on another until told to stop.
pub(crate) fn start(
    camera: CameraSettings,
    assets: Arc<Assets>,
    shared: Arc<Shared>,
) -> anyhow::Result<JoinHandle<()>> {
    let outlet = Outlet::open(&camera)?;
    let mut log = camera.drawn.as_deref().map(DrawnLog::create).transpose()?;
    let (drawn, frames) = sync_channel(1);
    let draws = {
        let (camera, shared) = (camera.clone(), Arc::clone(&shared));
        std::thread::Builder::new()
            .name(format!("draw-{}", camera.name))
            .spawn(move || draw(&camera, assets, &shared, &drawn))
            .context("could not start a drawing thread")?
    };
    std::thread::Builder::new()
        .name(format!("camera-{}", camera.name))
        .spawn(move || {
            hand_over(&camera, &shared, &frames, outlet, log.as_mut());
            drop(frames);
            if draws.join().is_err() {
                tracing::error!(camera = camera.name, "the drawing thread had panicked");
            }
        })
        .context("could not start a camera thread")
}

fn draw(camera: &CameraSettings, assets: Arc<Assets>, shared: &Shared, drawn: &SyncSender<Drawn>) {
    // A real robot's world costs its computer nothing. This one must not hold up what it is there to try out.
    ros_bridge::priority::lower();
    let picture = Picture { width: camera.model.width, height: camera.model.height };
    let mut renderer = Renderer::new(camera.model, assets);
    let period = 1_000_000_000 / u64::from(camera.model.fps.max(1));
    // The rear camera keeps half a period away, so that both rarely draw at once.
    let mut next = clock::mono_ns() + if camera.name == "rear" { period / 2 } else { 0 };
    let (back, returned) = sync_channel(4);
    while !shared.stopping() {
        clock::sleep_until(next);
        let began = clock::mono_ns();
        // A frame that is a period late is not made up for.
        next = if began > next + period { began + period } else { next + period };
        let octets = returned.try_recv().unwrap_or_else(|_| vec![0; picture.bytes()]);
        let mut frame = Lent { octets, back: back.clone() };
        let scene = shared.scene();
        renderer.draw(&scene, &mut frame.octets);
        let draw_ms = (clock::mono_ns() - began) as f64 * 1e-6;
        if drawn.send(Drawn { frame, scene, draw_ms }).is_err() {
            return;
        }
    }
}

/// Gives each frame its stamp, if it has one, and gives it away at once: at this moment it was captured.
fn hand_over(
    camera: &CameraSettings,
    shared: &Shared,
    frames: &Receiver<Drawn>,
    first: Outlet,
    mut log: Option<&mut DrawnLog>,
) {
    let picture = Picture { width: camera.model.width, height: camera.model.height };
    let part = if camera.name == "rear" { Part::RearCamera } else { Part::FrontCamera };
    let mut outlet = Some(first);
    let mut retry_at = 0;
    while let Ok(Drawn { mut frame, scene, draw_ms }) = frames.recv() {
        let now = clock::mono_ns();
        if shared.faults.broken(part) {
            // Closed, its socket gone: to a reader the camera is unplugged.
            outlet = None;
            continue;
        }
        if outlet.is_none() && now >= retry_at {
            match Outlet::open(camera) {
                Ok(opened) => outlet = Some(opened),
                Err(error) => {
                    tracing::error!(camera = camera.name, "{error:#}");
                    retry_at = now + RESTART_NS;
                }
            }
        }
        let Some(open) = &outlet else { continue };
        if camera.stamp {
            let stamp_us = clock::wall_ns() / 1000;
            write_stamp(picture, &mut frame.octets, stamp_us);
            if let Some(log) = &mut log {
                log.add(stamp_us, &scene);
            }
        }
        match open.push(frame) {
            Ok(()) => {
                let mut frames = shared.frames();
                let slot = if camera.name == "rear" { &mut frames.rear } else { &mut frames.front };
                slot.add(draw_ms);
            }
            Err(why) => {
                tracing::error!(camera = camera.name, "the camera failed and starts anew: {why}");
                outlet = None;
                retry_at = now + RESTART_NS;
            }
        }
    }
}
