//! The probes. None of them makes a call; all but `live` and `ready` report what background checks found.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::{HeaderMap, StatusCode};
use jiff::Timestamp;
use picarcade_cache::Statistics;
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
        return Problem::unavailable("the service is stopping", std::time::Duration::from_secs(1))
            .into_response();
    }
    Json(json!({ "ready": true })).into_response()
}

pub(crate) async fn detailed(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    operators_only(&app, &headers)?;
    let mut body = serde_json::to_value(app.flow.health()).unwrap_or_default();
    if let Value::Object(fields) = &mut body {
        fields.insert("timestamp".to_owned(), json!(Timestamp::now().to_string()));
        fields.insert("draining".to_owned(), json!(app.is_draining()));
    }
    Ok(Json(body).into_response())
}

pub(crate) async fn cache(State(app): State<App>, headers: HeaderMap) -> Result<Response, Problem> {
    operators_only(&app, &headers)?;
    let redis = match &app.redis {
        Some(handle) => json!(handle.status()),
        None => json!({ "connected": false, "configured": false }),
    };
    let levels: Vec<_> = app.flow.caches().statistics().iter().map(level).collect();
    Ok(Json(json!({ "levels": levels, "redis": redis })).into_response())
}

/// A level's counters, with the hits of both tiers together beside them.
fn level(statistics: &Statistics) -> Value {
    let mut level = json!(statistics);
    if let Value::Object(fields) = &mut level {
        fields.insert("hits".to_owned(), json!(statistics.hits_l1 + statistics.hits_l2));
    }
    level
}

/// Lets operators in: with the admin token, or anybody where the service is not open to the network.
pub(crate) fn operators_only(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    if app.public_operations || app.identities.is_admin(headers) == Some(true) {
        return Ok(());
    }
    Err(match app.identities.is_admin(headers) {
        Some(_) => Problem::unauthorized("the admin token is needed"),
        None => {
            Problem::new(StatusCode::FORBIDDEN, "this is for operators, and no admin token is configured")
        }
    })
}
