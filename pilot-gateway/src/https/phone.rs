//! How a phone on the same network finds its way here.

use crate::app::Shared;
use crate::https::{Https, fingerprint};
use crate::problem::ApiError;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use protocol::problem::code;
use serde::Serialize;
use utoipa::ToSchema;

/// Where the root is to be had.
pub const ROOT_PATH: &str = "/https-root.crt";

/// The way here for other machines. `https` is null when the gateway serves none.
#[derive(Debug, Serialize, ToSchema)]
pub struct Phone {
    https: Option<Way>,
}

/// Addresses and what to compare a browser's words with.
#[derive(Debug, Serialize, ToSchema)]
pub struct Way {
    /// Where the pages are, the likeliest first.
    urls: Vec<String>,
    /// SHA-256 of the certificate, as browsers show it.
    certificate_sha256: String,
    /// The root that a phone may install; null for an owner's own certificate.
    root: Option<Root>,
}

/// The root certificate.
#[derive(Debug, Serialize, ToSchema)]
pub struct Root {
    /// Where it is to be had.
    path: &'static str,
    /// SHA-256, as phones show it.
    sha256: String,
}

impl Way {
    pub(crate) fn of(https: &Https) -> Self {
        let root = https.root().map(|der| Root { path: ROOT_PATH, sha256: fingerprint(der) });
        Self { urls: https.urls(), certificate_sha256: https.fingerprint(), root }
    }
}

/// The way here for a phone on the same network.
#[utoipa::path(
    get, path = "/v1/phone", tag = "service", operation_id = "phone",
    responses((status = 200, description = "Addresses and fingerprints", body = Phone), (status = 401, description = "sign-in")),
    security(("session" = []))
)]
pub async fn phone(State(app): State<Shared>, headers: HeaderMap) -> Result<Json<Phone>, ApiError> {
    // Addresses of this machine are nobody's business who has none here.
    app.caller(&headers)?;
    Ok(Json(Phone { https: app.https.as_ref().map(Way::of) }))
}

/// The root certificate that the gateway made for its own network.
#[utoipa::path(
    get, path = "/https-root.crt", tag = "service", operation_id = "https_root",
    responses(
        (status = 200, description = "The certificate, DER", content_type = "application/x-x509-ca-cert", body = Vec<u8>),
        (status = 404, description = "not-found: the gateway made none"),
    )
)]
pub async fn root(State(app): State<Shared>) -> Result<Response, ApiError> {
    let der = app.https.as_ref().and_then(Https::root).ok_or_else(|| {
        ApiError::new(404, code::NOT_FOUND, "this gateway made no root certificate of its own")
    })?;
    let headers = [
        (header::CONTENT_TYPE, "application/x-x509-ca-cert"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"longrein-root.crt\""),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, der.to_vec()).into_response())
}

/// The text for somebody before a terminal: the address as words and as a QR code, and what to compare.
pub fn announcement(https: &Https) -> String {
    let way = Way::of(https);
    let url = way.urls.first().cloned().unwrap_or_default();
    let code = qrcode::QrCode::new(&url).map(|code| {
        code.render::<qrcode::render::unicode::Dense1x2>()
            .dark_color(qrcode::render::unicode::Dense1x2::Light)
            .light_color(qrcode::render::unicode::Dense1x2::Dark)
            .build()
    });
    let root = way.root.map_or_else(String::new, |root| {
        format!(
            "  The phone warns, for it does not know this certificate. Compare its SHA-256:\n  {}\n  \
             Or install {url}{ROOT_PATH} once, and it warns no more (root SHA-256 {}).\n",
            way.certificate_sha256, root.sha256
        )
    });
    format!("{}\n\n  From a phone on this network: {url}\n{root}", code.unwrap_or_default())
}
