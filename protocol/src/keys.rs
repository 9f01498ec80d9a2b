//! Principals and their Ed25519 keys.
//!
//! A principal is named by the `did:key` of its public key (W3C CCG did:key, multicodec `ed25519-pub` = 0xed01,
//! multibase base58btc). A private key is kept as PKCS#8 PEM, which OpenSSL, WebCrypto and Python's
//! `cryptography` read as well.

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a principal: its Ed25519 public key as `did:key:z6Mk…`. The 32 bytes are a point on the curve.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Did([u8; 32]);

/// Why a text is not a `did:key` of an Ed25519 key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the did:key of an Ed25519 key (expected 'did:key:z6Mk…')")]
pub struct DidError(String);

/// The signature does not match message and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not match")]
pub struct SignatureError;

/// Why a key file was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 private key in PKCS#8 PEM form ('-----BEGIN PRIVATE KEY-----')")]
pub struct KeyFileError;

impl Did {
    /// Parses 32 bytes of a public key.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SignatureError> {
        match VerifyingKey::from_bytes(bytes) {
            Ok(_on_curve) => Ok(Self(*bytes)),
            Err(_off_curve) => Err(SignatureError),
        }
    }

    /// The public key's 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Verifies `signature` (64 bytes) over `message`, strictly (RFC 8032, no small-order keys).
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let signature = Signature::from_slice(signature).map_err(|_length| SignatureError)?;
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_off_curve| SignatureError)?;
        key.verify_strict(message, &signature).map_err(|_mismatch| SignatureError)
    }
}

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// multicodec `ed25519-pub` as unsigned varint.
const ED25519_PUB: [u8; 2] = [0xed, 0x01];

/// Base58 (Bitcoin alphabet) of 34 bytes: big-endian base conversion, a leading zero byte as '1'.
fn base58(bytes: &[u8]) -> String {
    let mut digits: Vec<u8> = Vec::new();
    for &byte in bytes {
        let mut carry = u32::from(byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = u8::try_from(carry % 58).unwrap_or(0);
            carry /= 58;
        }
        while carry > 0 {
            digits.push(u8::try_from(carry % 58).unwrap_or(0));
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|&&b| b == 0).count();
    std::iter::repeat_n('1', zeros)
        .chain(digits.iter().rev().map(|&d| char::from(ALPHABET[usize::from(d)])))
        .collect()
}

fn unbase58(text: &str) -> Option<Vec<u8>> {
    let mut bytes: Vec<u8> = Vec::new();
    for c in text.bytes() {
        let mut carry = u32::try_from(ALPHABET.iter().position(|&a| a == c)?).ok()?;
        for byte in &mut bytes {
            carry += u32::from(*byte) * 58;
            *byte = u8::try_from(carry & 0xff).unwrap_or(0);
            carry >>= 8;
        }
        while carry > 0 {
            bytes.push(u8::try_from(carry & 0xff).unwrap_or(0));
            carry >>= 8;
        }
    }
    bytes.extend(std::iter::repeat_n(0, text.bytes().take_while(|&c| c == b'1').count()));
    bytes.reverse();
    Some(bytes)
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 34];
        bytes[..2].copy_from_slice(&ED25519_PUB);
        bytes[2..].copy_from_slice(self.as_bytes());
        write!(f, "did:key:z{}", base58(&bytes))
    }
}

impl fmt::Debug for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Did {
    type Err = DidError;
    fn from_str(text: &str) -> Result<Self, DidError> {
        let error = || DidError(text.chars().take(80).collect());
        // 34 bytes are at most 47 base58 digits: refuse longer texts before converting them.
        let digits = text.strip_prefix("did:key:z").filter(|d| d.len() <= 48).ok_or_else(error)?;
        let bytes = unbase58(digits).ok_or_else(error)?;
        let key = bytes.strip_prefix(&ED25519_PUB).and_then(|k| <&[u8; 32]>::try_from(k).ok());
        Self::from_bytes(key.ok_or_else(error)?).map_err(|SignatureError| error())
    }
}

impl TryFrom<String> for Did {
    type Error = DidError;
    fn try_from(text: String) -> Result<Self, DidError> {
        text.parse()
    }
}

impl Serialize for Did {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Did {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Something that signs for one Ed25519 key and never shows it: a TPM, a PKCS#11 token, an agent process.
///
/// A robot signs its states, so 10 to 60 signatures a second must be possible. TLS does not need the key: certificates
/// have keys of their own ([`crate::credentials`]).
pub trait Sign: Send + Sync {
    /// Whose key it is.
    fn did(&self) -> Did;
    /// Signs `message` (RFC 8032, pure Ed25519). A device that can't sign now returns zeros, which no reader takes for a
    /// signature, and reports the failure by its own means.
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

/// A principal's private key. It is never printed and never serialised except into its own key file.
pub struct PrivateKey(Holder);

enum Holder {
    Here(Box<SigningKey>),
    Elsewhere(Did, Arc<dyn Sign>),
}

impl PrivateKey {
    /// A new key from the operating system's random source.
    ///
    /// # Errors
    /// When the operating system has no random bytes to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of a 32-byte seed (RFC 8032), for tests and vectors.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Holder::Here(Box::new(SigningKey::from_bytes(seed))))
    }

    /// A key that another device holds.
    pub fn held_by(device: Arc<dyn Sign>) -> Self {
        Self(Holder::Elsewhere(device.did(), device))
    }

    /// Reads a key file's text.
    pub fn from_pem(pem: &str) -> Result<Self, KeyFileError> {
        let key = SigningKey::from_pkcs8_pem(pem.trim()).map_err(|_malformed| KeyFileError)?;
        Ok(Self(Holder::Here(Box::new(key))))
    }

    /// The text of a key file. Write it with mode 0600. Empty for a key that another device holds: it has none.
    pub fn to_pem(&self) -> String {
        let Holder::Here(key) = &self.0 else { return String::new() };
        // Without the public key, which makes it version 1: OpenSSL and Python's `cryptography` refuse version 2.
        let pair = KeypairBytes { secret_key: key.to_bytes(), public_key: None };
        // Encoding 32 bytes has no way to fail; an empty text would be refused by `from_pem`.
        pair.to_pkcs8_pem(LineEnding::LF).map(|pem| pem.to_string()).unwrap_or_default()
    }

    /// The principal that this key speaks for.
    pub fn did(&self) -> Did {
        match &self.0 {
            Holder::Here(key) => Did(key.verifying_key().to_bytes()),
            Holder::Elsewhere(did, _) => *did,
        }
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        match &self.0 {
            Holder::Here(key) => key.sign(message).to_bytes(),
            Holder::Elsewhere(_, device) => device.sign(message),
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.did())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn did_key_of_a_known_key() {
        // RFC 8032, section 7.1, test 1; its did:key computed independently.
        let seed: [u8; 32] =
            hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
                .unwrap()
                .try_into()
                .unwrap();
        let key = PrivateKey::from_seed(&seed);
        assert_eq!(
            hex::encode(key.did().as_bytes()),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        let text = key.did().to_string();
        assert!(text.starts_with("did:key:z6Mk"), "{text}");
        assert_eq!(text.parse::<Did>().unwrap(), key.did());
        assert_eq!(PrivateKey::from_pem(&key.to_pem()).unwrap().did(), key.did());
        // As `openssl genpkey -algorithm ed25519` writes it: 48 bytes, 64 characters.
        assert_eq!(key.to_pem().lines().nth(1).map(str::len), Some(64));
    }

    #[test]
    fn a_device_signs_as_a_file_does() {
        struct Device(SigningKey);
        impl Sign for Device {
            fn did(&self) -> Did {
                Did(self.0.verifying_key().to_bytes())
            }
            fn sign(&self, message: &[u8]) -> [u8; 64] {
                Signer::sign(&self.0, message).to_bytes()
            }
        }
        let (file, device) = (PrivateKey::from_seed(&[5; 32]), SigningKey::from_bytes(&[5; 32]));
        let held = PrivateKey::held_by(Arc::new(Device(device)));
        assert_eq!(held.did(), file.did());
        assert_eq!(held.sign(b"x"), file.sign(b"x"));
        assert!(held.to_pem().is_empty() && PrivateKey::from_pem(&held.to_pem()).is_err());
    }

    #[test]
    fn other_texts_are_no_dids() {
        for bad in ["", "did:key:z", "did:key:z6Mk", "did:web:x", "did:key:zzzzzzzzzzzzzzzzzzzz0"] {
            assert!(bad.parse::<Did>().is_err(), "{bad:?}");
        }
        assert!(format!("did:key:z{}", "6".repeat(100_000)).parse::<Did>().is_err());
    }

    #[test]
    fn a_signature_binds_key_and_message() {
        let key = PrivateKey::from_seed(&[1; 32]);
        let signature = key.sign(b"stop");
        assert_eq!(key.did().verify(b"stop", &signature), Ok(()));
        assert_eq!(key.did().verify(b"go", &signature), Err(SignatureError));
        assert_eq!(key.did().verify(b"stop", &signature[..63]), Err(SignatureError));
        let other = PrivateKey::from_seed(&[2; 32]);
        assert_eq!(other.did().verify(b"stop", &signature), Err(SignatureError));
    }
}
