//! Accounts of the ledger. The text form is what the journal, the API and `fleet-server audit` show.

use protocol::ids::{MissionId, OwnerId};
use protocol::keys::Did;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Account {
    /// The world outside: the only account that may be negative. Minus its balance is what came in.
    External,
    /// The fleet's operator.
    Operator,
    /// A mission's reward while the mission lasts.
    Escrow(MissionId),
    /// What a pilot or an agent has earned.
    Pilot(Did),
    /// What an owner has earned.
    Owner(OwnerId),
}

/// The text names no account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no account: expected external, operator, escrow:msn_…, pilot:did:key:… or owner:own_…"
)]
pub struct AccountError(String);

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::External => f.write_str("external"),
            Self::Operator => f.write_str("operator"),
            Self::Escrow(mission) => write!(f, "escrow:{mission}"),
            Self::Pilot(did) => write!(f, "pilot:{did}"),
            Self::Owner(owner) => write!(f, "owner:{owner}"),
        }
    }
}

impl FromStr for Account {
    type Err = AccountError;
    fn from_str(text: &str) -> Result<Self, AccountError> {
        let error = || AccountError(text.chars().take(100).collect());
        match text.split_once(':') {
            None if text == "external" => Ok(Self::External),
            None if text == "operator" => Ok(Self::Operator),
            Some(("escrow", id)) => id.parse().map(Self::Escrow).map_err(|_no_id| error()),
            Some(("pilot", did)) => did.parse().map(Self::Pilot).map_err(|_no_did| error()),
            Some(("owner", id)) => id.parse().map(Self::Owner).map_err(|_no_id| error()),
            _ => Err(error()),
        }
    }
}

impl TryFrom<String> for Account {
    type Error = AccountError;
    fn try_from(text: String) -> Result<Self, AccountError> {
        text.parse()
    }
}

impl From<Account> for String {
    fn from(account: Account) -> Self {
        account.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::keys::PrivateKey;
    use uuid::Uuid;

    #[test]
    fn text_and_back() {
        let mission = MissionId::new(Uuid::from_u128(1));
        let owner = OwnerId::new(Uuid::from_u128(2));
        let did = PrivateKey::from_seed(&[1; 32]).did();
        for account in [
            Account::External,
            Account::Operator,
            Account::Escrow(mission),
            Account::Pilot(did),
            Account::Owner(owner),
        ] {
            assert_eq!(account.to_string().parse(), Ok(account));
        }
        for bad in ["", "bank", "operator:1", "escrow:own_1", "pilot:", &format!("owner:{mission}")]
        {
            assert!(bad.parse::<Account>().is_err(), "{bad:?}");
        }
    }
}
