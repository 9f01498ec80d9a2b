//! Whatever is thrown at the core, the wheels turn only while every positive fact holds. The facts are worked
//! out here again, from the sequence of events and from the words of the design, without the core's code.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]

mod world;

use agent_core::policy::BlindDriving;
use agent_core::{Command, Inputs, Lease, Outputs, Policy, Scan, Supervisor, Verdict};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use protocol::units::MonoMs;

/// One step's worth of hostility. Times are relative to now, so that near misses are common.
#[derive(Debug, Clone)]
struct Event {
    dt_ms: i64,
    lease: Option<(u64, i64, u32, bool)>,
    epoch_highest: u64,
    command: Option<Shot>,
    estop_stop: bool,
    estop_clear_epoch: u64,
    odometry_age_ms: Option<i64>,
    scan: Option<(i64, Option<u32>, Option<u32>)>,
    battery_permille: Option<u16>,
    tilt_mrad: Option<u16>,
    recorder_able: bool,
}

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
        odometry_age_ms in mostly(Some(10), weighted(0.8, -10_i64..900)),
        scan in mostly(Some((40, Some(12_000), Some(12_000))), weighted(0.8, (-10_i64..900, weighted(0.8, 0_u32..5_000), weighted(0.8, 0_u32..5_000)))),
        battery_permille in mostly(Some(800), weighted(0.5, 0_u16..1_001)),
        tilt_mrad in mostly(Some(5), weighted(0.5, 0_u16..1_500)),
        recorder_able in mostly(true, Just(false)),
    ) -> Event {
        Event {
            dt_ms, lease, epoch_highest, command, estop_stop, estop_clear_epoch, odometry_age_ms, scan,
            battery_permille, tilt_mrad, recorder_able,
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
        odometry_arrived: event.odometry_age_ms.map(|age| at(now, age)),
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
}

fn young(now: i64, arrived: Option<MonoMs>, age_max: i64) -> bool {
    arrived.is_some_and(|arrived| {
        let age = now - i64::try_from(arrived.0).unwrap();
        (0..=age_max).contains(&age)
    })
}

impl Witness {
    fn see(&mut self, now: i64, inputs: &Inputs, out: &Outputs, policy: &Policy) {
        self.clock_broken |= now < self.last_now;
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
        assert!(young(now, inputs.odometry_arrived, 300));
        assert!(young(now, inputs.scan.map(|scan| scan.arrived), 500));
        let sees = young(now, command.seen, 500);
        assert!(sees || (lease.program && policy.blind_driving.permitted));
        self.check_speed(now, inputs, command, sees, was, dt);
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
        let braking = i32::try_from(3 * dt + 1).unwrap();
        let speed = self.speed.abs();
        let braked = self.speed.signum() == was.signum() && speed <= was.abs() - braking + 2;
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

fn policy(blind: bool) -> Policy {
    let blind_driving = BlindDriving { permitted: blind, speed_mps_max: 0.5 };
    Policy { blind_driving, ..Policy::default() }
}

fn run(events: &[Event], blind: bool, ordered: bool) -> (usize, Vec<Outputs>) {
    let policy = policy(blind);
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
        witness.see(now, &inputs, &out, &policy);
        moved += usize::from(out.executed.linear_mmps != 0);
        outputs.push(out);
        assert!(core.deadline().0 > 0);
        let bytes = inputs.encode(MonoMs(now.unsigned_abs()));
        assert_eq!(Inputs::decode(&bytes), Ok((MonoMs(now.unsigned_abs()), inputs)));
    }
    (moved, outputs)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_motion_without_every_positive_fact(
        events in vec(event(), 1..200), blind: bool, ordered in prop::bool::weighted(0.8),
    ) {
        run(&events, blind, ordered);
    }

    #[test]
    fn the_same_events_give_the_same_bytes(events in vec(event(), 1..100), blind: bool) {
        let (one, two) = (run(&events, blind, true).1, run(&events, blind, true).1);
        prop_assert!(one.iter().zip(&two).all(|(a, b)| a.encode() == b.encode()));
    }

    #[test]
    fn any_bytes_are_inputs_or_are_refused(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok((now, inputs)) = Inputs::decode(&bytes) {
            prop_assert_eq!(inputs.encode(now).to_vec(), bytes.clone());
        }
        let mut core = Supervisor::new(&policy(true)).unwrap();
        let mut snapshot = bytes;
        snapshot.resize(Supervisor::SNAPSHOT_LEN, 0xa5);
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
        odometry_age_ms: Some(10),
        scan: Some((40, Some(12_000), Some(12_000))),
        battery_permille: Some(800),
        tilt_mrad: Some(5),
        recorder_able: true,
    };
    let (moved, outputs) = run(&vec![good; 200], false, true);
    assert!(moved > 190);
    assert_eq!(outputs.last().unwrap().executed.linear_mmps, 1_500);
}
