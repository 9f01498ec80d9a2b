//! Rows at a constant rate, sampled from what happened when it happened.

use super::series::{Fix, Safety, Telemetry};
use anyhow::{Context, ensure};
use protocol::units::{EARTH_RADIUS_M, GeoPoint};

/// A command older than this moves nothing: the row's action is a stop.
const COMMAND_AGE_NS_MAX: u64 = 500_000_000;
/// How long the rows wait for the first GNSS fix; an episode without one begins without it.
const FIX_WAIT_NS_MAX: u64 = 5_000_000_000;
/// The safety core left less speed than the driver asked for, by more than its ramps explain.
const INTERVENTION_MPS: f64 = 0.1;
/// Longest episode: an MP4 of its own, and `float32` times that stay exact enough for its readers.
pub const FRAMES_MAX: usize = 1_000_000;

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Speed, turn rate, heading (sine, cosine), way from the start in the frame of the odometry.
    pub state: [f64; 6],
    /// Latitude, longitude, altitude; NaN before the first fix.
    pub gnss: [f64; 3],
    /// East and north of the episode's first fix; NaN before it.
    pub local_m: [f64; 2],
    /// Horizontal accuracy, kind of fix.
    pub gnss_quality: [f64; 2],
    /// What the driver asked for.
    pub action: [f64; 2],
    /// What the base was told.
    pub executed: [f64; 2],
    /// Whether the safety core held the robot back.
    pub intervention: bool,
    /// When the front picture was captured: robot's UTC.
    pub capture_time_ns: i64,
    /// How old it is at the row's instant.
    pub camera_age_ms: f64,
    /// Age of the picture that the driver acted on; NaN when unknown.
    pub loop_latency_ms: f64,
    /// Number of the safety state.
    pub safety_state: i64,
}

/// The rows of an episode and the pictures that they show.
#[derive(Debug)]
pub struct Grid {
    /// Instant of the first row: robot's UTC.
    pub start_ns: u64,
    /// The rows.
    pub rows: Vec<Row>,
    /// For each camera, in the order of its names, the index of the picture of each row.
    pub shown: Vec<Vec<usize>>,
}

/// Samples an episode `fps` times a second, for `cameras`, the first of which is the main one.
pub fn sample(telemetry: &Telemetry, cameras: &[String], fps: u32) -> anyhow::Result<Grid> {
    let index = |name: &String| {
        telemetry.cameras.get(name).with_context(|| format!("there is no camera {name:?}"))
    };
    let videos = cameras.iter().map(index).collect::<anyhow::Result<Vec<_>>>()?;
    let main = videos.first().context("no camera")?;
    let firsts = videos
        .iter()
        .map(|video| Some(video.pictures().first()?.captured_ns))
        .collect::<Option<Vec<_>>>()
        .context("a camera has no picture that can be decoded")?;
    let end_ns = main.pictures().last().map_or(0, |picture| picture.captured_ns);
    let odometry = telemetry.motion.first().context("there is no odometry")?.0;
    let pictures = firsts.into_iter().max().unwrap_or(0).max(odometry);
    let start_ns = match telemetry.fix.first() {
        Some((first, _)) if first.saturating_sub(pictures) <= FIX_WAIT_NS_MAX => {
            pictures.max(*first)
        }
        _ => pictures,
    };
    ensure!(start_ns <= end_ns, "cameras and odometry do not overlap in time");
    let origin = telemetry.fix.first().map(|(_, fix)| *fix);
    let (mut rows, mut shown) = (Vec::new(), vec![Vec::new(); videos.len()]);
    for k in 0.. {
        let at_ns = start_ns + k * 1_000_000_000 / u64::from(fps);
        if at_ns > end_ns {
            break;
        }
        ensure!(rows.len() < FRAMES_MAX, "longer than {FRAMES_MAX} frames: choose a lower --fps");
        for (video, shown) in videos.iter().zip(&mut shown) {
            shown.push(video.at(at_ns).context("a camera begins too late")?);
        }
        let picture = main
            .at(at_ns)
            .and_then(|index| main.pictures().get(index))
            .context("the main camera begins too late")?;
        rows.push(row(telemetry, origin.as_ref(), at_ns, picture.captured_ns)?);
    }
    Ok(Grid { start_ns, rows, shown })
}

fn row(
    telemetry: &Telemetry,
    origin: Option<&Fix>,
    at_ns: u64,
    captured_ns: u64,
) -> anyhow::Result<Row> {
    let (_, motion) = telemetry.motion.at(at_ns).context("no odometry")?;
    let start = telemetry.motion.first().map_or([0.0; 2], |(_, first)| [first.x_m, first.y_m]);
    let fix = telemetry.fix.at(at_ns).map(|(_, fix)| fix);
    let safety = telemetry.safety.at(at_ns).map(|(_, safety)| *safety);
    let action = telemetry
        .command
        .at(at_ns)
        .filter(|(sent, _)| at_ns - sent <= COMMAND_AGE_NS_MAX)
        .map_or([0.0; 2], |(_, command)| *command);
    let age_ms = std::time::Duration::from_nanos(at_ns - captured_ns).as_secs_f64() * 1e3;
    Ok(Row {
        state: [
            motion.linear_mps,
            motion.angular_radps,
            motion.heading_rad.sin(),
            motion.heading_rad.cos(),
            motion.x_m - start[0],
            motion.y_m - start[1],
        ],
        gnss: fix.map_or([f64::NAN; 3], |fix| [fix.lat_deg, fix.lon_deg, fix.alt_m]),
        local_m: fix.zip(origin).map_or([f64::NAN; 2], |(fix, origin)| local_m(origin, fix)),
        gnss_quality: fix.map_or([f64::NAN, 0.0], |fix| [fix.h_acc_m, fix.kind]),
        action,
        executed: telemetry.executed.at(at_ns).map_or([0.0; 2], |(_, executed)| *executed),
        intervention: safety.is_some_and(|safety| intervenes(&safety, action)),
        capture_time_ns: i64::try_from(captured_ns)?,
        camera_age_ms: age_ms,
        loop_latency_ms: safety.map_or(f64::NAN, |safety| safety.loop_latency_ms),
        safety_state: safety.map_or(0, |safety| i64::from(safety.state)),
    })
}

fn intervenes(safety: &Safety, action: [f64; 2]) -> bool {
    let wanted_mps = action[0].abs();
    safety.stopped
        || (safety.state == 2 && safety.limited_mps.abs() + INTERVENTION_MPS < wanted_mps)
}

/// Metres east and north of `origin`, on the tangent plane: exact to a centimetre over a few kilometres.
fn local_m(origin: &Fix, fix: &Fix) -> [f64; 2] {
    let from = GeoPoint { lat_deg: origin.lat_deg, lon_deg: origin.lon_deg };
    let east = (fix.lon_deg - from.lon_deg).to_radians() * from.lat_deg.to_radians().cos();
    let north = (fix.lat_deg - from.lat_deg).to_radians();
    [east * EARTH_RADIUS_M, north * EARTH_RADIUS_M]
}
