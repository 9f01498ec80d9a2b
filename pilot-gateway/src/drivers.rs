//! Programs that drive through this gateway: who holds which robot, what they wish for now, and when their next
//! packet, renewal or release is due.
//!
//! A pure state machine. **Every change is followed by a [`Drivers::poll`] that is drained until the next
//! [`Drivers::deadline_ms`].** Time is an argument; nothing here sends, waits or signs.
//!
//! A driver here is always one that a robot would otherwise have to trust for its silence, so silence ends it:
//! a wish to move ends with its time to live, a driver that calls nothing for [`DRIVER_GONE_MS`] is released,
//! and a lease that nobody could renew is dropped when it runs out.

mod numbered;
mod wish;

use crate::verdict;
use protocol::drive::{DriveCommand, Seen};
use protocol::ids::{EpisodeId, LeaseId, MissionId, RobotId};
use protocol::keys::Did;
use protocol::lease::{DRIVER_GONE_MS, RENEW_EVERY_MS};
use protocol::state::RobotState;
use protocol::units::MonoMs;
use std::collections::{BTreeMap, VecDeque};
pub use wish::{Wish, WishError};

/// While a wish to move lives, its packet is repeated this often: 20 times a second.
pub const REPEAT_EVERY_MS: u64 = 50;
/// Between wishes the robot hears from its driver this often, with the deadman released.
pub const KEEPALIVE_EVERY_MS: u64 = 500;
/// How many packets with the deadman released follow the end of a wish, so that one of them arrives.
pub const RELEASES: u8 = 3;
/// After a renewal that failed for now, the next attempt.
pub const RENEW_RETRY_MS: u64 = 2_000;
/// Longest time to live of a wish.
pub const TTL_MS_MAX: u64 = 1_000;
/// Longest time for which the last command of a client of the Earth Rovers API is repeated, whatever a robot says.
#[expect(clippy::as_conversions, reason = "widening, in a constant")]
pub const HOLD_MS_MAX: u64 = protocol::rover::HOLD_MS_MAX as u64;
/// Shortest time to live of a wish: one repeat.
pub const TTL_MS_MIN: u64 = 50;
/// Highest speed that can be wished for, either way. The lease and the robot allow less.
pub const LINEAR_MPS_MAX: f64 = 3.0;
/// Highest turn rate that can be wished for, either way.
pub const ANGULAR_RADPS_MAX: f64 = 4.0;

/// Why a driver can't do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Someone else drives this robot through this gateway.
    #[error("{robot} is driven by somebody else; wait until they are done")]
    Taken {
        /// The robot.
        robot: RobotId,
    },
    /// The caller's own lease on the robot is being opened or ended right now.
    #[error("your lease on {robot} is being opened or ended; try again in a moment")]
    Busy {
        /// The robot.
        robot: RobotId,
    },
    /// The caller has no lease on the robot here.
    #[error("you have no lease on {robot} here; take one with POST /v1/robots/{robot}/lease")]
    NoLease {
        /// The robot.
        robot: RobotId,
    },
    /// The caller's lease has ended.
    #[error("your lease on {robot} has ended: {why}; take a new one")]
    Ended {
        /// The robot.
        robot: RobotId,
        /// Stable code.
        why: String,
    },
    /// The caller's key drives the robot, but it was not this client that opened the lease.
    #[error(
        "your key drives {robot} already, from another program; end that one, or wait until it has been silent for 5 s"
    )]
    Elsewhere {
        /// The robot.
        robot: RobotId,
    },
    /// A newer command of the same driver came first.
    #[error("command {n} was overtaken by command {last}")]
    Overtaken {
        /// Its number.
        n: u32,
        /// The newest.
        last: u32,
    },
    /// The driver signs its commands, and is too far behind.
    #[error("{} commands wait for the driver's receipt; send that first", numbered::UNSIGNED_MAX)]
    Unsigned,
    /// The gateway drives as many robots as it may.
    #[error("this gateway carries {max} drivers already; try again later")]
    Full {
        /// Its limit.
        max: usize,
    },
}

/// An open lease, as its driver sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The lease.
    pub lease_id: LeaseId,
    /// Its episode.
    pub episode: EpisodeId,
    /// Its fencing epoch.
    pub epoch: u64,
    /// How long a copy of it lasts.
    pub ttl_ms: u32,
    /// The mission that it is for.
    pub mission: Option<MissionId>,
}

/// What the shell has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Sign the packet and put it on the robot's command key.
    Send(DriveCommand),
    /// Renew the lease at the fleet and hand it to the robot, then report by [`Drivers::renewed`].
    Renew(LeaseId),
    /// Tell robot and fleet that the driver is done, then report by [`Drivers::closed`].
    Release(LeaseId),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// The fleet and the robot are being asked.
    Opening,
    /// Driving is possible.
    Open(Open),
    /// Robot and fleet are being told that it is over.
    Closing(LeaseId),
    /// Over; kept for a while so that its driver learns why.
    Ended { why: String, forget_at: MonoMs },
}

/// Why a lease is over that its robot knows nothing of any more.
const LEASE_GONE: &str = "robot-restarted";

#[derive(Debug, Clone, PartialEq, Eq)]
struct Open {
    opened: Opened,
    /// `seq` of the newest packet.
    seq: u32,
    wish: Option<(Wish, MonoMs)>,
    /// `seq` of the first packet of the newest wish.
    wish_seq: u32,
    /// `seq` of the first packet since the deadman was pressed.
    press_seq: u32,
    /// Number of the driver's newest command, of a driver that signs them.
    command_last: u32,
    /// Numbers of commands with the `seq` of the first packet that carries each out, until the driver's receipt.
    ties: VecDeque<(u32, u32)>,
    releases_left: u8,
    send_at: MonoMs,
    renew_at: MonoMs,
    renewing: bool,
    /// The driver is done: the release is due.
    leaving: bool,
    expires_at: MonoMs,
    seen: Seen,
    camera: u8,
    /// Newest time of the robot's clock that a state or a picture brought.
    robot_stamp: Option<MonoMs>,
    /// The robot has said that it has this lease.
    confirmed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Driver {
    holder: Did,
    called_at: MonoMs,
    stage: Stage,
}

/// How long an ended lease is remembered for its driver.
const REMEMBER_MS: u64 = 60_000;

/// The table of drivers, at most one for each robot.
#[derive(Debug)]
pub struct Drivers {
    max: usize,
    robots: BTreeMap<RobotId, Driver>,
}

impl Drivers {
    /// An empty table for at most `max` drivers.
    pub const fn new(max: usize) -> Self {
        Self { max, robots: BTreeMap::new() }
    }

    /// How many drivers hold or are getting a robot.
    pub fn active(&self) -> usize {
        self.robots.values().filter(|d| !matches!(d.stage, Stage::Ended { .. })).count()
    }

    /// Keeps `robot` for `holder` while its lease is being opened. An open lease of the same holder is given
    /// back instead: asking twice takes one lease.
    pub fn reserve(
        &mut self,
        now: MonoMs,
        robot: &RobotId,
        holder: Did,
    ) -> Result<Option<Opened>, Refusal> {
        if let Some(driver) = self.robots.get_mut(robot) {
            let mine = driver.holder == holder;
            match &driver.stage {
                Stage::Open(open) if mine && !open.leaving => {
                    driver.called_at = now;
                    return Ok(Some(open.opened));
                }
                Stage::Opening | Stage::Open(_) | Stage::Closing(_) if mine => {
                    return Err(Refusal::Busy { robot: robot.clone() });
                }
                Stage::Opening | Stage::Open(_) | Stage::Closing(_) => {
                    return Err(Refusal::Taken { robot: robot.clone() });
                }
                Stage::Ended { .. } => {}
            }
        }
        if self.active() >= self.max {
            return Err(Refusal::Full { max: self.max });
        }
        let driver = Driver { holder, called_at: now, stage: Stage::Opening };
        self.robots.insert(robot.clone(), driver);
        Ok(None)
    }

    /// The robot was not to be had: the reservation ends.
    pub fn abandon(&mut self, robot: &RobotId) {
        if self.robots.get(robot).is_some_and(|d| d.stage == Stage::Opening) {
            self.robots.remove(robot);
        }
    }

    /// Fleet and robot agreed: the reserved lease is open.
    pub fn opened(&mut self, now: MonoMs, robot: &RobotId, opened: Opened) {
        let Some(driver) = self.robots.get_mut(robot) else { return };
        driver.called_at = now;
        driver.stage = Stage::Open(Open {
            opened,
            seq: 0,
            wish: None,
            wish_seq: 0,
            press_seq: 0,
            command_last: 0,
            ties: VecDeque::new(),
            releases_left: RELEASES,
            send_at: now,
            renew_at: now.plus(u64::from(RENEW_EVERY_MS)),
            renewing: false,
            leaving: false,
            expires_at: now.plus(u64::from(opened.ttl_ms)),
            seen: Seen::Nothing,
            camera: 0,
            robot_stamp: None,
            confirmed: false,
        });
    }

    fn open_of(
        &mut self,
        now: MonoMs,
        robot: &RobotId,
        holder: &Did,
    ) -> Result<&mut Open, Refusal> {
        let no_lease = || Refusal::NoLease { robot: robot.clone() };
        let driver = self.robots.get_mut(robot).ok_or_else(no_lease)?;
        if driver.holder != *holder {
            return match driver.stage {
                Stage::Ended { .. } => Err(no_lease()),
                _ => Err(Refusal::Taken { robot: robot.clone() }),
            };
        }
        match &mut driver.stage {
            Stage::Open(open) => {
                if open.leaving {
                    let why = "released".to_owned();
                    return Err(Refusal::Ended { robot: robot.clone(), why });
                }
                driver.called_at = now;
                Ok(open)
            }
            Stage::Opening => Err(Refusal::Busy { robot: robot.clone() }),
            Stage::Closing(_) => {
                Err(Refusal::Ended { robot: robot.clone(), why: "released".to_owned() })
            }
            Stage::Ended { why, .. } => {
                Err(Refusal::Ended { robot: robot.clone(), why: why.clone() })
            }
        }
    }

    /// The caller is there: a look or a state counts as life. Gives its lease, if it has one.
    pub fn touch(&mut self, now: MonoMs, robot: &RobotId, holder: &Did) -> Result<Opened, Refusal> {
        self.open_of(now, robot, holder).map(|open| open.opened)
    }

    /// The caller was given this picture: what it sends from now on is an answer to it.
    pub fn looked(
        &mut self,
        now: MonoMs,
        robot: &RobotId,
        holder: &Did,
        camera: u8,
        capture: MonoMs,
    ) {
        // A caller without a lease looks too; that is no refusal.
        self.touch(now, robot, holder).ok();
        self.saw(robot, holder, camera, capture);
    }

    /// As [`Drivers::looked`], for a picture that was sent into an open stream: that somebody once asked for it
    /// proves nothing about them now, so it is no sign of life.
    pub fn saw(&mut self, robot: &RobotId, holder: &Did, camera: u8, capture: MonoMs) {
        if let Some(Driver { holder: known, stage: Stage::Open(open), .. }) =
            self.robots.get_mut(robot)
            && known == holder
        {
            open.seen = Seen::CaptureMs(capture.low32());
            open.camera = camera;
            // Like a state's stamp, it proves that what is sent from now on was not held up since before.
            open.robot_stamp = open.robot_stamp.max(Some(capture));
        }
    }

    /// A new wish, in place of the one before. Gives the lease and the `seq` of its first packet.
    pub fn drive(
        &mut self,
        now: MonoMs,
        robot: &RobotId,
        holder: &Did,
        wish: Wish,
    ) -> Result<(Opened, u32), Refusal> {
        let open = self.open_of(now, robot, holder)?;
        open.wish_seq = open.seq.saturating_add(1);
        if open.wish.is_none() {
            open.press_seq = open.wish_seq;
        }
        open.wish = Some((wish, now.plus(wish.ttl_ms)));
        open.releases_left = 0;
        open.send_at = now;
        Ok((open.opened, open.wish_seq))
    }

    /// `seq` of the first packet since `holder` pressed the deadman: what the robot said about it or a later one
    /// holds for the wish that lasts. None when `holder` wishes nothing now.
    pub fn press_of(&self, robot: &RobotId, holder: &Did) -> Option<u32> {
        let driver = self.robots.get(robot).filter(|driver| driver.holder == *holder)?;
        match &driver.stage {
            Stage::Open(open) if open.wish.is_some() => Some(open.press_seq),
            Stage::Opening | Stage::Open(_) | Stage::Closing(_) | Stage::Ended { .. } => None,
        }
    }

    /// Ends the wish: the deadman is released now. Gives the lease and the `seq` of the first such packet.
    pub fn stop(
        &mut self,
        now: MonoMs,
        robot: &RobotId,
        holder: &Did,
    ) -> Result<(Opened, u32), Refusal> {
        let open = self.open_of(now, robot, holder)?;
        open.release_deadman(now);
        Ok((open.opened, open.seq.saturating_add(1)))
    }

    /// The caller is done with the robot. [`Drivers::poll`] then gives the release.
    pub fn release(
        &mut self,
        now: MonoMs,
        robot: &RobotId,
        holder: &Did,
    ) -> Result<LeaseId, Refusal> {
        let open = self.open_of(now, robot, holder)?;
        open.release_deadman(now);
        open.leaving = true;
        Ok(open.opened.lease_id)
    }

    /// The safety core does not obey: the deadman is released, so that the next wish is a fresh press.
    pub fn refused(&mut self, now: MonoMs, robot: &RobotId, lease: LeaseId, seq: u32) {
        // A newer wish than the refused one stands.
        if let Some(open) = self.open_lease(robot, lease)
            && open.wish_seq == seq
        {
            open.release_deadman(now);
        }
    }

    fn open_lease(&mut self, robot: &RobotId, lease: LeaseId) -> Option<&mut Open> {
        match &mut self.robots.get_mut(robot)?.stage {
            Stage::Open(open) if open.opened.lease_id == lease => Some(open),
            Stage::Opening | Stage::Open(_) | Stage::Closing(_) | Stage::Ended { .. } => None,
        }
    }

    /// The robot was heard: its newest stamp goes into the packets, and a lease that it ended ends here.
    pub fn heard(&mut self, now: MonoMs, state: &RobotState) {
        let Some(driver) = self.robots.get_mut(&state.robot) else { return };
        let Stage::Open(open) = &mut driver.stage else { return };
        open.robot_stamp = open.robot_stamp.max(Some(MonoMs(state.robot_ms)));
        let held = state.lease == Some(open.opened.lease_id);
        // One that had the lease and says nothing of it any more was started anew.
        let gone = (open.confirmed && !held).then(|| LEASE_GONE.to_owned());
        open.confirmed |= held;
        if let Some(why) = verdict::end_of(state, &open.opened).or(gone) {
            driver.stage = Stage::Ended { why, forget_at: now.plus(REMEMBER_MS) };
        }
    }

    /// A renewal came to its end: `Ok` with the new time to live, or whether trying again can help.
    pub fn renewed(
        &mut self,
        now: MonoMs,
        robot: &RobotId,
        lease: LeaseId,
        outcome: Result<u32, RenewError>,
    ) {
        let Some(open) = self.open_lease(robot, lease) else { return };
        open.renewing = false;
        match outcome {
            Ok(ttl_ms) => {
                open.renew_at = now.plus(u64::from(RENEW_EVERY_MS));
                open.expires_at = now.plus(u64::from(ttl_ms));
            }
            Err(RenewError::ForNow) => open.renew_at = now.plus(RENEW_RETRY_MS),
            Err(RenewError::ForGood(why)) => self.ended(now, robot, lease, &why),
        }
    }

    /// The lease is over, whoever ended it.
    pub fn ended(&mut self, now: MonoMs, robot: &RobotId, lease: LeaseId, why: &str) {
        if self.open_lease(robot, lease).is_some()
            && let Some(driver) = self.robots.get_mut(robot)
        {
            driver.stage = Stage::Ended { why: why.to_owned(), forget_at: now.plus(REMEMBER_MS) };
        }
    }

    /// The release that [`Drivers::poll`] asked for has been told to robot and fleet.
    pub fn closed(&mut self, now: MonoMs, robot: &RobotId, lease: LeaseId) {
        if let Some(driver) = self.robots.get_mut(robot)
            && driver.stage == Stage::Closing(lease)
        {
            let why = "released".to_owned();
            driver.stage = Stage::Ended { why, forget_at: now.plus(REMEMBER_MS) };
        }
    }

    /// Whether the lease on `robot` is on its way to an end: asked for, and not yet told to robot and fleet.
    pub fn closing(&self, robot: &RobotId) -> bool {
        self.robots.get(robot).is_some_and(|driver| match driver.stage {
            Stage::Closing(_) => true,
            Stage::Open(Open { leaving, .. }) => leaving,
            Stage::Opening | Stage::Ended { .. } => false,
        })
    }

    /// Releases every driver: the gateway stops.
    pub fn release_all(&mut self) {
        for driver in self.robots.values_mut() {
            if let Stage::Open(open) = &mut driver.stage {
                open.leaving = true;
            }
        }
    }

    /// What is due at `now`.
    pub fn poll(&mut self, now: MonoMs) -> Vec<(RobotId, Task)> {
        let mut tasks = Vec::new();
        self.robots.retain(|_, driver| match driver.stage {
            Stage::Ended { forget_at, .. } => now < forget_at,
            Stage::Opening | Stage::Open(_) | Stage::Closing(_) => true,
        });
        for (robot, driver) in &mut self.robots {
            let Stage::Open(open) = &mut driver.stage else { continue };
            let gone = open.leaving || now >= gone_at(driver.called_at);
            if gone {
                open.wish = None;
                open.releases_left = open.releases_left.max(1);
                open.send_at = now;
            }
            open.poll(now, |task| tasks.push((robot.clone(), task)));
            if gone {
                tasks.push((robot.clone(), Task::Release(open.opened.lease_id)));
                driver.stage = Stage::Closing(open.opened.lease_id);
            } else if now >= open.expires_at {
                let why = "expired".to_owned();
                driver.stage = Stage::Ended { why, forget_at: now.plus(REMEMBER_MS) };
            }
        }
        tasks
    }

    /// When [`Drivers::poll`] must run again, if nothing else happens.
    pub fn deadline_ms(&self) -> Option<MonoMs> {
        self.robots.values().filter_map(|driver| driver.deadline()).min()
    }
}

/// When a driver who last called at `called_at` counts as gone: the robot itself is as patient.
const fn gone_at(called_at: MonoMs) -> MonoMs {
    #[expect(clippy::as_conversions, reason = "widening, in a const function")]
    called_at.plus(DRIVER_GONE_MS as u64)
}

/// Why a renewal failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenewError {
    /// Nobody answered: the lease still lives, try again.
    ForNow,
    /// The lease is over, with the stable code.
    ForGood(String),
}

impl Driver {
    fn deadline(&self) -> Option<MonoMs> {
        match &self.stage {
            Stage::Open(open) => {
                if open.leaving {
                    return Some(open.send_at);
                }
                let renew_at = if open.renewing { open.expires_at } else { open.renew_at };
                let wish_ends = open.wish.map_or(open.expires_at, |(_, until)| until);
                Some(
                    [open.send_at, wish_ends, renew_at, open.expires_at, gone_at(self.called_at)]
                        .into_iter()
                        .fold(open.expires_at, Ord::min),
                )
            }
            Stage::Ended { forget_at, .. } => Some(*forget_at),
            Stage::Opening | Stage::Closing(_) => None,
        }
    }
}

impl Open {
    const fn release_deadman(&mut self, now: MonoMs) {
        self.wish = None;
        self.releases_left = RELEASES;
        self.send_at = now;
    }

    fn poll(&mut self, now: MonoMs, mut due: impl FnMut(Task)) {
        if self.wish.is_some_and(|(_, until)| now >= until) {
            self.release_deadman(now);
        }
        if now >= self.send_at {
            due(Task::Send(self.packet(now)));
            let quick = self.wish.is_some() || self.releases_left > 0;
            self.send_at = now.plus(if quick { REPEAT_EVERY_MS } else { KEEPALIVE_EVERY_MS });
        }
        if !self.renewing && now >= self.renew_at {
            self.renewing = true;
            due(Task::Renew(self.opened.lease_id));
        }
    }

    fn packet(&mut self, now: MonoMs) -> DriveCommand {
        self.seq = self.seq.saturating_add(1);
        if self.wish.is_none() {
            self.releases_left = self.releases_left.saturating_sub(1);
        }
        DriveCommand {
            deadman: self.wish.is_some(),
            // What drives a robot behind a relay is the program.
            autonomy: false,
            camera: self.camera,
            seq: self.seq,
            epoch: self.opened.epoch,
            seen: self.seen,
            robot_stamp_ms: self.robot_stamp.map_or(0, |stamp| stamp.low32()),
            linear_mmps: self.wish.map_or(0, |(wish, _)| wish.linear_mmps),
            angular_mradps: self.wish.map_or(0, |(wish, _)| wish.angular_mradps),
            client_ms: now.low32(),
        }
    }
}

#[cfg(test)]
#[path = "drivers_tests.rs"]
mod tests;
