//! The shell around [`crate::drivers`]: one task that sends what is due, and the talks with robot and fleet when
//! a lease is opened, renewed and released.

use crate::app::{App, Shared};
use crate::clock;
use crate::drivers::{Opened, RenewError, Task};
use crate::fabric::{self, AskError};
use crate::problem::ApiError;
use protocol::dsse::Envelope;
use protocol::ids::{LeaseId, RobotId};
use protocol::intervention::InterventionRequest;
use protocol::lease::VerifiedLease;
use protocol::message::{EstopRequest, LeaseRequest, Reply};
use protocol::problem::code;
use protocol::program::RelayedReceipt;
use protocol::rover::{LampRequest, SpeakRequest};
use protocol::signal::{SignalReply, SignalRequest};
use protocol::units::MonoMs;
use protocol::{keyexpr, message, signal};
use std::sync::Arc;
use std::time::Duration;

/// How long a robot may take to open a session: it starts encoders and gathers candidates.
pub const SIGNAL_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a robot may take for a renewal, a release or a stop.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);
/// A slip of the drivers' table must not spin a core.
const TICK_MIN: Duration = Duration::from_millis(1);
/// How long a robot's first state may take: they come every 200 ms.
pub const FIRST_STATE_MS: u64 = 1_000;
const IDLE_TICK_MS: u64 = 1_000;

/// Sends what is due, for ever. Wake it by [`App::wake`] after a change.
pub async fn run(app: Shared) {
    loop {
        let now = app.clock.now();
        let (due, next) = {
            let mut drivers = app.drivers();
            (drivers.poll(now), drivers.deadline_ms())
        };
        for (robot, task) in due {
            perform(&app, robot, task).await;
        }
        let next = next.unwrap_or_else(|| now.plus(IDLE_TICK_MS)).min(now.plus(IDLE_TICK_MS));
        let wait = tokio::time::sleep_until(app.clock.instant(next).into());
        tokio::select! {
            () = async { wait.await; tokio::time::sleep(TICK_MIN).await } => {}
            () = app.wake.notified() => {}
        }
    }
}

async fn perform(app: &Shared, robot: RobotId, task: Task) {
    match task {
        Task::Send(command) => {
            // Without a router the packet is lost, and the robot stops by itself.
            if let Ok(session) = app.session() {
                fabric::put_command(&session, &robot, &command.encode(), &app.key).await;
                app.metrics.packets.add();
            }
        }
        Task::Renew(lease) => {
            let app = Arc::clone(app);
            tokio::spawn(async move {
                let outcome = renew(&app, &robot, lease).await;
                if let Err(error) = &outcome {
                    tracing::warn!(%robot, %lease, ?error, "a lease was not renewed");
                }
                app.drivers().renewed(app.clock.now(), &robot, lease, outcome);
                app.wake.notify_one();
            });
        }
        Task::Release(lease) => {
            let app = Arc::clone(app);
            tokio::spawn(async move { release(&app, &robot, lease).await });
        }
    }
}

async fn renew(app: &App, robot: &RobotId, lease: LeaseId) -> Result<u32, RenewError> {
    let token = app.token_of(robot).ok_or(RenewError::ForNow)?;
    let envelope = match app.fleet.renew_lease(lease, &token).await {
        Ok(grant) => grant.lease,
        Err(error) if (400..500).contains(&error.status()) && error.status() != 429 => {
            return Err(RenewError::ForGood(error.code().to_owned()));
        }
        Err(_for_now) => return Err(RenewError::ForNow),
    };
    let fleet = app.fleet_info().map_err(|_not_yet| RenewError::ForNow)?.fleet_did;
    let renewed = VerifiedLease::verify(envelope.clone(), &fleet)
        .map_err(|_forged| RenewError::ForGood(code::BAD_SIGNATURE.to_owned()))?;
    let ttl_ms = renewed.lease().ttl_ms;
    match ask_lease(app, robot, &LeaseRequest::Renew { lease: envelope }).await {
        Ok(Reply::Done) => Ok(ttl_ms),
        Ok(Reply::Refused { code, .. }) => Err(RenewError::ForGood(code)),
        Err(_for_now) => Err(RenewError::ForNow),
    }
}

/// Tells robot and fleet that the driver is done. Either may be away: the robot frees itself after 5 s without a
/// driver, the fleet learns it from the robot.
pub async fn release(app: &App, robot: &RobotId, lease: LeaseId) {
    let request = LeaseRequest::Release { lease_id: lease };
    match ask_lease(app, robot, &request).await {
        Ok(Reply::Done) => {}
        Ok(Reply::Refused { code, detail }) => {
            tracing::info!(%robot, %lease, code, detail, "the robot did not release the lease");
        }
        Err(error) => tracing::info!(%robot, %lease, %error, "the robot did not hear the release"),
    }
    let token = app.token_of(robot);
    if let Some(token) = token
        && let Err(error) = app.fleet.end_lease(lease, &token).await
    {
        tracing::info!(%robot, %lease, code = error.code(), "the fleet did not end the lease");
    }
    app.keep_token(robot, None);
    app.drivers().closed(app.clock.now(), robot, lease);
}

/// Hands the driver's receipt to the robot.
pub async fn receipt(app: &App, robot: &RobotId, relayed: RelayedReceipt) -> Result<(), ApiError> {
    match ask_lease(app, robot, &LeaseRequest::Receipt { receipt: relayed }).await {
        Ok(Reply::Done) => Ok(()),
        Ok(Reply::Refused { code, detail }) => Err(ApiError::in_words_of_robot(&code, detail)),
        Err(error) => Err(error.into_problem(robot)),
    }
}

async fn ask_lease(app: &App, robot: &RobotId, request: &LeaseRequest) -> Result<Reply, AskError> {
    let key_expr = keyexpr::lease(robot);
    let payload = serde_json::to_vec(request).map_err(|_never| AskError::Invalid)?;
    let signature = message::sign(&key_expr, &payload, &app.key).to_vec();
    ask_reply(app, &key_expr, payload, signature).await
}

async fn ask_reply(
    app: &App,
    key_expr: &str,
    payload: Vec<u8>,
    attachment: Vec<u8>,
) -> Result<Reply, AskError> {
    let session = app.session()?;
    let read = |bytes: &[u8], _: &[u8]| serde_json::from_slice::<Reply>(bytes).ok();
    fabric::ask(&session, key_expr, payload, Some(attachment), REPLY_TIMEOUT, read).await
}

/// Latches the robot's emergency stop (`stop`), or asks to clear it, signed as the relay of the lease.
pub async fn estop(
    app: &App,
    robot: &RobotId,
    lease: LeaseId,
    stop: bool,
    reason: String,
) -> Result<(), ApiError> {
    let request = EstopRequest { stop, lease_id: Some(lease), at: clock::wall(), reason };
    let key_expr = keyexpr::estop(robot);
    let payload =
        serde_json::to_vec(&request).map_err(|_never| AskError::Invalid.into_problem(robot))?;
    let signature = message::sign(&key_expr, &payload, &app.key);
    let attachment = [app.did.as_bytes().as_slice(), signature.as_slice()].concat();
    match ask_reply(app, &key_expr, payload, attachment).await {
        Ok(Reply::Done) => Ok(()),
        Ok(Reply::Refused { code, detail }) => Err(ApiError::in_words_of_robot(&code, detail)),
        Err(error) => Err(error.into_problem(robot)),
    }
}

/// Has the robot say a text, signed as the relay of the lease.
pub async fn ask_speak(app: &App, robot: &RobotId, request: &SpeakRequest) -> Result<(), ApiError> {
    ask_signed(app, robot, &keyexpr::speak(robot), request).await
}

/// Sets the robot's lamp, signed as the relay of the lease.
pub async fn ask_lamp(app: &App, robot: &RobotId, request: &LampRequest) -> Result<(), ApiError> {
    ask_signed(app, robot, &keyexpr::lamp(robot), request).await
}

/// Has the robot record an intervention's start or end, signed as the relay of the lease.
pub async fn ask_intervention(
    app: &App,
    robot: &RobotId,
    request: &InterventionRequest,
) -> Result<(), ApiError> {
    ask_signed(app, robot, &keyexpr::intervention(robot), request).await
}

async fn ask_signed(
    app: &App,
    robot: &RobotId,
    key_expr: &str,
    request: &(impl serde::Serialize + Sync),
) -> Result<(), ApiError> {
    let payload =
        serde_json::to_vec(request).map_err(|_never| AskError::Invalid.into_problem(robot))?;
    let signature = message::sign(key_expr, &payload, &app.key).to_vec();
    match ask_reply(app, key_expr, payload, signature).await {
        Ok(Reply::Done) => Ok(()),
        Ok(Reply::Refused { code, detail }) => Err(ApiError::in_words_of_robot(&code, detail)),
        Err(error) => Err(error.into_problem(robot)),
    }
}

/// What the robot answered to an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The episode that is being recorded.
    pub episode: protocol::ids::EpisodeId,
    /// The robot's session description; empty for a relay.
    pub answer_sdp: String,
    /// The robot's signature over it.
    pub robot_signature: String,
}

/// Opens `lease` on its robot. The answer is the robot's own: its signature was checked.
pub async fn open(
    app: &App,
    lease: &VerifiedLease,
    offer_sdp: String,
    driver_signature: String,
) -> Result<Answer, ApiError> {
    let (robot, robot_did) = (&lease.lease().robot, lease.lease().robot_did);
    let lease_id = lease.lease().lease_id;
    // Who drives behind a relay has no link of its own to the robot.
    let ice_servers =
        if offer_sdp.is_empty() { Vec::new() } else { app.ice_servers(robot.as_str()) };
    let request =
        SignalRequest { lease: lease.envelope().clone(), offer_sdp, driver_signature, ice_servers };
    let payload =
        serde_json::to_vec(&request).map_err(|_never| AskError::Invalid.into_problem(robot))?;
    let session = app.session().map_err(|error| error.into_problem(robot))?;
    let read = |bytes: &[u8], _: &[u8]| match serde_json::from_slice(bytes).ok()? {
        SignalReply::Opened { episode, answer_sdp, robot_signature } => {
            signal::verify_answer(lease_id, &answer_sdp, &robot_signature, &robot_did).ok()?;
            Some(Ok(Answer { episode, answer_sdp, robot_signature }))
        }
        SignalReply::Refused { code, detail } => Some(Err((code, detail))),
    };
    let key_expr = keyexpr::signal(robot);
    match fabric::ask(&session, &key_expr, payload, None, SIGNAL_TIMEOUT, read).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err((code, detail))) => Err(ApiError::in_words_of_robot(&code, detail)),
        Err(error) => Err(error.into_problem(robot)),
    }
}

/// Opens a lease whose relay is this gateway, and enters it in the table of drivers, where it was reserved.
pub async fn open_as_relay(
    app: &App,
    lease: &VerifiedLease,
    driver_signature: String,
    token: &str,
) -> Result<Opened, ApiError> {
    let document = lease.lease();
    let robot = &document.robot;
    app.states().watch(app.clock.now(), robot, document.robot_did);
    let answer = open(app, lease, String::new(), driver_signature).await?;
    let opened = Opened {
        lease_id: document.lease_id,
        episode: answer.episode,
        epoch: document.epoch,
        ttl_ms: document.ttl_ms,
        mission: document.mission.as_ref().map(|mission| mission.id),
    };
    app.keep_token(robot, Some(token));
    app.drivers().opened(app.clock.now(), robot, opened);
    app.metrics.leases.add();
    app.wake.notify_one();
    await_first_stamp(app, robot).await;
    Ok(opened)
}

/// The robot moves for no packet that echoes no stamp of its own, so the driver waits here for the first state
/// rather than in its first wish. Without one in time the wish is what fails, in the robot's words.
async fn await_first_stamp(app: &App, robot: &RobotId) {
    let mut heard = app.states_heard.subscribe();
    let until = app.clock.now().plus(FIRST_STATE_MS);
    loop {
        if let Some((state, age_ms)) = app.newest(robot)
            && age_ms < FIRST_STATE_MS
        {
            return app.drivers().heard(app.clock.now(), &state);
        }
        if !next_state(app, &mut heard, until).await {
            return;
        }
    }
}

/// Checks a lease that a caller brings: signed by the fleet, for this robot, held by the caller.
pub fn check_lease(
    app: &App,
    robot: &RobotId,
    holder: &protocol::keys::Did,
    envelope: Envelope,
) -> Result<VerifiedLease, ApiError> {
    let fleet = app.fleet_info()?.fleet_did;
    let lease = VerifiedLease::verify(envelope, &fleet).map_err(|error| {
        ApiError::new(403, code::BAD_SIGNATURE, format!("the lease is not the fleet's: {error}"))
    })?;
    if lease.lease().robot != *robot {
        let other = &lease.lease().robot;
        return Err(ApiError::bad_request(format!("the lease is for {other}, not for {robot}")));
    }
    if lease.lease().holder != *holder {
        return Err(ApiError::new(403, code::FORBIDDEN, "the lease is somebody else's"));
    }
    Ok(lease)
}

/// Releases every driver and waits until robots and fleet were told, at most two seconds.
pub async fn release_all(app: &Shared) {
    app.drivers().release_all();
    app.wake.notify_one();
    let deadline = app.clock.now().plus(2_000);
    while app.drivers().active() > 0 && app.clock.now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until a state of any robot was heard, or `until`. False when the time is over.
pub async fn next_state(
    app: &App,
    heard: &mut tokio::sync::watch::Receiver<u64>,
    until: MonoMs,
) -> bool {
    let until = app.clock.instant(until);
    matches!(tokio::time::timeout_at(until.into(), heard.changed()).await, Ok(Ok(())))
}
