//! One thread that waits on all subscriptions of a node, stamps what arrives and hands it over.

use crate::clock::mono_ns;
use crate::config::ConnectError;
use crate::exact::Exact;
use crate::node::Ros;
use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::ready;
use futures::stream::{LocalBoxStream, StreamExt, select_all};
use protocol::units::MonoNs;
use ros_msgs::RosMessage;
use ros2_client::{ReadError, Subscription};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};

/// What is known about a subscribed topic. Its age is the caller's `now` less [`TopicHealth::newest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicHealth {
    /// Name of the topic.
    pub topic: String,
    /// Type of its messages, for example `nav_msgs/msg/Odometry`.
    pub message: &'static str,
    /// Messages taken since the connection.
    pub received: u64,
    /// Messages that could not be read: somebody publishes another type under this name.
    pub malformed: u64,
    /// Arrival of the newest message.
    pub newest: Option<MonoNs>,
    /// Publishers of this type that discovery knows. None: the driver is not running, or in another domain.
    pub publishers: usize,
}

struct Counter {
    topic: String,
    message: &'static str,
    received: AtomicU64,
    malformed: AtomicU64,
    /// Zero: nothing yet. The monotonic clock is past zero long before any program runs.
    newest_ns: AtomicU64,
}

trait Source<E>: Send {
    fn stream(&self) -> LocalBoxStream<'_, Result<E, ReadError>>;
}

struct Typed<M, E> {
    subscription: Subscription<Exact<M>>,
    wrap: fn(M) -> E,
}

impl<M: RosMessage + Send + 'static, E> Source<E> for Typed<M, E> {
    fn stream(&self) -> LocalBoxStream<'_, Result<E, ReadError>> {
        let wrap = self.wrap;
        self.subscription
            .async_stream()
            .map(move |taken| taken.map(|(Exact(message), _info)| wrap(message)))
            .boxed_local()
    }
}

/// The subscriptions before their thread runs.
pub(crate) struct Sources<E> {
    sources: Vec<Box<dyn Source<E>>>,
    counters: Vec<Counter>,
}

impl<E: 'static> Sources<E> {
    pub(crate) fn new() -> Self {
        Self { sources: Vec::new(), counters: Vec::new() }
    }

    pub(crate) fn add<M: RosMessage + Send + 'static>(
        &mut self,
        ros: &mut Ros,
        topic: &str,
        depth: usize,
        wrap: fn(M) -> E,
    ) -> Result<(), ConnectError> {
        let subscription = ros.subscribe::<M>(topic, depth)?;
        self.sources.push(Box::new(Typed { subscription, wrap }));
        self.counters.push(Counter {
            topic: topic.to_owned(),
            message: M::NAME,
            received: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
            newest_ns: AtomicU64::new(0),
        });
        Ok(())
    }

    /// Starts the thread. It ends when the [`Intake`] is dropped.
    pub(crate) fn start(
        self,
        deliver: impl FnMut(E, MonoNs) + Send + 'static,
    ) -> Result<Intake, ConnectError> {
        let counters: Arc<[Counter]> = self.counters.into();
        let (stop, stopped) = oneshot::channel();
        let (sources, seen) = (self.sources, Arc::clone(&counters));
        let thread = Builder::new()
            .name("ros-intake".to_owned())
            .spawn(move || read(&sources, &seen, stopped, deliver))
            .map_err(|source| ConnectError::Thread { source })?;
        Ok(Intake { counters, stop: Some(stop), thread: Some(thread) })
    }
}

fn read<E>(
    sources: &[Box<dyn Source<E>>],
    counters: &[Counter],
    stopped: oneshot::Receiver<()>,
    mut deliver: impl FnMut(E, MonoNs),
) {
    let streams = sources
        .iter()
        .zip(counters)
        .map(|(source, counter)| source.stream().map(move |taken| (counter, taken)).boxed_local());
    block_on(select_all(streams).take_until(stopped).for_each(|(counter, taken)| {
        let now = mono_ns();
        match taken {
            Ok(message) => {
                counter.received.fetch_add(1, Ordering::Relaxed);
                counter.newest_ns.store(now.0, Ordering::Release);
                deliver(message, now);
            }
            Err(error) => {
                let before = counter.malformed.fetch_add(1, Ordering::Relaxed);
                // The 1st, 2nd, 4th, 8th …: a wrong publisher sends hundreds a second.
                if (before + 1).is_power_of_two() {
                    let (topic, expected, count) = (&counter.topic, counter.message, before + 1);
                    tracing::warn!(topic, expected, count, ?error, "unreadable ROS message");
                }
            }
        }
        ready(())
    }));
}

pub(crate) struct Intake {
    counters: Arc<[Counter]>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Intake {
    pub(crate) fn health(&self, ros: &Ros) -> Vec<TopicHealth> {
        let health = |counter: &Counter| {
            let newest_ns = counter.newest_ns.load(Ordering::Acquire);
            TopicHealth {
                topic: counter.topic.clone(),
                message: counter.message,
                received: counter.received.load(Ordering::Relaxed),
                malformed: counter.malformed.load(Ordering::Relaxed),
                newest: (newest_ns != 0).then_some(MonoNs(newest_ns)),
                publishers: ros.publishers_of(&counter.topic, counter.message),
            }
        };
        self.counters.iter().map(health).collect()
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        // Closing the channel is the signal.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that reads ROS topics had panicked");
        }
    }
}
