//! Deposits and the ledger.

use super::extract::{Body, Params, limit};
use super::schemas;
use crate::auth::{Act, Caller};
use crate::fleet::{Fleet, read_all};
use crate::model::{Balance, JOURNAL, Mission, journal_key};
use crate::ops::people;
use crate::problems::{Refused, Result};
use crate::store::Scan;
use crate::views::Page;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use fleet_core::account::Account;
use fleet_core::ledger::{Entry, Invariant};
use protocol::ids::TransferId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

type Shared = State<Arc<Fleet>>;

/// Money from outside.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DepositOrder {
    /// `txn_…`, made by whoever asks: asking twice pays once.
    #[schema(value_type = String)]
    transfer: TransferId,
    /// Credits.
    amount: u64,
    /// Words for people.
    #[serde(default)]
    memo: String,
}

/// Money came in.
#[derive(Serialize, ToSchema)]
pub(crate) struct DepositMade {
    /// The transfer.
    #[schema(value_type = String)]
    transfer: TransferId,
    /// Credits.
    amount: u64,
    /// What the operator holds now.
    operator_balance: i64,
}

/// Puts money in.
#[utoipa::path(post, path = "/v1/deposits", tag = "operator", security(("session" = [])),
    request_body = DepositOrder, responses((status = 201, body = DepositMade),
    (status = 200, body = DepositMade, description = "made before"),
    (status = 409, body = schemas::Problem)))]
pub(crate) async fn deposit(
    State(fleet): Shared,
    caller: Caller,
    Body(order): Body<DepositOrder>,
) -> Result<(StatusCode, Json<DepositMade>)> {
    caller.may(Act::ManageMoney)?;
    let DepositOrder { transfer, amount, memo } = order;
    let mut tx = fleet.begin().await;
    let (new, operator_balance) = people::deposit(&mut tx, transfer, amount, memo)?;
    tx.commit().await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(DepositMade { transfer, amount, operator_balance })))
}

/// The ledger at a glance.
#[derive(Serialize, ToSchema)]
pub(crate) struct LedgerView {
    /// Whether every invariant holds.
    balanced: bool,
    /// Entries in the journal.
    entries: u64,
    /// Hash of the newest entry, in hexadecimal.
    head: String,
    /// Sums by kind of account.
    totals: Totals,
    /// Every account.
    balances: Vec<BalanceView>,
    /// What was checked. The whole journal is replayed at each start and by `fleet-server audit`.
    #[schema(value_type = Vec<Object>)]
    invariants: Vec<Invariant>,
}

/// Sums by kind of account. They add up to zero.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct Totals {
    /// Minus what came in from outside.
    external: i64,
    /// The operator's.
    operator: i64,
    /// In escrow.
    escrow: i64,
    /// Earned by pilots and agents.
    pilots: i64,
    /// Earned by owners.
    owners: i64,
}

/// One account.
#[derive(Serialize, ToSchema)]
pub(crate) struct BalanceView {
    /// Its name.
    #[schema(value_type = String)]
    account: Account,
    /// Credits.
    balance: i64,
}

/// Balances, and whether the ledger's invariants hold on what is stored now.
#[utoipa::path(get, path = "/v1/ledger", tag = "operator", security(("session" = [])),
    responses((status = 200, body = LedgerView)))]
pub(crate) async fn ledger(State(fleet): Shared, caller: Caller) -> Result<Json<LedgerView>> {
    caller.may(Act::ManageMoney)?;
    // Nobody writes while we compare, so everything we read is of one moment.
    let ledger = fleet.ledger.lock().await;
    let store = &*fleet.store;
    let journal = crate::fleet::read_journal(store).await.map_err(Refused::internal)?;
    let stored = read_all::<Balance>(store).await.map_err(Refused::internal)?;
    let missions = read_all::<Mission>(store).await.map_err(Refused::internal)?;
    let stored = stored.into_iter().map(|b| (b.account, b.balance)).collect();
    let missions = missions.into_iter().map(|m| (m.id, m.state)).collect();
    let (_, invariants) = fleet_core::ledger::audit(&journal, &stored, &missions);
    let mut totals = Totals::default();
    for (account, balance) in &stored {
        let total = match account {
            Account::External => &mut totals.external,
            Account::Operator => &mut totals.operator,
            Account::Escrow(_) => &mut totals.escrow,
            Account::Pilot(_) => &mut totals.pilots,
            Account::Owner(_) => &mut totals.owners,
        };
        *total = total.saturating_add(*balance);
    }
    let view = |(account, balance)| BalanceView { account, balance };
    Ok(Json(LedgerView {
        balanced: invariants.iter().all(|invariant| invariant.holds),
        entries: ledger.entries(),
        head: hex::encode(ledger.head()),
        totals,
        balances: stored.into_iter().map(view).collect(),
        invariants,
    }))
}

/// Which page of the journal.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JournalPaging {
    /// `next` of the page before.
    cursor: Option<u64>,
    /// 1 to 200; 50 when left out.
    limit: Option<usize>,
}

/// The journal, oldest first; each entry carries the hash of the one before.
#[utoipa::path(get, path = "/v1/ledger/entries", tag = "operator", security(("session" = [])),
    params(JournalPaging), responses((status = 200, body = Page<Object>)))]
pub(crate) async fn entries(
    State(fleet): Shared,
    caller: Caller,
    Params(paging): Params<JournalPaging>,
) -> Result<Json<Page<Entry>>> {
    caller.may(Act::ManageMoney)?;
    let limit = limit(paging.limit)?;
    let after = paging.cursor.map(journal_key);
    let scan = Scan { prefix: JOURNAL, after: after.as_deref(), descending: false, limit };
    let found = fleet.store.scan(scan).await?;
    let read = |(_, value): &(String, Vec<u8>)| serde_json::from_slice(value);
    let items: Vec<Entry> = found.iter().map(read).collect::<Result<_, _>>()?;
    let next = (items.len() == limit).then(|| items.last().map(|entry| entry.seq.to_string()));
    Ok(Json(Page { items, next: next.flatten() }))
}
