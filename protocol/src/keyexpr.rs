//! The Zenoh key space. Every robot's keys lie under its own prefix; what may be done on a key is decided by
//! the signature on the message, never by who can reach the key.

use crate::ids::RobotId;

/// All robots' states, for a subscriber that follows the fleet.
pub const ALL_STATES: &str = "longrein/v1/robots/*/state";
/// All robots' presence tokens.
pub const ALL_PRESENCE: &str = "longrein/v1/robots/*/presence";

fn key(robot: &RobotId, leaf: &str) -> String {
    format!("longrein/v1/robots/{robot}/{leaf}")
}

/// Signed [`crate::state::RobotState`], put by the robot at 5 Hz.
pub fn state(robot: &RobotId) -> String {
    key(robot, "state")
}
/// Liveliness token of a running agent.
pub fn presence(robot: &RobotId) -> String {
    key(robot, "presence")
}
/// Queryable of the robot: opens a session ([`crate::signal`]).
pub fn signal(robot: &RobotId) -> String {
    key(robot, "signal")
}
/// Drive packets of a driver without a browser, put by the relay that its lease names, signed.
pub fn command(robot: &RobotId) -> String {
    key(robot, "command")
}
/// Queryable of the robot: emergency stop by any path that is not the data channel, signed.
pub fn estop(robot: &RobotId) -> String {
    key(robot, "estop")
}
/// Queryable of the robot: renew or release a lease that was opened by a relay, signed.
pub fn lease(robot: &RobotId) -> String {
    key(robot, "lease")
}
/// Queryable of the robot: one JPEG of the newest frame of `camera`, signed ([`crate::rover::seal_frame`]).
pub fn camera(robot: &RobotId, camera: &str) -> String {
    key(robot, &format!("camera/{camera}"))
}

/// Every new frame of `camera` as JPEG while somebody subscribes, signed ([`crate::rover::seal_frame`]).
pub fn camera_live(robot: &RobotId, camera: &str) -> String {
    key(robot, &format!("camera/{camera}/live"))
}
/// Every access unit of the live video of `camera` while somebody watches, signed ([`crate::watch::seal_video`]).
pub fn camera_video(robot: &RobotId, camera: &str) -> String {
    key(robot, &format!("camera/{camera}/video"))
}
/// [`crate::watch::VideoHeard`], put by gateways where somebody watches.
pub fn camera_heard(robot: &RobotId, camera: &str) -> String {
    key(robot, &format!("camera/{camera}/heard"))
}
/// Signed [`crate::rover::SensorReport`], put by the robot at 20 Hz while somebody subscribes.
pub fn sensors(robot: &RobotId) -> String {
    key(robot, "telemetry")
}
/// Queryable of the robot: says a text aloud, signed ([`crate::rover::SpeakRequest`]).
pub fn speak(robot: &RobotId) -> String {
    key(robot, "speak")
}
/// Queryable of the robot: takes its owner's settings ([`crate::settings`]), signed by the owner.
pub fn settings(robot: &RobotId) -> String {
    key(robot, "settings")
}
/// Queryable of the robot: sets its lamp, signed ([`crate::rover::LampRequest`]).
pub fn lamp(robot: &RobotId) -> String {
    key(robot, "lamp")
}
/// Queryable of the robot: records the start or the end of an intervention, signed
/// ([`crate::intervention::InterventionRequest`]).
pub fn intervention(robot: &RobotId) -> String {
    key(robot, "intervention")
}

/// The robot that a key under `longrein/v1/robots/` belongs to.
pub fn robot_of(key: &str) -> Option<RobotId> {
    key.strip_prefix("longrein/v1/robots/")?.split('/').next()?.parse().ok()
}
