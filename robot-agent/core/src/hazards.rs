//! Everything that takes speed away, as a table.
//!
//! Each row says when it holds, what it then does, and how it clears. All rows are asked in every step; the
//! strongest action wins, and of equals the first row. There is no other place where a hazard is decided.

use crate::outputs::Twist;
use crate::policy::Limits;
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

const fn holds(condition: bool) -> Finding {
    if condition { Finding::Holds } else { Finding::Absent }
}

const fn bounds_when(condition: bool, mmps: u32) -> Finding {
    if condition { Finding::Bounds(mmps) } else { Finding::Absent }
}

/// Whether something of this age is too old. What was never there is.
fn stale(age_ms: Option<u64>, age_ms_max: u32) -> bool {
    age_ms.is_none_or(|age_ms| age_ms > u64::from(age_ms_max))
}

fn video_stale(facts: &Facts, limits: &Limits) -> bool {
    stale(facts.seen_age_ms, limits.seen_video_ms_max)
}

fn may_drive_blind(facts: &Facts, limits: &Limits) -> bool {
    facts.program && limits.blind_permitted && limits.guard_active
}

/// The highest speed from which the robot, braking after its reaction, stops within `way_mm`:
/// v²/2a + v·r = d, solved for v.
fn stopping_mmps(way_mm: u32, brake_mmps2: u32, reaction_ms: u64) -> u32 {
    let brake = u64::from(brake_mmps2);
    let ar = brake.saturating_mul(reaction_ms).checked_div(1_000).unwrap_or(0);
    let ad2 = brake.saturating_mul(2).saturating_mul(u64::from(way_mm));
    let root = ar.saturating_mul(ar).saturating_add(ad2).isqrt();
    u32::try_from(root.saturating_sub(ar)).unwrap_or(u32::MAX)
}

/// The speed that the obstacle guard allows in the direction of the stick; none when it has no say.
fn guard_mmps(facts: &Facts, limits: &Limits) -> Option<u32> {
    if !limits.guard_active {
        return None;
    }
    let way_mm = if facts.backward() { facts.behind_mm } else { facts.ahead_mm };
    let Some(way_mm) = way_mm else {
        // Unseen: no way ahead, and a crawl back, for a robot must be able to leave a dead end.
        return Some(if facts.backward() { limits.guard_reverse_unseen_mmps_max } else { 0 });
    };
    let reaction_ms =
        u64::from(limits.guard_reaction_ms).saturating_add(facts.scan_age_ms.unwrap_or(0));
    let way_mm = way_mm.saturating_sub(limits.guard_stop_mm);
    Some(stopping_mmps(way_mm, limits.guard_brake_mmps2, reaction_ms))
}

fn latency_mmps(facts: &Facts, limits: &Limits) -> Finding {
    // A driver without fresh video is stopped, or bounded by the row for blind driving.
    let latency_ms = facts.loop_latency_ms.filter(|_| !video_stale(facts, limits));
    match latency_ms {
        None | Some(0) => Finding::Absent,
        Some(latency_ms) => {
            let per_second = limits.blind_budget_mm.saturating_mul(1_000);
            Finding::Bounds(per_second.checked_div(latency_ms).unwrap_or(0))
        }
    }
}

fn policy_mmps(facts: &Facts, limits: &Limits) -> Finding {
    let own = if facts.backward() { limits.reverse_mmps_max } else { limits.speed_mmps_max };
    Finding::Bounds(own.min(facts.lease_mmps_max))
}

/// Every hazard, the strongest first.
pub const HAZARDS: &[Hazard] = &[
    Hazard {
        reason: Reason::ClockRegression,
        action: Action::Latch,
        clear: Clear::Restart,
        when: "the monotonic clock went backwards",
        find: |facts, _| holds(facts.clock_regressed),
    },
    Hazard {
        reason: Reason::Estop,
        action: Action::Latch,
        clear: Clear::Driver,
        when: "anyone pressed the emergency stop",
        find: |facts, _| holds(facts.estop_latched),
    },
    Hazard {
        reason: Reason::NoLease,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "no lease, it has ended, or a higher epoch was seen",
        find: |facts, _| holds(!facts.lease_live),
    },
    Hazard {
        reason: Reason::CommandStale,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "no command of the lease arrived within `command_age_ms_max`",
        find: |facts, limits| holds(stale(facts.command_age_ms, limits.command_age_ms_max)),
    },
    Hazard {
        reason: Reason::CommandHeldUp,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "the command carries no robot stamp, one older than `command_stamp_age_ms_max`, or one that was \
               `command_stamp_slack_ms` older on arrival than the freshest of the last 10 s",
        find: |facts, limits| {
            let old = stale(facts.stamp_age_ms, limits.command_stamp_age_ms_max);
            holds(facts.command_held_up || old)
        },
    },
    Hazard {
        reason: Reason::VideoStale,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "the picture that the driver saw is older than `seen_video_ms_max`, or was never sent, and the \
               driver is not a program with `blind_driving.permitted`",
        find: |facts, limits| holds(video_stale(facts, limits) && !may_drive_blind(facts, limits)),
    },
    Hazard {
        reason: Reason::SensorStale,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "odometry is older than `odometry_age_ms_max` or, with the obstacle guard, the scan older than \
               `scan_age_ms_max`",
        find: |facts, limits| {
            let scan = limits.guard_active && stale(facts.scan_age_ms, limits.scan_age_ms_max);
            holds(scan || stale(facts.odometry_age_ms, limits.odometry_age_ms_max))
        },
    },
    Hazard {
        reason: Reason::RecorderFull,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "the recorder cannot write",
        find: |facts, _| holds(!facts.recorder_able),
    },
    Hazard {
        reason: Reason::RearmNeeded,
        action: Action::Stop,
        clear: Clear::Cause,
        when: "a stop ended a drive, and no command with the deadman released has arrived in time since",
        find: |facts, _| holds(facts.rearm_needed),
    },
    Hazard {
        reason: Reason::DeadmanReleased,
        action: Action::Hold,
        clear: Clear::Cause,
        when: "the deadman is not held",
        find: |facts, _| holds(!facts.deadman),
    },
    Hazard {
        reason: Reason::ObstacleAhead,
        action: Action::Block,
        clear: Clear::Cause,
        when: "the free way in the direction of the stick is at most `obstacle_guard.stop_m`, or unseen ahead",
        find: |facts, limits| bounds_when(guard_mmps(facts, limits) == Some(0), 0),
    },
    Hazard {
        reason: Reason::Tilt,
        action: Action::Cap,
        clear: Clear::Cause,
        when: "the robot leans more than `tilt_rad_max`: at most `tilt_mps_max`",
        find: |facts, limits| {
            let leans = facts.tilt_mrad.is_some_and(|mrad| u32::from(mrad) > limits.tilt_mrad_max);
            bounds_when(leans, limits.tilt_mmps_max)
        },
    },
    Hazard {
        reason: Reason::BatteryLow,
        action: Action::Cap,
        clear: Clear::Cause,
        when: "the battery is below `battery_low_ratio`: at most `battery_low_mps_max`",
        find: |facts, limits| {
            let charge = facts.battery_permille.map(u32::from);
            let low = charge.is_some_and(|charge| charge < limits.battery_low_permille);
            bounds_when(low, limits.battery_low_mmps_max)
        },
    },
    Hazard {
        reason: Reason::BlindCap,
        action: Action::Cap,
        clear: Clear::Cause,
        when: "a program drives without a fresh picture: at most `blind_driving.speed_mps_max`",
        find: |facts, limits| {
            let blind = video_stale(facts, limits);
            bounds_when(blind && may_drive_blind(facts, limits), limits.blind_mmps_max)
        },
    },
    Hazard {
        reason: Reason::Latency,
        action: Action::Cap,
        clear: Clear::Cause,
        when: "always: at most `blind_budget_m` divided by the loop latency",
        find: latency_mmps,
    },
    Hazard {
        reason: Reason::ObstacleNear,
        action: Action::Cap,
        clear: Clear::Cause,
        when: "always with the obstacle guard: at most the speed from which the robot stops in the free way, \
               v²/2a + v·reaction; at most `obstacle_guard.reverse_unseen_mps_max` backward where the scanner \
               does not look",
        find: |facts, limits| guard_mmps(facts, limits).map_or(Finding::Absent, Finding::Bounds),
    },
    Hazard {
        reason: Reason::PolicyCap,
        action: Action::Cap,
        clear: Clear::Cause,
        when: "always: at most `speed_mps_max` (`reverse_mps_max` backward) and the lease's own limit",
        find: policy_mmps,
    },
];

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
        let action = match hazard.action {
            Action::Cap => "cap",
            Action::Block => "block",
            Action::Hold => "hold",
            Action::Stop => "stop",
            Action::Latch => "latch",
        };
        let clear = match hazard.clear {
            Clear::Cause => "with its cause",
            Clear::Driver => "by the driver, stick at rest",
            Clear::Restart => "by restart",
        };
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
mod tests {
    use super::*;

    #[test]
    fn every_hazard_has_one_row_and_rows_are_ordered() {
        let bits = HAZARDS.iter().fold(0, |bits, hazard| {
            assert_eq!(bits & hazard.reason.bit(), 0, "{:?} stands twice", hazard.reason);
            bits | hazard.reason.bit()
        });
        // All reasons but `None`, and `Geofence`, which no policy can state yet.
        let all: u32 = Reason::ALL.iter().map(|reason| reason.bit()).sum();
        assert_eq!(bits, all - Reason::None.bit() - Reason::Geofence.bit());
        assert!(HAZARDS.is_sorted_by(|a, b| a.action >= b.action));
    }

    #[test]
    fn the_speed_from_which_the_robot_stops_in_time() {
        assert_eq!(stopping_mmps(0, 1_500, 200), 0);
        for way_mm in [1, 10, 100, 500, 1_000, 5_000, u32::MAX] {
            let v = f64::from(stopping_mmps(way_mm, 1_500, 300)) / 1_000.0;
            let needed_m = v * v / 3.0 + v * 0.3;
            assert!(
                needed_m <= f64::from(way_mm) / 1_000.0,
                "{way_mm}: {v} m/s needs {needed_m} m"
            );
        }
        assert_eq!(stopping_mmps(1_000, 1_500, 300), 1_339);
    }

    #[test]
    fn a_slow_loop_leaves_the_budget_per_latency() {
        let limits = crate::Policy::default().limits().unwrap();
        let at = |latency_ms| {
            let facts = Facts {
                loop_latency_ms: Some(latency_ms),
                seen_age_ms: Some(u64::from(latency_ms)),
                ..Facts::default()
            };
            latency_mmps(&facts, &limits)
        };
        assert_eq!(at(0), Finding::Absent);
        assert_eq!(at(233), Finding::Bounds(1_502));
        assert_eq!(at(500), Finding::Bounds(700));
        assert_eq!(at(501), Finding::Absent, "the video row stops it");
    }
}
