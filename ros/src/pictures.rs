//! Pictures that the driver of a camera publishes.
//!
//! **Each topic has a participant and threads of its own, of ordinary priority**: putting the pieces of big pictures
//! together delays neither the intake of the drive's sensors nor another camera.

use crate::config::{Config, ConnectError};
use crate::intake::{Counters, Intake, Sources, TopicHealth, shared};
use crate::keeper::{Kept, Priority};
use crate::node::Ros;
use crate::qos::{Qos, QosOfTopics, Reliability};
use crate::survey::Endpoint;
use protocol::units::MonoNs;
use ros_msgs::RosMessage;
use ros_msgs::builtin_interfaces::Time;
use ros_msgs::sensor_msgs::{CompressedImage, Image};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Pictures that may wait while one is handed over: only the newest is worth showing.
const DEPTH: usize = 2;

/// The message that carries pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PictureType {
    /// `sensor_msgs/msg/CompressedImage`.
    #[default]
    CompressedImage,
    /// `sensor_msgs/msg/Image`.
    Image,
}

impl PictureType {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::CompressedImage, Self::Image];

    /// The full name of the type.
    pub const fn message(self) -> &'static str {
        match self {
            Self::CompressedImage => CompressedImage::NAME,
            Self::Image => Image::NAME,
        }
    }

    /// As a configuration names it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::CompressedImage => "compressed_image",
            Self::Image => "image",
        }
    }
}

/// A topic of pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureTopic {
    /// DDS domain.
    pub domain_id: u16,
    /// Name of the node that reads it.
    pub node_name: String,
    /// Name of the topic, absolute.
    pub topic: String,
    /// Its type.
    pub message: PictureType,
    /// How it is read: best effort, unless it says otherwise.
    pub reliability: Option<Reliability>,
}

/// One picture, as it came: nothing about it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picture {
    /// A file.
    Compressed(CompressedImage),
    /// Rows of pixels.
    Raw(Image),
}

impl Picture {
    /// When it was taken, by the clock of its driver.
    pub fn stamp(&self) -> Time {
        match self {
            Self::Compressed(picture) => picture.header.stamp,
            Self::Raw(picture) => picture.header.stamp,
        }
    }
}

/// One connection. Dropped in this order: the reader's thread first, the node last.
struct Link {
    _intake: Intake,
    ros: Ros,
}

impl Link {
    fn connect(
        from: &PictureTopic,
        counters: Counters,
        deliver: impl FnMut(Picture, MonoNs) + Send + 'static,
    ) -> Result<Self, ConnectError> {
        let qos = Qos { reliability: from.reliability, ..Qos::default() };
        let qos = QosOfTopics::from([(from.topic.clone(), qos)]);
        let mut ros =
            Ros::connect(&Config { qos, ..Config::new(from.domain_id, &from.node_name) })?;
        let mut sources = Sources::new(counters);
        match from.message {
            PictureType::CompressedImage => {
                sources.add(&mut ros, &from.topic, DEPTH, Picture::Compressed)?;
            }
            PictureType::Image => sources.add(&mut ros, &from.topic, DEPTH, Picture::Raw)?,
        }
        Ok(Self { _intake: sources.start(Duration::ZERO, deliver)?, ros })
    }
}

/// A subscription to pictures. Dropping it ends it.
pub struct Pictures {
    link: Kept<Link>,
    counters: Counters,
    topic: String,
}

impl Pictures {
    /// Joins the domain and starts to read. `deliver` gets each picture with its arrival on a thread of its own; what
    /// comes while it runs is overwritten by what is newer.
    ///
    /// A topic that nobody publishes is no error. After a freeze of the process the connection is made anew.
    pub fn connect(
        from: &PictureTopic,
        deliver: impl FnMut(Picture, MonoNs) + Send + 'static,
    ) -> Result<Self, ConnectError> {
        let counters = Counters::default();
        let (kept_counters, kept_from, deliver) = (counters.clone(), from.clone(), shared(deliver));
        let make = move || Link::connect(&kept_from, kept_counters.clone(), deliver());
        let link = Kept::start_at(Priority::Ordinary, make)?;
        Ok(Self { link, counters, topic: from.topic.clone() })
    }

    /// What is known about the topic. Walks the discovery data.
    pub fn health(&self) -> Option<TopicHealth> {
        let link = self.link.get();
        self.counters.health(link.as_ref().map(|link| &link.ros)).pop()
    }

    /// Who publishes the topic, of whatever type. Walks the discovery data.
    pub fn publishers(&self) -> Vec<Endpoint> {
        let Some(link) = self.link.get() else { return Vec::new() };
        let (mut writers, _readers) = link.ros.endpoints();
        writers.retain(|writer| writer.topic == self.topic);
        writers
    }
}
