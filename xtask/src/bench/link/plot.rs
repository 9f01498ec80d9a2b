//! Plots of one profile: a row for each stack, with rates, queue and age of the picture over time.

use super::profiles::Profile;
use super::svg::{Chart, Column, Drawn, Panel, Pen, render};
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

const CAPACITY: Pen = Pen::Area("#dbe9d8");
const TARGET: Pen = Pen::Steps("#c4620a");
const ARRIVING: Pen = Pen::Line("#0b5cad");
const QUEUE: Pen = Pen::Line("#6639a6");
const AGE: Pen = Pen::Line("#24292f");
const FROZEN: Pen = Pen::Area("#ffd8d3");
/// As `measure` counts freezes, s.
const FREEZE_S: f64 = 0.2;
/// An axis ends here however large the largest is.
const KBPS_MAX: f64 = 5_000.0;
const QUEUE_MS_MAX: f64 = 1_000.0;
const AGE_MS_MAX: f64 = 2_000.0;

fn points(series: &Value) -> Vec<(f64, f64)> {
    let list = series.as_array().map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(|pair| Some((pair[0].as_f64()?, pair[1].as_f64()?))).collect()
}

/// The greatest age of what is on the screen in each tenth of a second, and when it stood.
fn age(pictures: &Value) -> Panel {
    let (mut oldest, mut shaded) = (BTreeMap::new(), Vec::new());
    for picture in pictures.as_array().map_or(&[][..], Vec::as_slice) {
        let (Some(from), Some(to)) = (picture[0].as_f64(), picture[1].as_f64()) else { continue };
        if to - from > FREEZE_S {
            shaded.push((from, to));
        }
        let Some(first) = picture[2].as_f64() else { continue };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "tenths of seconds since the beginning"
        )]
        let tenth = |at: f64| (at * 10.0) as u32;
        for n in tenth(from)..=tenth(to) {
            let age = first + (to.min(f64::from(n + 1) / 10.0) - from) * 1e3;
            let before = oldest.entry(n).or_insert(age);
            *before = before.max(age);
        }
    }
    let points = oldest.into_iter().map(|(n, age)| (f64::from(n) / 10.0, age)).collect();
    Panel { series: vec![Drawn { pen: AGE, points }], shaded }
}

/// The three panels of a stack.
fn row(measured: &Value) -> (String, Vec<Panel>) {
    let series = &measured["series"];
    let drawn = |pen, key: &str| Drawn { pen, points: points(&series[key]) };
    let rates = Panel {
        series: vec![
            drawn(CAPACITY, "capacity_kbps"),
            drawn(ARRIVING, "arriving_kbps"),
            drawn(TARGET, "target_kbps"),
        ],
        shaded: Vec::new(),
    };
    let queue = Panel { series: vec![drawn(QUEUE, "queue_ms")], shaded: Vec::new() };
    let name = measured["stack"].as_str().unwrap_or_default().to_owned();
    (name, vec![rates, queue, age(&series["pictures"])])
}

/// A round upper end for all panels of a column.
fn max_of(
    rows: &[(String, Vec<Panel>)],
    column: usize,
    pens: &[Pen],
    least: f64,
    most: f64,
) -> f64 {
    let panels = rows.iter().filter_map(|(_, panels)| panels.get(column));
    let drawn = panels.flat_map(|panel| &panel.series).filter(|drawn| pens.contains(&drawn.pen));
    let largest = drawn.flat_map(|drawn| &drawn.points).map(|(_, y)| *y).fold(0.0, f64::max);
    (largest * 1.05).clamp(least, most)
}

/// The plot of a profile.
fn chart(profile: &Profile, measured: &[Value]) -> Chart {
    let mut rows: Vec<_> = measured.iter().map(row).collect();
    let seconds = measured.first().and_then(|one| one["seconds"].as_f64()).unwrap_or(60.0);
    let (sent, queued, aged) = ([TARGET, ARRIVING], [QUEUE], [AGE]);
    let mut columns = vec![
        Column {
            title: "Rate".to_owned(),
            unit: "kbit/s",
            max: max_of(&rows, 0, &sent, 1_000.0, KBPS_MAX),
            legend: vec![(CAPACITY, "capacity"), (ARRIVING, "arriving"), (TARGET, "target")],
        },
        Column {
            title: "Delay in the bottleneck's queue".to_owned(),
            unit: "ms",
            max: max_of(&rows, 1, &queued, 50.0, QUEUE_MS_MAX),
            legend: Vec::new(),
        },
        Column {
            title: "Age of the picture on the screen, at most".to_owned(),
            unit: "ms",
            max: max_of(&rows, 2, &aged, 100.0, AGE_MS_MAX),
            legend: vec![(FROZEN, "stands for more than 200 ms")],
        },
    ];
    if measured.iter().all(|one| points(&one["series"]["capacity_kbps"]).is_empty()) {
        // A path without a bottleneck has no queue.
        columns[0].legend.retain(|(pen, _)| *pen != CAPACITY);
        columns.remove(1);
        for (_, panels) in &mut rows {
            panels.remove(1);
        }
    }
    Chart { title: format!("{}: {}", profile.name, profile.words), seconds, columns, rows }
}

/// Writes the plot of a profile into a folder.
pub(super) fn draw(profile: &Profile, measured: &[Value], folder: &Path) -> Result<()> {
    if measured.is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{}.svg", profile.name));
    std::fs::write(&path, render(&chart(profile, measured)))
        .with_context(|| format!("could not write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_age_grows_until_the_next_picture_and_a_long_one_is_shaded() {
        let panel = age(&json!([[0.0, 0.03, 40.0], [0.03, 0.45, 42.0], [0.45, 0.6, null]]));
        let points: Vec<(f64, f64)> =
            panel.series[0].points.iter().map(|(at, age)| (*at, age.round())).collect();
        assert_eq!(points, [(0.0, 112.0), (0.1, 212.0), (0.2, 312.0), (0.3, 412.0), (0.4, 462.0)]);
        assert_eq!(panel.shaded, [(0.03, 0.45)]);
    }

    #[test]
    fn all_stacks_of_a_plot_have_the_same_axes() {
        let profile = Profile {
            name: "poor-lte".to_owned(),
            words: "bad".to_owned(),
            seconds: 60,
            trouble_ms: None,
            cuts: false,
        };
        let of = |stack: &str, kbps: f64| {
            json!({"stack": stack, "seconds": 60, "series": {
                "arriving_kbps": [[0.2, kbps]], "capacity_kbps": [[0.2, 90_000.0]], "queue_ms": [[0.2, 5.0]], "pictures": [],
            }})
        };
        let chart = chart(&profile, &[of("longrein", 900.0), of("aiortc", 2_000.0)]);
        assert_eq!(chart.columns[0].max, 2_100.0, "the largest that was sent, not the capacity");
        assert_eq!(chart.columns[1].max, 50.0, "at least");
        assert_eq!((chart.rows.len(), chart.rows[0].1.len()), (2, 3));
    }

    #[test]
    fn a_path_without_a_bottleneck_has_no_plot_of_its_queue() {
        let series = json!({"arriving_kbps": [[0.2, 900.0]], "queue_ms": [[0.2, 0.0]]});
        let measured = json!({"stack": "aiortc", "seconds": 30, "series": series});
        let chart = chart(&super::super::profiles::tests::clean_lan(), &[measured]);
        assert_eq!((chart.columns.len(), chart.rows[0].1.len()), (2, 2));
        assert_eq!(chart.columns[1].title, "Age of the picture on the screen, at most");
    }
}
