//! Keeps a connection alive across a freeze of the process.
//!
//! When a process is stopped and continued (`SIGSTOP`, a debugger) or the machine sleeps, Linux lets every waiting
//! `epoll_wait` fail with `EINTR`. RustDDS takes that as fatal: its two threads end, and the participant stays
//! deaf and mute for ever. One thread here waits in the same way, so the same thing happens to it, and it then
//! makes the connection anew.

use crate::config::ConnectError;
use crate::priority;
use ros2_client::dds::rustdds::mio1::{Events, Poll, Token, Waker};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A wait that took this much longer than it should was a freeze, should it ever come without `EINTR`.
const FROZEN: Duration = Duration::from_secs(3);
/// Between attempts to connect again.
const RETRY: Duration = Duration::from_secs(1);

type Slot<L> = Arc<Mutex<Option<Arc<L>>>>;

/// A connection that is replaced when it may have died.
pub(crate) struct Kept<L> {
    slot: Slot<L>,
    stopping: Arc<AtomicBool>,
    wake: Waker,
    thread: Option<JoinHandle<()>>,
}

fn lock<L>(slot: &Slot<L>) -> MutexGuard<'_, Option<Arc<L>>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<L: Send + Sync + 'static> Kept<L> {
    pub(crate) fn start(
        make: impl FnMut() -> Result<L, ConnectError> + Send + 'static,
    ) -> Result<Self, ConnectError> {
        let error = |source| ConnectError::Thread { source };
        let slot: Slot<L> = Arc::default();
        let poll = Poll::new().map_err(error)?;
        let wake = Waker::new(poll.registry(), Token(0)).map_err(error)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let mut keeper = Keeper {
            slot: Arc::clone(&slot),
            stopping: Arc::clone(&stopping),
            poll,
            events: Events::with_capacity(1),
            make,
        };
        let (tell, told) = sync_channel(1);
        let thread = Builder::new()
            .name("ros-keeper".to_owned())
            .spawn(move || {
                // The threads of DDS and the intake are started from here, and inherit it.
                let raised = priority::raise();
                tracing::debug!(raised, "priority of the control path");
                let first = keeper.connect();
                let connected = first.is_ok();
                if tell.send(first).is_ok() && connected {
                    keeper.run();
                }
            })
            .map_err(error)?;
        let kept = Self { slot, stopping, wake, thread: Some(thread) };
        match told.recv() {
            Ok(first) => first.map(|()| kept),
            Err(_panicked) => {
                Err(error(std::io::Error::other("the thread that connects to ROS panicked")))
            }
        }
    }

    /// The connection; none while it is made anew. The lock is only ever held for a pointer's copy.
    pub(crate) fn get(&self) -> Option<Arc<L>> {
        lock(&self.slot).clone()
    }
}

impl<L> Drop for Kept<L> {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        let own = |thread: &JoinHandle<()>| thread.thread().id() == std::thread::current().id();
        if let Err(error) = self.wake.wake() {
            tracing::warn!(%error, "the thread that keeps the ROS connection ends a little later");
        }
        if let Some(thread) = self.thread.take().filter(|thread| !own(thread))
            && thread.join().is_err()
        {
            tracing::error!("the thread that keeps the ROS connection had panicked");
        }
        drop(lock(&self.slot).take());
    }
}

struct Keeper<L, M> {
    slot: Slot<L>,
    stopping: Arc<AtomicBool>,
    poll: Poll,
    events: Events,
    make: M,
}

impl<L, M: FnMut() -> Result<L, ConnectError>> Keeper<L, M> {
    fn connect(&mut self) -> Result<(), ConnectError> {
        let connection = (self.make)()?;
        *lock(&self.slot) = Some(Arc::new(connection));
        Ok(())
    }

    fn run(&mut self) {
        while !self.stopping.load(Ordering::Acquire) {
            if self.wait_noticed_freeze(LOOK_EVERY) {
                tracing::warn!("this process was frozen; connecting to ROS again");
                self.replace();
            }
        }
    }

    fn wait_noticed_freeze(&mut self, wait: Duration) -> bool {
        let start = Instant::now();
        match self.poll.poll(&mut self.events, Some(wait)) {
            Ok(()) => start.elapsed() > wait + FROZEN,
            Err(error) => error.kind() == ErrorKind::Interrupted,
        }
    }

    /// The old connection goes first: it holds ports that the new one wants.
    fn replace(&mut self) {
        let mut old = lock(&self.slot).take();
        // Whoever is publishing has it for some microseconds more. It must not be taken apart on their thread.
        while let Some(connection) = old.take() {
            match Arc::try_unwrap(connection) {
                Ok(connection) => drop(connection),
                Err(connection) => {
                    old = Some(connection);
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        while !self.stopping.load(Ordering::Acquire) {
            match self.connect() {
                Ok(()) => {
                    tracing::info!("connected to ROS again");
                    return;
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "no ROS connection");
                    self.wait_noticed_freeze(RETRY);
                }
            }
        }
    }
}
