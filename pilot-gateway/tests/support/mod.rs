//! A whole small world in one process: an embedded Zenoh router, a fake fleet server, a fake robot and the real
//! gateway between them. All ports are chosen by the system.

#![allow(dead_code, reason = "each test file uses a part of the world")]
#![allow(unreachable_pub, missing_docs, clippy::unwrap_used, reason = "test support")]

mod interventions;
mod senses;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};
use axum::{Json, Router};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pilot_gateway::Gateway;
use pilot_gateway::config::Config;
use protocol::api::{
    ChallengeRequest, LeaseOrder, Role, SessionClaims, SessionRequest, auth_bytes,
};
use protocol::drive::DriveCommand;
use protocol::dsse::{Envelope, payload_type};
use protocol::ids::{LeaseId, RobotId};
use protocol::intervention::InterventionRequest;
use protocol::keys::{Did, PrivateKey};
use protocol::lease::{DriverKind, Lease, LeaseLimits, VerifiedLease};
use protocol::message::{EstopRequest, LeaseRequest, Reply};
use protocol::problem::Problem;
use protocol::program::RelayedReceipt;
use protocol::rover::{FrameInfo, seal_frame};
use protocol::safety::{Reason, SafetyState};
use protocol::signal::{SignalReply, SignalRequest, sign_answer};
use protocol::state::{EndedLease, RobotState};
use protocol::units::WallMs;
use protocol::{keyexpr, message};
use serde_json::{Value, json};
use std::net::TcpListener as StdListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use zenoh::Session;

pub const ROBOT: &str = "rover-1";
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn fleet_key() -> PrivateKey {
    PrivateKey::from_seed(&[1; 32])
}
pub fn robot_key() -> PrivateKey {
    PrivateKey::from_seed(&[2; 32])
}
pub fn gateway_key() -> PrivateKey {
    PrivateKey::from_seed(&[3; 32])
}
/// Drivers: any seed from 10 on.
pub fn driver_key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed(&[seed; 32])
}

pub fn wall() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

pub fn token_until(did: Did, expires_at: u64, signer: &PrivateKey) -> String {
    let claims = SessionClaims {
        did,
        role: Role::Agent,
        name: "Ada".to_owned(),
        expires_at: WallMs(expires_at),
    };
    let envelope = Envelope::sign(payload_type::SESSION, &claims, signer).unwrap();
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&envelope).unwrap())
}

pub fn token(seed: u8) -> String {
    token_until(driver_key(seed).did(), wall() + 3_600_000, &fleet_key())
}

/// What happened, for a test to wait on.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub commands: Vec<DriveCommand>,
    pub renewals: u32,
    pub robot_released: bool,
    pub fleet_released: Vec<LeaseId>,
    pub estops: Vec<bool>,
    pub fleet_estops: u32,
    pub signals: Vec<SignalRequest>,
    pub receipts: Vec<RelayedReceipt>,
    /// What the fleet was told, in order.
    pub interventions: Vec<String>,
    /// What the robot was asked to record.
    pub recorded: Vec<InterventionRequest>,
}

/// How the robot behaves.
#[derive(Debug, Clone)]
pub struct Mood {
    pub safety: SafetyState,
    pub reason: Reason,
    pub refuse_signal: Option<(&'static str, &'static str)>,
    pub refuse_record: Option<&'static str>,
    pub forge_answer: bool,
    pub fenced: bool,
    pub picture: bool,
}

struct Inner {
    seen: watch::Sender<Seen>,
    mood: Mutex<Mood>,
    lease: Mutex<Option<(LeaseId, u64)>>,
    epoch: Mutex<u64>,
    holders: Mutex<Vec<(LeaseId, Did)>>,
}

pub struct World {
    pub gateway: Gateway,
    pub base: String,
    pub http: reqwest::Client,
    inner: Arc<Inner>,
    _router: Session,
    _robot: Option<Session>,
    pub web: tempfile::TempDir,
    pub fleet_port: u16,
}

fn free_port() -> u16 {
    StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn zenoh(mode: &str, endpoint: &str) -> Session {
    let mut config = zenoh::Config::default();
    config.insert_json5("mode", &format!("{mode:?}")).unwrap();
    let field = if mode == "router" { "listen/endpoints" } else { "connect/endpoints" };
    config.insert_json5(field, &format!("[{endpoint:?}]")).unwrap();
    config.insert_json5("scouting/multicast/enabled", "false").unwrap();
    zenoh::open(config).await.unwrap()
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}, true).await
    }

    pub async fn with(change: impl FnOnce(&mut Config), robot: bool) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let inner = Arc::new(Inner {
            seen: watch::Sender::new(Seen::default()),
            mood: Mutex::new(Mood {
                safety: SafetyState::Driving,
                reason: Reason::None,
                refuse_signal: None,
                refuse_record: None,
                forge_answer: false,
                fenced: false,
                picture: true,
            }),
            lease: Mutex::new(None),
            epoch: Mutex::new(0),
            holders: Mutex::new(Vec::new()),
        });
        let fleet = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fleet_port = fleet.local_addr().unwrap().port();
        tokio::spawn(axum::serve(fleet, fleet_router(Arc::clone(&inner))).into_future());
        let endpoint = format!("tcp/127.0.0.1:{}", free_port());
        let router = zenoh("router", &endpoint).await;
        let robot = if robot {
            let session = zenoh("client", &endpoint).await;
            run_robot(&session, Arc::clone(&inner)).await;
            Some(session)
        } else {
            None
        };
        let web = tempfile::tempdir().unwrap();
        let mut config = Config {
            earth_rover: Vec::new(),
            https: None,
            http: "127.0.0.1:0".parse().unwrap(),
            fleet: format!("http://127.0.0.1:{fleet_port}"),
            zenoh: endpoint,
            web: web.path().to_owned(),
            key: "unused".into(),
            code: None,
            drivers_max: 4,
            proxy_body_bytes_max: 100_000,
            ice_servers: Vec::new(),
            turn: None,
            watch: Default::default(),
        };
        change(&mut config);
        let gateway = Gateway::start(config, gateway_key()).await.unwrap();
        let base = format!("http://{}", gateway.address());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { gateway, base, http, inner, _router: router, _robot: robot, web, fleet_port }
    }

    /// A world whose gateway has reached everybody.
    pub async fn ready() -> Self {
        let world = Self::new().await;
        tokio::time::timeout(PATIENCE, world.gateway.ready()).await.unwrap();
        world
    }

    pub fn mood(&self, change: impl FnOnce(&mut Mood)) {
        change(&mut self.inner.mood.lock().unwrap());
    }

    pub fn seen(&self) -> Seen {
        self.inner.seen.borrow().clone()
    }

    pub fn watch(&self) -> watch::Receiver<Seen> {
        self.inner.seen.subscribe()
    }

    /// Waits until `condition` holds for what happened.
    pub async fn wait(&self, what: &str, mut condition: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.inner.seen.subscribe();
        let waited = tokio::time::timeout(PATIENCE, seen.wait_for(|s| condition(s))).await;
        match waited {
            Ok(seen) => seen.unwrap().clone(),
            Err(_) => panic!("never happened: {what}; {:?}", self.seen()),
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub async fn get(&self, path: &str, seed: u8) -> (u16, HeaderMap, Vec<u8>) {
        let response = self.http.get(self.url(path)).bearer_auth(token(seed)).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, headers, response.bytes().await.unwrap().to_vec())
    }

    pub async fn post(&self, path: &str, seed: u8, body: &Value) -> (u16, Value) {
        self.post_text(path, &token(seed), body.to_string()).await
    }

    pub async fn post_text(&self, path: &str, token: &str, body: String) -> (u16, Value) {
        let request = self.http.post(self.url(path)).bearer_auth(token).body(body);
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.bytes().await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub async fn delete(&self, path: &str, seed: u8) -> u16 {
        let request = self.http.delete(self.url(path)).bearer_auth(token(seed));
        request.send().await.unwrap().status().as_u16()
    }

    /// A lease as the fleet would grant it.
    pub fn grant(&self, seed: u8, relay: Option<Did>) -> Envelope {
        self.inner.grant(driver_key(seed).did(), relay)
    }
}

pub fn path(leaf: &str) -> String {
    format!("/v1/robots/{ROBOT}/{leaf}")
}

impl Inner {
    fn grant(&self, holder: Did, relay: Option<Did>) -> Envelope {
        let mut epoch = self.epoch.lock().unwrap();
        *epoch += 1;
        let lease_id = LeaseId::new(uuid::Uuid::now_v7());
        self.holders.lock().unwrap().push((lease_id, holder));
        sign_lease(lease_id, holder, relay, *epoch, 0)
    }
}

fn sign_lease(
    lease_id: LeaseId,
    holder: Did,
    relay: Option<Did>,
    epoch: u64,
    renewal: u32,
) -> Envelope {
    let lease = Lease {
        v: 1,
        lease_id,
        robot: ROBOT.parse().unwrap(),
        robot_did: robot_key().did(),
        holder,
        relay,
        driver_kind: DriverKind::Agent,
        epoch,
        renewal,
        issued_at: WallMs(wall()),
        ttl_ms: 30_000,
        limits: LeaseLimits { speed_mps_max: 1.5 },
        mission: None,
    };
    Envelope::sign(payload_type::LEASE, &lease, &fleet_key()).unwrap()
}

fn caller(headers: &HeaderMap) -> Option<Did> {
    let token = headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")?;
    pilot_gateway::auth::verify(token, &fleet_key().did(), WallMs(wall())).ok().map(|c| c.did)
}

fn fleet_router(inner: Arc<Inner>) -> Router {
    async fn challenge(Json(request): Json<ChallengeRequest>) -> Json<Value> {
        Json(json!({ "nonce": request.did.to_string() }))
    }
    /// Everybody is known but the owner of seed 66.
    async fn sign_in(Json(request): Json<SessionRequest>) -> Response {
        let signature = hex::decode(&request.signature).unwrap();
        request.did.verify(&auth_bytes(&request.nonce), &signature).unwrap();
        if request.did == driver_key(66).did() {
            let problem = Problem::new(401, "sign-in", "this key is not registered here");
            return (StatusCode::UNAUTHORIZED, Json(problem)).into_response();
        }
        let expires_at = wall() + 3_600_000;
        let token = token_until(request.did, expires_at, &fleet_key());
        let claims = pilot_gateway::auth::verify(&token, &fleet_key().did(), WallMs(wall()));
        Json(json!({ "token": token, "claims": claims.unwrap() })).into_response()
    }
    async fn order(
        State(inner): State<Arc<Inner>>,
        headers: HeaderMap,
        Json(order): Json<LeaseOrder>,
    ) -> Response {
        let Some(holder) = caller(&headers) else {
            return StatusCode::UNAUTHORIZED.into_response();
        };
        if order.mission.is_some() {
            let problem = Problem::new(409, "wrong-state", "the mission is not open");
            return (StatusCode::CONFLICT, Json(problem)).into_response();
        }
        let lease = inner.grant(holder, order.relay);
        (StatusCode::CREATED, Json(json!({ "lease": lease }))).into_response()
    }
    async fn renew(State(inner): State<Arc<Inner>>, Path(id): Path<String>) -> Json<Value> {
        let id: LeaseId = id.parse().unwrap();
        let holder = inner.holders.lock().unwrap().iter().find(|(l, _)| *l == id).unwrap().1;
        let epoch = *inner.epoch.lock().unwrap();
        let lease = sign_lease(id, holder, Some(gateway_key().did()), epoch, 1);
        Json(json!({ "lease": lease }))
    }
    async fn end(State(inner): State<Arc<Inner>>, Path(id): Path<String>) -> Json<Value> {
        inner.seen.send_modify(|seen| seen.fleet_released.push(id.parse().unwrap()));
        Json(json!({ "state": "ended" }))
    }
    async fn estop(State(inner): State<Arc<Inner>>) -> Json<Value> {
        inner.seen.send_modify(|seen| seen.fleet_estops += 1);
        Json(json!({ "result": "done" }))
    }
    /// Two events; the second only when the first has been read by the test, through `POST /v1/go`.
    async fn events(State(inner): State<Arc<Inner>>) -> Response {
        let mut seen = inner.seen.subscribe();
        let first = futures::stream::once(async { Ok::<_, std::io::Error>("event: hello\n\n") });
        let second = futures::stream::once(async move {
            seen.wait_for(|seen| seen.fleet_estops > 0).await.unwrap();
            Ok("event: robot\n\n")
        });
        let body = axum::body::Body::from_stream(futures::StreamExt::chain(first, second));
        ([("content-type", "text/event-stream")], body).into_response()
    }
    async fn echo(request: Request) -> Response {
        let headers: Vec<(String, String)> = request
            .headers()
            .iter()
            .map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
            .collect();
        let (method, uri) = (request.method().to_string(), request.uri().to_string());
        let body = axum::body::to_bytes(request.into_body(), 1_000_000).await;
        let len = body.map(|b| b.len()).ok();
        let page = json!({ "method": method, "uri": uri, "headers": headers, "len": len });
        ([("connection", "x-private"), ("x-private", "1"), ("x-kept", "1")], Json(page))
            .into_response()
    }
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route(
            "/v1/fleet",
            get(|| async { Json(json!({ "fleet_did": fleet_key().did(), "name": "Test" })) }),
        )
        .route(
            "/openapi.json",
            get(|| async {
                Json(json!({"paths": {"/v1/missions": {"get": {"tags": ["fleet"]}}}}))
            }),
        )
        .route(
            "/v1/robots/{id}",
            get(|Path(id): Path<String>| async move {
                match id.as_str() {
                    ROBOT => Json(json!({ "id": id, "did": robot_key().did() })).into_response(),
                    _ => {
                        let problem = Problem::new(404, "not-found", "no such robot");
                        (StatusCode::NOT_FOUND, Json(problem)).into_response()
                    }
                }
            }),
        )
        .route("/v1/robots/{id}/estop", post(estop))
        .route("/v1/auth/challenge", post(challenge))
        .route("/v1/auth/session", post(sign_in))
        .route("/v1/leases", post(order))
        .route("/v1/leases/{id}/renew", post(renew))
        .route("/v1/leases/{id}", delete(end))
        .route("/v1/events", get(events))
        .route("/v1/echo", any(echo))
        .merge(interventions::routes())
        .with_state(inner)
}

/// Queryables, command subscriber and 5 Hz states of a robot that obeys who its lease names.
async fn run_robot(session: &Session, inner: Arc<Inner>) {
    let robot: RobotId = ROBOT.parse().unwrap();
    let key = |leaf: fn(&RobotId) -> String| leaf(&robot);
    let on = |inner: &Arc<Inner>| Arc::clone(inner);

    let world = on(&inner);
    answer(session, key(keyexpr::signal), move |_, payload, _| {
        let request: SignalRequest = serde_json::from_slice(payload).unwrap();
        world.seen.send_modify(|seen| seen.signals.push(request.clone()));
        let mood = world.mood.lock().unwrap().clone();
        let reply = open(&world, &mood, request);
        (serde_json::to_vec(&reply).unwrap(), None)
    })
    .await;

    let world = on(&inner);
    answer(session, key(keyexpr::lease), move |key_expr, payload, attachment| {
        message::verify(key_expr, payload, attachment, &gateway_key().did()).unwrap();
        match serde_json::from_slice(payload).unwrap() {
            LeaseRequest::Renew { lease } => {
                let lease = VerifiedLease::verify(lease, &fleet_key().did()).unwrap();
                assert!(lease.lease().renewal > 0);
                world.seen.send_modify(|seen| seen.renewals += 1);
            }
            LeaseRequest::Release { lease_id } => {
                let held = world.lease.lock().unwrap().take();
                assert_eq!(held.map(|(lease, _)| lease), Some(lease_id));
                world.seen.send_modify(|seen| seen.robot_released = true);
            }
            LeaseRequest::Receipt { receipt } => {
                world.seen.send_modify(|seen| seen.receipts.push(receipt));
            }
        }
        (serde_json::to_vec(&Reply::Done).unwrap(), None)
    })
    .await;

    let world = on(&inner);
    answer(session, key(keyexpr::estop), move |key_expr, payload, attachment| {
        let (signer, signature) = attachment.split_at(32);
        assert_eq!(signer, gateway_key().did().as_bytes());
        message::verify(key_expr, payload, signature, &gateway_key().did()).unwrap();
        let request: EstopRequest = serde_json::from_slice(payload).unwrap();
        assert!(request.lease_id.is_some() && request.at.0.abs_diff(wall()) < 10_000);
        world.seen.send_modify(|seen| seen.estops.push(request.stop));
        (serde_json::to_vec(&Reply::Done).unwrap(), None)
    })
    .await;

    let world = on(&inner);
    answer(session, key(keyexpr::intervention), move |key_expr, payload, attachment| {
        message::verify(key_expr, payload, attachment, &gateway_key().did()).unwrap();
        let request: InterventionRequest = serde_json::from_slice(payload).unwrap();
        world.seen.send_modify(|seen| seen.recorded.push(request));
        let reply = match world.mood.lock().unwrap().refuse_record {
            None => Reply::Done,
            Some(code) => Reply::Refused { code: code.to_owned(), detail: "not now".to_owned() },
        };
        (serde_json::to_vec(&reply).unwrap(), None)
    })
    .await;

    let world = on(&inner);
    let camera = keyexpr::camera(&robot, "front");
    let on_camera = camera.clone();
    answer(session, camera, move |_, _, _| {
        if !world.mood.lock().unwrap().picture {
            return (b"{}".to_vec(), None);
        }
        let info = FrameInfo {
            seq: 1,
            capture_ms: 4_294_967_300,
            wall_ms: 1_798_761_599_001,
            width: 8,
            height: 8,
        };
        let jpeg = vec![0xff, 0xd8, 0xff, 0xe0];
        let sealed = seal_frame(&on_camera, &jpeg, &info, &robot_key());
        (jpeg, Some(sealed))
    })
    .await;

    let world = on(&inner);
    session
        .declare_subscriber(key(keyexpr::command))
        .callback(move |sample| {
            let (payload, attachment) =
                (sample.payload().to_bytes(), sample.attachment().unwrap().to_bytes());
            let signed = message::verify(
                sample.key_expr().as_str(),
                &payload,
                &attachment,
                &gateway_key().did(),
            );
            assert_eq!(signed, Ok(()));
            let command = DriveCommand::decode(&payload).unwrap();
            world.seen.send_modify(|seen| seen.commands.push(command));
        })
        .background()
        .await
        .unwrap();

    let session = session.clone();
    tokio::spawn(async move {
        for seq in 1.. {
            let state = state(&inner, &robot, seq);
            let (key_expr, payload) = (keyexpr::state(&robot), serde_json::to_vec(&state).unwrap());
            let signature = message::sign(&key_expr, &payload, &robot_key());
            if session.put(&key_expr, payload).attachment(signature).await.is_err() {
                return;
            }
            senses::put(&session, &robot, state.seq, state.robot_ms).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

fn open(world: &Inner, mood: &Mood, request: SignalRequest) -> SignalReply {
    if let Some((code, detail)) = mood.refuse_signal {
        return SignalReply::Refused { code: code.to_owned(), detail: detail.to_owned() };
    }
    let lease = VerifiedLease::verify(request.lease.clone(), &fleet_key().did()).unwrap();
    if !request.driver_signature.is_empty() {
        request.verify_driver(&lease).unwrap();
    }
    let lease_id = lease.lease().lease_id;
    *world.lease.lock().unwrap() = Some((lease_id, lease.lease().epoch));
    let answer_sdp =
        if request.offer_sdp.is_empty() { String::new() } else { "v=0\r\nanswer".to_owned() };
    let signer = if mood.forge_answer { driver_key(99) } else { robot_key() };
    let robot_signature = sign_answer(lease_id, &answer_sdp, &signer);
    SignalReply::Opened { episode: lease_id.into(), answer_sdp, robot_signature }
}

fn state(world: &Inner, robot: &RobotId, seq: u64) -> RobotState {
    let mood = world.mood.lock().unwrap().clone();
    let lease = *world.lease.lock().unwrap();
    let ended = |(lease, _): (LeaseId, u64)| EndedLease {
        lease,
        episode: lease.into(),
        why: "fenced".to_owned(),
    };
    RobotState {
        robot: robot.clone(),
        seq,
        at: WallMs(wall()),
        robot_ms: 1_000 + seq,
        safety: if lease.is_some() { mood.safety } else { SafetyState::Idle },
        reason: if lease.is_some() { mood.reason } else { Reason::NoLease },
        lease: lease.map(|(lease, _)| lease).filter(|_| !mood.fenced),
        epoch: *world.epoch.lock().unwrap(),
        last_ended: lease.filter(|_| mood.fenced).map(ended),
        position: None,
        heading_deg: Some(90.0),
        speed_mps: 0.5,
        yaw_radps: 0.0,
        limit_mps: 1.2,
        battery: Some(0.8),
        loop_latency_ms: Some(80),
        command_seq: world.seen.borrow().commands.last().map_or(0, |c| c.seq),
        minimal_risk: None,
        episodes_waiting: 0,
        version: "fake".to_owned(),
        settings_version: 0,
        troubles: Vec::new(),
    }
}

type Answered = (Vec<u8>, Option<Vec<u8>>);

async fn answer(
    session: &Session,
    key_expr: String,
    handle: impl Fn(&str, &[u8], &[u8]) -> Answered + Send + Sync + 'static,
) {
    let own_key = key_expr.clone();
    session
        .declare_queryable(key_expr)
        .callback(move |query| {
            let payload = query.payload().map(|p| p.to_bytes()).unwrap_or_default();
            let attachment = query.attachment().map(|a| a.to_bytes()).unwrap_or_default();
            let (reply, about) = handle(&own_key, &payload, &attachment);
            let (query, own_key) = (query.clone(), own_key.clone());
            zenoh::Wait::wait(query.reply(own_key, reply).attachment(about)).unwrap();
        })
        .background()
        .await
        .unwrap();
}
