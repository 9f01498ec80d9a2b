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
    /// How many transfers each writer makes.
    #[arg(long, default_value_t = u128::MAX)]
    count: u128,
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
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (fleet, first, count) = (Arc::clone(&fleet), args.first + writer, args.count);
            tokio::spawn(async move { write(&fleet, first, count).await })
        })
        .collect();
    for writer in writers {
        writer.await??;
    }
    Ok(())
}

async fn write(fleet: &Fleet, first: u128, count: u128) -> Result<()> {
    let mut number = first;
    for _ in 0..count {
        let done = async {
            let mut tx = fleet.begin().await;
            let id = TransferId::new(Uuid::from_u128(number));
            people::deposit(&mut tx, id, 1, number.to_string())?;
            tx.commit().await
        };
        done.await.map_err(|refused| anyhow!(refused.problem.detail))?;
        acknowledge(number);
        number += WRITERS;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the test reads it")]
fn acknowledge(number: u128) {
    println!("{number}");
}
