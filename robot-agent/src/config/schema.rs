//! What the configuration's types allow, as data: their JSON schema, with the bounds that the policy enforces.

use super::Config;
use agent_core::Policy;
use agent_core::policy::PolicyError;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// One key: a table with keys of its own, a list, or a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node(&'static Value);

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A table with known keys.
    Section,
    /// A table with any keys.
    Free,
    List,
    Text,
    Whole,
    Number,
    Flag,
}

impl Kind {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Section | Self::Free => "a table",
            Self::List => "a list",
            Self::Text => "text in quotes",
            Self::Whole => "a whole number",
            Self::Number => "a number",
            Self::Flag => "true or false",
        }
    }
}

static ROOT: LazyLock<Value> = LazyLock::new(|| {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut root = settings.into_generator().into_root_schema_for::<Config>().to_value();
    without_null(&mut root);
    if let Some(policy) = root.pointer_mut("/properties/policy/properties") {
        let defaults = serde_json::to_value(Policy::default()).unwrap_or_default();
        add_policy_bounds(policy, &defaults, &defaults, "");
    }
    root
});

/// The whole configuration.
pub(super) fn root() -> Node {
    Node(&ROOT)
}

impl Node {
    pub(super) fn kind(self) -> Kind {
        let is = |name: &str| {
            let kind = &self.0["type"];
            kind == name || kind.as_array().is_some_and(|kinds| kinds.iter().any(|k| k == name))
        };
        if is("object") {
            if self.0["properties"].is_object() { Kind::Section } else { Kind::Free }
        } else if is("array") {
            Kind::List
        } else if is("integer") {
            Kind::Whole
        } else if is("number") {
            Kind::Number
        } else if is("boolean") {
            Kind::Flag
        } else if is("string") || !self.choices().is_empty() {
            Kind::Text
        } else {
            // A choice between several forms: serde decides.
            Kind::Free
        }
    }

    /// The words of which one is to be chosen; none where any will do.
    pub(super) fn choices(self) -> Vec<&'static str> {
        let each = self.0["oneOf"].as_array().into_iter().flatten();
        let named = self.0["enum"].as_array().into_iter().flatten();
        each.map(|choice| &choice["const"]).chain(named).filter_map(Value::as_str).collect()
    }

    /// The keys of a table, with what each may hold; values first, then tables and lists.
    pub(super) fn keys(self) -> Vec<(&'static str, Self)> {
        let properties = self.0["properties"].as_object().into_iter().flat_map(Map::iter);
        let mut keys: Vec<_> = properties.map(|(name, node)| (name.as_str(), Self(node))).collect();
        keys.sort_by_key(|(_name, node)| node.is_nested());
        keys
    }

    /// A table, or a list of tables.
    pub(super) fn is_nested(self) -> bool {
        match self.kind() {
            Kind::Section | Kind::Free => true,
            Kind::List => self.item().is_some_and(|item| item.kind() == Kind::Section),
            _ => false,
        }
    }

    pub(super) fn key(self, name: &str) -> Option<Self> {
        self.0["properties"].get(name).map(Self)
    }

    /// What each element of a list may hold.
    pub(super) fn item(self) -> Option<Self> {
        self.0.get("items").map(Self)
    }

    pub(super) fn requires(self, name: &str) -> bool {
        self.0["required"].as_array().is_some_and(|names| names.iter().any(|known| known == name))
    }

    pub(super) fn meaning(self) -> String {
        self.0["description"].as_str().unwrap_or_default().replace('\n', " ")
    }

    pub(super) fn default(self) -> Option<&'static Value> {
        self.0.get("default").filter(|value| !value.is_null())
    }

    /// The least and the most that a number may be.
    pub(super) fn bounds(self) -> (Option<f64>, Option<f64>) {
        (self.0["minimum"].as_f64(), self.0["maximum"].as_f64())
    }

    /// The shortest and the longest that a text or a list may be.
    pub(super) fn lengths(self) -> (Option<u64>, Option<u64>) {
        let either = |a: &str, b: &str| self.0[a].as_u64().or(self.0[b].as_u64());
        (either("minLength", "minItems"), either("maxLength", "maxItems"))
    }
}

/// TOML has no null: a choice that may be left out is the choice.
fn without_null(node: &mut Value) {
    match node {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(keys) => {
            let forms = keys.get("anyOf").and_then(Value::as_array);
            let only = match forms.map(Vec::as_slice) {
                Some([only, null]) if null["type"] == "null" => only.as_object().cloned(),
                _ => None,
            };
            if let Some(only) = only {
                keys.remove("anyOf");
                for (name, value) in only {
                    keys.entry(name).or_insert(value);
                }
            }
            keys.values_mut().for_each(without_null);
        }
        _ => {}
    }
}

/// The bounds are those that the policy itself enforces: found by asking it about a value that no bound allows.
fn add_policy_bounds(properties: &mut Value, defaults: &Value, all: &Value, path: &str) {
    let Some(keys) = properties.as_object_mut() else { return };
    for (name, node) in keys {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if let Some(inner) = node.get_mut("properties") {
            add_policy_bounds(inner, &defaults[name.as_str()], all, &path);
        } else if let Some((min, max)) = policy_bounds(all, &path, &defaults[name.as_str()]) {
            node["minimum"] = json!(min);
            node["maximum"] = json!(max);
        }
    }
}

fn policy_bounds(all: &Value, path: &str, default: &Value) -> Option<(f64, f64)> {
    let impossible = if default.is_f64() { json!(1e12) } else { json!(u32::MAX) };
    let mut policy = all.clone();
    *policy.pointer_mut(&format!("/{}", path.replace('.', "/")))? = impossible;
    match serde_json::from_value::<Policy>(policy).ok()?.check() {
        Err(PolicyError::Bounds { field, min, max, .. }) if field == path => Some((min, max)),
        _ => None,
    }
}
