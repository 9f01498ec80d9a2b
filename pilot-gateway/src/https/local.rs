//! The gateway's own certificate authority for one local network, and the certificate that it signs for this machine.
//!
//! A phone that trusts a root believes whatever the root signs. So this root can say little: by its name constraints it
//! speaks for private addresses and names of local networks only. Whoever steals it cannot play a bank.

use super::{Facts, certified, fingerprint};
use crate::access::write;
use anyhow::{Context, Result, ensure};
use protocol::units::WallMs;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SerialNumber, date_time_ymd,
};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

const DAY_MS: u64 = 86_400_000;
/// Before its first second already: clocks differ.
const BACKDATED_MS: u64 = DAY_MS;
const ROOT_MS: u64 = 10 * 365 * DAY_MS;
/// Phones refuse a certificate that is valid for longer than 825 days; browsers' own bound is 398.
const LEAF_MS: u64 = 397 * DAY_MS;
/// A certificate is renewed so long before it ends.
const RENEW_MS: u64 = 30 * DAY_MS;
/// Addresses that one certificate names at most: a machine with hundreds of containers has hundreds.
const ADDRESSES_MAX: usize = 32;
/// Endings of names that mean this network and no other.
const ENDINGS: [&str; 4] = ["local", "lan", "internal", "home.arpa"];

/// Networks that the root may speak for.
const NETWORKS_V4: [(Ipv4Addr, u8); 6] = [
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // Behind carriers' and overlay networks' translation.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
];
const NETWORKS_V6: [(Ipv6Addr, u8); 2] =
    [(Ipv6Addr::LOCALHOST, 128), (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7)];

/// Whether the root may speak for this address.
pub(crate) fn speaks_for(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => NETWORKS_V4.iter().any(|(network, bits)| {
            let shift = 32 - u32::from(*bits);
            u32::from(ip) >> shift == u32::from(*network) >> shift
        }),
        IpAddr::V6(ip) => NETWORKS_V6.iter().any(|(network, bits)| {
            let shift = 128 - u32::from(*bits);
            u128::from(ip) >> shift == u128::from(*network) >> shift
        }),
    }
}

/// What this machine is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    names: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
}

impl Names {
    /// Of a host name and addresses, as far as the root may speak for them.
    pub fn new(host: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let host = host.trim().trim_end_matches('.').to_ascii_lowercase();
        let is_label = |part: &str| {
            (1..=63).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let mut names = BTreeSet::from(["localhost".to_owned()]);
        if host.split('.').all(is_label) && host != "localhost" {
            let ours = |ending: &&str| host.strip_suffix(ending).is_some_and(|h| h.ends_with('.'));
            match host.split_once('.') {
                None => names.extend(["local", "lan"].map(|ending| format!("{host}.{ending}"))),
                Some((short, _)) => {
                    names.insert(format!("{short}.local"));
                    if ENDINGS.iter().any(ours) {
                        names.insert(host);
                    }
                }
            }
        }
        let addresses = addresses.into_iter().filter(|ip| speaks_for(*ip)).take(ADDRESSES_MAX);
        let mut addresses: BTreeSet<IpAddr> = addresses.collect();
        addresses.extend([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        Self { names, addresses }
    }

    /// Of this machine, now.
    pub fn of_this_machine() -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let up = pnet_datalink::interfaces().into_iter().filter(|interface| interface.is_up());
        Self::new(&host, up.flat_map(|interface| interface.ips).map(|network| network.ip()))
    }
}

/// The authority.
#[derive(Debug)]
pub struct Local {
    files: Files,
    root_key: KeyPair,
    root_name: String,
    root: CertificateDer<'static>,
    leaf_key: KeyPair,
}

/// Where it lies.
#[derive(Debug)]
struct Files {
    root_key: PathBuf,
    root: PathBuf,
    leaf_key: PathBuf,
    leaf: PathBuf,
}

impl Local {
    /// Reads the authority beside the gateway's key file, or makes it. One that soon ends is made anew.
    pub fn open(gateway_key: &Path, now: WallMs) -> Result<Self> {
        let files = Files {
            root_key: gateway_key.with_extension("https-root.key"),
            root: gateway_key.with_extension("https-root.crt"),
            leaf_key: gateway_key.with_extension("https.key"),
            leaf: gateway_key.with_extension("https.crt"),
        };
        let leaf_key = load_or_make_key(&files.leaf_key)?;
        let root_key = load_or_make_key(&files.root_key)?;
        let root_name = format!("Longrein local network {}", short(root_key.public_key_raw()));
        let root = match known_root(&files.root, &root_name, now)? {
            Some(root) => root,
            None => make_root(&files.root, &root_key, &root_name, now)?,
        };
        Ok(Self { files, root_key, root_name, root, leaf_key })
    }

    /// The root, DER.
    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// Why the certificate `leaf` does not do for `names` at `now`; `None` while it does.
    pub fn due(&self, leaf: &[u8], names: &Names, now: WallMs) -> Option<&'static str> {
        let Ok(facts) = Facts::of(leaf) else { return Some("it cannot be read") };
        if facts.issuer != format!("CN={}", self.root_name) {
            return Some("another root signed it");
        }
        if now.0.saturating_add(RENEW_MS) >= facts.not_after.0 {
            return Some("it ends soon");
        }
        if now < facts.not_before {
            return Some("this machine's clock was set back");
        }
        let covers = names.addresses.iter().all(|ip| facts.addresses.contains(ip))
            && names.names.iter().all(|name| facts.names.contains(name));
        if covers { None } else { Some("this machine has another name or address") }
    }

    /// The certificate for `names`: the one that is there while it does, so that what a phone once accepted stays
    /// accepted, or a new one.
    pub fn certificate(&self, names: &Names, now: WallMs) -> Result<CertifiedKey> {
        if let Ok(leaf) = CertificateDer::from_pem_file(&self.files.leaf)
            && self.due(&leaf, names, now).is_none()
            && let Ok(same) = self.with_key(leaf)
        {
            return Ok(same);
        }
        let leaf = self.make_leaf(names, now)?;
        write(&self.files.leaf, &leaf.pem())?;
        self.with_key(leaf.der().clone())
    }

    fn with_key(&self, leaf: CertificateDer<'static>) -> Result<CertifiedKey> {
        let key = PrivateKeyDer::from_pem_slice(self.leaf_key.serialize_pem().as_bytes())?;
        Ok(certified(vec![leaf, self.root.clone()], key)?)
    }

    fn make_leaf(&self, names: &Names, now: WallMs) -> Result<rcgen::Certificate> {
        let hosts = names.names.iter().cloned();
        let hosts = hosts.chain(names.addresses.iter().map(ToString::to_string));
        let mut params = CertificateParams::new(hosts.collect::<Vec<_>>())?;
        let subject = names.names.iter().find(|name| *name != "localhost");
        params.distinguished_name = called(subject.map_or("localhost", String::as_str));
        params.not_before = at(now.0.saturating_sub(BACKDATED_MS));
        params.not_after = at(now.0.saturating_add(LEAF_MS));
        params.serial_number = Some(serial()?);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let root = root_params(&self.root_name);
        let issuer = Issuer::from_params(&root, &self.root_key);
        params.signed_by(&self.leaf_key, &issuer).context("signing the certificate")
    }
}

fn known_root(path: &Path, name: &str, now: WallMs) -> Result<Option<CertificateDer<'static>>> {
    let pem = match std::fs::read(path) {
        Ok(pem) => pem,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let what_to_do = || format!("{}: remove it, and a new one is made", path.display());
    let root = CertificateDer::from_pem_slice(&pem).with_context(what_to_do)?;
    let facts = Facts::of(&root).with_context(what_to_do)?;
    ensure!(
        facts.issuer == format!("CN={name}"),
        "{} is of another key. {}",
        path.display(),
        what_to_do()
    );
    // What it signs must not outlive it.
    Ok((facts.not_after.0 > now.0.saturating_add(LEAF_MS)).then_some(root))
}

fn make_root(
    path: &Path,
    key: &KeyPair,
    name: &str,
    now: WallMs,
) -> Result<CertificateDer<'static>> {
    let mut params = root_params(name);
    params.not_before = at(now.0.saturating_sub(BACKDATED_MS));
    params.not_after = at(now.0.saturating_add(ROOT_MS));
    params.serial_number = Some(serial()?);
    let root = params.self_signed(key).context("signing the root")?;
    write(path, &root.pem())?;
    tracing::info!(
        path = %path.display(), sha256 = fingerprint(root.der()),
        "made a root certificate for this network: phones that install it open the pages without a warning"
    );
    Ok(root.der().clone())
}

fn root_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = called(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let names = ENDINGS.iter().chain(&["localhost"]);
    let names = names.map(|name| GeneralSubtree::DnsName((*name).to_owned()));
    let v4 = NETWORKS_V4.iter().map(|(ip, bits)| CidrSubnet::from_v4_prefix(ip.octets(), *bits));
    let v6 = NETWORKS_V6.iter().map(|(ip, bits)| CidrSubnet::from_v6_prefix(ip.octets(), *bits));
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: names.chain(v4.chain(v6).map(GeneralSubtree::IpAddress)).collect(),
        excluded_subtrees: Vec::new(),
    });
    params
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

/// Enough of a key to tell two gateways' roots apart in a phone's list.
fn short(public_key: &[u8]) -> String {
    fingerprint(public_key).chars().filter(|c| *c != ':').take(8).collect()
}

fn serial() -> Result<SerialNumber> {
    let mut serial = [0; 16];
    SystemRandom::new()
        .fill(&mut serial)
        .map_err(|_unspecified| anyhow::anyhow!("the system has no random bytes"))?;
    // A positive number, as X.509 wants it.
    serial[0] &= 0x7f;
    Ok(SerialNumber::from_slice(&serial))
}

/// X.509 counts whole seconds.
fn at(ms: u64) -> time::OffsetDateTime {
    date_time_ymd(1970, 1, 1) + Duration::from_secs(ms / 1_000)
}

/// Browsers take P-256, not the Ed25519 of the gateway's other key.
fn load_or_make_key(path: &Path) -> Result<KeyPair> {
    match std::fs::read_to_string(path) {
        Ok(pem) => KeyPair::from_pem(&pem).with_context(|| {
            format!("{} holds no private key: remove it, and a new one is made", path.display())
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let key = KeyPair::generate().context("making a key")?;
            write(path, &key.serialize_pem())?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{ServerName, UnixTime};
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    const NOW: WallMs = WallMs(1_800_000_000_000);

    fn names(addresses: &[&str]) -> Names {
        Names::new("Box", addresses.iter().map(|ip| ip.parse().unwrap()))
    }

    fn accepts(root: &[u8], leaf: &CertificateDer<'_>, host: &str, at: WallMs) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(root.to_vec().into()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
        let at = UnixTime::since_unix_epoch(Duration::from_millis(at.0));
        let host = ServerName::try_from(host.to_owned()).unwrap();
        verifier.verify_server_cert(leaf, &[], &host, &[], at).is_ok()
    }

    #[test]
    fn a_phone_that_has_the_root_accepts_this_machine_by_all_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let local = Local::open(&dir.path().join("gateway.key"), NOW).unwrap();
        let names = names(&["192.168.1.5", "fd00::5", "203.0.113.7"]);
        let made = local.certificate(&names, NOW).unwrap();
        for host in ["localhost", "box.local", "box.lan", "192.168.1.5", "fd00::5", "127.0.0.1"] {
            assert!(accepts(local.root(), &made.cert[0], host, NOW), "{host}");
        }
        for host in ["example.com", "192.168.1.6", "203.0.113.7", "local"] {
            assert!(!accepts(local.root(), &made.cert[0], host, NOW), "{host}");
        }
        let ends = WallMs(NOW.0 + LEAF_MS + 1_000);
        assert!(!accepts(local.root(), &made.cert[0], "localhost", ends));
        let stranger = tempfile::tempdir().unwrap();
        let stranger = Local::open(&stranger.path().join("gateway.key"), NOW).unwrap();
        assert!(!accepts(stranger.root(), &made.cert[0], "localhost", NOW));
        for name in ["https-root.key", "https.key"] {
            let file = dir.path().join(format!("gateway.{name}"));
            assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_stolen_root_cannot_play_another_site() {
        let dir = tempfile::tempdir().unwrap();
        let local = Local::open(&dir.path().join("gateway.key"), NOW).unwrap();
        let everything = Names {
            names: ["bank.example", "box.local"].map(ToOwned::to_owned).into(),
            addresses: ["203.0.113.7".parse().unwrap()].into(),
        };
        let forged = local.make_leaf(&everything, NOW).unwrap();
        for host in ["bank.example", "203.0.113.7", "box.local"] {
            assert!(!accepts(local.root(), forged.der(), host, NOW), "{host}");
        }
    }

    #[test]
    fn a_certificate_is_kept_until_it_ends_or_the_machine_moves() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.key");
        let open = |now| Local::open(&path, now).unwrap();
        let home = names(&["192.168.1.5"]);
        let first = open(NOW).certificate(&home, NOW).unwrap();
        let later = WallMs(NOW.0 + LEAF_MS - RENEW_MS - 1_000);
        let same = open(later).certificate(&home, later).unwrap();
        assert_eq!(first.cert, same.cert, "what a phone accepted stays accepted over a restart");
        // An address less is no reason.
        assert_eq!(open(NOW).due(&first.cert[0], &names(&[]), NOW), None);
        let away = names(&["10.9.8.7"]);
        let moved = open(later).certificate(&away, later).unwrap();
        assert_ne!(first.cert[0], moved.cert[0]);
        assert_eq!(first.cert[1], moved.cert[1], "the root that a phone installed stays");
        let renewing = WallMs(NOW.0 + LEAF_MS - RENEW_MS);
        assert_eq!(open(renewing).due(&first.cert[0], &home, renewing), Some("it ends soon"));
        // A root that what it signs would outlive is made anew.
        let late = WallMs(NOW.0 + ROOT_MS - LEAF_MS);
        let late = open(late);
        assert_ne!(late.root(), &first.cert[1][..]);
    }

    #[test]
    fn what_cannot_be_read_is_told_and_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.key");
        Local::open(&path, NOW).unwrap();
        std::fs::write(dir.path().join("gateway.https-root.crt"), "junk").unwrap();
        let error = format!("{:#}", Local::open(&path, NOW).unwrap_err());
        assert!(error.contains("remove it"), "{error}");
        std::fs::write(dir.path().join("gateway.https-root.key"), "junk").unwrap();
        let error = format!("{:#}", Local::open(&path, NOW).unwrap_err());
        assert!(error.contains("no private key"), "{error}");
    }

    #[test]
    fn odd_host_names_are_left_out() {
        let of = |host| Names::new(host, []).names.into_iter().collect::<Vec<_>>();
        assert_eq!(of(""), ["localhost"]);
        assert_eq!(of("a_b"), ["localhost"]);
        assert_eq!(of("localhost"), ["localhost"]);
        assert_eq!(of("box.example.com\n"), ["box.local", "localhost"]);
        assert_eq!(of("box.home.arpa"), ["box.home.arpa", "box.local", "localhost"]);
    }
}
