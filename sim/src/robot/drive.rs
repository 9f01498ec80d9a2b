//! The real-time loop: 200 steps a second, a round of sensors fifty times a second.

use super::Shared;
use super::autonomy::{self, Eyes};
use super::clock;
use super::drawn::Replay;
use super::faults::{Part, Watch};
use super::options::Settings;
use super::records::{CommandLine, CommandLog, Records, Stats, TraceLine};
use anyhow::Context;
use ros_bridge::base::{Order, RobotSide};
use ros_bridge::{BumperTopic, Config};
use sim::autonomy::Seen;
use sim::sensors::Sensors;
use sim::world::STEP_S;
use sim::{Command, Scene, World};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const STEP_NS: u64 = 5_000_000;
/// How often the loop wakes: two steps at a time, which is also the resolution of the trace.
const WAKE_NS: u64 = 2 * STEP_NS;
/// Steps between two rounds of sensors: 50 Hz.
const ROUND_STEPS: u64 = 4;
/// A horn that nobody tells to go on falls silent after this.
const HORN_NS: u64 = 500_000_000;
/// A loop that was held up for longer than this does not catch up: the world stood still meanwhile.
const CATCH_UP_NS: u64 = 500_000_000;
/// Commands that wait for their step. More than a loop that catches up can need; the oldest give way.
const WAITING_MAX: usize = 64;
/// Slower than this is at rest, in m/s.
const REST_MPS: f64 = 0.005;

/// A command and when it arrived.
#[derive(Debug, Clone, Copy)]
struct Arrived {
    at_ns: u64,
    command: Command,
}

type Waiting = Arc<Mutex<VecDeque<Arrived>>>;

struct Drive<'a> {
    world: World,
    sensors: Sensors,
    ros: RobotSide,
    waiting: Waiting,
    shared: &'a Shared,
    records: Records,
    command_log: Option<Arc<CommandLog>>,
    faults: Option<Watch>,
    /// What the cameras see instead of the world.
    replay: Option<Replay>,
    /// What the autonomy sees, if there is one.
    eyes: Option<Eyes>,
    last_command: Option<Arrived>,
    commands: u64,
    /// Level of the lamp as it was last set.
    lamp: Arc<AtomicU8>,
    horn: Arc<Horn>,
    at_rest_since_ns: Option<u64>,
    lost_ns: u64,
    /// Wall clock less monotonic clock, for header stamps.
    wall_offset_ns: u64,
    publish_failed: bool,
}

/// A horn that falls silent when nobody tells it to go on.
#[derive(Debug, Default)]
struct Horn {
    /// Until when it sounds, monotonic ns.
    until_ns: AtomicU64,
    /// How often it began.
    count: AtomicU64,
}

impl Horn {
    fn tell(&self, sounds: bool, now_ns: u64) {
        let begins = sounds && !self.sounds(now_ns);
        self.count.fetch_add(u64::from(begins), Ordering::Relaxed);
        let until_ns = if sounds { now_ns + HORN_NS } else { 0 };
        self.until_ns.store(until_ns, Ordering::Relaxed);
    }

    fn sounds(&self, now_ns: u64) -> bool {
        now_ns < self.until_ns.load(Ordering::Relaxed)
    }
}

/// Runs the robot until it is told to stop.
pub(crate) fn run(settings: &Settings, world: World, shared: &Shared) -> anyhow::Result<()> {
    let records = Records::open(settings.stats.as_deref(), settings.trace.as_deref())?;
    let command_log =
        settings.command_log.as_deref().map(CommandLog::create).transpose()?.map(Arc::new);
    let waiting = Waiting::default();
    let log = command_log.clone();
    let incoming = Arc::clone(&waiting);
    let config = config(settings);
    let kinematics = settings.kinematics;
    let lamp = Arc::new(AtomicU8::new(0));
    let lamp_set = Arc::clone(&lamp);
    let horn = Arc::new(Horn::default());
    let horn_told = Arc::clone(&horn);
    let ros = RobotSide::connect_equipped(&config, move |order, arrived| {
        let twist = match order {
            Order::Velocity(twist) => twist,
            Order::Lamp(level) => return lamp_set.store(level, Ordering::Relaxed),
            Order::Horn(sounds) => return horn_told.tell(sounds, arrived.0),
        };
        let command = Command { linear_mps: twist.linear.x, angular_radps: twist.angular.z };
        if let Some(log) = &log {
            note(log, arrived.0, command);
        }
        // A car obeys as far as it can.
        let (linear_mps, angular_radps) =
            kinematics.limit(command.linear_mps, command.angular_radps);
        let command = Command { linear_mps, angular_radps };
        let mut queue = incoming.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() >= WAITING_MAX {
            queue.pop_front();
        }
        queue.push_back(Arrived { at_ns: arrived.0, command });
    })
    .context("could not join ROS 2")?;
    let eyes = settings.autonomy.then(Eyes::default);
    let served = eyes.clone().map(|eyes| autonomy::start(settings.ros_domain, eyes));
    let _autonomy = served.transpose()?;
    let now = clock::mono_ns();
    let mut drive = Drive {
        eyes,
        sensors: Sensors::new(settings.seed),
        world,
        ros,
        waiting,
        shared,
        records,
        command_log,
        faults: settings.faults.clone().map(Watch::new),
        replay: settings.replay.clone().map(Replay::of),
        last_command: None,
        commands: 0,
        lamp,
        horn,
        at_rest_since_ns: Some(now),
        lost_ns: 0,
        wall_offset_ns: 0,
        publish_failed: false,
    };
    drive.write_stats(now)?;
    // The cameras' threads run already: they draw beside the base, not before it.
    ros_bridge::priority::raise();
    tracing::info!(seed = settings.seed, domain = settings.ros_domain, "ready");
    drive.pace(now)
}

/// The robot as ROS sees it.
fn config(settings: &Settings) -> Config {
    let bumper =
        |topic: &str| BumperTopic { topic: topic.to_owned(), inverted: false, on_change: false };
    Config {
        commands: settings.commands,
        kinematics: settings.kinematics,
        ranges: ["/range/front", "/range/rear", "/cliff/front"].map(str::to_owned).to_vec(),
        bumpers: ["/bumper/front", "/bumper/rear"].map(bumper).to_vec(),
        ..Config::new(settings.ros_domain, "sim_robot")
    }
}

/// Adds a command that arrived at `at_ns` to the log.
fn note(log: &CommandLog, at_ns: u64, command: Command) {
    let since = clock::mono_ns().saturating_sub(at_ns);
    let line = CommandLine {
        wall_us: clock::wall_ns().saturating_sub(since) / 1000,
        mono_ms: (at_ns / 1000) as f64 * 1e-3,
        linear: command.linear_mps,
        angular: command.angular_radps,
    };
    if let Err(error) = log.add(&line) {
        // The next flush fails as well, and that ends the program.
        tracing::warn!("a command was not logged: {error:#}");
    }
}

/// Lets the autonomy see what is published.
fn see(eyes: Option<&Eyes>, show: impl FnOnce(&mut Seen)) {
    if let Some(eyes) = eyes {
        show(&mut eyes.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drive<'_> {
    fn pace(&mut self, start_ns: u64) -> anyhow::Result<()> {
        let mut next = start_ns + STEP_NS;
        while !self.shared.stopping() {
            clock::sleep_until(next + WAKE_NS - STEP_NS);
            let now = clock::mono_ns();
            self.wall_offset_ns = clock::wall_ns().saturating_sub(now);
            if now.saturating_sub(next) > CATCH_UP_NS {
                let lost = now - next;
                // The watchdog runs on real time, held up or not.
                self.world.base.command_age_s += lost as f64 * 1e-9;
                self.lost_ns += lost;
                next = now;
                tracing::warn!(lost_ms = lost / 1_000_000, "held up; the world stood still");
            }
            while next <= now {
                self.step(next)?;
                next += STEP_NS;
            }
            let mut scene = Scene::of(&self.world);
            if let Some(replay) = &mut self.replay {
                replay.show(clock::wall_ns() / 1000, &mut scene);
            }
            self.shared.show(scene);
        }
        self.flush_commands()?;
        self.write_stats(clock::mono_ns())
    }

    /// One step, which ends at `at_ns`, with whatever is due after it.
    fn step(&mut self, at_ns: u64) -> anyhow::Result<()> {
        if let Some(watch) = self.faults.as_mut().filter(|_| self.world.steps.is_multiple_of(2)) {
            watch.look(&self.shared.faults);
        }
        let command = self.newest_command(at_ns);
        self.world.step(STEP_S, command);
        self.sensors.step(STEP_S, &self.world);
        if self.world.speed_mps.abs() > REST_MPS {
            self.at_rest_since_ns = None;
        } else if self.at_rest_since_ns.is_none() {
            self.at_rest_since_ns = Some(at_ns);
        }
        let n = self.world.steps;
        self.publish(n, at_ns + self.wall_offset_ns);
        if n.is_multiple_of(2) {
            let newest = self.last_command.map_or_else(Command::default, |c| c.command);
            let age = self.last_command.map(|c| at_ns.saturating_sub(c.at_ns) / 1_000_000);
            self.records.trace(&TraceLine {
                mono_ms: at_ns / 1_000_000,
                speed_mps: self.world.speed_mps,
                turn_radps: self.world.base.turn_radps,
                cmd_linear: newest.linear_mps,
                cmd_angular: newest.angular_radps,
                cmd_age_ms: age,
            })?;
        }
        if n.is_multiple_of(10) {
            self.flush_commands()?;
        }
        if n.is_multiple_of(40) {
            self.write_stats(at_ns)?;
        }
        Ok(())
    }

    /// The newest command that had arrived by `at_ns`; older ones are overtaken.
    fn newest_command(&mut self, at_ns: u64) -> Option<Command> {
        let mut newest = None;
        let mut queue = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shared.faults.broken(Part::Base) {
            queue.clear();
            return None;
        }
        while queue.front().is_some_and(|c| c.at_ns <= at_ns) {
            newest = queue.pop_front();
            self.commands += 1;
        }
        if let Some(arrived) = newest {
            self.last_command = Some(arrived);
        }
        newest.map(|c| c.command)
    }

    /// Sends what is due after step `n`. As the board of a small base does: fifty times a second all that is new, in one go,
    /// so that whoever listens wakes once for it.
    fn publish(&mut self, n: u64, stamp_ns: u64) {
        if !n.is_multiple_of(ROUND_STEPS) {
            return;
        }
        let round = n / ROUND_STEPS;
        let (world, sensors, ros) = (&self.world, &mut self.sensors, &self.ros);
        let works = |part| !self.shared.faults.broken(part);
        let base = works(Part::Base);
        let mut results = Vec::new();
        if works(Part::Imu) {
            results.push(ros.publish_imu(sensors.imu(world, stamp_ns)));
        }
        if base && works(Part::Odometry) {
            let odometry = sensors.odometry(world, stamp_ns);
            see(self.eyes.as_ref(), |seen| seen.odometry = odometry.clone());
            results.push(ros.publish_odometry(odometry));
        }
        if round.is_multiple_of(2) {
            results.push(ros.publish_range(2, sensors.drop(world, stamp_ns)));
        } else if base {
            results.push(ros.publish_wheels(sensors.wheels(world, stamp_ns)));
        }
        match round % 5 {
            0 => results.push(ros.publish_range(0, sensors.cone(world, false, stamp_ns))),
            1 => {
                for (n, pressed) in world.bumpers().into_iter().enumerate() {
                    results.push(ros.publish_bumper(n, pressed));
                }
            }
            2 if works(Part::Field) => {
                results.push(ros.publish_field(sensors.field(world, stamp_ns)));
            }
            3 if works(Part::Scan) => {
                let scan = sensors.scan(world, stamp_ns);
                see(self.eyes.as_ref(), |seen| seen.scan = scan.clone());
                results.push(ros.publish_scan(scan));
            }
            4 => results.push(ros.publish_range(1, sensors.cone(world, true, stamp_ns))),
            _ => {}
        }
        if round % 10 == 4 && works(Part::Fix) {
            results.push(ros.publish_fix(sensors.fix(world, 0.2, stamp_ns)));
        }
        if round % 50 == 6 && base && works(Part::Battery) {
            results.push(ros.publish_battery(sensors.battery(world, stamp_ns)));
        }
        if round % 50 == 12 {
            results.push(ros.publish_diagnostics(Sensors::diagnostics(world, stamp_ns)));
        }
        let failed = results.into_iter().find_map(Result::err);
        if let (Some(error), false) = (&failed, self.publish_failed) {
            // Said once for a run of failures; sensors are sent again anyway.
            tracing::warn!("a sensor message was not sent: {error}");
        }
        self.publish_failed = failed.is_some();
    }

    fn flush_commands(&self) -> anyhow::Result<()> {
        self.command_log.as_ref().map_or(Ok(()), |log| log.flush())
    }

    fn write_stats(&self, at_ns: u64) -> anyhow::Result<()> {
        let (w, position) = (&self.world, self.world.position());
        let frames = self.shared.frames().clone();
        self.records.stats(&Stats {
            mono_ms: at_ns / 1_000_000,
            distance_m: w.distance_m,
            collisions: w.collisions,
            kerb_bumps: w.kerb_bumps,
            speed_mps: w.speed_mps,
            max_speed: w.speed_top_mps,
            x: w.pose.x,
            y: w.pose.y,
            heading: w.pose.heading_rad,
            lat_deg: position.lat_deg,
            lon_deg: position.lon_deg,
            at_rest_since_ms: self.at_rest_since_ns.map(|ns| ns / 1_000_000),
            last_cmd_vel_ms: self.last_command.map(|c| c.at_ns / 1_000_000),
            commands: self.commands,
            lamp: self.lamp.load(Ordering::Relaxed),
            horn: self.horn.sounds(at_ns),
            horn_count: self.horn.count.load(Ordering::Relaxed),
            cmd_timeouts: w.base.timeouts,
            battery: w.charge(),
            front_frames: frames.front.count,
            rear_frames: frames.rear.count,
            render_ms_p50: frames.front.draw_ms_p50(),
            rear_render_ms_p50: frames.rear.draw_ms_p50(),
            lost_ms: self.lost_ns / 1_000_000,
        })
    }
}
