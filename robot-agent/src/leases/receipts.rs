//! Receipts: what drivers say that they sent, taken into the episode.

use super::Leases;
use crate::clock;
use crate::record::{Record, event};
use crate::session::Refusal;
use crate::shared::lock;
use protocol::dsse::Envelope;
use protocol::program::RelayedReceipt;

impl Leases {
    pub(super) fn receipt(&self, receipt: &Envelope) -> Result<(), Refusal> {
        if lock(&self.book).receipt(receipt)? {
            let json = serde_json::to_string(receipt).unwrap_or_default();
            let event = event("receipt", "what the driver says that it sent", json);
            self.recorder.put(clock::wall_ns(), Record::Receipt(event));
        }
        Ok(())
    }

    pub(super) fn program_receipt(&self, receipt: &RelayedReceipt) -> Result<(), Refusal> {
        if lock(&self.book).program_receipt(receipt)? {
            let json = serde_json::to_string(receipt).unwrap_or_default();
            let event = event("receipt", "what the driver says that it sent by its relay", json);
            self.recorder.put(clock::wall_ns(), Record::Receipt(event));
        }
        Ok(())
    }
}
