//! Export as one MCAP file with everything in it, by time.

use crate::progress::Progress;
use anyhow::{Context, ensure};
use episode::read::Merged;
use mcap::records::MessageHeader;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// What was exported.
#[derive(Debug, Clone, Serialize)]
pub struct Exported {
    /// `mcap`.
    pub format: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Messages in it.
    pub messages: u64,
    /// Its size, bytes.
    pub size: u64,
}

/// Writes the episode in `dir` to the new file `out`: profile `ros2`, indexed, in order of time.
pub fn export(out: &Path, dir: &Path, progress: &Progress) -> anyhow::Result<Exported> {
    ensure!(!out.exists(), "{} is there already: choose another name", out.display());
    let name = out.file_name().context("the output needs a name")?.to_string_lossy();
    let part = out.with_file_name(format!(".{name}.part"));
    let written = write(&part, dir, progress);
    if written.is_err() {
        // What was begun is of no use to anyone.
        fs::remove_file(&part).ok();
    }
    let messages = written?;
    fs::rename(&part, out).with_context(|| out.display().to_string())?;
    let size = fs::metadata(out).with_context(|| out.display().to_string())?.len();
    Ok(Exported { format: "mcap", path: out.to_owned(), messages, size })
}

fn write(part: &Path, dir: &Path, progress: &Progress) -> anyhow::Result<u64> {
    let file = File::create(part).with_context(|| part.display().to_string())?;
    let options = mcap::WriteOptions::new()
        .profile("ros2")
        .library(concat!("longrein-episode/", env!("CARGO_PKG_VERSION")))
        .compression_threads(0);
    let mut writer = options.create(BufWriter::new(file))?;
    let (mut merged, mut channels, mut messages) = (Merged::open(dir)?, BTreeMap::new(), 0);
    while let Some(message) = merged.next()? {
        let info = message.channel;
        let channel_id = match channels.get(&info.topic) {
            Some(id) => *id,
            None => {
                let schema =
                    writer.add_schema(&info.schema_name, &info.schema_encoding, &info.schema)?;
                let id = writer.add_channel(
                    schema,
                    &info.topic,
                    &info.message_encoding,
                    &BTreeMap::new(),
                )?;
                channels.insert(info.topic.clone(), id);
                id
            }
        };
        let header = MessageHeader {
            channel_id,
            sequence: message.sequence,
            log_time: message.log_time_ns,
            publish_time: message.publish_time_ns,
        };
        writer.write_to_known_channel(&header, message.data)?;
        messages += 1;
        progress.step();
    }
    writer.finish()?;
    let buffered = writer.into_inner();
    buffered.into_inner().map_err(|error| error.into_error())?.sync_all()?;
    Ok(messages)
}
