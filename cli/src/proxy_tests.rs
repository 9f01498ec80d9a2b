use super::*;
use crate::api::Gateway;
use axum::Router;
use axum::routing::{any, get, post};
use protocol::api::{
    Challenge, LeaseOrder, Role, Session, SessionClaims, SessionRequest, auth_bytes,
};
use protocol::dsse::{Envelope, payload_type};
use protocol::ids::LeaseId;
use protocol::keys::PrivateKey;
use protocol::lease::{DriverKind, Lease, LeaseLimits, VerifiedLease};
use protocol::program::ProgramReceipt;
use protocol::signal::open_bytes;
use protocol::units::WallMs;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[test]
fn what_is_about_the_client_alone_is_not_passed_on() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("connection", "close, X-Mine"),
        ("x-mine", "1"),
        ("authorization", "Bearer mine"),
        ("cookie", "a=b"),
        ("content-type", "application/json"),
        ("sec-websocket-key", "k"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let passed = passed_on(&headers);
    let mut names: Vec<_> = passed.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-type", "sec-websocket-key"]);
}

#[test]
fn no_path_leads_out_of_the_rovers_own() {
    for good in ["/", "/v2/front", "/a..b"] {
        assert!(is_plain(good), "{good}");
    }
    for bad in ["/../lease", "/%2e%2E/lease", "/x/./y", "/..\\x"] {
        assert!(!is_plain(bad), "{bad}");
    }
}

#[tokio::test]
async fn a_body_is_taken_whole_or_not_at_all() {
    assert_eq!(read(Body::from("{}")).await.unwrap(), "{}");
    let long = read(Body::from(vec![b'x'; BODY_LEN_MAX + 1])).await.unwrap_err();
    assert_eq!(long.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let broken = futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]);
    let broken = read(Body::from_stream(broken)).await.unwrap_err();
    assert_eq!(broken.status(), StatusCode::BAD_REQUEST);
}

/// What a gateway of the tests was asked.
#[derive(Default)]
struct Asked {
    heads: Mutex<Vec<(String, HeaderMap)>>,
    receipts: Mutex<Vec<ProgramReceipt>>,
    taken: AtomicBool,
}

type Seen = State<Arc<Asked>>;
const BASE: &str = "/v1/robots/rover-1/earth-rover";
/// The session that the gateway gives; any other token is refused.
const GOOD: &str = "good-token";

fn key() -> PrivateKey {
    PrivateKey::from_seed(&[7; 32])
}

fn session(token: &str) -> Session {
    let claims = SessionClaims {
        did: key().did(),
        role: Role::Agent,
        name: "Ada".to_owned(),
        expires_at: WallMs(u64::MAX),
    };
    Session { token: token.to_owned(), claims }
}

async fn sign_in(axum::Json(request): axum::Json<SessionRequest>) -> axum::Json<Session> {
    let signature = hex::decode(&request.signature).unwrap();
    request.did.verify(&auth_bytes("nonce"), &signature).unwrap();
    axum::Json(session(GOOD))
}

/// Echoes a request's body, to the owner of a good session.
async fn echo(State(asked): Seen, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().unwrap().to_string();
    let good = head.headers.get("authorization").is_some_and(|v| v == &format!("Bearer {GOOD}"));
    asked.heads.lock().unwrap().push((format!("{} {path}", head.method), head.headers));
    if !good {
        return detail(StatusCode::UNAUTHORIZED, "sign in");
    }
    (StatusCode::CONFLICT, body).into_response()
}

/// A stream that never ends.
async fn feed() -> Body {
    let parts = futures::stream::unfold(0, |n| async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Some((Ok::<_, std::io::Error>(format!("--frame {n}\r\n")), n + 1))
    });
    Body::from_stream(parts)
}

/// Agrees to any websocket, then sends back each byte.
async fn upper(mut request: Request) -> Response {
    assert!(asks_for_websocket(request.headers()));
    let upgrade = request.extensions_mut().remove::<OnUpgrade>().unwrap();
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        let mut byte = [0];
        while stream.read_exact(&mut byte).await.is_ok() {
            stream.write_all(&byte.map(|b| b.to_ascii_uppercase())).await.unwrap();
        }
    });
    let headers = [("connection", "upgrade"), ("upgrade", "websocket"), ("x-accept", "yes")];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    format!("http://{address}")
}

/// The fleet's key, which is the relay's as well here.
fn fleet() -> PrivateKey {
    PrivateKey::from_seed(&[8; 32])
}

fn problem(status: u16, code: &str, words: &str) -> Response {
    let problem = protocol::problem::Problem::new(status, code, words);
    (StatusCode::from_u16(status).unwrap(), axum::Json(problem)).into_response()
}

/// Grants a lease for anything that is asked.
async fn grant(axum::Json(order): axum::Json<LeaseOrder>) -> axum::Json<Value> {
    let lease = Lease {
        v: 1,
        lease_id: LeaseId::new(uuid::Uuid::from_u128(3)),
        robot: order.robot.unwrap(),
        robot_did: fleet().did(),
        holder: key().did(),
        relay: order.relay,
        driver_kind: DriverKind::Agent,
        epoch: 5,
        renewal: 0,
        issued_at: WallMs(1),
        ttl_ms: 30_000,
        limits: LeaseLimits { speed_mps_max: 1.0 },
        mission: None,
    };
    let lease = Envelope::sign(payload_type::LEASE, &lease, &fleet()).unwrap();
    axum::Json(json!({ "lease": lease }))
}

/// Opens a lease, if it is signed as a robot wants it.
async fn open(State(asked): Seen, axum::Json(wish): axum::Json<Value>) -> Response {
    asked.heads.lock().unwrap().push(("open".to_owned(), HeaderMap::new()));
    let lease = serde_json::from_value(wish["lease"].clone()).unwrap();
    let lease = VerifiedLease::verify(lease, &fleet().did()).unwrap();
    let signature = hex::decode(wish["driver_signature"].as_str().unwrap()).unwrap();
    lease.lease().holder.verify(&open_bytes(lease.digest(), ""), &signature).unwrap();
    if asked.taken.load(Ordering::Relaxed) {
        return problem(409, "robot-taken", "rover-1 is driven by somebody else");
    }
    axum::Json(json!({})).into_response()
}

/// Takes a command under a lease that was opened here, and only with its number.
async fn command(State(asked): Seen, headers: HeaderMap) -> Response {
    asked.heads.lock().unwrap().push(("control".to_owned(), headers.clone()));
    if headers["longrein-lease"] == "none" {
        let needed = StatusCode::PRECONDITION_REQUIRED;
        return (needed, [("longrein-lease-for", "free")], "{}").into_response();
    }
    axum::Json(json!({ "message": "Command sent successfully" })).into_response()
}

async fn receipt(State(asked): Seen, axum::Json(body): axum::Json<Value>) -> StatusCode {
    let receipt: Envelope = serde_json::from_value(body["receipt"].clone()).unwrap();
    let receipt = receipt.verify(payload_type::COMMANDS, &key().did()).unwrap();
    asked.receipts.lock().unwrap().push(receipt);
    StatusCode::NO_CONTENT
}

/// The proxy before a gateway that wants leases opened by their holder.
async fn driven() -> (String, Arc<Rover>, Arc<Asked>) {
    let asked = Arc::new(Asked::default());
    let config = || async {
        axum::Json(json!({ "fleet_did": fleet().did(), "relay_did": fleet().did(), "name": "x" }))
    };
    let gone = |State(asked): Seen, request: Request| async move {
        let line = format!("{} {}", request.method(), request.uri().path());
        asked.heads.lock().unwrap().push((line, HeaderMap::new()));
        axum::Json(json!({}))
    };
    let picture = || async { ([("x-capture-robot-ms", "4294967301")], "{}") };
    let gateway = Router::new()
        .route("/v1/config", get(config))
        .route("/v1/leases", post(grant))
        .route("/v1/leases/{id}", any(gone))
        .route("/v1/robots/rover-1/lease", post(open).delete(gone))
        .route("/v1/robots/rover-1/lease/receipt", post(receipt))
        .route("/v1/robots/rover-1/stop", post(gone))
        .route(&format!("{BASE}/control"), post(command))
        .route(&format!("{BASE}/v2/front"), get(picture))
        .with_state(Arc::clone(&asked));
    let gateway = Gateway::new(&serve(gateway).await).unwrap();
    let robot = "rover-1".parse().unwrap();
    let rover = Rover::new(gateway, robot, None, key(), session(GOOD), true).unwrap();
    (serve(router(&rover)).await, rover, asked)
}

async fn drive(url: &str, linear: f64) -> reqwest::Response {
    let body = json!({ "command": { "linear": linear, "angular": 0 } });
    let client = reqwest::Client::new();
    // What a client says of these headers is not believed.
    let request = client.post(format!("{url}/control")).header("longrein-command", "77");
    request.json(&body).send().await.unwrap()
}

#[tokio::test]
async fn a_drive_is_opened_and_receipted_with_the_drivers_key() {
    let (url, rover, asked) = driven().await;
    assert_eq!(drive(&url, 0.5).await.status(), 200);
    reqwest::get(format!("{url}/v2/front")).await.unwrap();
    assert_eq!(drive(&url, -1.0).await.status(), 200);
    let heads: Vec<_> = asked.heads.lock().unwrap().drain(..).collect();
    let lines: Vec<_> = heads.iter().map(|(line, _)| line.as_str()).collect();
    // Only the first command costs more than one request.
    assert_eq!(lines, ["control", "open", "control", "control"]);
    let lease = LeaseId::new(uuid::Uuid::from_u128(3)).to_string();
    assert_eq!(heads[0].1.get("longrein-command"), None);
    for (head, number) in [(&heads[2].1, "1"), (&heads[3].1, "2")] {
        assert_eq!(head["longrein-lease"].to_str().unwrap(), lease);
        assert_eq!(head["longrein-command"], number);
    }

    rover.let_go().await;
    let lines: Vec<_> = asked.heads.lock().unwrap().drain(..).map(|(line, _)| line).collect();
    assert_eq!(lines, ["POST /v1/robots/rover-1/stop", "DELETE /v1/robots/rover-1/lease"]);
    let receipts = std::mem::take(&mut *asked.receipts.lock().unwrap());
    let commands = &receipts[0].commands;
    assert_eq!(receipts.len(), 1);
    assert_eq!((commands[0].linear_ppm, commands[0].seen_ms), (500_000, None));
    assert_eq!((commands[1].linear_ppm, commands[1].seen_ms), (-1_000_000, Some(5)));
    let (status, words) = detail_of(reqwest::get(format!("{url}/data")).await.unwrap()).await;
    assert!(status == 503 && words.contains("stopping"), "{status} {words}");
}

#[tokio::test]
async fn a_lease_that_is_not_to_be_had_is_told_in_the_shape_of_the_api_and_given_back() {
    let (url, rover, asked) = driven().await;
    asked.taken.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        let (status, words) = detail_of(drive(&url, 0.5).await).await;
        assert_eq!((status, words.as_str()), (409, "rover-1 is driven by somebody else"));
    }
    let lines: Vec<_> = asked.heads.lock().unwrap().drain(..).map(|(line, _)| line).collect();
    let given_back = format!("DELETE /v1/leases/{}", LeaseId::new(uuid::Uuid::from_u128(3)));
    // Nobody is asked again at once.
    assert_eq!(lines, ["control", "open", &given_back, "control"]);
    rover.let_go().await;
    assert!(asked.heads.lock().unwrap().is_empty(), "nothing is stopped: somebody else drives");
}

/// A gateway, and the proxy before it with a session that the gateway has forgotten.
async fn proxied() -> (String, Arc<Rover>, Arc<Asked>) {
    let asked = Arc::new(Asked::default());
    let challenge = || async { axum::Json(Challenge { nonce: "nonce".to_owned() }) };
    let gateway = Router::new()
        .route("/v1/auth/challenge", post(challenge))
        .route("/v1/auth/session", post(sign_in))
        .route(&format!("{BASE}/feed"), get(feed))
        .route(&format!("{BASE}/ws/data"), any(upper))
        .fallback(echo)
        .with_state(Arc::clone(&asked));
    let url = serve(gateway).await;
    let (robot, mission) = ("rover-1".parse().unwrap(), None);
    let gateway = Gateway::new(&url).unwrap();
    let rover = Rover::new(gateway, robot, mission, key(), session("old"), true).unwrap();
    (serve(router(&rover)).await, rover, asked)
}

#[tokio::test]
async fn a_request_arrives_as_it_was_sent_in_a_session_that_is_renewed() {
    let (url, _rover, asked) = proxied().await;
    let client = reqwest::Client::new();
    for _ in 0..2 {
        let answer = client
            .post(format!("{url}/control?a=%20b"))
            .header("authorization", "Bearer somebody-elses")
            .header("content-type", "application/json")
            .body("{\"command\":{}}")
            .send()
            .await
            .unwrap();
        // Errors pass through.
        assert_eq!(answer.status(), 409);
        assert_eq!(answer.text().await.unwrap(), "{\"command\":{}}");
    }
    let heads = asked.heads.lock().unwrap();
    // Refused, signed in again, sent again; the second needs no sign-in.
    assert_eq!(heads.len(), 3);
    let line = format!("POST {BASE}/control?a=%20b");
    assert!(heads.iter().all(|(asked, headers)| {
        *asked == line && headers["content-type"] == "application/json"
    }));
}

#[tokio::test]
async fn a_stream_and_a_websocket_go_through() {
    let (url, _rover, _asked) = proxied().await;
    let mut answer = reqwest::get(format!("{url}/feed")).await.unwrap();
    let mut text = String::new();
    while !text.contains("--frame 3") {
        text += std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap();
    }

    let mut socket = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    let ask = "GET /ws/data HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    socket.write_all(ask.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101") && head.contains("x-accept: yes"), "{head}");
    socket.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    socket.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"HELLO");
}

async fn detail_of(answer: reqwest::Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    (status, body["detail"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn errors_of_its_own_say_what_to_do() {
    // Nobody listens there.
    let gateway = Gateway::new("http://127.0.0.1:9").unwrap();
    let rover = Rover::new(gateway, "rover-1".parse().unwrap(), None, key(), session(GOOD), true);
    let url = serve(router(&rover.unwrap())).await;
    let (status, words) = detail_of(reqwest::get(format!("{url}/data")).await.unwrap()).await;
    assert!(status == 503 && words.contains("does not answer"), "{status} {words}");

    let (url, _rover, asked) = proxied().await;
    let client = reqwest::Client::new();
    let long = client.post(format!("{url}/control")).body(vec![b' '; 3_000_000]);
    let (status, words) = detail_of(long.send().await.unwrap()).await;
    assert!(status == 413 && words.contains("too long"), "{status} {words}");
    let foreign = client.post(format!("{url}/control")).header("origin", "https://evil.example");
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    assert!(asked.heads.lock().unwrap().is_empty(), "nothing of this reaches the gateway");
}

#[tokio::test]
async fn nothing_is_stopped_at_the_end_if_nobody_drove() {
    let (url, rover, asked) = proxied().await;
    reqwest::get(format!("{url}/data")).await.unwrap();
    asked.heads.lock().unwrap().clear();
    rover.let_go().await;
    assert!(asked.heads.lock().unwrap().is_empty());
}
