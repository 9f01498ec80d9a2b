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

/// The newest odometry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Odometry {
    /// When it arrived.
    pub arrived: MonoMs,
    /// Speed forward, mm/s.
    pub speed_mmps: i32,
    /// Turn rate to the left, mrad/s.
    pub yaw_mradps: i32,
}

/// What the sensors that look a few steps far said last: range cones, bumpers, drop sensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Close {
    /// When the oldest of their newest words arrived.
    pub arrived: MonoMs,
    /// Free way ahead of the robot's front, mm; none when no cone looks there.
    pub ahead_mm: Option<u32>,
    /// Free way behind the robot's back, mm; none when no cone looks there.
    pub behind_mm: Option<u32>,
    /// The front bumper is pressed.
    pub bumper_front: bool,
    /// The rear bumper is pressed.
    pub bumper_rear: bool,
    /// The ground ends ahead.
    pub drop_ahead: bool,
    /// The ground ends behind.
    pub drop_behind: bool,
}

/// The newest position by satellites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fix {
    /// When it arrived.
    pub arrived: MonoMs,
    /// Latitude, ten-millionths of a degree.
    pub lat_1e7: i32,
    /// Longitude, ten-millionths of a degree.
    pub lon_1e7: i32,
    /// How far off it may be, mm.
    pub accuracy_mm: u32,
}

/// Where the robot's front points, as a vector of length 1000: thousandths east and north.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heading {
    /// East.
    pub east_permille: i16,
    /// North.
    pub north_permille: i16,
}

/// Tasks of the agent that report that they are alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// The threads of the cameras.
    Camera,
    /// The recorder.
    Recorder,
    /// The link to the driver and to the fleet.
    Link,
    /// The intake of ROS messages.
    Intake,
}

/// The newest heartbeat of each [`Task`], in its order; none for a task that the robot does not have.
pub type Heartbeats = [Option<MonoMs>; 4];

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
    /// The newest odometry.
    pub odometry: Option<Odometry>,
    /// The newest laser scan.
    pub scan: Option<Scan>,
    /// What range cones, bumpers and drop sensors said last.
    pub close: Option<Close>,
    /// The newest position.
    pub fix: Option<Fix>,
    /// Where the robot's front points, when known.
    pub heading: Option<Heading>,
    /// Charge of the battery in thousandths, when known.
    pub battery_permille: Option<u16>,
    /// Lean of the robot against the vertical in mrad, when known.
    pub tilt_mrad: Option<u16>,
    /// Whether the recorder can write.
    pub recorder_able: bool,
    /// When the agent's tasks reported last.
    pub heartbeats: Heartbeats,
}

impl Inputs {
    /// Length of the encoded form.
    pub const LEN: usize = 208;
    /// Version of the encoded form. Version 1 had 128 bytes.
    pub const VERSION: u8 = 2;
    const LEN_OF_V1: usize = 128;

    /// The record of a step's inputs, little-endian:
    ///
    /// ```text
    ///   0 u64 now_ms                8 u8  present          9 u8  flags   10 u8 version 2   11 u8 more
    ///  12 u32 lease_mmps_max       16 u64 lease_epoch     24 u64 lease_expires_ms
    ///  32 u64 epoch_highest        40 u64 estop_clear_epoch
    ///  48 u64 command_arrived_ms   56 u64 command_epoch   64 u64 stamp_ms       72 u64 seen_ms
    ///  80 u32 command_seq          84 i16 linear_mmps     86 i16 angular_mradps
    ///  88 u64 odometry_arrived_ms  96 i32 speed_mmps     100 i32 yaw_mradps
    /// 104 u64 scan_arrived_ms     112 u32 ahead_mm       116 u32 behind_mm
    /// 120 u16 battery             122 u16 tilt_mrad      124 i16 heading east  126 i16 heading north
    /// 128 u64 close_arrived_ms    136 u32 ahead_mm       140 u32 behind_mm
    /// 144 u64 fix_arrived_ms      152 i32 lat_1e7        156 i32 lon_1e7       160 u32 accuracy_mm
    /// 164 u8  tasks  165 3 bytes 0
    /// 168 u64 heartbeats: camera, recorder, link, intake          200 8 bytes 0
    /// ```
    /// `present`: bit 0 lease, 1 command, 2 stamp, 3 seen, 4 odometry, 5 scan, 6 ahead, 7 behind. `flags`: bit
    /// 0 program, 1 deadman, 2 estop_stop, 3 recorder_able, 4 battery known, 5 tilt known, 6 heading known, 7 fix.
    /// `more`: bit 0 close sensors, 1 their ahead, 2 their behind, 3 bumper front, 4 bumper rear, 5 drop ahead,
    /// 6 drop behind. `tasks`: bit n for each heartbeat that there is. What is absent is 0.
    pub fn encode(&self, now: MonoMs) -> [u8; Self::LEN] {
        let lease = self.lease.unwrap_or_default();
        let command = self.command.unwrap_or_default();
        let mut w = Writer::<{ Self::LEN }>::new();
        w.put(now.0.to_le_bytes());
        let [present, flags, more] = self.marks();
        w.put([present, flags, Self::VERSION, more]);
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
        self.write_sensors(&mut w);
        w.put([bits([
            self.heartbeats[0].is_some(),
            self.heartbeats[1].is_some(),
            self.heartbeats[2].is_some(),
            self.heartbeats[3].is_some(),
            false,
            false,
            false,
            false,
        ])]);
        w.put([0; 3]);
        for beat in self.heartbeats {
            w.put(beat.unwrap_or_default().0.to_le_bytes());
        }
        w.finish()
    }

    /// What is there, and the flags.
    fn marks(&self) -> [u8; 3] {
        let command = self.command.unwrap_or_default();
        let (scan, close) = (self.scan.unwrap_or_default(), self.close.unwrap_or_default());
        let present = [
            self.lease.is_some(),
            self.command.is_some(),
            command.stamp.is_some(),
            command.seen.is_some(),
            self.odometry.is_some(),
            self.scan.is_some(),
            scan.ahead_mm.is_some(),
            scan.behind_mm.is_some(),
        ];
        let flags = [
            self.lease.is_some_and(|lease| lease.program),
            command.deadman,
            self.estop_stop,
            self.recorder_able,
            self.battery_permille.is_some(),
            self.tilt_mrad.is_some(),
            self.heading.is_some(),
            self.fix.is_some(),
        ];
        let more = [
            self.close.is_some(),
            close.ahead_mm.is_some(),
            close.behind_mm.is_some(),
            close.bumper_front,
            close.bumper_rear,
            close.drop_ahead,
            close.drop_behind,
            false,
        ];
        [bits(present), bits(flags), bits(more)]
    }

    fn write_sensors<const N: usize>(&self, w: &mut Writer<N>) {
        let (odometry, scan) = (self.odometry.unwrap_or_default(), self.scan.unwrap_or_default());
        let (close, fix) = (self.close.unwrap_or_default(), self.fix.unwrap_or_default());
        let heading = self.heading.unwrap_or_default();
        w.put(odometry.arrived.0.to_le_bytes());
        w.put(odometry.speed_mmps.to_le_bytes());
        w.put(odometry.yaw_mradps.to_le_bytes());
        w.put(scan.arrived.0.to_le_bytes());
        w.put(scan.ahead_mm.unwrap_or_default().to_le_bytes());
        w.put(scan.behind_mm.unwrap_or_default().to_le_bytes());
        w.put(self.battery_permille.unwrap_or_default().to_le_bytes());
        w.put(self.tilt_mrad.unwrap_or_default().to_le_bytes());
        w.put(heading.east_permille.to_le_bytes());
        w.put(heading.north_permille.to_le_bytes());
        w.put(close.arrived.0.to_le_bytes());
        w.put(close.ahead_mm.unwrap_or_default().to_le_bytes());
        w.put(close.behind_mm.unwrap_or_default().to_le_bytes());
        w.put(fix.arrived.0.to_le_bytes());
        w.put(fix.lat_1e7.to_le_bytes());
        w.put(fix.lon_1e7.to_le_bytes());
        w.put(fix.accuracy_mm.to_le_bytes());
    }

    /// Reads a record; only the bytes that [`Inputs::encode`] writes are taken. A record of another version is named
    /// as such: another core made it, and only that one can run it again.
    pub fn decode(bytes: &[u8]) -> Result<(MonoMs, Self), WireError> {
        if bytes.len() == Self::LEN_OF_V1 {
            return Err(WireError::Version { expected: Self::VERSION, got: 1 });
        }
        if bytes.len() != Self::LEN {
            return Err(WireError::Length { expected: Self::LEN, got: bytes.len() });
        }
        let got = bytes.get(10).copied().unwrap_or(0);
        if got != Self::VERSION {
            return Err(WireError::Version { expected: Self::VERSION, got });
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
        let [present, flags, _version, more] = r.take();
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
        let odometry =
            Odometry { arrived: MonoMs(r.u64()), speed_mmps: r.i32(), yaw_mradps: r.i32() };
        let scan = Scan {
            arrived: MonoMs(r.u64()),
            ahead_mm: Some(r.u32()).filter(|_| there(6)),
            behind_mm: Some(r.u32()).filter(|_| there(7)),
        };
        let (battery, tilt) = (r.u16(), r.u16());
        let heading = Heading { east_permille: r.i16(), north_permille: r.i16() };
        let close = Close {
            arrived: MonoMs(r.u64()),
            ahead_mm: Some(r.u32()).filter(|_| bit(more, 1)),
            behind_mm: Some(r.u32()).filter(|_| bit(more, 2)),
            bumper_front: bit(more, 3),
            bumper_rear: bit(more, 4),
            drop_ahead: bit(more, 5),
            drop_behind: bit(more, 6),
        };
        let fix = Fix {
            arrived: MonoMs(r.u64()),
            lat_1e7: r.i32(),
            lon_1e7: r.i32(),
            accuracy_mm: r.u32(),
        };
        let [tasks, ..] = r.take::<4>();
        let beat = |n| Some(MonoMs(r.u64())).filter(|_| bit(tasks, n));
        let inputs = Self {
            lease: Some(lease).filter(|_| there(0)),
            epoch_highest,
            command: Some(command).filter(|_| there(1)),
            estop_stop: bit(flags, 2),
            estop_clear_epoch,
            odometry: Some(odometry).filter(|_| there(4)),
            scan: Some(scan).filter(|_| there(5)),
            close: Some(close).filter(|_| bit(more, 0)),
            fix: Some(fix).filter(|_| bit(flags, 7)),
            heading: Some(heading).filter(|_| bit(flags, 6)),
            battery_permille: Some(battery).filter(|_| bit(flags, 4)),
            tilt_mrad: Some(tilt).filter(|_| bit(flags, 5)),
            recorder_able: bit(flags, 3),
            heartbeats: [0, 1, 2, 3].map(beat),
        };
        (now, inputs)
    }
}

#[cfg(test)]
#[path = "inputs_tests.rs"]
mod tests;
