//! Drivers behind a relay: its packets and its requests come over Zenoh, signed by it.

use super::{Leases, reply};
use crate::clock;
use crate::session::Refusal;
use crate::shared::lock;
use protocol::message::{LeaseRequest, Reply};
use std::sync::Arc;

impl Leases {
    /// A drive packet over Zenoh, which only the relay of the open lease may send.
    pub(crate) fn relayed_packet(&self, key: &str, packet: &[u8], signature: &[u8]) {
        let arrived = clock::mono_ms();
        if packet.len() != protocol::drive::LEN {
            return;
        }
        let verified = lock(&self.book).verify_relay(key, packet, signature);
        if let Err(refusal) = verified {
            tracing::debug!(%refusal, "a relayed packet is refused");
            return;
        }
        let relayed = self.shared.lease().filter(|lease| lease.link.is_none());
        if let Some(lease) = relayed {
            self.packet(packet, arrived, lease.generation);
        }
    }

    /// A request of the relay about its lease.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        key: &str,
        payload: &[u8],
        signature: &[u8],
    ) -> Reply {
        let _changing = self.changing.lock().await;
        let outcome = (|| {
            lock(&self.book).verify_relay(key, payload, signature)?;
            let request: LeaseRequest = serde_json::from_slice(payload)
                .map_err(|error| Refusal::Receipt(format!("it cannot be read: {error}")))?;
            match request {
                LeaseRequest::Renew { lease } => self.renew(lease).map(|_renewal| ()),
                LeaseRequest::Release { lease_id } => {
                    lock(&self.book).check_release(lease_id)?;
                    self.end("released");
                    Ok(())
                }
                LeaseRequest::Receipt { receipt } => self.program_receipt(&receipt),
            }
        })();
        reply(outcome)
    }
}
