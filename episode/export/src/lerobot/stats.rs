//! Statistics of features: of one episode, and of all episodes together.

use crate::video::transcode::Picture;
use serde_json::{Value, json};

/// Quantiles that every feature has, in percent.
pub const QUANTILES: [usize; 5] = [1, 10, 50, 90, 99];
/// Pictures wider or higher than this are thinned out to about half of it.
const SIDE_MAX: usize = 300;
const SIDE_WANTED: usize = 150;

/// Statistics of one feature, one value for each of its components.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// Smallest.
    pub min: Vec<f64>,
    /// Largest.
    pub max: Vec<f64>,
    /// Mean.
    pub mean: Vec<f64>,
    /// Standard deviation of the population.
    pub std: Vec<f64>,
    /// [`QUANTILES`].
    pub quantiles: [Vec<f64>; 5],
    /// Rows, or sampled pictures.
    pub count: u64,
    /// Whether the feature is a camera: its values are shaped (3, 1, 1).
    pub camera: bool,
}

fn count_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// Statistics of the rows of a feature. NaN is unknown and counts nowhere; a component that is never known is 0.
pub fn of_rows<'a>(width: usize, rows: impl Iterator<Item = &'a [f64]> + Clone) -> Stats {
    let mut stats = Stats {
        min: Vec::new(),
        max: Vec::new(),
        mean: Vec::new(),
        std: Vec::new(),
        quantiles: Default::default(),
        count: u64::try_from(rows.clone().count()).unwrap_or(u64::MAX),
        camera: false,
    };
    for component in 0..width {
        let mut values: Vec<f64> = rows
            .clone()
            .filter_map(|row| row.get(component).copied())
            .filter(|value| !value.is_nan())
            .collect();
        values.sort_by(f64::total_cmp);
        let count = count_f64(values.len().max(1));
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        stats.min.push(values.first().copied().unwrap_or(0.0));
        stats.max.push(values.last().copied().unwrap_or(0.0));
        stats.mean.push(mean);
        stats.std.push(variance.sqrt());
        for (list, percent) in stats.quantiles.iter_mut().zip(QUANTILES) {
            list.push(quantile(&values, percent));
        }
    }
    stats
}

/// Linear between neighbours, as numpy does by default.
fn quantile(sorted: &[f64], percent: usize) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let (index, part) = (last * percent / 100, count_f64(last * percent % 100) / 100.0);
    let low = sorted.get(index).copied().unwrap_or(0.0);
    let high = sorted.get(index + 1).copied().unwrap_or(low);
    low + (high - low) * part
}

impl Stats {
    /// All episodes together: extremes of the extremes, weighted mean and variance, and for quantiles the outer
    /// ones (the least below the middle, the greatest above).
    pub fn aggregate(all: &[&Self]) -> Option<Self> {
        let first = *all.first()?;
        let width = first.mean.len();
        let total = all.iter().map(|stats| stats.count).sum::<u64>();
        let weight = |stats: &Self| {
            let part = u32::try_from(stats.count).map_or(f64::MAX, f64::from);
            part / u32::try_from(total).map_or(f64::MAX, f64::from).max(1.0)
        };
        let fold = |pick: &dyn Fn(&Self) -> &Vec<f64>, join: fn(f64, f64) -> f64| -> Vec<f64> {
            (0..width)
                .map(|c| all.iter().map(|stats| pick(stats)[c]).reduce(join).unwrap_or(0.0))
                .collect()
        };
        let mean: Vec<f64> =
            (0..width).map(|c| all.iter().map(|s| weight(s) * s.mean[c]).sum()).collect();
        let std = (0..width)
            .map(|c| {
                let spread = |s: &&Self| s.std[c].powi(2) + (s.mean[c] - mean[c]).powi(2);
                all.iter().map(|s| weight(s) * spread(s)).sum::<f64>().sqrt()
            })
            .collect();
        let quantiles = std::array::from_fn(|q| {
            let join = if QUANTILES[q] <= 50 { f64::min } else { f64::max };
            fold(&|stats| &stats.quantiles[q], join)
        });
        Some(Self {
            min: fold(&|stats| &stats.min, f64::min),
            max: fold(&|stats| &stats.max, f64::max),
            mean,
            std,
            quantiles,
            count: total,
            camera: first.camera,
        })
    }

    /// Names and values in the order of the format.
    pub fn lists(&self) -> [(&'static str, &Vec<f64>); 9] {
        let [q01, q10, q50, q90, q99] = &self.quantiles;
        [
            ("min", &self.min),
            ("max", &self.max),
            ("mean", &self.mean),
            ("std", &self.std),
            ("q01", q01),
            ("q10", q10),
            ("q50", q50),
            ("q90", q90),
            ("q99", q99),
        ]
    }

    /// As `stats.json` has it.
    pub fn to_json(&self) -> Value {
        let mut object = serde_json::Map::new();
        for (name, values) in self.lists() {
            let value = if self.camera {
                values.iter().map(|value| json!([[value]])).collect()
            } else {
                json!(values)
            };
            object.insert(name.to_owned(), value);
        }
        object.insert("count".to_owned(), json!([self.count]));
        Value::Object(object)
    }
}

/// Gathers statistics of a camera from a part of its pictures.
pub struct PictureStats {
    every: usize,
    pictures: u64,
    /// How often each value of red, green and blue occurs.
    histogram: [[u64; 256]; 3],
}

impl PictureStats {
    /// For `frames` frames: all of the first hundred, and `frames^0.75` of many.
    pub fn new(frames: usize) -> Self {
        let power = count_f64(frames).powf(0.75);
        // Never more than 10,000 and never less than 100, as lerobot itself samples.
        let wanted = (100..=10_000_usize).rev().find(|n| count_f64(*n) <= power).unwrap_or(100);
        Self { every: (frames / wanted).max(1), pictures: 0, histogram: [[0; 256]; 3] }
    }

    /// Counts a picture, if it is one of the sample.
    pub fn picture(&mut self, picture: &Picture<'_>) {
        if !picture.frame.is_multiple_of(self.every) {
            return;
        }
        self.pictures += 1;
        let side = picture.width.max(picture.height);
        let step = if side >= SIDE_MAX { side.div_ceil(SIDE_WANTED) } else { 1 };
        let at = |plane: usize, x: usize, y: usize| {
            let (bytes, stride) = picture.planes[plane];
            bytes.get(y * stride + x).copied().unwrap_or(128)
        };
        for y in (0..picture.height).step_by(step) {
            for x in (0..picture.width).step_by(step) {
                let rgb = rgb(at(0, x, y), at(1, x / 2, y / 2), at(2, x / 2, y / 2));
                for (histogram, value) in self.histogram.iter_mut().zip(rgb) {
                    histogram[usize::from(value)] += 1;
                }
            }
        }
    }

    /// The statistics, values from 0 to 1.
    pub fn finish(self) -> Stats {
        let mut stats = Stats {
            min: Vec::new(),
            max: Vec::new(),
            mean: Vec::new(),
            std: Vec::new(),
            quantiles: Default::default(),
            count: self.pictures,
            camera: true,
        };
        for histogram in &self.histogram {
            let total = histogram.iter().sum::<u64>().max(1);
            let values = || (0_u8..=255).map(|v| f64::from(v) / 255.0).zip(histogram);
            let share = |count: &u64| {
                u32::try_from(*count).map_or(f64::MAX, f64::from)
                    / u32::try_from(total).map_or(f64::MAX, f64::from)
            };
            let mean = values().map(|(value, count)| value * share(count)).sum::<f64>();
            let variance =
                values().map(|(v, count)| (v - mean).powi(2) * share(count)).sum::<f64>();
            let seen = || values().filter(|(_, count)| **count > 0).map(|(value, _)| value);
            stats.min.push(seen().next().unwrap_or(0.0));
            stats.max.push(seen().next_back().unwrap_or(0.0));
            stats.mean.push(mean);
            stats.std.push(variance.max(0.0).sqrt());
            for (list, percent) in stats.quantiles.iter_mut().zip(QUANTILES) {
                let wanted = total * u64::try_from(percent).unwrap_or(0) / 100;
                let mut below = 0;
                let found = values().find(|(_, count)| {
                    below += **count;
                    below > wanted
                });
                list.push(found.map_or(1.0, |(value, _)| value));
            }
        }
        stats
    }
}

/// BT.709, limited range, in 10-bit fixed point.
fn rgb(y: u8, u: u8, v: u8) -> [u8; 3] {
    let (y, u, v) = (i32::from(y) - 16, i32::from(u) - 128, i32::from(v) - 128);
    let clamp = |value: i32| u8::try_from((value >> 10).clamp(0, 255)).unwrap_or(0);
    [clamp(1192 * y + 1836 * v), clamp(1192 * y - 218 * u - 546 * v), clamp(1192 * y + 2163 * u)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_of_known_numbers() {
        let rows: Vec<[f64; 2]> = (0..=100).map(|i| [f64::from(i), f64::NAN]).collect();
        let stats = of_rows(2, rows.iter().map(|row| row.as_slice()));
        assert_eq!((stats.min[0], stats.max[0], stats.mean[0]), (0.0, 100.0, 50.0));
        assert!((stats.std[0] - 850_f64.sqrt()).abs() < 1e-9);
        assert_eq!(stats.quantiles.clone().map(|q| q[0]), [1.0, 10.0, 50.0, 90.0, 99.0]);
        assert_eq!((stats.min[1], stats.std[1], stats.count), (0.0, 0.0, 101));
        let both = Stats::aggregate(&[&stats, &stats]).unwrap();
        assert!((both.std[0] - stats.std[0]).abs() < 1e-9);
        assert_eq!(both.count, 202);
    }

    #[test]
    fn white_is_white_and_black_is_black() {
        assert_eq!(rgb(235, 128, 128), [254, 254, 254]);
        assert_eq!(rgb(16, 128, 128), [0, 0, 0]);
        assert_eq!(rgb(0, 128, 128), [0, 0, 0]);
    }
}
