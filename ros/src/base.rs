//! The robot's face: velocity commands in, sensors out. A simulated robot uses it; a real one has drivers.

use crate::config::{Config, ConnectError, Topics};
use crate::intake::{Counters, Intake, Sources, TopicHealth, shared};
use crate::keeper::Kept;
use crate::kinematics::{Commands, Kinematics};
use crate::node::Ros;
use crate::outlet::{PublishError, publish_error, reconnecting};
use protocol::units::MonoNs;
use ros_msgs::RosMessage;
use ros_msgs::ackermann_msgs::AckermannDriveStamped;
use ros_msgs::diagnostic_msgs::DiagnosticArray;
use ros_msgs::geometry_msgs::{Twist, TwistStamped};
use ros_msgs::nav_msgs::Odometry;
use ros_msgs::sensor_msgs::{
    BatteryState, Imu, JointState, LaserScan, MagneticField, NavSatFix, Range,
};
use ros_msgs::std_msgs::{Bool, UInt8};
use ros2_client::Publisher;
use std::time::Duration;

/// What the agent asks of the robot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Order {
    /// Move so, until the next.
    Velocity(Twist),
    /// The lamp's level: 0 is off.
    Lamp(u8),
    /// Whether the horn shall sound. One that hears nothing for half a second is silent.
    Horn(bool),
}

/// One connection. Dropped in this order: the reader's thread first, the node last.
struct Link {
    _intake: Intake,
    odometry: Publisher<Odometry>,
    imu: Publisher<Imu>,
    field: Publisher<MagneticField>,
    fix: Publisher<NavSatFix>,
    battery: Publisher<BatteryState>,
    scan: Publisher<LaserScan>,
    wheels: Publisher<JointState>,
    diagnostics: Publisher<DiagnosticArray>,
    ranges: Vec<Publisher<Range>>,
    bumpers: Vec<Publisher<Bool>>,
    ros: Ros,
}

impl Link {
    fn connect(
        config: &Config,
        counters: Counters,
        deliver: impl FnMut(Order, MonoNs) + Send + 'static,
    ) -> Result<Self, ConnectError> {
        let mut ros = Ros::connect(config)?;
        let topics = &config.topics;
        let mut sources = Sources::new(counters);
        // Depth 1: only the newest command counts, and what queued up while the process was frozen is gone.
        orders(&mut sources, &mut ros, config)?;
        // Reliable: a lamp is set once and not again.
        sources.add_reliable(&mut ros, &topics.lamp, 1, |level: UInt8| Order::Lamp(level.data))?;
        sources.add_reliable(&mut ros, &topics.horn, 1, |sounds: Bool| Order::Horn(sounds.data))?;
        let ranges = config.ranges.iter().map(|topic| ros.publish_best_effort(topic, 2));
        let ranges = ranges.collect::<Result<_, _>>()?;
        // Reliable, for an agent that reads only changes wants each of them.
        let bumpers = config.bumpers.iter().map(|bumper| ros.publish_reliable(&bumper.topic));
        let bumpers = bumpers.collect::<Result<_, _>>()?;
        Ok(Self {
            diagnostics: ros.publish_best_effort(&topics.diagnostics, 4)?,
            ranges,
            bumpers,
            odometry: ros.publish_best_effort(&topics.odometry, 4)?,
            imu: ros.publish_best_effort(&topics.imu, 8)?,
            field: ros.publish_best_effort(&topics.field, 8)?,
            fix: ros.publish_best_effort(&topics.fix, 2)?,
            battery: ros.publish_best_effort(&topics.battery, 1)?,
            scan: ros.publish_best_effort(&topics.scan, 2)?,
            wheels: ros.publish_best_effort(&topics.wheels, 4)?,
            _intake: sources.start(Duration::ZERO, deliver)?,
            ros,
        })
    }
}

/// Subscribes to velocity commands, of whichever type.
fn orders(
    sources: &mut Sources<Order>,
    ros: &mut Ros,
    config: &Config,
) -> Result<(), ConnectError> {
    let topic = &config.topics.cmd_vel;
    match config.commands {
        Commands::Twist => sources.add(ros, topic, 1, Order::Velocity),
        Commands::TwistStamped => {
            sources.add(ros, topic, 1, |m: TwistStamped| Order::Velocity(m.twist))
        }
        Commands::AckermannDriveStamped => {
            let kinematics: Kinematics = config.kinematics;
            sources.add(ros, topic, 1, move |m: AckermannDriveStamped| {
                let speed = f64::from(m.drive.speed);
                let turn = kinematics.turn_radps(speed, f64::from(m.drive.steering_angle));
                Order::Velocity(Twist::planar(speed, turn))
            })
        }
    }
}

/// A robot as ROS 2 sees it. Dropping it ends the connection.
pub struct RobotSide {
    link: Kept<Link>,
    counters: Counters,
    topics: Topics,
    ranges: Vec<String>,
    bumpers: Vec<String>,
}

impl RobotSide {
    /// Joins the domain and starts to listen. `deliver` gets each velocity command with its arrival on a thread
    /// of its own; it must hand over and return. After a freeze of the process the connection is made anew.
    pub fn connect(
        config: &Config,
        mut deliver: impl FnMut(Twist, MonoNs) + Send + 'static,
    ) -> Result<Self, ConnectError> {
        Self::connect_equipped(config, move |order, arrived| match order {
            Order::Velocity(twist) => deliver(twist, arrived),
            Order::Lamp(_) | Order::Horn(_) => {}
        })
    }

    /// As [`RobotSide::connect`], for a robot that has a lamp and a horn.
    pub fn connect_equipped(
        config: &Config,
        deliver: impl FnMut(Order, MonoNs) + Send + 'static,
    ) -> Result<Self, ConnectError> {
        let counters = Counters::default();
        let (kept_counters, config, deliver) = (counters.clone(), config.clone(), shared(deliver));
        let topics = config.topics.clone();
        let ranges = config.ranges.clone();
        let bumpers = config.bumpers.iter().map(|bumper| bumper.topic.clone()).collect();
        let link = Kept::start(move || Link::connect(&config, kept_counters.clone(), deliver()))?;
        Ok(Self { link, counters, topics, ranges, bumpers })
    }

    /// Publishes odometry.
    pub fn publish_odometry(&self, message: Odometry) -> Result<(), PublishError> {
        self.publish(|link| &link.odometry, &self.topics.odometry, message)
    }

    /// Publishes an inertial measurement.
    pub fn publish_imu(&self, message: Imu) -> Result<(), PublishError> {
        self.publish(|link| &link.imu, &self.topics.imu, message)
    }

    /// Publishes the magnetic field.
    pub fn publish_field(&self, message: MagneticField) -> Result<(), PublishError> {
        self.publish(|link| &link.field, &self.topics.field, message)
    }

    /// Publishes a position.
    pub fn publish_fix(&self, message: NavSatFix) -> Result<(), PublishError> {
        self.publish(|link| &link.fix, &self.topics.fix, message)
    }

    /// Publishes the battery's state.
    pub fn publish_battery(&self, message: BatteryState) -> Result<(), PublishError> {
        self.publish(|link| &link.battery, &self.topics.battery, message)
    }

    /// Publishes a laser sweep.
    pub fn publish_scan(&self, message: LaserScan) -> Result<(), PublishError> {
        self.publish(|link| &link.scan, &self.topics.scan, message)
    }

    /// Publishes the speeds of the wheels.
    pub fn publish_wheels(&self, message: JointState) -> Result<(), PublishError> {
        self.publish(|link| &link.wheels, &self.topics.wheels, message)
    }

    /// Publishes how the robot's parts do.
    pub fn publish_diagnostics(&self, message: DiagnosticArray) -> Result<(), PublishError> {
        self.publish(|link| &link.diagnostics, &self.topics.diagnostics, message)
    }

    /// Publishes what the range sensor at this place of [`Config::ranges`] met. Nothing, where there is none.
    pub fn publish_range(&self, n: usize, message: Range) -> Result<(), PublishError> {
        let Some(topic) = self.ranges.get(n) else { return Ok(()) };
        self.publish_nth(|link| link.ranges.get(n), topic, message)
    }

    /// Publishes what the bumper at this place of [`Config::bumpers`] says. Nothing, where there is none.
    pub fn publish_bumper(&self, n: usize, data: bool) -> Result<(), PublishError> {
        let Some(topic) = self.bumpers.get(n) else { return Ok(()) };
        self.publish_nth(|link| link.bumpers.get(n), topic, Bool { data })
    }

    /// What is known about the topics of commands and lamp.
    pub fn health(&self) -> Vec<TopicHealth> {
        let link = self.link.get();
        self.counters.health(link.as_ref().map(|link| &link.ros))
    }

    fn publish<M: RosMessage>(
        &self,
        publisher: fn(&Link) -> &Publisher<M>,
        topic: &str,
        message: M,
    ) -> Result<(), PublishError> {
        self.publish_nth(|link| Some(publisher(link)), topic, message)
    }

    fn publish_nth<M: RosMessage>(
        &self,
        publisher: impl Fn(&Link) -> Option<&Publisher<M>>,
        topic: &str,
        message: M,
    ) -> Result<(), PublishError> {
        let link = self.link.get().ok_or_else(|| reconnecting(topic))?;
        let Some(publisher) = publisher(&link) else { return Ok(()) };
        publisher.publish(message).map_err(|error| publish_error(topic, &error))
    }
}
