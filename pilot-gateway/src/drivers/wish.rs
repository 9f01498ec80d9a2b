//! What a program wishes for a moment.

use super::{ANGULAR_RADPS_MAX, HOLD_MS_MAX, LINEAR_MPS_MAX, TTL_MS_MAX, TTL_MS_MIN};

/// What a program wishes, checked: finite and in range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    pub(super) linear_mmps: i16,
    pub(super) angular_mradps: i16,
    pub(super) ttl_ms: u64,
}

/// A value of a drive request that is out of its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field} is {got}; it must be {expected}")]
pub struct WishError {
    pub(super) field: &'static str,
    got: f64,
    expected: String,
}

fn milli(field: &'static str, value: f64, max: f64) -> Result<i16, WishError> {
    if value.is_finite() && value.abs() <= max {
        #[expect(clippy::as_conversions, reason = "rounded, and at most 4000: it fits")]
        return Ok((value * 1000.0).round() as i16);
    }
    let expected = format!("a number from -{max} to {max}");
    Err(WishError { field, got: value, expected })
}

impl Wish {
    /// Checks speed (m/s, forward), turn rate (rad/s, to the left) and time to live.
    pub fn new(linear_mps: f64, angular_radps: f64, ttl_ms: f64) -> Result<Self, WishError> {
        let linear_mmps = milli("linear_mps", linear_mps, LINEAR_MPS_MAX)?;
        let angular_mradps = milli("angular_radps", angular_radps, ANGULAR_RADPS_MAX)?;
        #[expect(clippy::as_conversions, reason = "checked to be from 50 to 1000")]
        let ttl = ttl_ms as u64;
        if !ttl_ms.is_finite() || !(TTL_MS_MIN..=TTL_MS_MAX).contains(&ttl) {
            let expected = format!("from {TTL_MS_MIN} to {TTL_MS_MAX} milliseconds");
            return Err(WishError { field: "ttl_ms", got: ttl_ms, expected });
        }
        Ok(Self { linear_mmps, angular_mradps, ttl_ms: ttl })
    }

    /// A wish that is repeated for `hold_ms` unless a new one comes, as the robot's owner allows it to clients that
    /// send one command and wait: at most [`HOLD_MS_MAX`], at least [`TTL_MS_MIN`].
    pub fn held(linear_mps: f64, angular_radps: f64, hold_ms: u64) -> Result<Self, WishError> {
        Ok(Self {
            linear_mmps: milli("linear_mps", linear_mps, LINEAR_MPS_MAX)?,
            angular_mradps: milli("angular_radps", angular_radps, ANGULAR_RADPS_MAX)?,
            ttl_ms: hold_ms.clamp(TTL_MS_MIN, HOLD_MS_MAX),
        })
    }
}
