//! `/control` and `/speak`: from the client's command to the wheels, with the safety core's word as the answer.

use super::body::{self, Command};
use super::client::Client;
use super::openapi::ErrorDocument;
use super::refused::Refused;
use crate::clock;
use crate::drivers::{Opened, Refusal, Wish};
use crate::programs::{self, CONFIRM_MS, SILENT_MS};
use crate::relay;
use crate::verdict::{self, Verdict};
use axum::Json;
use axum::body::Body;
use protocol::ids::MissionId;
use protocol::rover::{LampRequest, SpeakRequest, Terms};
use protocol::state::RobotState;
use protocol::units::MonoMs;
use serde_json::{Value, json};

/// A state older than this says nothing about a command of now. A driven robot sends ten a second.
const STATE_MS_MAX: u64 = 400;
/// A client that was obeyed this long ago is believed to be obeyed again until the robot says otherwise; then its
/// next call hears it. So stop-and-go costs no waiting, while a single command is answered by the robot itself.
const TRUST_MS: u64 = 2_000;
/// After a lease was refused, nobody is asked again for this long.
const REFUSED_MS: u64 = 500;
/// How long a call waits while the client's own lease is being opened or ended by another call.
const BUSY_MS: u64 = 2_500;

/// What became of commands, for `/status`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Commands taken.
    pub dispatched: u64,
    /// Commands that the robot obeyed.
    pub delivered: u64,
    /// Commands that failed or were refused.
    pub failed: u64,
    /// Why the last of them was.
    pub last_error: Option<String>,
    /// When one was last obeyed, ms since 1970.
    pub last_delivered_ms: Option<u64>,
}

fn failed(words: impl std::fmt::Display) -> Refused {
    Refused::new(500, format!("Failed to send control command: {words}"))
}

/// The refusal of the driver's table in the words of this API.
pub fn refusal(refusal: &Refusal) -> Refused {
    let status = match refusal {
        Refusal::Full { .. } | Refusal::Unsigned => 429,
        Refusal::Taken { .. }
        | Refusal::Elsewhere { .. }
        | Refusal::Overtaken { .. }
        | Refusal::Busy { .. }
        | Refusal::NoLease { .. }
        | Refusal::Ended { .. } => 409,
    };
    Refused::new(status, refusal.to_string())
}

/// `POST /control`: drives until the next command, at most for the hold time that the robot's owner set.
#[utoipa::path(post, path = "/control", tag = "earth-rover",
    request_body(content = Object, description = "`{command: {linear, angular, lamp}}`, -1 to 1; lamp 0 to 3 or left out"),
    responses((status = 200, description = "`{message}`: the robot obeys", body = Object),
    (status = 400, description = "Command not provided, or not understood: then the motion ends", body = ErrorDocument),
    (status = 409, description = "The robot does not obey; `reason` is the safety core's", body = ErrorDocument),
    (status = 500, description = "Failed to send control command", body = ErrorDocument)))]
pub async fn control(client: Client, body: Body) -> Result<Json<Value>, Refused> {
    client.gate()?;
    client.memory().sent.dispatched += 1;
    let outcome = obey(&client, body).await;
    let mut memory = client.memory();
    match &outcome {
        Ok(()) => {
            memory.sent.delivered += 1;
            memory.sent.last_delivered_ms = Some(clock::wall().0);
        }
        Err(refused) => {
            memory.sent.failed += 1;
            memory.sent.last_error = refused.detail().as_str().map(str::to_owned);
        }
    }
    outcome.map(|()| Json(json!({ "message": "Command sent successfully" })))
}

/// `POST /control-legacy`: the same, as the original has it.
#[utoipa::path(post, path = "/control-legacy", tag = "earth-rover", request_body = Object,
    responses((status = 200, description = "As `/control`", body = Object)))]
pub async fn control_legacy(client: Client, body: Body) -> Result<Json<Value>, Refused> {
    control(client, body).await
}

async fn obey(client: &Client, body: Body) -> Result<(), Refused> {
    let command = match Client::body(body).await.and_then(|bytes| body::command(&bytes)) {
        Ok(command) => command,
        Err(refused) => {
            // A client that talks nonsense is not to be followed on its last good word.
            halt(client);
            return Err(refused);
        }
    };
    if command.is_stop() {
        halt(client);
    } else {
        client.rover.admit(client.now())?;
    }
    let sensed = client.sensed().await?;
    let terms = &sensed.report.terms;
    let opened = lease(client, None).await?;
    let lamp = body::lamp_change(&mut client.memory().lamp, command.lamp);
    let n = number(client)?;
    if command.is_stop() {
        stop(client, &opened, n)?;
    } else {
        drive(client, &command, terms, n).await?;
    }
    match lamp {
        Some(level) => set_lamp(client, &opened, level).await,
        None => Ok(()),
    }
}

fn halt(client: &Client) {
    let now = client.now();
    // Without a lease nothing of this client moves.
    client.app.drivers().stop(now, client.rover.robot(), &client.rover.holder).ok();
    client.app.wake.notify_one();
}

/// The command's number, of a client that signs its commands.
fn number(client: &Client) -> Result<Option<u32>, Refused> {
    match client.signs {
        Some(signs) if signs.command.is_none() => {
            let words =
                "the header longrein-command is missing: a client that signs numbers its commands";
            Err(Refused::bad(words))
        }
        Some(signs) => Ok(signs.command),
        None => Ok(None),
    }
}

/// A command of zeros. It is obeyed whatever its number.
fn stop(client: &Client, opened: &Opened, n: Option<u32>) -> Result<(), Refused> {
    let (app, robot) = (&client.app, client.rover.robot());
    let outcome = {
        let mut drivers = app.drivers();
        let numbered = n.map(|n| drivers.number(robot, opened.lease_id, n));
        let stopped = drivers.stop(client.now(), robot, &client.rover.holder);
        if let (Some(n), Some(Ok(())), Ok((_, seq))) = (n, &numbered, &stopped) {
            drivers.tie(robot, opened.lease_id, n, *seq);
        }
        stopped
    };
    app.wake.notify_one();
    // A lease that has just ended moves nothing either.
    match outcome {
        Err(taken @ Refusal::Taken { .. }) => Err(refusal(&taken)),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The command in the robot's own measures.
fn wish(command: &Command, terms: &Terms) -> Result<Wish, Refused> {
    let full = if command.linear < 0.0 { terms.reverse_mps_max } else { terms.speed_mps_max };
    let linear = (command.linear * full)
        .clamp(-crate::drivers::LINEAR_MPS_MAX, crate::drivers::LINEAR_MPS_MAX);
    let angular = (command.angular * terms.turn_radps_max)
        .clamp(-crate::drivers::ANGULAR_RADPS_MAX, crate::drivers::ANGULAR_RADPS_MAX);
    Wish::held(linear, angular, u64::from(terms.hold_ms)).map_err(failed)
}

/// What the newest state means for a wish: obeyed, refused with the reason, or to be waited for.
fn judge(
    newest: Option<(&RobotState, u64)>,
    opened: &Opened,
    press_seq: u32,
    trusted: bool,
) -> Option<Result<(), Refused>> {
    let (state, _) = newest.filter(|(_, age_ms)| *age_ms <= STATE_MS_MAX)?;
    match verdict::of(state, opened, press_seq) {
        Verdict::Obeyed => Some(Ok(())),
        Verdict::Refused => Some(Err(Refused::unsafe_now(state.reason))),
        Verdict::Ended(why) => {
            let refusal = Refusal::Ended { robot: state.robot.clone(), why };
            Some(Err(self::refusal(&refusal)))
        }
        Verdict::Unknown => (trusted && !verdict::holds_back(state)).then_some(Ok(())),
    }
}

async fn drive(
    client: &Client,
    command: &Command,
    terms: &Terms,
    n: Option<u32>,
) -> Result<(), Refused> {
    let (app, robot, holder) = (&client.app, client.rover.robot(), &client.rover.holder);
    let wish = wish(command, terms)?;
    let mut heard = app.states_heard.subscribe();
    let (opened, seq, press_seq) = {
        let mut drivers = app.drivers();
        let open = drivers.opened_of(robot, holder);
        if let (Some(n), Some(open)) = (n, open) {
            let numbered = drivers.number(robot, open.lease_id, n);
            numbered.map_err(|error| refusal(&error))?;
        }
        let driven = drivers.drive(client.now(), robot, holder, wish);
        let (opened, seq) = driven.map_err(|error| refusal(&error))?;
        if let Some(n) = n {
            drivers.tie(robot, opened.lease_id, n, seq);
        }
        (opened, seq, drivers.press_of(robot, holder).unwrap_or(seq))
    };
    app.wake.notify_one();
    let now = client.now();
    let trusted = client.memory().obeyed_at.is_some_and(|at| now.since(at) <= TRUST_MS);
    let until = now.plus(CONFIRM_MS);
    let outcome = loop {
        let newest = app.newest(robot);
        let newest = newest.as_ref().map(|(state, age_ms)| (state, *age_ms));
        if let Some(known) = judge(newest, &opened, press_seq, trusted) {
            break known;
        }
        if !relay::next_state(app, &mut heard, until).await {
            break match newest {
                Some((state, age_ms)) if age_ms <= SILENT_MS && !verdict::holds_back(state) => {
                    Ok(())
                }
                Some((state, age_ms)) if age_ms <= SILENT_MS => {
                    Err(Refused::unsafe_now(state.reason))
                }
                _ => Err(failed(format!(
                    "{robot} says nothing; it stops by itself when commands do not arrive"
                ))),
            };
        }
    };
    if outcome.is_ok() {
        client.memory().obeyed_at = Some(client.now());
    } else {
        client.memory().obeyed_at = None;
        app.drivers().refused(client.now(), robot, opened.lease_id, seq);
        app.wake.notify_one();
    }
    outcome
}

/// The client's open lease, or a new one: for `mission`, or for a free drive.
pub async fn lease(client: &Client, mission: Option<MissionId>) -> Result<Opened, Refused> {
    let (app, robot, holder) = (&client.app, client.rover.robot(), &client.rover.holder);
    let open = || client.touch();
    match open() {
        Ok(opened) => {
            if client.signs.is_some() {
                begin(client, &opened);
            }
            return Ok(opened);
        }
        Err(taken @ (Refusal::Taken { .. } | Refusal::Elsewhere { .. })) => {
            return Err(refusal(&taken));
        }
        Err(_none) => {}
    }
    if client.signs.is_some() {
        // The key that opens it is not here.
        await_not_busy(client).await;
        return Err(Refused::lease_wanted(mission));
    }
    let _one_at_a_time = client.rover.opening.lock().await;
    // Another call of this client may have opened it while this one waited.
    if let Ok(opened) = open() {
        return Ok(opened);
    }
    if let Some((until, refused)) = client.memory().refused_until.clone()
        && client.now() < until
    {
        return Err(refused);
    }
    await_not_busy(client).await;
    match programs::open_for(app, &client.caller, robot, mission).await {
        Ok(opened) => {
            let seen = {
                let mut memory = client.memory();
                memory.refused_until = None;
                memory.obeyed_at = None;
                memory.seen
            };
            if let Some((camera, capture)) = seen {
                app.drivers().saw(robot, holder, camera, capture);
            }
            Ok(opened)
        }
        Err(error) => {
            let refused = Refused::from(error);
            let until = client.now().plus(REFUSED_MS);
            client.memory().refused_until = Some((until, refused.clone()));
            Err(refused)
        }
    }
}

/// The first call under a lease that the client opened itself: what it was given before counts.
fn begin(client: &Client, opened: &Opened) {
    let seen = {
        let mut memory = client.memory();
        if memory.lease.replace(opened.lease_id) == Some(opened.lease_id) {
            return;
        }
        memory.obeyed_at = None;
        memory.seen
    };
    if let Some((camera, capture)) = seen {
        let (robot, holder) = (client.rover.robot(), &client.rover.holder);
        client.app.drivers().saw(robot, holder, camera, capture);
    }
}

/// The client's last lease may just be ending: a new one is possible a moment later.
async fn await_not_busy(client: &Client) {
    let mut heard = client.app.states_heard.subscribe();
    let until = client.now().plus(BUSY_MS);
    while client.app.drivers().closing(client.rover.robot()) && client.now() < until {
        let tick = client.now().plus(20).min(until);
        relay::next_state(&client.app, &mut heard, tick).await;
    }
}

async fn set_lamp(client: &Client, opened: &Opened, level: u8) -> Result<(), Refused> {
    let request = LampRequest { lease_id: opened.lease_id, level, at: clock::wall() };
    let robot = client.rover.robot();
    let done = relay::ask_lamp(&client.app, robot, &request).await;
    done.map_err(|error| {
        // So that the client's next command asks for it again.
        client.memory().lamp = None;
        Refused::new(error.status(), format!("the lamp was not set: {}", error.detail()))
    })
}

/// `POST /speak`: the robot says a text.
#[utoipa::path(post, path = "/speak", tag = "earth-rover",
    request_body(content = Object, description = "`{text}`, 1 to 500 characters"),
    responses((status = 200, description = "`{message}`: the text is queued", body = Object),
    (status = 400, description = "Text not provided", body = ErrorDocument),
    (status = 500, description = "TTS failed", body = ErrorDocument)))]
pub async fn speak(client: Client, body: Body) -> Result<Json<Value>, Refused> {
    client.gate()?;
    let text = body::speech(&Client::body(body).await?)?;
    let opened = lease(&client, None).await?;
    let request = SpeakRequest { lease_id: opened.lease_id, text, at: clock::wall() };
    let done = relay::ask_speak(&client.app, client.rover.robot(), &request).await;
    match done {
        Ok(()) => Ok(Json(json!({ "message": "Speech sent to rover" }))),
        Err(error) => Err(Refused::new(500, format!("TTS failed: {}", error.detail()))),
    }
}

/// Time from `then` to `now`, seconds.
pub fn age_s(now: MonoMs, then: MonoMs) -> f64 {
    super::source::seconds(now.since(then))
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;
