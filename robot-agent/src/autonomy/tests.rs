use super::*;

const HERE: GeoPoint = GeoPoint { lat_deg: 52.5, lon_deg: 13.25 };

fn place() -> Place {
    Place { at: Some(HERE), heading_deg: Some(90.0) }
}

fn held(linear_mmps: i16, autonomy: bool) -> DriveCommand {
    DriveCommand { deadman: true, autonomy, linear_mmps, ..DriveCommand::default() }
}

fn wish(linear: f64, angular: f64) -> Twist {
    Twist::planar(linear, angular)
}

fn states(autonomy: &mut Autonomy) -> Vec<GoalState> {
    let state = |news| match news {
        News::Goal(word) => Some(word.state),
        News::TakenOver | News::HandedBack => None,
    };
    autonomy.news().into_iter().filter_map(state).collect()
}

fn ask(id: u32) -> Ask {
    Ask { generation: 1, id, point: HERE.offset_m(10.0, 0.0) }
}

/// A robot that has a goal and whose autonomy drives towards it since 1 s.
fn going() -> Autonomy {
    let mut autonomy = Autonomy::new(500.0);
    autonomy.set_there(true);
    autonomy.set(ask(1), place());
    assert!(autonomy.counted(1, &held(0, true), MonoMs(1_000)));
    let (number, _) = autonomy.wanted().unwrap();
    autonomy.accepted(number, MonoMs(1_050));
    autonomy.wishes(&wish(0.5, -0.2), MonoMs(1_060));
    assert_eq!(states(&mut autonomy), [GoalState::Set, GoalState::Going]);
    autonomy
}

#[test]
fn a_place_is_seen_from_the_robot() {
    let see = |heading_deg, east, north| {
        let here = Place { at: Some(HERE), heading_deg: Some(heading_deg) };
        let ahead = here.see(&HERE.offset_m(east, north)).unwrap();
        ((ahead.forward_m * 1e3).round(), (ahead.left_m * 1e3).round())
    };
    assert_eq!(see(0.0, 0.0, 5.0), (5_000.0, 0.0));
    assert_eq!(see(0.0, 5.0, 0.0), (0.0, -5_000.0), "the east is to the right of the north");
    assert_eq!(see(90.0, 5.0, 1.0), (5_000.0, 1_000.0));
    assert_eq!(see(180.0, 3.0, -4.0), (4_000.0, 3_000.0));
    assert!(Place { heading_deg: None, ..place() }.see(&HERE).unwrap_err().contains("looks"));
}

#[test]
fn what_can_not_be_pursued_is_refused_with_words_and_changes_nothing() {
    let refused = |autonomy: &mut Autonomy, point, place| {
        autonomy.set(Ask { generation: 1, id: 9, point }, place);
        match autonomy.news().pop().unwrap() {
            News::Goal(word) if word.state == GoalState::Refused => word.detail,
            other => panic!("{other:?}"),
        }
    };
    assert!(refused(&mut Autonomy::default(), HERE, place()).contains("has no autonomy"));
    assert!(refused(&mut Autonomy::new(500.0), HERE, place()).contains("does not run"));
    let mut autonomy = going();
    let far = HERE.offset_m(0.0, 700.0);
    assert_eq!(
        refused(&mut autonomy, far, place()),
        "that is 700 m away: at most 500 m are allowed"
    );
    let nowhere = GeoPoint { lat_deg: f64::NAN, lon_deg: 0.0 };
    assert!(refused(&mut autonomy, nowhere, place()).contains("no place"));
    assert!(refused(&mut autonomy, HERE, Place::default()).contains("where it is"));
    assert!(autonomy.drives(), "the goal before goes on");
}

#[test]
fn only_a_packet_that_lets_it_has_the_velocity_of_the_autonomy() {
    let mut autonomy = going();
    let at = MonoMs(1_100);
    let twist = Stick { linear_mmps: 500, angular_mradps: -200 };
    assert_eq!(autonomy.stick(1, &held(0, true), at), Some(twist));
    assert_eq!(autonomy.stick(1, &held(0, false), at), None, "not let");
    assert_eq!(autonomy.stick(1, &held(1, true), at), None, "a stick");
    assert_eq!(autonomy.stick(2, &held(0, true), at), None, "another link");
    let released = DriveCommand { deadman: false, ..held(0, true) };
    assert_eq!(autonomy.stick(1, &released, at), None);
    assert_eq!(autonomy.stick(1, &held(0, true), MonoMs(1_260)), Some(twist));
    assert_eq!(autonomy.stick(1, &held(0, true), MonoMs(1_261)), None, "too old");
    autonomy.wishes(&wish(f64::NAN, 0.0), MonoMs(1_300));
    autonomy.wishes(&wish(0.0, f64::INFINITY), MonoMs(1_300));
    assert_eq!(autonomy.stick(1, &held(0, true), MonoMs(1_300)), None, "no numbers");
    autonomy.wishes(&wish(1e9, -1e9), MonoMs(1_300));
    let clamped = Stick { linear_mmps: 32_767, angular_mradps: -32_768 };
    assert_eq!(autonomy.stick(1, &held(0, true), MonoMs(1_310)), Some(clamped));
}

#[test]
fn what_came_before_the_goal_was_taken_is_not_for_it() {
    let mut autonomy = Autonomy::new(500.0);
    autonomy.set_there(true);
    autonomy.wishes(&wish(0.5, 0.0), MonoMs(990));
    autonomy.set(ask(1), place());
    assert_eq!(autonomy.stick(1, &held(0, true), MonoMs(1_000)), None, "nobody pursues it");
    autonomy.counted(1, &held(0, true), MonoMs(1_000));
    autonomy.wishes(&wish(0.5, 0.0), MonoMs(1_010));
    assert_eq!(autonomy.stick(1, &held(0, true), MonoMs(1_010)), None, "not accepted");
    autonomy.accepted(1, MonoMs(1_020));
    assert_eq!(autonomy.stick(1, &held(0, true), MonoMs(1_020)), None, "from before");
    autonomy.wishes(&wish(0.5, 0.0), MonoMs(1_030));
    assert!(autonomy.stick(1, &held(0, true), MonoMs(1_030)).is_some());
}

#[test]
fn letting_go_pauses_and_holding_again_pursues_anew() {
    let mut autonomy = going();
    assert!(autonomy.counted(1, &DriveCommand::default(), MonoMs(1_200)));
    assert_eq!(autonomy.wanted(), None, "the autonomy is told to stop");
    assert!(!autonomy.drives());
    assert!(!autonomy.counted(1, &DriveCommand::default(), MonoMs(1_220)), "told once");
    assert!(autonomy.counted(1, &held(0, true), MonoMs(2_000)));
    assert_eq!(autonomy.wanted().unwrap().0, 2, "under another number");
    assert_eq!(autonomy.stick(1, &held(0, true), MonoMs(2_000)), None, "until it is taken");
    autonomy.tick(MonoMs(2_500));
    assert!(autonomy.drives());
    autonomy.tick(MonoMs(2_501));
    assert!(!autonomy.drives(), "packets that stop coming are a hand that let go");
    let told = [GoalState::Paused, GoalState::Going, GoalState::Paused];
    assert_eq!(states(&mut autonomy), told);
}

#[test]
fn a_stick_takes_over_and_the_autonomy_ends_the_intervention() {
    for by_hand in [held(300, true), held(0, false)] {
        let mut autonomy = going();
        assert!(autonomy.counted(1, &by_hand, MonoMs(1_200)));
        assert_eq!((autonomy.wanted(), autonomy.drives()), (None, false));
        let news = autonomy.news();
        assert!(matches!(&news[0], News::Goal(word) if word.state == GoalState::TakenOver));
        assert_eq!(news[1..], [News::TakenOver]);
        assert!(!autonomy.counted(1, &by_hand, MonoMs(1_220)), "once");
        autonomy.set(ask(2), place());
        assert!(!autonomy.counted(1, &by_hand, MonoMs(1_300)), "a goal may wait for its turn");
        autonomy.counted(1, &held(0, true), MonoMs(1_400));
        assert_eq!(autonomy.news().last(), Some(&News::HandedBack));
    }
    let mut paused = going();
    paused.counted(1, &DriveCommand::default(), MonoMs(1_200));
    paused.counted(1, &held(300, false), MonoMs(1_300));
    assert_eq!(paused.news().last(), Some(&News::TakenOver), "also after letting go first");
}

#[test]
fn it_ends_with_the_autonomys_word_for_this_pursuit_only() {
    let mut autonomy = going();
    autonomy.ended(7, Ok(()));
    autonomy.distance(7, 1.0);
    assert!(autonomy.drives(), "another pursuit's end");
    autonomy.distance(1, 4.5);
    autonomy.distance(1, f64::NAN);
    autonomy.counted(1, &held(0, true), MonoMs(1_900));
    autonomy.tick(MonoMs(2_000));
    let Some(News::Goal(word)) = autonomy.news().pop() else { panic!("the distance is told") };
    assert_eq!((word.distance_m, word.again), (Some(4.5), true));
    autonomy.ended(1, Ok(()));
    assert_eq!(states(&mut autonomy), [GoalState::Arrived]);
    let mut failing = going();
    failing.ended(1, Err("a wall"));
    assert_eq!(states(&mut failing), [GoalState::Failed]);
    let mut forgotten = going();
    forgotten.forget();
    assert_eq!((forgotten.wanted(), forgotten.news()), (None, vec![]));
}

#[test]
fn news_that_nobody_takes_do_not_pile_up() {
    let mut autonomy = Autonomy::default();
    for id in 0..1_000 {
        autonomy.set(ask(id), place());
    }
    assert_eq!(autonomy.news().len(), NEWS_MAX);
}
