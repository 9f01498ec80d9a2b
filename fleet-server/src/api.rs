//! The HTTP API. Handlers only parse, check the caller's role, call an operation and show the result.

mod credentials;
mod episodes;
mod events;
mod extract;
mod interventions;
mod missions;
mod money;
mod openapi;
mod people;
mod public;
mod robots;
mod schemas;
mod settings;

use crate::fleet::Fleet;
use crate::problems::Refused;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, patch, post, put};
use protocol::api::UPLOAD_CHUNK_MAX;
use std::sync::Arc;

/// Longest JSON body, bytes.
const JSON_MAX: usize = 64 * 1024;
/// Longest body that begins an upload: base64 of the longest manifest.
const MANIFEST_MAX: usize = 24 * 1024 * 1024;

/// All routes.
pub(crate) fn router(fleet: Arc<Fleet>) -> Router {
    let uploads = Router::new()
        .route("/v1/episodes", post(episodes::begin))
        .layer(DefaultBodyLimit::max(MANIFEST_MAX))
        .merge(
            Router::new()
                .route("/v1/episodes/{id}/files/{name}", patch(episodes::append))
                .layer(DefaultBodyLimit::max(UPLOAD_CHUNK_MAX)),
        );
    let rest = Router::new()
        .route("/healthz", get(public::health))
        .route("/readyz", get(public::ready))
        .route("/openapi.json", get(openapi::document))
        .route("/v1/fleet", get(public::fleet))
        .route("/v1/auth/challenge", post(public::challenge))
        .route("/v1/auth/session", post(public::session))
        .route("/v1/invitations", post(people::invite))
        .route("/v1/invitations/{code}", get(public::invitation))
        .route("/v1/invitations/{code}/accept", post(public::accept_invitation))
        .route("/v1/enrolments", post(people::order_enrolment))
        .route("/v1/enrolments/{code}/accept", post(public::accept_enrolment))
        .route("/v1/owners", get(people::owners).post(people::add_owner))
        .route("/v1/me", get(people::me))
        .route("/v1/deposits", post(money::deposit))
        .route("/v1/ledger", get(money::ledger))
        .route("/v1/ledger/entries", get(money::entries))
        .route("/v1/robots", get(robots::list))
        .route("/v1/robots/{id}", get(robots::one))
        .route("/v1/robots/{id}/estop", post(robots::estop))
        .route("/v1/robots/{id}/revoke", post(credentials::revoke))
        .route("/v1/robots/{id}/owners", put(credentials::set_owners))
        .route("/v1/robots/{id}/track", get(robots::track))
        .route("/v1/robots/{id}/settings", get(settings::one).put(settings::set))
        .route("/v1/robots/{id}/fabric-key", post(credentials::fabric_key))
        .route("/v1/certificates", post(credentials::certificate))
        .route("/v1/leases", post(robots::take_lease))
        .route("/v1/leases/{id}", get(robots::lease).delete(robots::end_lease))
        .route("/v1/leases/{id}/renew", post(robots::renew_lease))
        .route("/v1/leases/{id}/interventions", post(interventions::start))
        .route("/v1/interventions", get(interventions::list))
        .route("/v1/interventions/{id}/end", post(interventions::end))
        .route("/v1/missions", get(missions::list).post(missions::create))
        .route("/v1/missions/{id}", get(missions::one))
        .route("/v1/missions/{id}/fund", post(missions::fund))
        .route("/v1/missions/{id}/open", post(missions::open))
        .route("/v1/missions/{id}/cancel", post(missions::cancel))
        .route("/v1/episodes", get(episodes::list))
        .route("/v1/episodes/{id}", get(episodes::one))
        .route("/v1/episodes/{id}/upload", get(episodes::upload))
        .route("/v1/episodes/{id}/complete", post(episodes::complete))
        .route("/v1/episodes/{id}/files/{name}", get(episodes::file))
        .route("/v1/events", get(events::stream))
        .layer(DefaultBodyLimit::max(JSON_MAX));
    uploads
        .merge(rest)
        .fallback(async || Refused::not_found("endpoint; see /openapi.json"))
        .method_not_allowed_fallback(async || {
            Refused::new(
                axum::http::StatusCode::METHOD_NOT_ALLOWED,
                protocol::problem::code::BAD_REQUEST,
                "this endpoint does not take that method; see /openapi.json",
            )
        })
        .layer(axum::middleware::from_fn(body_drain::finish))
        .with_state(fleet)
}
