//! Missions and money through the API.

use super::world::World;
use crate::fleet::now;
use crate::tracker;
use serde_json::{Value, json};

fn order(robot: &str) -> Value {
    let position = json!({"lat_deg": 52.5, "lon_deg": 13.4});
    json!({"id": format!("msn_{:032x}", 5), "name": "One corner", "robot": robot, "reward": 100,
        "checkpoints": [{"position": position, "radius_m": 3.0, "dwell_ms": 0}]})
}

#[tokio::test]
async fn asking_twice_makes_one_and_pays_once() {
    let world = World::new().await;
    world.rover("rover-1", 1).await;
    let post = ("POST", "/v1/missions", world.operator.as_str());
    let made = world.ok("POST", "/v1/missions", &world.operator, order("rover-1")).await;
    let again = world.ok("POST", "/v1/missions", &world.operator, order("rover-1")).await;
    assert_eq!(made, again);
    let mut other = order("rover-1");
    other["reward"] = json!(101);
    world.refused(post, other, 409, "conflict").await;
    let fund = format!("/v1/missions/{}/fund", made["id"].as_str().unwrap());
    for _ in 0..2 {
        let mission = world.ok("POST", &fund, &world.operator, Value::Null).await;
        assert_eq!(mission["state"], "funded");
    }
    let ledger = world.balanced().await;
    assert_eq!(ledger["totals"]["escrow"], 100);
    let deposit = |amount: u64| json!({"transfer": format!("txn_{:032x}", 1), "amount": amount});
    let (status, _) = world.call("POST", "/v1/deposits", &world.operator, deposit(1_000_000)).await;
    assert_eq!(status, 200, "made before");
    let post = ("POST", "/v1/deposits", world.operator.as_str());
    world.refused(post, deposit(5), 409, "conflict").await;
    assert_eq!(world.balanced().await["totals"]["external"], -1_000_000);
}

#[tokio::test]
async fn cancelled_and_expired_missions_give_the_reward_back() {
    let world = World::new().await;
    world.rover("rover-1", 1).await;
    let mission = world.open_mission("rover-1", 100).await;
    let path = format!("/v1/missions/{mission}");
    let cancelled = world.ok("POST", &format!("{path}/cancel"), &world.operator, Value::Null).await;
    assert_eq!(cancelled["state"], "cancelled");
    let open = format!("{path}/open");
    world.refused(("POST", &open, &world.operator), Value::Null, 409, "wrong-state").await;
    let deadline = now().0 + 50;
    let mut timed = order("rover-1");
    timed["deadline_at"] = json!(deadline);
    world.ok("POST", "/v1/missions", &world.operator, timed).await;
    let path = format!("/v1/missions/msn_{:032x}", 5);
    world.ok("POST", &format!("{path}/fund"), &world.operator, Value::Null).await;
    while now().0 <= deadline {
        tokio::task::yield_now().await;
    }
    tracker::tick(&world.fleet).await.unwrap();
    assert_eq!(world.get(&path).await["state"], "expired");
    let ledger = world.balanced().await;
    assert_eq!(
        (&ledger["totals"]["escrow"], &ledger["totals"]["operator"]),
        (&json!(0), &json!(1_000_000))
    );
}

#[tokio::test]
async fn what_the_operator_does_not_have_can_t_be_promised() {
    let world = World::new().await;
    world.rover("rover-1", 1).await;
    let mut dear = order("rover-1");
    dear["reward"] = json!(1_000_001);
    world.ok("POST", "/v1/missions", &world.operator, dear).await;
    let fund = format!("/v1/missions/msn_{:032x}/fund", 5);
    world.refused(("POST", &fund, &world.operator), Value::Null, 409, "insufficient-funds").await;
    world.balanced().await;
}

#[tokio::test]
async fn bad_input_is_told_what_is_wrong() {
    let world = World::new().await;
    world.rover("rover-1", 1).await;
    let post = ("POST", "/v1/missions", world.operator.as_str());
    let with = |field: &str, value: Value| {
        let mut order = order("rover-1");
        order[field] = value;
        order
    };
    for (bad, status, code) in [
        (with("rewrad", json!(1)), 400, "bad-request"),
        (with("reward", json!(0)), 400, "bad-request"),
        (with("reward", json!(-5)), 400, "bad-request"),
        (with("reward", json!(1e300)), 400, "bad-request"),
        (with("checkpoints", json!([])), 400, "bad-request"),
        (with("area", json!([])), 400, "bad-request"),
        (with("area", json!([[[1.0, 2.0]]])), 400, "bad-request"),
        (
            with("area", json!([vec![json!({"lat_deg": 1.0, "lon_deg": 2.0}); 3]])),
            400,
            "bad-request",
        ),
        (with("deadline_at", json!(5)), 400, "bad-request"),
        (with("robot", json!("../x")), 400, "bad-request"),
        (with("robot", json!("nobody")), 404, "not-found"),
        (with("id", json!("lse_00000000000000000000000000000005")), 400, "bad-request"),
    ] {
        world.refused(post, bad, status, code).await;
    }
    let get = |path: &'static str| ("GET", path, world.operator.as_str());
    for path in [
        "/v1/missions?state=flying",
        "/v1/missions?limit=0",
        "/v1/missions?limit=201",
        "/v1/missions?cursor=abc",
        "/v1/missions?sort=name",
        "/v1/missions/abc",
        "/v1/episodes?cursor=msn_00000000000000000000000000000005",
        "/v1/ledger/entries?cursor=-1",
    ] {
        world.refused(get(path), Value::Null, 400, "bad-request").await;
    }
    let nowhere = "/v1/missions/msn_00000000000000000000000000000009";
    world.refused(get(nowhere), Value::Null, 404, "not-found").await;
    world.refused(get("/v1/nothing"), Value::Null, 404, "not-found").await;
    world.refused(("PUT", "/v1/missions", &world.operator), Value::Null, 405, "bad-request").await;
    let long = vec![b' '; 70 * 1024];
    let (status, _) = world.raw("POST", "/v1/missions", &world.operator, long).await;
    assert_eq!(status, 413);
}

#[tokio::test]
async fn lists_are_paged_newest_first() {
    let world = World::new().await;
    world.rover("rover-1", 1).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(world.open_mission("rover-1", 10).await);
    }
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let page = world.get(&format!("/v1/missions?state=open,active&limit=2{next}")).await;
        let items = page["items"].as_array().unwrap();
        seen.extend(items.iter().map(|m| m["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    made.reverse();
    assert_eq!(seen, made);
    assert!(world.get("/v1/missions?state=settled").await["items"].as_array().unwrap().is_empty());
    let entries = world.get("/v1/ledger/entries?limit=2&cursor=1").await;
    assert_eq!((&entries["items"][0]["seq"], &entries["next"]), (&json!(2), &json!("3")));
}
