//! `robot-agent config docs`: every key, from the types.

use super::ENVIRONMENT_PREFIX;
use super::schema::{self, Kind, Node};
use serde_json::Value;
use std::fmt::Write;

/// Columns of the text.
const WIDTH: usize = 100;

/// What the last words of a key's name say about its unit.
const UNITS: &[(&str, &str)] = &[
    ("_mps2", "m/s²"),
    ("_mps", "m/s"),
    ("_radps2", "rad/s²"),
    ("_radps", "rad/s"),
    ("_rad", "rad"),
    ("_kbps", "kbit/s"),
    ("_mb", "MB"),
    ("_ms", "ms"),
    ("_s", "s"),
    ("_deg", "degrees"),
    ("_ut", "µT"),
    ("_m", "m"),
    ("width", "pixels"),
    ("height", "pixels"),
    ("fps", "1/s"),
];

/// Every key with its type, unit, default, bounds and meaning, as text for people.
pub fn docs() -> String {
    let mut text = String::from(
        "robot.toml, every key. The file is overruled by the environment (the names in capitals), and that by\n\
         flags: --set KEY=VALUE, for example --set policy.speed_mps_max=1.0\n",
    );
    section(&mut text, schema::root(), &mut Vec::new());
    text
}

fn section(text: &mut String, node: Node, path: &mut Vec<String>) {
    for (name, inner) in node.keys() {
        path.push(name.to_owned());
        match inner.kind() {
            Kind::Section => {
                heading(text, &format!("[{}]", dotted(path)), inner);
                section(text, inner, path);
            }
            Kind::List if inner.is_nested() => {
                heading(text, &format!("[[{}]]", dotted(path)), inner);
                path.push("0".to_owned());
                if let Some(item) = inner.item() {
                    section(text, item, path);
                }
                path.pop();
            }
            Kind::Free => heading(text, &format!("[{}]", dotted(path)), inner),
            _ => key(text, name, inner, node.requires(name), path),
        }
        path.pop();
    }
}

/// As a heading of TOML, which does not number the elements of a list.
fn dotted(path: &[String]) -> String {
    path.iter().filter(|part| *part != "0").map(String::as_str).collect::<Vec<_>>().join(".")
}

fn heading(text: &mut String, name: &str, node: Node) {
    // Writing to a string does not fail.
    _ = write!(text, "\n{name}\n{}", wrapped(&node.meaning(), "  "));
}

fn key(text: &mut String, name: &str, node: Node, required: bool, path: &[String]) {
    let mut facts = vec![
        match node.kind() {
            Kind::Text => "text",
            Kind::Whole => "whole number",
            Kind::Number => "number",
            Kind::Flag => "true or false",
            Kind::List => "list",
            Kind::Section | Kind::Free => "table",
        }
        .to_owned(),
    ];
    if let Some(unit) = unit(name) {
        facts.push(unit.to_owned());
    }
    match node.default() {
        Some(Value::String(default)) => facts.push(format!("default {default:?}")),
        Some(default) => facts.push(format!("default {default}")),
        None if required => facts.push("must be given".to_owned()),
        None => facts.push("no default".to_owned()),
    }
    match node.bounds() {
        (Some(min), Some(max)) => facts.push(format!("{min} to {max}")),
        (Some(min), None) => facts.push(format!("at least {min}")),
        (None, Some(max)) => facts.push(format!("at most {max}")),
        (None, None) => {}
    }
    let choices = node.choices();
    if !choices.is_empty() {
        facts.push(format!("one of {}", choices.join(", ")));
    }
    let variable = path.join("__").to_ascii_uppercase();
    _ = write!(
        text,
        "\n  {name}  ({})\n{}    {ENVIRONMENT_PREFIX}{variable}\n",
        facts.join(", "),
        wrapped(&node.meaning(), "    "),
    );
}

/// Words in lines of a terminal's width.
fn wrapped(words: &str, indent: &str) -> String {
    let mut text = String::new();
    let mut line = String::new();
    for word in words.split_whitespace() {
        if !line.is_empty() && indent.len() + line.len() + 1 + word.len() > WIDTH {
            _ = writeln!(text, "{indent}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    _ = writeln!(text, "{indent}{line}");
    text
}

/// The unit that a name carries.
pub(super) fn unit(name: &str) -> Option<&'static str> {
    let name = name.trim_end_matches("_max").trim_end_matches("_min");
    UNITS.iter().find(|(end, _)| name.ends_with(end)).map(|(_, unit)| *unit)
}
