//! `/missions`, `/missions-history`, `/start-mission`, `/end-mission`, `/checkpoints-list`, `/checkpoint-reached`:
//! the fleet's own missions. A ride is a lease for one of them; the fleet alone decides what was reached, from
//! positions that the robot signed.

use super::client::Client;
use super::control::{self, refusal};
use super::openapi::ErrorDocument;
use super::refused::Refused;
use super::{Ride, source};
use crate::clock::rfc3339;
use crate::drivers::{Opened, Refusal};
use crate::programs;
use crate::relay;
use axum::Json;
use protocol::ids::{EpisodeId, MissionId, RobotId};
use protocol::keys::Did;
use protocol::mission::{Checkpoint, MissionState};
use protocol::units::{GeoPoint, WallMs};
use serde::Deserialize;
use serde_json::{Value, json};

/// Missions and episodes that are read from the fleet for one list.
const PAGE: usize = 200;
/// How long `/end-mission` waits for the robot's word that it stands.
const REST_MS: u64 = 4_000;
/// Speed below which a robot stands, m/s.
const REST_MPS: f64 = 0.05;
/// A client that asks within a checkpoint's radius waits for its dwell, at most this long.
const DWELL_MS_MAX: u64 = 5_000;
/// How long the fleet may take after the dwell to write the arrival down.
const DWELL_SLACK_MS: u64 = 1_500;
/// How often the fleet is asked meanwhile.
const DWELL_TICK_MS: u64 = 200;

/// What the gateway reads of a mission.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Mission {
    id: MissionId,
    name: String,
    robot: RobotId,
    checkpoints: Vec<Checkpoint>,
    distance_m: f64,
    state: MissionState,
    reached: Vec<Value>,
    episode: Option<EpisodeId>,
}

/// A page of the fleet.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
}

#[derive(Debug, Deserialize)]
struct Driver {
    did: Did,
}

/// What the gateway reads of an episode.
#[derive(Debug, Deserialize)]
struct Episode {
    id: EpisodeId,
    mission: Option<MissionId>,
    driver: Driver,
    state: String,
    started_at: WallMs,
    ended_at: Option<WallMs>,
}

/// A name as part of a URL: lower-case letters and digits with single hyphens between.
fn slug(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars().flat_map(char::to_lowercase) {
        if letter.is_alphanumeric() {
            out.push(letter);
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.trim_end_matches('-').to_owned()
}

/// The slug of one of `all`: its name's, or its id when another has the same.
fn slug_among(all: &[Mission], mission: &Mission) -> String {
    let own = slug(&mission.name);
    let shared = all.iter().any(|other| other.id != mission.id && slug(&other.name) == own);
    if shared || own.is_empty() { mission.id.to_string() } else { own }
}

/// The slug of the mission `id`, which may be older than those of `all`; then it is made of its `name`.
pub(super) fn slug_of(all: &[Mission], id: MissionId, name: Option<&str>) -> String {
    match all.iter().find(|mission| mission.id == id) {
        Some(mission) => slug_among(all, mission),
        None => name.map(slug).filter(|slug| !slug.is_empty()).unwrap_or_else(|| id.to_string()),
    }
}

/// The fleet's newest missions.
pub(super) async fn all(client: &Client) -> Result<Vec<Mission>, Refused> {
    let path = format!("/v1/missions?limit={PAGE}");
    let page: Page<Mission> = client.app.fleet.get(&path, &client.caller.token).await?;
    Ok(page.items)
}

async fn of_robot(client: &Client, states: &str) -> Result<Vec<Mission>, Refused> {
    let path = format!("/v1/missions?state={states}&limit={PAGE}");
    let page: Page<Mission> = client.app.fleet.get(&path, &client.caller.token).await?;
    let robot = client.rover.robot();
    Ok(page.items.into_iter().filter(|mission| mission.robot == *robot).collect())
}

async fn one(client: &Client, id: MissionId) -> Result<Mission, Refused> {
    Ok(client.app.fleet.get(&format!("/v1/missions/{id}"), &client.caller.token).await?)
}

/// `GET /missions`: those of this robot that are open.
#[utoipa::path(get, path = "/missions", tag = "earth-rover",
    responses((status = 200, description = "`{missions: [{slug, distance_in_m, checkpoints_count}]}`", body = Object)))]
pub async fn list(client: Client) -> Result<Json<Value>, Refused> {
    let missions = of_robot(&client, "open,offered").await?;
    let shown = missions.iter().map(|mission| {
        json!({
            "slug": slug_among(&missions, mission),
            "distance_in_m": (mission.distance_m * 10.0).round() / 10.0,
            "checkpoints_count": mission.checkpoints.len(),
        })
    });
    Ok(Json(json!({ "missions": shown.collect::<Vec<_>>() })))
}

/// `GET /missions-history`: the rides of this client on this robot, newest first.
#[utoipa::path(get, path = "/missions-history", tag = "earth-rover",
    responses((status = 200, description = "`{mission_rides: [{id, mission_slug, success, latest_scanned_checkpoint, status, start_time, end_time}]}`", body = Object)))]
pub async fn history(client: Client) -> Result<Json<Value>, Refused> {
    let (robot, token) = (client.rover.robot(), &client.caller.token);
    let path = format!("/v1/episodes?robot={robot}&limit={PAGE}");
    let episodes: Page<Episode> = client.app.fleet.get(&path, token).await?;
    let missions = all(&client).await?;
    let holder = client.rover.holder;
    let rides = episodes.items.iter().filter(|e| e.driver.did == holder && e.mission.is_some());
    let shown = rides.map(|episode| {
        let mission = missions.iter().find(|mission| Some(mission.id) == episode.mission);
        // What is reached counts for the newest ride of a mission: each begins at its first checkpoint.
        let newest = mission.filter(|mission| mission.episode == Some(episode.id));
        let reached = newest.map_or(0, |mission| mission.reached.len());
        let success = newest.is_some_and(|mission| {
            !mission.checkpoints.is_empty() && reached == mission.checkpoints.len()
        });
        json!({
            "id": episode.id,
            "mission_slug": mission.map(|mission| slug_among(&missions, mission)),
            "success": success,
            "latest_scanned_checkpoint": reached,
            "status": episode.state,
            "start_time": rfc3339(episode.started_at),
            "end_time": episode.ended_at.map(rfc3339),
        })
    });
    Ok(Json(json!({ "mission_rides": shown.collect::<Vec<_>>() })))
}

/// The mission that `/start-mission` is about: the configured one, or the oldest open one of the robot.
async fn chosen(client: &Client) -> Result<(Mission, String), Refused> {
    let open = of_robot(client, "open,offered").await?;
    let robot = client.rover.robot();
    let wanted = client.mission.as_deref();
    let found = match wanted {
        // The fleet gives the newest first.
        None => open.last(),
        Some(wanted) => open.iter().find(|mission| {
            mission.id.to_string() == wanted
                || slug(&mission.name) == wanted
                || slug_among(&open, mission) == wanted
        }),
    };
    match (found, wanted) {
        (Some(mission), _) => Ok((mission.clone(), slug_among(&open, mission))),
        (None, Some(wanted)) => {
            let shown: String = wanted.chars().take(60).collect();
            let words = format!("Mission {shown} is not open for {robot}; see /missions");
            Err(Refused::new(404, words))
        }
        (None, None) => Err(Refused::new(404, format!("No mission is open for {robot}"))),
    }
}

fn checkpoints_json(checkpoints: &[Checkpoint], claimed: usize) -> Value {
    let shown = (1..).zip(checkpoints).map(|(n, checkpoint): (usize, _)| {
        json!({
            "id": n,
            "sequence": n,
            // Strings, as in the original.
            "latitude": checkpoint.position.lat_deg.to_string(),
            "longitude": checkpoint.position.lon_deg.to_string(),
        })
    });
    json!({
        "checkpoints_list": shown.collect::<Vec<_>>(),
        "latest_scanned_checkpoint": claimed,
    })
}

fn ride_of(mission: Mission, slug: String, opened: &Opened) -> Ride {
    Ride {
        mission: mission.id,
        slug,
        name: mission.name,
        lease: opened.lease_id,
        episode: opened.episode,
        claimed: 0,
        checkpoints: mission.checkpoints,
    }
}

/// A client that signs opens the lease for its mission itself, after it was told so: then its ride begins here.
async fn adopted(client: &Client) -> Result<bool, Refused> {
    let opened = client.touch().ok().filter(|_| client.signs.is_some());
    let Some((opened, id)) = opened.and_then(|open| open.mission.map(|id| (open, id))) else {
        return Ok(false);
    };
    let mission = one(client, id).await?;
    let mut known = of_robot(client, "open,offered").await?;
    known.push(mission.clone());
    let slug = slug_among(&known, &mission);
    let wanted = client.mission.as_deref();
    let other = wanted.is_some_and(|wanted| {
        mission.id.to_string() != wanted && self::slug(&mission.name) != wanted && slug != wanted
    });
    if other {
        return Ok(false);
    }
    client.memory().ride = Some(ride_of(mission, slug, &opened));
    Ok(true)
}

/// `POST /start-mission`: takes the lease for it. Asking again while it is under way gives its checkpoints again.
#[utoipa::path(post, path = "/start-mission", tag = "earth-rover",
    responses((status = 200, description = "`{message, checkpoints_list}`", body = Object),
    (status = 404, description = "No such mission is open", body = ErrorDocument),
    (status = 409, description = "Somebody else drives", body = ErrorDocument)))]
pub async fn start(client: Client) -> Result<Json<Value>, Refused> {
    if !client.riding() && !adopted(&client).await? {
        let (mission, slug) = chosen(&client).await?;
        // A lease for a free drive is not one for a mission: it ends, with its episode.
        let (robot, caller) = (client.rover.robot(), &client.caller);
        if client.touch().is_ok() {
            let released = programs::release_and_wait(&client.app, robot, caller).await;
            released.map_err(|error| refusal(&error))?;
        }
        let opened = control::lease(&client, Some(mission.id)).await?;
        client.memory().ride = Some(ride_of(mission, slug, &opened));
    }
    let ride = ride(&client)?;
    Ok(Json(json!({
        "message": "Mission started successfully",
        "checkpoints_list": checkpoints_json(&ride.checkpoints, ride.claimed),
    })))
}

fn ride(client: &Client) -> Result<Ride, Refused> {
    let not_started = || Refused::bad("Call /start-mission endpoint to start a mission");
    if !client.riding() {
        return Err(not_started());
    }
    client.memory().ride.clone().ok_or_else(not_started)
}

/// `POST /end-mission`: stops, ends the lease, and answers when the robot itself says that it stands.
#[utoipa::path(post, path = "/end-mission", tag = "earth-rover",
    responses((status = 200, description = "`{message}`", body = Object),
    (status = 400, description = "Call /start-mission endpoint to start a mission", body = ErrorDocument),
    (status = 503, description = "The stop is not confirmed", body = ErrorDocument)))]
pub async fn end(client: Client) -> Result<Json<Value>, Refused> {
    let (app, robot) = (&client.app, client.rover.robot());
    match client.touch() {
        Ok(opened) => {
            let released = programs::release_and_wait(app, robot, &client.caller).await;
            client.memory().ride = None;
            released.map_err(|error| refusal(&error))?;
            await_rest(&client, &opened).await?;
        }
        // Free drives end here as well; a drive that is over already is ended.
        Err(Refusal::Ended { .. }) => client.memory().ride = None,
        Err(other @ (Refusal::Taken { .. } | Refusal::Elsewhere { .. })) => {
            return Err(refusal(&other));
        }
        Err(_no_lease) => {
            return Err(Refused::bad("Call /start-mission endpoint to start a mission"));
        }
    }
    Ok(Json(json!({ "message": "Mission ended successfully" })))
}

async fn await_rest(client: &Client, opened: &Opened) -> Result<(), Refused> {
    let (app, robot) = (&client.app, client.rover.robot());
    let (mut heard, begun) = (app.states_heard.subscribe(), client.now());
    let until = begun.plus(REST_MS);
    loop {
        if let Some((state, age_ms)) = app.newest(robot)
            && age_ms <= client.now().since(begun)
            && state.lease != Some(opened.lease_id)
            && state.speed_mps.abs() <= REST_MPS
        {
            return Ok(());
        }
        if !relay::next_state(app, &mut heard, until).await {
            let words = format!(
                "the stop of {robot} is not confirmed; it stops by itself when commands do not arrive"
            );
            return Err(Refused::new(503, words));
        }
    }
}

/// `GET` or `POST /checkpoints-list`.
#[utoipa::path(method(get, post), path = "/checkpoints-list", tag = "earth-rover",
    responses((status = 200, description = "`{checkpoints_list: [{id, sequence, latitude, longitude}], latest_scanned_checkpoint}`", body = Object),
    (status = 400, description = "Call /start-mission endpoint to start a mission", body = ErrorDocument)))]
pub async fn checkpoints(client: Client) -> Result<Json<Value>, Refused> {
    let ride = ride(&client)?;
    Ok(Json(checkpoints_json(&ride.checkpoints, ride.claimed)))
}

/// Where the robot is, by its newest report.
async fn place(client: &Client) -> Result<GeoPoint, Refused> {
    let sensed = client.sensed().await?;
    let position = sensed.report.position.filter(|p| p.fix > 0 && p.point.is_valid());
    position
        .map(|position| position.point)
        .ok_or_else(|| Refused::bad("Missing latitude or longitude"))
}

fn not_there(distance_m: f64, checkpoint: &Checkpoint) -> Refused {
    let radius_m = checkpoint.radius_m;
    let error = if distance_m <= radius_m {
        let dwell_s = source::seconds(u64::from(checkpoint.dwell_ms));
        format!("Bot has not been within {radius_m} meters from the checkpoint for {dwell_s} s yet")
    } else {
        format!("Bot is not within {radius_m} meters from the checkpoint")
    };
    Refused::bad(json!({
        "error": error,
        "proximate_distance_to_checkpoint": (distance_m * 100.0).round() / 100.0,
    }))
}

/// `POST /checkpoint-reached`: asks the fleet whether the next checkpoint is reached. Within its radius the answer
/// waits for the stay that the mission wants there.
#[utoipa::path(post, path = "/checkpoint-reached", tag = "earth-rover",
    responses((status = 200, description = "`{message, next_checkpoint_sequence, mission_completed}`", body = Object),
    (status = 400, description = "`detail` is `{error, proximate_distance_to_checkpoint}`, or words", body = ErrorDocument)))]
pub async fn reached(client: Client) -> Result<Json<Value>, Refused> {
    let ride = ride(&client)?;
    let Some(checkpoint) = ride.checkpoints.get(ride.claimed) else {
        return Ok(Json(json!({
            "message": "Checkpoint reached successfully",
            "next_checkpoint_sequence": "",
            "mission_completed": true,
        })));
    };
    let patience = u64::from(checkpoint.dwell_ms).saturating_add(DWELL_SLACK_MS).min(DWELL_MS_MAX);
    let until = client.now().plus(patience);
    loop {
        let mission = one(&client, ride.mission).await?;
        if mission.reached.len() > ride.claimed {
            break;
        }
        let distance_m = place(&client).await?.distance_m(&checkpoint.position);
        // The fleet ended the mission otherwise: waiting would not help.
        let over = !matches!(mission.state, MissionState::Assigned | MissionState::Active);
        if distance_m > checkpoint.radius_m || over || client.now() >= until {
            return Err(not_there(distance_m, checkpoint));
        }
        // Being asked is a sign of life of the client that waits here.
        if !client.riding() {
            return Err(Refused::bad("Call /start-mission endpoint to start a mission"));
        }
        tokio::time::sleep(std::time::Duration::from_millis(DWELL_TICK_MS)).await;
    }
    let claimed = {
        let mut memory = client.memory();
        // Two calls at once claim one checkpoint.
        if let Some(known) = &mut memory.ride
            && known.lease == ride.lease
            && known.claimed == ride.claimed
        {
            known.claimed += 1;
        }
        ride.claimed + 1
    };
    let completed = claimed == ride.checkpoints.len();
    let next = if completed { json!("") } else { json!(claimed + 1) };
    Ok(Json(json!({
        "message": "Checkpoint reached successfully",
        "next_checkpoint_sequence": next,
        "mission_completed": completed,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mission(n: u128, name: &str) -> Mission {
        Mission {
            id: MissionId::new(uuid::Uuid::from_u128(n)),
            name: name.to_owned(),
            robot: "rover-1".parse().unwrap(),
            checkpoints: vec![],
            distance_m: 0.0,
            state: MissionState::Open,
            reached: vec![],
            episode: None,
        }
    }

    #[test]
    fn a_mission_is_named_by_its_slug_or_its_id_when_two_have_the_same() {
        assert_eq!(slug("  Lap of the Block #2! "), "lap-of-the-block-2");
        assert_eq!(slug("Straße – Süd"), "straße-süd");
        let all = [mission(1, "Lap"), mission(2, "lap!"), mission(3, "Mail"), mission(4, "??")];
        let slugs: Vec<_> = all.iter().map(|one| slug_among(&all, one)).collect();
        let ids = all.each_ref().map(|one| one.id.to_string());
        assert_eq!(slugs, [&ids[0], &ids[1], "mail", &ids[3]]);
        let id = |n| MissionId::new(uuid::Uuid::from_u128(n));
        assert_eq!(slug_of(&all, id(3), None), "mail");
        assert_eq!(slug_of(&all, id(9), Some("Old one")), "old-one", "no longer listed");
        assert_eq!(slug_of(&all, id(9), None), id(9).to_string());
    }

    #[test]
    fn checkpoints_in_the_words_of_the_api() {
        let position = GeoPoint { lat_deg: 30.48, lon_deg: 114.3 };
        let checkpoint = Checkpoint { position, radius_m: 3.0, dwell_ms: 1_000 };
        let shown = checkpoints_json(&[checkpoint], 0);
        let first = json!({"id": 1, "sequence": 1, "latitude": "30.48", "longitude": "114.3"});
        assert_eq!(shown, json!({"checkpoints_list": [first], "latest_scanned_checkpoint": 0}));
        let far = not_there(16.871, &checkpoint);
        assert_eq!(far.status(), 400);
        assert_eq!(far.detail()["proximate_distance_to_checkpoint"], 16.87);
        assert_eq!(far.detail()["error"], "Bot is not within 3 meters from the checkpoint");
    }
}
