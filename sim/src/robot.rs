//! The process around the world: real time, ROS 2, cameras, and files for those who watch.

mod autonomy;
pub(crate) mod camera;
mod clock;
mod drawn;
mod drive;
mod faults;
pub(crate) mod options;
mod records;
pub(crate) mod tasks;

use anyhow::Context;
use options::Settings;
use sim::{Assets, Scene, World};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What the physics shows to the cameras and the cameras report back.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) stop: AtomicBool,
    scene: Mutex<Scene>,
    frames: Mutex<camera::Frames>,
    pub(crate) faults: faults::Faults,
}

impl Shared {
    pub(crate) fn scene(&self) -> Scene {
        self.scene.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn show(&self, scene: Scene) {
        *self.scene.lock().unwrap_or_else(PoisonError::into_inner) = scene;
    }

    pub(crate) fn frames(&self) -> std::sync::MutexGuard<'_, camera::Frames> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let mut world = World::new(settings.seed);
    if settings.no_people {
        world.people.clear();
    }
    let shared = Arc::new(Shared {
        stop: AtomicBool::new(false),
        scene: Mutex::new(Scene::of(&world)),
        frames: Mutex::new(camera::Frames::default()),
        faults: faults::Faults::default(),
    });
    let on_signal = Arc::clone(&shared);
    ctrlc::set_handler(move || on_signal.stop.store(true, Ordering::Relaxed))
        .context("could not watch for SIGINT and SIGTERM")?;
    let mut threads = Vec::new();
    if !settings.cameras.is_empty() {
        gstreamer::init().context("GStreamer does not start: is it installed?")?;
        let assets = Arc::new(Assets::new(&world.city, settings.seed));
        for camera in &settings.cameras {
            threads.push(camera::start(camera.clone(), Arc::clone(&assets), Arc::clone(&shared))?);
        }
    }
    let driven = drive::run(settings, world, &shared);
    shared.stop.store(true, Ordering::Relaxed);
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a camera thread panicked");
        }
    }
    driven
}
