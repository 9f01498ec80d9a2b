use super::*;
use protocol::keys::PrivateKey;
use protocol::safety::{Reason, SafetyState};
use protocol::state::EndedLease;

const NOW: MonoMs = MonoMs(1_000_000);

fn robot() -> RobotId {
    "rover-1".parse().unwrap()
}

fn did(seed: u8) -> Did {
    PrivateKey::from_seed(&[seed; 32]).did()
}

fn lease() -> LeaseId {
    LeaseId::new(uuid::Uuid::from_u128(9))
}

fn opened() -> Opened {
    Opened { lease_id: lease(), episode: lease().into(), epoch: 7, ttl_ms: 30_000, mission: None }
}

fn open() -> Drivers {
    let mut drivers = Drivers::new(2);
    assert_eq!(drivers.reserve(NOW, &robot(), did(1)), Ok(None));
    drivers.opened(NOW, &robot(), opened());
    drivers
}

/// Runs the table from `from` to `to` with the caller alive or not; gives what was due, with its time.
fn run(drivers: &mut Drivers, from: MonoMs, to: MonoMs, alive: bool) -> Vec<(u64, Task)> {
    let mut tasks = Vec::new();
    let mut now = from;
    loop {
        if alive {
            drivers.touch(now, &robot(), &did(1)).unwrap();
        }
        tasks.extend(drivers.poll(now).into_iter().map(|(_, task)| (now.since(NOW), task)));
        let next = drivers.deadline_ms().unwrap();
        assert!(next > now, "the deadline lies ahead after a poll: {next:?} at {now:?}");
        if next > to {
            return tasks;
        }
        now = next;
    }
}

fn packets(tasks: &[(u64, Task)]) -> Vec<(u64, DriveCommand)> {
    let packet = |(at, task): &(u64, Task)| match task {
        Task::Send(command) => Some((*at, *command)),
        Task::Renew(_) | Task::Release(_) => None,
    };
    tasks.iter().filter_map(packet).collect()
}

#[test]
fn a_wish_is_repeated_for_its_time_to_live_and_then_released() {
    let mut drivers = open();
    run(&mut drivers, NOW, NOW.plus(200), true);
    let start = NOW.plus(210);
    let wish = Wish::new(0.8, -0.5, 400.0).unwrap();
    let (_, seq) = drivers.drive(start, &robot(), &did(1), wish).unwrap();
    let sent = packets(&run(&mut drivers, start, start.plus(600), true));
    let held: Vec<_> = sent.iter().filter(|(_, c)| c.deadman).collect();
    assert_eq!(held.len(), 8, "20 Hz for 400 ms: {sent:?}");
    assert_eq!(held[0].1.seq, seq);
    assert!(held.iter().all(|(_, c)| c.linear_mmps == 800 && c.angular_mradps == -500));
    assert!(held.iter().all(|(at, _)| (210..610).contains(at)));
    let released: Vec<_> = sent.iter().filter(|(_, c)| !c.deadman).collect();
    assert_eq!(released[0].0, 610, "released the moment the wish ends");
    assert!(released.len() >= usize::from(RELEASES));
    assert!(released.iter().all(|(_, c)| c.linear_mmps == 0 && c.angular_mradps == 0));
    assert!(sent.windows(2).all(|w| w[1].1.seq == w[0].1.seq + 1 && w[1].1.epoch == 7));
}

#[test]
fn a_new_wish_takes_the_place_of_the_one_before() {
    let mut drivers = open();
    let wish = |speed| Wish::new(speed, 0.0, 1000.0).unwrap();
    drivers.drive(NOW, &robot(), &did(1), wish(1.0)).unwrap();
    run(&mut drivers, NOW, NOW.plus(100), true);
    drivers.drive(NOW.plus(120), &robot(), &did(1), wish(0.2)).unwrap();
    let sent = packets(&run(&mut drivers, NOW.plus(120), NOW.plus(300), true));
    assert!(sent.iter().all(|(_, c)| c.linear_mmps == 200), "{sent:?}");
}

#[test]
fn packets_echo_the_newest_picture_and_robot_stamp() {
    let mut drivers = open();
    let first = packets(&run(&mut drivers, NOW, NOW, true));
    assert_eq!((first[0].1.seen, first[0].1.robot_stamp_ms), (Seen::Nothing, 0));
    drivers.looked(NOW, &robot(), &did(1), 1, MonoMs(0x1_0000_0005));
    let state = verdict::tests::state(SafetyState::Ready, Reason::DeadmanReleased, lease(), 7, 1);
    drivers.heard(NOW, &RobotState { robot_ms: 0x1_0000_0009, ..state });
    let then = packets(&run(&mut drivers, NOW.plus(50), NOW.plus(50), true));
    assert_eq!((then[0].1.seen, then[0].1.camera), (Seen::CaptureMs(5), 1));
    assert_eq!(then[0].1.robot_stamp_ms, 9);
    // Somebody else's look is not what the driver saw.
    drivers.looked(NOW.plus(60), &robot(), &did(2), 0, MonoMs(77));
    let later = packets(&run(&mut drivers, NOW.plus(100), NOW.plus(100), true));
    assert_eq!(later[0].1.seen, Seen::CaptureMs(5));
    // A picture newer than the newest state brings the newer stamp; an older state takes nothing back.
    drivers.looked(NOW.plus(110), &robot(), &did(1), 0, MonoMs(0x1_0000_0040));
    let state = verdict::tests::state(SafetyState::Ready, Reason::DeadmanReleased, lease(), 7, 1);
    drivers.heard(NOW, &RobotState { robot_ms: 0x1_0000_0011, ..state });
    let last = packets(&run(&mut drivers, NOW.plus(600), NOW.plus(600), true));
    assert_eq!((last[0].1.seen, last[0].1.robot_stamp_ms), (Seen::CaptureMs(0x40), 0x40));
}

#[test]
fn a_driver_who_calls_nothing_for_five_seconds_is_released() {
    let mut drivers = open();
    let tasks = run(&mut drivers, NOW, NOW.plus(4_999), false);
    assert!(tasks.iter().all(|(_, task)| matches!(task, Task::Send(c) if !c.deadman)));
    let at = drivers.deadline_ms().unwrap();
    assert_eq!(at, NOW.plus(5_000));
    let due: Vec<_> = drivers.poll(at).into_iter().map(|(_, task)| task).collect();
    assert!(matches!(due[..], [Task::Send(c), Task::Release(id)] if !c.deadman && id == lease()));
    let refusal = drivers.drive(at, &robot(), &did(1), Wish::new(0.1, 0.0, 100.0).unwrap());
    assert!(matches!(refusal, Err(Refusal::Ended { .. })), "{refusal:?}");
    drivers.closed(at, &robot(), lease());
    assert_eq!(drivers.active(), 0);
    assert_eq!(drivers.reserve(at, &robot(), did(2)), Ok(None), "the robot is free");
}

#[test]
fn the_lease_is_renewed_while_the_caller_lives_and_retried_when_nobody_answers() {
    let mut drivers = open();
    let renewals = |tasks: Vec<(u64, Task)>| -> Vec<u64> {
        tasks.into_iter().filter(|(_, t)| matches!(t, Task::Renew(_))).map(|(at, _)| at).collect()
    };
    assert_eq!(renewals(run(&mut drivers, NOW, NOW.plus(10_400), true)), [10_000]);
    drivers.renewed(NOW.plus(10_400), &robot(), lease(), Err(RenewError::ForNow));
    assert_eq!(renewals(run(&mut drivers, NOW.plus(10_400), NOW.plus(12_500), true)), [12_400]);
    drivers.renewed(NOW.plus(12_500), &robot(), lease(), Ok(30_000));
    assert_eq!(renewals(run(&mut drivers, NOW.plus(12_500), NOW.plus(22_600), true)), [22_500]);
    let over = Err(RenewError::ForGood("fenced".to_owned()));
    drivers.renewed(NOW.plus(22_600), &robot(), lease(), over);
    let why = drivers.touch(NOW.plus(22_600), &robot(), &did(1)).unwrap_err();
    assert_eq!(why, Refusal::Ended { robot: robot(), why: "fenced".to_owned() });
}

#[test]
fn a_lease_that_nobody_renews_runs_out() {
    let mut drivers = open();
    let mut now = NOW;
    while now < NOW.plus(30_000) {
        drivers.touch(now, &robot(), &did(1)).unwrap();
        drivers.poll(now);
        now = now.plus(50);
    }
    drivers.poll(now);
    let why = drivers.touch(now, &robot(), &did(1)).unwrap_err();
    assert_eq!(why, Refusal::Ended { robot: robot(), why: "expired".to_owned() });
    assert_eq!(packets(&run(&mut drivers, now, now.plus(1_000), false)), []);
}

#[test]
fn one_driver_for_each_robot_and_no_more_than_the_gateway_carries() {
    let mut drivers = open();
    let taken = Err(Refusal::Taken { robot: robot() });
    assert_eq!(drivers.reserve(NOW, &robot(), did(2)), taken);
    assert_eq!(drivers.reserve(NOW, &robot(), did(1)), Ok(Some(opened())), "asking twice");
    assert_eq!(drivers.touch(NOW, &robot(), &did(2)), Err(Refusal::Taken { robot: robot() }));
    let other: RobotId = "rover-2".parse().unwrap();
    assert_eq!(drivers.reserve(NOW, &other, did(2)), Ok(None));
    assert_eq!(
        drivers.reserve(NOW, &other, did(2)),
        Err(Refusal::Busy { robot: other.clone() }),
        "while it is being opened"
    );
    let third: RobotId = "rover-3".parse().unwrap();
    assert_eq!(drivers.reserve(NOW, &third, did(3)), Err(Refusal::Full { max: 2 }));
    drivers.abandon(&other);
    assert_eq!(drivers.reserve(NOW, &third, did(3)), Ok(None));
}

#[test]
fn release_is_due_at_once_with_the_deadman_released_first() {
    let mut drivers = open();
    drivers.drive(NOW, &robot(), &did(1), Wish::new(1.0, 0.0, 1000.0).unwrap()).unwrap();
    drivers.poll(NOW);
    assert!(drivers.release(NOW.plus(10), &robot(), &did(2)).is_err());
    drivers.release(NOW.plus(10), &robot(), &did(1)).unwrap();
    let due: Vec<_> = drivers.poll(NOW.plus(10)).into_iter().map(|(_, task)| task).collect();
    assert!(matches!(due[..], [Task::Send(c), Task::Release(_)] if !c.deadman), "{due:?}");
}

#[test]
fn a_refused_wish_releases_the_deadman() {
    let mut drivers = open();
    let wish = Wish::new(1.0, 0.0, 1000.0).unwrap();
    let (_, seq) = drivers.drive(NOW, &robot(), &did(1), wish).unwrap();
    drivers.poll(NOW);
    drivers.refused(NOW.plus(20), &robot(), lease(), seq);
    let sent = packets(&run(&mut drivers, NOW.plus(20), NOW.plus(300), true));
    assert!(sent.len() >= 3 && sent.iter().all(|(_, c)| !c.deadman), "{sent:?}");
}

#[test]
fn wishes_out_of_range_name_their_field() {
    let check = |l, a, t| Wish::new(l, a, t).map(|_| ()).map_err(|e| e.field);
    assert_eq!(check(0.5, 0.5, 400.0), Ok(()));
    assert_eq!(check(-3.0, 4.0, 50.0), Ok(()));
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 3.01, -9e99] {
        assert_eq!(check(bad, 0.0, 400.0), Err("linear_mps"));
    }
    for bad in [f64::NAN, f64::INFINITY, 4.01] {
        assert_eq!(check(0.0, bad, 400.0), Err("angular_radps"));
    }
    for bad in [f64::NAN, f64::INFINITY, -1.0, 0.0, 49.0, 1001.0, 1e300] {
        assert_eq!(check(0.0, 0.0, bad), Err("ttl_ms"));
    }
}

#[test]
fn a_lease_that_the_robot_ended_ends_here() {
    let idle = || verdict::tests::state(SafetyState::Idle, Reason::NoLease, lease(), 7, 1);
    let ended =
        EndedLease { lease: lease(), episode: lease().into(), why: "driver-gone".to_owned() };
    let cases = [
        (RobotState { lease: None, last_ended: Some(ended), ..idle() }, "driver-gone"),
        (RobotState { lease: None, epoch: 8, ..idle() }, "fenced"),
    ];
    for (state, expected) in cases {
        let mut drivers = open();
        drivers.heard(NOW, &state);
        let why = drivers.touch(NOW, &robot(), &did(1)).unwrap_err();
        assert_eq!(why, Refusal::Ended { robot: robot(), why: expected.to_owned() });
        assert_eq!(drivers.active(), 0);
    }
}

#[test]
fn a_robot_that_was_started_anew_has_no_lease_any_more() {
    let mut drivers = open();
    let idle = |lease| RobotState {
        lease,
        ..verdict::tests::state(SafetyState::Idle, Reason::NoLease, self::lease(), 0, 1)
    };
    drivers.heard(NOW, &idle(None));
    assert_eq!(drivers.active(), 1, "said before it took the lease");
    drivers.heard(NOW, &idle(Some(lease())));
    assert_eq!(drivers.active(), 1);
    drivers.heard(NOW, &idle(None));
    let why = drivers.touch(NOW, &robot(), &did(1)).unwrap_err();
    assert_eq!(why, Refusal::Ended { robot: robot(), why: "robot-restarted".to_owned() });
}

#[test]
fn numbered_commands_are_tied_to_packets_until_their_receipt() {
    let mut drivers = open();
    let wish = |mps| Wish::new(mps, 0.0, 1000.0).unwrap();
    let send = |drivers: &mut Drivers, n: u32, mps| {
        drivers.number(&robot(), lease(), n)?;
        let (_, seq) = drivers.drive(NOW, &robot(), &did(1), wish(mps))?;
        drivers.tie(&robot(), lease(), n, seq);
        Ok::<_, Refusal>(seq)
    };
    let first = send(&mut drivers, 1, 0.1).unwrap();
    assert_eq!(send(&mut drivers, 2, 0.2), Ok(first), "the packet was not sent yet");
    drivers.poll(NOW);
    let third = send(&mut drivers, 3, 0.3).unwrap();
    assert_eq!(send(&mut drivers, 3, 0.4), Err(Refusal::Overtaken { n: 3, last: 3 }));
    drivers.poll(NOW);
    // Command 3 is not in the receipt: its packets are not accounted for.
    let account = drivers.account(&robot(), lease(), &[1, 2]);
    assert_eq!(account, Some((vec![first, first], third - 1)));
    drivers.accounted(&robot(), lease(), 2);
    assert_eq!(drivers.account(&robot(), lease(), &[3, 4]), Some((vec![third, 0], third)));
    assert_eq!(
        send(&mut drivers, 4, 0.4),
        Err(Refusal::Overtaken { n: 4, last: 4 }),
        "nothing tells its packets any more"
    );
    drivers.accounted(&robot(), lease(), 4);
    assert_eq!(drivers.account(&robot(), lease(), &[]), Some((vec![], third)));
    let other = LeaseId::new(uuid::Uuid::from_u128(77));
    assert_eq!(drivers.account(&robot(), other, &[]), None);
}

#[test]
fn a_lease_is_its_openers_and_unsigned_commands_are_bounded() {
    let mut drivers = open();
    let elsewhere = Err(Refusal::Elsewhere { robot: robot() });
    assert_eq!(drivers.touch_own(NOW, &robot(), &did(1), None), elsewhere);
    assert!(drivers.touch_own(NOW, &robot(), &did(1), Some(lease())).is_ok());
    let taken = drivers.touch_own(NOW, &robot(), &did(2), Some(lease()));
    assert_eq!(taken, Err(Refusal::Taken { robot: robot() }));
    // Whoever is not its opener does not keep it alive.
    let silent = NOW.plus(u64::from(DRIVER_GONE_MS));
    assert!(drivers.touch_own(silent, &robot(), &did(1), None).is_err());
    let release = |(_, task): &(RobotId, Task)| matches!(task, Task::Release(_));
    assert!(drivers.poll(silent).iter().any(release));

    let mut drivers = open();
    for n in 1..=10_000 {
        drivers.number(&robot(), lease(), n).unwrap();
        drivers.tie(&robot(), lease(), n, n);
    }
    assert_eq!(drivers.number(&robot(), lease(), 10_001), Err(Refusal::Unsigned));
    drivers.accounted(&robot(), lease(), 500);
    assert_eq!(drivers.number(&robot(), lease(), 10_001), Ok(()));
}
