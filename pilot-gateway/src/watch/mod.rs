//! Spectators: a robot's live video, sent by the robot once, to as many players as there are.
//!
//! [`http`] is WHEP; [`watch_relay`] sends; `source` gets the robot's video from the message fabric while somebody watches.

pub mod http;
pub mod settings;
mod source;

use crate::app::Shared;
use anyhow::{Context, Result};
use protocol::ids::RobotId;
use protocol::keys::Did;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use watch_relay::{Options, Server, StreamId};

/// The server for spectators, and whose streams it has.
#[derive(Debug)]
pub struct Watch {
    server: Server,
    public: Vec<IpAddr>,
    robots: Mutex<BTreeMap<StreamId, Did>>,
}

impl Watch {
    /// Starts to serve.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn start(options: &Options) -> Result<Self> {
        let server = Server::start(options).context(
            "spectators cannot be served: choose another address with --watch, for example 0.0.0.0:0",
        )?;
        tracing::info!(listen = %server.address(), public = ?options.public, "spectators' video, UDP");
        Ok(Self { server, public: options.public.clone(), robots: Mutex::default() })
    }

    /// Where viewers reach it.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let port = self.server.address().port();
        self.public.iter().map(|ip| SocketAddr::new(*ip, port)).collect()
    }

    /// Says goodbye to every viewer.
    pub fn stop(&self) {
        self.server.stop();
    }

    /// What it did so far.
    pub fn stats(&self) -> &watch_relay::Stats {
        self.server.stats()
    }

    /// The key that signs a stream's video.
    fn did(&self, stream: &StreamId) -> Option<Did> {
        self.robots.lock().unwrap_or_else(PoisonError::into_inner).get(stream).copied()
    }

    /// Somebody is about to watch: this key signs the stream's video.
    fn learn(&self, stream: &StreamId, did: Did) {
        let mut robots = self.robots.lock().unwrap_or_else(PoisonError::into_inner);
        if robots.len() >= KNOWN_MAX {
            // Streams that nobody watches are learned again.
            let wanted = self.server.wants().borrow().clone();
            robots.retain(|stream, _| wanted.contains_key(stream));
        }
        robots.insert(Arc::clone(stream), did);
    }
}

/// Streams whose key is remembered, until those that nobody watches are forgotten.
const KNOWN_MAX: usize = 512;

/// A robot's camera as the relay names it.
fn stream_of(robot: &RobotId, camera: &str) -> StreamId {
    Arc::from(format!("{robot}/{camera}"))
}

/// The robot and the camera of a stream.
fn parts_of(stream: &str) -> Option<(RobotId, &str)> {
    let (robot, camera) = stream.split_once('/')?;
    Some((robot.parse().ok()?, camera))
}

/// Follows what viewers want, for ever.
pub(crate) async fn run(app: Shared) {
    source::supervise(&app).await;
}
