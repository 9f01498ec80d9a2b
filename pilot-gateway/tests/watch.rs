//! WHEP as a player meets it: what it gets, and what it gets for what is not taken.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use reqwest::{Method, Response, header};
use serde_json::Value;
use support::*;

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 106\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n\
    a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijkl\r\na=setup:actpass\r\n\
    a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
    a=rtpmap:106 H264/90000\r\na=fmtp:106 packetization-mode=1;profile-level-id=42e01f\r\n";

struct Player {
    world: World,
    token: String,
}

impl Player {
    async fn new() -> Self {
        Self { world: World::ready().await, token: token(10) }
    }

    async fn send(&self, method: Method, path: &str, kind: &str, body: &str) -> Response {
        let request = self.world.http.request(method, self.world.url(path));
        let request = request.bearer_auth(&self.token).header(header::CONTENT_TYPE, kind);
        request.body(body.to_owned()).send().await.unwrap()
    }

    async fn refused(&self, path: &str, kind: &str, body: &str) -> (u16, String, String) {
        let answer = self.send(Method::POST, path, kind, body).await;
        let status = answer.status().as_u16();
        let problem: Value = answer.json().await.unwrap();
        let word = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
        (status, word("code"), word("detail"))
    }
}

fn text(answer: &Response, name: header::HeaderName) -> String {
    answer.headers().get(name).unwrap().to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_player_gets_an_answer_that_it_can_change_and_end() {
    let mut player = Player::new().await;
    let asked = player.send(Method::OPTIONS, &path("watch"), SDP, "").await;
    assert_eq!(
        (asked.status().as_u16(), text(&asked, header::ALLOW).as_str()),
        (204, "OPTIONS, POST")
    );

    let answer = player.send(Method::POST, &path("watch"), SDP, OFFER).await;
    assert_eq!(answer.status(), 201);
    assert_eq!(text(&answer, header::CONTENT_TYPE), SDP);
    let (location, etag) = (text(&answer, header::LOCATION), text(&answer, header::ETAG));
    assert!(location.starts_with(&format!("{}/", path("watch"))), "{location}");
    let answer = answer.text().await.unwrap();
    for line in ["a=ice-lite", "a=setup:passive", "a=sendonly", "m=video 9 UDP/TLS/RTP/SAVPF 106"] {
        assert!(answer.contains(line), "{line} in {answer}");
    }

    let candidate = "a=candidate:1 1 udp 1 198.51.100.1 9 typ host\r\n";
    let taken = player.send(Method::PATCH, &location, FRAGMENT, candidate).await;
    assert_eq!(taken.status(), 204, "it comes from wherever it comes");
    let fresh = "a=ice-ufrag:wxyz\r\na=ice-pwd:0123456789abcdefghijkl\r\n";
    let restarted = player.send(Method::PATCH, &location, FRAGMENT, fresh).await;
    assert_eq!(restarted.status(), 200);
    assert_ne!(text(&restarted, header::ETAG), etag);
    assert!(restarted.text().await.unwrap().contains("a=ice-ufrag:"));

    // Nobody else ends it, and it ends once.
    let mine = std::mem::replace(&mut player.token, token(11));
    assert_eq!(player.send(Method::DELETE, &location, SDP, "").await.status(), 404);
    player.token = mine;
    assert_eq!(player.send(Method::DELETE, &location, SDP, "").await.status(), 200);
    assert_eq!(player.send(Method::DELETE, &location, SDP, "").await.status(), 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_taken_says_why_and_reaches_no_robot() {
    let mut player = Player::new().await;
    let vp8 = OFFER.replace("H264", "VP8");
    let long = format!("{OFFER}{}", "a=x\r\n".repeat(20_000));
    let cases = [
        ("watch", "text/plain", OFFER, 415, "bad-request", SDP),
        ("watch?camera=../x", SDP, OFFER, 400, "bad-request", "camera"),
        ("watch", SDP, "hello", 400, "bad-sdp", "v=0"),
        ("watch", SDP, vp8.as_str(), 400, "bad-sdp", "H.264"),
        ("watch", SDP, long.as_str(), 413, "too-large", "65536"),
    ];
    for (leaf, kind, body, status, code, words) in cases {
        let (got, got_code, detail) = player.refused(&path(leaf), kind, body).await;
        assert_eq!((got, got_code.as_str()), (status, code), "{leaf}: {detail}");
        assert!(detail.contains(words), "{leaf}: {detail}");
    }
    player.token = token_until(driver_key(10).did(), wall() - 1, &fleet_key());
    let (status, code, _) = player.refused(&path("watch"), SDP, OFFER).await;
    assert_eq!((status, code.as_str()), (401, "sign-in"), "the session has expired");
    assert_eq!(player.world.seen().signals.len(), 0, "no robot was asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_account_opens_a_few_views_and_not_many() {
    let player = Player::new().await;
    let mut opened = 0;
    for _ in 0..12 {
        let answer = player.send(Method::POST, &path("watch"), SDP, OFFER).await;
        match answer.status().as_u16() {
            201 => opened += 1,
            status => assert_eq!(status, 429),
        }
    }
    assert!((1..=6).contains(&opened), "{opened}");
    let page = player.world.http.get(player.world.url("/metrics")).send().await.unwrap();
    let text = page.text().await.unwrap();
    assert!(text.contains(&format!("longrein_gateway_watch_viewers {opened}\n")), "{text}");
}
