//! The files that Rust and TypeScript both pass.

use serde_json::Value;
use std::path::PathBuf;

/// Compares `vectors` with the file of that name, or writes it when asked to.
pub(super) fn golden(name: &str, vectors: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    let text = serde_json::to_string_pretty(vectors).unwrap() + "\n";
    if std::env::var_os("LONGREIN_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let stored = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&stored).unwrap(),
        *vectors,
        "{name} differs; if the wire changed on purpose, run with LONGREIN_BLESS=1 and update SPEC.md"
    );
}
