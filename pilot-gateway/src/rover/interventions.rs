//! `/interventions/…`: a client says that a person takes over, and when that is over.
//!
//! They are the fleet's own, in a drive: the fleet keeps them, the robot records them in the episode, and what is under
//! way when the drive ends is ended with it. Nothing of them lives in this gateway.

use super::client::Client;
use super::control;
use super::missions::{self, slug_of};
use super::openapi::ErrorDocument;
use super::refused::Refused;
use crate::clock::{self, rfc3339};
use crate::drivers::Opened;
use crate::problem::ApiError;
use crate::relay;
use axum::Json;
use axum::body::Body;
use protocol::ids::{EpisodeId, InterventionId, MissionId, RobotId};
use protocol::intervention::{Act, InterventionRequest};
use protocol::problem::code;
use protocol::units::WallMs;
use serde::Deserialize;
use serde_json::{Value, json};

/// The cause of an intervention whose client gave none: the original's clients can't.
const NO_CAUSE: &str = "a person takes over";
/// The cause of an end: the client does not say one.
const END_CAUSE: &str = "the person is done";
/// Interventions that `/interventions/history` shows.
const SHOWN_MAX: usize = 100;

/// What the gateway reads of an intervention.
#[derive(Debug, Deserialize)]
struct Intervention {
    id: InterventionId,
    episode: EpisodeId,
    robot: RobotId,
    robot_name: String,
    mission: Option<MissionId>,
    mission_name: Option<String>,
    started_at: WallMs,
    ended_at: Option<WallMs>,
}

/// What the gateway reads of a lease.
#[derive(Debug, Deserialize)]
struct Lease {
    intervention: Option<InterventionId>,
}

fn none_active() -> Refused {
    Refused::bad("No active intervention found")
}

/// Has the robot write it into the episode.
async fn record(
    client: &Client,
    opened: &Opened,
    id: InterventionId,
    act: Act,
    cause: &str,
) -> Result<(), ApiError> {
    let cause = cause.to_owned();
    let request =
        InterventionRequest { lease_id: opened.lease_id, id, act, cause, at: clock::wall() };
    relay::ask_intervention(&client.app, client.rover.robot(), &request).await
}

async fn end_at_fleet(client: &Client, id: InterventionId) -> Result<(), ApiError> {
    let path = format!("/v1/interventions/{id}/end");
    let _ended: Value = client.app.fleet.post(&path, &client.caller.token, &json!({})).await?;
    Ok(())
}

/// `POST /interventions/start`: takes the lease for it, for an intervention is a part of a drive.
#[utoipa::path(post, path = "/interventions/start", tag = "earth-rover",
    request_body(content = Option<Value>, description = "None, or `{cause}`: 1 to 200 characters for fleet and episode"),
    responses((status = 200, description = "`{message, intervention_id}`", body = Object),
    (status = 400, description = "The cause is no text", body = ErrorDocument),
    (status = 409, description = "Somebody else drives", body = ErrorDocument)))]
pub async fn start(client: Client, body: Body) -> Result<Json<Value>, Refused> {
    client.gate()?;
    let cause = super::body::cause(&Client::body(body).await?)?;
    let cause = cause.as_deref().unwrap_or(NO_CAUSE);
    let opened = control::lease(&client, None).await?;
    let path = format!("/v1/leases/{}/interventions", opened.lease_id);
    let order = json!({ "cause": cause });
    let begun: Intervention = client.app.fleet.post(&path, &client.caller.token, &order).await?;
    if let Err(error) = record(&client, &opened, begun.id, Act::Start, cause).await {
        // What the episode does not hold did not happen. If this fails as well it ends with the drive.
        if let Err(error) = end_at_fleet(&client, begun.id).await {
            tracing::info!(id = %begun.id, code = error.code(), "an intervention was not taken back");
        }
        return Err(Refused::from(error));
    }
    let message = "Intervention started successfully";
    Ok(Json(json!({ "message": message, "intervention_id": begun.id })))
}

/// `POST /interventions/end`.
#[utoipa::path(post, path = "/interventions/end", tag = "earth-rover",
    responses((status = 200, description = "`{message}`", body = Object),
    (status = 400, description = "No active intervention found", body = ErrorDocument)))]
pub async fn end(client: Client) -> Result<Json<Value>, Refused> {
    let (app, robot) = (&client.app, client.rover.robot());
    let opened = app.drivers().touch(client.now(), robot, &client.rover.holder);
    let opened = opened.map_err(|_no_drive| none_active())?;
    let path = format!("/v1/leases/{}", opened.lease_id);
    let lease: Lease = app.fleet.get(&path, &client.caller.token).await?;
    let id = lease.intervention.ok_or_else(none_active)?;
    // The robot first: asked again after half of it failed, both know that it is the same end.
    match record(&client, &opened, id, Act::End, END_CAUSE).await {
        Ok(()) => {}
        // The drive is over, and every intervention in it.
        Err(error) if error.code() == code::LEASE_ENDED => return Err(none_active()),
        Err(error) => return Err(Refused::from(error)),
    }
    end_at_fleet(&client, id).await?;
    Ok(Json(json!({ "message": "Intervention ended successfully" })))
}

fn shown(one: &Intervention, slug: Option<String>) -> Value {
    json!({
        "ride_id": one.episode,
        "start_time": rfc3339(one.started_at),
        "end_time": one.ended_at.map(rfc3339),
        "mission_name": one.mission_name,
        "mission_slug": slug,
        "bot_name": one.robot_name,
        "bot_slug": one.robot,
    })
}

/// `GET /interventions/history`: this client's on this robot, newest first, in all its rides.
#[utoipa::path(get, path = "/interventions/history", tag = "earth-rover",
    responses((status = 200, description = "`{interventions: [{ride_id, start_time, end_time, mission_name, mission_slug, bot_name, bot_slug}]}`", body = Object)))]
pub async fn history(client: Client) -> Result<Json<Value>, Refused> {
    let (robot, driver) = (client.rover.robot(), client.rover.holder);
    let path = format!("/v1/interventions?robot={robot}&driver={driver}&limit={SHOWN_MAX}");
    let page: missions::Page<Intervention> =
        client.app.fleet.get(&path, &client.caller.token).await?;
    let on_missions = page.items.iter().any(|one| one.mission.is_some());
    let all = if on_missions { missions::all(&client).await? } else { Vec::new() };
    let shown = page.items.iter().map(|one| {
        let slug = one.mission.map(|id| slug_of(&all, id, one.mission_name.as_deref()));
        shown(one, slug)
    });
    Ok(Json(json!({ "interventions": shown.collect::<Vec<_>>() })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intervention_in_the_words_of_the_api() {
        let one: Intervention = serde_json::from_value(json!({
            "id": "itv_00000000000000000000000000000001",
            "episode": "eps_00000000000000000000000000000002",
            "robot": "rover-1", "robot_name": "Rover One",
            "mission": "msn_00000000000000000000000000000003", "mission_name": "Lap",
            "started_at": 299, "ended_at": null, "cause": "lost", "more": 1,
        }))
        .unwrap();
        assert_eq!(
            shown(&one, Some("lap".to_owned())),
            json!({
                "ride_id": "eps_00000000000000000000000000000002",
                "start_time": "1970-01-01T00:00:00.299Z", "end_time": null,
                "mission_name": "Lap", "mission_slug": "lap",
                "bot_name": "Rover One", "bot_slug": "rover-1",
            })
        );
    }
}
