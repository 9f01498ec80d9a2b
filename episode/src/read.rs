//! Reading recordings, message by message, in bounded memory.

use crate::error::EpisodeError;
use crate::layout;
use mcap::records::{Record, op};
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};
use ros_msgs::RosMessage;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest record that is read; longer ones are refused before anything is allocated for them.
pub const RECORD_LEN_MAX: usize = 64 * 1024 * 1024;
const READ_LEN: usize = 256 * 1024;
const MESSAGE_HEADER_LEN: usize = 22;

/// A channel of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelInfo {
    /// Its number in the file.
    pub id: u16,
    /// Topic.
    pub topic: String,
    /// Message type, for example `nav_msgs/msg/Odometry`.
    pub schema_name: String,
    /// Encoding of the schema's text: `ros2msg`.
    pub schema_encoding: String,
    /// The schema's text.
    pub schema: Vec<u8>,
    /// Encoding of messages: `cdr`.
    pub message_encoding: String,
}

/// A message, borrowed from its reader.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its channel.
    pub channel: &'a Arc<ChannelInfo>,
    /// Number on its channel; gaps are messages that were dropped.
    pub sequence: u32,
    /// When it was recorded: robot's UTC, nanoseconds.
    pub log_time_ns: u64,
    /// When it was published: robot's UTC, nanoseconds.
    pub publish_time_ns: u64,
    /// The bytes in [`ChannelInfo::message_encoding`].
    pub data: &'a [u8],
}

impl Message<'_> {
    /// Decodes the message.
    pub fn decode<T: RosMessage>(&self) -> Result<T, EpisodeError> {
        ros_msgs::from_cdr(self.data)
            .map_err(|source| EpisodeError::Message { topic: self.channel.topic.clone(), source })
    }
}

/// The messages of one recording in the order of the file. Anything that is not a finished, well-formed MCAP
/// file is an error.
pub struct Reader<R> {
    path: PathBuf,
    source: R,
    inner: LinearReader,
    schemas: BTreeMap<u16, (String, String, Vec<u8>)>,
    channels: BTreeMap<u16, Arc<ChannelInfo>>,
    header: (u16, u32, u64, u64),
    body: Vec<u8>,
}

impl Reader<File> {
    /// Opens a recording.
    pub fn open(path: &Path) -> Result<Self, EpisodeError> {
        let file = File::open(path).map_err(EpisodeError::io(path))?;
        Ok(Self::new(path, file))
    }
}

impl<R: Read> Reader<R> {
    /// Reads from `source`; `path` is for error messages.
    pub fn new(path: &Path, source: R) -> Self {
        let options = LinearReaderOptions::default()
            .with_check_finishes_after_end_magic(true)
            .with_prevalidate_chunk_crcs(true)
            .with_record_length_limit(RECORD_LEN_MAX);
        Self {
            path: path.to_owned(),
            source,
            inner: LinearReader::new_with_options(options),
            schemas: BTreeMap::new(),
            channels: BTreeMap::new(),
            header: (0, 0, 0, 0),
            body: Vec::new(),
        }
    }

    /// The next message, or `None` at the end of the file.
    #[expect(clippy::should_implement_trait, reason = "the message borrows from the reader")]
    pub fn next(&mut self) -> Result<Option<Message<'_>>, EpisodeError> {
        if self.advance()? { Ok(self.current()) } else { Ok(None) }
    }

    /// The channels that were read so far.
    pub fn channels(&self) -> impl Iterator<Item = &Arc<ChannelInfo>> {
        self.channels.values()
    }

    /// The message that [`Reader::next`] gave last.
    fn current(&self) -> Option<Message<'_>> {
        let (channel, sequence, log_time_ns, publish_time_ns) = self.header;
        let channel = self.channels.get(&channel)?;
        Some(Message { channel, sequence, log_time_ns, publish_time_ns, data: &self.body })
    }

    fn advance(&mut self) -> Result<bool, EpisodeError> {
        while let Some(event) = self.inner.next_event() {
            match event.map_err(EpisodeError::mcap(&self.path))? {
                LinearReadEvent::ReadRequest(wanted) => {
                    let buffer = self.inner.insert(wanted.max(READ_LEN));
                    let read = read_some(&mut self.source, buffer)
                        .map_err(EpisodeError::io(&self.path))?;
                    self.inner.notify_read(read);
                }
                LinearReadEvent::Record { opcode: op::MESSAGE, data } => {
                    let Some((header, body)) = data.split_first_chunk::<MESSAGE_HEADER_LEN>()
                    else {
                        return Err(malformed(&self.path, "a message without a header"));
                    };
                    self.header = message_header(header);
                    if !self.channels.contains_key(&self.header.0) {
                        return Err(malformed(&self.path, "a message on no channel"));
                    }
                    self.body.clear();
                    self.body.extend_from_slice(body);
                    return Ok(true);
                }
                LinearReadEvent::Record { opcode, data }
                    if matches!(opcode, op::SCHEMA | op::CHANNEL) =>
                {
                    let record =
                        mcap::parse_record(opcode, data).map_err(EpisodeError::mcap(&self.path))?;
                    register(&mut self.schemas, &mut self.channels, record)
                        .map_err(|what| malformed(&self.path, what))?;
                }
                LinearReadEvent::Record { .. } => {}
            }
        }
        Ok(false)
    }
}

fn malformed(path: &Path, what: &str) -> EpisodeError {
    EpisodeError::folder(path, format!("not a recording: {what}"))
}

fn message_header(bytes: &[u8; MESSAGE_HEADER_LEN]) -> (u16, u32, u64, u64) {
    let [a, b, c, d, e, f, log @ .., p0, p1, p2, p3, p4, p5, p6, p7] = *bytes;
    (
        u16::from_le_bytes([a, b]),
        u32::from_le_bytes([c, d, e, f]),
        u64::from_le_bytes(log),
        u64::from_le_bytes([p0, p1, p2, p3, p4, p5, p6, p7]),
    )
}

fn register(
    schemas: &mut BTreeMap<u16, (String, String, Vec<u8>)>,
    channels: &mut BTreeMap<u16, Arc<ChannelInfo>>,
    record: Record<'_>,
) -> Result<(), &'static str> {
    match record {
        Record::Schema { header, data } => {
            // The summary section repeats schemas and channels: the same again is fine.
            schemas
                .entry(header.id)
                .or_insert_with(|| (header.name, header.encoding, data.into_owned()));
        }
        Record::Channel(channel) => {
            let Some((name, encoding, text)) = schemas.get(&channel.schema_id) else {
                return Err("a channel without a schema");
            };
            let info = ChannelInfo {
                id: channel.id,
                topic: channel.topic,
                schema_name: name.clone(),
                schema_encoding: encoding.clone(),
                schema: text.clone(),
                message_encoding: channel.message_encoding,
            };
            match channels.get(&info.id) {
                Some(known) if **known != info => return Err("a channel that changes its meaning"),
                Some(_same) => {}
                None => {
                    channels.insert(info.id, Arc::new(info));
                }
            }
        }
        _ => {}
    }
    Ok(())
}

pub(crate) fn read_some(source: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match source.read(buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// The messages of all recordings of an episode, by time. Within one file the order of the file is kept.
pub struct Merged {
    readers: Vec<(Reader<File>, bool)>,
    last: Option<usize>,
}

impl Merged {
    /// Opens all recordings in `dir`, telemetry first, so that it comes first among equal times.
    pub fn open(dir: &Path) -> Result<Self, EpisodeError> {
        let mut names = recordings(dir)?;
        names.sort_by_key(|name| (name != layout::TELEMETRY, name.clone()));
        let mut readers = Vec::new();
        for name in names {
            let mut reader = Reader::open(&dir.join(name))?;
            let more = reader.advance()?;
            readers.push((reader, more));
        }
        Ok(Self { readers, last: None })
    }

    /// The next message, or `None` at the end.
    #[expect(clippy::should_implement_trait, reason = "the message borrows from the reader")]
    pub fn next(&mut self) -> Result<Option<Message<'_>>, EpisodeError> {
        if let Some((reader, more)) = self.last.and_then(|last| self.readers.get_mut(last)) {
            *more = reader.advance()?;
        }
        let next = (0..)
            .zip(&self.readers)
            .filter(|(_, (_, more))| *more)
            .min_by_key(|(_, (reader, _))| reader.header.2)
            .map(|(index, _)| index);
        self.last = next;
        Ok(next.and_then(|index| self.readers.get(index)?.0.current()))
    }
}

/// Names of the recordings in `dir`, sorted.
pub fn recordings(dir: &Path) -> Result<Vec<String>, EpisodeError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(EpisodeError::io(dir))? {
        let entry = entry.map_err(EpisodeError::io(dir))?;
        if let Some(name) = entry.file_name().to_str().filter(|name| layout::is_recording(name)) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
