//! The robot's side: serves the action with a planner, and publishes the velocities that it wishes.

use super::{Goal, NavigationConfig, Outcome, Progress, Server, VelocityMessage, basic};
use crate::clock::wall_ns;
use crate::config::ConnectError;
use crate::node::Ros;
use ros_msgs::builtin_interfaces::Time;
use ros_msgs::geometry_msgs::{PoseStamped, Twist, TwistStamped};
use ros_msgs::nav2_msgs::{NavigateToPoseFeedback, NavigateToPoseResult};
use ros_msgs::std_msgs::Header;
use ros2_client::Publisher;
use ros2_client::action::{
    CancelGoalResponse, GetResultResponse, GoalId, GoalInfo, GoalStatusEnum, SendGoalResponse,
};
use ros2_client::action_msgs::{CancelGoalResponseEnum, GoalStatus, GoalStatusArray};
use ros2_client::builtin_interfaces::Time as StampOfLibrary;
use ros2_client::dds::rustdds::no_key::SerializerAdapter;
use ros2_client::dds::rustdds::serialization::CDRSerializerAdapter;
use ros2_client::service::RmwRequestId;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Velocities are published this often, as Nav2's controller does.
const STEP_EVERY: Duration = Duration::from_millis(50);
const FEEDBACK_EVERY: u32 = 5;
/// Results that somebody may still ask for.
const RESULTS_MAX: usize = 8;

/// What a planner says of one step.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Move so; metres to go.
    Go(Twist, f64),
    /// There.
    Arrived,
    /// No way: why, in words.
    GaveUp(String),
}

/// Whoever finds the way.
pub trait Planner: Send {
    /// Takes a goal in place of the one before, or says no.
    fn begin(&mut self, goal: &PoseStamped) -> bool;
    /// One step towards it, 20 times a second.
    fn step(&mut self) -> Step;
}

/// A robot's autonomy as ROS 2 sees it. Dropping it ends it.
pub struct Autonomy {
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Autonomy {
    /// Joins the domain and serves.
    pub fn start(
        config: &NavigationConfig,
        planner: impl Planner + 'static,
    ) -> Result<Self, ConnectError> {
        let mut ros = Ros::connect(&basic(config))?;
        let topic = &config.velocity_topic;
        let velocities = match config.velocity {
            VelocityMessage::Twist => Velocities::Twist(ros.publish_best_effort(topic, 1)?),
            VelocityMessage::TwistStamped => {
                Velocities::TwistStamped(ros.publish_best_effort(topic, 1)?)
            }
        };
        let server = ros.action_server(config)?;
        let mut side = Side {
            server,
            velocities,
            planner: Box::new(planner),
            current: None,
            results: VecDeque::new(),
            steps: 0,
            _ros: ros,
        };
        let stopping = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stopping);
        let run = move || {
            let mut next = Instant::now();
            while !until.load(Ordering::Acquire) {
                side.turn();
                // After a freeze it goes on from now.
                next = (next + STEP_EVERY).max(Instant::now());
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        };
        let thread = Builder::new().name("autonomy".to_owned()).spawn(run);
        let thread = thread.map_err(|source| ConnectError::Thread { source })?;
        Ok(Self { stopping, thread: Some(thread) })
    }
}

impl Drop for Autonomy {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the autonomy had panicked");
        }
    }
}

enum Velocities {
    Twist(Publisher<Twist>),
    TwistStamped(Publisher<TwistStamped>),
}

impl Velocities {
    fn send(&self, twist: Twist) {
        let stamp = Time::from_ns(wall_ns());
        let header = || Header { stamp, frame_id: "base_link".to_owned() };
        let sent = match self {
            Self::Twist(topic) => topic.publish(twist).is_ok(),
            Self::TwistStamped(topic) => {
                topic.publish(TwistStamped { header: header(), twist }).is_ok()
            }
        };
        if !sent {
            tracing::debug!("a velocity of the autonomy was not sent");
        }
    }
}

struct Current {
    goal: GoalId,
    /// Who waits for the result.
    asked: Option<RmwRequestId>,
}

struct Side {
    server: Server,
    velocities: Velocities,
    planner: Box<dyn Planner>,
    current: Option<Current>,
    results: VecDeque<(GoalId, GoalStatusEnum, NavigateToPoseResult)>,
    steps: u32,
    /// Dropped last.
    _ros: Ros,
}

impl Side {
    fn turn(&mut self) {
        while let Ok(Some((request, asked))) = self.server.receive_goal() {
            let Goal(goal) = asked.goal;
            let accepted = self.planner.begin(&goal.pose);
            if accepted {
                // A newer goal takes the place of the one before, as Nav2 does it.
                self.end(GoalStatusEnum::Aborted, "another goal came");
                self.current = Some(Current { goal: asked.goal_id, asked: None });
                self.tell(asked.goal_id, GoalStatusEnum::Executing);
            }
            let answer = SendGoalResponse { accepted, stamp: StampOfLibrary::now() };
            note(self.server.send_goal_response(request, answer).is_ok());
        }
        self.cancels();
        self.questions();
        if self.current.is_some() {
            self.step();
        }
    }

    fn step(&mut self) {
        match self.planner.step() {
            Step::Go(twist, distance_m) => {
                self.velocities.send(twist);
                self.steps = self.steps.wrapping_add(1);
                if let Some(current) = &self.current
                    && self.steps.is_multiple_of(FEEDBACK_EVERY)
                {
                    #[expect(clippy::cast_possible_truncation, reason = "metres to go")]
                    let distance_remaining = distance_m as f32;
                    let progress =
                        NavigateToPoseFeedback { distance_remaining, ..Default::default() };
                    let sent = self.server.send_feedback(current.goal, Progress(progress));
                    note(sent.is_ok());
                }
            }
            Step::Arrived => self.end(GoalStatusEnum::Succeeded, ""),
            Step::GaveUp(why) => self.end(GoalStatusEnum::Aborted, &why),
        }
    }

    fn cancels(&mut self) {
        while let Ok(Some((request, asked))) = self.server.receive_cancel_request() {
            let hit = self.current.as_ref().map(|current| current.goal);
            let hit = hit.filter(|goal| names(&asked, goal));
            if hit.is_some() {
                self.end(GoalStatusEnum::Canceled, "");
            }
            let return_code = match hit {
                Some(_) => CancelGoalResponseEnum::None,
                None => CancelGoalResponseEnum::UnknownGoal,
            };
            let info = |goal_id| GoalInfo { goal_id, stamp: StampOfLibrary::ZERO };
            let goals_canceling = hit.into_iter().map(info).collect();
            let answer = CancelGoalResponse { return_code, goals_canceling };
            note(self.server.send_cancel_response(request, answer).is_ok());
        }
    }

    fn questions(&mut self) {
        while let Ok(Some((request, asked))) = self.server.receive_result_request() {
            if let Some(current) = self.current.as_mut().filter(|c| c.goal == asked.goal_id) {
                current.asked = Some(request);
                continue;
            }
            let known = self.results.iter().find(|(goal, ..)| *goal == asked.goal_id);
            let (status, result) = known.map_or_else(
                || (GoalStatusEnum::Unknown, NavigateToPoseResult::default()),
                |(_, status, result)| (*status, result.clone()),
            );
            self.answer(request, status, result);
        }
    }

    fn end(&mut self, status: GoalStatusEnum, why: &str) {
        let Some(current) = self.current.take() else { return };
        self.velocities.send(Twist::default());
        let result = NavigateToPoseResult { error_code: 0, error_msg: why.to_owned() };
        if let Some(request) = current.asked {
            self.answer(request, status, result.clone());
        }
        if self.results.len() >= RESULTS_MAX {
            self.results.pop_front();
        }
        self.results.push_back((current.goal, status, result));
        self.tell(current.goal, status);
    }

    fn answer(&self, request: RmwRequestId, status: GoalStatusEnum, result: NavigateToPoseResult) {
        let response = GetResultResponse { status, result: Outcome(result) };
        note(self.server.send_result(request, response).is_ok());
    }

    fn tell(&self, goal_id: GoalId, status: GoalStatusEnum) {
        let goal_info = GoalInfo { goal_id, stamp: StampOfLibrary::now() };
        let statuses = GoalStatusArray { status_list: vec![GoalStatus { goal_info, status }] };
        note(self.server.send_goal_statuses(statuses).is_ok());
    }
}

fn note(sent: bool) {
    if !sent {
        tracing::debug!("an answer of the autonomy was not sent");
    }
}

/// Whether a request names this goal, or all of them. The library keeps the field to itself, but not the bytes, which
/// begin with it.
fn names(request: &ros2_client::action::CancelGoalRequest, goal: &GoalId) -> bool {
    type Bytes<T> = CDRSerializerAdapter<T>;
    let (Ok(request), Ok(goal), Ok(all)) =
        (Bytes::to_bytes(request), Bytes::to_bytes(goal), Bytes::to_bytes(&GoalId::ZERO))
    else {
        return false;
    };
    request.starts_with(&goal) || request.starts_with(&all)
}
