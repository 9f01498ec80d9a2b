//! `POST /v1/safety/try`: what the robot's safety core decides, from the core itself, for whoever wants to learn it.
//!
//! Public, without state and bounded: a request is a short scenario, its answer what the core said while it lasted. No
//! robot is asked and none is told.

mod run;
mod scenario;

use crate::app::{self, Shared};
use crate::problem::ApiError;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

/// A policy with all of its areas and 16 phases fit in this.
const BODY_LEN_MAX: usize = 64 * 1024;

/// Plays a scenario against the safety core that robots run.
///
/// A scenario is up to 16 phases, 60 s in all, each with what the core is told while it lasts: whatever is left out is
/// as it should be. The answer has a sample every 20 ms (`samples`), what changed when (`changes`), and every hazard that
/// held at the end, in words (`hazards`). `policy` is an owner's policy as in `robot.toml`; without it the defaults count.
#[utoipa::path(
    post, path = "/v1/safety/try", tag = "service", operation_id = "try_safety",
    request_body(content = Object, example = json!({"phases": [
        {"for_ms": 300, "deadman": false},
        {"for_ms": 3000, "linear_mps": 1.5},
        {"for_ms": 1000, "linear_mps": 1.5, "command_every_ms": null}
    ]})),
    responses(
        (status = 200, description = "`{samples, changes, hazards, policy, end}`", body = Object),
        (status = 400, description = "bad-request: what is wrong with the scenario or the policy"),
        (status = 413, description = "too-large"),
        (status = 429, description = "too-many"),
    )
)]
pub async fn try_core(State(app): State<Shared>, body: Body) -> Result<Response, ApiError> {
    app.admit_try()?;
    let scenario: scenario::Scenario = app::json(body, BODY_LEN_MAX).await?;
    let played = run::play(&scenario).map_err(ApiError::bad_request)?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(played)).into_response())
}
