//! What can go wrong on a link, in words for the driver's side.

/// Why an offer was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The offer cannot be one of ours.
    #[error("the offer is refused: {why}")]
    Offer {
        /// What is wrong with it, and what it should be.
        why: String,
    },
    /// The offer was readable and yet could not be answered.
    #[error("the offer could not be answered: {why}")]
    Negotiation {
        /// What the WebRTC stack said.
        why: String,
    },
    /// No codec in common.
    #[error(
        "the offer has neither H.264 constrained baseline with packetization-mode 1 nor VP8, the codecs that this robot sends; \
         use a browser with one of them"
    )]
    NoCodec,
    /// The far end has VP8 only, and this machine cannot make it.
    #[error(
        "the offer has no H.264, and this robot has no encoder of VP8; install it there (apt-get install \
         gstreamer1.0-plugins-good), or use a browser with H.264: in Firefox the plug-in OpenH264 must be on"
    )]
    NoVp8,
    /// No network.
    #[error("no local address to offer for the connection: is any network interface up?")]
    NoAddress,
    /// All ports of the configuration serve sessions already.
    #[error(
        "UDP ports {first} to {last} are all in use: is another program on them? Choose others with link.port in robot.toml"
    )]
    NoPort {
        /// The first of them.
        first: u16,
        /// The last of them.
        last: u16,
    },
    /// Nothing can be told of where this robot is.
    #[error("none of the advertised addresses is found: {hosts}; see link.advertise in robot.toml")]
    NotAdvertised {
        /// Their names.
        hosts: String,
    },
}

/// Why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The session is over.
    #[error("the session is closed")]
    Closed,
    /// The driver's end does not take what it is sent.
    #[error("the lane is full: the driver's end does not keep up")]
    Full,
    /// Longer than the lane allows.
    #[error("the message is longer than the lane allows")]
    TooLong,
}
