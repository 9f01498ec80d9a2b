//! The autonomy as ROS sees it: Nav2's action, and the velocities that it wishes on `/cmd_vel_nav`.

use anyhow::Context;
use ros_bridge::navigation::{Autonomy, NavigationConfig, Planner, Step};
use ros_msgs::geometry_msgs::{PoseStamped, Twist};
use sim::autonomy::{Pursuit, Seen, Turn};
use std::sync::{Arc, Mutex, PoisonError};

const STEP_S: f64 = 0.05;

/// What the robot's sensors published last, for its autonomy.
pub(super) type Eyes = Arc<Mutex<Seen>>;

struct Driver {
    eyes: Eyes,
    pursuit: Option<Pursuit>,
}

/// Starts the autonomy.
pub(super) fn start(ros_domain: u16, eyes: Eyes) -> anyhow::Result<Autonomy> {
    let config = NavigationConfig::new(ros_domain, "sim_autonomy");
    Autonomy::start(&config, Driver { eyes, pursuit: None }).context("the autonomy could not start")
}

impl Driver {
    fn seen(&self) -> Seen {
        self.eyes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Planner for Driver {
    fn begin(&mut self, goal: &PoseStamped) -> bool {
        let pursuit = Pursuit::of(goal, &self.seen());
        tracing::info!(frame = goal.header.frame_id, taken = pursuit.is_some(), "a goal");
        // What is refused changes nothing.
        self.pursuit = pursuit.or(self.pursuit);
        pursuit.is_some()
    }

    fn step(&mut self) -> Step {
        let seen = self.seen();
        match self.pursuit.as_mut().map(|pursuit| pursuit.step(&seen, STEP_S)) {
            Some(Turn::Go(command, distance_m)) => {
                Step::Go(Twist::planar(command.linear_mps, command.angular_radps), distance_m)
            }
            Some(Turn::Arrived) => Step::Arrived,
            Some(Turn::Blocked) => Step::GaveUp("something is in the way".to_owned()),
            None => Step::GaveUp("there is no goal".to_owned()),
        }
    }
}
