//! What changed, told to everybody who listens: `GET /v1/events`.

use crate::fleet::Fleet;
use crate::views;
use protocol::ids::{EpisodeId, LeaseId, MissionId, RobotId};
use std::sync::Arc;
use tokio::sync::broadcast;

/// Events that a slow listener may fall behind before it misses some.
const BACKLOG: usize = 1_024;

/// A thing that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Changed {
    Robot(RobotId),
    Mission(MissionId),
    Episode(EpisodeId),
    Lease(LeaseId),
}

/// One event as it goes out.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    pub(crate) json: Arc<str>,
}

/// Everybody who listens.
pub(crate) struct Events(broadcast::Sender<Event>);

impl Default for Events {
    fn default() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }
}

impl Events {
    pub(crate) fn listen(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}

/// Sends the thing as it is now. Nothing is read when nobody listens.
pub(crate) async fn publish(fleet: &Fleet, changed: &Changed) {
    if fleet.events.0.receiver_count() == 0 {
        return;
    }
    let view = match changed {
        Changed::Robot(id) => views::robot(fleet, id).await.map(|v| ("robot", json(&v))),
        Changed::Mission(id) => {
            views::mission_by_id(fleet, id).await.map(|v| ("mission", json(&v)))
        }
        Changed::Episode(id) => {
            views::episode_by_id(fleet, id).await.map(|v| ("episode", json(&v)))
        }
        Changed::Lease(id) => views::lease_by_id(fleet, id).await.map(|v| ("lease", json(&v))),
    };
    match view {
        // Nobody listening any more is no error.
        Ok((name, Some(json))) => drop(fleet.events.0.send(Event { name, json: json.into() })),
        Ok((name, None)) => tracing::error!(name, "an event has no JSON form"),
        Err(refused) => tracing::warn!("no event for {changed:?}: {}", refused.problem.detail),
    }
}

fn json<T: serde::Serialize>(view: &T) -> Option<String> {
    serde_json::to_string(view).ok()
}
