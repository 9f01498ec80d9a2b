//! What the rows work out: speeds from which the robot can still stop, and what counts as old.

use super::{Facts, Finding};
use crate::fence::Place;
use crate::limits::Limits;
use crate::whereabouts::Outward;

pub(super) const fn holds(condition: bool) -> Finding {
    if condition { Finding::Holds } else { Finding::Absent }
}

pub(super) const fn bounds_when(condition: bool, mmps: u32) -> Finding {
    if condition { Finding::Bounds(mmps) } else { Finding::Absent }
}

/// Whether something of this age is too old. What was never there is.
pub(super) fn stale(age_ms: Option<u64>, age_ms_max: u32) -> bool {
    age_ms.is_none_or(|age_ms| age_ms > u64::from(age_ms_max))
}

pub(super) fn video_stale(facts: &Facts, limits: &Limits) -> bool {
    stale(facts.seen_age_ms, limits.seen_video_ms_max)
}

pub(super) fn may_drive_blind(facts: &Facts, limits: &Limits) -> bool {
    facts.program && limits.blind_permitted && limits.guard_active
}

/// The highest speed from which the robot, braking after its reaction, stops within `way_mm`:
/// v²/2a + v·r = d, solved for v.
pub(super) fn stopping_mmps(way_mm: u32, brake_mmps2: u32, reaction_ms: u64) -> u32 {
    let brake = u64::from(brake_mmps2);
    let ar = brake.saturating_mul(reaction_ms).checked_div(1_000).unwrap_or(0);
    let ad2 = brake.saturating_mul(2).saturating_mul(u64::from(way_mm));
    let root = ar.saturating_mul(ar).saturating_add(ad2).isqrt();
    u32::try_from(root.saturating_sub(ar)).unwrap_or(u32::MAX)
}

/// The speed that laser scan and range cones allow in the direction of the stick; none when they have no say.
pub(super) fn guard_mmps(facts: &Facts, limits: &Limits) -> Option<u32> {
    let close_mm = if facts.backward() { facts.close_behind_mm } else { facts.close_ahead_mm };
    let age_ms = close_age_ms(facts, limits);
    let close =
        close_mm.zip(age_ms).map(|(way_mm, age_ms)| way_mmps(way_mm, age_ms, facts, limits));
    let scan = scan_mmps(facts, limits);
    scan.map_or(close, |scan| Some(close.map_or(scan, |close| close.min(scan))))
}

fn scan_mmps(facts: &Facts, limits: &Limits) -> Option<u32> {
    if !limits.guard_active {
        return None;
    }
    let way_mm = if facts.backward() { facts.behind_mm } else { facts.ahead_mm };
    let Some(way_mm) = way_mm else {
        // Unseen: no way ahead, and a crawl back, for a robot must be able to leave a dead end.
        return Some(if facts.backward() { limits.guard_reverse_unseen_mmps_max } else { 0 });
    };
    Some(way_mmps(way_mm, facts.scan_age_ms.unwrap_or(0), facts, limits))
}

/// The speed from which the robot stops `guard_stop_mm` before the end of a way that was seen `age_ms` ago.
fn way_mmps(way_mm: u32, age_ms: u64, facts: &Facts, limits: &Limits) -> u32 {
    let reaction_ms = u64::from(limits.guard_reaction_ms).saturating_add(age_ms);
    stopping_mmps(way_mm.saturating_sub(limits.guard_stop_mm), facts.brake_mmps2, reaction_ms)
}

/// Age of what the close sensors said, while it still counts.
fn close_age_ms(facts: &Facts, limits: &Limits) -> Option<u64> {
    facts.close_age_ms.filter(|age_ms| *age_ms <= u64::from(limits.close_age_ms_max))
}

/// Takes all speed in the direction of the stick when one of the close sensors on that side says so.
pub(super) fn close_block(facts: &Facts, limits: &Limits, ahead: bool, behind: bool) -> Finding {
    let says = if facts.backward() { behind } else { ahead };
    bounds_when(says && close_age_ms(facts, limits).is_some(), 0)
}

/// What comes towards the robot may not be nearer than `collision_ms_min` at the speed of both.
pub(super) fn collision_mmps(facts: &Facts, limits: &Limits) -> Finding {
    let (way_mm, approach_mmps) = if facts.backward() {
        (facts.behind_mm, facts.approach_behind_mmps)
    } else {
        (facts.ahead_mm, facts.approach_ahead_mmps)
    };
    let Some(way_mm) = way_mm.filter(|_| limits.guard_active && approach_mmps > 0) else {
        return Finding::Absent;
    };
    let both_mmps =
        u64::from(way_mm).saturating_mul(1_000).checked_div(u64::from(limits.collision_ms_min));
    both_mmps.map_or(Finding::Absent, |both| {
        let own = both.saturating_sub(u64::from(approach_mmps));
        Finding::Bounds(u32::try_from(own).unwrap_or(u32::MAX))
    })
}

/// Whether the position is too old or too uncertain to go by.
fn position_poor(facts: &Facts, limits: &Limits) -> bool {
    stale(facts.fix_age_ms, limits.position_age_ms_max)
        || facts.accuracy_mm > limits.fence_accuracy_mm_max
}

/// Whether the position has been poor for longer than the owner bears.
pub(super) fn position_unknown(facts: &Facts, limits: &Limits) -> bool {
    let age_ms_max = limits.position_age_ms_max.saturating_add(limits.position_unknown_ms_max);
    limits.fence_active && stale(facts.good_fix_age_ms, age_ms_max)
}

/// Whether the direction of the stick leads away from the nearest edge when inside, or towards it when outside; none
/// when nobody knows.
fn leads_back(facts: &Facts, place: Place) -> Option<bool> {
    let inside = place.inside_mm > 0;
    let Some(heading) = facts.heading else {
        return match (facts.outward, facts.backward()) {
            (Outward::Unknown, _) => None,
            (Outward::Forward, backward) => Some(backward),
            (Outward::Backward, backward) => Some(!backward),
        };
    };
    let east = i64::from(heading.east_permille).saturating_mul(place.edge_east);
    let north = i64::from(heading.north_permille).saturating_mul(place.edge_north);
    // Along the front: above zero when the front points towards the edge.
    let front = east.saturating_add(north);
    let towards = if facts.backward() { front.saturating_neg() } else { front };
    Some(if inside { towards < 0 } else { towards > 0 })
}

/// The speed that the geofence allows in the direction of the stick; none when it has no say.
///
/// Towards an edge the robot must be able to stop before it, with the position's accuracy, the way driven since and the
/// owner's margin taken off. In a direction that leads back, and where nobody knows which does while the robot is still
/// inside, it may go slowly at least: it must always be able to leave.
pub(super) fn fence_mmps(facts: &Facts, limits: &Limits) -> Option<u32> {
    if !limits.fence_active {
        return None;
    }
    let slow = limits.fence_slow_mmps_max;
    // Without any position the row for that stops the robot, or will; until then it goes slowly.
    let Some(place) = facts.place else { return Some(slow) };
    let lost_mm = u64::from(facts.accuracy_mm)
        .saturating_add(facts.path_mm)
        .saturating_add(u64::from(limits.fence_margin_mm));
    let room_mm = u64::try_from(place.inside_mm).unwrap_or(0).saturating_sub(lost_mm);
    let room_mm = u32::try_from(room_mm).unwrap_or(u32::MAX);
    let stops = stopping_mmps(room_mm, facts.brake_mmps2, u64::from(limits.guard_reaction_ms));
    let allowed = match leads_back(facts, place) {
        Some(false) => stops,
        Some(true) | None => stops.max(slow),
    };
    Some(if position_poor(facts, limits) { allowed.min(slow) } else { allowed })
}

/// With drop sensors the robot goes no faster than it can stop in the ground that they see.
fn drop_look_mmps(facts: &Facts, limits: &Limits) -> u32 {
    if limits.drop_look_mm == 0 {
        return u32::MAX;
    }
    stopping_mmps(limits.drop_look_mm, facts.brake_mmps2, u64::from(limits.guard_reaction_ms))
}

pub(super) fn latency_mmps(facts: &Facts, limits: &Limits) -> Finding {
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

pub(super) fn policy_mmps(facts: &Facts, limits: &Limits) -> Finding {
    let own = if facts.backward() { limits.reverse_mmps_max } else { limits.speed_mmps_max };
    Finding::Bounds(own.min(facts.lease_mmps_max).min(drop_look_mmps(facts, limits)))
}
