//! A look at a ROS domain from outside: which topics there are, of which type and QoS, and how often the expected ones
//! speak. Publishes nothing, so it may look while an agent drives.

use crate::agent::{Inbound, sensors};
use crate::config::{Config, ConnectError};
use crate::intake::{Counters, Intake, Sources, TopicHealth};
use crate::node::Ros;
use protocol::units::MonoNs;
use std::time::Duration;

/// One writer or reader of a topic that discovery knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Name of the topic, such as `/odom`.
    pub topic: String,
    /// Type of its messages, such as `nav_msgs/msg/Odometry`.
    pub message: String,
    /// Reliable, or best effort.
    pub reliable: bool,
    /// Keeps the newest messages for those who come later (transient local), or wants them.
    pub lasting: bool,
    /// Promises, or wants, a message at least so often.
    pub deadline: bool,
}

/// What is there.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// Everybody who publishes, sorted.
    pub writers: Vec<Endpoint>,
    /// Everybody who subscribes, sorted.
    pub readers: Vec<Endpoint>,
    /// The topics that an agent reads, with what arrived since the observer's start.
    pub expected: Vec<TopicHealth>,
}

/// Listens. Dropping it ends the connection.
pub struct Observer {
    _intake: Intake,
    counters: Counters,
    ros: Ros,
}

impl Observer {
    /// Joins the domain. `deliver` gets each message of the expected topics with its arrival, as
    /// [`crate::agent::Base::connect`] tells.
    pub fn connect(
        config: &Config,
        deliver: impl FnMut(Inbound, MonoNs) + Send + 'static,
    ) -> Result<Self, ConnectError> {
        let mut ros = Ros::connect(config)?;
        let counters = Counters::default();
        let mut sources = Sources::new(counters.clone());
        sensors(&mut sources, &mut ros, config)?;
        Ok(Self { _intake: sources.start(Duration::ZERO, deliver)?, counters, ros })
    }

    /// What is known by now. Others are found within a second or two of the start.
    pub fn survey(&self) -> Survey {
        let (writers, readers) = self.ros.endpoints();
        Survey { writers, readers, expected: self.counters.health(Some(&self.ros)) }
    }
}

/// `rt/odom` is `/odom` in ROS; what is no topic of ROS has no such name.
pub(crate) fn ros_topic(dds: &str) -> Option<String> {
    dds.strip_prefix("rt").filter(|rest| rest.starts_with('/')).map(ToOwned::to_owned)
}

/// `nav_msgs::msg::dds_::Odometry_` is `nav_msgs/msg/Odometry` in ROS.
pub(crate) fn ros_type(dds: &str) -> String {
    let parts: Vec<&str> = dds.split("::").filter(|part| *part != "dds_").collect();
    parts.join("/").trim_end_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_ros() {
        assert_eq!(ros_topic("rt/camera/image").as_deref(), Some("/camera/image"));
        assert_eq!(ros_topic("rq/service"), None);
        assert_eq!(ros_topic("rtx"), None);
        assert_eq!(ros_type("nav_msgs::msg::dds_::Odometry_"), "nav_msgs/msg/Odometry");
        assert_eq!(ros_type("Plain"), "Plain");
    }
}
