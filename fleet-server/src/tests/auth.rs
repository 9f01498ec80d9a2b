//! Signing in, invitations, enrolment, and who may do what.

use super::world::{World, key};
use crate::model::Principal;
use protocol::api::{Role, SessionClaims, auth_bytes, enrolment_bytes};
use protocol::dsse::{Envelope, payload_type};
use protocol::units::WallMs;
use serde_json::{Value, json};

#[tokio::test]
async fn an_invitation_is_used_once() {
    let world = World::new().await;
    let code = world.invite("pilot").await;
    let path = format!("/v1/invitations/{code}");
    assert_eq!(world.ok("GET", &path, "", Value::Null).await["valid"], true);
    let accept = format!("{path}/accept");
    let wrong = World::acceptance(&key(1), "another code", "Ada");
    world.refused(("POST", &accept, ""), wrong, 401, "bad-signature").await;
    let name = World::acceptance(&key(1), &code, " ");
    world.refused(("POST", &accept, ""), name, 400, "bad-request").await;
    let session = world.ok("POST", &accept, "", World::acceptance(&key(1), &code, "Ada")).await;
    assert_eq!(session["claims"]["role"], "pilot");
    let me = world.ok("GET", "/v1/me", session["token"].as_str().unwrap(), Value::Null).await;
    assert_eq!((me["name"].as_str(), me["account"]["balance"].as_i64()), (Some("Ada"), Some(0)));
    let again = World::acceptance(&key(2), &code, "Eve");
    world.refused(("POST", &accept, ""), again, 410, "bad-code").await;
    assert_eq!(world.ok("GET", &path, "", Value::Null).await["valid"], false);
    let unknown = World::acceptance(&key(2), "ffff", "Eve");
    world.refused(("POST", "/v1/invitations/ffff/accept", ""), unknown, 404, "bad-code").await;
    let second = world.invite("operator").await;
    let taken = World::acceptance(&key(1), &second, "Ada");
    world
        .refused(("POST", &format!("/v1/invitations/{second}/accept"), ""), taken, 409, "conflict")
        .await;
}

#[tokio::test]
async fn a_challenge_is_answered_once_by_its_key() {
    let world = World::new().await;
    let pilot = world.person("pilot", 1, "Ada").await;
    let did = pilot.key.did().to_string();
    let nonce = || async {
        let made = world.ok("POST", "/v1/auth/challenge", "", json!({"did": did})).await;
        made["nonce"].as_str().unwrap().to_owned()
    };
    let answer = |nonce: &str, signature: &[u8]| json!({"did": did, "nonce": nonce, "signature": hex::encode(signature)});
    let session = ("POST", "/v1/auth/session", "");
    let first = nonce().await;
    let wrong = answer(&first, &key(2).sign(&auth_bytes(&first)));
    world.refused(session, wrong, 401, "bad-signature").await;
    let used_up = answer(&first, &pilot.key.sign(&auth_bytes(&first)));
    world.refused(session, used_up, 401, "bad-signature").await;
    let second = nonce().await;
    let right = answer(&second, &pilot.key.sign(&auth_bytes(&second)));
    world.ok("POST", "/v1/auth/session", "", right.clone()).await;
    world.refused(session, right, 401, "bad-signature").await;
    let made_up = answer("00", &pilot.key.sign(&auth_bytes("00")));
    world.refused(session, made_up, 401, "bad-signature").await;
    let stranger = key(9);
    let made = world
        .ok("POST", "/v1/auth/challenge", "", json!({"did": stranger.did().to_string()}))
        .await;
    let nonce = made["nonce"].as_str().unwrap();
    let signature = hex::encode(stranger.sign(&auth_bytes(nonce)));
    let body = json!({"did": stranger.did().to_string(), "nonce": nonce, "signature": signature});
    world.refused(session, body, 401, "sign-in").await;
}

#[tokio::test]
async fn a_flood_of_challenges_is_refused() {
    let world = World::new().await;
    let body = json!({"did": key(1).did().to_string()});
    let mut last = 200;
    for _ in 0..30 {
        let (status, _) = world.call("POST", "/v1/auth/challenge", "", body.clone()).await;
        last = status.as_u16();
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn forged_and_expired_sessions_are_refused() {
    let world = World::new().await;
    let token = |key: &protocol::keys::PrivateKey, kind: &str, role, expires_at| {
        use base64::Engine;
        let did = super::world::key(251).did();
        let claims = SessionClaims { did, role, name: "x".into(), expires_at };
        let envelope = Envelope::sign(kind, &claims, key).unwrap();
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .encode(serde_json::to_vec(&envelope).unwrap())
    };
    let (fleet, later, session) = (key(250), WallMs(u64::MAX), payload_type::SESSION);
    let good = token(&fleet, session, Role::Operator, later);
    world.ok("GET", "/v1/me", &good, Value::Null).await;
    for bad in [
        token(&key(1), session, Role::Operator, later),
        token(&fleet, payload_type::LEASE, Role::Operator, later),
        token(&fleet, session, Role::Operator, WallMs(1)),
        token(&fleet, session, Role::Pilot, later),
        "x".repeat(5_000),
        "not base64 !".into(),
        good[..good.len() - 4].to_owned(),
    ] {
        world.refused(("GET", "/v1/me", &bad), Value::Null, 401, "sign-in").await;
    }
    world.refused(("GET", "/v1/me", ""), Value::Null, 401, "sign-in").await;
    // Whoever is no longer registered is out at once.
    let mut tx = world.fleet.begin().await;
    let operator = tx.get::<Principal>(key(251).did()).await.unwrap().unwrap();
    tx.remove(&operator);
    tx.commit().await.unwrap();
    world.refused(("GET", "/v1/me", &good), Value::Null, 401, "sign-in").await;
}

#[tokio::test]
async fn roles_keep_to_what_they_may_do() {
    let world = World::new().await;
    let pilot = world.person("pilot", 1, "Ada").await;
    let rover = world.rover("rover-1", 2).await;
    let mission = world.open_mission("rover-1", 100).await;
    let cancel = format!("/v1/missions/{mission}/cancel");
    for (method, path, token) in [
        ("POST", "/v1/invitations", &pilot.token),
        ("POST", "/v1/deposits", &pilot.token),
        ("GET", "/v1/ledger", &pilot.token),
        ("POST", &cancel, &pilot.token),
        ("POST", "/v1/leases", &world.operator),
        ("POST", "/v1/leases", &rover.token),
        ("POST", "/v1/invitations", &rover.token),
    ] {
        let transfer = format!("txn_{:032x}", 9);
        let body = match path {
            "/v1/invitations" => json!({"role": "operator"}),
            "/v1/deposits" => json!({"transfer": transfer, "amount": 5}),
            _ => json!({}),
        };
        world.refused((method, path, token), body, 403, "forbidden").await;
    }
    let episode = format!("/v1/episodes/eps_{:032x}/complete", 1);
    world.refused(("POST", &episode, &pilot.token), Value::Null, 403, "forbidden").await;
}

#[tokio::test]
async fn an_invitation_may_be_short_but_not_endless() {
    let world = World::new().await;
    let invite = |valid_s| json!({"role": "pilot", "valid_s": valid_s});
    let made = world.ok("POST", "/v1/invitations", &world.operator, invite(600)).await;
    let left_ms = made["expires_at"].as_u64().unwrap().saturating_sub(crate::fleet::now().0);
    assert!((590_000..=600_000).contains(&left_ms), "{left_ms}");
    for valid_s in [0, 59, 604_801, u64::MAX] {
        let call = ("POST", "/v1/invitations", world.operator.as_str());
        world.refused(call, invite(valid_s), 400, "bad-request").await;
    }
}

#[tokio::test]
async fn enrolment_proves_the_key_and_its_code_is_used_once() {
    let world = World::new().await;
    let code = world.order_enrolment("rover-1").await;
    let path = format!("/v1/enrolments/{code}/accept");
    let accept = |n: u8, code: &str| {
        let signature = hex::encode(key(n).sign(&enrolment_bytes(code)));
        json!({"did": key(n).did().to_string(), "signature": signature})
    };
    world.refused(("POST", &path, ""), accept(1, "other"), 401, "bad-signature").await;
    let enrolled = world.ok("POST", &path, "", accept(1, &code)).await;
    assert_eq!(enrolled["zenoh_endpoint"], "tcp/robots.example:7447");
    assert_eq!(enrolled["fleet_did"], world.fleet.did.to_string());
    assert_eq!(
        world.ok("POST", &path, "", accept(1, &code)).await,
        enrolled,
        "the answer was lost"
    );
    world.refused(("POST", &path, ""), accept(2, &code), 410, "bad-code").await;
    // Enrolled again with a new key: the old one no longer signs in.
    let old = world.sign_in(&key(1)).await;
    let code = world.order_enrolment("rover-1").await;
    world.ok("POST", &format!("/v1/enrolments/{code}/accept"), "", accept(2, &code)).await;
    world.refused(("GET", "/v1/me", &old), Value::Null, 401, "sign-in").await;
    let robots = world.get("/v1/robots").await;
    assert_eq!(robots["items"][0]["did"], key(2).did().to_string());
    // A pilot's key is no robot's.
    let pilot = world.person("pilot", 3, "Ada").await;
    let code = world.order_enrolment("rover-2").await;
    let body = accept(3, &code);
    let path = format!("/v1/enrolments/{code}/accept");
    world.refused(("POST", &path, ""), body, 409, "conflict").await;
    world.ok("GET", "/v1/me", &pilot.token, Value::Null).await;
}
