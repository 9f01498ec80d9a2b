//! What the owner allows, carried out: settings are kept on disk before they count. And when the robot itself ends a lease.

use super::{Leases, blocking, reply};
use crate::clock;
use crate::drive;
use crate::session::Refusal;
use crate::shared::lock;
use protocol::message::Reply;
use protocol::settings::NotAllowed;
use std::sync::Arc;

impl Leases {
    /// The owner's settings, whoever carried them here.
    pub(crate) async fn take_settings(self: &Arc<Self>, payload: &[u8]) -> Reply {
        let _changing = self.changing.lock().await;
        let outcome = async {
            let request = serde_json::from_slice(payload)
                .map_err(|error| Refusal::Settings(format!("not settings: {error}")))?;
            let (settings, owners) = lock(&self.book).check_settings(request)?;
            let (home, envelope) = (self.fixed.home.clone(), settings.envelope().clone());
            let known = owners.clone();
            let kept = blocking(move || {
                let mut enrolment = home.enrolment().map_err(|error| format!("{error:#}"))?;
                if enrolment.enrolled.owners != known {
                    enrolment.enrolled.owners = known;
                    home.write_enrolment(&enrolment).map_err(|error| format!("{error:#}"))?;
                }
                home.write_settings(&envelope).map_err(|error| format!("{error:#}"))
            });
            kept.await.map_err(Refusal::Settings)?;
            let (version, signer) = (settings.settings().version, *settings.signer());
            let json = serde_json::to_string(settings.envelope()).unwrap_or_default();
            let core = {
                let mut book = lock(&self.book);
                book.take_settings(settings, owners);
                book.core()
            };
            // A narrower speed counts at once; who may drive, and when, from the next lease or renewal on.
            if let (Some(core), Some(lease)) = (core, lock(&self.shared.lease).as_mut()) {
                lease.core = core;
            }
            self.drive.try_send(drive::Message::Wake).unwrap_or_default();
            tracing::info!(version, owner = %signer, "the owner's settings are taken");
            self.tell_episode("owner-settings", "the owner's settings were changed", json);
            Ok(())
        };
        reply(outcome.await)
    }

    /// Whether the owner lets the robot be driven where it is.
    pub(super) fn allowed_here(&self) -> Result<(), NotAllowed> {
        let book = lock(&self.book);
        let Some(settings) = book.settings() else { return Ok(()) };
        let position = self.shared.sensors().position(clock::mono_ms());
        settings.settings().allow_at(position.as_ref().map(|position| &position.point))
    }

    /// Ends the open lease, if there is one, for a reason of the robot's own.
    pub(crate) async fn end_because(self: &Arc<Self>, why: &str) {
        let _changing = self.changing.lock().await;
        self.end(why);
    }
}
