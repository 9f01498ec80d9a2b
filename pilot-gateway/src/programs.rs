//! The API for programs: state, lease, drive, stop. (`look` is in [`crate::look`].)
//!
//! A program needs no WebRTC: the gateway is the relay that its lease names, repeats its wishes and keeps the
//! lease. It never makes a wish last longer, or act on a newer picture, than the program itself would have.

use crate::app::{Caller, Kind, Shared, json, robot_id};
use crate::drivers::{Opened, Refusal, Wish};
use crate::problem::ApiError;
use crate::relay;
use crate::verdict::{self, Verdict};
use crate::views::{Driven, LeaseOpened, RobotView, Stopped, outcome_members};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use protocol::api::LeaseOrder;
use protocol::dsse::{Envelope, payload_type};
use protocol::ids::{LeaseId, MissionId, RobotId};
use protocol::problem::code;
use protocol::program::{COMMANDS_MAX, ProgramReceipt, RelayedReceipt};
use protocol::state::RobotState;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::ToSchema;

/// Longest body of a small request.
pub const BODY_LEN_MAX: usize = 16 * 1024;
/// Longest body with a lease in it, which carries its mission.
pub const LEASE_BODY_LEN_MAX: usize = 256 * 1024;
/// How long an answer waits for the robot's word on it. States come every 200 ms.
pub const CONFIRM_MS: u64 = 300;
/// A robot whose newest state is older than this is silent.
pub const SILENT_MS: u64 = 1_500;

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match refusal {
            Refusal::Taken { .. } | Refusal::Elsewhere { .. } => (409, code::ROBOT_TAKEN),
            Refusal::Busy { .. } | Refusal::Overtaken { .. } => (409, code::CONFLICT),
            Refusal::NoLease { .. } | Refusal::Ended { .. } => (409, code::LEASE_ENDED),
            Refusal::Full { .. } | Refusal::Unsigned => (429, code::TOO_MANY),
        };
        Self::new(status, code, refusal.to_string())
    }
}

/// The signed-in caller, counted, and the robot of the path.
fn enter(app: &Shared, headers: &HeaderMap, id: &str) -> Result<(Caller, RobotId), ApiError> {
    let caller = app.caller(headers)?;
    app.admit(Kind::Call, &caller)?;
    Ok((caller, robot_id(id)?))
}

/// The newest state of a robot, verified with the robot's key.
#[utoipa::path(
    get, path = "/v1/robots/{id}/state", tag = "programs", operation_id = "state",
    params(("id" = String, Path, description = "Robot", example = "demo-rover-1")),
    responses(
        (status = 200, description = "State, with its age", body = RobotView),
        (status = 401, description = "sign-in"), (status = 404, description = "not-found, robot-offline"),
        (status = 503, description = "unavailable"),
    ),
    security(("session" = []))
)]
pub async fn state(
    State(app): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let (caller, robot) = enter(&app, &headers, &id)?;
    app.watch_robot(&robot, &caller.token).await?;
    // A state is a sign of life of its driver; a caller without a lease may look on.
    app.drivers().touch(app.clock.now(), &robot, &caller.claims.did).ok();
    let mut heard = app.states_heard.subscribe();
    let until = app.clock.now().plus(relay::FIRST_STATE_MS);
    loop {
        if let Some((state, age_ms)) = app.newest(&robot) {
            return Ok(Json(RobotView::json(&state, age_ms)));
        }
        if !relay::next_state(&app, &mut heard, until).await {
            let words = format!("{robot} says nothing; check that its agent runs");
            return Err(ApiError::robot_offline(words));
        }
    }
}

/// Which lease a program wants. Either a lease that it took at the fleet and signed for itself, so that the
/// episode proves who drove, or just a mission, and the gateway takes the lease in its name.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseWish {
    /// Mission to take the lease for. Not together with `lease`.
    #[schema(value_type = Option<String>, example = "msn_0192f3c1d8e97a3cb0f5d1a2b3c4d5e6")]
    mission: Option<MissionId>,
    /// Signed lease that names this gateway (`relay_did` of `GET /v1/config`) as its relay.
    #[schema(value_type = Option<Object>)]
    lease: Option<Envelope>,
    /// With `lease`: the holder's signature, in hexadecimal, over three lines: `longrein-open-v1`, the SHA-256 of
    /// the lease's signed bytes, the SHA-256 of nothing.
    driver_signature: Option<String>,
}

/// Takes a lease on a robot and opens it. The gateway renews it while the caller calls anything about this robot
/// at least every 5 seconds, and releases it otherwise. Asking again while it is open gives the same lease.
#[utoipa::path(
    post, path = "/v1/robots/{id}/lease", tag = "programs", operation_id = "take_lease",
    params(("id" = String, Path, description = "Robot", example = "demo-rover-1")),
    request_body = LeaseWish,
    responses(
        (status = 201, description = "The lease is open, its episode is being recorded", body = LeaseOpened),
        (status = 200, description = "It was open already", body = LeaseOpened),
        (status = 400, description = "bad-request"), (status = 401, description = "sign-in"),
        (status = 403, description = "forbidden, bad-signature"), (status = 404, description = "robot-offline"),
        (status = 409, description = "robot-taken, wrong-state"), (status = 429, description = "too-many"),
        (status = 503, description = "unavailable"), (status = 504, description = "robot-offline"),
    ),
    security(("session" = []))
)]
pub async fn take_lease(
    State(app): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<LeaseOpened>), ApiError> {
    let caller = app.caller(&headers)?;
    app.admit(Kind::Open, &caller)?;
    let robot = robot_id(&id)?;
    let wish: LeaseWish = json(body, LEASE_BODY_LEN_MAX).await?;
    if wish.lease.is_some() && wish.mission.is_some() {
        return Err(ApiError::bad_request("mission: the lease names its mission; leave this out"));
    }
    if wish.lease.is_none() && wish.driver_signature.is_some() {
        return Err(ApiError::bad_request(
            "driver_signature: there is no lease that it could sign",
        ));
    }
    // In a task of its own: a caller who hangs up half-way must not leave a robot half-open.
    let task = tokio::spawn(async move { open_lease(&app, caller, robot, wish).await });
    task.await.map_err(|error| {
        tracing::error!(%error, "opening a lease broke off");
        ApiError::new(500, code::INTERNAL, "opening the lease broke off; try again")
    })?
}

/// Opens a lease on `robot` in the name of `caller`, for a mission or none, or gives the one that is open.
pub async fn open_for(
    app: &Shared,
    caller: &Caller,
    robot: &RobotId,
    mission: Option<MissionId>,
) -> Result<Opened, ApiError> {
    app.admit(Kind::Open, caller)?;
    let (app, caller, robot) = (Arc::clone(app), caller.clone(), robot.clone());
    let wish = LeaseWish { mission, ..LeaseWish::default() };
    // In a task of its own, as in `take_lease`.
    let task = tokio::spawn(async move {
        let (_, Json(_opened)) = open_lease(&app, caller.clone(), robot.clone(), wish).await?;
        let touched = app.drivers().touch(app.clock.now(), &robot, &caller.claims.did);
        touched.map_err(ApiError::from)
    });
    task.await.map_err(|error| {
        tracing::error!(%error, "opening a lease broke off");
        ApiError::new(500, code::INTERNAL, "opening the lease broke off; try again")
    })?
}

async fn open_lease(
    app: &Shared,
    caller: Caller,
    robot: RobotId,
    wish: LeaseWish,
) -> Result<(StatusCode, Json<LeaseOpened>), ApiError> {
    let holder = caller.claims.did;
    let brought = match wish.lease {
        Some(envelope) => {
            Some(check_relay(app, relay::check_lease(app, &robot, &holder, envelope)?)?)
        }
        None => None,
    };
    let lease_id = brought.as_ref().map(|lease| lease.lease().lease_id);
    if let Some(open) = reserve(app, &robot, &caller, lease_id)? {
        app.keep_token(&robot, Some(&caller.token));
        return Ok((StatusCode::OK, Json(LeaseOpened::new(&robot, &open))));
    }
    let signature = wish.driver_signature.unwrap_or_default();
    let opened = async {
        let lease = match brought {
            Some(lease) => lease,
            None => order(app, &robot, &caller, wish.mission).await?,
        };
        let outcome = relay::open_as_relay(app, &lease, signature, &caller.token).await;
        if outcome.is_err()
            && let Err(error) = app.fleet.end_lease(lease.lease().lease_id, &caller.token).await
        {
            tracing::info!(%robot, code = error.code(), "an unopened lease was not given back");
        }
        outcome
    };
    match opened.await {
        Ok(opened) => Ok((StatusCode::CREATED, Json(LeaseOpened::new(&robot, &opened)))),
        Err(error) => {
            app.drivers().abandon(&robot);
            Err(error)
        }
    }
}

/// Reserves the robot. A caller who brings another lease than the open one has given up the open one.
fn reserve(
    app: &Shared,
    robot: &RobotId,
    caller: &Caller,
    brought: Option<LeaseId>,
) -> Result<Option<Opened>, ApiError> {
    let now = app.clock.now();
    let mut drivers = app.drivers();
    let open = drivers.reserve(now, robot, caller.claims.did)?;
    match (open, brought) {
        (Some(open), Some(brought)) if open.lease_id != brought => {
            drivers.ended(now, robot, open.lease_id, "fenced");
            Ok(drivers.reserve(now, robot, caller.claims.did)?)
        }
        (open, _) => Ok(open),
    }
}

/// Takes a lease at the fleet in the caller's name.
async fn order(
    app: &Shared,
    robot: &RobotId,
    caller: &Caller,
    mission: Option<MissionId>,
) -> Result<protocol::lease::VerifiedLease, ApiError> {
    let order =
        LeaseOrder { robot: Some(robot.clone()), mission, relay: Some(app.did), takeover: false };
    let grant = app.fleet.take_lease(&order, &caller.token).await?;
    check_relay(app, relay::check_lease(app, robot, &caller.claims.did, grant.lease)?)
}

fn check_relay(
    app: &Shared,
    lease: protocol::lease::VerifiedLease,
) -> Result<protocol::lease::VerifiedLease, ApiError> {
    if lease.lease().relay == Some(app.did) {
        return Ok(lease);
    }
    let words = format!("the lease must name this gateway as its relay: {}", app.did);
    Err(ApiError::bad_request(words))
}

/// A wish to move. Every field is required.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DriveWish {
    /// Speed forward, m/s, −3 to 3. The robot goes no faster than its lease, its owner and its sight allow.
    #[schema(value_type = f64, minimum = -3.0, maximum = 3.0, example = 0.5)]
    linear_mps: Option<Value>,
    /// Turn rate to the left, rad/s, −4 to 4.
    #[schema(value_type = f64, minimum = -4.0, maximum = 4.0, example = 0.0)]
    angular_radps: Option<Value>,
    /// How long the wish lasts, 50 to 1000 ms. Then the robot stops, unless a new wish came.
    #[schema(value_type = f64, minimum = 50, maximum = 1000, example = 400)]
    ttl_ms: Option<Value>,
}

impl DriveWish {
    fn check(&self) -> Result<Wish, ApiError> {
        let number = |field: &str, value: &Option<Value>| match value {
            Some(Value::Number(number)) => Ok(number.as_f64().unwrap_or(f64::NAN)),
            Some(other) => {
                let shown: String = other.to_string().chars().take(40).collect();
                Err(ApiError::bad_request(format!("{field} is {shown}; it must be a number")))
            }
            None => Err(ApiError::bad_request(format!("{field} is missing"))),
        };
        let linear = number("linear_mps", &self.linear_mps)?;
        let angular = number("angular_radps", &self.angular_radps)?;
        let ttl = number("ttl_ms", &self.ttl_ms)?;
        Wish::new(linear, angular, ttl).map_err(|error| ApiError::bad_request(error.to_string()))
    }
}

/// Drives for a moment. The answer is the safety core's: 200 when it obeys, 409 `not-safe` with the reason and
/// what to do when it does not. A refused wish ends at once; the next one is a fresh press of the deadman.
#[utoipa::path(
    post, path = "/v1/robots/{id}/drive", tag = "programs", operation_id = "drive",
    params(("id" = String, Path, description = "Robot", example = "demo-rover-1")),
    request_body = DriveWish,
    responses(
        (status = 200, description = "The robot obeys", body = Driven),
        (status = 400, description = "bad-request: names the field"), (status = 401, description = "sign-in"),
        (status = 409, description = "not-safe (with state, reason, words, what_next), lease-ended, robot-taken"),
        (status = 429, description = "too-many"), (status = 504, description = "robot-offline: it says nothing"),
    ),
    security(("session" = []))
)]
pub async fn drive(
    State(app): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Driven>, ApiError> {
    let (caller, robot) = enter(&app, &headers, &id)?;
    let wish = json::<DriveWish>(body, BODY_LEN_MAX).await?.check()?;
    app.keep_token_of_driver(&robot, &caller);
    let mut heard = app.states_heard.subscribe();
    let (opened, seq) = app.drivers().drive(app.clock.now(), &robot, &caller.claims.did, wish)?;
    app.wake.notify_one();
    let (state, verdict) = await_verdict(&app, &robot, &opened, seq, &mut heard).await?;
    let confirmed = verdict != Verdict::Unknown;
    match verdict {
        Verdict::Ended(why) => Err(Refusal::Ended { robot, why }.into()),
        Verdict::Unknown if !verdict::holds_back(&state) => {
            Ok(Json(Driven::new(seq, confirmed, &state)))
        }
        Verdict::Obeyed => Ok(Json(Driven::new(seq, confirmed, &state))),
        Verdict::Refused | Verdict::Unknown => {
            app.drivers().refused(app.clock.now(), &robot, opened.lease_id, seq);
            app.wake.notify_one();
            Err(not_safe(seq, &state))
        }
    }
}

fn not_safe(seq: u32, state: &RobotState) -> ApiError {
    let (words, next) = (state.reason.words(), state.reason.what_next());
    let detail = if next.is_empty() { words.to_owned() } else { format!("{words}. {next}.") };
    let error = ApiError::new(409, code::NOT_SAFE, detail);
    outcome_members(seq, state).into_iter().fold(error, |e, (name, value)| e.with(name, value))
}

/// Waits for the robot's word on packet `seq`, at most [`CONFIRM_MS`]. Gives the newest state and what it says.
async fn await_verdict(
    app: &Shared,
    robot: &RobotId,
    opened: &Opened,
    seq: u32,
    heard: &mut tokio::sync::watch::Receiver<u64>,
) -> Result<(RobotState, Verdict), ApiError> {
    let until = app.clock.now().plus(CONFIRM_MS);
    loop {
        let newest = app.newest(robot);
        if let Some((state, _)) = &newest {
            match verdict::of(state, opened, seq) {
                Verdict::Unknown => {}
                known => return Ok((state.clone(), known)),
            }
        }
        if !relay::next_state(app, heard, until).await {
            return match newest {
                Some((state, age_ms)) if age_ms <= SILENT_MS => Ok((state, Verdict::Unknown)),
                _ => Err(ApiError::new(
                    504,
                    code::ROBOT_OFFLINE,
                    format!("{robot} says nothing; it stops by itself when commands do not arrive"),
                )),
            };
        }
    }
}

/// How to stop.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopWish {
    /// True latches the emergency stop as well. It stays until it is cleared.
    #[serde(default)]
    estop: bool,
}

/// Stops. Ends the caller's wish; with `estop`, anyone who is signed in may latch the robot's emergency stop.
/// Never limited.
#[utoipa::path(
    post, path = "/v1/robots/{id}/stop", tag = "programs", operation_id = "stop",
    params(("id" = String, Path, description = "Robot", example = "demo-rover-1")),
    request_body = StopWish,
    responses(
        (status = 200, description = "Stopped", body = Stopped), (status = 400, description = "bad-request"),
        (status = 401, description = "sign-in"), (status = 404, description = "robot-offline"),
        (status = 409, description = "lease-ended: nothing of yours drives this robot"),
    ),
    security(("session" = []))
)]
pub async fn stop(
    State(app): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Stopped>, ApiError> {
    let caller = app.caller(&headers)?;
    let robot = robot_id(&id)?;
    let wish: StopWish = json(body, BODY_LEN_MAX).await?;
    let mine = app.drivers().stop(app.clock.now(), &robot, &caller.claims.did);
    app.wake.notify_one();
    if wish.estop {
        latch(&app, &robot, &caller, mine.as_ref().ok().map(|(opened, _)| opened.lease_id)).await?;
    } else if let Err(refusal) = mine {
        return Err(refusal.into());
    }
    let seq = mine.ok().map(|(_, seq)| seq);
    Ok(Json(Stopped { robot: robot.to_string(), seq, estop: wish.estop }))
}

/// Latches by the relay's own path, and by the fleet's when that fails or the caller does not drive here.
async fn latch(
    app: &Shared,
    robot: &RobotId,
    caller: &Caller,
    lease: Option<LeaseId>,
) -> Result<(), ApiError> {
    let reason = format!("{} ({})", caller.claims.name, caller.claims.did);
    if let Some(lease) = lease {
        match relay::estop(app, robot, lease, true, reason.clone()).await {
            Ok(()) => return Ok(()),
            Err(error) => {
                tracing::warn!(%robot, detail = error.detail(), "trying the fleet's path")
            }
        }
    }
    app.fleet.estop(robot, &reason, &caller.token).await
}

/// Clears the emergency stop that is latched on a robot which the caller drives. The robot must be at rest.
#[utoipa::path(
    post, path = "/v1/robots/{id}/stop/clear", tag = "programs", operation_id = "clear_stop",
    params(("id" = String, Path, description = "Robot", example = "demo-rover-1")),
    responses(
        (status = 200, description = "Cleared", body = Stopped), (status = 401, description = "sign-in"),
        (status = 409, description = "lease-ended, wrong-state: the robot's words say what is in the way"),
    ),
    security(("session" = []))
)]
pub async fn clear_stop(
    State(app): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Stopped>, ApiError> {
    let (caller, robot) = enter(&app, &headers, &id)?;
    let (opened, seq) = app.drivers().stop(app.clock.now(), &robot, &caller.claims.did)?;
    app.wake.notify_one();
    let reason = format!("{} ({})", caller.claims.name, caller.claims.did);
    relay::estop(&app, &robot, opened.lease_id, false, reason).await?;
    Ok(Json(Stopped { robot: robot.to_string(), seq: Some(seq), estop: false }))
}

/// Ends the caller's lease: the robot stops, seals the episode and is free.
#[utoipa::path(
    delete, path = "/v1/robots/{id}/lease", tag = "programs", operation_id = "release_lease",
    params(("id" = String, Path, description = "Robot", example = "demo-rover-1")),
    responses(
        (status = 204, description = "Being released"), (status = 401, description = "sign-in"),
        (status = 409, description = "lease-ended, robot-taken"),
    ),
    security(("session" = []))
)]
pub async fn release_lease(
    State(app): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let (caller, robot) = enter(&app, &headers, &id)?;
    app.keep_token_of_driver(&robot, &caller);
    release_and_wait(&app, &robot, &caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the driver signed of its commands.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedCommands {
    /// The receipt in its envelope: `application/vnd.longrein.commands+json`, signed by the lease's holder.
    #[schema(value_type = Object)]
    receipt: Envelope,
}

/// Carries the driver's receipt of its commands to the robot, which keeps it in the episode, with an account of the
/// packets that carry them out. It is no sign of life of the driver.
#[utoipa::path(
    post, path = "/v1/robots/{id}/lease/receipt", tag = "programs", operation_id = "receipt",
    params(("id" = String, Path, description = "Robot", example = "demo-rover-1")),
    request_body = SignedCommands,
    responses(
        (status = 204, description = "The robot keeps it"), (status = 400, description = "bad-request"),
        (status = 401, description = "sign-in"), (status = 403, description = "bad-signature"),
        (status = 409, description = "lease-ended"), (status = 504, description = "robot-offline: send it again"),
    ),
    security(("session" = []))
)]
pub async fn receipt(
    State(app): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let (caller, robot) = enter(&app, &headers, &id)?;
    let signed: SignedCommands = json(body, LEASE_BODY_LEN_MAX).await?;
    let receipt: ProgramReceipt =
        signed.receipt.verify(payload_type::COMMANDS, &caller.claims.did).map_err(|error| {
            let words = format!("the receipt is not signed by {}: {error}", caller.claims.did);
            ApiError::new(403, code::BAD_SIGNATURE, words)
        })?;
    if receipt.commands.len() > COMMANDS_MAX {
        let words =
            format!("receipt: it has more than {COMMANDS_MAX} commands; send them in parts");
        return Err(ApiError::bad_request(words));
    }
    let numbers: Vec<u32> = receipt.commands.iter().map(|command| command.n).collect();
    let account = {
        let mut drivers = app.drivers();
        let open = drivers.opened_of(&robot, &caller.claims.did);
        let open = open.filter(|open| open.lease_id == receipt.lease_id);
        open.and_then(|open| drivers.account(&robot, open.lease_id, &numbers))
    };
    let (first_seqs, through_seq) =
        account.ok_or_else(|| ApiError::from(Refusal::NoLease { robot: robot.clone() }))?;
    let relayed = RelayedReceipt { receipt: signed.receipt, first_seqs, through_seq };
    relay::receipt(&app, &robot, relayed).await?;
    if let Some(last) = numbers.last() {
        app.drivers().accounted(&robot, receipt.lease_id, *last);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Releases the caller's lease and waits until robot and fleet were told, at most two seconds.
pub async fn release_and_wait(
    app: &Shared,
    robot: &RobotId,
    caller: &Caller,
) -> Result<(), Refusal> {
    app.drivers().release(app.clock.now(), robot, &caller.claims.did)?;
    app.wake.notify_one();
    // The table is told when robot and fleet were: until then the lease is "closing".
    let mut heard = app.states_heard.subscribe();
    let until = app.clock.now().plus(2_000);
    while app.drivers().closing(robot) && app.clock.now() < until {
        let tick = app.clock.now().plus(20).min(until);
        relay::next_state(app, &mut heard, tick).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_that_is_no_wish_names_its_field() {
        let check = |text: &str| {
            let wish: DriveWish = serde_json::from_str(text).unwrap();
            wish.check().map(|_| ()).map_err(|error| error.detail().to_owned())
        };
        assert_eq!(check(r#"{"linear_mps":0.5,"angular_radps":0,"ttl_ms":400}"#), Ok(()));
        for (text, field) in [
            (r#"{"angular_radps":0,"ttl_ms":400}"#, "linear_mps is missing"),
            (
                r#"{"linear_mps":0.5,"angular_radps":"left","ttl_ms":400}"#,
                "angular_radps is \"left\"",
            ),
            (r#"{"linear_mps":99,"angular_radps":0,"ttl_ms":400}"#, "linear_mps is 99"),
            (r#"{"linear_mps":1,"angular_radps":0,"ttl_ms":5000}"#, "ttl_ms is 5000"),
            (r#"{"linear_mps":null,"angular_radps":0,"ttl_ms":50}"#, "linear_mps is missing"),
        ] {
            let detail = check(text).unwrap_err();
            assert!(detail.contains(field), "{detail}");
        }
    }
}
