//! The whole system on one machine, as real processes: what the demo shows and the system tests break.

use crate::fleet::{Client, items, text};
use crate::process::{Process, wait_for};
use crate::{progress, setup};
use anyhow::{Context, Result, bail, ensure};
use protocol::keys::PrivateKey;
use protocol::mission::Checkpoint;
use protocol::units::GeoPoint;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The demo's robot.
pub const ROBOT: &str = "demo-rover-1";
/// What the demo's mission pays.
pub const REWARD: u64 = 1_000;

/// Configuration for the close sensors that the simulated robot has.
pub const CLOSE_SENSORS: &str = r#"
[policy.close_sensors]
active = true
[[ros.range]]
topic = "/range/front"
x_m = 0.32
[[ros.range]]
topic = "/range/rear"
x_m = -0.32
yaw_rad = 3.1416
[[ros.range]]
topic = "/cliff/front"
kind = "drop"
x_m = 0.42
ground_m_max = 0.16
[[ros.bumper]]
topic = "/bumper/front"
side = "front"
[[ros.bumper]]
topic = "/bumper/rear"
side = "rear"
"#;

/// Configuration for the autonomy that the simulated robot has with `--autonomy`.
pub const NAVIGATION: &str = "[navigation]\nactive = true\n";

/// What the agent finds on its ROS domain and before its cameras.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// `sim-robot`, with the pictures that it draws.
    Simulated,
    /// A base that the caller runs; the cameras show a test picture.
    Foreign,
}

/// Where and how the stack runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder of everything that is kept.
    pub data: PathBuf,
    /// Folder of the programs.
    pub bin: PathBuf,
    /// Folder of the built cockpit.
    pub web: PathBuf,
    /// Port of the gateway, the one public origin; 0 picks a free one.
    pub http_port: u16,
    /// Seed of the simulated world.
    pub seed: u64,
    /// ROS domain of the agent and its base.
    pub ros_domain: u16,
    /// What plays the base.
    pub base: Base,
    /// Further arguments for the simulator.
    pub sim_args: Vec<String>,
    /// Whether the robot has a rear camera beside the front one.
    pub rear_camera: bool,
    /// Further lines for the robot's configuration.
    pub robot_toml: String,
    /// Environment variables for the agent.
    pub agent_env: Vec<(&'static str, String)>,
    /// Program with arguments that starts the agent, such as `prlimit`; the agent itself without.
    pub agent_under: Vec<String>,
    /// Further arguments for the gateway.
    pub gateway_args: Vec<String>,
}

/// The running processes. Dropping it stops them in order.
#[derive(Debug)]
pub struct Stack {
    /// Where and how it runs.
    pub options: Options,
    /// Address of the gateway.
    pub url: String,
    /// Address of the fleet server.
    pub fleet_url: String,
    /// Zenoh endpoint of the embedded router.
    pub zenoh: String,
    /// Signed in as the first operator.
    pub operator: Client,
    /// Stopped first.
    pub agent: Process,
    /// The simulated robot, if it plays the base.
    pub sim: Option<Process>,
    /// The gateway.
    pub gateway: Process,
    /// Stopped last.
    pub fleet: Process,
}

/// The port at the end of an address.
fn port(address: &str) -> Result<u16> {
    let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
    port.with_context(|| format!("no port in {address}"))
}

/// A port of the loopback interface that was free just now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn strings(args: &[&str]) -> Vec<String> {
    args.iter().map(|&a| a.to_owned()).collect()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

impl Options {
    /// The defaults for a folder, with everything built.
    pub fn new(data: &Path) -> Result<Self> {
        let web = setup::web()?;
        Ok(Self {
            data: data.to_owned(),
            bin: setup::binaries()?,
            web,
            http_port: 0,
            seed: 1,
            ros_domain: 42,
            base: Base::Simulated,
            sim_args: Vec::new(),
            rear_camera: true,
            robot_toml: String::new(),
            agent_env: Vec::new(),
            agent_under: Vec::new(),
            gateway_args: Vec::new(),
        })
    }

    fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.data.join("logs").join(format!("{name}.log"))
    }

    /// Folder of sockets: their paths must be short (108 bytes), so not under `data`.
    fn sockets(&self) -> PathBuf {
        std::env::temp_dir().join(format!("longrein-{}", std::process::id()))
    }

    /// The simulator's account of what the robot did.
    pub fn sim_stats(&self) -> PathBuf {
        self.data.join("sim-stats.json")
    }

    /// What the robot's loudspeaker played last.
    pub fn loudspeaker_wav(&self) -> PathBuf {
        self.data.join("loudspeaker.wav")
    }

    /// Configuration for a microphone that hears a tone, and a loudspeaker that is a file.
    pub fn audio_toml(&self) -> String {
        let loudspeaker =
            format!("wavenc ! filesink location={:?}", shown(&self.loudspeaker_wav()));
        let tone = "audiotestsrc is-live=true wave=sine freq=440 volume=0.3";
        format!("[audio]\nmicrophone = {tone:?}\nloudspeaker = {loudspeaker:?}\n")
    }

    /// The simulator's trace of every 10 ms.
    pub fn sim_trace(&self) -> PathBuf {
        self.data.join("sim-trace.jsonl")
    }

    /// Starts the fleet server on fixed ports.
    pub fn start_fleet(&self, http: u16, zenoh: u16) -> Result<Process> {
        Process::start(
            "fleet-server",
            &self.program("fleet-server"),
            &strings(&[
                "serve",
                "--data",
                &shown(&self.data.join("fleet")),
                "--http",
                &format!("127.0.0.1:{http}"),
                "--zenoh",
                &format!("tls/127.0.0.1:{zenoh}"),
            ]),
            self.log("fleet-server"),
        )
    }

    /// Starts the gateway on fixed ports. `code` registers it with the fleet, once.
    pub fn start_gateway(
        &self,
        http: u16,
        fleet: u16,
        zenoh: u16,
        code: Option<&str>,
    ) -> Result<Process> {
        let mut args = strings(&[
            "--http",
            &format!("127.0.0.1:{http}"),
            "--fleet",
            &format!("http://127.0.0.1:{fleet}"),
            "--zenoh",
            &format!("tls/127.0.0.1:{zenoh}"),
            "--web",
            &shown(&self.web),
            "--key",
            &shown(&self.data.join("gateway.key")),
        ]);
        args.extend(code.into_iter().flat_map(|code| ["--code".to_owned(), code.to_owned()]));
        args.extend(self.gateway_args.iter().cloned());
        let program = self.program("pilot-gateway");
        Process::start("pilot-gateway", &program, &args, self.log("pilot-gateway"))
    }

    /// Starts the simulated robot.
    pub fn start_sim(&self) -> Result<Process> {
        let sockets = self.sockets();
        std::fs::create_dir_all(&sockets)?;
        let mut args = strings(&[
            "--seed",
            &self.seed.to_string(),
            "--ros-domain",
            &self.ros_domain.to_string(),
            "--camera-front",
            &shown(&sockets.join("front")),
            "--camera-rear",
            &shown(&sockets.join("rear")),
            "--stats",
            &shown(&self.sim_stats()),
            "--trace",
            &shown(&self.sim_trace()),
        ]);
        args.extend(self.sim_args.iter().cloned());
        Process::start("sim-robot", &self.program("sim-robot"), &args, self.log("sim-robot"))
    }

    /// Starts the robot's agent.
    pub fn start_agent(&self) -> Result<Process> {
        let mut words = self.agent_under.clone();
        words.push(shown(&self.program("robot-agent")));
        words.extend(strings(&["run", "--config", &shown(&self.data.join("robot/robot.toml"))]));
        let program = PathBuf::from(words.remove(0));
        Process::start_with(
            "robot-agent",
            &program,
            &words,
            self.log("robot-agent"),
            &self.agent_env,
        )
    }

    fn write_robot_config(&self) -> Result<()> {
        let sockets = self.sockets();
        let source = |name: &str, width: u32, height: u32, fps: u32| {
            let pictures = match self.base {
                Base::Simulated => format!(
                    "shmsrc socket-path={} is-live=true do-timestamp=true",
                    shown(&sockets.join(name))
                ),
                Base::Foreign => "videotestsrc is-live=true pattern=ball".to_owned(),
            };
            format!(
                "{pictures} ! \
                 video/x-raw,format=I420,width={width},height={height},framerate={fps}/1"
            )
        };
        let rear = format!(
            "\n[[camera]]\nname = \"rear\"\nsource = {:?}\nwidth = 640\nheight = 360\nfps = 15\nbitrate_kbps = 500\n",
            source("rear", 640, 360, 15)
        );
        let rear = if self.rear_camera { rear.as_str() } else { "" };
        let text = format!(
            "# Written by `cargo xtask demo`.\n\
             data = {data:?}\n\
             ros_domain_id = {domain}\n\
             {more}\n\
             [policy.blind_driving]\npermitted = true\nspeed_mps_max = 0.5\n\n\
             [speech]\nkeep = {speech:?}\n\n\
             [[camera]]\nname = \"front\"\nsource = {front:?}\nwidth = 1280\nheight = 720\nfps = 30\nbitrate_kbps = 2500\n{rear}",
            data = shown(&self.data.join("robot")),
            domain = self.ros_domain,
            speech = shown(&self.data.join("robot/speech")),
            more = self.robot_toml,
            front = source("front", 1280, 720, 30),
        );
        std::fs::write(self.data.join("robot/robot.toml"), text)?;
        Ok(())
    }

    fn enroll(&self, operator: &Client, fleet_url: &str) -> Result<()> {
        if self.data.join("robot/enrolment.json").exists() {
            return Ok(());
        }
        progress("enrolling the robot with its owners");
        let mut shares = Vec::new();
        for (name, share_ppm) in [("Ada's Rovers", 750_000), ("Block Co-op", 250_000)] {
            let owner = operator.post("/v1/owners", &json!({"name": name}))?;
            shares.push(json!({"owner": text(&owner, "id")?, "share_ppm": share_ppm}));
        }
        let order = json!({"robot": ROBOT, "name": "Demo Rover", "owners": shares});
        let code = text(&operator.post("/v1/enrolments", &order)?, "code")?;
        setup::run(
            Command::new(self.program("robot-agent"))
                .args(["enroll", "--server", fleet_url, "--code", &code, "--data"])
                .arg(self.data.join("robot"))
                .stdout(std::io::stderr()),
        )
    }

    /// The route that the simulated world offers.
    pub fn route(&self) -> Result<Value> {
        let out = Command::new(self.program("sim-robot"))
            .args(["route", "--seed", &self.seed.to_string()])
            .output()?;
        ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let route: Value = serde_json::from_slice(&out.stdout).context("route of the simulator")?;
        Ok(if route.is_array() { route } else { route["checkpoints"].clone() })
    }
}

impl Stack {
    /// Starts everything and waits until the robot stands ready with a position.
    pub fn start(options: Options) -> Result<Self> {
        for folder in ["logs", "robot", "fleet"] {
            let folder = options.data.join(folder);
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let http = if options.http_port == 0 { free_port()? } else { options.http_port };
        ensure!(
            TcpListener::bind(("127.0.0.1", http)).is_ok(),
            "port {http} is in use: is another demo running? Choose another with --port"
        );
        let (fleet_http, zenoh) = (free_port()?, free_port()?);
        let (url, fleet_url) =
            (format!("http://127.0.0.1:{http}"), format!("http://127.0.0.1:{fleet_http}"));

        progress("starting fleet-server");
        let mut fleet = options.start_fleet(fleet_http, zenoh)?;
        let probe = Client::new(&fleet_url);
        wait_for("fleet-server's start", 30, || {
            fleet.check()?;
            Ok(probe.is_up("/readyz").then_some(()))
        })?;
        let key = std::fs::read_to_string(options.data.join("fleet/operator.key"))
            .context("the fleet server made no operator key")?;
        let operator = Client::new(&fleet_url).sign_in(&PrivateKey::from_pem(&key)?)?;

        progress("starting pilot-gateway");
        let code = match options.data.join("gateway.key").exists() {
            true => None,
            false => Some(invite(&operator, "gateway")?),
        };
        let mut gateway = options.start_gateway(http, fleet_http, zenoh, code.as_deref())?;
        let probe = Client::new(&url);
        wait_for("pilot-gateway's start", 30, || {
            gateway.check()?;
            Ok(probe.is_up("/readyz").then_some(()))
        })?;

        options.enroll(&operator, &fleet_url)?;
        options.write_robot_config()?;
        // The agent reads the server from its enrolment; ports change from run to run.
        refresh_enrolment(&options.data.join("robot/enrolment.json"), &fleet_url, zenoh)?;
        let mut sim = match options.base {
            Base::Simulated => {
                progress("starting the simulated robot");
                Some(options.start_sim()?)
            }
            Base::Foreign => None,
        };
        progress("starting robot-agent");
        let mut agent = options.start_agent()?;
        let (probe, public) = (operator.clone(), operator.at(&url));
        wait_for("the robot's first report with a position and a picture", 60, || {
            for process in sim.iter_mut().chain([&mut agent, &mut fleet, &mut gateway]) {
                process.check()?;
            }
            let robot = probe.get(&format!("/v1/robots/{ROBOT}"))?;
            let placed = robot["online"] == true && !robot["state"]["position"].is_null();
            let sees = placed && public.succeeds(&format!("/v1/robots/{ROBOT}/look"));
            Ok(sees.then_some(()))
        })?;
        let zenoh = format!("tls/127.0.0.1:{zenoh}");
        Ok(Self { options, url, fleet_url, zenoh, operator, agent, sim, gateway, fleet })
    }

    /// A funded, open mission along the simulator's route: the one that is there, or a new one.
    pub fn open_mission(&self) -> Result<Value> {
        let open = self.operator.get("/v1/missions?state=open")?;
        if let Some(mission) = items(&open).iter().find(|m| m["robot"] == ROBOT) {
            return Ok(mission.clone());
        }
        let (name, checkpoints) = self.next_route()?;
        let mission = self.operator.post(
            "/v1/missions",
            &json!({"name": name, "robot": ROBOT, "checkpoints": checkpoints, "reward": REWARD}),
        )?;
        let id = text(&mission, "id")?;
        let transfer = format!("txn_{}", uuid::Uuid::now_v7().simple());
        self.operator.post("/v1/deposits", &json!({"amount": REWARD, "transfer": transfer}))?;
        self.operator.post(&format!("/v1/missions/{id}/fund"), &json!({}))?;
        self.operator.post(&format!("/v1/missions/{id}/open"), &json!({}))
    }

    /// Opens the next mission once nobody can take or drives the last one, so that a pilot who is done finds another.
    pub fn keep_a_mission_open(&self) -> Result<()> {
        let busy = "/v1/missions?state=open,offered,assigned,active,verifying";
        if items(&self.operator.get(busy)?).is_empty() {
            self.open_mission()?;
        }
        Ok(())
    }

    /// The route from where the robot stands: onwards from the start, or back from the end.
    fn next_route(&self) -> Result<(&'static str, Vec<Checkpoint>)> {
        let mut route: Vec<Checkpoint> = serde_json::from_value(self.options.route()?)?;
        let robot = self.operator.get(&format!("/v1/robots/{ROBOT}"))?;
        let here: GeoPoint = serde_json::from_value(robot["state"]["position"]["point"].clone())
            .context("the robot's position")?;
        let (Some(first), Some(last)) = (route.first(), route.last()) else {
            bail!("the simulator's route is empty");
        };
        if here.distance_m(&first.position) <= here.distance_m(&last.position) {
            return Ok(("Around the block", route));
        }
        route.pop();
        route.reverse();
        Ok(("The way back", route))
    }

    /// Starts the fleet server, with the message router in it, anew on its ports, and waits until it answers.
    pub fn restart_fleet(&mut self) -> Result<()> {
        self.fleet.kill();
        self.fleet = self.options.start_fleet(port(&self.fleet_url)?, port(&self.zenoh)?)?;
        let ready = Client::new(&self.fleet_url);
        wait_for("the fleet server again", 30, || Ok(ready.is_up("/readyz").then_some(())))
    }

    /// Starts the gateway anew on its port, and waits until it answers.
    pub fn restart_gateway(&mut self) -> Result<()> {
        self.gateway.kill();
        let (http, fleet) = (port(&self.url)?, port(&self.fleet_url)?);
        self.gateway = self.options.start_gateway(http, fleet, port(&self.zenoh)?, None)?;
        let ready = Client::new(&self.url);
        wait_for("the gateway again", 30, || Ok(ready.is_up("/readyz").then_some(())))
    }

    /// A single-use code with which a program gets its key registered.
    pub fn invite_agent(&self) -> Result<String> {
        invite(&self.operator, "agent")
    }

    /// A single-use link with which somebody becomes the robot's owner with the larger share.
    pub fn invite_owner(&self) -> Result<String> {
        let robot = self.operator.get(&format!("/v1/robots/{ROBOT}"))?;
        let owner = text(&robot["owners"][0], "owner")?;
        let order = json!({"role": "owner", "owner": owner});
        let path = text(&self.operator.post("/v1/invitations", &order)?, "path")?;
        Ok(format!("{}{path}", self.url))
    }

    /// A single-use link with which somebody becomes a pilot.
    pub fn invite_pilot(&self) -> Result<String> {
        let invitation = self.operator.post("/v1/invitations", &json!({"role": "pilot"}))?;
        let path = text(&invitation, "path")?;
        Ok(format!("{}{path}", self.url))
    }

    /// The first process that has ended, as an error with its log.
    pub fn check(&mut self) -> Result<()> {
        let servers = [&mut self.agent, &mut self.fleet, &mut self.gateway];
        for process in self.sim.iter_mut().chain(servers) {
            process.check()?;
        }
        Ok(())
    }

    /// Stops everything in order: first the robot, so that its episode is sealed and sent.
    pub fn stop(&mut self) {
        self.agent.stop();
        for process in self.sim.iter_mut().chain([&mut self.gateway, &mut self.fleet]) {
            process.stop();
        }
        // Sockets of the cameras; nothing is lost if they stay.
        drop(std::fs::remove_dir_all(self.options.sockets()));
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A single-use code with which a key is registered as `role`.
pub fn invite(operator: &Client, role: &str) -> Result<String> {
    text(&operator.post("/v1/invitations", &json!({"role": role}))?, "code")
}

/// Writes the ports of this run into the robot's enrolment.
fn refresh_enrolment(path: &Path, fleet_url: &str, zenoh: u16) -> Result<()> {
    let mut enrolment: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    enrolment["server"] = json!(fleet_url);
    enrolment["zenoh_endpoint"] = json!(format!("tls/127.0.0.1:{zenoh}"));
    std::fs::write(path, serde_json::to_string_pretty(&enrolment)?)?;
    // The fleet's word in them names the ports of the run before.
    drop(std::fs::remove_file(path.with_file_name("credentials.json")));
    Ok(())
}
