//! Certificates, fabric keys, revocation, and whose a robot is.

use super::world::{World, key};
use crate::fleet::now;
use protocol::credentials::{Asking, CertificateRequest};
use protocol::dsse::Envelope;
use protocol::keys::PrivateKey;
use protocol::sealed::{BoxKey, FabricKey};
use protocol::units::WallMs;
use serde_json::{Value, json};

const CERTIFICATES: (&str, &str, &str) = ("POST", "/v1/certificates", "");

fn asking(key: &PrivateKey) -> Asking {
    Asking::begin(key, now()).unwrap()
}

fn body(request: &CertificateRequest) -> Value {
    serde_json::to_value(request).unwrap()
}

async fn fabric_key(world: &World, token: &str) -> FabricKey {
    let reader = BoxKey::generate().unwrap();
    let order = json!({"box_key": reader.public_hex()});
    let grant = world.ok("POST", "/v1/robots/rover-1/fabric-key", token, order).await;
    let boxed = serde_json::from_value(grant["fabric_key"].clone()).unwrap();
    let secret = String::from_utf8(reader.open(&boxed).unwrap()).unwrap();
    FabricKey::from_hex(&secret).unwrap()
}

#[tokio::test]
async fn a_robot_and_a_gateway_get_certificates_and_the_same_key() {
    let world = World::new().await;
    let _rover = world.rover("rover-1", 2).await;
    let gateway = world.person("gateway", 3, "Gateway").await;
    let asked = asking(&key(2));
    let envelope = world.ok("POST", "/v1/certificates", "", body(asked.request())).await;
    let envelope: Envelope = serde_json::from_value(envelope).unwrap();
    let granted = asked.take(&envelope, &world.fleet.did).unwrap();
    let credentials = &granted.credentials;
    assert_eq!(credentials.robot.as_ref().map(|robot| robot.as_str()), Some("rover-1"));
    assert!(credentials.renew_at < credentials.expires_at && credentials.issued_at <= now());
    assert_eq!(granted.fabric_key, Some(fabric_key(&world, &gateway.token).await));

    let asked = asking(&key(3));
    let envelope = world.ok("POST", "/v1/certificates", "", body(asked.request())).await;
    let granted = asked.take(&serde_json::from_value(envelope).unwrap(), &world.fleet.did).unwrap();
    assert_eq!((granted.credentials.robot, granted.fabric_key), (None, None));

    // Nobody else, and nothing that is not signed by both keys, now.
    let pilot = world.person("pilot", 4, "Ada").await;
    world.refused(CERTIFICATES, body(asking(&key(4)).request()), 403, "forbidden").await;
    world.refused(CERTIFICATES, body(asking(&key(9)).request()), 401, "sign-in").await;
    let of_another = CertificateRequest { did: key(3).did(), ..asking(&key(2)).request().clone() };
    world.refused(CERTIFICATES, body(&of_another), 401, "bad-signature").await;
    let old = Asking::begin(&key(2), WallMs(now().0 - 120_000)).unwrap();
    world.refused(CERTIFICATES, body(old.request()), 401, "bad-signature").await;
    let path = "/v1/robots/rover-1/fabric-key";
    let order = || json!({"box_key": BoxKey::generate().unwrap().public_hex()});
    for token in [&pilot.token, &world.operator] {
        world.refused(("POST", path, token), order(), 403, "forbidden").await;
    }
    world
        .refused(("POST", path, &gateway.token), json!({"box_key": "x"}), 400, "bad-request")
        .await;
}

#[tokio::test]
async fn certificates_on_record_are_few() {
    let world = World::new().await;
    let rover = world.rover("rover-1", 2).await;
    for _ in 0..12 {
        world.ok("POST", "/v1/certificates", "", body(asking(&rover.key).request())).await;
    }
    let did = rover.key.did();
    let certified = world.fleet.read::<crate::model::Certified>(&did.to_string()).await.unwrap();
    let certificates = certified.unwrap().certificates;
    assert_eq!(certificates.len(), 8);
    let recorded = crate::fleet::read_all::<crate::model::Certificate>(&*world.fleet.store).await;
    assert_eq!(recorded.unwrap().len(), 8, "older ones no longer let anybody in");
    let until = crate::ops::credentials::valid_until(&world.fleet, &did).await.unwrap();
    assert!(until > now());
}

#[tokio::test]
async fn a_revoked_robot_is_nobody_until_it_is_enrolled_anew() {
    let world = World::new().await;
    let mut rover = world.rover("rover-1", 2).await;
    let gateway = world.person("gateway", 3, "Gateway").await;
    let driver = world.person("pilot", 4, "Ada").await;
    let before = fabric_key(&world, &gateway.token).await;
    let (_, lease) = world.take_lease(&driver, json!({"robot": "rover-1"})).await;
    rover.lease = Some(lease.lease_id);
    rover.report(&world).await;
    let revoke = ("POST", "/v1/robots/rover-1/revoke", driver.token.as_str());
    world.refused(revoke, json!({}), 403, "forbidden").await;
    let stranger = world.person("owner", 5, "Carl").await;
    let revoke = ("POST", "/v1/robots/rover-1/revoke", stranger.token.as_str());
    world.refused(revoke, json!({}), 403, "forbidden").await;
    let reason = json!({"reason": "stolen"});
    let view = world.ok("POST", "/v1/robots/rover-1/revoke", &world.operator, reason).await;
    assert_eq!((&view["online"], &view["revoked"]["why"]), (&json!(false), &json!("stolen")));

    // Its drive has ended, its states count for nothing, its key opens no door.
    let ended = world.get(&format!("/v1/leases/{}", lease.lease_id)).await;
    assert_eq!(ended["why"], "revoked");
    rover.report(&world).await;
    assert_eq!(world.get("/v1/robots/rover-1").await["online"], false);
    let said =
        world.refused(CERTIFICATES, body(asking(&rover.key).request()), 403, "revoked").await;
    assert!(said["detail"].as_str().unwrap().contains("stolen"), "{said}");
    world.refused(("GET", "/v1/me", &rover.token), Value::Null, 403, "revoked").await;
    let order = json!({"box_key": BoxKey::generate().unwrap().public_hex()});
    let path = ("POST", "/v1/robots/rover-1/fabric-key", gateway.token.as_str());
    world.refused(path, order, 403, "revoked").await;
    let lease = ("POST", "/v1/leases", driver.token.as_str());
    world.refused(lease, json!({"robot": "rover-1"}), 403, "revoked").await;
    let world = world.restarted().await;
    world.refused(("GET", "/v1/me", &rover.token), Value::Null, 403, "revoked").await;

    // With a new code it is back, and its messages have another key.
    let rover = world.rover("rover-1", 2).await;
    assert_eq!(world.get("/v1/robots/rover-1").await["online"], true);
    world.ok("POST", "/v1/certificates", "", body(asking(&rover.key).request())).await;
    assert_ne!(fabric_key(&world, &gateway.token).await, before);
}

#[tokio::test]
async fn an_owner_enrols_and_gives_away_what_is_theirs() {
    let world = World::new().await;
    let anna = world.person("owner", 5, "Anna").await;
    let ben = world.person("owner", 6, "Ben").await;
    let owners = world.get("/v1/owners").await;
    let id = |name: &str| {
        let owners = owners["items"].as_array().unwrap();
        owners.iter().find(|owner| owner["name"] == name).unwrap()["id"].clone()
    };
    let (anna_id, ben_id) = (id("Anna"), id("Ben"));
    let shares = |anna: u32, ben: u32| {
        let mut shares = vec![json!({"owner": anna_id, "share_ppm": anna})];
        if ben > 0 {
            shares.push(json!({"owner": ben_id, "share_ppm": ben}));
        }
        json!(shares)
    };
    let order = |owners: Value| json!({"robot": "rover-9", "name": "Nine", "owners": owners});
    let enrol = ("POST", "/v1/enrolments", ben.token.as_str());
    world.refused(enrol, order(shares(1_000_000, 0)), 403, "forbidden").await;
    let made =
        world.ok("POST", "/v1/enrolments", &anna.token, order(shares(600_000, 400_000))).await;
    let code = made["code"].as_str().unwrap();
    let signature = hex::encode(key(7).sign(&protocol::api::enrolment_bytes(code)));
    let accept = json!({"did": key(7).did().to_string(), "signature": signature});
    world.ok("POST", &format!("/v1/enrolments/{code}/accept"), "", accept).await;

    // Whoever owns it may enrol it again, with the shares as they are.
    let again = |token| ("POST", "/v1/enrolments", token);
    world.ok("POST", "/v1/enrolments", &ben.token, order(shares(600_000, 400_000))).await;
    world.refused(again(ben.token.as_str()), order(shares(1, 999_999)), 409, "wrong-state").await;

    let path = "/v1/robots/rover-9/owners";
    let set = |owners: Value| json!({"owners": owners});
    let of = |token| ("PUT", path, token);
    world.refused(of(ben.token.as_str()), set(shares(500_000, 500_000)), 403, "forbidden").await;
    world.refused(of(anna.token.as_str()), set(shares(600_000, 300_000)), 400, "bad-request").await;
    let view = world.ok("PUT", path, &anna.token, set(shares(100_000, 900_000))).await;
    assert_eq!(view["owners"][1]["share_ppm"], 900_000);
    let all = json!([{"owner": ben_id, "share_ppm": 1_000_000}]);
    world.ok("PUT", path, &anna.token, set(all)).await;
    world.refused(of(anna.token.as_str()), set(shares(1_000_000, 0)), 403, "forbidden").await;
    let revoke = ("POST", "/v1/robots/rover-9/revoke", anna.token.as_str());
    world.refused(revoke, json!({}), 403, "forbidden").await;
    world.ok("POST", "/v1/robots/rover-9/revoke", &ben.token, json!({})).await;
}

#[tokio::test]
async fn settings_are_signed_by_an_owner_and_looked_at_before_a_lease() {
    let world = World::new().await;
    let mut rover = world.rover("rover-1", 2).await;
    let robot = world.get("/v1/robots/rover-1").await;
    let code = json!({"role": "owner", "owner": robot["owners"][0]["owner"]});
    let code = world.ok("POST", "/v1/invitations", &world.operator, code).await;
    let code = code["code"].as_str().unwrap();
    let accept = World::acceptance(&key(5), code, "Anna");
    let path = format!("/v1/invitations/{code}/accept");
    let session = world.ok("POST", &path, "", accept).await;
    let anna = session["token"].as_str().unwrap().to_owned();
    let driver = world.person("pilot", 4, "Ada").await;
    let path = "/v1/robots/rover-1/settings";
    assert_eq!(world.get(path).await, Value::Null);
    let settings = |version, pilots| {
        json!({"v": 1, "robot": "rover-1", "version": version, "at": 1, "speed_mmps_max": 700, "area": null,
            "hours": null, "utc_offset_min": 0, "drivers": {"pilots": pilots, "agents": true, "only": []},
            "blind_driving": true, "price_per_hour": null})
    };
    let sign = |settings: &Value, n: u8| {
        let kind = protocol::dsse::payload_type::OWNER_SETTINGS;
        serde_json::to_value(Envelope::sign(kind, settings, &key(n)).unwrap()).unwrap()
    };
    let put = |token| ("PUT", path, token);
    world
        .refused(put(world.operator.as_str()), sign(&settings(1, true), 5), 401, "bad-signature")
        .await;
    world.refused(put(anna.as_str()), sign(&settings(1, true), 4), 401, "bad-signature").await;
    world.refused(put(driver.token.as_str()), sign(&settings(1, true), 4), 403, "forbidden").await;
    let nonsense = settings(0, true);
    world.refused(put(anna.as_str()), sign(&nonsense, 5), 400, "bad-request").await;
    let view = world.ok("PUT", path, &anna, sign(&settings(1, true), 5)).await;
    assert_eq!((&view["version"], &view["on_robot"]), (&json!(1), &json!(false)));
    world.refused(put(anna.as_str()), sign(&settings(1, true), 5), 409, "conflict").await;

    // Until the robot has them, nobody gets a lease; then with the lower speed.
    let lease = ("POST", "/v1/leases", driver.token.as_str());
    world.refused(lease, json!({"robot": "rover-1"}), 409, "wrong-state").await;
    rover.settings_version = 1;
    rover.report(&world).await;
    assert_eq!(world.get(path).await["on_robot"], true);
    let (_, granted) = world.take_lease(&driver, json!({"robot": "rover-1"})).await;
    assert!((granted.limits.speed_mps_max - 0.7).abs() < 1e-9);
    let end = format!("/v1/leases/{}", granted.lease_id);
    world.ok("DELETE", &end, &driver.token, Value::Null).await;
    world.ok("PUT", path, &anna, sign(&settings(2, false), 5)).await;
    rover.settings_version = 2;
    rover.report(&world).await;
    world.refused(lease, json!({"robot": "rover-1"}), 403, "forbidden").await;
}
