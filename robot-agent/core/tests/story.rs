//! What the core does, told as stories.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]

mod world;

use agent_core::policy::{BlindDriving, ObstacleGuard};
use agent_core::{EstopAnswer, Lease, Policy, Scan, Twist, Verdict};
use protocol::WireError;
use protocol::safety::{Reason, SafetyState};
use protocol::units::MonoMs;
use world::{BACK, FULL, RELEASED, Stick, World};

#[track_caller]
fn check(world: &World, state: SafetyState, reason: Reason) {
    let out = world.out;
    assert_eq!((out.state, out.reason), (state, reason), "{out:?}");
    if state != SafetyState::Driving {
        assert_eq!(out.executed, Twist::ZERO, "{out:?}");
    }
}

fn blind_policy() -> Policy {
    let blind_driving = BlindDriving { permitted: true, speed_mps_max: 0.5 };
    Policy { blind_driving, ..Policy::default() }
}

fn program(world: &mut World) {
    let lease = world.inputs.lease.unwrap();
    world.inputs.lease = Some(Lease { program: true, ..lease });
}

#[test]
fn a_drive_from_taking_the_robot_to_giving_it_back() {
    let mut world = World::new();
    let lease = world.inputs.lease.take();
    world.pass(100);
    check(&world, SafetyState::Idle, Reason::NoLease);
    world.inputs.lease = lease;
    world.pass(100);
    check(&world, SafetyState::Ready, Reason::DeadmanReleased);
    assert_eq!((world.out.limit_mmps, world.out.limit_reason), (1_500, Reason::PolicyCap));
    world.stick = FULL;
    world.pass(500);
    check(&world, SafetyState::Driving, Reason::None);
    assert_eq!(world.speed(), 490, "it gains 1 m/s²");
    world.pass(2_000);
    assert_eq!(world.speed(), 1_500);
    assert_eq!(world.out.loop_latency_ms, Some(80));
    world.stick = RELEASED;
    world.pass(20);
    check(&world, SafetyState::Ready, Reason::DeadmanReleased);
    world.stick = BACK;
    world.pass(3_000);
    check(&world, SafetyState::Driving, Reason::PolicyCap);
    assert_eq!(world.speed(), -800);
    world.inputs.lease = None;
    world.pass(10);
    check(&world, SafetyState::Idle, Reason::NoLease);
    assert_eq!(
        (world.out.command_seq, world.out.loop_latency_ms),
        (0, None),
        "nobody's word counts"
    );
}

#[test]
fn a_cut_link_stops_the_robot_and_the_stick_must_rest_before_it_goes_on() {
    let mut world = World::drive(FULL);
    world.link = false;
    let ms = world.ms_until_stop();
    assert!(ms <= 300, "{ms}");
    check(&world, SafetyState::Stopped, Reason::CommandStale);
    world.pass(2_000);
    world.link = true;
    world.pass(500);
    check(&world, SafetyState::Stopped, Reason::RearmNeeded);
    world.stick = RELEASED;
    world.pass(20);
    check(&world, SafetyState::Ready, Reason::DeadmanReleased);
    world.stick = FULL;
    world.pass(200);
    check(&world, SafetyState::Driving, Reason::None);
}

#[test]
fn a_burst_of_commands_that_an_outage_held_up_moves_nothing() {
    let mut world = World::drive(FULL);
    world.link = false;
    let mut queue = Vec::new();
    for n in 0..100 {
        world.pass(20);
        // The driver even released the stick in between: what was held up re-arms nothing.
        world.stick = if n == 50 { RELEASED } else { FULL };
        queue.push(world.command());
    }
    for held in queue {
        let arrived = MonoMs(world.now);
        let out = world.step(Some(agent_core::Command { arrived, ..held }));
        let fresh = held.stamp.is_some_and(|stamp| arrived.since(stamp) <= 310);
        assert_eq!(out.verdict, if fresh { Verdict::Counts } else { Verdict::HeldUp });
        assert_eq!(out.executed, Twist::ZERO);
    }
    check(&world, SafetyState::Stopped, Reason::RearmNeeded);
}

#[test]
fn commands_that_arrive_in_time_but_on_an_old_stamp_are_held_up() {
    let mut world = World::drive(FULL);
    world.stamp_age_ms = 60 + 250;
    world.pass(100);
    check(&world, SafetyState::Driving, Reason::None);
    world.stamp_age_ms += 1;
    world.pass(20);
    check(&world, SafetyState::Stopped, Reason::CommandHeldUp);
    // The way has become longer for good: after ten seconds that is the new normal.
    world.stick = RELEASED;
    world.pass(11_000);
    world.stick = FULL;
    world.pass(100);
    check(&world, SafetyState::Driving, Reason::None);
    world.stick = RELEASED;
    world.stamp_age_ms = 701;
    world.pass(11_000);
    check(&world, SafetyState::Stopped, Reason::CommandHeldUp);
}

#[test]
fn without_a_robot_stamp_nothing_moves() {
    let mut world = World::new();
    world.pass(100);
    world.stick = FULL;
    for _ in 0..50 {
        world.now += 20;
        let command = agent_core::Command { stamp: None, ..world.command() };
        assert_eq!(world.step(Some(command)).verdict, Verdict::HeldUp);
        assert_eq!(world.speed(), 0);
    }
    assert_eq!(world.out.reason, Reason::CommandHeldUp);
}

#[test]
fn copies_old_ones_and_those_of_another_lease_have_no_effect() {
    let mut world = World::drive(FULL);
    let newest = world.command();
    assert_eq!(world.step(Some(newest)).verdict, Verdict::Counts);
    let copies = [
        (newest, Verdict::Old),
        (agent_core::Command { seq: newest.seq - 1, ..newest }, Verdict::Old),
        (agent_core::Command { seq: newest.seq + 1, epoch: 6, ..newest }, Verdict::WrongEpoch),
        (agent_core::Command { seq: newest.seq + 1, epoch: 8, ..newest }, Verdict::WrongEpoch),
        (
            agent_core::Command { seq: newest.seq + 1, arrived: MonoMs(world.now + 999), ..newest },
            Verdict::Impossible,
        ),
    ];
    world.link = false;
    let end = world.now + 300;
    while world.now < end {
        world.now += 10;
        world.odometry();
        for (command, verdict) in copies {
            let future = verdict == Verdict::Impossible;
            let arrived = MonoMs(if future { world.now + 999 } else { world.now });
            let out = world.step(Some(agent_core::Command { arrived, ..command }));
            assert_eq!(out.verdict, verdict);
            assert_eq!(out.command_seq, newest.seq);
        }
    }
    assert_eq!(world.out.reason, Reason::CommandStale);
    assert_eq!(world.speed(), 0);
}

#[test]
fn a_frozen_picture_stops_a_pilot() {
    let mut world = World::drive(FULL);
    let frozen_at = world.now - 80;
    while world.speed() != 0 {
        world.video_age_ms = Some(world.now + 20 - frozen_at);
        world.pass(20);
        assert!(world.now - frozen_at <= 520, "{:?}", world.out);
    }
    check(&world, SafetyState::Stopped, Reason::VideoStale);
    world.video_age_ms = Some(80);
    world.pass(100);
    check(&world, SafetyState::Stopped, Reason::RearmNeeded);
}

#[test]
fn a_pilot_without_a_picture_never_drives_whatever_the_owner_allows_programs() {
    let mut world = World::under(&blind_policy());
    world.video_age_ms = None;
    let world = world.into_drive(FULL);
    check(&world, SafetyState::Stopped, Reason::VideoStale);
    assert_eq!(world.out.loop_latency_ms, None);
}

#[test]
fn a_program_drives_blind_only_when_permitted_slowly_and_with_the_guard() {
    let mut world = World::new();
    program(&mut world);
    world.video_age_ms = None;
    check(&world.into_drive(FULL), SafetyState::Stopped, Reason::VideoStale);

    let mut world = World::under(&blind_policy());
    program(&mut world);
    world.video_age_ms = None;
    let mut world = world.into_drive(FULL);
    check(&world, SafetyState::Driving, Reason::BlindCap);
    assert_eq!(world.speed(), 500);
    world.video_age_ms = Some(100);
    world.pass(2_000);
    assert_eq!(world.speed(), 1_500, "with pictures it drives as a pilot does");
    world.video_age_ms = Some(900);
    world.pass(1_000);
    assert_eq!(world.speed(), 500);
    world.sensors = false;
    assert!(world.ms_until_stop() <= 320);
    check(&world, SafetyState::Stopped, Reason::SensorStale);
}

#[test]
fn speed_shrinks_as_the_loop_gets_slower() {
    let mut world = World::drive(FULL);
    for (latency_ms, mmps) in [(230, 1_500), (350, 1_000), (480, 729)] {
        world.video_age_ms = Some(latency_ms);
        world.pass(2_000);
        assert_eq!(world.speed(), mmps);
        let reason = if mmps == 1_500 { Reason::None } else { Reason::Latency };
        check(&world, SafetyState::Driving, reason);
    }
    world.video_age_ms = Some(501);
    world.pass(20);
    check(&world, SafetyState::Stopped, Reason::VideoStale);
}

#[test]
fn silent_sensors_stop_the_robot() {
    let mut world = World::drive(FULL);
    world.sensors = false;
    let ms = world.ms_until_stop();
    assert!((300..=320).contains(&ms), "odometry after {ms} ms");
    check(&world, SafetyState::Stopped, Reason::SensorStale);

    let mut world = World::drive(FULL);
    world.sensors = false;
    for n in 0..51 {
        let odometry = world.inputs.odometry.unwrap();
        let arrived = MonoMs(world.now + 10);
        world.inputs.odometry = Some(agent_core::Odometry { arrived, ..odometry });
        world.pass(10);
        assert_eq!(world.speed() == 0, n >= 50);
    }
    check(&world, SafetyState::Stopped, Reason::ScanStale);
}

#[test]
fn an_obstacle_slows_the_robot_then_stops_it_and_it_can_back_out() {
    let mut world = World::drive(FULL);
    let mut way_mm = 6_000_i32;
    while way_mm > 350 {
        let ahead_mm = Some(u32::try_from(way_mm).unwrap());
        world.inputs.scan = Some(Scan { ahead_mm, ..world.inputs.scan.unwrap() });
        world.pass(10);
        way_mm -= world.speed() / 100;
        assert!(world.speed() > 0, "{way_mm} {:?}", world.out);
        if way_mm < 1_000 {
            assert_eq!(world.out.limit_reason, Reason::ObstacleNear);
        }
    }
    assert!(world.speed() < 300, "{:?}", world.out);
    world.inputs.scan = Some(Scan { ahead_mm: Some(300), ..world.inputs.scan.unwrap() });
    world.pass(200);
    check(&world, SafetyState::Driving, Reason::ObstacleAhead);
    assert_eq!((world.speed(), world.out.limit_mmps), (0, 0));
    world.stick = Stick { angular_mradps: 500, ..FULL };
    world.pass(500);
    assert_eq!(world.out.executed, Twist { linear_mmps: 0, angular_mradps: 500 });
    world.stick = BACK;
    world.pass(2_000);
    assert_eq!(world.speed(), -800);
}

#[test]
fn where_the_scanner_does_not_look_there_is_no_way_ahead_and_a_crawl_back() {
    let mut world = World::new();
    world.inputs.scan = Some(Scan { ahead_mm: None, behind_mm: None, ..Scan::default() });
    let mut world = world.into_drive(FULL);
    check(&world, SafetyState::Driving, Reason::ObstacleAhead);
    assert_eq!(world.speed(), 0);
    world.stick = BACK;
    world.pass(2_000);
    check(&world, SafetyState::Driving, Reason::ObstacleNear);
    assert_eq!(world.speed(), -300);
}

#[test]
fn a_robot_without_a_scanner_drives_on_pictures_alone() {
    let obstacle_guard = ObstacleGuard { active: false, ..ObstacleGuard::default() };
    let mut world = World::under(&Policy { obstacle_guard, ..Policy::default() });
    world.inputs.scan = None;
    assert_eq!(world.into_drive(FULL).speed(), 1_500);
}

#[test]
fn the_emergency_stop_is_latched_until_the_driver_clears_it_with_the_stick_at_rest() {
    let mut world = World::drive(FULL);
    world.inputs.estop_stop = true;
    world.step(None);
    check(&world, SafetyState::EmergencyStopped, Reason::Estop);
    assert!(world.core.estop_latched());
    world.pass(5_000);
    check(&world, SafetyState::EmergencyStopped, Reason::Estop);
    // With the stick held, under another lease, or together with a stop, a clear is refused.
    world.inputs.estop_clear_epoch = 7;
    assert_eq!(world.step(None).estop_answer, EstopAnswer::Refused);
    world.stick = RELEASED;
    world.pass(100);
    world.inputs.estop_clear_epoch = 6;
    assert_eq!(world.step(None).estop_answer, EstopAnswer::Refused);
    world.inputs.estop_clear_epoch = 7;
    world.inputs.estop_stop = true;
    assert_eq!(world.step(None).estop_answer, EstopAnswer::Refused);
    check(&world, SafetyState::EmergencyStopped, Reason::Estop);
    world.inputs.estop_clear_epoch = 7;
    assert_eq!(world.step(None).estop_answer, EstopAnswer::Cleared);
    check(&world, SafetyState::Ready, Reason::DeadmanReleased);
}

#[test]
fn the_emergency_stop_outlives_the_lease() {
    let mut world = World::drive(FULL);
    world.inputs.estop_stop = true;
    world.pass(10);
    let lease = world.inputs.lease.take();
    world.pass(100);
    check(&world, SafetyState::EmergencyStopped, Reason::Estop);
    world.inputs.estop_clear_epoch = 7;
    assert_eq!(world.step(None).estop_answer, EstopAnswer::Refused, "nobody has the robot");
    world.inputs.lease = lease.map(|lease| Lease { epoch: 8, ..lease });
    (world.epoch, world.seq) = (8, 0);
    world.pass(100);
    check(&world, SafetyState::EmergencyStopped, Reason::Estop);
    world.stick = RELEASED;
    world.pass(100);
    world.inputs.estop_clear_epoch = 8;
    assert_eq!(world.step(None).estop_answer, EstopAnswer::Cleared);
}

#[test]
fn a_lease_that_ends_or_is_fenced_moves_nothing_again() {
    let mut world = World::drive(FULL);
    let expires = MonoMs(world.now + 500);
    world.inputs.lease = world.inputs.lease.map(|lease| Lease { expires, ..lease });
    assert_eq!(world.ms_until_stop(), 500);
    check(&world, SafetyState::Idle, Reason::NoLease);
    // Renewed too late, with the stick still held.
    let expires = MonoMs(world.now + 9_000);
    world.inputs.lease = world.inputs.lease.map(|lease| Lease { expires, ..lease });
    world.pass(100);
    check(&world, SafetyState::Stopped, Reason::RearmNeeded);

    let mut world = World::drive(FULL);
    world.inputs.epoch_highest = 8;
    world.pass(10);
    check(&world, SafetyState::Idle, Reason::NoLease);
    world.inputs.epoch_highest = 0;
    world.pass(1_000);
    let command = world.command();
    assert_eq!(world.step(Some(command)).verdict, Verdict::WrongEpoch);
    check(&world, SafetyState::Idle, Reason::NoLease);

    let mut world = World::new();
    world.inputs.lease = world.inputs.lease.map(|lease| Lease { epoch: 0, ..lease });
    world.inputs.epoch_highest = 0;
    world.epoch = 0;
    check(&world.into_drive(FULL), SafetyState::Idle, Reason::NoLease);
}

#[test]
fn the_next_driver_starts_afresh() {
    let mut world = World::drive(FULL);
    world.link = false;
    world.pass(1_000);
    assert_eq!(world.out.reason, Reason::CommandStale);
    world.link = true;
    world.inputs.lease = world.inputs.lease.map(|lease| Lease { epoch: 8, ..lease });
    (world.epoch, world.seq) = (8, 0);
    world.pass(500);
    check(&world, SafetyState::Driving, Reason::None);
}

#[test]
fn the_lease_bounds_the_speed() {
    let mut world = World::new();
    let lease = world.inputs.lease.unwrap();
    world.inputs.lease = Some(Lease { speed_mmps_max: 600, ..lease });
    let world = world.into_drive(FULL);
    check(&world, SafetyState::Driving, Reason::PolicyCap);
    assert_eq!(world.speed(), 600);
}

#[test]
fn a_clock_that_goes_back_stops_the_robot_until_restart() {
    let mut world = World::drive(FULL);
    world.now -= 1;
    world.step(None);
    check(&world, SafetyState::Stopped, Reason::ClockRegression);
    world.stick = RELEASED;
    world.pass(5_001);
    world.stick = FULL;
    world.pass(5_000);
    check(&world, SafetyState::Stopped, Reason::ClockRegression);
}

#[test]
fn a_full_recorder_stops_and_an_empty_battery_or_a_lean_slows() {
    let mut world = World::drive(FULL);
    world.inputs.recorder_able = false;
    world.pass(10);
    check(&world, SafetyState::Stopped, Reason::RecorderFull);

    let mut world = World::drive(FULL);
    world.inputs.battery_permille = Some(99);
    world.pass(1_000);
    check(&world, SafetyState::Driving, Reason::BatteryLow);
    assert_eq!(world.speed(), 500);
    // Of equal caps the first row counts.
    let mut equal = World::under(&blind_policy());
    program(&mut equal);
    equal.video_age_ms = None;
    equal.inputs.battery_permille = Some(99);
    let equal = equal.into_drive(FULL);
    check(&equal, SafetyState::Driving, Reason::BatteryLow);
    assert_eq!(equal.out.limit_reason, Reason::BatteryLow);
    world.inputs.tilt_mrad = Some(351);
    world.pass(1_000);
    check(&world, SafetyState::Driving, Reason::Tilt);
    assert_eq!(world.speed(), 200);
    let both = Reason::Tilt.bit() | Reason::BatteryLow.bit();
    assert_eq!(world.out.hazards, both);
}

#[test]
fn every_stop_path_is_within_its_bound() {
    type Cut = fn(&mut World);
    // From the last good moment to zero at the wheels. Steps are 10 ms apart.
    let paths: [(&str, Cut, u64); 7] = [
        ("link", |w| w.link = false, 300),
        ("deadman", |w| w.stick = RELEASED, 20),
        ("estop", |w| w.inputs.estop_stop = true, 10),
        ("lease", |w| w.inputs.lease = None, 10),
        ("video", |w| w.video_age_ms = None, 20),
        ("recorder", |w| w.inputs.recorder_able = false, 10),
        ("odometry and scan", |w| w.sensors = false, 310),
    ];
    for (name, cut, bound_ms) in paths {
        let mut world = World::drive(FULL);
        assert_eq!(world.speed(), 1_500);
        cut(&mut world);
        let ms = world.ms_until_stop();
        assert!(ms <= bound_ms, "{name}: {ms} ms");
        assert_eq!(world.out.executed, Twist::ZERO);
    }
}

#[test]
fn a_command_in_the_millisecond_of_the_last_tick_waits_one_more_not_ten() {
    let mut world = World::new();
    world.pass(100);
    world.stick = FULL;
    let now = MonoMs(world.now);
    let command = world.command();
    let out = world.step(Some(command));
    assert_eq!(
        (out.state, out.executed),
        (SafetyState::Driving, Twist::ZERO),
        "no time to gain speed"
    );
    assert_eq!(world.core.deadline(), now.plus(1));
    world.now += 1;
    world.step(None);
    assert_eq!((world.speed(), world.core.deadline()), (1, now.plus(11)));
}

#[test]
fn the_deadline_is_the_next_tick_or_the_moment_when_the_command_goes_stale() {
    let mut world = World::drive(FULL);
    world.link = false;
    let command = world.command();
    world.step(Some(command));
    assert_eq!(world.core.deadline(), MonoMs(world.now + 10));
    world.now += 275;
    world.odometry();
    world.step(None);
    assert_ne!(world.speed(), 0);
    world.now += 6;
    assert_eq!(world.core.deadline(), MonoMs(world.now));
    world.step(None);
    assert_eq!(world.speed(), 0);
    assert_eq!(world.core.deadline(), MonoMs(world.now + 10));
}

#[test]
fn a_recording_replayed_gives_the_same_bytes_also_from_its_middle() {
    let mut world = World::drive(FULL);
    let snapshot = world.core.snapshot();
    let start = world.record.len();
    world.inputs.estop_stop = true;
    world.pass(300);
    world.link = false;
    world.pass(500);

    let replay = |mut core: agent_core::Supervisor, steps: &[(Vec<u8>, Vec<u8>)]| {
        for (inputs, outputs) in steps {
            let (now, inputs) = agent_core::Inputs::decode(inputs).unwrap();
            assert_eq!(core.step(now, &inputs).encode().to_vec(), *outputs);
        }
        core.snapshot()
    };
    let mut whole = agent_core::Supervisor::new(&Policy::default()).unwrap();
    whole.step(MonoMs(99_990), &agent_core::Inputs::default());
    assert_eq!(replay(whole, &world.record), world.core.snapshot());
    let mut middle = agent_core::Supervisor::new(&Policy::default()).unwrap();
    middle.resume(&snapshot).unwrap();
    assert_eq!(middle.snapshot(), snapshot);
    assert_eq!(replay(middle, &world.record[start..]), world.core.snapshot());
}

#[test]
fn a_snapshot_of_another_length_is_refused() {
    let mut core = agent_core::Supervisor::new(&Policy::default()).unwrap();
    assert!(matches!(core.resume(&[0; 319]), Err(WireError::Length { .. })));
    let version = |got| Err(WireError::Version { expected: 2, got });
    assert_eq!(core.resume(&[0; 160]), version(1), "an older agent's");
    assert_eq!(core.resume(&[0; 320]), version(0));
    assert!(
        agent_core::Supervisor::new(&Policy { speed_mps_max: -1.0, ..Policy::default() }).is_err()
    );
}

#[test]
fn the_documented_table_is_the_one_in_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/safety.md");
    let page = std::fs::read_to_string(path).unwrap();
    let begin = page.find("| bit | code |").unwrap();
    let end = begin + page[begin..].find("\n\n").unwrap() + 1;
    let table = agent_core::hazard_table_markdown();
    if std::env::var_os("LONGREIN_BLESS").is_some() {
        std::fs::write(path, format!("{}{table}{}", &page[..begin], &page[end..])).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap().contains(&table),
        "docs/safety.md shows another table: run this test with LONGREIN_BLESS=1"
    );
}
