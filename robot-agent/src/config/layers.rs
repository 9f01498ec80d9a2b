//! File, environment and flags, laid over each other, each value with where it came from.

use super::Config;
use super::schema::{self, Kind, Node};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fmt;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// Variables that begin so set a key: `LONGREIN_ROBOT__POLICY__SPEED_MPS_MAX=1.0`, `LONGREIN_ROBOT__CAMERA__0__FPS=15`.
pub const ENVIRONMENT_PREFIX: &str = "LONGREIN_ROBOT__";

/// Everything that is wrong with a configuration, one line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", findings.join("\n"))]
pub struct ConfigError {
    /// What is wrong, and where.
    pub findings: Vec<String>,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    Line(usize),
    Variable(String),
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Variable(name) => write!(f, "{name}"),
            Self::Flag => write!(f, "flag"),
        }
    }
}

/// A path in the configuration: keys, and numbers of list elements.
type Path = Vec<String>;

/// The layers, one table by now.
#[derive(Debug)]
pub struct Layers {
    table: Table,
    origins: BTreeMap<Path, Origin>,
    findings: Vec<String>,
}

impl Layers {
    /// Lays `environment` and then `flags` over the file's `text`. Fails only on what is no TOML at all; what else is
    /// wrong is told by [`Layers::config`], all of it at once.
    pub fn new(
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[(String, String)],
    ) -> Result<Self> {
        let table = toml::from_str(text)?;
        let mut layers = Self { table, origins: BTreeMap::new(), findings: Vec::new() };
        let spans = DeTable::parse(text)?;
        layers.origins_of_table(spans.get_ref(), &mut Vec::new(), text);
        let mut variables: Vec<_> = environment
            .into_iter()
            .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX))
            .collect();
        variables.sort();
        for (name, text) in variables {
            let path = name
                .trim_start_matches(ENVIRONMENT_PREFIX)
                .split("__")
                .map(str::to_ascii_lowercase)
                .collect();
            layers.set(path, &text, &Origin::Variable(name));
        }
        for (key, text) in flags {
            layers.set(key.split('.').map(ToOwned::to_owned).collect(), text, &Origin::Flag);
        }
        Ok(layers)
    }

    /// The checked configuration.
    pub fn config(mut self) -> Result<Config> {
        let table = std::mem::take(&mut self.table);
        self.check_table(&table, schema::root(), &mut Vec::new());
        if !self.findings.is_empty() {
            return Err(ConfigError { findings: self.findings }.into());
        }
        let config: Config = Value::Table(table).try_into().context("a value is not possible")?;
        config.check()?;
        Ok(config)
    }

    fn origins_of_table(&mut self, table: &DeTable<'_>, path: &mut Path, text: &str) {
        for (key, value) in table {
            path.push(key.get_ref().to_string());
            self.origins.insert(path.clone(), Origin::Line(line_of(text, key.span().start)));
            self.origins_of_value(value, path, text);
            path.pop();
        }
    }

    fn origins_of_value(&mut self, value: &Spanned<DeValue<'_>>, path: &mut Path, text: &str) {
        match value.get_ref() {
            DeValue::Table(table) => self.origins_of_table(table, path, text),
            DeValue::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    path.push(number.to_string());
                    self.origins
                        .insert(path.clone(), Origin::Line(line_of(text, item.span().start)));
                    self.origins_of_value(item, path, text);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    /// Puts one value in its place.
    fn set(&mut self, path: Path, text: &str, origin: &Origin) {
        let node = path.iter().try_fold(schema::root(), |node, part| match node.kind() {
            Kind::Section => node.key(part),
            Kind::List if part.parse::<usize>().is_ok() => node.item(),
            // Below a table of any keys, anything goes.
            Kind::Free => Some(node),
            _ => None,
        });
        let Some(node) = node else {
            self.unknown(&path, origin);
            return;
        };
        let value = match node.kind() {
            Kind::Text => Value::String(text.to_owned()),
            _ => plain_value(text),
        };
        let mut prefix = Path::new();
        for part in &path {
            prefix.push(part.clone());
            self.origins.insert(prefix.clone(), origin.clone());
        }
        if !put(&mut self.table, &path, value) {
            self.findings.push(format!("{origin}: `{}` has no such place", path.join(".")));
        }
    }

    /// A path that leads nowhere, of a variable or a flag.
    fn unknown(&mut self, path: &[String], origin: &Origin) {
        let (mut node, mut section) = (schema::root(), Path::new());
        for part in path {
            let next = match node.kind() {
                Kind::Section => node.key(part),
                Kind::List => node.item().filter(|_| part.parse::<usize>().is_ok()),
                _ => None,
            };
            let Some(next) = next else {
                self.findings.push(format!("{origin}: {}", unknown_key(node, &section, part)));
                return;
            };
            section.push(part.clone());
            node = next;
        }
    }

    fn origin(&self, path: &[String]) -> String {
        self.origins.get(path).map_or_else(String::new, |origin| format!("{origin}: "))
    }

    fn check_table(&mut self, table: &Table, node: Node, path: &mut Path) {
        for (name, value) in table {
            path.push(name.clone());
            match node.key(name) {
                Some(node) => self.check_value(value, node, path),
                None => {
                    let section = path.get(..path.len() - 1).unwrap_or_default();
                    let finding = unknown_key(node, section, name);
                    self.findings.push(format!("{}{finding}", self.origin(path)));
                }
            }
            path.pop();
        }
        for (name, _) in node.keys() {
            if node.requires(name) && !table.contains_key(name) {
                let finding = format!("{}missing key `{name}`{}", self.origin(path), place(path));
                self.findings.push(finding);
            }
        }
    }

    fn check_value(&mut self, value: &Value, node: Node, path: &mut Path) {
        let finding = match (node.kind(), value) {
            (Kind::Section, Value::Table(table)) => return self.check_table(table, node, path),
            (Kind::List, Value::Array(items)) => {
                let finding = length(node, items.len(), "elements");
                let Some(item) = node.item() else { return };
                for (number, value) in items.iter().enumerate() {
                    path.push(number.to_string());
                    self.check_value(value, item, path);
                    path.pop();
                }
                finding
            }
            (Kind::Free, _) | (Kind::Flag, Value::Boolean(_)) => None,
            (Kind::Text, Value::String(text)) => {
                choice(node, text).or_else(|| length(node, text.len(), "characters"))
            }
            #[expect(clippy::cast_precision_loss, reason = "compared with bounds far below 2^53")]
            (Kind::Whole | Kind::Number, Value::Integer(number)) => bounds(node, *number as f64),
            (Kind::Number, Value::Float(number)) => bounds(node, *number),
            (kind, _) => Some(format!("is {}, but must be {}", found(value), kind.words())),
        };
        if let Some(finding) = finding {
            let finding = format!("{}`{}` {finding}", self.origin(path), path.join("."));
            self.findings.push(finding);
        }
    }
}

/// Why a word is none of those to choose from.
fn choice(node: Node, text: &str) -> Option<String> {
    let choices = node.choices();
    let known = choices.is_empty() || choices.contains(&text);
    (!known).then(|| format!("is {text:?}, but must be one of {}", choices.join(", ")))
}

/// Why a number is out of its bounds.
fn bounds(node: Node, number: f64) -> Option<String> {
    let (min, max) = node.bounds();
    // Written so that NaN is out of bounds.
    let inside = min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max);
    if inside && !number.is_nan() {
        return None;
    }
    Some(match (min, max) {
        (Some(min), Some(max)) => format!("is {number}, but must be {min} to {max}"),
        (Some(min), None) => format!("is {number}, but must be at least {min}"),
        (None, Some(max)) => format!("is {number}, but must be at most {max}"),
        (None, None) => format!("is {number}, which is no number"),
    })
}

fn length(node: Node, len: usize, what: &str) -> Option<String> {
    let (min, max) = node.lengths();
    let len = u64::try_from(len).unwrap_or(u64::MAX);
    if let Some(max) = max.filter(|max| len > *max) {
        return Some(format!("has {len} {what}, but must have at most {max}"));
    }
    min.filter(|min| len < *min)
        .map(|min| format!("has {len} {what}, but must have at least {min}"))
}

fn found(value: &Value) -> String {
    match value {
        Value::Table(_) => "a table".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        value => value.to_string(),
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).map_or(0, |before| before.matches('\n').count()) + 1
}

/// What a variable or a flag holds: TOML where it is some, text otherwise.
fn plain_value(text: &str) -> Value {
    let parsed = toml::from_str::<Table>(&format!("value = {text}"));
    let value = parsed.ok().and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Puts a value where `path` says, with the tables on the way. Only existing elements of a list, or the next, have a
/// place.
fn put(table: &mut Table, path: &[String], value: Value) -> bool {
    let Some((name, rest)) = path.split_first() else { return false };
    if rest.is_empty() {
        table.insert(name.clone(), value);
        return true;
    }
    let list = rest.first().is_some_and(|part| part.parse::<usize>().is_ok());
    let empty = || if list { Value::Array(Vec::new()) } else { Value::Table(Table::new()) };
    match table.entry(name.clone()).or_insert_with(empty) {
        Value::Table(inner) => put(inner, rest, value),
        Value::Array(items) => {
            let Some((number, rest)) = rest.split_first() else { return false };
            let Ok(number) = number.parse::<usize>() else { return false };
            if number == items.len() {
                items.push(Value::Table(Table::new()));
            }
            match items.get_mut(number) {
                Some(Value::Table(inner)) => put(inner, rest, value),
                Some(item) if rest.is_empty() => {
                    *item = value;
                    true
                }
                _ => false,
            }
        }
        _ => false,
    }
}

/// Where a path leads, as it is written in the file.
fn place(path: &[String]) -> String {
    let is_number = |part: &String| part.parse::<usize>().is_ok();
    let keys: Vec<&str> = path.iter().filter(|p| !is_number(p)).map(String::as_str).collect();
    match (keys.is_empty(), path.iter().any(is_number)) {
        (true, _) => String::new(),
        (false, true) => format!(" in [[{}]]", keys.join(".")),
        (false, false) => format!(" in [{}]", keys.join(".")),
    }
}

/// Names an unknown key, and the known one that was probably meant.
fn unknown_key(node: Node, section: &[String], name: &str) -> String {
    let unknown = format!("unknown key `{name}`{}", place(section));
    let mut elsewhere = Vec::new();
    find(schema::root(), name, &mut Vec::new(), &mut elsewhere);
    if let Some(path) = elsewhere.first() {
        let place = place(path);
        let place = if place.is_empty() { " at the top of the file" } else { &place };
        return format!("{unknown}: it belongs{place}");
    }
    let keys = node.keys();
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(known, name);
    let nearest = keys
        .iter()
        .map(|(known, _)| (likeness(known).max(strsim::jaro_winkler(known, name) - 0.2), *known))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, known)) if likeness > 0.4 => format!("{unknown}: did you mean `{known}`?"),
        Some(_) => {
            let known: Vec<&str> = keys.iter().map(|(known, _)| *known).collect();
            format!("{unknown}: known are {}", known.join(", "))
        }
        None => unknown,
    }
}

/// The sections that have a key of this name.
fn find(node: Node, name: &str, path: &mut Path, found: &mut Vec<Path>) {
    for (known, inner) in node.keys() {
        if known == name {
            found.push(path.clone());
        }
        path.push(known.to_owned());
        match inner.kind() {
            Kind::Section => find(inner, name, path, found),
            Kind::List => {
                path.push("0".to_owned());
                if let Some(item) = inner.item() {
                    find(item, name, path, found);
                }
                path.pop();
            }
            _ => {}
        }
        path.pop();
    }
}
