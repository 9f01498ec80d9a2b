//! What a program may ask of the robot beside driving: a word aloud, its lamp. Nothing here moves anything.

use crate::clock;
use crate::leases::{self, Leases};
use crate::shared::{Shared, lock};
use crate::voice::{Voice, VoiceError};
use protocol::message::Reply;
use protocol::problem::code;
use protocol::units::WallMs;
use ros_bridge::agent::Base;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// When the requests that counted last were made.
#[derive(Default)]
struct Newest {
    speak: WallMs,
    lamp: WallMs,
    intervention: WallMs,
}

/// Carries requests out.
pub(crate) struct Requests {
    leases: Arc<Leases>,
    shared: Arc<Shared>,
    base: Arc<Base>,
    voice: Arc<Voice>,
    speaks: AtomicBool,
    newest: Mutex<Newest>,
}

fn refused(code: &str, detail: impl Into<String>) -> Reply {
    let detail = detail.into();
    tracing::warn!(code, detail, "a request is refused");
    Reply::Refused { code: code.to_owned(), detail }
}

impl Requests {
    pub(crate) fn new(
        leases: Arc<Leases>,
        shared: Arc<Shared>,
        base: Arc<Base>,
        voice: Voice,
    ) -> Self {
        let speaks = voice.check().inspect_err(|error| tracing::info!("{error}")).is_ok();
        Self {
            leases,
            shared,
            base,
            voice: Arc::new(voice),
            speaks: AtomicBool::new(speaks),
            newest: Mutex::default(),
        }
    }

    /// Whether the robot could speak when it was looked last: at the start, and at each request.
    pub(crate) fn speaks(&self) -> bool {
        self.speaks.load(Ordering::Relaxed)
    }

    /// Queues a text.
    pub(crate) async fn speak(&self, key: &str, payload: &[u8], signature: &[u8]) -> Reply {
        let book = self.leases.book();
        let checked = {
            // One at a time: of two copies only one may count.
            let mut newest = lock(&self.newest);
            book.check_speak(key, payload, signature, clock::wall_ms(), newest.speak)
                .inspect(|request| newest.speak = request.at)
        };
        let request = match checked {
            Ok(request) => request,
            Err(refusal) => return leases::reply(Err(refusal)),
        };
        let (voice, text) = (Arc::clone(&self.voice), request.text.clone());
        // Away from the thread of packets: it looks for a program on the disk.
        let said = tokio::task::spawn_blocking(move || voice.say(text)).await;
        let Ok(said) = said else {
            return refused(code::INTERNAL, "the robot's voice has failed");
        };
        self.speaks.store(!matches!(said, Err(VoiceError::Mute(_))), Ordering::Relaxed);
        match said {
            Ok(()) => {
                self.leases.tell_episode("speech", &request.text, String::new());
                Reply::Done
            }
            Err(error @ VoiceError::Busy) => refused(code::TOO_MANY, error.to_string()),
            Err(error @ VoiceError::Mute(_)) => refused(code::UNAVAILABLE, error.to_string()),
        }
    }

    /// Has the episode say that an intervention begins or is over.
    pub(crate) fn intervention(&self, key: &str, payload: &[u8], signature: &[u8]) -> Reply {
        let mut newest = lock(&self.newest);
        let taken = self.leases.intervene(key, payload, signature, newest.intervention);
        leases::reply(taken.map(|at| newest.intervention = at))
    }

    /// Sets the lamp.
    pub(crate) async fn lamp(&self, key: &str, payload: &[u8], signature: &[u8]) -> Reply {
        let book = self.leases.book();
        let checked = {
            let mut newest = lock(&self.newest);
            book.check_lamp(key, payload, signature, clock::wall_ms(), newest.lamp)
                .inspect(|request| newest.lamp = request.at)
        };
        let request = match checked {
            Ok(request) => request,
            Err(refusal) => return leases::reply(Err(refusal)),
        };
        if !self.shared.has_lamp.load(Ordering::Relaxed) {
            let detail = "the robot has no lamp: nothing listens on its topic in ROS";
            return refused(code::UNAVAILABLE, detail);
        }
        if let Err(error) = self.base.lamp(request.level) {
            return refused(code::UNAVAILABLE, format!("the lamp can't be told: {error}"));
        }
        self.shared.lamp.store(request.level, Ordering::Relaxed);
        let json = format!(r#"{{"level":{}}}"#, request.level);
        self.leases.tell_episode("lamp", "the driver set the lamp", json);
        Reply::Done
    }
}
