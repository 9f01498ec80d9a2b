//! The invariants of the ledger, judged on what is stored. Each has an id that reports and tests use.

use super::{Entry, Ledger};
use crate::account::Account;
use crate::mission::has_escrow;
use protocol::ids::MissionId;
use protocol::mission::MissionState;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One invariant and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invariant {
    /// Stable id.
    pub id: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was found, in words.
    pub detail: String,
}

/// Judges a stored journal, the balances stored beside it, and the missions whose escrows it holds.
/// Also gives the ledger that the journal proves, as far as it could be replayed.
pub fn audit(
    journal: &[Entry],
    stored: &BTreeMap<Account, i64>,
    missions: &BTreeMap<MissionId, MissionState>,
) -> (Ledger, Vec<Invariant>) {
    let mut ledger = Ledger::new();
    let broken = journal.iter().find_map(|entry| ledger.post(entry).err());
    let mut found = vec![judge(
        "journal-replays",
        broken.map(|corrupt| corrupt.to_string()),
        format!("{} entries, each follows from the one before", ledger.entries()),
    )];
    let sum: i128 = stored.values().map(|&balance| i128::from(balance)).sum();
    found.push(judge(
        "sum-zero",
        (sum != 0).then(|| format!("the balances add up to {sum}")),
        format!("{} balances add up to 0", stored.len()),
    ));
    found.push(judge(
        "balances-match-journal",
        first_difference(&ledger, stored),
        "all equal".into(),
    ));
    let negative = stored.iter().find(|(a, b)| **b < 0 && **a != Account::External);
    found.push(judge(
        "none-overdrawn",
        negative.map(|(account, balance)| format!("{account} holds {balance}")),
        "no account but external is below zero".into(),
    ));
    found.push(judge("escrow-matches-missions", escrow_fault(stored, missions), {
        "money lies in escrow exactly for the missions that may still pay it".into()
    }));
    (ledger, found)
}

fn judge(id: &str, fault: Option<String>, fine: String) -> Invariant {
    Invariant { id: id.into(), holds: fault.is_none(), detail: fault.unwrap_or(fine) }
}

fn first_difference(ledger: &Ledger, stored: &BTreeMap<Account, i64>) -> Option<String> {
    let of = |account: &Account| stored.get(account).copied().unwrap_or(0);
    let wrong = |account: &Account| ledger.balance(account) != of(account);
    let account =
        stored.keys().chain(ledger.balances().map(|(a, _)| a)).find(|account| wrong(account))?;
    Some(format!("{account}: stored {}, the journal says {}", of(account), ledger.balance(account)))
}

fn escrow_fault(
    stored: &BTreeMap<Account, i64>,
    missions: &BTreeMap<MissionId, MissionState>,
) -> Option<String> {
    let lost = stored.iter().find_map(|(account, &balance)| match account {
        Account::Escrow(mission) if balance != 0 => match missions.get(mission) {
            None => Some(format!("{account} holds {balance} for no known mission")),
            Some(state) if !has_escrow(*state) => {
                Some(format!("{account} holds {balance} though the mission is {state:?}"))
            }
            Some(_) => None,
        },
        Account::Escrow(_)
        | Account::External
        | Account::Operator
        | Account::Pilot(_)
        | Account::Owner(_) => None,
    });
    lost.or_else(|| {
        missions.iter().find_map(|(mission, state)| {
            let empty = stored.get(&Account::Escrow(*mission)).copied().unwrap_or(0) == 0;
            (has_escrow(*state) && empty)
                .then(|| format!("mission {mission} is {state:?}, but its escrow is empty"))
        })
    })
}
