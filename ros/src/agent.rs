//! The robot-agent's face: sensors in, velocity commands out.

use crate::clock::wall_ns;
use crate::config::{Config, ConnectError};
use crate::intake::{Counters, Intake, Sources, TopicHealth, shared};
use crate::keeper::Kept;
use crate::kinematics::{Commands, Kinematics};
use crate::node::Ros;
use crate::outlet::{Outlet, PublishError, Sent, Tally, reconnecting};
use protocol::units::MonoNs;
use ros_msgs::ackermann_msgs::{AckermannDrive, AckermannDriveStamped};
use ros_msgs::builtin_interfaces::Time;
use ros_msgs::diagnostic_msgs::DiagnosticArray;
use ros_msgs::geometry_msgs::{Twist, TwistStamped};
use ros_msgs::nav_msgs::Odometry;
use ros_msgs::sensor_msgs::{
    BatteryState, Imu, JointState, LaserScan, MagneticField, NavSatFix, Range,
};
use ros_msgs::std_msgs::{Bool, Header, UInt8};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Sensors speak several hundred times a second, each in its own packet, and the drive loop looks at them every 10 ms.
const SENSOR_PAUSE: Duration = Duration::from_millis(10);

/// A message from the robot.
#[derive(Debug, Clone, PartialEq)]
pub enum Inbound {
    /// Pose and speed by the wheels.
    Odometry(Box<Odometry>),
    /// Inertial measurement.
    Imu(Box<Imu>),
    /// Magnetic field. Few robots have it; nothing that drives depends on it.
    Field(Box<MagneticField>),
    /// Position by satellites.
    Fix(Box<NavSatFix>),
    /// Battery.
    Battery(Box<BatteryState>),
    /// Laser sweep.
    Scan(Box<LaserScan>),
    /// Speeds of the wheels.
    WheelSpeeds(Box<JointState>),
    /// What drivers say about themselves. Nothing that drives depends on it.
    Diagnostics(Box<DiagnosticArray>),
    /// What the range sensor at this place of [`Config::ranges`] met.
    Range(usize, Box<Range>),
    /// Whether the bumper at this place of [`Config::bumpers`] is pressed.
    Bumper(usize, bool),
}

/// One connection. Dropped in this order: the reader's thread first, the node last.
struct Link {
    _intake: Intake,
    orders: Orders,
    lamp: Outlet<UInt8>,
    horn: Outlet<Bool>,
    ros: Ros,
}

/// The way of velocity commands to the base, in the form that it takes.
enum Orders {
    Twist(Outlet<Twist>),
    TwistStamped(Outlet<TwistStamped>),
    AckermannDriveStamped(Outlet<AckermannDriveStamped>),
}

impl Orders {
    fn new(ros: &mut Ros, config: &Config, tally: Arc<Tally>) -> Result<Self, ConnectError> {
        let topic = &config.topics.cmd_vel;
        Ok(match config.commands {
            Commands::Twist => Self::Twist(Outlet::new(ros, topic, tally)?),
            Commands::TwistStamped => Self::TwistStamped(Outlet::new(ros, topic, tally)?),
            Commands::AckermannDriveStamped => {
                Self::AckermannDriveStamped(Outlet::new(ros, topic, tally)?)
            }
        })
    }

    fn send(
        &self,
        linear_mps: f64,
        angular_radps: f64,
        steering_rad: f64,
    ) -> Result<(), PublishError> {
        let header =
            || Header { stamp: Time::from_ns(wall_ns()), frame_id: "base_link".to_owned() };
        let twist = Twist::planar(linear_mps, angular_radps);
        match self {
            Self::Twist(outlet) => outlet.send(twist),
            Self::TwistStamped(outlet) => outlet.send(TwistStamped { header: header(), twist }),
            Self::AckermannDriveStamped(outlet) => {
                // Zero for the rest: as quickly as the base can, for the safety core's governor has bounded it.
                let drive = AckermannDrive {
                    steering_angle: toward_zero(steering_rad),
                    speed: toward_zero(linear_mps),
                    ..AckermannDrive::default()
                };
                outlet.send(AckermannDriveStamped { header: header(), drive })
            }
        }
    }
}

/// The nearest number of half the bits that is no larger.
#[expect(clippy::cast_possible_truncation, reason = "what is lost is taken towards zero")]
fn toward_zero(number: f64) -> f32 {
    let near = number as f32;
    if f64::from(near).abs() <= number.abs() { near } else { f32::from_bits(near.to_bits() - 1) }
}

impl Link {
    fn connect(
        config: &Config,
        counters: Counters,
        tally: Arc<Tally>,
        deliver: impl FnMut(Inbound, MonoNs) + Send + 'static,
    ) -> Result<Self, ConnectError> {
        let mut ros = Ros::connect(config)?;
        let orders = Orders::new(&mut ros, config, tally)?;
        let lamp = Outlet::new(&mut ros, &config.topics.lamp, Arc::default())?;
        let horn = Outlet::new(&mut ros, &config.topics.horn, Arc::default())?;
        let mut sources = Sources::new(counters);
        sensors(&mut sources, &mut ros, config)?;
        Ok(Self { _intake: sources.start(SENSOR_PAUSE, deliver)?, orders, lamp, horn, ros })
    }
}

/// Subscribes to everything that a robot may say.
pub(crate) fn sensors(
    sources: &mut Sources<Inbound>,
    ros: &mut Ros,
    config: &Config,
) -> Result<(), ConnectError> {
    let topics = &config.topics;
    // Depths: what may come while the thread is held up for 80 ms; older readings are worth nothing.
    sources.add(ros, &topics.odometry, 4, |m| Inbound::Odometry(Box::new(m)))?;
    sources.add(ros, &topics.imu, 8, |m| Inbound::Imu(Box::new(m)))?;
    sources.add(ros, &topics.field, 8, |m| Inbound::Field(Box::new(m)))?;
    sources.add(ros, &topics.fix, 2, |m| Inbound::Fix(Box::new(m)))?;
    sources.add(ros, &topics.battery, 1, |m| Inbound::Battery(Box::new(m)))?;
    sources.add(ros, &topics.scan, 2, |m| Inbound::Scan(Box::new(m)))?;
    sources.add(ros, &topics.wheels, 4, |m| Inbound::WheelSpeeds(Box::new(m)))?;
    // Several publishers speak at once.
    sources.add(ros, &topics.diagnostics, 16, |m| Inbound::Diagnostics(Box::new(m)))?;
    for (n, topic) in config.ranges.iter().enumerate() {
        sources.add(ros, topic, 2, move |m| Inbound::Range(n, Box::new(m)))?;
    }
    for (n, bumper) in config.bumpers.iter().enumerate() {
        let inverted = bumper.inverted;
        let wrap = move |m: Bool| Inbound::Bumper(n, m.data != inverted);
        if bumper.on_change {
            sources.add_reliable(ros, &bumper.topic, 4, wrap)?;
        } else {
            sources.add(ros, &bumper.topic, 4, wrap)?;
        }
    }
    Ok(())
}

/// The connection to a base and its sensors. Dropping it ends the connection.
pub struct Base {
    link: Kept<Link>,
    counters: Counters,
    tally: Arc<Tally>,
    cmd_vel_topic: String,
    lamp_topic: String,
    horn_topic: String,
    kinematics: Kinematics,
    /// Where the wheels were steered last, as the bits of rad: at rest they stay there.
    steered: AtomicU64,
}

impl Base {
    /// Joins the domain and starts to read. `deliver` gets each message with its arrival on a thread of its own,
    /// one at a time; while it runs nothing else is taken, so it must hand over and return (a bounded channel, a
    /// slot), never wait.
    ///
    /// A base or a sensor that is not there is no error: see [`Base::health`]. After a freeze of the process the
    /// connection is made anew, which takes a few hundred milliseconds.
    pub fn connect(
        config: &Config,
        deliver: impl FnMut(Inbound, MonoNs) + Send + 'static,
    ) -> Result<Self, ConnectError> {
        let (counters, tally) = (Counters::default(), Arc::new(Tally::default()));
        let (kept_counters, kept_tally) = (counters.clone(), Arc::clone(&tally));
        let (config, deliver) = (config.clone(), shared(deliver));
        let cmd_vel_topic = config.topics.cmd_vel.clone();
        let lamp_topic = config.topics.lamp.clone();
        let horn_topic = config.topics.horn.clone();
        let kinematics = config.kinematics;
        let link = Kept::start(move || {
            let (counters, tally) = (kept_counters.clone(), Arc::clone(&kept_tally));
            Link::connect(&config, counters, tally, deliver())
        })?;
        let steered = AtomicU64::new(0.0_f64.to_bits());
        Ok(Self {
            link,
            counters,
            tally,
            cmd_vel_topic,
            lamp_topic,
            horn_topic,
            kinematics,
            steered,
        })
    }

    /// What the base can do.
    pub fn kinematics(&self) -> Kinematics {
        self.kinematics
    }

    /// Publishes a velocity command: speed forward, turn rate to the left, of which the base is told what it can do
    /// ([`Kinematics::limit`]). Never waits for the network or for a
    /// subscriber, so the drive loop may call it; an error means that DDS did not take it, and the base will
    /// time out.
    pub fn command(&self, linear_mps: f64, angular_radps: f64) -> Result<(), PublishError> {
        let Some(link) = self.link.get() else {
            self.tally.failed();
            return Err(reconnecting(&self.cmd_vel_topic));
        };
        let (linear, angular) = self.kinematics.limit(linear_mps, angular_radps);
        let steering_rad = match self.kinematics.steering_rad(linear, angular) {
            Some(steering_rad) => {
                self.steered.store(steering_rad.to_bits(), Ordering::Relaxed);
                steering_rad
            }
            None => f64::from_bits(self.steered.load(Ordering::Relaxed)),
        };
        link.orders.send(linear, angular, steering_rad)
    }

    /// Sets the lamp: 0 is off. Never waits. A lamp that joins later is not told.
    pub fn lamp(&self, level: u8) -> Result<(), PublishError> {
        let link = self.link.get().ok_or_else(|| reconnecting(&self.lamp_topic))?;
        link.lamp.send(UInt8 { data: level })
    }

    /// How many subscribers of the lamp's topic are known. None: the robot has no lamp, or its driver does not
    /// run. Walks the discovery data.
    pub fn lamp_subscribers(&self) -> usize {
        self.link.get().map_or(0, |link| link.ros.subscriptions_to(&self.lamp_topic))
    }

    /// Has the horn sound, or be silent. Never waits.
    pub fn horn(&self, sounds: bool) -> Result<(), PublishError> {
        let link = self.link.get().ok_or_else(|| reconnecting(&self.horn_topic))?;
        link.horn.send(Bool { data: sounds })
    }

    /// How many subscribers of the horn's topic are known. None: the robot has no horn, or its driver does not run.
    /// Walks the discovery data.
    pub fn horn_subscribers(&self) -> usize {
        self.link.get().map_or(0, |link| link.ros.subscriptions_to(&self.horn_topic))
    }

    /// What became of the commands.
    pub fn commands_sent(&self) -> Sent {
        self.tally.sent()
    }

    /// How many subscribers of the commands are known. None: the base driver is not running, or in another
    /// domain. Walks the discovery data: for status pages, not for the drive loop.
    pub fn command_subscribers(&self) -> usize {
        self.link.get().map_or(0, |link| link.ros.subscriptions_to(&self.cmd_vel_topic))
    }

    /// Each subscribed topic's count and newest arrival, to tell which sensor is silent. Walks the discovery
    /// data: once a second, not in the drive loop.
    pub fn health(&self) -> Vec<TopicHealth> {
        let link = self.link.get();
        self.counters.health(link.as_ref().map(|link| &link.ros))
    }
}
