//! Publishing without ever waiting.

use crate::config::ConnectError;
use crate::node::Ros;
use crate::qos::Reliability;
use ros_msgs::RosMessage;
use ros2_client::{Publisher, WriteError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a message did not go out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error("DDS did not take a message for {topic}: {reason}")]
pub struct PublishError {
    /// The topic.
    pub topic: String,
    /// What DDS says.
    pub reason: String,
}

/// How many messages a publisher has handed to DDS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Sent reliably.
    pub reliable: u64,
    /// Sent best-effort only: a reliable subscriber had stopped acknowledging (it is frozen, cut off, or dead and
    /// not yet forgotten by DDS), or DDS itself was held up. Reliable subscribers miss these, and a base must then
    /// time out.
    pub best_effort: u64,
    /// Not sent.
    pub failed: u64,
}

/// What outlasts a connection.
#[derive(Default)]
pub(crate) struct Tally {
    reliable: AtomicU64,
    best_effort: AtomicU64,
    failed: AtomicU64,
}

impl Tally {
    pub(crate) fn sent(&self) -> Sent {
        Sent {
            reliable: self.reliable.load(Ordering::Relaxed),
            best_effort: self.best_effort.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// A writer of commands: reliable, since a reliable subscriber matches no other, and never held up by one
/// subscriber that does not acknowledge.
pub(crate) struct Outlet<M: RosMessage> {
    topic: String,
    /// None where the configuration wants best effort only.
    reliable: Option<Publisher<M>>,
    /// Reaches only best-effort subscribers. Silent while `reliable` takes everything, so nobody gets a command
    /// twice.
    spare: Publisher<M>,
    tally: Arc<Tally>,
}

impl<M: RosMessage> Outlet<M> {
    pub(crate) fn new(ros: &mut Ros, topic: &str, tally: Arc<Tally>) -> Result<Self, ConnectError> {
        let wanted = ros.qos_of(topic).reliability != Some(Reliability::BestEffort);
        Ok(Self {
            topic: topic.to_owned(),
            reliable: if wanted { Some(ros.publish_reliable(topic)?) } else { None },
            spare: ros.publish_best_effort(topic, 1)?,
            tally,
        })
    }

    pub(crate) fn send(&self, message: M) -> Result<(), PublishError> {
        let Some(reliable) = &self.reliable else {
            self.tally.best_effort.fetch_add(1, Ordering::Relaxed);
            return self.spare.publish(message).or_else(|error| self.fail(&error));
        };
        let message = match reliable.publish(message) {
            Ok(()) => {
                self.tally.reliable.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            Err(WriteError::WouldBlock { data }) => data,
            Err(error) => return self.fail(&error),
        };
        let before = self.tally.best_effort.fetch_add(1, Ordering::Relaxed);
        if before.is_multiple_of(500) {
            tracing::warn!(
                topic = self.topic,
                count = before + 1,
                "a reliable subscriber does not acknowledge, or DDS is held up; sent best-effort only"
            );
        }
        self.spare.publish(message).or_else(|error| self.fail(&error))
    }

    fn fail<D>(&self, error: &WriteError<D>) -> Result<(), PublishError> {
        self.tally.failed();
        Err(publish_error(&self.topic, error))
    }
}

/// The connection is being made anew.
pub(crate) fn reconnecting(topic: &str) -> PublishError {
    PublishError { topic: topic.to_owned(), reason: "the connection is being made anew".to_owned() }
}

pub(crate) fn publish_error<D>(topic: &str, error: &WriteError<D>) -> PublishError {
    let reason = match error {
        WriteError::Serialization { reason, .. }
        | WriteError::Poisoned { reason, .. }
        | WriteError::Internal { reason }
        | WriteError::Middleware { reason, .. } => reason.clone(),
        WriteError::Io(source) => source.to_string(),
        WriteError::WouldBlock { .. } => "its window is full".to_owned(),
    };
    PublishError { topic: topic.to_owned(), reason }
}
