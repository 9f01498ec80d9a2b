//! Whatever bytes come over DDS, no message's reader panics, hangs or allocates without bound.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "../../../fuzz/mutate.rs"]
#[allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a harness, not a program"
)]
mod mutate;

use mutate::fuzz;
use ros_msgs::ackermann_msgs::AckermannDriveStamped;
use ros_msgs::diagnostic_msgs::{DiagnosticArray, DiagnosticStatus};
use ros_msgs::foxglove_msgs::CompressedVideo;
use ros_msgs::geometry_msgs::{Twist, TwistStamped};
use ros_msgs::longrein_msgs::{DriveCommand, Event, LinkStats, SafetyState, SafetyStep};
use ros_msgs::nav_msgs::Odometry;
use ros_msgs::sensor_msgs::{
    BatteryState, CompressedImage, Image, Imu, JointState, LaserScan, NavSatFix, Range,
};
use ros_msgs::std_msgs::{Bool, UInt8};
use ros_msgs::{RosMessage, from_cdr, to_cdr};

/// What is read is written again and read again as the same bytes, whatever padding came.
fn reads<M: RosMessage>(bytes: &[u8]) {
    if let Ok(message) = from_cdr::<M>(bytes) {
        let written = to_cdr(&message);
        let again: M = from_cdr(&written).unwrap();
        assert_eq!(to_cdr(&again), written);
    }
}

#[test]
fn cdr() {
    let scan =
        LaserScan { ranges: vec![1.0; 20], intensities: vec![2.0; 20], ..LaserScan::default() };
    let joints = JointState {
        name: vec!["wheel_left".to_owned(), "wheel_right".to_owned()],
        velocity: vec![1.0, 2.0],
        ..JointState::default()
    };
    let step = SafetyStep { inputs: vec![1; 208], outputs: vec![2; 44], ..SafetyStep::default() };
    let event = Event { code: "receipt".to_owned(), json: "{}".to_owned(), ..Event::default() };
    let part = DiagnosticStatus { name: "motors".to_owned(), ..DiagnosticStatus::default() };
    let diagnostics = DiagnosticArray { status: vec![part; 2], ..DiagnosticArray::default() };
    let seeds = vec![
        to_cdr(&scan),
        to_cdr(&joints),
        to_cdr(&step),
        to_cdr(&event),
        to_cdr(&Odometry::default()),
        to_cdr(&Imu::default()),
        to_cdr(&NavSatFix::default()),
        to_cdr(&BatteryState::default()),
        to_cdr(&TwistStamped::default()),
        to_cdr(&Range::default()),
        to_cdr(&AckermannDriveStamped::default()),
        to_cdr(&diagnostics),
        to_cdr(&Image { encoding: "rgb8".to_owned(), data: vec![9; 24], ..Image::default() }),
        to_cdr(&CompressedImage { data: vec![0xff, 0xd8], ..CompressedImage::default() }),
        to_cdr(&CompressedVideo { data: vec![0, 0, 0, 1], ..CompressedVideo::default() }),
    ];
    fuzz("cdr", seeds, |bytes| {
        reads::<LaserScan>(bytes);
        reads::<JointState>(bytes);
        reads::<SafetyStep>(bytes);
        reads::<SafetyState>(bytes);
        reads::<DriveCommand>(bytes);
        reads::<LinkStats>(bytes);
        reads::<Event>(bytes);
        reads::<Odometry>(bytes);
        reads::<Imu>(bytes);
        reads::<NavSatFix>(bytes);
        reads::<BatteryState>(bytes);
        reads::<Twist>(bytes);
        reads::<TwistStamped>(bytes);
        reads::<CompressedVideo>(bytes);
        reads::<Image>(bytes);
        reads::<CompressedImage>(bytes);
        reads::<UInt8>(bytes);
        reads::<Bool>(bytes);
        reads::<Range>(bytes);
        reads::<AckermannDriveStamped>(bytes);
        reads::<DiagnosticArray>(bytes);
    });
}
