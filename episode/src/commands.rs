//! Who drove, when a relay made the drive packets: the driver's signed commands against the packets that the robot
//! recorded.
//!
//! The driver signs its commands, the relay says which packets carry out which of them. Nothing rests on the relay's
//! word: a packet that moves must ask for what its command asks for in the robot's own measures, commands come in their
//! order, and each is repeated for the longest hold time at most. A packet with the deadman released asks for nothing
//! and may come at any time.

use crate::meta::Document;
use protocol::drive::{DriveCommand, Seen};
use protocol::lease::Lease;
use protocol::program::{Chain, ProgramCommand, RelayedReceipt, Scale};
use protocol::rover::HOLD_MS_MAX;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Rounding: a relay maps the driver's own number, a receipt has it in millionths.
const ROUNDING: i32 = 1;
/// A relay's timer may be late by so much.
const HOLD_SLACK_MS: u32 = 500;

/// A drive packet as it was recorded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recorded {
    pub(crate) command: DriveCommand,
    pub(crate) digest: [u8; protocol::session::PACKET_DIGEST_LEN],
    /// When it was recorded, robot's UTC.
    pub(crate) at_ms: u64,
}

/// What a check of packets against receipts found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) covered: u64,
    pub(crate) moving_covered: u64,
    pub(crate) pictures_signed: u64,
    pub(crate) tail: u64,
    pub(crate) delay_spread_ms: Option<u64>,
    pub(crate) problem: Option<String>,
}

/// The measures of a full command, by the policy that the manifest names.
pub(crate) fn scale_of(policy: &Document) -> Option<Scale> {
    #[derive(Deserialize)]
    #[expect(clippy::struct_field_names, reason = "they are the policy's")]
    struct Limits {
        speed_mps_max: f64,
        reverse_mps_max: f64,
        turn_radps_max: f64,
    }
    let limits: Limits = serde_json::from_str(&policy.json).ok()?;
    Some(Scale {
        forward_mmps: milli(limits.speed_mps_max)?,
        reverse_mmps: milli(limits.reverse_mps_max)?,
        turn_mradps: milli(limits.turn_radps_max)?,
    })
}

#[expect(clippy::cast_possible_truncation, clippy::as_conversions, reason = "checked first")]
fn milli(value: f64) -> Option<i32> {
    (0.0..=1e6).contains(&value).then(|| (value * 1000.0).round() as i32)
}

/// The receipts of a program.
#[derive(Debug, Default)]
pub(crate) struct ProgramLog {
    pub(crate) chain: Chain,
    commands: Vec<ProgramCommand>,
    /// `seq` of the first packet that carries out a command, and the command's place in `commands`.
    ties: Vec<(u32, usize)>,
}

impl ProgramLog {
    /// How many commands the driver signed.
    pub(crate) fn signed(&self) -> u64 {
        u64::try_from(self.commands.len()).unwrap_or(u64::MAX)
    }

    pub(crate) fn take(&mut self, relayed: &RelayedReceipt, lease: &Lease) -> Result<(), String> {
        let Some(receipt) = self.chain.take(relayed, lease)? else {
            return Err("it was recorded twice".into());
        };
        for (command, first_seq) in receipt.commands.iter().zip(&relayed.first_seqs) {
            if *first_seq > 0 {
                self.ties.push((*first_seq, self.commands.len()));
            }
            self.commands.push(*command);
        }
        Ok(())
    }

    /// Compares the recorded packets with the commands.
    pub(crate) fn check(&self, recorded: &[Recorded], scale: Option<Scale>) -> Tally {
        let mut tally = Tally::default();
        let mut first: BTreeMap<usize, Recorded> = BTreeMap::new();
        for packet in recorded {
            if packet.command.seq > self.chain.through_seq {
                tally.tail += 1;
                continue;
            }
            if !packet.command.deadman {
                tally.covered += 1;
                continue;
            }
            match self.check_moving(packet, scale, &mut first) {
                Ok(picture) => {
                    tally.covered += 1;
                    tally.moving_covered += 1;
                    tally.pictures_signed += u64::from(picture);
                }
                Err(what) => {
                    tally.problem.get_or_insert(what);
                }
            }
        }
        let delay_ms = |(place, packet): (&usize, &Recorded)| {
            let sent = self.commands.get(*place)?.at.0;
            Some(i128::from(packet.at_ms) - i128::from(sent))
        };
        let delays: Vec<_> = first.iter().filter_map(delay_ms).collect();
        if let (Some(least), Some(most)) = (delays.iter().min(), delays.iter().max()) {
            tally.delay_spread_ms = u64::try_from(most - least).ok();
        }
        tally
    }

    /// Whether the driver had the picture that the packet names, if the packet is what the driver signed.
    fn check_moving(
        &self,
        packet: &Recorded,
        scale: Option<Scale>,
        first: &mut BTreeMap<usize, Recorded>,
    ) -> Result<bool, String> {
        let seq = packet.command.seq;
        let after = self.ties.partition_point(|(first_seq, _)| *first_seq <= seq);
        let tie = after.checked_sub(1).and_then(|before| self.ties.get(before));
        let Some((_, place)) = tie else {
            return Err(format!(
                "the drive packet with seq {seq} carries out no command that the driver signed"
            ));
        };
        let Some(command) = self.commands.get(*place) else { return Ok(false) };
        let scale = scale.ok_or("the policy does not say how fast the robot may go")?;
        let (linear, angular) = scale.of(command);
        let near = |signed: i32, sent: i16| (signed - i32::from(sent)).abs() <= ROUNDING;
        if !near(linear, packet.command.linear_mmps)
            || !near(angular, packet.command.angular_mradps)
        {
            return Err(format!(
                "the drive packet with seq {seq} asks for {} mm/s and {} mrad/s, the driver's command {} for {linear} and {angular}",
                packet.command.linear_mmps, packet.command.angular_mradps, command.n
            ));
        }
        let begun = first.entry(*place).or_insert(*packet);
        // The relay's own clock, 32 bits that may wrap.
        let forward = packet.command.client_ms.wrapping_sub(begun.command.client_ms);
        let held_ms = forward.min(forward.wrapping_neg());
        if held_ms > HOLD_MS_MAX.saturating_add(HOLD_SLACK_MS) {
            return Err(format!(
                "the driver's command {} was repeated for {held_ms} ms",
                command.n
            ));
        }
        let next = self.commands.get(place + 1).and_then(|next| next.seen_ms);
        let had = [command.seen_ms, next].into_iter().flatten();
        Ok(match packet.command.seen {
            Seen::CaptureMs(stamp) => had.into_iter().any(|seen| not_before(seen, stamp)),
            Seen::Nothing | Seen::Rtp(_) => false,
        })
    }
}

/// Whether `later` is `earlier` or after it, of two stamps that wrap.
const fn not_before(later: u32, earlier: u32) -> bool {
    later.wrapping_sub(earlier) < u32::MAX / 2
}
