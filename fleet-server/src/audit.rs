//! `fleet-server audit`: the ledger's invariants, on a store that no server uses.

use crate::fleet::{read_all, read_journal};
use crate::model::{Balance, JOURNAL_HEAD, Mission};
use crate::store::{SledStore, Store};
use anyhow::{Context, Result, ensure};
use clap::Args;
use fleet_core::account::Account;
use fleet_core::ledger::{Invariant, audit};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// What `fleet-server audit` takes.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// The server's folder. The server must not run; a running one answers at GET /v1/ledger.
    #[arg(long, env = "LONGREIN_FLEET_DATA")]
    data: PathBuf,
    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Audit {
    balanced: bool,
    entries: u64,
    head: String,
    balances: BTreeMap<Account, i64>,
    invariants: Vec<Invariant>,
}

/// Audits, shows the result, and says by the exit status whether all holds.
pub(crate) async fn run(args: AuditArgs) -> Result<ExitCode> {
    let dir = args.data.join("store");
    ensure!(dir.is_dir(), "{} is not a folder of a fleet server", args.data.display());
    let store =
        SledStore::open(&dir).context("a running server shows the same at GET /v1/ledger")?;
    let found = examine(&store).await?;
    let text = if args.json { serde_json::to_string_pretty(&found)? } else { table(&found) };
    show(&text);
    Ok(if found.balanced { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn examine(store: &dyn Store) -> Result<Audit> {
    let journal = read_journal(store).await?;
    let balances = read_all::<Balance>(store).await?;
    let missions = read_all::<Mission>(store).await?;
    let balances = balances.into_iter().map(|b| (b.account, b.balance)).collect();
    let missions = missions.into_iter().map(|m| (m.id, m.state)).collect();
    let (ledger, mut invariants) = audit(&journal, &balances, &missions);
    let head = store.get(JOURNAL_HEAD).await.context("reading the journal's head")?;
    let expected = (ledger.entries() > 0).then(|| hex::encode(ledger.head()).into_bytes());
    let holds = head == expected;
    let detail = if holds { "the newest entry's hash" } else { "not the newest entry's hash" };
    invariants.push(Invariant { id: "journal-head".into(), holds, detail: detail.into() });
    Ok(Audit {
        balanced: invariants.iter().all(|invariant| invariant.holds),
        entries: ledger.entries(),
        head: hex::encode(ledger.head()),
        balances,
        invariants,
    })
}

fn table(audit: &Audit) -> String {
    let mut lines =
        vec![format!("journal: {} entries, head {}", audit.entries, audit.head), String::new()];
    lines.extend(audit.balances.iter().map(|(account, balance)| {
        let account = account.to_string();
        format!("{account:<70} {balance:>18}")
    }));
    lines.push(String::new());
    lines.extend(audit.invariants.iter().map(|invariant| {
        let mark = if invariant.holds { "ok    " } else { "BROKEN" };
        format!("{mark} {:<26} {}", invariant.id, invariant.detail)
    }));
    lines.push(String::new());
    let verdict =
        if audit.balanced { "The ledger adds up." } else { "THE LEDGER DOES NOT ADD UP." };
    lines.push(verdict.into());
    lines.join("\n")
}

#[expect(clippy::print_stdout, reason = "this is the command's result")]
fn show(text: &str) {
    println!("{text}");
}
