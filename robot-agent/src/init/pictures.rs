//! Topics of pictures that the ROS graph has, each with what was seen of it.

use crate::media::picture;
use crate::shared::lock;
use ros_bridge::ConnectError;
use ros_bridge::pictures::{Picture, PictureTopic, PictureType, Pictures};
use ros_bridge::survey::Survey;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long all of them are listened to, together.
const LISTEN: Duration = Duration::from_secs(4);
/// The rate is that of the last part: at first discovery takes its time.
const COUNTED: Duration = Duration::from_secs(2);
/// Topics that are listened to.
const TOPICS_MAX: usize = 8;

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PicturesFound {
    pub(crate) topic: String,
    pub(crate) message: PictureType,
    /// Width and height, or why it cannot be shown; none when nothing came.
    pub(crate) size: Option<Result<(u32, u32), String>>,
    /// Pictures a second.
    pub(crate) fps: u32,
}

#[derive(Default)]
struct Heard {
    first: Option<Result<(u32, u32), String>>,
    count: u32,
}

impl Heard {
    fn take(&mut self, picture: &Picture) {
        self.count = self.count.saturating_add(1);
        let size = || picture::facts(picture).map(|facts| (facts.width, facts.height));
        self.first.get_or_insert_with(|| size().map_err(|why| why.to_string()));
    }
}

/// The topics of pictures of a survey; files first, which are a fraction of the traffic.
fn topics(survey: &Survey) -> Vec<(PictureType, &str)> {
    let mut found = Vec::new();
    for message in PictureType::ALL {
        for writer in &survey.writers {
            // Depths are written as pictures that no eye can read.
            let shown = !writer.topic.ends_with("/compressedDepth");
            let one = (message, writer.topic.as_str());
            if writer.message == message.message() && shown && !found.contains(&one) {
                found.push(one);
            }
        }
    }
    found.truncate(TOPICS_MAX);
    found
}

/// Listens to the topics of pictures that a survey found.
pub(crate) fn look(domain_id: u16, survey: &Survey) -> Result<Vec<PicturesFound>, ConnectError> {
    let mut listening = Vec::new();
    for (number, (message, topic)) in topics(survey).into_iter().enumerate() {
        let from = PictureTopic {
            domain_id,
            node_name: format!("longrein_init_{number}"),
            topic: topic.to_owned(),
            message,
            reliability: None,
        };
        let heard = Arc::new(Mutex::new(Heard::default()));
        let noted = Arc::clone(&heard);
        let pictures =
            Pictures::connect(&from, move |picture, _arrived| lock(&noted).take(&picture))?;
        listening.push((from, heard, pictures));
    }
    if listening.is_empty() {
        return Ok(Vec::new());
    }
    std::thread::sleep(LISTEN.saturating_sub(COUNTED));
    let before: Vec<u32> = listening.iter().map(|(_, heard, _)| lock(heard).count).collect();
    std::thread::sleep(COUNTED);
    let found = listening.into_iter().zip(before).map(|((from, heard, _pictures), before)| {
        let heard = lock(&heard);
        let counted = f64::from(heard.count.saturating_sub(before)) / COUNTED.as_secs_f64();
        PicturesFound {
            topic: from.topic,
            message: from.message,
            size: heard.first.clone(),
            fps: rounded(counted),
        }
    });
    Ok(found.collect())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 240")]
fn rounded(per_second: f64) -> u32 {
    per_second.round().clamp(1.0, 240.0) as u32
}

/// The topics as cameras that are offered, not taken: whether one of them is another's twin only the owner knows.
pub(super) fn text(found: &[PicturesFound]) -> String {
    let mut text = String::new();
    for PicturesFound { topic, message, size, fps } in found {
        let name = message.message();
        let ((width, height), fps) = match size {
            Some(Ok(size)) => {
                _ = write!(text, "\n# Pictures were found on a ROS topic ({name}):\n");
                (*size, *fps)
            }
            Some(Err(why)) => {
                _ = write!(
                    text,
                    "\n# Pictures were found on {topic:?} ({name}) that cannot be shown: {why}\n"
                );
                continue;
            }
            None => {
                _ = write!(
                    text,
                    "\n# A topic of pictures was found ({name}), but none came: say their size.\n"
                );
                ((1_280, 720), 30)
            }
        };
        _ = write!(
            text,
            "# [[camera]]\n# name = \"front\"\n# ros_topic = {topic:?}\n# ros_type = {:?}\n# width = {width}\n\
             # height = {height}\n# fps = {fps}\n# bitrate_kbps = {}\n",
            message.key(),
            super::bitrate_kbps(width, height)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use ros_bridge::survey::Endpoint;

    #[test]
    fn files_come_first_and_depths_not_at_all() {
        let endpoint = |topic: &str, message: PictureType| Endpoint {
            topic: topic.to_owned(),
            message: message.message().to_owned(),
            reliable: false,
            lasting: false,
            deadline: false,
        };
        let (files, raw) = (PictureType::CompressedImage, PictureType::Image);
        let survey = Survey {
            writers: vec![
                endpoint("/a/image_raw", raw),
                endpoint("/a/image_raw/compressed", files),
                endpoint("/a/image_raw/compressed", files),
                endpoint("/d/image/compressedDepth", files),
            ],
            ..Survey::default()
        };
        let wanted = [(files, "/a/image_raw/compressed"), (raw, "/a/image_raw")];
        assert_eq!(topics(&survey), wanted);
        assert_eq!((rounded(0.0), rounded(14.6), rounded(1e9)), (1, 15, 240));
    }
}
