//! What needs no session.

use super::extract::{Body, Segment};
use super::schemas;
use crate::auth::{check_signature, code_key, session as new_session};
use crate::fleet::{Fleet, now};
use crate::model::{Invitation, Principal};
use crate::ops::people;
use crate::problems::{Refused, Result};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use protocol::api::{
    AcceptEnrolment, AcceptInvitation, Challenge, ChallengeRequest, Enrolled, Role, Session,
    SessionRequest, auth_bytes,
};
use protocol::keys::Did;
use protocol::problem::code;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

type Shared = State<Arc<Fleet>>;

/// Whether the server runs.
#[derive(Serialize, ToSchema)]
pub(crate) struct Status {
    /// `ok` or `ready`.
    status: &'static str,
}

/// The process runs.
#[utoipa::path(get, path = "/healthz", tag = "public", responses((status = 200, body = Status)))]
pub(crate) async fn health() -> Json<Status> {
    Json(Status { status: "ok" })
}

/// The store answers and the message fabric is open.
#[utoipa::path(get, path = "/readyz", tag = "public", responses(
    (status = 200, body = Status), (status = 503, body = schemas::Problem)))]
pub(crate) async fn ready(State(fleet): Shared) -> Result<Json<Status>> {
    fleet.store.get("ready").await?;
    fleet.store.writable().map_err(|error| Refused::unavailable(error.to_string()))?;
    if fleet.fabric.get().is_none_or(|session| session.is_closed()) {
        return Err(Refused::unavailable("the message fabric is not open"));
    }
    Ok(Json(Status { status: "ready" }))
}

/// Who this fleet is.
#[derive(Serialize, ToSchema)]
pub(crate) struct FleetView {
    /// Its key: leases, receipts and sessions are signed with it.
    #[schema(value_type = String)]
    fleet_did: Did,
    /// Its name.
    name: String,
}

/// Who this fleet is.
#[utoipa::path(get, path = "/v1/fleet", tag = "public", responses((status = 200, body = FleetView)))]
pub(crate) async fn fleet(State(fleet): Shared) -> Json<FleetView> {
    Json(FleetView { fleet_did: fleet.did, name: fleet.config.name.clone() })
}

/// A nonce to sign.
#[utoipa::path(post, path = "/v1/auth/challenge", tag = "public",
    request_body = schemas::ChallengeRequest, responses(
    (status = 200, body = schemas::Challenge), (status = 429, body = schemas::Problem)))]
pub(crate) async fn challenge(
    State(fleet): Shared,
    Body(request): Body<ChallengeRequest>,
) -> Result<Json<Challenge>> {
    Ok(Json(Challenge { nonce: fleet.challenges.make(request.did, now())? }))
}

/// The signed nonce for a session.
#[utoipa::path(post, path = "/v1/auth/session", tag = "public",
    request_body = schemas::SessionRequest, responses(
    (status = 200, body = schemas::Session), (status = 401, body = schemas::Problem)))]
pub(crate) async fn session(
    State(fleet): Shared,
    Body(request): Body<SessionRequest>,
) -> Result<Json<Session>> {
    if !fleet.challenges.take(&request.nonce, request.did, now()) {
        let detail = "the challenge was not made for this key, was used, or is older than a minute";
        return Err(Refused::bad_signature(detail));
    }
    check_signature(&request.did, &auth_bytes(&request.nonce), &request.signature)?;
    let principal = fleet.read::<Principal>(&request.did.to_string()).await?;
    let unknown =
        || Refused::sign_in("nobody is registered with this key; accept an invitation first");
    let principal = principal.ok_or_else(unknown)?;
    crate::ops::credentials::require_standing(&fleet, &principal).await?;
    Ok(Json(new_session(&fleet, &principal)?))
}

/// What an invitation is for.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitationView {
    /// `pilot`, `agent`, `owner`, `operator`, `gateway`.
    #[schema(value_type = String)]
    role: Role,
    /// Who invites.
    invited_by: String,
    /// Whether it can still be accepted.
    valid: bool,
    /// A name that the inviter suggests.
    name: Option<String>,
}

/// What an invitation is for.
#[utoipa::path(get, path = "/v1/invitations/{code}", tag = "public",
    params(("code" = String, Path)), responses(
    (status = 200, body = InvitationView), (status = 404, body = schemas::Problem)))]
pub(crate) async fn invitation(
    State(fleet): Shared,
    Segment(code): Segment<String>,
) -> Result<Json<InvitationView>> {
    let invitation = fleet.read::<Invitation>(&code_key(&code)).await?;
    let unknown = || {
        let detail = "this code was never given out; check it, or ask for a new one";
        Refused::new(StatusCode::NOT_FOUND, code::BAD_CODE, detail)
    };
    let Invitation { role, invited_by, expires_at, used_by, name, .. } =
        invitation.ok_or_else(unknown)?;
    let valid = used_by.is_none() && now() < expires_at;
    Ok(Json(InvitationView { role, invited_by, valid, name }))
}

/// Registers the key that accepts an invitation, and signs it in.
#[utoipa::path(post, path = "/v1/invitations/{code}/accept", tag = "public",
    params(("code" = String, Path)), request_body = schemas::AcceptInvitation, responses(
    (status = 201, body = schemas::Session), (status = 401, body = schemas::Problem),
    (status = 404, body = schemas::Problem), (status = 409, body = schemas::Problem),
    (status = 410, body = schemas::Problem)))]
pub(crate) async fn accept_invitation(
    State(fleet): Shared,
    Segment(code): Segment<String>,
    Body(accept): Body<AcceptInvitation>,
) -> Result<(StatusCode, Json<Session>)> {
    let mut tx = fleet.begin().await;
    let principal = people::accept_invitation(&mut tx, &code, accept).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(new_session(&fleet, &principal)?)))
}

/// Enrols a robot.
#[utoipa::path(post, path = "/v1/enrolments/{code}/accept", tag = "public",
    params(("code" = String, Path)), request_body = schemas::AcceptEnrolment, responses(
    (status = 201, body = schemas::Enrolled), (status = 401, body = schemas::Problem),
    (status = 404, body = schemas::Problem), (status = 410, body = schemas::Problem)))]
pub(crate) async fn accept_enrolment(
    State(fleet): Shared,
    Segment(code): Segment<String>,
    Body(accept): Body<AcceptEnrolment>,
) -> Result<(StatusCode, Json<Enrolled>)> {
    let mut tx = fleet.begin().await;
    let enrolled = people::accept_enrolment(&mut tx, &code, accept).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(enrolled)))
}
