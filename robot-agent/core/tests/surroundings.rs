//! What the robot's surroundings and its own state do to its speed, told as stories: things that come near, edges of
//! areas and of the ground, its battery, its lean, its own software, its brakes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]

mod world;

use agent_core::fence::Geofence;
use agent_core::policy::CloseSensors;
use agent_core::{Close, Fix, Heading, Lease, Odometry, Policy, Scan, Supervisor, Twist};
use protocol::safety::{Reason, SafetyState};
use protocol::units::{GeoPoint, MonoMs};
use std::sync::Arc;
use world::{BACK, FULL, RELEASED, Stick, World};

const MIDDLE: GeoPoint = GeoPoint { lat_deg: 52.5163, lon_deg: 13.3777 };
const EAST: Option<Heading> = Some(Heading { east_permille: 1_000, north_permille: 0 });
const WEST: Option<Heading> = Some(Heading { east_permille: -1_000, north_permille: 0 });
const NORTH: Option<Heading> = Some(Heading { east_permille: 0, north_permille: 1_000 });

#[track_caller]
fn check(world: &World, state: SafetyState, reason: Reason) {
    assert_eq!((world.out.state, world.out.reason), (state, reason), "{:?}", world.out);
}

/// The stick rests, and then asks again.
fn again(world: &mut World, stick: Stick) {
    world.stick = RELEASED;
    world.pass(100);
    world.stick = stick;
    world.pass(3_000);
}

/// An area 40 m wide about the middle.
fn fenced(geofence: Geofence) -> Policy {
    let corner = |east: f64, north: f64| {
        let point = MIDDLE.offset_m(east, north);
        [point.lat_deg, point.lon_deg]
    };
    let area = [(-20.0, -20.0), (20.0, -20.0), (20.0, 20.0), (-20.0, 20.0)];
    let keep_in = vec![area.iter().map(|&(east, north)| corner(east, north)).collect()];
    Policy { geofence: Geofence { keep_in, ..geofence }, ..Policy::default() }
}

fn is_at(world: &mut World, east_m: f64, accuracy_mm: u32) {
    let point = MIDDLE.offset_m(east_m, 0.0);
    #[expect(clippy::cast_possible_truncation, reason = "degrees are in range")]
    let whole = |deg: f64| (deg * 1e7).round() as i32;
    let (lat_1e7, lon_1e7) = (whole(point.lat_deg), whole(point.lon_deg));
    world.inputs.fix = Some(Fix { arrived: MonoMs(world.now), lat_1e7, lon_1e7, accuracy_mm });
}

/// Drives for `ms` with a position ten times a second; where it is then.
fn go(world: &mut World, mut east_m: f64, ms: u64) -> f64 {
    for _ in 0..ms / 100 {
        is_at(world, east_m, 300);
        for _ in 0..10 {
            world.pass(10);
            let front =
                world.inputs.heading.map_or(1.0, |heading| f64::from(heading.east_permille) / 1e3);
            east_m += front * f64::from(world.speed()) / 1e5;
        }
    }
    east_m
}

#[test]
fn the_robot_comes_to_rest_before_the_edge_of_its_area_and_can_leave_it() {
    let mut world = World::under(&fenced(Geofence::default()));
    world.inputs.heading = EAST;
    is_at(&mut world, 0.0, 300);
    world.pass(200);
    world.stick = FULL;
    let mut east_m = go(&mut world, 0.0, 3_000);
    assert_eq!(world.speed(), 1_500, "room enough in the middle");
    east_m = go(&mut world, east_m, 20_000);
    check(&world, SafetyState::Driving, Reason::Geofence);
    assert_eq!(world.speed(), 0);
    // Margin 0.5 m and accuracy 0.3 m are left, and the way since the last position.
    assert!((18.9..19.25).contains(&east_m), "{east_m}");
    world.stick = Stick { angular_mradps: 500, ..FULL };
    world.pass(200);
    assert!(world.out.executed.angular_mradps > 0, "it can turn");
    world.stick = BACK;
    let back_m = go(&mut world, east_m, 1_000);
    assert!(back_m < east_m - 0.1 && world.speed() < -300, "{:?}", world.out);
}

#[test]
fn a_mission_that_begins_brings_its_own_area_and_the_next_one_takes_it_away() {
    let mut world = World::under(&Policy::default());
    world.inputs.heading = EAST;
    is_at(&mut world, 22.0, 300);
    world.pass(200);
    let fence = Arc::new(fenced(Geofence::default()).geofence.freeze().unwrap());
    world.core.set_fence(Arc::clone(&fence));
    // Where the robot is in it is known at once, from the position that it had.
    world.stick = FULL;
    world.pass(500);
    check(&world, SafetyState::Driving, Reason::Geofence);
    assert_eq!(world.speed(), 0, "outside, and forward leads away");
    let mut other = Supervisor::new(&fenced(Geofence::default())).unwrap();
    other.resume(&world.core.snapshot()).unwrap();
    let (mut inputs, now) = (world.inputs, MonoMs(world.now + 10));
    inputs.command = None;
    let outputs = other.step(now, &inputs);
    assert_eq!(outputs, world.core.step(now, &inputs), "a replay under the mission's policy");

    let mut world = World::under(&fenced(Geofence::default()));
    world.inputs.heading = EAST;
    is_at(&mut world, 22.0, 300);
    world.pass(200);
    world.core.set_fence(Arc::default());
    world.stick = FULL;
    world.pass(3_000);
    assert_eq!(world.speed(), 1_500, "no area, no limit");
}

#[test]
fn outside_only_the_way_back_is_open_and_slowly() {
    let mut world = World::under(&fenced(Geofence::default()));
    for (east_m, heading, stick, mmps) in [
        (22.0, EAST, FULL, 0),
        (22.0, EAST, BACK, -300),
        (22.0, WEST, FULL, 300),
        (22.0, WEST, BACK, 0),
        (-22.0, WEST, FULL, 0),
        (-22.0, EAST, FULL, 300),
        (22.0, NORTH, FULL, 0),
        (19.5, EAST, FULL, 0),
        (19.5, NORTH, FULL, 0),
        (19.5, WEST, FULL, 300),
        (19.5, WEST, BACK, 0),
    ] {
        world.inputs.heading = heading;
        is_at(&mut world, east_m, 300);
        world.pass(10);
        again(&mut world, RELEASED);
        world.stick = stick;
        for _ in 0..20 {
            is_at(&mut world, east_m, 300);
            world.pass(100);
        }
        assert_eq!(world.speed(), mmps, "{east_m} {heading:?} {stick:?}");
        let reason = if mmps == 0 { Reason::Geofence } else { Reason::GeofenceNear };
        check(&world, SafetyState::Driving, reason);
    }
}

#[test]
fn without_a_compass_the_way_out_is_learned_from_positions() {
    let mut world = World::under(&fenced(Geofence::default()));
    is_at(&mut world, 12.0, 300);
    world.pass(200);
    world.stick = FULL;
    // After a metre it is known that forward leads out.
    let mut east_m = go(&mut world, 12.0, 60_000);
    assert!((18.9..19.25).contains(&east_m), "{east_m}");
    check(&world, SafetyState::Driving, Reason::Geofence);
    assert_eq!(world.speed(), 0, "forward led out");
    world.stick = BACK;
    let back_m = go(&mut world, east_m, 20_000);
    assert!(back_m < east_m - 5.0, "and back leads in: {back_m}");

    // One that is put down outside may look for the way: a metre at most in the wrong direction, and slowly.
    for (put_m, forward_is_out) in [(23.0, true), (-23.0, false)] {
        let mut world = World::under(&fenced(Geofence::default()));
        is_at(&mut world, put_m, 300);
        world.pass(200);
        world.stick = FULL;
        east_m = go(&mut world, put_m, 10_000);
        let way_m = east_m - put_m;
        if forward_is_out {
            assert!((0.9..1.3).contains(&way_m), "{way_m}");
            assert_eq!(world.speed(), 0);
            world.stick = BACK;
            east_m = go(&mut world, east_m, 3_000);
            assert_eq!(world.speed(), -300, "{east_m}");
        } else {
            assert!(way_m > 2.7, "{way_m}");
            assert_eq!(world.speed(), 300);
        }
    }
}

#[test]
fn a_poor_position_slows_the_robot_and_then_stops_it() {
    let mut world = World::under(&fenced(Geofence::default()));
    world.pass(200);
    world.stick = FULL;
    world.pass(500);
    check(&world, SafetyState::Stopped, Reason::PositionUnknown);
    is_at(&mut world, 0.0, 300);
    again(&mut world, FULL);
    check(&world, SafetyState::Driving, Reason::GeofenceNear);
    assert_eq!(world.speed(), 300, "the position is 3.1 s old");
    is_at(&mut world, 0.0, 300);
    world.pass(1_900);
    assert!(world.speed() > 1_400);
    is_at(&mut world, 0.0, 5_000);
    world.pass(1_900);
    assert_eq!(world.speed(), 1_500, "just good enough");
    is_at(&mut world, 0.0, 5_001);
    world.pass(2_000);
    assert_eq!(world.speed(), 300, "too uncertain");
    world.pass(18_000);
    assert_eq!(world.speed(), 300);
    assert!(world.ms_until_stop() <= 1_110, "22 s after the last good one");
    check(&world, SafetyState::Stopped, Reason::PositionUnknown);
    is_at(&mut world, 0.0, 300);
    again(&mut world, FULL);
    check(&world, SafetyState::Driving, Reason::GeofenceNear);
}

#[test]
fn what_comes_towards_the_robot_slows_it_before_what_stands() {
    let mut world = World::drive(FULL);
    // Somebody walks towards the robot with 1.4 m/s, from 5 m.
    let mut way_mm = 5_000_i32;
    let mut slowed_at_mm = 0;
    while way_mm > 300 {
        let ahead_mm = Some(u32::try_from(way_mm).unwrap());
        world.inputs.scan =
            Some(Scan { ahead_mm, arrived: MonoMs(world.now), behind_mm: Some(9_000) });
        world.sensors = false;
        for _ in 0..10 {
            world.odometry();
            world.pass(10);
            way_mm -= (world.speed() + 1_400) / 100;
        }
        if slowed_at_mm == 0 && world.out.limit_reason == Reason::CollisionNear {
            slowed_at_mm = way_mm;
        }
        if way_mm < 1_100 {
            assert_eq!(world.speed(), 0, "{way_mm}");
        }
    }
    assert!((2_000..3_000).contains(&slowed_at_mm), "{slowed_at_mm}");
    world.stick = BACK;
    world.pass(200);
    assert!(world.speed() < 0, "it can back out");
}

fn close(world: &World) -> Close {
    Close {
        arrived: MonoMs(world.now),
        ahead_mm: Some(9_000),
        behind_mm: Some(9_000),
        ..Close::default()
    }
}

/// Drives with the close sensors saying the same all the time.
fn drive_beside(world: &mut World, close: Close, stick: Stick) -> i32 {
    again(world, RELEASED);
    world.stick = stick;
    for _ in 0..150 {
        world.inputs.close = Some(Close { arrived: MonoMs(world.now), ..close });
        world.pass(20);
    }
    world.speed()
}

#[test]
fn bumpers_and_drops_block_their_own_side_only() {
    let mut world = World::new();
    let free = close(&world);
    let cases: [(Close, Reason, Stick, Stick); 4] = [
        (Close { bumper_front: true, ..free }, Reason::Bumper, FULL, BACK),
        (Close { bumper_rear: true, ..free }, Reason::Bumper, BACK, FULL),
        (Close { drop_ahead: true, ..free }, Reason::Drop, FULL, BACK),
        (Close { drop_behind: true, ..free }, Reason::Drop, BACK, FULL),
    ];
    for (says, reason, into, away) in cases {
        assert_eq!(drive_beside(&mut world, says, into), 0);
        check(&world, SafetyState::Driving, reason);
        assert!(drive_beside(&mut world, says, away).abs() >= 800, "{:?}", world.out);
    }
    // Old words do not count where nobody needs the sensors.
    world.inputs.close = Some(Close { bumper_front: true, ..close(&world) });
    world.stick = FULL;
    world.pass(500);
    assert_eq!(world.speed(), 0);
    world.pass(2_000);
    assert_eq!(world.speed(), 1_500);
}

#[test]
fn range_cones_stop_the_robot_as_the_scanner_does() {
    let mut world = World::new();
    let near = Close { ahead_mm: Some(300), behind_mm: Some(600), ..close(&world) };
    assert_eq!(drive_beside(&mut world, near, FULL), 0);
    check(&world, SafetyState::Driving, Reason::ObstacleAhead);
    let back = drive_beside(&mut world, near, BACK);
    check(&world, SafetyState::Driving, Reason::ObstacleNear);
    assert!((-700..=-600).contains(&back), "{back}");
    let blind = Close { ahead_mm: None, behind_mm: None, ..near };
    assert_eq!(drive_beside(&mut world, blind, FULL), 1_500, "the scanner alone");
    // A robot without a scanner has the cones alone.
    let mut policy = Policy::default();
    policy.obstacle_guard.active = false;
    let mut world = World::under(&policy);
    world.inputs.scan = None;
    assert_eq!(drive_beside(&mut world, near, FULL), 0);
    check(&world, SafetyState::Driving, Reason::ObstacleAhead);
}

#[test]
fn close_sensors_that_the_robot_must_have_stop_it_when_silent_and_bound_it_by_what_they_see() {
    let close_sensors = CloseSensors { active: true, drop_look_m: 0.4, ..CloseSensors::default() };
    let mut world = World::under(&Policy { close_sensors, ..Policy::default() });
    world.pass(100);
    check(&world, SafetyState::Stopped, Reason::CloseStale);
    let free = close(&world);
    // From 836 mm/s it stops in 0.4 m: v²/3 + v·0.2.
    assert_eq!(drive_beside(&mut world, free, FULL), 835);
    check(&world, SafetyState::Driving, Reason::PolicyCap);
    assert!((480..=510).contains(&world.ms_until_stop()));
    check(&world, SafetyState::Stopped, Reason::CloseStale);
}

#[test]
fn batteries_and_leans_cap_and_then_stop() {
    let mut world = World::drive(FULL);
    for (battery, tilt, mmps, reason) in [
        (Some(100), Some(350), 1_500, Reason::None),
        (Some(30), Some(0), 500, Reason::BatteryLow),
        (Some(900), Some(800), 200, Reason::Tilt),
        (None, None, 1_500, Reason::None),
    ] {
        (world.inputs.battery_permille, world.inputs.tilt_mrad) = (battery, tilt);
        again(&mut world, FULL);
        check(&world, SafetyState::Driving, reason);
        assert_eq!(world.speed(), mmps);
    }
    world.inputs.battery_permille = Some(29);
    world.pass(10);
    check(&world, SafetyState::Stopped, Reason::BatteryCritical);
    world.inputs.battery_permille = Some(900);
    world.inputs.tilt_mrad = Some(801);
    again(&mut world, FULL);
    check(&world, SafetyState::Stopped, Reason::Tipped);

    let policy = Policy { tilt_required: true, battery_required: true, ..Policy::default() };
    let mut world = World::under(&policy).into_drive(FULL);
    world.inputs.battery_permille = None;
    world.pass(1_000);
    check(&world, SafetyState::Driving, Reason::BatteryLow);
    world.inputs.tilt_mrad = None;
    world.pass(10);
    check(&world, SafetyState::Stopped, Reason::TiltStale);
}

#[test]
fn a_task_that_is_dead_stops_the_robot() {
    for task in 0..4 {
        let mut world = World::drive(FULL);
        world.inputs.heartbeats = [Some(MonoMs(world.now)); 4];
        for _ in 0..300 {
            let beat = MonoMs(world.now);
            for (n, slot) in world.inputs.heartbeats.iter_mut().enumerate() {
                *slot = if n == task { *slot } else { Some(beat) };
            }
            world.pass(10);
            assert_ne!(world.speed(), 0);
        }
        assert_eq!(world.ms_until_stop(), 10, "3 s after its last word");
        check(&world, SafetyState::Stopped, Reason::TaskDead);
    }
    let mut world = World::drive(FULL);
    world.inputs.heartbeats[2] = Some(MonoMs(world.now + 50));
    world.pass(10);
    check(&world, SafetyState::Stopped, Reason::TaskDead);
}

#[test]
fn a_jump_of_the_clock_stops_the_robot_until_the_stick_has_rested() {
    let mut world = World::drive(FULL);
    // The agent freezes for half a second; everything is there again at once.
    let freeze = |world: &mut World, ms: u64| {
        world.now += ms;
        world.odometry();
        let arrived = MonoMs(world.now);
        world.inputs.scan = world.inputs.scan.map(|scan| Scan { arrived, ..scan });
        let command = world.command();
        world.step(Some(command));
    };
    freeze(&mut world, 500);
    check(&world, SafetyState::Driving, Reason::None);
    freeze(&mut world, 501);
    check(&world, SafetyState::Stopped, Reason::ClockJump);
    assert_eq!(world.out.executed, Twist::ZERO);
    world.now += 9;
    world.pass(1_000);
    check(&world, SafetyState::Stopped, Reason::RearmNeeded);
    again(&mut world, FULL);
    check(&world, SafetyState::Driving, Reason::None);
}

#[test]
fn the_minimal_risk_state_names_its_cause_until_somebody_resumes() {
    let mut world = World::drive(FULL);
    assert_eq!(world.out.minimal_risk, None);
    world.link = false;
    world.pass(1_000);
    assert_eq!(world.out.minimal_risk, Some(Reason::CommandStale));
    world.link = true;
    world.pass(500);
    check(&world, SafetyState::Stopped, Reason::RearmNeeded);
    assert_eq!(
        world.out.minimal_risk,
        Some(Reason::CommandStale),
        "the cause, not what is needed now"
    );
    world.stick = RELEASED;
    world.pass(20);
    check(&world, SafetyState::Ready, Reason::DeadmanReleased);
    assert_eq!(world.out.minimal_risk, None, "resumed");

    // It outlives the lease, and the next driver resumes by driving.
    let mut world = World::drive(FULL);
    world.inputs.estop_stop = true;
    world.pass(10);
    assert_eq!(world.out.minimal_risk, Some(Reason::Estop));
    let lease = world.inputs.lease.take();
    world.pass(5_000);
    assert_eq!(world.out.minimal_risk, Some(Reason::Estop));
    world.inputs.lease = lease.map(|lease| Lease { epoch: 8, ..lease });
    (world.epoch, world.seq, world.stick) = (8, 0, RELEASED);
    world.pass(100);
    assert_eq!(world.out.minimal_risk, Some(Reason::Estop));
    world.inputs.estop_clear_epoch = 8;
    world.pass(10);
    assert_eq!((world.out.minimal_risk, world.out.reason), (None, Reason::DeadmanReleased));

    // A drive that its driver ends is no such state.
    let mut world = World::drive(FULL);
    world.stick = RELEASED;
    world.pass(100);
    world.inputs.lease = None;
    world.pass(1_000);
    check(&world, SafetyState::Idle, Reason::NoLease);
    assert_eq!(world.out.minimal_risk, None);
}

#[test]
fn brakes_that_are_measured_to_be_worse_lengthen_the_way_that_is_kept_free() {
    let mut world = World::drive(FULL);
    let near = Scan { ahead_mm: Some(1_300), ..world.inputs.scan.unwrap() };
    world.inputs.scan = Some(near);
    world.pass(2_000);
    let good = world.speed();
    world.inputs.scan = Some(Scan { ahead_mm: Some(12_000), ..near });
    world.pass(2_000);
    assert_eq!((world.out.brake_mmps2, world.speed()), (1_500, 1_500));
    // Told to stop, the robot rolls on and brakes with 0.5 m/s² only.
    world.stick = RELEASED;
    world.sensors = false;
    let mut mmps = 1_500;
    while mmps > 0 {
        mmps = (mmps - 5).max(0);
        world.inputs.odometry =
            Some(Odometry { arrived: MonoMs(world.now), speed_mmps: mmps, yaw_mradps: 0 });
        world.pass(10);
    }
    assert!((520..600).contains(&world.out.brake_mmps2), "{}", world.out.brake_mmps2);
    world.sensors = true;
    world.inputs.scan = Some(near);
    again(&mut world, FULL);
    assert!(world.speed() < good - 250, "{} after {good}", world.speed());
    // A restart from a snapshot knows it still.
    let mut other = Supervisor::new(&Policy::default()).unwrap();
    other.resume(&world.core.snapshot()).unwrap();
    let at = MonoMs(world.now + 10);
    assert_eq!(other.step(at, &world.inputs), world.core.step(at, &world.inputs));
}
