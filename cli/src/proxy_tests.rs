use super::*;
use crate::api::Gateway;
use axum::Router;
use axum::routing::{any, get, post};
use protocol::api::{Challenge, Role, Session, SessionClaims, SessionRequest, auth_bytes};
use protocol::keys::PrivateKey;
use protocol::units::WallMs;
use serde_json::{Value, json};
use std::sync::Mutex;
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

/// A gateway, and the proxy before it with a session that the gateway has forgotten.
async fn proxied() -> (String, Arc<Rover>, Arc<Asked>) {
    let asked = Arc::new(Asked::default());
    let gone = |State(asked): Seen, request: Request| async move {
        let line = format!("{} {}", request.method(), request.uri().path());
        asked.heads.lock().unwrap().push((line, HeaderMap::new()));
        axum::Json(json!({}))
    };
    let challenge = || async { axum::Json(Challenge { nonce: "nonce".to_owned() }) };
    let gateway = Router::new()
        .route("/v1/auth/challenge", post(challenge))
        .route("/v1/auth/session", post(sign_in))
        .route("/v1/robots/rover-1/stop", post(gone))
        .route("/v1/robots/rover-1/lease", any(gone))
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
async fn the_robot_is_stopped_and_given_back_at_the_end_if_somebody_drove() {
    let (url, rover, asked) = proxied().await;
    reqwest::get(format!("{url}/data")).await.unwrap();
    let lines = || asked.heads.lock().unwrap().drain(..).map(|(l, _)| l).collect::<Vec<_>>();
    lines();
    rover.let_go().await;
    assert!(lines().is_empty(), "nobody drove: nothing is stopped");

    let (url, rover, asked) = proxied().await;
    reqwest::Client::new().post(format!("{url}/control")).send().await.unwrap();
    asked.heads.lock().unwrap().clear();
    rover.let_go().await;
    let lines: Vec<_> = asked.heads.lock().unwrap().drain(..).map(|(line, _)| line).collect();
    assert_eq!(lines, ["POST /v1/robots/rover-1/stop", "DELETE /v1/robots/rover-1/lease"]);
    let (status, words) = detail_of(reqwest::get(format!("{url}/data")).await.unwrap()).await;
    assert!(status == 503 && words.contains("stopping"), "{status} {words}");
}
