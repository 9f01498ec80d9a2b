//! How long a picture takes: CPU time of the drawing thread, so that other load on the machine counts for little.
//!
//! ```text
//! cargo run -p sim --example render_time -- [FRAMES]      default: 200 of each camera, along the demo's route
//! ```
#![expect(clippy::print_stdout, reason = "the result of this program")]

use rustix::time::{ClockId, clock_gettime};
use sim::{Assets, CameraModel, Picture, Pose, Renderer, Scene, World};
use std::sync::Arc;

fn cpu_ms() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 * 1e-6
}

/// The pose `part` (0 to 1) of the way: 12 m ahead, on to the corner, left, up the street.
fn pose(part: f64) -> Pose {
    let at = part * 60.0;
    if at < 31.0 {
        Pose { x: 72.0 + at, y: 17.0, heading_rad: 0.0 }
    } else {
        let turn = ((at - 31.0) / 4.0).min(1.0) * std::f64::consts::FRAC_PI_2;
        Pose { x: 103.0, y: 17.0 + (at - 31.0), heading_rad: turn }
    }
}

fn main() {
    let frames: u32 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(200).max(1);
    let mut world = World::new(1);
    let assets = Arc::new(Assets::new(&world.city, world.seed));
    for (name, model) in [("front", CameraModel::FRONT), ("rear", CameraModel::REAR)] {
        let mut renderer = Renderer::new(model, Arc::clone(&assets));
        let mut out = vec![0; Picture { width: model.width, height: model.height }.bytes()];
        let mut times = Vec::new();
        for n in 0..frames {
            world.step(0.033, None);
            let mut scene = Scene::of(&world);
            scene.pose = pose(f64::from(n) / f64::from(frames));
            let began = cpu_ms();
            renderer.draw(&scene, &mut out);
            times.push(cpu_ms() - began);
        }
        times.sort_by(f64::total_cmp);
        let at = |permille: usize| times[(times.len() * permille / 1000).min(times.len() - 1)];
        println!(
            "{name} {}x{}: p50 {:.2} ms, p99 {:.2} ms, least {:.2} ms",
            model.width,
            model.height,
            at(500),
            at(990),
            times[0]
        );
    }
}
