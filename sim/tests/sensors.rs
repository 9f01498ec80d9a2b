//! What the sensors promise.

use sim::sensors::{FIELD_DECLINATION_DEG, FIELD_T, FIX_SIGMA_M, Sensors};
use sim::world::{STEP_S, enu};
use sim::{Command, Pose, World};

fn standing() -> World {
    let mut world = World::new(1);
    world.people.clear();
    world
}

#[test]
fn the_covariance_of_a_position_is_that_of_its_error() {
    let world = standing();
    let (mut square, mut count, mut inside) = (0.0, 0.0, 0.0);
    for seed in 0..400 {
        let mut sensors = Sensors::new(seed);
        // Far apart in time, so that the samples of one seed know little of each other.
        for _ in 0..5 {
            let fix = sensors.fix(&world, 240.0, 0);
            let stated = fix.horizontal_accuracy_m().unwrap();
            assert!((stated - FIX_SIGMA_M).abs() < 1e-9);
            let (x, y) =
                enu(&protocol::units::GeoPoint { lat_deg: fix.latitude, lon_deg: fix.longitude });
            for error in [x - world.pose.x, y - world.pose.y] {
                square += error * error;
                inside += f64::from(u8::from(error.abs() < stated));
                count += 1.0;
            }
        }
    }
    let sigma = f64::sqrt(square / count);
    assert!((sigma / FIX_SIGMA_M - 1.0).abs() < 0.05, "sigma {sigma}");
    assert!((inside / count - 0.683_f64).abs() < 0.03, "{} within one sigma", inside / count);
}

#[test]
fn the_position_error_wanders_slowly() {
    let world = standing();
    for seed in 0..20 {
        let mut sensors = Sensors::new(seed);
        let mut last = sensors.fix(&world, 0.2, 0);
        for _ in 0..500 {
            let fix = sensors.fix(&world, 0.2, 0);
            let step_m = (fix.latitude - last.latitude).abs().to_radians() * 6_371_000.0;
            assert!(step_m < 0.5, "jumped {step_m} m");
            last = fix;
        }
    }
}

#[test]
fn the_demo_seed_has_an_error_that_fits_the_checkpoints() {
    // Seed 1 is what newcomers see: the true and the measured place stay within the checkpoints' radius.
    let world = standing();
    let mut sensors = Sensors::new(1);
    for n in 0..5 * 300 {
        let fix = sensors.fix(&world, 0.2, 0);
        let (x, y) =
            enu(&protocol::units::GeoPoint { lat_deg: fix.latitude, lon_deg: fix.longitude });
        let error = (x - world.pose.x).hypot(y - world.pose.y);
        assert!(error < 1.7, "{error} m after {} s", n / 5);
    }
}

#[test]
fn the_laser_sees_a_wall_at_its_distance_and_nothing_in_the_open() {
    let mut world = standing();
    world.city.fixtures.clear();
    world.pose = Pose { x: 60.0, y: 17.0, heading_rad: 0.0 };
    let mut sensors = Sensors::new(1);
    let scan = sensors.scan(&world, 0);
    let at = |deg: f32| {
        let n = ((deg.to_radians() - scan.angle_min) / scan.angle_increment).round() as usize;
        scan.ranges[n % scan.ranges.len()]
    };
    assert_eq!(scan.ranges.len(), 360);
    assert!((at(90.0) - 3.0).abs() < 0.06, "wall to the left at {}", at(90.0));
    assert!((at(45.0) - 3.0 * 2.0_f32.sqrt()).abs() < 0.08);
    // Kerb and road to the right are not seen; the facade across is farther than the laser reaches.
    assert_eq!(at(-90.0), f32::INFINITY);
    assert_eq!(at(0.0), f32::INFINITY);
}

#[test]
fn the_laser_sees_people() {
    let mut world = World::new(1);
    let mut person = world.people[0].clone();
    (person.x, person.y) = (world.pose.x + 2.0, world.pose.y);
    world.people = vec![person];
    let scan = Sensors::new(1).scan(&world, 0);
    let ahead = scan.ranges[180];
    assert!((ahead - 1.75).abs() < 0.06, "{ahead}");
}

#[test]
fn odometry_drifts_a_little_and_wheels_agree_with_it() {
    let mut world = standing();
    let mut sensors = Sensors::new(1);
    for n in 0..(8.0 / STEP_S) as u64 {
        let command = Command { linear_mps: 1.0, angular_radps: 0.0 };
        world.step(STEP_S, (n % 4 == 0).then_some(command));
        sensors.step(STEP_S, &world);
    }
    let odometry = sensors.odometry(&world, 1_500_000_000);
    let way = odometry.pose.pose.position.x;
    assert!(way > world.distance_m && way < world.distance_m * 1.03, "{way}");
    let wheels = sensors.wheels(&world, 0);
    let speed = (wheels.velocity[0] + wheels.velocity[1]) / 2.0 * sim::base::WHEEL_RADIUS_M;
    assert!((speed - odometry.twist.twist.linear.x).abs() < 0.05);
    assert_eq!((odometry.header.stamp.sec, odometry.header.stamp.nanosec), (1, 500_000_000));
}

#[test]
fn the_battery_drains_and_gravity_points_down() {
    let mut world = standing();
    let mut sensors = Sensors::new(1);
    let before = sensors.battery(&world, 0);
    for _ in 0..4000 {
        world.step(STEP_S, Some(Command { linear_mps: 0.5, angular_radps: 1.0 }));
    }
    let after = sensors.battery(&world, 0);
    assert!(after.percentage < before.percentage && after.percentage > 0.8);
    let up: f64 =
        (0..200).map(|_| sensors.imu(&world, 0).linear_acceleration.z).sum::<f64>() / 200.0;
    assert!((up - 9.81).abs() < 0.1, "{up}");
}

/// The mean of many readings: what is left is the seed's bias.
fn mean_field_t(sensors: &mut Sensors, world: &World) -> [f64; 3] {
    let mut sum = [0.0; 3];
    for _ in 0..400 {
        let field = sensors.field(world, 0).magnetic_field;
        for (sum, axis) in sum.iter_mut().zip([field.x, field.y, field.z]) {
            *sum += axis / 400.0;
        }
    }
    sum
}

#[test]
fn the_magnetic_field_points_north_and_down_wherever_the_robot_looks() {
    let mut world = standing();
    for seed in 0..5 {
        let mut sensors = Sensors::new(seed);
        for heading_deg in [0.0_f64, 45.0, 90.0, 170.0, 260.0] {
            world.pose.heading_rad = heading_deg.to_radians();
            let [x, y, z] = mean_field_t(&mut sensors, &world);
            let strength = x.hypot(y).hypot(z);
            assert!((strength / FIELD_T - 1.0).abs() < 0.05, "{strength} T");
            assert!(z < -0.8 * FIELD_T, "down: {z} T");
            // A compass: from the field in the robot's frame to the robot's heading.
            let north_deg = 90.0 - FIELD_DECLINATION_DEG;
            let heading = north_deg - y.atan2(x).to_degrees();
            let off = (heading - heading_deg + 540.0).rem_euclid(360.0) - 180.0;
            assert!(off.abs() < 6.0, "seed {seed}: {off} degrees off at {heading_deg}");
        }
    }
}

#[test]
fn the_magnetometers_noise_is_that_of_its_seed_and_no_other_sensors() {
    let world = standing();
    let fields = |seed: u64| {
        let mut sensors = Sensors::new(seed);
        [(); 3].map(|()| sensors.field(&world, 0).magnetic_field)
    };
    assert_eq!(fields(7), fields(7));
    assert_ne!(fields(7), fields(8));
    let (mut with, mut without) = (Sensors::new(7), Sensors::new(7));
    with.field(&world, 0);
    assert_eq!(with.imu(&world, 0), without.imu(&world, 0));
}

#[test]
fn a_cone_sees_what_is_before_it_and_nothing_in_the_open() {
    let mut world = standing();
    world.city.fixtures.clear();
    // Three metres before the wall to the north.
    world.pose = Pose { x: 60.0, y: 17.0, heading_rad: std::f64::consts::FRAC_PI_2 };
    let mut sensors = Sensors::new(1);
    let ahead = sensors.cone(&world, false, 0);
    let wall_m = 3.0 - sim::sensors::CONE_MOUNT_M;
    assert!((f64::from(ahead.range) - wall_m).abs() < 0.06, "{}", ahead.range);
    assert_eq!(sensors.cone(&world, true, 0).range, f32::INFINITY);
    assert_eq!((ahead.header.frame_id.as_str(), ahead.max_range), ("cone_front", 4.0));
}

#[test]
fn a_kerb_is_a_drop_and_a_lowered_one_is_none() {
    let mut world = standing();
    let mut sensors = Sensors::new(1);
    let mut at = |x: f64, y: f64, heading_rad: f64| {
        world.pose = Pose { x, y, heading_rad };
        f64::from(sensors.drop(&world, 0).range)
    };
    let level = at(72.0, 17.0, 0.0);
    assert!((level - sim::sensors::DROP_HEIGHT_M).abs() < 0.02, "{level}");
    // Southward over the kerb: from the sidewalk, which ends somewhere below.
    let south = -std::f64::consts::FRAC_PI_2;
    let below = (0..60).map(|n| at(72.0, 17.0 - f64::from(n) * 0.1, south)).fold(0.0, f64::max);
    assert!(below > level + 0.08, "{below}");
}

#[test]
fn a_bumper_is_pressed_from_a_collision_until_the_robot_backs_off() {
    let mut world = standing();
    world.city.fixtures.clear();
    world.pose = Pose { x: 60.0, y: 19.0, heading_rad: std::f64::consts::FRAC_PI_2 };
    assert_eq!(world.bumpers(), [false, false]);
    let drive = |world: &mut World, linear_mps: f64, seconds: f64| {
        for _ in 0..(seconds / STEP_S) as u64 {
            world.step(STEP_S, Some(Command { linear_mps, angular_radps: 0.0 }));
        }
    };
    drive(&mut world, 0.5, 3.0);
    assert_eq!((world.collisions, world.bumpers()), (1, [true, false]));
    let drive_level = |world: &World| Sensors::diagnostics(world, 0).status[0].level;
    assert_eq!(drive_level(&world), 1, "its driver says so");
    drive(&mut world, 0.0, 1.0);
    assert_eq!(world.bumpers(), [true, false], "it still touches");
    drive(&mut world, -0.5, 1.0);
    assert_eq!((world.bumpers(), drive_level(&world)), ([false, false], 0));
}

#[test]
fn close_sensors_take_no_noise_from_the_others() {
    let world = standing();
    let (mut with, mut without) = (Sensors::new(7), Sensors::new(7));
    with.cone(&world, false, 0);
    with.drop(&world, 0);
    assert_eq!(with.imu(&world, 0), without.imu(&world, 0));
}
