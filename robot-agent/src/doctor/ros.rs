//! The ROS graph: what an agent needs, what is there, and for each difference what to change.

use super::report::Check;
use agent_core::Policy;
use protocol::units::MonoNs;
use ros_bridge::survey::{Endpoint, Survey};
use ros_bridge::{TopicHealth, Topics};

const AREA: &str = "ros";
const TWIST: &str = "geometry_msgs/msg/Twist";
const LAMP: &str = "std_msgs/msg/UInt8";

/// What was seen, over how long.
pub(super) struct Seen<'a> {
    pub(super) survey: &'a Survey,
    pub(super) seconds: f64,
    pub(super) now: MonoNs,
    pub(super) domain_id: u16,
}

/// One topic that the agent reads.
struct Expected<'a> {
    /// Its key in `[ros.topics]`.
    key: &'a str,
    topic: &'a str,
    /// What does not work without it; none when a robot may do without.
    needed_for: Option<&'a str>,
    /// Messages may be this far apart.
    age_ms_max: Option<u32>,
}

/// Judges everything.
pub(super) fn judge(seen: &Seen<'_>, topics: &Topics, policy: &Policy) -> Vec<Check> {
    let survey = seen.survey;
    let mut checks = vec![domain(seen)];
    checks.push(commands(survey, topics));
    let guard = policy.obstacle_guard.active;
    let expected = [
        Expected {
            key: "odometry",
            topic: &topics.odometry,
            needed_for: Some("driving at all"),
            age_ms_max: Some(policy.odometry_age_ms_max),
        },
        Expected {
            key: "scan",
            topic: &topics.scan,
            needed_for: guard
                .then_some("the obstacle guard (or set policy.obstacle_guard.active = false)"),
            age_ms_max: Some(policy.scan_age_ms_max),
        },
        Expected { key: "imu", topic: &topics.imu, needed_for: None, age_ms_max: None },
        Expected { key: "field", topic: &topics.field, needed_for: None, age_ms_max: None },
        Expected { key: "fix", topic: &topics.fix, needed_for: None, age_ms_max: None },
        Expected { key: "battery", topic: &topics.battery, needed_for: None, age_ms_max: None },
        Expected { key: "wheels", topic: &topics.wheels, needed_for: None, age_ms_max: None },
    ];
    for health in &survey.expected {
        let known = expected.iter().find(|expected| expected.topic == health.topic);
        let other = Expected { key: "", topic: &health.topic, needed_for: None, age_ms_max: None };
        checks.push(sensor(seen, health, known.unwrap_or(&other)));
    }
    checks.push(lamp(survey, topics));
    checks
}

fn domain(seen: &Seen<'_>) -> Check {
    let mut names: Vec<&str> =
        seen.survey.writers.iter().chain(&seen.survey.readers).map(|e| e.topic.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let what = format!("domain {}", seen.domain_id);
    if names.is_empty() {
        let advice = "start the robot's drivers, or set ros_domain_id (ROS_DOMAIN_ID) to theirs; they must use a DDS \
                      middleware (rmw_cyclonedds_cpp or rmw_fastrtps_cpp) and be reachable from here";
        return Check::failed(AREA, what, "nobody is there", advice);
    }
    Check::ok(AREA, what, format!("{} topics of others", names.len())).with("topics", names.len())
}

fn commands(survey: &Survey, topics: &Topics) -> Check {
    let topic = topics.cmd_vel.as_str();
    let readers: Vec<&Endpoint> = survey.readers.iter().filter(|r| r.topic == topic).collect();
    if let Some(reader) = readers.iter().find(|reader| reader.message != TWIST) {
        let found = format!("a base subscribes as {}", reader.message);
        let advice = format!(
            "{topic} carries {TWIST} here: let the base take it (diff_drive_controller: use_stamped_vel: false), or put a relay between"
        );
        return Check::failed(AREA, topic, found, advice);
    }
    if let Some(reader) = readers.iter().find(|reader| reader.lasting || reader.deadline) {
        let wants = if reader.lasting { "transient local durability" } else { "a deadline" };
        let found = format!("a base subscribes with {wants}: it matches no velocity command");
        let advice = "let it subscribe with the QoS of sensors: volatile, without deadline";
        return Check::failed(AREA, topic, found, advice);
    }
    if readers.is_empty() {
        let elsewhere = others(&survey.readers, TWIST, topic);
        let advice = match elsewhere.first() {
            Some(other) => {
                format!("{other} has a subscriber of that type: set ros.topics.cmd_vel = {other:?}")
            }
            None => "start the base's driver, or set ros.topics.cmd_vel to its topic".to_owned(),
        };
        return Check::failed(AREA, topic, format!("no base subscribes ({TWIST})"), advice);
    }
    Check::ok(AREA, topic, format!("{} subscribers, {TWIST}", readers.len()))
}

fn lamp(survey: &Survey, topics: &Topics) -> Check {
    let readers = survey.readers.iter().filter(|r| r.topic == topics.lamp && r.message == LAMP);
    match readers.count() {
        0 => Check::not_checked(AREA, &topics.lamp, "no lamp: nobody subscribes"),
        count => Check::ok(AREA, &topics.lamp, format!("{count} subscribers, {LAMP}")),
    }
}

fn sensor(seen: &Seen<'_>, health: &TopicHealth, expected: &Expected<'_>) -> Check {
    let (topic, message) = (health.topic.as_str(), health.message);
    let writers = || seen.survey.writers.iter().filter(|writer| writer.topic == topic);
    if let Some(writer) = writers().find(|writer| writer.message != message) {
        let found = format!("is published as {}, not as {message}", writer.message);
        let advice = format!(
            "let its driver publish {message}, or name another topic: ros.topics.{}",
            expected.key
        );
        return Check::failed(AREA, topic, found, advice);
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of seconds' messages")]
    let rate_hz = if seen.seconds > 0.0 { health.received as f64 / seen.seconds } else { 0.0 };
    if health.received == 0 {
        return silent(seen, health, expected, writers().next());
    }
    let age_ms = health.newest.map_or(0, |newest| seen.now.since(newest) / 1_000_000);
    let reliable = if writers().all(|writer| writer.reliable) { "reliable" } else { "best effort" };
    let found = format!("{rate_hz:.1} Hz, {age_ms} ms old, {message}, {reliable}");
    let data = |check: Check| {
        check.with("rate_hz", rate_hz).with("age_ms", age_ms).with("malformed", health.malformed)
    };
    let slow = expected.age_ms_max.filter(|max| rate_hz * f64::from(*max) < 2_000.0);
    if let Some(max) = slow {
        let advice = format!(
            "messages must come at least twice in {max} ms ({:.0} Hz), or the robot stops in between",
            (2_000.0 / f64::from(max)).ceil()
        );
        return data(Check::failed(AREA, topic, found, advice));
    }
    data(Check::ok(AREA, topic, found))
}

fn silent(
    seen: &Seen<'_>,
    health: &TopicHealth,
    expected: &Expected<'_>,
    writer: Option<&Endpoint>,
) -> Check {
    let (topic, message) = (health.topic.as_str(), health.message);
    let (found, advice) = match writer {
        _ if health.malformed > 0 => (
            "messages come that are none of this type".to_owned(),
            format!("let its driver publish {message}"),
        ),
        Some(_) => (
            format!("has a publisher, but nothing came in {:.0} s", seen.seconds),
            "is the sensor plugged in and its driver well? Does a firewall hold back DDS (UDP)?"
                .to_owned(),
        ),
        None => {
            let elsewhere = others(&seen.survey.writers, message, topic);
            let advice = match elsewhere.first() {
                Some(other) => format!(
                    "{other} is published with that type: set ros.topics.{} = {other:?}",
                    expected.key
                ),
                None => {
                    format!("start its driver, or set ros.topics.{} to its topic", expected.key)
                }
            };
            (format!("nobody publishes it ({message})"), advice)
        }
    };
    match expected.needed_for {
        Some(purpose) => {
            let found = format!("{found}; needed for {purpose}");
            Check::failed(AREA, topic, found, advice)
        }
        // A robot may do without it; one that is there and silent, or elsewhere, is worth a word.
        None if writer.is_some()
            || advice.contains("set ros.topics") && advice.contains("is published") =>
        {
            Check::warning(AREA, topic, found, advice)
        }
        None => Check::not_checked(AREA, topic, format!("{found}; a robot may do without")),
    }
}

/// Other topics of a type.
fn others(endpoints: &[Endpoint], message: &str, than: &str) -> Vec<String> {
    let mut topics: Vec<String> = endpoints
        .iter()
        .filter(|endpoint| endpoint.message == message && endpoint.topic != than)
        .map(|endpoint| endpoint.topic.clone())
        .collect();
    topics.dedup();
    topics
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;

    fn endpoint(topic: &str, message: &str) -> Endpoint {
        Endpoint {
            topic: topic.to_owned(),
            message: message.to_owned(),
            reliable: false,
            lasting: false,
            deadline: false,
        }
    }

    fn health(topic: &str, message: &'static str, received: u64) -> TopicHealth {
        TopicHealth {
            topic: topic.to_owned(),
            message,
            received,
            malformed: 0,
            newest: (received > 0).then_some(MonoNs(9_990_000_000)),
            publishers: 1,
        }
    }

    const ODOM: &str = "nav_msgs/msg/Odometry";

    fn find(survey: &Survey, what: &str) -> Check {
        let seen = Seen { survey, seconds: 4.0, now: MonoNs(10_000_000_000), domain_id: 7 };
        let checks = judge(&seen, &Topics::default(), &Policy::default());
        checks.into_iter().find(|check| check.what == what).unwrap()
    }

    #[test]
    fn a_robot_that_is_well_is_well() {
        let survey = Survey {
            writers: vec![endpoint("/odom", ODOM)],
            readers: vec![endpoint("/cmd_vel", TWIST)],
            expected: vec![health("/odom", ODOM, 200)],
        };
        for what in ["domain 7", "/cmd_vel", "/odom"] {
            assert_eq!(find(&survey, what).verdict, Verdict::Ok, "{what}");
        }
        assert!(find(&survey, "/odom").found.starts_with("50.0 Hz, 10 ms old"));
        assert_eq!(find(&survey, "/lamp").verdict, Verdict::NotChecked);
    }

    #[test]
    fn each_mismatch_says_what_to_change() {
        let advice = |survey: &Survey, what: &str| {
            let check = find(survey, what);
            assert_eq!(check.verdict, Verdict::Failed, "{check:?}");
            check.advice.unwrap()
        };
        let empty = Survey::default();
        assert!(advice(&empty, "domain 7").contains("ros_domain_id"));
        assert!(advice(&empty, "/cmd_vel").contains("start the base's driver"));

        let mut survey = Survey {
            writers: vec![endpoint("/robot/odom", ODOM)],
            readers: vec![endpoint("/robot/cmd_vel", TWIST)],
            expected: vec![health("/odom", ODOM, 0)],
        };
        assert!(advice(&survey, "/odom").contains("ros.topics.odometry = \"/robot/odom\""));
        assert!(advice(&survey, "/cmd_vel").contains("ros.topics.cmd_vel = \"/robot/cmd_vel\""));

        survey.readers = vec![endpoint("/cmd_vel", "geometry_msgs/msg/TwistStamped")];
        assert!(advice(&survey, "/cmd_vel").contains("use_stamped_vel"));
        survey.readers = vec![Endpoint { lasting: true, ..endpoint("/cmd_vel", TWIST) }];
        assert!(advice(&survey, "/cmd_vel").contains("volatile"));
        survey.writers = vec![endpoint("/odom", "geometry_msgs/msg/PoseStamped")];
        assert!(advice(&survey, "/odom").contains("ros.topics.odometry"));
        survey.writers = vec![endpoint("/odom", ODOM)];
        assert!(advice(&survey, "/odom").contains("plugged in"));
        survey.expected = vec![health("/odom", ODOM, 12)];
        assert!(advice(&survey, "/odom").contains("7 Hz"), "{:?}", find(&survey, "/odom"));
    }

    #[test]
    fn what_a_robot_may_do_without_does_not_fail() {
        let battery = "sensor_msgs/msg/BatteryState";
        let mut survey =
            Survey { expected: vec![health("/battery_state", battery, 0)], ..Survey::default() };
        assert_eq!(find(&survey, "/battery_state").verdict, Verdict::NotChecked);
        survey.writers = vec![endpoint("/battery", battery)];
        assert_eq!(find(&survey, "/battery_state").verdict, Verdict::Warning);
    }
}
