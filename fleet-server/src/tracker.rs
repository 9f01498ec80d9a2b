//! From what robots report to what the fleet writes down, and the clock that ends what is over.

use crate::events::{Changed, publish};
use crate::fleet::{Fleet, now};
use crate::live::{Dropped, Step};
use crate::model::{Deadline, Doc};
use crate::ops::{leases, missions};
use crate::problems::Result;
use crate::store::Scan;
use axum::http::StatusCode;
use protocol::ids::{LeaseId, RobotId};
use protocol::sealed::Kind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often leases and deadlines are looked at.
const TICK: Duration = Duration::from_millis(500);
/// Deadlines handled in one tick; the rest waits for the next.
const DEADLINES_PER_TICK: usize = 100;

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// One message on a robot's state key.
pub(crate) struct StateMessage {
    pub(crate) key: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) attachment: Vec<u8>,
}

/// Takes one state message: verifies it, keeps it, and writes down what it means.
pub(crate) async fn take(fleet: &Fleet, message: StateMessage) {
    let message = match unsealed(fleet, message) {
        Ok(message) => message,
        Err(key) => return note_dropped(&key, &Dropped::Seal),
    };
    let StateMessage { key, payload, attachment } = &message;
    match fleet.live.take(key, payload, attachment, now()) {
        Ok((robot, steps)) => {
            for step in steps {
                follow(fleet, &robot, &step).await;
            }
            publish(fleet, &Changed::Robot(robot)).await;
        }
        Err(why) => note_dropped(key, &why),
    }
}

/// What is in a message, or its key when it is not sealed as the robot seals.
fn unsealed(fleet: &Fleet, message: StateMessage) -> Result<StateMessage, String> {
    if !fleet.is_sealed() {
        return Ok(message);
    }
    let robot = protocol::keyexpr::robot_of(&message.key);
    let key = robot.and_then(|robot| fleet.live.fabric_key(&robot));
    let opened = key.and_then(|key| key.open(Kind::Put, &message.key, &message.payload).ok());
    match opened {
        Some((opened, _)) => Ok(StateMessage {
            key: message.key,
            payload: opened.payload,
            attachment: opened.attachment,
        }),
        None => Err(message.key),
    }
}

/// A robot's presence token came or went.
pub(crate) async fn presence(fleet: &Fleet, robot: &RobotId, here: bool) {
    if fleet.live.presence(robot, here) {
        publish(fleet, &Changed::Robot(robot.clone())).await;
    }
}

async fn follow(fleet: &Fleet, robot: &RobotId, step: &Step) {
    let done = async {
        let mut tx = fleet.begin().await;
        leases::step(&mut tx, step).await?;
        tx.commit().await
    };
    if let Err(refused) = done.await {
        // The store has said that its disk is full; each robot's next state comes back here.
        if refused.problem.status == StatusCode::INSUFFICIENT_STORAGE.as_u16() {
            tracing::debug!(%robot, ?step, "not written down: {}", refused.problem.detail);
        } else {
            tracing::warn!(%robot, ?step, "not written down: {}", refused.problem.detail);
        }
        // What we keep in memory may be ahead of the store now: read it again, and the next state repeats the step.
        if let Err(refused) = leases::restore_robot(fleet, robot).await {
            tracing::error!(%robot, "{}", refused.problem.detail);
        }
    }
}

/// Anybody can put on a state key, so a flood must not become a flood of log lines: one line for each power of two.
fn note_dropped(key: &str, why: &Dropped) {
    let count = DROPPED.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    if count.is_power_of_two() {
        tracing::warn!(key, count, "state dropped: {why}");
    }
}

/// Ends leases and missions whose time is over, for as long as the program runs.
pub(crate) async fn run_clock(fleet: Arc<Fleet>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(refused) = tick(&fleet).await {
            tracing::warn!("{}", refused.problem.detail);
        }
    }
}

/// Ends what is over now.
pub(crate) async fn tick(fleet: &Fleet) -> Result<()> {
    for lease in fleet.live.expired(now()) {
        expire_lease(fleet, lease).await?;
    }
    let prefix = format!("{}/", Deadline::TABLE);
    let scan = Scan { prefix: &prefix, after: None, descending: false, limit: DEADLINES_PER_TICK };
    for (key, value) in fleet.store.scan(scan).await? {
        let due = format!("{prefix}{:020}/", now().0.saturating_add(1));
        if key >= due {
            break;
        }
        let deadline: Deadline = serde_json::from_slice(&value)?;
        let mut tx = fleet.begin().await;
        missions::expire(&mut tx, deadline.mission).await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn expire_lease(fleet: &Fleet, lease: LeaseId) -> Result<()> {
    let mut tx = fleet.begin().await;
    // It may have been renewed while we waited for our turn.
    if fleet.live.expired(tx.now).contains(&lease) {
        leases::end(&mut tx, lease, "expired").await?;
        tx.commit().await?;
    }
    Ok(())
}
