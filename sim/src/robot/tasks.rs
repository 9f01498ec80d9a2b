//! The tasks that print or write one thing and end.

use super::options::SnapshotArgs;
use anyhow::{Context, bail};
use sim::world::STEP_S;
use sim::{Assets, CameraModel, Picture, Pose, Renderer, Scene, World};
use std::io::Write;
use std::sync::Arc;

/// Prints the demo's checkpoints.
pub(crate) fn route(seed: u64) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(&sim::demo_route(seed))?;
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

/// Writes one picture.
pub(crate) fn snapshot(options: &SnapshotArgs) -> anyhow::Result<()> {
    let mut world = World::new(options.seed);
    let steps = (options.after_s.clamp(0.0, 600.0) / STEP_S) as u64;
    for _ in 0..steps {
        world.step(STEP_S, None);
    }
    let mut scene = Scene::of(&world);
    match options.at[..] {
        [] => {}
        [x, y, heading_deg] => {
            scene.pose = Pose { x, y, heading_rad: heading_deg.to_radians() };
        }
        _ => bail!("--at takes three numbers: metres east, metres north, degrees"),
    }
    let mut model = if options.camera == "rear" { CameraModel::REAR } else { CameraModel::FRONT };
    if let Some(size) = options.size {
        (model.width, model.height) = (size.width, size.height);
    }
    let picture = Picture { width: model.width, height: model.height };
    let mut i420 = vec![0; picture.bytes()];
    let assets = Arc::new(Assets::new(&world.city, options.seed));
    Renderer::new(model, assets).draw(&scene, &mut i420);
    let file = std::fs::File::create(&options.out)
        .with_context(|| format!("could not write {}", options.out.display()))?;
    let (width, height) = (u32::try_from(model.width)?, u32::try_from(model.height)?);
    let mut encoder = png::Encoder::new(std::io::BufWriter::new(file), width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&sim::render::to_rgb(picture, &i420))?;
    writer.finish()?;
    Ok(())
}
