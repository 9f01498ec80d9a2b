//! A step of our own in the stack's chain of interceptors: what passes by unchanged is passed on here, once.

use rtc::interceptor::{Interceptor, StreamInfo, TaggedPacket};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use std::collections::VecDeque;
use std::time::Instant;

/// What a step does with what passes by.
pub(super) trait Work: Send + Sync + 'static {
    /// A packet comes from the wire; it may be changed.
    fn inbound(&mut self, _message: &mut TaggedPacket) {}

    /// A packet goes to the wire; what is to go, goes into `out`.
    fn outbound(
        &mut self,
        message: TaggedPacket,
        out: &mut VecDeque<TaggedPacket>,
    ) -> Result<(), Error> {
        out.push_back(message);
        Ok(())
    }

    /// A stream of ours was negotiated.
    fn bound(&mut self, _stream: &StreamInfo) {}

    /// A stream of ours is over.
    fn unbound(&mut self, _stream: &StreamInfo) {}
}

/// The interceptor around it.
pub(super) struct Step<W> {
    work: W,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl<W: Work> Step<W> {
    pub(super) fn of(work: W) -> Self {
        Self { work, reads: VecDeque::new(), writes: VecDeque::new() }
    }
}

impl<W: Work> Protocol<TaggedPacket, TaggedPacket, ()> for Step<W> {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut message: TaggedPacket) -> Result<(), Error> {
        self.work.inbound(&mut message);
        self.reads.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.work.outbound(message, &mut self.writes)
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }
}

impl<W: Work> Interceptor for Step<W> {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        self.work.bound(info);
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.work.unbound(info);
    }

    fn bind_remote_stream(&mut self, _info: &StreamInfo) {}

    fn unbind_remote_stream(&mut self, _info: &StreamInfo) {}
}
