//! A request is heard out before it is answered.
//!
//! Some handlers need no body, or refuse before they read it. Answered while its body is still on the way, a connection can't
//! be used again, and hyper closes it; a caller that sends its next request over it learns that only then.

use super::JSON_MAX;
use crate::problems::Refused;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use protocol::problem::code;

/// Reads a body of a known and acceptable length. Others are left to the handler, which bounds them.
pub(super) async fn hear_out(request: Request, next: Next) -> Response {
    let length = request.headers().get(axum::http::header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_none_or(|length| length == 0 || length > JSON_MAX) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    match to_bytes(body, JSON_MAX).await {
        Ok(bytes) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Err(error) => {
            let detail = format!("the body did not come whole: {error}; send it again");
            Refused::new(StatusCode::BAD_REQUEST, code::BAD_REQUEST, detail).into_response()
        }
    }
}
