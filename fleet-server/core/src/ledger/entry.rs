//! Journal entries and their hashes.

use super::Transfer;
use protocol::units::WallMs;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// SHA-256.
pub type Hash = [u8; 32];
/// What the first entry names as the hash before it.
pub const GENESIS: Hash = [0; 32];

const ENTRY_CONTEXT: &[u8] = b"longrein-ledger-entry-v1\0";
const TRANSFER_CONTEXT: &[u8] = b"longrein-ledger-transfer-v1\0";

/// A hash that is written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HashText(pub Hash);

impl From<HashText> for String {
    fn from(hash: HashText) -> Self {
        hex::encode(hash.0)
    }
}

impl TryFrom<String> for HashText {
    type Error = hex::FromHexError;
    fn try_from(text: String) -> Result<Self, hex::FromHexError> {
        let mut hash = GENESIS;
        hex::decode_to_slice(text, &mut hash)?;
        Ok(Self(hash))
    }
}

/// One line of the journal. `hash` covers the context, `previous`, and the JSON of number, time and transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its number, from 0, without gaps.
    pub seq: u64,
    /// When it was made.
    pub at: WallMs,
    /// What happened.
    pub transfer: Transfer,
    /// Hash of the entry before; zeros for the first.
    pub previous: HashText,
    /// Hash of this entry.
    pub hash: HashText,
}

impl Entry {
    /// The entry that follows one with hash `previous`.
    pub(super) fn next(seq: u64, at: WallMs, transfer: Transfer, previous: Hash) -> Self {
        let mut entry =
            Self { seq, at, transfer, previous: HashText(previous), hash: HashText(GENESIS) };
        entry.hash = HashText(entry.computed_hash());
        entry
    }

    /// What `hash` must be.
    pub fn computed_hash(&self) -> Hash {
        let mut sha = Sha256::new();
        sha.update(ENTRY_CONTEXT);
        sha.update(self.previous.0);
        sha.update(json(&(self.seq, self.at, &self.transfer)));
        sha.finalize().into()
    }
}

/// What makes two transfers the same.
pub(super) fn content_hash(transfer: &Transfer) -> Hash {
    let mut sha = Sha256::new();
    sha.update(TRANSFER_CONTEXT);
    sha.update(json(transfer));
    sha.finalize().into()
}

/// Strings and integers always have a JSON form; an empty text would only make a hash that nothing matches.
fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
