//! `GET/PUT/DELETE /api/v2/sessions/{id}`. Only its owner sees a session; for every other caller it
//! does not exist.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use hyper::{HeaderMap, StatusCode};
use jiff::Timestamp;
use picarcade_flow::openapi::Id;
use picarcade_flow::{Caller, Session, SessionUpdate};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::query::{UserQuery, named_user};
use crate::http::app::App;
use crate::http::body::{self, MAX_BODY, WithUser};
use crate::http::identity::ApiCall;
use crate::http::problem::Problem;

/// A session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct Shown {
    #[schema(value_type = String, format = DateTime, required)]
    expires_at: Option<String>,
    /// Data of the caller.
    #[schema(value_type = Object)]
    metadata: Value,
    session_id: String,
    /// The owner, the only user that sees the session.
    user_id: String,
    /// The open image, never together with a video.
    #[schema(required)]
    working_image: Option<String>,
    /// The open video, never together with an image.
    #[schema(required)]
    working_video: Option<String>,
}

impl From<Session> for Shown {
    fn from(session: Session) -> Self {
        Self {
            expires_at: Timestamp::try_from(session.expires_at).map(|at| at.to_string()).ok(),
            metadata: session.metadata,
            session_id: session.session_id.to_string(),
            user_id: session.user_id.to_string(),
            working_image: session.working_image,
            working_video: session.working_video,
        }
    }
}

type Update = WithUser<SessionUpdate>;

/// Returns a session of the caller.
#[utoipa::path(
    get,
    path = "/api/v2/sessions/{id}",
    operation_id = "getSession",
    params(("id" = inline(Id), Path, description = "The session"), UserQuery),
    responses((status = 200, body = Shown), (status = 403), (status = 404)),
)]
pub(crate) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    call: ApiCall,
    RawQuery(query): RawQuery,
) -> Result<Json<Shown>, Problem> {
    let caller = admitted(&app, &call, query.as_deref()).await?;
    Ok(Json(app.flow.session(&id, &caller).await?.into()))
}

/// Creates or changes a session.
#[utoipa::path(
    put,
    path = "/api/v2/sessions/{id}",
    operation_id = "putSession",
    params(("id" = inline(Id), Path, description = "The session"), UserQuery),
    request_body = Update,
    responses((status = 200, body = Shown), (status = 403), (status = 404)),
)]
pub(crate) async fn put(
    State(app): State<App>,
    Path(id): Path<String>,
    call: ApiCall,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Shown>, Problem> {
    let read = body::read(&headers, body, MAX_BODY).await;
    let parsed = read.and_then(|bytes| body::parse_with_user::<SessionUpdate>(&bytes));
    // The query is checked even if the body names a user.
    let queried = named_user(query.as_deref())?;
    let user = parsed.as_ref().ok().and_then(|(_, user)| user.as_ref()).or(queried.as_ref());
    let caller = call.caller(user)?;
    // A body that cannot be read counts as a request too.
    call.admit(&app.flow, &caller).await?;
    Ok(Json(app.flow.update_session(&id, &caller, parsed?.0).await?.into()))
}

/// Removes a session.
#[utoipa::path(
    delete,
    path = "/api/v2/sessions/{id}",
    operation_id = "deleteSession",
    params(("id" = inline(Id), Path, description = "The session"), UserQuery),
    responses((status = 204, description = "The session is removed"), (status = 403), (status = 404)),
)]
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

/// Returns the caller, which the query can name, and takes one request from its limits.
async fn admitted(app: &App, call: &ApiCall, query: Option<&str>) -> Result<Caller, Problem> {
    let caller = call.caller(named_user(query)?.as_ref())?;
    call.admit(&app.flow, &caller).await?;
    Ok(caller)
}
