//! The commands as an owner calls them, on a robot that a test plays.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use protocol::keys::PrivateKey;
use robot_agent::home::Home;
use ros_bridge::base::RobotSide;
use ros_bridge::{Config, Topics};
use ros_msgs::nav_msgs::Odometry;
use ros_msgs::sensor_msgs::LaserScan;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn agent(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_robot-agent"))
        .args(arguments)
        .env_remove("ROS_DOMAIN_ID")
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A robot that speaks 50 times a second until it is dropped.
struct Robot {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Robot {
    fn start(domain_id: u16) -> Self {
        let topics = Topics { odometry: "/wheels/odom".to_owned(), ..Topics::default() };
        let config = Config { topics, ..Config::new(domain_id, "played_robot") };
        let side = RobotSide::connect(&config, |_twist, _arrived| {}).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopping.load(Ordering::Relaxed) {
                side.publish_odometry(Odometry::default()).unwrap();
                side.publish_scan(LaserScan::default()).unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Robot {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn checks_of(output: &Output) -> Vec<serde_json::Value> {
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["version"], 1);
    report["checks"].as_array().unwrap().clone()
}

fn check<'a>(checks: &'a [serde_json::Value], area: &str, what: &str) -> &'a serde_json::Value {
    let found = checks.iter().find(|check| check["area"] == area && check["what"] == what);
    found.unwrap_or_else(|| panic!("no check of {area} {what} in {checks:#?}"))
}

#[test]
fn init_writes_what_it_finds_and_doctor_says_what_is_missing() {
    const DOMAIN: u16 = 191;
    let _robot = Robot::start(DOMAIN);
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("robot.toml");
    let path = config.to_str().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let domain = DOMAIN.to_string();
    let init = ["init", "--config", path, "--data", data, "--ros-domain", &domain];
    let written = agent(&init);
    assert!(written.status.success(), "{}", said(&written));
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains("odometry = \"/wheels/odom\""), "{text}");
    assert!(
        text.contains("# cmd_vel = \"/cmd_vel\"  # geometry_msgs/msg/Twist: subscribed"),
        "{text}"
    );
    let again = agent(&init);
    assert!(!again.status.success() && said(&again).contains("--force"), "{}", said(&again));
    assert_eq!(std::fs::read_to_string(&config).unwrap(), text);
    assert!(agent(&["config", "check", path]).status.success());

    let begun = Instant::now();
    let camera =
        "videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=15/1";
    let camera = format!(
        "[[camera]]\nname = \"test\"\nsource = {camera:?}\nwidth = 320\nheight = 240\nfps = 15\nbitrate_kbps = 300\n"
    );
    std::fs::write(&config, text + &camera).unwrap();
    let examined = agent(&["doctor", "--json", "--config", path]);
    assert!(begun.elapsed() < Duration::from_secs(60), "bounded in time");
    assert_eq!(examined.status.code(), Some(1), "not enrolled: {}", said(&examined));
    let checks = checks_of(&examined);
    let folder = check(&checks, "key", "data folder");
    assert_eq!(folder["verdict"], "failed");
    assert!(folder["advice"].as_str().unwrap().contains("robot-agent enroll"));
    assert!(!Path::new(data).exists(), "a look makes nothing");
    let odometry = check(&checks, "ros", "/wheels/odom");
    assert_eq!(odometry["verdict"], "ok", "{odometry:#}");
    assert!(odometry["data"]["rate_hz"].as_f64().unwrap() > 20.0, "{odometry:#}");
    assert_eq!(check(&checks, "ros", "/scan")["verdict"], "ok");
    assert_eq!(check(&checks, "ros", "/cmd_vel")["verdict"], "ok");
    assert_eq!(check(&checks, "encoder", "chosen")["verdict"], "ok");
    assert_eq!(check(&checks, "camera", "test")["verdict"], "ok");
    assert_eq!(check(&checks, "server", "URL")["verdict"], "not_checked");
    assert_eq!(check(&checks, "clock", "monotonic")["verdict"], "ok");

    let table = agent(&["doctor", "--config", path]);
    let shown = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(shown.contains("→ enrol the robot") && !shown.contains('\x1b'), "{shown}");
}

#[test]
fn what_is_wrong_with_a_configuration_is_told_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("robot.toml");
    let path = config.to_str().unwrap();
    std::fs::write(&config, "data = \"/nowhere\"\n[policy]\nspeed_mps = 1.0\n").unwrap();
    for command in
        [&["config", "check", path][..], &["run", "--config", path], &["doctor", "--config", path]]
    {
        let refused = agent(command);
        assert!(!refused.status.success());
        let words = said(&refused);
        assert!(
            words.contains(
                "line 3: unknown key `speed_mps` in [policy]: did you mean `speed_mps_max`?"
            ),
            "{words}"
        );
    }
    let flag = ["run", "--config", path, "--set", "policy.speed_mps_max"];
    assert!(said(&agent(&flag)).contains("KEY=VALUE"));
    let docs = agent(&["config", "docs"]);
    assert!(
        String::from_utf8_lossy(&docs.stdout).contains("LONGREIN_ROBOT__POLICY__SPEED_MPS_MAX")
    );
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/robot.toml");
    let checked = agent(&["config", "check", sample.to_str().unwrap()]);
    assert!(checked.status.success(), "the packaged configuration: {}", said(&checked));
}

/// A running agent that systemd would have started. Ended when dropped.
struct Service {
    agent: std::process::Child,
    notified: UnixDatagram,
}

impl Service {
    fn start(dir: &Path, config: &str) -> Self {
        let socket = dir.join("notify.sock");
        let notified = UnixDatagram::bind(&socket).unwrap();
        let agent = Command::new(env!("CARGO_BIN_EXE_robot-agent"))
            .args(["run", "--config", config])
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "2000000")
            .spawn()
            .unwrap();
        Self { agent, notified }
    }

    /// The next word, if one comes within the time.
    fn word(&self, within: Duration) -> Option<String> {
        self.notified.set_read_timeout(Some(within)).unwrap();
        let mut text = [0; 256];
        let len = self.notified.recv(&mut text).ok()?;
        Some(String::from_utf8_lossy(&text[..len]).into_owned())
    }

    fn signal(&self, name: &str) {
        let pid = self.agent.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.agent.kill().unwrap_or_default();
        self.agent.wait().unwrap();
    }
}

#[test]
fn an_offline_agent_is_ready_beats_while_it_runs_and_tells_doctor_how_it_does() {
    const WITHIN: Duration = Duration::from_secs(20);
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let home = Home::open(&data).unwrap();
    let did = home.key_or_new().unwrap().did();
    let enrolment = serde_json::json!({
        "server": "http://127.0.0.1:1",
        "did": did,
        "robot": "played-robot",
        "fleet_did": PrivateKey::from_seed(&[1; 32]).did(),
        "zenoh_endpoint": "tcp/127.0.0.1:1",
    });
    std::fs::write(data.join("enrolment.json"), enrolment.to_string()).unwrap();
    let config = dir.path().join("robot.toml");
    let path = config.to_str().unwrap();
    let source =
        "videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=15/1";
    let text = format!(
        "data = {data:?}\nros_domain_id = 192\n[[camera]]\nname = \"test\"\nsource = {source:?}\n\
         width = 320\nheight = 240\nfps = 15\nbitrate_kbps = 300\n"
    );
    std::fs::write(&config, text).unwrap();

    let mut service = Service::start(dir.path(), path);
    assert_eq!(service.word(WITHIN).as_deref(), Some("READY=1\nWATCHDOG=1"));
    assert_eq!(service.word(WITHIN).as_deref(), Some("WATCHDOG=1"));

    std::thread::sleep(Duration::from_secs(2));
    let examined = agent(&["doctor", "--json", "--config", path]);
    let checks = checks_of(&examined);
    let process = check(&checks, "agent", "process");
    assert!(process["found"].as_str().unwrap().contains("runs as played-robot"), "{process:#}");
    let camera = check(&checks, "camera", "test");
    assert_eq!(camera["verdict"], "ok", "{camera:#}");
    assert!(camera["found"].as_str().unwrap().contains("told by the running agent"));
    assert_eq!(check(&checks, "key", "file")["verdict"], "ok");
    assert_eq!(check(&checks, "server", "TCP")["verdict"], "failed");
    assert_eq!(check(&checks, "server", "router")["verdict"], "failed");

    service.signal("-STOP");
    while service.word(Duration::from_millis(10)).is_some() {}
    assert_eq!(service.word(Duration::from_secs(1)), None, "a frozen agent is silent");
    service.signal("-CONT");
    assert_eq!(service.word(WITHIN).as_deref(), Some("WATCHDOG=1"));

    service.signal("-TERM");
    let last = std::iter::from_fn(|| service.word(WITHIN)).find(|word| word != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
    assert!(service.agent.wait().unwrap().success());
}
