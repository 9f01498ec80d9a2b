//! The data channels' way out: telemetry keeps the newest packet only, the reliable lanes are short queues.

use super::session::Shared;
use super::stats::add;
use bytes::BytesMut;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, mpsc, watch};
use webrtc::data_channel::DataChannel;

/// Longest message of the session lane.
pub(super) const SESSION_LEN_MAX: usize = protocol::session::LEN_MAX;
/// Messages of a reliable lane that wait for the network.
const QUEUE_MAX: usize = 64;
/// Telemetry that the network has not yet taken: about one second of it. More would arrive as history.
const TELEMETRY_OUTSTANDING_MAX: usize = 1_600;
/// Bytes that a reliable lane may have under way before its queue fills.
pub(super) const SEND_BUFFER_LEN: usize = 256 * 1024;

/// Where messages are put.
#[derive(Debug)]
pub(super) struct Lanes {
    pub(super) telemetry: Latest,
    pub(super) session: mpsc::Sender<String>,
    pub(super) estop: mpsc::Sender<BytesMut>,
    /// Set when the channel of that lane opens.
    pub(super) telemetry_open: watch::Sender<bool>,
    pub(super) session_open: watch::Sender<bool>,
    pub(super) estop_open: watch::Sender<bool>,
}

/// Where the tasks take them from.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) session: mpsc::Receiver<String>,
    pub(super) estop: mpsc::Receiver<BytesMut>,
}

impl Lanes {
    pub(super) fn new() -> (Self, Outgoing) {
        let (session, session_out) = mpsc::channel(QUEUE_MAX);
        let (estop, estop_out) = mpsc::channel(QUEUE_MAX);
        let lanes = Self {
            telemetry: Latest::default(),
            session,
            estop,
            telemetry_open: watch::Sender::new(false),
            session_open: watch::Sender::new(false),
            estop_open: watch::Sender::new(false),
        };
        (lanes, Outgoing { session: session_out, estop: estop_out })
    }
}

/// One place for one packet.
#[derive(Debug, Default)]
pub(super) struct Latest {
    slot: Mutex<Option<BytesMut>>,
    filled: Notify,
}

impl Latest {
    /// Puts a packet in. `true` if one that nobody took was overwritten.
    pub(super) fn put(&self, packet: BytesMut) -> bool {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let overwritten = slot.replace(packet).is_some();
        drop(slot);
        self.filled.notify_one();
        overwritten
    }

    async fn take(&self) -> BytesMut {
        loop {
            let taken = self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            match taken {
                Some(packet) => return packet,
                None => self.filled.notified().await,
            }
        }
    }
}

/// Sends telemetry until the session is over.
pub(super) async fn telemetry(channel: Arc<dyn DataChannel>, shared: Arc<Shared>) {
    let sending = async {
        opened(&shared.lanes.telemetry_open).await;
        loop {
            let packet = shared.lanes.telemetry.take().await;
            if channel.outstanding_bytes().await? > TELEMETRY_OUTSTANDING_MAX {
                add(&shared.counters.telemetry_dropped, 1);
                continue;
            }
            channel.send(packet).await?;
        }
    };
    until_over(sending, &shared, "telemetry").await;
}

/// Sends the session lane's messages until the session is over.
pub(super) async fn session(
    channel: Arc<dyn DataChannel>,
    mut messages: mpsc::Receiver<String>,
    shared: Arc<Shared>,
) {
    let sending = async {
        opened(&shared.lanes.session_open).await;
        while let Some(text) = messages.recv().await {
            channel.send_text(&text).await?;
        }
        Ok(())
    };
    until_over(sending, &shared, "session").await;
}

/// Sends the e-stop lane's packets until the session is over.
pub(super) async fn estop(
    channel: Arc<dyn DataChannel>,
    mut packets: mpsc::Receiver<BytesMut>,
    shared: Arc<Shared>,
) {
    let sending = async {
        opened(&shared.lanes.estop_open).await;
        while let Some(packet) = packets.recv().await {
            channel.send(packet).await?;
        }
        Ok(())
    };
    until_over(sending, &shared, "e-stop").await;
}

async fn opened(open: &watch::Sender<bool>) {
    // Fails only when the sender is gone, and the caller holds it.
    open.subscribe().wait_for(|open| *open).await.map(|_open| ()).unwrap_or(());
}

async fn until_over(
    sending: impl Future<Output = webrtc::error::Result<()>>,
    shared: &Shared,
    lane: &str,
) {
    tokio::select! {
        () = shared.until_closed() => {}
        result = sending => if let Err(error) = result {
            shared.close(&format!("the {lane} lane is gone: {error}"));
        }
    }
}
