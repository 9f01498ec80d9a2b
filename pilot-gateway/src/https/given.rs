//! A certificate of the owner's own, read from files and read again when they change.

use super::{Facts, certified};
use anyhow::{Context, Result, bail, ensure};
use protocol::units::WallMs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

type Stamp = (Option<SystemTime>, Option<SystemTime>);

/// The two files.
#[derive(Debug)]
pub struct Given {
    cert: PathBuf,
    key: PathBuf,
    seen: Mutex<Stamp>,
}

impl Given {
    /// Reads both; an error says what to do.
    pub fn open(cert: PathBuf, key: PathBuf, now: WallMs) -> Result<(Self, CertifiedKey)> {
        let seen = Mutex::new(stamp(&cert, &key));
        let first = read(&cert, &key, now)?;
        Ok((Self { cert, key, seen }, first))
    }

    /// The certificate, if the files are others than before.
    pub fn changed(&self, now: WallMs) -> Option<Result<CertifiedKey>> {
        let new = stamp(&self.cert, &self.key);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == new {
            return None;
        }
        let read = read(&self.cert, &self.key, now);
        // Two files are not replaced at one time: what does not fit yet is looked at again.
        if read.is_ok() {
            *seen = new;
        }
        Some(read)
    }
}

fn stamp(cert: &Path, key: &Path) -> Stamp {
    let of = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    (of(cert), of(key))
}

fn read(cert: &Path, key: &Path, now: WallMs) -> Result<CertifiedKey> {
    let pem = std::fs::read(cert).with_context(|| {
        format!("cannot read the certificate {} of --https-cert", cert.display())
    })?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.with_context(|| format!("{} is no PEM file", cert.display()))?;
    let Some(leaf) = chain.first() else {
        bail!(
            "{} holds no certificate: it must begin with -----BEGIN CERTIFICATE-----",
            cert.display()
        );
    };
    let facts = Facts::of(leaf).with_context(|| format!("the certificate {}", cert.display()))?;
    ensure!(now < facts.not_after, "the certificate {} has expired: renew it", cert.display());
    ensure!(
        now >= facts.not_before,
        "the certificate {} is not valid yet: look at this machine's clock",
        cert.display()
    );
    let pem = std::fs::read(key)
        .with_context(|| format!("cannot read the private key {} of --https-key", key.display()))?;
    let private = PrivateKeyDer::from_pem_slice(&pem)
        .with_context(|| format!("{} holds no private key in PEM form", key.display()))?;
    match certified(chain, private) {
        Ok(both) => Ok(both),
        Err(rustls::Error::InconsistentKeys(_)) => bail!(
            "the private key {} does not fit the certificate {}: name the two that were made together",
            key.display(),
            cert.display()
        ),
        Err(error) => Err(error).with_context(|| {
            format!("certificate {} and private key {}", cert.display(), key.display())
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::local::{Local, Names};
    use super::*;

    const NOW: WallMs = WallMs(1_800_000_000_000);

    /// Files as an owner might bring them.
    fn files(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
        let base = dir.join(name);
        let local = Local::open(&base, NOW).unwrap();
        local.certificate(&Names::new("box", []), NOW).unwrap();
        (base.with_extension("https.crt"), base.with_extension("https.key"))
    }

    fn refusal(cert: &Path, key: &Path, now: WallMs) -> String {
        format!("{:#}", Given::open(cert.to_owned(), key.to_owned(), now).unwrap_err())
    }

    #[test]
    fn mistakes_are_told_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let ((cert, key), (_, other)) = (files(dir.path(), "a.key"), files(dir.path(), "b.key"));
        assert!(Given::open(cert.clone(), key.clone(), NOW).is_ok());
        assert!(refusal(&dir.path().join("no"), &key, NOW).contains("--https-cert"));
        assert!(refusal(&cert, &dir.path().join("no"), NOW).contains("--https-key"));
        assert!(refusal(&key, &key, NOW).contains("holds no certificate"));
        assert!(refusal(&cert, &cert, NOW).contains("holds no private key"));
        assert!(refusal(&cert, &other, NOW).contains("does not fit"));
        assert!(refusal(&cert, &key, WallMs(NOW.0 * 2)).contains("expired"));
        assert!(refusal(&cert, &key, WallMs(0)).contains("not valid yet"));
    }

    #[test]
    fn a_renewed_certificate_is_taken_and_half_of_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let ((cert, key), (new_cert, new_key)) =
            (files(dir.path(), "a.key"), files(dir.path(), "b.key"));
        let (given, first) = Given::open(cert.clone(), key.clone(), NOW).unwrap();
        assert!(given.changed(NOW).is_none());
        let replace = |from: &Path, to: &Path| {
            std::fs::remove_file(to).unwrap();
            std::fs::copy(from, to).unwrap();
            let later = SystemTime::now() + std::time::Duration::from_secs(5);
            std::fs::File::options().write(true).open(to).unwrap().set_modified(later).unwrap();
        };
        replace(&new_cert, &cert);
        assert!(given.changed(NOW).unwrap().is_err(), "the key is still the old one's");
        replace(&new_key, &key);
        let second = given.changed(NOW).unwrap().unwrap();
        assert_ne!(first.cert, second.cert);
        assert!(given.changed(NOW).is_none());
    }
}
