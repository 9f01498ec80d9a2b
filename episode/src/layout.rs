//! What an episode's folder holds: names of files and topics.

/// Sensors, commands and decisions: zstd chunks.
pub const TELEMETRY: &str = "telemetry.mcap";
/// The signed manifest. Its presence says that the episode is sealed.
pub const MANIFEST: &str = "manifest.dsse.json";
/// What is needed to seal an episode after a crash. Its presence says that the episode is not sealed yet.
pub const OPEN: &str = "episode.open.json";
/// The fleet's signed receipt, kept beside an accepted episode. The only file that the manifest does not name.
pub const INGEST_RECEIPT: &str = "ingest.dsse.json";

/// Longest name of a file in an episode.
pub const NAME_LEN_MAX: usize = 64;
/// Longest manifest that is read, bytes: enough for an episode of 100 GB.
pub const MANIFEST_LEN_MAX: u64 = 16 * 1024 * 1024;

/// File of the camera `name`.
pub fn camera_file(name: &str) -> String {
    format!("camera_{name}.mcap")
}

/// Topic of the camera `name`.
pub fn camera_topic(name: &str) -> String {
    format!("/camera/{name}")
}

/// The camera whose file `file` is.
pub fn camera_of_file(file: &str) -> Option<&str> {
    file.strip_prefix("camera_")?.strip_suffix(".mcap")
}

/// Whether `name` may name a camera: 1 to 32 of `a-z`, `0-9` and `_`.
pub fn is_camera_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Whether a manifest may name `name`: the telemetry file or a camera's. Nothing that leads out of the folder
/// passes.
pub fn is_recording(name: &str) -> bool {
    name.len() <= NAME_LEN_MAX
        && (name == TELEMETRY || camera_of_file(name).is_some_and(is_camera_name))
}

/// Topics of `telemetry.mcap`.
pub mod topic {
    /// `nav_msgs/msg/Odometry`.
    pub const ODOM: &str = "/odom";
    /// `sensor_msgs/msg/Imu`.
    pub const IMU: &str = "/imu";
    /// `sensor_msgs/msg/MagneticField`; empty on a robot without a magnetometer.
    pub const FIELD: &str = "/imu/mag";
    /// `sensor_msgs/msg/NavSatFix`.
    pub const FIX: &str = "/fix";
    /// `sensor_msgs/msg/BatteryState`.
    pub const BATTERY: &str = "/battery_state";
    /// `sensor_msgs/msg/LaserScan`.
    pub const SCAN: &str = "/scan";
    /// `sensor_msgs/msg/Range` of all range sensors; the frame tells which. Empty on a robot without.
    pub const RANGE: &str = "/range";
    /// `sensor_msgs/msg/JointState`: wheel speeds.
    pub const JOINT_STATES: &str = "/joint_states";
    /// `longrein_msgs/msg/DriveCommand`, as the driver sent it.
    pub const COMMAND: &str = "/longrein/command";
    /// `geometry_msgs/msg/TwistStamped` after the safety core.
    pub const LIMITED: &str = "/longrein/limited";
    /// `geometry_msgs/msg/TwistStamped` after the governor: what the base was told.
    pub const EXECUTED: &str = "/longrein/executed";
    /// `longrein_msgs/msg/SafetyStep`, for replay.
    pub const SAFETY_STEP: &str = "/longrein/safety_step";
    /// `longrein_msgs/msg/SafetyState`.
    pub const SAFETY: &str = "/longrein/safety";
    /// `longrein_msgs/msg/LinkStats`.
    pub const LINK: &str = "/longrein/link";
    /// `longrein_msgs/msg/Event` whose `json` is the driver's signed receipt.
    pub const RECEIPT: &str = "/longrein/receipt";
    /// `longrein_msgs/msg/Event`: hazards, interventions, renewed leases, clock offsets.
    pub const EVENT: &str = "/longrein/event";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_no_recordings() {
        assert!(is_recording("telemetry.mcap") && is_recording("camera_front.mcap"));
        for bad in [
            "",
            ".",
            "..",
            "../telemetry.mcap",
            "/etc/passwd",
            "camera_.mcap",
            "camera_a/../b.mcap",
            "camera_A.mcap",
            "camera_front.mcap ",
            "telemetry.mcap\0",
            "manifest.dsse.json",
            &format!("camera_{}.mcap", "a".repeat(60)),
        ] {
            assert!(!is_recording(bad), "{bad:?}");
        }
    }
}
