//! The features of a dataset: names, shapes, and columns.

use super::grid::Row;
use super::stats::{self, Stats};
use super::table::{Column, Shape, Values};
use crate::video::transcode::{KEYFRAME_EVERY, QUALITY};
use serde_json::{Map, Value, json};

/// How a feature's values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dtype {
    F32,
    F64,
    I64,
    Bool,
}

type Read = fn(&Row) -> Vec<f64>;

struct Feature {
    name: &'static str,
    dtype: Dtype,
    /// Names of its components; empty for a scalar.
    components: &'static [&'static str],
    read: Read,
}

/// Every feature of a row but the pictures and the five indices. Integers up to 2^53 pass through `f64`; capture
/// times don't and are written apart.
const FEATURES: &[Feature] = &[
    Feature {
        name: "observation.state",
        dtype: Dtype::F32,
        components: &[
            "linear_mps",
            "angular_radps",
            "heading_sin",
            "heading_cos",
            "odom_x_m",
            "odom_y_m",
        ],
        read: |row| row.state.to_vec(),
    },
    Feature {
        name: "observation.gnss",
        dtype: Dtype::F64,
        components: &["lat_deg", "lon_deg", "alt_m"],
        read: |row| row.gnss.to_vec(),
    },
    Feature {
        name: "observation.local_m",
        dtype: Dtype::F32,
        components: &["east_m", "north_m"],
        read: |row| row.local_m.to_vec(),
    },
    Feature {
        name: "observation.gnss_quality",
        dtype: Dtype::F32,
        components: &["h_acc_m", "fix_type"],
        read: |row| row.gnss_quality.to_vec(),
    },
    Feature {
        name: "action",
        dtype: Dtype::F32,
        components: &["linear_mps", "angular_radps"],
        read: |row| row.action.to_vec(),
    },
    Feature {
        name: "executed_action",
        dtype: Dtype::F32,
        components: &["linear_mps", "angular_radps"],
        read: |row| row.executed.to_vec(),
    },
    Feature {
        name: "intervention",
        dtype: Dtype::Bool,
        components: &[],
        read: |row| vec![f64::from(u8::from(row.intervention))],
    },
    Feature {
        name: "camera_age_ms",
        dtype: Dtype::F32,
        components: &[],
        read: |row| vec![row.camera_age_ms],
    },
    Feature {
        name: "loop_latency_ms",
        dtype: Dtype::F32,
        components: &[],
        read: |row| vec![row.loop_latency_ms],
    },
    Feature {
        name: "safety_state",
        dtype: Dtype::I64,
        components: &[],
        read: |row| vec![safety_state(row)],
    },
];

fn safety_state(row: &Row) -> f64 {
    i32::try_from(row.safety_state).map_or(0.0, f64::from)
}

/// Where an episode stands in the dataset.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its number.
    pub episode: i64,
    /// Number of its first row among all.
    pub first_row: i64,
    /// Number of its task.
    pub task: i64,
    /// Rows a second.
    pub fps: u32,
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "float32 is the format"
)]
const fn f32_of(value: f64) -> f32 {
    value as f32
}

/// `frame / fps`, rounded once, as every reader computes it.
fn timestamp(frame: usize, fps: u32) -> f64 {
    u32::try_from(frame).map_or(f64::MAX, f64::from) / f64::from(fps)
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "small numbers that came from integers"
)]
const fn i64_of(value: f64) -> i64 {
    value as i64
}

fn values(dtype: Dtype, flat: Vec<f64>) -> Values {
    match dtype {
        Dtype::F32 => Values::F32(flat.into_iter().map(f32_of).collect()),
        Dtype::F64 => Values::F64(flat),
        Dtype::I64 => Values::I64(flat.into_iter().map(i64_of).collect()),
        Dtype::Bool => Values::Bool(flat.into_iter().map(|value| value != 0.0).collect()),
    }
}

/// The columns of an episode's row group.
pub fn columns(rows: &[Row], place: Place) -> Vec<Column> {
    let mut columns: Vec<Column> = FEATURES
        .iter()
        .map(|feature| {
            let shape = match feature.components.len() {
                0 => Shape::Scalar,
                len => Shape::List(len),
            };
            let flat = rows.iter().flat_map(feature.read).collect();
            Column::new(feature.name, shape, values(feature.dtype, flat))
        })
        .collect();
    let mut scalar = |name, values| columns.push(Column::new(name, Shape::Scalar, values));
    let frames = || 0..rows.len();
    let number = |frame: usize| i64::try_from(frame).unwrap_or(i64::MAX);
    scalar("capture_time_ns", Values::I64(rows.iter().map(|row| row.capture_time_ns).collect()));
    scalar("next.done", Values::Bool(frames().map(|frame| frame + 1 == rows.len()).collect()));
    let times = frames().map(|frame| f32_of(timestamp(frame, place.fps))).collect();
    scalar("timestamp", Values::F32(times));
    scalar("frame_index", Values::I64(frames().map(number).collect()));
    scalar("episode_index", Values::I64(vec![place.episode; rows.len()]));
    let index = frames().map(|frame| place.first_row + number(frame)).collect();
    scalar("index", Values::I64(index));
    scalar("task_index", Values::I64(vec![place.task; rows.len()]));
    columns
}

/// Statistics of an episode's columns, by feature.
pub fn statistics(columns: &[Column]) -> Vec<(String, Stats)> {
    columns
        .iter()
        .map(|column| {
            let width = match column.shape {
                Shape::Scalar => 1,
                Shape::List(len) | Shape::Image(len) => len,
            };
            let flat: Vec<f64> = match &column.values {
                Values::F32(values) => values.iter().map(|value| f64::from(*value)).collect(),
                Values::F64(values) => values.clone(),
                Values::I64(values) => values.iter().map(|value| f64_of(*value)).collect(),
                Values::Bool(values) => values.iter().map(|v| f64::from(u8::from(*v))).collect(),
                Values::Text(_) => Vec::new(),
            };
            (column.name.clone(), stats::of_rows(width, flat.chunks_exact(width)))
        })
        .collect()
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "statistics of times are rounded"
)]
const fn f64_of(value: i64) -> f64 {
    value as f64
}

/// Feature of the camera `name`.
pub fn camera_feature(name: &str) -> String {
    format!("observation.images.{name}")
}

/// A camera of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Camera {
    /// Its name on the robot.
    pub name: String,
    /// Width and height.
    pub size: (u16, u16),
    /// Whether its video is as it was recorded.
    pub copied: bool,
}

/// `features` of `info.json`.
pub fn describe(cameras: &[Camera], fps: u32) -> Value {
    let mut features = Map::new();
    for one in cameras {
        features.insert(camera_feature(&one.name), camera(one, fps));
    }
    for feature in FEATURES {
        let dtype = match feature.dtype {
            Dtype::F32 => "float32",
            Dtype::F64 => "float64",
            Dtype::I64 => "int64",
            Dtype::Bool => "bool",
        };
        let described = match feature.components {
            [] => json!({"dtype": dtype, "shape": [1], "names": null}),
            names => json!({"dtype": dtype, "shape": [names.len()], "names": names}),
        };
        features.insert(feature.name.to_owned(), described);
    }
    for (name, dtype) in [
        ("capture_time_ns", "int64"),
        ("next.done", "bool"),
        ("timestamp", "float32"),
        ("frame_index", "int64"),
        ("episode_index", "int64"),
        ("index", "int64"),
        ("task_index", "int64"),
    ] {
        features.insert(name.to_owned(), json!({"dtype": dtype, "shape": [1], "names": null}));
    }
    Value::Object(features)
}

fn camera(camera: &Camera, fps: u32) -> Value {
    let (width, height) = camera.size;
    // How the robot's encoder was set is not known here.
    let ours = |value: Value| if camera.copied { Value::Null } else { value };
    json!({
        "dtype": "video",
        "shape": [height, width, 3],
        "names": ["height", "width", "channels"],
        "info": {
            "video.height": height,
            "video.width": width,
            "video.codec": "h264",
            "video.pix_fmt": "yuv420p",
            "video.fps": fps,
            "video.channels": 3,
            "has_audio": false,
            "video.g": ours(json!(KEYFRAME_EVERY)),
            "video.crf": ours(json!(QUALITY)),
            "video.preset": ours(json!("veryfast")),
            "video.fast_decode": 0,
            "video.video_backend": "pyav",
            "video.extra_options": {},
            "is_depth_map": false,
        },
    })
}
