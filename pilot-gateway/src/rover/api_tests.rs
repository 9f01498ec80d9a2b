//! The routes as a client sees them, with a robot that is only what the tests put in.

use super::source::{Frame, Sensed, View};
use crate::app::{App, Shared};
use crate::config::{Args, Config};
use crate::fleet::FleetInfo;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use protocol::api::{Role, SessionClaims};
use protocol::dsse::{Envelope, payload_type};
use protocol::ids::RobotId;
use protocol::keys::PrivateKey;
use protocol::rover::FrameInfo;
use protocol::units::WallMs;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::watch;
use tower::ServiceExt;

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_seed(&[seed; 32])
}

fn robot() -> RobotId {
    "rover-1".parse().unwrap()
}

struct World {
    app: Shared,
    token: String,
}

impl World {
    fn new() -> Self {
        // Nothing listens there: what these tests ask needs no fleet.
        let args = Args {
            fleet: Some("http://127.0.0.1:9".to_owned()),
            zenoh: Some("tcp/127.0.0.1:9".to_owned()),
            ..Args::default()
        };
        rustls::crypto::ring::default_provider().install_default().ok();
        let config = Config::load(args).unwrap();
        let spectators = crate::watch::Watch::start(&config.watch).unwrap();
        let app = App::new(config, key(1), watch::channel(None).1, None, spectators, None).unwrap();
        let fleet_did = key(2).did();
        app.learn_fleet(FleetInfo { fleet_did, name: "test".to_owned() });
        app.states().watch(app.clock.now(), &robot(), key(3).did());
        let claims = SessionClaims {
            did: key(4).did(),
            role: Role::Agent,
            name: "Ada".to_owned(),
            expires_at: WallMs(u64::MAX),
        };
        let envelope = Envelope::sign(payload_type::SESSION, &claims, &key(2)).unwrap();
        let token = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&envelope).unwrap());
        Self { app: Arc::new(app), token }
    }

    fn sense(&self) {
        let rover = self.app.rovers.of(self.app.clock.now(), &robot(), key(4).did());
        rover.source.learn(key(3).did());
        let mut report = super::data::tests::report();
        report.terms.cameras = vec!["front".to_owned()];
        let arrived = self.app.clock.now();
        rover.source.sensors.put(Sensed { report, arrived });
    }

    fn picture(&self, seq: u64) {
        let rover = self.app.rovers.of(self.app.clock.now(), &robot(), key(4).did());
        let info =
            FrameInfo { seq, capture_ms: 100 * seq, wall_ms: 1_500 * seq, width: 8, height: 8 };
        let jpeg = bytes::Bytes::from_static(b"\xff\xd8not more");
        let arrived = self.app.clock.now();
        rover.source.camera(View::Front).put(Frame::new(info, jpeg, arrived));
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = crate::router(Arc::clone(&self.app)).oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/v1/robots/rover-1/earth-rover{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call("GET", path, Body::empty()).await
    }
}

#[tokio::test]
async fn refusals_have_the_shape_of_the_api() {
    let world = World::new();
    let base = "/v1/robots/rover-1/earth-rover";
    let plain = |path: &str| Request::builder().uri(path).body(Body::empty()).unwrap();
    let (status, body) = world.send(plain(&format!("{base}/data"))).await;
    assert_eq!(status, 401);
    assert!(body["detail"].as_str().unwrap().contains("sign in"), "{body}");
    let (status, body) = world.send(plain(&format!("{base}/data?token=junk"))).await;
    assert_eq!((status.as_u16(), body["detail"].is_string()), (401, true));
    assert_eq!(
        world.get("/nothing").await,
        (StatusCode::NOT_FOUND, json!({"detail": "Not Found"}))
    );
    let wrong_method = world.call("DELETE", "/control", Body::empty()).await;
    let expected = json!({"detail": "Method Not Allowed"});
    assert_eq!(wrong_method, (StatusCode::METHOD_NOT_ALLOWED, expected));
    let (status, body) = world.call("POST", "/control", "x".repeat(100_000)).await;
    assert_eq!(status, 413, "{body}");
    for text in ["", "{}", r#"{"command":{}}"#] {
        let (status, body) = world.call("POST", "/control", text).await;
        assert_eq!((status.as_u16(), &body["detail"]), (400, &json!("Command not provided")));
    }
    let (status, body) = world.call("POST", "/speak", "{}").await;
    assert_eq!((status.as_u16(), &body["detail"]), (400, &json!("Text not provided")));
    let (status, body) = world.get("/screenshot?view_types=sky").await;
    assert_eq!((status.as_u16(), &body["detail"]), (400, &json!("Invalid view type: sky")));
    let (status, body) = world.get("/feed?view=up").await;
    assert_eq!((status.as_u16(), body["detail"].is_string()), (400, true), "{body}");
    let (status, body) = world.call("POST", "/interventions/end", Body::empty()).await;
    let none = json!("No active intervention found");
    assert_eq!((status.as_u16(), &body["detail"]), (400, &none));
    for path in ["/checkpoint-reached", "/end-mission", "/checkpoints-list"] {
        let (status, body) = world.call("POST", path, Body::empty()).await;
        let words = json!("Call /start-mission endpoint to start a mission");
        assert_eq!((status.as_u16(), &body["detail"]), (400, &words), "{path}");
    }
}

#[tokio::test]
async fn a_configured_mission_must_be_started_first() {
    let world = World::new();
    world.sense();
    for (method, path) in [("GET", "/data"), ("POST", "/control"), ("GET", "/v2/front")] {
        let request = Request::builder()
            .method(method)
            .uri(format!("/v1/robots/rover-1/earth-rover{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", world.token))
            .header(super::client::MISSION, "lap");
        let (status, body) = world.send(request.body(Body::empty()).unwrap()).await;
        let words = json!("Call /start-mission endpoint to start a mission");
        assert_eq!((status.as_u16(), &body["detail"]), (400, &words), "{path}");
    }
}

#[tokio::test]
async fn data_is_503_until_the_robot_has_said_something() {
    let world = World::new();
    let (status, body) = world.get("/data").await;
    assert_eq!(status, 503, "{body}");
    let (status, body) =
        world.call("POST", "/control", r#"{"command":{"linear":1,"angular":0}}"#).await;
    assert_eq!(status, 503, "{body}");
    world.sense();
    let (status, body) = world.get("/data").await;
    assert_eq!((status.as_u16(), &body["battery"]), (200, &json!(87.6)));
    let (_, body) = world.get("/status").await;
    assert_eq!((&body["browser_ready"], &body["mission_started"]), (&json!(true), &json!(false)));
    assert_eq!(body["rtm"]["failed"], 1);
}

#[tokio::test]
async fn a_picture_is_given_once_and_a_camera_that_is_not_there_is_404() {
    let world = World::new();
    world.sense();
    let (status, body) = world.get("/v2/front").await;
    assert_eq!((status.as_u16(), &body["detail"]), (404, &json!("Front frame not available")));
    world.picture(1);
    let (status, body) = world.get("/v2/front").await;
    assert_eq!((status.as_u16(), &body["timestamp"]), (200, &json!(1.5)));
    assert!(body["front_frame"].as_str().unwrap().starts_with("/9h"));
    let (status, body) = world.get("/v2/front").await;
    assert_eq!(status, 503, "the same picture is not given twice: {body}");
    world.picture(2);
    assert_eq!(world.get("/v2/screenshot").await.0, 200);
    let (status, body) = world.get("/v2/rear").await;
    assert_eq!((status.as_u16(), &body["detail"]), (404, &json!("Rear camera is not available")));
    let (status, body) = world.get("/screenshot?view_types=rear,map").await;
    assert_eq!((status.as_u16(), &body["detail"]), (404, &json!("Views not available: rear")));
    let (status, body) = world.get("/screenshot?view_types=map").await;
    assert_eq!(status, 200);
    assert!(body["map_frame"].as_str().unwrap().starts_with("iVBOR"), "PNG in base64");
}

#[tokio::test]
async fn pages_hold_no_secrets_and_need_none() {
    let world = World::new();
    for path in ["/sdk", "/static/page.js", "/static/page.css"] {
        let uri = format!("/v1/robots/rover-1/earth-rover{path}");
        let request = Request::builder().uri(uri).body(Body::empty()).unwrap();
        assert_eq!(world.send(request).await.0, 200, "{path}");
    }
    let uri = "/v1/robots/rover-1/earth-rover";
    let request = Request::builder().uri(uri).body(Body::empty()).unwrap();
    assert_eq!(world.send(request).await.0, 307);
    let request = Request::builder().uri(format!("{uri}/")).body(Body::empty()).unwrap();
    assert_eq!(world.send(request).await.0, 200);
}
