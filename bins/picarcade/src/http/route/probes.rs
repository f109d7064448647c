//! The probes. None of them makes a call to another service; `detailed` and `cache` report what
//! background checks found.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use picarcade_cache::CacheStatistics;
use serde_json::{Value, json};

use crate::http::app::App;
use crate::http::problem::Problem;

pub(crate) async fn health() -> Json<Value> {
    Json(json!({
        "status": "healthy",
        "service": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "timestamp": Timestamp::now().to_string(),
    }))
}

pub(crate) async fn live() -> Json<Value> {
    Json(json!({ "alive": true }))
}

pub(crate) async fn ready(State(app): State<App>) -> Response {
    if app.is_draining() {
        return Problem::unavailable("the service is stopping", Duration::from_secs(1)).into_response();
    }
    Json(json!({ "ready": true })).into_response()
}

pub(crate) async fn detailed(State(app): State<App>) -> Json<Value> {
    let mut body = serde_json::to_value(app.flow.health()).unwrap_or_default();
    if let Value::Object(fields) = &mut body {
        fields.insert("timestamp".to_owned(), json!(Timestamp::now().to_string()));
        fields.insert("draining".to_owned(), json!(app.is_draining()));
    }
    Json(body)
}

pub(crate) async fn cache(State(app): State<App>) -> Json<Value> {
    let absent = || json!({ "connected": false, "configured": false });
    let shared = app.shared_store.as_ref().map_or_else(absent, |store| store.status());
    let levels: Vec<_> = app.flow.caches().statistics().iter().map(level).collect();
    Json(json!({ "levels": levels, "redis": shared }))
}

/// Returns a level's counters, and the hits of both tiers together.
fn level(statistics: &CacheStatistics) -> Value {
    let mut level = json!(statistics);
    if let Value::Object(fields) = &mut level {
        fields.insert("hits".to_owned(), json!(statistics.hits_l1 + statistics.hits_l2));
    }
    level
}
