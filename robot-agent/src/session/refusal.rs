//! Why something is refused, with the words that a driver reads.

use protocol::ids::RobotId;
use protocol::problem::code;
use protocol::settings::NotAllowed;

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The envelope is no lease of this fleet.
    #[error("the lease is not one of this robot's fleet: {0}")]
    NotOfTheFleet(String),
    /// It is for another robot.
    #[error("the lease is for {0}, not for this robot")]
    OtherRobot(RobotId),
    /// It was signed too long ago, or in the future.
    #[error(
        "the lease was signed {} by this robot's clock: ask for a new one, and check the clocks", ago(.0)
    )]
    Outdated(i64),
    /// A higher epoch was seen, or the lease has ended here.
    #[error("the lease has ended: epoch {epoch} is not above {highest}")]
    Ended {
        /// Its epoch.
        epoch: u64,
        /// The highest that the robot has seen.
        highest: u64,
    },
    /// The holder did not sign this opening.
    #[error("the opening is not signed by the lease's holder")]
    DriverSignature,
    /// Without an offer there must be a relay in the lease.
    #[error("there is no offer, and the lease names no relay that could carry packets")]
    NoOffer,
    /// The document is about another lease than the current one.
    #[error("the robot does not obey that lease now")]
    NotCurrent,
    /// A renewal must count up.
    #[error("renewal {got} is not above {current}")]
    OldRenewal {
        /// What came.
        got: u32,
        /// What counts.
        current: u32,
    },
    /// A message over Zenoh is not signed by whom it must be.
    #[error("the message is not signed by {0}")]
    MessageSignature(&'static str),
    /// A receipt does not continue the chain.
    #[error("the receipt is refused: {0}")]
    Receipt(String),
    /// A request says something that the robot can't do.
    #[error("the request is refused: {0}")]
    Request(String),
    /// A request is a copy, or was overtaken.
    #[error("the request is not newer than the one before")]
    Repeated,
    /// The robot's owner does not allow it.
    #[error("{0}")]
    Owner(NotAllowed),
    /// The owner's settings are refused.
    #[error("{0}")]
    Settings(String),
    /// A request was made too long ago.
    #[error("the request was made {} by this robot's clock: try again, and check the clocks", ago(.0))]
    OldRequest(i64),
}

impl Refusal {
    /// The stable code: one of [`protocol::problem::code`].
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotOfTheFleet(_) | Self::DriverSignature | Self::MessageSignature(_) => {
                code::BAD_SIGNATURE
            }
            Self::Owner(_) => code::FORBIDDEN,
            Self::OtherRobot(_)
            | Self::Settings(_)
            | Self::NoOffer
            | Self::Receipt(_)
            | Self::Request(_) => code::BAD_REQUEST,
            Self::Outdated(_) | Self::Ended { .. } | Self::NotCurrent => code::LEASE_ENDED,
            Self::OldRenewal { .. } | Self::OldRequest(_) | Self::Repeated => code::CONFLICT,
        }
    }
}

/// An age in words; a negative one lies in the future.
fn ago(seconds: &i64) -> String {
    let unsigned = seconds.unsigned_abs();
    if *seconds < 0 { format!("{unsigned} s in the future") } else { format!("{unsigned} s ago") }
}
