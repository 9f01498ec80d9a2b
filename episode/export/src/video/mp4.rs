//! An MP4 file with one H.264 track of constant frame rate and no reordering: frame k is at exactly k / fps.
//!
//! The index stands before the pictures, so that a reader over a network needs one request for it: the number of
//! frames is known at the start, so its room is left free and filled at the end.

use anyhow::Context;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

/// Ticks of one frame. The time scale is a multiple of the frame rate, so that no time is rounded.
const FRAME_TICKS: u32 = 1000;
/// `moov` without the tables that grow with the frames: measured 700 bytes, and parameter sets below 1 KiB.
const MOOV_LEN_FIXED: usize = 4096;
const MDAT_HEAD_LEN: u64 = 16;

/// What a track looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// Frames a second.
    pub fps: u32,
    /// `AVCDecoderConfigurationRecord`.
    pub decoder_configuration: Vec<u8>,
}

/// Writes one file.
pub struct Mp4Writer {
    file: BufWriter<File>,
    frames_max: usize,
    room: usize,
    data_start: u64,
    sizes: Vec<u32>,
    keyframes: Vec<u32>,
}

fn atom(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let len = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    bytes.extend_from_slice(kind);
    bytes.extend(parts.iter().copied().flatten());
    bytes
}

/// Big-endian words.
fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

impl Mp4Writer {
    /// Begins a file for at most `frames_max` frames.
    pub fn create(path: &Path, frames_max: usize) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let mut file = BufWriter::with_capacity(256 * 1024, file);
        let brands = [b"isom".as_slice(), &words(&[512]), b"isomiso2avc1mp41"];
        let head = atom(b"ftyp", &brands);
        let room = MOOV_LEN_FIXED + frames_max * 8;
        file.write_all(&head)?;
        file.write_all(&vec![0; room])?;
        let data_start = u64::try_from(head.len() + room)?;
        file.write_all(&[0; 16])?;
        Ok(Self { file, frames_max, room, data_start, sizes: Vec::new(), keyframes: Vec::new() })
    }

    /// Appends the next frame (NAL units with four-byte lengths).
    pub fn frame(&mut self, sample: &[u8], keyframe: bool) -> anyhow::Result<()> {
        anyhow::ensure!(self.sizes.len() < self.frames_max, "more frames than were announced");
        anyhow::ensure!(keyframe || !self.sizes.is_empty(), "the first frame is no keyframe");
        self.sizes.push(u32::try_from(sample.len())?);
        if keyframe {
            self.keyframes.push(u32::try_from(self.sizes.len())?);
        }
        Ok(self.file.write_all(sample)?)
    }

    /// Frames so far.
    pub fn frames(&self) -> usize {
        self.sizes.len()
    }

    /// Writes the index and ends the file.
    pub fn finish(mut self, track: &Track) -> anyhow::Result<()> {
        let data_len = self.sizes.iter().map(|size| u64::from(*size)).sum::<u64>();
        let moov = self.moov(track)?;
        let start = self.data_start - u64::try_from(self.room)?;
        let room = self.room;
        let free =
            room.checked_sub(moov.len() + 8).context("the index of the video is too long")?;
        self.file.seek(SeekFrom::Start(start))?;
        self.file.write_all(&moov)?;
        self.file.write_all(&atom(b"free", &[&vec![0; free]]))?;
        self.file.write_all(&[words(&[1]).as_slice(), b"mdat"].concat())?;
        self.file.write_all(&(MDAT_HEAD_LEN + data_len).to_be_bytes())?;
        self.file.flush()?;
        Ok(self.file.get_ref().sync_all()?)
    }

    fn moov(&self, track: &Track) -> anyhow::Result<Vec<u8>> {
        let frames = u32::try_from(self.sizes.len())?;
        let timescale = track.fps.checked_mul(FRAME_TICKS).context("frame rate too high")?;
        let duration = frames.checked_mul(FRAME_TICKS).context("video too long for one file")?;
        const MATRIX: [u32; 9] = [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x4000_0000];
        let matrix = words(&MATRIX);
        let (width, height) = (u32::from(track.width) << 16, u32::from(track.height) << 16);
        let mvhd = atom(
            b"mvhd",
            &[
                &words(&[0, 0, 0, timescale, duration, 0x10000, 0x0100_0000, 0, 0]),
                &matrix,
                &words(&[0, 0, 0, 0, 0, 0, 2]),
            ],
        );
        let tkhd = atom(
            b"tkhd",
            &[&words(&[7, 0, 0, 1, 0, duration, 0, 0, 0, 0]), &matrix, &words(&[width, height])],
        );
        let mdhd = atom(b"mdhd", &[&words(&[0, 0, 0, timescale, duration, 0x55c4_0000])]);
        let hdlr =
            atom(b"hdlr", &[&words(&[0, 0]), b"vide", &words(&[0, 0, 0]), b"VideoHandler\0"]);
        let vmhd = atom(b"vmhd", &[&words(&[1, 0, 0])]);
        let url = atom(b"url ", &[&words(&[1])]);
        let dinf = atom(b"dinf", &[&atom(b"dref", &[&words(&[0, 1]), &url])]);
        let stbl = self.sample_table(track, frames)?;
        let minf = atom(b"minf", &[&vmhd, &dinf, &stbl]);
        let mdia = atom(b"mdia", &[&mdhd, &hdlr, &minf]);
        Ok(atom(b"moov", &[&mvhd, &atom(b"trak", &[&tkhd, &mdia])]))
    }

    fn sample_table(&self, track: &Track, frames: u32) -> anyhow::Result<Vec<u8>> {
        let avcc = atom(b"avcC", &[&track.decoder_configuration]);
        let avc1 = atom(
            b"avc1",
            &[
                &[0, 0, 0, 0, 0, 0, 0, 1],
                &[0; 16],
                &track.width.to_be_bytes(),
                &track.height.to_be_bytes(),
                &words(&[0x48_0000, 0x48_0000, 0]),
                // One frame a sample, 32 bytes for a name, 24 bits of colour, no colour table.
                &[0, 1],
                &[0; 32],
                &[0, 0x18, 0xff, 0xff],
                &avcc,
            ],
        );
        let stsd = atom(b"stsd", &[&words(&[0, 1]), &avc1]);
        let stts = atom(b"stts", &[&words(&[0, 1, frames, FRAME_TICKS])]);
        let count = |list: &[u32]| u32::try_from(list.len());
        let stss = atom(b"stss", &[&words(&[0, count(&self.keyframes)?]), &words(&self.keyframes)]);
        // All frames are one chunk: one offset tells where they are.
        let stsc = atom(b"stsc", &[&words(&[0, 1, 1, frames, 1])]);
        let stsz = atom(b"stsz", &[&words(&[0, 0, frames]), &words(&self.sizes)]);
        let offset = self.data_start + MDAT_HEAD_LEN;
        let co64 = atom(b"co64", &[&words(&[0, 1]), &offset.to_be_bytes()]);
        Ok(atom(b"stbl", &[&stsd, &stts, &stss, &stsc, &stsz, &co64]))
    }
}
