//! The agent's side: one goal at a time, asked for by what is wanted now.

use super::{Client, Goal, NavigationConfig, VelocityMessage, basic};
use crate::clock::mono_ns;
use crate::config::ConnectError;
use crate::exact::Exact;
use crate::intake::shared;
use crate::keeper::Kept;
use crate::node::Ros;
use protocol::units::MonoNs;
use ros_msgs::geometry_msgs::{PoseStamped, Twist, TwistStamped};
use ros_msgs::nav2_msgs::NavigateToPoseGoal;
use ros2_client::Subscription;
use ros2_client::action::{GoalId, GoalStatusEnum};
use ros2_client::qos::Reliability;
use ros2_client::service::RmwRequestId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Between two looks. The autonomy's velocities come 20 times a second.
const LOOK_EVERY: Duration = Duration::from_millis(15);
/// While nothing is wanted.
const LOOK_EVERY_IDLE: Duration = Duration::from_millis(60);
const SERVER_LOOK_EVERY_NS: u64 = 1_000_000_000;
/// How long the autonomy may take to say whether it takes a goal.
const ANSWER_WITHIN_NS: u64 = 3_000_000_000;

/// What the autonomy says. Goals have the numbers that [`Navigator::pursue`] gave them.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// The action's server appeared, or is gone.
    There(bool),
    /// It took the goal.
    Accepted(u64),
    /// It drives; metres to go.
    Distance(u64, f64),
    /// It is there.
    Arrived(u64),
    /// It did not take the goal, or can't get there: why, in words.
    Failed(u64, String),
    /// It wishes this velocity.
    Velocity(Twist),
}

type Wanted = Arc<Mutex<Option<(u64, PoseStamped)>>>;

/// The way to the robot's autonomy. Dropping it ends the connection.
pub struct Navigator {
    _link: Kept<Link>,
    wanted: Wanted,
}

impl Navigator {
    /// Joins the domain and listens. `deliver` is called on a thread of its own and must hand over and return. A server
    /// that is not there is no error. After a freeze of the process the connection is made anew, and what was being
    /// pursued has failed.
    pub fn connect(
        config: &NavigationConfig,
        deliver: impl FnMut(Heard, MonoNs) + Send + 'static,
    ) -> Result<Self, ConnectError> {
        let wanted = Wanted::default();
        let (config, deliver, kept) = (config.clone(), shared(deliver), Arc::clone(&wanted));
        let link = Kept::start(move || Link::connect(&config, Arc::clone(&kept), deliver()))?;
        Ok(Self { _link: link, wanted })
    }

    /// Has the autonomy pursue this goal, numbered by the caller, or none; what it pursued before is cancelled. The same
    /// number again changes nothing. Never waits.
    pub fn pursue(&self, goal: Option<(u64, PoseStamped)>) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = goal;
    }
}

/// A thread that owns the connection.
struct Link {
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    fn connect(
        config: &NavigationConfig,
        wanted: Wanted,
        deliver: Box<dyn FnMut(Heard, MonoNs) + Send>,
    ) -> Result<Self, ConnectError> {
        let mut ros = Ros::connect(&basic(config))?;
        let client = ros.action_client(config)?;
        let velocities = Velocities::new(&mut ros, config)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let mut side = Side {
            ros,
            client,
            velocities,
            action: config.action.clone(),
            wanted,
            deliver,
            pursuit: None,
            done: None,
            there: None,
            looked: MonoNs(0),
        };
        let until = Arc::clone(&stopping);
        let run = move || {
            while !until.load(Ordering::Acquire) {
                let busy = side.look(mono_ns());
                std::thread::sleep(if busy { LOOK_EVERY } else { LOOK_EVERY_IDLE });
            }
            side.give_up();
        };
        let thread = Builder::new().name("ros-navigator".to_owned()).spawn(run);
        let thread = thread.map_err(|source| ConnectError::Thread { source })?;
        Ok(Self { stopping, thread: Some(thread) })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that navigates had panicked");
        }
    }
}

enum Velocities {
    Twist(Subscription<Exact<Twist>>),
    TwistStamped(Subscription<Exact<TwistStamped>>),
}

impl Velocities {
    fn new(ros: &mut Ros, config: &NavigationConfig) -> Result<Self, ConnectError> {
        let topic = &config.velocity_topic;
        Ok(match config.velocity {
            VelocityMessage::Twist => {
                Self::Twist(ros.subscribe(topic, 1, Reliability::BestEffort)?)
            }
            VelocityMessage::TwistStamped => {
                Self::TwistStamped(ros.subscribe(topic, 1, Reliability::BestEffort)?)
            }
        })
    }

    /// The newest one since the last look. What can't be read is none: the one before goes stale.
    fn newest(&self) -> Option<Twist> {
        let mut newest = None;
        loop {
            let taken = match self {
                Self::Twist(topic) => topic.take().map(|t| t.map(|(Exact(m), _)| m)),
                Self::TwistStamped(topic) => topic.take().map(|t| t.map(|(Exact(m), _)| m.twist)),
            };
            match taken {
                Ok(Some(twist)) => newest = Some(twist),
                Ok(None) => return newest,
                Err(error) => {
                    tracing::debug!(?error, "an unreadable velocity of the autonomy");
                    return newest;
                }
            }
        }
    }
}

/// A goal that the server was asked to pursue.
struct Pursuit {
    number: u64,
    goal: GoalId,
    stage: Stage,
}

enum Stage {
    /// Asked with this request at that time; no answer yet.
    Asked(RmwRequestId, MonoNs),
    /// Taken; the result was asked for with this request.
    Going(RmwRequestId),
}

struct Side {
    client: Client,
    velocities: Velocities,
    action: String,
    wanted: Wanted,
    deliver: Box<dyn FnMut(Heard, MonoNs) + Send>,
    pursuit: Option<Pursuit>,
    /// The number of the goal that has ended and is still wanted.
    done: Option<u64>,
    there: Option<bool>,
    looked: MonoNs,
    /// Dropped last.
    ros: Ros,
}

impl Side {
    /// One look at everything; whether there is something to do.
    fn look(&mut self, now: MonoNs) -> bool {
        if now.since(self.looked) >= SERVER_LOOK_EVERY_NS {
            self.looked = now;
            let there = self.ros.serves(&self.action);
            if self.there.replace(there) != Some(there) {
                (self.deliver)(Heard::There(there), now);
            }
        }
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let number = wanted.as_ref().map(|(number, _)| *number);
        self.answers(now, number);
        self.reconcile(now, wanted);
        if let Some(twist) = self.velocities.newest() {
            (self.deliver)(Heard::Velocity(twist), now);
        }
        number.is_some() || self.pursuit.is_some()
    }

    /// Begins what is wanted and was not begun.
    fn reconcile(&mut self, now: MonoNs, wanted: Option<(u64, PoseStamped)>) {
        let Some((number, pose)) = wanted else {
            self.done = None;
            return;
        };
        // While another one is answered or cancelled it waits for its turn.
        if self.pursuit.is_some() || self.done == Some(number) {
            return;
        }
        if self.there != Some(true) {
            return self.fail(number, format!("nobody serves {} on the robot", self.action), now);
        }
        let goal = Goal(NavigateToPoseGoal { pose, behavior_tree: String::new() });
        match self.client.send_goal(goal) {
            Ok((request, goal)) => {
                self.pursuit = Some(Pursuit { number, goal, stage: Stage::Asked(request, now) });
            }
            Err(error) => self.fail(number, format!("the goal was not sent: {error:?}"), now),
        }
    }

    fn fail(&mut self, number: u64, why: String, now: MonoNs) {
        self.done = Some(number);
        (self.deliver)(Heard::Failed(number, why), now);
    }

    /// Reads what the server answers about the pursuit; one that is no longer wanted is cancelled.
    fn answers(&mut self, now: MonoNs, wanted: Option<u64>) {
        let Some(mut pursuit) = self.pursuit.take() else { return };
        let (number, goal) = (pursuit.number, pursuit.goal);
        if let Stage::Asked(request, asked) = pursuit.stage {
            match self.client.receive_goal_response(request) {
                Ok(Some(answer)) if answer.accepted => match self.client.request_result(goal) {
                    Ok(request) => {
                        pursuit.stage = Stage::Going(request);
                        (self.deliver)(Heard::Accepted(number), now);
                    }
                    Err(error) => {
                        self.cancel(goal);
                        return self.fail(number, format!("it can't be followed: {error:?}"), now);
                    }
                },
                Ok(Some(_refused)) => {
                    return self.fail(number, "the autonomy did not take the goal".to_owned(), now);
                }
                Ok(None) if now.since(asked) < ANSWER_WITHIN_NS => {}
                Ok(None) | Err(_) => {
                    self.cancel(goal);
                    return self.fail(number, "the autonomy does not answer".to_owned(), now);
                }
            }
        }
        if let Stage::Going(request) = pursuit.stage {
            // Only once it was taken: before, the server would not know it.
            if wanted != Some(number) {
                return self.cancel(goal);
            }
            while let Ok(Some(progress)) = self.client.receive_feedback(goal) {
                let distance_m = f64::from(progress.0.distance_remaining);
                (self.deliver)(Heard::Distance(number, distance_m), now);
            }
            if let Ok(Some((status, outcome))) = self.client.receive_result(request) {
                return self.ended(number, status, &outcome.0.error_msg, outcome.0.error_code, now);
            }
            if self.there == Some(false) {
                return self.fail(number, "the autonomy is gone".to_owned(), now);
            }
        }
        self.pursuit = Some(pursuit);
    }

    fn ended(&mut self, number: u64, status: GoalStatusEnum, words: &str, code: u16, now: MonoNs) {
        if status == GoalStatusEnum::Succeeded {
            self.done = Some(number);
            return (self.deliver)(Heard::Arrived(number), now);
        }
        // Words of somebody else's program: bounded.
        let words: String = words.chars().take(200).collect();
        let why = match (status, words.is_empty(), code) {
            (GoalStatusEnum::Canceled, true, _) => "somebody else cancelled it".to_owned(),
            (_, true, 0) => "the autonomy found no way".to_owned(),
            (_, true, code) => format!("the autonomy gave up (error {code})"),
            (_, false, _) => format!("the autonomy gave up: {words}"),
        };
        self.fail(number, why, now);
    }

    fn cancel(&self, goal: GoalId) {
        if let Err(error) = self.client.cancel_goal(goal) {
            // Its velocities are not listened to any more, whatever it does.
            tracing::warn!(?error, "the autonomy was not told that its goal is over");
        }
        // The answer changes nothing; what came of the one before is taken out of the way.
        while let Ok(Some(_answer)) = self.client.cancel_client().receive_response() {}
    }

    fn give_up(&mut self) {
        if let Some(Pursuit { number, goal, .. }) = self.pursuit.take() {
            self.cancel(goal);
            self.fail(number, "the connection to the autonomy was made anew".to_owned(), mono_ns());
        }
    }
}
