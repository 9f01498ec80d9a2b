//! The bad network between robot and browser: `netem` as a process, and a robot that is reached through nothing else.

use crate::stack::Options;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Ports of the robot that are relayed: sessions that overlap take one each.
const PORTS: u16 = 4;

/// How often the relay tells of its account: as fine as plots are to be.
const REPORT_MS: &str = "200";

/// A running relay; killed when dropped.
#[derive(Debug)]
pub struct Netem {
    child: Child,
    said: Arc<Mutex<Vec<Value>>>,
}

/// Where the relay stands between the two.
#[derive(Debug, Clone, Copy)]
pub struct Between {
    listen: u16,
    robot: u16,
}

impl Between {
    /// Places that are free just now, and a robot that is reached through the relay only.
    pub fn of(options: &mut Options) -> Result<Self> {
        let between = Self::free()?;
        let Self { listen, robot } = between;
        options.robot_toml.push_str(&format!(
            "[link]\nport = {robot}\nbind = [\"127.0.0.1\"]\nadvertise = [\"127.0.0.1:{listen}\"]\nonly_advertised = true\n"
        ));
        Ok(between)
    }

    /// Places that are free just now.
    pub fn free() -> Result<Self> {
        Ok(Self { listen: free_ports(0)?, robot: free_ports(1)? })
    }

    /// The first port of 127.0.0.1 that the driver sends to.
    pub const fn listen(&self) -> u16 {
        self.listen
    }

    /// The first port of 127.0.0.1 that the robot is to be at.
    pub const fn robot(&self) -> u16 {
        self.robot
    }

    /// Starts the relay there with a named profile.
    pub fn start(&self, options: &Options, profile: &str, seed: u64) -> Result<Netem> {
        self.start_in(&options.bin, profile, seed)
    }

    /// Starts the relay of the programs in `bin` there with a named profile.
    pub fn start_in(&self, bin: &Path, profile: &str, seed: u64) -> Result<Netem> {
        let program = bin.join("netem");
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(&program)
            .args(["--listen", &format!("127.0.0.1:{}", self.listen)])
            .args(["--robot", &format!("127.0.0.1:{}", self.robot)])
            .args(["--ports", &PORTS.to_string(), "--report-ms", REPORT_MS])
            .args(["--profile", profile, "--seed", &seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let out = child.stdout.take().context("the relay's output")?;
        let heard = Arc::clone(&said);
        std::thread::Builder::new().name("netem".to_owned()).spawn(move || hear(out, &heard))?;
        let netem = Netem { child, said };
        netem.wait("listening")?;
        Ok(netem)
    }
}

fn hear(out: ChildStdout, said: &Mutex<Vec<Value>>) {
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        if let Ok(line) = serde_json::from_str(&line) {
            said.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }
}

/// The first of a few UDP ports in a row that are free just now. Each `place` looks elsewhere.
fn free_ports(place: u16) -> Result<u16> {
    let from = 21_000 + u16::try_from(std::process::id() % 500).unwrap_or(0) * 8 + place * 5_000;
    let free = |first: &u16| {
        (*first..*first + PORTS).all(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok())
    };
    (from..from + 1_000).step_by(usize::from(PORTS)).find(free).context("no free UDP ports")
}

impl Netem {
    /// All lines so far.
    pub fn said(&self) -> Vec<Value> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives an order, and returns when it was obeyed, on the monotonic clock.
    pub fn order(&mut self, order: &str) -> Result<u64> {
        let before = self.said().len();
        let stdin = self.child.stdin.as_mut().context("the relay's input")?;
        writeln!(stdin, "{order}").context("the relay has gone")?;
        let name = order.split(' ').next().unwrap_or_default();
        self.wait_from(before, name)
    }

    /// Waits for an event, and gives its time.
    pub fn wait(&self, event: &str) -> Result<u64> {
        self.wait_from(0, event)
    }

    fn wait_from(&self, from: usize, event: &str) -> Result<u64> {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let named =
                |line: &&Value| line["event"].as_str().is_some_and(|e| e.starts_with(event));
            if let Some(line) = self.said().iter().skip(from).find(named) {
                return line["mono_ms"].as_u64().context("a time of the relay");
            }
            ensure!(Instant::now() < until, "the relay does not say \"{event}\"");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The newest account.
    pub fn account(&self) -> Option<Value> {
        self.said().into_iter().rev().find(|line| line["to_driver"].is_object())
    }

    /// Ends it, and gives its last account.
    pub fn stop(mut self) -> Result<Value> {
        let stdin = self.child.stdin.as_mut().context("the relay's input")?;
        writeln!(stdin, "stop").context("the relay has gone")?;
        self.wait("ended")?;
        self.account().context("the relay's account")
    }
}

impl Drop for Netem {
    fn drop(&mut self) {
        // Both fail only for a process that has already gone, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
