//! Goals for the robot's autonomy: from the driver, and back to driver and episode.

use super::{Leases, send};
use crate::autonomy::{Ask, News, Word};
use crate::shared::lock;
use protocol::ids::InterventionId;
use protocol::session::FromRobot;
use protocol::units::GeoPoint;

impl Leases {
    /// The driver of this opening sets a goal; the answer follows as news.
    pub(super) fn goal(&self, generation: u64, id: u32, point: GeoPoint) {
        let place = self.shared.place();
        lock(&self.shared.autonomy).set(Ask { generation, id, point }, place);
        self.shared.navigated.notify_one();
        // Also for a robot without autonomy, where nobody else tells the driver.
        self.tell_goals();
    }

    /// The driver gives its goal up.
    pub(super) fn cancel_goal(&self) {
        lock(&self.shared.autonomy).cancel("");
        self.shared.navigated.notify_one();
        self.tell_goals();
    }

    /// Tells driver and episode what became of goals, and records takeovers. One at a time, so that the order stays.
    pub(crate) fn tell_goals(&self) {
        let mut book = lock(&self.book);
        // The drive loop wants it as well: held for this only.
        let all = lock(&self.shared.autonomy).news();
        for news in all {
            let notes = match news {
                News::Goal(word) => {
                    self.tell_goal(word);
                    Vec::new()
                }
                News::TakenOver => book.take_over(InterventionId::new(uuid::Uuid::now_v7())),
                News::HandedBack => book.hand_back(),
            };
            notes.iter().for_each(|note| self.tell_intervention(note));
        }
    }

    fn tell_goal(&self, word: Word) {
        let (state, distance_m) = (word.state, word.distance_m);
        if !word.again {
            let code = state.code();
            tracing::info!(id = word.id, state = code, detail = word.detail, "goal");
            let json = serde_json::json!({
                "id": word.id, "state": code, "position": word.point, "distance_m": distance_m,
            });
            let detail = if word.detail.is_empty() { code } else { &word.detail };
            self.tell_episode("goal", detail, json.to_string());
        }
        let lease = self.shared.lease().filter(|lease| lease.generation == word.generation);
        if let Some(link) = lease.and_then(|lease| lease.link) {
            let (id, detail) = (word.id, word.detail);
            send(&link, &FromRobot::Goal { id, state, detail, distance_m });
        }
    }

    /// The link or the lease of a goal is over.
    pub(super) fn forget_goal(&self) {
        // What was not told yet still belongs to the episode.
        self.tell_goals();
        lock(&self.shared.autonomy).forget();
        self.shared.navigated.notify_one();
    }
}
