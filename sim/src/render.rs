//! The software renderer: columns of walls over a cast floor, shapes with depth, I420 out.
//!
//! The picture is drawn as if the camera were level sideways, column by column, with each row's slope taken from the
//! pitched camera; columns are therefore upright planes and cheap. A last pass stretches each row about the middle,
//! which is all that pitch adds, so that the result is the exact picture of [`CameraModel`].

mod car;
mod column;
mod facade;
mod floor;
mod ground;
mod models;
mod noise;
mod output;
mod pixel;
mod shapes;
mod sky;
mod stamp;
mod texture;
mod tiles;
mod tileset;

pub use output::{Picture, to_rgb};
pub use stamp::{STAMP_BLOCK_PX, STAMP_BLOCKS_PER_ROW, STAMP_SYNC, read_stamp, write_stamp};

use crate::camera::CameraModel;
use crate::city::City;
use crate::people::Person;
use crate::world::{Pose, World};
use models::Maker;
use pixel::{Air, Colour, HAZE_RGB, colour};
use shapes::{Column, Rows, Shape, Vec3};
use std::sync::Arc;

/// Towards the sun: from the south-south-east, 44° high.
pub(crate) const SUN: Vec3 = [0.304, -0.652, 0.695];
/// Columns drawn together before they are turned into rows.
const STRIP: usize = 8;
/// Nothing smaller than a building is drawn beyond this, in metres.
const FAR_M: f32 = 85.0;

/// What a picture shows: a copy of what moves, cheap to hand from the physics to a camera.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The robot's pose.
    pub pose: Pose,
    /// Height of the ground under it, in metres.
    pub ground_m: f64,
    /// Everyone on foot.
    pub people: Vec<Person>,
}

impl Scene {
    /// The scene of a world now.
    pub fn of(world: &World) -> Self {
        Self { pose: world.pose, ground_m: world.ground_m, people: world.people.clone() }
    }
}

/// The painted world: made once for a city, shared by its cameras.
#[derive(Debug)]
pub struct Assets {
    city: City,
    facades: Vec<facade::Facade>,
    ground: ground::Ground,
    sky: sky::Sky,
}

impl Assets {
    /// Paints facades, ground and sky. Takes a few tenths of a second.
    pub fn new(city: &City, seed: u64) -> Self {
        Self {
            city: city.clone(),
            facades: facade::all(),
            ground: ground::Ground::new(city),
            sky: sky::Sky::new(seed),
        }
    }
}

/// Where the camera is in this picture.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) at: Vec3,
    /// Unit vectors ahead and to the right, on the ground.
    pub(crate) ahead: [f32; 2],
    pub(crate) right: [f32; 2],
    heading_rad: f32,
    /// The sun in the camera's level frame.
    pub(crate) sun: Vec3,
    pub(crate) haze: Colour,
}

impl View {
    fn new(scene: &Scene, model: &CameraModel) -> Self {
        let heading = scene.pose.heading_rad + model.yaw_rad;
        let (sin, cos) = heading.sin_cos();
        let (ahead, right) = ([cos as f32, sin as f32], [sin as f32, -cos as f32]);
        let at = [
            (scene.pose.x + cos * model.forward_m) as f32,
            (scene.pose.y + sin * model.forward_m) as f32,
            (scene.ground_m + model.height_m) as f32,
        ];
        let sun =
            [SUN[0] * right[0] + SUN[1] * right[1], SUN[2], SUN[0] * ahead[0] + SUN[1] * ahead[1]];
        Self { at, ahead, right, heading_rad: heading as f32, sun, haze: colour(HAZE_RGB) }
    }

    /// A point of the world in the camera's level frame: X right, Y up, Z ahead.
    pub(crate) fn level(&self, p: Vec3) -> Vec3 {
        let (x, y) = (p[0] - self.at[0], p[1] - self.at[1]);
        [
            x * self.right[0] + y * self.right[1],
            p[2] - self.at[2],
            x * self.ahead[0] + y * self.ahead[1],
        ]
    }
}

/// Draws pictures of one camera. Reuses its memory from picture to picture.
#[derive(Debug)]
pub struct Renderer {
    model: CameraModel,
    assets: Arc<Assets>,
    rows: Rows,
    slopes: Vec<f32>,
    slopes_q24: Vec<i32>,
    /// Columns drawn, a multiple of [`STRIP`]: more than the picture's, since low rows see wider.
    columns: usize,
    floor: floor::Floor,
    air: Vec<Air>,
    fan: output::Fan,
    shapes: Vec<Shape>,
    /// How near each shape is, the nearest first.
    order: Vec<(f32, u32)>,
    by_column: Vec<Vec<u32>>,
    strip: Vec<Colour>,
    depths: Vec<f32>,
}

impl Renderer {
    /// A renderer for a camera in the world that `assets` were painted for.
    pub fn new(model: CameraModel, assets: Arc<Assets>) -> Self {
        let focal = model.focal_px();
        let (middle, tan_pitch) = (model.height as f64 / 2.0, model.pitch_rad.tan());
        let down = |row: usize| (row as f64 + 0.5 - middle) / focal;
        let slope = |row: usize| ((tan_pitch - down(row)) / (1.0 + down(row) * tan_pitch)) as f32;
        let slopes: Vec<f32> = (0..model.height).map(slope).collect();
        let (sin, cos) = model.pitch_rad.sin_cos();
        let stretch: Vec<f64> =
            (0..model.height).map(|row| 1.0 / (cos + down(row) * sin)).collect();
        let widest = stretch.iter().copied().fold(1.0, f64::max);
        let columns = (model.width as f64 * widest + 4.0) as usize / STRIP * STRIP + STRIP;
        let rows = Rows {
            focal: focal as f32,
            middle: middle as f32,
            tan_pitch: tan_pitch as f32,
            count: model.height,
        };
        let haze = colour(HAZE_RGB);
        Self {
            rows,
            columns,
            floor: floor::Floor::new(slope, model.height, model.height_m as f32, focal as f32),
            air: (0..512).map(|n| Air::new(n as f32 * 0.5, haze)).collect(),
            fan: output::Fan::new(&model, columns, &stretch),
            shapes: Vec::new(),
            order: Vec::new(),
            by_column: vec![Vec::new(); columns],
            strip: vec![0; STRIP * model.height],
            depths: vec![0.0; model.height],
            slopes_q24: slopes.iter().map(|s| (s * 16_777_216.0) as i32).collect(),
            slopes,
            model,
            assets,
        }
    }

    /// The camera that it draws for.
    pub fn model(&self) -> &CameraModel {
        &self.model
    }

    /// Draws the scene as I420 (BT.709, limited range) into `out`, which must have [`Picture::bytes`] octets.
    pub fn draw(&mut self, scene: &Scene, out: &mut [u8]) {
        let view = View::new(scene, &self.model);
        self.collect(scene, &view);
        let assets = Arc::clone(&self.assets);
        self.floor.prepare(view.at[2], &self.air);
        let walls = column::visible(&assets, &view);
        let shadows = column::shadows(scene, &view, &assets.ground);
        let height = self.model.height;
        for first in (0..self.columns).step_by(STRIP) {
            for n in 0..STRIP {
                let across = self.across(first + n);
                let pixels = &mut self.strip[n * height..(n + 1) * height];
                self.depths.fill(f32::INFINITY);
                let mut c = Column {
                    across,
                    slopes: &self.slopes,
                    slopes_q24: &self.slopes_q24,
                    pixels,
                    depths: &mut self.depths,
                    rows: &self.rows,
                };
                let paint = column::Paint {
                    assets: &assets,
                    view: &view,
                    floor: &self.floor,
                    air: &self.air,
                    shadows: &shadows,
                };
                column::background(&mut c, &paint, &walls);
                for shape in &self.by_column[first + n] {
                    self.shapes[*shape as usize].draw(&mut c);
                }
            }
            self.fan.take_strip(first, &self.strip);
        }
        self.fan.write(out);
    }

    fn across(&self, column: usize) -> f32 {
        (column as f32 + 0.5 - self.columns as f32 / 2.0) / self.rows.focal
    }

    /// Makes the shapes of everything in view and lists them by column, nearest first.
    fn collect(&mut self, scene: &Scene, view: &View) {
        self.shapes.clear();
        let ground = &self.assets.ground;
        let seen = |x: f64, y: f64, size: f32| {
            let p = view.level([x as f32, y as f32, 0.0]);
            p[2] > -size && p[2] < FAR_M && p[0].abs() < p[2].max(0.0) * 1.1 + size * 1.5
        };
        let sunny = |x: f64, y: f64| {
            let shade = ground.shade(ground::Place::new(x as f32, y as f32));
            ((shade as f32 - ground::SHADE as f32) / (250.0 - ground::SHADE as f32)).clamp(0.1, 1.0)
        };
        for f in &self.assets.city.fixtures {
            if seen(f.x, f.y, 3.0) {
                let on_road = crate::city::is_road(f.x, f.y);
                let low = if on_road { -crate::city::KERB_HEIGHT_M } else { 0.0 };
                // Cars and crowns stand mostly in the sun that falls beside them, not under them.
                let (dx, dy) = (f64::from(SUN[0]) * 3.2, f64::from(SUN[1]) * 3.2);
                let light = sunny(f.x, f.y).max(0.9 * sunny(f.x + dx, f.y + dy));
                let place = (f.x as f32, f.y as f32, low as f32);
                let mut maker =
                    Maker::new(&mut self.shapes, view, place, f.facing_rad as f32, light);
                models::fixture(&mut maker, f);
            }
        }
        for p in &scene.people {
            if seen(p.x, p.y, 1.0) {
                let place = (p.x as f32, p.y as f32, 0.0);
                let light = sunny(p.x, p.y);
                let mut maker =
                    Maker::new(&mut self.shapes, view, place, p.heading_rad as f32, light);
                models::person(&mut maker, p);
            }
        }
        self.order.clear();
        self.order.extend(self.shapes.iter().map(Shape::nearest).zip(0..));
        self.order.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for list in &mut self.by_column {
            list.clear();
        }
        let middle = self.columns as f32 / 2.0;
        for (_, n) in &self.order {
            let (a, b) = self.shapes[*n as usize].span();
            let from = (a * self.rows.focal + middle - 0.5).ceil().max(0.0) as usize;
            let to = ((b * self.rows.focal + middle - 0.5).floor() + 1.0).max(0.0) as usize;
            for list in self.by_column.iter_mut().take(to).skip(from) {
                list.push(*n);
            }
        }
    }
}
