//! `/data`, `/status` and `/ws/data`: what the robot senses, in the words and units of the Earth Rovers API.

use super::client::{Client, DATA_MS_MAX};
use super::control::age_s;
use super::openapi::ErrorDocument;
use super::refused::Refused;
use super::source::{Frame, Newest, Sensed, View, seconds};
use axum::Json;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use protocol::rover::{Sample3, SensorReport, WheelSample};
use protocol::units::MonoMs;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Standard gravity: the API tells accelerations in g.
const G_MPS2: f64 = 9.806_65;
/// Latitude and longitude of a robot that does not know where it is: no place on Earth, so that nobody drives there.
const NOWHERE: f64 = 1_000.0;
/// Battery and orientation that the robot does not know: no charge and no direction, so that nobody takes them for one.
const UNKNOWN: f64 = -1.0;
/// Silence after which a WebSocket is told how things stand.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// A WebSocket that takes nothing for this long is closed.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// WebSockets at the same time, of all clients.
const SOCKETS_MAX: usize = 256;
static SOCKETS: AtomicUsize = AtomicUsize::new(0);

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    let rounded = (value * scale).round() / scale;
    // Never null: JSON has no other way to say "not a number".
    if rounded.is_finite() { rounded } else { 0.0 }
}

/// Reception of satellites as the API's number, by the accuracy that the receiver states: 0 without a fix, up to 40.
fn gps_signal(report: &SensorReport) -> f64 {
    match &report.position {
        Some(position) if position.fix > 0 => rounded((40.0 - 4.0 * position.h_acc_m).max(1.0), 2),
        Some(_) | None => 0.0,
    }
}

/// The link as 0 to 5 bars, by the age of the newest report: they come every 50 ms.
const fn signal_level(age_ms: u64) -> u8 {
    match age_ms {
        0..=150 => 5,
        151..=300 => 4,
        301..=600 => 3,
        601..=1_200 => 2,
        1_201..=2_000 => 1,
        _ => 0,
    }
}

fn rows(samples: &[Sample3], scale: f64) -> Vec<[f64; 4]> {
    let row = |sample: &Sample3| {
        let [x, y, z] = sample.v.map(|value| rounded(value * scale, 4));
        [x, y, z, seconds(sample.at_ms)]
    };
    samples.iter().map(row).collect()
}

fn wheels(samples: &[WheelSample]) -> Vec<[f64; 5]> {
    let row = |sample: &WheelSample| {
        let [fl, fr, rl, rr] = sample.rpm.map(|value| rounded(value, 2));
        [fl, fr, rl, rr, seconds(sample.at_ms)]
    };
    samples.iter().map(row).collect()
}

/// The document of `/data`. Its nine numbers are never null.
///
/// Units: battery in percent, orientation in degrees clockwise from north, both −1 when the robot does not know them;
/// speed in m/s, accelerations and vibration in g, turn rates in degrees a second, magnetic field in µT, wheels in
/// turns a minute, times in seconds since 1970 on the robot's clock.
pub fn document(report: &SensorReport, age_ms: u64) -> Value {
    let place = report.position.filter(|p| p.fix > 0 && p.point.is_valid());
    let (latitude, longitude) =
        place.map_or((NOWHERE, NOWHERE), |p| (p.point.lat_deg, p.point.lon_deg));
    json!({
        "battery": report.battery.map_or(UNKNOWN, |charge| rounded(charge * 100.0, 1)),
        "signal_level": signal_level(age_ms),
        "orientation": report.heading_deg.map_or(UNKNOWN, |deg| rounded(deg.rem_euclid(360.0), 1)),
        "lamp": report.lamp,
        "speed": rounded(report.speed_mps, 3),
        "gps_signal": gps_signal(report),
        "latitude": rounded(latitude, 8),
        "longitude": rounded(longitude, 8),
        "vibration": rounded(report.vibration_mps2 / G_MPS2, 4),
        "timestamp": seconds(report.at.0),
        "accels": rows(&report.accels, 1.0 / G_MPS2),
        "gyros": rows(&report.gyros, 180.0 / std::f64::consts::PI),
        "mags": rows(&report.mags, 1.0),
        "rpms": wheels(&report.wheels),
    })
}

/// `GET /data`.
#[utoipa::path(get, path = "/data", tag = "earth-rover",
    responses((status = 200, description = "Telemetry: `{battery, signal_level, orientation, lamp, speed, gps_signal, latitude, longitude, vibration, timestamp, accels, gyros, mags, rpms}`", body = Object),
    (status = 503, description = "The robot says nothing, or has not heard from its battery yet", body = ErrorDocument)))]
pub async fn data(client: Client) -> Result<Json<Value>, Refused> {
    client.gate()?;
    let sensed = client.sensed_whole().await?;
    Ok(Json(document(&sensed.report, client.now().since(sensed.arrived))))
}

fn video(now: MonoMs, camera: &Newest<Frame>) -> Value {
    let age = camera.get().map(|frame| rounded(age_s(now, frame.arrived), 3));
    let failures = camera.refused.load(Ordering::Relaxed);
    json!({
        "loop_running": camera.is_running(),
        "latest_frame_age_s": age,
        "captures_total": camera.taken.load(Ordering::Relaxed),
        "failures_total": failures,
        "last_error": (failures > 0).then_some("a picture was older than the newest, or not the robot's"),
    })
}

fn link(client: &Client, newest: Option<&Sensed>) -> (bool, Option<f64>) {
    let now = client.now();
    let age_ms = newest.map(|sensed| now.since(sensed.arrived));
    let age_s = newest.map(|sensed| rounded(age_s(now, sensed.arrived), 3));
    (age_ms.is_some_and(|age_ms| age_ms <= DATA_MS_MAX), age_s)
}

/// `GET /status`. Answers without a ride: it says why there is none.
#[utoipa::path(get, path = "/status", tag = "earth-rover",
    responses((status = 200, description = "`{browser_ready, browser_error, mission_started, rtm, video, ingest_connected, ingest_connections, telemetry_age_s}`", body = Object)))]
pub async fn status(client: Client) -> Json<Value> {
    let source = &client.rover.source;
    source.want_sensors(&client.app);
    let (connected, telemetry_age_s) = link(&client, source.sensors.get().as_deref());
    let riding = client.riding();
    let lease =
        client.app.drivers().touch(client.now(), client.rover.robot(), &client.rover.holder);
    let sent = client.memory().sent.clone();
    let robot = client.rover.robot();
    let error = (!connected).then(|| format!("{robot} has sent no telemetry yet"));
    Json(json!({
        // There is no browser inside: ready is what the page of the original would be ready for.
        "browser_ready": connected,
        "browser_error": error,
        "mission_started": riding,
        "rtm": {
            "ready": lease.is_ok(),
            "aborted": 0,
            "dispatched": sent.dispatched,
            "delivered": sent.delivered,
            "failed": sent.failed,
            "last_error": sent.last_error,
            "last_delivered_at": sent.last_delivered_ms.map(seconds),
        },
        "video": {
            "front": video(client.now(), source.camera(View::Front)),
            "rear": video(client.now(), source.camera(View::Rear)),
        },
        "ingest_connected": connected,
        "ingest_connections": u8::from(connected),
        "telemetry_age_s": telemetry_age_s,
    }))
}

/// A place among the WebSockets, given back when it is dropped.
struct Socket;

impl Socket {
    fn take() -> Option<Self> {
        let more = |n| (n < SOCKETS_MAX).then_some(n + 1);
        SOCKETS.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok().then_some(Self)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        SOCKETS.fetch_sub(1, Ordering::AcqRel);
    }
}

/// `WS /ws/data`: a snapshot, then each report as it comes, and the state of the link after 5 s of silence.
///
/// An open socket is no sign of life of a driver: it keeps no lease.
#[utoipa::path(get, path = "/ws/data", tag = "earth-rover",
    responses((status = 101, description = "A WebSocket: `{type: snapshot|telemetry|status, data}`")))]
pub async fn ws(client: Client, upgrade: WebSocketUpgrade) -> Result<Response, Refused> {
    client.gate()?;
    let Some(place) = Socket::take() else {
        return Err(Refused::new(503, "too many WebSockets are open; try again later"));
    };
    // What clients send is not read; a long message would only cost memory.
    let upgrade = upgrade.max_message_size(4 * 1024).max_frame_size(4 * 1024);
    Ok(upgrade.on_upgrade(move |socket| async move {
        stream(client, socket).await;
        drop(place);
    }))
}

async fn stream(client: Client, mut socket: WebSocket) {
    let source = &client.rover.source;
    let mut reports = source.sensors.subscribe();
    source.want_sensors(&client.app);
    let first = reports.borrow_and_update().clone();
    if !send(&mut socket, &message(&client, "snapshot", first.as_deref())).await {
        return;
    }
    let mut told_at = client.now();
    loop {
        source.want_sensors(&client.app);
        let next = tokio::select! {
            changed = tokio::time::timeout(Duration::from_secs(1), reports.changed()) => match changed {
                Ok(Ok(())) => {
                    let newest = reports.borrow_and_update().clone();
                    let whole = newest.filter(|newest| !newest.report.battery_awaited);
                    whole.map(|newest| message(&client, "telemetry", Some(&newest)))
                }
                Ok(Err(_gone)) => return,
                Err(_silence) => {
                    let silent = client.now().since(told_at) >= millis(STATUS_EVERY);
                    silent.then(|| message(&client, "status", source.sensors.get().as_deref()))
                }
            },
            received = socket.recv() => match received {
                // Pings are answered by the socket itself.
                Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => None,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
        };
        let Some(next) = next else { continue };
        if !send(&mut socket, &next).await {
            return;
        }
        told_at = client.now();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn message(client: &Client, kind: &str, newest: Option<&Sensed>) -> Value {
    let (connected, telemetry_age_s) = link(client, newest);
    let data = newest
        .filter(|sensed| connected && !sensed.report.battery_awaited)
        .map(|sensed| document(&sensed.report, client.now().since(sensed.arrived)));
    match kind {
        "telemetry" => json!({ "type": kind, "data": data }),
        "status" => json!({
            "type": kind,
            "ingest_connected": connected,
            "ingest_connections": u8::from(connected),
            "telemetry_age_s": telemetry_age_s,
        }),
        _ => json!({
            "type": kind,
            "data": data,
            "ingest_connected": connected,
            "ingest_connections": u8::from(connected),
            "telemetry_age_s": telemetry_age_s,
        }),
    }
}

async fn send(socket: &mut WebSocket, document: &Value) -> bool {
    let text = Message::Text(document.to_string().into());
    matches!(tokio::time::timeout(SEND_TIMEOUT, socket.send(text)).await, Ok(Ok(())))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use protocol::rover::Terms;
    use protocol::state::RobotPosition;
    use protocol::units::{GeoPoint, WallMs};

    pub(in crate::rover) fn report() -> SensorReport {
        SensorReport {
            robot: "rover-1".parse().unwrap(),
            robot_ms: 1,
            at: WallMs(1_724_189_733_208),
            speed_mps: 0.5,
            heading_deg: Some(-90.0),
            position: Some(RobotPosition {
                point: GeoPoint { lat_deg: 52.52, lon_deg: 13.405 },
                h_acc_m: 1.5,
                fix: 1,
                satellites: Some(9),
                age_ms: 100,
            }),
            battery: Some(0.876),
            battery_awaited: false,
            vibration_mps2: 0.980_665,
            accels: vec![Sample3 { v: [0.0, 0.0, G_MPS2], at_ms: 1_000 }],
            gyros: vec![Sample3 { v: [0.0, 0.0, 1.0], at_ms: 1_000 }],
            mags: vec![Sample3 { v: [18.61234, -1.5, -46.2], at_ms: 1_250 }],
            wheels: vec![WheelSample { rpm: [1.0, 2.0, 3.0, 4.0], at_ms: 1_500 }],
            lamp: 2,
            terms: Terms {
                speed_mps_max: 1.5,
                reverse_mps_max: 0.5,
                turn_radps_max: 1.2,
                hold_ms: 1_000,
                blind_permitted: true,
                blind_mps_max: 0.3,
                cameras: vec![],
                speaks: false,
                has_lamp: false,
            },
        }
    }

    const NINE: [&str; 9] = [
        "speed",
        "battery",
        "orientation",
        "latitude",
        "longitude",
        "gps_signal",
        "signal_level",
        "vibration",
        "lamp",
    ];

    #[test]
    fn a_report_in_the_words_of_the_api() {
        let data = document(&report(), 20);
        assert_eq!(data["battery"], 87.6);
        assert_eq!(data["orientation"], 270.0);
        assert_eq!(data["latitude"], 52.52);
        assert_eq!(data["gps_signal"], 34.0);
        assert_eq!(data["vibration"], 0.1);
        assert_eq!(data["timestamp"], 1_724_189_733.208);
        assert_eq!(data["accels"], json!([[0.0, 0.0, 1.0, 1.0]]));
        assert_eq!(data["gyros"], json!([[0.0, 0.0, 57.2958, 1.0]]));
        assert_eq!(data["mags"], json!([[18.6123, -1.5, -46.2, 1.25]]), "µT");
        assert_eq!(data["rpms"], json!([[1.0, 2.0, 3.0, 4.0, 1.5]]));
        assert_eq!((&data["lamp"], &data["signal_level"]), (&json!(2), &json!(5)));
    }

    #[test]
    fn the_nine_numbers_are_numbers_whatever_the_robot_does_not_know() {
        let unknown = SensorReport {
            heading_deg: None,
            position: None,
            battery: None,
            speed_mps: f64::NAN,
            vibration_mps2: f64::INFINITY,
            ..report()
        };
        for (report, age_ms) in [(report(), 0), (unknown, 5_000)] {
            let data = document(&report, age_ms);
            for key in NINE {
                assert!(data[key].is_number(), "{key}: {}", data[key]);
            }
        }
        let unknown = SensorReport { heading_deg: None, battery: None, ..report() };
        let data = document(&unknown, 0);
        assert_eq!((&data["battery"], &data["orientation"]), (&json!(-1.0), &json!(-1.0)));
        let nowhere = document(&SensorReport { position: None, ..report() }, 0);
        assert_eq!((&nowhere["latitude"], &nowhere["gps_signal"]), (&json!(1000.0), &json!(0.0)));
    }
}
