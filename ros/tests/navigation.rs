//! Both sides of `NavigateToPose` in one machine, over real DDS.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ros_bridge::navigation::{
    Autonomy, Heard, Middleware, NavigationConfig, Navigator, Planner, Step, VelocityMessage,
};
use ros_msgs::geometry_msgs::{PoseStamped, Twist};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;
use support::{fresh_domain, until};

/// Counts down the metres of its goal's x, a tenth each step; refuses what lies behind, and gives up at 99.
struct Countdown(f64);

impl Planner for Countdown {
    fn begin(&mut self, goal: &PoseStamped) -> bool {
        assert_eq!(goal.header.frame_id, "base_link");
        self.0 = goal.pose.position.x;
        self.0 > 0.0
    }

    fn step(&mut self) -> Step {
        self.0 -= 0.1;
        match self.0 {
            98.0..99.0 => Step::GaveUp("a wall".to_owned()),
            ..0.0 => Step::Arrived,
            left => Step::Go(Twist::planar(0.5, -0.25), left),
        }
    }
}

fn goal(x: f64) -> PoseStamped {
    let mut pose = PoseStamped::default();
    pose.header.frame_id = "base_link".to_owned();
    pose.pose.position.x = x;
    pose
}

fn wait_for(heard: &Receiver<Heard>, what: &str, is: impl Fn(&Heard) -> bool) {
    until(what, || heard.recv_timeout(Duration::from_millis(50)).is_ok_and(|heard| is(&heard)));
}

fn drives(middleware: Middleware, velocity: VelocityMessage) {
    let domain_id = fresh_domain();
    let config = |name: &str| NavigationConfig {
        middleware,
        velocity,
        ..NavigationConfig::new(domain_id, name)
    };
    let (tell, heard) = sync_channel(1_024);
    let navigator = Navigator::connect(&config("test_navigator"), move |heard, _arrived| {
        tell.try_send(heard).ok(); // The test may have ended.
    })
    .unwrap();
    navigator.pursue(Some((1, goal(3.0))));
    wait_for(&heard, "a word that nobody serves", |h| matches!(h, Heard::Failed(1, _)));

    let autonomy = Autonomy::start(&config("test_autonomy"), Countdown(0.0)).unwrap();
    wait_for(&heard, "the server", |h| *h == Heard::There(true));
    navigator.pursue(Some((2, goal(3.0))));
    wait_for(&heard, "its yes", |h| *h == Heard::Accepted(2));
    wait_for(&heard, "a velocity", |h| *h == Heard::Velocity(Twist::planar(0.5, -0.25)));
    wait_for(&heard, "the distance", |h| matches!(h, Heard::Distance(2, m) if *m < 3.0));
    wait_for(&heard, "the end", |h| *h == Heard::Arrived(2));

    navigator.pursue(Some((3, goal(-1.0))));
    wait_for(&heard, "a no", |h| matches!(h, Heard::Failed(3, _)));
    navigator.pursue(Some((4, goal(99.05))));
    wait_for(&heard, "why not", |h| matches!(h, Heard::Failed(4, why) if why.contains("a wall")));

    // Cancelled, and replaced at once by another, which the cancel of the first must not hit.
    navigator.pursue(Some((5, goal(50.0))));
    wait_for(&heard, "the fifth", |h| *h == Heard::Accepted(5));
    navigator.pursue(None);
    wait_for(&heard, "a stop", |h| *h == Heard::Velocity(Twist::default()));
    navigator.pursue(Some((6, goal(50.0))));
    wait_for(&heard, "the sixth", |h| *h == Heard::Accepted(6));
    navigator.pursue(Some((7, goal(2.0))));
    wait_for(&heard, "the seventh", |h| *h == Heard::Arrived(7));

    navigator.pursue(Some((8, goal(50.0))));
    wait_for(&heard, "the eighth", |h| *h == Heard::Accepted(8));
    drop(autonomy);
    wait_for(&heard, "its absence", |h| *h == Heard::There(false));
    wait_for(&heard, "the end of what it did", |h| matches!(h, Heard::Failed(8, _)));
}

#[test]
fn a_goal_is_pursued_and_cancelled_as_fast_dds_speaks() {
    drives(Middleware::FastDds, VelocityMessage::Twist);
}

#[test]
fn a_goal_is_pursued_and_cancelled_as_cyclone_dds_speaks() {
    drives(Middleware::CycloneDds, VelocityMessage::TwistStamped);
}
