//! Messages that only robot, fleet and gateways can read.
//!
//! A message router passes a message to whoever asks for its key, so what it carries is sealed: a robot's
//! [`FabricKey`] is known to the robot, the fleet and the fleet's gateways. What a sealed message *may do* is still
//! decided by the signature inside; the seal keeps others from reading it, and from showing it again as something
//! else. Normative: `SPEC.md` §2.4.
//!
//! ```text
//! sealed  = u8 1 ‖ salt[16] ‖ ChaCha20-Poly1305(key, nonce 0, u16 len(attachment) ‖ attachment ‖ payload)
//! key     = HKDF-SHA256(secret = fabric key, salt = salt, info = "longrein-sealed-v1\0" ‖ kind ‖ asked ‖ key expr)
//! kind    = 'p' put, 'q' query, 'r' reply;  asked = the query's salt in a reply, else empty
//! ```
//!
//! Each message has a key of its own, so no counter of nonces must survive a restart, and a reply opens only for the
//! query that it answers: one that was recorded answers nothing else.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::SystemRandom;
use serde::{Deserialize, Serialize};
use std::fmt;

const VERSION: u8 = 1;
/// Bytes of a salt.
pub const SALT_LEN: usize = 16;
const TAG_LEN: usize = 16;
/// What a seal adds to payload and attachment, bytes.
pub const OVERHEAD: usize = 1 + SALT_LEN + 2 + TAG_LEN;
const CONTEXT: &[u8] = b"longrein-sealed-v1\0";
const BOX_CONTEXT: &[u8] = b"longrein-box-v1\0";

/// The secret of one robot, shared with its fleet and the fleet's gateways.
#[derive(Clone, PartialEq, Eq)]
pub struct FabricKey([u8; 32]);

/// Which query a reply belongs to.
pub type Asked = [u8; SALT_LEN];

/// Why something sealed was refused. It says no more: whoever forges learns nothing from the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not sealed with the robot's fabric key for this place")]
pub struct SealError;

/// What was in a sealed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The payload.
    pub payload: Vec<u8>,
    /// The attachment: signatures.
    pub attachment: Vec<u8>,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Put by a publisher.
    Put,
    /// A query.
    Query,
    /// The reply to a query.
    Reply(Asked),
}

fn message_key(secret: &[u8], salt: &[u8], info: &[&[u8]]) -> Option<LessSafeKey> {
    let prk = Salt::new(HKDF_SHA256, salt).extract(secret);
    let okm = prk.expand(info, &CHACHA20_POLY1305).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(okm)))
}

/// Every key seals one message only, so the nonce is always the same.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

impl FabricKey {
    /// The key with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        Some(Self(hex::decode(text).ok()?.try_into().ok()?))
    }

    /// 64 hexadecimal digits, for the robot's own file and for the box in which it travels.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The key of robot `id` with the key `did`, enrolled at `enrolled_at_ms`: a fleet derives it from its secret, so
    /// that every replica has it and a robot that is enrolled anew has another.
    pub fn derive(fleet_secret: &[u8; 32], id: &str, did: &str, enrolled_at_ms: u64) -> Self {
        let enrolled = enrolled_at_ms.to_le_bytes();
        let info: [&[u8]; 6] =
            [b"longrein-fabric-v1\0", id.as_bytes(), b"\0", did.as_bytes(), b"\0", &enrolled];
        let prk = Salt::new(HKDF_SHA256, &[]).extract(fleet_secret);
        let mut key = [0; 32];
        // 32 bytes are what the algorithm gives at once: neither step can fail.
        if let Ok(okm) = prk.expand(&info, HKDF_SHA256)
            && okm.fill(&mut key).is_ok()
        {
            return Self(key);
        }
        Self([0; 32])
    }

    fn key(&self, kind: Kind, key_expr: &str, salt: &[u8]) -> Option<LessSafeKey> {
        let (kind, asked): (&[u8], &[u8]) = match &kind {
            Kind::Put => (b"p", b""),
            Kind::Query => (b"q", b""),
            Kind::Reply(asked) => (b"r", asked),
        };
        message_key(&self.0, salt, &[CONTEXT, kind, asked, key_expr.as_bytes()])
    }

    /// Seals a message for `key_expr` under a fresh `salt`.
    pub fn seal_with(
        &self,
        kind: Kind,
        key_expr: &str,
        payload: &[u8],
        attachment: &[u8],
        salt: &Asked,
    ) -> Result<Vec<u8>, SealError> {
        let len = u16::try_from(attachment.len()).map_err(|_too_long| SealError)?;
        let mut inner = Vec::with_capacity(OVERHEAD + attachment.len() + payload.len());
        inner.extend_from_slice(&len.to_le_bytes());
        inner.extend_from_slice(attachment);
        inner.extend_from_slice(payload);
        let key = self.key(kind, key_expr, salt).ok_or(SealError)?;
        let tag = key
            .seal_in_place_separate_tag(nonce(), Aad::empty(), &mut inner)
            .map_err(|_unspecified| SealError)?;
        let mut sealed = Vec::with_capacity(1 + SALT_LEN + inner.len() + TAG_LEN);
        sealed.push(VERSION);
        sealed.extend_from_slice(salt);
        sealed.append(&mut inner);
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Seals a message for `key_expr`; gives the salt too, by which its reply is opened.
    pub fn seal(
        &self,
        kind: Kind,
        key_expr: &str,
        payload: &[u8],
        attachment: &[u8],
    ) -> Result<(Vec<u8>, Asked), SealError> {
        let mut salt = [0; SALT_LEN];
        getrandom::fill(&mut salt).map_err(|_no_random_bytes| SealError)?;
        Ok((self.seal_with(kind, key_expr, payload, attachment, &salt)?, salt))
    }

    /// Opens a message that arrived on `key_expr`; gives its salt too, by which a reply is sealed.
    pub fn open(
        &self,
        kind: Kind,
        key_expr: &str,
        sealed: &[u8],
    ) -> Result<(Opened, Asked), SealError> {
        let rest = sealed.strip_prefix(&[VERSION]).ok_or(SealError)?;
        let (salt, body) = rest.split_first_chunk::<SALT_LEN>().ok_or(SealError)?;
        let key = self.key(kind, key_expr, salt).ok_or(SealError)?;
        let mut inner = body.to_vec();
        let plain =
            key.open_in_place(nonce(), Aad::empty(), &mut inner).map_err(|_forged| SealError)?;
        let (len, rest) = plain.split_first_chunk::<2>().ok_or(SealError)?;
        let len = usize::from(u16::from_le_bytes(*len));
        let (attachment, payload) = rest.split_at_checked(len).ok_or(SealError)?;
        Ok((Opened { payload: payload.to_vec(), attachment: attachment.to_vec() }, *salt))
    }
}

impl fmt::Debug for FabricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FabricKey")
    }
}

/// A secret on its way to one reader, who made a [`BoxKey`] for it: X25519 (RFC 7748), HKDF-SHA256, ChaCha20-Poly1305.
/// It says nothing about who sent it: put it into a signed document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boxed {
    /// The sender's X25519 key for this box, in hexadecimal.
    pub sender: String,
    /// Ciphertext and tag, in hexadecimal.
    pub sealed: String,
}

/// A key to which one secret is sent. It opens one box and is gone.
pub struct BoxKey {
    private: EphemeralPrivateKey,
    public: [u8; 32],
}

fn ephemeral() -> Result<(EphemeralPrivateKey, [u8; 32]), SealError> {
    let random = SystemRandom::new();
    let private =
        EphemeralPrivateKey::generate(&X25519, &random).map_err(|_unspecified| SealError)?;
    let public = private.compute_public_key().map_err(|_unspecified| SealError)?;
    let public = public.as_ref().try_into().map_err(|_length| SealError)?;
    Ok((private, public))
}

fn box_key(
    private: EphemeralPrivateKey,
    peer: &[u8; 32],
    sender: &[u8; 32],
    reader: &[u8; 32],
) -> Option<LessSafeKey> {
    let salt = [sender.as_slice(), reader.as_slice()].concat();
    agree_ephemeral(private, &UnparsedPublicKey::new(&X25519, peer), |shared| {
        message_key(shared, &salt, &[BOX_CONTEXT])
    })
    .ok()?
}

impl BoxKey {
    /// A new key.
    pub fn generate() -> Result<Self, SealError> {
        let (private, public) = ephemeral()?;
        Ok(Self { private, public })
    }

    /// What the sender needs, in hexadecimal.
    pub fn public_hex(&self) -> String {
        hex::encode(self.public)
    }

    /// Opens the box that was made for this key.
    pub fn open(self, boxed: &Boxed) -> Result<Vec<u8>, SealError> {
        let sender = key_of(&boxed.sender)?;
        let mut sealed = hex::decode(&boxed.sealed).map_err(|_not_hex| SealError)?;
        let key = box_key(self.private, &sender, &sender, &self.public).ok_or(SealError)?;
        let plain =
            key.open_in_place(nonce(), Aad::empty(), &mut sealed).map_err(|_forged| SealError)?;
        Ok(plain.to_vec())
    }
}

impl fmt::Debug for BoxKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BoxKey({})", self.public_hex())
    }
}

fn key_of(text: &str) -> Result<[u8; 32], SealError> {
    let bytes = hex::decode(text).map_err(|_not_hex| SealError)?;
    bytes.try_into().map_err(|_length| SealError)
}

impl Boxed {
    /// Puts `secret` into a box that only the holder of the key `reader` ([`BoxKey::public_hex`]) opens.
    pub fn seal(reader: &str, secret: &[u8]) -> Result<Self, SealError> {
        let reader = key_of(reader)?;
        let (private, sender) = ephemeral()?;
        let key = box_key(private, &reader, &sender, &reader).ok_or(SealError)?;
        let mut sealed = secret.to_vec();
        key.seal_in_place_append_tag(nonce(), Aad::empty(), &mut sealed)
            .map_err(|_unspecified| SealError)?;
        Ok(Self { sender: hex::encode(sender), sealed: hex::encode(sealed) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "longrein/v1/robots/a/state";

    fn key(byte: u8) -> FabricKey {
        FabricKey::from_bytes([byte; 32])
    }

    #[test]
    fn only_the_key_opens_it_and_only_in_its_place() {
        let (sealed, salt) = key(1).seal(Kind::Put, KEY, b"where I am", b"signature").unwrap();
        assert!(!sealed.windows(5).any(|bytes| bytes == b"where"));
        assert_eq!(sealed.len(), OVERHEAD + 10 + 9);
        let (opened, again) = key(1).open(Kind::Put, KEY, &sealed).unwrap();
        assert_eq!(
            (&opened.payload[..], &opened.attachment[..]),
            (&b"where I am"[..], &b"signature"[..])
        );
        assert_eq!(salt, again);
        assert!(key(2).open(Kind::Put, KEY, &sealed).is_err());
        assert!(key(1).open(Kind::Query, KEY, &sealed).is_err());
        assert!(key(1).open(Kind::Put, "longrein/v1/robots/b/state", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert!(key(1).open(Kind::Put, KEY, &bad).is_err(), "byte {at}");
            assert!(key(1).open(Kind::Put, KEY, &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_reply_answers_one_query() {
        let (query, _) = key(1).seal(Kind::Query, KEY, b"?", b"").unwrap();
        let (other, _) = key(1).seal(Kind::Query, KEY, b"?", b"").unwrap();
        let (_, asked) = key(1).open(Kind::Query, KEY, &query).unwrap();
        let (_, asked_other) = key(1).open(Kind::Query, KEY, &other).unwrap();
        let (reply, _) = key(1).seal(Kind::Reply(asked), KEY, b"!", b"").unwrap();
        assert!(key(1).open(Kind::Reply(asked), KEY, &reply).is_ok());
        assert!(key(1).open(Kind::Reply(asked_other), KEY, &reply).is_err());
    }

    #[test]
    fn a_box_has_one_reader() {
        let (reader, other) = (BoxKey::generate().unwrap(), BoxKey::generate().unwrap());
        let boxed = Boxed::seal(&reader.public_hex(), b"secret").unwrap();
        assert!(other.open(&boxed).is_err());
        assert_eq!(reader.open(&boxed).unwrap(), b"secret");
        assert!(Boxed::seal("", b"x").is_err() && Boxed::seal(&"0".repeat(64), b"x").is_err());
    }

    #[test]
    fn every_enrolment_has_another_key() {
        let derive = |id: &str, did: &str, at| FabricKey::derive(&[7; 32], id, did, at);
        let one = derive("a", "did:key:z1", 1);
        assert_eq!(one, derive("a", "did:key:z1", 1));
        for other in [
            derive("b", "did:key:z1", 1),
            derive("a", "did:key:z2", 1),
            derive("a", "did:key:z1", 2),
        ] {
            assert_ne!(one, other);
        }
        assert_eq!(FabricKey::from_hex(&one.to_hex()), Some(one));
    }
}
