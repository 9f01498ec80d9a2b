//! States, hazards and reasons of the robot's safety core, with the words that people read.

use serde::{Deserialize, Serialize};

/// What the robot is doing, as its safety core decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum SafetyState {
    /// No lease: the wheels are held.
    Idle = 0,
    /// A lease, all well, the deadman is not held.
    Ready = 1,
    /// Obeying the driver.
    Driving = 2,
    /// A hazard took the speed away; the robot brakes or stands.
    Stopped = 3,
    /// The emergency stop is latched.
    EmergencyStopped = 4,
}

impl SafetyState {
    /// From its number on the wire.
    pub const fn from_u8(value: u8) -> Option<Self> {
        Some(match value {
            0 => Self::Idle,
            1 => Self::Ready,
            2 => Self::Driving,
            3 => Self::Stopped,
            4 => Self::EmergencyStopped,
            _ => return None,
        })
    }

    /// Its number on the wire.
    pub const fn as_u8(self) -> u8 {
        match self {
            Self::Idle => 0,
            Self::Ready => 1,
            Self::Driving => 2,
            Self::Stopped => 3,
            Self::EmergencyStopped => 4,
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $code:literal, $words:literal, $next:literal;)*) => {
        /// Why the robot does not go, or not faster. The number is its bit in the hazard mask of a telemetry
        /// packet, the code is stable and goes into logs and episodes, the words are for the driver.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[repr(u8)]
        pub enum Reason {
            $($(#[$doc])* $name = $number,)*
        }

        impl Reason {
            /// Every reason, in the order of its number.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// From its number on the wire.
            pub const fn from_u8(value: u8) -> Option<Self> {
                match value {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Its number on the wire.
            pub const fn as_u8(self) -> u8 {
                match self {
                    $(Self::$name => $number,)*
                }
            }

            /// Its bit in a hazard mask.
            pub const fn bit(self) -> u32 {
                match self {
                    $(Self::$name => 1 << $number,)*
                }
            }

            /// Its stable code.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// What is the matter, in words.
            pub const fn words(self) -> &'static str {
                match self {
                    $(Self::$name => $words,)*
                }
            }

            /// What the driver can do about it, in words; empty when there is nothing to do.
            pub const fn what_next(self) -> &'static str {
                match self {
                    $(Self::$name => $next,)*
                }
            }
        }
    };
}

reasons! {
    /// All well: nothing holds the robot back.
    None = 0, "none", "All well", "";
    /// Nobody holds a live lease.
    NoLease = 1, "no-lease", "Nobody has the robot", "Take a mission to drive";
    /// The emergency stop is latched.
    Estop = 2, "estop", "Emergency stop", "Release all keys, then clear the stop";
    /// No drive command for too long.
    CommandStale = 3, "command-stale", "Your commands do not arrive", "Check your connection; release all keys, then drive again";
    /// The picture that the driver sees is too old, or there is none.
    VideoStale = 4, "video-stale", "The picture is too old", "Release all keys; drive again when the picture is fresh";
    /// The loop is slow: the speed is held down.
    Latency = 5, "latency", "Speed held down by latency", "";
    /// Something is close ahead: the speed is held down.
    ObstacleNear = 6, "obstacle-near", "Something is close ahead", "Slow down or steer around it";
    /// Something is right ahead.
    ObstacleAhead = 7, "obstacle-ahead", "Something is right ahead", "Back away from it or turn";
    /// Odometry does not arrive.
    SensorStale = 8, "sensor-stale", "The robot's wheels are not heard", "Wait; if it stays, end the drive and tell the owner";
    /// The robot's monotonic clock went backwards.
    ClockRegression = 9, "clock-regression", "The robot's clock is broken", "End the drive; the robot must be restarted";
    /// The deadman is not held.
    DeadmanReleased = 10, "deadman-released", "Waiting for you", "Hold a key to drive";
    /// After a stop, the stick was not yet at rest.
    RearmNeeded = 11, "rearm-needed", "Waiting for the stick at rest", "Release all keys, then drive again";
    /// The recorder can't write.
    RecorderFull = 12, "recorder-full", "The robot cannot record", "End the drive; the robot's disk is full";
    /// The battery is nearly empty.
    BatteryLow = 13, "battery-low", "The battery is nearly empty", "End the drive";
    /// The robot leans too far.
    Tilt = 14, "tilt", "The robot leans too far", "Stop and look; back away slowly";
    /// Outside of the area where it may drive.
    Geofence = 15, "geofence", "Outside of the allowed area", "Turn back";
    /// The driver drives without pictures, at the speed that the owner allows for that.
    BlindCap = 16, "blind-cap", "Speed held down: driving without pictures", "";
    /// The lease or the robot's owner allows no more.
    PolicyCap = 17, "policy-cap", "At the highest allowed speed", "";
    /// The robot's commands and stamps disagree: a queue on the way held them up.
    CommandHeldUp = 18, "command-held-up", "Your commands arrive late", "Release all keys; drive again when the link is well";
    /// Close to the edge of the area, or its position is poor: the speed is held down.
    GeofenceNear = 19, "geofence-near", "Close to the edge of the allowed area", "Turn away from the edge, or wait for a better position";
    /// The robot has an area to stay in and has not known for too long where it is.
    PositionUnknown = 20, "position-unknown", "The robot does not know where it is", "Wait for a position; if none comes, end the drive and tell the owner";
    /// Something comes towards the robot.
    CollisionNear = 21, "collision-near", "Something comes towards the robot", "Let it pass, or back away";
    /// A bumper is pressed on the side of the stick.
    Bumper = 22, "bumper", "The robot touches something", "Drive away from it slowly";
    /// The ground ends on the side of the stick.
    Drop = 23, "drop", "The ground ends there", "Back away from the edge";
    /// The battery is as good as empty.
    BatteryCritical = 24, "battery-critical", "The battery is empty", "End the drive; the robot must be fetched";
    /// The laser scan does not arrive.
    ScanStale = 25, "scan-stale", "The laser scanner is silent", "Wait; if it stays, end the drive and tell the owner";
    /// Range cones, bumpers or drop sensors do not report.
    CloseStale = 26, "close-stale", "A bumper or range sensor is silent", "Wait; if it stays, end the drive and tell the owner";
    /// The lean is not known.
    TiltStale = 27, "tilt-stale", "The inertial sensor is silent", "Wait; if it stays, end the drive and tell the owner";
    /// A task of the agent is dead.
    TaskDead = 28, "task-dead", "A part of the robot's software hangs", "Wait; if it stays, end the drive and tell the owner";
    /// The agent was frozen, or its clock jumped forward.
    ClockJump = 29, "clock-jump", "The robot's computer was frozen", "Release all keys, then drive again";
    /// The robot tips, or was picked up.
    Tipped = 30, "tipped", "The robot tips over or was picked up", "Wait; somebody must set it on its wheels";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_distinct_numbers_and_codes() {
        let mut codes = std::collections::BTreeSet::new();
        for (number, reason) in (0u8..).zip(Reason::ALL) {
            assert_eq!(reason.as_u8(), number);
            assert_eq!(Reason::from_u8(number), Some(*reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.code());
            assert!(codes.insert(reason.code()));
        }
        assert_eq!(Reason::from_u8(200), None);
    }
}
