//! Episodes: one lease, one recording, one signed manifest.
//!
//! A robot records with [`Recorder`], ends with [`seal()`], and after a crash first calls [`recover()`]. Anyone who
//! has the folder checks it with [`verify()`]: no network, no clock, no trust but in the keys that are named.
//!
//! **Contract: an episode that verifies holds exactly the bytes that the robot sealed, and says itself what is
//! missing from it.**

mod commands;
pub mod contents;
pub mod digest;
mod error;
pub mod layout;
pub mod manifest;
pub mod meta;
pub mod read;
mod receipts;
mod recorder;
mod recover;
pub mod report;
mod seal;
mod verify;

pub use contents::{Intervention, Summary};
pub use error::EpisodeError;
pub use manifest::Manifest;
pub use meta::{Document, EpisodeMeta, FileLoss, Loss, OpenEpisode, Opening};
pub use recorder::{Channel, Recorded, Recorder, SYNC_EVERY_MS};
pub use recover::recover;
pub use report::Report;
pub use seal::{Ending, Sealed, read_manifest, seal, write_manifest};
pub use verify::{Options, verify};
