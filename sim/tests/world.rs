//! What the world promises: determinism, dynamics, contact, people.

use sim::base::{BRAKING_MPS2, ROBOT_RADIUS_M, SPEED_MAX_MPS};
use sim::city::{Footprint, is_road};
use sim::people::PERSON_RADIUS_M;
use sim::route::{RADIUS_M, START, STOPS_M};
use sim::world::{STEP_S, enu};
use sim::{Command, Pose, World};

const FULL: Command = Command { linear_mps: 9.0, angular_radps: 0.0 };

/// Drives with a command repeated at 50 Hz for a time.
fn drive(world: &mut World, seconds: f64, command: Command) {
    for n in 0..(seconds / STEP_S).round() as u64 {
        world.step(STEP_S, (n % 4 == 0).then_some(command));
    }
}

/// A world with nobody in it.
fn empty(seed: u64) -> World {
    let mut world = World::new(seed);
    world.people.clear();
    world
}

#[test]
fn equal_seeds_and_commands_make_equal_worlds() {
    let run = |seed: u64, turn: f64| {
        let mut world = World::new(seed);
        drive(&mut world, 6.0, Command { linear_mps: 1.1, angular_radps: turn });
        world.digest()
    };
    assert_eq!(run(7, 0.1), run(7, 0.1));
    assert_ne!(run(7, 0.1), run(8, 0.1));
    assert_ne!(run(7, 0.1), run(7, 0.2));
}

#[test]
fn top_speed_is_reached_and_never_passed() {
    let mut world = empty(1);
    drive(&mut world, 5.0, FULL);
    assert!(world.base.speed_mps == SPEED_MAX_MPS, "wheels at {}", world.base.speed_mps);
    assert!(world.speed_mps > 1.4 && world.speed_top_mps <= SPEED_MAX_MPS);
}

#[test]
fn it_brakes_from_top_speed_within_the_distance_of_its_braking() {
    let mut world = empty(1);
    drive(&mut world, 4.0, FULL);
    let (from, speed) = (world.distance_m, world.speed_mps);
    drive(&mut world, 0.6, Command::default());
    assert_eq!(world.speed_mps, 0.0);
    let way = world.distance_m - from;
    let ideal = speed * speed / (2.0 * BRAKING_MPS2);
    assert!(way < ideal + 0.02 && way > ideal - 0.05, "{way} m instead of {ideal}");
}

#[test]
fn without_commands_it_brakes_after_300_ms_and_rests_within_800() {
    let mut world = empty(1);
    drive(&mut world, 4.0, FULL);
    assert_eq!(world.base.timeouts, 0);
    // The last command came up to four steps ago.
    let mut braking_after = None;
    let mut resting_after = None;
    for n in 1..=400_u32 {
        let before = world.base.speed_mps;
        world.step(STEP_S, None);
        let after_ms = f64::from(n) * STEP_S * 1e3;
        if braking_after.is_none() && world.base.speed_mps < before {
            braking_after = Some(after_ms);
        }
        if resting_after.is_none() && world.speed_mps == 0.0 {
            resting_after = Some(after_ms);
        }
    }
    let (braking, resting) = (braking_after.unwrap(), resting_after.unwrap());
    assert!((270.0..=305.0).contains(&braking), "braking after {braking} ms");
    assert!(resting <= 810.0, "at rest after {resting} ms");
    assert_eq!(world.base.timeouts, 1);
}

#[test]
fn a_command_that_is_not_a_number_stops_it() {
    let mut world = empty(1);
    drive(&mut world, 2.0, FULL);
    drive(&mut world, 1.0, Command { linear_mps: f64::NAN, angular_radps: 0.0 });
    assert_eq!(world.speed_mps, 0.0);
    assert!(world.pose.x.is_finite());
}

#[test]
fn a_wall_stops_it_once_and_it_can_back_away() {
    let mut world = empty(1);
    world.pose = Pose { x: 60.0, y: 18.0, heading_rad: std::f64::consts::FRAC_PI_2 };
    drive(&mut world, 5.0, FULL);
    assert_eq!((world.collisions, world.speed_mps), (1, 0.0));
    assert!((world.pose.y - (20.0 - ROBOT_RADIUS_M)).abs() < 0.02, "at {}", world.pose.y);
    drive(&mut world, 1.0, Command { linear_mps: -0.5, angular_radps: 0.0 });
    assert!(world.pose.y < 19.4);
    drive(&mut world, 3.0, FULL);
    assert_eq!(world.collisions, 2);
}

#[test]
fn a_kerb_can_be_rolled_down_with_a_bump_but_not_up() {
    let mut world = empty(1);
    // Between the parked cars, if there are any here.
    world.city.fixtures.clear();
    world.pose = Pose { x: 60.0, y: 15.0, heading_rad: -std::f64::consts::FRAC_PI_2 };
    drive(&mut world, 2.0, FULL);
    assert!(is_road(world.pose.x, world.pose.y));
    assert_eq!((world.kerb_bumps, world.collisions), (1, 0));
    drive(&mut world, 1.0, Command::default());
    world.pose.heading_rad = std::f64::consts::FRAC_PI_2;
    drive(&mut world, 4.0, FULL);
    assert_eq!(world.collisions, 1);
    assert!(is_road(world.pose.x, world.pose.y));
}

#[test]
fn people_stay_on_sidewalks_and_out_of_everything() {
    for seed in 1..=3 {
        let mut world = World::new(seed);
        for n in 0..(180.0 / STEP_S) as u64 {
            world.step(STEP_S, None);
            if n % 100 > 0 {
                continue;
            }
            for p in &world.people {
                assert!(!is_road(p.x, p.y), "seed {seed}: on the road at {} {}", p.x, p.y);
                let clear = |(dx, dy): (f64, f64)| dx.hypot(dy) > PERSON_RADIUS_M * 0.9;
                assert!(world.city.buildings.iter().all(|b| clear(b.rect.gap(p.x, p.y))));
                assert!(
                    world.city.fixtures.iter().all(|f| clear(f.gap(p.x, p.y))),
                    "seed {seed}: in the furniture at {} {}",
                    p.x,
                    p.y
                );
            }
        }
        let walked = world.people.iter().filter(|p| p.gait_rad > 100.0).count();
        assert!(walked >= world.people.len() * 3 / 4, "seed {seed}: only {walked} walked on");
    }
}

#[test]
fn nobody_walks_into_a_robot_that_stands_in_the_way() {
    for lane_y in [15.8, 16.5, 17.0, 18.0, 18.7] {
        let mut world = World::new(5);
        world.pose = Pose { x: 60.0, y: lane_y, heading_rad: 0.4 };
        world.people.retain(|p| (p.x - 60.0).hypot(p.y - lane_y) > 1.0);
        for _ in 0..(240.0 / STEP_S) as u64 {
            let before: Vec<(f64, f64)> = world.people.iter().map(|p| (p.x, p.y)).collect();
            world.step(STEP_S, None);
            for (p, (bx, by)) in world.people.iter().zip(before) {
                let gap = |x: f64, y: f64| {
                    (x - world.pose.x).hypot(y - world.pose.y) - ROBOT_RADIUS_M - PERSON_RADIUS_M
                };
                let closing = (gap(bx, by) - gap(p.x, p.y)) / STEP_S;
                assert!(gap(p.x, p.y) > 0.0, "touched at y {lane_y}");
                assert!(gap(p.x, p.y) > 0.25 || closing < 0.8, "at speed {closing}, y {lane_y}");
            }
        }
    }
}

/// Drives along the route as a careful person would: towards the next place, slower when turning and when somebody is
/// close ahead.
fn pursue(world: &mut World) -> f64 {
    for (n, stop) in sim::demo_route(world.seed).iter().enumerate() {
        let (x, y) = enu(&stop.position);
        let near = if n == 3 { 0.6 } else { 1.0 };
        while (x - world.pose.x).hypot(y - world.pose.y) > near {
            let bearing = (y - world.pose.y).atan2(x - world.pose.x) - world.pose.heading_rad;
            let off = bearing.sin().atan2(bearing.cos());
            let (sin, cos) = world.pose.heading_rad.sin_cos();
            let blocked = world.people.iter().any(|p| {
                let (dx, dy) = (p.x - world.pose.x, p.y - world.pose.y);
                let (ahead, left) = (dx * cos + dy * sin, dy * cos - dx * sin);
                ahead > 0.0 && ahead < 1.6 && left.abs() < 0.8
            });
            let speed = if blocked { 0.0 } else { 1.4 * (1.0 - off.abs()).clamp(0.0, 1.0) };
            let command = Command { linear_mps: speed, angular_radps: 2.0 * off };
            drive(world, 0.02, command);
            assert!(world.time_s < 240.0, "stuck at {:?} before place {n}", world.pose);
        }
    }
    world.time_s
}

#[test]
fn the_demo_route_is_driven_without_touching_anything() {
    for seed in 1..=5 {
        let mut world = World::new(seed);
        let seconds = pursue(&mut world);
        assert_eq!(world.collisions, 0, "seed {seed}");
        assert_eq!(world.kerb_bumps, 0, "seed {seed}");
        assert!((50.0..75.0).contains(&world.distance_m), "{} m", world.distance_m);
        assert!(seconds < 120.0, "seed {seed}: {seconds} s");
    }
}

#[test]
fn the_demo_route_is_wide_and_starts_straight_ahead() {
    let (x, y) = STOPS_M[0];
    let bearing = (y - START.y).atan2(x - START.x) - START.heading_rad;
    assert!(bearing.abs() < 1e-9 && ((x - START.x).hypot(y - START.y) - 12.0).abs() < 1e-9);
    for seed in 1..=5 {
        let world = World::new(seed);
        let mut from = (START.x, START.y);
        for to in STOPS_M {
            for n in 0..=100 {
                let k = f64::from(n) / 100.0;
                let (x, y) = (from.0 + (to.0 - from.0) * k, from.1 + (to.1 - from.1) * k);
                let wide = |(dx, dy): (f64, f64)| dx.hypot(dy) > 1.7;
                assert!(
                    world.city.fixtures.iter().all(|f| wide(f.gap(x, y))),
                    "seed {seed} {x} {y}"
                );
                assert!(world.city.buildings.iter().all(|b| wide(b.rect.gap(x, y))));
                assert!(!is_road(x, y));
            }
            from = to;
        }
        assert!(world.city.fixtures.iter().any(|f| matches!(f.footprint, Footprint::Box(..))));
    }
    assert!(sim::demo_route(1).iter().all(|c| c.radius_m == RADIUS_M && c.position.is_valid()));
}
