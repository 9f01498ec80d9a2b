//! Key files: PKCS#8 PEM, readable by their owner only.

use anyhow::{Context, Result, anyhow, bail};
use protocol::keys::PrivateKey;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The file that was named, or the one where a key is by default.
pub(crate) fn path(named: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(named) = named {
        return Ok(named);
    }
    let of = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = of("XDG_CONFIG_HOME").or_else(|| of("HOME").map(|home| home.join(".config")));
    let folder = folder.context("there is no home folder: name the key file with --key")?;
    Ok(folder.join("longrein/agent.key"))
}

/// Makes a new key at `path`. Fails when there is a file already.
pub(crate) fn make(path: &Path) -> Result<PrivateKey> {
    let key = PrivateKey::generate()
        .map_err(|error| anyhow!("the operating system has no random bytes for a key: {error}"))?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match opened {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
            "{} is there already: use it, or name another file (a key is never overwritten)",
            path.display()
        ),
        other => other.with_context(|| format!("cannot make the key file {}", path.display()))?,
    };
    file.write_all(key.to_pem().as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write the key file {}", path.display()))?;
    Ok(key)
}

/// Reads the key at `path`. Fails when others than its owner can read it.
pub(crate) fn load(path: &Path) -> Result<PrivateKey> {
    let shown = path.display();
    let pem = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "there is no key at {shown}: make and register one with `longrein join INVITATION --name NAME`, \
             or name yours with --key"
        ),
        other => other.with_context(|| format!("cannot read the key file {shown}"))?,
    };
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        bail!("others can read the key file {shown} (mode {mode:o}): run `chmod 600 {shown}`");
    }
    PrivateKey::from_pem(&pem).with_context(|| shown.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_is_private_and_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/agent.key");
        let made = make(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(load(&path).unwrap().did(), made.did());
        let error = make(&path).unwrap_err().to_string();
        assert!(error.contains("never overwritten"), "{error}");
        assert_eq!(load(&path).unwrap().did(), made.did());
    }

    #[test]
    fn a_key_that_cannot_be_used_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.key");
        assert!(load(&path).unwrap_err().to_string().contains("longrein join"));
        std::fs::write(&path, "junk").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(load(&path).unwrap_err().to_string().contains("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(format!("{:#}", load(&path).unwrap_err()).contains("PKCS#8"));
    }
}
