//! The robot-agent's face: sensors in, velocity commands out.

use crate::config::{Config, ConnectError, Topics};
use crate::intake::{Counters, Intake, Sources, TopicHealth, shared};
use crate::keeper::Kept;
use crate::node::Ros;
use crate::outlet::{Outlet, PublishError, Sent, Tally, reconnecting};
use protocol::units::MonoNs;
use ros_msgs::geometry_msgs::Twist;
use ros_msgs::nav_msgs::Odometry;
use ros_msgs::sensor_msgs::{BatteryState, Imu, JointState, LaserScan, MagneticField, NavSatFix};
use ros_msgs::std_msgs::UInt8;
use std::sync::Arc;
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
}

/// One connection. Dropped in this order: the reader's thread first, the node last.
struct Link {
    _intake: Intake,
    cmd_vel: Outlet<Twist>,
    lamp: Outlet<UInt8>,
    ros: Ros,
}

impl Link {
    fn connect(
        config: &Config,
        counters: Counters,
        tally: Arc<Tally>,
        deliver: impl FnMut(Inbound, MonoNs) + Send + 'static,
    ) -> Result<Self, ConnectError> {
        let mut ros = Ros::connect(config)?;
        let topics = &config.topics;
        let cmd_vel = Outlet::new(&mut ros, &topics.cmd_vel, tally)?;
        let lamp = Outlet::new(&mut ros, &topics.lamp, Arc::default())?;
        let mut sources = Sources::new(counters);
        sensors(&mut sources, &mut ros, topics)?;
        Ok(Self { _intake: sources.start(SENSOR_PAUSE, deliver)?, cmd_vel, lamp, ros })
    }
}

/// Subscribes to everything that a robot may say.
pub(crate) fn sensors(
    sources: &mut Sources<Inbound>,
    ros: &mut Ros,
    topics: &Topics,
) -> Result<(), ConnectError> {
    // Depths: what may come while the thread is held up for 80 ms; older readings are worth nothing.
    sources.add(ros, &topics.odometry, 4, |m| Inbound::Odometry(Box::new(m)))?;
    sources.add(ros, &topics.imu, 8, |m| Inbound::Imu(Box::new(m)))?;
    sources.add(ros, &topics.field, 8, |m| Inbound::Field(Box::new(m)))?;
    sources.add(ros, &topics.fix, 2, |m| Inbound::Fix(Box::new(m)))?;
    sources.add(ros, &topics.battery, 1, |m| Inbound::Battery(Box::new(m)))?;
    sources.add(ros, &topics.scan, 2, |m| Inbound::Scan(Box::new(m)))?;
    sources.add(ros, &topics.wheels, 4, |m| Inbound::WheelSpeeds(Box::new(m)))
}

/// The connection to a base and its sensors. Dropping it ends the connection.
pub struct Base {
    link: Kept<Link>,
    counters: Counters,
    tally: Arc<Tally>,
    cmd_vel_topic: String,
    lamp_topic: String,
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
        let link = Kept::start(move || {
            let (counters, tally) = (kept_counters.clone(), Arc::clone(&kept_tally));
            Link::connect(&config, counters, tally, deliver())
        })?;
        Ok(Self { link, counters, tally, cmd_vel_topic, lamp_topic })
    }

    /// Publishes a velocity command: speed forward, turn rate to the left. Never waits for the network or for a
    /// subscriber, so the drive loop may call it; an error means that DDS did not take it, and the base will
    /// time out.
    pub fn command(&self, linear_mps: f64, angular_radps: f64) -> Result<(), PublishError> {
        let Some(link) = self.link.get() else {
            self.tally.failed();
            return Err(reconnecting(&self.cmd_vel_topic));
        };
        link.cmd_vel.send(Twist::planar(linear_mps, angular_radps))
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
