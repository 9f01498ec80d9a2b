//! A network that is as bad as it is told to be, between a robot and a driver.
//!
//! [`Pipe`] is one direction of it: a packet goes in at a time, and comes out at a later one or not at all. [`Network`] is
//! both directions with what happens to them over time, as a [`Profile`] describes it. All of it is pure: equal seeds,
//! profiles, packets and times give equal fates. The program `netem` puts it between UDP sockets
//! ([`relay`]), or between network namespaces (`tunnel`).
//!
//! A packet passes, in this order: the outage (nothing gets in), the bottleneck with its bounded queue, the loss, and the
//! delay with its jitter. So a packet that is lost on the way has used up the bottleneck's time, as on a radio link.

mod loss;
mod network;
mod pipe;
mod profile;
mod profiles;
mod rate;
pub mod relay;
mod stats;
#[cfg(target_os = "linux")]
pub mod tunnel;

pub use loss::Burst;
pub use network::{Network, Way};
pub use pipe::{Cause, Fate, Pipe};
pub use profile::{AddressChange, End, Outage, Path, Profile, ProfileError, Queue};
pub use profiles::{NAMES, named};
pub use rate::{Fading, Rate, Step};
pub use stats::{Counts, Histogram};

/// Microseconds on a clock that never goes back.
pub type Micros = u64;

/// Microseconds of so many milliseconds; none of a negative number.
fn micros(ms: f64) -> Micros {
    // A float that is too large or no number becomes the nearest bound.
    (ms.max(0.0) * 1_000.0).round() as Micros
}
