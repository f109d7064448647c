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
use crate::http::problem::Problem;
use crate::http::rate_limit;
use crate::http::route::catalog::named_user;

pub(crate) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = caller(&app, &headers, query.as_deref()).await?;
    let session = async { Ok(Json(json(&app.flow.session(&id, &caller).await?))) };
    Ok(rate_limit::limited(&app, &caller, session).await)
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
    let parsed = read.and_then(|bytes| body::parse_with_user::<SessionUpdate>(&bytes));
    // Checked even when the body names a user: a wrong query is wrong either way.
    let queried = match named_user(query.as_deref()) {
        Ok(queried) => queried,
        Err(problem) => return rate_limit::refused(&app, &headers, &presented, "sessions", problem).await,
    };
    let user = parsed.as_ref().ok().and_then(|(_, user)| user.as_deref()).or(queried.as_deref());
    let caller = presented.caller(&headers, user, "sessions")?;
    // A body that cannot be read counts as a request too.
    let session = async { Ok(Json(json(&app.flow.update_session(&id, &caller, parsed?.0).await?))) };
    Ok(rate_limit::limited(&app, &caller, session).await)
}

pub(crate) async fn delete(
    State(app): State<App>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = caller(&app, &headers, query.as_deref()).await?;
    let deleted = async {
        app.flow.delete_session(&id, &caller).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    Ok(rate_limit::limited(&app, &caller, deleted).await)
}

async fn caller(app: &App, headers: &HeaderMap, query: Option<&str>) -> Result<Caller, Problem> {
    let presented = app.identities.check(headers).await?;
    match named_user(query) {
        Ok(named) => presented.caller(headers, named.as_deref(), "sessions"),
        Err(problem) => Err(rate_limit::with_limits(app, headers, &presented, "sessions", problem).await),
    }
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
