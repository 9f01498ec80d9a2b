//! What the core is told in one step: a plain snapshot with arrival times, never with ages. Freshness is
//! `now − arrived`, worked out in the core and nowhere else.

use crate::codec::{Reader, Writer, bit, bits};
use protocol::WireError;
use protocol::units::MonoMs;

/// The lease that the robot obeys, as the session manager verified it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lease {
    /// Fencing epoch, from 1.
    pub epoch: u64,
    /// When it ends on the robot's clock if nobody renews it.
    pub expires: MonoMs,
    /// The lease's own speed limit, mm/s.
    pub speed_mmps_max: u32,
    /// Whether the driver is a program. Only programs can be permitted to drive without pictures.
    pub program: bool,
}

/// A drive command that arrived, whatever it says: the core judges it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Command {
    /// When it arrived.
    pub arrived: MonoMs,
    /// The lease's epoch.
    pub epoch: u64,
    /// Its number within the lease.
    pub seq: u32,
    /// Whether the deadman is held.
    pub deadman: bool,
    /// The newest robot stamp that the driver had; none before the first.
    pub stamp: Option<MonoMs>,
    /// Capture time of the picture that the driver saw; none when there was none, or no sent frame had that
    /// timestamp.
    pub seen: Option<MonoMs>,
    /// Wanted speed forward, mm/s.
    pub linear_mmps: i16,
    /// Wanted turn rate to the left, mrad/s.
    pub angular_mradps: i16,
}

/// The newest laser scan, summarised by [`crate::scan::summarise`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scan {
    /// When it arrived.
    pub arrived: MonoMs,
    /// Free way ahead of the robot's front, mm; none when the scanner does not look there.
    pub ahead_mm: Option<u32>,
    /// Free way behind the robot's back, mm; none when the scanner does not look there.
    pub behind_mm: Option<u32>,
}

/// One snapshot of the world. The default is a robot that knows nothing, and so stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inputs {
    /// The lease, if there is one.
    pub lease: Option<Lease>,
    /// The highest epoch that the robot has ever seen; a lease below it is dead.
    pub epoch_highest: u64,
    /// The command that arrived for this step, if one did. Each is shown once, in the order of arrival.
    pub command: Option<Command>,
    /// Whether anyone asks for an emergency stop in this step.
    pub estop_stop: bool,
    /// The epoch of the lease under which an authorised driver asks in this step to clear the emergency stop;
    /// 0 when nobody asks.
    pub estop_clear_epoch: u64,
    /// When the newest odometry arrived.
    pub odometry_arrived: Option<MonoMs>,
    /// The newest laser scan.
    pub scan: Option<Scan>,
    /// Charge of the battery in thousandths, when known.
    pub battery_permille: Option<u16>,
    /// Lean of the robot against the vertical in mrad, when known.
    pub tilt_mrad: Option<u16>,
    /// Whether the recorder can write.
    pub recorder_able: bool,
}

impl Inputs {
    /// Length of the encoded form.
    pub const LEN: usize = 128;

    /// The record of a step's inputs, little-endian:
    ///
    /// ```text
    ///   0 u64 now_ms                8 u8  present          9 u8  flags          10 u16 0
    ///  12 u32 lease_mmps_max       16 u64 lease_epoch     24 u64 lease_expires_ms
    ///  32 u64 epoch_highest        40 u64 estop_clear_epoch
    ///  48 u64 command_arrived_ms   56 u64 command_epoch   64 u64 stamp_ms       72 u64 seen_ms
    ///  80 u32 command_seq          84 i16 linear_mmps     86 i16 angular_mradps
    ///  88 u64 odometry_arrived_ms  96 u64 scan_arrived_ms
    /// 104 u32 ahead_mm            108 u32 behind_mm      112 u16 battery       114 u16 tilt_mrad
    /// 116 12 bytes 0
    /// ```
    /// `present`: bit 0 lease, 1 command, 2 stamp, 3 seen, 4 odometry, 5 scan, 6 ahead, 7 behind. `flags`: bit
    /// 0 program, 1 deadman, 2 estop_stop, 3 recorder_able, 4 battery known, 5 tilt known. What is absent is 0.
    pub fn encode(&self, now: MonoMs) -> [u8; Self::LEN] {
        let lease = self.lease.unwrap_or_default();
        let command = self.command.unwrap_or_default();
        let scan = self.scan.unwrap_or_default();
        let mut w = Writer::<{ Self::LEN }>::new();
        w.put(now.0.to_le_bytes());
        w.put([bits([
            self.lease.is_some(),
            self.command.is_some(),
            command.stamp.is_some(),
            command.seen.is_some(),
            self.odometry_arrived.is_some(),
            self.scan.is_some(),
            scan.ahead_mm.is_some(),
            scan.behind_mm.is_some(),
        ])]);
        w.put([bits([
            lease.program,
            command.deadman,
            self.estop_stop,
            self.recorder_able,
            self.battery_permille.is_some(),
            self.tilt_mrad.is_some(),
            false,
            false,
        ])]);
        w.put([0; 2]);
        w.put(lease.speed_mmps_max.to_le_bytes());
        w.put(lease.epoch.to_le_bytes());
        w.put(lease.expires.0.to_le_bytes());
        w.put(self.epoch_highest.to_le_bytes());
        w.put(self.estop_clear_epoch.to_le_bytes());
        w.put(command.arrived.0.to_le_bytes());
        w.put(command.epoch.to_le_bytes());
        w.put(command.stamp.unwrap_or_default().0.to_le_bytes());
        w.put(command.seen.unwrap_or_default().0.to_le_bytes());
        w.put(command.seq.to_le_bytes());
        w.put(command.linear_mmps.to_le_bytes());
        w.put(command.angular_mradps.to_le_bytes());
        w.put(self.odometry_arrived.unwrap_or_default().0.to_le_bytes());
        w.put(scan.arrived.0.to_le_bytes());
        w.put(scan.ahead_mm.unwrap_or_default().to_le_bytes());
        w.put(scan.behind_mm.unwrap_or_default().to_le_bytes());
        w.put(self.battery_permille.unwrap_or_default().to_le_bytes());
        w.put(self.tilt_mrad.unwrap_or_default().to_le_bytes());
        w.finish()
    }

    /// Reads a record; only the bytes that [`Inputs::encode`] writes are taken.
    pub fn decode(bytes: &[u8]) -> Result<(MonoMs, Self), WireError> {
        if bytes.len() != Self::LEN {
            return Err(WireError::Length { expected: Self::LEN, got: bytes.len() });
        }
        let (now, inputs) = Self::read(bytes);
        if inputs.encode(now) != bytes {
            return Err(WireError::Field { field: "inputs" });
        }
        Ok((now, inputs))
    }

    fn read(bytes: &[u8]) -> (MonoMs, Self) {
        let mut r = Reader::new(bytes);
        let now = MonoMs(r.u64());
        let (present, flags, _zero) = (r.u8(), r.u8(), r.u16());
        let there = |n| bit(present, n);
        let speed_mmps_max = r.u32();
        let lease = Lease {
            speed_mmps_max,
            epoch: r.u64(),
            expires: MonoMs(r.u64()),
            program: bit(flags, 0),
        };
        let (epoch_highest, estop_clear_epoch) = (r.u64(), r.u64());
        let command = Command {
            arrived: MonoMs(r.u64()),
            epoch: r.u64(),
            stamp: Some(MonoMs(r.u64())).filter(|_| there(2)),
            seen: Some(MonoMs(r.u64())).filter(|_| there(3)),
            seq: r.u32(),
            deadman: bit(flags, 1),
            linear_mmps: r.i16(),
            angular_mradps: r.i16(),
        };
        let odometry_arrived = Some(MonoMs(r.u64())).filter(|_| there(4));
        let scan = Scan {
            arrived: MonoMs(r.u64()),
            ahead_mm: Some(r.u32()).filter(|_| there(6)),
            behind_mm: Some(r.u32()).filter(|_| there(7)),
        };
        let inputs = Self {
            lease: Some(lease).filter(|_| there(0)),
            epoch_highest,
            command: Some(command).filter(|_| there(1)),
            estop_stop: bit(flags, 2),
            estop_clear_epoch,
            odometry_arrived,
            scan: Some(scan).filter(|_| there(5)),
            battery_permille: Some(r.u16()).filter(|_| bit(flags, 4)),
            tilt_mrad: Some(r.u16()).filter(|_| bit(flags, 5)),
            recorder_able: bit(flags, 3),
        };
        (now, inputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Inputs {
        Inputs {
            lease: Some(Lease {
                epoch: 3,
                expires: MonoMs(99_000),
                speed_mmps_max: 1200,
                program: true,
            }),
            epoch_highest: 3,
            command: Some(Command {
                arrived: MonoMs(70_001),
                epoch: 3,
                seq: 17,
                deadman: true,
                stamp: Some(MonoMs(69_900)),
                seen: Some(MonoMs(69_880)),
                linear_mmps: -300,
                angular_mradps: 450,
            }),
            estop_stop: true,
            estop_clear_epoch: 3,
            odometry_arrived: Some(MonoMs(69_990)),
            scan: Some(Scan {
                arrived: MonoMs(69_950),
                ahead_mm: Some(4_000),
                behind_mm: Some(200),
            }),
            battery_permille: Some(875),
            tilt_mrad: Some(30),
            recorder_able: true,
        }
    }

    #[test]
    fn a_record_gives_back_what_went_in() {
        for inputs in [Inputs::default(), full(), Inputs { lease: None, scan: None, ..full() }] {
            let bytes = inputs.encode(MonoMs(70_002));
            assert_eq!(Inputs::decode(&bytes), Ok((MonoMs(70_002), inputs)));
        }
        assert_eq!(full().encode(MonoMs(1))[114], 30);
    }

    #[test]
    fn other_bytes_are_refused() {
        let bytes = full().encode(MonoMs(70_002));
        assert!(matches!(Inputs::decode(&bytes[1..]), Err(WireError::Length { .. })));
        let changed_to = |offset: usize, value: u8| {
            let mut bytes = bytes;
            bytes[offset] = value;
            Inputs::decode(&bytes)
        };
        assert!(changed_to(10, 1).is_err(), "a reserved byte");
        assert!(changed_to(127, 1).is_err(), "a reserved byte");
        assert!(changed_to(8, 0).is_err(), "absent, but not zero");
        assert!(changed_to(9, 0xff).is_err(), "unknown flags");
    }
}
