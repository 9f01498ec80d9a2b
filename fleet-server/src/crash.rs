//! For the crash test: a process that makes transfers as fast as it can, through the same transactions as the
//! server, and prints the number of each once it was acknowledged.

use crate::config::{Config, ServeArgs};
use crate::fleet::Fleet;
use crate::keys;
use crate::ops::people;
use crate::store::SledStore;
use anyhow::{Result, anyhow};
use clap::Args;
use protocol::ids::TransferId;
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;

/// Writers at once, so that flushes are shared.
const WRITERS: u128 = 16;

/// What the hidden subcommand takes.
#[derive(Debug, Args)]
pub(crate) struct CrashArgs {
    #[arg(long)]
    data: PathBuf,
    /// Numbers start here.
    #[arg(long)]
    first: u128,
    /// Instead: a file of numbers, one in each line, whose transfers are made again.
    #[arg(long)]
    again: Option<PathBuf>,
}

/// Makes transfers until it is killed.
pub(crate) async fn run(args: CrashArgs) -> Result<()> {
    std::fs::create_dir_all(&args.data)?;
    let serve = ServeArgs {
        config: None,
        data: Some(args.data.clone()),
        http: None,
        zenoh: None,
        zenoh_public: None,
    };
    let key = keys::load_or_make(&args.data.join("fleet.key"))?;
    let store = Arc::new(SledStore::open(&args.data.join("store"))?);
    let fleet = Fleet::open(Config::load(serve)?, key, store).await?;
    if let Some(again) = args.again {
        for line in std::fs::read_to_string(again)?.lines() {
            deposit(&fleet, line.parse()?).await?;
        }
        return Ok(());
    }
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (fleet, first) = (Arc::clone(&fleet), args.first + writer);
            tokio::spawn(async move { write(&fleet, first).await })
        })
        .collect();
    for writer in writers {
        writer.await??;
    }
    Ok(())
}

async fn write(fleet: &Fleet, first: u128) -> Result<()> {
    let mut number = first;
    loop {
        deposit(fleet, number).await?;
        acknowledge(number);
        number += WRITERS;
    }
}

async fn deposit(fleet: &Fleet, number: u128) -> Result<()> {
    let done = async {
        let mut tx = fleet.begin().await;
        let id = TransferId::new(Uuid::from_u128(number));
        people::deposit(&mut tx, id, 1, number.to_string())?;
        tx.commit().await
    };
    done.await.map_err(|refused| anyhow!(refused.problem.detail))
}

#[expect(clippy::print_stdout, reason = "the test reads it")]
fn acknowledge(number: u128) {
    println!("{number}");
}
