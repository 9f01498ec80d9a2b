//! The link to one driver: WebRTC, and the only module that names the `webrtc` and `rtc` crates.
//!
//! A [`Session`] answers one offer. Video goes out by [`Session::send_frame`], four negotiated data channels
//! carry the rest ([`protocol::signal::channel`]), and everything that happens is told once, in order of
//! arrival, to the callback given to [`Session::accept`].
//!
//! Nothing here blocks the caller: a camera thread or the drive loop hands over and goes on. What cannot be sent
//! in time is dropped and counted: a late picture or a late telemetry packet is worth nothing, and after a lost
//! picture the rest waits for a keyframe, which is asked for at once.
//!
//! Nothing here decides: a session that is open says only that packets can travel. Whether wheels may turn is
//! decided by the safety core, from the packets' content and age.

mod audio;
mod capture;
mod connection;
mod error;
mod fec;
mod guard;
mod inbound;
mod offer;
mod outbound;
mod packetise;
pub mod rate;
mod reach;
mod repair;
mod reports;
mod session;
mod stats;
mod step;
mod tap;
mod video;

pub use audio::AUDIO_PAYLOAD_TYPE;
pub use error::{LinkError, SendError};
pub(crate) use reach::PORTS;
pub use reach::{Advertised, Reach};
pub use session::{Sending, Session};
pub use stats::LinkStats;

use bytes::Bytes;
use protocol::units::MonoMs;

/// What to append to a log filter: the WebRTC stack warns of each ICE check that was answered over another path,
/// and of other things that are in order.
pub const LOG_FILTER: &str = "webrtc=error,rtc=error,rtc_ice=error,rtc_dtls=error,rtc_sctp=error,\
     rtc_turn=error,rtc_mdns=error";

/// What happens on a session. After [`LinkEvent::Closed`] nothing more is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// The driver's end is connected; pictures flow from the next keyframe on.
    Connected,
    /// A packet of the drive lane, undecoded, with the time at which it arrived.
    Drive(Bytes, MonoMs),
    /// A message of the session lane.
    SessionText(String),
    /// A packet of the driver's voice: RTP with Opus, as [`AUDIO_PAYLOAD_TYPE`].
    Audio(Bytes),
    /// A packet of the e-stop lane, undecoded.
    Estop(Bytes),
    /// The driver's end cannot go on without a keyframe of this camera.
    KeyframeWanted {
        /// The camera.
        camera: u8,
    },
    /// The session is over, for the reason in [`LinkStats::closed_why`]. Said exactly once, whoever closed it.
    Closed,
}
