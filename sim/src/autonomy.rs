//! A modest autonomy: drives straight to a place by its odometry, slows down near it, stops for what the laser sees. It finds
//! no way around anything. Pure.

use crate::base::{Command, ROBOT_RADIUS_M};
use crate::people::wrap_rad;
use ros_msgs::geometry_msgs::{Point, PoseStamped};
use ros_msgs::nav_msgs::Odometry;
use ros_msgs::sensor_msgs::LaserScan;

/// Fastest that it goes, in m/s.
pub const SPEED_MPS_MAX: f64 = 0.8;
/// Fastest that it turns, in rad/s.
pub const TURN_RADPS_MAX: f64 = 0.8;
/// So near is there, in metres.
pub const ARRIVED_M: f64 = 0.4;
/// It turns on the spot while the place lies so far aside, in rad.
const ASIDE_RAD: f64 = 0.5;
/// It keeps so much free way before it, in metres.
const KEEP_M: f64 = 0.7;
/// It expects to brake so hard, in m/s².
const BRAKE_MPS2: f64 = 0.6;
/// Something in the way for so long is a reason to give up, in seconds.
const PATIENCE_S: f64 = 20.0;

/// What the autonomy sees.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Where the wheels say that it is.
    pub odometry: Odometry,
    /// The newest sweep.
    pub scan: LaserScan,
}

/// What it wants in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Turn {
    /// Move so; metres to go.
    Go(Command, f64),
    /// There.
    Arrived,
    /// Something has stood in the way for too long.
    Blocked,
}

/// A goal in the frame of the odometry.
#[derive(Debug, Clone, Copy)]
pub struct Pursuit {
    x_m: f64,
    y_m: f64,
    blocked_s: f64,
}

impl Pursuit {
    /// A pursuit of this pose, which is seen from the robot (`base_link`) or lies in the frame of the odometry; none for another
    /// frame or what is no place.
    pub fn of(goal: &PoseStamped, seen: &Seen) -> Option<Self> {
        let Point { x, y, .. } = goal.pose.position;
        if !x.is_finite() || !y.is_finite() {
            return None;
        }
        let frame = goal.header.frame_id.as_str();
        let (x_m, y_m) = if frame == "base_link" {
            let pose = &seen.odometry.pose.pose;
            let (sin, cos) = pose.orientation.yaw_rad().sin_cos();
            (pose.position.x + x * cos - y * sin, pose.position.y + x * sin + y * cos)
        } else if frame == seen.odometry.header.frame_id {
            (x, y)
        } else {
            return None;
        };
        Some(Self { x_m, y_m, blocked_s: 0.0 })
    }

    /// One step of `dt_s`.
    pub fn step(&mut self, seen: &Seen, dt_s: f64) -> Turn {
        let pose = &seen.odometry.pose.pose;
        let (dx, dy) = (self.x_m - pose.position.x, self.y_m - pose.position.y);
        let distance_m = dx.hypot(dy);
        if distance_m <= ARRIVED_M {
            return Turn::Arrived;
        }
        let aside_rad = wrap_rad(dy.atan2(dx) - pose.orientation.yaw_rad());
        let angular_radps = (1.5 * aside_rad).clamp(-TURN_RADPS_MAX, TURN_RADPS_MAX);
        if aside_rad.abs() > ASIDE_RAD {
            return Turn::Go(Command { linear_mps: 0.0, angular_radps }, distance_m);
        }
        let free_m = (free_ahead_m(&seen.scan) - KEEP_M).max(0.0);
        // As fast as it can still brake, before what is in the way and before the place itself.
        let braking_mps = |way_m: f64| (2.0 * BRAKE_MPS2 * way_m).sqrt();
        let near_mps = braking_mps(distance_m - ARRIVED_M / 2.0);
        let linear_mps = SPEED_MPS_MAX.min(braking_mps(free_m)).min(near_mps);
        let blocked = linear_mps < 0.05;
        self.blocked_s = if blocked { self.blocked_s + dt_s } else { 0.0 };
        if self.blocked_s >= PATIENCE_S {
            return Turn::Blocked;
        }
        let linear_mps = if blocked { 0.0 } else { linear_mps };
        Turn::Go(Command { linear_mps, angular_radps }, distance_m)
    }
}

/// Free way before the robot's middle, as wide as the robot, in metres.
fn free_ahead_m(scan: &LaserScan) -> f64 {
    let half_m = ROBOT_RADIUS_M + 0.1;
    let mut angle_rad = f64::from(scan.angle_min);
    let mut free_m = f64::INFINITY;
    for range in &scan.ranges {
        let (sin, cos) = angle_rad.sin_cos();
        let range_m = f64::from(*range);
        let (ahead_m, aside_m) = (range_m * cos, range_m * sin);
        if range_m.is_finite() && ahead_m > 0.0 && aside_m.abs() < half_m {
            free_m = free_m.min(ahead_m);
        }
        angle_rad += f64::from(scan.angle_increment);
    }
    free_m
}

#[cfg(test)]
mod tests {
    use super::*;
    use ros_msgs::geometry_msgs::Quaternion;

    fn at(x: f64, y: f64, yaw_rad: f64) -> Seen {
        let mut seen = Seen::default();
        seen.odometry.header.frame_id = "odom".to_owned();
        seen.odometry.pose.pose.position = Point { x, y, z: 0.0 };
        seen.odometry.pose.pose.orientation = Quaternion::from_yaw(yaw_rad);
        seen
    }

    fn goal(frame: &str, x: f64, y: f64) -> PoseStamped {
        let mut goal = PoseStamped::default();
        goal.header.frame_id = frame.to_owned();
        (goal.pose.position.x, goal.pose.position.y) = (x, y);
        goal
    }

    /// Drives until it is there, as a base does that obeys at once; gives the pose and the seconds.
    fn drive(mut pursuit: Pursuit, mut seen: Seen) -> (Point, f64) {
        let (mut yaw_rad, mut time_s) = (seen.odometry.pose.pose.orientation.yaw_rad(), 0.0);
        while let Turn::Go(command, _) = pursuit.step(&seen, 0.05) {
            assert!(command.linear_mps <= SPEED_MPS_MAX && time_s < 120.0);
            yaw_rad += command.angular_radps * 0.05;
            let pose = &mut seen.odometry.pose.pose;
            pose.position.x += command.linear_mps * yaw_rad.cos() * 0.05;
            pose.position.y += command.linear_mps * yaw_rad.sin() * 0.05;
            pose.orientation = Quaternion::from_yaw(yaw_rad);
            time_s += 0.05;
        }
        (seen.odometry.pose.pose.position, time_s)
    }

    #[test]
    fn it_gets_there_from_every_side() {
        for yaw_rad in [0.0, 1.5, 3.1, -2.0] {
            let seen = at(2.0, -1.0, yaw_rad);
            let pursuit = Pursuit::of(&goal("odom", 10.0, 5.0), &seen).unwrap();
            let (end, _) = drive(pursuit, seen);
            assert!((end.x - 10.0).hypot(end.y - 5.0) <= ARRIVED_M, "{end:?}");
        }
    }

    #[test]
    fn a_goal_is_seen_from_the_robot() {
        let seen = at(1.0, 1.0, std::f64::consts::FRAC_PI_2);
        let pursuit = Pursuit::of(&goal("base_link", 4.0, 1.0), &seen).unwrap();
        assert!((pursuit.x_m - 0.0).abs() < 1e-9 && (pursuit.y_m - 5.0).abs() < 1e-9);
        assert!(Pursuit::of(&goal("map", 1.0, 1.0), &seen).is_none());
        assert!(Pursuit::of(&goal("odom", f64::NAN, 1.0), &seen).is_none());
    }

    #[test]
    fn what_is_in_the_way_stops_it_and_in_the_end_it_gives_up() {
        let mut seen = at(0.0, 0.0, 0.0);
        seen.scan.angle_min = -0.5;
        seen.scan.angle_increment = 0.1;
        seen.scan.ranges = vec![f32::INFINITY; 11];
        let mut pursuit = Pursuit::of(&goal("odom", 20.0, 0.0), &seen).unwrap();
        let speed = |pursuit: &mut Pursuit, seen: &Seen| match pursuit.step(seen, 0.05) {
            Turn::Go(command, _) => command.linear_mps,
            other => panic!("{other:?}"),
        };
        assert_eq!(speed(&mut pursuit, &seen), SPEED_MPS_MAX);
        seen.scan.ranges[0] = 1.5;
        assert_eq!(speed(&mut pursuit, &seen), SPEED_MPS_MAX, "beside the way");
        seen.scan.ranges[5] = 1.0;
        let slower = speed(&mut pursuit, &seen);
        assert!(slower > 0.3 && slower < SPEED_MPS_MAX, "{slower}");
        seen.scan.ranges[5] = 0.6;
        assert_eq!(speed(&mut pursuit, &seen), 0.0);
        let steps = (0..1_000).position(|_| pursuit.step(&seen, 0.05) == Turn::Blocked);
        assert!(steps.is_some_and(|steps| steps > 300));
    }
}
