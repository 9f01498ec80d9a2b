//! What callers get who send what is not taken, or whom nobody can serve.

mod support;

use serde_json::{Value, json};
use support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_not_taken_says_why() {
    let world = World::ready().await;
    let huge = format!("{{\"linear_mps\": {}1}}", " ".repeat(300_000));
    let cases = [
        ("drive", "hello".to_owned(), 400, "expected value"),
        ("drive", "{\"linear_mps\": NaN}".to_owned(), 400, "not what is taken"),
        (
            "drive",
            "{\"linear_mps\":1e999,\"angular_radps\":0,\"ttl_ms\":100}".to_owned(),
            400,
            "number out of range",
        ),
        (
            "drive",
            "{\"linear_mps\":7,\"angular_radps\":0,\"ttl_ms\":100}".to_owned(),
            400,
            "linear_mps is 7",
        ),
        (
            "drive",
            "{\"linear_mps\":1,\"angular_radps\":-9,\"ttl_ms\":100}".to_owned(),
            400,
            "angular_radps is -9",
        ),
        (
            "drive",
            "{\"linear_mps\":1,\"angular_radps\":0,\"ttl_ms\":60000}".to_owned(),
            400,
            "ttl_ms is 60000",
        ),
        ("drive", "{\"linear_mps\":1,\"angular_radps\":0}".to_owned(), 400, "ttl_ms is missing"),
        ("drive", "{\"linear\":1}".to_owned(), 400, "unknown field `linear`"),
        ("drive", huge.clone(), 413, "longer than 16384"),
        ("stop", "{\"estop\":\"yes\"}".to_owned(), 400, "expected a boolean"),
        ("lease", "{\"mission\":\"lse_1\"}".to_owned(), 400, "MissionId"),
        ("lease", "{\"driver_signature\":\"00\"}".to_owned(), 400, "driver_signature"),
        ("session", huge, 413, "longer than 262144"),
        ("session", "{}".to_owned(), 400, "missing field `lease`"),
    ];
    for (leaf, body, status, words) in cases {
        let shown: String = body.chars().take(60).collect();
        let (got, problem) = world.post_text(&path(leaf), &token(10), body).await;
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert_eq!(got, status, "{leaf} {shown}: {problem}");
        assert!(detail.contains(words), "{leaf} {shown}: {detail}");
        assert_eq!(
            problem["type"],
            json!(format!("urn:longrein:problem:{}", problem["code"].as_str().unwrap()))
        );
    }
    assert_eq!(world.seen().signals.len(), 0, "no robot was asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_valid_token_nothing_is_served() {
    let world = World::ready().await;
    let did = driver_key(10).did();
    let expired = token_until(did, wall() - 1, &fleet_key());
    let forged = token_until(did, wall() + 60_000, &robot_key());
    for token in ["", "x", &expired, &forged] {
        for leaf in ["lease", "drive", "stop", "session", "stop/clear"] {
            let (status, problem) = world.post_text(&path(leaf), token, "{}".to_owned()).await;
            assert_eq!((status, &problem["code"]), (401, &json!("sign-in")), "{leaf} {problem}");
        }
    }
    let bare = world.http.get(world.url(&path("look"))).send().await.unwrap();
    assert_eq!(bare.status(), 401);
    assert_eq!(bare.headers()["www-authenticate"], "Bearer");
    // An <img> can't send headers: look takes the token as a query, state does not.
    let with_query = |leaf: &str| world.url(&format!("{}?token={}", path(leaf), token(10)));
    assert_eq!(world.http.get(with_query("look")).send().await.unwrap().status(), 200);
    assert_eq!(world.http.get(with_query("state")).send().await.unwrap().status(), 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browsers_offer_reaches_the_robot_only_with_its_own_lease() {
    let world = World::ready().await;
    let sdp = "v=0\r\na=fingerprint:sha-256 AA\r\n";
    let offer = |lease: &protocol::dsse::Envelope, sdp: &str| json!({"lease": lease, "offer_sdp": sdp, "driver_signature": ""});
    let mine = world.grant(10, None);
    let cases = [
        (offer(&mine, "junk"), 400, "bad-sdp"),
        (offer(&mine, &format!("{sdp}{}", "x".repeat(70_000))), 400, "bad-sdp"),
        (offer(&world.grant(11, None), sdp), 403, "forbidden"),
    ];
    for (body, expected, code) in cases {
        let (status, problem) = world.post(&path("session"), 10, &body).await;
        assert_eq!((status, &problem["code"]), (expected, &json!(code)), "{problem}");
    }
    let (status, problem) = world.post("/v1/robots/rover-2/session", 10, &offer(&mine, sdp)).await;
    assert_eq!((status, &problem["code"]), (400, &json!("bad-request")), "{problem}");
    assert_eq!(world.seen().signals.len(), 0);

    let (status, answer) = world.post(&path("session"), 10, &offer(&mine, sdp)).await;
    assert_eq!(status, 201, "{answer}");
    assert_eq!(answer["answer_sdp"], "v=0\r\nanswer");
    assert!(answer["episode"].as_str().unwrap().starts_with("eps_"));
    world.mood(|mood| mood.refuse_signal = Some(("robot-taken", "somebody drives")));
    let (status, problem) = world.post(&path("session"), 10, &offer(&mine, sdp)).await;
    assert_eq!((status, &problem["detail"]), (409, &json!("somebody drives")), "{problem}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_robot_that_is_not_there_is_offline() {
    let world = World::with(|_| {}, false).await;
    tokio::time::timeout(PATIENCE, world.gateway.ready()).await.unwrap();
    let (status, problem) = world.post(&path("lease"), 10, &json!({})).await;
    assert_eq!((status, &problem["code"]), (404, &json!("robot-offline")), "{problem}");
    let (status, _, problem) = world.get(&path("look"), 10).await;
    let problem: Value = serde_json::from_slice(&problem).unwrap();
    assert_eq!((status, &problem["code"]), (404, &json!("robot-offline")), "{problem}");
    assert_eq!(world.get(&path("state"), 10).await.0, 404);
    let (status, _, problem) = world.get("/v1/robots/rover-9/state", 10).await;
    let problem: Value = serde_json::from_slice(&problem).unwrap();
    assert_eq!((status, &problem["detail"]), (404, &json!("no such robot")), "{problem}");
    assert_eq!(world.get("/v1/robots/Rover!/state", 10).await.0, 400);
    assert_eq!(world.get(&path("look?camera=left"), 10).await.0, 400);
    assert_eq!(world.get(&path("look?kamera=front"), 10).await.0, 400);
    assert_eq!(world.get(&path("drive"), 10).await.0, 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_are_limited_each_for_itself_and_stopping_never() {
    let world = World::ready().await;
    let mut limited = None;
    for _ in 0..200 {
        let request = world.http.get(world.url(&path("look"))).bearer_auth(token(10));
        let response = request.send().await.unwrap();
        if response.status() == 429 {
            limited = Some(response);
            break;
        }
        assert_eq!(response.status(), 200);
    }
    let limited = limited.expect("20 at once and 30 a second are allowed");
    assert_eq!(limited.headers()["retry-after"], "1");
    assert_eq!(world.get(&path("look"), 11).await.0, 200, "others go on");
    for _ in 0..100 {
        let (status, _) = world.post(&path("stop"), 10, &json!({})).await;
        assert_eq!(status, 409, "no lease, but never limited");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_robot_without_a_picture_says_so() {
    let world = World::ready().await;
    world.mood(|mood| mood.picture = false);
    let (status, _, problem) = world.get(&path("look"), 10).await;
    let problem: Value = serde_json::from_slice(&problem).unwrap();
    assert_eq!(status, 502, "{problem}");
}
