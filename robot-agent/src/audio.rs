//! Microphone and loudspeaker, for talking with the people around the robot.
//!
//! ```text
//! microphone ── opus ── link ──► driver        only while the driver listens
//! loudspeaker ◄── jitter buffer ◄── link ◄── driver   only while the driver holds its button
//! ```
//!
//! Each has a thread of its own; nobody waits for either. A device that hangs, is silent or is not there costs the sound
//! and nothing else. Nothing is recorded: the episode says when somebody listened or talked, and not what was heard.

mod loudspeaker;
mod microphone;
mod pipeline;

pub(crate) use pipeline::{Device, check, level_dbfs, opens};

use crate::clock;
use crate::config;
use crate::shared::{Shared, lock};
use bytes::Bytes;
use protocol::units::MonoMs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, Weak};
use std::thread::Thread;

/// A driver that talks says so this often at least; one that has not for this long talks no more.
const TALK_MS_MAX: u64 = 1_500;
/// What was said just before the button was let go is still under way.
const TALK_TAIL_MS: u64 = 250;
/// Packets that may wait for the loudspeaker: two seconds.
const PACKETS_MAX: usize = 100;
/// Longest packet of sound that is taken.
const PACKET_LEN_MAX: usize = 1_500;

/// Whoever talks, and until when.
#[derive(Debug, Clone, Copy, Default)]
struct Talking {
    generation: u64,
    until: MonoMs,
}

/// What the robot has to talk with.
pub(crate) struct Audio {
    shared: Arc<Shared>,
    /// The opening whose driver listens; 0 for none.
    listening: AtomicU64,
    talking: Mutex<Talking>,
    microphone: Option<Thread>,
    loudspeaker: Option<SyncSender<Bytes>>,
}

impl Audio {
    /// Starts what the configuration names and can be built. What can't is told in the log, and counts as not there:
    /// a robot drives without a voice.
    pub(crate) fn start(
        config: &config::Audio,
        shared: &Arc<Shared>,
    ) -> std::io::Result<Arc<Self>> {
        let usable = |device: Device| match check(device, config) {
            None => false,
            Some(Ok(())) => true,
            Some(Err(why)) => {
                tracing::error!(why, "{device} can't be used; the robot goes on without it");
                false
            }
        };
        let (sender, packets) = sync_channel(PACKETS_MAX);
        let loudspeaker = usable(Device::Loudspeaker).then_some(sender);
        let microphone = usable(Device::Microphone);
        let (begin, begun) = sync_channel(1);
        let mut failed = None;
        let this = Arc::new_cyclic(|this: &Weak<Self>| {
            let mut thread = |name: &str, run: Box<dyn FnOnce() + Send>| {
                let started = std::thread::Builder::new().name(name.to_owned()).spawn(run);
                started.map_err(|error| failed = Some(error)).ok().map(|join| join.thread().clone())
            };
            let (own, of) = (config.clone(), this.clone());
            let microphone = microphone
                .then(|| thread("microphone", Box::new(move || microphone::run(&own, &of, &begun))))
                .flatten();
            if loudspeaker.is_some() {
                let (own, of) = (config.clone(), this.clone());
                let run = move || loudspeaker::run(&own, &packets, &of);
                thread("loudspeaker", Box::new(run));
            }
            Self {
                shared: Arc::clone(shared),
                listening: AtomicU64::new(0),
                talking: Mutex::default(),
                microphone,
                loudspeaker,
            }
        });
        // A full channel has begun.
        begin.try_send(()).unwrap_or_default();
        failed.map_or(Ok(this), Err)
    }

    /// Whether there is a microphone.
    pub(crate) const fn has_microphone(&self) -> bool {
        self.microphone.is_some()
    }

    /// Whether there is a loudspeaker.
    pub(crate) const fn has_loudspeaker(&self) -> bool {
        self.loudspeaker.is_some()
    }

    /// The driver of an opening wants to hear, or no more. Whether that is news.
    pub(crate) fn listen(&self, generation: u64, active: bool) -> bool {
        let wanted = if active { generation } else { 0 };
        let before = self.listening.swap(wanted, Ordering::AcqRel);
        if let Some(thread) = &self.microphone {
            thread.unpark();
        }
        before != wanted
    }

    /// The driver of an opening holds its button, or lets it go. Whether that is news.
    pub(crate) fn talk(&self, generation: u64, active: bool, now: MonoMs) -> bool {
        let mut talking = lock(&self.talking);
        let talked = talking.generation == generation && now < talking.until;
        let until = if active { now.plus(TALK_MS_MAX) } else { now.plus(TALK_TAIL_MS) };
        match (active, talked) {
            (true, _) => *talking = Talking { generation, until },
            (false, true) => talking.until = talking.until.min(until),
            (false, false) => {}
        }
        active != talked
    }

    /// A packet of the driver's voice, from whichever link: it is heard only from the driver that holds the robot and its
    /// button. Never waits.
    pub(crate) fn hear(&self, generation: u64, packet: Bytes) {
        let Some(loudspeaker) = &self.loudspeaker else { return };
        if packet.len() > PACKET_LEN_MAX || !self.is_heard(generation, clock::mono_ms()) {
            return;
        }
        // A loudspeaker that does not keep up, or hangs, loses the newest: the jitter buffer covers it.
        match loudspeaker.try_send(packet) {
            Ok(()) | Err(TrySendError::Full(_)) => {}
            Err(TrySendError::Disconnected(_)) => {
                tracing::debug!("the loudspeaker's thread has ended")
            }
        }
    }

    fn is_heard(&self, generation: u64, now: MonoMs) -> bool {
        let talking = *lock(&self.talking);
        talking.generation == generation && now < talking.until && self.is_open(generation)
    }

    /// Whether somebody talks now.
    fn is_talked(&self) -> bool {
        // A statement of its own: the lock must be free again.
        let generation = lock(&self.talking).generation;
        self.is_heard(generation, clock::mono_ms())
    }

    /// Whether somebody listens now.
    fn is_listened(&self) -> bool {
        let generation = self.listening.load(Ordering::Acquire);
        generation != 0 && self.is_open(generation)
    }

    fn is_open(&self, generation: u64) -> bool {
        let lease = lock(&self.shared.lease);
        lease.as_ref().is_some_and(|lease| lease.generation == generation && lease.link.is_some())
    }

    /// A packet of the microphone, for the driver that listens.
    fn send(&self, timestamp: u32, packet: Bytes) {
        if !self.is_listened() {
            return;
        }
        let link = lock(&self.shared.lease).as_ref().and_then(|lease| lease.link.clone());
        if let Some(link) = link {
            link.send_audio(timestamp, packet);
        }
    }

    fn stops(&self) -> bool {
        self.shared.stopping.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audio() -> Audio {
        Audio {
            shared: Arc::default(),
            listening: AtomicU64::new(0),
            talking: Mutex::default(),
            microphone: None,
            loudspeaker: None,
        }
    }

    #[test]
    fn a_driver_talks_while_it_says_so_and_a_little_longer() {
        let audio = audio();
        let talks = |ms| {
            let talking = *lock(&audio.talking);
            MonoMs(ms) < talking.until
        };
        assert!(!talks(1));
        assert!(audio.talk(7, true, MonoMs(1_000)), "news");
        assert!(!audio.talk(7, true, MonoMs(1_500)), "held on");
        assert!(talks(2_900) && !talks(3_001), "one that is gone talks no more");
        assert!(!audio.talk(7, false, MonoMs(5_000)), "it had ended by itself");
        audio.talk(7, true, MonoMs(6_000));
        assert!(audio.talk(7, false, MonoMs(6_100)));
        assert!(talks(6_340) && !talks(6_351));
        assert!(audio.talk(8, true, MonoMs(6_200)), "another driver");
    }

    #[test]
    fn nobody_is_heard_without_the_robot() {
        let audio = audio();
        audio.talk(7, true, MonoMs(1_000));
        assert!(!audio.is_heard(7, MonoMs(1_001)), "there is no lease");
        assert!(!audio.is_talked());
        assert!(audio.listen(7, true) && !audio.listen(7, true));
        assert!(!audio.is_listened());
    }
}
