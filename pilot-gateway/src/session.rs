//! `POST /v1/robots/{id}/session`: a browser opens its WebRTC session with a robot. The gateway carries offer and
//! answer; it can change neither, for the driver signed the one and the robot the other.

use crate::app::{Kind, Shared, json, robot_id};
use crate::problem::ApiError;
use crate::relay;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use protocol::dsse::Envelope;
use protocol::problem::code;
use protocol::signal::SDP_LEN_MAX;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Longest body: an offer and a lease with its mission.
pub const BODY_LEN_MAX: usize = 256 * 1024;

/// A browser's offer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionOffer {
    /// Signed lease, as the fleet gave it.
    #[schema(value_type = Object)]
    lease: Envelope,
    /// WebRTC offer with all candidates.
    offer_sdp: String,
    /// The holder's signature over lease and offer, in hexadecimal.
    driver_signature: String,
}

/// The robot's answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionAnswer {
    /// The episode that is being recorded.
    #[schema(value_type = String, example = "eps_0192f3c1d8e97a3cb0f5d1a2b3c4d5e6")]
    episode: protocol::ids::EpisodeId,
    /// WebRTC answer with all candidates.
    answer_sdp: String,
    /// The robot's signature over the answer, in hexadecimal.
    robot_signature: String,
}

/// What an offer must look like before a robot is asked.
fn check_sdp(sdp: &str) -> Result<(), ApiError> {
    let wrong = if sdp.len() > SDP_LEN_MAX {
        Some(format!("offer_sdp has {} bytes; at most {SDP_LEN_MAX} are taken", sdp.len()))
    } else if !sdp.starts_with("v=0") {
        Some("offer_sdp is no session description: it must start with 'v=0'".to_owned())
    } else if !sdp.contains("\na=fingerprint:") {
        Some("offer_sdp has no DTLS fingerprint (a=fingerprint:…)".to_owned())
    } else {
        None
    };
    wrong.map_or(Ok(()), |detail| Err(ApiError::new(400, code::BAD_SDP, detail)))
}

/// Opens a WebRTC session with a robot.
#[utoipa::path(
    post, path = "/v1/robots/{id}/session", tag = "drive", operation_id = "open_session",
    params(("id" = String, Path, description = "Robot", example = "demo-rover-1")),
    request_body = SessionOffer,
    responses(
        (status = 201, description = "The session is open", body = SessionAnswer),
        (status = 400, description = "bad-request, bad-sdp"), (status = 401, description = "sign-in"),
        (status = 403, description = "forbidden, bad-signature"),
        (status = 404, description = "robot-offline"), (status = 409, description = "robot-taken, lease-ended"),
        (status = 413, description = "too-large"), (status = 504, description = "robot-offline: no answer in time"),
    ),
    security(("session" = []))
)]
pub async fn open_session(
    State(app): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<SessionAnswer>), ApiError> {
    let caller = app.caller(&headers)?;
    app.admit(Kind::Open, &caller)?;
    let robot = robot_id(&id)?;
    let offer: SessionOffer = json(body, BODY_LEN_MAX).await?;
    check_sdp(&offer.offer_sdp)?;
    let lease = relay::check_lease(&app, &robot, &caller.claims.did, offer.lease)?;
    let answer = relay::open(&app, &lease, offer.offer_sdp, offer.driver_signature).await?;
    app.metrics.sessions.add();
    let relay::Answer { episode, answer_sdp, robot_signature } = answer;
    Ok((StatusCode::CREATED, Json(SessionAnswer { episode, answer_sdp, robot_signature })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_an_offer_reaches_a_robot() {
        let long = format!("v=0\r\na=fingerprint:x{}", " ".repeat(SDP_LEN_MAX));
        for (sdp, part) in
            [("", "v=0"), ("hello", "v=0"), ("v=0\r\n", "fingerprint"), (&long, "bytes")]
        {
            let error = check_sdp(sdp).unwrap_err();
            assert_eq!(error.code(), code::BAD_SDP);
            assert!(error.detail().contains(part), "{}", error.detail());
        }
        assert_eq!(check_sdp("v=0\r\na=fingerprint:sha-256 AA\r\n"), Ok(()));
    }
}
