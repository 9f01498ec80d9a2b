//! Everything that takes speed away, as a table.
//!
//! Each row says when it holds, what it then does, and how it clears. All rows are asked in every step; the
//! strongest action wins, and of equals the first row. There is no other place where a hazard is decided.

mod bounds;
mod table;

pub use table::HAZARDS;

use crate::fence::Place;
use crate::inputs::Heading;
use crate::limits::Limits;
use crate::outputs::Twist;
use crate::whereabouts::Outward;
use protocol::safety::Reason;

/// What a hazard does, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Bounds the speed in the direction of the stick.
    Cap,
    /// Takes all speed in the direction of the stick; the other direction and turning stay.
    Block,
    /// The robot waits for the driver: zero, and it goes on when the driver does.
    Hold,
    /// Zero at once; after it ended a drive, the stick must come to rest before the next.
    Stop,
    /// As `Stop`, and it stays when its cause has gone.
    Latch,
}

impl Action {
    /// Its name in the table.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cap => "cap",
            Self::Block => "block",
            Self::Hold => "hold",
            Self::Stop => "stop",
            Self::Latch => "latch",
        }
    }
}

/// How a hazard ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clear {
    /// When its cause has gone.
    Cause,
    /// When the driver of the current lease asks for it, with the stick at rest.
    Driver,
    /// When the agent is started again.
    Restart,
}

impl Clear {
    /// As the table says it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Cause => "with its cause",
            Self::Driver => "by the driver, stick at rest",
            Self::Restart => "by restart",
        }
    }
}

/// What a row finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// It does not hold.
    Absent,
    /// It holds.
    Holds,
    /// It bounds the speed in the direction of the stick, mm/s; it holds when the driver wants more.
    Bounds(u32),
}

/// One hazard.
pub struct Hazard {
    /// Its name.
    pub reason: Reason,
    /// What it does.
    pub action: Action,
    /// How it ends.
    pub clear: Clear,
    /// When it holds, in words for `docs/safety.md`.
    pub when: &'static str,
    /// When it holds.
    pub find: fn(&Facts, &Limits) -> Finding,
}

/// What the rows are asked about: ages instead of times, and only what counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// The clock went backwards at some time since the start.
    pub clock_regressed: bool,
    /// The emergency stop is latched.
    pub estop_latched: bool,
    /// There is a lease, it has not ended, and no higher epoch was ever seen.
    pub lease_live: bool,
    /// The lease's own limit, mm/s.
    pub lease_mmps_max: u32,
    /// The driver is a program.
    pub program: bool,
    /// Age of the newest command of the lease since it arrived.
    pub command_age_ms: Option<u64>,
    /// That command was held up on the way, or brought no robot stamp.
    pub command_held_up: bool,
    /// Age of the newest robot stamp in that command.
    pub stamp_age_ms: Option<u64>,
    /// That command holds the deadman.
    pub deadman: bool,
    /// A stop ended a drive and the stick was not at rest since.
    pub rearm_needed: bool,
    /// Age of the picture that the driver acted on.
    pub seen_age_ms: Option<u64>,
    /// Its age when the newest command arrived.
    pub loop_latency_ms: Option<u32>,
    /// Age of the newest odometry.
    pub odometry_age_ms: Option<u64>,
    /// Age of the newest laser scan.
    pub scan_age_ms: Option<u64>,
    /// Free way ahead of the robot.
    pub ahead_mm: Option<u32>,
    /// Free way behind it.
    pub behind_mm: Option<u32>,
    /// Deceleration that stopping distances count on, mm/s².
    pub brake_mmps2: u32,
    /// How fast something comes towards the robot's front, mm/s; 0 for nothing.
    pub approach_ahead_mmps: u32,
    /// How fast something comes towards its back.
    pub approach_behind_mmps: u32,
    /// Age of what the sensors that look a few steps far said.
    pub close_age_ms: Option<u64>,
    /// Free way ahead, by range cones.
    pub close_ahead_mm: Option<u32>,
    /// Free way behind, by range cones.
    pub close_behind_mm: Option<u32>,
    /// The bumper ahead is pressed.
    pub bumper_front: bool,
    /// The bumper behind is pressed.
    pub bumper_rear: bool,
    /// The ground ends ahead.
    pub drop_ahead: bool,
    /// The ground ends behind.
    pub drop_behind: bool,
    /// Where the newest position lies in the geofence.
    pub place: Option<Place>,
    /// Age of that position.
    pub fix_age_ms: Option<u64>,
    /// How far off it may be.
    pub accuracy_mm: u32,
    /// Way driven since.
    pub path_mm: u64,
    /// Age of the newest position that was good enough.
    pub good_fix_age_ms: Option<u64>,
    /// Where the robot's front points.
    pub heading: Option<Heading>,
    /// Which way of the stick led out, where no heading is known.
    pub outward: Outward,
    /// Age of the oldest heartbeat of a task that there is; 0 when there are none.
    pub heartbeat_age_ms: u64,
    /// Time since the step before.
    pub step_gap_ms: u64,
    /// Charge of the battery in thousandths.
    pub battery_permille: Option<u16>,
    /// Lean of the robot, mrad.
    pub tilt_mrad: Option<u16>,
    /// The recorder can write.
    pub recorder_able: bool,
    /// What the driver wants.
    pub wanted: Twist,
}

impl Facts {
    /// Whether the stick points backward. A stick at rest counts as forward.
    pub const fn backward(&self) -> bool {
        self.wanted.linear_mmps < 0
    }
}

/// What all rows together say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// [`Reason::bit`] of every row that holds.
    pub hazards: u32,
    /// The strongest action of a row that holds.
    pub action: Option<Action>,
    /// The first row with that action; for caps, the one that sets the limit.
    pub reason: Reason,
    /// Highest speed in the direction of the stick, mm/s; 0 under a stop.
    pub limit_mmps: u32,
    /// What sets it.
    pub limit_reason: Reason,
}

/// Asks every row.
pub fn judge(facts: &Facts, limits: &Limits) -> Judgement {
    let mut verdict = Judgement {
        hazards: 0,
        action: None,
        reason: Reason::None,
        limit_mmps: u32::MAX,
        limit_reason: Reason::None,
    };
    let wanted_mmps = if facts.deadman { facts.wanted.linear_mmps.unsigned_abs() } else { 0 };
    for hazard in HAZARDS {
        let holds = match (hazard.find)(facts, limits) {
            Finding::Absent => false,
            Finding::Holds => true,
            Finding::Bounds(mmps) => {
                if mmps < verdict.limit_mmps {
                    verdict.limit_mmps = mmps;
                    verdict.limit_reason = hazard.reason;
                }
                wanted_mmps > mmps
            }
        };
        if holds {
            verdict.hazards |= hazard.reason.bit();
            if verdict.action < Some(hazard.action) {
                verdict.action = Some(hazard.action);
                verdict.reason = hazard.reason;
            }
        }
    }
    if verdict.action >= Some(Action::Stop) {
        verdict.limit_mmps = 0;
        verdict.limit_reason = verdict.reason;
    } else if verdict.action <= Some(Action::Block) && verdict.action.is_some() {
        verdict.reason = verdict.limit_reason;
    }
    verdict
}

/// The table as Markdown: what `docs/safety.md` shows.
pub fn hazard_table_markdown() -> String {
    let mut text = String::from(
        "| bit | code | holds when | action | clears | the driver reads |\n|---|---|---|---|---|---|\n",
    );
    for hazard in HAZARDS {
        let (action, clear) = (hazard.action.word(), hazard.clear.words());
        let (reason, when) = (hazard.reason, hazard.when);
        let next = match reason.what_next() {
            "" => String::new(),
            next => format!(". {next}"),
        };
        text.push_str(&format!(
            "| {} | `{}` | {when} | {action} | {clear} | {}{next} |\n",
            reason.as_u8(),
            reason.code(),
            reason.words(),
        ));
    }
    text
}

#[cfg(test)]
#[path = "hazards/tests.rs"]
mod tests;
