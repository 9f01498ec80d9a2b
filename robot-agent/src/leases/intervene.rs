//! Interventions on their way into the episode.

use super::Leases;
use crate::clock;
use crate::session::Refusal;
use crate::shared::lock;
use protocol::intervention::{self, Note};
use protocol::units::WallMs;

impl Leases {
    pub(super) fn tell_intervention(&self, note: &Note) {
        tracing::info!(id = %note.id, act = ?note.act, cause = note.cause, "intervention");
        let json = serde_json::to_string(note).unwrap_or_default();
        self.tell_episode(intervention::EVENT_CODE, &note.cause, json);
    }

    /// Takes an intervention and has the episode say so; gives the request's time.
    pub(crate) fn intervene(
        &self,
        key: &str,
        payload: &[u8],
        signature: &[u8],
        after: WallMs,
    ) -> Result<WallMs, Refusal> {
        let mut book = lock(&self.book);
        let (at, notes) = book.intervene(key, payload, signature, clock::wall_ms(), after)?;
        // Under the lock, so that an end of the lease comes after.
        notes.iter().for_each(|note| self.tell_intervention(note));
        Ok(at)
    }
}
