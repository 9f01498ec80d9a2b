//! Stacks side by side.

use serde_json::{Value, json};

/// Frozen times that differ by less than this are equal, s a minute: two pictures.
const FROZEN_EQUAL_S: f64 = 0.07;
/// Ages that differ by less than this are equal, ms.
const AGE_EQUAL_MS: f64 = 1.0;
/// Our own stack, and its other estimator: a choice of ours, and no peer.
const OWN: [&str; 2] = ["longrein", "longrein-gcc"];
/// Why a figure has no meaning for a stack.
const NO_ROBOT: &str = "no robot";
/// The row that says whether a peer is better, and in what.
const VERDICT: &str = "no_peer_better";
const BAR: &str = "frozen time or glass to glass (p95)";

fn name(measured: &Value) -> &str {
    measured["stack"].as_str().unwrap_or_default()
}

fn rows_of(measured: &Value) -> &[Value] {
    measured["rows"].as_array().map_or(&[], Vec::as_slice)
}

fn figure<'a>(measured: &'a Value, id: &str) -> Option<&'a Value> {
    rows_of(measured).iter().find(|row| row["id"] == id)
}

/// A stack that could not be measured, and why.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) stack: &'static str,
    pub(super) why: String,
}

/// The rows of the first stack with those of the others beside them, and what came of it.
pub(super) fn rows(profile: &str, measured: &[Value], failed: &[Failed]) -> Vec<Value> {
    let Some((first, others)) = measured.split_first() else { return Vec::new() };
    let mut rows: Vec<Value> = Vec::new();
    for row in rows_of(first) {
        let id = row["id"].as_str().unwrap_or_default();
        let mut row = row.clone();
        row["id"] = json!(format!("{profile}/{id}"));
        row["peers"] = json!({});
        for other in others {
            row["peers"][name(other)] = match figure(other, id) {
                Some(theirs) if theirs.get("value").is_some() => json!({"value": theirs["value"]}),
                Some(theirs) => {
                    json!({"p50": theirs["p50"], "p95": theirs["p95"], "p99": theirs["p99"]})
                }
                None => json!({"none": NO_ROBOT}),
            };
        }
        rows.push(row);
    }
    let peers: Vec<&Value> = others.iter().filter(|one| !OWN.contains(&name(one))).collect();
    if name(first) == OWN[0] && !(peers.is_empty() && failed.is_empty()) {
        let better = better(first, &peers);
        let missing: Vec<Value> =
            failed.iter().map(|one| json!({"stack": one.stack, "why": one.why})).collect();
        rows.push(json!({
            "id": format!("{profile}/{VERDICT}"), "unit": "", "value": null, "peers": {}, "bar": BAR,
            "holds": better.is_empty() && missing.is_empty(), "better": better, "not_measured": missing,
        }));
    }
    rows
}

/// What came of all profiles; nothing where there was nothing to compare.
pub(super) fn verdict(rows: &[Value]) -> Option<Value> {
    let of = |row: &Value| {
        Some((
            row["id"].as_str()?.strip_suffix(VERDICT)?.strip_suffix('/')?.to_owned(),
            row["holds"] == true,
        ))
    };
    let verdicts: Vec<(String, bool)> = rows.iter().filter_map(of).collect();
    let (good, bad): (Vec<_>, Vec<_>) = verdicts.into_iter().partition(|(_, holds)| *holds);
    let names =
        |list: Vec<(String, bool)>| list.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let (good, bad) = (names(good), names(bad));
    (!good.is_empty() || !bad.is_empty()).then(|| {
        json!({
            "id": VERDICT, "unit": "", "value": null, "peers": {}, "bar": BAR, "holds": bad.is_empty(),
            "holds_on": good, "holds_not_on": bad,
        })
    })
}

/// The same as a line.
pub(super) fn verdict_words(verdict: &Value) -> String {
    let list = |key: &str| {
        let names = verdict[key].as_array().map_or(&[][..], Vec::as_slice);
        names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    match verdict["holds"] == true {
        true => format!("\nNo peer is better in {BAR} on any of: {}", list("holds_on")),
        false => format!(
            "\nA peer is better in {BAR}, or was not measured, on: {}; none is on: {}",
            list("holds_not_on"),
            list("holds_on")
        ),
    }
}

/// Where a peer is better in frozen time or the age of pictures, in words.
fn better(own: &Value, peers: &[&Value]) -> Vec<String> {
    let figures = [
        ("frozen", "value", FROZEN_EQUAL_S, "s a minute frozen"),
        ("glass_to_glass", "p95", AGE_EQUAL_MS, "ms from glass to glass (p95)"),
    ];
    let mut better = Vec::new();
    for peer in peers {
        for (id, key, equal, words) in figures {
            let of = |measured: &Value| figure(measured, id).and_then(|row| row[key].as_f64());
            match (of(own), of(peer)) {
                (Some(ours), Some(theirs)) if theirs < ours - equal => {
                    better.push(format!("{}: {theirs:.1} {words}, ours {ours:.1}", name(peer)));
                }
                (None, Some(theirs)) => {
                    better.push(format!("{}: {theirs:.1} {words}, ours none", name(peer)));
                }
                _ => {}
            }
        }
    }
    better
}

/// A figure of one stack as the table has it.
fn cell(measured: &Value, id: &str, key: &str) -> String {
    let Some(row) = figure(measured, id) else { return NO_ROBOT.to_owned() };
    match row[key].as_f64() {
        Some(v) if v.abs() < 10.0 => format!("{v:.2}"),
        Some(v) => format!("{v:.1}"),
        // What is waited for after the trouble.
        None if id.ends_with("_again") => "never".to_owned(),
        None => "–".to_owned(),
    }
}

/// A table of one profile, a column for each stack, and a line that says whether a peer is better.
pub(super) fn table(profile: &str, words: &str, measured: &[Value], rows: &[Value]) -> String {
    let Some(first) = measured.first() else { return format!("{profile}: nothing was measured") };
    let (seed, seconds) = (&first["seed"], &first["seconds"]);
    let mut lines = vec![format!("\n{profile}: {words} (seed {seed}, {seconds} s)")];
    let heads = measured.iter().map(|one| format!("{:>14}", name(one))).collect::<String>();
    lines.push(format!("{:<24}{:<9}{heads}  bar", "figure", "unit"));
    for row in rows_of(first) {
        let id = row["id"].as_str().unwrap_or_default();
        let keys: &[&str] =
            if row.get("value").is_some() { &["value"] } else { &["p50", "p95", "p99"] };
        for (n, key) in keys.iter().enumerate() {
            let cells = measured.iter().map(|one| format!("{:>14}", cell(one, id, key)));
            let label = if *key == "value" { id.to_owned() } else { format!("{id} {key}") };
            let bar = match (n, row["bar"].as_str()) {
                (0, Some(bar)) if bar != "none" => {
                    format!("  {bar}: {}", if row["holds"] == true { "yes" } else { "NO" })
                }
                _ => String::new(),
            };
            let unit = row["unit"].as_str().unwrap_or_default();
            lines.push(format!("{label:<24}{unit:<9}{}{bar}", cells.collect::<String>()));
        }
    }
    for better in rows.iter().filter_map(|row| row["better"].as_array()) {
        let words: Vec<&str> = better.iter().filter_map(Value::as_str).collect();
        lines.push(match words.is_empty() {
            true => format!("no peer is better in {BAR}"),
            false => format!("BETTER THAN OURS: {}", words.join("; ")),
        });
    }
    for missing in rows.iter().filter_map(|row| row["not_measured"].as_array()).flatten() {
        let of = |key: &str| missing[key].as_str().unwrap_or_default();
        lines.push(format!("NOT MEASURED: {}: {}", of("stack"), of("why")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(stack: &str, frozen: f64, p95: f64) -> Value {
        json!({"stack": stack, "seed": 1, "seconds": 60, "rows": [
            {"id": "glass_to_glass", "unit": "ms", "p50": 20.0, "p95": p95, "p99": 90.0, "bar": "none", "holds": true},
            {"id": "frozen", "unit": "s/min", "value": frozen, "bar": "none", "holds": true},
        ]})
    }

    fn verdict(others: &[Value]) -> (bool, Vec<String>) {
        let mut all = vec![measured("longrein", 1.0, 100.0)];
        all.extend(others.iter().cloned());
        let rows = rows("poor-lte", &all, &[]);
        let last = rows.last().unwrap();
        assert_eq!(last["id"], "poor-lte/no_peer_better");
        (last["holds"] == true, serde_json::from_value(last["better"].clone()).unwrap())
    }

    #[test]
    fn a_peer_that_is_better_in_one_of_the_two_is_named() {
        assert!(verdict(&[measured("aiortc", 2.0, 120.0)]).0);
        assert!(verdict(&[measured("aiortc", 0.95, 99.5)]).0, "a difference that is none");
        let (holds, words) =
            verdict(&[measured("aiortc", 0.5, 120.0), measured("webrtcbin", 3.0, 80.0)]);
        assert!(!holds);
        assert_eq!(words.len(), 2);
        assert!(words[0].contains("aiortc: 0.5 s a minute frozen, ours 1.0"), "{words:?}");
        assert!(words[1].contains("webrtcbin: 80.0 ms"), "{words:?}");
    }

    #[test]
    fn our_other_estimator_is_no_peer_and_no_adaptation_is_one() {
        let gcc = measured("longrein-gcc", 0.0, 50.0);
        let all = [measured("longrein", 1.0, 100.0), gcc.clone()];
        assert!(
            rows("poor-lte", &all, &[]).iter().all(|row| row["id"] != "poor-lte/no_peer_better")
        );
        assert!(verdict(&[gcc, measured("aiortc", 2.0, 120.0)]).0);
        assert!(!verdict(&[measured("longrein-off", 0.0, 50.0)]).0);
    }

    #[test]
    fn figures_of_the_others_stand_beside_ours() {
        let all = [measured("longrein", 1.0, 100.0), measured("aiortc", 2.0, 120.0)];
        let rows = rows("good-lte", &all, &[]);
        assert_eq!(rows[0]["peers"]["aiortc"]["p95"], 120.0);
        assert_eq!(rows[1]["peers"]["aiortc"]["value"], 2.0);
        let table = table("good-lte", "words", &all, &rows);
        assert!(table.contains("no peer is better"), "{table}");
    }

    #[test]
    fn a_figure_without_meaning_says_so_and_what_never_came_too() {
        let mut own = measured("longrein", 1.0, 100.0);
        let again = json!({"id": "pictures_again", "unit": "s", "value": null, "bar": "none", "holds": true});
        let driven = json!({"id": "driven_past_cut", "unit": "m", "value": 0.7, "bar": "none", "holds": true});
        own["rows"].as_array_mut().unwrap().extend([again, driven]);
        let all = [own, measured("aiortc", 2.0, 120.0)];
        let rows = rows("outage-3s", &all, &[]);
        let of = |id: &str| rows.iter().find(|row| row["id"] == format!("outage-3s/{id}")).unwrap();
        assert_eq!(of("driven_past_cut")["peers"]["aiortc"]["none"], "no robot");
        assert_eq!(cell(&all[0], "pictures_again", "value"), "never");
        assert_eq!(cell(&all[1], "driven_past_cut", "value"), "no robot");
        assert_eq!(cell(&all[0], "driven_past_cut", "value"), "0.70");
    }

    #[test]
    fn the_bar_holds_only_where_every_peer_was_measured() {
        let (ours, theirs) = (measured("longrein", 1.0, 100.0), measured("aiortc", 2.0, 120.0));
        let missing = Failed { stack: "webrtcbin", why: "it did not connect".to_owned() };
        let all = [ours, theirs];
        let mut both = rows("clean-lan", &all, &[]);
        assert_eq!(super::verdict(&both).unwrap()["holds"], true);
        let without = rows("poor-lte", &all, &[missing]);
        assert!(
            table("poor-lte", "", &all, &without).contains("NOT MEASURED: webrtcbin: it did not")
        );
        both.extend(without);
        let verdict = super::verdict(&both).unwrap();
        assert_eq!(verdict["holds"], false);
        assert_eq!(
            (&verdict["holds_on"][0], &verdict["holds_not_on"][0]),
            (&json!("clean-lan"), &json!("poor-lte"))
        );
        assert!(super::verdict(&[]).is_none(), "nothing to compare");
    }
}
