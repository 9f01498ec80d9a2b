//! The session lane: JSON text, reliable and ordered, for what happens once rather than many times a second.
//!
//! A **receipt** is the driver's proof of what it sent. Every two seconds the driver signs the first eight bytes
//! of the SHA-256 of each drive packet of that time, and the hash of the receipt before. Packets that the
//! network lost leave their digest unused; a packet in an episode whose digest is in no receipt was not sent by
//! the driver.

use crate::dsse::Envelope;
use crate::ids::{EpisodeId, LeaseId};
use crate::units::GeoPoint;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Longest message in bytes; longer ones are refused unread.
pub const LEN_MAX: usize = 64 * 1024;
/// Bytes of a packet's digest in a receipt.
pub const PACKET_DIGEST_LEN: usize = 8;
/// How often a driver signs a receipt.
pub const RECEIPT_EVERY_MS: u32 = 2_000;
/// How often a driver that talks says that it still holds its button.
pub const TALK_EVERY_MS: u32 = 500;
/// Most packets that one receipt covers.
pub const RECEIPT_PACKETS_MAX: usize = 1_000;

/// Driver to robot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ToRobot {
    /// The lease, renewed by the fleet.
    Renew {
        /// Signed [`crate::lease::Lease`] with a higher `renewal`.
        lease: Envelope,
    },
    /// What was sent in the last seconds: a signed [`Receipt`].
    Receipt {
        /// The signed receipt.
        receipt: Envelope,
    },
    /// The driver is done: stop, end the episode, free the robot.
    Release {},
    /// Set the lamp.
    Lamp {
        /// 0 (off) to [`crate::rover::LAMP_LEVEL_MAX`].
        level: u8,
    },
    /// Sound the horn once, for less than a second.
    Horn {},
    /// Say a text aloud.
    Say {
        /// 1 to [`crate::rover::SPEAK_CHARS_MAX`] characters.
        text: String,
    },
    /// The driver wants to hear what is around the robot, or no more. Ends with the link.
    Listen {
        /// It does.
        active: bool,
    },
    /// The driver holds its button to talk, or has let it go. Said again every [`TALK_EVERY_MS`] while it is held: without
    /// it the robot plays nothing.
    Talk {
        /// It is held.
        active: bool,
    },
    /// Where the robot's own autonomy shall drive, in place of any goal before. It drives only while drive packets let
    /// it ([`crate::drive::DriveCommand::autonomy`]). Answered by [`FromRobot::Goal`].
    Goal {
        /// The driver's number for it, for the answers.
        id: u32,
        /// The place.
        position: GeoPoint,
    },
    /// The goal is given up.
    CancelGoal {},
    /// What the driver's end sees of the link, for the episode and for diagnosis.
    LinkStats {
        /// Pictures shown per second.
        fps: f64,
        /// Received video, bits per second.
        bitrate_bps: f64,
        /// Share of packets lost in the last second, 0 to 1.
        loss: f64,
        /// Round trip on the drive channel, milliseconds.
        rtt_ms: f64,
        /// Age of the picture on the screen as the driver's end estimates it, milliseconds.
        seen_age_ms: f64,
    },
}

/// What became of a goal. The last five are its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoalState {
    /// The robot has it and stands until the driver lets it drive.
    Set,
    /// The autonomy drives.
    Going,
    /// The driver let go: the robot stands and goes on when it is let.
    Paused,
    /// The robot is there.
    Arrived,
    /// The driver drove by hand.
    TakenOver,
    /// The driver gave it up.
    Cancelled,
    /// The autonomy can't get there, or is gone.
    Failed,
    /// The robot did not take it.
    Refused,
}

impl GoalState {
    /// Its stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Going => "going",
            Self::Paused => "paused",
            Self::Arrived => "arrived",
            Self::TakenOver => "taken_over",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// Robot to driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromRobot {
    /// The lease is open and its episode is being recorded.
    Opened {
        /// The episode.
        episode: EpisodeId,
    },
    /// What the robot has beside wheels and cameras. After [`FromRobot::Opened`], and when it changes.
    Equipment {
        /// A lamp that can be set.
        lamp: bool,
        /// A horn.
        horn: bool,
        /// A voice.
        voice: bool,
        /// The lamp's level as it was last set.
        lamp_level: u8,
        /// A microphone that the driver can listen to ([`ToRobot::Listen`]).
        #[serde(default)]
        microphone: bool,
        /// A loudspeaker that the driver can talk through ([`ToRobot::Talk`]).
        #[serde(default)]
        loudspeaker: bool,
    },
    /// A renewed lease was taken.
    Renewed {
        /// The renewal that counts now.
        renewal: u32,
    },
    /// The lease has ended; nothing sent under it moves the robot any more.
    Ended {
        /// Stable code: `released`, `driver-gone`, `expired`, `fenced`, `stopping`.
        why: String,
    },
    /// What became of a goal: told at each change, and now and then while the autonomy drives.
    Goal {
        /// The driver's number for it.
        id: u32,
        /// What became of it.
        state: GoalState,
        /// Why, in words; may be empty.
        detail: String,
        /// How far there is to go, metres, where that is known.
        distance_m: Option<f64>,
    },
    /// A message was refused.
    Refused {
        /// Stable code.
        code: String,
        /// What is wrong, in words.
        detail: String,
    },
}

/// What the driver says that it sent, in order of `seq`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The lease.
    pub lease_id: LeaseId,
    /// Its epoch.
    pub epoch: u64,
    /// 0 for the first receipt of a lease, then one more each.
    pub index: u32,
    /// SHA-256 of the signed bytes of the receipt before, in hexadecimal; 64 zeros for the first.
    pub previous: String,
    /// `seq` of the first packet that `digests` covers.
    pub first_seq: u32,
    /// The packets' digests one after the other, [`PACKET_DIGEST_LEN`] bytes each, in hexadecimal.
    pub digests: String,
}

/// A packet's digest in a receipt.
pub fn packet_digest(packet: &[u8]) -> [u8; PACKET_DIGEST_LEN] {
    let hash = Sha256::digest(packet);
    let mut digest = [0; PACKET_DIGEST_LEN];
    digest.copy_from_slice(&hash[..PACKET_DIGEST_LEN]);
    digest
}
