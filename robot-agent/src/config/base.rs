//! The base and what is mounted on it, as the configuration names them.

use super::qos::{ReaderQos, TopicsQos};
use anyhow::{Result, ensure};
use ros_bridge::BumperTopic;
use ros_bridge::kinematics::{Commands, Kinematics};
use ros_bridge::qos::{Qos, QosOfTopics};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Range sensors at most.
pub(crate) const RANGES_MAX: usize = 16;
/// Bumpers at most.
pub(crate) const BUMPERS_MAX: usize = 8;

/// ROS node, topics and sensors.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ros {
    /// Name of the node.
    pub node_name: String,
    /// The message that carries velocity commands to the base. diff_drive_controller and ackermann_steering_controller of
    /// ros2_control take twist_stamped, most others twist, many cars ackermann_drive_stamped.
    pub commands: Commands,
    /// Names of the topics.
    pub topics: ros_bridge::Topics,
    /// QoS of the topics, where it is not the usual one.
    pub qos: TopicsQos,
    /// Range sensors, `sensor_msgs/msg/Range`: cones that see obstacles, and drop sensors that see the ground.
    #[schemars(length(max = 16))]
    pub range: Vec<RangeSensor>,
    /// Bumpers, `std_msgs/msg/Bool`.
    #[schemars(length(max = 8))]
    pub bumper: Vec<Bumper>,
}

impl Default for Ros {
    fn default() -> Self {
        Self {
            node_name: "longrein_agent".to_owned(),
            commands: Commands::default(),
            topics: ros_bridge::Topics::default(),
            qos: TopicsQos::default(),
            range: Vec::new(),
            bumper: Vec::new(),
        }
    }
}

/// What a range sensor looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RangeKind {
    /// Something in the way.
    #[default]
    Obstacle,
    /// The ground, which must be there.
    Drop,
}

/// One range sensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeSensor {
    /// The name of its topic.
    #[schemars(length(min = 2))]
    pub topic: String,
    /// What it looks for: an obstacle in the way, or a drop, where the ground is missing.
    #[serde(default)]
    pub kind: RangeKind,
    /// Where it points, to the left of straight ahead. For a drop sensor: on which side of the robot the ground is that it
    /// looks at.
    #[serde(default)]
    #[schemars(range(min = -3.2, max = 3.2))]
    pub yaw_rad: f64,
    /// Where it sits, forward of the middle of the robot.
    #[serde(default)]
    #[schemars(range(min = -3.0, max = 3.0))]
    pub x_m: f64,
    /// Where it sits, to the left of the middle of the robot.
    #[serde(default)]
    #[schemars(range(min = -3.0, max = 3.0))]
    pub y_m: f64,
    /// For a drop sensor: ground farther away than this is no ground.
    #[serde(default = "ground_m_max")]
    #[schemars(range(min = 0.01, max = 2.0))]
    pub ground_m_max: f64,
    /// QoS of its topic, where it is not the usual one.
    #[serde(default)]
    pub qos: ReaderQos,
}

/// A side of the robot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Before it.
    Front,
    /// Behind it.
    Rear,
}

/// One bumper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bumper {
    /// The name of its topic.
    #[schemars(length(min = 2))]
    pub topic: String,
    /// On which side of the robot it is: front or rear.
    pub side: Side,
    /// Whether false says that it is pressed.
    #[serde(default)]
    pub inverted: bool,
    /// Whether it speaks only when it changes. It is then read reliably, counts until it says otherwise, and its silence is
    /// not noticed; one that repeats itself is better.
    #[serde(default)]
    pub on_change: bool,
    /// QoS of its topic, where it is not the usual one.
    #[serde(default)]
    pub qos: ReaderQos,
}

const fn ground_m_max() -> f64 {
    0.2
}

/// How the base moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BaseKind {
    /// Wheels or tracks on both sides: turns on the spot.
    #[default]
    Differential,
    /// Steers as a car does.
    Ackermann,
}

/// The base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Base {
    /// How it moves: differential, with wheels or tracks on both sides, or ackermann, steered as a car. What the safety core
    /// allows is limited to what the base can do, and never widened.
    pub kind: BaseKind,
    /// With ackermann: from the rear axle to the front axle.
    #[schemars(range(min = 0.05, max = 5.0))]
    pub wheelbase_m: f64,
    /// With ackermann: how far a wheel in the middle of the front axle would turn to each side.
    #[schemars(range(min = 0.01, max = 1.5))]
    pub steering_angle_rad_max: f64,
}

impl Default for Base {
    fn default() -> Self {
        Self { kind: BaseKind::default(), wheelbase_m: 0.5, steering_angle_rad_max: 0.4 }
    }
}

impl Base {
    /// As the connection to ROS needs it.
    pub(crate) fn kinematics(&self) -> Kinematics {
        match self.kind {
            BaseKind::Differential => Kinematics::Differential,
            BaseKind::Ackermann => Kinematics::Ackermann {
                wheelbase_m: self.wheelbase_m,
                steering_rad_max: self.steering_angle_rad_max,
            },
        }
    }

    /// What the types do not say.
    pub(super) fn check(&self, commands: Commands) -> Result<()> {
        let steers = self.kind == BaseKind::Ackermann;
        ensure!(
            steers || commands != Commands::AckermannDriveStamped,
            "ros.commands = \"ackermann_drive_stamped\" needs base.kind = \"ackermann\", with its wheelbase_m and \
             steering_angle_rad_max"
        );
        Ok(())
    }
}

impl Ros {
    /// What the types do not say. `close_required`: the policy stops the robot when a close sensor is silent.
    pub(super) fn check(&self, close_required: bool) -> Result<()> {
        let ranges = self.range.iter().map(|range| &range.topic);
        let topics: Vec<&String> = ranges.chain(self.bumper.iter().map(|b| &b.topic)).collect();
        for (n, topic) in topics.iter().enumerate() {
            ensure!(
                !topics.iter().take(n).any(|other| other == topic),
                "two range sensors or bumpers have the topic {topic:?}"
            );
        }
        let repeats = !self.range.is_empty() || self.bumper.iter().any(|bumper| !bumper.on_change);
        ensure!(
            !close_required || repeats,
            "policy.close_sensors.active needs [[ros.range]] or [[ros.bumper]] that repeat themselves: name the robot's, or \
             it would never drive"
        );
        Ok(())
    }

    /// QoS by topic, of those that have one of their own.
    pub(crate) fn qos_of_topics(&self) -> QosOfTopics {
        let ranges = self.range.iter().map(|range| (&range.topic, range.qos.into()));
        let bumpers = self.bumper.iter().map(|bumper| (&bumper.topic, bumper.qos.into()));
        let all = self.qos.named(&self.topics).into_iter().chain(ranges).chain(bumpers);
        all.filter(|(_, qos)| *qos != Qos::default())
            .map(|(topic, qos)| (topic.clone(), qos))
            .collect()
    }

    pub(super) fn bumper_topics(&self) -> Vec<BumperTopic> {
        let topic = |bumper: &Bumper| BumperTopic {
            topic: bumper.topic.clone(),
            inverted: bumper.inverted,
            on_change: bumper.on_change,
        };
        self.bumper.iter().map(topic).collect()
    }
}
