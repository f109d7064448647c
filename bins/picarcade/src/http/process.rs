//! `POST /api/v2/process` and `POST /api/v2/classify-only`.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use picarcade_flow::{CacheControl, Caller, FlowRequest};
use serde::Serialize;

use crate::http::app::App;
use crate::http::body::{self, MAX_BODY};
use crate::http::identity::Presented;
use crate::http::limits;
use crate::http::problem::Problem;
use crate::http::request_id::RequestId;

/// Bytes that nearly every answer fits into.
const ORDINARY: usize = 2048;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(crate) async fn process(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let presented = app.identities.check(&headers).await?;
    let (request, caller) = match read(&headers, body, &presented, "process").await {
        Ok(read) => read,
        Err(problem) => return limits::refused(&app, &headers, &presented, "process", problem).await,
    };
    match app.flow.process(request, &caller, cache_control(&headers)).await {
        Ok(mut processed) => {
            processed.answer.request_id = Some(id.as_str().to_owned());
            let mut response = json(&processed.answer);
            limits::write(response.headers_mut(), &processed.limits);
            Ok(response)
        }
        Err(error) => Ok(limits::told(&app, &caller, Problem::from(error)).await),
    }
}

pub(crate) async fn classify_only(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let presented = app.identities.check(&headers).await?;
    let (request, caller) = match read(&headers, body, &presented, "classify-only").await {
        Ok(read) => read,
        Err(problem) => return limits::refused(&app, &headers, &presented, "classify-only", problem).await,
    };
    match app.flow.classify_only(request, &caller, cache_control(&headers)).await {
        Ok(mut processed) => {
            processed.answer.request_id = Some(id.as_str().to_owned());
            let mut response = json(&processed.answer);
            limits::write(response.headers_mut(), &processed.limits);
            Ok(response)
        }
        Err(error) => Ok(limits::told(&app, &caller, Problem::from(error)).await),
    }
}

/// Reads a request, after identity: a stranger learns nothing about the body.
async fn read(
    headers: &HeaderMap,
    body: Body,
    presented: &Presented,
    endpoint: &'static str,
) -> Result<(FlowRequest, Caller), Problem> {
    let bytes = body::read(headers, body, MAX_BODY).await?;
    let request = body::parse(&bytes)?;
    let caller = presented.caller(headers, request.user_id.as_deref(), endpoint)?;
    Ok((request, caller))
}

/// The answer as JSON, in a buffer that an ordinary one fits into.
fn json(answer: &impl Serialize) -> Response {
    let mut body = Vec::with_capacity(ORDINARY);
    match serde_json::to_writer(&mut body, answer) {
        Ok(()) => ([(CONTENT_TYPE, JSON)], body).into_response(),
        Err(_) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer has no JSON").into_response(),
    }
}

pub(crate) fn cache_control(headers: &HeaderMap) -> CacheControl {
    let mut control = CacheControl::Use;
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().unwrap_or_default().split(',').map(str::trim) {
            if directive.eq_ignore_ascii_case("no-store") {
                return CacheControl::NoStore;
            }
            if directive.eq_ignore_ascii_case("no-cache") {
                control = CacheControl::NoCache;
            }
        }
    }
    control
}
