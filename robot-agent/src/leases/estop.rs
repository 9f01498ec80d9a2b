//! The emergency stop by every path that is not the drive loop's.

use super::{Leases, reply};
use crate::clock;
use crate::drive;
use crate::link;
use crate::shared::lock;
use agent_core::EstopAnswer;
use protocol::estop::{EstopAction, EstopPacket};
use protocol::message::Reply;
use protocol::problem::code;
use std::time::Duration;

/// How long the safety core has to answer a request to clear the emergency stop.
const CLEAR_WITHIN: Duration = Duration::from_secs(1);

impl Leases {
    /// An emergency stop, or a clear, over Zenoh.
    pub(crate) async fn estop(&self, key: &str, payload: &[u8], attachment: &[u8]) -> Reply {
        let checked = lock(&self.book).take_estop(key, payload, attachment, clock::wall_ms());
        let request = match checked {
            Ok(request) => request,
            Err(refusal) => return reply(Err(refusal)),
        };
        if request.stop {
            self.stop_now(&request.reason);
            return Reply::Done;
        }
        let epoch = lock(&self.book).current().map_or(0, |current| current.lease().epoch);
        match self.clear(epoch).await {
            EstopAnswer::Cleared => Reply::Done,
            EstopAnswer::Refused | EstopAnswer::Nothing => Reply::Refused {
                code: code::NOT_SAFE.to_owned(),
                detail: "the emergency stop stays: release the stick first".to_owned(),
            },
        }
    }

    /// Asks the safety core to clear the emergency stop.
    pub(super) async fn clear(&self, epoch: u64) -> EstopAnswer {
        let (tell, told) = tokio::sync::oneshot::channel();
        // Fails only when nobody waits any more.
        let answer = Box::new(move |answer| tell.send(answer).unwrap_or_default());
        if self.drive.try_send(drive::Message::Clear { epoch, answer }).is_err() {
            return EstopAnswer::Refused;
        }
        let answer = match tokio::time::timeout(CLEAR_WITHIN, told).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => EstopAnswer::Refused,
        };
        tracing::info!(?answer, epoch, "a clear of the emergency stop was asked for");
        let detail = format!("a clear of the emergency stop was asked for: {answer:?}");
        self.tell_episode("estop-clear", &detail, String::new());
        answer
    }

    /// A packet of the emergency stop's lane. A stop was obeyed before it came here.
    pub(super) async fn estop_packet(&self, link: &link::Session, packet: &[u8]) {
        let Ok(request) = EstopPacket::decode(packet) else { return };
        let action = match request.action {
            EstopAction::Stop => EstopAction::Stopped,
            EstopAction::Clear => match self.clear(request.epoch).await {
                EstopAnswer::Cleared => EstopAction::Cleared,
                EstopAnswer::Refused | EstopAnswer::Nothing => EstopAction::ClearRefused,
            },
            EstopAction::Stopped | EstopAction::Cleared | EstopAction::ClearRefused => return,
        };
        if let Err(error) = link.send_estop(&EstopPacket { action, ..request }.encode()) {
            tracing::debug!(%error, "an answer on the e-stop lane was not sent");
        }
    }
}
