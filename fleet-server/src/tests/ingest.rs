//! The whole story: a mission is driven, recorded, uploaded, verified and paid; and what is refused on the way.

use super::world::{Person, Rover, World};
use protocol::api::IngestReceipt;
use protocol::dsse::{Envelope, payload_type};
use protocol::ids::EpisodeId;
use protocol::lease::Lease;
use serde_json::{Value, json};
use std::path::PathBuf;

struct Driven {
    world: World,
    ada: Person,
    rover: Rover,
    mission: String,
    lease: Lease,
    envelope: Envelope,
    id: EpisodeId,
    dir: PathBuf,
    manifest: Envelope,
}

/// A mission driven to its end, its episode sealed and not yet uploaded.
async fn driven() -> Driven {
    let world = World::new().await;
    let ada = world.person("pilot", 1, "Ada").await;
    let mut rover = world.rover("rover-1", 3).await;
    let mission = world.open_mission("rover-1", 101).await;
    let (envelope, lease) = world.take_lease(&ada, json!({"mission": mission})).await;
    rover.lease = Some(lease.lease_id);
    rover.report(&world).await;
    let id = EpisodeId::from(lease.lease_id);
    assert_eq!(world.get(&format!("/v1/episodes/{id}")).await["state"], "recording");
    rover.go(&world, 10.0).await;
    rover.go(&world, 20.0).await;
    assert_eq!(world.get(&format!("/v1/missions/{mission}")).await["state"], "verifying");
    rover.end(&world, "released").await;
    let dir = world.path().join("robot").join(id.to_string());
    let manifest = rover.record(&dir, &ada.key, &envelope, &lease);
    Driven { world, ada, rover, mission, lease, envelope, id, dir, manifest }
}

#[tokio::test]
async fn an_upload_waits_while_the_disk_is_full() {
    let Driven { world, rover, id, dir, manifest, .. } = driven().await;
    let world = world.restarted_with(u64::MAX).await;
    let begin = json!({"episode": id, "manifest": manifest});
    let (status, problem) = world.call("POST", "/v1/episodes", &rover.token, begin).await;
    assert_eq!((status.as_u16(), &problem["code"]), (507, &json!("unavailable")));
    assert!(problem["detail"].as_str().unwrap().contains("disk is full"), "{problem}");
    let world = world.restarted().await;
    rover.send(&world, &dir, id, &manifest).await;
    let complete = format!("/v1/episodes/{id}/complete");
    world.ok("POST", &complete, &rover.token, Value::Null).await;
}

#[tokio::test]
async fn a_drive_becomes_a_verified_paid_episode() {
    let Driven { world, ada, rover, mission, id, dir, manifest, .. } = driven().await;
    rover.send(&world, &dir, id, &manifest).await;
    let complete = format!("/v1/episodes/{id}/complete");
    let status = world.ok("POST", &complete, &rover.token, Value::Null).await;
    let receipt: Envelope = serde_json::from_value(status["receipt"].clone()).unwrap();
    let receipt: IngestReceipt = receipt.verify(payload_type::INGEST, &world.fleet.did).unwrap();
    assert_eq!(receipt.episode, id);
    assert_eq!(Some(&receipt.manifest_sha256), rover.previous_manifest.as_ref());
    assert_eq!(world.ok("POST", &complete, &rover.token, Value::Null).await, status, "asked twice");
    let paid = world.get(&format!("/v1/missions/{mission}")).await;
    assert_eq!(paid["state"], "settled");
    let settlement = &paid["settlement"];
    // 101 credits: 70.7, 20.2, 10.1; the odd unit goes to the largest remainder. Owners: 13.33 and 6.67 of 20.
    assert_eq!((&settlement["pilot"], &settlement["operator"]), (&json!(71), &json!(10)));
    assert_eq!(
        (&settlement["owners"][0]["amount"], &settlement["owners"][1]["amount"]),
        (&json!(13), &json!(7))
    );
    let ledger = world.balanced().await;
    assert_eq!(
        (&ledger["totals"]["pilots"], &ledger["totals"]["owners"]),
        (&json!(71), &json!(20))
    );
    let me = world.ok("GET", "/v1/me", &ada.token, Value::Null).await;
    assert_eq!((&me["account"]["balance"], &me["earnings"]), (&json!(71), &json!(71)));
    let view = world.get(&format!("/v1/episodes/{id}")).await;
    assert_eq!((&view["state"], &view["earned"]), (&json!("accepted"), &json!(71)));
    assert_eq!(view["verification"]["verified"], true);
    assert_eq!(view["verification"]["chain"]["status"], "linked");
    assert_eq!(view["distance_m"], 24.5);
    let path = format!("/v1/episodes/{id}/files/telemetry.mcap");
    let (status, bytes) = world.raw("GET", &path, &ada.token, Vec::new()).await;
    assert_eq!((status.as_u16(), bytes), (200, std::fs::read(dir.join("telemetry.mcap")).unwrap()));
    let kept = world.path().join("episodes").join(id.to_string());
    let options =
        episode::Options { robot_did: Some(rover.key.did()), fleet_did: Some(world.fleet.did) };
    assert!(episode::verify(&kept, &options).verified);
    assert!(!world.path().join("uploads").join(id.to_string()).exists());
}

#[tokio::test]
async fn a_flipped_byte_is_refused_with_its_place_and_nothing_stays() {
    let Driven { world, rover, mission, id, dir, manifest, .. } = driven().await;
    let path = dir.join("telemetry.mcap");
    let good = std::fs::read(&path).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&path, &bad).unwrap();
    rover.send(&world, &dir, id, &manifest).await;
    let complete = format!("/v1/episodes/{id}/complete");
    let call = ("POST", complete.as_str(), rover.token.as_str());
    let problem = world.refused(call, Value::Null, 422, "not-verified").await;
    assert_eq!((&problem["file"], &problem["from"]), (&json!("telemetry.mcap"), &json!(0)));
    assert!(problem["to"].as_u64().unwrap() >= good.len() as u64);
    assert!(problem["detail"].as_str().unwrap().contains("telemetry.mcap bytes 0.."), "{problem}");
    let view = world.get(&format!("/v1/episodes/{id}")).await;
    assert_eq!(
        (&view["state"], &view["reason"]["file"]),
        (&json!("refused"), &json!("telemetry.mcap"))
    );
    assert_eq!(world.get(&format!("/v1/missions/{mission}")).await["state"], "disputed");
    assert!(!world.path().join("uploads").join(id.to_string()).exists());
    assert!(!world.path().join("episodes").join(id.to_string()).exists());
    let file = format!("/v1/episodes/{id}/files/telemetry.mcap");
    world.refused(("GET", &file, &world.operator), Value::Null, 409, "wrong-state").await;
    world.balanced().await;
    // The robot's copy was good after all: it uploads again, and the mission is paid.
    std::fs::write(&path, &good).unwrap();
    rover.send(&world, &dir, id, &manifest).await;
    world.ok("POST", &complete, &rover.token, Value::Null).await;
    assert_eq!(world.get(&format!("/v1/missions/{mission}")).await["state"], "settled");
}

#[tokio::test]
async fn an_upload_goes_on_where_it_was_also_after_a_restart() {
    let Driven { world, rover, id, dir, manifest, .. } = driven().await;
    let order = json!({"episode": id, "manifest": manifest});
    world.ok("POST", "/v1/episodes", &rover.token, order.clone()).await;
    let bytes = std::fs::read(dir.join("telemetry.mcap")).unwrap();
    let at = |offset: usize| format!("/v1/episodes/{id}/files/telemetry.mcap?offset={offset}");
    let (status, _) = world.raw("PATCH", &at(0), &rover.token, bytes[..700].to_vec()).await;
    assert_eq!(status, 200);
    let world = world.restarted().await;
    for wrong in [0, 699, 701] {
        let (status, body) = world.raw("PATCH", &at(wrong), &rover.token, b"x".to_vec()).await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (status.as_u16(), &body["code"], &body["received"]),
            (409, &json!("conflict"), &json!(700))
        );
    }
    let status = world.ok("POST", "/v1/episodes", &rover.token, order).await;
    assert_eq!(status["files"][0]["received"], 700);
    let complete = format!("/v1/episodes/{id}/complete");
    world.refused(("POST", &complete, &rover.token), Value::Null, 409, "wrong-state").await;
    let too_long = vec![0; bytes.len()];
    let (status, _) = world.raw("PATCH", &at(700), &rover.token, too_long).await;
    assert_eq!(status, 400);
    let (status, _) = world.raw("PATCH", &at(700), &rover.token, vec![0; 5 * 1024 * 1024]).await;
    assert_eq!(status, 413);
    for name in ["camera_rear.mcap", "manifest.dsse.json", "..%2F..%2Ffleet.key"] {
        let path = format!("/v1/episodes/{id}/files/{name}?offset=0");
        let (status, _) = world.raw("PATCH", &path, &rover.token, b"x".to_vec()).await;
        assert_eq!(status, 404, "{name}");
    }
}

#[tokio::test]
async fn a_crash_between_move_and_acceptance_is_made_good() {
    let Driven { world, rover, mission, id, dir, manifest, .. } = driven().await;
    rover.send(&world, &dir, id, &manifest).await;
    let (from, to) = (world.path().join("uploads"), world.path().join("episodes"));
    std::fs::create_dir_all(&to).unwrap();
    std::fs::rename(from.join(id.to_string()), to.join(id.to_string())).unwrap();
    let world = world.restarted().await;
    let order = json!({"episode": id, "manifest": manifest});
    let status = world.ok("POST", "/v1/episodes", &rover.token, order).await;
    assert_eq!(status["files"][0]["received"], status["files"][0]["size"]);
    let complete = format!("/v1/episodes/{id}/complete");
    world.ok("POST", &complete, &rover.token, Value::Null).await;
    assert_eq!(world.get(&format!("/v1/missions/{mission}")).await["state"], "settled");
}

#[tokio::test]
async fn manifests_that_are_not_this_robot_s_are_refused() {
    let Driven { world, ada, mut rover, lease, envelope, id, dir, manifest, .. } = driven().await;
    let order = |manifest: &Envelope| json!({"episode": id, "manifest": manifest});
    let other = world.rover("rover-2", 4).await;
    let post = |token: &'_ str| ("POST", "/v1/episodes", token.to_owned());
    let (method, path, token) = post(&other.token);
    world.refused((method, path, &token), order(&manifest), 422, "not-verified").await;
    let mut forged = manifest.clone();
    forged.payload.replace_range(40..41, "A");
    world.refused((method, path, &rover.token), order(&forged), 422, "not-verified").await;
    // A lease that the fleet did not sign.
    let key = super::world::key(9);
    let made_up = Envelope::sign(payload_type::LEASE, &lease, &key).unwrap();
    let made_up = rover.record(&dir.with_extension("x"), &ada.key, &made_up, &lease);
    world.refused((method, path, &rover.token), order(&made_up), 422, "not-verified").await;
    // One that it signed and never gave out.
    let mut unknown = lease.clone();
    unknown.lease_id = protocol::ids::LeaseId::new(uuid::Uuid::from_u128(7));
    let signed = Envelope::sign(payload_type::LEASE, &unknown, &world.fleet.key).unwrap();
    let made_up = rover.record(&dir.with_extension("y"), &ada.key, &signed, &unknown);
    let order = json!({"episode": EpisodeId::from(unknown.lease_id), "manifest": made_up});
    let problem = world.refused((method, path, &rover.token), order, 422, "not-verified").await;
    assert!(problem["detail"].as_str().unwrap().contains("no such lease"), "{problem}");
    assert_eq!(envelope.payload_type, payload_type::LEASE);
}

#[tokio::test]
async fn a_gap_in_the_chain_is_told_and_a_fork_refused() {
    let Driven { world, ada, mut rover, id, dir, manifest, .. } = driven().await;
    let first = rover.previous_manifest.clone();
    rover.send(&world, &dir, id, &manifest).await;
    world.ok("POST", &format!("/v1/episodes/{id}/complete"), &rover.token, Value::Null).await;
    let drive = async |rover: &mut Rover, previous: Option<String>| {
        let (envelope, lease) = world.take_lease(&ada, json!({"robot": "rover-1"})).await;
        rover.lease = Some(lease.lease_id);
        rover.report(&world).await;
        rover.end(&world, "released").await;
        let id = EpisodeId::from(lease.lease_id);
        let dir = world.path().join("robot").join(id.to_string());
        rover.previous_manifest = previous;
        let manifest = rover.record(&dir, &ada.key, &envelope, &lease);
        rover.send(&world, &dir, id, &manifest).await;
        let complete = format!("/v1/episodes/{id}/complete");
        let (status, answer) = world.call("POST", &complete, &rover.token, Value::Null).await;
        assert!(status == 200 || answer["code"] == "not-verified", "{answer}");
        world.get(&format!("/v1/episodes/{id}")).await
    };
    let linked = drive(&mut rover, first.clone()).await;
    assert_eq!(linked["verification"]["chain"]["status"], "linked");
    let gap = drive(&mut rover, Some("ab".repeat(32))).await;
    assert_eq!(
        (&gap["state"], &gap["verification"]["chain"]["status"]),
        (&json!("accepted"), &json!("gap"))
    );
    let fork = drive(&mut rover, first).await;
    assert_eq!((&fork["state"], &fork["reason"]["code"]), (&json!("refused"), &json!("chain")));
}
