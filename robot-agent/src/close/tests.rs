use super::*;
use crate::config::{Bumper, ReaderQos};
use proptest::prelude::*;

fn sensor(kind: RangeKind, yaw_rad: f64, x_m: f64) -> RangeSensor {
    let topic = format!("/range{yaw_rad}{x_m}{kind:?}");
    RangeSensor {
        topic,
        kind,
        yaw_rad,
        x_m,
        y_m: 0.0,
        ground_m_max: 0.2,
        qos: ReaderQos::default(),
    }
}

fn bumper(side: Side, on_change: bool) -> Bumper {
    Bumper {
        topic: format!("/bumper{side:?}"),
        side,
        inverted: false,
        on_change,
        qos: ReaderQos::default(),
    }
}

fn word(range: f32) -> Range {
    Range { field_of_view: 0.26, min_range: 0.05, max_range: 4.0, range, ..Range::default() }
}

const AHEAD: f64 = 0.0;
const BEHIND: f64 = std::f64::consts::PI;

/// A front cone, a rear cone, a drop sensor before the front wheels.
fn ros() -> Ros {
    let range = vec![
        sensor(RangeKind::Obstacle, AHEAD, 0.35),
        sensor(RangeKind::Obstacle, BEHIND, -0.35),
        sensor(RangeKind::Drop, AHEAD, 0.4),
    ];
    Ros { range, bumper: vec![bumper(Side::Front, false)], ..Ros::default() }
}

fn policy(active: bool) -> CloseSensors {
    CloseSensors { active, ..CloseSensors::default() }
}

struct Robot {
    words: CloseWords,
    layout: Layout,
}

impl Robot {
    fn new(ros: &Ros) -> Self {
        let layout = Layout::new(ros, &ObstacleGuard::default());
        Self { words: CloseWords::new(ros), layout }
    }

    fn range(&mut self, n: usize, ms: u64, range: f32) {
        self.words.take_range(n, MonoMs(ms), &word(range), &self.layout);
    }

    fn bumper(&mut self, n: usize, ms: u64, pressed: bool) {
        self.words.take_bumper(n, MonoMs(ms), pressed, &self.layout);
    }
}

#[test]
fn cones_tell_the_free_way_from_the_robots_ends() {
    let mut robot = Robot::new(&ros());
    robot.range(0, 100, 1.5);
    robot.range(1, 100, f32::INFINITY);
    let close = robot.words.core(MonoMs(100), &policy(false)).unwrap();
    // The nearest place of the cone's arc: at its edge, 7.4° aside.
    let ahead = close.ahead_mm.unwrap();
    assert!((1_480..=1_500).contains(&ahead), "{ahead}");
    let behind = close.behind_mm.unwrap();
    assert!((3_999..=4_000).contains(&behind), "clear as far as it looks: {behind}");
    robot.range(0, 120, 0.01);
    let close = robot.words.core(MonoMs(120), &policy(false)).unwrap();
    assert_eq!(close.ahead_mm, Some(0), "nearer than it measures");
    robot.range(0, 140, f32::NEG_INFINITY);
    assert_eq!(robot.words.core(MonoMs(140), &policy(false)).unwrap().ahead_mm, Some(0));
}

#[test]
fn what_is_beside_the_robot_is_not_in_its_way() {
    let side = Ros {
        range: vec![sensor(RangeKind::Obstacle, std::f64::consts::FRAC_PI_2, 0.1)],
        ..Ros::default()
    };
    let mut robot = Robot::new(&side);
    robot.range(0, 100, 1.0);
    let close = robot.words.core(MonoMs(100), &policy(false)).unwrap();
    assert_eq!((close.ahead_mm, close.behind_mm), (None, None));
    robot.range(0, 120, f32::INFINITY);
    let close = robot.words.core(MonoMs(120), &policy(false)).unwrap();
    assert_eq!((close.ahead_mm, close.behind_mm), (None, None), "it vouches for no way");
}

#[test]
fn the_ground_ends_where_a_drop_sensor_sees_none() {
    let mut robot = Robot::new(&ros());
    for (range, drops) in [(0.12, false), (0.01, false), (0.25, true), (f32::INFINITY, true)] {
        robot.range(2, 100, range);
        let close = robot.words.core(MonoMs(100), &policy(false)).unwrap();
        assert_eq!((close.drop_ahead, close.drop_behind), (drops, false), "{range}");
    }
    let rear = Ros { range: vec![sensor(RangeKind::Drop, BEHIND, -0.4)], ..Ros::default() };
    let mut robot = Robot::new(&rear);
    robot.range(0, 100, 3.0);
    let close = robot.words.core(MonoMs(100), &policy(false)).unwrap();
    assert_eq!((close.drop_ahead, close.drop_behind), (false, true));
}

#[test]
fn sensors_that_the_robot_must_have_make_all_old_by_their_silence() {
    let mut robot = Robot::new(&ros());
    assert_eq!(robot.words.core(MonoMs(100), &policy(true)), None, "nobody has spoken");
    robot.range(0, 100, 1.0);
    robot.range(1, 200, 1.0);
    robot.range(2, 300, 0.1);
    assert_eq!(robot.words.core(MonoMs(300), &policy(true)), None, "the bumper has not");
    robot.bumper(0, 400, true);
    let close = robot.words.core(MonoMs(450), &policy(true)).unwrap();
    assert_eq!((close.arrived, close.bumper_front), (MonoMs(100), true), "as old as the oldest");
    robot.bumper(0, 5_000, false);
    let close = robot.words.core(MonoMs(5_000), &policy(true)).unwrap();
    assert_eq!(close.arrived, MonoMs(100), "too old for the core");
}

#[test]
fn a_silent_sensor_takes_nothing_from_the_others_where_it_need_not_be() {
    let mut robot = Robot::new(&ros());
    robot.range(0, 100, 1.0);
    robot.bumper(0, 5_000, true);
    let close = robot.words.core(MonoMs(5_100), &policy(false)).unwrap();
    assert_eq!((close.arrived, close.bumper_front), (MonoMs(5_000), true));
    assert_eq!(close.ahead_mm, None, "an old word is none");
    assert_eq!(robot.words.core(MonoMs(9_000), &policy(false)), None);
    robot.range(0, 9_000, f32::NAN);
    assert_eq!(robot.words.core(MonoMs(9_000), &policy(false)), None, "no number is no word");
}

#[test]
fn a_bumper_that_speaks_only_on_change_counts_until_it_changes() {
    let one = Ros { bumper: vec![bumper(Side::Rear, true)], ..Ros::default() };
    let mut robot = Robot::new(&one);
    assert_eq!(robot.words.core(MonoMs(100), &policy(false)), None);
    robot.bumper(0, 100, true);
    let close = robot.words.core(MonoMs(60_000), &policy(false)).unwrap();
    assert_eq!(
        (close.arrived, close.bumper_front, close.bumper_rear),
        (MonoMs(60_000), false, true)
    );
    robot.bumper(0, 60_100, false);
    assert!(!robot.words.core(MonoMs(60_200), &policy(false)).unwrap().bumper_rear);
}

#[test]
fn words_of_sensors_that_are_not_there_are_nothing() {
    let mut robot = Robot::new(&Ros::default());
    robot.range(0, 100, 1.0);
    robot.range(usize::MAX - RANGES_MAX, 100, 1.0);
    robot.bumper(7, 100, true);
    assert_eq!(robot.words.core(MonoMs(100), &policy(false)), None);
}

proptest! {
    #[test]
    fn no_word_of_a_sensor_widens_what_another_saw(
        yaw in -3.2_f64..3.2, x in -1.0_f64..1.0, range in any::<f32>(), opening in any::<f32>(),
        far in any::<f32>(), near in any::<f32>(), drop in any::<bool>(),
    ) {
        let kind = if drop { RangeKind::Drop } else { RangeKind::Obstacle };
        let two = Ros {
            range: vec![sensor(RangeKind::Obstacle, AHEAD, 0.35), sensor(kind, yaw, x)],
            ..Ros::default()
        };
        let mut robot = Robot::new(&two);
        robot.range(0, 100, 1.0);
        let alone = robot.words.core(MonoMs(100), &policy(false)).unwrap();
        let said = Range { field_of_view: opening, min_range: near, max_range: far, range, ..Range::default() };
        robot.words.take_range(1, MonoMs(100), &said, &robot.layout);
        let both = robot.words.core(MonoMs(100), &policy(false)).unwrap();
        prop_assert!(both.ahead_mm.unwrap() <= alone.ahead_mm.unwrap());
    }
}
