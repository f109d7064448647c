//! `POST /api/v2/process` and `POST /api/v2/classify-only`.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use hyper::HeaderMap;
use hyper::header::CACHE_CONTROL;
use picarcade_flow::{CacheControl, Caller, FlowRequest};

use crate::http::app::App;
use crate::http::body::{self, MAX_BODY};
use crate::http::limits;
use crate::http::problem::Problem;
use crate::http::request_id::RequestId;

pub(crate) async fn process(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (request, caller) = read(&app, &headers, body, "process").await?;
    let mut processed = app.flow.process(request, &caller, cache_control(&headers)).await?;
    processed.answer.request_id = Some(id.as_str().to_owned());
    let mut response = Json(&processed.answer).into_response();
    limits::write(response.headers_mut(), &processed.limits);
    Ok(response)
}

pub(crate) async fn classify_only(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (request, caller) = read(&app, &headers, body, "classify-only").await?;
    let mut processed = app.flow.classify_only(request, &caller, cache_control(&headers)).await?;
    processed.answer.request_id = Some(id.as_str().to_owned());
    let mut response = Json(&processed.answer).into_response();
    limits::write(response.headers_mut(), &processed.limits);
    Ok(response)
}

/// Identity before everything else: a stranger learns nothing about the body.
async fn read(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    endpoint: &'static str,
) -> Result<(FlowRequest, Caller), Problem> {
    let presented = app.identities.check(headers).await?;
    let bytes = body::read(headers, body, MAX_BODY).await?;
    let request = body::parse(&bytes)?;
    let caller = presented.caller(headers, request.user_id.as_deref(), endpoint)?;
    Ok((request, caller))
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
