//! The message fabric: one Zenoh session, opened as soon as the router is there, and what is asked through it.

use crate::problem::ApiError;
use protocol::ids::RobotId;
use protocol::keys::PrivateKey;
use protocol::{keyexpr, message};
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
/// itself connects again when the router was away.
pub async fn connect(
    endpoint: String,
    ready: watch::Sender<Option<Session>>,
    on_state: impl Fn(&Sample) + Send + Sync + 'static,
) {
    let on_state = std::sync::Arc::new(on_state);
    let mut told = false;
    loop {
        match open(&endpoint, std::sync::Arc::clone(&on_state)).await {
            Ok(session) => {
                tracing::info!(endpoint, "message router connected");
                ready.send_replace(Some(session));
                return;
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
    on_state: std::sync::Arc<impl Fn(&Sample) + Send + Sync + 'static>,
) -> zenoh::Result<Session> {
    let mut config = zenoh::Config::default();
    config.insert_json5("mode", "\"client\"")?;
    let endpoints = serde_json::to_string(&[endpoint])?;
    config.insert_json5("connect/endpoints", &endpoints)?;
    config.insert_json5("scouting/multicast/enabled", "false")?;
    let session = zenoh::open(config).await?;
    session
        .declare_subscriber(keyexpr::ALL_STATES)
        .callback(move |sample| on_state(&sample))
        .background()
        .await?;
    Ok(session)
}

/// Whether a router is connected now.
pub async fn connected(session: &Session) -> bool {
    session.info().routers_zid().await.next().is_some()
}

/// Puts one drive packet, signed. Old ones are dropped rather than queued: the newest counts.
pub async fn put_command(session: &Session, robot: &RobotId, packet: &[u8], key: &PrivateKey) {
    let key_expr = keyexpr::command(robot);
    let signature = message::sign(&key_expr, packet, key);
    let put = session
        .put(&key_expr, packet)
        .attachment(signature)
        .congestion_control(CongestionControl::Drop)
        .priority(Priority::RealTime)
        .express(true)
        .await;
    if let Err(error) = put {
        tracing::debug!(%robot, %error, "a drive packet was not sent");
    }
}

/// Asks on `key_expr` and gives the first reply that `read` takes. Whoever can reach a key can answer on it, so
/// a reply that `read` refuses does not hide a later, true one.
pub async fn ask<T>(
    session: &Session,
    key_expr: &str,
    payload: Vec<u8>,
    attachment: Option<Vec<u8>>,
    timeout: Duration,
    read: impl Fn(&[u8], &[u8]) -> Option<T>,
) -> Result<T, AskError> {
    let get = session
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
                    let attachment = sample.attachment().map(|a| a.to_bytes());
                    match read(&payload, attachment.as_deref().unwrap_or_default()) {
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
