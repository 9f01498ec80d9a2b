//! The documents that the store keeps, each under `table/id` as JSON.

use fleet_core::lease::Page;
use protocol::api::{OwnerShare, Role};
use protocol::dsse::Envelope;
use protocol::ids::{EpisodeId, InterventionId, LeaseId, MissionId, OwnerId, RobotId, TransferId};
use protocol::keys::Did;
use protocol::lease::Lease;
use protocol::mission::{Checkpoint, MissionState};
use protocol::units::{GeoPoint, WallMs};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A document with a place in the store.
pub(crate) trait Doc: Serialize + DeserializeOwned + Send + Sync {
    /// First part of its key.
    const TABLE: &'static str;
    /// Second part.
    fn id(&self) -> String;
}

macro_rules! docs {
    ($($name:ident = $table:literal, $field:ident;)*) => {$(
        impl Doc for $name {
            const TABLE: &'static str = $table;
            fn id(&self) -> String {
                self.$field.to_string()
            }
        }
    )*};
}

docs! {
    Principal = "principal", did;
    Invitation = "invitation", code_sha256;
    Enrolment = "enrolment", code_sha256;
    Owner = "owner", id;
    Robot = "robot", id;
    LeasePage = "lease-page", robot;
    LeaseDoc = "lease", id;
    Mission = "mission", id;
    Intervention = "intervention", id;
    Deadline = "deadline", key;
    Episode = "episode", id;
    ChainLink = "chain", key;
    Balance = "balance", account;
    Certificate = "certificate", sha256;
    Certified = "certified", did;
    Settings = "settings", robot;
}

/// Somebody with a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Principal {
    pub(crate) did: Did,
    pub(crate) role: Role,
    pub(crate) name: String,
    /// The robot that this principal is.
    pub(crate) robot: Option<RobotId>,
    /// The owner that this principal is.
    pub(crate) owner: Option<OwnerId>,
    pub(crate) created_at: WallMs,
}

/// A single-use invitation. The code itself is never stored: whoever reads the store can't use it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Invitation {
    pub(crate) code_sha256: String,
    pub(crate) role: Role,
    pub(crate) name: Option<String>,
    pub(crate) owner: Option<OwnerId>,
    pub(crate) invited_by: String,
    pub(crate) expires_at: WallMs,
    pub(crate) used_by: Option<Did>,
}

/// A single-use enrolment code for a robot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Enrolment {
    pub(crate) code_sha256: String,
    pub(crate) robot: RobotId,
    pub(crate) name: String,
    pub(crate) owners: Vec<OwnerShare>,
    pub(crate) expires_at: WallMs,
    pub(crate) used_by: Option<Did>,
}

/// Somebody who owns robots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(crate) id: OwnerId,
    pub(crate) name: String,
    pub(crate) did: Option<Did>,
}

/// An enrolled robot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Robot {
    pub(crate) id: RobotId,
    pub(crate) name: String,
    pub(crate) did: Did,
    pub(crate) owners: Vec<OwnerShare>,
    pub(crate) enrolled_at: WallMs,
    /// Digest of the manifest that was accepted last.
    pub(crate) manifest_head: Option<String>,
    /// It was taken out of the fleet.
    #[serde(default)]
    pub(crate) revoked: Option<Revoked>,
}

/// When, why and by whom a robot was taken out of the fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct Revoked {
    /// When.
    #[schema(value_type = u64)]
    pub(crate) at: WallMs,
    /// In words.
    pub(crate) why: String,
    /// Their name.
    pub(crate) by: String,
}

/// What a robot's owner allows, as the owner signed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) robot: RobotId,
    pub(crate) version: u64,
    pub(crate) signer: Did,
    pub(crate) envelope: Envelope,
}

/// A certificate that lets its holder in: one that is not on record does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Certificate {
    pub(crate) sha256: String,
    pub(crate) did: Did,
    pub(crate) expires_at: WallMs,
}

/// The certificates of a robot or gateway, with their ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Certified {
    pub(crate) did: Did,
    pub(crate) certificates: Vec<(String, WallMs)>,
}

/// A robot's page in the lease book.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LeasePage {
    pub(crate) robot: RobotId,
    pub(crate) page: Page,
}

/// A lease: its newest copy, and how it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LeaseDoc {
    pub(crate) id: LeaseId,
    pub(crate) lease: Lease,
    pub(crate) holder_name: String,
    /// When it stops blocking the robot unless it is renewed.
    pub(crate) until: WallMs,
    /// Whether the robot has reported it.
    pub(crate) on_robot: bool,
    pub(crate) ended: Option<Ended>,
    /// The intervention that is under way. Documents from before there were any lack it.
    #[serde(default)]
    pub(crate) intervention: Option<InterventionId>,
    /// How many there were.
    #[serde(default)]
    pub(crate) interventions: u32,
}

/// How a lease ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) why: String,
    pub(crate) at: WallMs,
    /// Who took over.
    #[serde(default)]
    pub(crate) by: Option<DriverRef>,
}

/// A while of a drive in which a person took over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Intervention {
    pub(crate) id: InterventionId,
    pub(crate) lease: LeaseId,
    pub(crate) robot: RobotId,
    pub(crate) mission: Option<MissionId>,
    pub(crate) mission_name: Option<String>,
    pub(crate) driver: DriverRef,
    pub(crate) cause: String,
    pub(crate) started_at: WallMs,
    pub(crate) ended: Option<Ended>,
}

/// A mission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mission {
    pub(crate) id: MissionId,
    pub(crate) name: String,
    pub(crate) robot: RobotId,
    pub(crate) checkpoints: Vec<Checkpoint>,
    /// Where the robot stays. Everywhere in missions that are older than areas.
    #[serde(default)]
    pub(crate) area: Option<Vec<Vec<GeoPoint>>>,
    pub(crate) reward: u64,
    pub(crate) deadline_at: Option<WallMs>,
    pub(crate) state: MissionState,
    pub(crate) reached: Vec<Reached>,
    pub(crate) lease: Option<LeaseId>,
    pub(crate) driver: Option<DriverRef>,
    pub(crate) episode: Option<EpisodeId>,
    pub(crate) settlement: Option<Settlement>,
    pub(crate) reason: Option<String>,
    pub(crate) created_at: WallMs,
    pub(crate) updated_at: WallMs,
}

/// A checkpoint that was reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct Reached {
    /// Which, from 0.
    pub(crate) index: usize,
    /// When the fleet saw it.
    #[schema(value_type = u64)]
    pub(crate) at: WallMs,
}

/// Who drives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct DriverRef {
    /// Key.
    #[schema(value_type = String)]
    pub(crate) did: Did,
    /// Name, for people.
    pub(crate) name: String,
}

/// How a reward was paid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct Settlement {
    /// To the driver.
    pub(crate) pilot: u64,
    /// To the robot's owners.
    pub(crate) owners: Vec<OwnerPart>,
    /// To the operator.
    pub(crate) operator: u64,
    /// The transfer in the ledger.
    #[schema(value_type = String)]
    pub(crate) transfer: TransferId,
    /// When.
    #[schema(value_type = u64)]
    pub(crate) at: WallMs,
}

/// An owner's part of a reward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct OwnerPart {
    /// The owner.
    #[schema(value_type = String)]
    pub(crate) owner: OwnerId,
    /// Its name.
    pub(crate) name: String,
    /// Credits.
    pub(crate) amount: u64,
}

/// A mission's deadline, in order of time, so that nobody has to look through all missions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Deadline {
    pub(crate) key: String,
    pub(crate) mission: MissionId,
}

impl Deadline {
    /// Deadlines sort by time, then by mission.
    pub(crate) fn new(at: WallMs, mission: MissionId) -> Self {
        Self { key: format!("{:020}/{mission}", at.0), mission }
    }
}

/// An episode, from the moment that its robot began to record it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Episode {
    pub(crate) id: EpisodeId,
    pub(crate) robot: RobotId,
    pub(crate) lease: LeaseId,
    pub(crate) epoch: u64,
    pub(crate) mission: Option<MissionId>,
    pub(crate) mission_name: Option<String>,
    pub(crate) driver: DriverRef,
    pub(crate) state: EpisodeState,
    pub(crate) reason: Option<RefusedReason>,
    pub(crate) verification: Option<serde_json::Value>,
    pub(crate) started_at: WallMs,
    pub(crate) ended_at: Option<WallMs>,
    pub(crate) duration_s: Option<f64>,
    pub(crate) distance_m: Option<f64>,
    pub(crate) files: Vec<EpisodeFile>,
    pub(crate) manifest_sha256: Option<String>,
    pub(crate) accepted_at: Option<WallMs>,
    pub(crate) receipt: Option<Envelope>,
}

/// How far an episode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EpisodeState {
    /// The robot records it.
    Recording,
    /// The drive is over; the fleet does not have all of it yet.
    Uploading,
    /// Verified and kept.
    Accepted,
    /// It does not verify.
    Refused,
}

/// Why an episode was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct RefusedReason {
    /// Stable code.
    pub(crate) code: String,
    /// In words.
    pub(crate) detail: String,
    /// The first file that is wrong.
    pub(crate) file: Option<String>,
    /// First byte of the range that is wrong.
    pub(crate) from: Option<u64>,
    /// Byte after the range.
    pub(crate) to: Option<u64>,
}

/// A file of an episode, as its manifest names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EpisodeFile {
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

/// What the fleet knows of a robot's chain of manifests: which episode a manifest is, and which one follows it.
/// Two that follow the same one are a forked history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChainLink {
    pub(crate) key: String,
    pub(crate) episode: EpisodeId,
}

impl ChainLink {
    /// Where the episode with this manifest is noted.
    pub(crate) fn manifest(robot: &Did, sha256: &str) -> String {
        format!("{robot}/manifest/{sha256}")
    }

    /// Where the episode is noted that follows this manifest; none: the robot's first.
    pub(crate) fn after(robot: &Did, previous: Option<&str>) -> String {
        format!("{robot}/after/{}", previous.unwrap_or("none"))
    }
}

/// A balance of the ledger. It is what the journal says, kept beside it so that an audit can compare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Balance {
    pub(crate) account: fleet_core::account::Account,
    pub(crate) balance: i64,
}

/// Key prefix of the journal; an entry's key is its number, so that keys sort as entries do.
pub(crate) const JOURNAL: &str = "journal/";
/// Holds the hash of the newest entry: every transfer checks it, so no two can follow the same entry.
pub(crate) const JOURNAL_HEAD: &str = "journal-head";

/// Key of the journal's entry `seq`.
pub(crate) fn journal_key(seq: u64) -> String {
    format!("{JOURNAL}{seq:020}")
}
