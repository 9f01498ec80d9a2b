//! Names of things. A robot's id is a word that its owner chose; all other ids are UUIDv7 behind a prefix that
//! tells what they name, so that a mission's id can't be passed where a lease's is meant.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}: expected {expected}")]
pub struct IdError {
    text: String,
    what: &'static str,
    expected: &'static str,
}

/// A robot's name: 1 to 40 of `a-z`, `0-9` and `-`, not starting or ending with `-`. It is part of URLs and of
/// Zenoh key expressions, so no other character is allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RobotId(String);

impl RobotId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RobotId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let word = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !word
            || text.is_empty()
            || text.len() > 40
            || text.starts_with('-')
            || text.ends_with('-')
        {
            return Err(IdError {
                text: text.chars().take(60).collect(),
                what: "a robot id",
                expected: "1 to 40 of a-z, 0-9 and '-', not starting or ending with '-'",
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for RobotId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<RobotId> for String {
    fn from(id: RobotId) -> Self {
        id.0
    }
}

impl fmt::Display for RobotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Uuid);

        impl $name {
            /// What its text form starts with.
            pub const PREFIX: &str = $prefix;

            /// A new id. The caller gives the UUID, for this crate reads no clock and no random source.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID behind the prefix.
            pub const fn uuid(&self) -> Uuid {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let error = || IdError {
                    text: text.chars().take(60).collect(),
                    what: stringify!($name),
                    expected: concat!("'", $prefix, "_' and 32 hexadecimal digits"),
                };
                let rest = text
                    .strip_prefix($prefix)
                    .and_then(|rest| rest.strip_prefix('_'))
                    .filter(|rest| rest.len() == 32 && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
                    .ok_or_else(error)?;
                Uuid::try_parse(rest).map(Self).map_err(|_not_hex| error())
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, self.0.simple())
            }
        }
    )*};
}

uuid_ids! {
    /// A robot's owner, who shares in what it earns.
    OwnerId = "own";
    /// A mission: ordered checkpoints with a reward.
    MissionId = "msn";
    /// A lease: the right to drive one robot for a while.
    LeaseId = "lse";
    /// An episode: the recording of one lease. It carries the UUID of its lease.
    EpisodeId = "eps";
    /// An intervention: a while of a drive in which a person took over.
    InterventionId = "itv";
    /// A transfer in the ledger, made by whoever asks for it, so that asking twice pays once.
    TransferId = "txn";
}

impl From<LeaseId> for EpisodeId {
    /// One lease is one episode.
    fn from(lease: LeaseId) -> Self {
        Self(lease.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn robot_ids_are_words() {
        for good in ["a", "demo-rover-1", &"x".repeat(40)] {
            assert_eq!(good.parse::<RobotId>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a/b", "a*", "ä", &"x".repeat(41)] {
            assert!(bad.parse::<RobotId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_mission_id_is_no_lease_id() {
        let id = MissionId::new(Uuid::from_u128(7));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().parse::<LeaseId>().is_err());
        assert!(id.to_string().to_uppercase().parse::<MissionId>().is_err());
    }
}
