//! Writing an episode.
//!
//! Every message goes through one [`Recorder`], owned by one thread. Telemetry is compressed in chunks, each
//! written whole; camera frames are written one by one as they come. So a file that was cut by a crash is a
//! prefix of whole records plus a torn one at most, and [`crate::recover`] needs no guessing.

use crate::error::EpisodeError;
use crate::layout;
use crate::meta::{EpisodeMeta, OpenEpisode, sync_dir};
use mcap::records::MessageHeader;
use protocol::units::MonoMs;
use ros_msgs::RosMessage;
use ros_msgs::foxglove_msgs::CompressedVideo;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::BufWriter;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// How often [`Recorder::sync`] is due: a crash loses at most this much.
pub const SYNC_EVERY_MS: u64 = 1_000;
/// Profile of every file.
pub(crate) const PROFILE: &str = "ros2";
const LIBRARY: &str = concat!("longrein-episode/", env!("CARGO_PKG_VERSION"));
/// A chunk is closed at this size or at the next sync, whichever is first.
const CHUNK_LEN: u64 = 1024 * 1024;

pub(crate) type FileWriter = mcap::Writer<BufWriter<File>>;

/// Creates a recording in the form that its name asks for: cameras plain, telemetry in zstd chunks.
pub(crate) fn create_recording(path: &Path, camera: bool) -> Result<Recording, EpisodeError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .map_err(EpisodeError::io(path))?;
    let handle = file.try_clone().map_err(EpisodeError::io(path))?;
    let options = mcap::WriteOptions::new()
        .profile(PROFILE)
        .library(LIBRARY)
        .disable_seeking(true)
        .compression_threads(0)
        .chunk_size(Some(CHUNK_LEN));
    let options = if camera { options.use_chunks(false).compression(None) } else { options };
    let writer = options
        .create(BufWriter::with_capacity(64 * 1024, file))
        .map_err(EpisodeError::mcap(path))?;
    Ok(Recording { path: path.to_owned(), writer, handle })
}

/// One file that is being written.
pub(crate) struct Recording {
    path: PathBuf,
    pub(crate) writer: FileWriter,
    handle: File,
}

impl Recording {
    pub(crate) fn add_channel(
        &mut self,
        topic: &str,
        schema_name: &str,
        schema: &[u8],
    ) -> Result<u16, EpisodeError> {
        let error = EpisodeError::mcap(&self.path);
        let schema = match self.writer.add_schema(schema_name, "ros2msg", schema) {
            Ok(schema) => schema,
            Err(source) => return Err(error(source)),
        };
        self.writer.add_channel(schema, topic, "cdr", &BTreeMap::new()).map_err(error)
    }

    pub(crate) fn write(&mut self, header: &MessageHeader, cdr: &[u8]) -> Result<(), EpisodeError> {
        self.writer.write_to_known_channel(header, cdr).map_err(EpisodeError::mcap(&self.path))
    }

    pub(crate) fn sync(&mut self) -> Result<(), EpisodeError> {
        self.writer.flush().map_err(EpisodeError::mcap(&self.path))?;
        self.handle.sync_data().map_err(EpisodeError::io(&self.path))
    }

    pub(crate) fn finish(mut self) -> Result<(), EpisodeError> {
        self.writer.finish().map_err(EpisodeError::mcap(&self.path))?;
        let mut buffered = self.writer.into_inner();
        std::io::Write::flush(&mut buffered).map_err(EpisodeError::io(&self.path))?;
        self.handle.sync_all().map_err(EpisodeError::io(&self.path))
    }
}

/// A channel of a [`Recorder`] for messages of type `T`.
pub struct Channel<T> {
    index: usize,
    message: PhantomData<fn(&T)>,
}

impl<T> Clone for Channel<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Channel<T> {}

struct ChannelState {
    recording: usize,
    id: u16,
    topic: String,
    next_sequence: u32,
    dropped: u64,
}

/// Writes one episode. Dropping it without [`Recorder::finish`] is what a crash does: the folder can be recovered.
pub struct Recorder {
    dir: PathBuf,
    recordings: Vec<Recording>,
    cameras: BTreeMap<String, usize>,
    channels: Vec<ChannelState>,
    synced_at: Option<MonoMs>,
}

/// What a finished recorder leaves for sealing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorded {
    /// Messages that were not recorded, by topic.
    pub dropped: BTreeMap<String, u64>,
}

impl Recorder {
    /// Begins an episode in `dir`, which is created and must be empty, with the telemetry file and one file for
    /// each of `cameras`.
    pub fn create(dir: &Path, meta: &EpisodeMeta, cameras: &[&str]) -> Result<Self, EpisodeError> {
        if let Some(name) = cameras.iter().find(|name| !layout::is_camera_name(name)) {
            let what = format!("a camera can't be named {name:?}: use 1 to 32 of a-z, 0-9 and '_'");
            return Err(EpisodeError::folder(dir, what));
        }
        fs::create_dir_all(dir).map_err(EpisodeError::io(dir))?;
        if fs::read_dir(dir).map_err(EpisodeError::io(dir))?.next().is_some() {
            return Err(EpisodeError::folder(dir, "the folder of a new episode must be empty"));
        }
        let mut files = vec![layout::TELEMETRY.to_owned()];
        files.extend(cameras.iter().map(|name| layout::camera_file(name)));
        // First the file that recovery needs: a recording without it could never be sealed.
        OpenEpisode { meta: meta.clone(), files: files.clone(), loss: None }.write(dir)?;
        let recordings = files
            .iter()
            .map(|name| create_recording(&dir.join(name), name != layout::TELEMETRY))
            .collect::<Result<Vec<_>, _>>()?;
        sync_dir(dir)?;
        let cameras = (1..).zip(cameras).map(|(index, name)| ((*name).to_owned(), index)).collect();
        Ok(Self { dir: dir.to_owned(), recordings, cameras, channels: Vec::new(), synced_at: None })
    }

    /// Adds a channel to the telemetry file.
    pub fn telemetry<T: RosMessage>(&mut self, topic: &str) -> Result<Channel<T>, EpisodeError> {
        self.add_channel(0, topic)
    }

    /// The channel of the camera `name`, one of those given to [`Recorder::create`].
    pub fn camera(&mut self, name: &str) -> Result<Channel<CompressedVideo>, EpisodeError> {
        let Some(&recording) = self.cameras.get(name) else {
            return Err(EpisodeError::folder(&self.dir, format!("no camera {name:?}")));
        };
        self.add_channel(recording, &layout::camera_topic(name))
    }

    fn add_channel<T: RosMessage>(
        &mut self,
        recording: usize,
        topic: &str,
    ) -> Result<Channel<T>, EpisodeError> {
        let id = self.recordings[recording].add_channel(topic, T::NAME, T::SCHEMA.as_bytes())?;
        let same = |state: &ChannelState| (state.recording, state.id) == (recording, id);
        if let Some(index) = self.channels.iter().position(same) {
            // Numbers go on: two counters on one topic would look like drops.
            return Ok(Channel { index, message: PhantomData });
        }
        self.channels.push(ChannelState {
            recording,
            id,
            topic: topic.to_owned(),
            next_sequence: 0,
            dropped: 0,
        });
        Ok(Channel { index: self.channels.len() - 1, message: PhantomData })
    }

    /// Records `message`, which reached the robot's recorder at `at_ns` (robot's UTC, nanoseconds).
    pub fn write<T: RosMessage>(
        &mut self,
        channel: Channel<T>,
        at_ns: u64,
        message: &T,
    ) -> Result<(), EpisodeError> {
        self.write_cdr(channel, at_ns, &ros_msgs::to_cdr(message))
    }

    /// Records a message that is already in CDR.
    pub fn write_cdr<T>(
        &mut self,
        channel: Channel<T>,
        at_ns: u64,
        cdr: &[u8],
    ) -> Result<(), EpisodeError> {
        let state = &mut self.channels[channel.index];
        let header = MessageHeader {
            channel_id: state.id,
            sequence: state.next_sequence,
            log_time: at_ns,
            publish_time: at_ns,
        };
        state.next_sequence = state.next_sequence.wrapping_add(1);
        self.recordings[state.recording].write(&header, cdr)
    }

    /// Declares that `count` messages of `channel` could not be recorded. The gap shows in the sequence numbers
    /// and in the manifest.
    pub fn note_dropped<T>(&mut self, channel: Channel<T>, count: u32) {
        let state = &mut self.channels[channel.index];
        state.next_sequence = state.next_sequence.wrapping_add(count);
        state.dropped += u64::from(count);
    }

    /// Whether [`Recorder::sync`] is due.
    pub fn sync_due(&self, now: MonoMs) -> bool {
        self.synced_at.is_none_or(|at| now.since(at) >= SYNC_EVERY_MS)
    }

    /// Puts everything so far on the disk. Blocks as long as the disk takes.
    pub fn sync(&mut self, now: MonoMs) -> Result<(), EpisodeError> {
        for recording in &mut self.recordings {
            recording.sync()?;
        }
        self.synced_at = Some(now);
        Ok(())
    }

    /// Ends the recordings and puts them on the disk. Next: [`crate::seal`].
    pub fn finish(self) -> Result<Recorded, EpisodeError> {
        for recording in self.recordings {
            recording.finish()?;
        }
        sync_dir(&self.dir)?;
        let mut dropped = BTreeMap::new();
        for channel in self.channels {
            *dropped.entry(channel.topic).or_insert(0) += channel.dropped;
        }
        dropped.retain(|_topic, count| *count > 0);
        Ok(Recorded { dropped })
    }
}
