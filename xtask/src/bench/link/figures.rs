//! The figures of one run.

use super::measure::{Cut, Run, percentile};
use super::profiles::Profile;
use serde_json::{Value, json};

fn spread(what: &str, values: &[f64]) -> Value {
    let at = |share| percentile(values, share);
    json!({"id": what, "unit": "ms", "p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "bar": "none", "holds": true})
}

fn single(what: &str, unit: &str, value: Option<f64>, bar_max: Option<f64>) -> Value {
    let holds = bar_max.is_none_or(|max| value.is_some_and(|value| value <= max));
    let bar = bar_max.map_or("none".to_owned(), |max| format!("<= {max}"));
    json!({"id": what, "unit": unit, "value": value, "bar": bar, "holds": holds})
}

#[expect(clippy::cast_precision_loss, reason = "one a second")]
const fn count(values: &[f64]) -> f64 {
    values.len() as f64
}

/// All of them, as rows of the benchmark's table. `drives`: the whole system with a robot, and not its link alone.
pub(super) fn rows(profile: &Profile, run: &Run, drives: bool) -> Vec<Value> {
    let (lossy, narrow) = (profile.name == "loss5-240ms", profile.name == "bottleneck");
    let queue = &run.relay["to_driver"]["queue"];
    let (psnr, ssim) = (run.psnr_db(), run.ssim());
    let mut rows = vec![
        spread("glass_to_glass", &run.glass_ms()),
        spread("picture_age", &run.picture_age_ms()),
        single("frozen", "s/min", Some(run.frozen_s_per_min()), lossy.then_some(1.0)),
        single("freeze_longest", "ms", run.freeze_longest_ms(), narrow.then_some(500.0)),
        single("bitrate", "kbit/s", run.bitrate_kbps(), None),
        single("picture_height", "px", run.height_px(), None),
        single("frames_shown", "1/s", Some(run.fps()), None),
        single("psnr", "dB", percentile(&psnr, 0.5), None),
        single("psnr_worst_tenth", "dB", percentile(&psnr, 0.1), None),
        single("ssim", "of 1", percentile(&ssim, 0.5), None),
        single("ssim_worst_tenth", "of 1", percentile(&ssim, 0.1), None),
        single("pictures_compared", "", Some(count(&psnr)), None),
        json!({
            "id": "queue_delay", "unit": "ms", "p50": queue["p50_ms"], "p95": queue["p95_ms"], "p99": queue["p99_ms"],
            "bar": if narrow { "p95 < 150" } else { "none" },
            "holds": !narrow || queue["p95_ms"].as_f64().is_some_and(|ms| ms < 150.0),
        }),
        single("lost_in_queue", "packets", run.lost_in_queue(), None),
        single("machine_idle", "%", Some(run.machine_idle_percent), None),
        spread("command_age", &run.command_age_ms()),
    ];
    if drives {
        rows.push(spread("loop_latency", &run.loop_latency_ms()));
        rows.push(single("robot_speed", "m/s", Some(run.speed_mps()), None));
    }
    if let Some((from_ms, to_ms)) = profile.trouble_ms {
        let cut = Cut { at_ms: run.begun_ms + from_ms, over_ms: run.begun_ms + to_ms };
        rows.push(single("pictures_again", "s", run.pictures_again_s(cut.over_ms), None));
        if narrow {
            rows.push(single("rate_again", "s", run.rate_again_s(cut, 0.8), Some(10.0)));
        }
        if drives && !narrow {
            rows.extend(driven(profile, run, cut));
        }
    }
    rows
}

/// How the robot went through an outage or a change of address.
fn driven(profile: &Profile, run: &Run, cut: Cut) -> Vec<Value> {
    let mut rows = vec![single("drive_again", "s", run.drive_again_s(cut), None)];
    if profile.cuts {
        let stop = run.stop(cut.at_ms);
        rows.push(single("stop_commanded", "ms", stop.map(|stop| stop.0), Some(300.0)));
        rows.push(single("at_rest", "ms", stop.map(|stop| stop.1), Some(1_000.0)));
    }
    rows.push(single("driven_past_cut", "m", run.driven_past_m(cut.at_ms), None));
    rows
}
