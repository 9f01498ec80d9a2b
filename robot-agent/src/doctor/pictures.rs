//! What the ROS graph says about the topics of cameras. Whether pictures come is seen when the cameras are opened.

use super::report::Check;
use crate::config::Config;
use crate::media::ros::other_type;
use ros_bridge::pictures::PictureType;
use ros_bridge::qos::Reliability;
use ros_bridge::survey::Survey;

/// One line for each camera that has a topic.
pub(super) fn judge(survey: &Survey, config: &Config) -> Vec<Check> {
    let cameras = config.cameras.iter();
    let of_topics = cameras.filter_map(|camera| Some((camera, camera.ros_topic.as_deref()?)));
    of_topics
        .map(|(camera, topic)| {
            let reliable = camera.ros_reliability == Some(Reliability::Reliable);
            one(survey, topic, camera.ros_type.unwrap_or_default(), reliable)
        })
        .collect()
}

fn one(survey: &Survey, topic: &str, message: PictureType, reliable: bool) -> Check {
    const AREA: &str = "ros";
    let wanted = message.message();
    let mut writers = survey.writers.iter().filter(|writer| writer.topic == topic).peekable();
    if writers.peek().is_none() {
        let others = survey.writers.iter().filter(|writer| {
            PictureType::ALL.iter().any(|known| known.message() == writer.message)
        });
        let mut others: Vec<&str> = others.map(|writer| writer.topic.as_str()).collect();
        others.dedup();
        let advice = if others.is_empty() {
            "start its driver".to_owned()
        } else {
            format!(
                "start its driver, or set ros_topic to one with pictures: {}",
                others.join(", ")
            )
        };
        return Check::failed(AREA, topic, format!("nobody publishes it ({wanted})"), advice);
    }
    if reliable && writers.clone().all(|writer| !writer.reliable) {
        let found = "is published best effort, and read reliably";
        return Check::failed(AREA, topic, found, "set ros_reliability = \"best_effort\"");
    }
    match writers.find(|writer| writer.message != wanted) {
        Some(other) => {
            let found = format!("is published as {}, not as {wanted}", other.message);
            let advice = other_type(topic, wanted, &other.message);
            let advice = advice.rsplit_once(": ").map_or(advice.as_str(), |(_, advice)| advice);
            Check::failed(AREA, topic, found, advice.to_owned())
        }
        None => Check::ok(AREA, topic, format!("published, {wanted}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;
    use ros_bridge::survey::Endpoint;

    #[test]
    fn a_topic_of_another_type_or_name_is_told_with_what_to_set() {
        let toml = "data = \"/x\"\n[[camera]]\nname = \"front\"\nros_topic = \"/c/image\"\nwidth = 64\nheight = 48\n\
                    fps = 10\nbitrate_kbps = 500\n";
        let config = Config::parse(toml).unwrap();
        let endpoint = |topic: &str, message: PictureType| Endpoint {
            topic: topic.to_owned(),
            message: message.message().to_owned(),
            reliable: true,
            lasting: false,
            deadline: false,
        };
        let find = |writers: Vec<Endpoint>| {
            judge(&Survey { writers, ..Survey::default() }, &config).remove(0)
        };
        let check = find(vec![endpoint("/c/image", PictureType::Image)]);
        assert_eq!(check.verdict, Verdict::Failed);
        assert_eq!(check.advice.unwrap(), "set ros_type = \"image\"");
        let check = find(vec![endpoint("/d/image", PictureType::Image)]);
        assert!(check.advice.unwrap().ends_with("with pictures: /d/image"));
        let check = find(vec![endpoint("/c/image", PictureType::CompressedImage)]);
        assert_eq!(check.verdict, Verdict::Ok);
        let unread = Endpoint { reliable: false, ..endpoint("/c/image", PictureType::Image) };
        let survey = Survey { writers: vec![unread], ..Survey::default() };
        let check = one(&survey, "/c/image", PictureType::Image, true);
        assert_eq!(check.advice.unwrap(), "set ros_reliability = \"best_effort\"");
        assert!(find(Vec::new()).advice.unwrap().contains("start its driver"));
    }
}
