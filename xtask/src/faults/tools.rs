//! What breaks things: all of it is undone when dropped, and when the command is interrupted.

use crate::process::Process;
use crate::rig::Pilot;
use crate::setup;
use crate::stack::Options;
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Commands that undo what was done to this machine.
static UNDO: Mutex<Vec<Vec<String>>> = Mutex::new(Vec::new());

fn words(command: &[&str]) -> Vec<String> {
    command.iter().map(|&word| word.to_owned()).collect()
}

/// Runs a command, and fails with its words.
pub(super) fn said(command: &[&str]) -> Result<String> {
    let (program, args) = command.split_first().context("no command")?;
    let out = Command::new(program).args(args).output().with_context(|| (*program).to_owned())?;
    let error = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{}: {}", command.join(" "), error.trim());
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Something that is undone when this is dropped.
#[derive(Debug)]
struct Undo(Vec<String>);

impl Undo {
    fn by(command: &[&str]) -> Self {
        let command = words(command);
        UNDO.lock().unwrap_or_else(PoisonError::into_inner).push(command.clone());
        Self(command)
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        UNDO.lock().unwrap_or_else(PoisonError::into_inner).retain(|one| *one != self.0);
        let command: Vec<&str> = self.0.iter().map(String::as_str).collect();
        if let Err(error) = said(&command) {
            crate::failure(&error.context("undoing a fault"));
        }
    }
}

/// From here on, Ctrl-C leaves the machine as it was found.
pub(super) fn undo_on_interrupt() -> Result<()> {
    ctrlc::set_handler(|| {
        for command in UNDO.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            // One that fails must not keep the others from being undone.
            drop(said(&command));
        }
        // Our children are killed with us.
        std::process::exit(130);
    })?;
    Ok(())
}

/// The wall clock of an agent, by libfaketime.
#[derive(Debug)]
pub struct Clock(PathBuf);

impl Clock {
    /// Where the library is, or what is missing.
    pub fn library() -> Result<PathBuf> {
        let libraries = std::fs::read_dir("/usr/lib")?.flatten();
        let mut found = libraries.map(|arch| arch.path().join("faketime/libfaketimeMT.so.1"));
        found
            .find(|path| path.exists())
            .context("setting the agent's clock needs libfaketime (Debian: faketime)")
    }

    /// Lets the agent of a stack have a clock that can be set.
    pub fn of(options: &mut Options) -> Result<Self> {
        let clock = Self(options.data.join("clock"));
        clock.set("+0")?;
        // The wall clock alone: the monotonic one can't be set, on a robot neither.
        options.agent_env = vec![
            ("LD_PRELOAD", Self::library()?.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", clock.0.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        Ok(clock)
    }

    /// Seconds from the true time, with their sign.
    pub fn set(&self, offset: &str) -> Result<()> {
        Ok(std::fs::write(&self.0, offset)?)
    }
}

/// The network between a pilot's browser and the robot.
#[derive(Debug)]
pub struct Network {
    ports: String,
    /// Of the agent's connection to the message router, if that is cut too.
    router_ports: Vec<String>,
    cut: Option<Undo>,
}

impl Network {
    /// Whether it can be cut, or why not.
    pub fn can_be_cut() -> Result<()> {
        let tables = said(&["nft", "list", "tables"]);
        tables.map(drop).context("cutting the network needs root and nft")
    }

    /// Looks which ports the browser uses.
    pub fn of(pilot: &Pilot) -> Result<Self> {
        let pids = pilot.chromium_pids()?;
        let text = said(&["ss", "-uanpH"])?;
        let ports: Vec<&str> = text
            .lines()
            .filter(|line| pids.iter().any(|pid| line.contains(&format!("pid={pid},"))))
            .filter_map(|line| line.split_whitespace().nth(3)?.rsplit(':').next())
            .filter(|port| *port != "5353")
            .collect();
        ensure!(!ports.is_empty(), "the browser has no UDP socket: {text}");
        Ok(Self { ports: ports.join(", "), router_ports: Vec::new(), cut: None })
    }

    /// With it, the connection that `agent` has to the router on port `router`: from then on as if its address had
    /// changed, for connections that are made later are not concerned.
    pub fn and_router(mut self, agent: u32, router: u16) -> Result<Self> {
        let text = said(&["ss", "-tnpH", "dst", &format!("127.0.0.1:{router}")])?;
        let of_agent = text.lines().filter(|line| line.contains(&format!("pid={agent},")));
        let port =
            |line: &str| Some(line.split_whitespace().nth(3)?.rsplit(':').next()?.to_owned());
        self.router_ports = of_agent.filter_map(port).collect();
        ensure!(!self.router_ports.is_empty(), "the agent has no connection to the router: {text}");
        Ok(self)
    }

    /// Drops every packet from now on.
    pub fn cut(&mut self) -> Result<()> {
        let (table, ports) = (format!("longrein_fault_{}", std::process::id()), &self.ports);
        let router = match self.router_ports.join(", ") {
            none if none.is_empty() => none,
            ports => format!("tcp sport {{ {ports} }} drop\ntcp dport {{ {ports} }} drop\n"),
        };
        let rules = format!(
            "table inet {table} {{\nchain cut {{\ntype filter hook input priority 0;\n\
             udp sport {{ {ports} }} drop\nudp dport {{ {ports} }} drop\n{router}}}\n}}\n"
        );
        said(&["nft", &rules])?;
        self.cut = Some(Undo::by(&["nft", "delete", "table", "inet", &table]));
        Ok(())
    }

    /// Lets packets through again.
    pub fn mend(&mut self) {
        self.cut = None;
    }
}

const MIB: u64 = 1 << 20;

/// A disk of its own for the robot, small enough to be filled.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    _mounted: Undo,
}

impl Disk {
    /// Twice what the robot keeps free, and room for a short drive.
    const SIZE: &str = "size=600m";

    pub(super) fn mount(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let at = folder.display().to_string();
        said(&["mount", "-t", "tmpfs", "-o", Self::SIZE, "tmpfs", &at])
            .context("a disk for the robot that can be filled needs root")?;
        // Whoever still writes into it is cut off when they end.
        let _mounted = Undo::by(&["umount", "-l", &at]);
        Ok(Self { folder: folder.to_owned(), _mounted })
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }

    pub(super) fn fill(&self) -> Result<()> {
        let at = self.folder.display().to_string();
        let free = said(&["df", "--output=avail", "--block-size=1", &at])?;
        let free: u64 = free.lines().nth(1).context("df told nothing")?.trim().parse()?;
        // Most of it at once, and the rest, into which the recorder writes as well, until nothing fits any more.
        let (most, at) = (free.saturating_sub(MIB).to_string(), self.filler());
        said(&["fallocate", "--length", &most, &at.display().to_string()])?;
        let mut filler = File::options().append(true).open(at)?;
        let page = [0; 4_096];
        for _ in 0..free / 4_096 {
            match filler.write_all(&page) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error).context("filling the robot's disk"),
            }
        }
        bail!("the robot's disk took more than it had free")
    }

    pub(super) fn free(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.filler())?)
    }
}

/// Takes the CPU away from a process.
#[derive(Debug)]
pub(super) struct Hog(#[expect(dead_code, reason = "it runs until dropped")] Process);

impl Hog {
    /// Whether that can be done, or why not.
    pub(super) fn can_starve() -> Result<()> {
        let cores = std::thread::available_parallelism()?.get();
        ensure!(cores > 1, "starving the agent needs a second core for everything else");
        ensure!(setup::is_root(), "starving the agent needs root (a real-time busy loop)");
        Ok(())
    }

    /// Leaves `starved` one core, which a busy loop holds, and the simulator, which measures, the others.
    pub(super) fn start(options: &Options, starved: u32, spared: u32) -> Result<Self> {
        let last = std::thread::available_parallelism()?.get() - 1;
        said(&["taskset", "-a", "-p", "-c", &format!("1-{last}"), &spared.to_string()])?;
        said(&["taskset", "-a", "-p", "-c", "0", &starved.to_string()])?;
        let args = words(&["-c", "0", "chrt", "-f", "50", "sh", "-c", "while :; do :; done"]);
        let log = options.data.join("logs/hog.log");
        Process::start("busy loop", Path::new("taskset"), &args, log).map(Self)
    }

    /// Lets a process use all cores again.
    pub(super) fn release(pid: u32) -> Result<()> {
        let last = std::thread::available_parallelism()?.get() - 1;
        said(&["taskset", "-a", "-p", "-c", &format!("0-{last}"), &pid.to_string()]).map(drop)
    }
}

/// The file that breaks parts of the simulated robot.
#[derive(Debug)]
pub(super) struct Parts(PathBuf);

impl Parts {
    pub(super) fn of(options: &mut Options) -> Self {
        let path = options.data.join("faults");
        options.sim_args.extend(["--faults".to_owned(), path.display().to_string()]);
        Self(path)
    }

    pub(super) fn fail(&self, parts: &str) -> Result<()> {
        // In one step: half a word would be no part.
        let beside = self.0.with_extension("new");
        std::fs::write(&beside, parts)?;
        Ok(std::fs::rename(beside, &self.0)?)
    }
}

/// Whether a fault can be made here, or why not.
pub fn can(fault: super::Fault) -> Result<()> {
    use super::Fault;
    match fault {
        Fault::ClockAhead | Fault::ClockBack => Clock::library().map(drop),
        Fault::NetworkCut => Network::can_be_cut(),
        Fault::AgentStarved => Hog::can_starve(),
        Fault::DiskFull if !setup::is_root() => {
            bail!("a disk for the robot that can be filled needs root")
        }
        _ => Ok(()),
    }
}
