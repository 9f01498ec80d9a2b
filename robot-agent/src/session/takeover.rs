//! Interventions that the robot notices by itself: the driver takes over from the autonomy.

use super::Book;
use crate::autonomy::TAKEOVER;
use protocol::ids::InterventionId;
use protocol::intervention::{Act, Note};

impl Book {
    /// The driver drove by hand while the autonomy had the goal: what the episode is told. Nothing without a lease, or when
    /// there were too many.
    pub fn take_over(&mut self, id: InterventionId) -> Vec<Note> {
        self.note(id, Act::Start, TAKEOVER)
    }

    /// The autonomy drives again.
    pub fn hand_back(&mut self) -> Vec<Note> {
        let open = self.current.as_ref().and_then(|current| current.interventions.open());
        open.map(|id| self.note(id, Act::End, "the autonomy drives again")).unwrap_or_default()
    }

    fn note(&mut self, id: InterventionId, act: Act, cause: &str) -> Vec<Note> {
        let Some(current) = self.current.as_mut() else { return Vec::new() };
        let told = current.interventions.take(id, act).unwrap_or_default();
        let by = current.lease().holder;
        let note = |(id, act)| Note { id, act, cause: cause.to_owned(), by };
        told.into_iter().map(note).collect()
    }
}
