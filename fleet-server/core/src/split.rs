//! Dividing an amount by shares so that the parts add up to the whole.

use protocol::api::OwnerShare;
use protocol::ids::OwnerId;
use serde::{Deserialize, Serialize};

/// One whole in millionths.
pub const WHOLE_PPM: u32 = 1_000_000;

/// How a reward is divided between those who made the drive possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardSplit {
    /// The driver's share in millionths.
    pub pilot_ppm: u32,
    /// The share of the robot's owners together, in millionths.
    pub owners_ppm: u32,
    /// The operator's share in millionths.
    pub operator_ppm: u32,
}

impl Default for RewardSplit {
    fn default() -> Self {
        Self { pilot_ppm: 700_000, owners_ppm: 200_000, operator_ppm: 100_000 }
    }
}

impl RewardSplit {
    /// Whether the three shares add up to one whole.
    pub fn is_whole(&self) -> bool {
        [self.pilot_ppm, self.owners_ppm, self.operator_ppm]
            .iter()
            .map(|&ppm| u64::from(ppm))
            .sum::<u64>()
            == u64::from(WHOLE_PPM)
    }
}

/// A reward, divided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// The driver's.
    pub pilot: u64,
    /// Each owner's, in the order of the robot's shares.
    pub owners: Vec<(OwnerId, u64)>,
    /// The operator's.
    pub operator: u64,
}

/// Divides `total` by `weights`, largest remainder first; equal remainders go to the earlier one. The parts add
/// up to `total`, and each is within one unit of its exact share. All weights zero: the first gets everything.
pub fn split(total: u64, weights: &[u32]) -> Vec<u64> {
    let sum: u128 = weights.iter().map(|&w| u128::from(w)).sum();
    if sum == 0 {
        return weights.iter().enumerate().map(|(i, _)| if i == 0 { total } else { 0 }).collect();
    }
    let exact = |w: u32| u128::from(total).saturating_mul(u128::from(w));
    // A quotient is at most `total`, so it fits.
    let mut parts: Vec<u64> =
        weights.iter().map(|&w| u64::try_from(exact(w) / sum).unwrap_or(total)).collect();
    let mut order: Vec<(usize, u128)> =
        weights.iter().map(|&w| exact(w) % sum).enumerate().collect();
    order.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut left = total.saturating_sub(parts.iter().sum());
    for (index, _) in order {
        if left == 0 {
            break;
        }
        if let Some(part) = parts.get_mut(index) {
            *part = part.saturating_add(1);
            left = left.saturating_sub(1);
        }
    }
    parts
}

/// Divides a mission's reward. A robot without owners leaves their part to the operator.
pub fn reward(total: u64, by: &RewardSplit, owners: &[OwnerShare]) -> Parts {
    let thirds = split(total, &[by.pilot_ppm, by.owners_ppm, by.operator_ppm]);
    let [pilot, all_owners, operator] = <[u64; 3]>::try_from(thirds).unwrap_or([0, 0, total]);
    if owners.is_empty() {
        return Parts { pilot, owners: Vec::new(), operator: operator.saturating_add(all_owners) };
    }
    let weights: Vec<u32> = owners.iter().map(|share| share.share_ppm).collect();
    let amounts = split(all_owners, &weights);
    Parts { pilot, owners: owners.iter().map(|s| s.owner).zip(amounts).collect(), operator }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    #[test]
    fn the_odd_unit_goes_to_the_largest_remainder() {
        assert_eq!(split(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(split(10, &[700_000, 200_000, 100_000]), [7, 2, 1]);
        assert_eq!(split(1, &[1, 2]), [0, 1]);
        assert_eq!(split(5, &[0, 0]), [5, 0]);
        assert!(split(5, &[]).is_empty());
    }

    #[test]
    fn no_owners_no_loss() {
        let parts = reward(101, &RewardSplit::default(), &[]);
        assert_eq!((parts.pilot, parts.operator), (71, 30));
    }

    proptest! {
        #[test]
        fn every_unit_is_conserved(total: u64, weights in prop::collection::vec(any::<u32>(), 1..20)) {
            let parts = split(total, &weights);
            prop_assert_eq!(parts.iter().map(|&p| u128::from(p)).sum::<u128>(), u128::from(total));
        }

        #[test]
        fn a_part_is_within_one_unit_of_its_share(total in 0u64..1_000_000_000, weights in prop::collection::vec(1u32..1_000_000, 1..10)) {
            let sum: u128 = weights.iter().map(|&w| u128::from(w)).sum();
            for (part, weight) in split(total, &weights).into_iter().zip(&weights) {
                let floor = u128::from(total) * u128::from(*weight) / sum;
                prop_assert!(u128::from(part) == floor || u128::from(part) == floor + 1);
            }
        }

        #[test]
        fn a_reward_is_conserved(total in 0u64..(1 << 53), shares in prop::collection::vec(0u32..=1_000_000, 0..6)) {
            let owners: Vec<OwnerShare> = shares.iter().enumerate()
                .map(|(i, &share_ppm)| OwnerShare { owner: OwnerId::new(Uuid::from_u128(i as u128)), share_ppm })
                .collect();
            let parts = reward(total, &RewardSplit::default(), &owners);
            let owned: u64 = parts.owners.iter().map(|(_, amount)| amount).sum();
            prop_assert_eq!(parts.pilot + owned + parts.operator, total);
        }
    }
}
