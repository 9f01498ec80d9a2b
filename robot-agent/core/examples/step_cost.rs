//! What one step of the core costs: `cargo run --release -p agent-core --example step_cost [-- --json]`.
//!
//! A robot that drives in a geofence with as many corners as a policy may have, with every sensor there is: commands
//! at 50 Hz, odometry at 50, scans at 10, positions at 10. The bar is 10 µs.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark"
)]

use agent_core::fence::{AREAS_MAX, Area, CORNERS_MAX, Geofence};
use agent_core::{Close, Command, Fix, Heading, Inputs, Lease, Odometry, Policy, Scan, Supervisor};
use protocol::units::MonoMs;
use std::hint::black_box;
use std::time::Instant;

const STEPS: u64 = 200_000;
const BAR_NS: u128 = 10_000;

/// A round area of 200 m about a place, with as many corners as there may be.
fn round(n: usize) -> Area {
    let turn = |corner: u32| f64::from(corner) / CORNERS_MAX as f64 * std::f64::consts::TAU;
    let east = 13.0 + n as f64 * 1e-4;
    (0..CORNERS_MAX as u32)
        .map(|corner| [52.0 + 2e-3 * turn(corner).sin(), east + 3e-3 * turn(corner).cos()])
        .collect()
}

fn inputs(now: u64, seq: u32, metres: i32) -> Inputs {
    let every = |ms: u64| MonoMs(now - now % ms);
    Inputs {
        lease: Some(Lease {
            epoch: 1,
            expires: MonoMs(u64::MAX),
            speed_mmps_max: 1_500,
            program: false,
        }),
        epoch_highest: 1,
        command: now.is_multiple_of(20).then(|| Command {
            arrived: MonoMs(now),
            epoch: 1,
            seq,
            deadman: true,
            stamp: Some(MonoMs(now - 60)),
            seen: Some(MonoMs(now - 90)),
            linear_mmps: 1_200,
            angular_mradps: 100,
        }),
        odometry: Some(Odometry { arrived: every(20), speed_mmps: 1_190, yaw_mradps: 95 }),
        scan: Some(Scan { arrived: every(100), ahead_mm: Some(6_000), behind_mm: Some(9_000) }),
        close: Some(Close { arrived: every(20), ahead_mm: Some(3_000), ..Close::default() }),
        fix: Some(Fix {
            arrived: every(100),
            lat_1e7: 520_000_000 + metres * 90,
            lon_1e7: 130_000_000,
            accuracy_mm: 900,
        }),
        heading: Some(Heading { east_permille: 600, north_permille: 800 }),
        battery_permille: Some(800),
        tilt_mrad: Some(20),
        recorder_able: true,
        heartbeats: [Some(every(100)); 4],
        ..Inputs::default()
    }
}

fn main() {
    let keep_in = (0..AREAS_MAX / 2).map(round).collect();
    let keep_out = (AREAS_MAX / 2..AREAS_MAX)
        .map(|n| round(n).iter().map(|[lat, lon]| [lat + 0.01, *lon]).collect())
        .collect();
    let policy = Policy {
        geofence: Geofence { keep_in, keep_out, ..Geofence::default() },
        ..Policy::default()
    };
    let mut core = Supervisor::new(&policy).unwrap();
    let mut costs = Vec::new();
    let mut moved = 0_u64;
    for n in 1..=STEPS {
        let now = 1_000_000 + n * 10;
        let inputs = inputs(now, n as u32, (n / 10 % 50) as i32);
        let begun = Instant::now();
        let outputs = black_box(core.step(MonoMs(now), black_box(&inputs)));
        let bytes = black_box((inputs.encode(MonoMs(now)), outputs.encode()));
        costs.push(begun.elapsed().as_nanos());
        moved += u64::from(outputs.executed.linear_mmps > 0 && !bytes.0.is_empty());
    }
    assert!(moved > STEPS * 9 / 10, "the robot stands: this is no drive");
    costs.sort_unstable();
    let at = |permille: usize| costs[costs.len() * permille / 1_000];
    let (p50, p99, p999) = (at(500), at(990), at(999));
    let holds = p99 <= BAR_NS;
    if std::env::args().any(|argument| argument == "--json") {
        println!(
            r#"{{"id":"safety-step","unit":"ns","p50":{p50},"p99":{p99},"p999":{p999},"bar":{BAR_NS},"holds":{holds}}}"#
        );
    } else {
        println!(
            "step of the safety core, with its record: p50 {p50} ns, p99 {p99} ns, p99.9 {p999} ns (bar {BAR_NS})"
        );
    }
}
