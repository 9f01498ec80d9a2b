//! What a connection needs to know, and why it may fail.

use crate::kinematics::{Commands, Kinematics};
use crate::qos::QosOfTopics;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Highest DDS domain: the ports of higher ones would not fit 16 bits.
pub const DOMAIN_ID_MAX: u16 = 232;

/// A connection to one robot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// DDS domain, as in `ROS_DOMAIN_ID`. The caller reads that variable, this crate does not.
    pub domain_id: u16,
    /// Name of the ROS node: letters, digits and underscores.
    pub node_name: String,
    /// Names of the topics.
    #[serde(default)]
    pub topics: Topics,
    /// The message that carries velocity commands.
    #[serde(default)]
    pub commands: Commands,
    /// How the base moves.
    #[serde(default)]
    pub kinematics: Kinematics,
    /// Topics of range sensors (`sensor_msgs/msg/Range`), none twice. Their place in this list names them.
    #[serde(default)]
    pub ranges: Vec<String>,
    /// Bumpers, none twice. Their place in this list names them.
    #[serde(default)]
    pub bumpers: Vec<BumperTopic>,
    /// QoS of topics that shall not have the usual one.
    #[serde(default)]
    pub qos: QosOfTopics,
}

/// The topic of one bumper, `std_msgs/msg/Bool`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BumperTopic {
    /// Its name.
    pub topic: String,
    /// False says that it is pressed.
    #[serde(default)]
    pub inverted: bool,
    /// It speaks only when it changes: read reliably, for it does not say it again.
    #[serde(default)]
    pub on_change: bool,
}

impl Config {
    /// The usual topics, `Twist`, a base that turns on the spot.
    pub fn new(domain_id: u16, node_name: impl Into<String>) -> Self {
        Self {
            domain_id,
            node_name: node_name.into(),
            topics: Topics::default(),
            commands: Commands::default(),
            kinematics: Kinematics::default(),
            ranges: Vec::new(),
            bumpers: Vec::new(),
            qos: QosOfTopics::new(),
        }
    }
}

/// Names of the topics, absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Topics {
    /// Velocity commands to the base, of the type that `ros.commands` says.
    pub cmd_vel: String,
    /// `nav_msgs/msg/Odometry`.
    pub odometry: String,
    /// `sensor_msgs/msg/Imu`.
    pub imu: String,
    /// `sensor_msgs/msg/MagneticField`. A robot may be without.
    pub field: String,
    /// `sensor_msgs/msg/NavSatFix`.
    pub fix: String,
    /// `sensor_msgs/msg/BatteryState`.
    pub battery: String,
    /// `sensor_msgs/msg/LaserScan`.
    pub scan: String,
    /// `sensor_msgs/msg/JointState`: wheel speeds.
    pub wheels: String,
    /// `std_msgs/msg/UInt8` to the lamp: 0 off, up to 3.
    pub lamp: String,
    /// `std_msgs/msg/Bool` to the horn: true while it shall sound, ten times a second. It should end by itself when it hears
    /// nothing for half a second.
    pub horn: String,
    /// `diagnostic_msgs/msg/DiagnosticArray`: what drivers say about themselves. A robot may be without.
    pub diagnostics: String,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            cmd_vel: "/cmd_vel".to_owned(),
            odometry: "/odom".to_owned(),
            imu: "/imu".to_owned(),
            field: "/imu/mag".to_owned(),
            fix: "/fix".to_owned(),
            battery: "/battery_state".to_owned(),
            scan: "/scan".to_owned(),
            wheels: "/joint_states".to_owned(),
            lamp: "/lamp".to_owned(),
            horn: "/horn".to_owned(),
            diagnostics: "/diagnostics".to_owned(),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The domain does not exist.
    #[error("ROS domain {domain_id} does not exist: choose 0 to {DOMAIN_ID_MAX} (ROS_DOMAIN_ID)")]
    Domain {
        /// The domain asked for.
        domain_id: u16,
    },
    /// A node or topic name that ROS does not allow.
    #[error("\"{name}\" is not a ROS name: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// DDS could not start or could not make an endpoint.
    #[error("could not make the ROS {what}; is a network interface up?")]
    Dds {
        /// Which part.
        what: String,
        /// What DDS says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The thread that reads could not start.
    #[error("could not start the thread that reads ROS topics")]
    Thread {
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}
