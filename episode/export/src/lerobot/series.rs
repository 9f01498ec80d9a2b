//! What a robot knew at an instant: the telemetry of an episode as time series.
//!
//! **A row of a dataset never looks into the future.** Each value is the newest that had been recorded at the
//! row's instant; a picture is the newest that had been captured.

use super::video_index::VideoIndex;
use anyhow::{Context, ensure};
use episode::layout::{self, topic};
use episode::read::Reader;
use protocol::safety::SafetyState;
use ros_msgs::geometry_msgs::TwistStamped;
use ros_msgs::longrein_msgs;
use ros_msgs::nav_msgs::Odometry;
use ros_msgs::sensor_msgs::NavSatFix;
use std::collections::BTreeMap;
use std::path::Path;

/// Values over time.
#[derive(Debug)]
pub struct Series<T>(Vec<(u64, T)>);

impl<T> Default for Series<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Series<T> {
    /// Appends a value; times may come in any order until all are there.
    pub(super) fn push(&mut self, at_ns: u64, value: T) {
        self.0.push((at_ns, value));
    }

    /// The newest value at `at_ns` and when it was recorded.
    pub fn at(&self, at_ns: u64) -> Option<&(u64, T)> {
        let after = self.0.partition_point(|(time, _)| *time <= at_ns);
        self.0.get(after.checked_sub(1)?)
    }

    /// The first value.
    pub fn first(&self) -> Option<&(u64, T)> {
        self.0.first()
    }

    fn sort(&mut self) {
        // Stable: a wall clock that stepped back must not swap what happened in order at one instant.
        self.0.sort_by_key(|(time, _)| *time);
    }
}

/// Motion by odometry.
#[derive(Debug, Clone, Copy)]
pub struct Motion {
    /// Speed forward.
    pub linear_mps: f64,
    /// Turn rate to the left.
    pub angular_radps: f64,
    /// Heading in the frame of the odometry.
    pub heading_rad: f64,
    /// Position in the frame of the odometry.
    pub x_m: f64,
    /// Position in the frame of the odometry.
    pub y_m: f64,
}

/// A GNSS fix.
#[derive(Debug, Clone, Copy)]
pub struct Fix {
    /// Latitude.
    pub lat_deg: f64,
    /// Longitude.
    pub lon_deg: f64,
    /// Altitude above the ellipsoid.
    pub alt_m: f64,
    /// Horizontal accuracy, 1 sigma; NaN when unknown.
    pub h_acc_m: f64,
    /// 0 none, 1 fix, 2 satellite-based, 3 ground-based augmentation.
    pub kind: f64,
}

/// What the safety core decided.
#[derive(Debug, Clone, Copy)]
pub struct Safety {
    /// Number of [`SafetyState`].
    pub state: u8,
    /// Whether it holds the robot still.
    pub stopped: bool,
    /// Age of the picture that the driver acted on; NaN when unknown.
    pub loop_latency_ms: f64,
}

/// Speed forward and turn rate to the left.
pub type Velocity = [f64; 2];

/// All series of an episode.
#[derive(Default)]
pub struct Telemetry {
    /// Odometry.
    pub motion: Series<Motion>,
    /// GNSS.
    pub fix: Series<Fix>,
    /// The command as the driver sent it; a stop while the deadman was released.
    pub command: Series<Velocity>,
    /// What the safety core left of it, before the governor's ramps.
    pub limited: Series<Velocity>,
    /// The command as the base was given it.
    pub executed: Series<Velocity>,
    /// Decisions of the safety core.
    pub safety: Series<Safety>,
    /// Cameras by name.
    pub cameras: BTreeMap<String, VideoIndex>,
}

impl Telemetry {
    /// Reads an episode that was driven under the lease epoch `epoch`, with the cameras in `wanted`, or all.
    pub fn read(dir: &Path, epoch: u64, wanted: &[String]) -> anyhow::Result<Self> {
        let mut telemetry = Self::default();
        let names = episode::read::recordings(dir)?;
        let there: Vec<&str> =
            names.iter().filter_map(|name| layout::camera_of_file(name)).collect();
        for camera in wanted {
            ensure!(
                there.contains(&camera.as_str()),
                "there is no camera {camera:?}; its cameras are: {}",
                there.join(", ")
            );
        }
        for name in &names {
            let path = dir.join(name);
            match layout::camera_of_file(name) {
                Some(camera) if wanted.is_empty() || wanted.iter().any(|name| name == camera) => {
                    let index = VideoIndex::read(&path)?;
                    telemetry.cameras.insert(camera.to_owned(), index);
                }
                Some(_unwanted) => {}
                None => telemetry.read_telemetry(&path, epoch)?,
            }
        }
        telemetry.motion.sort();
        telemetry.fix.sort();
        telemetry.command.sort();
        telemetry.limited.sort();
        telemetry.executed.sort();
        telemetry.safety.sort();
        Ok(telemetry)
    }

    fn read_telemetry(&mut self, path: &Path, epoch: u64) -> anyhow::Result<()> {
        let mut reader = Reader::open(path)?;
        while let Some(message) = reader.next().context("reading telemetry")? {
            let at = message.log_time_ns;
            match message.channel.topic.as_str() {
                topic::ODOM => self.motion.push(at, motion(&message.decode()?)),
                topic::FIX => self.fix.push(at, fix(&message.decode()?)),
                topic::COMMAND => {
                    let command: longrein_msgs::DriveCommand = message.decode()?;
                    // What an earlier driver still sends is recorded as well.
                    if command.epoch == epoch {
                        self.command.push(at, wish(&command));
                    }
                }
                topic::LIMITED => {
                    let limited: TwistStamped = message.decode()?;
                    self.limited.push(at, [limited.twist.linear.x, limited.twist.angular.z]);
                }
                topic::EXECUTED => {
                    let executed: TwistStamped = message.decode()?;
                    let twist = executed.twist;
                    self.executed.push(at, [twist.linear.x, twist.angular.z]);
                }
                topic::SAFETY => self.safety.push(at, safety(&message.decode()?)),
                _ => {}
            }
        }
        Ok(())
    }
}

fn wish(command: &longrein_msgs::DriveCommand) -> Velocity {
    if command.deadman { [command.linear_mps, command.angular_radps] } else { [0.0; 2] }
}

fn motion(odometry: &Odometry) -> Motion {
    Motion {
        linear_mps: odometry.twist.twist.linear.x,
        angular_radps: odometry.twist.twist.angular.z,
        heading_rad: odometry.pose.pose.orientation.yaw_rad(),
        x_m: odometry.pose.pose.position.x,
        y_m: odometry.pose.pose.position.y,
    }
}

fn fix(fix: &NavSatFix) -> Fix {
    let known = fix.status.status >= 0;
    let or_unknown = |value| if known { value } else { f64::NAN };
    Fix {
        lat_deg: or_unknown(fix.latitude),
        lon_deg: or_unknown(fix.longitude),
        alt_m: or_unknown(fix.altitude),
        h_acc_m: fix.horizontal_accuracy_m().unwrap_or(f64::NAN),
        kind: f64::from(fix.status.status.saturating_add(1).max(0)),
    }
}

fn safety(safety: &longrein_msgs::SafetyState) -> Safety {
    let quoted = serde_json::Value::String(safety.state.clone());
    let state: Option<SafetyState> = serde_json::from_value(quoted).ok();
    let stopped = matches!(state, Some(SafetyState::Stopped | SafetyState::EmergencyStopped));
    Safety {
        state: state.map_or(0, SafetyState::as_u8),
        stopped,
        loop_latency_ms: safety.loop_latency_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_seen_from_its_own_instant_on() {
        let mut series = Series::default();
        series.push(20, 'b');
        series.push(10, 'a');
        series.sort();
        assert_eq!(series.at(9), None);
        assert_eq!(series.at(10), Some(&(10, 'a')));
        assert_eq!(series.at(19), Some(&(10, 'a')));
        assert_eq!(series.at(u64::MAX), Some(&(20, 'b')));
    }
}
