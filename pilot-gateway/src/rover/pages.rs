//! `/` and `/sdk`: a small page with pictures and data. It holds no secrets: what it may show is decided where it
//! asks for it.

use super::openapi::ErrorDocument;
use super::ports::Port;
use super::refused::Refused;
use axum::Extension;
use axum::extract::{RawPathParams, RawQuery};
use axum::http::header;
use axum::response::{Html, IntoResponse, Redirect, Response};
use std::sync::Arc;

/// Relative addresses, so that the page works under the base path and on a port of its own.
const DASHBOARD: &str = r##"<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Rover</title>
<link rel="stylesheet" href="static/page.css">
<h1>Rover</h1>
<p id="told" role="status">Asking the rover …</p>
<div class="views"><figure><img id="front" alt="Front camera"><figcaption>Front</figcaption></figure>
<figure><img id="rear" alt="Rear camera"><figcaption>Rear</figcaption></figure></div>
<table id="data"><caption>Telemetry</caption><tbody></tbody></table>
<p><a href="sdk" id="sdk">What programs can call here</a></p>
<script src="static/page.js" type="module"></script></html>"##;

const SDK: &str = r##"<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Rover API</title>
<link rel="stylesheet" href="static/page.css">
<h1>What programs can call here</h1>
<p>This rover speaks the Earth Rovers API. Errors are <code>{"detail": …}</code>.</p>
<table><tbody>
<tr><td>POST control</td><td><code>{"command": {"linear": 0.5, "angular": 0.0, "lamp": 0}}</code>, −1 to 1;
repeated for the time that the rover's owner allows. 409 with the reason when the rover does not obey.</td></tr>
<tr><td>GET data</td><td>telemetry; <code>ws/data</code> as a WebSocket</td></tr>
<tr><td>GET v2/front, v2/rear, v2/screenshot</td><td>pictures with their capture time, each given once</td></tr>
<tr><td>GET screenshot?view_types=rear,map,front</td><td>PNG</td></tr>
<tr><td>GET feed?view=front&amp;fps=15</td><td>MJPEG</td></tr>
<tr><td>GET missions, missions-history</td><td>the fleet's missions of this rover</td></tr>
<tr><td>POST start-mission, end-mission, checkpoint-reached; GET checkpoints-list</td><td>a ride</td></tr>
<tr><td>POST speak</td><td><code>{"text": "hello"}</code></td></tr>
<tr><td>POST interventions/start, interventions/end; GET interventions/history</td><td>a person takes over</td></tr>
<tr><td>GET status</td><td>how things stand</td></tr>
</tbody></table></html>"##;

const SCRIPT: &str = r##"const query = new URLSearchParams(location.search);
const token = query.get("token");
const at = (path, more = {}) => {
  const all = new URLSearchParams(token ? { ...more, token } : more);
  return all.size ? `${path}?${all}` : path;
};
const told = document.getElementById("told");
const rows = document.querySelector("#data tbody");
for (const view of ["front", "rear"]) {
  const image = document.getElementById(view);
  image.addEventListener("error", () => { image.closest("figure").hidden = true; });
  image.src = at("feed", { view, fps: 10 });
}
const show = (data) => {
  rows.replaceChildren(...Object.entries(data)
    .filter(([, value]) => typeof value === "number")
    .map(([name, value]) => {
      const row = document.createElement("tr");
      for (const text of [name, value]) {
        row.append(Object.assign(document.createElement("td"), { textContent: text }));
      }
      return row;
    }));
};
const ask = async () => {
  try {
    const answer = await fetch(at("data"));
    const body = await answer.json();
    told.textContent = answer.ok ? "" : JSON.stringify(body.detail);
    if (answer.ok) show(body);
  } catch {
    told.textContent = "The rover's gateway does not answer.";
  }
  setTimeout(ask, 500);
};
ask();
if (token) document.getElementById("sdk").href = at("sdk");
"##;

const STYLE: &str = r"body{font:15px/1.5 system-ui;background:#101418;color:#e6e9ec;max-width:70em;margin:2em auto;
padding:0 1em}.views{display:flex;flex-wrap:wrap;gap:1em}figure{margin:0;flex:1 1 20em}img{width:100%;background:#000}
td{padding:.1em 1.5em .1em 0;vertical-align:top;font-variant-numeric:tabular-nums}a{color:#7fb5ff}caption{text-align:left}
";

/// `GET /` of a port, and `GET …/earth-rover/`.
pub async fn dashboard() -> Html<&'static str> {
    Html(DASHBOARD)
}

/// `GET /` of the shared routes: the page, or the way to it where the base path lacks its last slash, which the
/// page's relative addresses need.
#[utoipa::path(get, path = "/", tag = "earth-rover",
    responses((status = 200, description = "A page with pictures and data", content_type = "text/html", body = String)))]
pub async fn root(port: Option<Extension<Arc<Port>>>, RawQuery(query): RawQuery) -> Response {
    if port.is_some() {
        return dashboard().await.into_response();
    }
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Redirect::temporary(&format!("earth-rover/{query}")).into_response()
}

/// `GET /sdk`.
#[utoipa::path(get, path = "/sdk", tag = "earth-rover",
    responses((status = 200, description = "This list, as a page", content_type = "text/html", body = String)))]
pub async fn sdk() -> Html<&'static str> {
    Html(SDK)
}

/// `GET /static/…`: what the page loads.
#[utoipa::path(get, path = "/static/{name}", tag = "earth-rover", params(("name" = String, Path)),
    responses((status = 200, description = "A file of the pages", body = String),
    (status = 404, description = "Not Found", body = ErrorDocument)))]
pub async fn file(params: RawPathParams) -> Result<Response, Refused> {
    let name = params.iter().find(|(name, _)| *name == "name").map(|(_, value)| value.to_owned());
    let (kind, text) = match name.as_deref() {
        Some("page.js") => ("text/javascript; charset=utf-8", SCRIPT),
        Some("page.css") => ("text/css; charset=utf-8", STYLE),
        Some(_) | None => return Err(Refused::new(404, "Not Found")),
    };
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
