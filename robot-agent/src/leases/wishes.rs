//! What a driver wishes beside driving, and what the robot has for it.

use super::{Leases, send};
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
