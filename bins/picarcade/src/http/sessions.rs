//! `GET/PUT/DELETE /api/v2/sessions/{id}`: only its owner sees a session; for everybody else there is none.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use hyper::{HeaderMap, StatusCode};
use jiff::Timestamp;
use picarcade_flow::{Caller, Session, SessionUpdate};
use serde_json::{Value, json};

use crate::http::app::App;
use crate::http::body::{self, MAX_BODY};
use crate::http::limits;
use crate::http::problem::Problem;
use crate::http::read::named_user;

pub(crate) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = caller(&app, &headers, query.as_deref()).await?;
    let session = app.flow.session(&id, &caller).await;
    Ok(limits::told(&app, &caller, session.map(|session| Json(json(&session))).map_err(Problem::from)).await)
}

pub(crate) async fn put(
    State(app): State<App>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let presented = app.identities.check(&headers).await?;
    let read = body::read(&headers, body, MAX_BODY).await;
    let (update, user): (SessionUpdate, _) = match read.and_then(|bytes| body::parse_with_user(&bytes)) {
        Ok(read) => read,
        Err(problem) => return limits::refused(&app, &headers, &presented, "sessions", problem).await,
    };
    // Looked at even when the body names somebody: what is wrong is wrong.
    let queried = named_user(query.as_deref())?;
    let caller = presented.caller(&headers, user.or(queried).as_deref(), "sessions")?;
    let session = app.flow.update_session(&id, &caller, update).await;
    Ok(limits::told(&app, &caller, session.map(|session| Json(json(&session))).map_err(Problem::from)).await)
}

pub(crate) async fn delete(
    State(app): State<App>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = caller(&app, &headers, query.as_deref()).await?;
    let deleted = app.flow.delete_session(&id, &caller).await;
    Ok(limits::told(&app, &caller, deleted.map(|()| StatusCode::NO_CONTENT).map_err(Problem::from)).await)
}

async fn caller(app: &App, headers: &HeaderMap, query: Option<&str>) -> Result<Caller, Problem> {
    let presented = app.identities.check(headers).await?;
    presented.caller(headers, named_user(query)?.as_deref(), "sessions")
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
