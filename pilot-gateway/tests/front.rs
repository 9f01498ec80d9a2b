//! The gateway as the one address: web files, the proxy to the fleet, the API's description.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of their functions")]

mod support;

use futures::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_the_fleet_pass_through_unbuffered() {
    let world = World::ready().await;
    let response = world.http.get(world.url("/v1/events?token=x")).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut events = response.bytes_stream();
    let mut next = async || -> String {
        let chunk = tokio::time::timeout(PATIENCE, events.next()).await.unwrap();
        String::from_utf8(chunk.unwrap().unwrap().to_vec()).unwrap()
    };
    assert_eq!(next().await, "event: hello\n\n");
    // The fleet sends the second event only after this, so the first one was not held back.
    world.post(&path("estop"), 10, &json!({})).await;
    assert_eq!(next().await, "event: robot\n\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_pass_whole_and_headers_of_the_connection_do_not() {
    let world = World::ready().await;
    let request = world
        .http
        .put(world.url("/v1/echo?offset=7&x=%20"))
        .bearer_auth("mine")
        .header("te", "trailers")
        .header("x-forwarded-for", "1.2.3.4")
        .body(vec![7; 90_000]);
    let response = request.send().await.unwrap();
    assert!(response.headers().get("x-private").is_none(), "named by Connection");
    assert_eq!(response.headers()["x-kept"], "1");
    let page: Value = response.json().await.unwrap();
    assert_eq!((&page["method"], &page["len"]), (&json!("PUT"), &json!(90_000)));
    assert_eq!(page["uri"], "/v1/echo?offset=7&x=%20");
    let header = |name: &str| -> Vec<&str> {
        let all = page["headers"].as_array().unwrap().iter();
        all.filter(|h| h[0] == name).map(|h| h[1].as_str().unwrap()).collect()
    };
    assert_eq!(header("authorization"), ["Bearer mine"]);
    assert_eq!(header("content-length"), ["90000"]);
    assert_eq!(header("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(header("te"), [""; 0]);

    let problem = world.http.post(world.url("/v1/echo")).body(vec![7; 100_001]).send();
    let problem = problem.await.unwrap();
    assert_eq!(problem.status(), 413);
    assert_eq!(problem.headers()["content-type"], "application/problem+json");
    // The same without a stated length.
    let chunks =
        futures::stream::iter((0..11).map(|_| Ok::<_, std::io::Error>(vec![7_u8; 10_000])));
    let endless = world.http.post(world.url("/v1/echo")).body(reqwest::Body::wrap_stream(chunks));
    assert_eq!(endless.send().await.unwrap().status(), 413);
}

/// Sends `head` and then `parts` slowly, as a client behind a thin link, and only then reads.
async fn answer_to_a_slow_sender(world: &World, head: &str, parts: &[Vec<u8>]) -> String {
    let mut stream = tokio::net::TcpStream::connect(world.gateway.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    for part in parts {
        stream.write_all(part).await.expect("a client may send its body to the end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !answer.windows(2).any(|two| two == b"}\n" || two == b"\"}") {
        let count = stream.read(&mut piece).await.expect("the answer survives");
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..count]);
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let world = World::ready().await;
    let pieces = vec![vec![7; 10_000]; 30];
    let head = "POST /v1/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 300000\r\n\r\n";
    let answer = answer_to_a_slow_sender(&world, head, &pieces).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    let chunk = [b"2710\r\n".as_slice(), &[7; 10_000], b"\r\n"].concat();
    let mut chunks = vec![chunk; 30];
    chunks.push(b"0\r\n\r\n".to_vec());
    let head = "POST /v1/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = answer_to_a_slow_sender(&world, head, &chunks).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    // Nobody's body is wanted whom the gateway does not know.
    let control = path("earth-rover/control");
    let head = format!("POST {control} HTTP/1.1\r\nhost: x\r\ncontent-length: 300000\r\n\r\n");
    let answer = answer_to_a_slow_sender(&world, &head, &pieces).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_an_end_holds_nobody_up() {
    let world = World::ready().await;
    let endless = futures::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Ok::<_, std::io::Error>(vec![7_u8; 10_000]), ()))
    });
    let begun = std::time::Instant::now();
    let body = reqwest::Body::wrap_stream(endless);
    // The answer, or a reset: nothing else can be said to somebody who never stops.
    drop(world.http.post(world.url("/v1/echo")).body(body).send().await);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_that_is_down_is_unavailable_and_the_gateway_is_not_ready() {
    let world = World::with(|config| config.fleet = "http://127.0.0.1:1".to_owned(), false).await;
    for target in ["/v1/missions", "/v1/config", "/readyz"] {
        let response = world.http.get(world.url(target)).send().await.unwrap();
        assert_eq!(response.status(), 503, "{target}");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["code"], "unavailable", "{target} {problem}");
    }
    assert_eq!(world.get(&path("state"), 10).await.0, 503);
    assert_eq!(world.get("/healthz", 10).await.0, 200);
    let (status, _, own) = world.get("/openapi.json", 10).await;
    let own: Value = serde_json::from_slice(&own).unwrap();
    assert_eq!(status, 200);
    assert!(own["paths"]["/v1/robots/{id}/drive"].is_object());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_when_fleet_and_router_are_there() {
    let world = World::ready().await;
    let (status, _, body) = world.get("/readyz", 10).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let (_, _, document) = world.get("/openapi.json", 10).await;
    let document: Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["openapi"].as_str().unwrap().get(..4), Some("3.1."));
    assert!(document["paths"]["/v1/missions"].is_object(), "the fleet's part");
    let (_, headers, page) = world.get("/docs", 10).await;
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("/v1/missions") && page.contains("/v1/robots/{id}/drive"));
    assert!(headers["content-type"].to_str().unwrap().starts_with("text/html"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_its_files_and_its_routes() {
    let world = World::ready().await;
    let (status, _, page) = world.get("/", 10).await;
    assert_eq!(status, 503);
    assert!(String::from_utf8(page).unwrap().contains("npm run build"));

    let dir = world.web.path();
    std::fs::create_dir(dir.join("assets")).unwrap();
    std::fs::write(dir.join("index.html"), "<p>page").unwrap();
    std::fs::write(dir.join("assets/index-4f2a.js"), "1").unwrap();
    for (target, status, cache, body) in [
        ("/", 200, "no-cache", "<p>page"),
        ("/index.html", 200, "no-cache", "<p>page"),
        ("/drive/msn_1", 200, "no-cache", "<p>page"),
        ("/assets/index-4f2a.js", 200, "public, max-age=31536000, immutable", "1"),
        ("/assets/gone.js", 404, "no-cache", ""),
        ("/../../etc/passwd", 200, "no-cache", "<p>page"),
    ] {
        let (got, headers, text) = world.get(target, 10).await;
        assert_eq!(got, status, "{target}");
        assert_eq!(headers["cache-control"], cache, "{target}");
        assert_eq!(String::from_utf8(text).unwrap(), body, "{target}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("connect-src 'self'"));
        assert_eq!(headers["referrer-policy"], "no-referrer");
    }
    let (_, headers, _) = world.get("/", 10).await;
    let since = headers["last-modified"].clone();
    let again = world.http.get(world.url("/")).header("if-modified-since", since);
    assert_eq!(again.send().await.unwrap().status(), 304);
    let (status, problem) = world.post("/somewhere", 10, &json!({})).await;
    assert_eq!((status, problem), (405, Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_event_stream_does_not_hold_up_the_end() {
    let world = World::ready().await;
    let _open = world.http.get(world.url("/v1/events")).send().await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(15), world.gateway.shut_down());
    end.await.expect("event streams have no end of their own");
}
