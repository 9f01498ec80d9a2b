//! The description of this API, from its handlers: as a part of the gateway's, under the base path of a robot. On a
//! port of its own the paths begin at its root, and no token is needed.

use serde_json::{Value, json};
use utoipa::OpenApi;

/// A refusal of the Earth Rovers API, `application/json`.
#[derive(utoipa::ToSchema)]
#[schema(as = EarthRoverError)]
#[expect(dead_code, reason = "describes super::refused::Refused")]
pub(super) struct ErrorDocument {
    /// What is wrong, in words; a document for `/checkpoint-reached`.
    detail: Value,
    /// The safety core's reason, when it does not obey.
    #[schema(example = "video-stale")]
    reason: Option<String>,
}

#[derive(OpenApi)]
#[openapi(
    paths(
        super::pages::root, super::pages::sdk, super::pages::file,
        super::control::control, super::control::control_legacy, super::control::speak,
        super::data::data, super::data::status, super::data::ws,
        super::pictures::front, super::pictures::rear, super::pictures::both,
        super::pictures::screenshot, super::pictures::feed,
        super::missions::list, super::missions::history, super::missions::start,
        super::missions::end, super::missions::checkpoints, super::missions::reached,
        super::interventions::start, super::interventions::end, super::interventions::history,
    ),
    components(schemas(ErrorDocument)),
    tags((name = "earth-rover", description = "The HTTP API of the Earth Rovers SDK, for each robot. \
        Also on ports of their own, without a token."))
)]
struct Document;

/// What anybody may see.
const OPEN: [&str; 3] = ["/", "/sdk", "/static/{name}"];

/// What is the same for every path: the robot, who calls, and how it is refused.
fn complete(path: &str, method: &str, operation: &mut Value) {
    let name: String =
        path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    operation["operationId"] = format!("earth_rover_{method}{}", name.trim_end_matches('_')).into();
    let id = json!({
        "name": "id", "in": "path", "required": true, "description": "The robot",
        "schema": {"type": "string"},
    });
    match &mut operation["parameters"] {
        Value::Array(parameters) => parameters.insert(0, id),
        none => *none = json!([id]),
    }
    if OPEN.contains(&path) {
        return;
    }
    operation["security"] = json!([{"session": []}]);
    for (status, words) in [
        ("401", "User not found: no session"),
        ("429", "Too many requests"),
        ("503", "The robot or the fleet server does not answer"),
    ] {
        let responses = &mut operation["responses"];
        if responses[status].is_null() {
            let schema = json!({"$ref": "#/components/schemas/EarthRoverError"});
            let content = json!({"application/json": {"schema": schema}});
            responses[status] = json!({"description": words, "content": content});
        }
    }
}

/// The description, with paths under [`super::BASE`].
pub fn document() -> serde_json::Result<Value> {
    let mut document = serde_json::to_value(Document::openapi())?;
    let Some(Value::Object(paths)) = document.get_mut("paths").map(Value::take) else {
        return Ok(document);
    };
    let mut under_base = serde_json::Map::new();
    for (path, mut methods) in paths {
        for (method, operation) in methods.as_object_mut().into_iter().flatten() {
            complete(&path, method, operation);
        }
        under_base.insert(format!("{}{path}", super::BASE), methods);
    }
    document["paths"] = Value::Object(under_base);
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::super::{BASE, ROUTES};
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document = document().unwrap();
        let described: BTreeSet<String> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
            })
            .collect();
        let routed: BTreeSet<String> = ROUTES
            .iter()
            .flat_map(|(path, methods)| {
                methods.iter().map(move |method| format!("{method} {BASE}{path}"))
            })
            .collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn every_path_says_how_it_refuses_and_has_a_name_of_its_own() {
        let document = document().unwrap();
        let mut names = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap().to_owned();
                assert!(names.insert(name.clone()), "{name} twice");
                assert!(operation["summary"].is_string(), "{method} {path}");
                assert_eq!(operation["parameters"][0]["name"], "id", "{method} {path}");
                let open = OPEN.iter().any(|open| *path == format!("{BASE}{open}"));
                assert_eq!(operation["security"].is_null(), open, "{method} {path}");
                for (status, response) in operation["responses"].as_object().unwrap() {
                    if status.starts_with(['4', '5']) {
                        let schema = &response["content"]["application/json"]["schema"]["$ref"];
                        let error = "#/components/schemas/EarthRoverError";
                        assert_eq!(schema, error, "{method} {path} {status}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_refusal_has_the_shape_that_is_described() {
        let document = document().unwrap();
        let described = &document["components"]["schemas"]["EarthRoverError"]["properties"];
        let described: BTreeSet<&String> = described.as_object().unwrap().keys().collect();
        assert_eq!(described.into_iter().collect::<Vec<_>>(), ["detail", "reason"]);
    }
}
