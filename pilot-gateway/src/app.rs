//! What all handlers share, and who is calling.

use crate::auth;
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::drivers::Drivers;
use crate::fabric::{self, AskError, Link};
use crate::fleet::{Fleet, FleetInfo};
use crate::https::Https;
use crate::keys::Keys;
use crate::look::Frames;
use crate::metrics::Metrics;
use crate::problem::ApiError;
use crate::rates::{Rate, Rates};
use crate::rover::Rovers;
use crate::states::{Heard, STATE_LEN_MAX, States};
use crate::turn::Turn;
use crate::watch::Watch;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};
use protocol::api::{Role, SessionClaims};
use protocol::ids::RobotId;
use protocol::keys::{Did, PrivateKey};
use protocol::problem::code;
use protocol::sealed::Opened;
use protocol::signal::IceServer;
use protocol::state::RobotState;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};
use zenoh::Session;
use zenoh::sample::Sample;

/// Calls of one program on all of its robots: state, drive, lease.
const CALLS: Rate = Rate { burst: 60, per_s: 60 };
/// Pictures for one caller.
const LOOKS: Rate = Rate { burst: 20, per_s: 30 };
/// Scenarios for the safety core, of everybody together: each costs a few milliseconds.
const TRIES: Rate = Rate { burst: 60, per_s: 30 };
/// Sessions and leases that one caller opens.
const OPENS: Rate = Rate { burst: 6, per_s: 1 };

/// The gateway's shared state.
#[derive(Debug)]
pub struct App {
    /// What it runs with.
    pub config: Config,
    /// Its own key: the relay of programs' leases.
    pub key: Arc<PrivateKey>,
    /// The keys of robots' messages.
    pub keys: Arc<Keys>,
    /// The key's name.
    pub did: Did,
    /// Monotonic time.
    pub clock: Clock,
    /// The fleet server.
    pub fleet: Fleet,
    /// The Zenoh session, once there is one.
    pub fabric: watch::Receiver<Option<Session>>,
    /// Counters.
    pub metrics: Metrics,
    /// Wakes the relay: something is due earlier than it knows.
    pub wake: Notify,
    /// Grows with every state that was heard.
    pub states_heard: watch::Sender<u64>,
    /// Newest pictures.
    pub frames: Frames,
    /// Clients of the Earth Rovers API.
    pub rovers: Rovers,
    /// Relays, if there are any.
    pub turn: Option<Turn>,
    /// Spectators.
    pub watch: Watch,
    /// The way here over TLS, if there is one.
    pub https: Option<Https>,
    info: watch::Sender<Option<FleetInfo>>,
    states: Mutex<States>,
    drivers: Mutex<Drivers>,
    tokens: Mutex<BTreeMap<RobotId, String>>,
    sessions: Mutex<auth::Known>,
    calls: Mutex<Rates>,
    looks: Mutex<Rates>,
    opens: Mutex<Rates>,
    tries: Mutex<Rates>,
}

/// What kind of call is counted against a caller's rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// State, drive, release.
    Call,
    /// A picture.
    Look,
    /// Opening a session or a lease.
    Open,
}

/// A signed-in caller.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What its token says.
    pub claims: SessionClaims,
    /// The token, to speak to the fleet in its name.
    pub token: String,
}

/// A handler panicked while it held a lock of ours: the tables are plain values that are whole between calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl App {
    /// The shared state of a gateway that has reached nobody yet.
    pub fn new(
        config: Config,
        key: PrivateKey,
        fabric: watch::Receiver<Option<Session>>,
        turn: Option<Turn>,
        watch: Watch,
        https: Option<Https>,
    ) -> anyhow::Result<Self> {
        let (key, fleet) = (Arc::new(key), Fleet::new(&config.fleet)?);
        let keys = Keys::new(config.is_sealed(), fleet.clone(), Arc::clone(&key));
        Ok(Self {
            did: key.did(),
            fleet,
            keys: Arc::new(keys),
            drivers: Mutex::new(Drivers::new(config.drivers_max)),
            config,
            key,
            clock: Clock::start(),
            fabric,
            metrics: Metrics::default(),
            wake: Notify::new(),
            states_heard: watch::Sender::new(0),
            frames: Frames::default(),
            rovers: Rovers::default(),
            turn,
            watch,
            https,
            info: watch::Sender::new(None),
            states: Mutex::new(States::default()),
            tokens: Mutex::new(BTreeMap::new()),
            sessions: Mutex::new(auth::Known::default()),
            calls: Mutex::new(Rates::new(CALLS)),
            looks: Mutex::new(Rates::new(LOOKS)),
            opens: Mutex::new(Rates::new(OPENS)),
            tries: Mutex::new(Rates::new(TRIES)),
        })
    }

    /// The servers with which `subject` finds a path.
    pub fn ice_servers(&self, subject: &str) -> Vec<IceServer> {
        let own = self.turn.as_ref().map(|turn| turn.ice_server(subject, clock::wall()));
        self.config.ice_servers.iter().cloned().chain(own).collect()
    }

    /// The table of drivers.
    pub fn drivers(&self) -> MutexGuard<'_, Drivers> {
        lock(&self.drivers)
    }

    /// The newest states.
    pub fn states(&self) -> MutexGuard<'_, States> {
        lock(&self.states)
    }

    /// The newest state of `robot` with its age.
    pub fn newest(&self, robot: &RobotId) -> Option<(RobotState, u64)> {
        self.states().newest(self.clock.now(), robot).map(|(state, age)| (state.clone(), age))
    }

    /// The token with which the lease on `robot` is renewed and ended.
    pub fn token_of(&self, robot: &RobotId) -> Option<String> {
        lock(&self.tokens).get(robot).cloned()
    }

    /// Keeps the newest token of the robot's driver, or forgets it.
    pub fn keep_token(&self, robot: &RobotId, token: Option<&str>) {
        let mut tokens = lock(&self.tokens);
        match token {
            Some(token) if tokens.get(robot).is_some_and(|known| known == token) => {}
            Some(token) => drop(tokens.insert(robot.clone(), token.to_owned())),
            None => drop(tokens.remove(robot)),
        }
    }

    /// The driver's newest token replaces the one that its lease was opened with.
    pub fn keep_token_of_driver(&self, robot: &RobotId, caller: &Caller) {
        let mine = self.drivers().touch(self.clock.now(), robot, &caller.claims.did);
        if mine.is_ok() {
            self.keep_token(robot, Some(&caller.token));
        }
    }

    /// The Zenoh session.
    pub fn session(&self) -> Result<Link, AskError> {
        let session = self.fabric.borrow().clone().ok_or(AskError::NotConnected)?;
        Ok(Link { session, keys: Arc::clone(&self.keys) })
    }

    /// Who the fleet is.
    pub fn fleet_info(&self) -> Result<FleetInfo, ApiError> {
        self.info.borrow().clone().ok_or_else(|| {
            ApiError::unavailable("the fleet server has not answered yet; try again in a moment")
        })
    }

    /// The fleet said who it is.
    pub fn learn_fleet(&self, new: FleetInfo) {
        self.info.send_if_modified(|known| {
            if known.as_ref() == Some(&new) {
                return false;
            }
            if let Some(before) = known.as_ref().filter(|k| k.fleet_did != new.fleet_did) {
                tracing::warn!(before = %before.fleet_did, now = %new.fleet_did, "the fleet has another key");
            }
            *known = Some(new);
            true
        });
    }

    /// A state arrived over Zenoh.
    pub fn on_state(&self, sample: &Sample) {
        let now = self.clock.now();
        let key_expr = sample.key_expr().as_str();
        let heard = match fabric::overheard(&self.keys, sample, STATE_LEN_MAX) {
            Ok(Opened { payload, attachment }) => {
                self.states().heard(now, key_expr, &payload, &attachment)
            }
            Err(fabric::NotOpened::NoKey) => Heard::Unwatched,
            Err(fabric::NotOpened::Forged) => Heard::Refused,
        };
        match heard {
            Heard::New => {
                let robot = protocol::keyexpr::robot_of(key_expr);
                if let Some((state, _)) = robot.and_then(|robot| self.newest(&robot)) {
                    self.drivers().heard(now, &state);
                }
                self.states_heard.send_modify(|n| *n = n.wrapping_add(1));
            }
            Heard::Refused => self.metrics.states_refused.add(),
            Heard::Unwatched | Heard::Old => {}
        }
    }

    /// The signed-in caller of a request.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let header = headers.get(header::AUTHORIZATION).and_then(|h| h.to_str().ok());
        let token = auth::bearer(header).map_err(|error| ApiError::sign_in(error.to_string()))?;
        self.caller_of_token(token)
    }

    /// The signed-in caller that `token` names.
    pub fn caller_of_token(&self, token: &str) -> Result<Caller, ApiError> {
        let fleet = self.fleet_info()?.fleet_did;
        let now = clock::wall();
        let known = lock(&self.sessions).get(token, &fleet, now);
        // Without the lock: whoever sends nonsense delays nobody else.
        let checked = known.map_or_else(
            || {
                let claims = auth::verify(token, &fleet, now)?;
                lock(&self.sessions).keep(token, &fleet, &claims, now);
                Ok(claims)
            },
            Ok::<_, auth::TokenError>,
        );
        match checked {
            Ok(claims) if claims.role == Role::Robot => Err(ApiError::new(
                403,
                code::FORBIDDEN,
                "robots neither look nor drive here; sign in as a pilot or a program",
            )),
            Ok(claims) => Ok(Caller { claims, token: token.to_owned() }),
            Err(error) => Err(ApiError::sign_in(error.to_string())),
        }
    }

    /// Counts one call of `caller`, or refuses it.
    pub fn admit(&self, kind: Kind, caller: &Caller) -> Result<(), ApiError> {
        let rates = match kind {
            Kind::Call => &self.calls,
            Kind::Look => &self.looks,
            Kind::Open => &self.opens,
        };
        lock(rates).take(self.clock.now(), caller.claims.did).map_err(ApiError::too_many)
    }

    /// Counts one scenario for the safety core, or refuses it. Nobody signs in for it: all share one rate.
    pub fn admit_try(&self) -> Result<(), ApiError> {
        lock(&self.tries).take(self.clock.now(), self.did).map_err(ApiError::too_many)
    }

    /// Sees to it that states of `robot` are verified and kept, asking the fleet for its key if need be.
    pub async fn watch_robot(&self, robot: &RobotId, token: &str) -> Result<(), ApiError> {
        if self.keys.sealed() {
            self.keys.of(robot).await?;
        }
        if self.states().key_of(self.clock.now(), robot).is_none() {
            let did = self.fleet.robot_did(robot, token).await?;
            self.states().watch(self.clock.now(), robot, did);
        }
        Ok(())
    }
}

/// The shared state as handlers hold it.
pub type Shared = Arc<App>;

/// The robot named in a path.
pub fn robot_id(text: &str) -> Result<RobotId, ApiError> {
    text.parse().map_err(|error: protocol::ids::IdError| ApiError::bad_request(error.to_string()))
}

/// A JSON body of at most `limit` bytes. No body stands for `{}`.
pub async fn json<T: DeserializeOwned>(body: Body, limit: usize) -> Result<T, ApiError> {
    let bytes = to_bytes(body, limit).await.map_err(|error| {
        // The one error that axum's limit makes; others are connections that broke.
        if error.to_string().contains("length limit") {
            ApiError::too_large(limit)
        } else {
            ApiError::bad_request("the body did not arrive whole")
        }
    })?;
    let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes };
    serde_json::from_slice(bytes).map_err(|error| {
        ApiError::bad_request(format!("the body is not what is taken here: {error}"))
    })
}
