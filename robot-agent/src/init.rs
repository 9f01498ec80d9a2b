//! `robot-agent init`: writes a configuration with comments, after a look at the ROS graph and the cameras.

mod cameras;
mod pictures;

use crate::config::Config;
use anyhow::{Context, Result, bail};
use ros_bridge::Topics;
use ros_bridge::kinematics::Commands;
use ros_bridge::survey::{Endpoint, Survey};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

pub(crate) use cameras::{Found, look};
pub(crate) use pictures::{PicturesFound, look as look_at_pictures};

/// What the file is written from.
pub(crate) struct Seen {
    pub(crate) data: PathBuf,
    /// The domain that was listened to, if it was asked for.
    pub(crate) domain_id: Option<u16>,
    pub(crate) survey: Survey,
    pub(crate) cameras: Vec<Found>,
    pub(crate) pictures: Vec<PicturesFound>,
}

/// The topics: key, default name, type.
fn topics(commands: Commands) -> [(&'static str, String, &'static str); 8] {
    let Topics { odometry, imu, field, fix, battery, scan, wheels, cmd_vel, .. } =
        Topics::default();
    [
        ("cmd_vel", cmd_vel, commands.message()),
        ("odometry", odometry, "nav_msgs/msg/Odometry"),
        ("imu", imu, "sensor_msgs/msg/Imu"),
        ("field", field, "sensor_msgs/msg/MagneticField"),
        ("fix", fix, "sensor_msgs/msg/NavSatFix"),
        ("battery", battery, "sensor_msgs/msg/BatteryState"),
        ("scan", scan, "sensor_msgs/msg/LaserScan"),
        ("wheels", wheels, "sensor_msgs/msg/JointState"),
    ]
}

/// The configuration as text. It is checked as any other before it is given.
pub(crate) fn text(seen: &Seen) -> Result<String> {
    let text = head(seen)
        + &ros(&seen.survey)
        + &policy(&seen.survey)
        + &cameras(&seen.cameras)
        + &pictures::text(&seen.pictures);
    Config::parse(&text).context("what was written is no configuration; please report this")?;
    Ok(text)
}

fn head(seen: &Seen) -> String {
    let domain = match seen.domain_id {
        Some(domain_id) => format!("ros_domain_id = {domain_id}\n"),
        None => "# ros_domain_id = 0\n".to_owned(),
    };
    format!(
        "# Longrein's agent on this robot. Every key, with its unit, bounds and default: robot-agent config docs\n\
         # After a change: robot-agent config check, then robot-agent doctor.\n\n\
         # Key, enrolment and episodes.\n\
         data = {:?}\n\
         # DDS domain of the base's drivers. Without it ROS_DOMAIN_ID counts, and then 0.\n\
         {domain}\n",
        seen.data.display().to_string()
    )
}

fn ros(survey: &Survey) -> String {
    let commands = commands(&survey.readers);
    let mut text = match commands {
        Commands::Twist => String::new(),
        Commands::TwistStamped => {
            "# The base takes its commands with their time.\n[ros]\ncommands = \"twist_stamped\"\n\n".to_owned()
        }
        Commands::AckermannDriveStamped => "# The base steers as a car does: measure it.\n[base]\nkind = \"ackermann\"\n\
             # wheelbase_m = 0.5\n# steering_angle_rad_max = 0.4\n\n[ros]\ncommands = \"ackermann_drive_stamped\"\n\n"
            .to_owned(),
    };
    text.push_str(
        "# Topics, where they are not the usual ones. What follows was found when this file was written.\n[ros.topics]\n",
    );
    for (key, usual, message) in topics(commands) {
        let endpoints = if key == "cmd_vel" { &survey.readers } else { &survey.writers };
        let mut names: Vec<&str> =
            endpoints.iter().filter(|e| e.message == message).map(|e| e.topic.as_str()).collect();
        names.dedup();
        let side = if key == "cmd_vel" { "subscribed" } else { "published" };
        // Writing to a string does not fail.
        _ = if names.contains(&usual.as_str()) {
            writeln!(text, "# {key} = {usual:?}  # {message}: {side}")
        } else if let Some(name) = names.iter().max_by_key(|name| likeness(name, &usual)) {
            let more = others(&names, name);
            writeln!(text, "{key} = {name:?}  # {message}: {side}{more}")
        } else {
            writeln!(text, "# {key} = {usual:?}  # {message}: NOT {side}")
        };
    }
    text.push('\n');
    text.push_str(&close(survey));
    text
}

/// Range sensors and bumpers that may be there. Where they sit, and whether a flag is a bumper, only the owner knows.
fn close(survey: &Survey) -> String {
    let mut text = String::new();
    for writer in &survey.writers {
        _ = match writer.message.as_str() {
            "sensor_msgs/msg/Range" => write!(
                text,
                "# A range sensor was found: say where it sits.\n# [[ros.range]]\n# topic = {:?}\n# kind = \"obstacle\"  \
                 # or \"drop\"\n# yaw_rad = 0.0\n# x_m = 0.3\n\n",
                writer.topic
            ),
            "std_msgs/msg/Bool" if writer.topic.contains("bump") => write!(
                text,
                "# What may be a bumper was found.\n# [[ros.bumper]]\n# topic = {:?}\n# side = \"front\"\n\n",
                writer.topic
            ),
            _ => Ok(()),
        };
    }
    text
}

/// The type of command that some base takes: ours unless only others are there.
fn commands(readers: &[Endpoint]) -> Commands {
    let taken = |commands: &Commands| readers.iter().any(|r| r.message == commands.message());
    Commands::ALL.into_iter().find(taken).unwrap_or_default()
}

/// How much the last parts of two names are alike, in thousandths.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
fn likeness(name: &str, usual: &str) -> u32 {
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    (strsim::jaro_winkler(&last(name), &last(usual)) * 1_000.0) as u32
}

fn others(names: &[&str], chosen: &str) -> String {
    let others: Vec<&str> = names.iter().copied().filter(|name| *name != chosen).collect();
    if others.is_empty() { String::new() } else { format!("; as are {}", others.join(", ")) }
}

fn policy(survey: &Survey) -> String {
    let scanner = survey.writers.iter().any(|w| w.message == "sensor_msgs/msg/LaserScan");
    let guard = if scanner {
        "# A laser scanner was found: it slows the robot down before obstacles. Measure these on your robot.\n\
         [policy.obstacle_guard]\n\
         # half_width_m = 0.3\n# front_m = 0.35\n# rear_m = 0.35\n# scanner_x_m = 0.0\n"
    } else {
        "# No laser scanner was found. Without one the robot does not drive, unless you say that it may, on pictures\n\
         # alone.\n\
         [policy.obstacle_guard]\n\
         # active = false\n"
    };
    format!(
        "# What the robot may do at most; docs/safety.md tells what it stops for.\n\
         [policy]\n\
         speed_mps_max = 1.0\n\
         # reverse_mps_max = 0.8\n\
         # turn_radps_max = 1.5\n\n{guard}\n"
    )
}

fn cameras(found: &[Found]) -> String {
    let mut text = String::from(
        "# Cameras, the front one first: put them in order and give them names. Any source of GStreamer will do, such as\n\
         #   rtspsrc location=rtsp://192.0.2.9/stream latency=0 ! rtph264depay ! avdec_h264\n\
         #   libcamerasrc ! video/x-raw,width=1280,height=720,framerate=30/1\n\
         #   shmsrc socket-path=/run/camera is-live=true do-timestamp=true ! video/x-raw,format=I420,width=1280,\
         height=720,framerate=30/1\n\
         # The best encoder that works is taken; pin one with, for example, encoder = \"x264enc\".\n",
    );
    if found.is_empty() {
        text.push_str(
            "# No camera was found when this file was written.\n\
             # [[camera]]\n# name = \"front\"\n\
             # source = \"v4l2src device=/dev/video0 ! video/x-raw,width=1280,height=720,framerate=30/1\"\n\
             # width = 1280\n# height = 720\n# fps = 30\n# bitrate_kbps = 2500\n",
        );
    }
    for (number, camera) in found.iter().take(8).enumerate() {
        let name = if number == 0 { "front".to_owned() } else { format!("camera{}", number + 1) };
        let Found { description, source, width, height, fps } = camera;
        let side = |side: &i32| u32::try_from(*side).unwrap_or(0);
        let bitrate_kbps = bitrate_kbps(side(width), side(height));
        let description = description.replace('\n', " ");
        _ = write!(
            text,
            "\n# {description}\n[[camera]]\nname = {name:?}\nsource = {source:?}\nwidth = {width}\nheight = {height}\n\
             fps = {fps}\nbitrate_kbps = {bitrate_kbps}\n"
        );
    }
    text
}

/// A rate that suits a picture's size.
fn bitrate_kbps(width: u32, height: u32) -> u32 {
    if u64::from(width) * u64::from(height) > 640 * 480 { 2_500 } else { 800 }
}

/// Writes the file; one that is there is overwritten only with `force`.
pub(crate) fn write(path: &Path, text: &str, force: bool) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).truncate(true);
    if force {
        options.create(true)
    } else {
        options.create_new(true)
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
            "{} is there already: it is overwritten only with --force; or choose another with --config",
            path.display()
        ),
        Err(error) => return Err(error).with_context(|| format!("writing {}", path.display())),
    };
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(topic: &str, message: &str) -> Endpoint {
        Endpoint {
            topic: topic.to_owned(),
            message: message.to_owned(),
            reliable: true,
            lasting: false,
            deadline: false,
        }
    }

    fn seen(survey: Survey, cameras: Vec<Found>) -> Seen {
        let data = "/var/lib/long\"rein".into();
        Seen { data, domain_id: Some(7), survey, cameras, pictures: Vec::new() }
    }

    #[test]
    fn what_was_found_is_in_the_file() {
        let survey = Survey {
            writers: vec![
                endpoint("/odom", "nav_msgs/msg/Odometry"),
                endpoint("/camera/imu", "sensor_msgs/msg/Imu"),
                endpoint("/gnss/fix", "sensor_msgs/msg/NavSatFix"),
                endpoint("/gnss/raw", "sensor_msgs/msg/NavSatFix"),
                endpoint("/range/left", "sensor_msgs/msg/Range"),
                endpoint("/scan", "sensor_msgs/msg/LaserScan"),
            ],
            readers: vec![endpoint("/base/cmd_vel", "geometry_msgs/msg/Twist")],
            expected: Vec::new(),
        };
        let camera = Found {
            description: "A \"camera\"\nof two lines".to_owned(),
            source: "v4l2src device=/dev/video0".to_owned(),
            width: 1280,
            height: 720,
            fps: 30,
        };
        let small = Found { width: 640, height: 480, ..camera.clone() };
        let text = text(&seen(survey, vec![camera, small])).unwrap();
        let config = Config::parse(&text).unwrap();
        let topics = &config.ros.topics;
        assert_eq!(config.ros_domain_id, Some(7));
        assert_eq!(config.data, Path::new("/var/lib/long\"rein"));
        assert_eq!(topics.cmd_vel, "/base/cmd_vel");
        assert_eq!((topics.odometry.as_str(), topics.imu.as_str()), ("/odom", "/camera/imu"));
        assert_eq!(topics.fix, "/gnss/fix", "the name that is most alike");
        assert!(text.contains("as are /gnss/raw"));
        assert!(text.contains("# topic = \"/range/left\""));
        assert!(text.contains("sensor_msgs/msg/BatteryState: NOT published"));
        let cameras: Vec<_> =
            config.cameras.iter().map(|c| (c.name.as_str(), c.bitrate_kbps)).collect();
        assert_eq!(cameras, [("front", 2_500), ("camera2", 800)]);
        assert!(config.policy.obstacle_guard.active);
    }

    #[test]
    fn a_robot_that_shows_nothing_gets_a_file_that_says_so() {
        let readers = vec![endpoint("/cmd_vel", "geometry_msgs/msg/TwistStamped")];
        let text = text(&seen(Survey { readers, ..Survey::default() }, Vec::new())).unwrap();
        let config = Config::parse(&text).unwrap();
        assert!(config.cameras.is_empty() && config.policy.obstacle_guard.active);
        assert_eq!(config.ros.topics, Topics::default());
        assert_eq!(config.ros.commands, Commands::TwistStamped);
        for words in ["No camera was found", "No laser scanner was found"] {
            assert!(text.contains(words), "{text}");
        }
        let readers = vec![endpoint("/drive", Commands::AckermannDriveStamped.message())];
        let text = super::text(&seen(Survey { readers, ..Survey::default() }, Vec::new())).unwrap();
        let config = Config::parse(&text).unwrap();
        assert_eq!(config.base.kind, crate::config::BaseKind::Ackermann);
        assert_eq!(config.ros.topics.cmd_vel, "/drive");
    }

    #[test]
    fn topics_of_pictures_are_offered_and_only_the_owner_takes_them() {
        use ros_bridge::pictures::PictureType;
        let pictures = |topic: &str, size| PicturesFound {
            topic: topic.to_owned(),
            message: PictureType::CompressedImage,
            size,
            fps: 15,
        };
        let found = vec![
            pictures("/camera/compressed", Some(Ok((640, 360)))),
            pictures("/thermal", Some(Err("why".to_owned()))),
            pictures("/silent", None),
        ];
        let seen = Seen { pictures: found, ..seen(Survey::default(), Vec::new()) };
        let text = text(&seen).unwrap();
        assert!(Config::parse(&text).unwrap().cameras.is_empty());
        assert!(text.contains("cannot be shown: why") && text.contains("none came"), "{text}");
        // Its comments taken away, an offer is a camera.
        let offer = text.split_once("# Pictures were found on a ROS topic").unwrap().1;
        let offer = offer.split("\n\n").next().unwrap().split_once('\n').unwrap().1;
        let config = Config::parse(&format!("data = \"/x\"\n{}", offer.replace("# ", ""))).unwrap();
        let camera = &config.cameras[0];
        assert_eq!(camera.ros_topic.as_deref(), Some("/camera/compressed"));
        assert_eq!((camera.width, camera.height, camera.fps), (640, 360, 15));
    }

    #[test]
    fn a_file_is_never_overwritten_unless_forced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("etc/robot.toml");
        write(&path, "one, a long one", false).unwrap();
        assert!(write(&path, "two", false).unwrap_err().to_string().contains("--force"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one, a long one");
        write(&path, "two", true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
    }
}
