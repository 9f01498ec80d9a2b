//! What every store must do. Each implementation runs the whole suite.

use super::{Batch, CommitError, MemoryStore, Scan, SledStore, Store};
use std::sync::Arc;

fn batch(checks: &[(&str, Option<&str>)], writes: &[(&str, Option<&str>)]) -> Batch {
    let own = |pairs: &[(&str, Option<&str>)]| {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), v.map(|v| v.as_bytes().to_vec()))).collect()
    };
    Batch { checks: own(checks), writes: own(writes) }
}

async fn write(store: &dyn Store, writes: &[(&str, Option<&str>)]) {
    store.commit(batch(&[], writes)).await.unwrap().wait().await.unwrap();
}

async fn text(store: &dyn Store, key: &str) -> Option<String> {
    store.get(key).await.unwrap().map(|value| String::from_utf8(value).unwrap())
}

async fn keys(
    store: &dyn Store,
    prefix: &str,
    after: Option<&str>,
    descending: bool,
) -> Vec<String> {
    let scan = Scan { prefix, after, descending, limit: 3 };
    store.scan(scan).await.unwrap().into_iter().map(|(key, _)| key).collect()
}

async fn a_batch_is_written_whole_or_not_at_all(store: &dyn Store) {
    write(store, &[("x/1", Some("a")), ("x/2", Some("b"))]).await;
    let wrong = batch(
        &[("x/1", Some("a")), ("x/2", Some("other"))],
        &[("x/1", Some("c")), ("x/3", Some("d"))],
    );
    let error = store.commit(wrong).await.unwrap_err();
    assert!(matches!(error, CommitError::Conflict { key } if key == "x/2"));
    assert_eq!(text(store, "x/1").await.as_deref(), Some("a"));
    assert_eq!(text(store, "x/3").await, None);
    let right = batch(&[("x/1", Some("a")), ("x/3", None)], &[("x/1", None), ("x/3", Some("d"))]);
    store.commit(right).await.unwrap().wait().await.unwrap();
    assert_eq!(text(store, "x/1").await, None);
    assert_eq!(text(store, "x/3").await.as_deref(), Some("d"));
}

async fn absence_is_a_check(store: &dyn Store) {
    let claim = || batch(&[("claim/1", None)], &[("claim/1", Some("mine"))]);
    store.commit(claim()).await.unwrap().wait().await.unwrap();
    assert!(matches!(store.commit(claim()).await, Err(CommitError::Conflict { .. })));
}

async fn scans_are_ordered_and_paged_both_ways(store: &dyn Store) {
    write(store, &[("s/a", Some("")), ("s/b", Some("")), ("s/c", Some("")), ("s/d", Some(""))])
        .await;
    write(store, &[("r/z", Some("")), ("s0", Some("")), ("t/a", Some(""))]).await;
    assert_eq!(keys(store, "s/", None, false).await, ["s/a", "s/b", "s/c"]);
    assert_eq!(keys(store, "s/", Some("s/c"), false).await, ["s/d"]);
    assert_eq!(keys(store, "s/", None, true).await, ["s/d", "s/c", "s/b"]);
    assert_eq!(keys(store, "s/", Some("s/b"), true).await, ["s/a"]);
    assert_eq!(keys(store, "s/", Some("s/bb"), true).await, ["s/b", "s/a"]);
    assert!(keys(store, "s/", Some("a"), true).await.is_empty());
    assert!(keys(store, "none/", None, true).await.is_empty());
}

async fn of_concurrent_writers_one_wins(store: Arc<dyn Store>) {
    write(&*store, &[("count", Some("0"))]).await;
    let adders = (0..8).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..20 {
                loop {
                    let old = text(&*store, "count").await.unwrap();
                    let new = (old.parse::<u32>().unwrap() + 1).to_string();
                    let add = batch(&[("count", Some(&old))], &[("count", Some(&new))]);
                    match store.commit(add).await {
                        Ok(durable) => break durable.wait().await.unwrap(),
                        Err(CommitError::Conflict { .. }) => tokio::task::yield_now().await,
                        Err(CommitError::Store(error)) => panic!("{error}"),
                    }
                }
            }
        })
    });
    for adder in adders.collect::<Vec<_>>() {
        adder.await.unwrap();
    }
    assert_eq!(text(&*store, "count").await.as_deref(), Some("160"));
}

async fn conforms(store: Arc<dyn Store>) {
    a_batch_is_written_whole_or_not_at_all(&*store).await;
    absence_is_a_check(&*store).await;
    scans_are_ordered_and_paged_both_ways(&*store).await;
    of_concurrent_writers_one_wins(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory() {
    conforms(Arc::new(MemoryStore::default())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sled() {
    let dir = tempfile::tempdir().unwrap();
    conforms(Arc::new(SledStore::open(dir.path()).unwrap())).await;
    // Closed and opened again it holds the same; a second process is told why it can't have it.
    let store = SledStore::open(dir.path()).unwrap();
    assert_eq!(text(&store, "count").await.as_deref(), Some("160"));
}
