//! What a robot's owner allows, signed by the owner, enforced on the robot.
//!
//! The document can only *narrow*: the robot's own policy, the mission and the lease apply as well, and the strictest
//! counts. Fleet and gateways carry it and can't change it; a robot takes it only from a key that it learned as its
//! owner's when it was enrolled, and only with a version above the one that it has. Normative: `SPEC.md` §7.

use crate::dsse::{Envelope, EnvelopeError, payload_type};
use crate::ids::RobotId;
use crate::keys::Did;
use crate::lease::DriverKind;
use crate::units::{GeoPoint, WallMs};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Most polygons of an area.
pub const POLYGONS_MAX: usize = 8;
/// Most corners of a polygon.
pub const CORNERS_MAX: usize = 32;
/// Most windows of time.
pub const HOURS_MAX: usize = 14;
/// Most drivers that are named.
pub const DRIVERS_MAX: usize = 64;
/// Longest document, bytes.
pub const LEN_MAX: usize = 32 * 1024;
const WEEK_MIN: u64 = 7 * 24 * 60;

/// A corner: longitude and latitude in units of 1e-7 degrees, as GNSS receivers count.
pub type Corner = [i32; 2];

/// A window of time that comes back every week, in minutes from Monday 00:00 at the owner's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// First minute.
    pub from_min: u16,
    /// Minute after the last one. Not above `from_min`: the window goes over the end of the week.
    pub to_min: u16,
}

/// Who may drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drivers {
    /// People in the cockpit.
    pub pilots: bool,
    /// Programs.
    pub agents: bool,
    /// If there are any, only these.
    pub only: Vec<Did>,
}

/// The document. Numbers are integers, so that it reads the same everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnerSettings {
    /// Version of this kind of document: 1.
    pub v: u32,
    /// The robot.
    pub robot: RobotId,
    /// Counts up with each change; the robot takes none that is not above what it has.
    pub version: u64,
    /// When it was signed.
    pub at: WallMs,
    /// Highest speed, mm/s. None: no limit of the owner's.
    pub speed_mmps_max: Option<u32>,
    /// Where the robot may be driven: inside any of these polygons. None: everywhere.
    pub area: Option<Vec<Vec<Corner>>>,
    /// When it may be driven. None: always.
    pub hours: Option<Vec<Hours>>,
    /// The owner's place against UTC, minutes; what `hours` counts in.
    pub utc_offset_min: i16,
    /// Who may drive.
    pub drivers: Drivers,
    /// Whether a program may drive without pictures, where the robot's policy permits it.
    pub blind_driving: bool,
    /// What the owner asks for an hour of driving, credits. For people and the fleet; the robot does not look at it.
    pub price_per_hour: Option<u32>,
}

/// What is wrong with settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// No owner of this robot has signed it, or it is no such document.
    #[error("the settings are not signed by an owner of this robot")]
    NotTheOwners(#[source] Option<EnvelopeError>),
    /// It is for another robot.
    #[error("the settings are for {0}")]
    OtherRobot(RobotId),
    /// It does not count up.
    #[error("the settings have version {got}, and {known} is known already: nobody goes back")]
    Rollback {
        /// What came.
        got: u64,
        /// What is known.
        known: u64,
    },
    /// A value makes no sense.
    #[error("the settings: {0}")]
    Value(&'static str),
}

/// Why the owner's settings let somebody not drive now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// This driver is not among those who may.
    #[error("the robot's owner does not let this driver drive it")]
    Driver,
    /// Outside the hours.
    #[error("the robot's owner does not let it be driven at this hour")]
    Hours,
    /// Outside the area.
    #[error("the robot is outside of the area in which its owner lets it be driven")]
    Area,
    /// Inside or outside, nobody knows.
    #[error("the robot does not know where it is, and its owner lets it be driven in an area only")]
    Place,
}

/// What the fleet asks a robot to take (query on [`crate::keyexpr::settings`]). The reply is [`crate::message::Reply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsRequest {
    /// Signed [`OwnerSettings`].
    pub settings: Envelope,
    /// The fleet's signed [`Owners`], for a robot that was enrolled before its owner had a key. A robot that knows an
    /// owner does not look at it.
    pub owners: Envelope,
}

/// Whose a robot is, in the fleet's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owners {
    /// The robot's key.
    pub robot_did: Did,
    /// Its owners' keys.
    pub owners: Vec<Did>,
}

/// Settings whose signature was verified. There is no other way to make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSettings {
    settings: OwnerSettings,
    envelope: Envelope,
    signer: Did,
    digest: [u8; 32],
}

impl VerifiedSettings {
    /// Verifies that one of `owners` signed `envelope` for `robot`.
    pub fn verify(
        envelope: Envelope,
        robot: &RobotId,
        owners: &[Did],
    ) -> Result<Self, SettingsError> {
        let mut failed = None;
        for owner in owners {
            let body = match envelope.verify_bytes(payload_type::OWNER_SETTINGS, owner) {
                Ok(body) => body,
                Err(error) => {
                    failed = Some(error);
                    continue;
                }
            };
            if body.len() > LEN_MAX {
                return Err(SettingsError::Value("the document is too long"));
            }
            let settings: OwnerSettings = serde_json::from_slice(&body).map_err(|error| {
                SettingsError::NotTheOwners(Some(EnvelopeError::Document(error)))
            })?;
            settings.check()?;
            if settings.robot != *robot {
                return Err(SettingsError::OtherRobot(settings.robot));
            }
            let digest = Sha256::digest(&body).into();
            return Ok(Self { settings, envelope, signer: *owner, digest });
        }
        Err(SettingsError::NotTheOwners(failed))
    }

    /// Takes this in the place of what is `known`.
    pub fn after(self, known: Option<&Self>) -> Result<Self, SettingsError> {
        let (got, known) = (self.settings.version, known.map_or(0, |k| k.settings.version));
        if got > known { Ok(self) } else { Err(SettingsError::Rollback { got, known }) }
    }

    /// The settings.
    pub const fn settings(&self) -> &OwnerSettings {
        &self.settings
    }

    /// As they were signed.
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The owner who signed.
    pub const fn signer(&self) -> &Did {
        &self.signer
    }

    /// SHA-256 of the signed bytes.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

impl OwnerSettings {
    /// Whether every value makes sense.
    pub fn check(&self) -> Result<(), SettingsError> {
        let fits =
            |right: bool, words| if right { Ok(()) } else { Err(SettingsError::Value(words)) };
        fits(self.v == 1, "another version of the document")?;
        fits(self.version > 0, "versions count from 1")?;
        fits(self.speed_mmps_max.is_none_or(|mmps| mmps <= 10_000), "speed is 0 to 10000 mm/s")?;
        fits(self.utc_offset_min.unsigned_abs() <= 14 * 60, "UTC offset is -840 to 840 minutes")?;
        fits(self.drivers.only.len() <= DRIVERS_MAX, "at most 64 drivers are named")?;
        if let Some(hours) = &self.hours {
            fits(hours.len() <= HOURS_MAX, "at most 14 windows of time")?;
            let within =
                |h: &Hours| u64::from(h.from_min) < WEEK_MIN && u64::from(h.to_min) <= WEEK_MIN;
            fits(hours.iter().all(within), "a week has 10080 minutes")?;
        }
        self.area.as_deref().map_or(Ok(()), check_area).map_err(SettingsError::Value)
    }

    /// Whether `driver` may begin to drive at `now`.
    pub fn allow(&self, driver: &Did, kind: DriverKind, now: WallMs) -> Result<(), NotAllowed> {
        let of_kind = match kind {
            DriverKind::Pilot => self.drivers.pilots,
            DriverKind::Agent => self.drivers.agents,
        };
        let named = self.drivers.only.is_empty() || self.drivers.only.contains(driver);
        if !(of_kind && named) {
            return Err(NotAllowed::Driver);
        }
        if self.is_open(now) { Ok(()) } else { Err(NotAllowed::Hours) }
    }

    /// Whether `now` is within the hours.
    pub fn is_open(&self, now: WallMs) -> bool {
        let Some(hours) = &self.hours else { return true };
        let minute = week_minute(now, self.utc_offset_min);
        hours.iter().any(|window| {
            let (from, to) = (u64::from(window.from_min), u64::from(window.to_min));
            if from < to { (from..to).contains(&minute) } else { minute >= from || minute < to }
        })
    }

    /// Whether it may be driven where it is.
    pub fn allow_at(&self, place: Option<&GeoPoint>) -> Result<(), NotAllowed> {
        match (&self.area, place) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(NotAllowed::Place),
            (Some(_), Some(place)) if self.contains(place) => Ok(()),
            (Some(_), Some(_)) => Err(NotAllowed::Area),
        }
    }

    /// Whether a place is inside the area. Corners and edges count to one side or the other.
    pub fn contains(&self, point: &GeoPoint) -> bool {
        let Some(area) = &self.area else { return true };
        is_in_area(area, point)
    }
}

/// Whether polygons make an area: 1 to 8 of them, of 3 to 32 corners on Earth, each with an inside. What is wrong
/// otherwise, in words.
pub fn check_area(area: &[Vec<Corner>]) -> Result<(), &'static str> {
    let fits = |right: bool, words| if right { Ok(()) } else { Err(words) };
    fits((1..=POLYGONS_MAX).contains(&area.len()), "an area has 1 to 8 polygons")?;
    let corners = |polygon: &Vec<Corner>| (3..=CORNERS_MAX).contains(&polygon.len());
    fits(area.iter().all(corners), "a polygon has 3 to 32 corners")?;
    let on_earth = |[lon, lat]: &Corner| {
        lon.unsigned_abs() <= 1_800_000_000 && lat.unsigned_abs() <= 900_000_000
    };
    fits(area.iter().flatten().all(on_earth), "a corner is not on Earth")?;
    fits(
        area.iter().all(|polygon| has_inside(polygon)),
        "a polygon has no inside: its edges cross, its corners lie on a line, or one stands twice (the first is not repeated at the end)",
    )
}

/// Whether a polygon's edges do not cross, none has no length, and not all lie on a line. In integers, as [`is_inside`] is.
fn has_inside(polygon: &[Corner]) -> bool {
    let wide = |[x, y]: Corner| (i128::from(x), i128::from(y));
    let next = polygon.iter().cycle().skip(1);
    let edges: Vec<_> = polygon.iter().zip(next).map(|(a, b)| (wide(*a), wide(*b))).collect();
    // On which side of an edge a corner lies.
    let side = |(from, to): ((i128, i128), (i128, i128)), at: (i128, i128)| {
        ((to.0 - from.0) * (at.1 - from.1) - (to.1 - from.1) * (at.0 - from.0)).signum()
    };
    let cross = |a: &(_, _), b: &(_, _)| {
        side(*a, b.0) * side(*a, b.1) < 0 && side(*b, a.0) * side(*b, a.1) < 0
    };
    let crosses = (0..).zip(&edges).any(|(n, a)| edges.iter().skip(n + 1).any(|b| cross(a, b)));
    let twice = edges.iter().any(|(from, to)| from == to);
    let content: i128 = edges.iter().map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum();
    !crosses && !twice && content != 0
}

/// Whether a place is inside any of these polygons. Corners and edges count to one side or the other.
pub fn is_in_area(area: &[Vec<Corner>], point: &GeoPoint) -> bool {
    corner(point).is_some_and(|at| area.iter().any(|polygon| is_inside(polygon, at)))
}

/// A place in the units of corners; none when it is no place on Earth.
pub fn corner(point: &GeoPoint) -> Option<Corner> {
    point
        .is_valid()
        .then(|| [(point.lon_deg * 1e7).round() as i32, (point.lat_deg * 1e7).round() as i32])
}

/// Minutes from Monday 00:00 at a place `offset_min` ahead of UTC.
fn week_minute(now: WallMs, offset_min: i16) -> u64 {
    // 1 January 1970 was a Thursday: three days after a Monday.
    let minutes = i64::try_from(now.0 / 60_000).unwrap_or(0) + 3 * 24 * 60 + i64::from(offset_min);
    u64::try_from(minutes.rem_euclid(7 * 24 * 60)).unwrap_or(0)
}

/// Even-odd rule, in integers: no rounding, so every implementation agrees.
fn is_inside(polygon: &[Corner], [x, y]: Corner) -> bool {
    let (x, y) = (i128::from(x), i128::from(y));
    let mut inside = false;
    let mut before = polygon.last();
    for corner in polygon {
        if let Some(&[x1, y1]) = before {
            let (x1, y1) = (i128::from(x1), i128::from(y1));
            let (x2, y2) = (i128::from(corner[0]), i128::from(corner[1]));
            // The edge crosses the parallel through the point; is the crossing to the east of it?
            if (y1 > y) != (y2 > y) {
                let side = (x2 - x1) * (y - y1) - (x - x1) * (y2 - y1);
                if (side > 0) == (y2 > y1) {
                    inside = !inside;
                }
            }
        }
        before = Some(corner);
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::PrivateKey;

    fn robot() -> RobotId {
        "rover-1".parse().unwrap()
    }

    fn settings(version: u64) -> OwnerSettings {
        OwnerSettings {
            v: 1,
            robot: robot(),
            version,
            at: WallMs(1),
            speed_mmps_max: Some(800),
            area: Some(vec![vec![[0, 0], [100, 0], [100, 100], [0, 100]]]),
            hours: Some(vec![Hours { from_min: 480, to_min: 1_080 }]),
            utc_offset_min: 60,
            drivers: Drivers { pilots: true, agents: false, only: vec![] },
            blind_driving: false,
            price_per_hour: None,
        }
    }

    fn sign(settings: &OwnerSettings, key: &PrivateKey) -> Envelope {
        Envelope::sign(payload_type::OWNER_SETTINGS, settings, key).unwrap()
    }

    #[test]
    fn only_an_owner_signs_and_nobody_goes_back() {
        let (owner, other) = (PrivateKey::from_seed(&[1; 32]), PrivateKey::from_seed(&[2; 32]));
        let owners = [other.did(), owner.did()];
        let verify = |envelope: Envelope, owners: &[Did]| {
            VerifiedSettings::verify(envelope, &robot(), owners)
        };
        let first = verify(sign(&settings(3), &owner), &owners).unwrap();
        assert_eq!(first.signer(), &owner.did());
        let foreign = verify(sign(&settings(3), &owner), &[other.did()]);
        assert!(matches!(foreign, Err(SettingsError::NotTheOwners(_))));
        assert!(matches!(
            verify(sign(&settings(3), &owner), &[]),
            Err(SettingsError::NotTheOwners(_))
        ));
        let elsewhere = OwnerSettings { robot: "b".parse().unwrap(), ..settings(4) };
        let elsewhere = verify(sign(&elsewhere, &owner), &owners);
        assert!(matches!(elsewhere, Err(SettingsError::OtherRobot(_))));
        let same = verify(sign(&settings(3), &owner), &owners).unwrap().after(Some(&first));
        assert!(matches!(same, Err(SettingsError::Rollback { got: 3, known: 3 })));
        let next =
            verify(sign(&settings(4), &owner), &owners).unwrap().after(Some(&first)).unwrap();
        assert_eq!(next.settings().version, 4);
        assert!(first.after(None).is_ok());
    }

    #[test]
    fn senseless_values_are_refused() {
        let good = settings(1);
        good.check().unwrap();
        let square = vec![[0, 0], [1, 0], [1, 1]];
        for bad in [
            OwnerSettings { v: 2, ..good.clone() },
            OwnerSettings { version: 0, ..good.clone() },
            OwnerSettings { speed_mmps_max: Some(10_001), ..good.clone() },
            OwnerSettings { area: Some(vec![]), ..good.clone() },
            OwnerSettings { area: Some(vec![square.clone(); 9]), ..good.clone() },
            OwnerSettings { area: Some(vec![vec![[0, 0]; 33]]), ..good.clone() },
            OwnerSettings { area: Some(vec![vec![[0, 0], [1, 1]]]), ..good.clone() },
            OwnerSettings {
                area: Some(vec![vec![[0, 0], [9, 9], [9, 0], [0, 9]]]),
                ..good.clone()
            },
            OwnerSettings { area: Some(vec![vec![[0, 0], [5, 5], [9, 9]]]), ..good.clone() },
            OwnerSettings {
                area: Some(vec![vec![[0, 0], [9, 0], [9, 9], [0, 0]]]),
                ..good.clone()
            },
            OwnerSettings {
                area: Some(vec![vec![[0, 0], [1, 0], [1, 900_000_001]]]),
                ..good.clone()
            },
            OwnerSettings {
                hours: Some(vec![Hours { from_min: 10_080, to_min: 5 }]),
                ..good.clone()
            },
            OwnerSettings {
                hours: Some(vec![Hours { from_min: 0, to_min: 5 }; 15]),
                ..good.clone()
            },
            OwnerSettings { utc_offset_min: 841, ..good.clone() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn hours_come_back_every_week_at_the_owners_place() {
        // Monday 2 November 2026, 07:00 UTC: 08:00 at the owner's place.
        let monday = 1_793_602_800_000;
        let at = |offset_h: i64| WallMs(u64::try_from(monday + offset_h * 3_600_000).unwrap());
        let open = settings(1);
        assert!(open.is_open(at(0)) && open.is_open(at(9)), "08:00 and 17:00");
        assert!(!open.is_open(at(-1)) && !open.is_open(at(10)), "07:00 and 18:00");
        assert!(!open.is_open(at(24)) && open.is_open(at(7 * 24)), "Tuesday, and Monday again");
        let over_sunday = OwnerSettings {
            hours: Some(vec![Hours { from_min: 10_000, to_min: 60 }]),
            ..settings(1)
        };
        assert!(over_sunday.is_open(at(-8)) && !over_sunday.is_open(at(-7)), "Monday 00:00, 01:00");
        assert!(OwnerSettings { hours: None, ..settings(1) }.is_open(at(3)));
        assert!(!OwnerSettings { hours: Some(vec![]), ..settings(1) }.is_open(at(3)), "never");
    }

    #[test]
    fn drivers_are_of_a_kind_and_may_be_named() {
        let (ada, bob) =
            (PrivateKey::from_seed(&[1; 32]).did(), PrivateKey::from_seed(&[2; 32]).did());
        let always = OwnerSettings { hours: None, ..settings(1) };
        let now = WallMs(0);
        assert_eq!(always.allow(&ada, DriverKind::Pilot, now), Ok(()));
        assert_eq!(always.allow(&ada, DriverKind::Agent, now), Err(NotAllowed::Driver));
        let drivers = Drivers { pilots: true, agents: true, only: vec![ada] };
        let named = OwnerSettings { drivers, ..always.clone() };
        assert_eq!(named.allow(&ada, DriverKind::Agent, now), Ok(()));
        assert_eq!(named.allow(&bob, DriverKind::Pilot, now), Err(NotAllowed::Driver));
        let never = OwnerSettings { hours: Some(vec![]), ..always };
        assert_eq!(never.allow(&ada, DriverKind::Pilot, now), Err(NotAllowed::Hours));
    }

    #[test]
    fn inside_is_inside() {
        let l_shape = vec![[0, 0], [100, 0], [100, 40], [40, 40], [40, 100], [0, 100]];
        let place = |polygon: &Vec<Corner>, x, y| is_inside(polygon, [x, y]);
        assert!(place(&l_shape, 10, 90) && place(&l_shape, 90, 10) && place(&l_shape, 20, 20));
        assert!(!place(&l_shape, 60, 60) && !place(&l_shape, -1, 50) && !place(&l_shape, 50, 101));
        let around: Vec<_> = l_shape.iter().rev().copied().collect();
        assert!(place(&around, 10, 90) && !place(&around, 60, 60), "either way round");
        let world = OwnerSettings {
            area: Some(vec![vec![
                [134_000_000, 525_000_000],
                [134_100_000, 525_000_000],
                [134_050_000, 525_100_000],
            ]]),
            ..settings(1)
        };
        assert!(world.contains(&GeoPoint { lat_deg: 52.503, lon_deg: 13.405 }));
        assert!(!world.contains(&GeoPoint { lat_deg: 52.511, lon_deg: 13.405 }));
        assert!(!world.contains(&GeoPoint { lat_deg: f64::NAN, lon_deg: 13.405 }));
        let far = GeoPoint { lat_deg: 0.0, lon_deg: 0.0 };
        assert_eq!(world.allow_at(Some(&far)), Err(NotAllowed::Area));
        assert_eq!(world.allow_at(None), Err(NotAllowed::Place));
        assert_eq!(OwnerSettings { area: None, ..world }.allow_at(None), Ok(()));
    }
}
