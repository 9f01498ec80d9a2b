//! A pilot whose network lets nothing through but a relay, and one whose path ends in the middle of a drive.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use system_tests::{Rig, fresh, mono_ms};
use turn_relay::{Limits, Options as Relay, Peers, Secret, Server};
use xtask::browser::{self, Drive};
use xtask::faults::Network;
use xtask::fleet::Client;
use xtask::process::wait_for;
use xtask::rig::Pilot;
use xtask::stack::{Options, ROBOT, free_port};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// An address of this machine that a browser takes for a path: not loopback, if there is another.
fn address() -> IpAddr {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    // Nothing is sent: the system only says from where it would.
    let routed = socket.connect(("192.0.2.1", 9)).and_then(|()| socket.local_addr());
    routed.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}

fn rig(name: &str, gateway_args: Vec<String>) -> Rig {
    let sim_args = vec!["--no-people".to_owned()];
    Rig::start_on(Options { gateway_args, sim_args, ..fresh(name).unwrap() }).unwrap()
}

/// Flags for relays outside of the gateway.
fn external(name: &str, urls: &[String]) -> Vec<String> {
    let secret = std::env::temp_dir().join(format!("longrein-{name}-{}", std::process::id()));
    std::fs::write(&secret, SECRET).unwrap();
    let secret = secret.display().to_string();
    ["--turn-external", &urls.join(","), "--turn-secret-file", &secret].map(str::to_owned).to_vec()
}

/// A pilot who has no path but a relay over `way` turns the robot for some seconds.
fn drive(rig: &Rig, way: &str) -> Value {
    let join = rig.stack.invite_pilot().unwrap();
    let more = ["--turn", "6", "--relay", way];
    let drive = Drive { join_url: &join, mission: &rig.mission, more: &more, ..Drive::default() };
    let report = browser::finish(browser::start(&drive).unwrap()).unwrap();
    assert_eq!(report["console_errors"], json!([]), "the page wrote errors");
    xtask::progress(&format!(
        "over {way}: loop {} / {} ms",
        report["loop_ms_p50"], report["loop_ms_p99"]
    ));
    report
}

fn count(rig: &Rig, name: &str) -> u64 {
    let text = Client::new(&rig.stack.url).read("/metrics").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| {
        panic!("{name} is not counted: {text}");
    });
    line.trim().parse().unwrap()
}

#[test]
fn a_pilot_drives_over_the_relay_inside_the_gateway_by_udp_and_by_tcp() {
    let ip = address();
    let listen = SocketAddr::new(ip, free_port().unwrap()).to_string();
    let allow = format!("{ip}/32,127.0.0.0/8");
    let rig = rig("turn", ["--turn", &listen, "--turn-allow", &allow].map(str::to_owned).to_vec());
    let mut before = 0;
    for way in ["udp", "tcp"] {
        drive(&rig, way);
        let bytes = count(&rig, "longrein_gateway_turn_bytes_total");
        assert!(bytes > before + 500_000, "{way}: {bytes} bytes after {before} are no video");
        before = bytes;
    }
    // The robot asks for a path of its own as well.
    assert!(count(&rig, "longrein_gateway_turn_allocations_total") >= 3);
    assert_eq!(count(&rig, "longrein_gateway_turn_refused_credentials_total"), 0);

    // Whoever holds no lease gets no credentials.
    let path = format!("/v1/robots/{ROBOT}/ice-servers");
    let nobody = Client::new(&rig.stack.url);
    let forged = json!({"lease": {"payload": "e30=", "payloadType": "x", "signatures": []}});
    for (client, code) in
        [(nobody, "sign-in"), (rig.stack.operator.at(&rig.stack.url), "bad-signature")]
    {
        let refused = format!("{:#}", client.post(&path, &forged).unwrap_err());
        assert!(refused.contains(code), "{refused}");
    }
}

/// A running coturn; killed when dropped.
struct Coturn(Child);

impl Drop for Coturn {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn coturn(at: SocketAddr, log: &Path) -> Coturn {
    let (ip, port) = (at.ip().to_string(), at.port().to_string());
    let out = std::fs::File::create(log).unwrap();
    let child = Command::new("turnserver")
        .args([
            "-n",
            "--no-cli",
            "--no-tls",
            "--no-dtls",
            "--realm",
            "longrein",
            "--log-file",
            "stdout",
        ])
        .args(["--use-auth-secret", "--static-auth-secret", SECRET, "--allow-loopback-peers"])
        .args(["--listening-ip", &ip, "--relay-ip", &ip, "--listening-port", &port, "--pidfile"])
        .arg(log.with_extension("pid"))
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    Coturn(child)
}

#[test]
fn a_pilot_drives_over_a_coturn_that_knows_the_secret() {
    if Command::new("turnserver").arg("--version").stdout(Stdio::null()).status().is_err() {
        let skipped = "SKIPPED: there is no turnserver; install the package 'coturn'";
        assert!(std::env::var_os("CI").is_none(), "{skipped}");
        xtask::progress(skipped);
        return;
    }
    let at = SocketAddr::new(address(), free_port().unwrap());
    let urls = ["udp", "tcp"].map(|way| format!("turn:{at}?transport={way}"));
    let rig = rig("coturn", external("coturn", &urls));
    let log = rig.data().join("logs/coturn.log");
    // The page has no other way: without a coturn that takes its credentials there is no drive.
    let _coturn = coturn(at, &log);
    for way in ["udp", "tcp"] {
        drive(&rig, way);
    }
}

async fn relay(at: SocketAddr) -> Server {
    let allow = [format!("{}/32", at.ip()), "127.0.0.0/8".to_owned()];
    let relay = Relay {
        listen: at,
        public: at.ip(),
        ports: None,
        realm: "longrein".to_owned(),
        secret: Secret::new(SECRET.as_bytes()),
        peers: Peers::new(allow.iter().map(|net| net.parse().unwrap()).collect()),
        limits: Limits::default(),
    };
    Server::start(relay).await.unwrap()
}

/// The lease that the robot obeys, with its epoch.
fn lease(rig: &Rig) -> (Value, Value) {
    let robot = rig.stack.operator.get(&format!("/v1/robots/{ROBOT}")).unwrap();
    (robot["state"]["lease"].clone(), robot["state"]["epoch"].clone())
}

/// Waits until the page says something of this title after `since` told lines.
fn hears(pilot: &Pilot, since: usize, title: &str) {
    wait_for(&format!("{title:?} on the page"), 20, || {
        let told = pilot.told();
        Ok(told.iter().skip(since).any(|told| told.title == title).then_some(()))
    })
    .unwrap();
}

/// Waits until the page has another path, expects that nothing moves by itself though W is held all the time, and drives
/// on. How long the path took.
fn resumes(rig: &Rig, pilot: &mut Pilot, fault_ms: u64, since: usize) -> u64 {
    hears(pilot, since, "Let go first.");
    let found_ms = mono_ms() - fault_ms;
    let still = rig.trace_of(mono_ms(), 500).unwrap();
    assert!(still.iter().all(xtask::rig::TraceLine::rests), "it moved by itself");
    let since = pilot.told().len();
    pilot.hold("").unwrap();
    hears(pilot, since, "Ready.");
    pilot.hold("KeyW").unwrap();
    rig.wait_for_speed(1.0).unwrap();
    found_ms
}

#[test]
fn addresses_that_change_at_both_ends_interrupt_a_drive_and_do_not_end_it() {
    if let Err(why) = Network::can_be_cut() {
        let skipped = format!("SKIPPED: addresses that change: {why:#}");
        assert!(std::env::var_os("CI").is_none(), "{skipped}");
        xtask::progress(&skipped);
        return;
    }
    let rig = Rig::start_with("address-change", &["--no-people"]).unwrap();
    let mut pilot = rig.holding_pilot().unwrap();
    rig.wait_for_speed(1.4).unwrap();
    let driven = lease(&rig);
    let router = rig.stack.zenoh.rsplit(':').next().unwrap().parse().unwrap();
    let network = Network::of(&pilot).unwrap();
    let mut network = network.and_router(rig.stack.agent.pid(), router).unwrap();

    // What either end had is lost for good; what they open from now on works.
    let (fault_ms, since) = (mono_ms(), pilot.told().len());
    network.cut().unwrap();
    let stop = rig.stop_after(fault_ms).unwrap();
    assert!(stop.commanded_ms <= 400 && stop.at_rest_ms <= 1_000, "{stop:?}");
    let found_ms = resumes(&rig, &mut pilot, fault_ms, since);
    xtask::progress(&format!("address change: {stop:?}; another path after {found_ms} ms"));
    assert!(found_ms < 8_000, "another path was found after {found_ms} ms");
    assert_eq!(lease(&rig), driven, "the same lease and epoch");
}

#[test]
fn a_path_that_ends_is_replaced_in_the_same_lease() {
    for way in ["udp", "tcp"] {
        path_replaced(way);
    }
}

fn path_replaced(way: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let at = || SocketAddr::new(address(), free_port().unwrap());
    let (first, second) = (at(), at());
    let urls = [first, second].map(|at| format!("turn:{at}?transport={way}"));
    let name = format!("path-replaced-{way}");
    let rig = rig(&name, external(&name, &urls));
    let relay_before = runtime.block_on(relay(first));
    let mut pilot = rig.holding_pilot_with(&["--relay", way]).unwrap();
    rig.wait_for_speed(1.4).unwrap();
    let driven = lease(&rig);
    assert!(driven.0.is_string(), "no lease: {driven:?}");

    let (fault_ms, since) = (mono_ms(), pilot.told().len());
    drop(relay_before);
    let relay_after = runtime.block_on(relay(second));
    let stop = rig.stop_after(fault_ms).unwrap();
    assert!(stop.commanded_ms <= 400 && stop.at_rest_ms <= 1_000, "{stop:?}");
    let found_ms = resumes(&rig, &mut pilot, fault_ms, since);
    xtask::progress(&format!("{way}: {stop:?}; another path after {found_ms} ms"));
    assert!(found_ms < 5_000, "another path was found after {found_ms} ms");
    assert_eq!(lease(&rig), driven, "the same lease and epoch");
    assert!(relay_after.stats().allocations.get() >= 1);

    drop(pilot);
    let episode = rig.accepted_episode().unwrap();
    let path = rig.data().join("fleet/episodes").join(episode["id"].as_str().unwrap());
    let out = Command::new(rig.program("episode")).arg("verify").arg(&path).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    runtime.shutdown_timeout(Duration::from_secs(1));
}
