//! Export as LeRobotDataset v3.0.

pub mod features;
pub mod files;
pub mod grid;
pub mod series;
pub mod stats;
pub mod table;
pub mod video_index;

use crate::progress::Progress;
use crate::video::{self, transcode};
use anyhow::{Context, bail, ensure};
use episode::{Manifest, Report};
use features::Place;
use files::{DataFiles, EpisodeEntry, Info};
use protocol::dsse::Envelope;
use serde::Serialize;
use serde_json::{Value, json};
use series::Telemetry;
use stats::{PictureStats, Stats};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The task of a drive that was for no mission.
const FREE_DRIVE: &str = "Drive freely";

/// What to export.
#[derive(Debug, Clone)]
pub struct Options {
    /// Rows a second.
    pub fps: u32,
    /// Name of the kind of robot, for `info.json`.
    pub robot_type: String,
}

/// What was exported.
#[derive(Debug, Clone, Serialize)]
pub struct Exported {
    /// `lerobot-v3.0`.
    pub format: &'static str,
    /// The dataset's folder.
    pub path: PathBuf,
    /// Episodes in it.
    pub episodes: u64,
    /// Rows of all episodes.
    pub frames: u64,
    /// Rows a second.
    pub fps: u32,
    /// Cameras.
    pub cameras: Vec<String>,
    /// Time that the export took.
    pub seconds: f64,
    /// Pictures of all cameras that were written a second.
    pub pictures_per_s: f64,
}

/// A verified episode.
pub struct Source {
    /// Its folder.
    pub dir: PathBuf,
    /// Its manifest as signed.
    pub envelope: Envelope,
    /// Its manifest.
    pub manifest: Manifest,
    /// What verifying found.
    pub report: Report,
}

/// Exports `sources` into the new folder `out`. Nothing is there until all of it is.
pub fn export(
    out: &Path,
    sources: &[Source],
    options: &Options,
    progress: &Progress,
) -> anyhow::Result<Exported> {
    ensure!((1..=240).contains(&options.fps), "--fps must be from 1 to 240");
    video::init()?;
    let started = Instant::now();
    let root = crate::output::Staged::create(out)?;
    let mut dataset = Dataset::new(root.path(), options);
    for source in sources {
        dataset.add(source, progress).with_context(|| source.dir.display().to_string())?;
    }
    let (frames, cameras) = (dataset.frames, dataset.camera_names());
    dataset.finish()?;
    root.finish()?;
    let seconds = started.elapsed().as_secs_f64();
    let pictures = frames * u64::try_from(cameras.len()).unwrap_or(1);
    Ok(Exported {
        format: "lerobot-v3.0",
        path: out.to_owned(),
        episodes: u64::try_from(sources.len()).unwrap_or(u64::MAX),
        frames,
        fps: options.fps,
        cameras,
        seconds,
        pictures_per_s: u32::try_from(pictures).map_or(f64::MAX, f64::from) / seconds,
    })
}

struct Dataset<'a> {
    root: &'a Path,
    options: &'a Options,
    data: DataFiles,
    entries: Vec<EpisodeEntry>,
    tasks: Vec<String>,
    cameras: Vec<(String, (u16, u16))>,
    frames: u64,
    provenance: Vec<Value>,
}

impl<'a> Dataset<'a> {
    fn new(root: &'a Path, options: &'a Options) -> Self {
        Self {
            root,
            options,
            data: DataFiles::new(root),
            entries: Vec::new(),
            tasks: Vec::new(),
            cameras: Vec::new(),
            frames: 0,
            provenance: Vec::new(),
        }
    }

    fn camera_names(&self) -> Vec<String> {
        self.cameras.iter().map(|(name, _)| name.clone()).collect()
    }

    fn task(&mut self, task: &str) -> anyhow::Result<i64> {
        let index = self.tasks.iter().position(|known| known == task).unwrap_or_else(|| {
            self.tasks.push(task.to_owned());
            self.tasks.len() - 1
        });
        Ok(i64::try_from(index)?)
    }

    fn add(&mut self, source: &Source, progress: &Progress) -> anyhow::Result<()> {
        let telemetry = Telemetry::read(&source.dir)?;
        let mut cameras: Vec<String> = telemetry.cameras.keys().cloned().collect();
        cameras.sort_by_key(|name| (name != "front", name.clone()));
        let grid = grid::sample(&telemetry, &cameras, self.options.fps)?;
        let length = u64::try_from(grid.rows.len())?;
        progress.add(length * u64::try_from(cameras.len())?);
        let index = u64::try_from(self.entries.len())?;
        let mut picture_stats = Vec::new();
        let mut sizes = Vec::new();
        for (camera, shown) in cameras.iter().zip(&grid.shown) {
            let (size, stats) = self.video(&telemetry, camera, shown, index, progress)?;
            sizes.push((camera.clone(), size));
            picture_stats.push((features::camera_feature(camera), stats));
        }
        self.same_cameras(sizes)?;
        let mission = source.manifest.mission.as_ref();
        let task = mission.map_or(FREE_DRIVE, |mission| mission.name.as_str()).to_owned();
        let place = Place {
            episode: i64::try_from(index)?,
            first_row: i64::try_from(self.frames)?,
            task: self.task(&task)?,
            fps: self.options.fps,
        };
        let columns = features::columns(&grid.rows, place);
        let data = self.data.write(&columns)?;
        let mut stats = features::statistics(&columns);
        stats.extend(picture_stats);
        let provenance = provenance(source);
        self.provenance.push(self.provenance_json(source, index, grid.start_ns, &provenance)?);
        let first_row = self.frames;
        self.entries.push(EpisodeEntry { task, length, first_row, data, stats, provenance });
        self.frames += length;
        Ok(())
    }

    fn video(
        &self,
        telemetry: &Telemetry,
        camera: &str,
        shown: &[usize],
        episode: u64,
        progress: &Progress,
    ) -> anyhow::Result<((u16, u16), Stats)> {
        let video = telemetry.cameras.get(camera).context("no such camera")?;
        let path = self.root.join(files::video_path(camera, episode));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let units = shown
            .iter()
            .map(|index| video.pictures().get(*index).map(|picture| picture.unit))
            .collect::<Option<Vec<_>>>()
            .context("no such picture")?;
        let first = shown.first().copied().context("no rows")?;
        let mut stats = PictureStats::new(shown.len());
        let job = transcode::Job { path: &path, fps: self.options.fps, shown: &units };
        let size = transcode::transcode(&job, video.units(first)?, |picture| {
            stats.picture(&picture);
            progress.step();
        })
        .with_context(|| format!("camera {camera}"))?;
        Ok((size, stats.finish()))
    }

    fn same_cameras(&mut self, sizes: Vec<(String, (u16, u16))>) -> anyhow::Result<()> {
        if self.cameras.is_empty() {
            self.cameras = sizes;
        } else if self.cameras != sizes {
            bail!(
                "its cameras {sizes:?} are not those of the first episode {:?}: all episodes of a \
                 dataset have the same features; export them into separate datasets",
                self.cameras
            );
        }
        Ok(())
    }

    fn provenance_json(
        &self,
        source: &Source,
        index: u64,
        start_ns: u64,
        provenance: &[(&'static str, String)],
    ) -> anyhow::Result<Value> {
        let mut entry: serde_json::Map<String, Value> =
            provenance.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        entry.insert("episode_index".into(), json!(index));
        entry.insert("first_row_utc_ns".into(), json!(start_ns));
        entry.insert("loss".into(), serde_json::to_value(&source.manifest.loss)?);
        entry.insert("manifest".into(), serde_json::to_value(&source.envelope)?);
        Ok(Value::Object(entry))
    }

    fn finish(self) -> anyhow::Result<()> {
        let cameras = self.camera_names();
        self.data.finish()?;
        files::write_episodes(self.root, &self.entries, &cameras, self.options.fps)?;
        files::write_tasks(self.root, &self.tasks)?;
        files::write_stats(self.root, &self.entries)?;
        let episodes = u64::try_from(self.entries.len())?;
        let info = Info {
            robot_type: &self.options.robot_type,
            fps: self.options.fps,
            cameras: &self.cameras,
            frames: self.frames,
            episodes,
            tasks: self.tasks.len(),
        };
        files::write_info(self.root, &info)?;
        let provenance = json!({
            "about": "each row's capture_time_ns is the time stamp of its picture's message in the episode",
            "exporter": concat!("longrein-episode ", env!("CARGO_PKG_VERSION")),
            "fps": self.options.fps,
            "episodes": self.provenance,
        });
        files::write_json(&self.root.join("meta/provenance.json"), &provenance)?;
        let card = include_str!("card.md")
            .replace("@EPISODES@", &episodes.to_string())
            .replace("@FRAMES@", &self.frames.to_string())
            .replace("@FPS@", &self.options.fps.to_string());
        fs::write(self.root.join("README.md"), card).context("README.md")
    }
}

/// Where an episode comes from, as columns.
fn provenance(source: &Source) -> Vec<(&'static str, String)> {
    let manifest = &source.manifest;
    vec![
        ("episode_id", manifest.episode.to_string()),
        ("manifest_sha256", source.report.manifest_sha256.clone().unwrap_or_default()),
        ("robot_id", manifest.robot.to_string()),
        ("robot_did", manifest.robot_did.to_string()),
        ("driver_did", manifest.driver.did.to_string()),
        (
            "mission_id",
            manifest.mission.as_ref().map(|mission| mission.id.to_string()).unwrap_or_default(),
        ),
    ]
}
