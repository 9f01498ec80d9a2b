//! What makes names, shares and missions acceptable, and ids that follow from other ids.

use crate::ledger::{AMOUNT_MAX, Kind};
use crate::split::WHOLE_PPM;
use protocol::api::OwnerShare;
use protocol::ids::{MissionId, TransferId};
use protocol::mission::Checkpoint;
use protocol::settings::{Corner, check_area, corner, is_in_area};
use protocol::units::GeoPoint;
use sha2::{Digest, Sha256};

/// Longest name of a person, robot or mission, in characters.
pub const NAME_MAX: usize = 60;
/// Most owners of one robot.
pub const OWNERS_MAX: usize = 20;
/// Most checkpoints of one mission.
pub const CHECKPOINTS_MAX: usize = 100;
/// Largest radius of a checkpoint, metres.
pub const RADIUS_M_MAX: f64 = 1_000.0;
/// Longest stay at a checkpoint, milliseconds.
pub const DWELL_MS_MAX: u32 = 600_000;

/// What is wrong with what somebody asked for, and what would be right.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// Empty, too long, with control characters, or with spaces at its ends.
    #[error("a name has 1 to {NAME_MAX} characters, no control characters, no spaces at its ends")]
    Name,
    /// The shares do not add up, or name an owner twice.
    #[error("1 to {OWNERS_MAX} different owners, whose shares add up to {WHOLE_PPM}")]
    Shares,
    /// No checkpoints, or too many.
    #[error("a mission has 1 to {CHECKPOINTS_MAX} checkpoints")]
    CheckpointCount,
    /// A checkpoint's position, radius or stay is out of range.
    #[error(
        "checkpoint {0}: latitude -90 to 90, longitude -180 to 180, radius above 0 and up to {RADIUS_M_MAX} m, stay up to {DWELL_MS_MAX} ms"
    )]
    Checkpoint(usize),
    /// The area is none.
    #[error("the mission's area: {0}")]
    Area(&'static str),
    /// A checkpoint outside of the area.
    #[error("checkpoint {0} is outside of the mission's area, where the robot would not go")]
    Outside(usize),
    /// The reward is zero or too large.
    #[error("a reward is 1 to {AMOUNT_MAX} credits")]
    Reward,
}

/// Judges a name.
///
/// # Errors
/// [`Invalid::Name`].
pub fn check_name(name: &str) -> Result<(), Invalid> {
    let fits = (1..=NAME_MAX).contains(&name.chars().count());
    let clean = !name.chars().any(char::is_control) && name.trim() == name;
    if fits && clean { Ok(()) } else { Err(Invalid::Name) }
}

/// Judges how a robot's owners share what it earns.
///
/// # Errors
/// [`Invalid::Shares`].
pub fn check_shares(shares: &[OwnerShare]) -> Result<(), Invalid> {
    let mut owners: Vec<_> = shares.iter().map(|share| share.owner).collect();
    owners.sort();
    owners.dedup();
    let sum: u64 = shares.iter().map(|share| u64::from(share.share_ppm)).sum();
    let fits = (1..=OWNERS_MAX).contains(&shares.len()) && owners.len() == shares.len();
    if fits && sum == u64::from(WHOLE_PPM) { Ok(()) } else { Err(Invalid::Shares) }
}

/// Judges a mission.
///
/// # Errors
/// What is wrong with it.
pub fn check_mission(
    name: &str,
    checkpoints: &[Checkpoint],
    area: Option<&[Vec<GeoPoint>]>,
    reward: u64,
) -> Result<(), Invalid> {
    check_name(name)?;
    if !(1..=CHECKPOINTS_MAX).contains(&checkpoints.len()) {
        return Err(Invalid::CheckpointCount);
    }
    for (index, checkpoint) in checkpoints.iter().enumerate() {
        let radius = checkpoint.radius_m > 0.0 && checkpoint.radius_m <= RADIUS_M_MAX;
        if !checkpoint.position.is_valid() || !radius || checkpoint.dwell_ms > DWELL_MS_MAX {
            return Err(Invalid::Checkpoint(index));
        }
    }
    if let Some(area) = area {
        let corners = corners(area).ok_or(Invalid::Area("a corner is not on Earth"))?;
        check_area(&corners).map_err(Invalid::Area)?;
        let inside = |checkpoint: &Checkpoint| is_in_area(&corners, &checkpoint.position);
        if let Some(index) = checkpoints.iter().position(|checkpoint| !inside(checkpoint)) {
            return Err(Invalid::Outside(index));
        }
    }
    if reward == 0 || reward > AMOUNT_MAX { Err(Invalid::Reward) } else { Ok(()) }
}

/// An area as leases carry it. None when a corner is no place on Earth.
pub fn corners(area: &[Vec<GeoPoint>]) -> Option<Vec<Vec<Corner>>> {
    area.iter().map(|polygon| polygon.iter().map(corner).collect()).collect()
}

/// The id of a mission's transfer of one kind. It follows from the mission, so however often a step is repeated
/// after a crash, its money moves once.
pub fn transfer_id(mission: MissionId, kind: Kind) -> TransferId {
    let kind = match kind {
        Kind::Deposit => "deposit",
        Kind::Fund => "fund",
        Kind::Settle => "settle",
        Kind::Void => "void",
    };
    let hash = Sha256::digest(format!("longrein-transfer-v1\n{mission}\n{kind}"));
    let mut bytes = [0; 16];
    for (byte, source) in bytes.iter_mut().zip(hash) {
        *byte = source;
    }
    TransferId::new(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// Metres along the checkpoints, from the first to the last.
pub fn path_m(checkpoints: &[Checkpoint]) -> f64 {
    let next = checkpoints.iter().skip(1);
    checkpoints.iter().zip(next).map(|(a, b)| a.position.distance_m(&b.position)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::ids::OwnerId;
    use protocol::units::GeoPoint;
    use uuid::Uuid;

    #[test]
    fn names() {
        for good in ["Ada", "Ünal Ö.", &"x".repeat(60)] {
            assert_eq!(check_name(good), Ok(()));
        }
        for bad in ["", " Ada", "Ada ", "a\nb", "\u{7f}", &"x".repeat(61)] {
            assert_eq!(check_name(bad), Err(Invalid::Name), "{bad:?}");
        }
    }

    #[test]
    fn shares_add_up_to_one_whole() {
        let share =
            |n, share_ppm| OwnerShare { owner: OwnerId::new(Uuid::from_u128(n)), share_ppm };
        assert_eq!(check_shares(&[share(1, 400_000), share(2, 600_000)]), Ok(()));
        for bad in [
            vec![],
            vec![share(1, 999_999)],
            vec![share(1, 500_000), share(1, 500_000)],
            vec![share(1, u32::MAX), share(2, 1_000_001)],
        ] {
            assert_eq!(check_shares(&bad), Err(Invalid::Shares));
        }
    }

    #[test]
    fn missions() {
        let good = Checkpoint {
            position: GeoPoint { lat_deg: 1.0, lon_deg: 2.0 },
            radius_m: 2.0,
            dwell_ms: 0,
        };
        assert_eq!(check_mission("m", &[good], None, 1), Ok(()));
        assert_eq!(check_mission("m", &[good], None, 0), Err(Invalid::Reward));
        assert_eq!(check_mission("m", &[], None, 1), Err(Invalid::CheckpointCount));
        for radius_m in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let bad = Checkpoint { radius_m, ..good };
            assert_eq!(check_mission("m", &[good, bad], None, 1), Err(Invalid::Checkpoint(1)));
        }
    }

    #[test]
    fn an_area_of_a_mission_is_one_and_holds_its_checkpoints() {
        let point = |lat_deg: f64, lon_deg: f64| GeoPoint { lat_deg, lon_deg };
        let at =
            |lat_deg: f64| Checkpoint { position: point(lat_deg, 2.0), radius_m: 2.0, dwell_ms: 0 };
        let square = vec![point(0.9, 1.9), point(1.1, 1.9), point(1.1, 2.1), point(0.9, 2.1)];
        let check = |area: Vec<Vec<GeoPoint>>, lat_deg: f64| {
            check_mission("m", &[at(1.0), at(lat_deg)], Some(&area), 1)
        };
        assert_eq!(check(vec![square.clone()], 1.05), Ok(()));
        assert_eq!(check(vec![square.clone()], 1.2), Err(Invalid::Outside(1)));
        for bad in [vec![], vec![vec![]], vec![square[..2].to_vec()], vec![square.clone(); 9]] {
            assert!(matches!(check(bad, 1.0), Err(Invalid::Area(_))));
        }
        for nowhere in [point(f64::NAN, 2.0), point(91.0, 2.0), point(1.0, f64::INFINITY)] {
            let mut area = square.clone();
            area.push(nowhere);
            assert!(matches!(check(vec![area], 1.0), Err(Invalid::Area(_))));
        }
        let corners = corners(&[square]).unwrap();
        assert_eq!(corners[0][0], [19_000_000, 9_000_000], "longitude first");
    }

    #[test]
    fn transfer_ids_follow_from_mission_and_kind() {
        let mission = MissionId::new(Uuid::from_u128(1));
        assert_eq!(transfer_id(mission, Kind::Fund), transfer_id(mission, Kind::Fund));
        assert_ne!(transfer_id(mission, Kind::Fund), transfer_id(mission, Kind::Void));
    }
}
