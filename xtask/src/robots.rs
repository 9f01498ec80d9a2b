//! Further robots beside the stack's own, each with a simulator of its own, and `longrein` before any of them.

use crate::fleet::text;
use crate::process::{Process, wait_for};
use crate::setup;
use crate::stack::{ROBOT, Stack};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A robot beside the stack's own. Dropping it stops its processes.
#[derive(Debug)]
pub struct Robot {
    /// Its name at the fleet.
    pub name: String,
    /// Stopped first.
    pub agent: Process,
    /// Its base and cameras.
    pub sim: Process,
    sockets: PathBuf,
}

/// How a further robot sees.
#[derive(Debug, Clone, Copy)]
pub struct Cameras {
    /// Width and height of the front camera.
    pub size: (u32, u32),
    /// Frames a second of the front camera.
    pub fps: u32,
    /// Whether there is a rear camera too, with half of the width and height and a third of the frames.
    pub rear: bool,
}

impl Robot {
    /// Enrols and starts robot number `number` (1, 2, …) on a ROS domain of its own, and waits until it is online.
    pub fn start(stack: &Stack, number: u16, cameras: Cameras) -> Result<Self> {
        let options = &stack.options;
        let name = format!("rover-{number}");
        let data = options.data.join(&name);
        std::fs::create_dir_all(&data)?;
        let owner = text(&stack.operator.post("/v1/owners", &json!({"name": name}))?, "id")?;
        let shares = [json!({"owner": owner, "share_ppm": 1_000_000})];
        let order = json!({"robot": name, "name": name, "owners": shares});
        let code = text(&stack.operator.post("/v1/enrolments", &order)?, "code")?;
        setup::run(
            Command::new(options.bin.join("robot-agent"))
                .args(["enroll", "--server", &stack.fleet_url, "--code", &code, "--data"])
                .arg(&data)
                .stdout(std::io::stderr()),
        )?;
        // Sockets have short paths (108 bytes), so not under `data`.
        let sockets =
            std::env::temp_dir().join(format!("longrein-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&sockets)?;
        // Domains of the tests' stacks are 10 to 99.
        let domain = 100 + number;
        let (width, height) = cameras.size;
        let fps = cameras.fps;
        let mut views = vec![("front", width, height, fps)];
        if cameras.rear {
            views.push(("rear", width / 2, height / 2, fps / 3));
        }
        let mut args = vec!["--no-people".to_owned(), "--seed".to_owned(), number.to_string()];
        args.extend(["--ros-domain".to_owned(), domain.to_string()]);
        let mut toml = format!(
            "data = {:?}\nros_domain_id = {domain}\n\
             [policy.blind_driving]\npermitted = true\nspeed_mps_max = 0.5\n",
            shown(&data)
        );
        for (view, width, height, fps) in views {
            let socket = shown(&sockets.join(view));
            args.extend([format!("--camera-{view}"), socket.clone()]);
            args.extend([format!("--{view}-size"), format!("{width}x{height}")]);
            args.extend([format!("--{view}-fps"), fps.to_string()]);
            let source = format!(
                "shmsrc socket-path={socket} is-live=true do-timestamp=true ! \
                 video/x-raw,format=I420,width={width},height={height},framerate={fps}/1"
            );
            toml += &format!(
                "\n[[camera]]\nname = \"{view}\"\nsource = {source:?}\nwidth = {width}\nheight = {height}\n\
                 fps = {fps}\nbitrate_kbps = 300\n"
            );
        }
        let config = data.join("robot.toml");
        std::fs::write(&config, toml)?;
        let log = |program: &str| options.data.join("logs").join(format!("{program}-{number}.log"));
        // It stands for a world that takes nobody's processor, so it stands back.
        let mut niced = vec!["-n5".to_owned(), shown(&options.bin.join("sim-robot"))];
        niced.extend(args);
        let mut sim = Process::start("sim-robot", Path::new("nice"), &niced, log("sim-robot"))?;
        let run = ["run".to_owned(), "--config".to_owned(), shown(&config)];
        let mut agent = Process::start(
            "robot-agent",
            &options.bin.join("robot-agent"),
            &run,
            log("robot-agent"),
        )?;
        wait_for(&format!("{name} online with a position"), 60, || {
            sim.check()?;
            agent.check()?;
            let robot = stack.operator.get(&format!("/v1/robots/{name}"))?;
            let placed = robot["online"] == true && !robot["state"]["position"].is_null();
            Ok(placed.then_some(()))
        })?;
        Ok(Self { name, agent, sim, sockets })
    }
}

impl Drop for Robot {
    fn drop(&mut self) {
        self.agent.stop();
        self.sim.stop();
        // Nothing is lost if the sockets stay.
        drop(std::fs::remove_dir_all(&self.sockets));
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// `longrein earth-rover`: a robot at an address of this machine. Dropping it stops it.
#[derive(Debug)]
pub struct Rover {
    /// The program.
    pub process: Process,
    /// Where the robot is, such as `http://localhost:40123`.
    pub url: String,
    /// Its key file.
    pub key: PathBuf,
}

impl Rover {
    /// Joins the fleet as a program named `name` and serves the stack's robot on a free port.
    pub fn start(stack: &Stack, name: &str) -> Result<Self> {
        Self::start_for(stack, name, ROBOT, &[])
    }

    /// As [`Rover::start`], for `robot`, with further arguments. A key of that name that is there already is used.
    pub fn start_for(stack: &Stack, name: &str, robot: &str, more: &[&str]) -> Result<Self> {
        let key = stack.options.data.join(format!("{name}.key"));
        if !key.exists() {
            join(stack, name, &key)?;
        }
        let log = stack.options.data.join("logs").join(format!("longrein-{name}.log"));
        // What an earlier one wrote would be read as this one's.
        drop(std::fs::remove_file(&log));
        let mut args: Vec<String> = ["earth-rover", "--robot", robot, "--url", &stack.url]
            .into_iter()
            .chain(["--port", "0", "--key"])
            .map(ToOwned::to_owned)
            .collect();
        args.push(shown(&key));
        args.extend(more.iter().map(|&arg| arg.to_owned()));
        let program = stack.options.bin.join("longrein");
        let mut process = Process::start("longrein", &program, &args, log.clone())?;
        let url = wait_for("longrein's start", 20, || {
            process.check()?;
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let line = said.lines().find(|line| line.contains(" at http://localhost:"));
            let rest = line.and_then(|line| line.split_once(" at ")).map(|(_, rest)| rest);
            Ok(rest.and_then(|rest| rest.split(',').next()).map(ToOwned::to_owned))
        })?;
        Ok(Self { process, url, key })
    }
}

/// Makes the key `key` and registers it as a program named `name`.
pub fn join(stack: &Stack, name: &str, key: &Path) -> Result<()> {
    let code = stack.invite_agent()?;
    let out = Command::new(stack.options.bin.join("longrein"))
        .args(["join", &code, "--url", &stack.url, "--name", name, "--key"])
        .arg(key)
        .output()
        .context("longrein join")?;
    ensure!(out.status.success(), "longrein join: {}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}
