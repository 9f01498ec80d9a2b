//! Who calls, about which robot: by a session token under the base path, or as the owner of a port's key.

use super::refused::Refused;
use super::source::{Frame, View};
use super::{Memory, Rover};
use crate::app::{Caller, Shared, robot_id};
use crate::drivers::{Opened, Refusal};
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use bytes::Bytes;
use protocol::ids::LeaseId;
use protocol::rover::{SensorReport, Terms};
use protocol::units::MonoMs;
use std::sync::Arc;

use super::body::BODY_LEN_MAX;
use super::ports::Port;
use super::source::Sensed;

/// Header by which a client under the base path says which mission it rides (id or slug), as `MISSION_SLUG` of the
/// original: then it must start the mission before anything else.
pub const MISSION: HeaderName = HeaderName::from_static("longrein-mission");
/// Header of a client that opens its leases with a key of its own: the id of the one that it has, or `none`.
pub const LEASE: HeaderName = HeaderName::from_static("longrein-lease");
/// Header of the same client: the number of its command under that lease, from 1.
pub const COMMAND: HeaderName = HeaderName::from_static("longrein-command");
/// A report older than this is no longer the robot's present.
pub const DATA_MS_MAX: u64 = 2_000;
/// How long a first answer waits for the robot's first report or picture.
pub const FIRST_MS: u64 = 1_500;
/// While waiting, subscriptions are asked for again this often.
const ASK_EVERY_MS: u64 = 200;

/// A client of the API, known and counted.
#[derive(Debug)]
pub struct Client {
    /// The gateway.
    pub app: Shared,
    /// The client's robot and what is remembered.
    pub rover: Arc<Rover>,
    /// The principal in whose name it calls.
    pub caller: Caller,
    /// The mission that it must start first, when one is configured.
    pub mission: Option<String>,
    /// Of a client that signs for itself: what it says of this request.
    pub signs: Option<Signs>,
}

/// What a client says that opens its leases and signs its commands with a key of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signs {
    /// The lease that it opened.
    pub lease: Option<LeaseId>,
    /// Number of the command.
    pub command: Option<u32>,
}

impl Signs {
    fn of(headers: &HeaderMap) -> Result<Option<Self>, Refused> {
        let bad = |name: &HeaderName| Refused::bad(format!("the header {name} can't be read"));
        let Some(lease) = headers.get(&LEASE) else { return Ok(None) };
        let lease = match lease.to_str().map_err(|_bytes| bad(&LEASE))? {
            "none" => None,
            id => Some(id.parse().map_err(|_no_id| bad(&LEASE))?),
        };
        let command = match headers.get(&COMMAND) {
            None => None,
            Some(text) => {
                let n = text.to_str().ok().and_then(|text| text.parse().ok()).filter(|n| *n > 0);
                Some(n.ok_or_else(|| bad(&COMMAND))?)
            }
        };
        Ok(Some(Self { lease, command }))
    }
}

fn touch(
    app: &Shared,
    now: MonoMs,
    rover: &Rover,
    signs: Option<Signs>,
) -> Result<Opened, Refusal> {
    let (robot, holder) = (rover.robot(), &rover.holder);
    match signs {
        Some(signs) => app.drivers().touch_own(now, robot, holder, signs.lease),
        None => app.drivers().touch(now, robot, holder),
    }
}

impl FromRequestParts<Shared> for Client {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Refused> {
        let (robot, caller, mission, signs) = match parts.extensions.get::<Arc<Port>>().cloned() {
            Some(port) => (port.robot.clone(), port.caller(app)?, port.mission.clone(), None),
            None => {
                let (robot, caller, mission) = of_base_path(parts, app).await?;
                (robot, caller, mission, Signs::of(&parts.headers)?)
            }
        };
        let now = app.clock.now();
        let rover = app.rovers.of(now, &robot, caller.claims.did);
        // Whoever stops is never told to wait; what else comes by these paths counts itself.
        let may_stop = ["/control", "/control-legacy", "/end-mission"];
        if !may_stop.iter().any(|path| parts.uri.path().ends_with(path)) {
            rover.admit(now)?;
        }
        // Every call is a sign of life; whether the client has a lease shows where it matters.
        if touch(app, now, &rover, signs).is_ok() {
            app.keep_token(&robot, Some(&caller.token));
        }
        learn_key(app, &rover, &caller).await?;
        Ok(Self { app: Arc::clone(app), rover, caller, mission, signs })
    }
}

async fn of_base_path(
    parts: &mut Parts,
    app: &Shared,
) -> Result<(protocol::ids::RobotId, Caller, Option<String>), Refused> {
    // A page's pictures and a WebSocket of a browser can't send headers.
    let query = parts.uri.query().unwrap_or_default();
    let token = query.split('&').find_map(|pair| pair.strip_prefix("token="));
    let caller = match token {
        Some(token) => app.caller_of_token(token)?,
        None => app.caller(&parts.headers)?,
    };
    let params = RawPathParams::from_request_parts(parts, app).await;
    let params = params.map_err(|_no_params| Refused::new(404, "Not Found"))?;
    let id = params.iter().find(|(name, _)| *name == "id").map(|(_, value)| value.to_owned());
    let robot = robot_id(&id.unwrap_or_default())?;
    let mission = parts.headers.get(&MISSION).and_then(|value| value.to_str().ok());
    Ok((robot, caller, mission.filter(|text| !text.is_empty()).map(str::to_owned)))
}

/// Sees to it that the robot's key is known, and asks for it anew in the background when it was learned long ago.
async fn learn_key(app: &Shared, rover: &Rover, caller: &Caller) -> Result<(), Refused> {
    let robot = rover.robot();
    let fresh = app.states().key_of(app.clock.now(), robot);
    match (fresh, rover.source.did()) {
        (Some(did), known) if known != Some(did) => rover.source.learn(did),
        (Some(_), _) => {}
        (None, Some(known)) => {
            // The next calls see it as fresh and do not ask as well.
            app.states().watch(app.clock.now(), robot, known);
            let (app, token) = (Arc::clone(app), caller.token.clone());
            let (robot, source) = (robot.clone(), Arc::clone(&rover.source));
            tokio::spawn(async move {
                match app.fleet.robot_did(&robot, &token).await {
                    Ok(did) => {
                        app.states().watch(app.clock.now(), &robot, did);
                        source.learn(did);
                    }
                    Err(error) => tracing::debug!(%robot, code = error.code(), "key not renewed"),
                }
            });
        }
        (None, None) => {
            app.watch_robot(robot, &caller.token).await?;
            if let Some(did) = app.states().key_of(app.clock.now(), robot) {
                rover.source.learn(did);
            }
        }
    }
    Ok(())
}

impl Client {
    /// Now.
    pub fn now(&self) -> MonoMs {
        self.app.clock.now()
    }

    /// The client is there. Gives its lease, if it has one.
    pub fn touch(&self) -> Result<Opened, Refusal> {
        touch(&self.app, self.now(), &self.rover, self.signs)
    }

    /// What is remembered of this client. Never held across a wait.
    pub fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.rover.memory()
    }

    /// 400 while a mission is configured and not started, as everything of a ride answers then.
    pub fn gate(&self) -> Result<(), Refused> {
        if self.mission.is_none() || self.riding() {
            return Ok(());
        }
        Err(Refused::bad("Call /start-mission endpoint to start a mission"))
    }

    /// Whether a mission was started and its lease lives.
    pub fn riding(&self) -> bool {
        let lease = self.memory().ride.as_ref().map(|ride| ride.lease);
        let Some(lease) = lease else { return false };
        let riding = self.touch().is_ok_and(|open| open.lease_id == lease);
        if !riding {
            self.memory().ride = None;
        }
        riding
    }

    /// The robot's newest report, waiting for the first one. 503 when it says nothing.
    pub async fn sensed(&self) -> Result<Arc<Sensed>, Refused> {
        self.sensed_when(|_any| true).await
    }

    /// The same, once the robot's battery has said its charge, if there is one that will.
    pub async fn sensed_whole(&self) -> Result<Arc<Sensed>, Refused> {
        self.sensed_when(|report| !report.battery_awaited).await
    }

    async fn sensed_when(
        &self,
        whole: impl Fn(&SensorReport) -> bool,
    ) -> Result<Arc<Sensed>, Refused> {
        let source = &self.rover.source;
        let mut reports = source.sensors.subscribe();
        let until = self.now().plus(FIRST_MS);
        loop {
            source.want_sensors(&self.app);
            let newest = reports.borrow_and_update().clone();
            let now = self.now();
            let newest = newest.filter(|newest| now.since(newest.arrived) <= DATA_MS_MAX);
            let lacks = match newest {
                Some(newest) if whole(&newest.report) => return Ok(newest),
                Some(_) => "has not heard from its battery yet; try again in a moment",
                None => "says nothing; check that it runs",
            };
            if now >= until {
                let robot = self.rover.robot();
                return Err(Refused::new(503, format!("Telemetry not available: {robot} {lacks}")));
            }
            let next = self.app.clock.instant(now.plus(ASK_EVERY_MS).min(until));
            tokio::time::timeout_at(next.into(), reports.changed()).await.ok();
        }
    }

    /// The next picture of `view` that this client was not given yet, taken at most `age_ms_max` ago; waits at most
    /// `wait_ms`. None when there is none by then.
    pub async fn next_frame(
        &self,
        view: View,
        wait_ms: u64,
        age_ms_max: u64,
    ) -> Option<Arc<Frame>> {
        let source = &self.rover.source;
        let mut frames = source.camera(view).subscribe();
        let until = self.now().plus(wait_ms);
        loop {
            source.want_frames(&self.app, view);
            let newest = frames.borrow_and_update().clone();
            let now = self.now();
            if let Some(frame) = newest
                && now.since(frame.arrived) <= age_ms_max
                && self.rover.give(view, &frame.info)
            {
                return Some(frame);
            }
            if now >= until {
                return None;
            }
            let next = self.app.clock.instant(now.plus(ASK_EVERY_MS).min(until));
            tokio::time::timeout_at(next.into(), frames.changed()).await.ok();
        }
    }

    /// What the client sends from now on is its answer to `frame`.
    pub fn looked(&self, view: View, frame: &Frame, terms: Option<&Terms>) {
        let seen = (camera_number(view, terms), frame.info.capture());
        self.memory().seen = Some(seen);
        let (robot, holder) = (self.rover.robot(), &self.rover.holder);
        let mut drivers = self.app.drivers();
        // A lease that another program of the same key opened is not stamped with this one's pictures.
        let other =
            |open: Opened| self.signs.is_some_and(|signs| signs.lease != Some(open.lease_id));
        if !drivers.opened_of(robot, holder).is_some_and(other) {
            drivers.saw(robot, holder, seen.0, seen.1);
        }
        drop(drivers);
        self.app.metrics.looks.add();
    }

    /// The body of a request, at most [`BODY_LEN_MAX`] bytes.
    pub async fn body(body: Body) -> Result<Bytes, Refused> {
        to_bytes(body, BODY_LEN_MAX).await.map_err(|error| {
            // The one error that axum's limit makes; others are connections that broke.
            if error.to_string().contains("length limit") {
                let words = format!("the body must not be longer than {BODY_LEN_MAX} bytes");
                Refused::new(413, words)
            } else {
                Refused::bad("the body did not arrive whole")
            }
        })
    }
}

/// The camera's number in drive packets: its place in the robot's list.
pub fn camera_number(view: View, terms: Option<&Terms>) -> u8 {
    let listed = terms.and_then(|terms| terms.cameras.iter().position(|n| n == view.name()));
    listed.and_then(|index| u8::try_from(index).ok()).unwrap_or(match view {
        View::Front => 0,
        View::Rear => 1,
    })
}
