//! Keeps a connection alive across a freeze of the process.
//!
//! When a process is stopped and continued (`SIGSTOP`, a debugger) or the machine sleeps, Linux lets every waiting
//! `epoll_wait` fail with `EINTR`. RustDDS takes that as fatal: its two threads end, and the participant stays
//! deaf and mute for ever. One thread here waits in the same way, so the same thing happens to it, and it then
//! makes the connection anew.
//!
//! The same is done when the wall clock was set back: RustDDS keeps what it received in the order of that clock, so
//! its readers find nothing new until the clock has come again to where it was.

use crate::config::ConnectError;
use crate::priority;
use ros2_client::dds::rustdds::mio1::{Events, Poll, Token, Waker};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A wait that took this much longer than it should was a freeze, should it ever come without `EINTR`.
const FROZEN: Duration = Duration::from_secs(3);
/// A clock that was set back by less is heard again sooner than a new connection would be.
const SET_BACK: Duration = Duration::from_millis(200);
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

/// How the threads of a connection are scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Priority {
    /// Ahead of ordinary work, where the system lets us: between a command and the wheels.
    Control,
    Ordinary,
}

impl<L: Send + Sync + 'static> Kept<L> {
    /// A connection of the control path.
    pub(crate) fn start(
        make: impl FnMut() -> Result<L, ConnectError> + Send + 'static,
    ) -> Result<Self, ConnectError> {
        Self::start_at(Priority::Control, make)
    }

    pub(crate) fn start_at(
        priority: Priority,
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
                let raised = priority == Priority::Control && priority::raise();
                tracing::debug!(raised, "priority of a ROS connection");
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

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    steady: Instant,
    wall: SystemTime,
}

impl Clocks {
    fn read() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// How much the wall clock lost between this moment and a later one.
    fn set_back(self, later: Self) -> Duration {
        let steady = later.steady.saturating_duration_since(self.steady);
        match later.wall.duration_since(self.wall) {
            Ok(passed) => steady.saturating_sub(passed),
            Err(backwards) => steady + backwards.duration(),
        }
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
        let mut clocks = Clocks::read();
        while !self.stopping.load(Ordering::Acquire) {
            let frozen = self.wait_noticed_freeze(LOOK_EVERY);
            let before = std::mem::replace(&mut clocks, Clocks::read());
            let set_back = before.set_back(clocks);
            if frozen {
                tracing::warn!("this process was frozen; connecting to ROS again");
            } else if set_back >= SET_BACK {
                tracing::warn!(?set_back, "the wall clock was set back; connecting to ROS again");
            } else {
                continue;
            }
            self.replace();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clock_that_loses_time_was_set_back() {
        let before = Clocks::read();
        let later = |steady_ms, wall_ms: i64| {
            let step = Duration::from_millis(wall_ms.unsigned_abs());
            let wall = if wall_ms < 0 { before.wall - step } else { before.wall + step };
            let steady = before.steady + Duration::from_millis(steady_ms);
            before.set_back(Clocks { steady, wall }).as_millis()
        };
        assert_eq!(later(250, 250), 0, "both go on");
        assert_eq!(later(250, 3_600_250), 0, "set ahead");
        assert_eq!(later(250, 50), 200, "set back by less than passed");
        assert_eq!(later(250, -3_599_750), 3_600_000, "set back by an hour");
    }
}
