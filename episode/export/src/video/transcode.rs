//! Decodes a camera's access units and encodes the pictures that a dataset shows.

use super::h264;
use super::mp4::{Mp4Writer, Track};
use anyhow::Context;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use gstreamer_video::{VideoFrameExt, VideoFrameRef, VideoInfo};
use std::path::Path;

/// A keyframe at every second frame: training reads frames in random order, and decodes from the keyframe before.
pub const KEYFRAME_EVERY: u32 = 2;
/// Constant quality of x264 (lower is better).
pub const QUALITY: u32 = 23;
const DECODER_SOURCE: &str = "appsrc name=src format=time \
    caps=video/x-h264,stream-format=byte-stream,alignment=au";
const DECODER: &str = "! h264parse ! avdec_h264 max-threads=2 ! videoconvert ! video/x-raw,format=I420 \
    ! appsink name=sink sync=false max-buffers=4";
const POLL: gst::ClockTime = gst::ClockTime::from_mseconds(200);

/// What to encode.
pub struct Job<'a> {
    /// The MP4 file.
    pub path: &'a Path,
    /// Frames a second.
    pub fps: u32,
    /// For each frame of the dataset the number of the access unit that it shows, never decreasing.
    pub shown: &'a [usize],
}

/// A decoded picture, for statistics.
pub struct Picture<'a> {
    /// The frame of the dataset that shows it.
    pub frame: usize,
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Luma and two chroma planes, each with its stride.
    pub planes: [(&'a [u8], usize); 3],
}

struct Pipeline(gst::Pipeline);

impl Pipeline {
    fn launch(description: &str) -> anyhow::Result<Self> {
        let pipeline = gst::parse::launch(description)?
            .downcast::<gst::Pipeline>()
            .map_err(|_element| anyhow::anyhow!("not a pipeline"))?;
        Ok(Self(pipeline))
    }

    fn element<T: IsA<gst::Element>>(&self, name: &str) -> anyhow::Result<T> {
        let element = self.0.by_name(name).context("the pipeline lacks an element")?;
        element.downcast().map_err(|_element| anyhow::anyhow!("{name} is of another type"))
    }

    fn start(&self) -> anyhow::Result<()> {
        self.0.set_state(gst::State::Playing).map(|_change| ()).context("a pipeline can't start")
    }

    fn check(&self) -> anyhow::Result<()> {
        let Some(bus) = self.0.bus() else { return Ok(()) };
        match bus.pop_filtered(&[gst::MessageType::Error]) {
            Some(message) => match message.view() {
                gst::MessageView::Error(error) => anyhow::bail!("video: {}", error.error()),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// The next sample; `None` at the end of the stream.
    fn pull(&self, sink: &AppSink) -> anyhow::Result<Option<gst::Sample>> {
        loop {
            if let Some(sample) = sink.try_pull_sample(POLL) {
                return Ok(Some(sample));
            }
            self.check()?;
            if sink.is_eos() {
                return Ok(None);
            }
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // Stopping a pipeline that failed can fail as well; there is nothing more to do about it.
        self.0.set_state(gst::State::Null).ok();
    }
}

/// Decodes `units` (access units with their numbers, the first one a keyframe), shows each picture that the job
/// asks for to `picture`, and writes the video. Returns width and height.
pub fn transcode(
    job: &Job<'_>,
    units: impl Iterator<Item = anyhow::Result<(usize, Vec<u8>)>> + Send,
    picture: impl FnMut(Picture<'_>),
) -> anyhow::Result<(u16, u16)> {
    let decoder =
        Pipeline::launch(&format!("{DECODER_SOURCE} block=true max-bytes=4000000 {DECODER}"))?;
    let encoder = Pipeline::launch(&format!(
        "appsrc name=src format=time block=true max-bytes=8000000 \
         ! x264enc name=enc pass=quant quantizer={QUALITY} speed-preset=veryfast bframes=0 \
           b-adapt=false key-int-max={KEYFRAME_EVERY} rc-lookahead=0 sync-lookahead=0 aud=false \
           option-string=scenecut=0:open-gop=0 \
         ! video/x-h264,profile=main,stream-format=byte-stream,alignment=au \
         ! appsink name=sink sync=false max-buffers=8"
    ))?;
    std::thread::scope(|scope| {
        let (source, sink) = (decoder.element("src")?, encoder.element("sink")?);
        let (shown_sink, shown_source) = (decoder.element("sink")?, encoder.element("src")?);
        decoder.start()?;
        encoder.start()?;
        let wanted = job.shown.last().copied();
        let feeder = scope.spawn(move || feed(&source, units, wanted));
        let encoder = &encoder;
        let writer = scope.spawn(move || {
            let wrote = write(job, encoder, &sink);
            if wrote.is_err() {
                // Nobody takes frames any more: let whoever gives pictures know.
                encoder.0.set_state(gst::State::Null).ok();
            }
            wrote
        });
        let chosen = choose(job, &decoder, &shown_sink, &shown_source, picture);
        // Whatever failed, both threads must come to an end: one by a flow error, one by end of stream.
        if chosen.is_err() {
            decoder.0.set_state(gst::State::Null).ok();
        }
        shown_source.end_of_stream().ok();
        let fed = feeder.join().map_err(|_panic| anyhow::anyhow!("feeding the decoder failed"))?;
        let wrote = writer.join().map_err(|_panic| anyhow::anyhow!("writing the video failed"))?;
        fed?;
        let (width, height) = chosen?;
        wrote?;
        Ok((width, height))
    })
}

/// What a stream says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Width and height.
    pub size: (u16, u16),
    /// Frames a second, if it says so in whole numbers.
    pub fps: Option<u32>,
}

/// Decodes keyframes, each with its number, and shows them to `picture`.
pub fn decode(
    keyframes: Vec<(usize, Vec<u8>)>,
    mut picture: impl FnMut(Picture<'_>),
) -> anyhow::Result<Seen> {
    // The source takes all of them at once, so nothing has to be fed while pictures are taken out.
    let decoder = Pipeline::launch(&format!("{DECODER_SOURCE} max-bytes=0 {DECODER}"))?;
    let (source, sink) = (decoder.element("src")?, decoder.element::<AppSink>("sink")?);
    decoder.start()?;
    let count = keyframes.len();
    feed(&source, keyframes.into_iter().map(Ok), Some(usize::MAX))?;
    let (mut seen, mut shown) = (None, 0);
    while let Some(sample) = decoder.pull(&sink)? {
        let buffer = sample.buffer().context("a picture without pixels")?;
        let info = VideoInfo::from_caps(sample.caps().context("a picture without a form")?)?;
        show(shown, buffer, &info, &mut picture)?;
        shown += 1;
        let rate = info.fps();
        let fps = u32::try_from(rate.numer()).ok().filter(|fps| *fps > 0 && rate.denom() == 1);
        let size = (u16::try_from(info.width())?, u16::try_from(info.height())?);
        seen.get_or_insert(Seen { size, fps });
    }
    anyhow::ensure!(shown == count, "only {shown} of {count} keyframes can be decoded");
    seen.context("no picture")
}

/// Gives the access units up to `wanted` to the decoder.
fn feed(
    source: &AppSrc,
    units: impl Iterator<Item = anyhow::Result<(usize, Vec<u8>)>>,
    wanted: Option<usize>,
) -> anyhow::Result<()> {
    for unit in units {
        let (number, data) = match unit {
            Ok(unit) => unit,
            Err(error) => {
                source.end_of_stream().ok();
                return Err(error);
            }
        };
        if wanted.is_none_or(|wanted| number > wanted) {
            break;
        }
        let mut buffer = gst::Buffer::from_mut_slice(data);
        if let Some(buffer) = buffer.get_mut() {
            let time = gst::ClockTime::from_mseconds(u64::try_from(number)?);
            buffer.set_pts(time);
            buffer.set_dts(time);
        }
        // A flow error means that the pipeline stopped; its own message says why.
        if source.push_buffer(buffer).is_err() {
            return Ok(());
        }
    }
    source.end_of_stream().ok();
    Ok(())
}

/// Passes each decoded picture on as often as the dataset shows it.
fn choose(
    job: &Job<'_>,
    decoder: &Pipeline,
    sink: &AppSink,
    encoder: &AppSrc,
    mut picture: impl FnMut(Picture<'_>),
) -> anyhow::Result<(u16, u16)> {
    let (mut size, mut frame) = (None, 0);
    while let Some(sample) = decoder.pull(sink)? {
        let buffer = sample.buffer().context("a picture without pixels")?;
        let info = VideoInfo::from_caps(sample.caps().context("a picture without a form")?)?;
        let number = usize::try_from(buffer.pts().context("a picture without a time")?.mseconds())?;
        let this = (u16::try_from(info.width())?, u16::try_from(info.height())?);
        if *size.get_or_insert(this) != this {
            anyhow::bail!("the size of the pictures changes within the episode");
        }
        while let Some(wanted) = job.shown.get(frame) {
            anyhow::ensure!(*wanted >= number, "picture {wanted} can't be decoded");
            if *wanted > number {
                break;
            }
            if frame == 0 {
                let rate = gst::Fraction::new(i32::try_from(job.fps)?, 1);
                let mut caps = sample.caps_owned().context("a picture without a form")?;
                caps.make_mut().set("framerate", rate);
                encoder.set_caps(Some(&caps));
            }
            show(frame, buffer, &info, &mut picture)?;
            let mut copy = buffer.copy();
            if let Some(copy) = copy.get_mut() {
                let at = |frame: usize| -> anyhow::Result<gst::ClockTime> {
                    let ns = u64::try_from(frame)? * 1_000_000_000 / u64::from(job.fps);
                    Ok(gst::ClockTime::from_nseconds(ns))
                };
                copy.set_pts(at(frame)?);
                copy.set_dts(gst::ClockTime::NONE);
                copy.set_duration(at(frame + 1)?.saturating_sub(at(frame)?));
            }
            encoder.push_buffer(copy).map_err(|error| anyhow::anyhow!("the encoder: {error}"))?;
            frame += 1;
        }
    }
    anyhow::ensure!(frame == job.shown.len(), "only {frame} of {} pictures", job.shown.len());
    size.context("no picture")
}

fn show(
    frame: usize,
    buffer: &gst::BufferRef,
    info: &VideoInfo,
    picture: &mut impl FnMut(Picture<'_>),
) -> anyhow::Result<()> {
    let video = VideoFrameRef::from_buffer_ref_readable(buffer, info)?;
    let plane = |index: u32| -> anyhow::Result<(&[u8], usize)> {
        let stride = video.plane_stride().get(usize::try_from(index)?).copied().unwrap_or(0);
        Ok((video.plane_data(index)?, usize::try_from(stride)?))
    };
    picture(Picture {
        frame,
        width: usize::try_from(info.width())?,
        height: usize::try_from(info.height())?,
        planes: [plane(0)?, plane(1)?, plane(2)?],
    });
    Ok(())
}

/// Writes what the encoder makes.
fn write(job: &Job<'_>, encoder: &Pipeline, sink: &AppSink) -> anyhow::Result<()> {
    let mut mp4 = Mp4Writer::create(job.path, job.shown.len())?;
    let mut track = None;
    while let Some(sample) = encoder.pull(sink)? {
        let map = sample.buffer().context("a frame without data")?.map_readable()?;
        if track.is_none() {
            let caps = sample.caps().and_then(|caps| caps.structure(0)).context("no caps")?;
            let size = |name| -> anyhow::Result<u16> { Ok(u16::try_from(caps.get::<i32>(name)?)?) };
            let (sps, pps) = h264::parameter_sets(&map).context("no parameter sets")?;
            track = Some(Track {
                width: size("width")?,
                height: size("height")?,
                fps: job.fps,
                decoder_configuration: h264::decoder_configuration(&sps, &pps)
                    .context("the parameter sets can't be read")?,
            });
        }
        mp4.frame(&h264::to_sample(&map), h264::is_keyframe(&map))?;
    }
    let (made, wanted) = (mp4.frames(), job.shown.len());
    anyhow::ensure!(made == wanted, "the encoder made {made} of {wanted} frames");
    mp4.finish(&track.context("the encoder made nothing")?)
}
