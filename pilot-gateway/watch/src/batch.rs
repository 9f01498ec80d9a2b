//! Packets of one viewer that go out together: equal ones in one call to the system, which cuts them apart itself
//! (generic segmentation offload).

use crate::secure::{RTP_HEADER_LEN, Secure};
use crate::track::Out;
use std::net::SocketAddr;

/// What the system takes at once, bytes and segments, with room to spare.
const LEN_MAX: usize = 60_000;
const SEGMENTS_MAX: usize = 48;

/// Where datagrams go. What cannot be sent at once is dropped: a viewer asks for it again.
pub(crate) trait Outlet {
    /// Sends `contents`, one datagram of it or as many as there are `segment`s in it.
    fn send(&mut self, to: SocketAddr, contents: &[u8], segment: Option<usize>);
}

/// Buffers that are used again for each frame and viewer.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    plain: Vec<u8>,
    protected: Vec<u8>,
    segment: usize,
    count: usize,
}

impl Batch {
    /// Encrypts a packet and sends it with its like, soon.
    pub(crate) fn push(
        &mut self,
        secure: &mut Secure,
        packet: &Out<'_>,
        to: SocketAddr,
        outlet: &mut impl Outlet,
    ) {
        let upper = RTP_HEADER_LEN + packet.payload.len() + 64;
        if self.count >= SEGMENTS_MAX || self.protected.len() + upper > LEN_MAX {
            self.flush(to, outlet);
        }
        let start = self.protected.len();
        if !secure.protect(packet, &mut self.plain, &mut self.protected) {
            return;
        }
        let len = self.protected.len() - start;
        if self.count > 0 && len > self.segment {
            // Only the last may differ, and only be shorter: what is longer begins a batch of its own.
            let longer = self.protected.split_off(start);
            self.flush(to, outlet);
            self.protected.extend_from_slice(&longer);
        }
        if self.count == 0 {
            self.segment = len;
        }
        self.count += 1;
        if len < self.segment {
            self.flush(to, outlet);
        }
    }

    /// Sends what waits.
    pub(crate) fn flush(&mut self, to: SocketAddr, outlet: &mut impl Outlet) {
        if self.count > 0 {
            let segment = (self.count > 1).then_some(self.segment);
            outlet.send(to, &self.protected, segment);
        }
        self.protected.clear();
        self.count = 0;
    }
}
