//! `/admin/*`: for the holder of the admin token. Without a configured token these routes do not exist.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use hyper::HeaderMap;
use picarcade_flow::Override;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::app::App;
use crate::http::body::{self, MAX_BODY};
use crate::http::problem::Problem;

/// Lets the admin in; 401 for others, and 404 where there is no admin.
fn admin_only(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    match app.identities.is_admin(headers) {
        Some(true) => Ok(()),
        Some(false) => Err(Problem::unauthorized("the admin token is needed")),
        None => Err(Problem::not_found()),
    }
}

pub(crate) async fn breakers(State(app): State<App>, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    admin_only(&app, &headers)?;
    Ok(Json(json!({ "breakers": app.flow.breakers().statistics() })))
}

pub(crate) async fn override_breaker(
    State(app): State<App>,
    Path((name, action)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    admin_only(&app, &headers)?;
    let known = [Override::ForceOpen, Override::ForceClose, Override::Reset];
    let order = known.into_iter().find(|order| order.as_str() == action).ok_or_else(Problem::not_found)?;
    let statistics = app.flow.override_breaker(&name, order).ok_or_else(Problem::not_found)?;
    tracing::info!(breaker = %name, %action, "a breaker was overridden");
    Ok(Json(json!(statistics)))
}

/// What to invalidate: exactly one of the three.
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
    admin_only(&app, &headers)?;
    let bytes = body::read(&headers, body, MAX_BODY).await?;
    let caches = app.flow.caches();
    match body::parse_as::<Invalidation>(&bytes)? {
        Invalidation { tag: Some(tag), user_id: None, all: false } => {
            caches.remove_by_tag(&tag).await;
        }
        Invalidation { tag: None, user_id: Some(user), all: false } => {
            caches.remove_user(&user).await;
        }
        Invalidation { tag: None, user_id: None, all: true } => caches.clear().await,
        _ => {
            let detail = "needs exactly one of tag, user_id and all";
            return Err(Problem::fields(vec![picarcade_flow::FieldProblem::new("", detail)]));
        }
    }
    Ok(Json(json!({ "invalidated": true })))
}

/// Deletes a user. Who it is stays out of the log.
pub(crate) async fn forget_user(
    State(app): State<App>,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    admin_only(&app, &headers)?;
    let deleted = app.flow.forget_user(&user).await?;
    tracing::info!(deleted, "a user was deleted");
    Ok(Json(json!({ "deleted": deleted })))
}

pub(crate) async fn config(State(app): State<App>, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    admin_only(&app, &headers)?;
    let settings: Vec<_> = app
        .settings
        .iter()
        .map(|(key, value, origin)| json!({ "key": key, "value": value, "origin": origin }))
        .collect();
    Ok(Json(json!({ "settings": settings })))
}
