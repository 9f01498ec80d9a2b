//! The ROS graph: what an agent needs, what is there, and for each difference what to change.

use super::report::Check;
use crate::config::Ros;
use crate::diagnostics::{Diagnostics, Level, Part};
use agent_core::Policy;
use protocol::units::{MonoMs, MonoNs};
use ros_bridge::kinematics::Commands;
use ros_bridge::qos::{Durability, Qos, Reliability};
use ros_bridge::survey::{Endpoint, Survey};
use ros_bridge::{TopicHealth, Topics};

const AREA: &str = "ros";
const LAMP: &str = "std_msgs/msg/UInt8";
const HORN: &str = "std_msgs/msg/Bool";

/// What was seen, over how long.
pub(super) struct Seen<'a> {
    pub(super) survey: &'a Survey,
    pub(super) seconds: f64,
    pub(super) now: MonoNs,
    pub(super) domain_id: u16,
}

/// One topic that the agent reads.
#[derive(Clone)]
struct Expected<'a> {
    /// Its key in the configuration.
    key: String,
    /// The key of its QoS.
    qos_key: String,
    qos: Qos,
    topic: &'a str,
    /// What does not work without it; none when a robot may do without.
    needed_for: Option<&'a str>,
    /// Messages may be this far apart.
    age_ms_max: Option<u32>,
}

/// Judges everything.
pub(super) fn judge(seen: &Seen<'_>, ros: &Ros, policy: &Policy) -> Vec<Check> {
    let (survey, topics) = (seen.survey, &ros.topics);
    let of_topics = ros.qos_of_topics();
    let mut checks = vec![domain(seen)];
    checks.push(commands(survey, ros));
    let mut expected = usual(topics, policy).to_vec();
    expected.extend(close(ros, policy));
    for health in &survey.expected {
        let known = expected.iter().find(|expected| expected.topic == health.topic);
        let other = Expected {
            key: "ros.topics".to_owned(),
            qos_key: "ros.qos".to_owned(),
            qos: Qos::default(),
            topic: &health.topic,
            needed_for: None,
            age_ms_max: None,
        };
        let mut known = known.unwrap_or(&other).clone();
        known.qos = of_topics.get(&health.topic).copied().unwrap_or_default();
        checks.push(sensor(seen, health, &known));
    }
    checks.push(extra(survey, &topics.lamp, LAMP, "lamp"));
    checks.push(extra(survey, &topics.horn, HORN, "horn"));
    checks
}

/// What most robots have.
fn usual<'a>(topics: &'a Topics, policy: &Policy) -> [Expected<'a>; 8] {
    let optional = |key: &str, topic| Expected {
        key: format!("ros.topics.{key}"),
        qos_key: format!("ros.qos.{key}"),
        qos: Qos::default(),
        topic,
        needed_for: None,
        age_ms_max: None,
    };
    let guard = policy.obstacle_guard.active;
    [
        Expected {
            needed_for: Some("driving at all"),
            age_ms_max: Some(policy.odometry_age_ms_max),
            ..optional("odometry", &topics.odometry)
        },
        Expected {
            needed_for: guard
                .then_some("the obstacle guard (or set policy.obstacle_guard.active = false)"),
            age_ms_max: Some(policy.scan_age_ms_max),
            ..optional("scan", &topics.scan)
        },
        optional("imu", &topics.imu),
        optional("field", &topics.field),
        optional("fix", &topics.fix),
        optional("battery", &topics.battery),
        optional("wheels", &topics.wheels),
        optional("diagnostics", &topics.diagnostics),
    ]
}

/// Range sensors and bumpers.
fn close<'a>(ros: &'a Ros, policy: &'a Policy) -> impl Iterator<Item = Expected<'a>> {
    let ranges = ros.range.iter().enumerate().map(|(n, range)| ("range", n, &range.topic, false));
    let bumpers = ros.bumper.iter().enumerate();
    let bumpers = bumpers.map(|(n, bumper)| ("bumper", n, &bumper.topic, bumper.on_change));
    let required = policy.close_sensors.active;
    ranges.chain(bumpers).map(move |(key, n, topic, on_change)| Expected {
        key: format!("the topic of [[ros.{key}]] number {}", n + 1),
        qos_key: format!("ros.{key}.{n}.qos"),
        qos: Qos::default(),
        topic,
        needed_for: (required && !on_change)
            .then_some("driving, because policy.close_sensors.active"),
        age_ms_max: (!on_change).then_some(policy.close_sensors.age_ms_max),
    })
}

/// What drivers say about the robot's parts.
pub(super) fn parts(diagnostics: &Diagnostics, now: MonoMs) -> Vec<Check> {
    const AREA: &str = "diagnostics";
    let advice = "its driver says so: look at its log";
    let check = |part: Part| match part.level {
        Level::Ok => Check::ok(AREA, part.name, part.message),
        Level::Warning | Level::Stale => Check::warning(AREA, part.name, part.message, advice),
        Level::Error => Check::failed(AREA, part.name, part.message, advice),
    };
    let mut checks: Vec<Check> = diagnostics.troubles(now).into_iter().map(check).collect();
    if checks.is_empty() && diagnostics.known() > 0 {
        checks.push(Check::ok(AREA, "all", format!("{} parts are well", diagnostics.known())));
    }
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

fn commands(survey: &Survey, ros: &Ros) -> Check {
    let (topic, message) = (ros.topics.cmd_vel.as_str(), ros.commands.message());
    let readers: Vec<&Endpoint> = survey.readers.iter().filter(|r| r.topic == topic).collect();
    if let Some(reader) = readers.iter().find(|reader| reader.message != message) {
        let found = format!("a base subscribes as {}", reader.message);
        let other = Commands::ALL.iter().find(|other| other.message() == reader.message);
        let advice = match other {
            Some(other) => {
                format!("set ros.commands = {:?}, or let the base take {message}", other.key())
            }
            None => format!(
                "{topic} carries {message} here: let the base take it, or put a relay between"
            ),
        };
        return Check::failed(AREA, topic, found, advice);
    }
    if let Some((wants, advice)) = readers.iter().find_map(|reader| unheard(reader, ros)) {
        let found = format!("a base subscribes {wants}: it matches no velocity command");
        return Check::failed(AREA, topic, found, advice);
    }
    if readers.is_empty() {
        let elsewhere = others(&survey.readers, message, topic);
        let advice = match elsewhere.first() {
            Some(other) => {
                format!("{other} has a subscriber of that type: set ros.topics.cmd_vel = {other:?}")
            }
            None => "start the base's driver, or set ros.topics.cmd_vel to its topic".to_owned(),
        };
        return Check::failed(AREA, topic, format!("no base subscribes ({message})"), advice);
    }
    Check::ok(AREA, topic, format!("{} subscribers, {message}", readers.len()))
}

/// What a subscriber of the commands wants that they do not have, and what to do.
fn unheard(reader: &Endpoint, ros: &Ros) -> Option<(&'static str, &'static str)> {
    let qos: Qos = ros.qos.cmd_vel.into();
    if reader.lasting && qos.durability != Some(Durability::TransientLocal) {
        let advice =
            "set ros.qos.cmd_vel.durability = \"transient_local\", or let it subscribe as volatile";
        return Some(("with transient local durability", advice));
    }
    if reader.reliable && qos.reliability == Some(Reliability::BestEffort) {
        return Some(("reliably", "set ros.qos.cmd_vel.reliability = \"reliable\""));
    }
    let advice = "let it subscribe without a deadline: no QoS of the agent's has one";
    reader.deadline.then_some(("with a deadline", advice))
}

/// What the agent wants of a publisher that it does not have, and what to set.
fn unread(writer: &Endpoint, expected: &Expected<'_>) -> Option<(&'static str, String)> {
    let Expected { qos_key, qos, .. } = expected;
    if qos.reliability == Some(Reliability::Reliable) && !writer.reliable {
        let advice = format!("set {qos_key}.reliability = \"best_effort\"");
        return Some(("is published best effort, and read reliably", advice));
    }
    let lasts = qos.durability == Some(Durability::TransientLocal);
    let advice = || format!("set {qos_key}.durability = \"volatile\"");
    (lasts && !writer.lasting)
        .then(|| ("is published as volatile, and read as transient local", advice()))
}

/// What a robot may be without.
fn extra(survey: &Survey, topic: &str, message: &str, name: &str) -> Check {
    let readers = survey.readers.iter().filter(|r| r.topic == topic && r.message == message);
    match readers.count() {
        0 => Check::not_checked(AREA, topic, format!("no {name}: nobody subscribes")),
        count => Check::ok(AREA, topic, format!("{count} subscribers, {message}")),
    }
}

fn sensor(seen: &Seen<'_>, health: &TopicHealth, expected: &Expected<'_>) -> Check {
    let (topic, message) = (health.topic.as_str(), health.message);
    let writers = || seen.survey.writers.iter().filter(|writer| writer.topic == topic);
    if let Some(writer) = writers().find(|writer| writer.message != message) {
        let found = format!("is published as {}, not as {message}", writer.message);
        let advice =
            format!("let its driver publish {message}, or name another topic: {}", expected.key);
        return Check::failed(AREA, topic, found, advice);
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of seconds' messages")]
    let rate_hz = if seen.seconds > 0.0 { health.received as f64 / seen.seconds } else { 0.0 };
    if health.on_change && health.malformed == 0 && writers().next().is_some() {
        let found = format!("{} messages, {message}; it speaks when it changes", health.received);
        return Check::ok(AREA, topic, found);
    }
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
        Some(writer) if unread(writer, expected).is_some() => {
            let (found, advice) = unread(writer, expected).unwrap_or_default();
            (format!("{found}: nothing of it comes"), advice)
        }
        Some(_) => (
            format!("has a publisher, but nothing came in {:.0} s", seen.seconds),
            "is the sensor plugged in and its driver well? Does a firewall hold back DDS (UDP)?"
                .to_owned(),
        ),
        None => {
            let elsewhere = others(&seen.survey.writers, message, topic);
            let advice = match elsewhere.first() {
                Some(other) => {
                    format!("{other} is published with that type: set {} = {other:?}", expected.key)
                }
                None => {
                    format!("start its driver, or set {} to its topic", expected.key)
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
        None if writer.is_some() || advice.contains("is published with that type") => {
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
            on_change: false,
        }
    }

    const TWIST: &str = "geometry_msgs/msg/Twist";
    const ODOM: &str = "nav_msgs/msg/Odometry";

    fn find(survey: &Survey, what: &str) -> Check {
        let seen = Seen { survey, seconds: 4.0, now: MonoNs(10_000_000_000), domain_id: 7 };
        let checks = judge(&seen, &Ros::default(), &Policy::default());
        checks.into_iter().find(|check| check.what == what).unwrap()
    }

    #[test]
    fn close_sensors_that_the_robot_must_have_fail_when_they_are_silent_or_slow() {
        let range = "sensor_msgs/msg/Range";
        let toml = r#"
            range = [{ topic = "/range/front" }]
            bumper = [{ topic = "/bumper", side = "front", on_change = true }]
        "#;
        let ros: Ros = toml::from_str(toml).unwrap();
        let mut policy = Policy::default();
        let bumper = TopicHealth { on_change: true, ..health("/bumper", "std_msgs/msg/Bool", 0) };
        let mut survey = Survey {
            writers: vec![
                endpoint("/range/front", range),
                endpoint("/bumper", "std_msgs/msg/Bool"),
            ],
            readers: Vec::new(),
            expected: vec![health("/range/front", range, 0), bumper],
        };
        let find = |survey: &Survey, policy: &Policy, what: &str| {
            let seen = Seen { survey, seconds: 4.0, now: MonoNs(10_000_000_000), domain_id: 7 };
            judge(&seen, &ros, policy).into_iter().find(|check| check.what == what).unwrap()
        };
        assert_eq!(find(&survey, &policy, "/range/front").verdict, Verdict::Warning);
        assert_eq!(find(&survey, &policy, "/bumper").verdict, Verdict::Ok, "nothing to say");
        policy.close_sensors.active = true;
        assert_eq!(find(&survey, &policy, "/range/front").verdict, Verdict::Failed);
        survey.expected[0] = health("/range/front", range, 12);
        let slow = find(&survey, &policy, "/range/front");
        assert!(slow.advice.unwrap().contains("4 Hz"), "3 Hz is not enough");
        survey.expected[0] = health("/range/front", range, 40);
        assert_eq!(find(&survey, &policy, "/range/front").verdict, Verdict::Ok);
        survey.writers.remove(1);
        assert_eq!(find(&survey, &policy, "/bumper").verdict, Verdict::NotChecked);
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
    fn what_drivers_say_about_their_parts_is_told() {
        use ros_msgs::diagnostic_msgs::{DiagnosticArray, DiagnosticStatus};
        let mut diagnostics = Diagnostics::default();
        assert!(parts(&diagnostics, MonoMs(100)).is_empty(), "a robot may do without");
        let mut say = |level, ms| {
            let part = DiagnosticStatus { name: "motors".to_owned(), level, ..Default::default() };
            let message = DiagnosticArray { status: vec![part], ..DiagnosticArray::default() };
            diagnostics.take(&message, MonoMs(ms));
            let checks = parts(&diagnostics, MonoMs(ms));
            (checks[0].what.clone(), checks[0].verdict)
        };
        assert_eq!(say(0, 100), ("all".to_owned(), Verdict::Ok));
        assert_eq!(say(1, 200), ("motors".to_owned(), Verdict::Warning));
        assert_eq!(say(2, 300), ("motors".to_owned(), Verdict::Failed));
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
        assert!(advice(&survey, "/cmd_vel").contains("ros.commands = \"twist_stamped\""));
        survey.readers = vec![Endpoint { lasting: true, ..endpoint("/cmd_vel", TWIST) }];
        assert!(advice(&survey, "/cmd_vel").contains("ros.qos.cmd_vel.durability = \"transient"));
        survey.writers = vec![endpoint("/odom", "geometry_msgs/msg/PoseStamped")];
        assert!(advice(&survey, "/odom").contains("ros.topics.odometry"));
        survey.writers = vec![endpoint("/odom", ODOM)];
        assert!(advice(&survey, "/odom").contains("plugged in"));
        survey.expected = vec![health("/odom", ODOM, 12)];
        assert!(advice(&survey, "/odom").contains("7 Hz"), "{:?}", find(&survey, "/odom"));
    }

    #[test]
    fn a_mismatch_of_qos_names_the_key_that_cures_it() {
        let find = |survey: &Survey, toml: &str, what: &str| {
            let ros: Ros = toml::from_str(toml).unwrap();
            let seen = Seen { survey, seconds: 4.0, now: MonoNs(10_000_000_000), domain_id: 7 };
            let checks = judge(&seen, &ros, &Policy::default());
            checks.into_iter().find(|check| check.what == what).unwrap()
        };
        let base =
            |lasting, reliable| Endpoint { lasting, reliable, ..endpoint("/cmd_vel", TWIST) };
        let mut survey = Survey {
            writers: vec![endpoint("/odom", ODOM), endpoint("/range", "sensor_msgs/msg/Range")],
            readers: vec![base(true, true)],
            expected: vec![health("/odom", ODOM, 0), health("/range", "sensor_msgs/msg/Range", 0)],
        };
        let cured = "qos.cmd_vel.durability = \"transient_local\"";
        assert_eq!(find(&survey, "", "/cmd_vel").verdict, Verdict::Failed);
        assert_eq!(find(&survey, cured, "/cmd_vel").verdict, Verdict::Ok);
        survey.readers = vec![base(false, true)];
        assert_eq!(find(&survey, "", "/cmd_vel").verdict, Verdict::Ok);
        let broken = find(&survey, "qos.cmd_vel.reliability = \"best_effort\"", "/cmd_vel");
        assert!(broken.advice.unwrap().contains("ros.qos.cmd_vel.reliability = \"reliable\""));
        let reliable = "qos.odometry.reliability = \"reliable\"\n\
                        [[range]]\ntopic = \"/range\"\nqos.durability = \"transient_local\"\n";
        let advice = find(&survey, reliable, "/odom").advice.unwrap();
        assert_eq!(advice, "set ros.qos.odometry.reliability = \"best_effort\"");
        let advice = find(&survey, reliable, "/range").advice.unwrap();
        assert_eq!(advice, "set ros.range.0.qos.durability = \"volatile\"");
        assert!(find(&survey, "", "/odom").advice.unwrap().contains("plugged in"));
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
