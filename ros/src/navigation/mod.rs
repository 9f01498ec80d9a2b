//! Nav2's action `NavigateToPose`, from both sides: [`Navigator`] asks a robot's autonomy to drive somewhere and hears
//! the velocities that it wishes, [`Autonomy`] is the other end, for a simulated robot.
//!
//! Both have a participant and a thread of their own, so that nothing of this is on the way of commands and sensors.

mod client;
mod server;

pub use client::{Heard, Navigator};
pub use server::{Autonomy, Planner, Step};

use crate::config::ConnectError;
use crate::node::{Ros, bad_name, dds, topic_name};
use ros_msgs::nav2_msgs::{NavigateToPoseFeedback, NavigateToPoseGoal, NavigateToPoseResult};
use ros2_client::qos::{Durability, History};
use ros2_client::{ActionTypeName, Message, Name, QosProfile, ServiceMapping};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The message that carries the velocities that the autonomy wishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VelocityMessage {
    /// `geometry_msgs/msg/Twist`.
    #[default]
    Twist,
    /// `geometry_msgs/msg/TwistStamped`.
    TwistStamped,
}

/// The middleware of the autonomy. Topics are the same on all, requests are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Middleware {
    /// `rmw_fastrtps_cpp`, the usual one.
    #[default]
    FastDds,
    /// `rmw_cyclonedds_cpp`.
    CycloneDds,
}

impl Middleware {
    const fn mapping(self) -> ServiceMapping {
        match self {
            Self::FastDds => ServiceMapping::Enhanced,
            Self::CycloneDds => ServiceMapping::Cyclone,
        }
    }
}

/// Where the autonomy is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NavigationConfig {
    /// DDS domain.
    pub domain_id: u16,
    /// Name of the node.
    pub node_name: String,
    /// Name of the action, absolute.
    pub action: String,
    /// Topic of the velocities that the autonomy wishes, absolute.
    pub velocity_topic: String,
    /// Their message.
    pub velocity: VelocityMessage,
    /// The middleware of the autonomy.
    pub middleware: Middleware,
}

impl NavigationConfig {
    /// What Nav2 has by itself, with its velocities away from the base.
    pub fn new(domain_id: u16, node_name: impl Into<String>) -> Self {
        Self {
            domain_id,
            node_name: node_name.into(),
            action: "/navigate_to_pose".to_owned(),
            velocity_topic: "/cmd_vel_nav".to_owned(),
            velocity: VelocityMessage::default(),
            middleware: Middleware::default(),
        }
    }
}

/// The topic by which the server of an action is known to be there: only it publishes there.
pub fn feedback_topic(action: &str) -> String {
    format!("{action}/_action/feedback")
}

macro_rules! parts {
    ($($part:ident($message:ty);)*) => {$(
        /// As the library takes it.
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(transparent)]
        struct $part($message);
        impl Message for $part {}
    )*};
}

parts! {
    Goal(NavigateToPoseGoal);
    Outcome(NavigateToPoseResult);
    Progress(NavigateToPoseFeedback);
}

type Client = ros2_client::ActionClient<Goal, Outcome, Progress>;
type Server = ros2_client::ActionServer<Goal, Outcome, Progress>;

/// As ROS 2 has them for services and feedback: reliable, nothing for late comers.
fn service_qos() -> QosProfile {
    QosProfile::publisher_default()
        .durability(Durability::Volatile)
        .history(History::KeepLast { depth: 10 })
}

fn action_type() -> ActionTypeName {
    ActionTypeName::new("nav2_msgs", "NavigateToPose")
}

/// `Name::parse` drops the namespace of what is pushed onto it, so the name is taken apart here.
fn action_name(action: &str) -> Result<Name, ConnectError> {
    topic_name(action)?;
    let (namespace, base) = action.rsplit_once('/').unwrap_or(("", action));
    let namespace = if namespace.is_empty() { "/" } else { namespace };
    Name::new(namespace, base).map_err(|reason| bad_name(action, reason))
}

impl Ros {
    fn action_client(&mut self, config: &NavigationConfig) -> Result<Client, ConnectError> {
        let qos = service_qos();
        let qos = ros2_client::action::ActionClientQosPolicies {
            goal_service: qos.clone(),
            result_service: qos.clone(),
            cancel_service: qos.clone(),
            feedback_subscription: qos.clone(),
            status_subscription: qos,
        };
        let (mapping, name) = (config.middleware.mapping(), action_name(&config.action)?);
        let made = self.node_mut().create_action_client(mapping, &name, &action_type(), qos);
        made.map_err(dds(format!("client of {}", config.action)))
    }

    fn action_server(&mut self, config: &NavigationConfig) -> Result<Server, ConnectError> {
        let qos = service_qos();
        let qos = ros2_client::action::ActionServerQosPolicies {
            goal_service: qos.clone(),
            result_service: qos.clone(),
            cancel_service: qos.clone(),
            feedback_publisher: qos.clone(),
            status_publisher: qos.durability(Durability::TransientLocal),
        };
        let (mapping, name) = (config.middleware.mapping(), action_name(&config.action)?);
        let made = self.node_mut().create_action_server(mapping, &name, &action_type(), qos);
        made.map_err(dds(format!("server of {}", config.action)))
    }

    /// Whether somebody outside of this process serves the action.
    fn serves(&self, action: &str) -> bool {
        let topic = feedback_topic(action);
        self.endpoints().0.iter().any(|writer| writer.topic == topic)
    }
}

/// The basic configuration of a connection that only navigates.
fn basic(config: &NavigationConfig) -> crate::Config {
    crate::Config::new(config.domain_id, config.node_name.clone())
}
