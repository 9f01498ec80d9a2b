//! The drive lane: what the driver wants, 50 times a second, latest wins.
//!
//! ```text
//!  0      1      2      3      4                    8
//! +------+------+------+------+--------------------+----------------------------------------+
//! | 0x01 | ver 1| flags| cam  | seq (u32)          | epoch (u64)                            |
//! +------+------+------+------+--------------------+----------------------------------------+
//!  16                         20                   24            26            28           32
//! +---------------------------+--------------------+-------------+-------------+-------------+
//! | seen (u32)                | robot_stamp (u32)  | linear i16  | angular i16 | client u32  |
//! +---------------------------+--------------------+-------------+-------------+-------------+
//! ```
//! Little-endian, 32 bytes. `flags`: bit 0 deadman held; bits 1–2 what `seen` holds: 0 nothing, 1 the RTP
//! timestamp of the frame on the driver's screen, 2 the low 32 bits of that frame's capture time in
//! milliseconds on the robot's clock; bit 3: the robot's own autonomy may drive, towards the goal that the driver set,
//! while the deadman is held and both parts of the stick are zero; other bits zero. `cam`: the camera of that frame, 0 is the front one.
//! `robot_stamp`: the newest `robot_ms` that a telemetry packet brought (0: none yet); it bounds the age of this
//! command, however long a queue on the way held it. `client`: the driver's own millisecond clock, echoed in
//! telemetry.

use crate::wire::{self, WireError};

/// Length of a packet in bytes.
pub const LEN: usize = 32;
/// First byte of a packet.
pub const KIND: u8 = 0x01;
const VERSION: u8 = 1;
const DEADMAN: u8 = 1;
const SEEN_SHIFT: u8 = 1;
const SEEN_MASK: u8 = 0b110;
const AUTONOMY: u8 = 0b1000;

/// Which picture the driver acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Seen {
    /// None.
    #[default]
    Nothing,
    /// The frame with this RTP timestamp was on the screen.
    Rtp(u32),
    /// The frame captured at this time (low 32 bits of robot milliseconds) was given to the driver.
    CaptureMs(u32),
}

/// One drive command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DriveCommand {
    /// Whether the driver holds the deadman.
    pub deadman: bool,
    /// Whether the robot's own autonomy may drive in place of a stick at rest. Never set for a robot whose telemetry
    /// does not tell that it has one.
    pub autonomy: bool,
    /// Camera that [`DriveCommand::seen`] is about; 0 is the front one.
    pub camera: u8,
    /// Grows by one with each packet of a lease, from 1.
    pub seq: u32,
    /// The lease's epoch.
    pub epoch: u64,
    /// The picture on the screen.
    pub seen: Seen,
    /// Newest robot stamp received, low 32 bits of robot milliseconds; 0 before the first.
    pub robot_stamp_ms: u32,
    /// Wanted speed forward, mm/s.
    pub linear_mmps: i16,
    /// Wanted turn rate to the left, mrad/s.
    pub angular_mradps: i16,
    /// The driver's clock, milliseconds.
    pub client_ms: u32,
}

impl DriveCommand {
    /// Whether both parts of the stick are zero.
    pub const fn at_rest(&self) -> bool {
        self.linear_mmps == 0 && self.angular_mradps == 0
    }

    /// The packet.
    pub fn encode(&self) -> [u8; LEN] {
        let (seen_kind, seen) = match self.seen {
            Seen::Nothing => (0, 0),
            Seen::Rtp(stamp) => (1, stamp),
            Seen::CaptureMs(stamp) => (2, stamp),
        };
        let mut packet = [0; LEN];
        packet[0] = KIND;
        packet[1] = VERSION;
        let autonomy = if self.autonomy { AUTONOMY } else { 0 };
        packet[2] = u8::from(self.deadman) | seen_kind << SEEN_SHIFT | autonomy;
        packet[3] = self.camera;
        packet[4..8].copy_from_slice(&self.seq.to_le_bytes());
        packet[8..16].copy_from_slice(&self.epoch.to_le_bytes());
        packet[16..20].copy_from_slice(&seen.to_le_bytes());
        packet[20..24].copy_from_slice(&self.robot_stamp_ms.to_le_bytes());
        packet[24..26].copy_from_slice(&self.linear_mmps.to_le_bytes());
        packet[26..28].copy_from_slice(&self.angular_mradps.to_le_bytes());
        packet[28..32].copy_from_slice(&self.client_ms.to_le_bytes());
        packet
    }

    /// Reads a packet.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let packet = wire::header::<LEN>(bytes, KIND, VERSION)?;
        let flags = packet[2];
        if flags & !(DEADMAN | SEEN_MASK | AUTONOMY) != 0 {
            return Err(WireError::Field { field: "flags" });
        }
        let stamp = u32::from_le_bytes(wire::at(packet, 16));
        let seen = match (flags & SEEN_MASK) >> SEEN_SHIFT {
            0 if stamp == 0 => Seen::Nothing,
            1 => Seen::Rtp(stamp),
            2 => Seen::CaptureMs(stamp),
            _ => return Err(WireError::Field { field: "seen" }),
        };
        Ok(Self {
            deadman: flags & DEADMAN != 0,
            autonomy: flags & AUTONOMY != 0,
            camera: packet[3],
            seq: u32::from_le_bytes(wire::at(packet, 4)),
            epoch: u64::from_le_bytes(wire::at(packet, 8)),
            seen,
            robot_stamp_ms: u32::from_le_bytes(wire::at(packet, 20)),
            linear_mmps: i16::from_le_bytes(wire::at(packet, 24)),
            angular_mradps: i16::from_le_bytes(wire::at(packet, 26)),
            client_ms: u32::from_le_bytes(wire::at(packet, 28)),
        })
    }
}
