//! The world: the city, the people and the robot, moved on by [`World::step`] alone.

use crate::base::{Base, Command, Motion, ROBOT_RADIUS_M};
use crate::city::{self, City, EXTENT, Fixture, KERB_HEIGHT_M, Rect};
use crate::people::{self, PERSON_RADIUS_M, Person, Seen};
use crate::rng::Rng;
use crate::route;
use protocol::units::GeoPoint;

/// Where the block's south-west corner lies on Earth.
pub const ORIGIN: GeoPoint = GeoPoint { lat_deg: 52.5205, lon_deg: 13.4095 };
/// The step of the physics, in seconds: 200 Hz.
pub const STEP_S: f64 = 0.005;

/// A place and a direction in the block's frame: metres east and north of [`ORIGIN`], radians counter-clockwise from
/// east.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// Metres east.
    pub x: f64,
    /// Metres north.
    pub y: f64,
    /// Radians counter-clockwise from east.
    pub heading_rad: f64,
}

/// The point on Earth of a place in the block's frame.
pub fn geo(x: f64, y: f64) -> GeoPoint {
    ORIGIN.offset_m(x, y)
}

/// The place in the block's frame of a point on Earth.
pub fn enu(point: &GeoPoint) -> (f64, f64) {
    point.enu_m(&ORIGIN)
}

/// What the robot touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thing {
    Building(usize),
    Fixture(usize),
    Person(usize),
    Kerb,
    Edge,
}

/// A thing that the robot ran into.
#[derive(Debug, Clone, Copy)]
struct Touch {
    thing: Thing,
    /// Where the robot stood.
    x: f64,
    y: f64,
    /// Whether it went forward.
    ahead: bool,
}

/// The whole world. Equal seeds and equal commands give equal worlds, bit for bit.
#[derive(Debug, Clone)]
pub struct World {
    /// The seed that it was made from.
    pub seed: u64,
    /// What stands still.
    pub city: City,
    /// Who walks.
    pub people: Vec<Person>,
    /// The robot's true pose.
    pub pose: Pose,
    /// The robot's base.
    pub base: Base,
    /// True speed over ground, in m/s.
    pub speed_mps: f64,
    /// True turn rate, in rad/s.
    pub turn_radps: f64,
    /// Forward acceleration, in m/s², shocks included.
    pub acceleration_mps2: f64,
    /// Upward shock of a kerb or a collision, in m/s², fades in some tens of milliseconds.
    pub shock_mps2: f64,
    /// Height of the ground under the robot, in metres: 0 on the sidewalk, below it on the road.
    pub ground_m: f64,
    /// How often it ran into something: once for each contact.
    pub collisions: u64,
    /// How often it rolled over a kerb.
    pub kerb_bumps: u64,
    /// Way driven, in metres.
    pub distance_m: f64,
    /// Highest speed over ground so far, in m/s.
    pub speed_top_mps: f64,
    /// Steps so far, and the time they make.
    pub steps: u64,
    /// Seconds since the start.
    pub time_s: f64,
    /// Energy used, in joules.
    pub energy_j: f64,
    /// What it touches.
    touching: Option<Touch>,
    rng: Rng,
}

impl World {
    /// The world of this seed, the robot at the start of [`route::demo_route`].
    pub fn new(seed: u64) -> Self {
        let pose = route::START;
        let seen = Seen { x: pose.x, y: pose.y, radius_m: ROBOT_RADIUS_M };
        Self {
            seed,
            city: City::new(seed),
            people: people::crowd(seed, seen),
            pose,
            base: Base::new(),
            speed_mps: 0.0,
            turn_radps: 0.0,
            acceleration_mps2: 0.0,
            shock_mps2: 0.0,
            ground_m: 0.0,
            collisions: 0,
            kerb_bumps: 0,
            distance_m: 0.0,
            speed_top_mps: 0.0,
            steps: 0,
            time_s: 0.0,
            energy_j: 0.0,
            touching: None,
            rng: Rng::new(seed, 3),
        }
    }

    /// Moves the world on by `dt_s`; `command` is one that arrived since the last step, if any did.
    pub fn step(&mut self, dt_s: f64, command: Option<Command>) {
        if let Some(command) = command {
            self.base.take(command);
        }
        let seen = Seen { x: self.pose.x, y: self.pose.y, radius_m: ROBOT_RADIUS_M };
        let places: Vec<(f64, f64)> = self.people.iter().map(|p| (p.x, p.y)).collect();
        for (n, person) in self.people.iter_mut().enumerate() {
            person.step(dt_s, seen, &places, n);
        }
        let motion = self.base.step(dt_s, &mut self.rng);
        self.drive(dt_s, motion);
        self.energy_j += dt_s * (18.0 + 45.0 * self.speed_mps.abs() + 8.0 * self.turn_radps.abs());
        self.steps += 1;
        self.time_s += dt_s;
    }

    /// The robot's position on Earth.
    pub fn position(&self) -> GeoPoint {
        geo(self.pose.x, self.pose.y)
    }

    /// Share of the battery that is left, 0 to 1.
    pub fn charge(&self) -> f64 {
        (0.92 - self.energy_j / BATTERY_J).max(0.0)
    }

    /// Whether the front and the rear bumper are pressed: from a collision until the robot has backed off.
    pub fn bumpers(&self) -> [bool; 2] {
        let ahead = self.touching.map(|touch| touch.ahead);
        [ahead == Some(true), ahead == Some(false)]
    }

    /// A digest of everything that moves: equal digests mean equal states.
    pub fn digest(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut mix = |value: f64| {
            for byte in value.to_bits().to_le_bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for value in
            [self.pose.x, self.pose.y, self.pose.heading_rad, self.speed_mps, self.energy_j]
        {
            mix(value);
        }
        for person in &self.people {
            mix(person.x);
            mix(person.y);
            mix(person.gait_rad);
        }
        hash ^ self.collisions.rotate_left(32) ^ self.steps
    }

    /// What a laser at the robot may see within `far_m`.
    pub fn near(&self, far_m: f64) -> Near {
        let (x, y) = (self.pose.x, self.pose.y);
        let close = |gap: (f64, f64)| gap.0.hypot(gap.1) < far_m;
        let buildings = self.city.buildings.iter().map(|b| b.rect);
        let people = self.people.iter().map(|p| (p.x, p.y));
        Near {
            walls: buildings.filter(|r| close(r.gap(x, y))).collect(),
            fixtures: self.city.fixtures.iter().filter(|f| close(f.gap(x, y))).copied().collect(),
            people: people.filter(|(px, py)| close((px - x, py - y))).collect(),
        }
    }

    fn drive(&mut self, dt_s: f64, motion: Motion) {
        let heading_rad = people::wrap_rad(self.pose.heading_rad + motion.turn_radps * dt_s);
        let (sin, cos) = heading_rad.sin_cos();
        let way = motion.speed_mps * dt_s;
        let next = Pose { x: self.pose.x + cos * way, y: self.pose.y + sin * way, heading_rad };
        let before = self.speed_mps;
        let (mut speed, mut shock) = (motion.speed_mps, self.shock_mps2 * (-dt_s / 0.03).exp());
        match self.touched(next) {
            Some(thing) => {
                if self.touching.is_none_or(|touch| touch.thing != thing) {
                    self.collisions += 1;
                    shock = 12.0 * before.abs().min(1.0);
                    let (x, y, ahead) = (self.pose.x, self.pose.y, motion.speed_mps >= 0.0);
                    self.touching = Some(Touch { thing, x, y, ahead });
                }
                self.base.block();
                speed = 0.0;
                self.pose.heading_rad = heading_rad;
            }
            None => {
                if city::is_road(next.x, next.y) != city::is_road(self.pose.x, self.pose.y)
                    && !city::in_crossing_line(next.x, next.y)
                {
                    self.kerb_bumps += 1;
                    shock = 15.0;
                }
                self.pose = next;
                self.distance_m += way.abs();
                let away = |touch: Touch| (next.x - touch.x).hypot(next.y - touch.y) > 0.05;
                if self.touching.is_some_and(away) {
                    self.touching = None;
                }
            }
        }
        let ground = if city::is_road(self.pose.x, self.pose.y) { -KERB_HEIGHT_M } else { 0.0 };
        self.ground_m += (ground - self.ground_m) * (dt_s / 0.12).min(1.0);
        self.speed_mps = speed;
        self.turn_radps = motion.turn_radps;
        self.acceleration_mps2 = (speed - before) / dt_s;
        self.shock_mps2 = shock;
        self.speed_top_mps = self.speed_top_mps.max(speed.abs());
    }

    /// What the robot would push into at `next`. Moving away from something is always free.
    fn touched(&self, next: Pose) -> Option<Thing> {
        let now = self.pose;
        let into = |gap_now: (f64, f64), gap_next: (f64, f64)| {
            let next_m = gap_next.0.hypot(gap_next.1);
            next_m < ROBOT_RADIUS_M && next_m < gap_now.0.hypot(gap_now.1)
        };
        for (n, b) in self.city.buildings.iter().enumerate() {
            if into(b.rect.gap(now.x, now.y), b.rect.gap(next.x, next.y)) {
                return Some(Thing::Building(n));
            }
        }
        for (n, f) in self.city.fixtures.iter().enumerate() {
            if (f.x - next.x).abs() < 3.0
                && (f.y - next.y).abs() < 3.0
                && into(f.gap(now.x, now.y), f.gap(next.x, next.y))
            {
                return Some(Thing::Fixture(n));
            }
        }
        for (n, p) in self.people.iter().enumerate() {
            let gap = |at: Pose| city::disc_gap(p.x, p.y, PERSON_RADIUS_M, at.x, at.y);
            if into(gap(now), gap(next)) {
                return Some(Thing::Person(n));
            }
        }
        // A kerb can be rolled down but not up, except where it is lowered.
        let up = city::is_road(now.x, now.y) && !city::is_road(next.x, next.y);
        if up && !city::in_crossing_line(next.x, next.y) {
            return Some(Thing::Kerb);
        }
        (!EXTENT.contains(next.x, next.y)).then_some(Thing::Edge)
    }

    /// Free space between the robot's outline and the nearest solid thing, in metres.
    pub fn nearest_m(&self) -> f64 {
        let (x, y) = (self.pose.x, self.pose.y);
        let buildings = self.city.buildings.iter().map(|b| b.rect.gap(x, y));
        let fixtures = self.city.fixtures.iter().map(|f| f.gap(x, y));
        let people = self.people.iter().map(|p| city::disc_gap(p.x, p.y, PERSON_RADIUS_M, x, y));
        buildings
            .chain(fixtures)
            .chain(people)
            .map(|(dx, dy)| dx.hypot(dy) - ROBOT_RADIUS_M)
            .fold(f64::INFINITY, f64::min)
    }
}

/// The solid things around a place: what rays are cast against.
#[derive(Debug, Clone)]
pub struct Near {
    walls: Vec<Rect>,
    fixtures: Vec<Fixture>,
    people: Vec<(f64, f64)>,
}

impl Near {
    /// How far a horizontal ray goes before it meets something, at most `far_m`. Kerbs are too low to be met.
    pub fn ray_m(&self, x: f64, y: f64, direction_rad: f64, far_m: f64) -> f64 {
        let (dy, dx) = direction_rad.sin_cos();
        let walls = self.walls.iter().filter_map(|r| r.ray(x, y, dx, dy));
        let fixtures = self.fixtures.iter().filter_map(|f| f.ray(x, y, dx, dy));
        let people = self
            .people
            .iter()
            .filter_map(|(px, py)| city::disc_ray(*px, *py, PERSON_RADIUS_M, x, y, dx, dy));
        walls.chain(fixtures).chain(people).fold(far_m, f64::min)
    }
}

/// Energy of the full battery, in joules: 288 Wh.
pub const BATTERY_J: f64 = 288.0 * 3600.0;
