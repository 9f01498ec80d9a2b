//! The cameras follow what the link carries: bitrate, size and rate of the live video while a driver is connected.

use crate::clock;
use crate::leases::Leases;
use crate::link::rate::ladder::{self, Configured, Live};
use crate::link::rate::{Bounds, Congestion, Jam, Jammed, Punctuality, SMALL_FOR};
use crate::link::{Sending, Session};
use crate::media::{Camera, vp8};
use protocol::units::MonoNs;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(25);
/// Every so many looks the log gets it, for whoever wants to know.
const TOLD_EVERY: u32 = 8;
/// Less than this is no picture that anybody could drive by, bits a second.
const MIN_BPS: f64 = 120e3;
/// A path of which nothing is known gets this at first, and more within a second if it carries it.
const START_BPS: f64 = 1_500e3;
/// A far end that never reports gets what is configured.
const NO_REPORTS_AFTER: Duration = Duration::from_secs(3);
/// Frames are never further apart than this for want of room on the link; nor those of the cameras that look elsewhere.
const APART_MAX: Duration = Duration::from_millis(200);
const APART_MAX_OTHERS: Duration = Duration::from_secs(1);
/// The new beginning behind a jam waits so long for some room in the queue, which may be full to the brim. It would have
/// waited in there otherwise, or not have fitted in.
const ROOM_AFTER: Duration = Duration::from_millis(100);
/// And it must be small.
const JAMMED: f64 = 0.3;
/// Beyond this the bitrate counts as changed, as a share.
const CHANGE: f64 = 0.04;

fn configured(camera: &Camera) -> Configured {
    let config = camera.config();
    Configured { kbps: config.bitrate_kbps, fps: config.fps, scalable: camera.scalable() }
}

/// Limits for a link that carries these cameras.
pub(crate) fn sending(congestion: Congestion, cameras: &[Camera]) -> Sending {
    let kbps: u32 = cameras.iter().map(|camera| camera.config().bitrate_kbps).sum();
    let max_bps = (ladder::with_headers(f64::from(kbps)) * 1e3).max(MIN_BPS);
    let start_bps = START_BPS.min(max_bps);
    let bounds = Bounds { min_bps: MIN_BPS, start_bps, max_bps };
    Sending { audio: false, congestion, bounds, vp8: vp8::is_installed() }
}

/// Which camera looks where the robot goes.
fn first(cameras: &[Camera], backwards: bool) -> usize {
    let looks_back = |camera: &Camera| {
        let name = camera.config().name.to_ascii_lowercase();
        name.contains("rear") || name.contains("back")
    };
    cameras.iter().position(|camera| looks_back(camera) == backwards).unwrap_or(0)
}

/// Follows the path of `link` until it is over, and then leaves the cameras as they are configured.
pub(crate) async fn follow(link: Weak<Session>, leases: Arc<Leases>) {
    let mut begun = Instant::now();
    let mut set: Vec<Live> = Vec::new();
    let (mut punctuality, mut jam) = (Punctuality::default(), Jammed::default());
    let mut others_wait = false;
    let mut ticked = 0_u32;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(link) = link.upgrade().filter(|link| !link.is_over()) else { break };
        if !leases.is_driven_over(&link) {
            // A spare link beside the one that carries the drive: the cameras are that one's.
            begun = Instant::now();
            continue;
        }
        let cameras = leases.cameras();
        if set.len() != cameras.len() {
            set = cameras.iter().map(|camera| Live::full(&configured(camera))).collect();
        }
        let (path, overdue) = link.path();
        let target_bps = match path.target_bps {
            Some(target) => target / (1.0 + link.repair_share()),
            None if link.is_unlimited() || begun.elapsed() > NO_REPORTS_AFTER => f64::INFINITY,
            None => START_BPS,
        };
        let missed = |round_trip| punctuality.misses(Instant::now(), overdue, round_trip);
        let missed = path.round_trip.is_some_and(missed);
        let jam = jam.follow(Instant::now(), missed, path.queue_ms);
        let share = if jam == Jam::No { 1.0 } else { JAMMED };
        let first = first(cameras, leases.goes_backwards());
        apply(cameras, &mut set, share * target_bps, first);
        begin_anew(&link, cameras, first, jam, &mut others_wait);
        ticked += 1;
        if ticked.is_multiple_of(TOLD_EVERY) {
            let stats = link.stats();
            let nacked = stats.packets_nacked;
            let (keyframes, frames) = (stats.keyframes_asked, stats.frames_sent);
            let (playout_ms, repair) = (stats.playout_ms, link.repair_share());
            tracing::debug!(
                ?path,
                ?overdue,
                ?set,
                nacked,
                keyframes,
                frames,
                playout_ms,
                repair,
                "path"
            );
        }
        if missed {
            hold(cameras, first);
        }
    }
    if !leases.has_link() {
        apply(leases.cameras(), &mut set, f64::INFINITY, first(leases.cameras(), false));
    }
}

/// Behind a jam pictures begin anew: at once those of the camera that matters, and when they have got through those of the
/// others.
fn begin_anew(link: &Session, cameras: &[Camera], first: usize, jam: Jam, others_wait: &mut bool) {
    let others = cameras.iter().enumerate().filter(|(index, _)| *index != first);
    match jam {
        Jam::Begins => {
            if let Some(camera) = cameras.get(first) {
                camera.pause_live(until(ROOM_AFTER));
                link.begin_anew(camera.config().camera);
            }
            others.for_each(|(_, camera)| camera.hold_live(until(SMALL_FOR), APART_MAX_OTHERS));
            *others_wait = true;
        }
        Jam::No if std::mem::take(others_wait) => {
            others.for_each(|(_, camera)| link.begin_anew(camera.config().camera));
        }
        Jam::No | Jam::Begun => {}
    }
}

/// Leaves out frames for a moment: all but five a second of the camera that matters, nearly all of the others.
fn hold(cameras: &[Camera], first: usize) {
    for (index, camera) in cameras.iter().enumerate() {
        camera
            .hold_live(until(2 * EVERY), if index == first { APART_MAX } else { APART_MAX_OTHERS });
    }
}

fn until(time: Duration) -> MonoNs {
    MonoNs(clock::mono_ns().0 + u64::try_from(time.as_nanos()).unwrap_or(0))
}

fn apply(cameras: &[Camera], set: &mut [Live], target_bps: f64, first: usize) {
    let all: Vec<Configured> = cameras.iter().map(configured).collect();
    let shares = ladder::shares(&all, first, target_bps);
    for (((camera, configured), kbps), now) in cameras.iter().zip(&all).zip(shares).zip(set) {
        let next = ladder::live(configured, kbps, *now);
        let changed = (f64::from(next.kbps) / f64::from(now.kbps.max(1)) - 1.0).abs() > CHANGE;
        let at_top = next.kbps == configured.kbps && now.kbps != next.kbps;
        let otherwise = (next.fps, next.scale) != (now.fps, now.scale);
        if changed || at_top || otherwise {
            let config = camera.config();
            let scaled = |side: u32| side * next.scale / 1_000;
            camera.set_live(next.kbps, next.fps, scaled(config.width), scaled(config.height));
            *now = next;
        }
    }
}
