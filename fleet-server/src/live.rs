//! What robots report right now: in memory only, for it is worthless after a second.
//!
//! Also the part of the lease book that every state is compared with, so that a state that changes nothing
//! costs no look into the store.

use fleet_core::arrival::Arrival;
use protocol::ids::{LeaseId, MissionId, RobotId};
use protocol::keys::Did;
use protocol::mission::Checkpoint;
use protocol::sealed::FabricKey;
use protocol::state::RobotState;
use protocol::units::{GeoPoint, WallMs};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A robot that was silent for longer counts as offline.
const SILENT_MAX: Duration = Duration::from_secs(3);
/// Places of a robot's track, and how far they are apart: at least this, and the accuracy up to the second.
const TRACK_MAX: usize = 2_000;
const TRACK_STEP_M: f64 = 2.0;
const TRACK_STEP_M_MAX: f64 = 10.0;
/// How often a robot that does not take its owner's settings is brought them again.
const SETTINGS_EVERY: Duration = Duration::from_secs(5);
/// How far a robot's wall clock may be from ours: leases depend on it.
pub(crate) const CLOCK_OFF_MS_MAX: u64 = 30_000;

/// All robots.
#[derive(Default)]
pub(crate) struct Live(Mutex<BTreeMap<RobotId, LiveRobot>>);

/// One robot.
#[derive(Default)]
pub(crate) struct LiveRobot {
    did: Option<Did>,
    /// With which its messages are sealed.
    fabric_key: Option<FabricKey>,
    newest: Option<(RobotState, Instant)>,
    /// Its presence token is gone, and no state has come since.
    gone: bool,
    pub(crate) lease: Option<LiveLease>,
    /// Version of the owner's settings that the fleet keeps for it.
    pub(crate) settings_version: u64,
    /// Where it has been since the server started, oldest first.
    track: VecDeque<GeoPoint>,
    /// When they were last brought to the robot.
    settings_sent: Option<Instant>,
}

/// The lease that blocks a robot.
#[derive(Debug, Clone)]
pub(crate) struct LiveLease {
    pub(crate) id: LeaseId,
    pub(crate) until: WallMs,
    /// The robot has reported it.
    pub(crate) on_robot: bool,
    pub(crate) mission: Option<LiveMission>,
}

/// The mission that is being driven.
#[derive(Debug, Clone)]
pub(crate) struct LiveMission {
    pub(crate) id: MissionId,
    pub(crate) checkpoints: Vec<Checkpoint>,
    pub(crate) arrival: Arrival,
}

/// Why a state was dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Dropped {
    #[error("no such robot is enrolled")]
    Unknown,
    #[error("it is not sealed for the robot")]
    Seal,
    #[error("it is not signed by the robot's enrolled key")]
    Signature,
    #[error("it can't be read: {0}")]
    Malformed(String),
    #[error("the robot's clock is {0} ms off; set it by NTP, leases depend on it")]
    Clock(u64),
    #[error("it is older than one that was taken before")]
    Replayed,
}

/// What a state means for the fleet's documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The robot reports the lease for the first time.
    Started(LeaseId),
    /// A checkpoint was reached.
    Reached { lease: LeaseId, mission: MissionId, index: usize },
    /// The robot no longer obeys the lease.
    Ended { lease: LeaseId, why: String },
}

impl Live {
    fn robots(&self) -> MutexGuard<'_, BTreeMap<RobotId, LiveRobot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A robot was enrolled, with these keys from now on.
    pub(crate) fn enrolled(&self, robot: RobotId, did: Did, fabric_key: FabricKey) {
        let mut robots = self.robots();
        let live = robots.entry(robot).or_default();
        if live.did != Some(did) {
            (live.did, live.newest) = (Some(did), None);
        }
        live.fabric_key = Some(fabric_key);
    }

    /// A robot was taken out: nothing that it signs counts.
    pub(crate) fn revoked(&self, robot: &RobotId) {
        let mut robots = self.robots();
        let live = robots.entry(robot.clone()).or_default();
        (live.did, live.fabric_key, live.newest, live.gone) = (None, None, None, true);
    }

    /// With which a robot's messages are sealed.
    pub(crate) fn fabric_key(&self, robot: &RobotId) -> Option<FabricKey> {
        self.with(robot, |live| live.fabric_key.clone()).flatten()
    }

    /// Reads and changes one robot.
    pub(crate) fn with<T>(
        &self,
        robot: &RobotId,
        f: impl FnOnce(&mut LiveRobot) -> T,
    ) -> Option<T> {
        self.robots().get_mut(robot).map(f)
    }

    /// The leases whose time is over.
    pub(crate) fn expired(&self, now: WallMs) -> Vec<LeaseId> {
        let robots = self.robots();
        let leases = robots.values().filter_map(|live| live.lease.as_ref());
        leases.filter(|lease| now >= lease.until).map(|lease| lease.id).collect()
    }

    /// The presence token of a robot came or went. True when that changed whether the robot is online.
    pub(crate) fn presence(&self, robot: &RobotId, here: bool) -> bool {
        self.with(robot, |live| {
            let before = live.is_online();
            live.gone = !here;
            before != live.is_online()
        })
        .unwrap_or(false)
    }

    /// Takes a state message if the robot signed it and it is newer than all before. Gives what it means.
    pub(crate) fn take(
        &self,
        key: &str,
        payload: &[u8],
        attachment: &[u8],
        now: WallMs,
    ) -> Result<(RobotId, Vec<Step>), Dropped> {
        let robot = protocol::keyexpr::robot_of(key).ok_or(Dropped::Unknown)?;
        let did = self.with(&robot, |live| live.did).flatten().ok_or(Dropped::Unknown)?;
        // Outside the lock: a signature costs 50 µs.
        protocol::message::verify(key, payload, attachment, &did)
            .map_err(|_mismatch| Dropped::Signature)?;
        let state: RobotState = serde_json::from_slice(payload)
            .map_err(|error| Dropped::Malformed(error.to_string()))?;
        if state.robot != robot {
            return Err(Dropped::Malformed("it is another robot's".into()));
        }
        let off = state.at.0.abs_diff(now.0);
        if off > CLOCK_OFF_MS_MAX {
            return Err(Dropped::Clock(off));
        }
        let steps = self.with(&robot, |live| {
            if live.newest.as_ref().is_some_and(|(newest, _)| state.at <= newest.at) {
                return Err(Dropped::Replayed);
            }
            let steps = live.steps(&state);
            live.walked(&state);
            live.newest = Some((state, Instant::now()));
            live.gone = false;
            Ok(steps)
        });
        Ok((robot, steps.unwrap_or(Err(Dropped::Unknown))?))
    }
}

impl LiveRobot {
    /// Whether the robot can be driven now.
    pub(crate) fn is_online(&self) -> bool {
        let fresh = self.newest.as_ref().is_some_and(|(_, at)| at.elapsed() <= SILENT_MAX);
        fresh && !self.gone
    }

    /// Whether the robot is here and should be brought its owner's newest settings now.
    pub(crate) fn owes_settings(&mut self) -> bool {
        let known = self.newest.as_ref().map_or(0, |(state, _)| state.settings_version);
        let lately = self.settings_sent.is_some_and(|sent| sent.elapsed() < SETTINGS_EVERY);
        let owes = known < self.settings_version && !lately && self.is_online();
        if owes {
            self.settings_sent = Some(Instant::now());
        }
        owes
    }

    fn walked(&mut self, state: &RobotState) {
        let known = state.position.as_ref().filter(|p| p.fix > 0 && p.point.is_valid());
        let Some(position) = known else { return };
        let step_m = TRACK_STEP_M.max(position.h_acc_m.min(TRACK_STEP_M_MAX));
        if self.track.back().is_none_or(|last| last.distance_m(&position.point) >= step_m) {
            if self.track.len() >= TRACK_MAX {
                self.track.pop_front();
            }
            self.track.push_back(position.point);
        }
    }

    /// Where it has been since the server started, oldest first.
    pub(crate) fn track(&self) -> Vec<GeoPoint> {
        self.track.iter().copied().collect()
    }

    /// The newest state and its age.
    pub(crate) fn state(&self) -> Option<(&RobotState, u64)> {
        let (state, at) = self.newest.as_ref()?;
        Some((state, u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)))
    }

    fn steps(&mut self, state: &RobotState) -> Vec<Step> {
        let mut steps = Vec::new();
        let Some(lease) = &mut self.lease else { return steps };
        if state.lease == Some(lease.id) {
            if !lease.on_robot {
                lease.on_robot = true;
                steps.push(Step::Started(lease.id));
            }
            if let Some(mission) = &mut lease.mission {
                let position = state.position.as_ref();
                let reached =
                    mission.arrival.observe(&mission.checkpoints, position, state.robot_ms);
                steps.extend(reached.map(|index| Step::Reached {
                    lease: lease.id,
                    mission: mission.id,
                    index,
                }));
            }
            return steps;
        }
        let told = state.last_ended.as_ref().filter(|ended| ended.lease == lease.id);
        // A robot that obeyed the lease and no longer does has ended it, even if it forgot: it was restarted.
        if told.is_some() || lease.on_robot {
            let why = told.map_or_else(|| "stopping".to_owned(), |ended| ended.why.clone());
            steps.push(Step::Ended { lease: lease.id, why });
        }
        steps
    }
}
