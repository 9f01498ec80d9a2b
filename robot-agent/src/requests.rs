//! What a driver may ask of the robot beside driving: a word aloud, its lamp, its horn. Nothing here moves anything.

use crate::clock;
use crate::leases::{self, Leases};
use crate::shared::{Shared, lock};
use crate::voice::{Voice, VoiceError};
use protocol::message::Reply;
use protocol::problem::code;
use protocol::rover::{LAMP_LEVEL_MAX, SPEAK_CHARS_MAX, is_sayable};
use protocol::session::FromRobot;
use protocol::units::WallMs;
use ros_bridge::agent::Base;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
    hoots: Arc<AtomicBool>,
    newest: Mutex<Newest>,
}

/// How long the horn sounds.
const HOOT: Duration = Duration::from_millis(700);
/// A horn is told to go on this often: it ends by itself when this process does.
const HOOT_EVERY: Duration = Duration::from_millis(100);

/// What a driver asks over its link.
#[derive(Debug)]
pub(crate) enum Wish {
    Lamp(u8),
    Horn,
    Say(String),
}

fn sound(base: &Base, sounds: bool) {
    if let Err(error) = base.horn(sounds) {
        tracing::debug!(%error, "the horn can't be told");
    }
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
            hoots: Arc::default(),
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
        self.say(&request.text).await
    }

    /// Queues a checked text.
    async fn say(&self, text: &str) -> Reply {
        let (voice, own) = (Arc::clone(&self.voice), text.to_owned());
        // Away from the thread of packets: it looks for a program on the disk.
        let said = tokio::task::spawn_blocking(move || voice.say(own)).await;
        let Ok(said) = said else {
            return refused(code::INTERNAL, "the robot's voice has failed");
        };
        self.speaks.store(!matches!(said, Err(VoiceError::Mute(_))), Ordering::Relaxed);
        match said {
            Ok(()) => {
                self.leases.tell_episode("speech", text, String::new());
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
        self.set_lamp(request.level)
    }

    fn set_lamp(&self, level: u8) -> Reply {
        if !self.shared.has_lamp.load(Ordering::Relaxed) {
            let detail = "the robot has no lamp: nothing listens on its topic in ROS";
            return refused(code::UNAVAILABLE, detail);
        }
        if let Err(error) = self.base.lamp(level) {
            return refused(code::UNAVAILABLE, format!("the lamp can't be told: {error}"));
        }
        self.shared.lamp.store(level, Ordering::Relaxed);
        let json = format!(r#"{{"level":{level}}}"#);
        self.leases.tell_episode("lamp", "the driver set the lamp", json);
        Reply::Done
    }

    /// Sounds the horn once. While it sounds, asking again changes nothing.
    fn hoot(&self) -> Reply {
        if !self.shared.has_horn.load(Ordering::Relaxed) {
            let detail = "the robot has no horn: nothing listens on its topic in ROS";
            return refused(code::UNAVAILABLE, detail);
        }
        if self.hoots.swap(true, Ordering::AcqRel) {
            return Reply::Done;
        }
        self.leases.tell_episode("horn", "the driver sounded the horn", String::new());
        let (base, hoots) = (Arc::clone(&self.base), Arc::clone(&self.hoots));
        tokio::spawn(async move {
            let until = tokio::time::Instant::now() + HOOT;
            while tokio::time::Instant::now() < until {
                sound(&base, true);
                tokio::time::sleep(HOOT_EVERY).await;
            }
            sound(&base, false);
            hoots.store(false, Ordering::Release);
        });
        Reply::Done
    }

    /// Does what the driver at the other end of the link asks, whose messages need no signature: DTLS ends at its key.
    pub(crate) async fn of_driver(&self, wish: Wish) -> Reply {
        match wish {
            Wish::Lamp(level) if level <= LAMP_LEVEL_MAX => self.set_lamp(level),
            Wish::Lamp(_) => {
                refused(code::BAD_REQUEST, format!("the lamp's levels are 0 to {LAMP_LEVEL_MAX}"))
            }
            Wish::Horn => self.hoot(),
            Wish::Say(text) if is_sayable(&text) => self.say(&text).await,
            Wish::Say(_) => {
                refused(code::BAD_REQUEST, format!("a text has 1 to {SPEAK_CHARS_MAX} characters"))
            }
        }
    }

    /// What the robot has beside wheels and cameras.
    pub(crate) fn equipment(&self) -> FromRobot {
        let audio = self.leases.audio();
        FromRobot::Equipment {
            microphone: audio.is_some_and(|audio| audio.has_microphone()),
            loudspeaker: audio.is_some_and(|audio| audio.has_loudspeaker()),
            lamp: self.shared.has_lamp.load(Ordering::Relaxed),
            horn: self.shared.has_horn.load(Ordering::Relaxed),
            voice: self.speaks(),
            lamp_level: self.shared.lamp.load(Ordering::Relaxed),
        }
    }
}
