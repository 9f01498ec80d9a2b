use super::*;
use crate::Policy;
use proptest::prelude::*;
use protocol::units::{GeoPoint, MonoMs};

const HOME: GeoPoint = GeoPoint { lat_deg: 52.5163, lon_deg: 13.3777 };

/// Corners by metres east and north of home.
fn area(corners: &[(f64, f64)]) -> Area {
    corners
        .iter()
        .map(|&(east, north)| {
            let point = HOME.offset_m(east, north);
            [point.lat_deg, point.lon_deg]
        })
        .collect()
}

fn square_of(half_m: f64) -> Area {
    area(&[(-half_m, -half_m), (half_m, -half_m), (half_m, half_m), (-half_m, half_m)])
}

fn at(east_m: f64, north_m: f64) -> Fix {
    let point = HOME.offset_m(east_m, north_m);
    Fix {
        arrived: MonoMs(0),
        lat_1e7: i32::try_from(whole(point.lat_deg * 1e7)).unwrap(),
        lon_1e7: i32::try_from(whole(point.lon_deg * 1e7)).unwrap(),
        accuracy_mm: 0,
    }
}

fn geofence(keep_in: Vec<Area>, keep_out: Vec<Area>) -> Geofence {
    Geofence { keep_in, keep_out, ..Geofence::default() }
}

/// Metres inside, and the direction to the nearest edge as a compass word.
fn place(fence: &Fence, east_m: f64, north_m: f64) -> (f64, &'static str) {
    let place = fence.place(&at(east_m, north_m)).unwrap();
    let (east, north) = (place.edge_east, place.edge_north);
    let word = match (east.abs() > north.abs(), east > 0, north > 0) {
        (true, true, _) => "east",
        (true, false, _) => "west",
        (false, _, true) => "north",
        (false, _, false) => "south",
    };
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let inside_m = place.inside_mm as f64 / 1_000.0;
    (inside_m, word)
}

#[track_caller]
fn check(fence: &Fence, position: (f64, f64), inside_m: f64, word: &str) {
    let (seen_m, seen) = place(fence, position.0, position.1);
    assert!((seen_m - inside_m).abs() < 0.03, "{position:?}: {seen_m} m, not {inside_m}");
    assert_eq!(seen, word, "{position:?}");
}

#[test]
fn inside_and_outside_of_one_area_with_the_way_to_its_edge() {
    let fence = geofence(vec![square_of(20.0)], vec![]).freeze().unwrap();
    check(&fence, (15.0, 0.0), 5.0, "east");
    check(&fence, (0.0, -18.0), 2.0, "south");
    check(&fence, (23.0, 1.0), -3.0, "west");
    check(&fence, (-1.0, 22.0), -2.0, "south");
    check(&fence, (23.0, 24.0), -5.0, "south");
    check(&fence, (-26.0, -28.0), -10.0, "north");
    // The same, the other way round.
    let mut corners = square_of(20.0);
    corners.reverse();
    let fence = geofence(vec![corners], vec![]).freeze().unwrap();
    check(&fence, (15.0, 0.0), 5.0, "east");
    check(&fence, (23.0, 1.0), -3.0, "west");
}

#[test]
fn a_place_far_away_is_far_outside() {
    let fence = geofence(vec![square_of(20.0)], vec![]).freeze().unwrap();
    for (lat_1e7, lon_1e7) in [(i32::MIN, i32::MAX), (i32::MAX, i32::MIN), (0, 0)] {
        let fix = Fix { lat_1e7, lon_1e7, ..Fix::default() };
        assert!(fence.place(&fix).unwrap().inside_mm < -100_000_000);
    }
}

#[test]
fn a_dent_is_outside() {
    let corners = [(-10.0, -10.0), (10.0, -10.0), (10.0, 10.0), (0.0, 0.0), (-10.0, 10.0)];
    let fence = geofence(vec![area(&corners)], vec![]).freeze().unwrap();
    assert!((place(&fence, 1.0, 4.0).0 + 2.12).abs() < 0.03);
    check(&fence, (0.0, -5.0), 5.0, "south");
    check(&fence, (8.0, 5.0), 2.0, "east");
    // A ray to the east from here passes exactly through a corner.
    assert!((place(&fence, -5.0, 0.0).0 - 3.54).abs() < 0.03);
}

#[test]
fn of_several_areas_one_is_enough_and_one_to_stay_out_of_is_too() {
    let shifted = |by: f64| area(&[(by, -5.0), (by + 10.0, -5.0), (by + 10.0, 5.0), (by, 5.0)]);
    let fence = geofence(vec![shifted(0.0), shifted(8.0)], vec![]).freeze().unwrap();
    check(&fence, (9.5, 1.0), 1.5, "west");
    check(&fence, (8.4, 1.0), 1.6, "east");
    check(&fence, (3.0, 0.0), 3.0, "west");
    check(&fence, (-2.0, 0.0), -2.0, "east");
    let fence =
        geofence(vec![square_of(20.0)], vec![shifted(0.0), shifted(-12.0)]).freeze().unwrap();
    check(&fence, (12.0, 0.0), 2.0, "west");
    check(&fence, (9.0, 0.0), -1.0, "east");
    check(&fence, (-17.0, 12.0), 3.0, "west");
    let fence = geofence(vec![], vec![shifted(0.0)]).freeze().unwrap();
    check(&fence, (13.0, 0.0), 3.0, "west");
    check(&fence, (1.0, 0.0), -1.0, "west");
    assert!(Geofence::default().freeze().unwrap().place(&at(0.0, 0.0)).is_none());
}

#[test]
fn a_mission_narrows_the_owners_area_and_can_not_widen_it() {
    let shifted = |by: f64| area(&[(by, -5.0), (by + 10.0, -5.0), (by + 10.0, 5.0), (by, 5.0)]);
    let both = |keep_in: Vec<Area>, mission: Vec<Area>| {
        Geofence { mission, ..geofence(keep_in, vec![]) }.freeze().unwrap()
    };
    let fence = both(vec![shifted(0.0)], vec![shifted(6.0), shifted(20.0)]);
    check(&fence, (7.0, 1.0), 1.0, "west");
    check(&fence, (9.5, 1.0), 0.5, "east");
    check(&fence, (3.0, 0.0), -3.0, "east");
    check(&fence, (12.0, 0.0), -2.0, "west");
    check(&fence, (25.0, 0.0), -15.0, "west");
    let fence = both(vec![], vec![shifted(0.0)]);
    assert!(fence.is_active());
    check(&fence, (3.0, 0.0), 3.0, "west");
    let many = Geofence { mission: vec![shifted(0.0); 9], ..Geofence::default() };
    assert_eq!(many.freeze(), Err(FenceError::MissionAreas(9)));
}

#[test]
fn what_is_no_area_is_refused_with_words() {
    let refused = |keep_in: Vec<Area>, keep_out: Vec<Area>| {
        let policy = Policy { geofence: geofence(keep_in, keep_out), ..Policy::default() };
        policy.limits().unwrap_err().to_string()
    };
    let good = square_of(20.0);
    assert!(refused(vec![good.clone(); 5], vec![good.clone(); 4]).contains("9 areas: at most 8"));
    assert!(refused(vec![good[..2].to_vec()], vec![]).contains("area 1 has 2 corners"));
    let round: Area = (0..33).map(|n| [52.0, 13.0 + f64::from(n) / 1e4]).collect();
    assert!(refused(vec![good.clone()], vec![round]).contains("area 2 has 33 corners"));
    let mut far = good.clone();
    far[2][1] += 1.0;
    assert!(refused(vec![far], vec![]).contains("area 1, corner 3"));
    let pole: Area = vec![[89.0, 0.0], [89.0, 0.1], [89.1, 0.1]];
    assert!(refused(vec![pole], vec![]).contains("area 1, corner 1"));
    let nowhere: Area = vec![[0.0, 179.9], [0.0, 180.1], [0.1, 180.0]];
    assert!(refused(vec![nowhere], vec![]).contains("area 1, corner 2"));
    let mut nan = good.clone();
    nan[1][0] = f64::NAN;
    assert!(refused(vec![nan], vec![]).contains("area 1, corner 2"));
    let mut closed = good.clone();
    closed.push(good[0]);
    assert!(refused(vec![closed], vec![]).contains("not repeated at the end"));
    assert!(
        refused(vec![area(&[(0.0, 0.0), (9.0, 9.0), (9.0, 0.0), (0.0, 9.0)])], vec![])
            .contains("no inside")
    );
    assert!(
        refused(vec![area(&[(0.0, 0.0), (9.0, 9.0), (20.0, 20.0)])], vec![]).contains("no inside")
    );
    assert!(
        refused(vec![area(&[(0.0, 0.0), (0.9, 0.0), (0.0, 2.0)])], vec![]).contains("no inside")
    );
    assert!(geofence(vec![area(&[(0.0, 0.0), (1.2, 0.0), (0.0, 2.0)])], vec![]).check().is_ok());
    assert!(geofence(vec![good.clone(); 4], vec![good; 4]).check().is_ok());
    let full: Area = (0..32)
        .map(|n| f64::from(n) * std::f64::consts::TAU / 32.0)
        .map(|turn| [52.0 + turn.sin() * 1e-3, 13.0 + turn.cos() * 1e-3])
        .collect();
    assert!(geofence(vec![full], vec![]).check().is_ok());
    let wide = area(&[(0.0, 0.0), (49_000.0, 0.0), (49_000.0, 49_000.0), (0.0, 49_000.0)]);
    assert!(geofence(vec![wide], vec![]).check().is_ok());
}

/// Worked out again in floating point: winding number and distance to segments.
fn witness(corners: &[(f64, f64)], x: f64, y: f64) -> f64 {
    let (mut winding, mut nearest) = (0.0, f64::INFINITY);
    for (n, &(ax, ay)) in corners.iter().enumerate() {
        let (bx, by) = corners[(n + 1) % corners.len()];
        let turn = (by - y).atan2(bx - x) - (ay - y).atan2(ax - x);
        winding +=
            (turn + std::f64::consts::PI).rem_euclid(std::f64::consts::TAU) - std::f64::consts::PI;
        let (dx, dy) = (bx - ax, by - ay);
        let t = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
        nearest = f64::min(nearest, (ax + t * dx - x).hypot(ay + t * dy - y));
    }
    if winding.abs() > 1.0 { nearest } else { -nearest }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_distance_is_that_of_the_witness(
        turns in proptest::collection::vec((0.2_f64..1.0, 3.0_f64..300.0), 3..12),
        position in (-400.0_f64..400.0, -400.0_f64..400.0),
    ) {
        // A star about home has no crossing edges.
        let sum: f64 = turns.iter().map(|(turn, _)| turn).sum();
        let mut angle = 0.0;
        let corners: Vec<(f64, f64)> = turns
            .iter()
            .map(|(turn, far_m)| {
                angle += turn / sum * std::f64::consts::TAU;
                (far_m * angle.cos(), far_m * angle.sin())
            })
            .collect();
        let fence = geofence(vec![area(&corners)], vec![]).freeze();
        prop_assume!(fence.is_ok());
        let fence = fence.unwrap();
        let expected = witness(&corners, position.0, position.1);
        let place = fence.place(&at(position.0, position.1)).unwrap();
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let inside_m = place.inside_mm as f64 / 1_000.0;
        prop_assert!((inside_m - expected).abs() < 0.1, "{inside_m} m, not {expected}");
    }
}
