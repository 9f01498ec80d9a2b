//! The robot's base: a differential drive with inertia, slip, and its own watchdog.

use crate::rng::Rng;

/// Top speed forwards, in m/s.
pub const SPEED_MAX_MPS: f64 = 1.5;
/// Top speed backwards, in m/s.
pub const REVERSE_MAX_MPS: f64 = 0.8;
/// Fastest turn, in rad/s.
pub const TURN_MAX_RADPS: f64 = 1.8;
/// How fast it gathers speed, in m/s².
pub const ACCELERATION_MPS2: f64 = 1.5;
/// How fast it brakes, in m/s².
pub const BRAKING_MPS2: f64 = 3.0;
/// How fast its turn rate changes, in rad/s².
pub const TURN_ACCELERATION_RADPS2: f64 = 6.0;
/// The base brakes by itself when the last command is older than this, in seconds.
pub const COMMAND_TIMEOUT_S: f64 = 0.3;
/// The robot's outline is a disc of this radius, in metres.
pub const ROBOT_RADIUS_M: f64 = 0.32;
/// Distance between the wheels, in metres.
pub const TRACK_M: f64 = 0.46;
/// Radius of the wheels, in metres.
pub const WHEEL_RADIUS_M: f64 = 0.1;

/// A velocity command, as `/cmd_vel` carries it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Command {
    /// Forward speed in m/s.
    pub linear_mps: f64,
    /// Turn rate in rad/s, counter-clockwise.
    pub angular_radps: f64,
}

/// What the wheels do, and what the command was.
#[derive(Debug, Clone, Default)]
pub struct Base {
    /// Speed of the wheels' middle, in m/s.
    pub speed_mps: f64,
    /// Turn rate that the wheels make, in rad/s.
    pub turn_radps: f64,
    /// Angle of the left and right wheel, in radians.
    pub wheels_rad: [f64; 2],
    /// The last command, clamped.
    pub command: Command,
    /// Seconds since the last command; infinite before the first.
    pub command_age_s: f64,
    /// How often the watchdog stopped the base.
    pub timeouts: u64,
    timed_out: bool,
    slip: f64,
    yaw_slip: f64,
}

/// How the body moves over the ground: the wheels' motion less the slip.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Motion {
    pub(crate) speed_mps: f64,
    pub(crate) turn_radps: f64,
}

impl Base {
    pub(crate) fn new() -> Self {
        Self { command_age_s: f64::INFINITY, timed_out: true, ..Self::default() }
    }

    /// Takes a command. One that is not finite is a command to stop.
    pub(crate) fn take(&mut self, command: Command) {
        let finite = command.linear_mps.is_finite() && command.angular_radps.is_finite();
        let command = if finite { command } else { Command::default() };
        self.command = Command {
            linear_mps: command.linear_mps.clamp(-REVERSE_MAX_MPS, SPEED_MAX_MPS),
            angular_radps: command.angular_radps.clamp(-TURN_MAX_RADPS, TURN_MAX_RADPS),
        };
        self.command_age_s = 0.0;
        self.timed_out = false;
    }

    /// Turns the wheels for `dt_s` and tells how the body moves.
    pub(crate) fn step(&mut self, dt_s: f64, rng: &mut Rng) -> Motion {
        self.command_age_s += dt_s;
        let mut target = self.command;
        if self.command_age_s > COMMAND_TIMEOUT_S {
            target = Command::default();
            if !self.timed_out {
                self.timed_out = true;
                self.timeouts += 1;
            }
        }
        self.speed_mps = approach(self.speed_mps, target.linear_mps, dt_s);
        let turn = target.angular_radps - self.turn_radps;
        let most = TURN_ACCELERATION_RADPS2 * dt_s;
        self.turn_radps += turn.clamp(-most, most);
        let half = self.turn_radps * TRACK_M / 2.0;
        self.wheels_rad[0] += (self.speed_mps - half) / WHEEL_RADIUS_M * dt_s;
        self.wheels_rad[1] += (self.speed_mps + half) / WHEEL_RADIUS_M * dt_s;
        // Slip wanders slowly: about 1 % of the way and 2 % of the turn, never a gain in speed.
        let pull = (-dt_s / 2.0_f64).exp();
        let push = (1.0 - pull * pull).sqrt();
        self.slip = self.slip * pull + 0.008 * push * rng.normal();
        self.yaw_slip = self.yaw_slip * pull + 0.02 * push * rng.normal();
        Motion {
            speed_mps: self.speed_mps * (1.0 - (0.008 + self.slip).clamp(0.0, 0.05)),
            turn_radps: self.turn_radps * (1.0 - self.yaw_slip.clamp(-0.08, 0.08))
                + self.yaw_slip * 0.05 * self.speed_mps,
        }
    }

    /// The wheels stand still: something solid is in the way.
    pub(crate) fn block(&mut self) {
        self.speed_mps = 0.0;
    }
}

/// Speed after `dt_s` on the way to `target`: away from zero by acceleration, towards zero by braking.
fn approach(speed: f64, target: f64, dt_s: f64) -> f64 {
    let braking = target.abs() < speed.abs() || target * speed < 0.0;
    let most = if braking { BRAKING_MPS2 } else { ACCELERATION_MPS2 } * dt_s;
    // Through zero is two movements: first brake to a stand.
    let goal = if target * speed < 0.0 { 0.0 } else { target };
    speed + (goal - speed).clamp(-most, most)
}
