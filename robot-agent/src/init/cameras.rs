//! The cameras that GStreamer's device monitor finds, each with a mode that suits driving.

use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;
use std::path::{Path, PathBuf};

/// Modes, best first: enough to drive by, and no more than a small computer carries.
const MODES: &[(i32, i32, i32)] = &[
    (1280, 720, 30),
    (1280, 720, 25),
    (1280, 800, 30),
    (960, 540, 30),
    (800, 600, 30),
    (640, 480, 30),
    (640, 360, 30),
    (640, 480, 25),
    (1280, 720, 15),
    (1280, 720, 10),
    (640, 480, 15),
    (320, 240, 30),
];

/// A camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// For people.
    pub(crate) description: String,
    /// For the configuration.
    pub(crate) source: String,
    pub(crate) width: i32,
    pub(crate) height: i32,
    pub(crate) fps: i32,
}

/// Looks for cameras. Opens none of them for longer than it takes to ask for its modes.
pub(crate) fn look() -> Result<Vec<Found>> {
    gst::init().context("GStreamer does not start: apt-get install gstreamer1.0-plugins-base")?;
    let monitor = gst::DeviceMonitor::new();
    if monitor.add_filter(Some("Video/Source"), None).is_none() {
        // No plugin knows of cameras.
        return Ok(Vec::new());
    }
    monitor.start().context("the device monitor does not start")?;
    let mut found: Vec<Found> = monitor.devices().iter().filter_map(camera).collect();
    monitor.stop();
    // PipeWire and V4L2 tell of the same camera.
    found.sort_by(|a, b| a.source.cmp(&b.source));
    found.dedup_by(|a, b| a.source == b.source);
    Ok(found)
}

fn camera(device: &gst::Device) -> Option<Found> {
    let element = device.create_element(None).ok()?;
    let factory = element.factory()?.name();
    let start = match factory.as_str() {
        "v4l2src" => {
            let path: String = element.property("device");
            format!("v4l2src device={}", lasting_name(Path::new(&path)).display())
        }
        "libcamerasrc" => {
            let name: Option<String> = element.property("camera-name");
            format!("libcamerasrc camera-name={:?}", name?)
        }
        _other => return None,
    };
    found(&device.display_name(), &start, &device.caps()?)
}

/// A camera that is plugged in again may get another number, but keeps its name by id.
fn lasting_name(path: &Path) -> PathBuf {
    let links = std::fs::read_dir("/dev/v4l/by-id").into_iter().flatten().flatten();
    let mut names: Vec<PathBuf> = links.map(|link| link.path()).collect();
    names.sort();
    let same = |name: &PathBuf| name.canonicalize().is_ok_and(|target| target == path);
    names.into_iter().find(same).unwrap_or_else(|| path.to_owned())
}

/// The best mode of what a camera offers.
fn found(description: &str, start: &str, offered: &gst::Caps) -> Option<Found> {
    for &(width, height, fps) in MODES {
        for (media, decode) in [("video/x-raw", ""), ("image/jpeg", " ! jpegdec")] {
            let mode = gst::Caps::builder(media)
                .field("width", width)
                .field("height", height)
                .field("framerate", gst::Fraction::new(fps, 1))
                .build();
            if offered.can_intersect(&mode) {
                let source = format!(
                    "{start} ! {media},width={width},height={height},framerate={fps}/1{decode}"
                );
                let description = description.to_owned();
                return Some(Found { description, source, width, height, fps });
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(offered: &str) -> Option<String> {
        gst::init().unwrap();
        let offered: gst::Caps = offered.parse().unwrap();
        found("a camera", "v4l2src device=/dev/video0", &offered).map(|found| found.source)
    }

    #[test]
    fn a_mode_is_chosen_that_the_camera_has() {
        let raw = "v4l2src device=/dev/video0 ! video/x-raw,width=1280,height=720,framerate=30/1";
        let ranges =
            "video/x-raw,format=YUY2,width=[32,1920],height=[32,1080],framerate=[1/1,60/1]";
        assert_eq!(mode(ranges).unwrap(), raw);
        // As most USB cameras: raw video in full size only slowly, JPEG at full rate.
        let usb = "video/x-raw,format=YUY2,width=1280,height=720,framerate={10/1,5/1}; \
                   video/x-raw,format=YUY2,width=640,height=480,framerate=30/1; \
                   image/jpeg,width=1280,height=720,framerate={30/1,15/1}";
        assert_eq!(
            mode(usb).unwrap(),
            "v4l2src device=/dev/video0 ! image/jpeg,width=1280,height=720,framerate=30/1 ! jpegdec"
        );
        let slow = "video/x-raw,width=1280,height=720,framerate=10/1";
        assert!(mode(slow).unwrap().ends_with("framerate=10/1"));
        assert_eq!(mode("video/x-raw,width=64,height=64,framerate=30/1"), None);
        assert_eq!(mode("video/x-h264,width=1280,height=720,framerate=30/1"), None);
    }

    #[test]
    fn a_camera_without_a_name_by_id_keeps_its_path() {
        assert_eq!(lasting_name(Path::new("/dev/video99")), Path::new("/dev/video99"));
        look().unwrap();
    }
}
