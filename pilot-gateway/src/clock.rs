//! The two clocks: a monotonic one for deadlines, the wall clock for records and expiry of signed documents.

use protocol::units::{MonoMs, WallMs};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock of this process. It starts at an hour, so that no instant is the zero that means "never".
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

const OFFSET: Duration = Duration::from_secs(3600);

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Now.
    pub fn now(&self) -> MonoMs {
        let ms = (self.start.elapsed() + OFFSET).as_millis();
        MonoMs(u64::try_from(ms).unwrap_or(u64::MAX))
    }

    /// The instant of `at`, for a timer.
    pub fn instant(&self, at: MonoMs) -> Instant {
        self.start + Duration::from_millis(at.0).saturating_sub(OFFSET)
    }
}

/// Now on the wall clock.
pub fn wall() -> WallMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// `at` as RFC 3339 in UTC with milliseconds, such as `2026-11-23T19:04:25.123Z`.
pub fn rfc3339(at: WallMs) -> String {
    let (days, in_day_ms) = (at.0 / 86_400_000, at.0 % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute) = (in_day_ms / 3_600_000, in_day_ms / 60_000 % 60);
    let (second, ms) = (in_day_ms / 1000 % 60, in_day_ms % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar. Years are counted
/// from March, so that the leap day is a year's last: then every year's months have the same lengths.
const fn civil(days: u64) -> (u64, u64, u64) {
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let civil_month = if month < 10 { month + 3 } else { month - 9 };
    let civil_year = era * 400 + year + if civil_month <= 2 { 1 } else { 0 };
    (civil_year, civil_month, of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_text() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_798_761_599_001, "2026-12-31T23:59:59.001Z"),
        ] {
            assert_eq!(rfc3339(WallMs(ms)), text);
        }
    }
}
