//! What keeps a camera from working, in words that say what to install or change.

/// Why a camera cannot start, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// GStreamer itself does not start.
    #[error(
        "GStreamer does not start ({why}); install it: apt-get install gstreamer1.0-plugins-base"
    )]
    Init {
        /// What GStreamer says.
        why: String,
    },
    /// No encoder that this module knows.
    #[error(
        "camera {camera}: no H.264 encoder is installed. Install one: apt-get install gstreamer1.0-plugins-ugly \
         (x264enc, recommended) or apt-get install gstreamer1.0-plugins-bad (openh264enc); or set `encoder` of \
         this camera to a hardware encoder"
    )]
    NoEncoder {
        /// The camera's name.
        camera: String,
    },
    /// Elements of the configured source or encoder are not installed.
    #[error("camera {camera}: GStreamer has no element {}; {}", elements.join(", "), advice(elements))]
    MissingElement {
        /// The camera's name.
        camera: String,
        /// The elements.
        elements: Vec<String>,
    },
    /// The pipeline text cannot be read.
    #[error(
        "camera {camera}: the pipeline cannot be built: {why}. Try `source` with: gst-launch-1.0 {source_text} ! fakesink"
    )]
    Pipeline {
        /// The camera's name.
        camera: String,
        /// What GStreamer says.
        why: String,
        /// The configured source.
        source_text: String,
    },
    /// The configured encoder does not carry its name.
    #[error(
        "camera {camera}: the encoder's element must be named enc: write encoder = {:?}",
        named(encoder)
    )]
    EncoderName {
        /// The camera's name.
        camera: String,
        /// The configured encoder.
        encoder: String,
    },
    /// Its topic cannot be read.
    #[error("camera {camera}: no connection to ROS 2")]
    Ros {
        /// The camera's name.
        camera: String,
        /// What ROS says.
        #[source]
        source: ros_bridge::ConnectError,
    },
    /// A configured number is out of range.
    #[error("camera {camera}: {field} is {value}, but must be {must}")]
    Config {
        /// The camera's name.
        camera: String,
        /// The field.
        field: &'static str,
        /// What it holds.
        value: u32,
        /// What it may hold.
        must: &'static str,
    },
    /// A running camera failed; it is started anew.
    #[error("camera {camera}: {why}")]
    Stopped {
        /// The camera's name.
        camera: String,
        /// What happened.
        why: String,
    },
}

/// The Debian packages of the elements that cameras are most often made of.
const PACKAGES: &[(&str, &[&str])] = &[
    (
        "gstreamer1.0-plugins-base",
        &["videotestsrc", "videoconvert", "videoscale", "videorate", "appsink", "appsrc"],
    ),
    (
        "gstreamer1.0-plugins-good",
        &[
            "v4l2src",
            "rtspsrc",
            "udpsrc",
            "jpegdec",
            "pngdec",
            "jpegenc",
            "vp8enc",
            "rtph264depay",
            "rtpjpegdepay",
            "multifilesrc",
        ],
    ),
    (
        "gstreamer1.0-plugins-bad",
        &["shmsrc", "openh264enc", "h264parse", "vah264enc", "nvh264enc", "v4l2codecs"],
    ),
    ("gstreamer1.0-plugins-ugly", &["x264enc"]),
    ("gstreamer1.0-libav", &["avdec_h264", "avdec_mjpeg"]),
    ("gstreamer1.0-libcamera", &["libcamerasrc"]),
    ("gstreamer1.0-vaapi", &["vaapih264enc"]),
];

/// The encoder's text with the name in its place.
fn named(encoder: &str) -> String {
    let (element, rest) = encoder.split_once(' ').unwrap_or((encoder, ""));
    format!("{element} name=enc {rest}").trim_end().to_owned()
}

fn advice(elements: &[String]) -> String {
    let mut packages: Vec<&str> = PACKAGES
        .iter()
        .filter(|(_package, known)| {
            elements.iter().any(|element| known.contains(&element.as_str()))
        })
        .map(|(package, _known)| *package)
        .collect();
    packages.dedup();
    if packages.is_empty() {
        "correct its name in the camera's `source` or `encoder`, or install the package that has it"
            .to_owned()
    } else {
        format!("install it: apt-get install {}", packages.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_element_names_its_package_or_how_to_go_on() {
        let error = |element: &str| {
            MediaError::MissingElement {
                camera: "front".to_owned(),
                elements: vec![element.to_owned()],
            }
            .to_string()
        };
        assert!(error("shmsrc").contains("apt-get install gstreamer1.0-plugins-bad"));
        assert!(error("v4l3src").contains("no element v4l3src; correct its name"));
    }

    #[test]
    fn a_missing_encoder_lists_what_to_install() {
        let text = MediaError::NoEncoder { camera: "front".to_owned() }.to_string();
        assert!(text.contains("gstreamer1.0-plugins-ugly"));
        assert!(text.contains("gstreamer1.0-plugins-bad"));
    }
}
