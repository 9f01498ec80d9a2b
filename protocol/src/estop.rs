//! The e-stop lane: reliable, a channel of its own, both ways.
//!
//! ```text
//!  0      1      2        3      4           8                  16
//! +------+------+--------+------+-----------+-------------------+
//! | 0x03 | ver 1| action | 0    | seq (u32) | epoch (u64)       |
//! +------+------+--------+------+-----------+-------------------+
//! ```
//! Little-endian, 16 bytes. Driver to robot: `action` 1 stop, 2 clear. Robot to driver: 3 stopped, 4 cleared,
//! 5 clear refused (release the stick, renew the lease), with the `seq` that it answers.
//! A stop is obeyed whatever its epoch; a clear only from the current lease, with the deadman released.

use crate::wire::{self, WireError};

/// Length of a packet in bytes.
pub const LEN: usize = 16;
/// First byte of a packet.
pub const KIND: u8 = 0x03;
const VERSION: u8 = 1;

/// What an e-stop packet asks or answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum EstopAction {
    /// Stop and latch.
    Stop = 1,
    /// Clear the latch.
    Clear = 2,
    /// Answer: latched.
    Stopped = 3,
    /// Answer: the latch is clear.
    Cleared = 4,
    /// Answer: the latch stays.
    ClearRefused = 5,
}

/// One e-stop packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EstopPacket {
    /// What is asked or answered.
    pub action: EstopAction,
    /// Number of the request, from 1; an answer repeats it.
    pub seq: u32,
    /// The sender's lease epoch.
    pub epoch: u64,
}

impl EstopPacket {
    /// The packet.
    pub fn encode(&self) -> [u8; LEN] {
        let mut packet = [0; LEN];
        packet[0] = KIND;
        packet[1] = VERSION;
        packet[2] = match self.action {
            EstopAction::Stop => 1,
            EstopAction::Clear => 2,
            EstopAction::Stopped => 3,
            EstopAction::Cleared => 4,
            EstopAction::ClearRefused => 5,
        };
        packet[4..8].copy_from_slice(&self.seq.to_le_bytes());
        packet[8..16].copy_from_slice(&self.epoch.to_le_bytes());
        packet
    }

    /// Reads a packet.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let packet = wire::header::<LEN>(bytes, KIND, VERSION)?;
        let action = match packet[2] {
            1 => EstopAction::Stop,
            2 => EstopAction::Clear,
            3 => EstopAction::Stopped,
            4 => EstopAction::Cleared,
            5 => EstopAction::ClearRefused,
            _ => return Err(WireError::Field { field: "action" }),
        };
        if packet[3] != 0 {
            return Err(WireError::Field { field: "reserved" });
        }
        Ok(Self {
            action,
            seq: u32::from_le_bytes(wire::at(packet, 4)),
            epoch: u64::from_le_bytes(wire::at(packet, 8)),
        })
    }
}
