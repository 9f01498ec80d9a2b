//! The Earth Rovers API, so that programs written for it drive our robots as they are: per robot under
//! `/v1/robots/{id}/earth-rover/…` with a session token, and on a port of its own ([`ports`]) with plain paths.
//!
//! Behind it is the same drive path as for every program ([`crate::programs`]): a lease, the robot's own watchdog
//! and limits, the capture time of the picture that the client was given last, an episode. What differs from the
//! original, always to be honest about what the robot does:
//!
//! - `/control` answers 409 with the safety core's reason when the robot does not obey;
//! - motion ends with the owner's hold time after the last command, and at once with a command of zeros;
//! - nothing is ever 200 with an empty object or null: 503 until the robot has said something;
//! - `/screenshot` writes no files, pages hold no secrets, `/ws/ingest` does not exist.

pub mod body;
pub mod client;
pub mod control;
pub mod data;
pub mod draw;
pub mod interventions;
pub mod map;
pub mod missions;
pub mod openapi;
pub mod pages;
pub mod pictures;
pub mod ports;
pub mod refused;
pub mod source;

use crate::app::Shared;
use crate::rates::{Rate, Rates};
use axum::Router;
use axum::routing::{MethodRouter, any};
use protocol::ids::{EpisodeId, LeaseId, MissionId, RobotId};
use protocol::keys::Did;
use protocol::rover::FrameInfo;
use protocol::units::MonoMs;
use refused::Refused;
use source::{Source, View};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where the API of a robot lies on the gateway's own port.
pub const BASE: &str = "/v1/robots/{id}/earth-rover";
/// Clients and robots that are remembered at most; then those that called longest ago are forgotten.
const ROVERS_MAX: usize = 512;
/// Calls of one client on one robot: all at 30 a second, with room for bursts.
const CALLS: Rate = Rate { burst: 300, per_s: 300 };
/// What costs much: screenshots.
const SHOTS: Rate = Rate { burst: 4, per_s: 4 };

/// Makes the router and the list of its routes from one table.
macro_rules! routes {
    ($($path:literal $($method:ident)|+ $handler:path;)*) => {
        /// Each route's path from the robot's root, and its methods.
        #[cfg(test)]
        const ROUTES: &[(&str, &[&str])] = &[$(($path, &[$(stringify!($method)),+])),*];

        fn routes() -> Router<Shared> {
            Router::new()$(.route($path, MethodRouter::new()$(.$method($handler))+))*
        }
    };
}

routes! {
    "/" get pages::root;
    "/sdk" get pages::sdk;
    "/static/{name}" get pages::file;
    "/control" post control::control;
    "/control-legacy" post control::control_legacy;
    "/speak" post control::speak;
    "/data" get data::data;
    "/status" get data::status;
    "/ws/data" get data::ws;
    "/v2/front" get pictures::front;
    "/v2/rear" get pictures::rear;
    "/v2/screenshot" get pictures::both;
    "/screenshot" get pictures::screenshot;
    "/feed" get pictures::feed;
    "/missions" get missions::list;
    "/missions-history" get missions::history;
    "/start-mission" post missions::start;
    "/end-mission" post missions::end;
    "/checkpoints-list" get|post missions::checkpoints;
    "/checkpoint-reached" post missions::reached;
    "/interventions/start" post interventions::start;
    "/interventions/end" post interventions::end;
    "/interventions/history" get interventions::history;
}

/// All routes of one robot, with their paths from its root.
pub fn router() -> Router<Shared> {
    routes()
        .method_not_allowed_fallback(method_not_allowed)
        // Under the base path the fleet's proxy would take what nobody here knows.
        .route("/{*rest}", any(not_found))
        .fallback(not_found)
}

async fn not_found() -> Refused {
    Refused::new(404, "Not Found")
}

async fn method_not_allowed() -> Refused {
    Refused::new(405, "Method Not Allowed")
}

/// A mission that a client started, and how much of it the client knows to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Ride {
    /// The mission.
    pub mission: MissionId,
    /// Its name as the API says it.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// The lease under which it is driven. When this ends, so does the ride.
    pub lease: LeaseId,
    /// The episode that is being recorded.
    pub episode: EpisodeId,
    /// Checkpoints that the client was told it has reached.
    pub claimed: usize,
    /// The mission's checkpoints.
    pub checkpoints: Vec<protocol::mission::Checkpoint>,
}

/// What one client does with one robot.
#[derive(Debug, Default)]
pub struct Memory {
    /// Last picture given of each view.
    pub given: [Option<FrameInfo>; 2],
    /// Number of the camera and capture time of the picture that the client was given last.
    pub seen: Option<(u8, MonoMs)>,
    /// Last lamp value that the client sent.
    pub lamp: Option<u8>,
    /// Started mission.
    pub ride: Option<Ride>,
    /// When the safety core last obeyed this client.
    pub obeyed_at: Option<MonoMs>,
    /// The lease under which the client drove last, of one that opens its leases itself.
    pub lease: Option<LeaseId>,
    /// A lease was refused: until then nobody is asked again.
    pub refused_until: Option<(MonoMs, Refused)>,
    /// Counters of `/status`.
    pub sent: control::Counters,
}

/// One client on one robot.
#[derive(Debug)]
pub struct Rover {
    /// The robot, shared with its other clients.
    pub source: Arc<Source>,
    /// Who drives.
    pub holder: Did,
    /// One lease is opened at a time.
    pub opening: tokio::sync::Mutex<()>,
    memory: Mutex<Memory>,
    calls: Mutex<Rates>,
    shots: Mutex<Rates>,
}

impl Rover {
    fn new(source: Arc<Source>, holder: Did) -> Self {
        Self {
            source,
            holder,
            opening: tokio::sync::Mutex::new(()),
            memory: Mutex::new(Memory::default()),
            calls: Mutex::new(Rates::new(CALLS)),
            shots: Mutex::new(Rates::new(SHOTS)),
        }
    }

    /// The robot.
    pub fn robot(&self) -> &RobotId {
        &self.source.robot
    }

    /// What is remembered of this client. Never held across a wait.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        // A handler that panicked leaves plain values, whole between calls.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one call.
    pub fn admit(&self, now: MonoMs) -> Result<(), Refused> {
        take(&self.calls, now, self.holder)
    }

    /// Counts one screenshot.
    pub fn admit_shot(&self, now: MonoMs) -> Result<(), Refused> {
        take(&self.shots, now, self.holder)
    }

    /// The client is given this picture: false when it was given it before.
    pub fn give(&self, view: View, info: &FrameInfo) -> bool {
        let mut memory = self.memory();
        let [front, rear] = &mut memory.given;
        let last = match view {
            View::Front => front,
            View::Rear => rear,
        };
        let new =
            last.is_none_or(|last| last.seq != info.seq || last.capture_ms != info.capture_ms);
        if new {
            *last = Some(*info);
        }
        new
    }
}

fn take(rates: &Mutex<Rates>, now: MonoMs, holder: Did) -> Result<(), Refused> {
    let taken = rates.lock().unwrap_or_else(PoisonError::into_inner).take(now, holder);
    taken.map_err(|ms| Refused::new(429, format!("too many requests; try again in {ms} ms")))
}

#[derive(Debug)]
struct Known {
    rover: Arc<Rover>,
    called_at: MonoMs,
}

/// Everybody who speaks this API here.
#[derive(Debug, Default)]
pub struct Rovers(Mutex<BTreeMap<(RobotId, Did), Known>>);

impl Rovers {
    /// The client `holder` on `robot`.
    pub fn of(&self, now: MonoMs, robot: &RobotId, holder: Did) -> Arc<Rover> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get_mut(&(robot.clone(), holder)) {
            found.called_at = now;
            return Arc::clone(&found.rover);
        }
        if known.len() >= ROVERS_MAX {
            let oldest = known.iter().min_by_key(|(_, one)| one.called_at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                known.remove(&oldest);
            }
        }
        let source = known.values().find(|one| one.rover.robot() == robot);
        let source = source.map_or_else(
            || Arc::new(Source::new(robot.clone())),
            |one| Arc::clone(&one.rover.source),
        );
        let rover = Arc::new(Rover::new(source, holder));
        let new = Known { rover: Arc::clone(&rover), called_at: now };
        known.insert((robot.clone(), holder), new);
        rover
    }
}

#[cfg(test)]
mod api_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::keys::PrivateKey;

    fn did(seed: u8) -> Did {
        PrivateKey::from_seed(&[seed; 32]).did()
    }

    #[test]
    fn clients_of_a_robot_share_its_source_and_are_bounded() {
        let rovers = Rovers::default();
        let robot: RobotId = "rover-1".parse().unwrap();
        let (a, b) = (rovers.of(MonoMs(1), &robot, did(1)), rovers.of(MonoMs(2), &robot, did(2)));
        assert!(Arc::ptr_eq(&a.source, &b.source) && !Arc::ptr_eq(&a, &b));
        assert!(Arc::ptr_eq(&a, &rovers.of(MonoMs(3), &robot, did(1))));
        for n in 0..600_u64 {
            rovers.of(MonoMs(10 + n), &format!("r{n}").parse().unwrap(), did(3));
        }
        assert_eq!(rovers.0.lock().unwrap().len(), ROVERS_MAX);
    }

    #[test]
    fn a_picture_is_given_once() {
        let robot: RobotId = "rover-1".parse().unwrap();
        let rover = Rovers::default().of(MonoMs(1), &robot, did(1));
        let info = |seq| FrameInfo { seq, capture_ms: seq * 33, wall_ms: seq, width: 1, height: 1 };
        assert!(rover.give(View::Front, &info(1)));
        assert!(!rover.give(View::Front, &info(1)));
        assert!(rover.give(View::Rear, &info(1)), "each camera counts for itself");
        assert!(rover.give(View::Front, &info(2)));
    }
}
