//! Package `longrein_msgs`: what a robot records about its drive beside its sensors.

use crate::builtin_interfaces::Time;
use crate::octets;
use crate::schema::ros_message;
use serde::{Deserialize, Serialize};

/// What the driver asked for, as it arrived at the robot, obeyed or not.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DriveCommand {
    /// Arrival, wall clock of the robot.
    pub stamp: Time,
    /// Arrival, monotonic clock of the robot.
    pub arrived_ms: u64,
    /// Lease epoch that the driver wrote.
    pub epoch: u64,
    /// Sequence number that the driver wrote.
    pub seq: u32,
    /// Whether the driver held the deadman.
    pub deadman: bool,
    /// Speed forward that the driver wanted.
    pub linear_mps: f64,
    /// Turn rate to the left that the driver wanted.
    pub angular_radps: f64,
    /// The packet as it arrived.
    #[serde(with = "octets")]
    pub packet: Vec<u8>,
}

/// One step of the safety core: enough to run it again and compare bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SafetyStep {
    /// Wall clock of the robot.
    pub stamp: Time,
    /// Number of the step, without gaps.
    pub tick: u64,
    /// The core's inputs in its own encoding.
    #[serde(with = "octets")]
    pub inputs: Vec<u8>,
    /// The core's outputs in its own encoding.
    #[serde(with = "octets")]
    pub outputs: Vec<u8>,
}

/// What the safety core decided, for people; [`SafetyStep`] is what replay uses.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SafetyState {
    /// Wall clock of the robot.
    pub stamp: Time,
    /// Code of the state, for example `driving`.
    pub state: String,
    /// Code of the reason, for example `latency`.
    pub reason: String,
    /// One bit per reason that holds.
    pub hazards: u32,
    /// Highest speed that would be obeyed.
    pub limit_mps: f64,
    /// Age of the picture that the driver acted on; NaN when unknown.
    pub loop_latency_ms: f64,
    /// Speed forward after the safety core.
    pub limited_linear_mps: f64,
    /// Turn rate after the safety core.
    pub limited_angular_radps: f64,
    /// Speed forward after the governor, as published to the base.
    pub executed_linear_mps: f64,
    /// Turn rate after the governor, as published to the base.
    pub executed_angular_radps: f64,
}

/// The link to the driver. Counts are since the session began; NaN is unknown.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LinkStats {
    /// Wall clock of the robot.
    pub stamp: Time,
    /// Round trip.
    pub rtt_ms: f64,
    /// Jitter of the video packets at the driver's side.
    pub jitter_ms: f64,
    /// Share of video packets lost, 0 to 1, as the driver's side reports it.
    pub video_loss: f64,
    /// Video sent.
    pub video_kbps: f64,
    /// What congestion control believes the link can carry.
    pub available_kbps: f64,
    /// Video frames sent.
    pub frames_sent: u64,
    /// Video packets sent.
    pub packets_sent: u64,
    /// Retransmission requests received.
    pub nacks: u64,
    /// Keyframe requests received.
    pub keyframe_requests: u64,
    /// Drive packets received.
    pub drive_received: u64,
    /// Drive packets refused (malformed, replayed, wrong epoch).
    pub drive_refused: u64,
    /// Telemetry packets sent.
    pub telemetry_sent: u64,
}

/// Something that happened: a hazard, an intervention, a lease document, a receipt, a clock offset.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Event {
    /// Wall clock of the robot.
    pub stamp: Time,
    /// Stable code in kebab-case.
    pub code: String,
    /// In words.
    pub detail: String,
    /// One JSON document, or empty.
    pub json: String,
}

ros_message!(DriveCommand = "longrein_msgs" / "DriveCommand", "builtin_interfaces/Time");
ros_message!(SafetyStep = "longrein_msgs" / "SafetyStep", "builtin_interfaces/Time");
ros_message!(SafetyState = "longrein_msgs" / "SafetyState", "builtin_interfaces/Time");
ros_message!(LinkStats = "longrein_msgs" / "LinkStats", "builtin_interfaces/Time");
ros_message!(Event = "longrein_msgs" / "Event", "builtin_interfaces/Time");
