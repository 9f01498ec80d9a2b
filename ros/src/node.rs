//! Makes the participant, the node and its endpoints.

use crate::config::{Config, ConnectError, DOMAIN_ID_MAX};
use crate::exact::Exact;
use crate::qos::{self, Qos, QosOfTopics};
use crate::survey::{Endpoint, ros_topic, ros_type};
use ros_msgs::RosMessage;
use ros2_client::dds::rustdds::TopicKind;
use ros2_client::dds::rustdds::discovery::PublicationBuiltinTopicData;
use ros2_client::qos::{Durability, History, Reliability, WhenFull};
use ros2_client::ros2::{Duration, QosPolicies, policy};
use ros2_client::{
    Context, ContextOptions, MessageTypeName, Name, Node, NodeName, NodeOptions, Publisher,
    QosProfile, Subscription,
};
use std::error::Error;

/// How many commands may wait for the acknowledgement of a reliable reader. DDS would hold thousands and deliver
/// all of them, in order, after an outage: the base would then obey orders that are seconds old. These few are
/// superseded by the newest within one period.
const UNACKNOWLEDGED_MAX: i32 = 8;

pub(crate) struct Ros {
    node: Node,
    name: NodeName,
    context: Context,
    of_topics: QosOfTopics,
}

pub(crate) fn dds<E: Error + Send + Sync + 'static>(
    what: impl Into<String>,
) -> impl FnOnce(E) -> ConnectError {
    let what = what.into();
    move |source| ConnectError::Dds { what, source: Box::new(source) }
}

pub(crate) fn bad_name(name: &str, reason: impl std::fmt::Debug) -> ConnectError {
    ConnectError::Name { name: name.to_owned(), reason: format!("{reason:?}") }
}

fn qos(reliability: Reliability, depth: usize, asked: Qos) -> QosProfile {
    let durability = match asked.durability {
        None | Some(qos::Durability::Volatile) => Durability::Volatile,
        Some(qos::Durability::TransientLocal) => Durability::TransientLocal,
    };
    QosProfile::subscription_default()
        .reliability(reliability)
        .durability(durability)
        .history(History::KeepLast { depth })
}

impl Ros {
    /// What is configured for a topic.
    pub(crate) fn qos_of(&self, topic: &str) -> Qos {
        self.of_topics.get(topic).copied().unwrap_or_default()
    }

    pub(crate) fn connect(config: &Config) -> Result<Self, ConnectError> {
        if config.domain_id > DOMAIN_ID_MAX {
            return Err(ConnectError::Domain { domain_id: config.domain_id });
        }
        let name = NodeName::new("/", &config.node_name)
            .map_err(|reason| bad_name(&config.node_name, reason))?;
        let options = ContextOptions::new().domain_id(config.domain_id);
        let context = Context::with_options(options).map_err(dds("participant"))?;
        // Neither the log topic nor parameters: six services and a writer that nobody here needs. Without them
        // no spinner is needed either.
        let quiet = NodeOptions::new().enable_rosout(false).start_parameter_services(false);
        let node = context.new_node(name.clone(), quiet).map_err(dds("node"))?;
        Ok(Self { node, name, context, of_topics: config.qos.clone() })
    }

    /// A reader. A best-effort one matches writers of either kind, a reliable one gets everything of reliable
    /// writers.
    pub(crate) fn subscribe<M: RosMessage + 'static>(
        &mut self,
        topic: &str,
        depth: usize,
        reliability: Reliability,
    ) -> Result<Subscription<Exact<M>>, ConnectError> {
        let asked = self.qos_of(topic);
        let reliability = match asked.reliability {
            None => reliability,
            Some(qos::Reliability::BestEffort) => Reliability::BestEffort,
            Some(qos::Reliability::Reliable) => Reliability::Reliable { when_full: WhenFull::Fail },
        };
        let qos = qos(reliability, asked.depth.map_or(depth, usize::from), asked);
        let what = || format!("subscription to {topic}");
        let dds_topic = self
            .node
            .create_topic(&topic_name(topic)?, type_name::<M>(), &qos)
            .map_err(dds(what()))?;
        self.node.create_subscription(&dds_topic, Some(qos)).map_err(dds(what()))
    }

    /// A best-effort writer, as sensor drivers are: it never waits for anybody.
    pub(crate) fn publish_best_effort<M: RosMessage>(
        &mut self,
        topic: &str,
        depth: usize,
    ) -> Result<Publisher<M>, ConnectError> {
        let qos = qos(Reliability::BestEffort, depth, self.qos_of(topic));
        let what = || format!("publisher of {topic}");
        let dds_topic = self
            .node
            .create_topic(&topic_name(topic)?, type_name::<M>(), &qos)
            .map_err(dds(what()))?;
        self.node.create_publisher(&dds_topic, Some(qos)).map_err(dds(what()))
    }

    /// A reliable writer that refuses instead of waiting and holds few samples for repair.
    pub(crate) fn publish_reliable<M: RosMessage>(
        &mut self,
        topic: &str,
    ) -> Result<Publisher<M>, ConnectError> {
        let what = || format!("publisher of {topic}");
        let asked = self.qos_of(topic);
        let profile = qos(Reliability::Reliable { when_full: WhenFull::Fail }, 1, asked);
        let unacknowledged_max = asked.depth.map_or(UNACKNOWLEDGED_MAX, i32::from);
        let mut builder = QosPolicies::builder();
        builder = builder.resource_limits(policy::ResourceLimits {
            max_samples: unacknowledged_max,
            max_instances: 1,
            max_samples_per_instance: unacknowledged_max,
        });
        let qos = QosPolicies::from(profile).modify_by(&builder.build());
        // By the participant, because a topic of the node can't carry resource limits.
        let dds_topic = self
            .context
            .domain_participant()
            .create_topic(
                topic_name(topic)?.to_dds_name("rt", &self.name, ""),
                type_name::<M>().dds_msg_type(),
                &qos,
                TopicKind::NoKey,
            )
            .map_err(dds(what()))?;
        self.node.create_publisher(&dds_topic, None).map_err(dds(what()))
    }

    /// How many publishers of `topic` with this type are known.
    pub(crate) fn publishers_of(&self, topic: &str, message: &str) -> usize {
        let (topic, type_name) = (format!("rt{topic}"), message_type(message).dds_msg_type());
        let writers = self.context.domain_participant().discovered_writers();
        let matches = |data: &PublicationBuiltinTopicData| {
            data.topic_name == topic && data.type_name == type_name
        };
        writers.iter().filter(|writer| matches(&writer.publication_topic_data)).count()
    }

    /// Everybody outside of this process who writes or reads a topic of ROS, sorted.
    pub(crate) fn endpoints(&self) -> (Vec<Endpoint>, Vec<Endpoint>) {
        let participant = self.context.domain_participant();
        let endpoint = |topic: &str, message: &str, qos: &QosPolicies| {
            Some(Endpoint {
                topic: ros_topic(topic)?,
                message: ros_type(message),
                reliable: matches!(qos.reliability(), Some(policy::Reliability::Reliable { .. })),
                lasting: !matches!(qos.durability(), None | Some(policy::Durability::Volatile)),
                deadline: qos.deadline().is_some_and(|deadline| deadline.0 != Duration::INFINITE),
            })
        };
        let writers = participant.discovered_writers().into_iter().filter_map(|writer| {
            let data = writer.publication_topic_data;
            endpoint(&data.topic_name, &data.type_name, &data.qos())
        });
        let readers = participant.discovered_readers().into_iter().filter_map(|reader| {
            let data = reader.subscription_topic_data;
            endpoint(data.topic_name(), data.type_name(), &data.qos())
        });
        let (mut writers, mut readers): (Vec<_>, Vec<_>) = (writers.collect(), readers.collect());
        writers.sort();
        readers.sort();
        (writers, readers)
    }

    pub(crate) fn node_mut(&mut self) -> &mut Node {
        &mut self.node
    }

    /// How many subscriptions to `topic` are known.
    pub(crate) fn subscriptions_to(&self, topic: &str) -> usize {
        self.node.subscription_count(topic)
    }
}

pub(crate) fn topic_name(topic: &str) -> Result<Name, ConnectError> {
    if !topic.starts_with('/') {
        return Err(bad_name(topic, "begin it with a slash"));
    }
    Name::parse(topic).map_err(|reason| bad_name(topic, reason))
}

fn type_name<M: RosMessage>() -> MessageTypeName {
    message_type(M::NAME)
}

/// `nav_msgs/msg/Odometry` is package `nav_msgs`, type `Odometry`.
fn message_type(full_name: &str) -> MessageTypeName {
    let package = full_name.split('/').next().unwrap_or_default();
    let name = full_name.rsplit('/').next().unwrap_or_default();
    MessageTypeName::new(package, name)
}
