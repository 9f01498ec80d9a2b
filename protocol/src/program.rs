//! What a program signs that drives through a relay.
//!
//! The relay makes the drive packets: it maps the program's commands to the robot's measures, repeats the last one,
//! and stamps them with what the program was given. So the program can't sign packets. It signs its **commands**,
//! numbered, in a chain of receipts; the relay adds which packets carry out which command ([`RelayedReceipt`]). Whoever
//! verifies needs no trust in that account: a packet that moves must be what the command says that it is tied to, and
//! commands are tied in their order.

use crate::dsse::{Envelope, payload_type};
use crate::ids::LeaseId;
use crate::lease::Lease;
use crate::units::WallMs;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Most commands in one receipt.
pub const COMMANDS_MAX: usize = 500;
/// One, in the unit of a command's parts.
pub const FULL_PPM: i32 = 1_000_000;
/// The highest speed that a relay puts into a packet, mm/s.
pub const LINEAR_MMPS_MAX: i32 = 3_000;
/// The highest turn rate that a relay puts into a packet, mrad/s.
pub const ANGULAR_MRADPS_MAX: i32 = 4_000;
/// What stands for the receipt before the first.
pub const NO_RECEIPT: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One command, as the program's end sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramCommand {
    /// Its number under this lease, from 1; grows with each command.
    pub n: u32,
    /// When it was sent, by the program's wall clock.
    pub at: WallMs,
    /// Part of the highest speed, millionths, −1,000,000 (backward) to 1,000,000.
    pub linear_ppm: i32,
    /// Part of the highest turn rate, millionths, positive to the left.
    pub angular_ppm: i32,
    /// Low 32 bits of the capture time of the newest picture that had reached the program's end by then.
    pub seen_ms: Option<u32>,
}

/// The commands of a while. Signed by the lease's holder as [`payload_type::COMMANDS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramReceipt {
    /// The lease.
    pub lease_id: LeaseId,
    /// Its epoch.
    pub epoch: u64,
    /// 0 for the first receipt of a lease, then one more each.
    pub index: u32,
    /// SHA-256 of the signed bytes of the receipt before, in hexadecimal; [`NO_RECEIPT`] for the first.
    pub previous: String,
    /// At most [`COMMANDS_MAX`], by number. None while the last one is still being repeated.
    pub commands: Vec<ProgramCommand>,
}

/// A receipt with its relay's account of the packets that carry it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayedReceipt {
    /// Signed [`ProgramReceipt`].
    pub receipt: Envelope,
    /// For each command the `seq` of the first packet that carries it out; 0 when none does.
    pub first_seqs: Vec<u32>,
    /// `seq` of the last packet that is accounted for.
    pub through_seq: u32,
}

/// The robot's own measures of a full command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Forward, mm/s.
    pub forward_mmps: i32,
    /// Backward, mm/s, positive.
    pub reverse_mmps: i32,
    /// Turning, mrad/s.
    pub turn_mradps: i32,
}

impl Scale {
    /// The packet's speed (mm/s) and turn rate (mrad/s) of `command`.
    pub fn of(&self, command: &ProgramCommand) -> (i32, i32) {
        let full = if command.linear_ppm < 0 { self.reverse_mmps } else { self.forward_mmps };
        let linear = scaled(command.linear_ppm, full);
        let angular = scaled(command.angular_ppm, self.turn_mradps);
        (
            linear.clamp(-LINEAR_MMPS_MAX, LINEAR_MMPS_MAX),
            angular.clamp(-ANGULAR_MRADPS_MAX, ANGULAR_MRADPS_MAX),
        )
    }
}

/// Rounded half away from zero.
fn scaled(ppm: i32, full: i32) -> i32 {
    let product = i64::from(ppm).saturating_mul(i64::from(full));
    let half = i64::from(FULL_PPM / 2).saturating_mul(product.signum());
    let rounded = product.saturating_add(half) / i64::from(FULL_PPM);
    i32::try_from(rounded).unwrap_or(if rounded < 0 { i32::MIN } else { i32::MAX })
}

/// `part`, from −1 to 1, in millionths. None for what is no such number.
#[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "at most a million")]
pub fn ppm(part: f64) -> Option<i32> {
    let known = part.is_finite() && part.abs() <= 1.0;
    known.then(|| (part * f64::from(FULL_PPM)).round() as i32)
}

/// SHA-256 of a receipt's signed bytes, in hexadecimal: what the next one names.
pub fn head_of(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

/// The receipts of one lease so far. The robot takes them by it, and whoever verifies an episode takes them again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Receipts taken.
    pub receipts: u32,
    /// [`head_of`] the last one; [`NO_RECEIPT`] before the first.
    pub head: String,
    /// Number of the last command.
    pub command_last: u32,
    /// Last packet that is accounted for.
    pub through_seq: u32,
    first_seq_last: u32,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            receipts: 0,
            head: NO_RECEIPT.to_owned(),
            command_last: 0,
            through_seq: 0,
            first_seq_last: 0,
        }
    }
}

impl Chain {
    /// Takes the next receipt under `lease`, if the lease's holder signed it and it continues the chain. `None`: it is
    /// the last one once more, whose answer got lost.
    pub fn take(
        &mut self,
        relayed: &RelayedReceipt,
        lease: &Lease,
    ) -> Result<Option<ProgramReceipt>, String> {
        let body = relayed
            .receipt
            .verify_bytes(payload_type::COMMANDS, &lease.holder)
            .map_err(|error| format!("it is not signed by the lease's holder: {error}"))?;
        let head = head_of(&body);
        if self.receipts > 0 && head == self.head {
            return Ok(None);
        }
        let receipt: ProgramReceipt =
            serde_json::from_slice(&body).map_err(|error| format!("it cannot be read: {error}"))?;
        if receipt.lease_id != lease.lease_id || receipt.epoch != lease.epoch {
            return Err("it is about another lease".into());
        }
        if receipt.index != self.receipts || receipt.previous != self.head {
            return Err("it does not follow the receipt before".into());
        }
        let command_last = self.check_commands(&receipt.commands)?;
        let first_seq_last = self.check_packets(relayed, receipt.commands.len())?;
        self.receipts = self.receipts.saturating_add(1);
        self.head = head;
        self.command_last = command_last;
        self.first_seq_last = first_seq_last;
        self.through_seq = relayed.through_seq;
        Ok(Some(receipt))
    }

    fn check_commands(&self, commands: &[ProgramCommand]) -> Result<u32, String> {
        if commands.len() > COMMANDS_MAX {
            return Err(format!("it has more than {COMMANDS_MAX} commands"));
        }
        let mut last = self.command_last;
        for command in commands {
            if command.n <= last {
                return Err(format!("command {} does not follow {last}", command.n));
            }
            let parts = [command.linear_ppm, command.angular_ppm];
            if parts.iter().any(|part| !(-FULL_PPM..=FULL_PPM).contains(part)) {
                return Err(format!("command {} is out of range", command.n));
            }
            last = command.n;
        }
        Ok(last)
    }

    fn check_packets(&self, relayed: &RelayedReceipt, commands: usize) -> Result<u32, String> {
        if relayed.first_seqs.len() != commands {
            return Err("its relay accounts for another number of commands".into());
        }
        let mut last = self.first_seq_last;
        for seq in relayed.first_seqs.iter().filter(|seq| **seq > 0) {
            // What was accounted for stays as it was.
            if *seq < last || *seq <= self.through_seq {
                return Err("its relay ties packets to commands out of their order".into());
            }
            last = *seq;
        }
        // The last command's first packet may be the one that is sent next.
        let through_min = self.through_seq.max(last.saturating_sub(1));
        if relayed.through_seq < through_min {
            return Err("its relay accounts for packets backwards".into());
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests;
