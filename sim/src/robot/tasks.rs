//! The tasks that print or write one thing and end.

use super::drawn::{Seen, read_log};
use super::options::{QualityArgs, SnapshotArgs};
use anyhow::{Context, bail};
use serde_json::json;
use sim::quality::{Luma, psnr_db, scaled, ssim};
use sim::render::{read_stamp, write_stamp};
use sim::world::STEP_S;
use sim::{Assets, CameraModel, Picture, Pose, Renderer, Scene, World};
use std::io::{BufReader, Read, Write};
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

/// What JSON is told of pictures that are equal: it knows no infinity.
const PSNR_DB_MAX: f64 = 100.0;

/// Compares pictures as they were shown with those that were drawn.
pub(crate) fn quality(options: &QualityArgs) -> anyhow::Result<()> {
    let drawn = read_log(&options.drawn)?;
    let shown = std::fs::File::open(&options.shown)
        .with_context(|| format!("could not read {}", options.shown.display()))?;
    let mut shown = BufReader::new(shown);
    let world = World::new(options.seed);
    let mut scene = Scene::of(&world);
    scene.people.clear();
    let model = CameraModel::FRONT;
    let picture = Picture { width: model.width, height: model.height };
    let mut renderer = Renderer::new(model, Arc::new(Assets::new(&world.city, options.seed)));
    let mut i420 = vec![0; picture.bytes()];
    while let Some((width, height, pixels)) = next_shown(&mut shown)? {
        let received = Luma { width, height, pixels: &pixels };
        let full = scaled(received, picture.width, picture.height);
        let stamp = read_stamp(picture, &full);
        // A picture whose stamp cannot be read, or was never drawn, is one that nothing can be said of.
        let seen = stamp.and_then(|stamp| drawn.get(&stamp).map(|seen| (stamp, *seen)));
        let Some((stamp_us, Seen { pose, ground_m })) = seen else { continue };
        (scene.pose, scene.ground_m) = (pose, ground_m);
        renderer.draw(&scene, &mut i420);
        write_stamp(picture, &mut i420, stamp_us);
        let of = |pixels| Luma { width: picture.width, height: picture.height, pixels };
        let (source, full) = (of(&i420[..picture.width * picture.height]), of(&full));
        let line = json!({
            "stamp_us": stamp_us, "width": width, "height": height,
            "psnr_db": psnr_db(source, full).min(PSNR_DB_MAX), "ssim": ssim(source, full),
        });
        writeln!(std::io::stdout(), "{line}")?;
    }
    Ok(())
}

/// The next picture of the file: width, height and luma.
fn next_shown(file: &mut impl Read) -> anyhow::Result<Option<(usize, usize, Vec<u8>)>> {
    let mut sides = [[0; 4]; 2];
    match file.read_exact(sides.as_flattened_mut()) {
        Ok(()) => {}
        Err(end) if end.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error).context("could not read the pictures that were shown"),
    }
    let [width, height] = sides.map(|side| u32::from_le_bytes(side) as usize);
    let sane = (1..=8_192).contains(&width) && (1..=8_192).contains(&height);
    anyhow::ensure!(sane, "a picture of {width}×{height}: this is no file of shown pictures");
    let mut pixels = vec![0; width * height];
    file.read_exact(&mut pixels).context("the last picture is not whole")?;
    Ok(Some((width, height, pixels)))
}
