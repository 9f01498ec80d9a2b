//! The files of a dataset beside its videos, written as episodes come.

use super::features::{self, Camera};
use super::stats::Stats;
use super::table::{Column, Shape, TableWriter, Values};
use anyhow::Context;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Files of one chunk (folder).
pub const CHUNK_FILES: u64 = 1000;
/// A data file is closed when it is longer.
const DATA_FILE_LEN_MAX: usize = 100 * 1024 * 1024;
/// What makes `task` the index of `tasks.parquet`: readers take the row's label for the task's text.
const TASKS_PANDAS: &str = r#"{"index_columns":["task"],"column_indexes":[{"name":null,"field_name":null,"pandas_type":"unicode","numpy_type":"object","metadata":{"encoding":"UTF-8"}}],"columns":[{"name":"task_index","field_name":"task_index","pandas_type":"int64","numpy_type":"int64","metadata":null},{"name":"task","field_name":"task","pandas_type":"unicode","numpy_type":"object","metadata":null}],"pandas_version":"2.2.0"}"#;

/// Chunk and number of the `index`-th file.
pub const fn file_place(index: u64) -> (u64, u64) {
    (index / CHUNK_FILES, index % CHUNK_FILES)
}

/// Path of a video within the dataset.
pub fn video_path(camera: &str, episode: u64) -> PathBuf {
    let (chunk, file) = file_place(episode);
    let key = features::camera_feature(camera);
    PathBuf::from(format!("videos/{key}/chunk-{chunk:03}/file-{file:03}.mp4"))
}

/// Data files: one row group an episode.
pub struct DataFiles {
    root: PathBuf,
    index: u64,
    open: Option<TableWriter>,
}

impl DataFiles {
    /// None yet.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), index: 0, open: None }
    }

    /// Writes an episode and tells chunk and file it went to.
    pub fn write(&mut self, columns: &[Column]) -> anyhow::Result<(u64, u64)> {
        if let Some(full) = self.open.take_if(|table| table.bytes_written() > DATA_FILE_LEN_MAX) {
            full.finish()?;
            self.index += 1;
        }
        let (chunk, file) = file_place(self.index);
        let table = match &mut self.open {
            Some(table) => table,
            None => {
                let name = format!("data/chunk-{chunk:03}/file-{file:03}.parquet");
                let table = TableWriter::create(&self.root.join(name), columns, None)?;
                self.open.insert(table)
            }
        };
        table.row_group(columns)?;
        Ok((chunk, file))
    }

    /// Ends the last file.
    pub fn finish(self) -> anyhow::Result<()> {
        self.open.map_or(Ok(()), TableWriter::finish)
    }
}

/// What the dataset says of an episode.
#[derive(Debug, Clone)]
pub struct EpisodeEntry {
    /// Its task.
    pub task: String,
    /// Its rows.
    pub length: u64,
    /// Number of its first row among all.
    pub first_row: u64,
    /// Chunk and file of its rows.
    pub data: (u64, u64),
    /// Statistics of its features.
    pub stats: Vec<(String, Stats)>,
    /// Where it comes from, by column.
    pub provenance: Vec<(&'static str, String)>,
}

fn int(value: u64) -> Values {
    Values::I64(vec![i64::try_from(value).unwrap_or(i64::MAX)])
}

fn episode_columns(index: u64, entry: &EpisodeEntry, cameras: &[String], fps: u32) -> Vec<Column> {
    let scalar = |name: &str, value| Column::new(name, Shape::Scalar, value);
    let mut columns = vec![
        scalar("episode_index", int(index)),
        Column::new("tasks", Shape::List(1), Values::Text(vec![entry.task.clone()])),
        scalar("length", int(entry.length)),
        scalar("data/chunk_index", int(entry.data.0)),
        scalar("data/file_index", int(entry.data.1)),
        scalar("dataset_from_index", int(entry.first_row)),
        scalar("dataset_to_index", int(entry.first_row + entry.length)),
    ];
    let end_s = u32::try_from(entry.length).map_or(f64::MAX, f64::from) / f64::from(fps);
    for camera in cameras {
        let key = features::camera_feature(camera);
        let (chunk, file) = file_place(index);
        columns.push(scalar(&format!("videos/{key}/chunk_index"), int(chunk)));
        columns.push(scalar(&format!("videos/{key}/file_index"), int(file)));
        columns.push(scalar(&format!("videos/{key}/from_timestamp"), Values::F64(vec![0.0])));
        columns.push(scalar(&format!("videos/{key}/to_timestamp"), Values::F64(vec![end_s])));
    }
    for (feature, stats) in &entry.stats {
        for (name, values) in stats.lists() {
            let len = values.len();
            let shape = if stats.camera { Shape::Image(len) } else { Shape::List(len) };
            let name = format!("stats/{feature}/{name}");
            columns.push(Column::new(name, shape, Values::F64(values.clone())));
        }
        let name = format!("stats/{feature}/count");
        columns.push(Column::new(name, Shape::List(1), int(stats.count)));
    }
    columns.push(scalar("meta/episodes/chunk_index", int(0)));
    columns.push(scalar("meta/episodes/file_index", int(0)));
    for (name, value) in &entry.provenance {
        columns.push(scalar(&format!("provenance/{name}"), Values::Text(vec![value.clone()])));
    }
    columns
}

/// Joins columns of single rows to columns of many.
fn append(to: &mut Column, from: Column) -> anyhow::Result<()> {
    match (&mut to.values, from.values) {
        (Values::F32(to), Values::F32(from)) => to.extend(from),
        (Values::F64(to), Values::F64(from)) => to.extend(from),
        (Values::I64(to), Values::I64(from)) => to.extend(from),
        (Values::Bool(to), Values::Bool(from)) => to.extend(from),
        (Values::Text(to), Values::Text(from)) => to.extend(from),
        _ => anyhow::bail!("column {} changes its type", to.name),
    }
    Ok(())
}

/// Writes `meta/episodes`.
pub fn write_episodes(
    root: &Path,
    entries: &[EpisodeEntry],
    cameras: &[String],
    fps: u32,
) -> anyhow::Result<()> {
    let mut columns: Vec<Column> = Vec::new();
    for (index, entry) in (0..).zip(entries) {
        let row = episode_columns(index, entry, cameras, fps);
        if columns.is_empty() {
            columns = row;
        } else {
            for (to, from) in columns.iter_mut().zip(row) {
                append(to, from)?;
            }
        }
    }
    let path = root.join("meta/episodes/chunk-000/file-000.parquet");
    let mut table = TableWriter::create(&path, &columns, None)?;
    table.row_group(&columns)?;
    table.finish()
}

/// Writes `meta/tasks.parquet`: row i has task i.
pub fn write_tasks(root: &Path, tasks: &[String]) -> anyhow::Result<()> {
    let numbers = (0..).take(tasks.len()).collect();
    let columns = [
        Column::new("task_index", Shape::Scalar, Values::I64(numbers)),
        Column::new("task", Shape::Scalar, Values::Text(tasks.to_vec())),
    ];
    let path = root.join("meta/tasks.parquet");
    let mut table = TableWriter::create(&path, &columns, Some(("pandas", TASKS_PANDAS.into())))?;
    table.row_group(&columns)?;
    table.finish()
}

/// Writes `meta/stats.json`.
pub fn write_stats(root: &Path, entries: &[EpisodeEntry]) -> anyhow::Result<()> {
    let mut by_feature: BTreeMap<&str, Vec<&Stats>> = BTreeMap::new();
    for (feature, stats) in entries.iter().flat_map(|entry| &entry.stats) {
        by_feature.entry(feature).or_default().push(stats);
    }
    let all: Map<String, Value> = by_feature
        .into_iter()
        .filter_map(|(name, stats)| Some((name.to_owned(), Stats::aggregate(&stats)?.to_json())))
        .collect();
    write_json(&root.join("meta/stats.json"), &Value::Object(all))
}

/// What `info.json` needs.
pub struct Info<'a> {
    /// Name of the kind of robot.
    pub robot_type: &'a str,
    /// Rows a second.
    pub fps: u32,
    /// Cameras with width and height.
    pub cameras: &'a [Camera],
    /// Rows of all episodes.
    pub frames: u64,
    /// Episodes.
    pub episodes: u64,
    /// Tasks.
    pub tasks: usize,
}

/// Writes `meta/info.json`.
pub fn write_info(root: &Path, info: &Info<'_>) -> anyhow::Result<()> {
    let value = json!({
        "codebase_version": "v3.0",
        "robot_type": info.robot_type,
        "total_episodes": info.episodes,
        "total_frames": info.frames,
        "total_tasks": info.tasks,
        "chunks_size": CHUNK_FILES,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": info.fps,
        "splits": {"train": format!("0:{}", info.episodes)},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path":
            "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": features::describe(info.cameras, info.fps),
    });
    write_json(&root.join("meta/info.json"), &value)
}

/// Writes a JSON file.
pub fn write_json(path: &Path, value: &Value) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    fs::write(path, text).with_context(|| path.display().to_string())
}
