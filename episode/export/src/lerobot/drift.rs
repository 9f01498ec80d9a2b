//! How far the clock of a dataset runs from the clock of the drive when pictures are copied as they were recorded.

use super::grid::Row;
use serde::Serialize;
use std::time::Duration;

/// A dataset's clock that is off by more than this share says nothing useful any more.
const RATE_OFF_MAX: f64 = 0.25;
/// Off by more than this, a user is told.
const DEVIATION_TOLD_MS: f64 = 100.0;

/// Capture times against `k / fps`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drift {
    /// Rows a second, as the dataset says.
    pub fps: u32,
    /// Pictures a second that the camera gave on average.
    pub captured_fps: f64,
    /// Greatest distance between a row's `timestamp` and the time from the first row's capture to its own.
    pub deviation_ms_max: f64,
    /// Longest time between two pictures.
    pub interval_ms_max: f64,
    /// Times between two pictures that were longer than one and a half frames.
    pub long_intervals: u64,
    /// Recorded pictures left out after the first row: lost ones' successors up to the next keyframe.
    pub pictures_left_out: u64,
}

impl Drift {
    /// Of an episode's rows.
    pub fn of(rows: &[Row], fps: u32, pictures_left_out: u64) -> Self {
        let times = || rows.iter().filter_map(|row| u64::try_from(row.capture_time_ns).ok());
        let first = times().next().unwrap_or(0);
        let ms = |ns: u64| Duration::from_nanos(ns).as_secs_f64() * 1e3;
        let frame_ms = 1e3 / f64::from(fps);
        let deviation_ms_max = (0_u32..)
            .zip(times())
            .map(|(k, time)| (ms(time.saturating_sub(first)) - f64::from(k) * frame_ms).abs())
            .fold(0.0, f64::max);
        let intervals =
            || times().zip(times().skip(1)).map(|(one, next)| ms(next.saturating_sub(one)));
        let total_s = intervals().sum::<f64>() / 1e3;
        let count = intervals().map(|_interval| 1.0).sum::<f64>();
        let long = intervals().filter(|interval| *interval > 1.5 * frame_ms).count();
        Self {
            fps,
            captured_fps: if total_s > 0.0 { count / total_s } else { f64::from(fps) },
            deviation_ms_max,
            interval_ms_max: intervals().fold(0.0, f64::max),
            long_intervals: u64::try_from(long).unwrap_or(u64::MAX),
            pictures_left_out,
        }
    }

    /// Why such rows would mislead.
    pub fn refusal(&self) -> Option<String> {
        let off = (self.captured_fps / f64::from(self.fps) - 1.0).abs();
        (off > RATE_OFF_MAX).then(|| {
            format!(
                "the camera gave {:.1} pictures a second, and a dataset of {} would tell wrong times: leave \
                 --copy-video out, or say --fps {:.0}",
                self.captured_fps, self.fps, self.captured_fps
            )
        })
    }

    /// What a user should know.
    pub fn warning(&self) -> Option<String> {
        (self.deviation_ms_max > DEVIATION_TOLD_MS).then(|| {
            format!(
                "the camera gave {:.1} pictures a second, the dataset says {}: `timestamp` is off by up to {:.1} s; \
                 use capture_time_ns, which is exact, or leave --copy-video out",
                self.captured_fps,
                self.fps,
                self.deviation_ms_max / 1e3
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(times_ms: &[i64]) -> Vec<Row> {
        let row = |ms: &i64| Row {
            state: [0.0; 6],
            gnss: [0.0; 3],
            local_m: [0.0; 2],
            gnss_quality: [0.0; 2],
            action: [0.0; 2],
            executed: [0.0; 2],
            intervention: false,
            capture_time_ns: ms * 1_000_000,
            camera_age_ms: 0.0,
            loop_latency_ms: 0.0,
            safety_state: 0,
        };
        times_ms.iter().map(row).collect()
    }

    #[test]
    fn a_gap_moves_all_that_comes_after_it() {
        let drift = Drift::of(&rows(&[1000, 1100, 1200, 1500, 1600]), 10, 2);
        assert!((drift.deviation_ms_max - 200.0).abs() < 1e-6, "{drift:?}");
        assert!((drift.captured_fps - 4.0 / 0.6).abs() < 1e-6, "{drift:?}");
        assert_eq!((drift.long_intervals, drift.interval_ms_max), (1, 300.0));
        assert!(drift.warning().is_some() && drift.refusal().is_some());
        let steady = Drift::of(&rows(&[1000, 1101, 1200]), 10, 0);
        assert!(steady.warning().is_none() && steady.refusal().is_none(), "{steady:?}");
        assert!(Drift::of(&rows(&[1000]), 10, 0).refusal().is_none());
    }
}
