//! One fault: a robot at speed, what breaks, how it comes to rest, what its driver saw, what became of the episode.

use super::kind::{Design, Fault};
use super::tools::{self, Clock, Disk, Hog, Network, Parts};
use crate::fleet::items;
use crate::process::wait_for;
use crate::progress;
use crate::rig::{Pilot, Rig, Stop, Told, fresh, mono_ms, stop_in};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// How long a robot that drives on is watched.
const DRIVES_ON_MS: u64 = 4_000;
/// Slower than this it does not drive on, m/s.
const DRIVES_ON_MPS: f64 = 1.0;
/// How long a robot that stood is watched after everything was mended: with the keys held it must not move.
const STAYS_MS: u64 = 2_000;
/// Faster than this it moves, m/s.
const STAYS_MPS: f64 = 0.02;
/// The fault must strike at top speed, m/s.
const SPEED_MPS_MIN: f64 = 1.3;
/// How long the robot may take to be free, to seal, and to send.
const EPISODE_S: u64 = 90;
/// A fence far around the simulated place, and a robot that soon stops when it does not know where it is.
const FENCE: &str = "[policy.geofence]\n\
    keep_in = [[[52.517, 13.404], [52.517, 13.415], [52.524, 13.415], [52.524, 13.404]]]\n\
    position_age_ms_max = 1000\nunknown_ms_max = 1000\n";

/// A stack with a robot at top speed.
#[derive(Debug)]
pub struct Scene {
    /// What breaks.
    pub fault: Fault,
    /// Who drives; nobody after the browser was killed.
    pub pilot: Option<Pilot>,
    /// The stack.
    pub rig: Rig,
    clock: Option<Clock>,
    disk: Option<Disk>,
    hog: Option<Hog>,
    network: Option<Network>,
    parts: Parts,
    struck: Moment,
}

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, Default)]
struct Moment {
    mono_ms: u64,
    wall_ms: f64,
}

impl Moment {
    fn now() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { mono_ms: mono_ms(), wall_ms: wall.as_secs_f64() * 1e3 }
    }
}

/// What came of a fault.
#[derive(Debug)]
pub struct Outcome {
    /// What broke.
    pub fault: Fault,
    /// How the robot came to rest; nothing when it drove on.
    pub stop: Option<Stop>,
    /// The fastest that it went after it had stood and everything was mended, its driver still holding the keys, m/s.
    pub moved_again_mps: f64,
    /// What the page told its driver from the fault on.
    pub saw: Vec<Told>,
    /// What it told before.
    pub saw_before: Option<Told>,
    /// When the fault struck, wall clock, ms.
    pub wall_ms: f64,
    /// Every episode was accepted by the fleet, and verifies.
    pub episode_ok: bool,
}

impl Scene {
    /// Starts everything, and waits until the robot goes at top speed.
    pub fn at_speed(fault: Fault) -> Result<Self> {
        let mut options = fresh(&format!("fault-{}", fault.name()))?;
        // Nobody walks in front of the robot: it stops for the fault or not at all.
        options.sim_args = vec!["--no-people".to_owned()];
        let parts = Parts::of(&mut options);
        let clock = match fault {
            Fault::ClockAhead | Fault::ClockBack => Some(Clock::of(&mut options)?),
            _ => None,
        };
        let disk = match fault {
            Fault::DiskFull => Some(Disk::mount(&options.data.join("robot"))?),
            _ => None,
        };
        if fault == Fault::GnssUnpluggedInGeofence {
            options.robot_toml = FENCE.to_owned();
        }
        let rig = Rig::start_on(options)?;
        let pilot = rig.holding_pilot()?;
        rig.wait_for_speed(1.4)?;
        let network = match fault {
            Fault::NetworkCut => Some(Network::of(&pilot)?),
            _ => None,
        };
        let struck = Moment::default();
        Ok(Self { fault, pilot: Some(pilot), rig, clock, disk, hog: None, network, parts, struck })
    }

    /// Breaks it.
    pub fn strike(&mut self) -> Result<()> {
        if self.fault == Fault::NetworkCut {
            self.turn()?;
        }
        self.struck = Moment::now();
        let stack = &mut self.rig.stack;
        match self.fault {
            Fault::AgentKilled => stack.agent.kill(),
            Fault::AgentFrozen => stack.agent.signal("STOP")?,
            Fault::AgentStarved => {
                let sim = stack.sim.as_ref().context("no simulator")?.pid();
                self.hog = Some(Hog::start(&stack.options, stack.agent.pid(), sim)?);
            }
            Fault::DiskFull => self.disk.as_ref().context("no disk")?.fill()?,
            Fault::CameraUnplugged => self.parts.fail("front-camera")?,
            Fault::GnssUnplugged | Fault::GnssUnpluggedInGeofence => self.parts.fail("fix")?,
            Fault::ScannerUnplugged => self.parts.fail("scan")?,
            Fault::OdometrySilent => self.parts.fail("odometry")?,
            Fault::BaseLost => self.parts.fail("base")?,
            Fault::ClockAhead => self.clock()?.set("+3600")?,
            Fault::ClockBack => self.clock()?.set("-3600")?,
            Fault::NetworkCut => self.network.as_mut().context("no network")?.cut()?,
            Fault::RouterRestarted => stack.restart_fleet()?,
            Fault::GatewayKilled => stack.gateway.kill(),
            Fault::BrowserFrozen => self.pilot()?.signal_chromium("STOP")?,
            Fault::BrowserKilled => self.pilot()?.signal_chromium("KILL")?,
        }
        Ok(())
    }

    /// Waits until the robot is in the middle of a turn.
    fn turn(&mut self) -> Result<()> {
        self.pilot.as_mut().context("no pilot")?.hold("KeyW KeyA")?;
        wait_for("a robot that turns", 10, || {
            let recent = self.rig.trace_since(mono_ms().saturating_sub(200))?;
            Ok(recent.last().is_some_and(|line| line.turn_radps.abs() > 0.4).then_some(()))
        })
    }

    fn clock(&self) -> Result<&Clock> {
        self.clock.as_ref().context("no clock to set")
    }

    fn pilot(&self) -> Result<&Pilot> {
        self.pilot.as_ref().context("no pilot")
    }

    /// How the robot came to rest; nothing when it drives on and may.
    pub fn watch(&self) -> Result<Option<Stop>> {
        let at = self.struck.mono_ms;
        if let Design::Stops { .. } = self.fault.design() {
            return self.rig.stop_after(at).map(Some);
        }
        let since = (mono_ms() - at) + DRIVES_ON_MS;
        let trace = self.rig.trace_of(at, since)?;
        let slowest = trace.iter().map(|line| line.speed_mps).fold(f64::INFINITY, f64::min);
        if slowest >= DRIVES_ON_MPS {
            return Ok(None);
        }
        progress(&format!("it went as slow as {slowest:.2} m/s"));
        match (stop_in(&trace, at), self.fault.design()) {
            (None, Design::DrivesOn) => bail!("it slowed down and did not stop"),
            (stop, _) => Ok(stop),
        }
    }

    /// Puts everything right again.
    pub fn mend(&mut self) -> Result<()> {
        match self.fault {
            Fault::AgentKilled => {
                self.rig.stack.agent = self.rig.stack.options.start_agent()?;
            }
            Fault::AgentFrozen => self.rig.stack.agent.signal("CONT")?,
            Fault::AgentStarved => {
                self.hog = None;
                Hog::release(self.rig.stack.agent.pid())?;
            }
            Fault::DiskFull => self.disk.as_ref().context("no disk")?.free()?,
            Fault::ClockAhead | Fault::ClockBack => self.clock()?.set("+0")?,
            Fault::NetworkCut => self.network.as_mut().context("no network")?.mend(),
            Fault::GatewayKilled => self.rig.stack.restart_gateway()?,
            Fault::BrowserFrozen => self.pilot()?.signal_chromium("CONT")?,
            _ => self.parts.fail("")?,
        }
        Ok(())
    }

    /// The whole of it.
    pub fn play(mut self) -> Result<Outcome> {
        self.strike()?;
        let stop = self.watch()?;
        self.mend()?;
        let mended = mono_ms();
        let after = self.rig.trace_of(mended, STAYS_MS)?;
        let fastest = after.iter().map(|line| line.speed_mps.abs()).fold(0.0, f64::max);
        let told = self.pilot.take().map_or_else(Vec::new, |pilot| pilot.told());
        let (saw_before, saw): (Vec<_>, Vec<_>) =
            told.into_iter().partition(|told| told.at_ms < self.struck.wall_ms);
        Ok(Outcome {
            fault: self.fault,
            stop,
            moved_again_mps: if stop.is_some() { fastest } else { 0.0 },
            saw,
            saw_before: saw_before.into_iter().last(),
            wall_ms: self.struck.wall_ms,
            episode_ok: self.episodes_ok()?,
        })
    }

    /// Whether the fleet accepts every episode, and every one verifies here as well.
    fn episodes_ok(&self) -> Result<bool> {
        let episodes = wait_for("every episode accepted", EPISODE_S, || {
            let episodes = self.rig.stack.operator.get("/v1/episodes")?;
            let all = items(&episodes).to_vec();
            let settled = !all.is_empty() && all.iter().all(|one| is(one, "accepted"));
            ensure!(!all.iter().any(|one| is(one, "refused")), "refused: {episodes}");
            Ok(settled.then_some(all))
        });
        let episodes = match episodes {
            Ok(episodes) => episodes,
            Err(error) => {
                progress(&format!("{error:#}"));
                return Ok(false);
            }
        };
        for episode in episodes {
            let id = episode["id"].as_str().context("an episode without an id")?;
            let path = self.rig.data().join("fleet/episodes").join(id);
            let verified = Command::new(self.rig.program("episode"))
                .arg("verify")
                .arg(path)
                .stdout(Stdio::null())
                .status()?;
            if !verified.success() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn is(episode: &Value, state: &str) -> bool {
    episode["state"] == state
}

/// Makes a fault, from a fresh stack to the last episode; an error says why it could not be made.
pub fn inflict(fault: Fault) -> Result<Outcome> {
    tools::can(fault)?;
    Scene::at_speed(fault)?.play()
}

impl Outcome {
    /// What is not as the design says; nothing when all is.
    pub fn misses(&self) -> Vec<String> {
        let mut misses = Vec::new();
        match (self.fault.design(), self.stop) {
            (Design::DrivesOn | Design::MayStop { .. }, None) => {}
            (Design::DrivesOn, Some(_)) => misses.push("it stopped, and need not".to_owned()),
            (Design::Stops { .. }, None) => misses.push("it did not stop".to_owned()),
            (
                Design::Stops { commanded_ms_max, at_rest_ms_max }
                | Design::MayStop { commanded_ms_max, at_rest_ms_max },
                Some(stop),
            ) => {
                if stop.speed_mps < SPEED_MPS_MIN {
                    misses.push(format!("it went only {:.2} m/s at the fault", stop.speed_mps));
                }
                if stop.commanded_ms > commanded_ms_max {
                    misses.push(format!(
                        "the stop was commanded later than after {commanded_ms_max} ms"
                    ));
                }
                if stop.at_rest_ms > at_rest_ms_max {
                    misses.push(format!("it stood later than after {at_rest_ms_max} ms"));
                }
            }
        }
        if self.moved_again_mps >= STAYS_MPS {
            misses.push(format!("it moved again, at {:.2} m/s", self.moved_again_mps));
        }
        if !self.episode_ok {
            misses.push("an episode was not accepted, or does not verify".to_owned());
        }
        misses
    }

    /// What the page told its driver of the fault: the first that is not about driving, or the last if all is.
    pub fn pilot_saw(&self) -> Option<&Told> {
        let grave = self.saw.iter().find(|told| told.gravity == "stop" || told.gravity == "hold");
        match self.stop {
            Some(_) => grave,
            None => grave.or(self.saw.last()).or(self.saw_before.as_ref()),
        }
    }

    /// As a program reads it.
    pub fn json(&self) -> Value {
        let after = |told: &Told| (told.at_ms - self.wall_ms).round();
        let saw = self.pilot_saw();
        let entry = |told: &Told| {
            json!({
                "after_ms": after(told), "state": told.state, "reason": told.reason,
                "words": format!("{} {}", told.title, told.detail).trim(),
            })
        };
        let all: Vec<_> = self.saw.iter().map(entry).collect();
        let bound = match self.fault.design() {
            Design::DrivesOn => Value::Null,
            Design::Stops { commanded_ms_max, at_rest_ms_max }
            | Design::MayStop { commanded_ms_max, at_rest_ms_max } => {
                json!({"commanded_stop_ms": commanded_ms_max, "at_rest_ms": at_rest_ms_max})
            }
        };
        let misses = self.misses();
        json!({
            "fault": self.fault.name(),
            "words": self.fault.words(),
            "commanded_stop_ms": self.stop.map(|stop| stop.commanded_ms),
            "at_rest_ms": self.stop.map(|stop| stop.at_rest_ms),
            "speed_mps": self.stop.map(|stop| stop.speed_mps),
            "drives_on": self.stop.is_none(),
            "pilot_saw": saw.map(|told| told.title.clone()),
            "pilot_saw_reason": saw.and_then(|told| told.reason.clone()),
            "pilot_saw_after_ms": saw.map(after).filter(|after| *after >= 0.0),
            "pilot_saw_all": all,
            "episode_ok": self.episode_ok,
            "bound": bound,
            "misses": misses,
            "holds": misses.is_empty(),
        })
    }
}
