//! Records become messages in the episode's channels.

use super::{CAMERAS_MAX, Record, TOPICS};
use crate::clock;
use crate::config::BUMPERS_MAX;
use crate::media::EncodedFrame;
use episode::layout::topic;
use episode::{Channel, Recorder};
use protocol::units::{MonoMs, MonoNs};
use ros_bridge::agent::Inbound;
use ros_msgs::builtin_interfaces::Time;
use ros_msgs::foxglove_msgs::CompressedVideo;
use ros_msgs::geometry_msgs::TwistStamped;
use ros_msgs::longrein_msgs::{DriveCommand, Event, LinkStats, SafetyState, SafetyStep};
use ros_msgs::nav_msgs::Odometry;
use ros_msgs::sensor_msgs::{
    BatteryState, Imu, JointState, LaserScan, MagneticField, NavSatFix, Range,
};
use std::path::PathBuf;

pub(super) struct Channels {
    odometry: Channel<Odometry>,
    imu: Channel<Imu>,
    field: Channel<MagneticField>,
    range: Channel<Range>,
    fix: Channel<NavSatFix>,
    battery: Channel<BatteryState>,
    scan: Channel<LaserScan>,
    wheels: Channel<JointState>,
    command: Channel<DriveCommand>,
    limited: Channel<TwistStamped>,
    executed: Channel<TwistStamped>,
    step: Channel<SafetyStep>,
    safety: Channel<SafetyState>,
    link: Channel<LinkStats>,
    receipt: Channel<Event>,
    event: Channel<Event>,
    cameras: Vec<Channel<CompressedVideo>>,
}

pub(super) struct Open {
    pub(super) dir: PathBuf,
    pub(super) recorder: Recorder,
    pub(super) channels: Channels,
    /// Cameras whose first keyframe is recorded: what comes before can't be decoded.
    pub(super) decodable: [bool; CAMERAS_MAX],
    /// Bumpers that were pressed when they spoke last.
    pub(super) bumpers: [bool; BUMPERS_MAX],
    /// The disk failed: nothing more is written, and the episode is recovered at the next start.
    pub(super) broken: bool,
    pub(super) ending: Option<(MonoMs, String)>,
}

pub(super) fn channels(
    recorder: &mut Recorder,
    cameras: &[&str],
) -> Result<Channels, episode::EpisodeError> {
    Ok(Channels {
        odometry: recorder.telemetry(topic::ODOM)?,
        imu: recorder.telemetry(topic::IMU)?,
        field: recorder.telemetry(topic::FIELD)?,
        range: recorder.telemetry(topic::RANGE)?,
        fix: recorder.telemetry(topic::FIX)?,
        battery: recorder.telemetry(topic::BATTERY)?,
        scan: recorder.telemetry(topic::SCAN)?,
        wheels: recorder.telemetry(topic::JOINT_STATES)?,
        command: recorder.telemetry(topic::COMMAND)?,
        limited: recorder.telemetry(topic::LIMITED)?,
        executed: recorder.telemetry(topic::EXECUTED)?,
        step: recorder.telemetry(topic::SAFETY_STEP)?,
        safety: recorder.telemetry(topic::SAFETY)?,
        link: recorder.telemetry(topic::LINK)?,
        receipt: recorder.telemetry(topic::RECEIPT)?,
        event: recorder.telemetry(topic::EVENT)?,
        cameras: cameras.iter().map(|name| recorder.camera(name)).collect::<Result<_, _>>()?,
    })
}

pub(super) fn note_dropped(open: &mut Open, slot: usize, count: u32) {
    if count == 0 {
        return;
    }
    let (recorder, channels) = (&mut open.recorder, &open.channels);
    match slot {
        0 => recorder.note_dropped(channels.odometry, count),
        1 => recorder.note_dropped(channels.imu, count),
        2 => recorder.note_dropped(channels.fix, count),
        3 => recorder.note_dropped(channels.battery, count),
        4 => recorder.note_dropped(channels.scan, count),
        5 => recorder.note_dropped(channels.wheels, count),
        6 => recorder.note_dropped(channels.command, count),
        7 => recorder.note_dropped(channels.limited, count),
        8 => recorder.note_dropped(channels.executed, count),
        9 => recorder.note_dropped(channels.step, count),
        10 => recorder.note_dropped(channels.safety, count),
        11 => recorder.note_dropped(channels.link, count),
        12 => recorder.note_dropped(channels.receipt, count),
        13 => recorder.note_dropped(channels.event, count),
        14 => recorder.note_dropped(channels.field, count),
        15 => recorder.note_dropped(channels.range, count),
        camera => {
            if let Some(channel) = channels.cameras.get(camera - TOPICS.len()) {
                recorder.note_dropped(*channel, count);
            }
            // The frames after a lost one can't be decoded until the next keyframe.
            if let Some(decodable) = open.decodable.get_mut(camera - TOPICS.len()) {
                *decodable = false;
            }
        }
    }
}

/// A bumper that was hit, or is free again. `n` is its place in the configuration.
fn bumper_event(at_ns: u64, n: usize, pressed: bool) -> Event {
    Event {
        stamp: Time::from_ns(at_ns),
        code: "bumper".to_owned(),
        detail: if pressed { "a bumper is pressed" } else { "a bumper is free again" }.to_owned(),
        json: format!(r#"{{"bumper":{n},"pressed":{pressed}}}"#),
    }
}

/// Writes one record; gives about how many bytes it took.
pub(super) fn write(
    open: &mut Open,
    at_ns: u64,
    record: Record,
) -> Result<u64, episode::EpisodeError> {
    let (recorder, channels) = (&mut open.recorder, &open.channels);
    match record {
        Record::Sensor(Inbound::Odometry(m)) => recorder.write(channels.odometry, at_ns, &*m)?,
        Record::Sensor(Inbound::Imu(m)) => recorder.write(channels.imu, at_ns, &*m)?,
        Record::Sensor(Inbound::Field(m)) => recorder.write(channels.field, at_ns, &*m)?,
        // What changed is an event of its own.
        Record::Sensor(Inbound::Diagnostics(_)) => return Ok(0),
        Record::Sensor(Inbound::Range(_, m)) => recorder.write(channels.range, at_ns, &*m)?,
        Record::Sensor(Inbound::Bumper(n, pressed)) => {
            let Some(was) = open.bumpers.get_mut(n).filter(|was| **was != pressed) else {
                return Ok(0);
            };
            *was = pressed;
            recorder.write(channels.event, at_ns, &bumper_event(at_ns, n, pressed))?;
        }
        Record::Sensor(Inbound::Fix(m)) => recorder.write(channels.fix, at_ns, &*m)?,
        Record::Sensor(Inbound::Battery(m)) => recorder.write(channels.battery, at_ns, &*m)?,
        Record::Sensor(Inbound::Scan(m)) => recorder.write(channels.scan, at_ns, &*m)?,
        Record::Sensor(Inbound::WheelSpeeds(m)) => recorder.write(channels.wheels, at_ns, &*m)?,
        Record::Command(m) => recorder.write(channels.command, at_ns, &*m)?,
        Record::Limited(m) => recorder.write(channels.limited, at_ns, &*m)?,
        Record::Executed(m) => recorder.write(channels.executed, at_ns, &*m)?,
        Record::Step(m) => recorder.write(channels.step, at_ns, &*m)?,
        Record::Safety(m) => recorder.write(channels.safety, at_ns, &*m)?,
        Record::Link(m) => recorder.write(channels.link, at_ns, &*m)?,
        Record::Receipt(m) => recorder.write(channels.receipt, at_ns, &*m)?,
        Record::Event(m) => recorder.write(channels.event, at_ns, &*m)?,
        Record::Frame(frame) => return write_frame(open, at_ns, &frame),
    }
    // Compressed telemetry: small beside the pictures.
    Ok(100)
}

fn write_frame(
    open: &mut Open,
    at_ns: u64,
    frame: &EncodedFrame,
) -> Result<u64, episode::EpisodeError> {
    let camera = usize::from(frame.camera);
    let Some(channel) = open.channels.cameras.get(camera).copied() else { return Ok(0) };
    let Some(decodable) = open.decodable.get_mut(camera) else { return Ok(0) };
    *decodable |= frame.keyframe;
    if !*decodable {
        return Ok(0);
    }
    let message = CompressedVideo {
        timestamp: Time::from_ns(clock::wall_ns_at(MonoNs(frame.capture.0))),
        frame_id: format!("camera_{camera}"),
        data: frame.data.to_vec(),
        format: "h264".to_owned(),
    };
    open.recorder.write(channel, at_ns, &message)?;
    Ok(u64::try_from(frame.data.len()).unwrap_or(0))
}
