//! Pictures from a ROS topic: each is checked, stamped with its time of capture and pushed into the camera's pipeline,
//! on a thread of the topic's own.
//!
//! The subscription lives as long as its camera; pipelines come and go. While there is none the newest picture waits, one
//! at most.

use super::camera::{State, lock};
use super::keeper::SILENT_MAX;
use super::picture::{self, Facts, Form};
use super::{CameraConfig, MediaError};
use crate::clock;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use gstreamer_video::VideoInfo;
use protocol::units::MonoNs;
use ros_bridge::pictures::{Picture, PictureTopic, PictureType, Pictures};
use ros_bridge::qos::Reliability;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The name of the element through which pictures enter a pipeline.
pub(super) const ENTRY: &str = "pictures";
/// What a message on a pipeline's bus is named that says why a picture cannot be shown.
pub(super) const UNUSABLE: &str = "unusable-picture";
/// A header's stamp older than this is not a time of capture.
const STAMP_AGE_NS_MAX: u64 = 2_000_000_000;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A subscription, and where its pictures go.
pub(super) struct Topic {
    pictures: Pictures,
    inbox: Arc<Inbox>,
    from: PictureTopic,
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic").field("from", &self.from).finish_non_exhaustive()
    }
}

/// A picture and when it came.
pub(super) type Arrived = (Picture, MonoNs);

#[derive(Default)]
struct Inbox {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

#[derive(Default)]
struct Waiting {
    newest: Option<Arrived>,
    outlet: Option<Outlet>,
}

impl Inbox {
    fn take(&self, arrived: Arrived) {
        let mut waiting = lock(&self.waiting);
        let Some(outlet) = &mut waiting.outlet else {
            waiting.newest = Some(arrived);
            self.came.notify_all();
            return;
        };
        if let Err(why) = outlet.push(arrived) {
            outlet.complain(&why.to_string());
            waiting.outlet = None;
        }
    }
}

impl Topic {
    pub(super) fn subscribe(camera: &str, from: &PictureTopic) -> Result<Self, MediaError> {
        let inbox = Arc::new(Inbox::default());
        let of_reader = Arc::clone(&inbox);
        let pictures = Pictures::connect(from, move |picture, at| of_reader.take((picture, at)));
        let pictures =
            pictures.map_err(|source| MediaError::Ros { camera: camera.to_owned(), source })?;
        Ok(Self { pictures, inbox, from: from.clone() })
    }

    /// Waits for a picture and tells what it is made of. None: the camera is to be stopped.
    pub(super) fn first(&self, state: &State) -> Result<Option<(Form, Arrived)>, String> {
        let until = Instant::now() + SILENT_MAX;
        lock(&self.inbox.waiting).newest = None;
        loop {
            let waiting = lock(&self.inbox.waiting);
            let (mut waiting, _timeout) = self
                .inbox
                .came
                .wait_timeout_while(waiting, LOOK_EVERY, |waiting| waiting.newest.is_none())
                .unwrap_or_else(PoisonError::into_inner);
            let newest = waiting.newest.take();
            drop(waiting);
            if *lock(&state.stop) {
                return Ok(None);
            }
            if let Some(arrived) = newest {
                let size = (state.config.width, state.config.height);
                let facts = picture::facts_of_size(&arrived.0, size);
                let facts = facts.map_err(|why| format!("{}: {why}", self.from.topic))?;
                return Ok(Some((facts.form, arrived)));
            }
            if Instant::now() >= until {
                return Err(self.silence());
            }
        }
    }

    /// Why nothing comes, as far as ROS knows.
    pub(super) fn silence(&self) -> String {
        let PictureTopic { topic, message, domain_id, .. } = &self.from;
        let wanted = message.message();
        let publishers = self.pictures.publishers();
        if let Some(other) = publishers.iter().find(|other| other.message != wanted) {
            return other_type(topic, wanted, &other.message);
        }
        let reliably = self.from.reliability == Some(Reliability::Reliable);
        if reliably && publishers.iter().any(|publisher| !publisher.reliable) {
            return format!(
                "{topic} is published best effort, and read reliably: set ros_reliability = \"best_effort\""
            );
        }
        let health = self.pictures.health();
        let newest = health.as_ref().and_then(|health| health.newest);
        let age_ns = newest.map(|newest| clock::mono_ns().since(newest));
        if age_ns.is_some_and(|age_ns| u128::from(age_ns) < SILENT_MAX.as_nanos()) {
            return format!("pictures come on {topic}, and none of them can be decoded");
        }
        if newest.is_none() && health.is_some_and(|health| health.malformed > 0) {
            return format!("messages come on {topic} that are no {wanted}");
        }
        let for_s = SILENT_MAX.as_secs();
        if publishers.is_empty() {
            return format!(
                "nobody publishes {topic} ({wanted}) in ROS domain {domain_id}: is its driver running?"
            );
        }
        format!("{topic} has a publisher, but no picture came for {for_s} s")
    }

    /// From now on pictures go into this pipeline, `first` at once.
    pub(super) fn attach(
        &self,
        config: &CameraConfig,
        pipeline: &gst::Pipeline,
        generation: u64,
        (form, first): (Form, Arrived),
    ) {
        let entry = pipeline.by_name(ENTRY).and_then(|entry| entry.downcast::<AppSrc>().ok());
        let (Some(entry), Some(bus)) = (entry, pipeline.bus()) else { return };
        let outlet = Outlet {
            camera: config.name.clone(),
            topic: self.from.topic.clone(),
            size: (config.width, config.height),
            form,
            entry,
            bus,
            base: MonoNs(pipeline.base_time().map_or(0, gst::ClockTime::nseconds)),
            newest: MonoNs(0),
            told: false,
            generation,
        };
        lock(&self.inbox.waiting).outlet = Some(outlet);
        self.inbox.take(first);
    }

    /// No more pictures for this pipeline.
    pub(super) fn detach(&self, generation: u64) {
        let outlet = &mut lock(&self.inbox.waiting).outlet;
        if outlet.as_ref().is_some_and(|outlet| outlet.generation == generation) {
            *outlet = None;
        }
    }
}

/// What to set when a topic carries another type.
pub(crate) fn other_type(topic: &str, wanted: &str, found: &str) -> String {
    let known = PictureType::ALL.iter().find(|known| known.message() == found);
    let advice = known.map_or_else(
        || "name another topic".to_owned(),
        |known| format!("set ros_type = {:?}", known.key()),
    );
    format!("{topic} is published as {found}, not as {wanted}: {advice}")
}

/// The way into one pipeline.
struct Outlet {
    camera: String,
    topic: String,
    size: (u32, u32),
    form: Form,
    entry: AppSrc,
    bus: gst::Bus,
    base: MonoNs,
    /// Capture of the newest picture that went in.
    newest: MonoNs,
    /// Whether it was said that stamps are of no use.
    told: bool,
    generation: u64,
}

impl Outlet {
    fn push(&mut self, (picture, arrived): Arrived) -> Result<(), picture::Unusable> {
        let facts = picture::facts_of_size(&picture, self.size)?;
        facts.must_be(self.form)?;
        let capture = self.capture(&picture, arrived);
        // One that is no newer than what was shown: of a second publisher, or sent again.
        let Some(stamp) = capture.0.checked_sub(self.base.0).filter(|_| capture > self.newest)
        else {
            return Ok(());
        };
        self.newest = capture;
        let Some(mut buffer) = buffer_of(picture, &facts) else {
            tracing::warn!(camera = self.camera, "no memory for a picture: it is dropped");
            return Ok(());
        };
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_nseconds(stamp));
        }
        // Never waits: an older picture that nobody took goes. A pipeline that ends takes none, and says so itself.
        if let Err(error) = self.entry.push_buffer(buffer) {
            tracing::debug!(camera = self.camera, %error, "the pipeline took no picture");
        }
        Ok(())
    }

    fn capture(&mut self, picture: &Picture, arrived: MonoNs) -> MonoNs {
        let stamp = picture.stamp().as_ns();
        let capture = stamp.and_then(|ns| captured(ns, clock::wall_ns_at(arrived), arrived));
        if capture.is_none() && !std::mem::replace(&mut self.told, true) {
            let (camera, topic) = (&self.camera, &self.topic);
            tracing::info!(
                camera,
                topic,
                "its stamps do not fit this machine's clock; time of arrival is taken"
            );
        }
        capture.unwrap_or(arrived)
    }

    fn complain(&self, why: &str) {
        let why = format!("{}: {why}", self.topic);
        let words = gst::Structure::builder(UNUSABLE).field("why", why).build();
        if self.bus.post(gst::message::Application::new(words)).is_err() {
            tracing::debug!(camera = self.camera, "the pipeline has ended already");
        }
    }
}

/// A picture for GStreamer. Rows are copied to where it would have put them itself: its converters crash on rows that begin
/// at any byte.
fn buffer_of(picture: Picture, facts: &Facts) -> Option<gst::Buffer> {
    let (format, picture) = match (facts.form, picture) {
        (Form::Raw(format), Picture::Raw(picture)) => (format, picture),
        (_, Picture::Compressed(picture)) => return Some(gst::Buffer::from_slice(picture.data)),
        (_, Picture::Raw(_)) => return None,
    };
    let info = VideoInfo::builder(format, facts.width, facts.height).build().ok()?;
    let stride = usize::try_from(*info.stride().first()?).ok()?;
    let mut buffer = gst::Buffer::with_size(info.size()).ok()?;
    let mut map = buffer.get_mut()?.map_writable().ok()?;
    let rows = map.chunks_exact_mut(stride).zip(picture.data.chunks_exact(facts.step));
    for (to, from) in rows {
        to.get_mut(..facts.row)?.copy_from_slice(from.get(..facts.row)?);
    }
    drop(map);
    Some(buffer)
}

/// When a picture was taken, by its stamp. None: the stamp cannot be right, by the clock of this machine.
fn captured(stamp_ns: u64, arrived_wall_ns: u64, arrived: MonoNs) -> Option<MonoNs> {
    let age_ns = arrived_wall_ns.checked_sub(stamp_ns).filter(|age| *age <= STAMP_AGE_NS_MAX)?;
    arrived.0.checked_sub(age_ns).map(MonoNs)
}

/// The beginning of a pipeline for pictures of one form: what gives raw video.
pub(super) fn source_text(config: &CameraConfig, form: Form) -> String {
    let CameraConfig { width, height, fps, .. } = config;
    let size = format!("width={width},height={height},framerate={fps}/1");
    let (caps, decoder) = match form {
        // Each buffer is one whole picture.
        Form::Jpeg => (format!("image/jpeg,parsed=true,{size}"), " ! jpegdec"),
        Form::Png => (format!("image/png,{size}"), " ! pngdec"),
        Form::Raw(format) => (format!("video/x-raw,format={},{size}", format.to_str()), ""),
    };
    format!(
        "appsrc name={ENTRY} is-live=true format=time block=false max-buffers=1 max-bytes=0 max-time=0 \
         leaky-type=downstream caps=\"{caps}\"{decoder}"
    )
}

/// What a topic of this type is expected to carry, to see whether its pipeline can be built.
pub(super) const fn expected_form(message: PictureType) -> Form {
    match message {
        PictureType::CompressedImage => Form::Jpeg,
        PictureType::Image => Form::Raw(gstreamer_video::VideoFormat::Rgb),
    }
}

/// The pipeline's time is the clock's, less what a picture's age may be: a picture may have been taken before its pipeline
/// was built.
pub(super) fn set_time(pipeline: &gst::Pipeline) {
    let base_ns = clock::mono_ns().0.saturating_sub(STAMP_AGE_NS_MAX);
    pipeline.set_start_time(gst::ClockTime::NONE);
    pipeline.set_base_time(gst::ClockTime::from_nseconds(base_ns));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_counts_when_it_fits_the_clock() {
        const S: u64 = 1_000_000_000;
        let arrived = MonoNs(50 * S);
        let wall = 1_700_000_000 * S;
        assert_eq!(captured(wall - S / 10, wall, arrived), Some(MonoNs(50 * S - S / 10)));
        assert_eq!(captured(wall, wall, arrived), Some(arrived));
        assert_eq!(captured(wall + 1, wall, arrived), None, "from the future");
        assert_eq!(captured(wall - 3 * S, wall, arrived), None, "too old");
        assert_eq!(captured(0, wall, arrived), None, "no stamp");
        assert_eq!(captured(wall - S, wall, MonoNs(S / 2)), None, "before the machine's start");
    }
}
