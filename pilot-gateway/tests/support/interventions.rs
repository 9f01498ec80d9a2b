//! The fleet's part of interventions, for one that is under way at a time.

use super::{Inner, ROBOT};
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;

const ID: &str = "itv_00000000000000000000000000000001";

async fn start(State(inner): State<Arc<Inner>>, Json(order): Json<Value>) -> Json<Value> {
    let cause = order["cause"].as_str().unwrap().to_owned();
    inner.seen.send_modify(|seen| seen.interventions.push(format!("start: {cause}")));
    Json(json!({
        "id": ID, "episode": "eps_00000000000000000000000000000002", "robot": ROBOT,
        "robot_name": "Rover", "mission": null, "mission_name": null, "cause": cause,
        "started_at": 1, "ended_at": null,
    }))
}

async fn end(State(inner): State<Arc<Inner>>, Path(id): Path<String>) -> Json<Value> {
    assert_eq!(id, ID);
    inner.seen.send_modify(|seen| seen.interventions.push("end".to_owned()));
    Json(json!({}))
}

async fn lease(State(inner): State<Arc<Inner>>) -> Json<Value> {
    let open = inner.seen.borrow().interventions.last().is_some_and(|last| last != "end");
    Json(json!({ "intervention": open.then_some(ID) }))
}

pub(super) fn routes() -> Router<Arc<Inner>> {
    Router::new()
        .route("/v1/leases/{id}", get(lease))
        .route("/v1/leases/{id}/interventions", post(start))
        .route("/v1/interventions/{id}/end", post(end))
}
