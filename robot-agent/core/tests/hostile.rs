//! Whatever is thrown at the core, the wheels turn only while every positive fact holds. The facts are worked
//! out here again, from the sequence of events and from the words of the design, without the core's code.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]

mod world;

use agent_core::fence::Geofence;
use agent_core::policy::{BlindDriving, CloseSensors};
use agent_core::{
    Close, Command, Fix, Heading, Inputs, Lease, Odometry, Outputs, Policy, Scan, Supervisor,
    Verdict,
};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use protocol::units::{GeoPoint, MonoMs};

/// One step's worth of hostility. Times are relative to now, so that near misses are common.
#[derive(Debug, Clone)]
struct Event {
    dt_ms: i64,
    lease: Option<(u64, i64, u32, bool)>,
    epoch_highest: u64,
    command: Option<Shot>,
    estop_stop: bool,
    estop_clear_epoch: u64,
    odometry: Option<(i64, i32, i32)>,
    close: Option<Near>,
    /// Age, metres east and north of the middle of the area, accuracy.
    fix: Option<(i64, f64, f64, u32)>,
    heading_deg: Option<f64>,
    heartbeats: [Option<i64>; 4],
    scan: Option<(i64, Option<u32>, Option<u32>)>,
    battery_permille: Option<u16>,
    tilt_mrad: Option<u16>,
    recorder_able: bool,
}

/// Age, free way ahead and behind, bumpers and drops.
type Near = (i64, Option<u32>, Option<u32>, [bool; 4]);

#[derive(Debug, Clone)]
struct Shot {
    age_ms: i64,
    epoch: u64,
    seq: u32,
    deadman: bool,
    stamp_age_ms: Option<i64>,
    seen_age_ms: Option<i64>,
    linear_mmps: i16,
    angular_mradps: i16,
}

fn mostly<T: Clone + std::fmt::Debug + 'static>(
    usual: T,
    rare: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = T> {
    prop_oneof![30 => Just(usual), 1 => rare]
}

prop_compose! {
    fn shot()(
        age_ms in mostly(0, -50_i64..500),
        epoch in mostly(3, 0_u64..6),
        seq in 0_u32..400,
        deadman in prop::bool::weighted(0.8),
        stamp_age_ms in mostly(Some(50), weighted(0.9, -20_i64..1_500)),
        seen_age_ms in mostly(Some(90), weighted(0.8, -20_i64..900)),
        linear_mmps in prop_oneof![Just(1_500_i16), any::<i16>()],
        angular_mradps in any::<i16>(),
    ) -> Shot {
        Shot { age_ms, epoch, seq, deadman, stamp_age_ms, seen_age_ms, linear_mmps, angular_mradps }
    }
}

prop_compose! {
    fn event()(
        dt_ms in mostly(10, prop_oneof![4 => 0_i64..600, 1 => -100_i64..0]),
        lease in mostly(Some((3, 5_000, 1_500, false)), weighted(0.8, (0_u64..6, -100_i64..500, 0_u32..3_000, any::<bool>()))),
        epoch_highest in mostly(3, 0_u64..5),
        command in weighted(0.7, shot()),
        estop_stop in prop::bool::weighted(0.01),
        estop_clear_epoch in mostly(0, 0_u64..6),
        odometry in mostly(Some((10, 900, 0)), weighted(0.8, (-10_i64..900, -2_000..2_000, -1_000..1_000))),
        close in mostly(None, weighted(0.8, (-10_i64..900, weighted(0.8, 0_u32..5_000), weighted(0.8, 0_u32..5_000), any::<[bool; 4]>()))),
        fix in mostly(Some((100, 0.0, 0.0, 1_000)), weighted(0.9, (-10_i64..4_000, -30.0..30.0, -30.0..30.0, 0_u32..9_000))),
        heading_deg in weighted(0.7, 0.0..360.0),
        heartbeats in mostly([Some(500), None, Some(900), Some(20)], [weighted(0.5, -10_i64..5_000), weighted(0.5, 0_i64..5_000), weighted(0.5, 0_i64..5_000), weighted(0.5, 0_i64..5_000)]),
        scan in mostly(Some((40, Some(12_000), Some(12_000))), weighted(0.8, (-10_i64..900, weighted(0.8, 0_u32..5_000), weighted(0.8, 0_u32..5_000)))),
        battery_permille in mostly(Some(800), weighted(0.5, 0_u16..1_001)),
        tilt_mrad in mostly(Some(5), weighted(0.5, 0_u16..1_500)),
        recorder_able in mostly(true, Just(false)),
    ) -> Event {
        Event {
            dt_ms, lease, epoch_highest, command, estop_stop, estop_clear_epoch, odometry, scan, close, fix,
            heading_deg, heartbeats, battery_permille, tilt_mrad, recorder_able,
        }
    }
}

fn at(now: i64, age_ms: i64) -> MonoMs {
    MonoMs(u64::try_from(now - age_ms).unwrap())
}

fn inputs(now: i64, event: &Event) -> Inputs {
    Inputs {
        lease: event.lease.map(|(epoch, left_ms, speed_mmps_max, program)| Lease {
            epoch,
            expires: at(now, -left_ms),
            speed_mmps_max,
            program,
        }),
        epoch_highest: event.epoch_highest,
        command: event.command.as_ref().map(|shot| Command {
            arrived: at(now, shot.age_ms),
            epoch: shot.epoch,
            seq: shot.seq,
            deadman: shot.deadman,
            stamp: shot.stamp_age_ms.map(|age| at(now, age)),
            seen: shot.seen_age_ms.map(|age| at(now, age)),
            linear_mmps: shot.linear_mmps,
            angular_mradps: shot.angular_mradps,
        }),
        estop_stop: event.estop_stop,
        estop_clear_epoch: event.estop_clear_epoch,
        odometry: event.odometry.map(|(age, speed_mmps, yaw_mradps)| Odometry {
            arrived: at(now, age),
            speed_mmps,
            yaw_mradps,
        }),
        close: event.close.map(|(age, ahead_mm, behind_mm, [front, rear, ahead, behind])| Close {
            arrived: at(now, age),
            ahead_mm,
            behind_mm,
            bumper_front: front,
            bumper_rear: rear,
            drop_ahead: ahead,
            drop_behind: behind,
        }),
        fix: event.fix.map(|(age, east_m, north_m, accuracy_mm)| {
            let point = MIDDLE.offset_m(east_m, north_m);
            Fix {
                arrived: at(now, age),
                lat_1e7: (point.lat_deg * 1e7).round() as i32,
                lon_1e7: (point.lon_deg * 1e7).round() as i32,
                accuracy_mm,
            }
        }),
        heading: event.heading_deg.map(|heading| Heading {
            east_permille: (heading.to_radians().sin() * 1e3).round() as i16,
            north_permille: (heading.to_radians().cos() * 1e3).round() as i16,
        }),
        heartbeats: event.heartbeats.map(|age| age.map(|age| at(now, age))),
        scan: event.scan.map(|(age, ahead_mm, behind_mm)| Scan {
            arrived: at(now, age),
            ahead_mm,
            behind_mm,
        }),
        battery_permille: event.battery_permille,
        tilt_mrad: event.tilt_mrad,
        recorder_able: event.recorder_able,
    }
}

/// What must be true of the world, kept without the core's help. Everything is an `i64` of milliseconds here.
#[derive(Default)]
struct Witness {
    clock_broken: bool,
    last_now: i64,
    estopped: bool,
    highest: u64,
    /// Highest `seq` of each epoch that was ever let through while its lease was live, and that command.
    newest: std::collections::BTreeMap<u64, Command>,
    speed: i32,
    fix: Option<Fix>,
    /// Metres east and north of the middle.
    position: (f64, f64),
    path_m: f64,
    good_at: Option<i64>,
}

const MIDDLE: GeoPoint = GeoPoint { lat_deg: 48.85, lon_deg: 2.35 };

fn corners(east: [f64; 2], north: [f64; 2]) -> Vec<[f64; 2]> {
    let at = |e: f64, n: f64| {
        let point = MIDDLE.offset_m(e, n);
        [point.lat_deg, point.lon_deg]
    };
    vec![at(east[0], north[0]), at(east[1], north[0]), at(east[1], north[1]), at(east[0], north[1])]
}

fn young(now: i64, arrived: Option<MonoMs>, age_max: i64) -> bool {
    arrived.is_some_and(|arrived| {
        let age = now - i64::try_from(arrived.0).unwrap();
        (0..=age_max).contains(&age)
    })
}

impl Witness {
    fn see(&mut self, now: i64, event: &Event, inputs: &Inputs, out: &Outputs, policy: &Policy) {
        self.clock_broken |= now < self.last_now;
        let gap = if self.last_now == 0 { 0 } else { (now - self.last_now).max(0) };
        self.follow(now, gap, inputs, event);
        assert!((200..=1_500).contains(&out.brake_mmps2));
        assert!(out.minimal_risk.is_none() || out.executed == agent_core::Twist::ZERO);
        let dt = (now - self.last_now).clamp(0, 50);
        self.last_now = self.last_now.max(now);
        self.highest = self.highest.max(inputs.epoch_highest);
        let lease = inputs.lease.inspect(|lease| self.highest = self.highest.max(lease.epoch));
        let live = lease.filter(|lease| {
            lease.epoch == self.highest
                && lease.epoch > 0
                && now < i64::try_from(lease.expires.0).unwrap()
        });
        if let (Some(lease), Some(command)) = (live, inputs.command)
            && command.epoch == lease.epoch
            && command.arrived.0 <= now.unsigned_abs()
            && command.seq > self.newest.get(&lease.epoch).map_or(0, |newest| newest.seq)
        {
            assert!(matches!(out.verdict, Verdict::Counts | Verdict::HeldUp));
            self.newest.insert(lease.epoch, command);
        } else {
            assert!(!matches!(out.verdict, Verdict::Counts | Verdict::HeldUp));
        }
        if inputs.estop_stop {
            self.estopped = true;
        } else if out.estop_answer == agent_core::EstopAnswer::Cleared {
            let lease = live.expect("a clear without a lease");
            assert_eq!(inputs.estop_clear_epoch, lease.epoch);
            let held = self.newest.get(&lease.epoch).is_some_and(|command| command.deadman);
            assert!(!held, "cleared with the stick held");
            self.estopped = false;
        }
        let was = self.speed;
        self.speed = out.executed.linear_mmps;
        if out.executed == agent_core::Twist::ZERO {
            return;
        }
        assert!(!self.clock_broken && !self.estopped && inputs.recorder_able);
        let lease = live.expect("motion without a live lease");
        let command = self.newest.get(&lease.epoch).expect("motion without a command");
        assert!(command.deadman);
        assert!(young(now, Some(command.arrived), 280));
        assert!(young(now, command.stamp, 700));
        assert!(young(now, inputs.odometry.map(|odometry| odometry.arrived), 300));
        assert!(gap <= 500, "motion after a jump of the clock");
        assert!(inputs.heartbeats.iter().flatten().all(|beat| young(now, Some(*beat), 3_000)));
        assert!(inputs.battery_permille.is_none_or(|charge| charge >= 30));
        assert!(inputs.tilt_mrad.map_or(!policy.tilt_required, |lean| lean <= 800));
        let close_arrived = inputs.close.map(|close| close.arrived);
        assert!(!policy.close_sensors.active || young(now, close_arrived, 500));
        assert!(young(now, inputs.scan.map(|scan| scan.arrived), 500));
        let sees = young(now, command.seen, 500);
        assert!(sees || (lease.program && policy.blind_driving.permitted));
        self.check_speed(now, inputs, command, sees, was, dt);
        let braked = self.braked(was, dt);
        let forward = command.linear_mmps >= 0;
        self.check_close(now, inputs, forward, braked);
        if policy.geofence.is_active() {
            self.check_fence(now, inputs, forward, braked);
        }
        if policy.battery_required && inputs.battery_permille.is_none() {
            assert!(self.speed.abs() <= 501 || braked);
        }
    }

    /// Whether it is on its way down to what is allowed, as fast as the policy brakes.
    fn braked(&self, was: i32, dt: i64) -> bool {
        let braking = i32::try_from(3 * dt + 1).unwrap();
        self.speed.signum() == was.signum() && self.speed.abs() <= was.abs() - braking + 2
    }

    fn check_close(&self, now: i64, inputs: &Inputs, forward: bool, braked: bool) {
        let Some(close) = inputs.close.filter(|close| young(now, Some(close.arrived), 500)) else {
            return;
        };
        if self.speed == 0 || braked {
            return;
        }
        let touches = if forward { close.bumper_front } else { close.bumper_rear };
        let ends = if forward { close.drop_ahead } else { close.drop_behind };
        assert!(!touches && !ends, "motion into what a sensor touches, or over an edge");
        let way = if forward { close.ahead_mm } else { close.behind_mm };
        let age = now - i64::try_from(close.arrived.0).unwrap();
        if let Some(way_mm) = way {
            let (v, reaction_s) = (f64::from(self.speed.abs()), (200 + age) as f64 / 1_000.0);
            let needs_mm = v * v / 3_000.0 + v * reaction_s;
            assert!(needs_mm <= (f64::from(way_mm) - 300.0).max(0.0) + 5.0);
        }
    }

    /// The area is 40 m wide about the middle, without the square between 5 and 9 m east, −2 and 2 m north.
    fn check_fence(&self, now: i64, inputs: &Inputs, forward: bool, braked: bool) {
        let good = self.good_at.expect("motion without any good position");
        assert!(now - good <= 22_000, "motion long after the last good position");
        if self.speed == 0 || braked {
            return;
        }
        let fix = self.fix.expect("motion without a position");
        let (east, north) = self.position;
        let room_in = f64::min(20.0 - east.abs(), 20.0 - north.abs());
        let (by_east, by_north) = ((east - 7.0).abs() - 2.0, north.abs() - 2.0);
        let out = by_east.max(0.0).hypot(by_north.max(0.0)) + by_east.max(by_north).min(0.0);
        let lost_m = f64::from(fix.accuracy_mm) / 1e3 + self.path_m + 0.5;
        let room_m = (room_in.min(out) - lost_m).max(0.0);
        let v = f64::from(self.speed.abs()) / 1e3;
        let stops = v * v / 3.0 + v * 0.2 <= room_m + 0.05;
        assert!(v <= 0.301 || stops, "{v} m/s with {room_m} m of room");
        let poor = !young(now, Some(fix.arrived), 2_000) || fix.accuracy_mm > 5_000;
        assert!(v <= 0.301 || !poor, "{v} m/s with a poor position");
        // Outside by one side only, and looking clearly away from the area.
        if let (Some(heading), true) = (inputs.heading, north.abs() < 15.0 && east.abs() > 20.5) {
            let front = f64::from(heading.east_permille) * east.signum();
            let outward = if forward { front } else { -front };
            assert!(outward <= 20.0, "further out");
        }
    }

    fn follow(&mut self, now: i64, gap: i64, inputs: &Inputs, event: &Event) {
        let speed = inputs.odometry.map_or(0, |odometry| odometry.speed_mmps);
        self.path_m += f64::from(speed.abs()) / 1e3 * (gap.clamp(0, 500) as f64) / 1e3;
        let Some(fix) = inputs
            .fix
            .filter(|fix| self.fix != Some(*fix) && i64::try_from(fix.arrived.0).unwrap() <= now)
        else {
            return;
        };
        let (_, east, north, accuracy_mm) = event.fix.unwrap();
        (self.fix, self.position, self.path_m) = (Some(fix), (east, north), 0.0);
        if accuracy_mm <= 5_000 {
            self.good_at = Some(i64::try_from(fix.arrived.0).unwrap());
        }
    }

    /// The speed is below every cap, or it is being braked towards it.
    fn check_speed(
        &self,
        now: i64,
        inputs: &Inputs,
        command: &Command,
        sees: bool,
        was: i32,
        dt: i64,
    ) {
        let lease = inputs.lease.unwrap();
        let scan = inputs.scan.unwrap();
        let forward = command.linear_mmps >= 0;
        let mut cap = f64::from(lease.speed_mmps_max).min(if forward { 1_500.0 } else { 800.0 });
        if !sees {
            cap = cap.min(500.0);
        }
        if let (true, Some(seen)) = (sees, command.seen) {
            let latency_ms = command.arrived.since(seen);
            cap = cap.min(350_000.0 / latency_ms.max(1) as f64);
        }
        if inputs.battery_permille.is_some_and(|charge| charge < 100) {
            cap = cap.min(500.0);
        }
        if inputs.tilt_mrad.is_some_and(|lean| lean > 350) {
            cap = cap.min(200.0);
        }
        let speed = self.speed.abs();
        let braked = self.braked(was, dt);
        assert!(f64::from(speed) <= cap + 1.0 || braked, "{speed} > {cap} after {was}");
        assert!(speed <= was.abs() + i32::try_from(dt).unwrap() + 1, "accelerated too fast");
        let way = if forward { scan.ahead_mm } else { scan.behind_mm };
        let scan_age = now - i64::try_from(scan.arrived.0).unwrap();
        if let Some(way_mm) = way {
            let (v, reaction_s) = (f64::from(speed), (200 + scan_age) as f64 / 1_000.0);
            let needs_mm = v * v / 3_000.0 + v * reaction_s;
            let has_mm = (f64::from(way_mm) - 300.0).max(0.0);
            assert!(needs_mm <= has_mm + 5.0 || braked, "{v} mm/s needs {needs_mm}, has {has_mm}");
        }
        assert!(self.speed == 0 || (self.speed > 0) == forward || braked, "the wrong way");
    }
}

/// What the owner says: blind driving, geofence, and whether sensors that not every robot has are needed.
type Owner = (bool, bool, bool);

fn policy((blind, fenced, needs): Owner) -> Policy {
    let (keep_in, keep_out) = if fenced {
        (vec![corners([-20.0, 20.0], [-20.0, 20.0])], vec![corners([5.0, 9.0], [-2.0, 2.0])])
    } else {
        (vec![], vec![])
    };
    Policy {
        blind_driving: BlindDriving { permitted: blind, speed_mps_max: 0.5 },
        geofence: Geofence { keep_in, keep_out, ..Geofence::default() },
        close_sensors: CloseSensors { active: needs, ..CloseSensors::default() },
        tilt_required: needs,
        battery_required: needs,
        ..Policy::default()
    }
}

fn run(events: &[Event], owner: Owner, ordered: bool) -> (usize, Vec<Outputs>) {
    let policy = policy(owner);
    let mut core = Supervisor::new(&policy).unwrap();
    let mut witness = Witness::default();
    let (mut now, mut moved, mut outputs) = (1_000_000_i64, 0, Vec::new());
    for (seq, event) in (1..).zip(events) {
        now += event.dt_ms;
        let mut inputs = inputs(now, event);
        if ordered {
            inputs.command = inputs.command.map(|command| Command { seq, ..command });
        }
        let out = core.step(MonoMs(now.unsigned_abs()), &inputs);
        witness.see(now, event, &inputs, &out, &policy);
        moved += usize::from(out.executed.linear_mmps != 0);
        outputs.push(out);
        assert!(core.deadline().0 > 0);
        let bytes = inputs.encode(MonoMs(now.unsigned_abs()));
        assert_eq!(Inputs::decode(&bytes), Ok((MonoMs(now.unsigned_abs()), inputs)));
    }
    (moved, outputs)
}

/// Mutation testing runs these hundreds of times, so it gets fewer.
fn cases() -> u32 {
    if std::env::var_os("LONGREIN_MUTANTS").is_some() { 40 } else { 400 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn no_motion_without_every_positive_fact(
        events in vec(event(), 1..200), owner: Owner, ordered in prop::bool::weighted(0.8),
    ) {
        run(&events, owner, ordered);
    }

    #[test]
    fn a_snapshot_in_the_middle_changes_nothing(events in vec(event(), 2..60), owner: Owner) {
        let (mut core, mut now) = (Supervisor::new(&policy(owner)).unwrap(), 1_000_000_i64);
        for (seq, event) in (1..).zip(&events) {
            now += event.dt_ms;
            let mut inputs = inputs(now, event);
            inputs.command = inputs.command.map(|command| Command { seq, ..command });
            let mut other = Supervisor::new(&policy(owner)).unwrap();
            other.resume(&core.snapshot()).unwrap();
            let at = MonoMs(now.unsigned_abs());
            prop_assert_eq!(core.step(at, &inputs), other.step(at, &inputs));
            prop_assert_eq!(core.snapshot(), other.snapshot());
        }
    }

    #[test]
    fn the_same_events_give_the_same_bytes(events in vec(event(), 1..100), owner: Owner) {
        let (one, two) = (run(&events, owner, true).1, run(&events, owner, true).1);
        prop_assert!(one.iter().zip(&two).all(|(a, b)| a.encode() == b.encode()));
    }

    #[test]
    fn any_bytes_are_inputs_or_are_refused(mut bytes in vec(any::<u8>(), 0..330), version: bool) {
        if let Some(at) = bytes.get_mut(10).filter(|_| version) {
            *at = Inputs::VERSION;
        }
        if let Ok((now, inputs)) = Inputs::decode(&bytes) {
            prop_assert_eq!(inputs.encode(now).to_vec(), bytes.clone());
        }
        let mut core = Supervisor::new(&policy((true, true, true))).unwrap();
        let mut snapshot = bytes;
        snapshot.resize(Supervisor::SNAPSHOT_LEN, 0xa5);
        snapshot[2] = Supervisor::SNAPSHOT_VERSION;
        core.resume(&snapshot).unwrap();
        core.step(MonoMs(5), &Inputs::default());
        core.step(MonoMs(u64::MAX), &Inputs::default());
    }

    #[test]
    fn the_governor_never_passes_more_than_its_bounds(
        steps in vec((0_u64..5_000, weighted(0.9, (0_u64..5_000, any::<i32>(), any::<i32>()))), 1..100),
    ) {
        use agent_core::governor::{Bounds, Governor, Order};
        let mut governor = Governor::new(Bounds {
            forward_mmps_max: 1_500, backward_mmps_max: 800, turn_mradps_max: 1_500,
            accel_mmps2_max: 1_000, brake_mmps2_max: 3_000, turn_mradps2_max: 6_000, order_age_ms_max: 280,
        });
        for (now_ms, order) in steps {
            let order = order.map(|(arrived_ms, linear_mmps, angular_mradps)| Order {
                arrived_ms, linear_mmps, angular_mradps,
            });
            let (linear, angular) = governor.pass(now_ms, order);
            prop_assert!((-800..=1_500).contains(&linear) && angular.abs() <= 1_500);
            let old = order.is_none_or(|order| order.arrived_ms > now_ms || now_ms - order.arrived_ms > 280);
            prop_assert!(!old || (linear, angular) == (0, 0));
        }
    }
}

#[test]
fn the_hostile_sequences_do_move_the_robot_when_all_is_well() {
    // Otherwise the properties above would hold of a robot that never moves.
    let good = Event {
        dt_ms: 10,
        lease: Some((3, 5_000, 1_500, false)),
        epoch_highest: 3,
        command: Some(Shot {
            age_ms: 0,
            epoch: 3,
            seq: 0,
            deadman: true,
            stamp_age_ms: Some(50),
            seen_age_ms: Some(90),
            linear_mmps: 1_500,
            angular_mradps: 100,
        }),
        estop_stop: false,
        estop_clear_epoch: 0,
        odometry: Some((10, 0, 0)),
        close: Some((40, Some(9_000), Some(9_000), [false; 4])),
        fix: Some((100, -7.0, 0.0, 1_000)),
        heading_deg: None,
        heartbeats: [Some(100); 4],
        scan: Some((40, Some(12_000), Some(12_000))),
        battery_permille: Some(800),
        tilt_mrad: Some(5),
        recorder_able: true,
    };
    for owner in [(false, false, false), (false, true, true)] {
        let (moved, outputs) = run(&vec![good.clone(); 200], owner, true);
        assert!(moved > 190);
        assert_eq!(outputs.last().unwrap().executed.linear_mmps, 1_500);
    }
}
