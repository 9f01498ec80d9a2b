//! Rows at a constant rate, sampled from what happened when it happened.

use super::series::{Fix, Telemetry};
use super::video_index::VideoIndex;
use anyhow::{Context, ensure};
use protocol::safety::SafetyState;
use protocol::units::{EARTH_RADIUS_M, GeoPoint};

/// A command older than this moves nothing: the row's action is a stop.
const COMMAND_AGE_NS_MAX: u64 = 500_000_000;
/// How long the rows wait for the first GNSS fix; an episode without one begins without it.
const FIX_WAIT_NS_MAX: u64 = 5_000_000_000;
/// The safety core left less speed than the driver asked for, by more than rounding explains.
const INTERVENTION_MPS: f64 = 0.1;
/// A command that came this shortly before a decision may not have been part of it.
const DECISION_NS: u64 = 30_000_000;
/// Faster than this a robot that is held still is being stopped, not standing.
const STANDING_MPS: f64 = 0.1;
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
    /// Whether the safety core held the robot back: the driver asked for more speed than it left, or it stopped a
    /// robot that was driving.
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

/// When rows stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// So many times a second.
    Rate(u32),
    /// At the capture of each picture of the main camera, from a keyframe on.
    MainCamera,
}

/// Samples an episode for `cameras`, the first of which is the main one.
pub fn sample(telemetry: &Telemetry, cameras: &[String], clock: Clock) -> anyhow::Result<Grid> {
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
    let instants = match clock {
        Clock::Rate(fps) => (0..)
            .map(|k| start_ns + k * 1_000_000_000 / u64::from(fps))
            .take_while(|at_ns| *at_ns <= end_ns)
            .take(FRAMES_MAX + 1)
            .collect(),
        Clock::MainCamera => captures(main, start_ns)?,
    };
    ensure!(instants.len() <= FRAMES_MAX, "longer than {FRAMES_MAX} frames: choose a lower --fps");
    for at_ns in &instants {
        for (video, shown) in videos.iter().zip(&mut shown) {
            shown.push(video.at(*at_ns).context("a camera begins too late")?);
        }
        let picture = main
            .at(*at_ns)
            .and_then(|index| main.pictures().get(index))
            .context("the main camera begins too late")?;
        rows.push(row(telemetry, origin.as_ref(), *at_ns, picture.captured_ns)?);
    }
    let start_ns = instants.first().copied().context("no rows")?;
    Ok(Grid { start_ns, rows, shown })
}

/// When each picture from the first keyframe after `start_ns` on was captured.
fn captures(main: &VideoIndex, start_ns: u64) -> anyhow::Result<Vec<u64>> {
    let pictures = main.pictures();
    let first = pictures
        .iter()
        .position(|picture| picture.keyframe && picture.captured_ns >= start_ns)
        .context(
            "no keyframe comes after odometry, GNSS and all cameras began: leave --copy-video out",
        )?;
    let times: Vec<u64> = pictures.iter().skip(first).map(|picture| picture.captured_ns).collect();
    ensure!(
        times.is_sorted_by(|one, next| one < next),
        "the clock stepped back during the drive: leave --copy-video out"
    );
    Ok(times)
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
        intervention: intervenes(telemetry, at_ns, action, motion.linear_mps),
        capture_time_ns: i64::try_from(captured_ns)?,
        camera_age_ms: age_ms,
        loop_latency_ms: safety.map_or(f64::NAN, |safety| safety.loop_latency_ms),
        safety_state: safety.map_or(0, |safety| i64::from(safety.state)),
    })
}

/// Asked for speed against speed left, both as they were when the safety core decided: what it left is recorded
/// less often than what the driver asked for.
fn intervenes(telemetry: &Telemetry, at_ns: u64, action: [f64; 2], speed_mps: f64) -> bool {
    let Some((_, safety)) = telemetry.safety.at(at_ns) else { return false };
    if safety.stopped {
        return action != [0.0; 2] || speed_mps.abs() > STANDING_MPS;
    }
    let Some((decided_ns, left)) = telemetry.limited.at(at_ns) else { return false };
    let asked_mps = |at_ns: u64| {
        let fresh = telemetry.command.at(at_ns);
        let fresh = fresh.filter(|(sent, _)| at_ns - sent <= COMMAND_AGE_NS_MAX);
        fresh.map_or(0.0, |(_, command)| command[0].abs())
    };
    let asked_mps = asked_mps(*decided_ns).min(asked_mps(decided_ns.saturating_sub(DECISION_NS)));
    safety.state == SafetyState::Driving.as_u8() && left[0].abs() + INTERVENTION_MPS < asked_mps
}

/// Metres east and north of `origin`, on the tangent plane: exact to a centimetre over a few kilometres.
fn local_m(origin: &Fix, fix: &Fix) -> [f64; 2] {
    let from = GeoPoint { lat_deg: origin.lat_deg, lon_deg: origin.lon_deg };
    let east = (fix.lon_deg - from.lon_deg).to_radians() * from.lat_deg.to_radians().cos();
    let north = (fix.lat_deg - from.lat_deg).to_radians();
    [east * EARTH_RADIUS_M, north * EARTH_RADIUS_M]
}

#[cfg(test)]
mod tests {
    use super::super::series::Safety;
    use super::*;

    const MS: u64 = 1_000_000;

    /// A driver who asks for `asked_mps` from 0 ms on, and a safety core that decided at 100 ms.
    fn decided(state: SafetyState, asked_mps: f64, left_mps: f64) -> Telemetry {
        let mut telemetry = Telemetry::default();
        let stopped = state == SafetyState::Stopped;
        let safety = Safety { state: state.as_u8(), stopped, loop_latency_ms: 40.0 };
        telemetry.safety.push(100 * MS, safety);
        telemetry.command.push(0, [asked_mps, 0.0]);
        telemetry.limited.push(100 * MS, [left_mps, 0.0]);
        telemetry
    }

    #[test]
    fn holding_back_is_told_from_starting_and_standing() {
        let asks = [1.5, 0.0];
        let obeyed = decided(SafetyState::Driving, 1.5, 1.5);
        assert!(!intervenes(&obeyed, 200 * MS, asks, 0.2));
        let slowed = decided(SafetyState::Driving, 1.5, 0.5);
        assert!(intervenes(&slowed, 200 * MS, asks, 1.5));
        // The driver pushed the stick after the decision that is known.
        let mut starting = decided(SafetyState::Driving, 0.1, 0.1);
        starting.command.push(150 * MS, asks);
        assert!(!intervenes(&starting, 200 * MS, asks, 0.1));
        let stopped = decided(SafetyState::Stopped, 0.0, 0.0);
        assert!(!intervenes(&stopped, 200 * MS, [0.0; 2], 0.01), "it only stands");
        assert!(intervenes(&stopped, 200 * MS, [0.0; 2], 0.8), "it is being stopped");
        assert!(intervenes(&stopped, 200 * MS, asks, 0.0), "the driver wants to go");
        assert!(!intervenes(&stopped, 50 * MS, asks, 0.0), "nothing was decided yet");
    }
}
