//! Key files.

use anyhow::{Context, Result, anyhow};
use protocol::keys::PrivateKey;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// Reads the key in `path`, or makes one, readable by its owner only.
pub(crate) fn load_or_make(path: &Path) -> Result<PrivateKey> {
    match fs::read_to_string(path) {
        Ok(pem) => PrivateKey::from_pem(&pem).with_context(|| {
            format!("{}: restore it from a backup; without it nothing was changed", path.display())
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => make(path),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// Reads 32 secret bytes in hexadecimal from `path`, or makes them.
pub(crate) fn load_or_make_secret(path: &Path) -> Result<[u8; 32]> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let secret = hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
            secret.with_context(|| format!("{}: restore it from a backup", path.display()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).map_err(|error| anyhow!("making a secret: {error}"))?;
            write_secret(path, &hex::encode(secret))?;
            Ok(secret)
        }
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

fn make(path: &Path) -> Result<PrivateKey> {
    let key = PrivateKey::generate().map_err(|error| anyhow!("making a key: {error}"))?;
    write_secret(path, &key.to_pem())?;
    tracing::info!("made {} for {}", path.display(), key.did());
    Ok(key)
}

fn write_secret(path: &Path, text: &str) -> Result<()> {
    // Written beside and renamed: a crash leaves a whole key or none.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("writing {}", path.display()))
}
