//! From what went wrong to the problem document that a client reads.

use crate::store::{CommitError, StoreError};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::problem::{Problem, code};
use serde_json::{Map, Value};

/// A problem on its way to a client, with extra members for programs.
#[derive(Debug)]
pub(crate) struct Refused {
    // In a box, for every result in this program carries one.
    pub(crate) problem: Box<Problem>,
    pub(crate) extra: Map<String, Value>,
}

/// What every handler and operation returns.
pub(crate) type Result<T, E = Refused> = std::result::Result<T, E>;

impl Refused {
    /// A problem with a status, a stable code, and what to do in words.
    pub(crate) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let problem = Box::new(Problem::new(status.as_u16(), code, detail));
        Self { problem, extra: Map::new() }
    }

    /// Adds a member.
    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(member.into(), value.into());
        self
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code::BAD_REQUEST, detail)
    }
    pub(crate) fn sign_in(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code::SIGN_IN, detail)
    }
    pub(crate) fn bad_signature(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code::BAD_SIGNATURE, detail)
    }
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code::FORBIDDEN, detail)
    }
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code::NOT_FOUND, format!("there is no such {what}"))
    }
    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code::CONFLICT, detail)
    }
    pub(crate) fn wrong_state(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code::WRONG_STATE, detail)
    }
    pub(crate) fn internal(detail: impl std::fmt::Display) -> Self {
        tracing::error!("internal: {detail}");
        let words = "the fleet server failed; its log says more";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL, words)
    }
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE, detail)
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::DiskFull(..)) {
            // Said once by the store; a log that grows with each request would fill the disk further.
            tracing::debug!("{error}");
            return Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                code::UNAVAILABLE,
                "the fleet's disk is full; its operator must free space, then try again",
            );
        }
        tracing::error!("{error}");
        Self::unavailable(error.to_string())
    }
}

impl From<CommitError> for Refused {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict { key } => {
                tracing::warn!(key, "changed by another process in between");
                Self::unavailable("somebody else changed the same thing in this moment; try again")
            }
            CommitError::Store(error) => error.into(),
        }
    }
}

impl From<serde_json::Error> for Refused {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(format_args!("a stored document: {error}"))
    }
}

impl From<fleet_core::registry::Invalid> for Refused {
    fn from(invalid: fleet_core::registry::Invalid) -> Self {
        Self::bad_request(invalid.to_string())
    }
}

impl From<fleet_core::lease::Refusal> for Refused {
    fn from(refusal: fleet_core::lease::Refusal) -> Self {
        use fleet_core::lease::Refusal;
        let detail = refusal.to_string();
        match refusal {
            Refusal::Taken { .. } => Self::new(StatusCode::CONFLICT, code::ROBOT_TAKEN, detail),
            Refusal::NotHolder => Self::forbidden(detail),
            _ => Self::new(StatusCode::CONFLICT, code::LEASE_ENDED, detail),
        }
    }
}

impl From<fleet_core::ledger::Refusal> for Refused {
    fn from(refusal: fleet_core::ledger::Refusal) -> Self {
        use fleet_core::ledger::Refusal;
        let detail = refusal.to_string();
        match refusal {
            Refusal::Overdraft { .. } => {
                Self::new(StatusCode::CONFLICT, code::INSUFFICIENT_FUNDS, detail)
            }
            Refusal::Conflict(_) | Refusal::EscrowUsed(_) => Self::conflict(detail),
            _ => Self::bad_request(detail),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A problem is five texts and numbers: it always has a JSON form.
        let mut body = serde_json::to_value(&*self.problem).unwrap_or_default();
        if let Some(members) = body.as_object_mut() {
            members.extend(self.extra);
        }
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (status, kind, body.to_string()).into_response()
    }
}
