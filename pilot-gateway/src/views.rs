//! What the API for programs shows: documents with words beside every code.

use crate::drivers::Opened;
use protocol::ids::RobotId;
use protocol::state::RobotState;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The code of a state or reason, as it stands in JSON.
fn code(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(code)) => code,
        Ok(_) | Err(_) => String::new(),
    }
}

/// A robot's state, its age, and its reason in words.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "describes the document that RobotView::json makes; a test compares them"
)]
pub struct RobotView {
    /// The robot.
    #[schema(example = "demo-rover-1")]
    robot: String,
    /// Grows by one with each state of a run of the agent.
    seq: u64,
    /// The robot's wall clock, ms since the Unix epoch.
    at: u64,
    /// The robot's monotonic clock, ms.
    robot_ms: u64,
    /// `idle`, `ready`, `driving`, `stopped` or `emergency_stopped`.
    #[schema(example = "driving")]
    safety: String,
    /// Stable code of the strongest reason for it.
    #[schema(example = "none")]
    reason: String,
    /// The lease that the robot obeys.
    lease: Option<String>,
    /// Highest epoch that the robot has seen.
    epoch: u64,
    /// The lease that ended last: `{lease, episode, why}`.
    #[schema(value_type = Option<Object>)]
    last_ended: Option<Value>,
    /// Position: `{point: {lat_deg, lon_deg}, h_acc_m, fix, satellites, age_ms}`, when known.
    #[schema(value_type = Option<Object>)]
    position: Option<Value>,
    /// Heading clockwise from true north, degrees.
    heading_deg: Option<f64>,
    /// Speed forward, m/s.
    speed_mps: f64,
    /// Turn rate to the left, rad/s.
    yaw_radps: f64,
    /// Highest speed that would be obeyed now, m/s.
    limit_mps: f64,
    /// Battery, 0 to 1.
    battery: Option<f64>,
    /// Age of what the driver saw, ms.
    loop_latency_ms: Option<u32>,
    /// The newest drive packet that counted.
    command_seq: u32,
    /// Episodes on the robot that the fleet has not yet accepted.
    episodes_waiting: u32,
    /// Software of the agent.
    version: String,
    /// Version of the owner's settings that the robot keeps to; 0 without any.
    settings_version: u64,
    /// How long ago this state arrived here, ms.
    age_ms: u64,
    /// The reason in words.
    #[schema(example = "All well")]
    words: String,
    /// What the driver can do about it, in words; empty when there is nothing to do.
    what_next: String,
}

impl RobotView {
    /// The document of `state`.
    pub fn json(state: &RobotState, age_ms: u64) -> Value {
        let mut document = json!(state);
        if let Value::Object(members) = &mut document {
            members.insert("age_ms".to_owned(), json!(age_ms));
            members.insert("words".to_owned(), json!(state.reason.words()));
            members.insert("what_next".to_owned(), json!(state.reason.what_next()));
        }
        document
    }
}

/// An open lease.
#[derive(Debug, Serialize, ToSchema)]
pub struct LeaseOpened {
    /// The robot.
    #[schema(example = "demo-rover-1")]
    robot: String,
    /// The lease.
    #[schema(example = "lse_0192f3c1d8e97a3cb0f5d1a2b3c4d5e6")]
    lease_id: String,
    /// The episode that is being recorded.
    #[schema(example = "eps_0192f3c1d8e97a3cb0f5d1a2b3c4d5e6")]
    episode: String,
    /// The lease's fencing epoch.
    epoch: u64,
    /// How long a copy of the lease lasts; the gateway renews it in time.
    ttl_ms: u32,
}

impl LeaseOpened {
    /// The document of an open lease.
    pub fn new(robot: &RobotId, opened: &Opened) -> Self {
        Self {
            robot: robot.to_string(),
            lease_id: opened.lease_id.to_string(),
            episode: opened.episode.to_string(),
            epoch: opened.epoch,
            ttl_ms: opened.ttl_ms,
        }
    }
}

/// What the safety core says to a wish.
#[derive(Debug, Serialize, ToSchema)]
pub struct Driven {
    /// Number of the wish's first packet.
    seq: u32,
    /// Whether the robot's state has counted that packet. False: it was sent, the next state will tell.
    confirmed: bool,
    /// `driving`; or `ready` when the wish was over before its answer.
    #[schema(example = "driving")]
    state: String,
    /// Stable code of what holds the robot back, if anything does.
    #[schema(example = "none")]
    reason: String,
    /// The reason in words.
    #[schema(example = "All well")]
    words: String,
    /// What to do about it.
    what_next: String,
    /// Speed forward, m/s.
    speed_mps: f64,
    /// Highest speed that is obeyed now, m/s.
    limit_mps: f64,
    /// Age of the picture that was acted on, ms.
    loop_latency_ms: Option<u32>,
}

impl Driven {
    /// The document of an obeyed wish.
    pub fn new(seq: u32, confirmed: bool, state: &RobotState) -> Self {
        Self {
            seq,
            confirmed,
            state: code(&state.safety),
            reason: state.reason.code().to_owned(),
            words: state.reason.words().to_owned(),
            what_next: state.reason.what_next().to_owned(),
            speed_mps: state.speed_mps,
            limit_mps: state.limit_mps,
            loop_latency_ms: state.loop_latency_ms,
        }
    }
}

/// Members of the problem document of a wish that was not obeyed: the same as of [`Driven`].
pub fn outcome_members(seq: u32, state: &RobotState) -> Vec<(&'static str, Value)> {
    vec![
        ("seq", json!(seq)),
        ("state", json!(code(&state.safety))),
        ("reason", json!(state.reason.code())),
        ("words", json!(state.reason.words())),
        ("what_next", json!(state.reason.what_next())),
        ("speed_mps", json!(state.speed_mps)),
        ("limit_mps", json!(state.limit_mps)),
        ("loop_latency_ms", json!(state.loop_latency_ms)),
    ]
}

/// What was stopped.
#[derive(Debug, Serialize, ToSchema)]
pub struct Stopped {
    /// The robot.
    pub robot: String,
    /// Number of the first packet with the deadman released, if the caller drives the robot.
    pub seq: Option<u32>,
    /// Whether the emergency stop is latched by this call.
    pub estop: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::ids::LeaseId;
    use protocol::safety::{Reason, SafetyState};
    use std::collections::BTreeSet;
    use utoipa::PartialSchema;

    #[test]
    fn the_described_state_is_the_one_that_is_shown() {
        let lease = LeaseId::new(uuid::Uuid::from_u128(1));
        let (safety, reason) = (SafetyState::EmergencyStopped, Reason::Estop);
        let state = crate::verdict::tests::state(safety, reason, lease, 1, 1);
        let shown = RobotView::json(&state, 3);
        let schema = serde_json::to_value(RobotView::schema()).unwrap();
        let keys =
            |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(keys(&shown), keys(&schema["properties"]));
        assert_eq!(shown["what_next"], "Release all keys, then clear the stop");
        assert_eq!(shown["safety"], "emergency_stopped");
    }
}
