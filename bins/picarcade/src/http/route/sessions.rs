//! `GET/PUT/DELETE /api/v2/sessions/{id}`. Only its owner sees a session; for every other caller it
//! does not exist.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use hyper::{HeaderMap, StatusCode};
use jiff::Timestamp;
use picarcade_flow::{Caller, Session, SessionUpdate};
use serde_json::{Value, json};

use super::query::named_user;
use crate::http::app::App;
use crate::http::body::{self, MAX_BODY};
use crate::http::identity::ApiCall;
use crate::http::problem::Problem;

pub(crate) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    call: ApiCall,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Problem> {
    let caller = admitted(&app, &call, query.as_deref()).await?;
    Ok(Json(json(&app.flow.session(&id, &caller).await?)))
}

pub(crate) async fn put(
    State(app): State<App>,
    Path(id): Path<String>,
    call: ApiCall,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let read = body::read(&headers, body, MAX_BODY).await;
    let parsed = read.and_then(|bytes| body::parse_with_user::<SessionUpdate>(&bytes));
    // The query is checked even if the body names a user.
    let queried = named_user(query.as_deref())?;
    let user = parsed.as_ref().ok().and_then(|(_, user)| user.as_ref()).or(queried.as_ref());
    let caller = call.caller(user)?;
    // A body that cannot be read counts as a request too.
    call.admit(&app.flow, &caller).await?;
    Ok(Json(json(&app.flow.update_session(&id, &caller, parsed?.0).await?)))
}

pub(crate) async fn delete(
    State(app): State<App>,
    Path(id): Path<String>,
    call: ApiCall,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, Problem> {
    let caller = admitted(&app, &call, query.as_deref()).await?;
    app.flow.delete_session(&id, &caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the caller, whom the query may name, and takes one request from its limits.
async fn admitted(app: &App, call: &ApiCall, query: Option<&str>) -> Result<Caller, Problem> {
    let caller = call.caller(named_user(query)?.as_ref())?;
    call.admit(&app.flow, &caller).await?;
    Ok(caller)
}

fn json(session: &Session) -> Value {
    let expires_at = Timestamp::try_from(session.expires_at).map(|at| at.to_string()).ok();
    json!({
        "session_id": session.session_id,
        "user_id": session.user_id,
        "working_image": session.working_image,
        "working_video": session.working_video,
        "metadata": session.metadata,
        "expires_at": expires_at,
    })
}
