//! After a crash: what can be read is kept, what was lost is declared.

use crate::error::EpisodeError;
use crate::layout;
use crate::meta::{FileLoss, Loss, OpenEpisode, sync_dir};
use crate::read::{RECORD_LEN_MAX, read_some};
use crate::recorder::{Recording, create_recording};
use mcap::records::{Record, op};
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

const MAGIC_LEN: u64 = 8;
const RECORD_HEAD_LEN: u64 = 9;
const READ_LEN: usize = 256 * 1024;

/// Makes an episode that a crash left open ready for [`crate::seal`]: each recording that was cut is read up to
/// the cut and written anew, finished, in place of the old one. What was lost is kept in `episode.open.json` and
/// goes into the manifest. Safe to repeat after a crash at any point of it.
///
/// Returns `None` when the episode needs no recovery because it is sealed, or is no episode.
pub fn recover(dir: &Path) -> Result<Option<Loss>, EpisodeError> {
    let Some(mut open) = OpenEpisode::read(dir)? else { return Ok(None) };
    remove_parts(dir)?;
    if dir.join(layout::MANIFEST).exists() {
        // The crash hit between the last two steps of sealing: the manifest is whole and durable.
        let path = dir.join(layout::OPEN);
        fs::remove_file(&path).map_err(EpisodeError::io(&path))?;
        sync_dir(dir)?;
        return Ok(None);
    }
    let mut loss = open.loss.take().unwrap_or_else(|| Loss {
        why: "the recorder ended without finishing the episode".to_owned(),
        files: Vec::new(),
    });
    for name in open.files.clone() {
        let path = dir.join(&name);
        let part = dir.join(format!("{name}.part"));
        let Some(found) = salvage(&name, &path, &part)? else { continue };
        loss.files.retain(|file| file.name != name);
        loss.files.push(found);
        // The declaration first: a crash between the two steps must not leave a whole file and no declaration.
        open.loss = Some(loss.clone());
        open.write(dir)?;
        fs::rename(&part, &path).map_err(EpisodeError::io(&path))?;
        sync_dir(dir)?;
    }
    open.loss = Some(loss.clone());
    open.write(dir)?;
    Ok(Some(loss))
}

/// A crash may have left half-written files of an earlier recovery or of sealing.
fn remove_parts(dir: &Path) -> Result<(), EpisodeError> {
    for entry in fs::read_dir(dir).map_err(EpisodeError::io(dir))? {
        let path = entry.map_err(EpisodeError::io(dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".part") {
            fs::remove_file(&path).map_err(EpisodeError::io(&path))?;
        }
    }
    Ok(())
}

/// Writes what can be read of `path` to `part`. `None` when `path` is finished and whole: nothing was written.
fn salvage(name: &str, path: &Path, part: &Path) -> Result<Option<FileLoss>, EpisodeError> {
    let mut out = Copy {
        recording: create_recording(part, name != layout::TELEMETRY)?,
        schemas: BTreeMap::new(),
        channels: BTreeMap::new(),
        messages: 0,
    };
    let read = match File::open(path) {
        Ok(file) => {
            read_records(file, |record| out.record(record)).map_err(|error| match error {
                ReadError::Read(source) => EpisodeError::io(path)(source),
                ReadError::Write(error) => error,
            })?
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            ReadUpTo { stopped: Some("the file is missing".into()), ..ReadUpTo::default() }
        }
        Err(error) => return Err(EpisodeError::io(path)(error)),
    };
    let Some(stopped) = read.stopped else {
        drop(out);
        fs::remove_file(part).map_err(EpisodeError::io(part))?;
        return Ok(None);
    };
    out.recording.finish()?;
    Ok(Some(FileLoss {
        name: name.to_owned(),
        bytes_lost: read.size.saturating_sub(read.good_end),
        messages_lost: read.data_ended.then_some(0),
        messages_kept: out.messages,
        detail: format!("at byte {}: {stopped}", read.good_end),
    }))
}

/// The new file.
struct Copy {
    recording: Recording,
    schemas: BTreeMap<u16, (String, Vec<u8>)>,
    /// Channel numbers of the old file to those of the new one.
    channels: BTreeMap<u16, u16>,
    messages: u64,
}

impl Copy {
    /// `Ok(Err)`: the record makes no sense, reading ends before it.
    fn record(&mut self, record: Record<'_>) -> Result<Result<(), String>, EpisodeError> {
        match record {
            Record::Schema { header, data } => {
                self.schemas.insert(header.id, (header.name, data.into_owned()));
            }
            Record::Channel(channel) => {
                let Some((name, text)) = self.schemas.get(&channel.schema_id) else {
                    return Ok(Err("a channel without a schema".into()));
                };
                let id = self.recording.add_channel(&channel.topic, name, text)?;
                self.channels.insert(channel.id, id);
            }
            Record::Message { mut header, data } => {
                let Some(id) = self.channels.get(&header.channel_id) else {
                    return Ok(Err("a message on no channel".into()));
                };
                header.channel_id = *id;
                self.recording.write(&header, &data)?;
                self.messages += 1;
            }
            _ => {}
        }
        Ok(Ok(()))
    }
}

#[derive(Default)]
struct ReadUpTo {
    size: u64,
    /// End of the last whole record.
    good_end: u64,
    /// The end of the data section was read: no message is missing.
    data_ended: bool,
    /// Why reading ended before the end; `None` for a finished file.
    stopped: Option<String>,
}

enum ReadError {
    Read(std::io::Error),
    Write(EpisodeError),
}

/// Gives each schema, channel and message to `take`, up to the end or the first thing that can't be read. Chunks
/// count only when they are whole and their CRC is right.
fn read_records(
    mut file: File,
    mut take: impl FnMut(Record<'_>) -> Result<Result<(), String>, EpisodeError>,
) -> Result<ReadUpTo, ReadError> {
    let size = file.metadata().map_err(ReadError::Read)?.len();
    let mut reader = LinearReader::new_with_options(
        LinearReaderOptions::default()
            .with_emit_chunks(true)
            .with_check_finishes_after_end_magic(true)
            .with_record_length_limit(RECORD_LEN_MAX),
    );
    let mut found = ReadUpTo { size, good_end: MAGIC_LEN.min(size), ..ReadUpTo::default() };
    while let Some(event) = reader.next_event() {
        let stopped = match event {
            Ok(LinearReadEvent::ReadRequest(wanted)) => {
                let buffer = reader.insert(wanted.max(READ_LEN));
                let read = read_some(&mut file, buffer).map_err(ReadError::Read)?;
                reader.notify_read(read);
                continue;
            }
            Ok(LinearReadEvent::Record { opcode, data }) => {
                found.data_ended |= opcode == op::DATA_END;
                let len = u64::try_from(data.len()).unwrap_or(u64::MAX);
                match take_record(opcode, data, &mut take).map_err(ReadError::Write)? {
                    Ok(()) => {
                        found.good_end += RECORD_HEAD_LEN + len;
                        continue;
                    }
                    Err(stopped) => stopped,
                }
            }
            Err(error) => error.to_string(),
        };
        found.stopped = Some(stopped);
        break;
    }
    Ok(found)
}

fn take_record(
    opcode: u8,
    data: &[u8],
    take: &mut impl FnMut(Record<'_>) -> Result<Result<(), String>, EpisodeError>,
) -> Result<Result<(), String>, EpisodeError> {
    if !matches!(opcode, op::SCHEMA | op::CHANNEL | op::MESSAGE | op::CHUNK) {
        // Opcode 0 is none: a hole that the file system filled with zeros.
        return Ok(if opcode == 0 { Err("not a record".into()) } else { Ok(()) });
    }
    let record = match mcap::parse_record(opcode, data) {
        Ok(record) => record,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let Record::Chunk { header, data } = record else { return take(record) };
    let limit = u64::try_from(RECORD_LEN_MAX).unwrap_or(u64::MAX);
    if header.uncompressed_size > limit {
        return Ok(Err("a chunk that is too long".into()));
    }
    // First all of it, so that nothing of a chunk with a wrong CRC is kept.
    let records: Result<Vec<_>, _> = match mcap::read::ChunkReader::new(header, &data) {
        Ok(chunk) => chunk.map(|record| record.map(Record::into_owned)).collect(),
        Err(error) => Err(error),
    };
    match records {
        Ok(records) => {
            for record in records {
                if let Err(what) = take(record)? {
                    return Ok(Err(what));
                }
            }
            Ok(Ok(()))
        }
        Err(error) => Ok(Err(error.to_string())),
    }
}
