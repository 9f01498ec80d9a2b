//! Extractors whose refusals are problem documents.

use crate::fleet::Fleet;
use crate::problems::{Refused, Result};
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use protocol::problem::code;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// A JSON body. Unknown fields are refused by the types themselves.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<Fleet>> for Body<T> {
    type Rejection = Refused;
    async fn from_request(request: Request, fleet: &Arc<Fleet>) -> Result<Self> {
        let Octets(bytes) = Octets::from_request(request, fleet).await?;
        // A request without a body is one without fields.
        let json: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(json)
            .map(Self)
            .map_err(|error| Refused::bad_request(format!("the body: {error}")))
    }
}

/// A body as it is.
pub(crate) struct Octets(pub(crate) axum::body::Bytes);

impl FromRequest<Arc<Fleet>> for Octets {
    type Rejection = Refused;
    async fn from_request(request: Request, fleet: &Arc<Fleet>) -> Result<Self> {
        let bytes = axum::body::Bytes::from_request(request, fleet).await;
        bytes.map(Self).map_err(|rejection: BytesRejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                let detail = "the body is longer than this endpoint takes; see /openapi.json";
                return Refused::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, detail);
            }
            Refused::bad_request(rejection.body_text())
        })
    }
}

/// What stands in the path.
pub(crate) struct Segment<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Fleet>> for Segment<T> {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, fleet: &Arc<Fleet>) -> Result<Self> {
        let Path(value) = Path::<T>::from_request_parts(parts, fleet)
            .await
            .map_err(|rejection| Refused::bad_request(rejection.body_text()))?;
        Ok(Self(value))
    }
}

/// What stands after the question mark.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Fleet>> for Params<T> {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, _: &Arc<Fleet>) -> Result<Self> {
        let Query(value) = Query::<T>::try_from_uri(&parts.uri)
            .map_err(|rejection| Refused::bad_request(rejection.body_text()))?;
        Ok(Self(value))
    }
}

/// Which page of a list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// `next` of the page before.
    pub(crate) cursor: Option<String>,
    /// 1 to 200; 50 when left out.
    pub(crate) limit: Option<usize>,
}

/// Longest page.
const LIMIT_MAX: usize = 200;

/// The page's length.
pub(crate) fn limit(limit: Option<usize>) -> Result<usize> {
    match limit.unwrap_or(50) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => Err(Refused::bad_request(format!("limit is 1 to {LIMIT_MAX}"))),
    }
}

/// A cursor is the id of the last item of the page before.
pub(crate) fn cursor<T: std::str::FromStr>(cursor: Option<&str>) -> Result<Option<&str>> {
    match cursor {
        Some(text) if text.parse::<T>().is_err() => {
            Err(Refused::bad_request("cursor: give back what 'next' said"))
        }
        cursor => Ok(cursor),
    }
}
