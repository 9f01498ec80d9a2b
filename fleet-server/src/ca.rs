//! The fleet's certificate authority: it says who gets through the door to the message router ([`crate::door`]).
//!
//! Certificates are short-lived, and each is written down: one that is not on record, or whose holder was revoked,
//! does not get in, whatever it says.

use anyhow::{Context, Result, ensure};
use protocol::keys::{Did, PrivateKey};
use protocol::units::WallMs;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SerialNumber,
    SignatureAlgorithm, SigningKey, date_time_ymd,
};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Duration;

/// Before its first second already: clocks differ.
const BACKDATED_MS: u64 = 3_600_000;
/// The root outlives every machine of the fleet; what it signs does not.
const ROOT_MS: u64 = 20 * 365 * 86_400_000;

/// The authority.
pub(crate) struct Ca {
    key: PrivateKey,
    params: CertificateParams,
    root_pem: String,
}

/// Signs certificates as our key does.
struct Signer<'a>(&'a PrivateKey, Did);
/// A public key as certificates hold it.
struct Public(Did);

impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl PublicKeyData for Signer<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.1.as_bytes()
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl SigningKey for Signer<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.0.sign(message).to_vec())
    }
}

/// A certificate.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// PEM.
    pub(crate) pem: String,
    /// SHA-256 of its DER, in hexadecimal: its name on record.
    pub(crate) sha256: String,
}

impl Ca {
    /// Reads key and root from `data`, or makes them.
    pub(crate) fn open(data: &Path, now: WallMs) -> Result<Self> {
        let (key_path, root_path) = (data.join("ca.key"), data.join("ca.pem"));
        let known = key_path.exists();
        let key = crate::keys::load_or_make(&key_path)?;
        if root_path.exists() {
            ensure!(
                known,
                "{} is missing beside ca.pem: restore it from a backup",
                key_path.display()
            );
            let root_pem = std::fs::read_to_string(&root_path)
                .with_context(|| format!("reading {}", root_path.display()))?;
            return Ok(Self { params: root_params(&key.did()), key, root_pem });
        }
        let ca = Self::make(key, now)?;
        let part = root_path.with_extension("part");
        std::fs::write(&part, &ca.root_pem)
            .and_then(|()| std::fs::File::open(&part)?.sync_all())
            .and_then(|()| std::fs::rename(&part, &root_path))
            .with_context(|| format!("writing {}", root_path.display()))?;
        Ok(ca)
    }

    /// An authority that is kept nowhere.
    fn make(key: PrivateKey, now: WallMs) -> Result<Self> {
        let params = root_params(&key.did());
        let mut root = params.clone();
        root.not_before = at(WallMs(now.0.saturating_sub(BACKDATED_MS)));
        root.not_after = at(WallMs(now.0.saturating_add(ROOT_MS)));
        let root = root.self_signed(&Signer(&key, key.did())).context("signing the root")?;
        Ok(Self { key, params, root_pem: root.pem() })
    }

    /// The root certificate, PEM.
    pub(crate) fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// A certificate with which `holder` connects as `common_name`.
    pub(crate) fn client(
        &self,
        common_name: &str,
        holder: Did,
        now: WallMs,
        expires_at: WallMs,
    ) -> Result<Made> {
        self.issue(common_name, &[], ExtendedKeyUsagePurpose::ClientAuth, holder, now, expires_at)
    }

    /// A certificate with which a router answers at `hosts`.
    pub(crate) fn server(
        &self,
        hosts: &[String],
        holder: Did,
        now: WallMs,
        expires_at: WallMs,
    ) -> Result<Made> {
        let purpose = ExtendedKeyUsagePurpose::ServerAuth;
        self.issue("longrein router", hosts, purpose, holder, now, expires_at)
    }

    fn issue(
        &self,
        common_name: &str,
        hosts: &[String],
        purpose: ExtendedKeyUsagePurpose,
        holder: Did,
        now: WallMs,
        expires_at: WallMs,
    ) -> Result<Made> {
        let mut serial = [0; 16];
        getrandom::fill(&mut serial).map_err(|error| anyhow::anyhow!("random bytes: {error}"))?;
        // A positive number, as X.509 wants it.
        serial[0] &= 0x7f;
        let mut params = CertificateParams::new(hosts).context("a router's host name")?;
        params.not_before = at(WallMs(now.0.saturating_sub(BACKDATED_MS)));
        params.not_after = at(expires_at);
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.distinguished_name = name(common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        params.key_identifier_method = KeyIdMethod::PreSpecified(key_id(&holder));
        let issuer = Issuer::from_params(&self.params, Signer(&self.key, self.key.did()));
        let made = params.signed_by(&Public(holder), &issuer).context("signing a certificate")?;
        Ok(Made { pem: made.pem(), sha256: hex::encode(Sha256::digest(made.der())) })
    }
}

fn root_params(did: &Did) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from(1_u64));
    params.distinguished_name = name("Longrein fleet");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.key_identifier_method = KeyIdMethod::PreSpecified(key_id(did));
    params
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn key_id(did: &Did) -> Vec<u8> {
    Sha256::digest(did.as_bytes()).iter().take(20).copied().collect()
}

/// X.509 counts whole seconds.
fn at(at: WallMs) -> time::OffsetDateTime {
    date_time_ymd(1970, 1, 1) + Duration::from_secs(at.0 / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
    use tokio_rustls::rustls::server::WebPkiClientVerifier;

    #[test]
    fn a_certificate_is_valid_for_its_time_and_of_its_root() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let now = WallMs(1_800_000_000_000);
        let ca = Ca::open(dir.path(), now).unwrap();
        let again = Ca::open(dir.path(), WallMs(now.0 + 99_000)).unwrap();
        assert_eq!(ca.root_pem(), again.root_pem());
        let mode = std::fs::metadata(dir.path().join("ca.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let holder = PrivateKey::from_seed(&[3; 32]).did();
        let made = again.client("robot", holder, now, WallMs(now.0 + 60_000)).unwrap();
        let verify = |root: &str, at_s: u64| {
            let provider =
                std::sync::Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
            let mut roots = tokio_rustls::rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                .build()
                .unwrap();
            let leaf = CertificateDer::from_pem_slice(made.pem.as_bytes()).unwrap();
            let at = UnixTime::since_unix_epoch(Duration::from_secs(at_s));
            verifier.verify_client_cert(&leaf, &[], at).is_ok()
        };
        assert!(verify(ca.root_pem(), 1_800_000_059));
        assert!(!verify(ca.root_pem(), 1_800_000_061), "expired");
        assert!(!verify(ca.root_pem(), 1_799_990_000), "not yet valid");
        let stranger = Ca::open(other.path(), now).unwrap();
        assert!(!verify(stranger.root_pem(), 1_800_000_059), "of another fleet");
        std::fs::remove_file(dir.path().join("ca.key")).unwrap();
        assert!(Ca::open(dir.path(), now).is_err());
    }
}
