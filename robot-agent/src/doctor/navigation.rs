//! The robot's own autonomy: whether its action is served, and its velocities come as they are expected.

use super::report::Check;
use crate::config::Navigation;
use ros_bridge::navigation::{VelocityMessage, feedback_topic};
use ros_bridge::survey::Survey;

const AREA: &str = "navigation";

/// Judges what the graph told. Nothing for a robot without autonomy.
pub(super) fn judge(survey: &Survey, config: &Navigation) -> Vec<Check> {
    if !config.active {
        return vec![Check::not_checked(AREA, "all", "navigation.active = false: no goals")];
    }
    vec![server(survey, config), velocities(survey, config)]
}

fn server(survey: &Survey, config: &Navigation) -> Check {
    let topic = feedback_topic(&config.action);
    let servers = survey.writers.iter().filter(|writer| writer.topic == topic).count();
    match servers {
        0 => {
            let served = |topic: &str| topic.strip_suffix("/_action/feedback").map(str::to_owned);
            let nav2 = |message: &str| message.contains("NavigateToPose_FeedbackMessage");
            let others = survey.writers.iter().filter(|writer| nav2(&writer.message));
            let advice = match others.filter_map(|writer| served(&writer.topic)).next() {
                Some(other) => format!("{other} is served: set navigation.action = {other:?}"),
                None => {
                    "start Nav2 (bt_navigator must be active), or set navigation.action".to_owned()
                }
            };
            Check::failed(AREA, &config.action, "nobody serves it: no goal can be set", advice)
        }
        1 => Check::ok(AREA, &config.action, "is served"),
        many => Check::warning(
            AREA,
            &config.action,
            format!("{many} nodes serve it"),
            "let only one run: both would get each goal",
        ),
    }
}

fn velocities(survey: &Survey, config: &Navigation) -> Check {
    let topic = &config.velocity_topic;
    let message = match config.velocity {
        VelocityMessage::Twist => "geometry_msgs/msg/Twist",
        VelocityMessage::TwistStamped => "geometry_msgs/msg/TwistStamped",
    };
    let mut writers = survey.writers.iter().filter(|writer| writer.topic == *topic).peekable();
    let any = writers.peek().is_some();
    if let Some(other) = writers.find(|writer| writer.message != message) {
        let found = format!("is published as {}, not as {message}", other.message);
        let advice = "set navigation.velocity to that type, or Nav2's enable_stamped_cmd_vel";
        return Check::failed(AREA, topic, found, advice);
    }
    if any {
        return Check::ok(AREA, topic, format!("is published, {message}"));
    }
    let advice = "let Nav2 publish there what it wishes (cmd_vel_out_topic of collision_monitor, or a remapping of its last node), \
                  away from what the base obeys; see the README of robot-agent";
    Check::failed(AREA, topic, "nobody publishes it: the robot would stand", advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;
    use ros_bridge::survey::Endpoint;

    fn writer(topic: &str, message: &str) -> Endpoint {
        Endpoint {
            topic: topic.to_owned(),
            message: message.to_owned(),
            reliable: true,
            lasting: false,
            deadline: false,
        }
    }

    #[test]
    fn an_autonomy_is_looked_for_where_it_is_configured() {
        let active = Navigation { active: true, ..Navigation::default() };
        let verdicts = |writers: &[Endpoint], config: &Navigation| {
            let survey = Survey { writers: writers.to_vec(), ..Survey::default() };
            let checks = judge(&survey, config);
            let words = |c: &Check| c.advice.clone().unwrap_or_default();
            (
                checks.iter().map(|c| c.verdict).collect::<Vec<_>>(),
                checks.iter().map(words).collect::<String>(),
            )
        };
        assert_eq!(verdicts(&[], &Navigation::default()).0, [Verdict::NotChecked]);
        assert_eq!(verdicts(&[], &active).0, [Verdict::Failed, Verdict::Failed]);
        let feedback = "nav2_msgs/action/NavigateToPose_FeedbackMessage";
        let there = writer("/navigate_to_pose/_action/feedback", feedback);
        let twist = writer("/cmd_vel_nav", "geometry_msgs/msg/Twist");
        assert_eq!(verdicts(&[there.clone(), twist.clone()], &active).0, [Verdict::Ok; 2]);
        let stamped = writer("/cmd_vel_nav", "geometry_msgs/msg/TwistStamped");
        let (seen, advice) = verdicts(&[there.clone(), stamped], &active);
        assert_eq!(seen, [Verdict::Ok, Verdict::Failed]);
        assert!(advice.contains("enable_stamped_cmd_vel"), "{advice}");
        let elsewhere = writer("/robot/go/_action/feedback", feedback);
        let (_, advice) = verdicts(&[elsewhere, twist.clone()], &active);
        assert!(advice.contains("navigation.action = \"/robot/go\""), "{advice}");
        assert_eq!(verdicts(&[there.clone(), there, twist], &active).0[0], Verdict::Warning);
    }
}
