//! Export as LeRobotDataset v3.0.

pub mod drift;
pub mod features;
pub mod files;
pub mod grid;
pub mod series;
pub mod stats;
pub mod table;
pub mod video_index;

use crate::progress::Progress;
use crate::video::{self, copy, transcode};
use anyhow::{Context, bail, ensure};
use drift::Drift;
use episode::{Manifest, Report};
use features::{Camera, Place};
use files::{DataFiles, EpisodeEntry, Info};
use grid::{Clock, Grid};
use protocol::dsse::Envelope;
use serde::Serialize;
use serde_json::{Value, json};
use series::Telemetry;
use stats::{PictureStats, Stats};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use video_index::{Picture, VideoIndex};

/// Rows a second when nobody says: fewer and smaller files, and times that stay exact in `float32`.
pub const FPS: u32 = 10;
/// The task of a drive that was for no mission.
const FREE_DRIVE: &str = "Drive freely";
/// What the dataset's card says of its rows.
const GRID_ROWS: &str = "Rows stand at a constant rate.";
const COPIED_ROWS: &str = "Rows stand at the captures of the @MAIN@ camera's pictures, whose video is as the robot \
    recorded it. `timestamp` counts them at the camera's nominal rate; the true times are in `capture_time_ns`, and \
    `copied_video` of `meta/provenance.json` says how far the two run apart.";

/// What to export.
#[derive(Debug, Clone)]
pub struct Options {
    /// Rows a second; `None`: [`FPS`], or the camera's own rate when its video is copied.
    pub fps: Option<u32>,
    /// The cameras to export; none named: all.
    pub cameras: Vec<String>,
    /// Takes the main camera's video as it was recorded, one row a picture.
    pub copy_video: bool,
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
    /// What a user should know.
    pub warnings: Vec<String>,
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
    ensure!(options.fps.is_none_or(|fps| (1..=240).contains(&fps)), "--fps must be from 1 to 240");
    let mut seen = BTreeSet::new();
    for source in sources {
        ensure!(
            seen.insert(source.manifest.episode),
            "{}: this episode is given twice",
            source.dir.display()
        );
    }
    video::init()?;
    let started = Instant::now();
    let root = crate::output::Staged::create(out)?;
    let mut dataset = Dataset::new(root.path(), options);
    for source in sources {
        dataset.add(source, progress).with_context(|| source.dir.display().to_string())?;
    }
    let (frames, cameras) = (dataset.frames, dataset.camera_names());
    let (fps, warnings) = (dataset.fps()?, std::mem::take(&mut dataset.warnings));
    dataset.finish()?;
    root.finish()?;
    let seconds = started.elapsed().as_secs_f64();
    let pictures = frames * u64::try_from(cameras.len()).unwrap_or(1);
    Ok(Exported {
        format: "lerobot-v3.0",
        path: out.to_owned(),
        episodes: u64::try_from(sources.len()).unwrap_or(u64::MAX),
        frames,
        fps,
        cameras,
        warnings,
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
    cameras: Vec<Camera>,
    /// Known from the start, or from the first video that is copied.
    fps: Option<u32>,
    frames: u64,
    provenance: Vec<Value>,
    warnings: Vec<String>,
}

/// One camera's part of an episode.
struct Shot<'a> {
    camera: &'a str,
    video: &'a VideoIndex,
    /// For each row the index of its picture.
    shown: &'a [usize],
    path: PathBuf,
}

impl Shot<'_> {
    fn pictures(&self) -> anyhow::Result<Vec<Picture>> {
        let pictures = self.video.pictures();
        let shown = self.shown.iter().map(|index| pictures.get(*index).copied());
        shown.collect::<Option<Vec<_>>>().context("no such picture")
    }

    fn units(&self) -> anyhow::Result<video_index::Units> {
        self.video.units(self.shown.first().copied().context("no rows")?)
    }
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
            fps: options.fps.or((!options.copy_video).then_some(FPS)),
            frames: 0,
            provenance: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn camera_names(&self) -> Vec<String> {
        self.cameras.iter().map(|camera| camera.name.clone()).collect()
    }

    fn fps(&self) -> anyhow::Result<u32> {
        self.fps.context("the frame rate is not known")
    }

    fn task(&mut self, task: &str) -> anyhow::Result<i64> {
        let index = self.tasks.iter().position(|known| known == task).unwrap_or_else(|| {
            self.tasks.push(task.to_owned());
            self.tasks.len() - 1
        });
        Ok(i64::try_from(index)?)
    }

    fn add(&mut self, source: &Source, progress: &Progress) -> anyhow::Result<()> {
        let manifest = &source.manifest;
        let telemetry = Telemetry::read(&source.dir, manifest.epoch, &self.options.cameras)?;
        let mut names: Vec<String> = telemetry.cameras.keys().cloned().collect();
        names.sort_by_key(|name| (name != "front", name.clone()));
        let copies = self.options.copy_video;
        let clock = if copies { Clock::MainCamera } else { Clock::Rate(self.fps()?) };
        let grid = grid::sample(&telemetry, &names, clock)?;
        let length = u64::try_from(grid.rows.len())?;
        progress.add(length * u64::try_from(names.len())?);
        let index = u64::try_from(self.entries.len())?;
        let (mut cameras, mut picture_stats) = (Vec::new(), Vec::new());
        let mut drift = None;
        for (number, (camera, shown)) in names.iter().zip(&grid.shown).enumerate() {
            let video = telemetry.cameras.get(camera).context("no such camera")?;
            let path = self.root.join(files::video_path(camera, index));
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
            }
            let shot = Shot { camera, video, shown, path };
            let (size, stats) = if copies && number == 0 {
                let (size, stats, of_video) = self.copy(&shot, &grid, progress)?;
                drift = Some(of_video);
                (size, stats)
            } else {
                self.transcode(&shot, progress)?
            };
            cameras.push(Camera { name: camera.clone(), size, copied: copies && number == 0 });
            picture_stats.push((features::camera_feature(camera), stats));
        }
        self.same_cameras(cameras)?;
        let mission = manifest.mission.as_ref();
        let task = mission.map_or(FREE_DRIVE, |mission| mission.name.as_str()).to_owned();
        let place = Place {
            episode: i64::try_from(index)?,
            first_row: i64::try_from(self.frames)?,
            task: self.task(&task)?,
            fps: self.fps()?,
        };
        let columns = features::columns(&grid.rows, place);
        let data = self.data.write(&columns)?;
        let mut stats = features::statistics(&columns);
        stats.extend(picture_stats);
        let provenance = provenance(source);
        let mut json = provenance_json(source, index, grid.start_ns, &provenance)?;
        if let (Some(drift), Some(entry)) = (drift, json.as_object_mut()) {
            entry.insert("copied_video".into(), serde_json::to_value(drift)?);
        }
        self.provenance.push(json);
        let first_row = self.frames;
        self.entries.push(EpisodeEntry { task, length, first_row, data, stats, provenance });
        self.frames += length;
        Ok(())
    }

    /// Decodes and encodes a camera's pictures onto the rows.
    fn transcode(
        &self,
        shot: &Shot<'_>,
        progress: &Progress,
    ) -> anyhow::Result<((u16, u16), Stats)> {
        let shown: Vec<usize> = shot.pictures()?.iter().map(|picture| picture.unit).collect();
        let mut stats = PictureStats::new(shown.len());
        let job = transcode::Job { path: &shot.path, fps: self.fps()?, shown: &shown };
        let size = transcode::transcode(&job, shot.units()?, |picture| {
            stats.picture(&picture);
            progress.step();
        })
        .with_context(|| format!("camera {}", shot.camera))?;
        Ok((size, stats.finish()))
    }

    /// Takes the main camera's video as it was recorded: its rate becomes the dataset's.
    fn copy(
        &mut self,
        shot: &Shot<'_>,
        grid: &Grid,
        progress: &Progress,
    ) -> anyhow::Result<((u16, u16), Stats, Drift)> {
        let pictures = shot.pictures()?;
        let units: Vec<usize> = pictures.iter().map(|picture| picture.unit).collect();
        let keyframes = pictures.iter().filter(|picture| picture.keyframe).count();
        let mut stats = PictureStats::new(keyframes);
        let job = copy::Job {
            path: &shot.path,
            fps: self.options.fps,
            measured_fps: video_index::measured_fps(&pictures).context("only one picture")?,
            units: &units,
            keyframes,
        };
        let show = |picture: transcode::Picture<'_>| stats.picture(&picture);
        let copied = copy::copy(&job, shot.units()?, show, || progress.step())
            .with_context(|| format!("camera {}", shot.camera))?;
        let fps = *self.fps.get_or_insert(copied.fps);
        ensure!(
            fps == copied.fps,
            "its camera gives {} pictures a second, that of the first episode {fps}: export it into a dataset of its \
             own, or leave --copy-video out",
            copied.fps
        );
        let span = units.last().zip(units.first()).map_or(0, |(last, first)| last - first + 1);
        let drift = Drift::of(&grid.rows, copied.fps, u64::try_from(span - units.len())?);
        if let Some(refusal) = drift.refusal() {
            bail!(refusal);
        }
        self.warnings.extend(drift.warning());
        Ok((copied.size, stats.finish(), drift))
    }

    fn same_cameras(&mut self, cameras: Vec<Camera>) -> anyhow::Result<()> {
        if self.cameras.is_empty() {
            self.cameras = cameras;
        } else if self.cameras != cameras {
            let words = |cameras: &[Camera]| {
                let one = |c: &Camera| format!("{} {}x{}", c.name, c.size.0, c.size.1);
                cameras.iter().map(one).collect::<Vec<_>>().join(", ")
            };
            bail!(
                "its cameras ({}) are not those of the first episode ({}): all episodes of a dataset have the same \
                 features; choose common ones with --cameras, or export it into a dataset of its own",
                words(&cameras),
                words(&self.cameras)
            );
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        let (cameras, fps) = (self.camera_names(), self.fps()?);
        self.data.finish()?;
        files::write_episodes(self.root, &self.entries, &cameras, fps)?;
        files::write_tasks(self.root, &self.tasks)?;
        files::write_stats(self.root, &self.entries)?;
        let episodes = u64::try_from(self.entries.len())?;
        let info = Info {
            robot_type: &self.options.robot_type,
            fps,
            cameras: &self.cameras,
            frames: self.frames,
            episodes,
            tasks: self.tasks.len(),
        };
        files::write_info(self.root, &info)?;
        let provenance = json!({
            "about": "each row's capture_time_ns is the time stamp of its picture's message in the episode",
            "exporter": concat!("longrein-episode ", env!("CARGO_PKG_VERSION")),
            "fps": fps,
            "episodes": self.provenance,
        });
        files::write_json(&self.root.join("meta/provenance.json"), &provenance)?;
        let card = include_str!("card.md")
            .replace("@EPISODES@", &episodes.to_string())
            .replace("@FRAMES@", &self.frames.to_string())
            .replace("@FPS@", &fps.to_string())
            .replace("@ROWS@", if self.options.copy_video { COPIED_ROWS } else { GRID_ROWS })
            .replace("@MAIN@", cameras.first().map_or("", String::as_str));
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

fn provenance_json(
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
