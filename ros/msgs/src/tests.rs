use super::*;
use ackermann_msgs::{AckermannDrive, AckermannDriveStamped};
use builtin_interfaces::Time;
use diagnostic_msgs::{DiagnosticArray, DiagnosticStatus, KeyValue};
use geometry_msgs::{
    Point, Pose, PoseWithCovariance, Quaternion, Twist, TwistStamped, TwistWithCovariance, Vector3,
};
use proptest::prelude::*;
use sensor_msgs::{
    BatteryState, CompressedImage, Image, Imu, JointState, LaserScan, MagneticField, NavSatFix,
    NavSatStatus, Range,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std_msgs::Header;

const STAMP: Time = Time { sec: 1_700_000_001, nanosec: 234_567_890 };

/// Made by `tests/golden.py` with the independent `rosbags`.
fn golden() -> BTreeMap<&'static str, Vec<u8>> {
    include_str!("../tests/golden.txt")
        .lines()
        .map(|line| {
            let (name, hex) = line.split_once(' ').unwrap();
            (name, hex::decode(hex).unwrap())
        })
        .collect()
}

fn check<T: RosMessage + PartialEq + Debug>(message: &T) {
    check_all_but(0, message);
}

/// As [`check`], where the last `optional` bytes may be missing.
fn check_all_but<T: RosMessage + PartialEq + Debug>(optional: usize, message: &T) {
    let golden = golden().remove(T::NAME).unwrap();
    assert_eq!(hex::encode(to_cdr(message)), hex::encode(&golden), "{}", T::NAME);
    assert_eq!(&from_cdr::<T>(&golden).unwrap(), message, "{}", T::NAME);
    for cut in 0..golden.len() - optional {
        assert!(from_cdr::<T>(&golden[..cut]).is_err(), "{} cut to {cut} bytes", T::NAME);
    }
    let long = [golden.as_slice(), &[0; 4]].concat();
    assert!(matches!(from_cdr::<T>(&long), Err(CdrError::Trailing { extra: 4, .. })));
}

fn header(frame_id: &str) -> Header {
    Header { stamp: STAMP, frame_id: frame_id.to_owned() }
}

fn vector(x: f64, y: f64, z: f64) -> Vector3 {
    Vector3 { x, y, z }
}

fn twist() -> Twist {
    Twist { linear: vector(1.5, -0.25, 0.0), angular: vector(0.0, 0.125, -2.0) }
}

fn orientation() -> Quaternion {
    Quaternion { x: 0.0, y: 0.0, z: 0.5, w: 0.75 }
}

fn ramp<const N: usize>(step: f64) -> [f64; N] {
    let mut value = -step;
    [(); N].map(|()| {
        value += step;
        value
    })
}

#[test]
fn standard_messages_have_the_bytes_of_rosbags() {
    check(&STAMP);
    check(&header("base_link"));
    check(&std_msgs::UInt8 { data: 3 });
    check(&twist());
    check(&TwistStamped { header: header(""), twist: twist() });
    check(&nav_msgs::Odometry {
        header: header("odom"),
        child_frame_id: "base_link".to_owned(),
        pose: PoseWithCovariance {
            pose: Pose { position: Point { x: 1.0, y: 2.0, z: 3.0 }, orientation: orientation() },
            covariance: ramp(0.25),
        },
        twist: TwistWithCovariance { twist: twist(), covariance: ramp(0.25) },
    });
    check(&Imu {
        header: header("imu"),
        orientation: orientation(),
        orientation_covariance: ramp(0.5),
        angular_velocity: vector(0.5, 0.25, 0.125),
        angular_velocity_covariance: ramp(0.5),
        linear_acceleration: vector(0.0, 0.0, 9.75),
        linear_acceleration_covariance: ramp(0.5),
    });
    check(&MagneticField {
        header: header("imu"),
        magnetic_field: vector(1.5e-5, -2.5e-5, -4.5e-5),
        magnetic_field_covariance: ramp(0.5),
    });
    check(&NavSatFix {
        header: header("gps"),
        status: NavSatStatus { status: NavSatStatus::STATUS_NO_FIX, service: 5 },
        latitude: 52.5,
        longitude: 13.25,
        altitude: 34.5,
        position_covariance: ramp(0.5),
        position_covariance_type: NavSatFix::COVARIANCE_TYPE_DIAGONAL_KNOWN,
    });
    check(&BatteryState {
        header: header("base_link"),
        voltage: 25.5,
        temperature: 21.0,
        current: -1.5,
        charge: 8.0,
        capacity: 10.0,
        design_capacity: 10.5,
        percentage: 0.75,
        power_supply_status: BatteryState::POWER_SUPPLY_STATUS_DISCHARGING,
        power_supply_health: BatteryState::POWER_SUPPLY_HEALTH_GOOD,
        power_supply_technology: BatteryState::POWER_SUPPLY_TECHNOLOGY_LION,
        present: true,
        cell_voltage: vec![3.5, 3.75],
        cell_temperature: Vec::new(),
        location: "slot".to_owned(),
        serial_number: String::new(),
    });
    check(&LaserScan {
        header: header("laser"),
        angle_min: -1.5,
        angle_max: 1.5,
        angle_increment: 1.5,
        time_increment: 0.0,
        scan_time: 0.125,
        range_min: 0.0625,
        range_max: 12.0,
        ranges: vec![1.0, f32::INFINITY, 3.5],
        intensities: Vec::new(),
    });
    check_all_but(4, &range());
    check(&JointState {
        header: header(""),
        name: vec!["left".to_owned(), "right_wheel".to_owned()],
        position: Vec::new(),
        velocity: vec![1.5, -1.5],
        effort: Vec::new(),
    });
}

fn range() -> Range {
    Range {
        header: header("cone_front"),
        radiation_type: Range::INFRARED,
        field_of_view: 0.25,
        min_range: 0.125,
        max_range: 4.0,
        range: 1.75,
        variance: 0.0625,
    }
}

#[test]
fn a_range_of_older_distributions_is_read_too() {
    let bytes = to_cdr(&range());
    let older: Range = from_cdr(&bytes[..bytes.len() - 4]).unwrap();
    assert_eq!(older, Range { variance: 0.0, ..range() });
}

#[test]
fn commands_and_diagnostics_have_the_bytes_of_rosbags() {
    check(&std_msgs::Bool { data: true });
    check(&AckermannDriveStamped {
        header: header("base_link"),
        drive: AckermannDrive {
            steering_angle: -0.25,
            steering_angle_velocity: 0.5,
            speed: 1.5,
            acceleration: 0.75,
            jerk: 0.125,
        },
    });
    let value = |key: &str, value: &str| KeyValue { key: key.to_owned(), value: value.to_owned() };
    check(&DiagnosticArray {
        header: header(""),
        status: vec![DiagnosticStatus {
            level: DiagnosticStatus::ERROR,
            name: "motors: left".to_owned(),
            message: "Too hot".to_owned(),
            hardware_id: "odrive".to_owned(),
            values: vec![value("temperature", "91"), value("fan", "")],
        }],
    });
}

#[test]
fn pictures_have_the_bytes_of_rosbags() {
    check(&Image {
        header: header("camera"),
        height: 2,
        width: 1,
        encoding: "rgb8".to_owned(),
        is_bigendian: 0,
        step: 4,
        data: vec![1, 2, 3, 0, 4, 5, 6, 0],
    });
    check(&CompressedImage {
        header: header("camera"),
        format: "rgb8; jpeg compressed bgr8".to_owned(),
        data: vec![0xff, 0xd8, 0xff],
    });
}

#[test]
fn our_messages_have_the_bytes_of_rosbags() {
    check(&foxglove_msgs::CompressedVideo {
        timestamp: STAMP,
        frame_id: "camera_front".to_owned(),
        data: vec![0, 0, 0, 1, 0x67],
        format: "h264".to_owned(),
    });
    check(&longrein_msgs::DriveCommand {
        stamp: STAMP,
        arrived_ms: 5_000_000_000,
        epoch: 7,
        seq: 42,
        deadman: true,
        linear_mps: 1.25,
        angular_radps: -0.5,
        packet: vec![1, 1, 3],
    });
    check(&longrein_msgs::SafetyStep {
        stamp: STAMP,
        tick: 9,
        inputs: vec![1, 2, 3],
        outputs: vec![4],
    });
    check(&longrein_msgs::SafetyState {
        stamp: STAMP,
        state: "driving".to_owned(),
        reason: "latency".to_owned(),
        hazards: 16,
        limit_mps: 0.75,
        loop_latency_ms: 250.0,
        limited_linear_mps: 0.75,
        limited_angular_radps: 0.5,
        executed_linear_mps: 0.625,
        executed_angular_radps: 0.25,
    });
    check(&longrein_msgs::LinkStats {
        stamp: STAMP,
        rtt_ms: 20.5,
        jitter_ms: 1.25,
        video_loss: 0.0625,
        video_kbps: 2500.0,
        available_kbps: 4000.0,
        frames_sent: 1,
        packets_sent: 2,
        nacks: 3,
        keyframe_requests: 4,
        drive_received: 5,
        drive_refused: 6,
        telemetry_sent: 7,
    });
    check(&longrein_msgs::Event {
        stamp: STAMP,
        code: "estop".to_owned(),
        detail: "Emergency stop".to_owned(),
        json: r#"{"by":"pilot"}"#.to_owned(),
    });
}

#[test]
fn big_endian_is_read_and_other_encapsulations_are_refused() {
    let time = from_cdr::<Time>(&[0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3]).unwrap();
    assert_eq!(time, Time { sec: 2, nanosec: 3 });
    let parameter_list = from_cdr::<Time>(&[0, 3, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3]);
    assert!(matches!(parameter_list, Err(CdrError::Encapsulation { found: [0, 3] })));
}

#[test]
fn a_length_that_lies_is_an_error() {
    let claims_4_gib = [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, b'x'];
    assert!(from_cdr::<Header>(&claims_4_gib).is_err());
    assert!(from_cdr::<foxglove_msgs::CompressedVideo>(&claims_4_gib).is_err());
    let image = to_cdr(&Image { data: vec![7; 4], ..Image::default() });
    let picture = [&image[..image.len() - 8], &[0xff; 8]].concat();
    assert!(from_cdr::<Image>(&picture).is_err());
    let ranges = [&to_cdr(&LaserScan::default())[..52], &[0xff; 8]].concat();
    assert!(from_cdr::<LaserScan>(&ranges).is_err());
    let names = [&to_cdr(&JointState::default())[..20], &[0xff; 40]].concat();
    assert!(from_cdr::<JointState>(&names).is_err());
}

fn check_schema<T: RosMessage>() {
    let divider = "=".repeat(80);
    let mut defined = BTreeSet::new();
    let mut used = BTreeSet::new();
    for (index, part) in T::SCHEMA.split(&format!("{divider}\n")).enumerate() {
        let body = if index == 0 {
            part
        } else {
            let (first, body) = part.split_once('\n').unwrap();
            assert!(defined.insert(first.strip_prefix("MSG: ").unwrap()), "twice: {first}");
            body
        };
        let types = body.lines().filter_map(|line| line.split(' ').next());
        used.extend(
            types.filter(|name| name.contains('/')).map(|name| name.trim_end_matches("[]")),
        );
    }
    assert_eq!(defined, used, "{}", T::NAME);
}

#[test]
fn each_schema_defines_each_type_that_it_uses_once() {
    check_schema::<Time>();
    check_schema::<Header>();
    check_schema::<std_msgs::Bool>();
    check_schema::<std_msgs::UInt8>();
    check_schema::<Range>();
    check_schema::<AckermannDriveStamped>();
    check_schema::<DiagnosticArray>();
    check_schema::<Twist>();
    check_schema::<TwistStamped>();
    check_schema::<nav_msgs::Odometry>();
    check_schema::<Imu>();
    check_schema::<MagneticField>();
    check_schema::<NavSatFix>();
    check_schema::<BatteryState>();
    check_schema::<LaserScan>();
    check_schema::<JointState>();
    check_schema::<Image>();
    check_schema::<CompressedImage>();
    check_schema::<foxglove_msgs::CompressedVideo>();
    check_schema::<longrein_msgs::DriveCommand>();
    check_schema::<longrein_msgs::SafetyStep>();
    check_schema::<longrein_msgs::SafetyState>();
    check_schema::<longrein_msgs::LinkStats>();
    check_schema::<longrein_msgs::Event>();
}

#[test]
fn times_convert() {
    assert_eq!(Time::from_ns(1_700_000_001_234_567_890), STAMP);
    assert_eq!(STAMP.as_ns(), Some(1_700_000_001_234_567_890));
    assert_eq!(Time { sec: -1, nanosec: 0 }.as_ns(), None);
    assert_eq!(Time::from_ns(u64::MAX), Time { sec: i32::MAX, nanosec: 999_999_999 });
}

#[test]
fn a_fix_of_unknown_covariance_has_no_accuracy() {
    let mut fix = NavSatFix { position_covariance: ramp(1.0), ..NavSatFix::default() };
    assert_eq!(fix.horizontal_accuracy_m(), None);
    fix.position_covariance_type = NavSatFix::COVARIANCE_TYPE_APPROXIMATED;
    assert_eq!(fix.horizontal_accuracy_m(), Some(2f64.sqrt()));
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [&[0, 1, 0, 0][..], &body].concat();
        // Whether they happen to be a message does not matter here.
        drop(from_cdr::<nav_msgs::Odometry>(&bytes));
        drop(from_cdr::<BatteryState>(&bytes));
        drop(from_cdr::<LaserScan>(&bytes));
        drop(from_cdr::<JointState>(&bytes));
        drop(from_cdr::<Image>(&bytes));
        drop(from_cdr::<CompressedImage>(&bytes));
        drop(from_cdr::<DiagnosticArray>(&bytes));
        drop(from_cdr::<foxglove_msgs::CompressedVideo>(&bytes));
        drop(from_cdr::<longrein_msgs::Event>(&bytes));
    }

    #[test]
    fn a_flipped_bit_never_panics(at in 0usize..2000, bit in 0u8..8) {
        for (name, mut bytes) in golden() {
            let index = at % bytes.len();
            bytes[index] ^= 1 << bit;
            match name {
                "sensor_msgs/msg/JointState" => drop(from_cdr::<JointState>(&bytes)),
                "sensor_msgs/msg/LaserScan" => drop(from_cdr::<LaserScan>(&bytes)),
                "diagnostic_msgs/msg/DiagnosticArray" => drop(from_cdr::<DiagnosticArray>(&bytes)),
                "sensor_msgs/msg/BatteryState" => drop(from_cdr::<BatteryState>(&bytes)),
                _ => drop(from_cdr::<longrein_msgs::DriveCommand>(&bytes)),
            }
        }
    }

    #[test]
    fn yaw_survives_the_quaternion(yaw in -3.1f64..3.1) {
        prop_assert!((Quaternion::from_yaw(yaw).yaw_rad() - yaw).abs() < 1e-12);
    }
}
