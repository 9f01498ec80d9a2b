//! Stacks side by side.

use serde_json::{Value, json};

/// Frozen times that differ by less than this are equal, s a minute: two pictures.
const FROZEN_EQUAL_S: f64 = 0.07;
/// Ages that differ by less than this are equal, ms.
const AGE_EQUAL_MS: f64 = 1.0;
/// Our own stack, and its other estimator: a choice of ours, and no peer.
const OWN: [&str; 2] = ["longrein", "longrein-gcc"];

fn name(measured: &Value) -> &str {
    measured["stack"].as_str().unwrap_or_default()
}

fn rows_of(measured: &Value) -> &[Value] {
    measured["rows"].as_array().map_or(&[], Vec::as_slice)
}

fn figure<'a>(measured: &'a Value, id: &str) -> Option<&'a Value> {
    rows_of(measured).iter().find(|row| row["id"] == id)
}

/// The rows of the first stack with those of the others beside them, and what came of it.
pub(super) fn rows(profile: &str, measured: &[Value]) -> Vec<Value> {
    let Some((first, others)) = measured.split_first() else { return Vec::new() };
    let mut rows: Vec<Value> = Vec::new();
    for row in rows_of(first) {
        let id = row["id"].as_str().unwrap_or_default();
        let mut row = row.clone();
        row["id"] = json!(format!("{profile}/{id}"));
        row["peers"] = json!({});
        for other in others {
            let Some(theirs) = figure(other, id) else { continue };
            row["peers"][name(other)] = match theirs.get("value") {
                Some(value) => json!({"value": value}),
                None => json!({"p50": theirs["p50"], "p95": theirs["p95"], "p99": theirs["p99"]}),
            };
        }
        rows.push(row);
    }
    let peers: Vec<&Value> = others.iter().filter(|one| !OWN.contains(&name(one))).collect();
    if name(first) == OWN[0] && !peers.is_empty() {
        let better = better(first, &peers);
        rows.push(json!({
            "id": format!("{profile}/no_peer_better"), "unit": "", "value": null, "peers": {}, "holds": better.is_empty(),
            "bar": "frozen, glass_to_glass p95", "better": better,
        }));
    }
    rows
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

fn number(value: &Value) -> String {
    match value.as_f64() {
        Some(v) if v.abs() < 10.0 => format!("{v:.2}"),
        Some(v) => format!("{v:.1}"),
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
            let cells = measured.iter().map(|one| {
                let value = figure(one, id).map_or(&Value::Null, |row| &row[*key]);
                format!("{:>14}", number(value))
            });
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
            true => "no peer is better in frozen time or glass to glass (p95)".to_owned(),
            false => format!("BETTER THAN OURS: {}", words.join("; ")),
        });
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
        let rows = rows("poor-lte", &all);
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
        assert!(rows("poor-lte", &all).iter().all(|row| row["id"] != "poor-lte/no_peer_better"));
        assert!(verdict(&[gcc, measured("aiortc", 2.0, 120.0)]).0);
        assert!(!verdict(&[measured("longrein-off", 0.0, 50.0)]).0);
    }

    #[test]
    fn figures_of_the_others_stand_beside_ours() {
        let all = [measured("longrein", 1.0, 100.0), measured("aiortc", 2.0, 120.0)];
        let rows = rows("good-lte", &all);
        assert_eq!(rows[0]["peers"]["aiortc"]["p95"], 120.0);
        assert_eq!(rows[1]["peers"]["aiortc"]["value"], 2.0);
        let table = table("good-lte", "words", &all, &rows);
        assert!(table.contains("no peer is better"), "{table}");
    }
}
