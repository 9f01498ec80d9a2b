//! Whatever stands in a record, the core reads it or refuses it, and then steps without a panic.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "../../../fuzz/mutate.rs"]
#[allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "a harness, not a program"
)]
mod mutate;
mod world;

use agent_core::{Inputs, Policy, Supervisor};
use mutate::fuzz;
use protocol::units::MonoMs;
use world::{FULL, World};

#[test]
fn inputs() {
    let world = World::drive(FULL);
    let seeds = world.record.iter().rev().take(3).map(|(inputs, _)| inputs.clone()).collect();
    fuzz("core-inputs", seeds, |bytes| {
        let Ok((now, inputs)) = Inputs::decode(bytes) else { return };
        assert_eq!(inputs.encode(now), bytes);
        let mut core = Supervisor::new(&Policy::default()).unwrap();
        core.step(now, &inputs);
        core.step(now.plus(10), &inputs);
    });
}

#[test]
fn snapshots() {
    let world = World::drive(FULL);
    let inputs = world.inputs;
    fuzz("core-snapshots", vec![world.core.snapshot().to_vec()], |bytes| {
        let mut core = Supervisor::new(&Policy::default()).unwrap();
        if core.resume(bytes).is_ok() {
            core.step(MonoMs(world.now), &inputs);
            core.step(MonoMs(u64::MAX), &inputs);
        }
    });
}

#[test]
fn policies() {
    let seeds = vec![Policy::default().canonical_json().into_bytes()];
    fuzz("core-policies", seeds, |bytes| {
        let Ok(policy) = serde_json::from_slice::<Policy>(bytes) else { return };
        if let Ok(mut core) = Supervisor::new(&policy) {
            core.step(MonoMs(5), &Inputs::default());
            let again: Policy = serde_json::from_str(&policy.canonical_json()).unwrap();
            assert_eq!(again, policy);
        }
    });
}
