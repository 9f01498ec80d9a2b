//! What lets the robot into the message fabric: a certificate that renews itself, and the key of its messages.
//!
//! The newest credentials are kept on disk, so a robot that starts without its fleet connects with what it has. A robot
//! that was taken out of the fleet hears so at its next renewal, or as soon as its link is closed, and says what to do.

use crate::clock;
use crate::fabric::{self, Linked};
use crate::home::{Enrolment, Home, KeptCredentials};
use crate::leases::Leases;
use anyhow::{Context, Result, anyhow};
use fabric_tunnel::Files;
use protocol::credentials::{Asking, Credentials};
use protocol::dsse::Envelope;
use protocol::keys::PrivateKey;
use protocol::problem::{Problem, code};
use protocol::sealed::FabricKey;
use std::sync::Arc;
use std::time::Duration;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long a router may take until the fleet is asked whether it is still the one.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// How often the link is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Looks without a router after which the fleet is asked why.
const ALONE_LOOKS: u32 = 3;
/// The fleet is asked no more often than this, whatever happens to the link.
const ASK_EVERY: Duration = Duration::from_secs(20);
/// Certificates that end sooner are not begun with.
const LEFT_MS_MIN: u64 = 5_000;

/// The fleet has taken this robot out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Revoked(String);

/// Credentials that are in force.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) credentials: Credentials,
    pub(crate) fabric_key: FabricKey,
    pub(crate) files: Files,
}

/// Asks the fleet for credentials.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub(crate) home: Home,
    pub(crate) server: String,
    pub(crate) enrolment: Enrolment,
    pub(crate) key: Arc<PrivateKey>,
    pub(crate) client: reqwest::Client,
}

impl Desk {
    /// The credentials that are kept, if they are still good.
    fn kept(&self) -> Result<Option<Access>> {
        let Some(kept) = self.home.credentials()? else { return Ok(None) };
        let fleet = &self.enrolment.enrolled.fleet_did;
        let credentials = Credentials::verify(&kept.envelope, fleet, &self.key.did());
        let (Ok(credentials), Some(fabric_key)) =
            (credentials, FabricKey::from_hex(&kept.fabric_key))
        else {
            tracing::warn!("the kept credentials are another enrolment's; asking for new ones");
            return Ok(None);
        };
        if credentials.expires_at.0 <= clock::wall_ms().0.saturating_add(LEFT_MS_MIN) {
            return Ok(None);
        }
        let files = self.home.write_tls(&kept.tls_pem, &credentials.root)?;
        Ok(Some(Access { credentials, fabric_key, files }))
    }

    /// Asks for new credentials and keeps them.
    pub(crate) async fn renew(&self) -> Result<Access> {
        let asking =
            Asking::begin(&self.key, clock::wall_ms()).context("asking for credentials")?;
        let url = format!("{}/v1/certificates", self.server);
        let request = self.client.post(&url).timeout(REQUEST_TIMEOUT).json(asking.request());
        let response = request
            .send()
            .await
            .with_context(|| format!("no fleet-server answers at {}", self.server))?;
        let status = response.status();
        let bytes = response.bytes().await.context("reading the server's answer")?;
        if !status.is_success() {
            let Ok(problem) = serde_json::from_slice::<Problem>(&bytes) else {
                return Err(anyhow!("the server answers {status} on {url}"));
            };
            if problem.code == code::REVOKED {
                return Err(Revoked(problem.detail).into());
            }
            return Err(anyhow!("{} ({})", problem.detail, problem.code));
        }
        let envelope: Envelope = serde_json::from_slice(&bytes).context("the server's answer")?;
        let granted = asking.take(&envelope, &self.enrolment.enrolled.fleet_did)?;
        let fabric_key = granted.fabric_key.context("the fleet gave no fabric key")?;
        let kept =
            KeptCredentials { envelope, tls_pem: granted.tls_pem, fabric_key: fabric_key.to_hex() };
        self.home.write_credentials(&kept)?;
        let files = self.home.write_tls(&kept.tls_pem, &granted.credentials.root)?;
        Ok(Access { credentials: granted.credentials, fabric_key, files })
    }

    /// Credentials to begin with: those that are kept, or new ones as soon as the fleet answers.
    pub(crate) async fn first(&self) -> Result<Access> {
        if let Some(access) = self.kept()? {
            return Ok(access);
        }
        let mut pause = PAUSE_MIN;
        loop {
            match self.renew().await {
                Ok(access) => return Ok(access),
                Err(error) => pause = tell(&error, pause),
            }
            tokio::time::sleep(with_jitter(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Connects to the router at `named`, or where the fleet says that it is. When that takes long, the fleet is asked
    /// again: it may have moved its router, or taken this robot out.
    pub(crate) async fn enter(&self, named: Option<&str>) -> Result<(Linked, Access)> {
        let mut access = self.first().await?;
        loop {
            let endpoint = named.unwrap_or(&access.credentials.zenoh_endpoint).to_owned();
            let connecting = fabric::connect(&endpoint, Some(&access.files));
            if let Ok(linked) = tokio::time::timeout(CONNECT_WITHIN, connecting).await {
                return Ok((linked, access));
            }
            match self.renew().await {
                Ok(new) => access = new,
                Err(error) => {
                    let pause = tell(&error, PAUSE_MIN);
                    tokio::time::sleep(with_jitter(pause)).await;
                }
            }
        }
    }

    /// Renews in time, and asks at once when the link to the router is gone. Never returns.
    pub(crate) async fn keep(
        self,
        mut access: Access,
        session: zenoh::Session,
        leases: Arc<Leases>,
    ) {
        let mut alone = 0;
        let mut pause = PAUSE_MIN;
        let mut asked = tokio::time::Instant::now();
        let mut again_at = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            alone = match session.info().routers_zid().await.next() {
                Some(_router) => 0,
                None => alone + 1,
            };
            let due = clock::wall_ms() >= access.credentials.renew_at
                && again_at.elapsed() > Duration::ZERO;
            let worried = alone >= ALONE_LOOKS && asked.elapsed() >= ASK_EVERY;
            if !due && !worried {
                continue;
            }
            asked = tokio::time::Instant::now();
            match self.renew().await {
                Ok(new) => {
                    tracing::info!(
                        until_ms = new.credentials.expires_at.0,
                        "the certificate is renewed"
                    );
                    if new.fabric_key != access.fabric_key {
                        tracing::error!(
                            "the fleet has another key for this robot's messages: start the agent anew"
                        );
                    }
                    access = new;
                    pause = PAUSE_MIN;
                }
                Err(error) => {
                    pause = tell(&error, pause);
                    if error.downcast_ref::<Revoked>().is_some() {
                        leases.end_because("revoked").await;
                    }
                    again_at = asked + with_jitter(pause);
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }
}

/// Says why there are no credentials; gives the pause until the next attempt.
fn tell(error: &anyhow::Error, pause: Duration) -> Duration {
    if let Some(revoked) = error.downcast_ref::<Revoked>() {
        tracing::error!("REVOKED: {revoked}");
        return PAUSE_MAX;
    }
    tracing::warn!(again_in_s = pause.as_secs(), "no new certificate: {error:#}");
    pause
}

/// A fleet that was away is not asked by all of its robots in the same moment.
fn with_jitter(pause: Duration) -> Duration {
    let share = u32::try_from(clock::mono_ns().0 % 500).unwrap_or(0);
    pause + pause * share / 1_000
}
