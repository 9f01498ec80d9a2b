//! The map of `/screenshot`: the robot, the way that it came, the checkpoints, a scale and north. Pure: no tiles, no
//! network.

use super::client::Client;
use super::draw::{Canvas, Rgb};
use super::source::Sensed;
use protocol::units::GeoPoint;

/// Size of the picture, pixels.
const SIZE: (u32, u32) = (640, 480);
/// Free border, pixels.
const MARGIN: f64 = 50.0;
/// The map shows at least this much, metres from edge to edge.
const SPAN_M_MIN: f64 = 20.0;
const GROUND: Rgb = [244, 243, 238];
const GRID: Rgb = [224, 222, 214];
const WAY: Rgb = [120, 150, 190];
const ROBOT: Rgb = [20, 90, 200];
const DONE: Rgb = [40, 150, 80];
const NEXT: Rgb = [220, 110, 20];
const LATER: Rgb = [140, 140, 140];
const INK: Rgb = [40, 40, 40];

/// What the map shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scene {
    /// Where the robot is, and its heading clockwise from north in degrees.
    pub robot: Option<(GeoPoint, Option<f64>)>,
    /// The way that it came, oldest first.
    pub trail: Vec<GeoPoint>,
    /// Checkpoints with their radius in metres, in order.
    pub checkpoints: Vec<(GeoPoint, f64)>,
    /// How many of them are reached.
    pub reached: usize,
}

impl Scene {
    /// The scene of a client's robot and ride.
    pub fn of(client: &Client, sensed: &Sensed) -> Self {
        let place = sensed.report.position.filter(|p| p.fix > 0 && p.point.is_valid());
        let ride = client.memory().ride.clone();
        let reached = ride.as_ref().map_or(0, |ride| ride.claimed);
        let checkpoints = ride.map(|ride| ride.checkpoints).unwrap_or_default();
        Self {
            robot: place.map(|position| (position.point, sensed.report.heading_deg)),
            trail: client.rover.source.trail(),
            checkpoints: checkpoints.iter().map(|c| (c.position, c.radius_m)).collect(),
            reached,
        }
    }

    fn points(&self) -> impl Iterator<Item = GeoPoint> + '_ {
        let robot = self.robot.iter().map(|(point, _)| *point);
        let checkpoints = self.checkpoints.iter().map(|(point, _)| *point);
        robot.chain(checkpoints).chain(self.trail.iter().copied()).filter(GeoPoint::is_valid)
    }
}

/// From places on Earth to pixels: everything fits, north is up.
struct Frame {
    origin: GeoPoint,
    centre: (f64, f64),
    px_per_m: f64,
}

impl Frame {
    fn around(scene: &Scene) -> Option<Self> {
        let origin = scene.points().next()?;
        let (mut low, mut high) = ((0.0_f64, 0.0_f64), (0.0_f64, 0.0_f64));
        for point in scene.points() {
            let (east, north) = point.enu_m(&origin);
            low = (low.0.min(east), low.1.min(north));
            high = (high.0.max(east), high.1.max(north));
        }
        let span = ((high.0 - low.0).max(SPAN_M_MIN), (high.1 - low.1).max(SPAN_M_MIN));
        let room = (f64::from(SIZE.0) - 2.0 * MARGIN, f64::from(SIZE.1) - 2.0 * MARGIN);
        let px_per_m = (room.0 / span.0).min(room.1 / span.1);
        let centre = (f64::midpoint(low.0, high.0), f64::midpoint(low.1, high.1));
        (px_per_m.is_finite() && px_per_m > 0.0).then_some(Self { origin, centre, px_per_m })
    }

    fn px(&self, point: &GeoPoint) -> (f64, f64) {
        let (east, north) = point.enu_m(&self.origin);
        let x = f64::from(SIZE.0) / 2.0 + (east - self.centre.0) * self.px_per_m;
        let y = f64::from(SIZE.1) / 2.0 - (north - self.centre.1) * self.px_per_m;
        (x, y)
    }
}

/// The longest of 1, 2, 5 × 10ⁿ metres that is not longer than `metres`.
fn round_length(metres: f64) -> f64 {
    let ten = 10_f64.powf(metres.max(1e-3).log10().floor());
    [5.0, 2.0].into_iter().map(|n| n * ten).find(|length| *length <= metres).unwrap_or(ten)
}

/// Draws the map.
pub fn draw(scene: &Scene) -> Canvas {
    let mut canvas = Canvas::new(SIZE.0, SIZE.1, GROUND);
    let Some(frame) = Frame::around(scene) else {
        // Nobody knows where anything is: an empty sheet with north.
        north(&mut canvas);
        return canvas;
    };
    grid(&mut canvas, &frame);
    for pair in scene.trail.windows(2) {
        if let [from, to] = pair {
            canvas.line(frame.px(from), frame.px(to), 3.0, WAY);
        }
    }
    for (n, (point, radius_m)) in scene.checkpoints.iter().enumerate() {
        let colour = match n.cmp(&scene.reached) {
            std::cmp::Ordering::Less => DONE,
            std::cmp::Ordering::Equal => NEXT,
            std::cmp::Ordering::Greater => LATER,
        };
        let at = frame.px(point);
        canvas.ring(at, (radius_m * frame.px_per_m).max(8.0), 2.0, colour);
        canvas.disc(at, 4.0, colour);
        label(&mut canvas, at, n + 1);
    }
    if let Some((point, heading_deg)) = &scene.robot {
        let at = frame.px(point);
        if let Some(heading) = heading_deg {
            let (sin, cos) = heading.to_radians().sin_cos();
            canvas.line(at, (at.0 + 22.0 * sin, at.1 - 22.0 * cos), 3.0, ROBOT);
        }
        canvas.disc(at, 8.0, ROBOT);
        canvas.disc(at, 3.0, GROUND);
    }
    scale(&mut canvas, &frame);
    north(&mut canvas);
    canvas
}

#[expect(clippy::as_conversions, reason = "saturating, and clipped by the canvas")]
fn label(canvas: &mut Canvas, at: (f64, f64), number: usize) {
    canvas.text((at.0 as i64 + 9, at.1 as i64 - 16), &number.to_string(), 2, INK);
}

fn grid(canvas: &mut Canvas, frame: &Frame) {
    let step = round_length(80.0 / frame.px_per_m) * frame.px_per_m;
    let (w, h) = (f64::from(SIZE.0), f64::from(SIZE.1));
    let mut at = step;
    while step >= 8.0 && at < w.max(h) {
        canvas.line((at, 0.0), (at, h), 1.0, GRID);
        canvas.line((0.0, at), (w, at), 1.0, GRID);
        at += step;
    }
}

fn scale(canvas: &mut Canvas, frame: &Frame) {
    let metres = round_length(120.0 / frame.px_per_m);
    let (x, y) = (20.0, f64::from(SIZE.1) - 20.0);
    let end = x + metres * frame.px_per_m;
    canvas.line((x, y), (end, y), 3.0, INK);
    canvas.line((x, y - 5.0), (x, y + 5.0), 2.0, INK);
    canvas.line((end, y - 5.0), (end, y + 5.0), 2.0, INK);
    let words =
        if metres >= 1_000.0 { format!("{} km", metres / 1_000.0) } else { format!("{metres} m") };
    canvas.text((22, i64::from(SIZE.1) - 44), &words, 3, INK);
}

fn north(canvas: &mut Canvas) {
    let x = f64::from(SIZE.0) - 30.0;
    canvas.line((x, 60.0), (x, 30.0), 3.0, INK);
    canvas.line((x, 28.0), (x - 7.0, 40.0), 3.0, INK);
    canvas.line((x, 28.0), (x + 7.0, 40.0), 3.0, INK);
    canvas.text((i64::from(SIZE.0) - 34, 68), "N", 3, INK);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: GeoPoint = GeoPoint { lat_deg: 52.52, lon_deg: 13.405 };

    #[test]
    fn robot_way_and_checkpoints_lie_where_they_are() {
        let scene = Scene {
            robot: Some((HOME, Some(90.0))),
            trail: vec![HOME.offset_m(0.0, -40.0), HOME],
            checkpoints: vec![
                (HOME.offset_m(0.0, -40.0), 3.0),
                (HOME.offset_m(80.0, 0.0), 3.0),
                (HOME.offset_m(80.0, 40.0), 3.0),
            ],
            reached: 1,
        };
        let canvas = draw(&scene);
        let frame = Frame::around(&scene).unwrap();
        let at = |point: GeoPoint, dx: i64, dy: i64| {
            let (x, y) = frame.px(&point);
            #[expect(clippy::as_conversions, reason = "a test of its own numbers")]
            canvas.get(x as i64 + dx, y as i64 + dy).unwrap()
        };
        assert_eq!(at(HOME, 6, 0), ROBOT);
        assert_eq!(at(HOME, 15, 0), ROBOT, "the heading points east");
        assert_eq!(at(HOME.offset_m(0.0, -20.0), 0, 0), WAY);
        let colours = scene.checkpoints.iter().map(|(point, _)| at(*point, 0, 0));
        assert_eq!(colours.collect::<Vec<_>>(), [DONE, NEXT, LATER]);
        let (north, south) = (frame.px(&HOME.offset_m(0.0, 10.0)), frame.px(&HOME));
        assert!(north.1 < south.1, "north is up");
        assert_eq!(canvas.get(25, i64::from(SIZE.1) - 20), Some(INK), "the scale");
    }

    #[test]
    fn no_scene_is_too_strange_to_be_drawn() {
        let nan = GeoPoint { lat_deg: f64::NAN, lon_deg: 0.0 };
        let far = GeoPoint { lat_deg: -90.0, lon_deg: 180.0 };
        let scenes = [
            Scene::default(),
            Scene { trail: vec![nan, nan], ..Scene::default() },
            Scene { checkpoints: vec![(HOME, f64::INFINITY), (nan, f64::NAN)], ..Scene::default() },
            Scene {
                robot: Some((HOME, Some(f64::NAN))),
                trail: vec![far, HOME],
                ..Scene::default()
            },
        ];
        for scene in scenes {
            assert_eq!(draw(&scene).size(), SIZE);
        }
    }

    #[test]
    fn the_scale_is_a_round_number() {
        for (metres, expected) in
            [(0.7, 0.5), (1.0, 1.0), (19.0, 10.0), (49.0, 20.0), (999.0, 500.0)]
        {
            assert!((round_length(metres) - expected).abs() < 1e-9, "{metres}");
        }
    }
}
