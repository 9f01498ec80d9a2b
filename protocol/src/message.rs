//! Signatures on Zenoh messages: the payload as it is, and in the attachment the 64 bytes of an Ed25519
//! signature over the key expression and the payload. A message moved to another robot's key is refused.

use crate::dsse::Envelope;
use crate::ids::LeaseId;
use crate::keys::{Did, PrivateKey, SignatureError};
use crate::program::RelayedReceipt;
use crate::units::WallMs;
use serde::{Deserialize, Serialize};

const CONTEXT: &[u8] = b"longrein-message-v1\0";

fn signed_bytes(key_expr: &str, payload: &[u8]) -> Vec<u8> {
    [CONTEXT, key_expr.as_bytes(), b"\0", payload].concat()
}

/// The attachment for `payload` put on `key_expr`.
pub fn sign(key_expr: &str, payload: &[u8], key: &PrivateKey) -> [u8; 64] {
    key.sign(&signed_bytes(key_expr, payload))
}

/// Checks the attachment of a message that arrived on `key_expr`.
pub fn verify(
    key_expr: &str,
    payload: &[u8],
    attachment: &[u8],
    signer: &Did,
) -> Result<(), SignatureError> {
    signer.verify(&signed_bytes(key_expr, payload), attachment)
}

/// What a relay asks of the robot about a lease that it opened (query on [`crate::keyexpr::lease`], signed by
/// the relay that the lease names). The reply is [`Reply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum LeaseRequest {
    /// The same lease, renewed by the fleet.
    Renew {
        /// Signed [`crate::lease::Lease`] with a higher `renewal`.
        lease: Envelope,
    },
    /// The driver is done: stop, end the episode, free the robot.
    Release {
        /// The lease to end.
        lease_id: LeaseId,
    },
    /// What the driver says that it sent through this relay.
    Receipt {
        /// The driver's receipt, with the relay's account of packets.
        receipt: RelayedReceipt,
    },
}

/// Emergency stop over Zenoh (query on [`crate::keyexpr::estop`]). Signed by the fleet's key, by the lease's
/// holder or by its relay; the robot latches it whoever of them asks. The reply is [`Reply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EstopRequest {
    /// True stops. False clears the latch, which needs the current lease and the stick at rest.
    pub stop: bool,
    /// The lease under which a clear is asked for.
    pub lease_id: Option<LeaseId>,
    /// When it was asked for, so that a recorded clear can't be replayed (the robot takes 10 s either way).
    pub at: WallMs,
    /// Who asks, in words for the log and the episode.
    pub reason: String,
}

/// The robot's reply to a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Reply {
    /// Done.
    Done,
    /// Refused, with the reason.
    Refused {
        /// Stable code in kebab-case: one of [`crate::problem::code`].
        code: String,
        /// What is wrong and what to do, in words.
        detail: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_moved_to_another_key_is_refused() {
        let key = PrivateKey::from_seed(&[3; 32]);
        let attachment = sign("longrein/v1/robots/a/state", b"{}", &key);
        assert!(verify("longrein/v1/robots/a/state", b"{}", &attachment, &key.did()).is_ok());
        assert!(verify("longrein/v1/robots/b/state", b"{}", &attachment, &key.did()).is_err());
    }
}
