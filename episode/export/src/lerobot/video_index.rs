//! When each picture of a camera was captured, and which can be decoded.

use crate::video::h264;
use anyhow::{Context, ensure};
use episode::read::Reader;
use ros_msgs::foxglove_msgs::CompressedVideo;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A capture time further than this from the time of recording is no capture time.
const CAPTURE_TO_RECORD_NS_MAX: u64 = 10_000_000_000;

/// A camera's recording.
#[derive(Debug)]
pub struct VideoIndex {
    path: PathBuf,
    pictures: Vec<Picture>,
}

/// A picture that can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// Its number among all access units of the recording.
    pub unit: usize,
    /// Capture, robot's UTC.
    pub captured_ns: u64,
    /// Whether decoding can begin here.
    pub keyframe: bool,
}

impl VideoIndex {
    /// Reads a camera's recording. Pictures before the first keyframe, and between a lost one and the next
    /// keyframe, can't be decoded rightly and are left out.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let mut reader = Reader::open(path)?;
        let (mut pictures, mut unit, mut intact) = (Vec::new(), 0, false);
        let mut expected = 0;
        while let Some(message) = reader.next()? {
            let (sequence, logged_ns) = (message.sequence, message.log_time_ns);
            let video: CompressedVideo = message.decode()?;
            ensure!(video.format == "h264", "{}: {} is not h264", path.display(), video.format);
            let keyframe = h264::is_keyframe(&video.data);
            intact = keyframe || (intact && sequence == expected);
            expected = sequence.wrapping_add(1);
            if intact {
                let captured_ns = video
                    .timestamp
                    .as_ns()
                    .filter(|captured| logged_ns.abs_diff(*captured) < CAPTURE_TO_RECORD_NS_MAX)
                    .unwrap_or(logged_ns);
                pictures.push(Picture { unit, captured_ns, keyframe });
            }
            unit += 1;
        }
        Ok(Self { path: path.to_owned(), pictures })
    }

    /// The pictures that can be decoded, in the order of the recording.
    pub fn pictures(&self) -> &[Picture] {
        &self.pictures
    }

    /// The newest picture that had been captured at `at_ns`: its index in [`VideoIndex::pictures`].
    pub fn at(&self, at_ns: u64) -> Option<usize> {
        self.pictures.partition_point(|picture| picture.captured_ns <= at_ns).checked_sub(1)
    }

    /// The access units from the keyframe on that picture `first` needs, with their numbers.
    pub fn units(&self, first: usize) -> anyhow::Result<Units> {
        let until = self.pictures.get(..=first).context("no such picture")?;
        let from = until.iter().rfind(|picture| picture.keyframe).context("no keyframe")?.unit;
        Ok(Units { reader: Reader::open(&self.path)?, next: 0, from })
    }
}

/// Frames a second, by the middle one of all intervals: a gap does not change it.
pub fn measured_fps(pictures: &[Picture]) -> Option<u32> {
    let interval =
        |(one, next): (&Picture, &Picture)| next.captured_ns.saturating_sub(one.captured_ns);
    let mut intervals: Vec<u64> =
        pictures.iter().zip(pictures.iter().skip(1)).map(interval).collect();
    intervals.sort_unstable();
    let middle = intervals.get(intervals.len() / 2).copied().filter(|ns| *ns > 0)?;
    u32::try_from((1_000_000_000 + middle / 2) / middle).ok().filter(|fps| *fps > 0)
}

/// Access units with their numbers.
pub struct Units {
    reader: Reader<File>,
    next: usize,
    from: usize,
}

impl Iterator for Units {
    type Item = anyhow::Result<(usize, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let message = match self.reader.next() {
                Ok(Some(message)) => message,
                Ok(None) => return None,
                Err(error) => return Some(Err(error.into())),
            };
            let number = self.next;
            self.next += 1;
            if number >= self.from {
                let video = message.decode::<CompressedVideo>();
                return Some(video.map(|video| (number, video.data)).map_err(Into::into));
            }
        }
    }
}
