//! The message fabric: an embedded Zenoh router, the robots' states and presence, and the fleet's emergency stop.
//!
//! Whoever can reach the router can put on many a key, so nothing is believed but seals and signatures. See
//! `docs/security.md`.

use crate::door::{self, Guest, Inside};
use crate::fleet::{Fleet, now};
use crate::live::LiveRobot;
use crate::problems::{Refused, Result};
use crate::tracker::{self, StateMessage};
use anyhow::{Context, anyhow};
use axum::http::StatusCode;
use protocol::ids::RobotId;
use protocol::keyexpr;
use protocol::message::{EstopRequest, Reply};
use protocol::problem::code;
use protocol::sealed::Kind;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use zenoh::Session;
use zenoh::query::{ConsolidationMode, QueryTarget};
use zenoh::sample::{Sample, SampleKind};

/// States that wait to be looked at. When there are more, the oldest robots' newest state comes again in 200 ms
/// anyway: new ones are dropped.
const WAITING_MAX: usize = 16_384;
/// Longest state message that is read, bytes.
const STATE_LEN_MAX: usize = 16 * 1024;
/// How long a robot has to answer.
const REPLY_TIMEOUT: Duration = Duration::from_secs(3);

enum News {
    State(StateMessage),
    Presence(RobotId, bool),
}

/// Opens the router and follows the robots until the program ends.
pub(crate) async fn open(fleet: &Arc<Fleet>) -> anyhow::Result<()> {
    let session = match fabric_tunnel::address(&fleet.config.zenoh) {
        Some((address, _)) => behind_the_door(fleet, address).await?,
        None => router(std::slice::from_ref(&fleet.config.zenoh), serde_json::json!({})).await?,
    };
    let (news, inbox) = mpsc::channel(WAITING_MAX);
    subscribe(&session, news).await.map_err(|error| anyhow!("Zenoh subscription: {error}"))?;
    tokio::spawn(follow(Arc::clone(fleet), inbox));
    // Set once, here; nobody else opens a fabric.
    drop(fleet.fabric.set(session));
    Ok(())
}

/// A router that only the door reaches, and the door.
async fn behind_the_door(fleet: &Arc<Fleet>, address: &str) -> anyhow::Result<Session> {
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: choose another endpoint with --zenoh tls/HOST:PORT")
    })?;
    let security = serde_json::json!({"access_control": rules()});
    // A port that was free just now may be taken by the time the router wants it.
    let mut tries = 0;
    loop {
        tries += 1;
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let inside = Inside::new(port)?;
        match router(&inside.endpoints(), security.clone()).await {
            Ok(session) => {
                door::open(fleet, listener, inside)?;
                return Ok(session);
            }
            Err(error) if tries < 5 => tracing::debug!("another port for the router: {error:#}"),
            Err(error) => return Err(error),
        }
    }
}

/// What robots and gateways may do on the router, fixed for its life. A robot hears what is asked of robots and says
/// what robots say; it hears no robot. That it can't speak *as* another robot, or read what is asked of one, is the work
/// of seals and signatures, for these rules don't know one robot from another.
fn rules() -> serde_json::Value {
    let robots = |leaves: &[&str]| -> Vec<String> {
        leaves.iter().map(|leaf| format!("longrein/v1/robots/*/{leaf}")).collect()
    };
    let told = robots(&["state", "telemetry", "camera/*/live", "camera/*/video"]);
    let asked = robots(&[
        "signal",
        "lease",
        "estop",
        "speak",
        "lamp",
        "intervention",
        "settings",
        "camera/*",
    ]);
    let (ordered, presence) = (robots(&["command", "camera/*/heard"]), robots(&["presence"]));
    let rule = |id: &str, flow: &str, messages: &[&str], keys: &[String]| {
        serde_json::json!({
            "id": id, "permission": "allow", "flows": [flow], "messages": messages, "key_exprs": keys,
        })
    };
    serde_json::json!({
        "enabled": true,
        "default_permission": "deny",
        "rules": [
            rule("robot-tells", "ingress", &["put"], &told),
            rule("robot-is-told-who-listens", "egress", &["declare_subscriber"], &told),
            rule("robot-answers", "ingress", &["declare_queryable", "reply"], &asked),
            rule("robot-is-asked", "egress", &["query"], &asked),
            rule("robot-obeys", "ingress", &["declare_subscriber"], &ordered),
            rule("robot-is-ordered", "egress", &["put"], &ordered),
            rule("robot-is-there", "ingress", &["liveliness_token"], &presence),
            rule("gateway-listens", "ingress", &["declare_subscriber"], &told),
            rule("gateway-is-told", "egress", &["put"], &told),
            rule("gateway-asks", "ingress", &["query"], &asked),
            rule("gateway-is-answered", "egress", &["reply", "declare_queryable"], &asked),
            rule("gateway-orders", "ingress", &["put"], &ordered),
            rule("gateway-is-told-who-obeys", "egress", &["declare_subscriber"], &ordered),
        ],
        "subjects": [
            {"id": "robots", "link_protocols": [Guest::Robot.protocol()]},
            {"id": "gateways", "link_protocols": [Guest::Gateway.protocol()]},
        ],
        "policies": [
            {"subjects": ["robots"], "rules": ["robot-tells", "robot-is-told-who-listens", "robot-answers",
                "robot-is-asked", "robot-obeys", "robot-is-ordered", "robot-is-there"]},
            {"subjects": ["gateways"], "rules": ["gateway-listens", "gateway-is-told", "gateway-asks",
                "gateway-is-answered", "gateway-orders", "gateway-is-told-who-obeys"]},
        ],
    })
}

async fn router(endpoints: &[String], security: serde_json::Value) -> anyhow::Result<Session> {
    let mut config = serde_json::json!({
        "mode": "router",
        "listen": {"endpoints": endpoints},
        "scouting": {"multicast": {"enabled": false}, "gossip": {"enabled": false}},
        "adminspace": {"enabled": false},
    });
    if let (Some(all), serde_json::Value::Object(more)) = (config.as_object_mut(), security) {
        all.extend(more);
    }
    let config = zenoh::Config::from_json5(&config.to_string()).map_err(|error| {
        anyhow!(
            "zenoh is {endpoints:?}; it must be an endpoint such as tls/127.0.0.1:7447: {error}"
        )
    })?;
    zenoh::open(config).await.map_err(|error| {
        anyhow!(
            "the Zenoh router can't listen on {endpoints:?}: {error} (is another fleet-server running there? Choose \
             another endpoint with --zenoh)"
        )
    })
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
    // A sealed message has its attachment inside.
    let attachment = sample.attachment().cloned().unwrap_or_default();
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
            News::State(message) => {
                let robot = keyexpr::robot_of(&message.key);
                tracker::take(&fleet, message).await;
                let owes = |robot: &RobotId| fleet.live.with(robot, LiveRobot::owes_settings);
                if let Some(robot) = robot.filter(|robot| owes(robot) == Some(true)) {
                    let fleet = Arc::clone(&fleet);
                    tokio::spawn(async move { push_settings(&fleet, &robot).await });
                }
            }
            News::Presence(robot, here) => tracker::presence(&fleet, &robot, here).await,
        }
    }
}

/// Brings a robot its owner's settings, if there are any. It is brought them again if it does not take them now.
pub(crate) async fn push_settings(fleet: &Fleet, robot: &RobotId) {
    let pushed = async {
        let Some(request) = crate::ops::settings::request(fleet, robot).await? else {
            return Ok(Reply::Done);
        };
        let payload = serde_json::to_vec(&request)?;
        ask(fleet, robot, &keyexpr::settings(robot), payload, Vec::new()).await
    };
    match pushed.await {
        Ok(Reply::Done) => {}
        Ok(Reply::Refused { code, detail }) => {
            tracing::warn!(%robot, code, detail, "the robot refuses its owner's settings");
        }
        Err(refused) => {
            let refused: Refused = refused;
            tracing::info!(%robot, "the owner's settings wait: {}", refused.problem.detail);
        }
    }
}

/// Stops a robot, signed by the fleet. Returns what the robot answered.
pub(crate) async fn estop(fleet: &Fleet, robot: &RobotId, reason: String) -> Result<Reply> {
    let request = EstopRequest { stop: true, lease_id: None, at: now(), reason };
    let payload = serde_json::to_vec(&request)?;
    let key = keyexpr::estop(robot);
    let signature = protocol::message::sign(&key, &payload, &fleet.key);
    let attachment = [fleet.did.as_bytes().as_slice(), signature.as_slice()].concat();
    ask(fleet, robot, &key, payload, attachment).await
}

/// Asks a robot something and gives its reply.
async fn ask(
    fleet: &Fleet,
    robot: &RobotId,
    key: &str,
    payload: Vec<u8>,
    attachment: Vec<u8>,
) -> Result<Reply> {
    let session =
        fleet.fabric.get().ok_or_else(|| Refused::unavailable("the fabric is not open"))?;
    let sealed = match (fleet.is_sealed(), fleet.live.fabric_key(robot)) {
        (false, _) => None,
        (true, Some(secret)) => {
            let (sealed, asked) = secret
                .seal(Kind::Query, key, &payload, &attachment)
                .map_err(|error| Refused::internal(error.to_string()))?;
            Some((secret, sealed, asked))
        }
        (true, None) => return Err(Refused::not_found("robot in this fleet")),
    };
    // Whoever can reach the key can answer on it: each answer is looked at, until one is the robot's.
    let get = session.get(key).target(QueryTarget::All).consolidation(ConsolidationMode::None);
    let get = match &sealed {
        Some((_, sealed, _)) => get.payload(sealed.clone()),
        None => get.payload(payload).attachment(attachment),
    };
    let replies = get.timeout(REPLY_TIMEOUT).await.map_err(Refused::internal)?;
    while let Ok(reply) = replies.recv_async().await {
        let Ok(sample) = reply.result() else { continue };
        let bytes = sample.payload().to_bytes();
        let plain = match &sealed {
            None => Some(bytes.into_owned()),
            Some((secret, _, asked)) => {
                let opened = secret.open(Kind::Reply(*asked), key, &bytes).ok();
                opened.map(|(opened, _)| opened.payload)
            }
        };
        if let Some(reply) = plain.and_then(|plain| serde_json::from_slice(&plain).ok()) {
            return Ok(reply);
        }
    }
    let detail =
        "the robot did not answer within 3 s; without a driver's commands it stands within 1 s";
    Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, code::ROBOT_OFFLINE, detail))
}
