//! What a verification found.

use crate::contents::Summary;
use crate::manifest::{ChannelEntry, Driver, MissionRef, ReceiptSummary};
use crate::meta::Loss;
use protocol::ids::{EpisodeId, RobotId};
use protocol::keys::Did;
use protocol::units::WallMs;
use serde::Serialize;
use std::fmt;

/// What [`crate::verify`] found.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Report {
    /// Whether every check passed that could be made.
    pub verified: bool,
    /// Why not: the first failure.
    pub failure: Option<Failure>,
    /// Every check, in the order in which it was made.
    pub checks: Vec<Check>,
    /// The manifest's name: SHA-256 of its signed bytes.
    pub manifest_sha256: Option<String>,
    /// What the manifest says, once the robot's signature was verified.
    pub episode: Option<EpisodeFacts>,
    /// The files, as the manifest names them.
    pub files: Vec<FileFacts>,
    /// What the recordings hold; empty until all files were found intact.
    pub summary: Option<Summary>,
    /// The driver's receipts, as recomputed.
    pub receipts: Option<ReceiptFacts>,
    /// What shows who drove; only of an episode that verifies.
    pub proof: Option<Proof>,
}

/// What shows who drove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// How much.
    pub level: ProofLevel,
    /// The driver that its own signatures prove; none when there are none.
    pub did: Option<Did>,
    /// In words.
    pub words: String,
}

/// How much the driver's own signatures show, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofLevel {
    /// Nothing: the relay says who drove.
    Relay,
    /// The driver's key opened the drive.
    Opening,
    /// The driver's key signed what moved the robot.
    Commands,
}

/// What a verified manifest says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpisodeFacts {
    /// The episode.
    pub id: EpisodeId,
    /// The robot.
    pub robot: RobotId,
    /// The key that the manifest was verified with.
    pub robot_did: Did,
    /// Where that key came from: `given` by the caller, or taken from the `manifest` itself, which proves that
    /// the episode is whole but not whose it is.
    pub robot_did_from: &'static str,
    /// Who drove.
    pub driver: Driver,
    /// Whether the driver signed the opening of the session itself; otherwise its relay speaks for it.
    pub driver_signed: bool,
    /// What the drive was for.
    pub mission: Option<MissionRef>,
    /// Epoch of the lease.
    pub epoch: u64,
    /// When recording began.
    pub started_at: WallMs,
    /// When it ended.
    pub ended_at: WallMs,
    /// Why it ended.
    pub ended_why: String,
    /// The manifest that the robot sealed before.
    pub previous_manifest_sha256: Option<String>,
    /// What a crash took.
    pub loss: Option<Loss>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileFacts {
    /// Its name.
    pub name: String,
    /// Its size, bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: String,
    /// What is in it.
    pub channels: Vec<ChannelEntry>,
}

/// The driver's receipts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReceiptFacts {
    /// The counts.
    #[serde(flatten)]
    pub summary: ReceiptSummary,
    /// Recorded packets after the last that a receipt covers.
    pub uncovered_tail: u64,
    /// Recorded packets with the deadman held.
    pub moving_recorded: u64,
    /// Those of them that a receipt covers.
    pub moving_covered: u64,
    /// Those of these whose picture the driver's end had, by its own word. For the others it is the relay's.
    pub pictures_signed: u64,
    /// Of a driver behind a relay: how much longer its slowest command took to the robot than its quickest, ms.
    pub delay_spread_ms: Option<u64>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable name: `manifest`, `robot-signature`, `statement`, `lease`, `driver-signature`, `folder`, `files`,
    /// `contents`, `receipts`, `ingest-receipt`.
    pub name: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// In words.
    pub detail: String,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not hold.
    Failed,
    /// It could not be made; `detail` says what is needed for it.
    NotChecked,
}

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The check that failed.
    pub check: &'static str,
    /// The file that is wrong.
    pub file: Option<String>,
    /// The bytes of it that are wrong, as far as they can be told.
    pub bytes: Option<ByteRange>,
    /// In words.
    pub detail: String,
}

/// Bytes `start..end` of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// One after the last byte.
    pub end: u64,
}

impl Failure {
    pub(crate) fn new(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, file: None, bytes: None, detail: detail.into() }
    }

    pub(crate) fn in_file(mut self, name: &str) -> Self {
        self.file = Some(name.to_owned());
        self
    }

    pub(crate) fn at(mut self, start: u64, end: u64) -> Self {
        self.bytes = Some(ByteRange { start, end });
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}")?;
            if let Some(bytes) = self.bytes {
                write!(f, " bytes {}..{}", bytes.start, bytes.end)?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.detail)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let mark = match check.outcome {
                Outcome::Passed => "ok    ",
                Outcome::Failed => "FAILED",
                Outcome::NotChecked => "-     ",
            };
            writeln!(f, "  {mark}  {:<16}  {}", check.name, check.detail)?;
        }
        if let Some(proof) = &self.proof {
            writeln!(f, "  driver: {}", proof.words)?;
        }
        match &self.failure {
            None => f.write_str("verified"),
            Some(failure) => write!(f, "NOT VERIFIED: {failure}"),
        }
    }
}
