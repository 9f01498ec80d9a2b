//! The message fabric: one Zenoh session, opened as soon as the router is there, and what is asked through it.

use crate::keys::Keys;
use crate::problem::ApiError;
use fabric_tunnel::{Files, Tunnel};
use protocol::ids::RobotId;
use protocol::keys::PrivateKey;
use protocol::sealed::{Asked, FabricKey, Kind, Opened};
use protocol::{keyexpr, message};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use zenoh::Session;
use zenoh::qos::{CongestionControl, Priority};
use zenoh::query::{ConsolidationMode, QueryTarget};
use zenoh::sample::Sample;

/// Longest reply to a query that is read, bytes: a picture.
pub const REPLY_LEN_MAX: usize = 8 * 1024 * 1024;
/// Pause between attempts to reach the router.
const RECONNECT_EVERY: Duration = Duration::from_millis(500);

/// The Zenoh session together with the keys of robots' messages.
#[derive(Debug, Clone)]
pub struct Link {
    /// The session.
    pub session: Session,
    /// The keys.
    pub keys: Arc<Keys>,
}

impl Deref for Link {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.session
    }
}

/// Why a message was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOpened {
    /// Nobody here asked about this robot, so its key is not known.
    NoKey,
    /// It is not sealed by the robot or the fleet, or too long.
    Forged,
}

/// What is in a message that somebody here subscribed to.
pub fn opened(keys: &Keys, sample: &Sample, len_max: usize) -> Result<Opened, NotOpened> {
    open_with(keys, sample, len_max, |robot| keys.cached(robot))
}

/// What is in a message that comes whether anybody here wants it.
pub fn overheard(keys: &Keys, sample: &Sample, len_max: usize) -> Result<Opened, NotOpened> {
    open_with(keys, sample, len_max, |robot| keys.peek(robot))
}

fn open_with(
    keys: &Keys,
    sample: &Sample,
    len_max: usize,
    key_of: impl Fn(&RobotId) -> Option<FabricKey>,
) -> Result<Opened, NotOpened> {
    if sample.payload().len() > len_max {
        return Err(NotOpened::Forged);
    }
    let (payload, key_expr) = (sample.payload().to_bytes(), sample.key_expr().as_str());
    if !keys.sealed() {
        let attachment = sample.attachment().map(|a| a.to_bytes().into_owned());
        let attachment = attachment.unwrap_or_default();
        return Ok(Opened { payload: payload.into_owned(), attachment });
    }
    let key = keyexpr::robot_of(key_expr).and_then(|robot| key_of(&robot));
    let opened = key.ok_or(NotOpened::NoKey)?.open(Kind::Put, key_expr, &payload);
    opened.map(|(opened, _)| opened).map_err(|_forged| NotOpened::Forged)
}

/// Why a robot gave no usable reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The router is not connected.
    #[error("the message router is not connected; try again in a moment")]
    NotConnected,
    /// Nobody listens on the robot's key.
    #[error("nobody answers for the robot")]
    Offline,
    /// The robot is there but did not answer in time.
    #[error("the robot did not answer within {0:?}")]
    Timeout(Duration),
    /// The robot answered with an error, in its words.
    #[error("{0}")]
    Words(String),
    /// What came back can't be read, or is not the robot's.
    #[error("the reply is not a valid one of the robot")]
    Invalid,
}

impl AskError {
    /// As a problem about `robot`.
    pub fn into_problem(self, robot: &RobotId) -> ApiError {
        use protocol::problem::code;
        match self {
            Self::NotConnected => ApiError::unavailable(self.to_string()),
            Self::Offline => ApiError::robot_offline(format!(
                "{robot} is not connected; check that its agent runs, or take another robot"
            )),
            Self::Timeout(after) => ApiError::new(
                504,
                code::ROBOT_OFFLINE,
                format!("{robot} did not answer within {} s; try again", after.as_secs_f64()),
            ),
            Self::Words(words) => ApiError::new(409, code::WRONG_STATE, words),
            Self::Invalid => ApiError::new(
                502,
                code::BAD_SIGNATURE,
                format!("what answered for {robot} is not {robot}; tell the fleet's operator"),
            ),
        }
    }
}

/// Opens the session, again and again until the router answers, and gives it to `ready`. After that, Zenoh
/// itself connects again when the router was away: through the tunnel that this gives, if there is need of one.
pub async fn connect(
    endpoint: String,
    access: Option<Files>,
    ready: watch::Sender<Option<Session>>,
    on_state: impl Fn(&Sample) + Send + Sync + 'static,
) -> Option<Tunnel> {
    let on_state = Arc::new(on_state);
    let mut told = false;
    loop {
        match open(&endpoint, access.as_ref(), Arc::clone(&on_state)).await {
            Ok((session, tunnel)) => {
                tracing::info!(endpoint, "message router connected");
                ready.send_replace(Some(session));
                return tunnel;
            }
            Err(error) if !told => {
                told = true;
                tracing::warn!(endpoint, %error, "message router not reachable yet; trying on");
            }
            Err(error) => tracing::debug!(endpoint, %error, "message router not reachable yet"),
        }
        tokio::time::sleep(RECONNECT_EVERY).await;
    }
}

async fn open(
    endpoint: &str,
    access: Option<&Files>,
    on_state: Arc<impl Fn(&Sample) + Send + Sync + 'static>,
) -> zenoh::Result<(Session, Option<Tunnel>)> {
    let tunnel = access.map(|files| Tunnel::open(endpoint, files.clone())).transpose()?;
    let mut config = zenoh::Config::default();
    config.insert_json5("mode", "\"client\"")?;
    let endpoints = tunnel.as_ref().map_or(endpoint, Tunnel::endpoint);
    let endpoints = serde_json::to_string(&[endpoints])?;
    config.insert_json5("connect/endpoints", &endpoints)?;
    config.insert_json5("scouting/multicast/enabled", "false")?;
    let session = zenoh::open(config).await?;
    session
        .declare_subscriber(keyexpr::ALL_STATES)
        .callback(move |sample| on_state(&sample))
        .background()
        .await?;
    Ok((session, tunnel))
}

/// Whether a router is connected now.
pub async fn connected(session: &Session) -> bool {
    session.info().routers_zid().await.next().is_some()
}

/// Puts one drive packet, signed. Old ones are dropped rather than queued: the newest counts.
pub async fn put_command(link: &Link, robot: &RobotId, packet: &[u8], key: &PrivateKey) {
    let key_expr = keyexpr::command(robot);
    let signature = message::sign(&key_expr, packet, key);
    let (payload, attachment) = if link.keys.sealed() {
        // Whoever opened the lease has learned the key; without one, nobody would open what is sent.
        let sealed = link.keys.cached(robot);
        let sealed = sealed.and_then(|k| k.seal(Kind::Put, &key_expr, packet, &signature).ok());
        let Some((sealed, _)) = sealed else {
            return tracing::debug!(%robot, "a drive packet was not sent: the robot's key is not known");
        };
        (sealed, None)
    } else {
        (packet.to_vec(), Some(signature))
    };
    let put = link
        .put(&key_expr, payload)
        .attachment(attachment)
        .congestion_control(CongestionControl::Drop)
        .priority(Priority::RealTime)
        .express(true)
        .await;
    if let Err(error) = put {
        tracing::debug!(%robot, %error, "a drive packet was not sent");
    }
}

/// A query that was sealed, and what opens its replies.
struct Sealed {
    key: FabricKey,
    asked: Asked,
    sealed: Vec<u8>,
}

impl Sealed {
    fn open(&self, key_expr: &str, reply: &[u8]) -> Option<Opened> {
        let opened = self.key.open(Kind::Reply(self.asked), key_expr, reply).ok();
        opened.map(|(opened, _)| opened)
    }
}

async fn seal_query(
    link: &Link,
    key_expr: &str,
    payload: &[u8],
    attachment: Option<&[u8]>,
) -> Result<Option<Sealed>, AskError> {
    if !link.keys.sealed() {
        return Ok(None);
    }
    let robot = keyexpr::robot_of(key_expr).ok_or(AskError::Invalid)?;
    let key = link.keys.of(&robot).await.map_err(|error| {
        tracing::debug!(%robot, code = error.code(), "the robot's key is not known");
        AskError::Words(error.detail().to_owned())
    })?;
    let (sealed, asked) = key
        .seal(Kind::Query, key_expr, payload, attachment.unwrap_or_default())
        .map_err(|_no_random_bytes| AskError::Invalid)?;
    Ok(Some(Sealed { key, asked, sealed }))
}

/// Asks on `key_expr` and gives the first reply that `read` takes. Whoever can reach a key can answer on it, so
/// a reply that `read` refuses does not hide a later, true one.
pub async fn ask<T>(
    link: &Link,
    key_expr: &str,
    payload: Vec<u8>,
    attachment: Option<Vec<u8>>,
    timeout: Duration,
    read: impl Fn(&[u8], &[u8]) -> Option<T>,
) -> Result<T, AskError> {
    let seal = seal_query(link, key_expr, &payload, attachment.as_deref()).await?;
    let (payload, attachment) = match &seal {
        Some(seal) => (seal.sealed.clone(), None),
        None => (payload, attachment),
    };
    let get = link
        .get(key_expr)
        .payload(payload)
        .target(QueryTarget::All)
        .consolidation(ConsolidationMode::None)
        .congestion_control(CongestionControl::Block)
        .timeout(timeout);
    let get = match attachment {
        Some(attachment) => get.attachment(attachment),
        None => get,
    };
    let replies = get.await.map_err(|error| {
        tracing::debug!(key_expr, %error, "a query was not sent");
        AskError::NotConnected
    })?;
    let all = async {
        let mut outcome = AskError::Offline;
        while let Ok(reply) = replies.recv_async().await {
            match reply.into_result() {
                Ok(sample) if sample.payload().len() <= REPLY_LEN_MAX => {
                    let payload = sample.payload().to_bytes();
                    let value = match &seal {
                        Some(seal) => seal
                            .open(key_expr, &payload)
                            .and_then(|opened| read(&opened.payload, &opened.attachment)),
                        None => {
                            let attachment = sample.attachment().map(|a| a.to_bytes());
                            read(&payload, attachment.as_deref().unwrap_or_default())
                        }
                    };
                    match value {
                        Some(value) => return Ok(value),
                        None => outcome = AskError::Invalid,
                    }
                }
                Ok(_too_long) => outcome = AskError::Invalid,
                Err(error) => {
                    let words = String::from_utf8_lossy(&error.payload().to_bytes()).into_owned();
                    outcome = match words.as_str() {
                        "Timeout" => AskError::Timeout(timeout),
                        _ => AskError::Words(words.chars().take(500).collect()),
                    };
                }
            }
        }
        Err(outcome)
    };
    // Zenoh ends a query at its own timeout; ours is the bound that does not depend on it.
    match tokio::time::timeout(timeout + Duration::from_millis(500), all).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(AskError::Timeout(timeout)),
    }
}
