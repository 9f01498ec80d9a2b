//! QoS of topics, as the configuration names it.

use ros_bridge::Topics;
use ros_bridge::qos::{Durability, Qos, Reliability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// QoS of a topic that the agent reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReaderQos {
    /// Without it: best_effort, which reads every publisher. With reliable what is lost is sent again, so readings may come
    /// late, and nothing is read of a best-effort publisher.
    pub reliability: Option<Reliability>,
    /// Messages that may wait to be taken, which is done every 10 ms. Without it: enough for any usual rate.
    #[schemars(range(min = 1, max = 100))]
    pub depth: Option<u16>,
    /// Without it: volatile, which reads every publisher. With transient_local what was said before is read too, and
    /// nothing of a volatile publisher.
    pub durability: Option<Durability>,
}

/// QoS of a topic that the agent writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WriterQos {
    /// Without it: reliable, which every subscriber hears, and best effort beside it for those that stopped to acknowledge.
    /// With best_effort a reliable subscriber hears nothing.
    pub reliability: Option<Reliability>,
    /// Messages that may wait until a reliable subscriber acknowledges; beyond that they go best effort only. Without it: 8,
    /// which is the most, for a base must not get old commands after an outage.
    #[schemars(range(min = 1, max = 8))]
    pub depth: Option<u16>,
    /// Without it: volatile, which a subscriber that wants transient_local does not hear. With transient_local every
    /// subscriber hears it, and one that comes late is told the newest message.
    pub durability: Option<Durability>,
}

impl From<ReaderQos> for Qos {
    fn from(qos: ReaderQos) -> Self {
        let ReaderQos { reliability, depth, durability } = qos;
        Self { reliability, depth, durability }
    }
}

impl From<WriterQos> for Qos {
    fn from(qos: WriterQos) -> Self {
        let WriterQos { reliability, depth, durability } = qos;
        Self { reliability, depth, durability }
    }
}

/// QoS of the topics of `ros.topics`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TopicsQos {
    /// Of velocity commands.
    pub cmd_vel: WriterQos,
    /// Of odometry.
    pub odometry: ReaderQos,
    /// Of inertial measurements.
    pub imu: ReaderQos,
    /// Of the magnetic field.
    pub field: ReaderQos,
    /// Of positions.
    pub fix: ReaderQos,
    /// Of the battery.
    pub battery: ReaderQos,
    /// Of laser sweeps.
    pub scan: ReaderQos,
    /// Of wheel speeds.
    pub wheels: ReaderQos,
    /// Of the lamp.
    pub lamp: WriterQos,
    /// Of the horn.
    pub horn: WriterQos,
    /// Of what drivers say about themselves.
    pub diagnostics: ReaderQos,
}

impl TopicsQos {
    /// Each with the name of its topic.
    pub(super) fn named<'a>(&self, topics: &'a Topics) -> [(&'a String, Qos); 11] {
        [
            (&topics.cmd_vel, self.cmd_vel.into()),
            (&topics.odometry, self.odometry.into()),
            (&topics.imu, self.imu.into()),
            (&topics.field, self.field.into()),
            (&topics.fix, self.fix.into()),
            (&topics.battery, self.battery.into()),
            (&topics.scan, self.scan.into()),
            (&topics.wheels, self.wheels.into()),
            (&topics.lamp, self.lamp.into()),
            (&topics.horn, self.horn.into()),
            (&topics.diagnostics, self.diagnostics.into()),
        ]
    }
}
