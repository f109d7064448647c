//! `/admin/*`: routes for the holder of the admin token, which the router checks.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use hyper::HeaderMap;
use picarcade_flow::{FieldProblem, Override, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::app::App;
use crate::http::body::{self, MAX_BODY};
use crate::http::problem::Problem;

pub(crate) async fn breakers(State(app): State<App>) -> Json<Value> {
    Json(json!({ "breakers": app.flow.breakers().statistics() }))
}

pub(crate) async fn override_breaker(
    State(app): State<App>,
    Path((name, action)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    let wanted: Override = action.parse().map_err(|_| Problem::not_found())?;
    let statistics = app.flow.override_breaker(&name, wanted).ok_or_else(Problem::not_found)?;
    tracing::info!(breaker = %name, %action, "a breaker was overridden");
    Ok(Json(json!(statistics)))
}

/// What to invalidate: exactly one of the three fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Invalidation {
    tag: Option<String>,
    user_id: Option<String>,
    #[serde(default)]
    all: bool,
}

pub(crate) async fn invalidate(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let bytes = body::read(&headers, body, MAX_BODY).await?;
    let caches = app.flow.caches();
    match body::parse_as::<Invalidation>(&bytes)? {
        Invalidation { tag: Some(tag), user_id: None, all: false } => {
            caches.remove_by_tag(&tag).await;
        }
        Invalidation { tag: None, user_id: Some(user), all: false } => {
            // A text that is no user id owns no entry.
            if let Ok(user) = UserId::try_from(user) {
                caches.remove_user(&user).await;
            }
        }
        Invalidation { tag: None, user_id: None, all: true } => caches.clear().await,
        _ => {
            let detail = "needs exactly one of tag, user_id and all";
            return Err(Problem::fields(vec![FieldProblem::new("", detail)]));
        }
    }
    Ok(Json(json!({ "invalidated": true })))
}

/// Deletes a user. The log does not name the user.
pub(crate) async fn forget_user(
    State(app): State<App>,
    Path(user): Path<String>,
) -> Result<Json<Value>, Problem> {
    let user = user.parse::<UserId>().map_err(|error| Problem::fields(vec![error.at("/user_id")]))?;
    let deleted = app.flow.forget_user(&user).await?;
    tracing::info!(deleted, "a user was deleted");
    Ok(Json(json!({ "deleted": deleted })))
}

pub(crate) async fn config(State(app): State<App>) -> Json<Value> {
    let settings: Vec<_> = app
        .settings
        .iter()
        .map(|(key, value, origin)| json!({ "key": key, "value": value, "origin": origin }))
        .collect();
    Json(json!({ "settings": settings }))
}
