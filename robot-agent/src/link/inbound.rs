//! The data channels' way in: sizes and rates are bounded before anything is read.

use super::LinkEvent;
use super::outbound::SESSION_LEN_MAX;
use super::session::Shared;
use super::stats::add;
use crate::clock;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelMessage};

/// A lane, as messages arrive on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Drive,
    Telemetry,
    Session,
    Estop,
}

impl Lane {
    /// Longest message, and most messages a second: several times what a driver's end sends.
    const fn bounds(self) -> (usize, u32) {
        match self {
            Self::Drive => (2 * protocol::drive::LEN, 500),
            // Goes the other way.
            Self::Telemetry => (0, 0),
            Self::Session => (SESSION_LEN_MAX, 50),
            Self::Estop => (2 * protocol::estop::LEN, 100),
        }
    }

    fn open_flag(self, shared: &Shared) -> Option<&watch::Sender<bool>> {
        match self {
            Self::Drive => None,
            Self::Telemetry => Some(&shared.lanes.telemetry_open),
            Self::Session => Some(&shared.lanes.session_open),
            Self::Estop => Some(&shared.lanes.estop_open),
        }
    }
}

/// Reads one channel until it or the session is over. A lane that ends takes the session with it: a driver
/// without an e-stop or without telemetry must not go on.
pub(super) async fn read(lane: Lane, channel: Arc<dyn DataChannel>, shared: Arc<Shared>) {
    let mut rate = Rate::new(Instant::now());
    loop {
        let event = tokio::select! {
            () = shared.until_closed() => return,
            event = channel.poll() => event,
        };
        match event {
            Some(DataChannelEvent::OnMessage(message)) => {
                receive(lane, message, &mut rate, &shared);
            }
            Some(DataChannelEvent::OnOpen) => {
                if let Some(open) = lane.open_flag(&shared) {
                    open.send_replace(true);
                }
            }
            Some(DataChannelEvent::OnClose) | None => {
                shared.close("the driver's end closed the connection");
                return;
            }
            Some(_other) => {}
        }
    }
}

fn receive(lane: Lane, message: RTCDataChannelMessage, rate: &mut Rate, shared: &Shared) {
    let arrived = clock::mono_ms();
    let (len_max, per_second_max) = lane.bounds();
    let text_expected = lane == Lane::Session;
    if message.data.len() > len_max
        || message.is_string != text_expected
        || !rate.allows(per_second_max, Instant::now())
    {
        refuse(lane, shared);
        return;
    }
    match lane {
        Lane::Drive => {
            add(&shared.counters.drive_received, 1);
            shared.tell(LinkEvent::Drive(message.data.freeze(), arrived));
        }
        Lane::Estop => shared.tell(LinkEvent::Estop(message.data.freeze())),
        Lane::Session => match String::from_utf8(message.data.to_vec()) {
            Ok(text) => shared.tell(LinkEvent::SessionText(text)),
            Err(_not_utf8) => refuse(lane, shared),
        },
        Lane::Telemetry => refuse(lane, shared),
    }
}

/// Counts a message that no driver's end sends; the log has it now and then.
fn refuse(lane: Lane, shared: &Shared) {
    let refused = shared.counters.inbound_refused.fetch_add(1, Ordering::Relaxed) + 1;
    if refused.is_power_of_two() {
        tracing::warn!(
            ?lane,
            refused,
            "a message that no driver sends, or one too many, is dropped"
        );
    }
}

/// Counts messages per second.
#[derive(Debug)]
struct Rate {
    since: Instant,
    count: u32,
}

impl Rate {
    fn new(now: Instant) -> Self {
        Self { since: now, count: 0 }
    }

    fn allows(&mut self, per_second_max: u32, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        self.count = self.count.saturating_add(1);
        self.count <= per_second_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_forgiven_the_next_second() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        let passed = (0..10).filter(|_message| rate.allows(3, start)).count();
        assert_eq!(passed, 3);
        assert!(rate.allows(3, start + Duration::from_secs(1)));
    }
}
