//! Sees the driver's end's reports before congestion control does, and notes what they cover.

use super::session::Shared;
use super::step::Work;
use rtc::interceptor::{Packet, TaggedPacket};
use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use std::sync::{Arc, Weak};

/// The work, nearest to the wire. Weak, because the stack that owns it is owned by the session.
pub(super) struct Reports(Weak<Shared>);

impl Reports {
    pub(super) fn new(session: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(session))
    }
}

impl Work for Reports {
    fn inbound(&mut self, message: &mut TaggedPacket) {
        let Packet::Rtcp(packets) = &message.message.packet else { return };
        let Some(session) = self.0.upgrade() else { return };
        for packet in packets {
            if let Some(report) = packet.as_any().downcast_ref::<TransportLayerCc>() {
                session.covered.add(report.base_sequence_number, report.packet_status_count);
            }
        }
    }
}
