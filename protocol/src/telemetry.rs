//! The telemetry lane: what the robot is doing, 20 times a second, latest wins.
//!
//! Little-endian, 80 bytes:
//!
//! ```text
//!  0 u8  0x02            1 u8  version 1      2 u8  state           3 u8  reason
//!  4 u32 seq             8 u64 epoch         16 u64 robot_ms       24 u32 hazards
//! 28 u32 echo_client_ms 32 u32 echo_seq      36 u16 echo_hold_ms   38 u16 loop_latency_ms
//! 40 i16 speed_mmps     42 i16 yaw_mradps    44 u16 limit_mmps     46 u8  limit_reason   47 u8 battery_pct
//! 48 i32 lat_1e7        52 i32 lon_1e7       56 u16 heading_cdeg   58 u16 h_acc_cm
//! 60 u8  fix            61 u8  satellites    62 u16 obstacle_cm    64 u32 odometer_dm
//! 68 u32 lease_left_ms  72 u8  flags         73 u8  0              74 u16 reserved 0     76 u32 recorded_kib
//! ```
//! An unknown number is the largest of its field (`u16::MAX`, `u8::MAX`, `i32::MIN` for positions), so that
//! "unknown" is never shown as zero. `flags`: bit 0 recording, bit 1 recorder lost something, bit 2 base silent,
//! bit 3 minimal-risk state: a hazard ended a drive, and nobody has resumed it since; bit 4 an autonomy is there that can
//! drive to a goal; bit 5 it drives now.

use crate::safety::{Reason, SafetyState};
use crate::wire::{self, WireError};

/// Length of a packet in bytes.
pub const LEN: usize = 80;
/// First byte of a packet.
pub const KIND: u8 = 0x02;
const VERSION: u8 = 1;

/// Bits of [`Telemetry::flags`].
pub mod flag {
    /// The recorder is running.
    pub const RECORDING: u8 = 1;
    /// The recorder lost something in this episode.
    pub const RECORDER_LOST: u8 = 2;
    /// The base (odometry) is silent.
    pub const BASE_SILENT: u8 = 4;
    /// A hazard ended a drive, and nobody has resumed it since.
    pub const MINIMAL_RISK: u8 = 8;
    /// The robot has an autonomy of its own that can drive to a goal.
    pub const AUTONOMY: u8 = 16;
    /// The autonomy drives towards the driver's goal.
    pub const AUTONOMOUS: u8 = 32;
}

/// One telemetry packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Telemetry {
    /// What the safety core decided.
    pub state: SafetyState,
    /// The strongest reason for it.
    pub reason: Reason,
    /// Grows by one with each packet.
    pub seq: u32,
    /// Epoch of the lease that the robot obeys; 0 for none.
    pub epoch: u64,
    /// The robot's monotonic clock when this was sent: the stamp that drive commands echo.
    pub robot_ms: u64,
    /// [`Reason::bit`] of every hazard that holds now.
    pub hazards: u32,
    /// `client_ms` of the newest drive command; 0 before the first.
    pub echo_client_ms: u32,
    /// `seq` of that command.
    pub echo_seq: u32,
    /// How long that command had been here when this was sent: round trip = now − echo − hold.
    pub echo_hold_ms: u16,
    /// Age of what the driver saw when the newest command arrived; `u16::MAX` unknown.
    pub loop_latency_ms: u16,
    /// Speed forward, mm/s.
    pub speed_mmps: i16,
    /// Turn rate to the left, mrad/s.
    pub yaw_mradps: i16,
    /// Highest speed that would be obeyed now, mm/s.
    pub limit_mmps: u16,
    /// What sets that limit.
    pub limit_reason: Reason,
    /// Battery, percent; `u8::MAX` unknown.
    pub battery_pct: u8,
    /// Latitude in 1e-7 degrees; `i32::MIN` unknown.
    pub lat_1e7: i32,
    /// Longitude in 1e-7 degrees; `i32::MIN` unknown.
    pub lon_1e7: i32,
    /// Heading clockwise from true north, hundredths of a degree; `u16::MAX` unknown.
    pub heading_cdeg: u16,
    /// Horizontal accuracy (1 sigma), centimetres; `u16::MAX` unknown.
    pub h_acc_cm: u16,
    /// GNSS fix: 0 none, 1 fix, 2 satellite-based, 3 ground-based augmentation; `u8::MAX` unknown.
    pub fix: u8,
    /// Satellites in use; `u8::MAX` unknown.
    pub satellites: u8,
    /// Free way ahead, centimetres; `u16::MAX` unknown or beyond range.
    pub obstacle_cm: u16,
    /// Distance driven under this lease, decimetres.
    pub odometer_dm: u32,
    /// How long the lease still lasts if nobody renews it.
    pub lease_left_ms: u32,
    /// See [`flag`].
    pub flags: u8,
    /// Size of the recording so far, KiB.
    pub recorded_kib: u32,
}

impl Telemetry {
    /// The packet.
    pub fn encode(&self) -> [u8; LEN] {
        let mut packet = [0; LEN];
        let mut put = |offset: usize, bytes: &[u8]| {
            packet[offset..offset + bytes.len()].copy_from_slice(bytes);
        };
        put(0, &[KIND, VERSION, self.state.as_u8(), self.reason.as_u8()]);
        put(4, &self.seq.to_le_bytes());
        put(8, &self.epoch.to_le_bytes());
        put(16, &self.robot_ms.to_le_bytes());
        put(24, &self.hazards.to_le_bytes());
        put(28, &self.echo_client_ms.to_le_bytes());
        put(32, &self.echo_seq.to_le_bytes());
        put(36, &self.echo_hold_ms.to_le_bytes());
        put(38, &self.loop_latency_ms.to_le_bytes());
        put(40, &self.speed_mmps.to_le_bytes());
        put(42, &self.yaw_mradps.to_le_bytes());
        put(44, &self.limit_mmps.to_le_bytes());
        put(46, &[self.limit_reason.as_u8(), self.battery_pct]);
        put(48, &self.lat_1e7.to_le_bytes());
        put(52, &self.lon_1e7.to_le_bytes());
        put(56, &self.heading_cdeg.to_le_bytes());
        put(58, &self.h_acc_cm.to_le_bytes());
        put(60, &[self.fix, self.satellites]);
        put(62, &self.obstacle_cm.to_le_bytes());
        put(64, &self.odometer_dm.to_le_bytes());
        put(68, &self.lease_left_ms.to_le_bytes());
        put(72, &[self.flags]);
        put(76, &self.recorded_kib.to_le_bytes());
        packet
    }

    /// Reads a packet.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let p = wire::header::<LEN>(bytes, KIND, VERSION)?;
        if p[73] != 0 || p[74] != 0 || p[75] != 0 {
            return Err(WireError::Field { field: "reserved" });
        }
        Ok(Self {
            state: SafetyState::from_u8(p[2]).ok_or(WireError::Field { field: "state" })?,
            reason: Reason::from_u8(p[3]).ok_or(WireError::Field { field: "reason" })?,
            seq: u32::from_le_bytes(wire::at(p, 4)),
            epoch: u64::from_le_bytes(wire::at(p, 8)),
            robot_ms: u64::from_le_bytes(wire::at(p, 16)),
            hazards: u32::from_le_bytes(wire::at(p, 24)),
            echo_client_ms: u32::from_le_bytes(wire::at(p, 28)),
            echo_seq: u32::from_le_bytes(wire::at(p, 32)),
            echo_hold_ms: u16::from_le_bytes(wire::at(p, 36)),
            loop_latency_ms: u16::from_le_bytes(wire::at(p, 38)),
            speed_mmps: i16::from_le_bytes(wire::at(p, 40)),
            yaw_mradps: i16::from_le_bytes(wire::at(p, 42)),
            limit_mmps: u16::from_le_bytes(wire::at(p, 44)),
            limit_reason: Reason::from_u8(p[46])
                .ok_or(WireError::Field { field: "limit_reason" })?,
            battery_pct: p[47],
            lat_1e7: i32::from_le_bytes(wire::at(p, 48)),
            lon_1e7: i32::from_le_bytes(wire::at(p, 52)),
            heading_cdeg: u16::from_le_bytes(wire::at(p, 56)),
            h_acc_cm: u16::from_le_bytes(wire::at(p, 58)),
            fix: p[60],
            satellites: p[61],
            obstacle_cm: u16::from_le_bytes(wire::at(p, 62)),
            odometer_dm: u32::from_le_bytes(wire::at(p, 64)),
            lease_left_ms: u32::from_le_bytes(wire::at(p, 68)),
            flags: p[72],
            recorded_kib: u32::from_le_bytes(wire::at(p, 76)),
        })
    }
}
