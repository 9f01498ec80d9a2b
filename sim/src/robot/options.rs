//! Command line and configuration file.

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use ros_bridge::kinematics::{Commands, Kinematics};
use serde::Deserialize;
use sim::CameraModel;
use std::path::PathBuf;
use std::str::FromStr;

/// A simulated sidewalk robot in a city block.
///
/// It joins a ROS 2 domain as a robot's base does: obeys /cmd_vel, publishes /odom, /imu, /imu/mag, /fix, /battery_state,
/// /scan and /joint_states, and of sensors that few robots have /range/front, /range/rear, /cliff/front, /bumper/front and
/// /bumper/rear. Its cameras are I420 frames in shared memory, one socket each; read one with
///
///   gst-launch-1.0 shmsrc socket-path=SOCK is-live=true do-timestamp=true
///     ! video/x-raw,format=I420,width=1280,height=720,framerate=30/1 ! videoconvert ! autovideosink
///
/// A value comes from the flag, else from the environment, else from the configuration file, else from the default.
/// SIGINT and SIGTERM end it.
#[derive(Debug, Parser)]
#[command(name = "sim-robot", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) task: Option<Task>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Tasks that need neither ROS nor cameras.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Print the demo's route as JSON.
    ///
    /// An array of checkpoints in driving order, as a mission takes them:
    ///
    ///   [{"position":{"lat_deg":52.5,"lon_deg":13.4},"radius_m":2.5,"dwell_ms":300}, …]
    ///
    /// The robot starts at x = 72, y = 17 (metres east and north of 52.5205, 13.4095) heading 0 (due east); the first
    /// checkpoint lies 12 m straight ahead.
    Route {
        /// Seed of the world.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Write one picture as PNG.
    Snapshot(SnapshotArgs),
    /// Compare pictures as somebody saw them with those that the front camera had drawn.
    ///
    /// Each is found by the stamp in its pixels, drawn once more, and compared in its luma: one line of JSON for each with
    /// `stamp_us`, `psnr_db`, `ssim`, `width` and `height` as it was received.
    Quality(QualityArgs),
}

#[derive(Debug, Args)]
pub(crate) struct QualityArgs {
    /// Seed of the world.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// What a simulator with --drawn wrote.
    #[arg(long)]
    pub(crate) drawn: PathBuf,
    /// Pictures one after the other: width and height as 32-bit little-endian numbers, then the luma.
    #[arg(long)]
    pub(crate) shown: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SnapshotArgs {
    /// Seed of the world.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Pose of the robot: metres east, metres north, degrees counter-clockwise from east. The start, when left out.
    #[arg(long, value_name = "X,Y,HEADING", value_delimiter = ',', allow_hyphen_values = true)]
    pub(crate) at: Vec<f64>,
    /// Let the people walk for so many seconds first.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) after_s: f64,
    /// Which camera.
    #[arg(long, default_value = "front", value_parser = ["front", "rear"])]
    pub(crate) camera: String,
    /// Size of the picture.
    #[arg(long, value_name = "WxH")]
    pub(crate) size: Option<Size>,
    /// Where to write it.
    #[arg(long)]
    pub(crate) out: PathBuf,
}

/// Width and height, both even.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Size {
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.parse::<usize>().ok();
        let size = text.split_once('x').and_then(|(w, h)| Some((number(w)?, number(h)?)));
        match size {
            Some((width, height))
                if width % 4 == 0
                    && height % 2 == 0
                    && (64..=3840).contains(&width)
                    && (36..=2160).contains(&height) =>
            {
                Ok(Self { width, height })
            }
            _ => Err(format!(
                "\"{text}\" is not a picture size: write WIDTHxHEIGHT, for example 640x360; \
                 width a multiple of 4 from 64 to 3840, height even from 36 to 2160"
            )),
        }
    }
}

/// The measures of a base that steers as a car does.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Car(Kinematics);

impl FromStr for Car {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.trim().parse::<f64>().ok();
        match text.split_once(',').and_then(|(a, b)| Some((number(a)?, number(b)?))) {
            Some((wheelbase_m, steering_rad_max))
                if (0.05..=5.0).contains(&wheelbase_m)
                    && (0.01..=1.5).contains(&steering_rad_max) =>
            {
                Ok(Self(Kinematics::Ackermann { wheelbase_m, steering_rad_max }))
            }
            _ => Err(format!(
                "\"{text}\" is no car: write its wheelbase in metres (0.05 to 5) and its steering angle in radians (0.01 \
                 to 1.5), for example 0.5,0.4"
            )),
        }
    }
}

impl TryFrom<String> for Car {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[derive(Debug, Args, Deserialize, Default)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct RunArgs {
    /// TOML file with any of the options below, named as here without the dashes in front.
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Seed of the world: city, people and noise [default: 1]
    #[arg(long, env = "SIM_ROBOT_SEED")]
    seed: Option<u64>,
    /// DDS domain [default: 0]
    #[arg(long, env = "ROS_DOMAIN_ID")]
    ros_domain: Option<u16>,
    /// Socket of the front camera; no front camera when left out.
    #[arg(long, value_name = "SOCK", env = "SIM_ROBOT_CAMERA_FRONT")]
    camera_front: Option<PathBuf>,
    /// Socket of the rear camera; no rear camera when left out.
    #[arg(long, value_name = "SOCK", env = "SIM_ROBOT_CAMERA_REAR")]
    camera_rear: Option<PathBuf>,
    /// Size of the front camera's pictures [default: 1280x720]
    #[arg(long, value_name = "WxH")]
    front_size: Option<Size>,
    /// Frames a second of the front camera [default: 30]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=120))]
    front_fps: Option<u32>,
    /// Size of the rear camera's pictures [default: 640x360]
    #[arg(long, value_name = "WxH")]
    rear_size: Option<Size>,
    /// Frames a second of the rear camera [default: 15]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=120))]
    rear_fps: Option<u32>,
    /// Write the truth about the robot into this file, five times a second.
    #[arg(long, value_name = "FILE")]
    stats: Option<PathBuf>,
    /// Append speed and command age to this file as JSON lines, a hundred times a second.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write each command received on /cmd_vel to this file: one JSON line with the time of receipt.
    ///
    ///   {"wall_us":1790000000000000,"mono_ms":52817.301,"linear":0.8,"angular":0.0}
    ///
    /// The file is emptied at the start; a line is in it 100 ms after its command at the latest.
    #[arg(long, value_name = "FILE")]
    command_log: Option<PathBuf>,
    /// Break parts of the robot while this file names them, such as "fix front-camera". Looked at a hundred times a
    /// second; parts: base, odometry, imu, field, fix, scan, battery, front-camera, rear-camera.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Draw the time into the corner of the front picture (see sim/README.md).
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    stamp: Option<bool>,
    /// The message that it takes on /cmd_vel: twist, twist-stamped or ackermann-drive-stamped [default: twist]
    #[arg(long, value_name = "TYPE")]
    commands: Option<CommandType>,
    /// Steer as a car does, with this wheelbase in metres and this steering angle in radians at most to each side.
    #[arg(long, value_name = "METRES,RADIANS")]
    car: Option<Car>,
    /// Have an autonomy of its own: serve Nav2's action /navigate_to_pose by driving straight to the goal, and publish the
    /// velocities that it wishes on /cmd_vel_nav.
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    autonomy: Option<bool>,
    /// Write the time in each stamped front picture, and from where it was drawn, to this file: a JSON line each. Needs --stamp
    /// and --no-people.
    #[arg(long, value_name = "FILE")]
    drawn: Option<PathBuf>,
    /// Let the cameras see what they saw when this file was written with --drawn, at the times in it, whatever the base does:
    /// the first pose before them, the last after. The file may come later; until then they see the world.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// An empty street, for measuring what people in the way would disturb.
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    no_people: Option<bool>,
}

/// The message that carries velocity commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CommandType {
    Twist,
    TwistStamped,
    AckermannDriveStamped,
}

impl From<CommandType> for Commands {
    fn from(commands: CommandType) -> Self {
        match commands {
            CommandType::Twist => Self::Twist,
            CommandType::TwistStamped => Self::TwistStamped,
            CommandType::AckermannDriveStamped => Self::AckermannDriveStamped,
        }
    }
}

/// One camera to run.
#[derive(Debug, Clone)]
pub(crate) struct CameraSettings {
    pub(crate) name: &'static str,
    pub(crate) socket: PathBuf,
    pub(crate) model: CameraModel,
    pub(crate) stamp: bool,
    pub(crate) drawn: Option<PathBuf>,
}

/// What was asked for, with all defaults filled in.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) ros_domain: u16,
    pub(crate) cameras: Vec<CameraSettings>,
    pub(crate) stats: Option<PathBuf>,
    pub(crate) trace: Option<PathBuf>,
    pub(crate) command_log: Option<PathBuf>,
    pub(crate) faults: Option<PathBuf>,
    pub(crate) replay: Option<PathBuf>,
    pub(crate) no_people: bool,
    pub(crate) autonomy: bool,
    pub(crate) commands: Commands,
    pub(crate) kinematics: Kinematics,
}

fn sized(mut model: CameraModel, size: Option<Size>, fps: Option<u32>) -> CameraModel {
    if let Some(size) = size {
        (model.width, model.height) = (size.width, size.height);
    }
    model.fps = fps.unwrap_or(model.fps);
    model
}

impl RunArgs {
    /// Joins the configuration file and the defaults to what the command line and the environment said.
    pub(crate) fn resolve(self) -> anyhow::Result<Settings> {
        let file = match &self.config {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("could not read {}", path.display()))?;
                toml::from_str(&text).with_context(|| format!("in {}", path.display()))?
            }
            None => Self::default(),
        };
        let settings = self.over(file);
        let drawn = settings.cameras.iter().any(|camera| camera.drawn.is_some());
        let all_told = settings.no_people && settings.cameras.iter().any(|camera| camera.stamp);
        anyhow::ensure!(!drawn || all_told, "--drawn needs --stamp and --no-people beside it");
        Ok(settings)
    }

    fn over(self, file: Self) -> Settings {
        let stamp = self.stamp.or(file.stamp).unwrap_or(false);
        let front = sized(
            CameraModel::FRONT,
            self.front_size.or(file.front_size),
            self.front_fps.or(file.front_fps),
        );
        let rear = sized(
            CameraModel::REAR,
            self.rear_size.or(file.rear_size),
            self.rear_fps.or(file.rear_fps),
        );
        let mut cameras = Vec::new();
        if let Some(socket) = self.camera_front.or(file.camera_front) {
            let drawn = self.drawn.or(file.drawn);
            cameras.push(CameraSettings { name: "front", socket, model: front, stamp, drawn });
        }
        if let Some(socket) = self.camera_rear.or(file.camera_rear) {
            let (stamp, drawn) = (false, None);
            cameras.push(CameraSettings { name: "rear", socket, model: rear, stamp, drawn });
        }
        let kinematics = self.car.or(file.car).map_or(Kinematics::Differential, |car| car.0);
        Settings {
            seed: self.seed.or(file.seed).unwrap_or(1),
            ros_domain: self.ros_domain.or(file.ros_domain).unwrap_or(0),
            cameras,
            stats: self.stats.or(file.stats),
            trace: self.trace.or(file.trace),
            command_log: self.command_log.or(file.command_log),
            faults: self.faults.or(file.faults),
            replay: self.replay.or(file.replay),
            autonomy: self.autonomy.or(file.autonomy).unwrap_or(false),
            no_people: self.no_people.or(file.no_people).unwrap_or(false),
            commands: self.commands.or(file.commands).map(Commands::from).unwrap_or_default(),
            kinematics,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file: RunArgs = toml::from_str("seed = 7\nfront-size = \"640x360\"").unwrap();
        let args = Cli::parse_from(["sim-robot", "--seed", "9", "--camera-front", "a.sock"]).run;
        let settings = args.over(file);
        assert_eq!(settings.seed, 9);
        assert_eq!(settings.cameras[0].model.width, 640);
        assert_eq!(settings.cameras[0].model.fps, 30);
        assert_eq!(settings.commands, Commands::Twist);
    }

    #[test]
    fn a_car_takes_its_measures() {
        let args = ["sim-robot", "--commands", "ackermann-drive-stamped", "--car", "0.5,0.4"];
        let settings = Cli::parse_from(args).run.over(RunArgs::default());
        assert_eq!(settings.commands, Commands::AckermannDriveStamped);
        let car = Kinematics::Ackermann { wheelbase_m: 0.5, steering_rad_max: 0.4 };
        assert_eq!(settings.kinematics, car);
        assert!(Cli::try_parse_from(["sim-robot", "--car", "0.5"]).is_err());
    }

    #[test]
    fn what_is_drawn_is_told_only_where_all_of_it_is() {
        let resolve = |more: &[&str]| {
            let args = ["sim-robot", "--camera-front", "a.sock", "--drawn", "drawn.jsonl"];
            Cli::parse_from(args.iter().chain(more)).run.resolve()
        };
        assert!(resolve(&["--stamp", "--no-people"]).is_ok());
        assert!(resolve(&["--stamp"]).is_err() && resolve(&["--no-people"]).is_err());
    }

    #[test]
    fn unknown_keys_and_odd_sizes_are_refused() {
        assert!(toml::from_str::<RunArgs>("sed = 7").is_err());
        assert!("641x360".parse::<Size>().is_err());
        assert!("640".parse::<Size>().is_err());
    }
}
