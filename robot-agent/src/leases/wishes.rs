//! What a driver wishes beside driving, and what the robot has for it.

use super::{Leases, send};
use crate::audio::Audio;
use crate::clock;
use crate::link;
use crate::requests::{Requests, Wish};
use protocol::message::Reply;
use protocol::session::FromRobot;
use std::sync::Arc;

impl Leases {
    /// Hands over what carries out a driver's wishes beside driving, which itself needs the leases.
    pub(crate) fn set_requests(&self, requests: &Arc<Requests>) {
        if self.requests.set(Arc::downgrade(requests)).is_err() {
            tracing::error!("the requests were handed over twice");
        }
    }

    /// Hands microphone and loudspeaker over.
    pub(crate) fn set_audio(&self, audio: Arc<Audio>) {
        if self.audio.set(audio).is_err() {
            tracing::error!("the audio was handed over twice");
        }
    }

    pub(crate) fn audio(&self) -> Option<&Arc<Audio>> {
        self.audio.get()
    }

    /// Whether there is any reason to carry sound.
    pub(super) fn has_audio(&self) -> bool {
        self.audio().is_some_and(|audio| audio.has_microphone() || audio.has_loudspeaker())
    }

    /// The driver wants to hear, or no more. What is heard is not recorded.
    pub(super) fn listen(&self, generation: u64, active: bool) {
        let Some(audio) = self.audio().filter(|audio| audio.has_microphone()) else { return };
        if audio.listen(generation, active) {
            let json = format!(r#"{{"active":{active}}}"#);
            self.tell_episode(
                "listen",
                "the driver listens, or no more; no sound is recorded",
                json,
            );
        }
    }

    /// The driver talks, or no more. What is said is not recorded.
    pub(super) fn talk(&self, generation: u64, active: bool) {
        let Some(audio) = self.audio().filter(|audio| audio.has_loudspeaker()) else { return };
        if audio.talk(generation, active, clock::mono_ms()) {
            let json = format!(r#"{{"active":{active}}}"#);
            self.tell_episode("talk", "the driver talks, or no more; no sound is recorded", json);
        }
    }

    pub(super) fn requests(&self) -> Option<Arc<Requests>> {
        self.requests.get()?.upgrade()
    }

    /// A lamp that joins ROS during a drive is told to the driver.
    pub(super) fn tell_equipment(&self, told: &mut Option<FromRobot>) {
        let Some(now) = self.requests().map(|requests| requests.equipment()) else { return };
        if told.as_ref() == Some(&now) {
            return;
        }
        if let Some(link) = self.shared.lease().and_then(|lease| lease.link) {
            send(&link, &now);
        }
        *told = Some(now);
    }

    pub(super) async fn wish(&self, link: &link::Session, wish: Wish) {
        let Some(requests) = self.requests() else { return };
        match requests.of_driver(wish).await {
            Reply::Done => send(link, &requests.equipment()),
            Reply::Refused { code, detail } => send(link, &FromRobot::Refused { code, detail }),
        }
    }
}
