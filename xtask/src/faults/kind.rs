//! The faults, and what the design says of each.

use clap::ValueEnum;

/// Something that breaks in the middle of a drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// robot-agent is killed (`kill -9`), and started again once the robot stands
    AgentKilled,
    /// robot-agent is frozen (SIGSTOP)
    AgentFrozen,
    /// robot-agent gets no CPU: all of it on one core with a busy loop of a higher real-time priority
    AgentStarved,
    /// The robot's disk is filled to the last byte
    DiskFull,
    /// The front camera is unplugged
    CameraUnplugged,
    /// The GNSS receiver is unplugged
    GnssUnplugged,
    /// The same for a robot with a geofence (position_age_ms_max and unknown_ms_max at 1 s each)
    GnssUnpluggedInGeofence,
    /// The laser scanner is unplugged
    ScannerUnplugged,
    /// Odometry falls silent
    OdometrySilent,
    /// The base's driver is gone: it hears no command and says nothing
    BaseLost,
    /// The robot's wall clock jumps an hour ahead
    ClockAhead,
    /// The robot's wall clock jumps an hour back
    ClockBack,
    /// The network is cut in the middle of a turn
    NetworkCut,
    /// fleet-server, and the message router in it, is killed and started again
    RouterRestarted,
    /// pilot-gateway is killed
    GatewayKilled,
    /// The pilot's browser is frozen (SIGSTOP to all of its processes)
    BrowserFrozen,
    /// The pilot's browser is killed
    BrowserKilled,
}

/// What the design says.
#[derive(Debug, Clone, Copy)]
pub enum Design {
    /// The robot stops in time, measured from the fault.
    Stops {
        /// Until the wheels are told to stop, or the base has timed out.
        commanded_ms_max: u64,
        /// Until the robot stands.
        at_rest_ms_max: u64,
    },
    /// The robot drives on, or stops as in time.
    MayStop {
        /// As above.
        commanded_ms_max: u64,
        /// As above.
        at_rest_ms_max: u64,
    },
    /// The robot does not depend on what is broken.
    DrivesOn,
}

/// What is on its way when the fault strikes, a period of the loop, and the trace's resolution.
const MARGIN_MS: u64 = 60;
/// From 1.5 m/s at 3 m/s², with room for the design's 1 s after a command of 300 ms.
const BRAKING_MS: u64 = 640;

const fn stops(after_ms: u64) -> Design {
    let commanded_ms_max = after_ms + MARGIN_MS;
    Design::Stops { commanded_ms_max, at_rest_ms_max: commanded_ms_max + BRAKING_MS }
}

impl Fault {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What happens.
    pub fn words(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    /// What the robot must do.
    pub const fn design(self) -> Design {
        match self {
            Self::AgentKilled
            | Self::AgentFrozen
            | Self::AgentStarved
            | Self::OdometrySilent
            | Self::BaseLost
            | Self::NetworkCut
            | Self::BrowserFrozen
            | Self::BrowserKilled => stops(300),
            // ROS is connected anew, within the time for which odometry may be silent or a little later.
            Self::ClockBack => {
                let commanded_ms_max = 300 + MARGIN_MS;
                Design::MayStop { commanded_ms_max, at_rest_ms_max: commanded_ms_max + BRAKING_MS }
            }
            // scan_age_ms_max and seen_video_ms_max, and a scan or a frame before.
            Self::ScannerUnplugged | Self::CameraUnplugged => stops(600),
            // The recorder looks at the disk once a second, and writes as often.
            Self::DiskFull => stops(1_200),
            // Both bounds of the geofence, and a position before.
            Self::GnssUnpluggedInGeofence => stops(2_200),
            Self::GnssUnplugged
            | Self::ClockAhead
            | Self::RouterRestarted
            | Self::GatewayKilled => Design::DrivesOn,
        }
    }
}
