//! The drive in the driver's own name: the lease is taken and opened with its key, and its commands are signed.
//!
//! Nothing of it delays a command: a lease is taken when the gateway says that one is needed, and receipts go their own
//! way every two seconds.

use crate::api::Refused;
use crate::ledger::{Full, Ledger};
use crate::note;
use crate::rover::Rover;
use anyhow::{Context, Result, ensure};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use protocol::api::{LeaseGrant, LeaseOrder};
use protocol::ids::{LeaseId, MissionId};
use protocol::keys::Did;
use protocol::lease::VerifiedLease;
use protocol::problem::code;
use protocol::session::RECEIPT_EVERY_MS;
use protocol::signal::open_bytes;
use protocol::units::WallMs;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Says which lease this program opened itself, or `none`.
const LEASE: HeaderName = HeaderName::from_static("longrein-lease");
/// Says the number of a command under that lease.
const COMMAND: HeaderName = HeaderName::from_static("longrein-command");
/// Of a 428: what a lease is needed for.
const LEASE_FOR: &str = "longrein-lease-for";
/// Capture time of the picture in an answer.
const CAPTURE: &str = "x-capture-robot-ms";
/// After a lease was not to be had, nobody is asked again for this long.
const REFUSED_FOR: Duration = Duration::from_millis(500);

/// Why there is no lease, as the client is told.
pub(crate) type NoLease = (StatusCode, String);

/// The state of a driver that signs for itself.
#[derive(Debug, Default)]
pub(crate) struct Driver {
    ledger: std::sync::Mutex<Ledger>,
    /// One lease is opened at a time; holds the last refusal.
    opening: tokio::sync::Mutex<Option<(Instant, NoLease)>>,
    /// One receipt is sent at a time.
    sending: tokio::sync::Mutex<()>,
    /// A drive without this key was told.
    told: AtomicBool,
}

/// What a driver has to know of its gateway before it signs.
#[derive(Debug, Deserialize)]
struct Config {
    fleet_did: Did,
    relay_did: Did,
}

/// What a 428 asks for: a lease for a mission, or for a free drive.
pub(crate) fn lease_wanted(status: StatusCode, headers: &HeaderMap) -> Option<Option<MissionId>> {
    let wanted = headers.get(LEASE_FOR).filter(|_| status == StatusCode::PRECONDITION_REQUIRED)?;
    match wanted.to_str().ok()? {
        "free" => Some(None),
        id => id.parse().ok().map(Some),
    }
}

fn wall() -> WallMs {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMs(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

impl Driver {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // A handler that panicked leaves plain values, whole between calls.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lease that this program opened last.
    pub(crate) fn lease(&self) -> Option<LeaseId> {
        self.ledger().lease()
    }

    /// Marks a request as this driver's, and numbers it if it is a command. Gives the lease that it names.
    pub(crate) fn stamp(
        &self,
        headers: &mut HeaderMap,
        command: Option<(i32, i32)>,
    ) -> Result<Option<LeaseId>, Full> {
        // Under one lock, so that number and lease belong together.
        let (lease, number) = {
            let mut ledger = self.ledger();
            let number = command.map(|parts| ledger.command(parts, wall())).transpose()?;
            (ledger.lease(), number.flatten())
        };
        let id = lease.map_or_else(|| "none".to_owned(), |lease| lease.to_string());
        if let Ok(id) = HeaderValue::from_str(&id) {
            headers.insert(LEASE, id);
        }
        headers.remove(COMMAND);
        if let Some(number) = number {
            headers.insert(COMMAND, number.into());
        }
        Ok(lease)
    }

    /// The request with these headers is on its way for as long as what this gives lives.
    pub(crate) fn on_its_way<'a>(
        &'a self,
        lease: Option<LeaseId>,
        headers: &HeaderMap,
    ) -> OnItsWay<'a> {
        let number = headers.get(COMMAND).and_then(|number| number.to_str().ok()?.parse().ok());
        OnItsWay { driver: self, command: lease.zip(number) }
    }

    /// A command that named `used` was obeyed. Without a lease of ours it was somebody else who opened one in our name.
    pub(crate) fn obeyed(&self, used: Option<LeaseId>) {
        if used.is_none() && !self.told.swap(true, Ordering::Relaxed) {
            note(
                "the gateway drives without your key's signature (it may be an older one): the episode will not prove that it was you",
            );
        }
    }

    /// Takes note of a picture in an answer.
    pub(crate) fn saw(&self, headers: &HeaderMap) {
        let stamp = headers.get(CAPTURE).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if let Some(stamp) = stamp {
            self.ledger().saw(protocol::units::MonoMs(stamp).low32());
        }
    }
}

impl Rover {
    /// Takes a lease and opens it with the driver's signature, unless another request has done so since `used` was the
    /// newest.
    pub(crate) async fn take_lease(
        &self,
        used: Option<LeaseId>,
        mission: Option<MissionId>,
    ) -> Result<(), NoLease> {
        let mut refused = self.driver.opening.lock().await;
        if self.driver.lease() != used {
            return Ok(());
        }
        if let Some((at, why)) = &*refused
            && at.elapsed() < REFUSED_FOR
        {
            return Err(why.clone());
        }
        match self.open_lease(mission).await {
            Ok((lease_id, epoch)) => {
                *refused = None;
                self.driver.ledger().opened(lease_id, epoch);
                Ok(())
            }
            Err(error) => {
                let why = no_lease(&error);
                *refused = Some((Instant::now(), why.clone()));
                Err(why)
            }
        }
    }

    async fn open_lease(&self, mission: Option<MissionId>) -> Result<(LeaseId, u64)> {
        let token = self.token();
        let config: Config = serde_json::from_value(self.gateway.get("/v1/config", &token).await?)
            .context("/v1/config: the answer is not Longrein's")?;
        let (robot, relay) = (Some(self.robot.clone()), Some(config.relay_did));
        let order = LeaseOrder { robot, mission, relay, takeover: false };
        let grant: LeaseGrant = self.gateway.post("/v1/leases", &token, &order).await?;
        let lease = VerifiedLease::verify(grant.lease, &config.fleet_did)
            .context("the lease is not signed by the fleet of this gateway")?;
        let id = lease.lease().lease_id;
        let opened = self.open_granted(&config, mission, &lease, &token).await;
        if opened.is_err() {
            // Nobody else should have to wait for its end.
            self.gateway.delete(&format!("/v1/leases/{id}"), &token).await.ok();
        }
        opened.map(|()| (id, lease.lease().epoch))
    }

    async fn open_granted(
        &self,
        config: &Config,
        mission: Option<MissionId>,
        lease: &VerifiedLease,
        token: &str,
    ) -> Result<()> {
        let document = lease.lease();
        // What is signed here is what was asked for, and nothing else.
        let asked = document.holder == self.key.did()
            && document.robot == self.robot
            && document.relay == Some(config.relay_did)
            && document.mission.as_ref().map(|mission| mission.id) == mission;
        ensure!(asked, "the fleet gave another lease than was asked for; nothing was signed");
        let signature = hex::encode(self.key.sign(&open_bytes(lease.digest(), "")));
        let wish = json!({ "lease": lease.envelope(), "driver_signature": signature });
        let path = format!("/v1/robots/{}/lease", self.robot);
        self.gateway.post::<_, Value>(&path, token, &wish).await.map(|_opened| ())
    }

    /// Signs what was sent and hands it to the robot by the gateway, for ever.
    pub(crate) async fn keep_signing(&self) {
        let mut every = tokio::time::interval(Duration::from_millis(RECEIPT_EVERY_MS.into()));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            self.send_receipts().await;
        }
    }

    /// Sends the receipts that are due.
    pub(crate) async fn send_receipts(&self) {
        let _one_at_a_time = self.driver.sending.lock().await;
        let path = format!("/v1/robots/{}/lease/receipt", self.robot);
        let mut first = true;
        loop {
            let due = self.driver.ledger().due(&self.key, first);
            let Some((lease_id, receipt)) = due else { return };
            first = false;
            let token = self.token();
            let body = json!({ "receipt": receipt });
            let Err(error) = self.gateway.post::<_, Value>(&path, &token, &body).await else {
                self.driver.ledger().delivered(lease_id);
                continue;
            };
            let refused = error.downcast_ref::<Refused>();
            if refused.is_some_and(|refused| refused.status == StatusCode::UNAUTHORIZED) {
                // The next round uses the new session.
                drop(self.renewed(&token).await);
            }
            let Some(refused) = refused.filter(|refused| refused.is_final()) else { return };
            self.driver.ledger().refused(lease_id);
            if refused.code != code::LEASE_ENDED {
                note(&format!(
                    "the robot keeps no receipts of this drive, its episode will rest on the gateway's word: {refused}"
                ));
            }
            return;
        }
    }

    /// Before something that ends the lease: what was sent under it is signed. With `stop` the robot is told to stop
    /// first.
    pub(crate) async fn settle(&self, stop: bool) {
        if self.driver.lease().is_none() {
            return;
        }
        if stop {
            // Without a lease there is nothing to stop; the request that follows says so.
            self.gateway.stop(&self.robot, &self.token()).await.ok();
        }
        self.send_receipts().await;
    }
}

/// A request of the driver's on its way. It ends with its answer, or when nobody waits for that any more.
pub(crate) struct OnItsWay<'a> {
    driver: &'a Driver,
    command: Option<(LeaseId, u32)>,
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if let Some((lease_id, number)) = self.command {
            self.driver.ledger().answered(lease_id, number);
        }
    }
}

/// A refusal in the words of the API: a robot that does not answer is no missing path.
fn no_lease(error: &anyhow::Error) -> NoLease {
    match error.downcast_ref::<Refused>() {
        Some(refused)
            if [code::ROBOT_OFFLINE, code::NO_PICTURE].contains(&refused.code.as_str()) =>
        {
            (StatusCode::SERVICE_UNAVAILABLE, refused.detail().to_owned())
        }
        Some(refused) => (refused.status, refused.detail().to_owned()),
        None => (StatusCode::SERVICE_UNAVAILABLE, format!("no lease: {error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_428_says_which_lease_is_wanted() {
        let wanted = |status, text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(LEASE_FOR, HeaderValue::from_static(text));
            lease_wanted(status, &headers)
        };
        let needed = StatusCode::PRECONDITION_REQUIRED;
        let mission = "msn_0192f3c1d8e97a3cb0f5d1a2b3c4d5e6";
        assert_eq!(wanted(needed, "free"), Some(None));
        assert_eq!(wanted(needed, mission), Some(Some(mission.parse().unwrap())));
        assert_eq!(wanted(needed, "nonsense"), None);
        assert_eq!(wanted(StatusCode::OK, "free"), None);
        assert_eq!(lease_wanted(needed, &HeaderMap::new()), None);
    }

    #[test]
    fn requests_name_the_lease_and_commands_their_number() {
        let driver = Driver::default();
        let mut headers = HeaderMap::new();
        headers.insert(COMMAND, HeaderValue::from_static("9"));
        assert_eq!(driver.stamp(&mut headers, Some((1, 0))), Ok(None));
        assert_eq!(
            (headers.get(&LEASE).unwrap(), headers.get(&COMMAND)),
            (&HeaderValue::from_static("none"), None)
        );
        let lease = LeaseId::new(uuid::Uuid::from_u128(3));
        driver.ledger().opened(lease, 1);
        assert_eq!(driver.stamp(&mut headers, Some((1, 0))), Ok(Some(lease)));
        assert_eq!(headers.get(&COMMAND).unwrap(), "1");
        assert_eq!(driver.stamp(&mut headers, None), Ok(Some(lease)));
        assert_eq!(headers.get(&COMMAND), None, "only commands are numbered");
    }
}
