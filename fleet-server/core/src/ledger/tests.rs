//! Scenario and property tests of the ledger.

use super::*;
use proptest::prelude::*;
use protocol::ids::OwnerId;
use protocol::keys::{Did, PrivateKey};
use protocol::mission::MissionState;
use uuid::Uuid;

fn id(n: u128) -> TransferId {
    TransferId::new(Uuid::from_u128(n))
}
fn mission(n: u128) -> MissionId {
    MissionId::new(Uuid::from_u128(n))
}
fn did(n: u8) -> Did {
    PrivateKey::from_seed(&[n; 32]).did()
}
fn transfer(n: u128, kind: Kind, m: Option<u128>, legs: &[(Account, Account, u64)]) -> Transfer {
    let legs = legs.iter().map(|&(from, to, amount)| Leg { from, to, amount }).collect();
    Transfer { id: id(n), kind, mission: m.map(mission), legs, memo: String::new() }
}
fn deposit(n: u128, amount: u64) -> Transfer {
    transfer(n, Kind::Deposit, None, &[(Account::External, Account::Operator, amount)])
}
fn fund(n: u128, m: u128, amount: u64) -> Transfer {
    transfer(n, Kind::Fund, Some(m), &[(Account::Operator, Account::Escrow(mission(m)), amount)])
}
fn void(n: u128, m: u128, amount: u64) -> Transfer {
    transfer(n, Kind::Void, Some(m), &[(Account::Escrow(mission(m)), Account::Operator, amount)])
}
const AT: WallMs = WallMs(1_700_000_000_000);

#[test]
fn fund_then_settle_pays_everybody() {
    let mut ledger = Ledger::new();
    let (escrow, owner) = (Account::Escrow(mission(1)), OwnerId::new(Uuid::from_u128(9)));
    let settle = transfer(
        3,
        Kind::Settle,
        Some(1),
        &[
            (escrow, Account::Pilot(did(1)), 70),
            (escrow, Account::Owner(owner), 20),
            (escrow, Account::Operator, 10),
        ],
    );
    for t in [deposit(1, 1_000), fund(2, 1, 100), settle] {
        ledger.apply(&t, AT).unwrap();
    }
    assert_eq!(ledger.balance(&Account::External), -1_000);
    assert_eq!(ledger.balance(&Account::Operator), 910);
    assert_eq!(ledger.balance(&Account::Pilot(did(1))), 70);
    assert_eq!(ledger.balance(&Account::Owner(owner)), 20);
    assert_eq!(ledger.balance(&escrow), 0);
    assert_eq!(ledger.earned(&Account::Operator), 10);
}

#[test]
fn asking_twice_pays_once_and_other_content_conflicts() {
    let mut ledger = Ledger::new();
    assert!(matches!(ledger.apply(&deposit(1, 5), AT), Ok(Plan::New(_))));
    assert_eq!(ledger.apply(&deposit(1, 5), WallMs(9)), Ok(Plan::Already(0)));
    assert_eq!(ledger.apply(&deposit(1, 6), AT), Err(Refusal::Conflict(id(1))));
    assert_eq!(ledger.balance(&Account::Operator), 5);
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut ledger = Ledger::new();
    ledger.apply(&deposit(1, 100), AT).unwrap();
    ledger.apply(&fund(2, 1, 60), AT).unwrap();
    let before = ledger.clone();
    let escrow = Account::Escrow(mission(1));
    let bad = [
        fund(3, 2, 41),
        fund(3, 1, 10),
        void(3, 1, 59),
        void(3, 1, 61),
        void(3, 2, 1),
        deposit(3, 0),
        deposit(3, AMOUNT_MAX),
        deposit(3, u64::MAX),
        transfer(3, Kind::Deposit, None, &[]),
        transfer(3, Kind::Deposit, None, &[(Account::External, Account::Pilot(did(1)), 1)]),
        transfer(3, Kind::Deposit, Some(1), &[(Account::External, Account::Operator, 1)]),
        transfer(3, Kind::Settle, Some(1), &[(Account::Operator, Account::Pilot(did(1)), 60)]),
        transfer(3, Kind::Settle, Some(1), &[(escrow, Account::Escrow(mission(2)), 60)]),
        transfer(3, Kind::Settle, None, &[(escrow, Account::Operator, 60)]),
        Transfer { memo: "x".repeat(MEMO_MAX + 1), ..deposit(3, 1) },
    ];
    for transfer in bad {
        assert!(ledger.apply(&transfer, AT).is_err(), "{transfer:?}");
        assert_eq!(ledger, before);
    }
}

#[test]
fn an_escrow_is_used_once() {
    let mut ledger = Ledger::new();
    for t in [deposit(1, 100), fund(2, 1, 60), void(3, 1, 60)] {
        ledger.apply(&t, AT).unwrap();
    }
    assert_eq!(ledger.apply(&fund(4, 1, 60), AT), Err(Refusal::EscrowUsed(mission(1))));
    assert!(ledger.apply(&void(5, 1, 60), AT).is_err());
}

fn journal(transfers: &[Transfer]) -> (Ledger, Vec<Entry>) {
    let mut ledger = Ledger::new();
    let mut entries = Vec::new();
    for t in transfers {
        if let Ok(Plan::New(entry)) = ledger.apply(t, AT) {
            entries.push(entry);
        }
    }
    (ledger, entries)
}

#[test]
fn a_changed_journal_is_found() {
    let (ledger, entries) = journal(&[deposit(1, 100), fund(2, 1, 60), void(3, 1, 60)]);
    assert_eq!(Ledger::replay(&entries), Ok(ledger));
    let mut amount = entries.clone();
    amount[0].transfer.legs[0].amount = 101;
    let mut time = entries.clone();
    time[1].at = WallMs(0);
    let mut dropped = entries.clone();
    dropped.remove(1);
    let mut swapped = entries.clone();
    swapped.swap(1, 2);
    let mut rehashed = entries.clone();
    rehashed[0] = Entry::next(0, AT, deposit(1, 101), GENESIS);
    for (wrong, seq) in [(amount, 0), (time, 1), (dropped, 2), (swapped, 2), (rehashed, 1)] {
        assert_eq!(Ledger::replay(&wrong).unwrap_err().seq, seq);
    }
}

#[test]
fn an_entry_reads_back_from_json_with_the_same_hash() {
    let (_, entries) = journal(&[deposit(1, 100)]);
    let text = serde_json::to_string(&entries[0]).unwrap();
    let back: Entry = serde_json::from_str(&text).unwrap();
    assert_eq!(back, entries[0]);
    assert_eq!(back.computed_hash(), back.hash.0);
}

#[test]
fn audit_names_what_is_wrong() {
    let (ledger, entries) = journal(&[deposit(1, 100), fund(2, 1, 60)]);
    let stored: BTreeMap<Account, i64> = ledger.balances().map(|(a, b)| (*a, b)).collect();
    let missions = BTreeMap::from([(mission(1), MissionState::Open)]);
    let broken = |stored: &BTreeMap<Account, i64>, missions: &BTreeMap<MissionId, MissionState>| {
        let (_, found) = audit(&entries, stored, missions);
        found.into_iter().filter(|i| !i.holds).map(|i| i.id).collect::<Vec<_>>()
    };
    assert!(broken(&stored, &missions).is_empty());
    let settled = BTreeMap::from([(mission(1), MissionState::Settled)]);
    assert_eq!(broken(&stored, &settled), ["escrow-matches-missions"]);
    assert_eq!(broken(&stored, &BTreeMap::new()), ["escrow-matches-missions"]);
    let mut stolen = stored.clone();
    stolen.insert(Account::Operator, 39);
    assert_eq!(broken(&stolen, &missions), ["sum-zero", "balances-match-journal"]);
}

fn any_transfer() -> impl Strategy<Value = Transfer> {
    // Few ids, missions and amounts, so that repeats, conflicts and overdrafts happen often.
    let amount = prop_oneof![1u64..200, Just(0), Just(AMOUNT_MAX)];
    (0u128..24, 0u128..4, 0u8..4, amount, 1u64..100).prop_map(|(n, m, kind, amount, part)| {
        match kind {
            0 => deposit(n, amount),
            1 => fund(n, m, amount),
            2 => void(n, m, amount),
            _ => {
                let escrow = Account::Escrow(mission(m));
                let part = part.min(amount);
                transfer(
                    n,
                    Kind::Settle,
                    Some(m),
                    &[
                        (escrow, Account::Pilot(did(1)), part),
                        (escrow, Account::Operator, amount.saturating_sub(part)),
                    ],
                )
            }
        }
    })
}

proptest! {
    #[test]
    fn money_is_conserved_and_the_journal_proves_it(transfers in prop::collection::vec(any_transfer(), 0..120)) {
        let mut ledger = Ledger::new();
        let mut entries = Vec::new();
        for t in &transfers {
            let before = ledger.clone();
            match ledger.apply(t, AT) {
                Ok(Plan::New(entry)) => entries.push(entry),
                Ok(Plan::Already(_)) | Err(_) => prop_assert_eq!(&ledger, &before),
            }
            prop_assert_eq!(ledger.balances().map(|(_, b)| i128::from(b)).sum::<i128>(), 0);
            prop_assert!(ledger.balances().all(|(a, b)| b >= 0 || *a == Account::External));
        }
        prop_assert_eq!(Ledger::replay(&entries), Ok(ledger.clone()));
        // Idempotence: whatever was made once changes nothing when asked again.
        for entry in &entries {
            prop_assert_eq!(ledger.plan(&entry.transfer, WallMs(1)), Ok(Plan::Already(entry.seq)));
        }
    }
}
