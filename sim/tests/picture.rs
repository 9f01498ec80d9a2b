//! What the pictures promise.

use sim::render::{read_stamp, write_stamp};
use sim::{Assets, CameraModel, Picture, Pose, Renderer, Scene, World};
use std::sync::Arc;

const SMALL: CameraModel = CameraModel { width: 640, height: 360, ..CameraModel::FRONT };
const PICTURE: Picture = Picture { width: 640, height: 360 };

fn draw(seed: u64, pose: Option<Pose>) -> Vec<u8> {
    let world = World::new(seed);
    let assets = Arc::new(Assets::new(&world.city, seed));
    let mut scene = Scene::of(&world);
    scene.pose = pose.unwrap_or(scene.pose);
    let mut renderer = Renderer::new(SMALL, assets);
    let mut first = vec![0; PICTURE.bytes()];
    renderer.draw(&scene, &mut first);
    let mut again = vec![1; PICTURE.bytes()];
    renderer.draw(&scene, &mut again);
    assert!(first == again, "the same scene drawn twice differs");
    first
}

#[test]
fn equal_scenes_make_equal_pictures() {
    assert!(draw(3, None) == draw(3, None));
    assert!(draw(3, None) != draw(4, None));
}

#[test]
fn the_sky_is_above_the_ground_and_brighter_than_the_road() {
    let picture = draw(1, Some(Pose { x: 60.0, y: 10.0, heading_rad: 0.0 }));
    let mean = |rows: std::ops::Range<usize>| {
        let part = &picture[rows.start * 640 + 280..rows.end * 640];
        part.chunks(640).map(|r| u64::from(r[40])).sum::<u64>() / part.chunks(640).count() as u64
    };
    assert!(mean(0..60) > 140, "sky {}", mean(0..60));
    assert!(mean(300..360) < 125, "road {}", mean(300..360));
}

#[test]
fn the_projection_puts_a_point_where_the_renderer_draws_it() {
    // A wall's foot 3 m to the left: where plinth and paving meet the column changes, so does the model's row.
    let model = CameraModel::FRONT;
    let (u, v) = model.project(model.forward_m + 10.0, 0.0, 0.6).unwrap();
    assert!((u - 640.0).abs() < 1e-9);
    // A point at the lens' height lies on the horizon: f · tan 5° = 56 px above the middle.
    assert!((v - (360.0 - 640.0 * 5.0_f64.to_radians().tan())).abs() < 1e-6, "{v}");
    let (u, v) = model.project(model.forward_m + 2.0, -1.0, 0.0).unwrap();
    assert!(u > 900.0 && v > 360.0);
    assert!(model.project(-3.0, 0.0, 0.0).is_none());
    assert!(CameraModel::REAR.project(-3.0, 0.5, 0.0).unwrap().0 > 320.0);
}

#[test]
fn a_bollard_stands_where_the_model_says() {
    // The one at the corner, seen against the road from 3 m: its foot is dark, the ground beside it is not.
    let mut world = World::new(1);
    world.people.clear();
    world.city.fixtures.retain(|f| f.kind == sim::city::Kind::Bollard);
    world.city.fixtures.truncate(1);
    let bollard = world.city.fixtures[0];
    let mut without = world.clone();
    without.city.fixtures.clear();
    let pose = Pose { x: bollard.x + 3.0, y: bollard.y + 0.8, heading_rad: 3.0 };
    let shot = |world: &World| {
        let mut scene = Scene::of(world);
        scene.pose = pose;
        let mut out = vec![0; PICTURE.bytes()];
        let assets = Arc::new(Assets::new(&world.city, 1));
        Renderer::new(SMALL, assets).draw(&scene, &mut out);
        out
    };
    let (with, without) = (shot(&world), shot(&without));
    let (dx, dy) = (bollard.x - pose.x, bollard.y - pose.y);
    let (sin, cos) = pose.heading_rad.sin_cos();
    let (ahead, left) = (dx * cos + dy * sin, dy * cos - dx * sin);
    let (u, v) = SMALL.project(ahead, left, 0.35).unwrap();
    let row = v.round() as usize;
    let changed: Vec<usize> =
        (0..640).filter(|n| with[row * 640 + n].abs_diff(without[row * 640 + n]) > 12).collect();
    let (first, last) = (changed[0] as f64, changed[changed.len() - 1] as f64);
    let half = 0.08 / ahead * SMALL.focal_px();
    assert!((first - (u - half)).abs() < 3.0, "left edge {first}, model {}", u - half);
    assert!(last >= u + half - 3.0, "right edge {last}, model {}", u + half);
}

#[test]
fn a_stamp_survives_noise_and_is_not_seen_where_there_is_none() {
    let mut picture = draw(1, None);
    assert_eq!(read_stamp(PICTURE, &picture), None);
    let stamp = 0x0005_1234_89ab_cdef;
    write_stamp(PICTURE, &mut picture, stamp);
    for (n, luma) in picture.iter_mut().enumerate() {
        *luma = luma.saturating_add((n % 37) as u8).saturating_sub((n % 23) as u8);
    }
    assert_eq!(read_stamp(PICTURE, &picture), Some(stamp));
}
