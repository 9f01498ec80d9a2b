//! The keys of robots' messages. The gateway asks the fleet for each when somebody here first wants the robot, and asks
//! again every few seconds: a robot that was taken out of the fleet is not listened to any more.

use crate::fleet::Fleet;
use crate::problem::ApiError;
use protocol::api::Session;
use protocol::ids::RobotId;
use protocol::keys::PrivateKey;
use protocol::problem::code;
use protocol::sealed::{BoxKey, FabricKey};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often the fleet is asked again.
const REFRESH_EVERY: Duration = Duration::from_secs(10);
/// How long a key is used while the fleet does not answer: as long as a lease that nobody renews, so that a restart of
/// the fleet ends no drive.
const KEPT_MAX: Duration = Duration::from_secs(45);
/// A robot that nobody wanted for so long is forgotten.
const IDLE_MAX: Duration = Duration::from_secs(120);

#[derive(Debug)]
struct Known {
    key: FabricKey,
    learned: Instant,
    wanted: Instant,
}

/// Keys by robot.
#[derive(Debug)]
pub struct Keys {
    /// False on a fabric without certificates: its messages are not sealed.
    sealed: bool,
    fleet: Fleet,
    own: Arc<PrivateKey>,
    session: tokio::sync::Mutex<Option<Session>>,
    known: Mutex<BTreeMap<RobotId, Known>>,
}

impl Keys {
    /// No keys yet. `own` is the gateway's key, which the fleet knows.
    pub fn new(sealed: bool, fleet: Fleet, own: Arc<PrivateKey>) -> Self {
        let (session, known) = (tokio::sync::Mutex::new(None), Mutex::new(BTreeMap::new()));
        Self { sealed, fleet, own, session, known }
    }

    /// Whether messages are sealed.
    pub const fn sealed(&self) -> bool {
        self.sealed
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<RobotId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of `robot`, if it is known.
    pub fn cached(&self, robot: &RobotId) -> Option<FabricKey> {
        let mut known = self.known();
        let known = known.get_mut(robot).filter(|known| known.learned.elapsed() < KEPT_MAX)?;
        known.wanted = Instant::now();
        Some(known.key.clone())
    }

    /// As [`Keys::cached`], without saying that somebody wants the robot: its messages come whether anybody does.
    pub fn peek(&self, robot: &RobotId) -> Option<FabricKey> {
        let known = self.known();
        let known = known.get(robot).filter(|known| known.learned.elapsed() < KEPT_MAX)?;
        Some(known.key.clone())
    }

    /// The key of `robot`, from the fleet if need be.
    pub async fn of(&self, robot: &RobotId) -> Result<FabricKey, ApiError> {
        match self.cached(robot) {
            Some(key) => Ok(key),
            None => self.learn(robot).await,
        }
    }

    async fn learn(&self, robot: &RobotId) -> Result<FabricKey, ApiError> {
        match self.fetch(robot).await {
            Ok(key) => {
                let now = Instant::now();
                let mut known = self.known();
                let wanted = known.get(robot).map_or(now, |known| known.wanted);
                known.insert(robot.clone(), Known { key: key.clone(), learned: now, wanted });
                Ok(key)
            }
            Err(error) => {
                // Only the fleet's word ends what was known; its silence doesn't.
                if [code::REVOKED, code::NOT_FOUND, code::FORBIDDEN].contains(&error.code()) {
                    self.known().remove(robot);
                }
                Err(error)
            }
        }
    }

    async fn fetch(&self, robot: &RobotId) -> Result<FabricKey, ApiError> {
        let failed = || ApiError::unavailable("the system has no random bytes for a key");
        let mut again = false;
        loop {
            let token = self.token(again).await?;
            let reader = BoxKey::generate().map_err(|_no_random_bytes| failed())?;
            match self.fleet.fabric_key(robot, reader.public_hex(), &token).await {
                Ok(grant) => {
                    let secret = reader.open(&grant.fabric_key).ok();
                    let text = secret.and_then(|secret| String::from_utf8(secret).ok());
                    return text.and_then(|text| FabricKey::from_hex(&text)).ok_or_else(|| {
                        ApiError::unavailable("the fleet's answer does not hold the robot's key")
                    });
                }
                Err(error) if error.code() == code::SIGN_IN && !again => again = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// A token of the gateway itself.
    async fn token(&self, new: bool) -> Result<String, ApiError> {
        let mut session = self.session.lock().await;
        if let Some(session) = session.as_ref().filter(|_| !new) {
            return Ok(session.token.clone());
        }
        let signed_in = self.fleet.sign_in(&self.own).await?;
        Ok(session.insert(signed_in).token.clone())
    }

    /// Asks again for the keys that are in use, for ever.
    pub async fn keep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(REFRESH_EVERY).await;
            self.known().retain(|_, known| known.wanted.elapsed() < IDLE_MAX);
            let robots: Vec<RobotId> = self.known().keys().cloned().collect();
            for robot in robots {
                if let Err(error) = self.learn(&robot).await {
                    tracing::info!(%robot, code = error.code(), "the robot's key was not renewed");
                }
            }
        }
    }
}
