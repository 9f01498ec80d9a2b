//! Gets robots' video from the message fabric, each once, while somebody watches it here.

use super::{Watch, parts_of};
use crate::app::{App, Shared};
use crate::fabric::{self, Link};
use protocol::ids::RobotId;
use protocol::keyexpr;
use protocol::keys::Did;
use protocol::sealed::Kind;
use protocol::watch::{UNIT_LEN_MAX, VideoHeard, VideoInfo, open_video};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use watch_relay::{Frame, StreamId};
use zenoh::handlers::RingChannel;
use zenoh::qos::{CongestionControl, Priority};
use zenoh::sample::Sample;

/// How often the robot is told what has arrived.
const HEARD_EVERY: Duration = Duration::from_millis(200);
/// Pause before a subscription is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// Frames that may wait here; then the oldest is dropped, and a keyframe is wished for.
const WAITING_MAX: usize = 16;
/// What seal, signature and description add to an access unit at most.
const AROUND_LEN_MAX: usize = 4 * 1024;

struct Follower {
    wishes: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts and ends followers as viewers come and go, for ever.
pub(super) async fn supervise(app: &Shared) {
    let mut wants = app.watch.server.wants();
    let mut followers: BTreeMap<StreamId, Follower> = BTreeMap::new();
    loop {
        let wanted = wants.borrow_and_update().clone();
        followers.retain(|stream, _| wanted.contains_key(stream));
        for (stream, wishes) in wanted {
            let follower = followers.entry(Arc::clone(&stream)).or_insert_with(|| {
                let (sender, receiver) = watch::channel(0);
                let task = tokio::spawn(follow(Arc::downgrade(app), stream, receiver));
                Follower { wishes: sender, task }
            });
            follower.wishes.send_if_modified(|known| std::mem::replace(known, wishes) != wishes);
        }
        // An error: the server has ended.
        if wants.changed().await.is_err() {
            return;
        }
    }
}

/// Follows one camera until it is aborted.
async fn follow(app: Weak<App>, stream: StreamId, mut wishes: watch::Receiver<u64>) {
    let Some((robot, camera)) = parts_of(&stream) else { return };
    tracing::info!(%robot, camera, "somebody watches");
    loop {
        let Some(strong) = app.upgrade() else { return };
        let ready = ready(&strong, &robot).await;
        drop(strong);
        if let Some(link) = ready {
            let one = One { app: &app, stream: &stream, robot: &robot, camera };
            if let Err(error) = one.subscribe(&link, &mut wishes).await {
                tracing::debug!(%robot, camera, %error, "the subscription is made anew");
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// The session, once it is there and the robot's key is known.
async fn ready(app: &Shared, robot: &RobotId) -> Option<Link> {
    let link = app.session().ok()?;
    if link.keys.sealed()
        && let Err(error) = link.keys.of(robot).await
    {
        tracing::debug!(%robot, code = error.code(), "the robot's key is not known; trying on");
        return None;
    }
    Some(link)
}

struct One<'a> {
    app: &'a Weak<App>,
    stream: &'a StreamId,
    robot: &'a RobotId,
    camera: &'a str,
}

impl One<'_> {
    /// Passes frames on until the session ends or the robot's key is not known any more.
    async fn subscribe(&self, link: &Link, wishes: &mut watch::Receiver<u64>) -> zenoh::Result<()> {
        let key_expr = keyexpr::camera_video(self.robot, self.camera);
        let subscriber =
            link.declare_subscriber(&key_expr).with(RingChannel::new(WAITING_MAX)).await?;
        let mut heard = VideoHeard { seq: 0, capture_ms: 0, keyframe: false };
        let mut every = tokio::time::interval(HEARD_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                sample = subscriber.recv_async() => {
                    let Some(app) = self.app.upgrade() else { return Ok(()) };
                    if let Some(info) = self.take(&app, &key_expr, &sample?) {
                        (heard.seq, heard.capture_ms) = (info.seq, info.capture_ms);
                    }
                }
                _tick = every.tick() => {
                    if link.keys.sealed() && link.keys.cached(self.robot).is_none() {
                        return Ok(());
                    }
                    self.tell(link, &heard).await;
                    heard.keyframe = false;
                }
                changed = wishes.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    heard.keyframe = *wishes.borrow_and_update() > 0;
                    self.tell(link, &heard).await;
                    heard.keyframe = false;
                }
            }
        }
    }

    /// A frame, if it is the robot's, for the viewers.
    fn take(&self, app: &App, key_expr: &str, sample: &Sample) -> Option<VideoInfo> {
        let watch: &Watch = &app.watch;
        let did: Did = watch.did(self.stream)?;
        let opened = fabric::opened(&app.keys, sample, UNIT_LEN_MAX + AROUND_LEN_MAX);
        let opened = opened
            .inspect_err(|why| tracing::debug!(key_expr, ?why, "a frame was not opened"))
            .ok()?;
        let info = match open_video(key_expr, &opened.payload, &opened.attachment, &did) {
            Ok(info) => info,
            Err(error) => {
                tracing::debug!(key_expr, %error, "a frame was refused");
                return None;
            }
        };
        let VideoInfo { seq, capture_ms, keyframe, .. } = info;
        let frame = Frame { seq, capture_ms, keyframe, data: opened.payload.into() };
        tracing::trace!(key_expr, seq, keyframe, len = frame.data.len(), "a frame for viewers");
        if !watch.server.frame(self.stream, frame) {
            tracing::debug!(key_expr, "a frame found no room");
        }
        Some(info)
    }

    /// Tells the robot what has arrived.
    async fn tell(&self, link: &Link, heard: &VideoHeard) {
        let key_expr = keyexpr::camera_heard(self.robot, self.camera);
        let Ok(payload) = serde_json::to_vec(heard) else { return };
        let payload = if link.keys.sealed() {
            let key = link.keys.cached(self.robot);
            let sealed = key.and_then(|key| key.seal(Kind::Put, &key_expr, &payload, &[]).ok());
            let Some((sealed, _)) = sealed else { return };
            sealed
        } else {
            payload
        };
        let put = link
            .put(&key_expr, payload)
            .congestion_control(CongestionControl::Drop)
            .priority(Priority::Data)
            .express(true)
            .await;
        if let Err(error) = put {
            tracing::debug!(robot = %self.robot, %error, "the robot was not told what arrived");
        }
    }
}
