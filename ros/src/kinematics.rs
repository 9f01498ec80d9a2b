//! What a base can do of what it is told. Pure.
//!
//! The safety core thinks of a robot that turns on the spot. A base that can't gets what it can do of that, **and never
//! more**: the speed stays as it is, the turn rate only shrinks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a base moves.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum Kinematics {
    /// Wheels or tracks on both sides: turns on the spot.
    #[default]
    Differential,
    /// Steers as a car does.
    Ackermann {
        /// From the rear axle to the front axle, m; more than 0.
        wheelbase_m: f64,
        /// Farthest that the wheel in the middle of the front axle turns to each side, rad; between 0 and π/2.
        steering_rad_max: f64,
    },
}

/// The message that carries velocity commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Commands {
    /// `geometry_msgs/msg/Twist`
    #[default]
    Twist,
    /// `geometry_msgs/msg/TwistStamped`
    TwistStamped,
    /// `ackermann_msgs/msg/AckermannDriveStamped`
    AckermannDriveStamped,
}

impl Commands {
    /// Full name of the message's type.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Twist => "geometry_msgs/msg/Twist",
            Self::TwistStamped => "geometry_msgs/msg/TwistStamped",
            Self::AckermannDriveStamped => "ackermann_msgs/msg/AckermannDriveStamped",
        }
    }

    /// As the configuration names it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Twist => "twist",
            Self::TwistStamped => "twist_stamped",
            Self::AckermannDriveStamped => "ackermann_drive_stamped",
        }
    }

    /// All that there are.
    pub const ALL: [Self; 3] = [Self::Twist, Self::TwistStamped, Self::AckermannDriveStamped];
}

impl Kinematics {
    /// Speed forward (m/s) and turn rate to the left (rad/s) that the base can do: the same speed, and as much of the
    /// turn rate as it has. What is no number is zero.
    pub fn limit(&self, linear_mps: f64, angular_radps: f64) -> (f64, f64) {
        if !linear_mps.is_finite() || !angular_radps.is_finite() {
            return (0.0, 0.0);
        }
        match self {
            Self::Differential => (linear_mps, angular_radps),
            Self::Ackermann { wheelbase_m, steering_rad_max } => {
                let most = linear_mps.abs() * steering_rad_max.tan() / wheelbase_m;
                // Not `clamp`: that panics where the bounds are no numbers.
                let turn = angular_radps.abs().min(most.max(0.0));
                (linear_mps, turn.copysign(angular_radps))
            }
        }
    }

    /// The angle of the wheel in the middle of the front axle that makes this turn rate at this speed, rad to the left.
    /// At rest there is none, and the wheel stays where it is.
    pub fn steering_rad(&self, linear_mps: f64, angular_radps: f64) -> Option<f64> {
        let Self::Ackermann { wheelbase_m, steering_rad_max } = self else { return None };
        let (linear, angular) = self.limit(linear_mps, angular_radps);
        let angle = (wheelbase_m * angular / linear).atan();
        angle.is_finite().then(|| angle.max(-steering_rad_max).min(*steering_rad_max))
    }

    /// The turn rate that a base makes at this speed with this angle of the wheel; a base that does not steer makes none.
    pub fn turn_radps(&self, linear_mps: f64, steering_rad: f64) -> f64 {
        match self {
            Self::Differential => 0.0,
            Self::Ackermann { wheelbase_m, steering_rad_max } => {
                let angle = steering_rad.max(-steering_rad_max).min(*steering_rad_max);
                linear_mps * angle.tan() / wheelbase_m
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CAR: Kinematics = Kinematics::Ackermann { wheelbase_m: 0.6, steering_rad_max: 0.5 };

    #[test]
    fn a_car_does_not_turn_on_the_spot() {
        assert_eq!(CAR.limit(0.0, 1.0), (0.0, 0.0));
        assert_eq!(CAR.steering_rad(0.0, 1.0), None);
        assert_eq!(Kinematics::Differential.limit(0.0, 1.0), (0.0, 1.0));
    }

    #[test]
    fn a_car_steers_the_other_way_when_it_backs() {
        let ahead = CAR.steering_rad(1.0, 0.3).unwrap();
        assert!((ahead - (0.6_f64 * 0.3).atan()).abs() < 1e-12);
        assert!((CAR.steering_rad(-1.0, 0.3).unwrap() + ahead).abs() < 1e-12);
        assert_eq!(CAR.steering_rad(1.0, 9.0), Some(0.5), "as far as it goes");
    }

    #[test]
    fn what_is_no_number_stands_still() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for kinematics in [CAR, Kinematics::Differential] {
                assert_eq!(kinematics.limit(bad, 0.1), (0.0, 0.0));
                assert_eq!(kinematics.limit(1.0, bad), (0.0, 0.0));
            }
            assert_eq!(CAR.steering_rad(bad, 0.1), None);
        }
    }

    fn any_base() -> impl Strategy<Value = Kinematics> {
        let car = (0.05_f64..5.0, 0.01_f64..1.5).prop_map(|(wheelbase_m, steering_rad_max)| {
            Kinematics::Ackermann { wheelbase_m, steering_rad_max }
        });
        prop_oneof![Just(Kinematics::Differential), car]
    }

    proptest! {
        #[test]
        fn never_more_than_was_allowed(base in any_base(), v in -4.0_f64..4.0, w in -8.0_f64..8.0) {
            let (linear, angular) = base.limit(v, w);
            prop_assert_eq!(linear, v, "the speed is the core's");
            prop_assert!(angular.abs() <= w.abs());
            prop_assert!(angular == 0.0 || angular.signum() == w.signum());
            prop_assert_eq!(base.limit(linear, angular), (linear, angular), "what it can do it may do");
        }

        #[test]
        fn never_more_whatever_the_numbers(base in any_base(), v in any::<f64>(), w in any::<f64>()) {
            let (linear, angular) = base.limit(v, w);
            prop_assert!(linear == 0.0 && angular == 0.0 || linear == v && angular.abs() <= w.abs());
            prop_assert!(linear.is_finite() && angular.is_finite());
        }

        #[test]
        fn the_wheel_never_turns_further_than_it_can(
            base in any_base(), v in -4.0_f64..4.0, w in -8.0_f64..8.0,
        ) {
            let Kinematics::Ackermann { steering_rad_max, .. } = base else { return Ok(()) };
            let (linear, angular) = base.limit(v, w);
            if let Some(angle) = base.steering_rad(v, w) {
                prop_assert!(angle.abs() <= steering_rad_max);
                // What the base makes of it is what was meant.
                prop_assert!((base.turn_radps(linear, angle) - angular).abs() < 1e-9);
            } else {
                prop_assert_eq!(v, 0.0);
            }
        }
    }
}
