//! What the tests share: a fleet, and people and robots with keys.

use crate::config::Config;
use crate::fleet::{Fleet, now};
use crate::model::Principal;
use crate::store::MemoryStore;
use crate::tracker::{self, StateMessage};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use episode::{Document, Ending, EpisodeMeta, Opening, Recorder};
use protocol::api::{Role, auth_bytes, enrolment_bytes, invitation_bytes};
use protocol::dsse::Envelope;
use protocol::ids::{EpisodeId, LeaseId, RobotId};
use protocol::keyexpr;
use protocol::keys::PrivateKey;
use protocol::lease::Lease;
use protocol::safety::{Reason, SafetyState};
use protocol::state::{EndedLease, RobotPosition, RobotState};
use protocol::units::{GeoPoint, WallMs};
use ros_msgs::nav_msgs::Odometry;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use tower::ServiceExt;

pub(super) const HOME: GeoPoint = GeoPoint { lat_deg: 52.52, lon_deg: 13.405 };

/// A fleet with an operator, and money.
pub(super) struct World {
    pub(super) fleet: Arc<Fleet>,
    pub(super) app: Router,
    pub(super) operator: String,
    store: Arc<MemoryStore>,
    dir: tempfile::TempDir,
}

/// Somebody who can sign in.
pub(super) struct Person {
    pub(super) key: PrivateKey,
    pub(super) token: String,
}

/// A robot that reports what the test tells it to.
pub(super) struct Rover {
    pub(super) id: RobotId,
    pub(super) key: PrivateKey,
    pub(super) token: String,
    pub(super) at: WallMs,
    pub(super) robot_ms: u64,
    pub(super) lease: Option<LeaseId>,
    pub(super) last_ended: Option<EndedLease>,
    pub(super) east_m: f64,
    pub(super) previous_manifest: Option<String>,
    pub(super) settings_version: u64,
}

pub(super) fn key(n: u8) -> PrivateKey {
    PrivateKey::from_seed(&[n; 32])
}

async fn open(
    store: &Arc<MemoryStore>,
    dir: &Path,
    zenoh: &str,
    disk_free_mb_min: u64,
) -> (Arc<Fleet>, Router) {
    let config = Config {
        data: dir.to_owned(),
        http: ([127, 0, 0, 1], 0).into(),
        zenoh: zenoh.into(),
        zenoh_public: "tcp/robots.example:7447".into(),
        certificate_s: 3_600,
        name: "Test".into(),
        speed_mps_max: 1.5,
        disk_free_mb_min,
        reward_split: Default::default(),
    };
    let fleet = Fleet::open(config, key(250), store.clone()).await.unwrap();
    (Arc::clone(&fleet), crate::api::router(fleet))
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with_zenoh("").await
    }

    /// With an endpoint for the message fabric, which the test opens.
    pub(super) async fn with_zenoh(zenoh: &str) -> Self {
        let (store, dir) = (Arc::new(MemoryStore::default()), tempfile::tempdir().unwrap());
        let (fleet, app) = open(&store, dir.path(), zenoh, 1).await;
        let mut tx = fleet.begin().await;
        let did = key(251).did();
        let name = "Operator".to_owned();
        let created_at = tx.now;
        let role = Role::Operator;
        tx.put(&Principal { did, role, name, robot: None, owner: None, created_at }).unwrap();
        tx.commit().await.unwrap();
        let mut world = Self { fleet, app, operator: String::new(), store, dir };
        world.operator = world.sign_in(&key(251)).await;
        let transfer = format!("txn_{:032x}", 1);
        let deposit = json!({"transfer": transfer, "amount": 1_000_000});
        world.ok("POST", "/v1/deposits", &world.operator, deposit).await;
        world
    }

    /// The same store and folder, a new process.
    pub(super) async fn restarted(self) -> Self {
        self.restarted_with(1).await
    }

    /// The same, with another reserve of free space.
    pub(super) async fn restarted_with(self, disk_free_mb_min: u64) -> Self {
        let Self { store, dir, operator, .. } = self;
        let (fleet, app) = open(&store, dir.path(), "", disk_free_mb_min).await;
        Self { fleet, app, operator, store, dir }
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) async fn raw(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Vec<u8>,
    ) -> (StatusCode, Vec<u8>) {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let request = request.body(Body::from(body)).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        (status, to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
    }

    pub(super) async fn call(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let (status, bytes) = self.raw(method, path, token, body).await;
        let value = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&bytes)));
        (status, value)
    }

    /// A call that must succeed.
    pub(super) async fn ok(&self, method: &str, path: &str, token: &str, body: Value) -> Value {
        let (status, value) = self.call(method, path, token, body).await;
        assert!(status.is_success(), "{method} {path}: {status} {value}");
        value
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        self.ok("GET", path, &self.operator, Value::Null).await
    }

    /// A call that must be refused with this status and code; gives the problem.
    pub(super) async fn refused(
        &self,
        (method, path, token): (&str, &str, &str),
        body: Value,
        status: u16,
        code: &str,
    ) -> Value {
        let (got, value) = self.call(method, path, token, body).await;
        assert_eq!((got.as_u16(), value["code"].as_str()), (status, Some(code)), "{path}: {value}");
        assert!(value["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{value}");
        value
    }

    pub(super) async fn sign_in(&self, key: &PrivateKey) -> String {
        let did = key.did().to_string();
        let challenge = self.ok("POST", "/v1/auth/challenge", "", json!({"did": did})).await;
        let nonce = challenge["nonce"].as_str().unwrap();
        let signature = hex::encode(key.sign(&auth_bytes(nonce)));
        let body = json!({"did": did, "nonce": nonce, "signature": signature});
        let session = self.ok("POST", "/v1/auth/session", "", body).await;
        session["token"].as_str().unwrap().to_owned()
    }

    pub(super) async fn invite(&self, role: &str) -> String {
        let made = self.ok("POST", "/v1/invitations", &self.operator, json!({"role": role})).await;
        made["code"].as_str().unwrap().to_owned()
    }

    pub(super) fn acceptance(key: &PrivateKey, code: &str, name: &str) -> Value {
        let signature = hex::encode(key.sign(&invitation_bytes(code)));
        json!({"did": key.did().to_string(), "name": name, "signature": signature})
    }

    pub(super) async fn person(&self, role: &str, n: u8, name: &str) -> Person {
        let code = self.invite(role).await;
        let body = Self::acceptance(&key(n), &code, name);
        let path = format!("/v1/invitations/{code}/accept");
        let session = self.ok("POST", &path, "", body).await;
        Person { key: key(n), token: session["token"].as_str().unwrap().to_owned() }
    }

    pub(super) async fn owner(&self, name: &str) -> String {
        let owner = self.ok("POST", "/v1/owners", &self.operator, json!({"name": name})).await;
        owner["id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn order_enrolment(&self, robot: &str) -> String {
        let (anna, ben) = (self.owner("Anna").await, self.owner("Ben").await);
        let owners =
            json!([{"owner": anna, "share_ppm": 666_667}, {"owner": ben, "share_ppm": 333_333}]);
        let order = json!({"robot": robot, "name": "Demo rover", "owners": owners});
        let made = self.ok("POST", "/v1/enrolments", &self.operator, order).await;
        made["code"].as_str().unwrap().to_owned()
    }

    pub(super) async fn rover(&self, robot: &str, n: u8) -> Rover {
        let code = self.order_enrolment(robot).await;
        let key = key(n);
        let signature = hex::encode(key.sign(&enrolment_bytes(&code)));
        let body = json!({"did": key.did().to_string(), "signature": signature});
        self.ok("POST", &format!("/v1/enrolments/{code}/accept"), "", body).await;
        let mut rover = Rover {
            id: robot.parse().unwrap(),
            token: self.sign_in(&key).await,
            key,
            at: now(),
            robot_ms: 1_000,
            lease: None,
            last_ended: None,
            east_m: 0.0,
            previous_manifest: None,
            settings_version: 0,
        };
        rover.report(self).await;
        rover
    }

    /// An open mission with checkpoints 10 m and 20 m to the east.
    pub(super) async fn open_mission(&self, robot: &str, reward: u64) -> String {
        let point = |east_m: f64| {
            let position = HOME.offset_m(east_m, 0.0);
            json!({"position": position, "radius_m": 3.0, "dwell_ms": 400})
        };
        let order = json!({"name": "Two corners", "robot": robot, "reward": reward,
            "checkpoints": [point(10.0), point(20.0)]});
        let mission = self.ok("POST", "/v1/missions", &self.operator, order).await;
        assert_eq!(mission["state"], "draft");
        let path = format!("/v1/missions/{}", mission["id"].as_str().unwrap());
        let funded = self.ok("POST", &format!("{path}/fund"), &self.operator, Value::Null).await;
        assert_eq!(funded["state"], "funded");
        let open = self.ok("POST", &format!("{path}/open"), &self.operator, Value::Null).await;
        assert_eq!(open["state"], "open");
        mission["id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn take_lease(&self, driver: &Person, order: Value) -> (Envelope, Lease) {
        let grant = self.ok("POST", "/v1/leases", &driver.token, order).await;
        let envelope: Envelope = serde_json::from_value(grant["lease"].clone()).unwrap();
        let lease =
            protocol::lease::VerifiedLease::verify(envelope.clone(), &self.fleet.did).unwrap();
        (envelope, lease.lease().clone())
    }

    pub(super) async fn balanced(&self) -> Value {
        let ledger = self.get("/v1/ledger").await;
        assert_eq!(ledger["balanced"], true, "{ledger}");
        ledger
    }
}

impl Rover {
    pub(super) fn state(&mut self) -> RobotState {
        self.at.0 += 1;
        self.robot_ms += 200;
        RobotState {
            robot: self.id.clone(),
            seq: self.robot_ms,
            at: self.at,
            robot_ms: self.robot_ms,
            safety: SafetyState::Idle,
            reason: Reason::ALL[0],
            lease: self.lease,
            epoch: 0,
            last_ended: self.last_ended.clone(),
            position: Some(RobotPosition {
                point: HOME.offset_m(self.east_m, 0.0),
                h_acc_m: 1.0,
                fix: 1,
                satellites: Some(9),
                age_ms: 50,
            }),
            heading_deg: Some(90.0),
            speed_mps: 0.0,
            yaw_radps: 0.0,
            limit_mps: 1.5,
            battery: Some(0.9),
            loop_latency_ms: None,
            command_seq: 0,
            minimal_risk: None,
            episodes_waiting: 0,
            version: "test".into(),
            settings_version: self.settings_version,
            troubles: Vec::new(),
        }
    }

    pub(super) fn message(&self, state: &RobotState) -> StateMessage {
        let key = keyexpr::state(&self.id);
        let payload = serde_json::to_vec(state).unwrap();
        let attachment = protocol::message::sign(&key, &payload, &self.key).to_vec();
        StateMessage { key, payload, attachment }
    }

    /// One signed state.
    pub(super) async fn report(&mut self, world: &World) {
        let state = self.state();
        tracker::take(&world.fleet, self.message(&state)).await;
    }

    /// Goes to a place and reports from there until the stay is long enough.
    pub(super) async fn go(&mut self, world: &World, east_m: f64) {
        self.east_m = east_m;
        for _ in 0..4 {
            self.report(world).await;
        }
    }

    /// Stops obeying, and says why.
    pub(super) async fn end(&mut self, world: &World, why: &str) {
        let lease = self.lease.take().unwrap();
        self.last_ended = Some(EndedLease { lease, episode: lease.into(), why: why.to_owned() });
        self.report(world).await;
    }

    /// A sealed episode of this lease, in a folder of its own.
    pub(super) fn record(
        &mut self,
        dir: &Path,
        driver: &PrivateKey,
        envelope: &Envelope,
        lease: &Lease,
    ) -> Envelope {
        let digest = Sha256::digest(envelope.body_unverified().unwrap()).into();
        let signed = Opening::new("v=0", "").signed_bytes(&digest);
        let signature = hex::encode(driver.sign(&signed));
        let meta = EpisodeMeta {
            robot: self.id.clone(),
            robot_did: self.key.did(),
            lease: envelope.clone(),
            opening: Opening::new("v=0", &signature),
            started_at: lease.issued_at,
            software: Default::default(),
            policy: Document::from_json("{}".into()),
            calibration: Document::from_json("{}".into()),
            owner_settings: None,
        };
        let mut recorder = Recorder::create(dir, &meta, &["front"]).unwrap();
        let odometry = recorder.telemetry::<Odometry>("/odom").unwrap();
        for n in 0..50_u32 {
            let mut message = Odometry::default();
            message.pose.pose.position.x = f64::from(n) * 0.5;
            let at_ns = lease.issued_at.0 * 1_000_000 + u64::from(n) * 100_000_000;
            recorder.write(odometry, at_ns, &message).unwrap();
        }
        let ending = Ending {
            at: WallMs(lease.issued_at.0 + 5_000),
            why: "released".into(),
            recorded: recorder.finish().unwrap(),
            previous_manifest_sha256: self.previous_manifest.clone(),
        };
        let sealed = episode::seal(dir, ending, &self.key).unwrap();
        self.previous_manifest = Some(sealed.manifest_sha256);
        sealed.envelope
    }

    /// Begins the upload and sends every file in chunks.
    pub(super) async fn send(&self, world: &World, dir: &Path, id: EpisodeId, manifest: &Envelope) {
        let order = json!({"episode": id, "manifest": manifest});
        let status = world.ok("POST", "/v1/episodes", &self.token, order).await;
        for file in status["files"].as_array().unwrap() {
            let name = file["name"].as_str().unwrap();
            let bytes = std::fs::read(dir.join(name)).unwrap();
            for (n, chunk) in bytes.chunks(1_000).enumerate() {
                let path = format!("/v1/episodes/{id}/files/{name}?offset={}", n * 1_000);
                let (status, body) = world.raw("PATCH", &path, &self.token, chunk.to_vec()).await;
                assert!(status.is_success(), "{}", String::from_utf8_lossy(&body));
            }
        }
    }
}
