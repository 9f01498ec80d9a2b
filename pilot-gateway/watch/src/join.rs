//! Who joins, under which name, within which limits, and why it is no more.

use crate::sdp::Offer;
use std::sync::Arc;
use std::time::Instant;

/// A robot's camera.
pub type StreamId = Arc<str>;

/// A viewer's name: whoever knows it and is its account may end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ViewerId(u128);

impl ViewerId {
    pub(crate) const fn new(name: u128) -> Self {
        Self(name)
    }
}

impl std::fmt::Display for ViewerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl std::str::FromStr for ViewerId {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

/// How many viewers there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub viewers_max: usize,
    /// Of one stream.
    pub stream_viewers_max: usize,
    /// Of one account.
    pub account_viewers_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { viewers_max: 500, stream_viewers_max: 100, account_viewers_max: 6 }
    }
}

/// Who wants to see what.
#[derive(Debug, Clone)]
pub struct Join {
    /// What is to be seen.
    pub stream: StreamId,
    /// Who sees it, in the words of the caller.
    pub account: String,
    /// The player's offer.
    pub offer: Offer,
    /// When the right to see it ends.
    pub ends: Instant,
}

/// A viewer that may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Its name.
    pub viewer: ViewerId,
    /// The answer to its offer.
    pub answer: String,
    /// Names its ICE session, as an entity tag does.
    pub etag: String,
}

/// Why nobody joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// As many see this stream as may.
    #[error("as many watch this robot as can: try again when somebody has left")]
    StreamFull,
    /// As many see streams as may.
    #[error("as many watch robots here as can: try again when somebody has left")]
    Full,
    /// The account sees as many streams as it may.
    #[error("this account watches {0} times already: close one of its players first")]
    Account(usize),
    /// No keys can be made.
    #[error("no keys for a viewer can be made: {0}")]
    Keys(String),
    /// The server has stopped.
    #[error("the gateway stops")]
    Stopped,
}

/// Why a viewer is no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Left,
    Expired,
    NeverConnected,
    Silent,
    Failed(String),
    Stopped,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Left => "it left",
            Self::Expired => "its right to watch ended",
            Self::NeverConnected => "it did not connect in time",
            Self::Silent => "nothing comes from it any more",
            Self::Failed(why) => why,
            Self::Stopped => "the gateway stops",
        })
    }
}
