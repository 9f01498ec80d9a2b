//! The ledger: double entry in integers, two-phase, idempotent, with a journal that proves its balances.
//!
//! A **transfer** is a set of legs that happen together or not at all. Its id is made by whoever asks for it, so
//! asking twice pays once. A mission's money moves in two phases: `Fund` puts the reward into the mission's
//! escrow; `Settle` (to those who earned it) or `Void` (back to the operator) empties the escrow and closes it.
//! The **journal** is append-only; each entry carries the hash of the one before, and the balances are nothing
//! but its replay.

mod audit;
mod entry;
#[cfg(test)]
mod tests;

pub use audit::{Invariant, audit};
pub use entry::{Entry, GENESIS, Hash, HashText};

use crate::account::Account;
use protocol::ids::{MissionId, TransferId};
use protocol::units::WallMs;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Largest amount and largest balance, in credits: integers up to here survive every JSON reader.
pub const AMOUNT_MAX: u64 = (1 << 53) - 1;
const BALANCE_MAX: i64 = (1 << 53) - 1;
/// Most legs of one transfer.
pub const LEGS_MAX: usize = 100;
/// Longest memo, in characters.
pub const MEMO_MAX: usize = 200;

/// What a transfer is for. The kind decides which accounts its legs may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Money from outside: external → operator.
    Deposit,
    /// First phase of a mission: operator → escrow.
    Fund,
    /// Second phase, paid: escrow → pilot, owners, operator.
    Settle,
    /// Second phase, given back: escrow → operator.
    Void,
}

/// One movement between two accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leg {
    /// Who pays.
    pub from: Account,
    /// Who is paid.
    pub to: Account,
    /// How much, in credits; never zero.
    pub amount: u64,
}

/// Legs that happen together or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Made by whoever asks.
    pub id: TransferId,
    /// What it is for.
    pub kind: Kind,
    /// The mission whose escrow it fills or empties; none for a deposit.
    pub mission: Option<MissionId>,
    /// The movements.
    pub legs: Vec<Leg>,
    /// Words for people.
    pub memo: String,
}

/// Why a transfer was refused. A refused transfer has changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The id was used for another transfer.
    #[error("transfer {0} was already made with other content; choose a new id")]
    Conflict(TransferId),
    /// An account would be overdrawn.
    #[error("{account} holds {balance} credits, {needed} are needed")]
    Overdraft {
        /// The account.
        account: Account,
        /// What it holds.
        balance: i64,
        /// What the transfer takes from it.
        needed: u64,
    },
    /// An amount is zero or above [`AMOUNT_MAX`], or a sum would be.
    #[error("an amount must be 1 to {AMOUNT_MAX} credits, and so must every sum")]
    Amount,
    /// The legs name accounts that this kind of transfer may not touch.
    #[error("a transfer of this kind may not go from {from} to {to}")]
    Accounts {
        /// Who would pay.
        from: Account,
        /// Who would be paid.
        to: Account,
    },
    /// No legs, or too many, or a memo that is too long, or a mission where none belongs.
    #[error("malformed transfer: {0}")]
    Malformed(&'static str),
    /// The second phase must empty the escrow.
    #[error(
        "the escrow of {mission} holds {balance} credits; a transfer that closes it must move all of them"
    )]
    NotEmptied {
        /// The mission.
        mission: MissionId,
        /// What would be left or missing is judged against this balance.
        balance: i64,
    },
    /// The mission was already funded, settled or voided.
    #[error("the escrow of {0} was already used")]
    EscrowUsed(MissionId),
}

/// The journal does not prove itself: somebody changed it, or we have a bug. Nothing may go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("journal entry {seq}: {what}")]
pub struct Corrupt {
    /// The first entry that is wrong.
    pub seq: u64,
    /// What is wrong with it.
    pub what: String,
}

/// What planning a transfer found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// A new entry; [`Ledger::post`] it once it is stored.
    New(Entry),
    /// The very same transfer was made before, as the entry with this number.
    Already(u64),
}

/// All balances, and what is needed to refuse a wrong transfer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    balances: BTreeMap<Account, i64>,
    made: BTreeMap<TransferId, (u64, Hash)>,
    used: BTreeSet<MissionId>,
    earned: BTreeMap<Account, u64>,
    entries: u64,
    head: Hash,
}

impl Ledger {
    /// A ledger in which nothing has happened.
    pub fn new() -> Self {
        Self::default()
    }

    /// What an account holds; zero for one that was never touched.
    pub fn balance(&self, account: &Account) -> i64 {
        self.balances.get(account).copied().unwrap_or(0)
    }

    /// Every account that was ever touched, in order.
    pub fn balances(&self) -> impl Iterator<Item = (&Account, i64)> {
        self.balances.iter().map(|(account, &balance)| (account, balance))
    }

    /// What was ever settled to an account, whatever has left it since.
    pub fn earned(&self, account: &Account) -> u64 {
        self.earned.get(account).copied().unwrap_or(0)
    }

    /// How many entries the journal has; the next one gets this number.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Hash of the newest entry; [`GENESIS`] before the first.
    pub fn head(&self) -> Hash {
        self.head
    }

    /// What would happen to `transfer` at `at`. Changes nothing: store the entry first, then [`Ledger::post`] it.
    ///
    /// # Errors
    /// Says why the transfer is refused.
    pub fn plan(&self, transfer: &Transfer, at: WallMs) -> Result<Plan, Refusal> {
        if let Some((seq, content)) = self.made.get(&transfer.id) {
            return if *content == entry::content_hash(transfer) {
                Ok(Plan::Already(*seq))
            } else {
                Err(Refusal::Conflict(transfer.id))
            };
        }
        check_form(transfer)?;
        let changes = self.changes(transfer)?;
        self.check_escrow(transfer, &changes)?;
        Ok(Plan::New(Entry::next(self.entries, at, transfer.clone(), self.head)))
    }

    /// Takes an entry that [`Ledger::plan`] made, or the next one of a stored journal, checking all of it.
    ///
    /// # Errors
    /// The entry does not follow from what came before.
    pub fn post(&mut self, entry: &Entry) -> Result<(), Corrupt> {
        let corrupt = |what: String| Corrupt { seq: entry.seq, what };
        if entry.seq != self.entries {
            return Err(corrupt(format!("expected number {}", self.entries)));
        }
        if entry.previous.0 != self.head {
            return Err(corrupt("does not name the hash of the entry before".into()));
        }
        if entry.hash.0 != entry.computed_hash() {
            return Err(corrupt("its hash is not that of its content".into()));
        }
        let transfer = &entry.transfer;
        if self.made.contains_key(&transfer.id) {
            return Err(corrupt(format!("transfer {} appears twice", transfer.id)));
        }
        let changes = check_form(transfer)
            .and_then(|()| self.changes(transfer))
            .and_then(|changes| self.check_escrow(transfer, &changes).map(|()| changes))
            .map_err(|refusal| corrupt(refusal.to_string()))?;
        for (account, balance) in changes {
            self.balances.insert(account, balance);
        }
        if let Some(mission) = transfer.mission {
            self.used.insert(mission);
        }
        if transfer.kind == Kind::Settle {
            for leg in &transfer.legs {
                let earned = self.earned.entry(leg.to).or_default();
                *earned = earned.saturating_add(leg.amount);
            }
        }
        self.made.insert(transfer.id, (entry.seq, entry::content_hash(transfer)));
        self.entries = self.entries.saturating_add(1);
        self.head = entry.hash.0;
        Ok(())
    }

    /// Plans and posts in one step.
    ///
    /// # Errors
    /// Says why the transfer is refused.
    pub fn apply(&mut self, transfer: &Transfer, at: WallMs) -> Result<Plan, Refusal> {
        let plan = self.plan(transfer, at)?;
        if let Plan::New(entry) = &plan {
            // `plan` made it from this very state, so it follows.
            self.post(entry).map_err(|_impossible| Refusal::Malformed("entry does not follow"))?;
        }
        Ok(plan)
    }

    /// Replays a journal from its first entry.
    ///
    /// # Errors
    /// Names the first entry that does not follow from those before.
    pub fn replay<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<Self, Corrupt> {
        let mut ledger = Self::new();
        for entry in entries {
            ledger.post(entry)?;
        }
        Ok(ledger)
    }

    /// New balances of the accounts that `transfer` touches.
    fn changes(&self, transfer: &Transfer) -> Result<BTreeMap<Account, i64>, Refusal> {
        let mut after: BTreeMap<Account, i64> = BTreeMap::new();
        for leg in &transfer.legs {
            let amount = i64::try_from(leg.amount).map_err(|_too_large| Refusal::Amount)?;
            for (account, change) in [(leg.from, amount.checked_neg()), (leg.to, Some(amount))] {
                let balance = after.entry(account).or_insert_with(|| self.balance(&account));
                *balance = change.and_then(|c| balance.checked_add(c)).ok_or(Refusal::Amount)?;
            }
        }
        for (account, &balance) in &after {
            if balance.unsigned_abs() > BALANCE_MAX.unsigned_abs() {
                return Err(Refusal::Amount);
            }
            if balance < 0 && *account != Account::External {
                let needed = transfer.legs.iter().filter(|leg| leg.from == *account);
                return Err(Refusal::Overdraft {
                    account: *account,
                    balance: self.balance(account),
                    needed: needed.map(|leg| leg.amount).fold(0, u64::saturating_add),
                });
            }
        }
        Ok(after)
    }

    /// An escrow is filled once, and emptied at once.
    fn check_escrow(
        &self,
        transfer: &Transfer,
        after: &BTreeMap<Account, i64>,
    ) -> Result<(), Refusal> {
        let Some(mission) = transfer.mission else { return Ok(()) };
        let escrow = Account::Escrow(mission);
        match transfer.kind {
            Kind::Deposit => Ok(()),
            Kind::Fund if self.used.contains(&mission) => Err(Refusal::EscrowUsed(mission)),
            Kind::Fund => Ok(()),
            Kind::Settle | Kind::Void if after.get(&escrow) != Some(&0) => {
                Err(Refusal::NotEmptied { mission, balance: self.balance(&escrow) })
            }
            Kind::Settle | Kind::Void => Ok(()),
        }
    }
}

/// What can be judged without balances.
fn check_form(transfer: &Transfer) -> Result<(), Refusal> {
    if transfer.legs.is_empty() || transfer.legs.len() > LEGS_MAX {
        return Err(Refusal::Malformed("1 to 100 legs"));
    }
    if transfer.memo.chars().count() > MEMO_MAX {
        return Err(Refusal::Malformed("a memo has at most 200 characters"));
    }
    if transfer.mission.is_some() == (transfer.kind == Kind::Deposit) {
        return Err(Refusal::Malformed("all kinds but a deposit name their mission"));
    }
    for leg in &transfer.legs {
        if leg.amount == 0 || leg.amount > AMOUNT_MAX {
            return Err(Refusal::Amount);
        }
        if !leg_allowed(transfer, leg) {
            return Err(Refusal::Accounts { from: leg.from, to: leg.to });
        }
    }
    Ok(())
}

fn leg_allowed(transfer: &Transfer, leg: &Leg) -> bool {
    let escrow = transfer.mission.map(Account::Escrow);
    let (from, to) = (leg.from, leg.to);
    match transfer.kind {
        Kind::Deposit => from == Account::External && to == Account::Operator,
        Kind::Fund => from == Account::Operator && Some(to) == escrow,
        Kind::Void => Some(from) == escrow && to == Account::Operator,
        Kind::Settle => {
            Some(from) == escrow
                && matches!(to, Account::Operator | Account::Pilot(_) | Account::Owner(_))
        }
    }
}
