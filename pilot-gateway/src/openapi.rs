//! The API's description: the gateway's own part from the code, the fleet's as it describes itself, in one
//! document; and the same as a page for people.

use crate::app::Shared;
use crate::problem::ApiError;
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Map, Value};
use std::fmt::Write;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

/// The gateway's own part.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Longrein",
        description = "Drive sidewalk robots, from a browser or a program. Sign in with a key \
            (`/v1/auth/challenge`, `/v1/auth/session`) and send the token as `Authorization: Bearer`. \
            Errors are problem documents (RFC 9457) with a stable `code`.",
    ),
    paths(
        crate::config_page, crate::https::phone::phone, crate::https::phone::root, crate::healthz, crate::readyz, crate::metrics, crate::safety::try_core,
        crate::session::open_session, crate::turn::ice_servers,
        crate::look::look, crate::programs::state, crate::programs::take_lease, crate::programs::drive,
        crate::programs::stop, crate::programs::clear_stop, crate::programs::release_lease, crate::programs::receipt,
        crate::watch::http::options, crate::watch::http::watch, crate::watch::http::patch, crate::watch::http::end,
    ),
    components(schemas(ProblemDocument)),
    modifiers(&SessionScheme),
    tags(
        (name = "programs", description = "Drive from a program: look, decide, drive with a time to live."),
        (name = "drive", description = "Drive from a browser."),
        (name = "watch", description = "See a robot's live video, without driving it."),
        (name = "service", description = "About this gateway."),
    )
)]
struct Own;

/// A problem document (RFC 9457), `application/problem+json`.
#[derive(utoipa::ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "describes protocol::problem::Problem")]
struct ProblemDocument {
    /// `urn:longrein:problem:` and the code.
    r#type: String,
    /// HTTP status.
    status: u16,
    /// Stable code: what a program switches on.
    #[schema(example = "robot-taken")]
    code: String,
    /// What is wrong, in a few words.
    title: String,
    /// What is wrong in this case, and what to do.
    detail: String,
}

struct SessionScheme;

impl Modify for SessionScheme {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("session", SecurityScheme::Http(bearer));
    }
}

/// Puts `theirs` into `own`: paths, components and tags; where both have one, own stays.
fn merge(own: &mut Value, theirs: &Value) {
    fn members(own: &mut Map<String, Value>, theirs: &Map<String, Value>, depth: usize) {
        for (name, value) in theirs {
            match (own.get_mut(name), value) {
                (None, value) => drop(own.insert(name.clone(), value.clone())),
                (Some(Value::Object(mine)), Value::Object(value)) if depth > 0 => {
                    members(mine, value, depth - 1);
                }
                (Some(_), _) => {}
            }
        }
    }
    let Value::Object(own) = own else { return };
    // Paths hold methods, components hold kinds that hold names.
    for part in ["paths", "components"] {
        if let Some(Value::Object(theirs)) = theirs.get(part) {
            let mine = own.entry(part).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(mine) = mine {
                members(mine, theirs, 1);
            }
        }
    }
    if let Some(Value::Array(theirs)) = theirs.get("tags") {
        let mine = own.entry("tags").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(mine) = mine {
            let known: Vec<Value> = mine.iter().map(|tag| tag["name"].clone()).collect();
            mine.extend(theirs.iter().filter(|tag| !known.contains(&tag["name"])).cloned());
        }
    }
}

fn own() -> serde_json::Result<Value> {
    let mut own = serde_json::to_value(Own::openapi())?;
    merge(&mut own, &crate::rover::openapi::document()?);
    Ok(own)
}

async fn document(app: &Shared) -> Result<Value, ApiError> {
    let mut own = own().map_err(|error| {
        tracing::error!(%error, "the API's description has no JSON form");
        ApiError::new(500, protocol::problem::code::INTERNAL, "the description cannot be made")
    })?;
    match app.fleet.openapi().await {
        Ok(theirs) => merge(&mut own, &theirs),
        Err(error) => {
            let note = " (The fleet server does not answer: its part is missing here.)";
            if let Some(Value::String(description)) = own.pointer_mut("/info/description") {
                description.push_str(note);
            }
            tracing::debug!(detail = error.detail(), "the fleet's description is missing");
        }
    }
    Ok(own)
}

/// `GET /openapi.json`.
pub async fn openapi(State(app): State<Shared>) -> Result<Response, ApiError> {
    let document = document(&app).await?;
    Ok(([(header::CACHE_CONTROL, "no-cache")], Json(document)).into_response())
}

/// `GET /docs`: the same for people.
pub async fn docs(State(app): State<Shared>) -> Result<Response, ApiError> {
    let page = page(&document(&app).await?);
    Ok(([(header::CACHE_CONTROL, "no-cache")], Html(page)).into_response())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:64em;margin:2em auto;padding:0 1em;\
    color:#dde3ea;background:#12161b}a{color:#7cc4ff}code,b{font-family:ui-monospace,monospace}\
    details{border-top:1px solid #2a323c;padding:.45em 0}summary{cursor:pointer}\
    .m{display:inline-block;width:4.6em;color:#ffb454;font-weight:600}.s{color:#93a1b0}\
    table{border-collapse:collapse;margin:.4em 0}td{padding:.1em 1em .1em 0;vertical-align:top}";

/// A page that lists the endpoints of an OpenAPI document. It loads nothing.
fn page(document: &Value) -> String {
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Longrein API</title>\
        <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style>\
        <h1>Longrein API</h1><p>{}</p><p>Machine-readable: <a href=\"/openapi.json\">/openapi.json</a> \
        (OpenAPI {}).</p>",
        escape(text(&document["info"], "description")),
        escape(text(document, "openapi")),
    );
    let mut by_tag: Vec<(String, String)> = Vec::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let tag = operation["tags"][0].as_str().unwrap_or("other").to_owned();
            by_tag.push((tag, endpoint(document, path, method, operation)));
        }
    }
    by_tag.sort_by(|a, b| a.0.cmp(&b.0));
    let mut last = None;
    for (tag, endpoint) in &by_tag {
        if last != Some(tag) {
            // Writing to a String can't fail.
            write!(html, "<h2>{}</h2>", escape(tag)).ok();
            last = Some(tag);
        }
        html.push_str(endpoint);
    }
    html
}

fn endpoint(document: &Value, path: &str, method: &str, operation: &Value) -> String {
    let mut html = format!(
        "<details><summary><span class=\"m\">{}</span> <b>{}</b> <span class=\"s\">{}</span></summary>",
        escape(&method.to_uppercase()),
        escape(path),
        escape(text(operation, "summary")),
    );
    let mut rows = String::new();
    let mut row = |name: &str, what: &str| {
        write!(rows, "<tr><td><code>{}</code><td>{}", escape(name), escape(what)).ok();
    };
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        row(text(parameter, "name"), text(parameter, "description"));
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    let schema = match body["$ref"].as_str().and_then(|r| r.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).unwrap_or(&Value::Null),
        None => body,
    };
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        row(&format!("body.{name}"), text(field, "description"));
    }
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        row(status, text(response, "description"));
    }
    write!(
        html,
        "<p>{}</p><table>{rows}</table></details>",
        escape(text(operation, "description"))
    )
    .ok();
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn own_and_fleet_in_one_document_and_own_wins() {
        let mut own = own().unwrap();
        let theirs = json!({
            "paths": {
                "/v1/robots": {"get": {"summary": "List <robots>", "tags": ["fleet"]}},
                "/healthz": {"get": {"summary": "theirs"}},
            },
            "components": {"schemas": {"Robot": {"type": "object"}, "Problem": {"type": "string"}}},
            "tags": [{"name": "fleet"}, {"name": "programs", "description": "theirs"}],
        });
        merge(&mut own, &theirs);
        assert_eq!(
            own["openapi"].as_str().unwrap().split('.').take(2).collect::<Vec<_>>(),
            ["3", "1"]
        );
        assert_eq!(own["paths"]["/v1/robots"]["get"]["tags"][0], "fleet");
        assert_ne!(own["paths"]["/healthz"]["get"]["summary"], "theirs");
        assert_eq!(own["components"]["schemas"]["Problem"]["type"], "object");
        assert_eq!(own["components"]["schemas"]["Robot"]["type"], "object");
        assert!(own["components"]["securitySchemes"]["session"].is_object());
        let control = &own["paths"]["/v1/robots/{id}/earth-rover/control"]["post"];
        assert_eq!(control["tags"][0], "earth-rover");
        let page = page(&own);
        assert!(page.contains("/v1/robots/{id}/drive") && page.contains("body.ttl_ms"), "{page}");
        assert!(page.contains("List &lt;robots&gt;") && !page.contains("<script"));
    }

    #[test]
    fn every_reference_of_the_own_part_points_at_something() {
        fn references(value: &Value, out: &mut Vec<String>) {
            match value {
                Value::Object(members) => {
                    out.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    members.values().for_each(|value| references(value, out));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, out)),
                _ => {}
            }
        }
        let own = own().unwrap();
        let mut found = Vec::new();
        references(&own, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            assert!(own.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
    }
}
