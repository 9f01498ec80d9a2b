//! Refusals in the shape of the Earth Rovers API: `{"detail": …}`.

use crate::problem::ApiError;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::ids::MissionId;
use protocol::problem::code;
use protocol::safety::Reason;
use serde_json::{Value, json};

/// Header of a 428: the client has to open a lease for this mission, or a `free` one, and to send its request again.
pub const LEASE_FOR: HeaderName = HeaderName::from_static("longrein-lease-for");

/// A refusal: a status, what is wrong in words, and the safety core's reason when it is one.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    status: u16,
    detail: Value,
    reason: Option<&'static str>,
    lease_for: Option<String>,
}

impl Refused {
    /// `status` with `detail` in words.
    pub fn new(status: u16, detail: impl Into<Value>) -> Self {
        Self { status, detail: detail.into(), reason: None, lease_for: None }
    }

    /// 400: the request is not what the endpoint takes.
    pub fn bad(detail: impl Into<Value>) -> Self {
        Self::new(400, detail)
    }

    /// 409: the safety core does not obey, for `reason`.
    pub fn unsafe_now(reason: Reason) -> Self {
        let next = what_a_program_does(reason);
        let words = reason.words();
        let detail = if next.is_empty() { words.to_owned() } else { format!("{words}: {next}") };
        Self { reason: Some(reason.code()), ..Self::new(409, detail) }
    }

    /// 428: a client that signs for itself has to open a lease first, for `mission` or for a free drive.
    pub fn lease_wanted(mission: Option<MissionId>) -> Self {
        let words = "open a lease first: POST /v1/leases, then POST /v1/robots/{id}/lease with your signature";
        let wanted = mission.map_or_else(|| "free".to_owned(), |mission| mission.to_string());
        Self { lease_for: Some(wanted), ..Self::new(428, words) }
    }

    /// HTTP status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// What is wrong, in words or as a document.
    pub const fn detail(&self) -> &Value {
        &self.detail
    }
}

/// What a program can do about `reason`: [`Reason::what_next`] speaks to people with keys under their fingers.
const fn what_a_program_does(reason: Reason) -> &'static str {
    match reason {
        Reason::VideoStale => {
            "get /v2/front before each /control; driving without pictures needs the permission of the robot's owner"
        }
        Reason::RearmNeeded | Reason::CommandStale | Reason::CommandHeldUp | Reason::ClockJump => {
            "send 0/0, then the command again"
        }
        Reason::Estop => "somebody stopped the robot; a person has to clear it in the cockpit",
        Reason::DeadmanReleased => "send the command again",
        other => other.what_next(),
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        let status = match error.code() {
            // A path that exists answers; the robot behind it does not.
            code::ROBOT_OFFLINE | code::NO_PICTURE => 503,
            _ => error.status(),
        };
        Self::new(status, error.detail())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut document = json!({ "detail": self.detail });
        if let (Some(reason), Value::Object(members)) = (self.reason, &mut document) {
            members.insert("reason".to_owned(), reason.into());
        }
        let mut response = (status, document.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wanted) = self.lease_for.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(LEASE_FOR, wanted);
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_the_safety_core_is_said_in_words_and_as_code() {
        for reason in Reason::ALL {
            let refused = Refused::unsafe_now(*reason);
            assert_eq!(refused.status(), 409);
            assert!(refused.detail().as_str().unwrap().starts_with(reason.words()));
            assert!(!refused.detail().as_str().unwrap().contains("keys"), "{reason:?}");
        }
        let offline: Refused = ApiError::robot_offline("gone").into();
        assert_eq!((offline.status(), offline.detail().as_str()), (503, Some("gone")));
    }
}
