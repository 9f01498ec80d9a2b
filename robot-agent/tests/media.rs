//! Cameras with real encoders on GStreamer's test picture.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use robot_agent::clock;
use robot_agent::config::{CameraRecording, Separate};
use robot_agent::media::recording::{Recording, Told, What};
use robot_agent::media::{Camera, CameraConfig, Codec, EncodedFrame, MediaError};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(20);

fn config(source: &str) -> CameraConfig {
    CameraConfig {
        camera: 1,
        name: "test".to_owned(),
        source: source.into(),
        width: 320,
        height: 240,
        fps: 30,
        bitrate_kbps: 500,
        encoder: None,
        recording: Default::default(),
    }
}

fn test_picture() -> CameraConfig {
    config(
        "videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=30/1",
    )
}

fn start(config: CameraConfig) -> (Camera, Receiver<EncodedFrame>) {
    let (frames_in, frames) = channel();
    let camera = Camera::start(config, move |frame| _ = frames_in.send(frame)).unwrap();
    (camera, frames)
}

/// The types of an access unit's NAL units, in order.
fn nal_types(annex_b: &[u8]) -> Vec<u8> {
    let starts = annex_b.windows(4).enumerate().filter(|(_at, window)| window[..3] == [0, 0, 1]);
    starts.map(|(_at, window)| window[3] & 0x1f).collect()
}

fn assert_decodable_from(frame: &EncodedFrame) {
    let types = nal_types(&frame.data);
    let at = |wanted| types.iter().position(|nal| *nal == wanted);
    let (sps, pps, idr) = (at(7), at(8), at(5));
    assert!(sps.is_some() && sps < pps && pps < idr, "{types:?}");
}

fn check_stream(config: CameraConfig) {
    let (camera, frames) = start(config);
    let first = frames.recv_timeout(WITHIN).unwrap();
    assert!(first.keyframe);
    assert_decodable_from(&first);
    assert_eq!((first.camera, first.width, first.height), (1, 320, 240));
    let mut last = first;
    for _frame in 0..20 {
        let frame = frames.recv_timeout(WITHIN).unwrap();
        let now = clock::mono_ns();
        assert!(frame.capture > last.capture, "capture times grow");
        assert!(frame.capture <= now, "a capture time is never in the future");
        assert!(now.since(frame.capture) < 2_000_000_000, "capture times are near now");
        assert!(!frame.keyframe || nal_types(&frame.data).contains(&5));
        last = frame;
    }
    camera.force_keyframe();
    let forced = std::iter::from_fn(|| frames.recv_timeout(WITHIN).ok())
        .take(30)
        .find(|frame| frame.keyframe)
        .expect("a keyframe soon after it was asked for");
    assert_decodable_from(&forced);
    assert!(camera.healthy());
    camera.stop();
}

#[test]
fn a_stream_is_decodable_from_each_keyframe_and_stamped_with_its_capture() {
    check_stream(test_picture());
}

#[test]
fn an_encoder_of_the_configuration_gives_the_same_stream() {
    let encoder = "openh264enc name=enc usage-type=camera complexity=low gop-size=60";
    check_stream(CameraConfig { encoder: Some(encoder.to_owned()), ..test_picture() });
}

#[test]
fn without_a_request_a_keyframe_comes_every_two_seconds_and_never_a_b_frame() {
    let (camera, frames) = start(test_picture());
    let keyframes: Vec<usize> = std::iter::from_fn(|| frames.recv_timeout(WITHIN).ok())
        .take(62)
        .enumerate()
        .filter(|(_index, frame)| frame.keyframe)
        .map(|(index, _frame)| index)
        .collect();
    assert_eq!(keyframes, [0, 60]);
    camera.stop();
}

#[test]
fn a_source_without_timestamps_is_stamped_on_arrival() {
    // Not live: its own timestamps run ahead of the clock.
    let (camera, frames) = start(config(
        "videotestsrc ! video/x-raw,format=I420,width=320,height=240,framerate=1/1 ! identity sleep-time=20000",
    ));
    for _frame in 0..5 {
        let frame = frames.recv_timeout(WITHIN).unwrap();
        assert!(clock::mono_ns().since(frame.capture) < 1_000_000_000);
        assert!(frame.capture <= clock::mono_ns());
    }
    camera.stop();
}

#[test]
fn a_still_is_a_jpeg_of_the_picture_with_its_levels() {
    let (camera, frames) = start(config(
        "videotestsrc is-live=true pattern=red ! video/x-raw,format=I420,width=320,height=240,framerate=30/1",
    ));
    frames.recv_timeout(WITHIN).unwrap();
    let still = camera.jpeg().expect("a fresh frame");
    assert!(clock::mono_ns().since(still.capture) < 1_000_000_000);
    assert_eq!((still.width, still.height), (320, 240));
    let (width, height, [red, green, blue]) = decode(&still.jpeg);
    assert_eq!((width, height), (320, 240));
    assert!(red > 245 && green < 12 && blue < 12, "red is {red},{green},{blue}");
    let (seq, capture) = camera.wait_newer(still.seq, WITHIN).expect("a frame after it");
    assert!(seq > still.seq && capture > still.capture);
    let next = camera.jpeg().expect("a fresh frame");
    assert!(next.seq >= seq, "each frame has a number of its own");
    assert!(camera.wait_newer(u64::MAX, Duration::from_millis(20)).is_none());
    camera.stop();
}

/// Size and first pixel of a JPEG, by GStreamer's own decoder.
fn decode(jpeg: &[u8]) -> (i32, i32, [u8; 3]) {
    use gstreamer::prelude::*;
    let pipeline = gstreamer::parse::launch(
        "appsrc name=src ! jpegdec ! videoconvert ! video/x-raw,format=RGB ! appsink name=sink sync=false",
    )
    .unwrap()
    .downcast::<gstreamer::Pipeline>()
    .unwrap();
    let named = |name| pipeline.by_name(name).unwrap();
    let source = named("src").downcast::<gstreamer_app::AppSrc>().unwrap();
    let sink = named("sink").downcast::<gstreamer_app::AppSink>().unwrap();
    pipeline.set_state(gstreamer::State::Playing).unwrap();
    source.push_buffer(gstreamer::Buffer::from_slice(jpeg.to_vec())).unwrap();
    source.end_of_stream().unwrap();
    let sample = sink.pull_sample().unwrap();
    let caps = sample.caps().unwrap().structure(0).unwrap().to_owned();
    let map = sample.buffer().unwrap().map_readable().unwrap();
    let pixel = [map[0], map[1], map[2]];
    drop(map);
    pipeline.set_state(gstreamer::State::Null).unwrap();
    (caps.get("width").unwrap(), caps.get("height").unwrap(), pixel)
}

#[test]
fn a_camera_that_is_not_there_is_waited_for_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("camera.sock");
    let source = format!(
        "shmsrc socket-path={} is-live=true do-timestamp=true ! video/x-raw,format=I420,width=320,height=240,framerate=30/1",
        socket.display()
    );
    let (camera, frames) = start(config(&source));
    let trouble = until(|| camera.trouble());
    assert!(trouble.contains("test"), "{trouble}");
    assert!(!camera.healthy());
    assert!(camera.jpeg().is_none());

    // The camera appears, and with it the frames.
    use gstreamer::prelude::*;
    let other_side = gstreamer::parse::launch(&format!(
        "videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=30/1 ! shmsink socket-path={} wait-for-connection=false shm-size=4000000",
        socket.display()
    ))
    .unwrap();
    other_side.set_state(gstreamer::State::Playing).unwrap();
    let first = frames.recv_timeout(WITHIN).unwrap();
    assert!(first.keyframe);
    assert!(camera.healthy());

    // It goes away: another camera's frames and this caller are not held up, and the trouble is said.
    other_side.set_state(gstreamer::State::Null).unwrap();
    until(|| camera.trouble());
    camera.stop();
}

/// Waits until there is something.
fn until<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let started = std::time::Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(started.elapsed() < WITHIN, "waited in vain");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

#[test]
fn what_only_a_person_can_mend_fails_at_once() {
    let refusal = |config| Camera::start(config, |_frame| {}).unwrap_err();
    let error = refusal(config("nosuchcamerasrc"));
    assert!(matches!(error, MediaError::MissingElement { .. }));
    let encoder = Some("nosuchenc name=enc".to_owned());
    let error = refusal(CameraConfig { encoder, ..test_picture() });
    assert!(error.to_string().contains("no element nosuchenc"), "{error}");
}

/// A camera that sends through shared memory, which a test can pause, take away and bring back.
struct OtherSide(gstreamer::Element);

impl OtherSide {
    fn new(socket: &std::path::Path) -> (Self, String) {
        let caps = "video/x-raw,format=I420,width=320,height=240,framerate=30/1";
        let text = format!(
            "videotestsrc is-live=true ! {caps} ! shmsink socket-path={} wait-for-connection=false shm-size=4000000",
            socket.display()
        );
        let source = format!(
            "shmsrc socket-path={} is-live=true do-timestamp=true ! {caps}",
            socket.display()
        );
        gstreamer::init().unwrap();
        (Self(gstreamer::parse::launch(&text).unwrap()), source)
    }

    fn set(&self, state: gstreamer::State) {
        use gstreamer::prelude::*;
        self.0.set_state(state).unwrap();
    }
}

/// The longest time between two frames of a camera that runs beside the ones that fail.
fn gap_max_ms(frames: &Receiver<EncodedFrame>) -> u64 {
    let captures: Vec<u64> = frames.try_iter().map(|frame| frame.capture.0 / 1_000_000).collect();
    captures.windows(2).map(|two| two[1] - two[0]).max().unwrap_or(u64::MAX)
}

#[test]
fn a_camera_that_goes_silent_or_disappears_comes_back_and_disturbs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("camera.sock");
    let (other_side, source) = OtherSide::new(&socket);
    other_side.set(gstreamer::State::Playing);
    let (well, well_frames) = start(test_picture());
    let (camera, frames) = start(config(&source));
    frames.recv_timeout(WITHIN).unwrap();
    well_frames.recv_timeout(WITHIN).unwrap();

    other_side.set(gstreamer::State::Paused);
    let trouble = until(|| camera.trouble());
    assert!(trouble.contains("no frame"), "{trouble}");
    assert!(!camera.healthy() && well.healthy());

    other_side.set(gstreamer::State::Null);
    until(|| camera.trouble().filter(|trouble| !trouble.contains("no frame for")));
    let starts = camera.stats().starts;
    other_side.set(gstreamer::State::Playing);
    while frames.try_recv().is_ok() {}
    assert!(frames.recv_timeout(WITHIN).unwrap().keyframe, "decodable from the first on");
    until(|| camera.healthy().then_some(()));
    until(|| camera.trouble().is_none().then_some(()));
    assert!(camera.stats().starts > starts);
    let stats = well.stats();
    assert_eq!((stats.starts, stats.left_behind), (1, 0));
    let gap_ms = gap_max_ms(&well_frames);
    assert!(gap_ms < 1_000, "the other camera stood still for {gap_ms} ms");
    camera.stop();
    well.stop();
}

#[test]
fn a_camera_that_hangs_is_left_behind_and_disturbs_no_other() {
    // `identity` sleeps within the source's thread, as a driver that does not answer holds it: the pipeline can
    // neither play on nor be closed.
    let hanging = "videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=30/1 \
                   ! identity sleep-time=60000000";
    let (well, well_frames) = start(test_picture());
    well_frames.recv_timeout(WITHIN).unwrap();
    let (camera, _frames) = start(config(hanging));
    let trouble = until(|| camera.trouble().filter(|trouble| trouble.contains("hangs")));
    assert!(trouble.contains("started anew"), "{trouble}");
    until(|| (camera.stats().starts > 1).then_some(()));
    assert!(camera.stats().left_behind >= 1);
    let begun = std::time::Instant::now();
    camera.stop();
    assert!(begun.elapsed() < Duration::from_secs(5), "stopping does not wait for it");
    assert!(well.healthy());
    let gap_ms = gap_max_ms(&well_frames);
    assert!(gap_ms < 1_000, "the other camera stood still for {gap_ms} ms");
    well.stop();
}

#[test]
fn a_source_that_ends_is_started_again() {
    let (camera, frames) = start(config(
        "videotestsrc is-live=true num-buffers=5 ! video/x-raw,format=I420,width=320,height=240,framerate=30/1",
    ));
    let count = std::iter::from_fn(|| frames.recv_timeout(WITHIN).ok()).take(12).count();
    assert_eq!(count, 12, "frames of several runs");
    assert!(camera.stats().starts >= 3);
    camera.stop();
}

#[test]
fn the_chosen_encoder_rate_and_time_are_told() {
    let (camera, frames) = start(test_picture());
    for _frame in 0..20 {
        frames.recv_timeout(WITHIN).unwrap();
    }
    let stats = camera.stats();
    let known = robot_agent::media::encoder::names();
    assert!(stats.encoder.as_deref().is_some_and(|name| known.contains(&name)), "{stats:?}");
    assert!(stats.fps > 10.0 && stats.encode_ms > 0.0 && stats.encode_ms < 500.0, "{stats:?}");
    camera.stop();
}

/// A recorder that keeps what it gets.
#[derive(Default)]
struct Kept {
    episode: AtomicU64,
    frames: Mutex<Vec<EncodedFrame>>,
    told: Mutex<Vec<What>>,
}

impl Kept {
    fn frames(&self) -> Vec<EncodedFrame> {
        self.frames.lock().unwrap().clone()
    }

    fn told(&self) -> Vec<What> {
        self.told.lock().unwrap().clone()
    }
}

impl Recording for Kept {
    fn episode(&self) -> Option<u64> {
        Some(self.episode.load(Ordering::Acquire)).filter(|number| *number > 0)
    }

    fn frame(&self, frame: EncodedFrame) {
        self.frames.lock().unwrap().push(frame);
    }

    fn tell(&self, told: Told) {
        assert_eq!(told.camera, "test");
        self.told.lock().unwrap().push(told.what);
    }
}

fn start_recorded(config: CameraConfig) -> (Camera, Receiver<EncodedFrame>, Arc<Kept>) {
    let kept = Arc::new(Kept::default());
    let (frames_in, frames) = channel();
    let recording: Arc<dyn Recording> = Arc::<Kept>::clone(&kept);
    let live = move |frame| _ = frames_in.send(frame);
    let camera = Camera::start_recorded(config, live, recording, Arc::default()).unwrap();
    (camera, frames, kept)
}

/// A picture that takes many bits, so that a bitrate is a bound.
fn noise(separate: Separate) -> CameraConfig {
    CameraConfig {
        recording: CameraRecording { separate, bitrate_kbps: Some(2_000), keyframe_every_s: 1 },
        bitrate_kbps: 1_500,
        ..config(
            "videotestsrc is-live=true pattern=snow ! video/x-raw,format=I420,width=320,height=240,framerate=30/1",
        )
    }
}

fn kbps(frames: &[EncodedFrame]) -> f64 {
    let (first, last) = (frames.first().unwrap(), frames.last().unwrap());
    let bits: usize = frames.iter().map(|frame| frame.data.len() * 8).sum();
    bits as f64 / (last.capture.0 - first.capture.0) as f64 * 1e6
}

/// Frames of the next `seconds`, of the live video and of the recording.
fn both(
    frames: &Receiver<EncodedFrame>,
    kept: &Kept,
    seconds: u64,
) -> (Vec<EncodedFrame>, Vec<EncodedFrame>) {
    while frames.try_recv().is_ok() {}
    let before = kept.frames().len();
    std::thread::sleep(Duration::from_secs(seconds));
    (frames.try_iter().collect(), kept.frames().split_off(before))
}

#[test]
fn an_encode_of_its_own_keeps_its_quality_whatever_the_link_carries() {
    let (camera, frames, kept) = start_recorded(noise(Separate::Always));
    frames.recv_timeout(WITHIN).unwrap();
    assert_eq!(kept.frames(), [], "nothing is encoded for nobody");
    kept.episode.store(1, Ordering::Release);
    until(|| (!kept.frames().is_empty()).then_some(()));
    let (live_rich, recorded_rich) = both(&frames, &kept, 3);
    camera.set_bitrate_kbps(150);
    std::thread::sleep(Duration::from_secs(1));
    let (live_poor, recorded_poor) = both(&frames, &kept, 3);
    let (rich, poor) = (kbps(&live_rich), kbps(&live_poor));
    assert!(poor < rich / 2.0, "the live video follows the link: {rich} then {poor} kbit/s");
    let (before, after) = (kbps(&recorded_rich), kbps(&recorded_poor));
    assert!((0.8..1.25).contains(&(after / before)), "recorded at {before} then {after} kbit/s");
    assert!(matches!(kept.told()[..], [What::Separate { bitrate_kbps: 2_000, .. }]));

    let recorded = kept.frames();
    assert_decodable_from(&recorded[0]);
    assert!(recorded.windows(2).all(|two| two[0].capture < two[1].capture));
    // The same moments as the live video's, to the nanosecond.
    let live: BTreeSet<u64> = live_rich.iter().map(|frame| frame.capture.0).collect();
    let (first, last) = (live.first().unwrap(), live.last().unwrap());
    let inside: Vec<u64> = recorded
        .iter()
        .map(|frame| frame.capture.0)
        .filter(|capture| (first..=last).contains(&capture))
        .collect();
    assert!(inside.len() > 60, "{} frames", inside.len());
    let strangers = inside.iter().filter(|capture| !live.contains(capture)).count();
    assert!(strangers * 20 < inside.len(), "{strangers} of {} have another stamp", inside.len());
    let keyframes: Vec<u64> = recorded
        .iter()
        .filter(|frame| frame.keyframe)
        .map(|frame| frame.capture.0 / 1_000_000)
        .collect();
    assert!(keyframes.len() >= 6, "{keyframes:?}");
    assert!(
        keyframes.windows(2).all(|two| (900..1_500).contains(&(two[1] - two[0]))),
        "{keyframes:?}"
    );

    kept.episode.store(2, Ordering::Release);
    let before = kept.frames().len();
    until(|| (kept.frames().len() > before + 5).then_some(()));
    let next = kept.frames().split_off(before);
    assert!(next.iter().any(|frame| frame.keyframe), "the next episode begins decodable");
    kept.episode.store(0, Ordering::Release);
    std::thread::sleep(Duration::from_millis(300));
    let ended = kept.frames().len();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(kept.frames().len(), ended, "and ends");
    camera.stop();
}

#[test]
fn a_shared_encode_records_what_is_sent_and_says_so() {
    let (camera, frames, kept) = start_recorded(noise(Separate::Never));
    frames.recv_timeout(WITHIN).unwrap();
    kept.episode.store(1, Ordering::Release);
    camera.force_keyframe();
    until(|| (kept.frames().len() > 20).then_some(()));
    camera.stop();
    let (live, recorded): (Vec<_>, Vec<_>) = (frames.try_iter().collect(), kept.frames());
    assert!(recorded[0].keyframe);
    assert!(recorded.iter().all(|frame| live.contains(frame)), "the very frames");
    let told = kept.told();
    assert!(matches!(&told[..], [What::Shared { why }] if why.contains("never")), "{told:?}");
}

#[test]
fn an_encode_that_does_not_keep_up_gives_its_place_to_the_live_one() {
    // Three frames a second, of thirty: the live branch drops and goes on, the recording gives up.
    let slow =
        "identity sleep-time=300000 ! x264enc name=enc tune=zerolatency speed-preset=ultrafast";
    let encoder = Some(slow.to_owned());
    let (camera, frames, kept) =
        start_recorded(CameraConfig { encoder, ..noise(Separate::Always) });
    frames.recv_timeout(WITHIN).unwrap();
    kept.episode.store(1, Ordering::Release);
    let why = until(|| {
        kept.told().iter().find_map(|what| match what {
            What::Shared { why } => Some(why.clone()),
            _ => None,
        })
    });
    assert!(why.contains("keep up"), "{why}");
    let before = kept.frames().len();
    until(|| (kept.frames().len() > before + 3).then_some(()));
    let recorded = kept.frames();
    assert!(recorded[before].keyframe, "decodable from there");
    assert!(recorded.windows(2).all(|two| two[0].capture < two[1].capture));
    let live: Vec<EncodedFrame> = frames.try_iter().collect();
    assert!(recorded[before..].iter().take(2).all(|frame| live.contains(frame)));
    camera.stop();
}

/// The next frame that is sent in `codec`.
fn next_as(frames: &Receiver<EncodedFrame>, codec: Codec) -> EncodedFrame {
    let next = || frames.recv_timeout(WITHIN).ok();
    std::iter::from_fn(next).find(|frame| frame.codec == codec).expect("a frame in that codec")
}

/// What a decoder makes of the frames of VP8 in order: how many pictures.
fn decoded(vp8: &[EncodedFrame]) -> usize {
    use gstreamer::prelude::*;
    let text = "appsrc name=src format=time caps=video/x-vp8 ! vp8dec ! appsink name=sink sync=false max-buffers=1000";
    let pipeline =
        gstreamer::parse::launch(text).unwrap().downcast::<gstreamer::Pipeline>().unwrap();
    let named = |name| pipeline.by_name(name).unwrap();
    let source = named("src").downcast::<gstreamer_app::AppSrc>().unwrap();
    let sink = named("sink").downcast::<gstreamer_app::AppSink>().unwrap();
    pipeline.set_state(gstreamer::State::Playing).unwrap();
    for frame in vp8 {
        let mut buffer = gstreamer::Buffer::from_slice(frame.data.clone());
        let stamp = gstreamer::ClockTime::from_nseconds(frame.capture.0 - vp8[0].capture.0);
        buffer.get_mut().unwrap().set_pts(stamp);
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    let count = std::iter::from_fn(|| sink.pull_sample().ok()).count();
    pipeline.set_state(gstreamer::State::Null).unwrap();
    count
}

#[test]
fn vp8_is_sent_while_a_browser_needs_it_follows_the_link_and_the_recording_stays_h264() {
    let (camera, frames, kept) = start_recorded(noise(Separate::Never));
    next_as(&frames, Codec::H264);
    camera.encode_as(&[Codec::Vp8]);
    kept.episode.store(1, Ordering::Release);
    let first = next_as(&frames, Codec::Vp8);
    assert!(first.keyframe, "decodable from the first on");
    assert_eq!((first.camera, first.width, first.height), (1, 320, 240));
    assert!(camera.scalable(), "it is not what is recorded");
    let mut from_first = vec![first];
    from_first.extend((0..30).map(|_frame| next_as(&frames, Codec::Vp8)));
    assert_eq!(decoded(&from_first), from_first.len());

    let (rich, recorded_rich) = both(&frames, &kept, 3);
    camera.set_live(400, 15, 160, 120);
    std::thread::sleep(Duration::from_secs(1));
    let (poor, recorded_poor) = both(&frames, &kept, 3);
    let of_vp8 = |all: Vec<EncodedFrame>| {
        all.into_iter().filter(|frame| frame.codec == Codec::Vp8).collect::<Vec<_>>()
    };
    let (rich, poor) = (of_vp8(rich), of_vp8(poor));
    assert!(
        rich.len() > 60 && (36..=54).contains(&poor.len()),
        "{} then {}",
        rich.len(),
        poor.len()
    );
    assert!(kbps(&poor) < 600.0 && kbps(&rich) > 700.0, "{} then {}", kbps(&rich), kbps(&poor));
    assert!(poor.iter().all(|frame| (frame.width, frame.height) == (160, 120)));
    assert!(rich.windows(2).all(|two| two[0].capture < two[1].capture));

    // The recording does not follow: the same size, rate and bitrate, from a keyframe on.
    let recorded = kept.frames();
    assert_decodable_from(&recorded[0]);
    assert!(recorded.iter().all(|frame| frame.codec == Codec::H264 && frame.width == 320));
    let (before, after) = (kbps(&recorded_rich), kbps(&recorded_poor));
    assert!((0.8..1.25).contains(&(after / before)), "recorded at {before} then {after} kbit/s");
    assert!(recorded_poor.len() > 75, "{} frames", recorded_poor.len());
    let told = kept.told();
    assert!(
        matches!(&told[..], [What::Separate { bitrate_kbps: 1_500, why }] if why.contains("VP8")),
        "{told:?}"
    );

    // A keyframe on request, and back.
    camera.force_keyframe();
    let forced = (0..10).any(|_frame| next_as(&frames, Codec::Vp8).keyframe);
    assert!(forced, "a keyframe soon after it was asked for");
    camera.encode_as(&[Codec::H264]);
    // What is in the encoder still comes.
    let h264 = |_frame| frames.recv_timeout(WITHIN).unwrap().codec == Codec::H264;
    let again: Vec<bool> = (0..40).map(h264).collect();
    assert!(again[20..].iter().all(|h264| *h264), "VP8 has ended");
    camera.stop();
}

#[test]
fn both_codecs_are_sent_to_two_who_need_them() {
    let (camera, frames) = start(test_picture());
    next_as(&frames, Codec::H264);
    camera.encode_as(&[Codec::H264, Codec::Vp8]);
    let vp8 = next_as(&frames, Codec::Vp8);
    let h264 = next_as(&frames, Codec::H264);
    assert!(vp8.keyframe && h264.capture.0.abs_diff(vp8.capture.0) < 500_000_000);
    // With nobody to encode for, VP8 ends and the pipeline goes on.
    camera.encode_as(&[]);
    std::thread::sleep(Duration::from_millis(200));
    while frames.try_recv().is_ok() {}
    for _frame in 0..10 {
        assert_eq!(frames.recv_timeout(WITHIN).unwrap().codec, Codec::H264);
    }
    assert!(camera.stats().fps > 10.0);
    camera.stop();
}
