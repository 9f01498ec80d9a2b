//! The message fabric: an embedded Zenoh router, the robots' states and presence, and the fleet's emergency stop.
//!
//! Whoever can reach the router can put on any key, so nothing is believed but signatures.

use crate::fleet::{Fleet, now};
use crate::problems::{Refused, Result};
use crate::tracker::{self, StateMessage};
use anyhow::anyhow;
use axum::http::StatusCode;
use protocol::ids::RobotId;
use protocol::keyexpr;
use protocol::message::{EstopRequest, Reply};
use protocol::problem::code;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use zenoh::Session;
use zenoh::sample::{Sample, SampleKind};

/// States that wait to be looked at. When there are more, the oldest robots' newest state comes again in 200 ms
/// anyway: new ones are dropped.
const WAITING_MAX: usize = 16_384;
/// Longest state message that is read, bytes.
const STATE_LEN_MAX: usize = 16 * 1024;
/// How long a robot has to answer to an emergency stop.
const ESTOP_TIMEOUT: Duration = Duration::from_secs(3);

enum News {
    State(StateMessage),
    Presence(RobotId, bool),
}

/// Opens the router and follows the robots until the program ends.
pub(crate) async fn open(fleet: &Arc<Fleet>) -> anyhow::Result<()> {
    let endpoint = &fleet.config.zenoh;
    let config = serde_json::json!({
        "mode": "router",
        "listen": {"endpoints": [endpoint]},
        "scouting": {"multicast": {"enabled": false}, "gossip": {"enabled": false}},
    });
    let config = zenoh::Config::from_json5(&config.to_string()).map_err(|error| {
        anyhow!("zenoh is {endpoint:?}; it must be an endpoint such as tcp/127.0.0.1:7447: {error}")
    })?;
    let session = zenoh::open(config).await.map_err(|error| {
        anyhow!(
            "the Zenoh router can't listen on {endpoint}: {error} (is another fleet-server running there? Choose \
             another endpoint with --zenoh)"
        )
    })?;
    let (news, inbox) = mpsc::channel(WAITING_MAX);
    subscribe(&session, news).await.map_err(|error| anyhow!("Zenoh subscription: {error}"))?;
    tokio::spawn(follow(Arc::clone(fleet), inbox));
    // Set once, here; nobody else opens a fabric.
    drop(fleet.fabric.set(session));
    Ok(())
}

async fn subscribe(session: &Session, news: mpsc::Sender<News>) -> zenoh::Result<()> {
    let states = news.clone();
    session
        .declare_subscriber(keyexpr::ALL_STATES)
        .callback(move |sample| {
            if let Some(message) = state_message(&sample) {
                // A full queue drops: the next state is 200 ms away.
                drop(states.try_send(News::State(message)));
            }
        })
        .background()
        .await?;
    session
        .liveliness()
        .declare_subscriber(keyexpr::ALL_PRESENCE)
        .history(true)
        .callback(move |sample| {
            if let Some(robot) = keyexpr::robot_of(sample.key_expr().as_str()) {
                drop(news.try_send(News::Presence(robot, sample.kind() == SampleKind::Put)));
            }
        })
        .background()
        .await
}

fn state_message(sample: &Sample) -> Option<StateMessage> {
    let attachment = sample.attachment()?;
    if sample.payload().len() > STATE_LEN_MAX || attachment.len() > 64 {
        return None;
    }
    Some(StateMessage {
        key: sample.key_expr().as_str().to_owned(),
        payload: sample.payload().to_bytes().into_owned(),
        attachment: attachment.to_bytes().into_owned(),
    })
}

async fn follow(fleet: Arc<Fleet>, mut inbox: mpsc::Receiver<News>) {
    while let Some(news) = inbox.recv().await {
        match news {
            News::State(message) => tracker::take(&fleet, &message).await,
            News::Presence(robot, here) => tracker::presence(&fleet, &robot, here).await,
        }
    }
}

/// Stops a robot, signed by the fleet. Returns what the robot answered.
pub(crate) async fn estop(fleet: &Fleet, robot: &RobotId, reason: String) -> Result<Reply> {
    let session =
        fleet.fabric.get().ok_or_else(|| Refused::unavailable("the fabric is not open"))?;
    let request = EstopRequest { stop: true, lease_id: None, at: now(), reason };
    let payload = serde_json::to_vec(&request)?;
    let key = keyexpr::estop(robot);
    let signature = protocol::message::sign(&key, &payload, &fleet.key);
    let attachment = [fleet.did.as_bytes().as_slice(), signature.as_slice()].concat();
    let replies = session
        .get(&key)
        .payload(payload)
        .attachment(attachment)
        .timeout(ESTOP_TIMEOUT)
        .await
        .map_err(Refused::internal)?;
    while let Ok(reply) = replies.recv_async().await {
        let Ok(sample) = reply.result() else { continue };
        if let Ok(reply) = serde_json::from_slice(&sample.payload().to_bytes()) {
            return Ok(reply);
        }
    }
    let detail =
        "the robot did not answer within 3 s; without a driver's commands it stands within 1 s";
    Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, code::ROBOT_OFFLINE, detail))
}
