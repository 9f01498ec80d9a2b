//! Drivers that open their leases and sign their commands with a key of their own: whose a lease is, and which packets
//! carry out which command.

use super::{Drivers, Opened, Refusal, Stage};
use protocol::ids::{LeaseId, RobotId};
use protocol::keys::Did;
use protocol::units::MonoMs;

/// Numbered commands of a driver that may wait for the driver's receipt: half a minute of the most that are taken.
pub(super) const UNSIGNED_MAX: usize = 10_000;

impl Drivers {
    /// As [`Drivers::touch`], for a client that names the lease that it opened itself, or none: nobody else's is its
    /// own, not even one of the same key.
    pub fn touch_own(
        &mut self,
        now: MonoMs,
        robot: &RobotId,
        holder: &Did,
        own: Option<LeaseId>,
    ) -> Result<Opened, Refusal> {
        match self.opened_of(robot, holder) {
            Some(open) if Some(open.lease_id) != own => {
                Err(Refusal::Elsewhere { robot: robot.clone() })
            }
            Some(_) | None => self.touch(now, robot, holder),
        }
    }

    /// The open lease of `holder`. No sign of life.
    pub fn opened_of(&self, robot: &RobotId, holder: &Did) -> Option<Opened> {
        let driver = self.robots.get(robot).filter(|driver| driver.holder == *holder)?;
        match &driver.stage {
            Stage::Open(open) => Some(open.opened),
            Stage::Opening | Stage::Closing(_) | Stage::Ended { .. } => None,
        }
    }

    /// A numbered command under `lease`, which will be in a receipt of the driver: numbers only grow.
    pub fn number(&mut self, robot: &RobotId, lease: LeaseId, n: u32) -> Result<(), Refusal> {
        let no_lease = Refusal::NoLease { robot: robot.clone() };
        let open = self.open_lease(robot, lease).ok_or(no_lease)?;
        if n <= open.command_last {
            return Err(Refusal::Overtaken { n, last: open.command_last });
        }
        if open.ties.len() >= UNSIGNED_MAX {
            return Err(Refusal::Unsigned);
        }
        open.command_last = n;
        Ok(())
    }

    /// `seq` is the first packet that carries out command `n`.
    pub fn tie(&mut self, robot: &RobotId, lease: LeaseId, n: u32, seq: u32) {
        if let Some(open) = self.open_lease(robot, lease) {
            open.ties.push_back((n, seq));
        }
    }

    /// For each of these commands (by number) its first packet or 0, and the last packet that none after them has a
    /// part in. None when `lease` is not open here.
    pub fn account(
        &mut self,
        robot: &RobotId,
        lease: LeaseId,
        commands: &[u32],
    ) -> Option<(Vec<u32>, u32)> {
        let open = self.open_lease(robot, lease)?;
        let first_seq = |n: &u32| {
            let found = open.ties.binary_search_by_key(n, |(n, _)| *n).ok();
            found.and_then(|at| open.ties.get(at)).map_or(0, |(_, seq)| *seq)
        };
        let first_seqs = commands.iter().map(first_seq).collect();
        // An empty receipt goes on from the one before, whose commands are forgotten here.
        let last = commands.last().copied().unwrap_or(0);
        // A command that comes after its receipt has none that tells its packets: it is overtaken.
        open.command_last = open.command_last.max(last);
        let next = open.ties.iter().find(|(n, _)| *n > last).map(|(_, seq)| seq.saturating_sub(1));
        Some((first_seqs, next.map_or(open.seq, |before| before.min(open.seq))))
    }

    /// The robot has the receipt up to command `last`.
    pub fn accounted(&mut self, robot: &RobotId, lease: LeaseId, last: u32) {
        if let Some(open) = self.open_lease(robot, lease) {
            open.ties.retain(|(n, _)| *n > last);
        }
    }
}
