//! The robot's side of the message fabric: one Zenoh session as a client, state and presence out, queries in.

use crate::backoff::Backoff;
use crate::clock;
use crate::leases::Leases;
use crate::live;
use crate::requests::Requests;
use crate::shared::{Shared, Status, lock};
use crate::telemetry::{self, Publisher};
use crate::watch;
use anyhow::{Result, anyhow};
use fabric_tunnel::{Files, Tunnel};
use protocol::ids::RobotId;
use protocol::keys::PrivateKey;
use protocol::rover::Terms;
use protocol::sealed::{self, FabricKey, Kind, Opened};
use protocol::{keyexpr, message};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use zenoh::Session;
use zenoh::bytes::ZBytes;
use zenoh::qos::CongestionControl;
use zenoh::query::Query;

/// Pause between attempts to reach the router: at first, and after many.
const RECONNECT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
const STATE_EVERY: Duration = Duration::from_millis(200);
/// A relayed driver takes its robot stamps from the states: they come twice as often then.
const STATE_EVERY_RELAYED: Duration = Duration::from_millis(100);
/// With a relayed driver, the least time between states when the safety core decided anew: as often as it decides.
const DECISION_EVERY: Duration = Duration::from_millis(10);
/// Longest drive packet with its signature and seal.
const COMMAND_LEN_MAX: usize = 1024;
/// Longest request that is read.
const REQUEST_LEN_MAX: usize = 256 * 1024;

/// What the fabric needs.
pub(crate) struct Fabric {
    pub(crate) robot: RobotId,
    pub(crate) key: Arc<PrivateKey>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) episodes_waiting: Arc<AtomicU32>,
    pub(crate) requests: Arc<Requests>,
    /// What the owner lets programs do, voice and lamp aside.
    pub(crate) terms: Terms,
    /// How much video spectators may cost, kbit/s and camera; 0: there are none.
    pub(crate) spectators_kbps_max: u32,
    /// With which messages are sealed. None on a fabric without certificates: one machine, for tests.
    pub(crate) seal: Option<FabricKey>,
}

/// A query that is ours to answer.
struct Asked {
    payload: Vec<u8>,
    signature: Vec<u8>,
    /// Its salt, by which the reply is sealed.
    salt: sealed::Asked,
}

/// A session, and the tunnel that it goes through.
pub(crate) struct Linked {
    pub(crate) session: Session,
    _tunnel: Option<Tunnel>,
}

pub(crate) fn wrong(error: zenoh::Error) -> anyhow::Error {
    anyhow!("message fabric: {error}")
}

/// Connects, again and again until the router is there. After that, Zenoh itself connects again.
pub(crate) async fn connect(endpoint: &str, access: Option<&Files>) -> Linked {
    let mut told = false;
    let mut backoff = Backoff::new(RECONNECT.0, RECONNECT.1);
    loop {
        match open(endpoint, access).await {
            Ok(linked) => {
                tracing::info!(endpoint, "message router connected");
                return linked;
            }
            Err(error) if !told => {
                told = true;
                tracing::warn!(endpoint, %error, "the message router is not reachable; trying on");
            }
            Err(error) => tracing::debug!(endpoint, %error, "the message router is not reachable"),
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}

/// How a session that was connected finds back.
const RETRY: &str =
    r#"{"period_init_ms": 200, "period_max_ms": 2000, "period_increase_factor": 1.5}"#;

/// One attempt to connect.
pub(crate) async fn open(endpoint: &str, access: Option<&Files>) -> Result<Linked> {
    let tunnel = access.map(|files| Tunnel::open(endpoint, files.clone())).transpose()?;
    let connect = tunnel.as_ref().map_or(endpoint, Tunnel::endpoint);
    let session = async {
        let mut config = zenoh::Config::default();
        config.insert_json5("mode", "\"client\"")?;
        config.insert_json5("connect/endpoints", &serde_json::to_string(&[connect])?)?;
        config.insert_json5("scouting/multicast/enabled", "false")?;
        // A link that was lost is wanted at once: a driver waits five seconds for its robot.
        config.insert_json5("connect/retry", RETRY)?;
        zenoh::open(config).await
    };
    match (session.await, tunnel) {
        (Ok(session), tunnel) => Ok(Linked { session, _tunnel: tunnel }),
        (Err(error), tunnel) => {
            Err(tunnel.and_then(|t| t.trouble()).map_or_else(|| wrong(error), |why| anyhow!(why)))
        }
    }
}

impl Fabric {
    /// Declares everything. What is declared lives as long as the session.
    pub(crate) async fn declare(self: &Arc<Self>, session: &Session) -> Result<()> {
        self.queryable(
            session,
            keyexpr::signal(&self.robot),
            |fabric, _key, payload, _signature| async move {
                serde_json::to_vec(&fabric.leases.open(&payload).await)
            },
        )
        .await?;
        self.queryable(
            session,
            keyexpr::lease(&self.robot),
            |fabric, key, payload, signature| async move {
                serde_json::to_vec(&fabric.leases.ask(&key, &payload, &signature).await)
            },
        )
        .await?;
        self.queryable(
            session,
            keyexpr::estop(&self.robot),
            |fabric, key, payload, signature| async move {
                serde_json::to_vec(&fabric.leases.estop(&key, &payload, &signature).await)
            },
        )
        .await?;
        self.queryable(
            session,
            keyexpr::speak(&self.robot),
            |fabric, key, payload, signature| async move {
                serde_json::to_vec(&fabric.requests.speak(&key, &payload, &signature).await)
            },
        )
        .await?;
        self.queryable(
            session,
            keyexpr::lamp(&self.robot),
            |fabric, key, payload, signature| async move {
                serde_json::to_vec(&fabric.requests.lamp(&key, &payload, &signature).await)
            },
        )
        .await?;
        self.queryable(
            session,
            keyexpr::intervention(&self.robot),
            |fabric, key, payload, signature| async move {
                serde_json::to_vec(&fabric.requests.intervention(&key, &payload, &signature))
            },
        )
        .await?;
        self.queryable(
            session,
            keyexpr::settings(&self.robot),
            |fabric, _key, payload, _signature| async move {
                serde_json::to_vec(&fabric.leases.take_settings(&payload).await)
            },
        )
        .await?;
        let key = keyexpr::command(&self.robot);
        let (leases, seal) = (Arc::clone(&self.leases), self.seal.clone());
        session
            .declare_subscriber(key.clone())
            .callback(move |sample| {
                if sample.payload().len() > COMMAND_LEN_MAX {
                    return;
                }
                let payload = sample.payload().to_bytes();
                match &seal {
                    None => {
                        let signature =
                            sample.attachment().map(ZBytes::to_bytes).unwrap_or_default();
                        leases.relayed_packet(&key, &payload, &signature);
                    }
                    Some(seal) => {
                        if let Ok((opened, _)) = seal.open(Kind::Put, &key, &payload) {
                            leases.relayed_packet(&key, &opened.payload, &opened.attachment);
                        }
                    }
                }
            })
            .background()
            .await
            .map_err(wrong)?;
        for index in 0..self.leases.cameras().len() {
            self.camera(session, index).await?;
        }
        live::start_cameras(self, session).await?;
        watch::start(self, session, self.spectators_kbps_max).await
    }

    /// What a query asks, if it is short enough and sealed for us.
    fn asked(&self, key: &str, query: &Query) -> Option<Asked> {
        let payload = query.payload().map(ZBytes::to_bytes).unwrap_or_default();
        if payload.len() > REQUEST_LEN_MAX {
            return None;
        }
        let Some(seal) = &self.seal else {
            let signature = query.attachment().map(|a| a.to_bytes().into_owned());
            let signature = signature.unwrap_or_default();
            return Some(Asked { payload: payload.into_owned(), signature, salt: [0; 16] });
        };
        match seal.open(Kind::Query, key, &payload) {
            Ok((opened, salt)) => {
                let Opened { payload, attachment: signature } = opened;
                Some(Asked { payload, signature, salt })
            }
            Err(error) => {
                tracing::debug!(key, %error, "a query is not answered");
                None
            }
        }
    }

    async fn reply(
        &self,
        query: &Query,
        key: &str,
        salt: sealed::Asked,
        payload: impl Into<ZBytes> + AsRef<[u8]>,
        attachment: Vec<u8>,
    ) {
        let sent = match &self.seal {
            None if attachment.is_empty() => query.reply(key, payload).await,
            None => query.reply(key, payload).attachment(attachment).await,
            Some(seal) => match seal.seal(Kind::Reply(salt), key, payload.as_ref(), &attachment) {
                Ok((sealed, _)) => query.reply(key, sealed).await,
                Err(error) => Err(error.into()),
            },
        };
        if let Err(error) = sent {
            tracing::debug!(key, %error, "a reply was not sent");
        }
    }

    /// A message as it is put on `key`: payload and attachment.
    pub(crate) fn wrap(
        &self,
        key: &str,
        payload: impl Into<ZBytes> + AsRef<[u8]>,
        attachment: &[u8],
    ) -> Option<(ZBytes, Option<Vec<u8>>)> {
        match &self.seal {
            None => Some((payload.into(), Some(attachment.to_vec()))),
            Some(seal) => match seal.seal(Kind::Put, key, payload.as_ref(), attachment) {
                Ok((sealed, _)) => Some((sealed.into(), None)),
                Err(error) => {
                    tracing::error!(key, %error, "a message was not sealed, and not sent");
                    None
                }
            },
        }
    }

    /// Answers each query in a task of its own.
    async fn queryable<F, R>(
        self: &Arc<Self>,
        session: &Session,
        key: String,
        answer: F,
    ) -> Result<()>
    where
        F: Fn(Arc<Self>, String, Vec<u8>, Vec<u8>) -> R + Send + Sync + 'static,
        R: Future<Output = serde_json::Result<Vec<u8>>> + Send + 'static,
    {
        let fabric = Arc::clone(self);
        let runtime = tokio::runtime::Handle::current();
        let on = key.clone();
        session
            .declare_queryable(key)
            .callback(move |query| {
                let Some(asked) = fabric.asked(&on, &query) else { return };
                let Asked { payload, signature, salt } = asked;
                let answer = answer(Arc::clone(&fabric), on.clone(), payload, signature);
                let (fabric, on) = (Arc::clone(&fabric), on.clone());
                runtime.spawn(async move {
                    match answer.await {
                        Ok(bytes) => fabric.reply(&query, &on, salt, bytes, Vec::new()).await,
                        Err(error) => tracing::error!(%error, "a reply has no JSON form"),
                    }
                });
            })
            .background()
            .await
            .map_err(wrong)
    }

    async fn camera(self: &Arc<Self>, session: &Session, index: usize) -> Result<()> {
        let Some(camera) = self.leases.cameras().get(index) else { return Ok(()) };
        let key = keyexpr::camera(&self.robot, &camera.config().name);
        let on = key.clone();
        let fabric = Arc::clone(self);
        let runtime = tokio::runtime::Handle::current();
        session
            .declare_queryable(key)
            .callback(move |query| {
                // Pictures cost the robot time: who is not of the fleet gets none made.
                let Some(Asked { salt, .. }) = fabric.asked(&on, &query) else { return };
                let (fabric, on) = (Arc::clone(&fabric), on.clone());
                runtime.spawn(async move {
                    let (key_expr, of_us) = (on.clone(), Arc::clone(&fabric));
                    let sealed = tokio::task::spawn_blocking(move || {
                        let camera = of_us.leases.cameras().get(index)?;
                        live::sealed_still(camera, &key_expr, &of_us.key)
                    });
                    match sealed.await {
                        Ok(Some((still, sealed))) => {
                            fabric.reply(&query, &on, salt, still.jpeg, sealed).await;
                        }
                        Ok(None) => refuse(&query, "the camera gives no picture now").await,
                        Err(_panicked) => refuse(&query, "the picture could not be encoded").await,
                    }
                });
            })
            .background()
            .await
            .map_err(wrong)
    }

    /// Publishes state and presence, for ever.
    pub(crate) async fn publish(self: Arc<Self>, session: Session) -> Result<()> {
        let key = keyexpr::state(&self.robot);
        let presence = keyexpr::presence(&self.robot);
        let _token = session.liveliness().declare_token(presence).await.map_err(wrong)?;
        let publisher = session
            .declare_publisher(key.clone())
            .congestion_control(CongestionControl::Drop)
            .express(true)
            .await
            .map_err(wrong)?;
        let mut seq = 0;
        loop {
            seq += 1;
            let book = self.leases.book();
            let current = book.current().map(|current| current.lease().lease_id);
            let of_us = Publisher {
                robot: &self.robot,
                seq,
                lease: current,
                epoch_highest: book.epoch_highest(),
                last_ended: book.last_ended().cloned(),
                episodes_waiting: self.episodes_waiting.load(Ordering::Relaxed),
                settings_version: book.settings_version(),
                troubles: lock(&self.shared.troubles).clone(),
            };
            // The stamp that a driver echoes: taken as late as can be.
            let (status, sensors) = (self.shared.status(), self.shared.sensors());
            let state =
                telemetry::state(of_us, clock::mono_ms(), clock::wall_ms(), &status, &sensors);
            let payload = serde_json::to_vec(&state)?;
            let signature = message::sign(&key, &payload, &self.key);
            if let Some((payload, attachment)) = self.wrap(&key, payload, &signature)
                && let Err(error) = publisher.put(payload).attachment(attachment).await
            {
                tracing::debug!(%error, "a state was not sent");
            }
            self.pause(&status).await;
        }
    }

    /// Until the next state. A relayed driver's program waits for the robot's word on its lease and its commands: what
    /// is decided anew about them is told at once.
    async fn pause(&self, told: &Status) {
        let relayed = || self.shared.lease().is_some_and(|lease| lease.link.is_none());
        if !relayed() {
            tokio::select! {
                () = tokio::time::sleep(STATE_EVERY) => {}
                () = self.shared.leased.notified() => {}
            }
            return;
        }
        let due = tokio::time::Instant::now() + STATE_EVERY_RELAYED;
        // First of all: however often a driver presses and lets go, states are bounded.
        tokio::time::sleep(DECISION_EVERY).await;
        while tokio::time::Instant::now() < due {
            if relayed() && self.shared.status().decision() != told.decision() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = self.shared.decided.notified() => {}
            }
        }
    }
}

async fn refuse(query: &Query, why: &str) {
    if let Err(error) = query.reply_err(why).await {
        tracing::debug!(%error, "a refusal was not sent");
    }
}
