//! Supervised driving by the robot's own autonomy: which goal there is, whose velocity counts, and when the driver took
//! over. Pure. The safety core does not know of it: it gets the autonomy's velocity in place of a stick at rest, and every
//! rule for a driver's command holds.

use protocol::drive::DriveCommand;
use protocol::session::GoalState;
use protocol::units::{GeoPoint, MonoMs};
use ros_msgs::geometry_msgs::Twist;

/// A velocity older than this counts as zero.
const VELOCITY_AGE_MS_MAX: u64 = 200;
/// Without a packet that lets it drive, the autonomy is paused after this long.
const LET_GO_AFTER_MS: u64 = 500;
/// How often the distance is told while the autonomy drives.
const TELL_EVERY_MS: u64 = 1_000;
/// News that wait to be told; the oldest give way.
const NEWS_MAX: usize = 64;
/// The cause of the intervention that a takeover is.
pub(crate) const TAKEOVER: &str = "takeover";

/// The robot's place and heading (clockwise from north, degrees), as far as they are known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    pub(crate) at: Option<GeoPoint>,
    pub(crate) heading_deg: Option<f64>,
}

/// A place seen from the robot: metres forward and to the left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ahead {
    pub(crate) forward_m: f64,
    pub(crate) left_m: f64,
}

impl Ahead {
    fn distance_m(self) -> f64 {
        self.forward_m.hypot(self.left_m)
    }
}

impl Place {
    /// `point` seen from here.
    pub(crate) fn see(self, point: &GeoPoint) -> Result<Ahead, String> {
        let at = self.at.ok_or("the robot does not know where it is")?;
        let heading_deg = self.heading_deg.ok_or("the robot does not know where it looks")?;
        let (east_m, north_m) = point.enu_m(&at);
        let (sin, cos) = heading_deg.to_radians().sin_cos();
        Ok(Ahead { forward_m: east_m * sin + north_m * cos, left_m: north_m * sin - east_m * cos })
    }
}

/// A velocity, as a driver's packet has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stick {
    pub(crate) linear_mmps: i16,
    pub(crate) angular_mradps: i16,
}

/// What the driver's end and the episode are told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    /// What became of a goal.
    Goal(Word),
    /// The driver drove by hand while the goal was the autonomy's: an intervention begins.
    TakenOver,
    /// The autonomy drives again: the intervention is over.
    HandedBack,
}

/// A goal's state to be told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Word {
    /// The opening of the lease that it is for.
    pub(crate) generation: u64,
    pub(crate) id: u32,
    pub(crate) state: GoalState,
    pub(crate) point: GeoPoint,
    pub(crate) detail: String,
    pub(crate) distance_m: Option<f64>,
    /// Only the distance is new.
    pub(crate) again: bool,
}

/// What the driver asks of the autonomy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) generation: u64,
    pub(crate) id: u32,
    pub(crate) point: GeoPoint,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// Nobody has let it drive yet.
    Set,
    /// The autonomy pursues it under this number.
    Going { number: u64, accepted: Option<MonoMs>, heard: MonoMs, told: MonoMs },
    /// The driver let go.
    Paused,
}

#[derive(Debug, Clone, Copy)]
struct Goal {
    ask: Ask,
    phase: Phase,
    distance_m: Option<f64>,
}

/// The autonomy of a robot, as its driver uses it.
#[derive(Debug, Default)]
pub(crate) struct Autonomy {
    /// Highest distance of a goal; none for a robot without autonomy.
    distance_m_max: Option<f64>,
    /// The action's server is there.
    there: bool,
    goal: Option<Goal>,
    velocity: Option<(MonoMs, Stick)>,
    /// Counts pursuits.
    numbers: u64,
    /// The driver took over and has not let the autonomy drive since.
    intervening: bool,
    news: Vec<News>,
}

impl Autonomy {
    /// A robot that has one.
    pub(crate) fn new(distance_m_max: f64) -> Self {
        Self { distance_m_max: Some(distance_m_max), ..Self::default() }
    }

    /// Whether a goal can be set.
    pub(crate) const fn is_there(&self) -> bool {
        self.there && self.distance_m_max.is_some()
    }

    /// Whether the autonomy drives.
    pub(crate) fn drives(&self) -> bool {
        self.goal.is_some_and(|goal| matches!(goal.phase, Phase::Going { .. }))
    }

    /// The action's server appeared, or is gone.
    pub(crate) fn set_there(&mut self, there: bool) {
        self.there = there;
    }

    /// The driver sets a goal.
    pub(crate) fn set(&mut self, ask: Ask, place: Place) {
        match self.check(&ask.point, place) {
            Ok(distance_m) => {
                self.cancel("another goal took its place");
                self.goal = Some(Goal { ask, phase: Phase::Set, distance_m: Some(distance_m) });
                self.tell(&ask, GoalState::Set, "", Some(distance_m));
            }
            // What there was goes on.
            Err(why) => self.tell(&ask, GoalState::Refused, &why, None),
        }
    }

    fn check(&self, point: &GeoPoint, place: Place) -> Result<f64, String> {
        let max = self.distance_m_max.ok_or("this robot has no autonomy")?;
        if !self.there {
            return Err("the robot's autonomy does not run now".to_owned());
        }
        if !point.is_valid() {
            return Err("that is no place on Earth".to_owned());
        }
        let distance_m = place.see(point)?.distance_m();
        if distance_m <= max {
            return Ok(distance_m);
        }
        Err(format!("that is {distance_m:.0} m away: at most {max:.0} m are allowed"))
    }

    /// The goal is given up.
    pub(crate) fn cancel(&mut self, why: &str) {
        self.end(GoalState::Cancelled, why);
    }

    /// The link or the lease is over: its goal is gone, and nobody is told.
    pub(crate) fn forget(&mut self) {
        self.goal = None;
    }

    /// The velocity that a command stands for, where it leaves the driving to the autonomy; else its own stick counts.
    pub(crate) fn stick(
        &self,
        generation: u64,
        command: &DriveCommand,
        now: MonoMs,
    ) -> Option<Stick> {
        let goal = self.goal.filter(|goal| goal.ask.generation == generation)?;
        if !(command.deadman && command.autonomy && command.at_rest()) {
            return None;
        }
        let Phase::Going { accepted: Some(accepted), .. } = goal.phase else { return None };
        let (arrived, stick) = self.velocity?;
        // What came before it took this goal was for something else.
        let fresh = arrived > accepted && now.since(arrived) <= VELOCITY_AGE_MS_MAX;
        fresh.then_some(stick)
    }

    /// Takes note of a command that the safety core counted. True when something changed.
    pub(crate) fn counted(&mut self, generation: u64, command: &DriveCommand, now: MonoMs) -> bool {
        let Some(goal) = self.goal.as_mut().filter(|goal| goal.ask.generation == generation) else {
            return false;
        };
        let lets = command.autonomy && command.at_rest();
        match (&mut goal.phase, command.deadman) {
            (Phase::Going { heard, .. }, true) if lets => {
                *heard = now;
                false
            }
            (Phase::Set | Phase::Paused, true) if lets => {
                self.go(now);
                true
            }
            (Phase::Going { .. } | Phase::Paused, true) => {
                self.take_over();
                true
            }
            (Phase::Going { .. }, false) => {
                self.pause();
                true
            }
            // By hand before the autonomy ever drove: its goal waits.
            (Phase::Set, _) | (Phase::Paused, false) => false,
        }
    }

    fn go(&mut self, now: MonoMs) {
        let Some(goal) = &mut self.goal else { return };
        self.numbers += 1;
        goal.phase = Phase::Going { number: self.numbers, accepted: None, heard: now, told: now };
        let (ask, distance_m) = (goal.ask, goal.distance_m);
        self.tell(&ask, GoalState::Going, "", distance_m);
        if std::mem::take(&mut self.intervening) {
            self.push(News::HandedBack);
        }
    }

    fn take_over(&mut self) {
        self.end(GoalState::TakenOver, "you drove by hand");
        if !std::mem::replace(&mut self.intervening, true) {
            self.push(News::TakenOver);
        }
    }

    fn pause(&mut self) {
        let Some(goal) = &mut self.goal else { return };
        goal.phase = Phase::Paused;
        let (ask, distance_m) = (goal.ask, goal.distance_m);
        self.tell(&ask, GoalState::Paused, "", distance_m);
    }

    /// Looks at the time: packets that stopped coming pause the goal, and the distance is told now and then.
    pub(crate) fn tick(&mut self, now: MonoMs) {
        let Some(goal) = &mut self.goal else { return };
        let Phase::Going { heard, told, .. } = &mut goal.phase else { return };
        if now.since(*heard) > LET_GO_AFTER_MS {
            self.pause();
        } else if now.since(*told) >= TELL_EVERY_MS {
            *told = now;
            let (ask, distance_m) = (goal.ask, goal.distance_m);
            let word = word(&ask, GoalState::Going, "", distance_m);
            self.push(News::Goal(Word { again: true, ..word }));
        }
    }

    /// What the autonomy shall pursue now, with its number; none while the driver does not let it.
    pub(crate) fn wanted(&self) -> Option<(u64, GeoPoint)> {
        let goal = self.goal?;
        match goal.phase {
            Phase::Going { number, .. } => Some((number, goal.ask.point)),
            Phase::Set | Phase::Paused => None,
        }
    }

    /// The goal that is pursued under `number`.
    fn pursued(&mut self, number: u64) -> Option<&mut Goal> {
        let pursues =
            |goal: &&mut Goal| matches!(goal.phase, Phase::Going { number: n, .. } if n == number);
        self.goal.as_mut().filter(pursues)
    }

    /// The autonomy took the goal.
    pub(crate) fn accepted(&mut self, number: u64, now: MonoMs) {
        if let Some(Goal { phase: Phase::Going { accepted, .. }, .. }) = self.pursued(number) {
            *accepted = Some(now);
        }
    }

    /// The autonomy's way to go.
    pub(crate) fn distance(&mut self, number: u64, distance_m: f64) {
        if let Some(goal) = self.pursued(number).filter(|_| distance_m.is_finite()) {
            goal.distance_m = Some(distance_m.max(0.0));
        }
    }

    /// The autonomy wishes a velocity. What is no number is none.
    pub(crate) fn wishes(&mut self, twist: &Twist, now: MonoMs) {
        let thousandths = (whole(twist.linear.x * 1e3), whole(twist.angular.z * 1e3));
        if let (Some(linear_mmps), Some(angular_mradps)) = thousandths {
            self.velocity = Some((now, Stick { linear_mmps, angular_mradps }));
        }
    }

    /// The autonomy is there, or gave up.
    pub(crate) fn ended(&mut self, number: u64, outcome: Result<(), &str>) {
        if self.pursued(number).is_none() {
            return;
        }
        match outcome {
            Ok(()) => self.end(GoalState::Arrived, ""),
            Err(why) => self.end(GoalState::Failed, why),
        }
    }

    fn end(&mut self, state: GoalState, why: &str) {
        if let Some(goal) = self.goal.take() {
            let distance_m = goal.distance_m.filter(|_| state != GoalState::Arrived);
            self.tell(&goal.ask, state, why, distance_m);
        }
    }

    /// What is to be told since the last time, in order.
    pub(crate) fn news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    fn tell(&mut self, ask: &Ask, state: GoalState, detail: &str, distance_m: Option<f64>) {
        self.push(News::Goal(word(ask, state, detail, distance_m)));
    }

    fn push(&mut self, news: News) {
        if self.news.len() >= NEWS_MAX {
            self.news.remove(0);
        }
        self.news.push(news);
    }
}

fn word(ask: &Ask, state: GoalState, detail: &str, distance_m: Option<f64>) -> Word {
    Word {
        generation: ask.generation,
        id: ask.id,
        state,
        point: ask.point,
        detail: detail.to_owned(),
        distance_m,
        again: false,
    }
}

/// Within what a driver's packet can say; none for what is no number.
#[expect(clippy::cast_possible_truncation, reason = "clamped first")]
fn whole(quantity: f64) -> Option<i16> {
    quantity.is_finite().then(|| quantity.round().clamp(-32_768.0, 32_767.0) as i16)
}

#[cfg(test)]
mod tests;
