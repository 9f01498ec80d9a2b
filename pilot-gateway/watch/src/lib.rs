//! Spectators' video: one stream of a robot in, as many players as there are out.
//!
//! A player offers as WHEP has it, and gets an answer; then it comes over UDP. All players share one socket: the server has
//! one public address, so it is ICE lite and never asks for a path. Keys are agreed upon by DTLS, packets are SRTP. The
//! protocols' hard parts are those of the `rtc` crates, which do no I/O; a whole peer connection for each viewer would cost
//! ten times as much, for what a viewer does not need.
//!
//! What keeps one viewer from harming another, or the robot: each has its own keys, numbers, budget of packets that
//! are sent again and of datagrams that are listened to; wishes for keyframes are joined to one a second; nothing waits
//! for a viewer's path; and nothing here can say more to a robot than that somebody watches.

mod batch;
mod bucket;
mod cache;
mod hub;
mod ice;
mod join;
mod rtcp;
pub mod sdp;
mod secure;
mod server;
mod stats;
mod track;

pub use cache::{FRAME_LEN_MAX, Frame};
pub use join::{Join, Joined, Limits, Refused, StreamId, ViewerId};
pub use sdp::{Offer, SdpError};
pub use server::{Options, Restarted, Server, StartError, Wants};
pub use stats::Stats;
