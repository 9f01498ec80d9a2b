//! What a topic's endpoint asks of DDS, where it is not the usual.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whether what is lost on the way is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reliability {
    /// It is.
    Reliable,
    /// It is not.
    BestEffort,
}

/// Whether the newest messages are kept for those who come later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// They are not.
    Volatile,
    /// They are, while their writer lives.
    TransientLocal,
}

/// QoS of one topic. What is not said is as the README tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Qos {
    /// Whether what is lost is sent again.
    pub reliability: Option<Reliability>,
    /// Messages that may wait: at a reader to be taken, at a reliable writer to be acknowledged.
    pub depth: Option<u16>,
    /// Whether late ones are told what was said before.
    pub durability: Option<Durability>,
}

/// QoS by the name of the topic.
pub type QosOfTopics = BTreeMap<String, Qos>;
