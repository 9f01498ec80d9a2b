//! Says in words which sensor or camera is silent: in the log, once when it falls silent and once when it is back; in the
//! state, as long as it lasts.

use crate::clock;
use crate::diagnostics::Part;
use crate::leases::Leases;
use crate::media::Camera;
use crate::record;
use crate::shared::{Shared, lock};
use protocol::state::{TROUBLES_MAX, Trouble};
use protocol::units::MonoNs;
use ros_bridge::TopicHealth;
use ros_bridge::agent::Base;
use ros_msgs::RosMessage;
use ros_msgs::diagnostic_msgs::DiagnosticArray;
use ros_msgs::sensor_msgs::{BatteryState, MagneticField};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After the start, drivers have this long to appear.
const GRACE_NS: u64 = 5_000_000_000;
const SILENT_NS: u64 = 5_000_000_000;

/// What is wrong with a topic; none when it is well.
fn trouble(topic: &TopicHealth, now: MonoNs, domain_id: u16) -> Option<String> {
    let (name, message) = (&topic.topic, topic.message);
    match topic.newest {
        // Its silence says nothing, as long as its driver is there.
        Some(_) if topic.on_change && topic.publishers > 0 => None,
        None if topic.on_change && topic.malformed == 0 && topic.publishers > 0 => None,
        Some(newest) if now.since(newest) < SILENT_NS => None,
        Some(newest) => {
            let seconds = now.since(newest) / 1_000_000_000;
            Some(format!("{name} has been silent for {seconds} s: is its driver still running?"))
        }
        None if topic.malformed > 0 => Some(format!(
            "{name} is published, but not as {message}: check the driver's message type"
        )),
        // Few robots have one, and nothing that drives depends on it.
        None if topic.publishers == 0
            && [MagneticField::NAME, DiagnosticArray::NAME].contains(&message) =>
        {
            None
        }
        None if topic.publishers == 0 => Some(format!(
            "nobody publishes {name} ({message}) in ROS domain {domain_id}: start the driver, or set \
             ros_domain_id (ROS_DOMAIN_ID) to the robot's"
        )),
        None => Some(format!("{name} has a publisher, but nothing arrives: check its network")),
    }
}

/// Whether a battery is there that has said nothing yet. Just after the start its driver may still be found.
fn battery_awaited(topics: &[TopicHealth], young: bool) -> bool {
    let battery = topics.iter().find(|topic| topic.message == BatteryState::NAME);
    battery.is_some_and(|topic| topic.received == 0 && (young || topic.publishers > 0))
}

/// Watches, for ever.
pub(crate) async fn watch(
    base: Arc<Base>,
    domain_id: u16,
    leases: Arc<Leases>,
    shared: Arc<Shared>,
    recorder: record::Handle,
) {
    let begun = clock::mono_ns();
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let looked = {
            let base = Arc::clone(&base);
            tokio::task::spawn_blocking(move || {
                let (lamps, horns) = (base.lamp_subscribers(), base.horn_subscribers());
                (base.health(), base.command_subscribers(), lamps, horns)
            })
            .await
        };
        let Ok((topics, subscribers, lamps, horns)) = looked else { continue };
        shared.has_lamp.store(lamps > 0, Ordering::Relaxed);
        shared.has_horn.store(horns > 0, Ordering::Relaxed);
        let now = clock::mono_ns();
        let young = now.since(begun) < GRACE_NS;
        shared.battery_settled.store(!battery_awaited(&topics, young), Ordering::Relaxed);
        if !young {
            for topic in &topics {
                tell(&mut told, &topic.topic, trouble(topic, now, domain_id));
            }
            let base = (subscribers == 0).then(|| {
                format!("no base subscribes to the velocity commands in ROS domain {domain_id}: is its driver running?")
            });
            tell(&mut told, "base", base);
            for camera in leases.cameras() {
                let what = format!("camera {}", camera.config().name);
                tell(&mut told, &what, camera_trouble(camera));
            }
        }
        let recorder = (!recorder.progress.able.load(Ordering::Acquire))
            .then(|| "it can't write: make room on the disk".to_owned());
        tell(&mut told, "recorder", recorder);
        let ill = lock(&shared.diagnostics).troubles(now.ms());
        *lock(&shared.troubles) = troubles(&told, &ill);
    }
}

/// As the fleet is told, what this agent itself sees before what drivers say.
fn troubles(told: &BTreeMap<String, String>, ill: &[Part]) -> Vec<Trouble> {
    let seen = told.iter().map(|(what, words)| Trouble::new(what, words));
    let said = ill.iter().map(|part| Trouble::new(&part.name, &part.message));
    seen.chain(said).take(TROUBLES_MAX).collect()
}

fn camera_trouble(camera: &Camera) -> Option<String> {
    let unknown = || "no frames arrive: check its source".to_owned();
    (!camera.healthy()).then(|| camera.trouble().unwrap_or_else(unknown))
}

/// Into the log once when it begins and once when it is over; the words are kept as they are now.
fn tell(told: &mut BTreeMap<String, String>, what: &str, trouble: Option<String>) {
    match trouble {
        Some(trouble) => {
            if !told.contains_key(what) {
                tracing::warn!(what, "{trouble}");
            }
            told.insert(what.to_owned(), trouble);
        }
        None => {
            if told.remove(what).is_some() {
                tracing::info!(what, "is back");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_topic_is_named_with_the_domain() {
        let mut topic = TopicHealth {
            topic: "/odom".to_owned(),
            message: "nav_msgs/msg/Odometry",
            received: 0,
            malformed: 0,
            newest: None,
            publishers: 0,
            on_change: false,
        };
        let now = MonoNs(60_000_000_000);
        let words = trouble(&topic, now, 7).unwrap();
        assert!(
            words.contains("/odom")
                && words.contains("domain 7")
                && words.contains("ROS_DOMAIN_ID")
        );
        topic.publishers = 1;
        assert!(trouble(&topic, now, 7).unwrap().contains("nothing arrives"));
        topic.malformed = 3;
        assert!(trouble(&topic, now, 7).unwrap().contains("message type"));
        topic.newest = Some(MonoNs(50_000_000_000));
        assert!(trouble(&topic, now, 7).unwrap().contains("silent for 10 s"));
        topic.on_change = true;
        assert_eq!(trouble(&topic, now, 7), None, "it has nothing to say");
        topic.publishers = 0;
        assert!(trouble(&topic, now, 7).is_some(), "its driver has ended");
        topic.newest = Some(MonoNs(59_000_000_000));
        assert_eq!(trouble(&topic, now, 7), None);
    }

    #[test]
    fn the_fleet_is_told_what_is_wrong_now_and_not_more_than_it_takes() {
        let mut told = BTreeMap::new();
        tell(&mut told, "/odom", Some("silent for 5 s".to_owned()));
        tell(&mut told, "/odom", Some("silent for 6 s".to_owned()));
        tell(&mut told, "camera front", None);
        let motor = Part {
            name: "motor".to_owned(),
            level: crate::diagnostics::Level::Error,
            message: "ü".repeat(1_000),
        };
        let all = troubles(&told, &vec![motor; 40]);
        assert_eq!(all.len(), TROUBLES_MAX);
        assert_eq!(all[0], Trouble::new("/odom", "silent for 6 s"));
        assert_eq!(all[1].words.chars().count(), 180);
        tell(&mut told, "/odom", None);
        assert_eq!(troubles(&told, &[]), []);
    }

    #[test]
    fn a_battery_is_awaited_while_it_may_still_speak() {
        let battery = |received, publishers| TopicHealth {
            topic: "/power".to_owned(),
            message: BatteryState::NAME,
            received,
            malformed: 0,
            newest: None,
            publishers,
            on_change: false,
        };
        assert!(battery_awaited(&[battery(0, 0)], true), "its driver may still be found");
        assert!(!battery_awaited(&[battery(0, 0)], false), "there is none");
        assert!(battery_awaited(&[battery(0, 1)], false), "there is one, and it is slow");
        assert!(
            !battery_awaited(&[battery(1, 1)], true),
            "it spoke, though it may not know its charge"
        );
    }

    #[test]
    fn a_robot_without_a_magnetometer_lacks_nothing() {
        let topic = TopicHealth {
            topic: "/imu/mag".to_owned(),
            message: MagneticField::NAME,
            received: 0,
            malformed: 0,
            newest: None,
            publishers: 0,
            on_change: false,
        };
        let now = MonoNs(60_000_000_000);
        assert_eq!(trouble(&topic, now, 7), None);
        let broken = TopicHealth { newest: Some(MonoNs(50_000_000_000)), ..topic };
        assert!(trouble(&broken, now, 7).is_some(), "one that was there and fell silent");
    }
}
