//! Puts a camera's access units into an MP4 as they were recorded, without decoding them.

use super::h264;
use super::mp4::{Mp4Writer, Track};
use super::transcode::{Picture, decode};
use anyhow::{Context, bail, ensure};
use std::path::Path;

/// Profile number of H.264 baseline: it has no B frames, so pictures come in the order of their capture.
const PROFILE_BASELINE: u8 = 66;
/// So many keyframes, spread over the drive, are decoded for statistics.
const SAMPLES: usize = 100;

/// What to copy.
pub struct Job<'a> {
    /// The MP4 file.
    pub path: &'a Path,
    /// Frames a second; `None`: as the stream says.
    pub fps: Option<u32>,
    /// Frames a second that were measured, for a stream that says nothing.
    pub measured_fps: u32,
    /// For each frame the number of its access unit, always increasing, the first one a keyframe.
    pub units: &'a [usize],
    /// How many of them are keyframes.
    pub keyframes: usize,
}

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Width and height.
    pub size: (u16, u16),
    /// Frames a second.
    pub fps: u32,
}

/// Copies `units` (access units with their numbers) as far as the job asks for them, and shows keyframes to
/// `picture`. Pictures between two chosen ones may be left out only where a keyframe follows.
pub fn copy(
    job: &Job<'_>,
    units: impl Iterator<Item = anyhow::Result<(usize, Vec<u8>)>>,
    picture: impl FnMut(Picture<'_>),
    mut step: impl FnMut(),
) -> anyhow::Result<Copied> {
    let mut mp4 = Mp4Writer::create(job.path, job.units.len())?;
    let mut wanted = job.units.iter().peekable();
    let (mut sets, mut samples, mut keyframes) = (None, Vec::new(), 0);
    let sample_every = job.keyframes.div_ceil(SAMPLES).max(1);
    for unit in units {
        let (number, data) = unit?;
        let Some(next) = wanted.peek() else { break };
        if number != **next {
            continue;
        }
        wanted.next();
        let keyframe = h264::is_keyframe(&data);
        let found = h264::parameter_sets(&data);
        if found.is_some() && sets.get_or_insert_with(|| found.clone()) != &found {
            bail!(
                "the camera's encoder was set up anew during the drive (picture {number}), and one video can't \
                 hold both: leave --copy-video out"
            );
        }
        mp4.frame(&h264::to_sample(&data), keyframe)?;
        step();
        if keyframe {
            if keyframes % sample_every == 0 {
                samples.push((samples.len(), data));
            }
            keyframes += 1;
        }
    }
    ensure!(wanted.peek().is_none(), "only {} of {} pictures", mp4.frames(), job.units.len());
    let (sps, pps) = sets.flatten().context("no parameter sets")?;
    ensure!(
        sps.get(1) == Some(&PROFILE_BASELINE),
        "the camera's H.264 is not of the baseline profile, so its pictures may be reordered: leave \
         --copy-video out"
    );
    let seen = decode(samples, picture)?;
    let fps = job.fps.or(seen.fps).unwrap_or(job.measured_fps);
    let (width, height) = seen.size;
    mp4.finish(&Track {
        width,
        height,
        fps,
        decoder_configuration: h264::decoder_configuration(&sps, &pps)
            .context("the parameter sets can't be read")?,
    })?;
    Ok(Copied { size: seen.size, fps })
}
