//! `GET/PUT/DELETE /api/v2/sessions/{id}`: only its owner sees a session; for everybody else there is none.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use hyper::{HeaderMap, StatusCode};
use jiff::Timestamp;
use picarcade_flow::{Caller, Session, SessionUpdate};
use serde_json::{Value, json};

use crate::http::app::App;
use crate::http::body::{self, MAX_BODY};
use crate::http::problem::Problem;
use crate::http::read::named_user;

pub(crate) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let caller = caller(&app, &headers, query.as_deref()).await?;
    Ok(Json(json(&app.flow.session(&id, &caller).await?)))
}

pub(crate) async fn put(
    State(app): State<App>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let presented = app.identities.check(&headers).await?;
    let bytes = body::read(&headers, body, MAX_BODY).await?;
    let (update, user): (SessionUpdate, _) = body::parse_with_user(&bytes)?;
    let named = match user {
        Some(user) => Some(user),
        None => named_user(query.as_deref())?,
    };
    let caller = presented.caller(&headers, named.as_deref(), "sessions")?;
    Ok(Json(json(&app.flow.update_session(&id, &caller, update).await?)))
}

pub(crate) async fn delete(
    State(app): State<App>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = caller(&app, &headers, query.as_deref()).await?;
    app.flow.delete_session(&id, &caller).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
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
