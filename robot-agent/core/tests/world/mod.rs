//! A robot, its driver and the link between them, in as few words as a story needs.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(dead_code, reason = "each test file uses its own part of the world")]

use agent_core::{Command, Inputs, Lease, Odometry, Outputs, Policy, Scan, Supervisor};
use protocol::units::MonoMs;

/// What the driver's end does with the stick.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stick {
    pub(crate) deadman: bool,
    pub(crate) linear_mmps: i16,
    pub(crate) angular_mradps: i16,
}

pub(crate) const RELEASED: Stick = Stick { deadman: false, linear_mmps: 0, angular_mradps: 0 };
pub(crate) const FULL: Stick = Stick { deadman: true, linear_mmps: 1_500, angular_mradps: 0 };
pub(crate) const BACK: Stick = Stick { deadman: true, linear_mmps: -1_500, angular_mradps: 0 };

pub(crate) struct World {
    pub(crate) core: Supervisor,
    pub(crate) now: u64,
    /// What the robot knows besides commands.
    pub(crate) inputs: Inputs,
    pub(crate) stick: Stick,
    pub(crate) seq: u32,
    pub(crate) epoch: u64,
    /// Time from the robot's telemetry to a command that echoes it.
    pub(crate) stamp_age_ms: u64,
    /// Age of the picture on the screen when a command arrives.
    pub(crate) video_age_ms: Option<u64>,
    /// Commands arrive.
    pub(crate) link: bool,
    /// Odometry and scan arrive.
    pub(crate) sensors: bool,
    pub(crate) out: Outputs,
    /// Every step's bytes, in and out.
    pub(crate) record: Vec<(Vec<u8>, Vec<u8>)>,
}

impl World {
    /// A robot at rest under the default policy, a lease, a good link, nothing in the way.
    pub(crate) fn new() -> Self {
        Self::under(&Policy::default())
    }

    pub(crate) fn under(policy: &Policy) -> Self {
        let mut core = Supervisor::new(policy).unwrap();
        let inputs = Inputs {
            lease: Some(Lease {
                epoch: 7,
                expires: MonoMs(1_000_000),
                speed_mmps_max: 1_500,
                program: false,
            }),
            epoch_highest: 7,
            scan: Some(Scan {
                arrived: MonoMs(0),
                ahead_mm: Some(12_000),
                behind_mm: Some(12_000),
            }),
            battery_permille: Some(900),
            tilt_mrad: Some(0),
            recorder_able: true,
            ..Inputs::default()
        };
        let out = core.step(MonoMs(99_990), &Inputs::default());
        Self {
            core,
            now: 100_000,
            inputs,
            stick: RELEASED,
            seq: 0,
            epoch: 7,
            stamp_age_ms: 60,
            video_age_ms: Some(80),
            link: true,
            sensors: true,
            out,
            record: Vec::new(),
        }
    }

    /// The command that the driver's end would send now.
    pub(crate) fn command(&mut self) -> Command {
        self.seq += 1;
        Command {
            arrived: MonoMs(self.now),
            epoch: self.epoch,
            seq: self.seq,
            deadman: self.stick.deadman,
            stamp: Some(MonoMs(self.now - self.stamp_age_ms)),
            seen: self.video_age_ms.map(|age| MonoMs(self.now - age)),
            linear_mmps: self.stick.linear_mmps,
            angular_mradps: self.stick.angular_mradps,
        }
    }

    /// One step now, with or without a command.
    pub(crate) fn step(&mut self, command: Option<Command>) -> Outputs {
        let inputs = Inputs { command, ..self.inputs };
        self.out = self.core.step(MonoMs(self.now), &inputs);
        self.record.push((inputs.encode(MonoMs(self.now)).to_vec(), self.out.encode().to_vec()));
        self.inputs.estop_stop = false;
        self.inputs.estop_clear_epoch = 0;
        self.out
    }

    /// Lets `ms` pass: a step every 10 ms, a command every 20, sensors every 10, as far as they work.
    pub(crate) fn pass(&mut self, ms: u64) -> Outputs {
        for _ in 0..ms / 10 {
            self.now += 10;
            if self.sensors {
                self.odometry();
                self.inputs.scan =
                    self.inputs.scan.map(|scan| Scan { arrived: MonoMs(self.now), ..scan });
            }
            let command = (self.link && self.now.is_multiple_of(20)).then(|| self.command());
            self.step(command);
        }
        self.out
    }

    /// Fresh odometry: the wheels do what they are told.
    pub(crate) fn odometry(&mut self) {
        self.inputs.odometry = Some(Odometry {
            arrived: MonoMs(self.now),
            speed_mmps: self.out.executed.linear_mmps,
            yaw_mradps: self.out.executed.angular_mradps,
        });
    }

    /// The driver takes the stick, after the robot has heard of it at rest.
    pub(crate) fn drive(stick: Stick) -> Self {
        Self::new().into_drive(stick)
    }

    pub(crate) fn into_drive(mut self, stick: Stick) -> Self {
        self.pass(200);
        self.stick = stick;
        self.pass(3_000);
        self
    }

    /// Lets time pass until the wheels are told to stop; how long that took.
    pub(crate) fn ms_until_stop(&mut self) -> u64 {
        let start = self.now;
        while self.speed() != 0 && self.now < start + 10_000 {
            self.pass(10);
        }
        self.now - start
    }

    pub(crate) fn speed(&self) -> i32 {
        self.out.executed.linear_mmps
    }
}
