//! The owner's pages in a real browser, and what the owner signs there on a real robot.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use protocol::drive::DriveCommand;
use protocol::dsse::{Envelope, payload_type};
use protocol::keys::PrivateKey;
use protocol::settings::{Drivers, OwnerSettings};
use protocol::units::GeoPoint;
use serde_json::{Value, json};
use std::process::Command;
use system_tests::{Driver, Rig, guest, mono_ms};
use xtask::fleet::{Client, items, text};
use xtask::process::wait_for;
use xtask::stack::ROBOT;
use xtask::{root, setup};

fn fastest(rig: &Rig, from: u64) -> f64 {
    let trace = rig.trace_since(from).unwrap();
    trace.iter().map(|line| line.speed_mps.abs()).fold(0.0, f64::max)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_sets_limits_in_the_browser_and_the_robot_keeps_them() {
    let broken = std::env::temp_dir().join(format!("longrein-faults-{}", std::process::id()));
    let faults = broken.display().to_string();
    let rig = Rig::start_with("owner", &["--no-people", "--faults", &faults]).unwrap();
    let join = rig.stack.invite_owner().unwrap();
    let shots = rig.data().join("screenshots");
    let out = Command::new("node")
        .arg("headless-owner.mjs")
        .arg("--chromium")
        .arg(setup::chromium().unwrap())
        .args(["--join", &join, "--robot", ROBOT])
        .arg("--screenshots")
        .arg(&shots)
        .current_dir(root().join("tests/browser"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let report: Value = serde_json::from_str(said.lines().last().unwrap_or_default()).unwrap();
    assert!(out.status.success(), "{report}\n{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!((&report["online"], &report["speed"]), (&json!("online"), &json!("0.3 m/s")));
    assert_eq!(report["console_errors"], json!([]), "the page wrote errors");

    // The robot has them, signed; and keeps them in its folder.
    let kept = rig.stack.operator.get(&format!("/v1/robots/{ROBOT}/settings")).unwrap();
    assert_eq!(kept["settings"]["speed_mmps_max"], 300);
    assert_eq!(kept["settings"]["area"][0].as_array().unwrap().len(), 4);
    assert_eq!(kept["on_robot"], true);
    assert!(rig.data().join("robot/settings.dsse.json").exists());
    let held = rig.stack.operator.get(&format!("/v1/robots/{ROBOT}")).unwrap();
    assert_eq!(held["state"]["safety"], "emergency_stopped", "the owner's stop");

    // The line that the page shows is one that enrols a robot.
    let command = text(&report, "command").unwrap();
    let code = command.split(" --code ").nth(1).unwrap().split(' ').next().unwrap();
    let enrolled = Command::new(rig.program("robot-agent"))
        .args(["enroll", "--server", &rig.stack.fleet_url, "--code", code, "--data"])
        .arg(rig.data().join("second"))
        .output()
        .unwrap();
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    let robots = rig.stack.operator.get("/v1/robots").unwrap();
    assert!(items(&robots).iter().any(|robot| robot["id"] == "second-rover"), "{robots}");

    // What does not work is told, as long as it does not.
    let troubles = || {
        let robot = rig.stack.operator.get(&format!("/v1/robots/{ROBOT}"))?;
        Ok::<_, anyhow::Error>(robot["state"]["troubles"].to_string())
    };
    assert_eq!(troubles().unwrap(), "null", "a robot that is well");
    std::fs::write(&broken, "scan").unwrap();
    wait_for("the silent sensor in the robot's state", 20, || {
        Ok(troubles()?.contains("/scan has been silent").then_some(()))
    })
    .unwrap();
    std::fs::remove_file(&broken).unwrap();
    wait_for("the sensor that is back", 20, || Ok((troubles()? == "null").then_some(()))).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mission_keeps_the_robot_in_its_area() {
    let rig = Rig::start_with("mission-area", &["--no-people"]).unwrap();
    let operator = &rig.stack.operator;
    let state = operator.get(&format!("/v1/robots/{ROBOT}")).unwrap()["state"].clone();
    let here: GeoPoint = serde_json::from_value(state["position"]["point"].clone()).unwrap();
    let heading = state["heading_deg"].as_f64().unwrap().to_radians();
    // Behind the robot, which only ever wants to go ahead here.
    let behind = |m: f64, aside: f64| {
        let (north, east) = (heading.cos(), heading.sin());
        here.offset_m(-m * east - aside * north, -m * north + aside * east)
    };
    let area =
        [(20.0, -9.0), (20.0, 9.0), (60.0, 9.0), (60.0, -9.0)].map(|(m, aside)| behind(m, aside));
    let order = json!({"name": "Elsewhere", "robot": ROBOT, "reward": 1, "area": [area],
        "checkpoints": [{"position": behind(40.0, 0.0), "radius_m": 3.0, "dwell_ms": 0}]});
    let mission = operator.post("/v1/missions", &order).unwrap();
    assert_eq!(mission["area"][0].as_array().unwrap().len(), 4);
    let id = text(&mission, "id").unwrap();
    operator.post("/v1/deposits", &json!({"amount": 1, "transfer": transfer()})).unwrap();
    operator.post(&format!("/v1/missions/{id}/fund"), &json!({})).unwrap();
    operator.post(&format!("/v1/missions/{id}/open"), &json!({})).unwrap();

    let mut driver = Driver::open_for(&rig.stack, Some(id.parse().unwrap())).await.unwrap();
    let lease = driver.lease().lease_id;
    driver.rest().await.unwrap();
    let from = mono_ms();
    driver.drive(|good| good.encode().to_vec()).await.unwrap();
    assert!(fastest(&rig, from) < 0.02, "{} m/s away from its area", fastest(&rig, from));
    driver.rest().await.unwrap();
    let from = mono_ms();
    let back = |good: DriveCommand| DriveCommand { linear_mmps: -good.linear_mmps, ..good };
    driver.drive(|good| back(good).encode().to_vec()).await.unwrap();
    assert!(fastest(&rig, from) > 0.1, "{} m/s towards its area", fastest(&rig, from));
    driver.release().await.unwrap();

    // What was decided stands in the episode with the area by which it was, and can be decided again.
    let episode = protocol::ids::EpisodeId::from(lease).to_string();
    let episode = rig.data().join("robot/episodes").join(episode);
    let manifest: Value = wait_for("the sealed episode", 20, || {
        let bytes = std::fs::read(episode.join("manifest.dsse.json")).ok();
        Ok(bytes.and_then(|bytes| serde_json::from_slice::<Envelope>(&bytes).ok()))
    })
    .unwrap()
    .document_unverified()
    .unwrap();
    let policy = text(&manifest["predicate"]["policy"], "json").unwrap();
    let policy: Value = serde_json::from_str(&policy).unwrap();
    assert_eq!(policy["geofence"]["mission"][0].as_array().unwrap().len(), 4, "{policy}");
    let replay =
        Command::new(rig.program("robot-agent")).arg("replay").arg(&episode).output().unwrap();
    assert!(replay.status.success(), "{}", String::from_utf8_lossy(&replay.stderr));

    // The next drive has no mission, and no area.
    let mut driver = Driver::open(&rig.stack).await.unwrap();
    driver.rest().await.unwrap();
    let from = mono_ms();
    driver.drive(|good| good.encode().to_vec()).await.unwrap();
    assert!(fastest(&rig, from) > 0.35, "{} m/s", fastest(&rig, from));
    driver.release().await.unwrap();
}

fn transfer() -> String {
    format!("txn_{}", uuid::Uuid::now_v7().simple())
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_limits_hold_on_the_robot_whoever_carries_them() {
    let rig = Rig::start_with("owner-limits", &["--no-people"]).unwrap();
    let key = PrivateKey::generate().unwrap();
    let join = rig.stack.invite_owner().unwrap();
    let (_, code) = join.split_once('#').unwrap();
    let ada = Client::new(&rig.stack.url).join(code, "Ada", &key).unwrap();
    let path = format!("/v1/robots/{ROBOT}/settings");
    let settings = |version, mmps, agents| OwnerSettings {
        v: 1,
        robot: ROBOT.parse().unwrap(),
        version,
        at: guest::wall(),
        speed_mmps_max: Some(mmps),
        area: None,
        hours: None,
        utc_offset_min: 0,
        drivers: Drivers { pilots: true, agents, only: vec![] },
        blind_driving: true,
        price_per_hour: None,
    };
    let sign = |settings: &OwnerSettings, key: &PrivateKey| {
        let envelope = Envelope::sign(payload_type::OWNER_SETTINGS, settings, key).unwrap();
        serde_json::to_value(envelope).unwrap()
    };
    let refused = |client: &Client, body: &Value, status: &str| {
        let error = client.put(&path, body).unwrap_err().to_string();
        assert!(error.contains(status), "{error}");
    };

    // A driver at work: a lower speed counts at once.
    let mut driver = Driver::open(&rig.stack).await.unwrap();
    driver.rest().await.unwrap();
    let from = mono_ms();
    driver.drive(|good| good.encode().to_vec()).await.unwrap();
    assert!(fastest(&rig, from) > 0.35, "{} m/s", fastest(&rig, from));
    driver.rest().await.unwrap();
    let signed = ada.put(&path, &sign(&settings(2, 200, true), &key)).unwrap();
    assert_eq!(signed["version"], 2);
    wait_for("the settings on the robot", 10, || {
        Ok((rig.stack.operator.get(&path)?["on_robot"] == true).then_some(()))
    })
    .unwrap();
    driver.rest().await.unwrap();
    let from = mono_ms();
    driver.drive(|good| good.encode().to_vec()).await.unwrap();
    let limited = fastest(&rig, from);
    assert!(limited > 0.1 && limited < 0.25, "{limited} m/s under a limit of 0.2");
    driver.release().await.unwrap();

    // The recording of the next drive keeps what the owner had signed.
    let driver = Driver::open(&rig.stack).await.unwrap();
    let lease = driver.lease().lease_id;
    driver.release().await.unwrap();
    let episode = protocol::ids::EpisodeId::from(lease).to_string();
    let manifest = rig.data().join("robot/episodes").join(episode).join("manifest.dsse.json");
    let manifest = wait_for("the sealed episode", 20, || {
        Ok(std::fs::read(&manifest)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Envelope>(&bytes).ok()))
    })
    .unwrap();
    let statement: Value = manifest.document_unverified().unwrap();
    let kept: Envelope =
        serde_json::from_value(statement["predicate"]["owner_settings"].clone()).unwrap();
    let kept: OwnerSettings = kept.verify(payload_type::OWNER_SETTINGS, &key.did()).unwrap();
    assert_eq!((kept.version, kept.speed_mmps_max), (2, Some(200)));

    // Nobody goes back, and nobody else signs.
    refused(&ada, &sign(&settings(2, 3_000, true), &key), "409");
    refused(&ada, &sign(&settings(1, 3_000, true), &key), "409");
    refused(&ada, &sign(&settings(3, 3_000, true), &PrivateKey::generate().unwrap()), "401");
    refused(&rig.stack.operator, &sign(&settings(3, 3_000, true), &key), "401");

    // Programs may no longer drive: the next lease is refused.
    ada.put(&path, &sign(&settings(3, 200, false), &key)).unwrap();
    wait_for("the settings on the robot", 10, || {
        Ok((rig.stack.operator.get(&path)?["on_robot"] == true).then_some(()))
    })
    .unwrap();
    let error = Driver::open(&rig.stack).await.unwrap_err().to_string();
    assert!(error.contains("403") && error.contains("owner"), "{error}");
}
