//! The pages over TLS: who trusts the root gets them, who does not is told so, and who plays games is bounded.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of their functions")]

mod support;

use pilot_gateway::https::Settings;
use pilot_gateway::https::local::{Local, Names};
use serde_json::Value;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn with_https(dir: &tempfile::TempDir) -> World {
    let key = dir.path().join("gateway.key");
    let change = |config: &mut pilot_gateway::config::Config| {
        config.key = key;
        config.https = Some(Settings { listen: "127.0.0.1:0".parse().unwrap(), given: None });
    };
    let world = World::with(change, false).await;
    std::fs::write(world.web.path().join("index.html"), "<title>Cockpit</title>").unwrap();
    world
}

fn client(root: Option<&[u8]>) -> reqwest::Client {
    let roots = root.map(|root| reqwest::Certificate::from_der(root).unwrap());
    reqwest::Client::builder().no_proxy().tls_certs_only(roots).build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_trusts_the_root_gets_the_page_and_who_does_not_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = with_https(&dir).await;
    let address = world.gateway.https().unwrap().address();
    // As a phone gets it: over plain HTTP, to be compared by its fingerprint.
    let root = world.http.get(world.url("/https-root.crt")).send().await.unwrap();
    assert_eq!(root.headers()["content-type"], "application/x-x509-ca-cert");
    let root = root.bytes().await.unwrap();
    let trusting = client(Some(&root));
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("https://{host}:{}/account", address.port());
        let page = trusting.get(url).send().await.unwrap();
        assert_eq!(page.status(), 200);
        assert!(page.headers().get("strict-transport-security").is_none(), "not for a local name");
        assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("'self'"));
        assert!(page.text().await.unwrap().contains("Cockpit"));
    }
    let distrusting = client(None).get(format!("https://{address}/")).send().await.unwrap_err();
    assert!(format!("{distrusting:?}").contains("UnknownIssuer"), "{distrusting:?}");
    // Another gateway's root is no better than none.
    let other = tempfile::tempdir().unwrap();
    let now = protocol::units::WallMs(wall());
    let other = Local::open(&other.path().join("gateway.key"), now).unwrap();
    other.certificate(&Names::new("box", []), now).unwrap();
    let stranger = client(Some(other.root())).get(format!("https://{address}/")).send().await;
    assert!(stranger.is_err());

    let way = world.http.get(world.url("/v1/phone"));
    assert_eq!(way.try_clone().unwrap().send().await.unwrap().status(), 401);
    tokio::time::timeout(PATIENCE, world.gateway.ready()).await.unwrap();
    let way: Value = way.bearer_auth(token(10)).send().await.unwrap().json().await.unwrap();
    assert_eq!(way["https"]["urls"][0], format!("https://{address}"));
    let sha256 = way["https"]["root"]["sha256"].as_str().unwrap();
    assert_eq!(sha256.len(), 32 * 3 - 1);
    assert_ne!(way["https"]["certificate_sha256"], sha256);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_is_told_and_silence_costs_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let world = with_https(&dir).await;
    let address = world.gateway.https().unwrap().address();
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut said = String::new();
    plain.read_to_string(&mut said).await.ok();
    assert!(said.starts_with("HTTP/1.1 400") && said.contains("https://"), "{said}");
    // Handshakes that never go on, as many as one address may have but for a few.
    let mut silent = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&[22, 3, 1]).await.unwrap();
        silent.push(stream);
    }
    let root = world.gateway.https().unwrap().root().unwrap().to_vec();
    let page = client(Some(&root)).get(format!("https://{address}/healthz")).send().await.unwrap();
    assert_eq!(page.status(), 200);
    // They are ended from here.
    let mut byte = [0];
    let ended = tokio::time::timeout(PATIENCE, silent[0].read(&mut byte)).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_https_there_is_no_root_and_no_way() {
    let world = World::ready().await;
    assert_eq!(world.http.get(world.url("/https-root.crt")).send().await.unwrap().status(), 404);
    let way = world.http.get(world.url("/v1/phone")).bearer_auth(token(10)).send().await.unwrap();
    assert_eq!(way.json::<Value>().await.unwrap()["https"], Value::Null);
}
