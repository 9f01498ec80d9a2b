//! Problem documents of the HTTP API (RFC 9457).

use serde::{Deserialize, Serialize};

/// Stable codes: what a program switches on. The words may change, the codes don't.
pub mod code {
    /// The request's body, path or query is not what the endpoint takes.
    pub const BAD_REQUEST: &str = "bad-request";
    /// The body is longer than the endpoint takes.
    pub const TOO_LARGE: &str = "too-large";
    /// No session, or one that has ended: sign in.
    pub const SIGN_IN: &str = "sign-in";
    /// Signed in, but not allowed.
    pub const FORBIDDEN: &str = "forbidden";
    /// The robot was taken out of the fleet; its owner enrols it anew.
    pub const REVOKED: &str = "revoked";
    /// There is no such thing.
    pub const NOT_FOUND: &str = "not-found";
    /// The code was never given out, was used, or has expired.
    pub const BAD_CODE: &str = "bad-code";
    /// A signature does not match.
    pub const BAD_SIGNATURE: &str = "bad-signature";
    /// Somebody else drives this robot.
    pub const ROBOT_TAKEN: &str = "robot-taken";
    /// The robot is not there.
    pub const ROBOT_OFFLINE: &str = "robot-offline";
    /// The lease has ended, or a newer one took its place.
    pub const LEASE_ENDED: &str = "lease-ended";
    /// The thing is not in a state in which that can be done.
    pub const WRONG_STATE: &str = "wrong-state";
    /// The same id was used for something else.
    pub const CONFLICT: &str = "conflict";
    /// The account does not hold enough.
    pub const INSUFFICIENT_FUNDS: &str = "insufficient-funds";
    /// An episode does not verify.
    pub const NOT_VERIFIED: &str = "not-verified";
    /// The safety core would not obey.
    pub const NOT_SAFE: &str = "not-safe";
    /// The session description can't be used.
    pub const BAD_SDP: &str = "bad-sdp";
    /// There is no picture.
    pub const NO_PICTURE: &str = "no-picture";
    /// Too many requests.
    pub const TOO_MANY: &str = "too-many";
    /// A part of the system does not answer.
    pub const UNAVAILABLE: &str = "unavailable";
    /// Our own fault; the log has more.
    pub const INTERNAL: &str = "internal";
}

/// A problem document, `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:longrein:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// HTTP status.
    pub status: u16,
    /// Stable code: one of [`code`].
    pub code: String,
    /// What is wrong, in a few words.
    pub title: String,
    /// What is wrong in this case, and what to do.
    pub detail: String,
}

impl Problem {
    /// A problem with `status`, one of the [`code`]s, and what to do in words.
    pub fn new(status: u16, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:longrein:problem:{code}"),
            status,
            code: code.to_owned(),
            title: code.replace('-', " "),
            detail: detail.into(),
        }
    }
}
