//! From a bitrate to what each camera makes of it: bitrate first, then size, then frames a second.

/// Never fewer frames a second than this: slower pictures are no driving.
pub const FPS_MIN: u32 = 5;
/// Sizes, as shares of the configured width and height, in thousandths.
pub const SCALES: [u32; 4] = [1_000, 667, 500, 334];
/// Part of the path's bitrate that pictures get; the rest is headers, repair, telemetry and sound.
const PICTURES: f64 = 0.9;
/// A camera away from the direction of travel gets this share while the budget is short.
const OTHER_SHARE: f64 = 0.18;
/// Bits per pixel and frame, as a share of the configured, below which pictures become smaller.
const SMALLER_BELOW: f64 = 0.45;
/// And below which, at the least size or where the size must stay, there are fewer of them. Low: few pictures jump, and one
/// that is lost then shows as a freeze.
const FEWER_BELOW: f64 = 0.15;
/// A step back up needs this much more than the step down.
const BACK_UP: f64 = 1.35;

/// A camera as it is configured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Configured {
    /// Kilobits a second.
    pub kbps: u32,
    /// Frames a second.
    pub fps: u32,
    /// Whether the size of its pictures may change while it runs.
    pub scalable: bool,
}

/// What a camera's live encoder is to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// Kilobits a second.
    pub kbps: u32,
    /// Frames a second.
    pub fps: u32,
    /// Width and height in thousandths of the configured: one of [`SCALES`].
    pub scale: u32,
}

impl Live {
    /// As configured.
    pub fn full(configured: &Configured) -> Self {
        Self { kbps: configured.kbps, fps: configured.fps, scale: SCALES[0] }
    }
}

/// What pictures of so much need on the way.
pub fn with_headers(kbps: f64) -> f64 {
    kbps / PICTURES
}

/// Each camera's part of `target_bps`, kilobits a second. `first` is the camera in the direction of travel: it is
/// served first, and what it does not need is the others'.
pub fn shares(cameras: &[Configured], first: usize, target_bps: f64) -> Vec<f64> {
    let total: f64 = cameras.iter().map(|camera| f64::from(camera.kbps)).sum();
    let budget = (target_bps * PICTURES / 1e3).min(total);
    let others: f64 = total - cameras.get(first).map_or(0.0, |camera| f64::from(camera.kbps));
    let first_kbps = total - others;
    // What the others get at least, together, and what is left when the first has all that it wants.
    let least = if others > 0.0 { (budget * OTHER_SHARE).min(others) } else { 0.0 };
    let for_others = least.max(budget - first_kbps);
    cameras
        .iter()
        .enumerate()
        .map(|(n, camera)| {
            if n == first {
                budget - for_others
            } else {
                for_others * f64::from(camera.kbps) / others
            }
        })
        .collect()
}

/// What a camera makes of `kbps`, given what it does now.
pub fn live(configured: &Configured, kbps: f64, now: Live) -> Live {
    let full = f64::from(configured.kbps.max(1));
    let share = (kbps / full).clamp(0.0, 1.0);
    let scales = if configured.scalable { &SCALES[..] } else { &SCALES[..1] };
    // Bits for each pixel, as a share of the configured, at a size.
    let quality = |scale: u32| share / (f64::from(scale) / 1e3).powi(2);
    let enough = |scale: u32| {
        let larger = scale > now.scale;
        quality(scale) >= SMALLER_BELOW * if larger { BACK_UP } else { 1.0 }
    };
    let least = scales.last().copied().unwrap_or(SCALES[0]);
    let scale = scales.iter().copied().find(|scale| enough(*scale)).unwrap_or(least);
    let fps = (1..=configured.fps.div_ceil(FPS_MIN).max(1))
        .map(|nth| (configured.fps / nth).max(FPS_MIN.min(configured.fps)))
        .find(|fps| {
            let more = *fps > now.fps && scale <= now.scale;
            let each = quality(scale) * f64::from(configured.fps) / f64::from(*fps);
            each >= FEWER_BELOW * if more { BACK_UP } else { 1.0 }
        })
        .unwrap_or(FPS_MIN.min(configured.fps));
    // An encoder spends its bitrate over the frames that it is told to expect: with fewer, each may be larger.
    Live { kbps: kbps.clamp(50.0, full) as u32, fps, scale }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRONT: Configured = Configured { kbps: 2_500, fps: 30, scalable: true };
    const REAR: Configured = Configured { kbps: 1_200, fps: 30, scalable: true };

    #[test]
    fn a_path_that_carries_all_gives_all_as_configured() {
        let shares = shares(&[FRONT, REAR], 0, 10e6);
        assert_eq!(shares, [2_500.0, 1_200.0]);
        assert_eq!(live(&FRONT, 2_500.0, Live::full(&FRONT)), Live::full(&FRONT));
    }

    #[test]
    fn the_camera_in_the_direction_of_travel_comes_first() {
        let ahead = shares(&[FRONT, REAR], 0, 1e6);
        assert!(ahead[0] > 700.0 && ahead[1] < 200.0, "{ahead:?}");
        let back = shares(&[FRONT, REAR], 1, 1e6);
        assert!(back[1] > 700.0 && back[0] < 200.0, "{back:?}");
        // What it does not need is the others'.
        let ample = shares(&[FRONT, REAR], 0, 3.8e6);
        assert!((ample[0] - 2_500.0).abs() < 1.0 && ample[1] > 800.0, "{ample:?}");
    }

    #[test]
    fn first_the_bitrate_then_the_size_then_the_frames() {
        let full = Live::full(&FRONT);
        assert_eq!(live(&FRONT, 1_500.0, full), Live { kbps: 1_500, ..full });
        let smaller = live(&FRONT, 800.0, full);
        assert_eq!((smaller.scale, smaller.fps), (667, 30));
        let least = live(&FRONT, 40.0, full);
        assert!(least.scale == 334 && least.fps < 30 && least.fps >= FPS_MIN, "{least:?}");
        let fixed = Configured { scalable: false, ..FRONT };
        assert_eq!(live(&fixed, 400.0, full).fps, 30, "rather a poorer picture than a jumping one");
        let fewer = live(&fixed, 200.0, full);
        assert_eq!((fewer.scale, fewer.fps), (1_000, 15));
    }

    #[test]
    fn a_bitrate_that_wavers_at_an_edge_changes_nothing() {
        let mut now = Live::full(&FRONT);
        let mut changes = 0;
        for n in 0..100 {
            let kbps = if n % 2 == 0 { 1_100.0 } else { 1_150.0 };
            let next = live(&FRONT, kbps, now);
            changes += u32::from((next.scale, next.fps) != (now.scale, now.fps));
            now = next;
        }
        assert!(changes <= 1, "{changes}");
    }

    proptest! {
        #[test]
        fn nothing_leaves_its_bounds(
            target in 0.0..20e6_f64, first in 0_usize..3, fps in 1_u32..90, kbps in 50_u32..20_000,
            scalable: bool, fps_now in 1_u32..90, scale_now in 0_usize..4,
        ) {
            let camera = Configured { kbps, fps, scalable };
            let cameras = [camera, REAR];
            let shares = shares(&cameras, first, target);
            prop_assert!(shares.iter().sum::<f64>() <= target * PICTURES / 1e3 + 1e-6);
            prop_assert!(shares.iter().all(|share| *share >= 0.0));
            let now = Live { kbps, fps: fps_now, scale: SCALES[scale_now] };
            let live = live(&camera, shares[0], now);
            prop_assert!(live.fps >= FPS_MIN.min(fps) && live.fps <= fps, "{live:?}");
            prop_assert!(SCALES.contains(&live.scale) && (scalable || live.scale == 1_000));
            prop_assert!(live.kbps >= 50 && live.kbps <= kbps);
        }
    }
}
