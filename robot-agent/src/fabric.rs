//! The robot's side of the message fabric: one Zenoh session as a client, state and presence out, queries in.

use crate::backoff::Backoff;
use crate::clock;
use crate::leases::Leases;
use crate::live;
use crate::requests::Requests;
use crate::shared::{Shared, Status};
use crate::telemetry::{self, Publisher};
use anyhow::{Result, anyhow};
use protocol::ids::RobotId;
use protocol::keys::PrivateKey;
use protocol::rover::Terms;
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
/// With a relayed driver, how often it is looked whether the safety core decided anew: as often as it decides.
const DECISION_EVERY: Duration = Duration::from_millis(10);
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
}

pub(crate) fn wrong(error: zenoh::Error) -> anyhow::Error {
    anyhow!("message fabric: {error}")
}

/// Connects, again and again until the router is there. After that, Zenoh itself connects again.
pub(crate) async fn connect(endpoint: &str) -> Session {
    let mut told = false;
    let mut backoff = Backoff::new(RECONNECT.0, RECONNECT.1);
    loop {
        match open(endpoint).await {
            Ok(session) => {
                tracing::info!(endpoint, "message router connected");
                return session;
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

/// One attempt to connect.
pub(crate) async fn open(endpoint: &str) -> zenoh::Result<Session> {
    let mut config = zenoh::Config::default();
    config.insert_json5("mode", "\"client\"")?;
    config.insert_json5("connect/endpoints", &serde_json::to_string(&[endpoint])?)?;
    config.insert_json5("scouting/multicast/enabled", "false")?;
    zenoh::open(config).await
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
        let key = keyexpr::command(&self.robot);
        let leases = Arc::clone(&self.leases);
        session
            .declare_subscriber(key.clone())
            .callback(move |sample| {
                let signature = sample.attachment().map(ZBytes::to_bytes).unwrap_or_default();
                leases.relayed_packet(&key, &sample.payload().to_bytes(), &signature);
            })
            .background()
            .await
            .map_err(wrong)?;
        for index in 0..self.leases.cameras().len() {
            self.camera(session, index).await?;
        }
        live::start_cameras(self, session).await
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
                let payload =
                    query.payload().map(|p| p.to_bytes().into_owned()).unwrap_or_default();
                let signature =
                    query.attachment().map(|a| a.to_bytes().into_owned()).unwrap_or_default();
                if payload.len() > REQUEST_LEN_MAX {
                    return;
                }
                let answer = answer(Arc::clone(&fabric), on.clone(), payload, signature);
                let on = on.clone();
                runtime.spawn(async move {
                    match answer.await {
                        Ok(bytes) => reply(&query, &on, bytes, None).await,
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
                let (fabric, on) = (Arc::clone(&fabric), on.clone());
                runtime.spawn(async move {
                    let key_expr = on.clone();
                    let sealed = tokio::task::spawn_blocking(move || {
                        let camera = fabric.leases.cameras().get(index)?;
                        live::sealed_still(camera, &key_expr, &fabric.key)
                    });
                    match sealed.await {
                        Ok(Some((still, sealed))) => {
                            reply(&query, &on, still.jpeg, Some(sealed)).await;
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
            };
            // The stamp that a driver echoes: taken as late as can be.
            let (status, sensors) = (self.shared.status(), self.shared.sensors());
            let state =
                telemetry::state(of_us, clock::mono_ms(), clock::wall_ms(), &status, &sensors);
            let payload = serde_json::to_vec(&state)?;
            let signature = message::sign(&key, &payload, &self.key);
            if let Err(error) = publisher.put(payload).attachment(&signature[..]).await {
                tracing::debug!(%error, "a state was not sent");
            }
            self.pause(&status).await;
        }
    }

    /// Until the next state. A relayed driver's program waits for the robot's word on its lease and its commands: what
    /// is decided anew about them is told at once.
    async fn pause(&self, told: &Status) {
        let decision =
            |status: &Status| (status.outputs.state, status.outputs.reason, status.epoch);
        let relayed = || self.shared.lease().is_some_and(|lease| lease.link.is_none());
        if !relayed() {
            tokio::select! {
                () = tokio::time::sleep(STATE_EVERY) => {}
                () = self.shared.leased.notified() => {}
            }
            return;
        }
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < STATE_EVERY_RELAYED {
            // First of all: however often a driver presses and lets go, states are bounded.
            tokio::time::sleep(DECISION_EVERY).await;
            if relayed() && decision(&self.shared.status()) != decision(told) {
                return;
            }
        }
    }
}

async fn reply(query: &Query, key: &str, payload: impl Into<ZBytes>, attachment: Option<Vec<u8>>) {
    let reply = query.reply(key, payload);
    let sent = match attachment {
        Some(attachment) => reply.attachment(attachment).await,
        None => reply.await,
    };
    if let Err(error) = sent {
        tracing::debug!(key, %error, "a reply was not sent");
    }
}

async fn refuse(query: &Query, why: &str) {
    if let Err(error) = query.reply_err(why).await {
        tracing::debug!(%error, "a refusal was not sent");
    }
}
