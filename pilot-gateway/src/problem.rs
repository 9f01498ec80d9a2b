//! Problem documents as HTTP responses (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::problem::{Problem, code};
use serde_json::{Map, Value};

/// A refusal of a request: a problem document, with members of its own where a program needs more than the code.
///
/// Boxed, because results that are nearly always good must not carry its size.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError(Box<Refused>);

#[derive(Debug, Clone, PartialEq)]
struct Refused {
    problem: Problem,
    more: Map<String, Value>,
    retry_after_s: Option<u64>,
}

impl ApiError {
    /// A problem with `status`, one of the codes of [`code`], and what to do in words.
    pub fn new(status: u16, code: &str, detail: impl Into<String>) -> Self {
        Self::of_fleet(Problem::new(status, code, detail))
    }

    /// Adds a member to the document.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.more.insert(name.to_owned(), value.into());
        self
    }

    /// 400: the request is not what the endpoint takes.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(400, code::BAD_REQUEST, detail)
    }

    /// 401: no session.
    pub fn sign_in(detail: impl Into<String>) -> Self {
        Self::new(401, code::SIGN_IN, detail)
    }

    /// 413: the body is longer than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::new(413, code::TOO_LARGE, format!("the body must not be longer than {limit} bytes"))
    }

    /// 429: too many requests, come back in `ms` milliseconds.
    pub fn too_many(ms: u64) -> Self {
        let detail = format!("too many requests; try again in {ms} ms");
        let mut error = Self::new(429, code::TOO_MANY, detail);
        error.0.retry_after_s = Some(ms.div_ceil(1000));
        error
    }

    /// 503: a part of the system does not answer.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let mut error = Self::new(503, code::UNAVAILABLE, detail);
        error.0.retry_after_s = Some(1);
        error
    }

    /// 404: the robot is not there.
    pub fn robot_offline(detail: impl Into<String>) -> Self {
        Self::new(404, code::ROBOT_OFFLINE, detail)
    }

    /// A refusal in somebody else's words: a robot's, or the fleet's.
    pub fn in_words_of_robot(code: &str, detail: String) -> Self {
        Self::new(status_of(code), code, detail)
    }

    /// A problem that the fleet answered with, passed on as it is.
    pub fn of_fleet(problem: Problem) -> Self {
        Self(Box::new(Refused { problem, more: Map::new(), retry_after_s: None }))
    }

    /// HTTP status.
    pub fn status(&self) -> u16 {
        self.0.problem.status
    }

    /// Stable code.
    pub fn code(&self) -> &str {
        &self.0.problem.code
    }

    /// What is wrong and what to do.
    pub fn detail(&self) -> &str {
        &self.0.problem.detail
    }
}

/// The status that fits a robot's refusal. A robot's refusal is never a fault of the server.
fn status_of(robot_code: &str) -> u16 {
    match robot_code {
        code::BAD_REQUEST | code::BAD_SDP => 400,
        code::FORBIDDEN | code::BAD_SIGNATURE => 403,
        code::NOT_FOUND | code::NO_PICTURE | code::ROBOT_OFFLINE => 404,
        code::TOO_LARGE => 413,
        code::TOO_MANY => 429,
        _ => 409,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Refused { problem, more, retry_after_s } = *self.0;
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut document = match serde_json::to_value(&problem) {
            Ok(Value::Object(members)) => members,
            Ok(_) | Err(_) => Map::new(),
        };
        document.extend(more);
        let body = Value::Object(document).to_string();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_robot_never_refuses_with_a_fault_of_ours() {
        let codes = [code::ROBOT_TAKEN, code::LEASE_ENDED, code::BAD_SDP, code::INTERNAL, "x", ""];
        for code in codes {
            let error = ApiError::in_words_of_robot(code, "words".to_owned());
            assert!((400..500).contains(&error.status()), "{code}");
            assert_eq!(error.detail(), "words");
        }
    }
}
