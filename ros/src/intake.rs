//! One thread that waits on all subscriptions of a node, stamps what arrives and hands it over.

use crate::clock::mono_ns;
use crate::config::ConnectError;
use crate::exact::Exact;
use crate::node::Ros;
use protocol::units::MonoNs;
use ros_msgs::RosMessage;
use ros2_client::dds::rustdds::mio1::{Events, Interest, Poll, Registry, Token, Waker};
use ros2_client::qos::{Reliability, WhenFull};
use ros2_client::{ReadError, Subscription};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

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
    /// It speaks only when something changes: its silence says nothing.
    pub on_change: bool,
}

struct Counter {
    topic: String,
    message: &'static str,
    received: AtomicU64,
    malformed: AtomicU64,
    /// Zero: nothing yet. The monotonic clock is past zero long before any program runs.
    newest_ns: AtomicU64,
    on_change: bool,
}

/// What outlasts a connection: the counts, one for each topic in the order of their subscription.
#[derive(Clone, Default)]
pub(crate) struct Counters(Arc<Mutex<Vec<Arc<Counter>>>>);

impl Counters {
    fn of(&self, topic: &str, message: &'static str, on_change: bool) -> Arc<Counter> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.iter().find(|c| c.topic == topic && c.message == message).cloned();
        known.unwrap_or_else(|| {
            let counter = Arc::new(Counter {
                topic: topic.to_owned(),
                message,
                received: AtomicU64::new(0),
                malformed: AtomicU64::new(0),
                newest_ns: AtomicU64::new(0),
                on_change,
            });
            all.push(Arc::clone(&counter));
            counter
        })
    }

    /// `ros` is none while the connection is made anew.
    pub(crate) fn health(&self, ros: Option<&Ros>) -> Vec<TopicHealth> {
        let health = |counter: &Arc<Counter>| {
            let newest_ns = counter.newest_ns.load(Ordering::Acquire);
            TopicHealth {
                topic: counter.topic.clone(),
                message: counter.message,
                received: counter.received.load(Ordering::Relaxed),
                malformed: counter.malformed.load(Ordering::Relaxed),
                newest: (newest_ns != 0).then_some(MonoNs(newest_ns)),
                publishers: ros.map_or(0, |ros| ros.publishers_of(&counter.topic, counter.message)),
                on_change: counter.on_change,
            }
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(health).collect()
    }
}

// Polled, not `async`: the library's streams never empty the pipe through which a subscription signals, and once
// that is full every message costs a failed write and a line in the log.
trait Source<E>: Send {
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()>;
    fn take(&self) -> Result<Option<E>, ReadError>;
}

struct Typed<M: 'static, E> {
    subscription: Subscription<Exact<M>>,
    wrap: Wrap<M, E>,
}

type Wrap<M, E> = Box<dyn Fn(M) -> E + Send>;

impl<M: RosMessage + Send + 'static, E> Source<E> for Typed<M, E> {
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.subscription, token, Interest::READABLE)
    }

    fn take(&self) -> Result<Option<E>, ReadError> {
        let taken = self.subscription.take()?;
        Ok(taken.map(|(Exact(message), _info)| (self.wrap)(message)))
    }
}

/// Copies of one callback for one connection after the other. The lock is never contended: the thread of the old
/// connection has ended before the new one's begins.
pub(crate) fn shared<E, D: FnMut(E, MonoNs) + Send + 'static>(
    deliver: D,
) -> impl Fn() -> Box<dyn FnMut(E, MonoNs) + Send> {
    let deliver = Arc::new(Mutex::new(deliver));
    move || {
        let deliver = Arc::clone(&deliver);
        Box::new(move |message, arrived| {
            let mut deliver = deliver.lock().unwrap_or_else(PoisonError::into_inner);
            deliver(message, arrived);
        })
    }
}

/// The subscriptions before their thread runs.
pub(crate) struct Sources<E> {
    sources: Vec<Box<dyn Source<E>>>,
    taken: Vec<Arc<Counter>>,
    counters: Counters,
}

impl<E: 'static> Sources<E> {
    pub(crate) fn new(counters: Counters) -> Self {
        Self { sources: Vec::new(), taken: Vec::new(), counters }
    }

    pub(crate) fn add<M: RosMessage + Send + 'static>(
        &mut self,
        ros: &mut Ros,
        topic: &str,
        depth: usize,
        wrap: impl Fn(M) -> E + Send + 'static,
    ) -> Result<(), ConnectError> {
        self.add_with(ros, topic, depth, Reliability::BestEffort, Box::new(wrap))
    }

    /// For what is said once and not again: a reliable reader, which only reliable writers match.
    pub(crate) fn add_reliable<M: RosMessage + Send + 'static>(
        &mut self,
        ros: &mut Ros,
        topic: &str,
        depth: usize,
        wrap: impl Fn(M) -> E + Send + 'static,
    ) -> Result<(), ConnectError> {
        let reliability = Reliability::Reliable { when_full: WhenFull::Fail };
        self.add_with(ros, topic, depth, reliability, Box::new(wrap))
    }

    fn add_with<M: RosMessage + Send + 'static>(
        &mut self,
        ros: &mut Ros,
        topic: &str,
        depth: usize,
        reliability: Reliability,
        wrap: Wrap<M, E>,
    ) -> Result<(), ConnectError> {
        let on_change = reliability != Reliability::BestEffort;
        let subscription = ros.subscribe::<M>(topic, depth, reliability)?;
        self.sources.push(Box::new(Typed { subscription, wrap }));
        self.taken.push(self.counters.of(topic, M::NAME, on_change));
        Ok(())
    }

    /// Starts the thread. It ends when the [`Intake`] is dropped. Between one look and the next lies `pause`: what
    /// comes meanwhile is taken in one go, which costs a fraction of a wake-up for each message.
    pub(crate) fn start(
        mut self,
        pause: Duration,
        deliver: impl FnMut(E, MonoNs) + Send + 'static,
    ) -> Result<Intake, ConnectError> {
        let thread = |source| ConnectError::Thread { source };
        let poll = Poll::new().map_err(thread)?;
        for (index, source) in self.sources.iter_mut().enumerate() {
            source.register(poll.registry(), Token(index)).map_err(thread)?;
        }
        let wake = Waker::new(poll.registry(), Token(self.sources.len())).map_err(thread)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let mut reader = Reader {
            poll,
            signalled: vec![false; self.sources.len()],
            sources: self.sources,
            counters: self.taken,
            stopping: Arc::clone(&stopping),
            pause,
            deliver,
        };
        let handle = Builder::new()
            .name("ros-intake".to_owned())
            .spawn(move || reader.run())
            .map_err(thread)?;
        Ok(Intake { stopping, wake, thread: Some(handle) })
    }
}

struct Reader<E, D> {
    poll: Poll,
    sources: Vec<Box<dyn Source<E>>>,
    /// Which sources may have something.
    signalled: Vec<bool>,
    counters: Vec<Arc<Counter>>,
    stopping: Arc<AtomicBool>,
    pause: Duration,
    deliver: D,
}

impl<E, D: FnMut(E, MonoNs)> Reader<E, D> {
    fn run(&mut self) {
        let mut events = Events::with_capacity(16);
        while !self.stopping.load(Ordering::Acquire) {
            match self.poll.poll(&mut events, None) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    // The topics go silent, which their readers notice; there is nothing else to do here.
                    tracing::error!(%error, "waiting for ROS messages failed");
                    return;
                }
            }
            // Signals come once for all that has arrived, and looking at a topic without one costs a system call. One
            // message of each topic in turn, until all are empty: a topic that floods delays the others by one
            // message, not more.
            for event in &events {
                if let Some(signalled) = self.signalled.get_mut(event.token().0) {
                    *signalled = true;
                }
            }
            while !self.stopping.load(Ordering::Acquire) && self.take_round() {}
            if !self.pause.is_zero() {
                std::thread::sleep(self.pause);
            }
        }
    }

    /// Takes at most one message of each topic; false when there was none.
    fn take_round(&mut self) -> bool {
        let mut any = false;
        let all = self.sources.iter().zip(&self.counters).zip(&mut self.signalled);
        for ((source, counter), signalled) in all {
            if !*signalled {
                continue;
            }
            match source.take() {
                Ok(None) => *signalled = false,
                Ok(Some(message)) => {
                    let now = mono_ns();
                    counter.received.fetch_add(1, Ordering::Relaxed);
                    counter.newest_ns.store(now.0, Ordering::Release);
                    (self.deliver)(message, now);
                }
                Err(error) => {
                    counter.refuse(&error);
                    // After these the next sample may be well. After others, such as `Closed`, there is none.
                    *signalled =
                        matches!(error, ReadError::Deserialization { .. } | ReadError::Malformed);
                }
            }
            any |= *signalled;
        }
        any
    }
}

impl Counter {
    fn refuse(&self, error: &ReadError) {
        let count = self.malformed.fetch_add(1, Ordering::Relaxed) + 1;
        // The 1st, 2nd, 4th, 8th …: a wrong publisher sends hundreds a second.
        if count.is_power_of_two() {
            let (topic, expected) = (&self.topic, self.message);
            tracing::warn!(topic, expected, count, ?error, "unreadable ROS message");
        }
    }
}

pub(crate) struct Intake {
    stopping: Arc<AtomicBool>,
    wake: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        let own = |thread: &JoinHandle<()>| thread.thread().id() == std::thread::current().id();
        if self.thread.as_ref().is_some_and(own) {
            // The last owner was the callback. The thread ends when it returns; it can't wait for itself.
            return;
        }
        if let Err(error) = self.wake.wake() {
            // Joining it would hang; it ends with the process.
            tracing::error!(%error, "could not wake the thread that reads ROS topics");
            return;
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that reads ROS topics had panicked");
        }
    }
}
