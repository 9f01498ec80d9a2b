//! Quantities with their unit in the type.

use serde::{Deserialize, Serialize};

/// Milliseconds on one machine's monotonic clock, counted from an arbitrary start of that machine's process.
/// Never compared between machines.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MonoMs(pub u64);

impl MonoMs {
    /// Milliseconds from `earlier` to `self`; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This instant plus `ms` milliseconds, saturating.
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The low 32 bits, as the fixed-size packets carry it (wraps every 49.7 days).
    #[expect(clippy::as_conversions, reason = "truncation is the definition")]
    pub const fn low32(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }

    /// The newest instant not after `self` whose low 32 bits are `low`: restores a stamp that a peer echoed.
    /// A stamp from the future therefore becomes one from 49.7 days ago, that is: as stale as can be.
    pub fn restore(self, low: u32) -> Option<Self> {
        let back = self.low32().wrapping_sub(low);
        self.0.checked_sub(u64::from(back)).map(Self)
    }
}

/// Nanoseconds on the same clock as [`MonoMs`]: for stamps of sensors and frames.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MonoNs(pub u64);

impl MonoNs {
    /// The same instant in milliseconds, rounded down.
    pub const fn ms(self) -> MonoMs {
        MonoMs(self.0 / 1_000_000)
    }

    /// Nanoseconds from `earlier` to `self`; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Milliseconds since the Unix epoch, for records and signatures, never for deadlines of the drive loop.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct WallMs(pub u64);

/// A position on the WGS 84 ellipsoid, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeoPoint {
    /// Latitude in degrees, −90 to 90.
    pub lat_deg: f64,
    /// Longitude in degrees, −180 to 180.
    pub lon_deg: f64,
}

/// Mean Earth radius in metres (IUGG R1), for the spherical distances below: at the scale of a city block they
/// differ from the ellipsoid's by less than 0.5 %.
pub const EARTH_RADIUS_M: f64 = 6_371_008.8;

impl GeoPoint {
    /// Whether both coordinates are finite and in range.
    pub fn is_valid(&self) -> bool {
        self.lat_deg.is_finite()
            && self.lon_deg.is_finite()
            && self.lat_deg.abs() <= 90.0
            && self.lon_deg.abs() <= 180.0
    }

    /// Great-circle distance in metres (haversine).
    pub fn distance_m(&self, other: &Self) -> f64 {
        let (a, b) = (self.lat_deg.to_radians(), other.lat_deg.to_radians());
        let half_dlat = (b - a) / 2.0;
        let half_dlon = (other.lon_deg - self.lon_deg).to_radians() / 2.0;
        let h = half_dlat.sin().powi(2) + a.cos() * b.cos() * half_dlon.sin().powi(2);
        2.0 * EARTH_RADIUS_M * h.sqrt().min(1.0).asin()
    }

    /// Metres east and north of `origin`, in the plane that touches the sphere there.
    pub fn enu_m(&self, origin: &Self) -> (f64, f64) {
        let east = (self.lon_deg - origin.lon_deg).to_radians() * origin.lat_deg.to_radians().cos();
        let north = (self.lat_deg - origin.lat_deg).to_radians();
        (east * EARTH_RADIUS_M, north * EARTH_RADIUS_M)
    }

    /// The point `east_m` and `north_m` metres from `self`: the inverse of [`GeoPoint::enu_m`].
    pub fn offset_m(&self, east_m: f64, north_m: f64) -> Self {
        Self {
            lat_deg: self.lat_deg + (north_m / EARTH_RADIUS_M).to_degrees(),
            lon_deg: self.lon_deg
                + (east_m / (EARTH_RADIUS_M * self.lat_deg.to_radians().cos())).to_degrees(),
        }
    }
}
