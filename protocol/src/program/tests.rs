use super::*;
use crate::keys::PrivateKey;
use crate::lease::{DriverKind, LeaseLimits};

fn holder() -> PrivateKey {
    PrivateKey::from_seed(&[5; 32])
}

fn lease() -> Lease {
    Lease {
        v: 1,
        lease_id: LeaseId::new(uuid::Uuid::from_u128(7)),
        robot: "rover".parse().unwrap(),
        robot_did: PrivateKey::from_seed(&[6; 32]).did(),
        holder: holder().did(),
        relay: Some(PrivateKey::from_seed(&[8; 32]).did()),
        driver_kind: DriverKind::Agent,
        epoch: 3,
        renewal: 0,
        issued_at: WallMs(1),
        ttl_ms: 30_000,
        limits: LeaseLimits { speed_mps_max: 1.0 },
        mission: None,
    }
}

fn command(n: u32) -> ProgramCommand {
    ProgramCommand { n, at: WallMs(9), linear_ppm: 500_000, angular_ppm: -1, seen_ms: Some(4) }
}

fn receipt(chain: &Chain, ns: &[u32]) -> ProgramReceipt {
    let (lease_id, epoch) = (lease().lease_id, lease().epoch);
    let (index, previous) = (chain.receipts, chain.head.clone());
    let commands = ns.iter().copied().map(command).collect();
    ProgramReceipt { lease_id, epoch, index, previous, commands }
}

fn relayed(receipt: &ProgramReceipt, first_seqs: &[u32], through_seq: u32) -> RelayedReceipt {
    let receipt = Envelope::sign(payload_type::COMMANDS, receipt, &holder()).unwrap();
    RelayedReceipt { receipt, first_seqs: first_seqs.to_vec(), through_seq }
}

#[test]
fn receipts_are_taken_in_their_order_and_once() {
    let mut chain = Chain::default();
    let first = relayed(&receipt(&chain, &[1, 2, 4]), &[1, 0, 9], 12);
    assert_eq!(chain.take(&first, &lease()).unwrap().unwrap().commands.len(), 3);
    assert_eq!(chain.take(&first, &lease()), Ok(None), "an answer that got lost");
    let empty = relayed(&receipt(&chain, &[]), &[], 30);
    assert!(chain.take(&empty, &lease()).unwrap().is_some());
    let last = relayed(&receipt(&chain, &[5]), &[31], 31);
    assert!(chain.take(&last, &lease()).unwrap().is_some());
    assert_eq!((chain.receipts, chain.command_last, chain.through_seq), (3, 5, 31));
}

#[test]
fn what_does_not_continue_the_chain_is_refused_and_changes_nothing() {
    let mut chain = Chain::default();
    let first = relayed(&receipt(&chain, &[1, 2]), &[1, 5], 7);
    chain.take(&first, &lease()).unwrap();
    let good = receipt(&chain, &[3, 4]);
    let mut cases = vec![
        (relayed(&ProgramReceipt { index: 0, ..good.clone() }, &[8, 9], 9), "receipt before"),
        (
            relayed(&ProgramReceipt { previous: "0".repeat(64), ..good.clone() }, &[8, 9], 9),
            "receipt before",
        ),
        (relayed(&ProgramReceipt { epoch: 4, ..good.clone() }, &[8, 9], 9), "another lease"),
        (relayed(&receipt(&chain, &[2, 3]), &[8, 9], 9), "does not follow"),
        (relayed(&receipt(&chain, &[4, 3]), &[8, 9], 9), "does not follow"),
        (relayed(&good, &[8], 9), "another number"),
        (relayed(&good, &[9, 8], 9), "out of their order"),
        (relayed(&good, &[7, 8], 9), "out of their order"),
        (relayed(&good, &[8, 9], 7), "backwards"),
        (relayed(&good, &[0, 0], 6), "backwards"),
    ];
    let mut far = good.clone();
    far.commands[0].linear_ppm = FULL_PPM + 1;
    cases.push((relayed(&far, &[8, 9], 9), "out of range"));
    let many: Vec<u32> = (3..).take(COMMANDS_MAX + 1).collect();
    cases.push((relayed(&receipt(&chain, &many), &vec![0; many.len()], 9), "more than 500"));
    let other = PrivateKey::from_seed(&[8; 32]);
    let forged = Envelope::sign(payload_type::COMMANDS, &good, &other).unwrap();
    let forged = RelayedReceipt { receipt: forged, first_seqs: vec![8, 9], through_seq: 9 };
    cases.push((forged, "not signed by the lease's holder"));
    for (bad, words) in cases {
        let before = chain.clone();
        let error = chain.take(&bad, &lease()).unwrap_err();
        assert!(error.contains(words), "{error} is not about {words}");
        assert_eq!(chain, before);
    }
    assert!(chain.take(&relayed(&good, &[8, 9], 9), &lease()).unwrap().is_some());
}

#[test]
fn a_command_in_the_robots_measures() {
    let scale = Scale { forward_mmps: 1_500, reverse_mmps: 800, turn_mradps: 6_000 };
    let of = |linear_ppm, angular_ppm| {
        scale.of(&ProgramCommand { linear_ppm, angular_ppm, ..command(1) })
    };
    assert_eq!(of(1_000_000, 0), (1_500, 0));
    assert_eq!(of(-1_000_000, -500_000), (-800, -3_000));
    assert_eq!(of(333, 1_000_000), (0, ANGULAR_MRADPS_MAX), "the relay's own bound");
    assert_eq!(of(334, 83), (1, 0));
    assert_eq!(of(-1_000, 0), (-1, 0));
    assert_eq!(
        (ppm(0.5), ppm(-1.0), ppm(1.000_000_1), ppm(f64::NAN)),
        (Some(500_000), Some(-FULL_PPM), None, None)
    );
}
